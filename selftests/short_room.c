// SPDX-License-Identifier: MIT
/*
 * A receive that waits without room for the message that comes ends with EMSGSIZE at
 * once, in whatever way it waits and in whatever way the message is sent; the message
 * is not lost, and goes to the next receive.
 */
#include "harness.h"
#include "util.h"
#include <libchan-uring.h>

#define LEN	200		/* more than fits a slot */
#define ROOM	100

static char message[LEN] = "too long";

/* ---- ways to wait ---- */

struct waiter {
	struct party p;		/* WAIT_THREAD, WAIT_SELECT */
	struct io_uring ring;
	struct kchan_xfer x;
	char buf[LEN];
	int rx, group, fd;
	long ret;
};

static int wait_recv(void *arg)
{
	struct waiter *w = arg;

	w->ret = chan_recv(w->rx, w->buf, ROOM, -1, CHAN_FOREVER);
	return 0;
}

static int wait_recv_under(void *arg)
{
	struct waiter *w = arg;

	w->ret = chan_recv(w->rx, w->buf, ROOM, w->group, CHAN_FOREVER);
	return 0;
}

static int wait_select(void *arg)
{
	struct waiter *w = arg;
	struct chan_case c[2] = { recv_case(w->rx, w->buf, ROOM),
				  { .fd = w->group, .op = CHAN_POLL, .events = POLLIN } };

	w->ret = chan_select(c, 2, 0, -1, CHAN_FOREVER);
	w->ret = w->ret ? -1 : c[0].msg.res;
	return 0;
}

static int (*const on_thread[])(void *) = { wait_recv, wait_recv_under, wait_select };

enum { THREAD_WAYS = sizeof(on_thread) / sizeof(on_thread[0]), WAIT_ARMED = THREAD_WAYS, WAIT_URING,
       WAITS };

static bool begin(struct waiter *w, int how)
{
	struct chan_case c = recv_case(w->rx, w->buf, ROOM);
	struct io_uring_sqe *sqe;

	switch (how) {
	case WAIT_ARMED:
		w->fd = chan_arm(&c, 1, 0);
		return w->fd >= 0;
	case WAIT_URING:
		if (io_uring_queue_init(2, &w->ring, 0))
			return false;
		sqe = io_uring_get_sqe(&w->ring);
		if (!sqe)
			return false;
		chan_prep_recv(sqe, w->rx, &w->x, w->buf, ROOM, -1, CHAN_FOREVER);
		return io_uring_submit(&w->ring) == 1;
	default:
		return party_start(&w->p, false, on_thread[how], w);
	}
}

/* Its result once it has been told, within some seconds; -1 if it never is. */
static long result(struct waiter *w, int how)
{
	struct __kernel_timespec ts = { .tv_sec = 20 };
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	struct chan_case c = recv_case(w->rx, w->buf, LEN);
	struct timespec until;
	struct io_uring_cqe *cqe;
	long r = -1;

	switch (how) {
	case WAIT_ARMED:
		if (poll(&p, 1, 20000) == 1 && chan_fired(w->fd, &c, 1) == 0)
			r = c.msg.res;
		close(w->fd);
		return r;
	case WAIT_URING:
		if (!io_uring_wait_cqe_timeout(&w->ring, &cqe, &ts))
			r = cqe->res;
		if (r != -1)	/* else its end would not end */
			io_uring_queue_exit(&w->ring);
		return r;
	default:
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 20;
		return pthread_timedjoin_np(w->p.t, NULL, &until) ? -1 : w->ret;
	}
}

/* ---- ways to send what nobody else waits for ---- */

static long send_now(int tx, int group, int64_t deadline)
{
	return chan_send(tx, message, LEN, -1, deadline);
}

static long send_under(int tx, int group, int64_t deadline)
{
	return chan_send(tx, message, LEN, group, deadline);
}

static long send_batch(int tx, int group, int64_t deadline)
{
	struct chan_msg m = { .buf = message, .len = LEN };

	return chan_sendm(tx, &m, 1, group, deadline);
}

static long send_select(int tx, int group, int64_t deadline)
{
	struct chan_case c = send_case(tx, message, LEN);

	return chan_select(&c, 1, 0, -1, deadline);
}

static long send_select_poll(int tx, int group, int64_t deadline)
{
	struct chan_case c[2] = { send_case(tx, message, LEN),
				  { .fd = group, .op = CHAN_POLL, .events = POLLIN } };

	return chan_select(c, 2, 0, group, deadline);
}

static long send_write(int tx, int group, int64_t deadline)
{
	long r;

	fcntl(tx, F_SETFL, O_NONBLOCK);
	r = write(tx, message, LEN) < 0 ? -errno : 0;
	fcntl(tx, F_SETFL, 0);
	return r == -EAGAIN && deadline != CHAN_NOW ? -ETIMEDOUT : r;
}

static long (*const ways[])(int, int, int64_t) = {
	send_now, send_under, send_batch, send_select, send_select_poll, send_write,
};

#define WAYS (int)(sizeof(ways) / sizeof(ways[0]))

FIXTURE(short_room) { int e[2], group; };

FIXTURE_SETUP(short_room)
{
	ASSERT_EQ(0, chan_make(self->e, LEN, 0, 0));
	self->group = chan_group(-1, CHAN_FOREVER, 0, 0);
	ASSERT_LE(0, self->group);
}

FIXTURE_TEARDOWN(short_room)
{
	close(self->group);
	close2(self->e);
}

TEST_F(short_room, whoever_waits_and_whoever_sends)
{
	for (int wait = 0; wait < WAITS; wait++)
		for (int way = 0; way < WAYS * 2; way++) {
			struct waiter *w = calloc(2, sizeof(*w));
			bool now = way >= WAYS;

			for (int i = 0; i < 2; i++) {
				w[i].rx = self->e[0];
				w[i].group = self->group;
				ASSERT_TRUE(begin(&w[i], wait));
				ASSERT_TRUE(parked(self->e[0], 0, i + 1));
			}
			EXPECT_EQ(now ? -EAGAIN : -ETIMEDOUT,
				  ways[way % WAYS](self->e[1], self->group,
						   now ? CHAN_NOW : chan_after(5 * MS)));
			for (int i = 0; i < 2; i++) {
				ASSERT_EQ(-EMSGSIZE, result(&w[i], wait))
					TH_LOG("wait %d, way %d: receive %d was not told", wait, way, i);
			}
			EXPECT_EQ(0, info_of(self->e[0]).sent);
			free(w);
		}
}

/* An armed send, which stays, tells them and then waits for one with room. */
TEST_F(short_room, an_armed_send)
{
	for (int wait = 0; wait < WAITS; wait++) {
		struct chan_case c = send_case(self->e[1], message, LEN);
		struct waiter *w = calloc(1, sizeof(*w));
		char buf[LEN];
		int armed;

		*w = (struct waiter){ .rx = self->e[0], .group = self->group };
		ASSERT_TRUE(begin(w, wait));
		ASSERT_TRUE(parked(self->e[0], 0, 1));
		armed = chan_arm(&c, 1, 0);
		ASSERT_LE(0, armed);
		ASSERT_EQ(-EMSGSIZE, result(w, wait)) TH_LOG("wait %d was not told", wait);
		EXPECT_EQ(-EAGAIN, chan_fired(armed, &c, 1));
		EXPECT_EQ(LEN, chan_recv(self->e[0], buf, LEN, -1, SOON));
		EXPECT_EQ(0, chan_fired(armed, &c, 1));
		EXPECT_EQ(0, c.msg.res);
		close(armed);
		free(w);
	}
}

/* A command of io_uring that sends, and one that selects. */
TEST_F(short_room, commands)
{
	for (int i = 0; i < 2; i++) {
		struct chan_case c = send_case(self->e[1], message, LEN);
		struct waiter *w = calloc(1, sizeof(*w));
		struct kchan_select s;
		struct kchan_xfer x;
		struct io_uring ring;
		struct io_uring_sqe *sqe;
		struct io_uring_cqe *cqe;

		*w = (struct waiter){ .rx = self->e[0], .group = self->group };
		ASSERT_TRUE(begin(w, 0));
		ASSERT_TRUE(parked(self->e[0], 0, 1));
		ASSERT_EQ(0, io_uring_queue_init(2, &ring, 0));
		sqe = io_uring_get_sqe(&ring);
		ASSERT_NE(NULL, sqe);
		if (i)
			chan_prep_select(sqe, self->e[1], &s, &c, 1, 0, -1, chan_after(5 * MS));
		else
			chan_prep_send(sqe, self->e[1], &x, message, LEN, -1, chan_after(5 * MS));
		ASSERT_EQ(1, io_uring_submit(&ring));
		ASSERT_EQ(-EMSGSIZE, result(w, 0)) TH_LOG("command %d", i);
		ASSERT_EQ(0, io_uring_wait_cqe(&ring, &cqe));
		EXPECT_EQ(-ETIMEDOUT, cqe->res);
		io_uring_queue_exit(&ring);
		free(w);
	}
}

TEST_HARNESS_MAIN
