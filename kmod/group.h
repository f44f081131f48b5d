/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The story of groups.
 *
 * A group (struct kgroup) is ended once. Its owner file, one for each group, keeps
 * it live; watches and waiting calls hold only the object; a child holds its
 * parent's object, so that values and causes above it stay. Live groups that end
 * together form a tree with one mutex: the tree's lock protects who is whose
 * child, who has left, and every step from live to ended. A detached group is the
 * root of a tree of its own; its parent is there for values alone. So a live group
 * is on its parent's list of children, an ended one on none, and a group whose
 * last reference goes was ended by its owner file before.
 *
 * Ending walks the groups below with a list and not by recursion. Each group is
 * marked (group->end, which never changes again) under its own spinlock, and the
 * calls that run under it are completed then, some at a time. The cause is stored
 * in the group where the end began; all below point to that. A deadline has one
 * cause for all, as nothing is to be said of it: whether it was first is decided
 * under the spinlock of the group that is marked, by the clock, so that whoever looks
 * past the deadline can tell without the tree's lock; see end_of() in group.c.
 *
 * Members: a member is a child that its parent counts. A place that becomes free
 * goes at once to the first joiner that still waits (its state decides, under its
 * waiter's lock, against its cancellation), so the count falls only when nobody
 * waits for the place; who waits until no member is left is released before. A member
 * leaves once, under the tree's lock: it ends, then its parent may end because of it,
 * then its parent counts it out and releases who waited for that. Therefore whoever
 * was released sees the group ended.
 *
 * A group is charged to its maker as long as the object is there. It is one of the
 * groups that he may have until it has ended and has neither owner nor member: then
 * others keep it, by watches or groups below, for which they are charged themselves.
 * Who has no owner file can't be joined, so that is never taken back.
 *
 * Locks: tree->lock (mutex) -> kgroup.lock -> kchan_waiter.lock. kgroup.lock and
 * kchan.lock never meet. A deadline that passes only queues work. A tree's lock is held
 * while a whole tree is marked, so only what changes the tree takes it: a make and a
 * join, which are killed while they wait for it, and a cancel, a leave, a last close
 * and a deadline, which must be done. No hold of a spinlock looks at more than
 * KCHAN_WAKES calls.
 *
 *   join races with end:    the joiner links itself under tree->lock and looks at
 *                           end there; if it is set, the place goes back.
 *   join with its kill:     the place it had goes back without tree->lock, as the
 *                           member was never linked: kgroup.lock has all it takes.
 *   leave with last close:  both leave under tree->lock; the second finds left.
 *   leave with joins called off: a place stays taken while those at the head of the
 *                           queue that no longer wait are dropped, some in each hold;
 *                           who is last is asked anew in the hold that gives it away.
 *   wait with new members:  when the last member leaves the waiters are taken off
 *                           the list in the hold of kgroup.lock in which its place
 *                           goes on; who joins then is too late to stop them.
 *   end with attach:        a call attaches under kgroup.lock and looks at end
 *                           there, so the walk that marked it has seen the call or
 *                           the call sees the mark. Past the deadline it may attach
 *                           all the same: the timer's work is still to come.
 *   end with a look at the clock: end_of().
 *   two that set a key:     insert() in value.c.
 *   last close with last leave: each looks at the other's under kgroup.lock; the
 *                           later one takes the group out of its maker's number.
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

/* Why and by whom; written before group->end points here. */
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
	struct kgroup_cause own;	/* tree->lock until end points to it */
	const struct kgroup_cause *end;	/* tree->lock and lock to write; NULL: live */

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

/* As kchan_sleep(); the deadline of @under counts as well: its own timer may be late. */
static inline int kgroup_sleep(struct kgroup *under, struct kchan_waiter *w, s64 deadline)
{
	int err = kchan_sleep(w, deadline, under ? under->deadline : KTIME_MAX);

	return err == -ETIMEDOUT ? kgroup_error_or(under, err) : err;
}

/* value.c */
int kgroup_set(struct kgroup *g, const struct kchan_value *v);
long kgroup_get_value(struct kgroup *g, const struct kchan_value *v);
void kgroup_free_values(struct kgroup *g);

#endif
