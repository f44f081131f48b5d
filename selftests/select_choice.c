// SPDX-License-Identifier: MIT
/* Select: the choice among ready cases, and the default among none. */
#include "util.h"
#include "harness.h"

#define CASES 8

/*
 * Pearson's sum over @k equally likely cells. Wilson and Hilferty: chi squared with
 * k - 1 degrees exceeds this bound once in a million; the cube root is avoided.
 */
static double chi2(const long *n, int k)
{
	double total = 0, sum = 0;

	for (int i = 0; i < k; i++)
		total += n[i];
	for (int i = 0; i < k; i++)
		sum += (n[i] - total / k) * (n[i] - total / k) / (total / k);
	return sum;
}

static double chi2_bound(int k)
{
	double d = k - 1, z = 4.7534, s = 2 / (9 * d), root = 1;

	for (int i = 0; i < 60; i++)	/* Newton: the square root of s */
		root = (root + s / root) / 2;
	z = 1 - s + z * root;
	return d * z * z * z;
}

/* Channels of which those in @mask are always ready to receive: shut and drained. */
struct set { int e[CASES][2]; struct chan_case k[CASES]; };

static bool make_set(struct set *s, unsigned mask)
{
	for (int i = 0; i < CASES; i++) {
		if (chan_make(s->e[i], 4, 1, 0))
			return false;
		if (mask & 1 << i)
			chan_shut(s->e[i][1], 0);
		s->k[i] = chan_recv_case(s->e[i][0], NULL, 0);
	}
	return true;
}

static void drop_set(struct set *s)
{
	for (int i = 0; i < CASES; i++)
		close2(s->e[i]);
}

/* How a choice that starts at a random case and takes the next ready one would fare. */
static void biased(unsigned mask, long *hits, int n)
{
	for (int i = 0; i < n; i++) {
		int j = i % CASES;

		while (!(mask & 1 << j))
			j = (j + 1) % CASES;
		hits[j]++;
	}
}

static int compact(unsigned mask, const long *all, long *some)
{
	int k = 0;

	for (int i = 0; i < CASES; i++)
		if (mask & 1 << i)
			some[k++] = all[i];
	return k;
}

TEST(choice_among_ready_cases_is_uniform)
{
	static const unsigned masks[] = { 0x03, 0x81, 0x13, 0x8c, 0x0f, 0xe1, 0x77, 0xff };
	int n = quick(6000, 2000);

	for (unsigned m = 0; m < sizeof(masks) / sizeof(masks[0]); m++) {
		long hits[CASES] = {}, wrong[CASES] = {}, some[CASES];
		struct set s;
		int k;

		ASSERT_TRUE(make_set(&s, masks[m]));
		for (int i = 0; i < n; i++) {
			int j = chan_select(s.k, CASES, 0, -1, i & 1 ? CHAN_NOW : CHAN_FOREVER);

			ASSERT_TRUE(j >= 0 && masks[m] & 1 << j);
			hits[j]++;
		}
		k = compact(masks[m], hits, some);
		EXPECT_GT(chi2_bound(k), chi2(some, k)) {
			TH_LOG("ready %x", masks[m]);
		}
		/* the same bound sees the usual mistake */
		biased(masks[m], wrong, n);
		k = compact(masks[m], wrong, some);
		if (masks[m] != 0xff && masks[m] != 0x0f && masks[m] != 0x77)
			EXPECT_LT(chi2_bound(k), chi2(some, k));
		drop_set(&s);
	}
}

/* FA-02: one choice tells nothing about the next */
TEST(choices_do_not_depend_on_each_other)
{
	int n = quick(12000, 3000), last = 0;
	long pairs[16] = {};
	struct set s;

	ASSERT_TRUE(make_set(&s, 0x0f));
	for (int i = 0; i <= n; i++) {
		int j = chan_select(s.k, 4, 0, -1, CHAN_NOW);

		ASSERT_TRUE(j >= 0 && j < 4);
		if (i)
			pairs[last * 4 + j]++;
		last = j;
	}
	EXPECT_GT(chi2_bound(16), chi2(pairs, 16));
	drop_set(&s);
}

TEST(a_channel_listed_twice_counts_twice)
{
	long hits[3] = {};
	struct set s;

	ASSERT_TRUE(make_set(&s, 0xff));
	s.k[1].fd = s.k[0].fd;
	for (int i = 0; i < quick(9000, 3000); i++)
		hits[chan_select(s.k, 3, 0, -1, CHAN_NOW)]++;
	EXPECT_GT(chi2_bound(3), chi2(hits, 3));
	drop_set(&s);
}

/* FA-01: two that always have messages, two that never have, in both orders */
TEST(full_channels_are_chosen_alike)
{
	int n = quick(10000, 2500), bound = quick(244, 122);

	for (int first = 0; first < 2; first++) {
		int e[4][2], v, ones = 0, at = first ? 0 : 2;
		struct chan_case k[4];

		for (int i = 0; i < 4; i++)
			ASSERT_EQ(0, chan_make(e[i], 4, i / 2 == at / 2 ? n + 1 : 0, 0));
		for (int i = 0; i <= n; i++)
			for (int j = 0; j < 2; j++)
				ASSERT_EQ(0, chan_send(e[at + j][1], &j, 4, -1, CHAN_NOW));
		for (int i = 0; i < 4; i++)
			k[i] = chan_recv_case(e[i][0], &v, 4);
		for (int i = 0; i < n; i++) {
			int j = chan_select(k, 4, 0, -1, SOON);

			ASSERT_TRUE(j == at || j == at + 1);
			ASSERT_EQ(j - at, v);
			ones += v;
		}
		/* 4.89 standard deviations: once in a million */
		EXPECT_GE(bound, abs(ones - n / 2));
		for (int i = 0; i < 4; i++)
			close2(e[i]);
	}
}

/* FA-02: two sends on one channel */
static int take_bits(void *arg)
{
	int *e = arg, v;

	for (int i = 0; i < 100; i++) {
		sched_yield();
		if (chan_recv(e[0], &v, 4, -1, SOON) != 4)
			return -1;
		e[2 + v]++;
	}
	return 0;
}

TEST(two_sends_on_one_channel_are_both_made)
{
	for (int cap = 0; cap <= 100; cap += 100) {
		int *e = shared(4 * sizeof(int)), zero = 0, one = 1;
		struct party p;

		ASSERT_EQ(0, chan_make(e, 4, cap, 0));
		ASSERT_TRUE(party_start(&p, cap, take_bits, e));
		for (int i = 0; i < 100; i++) {
			struct chan_case k[2] = {
				chan_send_case(e[1], &one, 4), chan_send_case(e[1], &zero, 4),
			};

			ASSERT_LE(0, chan_select(k, 2, 0, -1, SOON));
		}
		EXPECT_EQ(0, party_end(&p));
		EXPECT_LT(10, e[2]);
		EXPECT_LT(10, e[3]);
		EXPECT_EQ(100, e[2] + e[3]);
		close2(e);
	}
}

TEST(prio_takes_the_first_ready_in_the_array)
{
	for (unsigned mask = 1; mask < 256; mask++) {
		struct set s;

		ASSERT_TRUE(make_set(&s, mask));
		for (int i = 0; i < 5; i++)
			ASSERT_EQ(__builtin_ctz(mask), chan_select(s.k, CASES, CHAN_PRIO, -1,
								   i & 1 ? CHAN_NOW : SOON));
		drop_set(&s);
	}
}

/* A parked select takes the first partner, also with an order of preference */
struct one { struct chan_case k[3]; int v[3], ret; };

static int run_prio(void *arg)
{
	struct one *o = arg;

	o->ret = chan_select(o->k, 3, CHAN_PRIO, -1, SOON);
	return 0;
}

TEST(prio_parked_takes_the_first_partner)
{
	for (int at = 0; at < 3; at++) {
		int e[3][2];
		struct party p;
		struct one o;

		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, chan_make(e[i], 4, 0, 0));
			o.k[i] = chan_recv_case(e[i][0], &o.v[i], 4);
		}
		ASSERT_TRUE(party_start(&p, false, run_prio, &o));
		for (int i = 0; i < 3; i++)
			ASSERT_TRUE(parked(e[i][0], 0, 1));
		EXPECT_EQ(0, chan_send(e[at][1], &at, 4, -1, CHAN_NOW));
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(-EAGAIN, chan_send(e[i][1], &at, 4, -1, CHAN_NOW));
		party_end(&p);
		EXPECT_EQ(at, o.ret);
		EXPECT_EQ(at, o.v[at]);
		for (int i = 0; i < 3; i++)
			close2(e[i]);
	}
}

/*
 * NB-04: the default is taken only if at one single instant nothing was ready. A
 * mover puts a message (or room) into one channel before it takes it out of the
 * other, so one of the two is ready at every instant. Idle cases make the look long
 * enough for several moves.
 */
#define IDLE 200

struct mover { int e[2][2], stop, moves; bool room; };

static int move(void *arg)
{
	struct mover *m = arg;
	int v = 0;

	for (int to = 1; !__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE); to = !to) {
		int r = m->room ? chan_recv(m->e[to][0], &v, 4, -1, SOON) - 4 :
				  chan_send(m->e[to][1], &v, 4, -1, SOON);

		if (!r)
			r = m->room ? chan_send(m->e[!to][1], &v, 4, -1, SOON) :
				      chan_recv(m->e[!to][0], &v, 4, -1, SOON) - 4;
		if (r)
			return 1;
		m->moves++;
	}
	return 0;
}

static void default_never_lies(struct __test_metadata *_metadata, bool process, bool room, bool take)
{
	struct mover *m = shared(sizeof(*m));
	int n = quick(3000, 500), v = 9, moved, idle[2];
	struct chan_case k[IDLE + 2];
	struct party p;

	m->room = room;
	ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
	for (int i = 2; i < IDLE + 2; i++)
		k[i] = chan_recv_case(idle[0], &v, 4);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, chan_make(m->e[i], 4, 1, 0));
		if (room || !i)
			ASSERT_EQ(0, chan_send(m->e[i][1], &v, 4, -1, CHAN_NOW));
	}
	if (room)	/* one of them has room, the other has none */
		ASSERT_EQ(4, chan_recv(m->e[0][0], &v, 4, -1, CHAN_NOW));
	ASSERT_TRUE(party_start(&p, process, move, m));
	for (int i = 0; i < n || (m->moves < 1000 && i < 100 * n); i++) {
		int j;

		for (j = 0; j < 2; j++)	/* a receive that is too small takes nothing */
			k[j] = room ? chan_send_case(m->e[j][1], &v, 4) : chan_recv_case(m->e[j][0], &v, take ? 4 :
			       1);
		j = chan_select(k, IDLE + 2, 0, -1, CHAN_NOW);
		ASSERT_TRUE(j >= 0 && j < 2);
		if (!take && !room) {
			ASSERT_EQ(-EMSGSIZE, k[j].msg.res);
		} else if (room) {	/* and back, before the next look */
			ASSERT_EQ(0, k[j].msg.res);
			ASSERT_EQ(4, chan_recv(m->e[j][0], &v, 4, -1, SOON));
		} else {
			ASSERT_EQ(4, k[j].msg.res);
			ASSERT_EQ(0, chan_send(m->e[j][1], &v, 4, -1, SOON));
		}
	}
	moved = m->moves;
	__atomic_store_n(&m->stop, 1, __ATOMIC_RELEASE);
	EXPECT_EQ(0, party_end(&p));
	EXPECT_LE(1000, moved);
	close2(idle);
	close2(m->e[0]);
	close2(m->e[1]);
}

TEST(default_only_if_nothing_was_ready_at_one_instant)
{
	for (int process = 0; process < 2; process++) {
		default_never_lies(_metadata, process, false, false);
		default_never_lies(_metadata, process, false, true);
		default_never_lies(_metadata, process, true, true);
	}
}

TEST_HARNESS_MAIN
