// SPDX-License-Identifier: GPL-2.0-only
/* Waiters: choosing one, completing it, sleeping. kchan.h has the story. */
#include "wait.h"

#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>

#include "compat.h"
#include "pause.h"

/* Never PENDING and not single: no walk of a queue mistakes a mark for a waiter. */
struct kchan_waiter kchan_mark = { .state = KCHAN_ABORTED };

/*
 * Unlink a node whose waiter is not PENDING. If that may be armed again, its owner is told, to
 * try this case anew then; and it may have been armed by now: false, the node stays.
 */
bool kchan_unlink_stale(struct kchan_node *n)
{
	struct kchan_waiter *w = n->waiter;
	bool stale;

	if (likely(!kchan_rearms(w))) {
		kchan_unlink(n);
		return true;
	}
	kchan_pause(stale);
	spin_lock(&w->lock);
	stale = w->state != KCHAN_PENDING;
	if (stale) {
		kchan_unlink(n);
		n->next_out = w->out;
		w->out = n;
	}
	spin_unlock(&w->lock);
	return stale;
}

static __always_inline struct kchan_node *first(struct kchan_queue *q, struct kchan_waiter *self,
						bool at_rest, unsigned int *steps)
{
	struct kchan_node *n, *next;

	list_for_each_entry_safe(n, next, &q->nodes, list) {
		if (READ_ONCE(n->waiter->state) == KCHAN_PENDING) {
			if (n->waiter != self && !(at_rest && n->waiter->trial))
				return n;
			continue;
		}
		if (n->waiter == &kchan_mark)
			continue;	/* at most one for each task that walks */
		if (!*steps)
			return NULL;
		--*steps;
		if (!kchan_unlink_stale(n) && n->waiter != self)
			return n;
	}
	return NULL;
}

/*
 * The first node in @q whose waiter is PENDING and is not @self; stale nodes before it are
 * unlinked. If it returns NULL with no @steps left, there may be one further on.
 */
struct kchan_node *kchan_queue_first(struct kchan_queue *q, struct kchan_waiter *self,
				     unsigned int *steps)
{
	return first(q, self, false, steps);
}

/* The same, for sends that stay parked until somebody takes their messages. */
struct kchan_node *kchan_queue_first_at_rest(struct kchan_queue *q, struct kchan_waiter *self,
					     unsigned int *steps)
{
	return first(q, self, true, steps);
}

/* Drop a channel's @lock for a moment and do the wake-ups in @wk. Anything may change meanwhile. */
void kchan_relock(spinlock_t *lock, struct kchan_wake *wk)
{
	spin_unlock(lock);
	kchan_wake_all(wk);
	kchan_pause(relock);
	cond_resched();
	spin_lock(lock);
	wk->steps = KCHAN_STEPS;
}

/*
 * The same, in the middle of a walk that leaves nodes behind it: returns the node that
 * now stands where @n stood, or the head of the queue.
 */
struct kchan_node *kchan_stop_at(spinlock_t *lock, struct kchan_node *n, struct kchan_wake *wk)
{
	struct kchan_node mark = { .waiter = &kchan_mark };

	list_add_tail(&mark.list, &n->list);
	kchan_relock(lock, wk);
	n = list_next_entry(&mark, list);
	list_del(&mark.list);
	return n;
}

/* There may be nothing to lock; __acquire() and __release() keep sparse's count even. */
static void lock_waiter(spinlock_t *lock, int subclass)
{
	if (lock) {
		spin_lock_nested(lock, subclass);
		__release(lock);
	}
}

static void unlock_waiter(spinlock_t *lock)
{
	if (lock) {
		__acquire(lock);
		spin_unlock(lock);
	}
}

/*
 * Lock the states of @self and @peer, and check that both are PENDING; if so, @self becomes
 * DONE. A waiter that is single or not queued yet needs no lock beside kchan.lock, which the
 * caller holds.
 */
int kchan_lock_pair(struct kchan_waiter *self, struct kchan_waiter *peer)
{
	spinlock_t *a = self && self->queued ? &self->lock : NULL;
	spinlock_t *b = peer && !peer->single ? &peer->lock : NULL;
	int ret = PAIR_OK;

	kchan_pause(pair);
	if (a && b) {
		lock_waiter(min(a, b), 0);
		kchan_pause(pair_half);
		lock_waiter(max(a, b), SINGLE_DEPTH_NESTING);
	} else {
		lock_waiter(a ?: b, 0);
	}
	if (a && self->state != KCHAN_PENDING)
		ret = PAIR_GONE;
	else if (peer && peer->state != KCHAN_PENDING)
		ret = PAIR_STALE;
	if (ret == PAIR_OK && a)
		waiter_to_done_by_owner(self);
	if (ret == PAIR_OK)
		return ret;
	unlock_waiter(a);
	unlock_waiter(b);
	return ret;
}

/* May the caller, which holds a channel's lock, act for @self? @self becomes DONE if so. */
bool kchan_commit_self(struct kchan_waiter *self)
{
	if (!self || !self->queued)
		return true;
	if (kchan_lock_pair(self, NULL) != PAIR_OK)
		return false;
	unlock_waiter(&self->lock);
	return true;
}

/* Complete the case of @n. Its waiter, if single, may be gone when this returns. */
static void make_done(struct kchan_node *n, int res, struct kchan_wake *wk)
{
	struct kchan_waiter *w = n->waiter;

	kchan_unlink(n);
	w->fired = n->idx;
	w->res = res;
	kchan_wake_add(wk, w);
	waiter_to_done(w);
	kchan_pause(made_done);
}

/* After kchan_lock_pair(): complete the peer's case, whose message is in place. */
void kchan_complete(struct kchan_waiter *self, struct kchan_node *n, int res,
		    struct kchan_wake *wk)
{
	struct kchan_waiter *w = n->waiter;
	bool single = w->single;

	make_done(n, res, wk);
	unlock_waiter(single ? NULL : &w->lock);
	unlock_waiter(self && self->queued ? &self->lock : NULL);
}

static spinlock_t *lock_of(struct kchan_node *n)
{
	return n && !n->waiter->single ? &n->waiter->lock : NULL;
}

/*
 * The same where the caller is neither: lock the states of the parked waiters of @a and @b,
 * one of which may be NULL. Returns false, with nothing locked, if one is stale.
 */
bool kchan_lock_parked(struct kchan_node *a, struct kchan_node *b)
{
	spinlock_t *la = lock_of(a), *lb = lock_of(b);

	if (la && lb) {
		lock_waiter(min(la, lb), 0);
		lock_waiter(max(la, lb), SINGLE_DEPTH_NESTING);
	} else {
		lock_waiter(la ?: lb, 0);
	}
	if ((!a || a->waiter->state == KCHAN_PENDING) && (!b || b->waiter->state == KCHAN_PENDING))
		return true;
	unlock_waiter(la);
	unlock_waiter(lb);
	return false;
}

void kchan_complete_parked(struct kchan_node *n, int res, struct kchan_wake *wk)
{
	spinlock_t *lock = lock_of(n);

	make_done(n, res, wk);
	unlock_waiter(lock);
}

/*
 * Have kchan_wake_all() wake @w, which is still PENDING and whose state is locked. There is
 * room, as one hold of a lock completes at most KCHAN_WAKES. A waiter that must not wait for
 * this task, which may be preempted, is kicked here. One that was armed again may still be in
 * the list of the task that completed it before.
 */
void kchan_wake_add(struct kchan_wake *wk, struct kchan_waiter *w)
{
	wk->n++;
	if (likely(w->task)) {
		get_task_struct(w->task);
		wk->task[wk->tasks++] = w->task;
		return;
	}
	if (unlikely(w->again)) {
		if (w->listed) {
			w->again(w);
			return;
		}
		w->listed = true;
	}
	refcount_inc(&w->ref);
	w->next = wk->async;
	wk->async = w;
	if (w->kick)
		w->kick(w);
}

/* Fail waiters in @q, as many as one hold of the lock may; returns whether there may be more. */
bool kchan_fail_some(struct kchan_queue *q, int res, struct kchan_wake *wk)
{
	struct kchan_node *n;

	while (wk->n < KCHAN_WAKES) {
		n = kchan_queue_first(q, NULL, &wk->steps);
		if (!n)
			return !wk->steps;
		if (kchan_lock_parked(n, NULL))
			kchan_complete_parked(n, res, wk);
	}
	return true;
}

/* Wake those that were completed or aborted, with all locks dropped. */
void kchan_wake_all(struct kchan_wake *wk)
{
	struct kchan_waiter *w;
	unsigned int i;

	for (i = 0; i < wk->tasks; i++) {
		wake_up_process(wk->task[i]);
		put_task_struct(wk->task[i]);
	}
	while (unlikely(wk->async)) {
		w = wk->async;
		wk->async = w->next;
		w->done(w);
	}
	wk->tasks = 0;
	wk->n = 0;
}

/* 0 if a call may wait until @deadline, else its error. */
int kchan_deadline_error(s64 deadline)
{
	if (deadline == KCHAN_FOREVER)
		return 0;
	if (deadline == KCHAN_NOW)
		return -EAGAIN;
	return ktime_get() >= kchan_deadline_to_host(deadline) ? -ETIMEDOUT : 0;
}

static ktime_t earlier(s64 deadline, ktime_t limit)
{
	return deadline == KCHAN_FOREVER ? limit : min(kchan_deadline_to_host(deadline), limit);
}

#define SPIN_WINDOWS	4	/* all of spin_ns, then half of it, and so on */
#define SPIN_REST	64	/* waits without a spin after those */

/*
 * The window of the next spin in a queue whose calls wait for much the same, as they wait for
 * one peer. A spin that paid has the next one spin for twice as long, one that was in vain for
 * half as long. After some in vain in a row the queue rests, and then begins anew, since a wait
 * that slept does not tell what a spin would have brought. Several may write q->spin at a time;
 * each value is one that it may have.
 */
static u32 spin_window(struct kchan_queue *q)
{
	u32 at = READ_ONCE(q->spin);

	if (at < SPIN_WINDOWS)
		return READ_ONCE(kchan_spin_ns) >> at;
	at++;
	WRITE_ONCE(q->spin, at < SPIN_WINDOWS + SPIN_REST ? at : 0);
	return 0;
}

static void spin_learn(struct kchan_queue *q, bool paid)
{
	u32 at = READ_ONCE(q->spin);

	if (!paid && at < SPIN_WINDOWS)
		WRITE_ONCE(q->spin, at + 1);
	else if (paid && at)
		WRITE_ONCE(q->spin, min(at, SPIN_WINDOWS) - 1);
}

/* Has the processor something else to do, or the caller? A freezer sends a signal as well. */
static bool spin_must_end(void)
{
	return need_resched() || !single_task_running() || signal_pending(current);
}

/*
 * Before kchan_sleep(), for a call that is queued with one node, @n: look at the state of its
 * waiter for a while, in the hope of a peer.
 *
 *   kchan_spin()			a peer
 *
 *   smp_load_acquire(&w->state)	writes the result
 *     PENDING: looks again		smp_store_release(&w->state, KCHAN_DONE)
 *     DONE: the result is there	drops the locks
 *   kchan_sleep() reads DONE		wake_up_process(): the task runs, or sleeps elsewhere
 *
 * No state is changed here and no lock is taken: if the window runs out while the peer is at
 * it, kchan_sleep() follows, which loses no wake-up. So it is for a group that ends, which
 * aborts the waiter. A call that stands behind others does not spin, as they come first.
 */
void kchan_spin(struct kchan_node *n, s64 deadline, ktime_t limit)
{
	struct kchan_waiter *w = n->waiter;
	struct kchan_queue *q = n->queue;
	ktime_t end, until;
	u32 window;
	int state;

	if (num_online_cpus() < 2 || READ_ONCE(q->n) > 1)
		return;
	window = spin_window(q);
	if (!window)
		return;
	kchan_pause(spin);
	until = earlier(deadline, limit);
	end = ktime_add_ns(ktime_get(), window);
	do {
		state = smp_load_acquire(&w->state);
		if (state == KCHAN_DONE)
			spin_learn(q, true);
		if (state != KCHAN_PENDING || spin_must_end())
			return;
		cpu_relax();
	} while (ktime_get() < min(end, until));
	if (end > until)
		return;
	kchan_pause(spun);
	spin_learn(q, false);
}

/*
 * Sleep until @w is no longer PENDING or is poked (0), or until a signal, @deadline or @limit.
 *
 *   kchan_sleep()			a peer
 *
 *   set_current_state()		smp_store_release(&w->state, KCHAN_DONE)
 *   smp_load_acquire(&w->state)	drops the locks
 *   schedule()				wake_up_process()
 *
 * set_current_state() and wake_up_process() have full barriers: either the sleeper reads DONE,
 * or the peer finds it asleep and wakes it. The peer has a reference to the task by then, as a
 * single waiter may be gone once DONE is read.
 */
int kchan_sleep(struct kchan_waiter *w, s64 deadline, ktime_t limit)
{
	ktime_t until = earlier(deadline, limit);
	int ret = 0;

	for (;;) {
		set_current_state(KCHAN_SLEEP);
		if (smp_load_acquire(&w->state) != KCHAN_PENDING)
			break;
		if (ret)
			break;
		if (signal_pending(current)) {	/* before poked, which may never rest */
			ret = -ERESTARTSYS;
			break;
		}
		if (READ_ONCE(w->poked))
			break;
		kchan_pause(sleep);
		if (until == KTIME_MAX)
			schedule();
		else if (!schedule_hrtimeout_range(&until, READ_ONCE(current->timer_slack_ns),
						   HRTIMER_MODE_ABS))
			ret = -ETIMEDOUT;
	}
	__set_current_state(TASK_RUNNING);
	return smp_load_acquire(&w->state) != KCHAN_PENDING ? 0 : ret;
}

/*
 * After the sleep of a waiter that is not single: 0 if a peer chose it; else the error of its
 * group, if that has ended, or @err.
 */
int kchan_waiter_settle(struct kchan_waiter *w, int err)
{
	kchan_pause(settle);
	spin_lock(&w->lock);
	if (w->state == KCHAN_DONE)
		err = 0;
	else if (w->state == KCHAN_ABORTED)
		err = w->res;
	else
		waiter_to_aborted(w);
	spin_unlock(&w->lock);
	return err;
}

/*
 * Abort @w for its owner; false if it had already completed. With @kick, somebody else
 * finishes it, and is told before the lock is dropped.
 */
bool kchan_abort(struct kchan_waiter *w, int res, bool kick)
{
	bool first;

	spin_lock(&w->lock);
	first = w->state == KCHAN_PENDING;
	if (first) {
		w->res = res;
		waiter_to_aborted(w);
		if (kick)
			w->kick(w);
	}
	spin_unlock(&w->lock);
	return first;
}
