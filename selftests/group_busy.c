// SPDX-License-Identifier: MIT
/*
 * What is done with a tree of groups while somebody else ends many of them, which takes
 * as long as it takes: here until the test lets it go on. It runs on a processor that
 * the test has, above it, from the moment that the top is seen ended and the last
 * group is not.
 */
#include "group_util.h"
#include "harness.h"

#define MANY	8000

struct tree {
	int top, last;		/* marked first, and after all others but */
	int extra;		/* this and what is below it, as the test has made it */
	int fd[MANY];
	pthread_t t;
	int err;
};

static bool fifo(int priority)
{
	struct sched_param p = { .sched_priority = priority };

	return !pthread_setschedparam(pthread_self(), priority ? SCHED_FIFO : SCHED_OTHER, &p);
}

static bool on_cpu(int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(n, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static int err_of(int fd)
{
	struct chan_group_info i = ginfo(fd);

	return i.state == CHAN_LIVE ? 0 : i.err;
}

static bool plant(struct tree *t, int64_t deadline, int64_t extra_deadline)
{
	bool good = true;

	t->top = chan_group(-1, deadline, 0, 0);
	for (int i = 0; i < MANY; i++) {
		t->fd[i] = chan_group(t->top, i == MANY - 1 ? extra_deadline : CHAN_FOREVER, 0, 0);
		good = good && t->fd[i] >= 0;
	}
	t->last = t->fd[MANY - 2];
	t->extra = t->fd[MANY - 1];
	return good && t->top >= 0;
}

static void fell(struct tree *t)
{
	for (int i = 0; i < MANY; i++)
		close(t->fd[i]);
	close(t->top);
}

static void *ends(void *arg)
{
	struct tree *t = arg;

	fifo(0);
	t->err = chan_cancel(t->top, EIO, "busy");
	return NULL;
}

/* From a true answer until it sleeps the caller keeps the tree as it is. */
static bool ending(struct tree *t)
{
	if (!fifo(10) || !on_cpu(0) || pthread_create(&t->t, NULL, ends, t))
		return false;
	while (err_of(t->top) == 0)
		usleep(100);
	return err_of(t->last) == 0;
}

static bool still(struct tree *t)
{
	return err_of(t->last) == 0;
}

static int ended(struct tree *t)
{
	pthread_join(t->t, NULL);
	return t->err;
}

/* ---- a call that waits for its turn can be killed ---- */

struct call {
	volatile int there, go, ret;
	int group;
	bool join;
};

static void caller(struct call *c)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fifo(0);
	on_cpu(1);
	c->there = 1;
	while (!c->go)
		;
	c->ret = c->join ? chan_join(c->group, -1, CHAN_NOW) : below(c->group);
	_exit(0);
}

/* It is still to be waited for. */
static bool gone(pid_t pid)
{
	siginfo_t si = { 0 };

	return !waitid(P_PID, pid, &si, WEXITED | WNOHANG | WNOWAIT) && si.si_pid == pid;
}

/* As asleep(), without sleep. */
static bool in_ioctl(pid_t pid)
{
	int64_t until = SOON;

	while (chan_after(0) < until) {
		char path[40], text[64] = "";
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && isdigit(text[0]) &&
		    atol(text) == SYS_ioctl) {
			close(fd);
			return true;
		}
		close(fd);
		if (gone(pid))
			return false;
	}
	return false;
}

/* One try: was the call killed while the tree was taken? */
static bool killed_in_time(struct __test_metadata *_metadata, bool join)
{
	struct call *c = shared(sizeof(*c));
	static struct tree t;
	bool in_time = false;
	pid_t pid;

	ASSERT_TRUE(plant(&t, CHAN_FOREVER, CHAN_FOREVER));
	*c = (struct call){ .ret = -1, .group = t.last, .join = join };
	pid = fork();
	if (!pid)
		caller(c);
	ASSERT_LT(0, pid);
	while (!c->there)
		usleep(1000);
	if (ending(&t)) {
		c->go = 1;
		if (in_ioctl(pid)) {
			int64_t until = chan_after(500 * MS);

			kill(pid, SIGKILL);
			while (!in_time && chan_after(0) < until)
				in_time = gone(pid);
			in_time = in_time && still(&t);
		}
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, ended(&t));
	EXPECT_EQ(EIO, err_of(t.last));
	EXPECT_EQ(0, ginfo(t.last).members);
	fell(&t);
	munmap(c, sizeof(*c));
	return in_time;
}

static void is_killed(struct __test_metadata *_metadata, bool join)
{
	bool in_time = false;

	ASSERT_EQ(0, many_files());
	/* where the host takes its time the other may get on meanwhile: once more */
	for (int i = 0; i < 20 && !in_time; i++)
		in_time = killed_in_time(_metadata, join);
	EXPECT_TRUE(in_time);
}

TEST(a_join_that_waits_for_the_tree_is_killed_at_once)
{
	is_killed(_metadata, true);
}

TEST(a_make_that_waits_for_the_tree_is_killed_at_once)
{
	is_killed(_metadata, false);
}

/* ---- what does not wait for the tree ---- */

/* A group past its own deadline, which is not marked so as the tree is taken. */
static bool late_in_time(struct __test_metadata *_metadata)
{
	int64_t at = chan_after(3000 * MS);
	static struct tree t;
	int end[2], child, c = 0, ret[4] = { 0 };
	bool in_time = false;

	ASSERT_EQ(0, chan_make(end, 1, 1, 0));
	ASSERT_TRUE(plant(&t, CHAN_FOREVER, at));
	child = below(t.extra);
	ASSERT_LE(0, child);
	while (chan_after(0) < at - 20 * MS)
		usleep(1000);
	if (ending(&t)) {
		while (chan_after(0) <= at)
			;
		ret[0] = chan_send(end[1], &c, 1, child, CHAN_NOW);
		ret[1] = chan_recv(end[0], &c, 1, t.extra, CHAN_FOREVER);
		ret[2] = chan_wait(t.top, &c, child, CHAN_FOREVER);
		ret[3] = chan_join(t.top, child, CHAN_FOREVER);
		in_time = still(&t);
		if (in_time) {
			for (int i = 0; i < 4; i++)
				EXPECT_EQ(-ETIMEDOUT, ret[i]);
			EXPECT_EQ(ETIMEDOUT, err_of(t.extra));
			EXPECT_EQ(ETIMEDOUT, err_of(child));
			EXPECT_EQ(0, ginfo(t.extra).children);
			EXPECT_EQ(POLLIN | POLLOUT, events(child));
		}
	}
	EXPECT_EQ(0, ended(&t));
	if (in_time) {		/* the mark says the same */
		EXPECT_EQ(ETIMEDOUT, err_of(t.extra));
		EXPECT_EQ(ETIMEDOUT, err_of(child));
		EXPECT_EQ(EIO, err_of(t.last));
	}
	close(child);
	fell(&t);
	close2(end);
	return in_time;
}

TEST(past_a_deadline_no_call_waits_for_the_tree)
{
	bool in_time = false;

	ASSERT_EQ(0, many_files());
	for (int i = 0; i < 20 && !in_time; i++)
		in_time = late_in_time(_metadata);
	EXPECT_TRUE(in_time);
}

/* The deadline of all comes while the cause of their end is on its way to them. */
static bool cause_in_time(struct __test_metadata *_metadata)
{
	int64_t at = chan_after(4000 * MS);
	static struct tree t;
	bool in_time = false;
	int c = 0, ret;

	ASSERT_TRUE(plant(&t, at, CHAN_FOREVER));
	while (chan_after(0) < at - 20 * MS)
		usleep(1000);
	if (ending(&t) && err_of(t.top) == EIO) {
		while (chan_after(0) <= at)
			;
		ret = chan_wait(t.top, &c, t.last, CHAN_FOREVER);
		in_time = chan_after(0) < at + 500 * MS;
		EXPECT_EQ(-ECANCELED, ret);
		EXPECT_EQ(EIO, err_of(t.last));
		EXPECT_STREQ("busy", ginfo(t.last).why);
	}
	EXPECT_EQ(0, ended(&t));
	EXPECT_EQ(err_of(t.top), err_of(t.last));
	fell(&t);
	return in_time;
}

TEST(a_cause_on_its_way_comes_before_the_deadline)
{
	bool in_time = false;

	ASSERT_EQ(0, many_files());
	for (int i = 0; i < 20 && !in_time; i++)
		in_time = cause_in_time(_metadata);
	EXPECT_TRUE(in_time);
}

TEST_HARNESS_MAIN
