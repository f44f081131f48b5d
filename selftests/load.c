// SPDX-License-Identifier: MIT
/* Many parties at work on few channels, for long: nothing is lost, and nothing is left. */
#include <limits.h>

#include "group_util.h"
#include "harness.h"

/* shared() */
struct crew {
	int e[2], back[2], capacity, n;
	long left, done;
	int inside;
};

static long add(long *what, long by)
{
	return __atomic_add_fetch(what, by, __ATOMIC_SEQ_CST);
}

static void run(struct __test_metadata *_metadata, bool process, struct party *p, int n,
		int (*fn)(void *), void *arg)
{
	for (int i = 0; i < n; i++)
		ASSERT_TRUE(party_start(&p[i], process, fn, arg));
}

static void end(struct __test_metadata *_metadata, struct party *p, int n)
{
	for (int i = 0; i < n; i++)
		ASSERT_EQ(0, party_end(&p[i]));
}

THREADS_AND_PROCESSES(load)

/* ---- ST-01: 23 workers take from one queue and give to another ---- */

static const int primes[] = { 2, 3, 7, 11, 13, 17, 19, 23, 27, 31 };

static int worker(void *arg)
{
	struct crew *c = arg;
	int me = primes[add(&c->done, 1) % 10], v;
	long r;

	while ((r = chan_recv(c->e[0], &v, sizeof(v), -1, SOON)) == sizeof(v)) {
		if (v == me)
			sched_yield();
		WANT(!chan_send(c->back[1], &v, sizeof(v), -1, SOON));
	}
	WANT(r == -EPIPE);
	return 0;
}

static int feeder(void *arg)
{
	struct crew *c = arg;

	for (int i = 0; i < c->n; i++)
		WANT(!chan_send(c->e[1], &primes[i % 10], sizeof(int), -1, SOON));
	WANT(!chan_shut(c->e[1], 0));
	return 0;
}

TEST_F(load, twenty_three_workers_lose_nothing_and_double_nothing)
{
	struct crew *c = shared(sizeof(*c));
	struct party p[23], f;
	long sum = 0, n = 0, want = 0;
	int v;

	c->n = count(271828, 27182, 5000);
	for (int i = 0; i < c->n; i++)
		want += primes[i % 10];
	ASSERT_EQ(0, chan_make(c->e, sizeof(int), 69, 0));
	ASSERT_EQ(0, chan_make(c->back, sizeof(int), 69, 0));
	run(_metadata, variant->proc, p, 23, worker, c);
	ASSERT_TRUE(party_start(&f, variant->proc, feeder, c));
	for (; n < c->n; n++, sum += v)
		ASSERT_EQ(sizeof(v), chan_recv(c->back[0], &v, sizeof(v), -1, SOON));
	end(_metadata, &f, 1);
	end(_metadata, p, 23);
	EXPECT_EQ(want, sum);
	EXPECT_EQ(-EAGAIN, chan_recv(c->back[0], &v, sizeof(v), -1, CHAN_NOW));
	EXPECT_EQ(0, chan_shut(c->back[1], 0));
	EXPECT_EQ(-EPIPE, chan_recv(c->back[0], &v, sizeof(v), -1, CHAN_NOW));
	close2(c->e);
	close2(c->back);
}

/* ---- ST-02: a daisy chain ---- */

struct link { int left, right, value; };

static int daisy(void *arg)
{
	struct link *l = arg;
	int v;

	WANT(chan_recv(l->right, &v, sizeof(v), -1, SOON) == sizeof(v));
	v++;
	WANT(!chan_send(l->left, &v, sizeof(v), -1, SOON));
	return 0;
}

static void *daisy_thread(void *arg)
{
	struct link *l = arg;

	l->value = daisy(l);
	return NULL;
}

TEST_F(load, a_value_walks_down_a_chain_of_waiters)
{
	int n = variant->proc ? count(500, 300, 50) : count(10000, 1000, 200), before = open_count(), v = 0;
	struct link *l = shared(n * sizeof(*l));
	struct party *p = calloc(n, sizeof(*p));
	pthread_t *t = calloc(n, sizeof(*t));
	int (*e)[2] = calloc(n + 1, sizeof(*e));
	pthread_attr_t attr;

	ASSERT_EQ(0, many_files());
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 16384);
	ASSERT_EQ(0, chan_make(e[0], sizeof(int), 0, 0));
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, chan_make(e[i + 1], sizeof(int), 0, 0));
		l[i] = (struct link){ .left = e[i][1], .right = e[i + 1][0] };
		if (variant->proc) {
			ASSERT_TRUE(party_start(&p[i], true, daisy, &l[i]));
		} else {
			ASSERT_EQ(0, pthread_create(&t[i], &attr, daisy_thread, &l[i]));
		}
	}
	ASSERT_EQ(0, chan_send(e[n][1], &v, sizeof(v), -1, SOON));
	ASSERT_EQ(sizeof(v), chan_recv(e[0][0], &v, sizeof(v), -1, SOON));
	EXPECT_EQ(n, v);
	for (int i = 0; i < n; i++) {
		if (variant->proc) {
			ASSERT_EQ(0, party_end(&p[i]));
		} else {
			ASSERT_EQ(0, pthread_join(t[i], NULL));
		}
		EXPECT_EQ(0, l[i].value);
	}
	for (int i = 0; i <= n; i++) {
		EXPECT_EQ(1, info_of(e[i][0]).received);
		EXPECT_EQ(1, info_of(e[i][0]).senders);	/* this process's */
		close2(e[i]);
	}
	EXPECT_EQ(before, open_count());
	free(e);
	free(t);
	free(p);
}

/* ---- ST-03: ten senders and ten receivers, whose stacks grow after each message ---- */

struct triple { long a, b, c; };

static long __attribute__((noinline)) deep(int frames)
{
	volatile char pad[1024];

	pad[0] = pad[sizeof(pad) - 1] = frames;
	return frames ? deep(frames - 1) + pad[0] - pad[sizeof(pad) - 1] : 0;
}

static int triples_out(void *arg)
{
	struct crew *c = arg;

	for (long i = 1; i <= c->n; i++) {
		struct triple t = { i, 2 * i, -i };

		WANT(!chan_send(c->e[1], &t, sizeof(t), -1, SOON));
	}
	return 0;
}

static int triples_in(void *arg)
{
	struct crew *c = arg;

	for (int i = 0; i < c->n; i++) {
		struct triple t;

		WANT(chan_recv(c->e[0], &t, sizeof(t), -1, SOON) == sizeof(t));
		WANT(t.b == 2 * t.a && t.c == -t.a && !deep(32));
		add(&c->done, t.a);
	}
	return 0;
}

TEST_F(load, ten_to_ten_with_deep_stacks)
{
	struct crew *c = shared(sizeof(*c));
	struct party s[10], r[10];

	c->n = count(100000, 2000, 300);
	ASSERT_EQ(0, chan_make(c->e, sizeof(struct triple), 0, 0));
	run(_metadata, variant->proc, r, 10, triples_in, c);
	run(_metadata, variant->proc, s, 10, triples_out, c);
	end(_metadata, s, 10);
	end(_metadata, r, 10);
	EXPECT_EQ(10L * c->n * (c->n + 1) / 2, c->done);
	EXPECT_EQ(10 * c->n, info_of(c->e[0]).received);
	close2(c->e);
}

/* ---- ST-04: two alternate strictly, and swap roles ---- */

static int alternate(void *arg)
{
	struct crew *c = arg;
	long round;
	int v = 0;

	while ((round = add(&c->left, -1)) >= 0) {
		for (int i = 0; i < c->n; i++) {
			if (round % 2)
				WANT(!chan_send(c->e[1], &v, sizeof(v), -1, SOON));
			WANT(chan_recv(c->e[0], &v, sizeof(v), -1, SOON) == sizeof(v));
			if (round % 2 == 0)
				WANT(!chan_send(c->e[1], &v, sizeof(v), -1, SOON));
		}
		add(&c->done, 1);
	}
	return 0;
}

TEST_F(load, two_alternate_on_one_rendezvous_and_swap_roles)
{
	struct crew *c = shared(sizeof(*c));
	struct party p[2];
	int rounds = count(100, 40, 10);

	c->left = rounds;
	c->n = count(1000, 1000, 200);
	ASSERT_EQ(0, chan_make(c->e, sizeof(int), 0, 0));
	run(_metadata, variant->proc, p, 2, alternate, c);
	end(_metadata, p, 2);
	EXPECT_EQ(rounds, c->done);
	EXPECT_EQ((long)rounds * c->n, info_of(c->e[0]).received);
	close2(c->e);
}

/* ---- ST-05: a channel of empty messages is a counting semaphore ---- */

static int enter_and_leave(void *arg)
{
	struct crew *c = arg;

	for (int i = 0; i < c->n; i++) {
		int inside;

		WANT(!chan_send(c->e[1], NULL, 0, -1, SOON));
		inside = __atomic_add_fetch(&c->inside, 1, __ATOMIC_SEQ_CST);
		WANT(inside <= c->capacity);
		if (i % 16 == 0)
			sched_yield();
		__atomic_sub_fetch(&c->inside, 1, __ATOMIC_SEQ_CST);
		WANT(chan_recv(c->e[0], NULL, 0, -1, SOON) == 0);
	}
	return 0;
}

TEST_F(load, no_more_are_inside_than_the_capacity)
{
	struct crew *c = shared(sizeof(*c));
	struct party p[8];

	c->capacity = 2;
	c->n = count(10000, 5000, 500);
	ASSERT_EQ(0, chan_make(c->e, 0, c->capacity, 0));
	run(_metadata, variant->proc, p, 8, enter_and_leave, c);
	end(_metadata, p, 8);
	EXPECT_EQ(0, c->inside);
	EXPECT_EQ(0, info_of(c->e[0]).len);
	EXPECT_EQ(8L * c->n, info_of(c->e[0]).received);
	close2(c->e);
}

/* ---- ST-06: made, used once, dropped, by all at once ---- */

static int make_and_drop(void *arg)
{
	struct crew *c = arg;

	for (int i = 0; i < c->n; i++) {
		int e[2], v = i, w;

		WANT(!chan_make(e, sizeof(v), 1, 0));
		WANT(!chan_send(e[1], &v, sizeof(v), -1, CHAN_NOW));
		WANT(chan_recv(e[0], &w, sizeof(w), -1, CHAN_NOW) == sizeof(w) && w == v);
		close2(e);
	}
	return 0;
}

TEST_F(load, channels_made_and_dropped_by_all_at_once)
{
	struct crew *c = shared(sizeof(*c));
	struct party p[4];
	int before = open_count();

	c->n = count(100000, 3000, 300);
	run(_metadata, variant->proc, p, 4, make_and_drop, c);
	end(_metadata, p, 4);
	EXPECT_EQ(before, open_count());
}

/* ---- SE-14: leaving a crowded queue does not take longer, the more are in it ---- */

struct lonely { int all, mine, rounds, bad; };

static void *wait_in_crowd(void *arg)
{
	struct lonely *l = arg;
	int v;

	for (int i = 0; i < l->rounds; i++) {
		struct chan_case k[2] = {
			chan_recv_case(l->all, &v, 4), chan_recv_case(l->mine, &v, 4),
		};

		l->bad += chan_select(k, 2, 0, -1, CHAN_FOREVER) != 1 || k[1].msg.res != 4;
	}
	return NULL;
}

/* Nanoseconds until each of @n has left the queue of one channel @rounds times. */
static int64_t crowd(struct __test_metadata *_metadata, int n, int rounds)
{
	struct lonely *l = calloc(n, sizeof(*l));
	pthread_t *t = calloc(n, sizeof(*t));
	int (*e)[2] = calloc(n, sizeof(*e));
	int all[2], v = 1;
	pthread_attr_t attr;
	int64_t start;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 16384);
	ASSERT_EQ(0, chan_make(all, 4, 0, 0));
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, chan_make(e[i], 4, 0, 0));	/* each message finds it waiting */
		l[i] = (struct lonely){ .all = all[0], .mine = e[i][0], .rounds = rounds };
		ASSERT_EQ(0, pthread_create(&t[i], &attr, wait_in_crowd, &l[i]));
	}
	ASSERT_TRUE(parked(all[0], 0, n));
	start = chan_after(0);
	for (int k = 0; k < rounds; k++)
		for (int i = 0; i < n; i++)
			ASSERT_EQ(0, chan_send(e[i][1], &v, 4, -1, SOON));
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, pthread_join(t[i], NULL));
		EXPECT_EQ(0, l[i].bad);
		close2(e[i]);
	}
	start = chan_after(0) - start;
	EXPECT_EQ(0, info_of(all[0]).parked_receivers);
	close2(all);
	free(e);
	free(t);
	free(l);
	return start;
}

TEST(leaving_a_crowded_queue_takes_no_longer_the_more_are_in_it)
{
	int n = quick(1000, 200), rounds = 10;
	int64_t few, many;

	ASSERT_EQ(0, many_files());
	for (int tries = 0; tries < 10; tries++) {
		few = crowd(_metadata, n, rounds);
		many = crowd(_metadata, 2 * n, rounds);
		if (many < 3 * few)
			break;
	}
	EXPECT_GT(3 * few, many);
}

/* ---- RM-02: a channel several times in a select that ends or is killed leaves nothing ---- */

static int thrice(void *arg)
{
	struct crew *c = arg;
	int v;
	struct chan_case k[3] = { chan_recv_case(c->e[0], &v, 4), chan_recv_case(c->e[0], &v, 4),
				  chan_recv_case(c->e[0], &v, 4) };
	long r = chan_select(k, 3, 0, -1, CHAN_FOREVER);

	WANT(r >= 0 && k[r].msg.res == -EPIPE);
	return 0;
}

static long slab_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[100];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "SUnreclaim: %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}

static void thrice_round(struct __test_metadata *_metadata, bool process, bool killed)
{
	struct crew *c = shared(sizeof(*c));
	struct party p[10], stays;

	ASSERT_EQ(0, chan_make(c->e, 4, 0, 0));
	ASSERT_TRUE(party_start(&stays, process, thrice, c));
	ASSERT_TRUE(parked(c->e[0], 0, 3));
	run(_metadata, process, p, 10, thrice, c);
	ASSERT_TRUE(parked(c->e[0], 0, 33));
	for (int i = 0; killed && i < 10; i++) {
		kill(p[i].pid, SIGKILL);
		ASSERT_EQ(-SIGKILL, party_end(&p[i]));
	}
	if (killed) {
		EXPECT_EQ(3, info_of(c->e[0]).parked_receivers);
	}
	ASSERT_EQ(0, chan_shut(c->e[1], 0));
	if (!killed)
		end(_metadata, p, 10);
	end(_metadata, &stays, 1);
	EXPECT_EQ(0, info_of(c->e[0]).parked_receivers);
	close2(c->e);
	munmap(c, sizeof(*c));
}

TEST_F(load, a_channel_three_times_in_a_select_leaves_nothing)
{
	bool keeps = !access("/sys/kernel/debug/kmemleak", F_OK);
	int n = keeps ? 10 : quick(200, 100);
	long before, grown = 0;

	for (int i = 0; i < n; i++)
		thrice_round(_metadata, variant->proc, variant->proc && i % 2);
	if (keeps) {
		TH_LOG("not judged: this kernel keeps freed memory for a while, and scans for leaks");
		return;
	}
	usleep(1500000);	/* what the ended tasks were is freed, and the counters are summed up */
	before = slab_kib();
	for (int i = 0; i < n; i++)
		thrice_round(_metadata, variant->proc, variant->proc && i % 2);
	for (int tries = 0; tries < 100; tries++, usleep(100000)) {
		grown = slab_kib() - before;
		if (grown < 3L * n)
			break;
	}
	ASSERT_LT(0, before);
	/* what 11 selects of 3 cases take is 6 KiB a round */
	EXPECT_GT(3L * n, grown) {
		TH_LOG("%ld KiB in %d rounds", grown, n);
	}
}

TEST_HARNESS_MAIN
