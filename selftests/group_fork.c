// SPDX-License-Identifier: MIT
/* chan_fork: members that are processes, what they keep, and how they crash. */
#include <dirent.h>
#include <sys/resource.h>

#include "caller.h"
#include "harness.h"

#define MAX_FD	1024

/* The open descriptors, marked; how many. */
static int open_fds(bool *is_open)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int n = 0;

	memset(is_open, 0, MAX_FD);
	while ((e = readdir(d))) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] == '.' || fd == dirfd(d) || fd >= MAX_FD)
			continue;
		is_open[fd] = true;
		n++;
	}
	closedir(d);
	return n;
}

static int count_fds(void)
{
	bool is_open[MAX_FD];

	return open_fds(is_open);
}

static int wait_first(int g)
{
	int first = -1, r = chan_wait(g, &first, -1, SOON);

	return r < 0 ? r : first;
}

struct report {
	bool is_open[MAX_FD];
	int n, member, kind;
};

/* Fork a member that says what it has; its exit status. */
static int fork_and_look(int g, const int *keep, unsigned n, struct report *rep)
{
	int m = -7, status;
	pid_t pid = chan_fork(g, keep, n, &m);

	if (pid == 0) {
		rep->n = open_fds(rep->is_open);
		rep->member = m;
		rep->kind = chan_kind(m);
		_exit(chan_leave(m, 0, NULL) != 0);
	}
	if (pid < 0)
		return pid;
	if (m != -1)
		return 1000;
	return waitpid(pid, &status, 0) == pid ? status : 1001;
}

TEST(the_child_keeps_what_it_was_told_and_nothing_else)
{
	struct report *rep = shared(sizeof(*rep));
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), w = chan_watch(g), e[2], p[2], n;
	bool before[MAX_FD], after[MAX_FD];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, pipe(p));
	for (int i = 0; i < 20; i++)
		ASSERT_LE(0, dup(p[0]));
	ASSERT_EQ(500, dup2(p[1], 500));
	ASSERT_EQ(MAX_FD - 1, dup2(p[1], MAX_FD - 1));
	int keeps[][6] = {
		{ -1 },
		{ e[0], -1 },
		{ MAX_FD - 1, e[1], 500, e[1], e[1], -1 },	/* twice is once */
		{ 0, 2, g, w, -1 },
		{ 500, p[1], -1 },
	};

	n = open_fds(before);
	for (unsigned i = 0; i < sizeof(keeps) / sizeof(*keeps); i++) {
		bool want[MAX_FD] = { true, true, true };
		unsigned k = 0, sum = 0;

		while (k < 6 && keeps[i][k] >= 0)
			want[keeps[i][k++]] = true;
		ASSERT_EQ(0, fork_and_look(g, k ? keeps[i] : NULL, k, rep));
		EXPECT_EQ(CHAN_GROUP, rep->kind);
		ASSERT_LT(2, rep->member);
		EXPECT_FALSE(want[rep->member]);
		want[rep->member] = true;
		for (int fd = 0; fd < MAX_FD; fd++) {
			EXPECT_EQ(want[fd], rep->is_open[fd])
				TH_LOG("keep %u, descriptor %d", i, fd);
			sum += want[fd];
		}
		EXPECT_EQ(sum, rep->n);
		EXPECT_EQ(n, open_fds(after));
		EXPECT_EQ(0, memcmp(before, after, sizeof(after)));
		EXPECT_EQ(0, group_of(g).members);
	}
	EXPECT_EQ(0, wait_first(g));
	EXPECT_EQ(0, group_of(g).failed);
}

TEST(bad_descriptors_to_keep_start_nothing)
{
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 1), w = chan_watch(g), m = -7;
	int minus[] = { 1, -1 }, closed[] = { 900, 1 }, p[2], fds;

	ASSERT_EQ(0, pipe(p));
	fds = count_fds();
	EXPECT_EQ(-EBADF, chan_fork(g, minus, 2, &m));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-EBADF, chan_fork(g, closed, 2, &m));
	EXPECT_EQ(-EFAULT, chan_fork(g, NULL, 1, &m));
	EXPECT_EQ(-EFAULT, chan_fork(g, NULL, 0, NULL));
	EXPECT_EQ(-EBADF, chan_fork(w, NULL, 0, &m));
	EXPECT_EQ(-EBADF, chan_fork(-1, NULL, 0, &m));
	EXPECT_EQ(-ENOTTY, chan_fork(p[0], NULL, 0, &m));
	EXPECT_EQ(-7, m);
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(CHAN_LIVE, group_of(g).state);
	EXPECT_EQ(0, chan_cancel(g, ENOSPC, NULL));
	EXPECT_EQ(-ENOSPC, chan_fork(g, NULL, 0, &m));
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
	EXPECT_EQ(ECHILD, errno);
}

/* As if it had never joined. Who may not fork is no superuser. */
TEST(a_fork_that_fails_leaves_no_member)
{
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT | CHAN_FAIL_FAST, 1), status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit none = { 0, 0 };
		int m = -7, fds = count_fds();

		if (setresuid(12345, 12345, 12345) || setrlimit(RLIMIT_NPROC, &none))
			_exit(1);
		if (chan_fork(g, NULL, 0, &m) != -EAGAIN || errno != EAGAIN)
			_exit(2);
		_exit(m == -7 && count_fds() == fds ? 0 : 3);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(0, group_of(g).children);
	EXPECT_EQ(0, group_of(g).failed);
	EXPECT_EQ(CHAN_LIVE, group_of(g).state);
	EXPECT_EQ(0, wait_first(g));
	close(g);
}

enum { ABORT, KILLED, FAULT, EXIT_0, EXEC, LEAVES, N_CRASHES };

static void crash(int how, int m)
{
	struct rlimit no_core = {};

	setrlimit(RLIMIT_CORE, &no_core);
	if (how == ABORT)
		abort();
	if (how == KILLED)
		raise(SIGKILL);
	if (how == FAULT)
		raise(SIGSEGV);
	if (how == EXEC)		/* the member is closed by it */
		execl("/bin/busybox", "sleep", "1000", NULL);
	if (how == LEAVES)
		chan_leave(m, ENOENT, "gone");
	_exit(0);
}

/* D21: a crash is an error of the group, and says who crashed */
TEST(a_crash_leaves_with_eownerdead)
{
	for (int how = 0; how < N_CRASHES; how++) {
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 1), m, go[2];
		int err = how == LEAVES ? ENOENT : EOWNERDEAD;
		struct chan_group_info i;
		pid_t pid;
		char c;

		ASSERT_EQ(0, pipe(go));
		pid = chan_fork(g, go, 2, &m);
		if (pid == 0) {
			/* when the parent has closed its copy: who closes last is told */
			if (read(go[0], &c, 1) == 1)
				crash(how, m);
			_exit(1);
		}
		ASSERT_LT(0, pid);
		EXPECT_EQ(1, group_of(g).members);
		EXPECT_EQ(CHAN_LIVE, group_of(g).state);
		ASSERT_EQ(1, write(go[1], "", 1));
		EXPECT_EQ(err, wait_first(g));
		i = group_of(g);
		EXPECT_EQ(0, i.members);
		EXPECT_EQ(1, i.failed);
		EXPECT_EQ(CHAN_ENDED, i.state);
		EXPECT_EQ(err, (int)i.err);
		EXPECT_EQ(pid, (int)i.by_pid) TH_LOG("how %d", how);
		EXPECT_STREQ(how == LEAVES ? "gone" : "", i.why);
		kill(pid, SIGKILL);
		EXPECT_EQ(pid, waitpid(pid, NULL, 0));
		close2(go);
		close(g);
	}
}

/* PX-14: a member that is to live through an exec must be told so */
TEST(a_member_lives_through_exec_without_close_on_exec)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m;
	pid_t pid = chan_fork(g, NULL, 0, &m);
	char path[40], name[16] = "";

	if (pid == 0) {
		fcntl(m, F_SETFD, 0);
		execl("/bin/busybox", "sleep", "1000", NULL);
		_exit(1);
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	for (int i = 0; i < PATIENCE && strncmp(name, "sleep", 5) && strncmp(name, "busybox", 7); i++) {
		int fd = open(path, O_RDONLY);

		read(fd, name, 15);
		close(fd);
		usleep(1000);
	}
	ASSERT_TRUE(asleep_in(&pid, SYS_clock_nanosleep));	/* and has closed what is to be closed */
	EXPECT_EQ(1, group_of(g).members);
	EXPECT_EQ(-EAGAIN, chan_wait(g, NULL, -1, CHAN_NOW));
	kill(pid, SIGKILL);
	EXPECT_EQ(EOWNERDEAD, wait_first(g));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	close(g);
}

/* Whoever has a copy of the member keeps it. */
TEST(a_grandchild_keeps_the_member)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m, go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	pid = chan_fork(g, go, 2, &m);
	if (pid == 0) {
		if (fork())
			_exit(0);
		_exit(read(go[0], &c, 1) != 1);
	}
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(1, group_of(g).members);
	EXPECT_EQ(-EAGAIN, chan_wait(g, NULL, -1, CHAN_NOW));
	ASSERT_EQ(1, write(go[1], "", 1));
	EXPECT_EQ(EOWNERDEAD, wait_first(g));
	EXPECT_EQ(1, group_of(g).failed);
	close2(go);
	close(g);
}

static int stop;

static void *opens_and_closes(void *arg)
{
	int p[2];

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (!pipe(p))
			close2(p);
		free(malloc(100));
	}
	return NULL;
}

TEST(a_parent_with_threads_forks_members)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 2), n = quick(300, 40), fds = count_fds();
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, opens_and_closes, NULL);
	for (int i = 0; i < n; i++) {
		int m = -7, status;
		pid_t pid = chan_fork(g, &g, 1, &m);

		if (pid == 0) {		/* no malloc here: another thread may have its lock */
			for (int fd = 3; fd < MAX_FD; fd++)
				if (fcntl(fd, F_GETFD) >= 0 && fd != m && fd != g)
					_exit(1);
			_exit(chan_leave(m, 0, NULL) != 0);
		}
		ASSERT_LT(0, pid);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
		EXPECT_EQ(-1, m);
		EXPECT_EQ(0, group_of(g).members);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(0, wait_first(g));
	EXPECT_EQ(fds, count_fds());
	close(g);
}

/* EG-04, WG-06: in processes */
TEST(fork_waits_for_a_place)
{
	struct { int active, most, done; } *c = shared(sizeof(*c));
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 5), n = quick(300, 60), m;

	for (int i = 0; i < n; i++) {
		pid_t pid = chan_fork(g, NULL, 0, &m);

		if (pid == 0) {
			int now = __atomic_add_fetch(&c->active, 1, __ATOMIC_SEQ_CST);

			note_most(&c->most, now);
			usleep(10);
			__atomic_add_fetch(&c->done, 1, __ATOMIC_SEQ_CST);
			__atomic_sub_fetch(&c->active, 1, __ATOMIC_SEQ_CST);
			_exit(chan_leave(m, 0, NULL) != 0);
		}
		ASSERT_LT(0, pid);
	}
	EXPECT_EQ(0, wait_first(g));
	EXPECT_EQ(n, c->done);
	EXPECT_EQ(0, c->active);
	EXPECT_LE(c->most, 5);
	while (waitpid(-1, NULL, 0) > 0)
		;
	EXPECT_EQ(0, group_of(g).failed);
	close(g);
}

TEST_HARNESS_MAIN
