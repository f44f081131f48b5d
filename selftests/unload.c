// SPDX-License-Identifier: MIT
/* The module stays as long as anything uses it, and goes cleanly then. */
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "util.h"
#include <libchan-uring.h>
#include "harness.h"

#define MODULE	"/kchan.ko"		/* where the test machine has it */

static int unload(void)
{
	return syscall(SYS_delete_module, "kchan", O_NONBLOCK) ? -errno : 0;
}

static int load(void)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	int r = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;

	close(fd);
	return r;
}

/* Gone as soon as the last reference is, which a ring drops from a work of its own. */
static int unload_soon(void)
{
	int r = unload();

	for (int i = 0; i < PATIENCE && r == -EWOULDBLOCK; i++, r = unload())
		usleep(1000);
	return r;
}

/*
 * D30, PX-10: each alone keeps the module. It goes at once when that has gone, so nothing
 * else of it was left, and comes again.
 */
FIXTURE(kept) {
	int e[2];
	bool ring;
};

FIXTURE_SETUP(kept)
{
	if (access(MODULE, R_OK))
		SKIP(return, "no " MODULE " to load again");
	self->ring = false;
	ASSERT_EQ(0, chan_make(self->e, 4, 0, 0));
}

FIXTURE_TEARDOWN(kept)
{
	EXPECT_EQ(0, self->ring ? unload_soon() : unload());
	EXPECT_EQ(-ENOENT, chan_make(self->e, 4, 0, 0));
	EXPECT_EQ(0, load());
	ASSERT_EQ(0, chan_make(self->e, 4, 0, 0));
	close2(self->e);
}

TEST_F(kept, by_the_device)
{
	int dev = open("/dev/kchan", O_RDWR | O_CLOEXEC);

	close2(self->e);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(dev);
}

TEST_F(kept, by_a_receiving_end)
{
	close(self->e[1]);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(self->e[0]);
}

TEST_F(kept, by_a_sending_end)
{
	close(self->e[0]);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(self->e[1]);
}

TEST_F(kept, by_a_group)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0);

	close2(self->e);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(g);
}

TEST_F(kept, by_a_watch_of_a_group_that_has_gone)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), w = chan_watch(g), m = chan_join(g, -1, CHAN_NOW);

	ASSERT_LE(0, w);
	ASSERT_LE(0, m);
	close2(self->e);
	close(g);
	close(m);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(w);
}

TEST_F(kept, by_a_group_below_one_that_has_gone)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), w = chan_watch(g), c;

	close2(self->e);
	close(g);
	c = chan_group(w, CHAN_FOREVER, 0, 0);
	ASSERT_LE(0, c);
	close(w);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(c);
}

TEST_F(kept, by_an_armed_select_of_a_channel_whose_ends_have_gone)
{
	struct chan_case c = chan_recv_case(self->e[0], NULL, 4);
	int a = chan_arm(&c, 1, 0);

	ASSERT_LE(0, a);
	close2(self->e);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(a);
}

TEST_F(kept, by_an_end_in_a_message)
{
	struct chan_msg msg = { .fds = &self->e[1], .nfds = 1 };
	int f[2];

	ASSERT_EQ(0, chan_make(f, 4, 1, CHAN_FDS));
	ASSERT_EQ(1, chan_sendm(f[1], &msg, 1, -1, CHAN_NOW));
	close2(self->e);
	close(f[1]);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(f[0]);
}

static void *receives(void *arg)
{
	struct chan_case c = chan_recv_case(*(int *)arg, NULL, 4);

	chan_select(&c, 1, 0, -1, SOON);
	return NULL;
}

/* A select that waits on an end is no reference to it: the last close ends it. */
TEST_F(kept, by_the_other_end_once_a_select_that_waited_has_ended)
{
	pthread_t t;

	pthread_create(&t, NULL, receives, &self->e[0]);
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	close(self->e[0]);
	pthread_join(t, NULL);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(self->e[1]);
}

static int polls(void *arg)
{
	struct chan_case c = { .fd = *(int *)arg, .op = CHAN_POLL, .events = POLLIN };

	return chan_select(&c, 1, 0, -1, SOON);
}

TEST_F(kept, by_a_call_that_waits)
{
	int event = eventfd(0, EFD_CLOEXEC);
	struct party p;

	close2(self->e);
	ASSERT_TRUE(party_start(&p, false, polls, &event));
	ASSERT_TRUE(asleep(&p.tid));
	EXPECT_EQ(-EWOULDBLOCK, unload());
	EXPECT_EQ(0, eventfd_write(event, 1));
	EXPECT_EQ(0, party_end(&p));
	close(event);
}

/* On an end that is closed everywhere else, until the ring ends. */
TEST_F(kept, by_the_other_end_once_a_command_that_waited_has_ended)
{
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	struct kchan_xfer x;

	self->ring = true;
	ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
	sqe = io_uring_get_sqe(&ring);
	ASSERT_NE(NULL, sqe);
	chan_prep_recv(sqe, self->e[0], &x, &x, 4, -1, CHAN_FOREVER);
	ASSERT_EQ(1, io_uring_submit(&ring));
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	close(self->e[0]);
	io_uring_queue_exit(&ring);
	EXPECT_EQ(1, poll(&(struct pollfd){ .fd = self->e[1] }, 1, PATIENCE));	/* it has let go */
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(self->e[1]);
}

TEST_F(kept, by_a_command_that_waits)
{
	int dev = open("/dev/kchan", O_RDWR | O_CLOEXEC);
	struct chan_case c = chan_recv_case(-1, NULL, 0);
	struct io_uring_sqe *sqe;
	struct kchan_select sel;
	struct io_uring ring;

	self->ring = true;
	close2(self->e);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
	sqe = io_uring_get_sqe(&ring);
	ASSERT_NE(NULL, sqe);
	chan_prep_select(sqe, dev, &sel, &c, 1, 0, -1, CHAN_FOREVER);
	ASSERT_EQ(1, io_uring_submit(&ring));
	close(dev);
	for (int i = 0; i < 100; i++) {	/* a worker may have to take it first */
		EXPECT_EQ(-EWOULDBLOCK, unload());
		usleep(1000);
	}
	EXPECT_EQ(0, io_uring_cq_ready(&ring));
	io_uring_queue_exit(&ring);
}

FIXTURE(loading) { int unused; };
FIXTURE_SETUP(loading) { self->unused = 0; }
FIXTURE_TEARDOWN(loading) { }

/* Deadlines that pass just then: their work is waited for */
TEST_F(loading, it_comes_and_goes_a_hundred_times)
{
	if (access(MODULE, R_OK))
		SKIP(return, "no " MODULE " to load again");
	for (int i = 0; i < quick(100, 10); i++) {
		int g[20], e[2], v = i, status;
		pid_t pid;

		ASSERT_EQ(0, chan_make(e, 400, 3, 0));
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		for (int k = 0; k < 20; k++)
			g[k] = chan_group(k & 1 ? g[k - 1] : -1, chan_after(k * 40000 + 1000), 0, 0);
		pid = fork();
		if (!pid)
			for (prctl(PR_SET_PDEATHSIG, SIGKILL);;)
				pause();
		for (int k = 0; k < 20; k++)
			close(g[k]);
		close2(e);
		EXPECT_EQ(-EWOULDBLOCK, unload());
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		ASSERT_EQ(0, unload());
		ASSERT_EQ(0, load());
		for (int k = 0; k < PATIENCE && access("/dev/kchan", R_OK); k++)
			usleep(1000);
	}
}

TEST_HARNESS_MAIN
