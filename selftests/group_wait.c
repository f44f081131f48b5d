// SPDX-License-Identifier: MIT
/* Waiting until no member is left: who is released, by what, and when. */
#include "group_util.h"
#include "harness.h"

/* WG-01, WG-05: on a group that nobody joined there is nothing to wait for */
TEST(a_wait_without_members_returns_at_once)
{
	int g = root(), first = 7;

	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(0, first);
	EXPECT_EQ(0, chan_wait(g, NULL, -1, CHAN_FOREVER));
	ASSERT_EQ(0, chan_cancel(g, EIO, NULL));
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_FOREVER));
	EXPECT_EQ(0, first);
	close(g);
}

struct waiting {
	int g, under, first;
	int64_t deadline;
	long ret;
	bool join;
};

static int do_wait(void *arg)
{
	struct waiting *w = arg;

	if (w->join)
		w->ret = chan_join(w->g, w->under, w->deadline);
	else
		w->ret = chan_wait(w->g, &w->first, w->under, w->deadline);
	return 0;
}

/* WG-01, WG-07 */
TEST(the_last_leave_releases_all_who_wait)
{
	for (int process = 0; process < 2; process++) {
		struct waiting *w = shared(20 * sizeof(*w));
		int g = root(), m[2] = { chan_join(g, -1, CHAN_NOW), chan_join(g, -1, CHAN_NOW) };
		struct party p[20];

		for (int i = 0; i < 20; i++) {
			w[i] = (struct waiting){ .g = g, .under = -1, .first = -1, .deadline = SOON };
			ASSERT_TRUE(party_start(&p[i], process, do_wait, &w[i]));
		}
		for (int i = 0; i < 20; i++) {
			ASSERT_TRUE(asleep(&p[i].tid));
		}
		ASSERT_EQ(0, chan_leave(m[0], EIO, NULL));
		/* the end of the group releases nobody */
		ASSERT_EQ(0, chan_cancel(g, EPERM, NULL));
		for (int i = 0; i < 20; i++) {
			ASSERT_TRUE(asleep(&p[i].tid));
		}
		ASSERT_EQ(0, chan_leave(m[1], EPERM, NULL));
		for (int i = 0; i < 20; i++) {
			ASSERT_EQ(0, party_end(&p[i]));
			EXPECT_EQ(0, w[i].ret);
			EXPECT_EQ(EIO, w[i].first);
		}
		close2(m);
		close(g);
	}
}

TEST(a_wait_is_released_though_others_join_at_once)
{
	for (int i = 0, n = quick(200, 10); i < n; i++) {
		struct waiting w = { .g = root(), .under = -1, .deadline = SOON };
		int m = chan_join(w.g, -1, CHAN_NOW), k;
		struct party p;

		ASSERT_TRUE(party_start(&p, false, do_wait, &w));
		ASSERT_TRUE(asleep(&p.tid));
		ASSERT_EQ(0, chan_leave(m, 0, NULL));
		k = chan_join(w.g, -1, CHAN_NOW);
		ASSERT_LE(0, k);
		ASSERT_EQ(0, party_end(&p));
		ASSERT_EQ(0, w.ret);
		ASSERT_EQ(1, ginfo(w.g).members);
		close2((int[]){ m, k });
		close(w.g);
	}
}

/* ... even if a joiner that waits takes the last place in the same instant */
TEST(a_wait_is_released_though_a_waiting_joiner_follows)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m = chan_join(g, -1, CHAN_NOW), first = 7;
	struct waiting w = { .g = g, .under = -1, .deadline = SOON }, j = w;
	struct party p[2];

	ASSERT_LE(0, m);
	j.join = true;
	ASSERT_TRUE(party_start(&p[0], false, do_wait, &w));
	ASSERT_TRUE(party_start(&p[1], false, do_wait, &j));
	ASSERT_TRUE(asleep(&p[0].tid) && asleep(&p[1].tid));
	ASSERT_EQ(0, chan_leave(m, EIO, NULL));
	ASSERT_EQ(0, party_end(&p[0]));
	EXPECT_EQ(0, w.ret);
	EXPECT_EQ(EIO, w.first);
	ASSERT_EQ(0, party_end(&p[1]));
	ASSERT_LE(0, j.ret);
	EXPECT_EQ(1, ginfo(g).members);
	/* who comes now waits for that one */
	EXPECT_EQ(-EAGAIN, chan_wait(g, &first, -1, CHAN_NOW));
	close2((int[]){ m, j.ret });
	close(g);
}

/* ---- many at once ---- */

struct half { int m, *x; };

static int add_and_leave(void *arg)
{
	struct half *h = arg;

	__atomic_add_fetch(h->x, 1, __ATOMIC_RELAXED);
	return -chan_leave(h->m, 0, NULL);
}

/* WG-04 */
TEST(a_wait_never_returns_early)
{
	for (int i = 0, n = count(1000, 500, 20); i < n; i++) {
		struct half *h = shared(2 * sizeof(*h) + sizeof(int));
		bool process = i % 10 == 9;
		int g = root(), *x = (int *)(h + 2);
		struct party p[2];

		for (int k = 0; k < 2; k++) {
			h[k] = (struct half){ chan_join(g, -1, CHAN_NOW), x };
			ASSERT_TRUE(party_start(&p[k], process, add_and_leave, &h[k]));
		}
		ASSERT_EQ(0, chan_wait(g, NULL, -1, SOON));
		ASSERT_EQ(2, __atomic_load_n(x, __ATOMIC_RELAXED));
		for (int k = 0; k < 2; k++) {
			ASSERT_EQ(0, party_end(&p[k]));
			close(h[k].m);
		}
		close(g);
		munmap(h, 2 * sizeof(*h) + sizeof(int));
	}
}

struct gates { int wg1, wg2, exited, m1, m2; };

static int pass_gate(void *arg)
{
	struct gates *s = arg;
	int one = 1;

	if (chan_leave(s->m1, 0, NULL))
		return 1;
	if (chan_wait(s->wg2, NULL, -1, SOON))
		return 2;
	return -chan_send(s->exited, &one, sizeof(one), -1, CHAN_NOW);
}

/* WG-01 */
TEST(nobody_passes_a_gate_before_its_last_member_left)
{
	int e[2], v, wg1 = root(), wg2 = root();

	ASSERT_EQ(0, chan_make(e, 4, 16, 0));
	for (int round = 0; round < 8; round++) {
		struct gates *s = shared(16 * sizeof(*s));
		struct party p[16];

		for (int i = 0; i < 16; i++)
			s[i] = (struct gates){ wg1, wg2, e[1], chan_join(wg1, -1, CHAN_NOW),
					       chan_join(wg2, -1, CHAN_NOW) };
		for (int i = 0; i < 16; i++) {
			ASSERT_TRUE(party_start(&p[i], round % 2, pass_gate, &s[i]));
		}
		ASSERT_EQ(0, chan_wait(wg1, NULL, -1, SOON));
		for (int i = 0; i < 16; i++) {
			ASSERT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
			ASSERT_EQ(0, chan_leave(s[i].m2, 0, NULL));
		}
		for (int i = 0; i < 16; i++) {
			ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
			ASSERT_EQ(0, party_end(&p[i]));
			close2((int[]){ s[i].m1, s[i].m2 });
		}
		ASSERT_EQ(0, ginfo(wg1).members + ginfo(wg2).members);
	}
	close2(e);
	close2((int[]){ wg1, wg2 });
}

/* Rounds for threads that stay: a thread for each takes longer than what is tried. */
struct rounds { int fd[2], n, round, waited, left; };

static void until(int *what, int round)
{
	while (__atomic_load_n(what, __ATOMIC_ACQUIRE) < round)
		sched_yield();
}

static int wait_each_round(void *arg)
{
	struct rounds *r = arg;

	for (int i = 1; i <= r->n; i++) {
		until(&r->round, i);
		WANT(!chan_wait(r->fd[0], NULL, -1, SOON));
		__atomic_store_n(&r->waited, i, __ATOMIC_RELEASE);
	}
	return 0;
}

static int leave_each_round(void *arg)
{
	struct rounds *r = arg;

	for (int i = 1; i <= r->n; i++) {
		until(&r->round, i);
		WANT(!chan_leave(r->fd[1], 0, NULL));
		__atomic_store_n(&r->left, i, __ATOMIC_RELEASE);
	}
	return 0;
}

/* WG-03: a wait beside a new join and the last leave may see either, and never hangs */
TEST(joins_beside_a_wait_hang_nobody)
{
	struct rounds *r = shared(sizeof(*r));
	struct party w, l;

	*r = (struct rounds){ .fd[0] = root(), .n = count(1000000, 10000, 1000) };
	ASSERT_TRUE(party_start(&w, false, wait_each_round, r));
	ASSERT_TRUE(party_start(&l, false, leave_each_round, r));
	for (int i = 1; i <= r->n; i++) {
		int m;

		r->fd[1] = chan_join(r->fd[0], -1, CHAN_NOW);
		ASSERT_LE(0, r->fd[1]);
		__atomic_store_n(&r->round, i, __ATOMIC_RELEASE);
		m = chan_join(r->fd[0], -1, CHAN_NOW);
		ASSERT_LE(0, m);
		ASSERT_EQ(0, chan_leave(m, 0, NULL));
		until(&r->waited, i);
		until(&r->left, i);
		close2((int[]){ r->fd[1], m });
	}
	EXPECT_EQ(0, party_end(&w));
	EXPECT_EQ(0, party_end(&l));
	EXPECT_EQ(0, ginfo(r->fd[0]).members + ginfo(r->fd[0]).failed);
	close(r->fd[0]);
	munmap(r, sizeof(*r));
}

static int wait_once(void *arg)
{
	return -chan_wait(*(int *)arg, NULL, -1, SOON);
}

static int leave_it(void *arg)
{
	return -chan_leave(*(int *)arg, 0, NULL);
}

TEST(joins_beside_a_wait_hang_no_process)
{
	for (int i = 0, n = quick(40, 10); i < n; i++) {
		int *fd = shared(2 * sizeof(int)), k;
		struct party w, l;

		fd[0] = root();
		fd[1] = chan_join(fd[0], -1, CHAN_NOW);
		ASSERT_TRUE(party_start(&w, true, wait_once, &fd[0]));
		ASSERT_TRUE(party_start(&l, true, leave_it, &fd[1]));
		k = chan_join(fd[0], -1, CHAN_NOW);
		ASSERT_LE(0, k);
		ASSERT_EQ(0, chan_leave(k, 0, NULL));
		ASSERT_EQ(0, party_end(&w));
		ASSERT_EQ(0, party_end(&l));
		ASSERT_EQ(0, ginfo(fd[0]).members);
		close2(fd);
		close(k);
		munmap(fd, 2 * sizeof(int));
	}
}

TEST_HARNESS_MAIN
