// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast path of a select: a case that looks ready is carried out as a plain send or receive
 * that does not wait. Nothing is allocated, and the other cases are only looked at. All else - a
 * wrong case, one that polls, a long message, no case that looks ready, a race that was lost -
 * is left to the slow path, which starts from the beginning, as nothing has happened.
 *
 * Looking takes no channel's lock, so what it finds is a hint. The descriptors of a chunk are
 * looked up in one hold of the descriptor table's lock, which keeps their channels alive.
 *
 * With CHAN_NOW, if no case looks ready, the channels are looked at twice more, to be sure that
 * there was an instant when none was; see none_ready().
 */
#include "select.h"

#include <linux/nospec.h>
#include <linux/random.h>

#include "chan.h"
#include "compat.h"
#include "copy.h"
#include "fd.h"
#include "group.h"
#include "msg.h"
#include "pause.h"

#define CHUNK	8

/* The chosen case: one of those that look ready, each with the same probability. */
struct choice {
	struct kchan *c;		/* referenced; NULL: none yet */
	unsigned int i;
	unsigned int ready;		/* cases that looked ready */
	struct kchan_case k;
};

static __always_inline bool looks_ready(const struct kchan *c, int op)
{
	if (READ_ONCE(c->shut))
		return true;
	if (op == KCHAN_RECV)
		return READ_ONCE(c->len) || READ_ONCE(c->sendq.n);
	return READ_ONCE(c->len) < c->capacity || READ_ONCE(c->recvq.n) || c->flags & KCHAN_DROPS;
}

/* Can the message be read? It is no longer than a page, so its first and last byte tell. */
static bool readable(const struct kchan_msg *m)
{
	const u8 __user *buf = (const u8 __force __user *)m->buf;
	u8 __maybe_unused byte;

	return !m->len || (!get_user(byte, buf) && !get_user(byte, buf + m->len - 1));
}

/* Copy in a chunk, and check that each result can be stored, as the slow path does. */
static bool get_chunk(struct kchan_case *k, struct kchan_case __user *uk, unsigned int n)
{
	unsigned int i;

	if (!copy_cases_in(k, uk, n))
		return false;
	for (i = 0; i < n; i++, k++)
		if (unlikely(k->op == KCHAN_SEND) && k->fd != -1 &&
		    (k->msg.nfds || k->msg.len > KCHAN_INLINE || !readable(&k->msg)))
			return false;
	return true;
}

/* The channel to send to or to receive from at @fd, while the table @t is locked. */
static __always_inline struct kchan *channel_at(const struct fdtable *t, unsigned int fd, int op)
{
	struct file *file;

	if (fd >= t->max_fds)
		return NULL;
	file = rcu_dereference_raw(t->fd[array_index_nospec(fd, t->max_fds)]);
	if (!file || file->f_op != (op == KCHAN_SEND ? &kchan_tx_fops : &kchan_rx_fops) ||
	    kchan_is_path(file))
		return NULL;
	return file->private_data;
}

/* With CHAN_PRIO prefer the first; else the k-th with a probability of 1/k. */
static bool prefer(struct choice *best, bool prio)
{
	unsigned int k = ++best->ready;

	return k == 1 || (!prio && ((u64)get_random_u32() * k) >> 32 == 0);
}

/* Is it no send or receive, or has it events, which those must not have? One test for both. */
static __always_inline bool odd(const struct kchan_case *k)
{
	u64 both = (u64)k->events << 32 | (u32)k->op;

	return both != KCHAN_RECV && both != KCHAN_SEND;
}

/* Look at a chunk of cases; false if one of them is not for the fast path. */
static bool look(struct choice *best, const struct kchan_case *k, unsigned int first,
		 unsigned int n, bool prio)
{
	const struct kchan_case *end = k + n, *chosen = NULL;
	struct kchan *c, *new = NULL, *old = best->c;
	struct files_struct *files = current->files;
	const struct fdtable *t;

	spin_lock(&files->file_lock);
	t = files_fdtable(files);
	for (; k < end; k++) {
		if (k->fd == -1)
			continue;
		if (unlikely(odd(k)))
			break;
		c = channel_at(t, k->fd, k->op);
		if (!c || (k->op == KCHAN_SEND && k->msg.len > c->msg_max))
			break;
		if (looks_ready(c, k->op) && prefer(best, prio)) {
			new = c;
			chosen = k;
		}
	}
	if (new)
		kref_get(&new->ref);
	spin_unlock(&files->file_lock);
	if (new) {
		best->c = new;
		best->k = *chosen;
		best->i = first + n - (end - chosen);
		if (old)
			kchan_put(old);
	}
	return k == end;
}

static long receive(const struct choice *best, struct kchan_case __user *uk)
{
	const struct kchan_msg *m = &best->k.msg;
	size_t room = min_t(size_t, m->len, INT_MAX);
	struct kchan_mem dst = {
		.buf = (void __force __user *)m->buf,
		.fds = (void __force __user *)m->fds, .nfds = m->nfds,
	};
	long r = m->nfds ? kchan_recv(best->c, room, &dst, NULL, NULL, KCHAN_NOW) :
		 kchan_recv_short(best->c, dst.buf, room, KCHAN_NOW);

	/* the message was received, even if this can't be stored */
	if (r >= 0 && user_write_access_begin(uk, sizeof(*uk))) {
		unsafe_put_user((size_t)r, &uk->msg.len, fault);
		unsafe_put_user(m->nfds ? dst.nfds : 0, &uk->msg.nfds, fault);
		unsafe_put_user((int)r, &uk->msg.res, fault);
fault:
		user_write_access_end();
	}
	return r;
}

static long send(const struct choice *best)
{
	const struct kchan_msg *m = &best->k.msg;
	long r = kchan_send_short(best->c, (void __force __user *)m->buf, m->len, KCHAN_NOW);

	/* the buffer was unmapped meanwhile: the slow path returns the right error */
	return r == -EFAULT ? -EAGAIN : r;
}

/* As sel_finish(). */
static int take(const struct choice *best, struct kgroup *under, struct kchan_case __user *uk)
{
	long r = best->k.op == KCHAN_SEND ? send(best) : receive(best, uk);

	if (r == -EINTR)
		return r;
	/* the slow path decides which came first, a shut or the end of the group */
	if (r == -EAGAIN || (r < 0 && kgroup_error_or(under, 0)))
		return KCHAN_WAIT;
	if (r < 0 || best->k.op == KCHAN_SEND)
		put_user((int)r, &uk->msg.res);
	return best->i;
}

/* A channel that was not ready, and its seq from before that was seen. */
struct seen {
	struct kchan *c;
	u32 seq;
};

#define SEEN	32	/* on the stack */

/* Is a case of @op not ready, with nobody changing the channel? Its seq is read before. */
static __always_inline bool idle(struct kchan *c, int op, u32 *seq)
{
	*seq = READ_ONCE(c->seq);
	smp_rmb();	/* see none_ready() */
	if (spin_is_locked(&c->lock))
		return false;
	smp_rmb();
	if (looks_ready(c, op))
		return false;
	smp_rmb();
	return !spin_is_locked(&c->lock);
}

/* What a case names. All else in it has been checked by then. */
struct name {
	s32 fd, op;
};

static bool get_names(struct name *name, const struct kchan_case __user *uk, unsigned int n)
{
	if (!user_read_access_begin(uk, n * sizeof(*uk)))
		return false;
	for (; n; n--, name++, uk++) {
		unsafe_get_user(name->fd, &uk->fd, fault);
		unsafe_get_user(name->op, &uk->op, fault);
	}
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

/* Note the channels of a chunk, referenced if @shared; false if one of them may be ready. */
static bool note_chunk(struct seen **to, const struct name *k, unsigned int n, bool shared)
{
	const struct name *end = k + n;
	struct files_struct *files = current->files;
	struct seen *s = *to;
	const struct fdtable *t;

	spin_lock(&files->file_lock);
	t = files_fdtable(files);
	for (; k < end; k++) {
		if (k->fd == -1)
			continue;
		s->c = channel_at(t, k->fd, k->op);
		if (!s->c || !idle(s->c, k->op, &s->seq))
			break;
		if (shared)
			kref_get(&s->c->ref);
		s++;
	}
	spin_unlock(&files->file_lock);
	*to = s;
	return k == end;
}

/* Has no seq risen since it was read? */
static bool unchanged(const struct seen *s, const struct seen *end)
{
	smp_rmb();	/* see none_ready() */
	for (; s < end; s++)
		if (READ_ONCE(s->c->seq) != s->seq)
			return false;
	return true;
}

/*
 * Was there an instant when no case was ready? Then it was not before the call, nor after it. No
 * channel is locked; false if that can't be told so. Each channel is looked at (idle()), and when
 * all have been, whether their seqs have risen (unchanged()). The instant is between the two:
 *
 *   select				a peer, in one hold of c->lock
 *
 *   reads c->seq				A
 *   c->lock is free, else false
 *						B: adds to c->seq, as it makes a case ready
 *   c is not ready
 *						C
 *   c->lock is free, else false
 *						D: adds to c->seq
 *   looks at the other channels
 *   --- the instant ---
 *						E
 *   c->seq is the same, else false
 *
 * Holds that were over before the look (A) are seen in full. One that is under way at the look
 * shows what may neither have been before it nor be after it: then the lock is not free at one
 * side of the look or at the other, or it has come and gone in between (C). Of those, and of later
 * ones (D), all that may make a case ready add to seq, which is seen after the instant as they
 * were over before it. Holds that add nothing to it leave c->len and c->shut as they are, unless c
 * was shut before, and so ready. They take waiters out of the queues and put none in: what was not
 * ready is not ready after them. What is not over at the instant (E) comes after it.
 *
 * This needs a lock that is seen to be held by who sees what is stored under it. That is so where
 * all see stores in their order, as on x86; elsewhere the slow path tells. While descriptors may
 * be closed by another thread, the channels are referenced.
 */
static noinline bool none_ready(const struct kchan_select *a)
{
	struct kchan_case __user *uk = u64_to_user_ptr(a->cases);
	struct name chunk[CHUNK] kchan_uninitialized;
	struct seen few[SEEN] kchan_uninitialized;
	struct seen *seen = few, *s, *end;
	bool none = false, shared = kchan_shared_fds();
	unsigned int i, n;

	if (!IS_ENABLED(CONFIG_X86))
		return false;
	if (a->n > SEEN)
		seen = kvmalloc_array(a->n, sizeof(*seen), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!seen)
		return false;
	for (i = 0, end = seen; i < a->n; i += n) {
		n = min_t(unsigned int, a->n - i, CHUNK);
		if (!get_names(chunk, uk + i, n) || !note_chunk(&end, chunk, n, shared))
			break;
		kchan_pause(select_note);
	}
	if (i >= a->n)
		none = unchanged(seen, end);
	if (shared)
		for (s = seen; s < end; s++)
			kchan_put(s->c);
	if (seen != few)
		kvfree(seen);
	return none;
}

/*
 * Returns the index of the case that was chosen; -EAGAIN or the error of its group, if it may not
 * wait and none was ready; -EINTR; or, if nothing has happened, KCHAN_IDLE or KCHAN_WAIT.
 */
int kchan_select_ready(const struct kchan_select *a, struct kgroup *under)
{
	struct kchan_case __user *uk = u64_to_user_ptr(a->cases);
	struct kchan_case chunk[CHUNK] kchan_uninitialized;
	struct choice best kchan_uninitialized;
	unsigned int i, n;
	int r = KCHAN_WAIT;

	best.c = NULL;
	best.ready = 0;
	for (i = 0; i < a->n; i += n) {
		n = min_t(unsigned int, a->n - i, CHUNK);
		if (!get_chunk(chunk, uk + i, n) ||
		    !look(&best, chunk, i, n, a->flags & KCHAN_PRIO))
			break;
		kchan_pause(select_look);
	}
	kchan_pause(select_looked);
	if (best.c && i == a->n && !kgroup_error_or(under, 0))
		r = take(&best, under, uk + best.i);
	if (best.c)
		kchan_put(best.c);
	else if (i == a->n)
		r = a->deadline != KCHAN_NOW ? KCHAN_IDLE :
		    none_ready(a) ? kgroup_error_or(under, -EAGAIN) : KCHAN_WAIT;
	return r;
}
