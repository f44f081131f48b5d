// SPDX-License-Identifier: MIT
/* Select cases that poll: sockets, timers, processes, signals, groups, channels. */
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "harness.h"
#include "util.h"

TEST(a_ready_file_is_chosen_and_its_events_are_told)
{
	int p[2], e[2];
	char buf[4];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(1, write(p[1], "x", 1));
	struct chan_case c[] = { chan_recv_case(e[0], buf, 4), chan_poll_case(p[0], POLLIN),
				 chan_poll_case(p[1], POLLIN) };
	c[0].revents = c[2].revents = 77;
	c[1].msg.res = -5;
	ASSERT_EQ(1, chan_select(c, 3, 0, -1, SOON));
	EXPECT_EQ(POLLIN, c[1].revents);
	EXPECT_EQ(0, c[1].msg.res);
	EXPECT_EQ(77, c[0].revents);
	EXPECT_EQ(77, c[2].revents);
	ASSERT_EQ(1, read(p[0], buf, 1));
	EXPECT_EQ(-EAGAIN, chan_select(c, 3, 0, -1, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_select(c, 3, 0, -1, chan_after(10 * MS)));
	close2(p);
	close2(e);
}

TEST(hang_up_and_error_need_not_be_asked_for)
{
	int p[2];

	ASSERT_EQ(0, pipe(p));
	struct chan_case c = chan_poll_case(p[0], 0);
	EXPECT_EQ(-EAGAIN, chan_select(&c, 1, 0, -1, CHAN_NOW));
	close(p[1]);
	ASSERT_EQ(0, chan_select(&c, 1, 0, -1, SOON));
	EXPECT_EQ(POLLHUP, c.revents);
	close(p[0]);
}

TEST(a_file_without_poll_is_always_ready)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	struct chan_case c = chan_poll_case(fd, POLLIN | POLLOUT);
	ASSERT_EQ(0, chan_select(&c, 1, 0, -1, CHAN_NOW));
	EXPECT_EQ(POLLIN | POLLOUT, c.revents);
	c.events = 0;
	EXPECT_EQ(-EAGAIN, chan_select(&c, 1, 0, -1, CHAN_NOW));
	close(fd);
}

struct sel {
	pthread_t t;
	struct chan_case *c;
	unsigned n;
	int ret, under;
	int64_t deadline;
};

static void *do_select(void *arg)
{
	struct sel *s = arg;

	s->ret = chan_select(s->c, s->n, 0, s->under, s->deadline);
	return NULL;
}

static void start(struct sel *s, struct chan_case *c, unsigned n)
{
	*s = (struct sel){ .c = c, .n = n, .under = -1, .deadline = SOON };
	pthread_create(&s->t, NULL, do_select, s);
}

static int end(struct sel *s)
{
	pthread_join(s->t, NULL);
	return s->ret;
}

/* Every kind of file wakes a select that also waits on a parked channel. */
TEST(each_kind_of_file_wakes_a_waiting_select)
{
	int e[2], sv[2], efd = eventfd(0, 0), tfd = timerfd_create(CLOCK_MONOTONIC, 0);
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), other[2];
	struct itimerspec in = { .it_value.tv_nsec = 20 * MS };
	uint64_t one = 1;
	sigset_t set;
	char buf[4];
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	ASSERT_EQ(0, chan_make(other, 4, 1, 0));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	int pidfd = syscall(SYS_pidfd_open, pid, 0), sfd = signalfd(-1, &set, 0);
	struct { int fd; unsigned ev; } kinds[] = {
		{ sv[0], POLLIN }, { efd, POLLIN }, { tfd, POLLIN }, { pidfd, POLLIN },
		{ g, POLLIN }, { other[0], POLLIN },
	};
	for (unsigned i = 0; i < 6; i++) {
		struct chan_case c[] = {
			chan_recv_case(e[0], buf, 4), chan_poll_case(kinds[i].fd, kinds[i].ev),
		};
		struct sel s;

		start(&s, c, 2);
		ASSERT_TRUE(parked(e[0], 0, 1));
		switch (i) {
		case 0: ASSERT_EQ(1, write(sv[1], "x", 1)); break;
		case 1: ASSERT_EQ(8, write(efd, &one, 8)); break;
		case 2: ASSERT_EQ(0, timerfd_settime(tfd, 0, &in, NULL)); break;
		case 3: kill(pid, SIGKILL); break;
		case 4: ASSERT_EQ(0, chan_cancel(g, 0, NULL)); break;
		case 5: ASSERT_EQ(0, chan_send(other[1], "abcd", 4, -1, CHAN_NOW)); break;
		}
		ASSERT_EQ(1, end(&s)) TH_LOG("kind %u", i);
		EXPECT_EQ(kinds[i].ev, c[1].revents);
		EXPECT_TRUE(parked(e[0], 0, 0));
	}
	/* a signal of this thread's own, which another can't wait for */
	struct chan_case c = chan_poll_case(sfd, POLLIN);
	EXPECT_EQ(-EAGAIN, chan_select(&c, 1, 0, -1, CHAN_NOW));
	raise(SIGUSR1);
	EXPECT_EQ(0, chan_select(&c, 1, 0, -1, SOON));
	waitpid(pid, NULL, 0);
}

/* Ours are held as objects: closing the last descriptor of a group ends it at once. */
TEST(closing_a_polled_group_or_end_acts_at_once)
{
	int e[2], o[2], g = chan_group(-1, CHAN_FOREVER, 0, 0);
	char buf[4];
	struct sel s;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	ASSERT_EQ(0, chan_make(o, 4, 0, 0));
	struct chan_case c[] = { chan_recv_case(e[0], buf, 4), chan_poll_case(g, POLLIN),
				 chan_poll_case(o[0], POLLIN) };
	start(&s, c, 3);
	ASSERT_TRUE(parked(e[0], 0, 1));
	close(g);
	EXPECT_EQ(1, end(&s));
	c[1].fd = -1;
	start(&s, c, 3);
	ASSERT_TRUE(parked(e[0], 0, 1));
	close(o[0]);	/* the polled end itself: shut, so readable with a hang-up */
	EXPECT_EQ(2, end(&s));
	EXPECT_EQ(POLLIN | POLLHUP, c[2].revents);
	close(o[1]);
	close2(e);
}

static void *steal(void *arg)
{
	int *p = arg;
	char x;

	for (;;) {
		int r = read(p[0], &x, 1);

		if (r == 1 && x == 'q')
			return NULL;
	}
}

/*
 * Somebody else reads what made the pipe readable: the case must not fire for a
 * pipe that was empty again when it was asked, and the select sleeps on.
 */
TEST(readiness_that_is_gone_does_not_fire)
{
	int p[2], e[2], n = quick(3000, 300), fired = 0;
	pthread_t t;
	char buf[4];

	ASSERT_EQ(0, pipe2(p, O_NONBLOCK));
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	pthread_create(&t, NULL, steal, p);
	struct chan_case c[] = { chan_recv_case(e[0], buf, 4), chan_poll_case(p[0], POLLIN) };
	for (int i = 0; i < n; i++) {
		struct sel s;

		start(&s, c, 2);
		ASSERT_EQ(1, write(p[1], "x", 1));
		ASSERT_EQ(0, chan_send(e[1], "abcd", 4, -1, SOON));
		int r = end(&s);
		ASSERT_TRUE(r == 0 || r == 1);
		fired += r;
		if (r == 1) {
			ASSERT_EQ(POLLIN, c[1].revents);
			ASSERT_EQ(4, chan_recv(e[0], buf, 4, -1, CHAN_NOW));
		}
		struct chan_info in = info_of(e[0]);
		ASSERT_EQ(0, in.len);
		ASSERT_EQ(i + 1, in.received);
	}
	TH_LOG("the pipe was seen %d times of %d", fired, n);
	ASSERT_EQ(1, write(p[1], "q", 1));
	pthread_join(t, NULL);
	close2(p);
	close2(e);
}

/* This thread runs before all others of its processor. */
static bool go_first(void)
{
	struct sched_param high = { .sched_priority = 10 };

	return !pthread_setschedparam(pthread_self(), SCHED_FIFO, &high);
}

/* Make it ready and no longer so, before who sleeps on this processor can look. */
static void *flash(void *arg)
{
	int *p = arg;
	char c;

	if (!go_first())
		return (void *)1;
	usleep(5000);
	return write(p[1], "x", 1) == 1 && read(p[0], &c, 1) == 1 ? NULL : (void *)2;
}

TEST(a_poke_without_readiness_does_not_fire)
{
	int p[2];

	ASSERT_EQ(0, pipe2(p, O_NONBLOCK));
	ASSERT_TRUE(one_cpu());
	for (int i = 0; i < 10; i++) {
		struct chan_case c = chan_poll_case(p[0], POLLIN);
		pthread_t t;
		void *bad;

		ASSERT_EQ(0, pthread_create(&t, NULL, flash, p));
		EXPECT_EQ(-ETIMEDOUT, chan_select(&c, 1, 0, -1, chan_after(50 * MS)));
		pthread_join(t, &bad);
		ASSERT_EQ(NULL, bad);
	}
	close2(p);
}

/* Exactly one of a channel's message and a pipe's byte is taken by each select. */
TEST(exactly_one_of_file_and_channel)
{
	int p[2], e[2], n = quick(2000, 300), files = 0;
	char buf[4], x;

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	struct chan_case c[] = { chan_recv_case(e[0], buf, 4), chan_poll_case(p[0], POLLIN) };
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(1, write(p[1], "x", 1));
		ASSERT_EQ(0, chan_send(e[1], "abcd", 4, -1, SOON));
		int r = chan_select(c, 2, 0, -1, SOON);
		ASSERT_TRUE(r == 0 || r == 1);
		files += r;
		ASSERT_EQ(!r ? 0 : 1, (int)info_of(e[0]).len);
		if (r)
			ASSERT_EQ(4, chan_recv(e[0], buf, 4, -1, CHAN_NOW));
		ASSERT_EQ(1, read(p[0], &x, 1));
	}
	/* both were ready each time: a fair coin is within 6 sigma */
	files -= n / 2;
	EXPECT_LT(files * files, 9 * n);
	c[0].op = CHAN_RECV;
	for (int i = 0; i < 20; i++) {
		write(p[1], "x", 1);
		chan_send(e[1], "abcd", 4, -1, SOON);
		ASSERT_EQ(0, chan_select(c, 2, CHAN_PRIO, -1, SOON));
		ASSERT_EQ(1, read(p[0], &x, 1));
	}
	close2(p);
	close2(e);
}

TEST(a_group_ends_a_select_that_only_polls)
{
	int p[2], g = chan_group(-1, chan_after(30 * MS), 0, 0);

	ASSERT_EQ(0, pipe(p));
	struct chan_case c = chan_poll_case(p[0], POLLIN);
	EXPECT_EQ(-ETIMEDOUT, chan_select(&c, 1, 0, g, CHAN_FOREVER));
	EXPECT_EQ(-ETIMEDOUT, chan_select(&c, 1, 0, g, CHAN_FOREVER));
	close(g);
	close2(p);
}

TEST(bad_descriptors_fail_the_call)
{
	int e[2], path = open("/", O_PATH);
	char buf[4];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chan_send(e[1], "abcd", 4, -1, CHAN_NOW));
	struct chan_case c[] = { chan_recv_case(e[0], buf, 4), chan_poll_case(999, POLLIN) };
	EXPECT_EQ(-EBADF, chan_select(c, 2, 0, -1, SOON));
	c[1].fd = path;
	EXPECT_EQ(-EBADF, chan_select(c, 2, 0, -1, SOON));
	c[1] = (struct chan_case){ .fd = e[0], .op = 4 };
	EXPECT_EQ(-EINVAL, chan_select(c, 2, 0, -1, SOON));
	EXPECT_EQ(1, info_of(e[0]).len);
	c[1].op = CHAN_POLL, c[1].fd = -1;
	EXPECT_EQ(0, chan_select(c, 2, 0, -1, SOON));
	close2(e);
	close(path);
}

/* Its own case, parked, makes neither end of the channel ready for it; another's does. */
TEST(a_select_does_not_see_itself_wait)
{
	char b = 'x', got;
	int e[2];

	ASSERT_EQ(0, chan_make(e, 1, 0, 0));
	for (int i = 0; i < 40; i++) {
		struct chan_case c[2] = {
			i & 1 ? chan_recv_case(e[0], &got, 1) : chan_send_case(e[1], &b, 1),
			{ .fd = e[!(i & 1) ? 0 : 1], .op = CHAN_POLL, .events = POLLIN | POLLOUT },
		};

		ASSERT_EQ(-ETIMEDOUT, chan_select(c, 2, 0, -1, chan_after(MS))) TH_LOG("round %d", i);
	}
	for (int i = 0; i < 2; i++) {
		struct chan_case mine = i ? chan_recv_case(e[0], &got, 1) :
					chan_send_case(e[1], &b, 1);
		struct chan_case c[2] = { mine, { .fd = e[i], .op = CHAN_POLL, .events = POLLIN | POLLOUT } };
		int armed = chan_arm(&mine, 1, 0);

		ASSERT_LE(0, armed);
		EXPECT_EQ(1, chan_select(c, 2, 0, -1, SOON));
		close(armed);
	}
	close2(e);
}

struct hog { int fd; int64_t until; bool in_time; };

/* Make the file ready, and leave the processor to nobody until the deadline has passed. */
static void *hog(void *arg)
{
	struct hog *h = arg;
	uint64_t one = 1;

	if (!go_first())
		return (void *)1;
	if (write(h->fd, &one, sizeof(one)) != sizeof(one))
		return (void *)2;
	h->in_time = chan_after(0) < h->until;
	while (chan_after(0) < h->until + 2 * MS)
		;
	return NULL;
}

TEST(a_file_that_is_ready_in_time_is_chosen_by_who_runs_too_late)
{
	struct hog h = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	uint64_t v;

	ASSERT_TRUE(one_cpu());
	for (int i = 0, tries = 0; i < 10; i += h.in_time) {
		struct chan_case c = chan_poll_case(h.fd, POLLIN);
		pthread_t t;
		void *bad;
		int r;

		ASSERT_GT(100, tries++);
		h.until = chan_after(30 * MS);
		ASSERT_EQ(0, pthread_create(&t, NULL, hog, &h));
		r = chan_select(&c, 1, 0, -1, h.until);
		pthread_join(t, &bad);
		ASSERT_EQ(NULL, bad);
		if (h.in_time)
			EXPECT_EQ(0, r);
		EXPECT_EQ(8, read(h.fd, &v, 8));
	}
	close(h.fd);
}

TEST_HARNESS_MAIN
