// SPDX-License-Identifier: MIT
/* Small programs in the way of Go: read-all, filter, sink, a shared value, a pipeline. */
#include "caller.h"
#include "harness.h"

struct stage {
	int in, out, under, n;
	int *values;
	struct party p;
};

static int produce(void *arg)
{
	struct stage *s = arg;

	for (int i = 0; i < s->n; i++)
		if (chan_send(s->out, &s->values[i], 4, s->under, SOON))
			return 1;
	return chan_shut(s->out, 0) != 0;
}

static int keep_even(void *arg)
{
	struct stage *s = arg;
	int v, r;

	while ((r = chan_recv(s->in, &v, 4, s->under, SOON)) == 4)
		if (v % 2 == 0 && chan_send(s->out, &v, 4, s->under, SOON))
			return 1;
	return r != -EPIPE || chan_shut(s->out, 0);
}

/* Until it is shut or the group has ended; how many, or -1. */
static int read_all(int rx, int under, int *to, int max, int *why)
{
	int n = 0;

	while (n < max && (*why = chan_recv(rx, &to[n], 4, under, SOON)) == 4)
		n++;
	return n;
}

/* PT-01 */
TEST(read_all_filter_and_sink)
{
	static int evens[] = { 4, 2, 5 }, numbers[] = { 1, 2, 3 };
	struct stage *s = shared(2 * sizeof(*s));
	int got[8], why, a[2], b[2], g;

	for (int process = 0; process < 2; process++) {
		ASSERT_EQ(0, chan_make(a, 4, 0, 0));
		s[0] = (struct stage){ .out = a[1], .under = -1, .n = 3, .values = evens };
		party_start(&s[0].p, process, produce, &s[0]);
		EXPECT_EQ(3, read_all(a[0], -1, got, 8, &why));
		EXPECT_EQ(-EPIPE, why);
		EXPECT_EQ(0, memcmp(got, evens, sizeof(evens)));
		EXPECT_EQ(0, party_end(&s[0].p));
		close2(a);

		ASSERT_EQ(0, chan_make(a, 4, 0, 0));
		ASSERT_EQ(0, chan_make(b, 4, 0, 0));
		s[0] = (struct stage){ .out = a[1], .under = -1, .n = 3, .values = numbers };
		s[1] = (struct stage){ .in = a[0], .out = b[1], .under = -1 };
		party_start(&s[0].p, process, produce, &s[0]);
		party_start(&s[1].p, process, keep_even, &s[1]);
		EXPECT_EQ(1, read_all(b[0], -1, got, 8, &why));
		EXPECT_EQ(-EPIPE, why);
		EXPECT_EQ(2, got[0]);
		EXPECT_EQ(0, party_end(&s[0].p));
		EXPECT_EQ(0, party_end(&s[1].p));
		close2(b);
		/* read until a group ends, with a sender that never shuts */
		g = chan_group(-1, CHAN_FOREVER, 0, 0);
		close2(a);
		ASSERT_EQ(0, chan_make(a, 4, 3, 0));
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(0, chan_send(a[1], &i, 4, g, CHAN_NOW));
		EXPECT_EQ(3, read_all(a[0], g, got, 3, &why));
		EXPECT_EQ(0, chan_cancel(g, 0, NULL));
		EXPECT_EQ(0, read_all(a[0], g, got, 3, &why));
		EXPECT_EQ(-ECANCELED, why);
		close(g);
		close2(a);
	}
}

static int swallow(void *arg)
{
	struct stage *s = arg;
	int v, r;

	while ((r = chan_recv(s->in, &v, 4, -1, SOON)) == 4)
		;
	return r != -EPIPE;
}

TEST(a_sink_takes_everything_until_shut)
{
	struct stage *s = shared(sizeof(*s));

	for (int process = 0; process < 2; process++) {
		int a[2];

		ASSERT_EQ(0, chan_make(a, 4, 0, 0));
		s->in = a[0];
		party_start(&s->p, process, swallow, s);
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(0, chan_send(a[1], &i, 4, -1, SOON));
		EXPECT_EQ(0, chan_shut(a[1], 0));
		EXPECT_EQ(0, party_end(&s->p));
		EXPECT_EQ(3, info_of(a[0]).received);
		close2(a);
	}
}

static int increments(void *arg)
{
	struct stage *s = arg;
	int v;

	for (int i = 0; i < s->n; i++) {
		if (chan_recv(s->in, &v, 4, -1, SOON) != 4)
			return 1;
		v++;
		if (chan_send(s->out, &v, 4, -1, SOON))
			return 1;
	}
	return 0;
}

/* PT-02, MM-08: a value in a channel of one belongs to one at a time */
TEST(a_value_in_a_channel_is_held_by_one)
{
	int n = quick(2000, 200);
	struct stage *s = shared(2 * sizeof(*s));

	for (int process = 0; process < 2; process++) {
		int a[2], v = 0;

		ASSERT_EQ(0, chan_make(a, 4, 1, 0));
		ASSERT_EQ(0, chan_send(a[1], &v, 4, -1, CHAN_NOW));
		for (int i = 0; i < 2; i++) {
			s[i] = (struct stage){ .in = a[0], .out = a[1], .n = n };
			party_start(&s[i].p, process, increments, &s[i]);
		}
		for (int i = 0; i < 2; i++)
			EXPECT_EQ(0, party_end(&s[i].p));
		EXPECT_EQ(4, chan_recv(a[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(2 * n, v);
		close2(a);
	}
}

/* PT-03: a sending end is an element of a channel; it is a fresh descriptor where it arrives */
struct chan_of_chan { int cc[2], c[2], got; };

static int use_what_comes(void *arg)
{
	struct chan_of_chan *s = arg;
	struct chan_msg m = { .fds = &s->got, .nfds = 1 };
	int two = 2;

	WANT(chan_recvm(s->cc[0], &m, 1, -1, SOON) == 1 && m.nfds == 1);
	WANT(chan_kind(s->got) == CHAN_TX && fcntl(s->got, F_GETFD) == FD_CLOEXEC);
	WANT(!chan_send(s->got, &two, 4, -1, SOON));
	close(s->got);
	return 0;
}

static int use_without_a_copy(void *arg)
{
	struct chan_of_chan *s = arg;

	close2(s->c);
	WANT(chan_kind(s->c[1]) == -EBADF);
	return use_what_comes(arg);
}

TEST(a_channel_is_an_element_of_a_channel)
{
	for (int i = 0; i < 4; i++) {
		bool process = i % 2, last = i / 2;
		struct chan_of_chan *s = shared(sizeof(*s));
		struct chan_msg m = { .nfds = 1 };
		struct party p;
		int v = 0;

		ASSERT_EQ(0, chan_make(s->c, 4, 1, 0));
		ASSERT_EQ(0, chan_make(s->cc, 0, 1, CHAN_FDS));
		ASSERT_TRUE(party_start(&p, process, process ? use_without_a_copy : use_what_comes, s));
		m.fds = &s->c[1];
		ASSERT_EQ(1, chan_sendm(s->cc[1], &m, 1, -1, SOON));
		if (last)
			close(s->c[1]);
		EXPECT_EQ(4, chan_recv(s->c[0], &v, 4, -1, SOON));
		EXPECT_EQ(2, v);
		ASSERT_EQ(0, party_end(&p));
		EXPECT_TRUE(process || s->got != s->c[1] || last);
		if (last) {	/* the last has been dropped */
			EXPECT_EQ(-ECONNRESET, chan_recv(s->c[0], &v, 4, -1, CHAN_NOW));
		} else {	/* that it is dropped there closes nothing */
			EXPECT_EQ(1, info_of(s->c[0]).senders);
			EXPECT_EQ(-EAGAIN, chan_recv(s->c[0], &v, 4, -1, CHAN_NOW));
			ASSERT_EQ(0, chan_send(s->c[1], &i, 4, -1, CHAN_NOW));
			EXPECT_EQ(4, chan_recv(s->c[0], &v, 4, -1, CHAN_NOW));
			EXPECT_EQ(i, v);
			close(s->c[1]);
		}
		close(s->c[0]);
		close2(s->cc);
		munmap(s, sizeof(*s));
	}
}

/* PT-03: unlike Go's, a receiving end stays where it is */
TEST(a_receiving_end_does_not_travel)
{
	int c[2], cc[2], v = 42;
	struct chan_msg m = { .fds = &c[0], .nfds = 1 };

	ASSERT_EQ(0, chan_make(c, 4, 1, 0));
	ASSERT_EQ(0, chan_make(cc, 0, 1, CHAN_FDS));
	ASSERT_EQ(0, chan_send(c[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EOPNOTSUPP, chan_sendm(cc[1], &m, 1, -1, CHAN_NOW));
	EXPECT_EQ(0, info_of(cc[0]).sent);
	v = 0;
	EXPECT_EQ(4, chan_recv(c[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(42, v);
	close2(c);
	close2(cc);
}

/* PT-04: work for a pool that is closed is an error of the caller's, and not done */
TEST(a_closed_pool_refuses_work)
{
	int a[2], v = 1, g = chan_group(-1, CHAN_FOREVER, 0, 0);

	ASSERT_EQ(0, chan_make(a, 4, 1024, 0));
	EXPECT_EQ(0, chan_send(a[1], &v, 4, g, CHAN_NOW));
	EXPECT_EQ(0, chan_shut(a[1], 0));
	EXPECT_EQ(-EPIPE, chan_send(a[1], &v, 4, g, CHAN_FOREVER));
	EXPECT_EQ(1, info_of(a[0]).len);
	EXPECT_EQ(0, chan_cancel(g, 0, NULL));
	EXPECT_EQ(-ECANCELED, chan_send(a[1], &v, 4, g, CHAN_FOREVER));
	EXPECT_EQ(-ECANCELED, chan_go(g, (int (*)(int, void *))abort, NULL));
	EXPECT_EQ(1, info_of(a[0]).len);
	close(g);
	close2(a);
}

static int square(void *arg)
{
	struct stage *s = arg;
	int v, r;

	while ((r = chan_recv(s->in, &v, 4, s->under, SOON)) == 4) {
		v *= v;
		r = chan_send(s->out, &v, 4, s->under, SOON);
		if (r)
			break;
	}
	return r != -ECANCELED && r != -EPIPE;
}

static int generate(void *arg)
{
	struct stage *s = arg;
	int r = 0;

	for (int i = 0; i < s->n && !r; i++)
		r = chan_send(s->out, &s->values[i % 2], 4, s->under, SOON);
	return r != 0 && r != -ECANCELED;
}

/* PT-05: the consumer has enough after one value; every stage leaves */
TEST(an_early_exit_ends_the_pipeline)
{
	static int numbers[] = { 2, 3 };
	struct stage *s = shared(3 * sizeof(*s));

	for (int n = 2; n <= 100000; n += 99998) {
		for (int process = 0; process < 2; process++) {
			int a[2], b[2], v, g = chan_group(-1, CHAN_FOREVER, 0, 0), w = chan_watch(g);

			ASSERT_EQ(0, chan_make(a, 4, 0, 0));
			ASSERT_EQ(0, chan_make(b, 4, 0, 0));
			s[0] = (struct stage){ .out = a[1], .under = w, .n = n, .values = numbers };
			party_start(&s[0].p, process, generate, &s[0]);
			for (int i = 1; i < 3; i++) {
				s[i] = (struct stage){ .in = a[0], .out = b[1], .under = w };
				party_start(&s[i].p, process, square, &s[i]);
			}
			ASSERT_EQ(4, chan_recv(b[0], &v, 4, g, SOON));
			EXPECT_TRUE(v == 4 || v == 9);
			EXPECT_EQ(0, chan_cancel(g, 0, "enough"));
			for (int i = 0; i < 3; i++)
				EXPECT_EQ(0, party_end(&s[i].p));
			EXPECT_EQ(0, info_of(b[0]).parked_senders);
			EXPECT_EQ(0, info_of(a[0]).parked_receivers);
			close(w);
			close(g);
			close2(a);
			close2(b);
		}
	}
}

/* MM-01, MM-02 on their group side: what came before a leave is seen after the wait */
struct litmus {
	int group, rounds;
	volatile int value[2];
};

static int writes_then_leaves(void *arg)
{
	struct litmus *l = arg;

	for (int i = 1; i <= l->rounds; i++) {
		int m = chan_join(l->group, -1, SOON);

		if (m < 0)
			return 1;
		l->value[0] = l->value[1] + 1;	/* a place of one: nobody else is here */
		l->value[1] = l->value[0];
		if (chan_leave(m, 0, NULL))
			return 2;
		close(m);
	}
	return 0;
}

TEST(what_came_before_a_leave_is_seen_after_the_join_it_lets_in)
{
	struct litmus *l = shared(sizeof(*l));
	int n = quick(5000, 500), first = -1;
	struct party p[2];

	for (int process = 0; process < 2; process++) {
		*l = (struct litmus){ .group = chan_group(-1, CHAN_FOREVER, 0, 1), .rounds = n };
		for (int i = 0; i < 2; i++)
			party_start(&p[i], process, writes_then_leaves, l);
		for (int i = 0; i < 2; i++)
			EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(0, chan_wait(l->group, &first, -1, SOON));
		EXPECT_EQ(0, first);
		EXPECT_EQ(2 * n, l->value[0]);
		EXPECT_EQ(2 * n, l->value[1]);
		close(l->group);
	}
}

TEST_HARNESS_MAIN
