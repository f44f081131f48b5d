// SPDX-License-Identifier: MIT
/* Armed selects: parked, with nobody asleep. */
#include <sys/socket.h>

#include "harness.h"
#include "util.h"

static int events_of(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

static bool fires(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE) == 1 && p.revents == POLLIN;
}

TEST(two_event_loops_meet_on_a_rendezvous)
{
	char buf[8] = "";
	int e[2];

	ASSERT_EQ(0, chan_make(e, 8, 0, 0));
	struct chan_case r = chan_recv_case(e[0], buf, 8), s = chan_send_case(e[1], "hello", 5);
	int ar = chan_arm(&r, 1, 0);
	ASSERT_GE(ar, 0);
	EXPECT_EQ(CHAN_ARMED, chan_kind(ar));
	EXPECT_EQ(FD_CLOEXEC, fcntl(ar, F_GETFD));
	EXPECT_EQ(0, events_of(ar));
	EXPECT_EQ(-EAGAIN, chan_fired(ar, &r, 1));
	EXPECT_EQ(1, info_of(e[0]).parked_receivers);
	EXPECT_EQ(POLLOUT, events_of(e[1]));
	int as = chan_arm(&s, 1, 0);
	ASSERT_GE(as, 0);
	EXPECT_TRUE(fires(ar));
	EXPECT_TRUE(fires(as));
	EXPECT_EQ(0, chan_fired(as, &s, 1));
	EXPECT_EQ(0, s.msg.res);
	EXPECT_EQ(0, chan_fired(ar, &r, 1));
	EXPECT_EQ(5, r.msg.res);
	EXPECT_EQ(5, r.msg.len);
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	EXPECT_EQ(-EALREADY, chan_fired(ar, &r, 1));
	EXPECT_EQ(-EALREADY, chan_fired(as, &s, 1));
	EXPECT_EQ(0, events_of(ar));
	EXPECT_EQ(1, info_of(e[0]).received);
	close(ar);
	close(as);
	close2(e);
}

TEST(what_is_ready_fires_at_once)
{
	char buf[8];
	int e[2];

	ASSERT_EQ(0, chan_make(e, 8, 1, 0));
	struct chan_case s = chan_send_case(e[1], "x", 1), r = chan_recv_case(e[0], buf, 8);
	int a = chan_arm(&s, 1, 0);
	EXPECT_EQ(POLLIN, events_of(a));
	EXPECT_EQ(1, info_of(e[0]).len);
	int b = chan_arm(&r, 1, 0);
	EXPECT_EQ(POLLIN, events_of(b));
	EXPECT_EQ(0, chan_fired(b, &r, 1));
	EXPECT_EQ(1, r.msg.res);
	close(a);
	close(b);
	close2(e);
}

/* Of many cases one is done; the others are taken back without anybody's help. */
TEST(one_case_fires_and_the_others_are_taken_back)
{
	enum { N = 64 };
	struct chan_case c[2 * N];
	char buf[N][4];
	int e[N][2];

	for (int i = 0; i < N; i++) {
		ASSERT_EQ(0, chan_make(e[i], 4, 0, 0));
		c[i] = chan_recv_case(e[i][0], buf[i], 4);
		c[N + i] = (struct chan_case){ .fd = -1, .op = CHAN_RECV };
	}
	int a = chan_arm(c, 2 * N, 0);
	ASSERT_GE(a, 0);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(1, info_of(e[i][0]).parked_receivers);
	ASSERT_EQ(0, chan_send(e[17][1], "abc", 3, -1, CHAN_NOW));
	EXPECT_TRUE(fires(a));
	for (int i = 0; i < N; i++) {
		EXPECT_TRUE(parked(e[i][0], 0, 0));
		if (i != 17)
			EXPECT_EQ(-EAGAIN, chan_send(e[i][1], "abc", 3, -1, CHAN_NOW));
	}
	EXPECT_EQ(-EINVAL, chan_fired(a, c, N));
	EXPECT_EQ(17, chan_fired(a, c, 2 * N));
	EXPECT_EQ(3, c[17].msg.res);
	close(a);
	for (int i = 0; i < N; i++)
		close2(e[i]);
}

TEST(closing_it_unfired_takes_all_back)
{
	char buf[4];
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	struct chan_case c[] = { chan_recv_case(e[0], buf, 4), chan_send_case(e[1], "x", 1) };
	int a = chan_arm(c, 2, 0);	/* never pairs with itself */
	EXPECT_EQ(0, events_of(a));
	EXPECT_EQ(1, info_of(e[0]).parked_receivers);
	EXPECT_EQ(1, info_of(e[0]).parked_senders);
	close(a);
	EXPECT_EQ(0, info_of(e[0]).parked_receivers);
	EXPECT_EQ(0, info_of(e[0]).parked_senders);
	EXPECT_EQ(0, info_of(e[0]).sent);
	close2(e);
}

static int polls_it(void *arg)
{
	struct chan_case c = { .fd = *(int *)arg, .op = CHAN_POLL, .events = POLLIN };
	int r = chan_select(&c, 1, 0, -1, SOON);

	return r ? -r : c.revents;
}

/* A select that polls it does not keep it open, and learns that it was closed. */
TEST(closing_it_ends_a_select_that_polls_it)
{
	int64_t late = SOON;	/* when it would look by itself */
	struct party p;
	char buf[4];
	int e[2], a;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	struct chan_case c = chan_recv_case(e[0], buf, 4);
	a = chan_arm(&c, 1, 0);
	ASSERT_TRUE(party_start(&p, false, polls_it, &a));
	ASSERT_TRUE(asleep(&p.tid));
	close(a);
	EXPECT_EQ(POLLHUP, party_end(&p));
	EXPECT_GT(late, chan_after(0));
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
}

TEST(fired_and_not_fetched_goes_back_to_the_head)
{
	char buf[4] = "";
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 2, 0));
	struct chan_case r = chan_recv_case(e[0], buf, 4);
	int a = chan_arm(&r, 1, 0);
	ASSERT_EQ(0, chan_send(e[1], "a", 1, -1, CHAN_NOW));
	ASSERT_EQ(0, chan_send(e[1], "b", 1, -1, CHAN_NOW));
	EXPECT_TRUE(fires(a));
	EXPECT_EQ(1, info_of(e[0]).len);
	close(a);
	EXPECT_EQ(2, info_of(e[0]).len);
	EXPECT_EQ(1, chan_recv(e[0], buf, 4, -1, CHAN_NOW));
	EXPECT_EQ('a', buf[0]);
	EXPECT_EQ(1, chan_recv(e[0], buf, 4, -1, CHAN_NOW));
	EXPECT_EQ('b', buf[0]);
	struct chan_info in = info_of(e[0]);
	EXPECT_EQ(2, in.sent);
	EXPECT_EQ(2, in.received);
	close2(e);
}

TEST(a_bad_buffer_can_be_mended)
{
	char buf[8];
	int e[2];

	ASSERT_EQ(0, chan_make(e, 8, 0, 0));
	struct chan_case r = chan_recv_case(e[0], buf, 8);
	int a = chan_arm(&r, 1, 0);
	ASSERT_EQ(0, chan_send(e[1], "hello", 5, -1, CHAN_NOW));
	r.msg.len = 2;
	EXPECT_EQ(-EMSGSIZE, chan_fired(a, &r, 1));
	r.msg.len = 8;
	r.msg.buf = (void *)8;
	EXPECT_EQ(-EFAULT, chan_fired(a, &r, 1));
	EXPECT_EQ(POLLIN, events_of(a));
	r.msg.buf = buf;
	EXPECT_EQ(0, chan_fired(a, &r, 1));
	EXPECT_EQ(5, r.msg.res);
	close(a);
	close2(e);
}

/* It holds channels and no ends: the One Rule holds for it too. */
TEST(an_end_that_dies_fires_its_case)
{
	char buf[4];
	int e[2];

	for (int own = 0; own < 2; own++) {
		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		struct chan_case r = chan_recv_case(e[0], buf, 4), s = chan_send_case(e[1], "x", 1);
		int a = chan_arm(&r, 1, 0);

		close(e[!own]);
		ASSERT_TRUE(fires(a));
		EXPECT_EQ(0, chan_fired(a, &r, 1));
		EXPECT_EQ(own ? -EPIPE : -ECONNRESET, r.msg.res);
		close(a);
		close(e[own]);

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		s.fd = e[1];
		a = chan_arm(&s, 1, 0);
		close(e[own]);
		ASSERT_TRUE(fires(a));
		EXPECT_EQ(0, chan_fired(a, &s, 1));
		EXPECT_EQ(-EPIPE, s.msg.res);
		close(a);
		close(e[!own]);
	}
}

TEST(a_killed_process_takes_its_armed_selects_back)
{
	char buf[4];
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	pid_t pid = fork();
	if (!pid) {
		struct chan_case r = chan_recv_case(e[0], buf, 4);

		for (int i = 0; i < 10; i++)
			chan_arm(&r, 1, 0);
		pause();
	}
	ASSERT_TRUE(parked(e[0], 0, 10));
	ASSERT_EQ(0, chan_send(e[1], "keep", 4, -1, CHAN_NOW));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_TRUE(parked(e[0], 0, 0));
	EXPECT_EQ(4, chan_recv(e[0], buf, 4, -1, SOON));	/* not lost with it */
	EXPECT_EQ(0, memcmp(buf, "keep", 4));
	close2(e);
}

/* In nested epolls, and under way over a socket: no cycle, no recursion. */
TEST(nested_epolls_and_sockets_hold_it)
{
	struct epoll_event ev = { .events = EPOLLIN };
	char buf[4], ctl[CMSG_SPACE(sizeof(int))] = {};
	int e[2], sv[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	struct chan_case r = chan_recv_case(e[0], buf, 4);
	int a = chan_arm(&r, 1, 0), ep = epoll_create1(0), top = epoll_create1(0);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
	ASSERT_EQ(0, epoll_ctl(top, EPOLL_CTL_ADD, ep, &ev));
	EXPECT_EQ(0, epoll_wait(top, &ev, 1, 0));
	ASSERT_EQ(0, chan_send(e[1], "x", 1, -1, CHAN_NOW));
	EXPECT_EQ(1, epoll_wait(top, &ev, 1, PATIENCE));

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &a, sizeof(a));
	ASSERT_EQ(1, sendmsg(sv[0], &m, 0));
	close(a);
	close(ep);
	close(top);
	close2(sv);	/* the last reference goes with the queue, and the message goes back */
	EXPECT_EQ(1, chan_recv(e[0], buf, 4, -1, SOON));
	close2(e);
}

/* Nothing is written to the cases: they may be constant. */
TEST(constant_cases_can_be_armed)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct chan_case *k = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				   -1, 0), got;
	int e[2], a, v = 5, w = 0;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	*k = chan_recv_case(e[0], NULL, sizeof(w));
	ASSERT_EQ(0, mprotect(k, page, PROT_READ));
	a = chan_arm(k, 1, 0);
	ASSERT_LE(0, a);
	ASSERT_EQ(0, chan_send(e[1], &v, sizeof(v), -1, CHAN_NOW));
	got = chan_recv_case(e[0], &w, sizeof(w));
	ASSERT_EQ(0, chan_fired(a, &got, 1));
	EXPECT_EQ(5, w);
	close(a);
	close2(e);
	munmap(k, page);
}

TEST(bad_arms_make_nothing)
{
	int e[2], p[2], dups, low;
	char buf[4];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, pipe(p));
	low = dup(0);
	struct chan_case c = chan_recv_case(e[0], buf, 4), d = { .fd = p[0], .op = CHAN_POLL };
	EXPECT_EQ(-EINVAL, chan_arm(&d, 1, 0));
	EXPECT_EQ(-EINVAL, chan_arm(&c, 1, 8));
	EXPECT_EQ(-EINVAL, chan_arm(&c, 1025, 0));
	EXPECT_EQ(-EFAULT, chan_arm(NULL, 1, 0));
	c.fd = e[1];
	EXPECT_EQ(-EBADF, chan_arm(&c, 1, 0));
	c = chan_send_case(e[1], "toolong", 7);
	EXPECT_EQ(-EMSGSIZE, chan_arm(&c, 1, 0));
	c = chan_send_case(e[1], (void *)8, 4);
	EXPECT_EQ(-EFAULT, chan_arm(&c, 1, 0));
	c = chan_recv_case(e[0], buf, 4);
	EXPECT_EQ(-EBADF, chan_fired(e[0], &c, 1));
	EXPECT_EQ(-ENOTTY, chan_fired(p[0], &c, 1));
	int a = chan_arm(&c, 1, 0);
	EXPECT_EQ(-EBADF, chan_send(a, "x", 1, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, chan_fired(a, NULL, 1));
	close(a);
	close(low);
	dups = dup(0);
	EXPECT_EQ(low, dups);	/* no descriptor was left */
	EXPECT_EQ(0, info_of(e[0]).parked_receivers);
}

static struct {
	int e[2];
	long sent, got;
	bool stop;
} st;

static void *armer(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	while (!__atomic_load_n(&st.stop, __ATOMIC_RELAXED)) {
		struct chan_case c[2];
		char buf[8];
		int x = 1;

		c[0] = seed & 1 ? chan_send_case(st.e[1], &x, 4) : chan_recv_case(st.e[0], buf, 8);
		c[1] = c[0];
		int a = chan_arm(c, 1 + (rand_r(&seed) & 1), 0), n = 1;
		if (a < 0)
			abort();
		struct pollfd p = { .fd = a, .events = POLLIN };
		poll(&p, 1, rand_r(&seed) % 3);
		n = -1;
		if (rand_r(&seed) % 4) {
			n = chan_fired(a, c, 1);
			if (n == -EINVAL)
				n = chan_fired(a, c, 2);
		}
		if (n >= 0 && c[0].op == CHAN_RECV)
			__atomic_fetch_add(&st.got, 1, __ATOMIC_RELAXED);
		close(a);
	}
	return NULL;
}

/* Armed on both sides, closed at random moments: what was sent was received or is there. */
TEST(random_closes_lose_nothing)
{
	pthread_t t[6];

	ASSERT_EQ(0, chan_make(st.e, 8, 2, 0));
	for (uintptr_t i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, armer, (void *)i);
	for (int i = 0; i < 600 && __atomic_load_n(&st.got, __ATOMIC_RELAXED) < quick(3000, 200); i++)
		usleep(100000);
	__atomic_store_n(&st.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	struct chan_info in = info_of(st.e[0]);
	EXPECT_EQ(in.sent, in.received + in.len);
	EXPECT_EQ(st.got, in.received);
	EXPECT_GE(st.got, quick(3000, 200));
	EXPECT_TRUE(parked(st.e[0], 0, 0));
	close2(st.e);
}

struct shut { int tx, got, when; };

static void *shut_it(void *arg)
{
	struct shut *s = arg;

	while (__atomic_load_n(&s->got, __ATOMIC_RELAXED) < s->when)
		;
	chan_shut(s->tx, 0);
	return NULL;
}

/* What waits to be sent fails with the shut: none is delivered once one before it has failed. */
TEST(a_shut_fails_all_sends_that_wait)
{
	enum { SENDS = 100 };
	int armed[SENDS], e[2], split = 0;

	/* at least one shut among the receives: it may have to be tried again */
	for (int round = 0; round < quick(150, 12) || (!split && round < 1500); round++) {
		struct shut s = { .when = 1 + round * 7 % 50 };
		struct chan_case c;
		bool failed = false;
		pthread_t t;
		int v;

		ASSERT_EQ(0, chan_make(e, 4, round & 1, 0));
		s.tx = e[1];
		for (int i = 0; i < SENDS; i++) {
			c = chan_send_case(e[1], &i, sizeof(i));
			armed[i] = chan_arm(&c, 1, 0);
			ASSERT_LE(0, armed[i]);
		}
		ASSERT_EQ(0, pthread_create(&t, NULL, shut_it, &s));
		while (chan_recv(e[0], &v, sizeof(v), -1, CHAN_FOREVER) == sizeof(v)) {
			ASSERT_EQ(s.got, v);
			__atomic_add_fetch(&s.got, 1, __ATOMIC_RELAXED);
		}
		pthread_join(t, NULL);
		for (int i = 0; i < SENDS; i++) {
			ASSERT_EQ(0, chan_fired(armed[i], &c, 1));
			ASSERT_TRUE(c.msg.res == 0 || c.msg.res == -EPIPE);
			ASSERT_FALSE(failed && !c.msg.res) TH_LOG("send %d after one that failed", i);
			failed |= c.msg.res < 0;
			close(armed[i]);
		}
		split += failed;
		close2(e);
	}
	EXPECT_LT(0, split) TH_LOG("never a shut among the receives");
}

/* Its other cases wait for nothing any more, whenever they are taken back. */
TEST(cases_of_what_has_fired_are_not_counted)
{
	for (int i = 0; i < 200; i++) {
		int c[2], idle[2], v = 1, a;
		struct chan_case k[2];
		struct pollfd p;

		ASSERT_EQ(0, chan_make(c, 4, 1, 0));
		ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
		k[0] = chan_recv_case(idle[0], &v, 4);
		k[1] = chan_recv_case(c[0], &v, 4);
		a = chan_arm(k, 2, 0);
		ASSERT_LE(0, a);
		EXPECT_EQ(1, info_of(idle[0]).parked_receivers);
		ASSERT_EQ(0, chan_send(c[1], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(0, info_of(idle[0]).parked_receivers);
		EXPECT_EQ(0, info_of(c[0]).parked_receivers);
		p = (struct pollfd){ idle[1], POLLOUT, 0 };
		EXPECT_EQ(0, poll(&p, 1, 0));
		ASSERT_EQ(1, chan_fired(a, k, 2));
		close(a);
		close2(c);
		close2(idle);
	}
}

TEST_HARNESS_MAIN
