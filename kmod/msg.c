// SPDX-License-Identifier: GPL-2.0-only
/* Messages between a call and the kernel: storage, charges, user memory. */
#include <linux/mm.h>

#include "kchan.h"
#include "copy.h"

static u8 *payload_data(struct kchan_payload *p)
{
	return p->pkt ? p->pkt->data : p->data;
}

void kchan_pkt_uncharge(struct kchan_pkt *pkt)
{
	if (!pkt->user)
		return;
	kchan_uncharge(pkt->user, sizeof(*pkt) + pkt->len);
	kchan_user_put(pkt->user);
	pkt->user = NULL;
}

void kchan_pkt_free(struct kchan_pkt *pkt)
{
	if (!pkt)
		return;
	kchan_pkt_uncharge(pkt);
	kvfree(pkt);
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

/* The message as a packet of its own: it may have to be listed. */
struct kchan_pkt *kchan_pkt_of(struct kchan_payload *p)
{
	struct kchan_pkt *pkt = p->pkt;

	if (!pkt) {
		pkt = kmalloc(struct_size(pkt, data, p->len), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
		pkt->user = NULL;
		pkt->len = p->len;
		memcpy(pkt->data, p->data, p->len);
		p->pkt = pkt;
	}
	pkt->tag = p->tag;
	return pkt;
}

/* Copy a message in. The caller has checked msg_max and set the tag. */
int kchan_load(struct kchan_payload *p, const struct kchan_mem *src, size_t len)
{
	bool ok;

	p->pkt = NULL;
	p->len = len;
	if (likely(len <= KCHAN_INLINE && !src->iter))
		return copy_short_in(p->data, src->buf, len) ? 0 : -EFAULT;
	if (len > KCHAN_INLINE) {
		int err = pkt_alloc(p, len);

		if (err)
			return err;
	}
	if (src->iter)
		ok = copy_from_iter(payload_data(p), len, src->iter) == len;
	else
		ok = !copy_from_user(payload_data(p), src->buf, len);
	if (ok)
		return 0;
	kchan_drop(p);
	return -EFAULT;
}

/* Copy a message out. */
int kchan_store(const struct kchan_payload *p, const struct kchan_mem *dst)
{
	const u8 *data = p->pkt ? p->pkt->data : p->data;

	if (dst->iter)
		return copy_to_iter(data, p->len, dst->iter) == p->len ? 0 : -EFAULT;
	if (!p->pkt)
		return copy_short_out(dst->buf, p->data, p->len) ? 0 : -EFAULT;
	return copy_to_user(dst->buf, data, p->len) ? -EFAULT : 0;
}
