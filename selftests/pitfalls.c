// SPDX-License-Identifier: MIT
/* What drivers like this one get wrong, each by its name. */
#include <sys/socket.h>
#include <sys/time.h>

#include "quota.h"
#include "harness.h"

static bool stop;

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

static void set_stop(bool v)
{
	__atomic_store_n(&stop, v, __ATOMIC_RELEASE);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void spin(unsigned n)
{
	for (volatile unsigned i = 0; i < n; i++)
		;
}

/* ---- something fails after a descriptor was installed ---- */

TEST(a_reply_that_cannot_be_stored_makes_no_descriptor)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kchan_make *m = (void *)page;
	int dev = open("/dev/kchan", O_RDWR | O_CLOEXEC), e[2], fds[2] = { 0, 1 };
	struct chan_msg msg = { .fds = fds, .nfds = 2 };
	int before;

	ASSERT_LE(0, dev);
	ASSERT_EQ(0, chan_make(e, 8, 4, CHAN_FDS));
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(1, chan_sendm(e[1], &msg, 1, -1, CHAN_NOW));
	close2(fds);
	before = open_fds();

	*m = (struct kchan_make){ .msg_max = 8, .capacity = 1 };
	mprotect(page, 4096, PROT_READ);
	EXPECT_EQ(-1, ioctl(dev, KCHAN_IOC_MAKE, m));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(before, open_fds());
	/* descriptors of a message: the message stays, and they in it */
	msg = (struct chan_msg){ .fds = (int *)page, .nfds = 2 };
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(-EFAULT, chan_recvm(e[0], &msg, 1, -1, CHAN_NOW));
	EXPECT_EQ(before, open_fds());
	EXPECT_EQ(1, info_of(e[0]).len);
	EXPECT_EQ(0, info_of(e[0]).received);
	/* one of two can be stored */
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
	char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(two + 4096, 4096);
	msg = (struct chan_msg){ .fds = (int *)(two + 4092), .nfds = 2 };
	EXPECT_EQ(-EFAULT, chan_recvm(e[0], &msg, 1, -1, CHAN_NOW));
	EXPECT_EQ(before, open_fds());
	msg = (struct chan_msg){ .fds = fds, .nfds = 2 };
	EXPECT_EQ(1, chan_recvm(e[0], &msg, 1, -1, CHAN_NOW));
	EXPECT_EQ(1, write(fds[1], "x", 1));
	close2(fds);
	close2(e);
	close(dev);
	munmap(page, 4096);
	munmap(two, 4096);
}

/* ---- lost poll wake-up ---- */

static void *poked(void *arg)
{
	int *e = arg;
	unsigned seed = 3;

	for (int v = 0; !stopped(); v++) {
		spin(rand_r(&seed) % 2000);
		if (chan_send(e[1], &v, 4, -1, SOON))
			break;
	}
	return NULL;
}

TEST(no_wake_up_is_lost_between_a_look_and_a_sleep)
{
	int n = quick(5000, 800), e[2], back[2], v;
	unsigned seed = 5;
	pthread_t t;

	/* one message at a time, so that each has to wake a poll */
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chan_make(back, 4, 1, 0));
	set_stop(false);
	pthread_create(&t, NULL, poked, e);
	for (int i = 0; i < n; i++) {
		struct pollfd p = { .fd = e[0], .events = POLLIN };

		spin(rand_r(&seed) % 2000);
		ASSERT_EQ(1, poll(&p, 1, PATIENCE)) TH_LOG("no event for message %d", i);
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(i, v);
	}
	set_stop(true);
	chan_shut(e[0], 0);
	pthread_join(t, NULL);
	close2(e);
	/* and the room a receive leaves */
	ASSERT_EQ(0, chan_send(back[1], &v, 4, -1, CHAN_NOW));
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i <= n; i++) {
			spin(rand_r(&seed) % 2000);
			NEED(chan_recv(back[0], &v, 4, -1, SOON) == 4);
		}
		_exit(0);
	}
	for (int i = 0; i < n; i++) {
		struct pollfd p = { .fd = back[1], .events = POLLOUT };

		ASSERT_EQ(1, poll(&p, 1, PATIENCE)) TH_LOG("no room seen after %d", i);
		ASSERT_EQ(0, chan_send(back[1], &v, 4, -1, CHAN_NOW));
	}
	int status;

	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	close2(back);
}

/* ---- edge-triggered starvation ---- */

TEST(with_edges_every_message_wakes_though_none_is_taken)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET }, got;
	int e[2], ep = epoll_create1(EPOLL_CLOEXEC), v = 1;

	ASSERT_EQ(0, chan_make(e, 4, 20, 0));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, e[0], &ev));
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(1, epoll_wait(ep, &got, 1, PATIENCE));
		EXPECT_TRUE(got.events & EPOLLIN);
		EXPECT_EQ(0, epoll_wait(ep, &got, 1, 0));
	}
	ev.events = EPOLLOUT | EPOLLET;
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, e[1], &ev));
	EXPECT_EQ(0, epoll_wait(ep, &got, 1, 0));
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(1, epoll_wait(ep, &got, 1, PATIENCE));
		EXPECT_TRUE(got.events & EPOLLOUT);
	}
	close(ep);
	close2(e);
}

/* ---- the waitqueue of a poll outlives the channel ---- */

static void *polls(void *arg)
{
	int *e = arg;
	struct pollfd p[2] = { { .fd = e[0], .events = POLLIN }, { .fd = e[1], .events = POLLPRI } };

	return (void *)(long)poll(p, 2, PATIENCE);
}

TEST(ends_close_under_a_poll)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };

	for (int i = 0; i < quick(300, 30); i++) {
		int e[2], ep = epoll_create1(EPOLL_CLOEXEC), own[2], v = 1;
		pthread_t t;
		void *r;

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		own[0] = e[0];
		own[1] = e[1];
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, e[0], &ev));
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, e[1], &ev));
		pthread_create(&t, NULL, polls, own);
		if (i & 1)
			usleep(200);
		/* a poll that waits holds its files, as with a pipe; one of them is told here */
		int tx = dup(e[1]);

		close2(e);
		chan_send(tx, &v, 4, -1, CHAN_NOW);
		chan_shut(tx, 0);
		close(tx);
		pthread_join(t, &r);
		EXPECT_LE(1, (long)r);
		close(ep);
	}
}

/* ---- a time-out or a signal reported after the transfer ---- */

struct hurry {
	int e[2], g;
	unsigned done, tried;
};

static void nothing(int sig)
{
}

static void *hurried(void *arg)
{
	struct hurry *h = arg;
	unsigned seed = (uintptr_t)&seed;
	int v = 1;

	while (!stopped()) {
		int64_t until = chan_after(rand_r(&seed) % 60000);
		struct chan_case c = chan_recv_case(h->e[0], &v, 4);
		long r;

		switch (rand_r(&seed) % 3) {
		case 0:
			r = chan_recv(h->e[0], &v, 4, -1, until);
			break;
		case 1:
			r = chan_recv(h->e[0], &v, 4, h->g, until);
			break;
		default:
			r = chan_select(&c, 1, 0, -1, until);
			r = r < 0 ? r : c.msg.res;
		}
		__atomic_add_fetch(&h->tried, 1, __ATOMIC_RELAXED);
		if (r == 4)
			__atomic_add_fetch(&h->done, 1, __ATOMIC_RELAXED);
		else if (r != -ETIMEDOUT && r != -EINTR)
			abort();
	}
	return NULL;
}

TEST(what_was_done_is_never_reported_late)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct hurry h = {};
	unsigned seed = 8, sent = 0;
	pthread_t t[2];
	int v = 1;

	sigaction(SIGUSR1, &sa, NULL);
	for (unsigned cap = 0; cap < 2; cap++) {
		ASSERT_EQ(0, chan_make(h.e, 4, cap, 0));
		h.g = chan_group(-1, CHAN_FOREVER, 0, 0);
		h.done = sent = 0;
		set_stop(false);
		for (int i = 0; i < 2; i++)
			pthread_create(&t[i], NULL, hurried, &h);
		for (int i = 0; i < quick(5000, 800) || (!sent && i < 100000); i++) {
			int64_t until = chan_after(rand_r(&seed) % 60000);
			struct chan_case c = chan_send_case(h.e[1], &v, 4);
			long r;

			if (i % 5 == 0)
				pthread_kill(t[i % 2], SIGUSR1);
			switch (i % 3) {
			case 0:
				r = chan_send(h.e[1], &v, 4, -1, until);
				break;
			case 1:
				r = chan_send(h.e[1], &v, 4, h.g, until);
				break;
			default:
				r = chan_select(&c, 1, 0, -1, until);
				r = r < 0 ? r : c.msg.res;
			}
			ASSERT_TRUE(r == 0 || r == -ETIMEDOUT);
			sent += !r;
		}
		set_stop(true);
		for (int i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
		struct chan_info in = info_of(h.e[0]);

		EXPECT_EQ(sent, in.sent);
		EXPECT_EQ(h.done, in.received);
		EXPECT_EQ(sent, h.done + in.len);
		EXPECT_LT(0, sent);
		EXPECT_EQ(0, in.parked_receivers + in.parked_senders);
		close2(h.e);
		close(h.g);
	}
}

/* ---- a restart stretches the time-out ---- */

TEST(restarts_do_not_stretch_a_deadline)
{
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = {};
	struct chan_case c;
	int e[2], v;

	sigaction(SIGALRM, &sa, NULL);
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	c = chan_recv_case(e[0], &v, 4);
	for (int i = 0; i < 3; i++) {
		int64_t t0 = chan_after(0), until = chan_after(60 * MS);

		setitimer(ITIMER_REAL, &often, NULL);
		/* were it stretched, it would never end */
		EXPECT_EQ(-ETIMEDOUT, i == 0 ? chan_recv(e[0], &v, 4, -1, until) :
				      i == 1 ? chan_send(e[1], &v, 4, -1, until) :
					       chan_select(&c, 1, 0, -1, until));
		setitimer(ITIMER_REAL, &never, NULL);
		EXPECT_LE(60 * MS, chan_after(0) - t0);
	}
	close2(e);
}

/* ---- the end of a stream comes never, or too early ---- */

TEST(copies_of_an_end_delay_the_end_and_no_longer)
{
	int e[2], s[2], f[2], v = 1, d, status;
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} cm = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec io = { &v, 1 };
	struct msghdr mh = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &cm,
			     .msg_controllen = sizeof(cm) };
	struct chan_msg m = { .fds = &d, .nfds = 1 };
	pid_t pid;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chan_make(f, 4, 1, CHAN_FDS));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	d = dup(e[1]);
	memcpy(CMSG_DATA(&cm.h), &e[1], sizeof(int));
	ASSERT_EQ(1, sendmsg(s[0], &mh, 0));
	ASSERT_EQ(1, chan_sendm(f[1], &m, 1, -1, CHAN_NOW));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(e[0]);
		close2(s);
		close2(f);
		for (;;)
			pause();
	}
	close(e[1]);
	EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	close(d);
	EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	close2(s);			/* the one in the socket's message goes */
	EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, -1, chan_after(20 * MS)));
	EXPECT_EQ(1, info_of(e[0]).senders);
	close(f[0]);			/* and the last, in a channel's */
	EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, SOON));
	EXPECT_EQ(0, info_of(e[0]).senders);
	close(f[1]);
	close(e[0]);
}

/* ---- rights escape ---- */

TEST(an_end_cannot_be_made_into_the_other)
{
	int e[2], p[2], v = 5;
	char path[40];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, pipe(p));
	for (int side = 0; side < 2; side++) {
		int d = dup(e[side]);

		snprintf(path, sizeof(path), "/proc/self/fd/%d", d);
		for (int mode = O_RDONLY; mode <= O_RDWR; mode++) {
			EXPECT_EQ(-1, open(path, mode | O_CLOEXEC));
			EXPECT_EQ(ENXIO, errno);
		}
		EXPECT_EQ(0, fcntl(d, F_SETFL, O_RDWR | O_APPEND));
		EXPECT_EQ(side ? O_WRONLY : O_RDONLY, fcntl(d, F_GETFL) & O_ACCMODE);
		EXPECT_EQ(side ? -EBADF : -EAGAIN, chan_recv(d, &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(side ? 0 : -EBADF, chan_send(d, &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(-1, side ? read(d, &v, 4) : write(d, &v, 4));
		EXPECT_EQ(EBADF, errno);
		EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, d, 0));
		EXPECT_EQ(-1, lseek(d, 0, SEEK_SET));
		EXPECT_EQ(ESPIPE, errno);
		EXPECT_EQ(-1, side ? pwrite(d, &v, 4, 0) : pread(d, &v, 4, 0));
		EXPECT_EQ(ESPIPE, errno);
		EXPECT_EQ(-1, ftruncate(d, 0));
		/* of a select's cases, too */
		struct chan_case c = side ? chan_recv_case(d, &v, 4) : chan_send_case(d, &v, 4);

		EXPECT_EQ(-EBADF, chan_select(&c, 1, 0, -1, CHAN_NOW));
		EXPECT_EQ(-EBADF, chan_arm(&c, 1, 0));
		close(d);
	}
	EXPECT_EQ(1, info_of(e[0]).sent);
	EXPECT_EQ(0, info_of(e[0]).received);
	close2(e);
	close2(p);
}

/* A watch is no owner, by whatever way one comes to it. */
TEST(a_watch_cannot_be_made_into_an_owner)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), w = chan_watch(g);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", w);
	EXPECT_EQ(-1, open(path, O_RDWR));
	EXPECT_EQ(0, fcntl(w, F_SETFL, O_RDWR));
	EXPECT_EQ(-EBADF, chan_cancel(w, 0, NULL));
	EXPECT_EQ(-EBADF, chan_value_set(w, "k", "v", 1));
	EXPECT_EQ(-EBADF, chan_watch(w));
	EXPECT_EQ(-EBADF, chan_join(w, -1, CHAN_NOW));
	close(g);
	struct pollfd p = { .fd = w, .events = POLLIN };

	EXPECT_EQ(1, poll(&p, 1, PATIENCE));	/* and it has not kept the group live */
	close(w);
}

/* ---- information leaks ---- */

TEST(answers_hold_what_they_say_and_zeroes)
{
	unsigned char buf[512], *text = (void *)buf;
	struct kchan_out out = { .addr = (uintptr_t)buf };
	struct kchan_info *i = (void *)buf;
	struct kchan_group_info *gi = (void *)buf;
	int e[2], g = chan_group(-1, CHAN_FOREVER, 0, 0);

	ASSERT_EQ(0, chan_make(e, 8, 1, 0));
	memset(buf, 0xaa, sizeof(buf));
	out.size = 300;
	ASSERT_EQ(0, ioctl(e[0], KCHAN_IOC_INFO, &out));
	EXPECT_EQ(0, i->reserved);
	EXPECT_EQ(8, i->msg_max);
	for (unsigned k = sizeof(*i); k < 300; k++)
		EXPECT_EQ(0, text[k]);
	EXPECT_EQ(0xaa, text[300]);
	memset(buf, 0xaa, sizeof(buf));
	out.size = 112;		/* as it was first published */
	ASSERT_EQ(0, ioctl(e[0], KCHAN_IOC_INFO, &out));
	EXPECT_EQ(0xaa, text[112]);
	ASSERT_EQ(0, chan_cancel(g, 5, "short"));
	memset(buf, 0xaa, sizeof(buf));
	out.size = sizeof(*gi);
	ASSERT_EQ(0, ioctl(g, KCHAN_IOC_GROUP_INFO, &out));
	EXPECT_STREQ("short", gi->why);
	for (unsigned k = 5; k < sizeof(gi->why); k++)
		EXPECT_EQ(0, gi->why[k]);
	EXPECT_EQ(0, gi->reserved);
	EXPECT_GT(1 << 30, i->id);	/* a count, not an address */
	close2(e);
	close(g);
}

/* Of each length: so many bytes, and none of those a longer message has left. */
TEST(a_message_brings_its_own_bytes_alone)
{
	unsigned char in[300], out[300];
	int e[2];

	ASSERT_EQ(0, chan_make(e, sizeof(in), 1, 0));
	for (unsigned len = 0; len < 280; len++) {
		for (int form = 0; form < 3; form++) {
			struct chan_case c = chan_recv_case(e[0], out, sizeof(out));

			memset(in, 0x55, sizeof(in));
			ASSERT_EQ(0, chan_send(e[1], in, sizeof(in) - 20, -1, CHAN_NOW));
			ASSERT_EQ(280, chan_recv(e[0], out, sizeof(out), -1, CHAN_NOW));
			memset(in, 0x11, sizeof(in));
			memset(out, 0xaa, sizeof(out));
			ASSERT_EQ(0, chan_send(e[1], in, len, -1, CHAN_NOW));
			if (form == 0) {
				ASSERT_EQ(len, chan_recv(e[0], out, sizeof(out), -1, CHAN_NOW));
			} else if (form == 1) {
				ASSERT_EQ(len, chan_recv(e[0], out, sizeof(out), -1, SOON));
			} else {
				ASSERT_EQ(0, chan_select(&c, 1, 0, -1, CHAN_NOW));
				ASSERT_EQ(len, c.msg.len);
			}
			for (unsigned k = 0; k < sizeof(out); k++)
				ASSERT_EQ(k < len ? 0x11 : 0xaa, out[k]);
		}
	}
	close2(e);
}

TEST_HARNESS_MAIN
