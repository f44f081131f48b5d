// SPDX-License-Identifier: MIT
/* Groups, members and watches in poll and epoll, in fdinfo; everybody is told. */
#include <inttypes.h>

#include "group_util.h"
#include "harness.h"

#define IN	(POLLIN | POLLRDNORM)
#define OUT	(POLLOUT | POLLWRNORM)

static int all_events(int fd)
{
	struct pollfd p = { .fd = fd, .events = 0x7fff };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

TEST(in_is_ended_and_out_is_no_members)
{
	int g = root(), w = chan_watch(g), d = dup(g), m, n, mw;

	EXPECT_EQ(OUT, all_events(g));
	m = chan_join(g, -1, CHAN_NOW);
	n = chan_join(g, -1, CHAN_NOW);
	EXPECT_EQ(OUT, all_events(m));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, all_events((int[]){ g, w, d }[i]));
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(0, all_events(g));
	EXPECT_EQ(IN | OUT, all_events(m));
	ASSERT_EQ(0, chan_cancel(g, 0, NULL));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(IN, all_events((int[]){ g, w, d }[i]));
	EXPECT_EQ(IN | OUT, all_events(n));
	ASSERT_EQ(0, chan_leave(n, 0, NULL));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(IN | OUT, all_events((int[]){ g, w, d }[i]));
	/* the last owner gone */
	mw = chan_watch(m);
	close2((int[]){ m, n });
	close2((int[]){ g, d });
	EXPECT_EQ(IN | OUT, all_events(w));
	EXPECT_EQ(IN | OUT, all_events(mw));
	close2((int[]){ w, mw });
}

/* A member with members of its own is a group like any other. */
TEST(a_members_own_members_show_on_it)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), inner = chan_join(m, -1, CHAN_NOW);
	int w = chan_watch(m);

	EXPECT_EQ(0, all_events(m));
	EXPECT_EQ(0, all_events(g));
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(IN, all_events(w));
	EXPECT_EQ(OUT, all_events(g));
	ASSERT_EQ(0, chan_leave(inner, 0, NULL));
	EXPECT_EQ(IN | OUT, all_events(w));
	close2((int[]){ g, m });
	close2((int[]){ inner, w });
}

/* ---- who sleeps in poll wakes ---- */

struct sleeper { int fd, events, got; };

static int sleep_in_poll(void *arg)
{
	struct sleeper *s = arg;
	struct pollfd p = { .fd = s->fd, .events = s->events };
	struct timespec t = { .tv_sec = PATIENCE / 1000 };

	if (syscall(SYS_ppoll, &p, 1, &t, NULL, 8) != 1)
		return 1;
	s->got = p.revents;
	return 0;
}

enum how { CANCEL, DEADLINE, PARENT, CLOSE, LEAVE, HOWS };

TEST(every_kind_of_end_wakes_all_who_poll)
{
	for (int how = 0; how < HOWS; how++) {
		int p = root(), g, w, c;
		struct sleeper s[6];
		struct party t[6];

		g = how == LEAVE ? chan_join(p, -1, CHAN_NOW) :
		    chan_group(p, how == DEADLINE ? chan_after(100 * MS) : CHAN_FOREVER, 0, 0);
		w = chan_watch(g);
		c = below(w);
		for (int i = 0; i < 6; i++) {
			s[i] = (struct sleeper){ i % 2 ? w : c, POLLIN, 0 };
			ASSERT_TRUE(party_start(&t[i], false, sleep_in_poll, &s[i]));
		}
		for (int i = 0; i < 6; i++) {
			ASSERT_TRUE(how == DEADLINE || asleep_in(&t[i].tid, SYS_ppoll));
		}
		switch (how) {
		case CANCEL:	EXPECT_EQ(0, chan_cancel(g, 0, NULL)); break;
		case PARENT:	EXPECT_EQ(0, chan_cancel(p, 0, NULL)); break;
		case CLOSE:	EXPECT_EQ(0, close(g)); break;
		case LEAVE:	EXPECT_EQ(0, chan_leave(g, 0, NULL)); break;
		}
		for (int i = 0; i < 6; i++) {
			EXPECT_EQ(0, party_end(&t[i]));
			EXPECT_EQ(POLLIN, s[i].got);
		}
		close2((int[]){ w, c });
		close2((int[]){ p, how == CLOSE ? -1 : g });
	}
}

TEST(the_last_leave_wakes_all_who_poll_for_out)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), n = chan_join(g, -1, CHAN_NOW);
	struct sleeper s[6];
	struct party t[6];

	for (int i = 0; i < 6; i++) {
		s[i] = (struct sleeper){ g, POLLOUT, 0 };
		ASSERT_TRUE(party_start(&t[i], false, sleep_in_poll, &s[i]));
		ASSERT_TRUE(asleep_in(&t[i].tid, SYS_ppoll));
	}
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	ASSERT_EQ(0, chan_cancel(g, 0, NULL));
	for (int i = 0; i < 6; i++) {
		ASSERT_TRUE(asleep_in(&t[i].tid, SYS_ppoll));
	}
	close(n);
	for (int i = 0; i < 6; i++) {
		EXPECT_EQ(0, party_end(&t[i]));
		EXPECT_EQ(POLLOUT, s[i].got);
	}
	close2((int[]){ g, m });
}

/* ---- epoll ---- */

static int epoll_with(int fd, unsigned events)
{
	struct epoll_event e = { .events = events, .data.u32 = fd };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) ? -errno : ep;
}

static int now(int ep)
{
	struct epoll_event e;
	int n = epoll_wait(ep, &e, 1, 0);

	return n == 1 ? (int)e.events : n;
}

TEST(level_triggered_says_it_again)
{
	int g = root(), ep = epoll_with(g, EPOLLIN | EPOLLOUT), m;

	EXPECT_EQ(EPOLLOUT, now(ep));
	EXPECT_EQ(EPOLLOUT, now(ep));
	m = chan_join(g, -1, CHAN_NOW);
	EXPECT_EQ(0, now(ep));
	ASSERT_EQ(0, chan_cancel(g, 0, NULL));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(EPOLLIN, now(ep));
	close(m);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(EPOLLIN | EPOLLOUT, now(ep));
	close2((int[]){ g, ep });
}

/* CX-23: however many cancels, one edge */
TEST(edge_triggered_says_it_once)
{
	int g = root(), w = chan_watch(g), ep = epoll_with(w, EPOLLIN | EPOLLET), m, out;

	EXPECT_EQ(0, now(ep));
	ASSERT_EQ(0, chan_cancel(g, 1, NULL));
	EXPECT_EQ(EPOLLIN, now(ep));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, chan_cancel(g, 2, NULL));
		EXPECT_EQ(0, now(ep));
	}
	close(g);
	EXPECT_EQ(0, now(ep));
	close2((int[]){ w, ep });

	/* a deadline is one edge as well, and a cancel after it none */
	g = chan_group(-1, chan_after(5 * MS), 0, 0);
	ep = epoll_with(g, EPOLLIN | EPOLLET);
	ASSERT_TRUE(turns(g, POLLIN));
	ASSERT_EQ(0, chan_cancel(g, 2, NULL));	/* by now all have been told */
	EXPECT_EQ(EPOLLIN, now(ep));
	ASSERT_EQ(0, chan_cancel(g, 2, NULL));
	EXPECT_EQ(0, now(ep));
	close2((int[]){ g, ep });

	/* each time that nobody is left is an edge */
	g = root();
	out = epoll_with(g, EPOLLOUT | EPOLLET);
	EXPECT_EQ(EPOLLOUT, now(out));
	for (int i = 0; i < 3; i++) {
		m = chan_join(g, -1, CHAN_NOW);
		EXPECT_EQ(0, now(out));
		close(m);
		EXPECT_EQ(EPOLLOUT, now(out));
		EXPECT_EQ(0, now(out));
	}
	close2((int[]){ g, out });
}

TEST(oneshot_waits_to_be_armed_again)
{
	int g = root(), ep = epoll_with(g, EPOLLIN | EPOLLONESHOT), m = chan_join(g, -1, CHAN_NOW);
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLONESHOT };

	ASSERT_EQ(0, chan_cancel(g, 0, NULL));
	EXPECT_EQ(EPOLLIN, now(ep));
	EXPECT_EQ(0, now(ep));
	close(m);
	EXPECT_EQ(0, now(ep));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_MOD, g, &e));
	EXPECT_EQ(EPOLLIN | EPOLLOUT, now(ep));
	EXPECT_EQ(0, now(ep));
	close2((int[]){ g, ep });
}

static int sleep_in_epoll(void *arg)
{
	struct sleeper *s = arg;
	struct epoll_event e;

	if (syscall(SYS_epoll_pwait, s->fd, &e, 1, PATIENCE, NULL, 8) != 1)
		return 1;
	s->got = e.events;
	return 0;
}

/* An end is true for each of them: nobody who was told would tell the next. */
TEST(exclusive_waiters_are_all_told)
{
	for (int out = 0; out < 2; out++) {
		int g = root(), w = chan_watch(g), m = chan_join(g, -1, CHAN_NOW);
		struct sleeper s[4];
		struct party t[4];

		for (int i = 0; i < 4; i++) {
			s[i].fd = epoll_with(w, (out ? EPOLLOUT : EPOLLIN) | EPOLLEXCLUSIVE |
					     (i % 2 ? EPOLLET : 0));
			ASSERT_LE(0, s[i].fd);
			ASSERT_TRUE(party_start(&t[i], false, sleep_in_epoll, &s[i]));
		}
		for (int i = 0; i < 4; i++) {
			ASSERT_TRUE(asleep_in(&t[i].tid, SYS_epoll_pwait));
		}
		if (out)
			close(m);
		else
			ASSERT_EQ(0, chan_cancel(g, 0, NULL));
		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(0, party_end(&t[i]));
			EXPECT_EQ(out ? EPOLLOUT : EPOLLIN, s[i].got);
			close(s[i].fd);
		}
		close2((int[]){ g, w });
		if (!out)
			close(m);
	}
}

/* The same of a channel that ends. */
TEST(exclusive_waiters_are_all_told_of_a_channels_end)
{
	for (int side = 0; side < 2; side++) {
		struct sleeper s[3];
		struct party t[3];
		int e[2], v = 1;

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		if (side)
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		for (int i = 0; i < 3; i++) {
			s[i].fd = epoll_with(e[side], (side ? EPOLLOUT : EPOLLIN) | EPOLLEXCLUSIVE);
			ASSERT_TRUE(party_start(&t[i], false, sleep_in_epoll, &s[i]));
		}
		for (int i = 0; i < 3; i++) {
			ASSERT_TRUE(asleep_in(&t[i].tid, SYS_epoll_pwait));
		}
		close(e[!side]);
		for (int i = 0; i < 3; i++) {
			EXPECT_EQ(0, party_end(&t[i]));
			EXPECT_EQ(side ? EPOLLOUT | EPOLLERR : EPOLLIN | EPOLLHUP, s[i].got);
			close(s[i].fd);
		}
		close(e[side]);
	}
}

/* A race of the end with going to sleep, many times: nobody sleeps on. */
static int cancel_it(void *arg)
{
	return -chan_cancel(*(int *)arg, 0, NULL);
}

TEST(an_end_beside_a_poll_is_never_missed)
{
	for (int i = 0, n = quick(1000, 50); i < n; i++) {
		int g = root();
		struct sleeper s = { chan_watch(g), POLLIN, 0 };
		struct party a, b;

		ASSERT_TRUE(party_start(&a, false, sleep_in_poll, &s));
		ASSERT_TRUE(party_start(&b, false, cancel_it, &g));
		ASSERT_EQ(0, party_end(&a));
		ASSERT_EQ(0, party_end(&b));
		ASSERT_EQ(POLLIN, s.got);
		close2((int[]){ g, s.fd });
	}
}

/* ---- the One Rule ---- */

/* Watchers in many processes; the one owner is killed: they all learn of it, and why. */
static int watch_it(void *arg)
{
	int w = *(int *)arg;
	struct sleeper s = { w, POLLIN, 0 };
	int r = sleep_in_poll(&s);

	return r ?: ginfo(w).err == EOWNERDEAD && ginfo(w).by_pid == *((unsigned *)arg + 1) ? 0 : 2;
}

TEST(watchers_everywhere_learn_that_the_owner_was_killed)
{
	int *fd = shared(2 * sizeof(int)), g = root(), p[2];
	struct party t[10];
	pid_t owner;
	char b;

	fd[0] = chan_watch(g);
	ASSERT_EQ(0, pipe(p));
	owner = fork();
	if (!owner) {
		close(p[1]);
		if (read(p[0], &b, 1))
			_exit(1);
		pause();
	}
	fd[1] = owner;
	close(g);
	for (int i = 0; i < 10; i++) {
		ASSERT_TRUE(party_start(&t[i], i % 2, watch_it, fd));
	}
	for (int i = 0; i < 10; i++) {
		ASSERT_TRUE(asleep_in(&t[i].tid, SYS_ppoll));
	}
	EXPECT_EQ(0, all_events(fd[0]) & POLLIN);
	close2(p);
	kill(owner, SIGKILL);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, party_end(&t[i]));
	waitpid(owner, NULL, 0);
	close(fd[0]);
}

/* A process that holds a copy of the owner waits for itself; once it is gone, it is over. */
TEST(an_owner_inherited_by_a_fork_counts_until_that_ends)
{
	int g = root(), w = chan_watch(g), p[2];
	pid_t pid;
	char b;

	ASSERT_EQ(0, pipe(p));
	pid = fork();
	if (!pid) {
		close(p[1]);
		_exit(read(p[0], &b, 1));
	}
	close(g);
	EXPECT_EQ(0, events(w) & POLLIN);
	close2(p);
	EXPECT_TRUE(turns(w, POLLIN));
	EXPECT_EQ(EOWNERDEAD, ginfo(w).err);
	waitpid(pid, NULL, 0);
	close(w);
}

/* execve(2) closes descriptors: an end too */
TEST(an_exec_is_the_end_of_the_owners_it_had)
{
	int g = root(), w = chan_watch(g), p[2];
	pid_t pid;
	char b;

	ASSERT_EQ(0, pipe(p));
	pid = fork();
	if (!pid) {
		char *argv[] = { "/bin/busybox", "sleep", "1000", NULL };	/* it goes on */

		close(1);
		close(2);
		close(p[1]);
		if (read(p[0], &b, 1))
			_exit(1);
		execv(argv[0], argv);
		_exit(2);
	}
	close(g);
	EXPECT_EQ(0, events(w) & POLLIN);
	close2(p);
	EXPECT_TRUE(turns(w, POLLIN));
	EXPECT_EQ(EOWNERDEAD, ginfo(w).err);
	EXPECT_EQ(pid, ginfo(w).by_pid);
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(w);
}

/* ---- fdinfo ---- */

static void fdinfo(int fd, char *b, size_t size)
{
	char name[64], *from;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "r");
	b[f ? fread(b, 1, size - 1, f) : 0] = 0;
	if (f)
		fclose(f);
	from = strstr(b, "kchan-");
	memmove(b, from ?: "", strlen(from ?: "") + 1);
}

static void expected(int fd, const char *role, const char *why, char *b, size_t size)
{
	struct chan_group_info i = ginfo(fd);

	snprintf(b, size,
		 "kchan-role:\t%s\nkchan-id:\t%" PRIu64 "\nkchan-parent:\t%" PRIu64 "\n"
		 "kchan-deadline-ns:\t%" PRId64 "\nkchan-members:\t%" PRIu64 "\n"
		 "kchan-limit:\t%" PRIu64 "\nkchan-children:\t%" PRIu64 "\nkchan-failed:\t%" PRIu64 "\n"
		 "kchan-state:\t%s\nkchan-err:\t%u\nkchan-by-pid:\t%u\nkchan-why:\t%s\n",
		 role, i.id, i.parent_id, i.deadline, i.members, i.limit, i.children, i.failed,
		 i.state ? "ended" : "live", i.err, i.by_pid, why);
}

TEST(fdinfo_shows_every_field)
{
	int64_t at = HOUR;
	int p = root(), g = chan_group(p, at, 0, 5), w = chan_watch(g);
	int m = chan_join(g, -1, CHAN_NOW), n = chan_join(g, -1, CHAN_NOW), c = below(g);
	char is[1024], want[1024], name[32];

	ASSERT_EQ(0, chan_leave(n, EIO, "x"));
	fdinfo(g, is, sizeof(is));
	expected(g, "group", "", want, sizeof(want));
	EXPECT_STREQ(want, is);
	snprintf(name, sizeof(name), "-ns:\t%" PRId64 "\n", at);
	EXPECT_NE(NULL, strstr(is, name));
	EXPECT_NE(NULL, strstr(is, "members:\t1\nkchan-limit:\t5\nkchan-children:\t2\nkchan-failed:\t1\n"));
	EXPECT_NE(NULL, strstr(is, "state:\tlive\nkchan-err:\t0\nkchan-by-pid:\t0\n"));
	fdinfo(w, is, sizeof(is));
	expected(g, "watch", "", want, sizeof(want));
	EXPECT_STREQ(want, is);
	/* what a user says can't add a line of its own, and keeps its letters */
	ASSERT_EQ(0, chan_cancel(g, EPERM, "a\nkchan-err:\t0 \x1b[1m\x7f gr\xc3\xb6\xc3\x9f" "e"));
	fdinfo(w, is, sizeof(is));
	expected(g, "watch", "a?kchan-err:?0 ?[1m? gr\xc3\xb6\xc3\x9f" "e", want, sizeof(want));
	EXPECT_STREQ(want, is);
	EXPECT_NE(NULL, strstr(is, "children:\t0\n"));
	fdinfo(m, is, sizeof(is));
	EXPECT_NE(NULL, strstr(is, "role:\tgroup\n"));
	EXPECT_NE(NULL, strstr(is, "state:\tended\n"));
	close2((int[]){ g, w });
	close2((int[]){ m, n });
	close2((int[]){ c, p });
}

/* A deadline that has passed is seen by every way of looking, whoever is first. */
TEST(an_end_is_the_same_to_all_who_look)
{
	for (int i = 0, n = quick(200, 30); i < n; i++) {
		int64_t at = chan_after(MS);
		int g = chan_group(-1, at, 0, 0), w = chan_watch(g);
		char b[1024];

		while (chan_after(0) < at)
			;
		if (i % 2) {
			ASSERT_EQ(CHAN_ENDED, ginfo(w).state);
			ASSERT_EQ(IN | OUT, all_events(w));
		} else {
			fdinfo(w, b, sizeof(b));
			ASSERT_NE(NULL, strstr(b, "state:\tended\n"));
			ASSERT_EQ(IN | OUT, all_events(w));
		}
		close2((int[]){ g, w });
	}
}

/* Nothing to read or write: a group is no stream. */
TEST(read_and_write_are_refused)
{
	int g = root(), w = chan_watch(g);
	char b[8] = "";

	EXPECT_EQ(-1, read(g, b, 8));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(g, b, 8));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(w, b, 8));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(w, b, 8));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, lseek(g, 0, SEEK_SET));
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	close2((int[]){ g, w });
}

TEST_HARNESS_MAIN
