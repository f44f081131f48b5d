// SPDX-License-Identifier: GPL-2.0-only
/* Several messages in one call: it waits for the first, then takes what is there. */
#include "sel.h"

struct batch {
	struct kchan *c;
	void __user *msgs;
	bool compat;
	struct kgroup *under;
	u32 tag;		/* the caller's */
	u32 peer_tag;
};

static long send_one(struct batch *b, struct kchan_msg *m, s64 deadline)
{
	struct kchan_payload p kchan_uninitialized;
	long r;

	p.tag = b->tag;
	r = sel_load_msg(b->c, &p, m);
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

/* The messages moved, or why the first could not be. */
static long run(struct batch *b, int side, u32 n, s64 deadline)
{
	struct kchan_msg m;
	long r = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		/* its result can be stored, or it is not moved */
		if (sel_get_msg(b->msgs, i, b->compat, &m) ||
		    sel_put_msg(b->msgs, i, b->compat, &m)) {
			r = -EFAULT;
			break;
		}
		r = side == KCHAN_SIDE_TX ? send_one(b, &m, deadline) : recv_one(b, &m, deadline);
		if (r < 0)
			break;
		m.res = r;
		sel_put_msg(b->msgs, i, b->compat, &m);
		deadline = KCHAN_NOW;
	}
	return i ?: r;
}

long kchan_batch(struct kchan *c, int side, unsigned int cmd, unsigned long arg, bool compat)
{
	struct kchan_batch a;
	struct batch b;
	long r = kchan_args(&a, sizeof(a), KCHAN_BATCH_V1, cmd, arg);

	if (r)
		return r;
	if (a.flags || a.reserved || a.peer_tag || a.n > KCHAN_MAX_BATCH)
		return -EINVAL;
	b = (struct batch){
		.c = c, .msgs = u64_to_user_ptr(a.msgs), .compat = compat, .tag = a.tag,
		.under = kgroup_under(a.under),
	};
	if (IS_ERR(b.under))
		return PTR_ERR(b.under);
	r = run(&b, side, a.n, a.deadline);
	if (r > 0 && a.tag)
		put_user(b.peer_tag, &((struct kchan_batch __user *)arg)->peer_tag);
	if (b.under)
		kgroup_put(b.under);
	return r;
}
