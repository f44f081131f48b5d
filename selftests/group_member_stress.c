// SPDX-License-Identifier: MIT
/*
 * Members, parents and waiters killed at random moments: places are never too
 * many, none is lost, and every count is right at the end.
 */
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include "caller.h"
#include "harness.h"

FIXTURE(stress) {};
FIXTURE_SETUP(stress) {}
FIXTURE_TEARDOWN(stress) {}

enum { LIMIT = 3, WORKERS = 10, WAITERS = 2, ALL = WORKERS + WAITERS };
enum { PARTY = 5 };		/* killed before any is replaced */
enum { IDLE, JOINING, HOLDING, LEAVING };	/* where a worker is */

/*
 * Who holds a place, as one word: the low half has a bit for each worker that
 * holds one, the high half for those that are to be killed, whose place may be
 * free before anyone can say so.
 */
struct board {
	uint64_t word;
	int group, under, stop, most, wrong, released;
	uint64_t failed, forked;	/* left with an error and were told so */
	int at[ALL];
};

static bool take(struct board *b, int me)
{
	uint64_t old = __atomic_load_n(&b->word, __ATOMIC_SEQ_CST), new;
	int held;

	do {
		if (old >> (32 + me) & 1)
			return false;
		new = old | 1ULL << me;
	} while (!__atomic_compare_exchange_n(&b->word, &old, new, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	held = __builtin_popcount((uint32_t)new);
	note_most(&b->most, held);
	return true;
}

static void give(struct board *b, int me)
{
	__atomic_and_fetch(&b->word, ~(1ULL << me), __ATOMIC_SEQ_CST);
}

static void doom(struct board *b, int me)
{
	uint64_t old = __atomic_load_n(&b->word, __ATOMIC_SEQ_CST);

	while (!__atomic_compare_exchange_n(&b->word, &old,
					    (old & ~(1ULL << me)) | 1ULL << (32 + me), false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static void at(struct board *b, int me, int where)
{
	__atomic_store_n(&b->at[me], where, __ATOMIC_SEQ_CST);
}

static void wrong(struct board *b, int what)
{
	int none = 0;

	__atomic_compare_exchange_n(&b->wrong, &none, what, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

static unsigned seed;

static unsigned any(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

/* Once: wait for a place in one of several ways, hold it, leave in one of several ways. */
static void work(struct board *b, int me)
{
	int64_t soon = chan_after(any(1000000)), far = chan_after(30000 * MS);
	/* seldom by chan_fork: a fork takes longer than all else together */
	int how = any(40) ? any(5) : 5, own = -1, under = -1, m, r;

	if (how == 5) {			/* the place goes to a child; its parent may be killed */
		at(b, me, JOINING);
		if (chan_fork(b->group, NULL, 0, &m) == 0) {
			usleep(any(500));
			_exit(chan_leave(m, 0, NULL) != 0);
		}
		at(b, me, IDLE);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		return;
	}
	if (how == 1)
		under = own = chan_group(b->under, soon, 0, 0);
	if (how == 2)
		under = b->under;
	at(b, me, JOINING);
	m = chan_join(b->group, under, how == 3 ? soon : how == 4 ? CHAN_NOW : far);
	if (m >= 0) {
		bool told = take(b, me);

		at(b, me, HOLDING);
		if (any(2))
			usleep(any(300));
		if (any(4) == 0) {
			int below = chan_group(m, CHAN_FOREVER, 0, 0);

			r = chan_select(NULL, 0, 0, below, chan_after(any(300000)));
			if (r != -ETIMEDOUT)
				wrong(b, 1000 - r);
			close(below);
		}
		at(b, me, LEAVING);
		if (told)
			give(b, me);
		how = any(4);
		r = how ? chan_leave(m, how == 1 ? EIO : 0, "work") : 0;
		if (r)
			wrong(b, 2000 - r);
		close(m);
		if (how <= 1)
			__atomic_add_fetch(&b->failed, 1, __ATOMIC_SEQ_CST);
		at(b, me, IDLE);
	} else {
		at(b, me, IDLE);
		if (how == 0 || how == 2 || m != (how == 4 ? -EAGAIN : -ETIMEDOUT))
			wrong(b, 3000 - m);
	}
	if (own >= 0)
		close(own);
}

static void wait_for_nobody(struct board *b)
{
	int first, r = chan_wait(b->group, &first, any(2) ? b->under : -1, chan_after(any(3000000)));

	if (r == 0) {
		__atomic_add_fetch(&b->released, 1, __ATOMIC_SEQ_CST);
		if (first && first != EIO && first != EOWNERDEAD)
			wrong(b, 4000 + first);
	} else if (r != -ETIMEDOUT) {
		wrong(b, 5000 - r);
	}
}

static pid_t spawn(struct board *b, int me)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	seed = getpid() * 2654435761u ^ me;
	while (!__atomic_load_n(&b->stop, __ATOMIC_SEQ_CST))
		if (me < WORKERS)
			work(b, me);
		else
			wait_for_nobody(b);
	_exit(0);
}

static pid_t reap(void)
{
	return waitpid(-1, NULL, 0);
}

TEST_F_TIMEOUT(stress, killed_at_random_nobody_takes_a_place_along, 1200)
{
	int todo = kills(), dead = 0, first = -1, m[LIMIT];
	struct sched_param fifo = { .sched_priority = 10 };
	uint64_t surely = 0, maybe = 0;
	struct board *b = shared(sizeof(*b));
	struct chan_group_info i;
	pid_t pid[ALL];

	/* not to be right, but to be quick: the workers leave no processor idle */
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &fifo);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	b->group = chan_group(-1, CHAN_FOREVER, 0, LIMIT);
	b->under = chan_group(-1, CHAN_FOREVER, 0, 0);
	seed = time(NULL);
	TH_LOG("seed %u", seed);
	for (int k = 0; k < ALL; k++)
		pid[k] = spawn(b, k);
	for (; dead < todo && !b->wrong; dead += PARTY) {
		int k = any(ALL);

		for (int v = 0; v < PARTY; v++) {
			if (any(3))
				usleep(any(300));
			doom(b, (k + v) % ALL);
			ASSERT_EQ(0, kill(pid[(k + v) % ALL], SIGKILL));
		}
		for (int v = 0; v < PARTY; v++, k = (k + 1) % ALL) {
			ASSERT_EQ(pid[k], waitpid(pid[k], NULL, 0));
			surely += b->at[k] == HOLDING;
			maybe += b->at[k] == JOINING || b->at[k] == LEAVING;
			b->at[k] = IDLE;
			__atomic_and_fetch(&b->word, ~(1ULL << (32 + k)), __ATOMIC_SEQ_CST);
			pid[k] = spawn(b, k);
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;		/* orphans */
	}
	__atomic_store_n(&b->stop, 1, __ATOMIC_SEQ_CST);
	while (reap() > 0)
		;
	EXPECT_EQ(0, b->wrong);
	EXPECT_LE(b->most, LIMIT);
	EXPECT_EQ(0, b->word);
	i = group_of(b->group);
	TH_LOG("%d kills, failed %llu of %llu and up to %llu more, %d waits released", dead,
	       (long long)i.failed, (long long)(b->failed + surely), (long long)maybe, b->released);
	EXPECT_EQ(0, i.members);
	EXPECT_EQ(0, i.children);
	EXPECT_LE(b->failed + surely, i.failed);
	EXPECT_LE(i.failed, b->failed + surely + maybe);
	EXPECT_EQ(0, chan_wait(b->group, &first, -1, CHAN_NOW));
	for (int k = 0; k < LIMIT; k++) {
		m[k] = chan_join(b->group, -1, CHAN_NOW);
		EXPECT_LE(0, m[k]);
	}
	EXPECT_EQ(-EAGAIN, chan_join(b->group, -1, CHAN_NOW));
	EXPECT_EQ(-EAGAIN, chan_wait(b->group, &first, -1, CHAN_NOW));
	for (int k = 0; k < LIMIT; k++) {
		EXPECT_EQ(0, chan_leave(m[k], 0, NULL));
		close(m[k]);
	}
	EXPECT_EQ(0, chan_wait(b->group, &first, -1, CHAN_NOW));
	close(b->group);
	close(b->under);
}

/* Joins against cancels from several processes, the group's own deadline, and kills. */
TEST_F(stress, an_end_at_any_moment_leaves_no_member)
{
	int rounds = quick(400, 100);

	seed = time(NULL);
	for (int n = 0; n < rounds; n++) {
		int how = any(4), g, w, r;
		int flags = any(3) == 0 ? CHAN_FAIL_FAST : any(2) ? CHAN_FIRST_EXIT : 0;
		struct chan_group_info i;
		pid_t pid[4];

		g = chan_group(-1, how ? CHAN_FOREVER : chan_after(any(3000000)), flags, 1);
		w = chan_watch(g);
		for (int k = 0; k < 4; k++) {
			pid[k] = fork();
			if (pid[k])
				continue;
			seed += k * 7919;
			usleep(any(1000));
			if (how == 1 && k < 2)
				_exit(chan_cancel(g, ENOSPC, "enough") != 0);
			if (how == 2 && k < 2)
				_exit(chan_cancel(g, k + 1, "enough") != 0);
			if (k == 3) {
				r = chan_wait(g, NULL, -1, SOON);
				_exit(r != 0);
			}
			int m = chan_join(g, any(2) ? w : -1, SOON);

			if (m < 0)
				_exit(m == -ETIMEDOUT && how ? 9 : m == -EAGAIN ? 8 : 0);
			usleep(any(500));
			if (any(2))
				chan_leave(m, any(2) ? EIO : 0, "left");
			_exit(0);
		}
		if (how == 3)
			kill(pid[any(3)], SIGKILL);
		for (int k = 0; k < 4; k++) {
			int status = -1;

			EXPECT_EQ(pid[k], waitpid(pid[k], &status, 0));
			EXPECT_TRUE(status == 0 || (how == 3 && status == SIGKILL))
				TH_LOG("round %d how %d k %d status %x", n, how, k, status);
		}
		i = group_of(w);
		ASSERT_EQ(0, i.members);
		EXPECT_EQ(0, i.children);
		EXPECT_EQ(0, chan_wait(w, NULL, -1, CHAN_NOW));
		if (i.state == CHAN_ENDED) {
			bool cancelled = !strcmp(i.why, "enough") && (how == 1 ? i.err == ENOSPC :
					 how == 2 && (i.err == 1 || i.err == 2));
			bool late = how == 0 && i.err == ETIMEDOUT && !i.by_pid;
			bool left = flags && (i.err == EIO || i.err == EOWNERDEAD ||
					      (i.err == ECANCELED && flags == CHAN_FIRST_EXIT));

			EXPECT_TRUE(cancelled || late || left)
				TH_LOG("round %d how %d flags %d: %u %s", n, how, flags, i.err, i.why);
			EXPECT_EQ(-(int)i.err, chan_join(g, -1, CHAN_NOW));
		} else {
			EXPECT_TRUE(how == 0 || how == 3);
			r = chan_join(g, -1, CHAN_NOW);
			EXPECT_TRUE(r >= 0 || (how == 0 && r == -ETIMEDOUT));
			close(r);
		}
		close(w);
		close(g);
	}
}

/* Threads, as fast as they can: a place freed while its joiner gives up is not lost. */
struct hammer {
	int group, n, wrong;
	long joined, gave_up;
};

static void *hammer(void *arg)
{
	struct hammer *h = arg;
	unsigned s = (uintptr_t)&s ^ gettid();

	for (int i = 0; i < h->n; i++) {
		int under = -1, how, m;

		s = s * 1103515245 + 12345;
		how = s >> 16 & 3;
		if (how == 1)
			under = chan_group(-1, chan_after(s >> 8 & 0xffff), 0, 0);
		m = chan_join(h->group, under, how == 2 ? chan_after(s >> 8 & 0xffff) :
			      chan_after(30000 * MS));
		if (m >= 0) {
			h->joined++;
			if (how == 3)
				sched_yield();
			if (chan_leave(m, 0, NULL))
				h->wrong++;
			close(m);
		} else {
			h->gave_up++;
			h->wrong += m != -ETIMEDOUT || how == 0 || how == 3;
		}
		if (under >= 0)
			close(under);
	}
	return NULL;
}

TEST_F(stress, a_place_freed_while_its_joiner_gives_up_is_not_lost)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 2), m[2];
	struct hammer h[6];
	long joined = 0, gave_up = 0;
	pthread_t t[6];

	for (int i = 0; i < 6; i++) {
		h[i] = (struct hammer){ .group = g, .n = quick(1500, 400) };
		pthread_create(&t[i], NULL, hammer, &h[i]);
	}
	for (int i = 0; i < 6; i++) {
		pthread_join(t[i], NULL);
		EXPECT_EQ(0, h[i].wrong);
		joined += h[i].joined;
		gave_up += h[i].gave_up;
	}
	TH_LOG("%ld joined, %ld gave up", joined, gave_up);
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(0, group_of(g).failed);
	for (int i = 0; i < 2; i++) {
		m[i] = chan_join(g, -1, CHAN_NOW);
		EXPECT_LE(0, m[i]);
	}
	EXPECT_EQ(-EAGAIN, chan_join(g, -1, CHAN_NOW));
	close2(m);
	close(g);
}

TEST_HARNESS_MAIN
