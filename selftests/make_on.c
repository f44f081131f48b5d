// SPDX-License-Identifier: MIT
/* Channels and groups made on an open device that the program keeps. */
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "group_util.h"
#include "harness.h"

static int device(int flags)
{
	return open("/dev/kchan", flags | O_CLOEXEC);
}

FIXTURE(device) { int fd; };

FIXTURE_SETUP(device)
{
	self->fd = device(O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(device)
{
	close(self->fd);
}

/* Does a message come through? */
static bool works(int e[2])
{
	char b[8] = "";

	return chan_send(e[1], "abc", 4, -1, CHAN_NOW) == 0 &&
	       chan_recv(e[0], b, sizeof(b), -1, CHAN_NOW) == 4 && !strcmp(b, "abc");
}

TEST_F(device, a_channel_made_on_it_is_like_one_that_chan_make_makes)
{
	static const unsigned all[] = { 0, CHAN_DROP_NEW, CHAN_DROP_OLD, CHAN_FDS };

	for (int i = 0; i < 4; i++) {
		struct chan_info a, b;
		int e[2], f[2];

		ASSERT_EQ(0, chan_make(e, 8 + i, 1 + i, all[i]));
		ASSERT_EQ(0, chan_make_on(self->fd, f, 8 + i, 1 + i, all[i]));
		ASSERT_EQ(0, chan_info(e[0], &a, sizeof(a)));
		ASSERT_EQ(0, chan_info(f[0], &b, sizeof(b)));
		EXPECT_LT(a.id, b.id);
		b.id = a.id;
		EXPECT_EQ(0, memcmp(&a, &b, sizeof(a)));
		EXPECT_EQ(CHAN_RX, chan_kind(f[0]));
		EXPECT_EQ(CHAN_TX, chan_kind(f[1]));
		for (int j = 0; j < 2; j++) {
			EXPECT_EQ(FD_CLOEXEC, fcntl(f[j], F_GETFD));
			EXPECT_EQ(fcntl(e[j], F_GETFL), fcntl(f[j], F_GETFL));
		}
		EXPECT_TRUE(works(f));
		close2(e);
		close(f[0]);
		EXPECT_EQ(-EPIPE, chan_send(f[1], "x", 1, -1, CHAN_NOW));
		close(f[1]);
	}
}

/* A name in /proc is made of the number of the channel or group, however long that is. */
TEST_F(device, names_tell_kind_and_number)
{
	for (int i = 0; i < 1200; i++) {
		char path[64], name[64], want[64];
		struct chan_info info;
		int fd[4], n;

		ASSERT_EQ(0, chan_make_on(self->fd, fd, 8, 1, 0));
		ASSERT_EQ(0, chan_info(fd[0], &info, sizeof(info)));
		fd[2] = chan_group(self->fd, CHAN_FOREVER, 0, 0);
		fd[3] = chan_watch(fd[2]);
		for (int j = 0; j < 4; j++) {
			uint64_t id = j < 2 ? info.id : ginfo(fd[j]).id;

			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[j]);
			n = readlink(path, name, sizeof(name) - 1);
			ASSERT_LT(0, n);
			name[n] = 0;
			snprintf(want, sizeof(want), "anon_inode:[kchan:%s:%llu]",
				 ((const char *[]){ "rx", "tx", "group", "watch" })[j],
				 (unsigned long long)id);
			ASSERT_STREQ(want, name);
		}
		close2(fd);
		close2(fd + 2);
	}
}

TEST_F(device, what_is_impossible_makes_nothing)
{
	static const struct { size_t msg_max; unsigned capacity, flags; } bad[] = {
		{ SIZE_MAX, 1, 0 }, { 8, UINT_MAX, 0 }, { 8, 1, 1U << 31 }, { 8, 0, CHAN_DROP_OLD },
		{ 8, 1, CHAN_DROP_OLD | CHAN_DROP_NEW },
	};
	int e[2] = { -7, -8 }, next = dup(self->fd);

	close(next);
	for (int i = 0; i < 5; i++) {
		errno = 0;
		EXPECT_EQ(-EINVAL, chan_make_on(self->fd, e, bad[i].msg_max, bad[i].capacity,
						bad[i].flags));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(-EFAULT, chan_make_on(self->fd, NULL, 8, 1, 0));
	EXPECT_EQ(-7, e[0]);
	EXPECT_EQ(-8, e[1]);
	EXPECT_EQ(next, dup(self->fd));
}

/* Opening the device is the right to make: no end gives it, nor a group. */
TEST_F(device, nothing_but_the_device_will_do)
{
	int e[2], p[2], sv[2], g = root(), w = chan_watch(g), out[2] = { -7, -8 };
	struct chan_case k;
	char b[8];

	ASSERT_EQ(0, chan_make(e, 8, 1, 0));
	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	k = chan_recv_case(e[0], b, 8);
	int ours[] = { e[0], e[1], g, w, chan_arm(&k, 1, 0), device(O_PATH), -1, 999 };
	int others[] = { p[0], p[1], sv[0], eventfd(0, 0), epoll_create1(0),
			 open("/dev/null", O_RDWR), open("/proc/self/exe", O_RDONLY) };

	for (int i = 0; i < 8; i++) {
		EXPECT_EQ(-EBADF, chan_make_on(ours[i], out, 8, 1, 0)) TH_LOG("%d", i);
	}
	for (int i = 0; i < 7; i++) {
		errno = 0;
		ASSERT_LE(0, others[i]);
		EXPECT_EQ(-ENOTTY, chan_make_on(others[i], out, 8, 1, 0)) TH_LOG("%d", i);
		EXPECT_EQ(ENOTTY, errno);
	}
	EXPECT_EQ(-7, out[0]);
	EXPECT_EQ(-8, out[1]);
}

TEST_F(device, its_mode_does_not_matter)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };

	for (int i = 0; i < 3; i++) {
		int fd = device(modes[i]), e[2];

		ASSERT_EQ(0, chan_make_on(fd, e, 8, 1, 0));
		close(fd);
		EXPECT_TRUE(works(e));
		close2(e);
	}
}

TEST_F(device, a_root_is_made_on_it)
{
	int g = chan_group(self->fd, CHAN_FOREVER, 0, 2), e[2];

	ASSERT_LE(0, g);
	EXPECT_EQ(CHAN_GROUP, chan_kind(g));
	EXPECT_EQ(0, ginfo(g).parent_id);
	EXPECT_EQ(2, ginfo(g).limit);
	EXPECT_EQ(-EINVAL, chan_group(self->fd, CHAN_FOREVER, CHAN_DETACHED, 0));
	EXPECT_EQ(-EINVAL, chan_group(self->fd, CHAN_NOW, 0, 0));
	EXPECT_EQ(-EBADF, chan_join(self->fd, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_watch(self->fd));
	/* it is no group, and nothing runs under it */
	ASSERT_EQ(0, chan_make_on(self->fd, e, 8, 1, 0));
	EXPECT_EQ(-ENOTTY, chan_send(e[1], "x", 1, self->fd, CHAN_NOW));
	ASSERT_EQ(0, chan_cancel(g, EIO, "x"));
	EXPECT_EQ(CHAN_ENDED, ginfo(g).state);
	close2(e);
	close(g);
}

static bool leave_root(void)
{
	char dir[] = "/tmp/empty.XXXXXX";

	return mkdtemp(dir) && !chmod(dir, 0755) && !chroot(dir) && !chdir("/");
}

/* Where the device can't be opened: in a chroot, and as a user who may not. */
TEST_F(device, whoever_keeps_it_makes_without_opening_it)
{
	int e[2], g;

	if (geteuid())
		SKIP(return, "needs root");
	for (int nobody = 0; nobody < 2; nobody++) {
		if (!nobody) {
			ASSERT_TRUE(leave_root());
		} else {
			ASSERT_EQ(0, setresuid(65534, 65534, 65534));
		}
		EXPECT_EQ(-ENOENT, chan_make(e, 8, 1, 0));
		EXPECT_EQ(-ENOENT, chan_group(-1, CHAN_FOREVER, 0, 0));
		ASSERT_EQ(0, chan_make_on(self->fd, e, 8, 1, 0));
		EXPECT_TRUE(works(e));
		g = chan_group(self->fd, CHAN_FOREVER, 0, 0);
		ASSERT_LE(0, g);
		close2(e);
		close(g);
	}
}

static bool give(int sock, int fd)
{
	union { char b[CMSG_SPACE(sizeof(int))]; struct cmsghdr h; } u = {};
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b,
			    .msg_controllen = sizeof(u.b) };

	u.h.cmsg_len = CMSG_LEN(sizeof(int));
	u.h.cmsg_level = SOL_SOCKET;
	u.h.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	return sendmsg(sock, &m, 0) == 1;
}

static int take(int sock)
{
	union { char b[CMSG_SPACE(sizeof(int))]; struct cmsghdr h; } u;
	char x;
	struct iovec v = { &x, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b,
			    .msg_controllen = sizeof(u.b) };
	int fd = -1;

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* Who makes is charged, not who has opened: exit status 0 if that is so. */
static int make_two(int sock)
{
	int e[3][2], dev;

	if (setresuid(65534, 65534, 65534) || device(O_RDWR) >= 0 || errno != EACCES)
		return 1;
	dev = take(sock);
	if (dev < 0)
		return 2;
	for (int i = 0; i < 2; i++)
		if (chan_make_on(dev, e[i], 8, 1, 0) || !works(e[i]))
			return 3;
	if (chan_make_on(dev, e[2], 8, 1, 0) != -EDQUOT)
		return 4;
	close2(e[0]);
	return chan_make_on(dev, e[2], 8, 1, 0) || !works(e[2]) ? 5 : 0;
}

TEST_F(device, it_can_be_handed_to_another_user_who_is_charged)
{
	int sv[2], st = -1;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	ASSERT_TRUE(set_parameter("max_user_chans", 2));
	pid = fork();
	if (!pid)
		_exit(make_two(sv[1]));
	EXPECT_TRUE(give(sv[0], self->fd));
	EXPECT_EQ(pid, waitpid(pid, &st, 0));
	EXPECT_TRUE(set_parameter("max_user_chans", 16384));
	EXPECT_EQ(0, st);
	close2(sv);
}

/* In a message it does not travel, as no device does. */
TEST_F(device, it_does_not_travel_in_a_message)
{
	struct chan_msg m = { .fds = &self->fd, .nfds = 1 };
	int e[2];

	ASSERT_EQ(0, chan_make_on(self->fd, e, 8, 1, CHAN_FDS));
	EXPECT_EQ(-EOPNOTSUPP, chan_sendm(e[1], &m, 1, -1, CHAN_NOW));
	close2(e);
}

TEST_HARNESS_MAIN
