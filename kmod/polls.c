// SPDX-License-Identifier: GPL-2.0-only
/*
 * Select cases that poll any descriptor. A wait queue's wake-up may come from any context,
 * so it only marks the select as poked and wakes its task, which asks the files again. One
 * that is no longer ready then is not chosen.
 */
#include "select.h"

#include <linux/file.h>
#include <linux/slab.h>

#include "chan.h"
#include "fd.h"
#include "group.h"

struct sel_entry {
	struct sel_entry *next;
	wait_queue_entry_t wait;
	wait_queue_head_t *head;
	struct kchan_waiter *w;
	__poll_t events;
};

/* The poll table of one case. */
struct sel_table {
	poll_table pt;
	struct sel *s;
	bool failed;
};

static __poll_t poll_rx(void *obj, struct kchan_waiter *self, poll_table *pt)
{
	return kchan_poll(obj, KCHAN_SIDE_RX, self, NULL, pt);
}

static __poll_t poll_tx(void *obj, struct kchan_waiter *self, poll_table *pt)
{
	return kchan_poll(obj, KCHAN_SIDE_TX, self, NULL, pt);
}

static void put_chan(void *obj)
{
	kchan_put(obj);
}

static __poll_t poll_group(void *obj, struct kchan_waiter *self, poll_table *pt)
{
	return kgroup_poll(obj, NULL, pt);
}

static void put_group(void *obj)
{
	kgroup_put(obj);
}

static __poll_t poll_armed(void *obj, struct kchan_waiter *self, poll_table *pt)
{
	return kchan_armed_poll(obj, NULL, pt);
}

static void put_armed(void *obj)
{
	kchan_armed_put(obj);
}

static __poll_t poll_file(void *obj, struct kchan_waiter *self, poll_table *pt)
{
	return vfs_poll(obj, pt);
}

static void put_file(void *obj)
{
	fput(obj);
}

/*
 * For kchan's own files take the object and not the file, so that closing them acts at once. The
 * descriptor table is locked.
 */
void sel_target_get(struct sel_target *t, struct file *file)
{
	int side = kchan_side_of(file);

	if (side >= 0) {
		struct kchan *c = file->private_data;

		kref_get(&c->ref);
		*t = (struct sel_target){ c, side == KCHAN_SIDE_RX ? poll_rx : poll_tx, put_chan };
	} else if (kgroup_is(file)) {
		*t = (struct sel_target){ kgroup_get(kgroup_of(file)), poll_group, put_group };
	} else if (file->f_op == &kchan_armed_fops) {
		*t = (struct sel_target){ kchan_armed_get(file->private_data), poll_armed,
					  put_armed };
	} else {
		*t = (struct sel_target){ get_file(file), poll_file, put_file };
	}
}

static __poll_t wanted(const struct sel_case *k)
{
	return demangle_poll((u16)k->events) | EPOLLERR | EPOLLHUP;
}

static u32 seen(struct sel_case *k, __poll_t mask)
{
	k->revents = mangle_poll(mask & wanted(k));
	return k->revents;
}

/* The events of a case, 0 if it is not ready. May sleep. */
u32 sel_sample(struct sel *s, struct sel_case *k)
{
	poll_table pt;

	init_poll_funcptr(&pt, NULL);
	pt._key = wanted(k);
	return seen(k, k->target.poll(k->target.obj, &s->w, &pt));
}

static int poke(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct sel_entry *e = container_of(wait, struct sel_entry, wait);
	__poll_t events = key_to_poll(key);

	if (events && !(events & e->events))
		return 0;
	WRITE_ONCE(e->w->poked, true);
	return wake_up_process(e->w->task);	/* with a full barrier; see sleep_any() */
}

static void queue_entry(struct file *file, wait_queue_head_t *head, poll_table *pt)
{
	struct sel_table *t = container_of(pt, struct sel_table, pt);
	struct sel_entry *e = kmalloc(sizeof(*e), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);

	if (!e) {
		t->failed = true;
		return;
	}
	e->head = head;
	e->w = &t->s->w;
	e->events = pt->_key;
	e->next = t->s->entries;
	t->s->entries = e;
	init_waitqueue_func_entry(&e->wait, poke);
	add_wait_queue(head, &e->wait);
}

/* Queue the select with the target of @k, then ask it: its events, 0, or -ENOMEM. */
int sel_watch(struct sel *s, struct sel_case *k)
{
	struct sel_table t = { .s = s };
	u32 events;

	init_poll_funcptr(&t.pt, queue_entry);
	t.pt._key = wanted(k);
	events = seen(k, k->target.poll(k->target.obj, &s->w, &t.pt));
	if (events)
		return events;
	return t.failed ? -ENOMEM : 0;
}

void sel_unwatch(struct sel *s)
{
	struct sel_entry *e;

	while ((e = s->entries)) {
		s->entries = e->next;
		remove_wait_queue(e->head, &e->wait);
		kfree(e);
	}
}
