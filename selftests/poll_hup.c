// SPDX-License-Identifier: MIT
/* Pollers of a channel that was shut and is drained later. */
#include "util.h"
#include "harness.h"

enum { PLAIN, UNDER, SELECT, SHORT, READ, WAYS };

/* Receive the last message in one of the ways there are. */
static long take(int fd, int way)
{
	char buf[8];
	struct chan_case c = chan_recv_case(fd, buf, sizeof(buf));
	int g;
	long r;

	switch (way) {
	case PLAIN:
		return chan_recv(fd, buf, sizeof(buf), -1, SOON);
	case UNDER:
		g = chan_group(-1, CHAN_FOREVER, 0, 0);
		r = chan_recv(fd, buf, sizeof(buf), g, SOON);
		close(g);
		return r;
	case SELECT:
		return chan_select(&c, 1, 0, -1, SOON) ?: c.msg.res;
	case SHORT:
		return chan_recv(fd, buf, sizeof(buf), -1, CHAN_NOW);
	default:
		return read(fd, buf, sizeof(buf));
	}
}

struct hup { int fd, ret; short revents; };

static void *wait_hup(void *arg)
{
	struct hup *h = arg;
	struct pollfd p = { .fd = h->fd, .events = POLLRDHUP };

	h->ret = poll(&p, 1, PATIENCE);
	h->revents = p.revents;
	return NULL;
}

TEST(who_drains_a_shut_channel_wakes_those_that_wait_for_its_end)
{
	for (int way = 0; way < WAYS; way++) {
		struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLET };
		struct hup h = {};
		pthread_t t;
		int e[2], ep = epoll_create1(EPOLL_CLOEXEC);

		ASSERT_EQ(0, chan_make(e, 8, 2, 0));
		ASSERT_EQ(0, chan_send(e[1], "a", 1, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_send(e[1], "b", 1, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_shut(e[1], 0));
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, e[0], &ev));
		h.fd = e[0];
		pthread_create(&t, NULL, wait_hup, &h);
		usleep(20000);	/* else it may not sleep yet, and less is tested */
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		ASSERT_EQ(1, take(e[0], way));
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		ASSERT_EQ(1, take(e[0], way));
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, PATIENCE));
		EXPECT_EQ(EPOLLRDHUP | EPOLLHUP, ev.events);
		pthread_join(t, NULL);
		EXPECT_EQ(1, h.ret);
		EXPECT_EQ(POLLRDHUP | POLLHUP, h.revents);
		close(ep);
		close2(e);
	}
}

static int poll_end(void *arg)
{
	struct op *o = arg;
	struct chan_case c = { .fd = o->fd, .op = CHAN_POLL, .events = 0 };

	o->ret = chan_select(&c, 1, 0, -1, SOON);
	return o->ret ? 1 : !(c.revents & POLLHUP);
}

/* ... and so does who lets go of all that is buffered, however long that takes. */
TEST(the_last_receiver_s_end_wakes_those_that_wait_for_it)
{
	static char text[4000];

	for (int round = 0; round < quick(20, 5); round++) {
		struct party p;
		struct op o = {};
		int e[2];

		ASSERT_EQ(0, chan_make(e, sizeof(text), 3000, 0));
		for (int i = 0; i < 3000; i++)
			ASSERT_EQ(0, chan_send(e[1], text, sizeof(text), -1, CHAN_NOW));
		o.fd = e[0];
		ASSERT_TRUE(party_start(&p, false, poll_end, &o));
		ASSERT_TRUE(asleep(&p.tid));
		close(e[0]);
		ASSERT_EQ(0, party_end(&p)) TH_LOG("round %d: %ld", round, o.ret);
		close(e[1]);
	}
}

TEST_HARNESS_MAIN
