// SPDX-License-Identifier: MIT
/* What the system sets bounds to: descriptors, memory of a control group, the device. */
#include <semaphore.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "quota.h"
#include "harness.h"

#define USER	4321
#define BIG	60000

/* ---- descriptors ---- */

static void limit_to(rlim_t n)
{
	struct rlimit r;

	NEED(!getrlimit(RLIMIT_NOFILE, &r));
	r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
	NEED(!setrlimit(RLIMIT_NOFILE, &r));
}

static void *waits(void *arg)
{
	sem_wait(arg);
	return NULL;
}

static int stay(int member, void *arg)
{
	return 0;
}

/* In a child: its limits are its own, and there it may close all it does not know. */
static void without_descriptors(void)
{
	struct kchan_make m = { .msg_max = 8, .capacity = 1 };
	struct chan_group_info i;
	struct chan_case c[2];
	int e[2], f[2], z[2], two[2], got[2] = { -1, -1 }, dev, g, member, low;
	struct chan_msg msg = { .fds = two, .nfds = 2 };
	pthread_t t;
	sem_t sem;

	syscall(SYS_close_range, 3, ~0U, 0);
	NEED(!chan_make(e, 8, 1, 0));
	NEED(!chan_make(z, 8, 0, 0));
	NEED(!chan_make(f, 8, 4, CHAN_FDS));
	NEED((dev = open("/dev/kchan", O_RDWR | O_CLOEXEC)) >= 0);
	NEED((g = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0);
	two[0] = e[1];
	two[1] = g;
	NEED(chan_sendm(f[1], &msg, 1, -1, CHAN_NOW) == 1);
	low = lowest_free();
	c[0] = chan_recv_case(e[0], NULL, 8);
	c[1] = chan_recv_case(z[0], NULL, 8);

	limit_to(low);
	NEED(chan_make(got, 8, 1, 0) == -EMFILE);
	NEED(chan_group(-1, CHAN_FOREVER, 0, 0) == -EMFILE);
	NEED(chan_group(g, CHAN_FOREVER, 0, 0) == -EMFILE);
	NEED(chan_watch(g) == -EMFILE);
	NEED(chan_join(g, -1, CHAN_NOW) == -EMFILE);
	NEED(chan_fork(g, NULL, 0, &member) == -EMFILE);
	NEED(chan_go(g, stay, NULL) == -EMFILE);
	NEED(chan_arm(c, 2, 0) == -EMFILE);
	NEED(ioctl(dev, KCHAN_IOC_MAKE, &m) == -1 && errno == EMFILE);
	/* what needs none still works */
	NEED(chan_kind(e[0]) == CHAN_RX);
	NEED(!chan_send(e[1], "12345678", 8, -1, CHAN_NOW));
	NEED(chan_recv(e[0], c, 8, -1, CHAN_NOW) == 8);
	c[0] = chan_recv_case(e[0], NULL, 8);
	NEED(chan_select(c, 2, 0, -1, CHAN_NOW) == -EAGAIN);
	NEED(chan_select(c, 2, 0, -1, chan_after(MS)) == -ETIMEDOUT);

	/* with threads, a select that waits takes one for a moment, but can do without */
	sem_init(&sem, 0, 0);
	NEED(!pthread_create(&t, NULL, waits, &sem));
	NEED(chan_select(c, 2, 0, -1, chan_after(20 * MS)) == -ETIMEDOUT);
	sem_post(&sem);
	pthread_join(t, NULL);
	NEED(!info_of(e[0]).parked_receivers && !info_of(z[0]).parked_receivers);

	/* half of what it takes */
	limit_to(low + 1);
	NEED(chan_make(got, 8, 1, 0) == -EMFILE);
	NEED(ioctl(dev, KCHAN_IOC_MAKE, &m) == -1 && errno == EMFILE);
	msg = (struct chan_msg){ .fds = got, .nfds = 2 };
	NEED(chan_recvm(f[0], &msg, 1, -1, CHAN_NOW) == -EMFILE);
	NEED(lowest_free() == low && got[0] == -1 && got[1] == -1);
	NEED(info_of(f[0]).len == 1 && info_of(f[0]).received == 0);
	NEED(info_of(e[0]).senders == 2);	/* one of them in the message */
	NEED(!chan_group_info(g, &i, sizeof(i)));
	NEED(i.state == CHAN_LIVE && !i.members && !i.children && !i.failed);

	limit_to(RLIM_INFINITY);
	msg = (struct chan_msg){ .fds = got, .nfds = 2 };
	NEED(chan_recvm(f[0], &msg, 1, -1, CHAN_NOW) == 1 && msg.nfds == 2);
	NEED(chan_kind(got[0]) == CHAN_TX && chan_kind(got[1]) == CHAN_GROUP);
	NEED(info_of(f[0]).received == 1);
	NEED((member = chan_join(g, -1, CHAN_NOW)) >= 0);
	_exit(0);
}

TEST(without_descriptors_nothing_is_made_and_no_message_lost)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		without_descriptors();
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
}

/* Descriptors under way: RLIMIT_NOFILE of them for a user */
static void send_many_fds(void *arg)
{
	int *f = arg, p[2], fds[16], got[16];
	struct chan_msg out = { .fds = fds, .nfds = 16 }, in = { .fds = got, .nfds = 16 };

	NEED(!pipe(p));
	for (int i = 0; i < 16; i++)
		fds[i] = p[i & 1];
	limit_to(64);
	for (int i = 0; i < 4; i++)
		NEED(chan_sendm(f[1], &out, 1, -1, CHAN_NOW) == 1);
	NEED(chan_sendm(f[1], &out, 1, -1, CHAN_NOW) == -EDQUOT);
	out.nfds = 1;
	NEED(chan_sendm(f[1], &out, 1, -1, CHAN_NOW) == -EDQUOT);
	NEED(info_of(f[0]).len == 4);
	NEED(chan_recvm(f[0], &in, 1, -1, CHAN_NOW) == 1);
	NEED(chan_sendm(f[1], &out, 1, -1, CHAN_NOW) == 1);
	out.nfds = 16;
	NEED(chan_sendm(f[1], &out, 1, -1, CHAN_NOW) == -EDQUOT);
	NEED(info_of(f[0]).len == 4);
}

TEST(descriptors_under_way_are_counted)
{
	for (int i = 0; i < 2; i++) {	/* the second time all have come back */
		int f[2];

		ASSERT_EQ(0, chan_make(f, 8, 100, CHAN_FDS));
		EXPECT_EQ(0, as_user(USER, send_many_fds, f));
		close2(f);
	}
}

/* ---- the device ---- */

static void open_refused(void *arg)
{
	int e[2] = { -7, -7 };

	NEED(chan_make(e, 8, 1, 0) == -EACCES && errno == EACCES);
	NEED(e[0] == -7 && e[1] == -7);
	NEED(chan_group(-1, CHAN_FOREVER, 0, 0) == -EACCES);
	NEED(chan_select(NULL, 0, 0, -1, CHAN_NOW) == -EACCES);
}

/* Whoever holds a descriptor needs no device. */
static void use_given(void *arg)
{
	int *e = arg, v = 4, g;
	struct chan_case c = chan_recv_case(e[0], &v, 4);

	open_refused(NULL);
	NEED(!chan_send(e[1], &v, 4, -1, CHAN_NOW));
	NEED(chan_select(&c, 1, 0, -1, CHAN_NOW) == 0 && c.msg.res == 4);
	NEED(chan_kind(e[0]) == CHAN_RX && chan_kind(e[1]) == CHAN_TX && chan_kind(0) == -ENOTTY);
	NEED((g = chan_group(e[2], CHAN_FOREVER, 0, 0)) >= 0);
	NEED(chan_join(g, -1, CHAN_NOW) >= 0);
}

TEST(the_device_is_its_owners_and_descriptors_carry_the_rest)
{
	struct stat st;
	int e[3];

	ASSERT_EQ(0, stat("/dev/kchan", &st));
	EXPECT_EQ(S_IFCHR | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	e[2] = chan_group(-1, CHAN_FOREVER, 0, 0);
	ASSERT_LE(0, e[2]);
	EXPECT_EQ(0, as_user(USER, open_refused, NULL));
	EXPECT_EQ(0, as_user(USER, use_given, e));
	close2(e);
	close(e[2]);
}

TEST(without_the_device_the_error_says_so)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		char dir[] = "/tmp/rootXXXXXX";
		int e[2];

		NEED(mkdtemp(dir) && !chroot(dir) && !chdir("/"));
		NEED(chan_make(e, 8, 1, 0) == -ENOENT && errno == ENOENT);
		NEED(chan_group(-1, CHAN_FOREVER, 0, 0) == -ENOENT);
		NEED(chan_kind(0) == -ENOTTY);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
}

/* ---- memory ---- */

#define CG	"/tmp/cgroup"

static bool put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static long used(void)
{
	char text[32] = "";
	int fd = open(CG "/k/memory.current", O_RDONLY | O_CLOEXEC);
	long n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	close(fd);
	return n > 0 ? atol(text) : -1;
}

FIXTURE(memory) { bool here; };

FIXTURE_SETUP(memory)
{
	mkdir(CG, 0755);
	self->here = !mount("none", CG, "cgroup2", 0, NULL) &&
		     put(CG "/cgroup.subtree_control", "+memory") && !mkdir(CG "/k", 0755) &&
		     used() >= 0;
	if (!self->here)
		SKIP(return, "no memory control groups here: %s", strerror(errno));
}

FIXTURE_TEARDOWN(memory)
{
	if (self->here)
		EXPECT_EQ(0, rmdir(CG "/k"));
	umount(CG);
}

/* D28: what grows when a process makes and fills things, and falls when it lets go */
static void fill_and_tell(long *at)
{
	static char msg[BIG];
	int e[2], g[50];

	NEED(put(CG "/k/cgroup.procs", "0"));
	memset(msg, 1, sizeof(msg));
	*at++ = used();
	NEED(!chan_make(e, BIG, 200, 0));
	for (int i = 0; i < 200; i++)
		NEED(!chan_send(e[1], msg, BIG, -1, CHAN_NOW));
	*at++ = used();
	close2(e);
	*at++ = used();
	NEED(!chan_make(e, 8, 300000, 0));		/* its ring */
	*at++ = used();
	close2(e);
	*at++ = used();
	for (int i = 0; i < 50; i++) {			/* values */
		char key[16];

		NEED((g[i] = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0);
		for (int k = 0; k < 20; k++) {
			snprintf(key, sizeof(key), "k%d", k);
			NEED(!chan_value_set(g[i], key, msg, 4000));
		}
	}
	*at++ = used();
	for (int i = 0; i < 50; i++)
		close(g[i]);
	*at++ = used();
	_exit(0);
}

TEST_F(memory, everything_is_charged_to_the_control_group)
{
	long *at = shared(4096), mb = 1 << 20;
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		fill_and_tell(at);
	waitpid(pid, &status, 0);
	ASSERT_EQ(0, status);
	EXPECT_LE(at[0] + 11 * mb, at[1]);	/* 200 messages */
	EXPECT_GE(at[0] + 2 * mb, at[2]);
	EXPECT_LE(at[2] + 4 * mb, at[3]);	/* a ring */
	EXPECT_GE(at[2] + 2 * mb, at[4]);
	EXPECT_LE(at[4] + 3 * mb, at[5]);	/* values */
	EXPECT_GE(at[4] + 2 * mb, at[6]);
}

/* PX-11: an unprivileged user in a small group makes whatever he can, for ever */
static void devour(void *arg)
{
	static char msg[BIG];
	struct rlimit r = { 4096, 4096 };
	long *made = arg;

	setrlimit(RLIMIT_NOFILE, &r);
	for (;;) {
		int e[2], g, err;

		err = chan_make(e, BIG, 50, 0);
		NEED(!err || err == -ENOMEM || err == -EDQUOT || err == -EMFILE);
		while (!err && !(err = chan_send(e[1], msg, BIG, -1, CHAN_NOW)))
			++*made;
		NEED(err == -EAGAIN || err == -ENOMEM || err == -EDQUOT || err == -EMFILE);
		g = chan_group(-1, CHAN_FOREVER, 0, 0);
		NEED(g >= 0 || g == -ENOMEM || g == -EDQUOT || g == -EMFILE);
		if (err == -ENOMEM && g == -ENOMEM)
			_exit(0);
		if (g == -EMFILE)
			_exit(9);
	}
}

TEST_F(memory, a_small_group_bounds_what_a_user_can_take)
{
	long *made = shared(4096);
	int status = -1, e[2], v = 3;
	pid_t pid;

	ASSERT_TRUE(put(CG "/k/memory.max", "16000000"));
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chmod("/dev/kchan", 0666));
	pid = fork();
	if (!pid) {
		NEED(put(CG "/k/cgroup.procs", "0"));
		become(USER);
		devour(made);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, chmod("/dev/kchan", 0600));
	/* it was refused, or it alone was killed */
	EXPECT_TRUE(!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		TH_LOG("status %x", status);
	EXPECT_LT(50, *made);
	EXPECT_GT(300, *made);		/* 16 MB */
	EXPECT_LE(0, used());
	EXPECT_GT(2 << 20, used());
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	close2(e);
}

TEST_HARNESS_MAIN
