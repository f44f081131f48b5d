// SPDX-License-Identifier: GPL-2.0-only
/* The cases of a select: their layout in user memory, loading and releasing them. */
#include "select.h"

#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "chan.h"
#include "compat.h"
#include "copy.h"
#include "fd.h"
#include "msg.h"
#include "quota.h"

struct compat_kchan_case {
	s32 fd, op;
	u32 events, revents;
	struct compat_kchan_msg msg;
};

/* Store @val in @member of a case in user memory, for a 32-bit caller in its layout. */
#define PUT(s, i, member, val) ((s)->compat ?						\
	put_user(val, &((struct compat_kchan_case __user *)(s)->ucases)[i].member) :	\
	put_user(val, &((struct kchan_case __user *)(s)->ucases)[i].member))

int sel_get_case(struct sel *s, unsigned int i, struct kchan_case *k)
{
	if (s->compat) {
		struct compat_kchan_case ck;

		if (copy_from_user(&ck, (struct compat_kchan_case __user *)s->ucases + i,
				   sizeof(ck)))
			return -EFAULT;
		k->fd = ck.fd;
		k->op = ck.op;
		k->events = ck.events;
		k->revents = ck.revents;
		kchan_msg_from_compat(&k->msg, &ck.msg);
		return 0;
	}
	return copy_struct_in(k, (struct kchan_case __user *)s->ucases + i, sizeof(*k)) ?
	       0 : -EFAULT;
}

int sel_put_res(struct sel *s, unsigned int i, int res)
{
	return PUT(s, i, msg.res, res);
}

/* A failure changes nothing: the case was chosen, and could be stored to when it was loaded. */
void sel_put_len(struct sel *s, unsigned int i, u32 len, u32 nfds)
{
	PUT(s, i, msg.len, len);
	PUT(s, i, msg.nfds, nfds);
}

void sel_put_revents(struct sel *s, unsigned int i, u32 revents)
{
	PUT(s, i, revents, revents);
}

/* The bits of poll(2); others are refused, so that they can get a meaning. */
#define POLL_EVENTS (POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLNVAL | POLLRDNORM | \
	POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLREMOVE | POLLRDHUP)

#define CHUNK	8

/*
 * Copy in cases from @i on, at most @n and at most a chunk: their number, or -EFAULT. Unless
 * each res can be stored, nothing happens at all. If a chunk fails, one case is tried, as there
 * may be another error before the fault.
 */
static int get_chunk(struct sel *s, unsigned int i, struct kchan_case *k, unsigned int n)
{
	n = min_t(unsigned int, n, CHUNK);
	if (BITS_PER_LONG == 64 && !s->compat && !s->armed &&
	    copy_cases_in(k, (struct kchan_case __user *)s->ucases + i, n))
		return n;
	if (sel_get_case(s, i, k) || (!s->armed && sel_put_res(s, i, k->msg.res)))
		return -EFAULT;
	return 1;
}

static int take_channel(struct sel *s, unsigned int i, const struct kchan_case *k,
			struct file *file)
{
	struct sel_case *sc = &s->cs[i];

	if (file->f_op != (k->op == KCHAN_SEND ? &kchan_tx_fops : &kchan_rx_fops))
		return kchan_is_ours(file) ? -EBADF : -ENOTTY;
	sc->c = file->private_data;
	kref_get(&sc->c->ref);
	sc->node.waiter = &s->w;
	sc->node.idx = i;
	INIT_LIST_HEAD(&sc->node.list);
	sc->buf = (void __force __user *)k->msg.buf;
	sc->fds = (void __force __user *)k->msg.fds;
	sc->node.room = min_t(size_t, k->msg.len, INT_MAX);
	sc->node.fd_room = k->msg.nfds;
	return 0;
}

/* Check a case and take a reference to its channel or target. The descriptor table is locked. */
static int take_case(struct sel *s, unsigned int i, const struct kchan_case *k)
{
	struct sel_case *sc = &s->cs[i];
	struct file *file;
	int err;

	if (k->op < KCHAN_SEND || k->op > (s->no_poll ? KCHAN_RECV : KCHAN_POLL) ||
	    k->events & ~(k->op == KCHAN_POLL ? POLL_EVENTS : 0U))
		return -EINVAL;
	file = files_lookup_fd_locked(current->files, k->fd);
	if (!file || kchan_is_path(file))
		return -EBADF;
	if (k->op == KCHAN_POLL) {
		sel_target_get(&sc->target, file);
		sc->events = k->events;
		s->polls++;
	} else {
		err = take_channel(s, i, k, file);
		if (err)
			return err;
	}
	sc->op = k->op;
	return 0;
}

/* Take a chunk of cases from @i on. */
static int take_chunk(struct sel *s, unsigned int i, const struct kchan_case *k, unsigned int n)
{
	unsigned int j;
	int err = 0;

	spin_lock(&current->files->file_lock);
	for (j = 0; j < n && !err; j++)
		if (k[j].fd != -1)
			err = take_case(s, i + j, &k[j]);
	spin_unlock(&current->files->file_lock);
	for (j = i; j < i + n && !err; j++)
		if (s->cs[j].op == KCHAN_RECV && !s->w.holder.user)
			err = kchan_holder_get(&s->w.holder, s->cs[j].c);
	return err;
}

/* Copy in the messages of @sends cases. */
static int load_sends(struct sel *s, unsigned int sends)
{
	struct kchan_payload *out;
	unsigned int i;
	int err;

	if (s->rearms)	/* any may become a send later */
		sends = s->n;
	out = s->outs = kvcalloc(sends, sizeof(*s->outs), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!out)
		return -ENOMEM;
	for (i = 0; i < s->n; i++) {
		struct sel_case *sc = &s->cs[i];
		struct kchan_msg m;

		if (sc->op != KCHAN_SEND)
			continue;
		m = (struct kchan_msg) {
			.buf = (void __force *)sc->buf, .len = sc->node.room,
			.fds = (void __force *)sc->fds, .nfds = sc->node.fd_room,
		};
		sc->out = sc->node.out = s->rearms ? &out[i] : out++;
		sc->out->tag = s->in.tag;
		err = kchan_msg_load(sc->c, sc->out, &m);
		if (err == -ENOMEM || err == -EDQUOT)
			return err;
		sc->broken = err;
	}
	return 0;
}

/* Check every case and take its channel, and only then copy in the messages. */
int sel_load(struct sel *s)
{
	struct kchan_case chunk[CHUNK] kchan_uninitialized;
	unsigned int i, sends = 0;
	int j, n, err;

	for (i = 0; i < s->n; i += n) {
		n = get_chunk(s, i, chunk, s->n - i);
		if (n < 0)
			return n;
		err = take_chunk(s, i, chunk, n);
		if (err)
			return err;
		for (j = 0; j < n; j++)
			sends += s->cs[i + j].op == KCHAN_SEND;
	}
	return sends || (s->rearms && s->n) ? load_sends(s, sends) : 0;
}

/*
 * Take case @i anew from user memory, after it was done and its result was fetched. Nothing has
 * changed if that fails.
 */
int sel_load_again(struct sel *s, unsigned int i, u32 tag)
{
	struct sel_case *sc = &s->cs[i];
	struct kchan *c = NULL, *old = sc->c;
	struct kchan_payload *out = NULL;
	struct kchan_case k;
	int err;

	if (sel_get_case(s, i, &k))
		return -EFAULT;
	if (k.fd != -1) {
		if ((k.op != KCHAN_SEND && k.op != KCHAN_RECV) || k.events)
			return -EINVAL;
		c = kchan_from_fd(k.fd, k.op == KCHAN_SEND ? KCHAN_SIDE_TX : KCHAN_SIDE_RX);
		if (IS_ERR(c))
			return PTR_ERR(c);
	}
	kchan_payload_free(&s->outs[i]);	/* of a send that has failed */
	if (c && k.op == KCHAN_SEND) {
		out = &s->outs[i];
		out->tag = tag;
		err = kchan_msg_load(c, out, &k.msg);
		if (err) {
			kchan_put(c);
			return err;
		}
	}
	sc->c = c;
	sc->op = c ? k.op : 0;
	sc->out = sc->node.out = out;
	sc->node.waiter = &s->w;
	sc->node.idx = i;
	sc->room = sc->node.room = min_t(size_t, k.msg.len, INT_MAX);
	sc->fd_room = sc->node.fd_room = k.msg.nfds;
	if (old)
		kchan_put(old);
	return 0;
}

/* @s is zeroed. Returns NULL if there is no memory. */
struct sel *sel_init(struct sel *s, void __user *cases, unsigned int n, bool prio, u32 tag,
		     bool compat)
{
	unsigned int i;

	s->cs = kvcalloc(max(n, 1U), sizeof(*s->cs), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!s->cs)
		return NULL;
	s->n = n;
	s->ucases = cases;
	s->compat = compat;
	s->prio = prio;
	s->rnd = get_random_u64();
	spin_lock_init(&s->w.lock);
	s->w.task = current;
	s->w.in = &s->in;
	s->in.tag = tag;
	for (i = 0; i < n; i++)
		s->cs[i].order = i;
	return s;
}

/* Charge a select that outlives its call, with @bytes for the structure around it. */
int sel_charge(struct sel *s, size_t bytes)
{
	struct kchan_user *u = kchan_user_get();
	int err;

	if (!u)
		return -ENOMEM;
	bytes += s->n * (sizeof(*s->cs) + sizeof(*s->outs));
	err = kchan_charge(u, bytes);
	if (err) {
		kchan_user_put(u);
		return err;
	}
	s->w.holder.user = u;
	s->charged = bytes;
	return 0;
}

/* Release a select whose nodes are all unlinked. */
void sel_destroy(struct sel *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		struct sel_case *k = &s->cs[i];

		if (k->op == KCHAN_POLL)
			k->target.put(k->target.obj);
		if (!k->c)
			continue;
		if (k->op == KCHAN_SEND && k->out)
			kchan_payload_free(k->out);
		kchan_put(k->c);
	}
	kchan_payload_free(&s->in);
	kvfree(s->outs);
	kvfree(s->cs);
	if (s->w.holder.user) {
		kchan_uncharge(s->w.holder.user, s->charged);
		kchan_user_put(s->w.holder.user);
	}
}
