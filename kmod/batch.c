// SPDX-License-Identifier: GPL-2.0-only
/* Several messages in one call: it waits for the first, then takes what is there. */
#include "surface.h"

#include <linux/compat.h>

#include "args.h"
#include "chan.h"
#include "compat.h"
#include "copy.h"
#include "fd.h"
#include "group.h"
#include "msg.h"
#include "ring.h"

#define CHUNK	4	/* 656 bytes of stack */

struct batch {
	struct kchan *c;
	void __user *msgs;
	bool compat;
	struct kgroup *under;
	u32 tag;		/* that of the caller */
	u32 peer_tag;
};

static long send_one(struct batch *b, struct kchan_msg *m, s64 deadline)
{
	struct kchan_payload p kchan_uninitialized;
	long r;

	p.tag = b->tag;
	r = kchan_msg_load(b->c, &p, m);
	if (r)
		return r;
	r = kchan_send(b->c, &p, b->under, deadline);
	if (r >= 0)
		b->peer_tag = p.tag;
	return r;
}

static long recv_one(struct batch *b, struct kchan_msg *m, s64 deadline)
{
	struct kchan_mem dst = {
		.buf = (void __force __user *)m->buf,
		.fds = (void __force __user *)m->fds, .nfds = m->nfds,
	};
	u32 tag = b->tag;
	long r;

	r = kchan_recv(b->c, min_t(size_t, m->len, INT_MAX), &dst, &tag, b->under, deadline);
	if (r < 0)
		return r;
	b->peer_tag = tag;
	m->len = r;
	m->nfds = dst.nfds;
	return r;
}

/* Messages that fit slots, to be moved in one hold of the lock. */
struct chunk {
	struct kchan_msg m[CHUNK];
	u64 words[CHUNK][KCHAN_INLINE / 8];
	u32 len[CHUNK], tag[CHUNK];	/* of received messages */
};

/*
 * Send messages from @i on, at most @n and at most a chunk, as long as the ring alone decides.
 * After a fault in any of them it sends none, and they are sent one by one.
 */
static noinline u32 send_chunk(struct batch *b, u32 i, u32 n)
{
	struct kchan_msg __user *um = (struct kchan_msg __user *)b->msgs + i;
	struct chunk s kchan_uninitialized;
	struct kchan *c = b->c;
	u32 k, moved = 0;

	if (!copy_msgs_in(s.m, um, n))
		return 0;
	for (k = 0; k < n; k++) {
		struct kchan_msg *m = &s.m[k];

		if (m->nfds || m->len > min_t(u32, c->msg_max, KCHAN_INLINE) ||
		    !copy_short_in(s.words[k], (void __force __user *)m->buf, m->len))
			break;
	}
	if (kgroup_error_or(b->under, 0))
		return 0;		/* the group ended while they were copied in */
	n = k;
	spin_lock(&c->lock);
	for (; moved < n && just_room(c); moved++)
		push_words(c, s.words[moved], s.m[moved].len);
	sent(c, moved);
	for (k = 0; k < moved; k++)
		s.m[k].res = 0;
	copy_results_out(um, s.m, moved);
	return moved;
}

/* Requeue messages from @first up to @end, which were taken and can't be stored. */
static noinline void untake(struct kchan *c, struct chunk *s, u32 first, u32 end)
{
	struct kchan_payload p kchan_uninitialized;
	LIST_HEAD(pkts);

	for (; first < end; first++) {
		p.tag = s->tag[first];
		p.pkt = NULL;
		p.len = s->len[first];
		copy_words(p.words, s->words[first], p.len);
		list_add_tail(&kchan_pkt_of(&p)->list, &pkts);
	}
	kchan_requeue_all(c, &pkts);
}

/* The same for receives. */
static noinline u32 recv_chunk(struct batch *b, u32 i, u32 n)
{
	struct kchan_msg __user *um = (struct kchan_msg __user *)b->msgs + i;
	struct chunk s kchan_uninitialized;
	struct kchan *c = b->c;
	u32 k, taken = 0;

	if (!copy_msgs_in(s.m, um, n) || kgroup_error_or(b->under, 0))
		return 0;
	spin_lock(&c->lock);
	for (; taken < n; taken++) {
		if (!just_message(c, min_t(size_t, s.m[taken].len, INT_MAX)) ||
		    c->head->len > KCHAN_INLINE)
			break;
		s.len[taken] = pop_words(c, s.words[taken], &s.tag[taken]);
	}
	received(c, taken);
	for (k = 0; k < taken; k++)
		if (!copy_short_out((void __force __user *)s.m[k].buf, s.words[k], s.len[k]) ||
		    unlikely(kchan_killed()))
			break;
	atomic64_add(k, &c->received);
	if (unlikely(k < taken))
		untake(c, &s, k, taken);
	for (taken = k, k = 0; k < taken; k++) {
		s.m[k].len = s.m[k].res = s.len[k];
		s.m[k].nfds = 0;
	}
	copy_results_out(um, s.m, taken);
	return taken;
}

static u32 batch_chunk(struct batch *b, int side, u32 i, u32 n)
{
	if (b->compat || b->tag || BITS_PER_LONG == 32)
		return 0;
	n = min_t(u32, n, CHUNK);
	return side == KCHAN_SIDE_TX ? send_chunk(b, i, n) : recv_chunk(b, i, n);
}

/* Move one message by the general calls, which may wait: 0 or its error. */
static long batch_one(struct batch *b, int side, u32 i, s64 deadline)
{
	struct kchan_msg m;
	long r;

	/* it is moved only if its result can be stored */
	if (kchan_msg_get(b->msgs, i, b->compat, &m) || kchan_msg_put(b->msgs, i, b->compat, &m))
		return -EFAULT;
	r = side == KCHAN_SIDE_TX ? send_one(b, &m, deadline) : recv_one(b, &m, deadline);
	if (r < 0)
		return r;
	m.res = r;
	kchan_msg_put(b->msgs, i, b->compat, &m);
	return 0;
}

/* Returns the number of messages moved, or the error of the first. */
static long batch_run(struct batch *b, int side, u32 n, s64 deadline)
{
	u32 i = 0, moved;
	long r = 0;

	while (i < n) {
		moved = batch_chunk(b, side, i, n - i);
		if (!moved) {
			r = batch_one(b, side, i, deadline);
			if (r)
				break;
			moved = 1;
		}
		i += moved;
		deadline = KCHAN_NOW;
	}
	return i ?: r;
}

long kchan_batch(struct kchan *c, int side, unsigned int cmd, unsigned long arg)
{
	struct kchan_batch a;
	struct batch b;
	long r = kchan_args(&a, sizeof(a), KCHAN_BATCH_V1, cmd, arg);

	if (r)
		return r;
	if (a.flags || a.reserved || a.peer_tag || a.n > KCHAN_MAX_BATCH)
		return -EINVAL;
	b = (struct batch){
		.c = c, .msgs = u64_to_user_ptr(a.msgs), .compat = in_compat_syscall(),
		.tag = a.tag, .under = kgroup_under(a.under),
	};
	if (IS_ERR(b.under))
		return PTR_ERR(b.under);
	r = batch_run(&b, side, a.n, a.deadline);
	if (r > 0 && a.tag)
		put_user(b.peer_tag, &((struct kchan_batch __user *)arg)->peer_tag);
	if (b.under)
		kgroup_put(b.under);
	return r;
}
