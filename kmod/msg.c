// SPDX-License-Identifier: GPL-2.0-only
/* Payloads and packets: memory, charges, copying in and out. */
#include "msg.h"

#include <linux/mm.h>
#include <linux/slab.h>

#include "copy.h"
#include "kchan.h"
#include "quota.h"
#include "wait.h"

#define APART	1024

static u8 *payload_data(struct kchan_payload *p)
{
	return p->pkt ? p->pkt->data : p->data;
}

static size_t charge_of(const struct kchan_pkt *pkt)
{
	return sizeof(*pkt) + pkt->room;
}

void kchan_pkt_uncharge(struct kchan_pkt *pkt)
{
	if (!pkt->user)
		return;
	kchan_uncharge(pkt->user, charge_of(pkt));
	kchan_user_put(pkt->user);
	pkt->user = NULL;
}

/* Charge @u for @pkt from now on, in place of the user charged before. */
static void set_user(struct kchan_pkt *pkt, struct kchan_user *u)
{
	kchan_pkt_uncharge(pkt);
	refcount_inc(&u->ref);
	pkt->user = u;
}

/*
 * A receive is about to take @pkt out of the buffer, for which the channel's maker is charged.
 * From here on the receiver is charged, until it is copied out or freed, so that receivers can't
 * hold more memory than they may. Returns 1 if it was charged, to be followed by kchan_pkt_take()
 * or undone; 0 if the user charged does not change; or -EDQUOT.
 */
int kchan_pkt_charge(struct kchan_pkt *pkt, const struct kchan_holder *h)
{
	if (!h->user || pkt->user == h->user)
		return 0;
	if (!kchan_charge_holder(h, charge_of(pkt)))
		return 1;
	return pkt->user ? 0 : -EDQUOT;
}

void kchan_pkt_charge_undo(struct kchan_pkt *pkt, const struct kchan_holder *h)
{
	kchan_uncharge(h->user, charge_of(pkt));
}

void kchan_pkt_take(struct kchan_pkt *pkt, const struct kchan_holder *h)
{
	set_user(pkt, h->user);
}

/*
 * @pkt goes to a parked receive, which can't refuse it. If it exceeds the limit of the receive's
 * owner, the user charged before, the sender, stays charged. If there was none, the owner is
 * charged regardless of the limit, and can't take more after that.
 */
void kchan_pkt_hold(struct kchan_pkt *pkt, const struct kchan_holder *h)
{
	int r = kchan_pkt_charge(pkt, h);

	if (r > 0)
		set_user(pkt, h->user);
	else if (r < 0)
		kchan_pkt_hold_anyway(pkt, h->user);
}

/* Charge @u regardless of its limit: the maker of the channel that @pkt is requeued in. */
void kchan_pkt_hold_anyway(struct kchan_pkt *pkt, struct kchan_user *u)
{
	if (pkt->user == u)
		return;
	kchan_charge_anyway(u, charge_of(pkt));
	set_user(pkt, u);
}

void kchan_pkt_free(struct kchan_pkt *pkt)
{
	if (!pkt)
		return;
	kchan_pkt_uncharge(pkt);
	kchan_files_free(pkt->files);
	if (pkt->data != pkt->behind)
		kvfree(pkt->data);
	kfree(pkt);
}

/*
 * Release a packet whose message was copied out. The channel keeps one for its next message,
 * which then needs no allocation, and no memory that has to be cleared first.
 */
void kchan_pkt_release(struct kchan *c, struct kchan_pkt *pkt)
{
	if (pkt->room > KCHAN_INLINE && pkt->room <= kchan_spare_max(c->msg_max) &&
	    !READ_ONCE(c->shut)) {
		kchan_pkt_uncharge(pkt);
		kchan_files_free(pkt->files);
		pkt->files = NULL;
		pkt = xchg(&c->spare, pkt);
	}
	kchan_pkt_free(pkt);
}

/*
 * kmalloc() rounds up to powers of two, and the memory may have to be cleared. If the header
 * makes it exceed one, the data gets an allocation of its own, if it is long enough for that to
 * be cheaper.
 */
static struct kchan_pkt *pkt_new(size_t len)
{
	size_t whole = sizeof(struct kchan_pkt) + len;
	bool apart = len > APART && (whole > KMALLOC_MAX_CACHE_SIZE ||
				     roundup_pow_of_two(len) < roundup_pow_of_two(whole));
	struct kchan_pkt *pkt = kmalloc(apart ? sizeof(*pkt) : whole,
					GFP_KERNEL_ACCOUNT | __GFP_NOWARN);

	if (!pkt)
		return NULL;
	pkt->data = apart ? kvmalloc(len, GFP_KERNEL_ACCOUNT | __GFP_NOWARN) : pkt->behind;
	if (!pkt->data) {
		kfree(pkt);
		return NULL;
	}
	pkt->user = NULL;
	pkt->files = NULL;
	pkt->room = len;
	return pkt;
}

/* Take the spare packet, if it is large enough; otherwise free it, and the next will be. */
static struct kchan_pkt *pkt_spare(struct kchan *c, size_t len)
{
	struct kchan_pkt *pkt = READ_ONCE(c->spare) ? xchg(&c->spare, NULL) : NULL;

	if (pkt && pkt->room < len) {
		kchan_pkt_free(pkt);
		pkt = NULL;
	}
	return pkt;
}

static int pkt_get(struct kchan *c, struct kchan_payload *p, size_t len)
{
	struct kchan_user *u = kchan_user_near(c->user);
	struct kchan_pkt *pkt;
	int err;

	if (!u)
		return -ENOMEM;
	pkt = pkt_spare(c, len);
	err = kchan_charge(u, sizeof(*pkt) + (pkt ? pkt->room : len));
	if (err)
		goto free;
	if (!pkt)
		pkt = pkt_new(len);
	if (!pkt)
		goto uncharge;
	pkt->user = u;
	pkt->len = len;
	p->pkt = pkt;
	return 0;

uncharge:
	kchan_uncharge(u, sizeof(*pkt) + len);
	err = -ENOMEM;
free:
	kchan_pkt_free(pkt);
	kchan_user_put(u);
	return err;
}

/* The packet of a message; for a short one, a new one, so that it can be put on a list. */
struct kchan_pkt *kchan_pkt_of(struct kchan_payload *p)
{
	struct kchan_pkt *pkt = p->pkt;

	if (!pkt) {
		pkt = kmalloc(sizeof(*pkt) + p->len, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
		pkt->data = pkt->behind;
		pkt->user = NULL;
		pkt->files = NULL;
		pkt->len = pkt->room = p->len;
		memcpy(pkt->data, p->data, p->len);
		p->pkt = pkt;
	}
	pkt->tag = p->tag;
	return pkt;
}

/* kchan_load() for messages that are large, scattered, or have descriptors. */
static noinline int load_long(struct kchan *c, struct kchan_payload *p, const struct kchan_mem *src,
			      size_t len)
{
	struct kchan_files *files = NULL;
	int err = 0;

	if (len > KCHAN_INLINE || src->nfds)
		err = pkt_get(c, p, len);
	if (err)
		return err;
	if (src->iter ? copy_from_iter(payload_data(p), len, src->iter) != len :
			copy_from_user(payload_data(p), src->buf, len) != 0) {
		err = -EFAULT;
	} else if (src->nfds) {
		files = kchan_files_load(src->fds, src->nfds);
		err = PTR_ERR_OR_ZERO(files);
		if (!err)
			p->pkt->files = files;
	}
	if (err)
		kchan_payload_free(p);
	return err;
}

/* Copy a message in. The caller has checked msg_max and set the tag. */
int kchan_load(struct kchan *c, struct kchan_payload *p, const struct kchan_mem *src, size_t len)
{
	p->pkt = NULL;
	p->len = len;
	if (likely(len <= KCHAN_INLINE && !src->iter && !src->nfds))
		return copy_short_in(p->data, src->buf, len) ? 0 : -EFAULT;
	return load_long(c, p, src, len);
}

static int store_files(const struct kchan_files *f, struct kchan_mem *dst)
{
	int err = kchan_files_store(f, dst->fds);

	if (!err)
		dst->nfds = f->n;
	return err;
}

/*
 * Copy a message out, its descriptors last, as they are visible to others. The caller has checked
 * that there is room for both. A task that is being killed would lose the message: -EINTR.
 */
int kchan_store(const struct kchan_payload *p, struct kchan_mem *dst)
{
	const u8 *data = p->pkt ? p->pkt->data : p->data;

	if (dst->iter) {
		if (copy_to_iter(data, p->len, dst->iter) != p->len)
			return -EFAULT;
	} else if (!p->pkt) {
		if (!copy_short_out(dst->buf, p->data, p->len))
			return -EFAULT;
	} else if (copy_to_user(dst->buf, data, p->len)) {
		return -EFAULT;
	}
	if (unlikely(kchan_killed()))
		return -EINTR;
	if (unlikely(p->pkt && p->pkt->files))
		return store_files(p->pkt->files, dst);
	dst->nfds = 0;
	return 0;
}
