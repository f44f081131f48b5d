// SPDX-License-Identifier: MIT
/* O_ASYNC, FIOASYNC and FIONREAD, as on a pipe and a datagram socket. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "util.h"
#include "harness.h"

static volatile sig_atomic_t hits, from, band;

static void on_signal(int sig, siginfo_t *i, void *u)
{
	hits++;
	from = i->si_fd;
	band = i->si_code;
}

/* Every descriptor has signals of its own queue: none is merged with another. */
static bool ask(int fd)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

	return !sigaction(SIGRTMIN, &a, NULL) && !fcntl(fd, F_SETOWN, getpid()) &&
	       !fcntl(fd, F_SETSIG, SIGRTMIN) && !fcntl(fd, F_SETFL, O_ASYNC);
}

/* Has it been sent a signal, or more than one? Whoever caused it may not be done with that yet. */
static bool told(int fd, int code)
{
	bool right;

	for (int i = 0; i < PATIENCE && !hits; i++)
		usleep(1000);
	right = hits && from == fd && band == code;
	if (!right)
		fprintf(stderr, "# %d signals, of %d, code %d\n", (int)hits, (int)from, (int)band);
	hits = 0;
	return right;
}

FIXTURE(async) { int e[2]; };

FIXTURE_SETUP(async)
{
	hits = 0;
	ASSERT_EQ(0, chan_make(self->e, 64, 2, 0));
}

FIXTURE_TEARDOWN(async)
{
	close2(self->e);
}

TEST(a_pipe_for_comparison)
{
	int p[2];

	hits = 0;
	ASSERT_EQ(0, pipe(p));
	ASSERT_TRUE(ask(p[0]));
	ASSERT_EQ(1, write(p[1], "x", 1));
	EXPECT_TRUE(told(p[0], POLL_IN));
	close2(p);
}

TEST_F(async, a_receiving_end_tells_of_each_message)
{
	char buf[64];

	ASSERT_TRUE(ask(self->e[0]));
	EXPECT_TRUE(fcntl(self->e[0], F_GETFL) & O_ASYNC);
	ASSERT_EQ(0, chan_send(self->e[1], "x", 1, -1, CHAN_NOW));
	EXPECT_TRUE(told(self->e[0], POLL_IN));
	ASSERT_EQ(0, chan_send(self->e[1], "long", 4, -1, SOON));
	EXPECT_TRUE(told(self->e[0], POLL_IN));
	EXPECT_EQ(-EAGAIN, chan_send(self->e[1], "y", 1, -1, CHAN_NOW));
	EXPECT_EQ(1, chan_recv(self->e[0], buf, 64, -1, CHAN_NOW));
	EXPECT_EQ(0, hits);
	ASSERT_EQ(1, write(self->e[1], "z", 1));
	EXPECT_TRUE(told(self->e[0], POLL_IN));
	EXPECT_EQ(0, chan_shut(self->e[1], 0));
	EXPECT_TRUE(told(self->e[0], POLL_IN));
}

TEST_F(async, a_sending_end_tells_of_room)
{
	char buf[64];

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, chan_send(self->e[1], "x", 1, -1, CHAN_NOW));
	ASSERT_TRUE(ask(self->e[1]));
	EXPECT_EQ(1, chan_recv(self->e[0], buf, 64, -1, CHAN_NOW));
	EXPECT_TRUE(told(self->e[1], POLL_OUT));
	EXPECT_EQ(1, read(self->e[0], buf, 64));
	EXPECT_TRUE(told(self->e[1], POLL_OUT));
	EXPECT_EQ(0, chan_shut(self->e[0], 0));
	EXPECT_TRUE(told(self->e[1], POLL_OUT));
}

TEST_F(async, a_rendezvous_tells_each_side_of_the_other_that_waits)
{
	struct chan_case c;
	char buf[8];
	int e[2], a;

	ASSERT_EQ(0, chan_make(e, 8, 0, 0));
	ASSERT_TRUE(ask(e[0]));
	c = chan_send_case(e[1], "x", 1);
	a = chan_arm(&c, 1, 0);
	EXPECT_TRUE(told(e[0], POLL_IN));
	close(a);
	ASSERT_EQ(0, fcntl(e[0], F_SETFL, 0));
	ASSERT_TRUE(ask(e[1]));
	c = chan_recv_case(e[0], buf, 8);
	a = chan_arm(&c, 1, 0);
	EXPECT_TRUE(told(e[1], POLL_OUT));
	close(a);
	close2(e);
}

TEST_F(async, the_last_close_elsewhere_tells)
{
	ASSERT_TRUE(ask(self->e[0]));
	close(self->e[1]);
	EXPECT_TRUE(told(self->e[0], POLL_IN));
	close2(self->e);
	ASSERT_EQ(0, chan_make(self->e, 64, 2, 0));
	ASSERT_TRUE(ask(self->e[1]));
	close(self->e[0]);
	EXPECT_TRUE(told(self->e[1], POLL_OUT));
	self->e[0] = dup(self->e[1]);
}

TEST_F(async, groups_tell_of_their_end_and_their_last_member)
{
	for (int kind = 0; kind < 2; kind++) {	/* an owner, a watch */
		int g = chan_group(-1, CHAN_FOREVER, 0, 0), w = chan_watch(g);
		int m = chan_join(g, -1, CHAN_NOW), fd = kind ? w : g;

		ASSERT_TRUE(ask(fd));
		EXPECT_EQ(0, chan_leave(m, 0, NULL));
		EXPECT_TRUE(told(fd, POLL_OUT));
		EXPECT_EQ(0, chan_cancel(g, 0, NULL));
		EXPECT_TRUE(told(fd, POLL_IN));
		EXPECT_EQ(0, chan_cancel(g, 0, NULL));
		EXPECT_EQ(0, hits);
		close(m);
		close2((int[]){ w, g });
	}
}

TEST_F(async, a_deadline_tells)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, &old);	/* it may come at any time */
	for (uint64_t wait = 20 * MS;; wait *= 2) {
		int g = chan_group(-1, chan_after(wait), 0, 0);
		struct pollfd p = { .fd = g, .events = POLLIN };
		siginfo_t i;

		ASSERT_TRUE(ask(g));
		if (poll(&p, 1, 0) == 0) {	/* asked before it ended */
			/* what is marked as ended is told of a little later */
			EXPECT_EQ(SIGRTMIN, sigtimedwait(&set, &i, &(struct timespec){ .tv_sec = PATIENCE / 1000 }));
			EXPECT_EQ(g, i.si_fd);
			EXPECT_EQ(POLL_IN, i.si_code);
			EXPECT_EQ(1, poll(&p, 1, 0));
			close(g);
			break;
		}
		close(g);
		while (sigtimedwait(&set, &i, &(struct timespec){ 0 }) == SIGRTMIN)
			;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
}

TEST_F(async, an_armed_select_tells_that_a_case_was_done)
{
	char buf[64];
	struct chan_case c[2] = {
		chan_recv_case(self->e[0], buf, 64), chan_recv_case(self->e[0], buf, 64),
	};

	for (int n = 1; n <= 2; n++) {
		int a = chan_arm(c, n, 0);

		ASSERT_TRUE(ask(a));
		ASSERT_EQ(0, chan_send(self->e[1], "x", 1, -1, CHAN_NOW));
		EXPECT_TRUE(told(a, POLL_IN));
		EXPECT_LE(0, chan_fired(a, c, n));
		EXPECT_EQ(0, hits);
		close(a);
	}
}

/* Each of the others that wait is still told, as often as before. */
TEST_F(async, pollers_and_sleepers_are_told_as_before)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), ep2 = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct op o = { .fd = self->e[0] };

	ASSERT_TRUE(ask(self->e[0]));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->e[0], &ev));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	ASSERT_EQ(0, epoll_ctl(ep2, EPOLL_CTL_ADD, self->e[0], &ev));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, chan_send(self->e[1], "1234", 4, -1, CHAN_NOW));
		EXPECT_TRUE(told(self->e[0], POLL_IN));
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, PATIENCE));
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		EXPECT_EQ(1, epoll_wait(ep2, &ev, 1, PATIENCE));
	}
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(4, chan_recv(self->e[0], (char[8]){}, 8, -1, CHAN_NOW));
	ASSERT_EQ(0, pthread_create(&o.t, NULL, op_recv, &o));
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	ASSERT_EQ(0, chan_send(self->e[1], "1234", 4, -1, CHAN_NOW));
	pthread_join(o.t, NULL);
	EXPECT_EQ(4, o.ret);
	close2((int[]){ ep, ep2 });
}

TEST_F(async, nothing_comes_once_it_is_turned_off)
{
	int on = 1, off = 0, other;

	ASSERT_TRUE(ask(self->e[0]));
	ASSERT_EQ(0, fcntl(self->e[0], F_SETFL, 0));
	EXPECT_FALSE(fcntl(self->e[0], F_GETFL) & O_ASYNC);
	ASSERT_EQ(0, chan_send(self->e[1], "x", 1, -1, CHAN_NOW));
	EXPECT_EQ(0, hits);
	ASSERT_EQ(0, ioctl(self->e[0], FIOASYNC, &on));
	ASSERT_EQ(0, ioctl(self->e[0], FIOASYNC, &on));
	ASSERT_EQ(0, chan_send(self->e[1], "x", 1, -1, CHAN_NOW));
	EXPECT_TRUE(told(self->e[0], POLL_IN));
	/* one file, whatever its descriptor: the number is the one that asked last */
	other = dup(self->e[0]);
	ASSERT_EQ(0, ioctl(self->e[0], FIOASYNC, &off));
	ASSERT_EQ(0, ioctl(other, FIOASYNC, &on));
	EXPECT_EQ(0, chan_shut(self->e[1], 0));
	EXPECT_TRUE(told(other, POLL_IN));
	ASSERT_EQ(0, ioctl(self->e[0], FIOASYNC, &off));
	EXPECT_FALSE(fcntl(other, F_GETFL) & O_ASYNC);
	close(other);
}

/* It closes with the signal still asked for, in every order, many times. */
TEST_F(async, a_close_takes_it_back)
{
	for (int i = 0; i < quick(300, 50); i++) {
		int e[2], g = chan_group(-1, CHAN_FOREVER, 0, 0), w = chan_watch(g), a;
		struct chan_case c;

		ASSERT_EQ(0, chan_make(e, 8, 0, 0));
		c = chan_recv_case(e[0], NULL, 0);
		a = chan_arm(&c, 1, 0);
		int all[] = { e[0], e[1], g, w, a };

		for (int k = 0; k < 5; k++)
			ASSERT_TRUE(ask(all[k]));
		for (int k = 0; k < 5; k++)
			close(all[(i + k) % 5]);
	}
	hits = 0;
}

static void *toggle(void *arg)
{
	int *fd = arg;

	for (int i = 0; i < quick(3000, 500); i++) {
		fcntl(fd[i & 1], F_SETFL, i & 2 ? O_ASYNC : 0);
		fcntl(fd[i & 1], F_SETFL, i & 4 ? O_ASYNC : 0);
	}
	return NULL;
}

TEST_F(async, it_is_turned_on_and_off_by_many_while_messages_pass)
{
	pthread_t t[3];
	char buf[8];

	ASSERT_TRUE(ask(self->e[0]));
	ASSERT_TRUE(ask(self->e[1]));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, toggle, self->e));
	for (int i = 0; i < quick(3000, 500); i++) {
		ASSERT_EQ(0, chan_send(self->e[1], "x", 1, -1, SOON));
		ASSERT_EQ(1, chan_recv(self->e[0], buf, 8, -1, SOON));
	}
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, fcntl(self->e[i], F_SETFL, 0));
	hits = 0;
	ASSERT_EQ(0, chan_send(self->e[1], "x", 1, -1, CHAN_NOW));
	EXPECT_EQ(1, chan_recv(self->e[0], buf, 8, -1, CHAN_NOW));
	EXPECT_EQ(0, hits);
}

static int bytes(int fd)
{
	int n = -7;

	return ioctl(fd, FIONREAD, &n) ? -errno : n;
}

TEST_F(async, FIONREAD_tells_the_next_messages_length)
{
	char buf[64];
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
	int rx[] = { self->e[0], sv[0] }, tx[] = { self->e[1], sv[1] };

	for (int k = 0; k < 2; k++) {	/* and so does a datagram socket */
		EXPECT_EQ(0, bytes(rx[k]));
		ASSERT_EQ(5, write(tx[k], "first", 5));
		ASSERT_EQ(6, write(tx[k], "second", 6));
		EXPECT_EQ(5, bytes(rx[k]));
		EXPECT_EQ(5, bytes(rx[k]));
		ASSERT_EQ(5, read(rx[k], buf, 64));
		EXPECT_EQ(6, bytes(rx[k]));
		ASSERT_EQ(6, read(rx[k], buf, 64));
		EXPECT_EQ(0, bytes(rx[k]));
	}
	ASSERT_EQ(0, chan_send(self->e[1], NULL, 0, -1, CHAN_NOW));
	EXPECT_EQ(0, bytes(self->e[0]));
	ASSERT_EQ(0, chan_recv(self->e[0], buf, 64, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, ioctl(self->e[0], FIONREAD, 8) ? -errno : 0);
	/* what is left in a channel that is shut, then nothing */
	ASSERT_EQ(0, chan_send(self->e[1], "last", 4, -1, CHAN_NOW));
	ASSERT_EQ(0, chan_shut(self->e[1], 0));
	EXPECT_EQ(4, bytes(self->e[0]));
	ASSERT_EQ(4, chan_recv(self->e[0], buf, 64, -1, CHAN_NOW));
	EXPECT_EQ(0, bytes(self->e[0]));
	close2(sv);
}

TEST_F(async, FIONREAD_sees_a_send_that_waits_and_one_of_any_size)
{
	static char big[60000];
	struct chan_case c;
	int e[2], a;

	ASSERT_EQ(0, chan_make(e, sizeof(big), 0, CHAN_FDS));
	for (int len = 1; len < (int)sizeof(big); len *= 7) {
		c = chan_send_case(e[1], big, len);
		a = chan_arm(&c, 1, 0);
		EXPECT_EQ(len, bytes(e[0]));
		close(a);
		EXPECT_EQ(0, bytes(e[0]));
	}
	close2(e);
	ASSERT_EQ(0, chan_make(e, sizeof(big), 1, CHAN_FDS));
	struct chan_msg m = { .buf = big, .len = 50000, .fds = &self->e[1], .nfds = 1 };
	ASSERT_EQ(1, chan_sendm(e[1], &m, 1, -1, CHAN_NOW));
	EXPECT_EQ(50000, bytes(e[0]));
	close2(e);
}

TEST_F(async, FIONREAD_of_other_descriptors_is_ENOTTY)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), w = chan_watch(g);
	struct chan_case c = chan_recv_case(self->e[0], NULL, 0);
	int fd[] = { self->e[1], g, w, chan_arm(&c, 1, 0), open("/dev/kchan", O_RDWR) };

	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(-ENOTTY, bytes(fd[i]));
		if (i)
			close(fd[i]);
	}
}

TEST_HARNESS_MAIN
