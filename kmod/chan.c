// SPDX-License-Identifier: GPL-2.0-only
/* Channels: messages, waiters, meeting, shutting. kchan.h has the story. */
#include <linux/hrtimer.h>
#include <linux/mm.h>

#include "kchan.h"

static atomic64_t next_id = ATOMIC64_INIT(0);

/* ---- messages ---- */

static u8 *payload_data(struct kchan_payload *p)
{
	return p->pkt ? p->pkt->data : p->data;
}

static void pkt_uncharge(struct kchan_pkt *pkt)
{
	if (!pkt->user)
		return;
	kchan_uncharge(pkt->user, sizeof(*pkt) + pkt->len);
	kchan_user_put(pkt->user);
	pkt->user = NULL;
}

static void pkt_free(struct kchan_pkt *pkt)
{
	if (!pkt)
		return;
	pkt_uncharge(pkt);
	kvfree(pkt);
}

void kchan_drop(struct kchan_payload *p)
{
	pkt_free(p->pkt);
	p->pkt = NULL;
}

static int pkt_alloc(struct kchan_payload *p, size_t len)
{
	struct kchan_user *u = kchan_user_get();
	struct kchan_pkt *pkt;
	int err = -ENOMEM;

	if (!u)
		return err;
	err = kchan_charge(u, sizeof(*pkt) + len);
	if (err)
		goto put;
	err = -ENOMEM;
	pkt = kvmalloc(struct_size(pkt, data, len), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pkt)
		goto uncharge;
	pkt->user = u;
	pkt->len = len;
	p->pkt = pkt;
	return 0;

uncharge:
	kchan_uncharge(u, sizeof(*pkt) + len);
put:
	kchan_user_put(u);
	return err;
}

/* Copy a message in, from @buf or @iter. The caller has checked msg_max. */
int kchan_load(struct kchan_payload *p, const void __user *buf, size_t len,
	       struct iov_iter *iter)
{
	bool bad;

	p->pkt = NULL;
	p->len = len;
	if (len > KCHAN_INLINE) {
		int err = pkt_alloc(p, len);

		if (err)
			return err;
	}
	if (iter)
		bad = copy_from_iter(payload_data(p), len, iter) != len;
	else
		bad = copy_from_user(payload_data(p), buf, len);
	if (!bad)
		return 0;
	kchan_drop(p);
	return -EFAULT;
}

/* A message changes hands; from now on its sender is not charged for it. */
static void payload_move(struct kchan_payload *to, struct kchan_payload *from)
{
	to->len = from->len;
	to->pkt = from->pkt;
	from->pkt = NULL;
	if (to->pkt)
		pkt_uncharge(to->pkt);
	else
		memcpy(to->data, from->data, from->len);
}

static struct kchan_slot *slot_at(struct kchan *c, u32 i)
{
	u32 at = c->head + i;

	if (at >= c->capacity)
		at -= c->capacity;
	return (struct kchan_slot *)(c->ring + (size_t)at * c->slot_size);
}

static void push(struct kchan *c, struct kchan_payload *p)
{
	struct kchan_slot *s = slot_at(c, c->ring_len);

	lockdep_assert_held(&c->lock);
	s->len = p->len;
	if (p->pkt) {
		pkt_uncharge(p->pkt);
		s->pkt = p->pkt;
		p->pkt = NULL;
	} else {
		memcpy(s->data, p->data, p->len);
	}
	c->ring_len++;
	c->len++;
	c->sent++;
}

static u32 head_len(struct kchan *c)
{
	if (!list_empty(&c->returned))
		return list_first_entry(&c->returned, struct kchan_pkt, list)->len;
	return slot_at(c, 0)->len;
}

static void pop(struct kchan *c, struct kchan_payload *p)
{
	lockdep_assert_held(&c->lock);
	c->len--;
	if (unlikely(!list_empty(&c->returned))) {
		p->pkt = list_first_entry(&c->returned, struct kchan_pkt, list);
		p->len = p->pkt->len;
		list_del(&p->pkt->list);
		return;
	}
	{
		struct kchan_slot *s = slot_at(c, 0);

		p->len = s->len;
		p->pkt = NULL;
		if (s->len > KCHAN_INLINE)
			p->pkt = s->pkt;
		else
			memcpy(p->data, s->data, s->len);
	}
	c->ring_len--;
	if (++c->head == c->capacity)
		c->head = 0;
}

/* ---- waiters ---- */

/* The first waiter in @q that may still be chosen and is not @self. */
static struct kchan_node *first_waiter(struct list_head *q, struct kchan_waiter *self)
{
	struct kchan_node *n, *next;

	list_for_each_entry_safe(n, next, q, list) {
		if (READ_ONCE(n->waiter->state) != KCHAN_PENDING)
			list_del_init(&n->list);
		else if (n->waiter != self)
			return n;
	}
	return NULL;
}

bool kchan_pending(struct list_head *q)
{
	return first_waiter(q, NULL);
}

/* Can a receive with @room take a message of @len? 0 or the error. */
static int misfit(u32 len, size_t room)
{
	if (unlikely(!len && room & KCHAN_NO_EMPTY))
		return -EBADMSG;
	return len > (room & ~KCHAN_NO_EMPTY) ? -EMSGSIZE : 0;
}

enum { PAIR_OK, PAIR_STALE, PAIR_GONE };

/* Maybe nothing to lock: __acquire and __release tell sparse that it is even. */
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
 * Lock what decides @self and @peer and see that both are PENDING. A waiter
 * that is single, or not queued yet, has nothing to lock: kchan.lock is held.
 */
static int lock_pair(struct kchan_waiter *self, struct kchan_waiter *peer)
{
	spinlock_t *a = self && self->queued ? &self->lock : NULL;
	spinlock_t *b = peer && !peer->single ? &peer->lock : NULL;
	int ret = PAIR_OK;

	if (a && b) {
		lock_waiter(min(a, b), 0);
		lock_waiter(max(a, b), SINGLE_DEPTH_NESTING);
	} else {
		lock_waiter(a ?: b, 0);
	}
	if (a && self->state != KCHAN_PENDING)
		ret = PAIR_GONE;
	else if (peer && peer->state != KCHAN_PENDING)
		ret = PAIR_STALE;
	if (ret == PAIR_OK && a)
		WRITE_ONCE(self->state, KCHAN_DONE);
	if (ret == PAIR_OK)
		return ret;
	unlock_waiter(a);
	unlock_waiter(b);
	return ret;
}

/* Is the caller, with the lock of its channel, the one to act for @self? */
static bool commit_self(struct kchan_waiter *self)
{
	if (!self || !self->queued)
		return true;
	if (lock_pair(self, NULL) != PAIR_OK)
		return false;
	unlock_waiter(&self->lock);
	return true;
}

/*
 * After lock_pair(): the peer's case is done. Its results are written before;
 * a single peer may be gone the moment DONE is seen.
 */
static void complete_peer(struct kchan_waiter *self, struct kchan_node *n, int res,
			  struct kchan_wake *wk)
{
	struct kchan_waiter *w = n->waiter;
	struct task_struct *task = w->task;
	bool single = w->single;

	list_del_init(&n->list);
	w->fired = n->idx;
	w->res = res;
	get_task_struct(task);
	smp_store_release(&w->state, KCHAN_DONE);	/* pairs with kchan_sleep() */
	unlock_waiter(single ? NULL : &w->lock);
	unlock_waiter(self && self->queued ? &self->lock : NULL);

	if (wk->n < KCHAN_WAKES) {
		wk->task[wk->n++] = task;
	} else {
		wake_up_process(task);
		put_task_struct(task);
	}
}

/* Fail every waiter in @q, as many as one hold of the lock should wake. */
static bool fail_some(struct list_head *q, int res, struct kchan_wake *wk)
{
	struct kchan_node *n;

	while (wk->n < KCHAN_WAKES) {
		n = first_waiter(q, NULL);
		if (!n)
			return false;
		if (lock_pair(NULL, n->waiter) == PAIR_OK)
			complete_peer(NULL, n, res, wk);
	}
	return true;
}

/* ---- one try, under the lock ---- */

/* Hand @p to the first parked receive with room; -EMSGSIZE to those without. */
static int hand_over(struct kchan *c, struct kchan_payload *p,
		     struct kchan_waiter *self, struct kchan_wake *wk)
{
	struct kchan_node *n;

	while ((n = first_waiter(&c->recvq, self))) {
		int bad = misfit(p->len, n->room);
		int r = lock_pair(bad ? NULL : self, n->waiter);

		if (r == PAIR_GONE)
			return KCHAN_GONE;
		if (r == PAIR_STALE) {
			list_del_init(&n->list);
			continue;
		}
		if (bad) {
			complete_peer(NULL, n, bad, wk);
			continue;
		}
		payload_move(&n->waiter->in, p);
		complete_peer(self, n, n->waiter->in.len, wk);
		return 0;
	}
	return KCHAN_WAIT;
}

static int drop_one(struct kchan *c, struct kchan_payload *p, struct kchan_wake *wk)
{
	struct kchan_payload old;

	c->dropped++;
	if (c->flags & KCHAN_DROP_NEW) {
		c->sent++;
		return 1;
	}
	pop(c, &old);
	wk->drop = old.pkt;
	if (c->ring_len < c->capacity) {
		push(c, p);
	} else {	/* messages put back leave no room: the new one goes too */
		c->sent++;
		c->dropped++;
	}
	return 1;
}

int kchan_try_send(struct kchan *c, struct kchan_payload *p,
		   struct kchan_waiter *self, struct kchan_wake *wk)
{
	int r;

	lockdep_assert_held(&c->lock);
	if (unlikely(c->shut))
		return commit_self(self) ? -EPIPE : KCHAN_GONE;
	if (!list_empty(&c->recvq)) {
		r = hand_over(c, p, self, wk);
		if (!r)
			c->sent++;
		if (r != KCHAN_WAIT)
			return r;
	}
	if (c->len < c->capacity) {
		if (!commit_self(self))
			return KCHAN_GONE;
		push(c, p);
		c->seq++;
		return 0;
	}
	if (c->flags & (KCHAN_DROP_NEW | KCHAN_DROP_OLD)) {
		if (!commit_self(self))
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

	while (c->len < c->capacity && (n = first_waiter(&c->sendq, NULL))) {
		if (lock_pair(NULL, n->waiter) != PAIR_OK) {
			list_del_init(&n->list);
			continue;
		}
		push(c, n->out);
		complete_peer(NULL, n, 0, wk);
	}
}

int kchan_try_recv(struct kchan *c, size_t room, struct kchan_payload *out,
		   struct kchan_waiter *self, struct kchan_wake *wk)
{
	struct kchan_node *n;

	lockdep_assert_held(&c->lock);
	if (c->len) {
		int bad = misfit(head_len(c), room);

		if (!commit_self(self))
			return KCHAN_GONE;
		if (bad)
			return bad;
		pop(c, out);
		c->seq++;
		if (!list_empty(&c->sendq))
			refill(c, wk);
		return out->len;
	}
	while ((n = first_waiter(&c->sendq, self))) {
		int bad = misfit(n->out->len, room);
		int r;

		if (bad)
			return commit_self(self) ? bad : KCHAN_GONE;
		r = lock_pair(self, n->waiter);
		if (r == PAIR_GONE)
			return KCHAN_GONE;
		if (r == PAIR_STALE) {
			list_del_init(&n->list);
			continue;
		}
		payload_move(out, n->out);
		c->sent++;
		complete_peer(self, n, 0, wk);
		return out->len;
	}
	if (unlikely(c->shut))
		return commit_self(self) ? c->eof : KCHAN_GONE;
	return KCHAN_WAIT;
}

/* After kchan.lock: wake whom @wk names, and pollers of what may be ready. */
void kchan_flush(struct kchan *c, struct kchan_wake *wk, bool in, bool out)
{
	unsigned int i;

	for (i = 0; i < wk->n; i++) {
		wake_up_process(wk->task[i]);
		put_task_struct(wk->task[i]);
	}
	wk->n = 0;
	pkt_free(wk->drop);
	wk->drop = NULL;
	if (in && wq_has_sleeper(&c->rx_poll))
		wake_up_interruptible_poll(&c->rx_poll, EPOLLIN | EPOLLRDNORM);
	if (out && wq_has_sleeper(&c->tx_poll))
		wake_up_interruptible_poll(&c->tx_poll, EPOLLOUT | EPOLLWRNORM);
}

/*
 * A message could not be copied out: it goes to the next parked receive, or
 * back to the head. It is freed only if nobody can receive it any more.
 */
static void put_back(struct kchan *c, struct kchan_payload *p)
{
	struct kchan_wake wk;

	kchan_wake_init(&wk);
	if (!p->pkt) {
		struct kchan_pkt *pkt;

		pkt = kmalloc(struct_size(pkt, data, p->len),
			      GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
		pkt->user = NULL;
		pkt->len = p->len;
		memcpy(pkt->data, p->data, p->len);
		p->pkt = pkt;
	}
	spin_lock(&c->lock);
	if (c->rx_gone) {
		c->dropped++;
	} else if (hand_over(c, p, NULL, &wk) == KCHAN_WAIT) {
		list_add(&p->pkt->list, &c->returned);
		p->pkt = NULL;
		c->len++;
		c->seq++;
	}
	spin_unlock(&c->lock);
	kchan_drop(p);
	kchan_flush(c, &wk, true, false);
}

/*
 * Copy a received message out: its length, or an error and it is put back.
 * A task that is being killed would take the message with it.
 */
int kchan_deliver(struct kchan *c, struct kchan_payload *p, const struct kchan_dst *dst)
{
	int len = p->len;
	bool bad;

	if (dst->iter)
		bad = copy_to_iter(payload_data(p), len, dst->iter) != len;
	else
		bad = copy_to_user(dst->buf, payload_data(p), len);
	if (unlikely(bad || fatal_signal_pending(current))) {
		put_back(c, p);
		return bad ? -EFAULT : -EINTR;
	}
	atomic64_inc(&c->received);
	kchan_drop(p);
	return len;
}

/* ---- waiting ---- */

/* 0 if a call may wait until @deadline, else why not. */
int kchan_late(s64 deadline)
{
	if (deadline == KCHAN_FOREVER)
		return 0;
	if (deadline == KCHAN_NOW)
		return -EAGAIN;
	return ktime_get() >= kchan_deadline_to_host(deadline) ? -ETIMEDOUT : 0;
}

/* Sleep until @w is not PENDING (0), a signal or the deadline. */
int kchan_sleep(struct kchan_waiter *w, s64 deadline)
{
	ktime_t until = 0;
	int ret = 0;

	if (deadline != KCHAN_FOREVER)
		until = kchan_deadline_to_host(deadline);
	for (;;) {
		set_current_state(KCHAN_SLEEP);
		if (smp_load_acquire(&w->state) != KCHAN_PENDING)
			break;
		if (ret)
			break;
		if (signal_pending(current)) {
			ret = -ERESTARTSYS;
			break;
		}
		if (deadline == KCHAN_FOREVER)
			schedule();
		else if (!schedule_hrtimeout_range(&until, current->timer_slack_ns,
						   HRTIMER_MODE_ABS))
			ret = -ETIMEDOUT;
	}
	__set_current_state(TASK_RUNNING);
	return smp_load_acquire(&w->state) != KCHAN_PENDING ? 0 : ret;
}

/* A parked call in a process that shares its descriptors holds its file. */
void kchan_wait_refs(struct kchan *c, int side, int delta)
{
	lockdep_assert_held(&c->lock);
	c->call_refs[side] += delta;
}

/*
 * Park one case; c->lock is held and is dropped. True: a peer did it, see
 * w->res; else *@err says why it ended and nothing has happened.
 */
static bool park(struct kchan *c, int side, struct kchan_waiter *w,
		 struct kchan_node *n, struct kchan_wake *wk, s64 deadline, int *err)
	__releases(&c->lock)
{
	struct list_head *q = side == KCHAN_SIDE_RX ? &c->recvq : &c->sendq;
	int refs = kchan_shared_fds();
	bool done;

	w->state = KCHAN_PENDING;
	w->single = true;
	w->queued = true;
	w->task = current;
	n->waiter = w;
	n->idx = 0;
	list_add_tail(&n->list, q);
	c->seq++;
	kchan_wait_refs(c, side, refs);
	spin_unlock(&c->lock);
	kchan_flush(c, wk, side == KCHAN_SIDE_TX, side == KCHAN_SIDE_RX);

	*err = kchan_sleep(w, deadline);
	if (!*err && !refs)
		return true;
	spin_lock(&c->lock);
	done = w->state == KCHAN_DONE;
	if (!done) {
		w->state = KCHAN_ABORTED;
		list_del(&n->list);
	}
	kchan_wait_refs(c, side, -refs);
	spin_unlock(&c->lock);
	return done;
}

long kchan_send(struct kchan *c, struct kchan_payload *p, s64 deadline)
{
	struct kchan_wake wk;
	int r, err;

	kchan_wake_init(&wk);
	spin_lock(&c->lock);
	r = kchan_try_send(c, p, NULL, &wk);
	if (r == KCHAN_WAIT) {
		r = kchan_late(deadline);
		if (!r) {
			struct kchan_waiter w;
			struct kchan_node n = { .out = p };

			r = park(c, KCHAN_SIDE_TX, &w, &n, &wk, deadline, &err) ? w.res : err;
			goto out;
		}
	}
	spin_unlock(&c->lock);
	kchan_flush(c, &wk, r >= 0, false);
out:
	kchan_drop(p);
	return r;
}

long kchan_recv(struct kchan *c, size_t room, const struct kchan_dst *dst, s64 deadline)
{
	struct kchan_waiter w;
	struct kchan_wake wk;
	int r, err;

	w.in.pkt = NULL;
	kchan_wake_init(&wk);
	spin_lock(&c->lock);
	r = kchan_try_recv(c, room, &w.in, NULL, &wk);
	if (r != KCHAN_WAIT) {
		bool refilled = wk.n;

		spin_unlock(&c->lock);
		kchan_flush(c, &wk, refilled, r >= 0);
	} else {
		r = kchan_late(deadline);
		if (r) {
			spin_unlock(&c->lock);
			return r;
		} else {
			struct kchan_node n = { .room = room };

			spin_lock_init(&w.lock);
			r = park(c, KCHAN_SIDE_RX, &w, &n, &wk, deadline, &err) ? w.res : err;
		}
	}
	return r < 0 ? r : kchan_deliver(c, &w.in, dst);
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
		more = fail_some(&c->sendq, -EPIPE, &wk);
		more |= fail_some(&c->recvq, c->eof, &wk);
		spin_unlock(&c->lock);
		kchan_flush(c, &wk, false, false);
		if (!more)
			break;
		cond_resched();
		spin_lock(&c->lock);
	}
	wake_up_interruptible_poll(&c->rx_poll, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP);
	wake_up_interruptible_poll(&c->tx_poll, EPOLLOUT | EPOLLWRNORM | EPOLLERR);
	return 0;
}

/* Nobody can receive any more: free what is buffered, some at a time. */
static void discard(struct kchan *c)
{
	struct kchan_payload p;
	LIST_HEAD(gone);
	struct kchan_pkt *pkt, *next;
	unsigned int budget;

	for (;;) {
		spin_lock(&c->lock);
		for (budget = 64; budget && c->len; budget--) {
			pop(c, &p);
			c->dropped++;
			if (p.pkt)
				list_add(&p.pkt->list, &gone);
		}
		budget = c->len;
		spin_unlock(&c->lock);
		list_for_each_entry_safe(pkt, next, &gone, list)
			pkt_free(pkt);
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
	if (side == KCHAN_SIDE_RX)
		discard(c);
}

static void kchan_free(struct kref *ref)
{
	struct kchan *c = container_of(ref, struct kchan, ref);

	kvfree(c->ring);
	kchan_uncharge(c->user, c->charged);
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
	u32 inl = min_t(u64, msg_max, KCHAN_INLINE);
	u32 slot = offsetof(struct kchan_slot, data) + round_up(max(inl, 8U), 8);
	size_t ring = (size_t)slot * capacity, big = 0, bytes;
	struct kchan *c;
	int err = -ENOMEM;

	if (msg_max > READ_ONCE(kchan_msg_max) || capacity > READ_ONCE(kchan_max_capacity))
		return ERR_PTR(-EINVAL);
	if (flags & ~(KCHAN_DROP_NEW | KCHAN_DROP_OLD) ||
	    flags == (KCHAN_DROP_NEW | KCHAN_DROP_OLD) || (flags && !capacity))
		return ERR_PTR(-EINVAL);
	if (msg_max > KCHAN_INLINE)
		big = (sizeof(struct kchan_pkt) + (size_t)msg_max) * capacity;
	bytes = sizeof(*c) + ring + big;

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
		c->ring = kvmalloc(ring, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!c->ring)
			goto uncharge;
	}
	spin_lock_init(&c->lock);
	INIT_LIST_HEAD(&c->returned);
	INIT_LIST_HEAD(&c->sendq);
	INIT_LIST_HEAD(&c->recvq);
	init_waitqueue_head(&c->rx_poll);
	init_waitqueue_head(&c->tx_poll);
	kref_init(&c->ref);
	c->flags = flags;
	c->capacity = capacity;
	c->msg_max = msg_max;
	c->slot_size = slot;
	c->charged = bytes;
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

static u64 count_waiters(struct list_head *q)
{
	struct kchan_node *n;
	u64 count = 0;

	list_for_each_entry(n, q, list)
		count += READ_ONCE(n->waiter->state) == KCHAN_PENDING;
	return count;
}

/* References to an end, less those of calls in progress. */
static u64 count_refs(struct kchan *c, int side, int own)
{
	long refs;

	if (!c->file[side])
		return 0;
	refs = file_count(c->file[side]) - c->call_refs[side];
	if (side == own)
		refs -= kchan_shared_fds();
	return max(refs, 0L);
}

/* @own: the side whose file the asking call holds, or -1. */
void kchan_fill_info(struct kchan *c, int own, struct kchan_info *info)
{
	memset(info, 0, sizeof(*info));
	info->id = c->id;
	info->msg_max = c->msg_max;
	info->capacity = c->capacity;
	spin_lock(&c->lock);
	info->len = c->len;
	info->next_len = c->len ? head_len(c) : 0;
	info->senders = count_refs(c, KCHAN_SIDE_TX, own);
	info->receivers = count_refs(c, KCHAN_SIDE_RX, own);
	info->parked_senders = count_waiters(&c->sendq);
	info->parked_receivers = count_waiters(&c->recvq);
	info->sent = c->sent;
	info->received = atomic64_read(&c->received);
	info->dropped = c->dropped;
	info->shut = c->shut;
	info->send_err = c->send_err;
	info->recv_err = c->recv_err;
	spin_unlock(&c->lock);
}
