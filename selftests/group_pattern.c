// SPDX-License-Identifier: MIT
/* What groups are for: generators, errgroups, pipelines, workgroups; threads and processes. */
#include <sched.h>
#include <sys/signalfd.h>

#include "group_util.h"
#include "harness.h"

/* A member that runs @fn, on a thread or in a process that keeps @keep. */
static int start(int g, bool process, int (*fn)(int member, void *arg), void *arg,
		 const int *keep, unsigned n)
{
	int m, r;

	if (!process)
		return chan_go(g, fn, arg);
	r = chan_fork(g, keep, n, &m);
	if (r)
		return r < 0 ? r : 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = fn(m, arg);
	chan_leave(m, r < 0 ? -r : r, NULL);
	_exit(0);
}

static void reap(bool process)
{
	while (process && waitpid(-1, NULL, 0) > 0)
		;
}

/* What the members of a test share. */
struct shared_state {
	int fd[8];
	int err, count, order[8], flag;
};

static int add(int *n, int by)
{
	return __atomic_add_fetch(n, by, __ATOMIC_SEQ_CST);
}

static int get(int *n)
{
	return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

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

/* A function that runs once when fd[0] ends, unless fd[1] ends before. */
static int after_func(int member, void *arg)
{
	struct shared_state *s = arg;
	struct chan_case c[2] = {
		{ .fd = s->fd[1], .op = CHAN_POLL, .events = POLLIN },
		{ .fd = s->fd[0], .op = CHAN_POLL, .events = POLLIN },
	};
	int one = 1;

	if (chan_select(c, 2, CHAN_PRIO, -1, SOON) != 1)
		return 0;
	add(&s->count, 1);
	return chan_send(s->fd[3], &one, sizeof(one), -1, SOON);
}

/* CX-18, CX-19 */
TEST(a_function_after_the_end_runs_once_or_never)
{
	for (int i = 0; i < 8; i++) {
		bool process = i % 2, stops = i / 2 == 3;
		struct shared_state *s = shared(sizeof(*s));
		int w = root(), stop = root(), v;

		/* ended by cancel, by time, before it began, or stopped in time */
		s->fd[0] = chan_group(-1, i / 2 == 1 ? chan_after(20 * MS) : CHAN_FOREVER, 0, 0);
		s->fd[1] = chan_watch(stop);
		ASSERT_EQ(0, chan_make(s->fd + 2, sizeof(int), 0, 0));
		if (i / 2 == 2)
			chan_cancel(s->fd[0], 0, NULL);
		ASSERT_EQ(0, start(w, process, after_func, s, s->fd, 4));
		if (i / 2 != 2 && i / 2 != 1)
			EXPECT_EQ(0, get(&s->count));
		if (stops) {
			ASSERT_EQ(0, chan_cancel(stop, 0, NULL));
			ASSERT_EQ(0, chan_wait(w, NULL, -1, SOON));
		}
		/* the cancel does not wait for what runs after it: that waits for us */
		ASSERT_EQ(0, chan_cancel(s->fd[0], 0, NULL));
		if (!stops)
			EXPECT_EQ(4, chan_recv(s->fd[2], &v, sizeof(v), -1, SOON));
		ASSERT_EQ(0, chan_wait(w, NULL, -1, SOON));
		ASSERT_EQ(0, chan_cancel(stop, 0, NULL));
		EXPECT_EQ(!stops, s->count);
		close2(s->fd);
		close2(s->fd + 2);
		close2((int[]){ w, stop });
		reap(process);
	}
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
		a[i] = (struct adder){ root(), all, quick(5000, 200) };
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

/* EG-02, EG-05 */
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

struct search { char result[3][40]; int n; };

static int search(int member, void *arg)
{
	static const char *kind[] = { "web", "image", "video" };
	struct search *s = arg;
	int i = add(&s->n, 1) - 1;

	snprintf(s->result[i], sizeof(s->result[i]), "%s result", kind[i]);
	return 0;
}

/* EG-06 */
TEST(each_job_fills_its_own_slot)
{
	for (int process = 0; process < 2; process++) {
		struct search *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0), first = -1;

		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, start(g, process, search, s, NULL, 0));
		}
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(0, first);
		EXPECT_STREQ("web result", s->result[0]);
		EXPECT_STREQ("image result", s->result[1]);
		EXPECT_STREQ("video result", s->result[2]);
		close(g);
		reap(process);
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

/* EG-08: a channel's capacity is a semaphore's */
TEST(a_channel_is_a_semaphore)
{
	int e[2], v = 0;

	ASSERT_EQ(0, chan_make(e, 4, 2, 0));
	EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));	/* nothing to give back */
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, i ? chan_after(10 * MS) : CHAN_NOW));
		EXPECT_EQ(i ? -ETIMEDOUT : -EAGAIN,
			  chan_send(e[1], &v, 4, -1, i ? chan_after(10 * MS) : CHAN_NOW));
		EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	}
	close2(e);
}

/* ---- workgroup: all stop when the first returns ---- */

static int wait_for_word(int member, void *arg)
{
	struct shared_state *s = arg;
	int v;

	if (chan_recv(s->fd[0], &v, sizeof(v), -1, SOON) != -EPIPE)
		return 99;
	return s->err;
}

static int wait_for_stop(int member, void *arg)
{
	struct shared_state *s = arg;
	int r = chan_select(NULL, 0, 0, member, SOON);

	add(&s->count, 1);
	return r == -ECANCELED ? s->flag : 98;
}

/* GW-01, GW-02 */
TEST(the_first_to_return_stops_the_others)
{
	struct { int err, late, first, cause; } row[] = {
		{ 11, 0, 11, 11 },
		{ 0, 22, 22, ECANCELED },
		{ 11, 22, 11, 11 },
		{ 0, 0, 0, ECANCELED },
	};

	for (int i = 0; i < 8; i++) {
		bool process = i % 2;
		struct shared_state *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1;

		EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));	/* an empty group */
		EXPECT_EQ(0, first);
		s->err = row[i / 2].err;
		s->flag = row[i / 2].late;
		ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
		ASSERT_EQ(0, start(g, process, wait_for_word, s, s->fd, 2));
		for (int k = 0; k < 3; k++) {
			ASSERT_EQ(0, start(g, process, wait_for_stop, s, NULL, 0));
		}
		EXPECT_EQ(-ETIMEDOUT, chan_wait(g, &first, -1, chan_after(5 * MS)));
		EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
		EXPECT_EQ(4, ginfo(g).members);
		ASSERT_EQ(0, chan_shut(s->fd[1], 0));
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(row[i / 2].first, first);
		EXPECT_EQ(row[i / 2].cause, ginfo(g).err);
		EXPECT_EQ(3, s->count);
		close2(s->fd);
		close(g);
		reap(process);
	}
}

/* A member that serves another group's end, and none that stops it is its error. */
static int context_member(int member, void *arg)
{
	struct shared_state *s = arg;
	struct chan_case c = { .fd = s->fd[2], .op = CHAN_POLL, .events = POLLIN };
	struct chan_group_info i;
	int r = chan_select(&c, 1, 0, member, SOON);

	if (r == -ECANCELED)
		return 0;			/* stopped by another */
	chan_group_info(s->fd[2], &i, sizeof(i));
	return r ? -r : (int)i.err;
}

/* GW-03 */
TEST(a_context_member_is_stopped_by_another)
{
	for (int process = 0; process < 2; process++) {
		struct shared_state *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1;

		s->err = 33;
		s->fd[2] = root();
		ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
		ASSERT_EQ(0, start(g, process, context_member, s, s->fd, 3));
		ASSERT_EQ(0, start(g, process, wait_for_word, s, s->fd, 2));
		ASSERT_EQ(0, chan_shut(s->fd[1], 0));
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(33, first);
		EXPECT_EQ(1, ginfo(g).failed);
		EXPECT_EQ(CHAN_LIVE, ginfo(s->fd[2]).state);
		close2(s->fd);
		close2((int[]){ s->fd[2], g });
		reap(process);
	}
}

/* A server: it is asked, and fails by itself, or is shut down. */
static int serve(int member, void *arg)
{
	struct shared_state *s = arg;
	int v, r = chan_recv(s->fd[0], &v, sizeof(v), -1, SOON);

	s->order[0] = add(&s->count, 1);
	if (r == -EPIPE)
		return 0;
	chan_shut(s->fd[0], s->err);
	return r == sizeof(v) ? s->err : 97;
}

static int shut_down_when_stopped(int member, void *arg)
{
	struct shared_state *s = arg;

	if (chan_select(NULL, 0, 0, member, SOON) != -ECANCELED)
		return 98;
	s->order[1] = add(&s->count, 1);
	if (!info_of(s->fd[1]).shut)	/* only what still serves is shut down */
		s->flag = !chan_shut(s->fd[1], 0);
	return 0;
}

/* GW-04 */
TEST(a_server_that_failed_is_not_shut_down_and_one_that_serves_is)
{
	for (int fails = 0; fails < 2; fails++) {
		struct shared_state *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1, v = 0;

		s->err = 44;
		ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
		ASSERT_EQ(0, start(g, false, serve, s, NULL, 0));
		ASSERT_EQ(0, start(g, false, shut_down_when_stopped, s, NULL, 0));
		ASSERT_EQ(0, fails ? chan_send(s->fd[1], &v, 4, -1, SOON) : chan_cancel(g, 33, "enough"));
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(fails ? 44 : 0, first);
		EXPECT_EQ(fails ? 44 : 33, ginfo(g).err);
		EXPECT_EQ(!fails, s->flag);
		if (fails)
			EXPECT_LT(s->order[0], s->order[1]);
		close2(s->fd);
		close(g);
	}
}

static int signal_member(int member, void *arg)
{
	struct shared_state *s = arg;
	struct signalfd_siginfo si;
	struct chan_case c = { .op = CHAN_POLL, .events = POLLIN };
	sigset_t set, old;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	c.fd = signalfd(-1, &set, SFD_CLOEXEC);
	add(&s->order[2], 1);
	r = chan_select(&c, 1, 0, member, SOON);
	if (!r && read(c.fd, &si, sizeof(si)) == sizeof(si))
		r = si.ssi_signo == SIGUSR1 ? EINTR : 96;
	close(c.fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == -ECANCELED ? 0 : r;
}

/* GW-05 */
TEST(a_signal_member_is_stopped_or_stops)
{
	for (int by_signal = 0; by_signal < 2; by_signal++) {
		struct shared_state *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1;
		sigset_t set, before, after;

		/* blocked in all threads, so that the signalfd gets it */
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		pthread_sigmask(SIG_BLOCK, &set, NULL);
		pthread_sigmask(SIG_SETMASK, NULL, &before);
		s->err = 55;
		ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
		ASSERT_EQ(0, start(g, false, signal_member, s, NULL, 0));
		ASSERT_EQ(0, start(g, false, by_signal ? wait_for_stop : wait_for_word, s, NULL, 0));
		if (by_signal)
			kill(getpid(), SIGUSR1);
		else
			ASSERT_EQ(0, chan_shut(s->fd[1], 0));
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(by_signal ? EINTR : 55, first);
		EXPECT_EQ(1, ginfo(g).failed);
		pthread_sigmask(SIG_SETMASK, NULL, &after);
		for (int sig = 1; sig < NSIG; sig++)
			EXPECT_EQ(sigismember(&before, sig), sigismember(&after, sig));
		close2(s->fd);
		close(g);
	}
}

/* GW-06: a server, a context of 100 ms and a signal member; the time drives the shutdown */
TEST(a_contexts_time_shuts_the_server_down)
{
	struct shared_state *s = shared(sizeof(*s));
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1;
	int64_t at = chan_after(100 * MS);

	s->fd[2] = chan_group(-1, at, 0, 0);
	ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
	ASSERT_EQ(0, start(g, false, serve, s, NULL, 0));
	ASSERT_EQ(0, start(g, false, shut_down_when_stopped, s, NULL, 0));
	ASSERT_EQ(0, start(g, false, signal_member, s, NULL, 0));
	ASSERT_EQ(0, start(g, false, context_member, s, NULL, 0));	/* last: it may be time */
	ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
	EXPECT_LE(at, chan_after(0));
	EXPECT_EQ(ETIMEDOUT, first);
	EXPECT_EQ(ETIMEDOUT, ginfo(g).err);
	EXPECT_EQ(1, ginfo(g).failed);
	EXPECT_EQ(1, s->flag);
	EXPECT_LT(s->order[1], s->order[0]);
	close2(s->fd);
	close2((int[]){ s->fd[2], g });
}

TEST_HARNESS_MAIN
