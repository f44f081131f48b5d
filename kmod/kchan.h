/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Channels: how they work.
 *
 * Overview
 * ========
 *
 * A channel (struct kchan) is a ring of messages and two FIFO queues of waiters. Two
 * files stand for it, one for each end. Each file holds a reference to the channel, and
 * its ->release ends that side. A waiting call holds a reference to the channel and not
 * to a file, so that the last close elsewhere acts at once.
 *
 * A waiter (struct kchan_waiter) is one waiting call. It lives on the stack of a task
 * that sleeps, or on its own for what no task sleeps for: an armed select, a command of
 * io_uring. Its nodes stand in the queues of channels: a single waiter has one node, a
 * select has one for each channel and direction among its cases. A peer reaches a waiter
 * only through a node, under the lock of the channel that the node is queued on, so a
 * waiter may be freed once all its nodes are unlinked.
 *
 * The slow path of a transfer is kchan_try_send() and kchan_try_recv(), which walk the
 * queues and collect the tasks to wake. Fast paths come before it for the common cases;
 * each does exactly what the slow path would do, or nothing: a message that nobody waits
 * for (just_room(), just_message()), some of them in one hold of the lock (batch.c), one
 * that is handed to a plain receive (hand_short()), and a select with a case that looks
 * ready, or with CHAN_NOW and none that is (select_fast.c).
 *
 * Locking
 * =======
 *
 *   struct kchan		kchan.lock, unless its fields say otherwise; len, seq,
 *				shut and the counts of the queues are also read
 *				without it, as hints
 *   kchan_node.list, cases	the lock of the channel it is queued on
 *   kchan_waiter.state, fired, res
 *				see Waiter states
 *   kchan_waiter.poked		no lock; see Lost wake-ups
 *
 * Order: kchan.lock -> kchan_waiter.lock (lower address) -> kchan_waiter.lock (higher).
 * Two kchan.locks are never held together. They are not taken in interrupts. Under them
 * nothing is allocated or vfree'd, no poll queue is woken, and user memory is not
 * touched. A command of io_uring is handed to its task under them (->kick); what io_uring
 * wakes for that takes none of these locks.
 *
 * Descriptors that a call names are looked up under the lock of the descriptor table, and
 * only references to objects are taken under that; see kchan_lock_fd().
 *
 * One hold of kchan.lock has a budget: KCHAN_STEPS nodes looked at and KCHAN_WAKES waiters
 * completed. A walk that has used it up drops the lock for a moment (kchan_relock()). It
 * starts over if it unlinked what it saw; otherwise it leaves a mark, a node that belongs to
 * no waiter, and goes on behind it (kchan_stop_at()). Meanwhile the channel is consistent but
 * for one thing: receives may be parked beside a message at rest that they have no room for,
 * because they have not been told yet. Therefore buffered messages, and then the sends that
 * are parked, come before a send that is under way:
 *
 *   send A, long			send B, short
 *
 *   parks: no receive has room
 *   tells some; drops the lock
 *					finds a receive that has room,
 *					but A's message is first: parks behind it
 *   tells the others
 *
 * kchan_meet() does the telling, and looks again at the channel each time.
 *
 * Waiter states
 * =============
 *
 *   PENDING -> DONE		a peer chose it, its result is in place; or its owner found
 *				a case ready while it was still queueing
 *   PENDING -> ABORTED		its owner gave up, or the group that it runs under ended
 *
 * There is no way back, but for an armed select that is armed again: DONE -> PENDING, by its
 * owner, after the result was fetched. Its nodes stay in the queues meanwhile; arm.c has the
 * story. wait.h has an inline for each change.
 *
 * A waiter is single if it has one case and no group. Its state is protected by the lock of
 * its channel. The peer writes DONE last, with release; the owner, if it reads DONE with
 * acquire, leaves without the lock, as its node is unlinked by then.
 *
 * The state of all others is protected by kchan_waiter.lock. The owner unlinks its nodes
 * under the lock of each channel and group before it reads the result.
 *
 * Whoever completes or aborts a waiter without a task takes a reference, calls ->kick() under
 * the lock that decides the state, and ->done() once after all locks are dropped.
 *
 * Lost wake-ups
 * =============
 *
 * A call that parks looks for a peer and queues itself in one critical section, so of two
 * that could meet, the second sees the first. Where a commit fails another one has
 * succeeded, and that is progress.
 *
 * Pollers queue first (poll_wait()) and look under kchan.lock after that. Whoever changes the
 * state under the lock looks for pollers after the change; wq_has_sleeper() has the barrier.
 *
 * A call that spins before it sleeps only reads its state; see kchan_spin().
 *
 * A sleeping select that polls files of other kinds is also woken by their poll queues, which
 * set ->poked from any context; it looks at the files itself. See sleep_any().
 *
 * How things go away
 * ==================
 *
 * An end: its last close, by ->release, shuts its side. Receiving ends never travel in
 * messages, so no message can keep its own channel, and the queue is discarded with the last
 * receiver. A channel: with its last reference, of files and calls. A waiter: once its nodes
 * are unlinked; a single one as soon as its state is DONE. Descriptors in a message are files
 * that its packet holds, and go with it.
 */
#ifndef KCHAN_H
#define KCHAN_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/kchan.h>

#include "wait.h"

struct file;
struct kchan_pkt;
struct kchan_slot;
struct kchan_user;

#define KCHAN_DROPS		(KCHAN_DROP_NEW | KCHAN_DROP_OLD)
#define KCHAN_MAKE_FLAGS	(KCHAN_DROPS | KCHAN_FDS)

enum { KCHAN_SIDE_RX, KCHAN_SIDE_TX };

/* 256 bytes: what a transfer touches comes first, a line each for ring, queues, counts. */
struct kchan {
	spinlock_t lock;
	u8 shut;			/* lock to write; KCHAN_SHUT_* */
	bool rx_gone;			/* lock: no receiving file is left */
	u8 flags, slot_size;		/* const */
	u16 send_err, recv_err;		/* lock */
	s16 eof;			/* lock: what a drained receive gets */
	u32 capacity, msg_max;		/* const */
	u32 ring_len;			/* lock */
	u32 len;			/* lock to write: ring_len + messages put back */
	struct kchan_slot *head, *tail;	/* lock: the next to leave, the next to be filled */
	void *ring, *ring_end;		/* const */
	struct kchan_queue sendq, recvq;	/* lock; n: lock to write */
	struct list_head returned;	/* lock: put back, ahead of the ring */
	u64 sent, dropped;		/* lock */
	atomic64_t received;
	u32 seq;			/* lock to write: rises when a call may become ready, */
					/* in the same hold; see none_ready() */
	struct kref ref;
	wait_queue_head_t rx_poll, tx_poll;
	struct file *file[2];		/* lock; NULL once released */
	u32 call_refs[2];		/* lock: file references of parked calls */
	u64 id;
	struct kchan_user *user;
	struct kchan_pkt *spare;	/* xchg: the next long message's, or NULL */
};

#endif
