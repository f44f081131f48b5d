// SPDX-License-Identifier: GPL-2.0-only
/*
 * Armed selects: parked selects that stand for themselves as descriptors. No task sleeps for
 * one; the peer that completes it makes the descriptor readable. It holds references to channels
 * and not to files, so it can't be part of a cycle, and closing an end acts at once.
 *
 * References (waiter.ref): the file, a wake-up under way, the work that unlinks the other cases,
 * and selects that poll it.
 */
#include "select.h"

#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
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

enum { UNFETCHED, FETCHING, FETCHED };

struct kchan_armed {
	struct sel s;			/* first: the waiter */
	atomic_t phase;
	wait_queue_head_t poll;
	struct work_struct unpark;
};

static struct kchan_armed *armed_of(struct kchan_waiter *w)
{
	return container_of(w, struct kchan_armed, s.w);
}

static bool fired(struct kchan_armed *a)
{
	return smp_load_acquire(&a->s.w.state) == KCHAN_DONE;
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
	struct kchan_armed *a = container_of(work, struct kchan_armed, unpark);

	kchan_pause(unpark);
	sel_dequeue(&a->s);
	kchan_armed_put(a);
}

/*
 * A peer has completed a case and unlinked its node. The other nodes are unlinked later by a
 * work, as the peer should not pay for a thousand of them.
 */
static void armed_done(struct kchan_waiter *w)
{
	struct kchan_armed *a = armed_of(w);

	kchan_pause(armed_done);
	wake_up_interruptible_poll(&a->poll, EPOLLIN | EPOLLRDNORM);
	if (a->s.n > 1)
		queue_work(unpark_wq, &a->unpark);	/* which takes over the reference */
	else
		kchan_armed_put(a);
}

/* A select that polls it does not keep it open: EPOLLHUP tells that it was closed unfired. */
__poll_t kchan_armed_poll(struct kchan_armed *a, struct file *file, poll_table *pt)
{
	poll_wait(file, &a->poll, pt);
	if (smp_load_acquire(&a->s.w.state) == KCHAN_ABORTED)
		return EPOLLHUP;
	return fired(a) && atomic_read(&a->phase) != FETCHED ? EPOLLIN | EPOLLRDNORM : 0;
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
	switch (atomic_cmpxchg(&a->phase, UNFETCHED, FETCHING)) {
	case FETCHED:
		return -EALREADY;
	case FETCHING:	/* by another thread, which may still fail */
		return -EAGAIN;
	}
	kchan_pause(armed_fetching);
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
	atomic_set_release(&a->phase, r ? UNFETCHED : FETCHED);
	if (!r)
		return i;
	wake_up_interruptible_poll(&a->poll, EPOLLIN | EPOLLRDNORM);
	return r;
}

static long armed_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (KCHAN_BARE(cmd) == KCHAN_BARE(KCHAN_IOC_FIRED))
		return do_fired(file->private_data, cmd, arg);
	return kchan_ioctl_any(cmd, arg, false, false);
}

static void armed_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct kchan_armed *a = file->private_data;
	static const char * const phases[] = { "fired", "fired", "fetched" };

	seq_printf(m, "kchan-role:\tarmed\nkchan-cases:\t%u\nkchan-state:\t%s\n", a->s.n,
		   fired(a) ? phases[atomic_read(&a->phase)] : "armed");
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
	INIT_WORK(&a->unpark, unpark_work);
	err = sel_charge(&a->s, sizeof(*a));
	if (!err)
		err = sel_load(&a->s);
	for (i = 0; !err && i < a->s.n; i++)	/* later nobody could be told */
		err = a->s.cs[i].broken;
	if (!err)
		return a;
	kchan_armed_put(a);
	return ERR_PTR(err);
}

static void armed_park(struct kchan_armed *a)
{
	struct sel *s = &a->s;

	if (sel_probe(s, false)) {
		if (sel_enqueue(s) != SEL_QUEUED)
			sel_dequeue(s);
	} else {
		waiter_to_done(&s->w);
	}
}

long kchan_arm(unsigned int cmd, unsigned long arg)
{
	struct kchan_arm arm;
	struct kchan_armed *a;
	struct file *file;
	int fd, err = kchan_args(&arm, sizeof(arm), KCHAN_ARM_V1, cmd, arg);

	if (err)
		return err;
	if (arm.flags & ~KCHAN_PRIO || arm.reserved || arm.n > KCHAN_MAX_CASES)
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
