// SPDX-License-Identifier: MIT
/* Calls that run under a group: each kind of call, each kind of end, races. */
#include <sched.h>

#include "group_util.h"
#include "harness.h"

/* ---- the calls that wait ---- */

enum kind {
	SEND, SEND_FULL, RECV, SENDM, RECVM, SELECT_SEND, SELECT_RECV, SELECT_POLL, SELECT_NONE,
	JOIN, WAIT, KINDS
};

/* A call that waits, and what it waits for. */
struct call {
	enum kind kind;
	int e[2], g, member;		/* a channel; a full group with its one member */
	int under, drop;		/* @drop: closed first, a copy that a fork made */
	int64_t deadline;
	int v, first;
	long ret;
};

static bool call_make(struct call *c, enum kind kind)
{
	int one = 1;

	*c = (struct call){ .kind = kind, .drop = -1, .deadline = SOON, .v = 77, .first = 77 };
	if (chan_make(c->e, sizeof(int), kind == SEND_FULL, 0))
		return false;
	if (kind == SEND_FULL && chan_send(c->e[1], &one, sizeof(one), -1, CHAN_NOW))
		return false;
	c->g = chan_group(-1, CHAN_FOREVER, 0, 1);
	c->member = chan_join(c->g, -1, CHAN_NOW);
	return c->member >= 0;
}

static void call_free(struct call *c)
{
	close2(c->e);
	close2((int[]){ c->member, c->g });
}

static int call_run(void *arg)
{
	struct call *c = arg;
	struct chan_msg m = { .buf = &c->v, .len = sizeof(c->v) };
	struct chan_case s = { .fd = -1 };

	if (c->drop >= 0)
		close(c->drop);
	switch (c->kind) {
	case SEND:
	case SEND_FULL:
		c->ret = chan_send(c->e[1], &c->v, sizeof(c->v), c->under, c->deadline);
		break;
	case RECV:
		c->ret = chan_recv(c->e[0], &c->v, sizeof(c->v), c->under, c->deadline);
		break;
	case SENDM:
		c->ret = chan_sendm(c->e[1], &m, 1, c->under, c->deadline);
		break;
	case RECVM:
		c->ret = chan_recvm(c->e[0], &m, 1, c->under, c->deadline);
		break;
	case SELECT_SEND:
		s = chan_send_case(c->e[1], &c->v, sizeof(c->v));
		c->ret = chan_select(&s, 1, 0, c->under, c->deadline);
		break;
	case SELECT_RECV:
		s = chan_recv_case(c->e[0], &c->v, sizeof(c->v));
		c->ret = chan_select(&s, 1, 0, c->under, c->deadline);
		break;
	case SELECT_POLL:
		s = (struct chan_case){ .fd = c->e[0], .op = CHAN_POLL, .events = POLLIN };
		c->ret = chan_select(&s, 1, 0, c->under, c->deadline);
		break;
	case SELECT_NONE:
		c->ret = chan_select(NULL, 0, 0, c->under, c->deadline);
		break;
	case JOIN:
		c->ret = chan_join(c->g, c->under, c->deadline);
		break;
	default:
		c->ret = chan_wait(c->g, &c->first, c->under, c->deadline);
	}
	return 0;
}

/* It did nothing: no message, no member, no buffer and no waiter is another. */
static bool untouched(struct call *c)
{
	struct chan_info i = info_of(c->e[0]);
	unsigned full = c->kind == SEND_FULL;

	return i.sent == full && i.len == full && !i.received && !i.dropped && !i.shut &&
	       !i.parked_senders && !i.parked_receivers && c->v == 77 && c->first == 77 &&
	       ginfo(c->g).members == 1 && ginfo(c->g).children == 1 &&
	       ginfo(c->g).state == CHAN_LIVE;
}

/* What it waited for comes now: it would be done by whoever calls next. */
static bool still_works(struct call *c)
{
	int v = 5, got = 0;

	if (c->kind == SEND_FULL && chan_recv(c->e[0], &got, sizeof(got), -1, CHAN_NOW) != 4)
		return false;
	if (chan_send(c->e[1], &v, 4, -1, CHAN_NOW) != (c->kind == SEND_FULL ? 0 : -EAGAIN))
		return false;
	if (chan_leave(c->member, 0, NULL) || chan_wait(c->g, NULL, -1, CHAN_NOW))
		return false;
	v = chan_join(c->g, -1, CHAN_NOW);
	close(v);
	return v >= 0;
}

/* ---- each kind of end ---- */

enum how { CANCEL, CANCEL_TIME, DEADLINE, PARENT, PARENT_DEADLINE, CLOSE, CLOSE_UNDER, KILL, HOWS };

struct under { int parent, owner, watch; pid_t killed; };

/* A group to run under, its owner where it has to be for the end that is to come. */
static void under_make(struct under *u, enum how how)
{
	int64_t at = chan_after(60 * MS);

	*u = (struct under){ .killed = 0 };
	u->parent = chan_group(-1, how == PARENT_DEADLINE ? at : CHAN_FOREVER, 0, 0);
	u->owner = chan_group(u->parent, how == DEADLINE ? at : CHAN_FOREVER, 0, 0);
	u->watch = chan_watch(u->owner);
	if (how == KILL) {
		u->killed = fork();
		if (!u->killed) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		close(u->owner);
		u->owner = -1;
	}
}

static void end_it(struct under *u, enum how how)
{
	switch (how) {
	case CANCEL:		chan_cancel(u->owner, EIO, "x"); break;
	case CANCEL_TIME:	chan_cancel(u->owner, ETIMEDOUT, "x"); break;
	case PARENT:		chan_cancel(u->parent, EIO, "x"); break;
	case CLOSE:
	case CLOSE_UNDER:
		close(u->owner);
		u->owner = -1;
		break;
	case KILL:		kill(u->killed, SIGKILL); break;
	default:		break;
	}
}

static void under_free(struct under *u)
{
	if (u->killed)
		waitpid(u->killed, NULL, 0);
	close(u->owner);
	close2((int[]){ u->watch, u->parent });
}

/* Every call that waits, on a thread and in a process. */
static void end_each(struct __test_metadata *_metadata, enum how how)
{
	bool timed = how == DEADLINE || how == PARENT_DEADLINE;

	for (int i = 0; i < KINDS * 2; i++) {
		enum kind kind = i / 2;
		bool process = i % 2;
		struct call *c = shared(sizeof(*c));
		struct under u;
		struct party p;
		int64_t t0;

		if (how == CLOSE_UNDER && process)
			continue;
		under_make(&u, how);
		ASSERT_TRUE(call_make(c, kind));
		/* the call holds the group, not the descriptor that it was given */
		c->under = how == CLOSE_UNDER ? u.owner : u.watch;
		if (how == CLOSE && process)
			c->drop = u.owner;
		ASSERT_TRUE(party_start(&p, process, call_run, c));
		ASSERT_TRUE(timed || asleep(&p.tid));
		end_it(&u, how);
		t0 = chan_after(0);
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(timed ? -ETIMEDOUT : -ECANCELED, c->ret) {
			TH_LOG("call %d, end %d, process %d", kind, how, process);
		}
		EXPECT_GT(15000 * MS, chan_after(0) - t0);
		EXPECT_TRUE(untouched(c));
		EXPECT_TRUE(still_works(c));
		/* and one that comes late is ended at once, though it could be done */
		EXPECT_EQ(timed ? -ETIMEDOUT : -ECANCELED, chan_wait(c->g, NULL, u.watch, SOON));
		call_free(c);
		under_free(&u);
		munmap(c, sizeof(*c));
	}
}

TEST(a_cancel_ends_every_call)			{ end_each(_metadata, CANCEL); }
TEST(a_cancel_that_says_etimedout_is_a_cancel)	{ end_each(_metadata, CANCEL_TIME); }
TEST(a_deadline_ends_every_call)		{ end_each(_metadata, DEADLINE); }
TEST(a_parents_end_ends_every_call)		{ end_each(_metadata, PARENT); }
TEST(a_parents_deadline_ends_every_call)	{ end_each(_metadata, PARENT_DEADLINE); }
TEST(the_last_owners_close_ends_every_call)	{ end_each(_metadata, CLOSE); }
TEST(closing_under_itself_ends_every_call)	{ end_each(_metadata, CLOSE_UNDER); }
TEST(a_kill_of_the_last_owner_ends_every_call)	{ end_each(_metadata, KILL); }

/* The call's own deadline, with a group that lives on. */
TEST(the_calls_own_deadline_is_not_the_groups)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct call c;
		int g = chan_group(-1, HOUR, 0, 0);
		int64_t at;

		ASSERT_TRUE(call_make(&c, kind));
		c.under = g;
		c.deadline = CHAN_NOW;
		call_run(&c);
		EXPECT_EQ(-EAGAIN, c.ret);
		c.deadline = -5;
		call_run(&c);
		EXPECT_EQ(-ETIMEDOUT, c.ret);
		c.deadline = at = chan_after(3 * MS);
		call_run(&c);
		EXPECT_EQ(-ETIMEDOUT, c.ret);
		EXPECT_LE(at, chan_after(0));
		EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
		EXPECT_TRUE(untouched(&c));
		call_free(&c);
		close(g);
	}
}

/* A group's deadline ends a call in time, and the group is seen to have ended after it. */
TEST(a_call_that_its_groups_deadline_ended_finds_it_ended)
{
	for (int i = 0, n = quick(110, 22); i < n; i++) {
		int64_t at = chan_after(MS);
		int g = chan_group(-1, at, 0, 0), c = below(g);
		struct call k;

		ASSERT_TRUE(call_make(&k, i % KINDS));
		k.under = i % 3 ? c : g;
		call_run(&k);
		ASSERT_EQ(-ETIMEDOUT, k.ret);
		ASSERT_LE(at, chan_after(0));
		ASSERT_EQ(POLLIN | POLLOUT, events(c));
		ASSERT_EQ(ETIMEDOUT, ginfo(c).err);
		ASSERT_TRUE(untouched(&k));
		call_free(&k);
		close2((int[]){ g, c });
	}
}

/* What is waited on, and what it runs under, may be the same group. */
TEST(a_call_on_a_group_may_run_under_it)
{
	struct call c;
	struct party p;

	for (int kind = JOIN; kind <= WAIT; kind++) {
		ASSERT_TRUE(call_make(&c, kind));
		c.under = c.g;
		ASSERT_TRUE(party_start(&p, false, call_run, &c));
		ASSERT_TRUE(asleep(&p.tid));
		ASSERT_EQ(0, chan_cancel(c.g, 77, NULL));
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(-ECANCELED, c.ret);
		EXPECT_EQ(1, ginfo(c.g).members);
		call_free(&c);
	}
	/* a worker waits under its own member */
	ASSERT_TRUE(call_make(&c, RECV));
	c.under = c.member;
	ASSERT_TRUE(party_start(&p, false, call_run, &c));
	ASSERT_TRUE(asleep(&p.tid));
	ASSERT_EQ(0, chan_cancel(c.g, 0, NULL));
	ASSERT_EQ(0, party_end(&p));
	EXPECT_EQ(-ECANCELED, c.ret);
	EXPECT_EQ(0, chan_leave(c.member, 0, NULL));
	call_free(&c);
}

/* ---- which error, when several could be ---- */

TEST(an_ended_group_comes_before_all_else_but_the_calls_own_faults)
{
	int g[2] = { root(), chan_group(-1, -1, 0, 0) }, e[2], v = 7, in = 0, p[2];
	struct chan_msg m = { .buf = &v, .len = 4 };
	char big[8] = "";

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, chan_cancel(g[0], EIO, NULL));
	for (int i = 0; i < 2; i++) {
		int want = i ? -ETIMEDOUT : -ECANCELED;
		int64_t when[] = { CHAN_NOW, -1, CHAN_FOREVER };

		ASSERT_EQ(0, chan_make(e, 4, 2, 0));
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		for (int k = 0; k < 3; k++) {
			struct chan_case s[2] = {
				chan_send_case(e[1], &v, 4), chan_recv_case(e[0], &in, 4),
			};

			/* they could all be done */
			EXPECT_EQ(want, chan_send(e[1], &v, 4, g[i], when[k]));
			EXPECT_EQ(want, chan_sendm(e[1], &m, 1, g[i], when[k]));
			EXPECT_EQ(want, chan_recv(e[0], &in, 4, g[i], when[k]));
			EXPECT_EQ(want, chan_recvm(e[0], &m, 1, g[i], when[k]));
			EXPECT_EQ(want, chan_select(s, 2, 0, g[i], when[k]));
			EXPECT_EQ(want, chan_select(s, 0, 0, g[i], when[k]));
			/* their own faults first */
			EXPECT_EQ(-EBADF, chan_send(e[0], &v, 4, g[i], when[k]));
			EXPECT_EQ(-ENOTTY, chan_send(p[1], &v, 4, g[i], when[k]));
			EXPECT_EQ(-EFAULT, chan_send(e[1], (void *)8, 4, g[i], when[k]));
			EXPECT_EQ(-EMSGSIZE, chan_send(e[1], big, 8, g[i], when[k]));
			EXPECT_EQ(-EBADF, chan_recv(e[1], &in, 4, g[i], when[k]));
			s[0].fd = p[1];
			EXPECT_EQ(-ENOTTY, chan_select(s, 2, 0, g[i], when[k]));
			EXPECT_EQ(-EINVAL, chan_select(s, 2, 1U << 31, g[i], when[k]));
		}
		EXPECT_EQ(0, in);
		EXPECT_EQ(1, info_of(e[0]).sent);
		EXPECT_EQ(1, info_of(e[0]).len);
		/* shut, and drained */
		ASSERT_EQ(0, chan_shut(e[1], 0));
		EXPECT_EQ(want, chan_send(e[1], &v, 4, g[i], CHAN_NOW));
		EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(4, chan_recv(e[0], &in, 4, -1, CHAN_NOW));
		EXPECT_EQ(want, chan_recv(e[0], &in, 4, g[i], CHAN_NOW));
		EXPECT_EQ(-EPIPE, chan_recv(e[0], &in, 4, -1, CHAN_NOW));
		EXPECT_EQ(-EPIPE, chan_recv(e[0], &in, 4, -1, -1));
		close2(e);
		in = 0;
	}
	close2(g);
	close2(p);
}

TEST(ready_comes_before_the_time_that_is_up)
{
	int e[2], v = 7, g = chan_group(-1, CHAN_FOREVER, 0, 1), m, live = root();
	int64_t late[] = { -1, 1, INT64_MIN, chan_after(-MS) };

	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		EXPECT_EQ(0, chan_send(e[1], &v, 4, live, late[i]));
		EXPECT_EQ(-ETIMEDOUT, chan_send(e[1], &v, 4, live, late[i]));
		EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, live, CHAN_NOW));
		EXPECT_EQ(4, chan_recv(e[0], &v, 4, live, late[i]));
		EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, live, late[i]));
		EXPECT_EQ(0, chan_wait(g, NULL, live, late[i]));
		m = chan_join(g, live, late[i]);
		EXPECT_LE(0, m);
		EXPECT_EQ(-ETIMEDOUT, chan_join(g, live, late[i]));
		EXPECT_EQ(-ETIMEDOUT, chan_wait(g, NULL, live, late[i]));
		close(m);
		/* shut before anything that could be done: sends; after it: receives */
		ASSERT_EQ(0, chan_send(e[1], &v, 4, live, late[i]));
		ASSERT_EQ(0, chan_shut(e[1], EIO));
		EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, live, late[i]));
		EXPECT_EQ(4, chan_recv(e[0], &v, 4, live, late[i]));
		EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, live, late[i]));
		close2(e);
	}
	close2((int[]){ g, live });
}

TEST(the_ended_under_comes_before_the_ended_group)
{
	int g = root(), u = root(), files, first = 77;

	ASSERT_EQ(0, chan_cancel(u, 0, NULL));
	files = lowest_free();
	/* a place is free, and nobody to wait for */
	EXPECT_EQ(-ECANCELED, chan_join(g, u, CHAN_NOW));
	EXPECT_EQ(-ECANCELED, chan_wait(g, &first, u, CHAN_NOW));
	EXPECT_EQ(0, ginfo(g).members);
	ASSERT_EQ(0, chan_cancel(g, 5, NULL));
	EXPECT_EQ(-ECANCELED, chan_join(g, u, CHAN_FOREVER));
	EXPECT_EQ(-5, chan_join(g, -1, CHAN_NOW));
	EXPECT_EQ(-5, chan_join(g, -1, -1));
	EXPECT_EQ(77, first);
	EXPECT_EQ(files, lowest_free());
	close2((int[]){ g, u });
}

/* ---- the end beside what the call waits for ---- */

struct race {
	pthread_barrier_t at;
	struct call c;
	int rounds, over, g[1024];
	unsigned seed;
};

static void linger(unsigned *seed)
{
	for (volatile int i = rand_r(seed) % 4000; i > 0; i--)
		;
}

static int race_call(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < r->rounds; i++) {
		pthread_barrier_wait(&r->at);
		call_run(&r->c);
		__atomic_store_n(&r->over, 1, __ATOMIC_RELEASE);
		pthread_barrier_wait(&r->at);
	}
	return 0;
}

static int race_end(void *arg)
{
	struct race *r = arg;
	unsigned seed = r->seed + 1;

	for (int i = 0; i < r->rounds; i++) {
		pthread_barrier_wait(&r->at);
		linger(&seed);
		if (r->g[0] < 0)
			chan_cancel(r->c.under, 0, NULL);
		else
			chan_cancel(r->g[i], 0, NULL);
		pthread_barrier_wait(&r->at);
	}
	return 0;
}

/* One side of what the call waits for, without waiting: was it done? */
static bool meet(struct call *c, int i)
{
	int v = i, r;

	switch (c->kind) {
	case SEND:
	case SENDM:
	case SELECT_SEND:
		r = chan_recv(c->e[0], &v, 4, -1, CHAN_NOW);
		return r == 4 && v == i;
	case JOIN:
		close(c->member);
		c->member = -1;
		return true;
	default:
		return !chan_send(c->e[1], &v, 4, -1, CHAN_NOW);
	}
}

/*
 * A parked call, its group's end and its partner, all at once: the call says what
 * happened, and the partner and the counters say the same. (race_group makes each happen.)
 */
static void race_one(struct __test_metadata *_metadata, enum kind kind, bool process, int rounds)
{
	struct race *r = shared(sizeof(*r));
	pthread_barrierattr_t shared_by_all;
	struct party p, q;
	unsigned seed;

	r->rounds = rounds;
	r->seed = seed = kind * 2 + process;
	pthread_barrierattr_init(&shared_by_all);
	pthread_barrierattr_setpshared(&shared_by_all, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&r->at, &shared_by_all, 3);
	r->g[0] = -1;
	ASSERT_TRUE(call_make(&r->c, kind));
	if (process) {			/* all groups are there before the fork */
		for (int i = 0; i < rounds; i++) {
			r->g[i] = root();
			ASSERT_LE(0, r->g[i]);
		}
	}
	ASSERT_TRUE(party_start(&p, process, race_call, r));
	ASSERT_TRUE(party_start(&q, process, race_end, r));
	for (int i = 0; i < rounds; i++) {
		struct chan_info before = info_of(r->c.e[0]), in;
		bool done = false, sends = kind == SEND || kind == SENDM || kind == SELECT_SEND;
		int g = process ? r->g[i] : root();
		long good = kind == RECV ? 4 : kind == SENDM || kind == RECVM ? 1 : 0;

		r->c.under = g;
		r->c.v = sends ? i : -7;
		r->c.deadline = SOON;
		r->over = 0;
		pthread_barrier_wait(&r->at);
		linger(&seed);
		while (!done && !__atomic_load_n(&r->over, __ATOMIC_ACQUIRE))
			done = meet(&r->c, i);
		pthread_barrier_wait(&r->at);

		in = info_of(r->c.e[0]);
		ASSERT_EQ(0, in.parked_senders + in.parked_receivers + in.len + in.dropped);
		ASSERT_TRUE(r->c.ret == (done ? good : -ECANCELED)) {
			TH_LOG("kind %d, round %d: returned %ld, done %d", kind, i, r->c.ret, done);
		}
		ASSERT_EQ(before.sent + done, in.sent);
		ASSERT_EQ(before.received + done, in.received);
		ASSERT_EQ(sends || done ? i : -7, r->c.v);
		ASSERT_EQ(CHAN_ENDED, ginfo(g).state);
		close(g);
	}
	EXPECT_EQ(0, party_end(&p));
	EXPECT_EQ(0, party_end(&q));
	call_free(&r->c);
	munmap(r, sizeof(*r));
}

static void race_both(struct __test_metadata *_metadata, enum kind kind)
{
	ASSERT_EQ(0, many_files());
	race_one(_metadata, kind, false, quick(200, 40));
	race_one(_metadata, kind, true, quick(50, 20));
}

TEST(an_end_beside_a_send)		{ race_both(_metadata, SEND); }
TEST(an_end_beside_a_receive)		{ race_both(_metadata, RECV); }
TEST(an_end_beside_a_batch_of_sends)	{ race_both(_metadata, SENDM); }
TEST(an_end_beside_a_batch_of_receives)	{ race_both(_metadata, RECVM); }
TEST(an_end_beside_a_select_that_sends)	{ race_both(_metadata, SELECT_SEND); }
TEST(an_end_beside_a_select_that_receives) { race_both(_metadata, SELECT_RECV); }

/* A place that is given to a joiner whose call is ended: one of them has it. */
TEST(an_end_beside_a_place_is_the_one_or_the_other)
{
	int n = quick(200, 60);
	struct race *r = shared(sizeof(*r));
	struct party p, q;
	unsigned seed = 1;

	r->rounds = n;
	r->g[0] = -1;
	pthread_barrier_init(&r->at, NULL, 3);
	ASSERT_TRUE(call_make(&r->c, JOIN));
	ASSERT_TRUE(party_start(&p, false, race_call, r));
	ASSERT_TRUE(party_start(&q, false, race_end, r));
	for (int i = 0; i < n; i++) {
		int g = root();

		r->c.under = g;
		r->c.deadline = SOON;
		pthread_barrier_wait(&r->at);
		linger(&seed);
		ASSERT_EQ(0, chan_leave(r->c.member, 0, NULL));
		pthread_barrier_wait(&r->at);
		close(r->c.member);
		if (r->c.ret >= 0) {
			r->c.member = r->c.ret;
		} else {
			ASSERT_EQ(-ECANCELED, r->c.ret);
			ASSERT_EQ(0, ginfo(r->c.g).members);
			r->c.member = chan_join(r->c.g, -1, CHAN_NOW);
			ASSERT_LE(0, r->c.member);
		}
		ASSERT_EQ(1, ginfo(r->c.g).members);
		ASSERT_EQ(1, ginfo(r->c.g).children);
		close(g);
	}
	EXPECT_EQ(0, party_end(&p));
	EXPECT_EQ(0, party_end(&q));
	call_free(&r->c);
}

/* A deadline of the group, at the very time of the transfer. */
TEST(a_groups_deadline_beside_a_transfer)
{
	int n = quick(100, 40);

	for (int i = 0; i < n; i++) {
		struct call c;
		struct party p;
		bool done = false;
		int64_t at;
		int g;

		ASSERT_TRUE(call_make(&c, i % 2 ? RECV : SEND));
		at = chan_after(2 * MS + i % 200 * 1000);
		c.under = g = chan_group(-1, at, 0, 0);
		ASSERT_TRUE(party_start(&p, false, call_run, &c));
		while (chan_after(0) < at - 20000)
			sched_yield();
		while (!done && chan_after(0) < at + 100000)
			done = meet(&c, 77);
		ASSERT_EQ(0, party_end(&p));
		ASSERT_EQ(done ? i % 2 ? 4 : 0 : -ETIMEDOUT, c.ret);
		ASSERT_EQ(done, info_of(c.e[0]).sent);
		ASSERT_EQ(done, info_of(c.e[0]).received);
		call_free(&c);
		close(g);
	}
}

/* ---- the deadline is the end, however late its timer ---- */

struct late { int g, full, member, e[2]; };

static long late_send(struct late *l) { return chan_send(l->e[1], "", 1, l->g, CHAN_NOW); }
static long late_poll(struct late *l)
{
	struct pollfd p = { .fd = l->g, .events = POLLIN };

	return poll(&p, 1, 0) == 1 ? -ETIMEDOUT : 0;
}

static long late_recv(struct late *l)
{
	char b;

	return chan_recv(l->e[0], &b, 1, l->g, CHAN_NOW);
}

static long late_batch(struct late *l)
{
	struct chan_msg m[2] = { { .buf = "", .len = 1 }, { .buf = "", .len = 1 } };

	return chan_sendm(l->e[1], m, 2, l->g, CHAN_NOW);
}

static long late_select(struct late *l)
{
	struct chan_case c = chan_send_case(l->e[1], "", 1);

	return chan_select(&c, 1, 0, l->g, CHAN_NOW);
}

static long late_join(struct late *l) { return chan_join(l->full, -1, CHAN_NOW); }

/* What comes after the deadline is not the cause. */
static long late_cancel(struct late *l)
{
	struct chan_group_info i;

	chan_cancel(l->g, EIO, "too late");
	chan_group_info(l->g, &i, sizeof(i));
	return i.err == ETIMEDOUT && !i.why[0] ? -ETIMEDOUT : -(long)i.err;
}

static long late_leave(struct late *l)
{
	struct chan_group_info i;

	chan_leave(l->member, EIO, "too late");
	chan_group_info(l->full, &i, sizeof(i));
	return i.err == ETIMEDOUT && i.failed == 1 ? -ETIMEDOUT : -(long)i.err;
}

TEST(a_group_whose_deadline_has_passed_has_ended)
{
	static long (*const calls[])(struct late *l) = {
		late_send, late_recv, late_batch, late_select, late_poll, late_join, late_cancel,
		late_leave,
	};

	for (int i = 0; i < quick(40, 16); i++) {
		int64_t t = chan_after(100 * MS);
		struct late l = { .g = chan_group(-1, t, 0, 0),
				  .full = chan_group(-1, t, CHAN_FAIL_FAST, 1) };

		ASSERT_TRUE(l.g >= 0 && l.full >= 0);
		l.member = chan_join(l.full, -1, CHAN_NOW);
		if (l.member == -ETIMEDOUT && chan_after(0) > t) {	/* already: again */
			close2((int[]){ l.full, l.g });
			i--;
			continue;
		}
		ASSERT_LE(0, l.member);
		ASSERT_EQ(0, chan_make(l.e, 1, 8, 0));
		while (chan_after(0) <= t)
			;
		ASSERT_EQ(-ETIMEDOUT, calls[i % 8](&l)) TH_LOG("call %d", i % 8);
		EXPECT_EQ(0, info_of(l.e[0]).sent);
		close2(l.e);
		close(l.member);
		close(l.full);
		close(l.g);
	}
}

TEST_HARNESS_MAIN
