/* SPDX-License-Identifier: GPL-2.0-only */
/* The ring of a channel, and the conditions for its fast paths, on which nobody waits. */
#ifndef KCHAN_RING_H
#define KCHAN_RING_H

#include "chan.h"
#include "copy.h"

#define KCHAN_HAS_FILES	(1U << 31)

/*
 * @len has KCHAN_HAS_FILES set if the message has descriptors, which no fast path takes.
 * @tag is that of the message or, in a free slot, of the receive that emptied it.
 */
struct kchan_slot {
	u32 len;
	u32 tag;
	union {
		struct kchan_pkt *pkt;	/* len > KCHAN_INLINE */
		DECLARE_FLEX_ARRAY(u64, words);
	};
};

static __always_inline struct kchan_slot *slot_after(struct kchan *c, struct kchan_slot *s)
{
	void *next = (void *)s + c->slot_size;

	return next == c->ring_end ? c->ring : next;
}

/* The next free slot, which the caller fills. */
static __always_inline struct kchan_slot *push_slot(struct kchan *c, u32 len)
{
	struct kchan_slot *s = c->tail;

	lockdep_assert_held(&c->lock);
	c->tail = slot_after(c, s);
	s->len = len;
	c->ring_len++;
	kchan_add(c->len, 1);
	c->sent++;
	return s;
}

static inline void push(struct kchan *c, struct kchan_payload *p)
{
	struct kchan_slot *s = push_slot(c, p->len);

	swap(s->tag, p->tag);
	if (likely(!p->pkt)) {
		copy_words(s->words, p->words, p->len);
	} else {
		kchan_pkt_uncharge(p->pkt);
		if (p->pkt->files)
			s->len |= KCHAN_HAS_FILES;
		s->pkt = p->pkt;
		p->pkt = NULL;
	}
}

/* Buffer a short message of a send without a tag. */
static __always_inline void push_words(struct kchan *c, const u64 *words, u32 len)
{
	struct kchan_slot *s = push_slot(c, len);

	s->tag = 0;
	copy_words(s->words, words, len);
}

/* The first slot, whose message the caller takes. */
static __always_inline struct kchan_slot *pop_slot(struct kchan *c)
{
	struct kchan_slot *s = c->head;

	lockdep_assert_held(&c->lock);
	kchan_add(c->len, -1);
	c->ring_len--;
	c->head = slot_after(c, s);
	return s;
}

static inline void pop_ring(struct kchan *c, struct kchan_payload *p)
{
	struct kchan_slot *s = pop_slot(c);

	p->len = s->len & ~KCHAN_HAS_FILES;
	p->pkt = NULL;
	swap(s->tag, p->tag);
	if (likely(s->len <= KCHAN_INLINE))
		copy_words(p->words, s->words, s->len);
	else
		p->pkt = s->pkt;
}

/* The same for a message that just_message() has seen to be in its slot; returns its length. */
static __always_inline u32 pop_words(struct kchan *c, u64 *words, u32 *tag)
{
	struct kchan_slot *s = pop_slot(c);
	u32 len = s->len;

	*tag = s->tag;
	s->tag = 0;
	copy_words(words, s->words, len);
	return len;
}

/*
 * A message is handed off, and the two calls get one another's tags. With a buffer, the tags take
 * the way through it that the message would have taken, as its sender did not wait for this
 * receive.
 */
static inline void trade_tags(struct kchan *c, u32 *to, u32 *from)
{
	if (c->capacity && !c->ring_len) {
		struct kchan_slot *s = c->head;

		swap(s->tag, *from);
		swap(s->tag, *to);
		c->head = c->tail = slot_after(c, s);
	} else {
		swap(*to, *from);
	}
}

/* 0 if a receive with @room can take a message of @len, else its error. */
static __always_inline int misfit(u32 len, size_t room)
{
	if (unlikely(!len && room & KCHAN_NO_EMPTY))
		return -EBADMSG;
	return len > (room & ~KCHAN_NO_EMPTY) ? -EMSGSIZE : 0;
}

/*
 * Drop the lock and wake pollers. The check for pollers without a barrier is enough, as they
 * queue before they look under c->lock:
 *
 *   a transfer			a poller
 *
 *   takes c->lock			poll_wait() queues it
 *   changes the state		takes c->lock
 *   waitqueue_active()		looks at the state
 *   drops c->lock			drops c->lock
 *
 * Whichever takes the lock second sees what the other did before it dropped the lock.
 */
static __always_inline void unlock_and_poke(struct kchan *c, wait_queue_head_t *wq, int n,
					    __poll_t events)
	__releases(&c->lock)
{
	bool poke = n && waitqueue_active(wq);	/* a wake-up of 0 would be one of all */

	spin_unlock(&c->lock);
	if (unlikely(poke))
		__wake_up(wq, TASK_INTERRUPTIBLE, n, poll_to_key(events));
}

/* There is room for a send, and no receive is parked. */
static __always_inline bool just_room(struct kchan *c)
{
	return likely(c->len < c->capacity && !c->recvq.n && !c->shut);
}

/* The next message is in the ring and fits the receive, and no send is parked. */
static __always_inline bool just_message(struct kchan *c, size_t room)
{
	return likely(c->len && c->len == c->ring_len && !c->sendq.n && !c->shut &&
		      !misfit(c->head->len, room));
}

static __always_inline void sent(struct kchan *c, int n)
	__releases(&c->lock)
{
	kchan_add(c->seq, n);
	unlock_and_poke(c, &c->rx_poll, n, EPOLLIN | EPOLLRDNORM);
}

static __always_inline void received(struct kchan *c, int n)
	__releases(&c->lock)
{
	kchan_add(c->seq, n);
	unlock_and_poke(c, &c->tx_poll, n, EPOLLOUT | EPOLLWRNORM);
}

#endif
