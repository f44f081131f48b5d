/* SPDX-License-Identifier: GPL-2.0-only */
/* Deadlines that no task sleeps for; struct kchan_due is part of the object they concern. */
#ifndef KCHAN_DEADLINE_H
#define KCHAN_DEADLINE_H

#include <linux/hrtimer.h>
#include <linux/rbtree.h>
#include <linux/workqueue.h>

struct kchan_dues;

struct kchan_due {
	struct rb_node node;		/* queue->lock; empty once it has passed */
	ktime_t at;			/* from here on const while it is queued */
	struct kchan_dues *queue;
	void (*fn)(struct kchan_due *d);
};

void kchan_due_start(struct kchan_due *d, ktime_t at, void (*fn)(struct kchan_due *d));
bool kchan_due_cancel(struct kchan_due *d);
int kchan_due_init(void);
void kchan_due_exit(void);

#endif
