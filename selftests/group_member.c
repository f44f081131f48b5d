// SPDX-License-Identifier: MIT
/* Members: who joins, waits, leaves, fails, crashes; limits. */
#include <sched.h>

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

TEST(a_member_is_counted_until_it_leaves)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), n = chan_join(g, -1, CHAN_NOW), first = 7;
	struct chan_group_info i = ginfo(g);

	EXPECT_EQ(2, i.members);
	EXPECT_EQ(2, i.children);
	EXPECT_EQ(0, events(g));
	EXPECT_EQ(POLLOUT, events(m));
	EXPECT_EQ(-EAGAIN, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_wait(g, &first, -1, chan_after(MS)));
	EXPECT_EQ(7, first);
	ASSERT_EQ(0, chan_leave(m, 0, "well"));
	/* leaving ends the member, and its number is that of nothing wrong */
	EXPECT_EQ(CHAN_ENDED, ginfo(m).state);
	EXPECT_EQ(ECANCELED, ginfo(m).err);
	EXPECT_STREQ("well", ginfo(m).why);
	EXPECT_EQ(getpid(), ginfo(m).by_pid);
	EXPECT_EQ(POLLIN | POLLOUT, events(m));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(1, ginfo(g).children);
	EXPECT_EQ(0, ginfo(g).failed);
	EXPECT_EQ(-EAGAIN, chan_wait(g, &first, -1, CHAN_NOW));
	ASSERT_EQ(0, chan_leave(n, 0, NULL));
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(0, first);
	close2((int[]){ m, n });
	close(g);
}

/* WG-02: nobody leaves twice, and nobody who has not joined */
TEST(leaving_twice_or_without_joining_is_refused)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), c = below(g), d = dup(m), n;

	EXPECT_EQ(-EINVAL, chan_leave(g, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(c, EIO, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, -1, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 4096, NULL));
	EXPECT_EQ(-EFAULT, chan_leave(m, 0, (char *)8));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(CHAN_LIVE, ginfo(m).state);
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(d, EIO, "other"));
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(0, ginfo(g).failed);
	close2((int[]){ m, d });
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(CHAN_LIVE, ginfo(c).state);
	/* the group goes on */
	n = chan_join(g, -1, CHAN_NOW);
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(0, chan_leave(n, 0, NULL));
	EXPECT_EQ(0, chan_wait(g, NULL, -1, CHAN_NOW));
	close2((int[]){ g, c });
	close(n);
}

/* EG-01: the first error stays, over any number of waits */
TEST(the_first_error_stays)
{
	struct { int n, err[3], want[3]; } sets[] = {
		{ 0, {}, {} },
		{ 1, { 0 }, { 0 } },
		{ 1, { 11 }, { 11 } },
		{ 2, { 11, 0 }, { 11, 11 } },
		{ 3, { 11, 0, 22 }, { 11, 11, 11 } },
		{ 3, { 0, 22, 11 }, { 0, 22, 22 } },
	};

	for (int s = 0; s < 6; s++) {
		int g = root(), failed = 0;

		for (int i = 0; i < sets[s].n; i++) {
			int m = chan_join(g, -1, CHAN_NOW), first = -1;

			ASSERT_EQ(0, chan_leave(m, sets[s].err[i], NULL));
			failed += sets[s].err[i] != 0;
			EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_FOREVER));
			EXPECT_EQ(sets[s].want[i], first);
			EXPECT_EQ(failed, ginfo(g).failed);
			EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
			close(m);
			EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_FOREVER));
			EXPECT_EQ(sets[s].want[i], first);
		}
		close(g);
	}
}

static int join_error(int g)
{
	int m = chan_join(g, -1, CHAN_NOW);

	close(m);
	return m < 0 ? m : 0;
}

/* EG-02, EG-05, GW-01, GW-02 */
TEST(flags_say_whose_leaving_ends_the_group)
{
	struct { unsigned flags; int err; bool ends; int cause; } row[] = {
		{ 0, 0, false, 0 },
		{ 0, 33, false, 0 },
		{ CHAN_FAIL_FAST, 0, false, 0 },
		{ CHAN_FAIL_FAST, 33, true, 33 },
		{ CHAN_FIRST_EXIT, 0, true, ECANCELED },
		{ CHAN_FIRST_EXIT, 33, true, 33 },
		{ CHAN_FIRST_EXIT | CHAN_FAIL_FAST, 0, true, ECANCELED },
		{ CHAN_FIRST_EXIT | CHAN_FAIL_FAST, 33, true, 33 },
	};

	for (int i = 0; i < 8; i++) {
		int g = chan_group(-1, CHAN_FOREVER, row[i].flags, 0), c = below(g), first = -1;
		int m = chan_join(g, -1, CHAN_NOW), n = chan_join(g, -1, CHAN_NOW);
		struct chan_group_info in;

		ASSERT_EQ(0, chan_leave(m, row[i].err, "because"));
		in = ginfo(g);
		EXPECT_EQ(row[i].ends, in.state);
		EXPECT_EQ(row[i].cause, in.err);
		EXPECT_STREQ(row[i].ends ? "because" : "", in.why);
		EXPECT_EQ(row[i].ends ? getpid() : 0, in.by_pid);
		EXPECT_EQ(row[i].ends, ginfo(c).state);
		EXPECT_EQ(row[i].ends, ginfo(n).state);
		EXPECT_EQ(row[i].cause, ginfo(n).err);
		/* the other is told, and still has to leave; its error is the second */
		EXPECT_EQ(1, in.members);
		EXPECT_EQ(0, chan_leave(n, 44, "second"));
		EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
		EXPECT_EQ(row[i].err ?: 44, first);
		in = ginfo(g);
		EXPECT_EQ((row[i].err != 0) + 1, in.failed);
		EXPECT_EQ(row[i].ends ? row[i].cause : row[i].flags ? 44 : 0, in.err);
		EXPECT_EQ(row[i].flags ? -(int)in.err : 0, join_error(g));
		close2((int[]){ g, c });
		close2((int[]){ m, n });
	}
}

/* A crash is a failure like any other: EG-07 */
TEST(a_member_that_dies_has_left_with_eownerdead)
{
	for (int how = 0; how < 3; how++) {
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0), first = -1, p[2];
		int m = chan_join(g, -1, CHAN_NOW), other = chan_join(g, -1, CHAN_NOW);
		pid_t pid = 0;

		ASSERT_EQ(0, pipe(p));
		if (how) {
			pid = fork();
			if (!pid) {
				char b;

				close2((int[]){ g, other });
				close(p[1]);
				if (how == 1)
					_exit(read(p[0], &b, 1));
				pause();
			}
		}
		if (how)
			EXPECT_EQ(0, close(m));
		EXPECT_EQ(2, ginfo(g).members);
		if (how == 2)
			kill(pid, SIGKILL);
		if (!how)
			close(m);
		close2(p);
		ASSERT_TRUE(turns(g, POLLIN));
		EXPECT_EQ(EOWNERDEAD, ginfo(g).err);
		EXPECT_EQ(pid ?: getpid(), ginfo(g).by_pid);
		ASSERT_TRUE(turns(other, POLLIN));	/* the parent is marked first */
		EXPECT_EQ(EOWNERDEAD, ginfo(other).err);
		EXPECT_EQ(0, chan_leave(other, 0, NULL));
		EXPECT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(EOWNERDEAD, first);
		EXPECT_EQ(1, ginfo(g).failed);
		if (pid)
			waitpid(pid, NULL, 0);
		close2((int[]){ g, other });
	}
}

/* A member cancelled from outside or by itself is still a member. */
TEST(a_cancelled_member_has_still_to_leave)
{
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0), m = chan_join(g, -1, CHAN_NOW);
	int c = below(m), first = -1;

	ASSERT_EQ(0, chan_cancel(m, EIO, "stop"));
	EXPECT_EQ(EIO, ginfo(m).err);
	EXPECT_EQ(EIO, ginfo(c).err);
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(0, ginfo(g).children);
	EXPECT_EQ(-EAGAIN, chan_wait(g, NULL, -1, CHAN_NOW));
	EXPECT_EQ(0, chan_leave(m, 0, "left"));
	EXPECT_STREQ("stop", ginfo(m).why);
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(0, first);
	close2((int[]){ g, m });
	close(c);
}

TEST(leaving_ends_what_is_below_the_member)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), c = below(m), d = below(c);
	int inner = chan_join(m, -1, CHAN_NOW);
	int det = chan_group(c, CHAN_FOREVER, CHAN_DETACHED, 0);

	ASSERT_EQ(0, chan_leave(m, 12, "gone"));
	EXPECT_EQ(12, ginfo(c).err);
	EXPECT_EQ(12, ginfo(d).err);
	EXPECT_EQ(12, ginfo(inner).err);
	EXPECT_STREQ("gone", ginfo(d).why);
	EXPECT_EQ(CHAN_LIVE, ginfo(det).state);
	EXPECT_EQ(0, chan_wait(g, NULL, -1, CHAN_NOW));
	/* members of the member are its own to wait for */
	EXPECT_EQ(-EAGAIN, chan_wait(m, NULL, -1, CHAN_NOW));
	EXPECT_EQ(0, chan_leave(inner, 0, NULL));
	EXPECT_EQ(0, chan_wait(m, NULL, -1, CHAN_NOW));
	close2((int[]){ g, m });
	close2((int[]){ c, d });
	close2((int[]){ inner, det });
}

TEST(an_ended_group_gives_its_error_to_who_would_join)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), n = lowest_free();

	ASSERT_EQ(0, chan_cancel(g, 77, NULL));
	EXPECT_EQ(-77, chan_join(g, -1, CHAN_NOW));
	EXPECT_EQ(77, errno);
	EXPECT_EQ(-77, chan_join(g, -1, CHAN_FOREVER));
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(n, lowest_free());
	close(g);
}

/* ---- waiting ---- */

/* The kernel's numbers for a system call to be restarted can't be answers. */
TEST(any_error_may_end_a_group)
{
	for (int err = 1; err < 4096; err += err > 440 && err < 540 ? 1 : 61) {
		int g = root(), r;

		ASSERT_EQ(0, chan_cancel(g, err, NULL));
		r = chan_join(g, -1, CHAN_FOREVER);
		EXPECT_EQ(err >= 512 && err <= 516 ? -ECANCELED : -err, r);
		EXPECT_EQ(err, ginfo(g).err);
		close(g);
	}
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

/* ---- limits ---- */

/* EG-03 */
TEST(a_limit_refuses_one_more_and_takes_it_after)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 42), m[43], files;

	for (int i = 0; i < 42; i++) {
		m[i] = chan_join(g, -1, CHAN_NOW);
		ASSERT_LE(0, m[i]);
	}
	files = lowest_free();
	EXPECT_EQ(-EAGAIN, chan_join(g, -1, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_join(g, -1, chan_after(MS)));
	EXPECT_EQ(-ETIMEDOUT, chan_join(g, -1, -7));
	EXPECT_EQ(files, lowest_free());
	EXPECT_EQ(42, ginfo(g).members);
	/* a group below is no member */
	m[42] = below(g);
	EXPECT_EQ(42, ginfo(g).members);
	EXPECT_EQ(43, ginfo(g).children);
	close(m[42]);
	for (int i = 0; i < 42; i++) {
		ASSERT_EQ(0, chan_leave(m[i], 0, NULL));
		close(m[i]);
	}
	EXPECT_EQ(0, chan_wait(g, NULL, -1, CHAN_NOW));
	m[0] = chan_join(g, -1, CHAN_NOW);
	ASSERT_LE(0, m[0]);
	EXPECT_EQ(1, ginfo(g).members);
	close2((int[]){ g, m[0] });
}

TEST(joiners_are_served_in_turn)
{
	int n = 10, m = -1, g = chan_group(-1, CHAN_FOREVER, 0, 1);
	struct waiting w[10];
	struct party p[10];

	m = chan_join(g, -1, CHAN_NOW);
	for (int i = 0; i < n; i++) {
		w[i] = (struct waiting){ .g = g, .under = -1, .deadline = SOON, .join = true, .ret = -1000 };
		ASSERT_TRUE(party_start(&p[i], false, do_wait, &w[i]));
		ASSERT_TRUE(asleep(&p[i].tid));
	}
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, chan_leave(m, 0, NULL));
		/* handed over: a newcomer never takes it, and nobody saw it free */
		EXPECT_EQ(-EAGAIN, chan_join(g, -1, CHAN_NOW));
		EXPECT_EQ(1, ginfo(g).members);
		EXPECT_EQ(-EAGAIN, chan_wait(g, NULL, -1, CHAN_NOW));
		close(m);
		ASSERT_EQ(0, party_end(&p[i]));
		ASSERT_LE(0, w[i].ret);
		m = w[i].ret;
		for (int k = i + 1; k < n; k++)
			EXPECT_EQ(-1000, w[k].ret);
	}
	close2((int[]){ g, m });
}

/* Who gives up, or is called off, loses its turn and nobody else's. */
TEST(a_joiner_that_gives_up_is_passed_over)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m = chan_join(g, -1, CHAN_NOW), u = root();
	struct waiting w[3];
	struct party p[3];

	for (int i = 0; i < 3; i++) {
		w[i] = (struct waiting){ .g = g, .under = i == 1 ? u : -1, .join = true,
			.deadline = i ? SOON : chan_after(2000 * MS) };
		ASSERT_TRUE(party_start(&p[i], false, do_wait, &w[i]));
		ASSERT_TRUE(asleep(&p[i].tid));
	}
	ASSERT_EQ(0, party_end(&p[0]));
	EXPECT_EQ(-ETIMEDOUT, w[0].ret);
	ASSERT_EQ(0, chan_cancel(u, 0, NULL));
	ASSERT_EQ(0, party_end(&p[1]));
	EXPECT_EQ(-ECANCELED, w[1].ret);
	EXPECT_EQ(1, ginfo(g).members);
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	ASSERT_EQ(0, party_end(&p[2]));
	EXPECT_LE(0, w[2].ret);
	EXPECT_EQ(1, ginfo(g).members);
	close2((int[]){ g, m });
	close2((int[]){ u, w[2].ret });
}

TEST(the_end_gives_waiting_joiners_its_error)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m = chan_join(g, -1, CHAN_NOW), first = -1;
	struct waiting w[5];
	struct party p[5];

	for (int i = 0; i < 5; i++) {
		w[i] = (struct waiting){ .g = g, .under = -1, .deadline = SOON, .join = true };
		ASSERT_TRUE(party_start(&p[i], false, do_wait, &w[i]));
		ASSERT_TRUE(asleep(&p[i].tid));
	}
	ASSERT_EQ(0, chan_cancel(g, 77, NULL));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(-77, w[i].ret);
	}
	EXPECT_EQ(1, ginfo(g).members);
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(0, first);
	close2((int[]){ g, m });
}

/* ---- many at once ---- */

struct crowd {
	int g, rounds, limit;
	int active, ran;
};

static int join_and_leave(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < c->rounds; i++) {
		int m = chan_join(c->g, -1, SOON), n;

		if (m < 0)
			return 1;
		n = __atomic_add_fetch(&c->active, 1, __ATOMIC_RELAXED);
		if (c->limit && n > c->limit)
			return 2;
		if (i % 4 == 0)
			sched_yield();
		__atomic_sub_fetch(&c->active, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&c->ran, 1, __ATOMIC_RELAXED);
		/* half of them crash, as far as the group can tell */
		if (i % 2 && chan_leave(m, 0, NULL))
			return 3;
		close(m);
	}
	return 0;
}

/* EG-04 */
TEST(never_more_members_than_the_limit)
{
	for (int process = 0; process < 2; process++) {
		struct crowd *c = shared(sizeof(*c));
		struct party p[16];
		int first = -1;

		*c = (struct crowd){ .g = chan_group(-1, CHAN_FOREVER, 0, 3), .limit = 3,
				     .rounds = quick(300, 20) };
		for (int i = 0; i < 16; i++) {
			ASSERT_TRUE(party_start(&p[i], process, join_and_leave, c));
		}
		for (int i = 0; i < 16; i++) {
			EXPECT_EQ(0, party_end(&p[i]));
		}
		EXPECT_EQ(16 * c->rounds, c->ran);
		EXPECT_EQ(0, chan_wait(c->g, &first, -1, CHAN_NOW));
		EXPECT_EQ(EOWNERDEAD, first);
		EXPECT_EQ(8 * c->rounds, ginfo(c->g).failed);
		EXPECT_EQ(0, ginfo(c->g).members + ginfo(c->g).children);
		close(c->g);
	}
}

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
