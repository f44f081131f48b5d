// SPDX-License-Identifier: MIT
/* Groups whose members all stop when the first returns: servers, signals, time limits. */
#include <sys/signalfd.h>
#include <sys/un.h>

#include "group_party.h"
#include "harness.h"

static int wait_for_word(int member, void *arg)
{
	struct shared_state *s = arg;
	int v;

	if (chan_recv(s->fd[0], &v, sizeof(v), -1, SOON) != -EPIPE)
		return 99;
	return s->err;
}

static int wait_for_stop(int member, void *arg)
{
	struct shared_state *s = arg;
	int r = chan_select(NULL, 0, 0, member, SOON);

	add(&s->count, 1);
	return r == -ECANCELED ? s->flag : 98;
}

/* GW-01, GW-02 */
TEST(the_first_to_return_stops_the_others)
{
	struct { int err, late, first, cause; } row[] = {
		{ 11, 0, 11, 11 },
		{ 0, 22, 22, ECANCELED },
		{ 11, 22, 11, 11 },
		{ 0, 0, 0, ECANCELED },
	};

	for (int i = 0; i < 8; i++) {
		bool process = i % 2;
		struct shared_state *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1;

		EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));	/* an empty group */
		EXPECT_EQ(0, first);
		s->err = row[i / 2].err;
		s->flag = row[i / 2].late;
		ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
		ASSERT_EQ(0, start(g, process, wait_for_word, s, s->fd, 2));
		for (int k = 0; k < 3; k++) {
			ASSERT_EQ(0, start(g, process, wait_for_stop, s, NULL, 0));
		}
		EXPECT_EQ(-ETIMEDOUT, chan_wait(g, &first, -1, chan_after(5 * MS)));
		EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
		EXPECT_EQ(4, ginfo(g).members);
		ASSERT_EQ(0, chan_shut(s->fd[1], 0));
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(row[i / 2].first, first);
		EXPECT_EQ(row[i / 2].cause, ginfo(g).err);
		EXPECT_EQ(3, s->count);
		close2(s->fd);
		close(g);
		reap(process);
	}
}

/* A member that serves another group's end, and none that stops it is its error. */
static int context_member(int member, void *arg)
{
	struct shared_state *s = arg;
	struct chan_case c = { .fd = s->fd[2], .op = CHAN_POLL, .events = POLLIN };
	struct chan_group_info i;
	int r = chan_select(&c, 1, 0, member, SOON);

	if (r == -ECANCELED)
		return 0;			/* stopped by another */
	chan_group_info(s->fd[2], &i, sizeof(i));
	return r ? -r : (int)i.err;
}

/* GW-03 */
TEST(a_context_member_is_stopped_by_another)
{
	for (int process = 0; process < 2; process++) {
		struct shared_state *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1;

		s->err = 33;
		s->fd[2] = root();
		ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
		ASSERT_EQ(0, start(g, process, context_member, s, s->fd, 3));
		ASSERT_EQ(0, start(g, process, wait_for_word, s, s->fd, 2));
		ASSERT_EQ(0, chan_shut(s->fd[1], 0));
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(33, first);
		EXPECT_EQ(1, ginfo(g).failed);
		EXPECT_EQ(CHAN_LIVE, ginfo(s->fd[2]).state);
		close2(s->fd);
		close2((int[]){ s->fd[2], g });
		reap(process);
	}
}

/*
 * A server is one member: Serve, and beside it, in a group below, what calls Shutdown
 * once all are to stop. That leaves without a call where Serve has returned by itself.
 */
struct server {
	int end[2];		/* requests come here; shut: closed */
	int returned[2];	/* shut: Serve has returned */
	int sock;		/* or connections come here */
	int err;		/* what Serve fails with, if asked */
	int serve_ret, shutdown_ret, shutdowns;
	int64_t shutdown_at;
};

static int serve(struct server *s)
{
	int v, c;

	if (s->sock < 0) {
		int r = chan_recv(s->end[0], &v, sizeof(v), -1, SOON);

		return r == sizeof(v) ? s->err : r == -EPIPE ? ESHUTDOWN : 97;
	}
	while ((c = accept4(s->sock, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		WANT(write(c, "x", 1) == 1);
		close(c);
	}
	return errno == EINVAL ? ESHUTDOWN : errno;	/* what accept says after a shutdown */
}

static int shut_down(int member, void *arg)
{
	struct server *s = arg;
	struct chan_case c = chan_recv_case(s->returned[0], NULL, 0);
	int r = chan_select(&c, 1, 0, member, SOON);

	if (r != -ECANCELED)
		return r;
	s->shutdown_at = chan_after(0);
	add(&s->shutdowns, 1);
	s->shutdown_ret = s->sock < 0 ? chan_shut(s->end[1], 0) : shutdown(s->sock, SHUT_RDWR);
	return s->shutdown_ret ? 96 : 0;
}

static int server(int member, void *arg)
{
	struct server *s = arg;
	int beside = below(member), first = -1;

	s->shutdown_ret = -1;
	if (chan_go(beside, shut_down, s))
		return 95;
	s->serve_ret = serve(s);
	if (s->serve_ret != ESHUTDOWN)
		chan_shut(s->returned[1], 0);
	if (chan_wait(beside, &first, -1, SOON))
		return 94;
	close(beside);
	return s->serve_ret == ESHUTDOWN ? first : s->serve_ret;
}

/* GW-04 */
TEST(a_server_that_failed_is_not_shut_down_and_one_that_serves_is)
{
	for (int i = 0; i < 4; i++) {
		bool process = i % 2, fails = i / 2;
		struct shared_state *other = shared(sizeof(*other));
		struct server *s = shared(sizeof(*s));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1, v = 0;

		s->sock = -1;
		s->err = 44;
		ASSERT_EQ(0, chan_make(s->end, 4, 0, 0));
		ASSERT_EQ(0, chan_make(s->returned, 0, 0, 0));
		ASSERT_EQ(0, start(g, process, server, s, s->end, 4));
		ASSERT_EQ(0, start(g, process, wait_for_stop, other, NULL, 0));
		ASSERT_TRUE(parked(s->end[0], 0, 1));	/* serves, and would be shut down */
		ASSERT_TRUE(parked(s->returned[0], 0, 1));
		ASSERT_EQ(0, fails ? chan_send(s->end[1], &v, 4, -1, SOON) : chan_cancel(g, 33, "enough"));
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(fails ? 44 : 0, first);
		EXPECT_EQ(fails ? 44 : 33, ginfo(g).err);
		EXPECT_EQ(fails, ginfo(g).failed);
		EXPECT_EQ(fails ? 44 : ESHUTDOWN, s->serve_ret);
		EXPECT_EQ(!fails, s->shutdowns);
		EXPECT_EQ(fails ? -1 : 0, s->shutdown_ret);
		EXPECT_EQ(1, other->count);
		close2(s->end);
		close2(s->returned);
		close(g);
		reap(process);
		munmap(s, sizeof(*s));
		munmap(other, sizeof(*other));
	}
}

/* os/signal: while it is at work SIGINT is its own, and nobody's handler runs. */
struct signal_state { int tid, same, before, after; };

static int interrupts;

static void interrupted(int sig)
{
	add(&interrupts, 1);
}

static int signal_select(int member, struct signal_state *s)
{
	struct signalfd_siginfo si;
	struct chan_case c = { .op = CHAN_POLL, .events = POLLIN };
	sigset_t set, old;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	c.fd = signalfd(-1, &set, SFD_CLOEXEC);
	__atomic_store_n(&s->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	r = chan_select(&c, 1, 0, member, SOON);
	if (!r && read(c.fd, &si, sizeof(si)) == sizeof(si))
		r = si.ssi_signo == SIGINT ? EINTR : 96;
	close(c.fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == -ECANCELED ? 0 : r;
}

static int signal_member(int member, void *arg)
{
	struct signal_state *s = arg;
	struct sigaction act, act_after;
	sigset_t mask, mask_after;
	int r;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGINT, NULL, &act);
	r = signal_select(member, s);
	pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
	sigaction(SIGINT, NULL, &act_after);
	s->same = act.sa_handler == act_after.sa_handler;
	for (int sig = 1; sig < NSIG; sig++)
		s->same &= sigismember(&mask, sig) == sigismember(&mask_after, sig);
	s->before = get(&interrupts);
	raise(SIGINT);			/* the handler's again */
	s->after = get(&interrupts);
	return r;
}

/* GW-05 */
TEST(a_signal_member_is_stopped_or_stops_and_leaves_signals_as_they_were)
{
	struct sigaction act = { .sa_handler = interrupted };

	ASSERT_EQ(0, sigaction(SIGINT, &act, NULL));
	for (int i = 0; i < 4; i++) {
		bool process = i % 2, by_signal = i / 2;
		struct shared_state *s = shared(sizeof(*s));
		struct signal_state *sig = shared(sizeof(*sig));
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1;

		interrupts = 0;
		s->err = 55;
		ASSERT_EQ(0, chan_make(s->fd, 4, 0, 0));
		ASSERT_EQ(0, start(g, process, signal_member, sig, NULL, 0));
		ASSERT_EQ(0, start(g, process, by_signal ? wait_for_stop : wait_for_word, s, s->fd, 2));
		ASSERT_TRUE(asleep(&sig->tid));
		if (by_signal) {
			ASSERT_EQ(0, syscall(SYS_tgkill, process ? sig->tid : getpid(), sig->tid, SIGINT));
		} else {
			ASSERT_EQ(0, chan_shut(s->fd[1], 0));
		}
		ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(by_signal ? EINTR : 55, first);
		EXPECT_EQ(by_signal ? EINTR : 55, ginfo(g).err);
		EXPECT_EQ(1, ginfo(g).failed);
		EXPECT_EQ(1, sig->same);
		EXPECT_EQ(0, sig->before);
		EXPECT_EQ(1, sig->after);
		EXPECT_EQ(by_signal, s->count);		/* stopped by the signal */
		close2(s->fd);
		close(g);
		reap(process);
		munmap(s, sizeof(*s));
		munmap(sig, sizeof(*sig));
	}
}

/* GW-06: a server, a context of 100 ms and a signal member; the time drives the shutdown */
TEST(a_contexts_time_shuts_the_server_down)
{
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0), first = -1, client;
	struct server *s = shared(sizeof(*s));
	struct signal_state *sig = shared(sizeof(*sig));
	struct shared_state *ctx = shared(sizeof(*ctx));
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct sigaction act = { .sa_handler = interrupted };
	socklen_t len = sizeof(at);
	int64_t time;
	char b;

	ASSERT_EQ(0, sigaction(SIGINT, &act, NULL));
	s->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, bind(s->sock, (void *)&at, sizeof(sa_family_t)));	/* a name of the kernel's choice */
	ASSERT_EQ(0, getsockname(s->sock, (void *)&at, &len));
	ASSERT_EQ(0, listen(s->sock, 4));
	ASSERT_EQ(0, chan_make(s->returned, 0, 0, 0));
	ASSERT_EQ(0, start(g, false, server, s, NULL, 0));
	ASSERT_EQ(0, start(g, false, signal_member, sig, NULL, 0));
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, connect(client, (void *)&at, len));
	ASSERT_EQ(1, read(client, &b, 1));	/* it serves */
	close(client);
	ASSERT_TRUE(asleep(&sig->tid));

	time = chan_after(100 * MS);
	ctx->fd[2] = chan_group(-1, time, 0, 0);
	ASSERT_EQ(0, start(g, false, context_member, ctx, NULL, 0));
	ASSERT_EQ(0, chan_wait(g, &first, -1, SOON));
	EXPECT_EQ(ETIMEDOUT, first);
	EXPECT_EQ(ETIMEDOUT, ginfo(g).err);
	EXPECT_EQ(1, ginfo(g).failed);		/* the server and the signal member were not */
	EXPECT_LE(time, s->shutdown_at);
	EXPECT_EQ(1, s->shutdowns);
	EXPECT_EQ(0, s->shutdown_ret);
	EXPECT_EQ(ESHUTDOWN, s->serve_ret);
	EXPECT_EQ(1, sig->same);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT_EQ(-1, connect(client, (void *)&at, len));
	EXPECT_EQ(ECONNREFUSED, errno);
	close(client);
	close(s->sock);
	close2(s->returned);
	close2((int[]){ ctx->fd[2], g });
}

TEST_HARNESS_MAIN
