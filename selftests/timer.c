// SPDX-License-Identifier: MIT
/* Deadlines as timers: Go's After, Timer and Ticker as programs over the calls. */
#include <sys/timerfd.h>
#include <time.h>

#include "caller.h"
#include "quota.h"
#include "harness.h"

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Wait until @deadline and nothing else. */
static int sleep_until(int64_t deadline)
{
	return chan_select(NULL, 0, 0, -1, deadline);
}

/* TM-01: never early; ten take ten times as long */
TEST(a_deadline_is_never_early)
{
	int64_t d = quick(100, 20) * MS, start = now();
	int e[2], v, g = chan_group(-1, CHAN_FOREVER, 0, 0);

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int i = 1; i <= 10; i++) {
		int64_t until = chan_after(d);

		EXPECT_EQ(-ETIMEDOUT, i % 3 == 0 ? sleep_until(until) :
			  i % 3 == 1 ? chan_recv(e[0], &v, 4, g, until) :
			  (int)chan_select(&(struct chan_case){ .fd = e[0], .op = CHAN_RECV,
					   .msg = { &v, 4, NULL, 0, 0 } }, 1, 0, g, until));
		EXPECT_LE(until, now());
		EXPECT_LE(start + i * d, now());
	}
	EXPECT_LE(now(), start + 10 * d + 5000 * MS);
	EXPECT_EQ(0, info_of(e[0]).parked_receivers);
	close(g);
	close2(e);
}

/* TM-01 for groups: whoever sees the end sees it after the deadline */
TEST(a_group_is_never_ended_early)
{
	for (int i = 0; i < 20; i++) {
		int64_t until = chan_after(10 * MS);
		int g = chan_group(-1, until, 0, 0);
		struct pollfd p = { .fd = g, .events = POLLIN };
		struct chan_group_info in;

		EXPECT_EQ(until, group_of(g).deadline);
		switch (i % 3) {
		case 0:
			EXPECT_EQ(1, poll(&p, 1, PATIENCE));
			break;
		case 1:
			EXPECT_EQ(-ETIMEDOUT, chan_select(NULL, 0, 0, g, SOON));
			break;
		default:
			while (group_of(g).state == CHAN_LIVE)
				;
		}
		EXPECT_LE(until, now());
		in = group_of(g);
		EXPECT_EQ(CHAN_ENDED, in.state);
		EXPECT_EQ(ETIMEDOUT, (int)in.err);
		EXPECT_EQ(0, (int)in.by_pid);
		EXPECT_STREQ("", in.why);
		EXPECT_EQ(-ETIMEDOUT, chan_join(g, -1, CHAN_NOW));
		close(g);
	}
}

/* A hundred groups, the first to end at @first, all cancelled: how many in time. */
static int stop_all(struct __test_metadata *_metadata, int *g, bool *in_time, int64_t first)
{
	int stopped = 0;

	for (int i = 0; i < 100; i++) {
		g[i] = chan_group(-1, first + i * MS, 0, 0);
		EXPECT_LE(0, g[i]);
	}
	for (int i = 0; i < 100; i++) {
		EXPECT_EQ(0, chan_cancel(g[i], EALREADY, "stopped"));
		in_time[i] = now() < first + i * MS;	/* else its deadline may have been first */
		stopped += in_time[i];
	}
	return stopped;
}

/* TM-02: a group that was cancelled is not ended again by its deadline */
TEST(a_stopped_timer_never_fires)
{
	int64_t first, ahead = 20 * MS;
	bool in_time[100];
	int g[100];

	/* the time that a busy machine takes to make them all is not known before */
	while (stop_all(_metadata, g, in_time, first = chan_after(ahead)) < 50) {
		for (int i = 0; i < 100; i++)
			close(g[i]);
		ahead *= 4;
		ASSERT_GT(10000 * MS, ahead);
	}
	sleep_until(first + 130 * MS);
	for (int i = 0; i < 100; i++) {
		struct chan_group_info in = group_of(g[i]);

		if (in.err == ETIMEDOUT && !in_time[i])
			continue;
		EXPECT_EQ(EALREADY, (int)in.err);
		EXPECT_STREQ("stopped", in.why);
		EXPECT_EQ(0, chan_cancel(g[i], EIO, "again"));
		EXPECT_EQ(EALREADY, (int)group_of(g[i]).err);
		close(g[i]);
	}
}

/* A time limit is moved by a new call with another. */
TEST(each_call_has_its_own_deadline)
{
	int64_t d = 20 * MS, t = now();
	int e[2], v = 1;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, -1, t + d));
	EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, -1, t + d));	/* is past: tries once */
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, t + d));
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, t + d));
	EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, -1, t + 3 * d));
	EXPECT_LE(t + 3 * d, now());
	close2(e);
}

/* ---- timers and tickers as programs have them: a timerfd that is a case of a select ---- */

/* Go off at @at, then every @every; at 0 never. Was it going to? Or an error. */
static int timer_set(int timer, int64_t at, int64_t every)
{
	struct itimerspec was, t = {
		.it_value = { at / 1000000000, at % 1000000000 },
		.it_interval = { every / 1000000000, every % 1000000000 },
	};

	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, &was))
		return -errno;
	return was.it_value.tv_sec || was.it_value.tv_nsec;
}

static int timer_new(int64_t at, int64_t every)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	timer_set(timer, at, every);
	return timer;
}

/* How often it has gone off since it was asked last; -1: not at all. */
static int ticks_of(int timer)
{
	uint64_t n;

	return read(timer, &n, sizeof(n)) == sizeof(n) ? (int)n : -1;
}

/* Select: the timer, or a channel that nobody sends on. */
static int wait_timer(int timer, int idle, int64_t deadline)
{
	int v;
	struct chan_case c[2] = {
		{ .fd = timer, .op = CHAN_POLL, .events = POLLIN },
		{ .fd = idle, .op = CHAN_RECV, .msg = { .buf = &v, .len = 4 } },
	};

	return chan_select(c, 2, 0, -1, deadline);
}

struct waiter { struct party p; int timer, idle; int64_t woken; };

static int wait_for_timer(void *arg)
{
	struct waiter *w = arg;
	int r = wait_timer(w->timer, w->idle, SOON);

	w->woken = now();
	return r;
}

/* TM-03: also under a select that waits already */
TEST(a_timer_that_is_moved_goes_off_at_its_new_time)
{
	int64_t hour = 3600000 * MS, at;
	struct waiter w;
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	w = (struct waiter){ .timer = timer_new(chan_after(hour), 0), .idle = e[0] };
	ASSERT_TRUE(party_start(&w.p, false, wait_for_timer, &w));
	ASSERT_TRUE(asleep(&w.p.tid));
	EXPECT_EQ(1, timer_set(w.timer, chan_after(2 * hour), 0));
	EXPECT_EQ(1, timer_set(w.timer, at = chan_after(20 * MS), 0));
	EXPECT_EQ(0, party_end(&w.p));
	EXPECT_LE(at, w.woken);
	EXPECT_EQ(1, ticks_of(w.timer));
	EXPECT_EQ(0, timer_set(w.timer, chan_after(hour), 0));	/* it was over */
	EXPECT_EQ(-ETIMEDOUT, wait_timer(w.timer, e[0], chan_after(5 * MS)));
	EXPECT_EQ(1, timer_set(w.timer, 0, 0));			/* Stop */
	EXPECT_EQ(0, timer_set(w.timer, 0, 0));
	EXPECT_EQ(-EAGAIN, wait_timer(w.timer, e[0], CHAN_NOW));
	close(w.timer);
	close2(e);
}

TEST(a_timer_that_is_put_off_does_not_go_off_before)
{
	int e[2], r = 0;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	/* on a busy machine it may be too late for both: then with more time */
	for (int64_t d = 10 * MS; r != -ETIMEDOUT; d *= 3) {
		int64_t start = now();
		int timer = timer_new(start + d, 0);

		ASSERT_GT(10000 * MS, d);
		if (timer_set(timer, start + 4 * d, 0)) {
			r = wait_timer(timer, e[0], start + 2 * d);
			if (!r)
				EXPECT_LE(start + 4 * d, now());
			EXPECT_EQ(0, wait_timer(timer, e[0], SOON));
			EXPECT_LE(start + 4 * d, now());
			EXPECT_EQ(1, ticks_of(timer));
		}
		close(timer);
	}
	close2(e);
}

/* @n ticks, none before its time. */
static void take_ticks(struct __test_metadata *_metadata, int ticker, int idle, int64_t start,
		       int64_t every, int n)
{
	int got = 0;

	while (got < n) {
		ASSERT_EQ(0, wait_timer(ticker, idle, SOON));
		got += ticks_of(ticker);
		EXPECT_LE(start + got * every, now());
	}
}

/* TM-03 */
TEST(a_ticker_changes_its_period_and_stops_for_good)
{
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int i = 0; i < 3; i++) {
		int64_t start = now();
		int ticker = timer_new(start + 20 * MS, 20 * MS);

		take_ticks(_metadata, ticker, e[0], start, 20 * MS, i ? 1 : 5);
		start = now();
		EXPECT_LE(0, timer_set(ticker, start + 40 * MS, 40 * MS));
		take_ticks(_metadata, ticker, e[0], start, 40 * MS, i ? 1 : 5);
		EXPECT_LE(0, timer_set(ticker, 0, 0));
		EXPECT_EQ(-ETIMEDOUT, wait_timer(ticker, e[0], chan_after(80 * MS)));
		EXPECT_EQ(-1, ticks_of(ticker));
		close(ticker);
	}
	close2(e);
}

/* TM-04: a period that is negative is refused; 0 is none, a timer that goes off once */
TEST(a_refused_period_leaves_a_ticker_as_it_is)
{
	int e[2], p = chan_group(-1, CHAN_FOREVER, 0, 0), ticker, fd;
	struct itimerspec is;
	int64_t start = now();

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	ticker = timer_new(start + 10 * MS, 10 * MS);
	EXPECT_EQ(-EINVAL, timer_set(ticker, start + 10 * MS, -1));
	EXPECT_EQ(-EINVAL, timer_set(ticker, -1, 10 * MS));
	ASSERT_EQ(0, timerfd_gettime(ticker, &is));
	EXPECT_EQ(10 * MS, is.it_interval.tv_nsec);
	take_ticks(_metadata, ticker, e[0], start, 10 * MS, 3);
	EXPECT_LE(0, timer_set(ticker, chan_after(MS), 0));
	EXPECT_EQ(0, wait_timer(ticker, e[0], SOON));
	EXPECT_EQ(1, ticks_of(ticker));
	EXPECT_EQ(-ETIMEDOUT, wait_timer(ticker, e[0], chan_after(20 * MS)));
	/* a group without time is none, and its parent is as it was */
	fd = lowest_free();
	EXPECT_EQ(-EINVAL, chan_group(p, CHAN_NOW, 0, 0));
	EXPECT_EQ(fd, lowest_free());
	EXPECT_EQ(CHAN_LIVE, group_of(p).state);
	EXPECT_EQ(0, group_of(p).children);
	EXPECT_EQ(CHAN_FOREVER, group_of(p).deadline);
	close2((int[]){ ticker, p });
	close2(e);
}

struct bell { int tx, g; int64_t at, every; };

/* Send the time when it is time; again and again, or once. */
static int ring_bell(void *arg)
{
	struct bell *b = arg;
	int64_t at = b->at, t;
	int r;

	do {
		WANT(chan_select(NULL, 0, 0, b->g, at) < 0);
		t = now();
		r = chan_send(b->tx, &t, sizeof(t), b->g, CHAN_FOREVER);
		at += b->every;
	} while (b->every && r >= 0);
	return r == (b->every ? -ECANCELED : 0) ? 0 : 1;
}

/* TM-05: however late it is received */
TEST(a_tick_carries_the_time_of_its_firing)
{
	for (int i = 0; i < 4; i++) {
		bool process = i % 2, ticks = i / 2;
		struct bell *b = shared(sizeof(*b));
		int64_t first, next, seen;
		struct party p;
		int e[2];

		ASSERT_EQ(0, chan_make(e, sizeof(first), 1, ticks ? CHAN_DROP_NEW : 0));
		*b = (struct bell){ e[1], chan_group(-1, CHAN_FOREVER, 0, 0), chan_after(10 * MS),
				    ticks ? 2 * MS : 0 };
		ASSERT_TRUE(party_start(&p, process, ring_bell, b));
		ASSERT_TRUE(COMES(info_of(e[0]).len == 1));
		seen = now();
		sleep_until(seen + 20 * MS);
		ASSERT_TRUE(!ticks || COMES(info_of(e[0]).dropped >= 3));
		ASSERT_EQ(8, chan_recv(e[0], &first, 8, -1, CHAN_NOW));
		EXPECT_LE(b->at, first);
		EXPECT_GE(seen, first);
		if (ticks) {
			ASSERT_EQ(8, chan_recv(e[0], &next, 8, -1, SOON));
			EXPECT_LT(first, next);
			EXPECT_EQ(0, chan_cancel(b->g, 0, NULL));
		}
		EXPECT_EQ(0, party_end(&p));
		close(b->g);
		close2(e);
		munmap(b, sizeof(*b));
	}
}

/* Past deadlines, and those past all time. */
TEST(deadlines_at_the_ends_of_time)
{
	static const int64_t past[] = { 1, -1, INT64_MIN, INT64_MIN + 1 };
	int e[2], v = 1, g;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	EXPECT_EQ(-EINVAL, chan_group(-1, CHAN_NOW, 0, 0));
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, -1, past[i]));
		EXPECT_EQ(-ETIMEDOUT, sleep_until(past[i]));
		g = chan_group(-1, past[i], 0, 0);
		ASSERT_LE(0, g);
		EXPECT_EQ(CHAN_ENDED, group_of(g).state);
		EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, g, CHAN_FOREVER));
		close(g);
	}
	EXPECT_EQ(-EAGAIN, sleep_until(CHAN_NOW));
	/* the last instant is long after this test */
	g = chan_group(-1, INT64_MAX - 1, 0, 0);
	EXPECT_EQ(CHAN_LIVE, group_of(g).state);
	ASSERT_EQ(0, chan_send(e[1], &v, 4, g, INT64_MAX - 1));
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, g, INT64_MAX - 1));
	EXPECT_EQ(CHAN_FOREVER, chan_after(INT64_MAX));
	EXPECT_LT(chan_after(INT64_MIN), 0);
	close(g);
	close2(e);
}

/* TM-06: a ticker into a channel that drops; the slow reader sees no more than one */
static void *ticks(void *arg)
{
	int *fd = arg, tick = 0;

	while (chan_send(fd[0], &tick, 4, fd[1], CHAN_FOREVER) >= 0)
		tick++;
	return NULL;
}

TEST(a_fast_ticker_drops_ticks)
{
	int e[2], v, last = -1, g = chan_group(-1, CHAN_FOREVER, 0, 0);
	pthread_t t;

	ASSERT_EQ(0, chan_make(e, 4, 1, CHAN_DROP_NEW));
	int fd[2] = { e[1], g };

	pthread_create(&t, NULL, ticks, fd);
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
		EXPECT_LT(last, v);
		EXPECT_LE(info_of(e[0]).len, 1);
		last = v;
	}
	EXPECT_EQ(0, chan_cancel(g, 0, NULL));
	pthread_join(t, NULL);
	struct chan_info in = info_of(e[0]);

	EXPECT_EQ(in.sent, in.received + in.dropped + in.len);
	close(g);
	close2(e);
}

/* RM-05: deadlines far away are freed with what they were for */
TEST(far_deadlines_are_dropped_with_their_groups)
{
	int n = quick(10000, 1000), root = chan_group(-1, CHAN_FOREVER, 0, 0);
	int g = chan_group(root, chan_after(3600000 * MS), 0, 0);
	long bytes;

	EXPECT_TRUE(timers_armed(1));
	close(g);
	EXPECT_TRUE(timers_armed(0));
	bytes = bytes_in_use();
	ASSERT_LT(0, bytes);
	for (int i = 0; i < n; i++) {
		g = chan_group(i % 2 ? root : -1, chan_after(3600000 * MS), 0, 0);

		ASSERT_LE(0, g);
		if (i % 3 == 0)
			EXPECT_EQ(0, chan_cancel(g, 0, NULL));
		close(g);
	}
	EXPECT_EQ(0, group_of(root).children);
	EXPECT_EQ(bytes, bytes_in_use());
	EXPECT_TRUE(timers_armed(0));
	close(root);
}

/* CX-22: below, the earlier deadline holds; detached has its own */
TEST(the_earliest_deadline_above_holds)
{
	int64_t first = chan_after(500 * MS), later = chan_after(3600000 * MS);
	int p = chan_group(-1, first, 0, 0), c = chan_group(p, later, 0, 0);
	int m = chan_join(c, -1, CHAN_NOW), d = chan_group(p, later, CHAN_DETACHED, 0);
	int free = chan_group(p, CHAN_FOREVER, CHAN_DETACHED, 0);
	int own = chan_group(d, first, 0, 0);

	ASSERT_LE(0, m);
	EXPECT_EQ(first, group_of(c).deadline);
	EXPECT_EQ(first, group_of(m).deadline);
	EXPECT_EQ(later, group_of(d).deadline);
	EXPECT_EQ(first, group_of(own).deadline);
	EXPECT_EQ(CHAN_FOREVER, group_of(free).deadline);
	EXPECT_EQ(-ETIMEDOUT, chan_select(NULL, 0, 0, m, SOON));
	EXPECT_EQ(-ETIMEDOUT, chan_select(NULL, 0, 0, own, SOON));
	EXPECT_EQ(CHAN_ENDED, group_of(p).state);
	EXPECT_EQ(CHAN_ENDED, group_of(c).state);
	EXPECT_EQ(CHAN_LIVE, group_of(d).state);
	EXPECT_EQ(CHAN_LIVE, group_of(free).state);
	EXPECT_EQ(1, group_of(c).members);
	EXPECT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(0, group_of(c).members);
	close(own);
	close(free);
	close(d);
	close(m);
	close(c);
	close(p);
}

TEST_HARNESS_MAIN
