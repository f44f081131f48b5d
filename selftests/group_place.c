// SPDX-License-Identifier: MIT
/* Places of a group with a limit: who gets one, in which order, and who gives up. */
#include "caller.h"
#include "group_util.h"
#include "harness.h"

/* EG-03 */
TEST(joins_are_counted_up_to_the_limit)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 42), m[42], child, next;
	struct chan_group_info i;

	ASSERT_LE(0, g);
	for (int n = 0; n < 42; n++) {
		EXPECT_EQ(n, ginfo(g).members);
		m[n] = chan_join(g, -1, CHAN_NOW);
		ASSERT_LE(0, m[n]);
		EXPECT_EQ(CHAN_GROUP, chan_kind(m[n]));
		EXPECT_EQ(FD_CLOEXEC, fcntl(m[n], F_GETFD));
		EXPECT_EQ(ginfo(g).id, ginfo(m[n]).parent_id);
	}
	next = lowest_free();
	EXPECT_EQ(-EAGAIN, chan_join(g, -1, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_join(g, -1, chan_after(MS)));
	EXPECT_EQ(-ETIMEDOUT, chan_join(g, -1, -5));
	EXPECT_EQ(next, lowest_free());
	i = ginfo(g);
	EXPECT_EQ(42, i.members);
	EXPECT_EQ(42, i.limit);
	EXPECT_EQ(42, i.children);
	EXPECT_EQ(0, i.failed);
	EXPECT_EQ(CHAN_LIVE, i.state);
	/* a group below takes no place */
	child = below(g);
	EXPECT_EQ(42, ginfo(g).members);
	EXPECT_EQ(43, ginfo(g).children);
	close(child);
	for (int n = 0; n < 42; n++) {
		EXPECT_EQ(0, chan_leave(m[n], n % 2 ? EIO : 0, "x"));
		i = ginfo(g);
		EXPECT_EQ(41 - n, i.members);
		EXPECT_EQ(41 - n, i.children);
		EXPECT_EQ((n + 1) / 2, i.failed);
		close(m[n]);
	}
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(0, chan_wait(g, NULL, -1, CHAN_NOW));
	EXPECT_PLACES(g, 42);
	close(g);
}

TEST(no_limit_means_no_waiting)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), m[200];

	for (int n = 0; n < 200; n++) {
		m[n] = chan_join(g, -1, CHAN_NOW);
		ASSERT_LE(0, m[n]);
	}
	EXPECT_EQ(200, ginfo(g).members);
	for (int n = 0; n < 200; n++)
		close(m[n]);
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(200, ginfo(g).failed);
	close(g);
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

/* What a join needs is there before it takes a place. */
TEST(a_join_that_can_not_be_handed_over_takes_no_place)
{
	struct rlimit old, none;
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST | CHAN_FIRST_EXIT, 1);

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = (struct rlimit){ 0, old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, chan_join(g, -1, CHAN_FOREVER));
	EXPECT_EQ(-EMFILE, chan_watch(g));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(0, ginfo(g).children);
	EXPECT_EQ(0, ginfo(g).failed);
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(-EBADF, chan_join(g, 9999, CHAN_NOW));
	EXPECT_EQ(0, ginfo(g).members);
	close(g);
}

/* ---- waiting for a place ---- */

/* Join; hold the place until the gate opens; leave. */
static long join_hold_leave(struct caller *p)
{
	char c;
	int m = chan_join(p->fd, p->under, p->deadline), r;

	__atomic_store_n(&p->got, m < 0 ? m : 1, __ATOMIC_RELEASE);
	if (m < 0)
		return m;
	r = read(p->gate, &c, 1) == 1 ? chan_leave(m, 0, NULL) : -EIO;
	close(m);
	return r;
}

static struct caller joiner(int group, int gate, bool process)
{
	return (struct caller){ .fn = join_hold_leave, .fd = group, .under = -1, .gate = gate,
			       .deadline = chan_after(30000 * MS), .process = process };
}

/* EG-03, EG-04: and a newcomer never takes what was handed to a joiner */
TEST(places_are_given_in_the_order_of_asking)
{
	enum { N = 6 };
	struct caller *p = shared(N * sizeof(*p));

	for (int process = 0; process < 2; process++) {
		int g = chan_group(-1, CHAN_FOREVER, 0, 2), gate[N][2];
		int m[2] = { chan_join(g, -1, SOON), chan_join(g, -1, SOON) };

		for (int i = 0; i < N; i++) {
			ASSERT_EQ(0, pipe(gate[i]));
			p[i] = joiner(g, gate[i][0], process);
			caller_start(&p[i]);
			ASSERT_TRUE(caller_waits(&p[i]));
		}
		for (int i = 0; i < N; i++) {
			if (i < 2) {
				/* a forked joiner has copies of m: leave, don't close */
				ASSERT_EQ(0, chan_leave(m[i], 0, NULL));
			} else {
				ASSERT_EQ(1, write(gate[i - 2][1], "", 1));
				ASSERT_EQ(0, caller_end(&p[i - 2]));
			}
			EXPECT_EQ(2, ginfo(g).members);
			EXPECT_EQ(-EAGAIN, chan_join(g, -1, CHAN_NOW));
			EXPECT_EQ(-EAGAIN, chan_wait(g, NULL, -1, CHAN_NOW));
			ASSERT_TRUE(COMES(caller_got(&p[i]) == 1));
			for (int k = i + 1; k < N; k++)
				EXPECT_EQ(-1, caller_got(&p[k]));
			EXPECT_EQ(2, ginfo(g).members);
		}
		for (int i = N - 2; i < N; i++) {
			ASSERT_EQ(1, write(gate[i][1], "", 1));
			ASSERT_EQ(0, caller_end(&p[i]));
		}
		EXPECT_EQ(0, ginfo(g).failed);
		EXPECT_PLACES(g, 2);
		for (int i = 0; i < N; i++)
			close2(gate[i]);
		close2(m);
		close(g);
	}
}

static void interrupted(int sig)
{
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = interrupted, .sa_flags = flags };

	sigaction(sig, &sa, NULL);
}

static void poke(struct caller *p, int sig)
{
	syscall(SYS_tgkill, p->party.pid ?: getpid(), p->party.tid, sig);
}

/* A place is not swallowed by one who timed out, was cancelled, interrupted or killed. */
TEST(a_freed_place_passes_over_those_who_gave_up)
{
	enum { LATE, CANCELLED, SIGNALLED, KILLED, LAST, N };
	struct caller *p = shared(N * sizeof(*p));

	handle(SIGUSR1, 0);
	for (int process = 0; process < 2; process++) {
		int g = chan_group(-1, CHAN_FOREVER, 0, 1), m = chan_join(g, -1, SOON);
		int under = chan_group(-1, CHAN_FOREVER, 0, 0), gate[2];

		ASSERT_EQ(0, pipe(gate));
		for (int i = 0; i < N; i++) {
			p[i] = joiner(g, gate[0], process || i == KILLED);
			if (i == LATE)
				p[i].deadline = chan_after(300 * MS);
			if (i == CANCELLED)
				p[i].under = under;
			caller_start(&p[i]);
			ASSERT_TRUE(i == LATE || caller_waits(&p[i]));
		}
		EXPECT_EQ(0, chan_cancel(under, EIO, "no"));
		poke(&p[SIGNALLED], SIGUSR1);
		kill(p[KILLED].party.pid, SIGKILL);
		EXPECT_EQ(UNDER_WAY, caller_end(&p[KILLED]));
		EXPECT_EQ(-ETIMEDOUT, caller_end(&p[LATE]));
		EXPECT_EQ(-ECANCELED, caller_end(&p[CANCELLED]));
		EXPECT_EQ(-EINTR, caller_end(&p[SIGNALLED]));
		EXPECT_EQ(1, ginfo(g).members);
		EXPECT_EQ(-1, caller_got(&p[LAST]));
		ASSERT_EQ(0, chan_leave(m, 0, NULL));
		ASSERT_TRUE(COMES(caller_got(&p[LAST]) == 1));
		EXPECT_EQ(1, ginfo(g).members);
		ASSERT_EQ(1, write(gate[1], "", 1));
		EXPECT_EQ(0, caller_end(&p[LAST]));
		EXPECT_EQ(0, ginfo(g).failed);
		EXPECT_PLACES(g, 1);
		close2(gate);
		close(under);
		close(m);
		close(g);
	}
}

/* The end reaches who waits for a place, with the group's own error. */
TEST(the_end_of_the_group_ends_the_wait_for_a_place)
{
	enum { CANCEL, DEADLINE, PARENT, PARENTS_OWNER, N };
	int want[N] = { EIO, ETIMEDOUT, ENOSPC, EOWNERDEAD };
	struct caller *p = shared(3 * sizeof(*p));

	for (int how = 0; how < N; how++) {
		/* processes have copies of the owner: not for its close */
		for (int process = 0; process < 2 - (how == PARENTS_OWNER); process++) {
			int top = chan_group(-1, CHAN_FOREVER, 0, 0);
			int g = chan_group(top, how == DEADLINE ? chan_after(1000 * MS) :
					   CHAN_FOREVER, 0, 1);
			int m = chan_join(g, -1, SOON), first = -1;

			ASSERT_LE(0, m);
			for (int i = 0; i < 3; i++) {
				p[i] = joiner(g, -1, process);
				caller_start(&p[i]);
				ASSERT_TRUE(how == DEADLINE || caller_waits(&p[i]));
			}
			if (how == CANCEL)
				EXPECT_EQ(0, chan_cancel(g, EIO, NULL));
			if (how == PARENT)
				EXPECT_EQ(0, chan_cancel(top, ENOSPC, NULL));
			if (how == PARENTS_OWNER)
				close(top);
			for (int i = 0; i < 3; i++)
				EXPECT_EQ(-want[how], caller_end(&p[i]));
			EXPECT_EQ(-want[how], chan_join(g, -1, CHAN_FOREVER));
			EXPECT_EQ(-want[how], chan_join(g, -1, CHAN_NOW));
			EXPECT_EQ(1, ginfo(g).members);
			EXPECT_EQ(0, chan_leave(m, 0, NULL));
			EXPECT_EQ(0, ginfo(g).members);
			EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
			EXPECT_EQ(0, first);
			EXPECT_EQ(-want[how], chan_join(g, -1, CHAN_NOW));
			close(m);
			close(g);
			if (how != PARENTS_OWNER)
				close(top);
		}
	}
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

TEST_HARNESS_MAIN
