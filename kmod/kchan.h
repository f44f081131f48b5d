/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The story of kchan.
 *
 * A channel (struct kchan) is a ring of messages and two FIFO queues of
 * waiters. Two files stand for it, one an end; each file holds a reference to
 * the channel, and ->release of a file ends its side. A waiting call holds the
 * channel, never a file: the last close elsewhere acts at once.
 *
 * A waiter (struct kchan_waiter) is one waiting call, on its caller's stack, or
 * one that nobody sleeps for: an armed select, a command of io_uring. It is
 * queued by nodes: a *single* waiter has one node, a select one for each channel
 * and direction among its cases. Peers reach a waiter only through a node under its channel's lock,
 * so a waiter may go once all its nodes are unlinked.
 *
 * States of a waiter: PENDING -> DONE (a peer chose it; result in place), or
 * PENDING -> ABORTED (its owner gave up, or the group it runs under ended), or
 * PENDING -> DONE by its owner while it is still queueing. Never back.
 *   single: one case, no group. The state is protected by the lock of its one
 *     channel. The peer writes DONE last, with release; the owner, seeing DONE
 *     with acquire, leaves without taking the lock again: its node is already
 *     unlinked.
 *   others: the state is protected by waiter->lock, and the owner always
 *     unlinks under each channel's and group's lock before it reads the result.
 *
 * Who makes a waiter without a task DONE or ABORTED takes a reference and calls
 * ->kick() under the lock that decides it, and ->done() once after all locks are
 * dropped: nobody else does. Sleeping selects that poll foreign files have a third way to
 * wake: a poll wait queue sets ->poked, from any context, and the owner looks.
 *
 * Descriptors in a message are files, held by the message's packet. Receiving
 * ends never travel, so a queue dies with its last receiver.
 *
 * Descriptors that a call names are looked up under the table's own lock, with
 * nothing but references to objects taken under it; see kchan_lock_fd().
 *
 * The slow path of a transfer is kchan_try_send() and kchan_try_recv(), with the
 * queues walked and the tasks to wake collected. Before it come fast paths, for
 * what is common, which do the same or nothing: a message that nobody waits for
 * (just_room(), just_message()), a few of them in one hold of the lock (batch.c), one
 * that goes to a plain receive (hand_short()), and a select one of whose cases looks
 * ready (select_fast.c).
 *
 * Lock order: kchan.lock -> kchan_waiter.lock (lower address) ->
 * kchan_waiter.lock (higher). Never two kchan.locks. Nothing takes them from
 * interrupts. Nothing is allocated, freed by vfree, woken through a poll queue,
 * or copied to or from user memory under them; but a command of io_uring is handed to
 * its task under them (->kick), and what io_uring wakes for that takes none of ours.
 *
 * A hold of kchan.lock does no more than its budget: KCHAN_STEPS nodes looked at, and
 * KCHAN_WAKES waiters completed. A walk that has used it up lets others have the lock
 * (kchan_relock()), and begins anew where it has unlinked what it saw, or leaves a mark,
 * a node of nobody's, and goes on behind it (kchan_stop_at()). Whoever comes between
 * sees a channel that is in order, but for one thing: receives may be parked beside a
 * message at rest that they have no room for, since they have not been told yet. So
 * what is buffered, and then the send that waits first, come before who sends now:
 *
 *   send A, long			send B, short
 *   park: no receive has room
 *   tell some; drop the lock
 *					a receive has room for this: but A's message
 *					is first; wait behind it
 *   tell the others
 *
 * kchan_meet() does the telling, and looks at the channel as it is by then.
 *
 * Lost wake-ups: who parks looks for a peer and queues in one critical section;
 * of two who could meet, the later sees the earlier. A failed commit means that
 * another commit succeeded. Pollers queue first (poll_wait) and look under
 * kchan.lock after; who changes state under it looks for pollers after the
 * change (wq_has_sleeper() has the barrier).
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
	u32 seq;			/* lock to write: rises when a call may become ready */
	struct kref ref;
	wait_queue_head_t rx_poll, tx_poll;
	struct file *file[2];		/* lock; NULL once released */
	u32 call_refs[2];		/* lock: file references of parked calls */
	u64 id;
	struct kchan_user *user;
	struct kchan_pkt *spare;	/* xchg: the next long message's, or NULL */
};

#endif
