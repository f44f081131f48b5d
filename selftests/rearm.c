// SPDX-License-Identifier: MIT
/* Armed selects that are armed again. */
#include <sys/eventfd.h>

#include "harness.h"
#include "util.h"

static int events_of(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

static int now(int tx, int v)
{
	return chan_send(tx, &v, sizeof(v), -1, CHAN_NOW);
}

static int take(int rx)	/* a number, or an error */
{
	int v, r = chan_recv(rx, &v, sizeof(v), -1, CHAN_NOW);

	return r == sizeof(v) ? v : r;
}

enum { N = 8 };

FIXTURE(rearm) { int e[N][2], got[N], armed; struct chan_case c[N]; };

/* Receives from N rendezvous channels. */
FIXTURE_SETUP(rearm)
{
	for (int i = 0; i < N; i++) {
		ASSERT_EQ(0, chan_make(self->e[i], sizeof(int), 0, 0));
		self->got[i] = -1;
		self->c[i] = chan_recv_case(self->e[i][0], &self->got[i], sizeof(int));
	}
	self->armed = chan_arm(self->c, N, CHAN_REARM);
	ASSERT_LE(0, self->armed);
}

FIXTURE_TEARDOWN(rearm)
{
	close(self->armed);
	for (int i = 0; i < N; i++) {
		EXPECT_EQ(0, info_of(self->e[i][0]).parked_receivers);
		EXPECT_EQ(0, info_of(self->e[i][1]).parked_senders);
		close2(self->e[i]);
	}
}

#define FIRE(i, v)	do {						\
	ASSERT_EQ(0, now(self->e[i][1], v));				\
	ASSERT_EQ(POLLIN, events_of(self->armed));			\
	ASSERT_EQ(i, chan_fired(self->armed, self->c, N));		\
	EXPECT_EQ(v, self->got[i]);					\
	EXPECT_EQ(sizeof(int), self->c[i].msg.res);			\
} while (0)

#define REARM()		ASSERT_EQ(0, chan_rearm(self->armed, self->c, N))

TEST_F(rearm, it_fires_again_and_again)
{
	for (int round = 0; round < 50; round++) {
		EXPECT_EQ(0, events_of(self->armed));
		EXPECT_EQ(-EAGAIN, chan_fired(self->armed, self->c, N));
		for (int i = 0; i < N; i++)
			EXPECT_EQ(1, info_of(self->e[i][0]).parked_receivers);
		FIRE(round * 3 % N, round);
		EXPECT_EQ(0, events_of(self->armed));
		EXPECT_EQ(-EALREADY, chan_fired(self->armed, self->c, N));
		REARM();
	}
	EXPECT_TRUE(chan_features() & CHAN_HAS_REARM);
}

/* From the firing on nobody meets the other cases, polls see none, and none is counted. */
TEST_F(rearm, the_other_cases_count_as_taken_back)
{
	for (int fetched = 0; fetched < 2; fetched++) {
		ASSERT_EQ(0, now(self->e[2][1], 5));
		if (fetched)
			ASSERT_EQ(2, chan_fired(self->armed, self->c, N));
		for (int i = 0; i < N; i++) {
			EXPECT_EQ(0, info_of(self->e[i][0]).parked_receivers);
			EXPECT_EQ(0, events_of(self->e[i][1]));
			EXPECT_EQ(0, info_of(self->e[i][0]).parked_receivers);
			EXPECT_EQ(-EAGAIN, now(self->e[i][1], 6));
		}
		if (!fetched)
			ASSERT_EQ(2, chan_fired(self->armed, self->c, N));
		REARM();
		for (int i = 0; i < N; i++) {
			EXPECT_EQ(1, info_of(self->e[i][0]).parked_receivers);
			EXPECT_EQ(POLLOUT, events_of(self->e[i][1]));
		}
	}
}

TEST_F(rearm, what_can_not_be_armed_again)
{
	struct chan_case bad[N];
	int once, p[2];

	EXPECT_EQ(-EAGAIN, chan_rearm(self->armed, self->c, N));	/* has not fired */
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, now(self->e[3][1], 7));
	EXPECT_EQ(-EBUSY, chan_rearm(self->armed, self->c, N));
	EXPECT_EQ(-EINVAL, chan_rearm(self->armed, self->c, N - 1));
	EXPECT_EQ(-EINVAL, chan_rearm(self->armed, self->c, N + 1));
	EXPECT_EQ(POLLIN, events_of(self->armed));
	ASSERT_EQ(3, chan_fired(self->armed, self->c, N));
	EXPECT_EQ(-EINVAL, chan_rearm(self->armed, self->c, N - 1));
	EXPECT_EQ(-EFAULT, chan_rearm(self->armed, NULL, N));
	EXPECT_EQ(-EFAULT, chan_rearm(self->armed, (void *)8, N));
	ASSERT_EQ(0, pipe(p));
	memcpy(bad, self->c, sizeof(bad));
	bad[3].op = CHAN_POLL;
	EXPECT_EQ(-EINVAL, chan_rearm(self->armed, bad, N));
	bad[3].op = CHAN_RECV;
	bad[3].events = POLLIN;
	EXPECT_EQ(-EINVAL, chan_rearm(self->armed, bad, N));
	bad[3].events = 0;
	bad[3].fd = self->e[3][1];
	EXPECT_EQ(-EBADF, chan_rearm(self->armed, bad, N));
	bad[3].fd = 9999;
	EXPECT_EQ(-EBADF, chan_rearm(self->armed, bad, N));
	bad[3].fd = p[0];
	EXPECT_EQ(-ENOTTY, chan_rearm(self->armed, bad, N));
	bad[3] = chan_send_case(self->e[3][1], "too long", 8);
	EXPECT_EQ(-EMSGSIZE, chan_rearm(self->armed, bad, N));
	bad[3] = chan_send_case(self->e[3][1], (void *)8, 4);
	EXPECT_EQ(-EFAULT, chan_rearm(self->armed, bad, N));
	/* nothing has changed */
	EXPECT_EQ(-EALREADY, chan_fired(self->armed, self->c, N));
	EXPECT_EQ(0, events_of(self->armed));
	EXPECT_EQ(0, info_of(self->e[3][0]).parked_receivers);
	REARM();
	EXPECT_EQ(-EAGAIN, chan_rearm(self->armed, self->c, N));
	FIRE(3, 8);
	once = chan_arm(self->c, N, 0);
	ASSERT_EQ(0, now(self->e[0][1], 1));
	ASSERT_EQ(0, chan_fired(once, self->c, N));
	EXPECT_EQ(-EINVAL, chan_rearm(once, self->c, N));	/* made without the flag */
	close(once);
	EXPECT_EQ(-EBADF, chan_rearm(self->e[0][0], self->c, N));
	EXPECT_EQ(-ENOTTY, chan_rearm(p[0], self->c, N));
	close2(p);
}

/* Only the case that has fired is read, whatever the others are by now. */
TEST_F(rearm, the_others_are_as_they_were)
{
	struct chan_case other[N];

	FIRE(4, 1);
	memset(other, 0x55, sizeof(other));
	other[4] = self->c[4];
	ASSERT_EQ(0, chan_rearm(self->armed, other, N));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(1, info_of(self->e[i][0]).parked_receivers);
	FIRE(5, 2);
	REARM();
	FIRE(4, 3);
}

/* The case that has fired becomes another: its end, its buffer, its direction; or none. */
TEST_F(rearm, the_fired_case_is_taken_anew)
{
	int f[2], v = 77, w = 0;

	ASSERT_EQ(0, chan_make(f, 8, 0, 0));
	FIRE(1, 1);
	self->c[1] = chan_recv_case(f[0], &w, sizeof(w));
	REARM();
	EXPECT_EQ(0, info_of(self->e[1][0]).parked_receivers);
	EXPECT_EQ(-EAGAIN, now(self->e[1][1], 2));
	EXPECT_EQ(1, info_of(f[0]).parked_receivers);
	ASSERT_EQ(0, now(f[1], 9));
	ASSERT_EQ(1, chan_fired(self->armed, self->c, N));
	EXPECT_EQ(9, w);

	self->c[1] = chan_send_case(f[1], &v, sizeof(v));
	REARM();
	v = 78;				/* it was copied */
	EXPECT_EQ(1, info_of(f[1]).parked_senders);
	EXPECT_EQ(0, info_of(f[1]).parked_receivers);
	EXPECT_EQ(77, take(f[0]));
	ASSERT_EQ(1, chan_fired(self->armed, self->c, N));
	EXPECT_EQ(0, self->c[1].msg.res);

	self->c[1] = chan_recv_case(f[0], &w, 2);	/* less room */
	REARM();
	EXPECT_EQ(-EAGAIN, now(f[1], 9));
	EXPECT_EQ(0, chan_send(f[1], "ab", 2, -1, CHAN_NOW));
	ASSERT_EQ(1, chan_fired(self->armed, self->c, N));
	EXPECT_EQ(2, self->c[1].msg.res);

	self->c[1].fd = -1;
	REARM();
	EXPECT_EQ(0, info_of(f[0]).parked_receivers);
	FIRE(0, 3);
	self->c[0] = self->c[1];
	REARM();
	FIRE(7, 4);
	REARM();
	EXPECT_EQ(0, info_of(self->e[0][0]).parked_receivers);
	close2(f);
}

/* What came or was asked for meanwhile is met when it is armed again. */
TEST_F(rearm, what_came_meanwhile_fires_it_at_once)
{
	int v = 5, full = 6, e[2];
	struct chan_case k[2];

	/* a send that is parked on another channel */
	FIRE(0, 1);
	struct chan_case s = chan_send_case(self->e[6][1], &v, sizeof(v));
	int a = chan_arm(&s, 1, 0);
	EXPECT_EQ(0, events_of(a));
	REARM();
	EXPECT_EQ(POLLIN, events_of(self->armed));
	EXPECT_EQ(POLLIN, events_of(a));
	ASSERT_EQ(6, chan_fired(self->armed, self->c, N));
	EXPECT_EQ(5, self->got[6]);
	close(a);
	REARM();
	for (int i = 0; i < N; i++)
		EXPECT_EQ(1, info_of(self->e[i][0]).parked_receivers);

	/* a message that is buffered, and room that is made */
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, now(e[1], full));
	k[0] = chan_send_case(e[1], &v, sizeof(v));
	k[1] = self->c[0];
	FIRE(0, 2);
	a = chan_arm(k, 2, CHAN_REARM);
	ASSERT_EQ(0, now(self->e[0][1], 3));	/* to a: the first that waits */
	ASSERT_EQ(1, chan_fired(a, k, 2));
	EXPECT_EQ(0, info_of(e[1]).parked_senders);
	EXPECT_EQ(6, take(e[0]));		/* nobody takes the room */
	EXPECT_EQ(0, info_of(e[0]).len);
	ASSERT_EQ(0, chan_rearm(a, k, 2));
	EXPECT_EQ(1, info_of(e[0]).len);	/* case 0 fired */
	ASSERT_EQ(0, chan_fired(a, k, 2));
	EXPECT_EQ(5, take(e[0]));
	k[0] = chan_recv_case(e[0], &v, sizeof(v));
	ASSERT_EQ(0, chan_rearm(a, k, 2));
	ASSERT_EQ(0, now(self->e[0][1], 4));
	ASSERT_EQ(1, chan_fired(a, k, 2));
	ASSERT_EQ(0, now(e[1], 10));		/* is buffered */
	EXPECT_EQ(1, info_of(e[0]).len);
	ASSERT_EQ(0, chan_rearm(a, k, 2));
	ASSERT_EQ(0, chan_fired(a, k, 2));
	EXPECT_EQ(10, v);
	close(a);
	close2(e);
}

/* A case that was ready when it was armed first: then no other was queued before. */
TEST(it_was_ready_when_it_was_armed)
{
	for (int flags = 0; flags <= CHAN_PRIO; flags += CHAN_PRIO) {
		int a[2], b[2], v = -1, w = -1, armed;
		struct chan_case k[2];

		ASSERT_EQ(0, chan_make(a, 4, 2, 0));
		ASSERT_EQ(0, chan_make(b, 4, 2, 0));
		k[0] = chan_recv_case(a[0], &v, 4);
		k[1] = chan_recv_case(b[0], &w, 4);
		for (int n = 1; n <= 2; n++) {
			/* each time one is there, and one more that is found when it is armed again */
			ASSERT_EQ(0, now(a[1], 1));
			ASSERT_EQ(0, now(a[1], 2));
			armed = chan_arm(k, n, CHAN_REARM | flags);
			ASSERT_LE(0, armed);
			ASSERT_EQ(0, chan_fired(armed, k, n));
			EXPECT_EQ(1, v);
			ASSERT_EQ(0, chan_rearm(armed, k, n));
			EXPECT_EQ(POLLIN, events_of(armed));
			EXPECT_EQ(0, info_of(b[0]).parked_receivers);
			ASSERT_EQ(0, now(b[1], 3));
			EXPECT_EQ(1, info_of(b[0]).len);	/* nobody is matched with it */
			ASSERT_EQ(0, chan_fired(armed, k, n));
			EXPECT_EQ(2, v);
			EXPECT_EQ(-1, w);
			close(armed);
			EXPECT_EQ(3, take(b[0]));
		}
		/* found by the case that was not ready then, while the other is parked */
		ASSERT_EQ(0, now(a[1], 4));
		armed = chan_arm(k, 2, CHAN_REARM | flags);
		ASSERT_EQ(0, chan_fired(armed, k, 2));
		ASSERT_EQ(0, now(b[1], 5));
		ASSERT_EQ(0, chan_rearm(armed, k, 2));
		EXPECT_EQ(POLLIN, events_of(armed));
		ASSERT_EQ(0, now(a[1], 6));
		EXPECT_EQ(1, info_of(a[0]).len);
		ASSERT_EQ(1, chan_fired(armed, k, 2));
		EXPECT_EQ(5, w);
		EXPECT_EQ(6, take(a[0]));
		close(armed);

		/* a message that is found and not fetched goes back */
		ASSERT_EQ(0, now(a[1], 7));
		ASSERT_EQ(0, now(a[1], 8));
		armed = chan_arm(k, 1, CHAN_REARM | flags);
		ASSERT_EQ(0, chan_fired(armed, k, 1));
		ASSERT_EQ(0, chan_rearm(armed, k, 1));
		EXPECT_EQ(0, info_of(a[0]).len);
		close(armed);
		EXPECT_EQ(8, take(a[0]));

		/* the same of sends */
		k[0] = chan_send_case(a[1], &v, 4);
		v = 9;
		armed = chan_arm(k, 1, CHAN_REARM | flags);
		ASSERT_EQ(0, chan_fired(armed, k, 1));
		v = 10;
		ASSERT_EQ(0, chan_rearm(armed, k, 1));
		EXPECT_EQ(POLLIN, events_of(armed));
		ASSERT_EQ(0, chan_fired(armed, k, 1));
		EXPECT_EQ(9, take(a[0]));
		EXPECT_EQ(10, take(a[0]));
		EXPECT_EQ(-EAGAIN, take(a[0]));
		close(armed);
		close2(a);
		close2(b);
	}
}

/*
 * A case keeps its place in its queue, unless a call that looked for somebody has passed it:
 * then it is last.
 */
TEST_F(rearm, a_case_keeps_its_place_unless_it_was_passed)
{
	for (int passed = 0; passed < 2; passed++) {
		int w = 0;
		struct chan_case k = chan_recv_case(self->e[3][0], &w, sizeof(w));

		FIRE(0, 1);
		int a = chan_arm(&k, 1, 0);	/* parks: whether a send waits, not who receives */
		ASSERT_LE(0, a);
		if (passed)
			ASSERT_EQ(POLLOUT, events_of(self->e[3][1]));
		REARM();
		ASSERT_EQ(0, now(self->e[3][1], 4));
		EXPECT_EQ(passed ? 0 : POLLIN, events_of(self->armed));
		EXPECT_EQ(passed ? POLLIN : 0, events_of(a));
		if (!passed) {
			ASSERT_EQ(3, chan_fired(self->armed, self->c, N));
			EXPECT_EQ(4, self->got[3]);
			REARM();
		}
		close(a);
	}
}

/* Who has seen that nobody waits is told when it is armed again, also by an edge. */
TEST_F(rearm, pollers_of_the_other_ends_are_woken)
{
	struct epoll_event ev = { .events = EPOLLOUT | EPOLLET };
	int ep = epoll_create1(0);

	ASSERT_LE(0, ep);
	FIRE(0, 1);
	for (int i = 0; i < N; i++) {
		ev.data.u32 = i;
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->e[i][1], &ev));
	}
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	REARM();
	for (int i = 0; i < N; i++)
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	close(ep);
}

/* Each time that it fires is an edge. */
TEST_F(rearm, each_firing_is_an_edge)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(0), v = 3;

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->armed, &ev));
	for (int round = 0; round < 20; round++) {
		struct chan_case s = chan_send_case(self->e[5][1], &v, sizeof(v));
		int a;

		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		ASSERT_EQ(0, now(self->e[round % N][1], round));
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, PATIENCE));
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		ASSERT_EQ(round % N, chan_fired(self->armed, self->c, N));
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		a = chan_arm(&s, 1, 0);
		REARM();		/* fires at once */
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, PATIENCE));
		ASSERT_EQ(5, chan_fired(self->armed, self->c, N));
		close(a);
		REARM();
	}
	close(ep);
}

/* Ends that were shut or closed meanwhile fire it, one at a time. */
TEST_F(rearm, ends_that_died_meanwhile_fire_it)
{
	int seen = 0;

	FIRE(0, 1);
	chan_shut(self->e[1][1], 0);
	chan_shut(self->e[2][1], 99);
	close(self->e[3][1]);
	close(self->e[4][0]);
	for (int k = 0; k < 4; k++) {
		REARM();
		EXPECT_EQ(POLLIN, events_of(self->armed));
		int i = chan_fired(self->armed, self->c, N);
		ASSERT_TRUE(i >= 1 && i <= 4 && !(seen >> i & 1)) TH_LOG("case %d", i);
		EXPECT_EQ(i == 2 || i == 3 ? -ECONNRESET : -EPIPE, self->c[i].msg.res);
		seen |= 1 << i;
		self->c[i].fd = -1;
	}
	REARM();
	EXPECT_EQ(0, events_of(self->armed));
	chan_shut(self->e[5][1], 0);		/* while it waits again */
	ASSERT_EQ(5, chan_fired(self->armed, self->c, N));
	EXPECT_EQ(-EPIPE, self->c[5].msg.res);
	/* in place, so that the fixture finds them */
	close(self->e[3][0]);
	close(self->e[4][1]);
	for (int i = 3; i < 5; i++)
		ASSERT_EQ(0, chan_make(self->e[i], 4, 0, 0));
}

/* With CHAN_PRIO the first of those that are ready, and otherwise any. */
TEST_F(rearm, what_is_ready_is_chosen_as_ever)
{
	int first = 0, rounds = 256;

	for (int prio = 0; prio < 2; prio++) {
		int e[N][2], v;
		struct chan_case k[N];

		for (int i = 0; i < N; i++) {
			ASSERT_EQ(0, chan_make(e[i], 4, 1, 0));
			k[i] = chan_recv_case(e[i][0], &v, 4);
		}
		int a = chan_arm(k, N, CHAN_REARM | (prio ? CHAN_PRIO : 0));
		ASSERT_EQ(0, now(e[7][1], 1));
		ASSERT_EQ(7, chan_fired(a, k, N));
		for (int r = 0; r < rounds; r++) {
			for (int i = 0; i < N; i++)
				if (!info_of(e[i][0]).len)
					ASSERT_EQ(0, now(e[i][1], i));
			ASSERT_EQ(0, chan_rearm(a, k, N));
			int i = chan_fired(a, k, N);
			ASSERT_LE(0, i);
			EXPECT_EQ(i, v);
			if (!prio)
				first += !i;
			EXPECT_TRUE(!prio || !i);
		}
		close(a);
		for (int i = 0; i < N; i++)
			close2(e[i]);
	}
	EXPECT_LT(0, first);
	EXPECT_GT(rounds, first);
}

/* Several cases for one channel: of both directions, of different room. */
TEST(cases_for_one_channel)
{
	int e[2], f[2], small, v = 4;
	char big[8];

	ASSERT_EQ(0, chan_make(e, 8, 0, 0));
	ASSERT_EQ(0, chan_make(f, 8, 0, 0));
	struct chan_case c[] = {
		chan_recv_case(e[0], &small, 4), chan_recv_case(e[0], big, 8),
		chan_send_case(e[1], &v, 4), chan_recv_case(f[0], big, 8),
	};
	int a = chan_arm(c, 4, CHAN_REARM);
	for (int round = 0; round < 5; round++) {
		EXPECT_EQ(2, info_of(e[0]).parked_receivers);
		EXPECT_EQ(1, info_of(e[0]).parked_senders);
		EXPECT_EQ(1, info_of(f[0]).parked_receivers);
		ASSERT_EQ(0, chan_send(e[1], "12345678", 8, -1, CHAN_NOW));
		EXPECT_EQ(0, info_of(e[0]).parked_receivers);
		ASSERT_EQ(1, chan_fired(a, c, 4));
		EXPECT_EQ(8, c[1].msg.res);
		ASSERT_EQ(0, chan_rearm(a, c, 4));
		EXPECT_EQ(4, take(e[0]));
		ASSERT_EQ(2, chan_fired(a, c, 4));
		ASSERT_EQ(0, chan_rearm(a, c, 4));
		ASSERT_EQ(0, now(f[1], 3));
		ASSERT_EQ(3, chan_fired(a, c, 4));
		ASSERT_EQ(0, chan_rearm(a, c, 4));
	}
	/* another case comes to name a channel that one names already, and leaves it */
	close(a);
	a = chan_arm(c + 2, 2, CHAN_REARM);
	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(0, now(f[1], 3));
		ASSERT_EQ(1, chan_fired(a, c + 2, 2));
		c[3] = chan_recv_case(e[0], big, 8);
		ASSERT_EQ(0, chan_rearm(a, c + 2, 2));
		EXPECT_EQ(0, events_of(a));	/* not with itself */
		EXPECT_EQ(1, info_of(e[0]).parked_receivers);
		EXPECT_EQ(1, info_of(e[0]).parked_senders);
		ASSERT_EQ(0, now(e[1], 7));
		ASSERT_EQ(1, chan_fired(a, c + 2, 2));
		c[3] = chan_recv_case(f[0], big, 8);
		ASSERT_EQ(0, chan_rearm(a, c + 2, 2));
	}
	close(a);
	EXPECT_EQ(0, info_of(e[0]).parked_receivers + info_of(e[0]).parked_senders);
	EXPECT_EQ(0, info_of(f[0]).parked_receivers);
	close2(e);
	close2(f);
}

/* Closed when it has fired, was fetched, or waits again: nothing stays, nothing is lost. */
TEST_F(rearm, it_is_closed_at_any_time)
{
	for (int when = 0; when < 4; when++) {
		if (when)
			ASSERT_EQ(0, now(self->e[2][1], 40 + when));
		if (when > 1)
			ASSERT_EQ(2, chan_fired(self->armed, self->c, N));
		if (when > 2)
			REARM();
		close(self->armed);
		EXPECT_EQ(when == 1 ? 41 : -EAGAIN, take(self->e[2][0]));
		for (int i = 0; i < N; i++) {
			EXPECT_EQ(0, info_of(self->e[i][0]).parked_receivers);
			EXPECT_EQ(-EAGAIN, now(self->e[i][1], 1));
		}
		self->armed = chan_arm(self->c, N, CHAN_REARM);
	}
}

/* Messages that are long, and messages with descriptors. */
TEST(messages_in_packets)
{
	static char out[3000], in[3000];
	int e[2], f[2], fd = eventfd(0, 0), got = -1, v;

	ASSERT_EQ(0, chan_make(e, sizeof(out), 0, CHAN_FDS));
	ASSERT_EQ(0, chan_make(f, 4, 0, 0));
	struct chan_case c[] = { chan_recv_case(e[0], in, sizeof(in)), chan_recv_case(f[0], &v, 4) };
	int a = chan_arm(c, 2, CHAN_REARM);
	for (int round = 0; round < 10; round++) {
		memset(out, round + 1, sizeof(out));
		c[0] = chan_recv_case(e[0], in, sizeof(in));
		c[0].msg.fds = &got;
		c[0].msg.nfds = 1;
		struct chan_msg m = { .buf = out, .len = sizeof(out), .fds = &fd, .nfds = round & 1 };
		if (round)
			ASSERT_EQ(0, chan_rearm(a, c, 2));
		if (!round)
			m.nfds = 0;
		ASSERT_EQ(1, chan_sendm(e[1], &m, 1, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_fired(a, c, 2));
		ASSERT_EQ(sizeof(in), c[0].msg.res);
		EXPECT_EQ(round & 1, c[0].msg.nfds);
		EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
		if (round & 1)
			EXPECT_EQ(0, close(got));
		/* and sent by it */
		c[0] = chan_send_case(e[1], out, sizeof(out));
		c[0].msg.fds = &fd;
		c[0].msg.nfds = round & 1;
		ASSERT_EQ(0, chan_rearm(a, c, 2));
		struct chan_msg r = { .buf = in, .len = sizeof(in), .fds = &got, .nfds = 1 };
		memset(in, 0, sizeof(in));
		ASSERT_EQ(1, chan_recvm(e[0], &r, 1, -1, CHAN_NOW));
		EXPECT_EQ(round & 1, r.nfds);
		EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
		if (round & 1)
			EXPECT_EQ(0, close(got));
		ASSERT_EQ(0, chan_fired(a, c, 2));
	}
	/* a message that was not sent goes with the next arming */
	ASSERT_EQ(0, chan_rearm(a, c, 2));
	chan_shut(e[1], 0);
	ASSERT_EQ(0, chan_fired(a, c, 2));
	EXPECT_EQ(-EPIPE, c[0].msg.res);
	c[0].fd = -1;
	ASSERT_EQ(0, chan_rearm(a, c, 2));
	close(a);
	close(fd);
	close2(e);
	close2(f);
}

/* Hundreds that have fired and were not fetched stand in one queue: calls pass them once. */
TEST(hundreds_that_have_fired_are_in_nobodys_way)
{
	enum { MANY = 900 };
	static int armed[MANY];
	int e[2], f[2], v = 0;
	struct chan_case c[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	ASSERT_EQ(0, chan_make(f, 4, 0, 0));
	c[0] = chan_recv_case(e[0], &v, 4);
	c[1] = chan_recv_case(f[0], &v, 4);
	for (int i = 0; i < MANY; i++) {
		armed[i] = chan_arm(c, 2, CHAN_REARM);
		ASSERT_LE(0, armed[i]);
	}
	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(MANY, info_of(e[0]).parked_receivers);
		for (int i = 0; i < MANY; i++)
			ASSERT_EQ(0, now(f[1], i));
		EXPECT_EQ(0, info_of(e[0]).parked_receivers);
		EXPECT_EQ(0, events_of(e[1]));
		EXPECT_EQ(-EAGAIN, now(e[1], 1));
		for (int i = 0; i < MANY; i++) {
			ASSERT_EQ(1, chan_fired(armed[i], c, 2));
			EXPECT_EQ(i, v);
		}
		EXPECT_EQ(-EAGAIN, now(f[1], 1));
		for (int i = 0; i < MANY; i++)
			ASSERT_EQ(0, chan_rearm(armed[i], c, 2));
	}
	for (int i = 0; i < MANY; i++)
		close(armed[i]);
	EXPECT_EQ(0, info_of(e[0]).parked_receivers);
	close2(e);
	close2(f);
}

/* ---- threads ---- */

static struct {
	int e[4][2], armed[3];
	long sent, got, fetched;
	bool stop;
} st;

static void *sender(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	while (!__atomic_load_n(&st.stop, __ATOMIC_RELAXED)) {
		int v = 1, r = chan_send(st.e[rand_r(&seed) % 4][1], &v, 4, -1,
					 rand_r(&seed) % 3 ? chan_after(2 * MS) : CHAN_NOW);

		if (!r)
			__atomic_fetch_add(&st.sent, 1, __ATOMIC_RELAXED);
		else if (r != -EAGAIN && r != -ETIMEDOUT)
			abort();
	}
	return NULL;
}

/* Two threads an armed select: they fetch and arm it again as they please. */
static void *looper(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	int a = st.armed[seed % 3];

	while (!__atomic_load_n(&st.stop, __ATOMIC_RELAXED)) {
		struct pollfd p = { .fd = a, .events = POLLIN };
		struct chan_case c[4];
		int v = 0, i, r;

		for (i = 0; i < 4; i++)
			c[i] = chan_recv_case(st.e[i][0], &v, 4);
		poll(&p, 1, rand_r(&seed) % 3);
		i = chan_fired(a, c, 4);
		if (i >= 0) {
			if (v != 1 || c[i].msg.res != 4)
				abort();
			__atomic_fetch_add(&st.got, 1, __ATOMIC_RELAXED);
		} else if (i != -EAGAIN && i != -EALREADY) {
			abort();
		}
		r = chan_rearm(a, c, 4);
		if (r && r != -EAGAIN && r != -EBUSY)
			abort();
	}
	return NULL;
}

TEST(threads_race_in_fetching_and_arming)
{
	pthread_t t[10];
	struct chan_case c[4];
	long sent = 0, received = 0, left = 0;
	int v;

	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, chan_make(st.e[i], 4, i & 1, 0));
		c[i] = chan_recv_case(st.e[i][0], &v, 4);
	}
	for (int i = 0; i < 3; i++)
		st.armed[i] = chan_arm(c, 4, CHAN_REARM);
	for (uintptr_t i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, looper, (void *)i);
	for (uintptr_t i = 6; i < 10; i++)
		pthread_create(&t[i], NULL, sender, (void *)i);
	for (int i = 0; i < 600 && __atomic_load_n(&st.got, __ATOMIC_RELAXED) < quick(20000, 1000); i++)
		usleep(100000);
	__atomic_store_n(&st.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 10; i++)
		pthread_join(t[i], NULL);
	EXPECT_LE(quick(20000, 1000), st.got);
	for (int i = 0; i < 3; i++)
		close(st.armed[i]);	/* what was not fetched goes back */
	for (int i = 0; i < 4; i++) {
		struct chan_info in = info_of(st.e[i][0]);

		EXPECT_EQ(0, in.parked_receivers + in.parked_senders);
		EXPECT_EQ(in.sent, in.received + in.len);
		sent += in.sent;
		received += in.received;
		left += in.len;
		close2(st.e[i]);
	}
	EXPECT_EQ(st.sent, sent);
	EXPECT_EQ(st.got, received);
	EXPECT_EQ(sent, received + left);
}

TEST_HARNESS_MAIN
