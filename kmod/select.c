// SPDX-License-Identifier: GPL-2.0-only
/*
 * Select: exactly one of its cases, atomically.
 *
 * Probe all cases in random order, one channel lock at a time, before queueing; the first that
 * is ready is chosen. If all would wait, a select with CHAN_NOW returns -EAGAIN only if no
 * channel's seq has risen since its probe, which means that nothing was ready at the instant
 * of the last probe:
 *
 *   select			peers
 *
 *   probes a: not ready
 *				a message comes to a: a's seq rises
 *				a message leaves b
 *   probes b: not ready
 *   a's seq has risen: probes again
 *
 * Other selects queue on each channel, trying once more under its lock, until a peer has chosen
 * them; then they sleep, and unlink their nodes everywhere. They don't probe before that if the
 * fast path, which looks at the channels without their locks (select_fast.c), has found no case
 * that looks ready. With CHAN_NOW that path may know for certain that none is.
 *
 * On busy channels the probes may never agree. After PROBES rounds a select with CHAN_NOW queues
 * as the others do and gives up at once: if no peer has chosen it when it is queued everywhere,
 * nothing was ready at that instant.
 *
 * Polled files of other kinds are asked in their turn. None of our locks stops them from
 * changing: such a case is chosen if the file is ready when asked and no peer has chosen
 * the select by then.
 */
#include "select.h"

#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/module.h>

#include "args.h"
#include "chan.h"
#include "compat.h"
#include "fd.h"
#include "group.h"
#include "pause.h"
#include "ring.h"
#include "wait.h"

#define PROBES	4	/* rounds */

static u32 below(struct sel *s, u32 n)
{
	s->rnd = s->rnd * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((s->rnd >> 32) * n) >> 32;
}

/* The case to try as number @k of @n, by one step of a Fisher-Yates shuffle. */
static unsigned int pick(struct sel *s, unsigned int k, unsigned int n)
{
	if (!s->prio) {
		unsigned int j = k + below(s, n - k);

		swap(s->cs[k].order, s->cs[j].order);
	}
	return s->cs[k].order;
}

/* Under the channel's lock. */
static int try_case(struct sel *s, struct sel_case *k, struct kchan_wake *wk)
{
	if (k->broken)
		return kchan_commit_self(&s->w) ? k->broken : KCHAN_GONE;
	if (k->op == KCHAN_SEND)
		return kchan_try_send(k->c, k->out, &s->w, wk);
	return kchan_try_recv(k->c, &k->node, &s->in, &s->w, &s->w.holder, wk);
}

static void flush_case(struct sel_case *k, struct kchan_wake *wk, int res)
{
	kchan_flush(k->c, wk, wk->refilled || (k->op == KCHAN_SEND && res >= 0),
		    k->op == KCHAN_RECV && res >= 0);
}

static bool found(struct sel *s, unsigned int i, int res)
{
	s->w.fired = i;
	s->w.res = res;
	return true;
}

/* Try one case: true if it was chosen (s->w has its index and result), false if not ready. */
static bool probe(struct sel *s, unsigned int i)
{
	struct sel_case *k = &s->cs[i];
	struct kchan_wake wk kchan_uninitialized;
	int r;

	if (k->op == KCHAN_POLL)
		return sel_sample(s, k) && found(s, i, 0);
	kchan_wake_init(&wk);
	spin_lock(&k->c->lock);
	r = try_case(s, k, &wk);
	k->seq = k->c->seq;
	spin_unlock(&k->c->lock);
	if (r == KCHAN_WAIT)
		return false;
	flush_case(k, &wk, r);
	return found(s, i, r);
}

/* Has the seq of any channel risen since it was probed? */
static bool changed(struct sel *s)
{
	unsigned int i;

	smp_rmb();	/* the probes' reads before these */
	for (i = 0; i < s->n; i++)
		if (s->cs[i].c && READ_ONCE(s->cs[i].c->seq) != s->cs[i].seq)
			return true;
	return false;
}

static bool is_disabled(const struct sel_case *k)
{
	return !k->op;
}

/*
 * Returns 0 if a case was chosen; KCHAN_WAIT if none was ready, with @exact at one instant;
 * KCHAN_BUSY if none was ready, each at another instant.
 */
int sel_probe(struct sel *s, bool exact)
{
	unsigned int rounds, k, i;

	for (rounds = 0; rounds < PROBES; rounds++) {
		for (k = 0; k < s->n; k++) {
			i = pick(s, k, s->n);
			if (!is_disabled(&s->cs[i]) && probe(s, i))
				return 0;
			kchan_pause(select_probed);
		}
		if (!exact || !changed(s))
			return KCHAN_WAIT;
		cond_resched();
	}
	return KCHAN_BUSY;
}

/*
 * The case that has parked a node for the channel and direction of case @i; if there is none,
 * NULL, and case @i will be that for those that follow. They are found in a hash with two slots
 * for each case.
 */
static struct sel_case *parked_before(struct sel *s, unsigned int i)
{
	struct sel_case *k = &s->cs[i], *other;
	u32 slots = 2 * s->n;
	u32 at = ((u64)hash_long((unsigned long)k->c + k->op, 32) * slots) >> 32;

	for (;; at = at + 1 == slots ? 0 : at + 1) {
		u16 *seen = &s->cs[at / 2].seen[at % 2];

		if (!*seen) {
			*seen = i + 1;
			return NULL;
		}
		other = &s->cs[*seen - 1];
		if (other->c == k->c && other->op == k->op)
			return other;
	}
}

/*
 * One node stands for all receives of a select from a channel, and one for all its sends. Of
 * receives, it has the index and room of the one with the most room. c->lock is held.
 */
static void join_parked(struct sel_case *before, const struct sel_case *k)
{
	struct kchan_node *n = &before->node;

	if (list_empty(&n->list))
		return;
	n->cases++;
	if (k->op == KCHAN_RECV && k->node.room >= n->room && k->node.fd_room >= n->fd_room) {
		n->idx = k->node.idx;
		n->room = k->node.room;
		n->fd_room = k->node.fd_room;
	}
}

/*
 * Try a case once more and park it if it is not ready (SEL_QUEUED). Walks of the queue pass one
 * node for a channel and direction, however many cases of the select name them; it may be
 * chosen for any of these cases.
 */
static enum sel_how enqueue_one(struct sel *s, unsigned int i, struct sel_case *before)
{
	struct sel_case *k = &s->cs[i];
	struct kchan_wake wk kchan_uninitialized;
	int r;

	kchan_wake_init(&wk);
	spin_lock(&k->c->lock);
	r = try_case(s, k, &wk);
	if (r == KCHAN_WAIT && before) {
		join_parked(before, k);
	} else if (r == KCHAN_WAIT) {
		kchan_link(k->op == KCHAN_SEND ? &k->c->sendq : &k->c->recvq, &k->node);
		k->node.cases = 1;
		WRITE_ONCE(k->parked, true);
		kchan_add(k->c->seq, 1);
		if (k->op == KCHAN_SEND && k->c->recvq.n && !s->w.trial)
			kchan_meet(k->c, &wk);
	}
	if (r == KCHAN_WAIT) {
		if (k->op == KCHAN_SEND)
			unlock_and_poke(k->c, &k->c->rx_poll, !before, EPOLLIN | EPOLLRDNORM);
		else
			unlock_and_poke(k->c, &k->c->tx_poll, !before, EPOLLOUT | EPOLLWRNORM);
		if (unlikely(wk.n || wk.drained))
			kchan_flush(k->c, &wk, false, false);
		return SEL_QUEUED;
	}
	spin_unlock(&k->c->lock);
	flush_case(k, &wk, r == KCHAN_GONE ? -EAGAIN : r);
	if (r == KCHAN_GONE)
		return SEL_CHOSEN;
	found(s, i, r);
	return SEL_FOUND;
}

/* A polled file is ready: choose its case, unless a peer was first. */
static enum sel_how commit_poll(struct sel *s, unsigned int i)
{
	if (!kchan_commit_self(&s->w))
		return SEL_CHOSEN;
	found(s, i, 0);
	return SEL_FOUND;
}

static enum sel_how watch_one(struct sel *s, unsigned int i)
{
	int events = sel_watch(s, &s->cs[i]);

	if (events < 0)
		return SEL_FAILED;
	return events ? commit_poll(s, i) : SEL_QUEUED;
}

/*
 * Queue the first @n cases in their order. @apart: no two cases of the select name the same
 * channel, so that none has to share a node.
 */
static enum sel_how enqueue(struct sel *s, unsigned int n, bool apart)
{
	unsigned int k, i;
	enum sel_how how;

	s->w.queued = true;
	for (k = 0; k < n; k++) {
		i = pick(s, k, n);
		if (is_disabled(&s->cs[i]))
			continue;
		if (s->cs[i].c)
			how = enqueue_one(s, i, apart || s->n == 1 ? NULL : parked_before(s, i));
		else
			how = watch_one(s, i);
		if (how != SEL_QUEUED)
			return how;
		kchan_pause(select_queued);
		if (smp_load_acquire(&s->w.state) != KCHAN_PENDING)
			return SEL_CHOSEN;
	}
	return SEL_QUEUED;
}

/*
 * Queue on every channel and file (SEL_QUEUED), unless a case turns out to be ready on the way
 * (SEL_FOUND), or a peer has chosen the select, or its group aborted it, meanwhile (SEL_CHOSEN).
 */
enum sel_how sel_enqueue(struct sel *s)
{
	kchan_holder_parks(&s->w.holder);
	return enqueue(s, s->n, false);
}

/*
 * The same, for a select that is armed again and whose cases name different channels, of the
 * first @n in their order alone. The others stand in their queues.
 */
enum sel_how sel_enqueue_some(struct sel *s, unsigned int n)
{
	return enqueue(s, n, true);
}

/* Unlink all nodes: no peer can reach the select after this, and its result is final. */
void sel_dequeue(struct sel *s)
{
	unsigned int i;

	sel_unwatch(s);
	for (i = 0; i < s->n; i++) {
		struct sel_case *k = &s->cs[i];

		/* an armed select may be parking this case now; whoever parks takes it back */
		if (!READ_ONCE(k->parked))
			continue;
		spin_lock(&k->c->lock);
		kchan_unlink(&k->node);
		spin_unlock(&k->c->lock);
	}
}

/* Some polled file may be ready: ask all of them, in random order. */
static enum sel_how sample_all(struct sel *s)
{
	unsigned int k, i;

	for (k = 0; k < s->n; k++) {
		i = pick(s, k, s->n);
		if (s->cs[i].op == KCHAN_POLL && sel_sample(s, &s->cs[i]))
			return commit_poll(s, i);
	}
	return SEL_QUEUED;
}

/*
 * Sleep until a case was chosen: 0, else the error that ended the wait. A polled file must not
 * become ready unseen:
 *
 *   sleep_any()			a poll queue, from any context
 *
 *   poked = false
 *   smp_mb()
 *   asks the files			makes the file ready
 *   sleeps unless poked		poked = true; wakes the task
 *
 * A file that becomes ready after it was asked sets poked after it was cleared.
 */
static int sleep_any(struct sel *s, struct kgroup *under, s64 deadline)
{
	int err;

	for (;;) {
		err = kgroup_sleep(under, &s->w, deadline);
		kchan_pause(select_woken);
		/* a file may have become ready in time and not been asked since */
		if (err == -ETIMEDOUT && s->polls && sample_all(s) == SEL_FOUND)
			return 0;
		if (err || !s->polls || smp_load_acquire(&s->w.state) != KCHAN_PENDING)
			return kchan_waiter_settle(&s->w, err);
		WRITE_ONCE(s->w.poked, false);
		smp_mb();	/* before the files are asked; see above */
		kchan_pause(select_unpoked);
		if (sample_all(s) == SEL_FOUND)
			return 0;
		kchan_pause(select_sampled);
		err = kchan_deadline_error(deadline);	/* if poked all the time it never sleeps */
		if (err)
			return kchan_waiter_settle(&s->w, err);
	}
}

/* Queue and wait: 0 if a case was chosen. @expired: 0, or the error to return instead of a wait. */
int sel_wait(struct sel *s, struct kgroup *under, s64 deadline, int expired)
{
	struct kgroup_node un;
	int err = under ? kgroup_attach(under, &un, &s->w) : 0;

	if (err)
		return err;

	s->w.trial = expired;
	switch (sel_enqueue(s)) {
	case SEL_FOUND:	/* even if the group has ended since */
		break;
	case SEL_QUEUED:
		err = expired ? kchan_waiter_settle(&s->w, expired) : sleep_any(s, under, deadline);
		break;
	case SEL_CHOSEN:
		err = kchan_waiter_settle(&s->w, 0);
		break;
	case SEL_FAILED:
		err = kchan_waiter_settle(&s->w, -ENOMEM);
		break;
	}
	sel_dequeue(s);
	if (under)
		kgroup_detach(under, &un);
	return err;
}

/* A receive was chosen: copy its message out. It is requeued only if it can't be stored. */
int sel_deliver(struct sel *s, struct kchan_mem *dst)
{
	if (s->w.res < 0)
		return s->w.res;
	return kchan_deliver(s->cs[s->w.fired].c, &s->in, dst);
}

/* A case was chosen: store its results. */
int sel_finish(struct sel *s)
{
	unsigned int i = s->w.fired;
	struct sel_case *k = &s->cs[i];
	int res = s->w.res;

	if (k->op == KCHAN_POLL)
		sel_put_revents(s, i, k->revents);
	if (k->op == KCHAN_RECV) {
		struct kchan_mem dst = {
			.buf = k->buf, .fds = k->fds, .nfds = k->node.fd_room,
		};

		res = sel_deliver(s, &dst);
		if (res == -EINTR)
			return res;
		if (res >= 0)
			sel_put_len(s, i, res, dst.nfds);
	}
	sel_put_res(s, i, res);
	return i;
}

/* Store the number of a new descriptor at @where, and only then install it. */
static int handle_fd(s32 __user *where)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;
	int err = 0;

	if (fd < 0)
		return fd;
	file = anon_inode_getfile("[kchan:select]", &kchan_handle_fops, NULL, O_RDWR);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
	} else if (put_user(fd, where)) {
		fput(file);
		err = -EFAULT;
	}
	if (err)
		put_unused_fd(fd);
	else
		fd_install(fd, file);
	return err;
}

/* Is a select, which would wait, to do so on a handle? KCHAN_USE_HANDLE, 0, or an error. */
static int want_handle(const struct kchan_select *a, s32 __user *handle)
{
	int err;

	if (!handle || !(a->flags & KCHAN_MAY_HANDLE) || !kchan_shared_fds())
		return 0;
	err = handle_fd(handle);
	if (!err)
		return KCHAN_USE_HANDLE;
	/* if no descriptor is left: wait on the one that the call came on */
	return err == -EFAULT ? err : 0;
}

/*
 * One that has looked at its cases does not probe before it queues: it tries each case then. If
 * it must not wait by then, it probes.
 */
static int select_run(struct sel *s, struct kchan_select *a, struct kgroup *under,
		      s32 __user *handle)
{
	int r = sel_load(s), expired;

	if (!r)
		r = kgroup_error_or(under, 0);
	if (r)
		return r;
	expired = kchan_deadline_error(a->deadline);
	r = s->looked && !expired ? KCHAN_WAIT : sel_probe(s, expired);
	if (r) {
		if (expired && r == KCHAN_WAIT)
			return kgroup_error_or(under, expired);
		r = expired ? 0 : want_handle(a, handle);
		if (r)
			return r;
		r = sel_wait(s, under, a->deadline, expired);
	}
	if (!r && s->w.res < 0)		/* a shut: the group may have ended before that */
		r = kgroup_error_or(under, 0);
	return r ?: sel_finish(s);
}

static noinline long select_slow(struct kchan_select *a, struct kgroup *under, s32 __user *handle,
				 bool no_poll, bool compat, bool looked)
{
	struct sel s kchan_uninitialized;
	long r;

	memset(&s, 0, sizeof(s));
	if (!sel_init(&s, u64_to_user_ptr(a->cases), a->n, a->flags & KCHAN_PRIO, a->tag, compat))
		return -ENOMEM;
	s.no_poll = no_poll;
	s.looked = looked;
	r = select_run(&s, a, under, handle);
	if (r >= 0 && r < a->n)
		a->peer_tag = sel_peer_tag(&s);
	sel_destroy(&s);
	return r;
}

/* @handle: where to store the number of a handle to wait on; NULL if none is needed. */
long kchan_select_args(struct kchan_select *a, struct kgroup *under, s32 __user *handle,
		       bool no_poll, bool compat)
{
	return select_slow(a, under, handle, no_poll, compat, false);
}

/* If no case looks ready, one that is to wait on a handle gets it before its cases are loaded. */
static long select_new(struct kchan_select *a, struct kgroup *under, s32 __user *handle,
		       bool compat)
{
	long err, r = KCHAN_WAIT;

	if (!compat && !a->tag && BITS_PER_LONG == 64)
		r = kchan_select_ready(a, under);
	if (r != KCHAN_WAIT && r != KCHAN_IDLE)
		return r;
	if (r == KCHAN_IDLE && handle && !kchan_deadline_error(a->deadline)) {
		err = kgroup_error_or(under, 0) ?: want_handle(a, handle);
		if (err)
			return err;
		handle = NULL;
	}
	return select_slow(a, under, handle, false, compat, r == KCHAN_IDLE);
}

/* @bare: it may wait on this descriptor. @handle: it is a handle, so the cases were looked at. */
static long select_on(unsigned int cmd, unsigned long arg, bool bare, bool handle)
{
	bool compat = in_compat_syscall();
	struct kchan_select __user *ua = (struct kchan_select __user *)arg;
	struct kchan_select a;
	struct kgroup *under;
	long r = kchan_args(&a, sizeof(a), KCHAN_SELECT_V1, cmd, arg);

	if (r)
		return r;
	if (a.flags & ~(KCHAN_PRIO | KCHAN_MAY_HANDLE) || a.handle || a.peer_tag ||
	    a.n > KCHAN_MAX_CASES)
		return -EINVAL;
	under = kgroup_under(a.under);
	if (IS_ERR(under))
		return PTR_ERR(under);
	r = handle ? select_slow(&a, under, NULL, false, compat, true) :
	    select_new(&a, under, bare ? NULL : &ua->handle, compat);
	if (a.tag && r >= 0 && r < a.n)
		put_user(a.peer_tag, &ua->peer_tag);
	if (under)
		kgroup_put(under);
	return r;
}

long kchan_select(unsigned int cmd, unsigned long arg, bool bare)
{
	return select_on(cmd, arg, bare, false);
}

/* A bare descriptor for a select that waits; see struct kchan_select. */
static long handle_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (KCHAN_BARE(cmd) == KCHAN_BARE(KCHAN_IOC_SELECT))
		return select_on(cmd, arg, true, true);
	return kchan_ioctl_any(cmd, arg, true, false);
}

const struct file_operations kchan_handle_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = handle_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
