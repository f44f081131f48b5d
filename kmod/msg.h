/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages: payloads, packets, and their way from and to user memory. */
#ifndef KCHAN_MSG_H
#define KCHAN_MSG_H

#include <linux/compat.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/kchan.h>

#include "copy.h"
#include "quota.h"

struct kchan;

/* msg_fds.c: the descriptors of a message. */
struct kchan_files {
	struct kchan_user *user;	/* the sender, who is charged */
	u32 n;
	struct file *file[];
};

/* A message that is too large for a slot, has descriptors, or was requeued. */
struct kchan_pkt {
	struct list_head list;		/* kchan.lock, while requeued */
	struct kchan_user *user;	/* the user charged, or NULL; see kchan_pkt_hold() */
	struct kchan_files *files;	/* or NULL */
	u32 len;
	u32 tag;
	u32 room;			/* const: the size of @data */
	u8 *data;			/* const: @behind, or an allocation of its own */
	u8 behind[];
};

/*
 * A message on its way, inline or in @pkt. @tag is that of the call itself until the transfer,
 * and that of the peer afterwards. It is large: on a stack, don't clear it.
 */
struct kchan_payload {
	u32 len;
	u32 tag;
	struct kchan_pkt *pkt;
	union {
		u8 data[KCHAN_INLINE];
		u64 words[KCHAN_INLINE / 8];
	};
};

/*
 * Where a message comes from or goes to in user memory: @buf, or @iter. @fds has @nfds descriptors
 * or room for as many; a receive sets @nfds to the number that came.
 */
struct kchan_mem {
	void __user *buf;
	struct iov_iter *iter;
	int __user *fds;
	u32 nfds;
};

/* msg.c */
int kchan_load(struct kchan *c, struct kchan_payload *p, const struct kchan_mem *src, size_t len);
int kchan_store(const struct kchan_payload *p, struct kchan_mem *dst);
struct kchan_pkt *kchan_pkt_of(struct kchan_payload *p);
void kchan_pkt_free(struct kchan_pkt *pkt);
void kchan_pkt_release(struct kchan *c, struct kchan_pkt *pkt);
void kchan_pkt_uncharge(struct kchan_pkt *pkt);
int kchan_pkt_charge(struct kchan_pkt *pkt, const struct kchan_holder *h);
void kchan_pkt_charge_undo(struct kchan_pkt *pkt, const struct kchan_holder *h);
void kchan_pkt_take(struct kchan_pkt *pkt, const struct kchan_holder *h);
void kchan_pkt_hold(struct kchan_pkt *pkt, const struct kchan_holder *h);
void kchan_pkt_hold_anyway(struct kchan_pkt *pkt, struct kchan_user *u);

/* msg_fds.c */
struct kchan_files *kchan_files_load(const int __user *fds, u32 n);
int kchan_files_store(const struct kchan_files *f, int __user *fds);
void kchan_files_free(struct kchan_files *f);

/* msg_user.c: struct kchan_msg in user memory, or that of a 32-bit caller. */
struct compat_kchan_msg {
	compat_uptr_t buf;
	compat_size_t len;
	compat_uptr_t fds;
	u32 nfds;
	s32 res;
};

void kchan_msg_from_compat(struct kchan_msg *m, const struct compat_kchan_msg *cm);
int kchan_msg_get(void __user *msgs, unsigned int i, bool compat, struct kchan_msg *m);
int kchan_msg_put(void __user *msgs, unsigned int i, bool compat, const struct kchan_msg *m);
int kchan_msg_load(struct kchan *c, struct kchan_payload *p, const struct kchan_msg *m);

static inline u32 kchan_nfds(const struct kchan_pkt *pkt)
{
	return pkt && pkt->files ? pkt->files->n : 0;
}

static inline void kchan_payload_free(struct kchan_payload *p)
{
	if (unlikely(p->pkt)) {
		kchan_pkt_free(p->pkt);
		p->pkt = NULL;
	}
}

/* The same, but @c may keep the packet for its next message. */
static inline void kchan_payload_release(struct kchan *c, struct kchan_payload *p)
{
	if (unlikely(p->pkt)) {
		kchan_pkt_release(c, p->pkt);
		p->pkt = NULL;
	}
}

/* Up to this length a channel keeps a spare packet for its next message, as a pipe keeps a page. */
static inline u32 kchan_spare_max(u32 msg_max)
{
	return msg_max <= KCHAN_INLINE ? 0 : min_t(u32, msg_max, SZ_4K);
}

#endif
