// SPDX-License-Identifier: MIT
/* Order: who waited first is served first, and nobody takes what was handed over. */
#include <sys/timerfd.h>
#include <time.h>

#include "util.h"
#include "harness.h"

#define WAITERS 100

FIXTURE(fair) { int e[2], idle[2]; };
FIXTURE_VARIANT(fair) { int capacity; };
FIXTURE_VARIANT_ADD(fair, rendezvous) { .capacity = 0 };
FIXTURE_VARIANT_ADD(fair, buffered) { .capacity = 3 };
FIXTURE_SETUP(fair)
{
	ASSERT_EQ(0, chan_make(self->e, 4, variant->capacity, 0));
	ASSERT_EQ(0, chan_make(self->idle, 4, 0, 0));
}
FIXTURE_TEARDOWN(fair)
{
	EXPECT_EQ(0, (int)(info_of(self->e[0]).parked_senders + info_of(self->e[0]).parked_receivers));
	close2(self->e);
	close2(self->idle);
}

struct line { int *e, *idle, at, val, ret; };

/* One in three waits in a select, with an idle case before or after. */
static int stand(struct line *l, bool send)
{
	struct chan_case k[2];
	int own = l->at % 2;

	if (l->at % 3 == 2) {
		k[own] = send ? chan_send_case(l->e[1], &l->val, 4) :
			 chan_recv_case(l->e[0], &l->val, 4);
		k[!own] = chan_recv_case(l->idle[0], NULL, 0);
		l->ret = chan_select(k, 2, 0, -1, SOON);
		return l->ret == own ? l->ret = k[own].msg.res : 100;
	}
	return l->ret = send ? chan_send(l->e[1], &l->val, 4, -1, SOON) :
			       chan_recv(l->e[0], &l->val, 4, -1, SOON);
}

static int stand_recv(void *arg)
{
	return stand(arg, false);
}

static int stand_send(void *arg)
{
	return stand(arg, true);
}

/* FA-03: receivers: singles and selects, threads and (one in five) processes */
TEST_F(fair, receivers_are_served_in_the_order_they_came)
{
	struct line *l = shared(WAITERS * sizeof(*l));
	struct party p[WAITERS];
	int n = count(WAITERS, WAITERS, 30);

	for (int i = 0; i < n; i++) {
		l[i] = (struct line){ self->e, self->idle, i, -1, 0 };
		ASSERT_TRUE(party_start(&p[i], i % 5 == 4, stand_recv, &l[i]));
		ASSERT_TRUE(parked(self->e[0], 0, i + 1));
	}
	for (int i = 0; i < n; i++)
		ASSERT_EQ(0, chan_send(self->e[1], &i, 4, -1, CHAN_NOW));
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(4, party_end(&p[i]));
		EXPECT_EQ(i, l[i].val);
	}
}

/* FA-03: senders on a full channel: their messages follow the buffered ones, in order */
TEST_F(fair, senders_are_served_in_the_order_they_came)
{
	struct line *l = shared(WAITERS * sizeof(*l));
	struct party p[WAITERS];
	int n = count(WAITERS, WAITERS, 30), v, cap = variant->capacity;

	for (int i = 0; i < cap; i++)
		ASSERT_EQ(0, chan_send(self->e[1], &i, 4, -1, CHAN_NOW));
	for (int i = 0; i < n; i++) {
		l[i] = (struct line){ self->e, self->idle, i, cap + i, 0 };
		ASSERT_TRUE(party_start(&p[i], i % 5 == 4, stand_send, &l[i]));
		ASSERT_TRUE(parked(self->e[0], i + 1, 0));
	}
	for (int i = 0; i < cap + n; i++) {
		ASSERT_EQ(4, chan_recv(self->e[0], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(i, v);
		/* the ring is refilled at once, by the one who waited longest */
		ASSERT_EQ(i < n ? n - 1 - i : 0, (int)info_of(self->e[0]).parked_senders);
		ASSERT_EQ(i < n ? cap : cap + n - 1 - i, (int)info_of(self->e[0]).len);
	}
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, party_end(&p[i]));
}

/* Who gives up leaves the line, and the others keep their places. */
struct quitter { int fd, g, ret; };

static int quit(void *arg)
{
	struct quitter *q = arg;
	int v;

	return q->ret = chan_recv(q->fd, &v, 4, q->g, SOON);
}

TEST_F(fair, who_gives_up_leaves_the_order_of_the_others)
{
	struct quitter q[3] = {};
	struct line l[3];
	struct party p[6];

	for (int i = 0; i < 3; i++) {
		q[i] = (struct quitter){ self->e[0], chan_group(-1, CHAN_FOREVER, 0, 0), 0 };
		l[i] = (struct line){ self->e, self->idle, i, -1, 0 };
		ASSERT_TRUE(party_start(&p[2 * i], false, quit, &q[i]));
		ASSERT_TRUE(parked(self->e[0], 0, 2 * i + 1));
		ASSERT_TRUE(party_start(&p[2 * i + 1], false, stand_recv, &l[i]));
		ASSERT_TRUE(parked(self->e[0], 0, 2 * i + 2));
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, chan_cancel(q[i].g, 0, NULL));
		EXPECT_EQ(-ECANCELED, party_end(&p[2 * i]));
		close(q[i].g);
	}
	ASSERT_TRUE(parked(self->e[0], 0, 3));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, chan_send(self->e[1], &i, 4, -1, CHAN_NOW));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(4, party_end(&p[2 * i + 1]));
		EXPECT_EQ(i, l[i].val);
	}
}

/* A newcomer never takes what was handed to a waiter: as soon as the send returns, a
 * receive finds nothing, though the waiter has not run yet */
TEST_F(fair, newcomer_takes_nothing_that_was_handed_over)
{
	struct line l[1];
	struct party p;
	int v;

	for (int i = 0; i < quick(1000, 200); i++) {
		l[0] = (struct line){ self->e, self->idle, i % 3, -1, 0 };
		ASSERT_TRUE(party_start(&p, false, stand_recv, l));
		ASSERT_TRUE(parked(self->e[0], 0, 1));
		ASSERT_EQ(0, chan_send(self->e[1], &i, 4, -1, CHAN_NOW));
		ASSERT_EQ(-EAGAIN, chan_recv(self->e[0], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(4, party_end(&p));
		ASSERT_EQ(i, l[0].val);
	}
}

/* and a newcomer's send does not pass those that wait */
TEST_F(fair, newcomer_does_not_pass_parked_senders)
{
	int n = variant->capacity + 1, v = 0;
	struct line l[2];
	struct party p[2];

	for (int i = 0; i < n - 1; i++)
		ASSERT_EQ(0, chan_send(self->e[1], &v, 4, -1, CHAN_NOW));
	for (int i = 0; i < 2; i++) {
		l[i] = (struct line){ self->e, self->idle, i + 1, 1 + i, 0 };
		ASSERT_TRUE(party_start(&p[i], false, stand_send, &l[i]));
		ASSERT_TRUE(parked(self->e[0], i + 1, 0));
	}
	v = 3;
	EXPECT_EQ(-EAGAIN, chan_send(self->e[1], &v, 4, -1, CHAN_NOW));
	ASSERT_EQ(4, chan_recv(self->e[0], &v, 4, -1, CHAN_NOW));
	v = 3;	/* room came and went to the one who waited */
	EXPECT_EQ(-EAGAIN, chan_send(self->e[1], &v, 4, -1, CHAN_NOW));
	for (int i = 1; i < n + 1; i++)
		ASSERT_EQ(4, chan_recv(self->e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(2, v);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, party_end(&p[i]));
}

/* What could not be copied out goes back to the head, ahead of all others */
TEST_F(fair, message_put_back_is_the_next)
{
	struct line l[2];
	struct party p[2];
	int n = variant->capacity, v;
	struct chan_case k;

	for (int i = 0; i < n; i++)
		ASSERT_EQ(0, chan_send(self->e[1], &i, 4, -1, CHAN_NOW));
	for (int i = 0; i < 2; i++) {
		l[i] = (struct line){ self->e, self->idle, i, n + i, 0 };
		ASSERT_TRUE(party_start(&p[i], false, stand_send, &l[i]));
		ASSERT_TRUE(parked(self->e[0], i + 1, 0));
	}
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(-EFAULT, chan_recv(self->e[0], (void *)8, 4, -1, CHAN_NOW));
	k = chan_recv_case(self->e[0], (void *)8, 4);
	ASSERT_EQ(0, chan_select(&k, 1, 0, -1, CHAN_NOW));
	ASSERT_EQ(-EFAULT, k.msg.res);
	EXPECT_EQ(0, (int)info_of(self->e[0]).received);
	for (int i = 0; i < n + 2; i++) {
		ASSERT_EQ(4, chan_recv(self->e[0], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(i, v);
	}
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	EXPECT_EQ(n + 2, (int)info_of(self->e[0]).sent);
	EXPECT_EQ(n + 2, (int)info_of(self->e[0]).received);
}

/* FA-05: a channel as a lock that a hog takes again at once: the other gets it too */
struct lock { int tok[2], stop, count, hogged; };

static int hog(void *arg)
{
	struct lock *l = arg;

	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		if (chan_send(l->tok[1], NULL, 0, -1, SOON))
			return 1;
		usleep(100);
		l->hogged++;
		if (chan_recv(l->tok[0], NULL, 0, -1, SOON))
			return 2;
	}
	return 0;
}

TEST(a_hog_of_a_lock_cannot_keep_another_out)
{
	for (int process = 0; process < 2; process++) {
		struct lock *l = shared(sizeof(*l));
		struct party p;
		int before;

		ASSERT_EQ(0, chan_make(l->tok, 0, 1, 0));
		ASSERT_TRUE(party_start(&p, process, hog, l));
		while (!__atomic_load_n(&l->hogged, __ATOMIC_RELAXED))
			usleep(100);
		for (int i = 0; i < 10; i++) {
			usleep(100);
			ASSERT_EQ(0, chan_send(l->tok[1], NULL, 0, -1, SOON));
			ASSERT_EQ(0, chan_recv(l->tok[0], NULL, 0, -1, SOON));
		}
		before = __atomic_load_n(&l->hogged, __ATOMIC_RELAXED);	/* nor is it kept out */
		for (int i = 0; i < PATIENCE && __atomic_load_n(&l->hogged, __ATOMIC_RELAXED) == before; i++)
			usleep(1000);
		EXPECT_LT(before, __atomic_load_n(&l->hogged, __ATOMIC_RELAXED));
		__atomic_store_n(&l->stop, 1, __ATOMIC_RELAXED);
		EXPECT_EQ(0, party_end(&p));
		close2(l->tok);
	}
}

/* FA-05, MM-08: ten that lock, one in three by trying */
static int locker(void *arg)
{
	struct lock *l = arg;

	for (int i = 0; i < l->stop; i++) {
		int r;

		do
			r = chan_send(l->tok[1], NULL, 0, -1, i % 3 ? SOON : CHAN_NOW);
		while (r == -EAGAIN);
		if (r)
			return 1;
		l->count++;
		if (chan_recv(l->tok[0], NULL, 0, -1, CHAN_NOW))
			return 2;
	}
	return 0;
}

TEST(a_lock_excludes)
{
	for (int process = 0; process < 2; process++) {
		struct lock *l = shared(sizeof(*l));
		struct party p[10];

		l->stop = count(1000, 300, 90);
		ASSERT_EQ(0, chan_make(l->tok, 0, 1, 0));
		for (int i = 0; i < 10; i++)
			ASSERT_TRUE(party_start(&p[i], process, locker, l));
		for (int i = 0; i < 10; i++)
			EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(10 * l->stop, l->count);
		close2(l->tok);
	}
}

/* FA-06: one that spins on a default does not stop the ping-pong beside it */
struct pong { int a[2], b[2], stop[2], n; };

static int spin(void *arg)
{
	struct pong *g = arg;
	struct chan_case k = chan_recv_case(g->stop[0], NULL, 0);
	int r;

	one_cpu();
	while ((r = chan_select(&k, 1, 0, -1, CHAN_NOW)) == -EAGAIN)
		;
	return r == 0 && k.msg.res == -EPIPE ? 0 : 1;
}

static int pong(void *arg)
{
	struct pong *g = arg;
	int v;

	one_cpu();
	for (int i = 0; i < g->n; i++)
		if (chan_recv(g->a[0], &v, 4, -1, SOON) != 4 || chan_send(g->b[1], &v, 4, -1, SOON))
			return 1;
	return 0;
}

TEST(a_spinning_default_does_not_stop_others)
{
	for (int process = 0; process < 2; process++) {
		struct pong *g = shared(sizeof(*g));
		struct party p[2];
		cpu_set_t all;
		int v;

		sched_getaffinity(0, sizeof(all), &all);
		g->n = count(10000, 300, 100);
		ASSERT_EQ(0, chan_make(g->a, 4, 0, 0));
		ASSERT_EQ(0, chan_make(g->b, 4, 0, 0));
		ASSERT_EQ(0, chan_make(g->stop, 0, 0, 0));
		ASSERT_TRUE(party_start(&p[0], process, spin, g));
		ASSERT_TRUE(party_start(&p[1], process, pong, g));
		one_cpu();
		for (int i = 0; i < g->n; i++) {
			ASSERT_EQ(0, chan_send(g->a[1], &i, 4, -1, SOON));
			ASSERT_EQ(4, chan_recv(g->b[0], &v, 4, -1, SOON));
			ASSERT_EQ(i, v);
		}
		sched_setaffinity(0, sizeof(all), &all);
		EXPECT_EQ(0, chan_shut(g->stop[1], 0));
		EXPECT_EQ(0, party_end(&p[0]));
		EXPECT_EQ(0, party_end(&p[1]));
		close2(g->a);
		close2(g->b);
		close2(g->stop);
	}
}

/* FA-04: a timer is noticed although another case is always ready */
struct flood { int c[2], done[2]; };

static int flooder(void *arg)
{
	struct flood *f = arg;
	struct chan_case k[2];
	int v = 1, i;

	do {
		k[0] = chan_send_case(f->c[1], &v, 4);
		k[1] = chan_recv_case(f->done[0], NULL, 0);
		i = chan_select(k, 2, 0, -1, SOON);
	} while (i == 0);
	return i == 1 ? 0 : 1;
}

/*
 * Choose until it is the timer, with a message there each time; @passed_over: how often it
 * was not, though it had gone off.
 */
static bool until_timer(struct flood *f, int timer, unsigned flags, int *passed_over)
{
	struct chan_case k[2] = {
		chan_poll_case(timer, POLLIN), chan_recv_case(f->c[0], NULL, 0),
	};
	struct pollfd p = { .fd = timer, .events = POLLIN };
	int v, i;

	k[1].msg = (struct chan_msg){ .buf = &v, .len = 4 };
	for (*passed_over = 0;;) {
		bool gone_off = poll(&p, 1, 0) == 1;

		while (!info_of(f->c[0]).len)	/* who floods has to run first */
			sched_yield();
		i = chan_select(k, 2, flags, -1, CHAN_NOW);
		if (i != 1 || k[1].msg.res != 4)
			return i == 0;
		*passed_over += gone_off;
	}
}

TEST(a_timer_is_noticed_in_a_flood)
{
	for (int process = 0; process < 2; process++) {
		struct itimerspec soon = { .it_value.tv_nsec = 5 * MS };
		int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), over = 0;
		struct flood *f = shared(sizeof(*f));
		struct party p[2];

		ASSERT_EQ(0, chan_make(f->c, 4, 2, 0));
		ASSERT_EQ(0, chan_make(f->done, 0, 0, 0));
		for (int j = 0; j < 2; j++)
			ASSERT_TRUE(party_start(&p[j], process, flooder, f));
		for (int n = 0; n < 200; n++) {
			uint64_t times;
			int passed_over;

			ASSERT_EQ(0, timerfd_settime(timer, 0, &soon, NULL));
			ASSERT_TRUE(until_timer(f, timer, n % 2 ? CHAN_PRIO : 0, &passed_over));
			/* it goes first, or by an even chance: not in 60 is once in 10^18 */
			ASSERT_GT(n % 2 ? 1 : 60, passed_over);
			ASSERT_EQ(8, read(timer, &times, 8));
			EXPECT_EQ(1, times);
			over += passed_over;
		}
		EXPECT_LT(0, over);	/* an even chance means that as well, of 100 */
		EXPECT_EQ(0, chan_shut(f->done[1], 0));
		for (int j = 0; j < 2; j++)
			EXPECT_EQ(0, party_end(&p[j]));
		close2(f->c);
		close2(f->done);
		close(timer);
	}
}

TEST_HARNESS_MAIN
