// SPDX-License-Identifier: MIT
/* Members: joining, places, leaving, and what a freed place is worth. */
#include <sys/resource.h>

#include "caller.h"
#include "harness.h"

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

/* As many joins succeed at once as the limit says, and no more. */
#define EXPECT_PLACES(group, n) do {					\
	int m_[64];							\
	for (int i_ = 0; i_ < (n); i_++) {				\
		m_[i_] = chan_join(group, -1, CHAN_NOW);		\
		EXPECT_LE(0, m_[i_]);					\
	}								\
	EXPECT_EQ(-EAGAIN, chan_join(group, -1, CHAN_NOW));		\
	EXPECT_EQ((n), group_of(group).members);			\
	for (int i_ = 0; i_ < (n); i_++) {				\
		EXPECT_EQ(0, chan_leave(m_[i_], 0, NULL));		\
		close(m_[i_]);						\
	}								\
	EXPECT_EQ(0, group_of(group).members);				\
} while (0)

/* EG-03 */
TEST(joins_are_counted_up_to_the_limit)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 42), m[42];
	struct chan_group_info i;

	ASSERT_LE(0, g);
	for (int n = 0; n < 42; n++) {
		EXPECT_EQ(n, group_of(g).members);
		m[n] = chan_join(g, -1, CHAN_NOW);
		ASSERT_LE(0, m[n]);
		EXPECT_EQ(CHAN_GROUP, chan_kind(m[n]));
		EXPECT_EQ(FD_CLOEXEC, fcntl(m[n], F_GETFD));
		EXPECT_EQ(group_of(g).id, group_of(m[n]).parent_id);
	}
	EXPECT_EQ(-EAGAIN, chan_join(g, -1, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_join(g, -1, chan_after(MS)));
	EXPECT_EQ(-ETIMEDOUT, chan_join(g, -1, -5));
	i = group_of(g);
	EXPECT_EQ(42, i.members);
	EXPECT_EQ(42, i.limit);
	EXPECT_EQ(42, i.children);
	EXPECT_EQ(0, i.failed);
	EXPECT_EQ(CHAN_LIVE, i.state);
	for (int n = 0; n < 42; n++) {
		EXPECT_EQ(0, chan_leave(m[n], n % 2 ? EIO : 0, "x"));
		i = group_of(g);
		EXPECT_EQ(41 - n, i.members);
		EXPECT_EQ(41 - n, i.children);
		EXPECT_EQ((n + 1) / 2, i.failed);
		close(m[n]);
	}
	EXPECT_EQ(CHAN_LIVE, group_of(g).state);
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
	EXPECT_EQ(200, group_of(g).members);
	for (int n = 0; n < 200; n++)
		close(m[n]);
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(200, group_of(g).failed);
	close(g);
}

/* WG-02 */
TEST(only_a_member_leaves_and_only_once)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 2), m = chan_join(g, -1, SOON);
	int child = chan_group(g, CHAN_FOREVER, 0, 0), w = chan_watch(m), first = -1;

	EXPECT_EQ(-EINVAL, chan_leave(g, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(child, 0, NULL));
	EXPECT_EQ(-EBADF, chan_leave(w, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 4096, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, -1, NULL));
	EXPECT_EQ(-EFAULT, chan_leave(m, EIO, (const char *)8));
	EXPECT_EQ(1, group_of(g).members);
	EXPECT_EQ(CHAN_LIVE, group_of(m).state);
	EXPECT_EQ(0, chan_leave(m, 4095, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 5, "again"));
	close(m);
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(1, group_of(g).failed);
	EXPECT_EQ(4095, (int)group_of(w).err);
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(4095, first);
	EXPECT_EQ(CHAN_LIVE, group_of(child).state);
	close(w);
	close(child);
	EXPECT_PLACES(g, 2);
	close(g);
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
		int deep = chan_group(mm, CHAN_FOREVER, 0, 0);
		int free = chan_group(m, CHAN_FOREVER, CHAN_DETACHED, 0);
		int below[] = { m, sub, mm, deep };

		ASSERT_LE(0, deep);
		EXPECT_EQ(0, chan_leave(m, errs[i], longer));
		for (int k = 0; k < 4; k++) {
			struct chan_group_info in = group_of(below[k]);

			EXPECT_EQ(CHAN_ENDED, in.state);
			EXPECT_EQ(errs[i] ?: ECANCELED, (int)in.err);
			EXPECT_EQ(getpid(), (int)in.by_pid);
			EXPECT_EQ(127, strlen(in.why));
		}
		EXPECT_EQ(CHAN_LIVE, group_of(free).state);
		EXPECT_EQ(CHAN_LIVE, group_of(g).state);
		/* ended is not left: the member of the ended group still counts there */
		EXPECT_EQ(1, group_of(sub).members);
		EXPECT_EQ(0, chan_leave(mm, 0, NULL));
		EXPECT_EQ(0, group_of(sub).members);
		EXPECT_EQ(0, group_of(sub).failed);
		close(free);
		close(deep);
		close(mm);
		close(sub);
		close(m);
		EXPECT_EQ(!!errs[i], group_of(g).failed);
		close(g);
	}
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
			EXPECT_EQ(2, group_of(g).members);
			EXPECT_EQ(-EAGAIN, chan_join(g, -1, CHAN_NOW));
			ASSERT_TRUE(COMES(caller_got(&p[i]) == 1));
			for (int k = i + 1; k < N; k++)
				EXPECT_EQ(-1, caller_got(&p[k]));
			EXPECT_EQ(2, group_of(g).members);
		}
		for (int i = N - 2; i < N; i++) {
			ASSERT_EQ(1, write(gate[i][1], "", 1));
			ASSERT_EQ(0, caller_end(&p[i]));
		}
		EXPECT_EQ(0, group_of(g).failed);
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
		EXPECT_EQ(1, group_of(g).members);
		EXPECT_EQ(-1, caller_got(&p[LAST]));
		ASSERT_EQ(0, chan_leave(m, 0, NULL));
		ASSERT_TRUE(COMES(caller_got(&p[LAST]) == 1));
		EXPECT_EQ(1, group_of(g).members);
		ASSERT_EQ(1, write(gate[1], "", 1));
		EXPECT_EQ(0, caller_end(&p[LAST]));
		EXPECT_EQ(0, group_of(g).failed);
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
			int m = chan_join(g, -1, SOON);

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
			EXPECT_EQ(1, group_of(g).members);
			EXPECT_EQ(0, chan_leave(m, 0, NULL));
			EXPECT_EQ(0, group_of(g).members);
			EXPECT_EQ(-want[how], chan_join(g, -1, CHAN_NOW));
			close(m);
			close(g);
			if (how != PARENTS_OWNER)
				close(top);
		}
	}
}

/* A member lives as long as one of its owners; watches do not keep it. */
TEST(the_last_owner_closing_leaves_once)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m = chan_join(g, -1, SOON);
	int copy = dup(m), w = chan_watch(m), first = -1;

	close(m);
	EXPECT_EQ(1, group_of(g).members);
	EXPECT_EQ(CHAN_LIVE, group_of(w).state);
	close(copy);
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(1, group_of(g).failed);
	EXPECT_EQ(CHAN_ENDED, group_of(w).state);
	EXPECT_EQ(EOWNERDEAD, (int)group_of(w).err);
	EXPECT_EQ(getpid(), (int)group_of(w).by_pid);
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(EOWNERDEAD, first);
	close(w);
	/* after a leave, the close changes nothing */
	m = chan_join(g, -1, CHAN_NOW);
	EXPECT_EQ(0, chan_leave(m, 0, "done"));
	close(m);
	EXPECT_EQ(1, group_of(g).failed);
	/* an end of the member from outside is no leaving */
	m = chan_join(g, -1, CHAN_NOW);
	EXPECT_EQ(0, chan_cancel(m, EIO, NULL));
	EXPECT_EQ(1, group_of(g).members);
	EXPECT_EQ(0, group_of(g).children);
	close(m);
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(2, group_of(g).failed);
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
		ASSERT_EQ(1, group_of(g).failed);
		ASSERT_EQ(0, group_of(g).members);
		close(g);
	}
	l.over = true;
	pthread_barrier_wait(&l.both);
	pthread_join(t, NULL);
	TH_LOG("%d of %d left before the close", left, i);
	EXPECT_LT(0, left);
	EXPECT_GT(i, left);
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
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(0, group_of(g).children);
	EXPECT_EQ(0, group_of(g).failed);
	EXPECT_EQ(CHAN_LIVE, group_of(g).state);
	EXPECT_EQ(-EBADF, chan_join(g, 9999, CHAN_NOW));
	EXPECT_EQ(0, group_of(g).members);
	close(g);
}

TEST_HARNESS_MAIN
