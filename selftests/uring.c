// SPDX-License-Identifier: MIT
/* io_uring: reads, writes and polls of ends, and kchan's own commands. */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "harness.h"
#include "util.h"
#include <libchan-uring.h>

#ifndef IORING_ASYNC_CANCEL_ALL
#define IORING_ASYNC_CANCEL_ALL (1U << 0)
#endif
#define OP_READ_MULTISHOT 49	/* newer than Debian's liburing */

/* Do commands park without a worker (6.7 and later)? */
static bool parks(void)
{
	return chan_features() & CHAN_HAS_URING_PARK;
}

FIXTURE(uring)
{
	struct io_uring ring;
	struct kchan_xfer x[8];
	int e[2];
	char buf[64];
};

FIXTURE_SETUP(uring)
{
	ASSERT_EQ(0, io_uring_queue_init(16, &self->ring, 0));
	ASSERT_EQ(0, chan_make(self->e, 64, 0, 0));
}

FIXTURE_TEARDOWN(uring)
{
	io_uring_queue_exit(&self->ring);
	close2(self->e);
}

static struct io_uring_sqe *sqe_of(struct io_uring *ring, uint64_t id)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		abort();
	sqe->user_data = id;
	return sqe;
}

/* prep clears the entry: set user_data after it */
#define PREP(ring, id, fn, ...) do {					\
	struct io_uring_sqe *sqe_ = sqe_of(ring, 0);			\
	fn(sqe_, __VA_ARGS__);						\
	sqe_->user_data = id;						\
} while (0)

/* The next completion within @ms: its result, its id into *id; -9999 if none comes. */
static int next_in(struct io_uring *ring, uint64_t *id, int ms)
{
	struct __kernel_timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS };
	struct io_uring_cqe *cqe;
	int r = io_uring_wait_cqe_timeout(ring, &cqe, &ts);

	if (r < 0)
		return -9999;
	if (id)
		*id = cqe->user_data;
	r = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return r;
}

static int next(struct io_uring *ring, uint64_t *id)
{
	return next_in(ring, id, PATIENCE);
}

/* A receive and a send, as commands of @ring, meet on the rendezvous @e. */
static void meet(struct __test_metadata *_metadata, struct io_uring *ring, const int *e,
		 const char *word)
{
	uint64_t received = info_of(e[0]).received, id;
	int sum = 0, len = strlen(word);
	struct kchan_xfer x[2];
	char buf[8];

	PREP(ring, 1, chan_prep_recv, e[0], &x[0], buf, sizeof(buf), -1, CHAN_FOREVER);
	PREP(ring, 2, chan_prep_send, e[1], &x[1], word, len, -1, CHAN_FOREVER);
	ASSERT_EQ(2, io_uring_submit(ring));
	for (int i = 0; i < 2; i++) {
		int r = next(ring, &id);

		EXPECT_EQ(id == 1 ? len : 0, r);
		sum += id;
	}
	EXPECT_EQ(3, sum);
	EXPECT_EQ(0, memcmp(buf, word, len));
	EXPECT_EQ(received + 1, info_of(e[0]).received);
}

TEST_F(uring, commands_meet_on_a_rendezvous)
{
	meet(_metadata, &self->ring, self->e, "hello");
}

TEST_F(uring, what_is_ready_is_done_and_what_may_not_wait_says_so)
{
	int e[2];

	ASSERT_EQ(0, chan_make(e, 64, 1, 0));
	PREP(&self->ring, 1, chan_prep_send, e[1], &self->x[0], "abc", 3, -1, CHAN_NOW);
	io_uring_submit(&self->ring);
	EXPECT_EQ(0, next(&self->ring, NULL));
	PREP(&self->ring, 1, chan_prep_send, e[1], &self->x[0], "abc", 3, -1, CHAN_NOW);
	io_uring_submit(&self->ring);
	EXPECT_EQ(-EAGAIN, next(&self->ring, NULL));
	PREP(&self->ring, 1, chan_prep_send, e[1], &self->x[0], "abc", 3, -1, chan_after(20 * MS));
	io_uring_submit(&self->ring);
	EXPECT_EQ(-ETIMEDOUT, next(&self->ring, NULL));
	PREP(&self->ring, 1, chan_prep_recv, e[0], &self->x[0], self->buf, 64, -1, CHAN_FOREVER);
	io_uring_submit(&self->ring);
	EXPECT_EQ(3, next(&self->ring, NULL));
	chan_shut(e[1], EIO);
	PREP(&self->ring, 1, chan_prep_recv, e[0], &self->x[0], self->buf, 64, -1, CHAN_FOREVER);
	io_uring_submit(&self->ring);
	EXPECT_EQ(-ECONNRESET, next(&self->ring, NULL));
	close2(e);
}

enum { RECV, SEND, SELECT, COMMANDS };

/* A command that waits, on a rendezvous. */
#define PREP_WAITING(kind, under, deadline) do {				\
	switch (kind) {								\
	case RECV:								\
		PREP(&self->ring, 1, chan_prep_recv, self->e[0], &self->x[0], self->buf, 64, \
		     under, deadline);						\
		break;								\
	case SEND:								\
		PREP(&self->ring, 1, chan_prep_send, self->e[1], &self->x[0], "word", 4, \
		     under, deadline);						\
		break;								\
	case SELECT:								\
		PREP(&self->ring, 1, chan_prep_select, self->e[0], &s, &c, 1, 0, under, deadline); \
	}									\
	io_uring_submit(&self->ring);						\
} while (0)

TEST_F(uring, a_parked_command_is_ended_by_shut_deadline_and_group)
{
	struct chan_case c = chan_recv_case(self->e[0], self->buf, 64);
	struct kchan_select s;

	for (int k = 0; k < COMMANDS; k++) {
		int g = chan_group(-1, CHAN_FOREVER, 0, 0);
		int d = chan_group(-1, chan_after(30 * MS), 0, 0);

		PREP_WAITING(k, g, CHAN_FOREVER);
		ASSERT_TRUE(parked(self->e[0], k == SEND, k != SEND));
		chan_cancel(g, 0, NULL);
		EXPECT_EQ(-ECANCELED, next(&self->ring, NULL)) TH_LOG("kind %d", k);
		EXPECT_TRUE(parked(self->e[0], 0, 0));
		PREP_WAITING(k, g, CHAN_FOREVER);
		EXPECT_EQ(-ECANCELED, next(&self->ring, NULL));
		PREP_WAITING(k, d, CHAN_FOREVER);
		EXPECT_EQ(-ETIMEDOUT, next(&self->ring, NULL));
		PREP_WAITING(k, -1, chan_after(10 * MS));
		EXPECT_EQ(-ETIMEDOUT, next(&self->ring, NULL));
		EXPECT_TRUE(parked(self->e[0], 0, 0));
		close2((int[]){ g, d });
	}
	EXPECT_EQ(0, info_of(self->e[0]).sent);
	for (int k = 0; k < COMMANDS; k++) {
		close2(self->e);
		ASSERT_EQ(0, chan_make(self->e, 64, 0, 0));
		c.fd = self->e[0];
		PREP_WAITING(k, -1, CHAN_FOREVER);
		ASSERT_TRUE(parked(self->e[0], k == SEND, k != SEND));
		chan_shut(self->e[1], 0);
		EXPECT_EQ(k == SELECT ? 0 : -EPIPE, next(&self->ring, NULL));
	}
	EXPECT_EQ(-EPIPE, c.msg.res);
}

static void prep_cancel(struct io_uring *ring, uint64_t id)
{
	struct io_uring_sqe *sqe = sqe_of(ring, 99);

	io_uring_prep_cancel64(sqe, id, 0);
	sqe->user_data = 99;
}

/* ASYNC_CANCEL does not reach what is parked. */
TEST_F(uring, the_end_of_the_ring_cancels_what_is_parked)
{
	struct io_uring ring;

	ASSERT_EQ(0, io_uring_queue_init(16, &ring, 0));
	PREP(&ring, 1, chan_prep_recv, self->e[0], &self->x[0], self->buf, 64, -1, CHAN_FOREVER);
	PREP(&ring, 2, chan_prep_recv, self->e[0], &self->x[1], self->buf, 64, -1, CHAN_FOREVER);
	ASSERT_EQ(2, io_uring_submit(&ring));
	ASSERT_TRUE(parked(self->e[0], 0, 2));
	io_uring_queue_exit(&ring);
	EXPECT_TRUE(parked(self->e[0], 0, 0));
}

TEST_F(uring, a_killed_process_leaves_nothing_parked_and_loses_nothing)
{
	int st;

	for (int i = 0; i < quick(60, 15); i++) {
		pid_t pid = fork();

		if (!pid) {
			struct io_uring ring;

			if (io_uring_queue_init(16, &ring, 0))
				_exit(1);
			for (int k = 0; k < 8; k++)
				PREP(&ring, k, chan_prep_recv, self->e[0], &self->x[k], self->buf, 64,
				     -1, CHAN_FOREVER);
			io_uring_submit(&ring);
			pause();
		}
		ASSERT_TRUE(parked(self->e[0], 0, 8));
		if (i % 3)
			ASSERT_EQ(0, chan_send(self->e[1], "kept", 4, -1, CHAN_NOW));
		kill(pid, SIGKILL);
		waitpid(pid, &st, 0);
		ASSERT_TRUE(parked(self->e[0], 0, 0));
		struct chan_info in = info_of(self->e[0]);
		ASSERT_EQ(in.sent, in.received + in.len);
		while (chan_recv(self->e[0], self->buf, 64, -1, CHAN_NOW) == 4)
			;
	}
}

TEST_F(uring, select_does_one_case)
{
	struct kchan_select s;
	char other[8];
	int f[2], dev = open("/dev/kchan", O_RDWR);

	ASSERT_EQ(0, chan_make(f, 8, 0, 0));
	struct chan_case c[] = {
		chan_recv_case(self->e[0], self->buf, 64), chan_recv_case(f[0], other, 8),
	};
	PREP(&self->ring, 1, chan_prep_select, dev, &s, c, 2, 0, -1, CHAN_FOREVER);
	io_uring_submit(&self->ring);
	ASSERT_TRUE(parked(f[0], 0, 1));
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	ASSERT_EQ(0, chan_send(f[1], "two", 3, -1, CHAN_NOW));
	EXPECT_EQ(1, next(&self->ring, NULL));
	EXPECT_EQ(3, c[1].msg.res);
	EXPECT_TRUE(parked(self->e[0], 0, 0));
	PREP(&self->ring, 1, chan_prep_select, dev, &s, c, 2, 0, -1, CHAN_NOW);
	io_uring_submit(&self->ring);
	EXPECT_EQ(-EAGAIN, next(&self->ring, NULL));
	PREP(&self->ring, 1, chan_prep_select, dev, &s, c, 2, 0, -1, chan_after(10 * MS));
	io_uring_submit(&self->ring);
	EXPECT_EQ(-ETIMEDOUT, next(&self->ring, NULL));
	/* closing the last sending end acts at once */
	PREP(&self->ring, 1, chan_prep_select, dev, &s, c, 2, 0, -1, CHAN_FOREVER);
	io_uring_submit(&self->ring);
	ASSERT_TRUE(parked(f[0], 0, 1));
	close(f[1]);
	EXPECT_EQ(1, next(&self->ring, NULL));
	EXPECT_EQ(-ECONNRESET, c[1].msg.res);
	close(f[0]);
	close(dev);
}

TEST_F(uring, bad_commands_are_refused)
{
	struct kchan_select s;
	struct chan_case c = { .fd = self->e[0], .op = CHAN_POLL };

#define EXPECT_CMD(err, fn, fd, ...) do {					\
	struct io_uring_sqe *q = sqe_of(&self->ring, 0);			\
	fn(q, fd, __VA_ARGS__);							\
	fix(q);									\
	io_uring_submit(&self->ring);						\
	EXPECT_EQ(err, next(&self->ring, NULL));				\
} while (0)
#define fix(q)
	EXPECT_CMD(-EBADF, chan_prep_recv, self->e[1], &self->x[0], self->buf, 64, -1, CHAN_NOW);
	EXPECT_CMD(-EBADF, chan_prep_send, self->e[0], &self->x[0], self->buf, 4, -1, CHAN_NOW);
	EXPECT_CMD(-EMSGSIZE, chan_prep_send, self->e[1], &self->x[0], self->buf, 65, -1, CHAN_NOW);
	EXPECT_CMD(-EFAULT, chan_prep_send, self->e[1], &self->x[0], (void *)8, 4, -1, CHAN_NOW);
	EXPECT_CMD(-EBADF, chan_prep_recv, self->e[0], &self->x[0], self->buf, 64, 999, CHAN_NOW);
	EXPECT_CMD(-ENOTTY, chan_prep_recv, self->e[0], &self->x[0], self->buf, 64, 0, CHAN_NOW);
	EXPECT_CMD(-EINVAL, chan_prep_select, self->e[0], &s, &c, 1, 0, -1, CHAN_NOW);
	EXPECT_CMD(-EINVAL, chan_prep_select, self->e[0], &s, &c, 1025, 0, -1, CHAN_NOW);
	EXPECT_CMD(-EINVAL, chan_prep_select, self->e[0], &s, &c, 1, 8, -1, CHAN_NOW);
	EXPECT_CMD(-EFAULT, chan_prep_command_, self->e[0], KCHAN_IOC_RECV, (void *)8, sizeof(struct kchan_xfer));
	EXPECT_CMD(-EINVAL, chan_prep_command_, self->e[0], KCHAN_IOC_RECV, &self->x[0], 31);
	EXPECT_CMD(-EINVAL, chan_prep_command_, self->e[0], KCHAN_IOC_RECV, &self->x[0], 1 << 20);
	EXPECT_CMD(-ENOTTY, chan_prep_command_, self->e[0], KCHAN_IOC_SHUT, &self->x[0], 8);
	EXPECT_CMD(-ENOTTY, chan_prep_command_, self->e[0], 1234, &self->x[0], 8);
	/* the number as a whole: its direction, and the size of a structure that there was once */
	EXPECT_CMD(-ENOTTY, chan_prep_command_, self->e[0], KCHAN_IOC_RECV & ~(3U << _IOC_DIRSHIFT),
		   &self->x[0], sizeof(struct kchan_xfer));
	EXPECT_CMD(-ENOTTY, chan_prep_command_, self->e[0],
		   _IOC(_IOC_READ, KCHAN_MAGIC, 5, sizeof(s)), &s, sizeof(s));
	EXPECT_CMD(-EINVAL, chan_prep_command_, self->e[0], _IOWR(KCHAN_MAGIC, 4, char[31]),
		   &self->x[0], sizeof(struct kchan_xfer));
	EXPECT_CMD(-EINVAL, chan_prep_command_, self->e[0], _IOWR(KCHAN_MAGIC, 5, char[31]),
		   &s, sizeof(s));
	EXPECT_CMD(-EBADF, chan_prep_command_, self->e[0], KCHAN_IOC_SEND, &self->x[0],
		   sizeof(struct kchan_xfer));
	c = chan_recv_case(self->e[0], self->buf, 64);
	c.events = 1;
	EXPECT_CMD(-EINVAL, chan_prep_select, self->e[0], &s, &c, 1, 0, -1, CHAN_NOW);
	EXPECT_CMD(-EINVAL, chan_prep_select, self->e[0], &s, &c, 1, 0, -1, CHAN_FOREVER);
#undef fix
#define fix(q) memset((char *)q + 60, 1, 4)
	EXPECT_CMD(-EINVAL, chan_prep_recv, self->e[0], &self->x[0], self->buf, 64, -1, CHAN_NOW);
#undef fix
#define fix(q) (q->rw_flags = 1 << 5)
	EXPECT_CMD(-EINVAL, chan_prep_recv, self->e[0], &self->x[0], self->buf, 64, -1, CHAN_NOW);
#undef fix
#define fix(q)
	/* no buffer is registered */
	EXPECT_CMD(-EFAULT, chan_prep_recv_fixed, self->e[0], &self->x[0], self->buf, 64, -1, CHAN_NOW, 3);
	EXPECT_EQ(0, info_of(self->e[0]).sent);
	EXPECT_EQ(0, info_of(self->e[0]).parked_receivers);
}

TEST_F(uring, registered_buffers)
{
	static char mem[2][64];
	struct iovec v[] = { { mem[0], 64 }, { mem[1], 64 } };
	uint64_t id;

	ASSERT_EQ(0, io_uring_register_buffers(&self->ring, v, 2));
	strcpy(mem[0], "fixed");
	PREP(&self->ring, 1, chan_prep_recv_fixed, self->e[0], &self->x[0], mem[1], 64, -1, CHAN_FOREVER, 1);
	PREP(&self->ring, 2, chan_prep_send_fixed, self->e[1], &self->x[1], mem[0], 5, -1, CHAN_FOREVER, 0);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	for (int i = 0; i < 2; i++) {
		int r = next(&self->ring, &id);

		EXPECT_EQ(id == 1 ? 5 : 0, r);
	}
	EXPECT_STREQ("fixed", mem[1]);
	close2(self->e);
	ASSERT_EQ(0, chan_make(self->e, 64, 1, 0));
	strcpy(mem[0], "again");
	PREP(&self->ring, 1, io_uring_prep_read_fixed, self->e[0], mem[1], 64, 0, 1);
	PREP(&self->ring, 2, io_uring_prep_write_fixed, self->e[1], mem[0], 5, 0, 0);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(5, next(&self->ring, NULL));
	EXPECT_STREQ("again", mem[1]);
	/* none of the buffers */
	PREP(&self->ring, 1, chan_prep_recv_fixed, self->e[0], &self->x[0], mem[1], 64, -1, CHAN_NOW, 2);
	io_uring_submit(&self->ring);
	EXPECT_EQ(-EFAULT, next(&self->ring, NULL));
	PREP(&self->ring, 1, io_uring_prep_read_fixed, self->e[0], mem[1], 64, 0, 2);
	io_uring_submit(&self->ring);
	EXPECT_EQ(-EFAULT, next(&self->ring, NULL));
	/* outside the buffer */
	PREP(&self->ring, 1, chan_prep_recv_fixed, self->e[0], &self->x[0], mem[1], 65, -1, CHAN_NOW, 1);
	io_uring_submit(&self->ring);
	EXPECT_EQ(-EFAULT, next(&self->ring, NULL));
}

/*
 * What a command on @ring comes to where the file does all it is told. Not every kernel
 * gives one to a ring that polls for completions: -EOPNOTSUPP.
 */
static int null_command(struct io_uring *ring)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), r;

	PREP(ring, 1, chan_prep_command_, null, 0, NULL, 0);
	io_uring_submit(ring);
	r = next(ring, NULL);
	close(null);
	return r;
}

TEST(rings_of_other_kinds)
{
	struct io_uring ring;
	struct kchan_xfer x;
	char buf[8];
	int e[2], r;

	ASSERT_EQ(0, chan_make(e, 8, 0, 0));
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, IORING_SETUP_SQPOLL));
	ASSERT_EQ(0, null_command(&ring));
	while (io_uring_sq_ready(&ring))	/* its thread lets go of an entry later */
		usleep(1000);
	meet(_metadata, &ring, e, "sq");
	PREP(&ring, 1, chan_prep_recv, e[0], &x, buf, 8, -1, CHAN_FOREVER);
	io_uring_submit(&ring);
	ASSERT_TRUE(parked(e[0], 0, 1));
	io_uring_queue_exit(&ring);
	EXPECT_TRUE(parked(e[0], 0, 0));

	/* where any file gets a command of such a ring, an end does all it does elsewhere */
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, IORING_SETUP_IOPOLL));
	r = null_command(&ring);
	ASSERT_TRUE(r == 0 || r == -EOPNOTSUPP);
	PREP(&ring, 1, chan_prep_recv, e[0], &x, buf, 8, -1, CHAN_NOW);
	io_uring_submit(&ring);
	EXPECT_EQ(r ? r : -EAGAIN, next(&ring, NULL));
	if (!r)
		meet(_metadata, &ring, e, "io");
	PREP(&ring, 1, io_uring_prep_read, e[0], buf, 8, 0);
	io_uring_submit(&ring);
	EXPECT_EQ(-EOPNOTSUPP, next(&ring, NULL));
	io_uring_queue_exit(&ring);

	/* entries of other sizes */
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, IORING_SETUP_SQE128 | IORING_SETUP_CQE32));
	meet(_metadata, &ring, e, "big");
	io_uring_queue_exit(&ring);
	close2(e);
}

/* Given to a worker at once, a command waits there. */
TEST_F(uring, async_commands)
{
	struct io_uring_sqe *sqe = sqe_of(&self->ring, 0);

	chan_prep_recv(sqe, self->e[0], &self->x[0], self->buf, 64, -1, CHAN_FOREVER);
	sqe->flags |= IOSQE_ASYNC;
	io_uring_submit(&self->ring);
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	ASSERT_EQ(0, chan_send(self->e[1], "abc", 3, -1, CHAN_NOW));
	EXPECT_EQ(3, next(&self->ring, NULL));
}

/*
 * Cancel request 1 until it has completed, once: its result. The kernel may miss what a worker
 * is just taking, or not wake the worker: it is asked again. @waits: a worker waits in it, so
 * the first cancel finds it. @kind: for the log.
 */
static int cancelled(struct __test_metadata *_metadata, struct io_uring *ring, int kind, bool waits)
{
	int result = 0, over = 0, cancels = 1, tries = 0;
	uint64_t id;

	prep_cancel(ring, 1);
	io_uring_submit(ring);
	while (!over || cancels) {
		int r = next_in(ring, &id, cancels ? PATIENCE : 1000);

		if (r == -9999) {
			ASSERT_TRUE(!cancels && tries++ < 20) TH_LOG("kind %d: nothing comes", kind);
			prep_cancel(ring, 1);
			io_uring_submit(ring);
			cancels++;
		} else if (id == 99) {
			ASSERT_TRUE(r == -EALREADY || (r == -ENOENT && (tries || !waits)) ||
				    (r == 0 && !waits)) TH_LOG("kind %d: %d", kind, r);
			cancels--;
		} else {
			ASSERT_EQ(0, over);
			over = 1;
			result = r;
		}
	}
	return result;
}

/* ... where io_uring itself can cancel it. */
TEST_F(uring, commands_given_to_a_worker_can_be_cancelled)
{
	struct chan_case k = chan_recv_case(self->e[0], self->buf, 64);
	struct kchan_select s;

	for (int select = 0; select < 2; select++) {
		struct io_uring_sqe *sqe = sqe_of(&self->ring, 1);

		if (select)
			chan_prep_select(sqe, self->e[0], &s, &k, 1, 0, -1, CHAN_FOREVER);
		else
			chan_prep_recv(sqe, self->e[0], &self->x[0], self->buf, 64, -1, CHAN_FOREVER);
		sqe->user_data = 1;
		sqe->flags |= IOSQE_ASYNC;
		io_uring_submit(&self->ring);
		ASSERT_TRUE(parked(self->e[0], 0, 1));
		EXPECT_EQ(-EINTR, cancelled(_metadata, &self->ring, select, true));
		EXPECT_TRUE(parked(self->e[0], 0, 0));
	}
}

/* Cancelled at any moment: each completes once, and no message is lost. */
TEST_F(uring, cancels_that_race_lose_nothing)
{
	enum { READ = COMMANDS, WRITE, OPS };
	int rounds = quick(1500, 300), got = 0, sent = 0, gone[OPS] = {}, done[OPS] = {}, e[2];
	unsigned int seed = 7;
	struct kchan_select s;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	for (int i = 0; i < rounds; i++) {
		struct chan_case c = chan_recv_case(e[0], self->buf, 4);
		int op = i % OPS, out = op == SEND || op == WRITE, r;
		struct io_uring_sqe *sqe = sqe_of(&self->ring, 0);

		if (out)	/* it waits for room */
			ASSERT_EQ(0, chan_send(e[1], "f", 1, -1, CHAN_NOW));
		sent += out;
		switch (op) {
		case RECV:
			chan_prep_recv(sqe, e[0], &self->x[0], self->buf, 4, -1, CHAN_FOREVER);
			break;
		case SEND:
			chan_prep_send(sqe, e[1], &self->x[0], "c", 1, -1, CHAN_FOREVER);
			break;
		case SELECT:
			chan_prep_select(sqe, e[0], &s, &c, 1, 0, -1, CHAN_FOREVER);
			break;
		case READ:
			io_uring_prep_read(sqe, e[0], self->buf, 4, 0);
			break;
		case WRITE:
			io_uring_prep_write(sqe, e[1], "c", 1, 0);
		}
		if (op < COMMANDS)	/* where io_uring can cancel it */
			sqe->flags |= IOSQE_ASYNC;
		sqe->user_data = 1;
		io_uring_submit(&self->ring);
		usleep(rand_r(&seed) % 150);
		if (rand_r(&seed) % 2) {
			ASSERT_EQ(out, out ? chan_recv(e[0], self->buf, 4, -1, CHAN_NOW) :
					     chan_send(e[1], "m", 1, -1, CHAN_NOW));
			sent += !out;
			got += out;
		}
		r = cancelled(_metadata, &self->ring, op, false);
		if (r == (op != SEND && op != SELECT)) {
			if (op == SELECT)
				ASSERT_EQ(1, c.msg.res);
			done[op]++;
		} else {
			ASSERT_TRUE(r == -EINTR || r == -ECANCELED) TH_LOG("%d: %d", op, r);
			gone[op]++;
		}
		while (chan_recv(e[0], self->buf, 4, -1, CHAN_NOW) == 1)
			got++;
		ASSERT_EQ(sent + done[SEND] + done[WRITE],
			  got + done[RECV] + done[SELECT] + done[READ]) TH_LOG("round %d", i);
	}
	EXPECT_EQ(0, info_of(e[0]).parked_receivers + info_of(e[0]).parked_senders);
	for (int op = 0; op < OPS; op++)
		TH_LOG("kind %d: %d done, %d cancelled", op, done[op], gone[op]);
	close2(e);
}

TEST_F(uring, read_write_and_their_cancels)
{
	uint64_t id;
	int e[2];

	ASSERT_EQ(0, chan_make(e, 64, 1, 0));
	PREP(&self->ring, 1, io_uring_prep_read, e[0], self->buf, 64, 0);
	io_uring_submit(&self->ring);
	PREP(&self->ring, 2, io_uring_prep_write, e[1], "word", 4, 0);
	io_uring_submit(&self->ring);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(4, next(&self->ring, &id));
	PREP(&self->ring, 1, io_uring_prep_read, e[0], self->buf, 64, 0);
	io_uring_submit(&self->ring);
	prep_cancel(&self->ring, 1);
	io_uring_submit(&self->ring);
	for (int i = 0; i < 2; i++) {
		int r = next(&self->ring, &id);

		EXPECT_EQ(id == 99 ? 0 : -ECANCELED, r);
	}
	/* a linked timeout */
	struct __kernel_timespec ts = { .tv_nsec = 20 * MS };
	struct io_uring_sqe *sqe = sqe_of(&self->ring, 1);
	io_uring_prep_read(sqe, e[0], self->buf, 64, 0);
	sqe->user_data = 1;
	sqe->flags |= IOSQE_IO_LINK;
	PREP(&self->ring, 2, io_uring_prep_link_timeout, &ts, 0);
	io_uring_submit(&self->ring);
	for (int i = 0; i < 2; i++) {
		int r = next(&self->ring, &id);

		EXPECT_EQ(id == 1 ? -ECANCELED : -ETIME, r);
	}
	/* end of the stream */
	PREP(&self->ring, 1, io_uring_prep_read, e[0], self->buf, 64, 0);
	io_uring_submit(&self->ring);
	close(e[1]);
	EXPECT_EQ(0, next(&self->ring, NULL));
	close(e[0]);
}

enum { READ, WRITE, POLL, POLL_ON, MULTISHOT, KINDS };

/* One that waits: on an empty channel, or on a full one. */
static void prep_waiting(struct io_uring *ring, int kind, int *e, char *buf, int flags)
{
	struct io_uring_sqe *sqe = sqe_of(ring, 0);

	switch (kind) {
	case READ:
		io_uring_prep_read(sqe, e[0], buf, 64, 0);
		break;
	case WRITE:
		io_uring_prep_write(sqe, e[1], "word", 4, 0);
		break;
	case POLL:
		io_uring_prep_poll_add(sqe, e[0], POLLIN);
		break;
	case POLL_ON:
		io_uring_prep_poll_multishot(sqe, e[0], POLLIN);
		break;
	case MULTISHOT:
		io_uring_prep_read(sqe, e[0], NULL, 0, 0);
		sqe->opcode = OP_READ_MULTISHOT;
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = 7;
		break;
	}
	sqe->flags |= flags;
	sqe->user_data = 1;
}

TEST_F(uring, each_kind_can_be_cancelled_and_timed)
{
	static char mem[4][64];
	struct __kernel_timespec ts = { .tv_nsec = 20 * MS };
	struct io_uring_sqe *sqe;
	uint64_t id;

	sqe = sqe_of(&self->ring, 0);
	io_uring_prep_provide_buffers(sqe, mem, 64, 4, 7, 0);
	io_uring_submit(&self->ring);
	ASSERT_EQ(0, next(&self->ring, NULL));
	for (int kind = 0; kind < KINDS; kind++) {
		int e[2], len = kind == WRITE;

		if (kind == MULTISHOT && !parks())
			continue;	/* this kernel has no such operation */
		ASSERT_EQ(0, chan_make(e, 64, 1, 0));
		if (len)
			ASSERT_EQ(0, chan_send(e[1], "full", 4, -1, CHAN_NOW));
		prep_waiting(&self->ring, kind, e, self->buf, 0);
		io_uring_submit(&self->ring);
		prep_cancel(&self->ring, 1);
		io_uring_submit(&self->ring);
		for (int i = 0; i < 2; i++) {
			int r = next(&self->ring, &id);

			EXPECT_EQ(id == 99 ? 0 : -ECANCELED, r) TH_LOG("kind %d", kind);
		}
		prep_waiting(&self->ring, kind, e, self->buf, IOSQE_IO_LINK);
		sqe = sqe_of(&self->ring, 2);
		io_uring_prep_link_timeout(sqe, &ts, 0);
		sqe->user_data = 2;
		io_uring_submit(&self->ring);
		for (int i = 0; i < 2; i++) {
			int r = next(&self->ring, &id);

			EXPECT_EQ(id == 1 ? -ECANCELED : -ETIME, r) TH_LOG("kind %d", kind);
		}
		EXPECT_EQ(len, info_of(e[0]).len);
		EXPECT_EQ(len, info_of(e[0]).sent);
		close2(e);
	}
}

TEST_F(uring, poll_multishot_tells_each_message)
{
	struct io_uring_sqe *sqe;
	int e[2];

	ASSERT_EQ(0, chan_make(e, 64, 8, 0));
	sqe = sqe_of(&self->ring, 1);
	io_uring_prep_poll_multishot(sqe, e[0], POLLIN);
	sqe->user_data = 1;
	io_uring_submit(&self->ring);
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, chan_send(e[1], "x", 1, -1, CHAN_NOW));
		EXPECT_EQ(POLLIN, next(&self->ring, NULL));
	}
	close(e[1]);
	EXPECT_EQ(POLLIN | POLLHUP, next(&self->ring, NULL) & ~POLLRDHUP);
	close(e[0]);
}

TEST_F(uring, poll_multishot_tells_each_firing_of_an_armed_select)
{
	struct io_uring_sqe *sqe;
	char buf[4];
	int e[2], a;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	struct chan_case c = chan_recv_case(e[0], buf, 4);
	a = chan_arm(&c, 1, CHAN_REARM);
	ASSERT_LE(0, a);
	sqe = sqe_of(&self->ring, 1);
	io_uring_prep_poll_multishot(sqe, a, POLLIN);
	sqe->user_data = 1;
	io_uring_submit(&self->ring);
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, chan_send(e[1], "x", 1, -1, CHAN_NOW));
		EXPECT_EQ(POLLIN, next(&self->ring, NULL));
		ASSERT_EQ(0, chan_fired(a, &c, 1));
		c.msg.len = 4;
		ASSERT_EQ(0, chan_rearm(a, &c, 1));
	}
	close(e[1]);
	EXPECT_EQ(POLLIN, next(&self->ring, NULL));
	close(e[0]);
	close(a);
}

TEST_F(uring, read_multishot_with_provided_buffers)
{
	enum { BUFS = 4 };
	static char mem[BUFS][64];
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts = { .tv_sec = 10 };
	int e[2];

	if (!parks())
		SKIP(return, "this kernel has no READ_MULTISHOT");
	ASSERT_EQ(0, chan_make(e, 64, 8, 0));
	sqe = sqe_of(&self->ring, 0);
	io_uring_prep_provide_buffers(sqe, mem, 64, BUFS, 7, 0);
	io_uring_submit(&self->ring);
	ASSERT_EQ(0, next(&self->ring, NULL));
	prep_waiting(&self->ring, MULTISHOT, e, NULL, 0);
	io_uring_submit(&self->ring);
	for (int i = 0; i < BUFS; i++) {
		char word[] = { 'a' + i };

		ASSERT_EQ(0, chan_send(e[1], word, 1, -1, SOON));
		ASSERT_EQ(0, io_uring_wait_cqe_timeout(&self->ring, &cqe, &ts));
		ASSERT_EQ(1, cqe->res);
		EXPECT_TRUE(cqe->flags & IORING_CQE_F_MORE);
		EXPECT_EQ('a' + i, mem[cqe->flags >> IORING_CQE_BUFFER_SHIFT][0]);
		io_uring_cqe_seen(&self->ring, cqe);
	}
	/* no buffer is left: it ends, and the message stays */
	ASSERT_EQ(0, chan_send(e[1], "kept", 4, -1, SOON));
	ASSERT_EQ(0, io_uring_wait_cqe_timeout(&self->ring, &cqe, &ts));
	EXPECT_EQ(-ENOBUFS, cqe->res);
	EXPECT_FALSE(cqe->flags & IORING_CQE_F_MORE);
	io_uring_cqe_seen(&self->ring, cqe);
	EXPECT_EQ(1, info_of(e[0]).len);
	EXPECT_EQ(BUFS, info_of(e[0]).received);

	sqe = sqe_of(&self->ring, 0);
	io_uring_prep_provide_buffers(sqe, mem, 64, BUFS, 7, 0);
	io_uring_submit(&self->ring);
	ASSERT_EQ(0, next(&self->ring, NULL));
	prep_waiting(&self->ring, MULTISHOT, e, NULL, 0);
	io_uring_submit(&self->ring);
	EXPECT_EQ(4, next(&self->ring, NULL));
	close(e[1]);
	EXPECT_EQ(0, next(&self->ring, NULL));
	close(e[0]);
}

/*
 * Commands that a deadline, a group, a shut of the ring or a peer end at the same
 * moment: each completes once, and every message is received once or still there.
 */
TEST_F(uring, ends_that_race_lose_nothing)
{
	int rounds = quick(2000, 300), got = 0, sent = 0, cancelled = 0, e[2];
	bool late = !parks();
	unsigned int seed = 1;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int i = 0; i < rounds; i++) {
		int g = chan_group(-1, CHAN_FOREVER, 0, 0), val = i, r, n = 0;
		int64_t dl = rand_r(&seed) % 2 ? chan_after(rand_r(&seed) % 200000) : CHAN_FOREVER;
		uint64_t id;

		PREP(&self->ring, 1, chan_prep_recv, e[0], &self->x[0], self->buf, 4, g, dl);
		io_uring_submit(&self->ring);
		if (rand_r(&seed) % 2)
			usleep(rand_r(&seed) % 200);
		if (rand_r(&seed) % 2) {
			r = chan_send(e[1], &val, 4, -1, CHAN_NOW);
			ASSERT_TRUE(r == 0 || r == -EAGAIN);
			sent += !r;
		} else {
			PREP(&self->ring, 2, chan_prep_send, e[1], &self->x[1], &val, 4, g, dl);
			io_uring_submit(&self->ring);
			n++;
		}
		if (rand_r(&seed) % 4)
			chan_cancel(g, 0, NULL);
		close(g);
		for (n++; n; n--) {
			r = next(&self->ring, &id);
			ASSERT_TRUE(id == 1 || id == 2);
			if (id == 1 && r == 4) {
				ASSERT_EQ(0, memcmp(self->buf, &val, 4));
				got++;
			} else if (id == 2 && !r) {
				sent++;
			} else {
				/* a worker that comes late finds the group's descriptor closed */
				ASSERT_TRUE(r == -ECANCELED || r == -ETIMEDOUT ||
					    (late && r == -EBADF)) TH_LOG("%d", r);
				cancelled++;
			}
		}
	}
	struct chan_info in = info_of(e[0]);
	EXPECT_EQ(sent, got);
	EXPECT_EQ(in.sent, in.received);
	EXPECT_EQ(got, in.received);
	EXPECT_EQ(0, in.parked_receivers + in.parked_senders);
	TH_LOG("%d received, %d ended otherwise", got, cancelled);
	close2(e);
}

/* A command that waits holds its end, wherever it waits. */
TEST_F(uring, a_waiting_command_is_a_reference)
{
	for (int async = 0; async < 2; async++) {
		struct io_uring ring;
		struct io_uring_sqe *sqe;

		ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
		sqe = sqe_of(&ring, 0);
		chan_prep_recv(sqe, self->e[0], &self->x[0], self->buf, 64, -1, CHAN_FOREVER);
		if (async)
			sqe->flags |= IOSQE_ASYNC;
		ASSERT_EQ(1, io_uring_submit(&ring));
		ASSERT_TRUE(parked(self->e[0], 0, 1));
		EXPECT_EQ(2, info_of(self->e[0]).receivers) TH_LOG("async %d", async);
		EXPECT_EQ(1, info_of(self->e[0]).senders);
		io_uring_queue_exit(&ring);
		ASSERT_TRUE(parked(self->e[0], 0, 0));
		for (int i = 0; i < PATIENCE && info_of(self->e[0]).receivers != 1; i++)
			usleep(1000);
		ASSERT_EQ(1, info_of(self->e[0]).receivers);
	}
}

#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

/*
 * A ring whose work is done only when its task asks for it, and that another ring of the
 * task waits for: so that the kernel does it for the task when that is killed.
 */
static int waits_and_never_looks(void *arg)
{
	int *end = arg;
	struct io_uring ring, other;
	struct kchan_xfer x;
	char buf[64];
	struct io_uring_sqe *sqe;

	WANT(!io_uring_queue_init(4, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN));
	WANT(!io_uring_queue_init(4, &other, 0));
	PREP(&ring, 1, chan_prep_recv, end[0], &x, buf, sizeof(buf), -1, CHAN_FOREVER);
	WANT(io_uring_submit(&ring) == 1);
	sqe = sqe_of(&other, 2);
	io_uring_prep_poll_add(sqe, ring.ring_fd, POLLIN);
	WANT(io_uring_submit(&other) == 1);
	for (;;)
		pause();
}

TEST_F(uring, a_killed_task_gives_back_what_its_ring_was_handed)
{
	if (!parks())
		SKIP(return, "a worker of this kernel's receives it, and is done");
	for (int i = 0; i < quick(30, 8); i++) {
		struct party p;
		char msg[64];
		int e[2];

		ASSERT_EQ(0, chan_make(e, 64, 0, 0));
		ASSERT_TRUE(party_start(&p, true, waits_and_never_looks, e));
		ASSERT_TRUE(parked(e[0], 0, 1));
		ASSERT_TRUE(asleep_in(&p.tid, SYS_pause));
		ASSERT_EQ(0, chan_send(e[1], "not lost", 8, -1, SOON));
		kill(p.pid, SIGKILL);
		EXPECT_EQ(-SIGKILL, party_end(&p));
		ASSERT_EQ(8, chan_recv(e[0], msg, sizeof(msg), -1, SOON)) TH_LOG("round %d", i);
		close2(e);
	}
}

TEST_HARNESS_MAIN
