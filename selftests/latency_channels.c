// SPDX-License-Identifier: MIT
/* How long calls on channels keep a processor to themselves, however many wait there. */
#include <sys/resource.h>

#include "latency.h"
#include "harness.h"

#define LONG	64

static char message[LONG] = "more than they have room for", room[LONG], page[4096];

FIXTURE(latency) { struct latency l; int c[2], n, *armed; };

FIXTURE_SETUP(latency)
{
	struct rlimit most = { 65536, 65536 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &most));
	self->n = icount() ? 20000 : 500;
	self->armed = calloc(self->n, sizeof(int));
	ASSERT_NE(NULL, self->armed);
	ASSERT_EQ(0, chan_make(self->c, LONG, 0, 0));
	ASSERT_TRUE(latency_start(&self->l));
}

FIXTURE_TEARDOWN(latency)
{
	latency_stop(&self->l);
	for (int i = 0; i < self->n; i++)
		if (self->armed[i] > 0)
			close(self->armed[i]);
	free(self->armed);
	close2(self->c);
}

/* @n armed receives from @rx, with room for 4 bytes; each receives from @other, too. */
static bool arm(int *armed, int n, int rx, int other)
{
	struct chan_case k[2] = { chan_recv_case(rx, room, 4), chan_recv_case(other, room, 4) };

	for (int i = 0; i < n; i++) {
		armed[i] = chan_arm(k, other >= 0 ? 2 : 1, 0);
		if (armed[i] < 0)
			return false;
	}
	return true;
}

TEST_F(latency, of_a_send_that_nobody_has_room_for)
{
	ASSERT_TRUE(arm(self->armed, self->n, self->c[0], -1));
	latency_begin(&self->l);
	EXPECT_EQ(-EAGAIN, chan_send(self->c[1], message, LONG, -1, CHAN_NOW));
	EXPECT_SHORT(&self->l, "a send past receives without room");
	EXPECT_EQ(self->n, info_of(self->c[0]).parked_receivers);
	EXPECT_SHORT(&self->l, "and chan_info");

	latency_begin(&self->l);
	EXPECT_TRUE(waits_in_vain(self->c[1], message, LONG));
	EXPECT_SHORT(&self->l, "a send that waits, and tells them");
}

TEST_F(latency, of_a_send_to_the_last_of_many)
{
	struct chan_case k = chan_recv_case(self->c[0], room, LONG);
	int last;

	ASSERT_TRUE(arm(self->armed, self->n, self->c[0], -1));
	last = chan_arm(&k, 1, 0);
	ASSERT_LE(0, last);
	latency_begin(&self->l);
	EXPECT_EQ(0, chan_send(self->c[1], message, LONG, -1, CHAN_NOW));
	EXPECT_SHORT(&self->l, "a send to the last of many receives");
	EXPECT_EQ(0, info_of(self->c[0]).parked_receivers);
	EXPECT_EQ(0, chan_fired(last, &k, 1));
	EXPECT_EQ(LONG, k.msg.res);
	close(last);
}

TEST_F(latency, of_a_message_that_comes_to_rest)
{
	int e[2];

	ASSERT_EQ(0, chan_make(e, LONG, 1, 0));
	ASSERT_TRUE(arm(self->armed, self->n, e[0], -1));
	latency_begin(&self->l);
	EXPECT_EQ(0, chan_send(e[1], message, LONG, -1, CHAN_NOW));
	EXPECT_SHORT(&self->l, "a send into the buffer, which tells them");
	EXPECT_EQ(0, info_of(e[0]).parked_receivers);
	EXPECT_EQ(1, info_of(e[0]).len);
	close2(e);
}

/*
 * All armed selects have fired through another channel, and nobody has come to take their
 * cases here back: this thread does not let the workers have the processor.
 */
static bool stale(int *armed, int n, int rx)
{
	int e[2];

	if (chan_make(e, LONG, 0, 0) || !arm(armed, n, rx, e[0]) || !set_fifo(10))
		return false;
	for (int i = 0; i < n; i++)
		if (chan_send(e[1], message, 4, -1, CHAN_NOW))
			return false;
	close2(e);
	return true;
}

static bool set_other(void)
{
	struct sched_param p = { .sched_priority = 0 };

	return !pthread_setschedparam(pthread_self(), SCHED_OTHER, &p);
}

static const struct { const char *name; int want; } calls[] = {
	{ "send", -EAGAIN }, { "poll", 0 }, { "chan_info", 0 }, { "select", -EAGAIN }, { "shut", 0 },
};

static int call_past(int i, int *c)
{
	struct pollfd p = { .fd = c[1], .events = POLLOUT };
	struct chan_case k = chan_send_case(c[1], message, 4);

	switch (i) {
	case 0:
		return chan_send(c[1], message, 4, -1, CHAN_NOW);
	case 1:
		return poll(&p, 1, 0);
	case 2:
		return info_of(c[0]).parked_receivers;
	case 3:
		return chan_select(&k, 1, 0, -1, CHAN_NOW);
	default:
		return chan_shut(c[1], 0);
	}
}

TEST_F(latency, of_calls_that_walk_past_what_is_stale)
{
	for (int i = 0; i < 5; i++) {
		int e[2];

		ASSERT_EQ(0, chan_make(e, LONG, 0, 0));
		ASSERT_TRUE(stale(self->armed, self->n, e[0]));
		latency_begin(&self->l);
		EXPECT_EQ(calls[i].want, call_past(i, e)) TH_LOG("%s", calls[i].name);
		EXPECT_SHORT(&self->l, calls[i].name);
		ASSERT_TRUE(set_other());
		for (int k = 0; k < self->n; k++)
			close(self->armed[k]);
		memset(self->armed, 0, self->n * sizeof(int));
		close2(e);
	}
}

TEST_F(latency, of_ends_that_close)
{
	int e[2];

	ASSERT_EQ(0, chan_make(e, LONG, 0, 0));
	ASSERT_TRUE(arm(self->armed, self->n, e[0], -1));
	latency_begin(&self->l);
	close(e[1]);
	EXPECT_SHORT(&self->l, "the last close of a sending end");
	close(e[0]);

	for (int i = 0; i < 2; i++) {	/* in the ring, and in pages of their own */
		int n = i ? self->n / 4 : self->n;
		size_t len = i ? sizeof(page) : LONG;

		ASSERT_EQ(0, chan_make(e, len, n, 0));
		for (int k = 0; k < n; k++)
			ASSERT_EQ(0, chan_send(e[1], i ? page : message, len, -1, CHAN_NOW));
		latency_begin(&self->l);
		close(e[0]);
		EXPECT_SHORT(&self->l, "the last close of a receiving end, with messages");
		EXPECT_EQ(n, info_of(e[1]).dropped);
		close(e[1]);
	}
}

/* One channel 1024 times in each of many selects: a node each. */
TEST_F(latency, of_one_channel_in_many_cases)
{
	struct chan_case *k = calloc(1024, sizeof(*k));
	int n = self->n / 100;

	for (int i = 0; i < 1024; i++)
		k[i] = chan_recv_case(self->c[0], room, 4);
	latency_begin(&self->l);
	for (int i = 0; i < n; i++) {
		self->armed[i] = chan_arm(k, 1024, 0);
		ASSERT_LE(0, self->armed[i]);
	}
	EXPECT_SHORT(&self->l, "arming");
	EXPECT_EQ(n * 1024, info_of(self->c[0]).parked_receivers);
	latency_begin(&self->l);
	EXPECT_EQ(-EAGAIN, chan_send(self->c[1], message, LONG, -1, CHAN_NOW));
	EXPECT_SHORT(&self->l, "a send past them");
	EXPECT_TRUE(waits_in_vain(self->c[1], message, LONG));
	EXPECT_SHORT(&self->l, "a send that waits, and tells them");
	for (int i = 0; i < n; i++) {
		int r = chan_fired(self->armed[i], k, 1024);

		ASSERT_LE(0, r);
		ASSERT_EQ(-EMSGSIZE, k[r].msg.res);
	}
	EXPECT_EQ(0, info_of(self->c[0]).parked_receivers);
	free(k);
}

TEST_HARNESS_MAIN
