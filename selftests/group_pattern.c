// SPDX-License-Identifier: MIT
/* What groups are for: generators, errgroups, pipelines; threads and processes. */
#include <sched.h>

#include "group_party.h"
#include "harness.h"

/* ---- context ---- */

static int generate(int member, void *arg)
{
	struct shared_state *s = arg;
	int r, n = 1;

	while (!(r = chan_send(s->fd[1], &n, sizeof(n), member, CHAN_FOREVER)))
		n++;
	s->err = r;
	s->count = n;
	return 0;
}

/* CX-21 */
TEST(a_generator_ends_when_its_consumer_has_enough)
{
	for (int process = 0; process < 2; process++) {
		struct shared_state *s = shared(sizeof(*s));
		int g = root(), v, first = -1;

		ASSERT_EQ(0, chan_make(s->fd, sizeof(int), 0, 0));
		ASSERT_EQ(0, start(g, process, generate, s, s->fd, 2));
		for (int i = 1; i <= 5; i++) {
			ASSERT_EQ(4, chan_recv(s->fd[0], &v, sizeof(v), -1, SOON));
			EXPECT_EQ(i, v);
		}
		ASSERT_EQ(0, chan_cancel(g, 0, "enough"));
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(0, first);
		EXPECT_EQ(-ECANCELED, s->err);
		EXPECT_EQ(6, s->count);
		close2(s->fd);
		close(g);
		reap(process);
	}
}

/*
 * context.AfterFunc: a group below the context ends with it, or is ended by stop(). The
 * kernel knows which of the two was first, as a group keeps its first cause.
 */
struct after { int handle, done[2], tid, ran; };

static bool stopped(int handle)
{
	return !strcmp(ginfo(handle).why, "stopped");
}

static int run_after(int member, void *arg)
{
	struct after *a = arg;
	int one = 1;

	__atomic_store_n(&a->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	chan_select(NULL, 0, 0, a->handle, CHAN_FOREVER);
	if (stopped(a->handle))
		return 0;
	add(&a->ran, 1);
	return chan_send(a->done[1], &one, sizeof(one), -1, SOON);
}

/* As a member of @w, once @ctx has ended. */
static bool after_func(int ctx, int w, bool process, struct after *a)
{
	a->handle = below(ctx);
	return !chan_make(a->done, sizeof(int), 0, 0) &&
	       !start(w, process, run_after, a, &a->handle, 3);
}

/* True: it will not run. */
static bool stop(struct after *a)
{
	if (ginfo(a->handle).state == CHAN_ENDED)
		return false;
	chan_cancel(a->handle, 0, "stopped");
	return stopped(a->handle);
}

/* CX-18, CX-19 */
TEST(a_function_after_the_end_runs_once_or_never)
{
	enum { CANCELLED, TIMED, BEFORE, STOPPED, KINDS };

	for (int i = 0; i < 2 * KINDS; i++) {
		int kind = i / 2, w = root(), ctx, v, first = -1;
		struct after *a = shared(sizeof(*a));
		bool process = i % 2;

		ctx = chan_group(-1, kind == TIMED ? chan_after(20 * MS) : CHAN_FOREVER, 0, 0);
		if (kind == BEFORE)
			ASSERT_EQ(0, chan_cancel(ctx, 0, NULL));
		ASSERT_TRUE(after_func(ctx, w, process, a));
		if (kind == CANCELLED || kind == STOPPED) {
			ASSERT_TRUE(asleep(&a->tid));
			usleep(1000);
			EXPECT_EQ(0, get(&a->ran));
			EXPECT_EQ(1, ginfo(w).members);
		}
		if (kind == STOPPED) {
			EXPECT_TRUE(stop(a));
			ASSERT_EQ(0, chan_wait(w, &first, -1, SOON));
		}
		/* does not wait for what runs after it: that waits for us */
		if (kind == CANCELLED || kind == STOPPED)
			ASSERT_EQ(0, chan_cancel(ctx, 0, NULL));
		if (kind != STOPPED) {
			ASSERT_EQ(4, chan_recv(a->done[0], &v, sizeof(v), -1, SOON));
			EXPECT_EQ(CHAN_ENDED, ginfo(ctx).state);
			ASSERT_EQ(0, chan_wait(w, &first, -1, SOON));
		}
		EXPECT_EQ(0, first);
		EXPECT_EQ(kind != STOPPED, get(&a->ran));
		EXPECT_FALSE(stop(a));
		ASSERT_EQ(0, chan_cancel(ctx, 0, NULL));
		EXPECT_EQ(-EAGAIN, chan_recv(a->done[0], &v, sizeof(v), -1, CHAN_NOW));
		EXPECT_EQ(kind != STOPPED, get(&a->ran));
		close2(a->done);
		close2((int[]){ w, ctx });
		close(a->handle);
		reap(process);
		munmap(a, sizeof(*a));
	}
}

/* CX-19: nothing is left in the context by who was cancelled, timed out or stopped */
TEST(a_context_forgets_who_has_ended_below_it)
{
	int ctx = root(), w = root(), c = below(ctx), t = chan_group(ctx, HOUR, 0, 0);
	struct after *a = shared(sizeof(*a));
	int64_t at, ahead = 10 * MS;
	unsigned n;

	EXPECT_EQ(2, ginfo(ctx).children);
	ASSERT_EQ(0, chan_cancel(c, 0, NULL));
	EXPECT_EQ(1, ginfo(ctx).children);
	ASSERT_EQ(0, chan_cancel(t, 0, NULL));
	EXPECT_EQ(0, ginfo(ctx).children);
	do {	/* on a busy machine its time may come before we have looked */
		close(t);
		ahead *= 2;
		ASSERT_GT(10000 * MS, ahead);
		t = chan_group(ctx, at = chan_after(ahead), 0, 0);
		n = ginfo(ctx).children;
	} while (chan_after(0) >= at);
	EXPECT_EQ(1, n);
	ASSERT_TRUE(turns(t, POLLIN));
	EXPECT_EQ(0, ginfo(ctx).children);
	for (int process = 0; process < 2; process++) {
		ASSERT_TRUE(after_func(ctx, w, process, a));
		EXPECT_EQ(1, ginfo(ctx).children);
		EXPECT_TRUE(stop(a));
		EXPECT_EQ(0, ginfo(ctx).children);
		ASSERT_EQ(0, chan_wait(w, NULL, -1, SOON));
		EXPECT_EQ(0, a->ran);
		close(a->handle);
		close2(a->done);
		reap(process);
	}
	EXPECT_EQ(CHAN_LIVE, ginfo(ctx).state);
	close2((int[]){ ctx, w });
	close2((int[]){ c, t });
	munmap(a, sizeof(*a));
}

/* ---- WaitGroup ---- */

static int count_one(int member, void *arg)
{
	struct shared_state *s = arg;

	/* some start others, from their own member's parent or below it */
	if (add(&s->order[0], 1) % 10 == 0 && chan_go(s->fd[0], count_one, arg))
		return EIO;
	add(&s->count, 1);
	return 0;
}

/* WG-06 */
TEST(a_thousand_tasks_are_counted_out)
{
	struct shared_state *s = shared(sizeof(*s));
	int first = -1, n = quick(1000, 50);

	s->fd[0] = root();
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, chan_go(s->fd[0], count_one, s));
	}
	ASSERT_EQ(0, chan_wait(s->fd[0], &first, -1, SOON));
	EXPECT_EQ(0, first);
	EXPECT_EQ(s->order[0], s->count);
	EXPECT_LT(n, s->count);
	EXPECT_EQ(0, ginfo(s->fd[0]).members + ginfo(s->fd[0]).failed);
	close(s->fd[0]);
}

static int count_process(int member, void *arg)
{
	add(&((struct shared_state *)arg)->count, 1);
	return 0;
}

TEST(processes_are_counted_out)
{
	struct shared_state *s = shared(sizeof(*s));
	int g = root(), n = quick(200, 10);

	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, start(g, true, count_process, s, NULL, 0));
	}
	ASSERT_EQ(0, chan_wait(g, NULL, -1, SOON));
	EXPECT_EQ(n, s->count);
	close(g);
	reap(true);
}

struct adder { int own, all, rounds; };

static int join_leave(void *arg)
{
	struct adder *a = arg;

	for (int i = 0; i < a->rounds; i++) {
		int g = i % 2 ? a->own : a->all, m = chan_join(g, -1, CHAN_NOW);

		if (m < 0 || chan_leave(m, 0, NULL) || close(m))
			return 1;
		if (chan_wait(a->own, NULL, -1, CHAN_NOW))
			return 2;
	}
	return 0;
}

/* WG-05, WG-07 */
TEST(joins_and_leaves_of_many_never_wait)
{
	struct adder a[4];
	struct party p[4];
	int all = root(), idle = root();

	for (int i = 0; i < 4; i++) {
		a[i] = (struct adder){ root(), all, count(100000, 5000, 200) };
		ASSERT_TRUE(party_start(&p[i], false, join_leave, &a[i]));
	}
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, chan_wait(idle, NULL, -1, CHAN_NOW));
	}
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(0, ginfo(a[i].own).members);
		close(a[i].own);
	}
	EXPECT_EQ(0, ginfo(all).members + ginfo(all).children);
	close2((int[]){ all, idle });
}

struct pair { int g[2], m[2], x, y, sum; };

static int first_then_wait(void *arg)
{
	struct pair *p = arg;

	p->x = 1;
	if (chan_leave(p->m[0], 0, NULL) || chan_wait(p->g[0], NULL, -1, SOON))
		return 1;
	/* all who left are seen by each who waited */
	return p->x + p->y == 3 ? 0 : 2;
}

static int second_then_wait(void *arg)
{
	struct pair *p = arg;

	p->y = 2;
	if (chan_leave(p->m[1], 0, NULL) || chan_wait(p->g[0], NULL, -1, SOON))
		return 1;
	return p->x + p->y == 3 ? 0 : 2;
}

/* WG-07: what was done before a leave is seen after the wait, by all who wait */
TEST(what_was_done_before_a_leave_is_seen_after_the_wait)
{
	for (int i = 0, n = quick(500, 20); i < n; i++) {
		struct pair *p = shared(sizeof(*p));
		bool process = i % 10 == 9;
		struct party a, b;

		p->g[0] = root();
		for (int k = 0; k < 2; k++)
			p->m[k] = chan_join(p->g[0], -1, CHAN_NOW);
		ASSERT_TRUE(party_start(&a, process, first_then_wait, p));
		ASSERT_TRUE(party_start(&b, process, second_then_wait, p));
		ASSERT_EQ(0, chan_wait(p->g[0], NULL, -1, SOON));
		ASSERT_EQ(3, p->x + p->y);
		ASSERT_EQ(0, party_end(&a));
		ASSERT_EQ(0, party_end(&b));
		close2(p->m);
		close(p->g[0]);
		munmap(p, sizeof(*p));
	}
}

/* ---- errgroup ---- */

static int fail_second(int member, void *arg)
{
	struct shared_state *s = arg;
	int me = add(&s->count, 1), v;

	if (me == 1)
		return 13;
	/* told of the failure: fails with another error while it spreads */
	if (chan_recv(s->fd[0], &v, sizeof(v), member, SOON) != -ECANCELED)
		return 99;
	return 20 + me;
}

/* EG-05 */
TEST(the_first_failure_is_the_cause_whatever_follows)
{
	for (int i = 0, n = quick(100, 10); i < n; i++) {
		struct shared_state *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0), first = -1, started = 0;
		bool process = i % 10 == 9;

		ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
		for (int k = 0; k < 4; k++) {
			int r = start(g, process, fail_second, s, s->fd, 2);

			/* once it has ended, nobody starts */
			ASSERT_TRUE(r == 0 || r == -13);
			started += !r;
		}
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(13, first);
		EXPECT_EQ(13, ginfo(g).err);
		EXPECT_EQ(started, ginfo(g).failed);
		EXPECT_EQ(started, s->count);
		close2(s->fd);
		close(g);
		reap(process);
		munmap(s, sizeof(*s));
	}
}

/* EG-02, EG-05: unlike Go's, a group lives on after the wait, unless a failure has ended it */
TEST(a_wait_does_not_end_the_group)
{
	static const struct { int n, err[2], first; } row[] = {
		{ 0, {}, 0 }, { 1, { 0 }, 0 }, { 1, { 13 }, 13 }, { 2, { 13, 0 }, 13 },
	};

	for (int i = 0; i < 4; i++) {
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0), c = below(g), m[2], first = -1;
		int want = row[i].first;

		for (int k = 0; k < row[i].n; k++)
			ASSERT_LE(0, m[k] = chan_join(g, -1, CHAN_NOW));
		for (int k = 0; k < row[i].n; k++) {
			ASSERT_EQ(0, chan_leave(m[k], row[i].err[k], NULL));
			close(m[k]);
		}
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(want, first);
		EXPECT_EQ(want ? CHAN_ENDED : CHAN_LIVE, ginfo(g).state);
		EXPECT_EQ(want, ginfo(g).err);
		EXPECT_EQ(want, ginfo(c).err);
		m[0] = chan_join(g, -1, CHAN_NOW);	/* one more round, or none */
		EXPECT_EQ(-want, m[0] < 0 ? m[0] : chan_leave(m[0], 0, NULL));
		close(m[0]);
		/* what Go's Wait does with it is a call of its own */
		ASSERT_EQ(0, chan_cancel(g, 0, NULL));
		EXPECT_EQ(want ?: ECANCELED, ginfo(c).err);
		close2((int[]){ g, c });
	}
}

static int limited(int member, void *arg)
{
	struct shared_state *s = arg;
	int n = add(&s->count, 1);

	if (n > 10)
		s->flag = n;
	sched_yield();
	add(&s->count, -1);
	add(&s->order[0], 1);
	return 0;
}

/* EG-04 */
TEST(go_waits_while_ten_are_at_work)
{
	struct shared_state *s = shared(sizeof(*s));
	int g = chan_group(-1, CHAN_FOREVER, 0, 10), first = -1, n = quick(1025, 40);

	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, chan_go(g, limited, s));
	}
	ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
	EXPECT_EQ(0, first);
	EXPECT_EQ(0, s->flag);
	EXPECT_EQ(n, s->order[0]);
	close(g);
}

/* Whichever job is done first, its result stands where it belongs. */
struct search {
	struct job { struct search *s; int at; } job[3];
	int next[2][2], done[3], n;	/* next: shut when the job behind has been done */
	char result[3][40];
};

static int search(int member, void *arg)
{
	static const char *kind[] = { "web", "image", "video" };
	struct job *j = arg;
	struct search *s = j->s;

	if (j->at < 2 && chan_recv(s->next[j->at][0], NULL, 0, member, SOON) != -EPIPE)
		return 1;
	snprintf(s->result[j->at], sizeof(s->result[0]), "%s result for \"kchan\"", kind[j->at]);
	s->done[add(&s->n, 1) - 1] = j->at;
	return j->at ? -chan_shut(s->next[j->at - 1][1], 0) : 0;
}

/* EG-06 */
TEST(each_job_fills_its_own_slot)
{
	for (int process = 0; process < 2; process++) {
		struct search *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0), first = -1;

		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, chan_make(s->next[i], 0, 0, 0));
		for (int i = 0; i < 3; i++) {
			s->job[i] = (struct job){ s, i };
			ASSERT_EQ(0, start(g, process, search, &s->job[i], s->next[0], 4));
		}
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(0, first);
		EXPECT_EQ(3, s->n);
		for (int i = 0; i < 3; i++)	/* the last was done first */
			EXPECT_EQ(2 - i, s->done[i]);
		EXPECT_STREQ("web result for \"kchan\"", s->result[0]);
		EXPECT_STREQ("image result for \"kchan\"", s->result[1]);
		EXPECT_STREQ("video result for \"kchan\"", s->result[2]);
		for (int i = 0; i < 2; i++)
			close2(s->next[i]);
		close(g);
		reap(process);
		munmap(s, sizeof(*s));
	}
}

/*
 * EG-07: a walker sends numbers to 20 workers, they send sums to the collector; all
 * under one group that the first failure ends. fd: numbers in, out, sums in, out.
 */
enum { FILES = 500, WORKERS = 20 };

struct pipeline { int fd[4], bad, die, done; };

static int walk(int member, void *arg)
{
	struct pipeline *p = arg;
	int r = 0;

	for (int i = 0; i < FILES && !r; i++)
		r = chan_send(p->fd[1], &i, sizeof(i), member, CHAN_FOREVER);
	chan_shut(p->fd[1], -r);
	return r;
}

static int digest(int member, void *arg)
{
	struct pipeline *p = arg;
	int n, r, sum[2];

	for (;;) {
		r = chan_recv(p->fd[0], &n, sizeof(n), member, CHAN_FOREVER);
		if (r != sizeof(n))
			return r == -EPIPE ? 0 : r;
		if (n == p->bad)
			return EACCES;
		if (n == p->die) {
			kill(getpid(), SIGKILL);
			pause();
		}
		sum[0] = n;
		sum[1] = n * n + 1;
		r = chan_send(p->fd[3], sum, sizeof(sum), member, CHAN_FOREVER);
		if (r)
			return r;
	}
}

/* When all members have left, nobody adds a sum: the collector is told. */
static int close_after(void *arg)
{
	int *fd = arg;
	int r = chan_wait(fd[0], NULL, -1, CHAN_FOREVER);

	chan_shut(fd[1], 0);
	return -r;
}

TEST(any_failure_in_a_pipeline_leaves_nobody_behind)
{
	for (int run = 0; run < 5; run++) {
		bool process = run == 1 || run >= 3;
		int want = run < 2 ? 0 : run < 4 ? EACCES : EOWNERDEAD, g, first = -1, got = 0, r;
		struct pipeline *p = shared(sizeof(*p));
		int sum[2], closer[2], seen[FILES] = {};
		struct party c;

		p->bad = want == EACCES ? 100 : -1;
		p->die = want == EOWNERDEAD ? 100 : -1;
		g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0);
		ASSERT_EQ(0, chan_make(p->fd, sizeof(int), 0, 0));
		ASSERT_EQ(0, chan_make(p->fd + 2, sizeof(sum), 0, 0));
		for (int i = 0; i < WORKERS; i++) {
			ASSERT_EQ(0, start(g, process, digest, p, p->fd, 4));
		}
		ASSERT_EQ(0, start(g, process, walk, p, p->fd, 4));
		closer[0] = g;
		closer[1] = p->fd[3];
		ASSERT_TRUE(party_start(&c, false, close_after, closer));
		while ((r = chan_recv(p->fd[2], sum, sizeof(sum), -1, SOON)) == sizeof(sum)) {
			ASSERT_TRUE(sum[0] >= 0 && sum[0] < FILES);
			ASSERT_EQ(0, seen[sum[0]]);
			ASSERT_EQ(sum[0] * sum[0] + 1, sum[1]);
			seen[sum[0]] = 1;
			got++;
		}
		EXPECT_EQ(-EPIPE, r);
		ASSERT_EQ(0, party_end(&c));
		ASSERT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
		EXPECT_EQ(want, first);
		EXPECT_EQ(want, ginfo(g).err);
		EXPECT_EQ(0, ginfo(g).members);
		EXPECT_EQ(!want, got == FILES);
		close2(p->fd);
		close2(p->fd + 2);
		close(g);
		reap(process);
	}
}

/* A channel's capacity is a semaphore's, and so is a group's limit. */
struct semaphore { int e[2], g, m[2], n; };

static int acquire(struct semaphore *s, int64_t deadline)
{
	int m;

	if (s->g < 0)
		return chan_send(s->e[1], NULL, 0, -1, deadline);
	m = chan_join(s->g, -1, deadline);
	if (m >= 0)
		s->m[s->n++] = m;
	return m < 0 ? m : 0;
}

static int release(struct semaphore *s)
{
	int r;

	if (s->g < 0)
		return chan_recv(s->e[0], NULL, 0, -1, CHAN_NOW);
	if (!s->n)
		return chan_leave(s->g, 0, NULL);
	r = chan_leave(s->m[--s->n], 0, NULL);
	close(s->m[s->n]);
	return r;
}

/* EG-08 */
TEST(a_channel_and_a_limit_are_semaphores)
{
	for (int limit = 0; limit < 2; limit++) {
		struct semaphore s = { .g = -1 };

		if (limit)
			s.g = chan_group(-1, CHAN_FOREVER, 0, 2);
		else
			ASSERT_EQ(0, chan_make(s.e, 0, 2, 0));
		for (int timed = 0; timed < 2; timed++) {
			int64_t in = timed ? 10 * MS : 0;
			int no = timed ? -ETIMEDOUT : -EAGAIN;

			#define WHEN	(in ? chan_after(in) : CHAN_NOW)
			EXPECT_EQ(limit ? -EINVAL : -EAGAIN, release(&s));	/* nothing to release */
			ASSERT_EQ(0, acquire(&s, CHAN_FOREVER));
			EXPECT_EQ(0, acquire(&s, WHEN));
			EXPECT_EQ(no, acquire(&s, WHEN));
			EXPECT_EQ(0, release(&s));
			EXPECT_EQ(0, release(&s));
			EXPECT_EQ(0, acquire(&s, WHEN));
			ASSERT_EQ(0, acquire(&s, CHAN_FOREVER));
			EXPECT_EQ(no, acquire(&s, WHEN));
			EXPECT_EQ(0, release(&s));
			EXPECT_EQ(0, release(&s));
			#undef WHEN
		}
		if (limit)
			close(s.g);
		else
			close2(s.e);
	}
}

#define WEIGHTS	4

struct scale { int e[2], turn[2], rounds, next, inside, most; };

/* A weight is put on whole: two who had half of theirs each would wait for ever. */
static int weigh(void *arg)
{
	struct scale *s = arg;
	int weight = add(&s->next, 1) - 1;

	for (int i = 0; i < s->rounds; i++) {
		WANT(!chan_send(s->turn[1], NULL, 0, -1, SOON));
		for (int k = 0; k < weight; k++)
			WANT(!chan_send(s->e[1], NULL, 0, -1, SOON));
		WANT(!chan_recv(s->turn[0], NULL, 0, -1, CHAN_NOW));
		note_most(&s->most, add(&s->inside, weight));
		if (i % 8 == weight)
			usleep(50);
		add(&s->inside, -weight);
		for (int k = 0; k < weight; k++)
			WANT(!chan_recv(s->e[0], NULL, 0, -1, CHAN_NOW));
	}
	return 0;
}

/* EG-08 */
TEST(weights_are_never_more_than_the_capacity)
{
	struct scale s = { .rounds = count(10000 / WEIGHTS, 500, 50) };
	struct party p[WEIGHTS];

	ASSERT_EQ(0, chan_make(s.e, 0, WEIGHTS, 0));
	ASSERT_EQ(0, chan_make(s.turn, 0, 1, 0));
	for (int i = 0; i < WEIGHTS; i++)
		ASSERT_TRUE(party_start(&p[i], false, weigh, &s));
	for (int i = 0; i < WEIGHTS; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	EXPECT_EQ(0, s.inside);
	EXPECT_GE(WEIGHTS, s.most);
	EXPECT_LE(WEIGHTS - 1, s.most);
	EXPECT_EQ(0, info_of(s.e[0]).len);
	EXPECT_EQ(s.rounds * WEIGHTS * (WEIGHTS - 1) / 2, info_of(s.e[0]).received);
	close2(s.e);
	close2(s.turn);
}

TEST_HARNESS_MAIN
