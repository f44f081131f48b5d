// SPDX-License-Identifier: GPL-2.0-only
/* Plain sends and receives: fast paths, slow path, parking. */
#include "chan.h"

#include "compat.h"
#include "copy.h"
#include "fd.h"
#include "group.h"
#include "msg.h"
#include "pause.h"
#include "quota.h"
#include "ring.h"
#include "wait.h"

/* Count the file references that parked calls hold, which are no users of the end. */
static void call_refs(struct kchan *c, int side, int delta)
{
	lockdep_assert_held(&c->lock);
	c->call_refs[side] += delta;
}

/* Does this call hold its own file reference? An io-wq worker uses the request's. */
static int own_refs(void)
{
	return kchan_shared_fds() && !(current->flags & PF_IO_WORKER);
}

/*
 * Park one case, with c->lock held, which is dropped. Returns the result from the peer that
 * chose it, or the error that ended the wait, and then nothing was transferred.
 */
static int xfer_park(struct kchan *c, int side, struct kchan_waiter *w, struct kchan_node *n,
		     struct kchan_wake *wk, s64 deadline)
	__releases(&c->lock)
{
	bool rx = side == KCHAN_SIDE_RX;
	wait_queue_head_t *wq = rx ? &c->tx_poll : &c->rx_poll;
	int err, refs = own_refs();
	bool done;

	waiter_to_pending(w, true);
	n->waiter = w;
	n->idx = 0;
	kchan_pause(park);
	kchan_link(rx ? &c->recvq : &c->sendq, n);
	kchan_add(c->seq, 1);
	call_refs(c, side, refs);
	if (unlikely(c->recvq.n && !rx))	/* receives without room for this message */
		kchan_meet(c, wk);
	unlock_and_poke(c, wq, 1, rx ? EPOLLOUT | EPOLLWRNORM : EPOLLIN | EPOLLRDNORM);
	if (unlikely(wk && wk->n))
		kchan_wake_all(wk);

	if (kchan_may_spin())
		kchan_spin(n, deadline, KTIME_MAX);
	err = kchan_sleep(w, deadline, KTIME_MAX);
	if (!err && !refs)
		return w->res;
	kchan_pause(park_over);
	spin_lock(&c->lock);
	done = w->state == KCHAN_DONE;
	if (!done) {
		waiter_to_aborted(w);
		kchan_unlink(n);
	}
	call_refs(c, side, -refs);
	spin_unlock(&c->lock);
	return done ? w->res : err;
}

/*
 * Park one case under a group. The group may abort the waiter once it is attached, so the
 * state is protected by the waiter's own lock. No peer can choose it before it is queued, and
 * if it finds a peer or a message before that, it takes it whatever the group does.
 * c->lock is not held.
 */
static noinline int xfer_park_under(struct kchan *c, int side, struct kchan_waiter *w,
				    struct kchan_node *n, struct kgroup *under, s64 deadline)
{
	struct kchan_wake wk kchan_uninitialized;
	int refs = own_refs();
	bool tx = side == KCHAN_SIDE_TX;
	struct kgroup_node un;
	int r;

	spin_lock_init(&w->lock);
	waiter_to_pending(w, false);
	n->waiter = w;
	n->idx = 0;
	n->cases = 1;
	r = kgroup_attach(under, &un, w);
	if (r)
		return r;
	kchan_pause(park_attached);
	kchan_wake_init(&wk);
	spin_lock(&c->lock);
	r = tx ? kchan_try_send(c, n->out, NULL, &wk) :
		 kchan_try_recv(c, n, w->in, NULL, &w->holder, &wk);
	if (r != KCHAN_WAIT) {
		spin_unlock(&c->lock);
		kchan_flush(c, &wk, tx ? r >= 0 : wk.refilled, !tx && r >= 0);
		kgroup_detach(under, &un);
		return r;
	}
	kchan_link(tx ? &c->sendq : &c->recvq, n);
	kchan_add(c->seq, 1);
	call_refs(c, side, refs);
	if (tx && c->recvq.n)
		kchan_meet(c, &wk);
	spin_unlock(&c->lock);
	kchan_flush(c, &wk, tx, !tx);

	if (kchan_may_spin())
		kchan_spin(n, deadline, under->deadline);
	r = kchan_waiter_settle(w, kgroup_sleep(under, w, deadline));
	spin_lock(&c->lock);
	kchan_unlink(n);
	call_refs(c, side, -refs);
	spin_unlock(&c->lock);
	kgroup_detach(under, &un);
	return r ?: w->res;
}

/* The slow path of a send: somebody waits, or there is no room. c->lock is held. */
static noinline long send_slow(struct kchan *c, struct kchan_payload *p, struct kgroup *under,
			       s64 deadline)
	__releases(&c->lock)
{
	struct kchan_waiter w kchan_uninitialized;
	struct kchan_wake wk kchan_uninitialized;
	struct kchan_node n kchan_uninitialized;
	int r;

	kchan_wake_init(&wk);
	r = kchan_try_send(c, p, NULL, &wk);
	if (r != KCHAN_WAIT)
		goto unlock;
	r = kchan_deadline_error(deadline);
	if (r)
		goto unlock;
	n.out = p;
	if (under) {
		spin_unlock(&c->lock);
		return xfer_park_under(c, KCHAN_SIDE_TX, &w, &n, under, deadline);
	}
	return xfer_park(c, KCHAN_SIDE_TX, &w, &n, &wk, deadline);

unlock:
	spin_unlock(&c->lock);
	kchan_flush(c, &wk, r >= 0, false);
	return r;
}

/* Send @p, which is empty afterwards, also on failure. The error of an ended group comes first. */
long kchan_send(struct kchan *c, struct kchan_payload *p, struct kgroup *under, s64 deadline)
{
	long r;

	if (unlikely(under)) {
		r = kgroup_error(under);
		if (r) {
			kchan_payload_free(p);
			return r;
		}
	}
	kchan_pause(send);
	spin_lock(&c->lock);
	if (just_room(c)) {
		push(c, p);
		sent(c, 1);
		return 0;
	}
	r = send_slow(c, p, under, deadline);
	kchan_payload_release(c, p);
	return r < 0 ? kgroup_error_or(under, r) : r;
}

/*
 * The receive that is first in the queue, if it is a single waiter and has room. c->lock,
 * which protects the state of such a waiter, is held.
 */
static __always_inline struct kchan_node *plain_receive(struct kchan *c, u32 len)
{
	struct kchan_node *n;

	if (!c->recvq.n || c->len || c->sendq.n || c->shut)
		return NULL;
	n = list_first_entry(&c->recvq.nodes, struct kchan_node, list);
	if (!n->waiter->single || n->waiter->state != KCHAN_PENDING || misfit(len, n->room))
		return NULL;
	return n;
}

/* Hand the message off to such a receive and wake it. */
static __always_inline void hand_short(struct kchan *c, struct kchan_node *n,
				       const u64 *words, u32 len)
	__releases(&c->lock)
{
	struct kchan_waiter *w = n->waiter;
	struct task_struct *task = w->task;
	u32 tag = 0;

	copy_words(w->in->words, words, len);
	w->in->len = len;
	trade_tags(c, &w->in->tag, &tag);
	list_del_init(&n->list);
	kchan_add(c->recvq.n, -1);
	w->res = len;
	get_task_struct(task);
	waiter_to_done(w);
	kchan_pause(handed);
	c->sent++;
	unlock_and_poke(c, &c->rx_poll, 1, EPOLLIN | EPOLLRDNORM);
	wake_up_process(task);
	put_task_struct(task);
}

/* Send a short message that can't simply be buffered. c->lock is held. */
static __always_inline long send_other(struct kchan *c, struct kchan_payload *p, u32 len,
				       struct kgroup *under, s64 deadline)
	__releases(&c->lock)
{
	struct kchan_node *n = plain_receive(c, len);

	if (n) {
		hand_short(c, n, p->words, len);
		return 0;
	}
	p->len = len;
	p->tag = 0;
	p->pkt = NULL;
	return send_slow(c, p, under, deadline);
}

static noinline long send_short_slow(struct kchan *c, struct kchan_payload *p, u32 len,
				     s64 deadline)
	__releases(&c->lock)
{
	return send_other(c, p, len, NULL, deadline);
}

/* Only a plain call must not pay for a group, so that has functions of its own. */
static noinline long send_short_slow_under(struct kchan *c, struct kchan_payload *p, u32 len,
					   struct kgroup *under, s64 deadline)
	__releases(&c->lock)
{
	long r = send_other(c, p, len, under, deadline);

	return r < 0 ? kgroup_error_or(under, r) : r;
}

/* The fast path of a send: the message fits a slot, and nobody waits. */
long kchan_send_short(struct kchan *c, const void __user *buf, u32 len, s64 deadline)
{
	struct kchan_payload p kchan_uninitialized;

	if (unlikely(len > c->msg_max))
		return -EMSGSIZE;
	if (!copy_short_in(p.data, buf, len))
		return -EFAULT;
	kchan_pause(send);
	spin_lock(&c->lock);
	if (!just_room(c))
		return send_short_slow(c, &p, len, deadline);
	push_words(c, p.words, len);
	sent(c, 1);
	return 0;
}

/* The same under a group. Its error comes before all but that of a message that can't be read. */
long kchan_send_short_under(struct kchan *c, const void __user *buf, u32 len,
			    struct kgroup *under, s64 deadline)
{
	struct kchan_payload p kchan_uninitialized;
	long r;

	if (unlikely(len > c->msg_max))
		return -EMSGSIZE;
	if (!copy_short_in(p.data, buf, len))
		return -EFAULT;
	r = kgroup_error(under);
	if (unlikely(r))
		return r;
	kchan_pause(send);
	spin_lock(&c->lock);
	if (!just_room(c))
		return send_short_slow_under(c, &p, len, under, deadline);
	push_words(c, p.words, len);
	sent(c, 1);
	return 0;
}

static noinline long recv_slow(struct kchan *c, size_t room, u32 fd_room,
			       struct kchan_payload *in, struct kchan_holder *h,
			       struct kgroup *under, s64 deadline)
	__releases(&c->lock)
{
	struct kchan_waiter w kchan_uninitialized;
	struct kchan_wake wk kchan_uninitialized;
	struct kchan_node n kchan_uninitialized;
	int r;

	kchan_wake_init(&wk);
	n.room = room;
	n.fd_room = fd_room;
	r = kchan_try_recv(c, &n, in, NULL, h, &wk);
	if (r != KCHAN_WAIT)
		goto unlock;
	r = kchan_deadline_error(deadline);
	if (r)
		goto unlock;
	w.in = in;
	kchan_holder_parks(h);
	w.holder = *h;
	if (under) {
		spin_unlock(&c->lock);
		return xfer_park_under(c, KCHAN_SIDE_RX, &w, &n, under, deadline);
	}
	return xfer_park(c, KCHAN_SIDE_RX, &w, &n, NULL, deadline);

unlock:
	spin_unlock(&c->lock);
	kchan_flush(c, &wk, wk.refilled, r >= 0);
	return r;
}

/* kchan_recv() below, given the user @h to charge for the message. */
static __always_inline long recv_held(struct kchan *c, size_t room, struct kchan_mem *dst, u32 *tag,
				      struct kchan_holder *h, struct kgroup *under, s64 deadline)
{
	struct kchan_payload in kchan_uninitialized;
	long r;

	in.tag = tag ? *tag : 0;
	in.pkt = NULL;
	kchan_pause(recv);
	spin_lock(&c->lock);
	if (just_message(c, room) && likely(c->head->len <= KCHAN_INLINE)) {
		pop_ring(c, &in);
		received(c, 1);
	} else {
		r = recv_slow(c, room, dst->nfds, &in, h, under, deadline);
		if (r < 0)
			return kgroup_error_or(under, r);
	}
	r = kchan_deliver(c, &in, dst);
	if (tag && r >= 0)
		*tag = in.tag;
	return r;
}

/* @tag: NULL, or the tag of the receive, which is replaced by that of the send. */
long kchan_recv(struct kchan *c, size_t room, struct kchan_mem *dst, u32 *tag,
		struct kgroup *under, s64 deadline)
{
	struct kchan_holder h kchan_uninitialized;
	long r = kgroup_error_or(under, 0);

	if (unlikely(r))
		return r;
	r = kchan_holder_get(&h, c);
	if (unlikely(r))
		return r;
	r = recv_held(c, room, dst, tag, &h, under, deadline);
	kchan_holder_put(&h);
	return r;
}

/* Park until a message comes: there is none, and no sender. c->lock is held. */
static long await(struct kchan *c, u32 room, struct kchan_payload *in)
	__releases(&c->lock)
{
	struct kchan_waiter w kchan_uninitialized;
	struct kchan_node n kchan_uninitialized;

	n.room = room;
	n.fd_room = 0;
	w.in = in;
	w.holder.user = NULL;
	return xfer_park(c, KCHAN_SIDE_RX, &w, &n, NULL, KCHAN_FOREVER);
}

/* The slow path of kchan_recv_short(). c->lock is held. */
static noinline long recv_short_slow(struct kchan *c, void __user *buf, u32 room, s64 deadline)
	__releases(&c->lock)
{
	struct kchan_holder nobody = { .user = NULL };
	struct kchan_payload in kchan_uninitialized;
	struct kchan_mem dst;
	long r;

	dst.buf = buf;
	dst.iter = NULL;
	dst.nfds = 0;
	if (kchan_has_packets(c)) {
		spin_unlock(&c->lock);
		return kchan_recv(c, room, &dst, NULL, NULL, deadline);
	}
	in.tag = 0;
	in.pkt = NULL;
	if (deadline == KCHAN_FOREVER && !c->len && !c->sendq.n && !c->shut)
		r = await(c, room, &in);
	else
		r = recv_slow(c, room, 0, &in, &nobody, NULL, deadline);
	if (r < 0)
		return r;
	if (likely(!in.pkt && copy_short_out(buf, in.data, in.len) &&
		   !kchan_killed())) {
		atomic64_inc(&c->received);
		return r;
	}
	return kchan_deliver(c, &in, &dst);
}

/* The same for a call under a group, or with KCHAN_NO_EMPTY. c->lock is held. */
static noinline long recv_short_slow_as(struct kchan *c, void __user *buf, size_t room,
					struct kgroup *under, s64 deadline)
	__releases(&c->lock)
{
	struct kchan_holder nobody = { .user = NULL };
	struct kchan_mem dst = { .buf = buf };
	struct kchan_payload in kchan_uninitialized;
	long r;

	if (kchan_has_packets(c)) {
		spin_unlock(&c->lock);
		return kchan_recv(c, room, &dst, NULL, under, deadline);
	}
	in.tag = 0;
	in.pkt = NULL;
	r = recv_slow(c, room, 0, &in, &nobody, under, deadline);
	return r < 0 ? kgroup_error_or(under, r) : kchan_deliver(c, &in, &dst);
}

/* Take the next message, which just_message() has seen, and copy it out. c->lock is held. */
static __always_inline long take_short(struct kchan *c, void __user *buf)
	__releases(&c->lock)
{
	struct kchan_payload in kchan_uninitialized;
	u32 len = pop_words(c, in.words, &in.tag);

	received(c, 1);
	kchan_pause(deliver);
	if (likely(copy_short_out(buf, in.data, len) && !kchan_killed())) {
		atomic64_inc(&c->received);
		return len;
	}
	in.len = len;
	in.pkt = NULL;
	kchan_requeue(c, &in);
	return kchan_killed() ? -EINTR : -EFAULT;
}

/* The fast path of a receive: a message is buffered that fits a slot, and nobody waits. */
long kchan_recv_short(struct kchan *c, void __user *buf, u32 room, s64 deadline)
{
	kchan_pause(recv);
	spin_lock(&c->lock);
	if (!just_message(c, room) || unlikely(c->head->len > KCHAN_INLINE))
		return recv_short_slow(c, buf, room, deadline);
	return take_short(c, buf);
}

/* The same under a group, whose error comes first, or for read(2), with KCHAN_NO_EMPTY in @room. */
long kchan_recv_short_as(struct kchan *c, void __user *buf, size_t room, struct kgroup *under,
			 s64 deadline)
{
	long r = kgroup_error_or(under, 0);

	if (unlikely(r))
		return r;
	kchan_pause(recv);
	spin_lock(&c->lock);
	if (!just_message(c, room) || unlikely(c->head->len > KCHAN_INLINE))
		return recv_short_slow_as(c, buf, room, under, deadline);
	return take_short(c, buf);
}
