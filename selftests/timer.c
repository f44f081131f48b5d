// SPDX-License-Identifier: MIT
/* Deadlines as timers: Go's After, Timer and Ticker as programs over the calls. */
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

/* TM-03: a timer is moved by a new call with another deadline */
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

/* TM-04: past deadlines, and those past all time */
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
	long bytes = bytes_in_use();

	ASSERT_LT(0, bytes);
	for (int i = 0; i < n; i++) {
		int g = chan_group(i % 2 ? root : -1, chan_after(3600000 * MS), 0, 0);

		ASSERT_LE(0, g);
		if (i % 3 == 0)
			EXPECT_EQ(0, chan_cancel(g, 0, NULL));
		close(g);
	}
	EXPECT_EQ(0, group_of(root).children);
	EXPECT_EQ(bytes, bytes_in_use());
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
