// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signals for files with O_ASYNC. All files of an object share one more entry in its wait queue,
 * beside the pollers, so nobody pays for this who does not use it. A wake-up only counts what
 * there is to tell and queues a work, as there may be very many files and the wait queue's
 * lock is held.
 *
 * Objects have no room for the entry, so it is kept here, in trees by wait queue. It goes with
 * its last file, at the latest when that is released: if two threads change a file's flags at
 * once, the kernel may forget that O_ASYNC was set, and then does not call ->fasync.
 *
 * Lock order: async_tree.lock -> lock of a wait queue. The work takes neither.
 */
#include "async.h"

#include <linux/hash.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "group.h"

#define TREES	6	/* log2 of their number */
#define MOST	32	/* signals for wake-ups that came before the work ran */

struct async {
	struct rb_node node;		/* async_tree.lock */
	wait_queue_head_t *wq;
	wait_queue_entry_t wait;
	struct fasync_struct *list;	/* of all files whose pollers wait in @wq */
	atomic_t in, out;		/* wake-ups to send signals for */
	struct work_struct work;
};

static struct async_tree {
	struct mutex lock;
	struct rb_root root;		/* lock */
} trees[1 << TREES];

static struct async_tree *async_tree_of(wait_queue_head_t *wq)
{
	return &trees[hash_ptr(wq, TREES)];
}

static bool before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct async, node)->wq < rb_entry(b, struct async, node)->wq;
}

static int compare(const void *wq, const struct rb_node *node)
{
	const void *other = rb_entry(node, struct async, node)->wq;

	return wq < other ? -1 : wq > other;
}

static void tell(struct async *a, atomic_t *wakes, int band)
{
	int n = min(atomic_xchg(wakes, 0), MOST);

	for (; n > 0; n--) {
		kill_fasync(&a->list, SIGIO, band);
		cond_resched();
	}
}

static void async_work(struct work_struct *work)
{
	struct async *a = container_of(work, struct async, work);

	tell(a, &a->in, POLL_IN);
	tell(a, &a->out, POLL_OUT);
}

static int woken(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct async *a = container_of(wait, struct async, wait);

	atomic_inc(key_to_poll(key) & EPOLLIN ? &a->in : &a->out);
	queue_work(kgroup_wq, &a->work);
	return 0;
}

static void add(struct async *a, struct async_tree *t, wait_queue_head_t *wq)
{
	a->wq = wq;
	INIT_WORK(&a->work, async_work);
	init_waitqueue_func_entry(&a->wait, woken);
	rb_add(&a->node, &t->root, before);
	add_wait_queue(wq, &a->wait);
}

static void del(struct async *a, struct async_tree *t)
{
	remove_wait_queue(a->wq, &a->wait);
	cancel_work_sync(&a->work);
	rb_erase(&a->node, &t->root);
}

/* ->fasync of a file whose pollers wait in @wq. */
int kchan_fasync(int fd, struct file *file, int on, wait_queue_head_t *wq)
{
	struct async_tree *t = async_tree_of(wq);
	struct async *new = NULL, *a;
	struct rb_node *node;
	int r = 0;

	if (on) {
		new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!new)
			return -ENOMEM;
	}
	mutex_lock(&t->lock);
	node = rb_find(wq, &t->root, compare);
	a = node ? rb_entry(node, struct async, node) : new;
	if (a) {
		r = fasync_helper(fd, file, on, &a->list);
		if (a == new && r > 0) {
			add(new, t, wq);
			new = NULL;
		} else if (node && !a->list) {
			del(a, t);
			kfree(a);
		}
	}
	mutex_unlock(&t->lock);
	kfree(new);
	return r;
}

/* ->release of such a file. Whoever added the entry held the file, so it is seen here. */
void kchan_fasync_gone(struct file *file, wait_queue_head_t *wq)
{
	if (unlikely(READ_ONCE(async_tree_of(wq)->root.rb_node)))
		kchan_fasync(-1, file, 0, wq);
}

void kchan_fasync_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(trees); i++)
		mutex_init(&trees[i].lock);
}
