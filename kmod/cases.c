// SPDX-License-Identifier: GPL-2.0-only
/* The cases of a select: their layout in user memory, loading and releasing them. */
#include "select.h"

#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "chan.h"
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

/* Take a reference to the channel or target of a case. */
static int load_object(struct sel *s, unsigned int i, const struct kchan_case *k)
{
	struct sel_case *sc = &s->cs[i];
	struct kchan *c;
	int err;

	if (k->op == KCHAN_POLL) {
		err = sel_target_get(&sc->target, k->fd);
		if (err)
			return err;
		sc->events = k->events;
		s->polls++;
		return 0;
	}
	c = kchan_from_fd(k->fd, k->op == KCHAN_SEND ? KCHAN_SIDE_TX : KCHAN_SIDE_RX);
	if (IS_ERR(c))
		return PTR_ERR(c);
	sc->c = c;
	return k->op == KCHAN_RECV && !s->w.holder.user ? kchan_holder_get(&s->w.holder, c) : 0;
}

/* The bits of poll(2); others are refused, so that they can get a meaning. */
#define POLL_EVENTS (POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLNVAL | POLLRDNORM | \
	POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLREMOVE | POLLRDHUP)

/* Check every case and take its channel, and only then copy in the messages. */
int sel_load(struct sel *s)
{
	unsigned int i, sends = 0;
	struct kchan_case k;
	int err;

	for (i = 0; i < s->n; i++) {
		err = sel_get_case(s, i, &k);
		/* unless res can be stored, nothing happens at all */
		if (err || (!s->armed && sel_put_res(s, i, k.msg.res)))
			return -EFAULT;
		if (k.fd == -1)
			continue;
		if (k.op < KCHAN_SEND || k.op > (s->no_poll ? KCHAN_RECV : KCHAN_POLL) ||
		    k.events & ~(k.op == KCHAN_POLL ? POLL_EVENTS : 0U))
			return -EINVAL;
		err = load_object(s, i, &k);
		if (err)
			return err;
		s->cs[i].op = k.op;
		sends += k.op == KCHAN_SEND;
	}
	if (sends) {
		s->outs = kvcalloc(sends, sizeof(*s->outs), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!s->outs)
			return -ENOMEM;
	}
	for (i = 0, sends = 0; i < s->n; i++) {
		struct sel_case *sc = &s->cs[i];

		if (!sc->c)
			continue;
		if (sel_get_case(s, i, &k))
			return -EFAULT;
		sc->node.waiter = &s->w;
		sc->node.idx = i;
		INIT_LIST_HEAD(&sc->node.list);
		sc->buf = (void __force __user *)k.msg.buf;
		sc->fds = (void __force __user *)k.msg.fds;
		sc->node.room = min_t(size_t, k.msg.len, INT_MAX);
		sc->node.fd_room = k.msg.nfds;
		if (sc->op != KCHAN_SEND)
			continue;
		sc->out = sc->node.out = &s->outs[sends++];
		sc->out->tag = s->in.tag;
		err = kchan_msg_load(sc->c, sc->out, &k.msg);
		if (err == -ENOMEM || err == -EDQUOT)
			return err;
		sc->broken = err;
	}
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

		if (k->target.obj)
			k->target.put(k->target.obj);
		if (!k->c)
			continue;
		if (k->out)
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
