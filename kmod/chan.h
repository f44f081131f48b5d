/* SPDX-License-Identifier: GPL-2.0-only */
/* Operations on channels. */
#ifndef KCHAN_CHAN_H
#define KCHAN_CHAN_H

#include "group.h"
#include "kchan.h"
#include "msg.h"
#include "quota.h"
#include "wait.h"

/* A flag in a receive's room: this is read(2), for which an empty message would be end of file. */
#define KCHAN_NO_EMPTY	(1UL << (BITS_PER_LONG - 1))

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
void kchan_requeue(struct kchan *c, struct kchan_payload *p);
void kchan_requeue_all(struct kchan *c, struct list_head *pkts);
int kchan_shut(struct kchan *c, int side, int err);
void kchan_end(struct kchan *c, int side);
__poll_t kchan_poll(struct kchan *c, int side, struct kchan_waiter *self, struct file *file,
		    poll_table *pt);
u32 kchan_next_len(struct kchan *c);
void kchan_fill_info(struct kchan *c, int own, struct kchan_info *info);

/* xfer.c */
long kchan_send(struct kchan *c, struct kchan_payload *p, struct kgroup *under, s64 deadline);
long kchan_recv(struct kchan *c, size_t room, struct kchan_mem *dst, u32 *tag,
		struct kgroup *under, s64 deadline);
long kchan_send_short(struct kchan *c, const void __user *buf, u32 len, s64 deadline);
long kchan_send_short_under(struct kchan *c, const void __user *buf, u32 len,
			    struct kgroup *under, s64 deadline);
long kchan_recv_short(struct kchan *c, void __user *buf, u32 room, s64 deadline);
long kchan_recv_short_as(struct kchan *c, void __user *buf, size_t room, struct kgroup *under,
			 s64 deadline);

static inline bool kchan_has_packets(const struct kchan *c)
{
	return c->msg_max > KCHAN_INLINE || c->flags & KCHAN_FDS;
}

/* Charge the caller for what it receives from @c. */
static inline int kchan_holder_get(struct kchan_holder *h, struct kchan *c)
{
	h->user = NULL;
	return unlikely(kchan_has_packets(c)) ? kchan_holder_fill(h, c->user) : 0;
}

#endif
