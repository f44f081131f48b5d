// SPDX-License-Identifier: MIT
/* Many waiters at once, and waiters that have gone. */
#include <limits.h>
#include <time.h>

#include "util.h"
#include "harness.h"

#define CROWD	2000

static struct {
	int e[2], other[2];
	unsigned epipe, wrong;
} crowd;

static void *in_crowd(void *arg)
{
	long i = (long)arg;
	int v = 1;
	struct chan_case c[2] = {
		chan_recv_case(crowd.other[0], &v, 4),
		i & 1 ? chan_send_case(crowd.e[1], &v, 4) : chan_recv_case(crowd.e[0], &v, 4),
	};
	long r;

	if (i & 2) {
		r = chan_select(c, 2, 0, -1, CHAN_FOREVER);
		r = r < 0 ? r : c[r].msg.res;
	} else if (i & 1) {
		r = chan_send(crowd.e[1], &v, 4, -1, CHAN_FOREVER);
	} else {
		r = chan_recv(crowd.e[0], &v, 4, -1, CHAN_FOREVER);
	}
	__atomic_add_fetch(r == -EPIPE ? &crowd.epipe : &crowd.wrong, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* All in one queue: as senders on a full channel, or as receivers on an empty one. */
static void release(struct __test_metadata *_metadata, bool senders, unsigned n)
{
	pthread_t *t = calloc(n, sizeof(*t));
	pthread_attr_t attr;
	struct chan_info in;
	int v = 7;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 16384);
	ASSERT_EQ(0, chan_make(crowd.e, 4, senders, 0));
	ASSERT_EQ(0, chan_make(crowd.other, 4, 1, 0));
	if (senders)
		ASSERT_EQ(0, chan_send(crowd.e[1], &v, 4, -1, CHAN_NOW));
	crowd.epipe = crowd.wrong = 0;
	for (unsigned i = 0; i < n; i++)
		ASSERT_EQ(0, pthread_create(&t[i], &attr, in_crowd,
					    (void *)(long)((i & 1) * 2 + senders)));
	ASSERT_TRUE(parked(crowd.e[0], senders ? n : 0, senders ? 0 : n));
	ASSERT_EQ(0, chan_shut(crowd.e[1], 0));
	/* none of them is left behind in the queue, whether it has run or not */
	in = info_of(crowd.e[0]);
	EXPECT_EQ(0, in.parked_senders + in.parked_receivers);
	for (unsigned i = 0; i < n; i++)
		ASSERT_EQ(0, pthread_join(t[i], NULL));
	EXPECT_EQ(n, crowd.epipe);
	EXPECT_EQ(0, crowd.wrong);
	in = info_of(crowd.other[0]);
	EXPECT_EQ(0, in.parked_senders + in.parked_receivers + in.sent);
	EXPECT_EQ(senders, info_of(crowd.e[0]).sent);
	EXPECT_EQ(1, info_of(crowd.e[0]).senders);
	close2(crowd.e);
	close2(crowd.other);
	free(t);
}

FIXTURE(many) { int unused; };
FIXTURE_SETUP(many) { self->unused = 0; }
FIXTURE_TEARDOWN(many) { }

TEST_F(many, two_thousand_receivers_are_released_by_one_shut)
{
	release(_metadata, false, quick(CROWD, 200));
}

TEST_F(many, two_thousand_senders_are_released_by_one_shut)
{
	release(_metadata, true, quick(CROWD, 200));
}

/* ---- stale nodes pile up ---- */

TEST(selects_leave_nothing_on_the_channels_they_did_not_use)
{
	int idle[2], busy[2], v = 1, n = quick(5000, 400);
	struct op o;

	ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
	ASSERT_EQ(0, chan_make(busy, 4, 1, 0));
	for (int i = 0; i < n; i++) {
		struct chan_case c[3] = {
			chan_recv_case(idle[0], &v, 4), chan_recv_case(idle[0], &v, 4),
			chan_send_case(busy[1], &v, 4),
		};

		if (i & 1)
			c[2] = chan_recv_case(busy[0], &v, 4);
		ASSERT_EQ(2, chan_select(c, 3, 0, -1, CHAN_FOREVER));
		/* and one that waited in vain */
		if (i % 100 == 99)
			ASSERT_EQ(-ETIMEDOUT, chan_select(c, 2, 0, -1, chan_after(1000)));
		ASSERT_EQ(0, info_of(idle[0]).parked_receivers);
	}
	/* nobody is met there */
	EXPECT_EQ(-EAGAIN, chan_send(idle[1], &v, 4, -1, CHAN_NOW));
	o = (struct op){ .fd = idle[0] };
	pthread_create(&o.t, NULL, op_recv, &o);
	ASSERT_TRUE(parked(idle[0], 0, 1));
	v = 5;
	EXPECT_EQ(0, chan_send(idle[1], &v, 4, -1, CHAN_NOW));
	pthread_join(o.t, NULL);
	EXPECT_EQ(5, o.val);
	close2(idle);
	close2(busy);
}

/* A waiter chosen elsewhere that has not run yet is passed over, and does not count. */
struct sel {
	pthread_t t;
	int a, b, got[2], ret;
};

static void *sel_main(void *arg)
{
	struct sel *s = arg;
	struct chan_case c[2] = {
		chan_recv_case(s->a, &s->got[0], 4), chan_recv_case(s->b, &s->got[1], 4),
	};

	s->ret = chan_select(c, 2, 0, -1, SOON);
	return NULL;
}

TEST(a_waiter_chosen_elsewhere_is_passed_over)
{
	for (int i = 0; i < quick(20, 5); i++) {
		int a[2], b[2], v = 1;
		struct sel s[3];
		struct op o;

		ASSERT_EQ(0, chan_make(a, 4, 0, 0));
		ASSERT_EQ(0, chan_make(b, 4, 0, 0));
		for (int k = 0; k < 3; k++) {
			s[k] = (struct sel){ .a = a[0], .b = b[0], .got = { -1, -1 } };
			pthread_create(&s[k].t, NULL, sel_main, &s[k]);
			ASSERT_TRUE(parked(a[0], 0, k + 1));
			ASSERT_TRUE(parked(b[0], 0, k + 1));
		}
		o = (struct op){ .fd = b[0] };
		pthread_create(&o.t, NULL, op_recv, &o);
		ASSERT_TRUE(parked(b[0], 0, 4));
		for (v = 10; v < 13; v++)
			ASSERT_EQ(0, chan_send(a[1], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(-EAGAIN, chan_send(a[1], &v, 4, -1, CHAN_NOW));
		v = 20;
		ASSERT_EQ(0, chan_send(b[1], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(-EAGAIN, chan_send(b[1], &v, 4, -1, CHAN_NOW));
		for (int k = 0; k < 3; k++) {
			pthread_join(s[k].t, NULL);
			EXPECT_EQ(0, s[k].ret);
			EXPECT_EQ(10 + k, s[k].got[0]);
			EXPECT_EQ(-1, s[k].got[1]);
		}
		pthread_join(o.t, NULL);
		EXPECT_EQ(20, o.val);
		close2(a);
		close2(b);
	}
}

/* ---- a blocked call keeps a closed end alive ---- */

struct parked_call {
	pthread_t t;
	int form, fd, under, got;
	long ret;
};

static void *parked_main(void *arg)
{
	struct parked_call *p = arg;
	struct chan_case c = p->form == 0 ? chan_recv_case(p->fd, &p->got, 4) :
					    chan_send_case(p->fd, &p->got, 4);

	if (p->form < 2) {
		p->ret = chan_select(&c, 1, 0, -1, SOON);
		p->ret = p->ret < 0 ? p->ret : c.msg.res;
	} else if (p->form == 2) {
		p->ret = chan_recv(p->fd, &p->got, 4, p->under, SOON);
	} else {
		p->ret = chan_recv(p->fd, &p->got, 4, -1, SOON);
	}
	return NULL;
}

TEST(a_select_does_not_keep_its_ends_open)
{
	for (int side = 0; side < 2; side++) {
		struct parked_call p = { .form = side };
		struct chan_info in;
		int e[2];

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		p.fd = e[side];
		pthread_create(&p.t, NULL, parked_main, &p);
		ASSERT_TRUE(parked(e[0], side, !side));
		close(e[side]);		/* the only reference: it acts at once */
		in = info_of(e[!side]);
		EXPECT_EQ(EOWNERDEAD, side ? in.send_err : in.recv_err);
		EXPECT_EQ(0, side ? in.senders : in.receivers);
		pthread_join(p.t, NULL);
		EXPECT_EQ(-EPIPE, p.ret);
		close(e[!side]);
	}
}

TEST(a_call_does_not_keep_the_group_it_runs_under)
{
	struct parked_call p = { .form = 2 };
	int e[2], w;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	p.fd = e[0];
	p.under = chan_group(-1, CHAN_FOREVER, 0, 0);
	w = chan_watch(p.under);
	pthread_create(&p.t, NULL, parked_main, &p);
	ASSERT_TRUE(parked(e[0], 0, 1));
	close(p.under);
	struct chan_group_info i = {};

	EXPECT_EQ(0, chan_group_info(w, &i, sizeof(i)));
	EXPECT_EQ(CHAN_ENDED, i.state);
	EXPECT_EQ(EOWNERDEAD, i.err);
	pthread_join(p.t, NULL);
	EXPECT_EQ(-ECANCELED, p.ret);
	close(w);
	close2(e);
}

/* As with a pipe: the descriptor that a single call is issued on stays until it returns. */
TEST(a_single_call_keeps_its_descriptor_until_it_returns)
{
	struct parked_call p = { .form = 3 };
	int e[2], v = 6;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	p.fd = e[0];
	pthread_create(&p.t, NULL, parked_main, &p);
	ASSERT_TRUE(parked(e[1], 0, 1));
	close(e[0]);
	EXPECT_EQ(0, info_of(e[1]).recv_err);
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, SOON));
	pthread_join(p.t, NULL);
	EXPECT_EQ(4, p.ret);
	EXPECT_EQ(6, p.got);
	EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, SOON));
	EXPECT_EQ(EOWNERDEAD, info_of(e[1]).recv_err);
	close(e[1]);
}

TEST_HARNESS_MAIN
