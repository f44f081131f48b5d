// SPDX-License-Identifier: MIT
/* The classic programs: sieves and power series; pipelines that end when their reader leaves. */
#include <sys/resource.h>

#include "util.h"
#include "harness.h"

static const int primes[] = {
	2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
};
#define PRIMES 25

/* PR-01: a chain of filters, a thread or a process each */
struct stage { int in, out, keep, prime; };

static int count_up(void *arg)
{
	struct stage *s = arg;
	int v = 2, r;

	if (s->keep >= 0)
		close(s->keep);
	while (!(r = chan_send(s->out, &v, 4, -1, SOON)))
		v++;
	close(s->out);
	return r == -EPIPE ? 0 : 1;
}

static int sift(void *arg)
{
	struct stage *s = arg;
	int v, r;

	if (s->keep >= 0)
		close(s->keep);
	do {
		r = chan_recv(s->in, &v, 4, -1, SOON) - 4;
		if (!r && v % s->prime)
			r = chan_send(s->out, &v, 4, -1, SOON);
	} while (!r);
	close(s->in);	/* and so the one before ends */
	close(s->out);
	return r == -EPIPE ? 0 : 1;
}

TEST(sieve_of_filters)
{
	for (int process = 0; process < 2; process++) {
		struct stage *s = shared((PRIMES + 1) * sizeof(*s));
		struct party p[PRIMES + 1];
		int e[2], v, rx;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		s[0] = (struct stage){ .out = e[1], .keep = process ? e[0] : -1 };
		ASSERT_TRUE(party_start(&p[0], process, count_up, &s[0]));
		rx = e[0];
		if (process)
			close(e[1]);
		for (int i = 0; i < PRIMES; i++) {
			ASSERT_EQ(4, chan_recv(rx, &v, 4, -1, SOON));
			ASSERT_EQ(primes[i], v);
			ASSERT_EQ(0, chan_make(e, 4, 0, 0));
			s[i + 1] = (struct stage){ rx, e[1], process ? e[0] : -1, v };
			ASSERT_TRUE(party_start(&p[i + 1], process, sift, &s[i + 1]));
			if (process) {
				close(rx);
				close(e[1]);
			}
			rx = e[0];
		}
		close(rx);
		for (int i = PRIMES; i >= 0; i--)
			EXPECT_EQ(0, party_end(&p[i]));
	}
}

/* What follows runs on threads under one group; cancelling it ends them all. */
#define JOBS 3000
struct job { pthread_t t; void (*fn)(struct job *j); bool started; void *out, *in[2]; long a, b; };
static struct job jobs[JOBS];
static int nr_jobs, all, ends[8 * JOBS], nr_ends;

static void *job_thread(void *arg)
{
	struct job *j = arg;

	j->fn(j);
	return NULL;
}

static void spawn(struct job as)
{
	int i = __atomic_fetch_add(&nr_jobs, 1, __ATOMIC_RELAXED);
	pthread_attr_t attr;

	if (i >= JOBS)
		abort();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	jobs[i] = as;
	if (pthread_create(&jobs[i].t, &attr, job_thread, &jobs[i]))
		abort();
	__atomic_store_n(&jobs[i].started, true, __ATOMIC_RELEASE);
}

static void begin(void)
{
	struct rlimit lim = { 20000, 20000 };

	setrlimit(RLIMIT_NOFILE, &lim);
	memset(jobs, 0, sizeof(jobs));
	nr_jobs = nr_ends = 0;
	all = chan_group(-1, CHAN_FOREVER, 0, 0);
}

/* End all and wait for all: those that were spawned meanwhile as well. */
static int end(void)
{
	int n = 0;

	chan_cancel(all, 0, NULL);
	for (; n < __atomic_load_n(&nr_jobs, __ATOMIC_ACQUIRE); n++) {
		while (!__atomic_load_n(&jobs[n].started, __ATOMIC_ACQUIRE))
			usleep(100);
		pthread_join(jobs[n].t, NULL);
	}
	for (int i = 0; i < nr_ends; i++)
		close(ends[i]);
	close(all);
	return n;
}

static void make(int e[2], size_t size, unsigned capacity)
{
	int at = __atomic_fetch_add(&nr_ends, 2, __ATOMIC_RELAXED);

	if (chan_make(e, size, capacity, 0))
		abort();
	ends[at] = e[0];
	ends[at + 1] = e[1];
}

static bool put_int(int *e, int v)
{
	return chan_send(e[1], &v, 4, all, SOON) == 0;
}

static bool get_int(int *e, int *v)
{
	return chan_recv(e[0], v, 4, all, SOON) == 4;
}

/* PR-02: composites of all primes so far, merged in order, against the odd numbers */
struct sieve2 { int odd[2], comp[2], found[2], fed[2], out[2]; };

static void numbers(struct job *j)	/* j->a, then on by j->b */
{
	for (int v = j->a; put_int(j->out, v); v += j->b)
		;
}

static void proxy(struct job *j)	/* a queue without a limit */
{
	struct sieve2 *s = j->out;
	int q[1000], head = 0, tail = 0, v;

	for (;;) {
		struct chan_case k[2] = {
			chan_recv_case(s->found[0], &v, 4),
			chan_send_case(head == tail ? -1 : s->fed[1], &q[head], 4),
		};
		int i = chan_select(k, 2, 0, all, SOON);

		if (i < 0)
			return;
		if (i)
			head++;
		else
			q[tail++] = v;
	}
}

struct peeked { int e[2], head; };

static bool next_of(struct peeked *p)
{
	return get_int(p->e, &p->head);
}

/* The least head of all, taken out of every stream that has it. */
static bool emit_below(struct sieve2 *s, struct peeked *p, int n, int limit)
{
	for (;;) {
		int least = limit;

		for (int i = 0; i < n; i++)
			least = p[i].head < least ? p[i].head : least;
		if (least == limit)
			return true;
		for (int i = 0; i < n; i++)
			if (p[i].head == least && !next_of(&p[i]))
				return false;
		if (!put_int(s->comp, least))
			return false;
	}
}

static void merge(struct job *j)
{
	struct sieve2 *s = j->out;
	static struct peeked p[200];
	int n = 0, prime;

	while (get_int(s->fed, &prime)) {
		struct peeked *m = &p[n];

		if (!emit_below(s, p, n, prime * prime))
			return;
		make(m->e, 4, 50);
		spawn((struct job){ .fn = numbers, .out = m->e, .a = (long)prime * prime, .b = 2 * prime });
		if (!next_of(m) || !put_int(s->comp, m->head))
			return;
		for (int i = 0; i <= n; i++)	/* the square goes out once */
			if (p[i].head == prime * prime && !next_of(&p[i]))
				return;
		n++;
	}
}

static void sieve(struct job *j)
{
	struct sieve2 *s = j->out;
	int c = 0, p = 3;

	if (!put_int(s->out, 2))
		return;
	do {
		while (c < p && c)
			if (!get_int(s->comp, &c))
				return;
		if (c == p)
			continue;
		if (!put_int(s->found, p) || !put_int(s->out, p))
			return;
		if (!c && !get_int(s->comp, &c))
			return;
	} while (get_int(s->odd, &p));
}

TEST(sieve_of_merged_multiples)
{
	static struct sieve2 s;
	int v;

	begin();
	make(s.odd, 4, 50);
	make(s.comp, 4, 50);
	make(s.found, 4, 10);
	make(s.fed, 4, 0);
	make(s.out, 4, 10);
	spawn((struct job){ .fn = numbers, .out = s.odd, .a = 5, .b = 2 });
	spawn((struct job){ .fn = proxy, .out = &s });
	spawn((struct job){ .fn = merge, .out = &s });
	spawn((struct job){ .fn = sieve, .out = &s });
	for (int i = 0; i < PRIMES; i++) {
		ASSERT_TRUE(get_int(s.out, &v));
		ASSERT_EQ(primes[i], v);
	}
	EXPECT_LT(6, end());
}

/* PR-03: power series on demand. A stream is a channel of requests and one of
 * coefficients, sent as they are or as a pointer to them. */
struct rat { int64_t num, den; };
struct stream { int req[2], dat[2]; };
static bool by_pointer;
static struct stream streams[2 * JOBS];
static int nr_streams;

static struct stream *stream(void)
{
	struct stream *s = &streams[__atomic_fetch_add(&nr_streams, 1, __ATOMIC_RELAXED)];

	make(s->req, 0, 0);
	make(s->dat, sizeof(struct rat), 0);
	return s;
}

static struct rat rat(int64_t num, int64_t den)
{
	int64_t a = num < 0 ? -num : num, b = den < 0 ? -den : den, t;

	while (b) {
		t = a % b;
		a = b;
		b = t;
	}
	a = den < 0 ? -a : a;
	return (struct rat){ num / a, den / a };
}

static struct rat add(struct rat a, struct rat b)
{
	return rat(a.num * b.den + b.num * a.den, a.den * b.den);
}

static struct rat mul(struct rat a, struct rat b)
{
	return rat(a.num * b.num, a.den * b.den);
}

static bool asked(struct stream *s)
{
	return chan_recv(s->req[0], NULL, 0, all, SOON) == 0;
}

static bool put_rat(struct stream *s, struct rat r)
{
	struct rat *p;

	if (!by_pointer)
		return !chan_send(s->dat[1], &r, sizeof(r), all, SOON);
	p = malloc(sizeof(*p));
	*p = r;
	if (!chan_send(s->dat[1], &p, sizeof(p), all, SOON))
		return true;
	free(p);
	return false;
}

static bool took(struct rat *r, long len)
{
	struct rat *p;

	if (!by_pointer)
		return len == sizeof(*r);
	if (len != sizeof(p))
		return false;
	memcpy(&p, r, sizeof(p));
	*r = *p;
	free(p);
	return true;
}

static bool get(struct stream *s, struct rat *r)
{
	return !chan_send(s->req[1], NULL, 0, all, SOON) &&
	       took(r, chan_recv(s->dat[0], r, sizeof(*r), all, SOON));
}

/* One of each, asked for and taken in any order: a case that is done is out. */
static bool get_both(struct stream *a, struct stream *b, struct rat r[2])
{
	struct stream *s[2] = { a, b };
	struct chan_case k[4];

	for (int i = 0; i < 2; i++) {
		k[i] = chan_send_case(s[i]->req[1], NULL, 0);
		k[2 + i] = chan_recv_case(-1, &r[i], sizeof(r[i]));
	}
	for (int n = 0; n < 4; n++) {
		int i = chan_select(k, 4, 0, all, SOON);

		if (i < 0 || k[i].msg.res < 0)
			return false;
		k[i].fd = -1;
		if (i < 2)
			k[2 + i].fd = s[i]->dat[0];
		else if (!took(&r[i - 2], k[i].msg.res))
			return false;
	}
	return true;
}

static struct stream *start(void (*fn)(struct job *), struct stream *a, struct stream *b, long x, long y)
{
	struct stream *out = stream();

	spawn((struct job){ .fn = fn, .out = out, .in = { a, b }, .a = x, .b = y });
	return out;
}

static void do_rep(struct job *j)
{
	while (asked(j->out) && put_rat(j->out, rat(j->a, j->b)))
		;
}

static void do_add(struct job *j)	/* in[0] + a in[1] */
{
	struct rat r[2];

	while (asked(j->out) && get_both(j->in[0], j->in[1], r) &&
	       put_rat(j->out, add(r[0], mul(r[1], rat(j->a, 1)))))
		;
}

static void do_cmul(struct job *j)
{
	struct rat r;

	while (asked(j->out) && get(j->in[0], &r) && put_rat(j->out, mul(r, rat(j->a, j->b))))
		;
}

static void do_diff(struct job *j)
{
	struct rat r;

	if (!asked(j->out) || !get(j->in[0], &r))
		return;
	for (int n = 1; get(j->in[0], &r) && put_rat(j->out, mul(r, rat(n, 1))) && asked(j->out); n++)
		;
}

static void do_integ(struct job *j)	/* with the constant a */
{
	struct rat r;

	if (!asked(j->out) || !put_rat(j->out, rat(j->a, 1)))
		return;
	for (int n = 1; asked(j->out) && get(j->in[0], &r) && put_rat(j->out, mul(r, rat(1, n))); n++)
		;
}

static void do_subst(struct job *j)	/* x becomes a x^b */
{
	struct rat r, c = rat(1, 1);

	for (int n = 0; asked(j->out); n++) {
		if (n % j->b) {
			r = rat(0, 1);
		} else {
			if (!get(j->in[0], &r))
				return;
			r = mul(r, c);
			c = mul(c, rat(j->a, 1));
		}
		if (!put_rat(j->out, r))
			return;
	}
}

/* Two readers of one stream, at their own pace: what one has not asked for yet waits. */
static void do_split(struct job *j)
{
	struct stream *src = j->in[0], **out = j->out;
	struct rat q[200], r;
	int have = 0, at[2] = { 0, 0 };
	bool waits[2] = { false, false }, want = false, due = false;

	for (;;) {
		struct chan_case k[4] = {
			chan_recv_case(waits[0] ? -1 : out[0]->req[0], NULL, 0),
			chan_recv_case(waits[1] ? -1 : out[1]->req[0], NULL, 0),
			chan_send_case(want ? src->req[1] : -1, NULL, 0),
			chan_recv_case(due ? src->dat[0] : -1, &r, sizeof(r)),
		};
		int i = chan_select(k, 4, 0, all, SOON);

		if (i < 0 || k[i].msg.res < 0 || have == 200)
			return;
		if (i < 2)
			waits[i] = true;
		if (i == 2) {
			want = false;
			due = true;
		}
		if (i == 3) {
			due = false;
			if (!took(&r, k[3].msg.res))
				return;
			q[have++] = r;
		}
		for (i = 0; i < 2; i++) {
			if (!waits[i])
				continue;
			if (at[i] == have) {
				want = !due;
				continue;
			}
			waits[i] = false;
			if (!put_rat(out[i], q[at[i]++]))
				return;
		}
	}
}

static struct stream **split(struct stream *s)
{
	static struct stream *pairs[2 * JOBS][2];
	static int nr;
	struct stream **p = pairs[__atomic_fetch_add(&nr, 1, __ATOMIC_RELAXED) % (2 * JOBS)];

	p[0] = stream();
	p[1] = stream();
	spawn((struct job){ .fn = do_split, .out = p, .in = { s } });
	return p;
}

/* (f + xF)(g + xG) = fg + x(fG + gF + xFG) */
static void do_mul(struct job *j)
{
	struct stream **f, **g, *sum, *rest;
	struct rat r[2], w;

	if (!asked(j->out) || !get_both(j->in[0], j->in[1], r) || !put_rat(j->out, mul(r[0], r[1])) ||
	    !asked(j->out))
		return;
	f = split(j->in[0]);
	g = split(j->in[1]);
	sum = start(do_add, start(do_cmul, g[0], NULL, r[0].num, r[0].den),
		    start(do_cmul, f[0], NULL, r[1].num, r[1].den), 1, 0);
	rest = start(do_mul, f[1], g[1], 0, 0);
	if (!get(sum, &w) || !put_rat(j->out, w))
		return;
	while (asked(j->out) && get_both(sum, rest, r) && put_rat(j->out, add(r[0], r[1])))
		;
}

/* Z with Z' = Z U' and Z(0) = 1: a stream that feeds itself */
static struct stream *exp_of(struct stream *u)
{
	struct stream *z = stream(), **zz = split(z), *m;

	m = start(do_mul, zz[1], start(do_diff, u, NULL, 0, 0), 0, 0);
	spawn((struct job){ .fn = do_integ, .out = z, .in = { m }, .a = 1 });
	return zz[0];
}

static struct stream *ones(void)
{
	return start(do_rep, NULL, NULL, 1, 1);
}

static void check(struct __test_metadata *_metadata, const char *name, struct stream *s,
		  const struct rat *want, int n)
{
	struct rat r;

	for (int i = 0; i < n; i++) {
		ASSERT_TRUE(get(s, &r)) {
			TH_LOG("%s: coefficient %d does not come", name, i);
		}
		EXPECT_TRUE(r.num == want[i].num && r.den == want[i].den) {
			TH_LOG("%s: coefficient %d is %ld/%ld", name, i, (long)r.num, (long)r.den);
		}
	}
}

TEST(power_series_on_demand)
{
	struct rat c1[10], c2[10], c3[10], m1[10], up[10], in[10], m2[10];

	for (int i = 0; i < 10; i++) {
		c1[i] = rat(1, 1);
		c2[i] = rat(2, 1);
		c3[i] = rat(3, 1);
		m1[i] = rat(-1, 1);
		m2[i] = rat(-2, 1);
		up[i] = rat(i + 1, 1);
		in[i] = i ? rat(1, i) : rat(0, 1);
	}
	for (int form = 0; form < 2; form++) {
		by_pointer = form;
		nr_streams = 0;
		begin();
		check(_metadata, "ones", ones(), c1, 5);
		check(_metadata, "sum", start(do_add, ones(), ones(), 1, 0), c2, 10);
		check(_metadata, "sum of 1 and 2",
		      start(do_add, ones(), start(do_rep, NULL, NULL, 2, 1), 1, 0), c3, 10);
		check(_metadata, "difference",
		      start(do_add, ones(), start(do_rep, NULL, NULL, 2, 1), -1, 0), m1, 10);
		check(_metadata, "derivative", start(do_diff, ones(), NULL, 0, 0), up, 10);
		check(_metadata, "integral", start(do_integ, ones(), NULL, 0, 0), in, 10);
		check(_metadata, "multiple",
		      start(do_cmul, start(do_rep, NULL, NULL, 2, 1), NULL, -1, 1), m2, 10);
		check(_metadata, "product", start(do_mul, ones(), ones(), 0, 0), up, 10);
		EXPECT_LT(15, end());
	}
}

/* PR-04 */
TEST(power_series_that_feed_themselves)
{
	static const struct rat e[10] = {
		{ 1, 1 }, { 1, 1 }, { 3, 2 }, { 13, 6 }, { 73, 24 }, { 167, 40 }, { 4051, 720 },
		{ 37633, 5040 }, { 43817, 4480 }, { 4596553, 362880 },
	};
	static const struct rat atan[10] = {
		{ 0, 1 }, { 1, 1 }, { 0, 1 }, { -1, 3 }, { 0, 1 }, { 1, 5 }, { 0, 1 }, { -1, 7 },
		{ 0, 1 }, { 1, 9 },
	};
	int before = dup(0);

	close(before);
	for (int form = 0; form < 2; form++) {
		by_pointer = form;
		nr_streams = 0;
		begin();
		check(_metadata, "exponential", exp_of(ones()), e, quick(10, 6));
		check(_metadata, "arc tangent",
		      start(do_integ, start(do_subst, ones(), NULL, -1, 2), NULL, 0, 0), atan, 10);
		EXPECT_LT(15, end());
		EXPECT_EQ(before, dup(0));	/* no descriptor is left */
		close(before);
	}
}

/* NP-03: the two ends of one channel in the hands of different processes */
static int give(void *arg)
{
	static const int v[] = { 4, 2, 5 };
	struct stage *s = arg;

	close(s->in);
	for (int i = 0; i < 3; i++)
		if (chan_send(s->out, &v[i], 4, -1, SOON))
			return 1;
	return chan_shut(s->out, 0);
}

static int have(void *arg)
{
	static const int want[] = { 4, 2, 5 };
	struct stage *s = arg;
	int v;

	close(s->out);
	for (int i = 0; i < 3; i++)
		if (chan_recv(s->in, &v, 4, -1, SOON) != 4 || v != want[i])
			return 1;
	return chan_recv(s->in, &v, 4, -1, SOON) == -EPIPE ? 0 : 2;
}

TEST(two_processes_hold_an_end_each)
{
	struct stage s;
	struct party p[2];
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	s = (struct stage){ .in = e[0], .out = e[1] };
	ASSERT_TRUE(party_start(&p[0], true, give, &s));
	ASSERT_TRUE(party_start(&p[1], true, have, &s));
	close2(e);
	EXPECT_EQ(0, party_end(&p[0]));
	EXPECT_EQ(0, party_end(&p[1]));
}

TEST_HARNESS_MAIN
