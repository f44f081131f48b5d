// SPDX-License-Identifier: MIT
/* Several messages in one call. */
#include "harness.h"
#include "util.h"

enum { N = 32 };

static void fill(struct chan_msg *m, int *vals, int n, int first)
{
	for (int i = 0; i < n; i++) {
		vals[i] = first + i;
		m[i] = (struct chan_msg){ .buf = &vals[i], .len = sizeof(int), .res = -99 };
	}
}

FIXTURE(batch)
{
	int e[2], in[N], out[N];
	struct chan_msg s[N], r[N];
};

FIXTURE_SETUP(batch)
{
	ASSERT_EQ(0, chan_make(self->e, 4, 20, 0));
	fill(self->s, self->out, N, 100);
	fill(self->r, self->in, N, -N);
}

FIXTURE_TEARDOWN(batch)
{
	close2(self->e);
}

TEST_F(batch, moves_what_fits_and_says_how_many)
{
	EXPECT_EQ(20, chan_sendm(self->e[1], self->s, N, -1, CHAN_NOW));
	EXPECT_EQ(0, self->s[19].res);
	EXPECT_EQ(-99, self->s[20].res);
	EXPECT_EQ(-EAGAIN, chan_sendm(self->e[1], self->s, N, -1, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_sendm(self->e[1], self->s, N, -1, chan_after(MS)));
	EXPECT_EQ(20, chan_recvm(self->e[0], self->r, N, -1, CHAN_FOREVER));
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(100 + i, self->in[i]);
		EXPECT_EQ(4, self->r[i].res);
		EXPECT_EQ(4, self->r[i].len);
	}
	EXPECT_EQ(-N + 20, self->in[20]);
	EXPECT_EQ(-EAGAIN, chan_recvm(self->e[0], self->r, N, -1, CHAN_NOW));
	EXPECT_EQ(0, chan_recvm(self->e[0], self->r, 0, -1, CHAN_FOREVER));
	EXPECT_EQ(0, chan_sendm(self->e[1], NULL, 0, -1, CHAN_FOREVER));
}

static void *late_send(void *arg)
{
	int *e = arg, v = 7;

	if (!parked(e[0], 0, 1))
		return NULL;
	return (void *)(long)(1 + chan_send(e[1], &v, 4, -1, SOON));
}

TEST_F(batch, waits_for_the_first_only)
{
	pthread_t t;
	void *ret;

	pthread_create(&t, NULL, late_send, self->e);
	EXPECT_EQ(1, chan_recvm(self->e[0], self->r, N, -1, SOON));
	EXPECT_EQ(7, self->in[0]);
	pthread_join(t, &ret);
	EXPECT_EQ(1, (long)ret);
}

TEST_F(batch, stops_at_the_first_that_is_wrong)
{
	self->s[3].len = 5;
	EXPECT_EQ(3, chan_sendm(self->e[1], self->s, N, -1, CHAN_NOW));
	EXPECT_EQ(-EMSGSIZE, chan_sendm(self->e[1], self->s + 3, 4, -1, CHAN_NOW));
	self->s[3].len = 4;
	self->s[4].buf = (void *)8;
	EXPECT_EQ(1, chan_sendm(self->e[1], self->s + 3, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, chan_sendm(self->e[1], self->s + 4, 4, -1, CHAN_NOW));
	self->s[4].nfds = 1;
	EXPECT_EQ(-EPERM, chan_sendm(self->e[1], self->s + 4, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, info_of(self->e[0]).len);
	self->r[1].len = 3;
	EXPECT_EQ(1, chan_recvm(self->e[0], self->r, N, -1, CHAN_NOW));
	EXPECT_EQ(-EMSGSIZE, chan_recvm(self->e[0], self->r + 1, N - 1, -1, CHAN_NOW));
	self->r[1].len = 4;
	self->r[2].buf = (void *)8;
	EXPECT_EQ(1, chan_recvm(self->e[0], self->r + 1, N - 1, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, chan_recvm(self->e[0], self->r + 2, 1, -1, CHAN_NOW));
	EXPECT_EQ(2, info_of(self->e[0]).len);
	EXPECT_EQ(2, info_of(self->e[0]).received);
	EXPECT_EQ(2, chan_recvm(self->e[0], self->r + 3, 9, -1, CHAN_NOW));
	EXPECT_EQ(103, self->in[4]);
}

TEST_F(batch, a_shut_and_an_ended_group_are_told)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0);

	ASSERT_EQ(2, chan_sendm(self->e[1], self->s, 2, g, CHAN_NOW));
	ASSERT_EQ(0, chan_shut(self->e[1], EIO));
	EXPECT_EQ(-EPIPE, chan_sendm(self->e[1], self->s, 2, g, CHAN_NOW));
	EXPECT_EQ(2, chan_recvm(self->e[0], self->r, N, g, CHAN_FOREVER));
	EXPECT_EQ(-ECONNRESET, chan_recvm(self->e[0], self->r, N, g, CHAN_FOREVER));
	chan_cancel(g, 0, NULL);
	EXPECT_EQ(-ECANCELED, chan_recvm(self->e[0], self->r, N, g, CHAN_FOREVER));
	close(g);
}

TEST_F(batch, bad_calls_change_nothing)
{
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT_EQ(-EINVAL, chan_sendm(self->e[1], self->s, 1025, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, chan_sendm(self->e[1], (void *)8, 1, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, chan_sendm(self->e[1], (void *)ro, 1, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_sendm(self->e[0], self->s, 1, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_recvm(self->e[1], self->r, 1, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_recvm(self->e[0], self->r, 1, 999, CHAN_NOW));
	EXPECT_EQ(-ENOTTY, chan_recvm(self->e[0], self->r, 1, 0, CHAN_NOW));
	EXPECT_EQ(0, info_of(self->e[0]).sent);
	munmap(ro, 4096);
}

/* Batches on both sides, of random size: each message once, in order. */
static void *sender(void *arg)
{
	int *e = arg, vals[N], next = 0;
	struct chan_msg m[N];
	unsigned int seed = 1;

	while (next < 20000) {
		int n = 1 + rand_r(&seed) % N;

		fill(m, vals, n, next);
		n = chan_sendm(e[1], m, n, -1, SOON);
		if (n < 1)
			return "send failed";
		next += n;
	}
	chan_shut(e[1], 0);
	return NULL;
}

TEST_F(batch, order_is_kept_between_batches)
{
	unsigned int seed = 2;
	int next = 0, n;
	pthread_t t;
	void *err;

	pthread_create(&t, NULL, sender, self->e);
	for (;;) {
		int want = 1 + rand_r(&seed) % N;

		fill(self->r, self->in, want, 0);
		n = chan_recvm(self->e[0], self->r, want, -1, SOON);
		if (n < 0)
			break;
		for (int i = 0; i < n; i++)
			ASSERT_EQ(next++, self->in[i]);
	}
	EXPECT_EQ(-EPIPE, n);
	EXPECT_GE(next, 20000);
	pthread_join(t, &err);
	EXPECT_EQ(NULL, err);
}

TEST_HARNESS_MAIN
