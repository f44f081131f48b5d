/* SPDX-License-Identifier: GPL-2.0-only */
/* What each user holds, and the module's parameters that limit it. */
#ifndef KCHAN_QUOTA_H
#define KCHAN_QUOTA_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>

extern unsigned int kchan_msg_max, kchan_max_capacity;
extern unsigned int kchan_max_user_chans, kchan_max_user_groups, kchan_max_group_depth;
extern unsigned long kchan_max_user_bytes;
extern unsigned int kchan_spin_ns;

/* What a user holds. An entry lives as long as it is referenced. */
struct kchan_user {
	struct hlist_node hash;		/* user_lock */
	refcount_t ref;
	kuid_t uid;
	atomic_long_t bytes;
	atomic_long_t chans;
	atomic_long_t groups;
	atomic_long_t files;		/* descriptors in messages under way */
};

/* The user charged for the packet that a receive holds. */
struct kchan_holder {
	struct kchan_user *user;	/* referenced; NULL: it holds none */
	bool parked;			/* peers hand it messages */
	bool exempt;			/* if parked: not limited */
};

struct kchan_user *kchan_user_get(void);
struct kchan_user *kchan_user_near(struct kchan_user *u);
void kchan_user_put(struct kchan_user *u);
int kchan_holder_fill(struct kchan_holder *h, struct kchan_user *near);
void kchan_holder_parks(struct kchan_holder *h);
int kchan_charge(struct kchan_user *u, size_t bytes);
int kchan_charge_holder(const struct kchan_holder *h, size_t bytes);
void kchan_charge_anyway(struct kchan_user *u, size_t bytes);
void kchan_uncharge(struct kchan_user *u, size_t bytes);
int kchan_charge_chan(struct kchan_user *u);
void kchan_uncharge_chan(struct kchan_user *u);
int kchan_charge_group(struct kchan_user *u);
void kchan_uncharge_group(struct kchan_user *u);
int kchan_charge_files(struct kchan_user *u, unsigned int n);
void kchan_uncharge_files(struct kchan_user *u, unsigned int n);

static inline void kchan_holder_put(struct kchan_holder *h)
{
	if (unlikely(h->user))
		kchan_user_put(h->user);
}

#endif
