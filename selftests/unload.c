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

static void *waits(void *arg)
{
	struct chan_case c = recv_case(*(int *)arg, NULL, 4);

	chan_select(&c, 1, 0, -1, SOON);
	return NULL;
}

static int polls(void *arg)
{
	struct chan_case c = { .fd = *(int *)arg, .op = CHAN_POLL, .events = POLLIN };

	return chan_select(&c, 1, 0, -1, SOON);
}

/* Gone as soon as the last reference is, which a ring drops from a work of its own. */
static int unload_soon(void)
{
	int r = unload();

	for (int i = 0; i < PATIENCE && r == -EWOULDBLOCK; i++, r = unload())
		usleep(1000);
	return r;
}

/* D30, PX-10: each alone keeps it */
TEST(whatever_is_open_keeps_the_module)
{
	int e[2], f[2], g, w, m, a, dev, d;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	struct kchan_select sel;
	struct kchan_xfer x;
	struct party p;
	struct chan_msg msg = { .fds = &d, .nfds = 1 };
	struct chan_case c;
	pthread_t t;

	if (access(MODULE, R_OK))
		SKIP(return, "no " MODULE " to load again");
	dev = open("/dev/kchan", O_RDWR | O_CLOEXEC);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(dev);

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(e[1]);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(e[0]);

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	close(e[0]);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(e[1]);

	g = chan_group(-1, CHAN_FOREVER, 0, 0);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	w = chan_watch(g);
	m = chan_join(g, -1, CHAN_NOW);
	close(g);
	close(m);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	g = chan_group(w, CHAN_FOREVER, 0, 0);
	close(w);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(g);

	/* an armed select of a channel whose ends are gone */
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	c = recv_case(e[0], NULL, 4);
	a = chan_arm(&c, 1, 0);
	ASSERT_LE(0, a);
	close2(e);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(a);

	/* a select that waits on ends that are then closed but for one */
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	pthread_create(&t, NULL, waits, &e[0]);
	ASSERT_TRUE(parked(e[0], 0, 1));
	close(e[0]);
	pthread_join(t, NULL);
	close(e[1]);

	/* a command of io_uring that waits, on an end that is closed everywhere else */
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
	sqe = io_uring_get_sqe(&ring);
	ASSERT_NE(NULL, sqe);
	chan_prep_recv(sqe, e[0], &x, &x, 4, -1, CHAN_FOREVER);
	ASSERT_EQ(1, io_uring_submit(&ring));
	ASSERT_TRUE(parked(e[0], 0, 1));
	close(e[0]);
	io_uring_queue_exit(&ring);
	EXPECT_EQ(1, poll(&(struct pollfd){ .fd = e[1] }, 1, PATIENCE));	/* it has let go */
	close(e[1]);

	/* a descriptor in a message */
	ASSERT_EQ(0, chan_make(f, 4, 1, CHAN_FDS));
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	d = e[1];
	ASSERT_EQ(1, chan_sendm(f[1], &msg, 1, -1, CHAN_NOW));
	close2(e);
	close(f[1]);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(f[0]);

	/* and nothing: it goes, and comes again */
	EXPECT_EQ(0, unload_soon());
	EXPECT_EQ(-ENOENT, chan_make(e, 4, 0, 0));
	EXPECT_EQ(0, load());

	/* a call that waits, and nothing else */
	d = eventfd(0, EFD_CLOEXEC);
	ASSERT_TRUE(party_start(&p, false, polls, &d));
	ASSERT_TRUE(asleep(&p.tid));
	EXPECT_EQ(-EWOULDBLOCK, unload());
	EXPECT_EQ(0, eventfd_write(d, 1));
	EXPECT_EQ(0, party_end(&p));
	close(d);
	EXPECT_EQ(0, unload());
	EXPECT_EQ(0, load());

	/* a command of io_uring that waits, and nothing else */
	dev = open("/dev/kchan", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
	sqe = io_uring_get_sqe(&ring);
	ASSERT_NE(NULL, sqe);
	c = recv_case(-1, NULL, 0);
	chan_prep_select(sqe, dev, &sel, &c, 1, 0, -1, CHAN_FOREVER);
	ASSERT_EQ(1, io_uring_submit(&ring));
	close(dev);
	for (int i = 0; i < 100; i++) {	/* a worker may have to take it first */
		EXPECT_EQ(-EWOULDBLOCK, unload());
		usleep(1000);
	}
	EXPECT_EQ(0, io_uring_cq_ready(&ring));
	io_uring_queue_exit(&ring);
	EXPECT_EQ(0, unload_soon());
	EXPECT_EQ(0, load());
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	close2(e);
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
