// SPDX-License-Identifier: GPL-2.0-only
/*
 * Select: exactly one of its cases, atomically.
 *
 * Probe every case in shuffled order, one channel lock at a time, while not
 * queued; the first ready one is done. Would none wait, answer CHAN_NOW only
 * if no channel's seq has risen since its probe: then at the instant of the
 * last probe nothing was ready. Else queue on each channel, trying again under
 * its lock, until a peer has chosen this select; sleep; unlink everywhere.
 */
#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "group.h"

struct sel_case {
	struct kchan *c;		/* NULL: out */
	int op;
	int broken;			/* a send that can only fail: its error */
	u64 seq;
	struct kchan_node node;
	void __user *buf;
	struct kchan_payload *out;	/* send */
	u32 order;			/* of the case tried at this place */
};

struct sel {
	struct kchan_waiter w;
	struct kchan_payload in;
	struct sel_case *cs;
	unsigned int n;
	struct kchan_payload *outs;
	bool compat;
	bool prio;
	u32 tag;			/* out: the peer's */
	u64 rnd;
	void __user *ucases;
};

#ifdef CONFIG_COMPAT
struct compat_kchan_case {
	s32 fd, op;
	u32 events, revents;
	compat_uptr_t buf;
	compat_size_t len;
	compat_uptr_t fds;
	u32 nfds;
	s32 res;
};
#endif

static size_t case_size(struct sel *s)
{
#ifdef CONFIG_COMPAT
	if (s->compat)
		return sizeof(struct compat_kchan_case);
#endif
	return sizeof(struct kchan_case);
}

static int get_case(struct sel *s, unsigned int i, struct kchan_case *k)
{
	void __user *u = s->ucases + i * case_size(s);

#ifdef CONFIG_COMPAT
	if (s->compat) {
		struct compat_kchan_case ck;

		if (copy_from_user(&ck, u, sizeof(ck)))
			return -EFAULT;
		*k = (struct kchan_case) {
			.fd = ck.fd, .op = ck.op,
			.events = ck.events, .revents = ck.revents,
			.msg = { (void __force *)compat_ptr(ck.buf), ck.len,
				 (void __force *)compat_ptr(ck.fds), ck.nfds, ck.res },
		};
		return 0;
	}
#endif
	return copy_from_user(k, u, sizeof(*k)) ? -EFAULT : 0;
}

static int put_res(struct sel *s, unsigned int i, int res)
{
	void __user *u = s->ucases + i * case_size(s);

#ifdef CONFIG_COMPAT
	if (s->compat)
		return put_user(res, &((struct compat_kchan_case __user *)u)->res);
#endif
	return put_user(res, &((struct kchan_case __user *)u)->msg.res);
}

static int put_len(struct sel *s, unsigned int i, u32 len)
{
	void __user *u = s->ucases + i * case_size(s);

#ifdef CONFIG_COMPAT
	if (s->compat) {
		struct compat_kchan_case __user *ck = u;

		return put_user(len, &ck->len) | put_user(0, &ck->nfds);
	}
#endif
	return put_user((__kernel_size_t)len, &((struct kchan_case __user *)u)->msg.len) |
	       put_user(0, &((struct kchan_case __user *)u)->msg.nfds);
}

/* Payloads are copied in before anything else happens. */
static int load_send(struct sel_case *k, const struct kchan_msg *m, u32 tag)
{
	struct kchan_mem src = {};

	if (m->nfds)
		return m->nfds > 16 ? -EINVAL : -EPERM;
	if (m->len > k->c->msg_max)
		return -EMSGSIZE;
	src.buf = (void __force __user *)m->buf;
	k->out->tag = tag;
	return kchan_load(k->out, &src, m->len);
}

/* Check every case and take its channel before any payload is touched. */
static int load_cases(struct sel *s)
{
	unsigned int i, sends = 0;
	struct kchan_case k;
	int err;

	for (i = 0; i < s->n; i++) {
		err = get_case(s, i, &k);
		/* res can be stored, or nothing happens at all */
		if (err || put_res(s, i, k.msg.res))
			return -EFAULT;
		if (k.op != KCHAN_SEND && k.op != KCHAN_RECV)
			return -EINVAL;
		if (k.fd == -1)
			continue;
		s->cs[i].c = kchan_from_fd(k.fd, k.op == KCHAN_SEND ?
					   KCHAN_SIDE_TX : KCHAN_SIDE_RX);
		if (IS_ERR(s->cs[i].c)) {
			err = PTR_ERR(s->cs[i].c);
			s->cs[i].c = NULL;
			return err;
		}
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
		if (get_case(s, i, &k))
			return -EFAULT;
		sc->node.waiter = &s->w;
		sc->node.idx = i;
		INIT_LIST_HEAD(&sc->node.list);
		sc->buf = (void __force __user *)k.msg.buf;
		sc->node.room = min_t(size_t, k.msg.len, INT_MAX);
		if (sc->op != KCHAN_SEND)
			continue;
		sc->out = sc->node.out = &s->outs[sends++];
		err = load_send(sc, &k.msg, s->in.tag);
		if (err == -ENOMEM || err == -EDQUOT)
			return err;
		sc->broken = err;
	}
	return 0;
}

static u32 below(struct sel *s, u32 n)
{
	s->rnd = s->rnd * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((s->rnd >> 32) * n) >> 32;
}

/* The case to try at place @k: Fisher-Yates, one step at a time. */
static unsigned int pick(struct sel *s, unsigned int k)
{
	if (!s->prio) {
		unsigned int j = k + below(s, s->n - k);

		swap(s->cs[k].order, s->cs[j].order);
	}
	return s->cs[k].order;
}

/* Under the channel's lock. */
static int try_case(struct sel *s, struct sel_case *k, struct kchan_wake *wk)
{
	if (k->broken)
		return k->broken;
	if (k->op == KCHAN_SEND)
		return kchan_try_send(k->c, k->out, &s->w, wk);
	return kchan_try_recv(k->c, k->node.room, &s->in, &s->w, wk);
}

static void flush_case(struct sel_case *k, struct kchan_wake *wk, int res)
{
	bool refilled = k->op == KCHAN_RECV && wk->n;

	kchan_flush(k->c, wk, refilled || (k->op == KCHAN_SEND && res >= 0),
		    k->op == KCHAN_RECV && res >= 0);
}

/* One case: done (true, s->w has index and result), or not ready. */
static bool probe(struct sel *s, unsigned int i)
{
	struct sel_case *k = &s->cs[i];
	struct kchan_wake wk;
	int r;

	kchan_wake_init(&wk);
	spin_lock(&k->c->lock);
	r = try_case(s, k, &wk);
	k->seq = k->c->seq;
	spin_unlock(&k->c->lock);
	if (r == KCHAN_WAIT)
		return false;
	flush_case(k, &wk, r);
	s->w.fired = i;
	s->w.res = r;
	return true;
}

/* Has anything risen since it was probed? */
static bool changed(struct sel *s)
{
	unsigned int i;

	smp_rmb();	/* the probes' reads before these */
	for (i = 0; i < s->n; i++)
		if (s->cs[i].c && READ_ONCE(s->cs[i].c->seq) != s->cs[i].seq)
			return true;
	return false;
}

/* 0: a case is done. KCHAN_WAIT: at one instant none was ready. */
static int probe_all(struct sel *s, bool exact)
{
	unsigned int k, i;

	for (;;) {
		for (k = 0; k < s->n; k++) {
			i = pick(s, k);
			if (s->cs[i].c && probe(s, i))
				return 0;
		}
		if (!exact || !changed(s))
			return KCHAN_WAIT;
		/* others made progress; nothing bounds that but a signal */
		if (signal_pending(current))
			return -ERESTARTSYS;
		cond_resched();
	}
}

/*
 * Queue on every channel (QUEUED), find a case ready on the way (FOUND), or find
 * that a peer, or the group's end, has chosen this select meanwhile (CHOSEN).
 */
static enum { QUEUED, FOUND, CHOSEN } enqueue(struct sel *s)
{
	unsigned int k, i;

	s->w.queued = true;
	for (k = 0; k < s->n; k++) {
		struct sel_case *sc;
		struct kchan_wake wk;
		int r;

		i = pick(s, k);
		sc = &s->cs[i];
		if (!sc->c)
			continue;
		kchan_wake_init(&wk);
		spin_lock(&sc->c->lock);
		r = try_case(s, sc, &wk);
		if (r == KCHAN_WAIT) {
			kchan_link(sc->op == KCHAN_SEND ? &sc->c->sendq : &sc->c->recvq, &sc->node);
			sc->c->seq++;
		}
		spin_unlock(&sc->c->lock);
		if (r == KCHAN_WAIT) {
			kchan_flush(sc->c, &wk, sc->op == KCHAN_SEND, sc->op == KCHAN_RECV);
			if (smp_load_acquire(&s->w.state) == KCHAN_PENDING)
				continue;
			return CHOSEN;
		}
		flush_case(sc, &wk, r == KCHAN_GONE ? -EAGAIN : r);
		if (r == KCHAN_GONE)
			return CHOSEN;
		s->w.fired = i;
		s->w.res = r;
		return FOUND;
	}
	return QUEUED;
}

/* Afterwards no peer can reach this select: its results are final. */
static void dequeue(struct sel *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		struct sel_case *k = &s->cs[i];

		if (!k->c)
			continue;
		spin_lock(&k->c->lock);
		kchan_unlink(&k->node);
		spin_unlock(&k->c->lock);
	}
}

static int wait_any(struct sel *s, struct kgroup *under, s64 deadline)
{
	struct kgroup_node un;
	int err = under ? kgroup_attach(under, &un, &s->w) : 0;

	if (err)
		return err;

	switch (enqueue(s)) {
	case FOUND:	/* whatever the group has done since */
		break;
	case QUEUED:
		err = kchan_sleep(&s->w, deadline, under);
		fallthrough;
	case CHOSEN:
		err = kchan_settle(&s->w, err);
		break;
	}
	dequeue(s);
	if (under)
		kgroup_detach(under, &un);
	return err;
}

/* A case is done: store what came. Only what can't be stored is put back. */
static int finish(struct sel *s)
{
	unsigned int i = s->w.fired;
	struct sel_case *k = &s->cs[i];
	int res = s->w.res;

	s->tag = k->op == KCHAN_SEND ? k->out->tag : s->in.tag;
	if (k->op == KCHAN_RECV && res >= 0) {
		struct kchan_mem dst = { .buf = k->buf };

		res = kchan_deliver(k->c, &s->in, &dst);
		if (res == -EINTR)
			return res;
		if (res >= 0)
			put_len(s, i, res);
	}
	put_res(s, i, res);
	return i;
}

static int run(struct sel *s, struct kchan_select *a, struct kgroup *under, bool on_handle)
{
	int r = load_cases(s);

	if (!r && under)
		r = kgroup_error(under);
	if (r)
		return r;
	r = probe_all(s, a->deadline != KCHAN_FOREVER);
	if (r == KCHAN_WAIT) {
		r = kchan_late(a->deadline);
		if (r)
			return r;
		if (!on_handle && (a->flags & KCHAN_MAY_HANDLE) && kchan_shared_fds()) {
			r = kchan_handle_fd();
			if (r < 0)
				return r;
			a->handle = r;
			return KCHAN_USE_HANDLE;
		}
		r = wait_any(s, under, a->deadline);
	}
	return r ?: finish(s);
}

long kchan_select(unsigned int cmd, unsigned long arg, bool on_handle, bool compat)
{
	struct kchan_select a;
	struct kgroup *under;
	struct sel *s;
	unsigned int i;
	long r = kchan_args(&a, sizeof(a), KCHAN_SELECT_V1, cmd, arg);

	if (r)
		return r;
	if (a.flags & ~(KCHAN_PRIO | KCHAN_MAY_HANDLE) || a.handle || a.peer_tag ||
	    a.n > KCHAN_MAX_CASES)
		return -EINVAL;
	under = kgroup_under(a.under);
	if (IS_ERR(under))
		return PTR_ERR(under);
	r = -ENOMEM;
	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!s)
		goto put_under;
	s->n = a.n;
	s->cs = kvcalloc(max(a.n, 1U), sizeof(*s->cs), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!s->cs)
		goto free;
	s->ucases = u64_to_user_ptr(a.cases);
	s->compat = compat;
	s->prio = a.flags & KCHAN_PRIO;
	s->rnd = get_random_u64();
	spin_lock_init(&s->w.lock);
	s->w.task = current;
	s->w.in = &s->in;
	s->in.tag = a.tag;
	for (i = 0; i < s->n; i++)
		s->cs[i].order = i;

	r = run(s, &a, under, on_handle);
	if (r == KCHAN_USE_HANDLE &&
	    put_user(a.handle, &((struct kchan_select __user *)arg)->handle))
		r = -EFAULT;	/* the descriptor stays: it holds nothing */
	if (a.tag && r >= 0 && r < a.n)
		put_user(s->tag, &((struct kchan_select __user *)arg)->peer_tag);

	for (i = 0; i < s->n; i++) {
		if (!s->cs[i].c)
			continue;
		if (s->cs[i].out)
			kchan_drop(s->cs[i].out);
		kchan_put(s->cs[i].c);
	}
	kchan_drop(&s->in);
	kvfree(s->outs);
	kvfree(s->cs);
free:
	kfree(s);
put_under:
	if (under)
		kgroup_put(under);
	return r;
}
