// SPDX-License-Identifier: GPL-2.0-only
/* Channels: the ring, matching sends with receives, shutting. kchan.h tells how they work. */
#include "chan.h"

#include <linux/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "copy.h"
#include "fd.h"
#include "msg.h"
#include "pause.h"
#include "quota.h"
#include "ring.h"
#include "wait.h"

static atomic64_t next_id = ATOMIC64_INIT(0);

/* ---- the ring ---- */

/* The next message, if it is in a packet. */
static struct kchan_pkt *head_pkt(struct kchan *c)
{
	if (unlikely(!list_empty(&c->returned)))
		return list_first_entry(&c->returned, struct kchan_pkt, list);
	return c->head->len > KCHAN_INLINE ? c->head->pkt : NULL;
}

/* The length of the next message, and its number of descriptors. */
static u32 head_len(struct kchan *c, u32 *nfds)
{
	struct kchan_pkt *pkt = head_pkt(c);

	*nfds = kchan_nfds(pkt);
	return pkt ? pkt->len : c->head->len;
}

static void pop(struct kchan *c, struct kchan_payload *p)
{
	struct kchan_pkt *pkt;

	if (likely(list_empty(&c->returned))) {
		pop_ring(c, p);
		return;
	}
	pkt = list_first_entry(&c->returned, struct kchan_pkt, list);
	list_del(&pkt->list);
	p->pkt = pkt;
	p->len = pkt->len;
	p->tag = pkt->tag;
	kchan_add(c->len, -1);
}

/* Move a message to a receive; @h is the user charged for it from here on. */
static void payload_move(struct kchan_payload *to, struct kchan_payload *from,
			 const struct kchan_holder *h)
{
	to->len = from->len;
	to->pkt = from->pkt;
	from->pkt = NULL;
	if (to->pkt)
		kchan_pkt_hold(to->pkt, h);
	else
		copy_words(to->words, from->words, from->len);
}

/* Can the receive that @n stands for take this message? 0 or its error. */
static int misfit_node(u32 len, u32 nfds, const struct kchan_node *n)
{
	return nfds > n->fd_room ? -EMSGSIZE : misfit(len, n->room);
}

/* ---- parked calls meet ---- */

/* The first parked send that is not of the same waiter as the receive @n. */
static struct kchan_node *sender_for(struct kchan *c, struct kchan_node *n, struct kchan_wake *wk)
{
	return c->shut ? NULL : kchan_queue_first_at_rest(&c->sendq, n->waiter, &wk->steps);
}

/*
 * Let the parked receive @n have the first buffered message or, if there is none, that of the
 * first parked send, @s; it gets -EMSGSIZE if it has no room for that. Room that it leaves in
 * the buffer goes to the first parked send.
 */
static void meet_receive(struct kchan *c, struct kchan_node *n, struct kchan_node *s,
			 struct kchan_wake *wk)
{
	struct kchan_payload *in = n->waiter->in;
	u32 nfds, len;
	int bad;

	if (c->len) {
		len = head_len(c, &nfds);
		if (c->len > c->capacity)
			s = NULL;
	} else {
		len = s->out->len;
		nfds = kchan_nfds(s->out->pkt);
	}
	bad = misfit_node(len, nfds, n);
	if (bad)
		s = NULL;
	if (!kchan_lock_parked(n, s))
		return;		/* stale: the next look unlinks it */
	kchan_add(c->seq, 1);
	if (!bad && c->len) {
		pop(c, in);
		if (in->pkt)
			kchan_pkt_hold(in->pkt, &n->waiter->holder);
		wk->drained = c->shut && !c->len;
		if (s)
			push(c, s->out);
	} else if (!bad) {
		payload_move(in, s->out, &n->waiter->holder);
		trade_tags(c, &in->tag, &s->out->tag);
		c->sent++;
	}
	kchan_complete_parked(n, bad ?: len, wk);
	if (s)
		kchan_complete_parked(s, 0, wk);
}

/* The first parked receive may be of the select whose send is first; then try the second. */
static bool meet_one(struct kchan *c, struct kchan_wake *wk)
{
	struct kchan_node *s = NULL, *n = kchan_queue_first(&c->recvq, NULL, &wk->steps);

	if (!n)
		return false;
	if (c->len || c->sendq.n)
		s = sender_for(c, n, wk);
	if (!s && !c->len && wk->steps && c->sendq.n) {
		n = kchan_queue_first(&c->recvq, n->waiter, &wk->steps);
		s = n ? sender_for(c, n, wk) : NULL;
	}
	if (!wk->steps || (!s && !c->len))
		return false;
	meet_receive(c, n, s, wk);
	return true;
}

/*
 * A message has come to rest while receives are parked that have no room for it. Tell them:
 * afterwards no receive is parked while there is a message, except beside a send of its own
 * select. The lock may be dropped on the way. Calls that park meanwhile are looked at as well,
 * and a send that comes then does not overtake the message.
 */
void kchan_meet(struct kchan *c, struct kchan_wake *wk)
{
	lockdep_assert_held(&c->lock);
	while (c->recvq.n) {
		if (wk->n > KCHAN_WAKES - 2)
			kchan_relock(&c->lock, wk);
		if (meet_one(c, wk))
			continue;
		if (wk->steps)
			return;
		kchan_relock(&c->lock, wk);
	}
}

/* ---- one try, under the lock ---- */

/*
 * Find the first parked receive with room for @p, of waiter @only unless that is NULL. @passed
 * tells whether others are parked before it. KCHAN_AGAIN: the channel has changed meanwhile.
 */
static int find_room(struct kchan *c, const struct kchan_payload *p, struct kchan_waiter *self,
		     struct kchan_waiter *only, struct kchan_wake *wk,
		     struct kchan_node **found, bool *passed)
{
	u32 len = p->len, nfds = kchan_nfds(p->pkt);
	struct kchan_node *n, *next;

	*passed = false;
	list_for_each_entry_safe(n, next, &c->recvq.nodes, list) {
		bool pending = READ_ONCE(n->waiter->state) == KCHAN_PENDING;

		if (!pending && n->waiter != &kchan_mark)
			pending = !kchan_unlink_stale(n);
		if (pending && n->waiter != self && (!only || n->waiter == only)) {
			if (!misfit_node(len, nfds, n)) {
				*found = n;
				return 0;
			}
			*passed = true;
		}
		if (!wk->steps) {
			next = kchan_stop_at(&c->lock, next, wk);
			if (c->shut || c->len || only)
				return KCHAN_AGAIN;
			continue;
		}
		wk->steps--;
	}
	return KCHAN_WAIT;
}

/* A message has gone to the receive that stood at @end: those before it get -EMSGSIZE. */
static void tell_passed(struct kchan *c, const struct kchan_node *end, u32 len, u32 nfds,
			struct kchan_wake *wk)
{
	struct kchan_node *n, *next;

	list_for_each_entry_safe(n, next, &c->recvq.nodes, list) {
		if (n == end)
			return;
		if (READ_ONCE(n->waiter->state) != KCHAN_PENDING) {
			if (n->waiter != &kchan_mark)
				kchan_unlink_stale(n);	/* armed again: after this message */
		} else if (misfit_node(len, nfds, n) && kchan_lock_parked(n, NULL)) {
			kchan_complete_parked(n, misfit_node(len, nfds, n), wk);
		}
		if (wk->n == KCHAN_WAKES || !wk->steps)
			next = kchan_stop_at(&c->lock, next, wk);
		else
			wk->steps--;
	}
}

/*
 * Hand @p off to the first parked receive with room. If there is one, those before it get
 * -EMSGSIZE. A send that is parked already comes first; the only receive left for @p then is
 * one of the same select as that send.
 */
static int hand_over(struct kchan *c, struct kchan_payload *p,
		     struct kchan_waiter *self, struct kchan_wake *wk)
{
	struct kchan_node *n, *s = NULL, end = { .waiter = &kchan_mark };
	u32 len = p->len, nfds = kchan_nfds(p->pkt);
	bool passed;
	int r;

	if (unlikely(c->sendq.n)) {
		kchan_meet(c, wk);	/* leaves only receives of its own select beside it */
		s = kchan_queue_first_at_rest(&c->sendq, self, &wk->steps);
		if (wk->n || c->shut || c->len || !wk->steps) {
			kchan_relock(&c->lock, wk);
			return KCHAN_AGAIN;
		}
	}
	do {
		r = find_room(c, p, self, s ? s->waiter : NULL, wk, &n, &passed);
		if (!r)
			r = kchan_lock_pair(self, n->waiter);
		else
			return r;
	} while (r == PAIR_STALE);	/* the next look unlinks it */
	if (r == PAIR_GONE)
		return KCHAN_GONE;
	payload_move(n->waiter->in, p, &n->waiter->holder);
	trade_tags(c, &n->waiter->in->tag, &p->tag);
	c->sent++;
	if (unlikely(passed))
		list_add_tail(&end.list, &n->list);
	kchan_complete(self, n, len, wk);
	if (unlikely(passed)) {
		tell_passed(c, &end, len, nfds, wk);
		list_del(&end.list);
	}
	return 0;
}

/*
 * The buffer is full: drop the oldest message in the ring. Requeued messages are never dropped;
 * if the ring itself has room, they alone make the buffer full, and nothing is dropped.
 */
static int drop_one(struct kchan *c, struct kchan_payload *p, struct kchan_wake *wk)
{
	struct kchan_payload old kchan_uninitialized;

	if (c->flags & KCHAN_DROP_OLD && c->ring_len < c->capacity) {
		push(c, p);
		return 0;
	}
	c->dropped++;
	if (c->flags & KCHAN_DROP_NEW) {
		c->sent++;
		return 1;
	}
	old.tag = 0;
	pop_ring(c, &old);
	wk->drop = old.pkt;
	push(c, p);
	return 1;
}

/*
 * Send @p if it need not wait. KCHAN_WAIT: it was not sent, and could not be when the lock was
 * last taken, which may be dropped on the way.
 */
int kchan_try_send(struct kchan *c, struct kchan_payload *p,
		   struct kchan_waiter *self, struct kchan_wake *wk)
{
	int r;

	lockdep_assert_held(&c->lock);
	do {
		if (unlikely(c->shut))
			return kchan_commit_self(self) ? -EPIPE : KCHAN_GONE;
		if (!c->recvq.n || c->len)	/* buffered messages come first */
			break;
		r = hand_over(c, p, self, wk);
		if (r != KCHAN_WAIT && r != KCHAN_AGAIN)
			return r;
	} while (r == KCHAN_AGAIN);
	if (c->len < c->capacity) {
		if (!kchan_commit_self(self))
			return KCHAN_GONE;
		push(c, p);
		kchan_add(c->seq, 1);
		if (unlikely(c->recvq.n))
			kchan_meet(c, wk);
		return 0;
	}
	if (c->flags & KCHAN_DROPS) {
		if (!kchan_commit_self(self))
			return KCHAN_GONE;
		kchan_add(c->seq, 1);
		return drop_one(c, p, wk);
	}
	return KCHAN_WAIT;
}

/* Commit @self and, unless NULL, the waiter of @s, which stays locked; 0 or why it failed. */
static int commit(struct kchan_waiter *self, struct kchan_node *s)
{
	if (!s)
		return kchan_commit_self(self) ? 0 : KCHAN_GONE;
	switch (kchan_lock_pair(self, s->waiter)) {
	case PAIR_OK:
		return 0;
	case PAIR_GONE:
		return KCHAN_GONE;
	default:	/* stale: the next look unlinks it */
		return KCHAN_AGAIN;
	}
}

/* Take a buffered message. The first parked send gets the room that it leaves. */
static int take_buffered(struct kchan *c, const struct kchan_node *want,
			 struct kchan_payload *out, struct kchan_waiter *self,
			 const struct kchan_holder *h, struct kchan_wake *wk)
{
	u32 nfds, len = head_len(c, &nfds);
	int r, charged = 0, bad = misfit_node(len, nfds, want);
	struct kchan_pkt *pkt = head_pkt(c);
	struct kchan_node *s = NULL;

	if (!bad && c->sendq.n && !c->shut && c->len <= c->capacity) {
		s = kchan_queue_first(&c->sendq, self, &wk->steps);
		if (!s && !wk->steps) {
			kchan_relock(&c->lock, wk);
			return KCHAN_AGAIN;
		}
	}
	if (!bad && pkt) {
		charged = kchan_pkt_charge(pkt, h);
		bad = min(charged, 0);
	}
	r = commit(self, bad ? NULL : s);
	if (r || bad) {
		if (charged > 0)
			kchan_pkt_charge_undo(pkt, h);
		return r ?: bad;
	}
	pop(c, out);
	if (charged > 0)
		kchan_pkt_take(pkt, h);
	kchan_add(c->seq, 1);
	if (s) {
		push(c, s->out);
		kchan_complete(self, s, 0, wk);
		wk->refilled = true;
	}
	wk->drained = c->shut && !c->len;
	return len;
}

/* Take the message of the first parked send. */
static int take_parked(struct kchan *c, const struct kchan_node *want,
		       struct kchan_payload *out, struct kchan_waiter *self,
		       const struct kchan_holder *h, struct kchan_wake *wk)
{
	struct kchan_node *s = kchan_queue_first(&c->sendq, self, &wk->steps);
	int r, bad;

	/* a misfit that will not come to rest: as if it were not there */
	if (s && unlikely(s->waiter->trial) &&
	    misfit_node(s->out->len, kchan_nfds(s->out->pkt), want))
		s = kchan_queue_first_at_rest(&c->sendq, self, &wk->steps);
	if (!s && wk->steps)
		return KCHAN_WAIT;
	if (!s) {
		kchan_relock(&c->lock, wk);
		return KCHAN_AGAIN;
	}
	bad = misfit_node(s->out->len, kchan_nfds(s->out->pkt), want);
	r = commit(self, bad ? NULL : s);
	if (r || bad)
		return r ?: bad;
	payload_move(out, s->out, h);
	trade_tags(c, &out->tag, &s->out->tag);
	c->sent++;
	kchan_complete(self, s, 0, wk);
	return out->len;
}

/*
 * Receive if that need not wait. @want: its room; @h: the user charged for the message. Returns
 * the length of the message, an error, or KCHAN_WAIT and the like as kchan_try_send() does.
 */
int kchan_try_recv(struct kchan *c, const struct kchan_node *want, struct kchan_payload *out,
		   struct kchan_waiter *self, const struct kchan_holder *h,
		   struct kchan_wake *wk)
{
	int r;

	lockdep_assert_held(&c->lock);
	do {
		if (c->len)
			r = take_buffered(c, want, out, self, h, wk);
		else if (unlikely(c->shut))
			r = kchan_commit_self(self) ? c->eof : KCHAN_GONE;
		else if (c->sendq.n)
			r = take_parked(c, want, out, self, h, wk);
		else
			r = KCHAN_WAIT;
	} while (unlikely(r == KCHAN_AGAIN));
	return r;
}

/* With kchan.lock dropped: do the wake-ups in @wk, and wake pollers of an end that may be ready. */
void kchan_flush(struct kchan *c, struct kchan_wake *wk, bool in, bool out)
{
	kchan_wake_all(wk);
	kchan_pkt_free(wk->drop);
	wk->drop = NULL;
	if (unlikely(wk->drained))
		kchan_wake_pollers(&c->rx_poll, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP);
	else if (in && wq_has_sleeper(&c->rx_poll))
		wake_up_interruptible_poll(&c->rx_poll, EPOLLIN | EPOLLRDNORM);
	if (out && wq_has_sleeper(&c->tx_poll))
		wake_up_interruptible_poll(&c->tx_poll, EPOLLOUT | EPOLLWRNORM);
}

/*
 * Requeue messages that could not be copied out, as packets in order, at the head, from where
 * parked receives take them. They are freed if no receiver is left. There may be more of them
 * than the channel is charged for.
 */
void kchan_requeue_all(struct kchan *c, struct list_head *pkts)
{
	struct kchan_wake wk kchan_uninitialized;
	struct kchan_pkt *pkt, *next;
	u32 n = 0;

	kchan_wake_init(&wk);
	list_for_each_entry(pkt, pkts, list) {
		kchan_pkt_hold_anyway(pkt, c->user);
		n++;
	}
	spin_lock(&c->lock);
	if (c->rx_gone) {
		c->dropped += n;
	} else {
		list_splice_init(pkts, &c->returned);
		kchan_add(c->len, n);
		kchan_add(c->seq, n);
		kchan_meet(c, &wk);
	}
	unlock_and_poke(c, &c->rx_poll, min(n, c->len), EPOLLIN | EPOLLRDNORM);
	list_for_each_entry_safe(pkt, next, pkts, list)
		kchan_pkt_free(pkt);
	kchan_flush(c, &wk, false, true);	/* a receive may have made room */
}

void kchan_requeue(struct kchan *c, struct kchan_payload *p)
{
	struct kchan_pkt *pkt = kchan_pkt_of(p);
	LIST_HEAD(pkts);

	p->pkt = NULL;
	list_add(&pkt->list, &pkts);
	kchan_requeue_all(c, &pkts);
}

/* Copy a received message out. Returns its length; on an error it is requeued. */
int kchan_deliver(struct kchan *c, struct kchan_payload *p, struct kchan_mem *dst)
{
	int err;

	kchan_pause(deliver);
	err = kchan_store(p, dst);
	if (unlikely(err)) {
		kchan_requeue(c, p);
		return err;
	}
	atomic64_inc(&c->received);
	kchan_payload_release(c, p);
	return p->len;
}

/* ---- what pollers see ---- */

/* The events of an end; unknown if no @steps are left, after too many stale nodes. */
static __poll_t events_of(struct kchan *c, int side, struct kchan_waiter *self,
			  unsigned int *steps)
{
	if (side == KCHAN_SIDE_RX) {
		if (c->len || (!c->shut && kchan_queue_first(&c->sendq, self, steps)))
			return EPOLLIN | EPOLLRDNORM;
		return c->shut ? EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP : 0;
	}
	if (c->shut)
		return EPOLLOUT | EPOLLWRNORM | EPOLLERR;
	if (c->len < c->capacity || c->flags & KCHAN_DROPS ||
	    kchan_queue_first(&c->recvq, self, steps))
		return EPOLLOUT | EPOLLWRNORM;
	return 0;
}

/* @self: the select that polls, whose own parked cases don't count; or NULL. */
__poll_t kchan_poll(struct kchan *c, int side, struct kchan_waiter *self, struct file *file,
		    poll_table *pt)
{
	unsigned int steps;
	__poll_t mask;

	poll_wait(file, side == KCHAN_SIDE_RX ? &c->rx_poll : &c->tx_poll, pt);
	kchan_pause(poll_queued);
	for (;;) {
		steps = KCHAN_STEPS;
		spin_lock(&c->lock);
		mask = events_of(c, side, self, &steps);
		spin_unlock(&c->lock);
		if (likely(mask || steps))
			break;
		cond_resched();	/* each look has unlinked KCHAN_STEPS nodes: they come to an end */
	}
	kchan_pause(poll_looked);
	return mask;
}

/* ---- shutting and closing ---- */

/*
 * Shut a side. No waiter can park once c->shut is set, so the queues only
 * shrink between the holds of the lock.
 */
int kchan_shut(struct kchan *c, int side, int err)
{
	u32 bit = side == KCHAN_SIDE_TX ? KCHAN_SHUT_SEND : KCHAN_SHUT_RECV;
	struct kchan_wake wk kchan_uninitialized;
	bool more;

	kchan_wake_init(&wk);
	spin_lock(&c->lock);
	if (c->shut & bit) {
		spin_unlock(&c->lock);
		return -EPIPE;
	}
	if (!c->shut)
		c->eof = side == KCHAN_SIDE_TX && err ? -ECONNRESET : -EPIPE;
	WRITE_ONCE(c->shut, c->shut | bit);
	if (side == KCHAN_SIDE_TX)
		c->send_err = err;
	else
		c->recv_err = err;
	kchan_add(c->seq, 1);
	for (;;) {
		if (c->len)
			kchan_meet(c, &wk);
		more = kchan_fail_some(&c->sendq, -EPIPE, &wk);
		more |= kchan_fail_some(&c->recvq, c->eof, &wk);
		if (!more)
			break;
		kchan_relock(&c->lock, &wk);
	}
	spin_unlock(&c->lock);
	kchan_wake_all(&wk);
	kchan_wake_pollers(&c->rx_poll, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP);
	kchan_wake_pollers(&c->tx_poll, EPOLLOUT | EPOLLWRNORM | EPOLLERR);
	return 0;
}

/* No receiver is left: free the buffered messages, some in each hold of the lock. */
static void discard(struct kchan *c)
{
	struct kchan_payload p kchan_uninitialized;
	LIST_HEAD(gone);
	struct kchan_pkt *pkt, *next;
	unsigned int budget;

	for (;;) {
		spin_lock(&c->lock);
		for (budget = 64; budget && c->len; budget--) {
			p.tag = 0;
			pop(c, &p);
			c->dropped++;
			if (p.pkt)
				list_add(&p.pkt->list, &gone);
		}
		budget = c->len;
		spin_unlock(&c->lock);
		list_for_each_entry_safe(pkt, next, &gone, list) {
			kchan_pkt_free(pkt);
			cond_resched();
		}
		INIT_LIST_HEAD(&gone);
		if (!budget)
			return;
		cond_resched();
	}
}

/* The file of an end was released. */
void kchan_end(struct kchan *c, int side)
{
	spin_lock(&c->lock);
	c->file[side] = NULL;
	if (side == KCHAN_SIDE_RX)
		c->rx_gone = true;
	spin_unlock(&c->lock);
	kchan_pause(end);
	kchan_shut(c, side, EOWNERDEAD);
	if (side == KCHAN_SIDE_RX) {
		discard(c);
		kchan_wake_pollers(&c->rx_poll, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP);
	}
	kchan_pkt_free(xchg(&c->spare, NULL));
}

static u32 slot_bytes(u64 msg_max)
{
	u32 inl = min_t(u64, msg_max, KCHAN_INLINE);

	return offsetof(struct kchan_slot, words) + round_up(max(inl, 8U), 8);
}

/* The bytes of a full channel with its spare packet. */
static u64 full_size(u64 msg_max, u32 capacity, u32 flags)
{
	u64 bytes = sizeof(struct kchan) + (u64)slot_bytes(msg_max) * capacity;

	if (msg_max > KCHAN_INLINE || flags & KCHAN_FDS)
		bytes += (sizeof(struct kchan_pkt) + msg_max) * capacity;
	if (msg_max > KCHAN_INLINE)
		bytes += sizeof(struct kchan_pkt) + kchan_spare_max(msg_max);
	if (flags & KCHAN_FDS)
		bytes += offsetof(struct kchan_files, file[KCHAN_MAX_FDS]) * (u64)capacity;
	return bytes;
}

static void kchan_free(struct kref *ref)
{
	struct kchan *c = container_of(ref, struct kchan, ref);

	kvfree(c->ring);
	kchan_pkt_free(c->spare);
	kchan_uncharge(c->user, full_size(c->msg_max, c->capacity, c->flags));
	kchan_uncharge_chan(c->user);
	kchan_user_put(c->user);
	kfree(c);
}

void kchan_put(struct kchan *c)
{
	kref_put(&c->ref, kchan_free);
}

struct kchan *kchan_alloc(u64 msg_max, u32 capacity, u32 flags)
{
	size_t ring = (size_t)slot_bytes(msg_max) * capacity;
	u64 bytes = full_size(msg_max, capacity, flags);
	struct kchan *c;
	int err = -ENOMEM;

	BUILD_BUG_ON(offsetof(struct kchan_slot, words) + KCHAN_INLINE > U8_MAX ||
		     KCHAN_MAKE_FLAGS > U8_MAX);
	if (msg_max > READ_ONCE(kchan_msg_max) || capacity > READ_ONCE(kchan_max_capacity))
		return ERR_PTR(-EINVAL);
	if (flags & ~KCHAN_MAKE_FLAGS ||
	    (flags & KCHAN_DROPS) == KCHAN_DROPS || (flags & KCHAN_DROPS && !capacity))
		return ERR_PTR(-EINVAL);
	if (bytes > LONG_MAX)
		return ERR_PTR(-EDQUOT);

	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!c)
		return ERR_PTR(-ENOMEM);
	c->user = kchan_user_get();
	if (!c->user)
		goto free;
	err = kchan_charge_chan(c->user);
	if (err)
		goto put;
	err = kchan_charge(c->user, bytes);
	if (err)
		goto uncharge_chan;
	err = -ENOMEM;
	if (capacity) {
		c->ring = kvzalloc(ring, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!c->ring)
			goto uncharge;
		c->ring_end = c->ring + ring;
		c->head = c->tail = c->ring;
	}
	spin_lock_init(&c->lock);
	INIT_LIST_HEAD(&c->returned);
	INIT_LIST_HEAD(&c->sendq.nodes);
	INIT_LIST_HEAD(&c->recvq.nodes);
	init_waitqueue_head(&c->rx_poll);
	init_waitqueue_head(&c->tx_poll);
	kref_init(&c->ref);
	c->flags = flags;
	c->capacity = capacity;
	c->msg_max = msg_max;
	c->slot_size = slot_bytes(msg_max);
	c->id = atomic64_inc_return(&next_id);
	return c;

uncharge:
	kchan_uncharge(c->user, bytes);
uncharge_chan:
	kchan_uncharge_chan(c->user);
put:
	kchan_user_put(c->user);
free:
	kfree(c);
	return ERR_PTR(err);
}

/*
 * References to the file of an end, without those of calls in progress. Whether a call has one
 * was decided by the VFS before the call came here, by whether the process shares its
 * descriptors; if the other thread has ended since, the count is one too high.
 */
static u64 count_refs(struct kchan *c, int side, int own)
{
	long refs;

	if (!c->file[side])
		return 0;
	refs = file_count(c->file[side]);
	if (side == own)
		refs -= kchan_shared_fds();
	if (refs <= 0)
		return 0;
	/* it is open, if only by a call */
	return max(refs - (long)c->call_refs[side], 1L);
}

/* How many cases of its waiter a node stands for. */
static u32 cases_of(const struct kchan_node *n)
{
	if (n->waiter->single)
		return 1;
	return n->cases;
}

/* The cases parked in @q; a waiter that was chosen elsewhere has none. */
static u64 count_cases(struct kchan *c, struct kchan_queue *q, struct kchan_wake *wk)
{
	struct kchan_node *n, *next;
	u64 cases = 0;

	list_for_each_entry_safe(n, next, &q->nodes, list) {
		if (READ_ONCE(n->waiter->state) == KCHAN_PENDING)
			cases += cases_of(n);
		else if (n->waiter != &kchan_mark && !kchan_rearms(n->waiter))
			kchan_unlink(n);	/* others keep their place */
		if (!wk->steps)
			next = kchan_stop_at(&c->lock, next, wk);
		else
			wk->steps--;
	}
	return cases;
}

/* The length of the message that a receive would get now; 0 if there is none. */
u32 kchan_next_len(struct kchan *c)
{
	struct kchan_node *n;
	unsigned int steps;
	u32 nfds, len;

	for (;;) {
		n = NULL;
		len = 0;
		steps = KCHAN_STEPS;
		spin_lock(&c->lock);
		if (c->len)
			len = head_len(c, &nfds);
		else if (!c->shut)
			n = kchan_queue_first(&c->sendq, NULL, &steps);
		if (n)
			len = n->out->len;
		spin_unlock(&c->lock);
		if (likely(n || steps))
			return len;
		cond_resched();	/* see kchan_poll() */
	}
}

/* @own: the side whose file the calling ioctl holds, or -1. */
void kchan_fill_info(struct kchan *c, int own, struct kchan_info *info)
{
	struct kchan_wake wk kchan_uninitialized;
	u32 nfds;

	kchan_wake_init(&wk);
	memset(info, 0, sizeof(*info));
	info->id = c->id;
	info->msg_max = c->msg_max;
	info->capacity = c->capacity;
	spin_lock(&c->lock);
	info->parked_senders = count_cases(c, &c->sendq, &wk);
	info->parked_receivers = count_cases(c, &c->recvq, &wk);
	info->len = c->len;
	info->next_len = c->len ? head_len(c, &nfds) : 0;
	info->senders = count_refs(c, KCHAN_SIDE_TX, own);
	info->receivers = count_refs(c, KCHAN_SIDE_RX, own);
	info->sent = c->sent;
	info->received = atomic64_read(&c->received);
	info->dropped = c->dropped;
	info->shut = c->shut;
	info->send_err = c->send_err;
	info->recv_err = c->recv_err;
	spin_unlock(&c->lock);
}
