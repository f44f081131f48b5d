// SPDX-License-Identifier: MIT
/* Every error the calls document, and which one it is when several hold. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include "util.h"
#include "harness.h"

static int try(int fd, unsigned long req, void *arg)
{
	int r = ioctl(fd, req, arg);

	return r < 0 ? -errno : r;
}

/* Errors are told twice. */
#define FAILS(err, call) do {		\
	errno = 0;			\
	EXPECT_EQ(-(err), (long)(call));	\
	EXPECT_EQ(err, errno);		\
} while (0)

static char in[20001], out[20001];

TEST(short_calls_of_every_length)
{
	size_t lens[] = { 0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000, 4095, 16382,
			  KCHAN_SHORT_MAX, KCHAN_SHORT_MAX + 1, KCHAN_SHORT_MAX + 2, 20000 };
	int e[2];

	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = i * 7 + i / 255;
	ASSERT_EQ(16383, (int)KCHAN_SHORT_MAX);
	ASSERT_EQ(0, chan_make(e, 20000, 2, 0));
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		size_t n = lens[i];

		memset(out, 0x55, sizeof(out));
		if (n <= KCHAN_SHORT_MAX) {
			EXPECT_EQ(0, try(e[1], KCHAN_IOC_SEND_NOW(n), in));
			EXPECT_EQ(0, try(e[1], KCHAN_IOC_SEND_WAIT(n), in));
			EXPECT_EQ(-EAGAIN, try(e[1], KCHAN_IOC_SEND_NOW(n), in));
			if (n) {
				EXPECT_EQ(-EMSGSIZE, try(e[0], KCHAN_IOC_RECV_NOW(n - 1), out));
				EXPECT_EQ(-EMSGSIZE, try(e[0], KCHAN_IOC_RECV_WAIT(n - 1), out));
				EXPECT_EQ(0x55, out[0]);
			}
			EXPECT_EQ((int)n, try(e[0], KCHAN_IOC_RECV_WAIT(n), out));
			EXPECT_EQ((int)n, try(e[0], KCHAN_IOC_RECV_NOW(KCHAN_SHORT_MAX), out));
			EXPECT_EQ(-EAGAIN, try(e[0], KCHAN_IOC_RECV_NOW(n), out));
		}
		EXPECT_EQ(0, chan_send(e[1], in, n, -1, CHAN_NOW));
		EXPECT_EQ((long)n, chan_recv(e[0], out, n, -1, CHAN_FOREVER));
		EXPECT_EQ(0, memcmp(in, out, n));
		EXPECT_EQ(0x55, out[n]);
	}
	FAILS(EMSGSIZE, chan_send(e[1], in, 20001, -1, CHAN_NOW));
	FAILS(EMSGSIZE, chan_send(e[1], in, SIZE_MAX, -1, CHAN_NOW));
	EXPECT_EQ(info_of(e[0]).sent, info_of(e[0]).received);
	close2(e);
}

TEST(short_calls_into_pages_that_are_not_there_move_nothing)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int lens[] = { 1, 2, 4, 8, 9, 64, 72, 127, 128, 129, 1000 }, e[2];

	ASSERT_NE(MAP_FAILED, (void *)page);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	ASSERT_EQ(0, chan_make(e, 4096, 2, 0));
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		int n = lens[i];
		char *bad[] = { NULL, (char *)8, page + 4096, page + 4096 - n + 1, (char *)-4096L };

		for (int k = 0; k < 5; k++) {
			EXPECT_EQ(-EFAULT, try(e[1], KCHAN_IOC_SEND_NOW(n), bad[k]));
			EXPECT_EQ(-EFAULT, try(e[1], KCHAN_IOC_SEND_WAIT(n), bad[k]));
		}
		EXPECT_EQ(0, try(e[1], KCHAN_IOC_SEND_NOW(n), page + 4096 - n));
		for (int k = 0; k < 5; k++) {
			EXPECT_EQ(-EFAULT, try(e[0], KCHAN_IOC_RECV_NOW(n), bad[k]));
			EXPECT_EQ(-EFAULT, try(e[0], KCHAN_IOC_RECV_WAIT(n), bad[k]));
			EXPECT_EQ(1, (int)info_of(e[0]).len);
		}
		EXPECT_EQ(n, try(e[0], KCHAN_IOC_RECV_NOW(n), page + 4096 - n));
	}
	EXPECT_EQ(info_of(e[0]).sent, info_of(e[0]).received);
	EXPECT_EQ(11, (int)info_of(e[0]).sent);
	close2(e);
}

TEST(values_out_of_range_are_refused_one_by_one)
{
	int dev = open("/dev/kchan", O_RDWR), e[2], g, fds = open_count();
	struct kchan_make m;
	struct kchan_group_make gm = {};
	struct kchan_out o = { .addr = (uintptr_t)out };
	struct kchan_select s = { .under = -1, .n = KCHAN_MAX_CASES + 1, .cases = (uintptr_t)in };
	struct { uint64_t msg_max; uint32_t capacity, flags; } makes[] = {
		{ 65537, 1, 0 }, { UINT64_MAX, 1, 0 }, { 1ULL << 32, 1, 0 }, { 1ULL << 63, 0, 0 },
		{ 8, (1 << 20) + 1, 0 }, { 8, UINT32_MAX, 0 }, { 8, 1U << 31, 0 },
		{ 8, 0, KCHAN_DROP_NEW }, { 8, 0, KCHAN_DROP_OLD },
		{ 8, 1, KCHAN_DROP_NEW | KCHAN_DROP_OLD },
	};

	for (unsigned i = 0; i < sizeof(makes) / sizeof(makes[0]); i++) {
		m = (struct kchan_make){ .msg_max = makes[i].msg_max, .capacity = makes[i].capacity,
					 .flags = makes[i].flags, .end = { -7, -7 } };
		EXPECT_EQ(-EINVAL, try(dev, KCHAN_IOC_MAKE, &m));
		EXPECT_EQ(-7, m.end[0]);
		EXPECT_EQ(-7, m.end[1]);
	}
	EXPECT_EQ(-EINVAL, try(dev, KCHAN_IOC_GROUP, &gm));	/* a deadline of CHAN_NOW */
	gm = (struct kchan_group_make){ .deadline = KCHAN_FOREVER, .flags = KCHAN_DETACHED };
	EXPECT_EQ(-EINVAL, try(dev, KCHAN_IOC_GROUP, &gm));
	EXPECT_EQ(-EINVAL, try(dev, KCHAN_IOC_SELECT, &s));
	s.n = UINT32_MAX;
	EXPECT_EQ(-EINVAL, try(dev, KCHAN_IOC_SELECT, &s));
	for (uint32_t sizes[] = { 0, 1, 47, 4097, UINT32_MAX }, i = 0; i < 5; i++) {
		o.size = sizes[i];
		EXPECT_EQ(-EINVAL, try(dev, KCHAN_IOC_FEATURES, &o));
	}
	o = (struct kchan_out){ .addr = 8, .size = 56 };
	EXPECT_EQ(-EFAULT, try(dev, KCHAN_IOC_FEATURES, &o));
	EXPECT_EQ(fds, open_count());

	ASSERT_EQ(0, chan_make(e, 8, 1, 0));
	for (int bad[] = { -1, 4096, INT32_MAX, INT32_MIN }, i = 0; i < 4; i++) {
		FAILS(EINVAL, chan_shut(e[0], bad[i]));
		FAILS(EINVAL, chan_shut(e[1], bad[i]));
	}
	EXPECT_EQ(0, (int)info_of(e[0]).shut);
	g = chan_group(-1, CHAN_FOREVER, 0, 0);
	FAILS(EINVAL, chan_cancel(g, 4096, NULL));
	FAILS(EINVAL, chan_cancel(g, -1, NULL));
	FAILS(EFAULT, chan_cancel(g, 0, (char *)8));
	FAILS(EINVAL, chan_leave(g, 0, NULL));
	FAILS(ETIMEDOUT, chan_recv(e[0], out, 8, g, -1));
	FAILS(ETIMEDOUT, chan_recv(e[0], out, 8, -1, INT64_MIN));
	FAILS(ETIMEDOUT, chan_recv(e[0], out, 8, -1, 1));
	EXPECT_EQ(0, chan_send(e[1], in, 8, -1, INT64_MIN));	/* tries once */
	FAILS(ETIMEDOUT, chan_send(e[1], in, 8, -1, -1));
	EXPECT_EQ(8, chan_recv(e[0], out, SIZE_MAX, -1, -1));
	close2(e);
	close(g);
	close(dev);
}

/* Which one, when several hold: each line's last condition is taken away in the next. */
TEST(of_several_errors_the_documented_one)
{
	int over = chan_group(-1, CHAN_FOREVER, 0, 0), late = chan_group(-1, chan_after(-MS), 0, 0);
	int live = chan_group(-1, CHAN_FOREVER, 0, 0), e[2], v = 2;
	struct chan_case c;

	ASSERT_EQ(0, chan_cancel(over, ETIMEDOUT, "not a deadline"));
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	ASSERT_EQ(0, chan_shut(e[1], EIO));
	/* send: its own faults, the group, the shut, and no deadline matters */
	FAILS(EFAULT, chan_send(e[1], (void *)8, 4, over, CHAN_NOW));
	FAILS(EMSGSIZE, chan_send(e[1], &v, 5, over, CHAN_NOW));
	FAILS(ECANCELED, chan_send(e[1], &v, 4, over, CHAN_NOW));
	FAILS(ETIMEDOUT, chan_send(e[1], &v, 4, late, CHAN_NOW));
	FAILS(EPIPE, chan_send(e[1], &v, 4, live, 1));
	/* receive: the group, what is there, the end */
	FAILS(ECANCELED, chan_recv(e[0], &v, 4, over, CHAN_NOW));
	FAILS(ETIMEDOUT, chan_recv(e[0], &v, 4, late, CHAN_NOW));
	FAILS(EMSGSIZE, chan_recv(e[0], &v, 3, live, 1));
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, live, 1));
	FAILS(ECANCELED, chan_recv(e[0], &v, 4, over, CHAN_NOW));
	FAILS(ECONNRESET, chan_recv(e[0], &v, 4, live, CHAN_NOW));
	FAILS(ECONNRESET, chan_recv(e[0], &v, 4, -1, 1));
	c = chan_recv_case(e[0], &v, 4);
	FAILS(ECANCELED, chan_select(&c, 1, 0, over, CHAN_NOW));
	EXPECT_EQ(0, chan_select(&c, 1, 0, live, CHAN_NOW));
	EXPECT_EQ(-ECONNRESET, c.msg.res);
	close2(e);
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	FAILS(EAGAIN, chan_recv(e[0], &v, 4, live, CHAN_NOW));
	FAILS(ETIMEDOUT, chan_recv(e[0], &v, 4, live, 1));
	FAILS(EAGAIN, chan_send(e[1], &v, 4, live, CHAN_NOW));
	FAILS(EFAULT, chan_send(e[1], (void *)8, 4, live, CHAN_NOW));
	FAILS(EBADF, chan_send(e[0], (void *)8, 4, over, CHAN_NOW));
	FAILS(ENOTTY, chan_send(0, (void *)8, 4, -1, CHAN_NOW));
	close2(e);
}

/* ---- what runs out ---- */

#define PARAM	"/sys/module/kchan/parameters/"

static long param(const char *path, const char *set)
{
	char text[32] = "";
	int fd = open(path, set ? O_RDWR : O_RDONLY);
	long v = -1;

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) > 0)
		v = atol(text);
	if (set && pwrite(fd, set, strlen(set), 0) < 0)
		v = -1;
	close(fd);
	return v;
}

static void set_param(const char *path, long v)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", v);
	param(path, text);
}

static int make(int dev, unsigned msg_max, unsigned capacity)
{
	struct kchan_make m = { .msg_max = msg_max, .capacity = capacity };
	int r = try(dev, KCHAN_IOC_MAKE, &m);

	if (!r && capacity)
		close2(m.end);
	return r;
}

TEST(no_descriptor_left_is_EMFILE_and_nothing_is_made)
{
	int dev = open("/dev/kchan", O_RDWR), before = open_count(), last = dup(dev);
	struct kchan_make m = {};

	ASSERT_LE(0, last);
	close(last);
	for (int left = 0; left < 2; left++) {
		struct rlimit r = { last + left, 1024 };

		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &r));
		EXPECT_EQ(-EMFILE, try(dev, KCHAN_IOC_MAKE, &m));
		if (!left)
			FAILS(EMFILE, chan_group(-1, CHAN_FOREVER, 0, 0));
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 1024, 1024 }));
	EXPECT_EQ(before, open_count());
	EXPECT_EQ(0, make(dev, 8, 1));
	close(dev);
}

/* As another user, who is not exempt; the device was opened before. */
TEST(a_users_quota_is_EDQUOT_until_something_is_given_back)
{
	long chans = param(PARAM "max_user_chans", "3");
	int dev = open("/dev/kchan", O_RDWR), st;
	pid_t pid;

	if (geteuid() || chans < 0)
		SKIP(return, "needs root and the module's parameters");
	pid = fork();
	if (!pid) {
		struct kchan_make m[4] = {};
		int fds;

		if (setresgid(4711, 4711, 4711) || setresuid(4711, 4711, 4711))
			_exit(1);
		for (int i = 0; i < 3; i++)
			if (try(dev, KCHAN_IOC_MAKE, &m[i]))
				_exit(2);
		fds = open_count();
		if (try(dev, KCHAN_IOC_MAKE, &m[3]) != -EDQUOT || open_count() != fds)
			_exit(3);
		close(m[0].end[0]);
		if (try(dev, KCHAN_IOC_MAKE, &m[3]) != -EDQUOT)	/* half of it still exists */
			_exit(4);
		close(m[0].end[1]);
		if (try(dev, KCHAN_IOC_MAKE, &m[3]))
			_exit(5);
		close2(m[1].end);
		/* 256 MiB are not room for this one */
		if (make(dev, 65536, 1 << 16) != -EDQUOT)
			_exit(6);
		_exit(make(dev, 8, 1) ? 7 : 0);
	}
	waitpid(pid, &st, 0);
	set_param(PARAM "max_user_chans", chans);
	EXPECT_EQ(0, st) TH_LOG("step %d", WEXITSTATUS(st));
	close(dev);
}

TEST(no_file_left_in_the_system_is_ENFILE)
{
	int dev = open("/dev/kchan", O_RDWR), st;
	long max = param("/proc/sys/fs/file-max", NULL);
	pid_t pid;

	if (geteuid() || max < 0)
		SKIP(return, "needs root");
	pid = fork();
	if (!pid) {
		int fds = open_count();

		set_param("/proc/sys/fs/file-max", 0);
		if (setresuid(4711, 4711, 4711))
			_exit(1);
		if (make(dev, 8, 0) != -ENFILE)
			_exit(2);
		_exit(fds < 0);
	}
	waitpid(pid, &st, 0);
	set_param("/proc/sys/fs/file-max", max);
	EXPECT_EQ(0, st) TH_LOG("step %d", WEXITSTATUS(st));
	EXPECT_EQ(0, make(dev, 8, 1));
	close(dev);
}

TEST(a_ring_larger_than_memory_is_ENOMEM)
{
	long old = param(PARAM "max_capacity", "16777216");
	int dev = open("/dev/kchan", O_RDWR);
	struct sysinfo si;

	sysinfo(&si);
	if (geteuid() || old < 0)
		SKIP(return, "needs root and the module's parameters");
	if ((unsigned long long)si.totalram * si.mem_unit < (128ULL + 8) << 24)
		EXPECT_EQ(-ENOMEM, make(dev, 128, 1 << 24));
	EXPECT_EQ(-EINVAL, make(dev, 128, (1 << 24) + 1));
	set_param(PARAM "max_capacity", old);
	EXPECT_EQ(old, param(PARAM "max_capacity", NULL));
	EXPECT_EQ(0, make(dev, 8, 1));
	close(dev);
}

TEST(the_device_missing_is_ENOENT_and_forbidden_is_EACCES)
{
	int e[2] = { -7, -7 }, st;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
			_exit(1);
		if (setresuid(4711, 4711, 4711))
			_exit(2);
		if (chan_make(e, 4, 1, 0) != -EACCES || errno != EACCES || e[0] != -7)
			_exit(3);
		if (chan_group(-1, CHAN_FOREVER, 0, 0) != -EACCES)
			_exit(4);
		_exit(chan_select(NULL, 0, 0, -1, CHAN_NOW) == -EACCES ? 0 : 5);
	}
	waitpid(pid, &st, 0);
	EXPECT_EQ(0, st) TH_LOG("step %d", WEXITSTATUS(st));
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	pid = fork();
	if (!pid) {
		int v = 1;

		if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
			_exit(1);
		if (mount("none", "/dev", "tmpfs", 0, NULL))
			_exit(2);
		if (chan_make(e, 4, 1, 0) != -ENOENT || chan_group(-1, CHAN_FOREVER, 0, 0) != -ENOENT)
			_exit(3);
		/* what there is needs no device */
		if (chan_send(e[1], &v, 4, -1, CHAN_NOW) || chan_recv(e[0], &v, 4, -1, CHAN_NOW) != 4)
			_exit(4);
		_exit(chan_kind(e[0]) == CHAN_RX && chan_kind(e[1]) == CHAN_TX ? 0 : 5);
	}
	waitpid(pid, &st, 0);
	EXPECT_EQ(0, st) TH_LOG("step %d", WEXITSTATUS(st));
	close2(e);
}

TEST_HARNESS_MAIN
