// SPDX-License-Identifier: MIT
/* The short calls as commands of io_uring, of 64-bit and 32-bit programs. */
#include "harness.h"
#include "raw_ring.h"

FIXTURE(shorts)
{
	struct raw_ring ring;
	int e[2];
	char buf[256];
};

FIXTURE_SETUP(shorts)
{
	ASSERT_TRUE(chan_features() & CHAN_HAS_URING_SHORT);
	ASSERT_TRUE(raw_open(&self->ring));
	ASSERT_EQ(0, chan_make(self->e, 200, 2, 0));
	memset(self->buf, 0, sizeof(self->buf));
}

FIXTURE_TEARDOWN(shorts)
{
	raw_close(&self->ring);
	close2(self->e);
}

#define RUN(prep, ...) ({					\
	prep(raw_sqe(&self->ring), __VA_ARGS__);		\
	ASSERT_TRUE(raw_submit(&self->ring));			\
	raw_result(&self->ring);				\
})

TEST_F(shorts, messages_of_every_length_arrive_whole)
{
	char out[201], in[201];

	for (int i = 0; i < 201; i++)
		out[i] = i + 1;
	for (int len = 0; len <= 200; len++) {
		memset(in, 0, sizeof(in));
		ASSERT_EQ(0, RUN(chan_prep_send_wait, self->e[1], out, len));
		ASSERT_EQ(0, RUN(chan_prep_send_now, self->e[1], out, len));
		if (len)
			ASSERT_EQ(-EMSGSIZE, RUN(chan_prep_recv_wait, self->e[0], in, len - 1));
		ASSERT_EQ(len, RUN(chan_prep_recv_wait, self->e[0], in, len));
		ASSERT_EQ(0, memcmp(in, out, len));
		ASSERT_EQ(0, in[len]);
		ASSERT_EQ(len, RUN(chan_prep_recv_now, self->e[0], in, sizeof(in)));
	}
	EXPECT_EQ(-EMSGSIZE, RUN(chan_prep_send_wait, self->e[1], out, 201));
	EXPECT_EQ(-EMSGSIZE, RUN(chan_prep_send_now, self->e[1], out, UINT32_MAX));
	EXPECT_EQ(-EAGAIN, RUN(chan_prep_recv_now, self->e[0], in, 1));
	ASSERT_EQ(0, RUN(chan_prep_send_now, self->e[1], out, 5));
	EXPECT_EQ(5, RUN(chan_prep_recv_now, self->e[0], in, UINT32_MAX));
}

TEST_F(shorts, a_command_that_waits_is_parked_and_meets_its_peer)
{
	int e[2];

	ASSERT_EQ(0, chan_make(e, 8, 0, 0));
	EXPECT_EQ(-EAGAIN, RUN(chan_prep_recv_now, e[0], self->buf, 8));
	EXPECT_EQ(-EAGAIN, RUN(chan_prep_send_now, e[1], "abcd", 4));
	chan_prep_recv_wait(raw_sqe(&self->ring), e[0], self->buf, 8);
	ASSERT_TRUE(raw_submit(&self->ring));
	ASSERT_TRUE(parked(e[0], 0, 1));
	EXPECT_EQ(0, chan_send(e[1], "abcd", 4, -1, CHAN_NOW));
	EXPECT_EQ(4, raw_result(&self->ring));
	EXPECT_STREQ("abcd", self->buf);
	chan_prep_send_wait(raw_sqe(&self->ring), e[1], "efgh", 4);
	ASSERT_TRUE(raw_submit(&self->ring));
	ASSERT_TRUE(parked(e[0], 1, 0));
	EXPECT_EQ(4, chan_recv(e[0], self->buf, 8, -1, CHAN_NOW));
	EXPECT_STREQ("efgh", self->buf);
	EXPECT_EQ(0, raw_result(&self->ring));
	/* by a worker, which waits itself */
	chan_prep_recv_wait(raw_sqe(&self->ring), e[0], self->buf, 8);
	raw_sqe(&self->ring)->flags = IOSQE_ASYNC;
	ASSERT_TRUE(raw_submit(&self->ring));
	ASSERT_TRUE(parked(e[0], 0, 1));
	EXPECT_EQ(0, chan_send(e[1], "ijkl", 4, -1, CHAN_NOW));
	EXPECT_EQ(4, raw_result(&self->ring));
	EXPECT_STREQ("ijkl", self->buf);
	/* ended by a shut, before and while it waits */
	chan_prep_recv_wait(raw_sqe(&self->ring), e[0], self->buf, 8);
	ASSERT_TRUE(raw_submit(&self->ring));
	ASSERT_TRUE(parked(e[0], 0, 1));
	ASSERT_EQ(0, chan_shut(e[1], EIO));
	EXPECT_EQ(-ECONNRESET, raw_result(&self->ring));
	EXPECT_EQ(-ECONNRESET, RUN(chan_prep_recv_wait, e[0], self->buf, 8));
	EXPECT_EQ(-EPIPE, RUN(chan_prep_send_wait, e[1], "x", 1));
	close2(e);
}

TEST_F(shorts, the_end_of_the_ring_ends_what_is_parked)
{
	struct raw_ring ring;

	ASSERT_TRUE(raw_open(&ring));
	chan_prep_recv_wait(raw_sqe(&ring), self->e[0], self->buf, 8);
	ASSERT_TRUE(raw_submit(&ring));
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	raw_close(&ring);
	EXPECT_TRUE(parked(self->e[0], 0, 0));
}

/* A registered buffer: the long form's way, with the short form's entry. */
TEST_F(shorts, registered_buffers)
{
	static char mem[200], other[200];
	struct iovec v[2] = { { mem, sizeof(mem) }, { other, sizeof(other) } };
	struct io_uring_sqe *q;

	ASSERT_EQ(0, syscall(SYS_io_uring_register, self->ring.fd, IORING_REGISTER_BUFFERS, v, 2));
	strcpy(mem, "fixed");
	q = raw_sqe(&self->ring);
	chan_prep_send_wait(q, self->e[1], mem, 6);
	q->rw_flags = IORING_URING_CMD_FIXED;
	ASSERT_TRUE(raw_submit(&self->ring));
	EXPECT_EQ(0, raw_result(&self->ring));
	for (int room = 200; room <= 201; room++) {	/* one more than there is */
		q = raw_sqe(&self->ring);
		chan_prep_recv_wait(q, self->e[0], other, room);
		q->rw_flags = IORING_URING_CMD_FIXED;
		q->buf_index = 1;
		ASSERT_TRUE(raw_submit(&self->ring));
		EXPECT_EQ(room == 200 ? 6 : -EFAULT, raw_result(&self->ring));
	}
	EXPECT_STREQ("fixed", other);
}

/* Every field of an entry that must have a value has another once. */
TEST_F(shorts, what_is_wrong_is_refused_and_changes_nothing)
{
	static const unsigned ops[] = { KCHAN_IOC_SEND_WAIT(0), KCHAN_IOC_SEND_NOW(0),
					KCHAN_IOC_RECV_WAIT(0), KCHAN_IOC_RECV_NOW(0) };
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), dev = open("/dev/kchan", O_RDWR);
	struct chan_info before, after;

	ASSERT_EQ(0, chan_send(self->e[1], "kept", 4, -1, CHAN_NOW));
	before = info_of(self->e[0]);
	for (int i = 0; i < 4; i++) {
		bool rx = i >= 2;
		int fd = self->e[!rx];
		struct io_uring_sqe *q;

#define EXPECT_BAD(err, fd, op, buf, len, ...) do {			\
	q = raw_sqe(&self->ring);					\
	chan_prep_command_(q, fd, op, buf, len);			\
	__VA_ARGS__;							\
	ASSERT_TRUE(raw_submit(&self->ring));				\
	EXPECT_EQ(err, raw_result(&self->ring)) {			\
		TH_LOG("op %d", i);					\
	}								\
} while (0)
		EXPECT_BAD(-EBADF, self->e[rx], ops[i], self->buf, 4, );
		EXPECT_BAD(-EBADF, g, ops[i], self->buf, 4, );
		EXPECT_BAD(-EBADF, dev, ops[i], self->buf, 4, );
		EXPECT_BAD(-EBADF, 9999, ops[i], self->buf, 4, );
		EXPECT_BAD(-EFAULT, fd, ops[i], (void *)8, 200, );
		EXPECT_BAD(-EFAULT, fd, ops[i], (void *)8, 4, );
		EXPECT_BAD(-EMSGSIZE, fd, ops[i], self->buf, rx ? 3 : 201, );
		EXPECT_BAD(-EINVAL, fd, ops[i], self->buf, 4, memset((char *)q + 60, 1, 1));
		EXPECT_BAD(-EINVAL, fd, ops[i], self->buf, 4, memset((char *)q + 63, 128, 1));
		EXPECT_BAD(-EINVAL, fd, ops[i], self->buf, 4, q->rw_flags = 1 << 5);
		EXPECT_BAD(-EINVAL, fd, ops[i], self->buf, 4, q->ioprio = 1);
		EXPECT_BAD(-EINVAL, fd, ops[i], self->buf, 4, q->off = (uint64_t)1 << 32 | ops[i]);
		EXPECT_BAD(-EFAULT, fd, ops[i], self->buf, 4, q->rw_flags = IORING_URING_CMD_FIXED);
		EXPECT_BAD(-EINVAL, fd, ops[i] | 4 << _IOC_SIZESHIFT, self->buf, 4, );
		EXPECT_BAD(-ENOTTY, fd, ops[i] ^ (3U << _IOC_DIRSHIFT), self->buf, 4, );
		EXPECT_BAD(-ENOTTY, fd, ops[i] + 8, self->buf, 4, );
	}
	after = info_of(self->e[0]);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	EXPECT_EQ(0, self->buf[0]);
	close(g);
	close(dev);
}

TEST_HARNESS_MAIN
