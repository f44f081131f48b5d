// SPDX-License-Identifier: GPL-2.0-only
/* Channels: the ring, meeting, shutting. kchan.h has the story. */
#include <linux/mm.h>

#include "group.h"
#include "ring.h"

static atomic64_t next_id = ATOMIC64_INIT(0);

/* ---- the ring ---- */

/* What the next message needs room for. */
static u32 head_len(struct kchan *c, u32 *nfds)
{
	struct kchan_slot *s = c->head;
	struct kchan_pkt *pkt = NULL;

	if (!list_empty(&c->returned))
		pkt = list_first_entry(&c->returned, struct kchan_pkt, list);
	else if (s->len & KCHAN_HAS_FILES)
		pkt = s->pkt;
	*nfds = kchan_nfds(pkt);
	return pkt ? pkt->len : s->len;
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
	c->len--;
}

/* Nobody sleeps for the receive @w: what it gets may lie there for long. */
static bool is_async(const struct kchan_waiter *w)
{
	return w && !w->task;
}

/* A message is received, by @w if that is not the call in progress. */
static void payload_move(struct kchan_payload *to, struct kchan_payload *from,
			 const struct kchan_waiter *w)
{
	to->len = from->len;
	to->pkt = from->pkt;
	from->pkt = NULL;
	if (to->pkt)
		kchan_pkt_hold(to->pkt, is_async(w) ? w->user : NULL);
	else
		copy_words(to->words, from->words, from->len);
}

/* The same for the parked receive, or the one that looks, behind @n. */
static int misfit_node(u32 len, u32 nfds, const struct kchan_node *n)
{
	return nfds > n->fd_room ? -EMSGSIZE : misfit(len, n->room);
}

/* ---- one try, under the lock ---- */

/* Hand @p to the first parked receive with room; -EMSGSIZE to those without. */
static int hand_over(struct kchan *c, struct kchan_payload *p,
		     struct kchan_waiter *self, struct kchan_wake *wk)
{
	struct kchan_node *n;

	while ((n = kchan_first(&c->recvq, self))) {
		int bad = misfit_node(p->len, kchan_nfds(p->pkt), n);
		int r;

		if (bad && self && READ_ONCE(self->state) != KCHAN_PENDING)
			return KCHAN_GONE;	/* there is no message for them to miss */
		r = kchan_lock_pair(bad ? NULL : self, n->waiter);
		if (r == PAIR_GONE)
			return KCHAN_GONE;
		if (r == PAIR_STALE) {
			kchan_unlink(n);
			continue;
		}
		if (bad) {
			kchan_complete(NULL, n, bad, wk);
			continue;
		}
		payload_move(n->waiter->in, p, n->waiter);
		trade_tags(c, &n->waiter->in->tag, &p->tag);
		kchan_complete(self, n, n->waiter->in->len, wk);
		return 0;
	}
	return KCHAN_WAIT;
}

/*
 * The buffer is full. What was put back is not dropped, so what is oldest in the ring
 * is; if the ring has room, only such messages make the buffer full, and nothing goes.
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

int kchan_try_send(struct kchan *c, struct kchan_payload *p,
		   struct kchan_waiter *self, struct kchan_wake *wk)
{
	int r;

	lockdep_assert_held(&c->lock);
	if (unlikely(c->shut))
		return kchan_commit_self(self) ? -EPIPE : KCHAN_GONE;
	if (c->recvq.n) {
		r = hand_over(c, p, self, wk);
		if (!r)
			c->sent++;
		if (r != KCHAN_WAIT)
			return r;
	}
	if (c->len < c->capacity) {
		if (!kchan_commit_self(self))
			return KCHAN_GONE;
		push(c, p);
		c->seq++;
		return 0;
	}
	if (c->flags & KCHAN_DROPS) {
		if (!kchan_commit_self(self))
			return KCHAN_GONE;
		c->seq++;
		return drop_one(c, p, wk);
	}
	return KCHAN_WAIT;
}

/* Room came: the first parked senders' messages move in. */
static void refill(struct kchan *c, struct kchan_wake *wk)
{
	struct kchan_node *n;

	while (c->len < c->capacity && (n = kchan_first(&c->sendq, NULL))) {
		if (kchan_lock_pair(NULL, n->waiter) != PAIR_OK) {
			kchan_unlink(n);
			continue;
		}
		push(c, n->out);
		kchan_complete(NULL, n, 0, wk);
	}
}

/* @want: what the receive has room for. */
int kchan_try_recv(struct kchan *c, const struct kchan_node *want, struct kchan_payload *out,
		   struct kchan_waiter *self, struct kchan_wake *wk)
{
	struct kchan_node *n;

	lockdep_assert_held(&c->lock);
	if (c->len) {
		u32 nfds, len = head_len(c, &nfds);
		int bad = misfit_node(len, nfds, want);

		if (!kchan_commit_self(self))
			return KCHAN_GONE;
		if (bad)
			return bad;
		pop(c, out);
		if (unlikely(out->pkt && is_async(self)))
			kchan_pkt_hold(out->pkt, self->user);
		c->seq++;
		wk->drained = c->shut && !c->len;
		if (c->sendq.n && !c->shut)
			refill(c, wk);
		return out->len;
	}
	while (!c->shut && (n = kchan_first(&c->sendq, self))) {
		int bad = misfit_node(n->out->len, kchan_nfds(n->out->pkt), want);
		int r;

		if (bad)
			return kchan_commit_self(self) ? bad : KCHAN_GONE;
		r = kchan_lock_pair(self, n->waiter);
		if (r == PAIR_GONE)
			return KCHAN_GONE;
		if (r == PAIR_STALE) {
			kchan_unlink(n);
			continue;
		}
		payload_move(out, n->out, self);
		trade_tags(c, &out->tag, &n->out->tag);
		c->sent++;
		kchan_complete(self, n, 0, wk);
		return out->len;
	}
	if (unlikely(c->shut))
		return kchan_commit_self(self) ? c->eof : KCHAN_GONE;
	return KCHAN_WAIT;
}

/*
 * Messages that could not be copied out, as packets in order: they go to parked
 * receives, or back to the head. They are freed only if nobody can receive any more.
 * There may be more of them than the channel is charged for.
 */
void kchan_put_back_all(struct kchan *c, struct list_head *pkts)
{
	struct kchan_payload p kchan_uninitialized;
	struct kchan_wake wk kchan_uninitialized;
	struct kchan_pkt *pkt, *next;
	LIST_HEAD(gone);
	u32 n = 0;

	kchan_wake_init(&wk);
	list_for_each_entry(pkt, pkts, list)
		kchan_pkt_hold(pkt, c->user);
	spin_lock(&c->lock);
	list_for_each_entry_safe(pkt, next, pkts, list) {
		p.pkt = pkt;
		p.len = pkt->len;
		p.tag = pkt->tag;
		if (c->rx_gone) {
			c->dropped++;
			list_move_tail(&pkt->list, &gone);
		} else if (!n) {	/* behind one that nobody took there is nobody */
			list_del(&pkt->list);
			if (hand_over(c, &p, NULL, &wk) == KCHAN_WAIT) {
				list_add(&pkt->list, pkts);
				n++;
			}
		} else {
			n++;
		}
	}
	list_splice(pkts, &c->returned);
	c->len += n;
	sent(c, n);
	list_for_each_entry_safe(pkt, next, &gone, list)
		kchan_pkt_free(pkt);
	kchan_wake_all(&wk);
}

void kchan_put_back(struct kchan *c, struct kchan_payload *p)
{
	struct kchan_pkt *pkt = kchan_pkt_of(p);
	LIST_HEAD(pkts);

	p->pkt = NULL;
	list_add(&pkt->list, &pkts);
	kchan_put_back_all(c, &pkts);
}

/* Copy a received message out: its length, or an error and it is put back. */
int kchan_deliver(struct kchan *c, struct kchan_payload *p, struct kchan_mem *dst)
{
	int err = kchan_store(p, dst);

	if (unlikely(err)) {
		kchan_put_back(c, p);
		return err;
	}
	atomic64_inc(&c->received);
	kchan_done(c, p);
	return p->len;
}

/* ---- the end ---- */

/*
 * Shut a side. No waiter can park once c->shut is set, so the queues only
 * shrink between the holds of the lock.
 */
int kchan_shut(struct kchan *c, int side, int err)
{
	u32 bit = side == KCHAN_SIDE_TX ? KCHAN_SHUT_SEND : KCHAN_SHUT_RECV;
	struct kchan_wake wk;
	bool more;

	kchan_wake_init(&wk);
	spin_lock(&c->lock);
	if (c->shut & bit) {
		spin_unlock(&c->lock);
		return -EPIPE;
	}
	if (!c->shut)
		c->eof = side == KCHAN_SIDE_TX && err ? -ECONNRESET : -EPIPE;
	c->shut |= bit;
	if (side == KCHAN_SIDE_TX)
		c->send_err = err;
	else
		c->recv_err = err;
	c->seq++;
	for (;;) {
		more = kchan_fail_some(&c->sendq, -EPIPE, &wk);
		more |= kchan_fail_some(&c->recvq, c->eof, &wk);
		spin_unlock(&c->lock);
		kchan_flush(c, &wk, false, false);
		if (!more)
			break;
		cond_resched();
		spin_lock(&c->lock);
	}
	kchan_tell_all(&c->rx_poll, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP);
	kchan_tell_all(&c->tx_poll, EPOLLOUT | EPOLLWRNORM | EPOLLERR);
	return 0;
}

/* Nobody can receive any more: free what is buffered, some at a time. */
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
		list_for_each_entry_safe(pkt, next, &gone, list)
			kchan_pkt_free(pkt);
		INIT_LIST_HEAD(&gone);
		if (!budget)
			return;
		cond_resched();
	}
}

/* The last reference to a side has closed. */
void kchan_end(struct kchan *c, int side)
{
	spin_lock(&c->lock);
	c->file[side] = NULL;
	if (side == KCHAN_SIDE_RX)
		c->rx_gone = true;
	spin_unlock(&c->lock);
	kchan_shut(c, side, EOWNERDEAD);
	if (side == KCHAN_SIDE_RX) {
		discard(c);
		kchan_tell_all(&c->rx_poll, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP);
	}
	kchan_pkt_free(xchg(&c->spare, NULL));
}

static u32 slot_bytes(u64 msg_max)
{
	u32 inl = min_t(u64, msg_max, KCHAN_INLINE);

	return offsetof(struct kchan_slot, words) + round_up(max(inl, 8U), 8);
}

/* What a channel comes to when it is full, and has a packet to spare. */
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
 * References to an end, less those of calls in progress. Whether a call has one
 * is decided before it comes here, by whether its process shares its descriptors;
 * if the other thread ends in between, one too many is counted.
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
	/* A call may be all that keeps it open. */
	return max(refs - (long)c->call_refs[side], 1L);
}

/* @own: the side whose file the asking call holds, or -1. */
void kchan_fill_info(struct kchan *c, int own, struct kchan_info *info)
{
	u32 nfds;

	memset(info, 0, sizeof(*info));
	info->id = c->id;
	info->msg_max = c->msg_max;
	info->capacity = c->capacity;
	spin_lock(&c->lock);
	info->len = c->len;
	info->next_len = c->len ? head_len(c, &nfds) : 0;
	info->senders = count_refs(c, KCHAN_SIDE_TX, own);
	info->receivers = count_refs(c, KCHAN_SIDE_RX, own);
	info->parked_senders = c->sendq.n;
	info->parked_receivers = c->recvq.n;
	info->sent = c->sent;
	info->received = atomic64_read(&c->received);
	info->dropped = c->dropped;
	info->shut = c->shut;
	info->send_err = c->send_err;
	info->recv_err = c->recv_err;
	spin_unlock(&c->lock);
}
