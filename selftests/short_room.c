// SPDX-License-Identifier: MIT
/*
 * A receive that waits without room for the message that comes ends with EMSGSIZE at
 * once, in whatever way it waits and in whatever way the message is sent; the message
 * is not lost, and goes to the next receive. A send that does not happen leaves it alone.
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
	struct chan_case c[2] = { chan_recv_case(w->rx, w->buf, ROOM),
				  { .fd = w->group, .op = CHAN_POLL, .events = POLLIN } };

	w->ret = chan_select(c, 2, 0, -1, CHAN_FOREVER);
	w->ret = w->ret ? -1 : c[0].msg.res;
	return 0;
}

static int wait_select_twice(void *arg)
{
	struct waiter *w = arg;
	struct chan_case c[2] = {
		chan_recv_case(w->rx, w->buf, ROOM), chan_recv_case(w->rx, w->buf, ROOM),
	};
	int i = chan_select(c, 2, 0, -1, CHAN_FOREVER);

	w->ret = i < 0 ? i : c[i].msg.res;
	return 0;
}

static int (*const on_thread[])(void *) = { wait_recv, wait_recv_under, wait_select,
					    wait_select_twice };

enum { THREAD_WAYS = sizeof(on_thread) / sizeof(on_thread[0]), WAIT_ARMED = THREAD_WAYS, WAIT_URING,
       WAITS };

/* How many cases one waits with, as chan_info() counts them. */
static int cases(int how)
{
	return how < THREAD_WAYS && on_thread[how] == wait_select_twice ? 2 : 1;
}

static bool begin(struct waiter *w, int how)
{
	struct chan_case c = chan_recv_case(w->rx, w->buf, ROOM);
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
	struct __kernel_timespec ts = { .tv_sec = PATIENCE / 1000 };
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	struct chan_case c = chan_recv_case(w->rx, w->buf, LEN);
	struct timespec until;
	struct io_uring_cqe *cqe;
	long r = -1;

	switch (how) {
	case WAIT_ARMED:
		if (poll(&p, 1, PATIENCE) == 1 && chan_fired(w->fd, &c, 1) == 0)
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
		until.tv_sec += PATIENCE / 1000;
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
	struct chan_case c = chan_send_case(tx, message, LEN);

	return chan_select(&c, 1, 0, -1, deadline);
}

static long send_select_poll(int tx, int group, int64_t deadline)
{
	struct chan_case c[2] = { chan_send_case(tx, message, LEN),
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

static const struct { long (*send)(int, int, int64_t); bool parks; } ways[] = {
	{ send_now, true }, { send_under, true }, { send_batch, true }, { send_select, true },
	{ send_select_poll, true }, { send_write, false },
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

/* Two that wait on @rx, in order. */
static struct waiter *two_wait(int rx, int group, int how)
{
	struct waiter *w = calloc(2, sizeof(*w));

	for (int i = 0; i < 2; i++) {
		w[i].rx = rx;
		w[i].group = group;
		if (!begin(&w[i], how) || !parked(rx, 0, (i + 1) * cases(how)))
			return NULL;
	}
	return w;
}

/* They wait still, and get short messages. */
static bool untouched(struct waiter *w, int tx, int how)
{
	bool ok = info_of(tx).parked_receivers == 2 * cases(how);

	for (int i = 0; i < 2; i++)
		ok &= chan_send(tx, "s", 1, -1, CHAN_NOW) == 0;
	for (int i = 0; i < 2; i++)
		ok &= result(&w[i], how) == 1;
	free(w);
	return ok;
}

static bool told(struct waiter *w, int how)
{
	bool ok = true;

	for (int i = 0; i < 2; i++)
		ok &= result(&w[i], how) == -EMSGSIZE;
	free(w);
	return ok;
}

/* A message that waits to be received tells them. */
TEST_F(short_room, whoever_waits_and_whoever_sends)
{
	for (int wait = 0; wait < WAITS; wait++)
		for (int way = 0; way < WAYS; way++) {
			struct waiter *w = two_wait(self->e[0], self->group, wait);

			ASSERT_NE(NULL, w);
			for (int64_t ns = 5 * MS; ns < PATIENCE * MS; ns *= 2) {
				EXPECT_EQ(-ETIMEDOUT, ways[way].send(self->e[1], self->group,
								     chan_after(ns)));
				/* one that was late before it waited could tell nobody */
				if (!ways[way].parks || !info_of(self->e[1]).parked_receivers)
					break;
			}
			ASSERT_TRUE(ways[way].parks ? told(w, wait) :
						      untouched(w, self->e[1], wait))
				TH_LOG("wait %d, way %d", wait, way);
			EXPECT_EQ(ways[way].parks ? 0 : 2, info_of(self->e[0]).sent);
			close2(self->e);
			ASSERT_EQ(0, chan_make(self->e, LEN, 0, 0));
		}
}

/* One that does not, and is not sent, leaves them alone. */
TEST_F(short_room, a_send_that_does_not_happen)
{
	static const int64_t when[] = { CHAN_NOW, 1, -5 };

	for (int wait = 0; wait < WAITS; wait++)
		for (int way = 0; way < WAYS; way++)
			for (int i = 0; i < 3; i++) {
				struct waiter *w = two_wait(self->e[0], self->group, wait);

				ASSERT_NE(NULL, w);
				EXPECT_EQ(when[i] ? -ETIMEDOUT : -EAGAIN,
					  ways[way].send(self->e[1], self->group, when[i]));
				ASSERT_TRUE(untouched(w, self->e[1], wait))
					TH_LOG("wait %d, way %d, deadline %d", wait, way, i);
			}
}

/* Nor does a case of a select that loses, wherever it stands and whatever wins. */
TEST_F(short_room, a_case_that_loses)
{
	int other[2];
	char buf[LEN];

	ASSERT_EQ(0, chan_make(other, LEN, 1, 0));
	for (int wait = 0; wait < WAITS; wait++)
		for (int i = 0; i < 16; i++) {
			struct waiter *w = two_wait(self->e[0], self->group, wait);
			bool poll = i & 1, first = i & 2, prio = i & 4, later = i & 8;
			struct chan_case c[2], lost = chan_send_case(self->e[1], message, LEN);

			ASSERT_NE(NULL, w);
			ASSERT_EQ(0, chan_send(other[1], "x", 1, -1, CHAN_NOW));
			c[first] = lost;
			c[!first] = chan_recv_case(other[0], buf, LEN);
			if (poll)
				c[!first] = (struct chan_case){ .fd = other[0], .op = CHAN_POLL,
								.events = POLLIN };
			EXPECT_EQ(!first, chan_select(c, 2, prio ? CHAN_PRIO : 0, self->group,
						      later ? SOON : CHAN_NOW));
			ASSERT_TRUE(untouched(w, self->e[1], wait)) TH_LOG("wait %d, %d", wait, i);
			if (poll)
				ASSERT_EQ(1, chan_recv(other[0], buf, LEN, -1, CHAN_NOW));
		}
	close2(other);
}

/* What comes to rest in the buffer tells them, and stays. */
TEST_F(short_room, a_message_that_is_buffered)
{
	char buf[LEN];
	int e[2];

	ASSERT_EQ(0, chan_make(e, LEN, 2, 0));
	for (int wait = 0; wait < WAITS; wait++)
		for (int way = 0; way < WAYS; way++) {
			struct waiter *w = two_wait(e[0], self->group, wait);

			ASSERT_NE(NULL, w);
			EXPECT_LE(0, ways[way].send(e[1], self->group, CHAN_NOW));
			EXPECT_EQ(0, info_of(e[0]).parked_receivers);
			ASSERT_TRUE(told(w, wait)) TH_LOG("wait %d, way %d", wait, way);
			EXPECT_EQ(1, info_of(e[0]).len);
			ASSERT_EQ(LEN, chan_recv(e[0], buf, LEN, -1, CHAN_NOW));
		}
	close2(e);
}

/* The next who waits has room for it: those before are told, those behind are not. */
TEST_F(short_room, a_message_that_goes_to_the_next)
{
	for (int wait = 0; wait < WAITS; wait++)
		for (int way = 0; way < WAYS; way++) {
			struct waiter *w = two_wait(self->e[0], self->group, wait);
			struct chan_case c[2] = { };
			char roomy[LEN], tight[ROOM];
			int a, b;

			ASSERT_NE(NULL, w);
			c[0] = chan_recv_case(self->e[0], roomy, LEN);
			c[1] = chan_recv_case(self->e[0], tight, ROOM);
			a = chan_arm(&c[0], 1, 0);
			b = chan_arm(&c[1], 1, 0);
			ASSERT_LE(0, a);
			ASSERT_LE(0, b);
			EXPECT_LE(0, ways[way].send(self->e[1], self->group, CHAN_NOW));
			ASSERT_TRUE(told(w, wait)) TH_LOG("wait %d, way %d", wait, way);
			EXPECT_EQ(0, chan_fired(a, &c[0], 1));
			EXPECT_EQ(LEN, c[0].msg.res);
			EXPECT_EQ(-EAGAIN, chan_fired(b, &c[1], 1));
			close(a);
			close(b);
		}
}

/* An armed send, which stays, tells them and then waits for one with room. */
TEST_F(short_room, an_armed_send)
{
	for (int wait = 0; wait < WAITS; wait++) {
		struct chan_case c = chan_send_case(self->e[1], message, LEN);
		struct waiter *w = calloc(1, sizeof(*w));
		char buf[LEN];
		int armed;

		*w = (struct waiter){ .rx = self->e[0], .group = self->group };
		ASSERT_TRUE(begin(w, wait));
		ASSERT_TRUE(parked(self->e[0], 0, cases(wait)));
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

/* A command of io_uring that sends, and one that selects; it waits, or does not. */
TEST_F(short_room, commands)
{
	for (int i = 0; i < 4; i++) {
		struct chan_case c = chan_send_case(self->e[1], message, LEN);
		struct waiter *w = two_wait(self->e[0], self->group, 0);
		bool select = i & 1, now = i & 2;
		int64_t deadline = now ? CHAN_NOW : CHAN_FOREVER;
		char buf[LEN];
		struct kchan_select s;
		struct kchan_xfer x;
		struct io_uring ring;
		struct io_uring_sqe *sqe;
		struct io_uring_cqe *cqe;

		ASSERT_NE(NULL, w);
		ASSERT_EQ(0, io_uring_queue_init(2, &ring, 0));
		sqe = io_uring_get_sqe(&ring);
		ASSERT_NE(NULL, sqe);
		if (select)
			chan_prep_select(sqe, self->e[1], &s, &c, 1, 0, -1, deadline);
		else
			chan_prep_send(sqe, self->e[1], &x, message, LEN, -1, deadline);
		ASSERT_EQ(1, io_uring_submit(&ring));
		if (!now) {
			ASSERT_TRUE(told(w, 0)) TH_LOG("command %d", i);
			ASSERT_EQ(LEN, chan_recv(self->e[0], buf, LEN, -1, SOON));
		}
		ASSERT_EQ(0, io_uring_wait_cqe(&ring, &cqe));
		EXPECT_EQ(now ? -EAGAIN : 0, cqe->res);
		if (now)
			ASSERT_TRUE(untouched(w, self->e[1], 0)) TH_LOG("command %d", i);
		io_uring_queue_exit(&ring);
	}
}

TEST_HARNESS_MAIN
