// SPDX-License-Identifier: MIT
/* Descriptors in messages: all or none, what may travel, and no leak. */
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "harness.h"
#include "util.h"

static struct chan_msg msg(void *buf, size_t len, int *fds, unsigned nfds)
{
	return (struct chan_msg){ .buf = buf, .len = len, .fds = fds, .nfds = nfds };
}

static int send_fds(int tx, const char *text, int *fds, unsigned n)
{
	struct chan_msg m = msg((void *)text, strlen(text), fds, n);

	return chan_sendm(tx, &m, 1, -1, CHAN_NOW);
}

static int recv_fds(int rx, char *buf, int *fds, unsigned room)
{
	struct chan_msg m = msg(buf, 64, fds, room);
	int r = chan_recvm(rx, &m, 1, -1, SOON);

	return r < 0 ? r : (int)m.nfds;
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

FIXTURE(fds)
{
	int e[2], p[2];
	char buf[64];
	int got[16];
};

FIXTURE_SETUP(fds)
{
	ASSERT_EQ(0, chan_make(self->e, 64, 4, CHAN_FDS));
	ASSERT_EQ(0, pipe(self->p));
}

FIXTURE_TEARDOWN(fds)
{
	close2(self->e);
	close2(self->p);
}

TEST_F(fds, they_arrive_with_the_message_close_on_exec)
{
	int two[] = { self->p[0], self->p[1] };
	char x;

	EXPECT_EQ(1, send_fds(self->e[1], "pair", two, 2));
	EXPECT_EQ(2, recv_fds(self->e[0], self->buf, self->got, 16));
	EXPECT_EQ(0, memcmp(self->buf, "pair", 4));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->got[0], F_GETFD));
	ASSERT_EQ(1, write(self->got[1], "y", 1));
	ASSERT_EQ(1, read(self->p[0], &x, 1));
	EXPECT_EQ('y', x);
	EXPECT_GE(fcntl(self->p[0], F_GETFD), 0);	/* the sender's stay open */
	close2(self->got);
}

TEST_F(fds, a_receive_without_room_leaves_the_message)
{
	int two[] = { self->p[0], self->p[1] };
	unsigned before = open_fds();

	EXPECT_EQ(1, send_fds(self->e[1], "pair", two, 2));
	EXPECT_EQ(-EMSGSIZE, chan_recv(self->e[0], self->buf, 64, -1, CHAN_NOW));
	EXPECT_EQ(-1, read(self->e[0], self->buf, 64));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-EMSGSIZE, recv_fds(self->e[0], self->buf, self->got, 1));
	EXPECT_EQ(-EFAULT, recv_fds(self->e[0], self->buf, (int *)8, 2));
	EXPECT_EQ(before, open_fds());
	EXPECT_EQ(1, info_of(self->e[0]).len);
	EXPECT_EQ(4, info_of(self->e[0]).next_len);
	EXPECT_EQ(2, recv_fds(self->e[0], self->buf, self->got, 2));
	close2(self->got);
	EXPECT_EQ(1, info_of(self->e[0]).received);
}

TEST_F(fds, a_receiver_out_of_descriptors_gets_emfile_and_the_message_stays)
{
	int two[] = { self->p[0], self->p[1] };
	struct rlimit old, low;
	unsigned before = open_fds();

	EXPECT_EQ(1, send_fds(self->e[1], "pair", two, 2));
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	int next = dup(0);
	close(next);
	low.rlim_cur = next + 1;	/* room for one */
	setrlimit(RLIMIT_NOFILE, &low);
	EXPECT_EQ(-EMFILE, recv_fds(self->e[0], self->buf, self->got, 2));
	EXPECT_EQ(before, open_fds());
	setrlimit(RLIMIT_NOFILE, &old);
	EXPECT_EQ(2, recv_fds(self->e[0], self->buf, self->got, 2));
	close2(self->got);
}

/* What is open there by another descriptor, or only that it is there. */
static int path_of(int fd)
{
	char name[40];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, O_PATH);
}

TEST_F(fds, what_may_travel)
{
	int other[2], g = chan_group(-1, CHAN_FOREVER, 0, 0);

	ASSERT_EQ(0, chan_make(other, 4, 1, 0));
	int ok[] = {
		open("/proc/self/exe", O_RDONLY), open("/", O_RDONLY | O_DIRECTORY), self->p[0],
		eventfd(0, 0), socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET6, SOCK_DGRAM, 0),
		other[1], self->e[1], g, chan_watch(g), chan_join(g, -1, CHAN_NOW),
		memfd_create("memory", 0),
		open("/proc/self/exe", O_PATH), open("/", O_PATH | O_DIRECTORY),
		path_of(self->p[0]),
	};
	for (unsigned i = 0; i < sizeof(ok) / sizeof(*ok); i++) {
		if (ok[i] < 0 && i == 5)
			continue;	/* a kernel without IPv6 */
		ASSERT_GE(ok[i], 0) TH_LOG("%u", i);
		ASSERT_EQ(1, send_fds(self->e[1], "x", &ok[i], 1)) TH_LOG("%u", i);
		ASSERT_EQ(1, recv_fds(self->e[0], self->buf, self->got, 1));
		struct stat a, b;
		fstat(ok[i], &a);
		fstat(self->got[0], &b);
		EXPECT_EQ(a.st_ino, b.st_ino);
		EXPECT_EQ(chan_kind(ok[i]), chan_kind(self->got[0]));
		close(self->got[0]);
	}
}

TEST_F(fds, what_may_not)
{
	int other[2], sv[2];
	struct chan_case c;

	ASSERT_EQ(0, chan_make(other, 4, 0, 0));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
	c = chan_recv_case(other[0], self->buf, 4);
	int bad[] = {
		self->e[0], other[0], sv[0], epoll_create1(0), chan_arm(&c, 1, 0),
		open("/dev/kchan", O_RDWR),
		open("/dev/null", O_RDWR), syscall(SYS_pidfd_open, getpid(), 0),
		syscall(SYS_io_uring_setup, 4, (char[256]){}),
		timerfd_create(CLOCK_MONOTONIC, 0),
		open("/proc/self/ns/mnt", O_RDONLY), open("/proc/self/ns/net", O_RDONLY),
		/* by its path, only a file, a directory or a FIFO */
		open("/dev/null", O_PATH), open("/dev/kchan", O_PATH),
		open("/proc/self/exe", O_PATH | O_NOFOLLOW), open("/proc/self/ns/net", O_PATH),
		path_of(self->e[0]), path_of(self->e[1]), path_of(sv[0]), path_of(eventfd(0, 0)),
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ASSERT_GE(bad[i], 0) TH_LOG("%u", i);
		int mix[] = { self->p[0], bad[i], self->p[1] };
		EXPECT_EQ(-EOPNOTSUPP, send_fds(self->e[1], "x", mix, 3)) TH_LOG("%u", i);
	}
	EXPECT_EQ(0, info_of(self->e[0]).sent);
}

/* It is the same place on the other side: what is below can be opened from there. */
TEST_F(fds, a_directory_by_its_path_leads_to_what_is_in_it)
{
	int dir = open("/proc", O_PATH | O_DIRECTORY), in;
	struct stat a, b;

	ASSERT_LE(0, dir);
	ASSERT_EQ(1, send_fds(self->e[1], "x", &dir, 1));
	close(dir);
	ASSERT_EQ(1, recv_fds(self->e[0], self->buf, self->got, 1));
	EXPECT_EQ(O_PATH, fcntl(self->got[0], F_GETFL) & O_PATH);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->got[0], F_GETFD));
	in = openat(self->got[0], "version", O_RDONLY);
	ASSERT_LE(0, in);
	EXPECT_EQ(0, fstat(in, &a));
	EXPECT_EQ(0, stat("/proc/version", &b));
	EXPECT_EQ(b.st_ino, a.st_ino);
	close(in);
	close(self->got[0]);
}

TEST_F(fds, bad_sends_send_nothing)
{
	int none[] = { self->p[0], 999 }, many[17], plain[2];

	for (int i = 0; i < 17; i++)
		many[i] = self->p[0];
	EXPECT_EQ(-EBADF, send_fds(self->e[1], "x", none, 2));
	EXPECT_EQ(-EINVAL, send_fds(self->e[1], "x", many, 17));
	EXPECT_EQ(-EFAULT, send_fds(self->e[1], "x", (int *)8, 1));
	ASSERT_EQ(0, chan_make(plain, 4, 1, 0));
	EXPECT_EQ(-EPERM, send_fds(plain[1], "x", many, 1));
	EXPECT_EQ(0, info_of(plain[0]).sent);
	EXPECT_EQ(0, info_of(self->e[0]).sent);
	EXPECT_EQ(1, send_fds(self->e[1], "x", many, 16));
	EXPECT_EQ(16, recv_fds(self->e[0], self->buf, self->got, 16));
	for (int i = 0; i < 16; i++)
		close(self->got[i]);
	close2(plain);
}

/* Is nobody holding the writing end of @p any more? */
static bool closed(int *p)
{
	struct pollfd pf = { .fd = p[0] };

	close(p[1]);
	p[1] = dup(p[0]);	/* something for the teardown */
	return poll(&pf, 1, PATIENCE) == 1 && pf.revents == POLLHUP;
}

TEST_F(fds, those_of_dropped_messages_are_closed)
{
	int e[2];

	for (int flag = CHAN_DROP_NEW; flag <= CHAN_DROP_OLD; flag++) {
		ASSERT_EQ(0, chan_make(e, 64, 1, CHAN_FDS | flag));
		if (flag == CHAN_DROP_OLD) {
			ASSERT_EQ(1, send_fds(e[1], "with", &self->p[1], 1));
			ASSERT_EQ(1, send_fds(e[1], "without", NULL, 0));
		} else {
			ASSERT_EQ(1, send_fds(e[1], "without", NULL, 0));
			ASSERT_EQ(1, send_fds(e[1], "with", &self->p[1], 1));
		}
		EXPECT_EQ(1, info_of(e[0]).dropped);
		EXPECT_TRUE(closed(self->p));
		close2(e);
		close2(self->p);
		ASSERT_EQ(0, pipe(self->p));
	}
}

TEST_F(fds, those_in_a_dying_queue_are_closed)
{
	ASSERT_EQ(1, send_fds(self->e[1], "with", &self->p[1], 1));
	close(self->e[0]);
	EXPECT_TRUE(closed(self->p));
	self->e[0] = dup(0);
}

/* The queue holds its own sending end: still it dies with its receiver. */
TEST_F(fds, a_channel_sent_over_itself_dies_with_its_receiver)
{
	int e[2], f[2];

	ASSERT_EQ(0, chan_make(e, 64, 4, CHAN_FDS));
	ASSERT_EQ(0, chan_make(f, 64, 4, CHAN_FDS));
	int three[] = { e[1], f[1], self->p[1] };
	ASSERT_EQ(1, send_fds(e[1], "self", three, 3));
	ASSERT_EQ(1, send_fds(f[1], "cross", three, 3));
	close2(e);
	close2(f);
	EXPECT_TRUE(closed(self->p));
}

TEST_F(fds, a_killed_receiver_and_a_failed_send_leak_nothing)
{
	int e[2];

	ASSERT_EQ(0, chan_make(e, 64, 0, CHAN_FDS));
	pid_t pid = fork();
	if (!pid) {
		close(e[0]);
		struct chan_msg m = msg("x", 1, &self->p[1], 1);
		chan_sendm(e[1], &m, 1, -1, CHAN_FOREVER);	/* parks, is killed */
		_exit(0);
	}
	ASSERT_TRUE(parked(e[0], 1, 0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_TRUE(parked(e[0], 0, 0));
	EXPECT_TRUE(closed(self->p));
	close2(e);
}

TEST_F(fds, select_and_armed_select_carry_them)
{
	int two[] = { self->p[0], self->p[1] }, e[2];

	ASSERT_EQ(0, chan_make(e, 64, 0, CHAN_FDS));
	struct chan_case r = chan_recv_case(e[0], self->buf, 64), s = chan_send_case(e[1], "hi", 2);
	s.msg.fds = two;
	s.msg.nfds = 2;
	int a = chan_arm(&r, 1, 0);	/* no room: a send that waits has EMSGSIZE for it */
	EXPECT_EQ(-EAGAIN, chan_select(&s, 1, 0, -1, CHAN_NOW));
	EXPECT_EQ(-EAGAIN, chan_fired(a, &r, 1));
	for (int64_t ns = 5 * MS; info_of(e[1]).parked_receivers && ns < PATIENCE * MS; ns *= 2)
		EXPECT_EQ(-ETIMEDOUT, chan_select(&s, 1, 0, -1, chan_after(ns)));
	EXPECT_EQ(0, chan_fired(a, &r, 1));
	EXPECT_EQ(-EMSGSIZE, r.msg.res);
	close(a);
	r.msg.fds = self->got;
	r.msg.nfds = 16;
	a = chan_arm(&r, 1, 0);
	EXPECT_EQ(0, chan_select(&s, 1, 0, -1, CHAN_NOW));
	EXPECT_EQ(0, s.msg.res);
	EXPECT_EQ(0, chan_fired(a, &r, 1));
	EXPECT_EQ(2, r.msg.res);
	EXPECT_EQ(2, r.msg.nfds);
	close2(self->got);
	close(a);

	a = chan_arm(&s, 1, 0);
	r.msg.len = 64;
	r.msg.nfds = 16;
	EXPECT_EQ(0, chan_select(&r, 1, 0, -1, CHAN_NOW));
	EXPECT_EQ(2, r.msg.nfds);
	close2(self->got);
	EXPECT_EQ(0, chan_fired(a, &s, 1));
	close(a);
	/* and a plain message brings none */
	ASSERT_EQ(0, chan_send(self->e[1], "x", 1, -1, CHAN_NOW));
	EXPECT_EQ(0, recv_fds(self->e[0], self->buf, self->got, 16));
	close2(e);
}

/* As AF_UNIX counts them: a user has at most RLIMIT_NOFILE under way. */
TEST_F(fds, those_under_way_are_charged_to_the_sender)
{
	int sixteen[16], st;

	for (int i = 0; i < 16; i++)
		sixteen[i] = self->p[0];
	pid_t pid = fork();
	if (!pid) {
		struct rlimit low = { 40, 40 };
		int e[2], i;

		if (chan_make(e, 8, 100, CHAN_FDS))
			_exit(1);
		setrlimit(RLIMIT_NOFILE, &low);
		if (setresuid(4242, 4242, 4242))
			_exit(2);
		for (i = 0; i < 2; i++)
			if (send_fds(e[1], "x", sixteen, 16) != 1)
				_exit(3);
		if (send_fds(e[1], "x", sixteen, 16) != -EDQUOT)
			_exit(4);
		if (send_fds(e[1], "x", sixteen, 8) != 1)
			_exit(5);
		if (info_of(e[0]).len != 3)
			_exit(6);
		close(e[0]);	/* gives them back */
		if (chan_kind(e[1]) != CHAN_TX)
			_exit(7);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	EXPECT_EQ(0, st);
}

TEST_F(fds, fork_and_threads_get_a_request_with_its_reply_channel)
{
	int reply[2], st;
	char buf[8];

	pid_t pid = fork();
	if (!pid) {
		int tx;
		struct chan_msg m = msg(buf, 8, &tx, 1);

		close(self->e[1]);
		if (chan_recvm(self->e[0], &m, 1, -1, SOON) != 1 || m.nfds != 1 ||
		    chan_kind(tx) != CHAN_TX)
			_exit(1);
		_exit(chan_send(tx, "answer", 6, -1, SOON) != 0);
	}
	ASSERT_EQ(0, chan_make(reply, 8, 0, 0));
	ASSERT_EQ(1, send_fds(self->e[1], "ask", &reply[1], 1));
	close(reply[1]);
	EXPECT_EQ(6, chan_recv(reply[0], buf, 8, -1, SOON));
	EXPECT_EQ(-ECONNRESET, chan_recv(reply[0], buf, 8, -1, SOON));
	waitpid(pid, &st, 0);
	EXPECT_EQ(0, st);
	close(reply[0]);
}

TEST_HARNESS_MAIN
