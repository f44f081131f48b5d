// SPDX-License-Identifier: MIT
/*
 * Calls that spin before they sleep (parameter spin_ns). "spin" is the pause point before
 * the first look at the clock, "spun" is where a call comes whose spin was in vain: what has
 * happened by the time that it goes on from the one must end the spin before the other.
 */
#include "race_util.h"

FIXTURE(spin) { int unused; };

FIXTURE_SETUP(spin)
{
	self->unused = 0;
	ASSERT_EQ(0, param_get("spin_ns"));
	ASSERT_TRUE(pause_open());
	ASSERT_EQ(0, param_set("spin_ns", 50000));
}

FIXTURE_TEARDOWN(spin)
{
	EXPECT_EQ(0, param_set("spin_ns", 0));
	EXPECT_TRUE(pause_close());
}

static long r_recv_ever(struct racer *r)
{
	return chan_recv(r->fd, r->buf, sizeof(r->buf), -1, CHAN_FOREVER);
}

static long r_send_ever(struct racer *r)
{
	return chan_send(r->fd, r->buf, 4, -1, CHAN_FOREVER);
}

static long r_recvm(struct racer *r)
{
	struct chan_msg m = { .buf = r->buf, .len = sizeof(r->buf) };
	int n = chan_recvm(r->fd, &m, 1, r->under ?: -1, r->deadline);

	return n == 1 ? m.res : n;
}

static long r_read(struct racer *r)
{
	ssize_t n = read(r->fd, r->buf, sizeof(r->buf));

	return n < 0 ? -errno : n;
}

static long r_select(struct racer *r)
{
	struct chan_case k = chan_recv_case(r->fd, r->buf, 4);
	int i = chan_select(&k, 1, 0, -1, r->deadline);

	return i ?: k.msg.res;
}

static int number(const char *buf)
{
	int v;

	memcpy(&v, buf, 4);
	return v;
}

/* The peer of a send or a receive that is queued. */
static bool meet(int *e, bool tx, int *v)
{
	if (tx)
		return chan_recv(e[0], v, 4, -1, CHAN_NOW) == 4;
	return !chan_send(e[1], v, 4, -1, CHAN_NOW);
}

/* It goes on from "spin" and returns; it has not come to @point, or it would give up there. */
static long finish_before(struct racer *r, const char *point)
{
	return stop_at(point, race_tid(r), NULL) ? race_finish(r) : -9997;
}

/* ---- what ends a spin ---- */

TEST_F(spin, a_peer_ends_it_and_the_call_does_not_sleep)
{
	static const struct { long (*fn)(struct racer *r); bool tx, under; } calls[] = {
		{ .fn = r_recv }, { .fn = r_recv, .under = true }, { .fn = r_recv_ever },
		{ .fn = r_send, .tx = true }, { .fn = r_send, .tx = true, .under = true },
		{ .fn = r_send_ever, .tx = true }, { .fn = r_recvm }, { .fn = r_read },
	};

	for (int i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct racer r = RACER(calls[i].fn, 0, .point = "spin", .buf = { 7 });
		int e[2], g = root(), v = 7;
		bool tx = calls[i].tx;

		ASSERT_EQ(0, chan_make(e, 64, 0, 0));
		r.fd = e[tx];
		r.under = calls[i].under ? g : 0;
		ASSERT_TRUE(race_start(&r));
		EXPECT_TRUE(parked(e[0], tx, !tx));	/* it is queued while it spins */
		EXPECT_TRUE(meet(e, tx, &v));
		ASSERT_TRUE(stop_at("sleep", race_tid(&r), NULL));
		EXPECT_EQ(tx ? 0 : 4, finish_before(&r, "spun")) TH_LOG("call %d", i);
		EXPECT_EQ(7, number(tx ? (char *)&v : r.buf));
		EXPECT_TRUE(parked(e[0], 0, 0));
		close2(e);
		close(g);
		EXPECT_TRUE(pause_close() && pause_open());	/* nothing is armed any more */
	}
}

TEST_F(spin, the_last_close_of_the_other_end_ends_it)
{
	struct racer r = RACER(r_recv, 0, .point = "spin");
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_start(&r));
	close(e[1]);
	EXPECT_EQ(-ECONNRESET, finish_before(&r, "spun"));
	close(e[0]);
}

static void nothing(int sig) { }

TEST_F(spin, a_signal_ends_it)
{
	struct sigaction act = { .sa_handler = nothing };
	struct racer r = RACER(r_recv, 0, .point = "spin");
	int e[2];

	sigaction(SIGUSR1, &act, NULL);
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_start(&r));
	ASSERT_EQ(0, pthread_kill(r.p.t, SIGUSR1));
	EXPECT_EQ(-EINTR, finish_before(&r, "spun"));
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
}

TEST_F(spin, a_kill_ends_it)
{
	struct racer *r = shared(sizeof(*r));
	int e[2], v = 3;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	*r = (struct racer)RACER(r_recv, e[0], .point = "spin");
	ASSERT_TRUE(race_begin(r, true));
	ASSERT_TRUE(stopped_at("spin", ANY));
	ASSERT_TRUE(stop_at("spun", race_tid(r), NULL));
	ASSERT_EQ(0, kill(r->p.pid, SIGKILL));
	ASSERT_TRUE(go_on("spin", ANY));
	EXPECT_EQ(-SIGKILL, party_end(&r->p));
	EXPECT_TRUE(parked(e[0], 0, 0));
	EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	close2(e);
}

TEST_F(spin, a_deadline_ends_it)
{
	struct racer r = RACER(r_recv, 0, .point = "spin");
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_start_timed(&r));
	while (chan_after(0) <= r.deadline)
		usleep(1000);
	EXPECT_EQ(-ETIMEDOUT, finish_before(&r, "spun"));
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
}

TEST_F(spin, the_end_of_its_group_ends_it)
{
	struct racer r = RACER(r_recv, 0, .point = "spin");
	int e[2], g = root();

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	r.under = g;
	ASSERT_TRUE(race_start(&r));
	ASSERT_EQ(0, chan_cancel(g, 0, NULL));
	EXPECT_EQ(-ECANCELED, finish_before(&r, "spun"));
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
	close(g);
}

/* Works of the kernel's that any processor may do are done there; 0 or the error. */
static int works_on(const char *cpus)
{
	int fd = open("/sys/devices/virtual/workqueue/cpumask", O_WRONLY | O_CLOEXEC);
	int err = write(fd, cpus, 1) == 1 ? 0 : -errno;

	close(fd);
	return err;
}

/* Its deadline has passed, and nobody has ended it yet: not where the call would make room. */
TEST_F(spin, the_deadline_of_its_group_ends_it)
{
	bool done = false;

	ASSERT_EQ(0, works_on("1"));
	for (int64_t ms = 20; ms < PATIENCE && !done; ms *= 2) {
		struct racer r = RACER(r_recv, 0, .point = "spin");
		int64_t at = chan_after(ms * MS);
		int e[2], g = chan_group(-1, at, 0, 0);

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		ASSERT_TRUE(stop_at("group_expire", ANY, NULL));
		r.fd = e[0];
		r.under = g;
		ASSERT_TRUE(race_begin(&r, false));
		while (!pause_says("stopped", "spin", ANY) &&
		       __atomic_load_n(&r.ret, __ATOMIC_ACQUIRE) == -9999)
			usleep(1000);
		done = pause_says("stopped", "spin", ANY);	/* else it was late */
		while (chan_after(0) <= at)
			usleep(1000);
		EXPECT_EQ(-ETIMEDOUT, done ? finish_before(&r, "spun") : race_end(&r));
		EXPECT_TRUE(parked(e[0], 0, 0));
		close2(e);
		EXPECT_TRUE(pause_close() && pause_open());	/* what expires goes on */
		close(g);
	}
	EXPECT_EQ(0, works_on("3"));
	EXPECT_TRUE(done);
}

static bool stop_busy;
static long rounds;

static int busy(void *arg)
{
	while (!__atomic_load_n(&stop_busy, __ATOMIC_RELAXED))
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
	return 0;
}

/* One that can run on no other processor: the call sleeps, and it gets this one. */
TEST_F(spin, another_thread_ends_it_and_has_the_processor)
{
	struct racer r = RACER(r_recv, 0, .point = "spin");
	struct party other;
	int e[2], v = 5;
	long before;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_start(&r));
	ASSERT_TRUE(party_start(&other, false, busy, NULL));
	while (!__atomic_load_n(&other.tid, __ATOMIC_ACQUIRE))
		usleep(1000);
	ASSERT_TRUE(stay_on(1, other.tid));
	ASSERT_TRUE(stop_at("spun", race_tid(&r), NULL));
	ASSERT_TRUE(go_on("spin", ANY));
	EXPECT_TRUE(asleep(&r.p.tid));
	EXPECT_FALSE(pause_says("stopped", "spun", ANY) || pause_says("gave-up", "spun", ANY));
	before = __atomic_load_n(&rounds, __ATOMIC_RELAXED);
	for (int i = 0; i < PATIENCE && __atomic_load_n(&rounds, __ATOMIC_RELAXED) == before; i++)
		usleep(1000);
	EXPECT_NE(before, __atomic_load_n(&rounds, __ATOMIC_RELAXED));
	__atomic_store_n(&stop_busy, true, __ATOMIC_RELAXED);
	party_end(&other);
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, race_end(&r));
	close2(e);
}

/* Nothing ends it but its window: it sleeps, and its peer finds it there. */
TEST_F(spin, what_comes_between_the_spin_and_the_sleep_is_seen)
{
	for (int tx = 0; tx < 2; tx++) {
		struct racer r = RACER(tx ? r_send : r_recv, 0, .point = "spun", .buf = { 9 });
		int e[2], v = 9;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		r.fd = e[tx];
		/* not where something else had to run there */
		for (int i = 0; i < PATIENCE; i++) {
			ASSERT_TRUE(race_begin(&r, false));
			while (!pause_says("stopped", "spun", ANY) && !sleeps_in(race_tid(&r), SYS_ioctl))
				usleep(1000);
			if (pause_says("stopped", "spun", ANY))
				break;
			EXPECT_TRUE(meet(e, tx, &v));
			race_end(&r);
			ASSERT_TRUE(pause_close() && pause_open());
		}
		EXPECT_TRUE(meet(e, tx, &v));
		EXPECT_EQ(tx ? 0 : 4, race_finish(&r));
		EXPECT_EQ(9, number(tx ? (char *)&v : r.buf));
		close2(e);
	}
}

/* ---- who does not spin ---- */

/* Does this call sleep, without a spin before? Stops are armed for any thread. */
static bool sleeps_at_once(struct racer *r)
{
	return pause_command("stop", "spin", ANY, NULL) && race_begin(r, false) &&
	       asleep(&r->p.tid) &&
	       !pause_says("stopped", "spin", ANY) && !pause_says("gave-up", "spin", ANY);
}

TEST_F(spin, nobody_does_unless_told)
{
	struct racer r = RACER(r_recv, 0);
	int e[2], v = 1;

	ASSERT_EQ(0, param_set("spin_ns", 0));
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	EXPECT_TRUE(sleeps_at_once(&r));
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, race_end(&r));
	close2(e);
}

TEST_F(spin, selects_and_who_waits_for_members_do_not)
{
	struct racer s = RACER(r_select, 0), j = RACER(r_join, 0), w = RACER(r_wait, 0);
	int e[2], v = 1, member, g = chan_group(-1, CHAN_FOREVER, 0, 1);

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	member = chan_join(g, -1, CHAN_NOW);
	ASSERT_LE(0, member);
	s.fd = e[0];
	j.fd = w.fd = g;
	EXPECT_TRUE(sleeps_at_once(&s));
	EXPECT_TRUE(sleeps_at_once(&w));
	EXPECT_TRUE(sleeps_at_once(&j));
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, race_end(&s));
	EXPECT_EQ(0, chan_leave(member, 0, NULL));
	member = race_end(&j);
	EXPECT_LE(0, member);
	EXPECT_EQ(0, chan_leave(member, 0, NULL));
	EXPECT_EQ(0, race_end(&w));
	close2(e);
	close(g);
}

TEST_F(spin, a_call_behind_others_does_not)
{
	for (int tx = 0; tx < 2; tx++) {
		struct racer first = RACER(tx ? r_send : r_recv, 0), next = RACER(first.fn, 0);
		int e[2], v = 1;

		ASSERT_EQ(0, param_set("spin_ns", 0));
		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		first.fd = next.fd = e[tx];
		ASSERT_TRUE(race_begin(&first, false));
		ASSERT_TRUE(parked(e[0], tx, !tx));
		ASSERT_EQ(0, param_set("spin_ns", 50000));
		EXPECT_TRUE(sleeps_at_once(&next));
		for (int i = 0; i < 2; i++)
			EXPECT_TRUE(meet(e, tx, &v));
		EXPECT_EQ(tx ? 0 : 4, race_end(&first));
		EXPECT_EQ(tx ? 0 : 4, race_end(&next));
		close2(e);
	}
}

static bool cpu1(bool on)
{
	int fd = open("/sys/devices/system/cpu/cpu1/online", O_WRONLY | O_CLOEXEC);
	bool ok = write(fd, on ? "1" : "0", 1) == 1;

	close(fd);
	return ok;
}

TEST_F(spin, with_one_processor_nobody_does)
{
	struct racer r = RACER(r_recv, 0);
	int e[2], v = 1;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(cpu1(false));
	EXPECT_TRUE(sleeps_at_once(&r));
	EXPECT_TRUE(cpu1(true));
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, race_end(&r));
	close2(e);
}

/* ---- the window ---- */

enum { NO_SPIN, PAID, IN_VAIN, CUT, BAD };	/* CUT: something else had to run there */

/* What comes of a receive that waits, for a message that comes when it sleeps or, @early, spins. */
static int wait_once(int *e, bool early)
{
	struct racer r = RACER(r_recv, e[0], .point = "spin");
	int v = 1, how = NO_SPIN;

	if (!pause_close() || !pause_open() || !race_begin(&r, false))
		return BAD;
	for (int i = 0; i < PATIENCE && !sleeps_in(race_tid(&r), SYS_ioctl); i++, usleep(1000)) {
		if (how == NO_SPIN && pause_says("stopped", "spin", ANY)) {
			if (early)
				return meet(e, false, &v) && race_finish(&r) == 4 ? PAID : BAD;
			how = CUT;
			if (!stop_at("spun", race_tid(&r), NULL) || !go_on("spin", ANY))
				return BAD;
		} else if (how == CUT && pause_says("stopped", "spun", ANY)) {
			how = IN_VAIN;
			if (!go_on("spun", ANY))
				return BAD;
		}
	}
	return meet(e, false, &v) && race_end(&r) == 4 ? how : BAD;
}

/* Have @n receives spin in vain. */
static bool in_vain(int *e, int n)
{
	for (int i = 0; i < 1000 && n; i++) {
		int how = wait_once(e, false);

		if (how != IN_VAIN && how != CUT)
			return false;
		n -= how == IN_VAIN;
	}
	return !n;
}

/* One in vain halves it, one that pays doubles it, and after four halves it rests. */
TEST_F(spin, it_rests_after_some_in_vain_and_begins_anew)
{
	int e[2], n, how;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	EXPECT_EQ(PAID, wait_once(e, true));	/* there is no more than all */
	EXPECT_TRUE(in_vain(e, 3));
	EXPECT_EQ(PAID, wait_once(e, true));
	EXPECT_TRUE(in_vain(e, 2));
	for (n = 0; n < 1000 && (how = wait_once(e, false)) == NO_SPIN; n++)
		;
	EXPECT_EQ(64, n);
	EXPECT_NE(BAD, how);
	EXPECT_EQ(PAID, wait_once(e, true));
	EXPECT_TRUE(in_vain(e, 4));
	EXPECT_EQ(NO_SPIN, wait_once(e, false));
	close2(e);
}

/* Each direction has its own. */
TEST_F(spin, sends_spin_while_receives_rest)
{
	struct racer s = RACER(r_send, 0, .point = "spin");
	int e[2], v;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	EXPECT_TRUE(in_vain(e, 4));
	EXPECT_EQ(NO_SPIN, wait_once(e, false));
	ASSERT_TRUE(pause_close() && pause_open());
	s.fd = e[1];
	ASSERT_TRUE(race_start(&s));
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, race_finish(&s));
	close2(e);
}

TEST_HARNESS_MAIN
