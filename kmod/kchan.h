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
 * The general way of a transfer is kchan_try_send() and kchan_try_recv(), with the
 * queues walked and the tasks to wake collected. Before it come shorter ways, for
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

#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/kchan.h>

#include "compat.h"
#include "pause.h"
#include "quota.h"
#include "wait.h"

#define KCHAN_INLINE	128	/* messages up to this live in slots and nodes */

/* In a receive's room: read(2), which can't take an empty message. */
#define KCHAN_NO_EMPTY	(1UL << (BITS_PER_LONG - 1))

/* A request as it is told from others: without the size of its caller's structure. */
#define KCHAN_BARE(cmd)	((unsigned int)(cmd) & ~IOCSIZE_MASK)

/* The sizes structures had when they were first published. */
#define KCHAN_MAKE_V1		32
#define KCHAN_XFER_V1		32
#define KCHAN_SELECT_V1		32
#define KCHAN_ARM_V1		24
#define KCHAN_BATCH_V1		40
#define KCHAN_URING_V1		16
#define KCHAN_SHUT_V1		8
#define KCHAN_INFO_V1		112
#define KCHAN_GROUP_MAKE_V1	16
#define KCHAN_GROUP_WAIT_V1	24
#define KCHAN_GROUP_END_V1	16
#define KCHAN_GROUP_INFO_V1	200
#define KCHAN_VALUE_V1		24
#define KCHAN_OUT_V1		16
#define KCHAN_FEATURES_V1	48

/* msg_fds.c: the descriptors of a message. */
struct kchan_files {
	struct kchan_user *user;	/* who sent them */
	u32 n;
	struct file *file[];
};

/* A message too large for a slot, one with descriptors, or one put back. */
struct kchan_pkt {
	struct list_head list;		/* kchan.lock, while put back */
	struct kchan_user *user;	/* charged to, or NULL; see kchan_pkt_hold() */
	struct kchan_files *files;	/* or NULL */
	u32 len;
	u32 tag;
	u32 room;			/* const: what @data has room for */
	u8 *data;			/* const: behind this, or apart */
	u8 behind[];
};

/*
 * A message on its way: inline, or in @pkt. @tag is its caller's until it is
 * sent or received, then its peer's. On a stack it is not worth clearing.
 */
struct kchan_payload {
	u32 len;
	u32 tag;
	struct kchan_pkt *pkt;
	union {
		u8 data[KCHAN_INLINE];
		u64 words[KCHAN_INLINE / 8];
	};
};

#define KCHAN_HAS_FILES	(1U << 31)

/*
 * @len: with KCHAN_HAS_FILES, so that none of the short ways takes the message.
 * @tag: of the message, or of the receive that emptied the slot.
 */
struct kchan_slot {
	u32 len;
	u32 tag;
	union {
		struct kchan_pkt *pkt;	/* len > KCHAN_INLINE */
		DECLARE_FLEX_ARRAY(u64, words);
	};
};

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

static inline bool kchan_has_packets(const struct kchan *c)
{
	return c->msg_max > KCHAN_INLINE || c->flags & KCHAN_FDS;
}

/* The caller is about to receive from @c. */
static inline int kchan_holder_get(struct kchan_holder *h, struct kchan *c)
{
	h->user = NULL;
	return unlikely(kchan_has_packets(c)) ? kchan_holder_fill(h, c->user) : 0;
}

/*
 * The other side of a transfer in user memory: @buf, or @iter. @fds: room for
 * @nfds descriptors; of a receive, in the end those that came.
 */
struct kchan_mem {
	void __user *buf;
	struct iov_iter *iter;
	int __user *fds;
	u32 nfds;
};

#define KCHAN_DROPS		(KCHAN_DROP_NEW | KCHAN_DROP_OLD)
#define KCHAN_MAKE_FLAGS	(KCHAN_DROPS | KCHAN_FDS)

struct kgroup;

/* main.c */
int kchan_answer(const void *v, size_t known, size_t oldest, unsigned int cmd,
		 unsigned long arg);
int kchan_args(void *dst, size_t size, size_t oldest, unsigned int cmd, unsigned long arg);
int kchan_features(unsigned int cmd, unsigned long arg);
int kchan_unanswered(unsigned int cmd);

/* msg.c */
int kchan_load(struct kchan *c, struct kchan_payload *p, const struct kchan_mem *src, size_t len);
int kchan_store(const struct kchan_payload *p, struct kchan_mem *dst);
struct kchan_pkt *kchan_pkt_of(struct kchan_payload *p);
void kchan_pkt_free(struct kchan_pkt *pkt);
void kchan_pkt_done(struct kchan *c, struct kchan_pkt *pkt);
void kchan_pkt_uncharge(struct kchan_pkt *pkt);
int kchan_pkt_charge(struct kchan_pkt *pkt, const struct kchan_holder *h);
void kchan_pkt_charge_undo(struct kchan_pkt *pkt, const struct kchan_holder *h);
void kchan_pkt_take(struct kchan_pkt *pkt, const struct kchan_holder *h);
void kchan_pkt_hold(struct kchan_pkt *pkt, const struct kchan_holder *h);
void kchan_pkt_hold_anyway(struct kchan_pkt *pkt, struct kchan_user *u);

/* msg_fds.c */
struct kchan_files *kchan_files_load(const int __user *fds, u32 n);
int kchan_files_store(const struct kchan_files *f, int __user *fds);
void kchan_files_free(struct kchan_files *f);

static inline u32 kchan_nfds(const struct kchan_pkt *pkt)
{
	return pkt && pkt->files ? pkt->files->n : 0;
}

static inline void kchan_drop(struct kchan_payload *p)
{
	if (unlikely(p->pkt)) {
		kchan_pkt_free(p->pkt);
		p->pkt = NULL;
	}
}

/* The same, where another message of @c may follow. */
static inline void kchan_done(struct kchan *c, struct kchan_payload *p)
{
	if (unlikely(p->pkt)) {
		kchan_pkt_done(c, p->pkt);
		p->pkt = NULL;
	}
}

/* The longest message whose packet is kept for the next one, as a pipe keeps a page. */
static inline u32 kchan_spare_max(u32 msg_max)
{
	return msg_max <= KCHAN_INLINE ? 0 : min_t(u32, msg_max, SZ_4K);
}

/* chan.c */
struct kchan *kchan_alloc(u64 msg_max, u32 capacity, u32 flags);
void kchan_put(struct kchan *c);
void kchan_flush(struct kchan *c, struct kchan_wake *wk, bool in, bool out);
int kchan_try_send(struct kchan *c, struct kchan_payload *p,
		   struct kchan_waiter *self, struct kchan_wake *wk);
void kchan_meet(struct kchan *c, struct kchan_wake *wk);
int kchan_try_recv(struct kchan *c, const struct kchan_node *want, struct kchan_payload *out,
		   struct kchan_waiter *self, const struct kchan_holder *h,
		   struct kchan_wake *wk);
int kchan_deliver(struct kchan *c, struct kchan_payload *p, struct kchan_mem *dst);
void kchan_put_back(struct kchan *c, struct kchan_payload *p);
void kchan_put_back_all(struct kchan *c, struct list_head *pkts);
long kchan_send(struct kchan *c, struct kchan_payload *p, struct kgroup *under, s64 deadline);
long kchan_recv(struct kchan *c, size_t room, struct kchan_mem *dst, u32 *tag,
		struct kgroup *under, s64 deadline);
long kchan_send_short(struct kchan *c, const void __user *buf, u32 len, s64 deadline);
long kchan_recv_short(struct kchan *c, void __user *buf, u32 room, s64 deadline);
int kchan_shut(struct kchan *c, int side, int err);
void kchan_end(struct kchan *c, int side);
__poll_t kchan_poll(struct kchan *c, int side, struct kchan_waiter *self, struct file *file,
		    poll_table *pt);
u32 kchan_next_len(struct kchan *c);
void kchan_fill_info(struct kchan *c, int own, struct kchan_info *info);

/* file.c */
int kchan_make_fds(struct kchan_make *m, struct kchan_make __user *um);

/* group_file.c */
int kgroup_make_fd(struct kgroup *parent, unsigned int cmd, unsigned long arg);

/* select.c */
long kchan_select(unsigned int cmd, unsigned long arg, bool on_handle, bool compat);

/* select_fast.c */
int kchan_select_ready(const struct kchan_select *a, struct kgroup *under);

/* arm.c */
struct kchan_armed;
long kchan_arm(unsigned int cmd, unsigned long arg, bool compat);
int kchan_arm_init(void);
void kchan_arm_exit(void);
struct kchan_armed *kchan_armed_get(struct kchan_armed *a);
void kchan_armed_put(struct kchan_armed *a);
__poll_t kchan_armed_poll(struct kchan_armed *a, struct file *file, poll_table *pt);

/* uring.c */
struct io_uring_cmd;
int kchan_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
u64 kchan_uring_features(void);

/* batch.c */
long kchan_batch(struct kchan *c, int side, unsigned int cmd, unsigned long arg, bool compat);

#endif
