// SPDX-License-Identifier: MIT
/* Members: who joins, leaves, fails, crashes, and what that is to the group. */
#include "group_util.h"
#include "harness.h"

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

/* WG-02 */
TEST(only_a_member_leaves_and_only_once)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 2), m = chan_join(g, -1, SOON);
	int child = chan_group(g, CHAN_FOREVER, 0, 0), w = chan_watch(m), copy = dup(m), first = -1;

	EXPECT_EQ(-EINVAL, chan_leave(g, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(child, EIO, NULL));
	EXPECT_EQ(-EBADF, chan_leave(w, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 4096, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, -1, NULL));
	EXPECT_EQ(-EFAULT, chan_leave(m, EIO, (const char *)8));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(CHAN_LIVE, ginfo(m).state);
	EXPECT_EQ(0, chan_leave(m, 4095, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 5, "again"));
	EXPECT_EQ(-EINVAL, chan_leave(copy, EIO, "other"));
	EXPECT_EQ(0, ginfo(g).members);
	close(m);
	close(copy);
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(1, ginfo(g).failed);
	EXPECT_EQ(4095, (int)ginfo(w).err);
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(4095, first);
	EXPECT_EQ(CHAN_LIVE, ginfo(child).state);
	close(w);
	close(child);
	EXPECT_PLACES(g, 2);
	close(g);
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

TEST(leaving_ends_the_member_and_all_below)
{
	char longer[200];
	int errs[] = { 0, EIO };

	memset(longer, 'w', sizeof(longer));
	longer[199] = 0;
	for (int i = 0; i < 2; i++) {
		int g = chan_group(-1, CHAN_FOREVER, 0, 0), m = chan_join(g, -1, SOON);
		int sub = chan_group(m, CHAN_FOREVER, 0, 0), mm = chan_join(sub, -1, SOON);
		int inner = chan_join(m, -1, SOON);
		int deep = chan_group(mm, CHAN_FOREVER, 0, 0);
		int free = chan_group(m, CHAN_FOREVER, CHAN_DETACHED, 0);
		int below[] = { m, sub, mm, deep, inner };

		ASSERT_LE(0, deep);
		EXPECT_EQ(0, chan_leave(m, errs[i], longer));
		for (int k = 0; k < 5; k++) {
			struct chan_group_info in = ginfo(below[k]);

			EXPECT_EQ(CHAN_ENDED, in.state);
			EXPECT_EQ(errs[i] ?: ECANCELED, (int)in.err);
			EXPECT_EQ(getpid(), (int)in.by_pid);
			EXPECT_EQ(127, strlen(in.why));
		}
		EXPECT_EQ(CHAN_LIVE, ginfo(free).state);
		EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
		/* ended is not left: the member of the ended group still counts there */
		EXPECT_EQ(1, ginfo(sub).members);
		EXPECT_EQ(0, chan_leave(mm, 0, NULL));
		EXPECT_EQ(0, ginfo(sub).members);
		EXPECT_EQ(0, ginfo(sub).failed);
		/* and members of the member are its own to wait for */
		EXPECT_EQ(0, chan_wait(g, NULL, -1, CHAN_NOW));
		EXPECT_EQ(-EAGAIN, chan_wait(m, NULL, -1, CHAN_NOW));
		EXPECT_EQ(0, chan_leave(inner, 0, NULL));
		EXPECT_EQ(0, chan_wait(m, NULL, -1, CHAN_NOW));
		close(free);
		close(inner);
		close(deep);
		close(mm);
		close(sub);
		close(m);
		EXPECT_EQ(!!errs[i], ginfo(g).failed);
		close(g);
	}
}

/* A member lives as long as one of its owners; watches do not keep it. */
TEST(the_last_owner_closing_leaves_once)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m = chan_join(g, -1, SOON);
	int copy = dup(m), w = chan_watch(m), first = -1;

	close(m);
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(CHAN_LIVE, ginfo(w).state);
	close(copy);
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(1, ginfo(g).failed);
	EXPECT_EQ(CHAN_ENDED, ginfo(w).state);
	EXPECT_EQ(EOWNERDEAD, (int)ginfo(w).err);
	EXPECT_EQ(getpid(), (int)ginfo(w).by_pid);
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(EOWNERDEAD, first);
	close(w);
	/* after a leave, the close changes nothing */
	m = chan_join(g, -1, CHAN_NOW);
	EXPECT_EQ(0, chan_leave(m, 0, "done"));
	close(m);
	EXPECT_EQ(1, ginfo(g).failed);
	/* an end of the member from outside is no leaving */
	m = chan_join(g, -1, CHAN_NOW);
	EXPECT_EQ(0, chan_cancel(m, EIO, NULL));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(0, ginfo(g).children);
	close(m);
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(2, ginfo(g).failed);
	EXPECT_PLACES(g, 1);
	close(g);
}

struct leaver { pthread_barrier_t both; int member, ret; bool over; };

static void *leaves(void *arg)
{
	struct leaver *l = arg;

	for (;;) {
		pthread_barrier_wait(&l->both);
		if (l->over)
			return NULL;
		l->ret = chan_leave(l->member, EIO, NULL);
		pthread_barrier_wait(&l->both);
	}
}

/* Whichever comes first is how it left; it leaves once. */
TEST(a_leave_races_with_the_last_close)
{
	int left = 0, rounds = quick(5000, 500), i;
	struct leaver l = {};
	unsigned int seed = 3;
	pthread_t t;

	pthread_barrier_init(&l.both, NULL, 2);
	pthread_create(&t, NULL, leaves, &l);
	for (i = 0; i < rounds || (i < 10 * rounds && (!left || left == i)); i++) {
		int g = chan_group(-1, CHAN_FOREVER, 0, 1), first = -1;

		l.member = chan_join(g, -1, CHAN_NOW);
		ASSERT_LE(0, l.member);
		pthread_barrier_wait(&l.both);
		for (int k = rand_r(&seed) % 2000; k; k--)
			__asm__ volatile("");
		close(l.member);
		pthread_barrier_wait(&l.both);
		ASSERT_TRUE(l.ret == 0 || l.ret == -EBADF) TH_LOG("%d", l.ret);
		left += !l.ret;
		ASSERT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
		ASSERT_EQ(l.ret ? EOWNERDEAD : EIO, first);
		ASSERT_EQ(1, ginfo(g).failed);
		ASSERT_EQ(0, ginfo(g).members);
		close(g);
	}
	l.over = true;
	pthread_barrier_wait(&l.both);
	pthread_join(t, NULL);
	TH_LOG("%d of %d left before the close", left, i);
	EXPECT_LT(0, left);
	EXPECT_GT(i, left);
}

TEST_HARNESS_MAIN
