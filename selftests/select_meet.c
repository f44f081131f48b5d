// SPDX-License-Identifier: MIT
/* Selects that meet selects, in threads and in processes. */
#include "util.h"
#include "harness.h"

FIXTURE(meet) { int unused; };
FIXTURE_VARIANT(meet) { bool process; };
FIXTURE_VARIANT_ADD(meet, threads) { .process = false };
FIXTURE_VARIANT_ADD(meet, processes) { .process = true };
FIXTURE_SETUP(meet) { }
FIXTURE_TEARDOWN(meet) { }

/* Case @i of four: send a, receive a, send b, receive b. */
static struct chan_case quarter(int a[2], int b[2], int i, int *val)
{
	int *e = i < 2 ? a : b;

	return i & 1 ? chan_recv_case(e[0], val, 4) : chan_send_case(e[1], val, 4);
}

struct side { struct chan_case k[4]; int val[4], which[4], n, under, ret; };

static void fill(struct side *s, int a[2], int b[2], int mask, int base)
{
	s->n = 0;
	for (int i = 0; i < 4; i++) {
		if (!(mask & 1 << i))
			continue;
		s->val[s->n] = i & 1 ? -1 : base + i;
		s->which[s->n] = i;
		s->k[s->n] = quarter(a, b, i, &s->val[s->n]);
		s->n++;
	}
}

static int run_side(void *arg)
{
	struct side *s = arg;

	s->ret = chan_select(s->k, s->n, 0, s->under, SOON);
	return 0;
}

/* SE-11: every set of sends and receives against every other, on two rendezvous channels */
TEST_F(meet, two_selects_meet_in_every_combination)
{
	struct side *x = shared(sizeof(*x)), y;
	int a[2], b[2];

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	for (int mx = 1; mx < 16; mx++) {
		for (int my = 1; my < 16; my++) {
			int swapped = (my & 5) << 1 | (my & 10) >> 1, i, j;
			uint64_t sent = info_of(a[0]).sent + info_of(b[0]).sent;
			struct party p;

			fill(x, a, b, mx, 100);
			fill(&y, a, b, my, 200);
			x->under = chan_group(-1, CHAN_FOREVER, 0, 0);
			ASSERT_TRUE(party_start(&p, variant->process, run_side, x));
			ASSERT_TRUE(parked(a[0], mx & 1, !!(mx & 2)));
			ASSERT_TRUE(parked(b[0], !!(mx & 4), !!(mx & 8)));
			i = chan_select(y.k, y.n, 0, -1, CHAN_NOW);
			if (i < 0)
				chan_cancel(x->under, 0, NULL);
			party_end(&p);
			close(x->under);
			j = x->ret;
			ASSERT_TRUE(parked(a[0], 0, 0) && parked(b[0], 0, 0));
			ASSERT_EQ(sent + (i >= 0), info_of(a[0]).sent + info_of(b[0]).sent);
			if (!(mx & swapped)) {
				ASSERT_EQ(-EAGAIN, i);
				ASSERT_EQ(-ECANCELED, j);
				continue;
			}
			ASSERT_TRUE(i >= 0 && j >= 0);
			ASSERT_EQ(x->which[j], y.which[i] ^ 1);
			ASSERT_EQ(x->which[j] & 1 ? 4 : 0, x->k[j].msg.res);
			ASSERT_EQ(y.which[i] & 1 ? 4 : 0, y.k[i].msg.res);
			ASSERT_EQ(x->val[j], y.val[i]);
			for (int n = 0; n < x->n; n++)
				ASSERT_TRUE(n == j || x->val[n] == (x->which[n] & 1 ? -1 : 100 + x->which[n]));
		}
	}
	close2(a);
	close2(b);
}

/* SE-04: a select never meets itself, parked or not, whatever the order of its cases */
TEST_F(meet, a_select_never_meets_itself)
{
	struct side *s = shared(sizeof(*s));
	int a[2], b[2], v = 55;

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	for (int send = 0; send < 2; send++) {
		struct party p;

		for (int i = 0; i < 20; i++) {
			fill(s, a, b, 15, 10);
			ASSERT_EQ(-EAGAIN, chan_select(s->k, 4, 0, -1, CHAN_NOW));
			ASSERT_EQ(-ETIMEDOUT, chan_select(s->k, 4, 0, -1, chan_after(MS / 10)));
		}
		s->under = -1;
		ASSERT_TRUE(party_start(&p, variant->process, run_side, s));
		ASSERT_TRUE(parked(a[0], 1, 1) && parked(b[0], 1, 1));
		if (send) {
			ASSERT_EQ(0, chan_send(b[1], &v, 4, -1, CHAN_NOW));
		} else {
			ASSERT_EQ(4, chan_recv(a[0], &v, 4, -1, CHAN_NOW));
		}
		party_end(&p);
		EXPECT_EQ(send ? 3 : 0, s->ret);
		EXPECT_EQ(send ? s->val[3] : 10, v);
	}
	EXPECT_EQ(1, (int)info_of(a[0]).sent);
	EXPECT_EQ(1, (int)info_of(b[0]).sent);
	close2(a);
	close2(b);
}

/* Everybody offers everything: what was sent is what was received, and no select does two */
#define CROWD 4
#define IDLE 8		/* cases that make it longer to queue, so that peers come meanwhile */
struct crowd {
	int a[2], b[2], stop[2], idle[2];
	long ops, sends[2], recvs[2], sum;
};
struct face { struct crowd *c; int id; };

static int crowd_body(void *arg)
{
	struct face *f = arg;
	struct crowd *c = f->c;
	int last[CROWD + 1] = {};

	for (int seq = 1;; seq++) {
		int val[4], mine = (f->id << 24) + seq, i, who;
		struct chan_case k[5 + IDLE];

		for (i = 5; i < 5 + IDLE; i++)
			k[i] = chan_recv_case(c->idle[0], NULL, 0);
		for (i = 0; i < 4; i++) {
			val[i] = mine;
			k[i] = quarter(c->a, c->b, i, &val[i]);
		}
		k[4] = chan_recv_case(c->stop[0], NULL, 0);
		i = chan_select(k, 5 + IDLE, 0, -1, SOON);
		if (i == 4)
			return k[4].msg.res == -EPIPE ? 0 : 1;
		if (i < 0 || i > 4 || k[i].msg.res != (i & 1 ? 4 : 0))
			return 2;
		for (int j = 0; j < 4; j++)
			if (j != i && val[j] != mine)
				return 3;
		__atomic_add_fetch(&(i & 1 ? c->recvs : c->sends)[i / 2], 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&c->sum, i & 1 ? -val[i] : val[i], __ATOMIC_RELAXED);
		__atomic_add_fetch(&c->ops, 1, __ATOMIC_RELAXED);
		if (!(i & 1))
			continue;
		who = val[i] >> 24;
		if (who == f->id || who < 1 || who > CROWD || (val[i] & 0xffffff) <= last[who])
			return 4;	/* itself, nobody, or out of order */
		last[who] = val[i] & 0xffffff;
	}
}

TEST_F(meet, a_crowd_of_selects_loses_and_doubles_nothing)
{
	struct crowd *c = shared(sizeof(*c));
	struct face *f = shared(sizeof(*f) * CROWD);
	struct party p[CROWD];
	long n = quick(3000, 1000), seen = 0;

	ASSERT_EQ(0, chan_make(c->a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(c->b, 4, 0, 0));
	ASSERT_EQ(0, chan_make(c->stop, 0, 0, 0));
	ASSERT_EQ(0, chan_make(c->idle, 0, 0, 0));
	for (int i = 0; i < CROWD; i++) {
		f[i] = (struct face){ c, i + 1 };
		ASSERT_TRUE(party_start(&p[i], variant->process, crowd_body, &f[i]));
	}
	for (int idle = 0; seen < n && idle < PATIENCE; usleep(1000)) {
		long ops = __atomic_load_n(&c->ops, __ATOMIC_RELAXED);

		idle = ops == seen ? idle + 1 : 0;
		seen = ops;
	}
	EXPECT_EQ(0, chan_shut(c->stop[1], 0));
	for (int i = 0; i < CROWD; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	EXPECT_LE(n, c->ops);
	EXPECT_EQ(0, c->sum);
	for (int i = 0; i < 2; i++) {
		struct chan_info in = info_of((i ? c->b : c->a)[0]);

		EXPECT_EQ(c->sends[i], c->recvs[i]);
		EXPECT_EQ(c->sends[i], in.sent);
		EXPECT_EQ(c->recvs[i], in.received);
		EXPECT_EQ(0, in.parked_senders + in.parked_receivers);
	}
	close2(c->a);
	close2(c->b);
	close2(c->stop);
	close2(c->idle);
}

/* SE-08: a select that loses on c1 takes only its own waiter out, even the last in line */
struct six { int c1[2], c2[2], c3[2], got[2]; };

static int six_plain(void *arg)
{
	struct six *s = arg;

	return chan_recv(s->c1[0], &s->got[0], 4, -1, SOON) != 4;
}

static int six_select(void *arg)
{
	struct six *s = arg;
	int v;
	struct chan_case k[2] = {
		chan_recv_case(s->c1[0], &v, 4), chan_recv_case(s->c2[0], &v, 4),
	};

	if (chan_select(k, 2, 0, -1, SOON) != 1)
		return 1;
	if (chan_send(s->c3[1], &v, 4, -1, SOON))
		return 2;
	return chan_recv(s->c1[0], &s->got[1], 4, -1, SOON) == 4 ? 0 : 3;
}

TEST_F(meet, losing_select_leaves_later_waiters_their_turn)
{
	struct six *s = shared(sizeof(*s));
	int n = count(1000, 150, 40), v;

	ASSERT_EQ(0, chan_make(s->c1, 4, 0, 0));
	ASSERT_EQ(0, chan_make(s->c2, 4, 0, 0));
	ASSERT_EQ(0, chan_make(s->c3, 4, 0, 0));
	for (int i = 0; i < n; i++) {
		struct party p[2];

		s->got[0] = s->got[1] = -1;
		for (int j = 0; j < 2; j++) {	/* either may be the last in line */
			int plain = (i & 1) ^ j;

			ASSERT_TRUE(party_start(&p[j], variant->process, plain ? six_plain : six_select, s));
			ASSERT_TRUE(parked(s->c1[0], 0, j + 1));
		}
		ASSERT_EQ(0, chan_send(s->c2[1], &i, 4, -1, SOON));
		ASSERT_EQ(4, chan_recv(s->c3[0], &v, 4, -1, SOON));
		ASSERT_EQ(i, v);
		for (int j = 0; j < 2; j++) {
			v = j + 100;
			ASSERT_EQ(0, chan_send(s->c1[1], &v, 4, -1, SOON));
		}
		ASSERT_EQ(0, party_end(&p[0]));
		ASSERT_EQ(0, party_end(&p[1]));
		ASSERT_EQ(201, s->got[0] + s->got[1]);
	}
	close2(s->c1);
	close2(s->c2);
	close2(s->c3);
}

/* SE-09: N transfers of each kind on four channels, singles and four-way selects */
struct quad { int e[4][2], n; long sum; };
struct quad_one { struct quad *q; int i; };

static int quad_send(void *arg)
{
	struct quad_one *o = arg;

	for (int n = 0; n < o->q->n; n++)
		if (chan_send(o->q->e[o->i][1], &n, 4, -1, SOON))
			return 1;
	return 0;
}

static int quad_recv(void *arg)
{
	struct quad_one *o = arg;
	long sum = 0;
	int v;

	for (int n = 0; n < o->q->n; n++, sum += v)
		if (chan_recv(o->q->e[o->i][0], &v, 4, -1, SOON) != 4)
			return 1;
	__atomic_add_fetch(&o->q->sum, sum, __ATOMIC_RELAXED);
	return 0;
}

static int quad_select(void *arg)
{
	static const int order[2][4] = { { 0, 1, 2, 3 }, { 3, 2, 0, 1 } };
	struct quad_one *o = arg;
	struct quad *q = o->q;
	int done[4] = {}, v[4];
	struct chan_case k[4];
	long sum = 0;

	for (int i = 0; i < 4; i++) {
		int *e = q->e[order[o->i][i]];

		k[i] = o->i ? chan_send_case(e[1], &v[i], 4) : chan_recv_case(e[0], &v[i], 4);
	}
	for (int n = 0; n < 4 * q->n; n++) {
		int i;

		for (int j = 0; o->i && j < 4; j++)
			v[j] = done[j];
		i = chan_select(k, 4, 0, -1, SOON);
		if (i < 0 || k[i].msg.res != (o->i ? 0 : 4))
			return 1;
		sum += o->i ? 0 : v[i];
		if (++done[i] == q->n)
			k[i].fd = -1;
	}
	__atomic_add_fetch(&q->sum, sum, __ATOMIC_RELAXED);
	return 0;
}

TEST_F(meet, singles_and_four_way_selects_end_together)
{
	static const int caps[4] = { 0, 0, 2, 3 };
	struct quad *q = shared(sizeof(*q));
	struct quad_one *o = shared(sizeof(*o) * 4);
	struct party p[10];

	q->n = count(100000, 1200, 400);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, chan_make(q->e[i], 4, caps[i], 0));
		o[i] = (struct quad_one){ q, i };
	}
	for (int i = 0; i < 10; i++)	/* processes: every other one */
		ASSERT_TRUE(party_start(&p[i], variant->process && i & 1,
					i < 4 ? quad_send : i < 8 ? quad_recv : quad_select, &o[i & 3]));
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	EXPECT_EQ(8L * q->n * (q->n - 1) / 2, q->sum);
	for (int i = 0; i < 4; i++) {
		struct chan_info in = info_of(q->e[i][0]);

		EXPECT_EQ(2 * q->n, in.sent);
		EXPECT_EQ(2 * q->n, in.received);
		EXPECT_EQ(0, in.len);
		close2(q->e[i]);
	}
}

/* SE-10: a send over four channels goes through exactly one of them */
struct dbl { int c[4][2], mux[2], n; };
struct dbl_one { struct dbl *d; int i; };

static int dbl_sender(void *arg)
{
	struct dbl *d = arg;

	for (int v = 0; v < d->n; v++) {
		struct chan_case k[4];
		int i;

		for (i = 0; i < 4; i++)
			k[i] = chan_send_case(d->c[i][1], &v, 4);
		i = chan_select(k, 4, 0, -1, SOON);
		if (i < 0 || k[i].msg.res)
			return 1;
	}
	for (int i = 0; i < 4; i++)
		if (chan_shut(d->c[i][1], 0))
			return 2;
	return 0;
}

static int dbl_mux(void *arg)
{
	struct dbl_one *o = arg;
	int v, r;

	while ((r = chan_recv(o->d->c[o->i][0], &v, 4, -1, SOON)) == 4)
		if (chan_send(o->d->mux[1], &v, 4, -1, SOON))
			return 1;
	return r == -EPIPE ? 0 : 2;
}

TEST_F(meet, a_send_over_four_channels_happens_once)
{
	struct dbl *d = shared(sizeof(*d));
	struct dbl_one *o = shared(sizeof(*o) * 4);
	struct party p[5];
	char *seen;
	int v;

	d->n = count(100000, 5000, 1500);
	seen = calloc(d->n, 1);
	ASSERT_EQ(0, chan_make(d->mux, 4, 0, 0));
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, chan_make(d->c[i], 4, 0, 0));
	for (int i = 0; i < 4; i++) {
		o[i] = (struct dbl_one){ d, i };
		ASSERT_TRUE(party_start(&p[i], variant->process, dbl_mux, &o[i]));
	}
	ASSERT_TRUE(party_start(&p[4], variant->process, dbl_sender, d));
	for (int i = 0; i < d->n; i++) {
		ASSERT_EQ(4, chan_recv(d->mux[0], &v, 4, -1, SOON));
		ASSERT_TRUE(v >= 0 && v < d->n);
		ASSERT_EQ(0, seen[v]++);
	}
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	EXPECT_EQ(-EAGAIN, chan_recv(d->mux[0], &v, 4, -1, CHAN_NOW));
	close2(d->mux);
	for (int i = 0; i < 4; i++)
		close2(d->c[i]);
	free(seen);
}

/* SE-13: one token between two channels through a select, for ever */
struct token { int e[2][2], n; };

static int token_body(void *arg)
{
	struct token *t = arg;

	for (int n = 0; n < t->n; n++) {
		int v = -1, i;
		struct chan_case k[2] = {
			chan_recv_case(t->e[0][0], &v, 4), chan_recv_case(t->e[1][0], &v, 4),
		};

		i = chan_select(k, 2, 0, -1, SOON);
		if (i < 0 || k[i].msg.res != 4 || v != 321)
			return 1;
		if (chan_send(t->e[!i][1], &v, 4, -1, SOON))
			return 2;
	}
	return 0;
}

TEST_F(meet, one_token_stays_one)
{
	struct token *t = shared(sizeof(*t));
	struct party p[2];
	int v = 321;

	t->n = count(1000000, 4000, 1000);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, chan_make(t->e[i], 4, 1, 0));
	ASSERT_EQ(0, chan_send(t->e[0][1], &v, 4, -1, CHAN_NOW));
	for (int i = 0; i < 2; i++)
		ASSERT_TRUE(party_start(&p[i], variant->process, token_body, t));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	EXPECT_EQ(1, (int)(info_of(t->e[0][0]).len + info_of(t->e[1][0]).len));
	close2(t->e[0]);
	close2(t->e[1]);
}

TEST_HARNESS_MAIN
