// SPDX-License-Identifier: MIT
/* Selects where the device is not there, nor /proc: in a chroot with nothing in it. */
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "util.h"
#include "harness.h"

FIXTURE(chroot) { int e[2], g, w, a, p[2], sv[2], ev; char buf[8]; };

FIXTURE_SETUP(chroot)
{
	char dir[] = "/tmp/empty.XXXXXX";
	struct chan_case c;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, chan_make(self->e, 8, 1, 0));
	self->g = chan_group(-1, CHAN_FOREVER, 0, 0);
	self->w = chan_watch(self->g);
	c = chan_recv_case(self->e[0], self->buf, 8);
	self->a = chan_arm(&c, 1, 0);
	self->ev = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, pipe(self->p));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->sv));
	ASSERT_LE(0, self->a);
	/* each test is a process of its own */
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, chroot(dir));
	ASSERT_EQ(0, chdir("/"));
	ASSERT_EQ(-1, open("/dev/kchan", O_RDWR));
	ASSERT_EQ(-1, open("/proc/self", O_RDONLY));
}

FIXTURE_TEARDOWN(chroot)
{
}

/* Ours may stand anywhere among what is polled, and be of any kind. */
TEST_F(chroot, a_select_that_polls_one_of_ours_works)
{
	int ours[] = { self->e[0], self->e[1], self->g, self->w, self->a };
	int others[] = { self->p[0], self->ev, self->sv[0] };

	for (int i = 0; i < 5; i++)
		for (int at = 0; at < 4; at++) {
			struct chan_case k[4];
			int n = 0;

			for (int j = 0; j < 4; j++)
				k[j] = j == at ? chan_poll_case(ours[i], POLLPRI) :
				       chan_poll_case(others[n++], POLLPRI);
			EXPECT_EQ(-EAGAIN, chan_select(k, 4, 0, -1, CHAN_NOW)) TH_LOG("%d", i);
			EXPECT_EQ(-ETIMEDOUT, chan_select(k, 4, 0, -1, chan_after(MS)));
			k[at].events = POLLIN | POLLOUT;
			if (ours[i] != self->e[0] && ours[i] != self->a)
				EXPECT_EQ(at, chan_select(k, 4, 0, -1, SOON));
		}
}

static void *cancel_soon(void *group)
{
	usleep(20000);		/* the select sleeps by then, or finds it ended: right in any case */
	chan_cancel(*(int *)group, 0, NULL);
	return NULL;
}

/* In a process of several threads, where it waits on a descriptor of its own. */
TEST_F(chroot, such_a_select_is_woken)
{
	int ours[] = { self->g, self->w };

	for (int i = 0; i < 2; i++) {
		struct chan_case k[2] = {
			chan_poll_case(self->p[0], POLLIN), chan_poll_case(ours[i], POLLIN),
		};
		pthread_t t;

		ASSERT_EQ(0, pthread_create(&t, NULL, cancel_soon, &self->g));
		EXPECT_EQ(1, chan_select(k, 2, 0, -1, SOON));
		EXPECT_EQ(POLLIN, k[1].revents);
		pthread_join(t, NULL);
	}
}

TEST_F(chroot, a_select_of_nothing_but_a_group_works)
{
	EXPECT_EQ(-EAGAIN, chan_select(NULL, 0, 0, self->g, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_select(NULL, 0, 0, self->w, chan_after(MS)));
	struct chan_case k = chan_poll_case(self->p[0], POLLIN);
	EXPECT_EQ(-EAGAIN, chan_select(&k, 1, 0, self->w, CHAN_NOW));
	ASSERT_EQ(0, chan_cancel(self->g, 0, NULL));
	EXPECT_EQ(-ECANCELED, chan_select(NULL, 0, 0, self->w, SOON));
	EXPECT_EQ(-ECANCELED, chan_select(&k, 1, 0, self->w, SOON));
}

TEST_F(chroot, a_select_that_names_none_of_ours_needs_the_device)
{
	struct chan_case k[4] = {
		chan_poll_case(self->p[1], POLLOUT), chan_poll_case(self->ev, POLLOUT),
		chan_poll_case(self->sv[0], POLLOUT), chan_poll_case(-1, POLLOUT),
	};

	for (unsigned n = 0; n <= 4; n++) {
		errno = 0;
		EXPECT_EQ(-ENOENT, chan_select(k, n, 0, -1, CHAN_NOW));
		EXPECT_EQ(ENOENT, errno);
	}
	EXPECT_EQ(-ENOENT, chan_arm(NULL, 0, 0));
	EXPECT_EQ(-ENOENT, chan_arm(&k[3], 1, 0));
	/* what is closed is none of ours, and the device comes first */
	k[0].fd = 999;
	EXPECT_EQ(-ENOENT, chan_select(k, 1, 0, -1, CHAN_NOW));
}

TEST_F(chroot, sends_receives_and_arming_work)
{
	struct chan_case k[2] = {
		chan_send_case(self->e[1], "abcd", 4), chan_poll_case(self->p[0], POLLIN),
	};
	int a;

	EXPECT_EQ(0, chan_select(k, 2, 0, -1, CHAN_NOW));
	k[0] = chan_recv_case(self->e[0], self->buf, 8);
	a = chan_arm(k, 1, 0);
	EXPECT_LE(0, a);
	EXPECT_EQ(0, chan_fired(self->a, k, 1));
	EXPECT_EQ(4, k[0].msg.res);
	close(a);
}

TEST_HARNESS_MAIN
