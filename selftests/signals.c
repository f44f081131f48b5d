// SPDX-License-Identifier: MIT
/* Signals: EINTR or a restart, no drift, stopped and killed calls, and no lost transfer. */
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>

#include "util.h"
#include "harness.h"

static volatile int handled;

static void note(int sig)
{
	handled++;
}

static void handle(int sig, int flags)
{
	struct sigaction a = { .sa_handler = note, .sa_flags = flags };

	sigaction(sig, &a, NULL);
}

/* Every call that can wait, on a channel of capacity 1 or a group. */
enum { SEND, SEND_SHORT, RECV, RECV_SHORT, SELECT, SELECT_IDLE, READ, WRITE, JOIN, WAIT, SENDM, RECVM, CALLS };
static const char *const names[CALLS] = {
	"chan_send", "chan_send for ever", "chan_recv", "chan_recv for ever", "chan_select",
	"chan_select of nothing", "read", "write", "chan_join", "chan_wait", "chan_sendm", "chan_recvm",
};

struct call {
	int e[2], idle[2], g, member, what, val;
	int64_t deadline;
	long ret;
	bool done;
};

static bool is_send(int what)
{
	return what == SEND || what == SEND_SHORT || what == WRITE || what == SENDM;
}

static bool is_recv(int what)
{
	return what == RECV || what == RECV_SHORT || what == SELECT || what == READ || what == RECVM;
}

static bool has_deadline(int what)
{
	return what != SEND_SHORT && what != RECV_SHORT && what != READ && what != WRITE;
}

static long do_call(struct call *c)
{
	struct chan_msg m = { .buf = &c->val, .len = 4 };
	struct chan_case k[2];
	long r = -1;
	int first;

	switch (c->what) {
	case SEND:
		return chan_send(c->e[1], &c->val, 4, -1, c->deadline);
	case SEND_SHORT:
		return chan_send(c->e[1], &c->val, 4, -1, CHAN_FOREVER);
	case RECV:
		return chan_recv(c->e[0], &c->val, 4, -1, c->deadline);
	case RECV_SHORT:
		return chan_recv(c->e[0], &c->val, 4, -1, CHAN_FOREVER);
	case SENDM:
		return chan_sendm(c->e[1], &m, 1, -1, c->deadline);
	case RECVM:
		return chan_recvm(c->e[0], &m, 1, -1, c->deadline);
	case SELECT:
		k[0] = chan_recv_case(c->idle[0], NULL, 0);
		k[1] = chan_recv_case(c->e[0], &c->val, 4);
		r = chan_select(k, 2, 0, -1, c->deadline);
		return r == 1 ? k[1].msg.res : r;
	case SELECT_IDLE:
		return chan_select(NULL, 0, 0, c->g, c->deadline);
	case READ:
		r = read(c->e[0], &c->val, 4);
		return r < 0 ? -errno : r;
	case WRITE:
		r = write(c->e[1], &c->val, 4);
		return r < 0 ? -errno : r;
	case JOIN:
		return chan_join(c->g, -1, c->deadline);
	case WAIT:
		return chan_wait(c->g, &first, -1, c->deadline);
	}
	return r;
}

static int run_call(void *arg)
{
	struct call *c = arg;

	c->ret = do_call(c);
	__atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
	return 0;
}

static bool make_call(struct call *c, int what)
{
	int v = 1;

	*c = (struct call){ .what = what, .val = 2, .deadline = chan_after(20000 * MS), .ret = -1 };
	if (chan_make(c->e, 4, 1, 0) || chan_make(c->idle, 4, 0, 0))
		return false;
	if (is_send(what) && chan_send(c->e[1], &v, 4, -1, CHAN_NOW))
		return false;
	c->g = chan_group(-1, CHAN_FOREVER, 0, 1);
	c->member = what == JOIN || what == WAIT ? chan_join(c->g, -1, CHAN_NOW) : -1;
	return c->g >= 0;
}

/* Let what waits go on as it should, and see that it did. */
static bool finish_call(struct call *c, struct party *p)
{
	int v = 2, got = -1;

	if (is_send(c->what)) {
		if (chan_recv(c->e[0], &got, 4, -1, SOON) != 4 || got != 1)
			return false;
	} else if (is_recv(c->what)) {
		if (chan_send(c->e[1], &v, 4, -1, SOON))
			return false;
	} else if (c->what == SELECT_IDLE) {
		chan_cancel(c->g, 0, NULL);
	} else {
		chan_leave(c->member, 0, NULL);
	}
	party_end(p);
	switch (c->what) {
	case SENDM:
	case RECVM:
		return c->ret == 1;
	case SELECT_IDLE:
		return c->ret == -ECANCELED;
	case JOIN:
		return c->ret >= 0;
	case WAIT:
		return c->ret == 0;
	}
	return c->ret == (c->what == SEND || c->what == SEND_SHORT ? 0 : 4) && c->val == 2;
}

static bool is_parked(struct call *c, struct party *p)
{
	if (is_send(c->what))
		return parked(c->e[0], 1, 0);
	return is_recv(c->what) ? parked(c->e[0], 0, 1) : asleep(&p->tid);
}

static void drop_call(struct call *c)
{
	close2(c->e);
	close2(c->idle);
	if (c->member >= 0)
		close(c->member);
	close(c->g);
	if (c->what == JOIN && c->ret >= 0)
		close(c->ret);
}

static bool until(volatile int *what, int least)
{
	for (int i = 0; i < PATIENCE && *what < least; i++)
		usleep(1000);
	return *what >= least;
}

/* PX-05: without SA_RESTART: EINTR, nothing has happened, the peer finds all as it was */
TEST(a_handler_without_restart_ends_the_call_with_nothing_moved)
{
	handle(SIGUSR1, 0);
	for (int what = 0; what < CALLS; what++) {
		struct call c;
		struct party p;
		struct chan_info in;

		ASSERT_TRUE(make_call(&c, what));
		ASSERT_TRUE(party_start(&p, false, run_call, &c));
		ASSERT_TRUE(is_parked(&c, &p));
		pthread_kill(p.t, SIGUSR1);
		party_end(&p);
		EXPECT_EQ(-EINTR, c.ret) {
			TH_LOG("%s", names[what]);
		}
		EXPECT_EQ(2, c.val);
		in = info_of(c.e[0]);
		EXPECT_EQ(0, (int)(in.parked_senders + in.parked_receivers));
		EXPECT_EQ(is_send(what), (int)in.sent);
		EXPECT_EQ(is_send(what), (int)in.len);
		EXPECT_EQ(0, (int)in.received);
		drop_call(&c);
	}
}

/* PX-05: with SA_RESTART: the call goes on and ends as if there had been no signal */
TEST(a_handler_with_restart_is_not_noticed)
{
	handle(SIGUSR1, SA_RESTART);
	for (int what = 0; what < CALLS; what++) {
		struct call c;
		struct party p;

		ASSERT_TRUE(make_call(&c, what));
		ASSERT_TRUE(party_start(&p, false, run_call, &c));
		ASSERT_TRUE(is_parked(&c, &p));
		for (int i = 0; i < 5; i++) {
			handled = 0;
			pthread_kill(p.t, SIGUSR1);
			ASSERT_TRUE(until(&handled, 1));
			ASSERT_TRUE(is_parked(&c, &p));
		}
		EXPECT_TRUE(finish_call(&c, &p)) {
			TH_LOG("%s: %ld", names[what], c.ret);
		}
		drop_call(&c);
	}
}

/* PX-06: absolute deadlines do not drift, though the call is restarted all the time */
TEST(a_storm_of_signals_moves_no_deadline)
{
	int64_t ns = 300 * MS;

	handle(SIGUSR1, SA_RESTART);
	for (int what = 0, tries = 0; what < CALLS; what++) {
		int64_t end, late;
		struct call c;
		struct party p;

		if (!has_deadline(what))
			continue;
		handled = 0;
		ASSERT_TRUE(make_call(&c, what));
		end = c.deadline = chan_after(ns);
		late = end + 15000 * MS;
		ASSERT_TRUE(party_start(&p, false, run_call, &c));
		/* one that began its time anew would not end before the storm does */
		while (!__atomic_load_n(&c.done, __ATOMIC_ACQUIRE) && chan_after(0) < late) {
			pthread_kill(p.t, SIGUSR1);
			usleep(2000);
		}
		EXPECT_GT(late, chan_after(0));
		party_end(&p);
		EXPECT_EQ(-ETIMEDOUT, c.ret) {
			TH_LOG("%s", names[what]);
		}
		EXPECT_LE(end, chan_after(0));
		drop_call(&c);
		if (handled <= 3) {	/* no storm, where the host is busy */
			ASSERT_GT(5, tries++);
			what--;
			ns *= 2;
		}
	}
}

/* PX-06: SIGSTOP and SIGCONT are not seen; time goes on while stopped */
static bool stopped(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
}

TEST(stop_and_continue_are_not_noticed)
{
	for (int what = 0; what < CALLS; what++) {
		struct call *c = shared(sizeof(*c));
		struct party p;

		if (what == JOIN)	/* its result is a descriptor of the child's */
			continue;
		ASSERT_TRUE(make_call(c, what));
		ASSERT_TRUE(party_start(&p, true, run_call, c));
		ASSERT_TRUE(is_parked(c, &p));
		for (int i = 0; i < 3; i++) {
			kill(p.pid, SIGSTOP);
			ASSERT_TRUE(stopped(p.pid));
			kill(p.pid, SIGCONT);
			ASSERT_TRUE(is_parked(c, &p));
		}
		EXPECT_TRUE(finish_call(c, &p)) {
			TH_LOG("%s: %ld", names[what], c->ret);
		}
		drop_call(c);
	}
}

TEST(deadline_passes_while_stopped)
{
	struct call *c = shared(sizeof(*c));
	struct party p;

	ASSERT_TRUE(make_call(c, RECV));
	c->deadline = chan_after(1500 * MS);
	ASSERT_TRUE(party_start(&p, true, run_call, c));
	ASSERT_TRUE(is_parked(c, &p));
	kill(p.pid, SIGSTOP);
	ASSERT_TRUE(stopped(p.pid));
	while (chan_after(0) < c->deadline)
		usleep(10000);
	kill(p.pid, SIGCONT);
	EXPECT_EQ(0, party_end(&p));
	EXPECT_EQ(-ETIMEDOUT, c->ret);
	drop_call(c);
}

/* A tracer that seizes and interrupts a parked call, and lets it go, changes nothing */
TEST(a_tracer_is_not_noticed)
{
	for (int what = 0; what < CALLS; what++) {
		struct call *c = shared(sizeof(*c));
		struct party p;
		int status;

		if (what == JOIN)
			continue;
		ASSERT_TRUE(make_call(c, what));
		ASSERT_TRUE(party_start(&p, true, run_call, c));
		ASSERT_TRUE(is_parked(c, &p));
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, p.pid, 0, 0));
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, p.pid, 0, 0));
			ASSERT_EQ(p.pid, waitpid(p.pid, &status, 0));
			ASSERT_TRUE(WIFSTOPPED(status));
			ASSERT_EQ(0, ptrace(i == 2 ? PTRACE_DETACH : PTRACE_CONT, p.pid, 0, 0));
			ASSERT_TRUE(is_parked(c, &p));
		}
		EXPECT_TRUE(finish_call(c, &p)) {
			TH_LOG("%s: %ld", names[what], c->ret);
		}
		drop_call(c);
	}
}

/* Every parked call can be killed, and leaves nothing behind */
TEST(every_parked_call_can_be_killed)
{
	for (int what = 0; what < CALLS; what++) {
		struct call *c = shared(sizeof(*c));
		struct party p;

		ASSERT_TRUE(make_call(c, what));
		ASSERT_TRUE(party_start(&p, true, run_call, c));
		ASSERT_TRUE(is_parked(c, &p));
		kill(p.pid, SIGKILL);
		EXPECT_EQ(-SIGKILL, party_end(&p));
		EXPECT_TRUE(parked(c->e[0], 0, 0) && parked(c->idle[0], 0, 0));
		EXPECT_EQ(is_send(what), (int)info_of(c->e[0]).sent);
		drop_call(c);
	}
}

/* A frozen task is not noticed either; where the machine has no freezer this is not told */
static bool put(const char *dir, const char *name, const char *text)
{
	char path[100];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* Wait until the file holds @text. */
static bool shows(const char *dir, const char *name, const char *text)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (int i = 0; i < PATIENCE; i++, usleep(1000)) {
		char got[200] = "";
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, got, sizeof(got) - 1);

		close(fd);
		if (n > 0 && strstr(got, text))
			return true;
	}
	return false;
}

TEST(a_freezer_is_not_noticed)
{
	const char *root = "/tmp/kchan-cgroup", *dir = "/tmp/kchan-cgroup/frozen";
	char pid[20];

	mkdir(root, 0700);
	if (mount("none", root, "cgroup2", 0, NULL))
		SKIP(return, "no cgroup v2: %s", strerror(errno));
	if (mkdir(dir, 0700) || access("/tmp/kchan-cgroup/frozen/cgroup.freeze", W_OK)) {
		umount(root);
		SKIP(return, "no freezer: %s", strerror(errno));
	}
	for (int what = 0; what < CALLS; what++) {
		struct call *c = shared(sizeof(*c));
		struct party p;

		if (what == JOIN)
			continue;
		ASSERT_TRUE(make_call(c, what));
		ASSERT_TRUE(party_start(&p, true, run_call, c));
		ASSERT_TRUE(is_parked(c, &p));
		snprintf(pid, sizeof(pid), "%d", p.pid);
		ASSERT_TRUE(put(dir, "cgroup.procs", pid));
		for (int i = 0; i < 2; i++) {
			ASSERT_TRUE(put(dir, "cgroup.freeze", "1"));
			ASSERT_TRUE(shows(dir, "cgroup.events", "frozen 1"));
			ASSERT_TRUE(put(dir, "cgroup.freeze", "0"));
			ASSERT_TRUE(shows(dir, "cgroup.events", "frozen 0"));
			ASSERT_TRUE(is_parked(c, &p));
		}
		EXPECT_TRUE(finish_call(c, &p)) {
			TH_LOG("%s: %ld", names[what], c->ret);
		}
		drop_call(c);
	}
	rmdir(dir);
	umount(root);
	rmdir(root);
}

/*
 * The freezer that works as a suspend does: it leaves asleep who sleeps so that it may.
 * One that was woken for it would have to queue anew, behind the other.
 */
TEST(a_suspend_leaves_the_order_of_those_who_wait)
{
	const char *root = "/tmp/kchan-freezer", *dir = "/tmp/kchan-freezer/first";
	char pid[20];

	mkdir(root, 0700);
	if (mount("none", root, "cgroup", 0, "freezer"))
		SKIP(return, "no freezer of cgroup v1: %s", strerror(errno));
	ASSERT_EQ(0, mkdir(dir, 0700));
	for (int meanwhile = 0; meanwhile < 2; meanwhile++) {
		struct op *o = shared(2 * sizeof(*o));
		struct party p[2];
		int e[2], v = 7;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		for (int i = 0; i < 2; i++) {
			o[i] = (struct op){ .fd = e[0] };
			ASSERT_TRUE(party_start(&p[i], true, party_recv, &o[i]));
			ASSERT_TRUE(parked(e[0], 0, i + 1));
		}
		snprintf(pid, sizeof(pid), "%d", p[0].pid);
		ASSERT_TRUE(put(dir, "tasks", pid));
		ASSERT_TRUE(put(dir, "freezer.state", "FROZEN"));
		ASSERT_TRUE(shows(dir, "freezer.state", "FROZEN\n"));
		if (meanwhile)	/* it gets it once it can run */
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		ASSERT_TRUE(put(dir, "freezer.state", "THAWED"));
		ASSERT_TRUE(shows(dir, "freezer.state", "THAWED\n"));
		usleep(20000);
		if (!meanwhile) {
			EXPECT_TRUE(parked(e[0], 0, 2));
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		}
		EXPECT_EQ(0, party_end(&p[0]));
		EXPECT_EQ(4, o[0].ret);
		EXPECT_EQ(7, o[0].val);
		ASSERT_EQ(0, chan_shut(e[1], 0));
		EXPECT_EQ(0, party_end(&p[1]));
		EXPECT_EQ(-EPIPE, o[1].ret);
		close2(e);
	}
	rmdir(dir);
	umount(root);
	rmdir(root);
}

/*
 * PX-05, CH-11: a signal races with the peer. A transfer that happened is told as a
 * success, EINTR says that none did: what both sides count is the same.
 */
struct race { int e[2], mode; long done, sum, interrupted; int stop; };

static int racer(void *arg)
{
	struct race *r = arg;

	for (int v = 1; !__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE);) {
		int got = v, ret;

		if (r->mode == 2) {
			struct chan_case k[2] = {
				chan_recv_case(r->e[0], &got, 4), chan_recv_case(-1, NULL, 0),
			};

			ret = chan_select(k, 2, 0, -1, SOON);
			ret = ret == 0 ? k[0].msg.res : ret;
		} else {
			ret = r->mode ? chan_recv(r->e[0], &got, 4, -1, SOON) :
					chan_send(r->e[1], &v, 4, -1, SOON);
		}
		if (ret == -EINTR) {
			r->interrupted++;
			continue;
		}
		if (ret == -EPIPE)
			return 0;
		if (ret != (r->mode ? 4 : 0))
			return 1;
		r->done++;
		r->sum += r->mode ? got : v++;
	}
	return 0;
}

TEST(signal_against_transfer_is_counted_right)
{
	long interrupted = 0;

	handle(SIGUSR1, 0);
	for (int form = 0; form < 6; form++) {
		struct race *r = shared(sizeof(*r));
		int n = quick(4000, 1000), v;
		long sum = 0, done = 0;
		struct party p;
		struct chan_info in;

		r->mode = form % 3;
		ASSERT_EQ(0, chan_make(r->e, 4, form == 1 ? 1 : 0, 0));
		ASSERT_TRUE(party_start(&p, form >= 3, racer, r));
		for (int i = 1; i <= n; i++) {
			int ret;

			if (p.pid)
				kill(p.pid, SIGUSR1);
			else
				pthread_kill(p.t, SIGUSR1);
			if (r->mode) {
				ret = chan_send(r->e[1], &i, 4, -1, SOON);
				ASSERT_EQ(0, ret);
				sum += i;
			} else {
				ASSERT_EQ(4, chan_recv(r->e[0], &v, 4, -1, SOON));
				ASSERT_EQ(i, v);	/* none twice, none missing */
				sum += v;
			}
			done++;
		}
		/* the racer receives what is buffered, then sees the end */
		ASSERT_EQ(0, chan_shut(r->e[r->mode ? 1 : 0], 0));
		ASSERT_EQ(0, party_end(&p));
		in = info_of(r->e[0]);
		EXPECT_EQ(done, r->done);
		EXPECT_EQ(sum, r->sum);
		EXPECT_EQ(done, in.sent);
		EXPECT_EQ(done, in.received);
		interrupted += r->interrupted;
		close2(r->e);
	}
	EXPECT_LT(0, interrupted);	/* or it was no race at all */
}

/* A mask that blocks the signal keeps the call undisturbed; it is delivered after */
TEST(blocked_signal_waits_for_the_call)
{
	struct call c;
	struct party p;
	sigset_t set, old;

	handle(SIGUSR1, 0);
	handled = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_TRUE(make_call(&c, RECV));
	pthread_sigmask(SIG_BLOCK, &set, &old);
	ASSERT_TRUE(party_start(&p, false, run_call, &c));
	ASSERT_TRUE(is_parked(&c, &p));
	pthread_kill(p.t, SIGUSR1);
	EXPECT_TRUE(parked(c.e[0], 0, 1));
	EXPECT_TRUE(finish_call(&c, &p));
	EXPECT_EQ(0, handled);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	drop_call(&c);
}

/* FD-01, CL-04: no SIGPIPE, also with the default disposition */
TEST(nobody_is_killed_by_sigpipe)
{
	struct chan_msg m = { .buf = "abc", .len = 3 };
	struct chan_case k;
	int e[2];

	signal(SIGPIPE, SIG_DFL);
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	close(e[0]);
	k = chan_send_case(e[1], "abc", 3);
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(-EPIPE, chan_send(e[1], "abc", 3, -1, CHAN_FOREVER));
		EXPECT_EQ(0, chan_select(&k, 1, 0, -1, CHAN_NOW));
		EXPECT_EQ(-EPIPE, k.msg.res);
		EXPECT_EQ(-EPIPE, chan_sendm(e[1], &m, 1, -1, CHAN_NOW));
		EXPECT_EQ(-1, write(e[1], "abc", 3));
		EXPECT_EQ(EPIPE, errno);
	}
	close(e[1]);
}

TEST_HARNESS_MAIN
