// SPDX-License-Identifier: MIT
/* CHAN_NOW in a select, on channels that never rest. */
#include <stdatomic.h>
#include "util.h"
#include "harness.h"

#define CASES 1024

/* Park 64 cases and take them back, over and over: nothing is ever ready for the select. */
struct restless { int *end; atomic_bool *stop; atomic_long n; };

static void *come_and_go(void *arg)
{
	struct restless *r = arg;
	struct chan_case c[64];
	char b;

	for (int i = 0; i < 64; i++)
		c[i] = chan_recv_case(r->end[0], &b, 1);
	for (; !*r->stop; r->n++) {
		int fd = chan_arm(c, 64, 0);

		if (fd < 0 || close(fd))
			return (void *)1;
	}
	return NULL;
}

TEST(default_is_taken_however_busy_the_channels_are)
{
	static struct chan_case c[CASES];
	struct restless r = {};
	atomic_bool stop = false;
	pthread_t t;
	void *bad;
	int e[2];
	char b;

	ASSERT_EQ(0, chan_make(e, 1, 0, 0));
	r = (struct restless){ .end = e, .stop = &stop };
	pthread_create(&t, NULL, come_and_go, &r);
	for (int i = 0; i < CASES; i++)
		c[i] = chan_recv_case(e[0], &b, 1);
	for (int i = 0; i < quick(500, 200) || (!r.n && i < 1000000); i++)
		ASSERT_EQ(-EAGAIN, chan_select(c, CASES, 0, -1, CHAN_NOW));
	stop = true;
	pthread_join(t, &bad);
	EXPECT_EQ(NULL, bad);
	EXPECT_LT(0, r.n);
	EXPECT_EQ(0, info_of(e[0]).parked_receivers);
	close2(e);
}

/* At every instant one of two channels holds a message, and sometimes both. */
struct juggler { int a[2], b[2]; atomic_bool stop; atomic_long throws; };

static void *juggle(void *arg)
{
	struct juggler *j = arg;
	char v = 0;

	while (!j->stop) {
		if (chan_send(j->b[1], &v, 1, -1, SOON) || chan_recv(j->a[0], &v, 1, -1, SOON) != 1 ||
		    chan_send(j->a[1], &v, 1, -1, SOON) || chan_recv(j->b[0], &v, 1, -1, SOON) != 1)
			return (void *)1;
		j->throws++;
	}
	return NULL;
}

/*
 * D5: the cases have no room, so that they only tell what is there. The first is of
 * one channel and the last of the other: between the two looks it may have moved.
 */
TEST(default_is_not_taken_while_some_case_is_always_ready)
{
	static struct chan_case c[CASES];
	struct juggler j = {};
	int idle[2];
	pthread_t t;
	void *bad;

	ASSERT_EQ(0, chan_make(idle, 1, 0, 0));
	ASSERT_EQ(0, chan_make(j.a, 1, 1, 0));
	ASSERT_EQ(0, chan_make(j.b, 1, 1, 0));
	ASSERT_EQ(0, chan_send(j.a[1], "", 1, -1, CHAN_NOW));
	for (int k = 0; k < CASES; k++)
		c[k] = chan_recv_case(idle[0], NULL, 0);
	c[0].fd = j.b[0];
	c[CASES - 1].fd = j.a[0];
	pthread_create(&t, NULL, juggle, &j);
	for (int i = 0; i < quick(1000, 200) || (j.throws < 10 && i < 1000000); i++) {
		int r = chan_select(c, CASES, CHAN_PRIO, -1, CHAN_NOW);

		ASSERT_TRUE(r == 0 || r == CASES - 1);
		ASSERT_EQ(-EMSGSIZE, c[r].msg.res);
	}
	j.stop = true;
	pthread_join(t, &bad);
	EXPECT_EQ(NULL, bad);
	EXPECT_LE(10, j.throws);
	close2(j.a);
	close2(j.b);
	close2(idle);
}

static void *keep_sending(void *arg)
{
	struct juggler *j = arg;

	while (!j->stop)
		if (chan_send(j->a[1], "", 1, -1, SOON))
			return (void *)1;
	return NULL;
}

static void *keep_receiving(void *arg)
{
	struct juggler *j = arg;
	char v;

	/* what is received was not the last: the other sender's message is there, or comes first */
	for (; !j->stop; j->throws++)
		if (info_of(j->a[0]).parked_senders == 2)
			if (chan_recv(j->a[0], &v, 1, -1, SOON) != 1)
				return (void *)1;
	return NULL;
}

/* A message that leaves the buffer is replaced at once by that of a send that waits. */
TEST(default_is_not_taken_while_messages_are_replaced)
{
	struct juggler j = {};
	pthread_t t[3];
	void *bad;

	ASSERT_EQ(0, chan_make(j.a, 1, 1, 0));
	ASSERT_EQ(0, chan_send(j.a[1], "", 1, -1, CHAN_NOW));
	pthread_create(&t[0], NULL, keep_sending, &j);
	pthread_create(&t[1], NULL, keep_sending, &j);
	pthread_create(&t[2], NULL, keep_receiving, &j);
	for (int i = 0; i < quick(100000, 20000) || (j.throws < 10 && i < 1000000); i++) {
		struct chan_case c = chan_recv_case(j.a[0], NULL, 0);

		ASSERT_EQ(0, chan_select(&c, 1, 0, -1, CHAN_NOW));
		ASSERT_EQ(-EMSGSIZE, c.msg.res);
	}
	j.stop = true;
	pthread_join(t[2], &bad);
	EXPECT_EQ(NULL, bad);
	EXPECT_EQ(0, chan_shut(j.a[0], 0));
	pthread_join(t[0], &bad);
	pthread_join(t[1], &bad);
	EXPECT_LE(10, j.throws);
	close2(j.a);
}

TEST_HARNESS_MAIN
