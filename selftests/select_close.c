// SPDX-License-Identifier: MIT
/* A parked select holds channels, not descriptors: closing, sharing, forking, dying. */
#include <sys/resource.h>

#include "util.h"
#include "harness.h"

struct one { struct chan_case k[2]; int under, v, ret; };

static int run_one(void *arg)
{
	struct one *o = arg;

	o->ret = chan_select(o->k, 2, 0, o->under, SOON);
	return 0;
}

/* A child that shares this process's descriptors, with memory of its own. */
static bool share_start(struct party *p, int (*fn)(void *), void *arg)
{
	*p = (struct party){ .fn = fn, .arg = arg };
	p->pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (!p->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(fn(arg));
	}
	return p->pid > 0;
}

/* FD-03: the last close of an end ends the case at once, wherever it stands, and a
 * new file under the old number is not touched */
TEST(last_close_elsewhere_ends_a_parked_case_at_once)
{
	for (int form = 0; form < 8; form++) {
		bool send = form & 1, first = form & 2, process = form & 4;
		struct one *o = shared(sizeof(*o));
		int e[2], idle[2], p[2], v = 1, at = !first, old;
		struct party t;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
		o->under = -1;
		o->v = 7;
		o->k[!at] = chan_recv_case(idle[0], NULL, 0);
		o->k[at] = send ? chan_send_case(e[1], &o->v, 4) : chan_recv_case(e[0], &o->v, 4);
		ASSERT_TRUE(process ? share_start(&t, run_one, o) : party_start(&t, false, run_one, o));
		ASSERT_TRUE(parked(e[!send], send, !send));
		ASSERT_TRUE(parked(idle[0], 0, 1));
		EXPECT_EQ(1, (int)info_of(e[!send]).senders);
		EXPECT_EQ(1, (int)info_of(e[!send]).receivers);
		old = e[send];
		close(old);
		EXPECT_EQ(send ? 1 : 2, (int)info_of(e[!send]).shut);
		if (send) {
			EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		} else {
			EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		}
		ASSERT_EQ(0, pipe(p));
		EXPECT_TRUE(p[0] == old || p[1] == old);
		EXPECT_EQ(0, party_end(&t));
		EXPECT_EQ(at, o->ret);
		EXPECT_EQ(-EPIPE, o->k[at].msg.res);
		EXPECT_EQ(7, o->v);
		close2(p);
		close(e[!send]);
		close2(idle);
	}
}

TEST(last_close_of_the_sender_is_told_from_a_shut)
{
	struct one o = { .under = -1 };
	int e[2], idle[2];
	struct party t;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
	o.k[0] = chan_recv_case(e[0], &o.v, 4);
	o.k[1] = chan_recv_case(idle[0], &o.v, 4);
	ASSERT_TRUE(party_start(&t, false, run_one, &o));
	ASSERT_TRUE(parked(e[0], 0, 1));
	close(e[1]);
	party_end(&t);
	EXPECT_EQ(0, o.ret);
	EXPECT_EQ(-ECONNRESET, o.k[0].msg.res);
	EXPECT_EQ(EOWNERDEAD, (int)info_of(e[0]).send_err);
	close(e[0]);
	close2(idle);
}

/* the same for the group: its last owner's close ends it while selects run under it */
TEST(last_close_of_the_owner_ends_a_select_under_it)
{
	for (int form = 0; form < 4; form++) {
		bool empty = form & 1, process = form & 2;
		struct one *o = shared(sizeof(*o));
		struct chan_group_info gi;
		int e[2], w;
		struct party t;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		o->under = chan_group(-1, CHAN_FOREVER, 0, 0);
		w = chan_watch(o->under);
		o->k[0] = chan_recv_case(empty ? -1 : e[0], &o->v, 4);
		o->k[1] = chan_recv_case(-1, NULL, 0);
		ASSERT_TRUE(process ? share_start(&t, run_one, o) : party_start(&t, false, run_one, o));
		if (empty) {
			if (t.pid)
				t.tid = t.pid;
			ASSERT_TRUE(asleep(&t.tid));
		} else {
			ASSERT_TRUE(parked(e[0], 0, 1));
		}
		close(o->under);
		ASSERT_EQ(0, chan_group_info(w, &gi, sizeof(gi)));
		EXPECT_EQ(CHAN_ENDED, (int)gi.state);
		EXPECT_EQ(EOWNERDEAD, (int)gi.err);
		party_end(&t);
		EXPECT_EQ(-ECANCELED, o->ret);
		close(w);
		close2(e);
	}
}

/* a channel whose descriptors are all closed lives until the select has left it */
TEST(both_ends_may_close_under_a_parked_select)
{
	for (int i = 0; i < quick(200, 50); i++) {
		struct one o = { .under = -1, .v = 3 };
		struct party t;
		int e[2];

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		o.k[0] = chan_recv_case(e[0], &o.v, 4);
		o.k[1] = chan_send_case(e[1], &o.v, 4);
		ASSERT_TRUE(party_start(&t, false, run_one, &o));
		if (i & 1)
			ASSERT_TRUE(parked(e[0], 1, 1));
		close(e[i / 2 & 1]);
		close(e[!(i / 2 & 1)]);
		party_end(&t);
		if (o.ret == -EBADF)	/* closed before it looked at them */
			continue;
		ASSERT_TRUE(o.ret >= 0);
		ASSERT_TRUE(o.k[o.ret].msg.res == -EPIPE || o.k[o.ret].msg.res == -ECONNRESET);
		ASSERT_EQ(3, o.v);
	}
}

/* with no descriptor left to open the select still waits and works */
TEST(select_waits_with_no_descriptor_left)
{
	struct one o = { .under = -1 };
	struct rlimit lim, none;
	int e[2], idle[2], v = 21;
	struct party t;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
	o.k[0] = chan_recv_case(idle[0], NULL, 0);
	o.k[1] = chan_recv_case(e[0], &o.v, 4);
	getrlimit(RLIMIT_NOFILE, &lim);
	none = (struct rlimit){ 0, lim.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	ASSERT_TRUE(party_start(&t, false, run_one, &o));
	EXPECT_TRUE(parked(e[0], 0, 1));
	setrlimit(RLIMIT_NOFILE, &lim);
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, SOON));
	party_end(&t);
	EXPECT_EQ(1, o.ret);
	EXPECT_EQ(21, o.v);
	close2(e);
	close2(idle);
}

/* a child forked while another thread is parked changes nothing for that thread, and
 * its own selects work on what it inherited */
TEST(fork_while_a_select_is_parked)
{
	struct one *o = shared(sizeof(*o));
	int e[2], idle[2], back[2], v = 64, status;
	struct party t;
	pid_t pid;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
	ASSERT_EQ(0, chan_make(back, 4, 0, 0));
	o->under = -1;
	o->k[0] = chan_recv_case(e[0], &o->v, 4);
	o->k[1] = chan_recv_case(idle[0], NULL, 0);
	ASSERT_TRUE(party_start(&t, false, run_one, o));
	ASSERT_TRUE(parked(e[0], 0, 1) && parked(idle[0], 0, 1));
	pid = fork();
	if (!pid) {
		struct chan_case k[2] = {
			chan_recv_case(back[0], &v, 4), chan_recv_case(idle[0], NULL, 0),
		};

		_exit(!(chan_select(k, 2, 0, -1, SOON) == 0 && v == 65));
	}
	ASSERT_LT(0, pid);
	ASSERT_TRUE(parked(back[0], 0, 1) && parked(idle[0], 0, 2));
	v = 65;
	EXPECT_EQ(0, chan_send(back[1], &v, 4, -1, SOON));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_TRUE(parked(e[0], 0, 1) && parked(idle[0], 0, 1));
	EXPECT_EQ(0, (int)info_of(e[0]).shut);
	v = 64;
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, SOON));
	party_end(&t);
	EXPECT_EQ(0, o->ret);
	EXPECT_EQ(64, o->v);
	close2(e);
	close2(idle);
	close2(back);
}

/* the parent's last close is not the last while a child holds the end */
TEST(ends_that_a_child_holds_stay_open)
{
	struct one *o = shared(sizeof(*o));
	int e[2], v = 5;
	struct party t;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	o->under = -1;
	o->k[0] = chan_recv_case(e[0], &o->v, 4);
	o->k[1] = chan_recv_case(-1, NULL, 0);
	ASSERT_TRUE(party_start(&t, true, run_one, o));
	ASSERT_TRUE(parked(e[0], 0, 1));
	close(e[0]);
	EXPECT_EQ(0, (int)info_of(e[1]).shut);
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, SOON));
	EXPECT_EQ(0, party_end(&t));
	EXPECT_EQ(5, o->v);
	EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, SOON));
	close(e[1]);
}

/* PX-03, PX-04: who is killed while parked leaves no case behind and no value */
TEST(killed_selects_leave_nothing_behind)
{
	for (int i = 0; i < quick(100, 20); i++) {
		struct one *o = shared(sizeof(*o));
		int c[2], d[2], v = 2, got = -1;
		struct party x, r;

		ASSERT_EQ(0, chan_make(c, 4, 0, 0));
		ASSERT_EQ(0, chan_make(d, 4, 0, 0));
		o->under = -1;
		o->v = 3;
		o->k[0] = chan_send_case(c[1], &o->v, 4);
		o->k[1] = chan_recv_case(d[0], NULL, 0);
		ASSERT_TRUE(party_start(&x, true, run_one, o));
		ASSERT_TRUE(parked(c[0], 1, 0) && parked(d[0], 0, 1));
		ASSERT_TRUE(party_start(&r, true, run_one, o));
		ASSERT_TRUE(parked(c[0], 2, 0) && parked(d[0], 0, 2));
		kill(x.pid, SIGKILL);
		ASSERT_EQ(-SIGKILL, party_end(&x));
		ASSERT_EQ(1, (int)info_of(c[0]).parked_senders);
		ASSERT_EQ(1, (int)info_of(d[0]).parked_receivers);
		ASSERT_EQ(4, chan_recv(c[0], &got, 4, -1, CHAN_NOW));
		ASSERT_EQ(3, got);
		ASSERT_EQ(0, party_end(&r));
		ASSERT_EQ(-EAGAIN, chan_recv(c[0], &got, 4, -1, CHAN_NOW));
		ASSERT_EQ(-EAGAIN, chan_send(d[1], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(1, (int)info_of(c[0]).sent);
		close2(c);
		close2(d);
		munmap(o, sizeof(*o));
	}
}

TEST_HARNESS_MAIN
