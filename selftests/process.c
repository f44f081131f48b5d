// SPDX-License-Identifier: MIT
/* Ends that processes share and lose: by close, exit, exec, SIGKILL, in messages. */
#include <sys/socket.h>
#include "util.h"
#include "harness.h"

enum { CLOSE, EXIT, KILL, EXEC };

/* A child that holds an end until it is told to part with it in one of four ways. */
struct holder {
	pid_t pid;
	int how, go[2];
};

static void hold(struct holder *h, int how, int held, int other)
{
	char c;

	h->how = how;
	if (pipe2(h->go, O_CLOEXEC))
		abort();
	h->pid = fork();
	if (h->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(other);
	close(h->go[1]);
	if (read(h->go[0], &c, 1) != 1 || how == EXIT)
		_exit(0);
	if (how == CLOSE)
		close(held);
	if (how == EXEC) {	/* ends when the other end of its input does */
		dup2(h->go[0], 0);
		execl("/bin/cat", "cat", NULL);
		_exit(1);
	}
	pause();
	_exit(0);
}

static void let_go(struct holder *h)
{
	if (write(h->go[1], "x", 1) != 1)
		abort();
	if (h->how == KILL)
		kill(h->pid, SIGKILL);
}

/* The child may go on living after it has parted with the end. */
static void bury(struct holder *h)
{
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
	close2(h->go);
}

FIXTURE(gone) {
	int e[2];
	struct holder h;
};

FIXTURE_VARIANT(gone) { int how; };
FIXTURE_VARIANT_ADD(gone, by_close) { CLOSE };
FIXTURE_VARIANT_ADD(gone, by_exit) { EXIT };
FIXTURE_VARIANT_ADD(gone, by_SIGKILL) { KILL };
FIXTURE_VARIANT_ADD(gone, by_exec) { EXEC };

FIXTURE_SETUP(gone)
{
	ASSERT_EQ(0, chan_make(self->e, 4, 2, 0));
}

FIXTURE_TEARDOWN(gone)
{
	bury(&self->h);
}

static int select_fails(int fd, int op, int want)
{
	int v = 0;
	struct chan_case c = op == CHAN_RECV ? chan_recv_case(fd, &v, 4) :
			     chan_send_case(fd, &v, 4);

	return chan_select(&c, 1, 0, -1, SOON) == 0 && c.msg.res == want ? 0 : 1;
}

static int select_reset(void *arg)
{
	return select_fails(((struct op *)arg)->fd, CHAN_RECV, -ECONNRESET);
}

static int select_pipe(void *arg)
{
	return select_fails(((struct op *)arg)->fd, CHAN_SEND, -EPIPE);
}

static int read_nothing(void *arg)
{
	int v;

	return read(((struct op *)arg)->fd, &v, 4) == 0 ? 0 : 1;
}

/* CL-02, FD-02, PX-14: what a shut with EOWNERDEAD does */
TEST_F(gone, the_last_sender_ends_receives_with_ECONNRESET)
{
	int *e = self->e, v = 5;

	for (int procs = 0; procs < 2; procs++) {
		int (*body[])(void *) = { party_recv, select_reset, read_nothing };
		struct op *o = shared(3 * sizeof(*o));
		struct party p[3];

		if (procs) {
			bury(&self->h);
			close(e[0]);
			ASSERT_EQ(0, chan_make(e, 4, 2, 0));
		}
		hold(&self->h, variant->how, e[1], e[0]);
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		close(e[1]);
		EXPECT_EQ(1, (int)info_of(e[0]).senders);
		EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		for (int i = 0; i < 3; i++) {
			o[i].fd = e[0];
			ASSERT_TRUE(party_start(&p[i], procs, body[i], &o[i]));
		}
		ASSERT_TRUE(parked(e[0], 0, 3));
		EXPECT_EQ(0, (int)info_of(e[0]).shut);
		let_go(&self->h);
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(-ECONNRESET, o[0].ret);
		struct chan_info in = info_of(e[0]);

		EXPECT_EQ(KCHAN_SHUT_SEND, in.shut);
		EXPECT_EQ(EOWNERDEAD, (int)in.send_err);
		EXPECT_EQ(0, (int)in.senders);
		EXPECT_EQ(1, (int)in.receivers);
		EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, CHAN_FOREVER));
	}
	close(e[0]);
}

static int pipe_signals;

static void count_signal(int sig)
{
	pipe_signals++;
}

/* FD-01, PX-14 */
TEST_F(gone, the_last_receiver_ends_sends_with_EPIPE_and_frees_the_buffer)
{
	int *e = self->e, v = 5;

	signal(SIGPIPE, count_signal);
	for (int procs = 0; procs < 2; procs++) {
		int (*body[])(void *) = { party_send, select_pipe, party_send };
		struct op *o = shared(3 * sizeof(*o));
		struct party p[3];

		if (procs) {
			bury(&self->h);
			close(e[1]);
			ASSERT_EQ(0, chan_make(e, 4, 2, 0));
		}
		hold(&self->h, variant->how, e[0], e[1]);
		close(e[0]);
		EXPECT_EQ(1, (int)info_of(e[1]).receivers);
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		for (int i = 0; i < 3; i++) {
			o[i].fd = e[1];
			ASSERT_TRUE(party_start(&p[i], procs, body[i], &o[i]));
		}
		ASSERT_TRUE(parked(e[1], 3, 0));
		let_go(&self->h);
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(-EPIPE, o[0].ret);
		EXPECT_EQ(-EPIPE, o[2].ret);
		for (int i = 0; i < 20; i++)
			EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, CHAN_FOREVER));
		/* those parked are told a moment before the buffer is freed */
		for (int i = 0; i < PATIENCE && info_of(e[1]).len; i++)
			usleep(1000);
		struct chan_info in = info_of(e[1]);

		EXPECT_EQ(KCHAN_SHUT_RECV, in.shut);
		EXPECT_EQ(EOWNERDEAD, (int)in.recv_err);
		EXPECT_EQ(0, (int)in.receivers);
		EXPECT_EQ(1, (int)in.senders);
		EXPECT_EQ(0, (int)in.len);
		EXPECT_EQ(2, (int)in.dropped);
		EXPECT_EQ(2, (int)in.sent);
	}
	EXPECT_EQ(0, pipe_signals);
	close(e[1]);
}

static bool pass(int sock, const int *fds, unsigned n)
{
	union { struct cmsghdr h; char b[CMSG_SPACE(2 * sizeof(int))]; } u = {};
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	u.h.cmsg_level = SOL_SOCKET;
	u.h.cmsg_type = SCM_RIGHTS;
	u.h.cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&u.h), fds, n * sizeof(int));
	return sendmsg(sock, &m, 0) == 1;
}

static bool take(int sock, int *fds, unsigned n)
{
	union { struct cmsghdr h; char b[CMSG_SPACE(2 * sizeof(int))]; } u = {};
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1 || u.h.cmsg_len != CMSG_LEN(n * sizeof(int)))
		return false;
	memcpy(fds, CMSG_DATA(&u.h), n * sizeof(int));
	return true;
}

static int socks(int *s)
{
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, s);
}

/* PX-02: The One Rule, "in a message under way" */
TEST(an_end_in_a_unix_message_is_open_until_the_message_is_gone)
{
	for (int side = 0; side < 2; side++) {
		int e[2], s[2], v = 3, fd, other;

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		other = e[!side];
		ASSERT_EQ(0, socks(s));
		ASSERT_TRUE(pass(s[0], &e[side], 1));
		close(e[side]);
		EXPECT_EQ(1, (int)(side ? info_of(other).senders : info_of(other).receivers));
		EXPECT_EQ(0, (int)info_of(other).shut);
		ASSERT_TRUE(take(s[1], &fd, 1));
		EXPECT_EQ(side ? CHAN_TX : CHAN_RX, chan_kind(fd));
		EXPECT_EQ(info_of(other).id, info_of(fd).id);
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
		if (side) {
			EXPECT_EQ(0, chan_send(fd, &v, 4, -1, CHAN_NOW));
			EXPECT_EQ(-EBADF, chan_recv(fd, &v, 4, -1, CHAN_NOW));
			EXPECT_EQ(4, chan_recv(other, &v, 4, -1, CHAN_NOW));
		}
		ASSERT_TRUE(pass(s[0], &fd, 1));
		close(fd);
		EXPECT_EQ(0, (int)info_of(other).shut);
		close2(s);	/* unread */
		for (int i = 0; i < PATIENCE && !info_of(other).shut; i++)
			usleep(1000);
		EXPECT_EQ(side ? -ECONNRESET : -EPIPE,
			  side ? chan_recv(other, &v, 4, -1, SOON) : chan_send(other, &v, 4, -1, SOON));
		EXPECT_EQ(EOWNERDEAD, (int)(side ? info_of(other).send_err : info_of(other).recv_err));
		close(other);
	}
}

/* The receiver of the message is killed before it reads it. */
TEST(an_end_in_a_message_to_a_killed_process_is_gone)
{
	int e[2], s[2], v;
	struct holder h;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, socks(s));
	hold(&h, KILL, -1, -1);
	ASSERT_TRUE(pass(s[0], &e[1], 1));
	let_go(&h);	/* it has copies of the ends and of the sockets as well */
	close(e[1]);
	close2(s);
	EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, SOON));
	bury(&h);
	close(e[0]);
}

/* PX-02: A makes it and leaves; B has it from A, C from B */
TEST(an_end_received_by_an_unrelated_process_is_the_same_channel)
{
	int ab[2], bc[2], e[2], v, st, n = 1000;
	pid_t a, b;

	ASSERT_EQ(0, socks(ab));
	ASSERT_EQ(0, socks(bc));
	a = fork();
	if (!a) {
		if (chan_make(e, 4, 3, 0) || !pass(ab[0], e, 2))
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(a, waitpid(a, &st, 0));
	ASSERT_EQ(0, st);
	b = fork();
	if (!b) {
		if (!take(ab[1], e, 2) || info_of(e[0]).capacity != 3 ||
		    chan_recv(e[1], &v, 4, -1, CHAN_NOW) != -EBADF || !pass(bc[0], &e[0], 1))
			_exit(1);
		close(e[0]);
		for (int i = 0; i < n; i++)
			if (chan_send(e[1], &i, 4, -1, SOON))
				_exit(2);
		_exit(0);
	}
	ASSERT_TRUE(take(bc[1], &e[0], 1));	/* C */
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
		ASSERT_EQ(i, v);
	}
	EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, SOON));
	ASSERT_EQ(b, waitpid(b, &st, 0));
	EXPECT_EQ(0, st);
	EXPECT_EQ(1, (int)info_of(e[0]).receivers);
	close(e[0]);
}

TEST(pidfd_getfd_shares_an_end)
{
	int e[2], pidfd, fd, v = 8;
	struct holder h;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	hold(&h, KILL, e[1], e[0]);
	close(e[1]);
	pidfd = syscall(SYS_pidfd_open, h.pid, 0);
	ASSERT_LE(0, pidfd);
	fd = syscall(SYS_pidfd_getfd, pidfd, e[1], 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(2, (int)info_of(e[0]).senders);
	let_go(&h);
	bury(&h);
	EXPECT_EQ(1, (int)info_of(e[0]).senders);
	EXPECT_EQ(0, chan_send(fd, &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, (int)info_of(e[0]).shut);
	close(fd);
	EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	close(e[0]);
	close(pidfd);
}

/* NP-02: what a descriptor allows can't be widened */
TEST(an_end_can_not_be_opened_again)
{
	int modes[] = { O_RDONLY, O_WRONLY, O_RDWR }, e[2];
	char path[40];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	for (int i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", e[i & 1]);
		EXPECT_EQ(-1, open(path, modes[i / 2]));
		EXPECT_EQ(ENXIO, errno);
	}
	EXPECT_EQ(O_RDONLY, fcntl(e[0], F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_WRONLY, fcntl(e[1], F_GETFL) & O_ACCMODE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(e[0], F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(e[1], F_GETFD));
	close2(e);
}

/* PX-14: a program that a sender has started keeps the end only if told to */
TEST(a_started_program_has_no_end_unless_close_on_exec_is_cleared)
{
	for (int keep = 0; keep < 2; keep++) {
		int e[2], in[2], v;
		pid_t pid;

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
		pid = fork();
		if (!pid) {
			if (keep)
				fcntl(e[1], F_SETFD, 0);
			dup2(in[0], 0);
			if (fork())
				_exit(0);
			execl("/bin/cat", "cat", NULL);
			_exit(1);
		}
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		close(e[1]);
		if (keep) {
			EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, -1, chan_after(30 * MS)));
			EXPECT_EQ(1, (int)info_of(e[0]).senders);
			EXPECT_EQ(0, (int)info_of(e[0]).shut);
			close(in[1]);
		}
		EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, SOON));
		if (!keep)
			close(in[1]);
		close(in[0]);
		close(e[0]);
	}
}

/* PX-01 */
TEST(ten_thousand_round_trips_between_parent_and_child)
{
	int n = quick(10000, 500), there[2], back[2], v, st;
	pid_t pid;

	ASSERT_EQ(0, chan_make(there, 4, 0, 0));
	ASSERT_EQ(0, chan_make(back, 4, 0, 0));
	pid = fork();
	if (!pid) {
		close(there[1]);
		close(back[0]);
		for (int i = 0; i < n; i++) {
			if (chan_recv(there[0], &v, 4, -1, SOON) != 4 || v != i)
				_exit(1);
			v = ~i;
			if (chan_send(back[1], &v, 4, -1, SOON))
				_exit(2);
		}
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, chan_send(there[1], &i, 4, -1, SOON));
		ASSERT_EQ(4, chan_recv(back[0], &v, 4, -1, SOON));
		ASSERT_EQ(~i, v);
	}
	EXPECT_EQ(-ECONNRESET, chan_recv(back[0], &v, 4, -1, SOON));
	EXPECT_EQ(-EPIPE, chan_send(there[1], &v, 4, -1, SOON));
	ASSERT_EQ(pid, waitpid(pid, &st, 0));
	EXPECT_EQ(0, st);
	close(there[1]);
	close(back[0]);
}

/* FD-02, NP-03: producer and consumer, each with its own end only */
TEST(a_producer_that_shuts_is_told_from_one_that_vanishes)
{
	int values[] = { 4, 2, 5 };

	for (int how = 0; how < 3; how++) {
		int e[2], v;
		pid_t pid;

		ASSERT_EQ(0, chan_make(e, 4, how, 0));
		pid = fork();
		if (!pid) {
			close(e[0]);
			for (int i = 0; i < 3; i++)
				if (chan_send(e[1], &values[i], 4, -1, SOON))
					_exit(1);
			if (how)
				chan_shut(e[1], how == 1 ? 0 : EIO);
			_exit(0);
		}
		close(e[1]);
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
			EXPECT_EQ(values[i], v);
		}
		EXPECT_EQ(how == 1 ? -EPIPE : -ECONNRESET, chan_recv(e[0], &v, 4, -1, SOON));
		EXPECT_EQ(how == 0 ? EOWNERDEAD : how == 1 ? 0 : EIO, (int)info_of(e[0]).send_err);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		close(e[0]);
	}
}

TEST_HARNESS_MAIN
