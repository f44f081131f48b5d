// SPDX-License-Identifier: MIT
/*
 * A descriptor closed by one thread at the moment another names it in a call: the
 * call finds it closed, or is ended by its end; it never sleeps on what is gone.
 */
#include "harness.h"
#include "util.h"

struct race {
	pthread_barrier_t start;
	int e[2], rounds;
	int fd;			/* the one that is closed */
	unsigned int ended, closed, other;
	bool select;
};

static void *caller(void *arg)
{
	struct race *r = arg;
	char buf[4];

	for (int i = 0; i < r->rounds; i++) {
		struct chan_case c[2];
		int ret;

		pthread_barrier_wait(&r->start);
		c[0] = recv_case(r->fd, buf, 4);
		c[1] = recv_case(r->e[0], buf, 4);
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
	unsigned int seed = 1;
	pthread_t t;
	int end[2];

	r->rounds = quick(20000, 1500);
	pthread_barrier_init(&r->start, NULL, 2);
	ASSERT_EQ(0, chan_make(r->e, 4, 0, 0));
	pthread_create(&t, NULL, caller, r);
	for (int i = 0; i < r->rounds; i++) {
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
	pthread_join(t, NULL);
	TH_LOG("%u were ended, %u found it closed", r->ended, r->closed);
	EXPECT_EQ(0, r->other);
	EXPECT_EQ(r->rounds, r->ended + r->closed);
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

TEST_HARNESS_MAIN
