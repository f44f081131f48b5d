// SPDX-License-Identifier: GPL-2.0-only
/* Groups: trees, ending, members. group.h tells how they work. */
#include "group.h"

#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat.h"
#include "pause.h"
#include "quota.h"
#include "wait.h"

/* Ending a group takes its tree's mutex; only other such work queues behind that. */
struct workqueue_struct *kgroup_wq;

static atomic64_t next_id = ATOMIC64_INIT(0);
static struct kmem_cache *kgroup_cache;

/* The cause of all groups whose deadline has passed. */
static const struct kgroup_cause by_deadline = { .err = ETIMEDOUT };

/* ---- lifetime ---- */

static void tree_put(struct kgroup_tree *t)
{
	if (refcount_dec_and_test(&t->ref))
		kfree(t);
}

static struct kgroup_tree *group_tree_of(struct kgroup *parent)
{
	struct kgroup_tree *t;

	if (parent) {
		refcount_inc(&parent->tree->ref);
		return parent->tree;
	}
	t = kmalloc(sizeof(*t), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (t) {
		mutex_init(&t->lock);
		refcount_set(&t->ref, 1);
	}
	return t;
}

static void kgroup_free(struct kgroup *g)
{
	kgroup_free_values(g);
	put_pid(g->own.by);
	tree_put(g->tree);
	kchan_uncharge(g->maker.user, sizeof(*g));
	if (g->counted)
		kchan_uncharge_group(g->maker.user);
	kchan_user_put(g->maker.user);
	kmem_cache_free(kgroup_cache, g);
}

/* The last reference may drop those of the groups above too. May sleep. */
void kgroup_put(struct kgroup *g)
{
	while (g && refcount_dec_and_test(&g->ref)) {
		struct kgroup *parent = g->parent;

		kgroup_free(g);
		cond_resched();
		g = parent;
	}
}

struct kgroup *kgroup_get(struct kgroup *g)
{
	refcount_inc(&g->ref);
	return g;
}

static void group_due(struct kchan_due *due)
{
	struct kgroup *g = container_of(due, struct kgroup, due);

	queue_work(kgroup_wq, &g->expire);
}

static void group_expire(struct kgroup *g);

static void expire_work(struct work_struct *work)
{
	struct kgroup *g = container_of(work, struct kgroup, expire);

	kchan_pause(group_expire);
	group_expire(g);
	kgroup_put(g);
}

/*
 * Allocate a group; until kgroup_birth() it is in no tree and closing it ends nothing.
 * @member: @parent counts it.
 */
struct kgroup *kgroup_alloc(struct kgroup *parent, s64 deadline, u32 flags, u32 limit,
			    bool member)
{
	bool attached = parent && !(flags & KCHAN_DETACHED);
	struct kgroup *g;
	int err = -ENOMEM;

	if (parent && parent->depth >= READ_ONCE(kchan_max_group_depth))
		return ERR_PTR(-ELOOP);
	g = kmem_cache_zalloc(kgroup_cache, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!g)
		return ERR_PTR(-ENOMEM);
	g->maker.user = kchan_user_get();
	if (!g->maker.user)
		goto free;
	kchan_holder_parks(&g->maker);	/* its maker is charged for values that others set */
	err = kchan_charge_group(g->maker.user);
	if (err)
		goto put;
	err = kchan_charge(g->maker.user, sizeof(*g));
	if (err)
		goto uncharge_group;
	err = -ENOMEM;
	g->tree = group_tree_of(attached ? parent : NULL);
	if (!g->tree)
		goto uncharge;
	refcount_set(&g->ref, 1);
	spin_lock_init(&g->lock);
	INIT_LIST_HEAD(&g->children);
	INIT_LIST_HEAD(&g->sibling);
	INIT_LIST_HEAD(&g->under);
	INIT_LIST_HEAD(&g->joiners);
	INIT_LIST_HEAD(&g->idlers);
	init_waitqueue_head(&g->poll);
	INIT_WORK(&g->expire, expire_work);
	g->parent = parent ? kgroup_get(parent) : NULL;
	g->top = parent ? parent->top : g;
	g->depth = parent ? parent->depth + 1 : 0;
	atomic_long_set(&g->nr_begun, 1);	/* it remembers nothing yet */
	atomic_long_set(&g->nr_done, 1);
	if (parent)
		kgroup_has_below(parent);
	g->id = atomic64_inc_return(&next_id);
	g->flags = flags;
	g->limit = limit;
	g->attached = attached;
	g->member = member;
	g->owned = true;
	g->counted = true;
	g->deadline = deadline == KCHAN_FOREVER ? KTIME_MAX : kchan_deadline_to_host(deadline);
	if (attached)
		g->deadline = min(g->deadline, parent->deadline);
	return g;

uncharge:
	kchan_uncharge(g->maker.user, sizeof(*g));
uncharge_group:
	kchan_uncharge_group(g->maker.user);
put:
	kchan_user_put(g->maker.user);
free:
	kmem_cache_free(kgroup_cache, g);
	return ERR_PTR(err);
}

/* ---- ending ---- */

/* The error of a call under a group that has ended. */
static int error_of(const struct kgroup_cause *cause)
{
	return cause == &by_deadline ? -ETIMEDOUT : -ECANCELED;
}

/* The error of a join of an ended group, but not one by which the kernel restarts a call. */
static int join_error(const struct kgroup_cause *cause)
{
	if (cause->err >= ERESTARTSYS && cause->err <= ERESTART_RESTARTBLOCK)
		return -ECANCELED;
	return -cause->err;
}

bool kgroup_expired(struct kgroup *g)
{
	return g->deadline != KTIME_MAX && g->deadline <= ktime_get();
}

/* Is its deadline that of its parent, which then ends it? */
static bool inherits(struct kgroup *g)
{
	return g->attached && g->parent->deadline == g->deadline;
}

/*
 * The cause of @g, or NULL while it is live. Past its deadline a group has ended, even if its
 * timer has not fired. This does not wait for the tree's lock, whose holder may have a lot to do,
 * so the mark of a cancel may still be on its way down to @g from a group above:
 *
 *   cancel of a group above		cause_of(@g)
 *
 *   locks that group
 *   not past the deadline
 *					past the deadline; @g has no mark
 *   marks the group with its cause
 *   unlocks it
 *					locks the group, sees its mark: this cause
 *					will come down to @g
 *
 *					past the deadline; @g has no mark
 *					locks the group, sees no mark there, nor
 *					above: the cause is the deadline
 *   locks that group
 *   past the deadline: marks it so
 *
 * Without the locks the first case would return the deadline, and the mark that comes down
 * would be another cause. May sleep.
 */
static const struct kgroup_cause *cause_of(struct kgroup *g)
{
	const struct kgroup_cause *cause = smp_load_acquire(&g->cause);

	if (cause || !kgroup_expired(g))
		return cause;
	for (;;) {
		spin_lock(&g->lock);
		cause = g->cause;
		spin_unlock(&g->lock);
		if (cause)
			return cause;
		if (!inherits(g))
			return &by_deadline;
		g = g->parent;
		cond_resched();
	}
}

/* The error of calls under @g if it has ended, else 0. */
int kgroup_error(struct kgroup *g)
{
	const struct kgroup_cause *cause = cause_of(g);

	return cause ? error_of(cause) : 0;
}

/* Complete or abort the call of @n, unless somebody else has. kgroup.lock is held. */
static bool complete_one(struct kgroup_node *n, bool done, int res, struct kchan_wake *wk)
{
	struct kchan_waiter *w = n->waiter;
	bool chosen;

	list_del_init(&n->list);
	spin_lock(&w->lock);
	chosen = w->state == KCHAN_PENDING;
	if (chosen) {
		w->res = res;
		kchan_wake_add(wk, w);	/* all callers see to it that there is room */
		if (done)
			waiter_to_done(w);
		else
			waiter_to_aborted(w);
	}
	spin_unlock(&w->lock);
	return chosen;
}

/* Complete or abort all calls in @q, some in each hold of the lock. */
static void complete_queue(struct kgroup *g, struct list_head *q, bool done, int res)
{
	struct kchan_wake wk kchan_uninitialized;
	bool more;
	int i;

	do {
		kchan_wake_init(&wk);
		spin_lock(&g->lock);
		for (i = 0; i < KCHAN_WAKES && !list_empty(q); i++)
			complete_one(list_first_entry(q, struct kgroup_node, list),
				     done, res, &wk);
		more = !list_empty(q);
		spin_unlock(&g->lock);
		kchan_wake_all(&wk);
		cond_resched();
	} while (more);
}

/*
 * Mark the live @g as ended by @cause or, with @or_deadline, by its deadline if that has passed.
 * Calls attach under the same lock:
 *
 *   mark()				kgroup_attach()
 *
 *   kgroup.lock			kgroup.lock
 *   sets g->cause			reads g->cause: its error, if set
 *   unlocks				else links the call into g->under; unlocks
 *   aborts all in g->under
 *
 * A call that attaches first is found by the walk, one that comes later sees the mark.
 */
static void mark(struct kgroup *g, const struct kgroup_cause *cause, bool or_deadline)
{
	if (g->armed) {
		g->armed = false;
		if (kchan_due_cancel(&g->due))
			kgroup_put(g);	/* never the last reference */
	}
	spin_lock(&g->lock);
	if (or_deadline && kgroup_expired(g))
		cause = &by_deadline;
	smp_store_release(&g->cause, cause);	/* pairs with cause_of() */
	spin_unlock(&g->lock);
	kchan_pause(group_marked);
	complete_queue(g, &g->under, false, error_of(cause));
	complete_queue(g, &g->joiners, false, join_error(cause));
	kchan_wake_pollers(&g->poll, EPOLLIN | EPOLLRDNORM);
}

/*
 * End the live group @top and all groups attached below it. For those below, a deadline of their
 * own counts, but not one that @top has too: that was decided when @top was marked.
 */
static void cascade(struct kgroup *top, const struct kgroup_cause *cause)
{
	LIST_HEAD(work);

	lockdep_assert_held(&top->tree->lock);
	if (!list_empty(&top->sibling)) {
		WRITE_ONCE(top->parent->nr_children, top->parent->nr_children - 1);
		list_del_init(&top->sibling);
	}
	list_add(&top->sibling, &work);
	while (!list_empty(&work)) {
		struct kgroup *g = list_first_entry(&work, struct kgroup, sibling);

		list_del_init(&g->sibling);
		list_splice_tail_init(&g->children, &work);
		WRITE_ONCE(g->nr_children, 0);
		if (g == top)
			mark(g, cause, true);
		else
			mark(g, g->parent->cause, !inherits(g));
	}
}

/* End @g with this cause, unless its deadline was first. */
static void end_for(struct kgroup *g, int err, const char *why)
{
	lockdep_assert_held(&g->tree->lock);
	if (g->cause)
		return;
	g->own.err = err;
	if (!(current->flags & PF_KTHREAD))
		g->own.by = get_pid(task_tgid(current));
	strscpy(g->own.why, why, sizeof(g->own.why));
	cascade(g, &g->own);
}

/* Cancel @g. Whoever was first, all groups below have ended on return. */
void kgroup_cancel(struct kgroup *g, int err, const char *why)
{
	kchan_pause(group_cancel);
	mutex_lock(&g->tree->lock);
	end_for(g, err, why);
	mutex_unlock(&g->tree->lock);
}

/* The deadline of @g has passed. */
static void group_expire(struct kgroup *g)
{
	mutex_lock(&g->tree->lock);
	if (!g->cause)
		cascade(g, &by_deadline);
	mutex_unlock(&g->tree->lock);
}

/*
 * Past its deadline a group has ended for all who look. If nobody holds the tree's lock, also
 * unlink it from its parent here; otherwise the work of its timer will do that soon.
 */
static void expire_if_free(struct kgroup *g)
{
	if (smp_load_acquire(&g->cause) || !kgroup_expired(g))
		return;
	for (; inherits(g); g = g->parent)
		cond_resched();
	if (!mutex_trylock(&g->tree->lock))
		return;
	if (!g->cause)
		cascade(g, &by_deadline);
	mutex_unlock(&g->tree->lock);
}

/* Link a new group below its parent, or end it if that has ended. */
static void link_or_end(struct kgroup *g)
{
	struct kgroup *p = g->attached ? g->parent : NULL;

	lockdep_assert_held(&g->tree->lock);
	WRITE_ONCE(g->born, true);
	if (p && p->cause) {
		mark(g, p->cause, false);
		return;
	}
	if (p) {
		list_add_tail(&g->sibling, &p->children);
		WRITE_ONCE(p->nr_children, p->nr_children + 1);
	}
	if (kgroup_expired(g)) {
		cascade(g, &by_deadline);
	} else if (g->deadline != KTIME_MAX && !inherits(g)) {
		g->armed = true;
		kgroup_get(g);
		kchan_due_start(&g->due, g->deadline, group_due);
	}
}

/* 0, or -EINTR if the caller was killed while it waited for the tree's lock. */
int kgroup_birth(struct kgroup *g)
{
	int err;

	kchan_pause(group_birth);
	err = mutex_lock_killable(&g->tree->lock);
	if (err)
		return err;
	link_or_end(g);
	mutex_unlock(&g->tree->lock);
	return 0;
}

/* ---- members ---- */

/*
 * A place has become free: give it to the first joiner that still waits, or to nobody. Returns
 * false if this is undecided after as many stale joiners as one hold of the lock may look at.
 */
static bool release_place(struct kgroup *g, struct kchan_wake *wk)
{
	int i;

	lockdep_assert_held(&g->lock);
	for (i = 0; !g->cause && !list_empty(&g->joiners); i++) {
		if (i == KCHAN_WAKES)
			return false;
		if (complete_one(list_first_entry(&g->joiners, struct kgroup_node, list),
				 true, 0, wk))
			return true;
	}
	g->members--;
	return true;
}

/* If it has ended and has neither owner nor member, it no longer counts. kgroup.lock is held. */
static bool uncount(struct kgroup *g)
{
	bool last = g->counted && !g->owned && !g->members;

	lockdep_assert_held(&g->lock);
	if (last)
		g->counted = false;
	return last;
}

/* A member gives its place back. @err: that with which it left, or 0. */
static void count_out(struct kgroup *g, int err)
{
	struct kchan_wake wk kchan_uninitialized;
	LIST_HEAD(released);
	bool last, none, idle;

	kchan_wake_init(&wk);
	spin_lock(&g->lock);
	if (err) {
		g->failed++;
		if (!g->first_err)
			WRITE_ONCE(g->first_err, err);
	}
	for (;;) {
		last = g->members == 1;
		if (release_place(g, &wk))
			break;
		spin_unlock(&g->lock);	/* the place stays taken meanwhile */
		kchan_pause(group_relock);
		cond_resched();
		spin_lock(&g->lock);
	}
	if (last)	/* no member is left, though a joiner may follow at once */
		list_splice_init(&g->idlers, &released);
	none = !g->members;
	idle = uncount(g);
	spin_unlock(&g->lock);
	kchan_pause(member_out);
	kchan_wake_all(&wk);
	complete_queue(g, &released, true, 0);
	if (none)
		kchan_wake_pollers(&g->poll, EPOLLOUT | EPOLLWRNORM);
	if (idle)
		kchan_uncharge_group(g->maker.user);
}

/* Leave the parent as a member. @unjoin: as if it had never joined. */
int kgroup_leave(struct kgroup *g, int err, const char *why, bool unjoin)
{
	struct kgroup *p = g->parent;
	int cause = err ?: ECANCELED;

	if (!g->member)
		return -EINVAL;
	kchan_pause(group_leave);
	mutex_lock(&g->tree->lock);
	if (g->left) {
		mutex_unlock(&g->tree->lock);
		return -EINVAL;
	}
	g->left = true;
	end_for(g, cause, why);
	if (!unjoin && ((p->flags & KCHAN_FIRST_EXIT) || (err && p->flags & KCHAN_FAIL_FAST)))
		end_for(p, cause, why);
	count_out(p, unjoin ? 0 : err);
	mutex_unlock(&g->tree->lock);
	return 0;
}

/* The owner file was released. */
void kgroup_owner_gone(struct kgroup *g)
{
	bool idle;

	if (!READ_ONCE(g->born))
		return;
	if (kgroup_leave(g, EOWNERDEAD, "", false))
		kgroup_cancel(g, EOWNERDEAD, "");
	kchan_pause(owner_gone);
	spin_lock(&g->lock);
	g->owned = false;
	idle = uncount(g);
	spin_unlock(&g->lock);
	if (idle)
		kchan_uncharge_group(g->maker.user);
}

/* ---- waiting ---- */

/* Have the call of @w run under @g from here on; or return the error of an ended group. */
int kgroup_attach(struct kgroup *g, struct kgroup_node *n, struct kchan_waiter *w)
{
	int err = 0;

	n->waiter = w;
	kchan_pause(group_attach);
	spin_lock(&g->lock);
	if (g->cause)
		err = error_of(g->cause);
	else
		list_add_tail(&n->list, &g->under);
	spin_unlock(&g->lock);
	return err;
}

/* Unlink the call from @g, which does not touch it after this. */
void kgroup_detach(struct kgroup *g, struct kgroup_node *n)
{
	spin_lock(&g->lock);
	list_del_init(&n->list);
	spin_unlock(&g->lock);
}

/*
 * Park in the queue @q of @g until somebody completes it. @ready is asked under g->lock first,
 * and returns KCHAN_WAIT, or the result if there is nothing to wait for.
 */
static int wait_in(struct kgroup *g, struct list_head *q, int (*ready)(struct kgroup *g),
		   struct kgroup *under, s64 deadline)
{
	struct kgroup_node n, un;
	struct kchan_waiter w;
	int r = kgroup_error_or(under, 0);

	if (r)
		return r;
	spin_lock(&g->lock);
	r = ready(g);
	spin_unlock(&g->lock);
	if (r != KCHAN_WAIT)
		return r;
	r = kchan_deadline_error(deadline);
	if (r)
		return r;

	spin_lock_init(&w.lock);
	waiter_to_pending(&w, false);
	n.waiter = &w;
	if (under) {
		r = kgroup_attach(under, &un, &w);
		if (r)
			return r;
	}
	kchan_pause(group_queue);
	spin_lock(&g->lock);
	r = ready(g);
	if (r == KCHAN_WAIT)
		list_add_tail(&n.list, q);
	spin_unlock(&g->lock);
	if (r == KCHAN_WAIT) {
		r = kchan_waiter_settle(&w, kgroup_sleep(under, &w, deadline));
		spin_lock(&g->lock);
		list_del_init(&n.list);
		spin_unlock(&g->lock);
	}
	if (under)
		kgroup_detach(under, &un);
	return r;
}

static int take_place(struct kgroup *g)
{
	if (g->cause)
		return join_error(g->cause);
	if (g->limit && g->members >= g->limit)
		return KCHAN_WAIT;
	g->members++;
	return 0;
}

/* Make @member, not born yet, a member of its parent @g. */
int kgroup_join(struct kgroup *g, struct kgroup *member, struct kgroup *under, s64 deadline)
{
	const struct kgroup_cause *cause;
	int r = kgroup_error_or(under, 0);

	if (r)
		return r;
	cause = cause_of(g);
	if (cause)
		return join_error(cause);
	r = wait_in(g, &g->joiners, take_place, under, deadline);
	if (r)
		return r;
	kchan_pause(join_has_place);
	r = mutex_lock_killable(&g->tree->lock);
	if (r)
		goto give_back;
	cause = cause_of(g);	/* its deadline counts even before its timer has fired */
	if (cause)
		r = join_error(cause);
	else if (kchan_killed())
		r = -EINTR;
	else
		link_or_end(member);
	mutex_unlock(&g->tree->lock);
give_back:
	if (r)
		count_out(g, 0);
	return r;
}

static int no_members(struct kgroup *g)
{
	return g->members ? KCHAN_WAIT : 0;
}

int kgroup_wait(struct kgroup *g, int *first_err, struct kgroup *under, s64 deadline)
{
	int r = wait_in(g, &g->idlers, no_members, under, deadline);

	*first_err = READ_ONCE(g->first_err);
	return r;
}

/* ---- what is seen ---- */

__poll_t kgroup_poll(struct kgroup *g, struct file *file, poll_table *pt)
{
	__poll_t mask = 0;

	poll_wait(file, &g->poll, pt);
	spin_lock(&g->lock);
	if (g->cause || kgroup_expired(g))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (!g->members)
		mask |= EPOLLOUT | EPOLLWRNORM;
	spin_unlock(&g->lock);
	return mask;
}

void kgroup_fill_info(struct kgroup *g, struct kchan_group_info *info)
{
	const struct kgroup_cause *cause;

	expire_if_free(g);
	memset(info, 0, sizeof(*info));
	info->id = g->id;
	info->parent_id = g->parent ? g->parent->id : 0;
	info->deadline = g->deadline == KTIME_MAX ? KCHAN_FOREVER :
			 kchan_deadline_to_user(g->deadline);
	info->limit = g->limit;
	info->children = READ_ONCE(g->nr_children);
	spin_lock(&g->lock);
	info->members = g->members;
	info->failed = g->failed;
	spin_unlock(&g->lock);
	cause = cause_of(g);
	if (!cause)
		return;
	info->children = 0;
	info->state = KCHAN_ENDED;
	info->err = cause->err;
	info->by_pid = cause->by ? pid_vnr(cause->by) : 0;
	strscpy(info->why, cause->why, sizeof(info->why));
}

int kgroup_init(void)
{
	kgroup_cache = KMEM_CACHE(kgroup, SLAB_ACCOUNT);
	if (!kgroup_cache)
		return -ENOMEM;
	kgroup_wq = alloc_workqueue("kchan_end", WQ_UNBOUND, 0);
	if (!kgroup_wq) {
		kmem_cache_destroy(kgroup_cache);
		return -ENOMEM;
	}
	return 0;
}

void kgroup_exit(void)
{
	destroy_workqueue(kgroup_wq);
	kmem_cache_destroy(kgroup_cache);
}
