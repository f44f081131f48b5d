// SPDX-License-Identifier: MIT
/*
 * chan_fork where close_range() is refused: the child closes all that it is not to keep,
 * or it leaves with the error and does not go on.
 */
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "forbid.h"
#include "harness.h"
#include "util.h"

#define MANY	3000		/* descriptors: more than one piece of a listing shows */
#define TOP	8192		/* none is above */

static bool limit_is(rlim_t n)
{
	return !setrlimit(RLIMIT_NOFILE, &(struct rlimit){ n, n });
}

static bool open_in(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static bool is_in(int fd, const int *keep, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (keep[i] == fd)
			return true;
	return false;
}

/* 0: the child has exactly what it is to have. Else a descriptor that is wrong, or 255. */
static int fork_and_look(int g, const int *keep, unsigned n)
{
	int *wrong = shared(sizeof(*wrong)), m = -7, status;
	pid_t pid = chan_fork(g, keep, n, &m);

	if (pid == 0) {
		for (int fd = 0; fd < TOP && !*wrong; fd++)
			if (open_in(fd) != (fd <= 2 || fd == m || is_in(fd, keep, n)))
				*wrong = fd ? fd : -1;
		_exit(chan_leave(m, 0, NULL) != 0);
	}
	if (pid < 0)
		return pid;
	if (waitpid(pid, &status, 0) != pid || status)
		return 255;
	return *wrong;
}

/* What the group is told of a child that may not go on, which must end with 127. */
static int fork_and_give_up(int g, const int *keep, unsigned n)
{
	int m, status = 0, first = 0;
	pid_t pid = chan_fork(g, keep, n, &m);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return pid;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 127)
		return 1000 + status;
	if (chan_wait(g, &first, -1, SOON) < 0)
		return 2000;
	return first;
}

FIXTURE(fork_close) {
	int g, e[2];
};

FIXTURE_VARIANT(fork_close) {
	int err;
};

FIXTURE_VARIANT_ADD(fork_close, forbidden) { .err = EPERM };
FIXTURE_VARIANT_ADD(fork_close, unknown) { .err = ENOSYS };

FIXTURE_SETUP(fork_close)
{
	self->g = chan_group(-1, CHAN_FOREVER, 0, 0);
	ASSERT_LE(0, self->g);
	ASSERT_EQ(0, chan_make(self->e, 8, 1, 0));
}

FIXTURE_TEARDOWN(fork_close)
{
	close2(self->e);
	close(self->g);
}

TEST_F(fork_close, nothing_is_left_open)
{
	struct chan_group_info i;
	int spare[20];

	for (int n = 0; n < 20; n++)
		spare[n] = dup(0);
	close(spare[7]);
	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	ASSERT_EQ(-1, syscall(SYS_close_range, 500, 501, 0));
	ASSERT_EQ(variant->err, errno);
	EXPECT_EQ(0, fork_and_look(self->g, NULL, 0));
	EXPECT_EQ(0, fork_and_look(self->g, self->e, 1));
	EXPECT_EQ(0, fork_and_look(self->g, &spare[19], 1));
	ASSERT_EQ(0, chan_group_info(self->g, &i, sizeof(i)));
	EXPECT_EQ(0, i.failed);
	EXPECT_EQ(CHAN_LIVE, i.state);
}

TEST_F(fork_close, nothing_of_many_is_left_open)
{
	int keep[] = { MANY + 7, 1000, 1001, 3, TOP - 1, 3 };

	ASSERT_TRUE(limit_is(TOP));
	ASSERT_EQ(TOP - 1, dup2(0, TOP - 1));
	for (int fd = 3; fd < MANY + 100; fd++)
		if (fd % 5 && !open_in(fd))
			ASSERT_EQ(fd, dup2(0, fd));
	for (int i = 0; i < 6; i++)
		if (!open_in(keep[i]))
			ASSERT_EQ(keep[i], dup2(0, keep[i]));
	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	EXPECT_EQ(0, fork_and_look(self->g, keep, 6));
	EXPECT_EQ(0, fork_and_look(self->g, NULL, 0));
}

/* A daemon lowers its limit when it has opened what it needs. */
TEST_F(fork_close, nothing_is_left_open_above_a_lowered_limit)
{
	int high = fcntl(self->e[0], F_DUPFD_CLOEXEC, 500), keep = dup2(0, 700);

	ASSERT_LE(500, high);
	ASSERT_EQ(700, keep);
	ASSERT_TRUE(limit_is(64));
	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	EXPECT_EQ(0, fork_and_look(self->g, &self->e[1], 1));
	EXPECT_EQ(0, fork_and_look(self->g, &keep, 1));
}

/* The listing needs a number, too. */
TEST_F(fork_close, every_number_is_in_use)
{
	int fd, last = -1;

	ASSERT_LE(500, fcntl(0, F_DUPFD_CLOEXEC, 500));
	ASSERT_TRUE(limit_is(64));
	while ((fd = dup(0)) >= 0)
		last = fd;
	ASSERT_EQ(63, last);
	close(last);			/* for the member */
	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	EXPECT_EQ(0, fork_and_look(self->g, NULL, 0));
	EXPECT_EQ(0, fork_and_look(self->g, self->e, 2));
}

TEST_F(fork_close, a_limit_of_a_billion_takes_no_longer)
{
	const char *most = "/proc/sys/fs/nr_open";
	char was[32] = "";
	int fd = open(most, O_RDWR), m, status;
	pid_t pid;
	char b[8];

	ASSERT_LT(0, read(fd, was, sizeof(was) - 1));
	ASSERT_EQ(10, pwrite(fd, "1073741816", 10, 0));
	EXPECT_TRUE(limit_is(1073741816));
	pwrite(fd, was, strlen(was), 0);
	close(fd);
	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	pid = chan_fork(self->g, &self->e[1], 1, &m);
	if (pid == 0)
		_exit(chan_send(self->e[1], "ready", 5, -1, CHAN_FOREVER) != 0);
	ASSERT_LT(0, pid);
	EXPECT_EQ(5, chan_recv(self->e[0], b, sizeof(b), -1, SOON));
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
}

/* A directory of its own as root, with nothing in it but what is made there. */
static bool new_root(char *path)
{
	return mkdtemp(path) && !chdir(path);
}

TEST_F(fork_close, without_proc_the_child_leaves)
{
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0);
	char path[] = "/tmp/root.XXXXXX";
	struct chan_group_info i;

	ASSERT_TRUE(new_root(path));
	ASSERT_EQ(0, chroot("."));
	/* where close_range() works nothing else is needed */
	EXPECT_EQ(0, fork_and_look(g, self->e, 1));
	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	EXPECT_EQ(ENOENT, fork_and_give_up(g, self->e, 1));
	ASSERT_EQ(0, chan_group_info(g, &i, sizeof(i)));
	EXPECT_EQ(ENOENT, i.err);
	EXPECT_EQ(1, i.failed);
	EXPECT_EQ(0, i.members);
	EXPECT_STREQ("chan_fork: no list of open descriptors", i.why);
}

TEST_F(fork_close, a_directory_of_that_name_is_not_believed)
{
	char path[] = "/tmp/root.XXXXXX", name[32];

	ASSERT_TRUE(new_root(path));
	ASSERT_FALSE(mkdir("proc", 0700) || mkdir("proc/self", 0700) || mkdir("proc/self/fd", 0700));
	ASSERT_EQ(0, chroot("."));
	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	EXPECT_EQ(ENOENT, fork_and_give_up(self->g, NULL, 0));
	for (int fd = 0; fd < 40; fd++) {
		sprintf(name, "/proc/self/fd/%d", fd);
		close(open(name, O_CREAT | O_WRONLY, 0600));
	}
	EXPECT_EQ(0, access("/proc/self/fd/39", F_OK));
	EXPECT_EQ(ENOENT, fork_and_give_up(self->g, NULL, 0));
}

/* A mount may show those of somebody else, who has as many open. */
TEST_F(fork_close, anothers_descriptors_are_not_believed)
{
	char path[] = "/tmp/root.XXXXXX", name[40];

	for (int i = 0; i < 20; i++)
		dup(0);
	ASSERT_TRUE(new_root(path));
	ASSERT_FALSE(mkdir("proc", 0700) || mkdir("proc/self", 0700));
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	sprintf(name, "/proc/%d", getpid());
	ASSERT_EQ(0, mount(name, "proc/self", NULL, MS_BIND, NULL));
	ASSERT_EQ(0, chroot("."));
	ASSERT_LT(20, entries("/proc/self/fd"));
	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	EXPECT_EQ(ENOENT, fork_and_give_up(self->g, NULL, 0));
}

/* The way that is left fails, too: with what error, and what is said. */
TEST_F(fork_close, what_else_is_refused_is_told)
{
	static const struct { int nr, err; const char *why; int liar; } also[] = {
		{ SYS_openat, EACCES, "chan_fork: no list of open descriptors", 0 },
		{ SYS_getdents64, EPERM, "chan_fork: no list of open descriptors", 0 },
		{ SYS_close, EPERM, "chan_fork: a descriptor does not close", 0 },
		{ SYS_close, EIO, "chan_fork: a descriptor does not close", 0 },
		{ SYS_close, 0, "chan_fork: a descriptor does not close", 0 },
		{ SYS_close, EBUSY, "chan_fork: a descriptor does not close", SYS_fcntl },
	};

	ASSERT_TRUE(forbid(SYS_close_range, variant->err));
	for (unsigned i = 0; i < sizeof(also) / sizeof(*also); i++) {
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0), status;
		struct chan_group_info info;
		pid_t pid = fork();

		if (pid == 0) {
			int want = also[i].err ? also[i].err : EBUSY;

			if (!forbid(also[i].nr, also[i].err))
				_exit(1);
			/* says that it has been closed */
			if (also[i].liar && !forbid(also[i].liar, EBADF))
				_exit(1);
			_exit(fork_and_give_up(g, NULL, 0) == want ? 0 : 2);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status) TH_LOG("refused: %u", i);
		ASSERT_EQ(0, chan_group_info(g, &info, sizeof(info)));
		EXPECT_STREQ(also[i].why, info.why);
		close(g);
	}
}

/* a device that may not be opened is EACCES: EPERM would be -1, no group */
TEST(a_device_that_a_filter_refuses_is_eacces)
{
	int e[2];

	ASSERT_TRUE(forbid(SYS_openat, EPERM));
	EXPECT_EQ(-EACCES, chan_group(-1, CHAN_FOREVER, 0, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-EACCES, chan_make(e, 1, 0, 0));
}

TEST_HARNESS_MAIN
