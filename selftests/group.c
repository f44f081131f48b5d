// SPDX-License-Identifier: MIT
/* Groups: who may do what, how one ends, why, by whom and when. */
#include <sched.h>

#include "group_util.h"
#include "harness.h"

/* CX-01 */
TEST(a_root_is_live_and_has_no_cause)
{
	int g = root(), h = chan_group(-1, CHAN_FOREVER, 0, 7);
	struct chan_group_info i = ginfo(g), j = ginfo(h);

	ASSERT_LE(0, g);
	ASSERT_LE(0, h);
	EXPECT_EQ(CHAN_LIVE, i.state);
	EXPECT_EQ(0, i.err);
	EXPECT_EQ(0, i.by_pid);
	EXPECT_STREQ("", i.why);
	EXPECT_EQ(0, i.parent_id);
	EXPECT_EQ(CHAN_FOREVER, i.deadline);
	EXPECT_EQ(0, i.members + i.children + i.failed + i.limit + i.reserved);
	EXPECT_EQ(7, j.limit);
	EXPECT_NE(0, i.id);
	EXPECT_NE(i.id, j.id);
	EXPECT_EQ(POLLOUT, events(g));
	close(g);
	close(h);
}

TEST(descriptors_are_what_they_say)
{
	int g = root(), w = chan_watch(g), m = chan_join(g, -1, CHAN_NOW), d = dup(m);

	ASSERT_LE(0, d);
	EXPECT_EQ(CHAN_GROUP, chan_kind(g));
	EXPECT_EQ(CHAN_WATCH, chan_kind(w));
	EXPECT_EQ(CHAN_GROUP, chan_kind(m));
	EXPECT_EQ(CHAN_GROUP, chan_kind(d));
	EXPECT_EQ(FD_CLOEXEC, fcntl(g, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(w, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(m, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(g, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_RDONLY, fcntl(w, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_RDWR, fcntl(m, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(ginfo(g).id, ginfo(w).id);
	EXPECT_EQ(ginfo(m).id, ginfo(d).id);
	EXPECT_EQ(ginfo(g).id, ginfo(m).parent_id);
	close2((int[]){ g, w });
	close2((int[]){ m, d });
}

TEST(a_watch_obeys_and_does_not_command)
{
	int g = root(), w = chan_watch(g), first = 5, c, v;
	char buf[4];

	ASSERT_LE(0, w);
	EXPECT_EQ(-EBADF, chan_watch(w));
	EXPECT_EQ(-EBADF, chan_join(w, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_leave(w, 0, NULL));
	EXPECT_EQ(-EBADF, chan_cancel(w, 0, NULL));
	EXPECT_EQ(-EBADF, chan_value_set(w, "k", "v", 1));
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(0, ginfo(g).members + ginfo(g).children);

	ASSERT_EQ(0, chan_value_set(g, "k", "v", 1));
	EXPECT_EQ(1, chan_value_get(w, "k", buf, sizeof(buf)));
	EXPECT_EQ(0, chan_wait(w, &first, -1, CHAN_NOW));
	EXPECT_EQ(0, first);
	c = below(w);
	ASSERT_LE(0, c);
	EXPECT_EQ(ginfo(g).id, ginfo(c).parent_id);
	EXPECT_EQ(-ETIMEDOUT, chan_select(NULL, 0, 0, w, chan_after(MS)));
	EXPECT_EQ(0, chan_cancel(g, EIO, "x"));
	EXPECT_EQ(POLLIN | POLLOUT, events(w));
	EXPECT_EQ(-ECANCELED, chan_select(NULL, 0, 0, w, SOON));
	EXPECT_EQ(EIO, ginfo(c).err);
	/* a watch of an ended group can still be made and read */
	v = chan_watch(g);
	ASSERT_LE(0, v);
	EXPECT_EQ(EIO, ginfo(v).err);
	close2((int[]){ g, w });
	close2((int[]){ c, v });
}

/* CX-02: both a copy and a group made below the copy, wherever the cancel comes from */
static int cancel_it(void *arg)
{
	return -chan_cancel(*(int *)arg, 0, NULL);
}

TEST(cancel_ends_every_handle_and_all_below_at_once)
{
	for (int process = 0; process < 2; process++) {
		int *g = shared(sizeof(int)), fd[4];
		struct party t;

		*g = fd[0] = root();
		fd[1] = dup(*g);
		fd[2] = below(fd[1]);
		fd[3] = chan_watch(fd[2]);
		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(POLLOUT, events(fd[i]));
			EXPECT_EQ(0, ginfo(fd[i]).err);
		}
		ASSERT_TRUE(party_start(&t, process, cancel_it, g));
		ASSERT_EQ(0, party_end(&t));
		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(POLLIN | POLLOUT, events(fd[i]));
			EXPECT_EQ(CHAN_ENDED, ginfo(fd[i]).state);
			EXPECT_EQ(ECANCELED, ginfo(fd[i]).err);
			EXPECT_EQ(process ? t.pid : getpid(), ginfo(fd[i]).by_pid);
			close(fd[i]);
		}
	}
}

/* CX-13, CX-23 */
TEST(the_first_cause_wins_and_never_changes)
{
	int g = root(), e[2], v;
	struct chan_group_info i;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chan_cancel(g, 11, "first"));
	EXPECT_EQ(0, chan_cancel(g, 22, "second"));
	EXPECT_EQ(0, chan_cancel(g, 0, NULL));
	i = ginfo(g);
	EXPECT_EQ(11, i.err);
	EXPECT_STREQ("first", i.why);
	EXPECT_EQ(getpid(), i.by_pid);
	EXPECT_EQ(-ECANCELED, chan_recv(e[0], &v, 4, g, SOON));
	close(g);

	g = root();
	ASSERT_EQ(0, chan_cancel(g, 0, "no number"));
	EXPECT_EQ(ECANCELED, ginfo(g).err);
	EXPECT_STREQ("no number", ginfo(g).why);
	close(g);

	/* a cancel that says ETIMEDOUT is a cancel for those who run under it */
	g = root();
	ASSERT_EQ(0, chan_cancel(g, ETIMEDOUT, ""));
	EXPECT_EQ(ETIMEDOUT, ginfo(g).err);
	EXPECT_EQ(-ECANCELED, chan_recv(e[0], &v, 4, g, SOON));
	close(g);

	/* a wrong number ends nothing */
	g = root();
	EXPECT_EQ(-EINVAL, chan_cancel(g, -1, NULL));
	EXPECT_EQ(-EINVAL, chan_cancel(g, 4096, NULL));
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(0, chan_cancel(g, 4095, NULL));
	EXPECT_EQ(4095, ginfo(g).err);
	close(g);
	close2(e);
}

/* CX-14, CX-11 */
TEST(the_first_cause_that_reaches_a_group_is_its_own)
{
	int p = root(), c = below(p), late;

	ASSERT_EQ(0, chan_cancel(p, 11, "parent"));
	ASSERT_EQ(0, chan_cancel(c, 22, "child"));
	EXPECT_EQ(11, ginfo(c).err);
	EXPECT_STREQ("parent", ginfo(c).why);
	late = chan_group(p, HOUR, CHAN_FAIL_FAST, 3);
	ASSERT_LE(0, late);
	EXPECT_EQ(POLLIN | POLLOUT, events(late));
	EXPECT_EQ(11, ginfo(late).err);
	EXPECT_STREQ("parent", ginfo(late).why);
	EXPECT_EQ(getpid(), ginfo(late).by_pid);
	EXPECT_EQ(0, ginfo(p).children);
	EXPECT_EQ(-11, chan_join(late, -1, CHAN_FOREVER));
	close(late);
	/* one that was late already is ended by its parent all the same */
	late = chan_group(p, -5, 0, 0);
	EXPECT_EQ(11, ginfo(late).err);
	close(late);
	close2((int[]){ p, c });

	p = root();
	c = below(p);
	ASSERT_EQ(0, chan_cancel(c, 22, "child"));
	ASSERT_EQ(0, chan_cancel(p, 11, "parent"));
	EXPECT_EQ(22, ginfo(c).err);
	EXPECT_STREQ("child", ginfo(c).why);
	EXPECT_EQ(11, ginfo(p).err);
	close2((int[]){ p, c });
}

TEST(why_is_cut_at_127_bytes)
{
	size_t page = sysconf(_SC_PAGESIZE), lengths[] = { 0, 1, 126, 127, 128, 129, 4000 };
	char *m = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int g;

	ASSERT_EQ(0, mprotect(m + page, page, PROT_NONE));
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		size_t n = lengths[i], kept = n < 127 ? n : 127;
		char *why = m + page - n - 1;
		struct chan_group_info in;

		memset(why, 'a' + i, n);
		why[n] = 0;
		g = root();
		ASSERT_EQ(0, chan_cancel(g, EIO, why));
		in = ginfo(g);
		EXPECT_EQ(kept, strlen(in.why));
		EXPECT_EQ(0, memcmp(why, in.why, kept));
		for (size_t k = kept; k < sizeof(in.why); k++)
			EXPECT_EQ(0, in.why[k]);
		close(g);
	}
	/* 127 bytes are read, not one more */
	memset(m + page - 127, 'z', 127);
	g = root();
	EXPECT_EQ(-EFAULT, chan_cancel(g, EIO, m + page - 126));
	EXPECT_EQ(-EFAULT, chan_cancel(g, EIO, (char *)8));
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(0, chan_cancel(g, EIO, m + page - 127));
	EXPECT_EQ(127, strlen(ginfo(g).why));
	close(g);
	munmap(m, 2 * page);
}

/* ---- by whom ---- */

static void info_into(int g, struct chan_group_info *i)
{
	*i = ginfo(g);
}

static void *cancel_by_thread(void *arg)
{
	chan_cancel(*(int *)arg, EIO, "thread");
	return NULL;
}

TEST(by_pid_is_the_process_that_did_it)
{
	int g = root(), st;
	pthread_t t;
	pid_t pid;

	/* a thread's cancel is its process's */
	pthread_create(&t, NULL, cancel_by_thread, &g);
	pthread_join(t, NULL);
	EXPECT_EQ(getpid(), ginfo(g).by_pid);
	close(g);

	/* another process, and still after it has gone */
	g = root();
	pid = fork();
	if (!pid)
		_exit(chan_cancel(g, EIO, "child"));
	EXPECT_EQ(pid, waitpid(pid, &st, 0));
	EXPECT_EQ(0, st);
	EXPECT_EQ(EIO, ginfo(g).err);
	EXPECT_EQ(pid, ginfo(g).by_pid);
	close(g);
}

/* The reader's own pid namespace decides which number it sees, if any. */
TEST(by_pid_is_as_the_readers_pid_namespace_shows_it)
{
	struct chan_group_info *i = shared(4 * sizeof(*i));
	int outer = root(), inner = root(), st;
	pid_t pid, child;

	ASSERT_EQ(0, chan_cancel(outer, EIO, "from outside"));
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(77);
		child = fork();
		if (!child) {
			int own = root(), p[2], c;

			/* pid 1 of a namespace of its own */
			info_into(outer, &i[0]);
			chan_cancel(inner, EIO, "from inside");
			info_into(inner, &i[1]);
			if (pipe(p))
				_exit(1);
			c = fork();
			if (!c) {
				char b;

				chan_cancel(own, EPERM, "pid 2");
				close(p[1]);
				if (read(p[0], &b, 1))
					_exit(1);
				_exit(0);
			}
			if (!turns(own, POLLIN))
				_exit(1);
			info_into(own, &i[2]);
			_exit(c == 2 && getpid() == 1 ? 0 : 1);
		}
		for (int k = 0; k < PATIENCE && ginfo(inner).state == CHAN_LIVE; k++)
			usleep(1000);
		info_into(inner, &i[3]);
		i[3].members = child;
		waitpid(child, &st, 0);
		_exit(WEXITSTATUS(st));
	}
	ASSERT_EQ(pid, waitpid(pid, &st, 0));
	ASSERT_EQ(0, st);
	EXPECT_EQ(0, i[0].by_pid);
	EXPECT_STREQ("from outside", i[0].why);
	EXPECT_EQ(1, i[1].by_pid);
	EXPECT_EQ(2, i[2].by_pid);
	EXPECT_EQ(EPERM, i[2].err);
	/* the reader outside sees the number that it knows */
	EXPECT_EQ(i[3].members, i[3].by_pid);
	EXPECT_STREQ("from inside", i[3].why);
	close2((int[]){ outer, inner });
}

/* ---- when ---- */

/* CX-05, CX-15, CX-22 */
TEST(a_deadline_ends_a_group_by_itself)
{
	int64_t at = chan_after(20 * MS);
	int g = chan_group(-1, at, 0, 0), c = chan_group(g, HOUR, 0, 0), w = chan_watch(c), e[2], v;
	struct chan_group_info i;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	EXPECT_EQ(at, ginfo(g).deadline);
	EXPECT_EQ(at, ginfo(c).deadline);
	ASSERT_TRUE(turns(w, POLLIN));
	EXPECT_LE(at, chan_after(0));
	for (int k = 0; k < 2; k++) {
		i = ginfo(k ? c : g);
		EXPECT_EQ(CHAN_ENDED, i.state);
		EXPECT_EQ(ETIMEDOUT, i.err);
		EXPECT_EQ(0, i.by_pid);
		EXPECT_STREQ("", i.why);
		EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, k ? c : g, SOON));
		EXPECT_EQ(-ETIMEDOUT, chan_join(k ? c : g, -1, SOON));
	}
	EXPECT_EQ(0, chan_cancel(g, EIO, "late"));
	EXPECT_EQ(ETIMEDOUT, ginfo(g).err);
	EXPECT_STREQ("", ginfo(g).why);
	close2((int[]){ g, c });
	close(w);

	/* cancelled before its deadline: it is cancelled */
	g = chan_group(-1, HOUR, 0, 0);
	EXPECT_EQ(0, chan_cancel(g, 0, NULL));
	EXPECT_EQ(ECANCELED, ginfo(g).err);
	EXPECT_EQ(-ECANCELED, chan_recv(e[0], &v, 4, g, SOON));
	close(g);
	close2(e);
}

TEST(the_earlier_deadline_holds)
{
	int64_t near = HOUR, far = near + 1000 * MS;
	int p = chan_group(-1, near, 0, 0), q = chan_group(-1, far, 0, 0), m;
	int a = chan_group(p, far, 0, 0), b = chan_group(q, near, 0, 0);
	int c = below(p), d = below(a), n = root();

	EXPECT_EQ(near, ginfo(a).deadline);
	EXPECT_EQ(near, ginfo(b).deadline);
	EXPECT_EQ(far, ginfo(q).deadline);
	EXPECT_EQ(near, ginfo(c).deadline);
	EXPECT_EQ(near, ginfo(d).deadline);
	EXPECT_EQ(CHAN_FOREVER, ginfo(n).deadline);
	m = chan_join(p, -1, CHAN_NOW);
	EXPECT_EQ(near, ginfo(m).deadline);
	int fd[] = { p, q, a, b, c, d, n, m };

	for (int i = 0; i < 8; i++)
		EXPECT_EQ(CHAN_LIVE, ginfo(fd[i]).state);
}

/* Each at its own time: a child's deadline leaves its parent and its siblings alone. */
TEST(a_childs_deadline_is_its_own)
{
	int p = root(), soon = chan_group(p, chan_after(5 * MS), 0, 0), later = chan_group(p, HOUR, 0, 0);
	int under = below(soon);

	ASSERT_TRUE(turns(under, POLLIN));
	EXPECT_EQ(ETIMEDOUT, ginfo(soon).err);
	EXPECT_EQ(ETIMEDOUT, ginfo(under).err);
	EXPECT_EQ(CHAN_LIVE, ginfo(p).state);
	EXPECT_EQ(CHAN_LIVE, ginfo(later).state);
	EXPECT_EQ(1, ginfo(p).children);
	close2((int[]){ p, soon });
	close2((int[]){ later, under });
}

/* CX-05 */
TEST(a_deadline_in_the_past_makes_an_ended_group)
{
	int64_t past[] = { -1, 1, INT64_MIN, -CHAN_FOREVER, chan_after(0), chan_after(-MS) };
	int g, p = root();

	for (unsigned i = 0; i < 2 * 6; i++) {
		g = chan_group(i % 2 ? p : -1, past[i / 2], 0, 0);
		ASSERT_LE(0, g);
		EXPECT_EQ(POLLIN | POLLOUT, events(g));
		EXPECT_EQ(CHAN_ENDED, ginfo(g).state);
		EXPECT_EQ(ETIMEDOUT, ginfo(g).err);
		EXPECT_EQ(0, ginfo(g).by_pid);
		EXPECT_EQ(past[i / 2], ginfo(g).deadline);
		EXPECT_EQ(-ETIMEDOUT, chan_join(g, -1, SOON));
		close(g);
	}
	EXPECT_EQ(0, ginfo(p).children);
	EXPECT_EQ(CHAN_LIVE, ginfo(p).state);
	EXPECT_EQ(-EINVAL, chan_group(-1, CHAN_NOW, 0, 0));
	EXPECT_EQ(-EINVAL, chan_group(p, CHAN_NOW, 0, 0));
	g = chan_group(p, CHAN_FOREVER - 1, 0, 0);
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(CHAN_FOREVER - 1, ginfo(g).deadline);
	close2((int[]){ g, p });
}

static int set_monotonic_offset(const char *text)
{
	int fd = open("/proc/self/timens_offsets", O_WRONLY), n = -1;

	if (fd >= 0)
		n = write(fd, text, strlen(text));
	close(fd);
	return n > 0 ? 0 : -1;
}

/* Each reader sees the same instant by its own clock. */
TEST(deadlines_are_shown_by_the_readers_clock)
{
	int64_t at = HOUR, off = INT64_C(100000) * 1000 * MS, *seen = shared(6 * sizeof(*seen));
	int outer = chan_group(-1, at, 0, 0), never = root(), st;
	pid_t pid;

	pid = fork();
	if (!pid) {
		int64_t there;
		int own, short_one;
		bool live, early;

		if (unshare(CLONE_NEWTIME) || set_monotonic_offset("monotonic 100000 0"))
			_exit(77);
		if (fork()) {
			wait(&st);
			_exit(WEXITSTATUS(st));
		}
		there = chan_after(500 * MS);
		own = chan_group(outer, at + off - 5, 0, 0);
		short_one = chan_group(-1, there, 0, 0);
		seen[0] = ginfo(outer).deadline;
		seen[1] = ginfo(never).deadline;
		seen[2] = ginfo(own).deadline;
		seen[3] = ginfo(below(outer)).deadline;
		live = ginfo(short_one).state == CHAN_LIVE;
		early = chan_after(0) < there;
		seen[4] = (live || !early) && turns(short_one, POLLIN) && chan_after(0) >= there;
		/* by the clock outside, this is long ago; here, in the future */
		seen[5] = ginfo(chan_group(-1, there - off, 0, 0)).err;
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &st, 0));
	if (WEXITSTATUS(st) == 77)
		SKIP(return, "no time namespaces");
	ASSERT_EQ(0, st);
	EXPECT_EQ(at + off, seen[0]);
	EXPECT_EQ(CHAN_FOREVER, seen[1]);
	EXPECT_EQ(at + off - 5, seen[2]);
	EXPECT_EQ(at + off, seen[3]);
	EXPECT_EQ(1, seen[4]);
	EXPECT_EQ(ETIMEDOUT, seen[5]);
	close2((int[]){ outer, never });
}

/* ---- detached, and owners that go ---- */

/* CX-16 */
TEST(a_detached_group_takes_values_and_nothing_else)
{
	int p = chan_group(-1, HOUR, 0, 0), d = chan_group(p, CHAN_FOREVER, CHAN_DETACHED, 0);
	int c = below(d), past = chan_group(p, -1, CHAN_DETACHED, 0), late;
	char b[8];

	ASSERT_EQ(0, chan_value_set(p, "k", "value", 5));
	EXPECT_EQ(CHAN_FOREVER, ginfo(d).deadline);
	EXPECT_EQ(ginfo(p).id, ginfo(d).parent_id);
	EXPECT_EQ(0, ginfo(p).children);
	EXPECT_EQ(ETIMEDOUT, ginfo(past).err);
	ASSERT_EQ(0, chan_cancel(p, EIO, "x"));
	late = chan_group(p, CHAN_FOREVER, CHAN_DETACHED, 0);
	for (int i = 0; i < 3; i++) {
		int fd = (int[]){ d, c, late }[i];

		EXPECT_EQ(CHAN_LIVE, ginfo(fd).state);
		EXPECT_EQ(0, ginfo(fd).err);
		EXPECT_EQ(POLLOUT, events(fd));
		EXPECT_EQ(5, chan_value_get(fd, "k", b, sizeof(b)));
	}
	close(p);
	EXPECT_EQ(5, chan_value_get(c, "k", b, sizeof(b)));
	EXPECT_EQ(CHAN_LIVE, ginfo(d).state);
	ASSERT_EQ(0, chan_cancel(d, EPERM, "y"));
	EXPECT_EQ(EPERM, ginfo(c).err);
	EXPECT_EQ(CHAN_LIVE, ginfo(late).state);
	EXPECT_EQ(-EINVAL, chan_group(-1, CHAN_FOREVER, CHAN_DETACHED, 0));
	close2((int[]){ d, c });
	close2((int[]){ past, late });
}

TEST(the_last_owner_ends_it_and_a_watch_does_not_keep_it)
{
	int g = root(), w = chan_watch(g), d = dup(g), c = below(w), sv[2];
	char b[1] = "", ctl[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { b, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	close(g);
	EXPECT_EQ(CHAN_LIVE, ginfo(w).state);
	/* a descriptor under way keeps it as well */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &d, sizeof(d));
	ASSERT_EQ(1, sendmsg(sv[0], &m, 0));
	close(d);
	EXPECT_EQ(CHAN_LIVE, ginfo(w).state);
	ASSERT_EQ(1, recvmsg(sv[1], &m, 0));
	memcpy(&d, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(d));
	EXPECT_EQ(CHAN_GROUP, chan_kind(d));
	EXPECT_EQ(CHAN_LIVE, ginfo(w).state);
	close(d);
	EXPECT_EQ(CHAN_ENDED, ginfo(w).state);
	EXPECT_EQ(EOWNERDEAD, ginfo(w).err);
	EXPECT_EQ(getpid(), ginfo(w).by_pid);
	EXPECT_EQ(EOWNERDEAD, ginfo(c).err);
	EXPECT_EQ(-ECANCELED, chan_select(NULL, 0, 0, c, SOON));
	close2(sv);
	close2((int[]){ w, c });
}

TEST(an_owner_that_exits_or_is_killed_ends_it)
{
	for (int how = 0; how < 2; how++) {
		int g = root(), w = chan_watch(g), p[2];
		struct pollfd pfd = { .fd = w, .events = POLLIN };
		pid_t pid;

		ASSERT_EQ(0, pipe(p));
		pid = fork();
		if (!pid) {
			char b;

			close(w);
			close(p[1]);
			if (how)
				pause();
			_exit(read(p[0], &b, 1));
		}
		close(g);
		EXPECT_EQ(0, poll(&pfd, 1, 10));
		if (how)
			kill(pid, SIGKILL);
		close2(p);
		ASSERT_TRUE(turns(w, POLLIN));
		EXPECT_EQ(EOWNERDEAD, ginfo(w).err);
		EXPECT_EQ(pid, ginfo(w).by_pid);
		waitpid(pid, NULL, 0);
		EXPECT_EQ(pid, ginfo(w).by_pid);
		close(w);
	}
}

/* ---- races of causes ---- */

struct race {
	int g, rounds, err;
	unsigned round, ready;
};

static int race_cancel(void *arg)
{
	struct race *r = arg;
	int err = __atomic_add_fetch(&r->err, 1, __ATOMIC_RELAXED);
	char why[16];

	snprintf(why, sizeof(why), "%d", err);
	__atomic_add_fetch(&r->ready, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&r->ready, __ATOMIC_RELAXED) < 8)
		sched_yield();
	return chan_cancel(r->g, err, why) || ginfo(r->g).state != CHAN_ENDED;
}

/* CX-23 */
TEST(of_eight_cancels_one_counts_and_none_fails)
{
	for (int i = 0, n = quick(200, 20); i < n; i++) {
		bool process = i % 10 == 9;
		struct race *r = shared(sizeof(*r));
		struct party t[8];
		struct chan_group_info in;

		r->g = root();
		for (int k = 0; k < 8; k++) {
			ASSERT_TRUE(party_start(&t[k], process, race_cancel, r));
		}
		ASSERT_TRUE(turns(r->g, POLLIN));
		in = ginfo(r->g);
		for (int k = 0; k < 8; k++) {
			ASSERT_EQ(0, party_end(&t[k]));
		}
		ASSERT_TRUE(in.err >= 1 && in.err <= 8);
		ASSERT_EQ(in.err, atoi(in.why));
		ASSERT_EQ(in.err, ginfo(r->g).err);
		ASSERT_EQ(0, strcmp(in.why, ginfo(r->g).why));
		close(r->g);
		munmap(r, sizeof(*r));
	}
}

static int race_look(void *arg)
{
	struct race *r = arg;
	int n = __atomic_load_n(&r->rounds, __ATOMIC_RELAXED), bad = 0;

	for (int i = 0; i < n; i++) {
		struct chan_group_info in;

		while (__atomic_load_n(&r->round, __ATOMIC_ACQUIRE) != i * 2 + 1u)
			sched_yield();
		do {
			in = ginfo(r->g);
			if (in.state == CHAN_LIVE && (in.err || in.by_pid || in.why[0]))
				bad = 1;
		} while (in.state == CHAN_LIVE);
		if (in.err != 55 || in.by_pid == 0 || strcmp(in.why, "fifty five"))
			bad = 1;
		__atomic_store_n(&r->round, i * 2 + 2, __ATOMIC_RELEASE);
	}
	return bad;
}

/* CX-17 */
TEST(a_cause_is_never_seen_half_set)
{
	int todo[] = { count(100000, 10000, 300), count(100000, 1000, 100) }, at = 900;

	ASSERT_EQ(0, many_files());
	while (todo[0] || todo[1]) {
		bool process = !todo[0];
		int n = process && todo[1] > 1000 ? 1000 : todo[process];
		struct race *r = shared(sizeof(*r));
		struct party t;

		todo[process] -= n;
		/* both sides know the groups by one number */
		r->rounds = n;
		r->g = at;
		/* a process has the groups of all rounds before the fork */
		for (int i = 0; process && i < n; i++) {
			int g = root();

			ASSERT_EQ(at + i, dup2(g, at + i));
			close(g);
		}
		ASSERT_TRUE(party_start(&t, process, race_look, r));
		for (int i = 0; i < n; i++) {
			int g = process ? at + i : root();

			r->g = g;
			__atomic_store_n(&r->round, i * 2 + 1, __ATOMIC_RELEASE);
			chan_cancel(g, 55, "fifty five");
			while (__atomic_load_n(&r->round, __ATOMIC_ACQUIRE) != i * 2 + 2u)
				sched_yield();
			close(g);
		}
		EXPECT_EQ(0, party_end(&t));
		munmap(r, sizeof(*r));
	}
}

/* The cause is that of the group whose deadline it is, whoever notices that it has passed. */
TEST(a_child_has_no_other_cause_than_the_parent_whose_deadline_it_has)
{
	for (int n = 0; n < quick(2000, 300); n++) {
		int64_t at = chan_after(200000);
		int p = chan_group(-1, at, 0, 0), c, w;

		while (chan_after(0) < at - 20000 + n % 40 * 1000)
			;
		c = chan_group(p, CHAN_FOREVER, 0, 0);
		w = chan_watch(p);
		chan_cancel(p, EIO, "early");
		ASSERT_EQ(CHAN_ENDED, ginfo(c).state);
		ASSERT_EQ(ginfo(w).err, ginfo(c).err);
		ASSERT_STREQ(ginfo(w).why, ginfo(c).why);
		close(c);
		close(w);
		close(p);
	}
}

TEST_HARNESS_MAIN
