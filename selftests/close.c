// SPDX-License-Identifier: MIT
/* The end of a channel by chan_shut, on each side, with each cause. */
#include "util.h"
#include "harness.h"

THREADS_AND_PROCESSES(close);

/* Every way to receive four bytes; those that say so never wait. */
enum { RECV, RECV_NOW, RECV_SOON, SELECT, SELECT_NOW, SELECT_TWO, READ, FORMS };

static long receive(int form, int rx, int idle, int *v)
{
	struct chan_case c[2] = { chan_recv_case(rx, v, 4), chan_recv_case(idle, v, 4) };
	int64_t deadline[FORMS] = { CHAN_FOREVER, CHAN_NOW, SOON, CHAN_FOREVER, CHAN_NOW, SOON };
	long r;

	switch (form) {
	case READ:
		r = read(rx, v, 4);
		return r < 0 ? -errno : r;
	case SELECT:
	case SELECT_NOW:
	case SELECT_TWO:
		r = chan_select(c, form == SELECT_TWO ? 2 : 1, 0, -1, deadline[form]);
		return r ? -1000 + r : c[0].msg.res;
	}
	return chan_recv(rx, v, 4, -1, deadline[form]);
}

static int end_of(int err)
{
	return err ? -ECONNRESET : -EPIPE;
}

/* CL-01, CL-03, CL-05 */
TEST(buffered_messages_come_first_then_the_cause_in_every_form)
{
	int errs[] = { 0, EIO, 4095 }, max = quick(200, 20), idle[2], v;

	ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
	for (int cap = 0; cap < max; cap++) {
		int e[2], err = errs[cap % 3];

		ASSERT_EQ(0, chan_make(e, 4, cap, 0));
		for (int i = 0; i < cap; i++)
			ASSERT_EQ(0, chan_send(e[1], &i, 4, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_shut(e[1], err));
		EXPECT_EQ(cap, (int)info_of(e[0]).len);
		for (int i = 0; i < cap; i++) {
			ASSERT_EQ(4, receive(i % FORMS, e[0], idle[0], &v));
			ASSERT_EQ(i, v);
		}
		for (int i = 0; i < 2 * FORMS; i++) {
			v = 77;
			ASSERT_EQ(i % FORMS == READ ? 0 : end_of(err),
				  receive(i % FORMS, e[0], idle[0], &v));
			ASSERT_EQ(77, v);
		}
		struct chan_info in = info_of(e[0]);

		EXPECT_EQ(0, (int)in.len);
		EXPECT_EQ(cap, (int)in.received);
		EXPECT_EQ(cap, (int)in.sent);
		EXPECT_EQ(KCHAN_SHUT_SEND, in.shut);
		EXPECT_EQ(err, (int)in.send_err);
		EXPECT_EQ(0, (int)in.recv_err);
		close2(e);
	}
	EXPECT_EQ(0, (int)info_of(idle[0]).parked_receivers);
	close2(idle);
}

static int pipe_signals;

static void count_signal(int sig)
{
	pipe_signals++;
}

/* CL-04, FD-01 */
TEST(every_send_after_a_shut_is_EPIPE_without_a_signal_and_undelivered)
{
	int v = 5;

	signal(SIGPIPE, count_signal);
	for (int side = 0; side < 2; side++) {
		struct chan_case c[2];
		int e[2];

		ASSERT_EQ(0, chan_make(e, 4, 2, 0));
		ASSERT_EQ(0, chan_shut(e[side], side ? 0 : EIO));
		for (int i = 0; i < 20; i++) {
			EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, CHAN_NOW));
			EXPECT_EQ(EPIPE, errno);
			EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, CHAN_FOREVER));
			EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, SOON));
			EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, 1));
			EXPECT_EQ(-1, write(e[1], &v, 4));
			EXPECT_EQ(EPIPE, errno);
			c[0] = chan_send_case(-1, &v, 4);
			c[1] = chan_send_case(e[1], &v, 4);
			EXPECT_EQ(1, chan_select(c, 2, 0, -1, i & 1 ? CHAN_NOW : CHAN_FOREVER));
			EXPECT_EQ(-EPIPE, c[1].msg.res);
		}
		EXPECT_EQ(-EPIPE, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(0, (int)info_of(e[0]).sent);
		EXPECT_EQ(0, (int)info_of(e[0]).len);
		close2(e);
	}
	EXPECT_EQ(0, pipe_signals);
}

/* CL-06, FD-04 */
TEST(a_second_shut_changes_nothing_and_each_side_keeps_its_own_cause)
{
	int e[2], d;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	d = dup(e[1]);
	EXPECT_EQ(-EBADF, chan_shut(-1, 0));
	EXPECT_EQ(-EINVAL, chan_shut(e[1], 4096));
	EXPECT_EQ(-EINVAL, chan_shut(e[1], -1));
	EXPECT_EQ(0, (int)info_of(e[0]).shut);
	EXPECT_EQ(0, chan_shut(d, EIO));
	EXPECT_EQ(-EPIPE, chan_shut(e[1], ENOSPC));
	EXPECT_EQ(-EPIPE, chan_shut(d, 0));
	EXPECT_EQ(-EINVAL, chan_shut(d, 4096));
	EXPECT_EQ(KCHAN_SHUT_SEND, info_of(e[0]).shut);
	EXPECT_EQ(0, chan_shut(e[0], ESTALE));
	EXPECT_EQ(-EPIPE, chan_shut(e[0], EIO));
	for (int i = 0; i < 2; i++) {
		struct chan_info in = info_of(e[i]);

		EXPECT_EQ(KCHAN_SHUT_SEND | KCHAN_SHUT_RECV, in.shut);
		EXPECT_EQ(EIO, (int)in.send_err);
		EXPECT_EQ(ESTALE, (int)in.recv_err);
	}
	close(d);
	close(e[1]);	/* gone after a shut: the cause stays the shut's */
	EXPECT_EQ(EIO, (int)info_of(e[0]).send_err);
	EXPECT_EQ(0, (int)info_of(e[0]).senders);
	EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &d, 4, -1, CHAN_NOW));
	close(e[0]);
}

/* CL-02 */
TEST(a_receivers_shut_lets_the_buffer_be_drained)
{
	for (int err = 0; err <= EIO; err += EIO) {
		int e[2], v;

		ASSERT_EQ(0, chan_make(e, 4, 3, 0));
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(0, chan_send(e[1], &i, 4, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_shut(e[0], err));
		EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(err, (int)info_of(e[1]).recv_err);
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_FOREVER));
			EXPECT_EQ(i, v);
		}
		/* the receiving side ended it: no sender broke off */
		EXPECT_EQ(-EPIPE, chan_recv(e[0], &v, 4, -1, CHAN_FOREVER));
		close(e[1]);
		EXPECT_EQ(-EPIPE, chan_recv(e[0], &v, 4, -1, CHAN_FOREVER));
		EXPECT_EQ(EOWNERDEAD, (int)info_of(e[0]).send_err);
		close(e[0]);
	}
}

static int select_recv(void *arg)
{
	struct op *o = arg;
	struct chan_case c[3] = { chan_recv_case(-1, &o->val, 4), chan_recv_case(o->fd, &o->val, 4),
				  chan_recv_case(o->fd, &o->val, 4) };
	int r = chan_select(c, 3, 0, -1, SOON);

	o->ret = r > 0 ? c[r].msg.res : -1000 + r;
	return 0;
}

static int select_send(void *arg)
{
	struct op *o = arg;
	struct chan_case c[2] = {
		chan_send_case(o->fd, &o->val, 4), chan_send_case(o->fd, &o->val, 4),
	};
	int r = chan_select(c, 2, 0, -1, SOON);

	o->ret = r >= 0 ? c[r].msg.res : -1000 + r;
	return 0;
}

static int read_end(void *arg)
{
	struct op *o = arg;

	o->ret = read(o->fd, &o->val, 4);
	return 0;
}

static int write_end(void *arg)
{
	struct op *o = arg;

	o->ret = write(o->fd, &o->val, 4) < 0 ? -errno : 0;
	return 0;
}

/* CL-02, FD-04 */
TEST_F(close, parked_receives_of_every_kind_get_the_cause)
{
	int (*body[])(void *) = { party_recv, select_recv, read_end, party_recv };
	int max = quick(20, 4);

	for (int i = 0; i < 2 * max; i++) {
		int e[2], side = i & 1, err = i & 2 ? EIO : 0;
		struct op *o = shared(4 * sizeof(*o));
		struct party t[4];

		ASSERT_EQ(0, chan_make(e, 4, i / 2, 0));
		for (int k = 0; k < 4; k++) {
			o[k] = (struct op){ .fd = e[0], .val = 77 };
			party_start(&t[k], variant->proc, body[k], &o[k]);
		}
		ASSERT_TRUE(parked(e[0], 0, 5));
		EXPECT_EQ(0, chan_shut(e[side], err));
		for (int k = 0; k < 4; k++) {
			ASSERT_EQ(0, party_end(&t[k]));
			EXPECT_EQ(body[k] == read_end ? 0 : end_of(side ? err : 0), o[k].ret);
			EXPECT_EQ(body[k] == party_recv ? -1 : 77, o[k].val);
		}
		EXPECT_EQ(0, (int)info_of(e[0]).parked_receivers);
		EXPECT_EQ(0, (int)info_of(e[0]).received);
		munmap(o, 4 * sizeof(*o));
		close2(e);
	}
}

/* CL-02, FD-04 */
TEST_F(close, parked_sends_of_every_kind_are_EPIPE_and_undelivered)
{
	int (*body[])(void *) = { party_send, select_send, write_end, party_send };
	int max = quick(20, 4);

	signal(SIGPIPE, count_signal);
	for (int i = 0; i < 2 * max; i++) {
		int e[2], side = i & 1, err = i & 2 ? EIO : 0, v;
		struct op *o = shared(4 * sizeof(*o));
		struct party t[4];

		ASSERT_EQ(0, chan_make(e, 4, i / 2, 0));
		for (v = 0; v < i / 2; v++)
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		for (int k = 0; k < 4; k++) {
			o[k] = (struct op){ .fd = e[1], .val = 1000 };
			party_start(&t[k], variant->proc, body[k], &o[k]);
		}
		ASSERT_TRUE(parked(e[0], 5, 0));
		EXPECT_EQ(0, chan_shut(e[side], err));
		for (int k = 0; k < 4; k++) {
			ASSERT_EQ(0, party_end(&t[k]));
			EXPECT_EQ(-EPIPE, o[k].ret);
		}
		for (int k = 0; k < i / 2; k++) {
			ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
			EXPECT_EQ(k, v);
		}
		EXPECT_EQ(end_of(side ? err : 0), chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(i / 2, (int)info_of(e[0]).sent);
		EXPECT_EQ(0, (int)info_of(e[0]).parked_senders);
		munmap(o, 4 * sizeof(*o));
		close2(e);
	}
	EXPECT_EQ(0, pipe_signals);
}

/* More than are woken in one hold of the lock. */
TEST_F(close, a_shut_wakes_a_hundred_parked)
{
	int n = quick(100, 40), e[2];
	struct op *o = shared(n * sizeof(*o));
	struct party t[100];

	for (int side = 0; side < 2; side++) {
		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		for (int i = 0; i < n; i++) {
			o[i] = (struct op){ .fd = e[side] };
			party_start(&t[i], variant->proc, side ? party_send : party_recv, &o[i]);
		}
		ASSERT_TRUE(parked(e[0], side ? n : 0, side ? 0 : n));
		EXPECT_EQ(0, chan_shut(e[1], EIO));
		for (int i = 0; i < n; i++) {
			ASSERT_EQ(0, party_end(&t[i]));
			EXPECT_EQ(side ? -EPIPE : -ECONNRESET, o[i].ret);
		}
		EXPECT_TRUE(parked(e[0], 0, 0));
		close2(e);
	}
}

/* What senders say they sent and receivers say they got, by number. */
struct race {
	int e[2], n;
	unsigned char sent[4][4096], got[4 * 4096];
	int next;
	long last[4];
};

static int race_send(void *arg)
{
	struct race *r = arg;
	int me = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED);

	for (int i = 0; i < 4096; i++) {
		int id = me * 4096 + i;

		r->last[me] = chan_send(r->e[1], &id, 4, -1, SOON);
		if (r->last[me])
			return 0;
		r->sent[me][i] = 1;
	}
	/* out of numbers before the shut, on a slow machine: it was no race */
	poll(&(struct pollfd){ .fd = r->e[1] }, 1, PATIENCE);
	r->last[me] = chan_send(r->e[1], &me, 4, -1, CHAN_NOW);
	return 0;
}

static int race_recv(void *arg)
{
	struct race *r = arg;
	long got;
	int id;

	while ((got = chan_recv(r->e[0], &id, 4, -1, SOON)) == 4)
		__atomic_fetch_add(&r->got[id], 1, __ATOMIC_RELAXED);
	return got != -EPIPE;
}

/* CL-07: whichever side is shut, a send was received once or it failed */
TEST_F(close, a_send_that_races_a_shut_is_received_or_fails)
{
	int rounds = count(2000, variant->proc ? 60 : 150, 20);
	struct race *r = shared(sizeof(*r));
	unsigned int seed = getpid();

	TH_LOG("seed %u", seed);
	for (int k = 0; k < rounds; k++) {
		struct party t[6];

		memset(r, 0, sizeof(*r));
		ASSERT_EQ(0, chan_make(r->e, 4, k % 2 ? 10 : 0, 0));
		for (int i = 0; i < 6; i++)
			party_start(&t[i], variant->proc, i < 4 ? race_send : race_recv, r);
		usleep(rand_r(&seed) % 3000);
		EXPECT_EQ(0, chan_shut(r->e[k / 2 % 2], 0));
		for (int i = 0; i < 6; i++)
			EXPECT_EQ(0, party_end(&t[i]));
		for (int i = 0; i < 4; i++)
			EXPECT_EQ(-EPIPE, r->last[i]);
		for (int i = 0; i < 4 * 4096; i++) {
			ASSERT_EQ(r->sent[i / 4096][i % 4096], r->got[i])
				TH_LOG("message %d of round %d", i, k);
		}
		EXPECT_EQ(info_of(r->e[0]).sent, info_of(r->e[0]).received);
		close2(r->e);
	}
}

/* CL-08, ZS-01 */
TEST(tokens_are_drained_one_by_one)
{
	int n = quick(100000, 20000), e[2], got = 0;

	ASSERT_EQ(0, chan_make(e, 0, n, 0));
	for (int i = 0; i < n; i++)
		ASSERT_EQ(0, chan_send(e[1], NULL, 0, -1, CHAN_NOW));
	EXPECT_EQ(-EAGAIN, chan_send(e[1], NULL, 0, -1, CHAN_NOW));
	EXPECT_EQ(0, chan_shut(e[1], 0));
	while (!chan_recv(e[0], NULL, 0, -1, CHAN_FOREVER))
		got++;
	EXPECT_EQ(n, got);
	EXPECT_EQ(-EPIPE, chan_recv(e[0], NULL, 0, -1, CHAN_FOREVER));
	close2(e);
}

struct asker { int fd, want, asks; };

static int ask(void *arg)
{
	struct asker *a = arg;

	for (int left = 50; left; ) {
		struct chan_info in = info_of(a->fd);

		__atomic_store_n(&a->asks, 1, __ATOMIC_RELAXED);
		if (in.len != (unsigned)a->want || in.capacity != 10)
			return 1;
		left -= in.shut != 0;
	}
	return 0;
}

/* CL-09, CH-05 */
TEST_F(close, info_asked_while_it_is_shut_keeps_len_and_capacity)
{
	int rounds = count(1000, 200, 30), v = 1;

	for (int i = 0; i < rounds; i++) {
		struct asker *a = shared(sizeof(*a));
		struct party t;
		int e[2];

		ASSERT_EQ(0, chan_make(e, 4, 10, 0));
		for (int k = 0; k < (i & 1 ? 4 : 0); k++)
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		*a = (struct asker){ e[i / 2 % 2], i & 1 ? 4 : 0, 0 };
		party_start(&t, variant->proc, ask, a);
		while (!__atomic_load_n(&a->asks, __ATOMIC_RELAXED))
			sched_yield();
		EXPECT_EQ(0, chan_shut(e[i / 4 % 2], 0));
		EXPECT_EQ(0, party_end(&t));
		munmap(a, sizeof(*a));
		close2(e);
	}
}

static int poll_until_shut(void *arg)
{
	struct op *o = arg;
	int64_t end = SOON;

	do
		o->ret = chan_recv(o->fd, NULL, 0, -1, CHAN_NOW);
	while (o->ret == -EAGAIN && chan_after(0) < end);
	return 0;
}

/* NB-05 */
TEST_F(close, a_loop_that_never_waits_sees_the_shut)
{
	struct op *o = shared(sizeof(*o));
	struct party t;
	int e[2];

	ASSERT_EQ(0, chan_make(e, 0, 0, 0));
	*o = (struct op){ .fd = e[0] };
	party_start(&t, variant->proc, poll_until_shut, o);
	usleep(10000);
	EXPECT_EQ(0, chan_shut(e[1], 0));
	ASSERT_EQ(0, party_end(&t));
	EXPECT_EQ(-EPIPE, o->ret);
	close2(e);
}

TEST_HARNESS_MAIN
