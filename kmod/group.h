/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Groups: how they work.
 *
 * Overview
 * ========
 *
 * A group (struct kgroup) ends once. It has one owner file, which keeps it live. Watches and
 * waiting calls hold a reference to the object only. A child holds its parent's object, so that
 * the values and causes above it stay.
 *
 * Live groups that end together form a tree with one mutex. A detached group is the root of a
 * tree of its own, and has its parent for values only. A live group is on its parent's list of
 * children, an ended one on none. When the last reference to a group goes, its owner file has
 * ended it before.
 *
 * A value is looked for in a group and in those above it that have values. Each group remembers
 * the nearest of these (above), which it keeps, as it keeps all groups above it. A group that gets
 * its first value while there is a group below it makes all forget that have the same topmost
 * group, across detached ones; see nearest_above() in value.c.
 *
 * To end a group, the groups below it are walked with a list and not by recursion. Each is marked
 * (group->cause, which never changes again) under its own spinlock, and then the calls under it are
 * aborted, some in each hold of that. The cause is stored in the group where the end began, and
 * the marks below point to it. All deadlines have one cause, as there is nothing to tell about
 * them. Whether a deadline was first is decided by the clock, under the spinlock of the group
 * that is marked, so whoever looks past the deadline can tell without the tree's lock; see
 * cause_of().
 *
 * A member is a child that its parent counts. A place that becomes free goes at once to the first
 * joiner that still waits, so the count falls only if nobody waits for the place. Calls that wait
 * until no member is left are completed before a joiner that comes after that. A member leaves
 * once, under the tree's lock: it ends; its parent may end because of that; then its parent
 * counts it out and completes the calls that waited for it, which therefore see it ended.
 *
 * The maker of a group is charged for it as long as the object exists. It counts as one of the
 * maker's groups until it has ended and has neither owner nor member. Whoever keeps it after
 * that, by a watch or a group below it, is charged for those. A group without owner file can't
 * be joined, so it never counts again.
 *
 * Locking
 * =======
 *
 *   children, sibling, left, live -> ended	tree->lock
 *   cause, members, owned, under, joiners, idlers	kgroup.lock; cause is also read without it
 *   values					kgroup.lock to add one; read without it
 *   above, above_at			kgroup.lock to write; read without it
 *
 * Order: tree->lock (mutex) -> kgroup.lock -> kchan_waiter.lock. kgroup.lock and kchan.lock are
 * never held together. A deadline that passes only queues a work. The tree's lock is held while a
 * whole tree is marked, so it is taken only by calls that change the tree: makes and joins, which
 * wait for it killably, and cancels, leaves, last closes and deadlines, which can't be
 * skipped. One hold of a spinlock looks at no more than KCHAN_WAKES calls.
 *
 * Races
 * =====
 *
 *   join with end:	the joiner links itself under tree->lock and reads cause there. If that is
 *			set, the place is given back.
 *   killed join:	its place is given back without tree->lock, as it was not linked yet;
 *			kgroup.lock protects the count.
 *   leave with last close: both leave under tree->lock; the second one finds left set.
 *   leave with joins called off: the place stays taken while stale joiners at the head of the
 *			queue are dropped, some in each hold. Whether the member was the last is
 *			asked again in the hold that gives the place away.
 *   wait with join:	when the last member leaves, the waiting calls are taken off the list in
 *			the same hold of kgroup.lock that gives the place away; a joiner after that
 *			does not keep them waiting.
 *   end with attach:	see mark(). Past its deadline a group may still be attached to, as the
 *			work of its timer is still to come.
 *   end with the clock: see cause_of().
 *   two calls that set a key: see insert() in value.c.
 *   a value that is set with a lookup from below: see nearest_above() in value.c.
 *   last close with last leave: each reads the other's flag under kgroup.lock; the second one
 *			takes the group out of its maker's number.
 *
 * How groups go away
 * ==================
 *
 * The owner file's ->release ends the group, and those below it. The object goes with its last
 * reference: of files, calls, the timer, and the groups below.
 */
#ifndef KGROUP_H
#define KGROUP_H

#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>

#include "deadline.h"
#include "quota.h"
#include "wait.h"

#define KGROUP_VALUES	256	/* of one group */
#define KCHAN_GROUP_FLAGS	(KCHAN_FAIL_FAST | KCHAN_FIRST_EXIT | KCHAN_DETACHED)

/* Why and by whom; written before group->cause points here. */
struct kgroup_cause {
	int err;
	struct pid *by;			/* NULL: nobody */
	char why[KCHAN_WHY_SIZE];
};

struct kgroup_tree {
	struct mutex lock;
	refcount_t ref;
};

/* A waiting call in one of a group's lists. */
struct kgroup_node {
	struct list_head list;		/* kgroup.lock */
	struct kchan_waiter *waiter;
};

struct kgroup_value {
	struct kgroup_value *next;	/* const */
	u32 len, key_len;
	size_t bytes;			/* charged */
	u8 data[];			/* key, value */
};

struct kgroup {
	refcount_t ref;
	struct kgroup_tree *tree;
	struct kgroup *parent;		/* const; referenced; NULL: none */
	struct kgroup *top;		/* const: the topmost above it, or itself */
	u64 id;				/* const, as all up to member */
	u32 flags, limit, depth;
	ktime_t deadline;		/* the earliest of its own and those above */
	bool attached;			/* ends with its parent */
	bool member;			/* its parent counts it */

	bool born;			/* tree->lock; until then no file's end matters */
	bool left;			/* tree->lock */
	bool armed;			/* tree->lock: due holds a reference */
	u32 nr_children;		/* tree->lock to write */
	struct list_head children, sibling;	/* tree->lock */
	struct kgroup_cause own;	/* tree->lock until cause points to it */
	const struct kgroup_cause *cause;	/* tree->lock and lock to write; NULL: live */

	spinlock_t lock;
	u32 nr_values;			/* lock */
	bool owned;			/* lock: its owner file is open */
	bool counted;			/* lock: it is one of its user's groups */
	u64 members, failed;		/* lock */
	int first_err;			/* lock: of the first member that failed */
	struct list_head under;		/* lock: calls that run under it */
	struct list_head joiners;	/* lock: FIFO for places */
	struct list_head idlers;	/* lock: wait until no member is left */
	struct kgroup_value *values;	/* lock to write */
	bool has_below;			/* lock to write: it is or was the parent of a group */
	struct kgroup *above;		/* lock to write: nearest with values; NULL: none; if */
	unsigned long above_at;		/* lock to write: this is top's nr_begun */
	atomic_long_t nr_begun, nr_done;	/* of a top: groups that got a first value */

	wait_queue_head_t poll;
	struct kchan_due due;
	struct work_struct expire;
	struct kchan_holder maker;
};

/* group.c */
extern struct workqueue_struct *kgroup_wq;
struct kgroup *kgroup_get(struct kgroup *g);
void kgroup_put(struct kgroup *g);
struct kgroup *kgroup_alloc(struct kgroup *parent, s64 deadline, u32 flags, u32 limit,
			    bool member);
int kgroup_birth(struct kgroup *g);
void kgroup_cancel(struct kgroup *g, int err, const char *why);
int kgroup_leave(struct kgroup *g, int err, const char *why, bool unjoin);
void kgroup_owner_gone(struct kgroup *g);
int kgroup_join(struct kgroup *g, struct kgroup *member, struct kgroup *under, s64 deadline);
int kgroup_wait(struct kgroup *g, int *first_err, struct kgroup *under, s64 deadline);
int kgroup_attach(struct kgroup *g, struct kgroup_node *n, struct kchan_waiter *w);
void kgroup_detach(struct kgroup *g, struct kgroup_node *n);
bool kgroup_expired(struct kgroup *g);
int kgroup_error(struct kgroup *g);
__poll_t kgroup_poll(struct kgroup *g, struct file *file, poll_table *pt);
void kgroup_fill_info(struct kgroup *g, struct kchan_group_info *info);
int kgroup_init(void);
void kgroup_exit(void);

/* @r, unless there is a group and it has ended: that comes before all else. */
static inline long kgroup_error_or(struct kgroup *under, long r)
{
	return (under ? kgroup_error(under) : 0) ?: r;
}

/* As kchan_sleep(); the deadline of @under counts as well, as its own timer may fire later. */
static inline int kgroup_sleep(struct kgroup *under, struct kchan_waiter *w, s64 deadline)
{
	int err = kchan_sleep(w, deadline, under ? under->deadline : KTIME_MAX);

	return err == -ETIMEDOUT ? kgroup_error_or(under, err) : err;
}

/* value.c */
int kgroup_set(struct kgroup *g, const struct kchan_value *v);
long kgroup_get_value(struct kgroup *g, const struct kchan_value *v);
void kgroup_has_below(struct kgroup *g);
void kgroup_free_values(struct kgroup *g);

#endif
