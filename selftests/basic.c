// SPDX-License-Identifier: MIT
/* Channels: send, receive, order, capacity, drops, shut, ends, info. */
#include "util.h"
#include "harness.h"

/* CH-01, 02, 05, CL-01: what any capacity does when empty, full and shut */
TEST(every_capacity_waits_drains_and_ends)
{
	for (int cap = 0; cap < 20; cap++) {
		int e[2], v = -1;

		ASSERT_EQ(0, chan_make(e, 4, cap, 0));
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		for (int i = 0; i < cap; i++)
			ASSERT_EQ(0, chan_send(e[1], &i, 4, -1, CHAN_NOW));
		EXPECT_EQ(cap, info_of(e[0]).len);
		EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(-ETIMEDOUT, chan_send(e[1], &v, 4, -1, chan_after(MS)));
		EXPECT_EQ(cap, info_of(e[0]).len);
		EXPECT_EQ(0, chan_shut(e[1], 0));
		for (int i = 0; i < cap; i++) {
			ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
			EXPECT_EQ(i, v);
		}
		v = 77;
		EXPECT_EQ(-EPIPE, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(-EPIPE, chan_recv(e[0], &v, 4, -1, CHAN_FOREVER));
		EXPECT_EQ(77, v);
		close2(e);
	}
}

THREADS_AND_PROCESSES(basic);

/* CH-03, CH-04: 4 senders, 4 receivers, every value exactly four times */
struct flood { int e[2], n, count[1000]; };

static int flood_send(void *arg)
{
	struct flood *f = arg;

	for (int i = 0; i < f->n; i++)
		WANT(!chan_send(f->e[1], &i, 4, -1, CHAN_FOREVER));
	return 0;
}

static int flood_recv(void *arg)
{
	struct flood *f = arg;
	int v;

	for (int i = 0; i < f->n; i++) {
		WANT(chan_recv(f->e[0], &v, 4, -1, CHAN_FOREVER) == 4);
		__atomic_add_fetch(&f->count[v], 1, __ATOMIC_RELAXED);
	}
	return 0;
}

TEST_F(basic, four_senders_four_receivers_lose_nothing)
{
	int caps[] = { 0, 1, 2, 7, 199 };

	for (unsigned int c = 0; c < 5; c++) {
		struct flood *f = shared(sizeof(*f));
		struct party p[8];

		f->n = quick(1000, 200);
		ASSERT_EQ(0, chan_make(f->e, 4, caps[c], 0));
		for (int i = 0; i < 8; i++)
			ASSERT_TRUE(party_start(&p[i], variant->proc, i < 4 ? flood_send : flood_recv, f));
		for (int i = 0; i < 8; i++)
			EXPECT_EQ(0, party_end(&p[i]));
		for (int i = 0; i < f->n; i++)
			ASSERT_EQ(4, f->count[i]);
		struct chan_info in = info_of(f->e[0]);

		EXPECT_EQ(4 * f->n, in.sent);
		EXPECT_EQ(4 * f->n, in.received);
		EXPECT_EQ(0, in.len);
		close2(f->e);
	}
}

TEST(fifo_of_messages_and_of_waiters)
{
	struct op r[10], s[10];
	int e[2], v;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int i = 0; i < 10; i++) {
		r[i] = (struct op){ .fd = e[0] };
		pthread_create(&r[i].t, NULL, op_recv, &r[i]);
		ASSERT_TRUE(parked(e[0], 0, i + 1));
	}
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(0, chan_send(e[1], &i, 4, -1, CHAN_NOW));
	for (int i = 0; i < 10; i++) {
		pthread_join(r[i].t, NULL);
		EXPECT_EQ(i, r[i].val);
	}
	for (int i = 0; i < 10; i++) {
		s[i] = (struct op){ .fd = e[1], .val = i };
		pthread_create(&s[i].t, NULL, op_send, &s[i]);
		ASSERT_TRUE(parked(e[0], i + 1, 0));
	}
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(i, v);
		pthread_join(s[i].t, NULL);
		EXPECT_EQ(0, s[i].ret);
	}
	close2(e);
}

TEST(sizes_from_empty_to_the_limit)
{
	static char in[65536], out[65536];
	size_t sizes[] = { 0, 1, 127, 128, 129, 4096, 65535, 65536 };
	int e[2];

	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = i * 31 + i / 251;
	for (int cap = 0; cap < 2; cap++) {
		ASSERT_EQ(0, chan_make(e, 65536, cap ? 8 : 1, 0));
		for (int i = 0; i < 8; i++) {
			memset(out, 0, sizeof(out));
			ASSERT_EQ(0, chan_send(e[1], in, sizes[i], -1, CHAN_NOW));
			EXPECT_EQ(sizes[i], info_of(e[0]).next_len);
			ASSERT_EQ((long)sizes[i], chan_recv(e[0], out, sizeof(out), -1, CHAN_NOW));
			EXPECT_EQ(0, memcmp(in, out, sizes[i]));
		}
		EXPECT_EQ(-EMSGSIZE, chan_send(e[1], in, 65537, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_send(e[1], in, 100, -1, CHAN_NOW));
		EXPECT_EQ(-EMSGSIZE, chan_recv(e[0], out, 99, -1, CHAN_NOW));
		EXPECT_EQ(100, chan_recv(e[0], out, 100, -1, CHAN_NOW));
		close2(e);
	}
}

/*
 * The memory of a long message may serve the next one, longer or shorter, from whoever:
 * each comes out as it went in, and those that could not be sent, received or that were
 * dropped leave nothing behind.
 */
static void long_and_short(struct __test_metadata *_metadata, unsigned capacity, unsigned flags)
{
	static const size_t sizes[] = { 4096, 129, 3000, 8, 4095, 200, 0, 4097, 131, 9000, 4096, 128, 130 };
	static unsigned char in[9000], out[9000];
	unsigned seed = capacity + flags, sent = 0, received = 0;
	int e[2];

	ASSERT_EQ(0, chan_make(e, sizeof(in), capacity, flags));
	for (int n = 0; n < 3000; n++) {
		size_t size = sizes[rand_r(&seed) % 13];
		long r;

		memset(in, n, size);
		memcpy(in, &size, size < sizeof(size) ? size : sizeof(size));
		r = chan_send(e[1], in, size, -1, CHAN_NOW);
		ASSERT_TRUE(r >= 0 || r == -EAGAIN);
		sent += r >= 0;
		if (rand_r(&seed) % 8 == 0)
			ASSERT_EQ(-EFAULT, chan_send(e[1], (char *)8, 500, -1, CHAN_NOW));
		if (rand_r(&seed) % 3 == 0)
			continue;
		size = info_of(e[0]).next_len;
		if (size > 8) {
			ASSERT_EQ(-EMSGSIZE, chan_recv(e[0], out, size - 1, -1, CHAN_NOW));
			ASSERT_EQ(-EFAULT, chan_recv(e[0], (char *)8, size, -1, CHAN_NOW));
		}
		r = chan_recv(e[0], out, sizeof(out), -1, CHAN_NOW);
		ASSERT_TRUE(r == -EAGAIN || r == (long)size);
		if (r < 0)
			continue;
		received++;
		if (size < sizeof(size))
			continue;
		ASSERT_EQ(0, memcmp(out, &size, sizeof(size)));
		for (size_t i = sizeof(size) + 1; i < size; i++)
			ASSERT_EQ(out[sizeof(size)], out[i]);
	}
	ASSERT_EQ(sent, received + info_of(e[0]).dropped + info_of(e[0]).len);
	EXPECT_LT(500, received);
	close2(e);
}

TEST(long_messages_after_one_another)
{
	long_and_short(_metadata, 1, 0);
	long_and_short(_metadata, 4, 0);
	long_and_short(_metadata, 3, CHAN_DROP_OLD);
	long_and_short(_metadata, 3, CHAN_DROP_NEW);
}

TEST(make_refuses_what_is_impossible)
{
	int e[2] = { -7, -7 };

	EXPECT_EQ(-EINVAL, chan_make(e, 65537, 1, 0));
	EXPECT_EQ(-EINVAL, chan_make(e, SIZE_MAX, 1, 0));
	EXPECT_EQ(-EINVAL, chan_make(e, 8, UINT32_MAX, 0));
	EXPECT_EQ(-EINVAL, chan_make(e, 8, (1 << 20) + 1, 0));
	EXPECT_EQ(-EINVAL, chan_make(e, 8, 1, 1U << 31));
	EXPECT_EQ(-EINVAL, chan_make(e, 8, 0, CHAN_DROP_NEW));
	EXPECT_EQ(-EINVAL, chan_make(e, 8, 0, CHAN_DROP_OLD));
	EXPECT_EQ(-EINVAL, chan_make(e, 8, 1, CHAN_DROP_OLD | CHAN_DROP_NEW));
	EXPECT_EQ(-7, e[0]);
	EXPECT_EQ(-EFAULT, chan_make(NULL, 8, 1, 0));
}

TEST(drop_new_keeps_the_oldest_and_counts)
{
	int e[2], v;

	ASSERT_EQ(0, chan_make(e, 4, 2, CHAN_DROP_NEW));
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(i >= 2, chan_send(e[1], &i, 4, -1, CHAN_FOREVER));
	EXPECT_EQ(3, info_of(e[0]).dropped);
	EXPECT_EQ(5, info_of(e[0]).sent);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(i, v);
	}
	close2(e);
}

TEST(drop_old_keeps_the_newest_and_counts)
{
	char big[1000];
	int e[2];

	ASSERT_EQ(0, chan_make(e, sizeof(big), 2, CHAN_DROP_OLD));
	for (int i = 0; i < 5; i++) {
		memset(big, i, sizeof(big));
		EXPECT_EQ(i >= 2, chan_send(e[1], big, sizeof(big), -1, CHAN_FOREVER));
	}
	EXPECT_EQ(3, info_of(e[0]).dropped);
	for (int i = 3; i < 5; i++) {
		ASSERT_EQ((long)sizeof(big), chan_recv(e[0], big, sizeof(big), -1, CHAN_NOW));
		EXPECT_EQ(i, big[999]);
	}
	close2(e);
}

TEST(shut_wakes_parked_receivers_with_its_cause)
{
	for (int err = 0; err < 2; err++) {
		struct op r[3];
		int e[2];

		ASSERT_EQ(0, chan_make(e, 4, err, 0));
		for (int i = 0; i < 3; i++) {
			r[i] = (struct op){ .fd = e[0] };
			pthread_create(&r[i].t, NULL, op_recv, &r[i]);
		}
		ASSERT_TRUE(parked(e[0], 0, 3));
		EXPECT_EQ(0, chan_shut(e[1], err ? EIO : 0));
		for (int i = 0; i < 3; i++) {
			pthread_join(r[i].t, NULL);
			EXPECT_EQ(err ? -ECONNRESET : -EPIPE, r[i].ret);
			EXPECT_EQ(-1, r[i].val);
		}
		EXPECT_EQ(-EPIPE, chan_shut(e[1], 5));
		EXPECT_EQ(err ? EIO : 0, (int)info_of(e[0]).send_err);
		EXPECT_EQ(1, (int)info_of(e[0]).shut);
		EXPECT_EQ(-EPIPE, chan_send(e[1], &err, 4, -1, CHAN_NOW));
		close2(e);
	}
}

TEST(shut_wakes_parked_senders_undelivered)
{
	struct op s[2];
	int e[2], v = 5;

	for (int side = 0; side < 2; side++) {
		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		for (int i = 0; i < 2; i++) {
			s[i] = (struct op){ .fd = e[1], .val = 100 };
			pthread_create(&s[i].t, NULL, op_send, &s[i]);
		}
		ASSERT_TRUE(parked(e[0], 2, 0));
		EXPECT_EQ(0, chan_shut(e[side], 0));
		for (int i = 0; i < 2; i++) {
			pthread_join(s[i].t, NULL);
			EXPECT_EQ(-EPIPE, s[i].ret);
		}
		EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(5, v);
		EXPECT_EQ(-EPIPE, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		close2(e);
	}
}

TEST(last_sender_gone_is_told_from_a_shut)
{
	int e[2], d, v = 1;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	d = dup(e[1]);
	EXPECT_EQ(2, (int)info_of(e[0]).senders);
	ASSERT_EQ(0, chan_send(d, &v, 4, -1, CHAN_NOW));
	close(e[1]);
	EXPECT_EQ(1, (int)info_of(e[0]).senders);
	EXPECT_EQ(0, (int)info_of(e[0]).shut);
	close(d);
	EXPECT_EQ(0, (int)info_of(e[0]).senders);
	EXPECT_EQ(EOWNERDEAD, (int)info_of(e[0]).send_err);
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, read(e[0], &v, 4));
	close(e[0]);
}

TEST(last_receiver_gone_frees_and_counts)
{
	int e[2], v = 1;

	ASSERT_EQ(0, chan_make(e, 400, 3, 0));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	close(e[0]);
	EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, CHAN_FOREVER));
	EXPECT_EQ(EOWNERDEAD, (int)info_of(e[1]).recv_err);
	EXPECT_EQ(3, (int)info_of(e[1]).dropped);
	EXPECT_EQ(0, (int)info_of(e[1]).len);
	close(e[1]);
}

/* NP-01, NP-02 */
TEST(wrong_descriptors_are_refused)
{
	int e[2], p[2], v = 0;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, pipe(p));
	EXPECT_EQ(-EBADF, chan_send(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_recv(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-ENOTTY, chan_send(p[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_send(-1, &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_send(9999, &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_send(e[1], &v, 4, 9999, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_send(e[1], &v, 4, e[0], CHAN_NOW));
	EXPECT_EQ(-ENOTTY, chan_send(e[1], &v, 4, p[0], CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_send(e[1], &v, 4, -2, CHAN_NOW));
	EXPECT_EQ(-1, read(e[1], &v, 4));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(CHAN_RX, chan_kind(e[0]));
	EXPECT_EQ(CHAN_TX, chan_kind(e[1]));
	EXPECT_EQ(-ENOTTY, chan_kind(p[0]));
	EXPECT_EQ(-EBADF, chan_kind(9999));
	EXPECT_EQ(-EINVAL, chan_shut(e[1], 4096));
	EXPECT_EQ(-EINVAL, chan_shut(e[1], -1));
	EXPECT_EQ(0, (int)info_of(e[0]).shut);
	close2(e);
	close2(p);
}

/* Does every call on @fd end with @want? Or the line of the one that doesn't. */
static int all_calls(int fd, int want)
{
	char buf[8] = "1234567";
	struct chan_msg m = { .buf = buf, .len = 4 };
	struct chan_case k = chan_send_case(fd, buf, 4);
	struct chan_group_info g;
	struct chan_info in;
	int first;

#define CALL(x) do { if ((x) != want) return __LINE__; } while (0)
	CALL(chan_send(fd, buf, 4, -1, CHAN_NOW));
	CALL(chan_recv(fd, buf, 4, -1, CHAN_NOW));
	CALL(chan_sendm(fd, &m, 1, -1, CHAN_NOW));
	CALL(chan_recvm(fd, &m, 1, -1, CHAN_NOW));
	CALL(chan_select(&k, 1, 0, -1, CHAN_NOW));
	CALL(chan_arm(&k, 1, 0));
	k = chan_recv_case(fd, buf, 4);
	CALL(chan_select(&k, 1, 0, -1, CHAN_NOW));
	CALL(chan_arm(&k, 1, 0));
	CALL(chan_select(NULL, 0, 0, fd == -1 ? -2 : fd, CHAN_NOW));
	CALL(chan_fired(fd, &k, 1));
	CALL(chan_shut(fd, 0));
	CALL(chan_info(fd, &in, sizeof(in)));
	CALL(chan_kind(fd));
	CALL(chan_group(fd, CHAN_FOREVER, 0, 0));
	CALL(chan_watch(fd));
	CALL(chan_join(fd, -1, CHAN_NOW));
	CALL(chan_leave(fd, 0, NULL));
	CALL(chan_cancel(fd, 0, NULL));
	CALL(chan_wait(fd, &first, -1, CHAN_NOW));
	CALL(chan_group_info(fd, &g, sizeof(g)));
	CALL(chan_value_set(fd, "k", "v", 1));
	CALL(chan_value_get(fd, "k", buf, 8));
#undef CALL
	return 0;
}

/* PX-12 */
TEST(a_number_that_is_closed_or_used_again_is_not_ours)
{
	for (int kind = 0; kind < 6; kind++) {
		int e[2], p[2], g = chan_group(-1, CHAN_FOREVER, 0, 0), fd, in_pipe;
		struct chan_case k;
		char got[8] = "";

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		k = chan_recv_case(e[0], NULL, 0);
		switch (kind) {
		case 0:
			fd = dup(e[0]);
			break;
		case 1:
			fd = dup(e[1]);
			break;
		case 2:
			fd = dup(g);
			break;
		case 3:
			fd = chan_watch(g);
			break;
		case 4:
			fd = chan_join(g, -1, CHAN_NOW);
			break;
		default:
			fd = chan_arm(&k, 1, 0);
		}
		ASSERT_LE(0, fd);
		close(fd);
		EXPECT_EQ(0, all_calls(fd, -EBADF)) {
			TH_LOG("closed, kind %d", kind);
		}
		ASSERT_EQ(0, pipe(p));		/* one of its ends gets the number */
		ASSERT_TRUE(p[0] == fd);
		ASSERT_EQ(3, write(p[1], "abc", 3));
		for (int end = 0; end < 2; end++) {
			EXPECT_EQ(0, all_calls(p[end], -ENOTTY)) {
				TH_LOG("end %d of a pipe, kind %d", end, kind);
			}
			ASSERT_EQ(0, ioctl(p[0], FIONREAD, &in_pipe));
			EXPECT_EQ(3, in_pipe);
		}
		EXPECT_EQ(3, read(p[0], got, sizeof(got)));
		EXPECT_STREQ("abc", got);
		EXPECT_EQ(0, (int)(info_of(e[0]).sent + info_of(e[0]).shut));
		EXPECT_EQ(0, chan_cancel(g, 0, NULL));
		close2(p);
		close2(e);
		close(g);
	}
}

TEST(bad_buffers_lose_nothing)
{
	struct op r = {};
	char big[8] = "1234567";
	int e[2], v = 9, got;

	ASSERT_EQ(0, chan_make(e, 400, 2, 0));
	EXPECT_EQ(-EFAULT, chan_send(e[1], (void *)8, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, (int)info_of(e[0]).sent);
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	v = 10;
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(-EFAULT, chan_recv(e[0], (void *)8, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, (int)info_of(e[0]).received);
	EXPECT_EQ(2, (int)info_of(e[0]).len);
	EXPECT_EQ(4, chan_recv(e[0], &got, 4, -1, CHAN_NOW));
	EXPECT_EQ(9, got);
	EXPECT_EQ(4, chan_recv(e[0], &got, 4, -1, CHAN_NOW));
	EXPECT_EQ(10, got);
	close2(e);
	/* parked: the one with too little room gets the error, unless the send does not happen */
	ASSERT_EQ(0, chan_make(e, 400, 0, 0));
	r.fd = e[0];
	pthread_create(&r.t, NULL, op_recv, &r);
	ASSERT_TRUE(parked(e[0], 0, 1));
	EXPECT_EQ(-EAGAIN, chan_send(e[1], big, 8, -1, CHAN_NOW));
	EXPECT_EQ(1, (int)info_of(e[0]).parked_receivers);
	EXPECT_TRUE(waits_in_vain(e[1], big, 8));
	pthread_join(r.t, NULL);
	EXPECT_EQ(-EMSGSIZE, r.ret);
	close2(e);
}

TEST(ten_thousand_channels_come_and_go)
{
	int n = quick(10000, 1000), e[2], v = 3;

	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, chan_make(e, 4, 10, 0));
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		close2(e);
	}
}

TEST(reads_and_writes_move_a_message_each)
{
	int e[2];
	char b[16];

	ASSERT_EQ(0, chan_make(e, 8, 2, 0));
	EXPECT_EQ(-1, write(e[1], b, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(3, write(e[1], "abc", 3));
	EXPECT_EQ(-1, write(e[1], b, 9));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-1, read(e[0], b, 2));
	EXPECT_EQ(EMSGSIZE, errno);
	struct iovec iov[2] = { { b, 1 }, { b + 4, 8 } };

	EXPECT_EQ(3, readv(e[0], iov, 2));
	EXPECT_EQ('a', b[0]);
	EXPECT_EQ('c', b[5]);
	EXPECT_EQ(-1, preadv2(e[0], iov, 2, -1, RWF_NOWAIT));
	EXPECT_EQ(EAGAIN, errno);
	fcntl(e[0], F_SETFL, O_NONBLOCK);
	EXPECT_EQ(-1, read(e[0], b, 8));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, chan_send(e[1], NULL, 0, -1, CHAN_NOW));
	EXPECT_EQ(-1, read(e[0], b, 8));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_EQ(0, chan_recv(e[0], NULL, 0, -1, CHAN_NOW));
	chan_shut(e[1], 0);
	EXPECT_EQ(0, read(e[0], b, 8));
	EXPECT_EQ(-1, write(e[1], "x", 1));
	EXPECT_EQ(EPIPE, errno);
	close2(e);
	ASSERT_EQ(0, chan_make(e, 0, 1, 0));
	EXPECT_EQ(-1, read(e[0], b, 8));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(e[1], b, 1));
	EXPECT_EQ(EINVAL, errno);
	close2(e);
}

/* CH-08: a message is told from the end in every form of receive */
TEST(every_form_tells_a_message_from_the_end)
{
	int e[2], idle[2], v, w;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chan_make(idle, 4, 1, 0));
	for (int k = 0; k < 10; k++) {
		struct chan_case c[2] = {
			chan_recv_case(e[0], &v, 4), chan_recv_case(idle[0], &w, 4),
		};
		int64_t deadline = k & 1 ? CHAN_NOW : k & 2 ? SOON : CHAN_FOREVER;

		if (k == 8) {
			ASSERT_EQ(0, chan_shut(e[1], 0));
		} else if (k < 8) {
			ASSERT_EQ(0, chan_send(e[1], &k, 4, -1, CHAN_NOW));
		}
		v = w = 77;
		if (k < 4 || k == 8) {
			EXPECT_EQ(k < 8 ? 4 : -EPIPE, chan_recv(e[0], &v, 4, -1, deadline));
		} else {
			EXPECT_EQ(0, chan_select(c, k < 6 ? 1 : 2, 0, -1, deadline));
			EXPECT_EQ(k < 8 ? 4 : -EPIPE, c[0].msg.res);
		}
		EXPECT_EQ(k < 8 ? k : 77, v);
		EXPECT_EQ(77, w);
	}
	close2(e);
	close2(idle);
}

static int alphabet(void *arg)
{
	int *e = arg;

	for (char c = 'a'; c <= 'z'; c++)
		if (chan_send(e[1], &c, 1, -1, SOON))
			return 1;
	return chan_shut(e[1], 0);
}

/* CH-09, CH-03 */
TEST_F(basic, a_loop_of_receives_sees_all_in_order_and_ends)
{
	int caps = quick(200, 20);

	for (int cap = 0; cap < caps; cap++) {
		int *e = shared(2 * sizeof(int));
		char c, want = 'a';
		struct party p;
		long r;

		ASSERT_EQ(0, chan_make(e, 1, cap, 0));
		ASSERT_TRUE(party_start(&p, variant->proc, alphabet, e));
		while ((r = chan_recv(e[0], &c, 1, -1, SOON)) == 1) {
			EXPECT_EQ(want, c);
			want++;
		}
		EXPECT_EQ(-EPIPE, r);
		EXPECT_EQ('z' + 1, want);
		EXPECT_EQ(0, party_end(&p));
		close2(e);
		munmap(e, 2 * sizeof(int));
	}
}

static __attribute__((noinline)) int deep(int n)
{
	volatile char frame[1024];

	memset((char *)frame, n, sizeof(frame));
	return n ? deep(n - 1) + frame[n] : 0;
}

static int send_and_recurse(void *arg)
{
	for (int i = 0; i < 10; i++) {
		int v = i;

		if (chan_send(*(int *)arg, &v, 4, -1, SOON))
			return 1;
		v = deep(20);
	}
	return 0;
}

/* CH-10 */
TEST_F(basic, a_message_from_the_stack_is_what_it_was_at_the_call)
{
	int *fd = shared(sizeof(int)), e[2], v;
	struct party p;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	*fd = e[1];
	ASSERT_TRUE(party_start(&p, variant->proc, send_and_recurse, fd));
	for (int i = 0; i < 10; i++) {
		ASSERT_TRUE(parked(e[0], 1, 0));
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
		EXPECT_EQ(i, v);
	}
	EXPECT_EQ(0, party_end(&p));
	close2(e);
}

static int give_result(void *arg)
{
	int v = 1 + 2;

	return chan_send(*(int *)arg, &v, 4, -1, SOON);
}

/* CH-07: the sender may be gone as soon as its message was taken */
TEST_F(basic, a_result_outlives_who_computed_it)
{
	int *fd = shared(sizeof(int)), n = quick(200, 20), e[2], v = 0;
	struct party p;

	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, chan_make(e, 4, i & 1, 0));
		*fd = e[1];
		ASSERT_TRUE(party_start(&p, variant->proc, give_result, fd));
		if (i & 1)
			EXPECT_EQ(0, party_end(&p));
		EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
		EXPECT_EQ(3, v);
		if (!(i & 1))
			EXPECT_EQ(0, party_end(&p));
		close2(e);
	}
}

TEST_HARNESS_MAIN
