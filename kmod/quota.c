// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each user holds. The maker of a channel is charged for its ring and for the most that
 * its messages can take, as with POSIX message queues. The sender is charged for a large message
 * that is not buffered yet. For one that was taken and not copied out yet, see kchan_pkt_hold().
 * The module's parameters, most of which limit all this, are here too.
 */
#include "quota.h"

#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#define MSG_LIMIT	(16U << 20)
#define CAPACITY_LIMIT	(1U << 24)
#define SPIN_LIMIT	50000U

static int set_capped(const char *val, const struct kernel_param *kp, unsigned int max)
{
	unsigned int v;

	if (kstrtouint(val, 0, &v) || v > max)
		return -EINVAL;
	WRITE_ONCE(*(unsigned int *)kp->arg, v);
	return 0;
}

static int set_msg_max(const char *val, const struct kernel_param *kp)
{
	return set_capped(val, kp, MSG_LIMIT);
}

static int set_max_capacity(const char *val, const struct kernel_param *kp)
{
	return set_capped(val, kp, CAPACITY_LIMIT);
}

static int set_spin(const char *val, const struct kernel_param *kp)
{
	return set_capped(val, kp, SPIN_LIMIT);
}

static const struct kernel_param_ops msg_max_ops = {
	.set = set_msg_max, .get = param_get_uint,
};

static const struct kernel_param_ops capacity_ops = {
	.set = set_max_capacity, .get = param_get_uint,
};

static const struct kernel_param_ops spin_ops = {
	.set = set_spin, .get = param_get_uint,
};

unsigned int kchan_msg_max = 64 << 10;
module_param_cb(msg_max, &msg_max_ops, &kchan_msg_max, 0644);
MODULE_PARM_DESC(msg_max, "Largest msg_max a channel may be made with, in bytes (default 65536, at most 16777216)");

unsigned int kchan_max_capacity = 1 << 20;
module_param_cb(max_capacity, &capacity_ops, &kchan_max_capacity, 0644);
MODULE_PARM_DESC(max_capacity, "Largest capacity of a channel, in messages (default 1048576, at most 16777216)");

unsigned int kchan_max_user_chans = 16384;
module_param_named(max_user_chans, kchan_max_user_chans, uint, 0644);
MODULE_PARM_DESC(max_user_chans, "Channels a user may have made that still exist; CAP_SYS_RESOURCE is exempt (default 16384)");

unsigned int kchan_max_user_groups = 65536;
module_param_named(max_user_groups, kchan_max_user_groups, uint, 0644);
MODULE_PARM_DESC(max_user_groups, "Groups and watches a user may have made, groups while they are live, owned or have members; CAP_SYS_RESOURCE is exempt (default 65536)");

unsigned int kchan_max_group_depth = 4096;
module_param_named(max_group_depth, kchan_max_group_depth, uint, 0644);
MODULE_PARM_DESC(max_group_depth, "Groups below one another (default 4096)");

unsigned long kchan_max_user_bytes = 256UL << 20;
module_param_named(max_user_bytes, kchan_max_user_bytes, ulong, 0644);
MODULE_PARM_DESC(max_user_bytes, "Bytes a user's channels may come to when full, messages of more than 128 bytes that wait or that a receiver has in hand, armed selects and waiting commands of io_uring, groups with their values, and watches; CAP_SYS_RESOURCE is exempt (default 268435456)");

unsigned int kchan_spin_ns;
module_param_cb(spin_ns, &spin_ops, &kchan_spin_ns, 0644);
MODULE_PARM_DESC(spin_ns, "How long a send or receive spins before it sleeps, in ns (default 0: not at all, at most 50000)");

static DEFINE_HASHTABLE(users, 6);
static DEFINE_SPINLOCK(user_lock);

static struct kchan_user *user_find(kuid_t uid)
{
	struct kchan_user *u;

	hash_for_each_possible(users, u, hash, __kuid_val(uid))
		if (uid_eq(u->uid, uid))
			return u;
	return NULL;
}

struct kchan_user *kchan_user_get(void)
{
	kuid_t uid = current_uid();
	struct kchan_user *u, *fresh;

	spin_lock(&user_lock);
	u = user_find(uid);
	if (u)
		refcount_inc(&u->ref);
	spin_unlock(&user_lock);
	if (u)
		return u;

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!fresh)
		return NULL;
	refcount_set(&fresh->ref, 1);
	fresh->uid = uid;
	spin_lock(&user_lock);
	u = user_find(uid);
	if (u)
		refcount_inc(&u->ref);
	else
		hash_add(users, &fresh->hash, __kuid_val(uid));
	spin_unlock(&user_lock);
	if (!u)
		return fresh;
	kfree(fresh);
	return u;
}

/* The caller's user, which is likely to be @u. */
struct kchan_user *kchan_user_near(struct kchan_user *u)
{
	if (!uid_eq(u->uid, current_uid()))
		return kchan_user_get();
	refcount_inc(&u->ref);
	return u;
}

void kchan_user_put(struct kchan_user *u)
{
	if (!refcount_dec_and_lock(&u->ref, &user_lock))
		return;
	__acquire(&user_lock);	/* held here, which sparse can't see */
	hash_del(&u->hash);
	spin_unlock(&user_lock);
	kfree(u);
}

static bool may_exceed(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE);
}

/* A charge that fails does not touch @count, as a smaller one of the user may fit. */
static bool charge_within(atomic_long_t *count, unsigned long by, unsigned long limit)
{
	long old = atomic_long_read(count);

	do {
		if (by + old > limit)
			return false;
	} while (!atomic_long_try_cmpxchg(count, &old, old + by));
	return true;
}

/* Charge the caller, who may be exempt from the limit. */
static int charge(atomic_long_t *count, unsigned long by, unsigned long limit)
{
	if (likely(charge_within(count, by, limit)))
		return 0;
	if (!may_exceed())
		return -EDQUOT;
	atomic_long_add(by, count);
	return 0;
}

int kchan_charge(struct kchan_user *u, size_t bytes)
{
	return charge(&u->bytes, bytes, READ_ONCE(kchan_max_user_bytes));
}

/* Make the caller's user, which is likely to be @near, the one to charge. */
int kchan_holder_fill(struct kchan_holder *h, struct kchan_user *near)
{
	h->parked = false;
	h->user = kchan_user_near(near);
	return h->user ? 0 : -ENOMEM;
}

/* From now on peers hand it messages: ask now for the owner's exemption, not then for theirs. */
void kchan_holder_parks(struct kchan_holder *h)
{
	if (!h->user)
		return;
	h->exempt = may_exceed();
	h->parked = true;
}

int kchan_charge_holder(const struct kchan_holder *h, size_t bytes)
{
	if (!h->parked)
		return kchan_charge(h->user, bytes);
	if (likely(charge_within(&h->user->bytes, bytes, READ_ONCE(kchan_max_user_bytes))))
		return 0;
	if (!h->exempt)
		return -EDQUOT;
	kchan_charge_anyway(h->user, bytes);
	return 0;
}

void kchan_charge_anyway(struct kchan_user *u, size_t bytes)
{
	atomic_long_add(bytes, &u->bytes);
}

void kchan_uncharge(struct kchan_user *u, size_t bytes)
{
	atomic_long_sub(bytes, &u->bytes);
}

int kchan_charge_chan(struct kchan_user *u)
{
	return charge(&u->chans, 1, READ_ONCE(kchan_max_user_chans));
}

void kchan_uncharge_chan(struct kchan_user *u)
{
	atomic_long_dec(&u->chans);
}

int kchan_charge_group(struct kchan_user *u)
{
	return charge(&u->groups, 1, READ_ONCE(kchan_max_user_groups));
}

void kchan_uncharge_group(struct kchan_user *u)
{
	atomic_long_dec(&u->groups);
}

/* Charge descriptors in messages under way, as AF_UNIX does. */
int kchan_charge_files(struct kchan_user *u, unsigned int n)
{
	return charge(&u->files, n, rlimit(RLIMIT_NOFILE));
}

void kchan_uncharge_files(struct kchan_user *u, unsigned int n)
{
	atomic_long_sub(n, &u->files);
}
