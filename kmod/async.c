// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signals for those who asked for them by O_ASYNC. Such a file is one more poller in
 * the wait queue of its object, which turns a wake-up into a signal: who looks for
 * pollers finds it there, and nobody else pays for it.
 *
 * Objects have no room for this, so it is kept here, in a tree by file. A file is in the
 * tree if it has FASYNC set, and the kernel calls ->fasync for such a file before it
 * is released; so neither file nor wait queue goes before its entry here.
 *
 * Lock order: async_lock -> lock of a wait queue -> those of kill_fasync().
 */
#include <linux/mutex.h>
#include <linux/rbtree.h>

#include "kchan.h"

struct async {
	struct rb_node node;		/* async_lock */
	const struct file *file;
	wait_queue_head_t *wq;
	wait_queue_entry_t wait;
	struct fasync_struct *list;	/* of @file alone */
};

static DEFINE_MUTEX(async_lock);
static struct rb_root asyncs = RB_ROOT;	/* async_lock */

static bool before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct async, node)->file < rb_entry(b, struct async, node)->file;
}

static int compare(const void *file, const struct rb_node *node)
{
	const void *other = rb_entry(node, struct async, node)->file;

	return file < other ? -1 : file > other;
}

static int send_signal(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct async *a = container_of(wait, struct async, wait);

	kill_fasync(&a->list, SIGIO, key_to_poll(key) & EPOLLIN ? POLL_IN : POLL_OUT);
	return 0;
}

static int add(struct async *a, int fd, struct file *file, wait_queue_head_t *wq)
{
	int r = fasync_helper(fd, file, 1, &a->list);

	if (r < 0)
		return r;
	a->file = file;
	a->wq = wq;
	init_waitqueue_func_entry(&a->wait, send_signal);
	rb_add(&a->node, &asyncs, before);
	add_wait_queue(wq, &a->wait);
	return r;
}

static int del(struct async *a, struct file *file)
{
	remove_wait_queue(a->wq, &a->wait);
	rb_erase(&a->node, &asyncs);
	return fasync_helper(-1, file, 0, &a->list);
}

/* ->fasync of a file whose pollers wait in @wq. */
int kchan_fasync(int fd, struct file *file, int on, wait_queue_head_t *wq)
{
	struct async *new = NULL, *a;
	struct rb_node *node;
	int r = 0;

	if (on) {	/* nobody is to wait for our memory cgroup */
		new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!new)
			return -ENOMEM;
	}
	mutex_lock(&async_lock);
	node = rb_find(file, &asyncs, compare);
	a = node ? rb_entry(node, struct async, node) : NULL;
	if (a && on) {		/* under another number, perhaps */
		r = fasync_helper(fd, file, 1, &a->list);
		a = NULL;
	} else if (a) {
		r = del(a, file);
	} else if (on) {
		r = add(new, fd, file, wq);
		if (r > 0)
			new = NULL;
	}
	mutex_unlock(&async_lock);
	kfree(new);
	kfree(a);
	return r;
}
