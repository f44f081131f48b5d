// SPDX-License-Identifier: MIT
/* The races of armed selects that are armed again, which kmod/arm.c names, each made to happen. */
#include <sys/syscall.h>

#include "race_util.h"

FIXTURE(arm) { int a[2], b[2], c[2], armed; };

static int arm3(int a, int b, int c, unsigned flags)
{
	struct chan_case k[3] = {
		chan_recv_case(a, NULL, 4), chan_recv_case(b, NULL, 4), chan_recv_case(c, NULL, 4),
	};

	return chan_arm(k, 3, flags);
}

/* Receives from three channels. */
FIXTURE_SETUP(arm)
{
	ASSERT_TRUE(pause_open());
	ASSERT_EQ(0, chan_make(self->a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(self->b, 4, 0, 0));
	ASSERT_EQ(0, chan_make(self->c, 4, 0, 0));
	self->armed = arm3(self->a[0], self->b[0], self->c[0], CHAN_REARM);
	ASSERT_LE(0, self->armed);
}

FIXTURE_TEARDOWN(arm)
{
	EXPECT_TRUE(pause_close());
	close(self->armed);
	close2(self->a);
	close2(self->b);
	close2(self->c);
}

static long now(int fd, int v)
{
	return chan_send(fd, &v, 4, -1, CHAN_NOW);
}

static long r_now(struct racer *r)
{
	return now(r->fd, r->other);
}

static int fetched(int armed, int *v)
{
	struct chan_case k[3];

	*v = -1;
	for (int i = 0; i < 3; i++)
		k[i] = chan_recv_case(0, v, 4);
	return chan_fired(armed, k, 3);
}

static long r_fired(struct racer *r)
{
	int v;

	return fetched(r->fd, &v);
}

static long r_rearm(struct racer *r)	/* case 0 is taken anew, from @other */
{
	struct chan_case k[3] = { chan_recv_case(r->other, NULL, 4) };

	return chan_rearm(r->fd, k, 3);
}

static long r_poll(struct racer *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE) == 1 ? p.revents : -ETIMEDOUT;
}

static bool fire(int tx, int armed, int want)	/* to fetch it at once */
{
	int v;

	return now(tx, 9) == 0 && fetched(armed, &v) == want && v == 9;
}

/* Another is arming it: nothing has fired for anybody else, and nobody is matched yet. */
TEST_F(arm, two_arm_it_at_once)
{
	struct racer x = RACER(r_rearm, self->armed, .other = self->a[0],
			       .point = "armed_rearming"), y = x;
	int v;

	ASSERT_TRUE(fire(self->a[1], self->armed, 0));
	ASSERT_TRUE(race_start(&x));
	EXPECT_EQ(-EAGAIN, r_rearm(&y));
	EXPECT_EQ(-EAGAIN, fetched(self->armed, &v));
	EXPECT_EQ(0, events(self->armed));
	EXPECT_EQ(-EAGAIN, now(self->b[1], 1));
	EXPECT_EQ(0, info_of(self->c[0]).parked_receivers);
	EXPECT_EQ(0, race_finish(&x));
	EXPECT_EQ(1, info_of(self->a[0]).parked_receivers);
	EXPECT_EQ(1, info_of(self->b[0]).parked_receivers);
	EXPECT_EQ(1, info_of(self->c[0]).parked_receivers);
	EXPECT_EQ(-EAGAIN, r_rearm(&y));
}

/* A peer commits one of the others before the fired case is parked: that waits for next time. */
TEST_F(arm, another_case_fires_before_the_new_one_is_parked)
{
	struct racer x = RACER(r_rearm, self->armed, .other = self->a[0], .point = "armed_pending");
	struct chan_case k[3] = { [1] = chan_recv_case(self->b[0], NULL, 4) };
	int v;

	ASSERT_TRUE(fire(self->a[1], self->armed, 0));
	ASSERT_TRUE(race_start(&x));
	EXPECT_EQ(0, now(self->b[1], 7));
	EXPECT_EQ(-EAGAIN, now(self->c[1], 8));
	EXPECT_EQ(-EAGAIN, now(self->a[1], 8));
	EXPECT_EQ(-EAGAIN, fetched(self->armed, &v));	/* it is still being armed */
	EXPECT_EQ(0, race_finish(&x));
	EXPECT_EQ(POLLIN, events(self->armed));
	EXPECT_EQ(1, fetched(self->armed, &v));
	EXPECT_EQ(7, v);
	EXPECT_EQ(-EAGAIN, now(self->a[1], 8));
	EXPECT_EQ(0, chan_rearm(self->armed, k, 3));
	EXPECT_EQ(1, info_of(self->a[0]).parked_receivers);
	EXPECT_EQ(1, info_of(self->b[0]).parked_receivers);
	EXPECT_EQ(1, info_of(self->c[0]).parked_receivers);
	ASSERT_TRUE(fire(self->a[1], self->armed, 0));
}

/* ... and a poller that the peer wakes then finds nothing yet, and is woken again. */
TEST_F(arm, a_poller_is_woken_before_it_is_armed)
{
	struct racer x = RACER(r_rearm, self->armed, .other = self->a[0], .point = "armed_pending");
	struct racer p = RACER(r_poll, self->armed);

	ASSERT_TRUE(fire(self->a[1], self->armed, 0));
	ASSERT_TRUE(race_start(&x));
	ASSERT_TRUE(race_begin(&p, false));
	ASSERT_TRUE(asleep_in(&p.p.tid, SYS_poll));
	EXPECT_EQ(0, now(self->b[1], 7));
	ASSERT_TRUE(asleep_in(&p.p.tid, SYS_poll));
	EXPECT_EQ(0, race_finish(&x));
	EXPECT_EQ(POLLIN, race_end(&p));
}

/*
 * The peer that completed it has not told anybody yet when it is armed again and completed by
 * another, which is in the way of none: pollers are woken.
 */
TEST_F(arm, it_fires_again_before_its_first_peer_has_told)
{
	for (int polled = 0; polled < 2; polled++) {
		struct racer s = RACER(r_now, self->a[1], .other = 5, .point = "armed_done");
		struct racer x = RACER(r_rearm, self->armed, .other = self->a[0]);
		struct racer p = RACER(r_poll, self->armed);
		struct chan_case k[3] = { [1] = chan_recv_case(self->b[0], NULL, 4) };
		int v;

		ASSERT_TRUE(race_start(&s));
		ASSERT_EQ(0, fetched(self->armed, &v));
		ASSERT_EQ(5, v);
		ASSERT_EQ(0, r_rearm(&x));
		if (polled) {
			ASSERT_TRUE(race_begin(&p, false));
			ASSERT_TRUE(asleep_in(&p.p.tid, SYS_poll));
		}
		EXPECT_EQ(0, now(self->b[1], 6));
		if (polled)
			EXPECT_EQ(POLLIN, race_end(&p));
		EXPECT_EQ(1, fetched(self->armed, &v));
		EXPECT_EQ(6, v);
		EXPECT_EQ(0, race_finish(&s));
		EXPECT_EQ(0, chan_rearm(self->armed, k, 3));
	}
}

static long r_shut(struct racer *r)
{
	return chan_shut(r->fd, 0);
}

/*
 * A shut ends two selects and has told the second of them when the first is armed again. Another
 * shut ends that once more, and one that nobody has told yet: each is told by one of the two.
 */
TEST_F(arm, it_fires_again_while_it_waits_to_be_told)
{
	struct chan_case k[1];
	int d[2], third, second, v;
	struct racer s = RACER(r_shut, self->a[1], .point = "armed_done");
	struct racer x = {};

	ASSERT_EQ(0, chan_make(d, 4, 0, 0));
	close(self->armed);
	k[0] = chan_recv_case(self->b[0], NULL, 4);
	third = chan_arm(k, 1, CHAN_REARM);
	self->armed = arm3(self->a[0], self->b[0], self->c[0], CHAN_REARM);
	k[0] = chan_recv_case(self->a[0], NULL, 4);
	second = chan_arm(k, 1, CHAN_REARM);
	ASSERT_LE(0, third);
	ASSERT_LE(0, second);
	ASSERT_TRUE(race_start(&s));		/* it tells the second first */
	ASSERT_EQ(0, fetched(self->armed, &v));
	x.fd = self->armed;
	x.other = d[0];
	ASSERT_EQ(0, r_rearm(&x));
	EXPECT_EQ(0, chan_shut(self->b[1], 0));
	EXPECT_EQ(POLLIN, events(third));
	EXPECT_EQ(1, fetched(self->armed, &v));
	EXPECT_EQ(0, race_finish(&s));
	EXPECT_EQ(POLLIN, events(second));
	EXPECT_EQ(POLLIN, events(third));
	close2((int[]){ second, third });
	close2(d);
}

/* ... or closed. */
TEST_F(arm, it_is_closed_armed_again_before_its_first_peer_has_told)
{
	struct racer s = RACER(r_now, self->a[1], .other = 5, .point = "armed_done");
	struct racer x = RACER(r_rearm, self->armed, .other = self->a[0]);
	int v;

	ASSERT_TRUE(race_start(&s));
	ASSERT_EQ(0, fetched(self->armed, &v));
	ASSERT_EQ(0, r_rearm(&x));
	EXPECT_EQ(0, now(self->b[1], 6));
	close(self->armed);
	EXPECT_EQ(1, info_of(self->b[0]).len);		/* it went back */
	EXPECT_EQ(0, info_of(self->c[0]).parked_receivers);
	EXPECT_EQ(0, race_finish(&s));
	self->armed = -1;
}

/* A peer that has found it stale meets it, if it is armed before it is unlinked. */
TEST_F(arm, it_is_armed_while_a_peer_passes)
{
	for (int late = 0; late < 2; late++) {
		struct racer s = RACER(r_now, self->b[1], .other = 4, .point = "stale");
		struct racer x = RACER(r_rearm, self->armed, .other = self->a[0]);
		struct chan_case k[3] = { [1] = chan_recv_case(self->b[0], NULL, 4) };
		int v;

		ASSERT_TRUE(fire(self->a[1], self->armed, 0));
		ASSERT_TRUE(race_start(&s));
		if (!late) {
			ASSERT_EQ(0, r_rearm(&x));
			EXPECT_EQ(0, race_finish(&s));
			EXPECT_EQ(1, fetched(self->armed, &v));
			EXPECT_EQ(4, v);
			ASSERT_EQ(0, chan_rearm(self->armed, k, 3));
		} else {
			EXPECT_EQ(-EAGAIN, race_finish(&s));
			ASSERT_EQ(0, r_rearm(&x));
		}
		EXPECT_EQ(1, info_of(self->b[0]).parked_receivers);
	}
	ASSERT_TRUE(fire(self->b[1], self->armed, 1));
}

/* A channel is closed, before it is armed or before all is parked: that fires it. */
TEST_F(arm, a_channel_is_closed_while_it_is_armed)
{
	for (int late = 0; late < 2; late++) {
		struct racer x = RACER(r_rearm, 0, .other = self->a[0],
				       .point = late ? "armed_pending" : "armed_rearming");
		int e[2], v;
		struct chan_case k[3] = { chan_recv_case(0, &v, 4), chan_recv_case(0, &v, 4),
					  chan_recv_case(0, &v, 4) };

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		close(self->armed);
		self->armed = x.fd = arm3(self->a[0], e[0], self->c[0], CHAN_REARM);
		ASSERT_TRUE(fire(self->a[1], self->armed, 0));
		ASSERT_TRUE(race_start(&x));
		close(e[1]);
		EXPECT_EQ(0, race_finish(&x));
		EXPECT_EQ(POLLIN, events(self->armed));
		ASSERT_EQ(1, chan_fired(self->armed, k, 3));
		EXPECT_EQ(-ECONNRESET, k[1].msg.res);
		close(e[0]);
	}
}

/* The send that the new case has found ends with its group: the case is parked. */
TEST_F(arm, a_group_ends_while_its_send_is_met)
{
	struct racer x = RACER(r_rearm, self->armed, .other = self->a[0], .point = "pair");
	struct racer s = RACER(r_send, self->a[1], .buf = { 3 });
	int g = root();

	s.under = g;
	ASSERT_TRUE(fire(self->a[1], self->armed, 0));
	ASSERT_TRUE(race_begin(&s, false));
	ASSERT_TRUE(parked(self->a[1], 1, 0));
	ASSERT_TRUE(stay_on(1, s.p.tid));	/* woken, it waits for the lock behind the other */
	ASSERT_TRUE(race_start(&x));
	EXPECT_EQ(0, chan_cancel(g, 0, NULL));
	EXPECT_EQ(0, race_finish(&x));
	EXPECT_EQ(-ECANCELED, race_end(&s));
	EXPECT_TRUE(parked(self->a[0], 0, 1));
	EXPECT_EQ(0, events(self->armed));
	ASSERT_TRUE(fire(self->a[1], self->armed, 0));
	close(g);
}

/* One has seen that it has fired, and comes to fetch when another has done so and armed it. */
TEST_F(arm, it_is_armed_before_one_who_saw_it_fire_fetches)
{
	for (int again = 0; again < 2; again++) {
		struct racer f = RACER(r_fired, self->armed, .point = "armed_fired");
		struct racer x = RACER(r_rearm, self->armed, .other = self->a[0]);

		ASSERT_EQ(0, now(self->a[1], 1));
		ASSERT_TRUE(race_start(&f));
		int v;
		ASSERT_EQ(0, fetched(self->armed, &v));
		ASSERT_EQ(0, r_rearm(&x));
		if (again)
			EXPECT_EQ(0, now(self->a[1], 2));
		EXPECT_EQ(again ? 0 : -EAGAIN, race_finish(&f));
		EXPECT_EQ(0, events(self->armed));
		if (!again)
			EXPECT_EQ(1, info_of(self->a[0]).parked_receivers);
	}
}

TEST_HARNESS_MAIN
