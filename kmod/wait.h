/* SPDX-License-Identifier: GPL-2.0-only */
/* Waiters: their states, the queues they stand in, waking them, sleeping. */
#ifndef KCHAN_WAIT_H
#define KCHAN_WAIT_H

#include <linux/kcsan-checks.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/kchan.h>

#include "quota.h"

#define KCHAN_WAKES	16	/* waiters completed per hold of a lock */
#define KCHAN_STEPS	256	/* stale nodes and misfits passed per hold of a lock */

/* What kchan_try_send() and kchan_try_recv() return beside results; no errno is this low. */
#define KCHAN_WAIT	(-0x10000)	/* would wait */
#define KCHAN_GONE	(-0x10001)	/* self was chosen through another case */
#define KCHAN_BUSY	(-0x10002)	/* select: would wait, though not at one instant */
#define KCHAN_AGAIN	(-0x10003)	/* the lock was dropped: look again */
#define KCHAN_IDLE	(-0x10004)	/* select: all cases were looked at, none looked ready */

struct kchan_payload;
struct kchan_pkt;

enum { KCHAN_PENDING, KCHAN_DONE, KCHAN_ABORTED };

struct kchan_waiter {
	spinlock_t lock;		/* all but singles: state, fired, res */
	int state;
	bool single;			/* see kchan.h */
	bool queued;			/* owner only: some node may be queued */
	bool poked;			/* a polled file may be ready */
	bool trial;			/* will not sleep: its sends do not come to rest */
	u32 fired;			/* the case; written by whoever makes it DONE */
	int res;
	struct task_struct *task;	/* NULL: no task sleeps; what follows is used then */
	struct kchan_holder holder;	/* receives: the user charged for the message */
	struct kchan_payload *in;	/* receives: where the message goes */
	struct kchan_waiter *next;	/* of struct kchan_wake */
	void (*kick)(struct kchan_waiter *w);	/* under the lock that decides it, or NULL */
	void (*done)(struct kchan_waiter *w);	/* drops the reference */
	void (*again)(struct kchan_waiter *w);	/* NULL, or it may be armed again: see arm.c */
	bool listed;			/* it has @again: is in a struct kchan_wake */
	struct kchan_node *out;		/* it has @again: those of its nodes that were taken out */
	refcount_t ref;
};

/*
 * FIFO. Nodes in it are stale if their waiters were chosen elsewhere. There may be marks
 * among them, at which a walk that has dropped the lock goes on; @n does not count them.
 */
struct kchan_queue {
	struct list_head nodes;
	u32 n;
	u32 spin;			/* no lock: what kchan_spin() has learnt */
};

extern struct kchan_waiter kchan_mark;	/* the waiter of all marks; never PENDING */

struct kchan_node {
	struct list_head list;		/* kchan.lock */
	union {
		struct kchan_queue *queue;	/* in a queue */
		struct kchan_node *next_out;	/* of kchan_waiter.out; its lock */
	};
	struct kchan_waiter *waiter;
	u32 idx;			/* which case */
	u32 cases;			/* kchan.lock: how many it stands for; single: 1 */
	u32 fd_room;			/* receive: descriptors it has room for */
	size_t room;			/* receive: its buffer's size */
	struct kchan_payload *out;	/* send: the message */
};

/*
 * Every change of a waiter's state; kchan.h says which lock protects it. The results are
 * written before: whoever reads with acquire that it is no longer PENDING sees them.
 */

/* New -> PENDING, before its owner queues it; one that is not single has a lock to init. */
static inline void waiter_to_pending(struct kchan_waiter *w, bool single)
{
	w->state = KCHAN_PENDING;
	w->single = single;
	w->queued = true;
	w->poked = false;
	w->trial = false;
	w->task = current;
}

/* PENDING -> DONE. A single waiter may be gone when this returns. */
static inline void waiter_to_done(struct kchan_waiter *w)
{
	smp_store_release(&w->state, KCHAN_DONE);	/* pairs with kchan_sleep() */
}

/* PENDING -> DONE by its owner, which found a case ready while it was still queueing. */
static inline void waiter_to_done_by_owner(struct kchan_waiter *w)
{
	WRITE_ONCE(w->state, KCHAN_DONE);
}

/* DONE -> PENDING by its owner, which arms it again, under its lock. */
static inline void waiter_to_pending_again(struct kchan_waiter *w)
{
	smp_store_release(&w->state, KCHAN_PENDING);
}

/* PENDING -> ABORTED. */
static inline void waiter_to_aborted(struct kchan_waiter *w)
{
	smp_store_release(&w->state, KCHAN_ABORTED);	/* pairs with kchan_sleep() */
}

/*
 * For counts that change under kchan.lock and are also read without it, with READ_ONCE(): as
 * a hint that a call is ready, or to see that something has changed. An addition to memory
 * is one instruction and is not torn; with WRITE_ONCE() it would be three.
 */
#define kchan_add(count, by)	do {				\
	ASSERT_EXCLUSIVE_WRITER(count);				\
	data_race((count) += (by));	/* one instruction */	\
} while (0)

static inline void kchan_link(struct kchan_queue *q, struct kchan_node *n)
{
	n->queue = q;
	list_add_tail(&n->list, &q->nodes);
	kchan_add(q->n, 1);
}

static inline void kchan_unlink(struct kchan_node *n)
{
	if (list_empty(&n->list))
		return;
	list_del_init(&n->list);
	kchan_add(n->queue->n, -1);
}

/* May it be armed again after it was chosen? */
static inline bool kchan_rearms(const struct kchan_waiter *w)
{
	return !w->task && w->again;
}

/* Work to do once kchan.lock is dropped. */
struct kchan_wake {
	unsigned int n;			/* tasks, and waiters in async */
	unsigned int tasks;
	unsigned int steps;		/* left in this hold of the lock */
	bool drained;			/* a shut channel's last message went */
	bool refilled;			/* a message came from a parked send */
	struct kchan_pkt *drop;
	struct kchan_waiter *async;
	struct task_struct *task[KCHAN_WAKES];
};

static inline void kchan_wake_init(struct kchan_wake *wk)
{
	wk->n = 0;
	wk->tasks = 0;
	wk->steps = KCHAN_STEPS;
	wk->drained = false;
	wk->refilled = false;
	wk->drop = NULL;
	wk->async = NULL;
}

/* What kchan_lock_pair() returns. */
enum { PAIR_OK, PAIR_STALE, PAIR_GONE };

bool kchan_unlink_stale(struct kchan_node *n);
struct kchan_node *kchan_queue_first(struct kchan_queue *q, struct kchan_waiter *self,
				     unsigned int *steps);
struct kchan_node *kchan_queue_first_at_rest(struct kchan_queue *q, struct kchan_waiter *self,
					     unsigned int *steps);
void kchan_relock(spinlock_t *lock, struct kchan_wake *wk);
struct kchan_node *kchan_stop_at(spinlock_t *lock, struct kchan_node *n, struct kchan_wake *wk);
int kchan_lock_pair(struct kchan_waiter *self, struct kchan_waiter *peer);
bool kchan_commit_self(struct kchan_waiter *self);
void kchan_complete(struct kchan_waiter *self, struct kchan_node *n, int res,
		    struct kchan_wake *wk);
bool kchan_lock_parked(struct kchan_node *a, struct kchan_node *b);
void kchan_complete_parked(struct kchan_node *n, int res, struct kchan_wake *wk);
bool kchan_fail_some(struct kchan_queue *q, int res, struct kchan_wake *wk);
void kchan_wake_add(struct kchan_wake *wk, struct kchan_waiter *w);
void kchan_wake_all(struct kchan_wake *wk);
bool kchan_abort(struct kchan_waiter *w, int res, bool kick);
void kchan_spin(struct kchan_node *n, s64 deadline, ktime_t limit);
int kchan_sleep(struct kchan_waiter *w, s64 deadline, ktime_t limit);
int kchan_waiter_settle(struct kchan_waiter *w, int err);
int kchan_deadline_error(s64 deadline);

/* No static key: this is a load and a branch for a call that parks, and patches no code. */
static inline bool kchan_may_spin(void)
{
	return unlikely(READ_ONCE(kchan_spin_ns));
}

/*
 * Wake all pollers, for what stays true, such as a shut: with EPOLLEXCLUSIVE, too, as none
 * of them would pass the wake-up on.
 */
static inline void kchan_wake_pollers(wait_queue_head_t *wq, __poll_t events)
{
	__wake_up(wq, TASK_INTERRUPTIBLE, 0, poll_to_key(events));
}

/* Is the caller being killed? The flag is read without the lock of those who set it. */
static inline bool kchan_killed(void)
{
	return data_race(fatal_signal_pending(current));	/* one bit */
}

#endif
