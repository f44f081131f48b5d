// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deadlines that no task sleeps for. Any number of them may pass at one instant, and the kernel
 * runs expired timers one after the other without preemption. So all that are started on a
 * processor share one timer, which only queues a work; the work makes the calls one at a time.
 */
#include "deadline.h"

#include <linux/percpu.h>

#include "compat.h"

struct kchan_dues {
	spinlock_t lock;
	struct rb_root_cached tree;	/* lock: by time */
	struct hrtimer timer;		/* lock: for the first */
	struct work_struct work;
};

static DEFINE_PER_CPU(struct kchan_dues, all_dues);
static struct workqueue_struct *dues_wq;

static struct kchan_due *due_of(struct rb_node *node)
{
	return rb_entry(node, struct kchan_due, node);
}

static bool sooner(struct rb_node *a, const struct rb_node *b)
{
	return due_of(a)->at < rb_entry(b, struct kchan_due, node)->at;
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct kchan_dues *q = container_of(timer, struct kchan_dues, timer);

	queue_work(dues_wq, &q->work);
	return HRTIMER_NORESTART;
}

/* Take the first of @q out if it has passed; otherwise start the timer for it. */
static struct kchan_due *passed(struct kchan_dues *q)
{
	struct kchan_due *d = NULL;
	struct rb_node *first;

	spin_lock(&q->lock);
	first = rb_first_cached(&q->tree);
	if (first) {
		d = due_of(first);
		if (d->at <= ktime_get()) {
			rb_erase_cached(first, &q->tree);
			RB_CLEAR_NODE(first);
		} else {
			hrtimer_start(&q->timer, d->at, HRTIMER_MODE_ABS_SOFT);
			d = NULL;
		}
	}
	spin_unlock(&q->lock);
	return d;
}

static void dues_work(struct work_struct *work)
{
	struct kchan_dues *q = container_of(work, struct kchan_dues, work);
	struct kchan_due *d;

	while ((d = passed(q))) {
		d->fn(d);
		cond_resched();
	}
}

/*
 * Call @fn with @d, from a worker, once @at has passed; others queue behind it, so it must be
 * quick. @d must stay until then, or until kchan_due_cancel() has returned true.
 */
void kchan_due_start(struct kchan_due *d, ktime_t at, void (*fn)(struct kchan_due *d))
{
	struct kchan_dues *q = raw_cpu_ptr(&all_dues);	/* any of them would do */

	d->at = at;
	d->fn = fn;
	d->queue = q;
	spin_lock(&q->lock);
	if (rb_add_cached(&d->node, &q->tree, sooner))
		hrtimer_start(&q->timer, at, HRTIMER_MODE_ABS_SOFT);
	spin_unlock(&q->lock);
}

/* Cancel what was started; false if it was called already, or is being called. */
bool kchan_due_cancel(struct kchan_due *d)
{
	struct kchan_dues *q = d->queue;
	bool found;

	spin_lock(&q->lock);
	found = !RB_EMPTY_NODE(&d->node);
	if (found) {
		struct rb_node *first = rb_erase_cached(&d->node, &q->tree);

		RB_CLEAR_NODE(&d->node);
		if (first)		/* @d was the first, and there is another */
			hrtimer_start(&q->timer, due_of(first)->at, HRTIMER_MODE_ABS_SOFT);
		else if (RB_EMPTY_ROOT(&q->tree.rb_root))
			hrtimer_try_to_cancel(&q->timer);	/* harmless if it runs */
	}
	spin_unlock(&q->lock);
	return found;
}

int kchan_due_init(void)
{
	struct kchan_dues *q;
	int cpu;

	dues_wq = alloc_workqueue("kchan_due", WQ_UNBOUND, 0);
	if (!dues_wq)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		q = per_cpu_ptr(&all_dues, cpu);
		spin_lock_init(&q->lock);
		q->tree = RB_ROOT_CACHED;
		kchan_hrtimer_setup(&q->timer, timer_fired, CLOCK_MONOTONIC,
				    HRTIMER_MODE_ABS_SOFT);
		INIT_WORK(&q->work, dues_work);
	}
	return 0;
}

/* No deadline is left, but a timer may still run. */
void kchan_due_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_cancel(&per_cpu_ptr(&all_dues, cpu)->timer);
	destroy_workqueue(dues_wq);
}
