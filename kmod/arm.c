// SPDX-License-Identifier: GPL-2.0-only
/*
 * Armed selects: parked selects that stand for themselves as descriptors. No task sleeps for
 * one; the peer that completes it makes the descriptor readable. It holds references to channels
 * and not to files, so it can't be part of a cycle, and closing an end acts at once.
 *
 * References (waiter.ref): the file, a wake-up under way, the work, and selects that poll it.
 *
 * Armed again
 * ===========
 *
 * With KCHAN_REARM the nodes of the other cases stay in their queues when one is done, stale as
 * those of any select that was chosen. Nobody is matched with them, and who looks for a peer
 * unlinks what stale nodes it meets (kchan_unlink_stale()), so that the next one does not meet
 * them again; it leaves them in waiter.out. Therefore, and as whoever changes a channel so that
 * parked calls could go on looks at all of them:
 *
 *   What is still in a queue when the select is armed again, nothing could be matched with.
 *
 * Such a node has its place and costs nothing. Those in waiter.out are tried and parked anew,
 * at the ends of their queues, and so is the case that was done. The owner writes PENDING under
 * waiter.lock, and a node is unlinked as stale under that lock, too:
 *
 *   the owner			a peer, with the lock of some channel
 *
 *				finds the node, its waiter is DONE
 *   takes waiter.out
 *   writes PENDING
 *				takes waiter.lock: it is PENDING, the node stays
 *
 * or the peer comes first and the owner finds the node in waiter.out.
 *
 * This holds if no other case names the same channel: a select is not matched with itself, and
 * one node would stand for all of them. If some do, all cases are queued anew.
 *
 * The peer that completed it may not have come to ->done() when it is armed again and another
 * one completes it. The second can't have it in its list; it has a work wake the pollers.
 */
#include "select.h"

#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "args.h"
#include "async.h"
#include "chan.h"
#include "fd.h"
#include "msg.h"
#include "pause.h"
#include "wait.h"

/* There may be many cases to unlink: deadlines and the ends of groups don't queue behind them. */
static struct workqueue_struct *unpark_wq;

enum { UNFETCHED, FETCHING, FETCHED, REARMING };

struct kchan_armed {
	struct sel s;			/* first: the waiter */
	atomic_t phase;
	wait_queue_head_t poll;
	struct work_struct work;	/* unlinks the other cases, or wakes pollers */
	bool apart;			/* each case names another channel */
	bool some_out;			/* cases beside the one that was done are not queued */
};

static struct kchan_armed *armed_of(struct kchan_waiter *w)
{
	return container_of(w, struct kchan_armed, s.w);
}

static bool fired(struct kchan_armed *a)
{
	return smp_load_acquire(&a->s.w.state) == KCHAN_DONE;
}

/*
 * Is there something to fetch? The phase is read first: if it was armed again in between, it
 * has fired again.
 */
static bool has_result(struct kchan_armed *a)
{
	int phase = atomic_read_acquire(&a->phase);

	return (phase == UNFETCHED || phase == FETCHING) && fired(a);
}

static void wake_pollers(struct kchan_armed *a)
{
	wake_up_interruptible_poll(&a->poll, EPOLLIN | EPOLLRDNORM);
}

struct kchan_armed *kchan_armed_get(struct kchan_armed *a)
{
	refcount_inc(&a->s.w.ref);
	return a;
}

void kchan_armed_put(struct kchan_armed *a)
{
	if (!refcount_dec_and_test(&a->s.w.ref))
		return;
	sel_destroy(&a->s);
	kfree(a);
}

static void unpark_work(struct work_struct *work)
{
	struct kchan_armed *a = container_of(work, struct kchan_armed, work);

	kchan_pause(unpark);
	sel_dequeue(&a->s);
	kchan_armed_put(a);
}

static void wake_work(struct work_struct *work)
{
	struct kchan_armed *a = container_of(work, struct kchan_armed, work);

	wake_pollers(a);
	kchan_armed_put(a);
}

/* In place of armed_done(), if that has not come yet for the time before. Under the locks. */
static void armed_again(struct kchan_waiter *w)
{
	struct kchan_armed *a = kchan_armed_get(armed_of(w));

	if (!queue_work(unpark_wq, &a->work))
		refcount_dec(&w->ref);	/* not the last: armed_done() has one */
}

/*
 * A peer has completed a case and unlinked its node. The other nodes are unlinked later by a
 * work, as the peer should not pay for a thousand of them.
 */
static void armed_done(struct kchan_waiter *w)
{
	struct kchan_armed *a = armed_of(w);

	kchan_pause(armed_done);
	if (a->s.rearms) {
		spin_lock(&w->lock);
		w->listed = false;
		spin_unlock(&w->lock);
	}
	wake_pollers(a);
	if (a->s.n > 1 && !a->s.rearms)
		queue_work(unpark_wq, &a->work);	/* which takes over the reference */
	else
		kchan_armed_put(a);
}

/* A select that polls it does not keep it open: EPOLLHUP tells that it was closed unfired. */
__poll_t kchan_armed_poll(struct kchan_armed *a, struct file *file, poll_table *pt)
{
	poll_wait(file, &a->poll, pt);
	if (smp_load_acquire(&a->s.w.state) == KCHAN_ABORTED)
		return EPOLLHUP;
	return has_result(a) ? EPOLLIN | EPOLLRDNORM : 0;
}

static __poll_t armed_poll(struct file *file, poll_table *pt)
{
	return kchan_armed_poll(file->private_data, file, pt);
}

static int armed_fasync(int fd, struct file *file, int on)
{
	struct kchan_armed *a = file->private_data;

	return kchan_fasync(fd, file, on, &a->poll);
}

/* Unlink all cases. A message that was received and not fetched is requeued. */
static int armed_release(struct inode *inode, struct file *file)
{
	struct kchan_armed *a = file->private_data;
	struct sel *s = &a->s;

	kchan_pause(armed_release);
	kchan_fasync_gone(file, &a->poll);
	if (kchan_abort(&s->w, -ECANCELED, false))
		kchan_wake_pollers(&a->poll, EPOLLHUP);
	sel_dequeue(s);
	if (fired(a) && atomic_read(&a->phase) == UNFETCHED &&
	    s->cs[s->w.fired].op == KCHAN_RECV && s->w.res >= 0)
		kchan_requeue(s->cs[s->w.fired].c, &s->in);
	kchan_armed_put(a);
	return 0;
}

/*
 * Copy the received message into the buffer that @k names now. The message stays here until
 * that has succeeded.
 */
static int fetch(struct kchan_armed *a, const struct kchan_case *k)
{
	struct sel *s = &a->s;
	struct kchan_mem dst = {
		.buf = (void __force __user *)k->msg.buf,
		.fds = (void __force __user *)k->msg.fds, .nfds = k->msg.nfds,
	};
	int err;

	if (s->in.len > k->msg.len || kchan_nfds(s->in.pkt) > k->msg.nfds)
		return -EMSGSIZE;
	err = kchan_store(&s->in, &dst);
	if (err)
		return err;
	atomic64_inc(&s->cs[s->w.fired].c->received);
	kchan_payload_free(&s->in);
	sel_put_len(s, s->w.fired, s->in.len, dst.nfds);
	return 0;
}

static long do_fired(struct kchan_armed *a, unsigned int cmd, unsigned long arg)
{
	struct sel *s = &a->s;
	struct kchan_arm f;
	struct kchan_case k;
	unsigned int i;
	long r = kchan_args(&f, sizeof(f), KCHAN_ARM_V1, cmd, arg);

	if (r)
		return r;
	if (f.flags || f.reserved || f.n != s->n)
		return -EINVAL;
	if (!fired(a))
		return -EAGAIN;
	kchan_pause(armed_fired);
	switch (atomic_cmpxchg(&a->phase, UNFETCHED, FETCHING)) {
	case FETCHED:
		return -EALREADY;
	case FETCHING:	/* by another thread, which may still fail */
	case REARMING:
		return -EAGAIN;
	}
	kchan_pause(armed_fetching);
	if (!fired(a)) {	/* any more: it was fetched and armed again meanwhile */
		r = -EAGAIN;
		goto unfetched;
	}
	s->compat = in_compat_syscall();
	s->ucases = u64_to_user_ptr(f.cases);
	i = s->w.fired;
	r = sel_get_case(s, i, &k);
	if (!r)
		r = sel_put_res(s, i, s->w.res);
	if (!r && s->cs[i].op == KCHAN_RECV && s->w.res >= 0)
		r = fetch(a, &k);
	if (!r && f.tag)
		put_user(sel_peer_tag(s), &((struct kchan_arm __user *)arg)->tag);
	if (!r) {
		atomic_set_release(&a->phase, FETCHED);
		return i;
	}
unfetched:
	atomic_set_release(&a->phase, UNFETCHED);
	wake_pollers(a);
	return r;
}

/* Does each case name another channel? */
static bool all_apart(struct sel *s)
{
	u32 at, slots = 2 * s->n;
	unsigned int i;
	u16 *seen = kvcalloc(slots, sizeof(*seen), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	bool apart = seen;

	for (i = 0; apart && i < s->n; i++) {
		struct kchan *c = s->cs[i].c;

		if (!c)
			continue;
		at = ((u64)hash_long((unsigned long)c, 32) * slots) >> 32;
		while (seen[at] && s->cs[seen[at] - 1].c != c)
			at = at + 1 == slots ? 0 : at + 1;
		apart = !seen[at];
		seen[at] = i + 1;
	}
	kvfree(seen);
	return apart;
}

/* The same after case @i has come to name another channel. */
static bool still_apart(struct sel *s, unsigned int i)
{
	unsigned int k;

	for (k = 0; s->cs[i].c && k < s->n; k++)
		if (s->cs[k].c == s->cs[i].c && k != i)
			return false;
	return true;
}

/* Unlink all cases, to queue them as if they never were. */
static void queue_none(struct sel *s)
{
	unsigned int i;

	sel_dequeue(s);
	s->w.out = NULL;
	for (i = 0; i < s->n; i++) {
		struct sel_case *k = &s->cs[i];

		k->order = i;
		k->parked = false;
		memset(k->seen, 0, sizeof(k->seen));
		k->node.idx = i;
		k->node.room = k->room;
		k->node.fd_room = k->fd_room;
	}
}

static void pending_again(struct kchan_armed *a)
{
	struct kchan_waiter *w = &a->s.w;
	struct kchan_node *n;

	spin_lock(&w->lock);
	for (n = w->out; n; n = n->next_out) {
		container_of(n, struct sel_case, node)->parked = false;
		a->some_out = true;
	}
	w->out = NULL;
	waiter_to_pending_again(w);
	spin_unlock(&w->lock);
	kchan_pause(armed_pending);
}

/* Those that are to be parked anew come first in the order: case @i, and others that are out. */
static unsigned int pick_out(struct kchan_armed *a, unsigned int i)
{
	struct sel *s = &a->s;
	unsigned int k, m = 0;

	if (!a->some_out) {
		s->cs[0].order = i;
		return s->cs[i].c ? 1 : 0;
	}
	for (k = 0; k < s->n; k++)
		if (s->cs[k].c && !s->cs[k].parked)
			s->cs[m++].order = k;
	return m;
}

/* Case @i was taken anew: park it, and what has been taken out of its queue. */
static void park_again(struct kchan_armed *a, unsigned int i)
{
	struct sel *s = &a->s;

	kchan_holder_parks(&s->w.holder);
	if (!a->apart)
		queue_none(s);
	s->cs[i].parked = false;
	pending_again(a);
	a->some_out = (a->apart ? sel_enqueue_some(s, pick_out(a, i)) : sel_enqueue(s)) !=
		      SEL_QUEUED;
}

static long do_rearm(struct kchan_armed *a, unsigned int cmd, unsigned long arg)
{
	struct sel *s = &a->s;
	struct kchan_arm f;
	struct kchan *was;
	unsigned int i;
	long r = kchan_args(&f, sizeof(f), KCHAN_ARM_V1, cmd, arg);

	if (r)
		return r;
	if (f.flags || f.reserved || f.n != s->n || !s->rearms)
		return -EINVAL;
	switch (atomic_cmpxchg(&a->phase, FETCHED, REARMING)) {
	case UNFETCHED:
	case FETCHING:
		return fired(a) ? -EBUSY : -EAGAIN;
	case REARMING:	/* by another thread */
		return -EAGAIN;
	}
	kchan_pause(armed_rearming);
	s->compat = in_compat_syscall();
	s->ucases = u64_to_user_ptr(f.cases);
	i = s->w.fired;
	was = s->cs[i].c;
	r = sel_load_again(s, i, f.tag);
	if (r) {
		atomic_set_release(&a->phase, FETCHED);
		return r;
	}
	s->in.tag = f.tag;
	if (a->apart && s->cs[i].c != was)
		a->apart = still_apart(s, i);
	park_again(a, i);
	atomic_set_release(&a->phase, UNFETCHED);
	smp_mb();	/* a poller that a peer wakes from here on sees the phase */
	if (fired(a))
		wake_pollers(a);
	return i;
}

static long armed_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (KCHAN_BARE(cmd)) {
	case KCHAN_BARE(KCHAN_IOC_FIRED):
		return do_fired(file->private_data, cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_REARM):
		return do_rearm(file->private_data, cmd, arg);
	default:
		return kchan_ioctl_any(cmd, arg, false, false);
	}
}

static void armed_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct kchan_armed *a = file->private_data;
	static const char * const phases[] = { "fired", "fired", "fetched", "fetched" };
	int phase = atomic_read_acquire(&a->phase);

	seq_printf(m, "kchan-role:\tarmed\nkchan-cases:\t%u\nkchan-state:\t%s\n", a->s.n,
		   fired(a) ? phases[phase] : "armed");
}

const struct file_operations kchan_armed_fops = {
	.owner = THIS_MODULE,
	.release = armed_release,
	.poll = armed_poll,
	.fasync = armed_fasync,
	.unlocked_ioctl = armed_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = armed_show_fdinfo,
};

/* Make an armed select, loaded and charged, not yet parked. */
static struct kchan_armed *armed_new(const struct kchan_arm *arm)
{
	struct kchan_armed *a;
	unsigned int i;
	int err;

	a = kzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!a)
		return ERR_PTR(-ENOMEM);
	if (!sel_init(&a->s, u64_to_user_ptr(arm->cases), arm->n, arm->flags & KCHAN_PRIO,
		      arm->tag, in_compat_syscall())) {
		kfree(a);
		return ERR_PTR(-ENOMEM);
	}
	a->s.no_poll = true;
	a->s.armed = true;
	a->s.w.task = NULL;
	a->s.w.done = armed_done;
	refcount_set(&a->s.w.ref, 1);
	init_waitqueue_head(&a->poll);
	a->s.rearms = arm->flags & KCHAN_REARM;
	if (a->s.rearms)
		a->s.w.again = armed_again;
	INIT_WORK(&a->work, a->s.rearms ? wake_work : unpark_work);
	err = sel_charge(&a->s, sizeof(*a));
	if (!err)
		err = sel_load(&a->s);
	for (i = 0; !err && i < a->s.n; i++) {
		err = a->s.cs[i].broken;	/* later nobody could be told */
		a->s.cs[i].room = a->s.cs[i].node.room;
		a->s.cs[i].fd_room = a->s.cs[i].node.fd_room;
	}
	if (!err) {
		a->apart = a->s.rearms && all_apart(&a->s);
		return a;
	}
	kchan_armed_put(a);
	return ERR_PTR(err);
}

static void armed_park(struct kchan_armed *a)
{
	struct sel *s = &a->s;

	if (sel_probe(s, false)) {
		if (sel_enqueue(s) == SEL_QUEUED)
			return;
		if (!s->rearms)
			sel_dequeue(s);
	} else {
		waiter_to_done(&s->w);
	}
	a->some_out = true;
}

long kchan_arm(unsigned int cmd, unsigned long arg)
{
	struct kchan_arm arm;
	struct kchan_armed *a;
	struct file *file;
	int fd, err = kchan_args(&arm, sizeof(arm), KCHAN_ARM_V1, cmd, arg);

	if (err)
		return err;
	if (arm.flags & ~(KCHAN_PRIO | KCHAN_REARM) || arm.reserved || arm.n > KCHAN_MAX_CASES)
		return -EINVAL;
	a = armed_new(&arm);
	if (IS_ERR(a))
		return PTR_ERR(a);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto put;
	file = anon_inode_getfile("[kchan:armed]", &kchan_armed_fops, a, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto put;
	}
	armed_park(a);	/* from here on nothing can fail */
	fd_install(fd, file);
	return fd;
put:
	kchan_armed_put(a);
	return fd;
}

int kchan_arm_init(void)
{
	unpark_wq = alloc_workqueue("kchan_unpark", WQ_UNBOUND, 8);
	return unpark_wq ? 0 : -ENOMEM;
}

void kchan_arm_exit(void)
{
	destroy_workqueue(unpark_wq);
}
