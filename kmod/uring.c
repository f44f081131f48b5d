// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands of io_uring: send, receive and select. A command that is ready completes inline.
 * Otherwise, on kernels where commands can be cancelled, it is parked as a select of one or
 * more cases, and returns -EIOCBQUEUED. On other kernels, and with IOSQE_ASYNC, an io-wq worker
 * waits in the call itself, where io_uring can cancel it.
 *
 * A parked command completes once, by whoever makes its waiter DONE or ABORTED: a peer, its
 * group, its deadline or a cancel. A cancel holds the ring's lock and finishes the command right
 * there. All others queue task work for the submitter, as only its task can reach the memory. The
 * submitter parks commands with the ring's lock held, so a cancel never sees one half parked.
 *
 * References (waiter.ref): the command, its deadline, a wake-up under way.
 */
#include "surface.h"

#include "args.h"
#include "chan.h"
#include "compat.h"
#include "deadline.h"
#include "fd.h"
#include "group.h"
#include "msg.h"
#include "pause.h"
#include "select.h"

/* A command as it is issued. */
struct issue {
	struct io_uring_cmd *cmd;
	unsigned int flags;
	unsigned int nr;		/* number of the ioctl */
	struct kchan_uring u;
	struct kgroup *under;
	s64 deadline;
	union {
		struct kchan_xfer x;
		struct kchan_select sel;
	};
};

/* Is the message, or the room for it, in a registered buffer? */
static bool fixed(const struct issue *is)
{
	return is->cmd->flags & IORING_URING_CMD_FIXED;
}

static int take_args(struct issue *is)
{
	unsigned int size = is->u.size;

	if (is->u.reserved || size > KCHAN_SHORT_MAX)
		return -EINVAL;
	if (is->nr == _IOC_NR(KCHAN_IOC_SELECT)) {
		int err = kchan_args(&is->sel, sizeof(is->sel), KCHAN_SELECT_V1,
				     _IOC(0, 0, 0, size), is->u.addr);

		if (err)
			return err;
		if (is->sel.flags & ~KCHAN_PRIO || is->sel.handle || is->sel.tag ||
		    is->sel.peer_tag || is->sel.n > KCHAN_MAX_CASES || fixed(is))
			return -EINVAL;
		is->deadline = is->sel.deadline;
		is->under = kgroup_under(is->sel.under);
	} else {
		int err = kchan_args(&is->x, sizeof(is->x), KCHAN_XFER_V1,
				     _IOC(0, 0, 0, size), is->u.addr);

		if (err)
			return err;
		if (is->x.flags || is->x.tag || is->x.peer_tag)
			return -EINVAL;
		is->deadline = is->x.deadline;
		is->under = kgroup_under(is->x.under);
	}
	return PTR_ERR_OR_ZERO(is->under);
}

static int import(struct issue *is, struct kchan_mem *mem, struct iov_iter *iter)
{
	int dir = is->nr == _IOC_NR(KCHAN_IOC_SEND) ? ITER_SOURCE : ITER_DEST;
	int err;

	memset(mem, 0, sizeof(*mem));
	mem->buf = u64_to_user_ptr(is->x.buf);
	if (!fixed(is))
		return 0;
	err = kchan_uring_import(is->x.buf, min_t(u64, is->x.len, INT_MAX), dir, iter, is->cmd,
				 is->flags);
	mem->iter = iter;
	return err;
}

static long try_send(struct issue *is, struct kchan *c, struct kchan_payload *p)
{
	struct kchan_mem src;
	struct iov_iter iter;
	long r;

	if (is->x.len > c->msg_max)
		return -EMSGSIZE;
	r = import(is, &src, &iter);
	if (r)
		return r;
	p->tag = 0;
	return kchan_load(c, p, &src, is->x.len);
}

/* Send or receive in the call itself, and wait until @deadline. */
static long transfer(struct issue *is, s64 deadline)
{
	struct kchan *c = is->cmd->file->private_data;
	struct kchan_payload p kchan_uninitialized;
	struct kchan_mem dst;
	struct iov_iter iter;
	long r;

	if (is->nr == _IOC_NR(KCHAN_IOC_SEND)) {
		r = try_send(is, c, &p);
		return r ?: kchan_send(c, &p, is->under, deadline);
	}
	r = import(is, &dst, &iter);
	if (r)
		return r;
	return kchan_recv(c, min_t(u64, is->x.len, INT_MAX), &dst, NULL, is->under, deadline);
}

/* Run any command in the call itself. */
static long uring_run(struct issue *is, s64 deadline)
{
	if (is->nr != _IOC_NR(KCHAN_IOC_SELECT))
		return transfer(is, deadline);
	is->sel.deadline = deadline;
	return kchan_select_args(&is->sel, is->under, NULL, true, kchan_uring_compat(is->flags));
}

#if KCHAN_URING_PARK

/* A parked command. */
struct kchan_op {
	struct sel s;			/* first: the waiter */
	struct io_uring_cmd *cmd;
	unsigned int nr;
	struct kgroup *under;
	struct kgroup_node un;
	bool timed;
	struct kchan_due due;		/* holds a reference */
	struct kchan_mem dst;
	struct iov_iter iter;
};

static struct kchan_op *op_of(struct kchan_waiter *w)
{
	return container_of(w, struct kchan_op, s.w);
}

static struct kchan_op **pdu_of(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct kchan_op *);
}

static void op_put(struct kchan_op *op)
{
	if (!refcount_dec_and_test(&op->s.w.ref))
		return;
	sel_destroy(&op->s);
	if (op->under)
		kgroup_put(op->under);
	kfree(op);
}

/* The result of the command. @dead: the memory of its task can't be reached any more. */
static long result(struct kchan_op *op, bool dead)
{
	struct sel *s = &op->s;
	struct sel_case *k = &s->cs[s->w.fired];

	if (s->w.state != KCHAN_DONE)
		return s->w.res;
	if (dead && k->op == KCHAN_RECV && s->w.res >= 0) {
		kchan_requeue(k->c, &s->in);
		return -ECANCELED;
	}
	if (op->nr == _IOC_NR(KCHAN_IOC_SELECT))
		return dead ? s->w.fired : sel_finish(s);
	return k->op == KCHAN_RECV ? sel_deliver(s, &op->dst) : s->w.res;
}

/* It has completed: unlink it everywhere, and post the result. */
static void finish(struct kchan_op *op, unsigned int issue_flags, bool dead)
{
	kchan_pause(uring_finish);
	if (op->timed && kchan_due_cancel(&op->due))
		op_put(op);	/* never the last reference */
	sel_dequeue(&op->s);
	if (op->under)
		kgroup_detach(op->under, &op->un);
	kchan_uring_done(op->cmd, result(op, dead), issue_flags);
	op_put(op);
}

static void finish_in_task(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead)
{
	finish(*pdu_of(cmd), issue_flags, dead);
}

KCHAN_URING_TASK_WORK(finish_in_task)

/*
 * It is about to be DONE or ABORTED, under the lock that protects its state. The task work is
 * queued here and not later: a submitter that exits looks for its commands again and again, and
 * with a real-time policy could keep the caller from running that it waits for.
 */
static void op_kick(struct kchan_waiter *w)
{
	io_uring_cmd_complete_in_task(op_of(w)->cmd, finish_in_task_work);
}

static void op_done(struct kchan_waiter *w)
{
	op_put(op_of(w));
}

static void uring_due(struct kchan_due *due)
{
	struct kchan_op *op = container_of(due, struct kchan_op, due);

	kchan_pause(uring_due);
	kchan_abort(&op->s.w, -ETIMEDOUT, true);
	op_put(op);
}

/* Load the send or receive of @is as a select of one case. */
static int load_transfer(struct kchan_op *op, struct issue *is)
{
	struct kchan *c = is->cmd->file->private_data;
	struct sel_case *k = &op->s.cs[0];

	kref_get(&c->ref);
	k->c = c;
	k->node.waiter = &op->s.w;
	INIT_LIST_HEAD(&k->node.list);
	if (is->nr == _IOC_NR(KCHAN_IOC_SEND)) {
		k->op = KCHAN_SEND;
		op->s.outs = kvcalloc(1, sizeof(*op->s.outs), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!op->s.outs)
			return -ENOMEM;
		k->out = k->node.out = op->s.outs;
		return try_send(is, c, k->out);
	}
	k->op = KCHAN_RECV;
	k->node.room = min_t(u64, is->x.len, INT_MAX);
	return import(is, &op->dst, &op->iter);
}

static struct kchan_op *op_new(struct issue *is)
{
	bool select = is->nr == _IOC_NR(KCHAN_IOC_SELECT);
	unsigned int n = select ? is->sel.n : 1;
	struct kchan_op *op;
	int err = -ENOMEM;
	void __user *cases = NULL;

	op = kzalloc(sizeof(*op), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!op)
		return ERR_PTR(-ENOMEM);
	if (select)
		cases = u64_to_user_ptr(is->sel.cases);
	if (!sel_init(&op->s, cases, n,
		      select && is->sel.flags & KCHAN_PRIO, 0, kchan_uring_compat(is->flags))) {
		kfree(op);
		return ERR_PTR(-ENOMEM);
	}
	op->s.no_poll = true;
	op->s.w.task = NULL;
	op->s.w.kick = op_kick;
	op->s.w.done = op_done;
	refcount_set(&op->s.w.ref, 1);
	op->cmd = is->cmd;
	op->nr = is->nr;
	op->under = is->under ? kgroup_get(is->under) : NULL;
	err = sel_charge(&op->s, sizeof(*op));
	if (!err)
		err = select ? sel_load(&op->s) : load_transfer(op, is);
	if (!err && op->under)
		err = kgroup_error(op->under);
	if (!err)
		return op;
	op_put(op);
	return ERR_PTR(err);
}

/* From here on it can be cancelled, and only finish() posts its result. */
static void uring_park(struct kchan_op *op, struct issue *is)
{
	int err;

	*pdu_of(is->cmd) = op;
	io_uring_cmd_mark_cancelable(is->cmd, is->flags);
	op->s.w.queued = true;
	err = op->under ? kgroup_attach(op->under, &op->un, &op->s.w) : 0;
	if (err) {
		INIT_LIST_HEAD(&op->un.list);
		kchan_abort(&op->s.w, err, false);
		finish(op, is->flags, false);
		return;
	}
	if (is->deadline != KCHAN_FOREVER) {
		op->timed = true;
		refcount_inc(&op->s.w.ref);
		kchan_due_start(&op->due, kchan_deadline_to_host(is->deadline), uring_due);
	}
	if (sel_enqueue(&op->s) == SEL_FOUND)
		finish(op, is->flags, false);
}

/* Nothing was ready, or it is a select: try it, and park it if it would wait. */
static long start(struct issue *is)
{
	struct kchan_op *op = op_new(is);
	int expired = kchan_deadline_error(is->deadline);
	long r;

	if (IS_ERR(op))
		return PTR_ERR(op);
	r = sel_probe(&op->s, expired);
	if (r && !expired) {
		uring_park(op, is);
		return -EIOCBQUEUED;
	}
	if (r == KCHAN_BUSY) {
		op->s.w.task = current;		/* sleeps itself: no op_done() */
		r = sel_wait(&op->s, NULL, 0, expired);
	} else if (r) {
		r = kgroup_error_or(op->under, expired);
	} else {
		waiter_to_done(&op->s.w);
	}
	if (!r && op->s.w.res < 0)
		r = kgroup_error_or(op->under, 0);
	if (!r)
		r = result(op, false);
	op_put(op);
	return r;
}

static long wait_for(struct issue *is)
{
	long r;

	if (is->flags & IO_URING_F_UNLOCKED)	/* an io-wq worker */
		return uring_run(is, is->deadline);
	if (is->nr == _IOC_NR(KCHAN_IOC_SELECT))
		return start(is);
	r = transfer(is, KCHAN_NOW);
	return r == -EAGAIN && is->deadline != KCHAN_NOW ? start(is) : r;
}

/* Is this the cancel of @cmd, which was parked? It then completes, now or otherwise. */
static bool cancelled(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct kchan_op *op;

	if (!(issue_flags & IO_URING_F_CANCEL))
		return false;
	op = *pdu_of(cmd);
	if (kchan_abort(&op->s.w, -ECANCELED, false))
		finish(op, issue_flags, true);
	return true;
}

#else

static long wait_for(struct issue *is)
{
	bool try = is->flags & IO_URING_F_NONBLOCK;
	long r = uring_run(is, try ? KCHAN_NOW : is->deadline);

	/* have an io-wq worker wait */
	return r == -EAGAIN && try && is->deadline != KCHAN_NOW ? KCHAN_WAIT : r;
}

static bool cancelled(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	return false;
}

#endif

/* Can this command be issued on this file? Its opcode is the whole number of the ioctl. */
static int check_file(struct issue *is)
{
	int side = kchan_side_of(is->cmd->file);
	unsigned int cmd_op = is->cmd->cmd_op, oldest = KCHAN_XFER_V1;

	BUILD_BUG_ON(sizeof(is->u) != KCHAN_URING_V1);	/* that is all the room in an entry */
	switch (KCHAN_BARE(cmd_op)) {
	case KCHAN_BARE(KCHAN_IOC_SEND):
		if (side != KCHAN_SIDE_TX)
			return -EBADF;
		break;
	case KCHAN_BARE(KCHAN_IOC_RECV):
		if (side != KCHAN_SIDE_RX)
			return -EBADF;
		break;
	case KCHAN_BARE(KCHAN_IOC_SELECT):
		oldest = KCHAN_SELECT_V1;
		break;
	case KCHAN_BARE(KCHAN_IOC_SEND_WAIT(0)):	/* with a size: that is in the entry */
	case KCHAN_BARE(KCHAN_IOC_SEND_NOW(0)):
	case KCHAN_BARE(KCHAN_IOC_RECV_WAIT(0)):
	case KCHAN_BARE(KCHAN_IOC_RECV_NOW(0)):
		return -EINVAL;
	default:
		return -ENOTTY;
	}
	return _IOC_SIZE(cmd_op) < oldest || !kchan_uring_flags_known(is->cmd) ? -EINVAL : 0;
}

/* Answer io_uring with the result @r of a command. */
static int answer(struct io_uring_cmd *cmd, unsigned int issue_flags, long r)
{
	if (r == KCHAN_WAIT)
		return -EAGAIN;
	if (r == -ERESTARTSYS)
		r = -EINTR;
	if (r <= 0 && r != -EAGAIN)
		return r;
	/*
	 * Complete it here: io_uring would try again after -EAGAIN, which is a result. And
	 * some kernels, 6.1 among them, never complete a command for which an io-wq worker
	 * has returned a positive number, and cancel the requests linked to it.
	 */
	kchan_uring_done(cmd, r, issue_flags);
	return -EIOCBQUEUED;
}

/*
 * The fast path of a short call: try it at once, outside an io-wq worker, which would wait.
 * -EAGAIN: it would wait, or is left to the general path.
 */
static __always_inline long try_short(struct io_uring_cmd *cmd, unsigned int issue_flags, bool tx,
				      const struct kchan_uring *u)
{
	struct kchan *c = cmd->file->private_data;
	void __user *buf = u64_to_user_ptr(u->addr);

	if (issue_flags & IO_URING_F_UNLOCKED || cmd->flags & IORING_URING_CMD_FIXED)
		return -EAGAIN;
	if (!tx)
		return kchan_recv_short(c, buf, min_t(u32, u->size, INT_MAX), KCHAN_NOW);
	return u->size > KCHAN_INLINE ? -EAGAIN : kchan_send_short(c, buf, u->size, KCHAN_NOW);
}

/* What it does not do: as the long form of the same call. */
static noinline long run_short(struct io_uring_cmd *cmd, unsigned int issue_flags, bool tx,
			       const struct kchan_uring *u, s64 deadline)
{
	struct issue is = {
		.cmd = cmd, .flags = issue_flags,
		.nr = _IOC_NR(tx ? KCHAN_IOC_SEND : KCHAN_IOC_RECV),
		.deadline = deadline,
		.x = { .buf = u->addr, .len = u->size, .under = -1 },
	};

	return wait_for(&is);
}

/* A short call: the buffer and its length are in the entry itself. */
static int uring_short(struct io_uring_cmd *cmd, unsigned int issue_flags, bool tx, s64 deadline)
{
	struct kchan_uring u kchan_uninitialized;
	long r;

	if (kchan_side_of(cmd->file) != (tx ? KCHAN_SIDE_TX : KCHAN_SIDE_RX))
		return -EBADF;
	kchan_uring_copy(&u, cmd, sizeof(u));
	if (u.reserved || !kchan_uring_flags_known(cmd))
		return -EINVAL;
	r = try_short(cmd, issue_flags, tx, &u);
	if (unlikely(r == -EAGAIN))
		r = run_short(cmd, issue_flags, tx, &u, deadline);
	return answer(cmd, issue_flags, r);
}

/* A call whose structure the entry points to, and what is no call at all. */
static noinline int uring_long(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct issue is = { .cmd = cmd, .flags = issue_flags, .nr = _IOC_NR(cmd->cmd_op) };
	long r = check_file(&is);

	if (r)
		return r;
	kchan_uring_copy(&is.u, cmd, sizeof(is.u));
	r = take_args(&is);
	if (r)
		return r;
	r = wait_for(&is);
	if (is.under)
		kgroup_put(is.under);
	return answer(cmd, issue_flags, r);
}

int kchan_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	if (cancelled(cmd, issue_flags))
		return -EIOCBQUEUED;
	switch (cmd->cmd_op) {
	case KCHAN_IOC_SEND_WAIT(0):
		return uring_short(cmd, issue_flags, true, KCHAN_FOREVER);
	case KCHAN_IOC_SEND_NOW(0):
		return uring_short(cmd, issue_flags, true, KCHAN_NOW);
	case KCHAN_IOC_RECV_WAIT(0):
		return uring_short(cmd, issue_flags, false, KCHAN_FOREVER);
	case KCHAN_IOC_RECV_NOW(0):
		return uring_short(cmd, issue_flags, false, KCHAN_NOW);
	default:
		return uring_long(cmd, issue_flags);
	}
}
