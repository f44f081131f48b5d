// SPDX-License-Identifier: MIT
/*
 * A descriptor closed by one thread at the moment another names it in a call: the
 * call finds it closed, or is ended by its end; it never sleeps on what is gone. Each
 * way is made to happen by race_group and race_chan; here it is left to chance.
 */
#include "harness.h"
#include "util.h"

struct race {
	pthread_barrier_t start;
	int e[2];
	int fd;			/* the one that is closed */
	unsigned int ended, closed, other;
	bool select, over;
};

static void *caller(void *arg)
{
	struct race *r = arg;
	char buf[4];

	for (;;) {
		struct chan_case c[2];
		int ret;

		pthread_barrier_wait(&r->start);
		if (r->over)
			break;
		c[0] = chan_recv_case(r->fd, buf, 4);
		c[1] = chan_recv_case(r->e[0], buf, 4);
		if (r->select)
			ret = chan_select(c, 2, 0, -1, SOON);
		else
			ret = chan_recv(r->e[0], buf, 4, r->fd, SOON);
		if (ret == -EBADF)
			r->closed++;
		else if (ret == -ECANCELED || (r->select && ret == 0 && c[0].msg.res == -EPIPE))
			r->ended++;
		else
			r->other++;
		pthread_barrier_wait(&r->start);
	}
	return NULL;
}


static void run(struct __test_metadata *_metadata, struct race *r)
{
	int end[2], rounds = 0;
	unsigned int seed = 1;
	pthread_t t;

	pthread_barrier_init(&r->start, NULL, 2);
	ASSERT_EQ(0, chan_make(r->e, 4, 0, 0));
	pthread_create(&t, NULL, caller, r);
	for (; rounds < quick(2000, 300); rounds++) {
		if (r->select) {
			ASSERT_EQ(0, chan_make(end, 4, 0, 0));
			r->fd = end[0];
		} else {
			r->fd = chan_group(-1, CHAN_FOREVER, 0, 0);
			ASSERT_GE(r->fd, 0);
		}
		pthread_barrier_wait(&r->start);
		for (int k = rand_r(&seed) % 2000; k; k--)
			__asm__ volatile("");
		close(r->fd);
		pthread_barrier_wait(&r->start);
		if (r->select)
			close(end[1]);
	}
	r->over = true;
	pthread_barrier_wait(&r->start);
	pthread_join(t, NULL);
	TH_LOG("%u were ended, %u found it closed", r->ended, r->closed);
	EXPECT_EQ(0, r->other);
	EXPECT_EQ(rounds, r->ended + r->closed);
	close2(r->e);
}

TEST(a_group_that_a_call_is_about_to_run_under)
{
	struct race r = {};

	run(_metadata, &r);
}

TEST(an_end_that_a_select_is_about_to_wait_on)
{
	struct race r = { .select = true };

	run(_metadata, &r);
}

/* ---- an end that comes second is not seen without the first ---- */

enum { RECV, SEND, SELECT, RECVM, ROOM, KINDS };

struct order {
	pthread_barrier_t start;
	int e[2], g, kind;
	unsigned int odd;
	bool over;
};

static void *under_it(void *arg)
{
	struct order *o = arg;
	char b = 'x';

	for (;;) {
		struct chan_case c;
		struct chan_msg m = { .buf = &b, .len = 1 };
		int r;

		pthread_barrier_wait(&o->start);
		if (o->over)
			return NULL;
		switch (o->kind) {
		case RECV:
			r = chan_recv(o->e[0], &b, 1, o->g, SOON);
			break;
		case SEND:
			r = chan_send(o->e[1], &b, 1, o->g, SOON);
			break;
		case SELECT:
			c = chan_recv_case(o->e[0], &b, 1);
			r = chan_select(&c, 1, 0, o->g, SOON);
			break;
		case ROOM:	/* it may have been sent before */
			c = chan_send_case(o->e[1], &b, 1);
			r = chan_select(&c, 1, 0, o->g, SOON);
			if (!r && !c.msg.res)
				r = -ECANCELED;
			break;
		default:
			r = chan_recvm(o->e[0], &m, 1, o->g, SOON);
		}
		o->odd += r != -ECANCELED;
		pthread_barrier_wait(&o->start);
	}
}

TEST(a_group_that_ended_before_the_shut_comes_first)
{
	struct order o = {};
	unsigned int seed = 1;
	pthread_t t;

	pthread_barrier_init(&o.start, NULL, 2);
	pthread_create(&t, NULL, under_it, &o);
	for (int i = 0; i < quick(2000, 300); i++) {
		ASSERT_EQ(0, chan_make(o.e, 1, i % KINDS == ROOM, 0));
		o.g = chan_group(-1, CHAN_FOREVER, 0, 0);
		o.kind = i % KINDS;
		pthread_barrier_wait(&o.start);
		for (int k = rand_r(&seed) % 3000; k; k--)
			__asm__ volatile("");
		chan_cancel(o.g, 0, NULL);
		chan_shut(o.e[0], 0);
		pthread_barrier_wait(&o.start);
		close(o.g);
		close2(o.e);
	}
	o.over = true;
	pthread_barrier_wait(&o.start);
	pthread_join(t, NULL);
	EXPECT_EQ(0, o.odd);
}

TEST_HARNESS_MAIN
