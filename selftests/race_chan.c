// SPDX-License-Identifier: MIT
/* The races of channels that kmod/kchan.h names, each made to happen. */
#include "race_util.h"

RACES(chan)

static long r_select(struct racer *r)	/* of @fd, or a message of @other */
{
	struct chan_case k[2] = {
		chan_recv_case(r->fd, r->buf, 4), chan_recv_case(r->other, r->buf + 8, 4),
	};
	int i = chan_select(k, 2, CHAN_PRIO, r->under ?: -1, r->deadline);

	return i < 0 || k[i].msg.res == 4 ? i : k[i].msg.res;
}

/* The same with a case that polls, in vain: it does not look before it probes. */
static long r_select_probe(struct racer *r)
{
	struct chan_case k[3] = {
		chan_recv_case(r->fd, r->buf, 4), chan_recv_case(r->other, r->buf + 8, 4),
		{ .fd = r->other, .op = CHAN_POLL, .events = POLLPRI },
	};
	int i = chan_select(k, 3, CHAN_PRIO, r->under ?: -1, r->deadline);

	return i < 0 || k[i].msg.res == 4 ? i : k[i].msg.res;
}

static long r_poll_select(struct racer *r)	/* @fd readable, or a message of @other */
{
	struct chan_case k[2] = { { .fd = r->fd, .op = CHAN_POLL, .events = POLLIN },
				  chan_recv_case(r->other, r->buf, 4) };

	return chan_select(k, 2, CHAN_PRIO, r->under ?: -1, r->deadline);
}

static long r_poll(struct racer *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE) == 1 ? p.revents : -ETIMEDOUT;
}

static long r_room(struct racer *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLOUT };

	return poll(&p, 1, PATIENCE) == 1 ? p.revents : -ETIMEDOUT;
}

static long r_fault(struct racer *r)	/* what it receives can't be stored */
{
	return chan_recv(r->fd, (void *)8, 64, -1, r->deadline);
}

static long r_fault_select(struct racer *r)
{
	struct chan_case k = chan_recv_case(r->fd, (void *)8, 64);
	int i = chan_select(&k, 1, 0, -1, r->deadline);

	return i < 0 ? i : k.msg.res;
}

static long now(int fd, int v)
{
	return chan_send(fd, &v, 4, -1, CHAN_NOW);
}

static int take(int fd)	/* a number, or an error */
{
	int v, r = chan_recv(fd, &v, 4, -1, CHAN_NOW);

	return r == 4 ? v : r;
}

static int number(const char *buf)
{
	int v;

	memcpy(&v, buf, 4);
	return v;
}

/* ---- of two who could meet, the later sees the earlier ---- */

TEST_F(chan, a_receive_parks_while_a_send_comes)
{
	struct racer r = RACER(r_recv, 0, .point = "park", .until = "send");
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_start(&r));
	/* the receive has looked and goes on only now that this send is under way */
	EXPECT_EQ(0, now(e[1], 5));
	EXPECT_EQ(4, race_end(&r));
	EXPECT_EQ(5, number(r.buf));
	close2(e);
}

TEST_F(chan, a_send_parks_while_a_receive_comes)
{
	struct racer s = RACER(r_send, 0, .point = "park", .until = "recv", .buf = { 6 });
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	s.fd = e[1];
	ASSERT_TRUE(race_start(&s));
	EXPECT_EQ(6, take(e[0]));
	EXPECT_EQ(0, race_end(&s));
	close2(e);
}

/* The group has ended a call that is attached and not queued: what is ready is done. */
TEST_F(chan, an_end_between_attach_and_queue)
{
	for (int ready = 0; ready < 2; ready++) {
		struct racer r = RACER(r_recv, 0, .point = "park_attached");
		int e[2], g = root();

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		r.fd = e[0];
		r.under = g;
		ASSERT_TRUE(race_start(&r));
		ASSERT_EQ(0, chan_cancel(g, 0, NULL));
		EXPECT_EQ(ready ? 0 : -EAGAIN, ready ? now(e[1], 5) : -EAGAIN);
		EXPECT_EQ(ready ? 4 : -ECANCELED, race_finish(&r));
		EXPECT_EQ(0, info_of(e[0]).len);
		EXPECT_TRUE(parked(e[0], 0, 0));
		close2(e);
		close(g);
	}
}

/* ---- who looks whether it may sleep ---- */

TEST_F(chan, a_peer_comes_between_the_look_and_the_sleep)
{
	for (int kind = 0; kind < 4; kind++) {
		struct racer r = RACER(r_recv, 0, .point = "sleep", .buf = { 9 });
		int e[2], never[2], g = root();

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		ASSERT_EQ(0, chan_make(never, 4, 0, 0));
		r.fd = e[kind == 1];
		r.fn = kind == 1 ? r_send : kind == 2 ? r_select : r_recv;
		r.under = kind == 3 ? g : 0;
		r.other = never[0];
		ASSERT_TRUE(race_start(&r));
		EXPECT_EQ(kind == 1 ? 9 : 0, kind == 1 ? take(e[0]) : now(e[1], 9));
		EXPECT_EQ(kind == 1 || kind == 2 ? 0 : 4, race_finish(&r)) TH_LOG("kind %d", kind);
		EXPECT_EQ(9, number(r.buf));
		close2(e);
		close2(never);
		close(g);
	}
}

/* A signal, a deadline and the end of a group, too. */
static void nothing(int sig) { }

TEST_F(chan, a_signal_comes_between_the_look_and_the_sleep)
{
	struct sigaction act = { .sa_handler = nothing };
	struct racer r = RACER(r_recv, 0, .point = "sleep");
	int e[2];

	sigaction(SIGUSR1, &act, NULL);
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_start(&r));
	ASSERT_EQ(0, pthread_kill(r.p.t, SIGUSR1));
	EXPECT_EQ(-EINTR, race_finish(&r));
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
}

/* ---- a single waiter ---- */

/* A peer has chosen it when it gives up: it has not given up. */
TEST_F(chan, a_peer_comes_after_the_deadline_before_the_waiter_is_out)
{
	for (int tx = 0; tx < 2; tx++) {
		struct racer r = RACER(tx ? r_send : r_recv, 0, .point = "park_over", .buf = { 3 });
		int e[2];

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		r.fd = e[tx];
		ASSERT_TRUE(race_start_timed(&r));
		EXPECT_EQ(tx ? 3 : 0, tx ? take(e[0]) : now(e[1], 3));
		EXPECT_EQ(tx ? 0 : 4, race_finish(&r));
		EXPECT_EQ(3, number(r.buf));
		EXPECT_EQ(1, info_of(e[0]).received);
		close2(e);
	}
}

TEST_F(chan, a_peer_comes_after_the_kill_before_the_waiter_is_out)
{
	struct racer *r = shared(sizeof(*r));
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	*r = (struct racer)RACER(r_recv, e[0], .point = "sleep");
	ASSERT_TRUE(race_begin(r, true));
	ASSERT_TRUE(stopped_at("sleep", ANY));
	ASSERT_EQ(0, kill(r->p.pid, SIGKILL));
	EXPECT_EQ(0, now(e[1], 4));		/* it was chosen: what it can't take goes back */
	ASSERT_TRUE(go_on("sleep", ANY));
	EXPECT_EQ(-SIGKILL, party_end(&r->p));
	EXPECT_EQ(4, take(e[0]));
	close2(e);
}

/*
 * DONE is all that it waits for: it leaves, and its stack is another's, while the peer
 * that chose it still has the channel's lock.
 */
TEST_F(chan, a_waiter_is_gone_before_its_peer_is_out)
{
	struct sigaction act = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	struct racer *r = shared(sizeof(*r)), s = RACER(r_send, 0, .point = "handed", .buf = { 8 });
	int e[2];

	sigaction(SIGUSR1, &act, NULL);
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	s.fd = e[1];
	*r = (struct racer)RACER(r_recv, e[0]);
	r->deadline = s.deadline = CHAN_FOREVER;
	ASSERT_TRUE(race_begin(r, true));
	ASSERT_TRUE(parked(e[0], 0, 1) && asleep(&r->p.tid));
	ASSERT_TRUE(race_start(&s));
	ASSERT_EQ(0, kill(r->p.pid, SIGUSR1));	/* so that it looks: nobody has woken it yet */
	EXPECT_EQ(0, party_end(&r->p));		/* and its process has ended */
	EXPECT_EQ(4, r->ret);
	EXPECT_EQ(8, number(r->buf));
	EXPECT_TRUE(pause_says("stopped", "handed", ANY));
	EXPECT_EQ(0, race_finish(&s));
	close2(e);
}

/* ---- selects ---- */

/* It is chosen on the first channel while it queues on the second, where a send waits. */
TEST_F(chan, a_select_is_chosen_while_it_queues)
{
	struct racer r = RACER(r_select, 0, .point = "select_queued"), s = RACER(r_send, 0, .buf = { 2 });
	int a[2], b[2];

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	r.fd = a[0];
	r.other = b[0];
	s.fd = b[1];
	ASSERT_TRUE(race_start(&r));
	ASSERT_TRUE(race_begin(&s, false));
	ASSERT_TRUE(parked(b[0], 1, 0));
	EXPECT_EQ(0, now(a[1], 1));
	EXPECT_EQ(0, race_finish(&r));
	EXPECT_EQ(1, number(r.buf));
	EXPECT_EQ(0, number(r.buf + 8));
	EXPECT_EQ(1, info_of(b[0]).parked_senders);
	EXPECT_EQ(2, take(b[0]));
	EXPECT_EQ(0, race_end(&s));
	close2(a);
	close2(b);
}

/* Chosen on one channel and not yet run, it is passed by on the other. */
TEST_F(chan, a_chosen_select_is_stale_elsewhere)
{
	struct racer r = RACER(r_select, 0, .point = "settle"), plain = RACER(r_recv, 0);
	struct pollfd p = { .events = POLLOUT };
	int a[2], b[2];

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	r.fd = a[0];
	r.other = plain.fd = b[0];
	p.fd = b[1];
	ASSERT_TRUE(race_begin(&r, false));
	ASSERT_TRUE(parked(b[0], 0, 1));
	EXPECT_EQ(0, now(a[1], 1));
	ASSERT_TRUE(stopped_at("settle", ANY));
	EXPECT_EQ(-EAGAIN, now(b[1], 2));
	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_TRUE(race_begin(&plain, false));
	ASSERT_TRUE(asleep(&plain.p.tid));
	EXPECT_EQ(0, now(b[1], 3));
	EXPECT_EQ(4, race_end(&plain));
	EXPECT_EQ(3, number(plain.buf));
	EXPECT_EQ(0, race_finish(&r));
	EXPECT_EQ(1, number(r.buf));
	close2(a);
	close2(b);
}

/* The peer that was found is chosen elsewhere before it is locked: it is passed by. */
TEST_F(chan, a_peer_that_was_found_is_chosen_elsewhere)
{
	struct racer r = RACER(r_select, 0, .point = "settle");
	struct racer s = RACER(r_send, 0, .point = "pair", .buf = { 2 });
	int a[2], b[2];

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	r.fd = a[0];
	r.other = b[0];
	s.fd = a[1];
	s.deadline = CHAN_NOW;
	ASSERT_TRUE(race_begin(&r, false));
	ASSERT_TRUE(parked(b[0], 0, 1));
	ASSERT_TRUE(race_start(&s));
	EXPECT_EQ(0, now(b[1], 3));
	/* it wants the lock of the other channel next, and would keep this processor */
	ASSERT_TRUE(stopped_at("settle", ANY));
	EXPECT_EQ(-EAGAIN, race_finish(&s));
	EXPECT_EQ(1, race_finish(&r));
	EXPECT_EQ(3, number(r.buf + 8));
	EXPECT_EQ(0, info_of(a[0]).sent);
	close2(a);
	close2(b);
}

static long r_exchange(struct racer *r)	/* receive from @fd, or send to @other */
{
	struct chan_case k[2] = {
		chan_recv_case(r->fd, r->buf, 4), chan_send_case(r->other, r->buf + 8, 4),
	};

	return chan_select(k, 2, CHAN_PRIO, r->under ?: -1, r->deadline);
}

/* It has found a peer, and is chosen itself before both are locked: the peer stays. */
TEST_F(chan, a_select_that_found_a_peer_is_chosen_elsewhere)
{
	struct racer s = RACER(r_exchange, 0, .point = "select_queued"), plain = RACER(r_recv, 0);
	int a[2], b[2];

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	s.fd = a[0];
	s.other = b[1];
	plain.fd = b[0];
	ASSERT_TRUE(race_start(&s));
	ASSERT_TRUE(race_begin(&plain, false));
	ASSERT_TRUE(parked(b[0], 0, 1));
	ASSERT_TRUE(stop_at("pair", race_tid(&s), NULL));
	ASSERT_TRUE(go_on("select_queued", ANY));
	ASSERT_TRUE(stopped_at("pair", race_tid(&s)));
	EXPECT_EQ(0, now(a[1], 1));
	ASSERT_TRUE(go_on("pair", ANY));
	EXPECT_EQ(0, race_end(&s));
	EXPECT_EQ(1, number(s.buf));
	EXPECT_TRUE(parked(b[0], 0, 1));
	EXPECT_EQ(0, now(b[1], 7));
	EXPECT_EQ(4, race_end(&plain));
	EXPECT_EQ(7, number(plain.buf));
	close2(a);
	close2(b);
}

/* Two selects choose one another, on two channels, at once: one transfer, no deadlock. */
TEST_F(chan, two_selects_choose_one_another_at_once)
{
	struct racer x = RACER(r_exchange, 0, .point = "group_attach", .buf = { [8] = 1 }),
		     y = RACER(r_exchange, 0, .point = "select_queued", .buf = { [8] = 2 });
	int a[2], b[2], g = root();

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	x.fd = a[0];
	x.other = b[1];
	x.under = g;
	y.fd = b[0];
	y.other = a[1];
	/* neither sees the other when it looks: both have looked before they queue */
	ASSERT_TRUE(race_start(&x));
	ASSERT_TRUE(race_start(&y));
	/* x has one of the two locks until y wants them */
	ASSERT_TRUE(stop_at("pair_half", race_tid(&x), "pair"));
	ASSERT_TRUE(go_on("group_attach", ANY));
	ASSERT_TRUE(stopped_at("pair_half", race_tid(&x)));
	ASSERT_TRUE(go_on("select_queued", ANY));
	EXPECT_EQ(1, race_end(&x));		/* it has sent */
	EXPECT_EQ(0, race_end(&y));
	EXPECT_EQ(1, number(y.buf));
	EXPECT_EQ(0, number(x.buf));
	EXPECT_EQ(1, info_of(a[0]).sent + info_of(b[0]).sent);
	close2(a);
	close2(b);
	close(g);
}

/* A select that may not wait: what came while it looked is not missed. */
TEST_F(chan, a_message_moves_while_a_select_looks)
{
	for (int way = 0; way < 2; way++) {
		struct racer r = RACER(r_select, 0, .point = way ? "select_probed" : "select_looked");
		int a[2], b[2];

		ASSERT_EQ(0, chan_make(a, 4, 1, 0));
		ASSERT_EQ(0, chan_make(b, 4, 1, 0));
		if (way)
			r.fn = r_select_probe;
		r.fd = a[0];
		r.other = b[0];
		r.deadline = CHAN_NOW;
		if (!way)
			EXPECT_EQ(0, now(b[1], 2));
		ASSERT_TRUE(race_start(&r));
		/* at each instant one of the two has a message, or the first has */
		EXPECT_EQ(0, now(a[1], 1));
		if (!way)
			EXPECT_EQ(2, take(b[0]));
		EXPECT_EQ(0, race_finish(&r));
		EXPECT_EQ(1, number(r.buf));
		close2(a);
		close2(b);
	}
}

static long r_select_far(struct racer *r)	/* the same, the cases far from one another */
{
	struct chan_case k[17];
	int i;

	for (i = 0; i < 17; i++)
		k[i] = (struct chan_case){ .fd = -1 };
	k[0] = chan_recv_case(r->fd, r->buf, 4);
	k[16] = chan_recv_case(r->other, r->buf + 8, 4);
	i = chan_select(k, 17, CHAN_PRIO, -1, r->deadline);
	return i < 0 || k[i].msg.res == 4 ? i : k[i].msg.res;
}

/* From @from to @to, and at no instant is there none. */
static bool move(int *from, int *to)
{
	return !now(to[1], 1) && take(from[0]) == 1;
}

/*
 * The same for a select that looks at some cases at a time and then, as none was ready, looks
 * again: each time the message has been where it looks no more.
 */
TEST_F(chan, a_message_moves_back_and_forth_while_a_select_looks)
{
	struct racer r = RACER(r_select_far, 0, .point = "select_look");
	int a[2], b[2];

	r.deadline = CHAN_NOW;
	ASSERT_EQ(0, chan_make(a, 4, 1, 0));
	ASSERT_EQ(0, chan_make(b, 4, 1, 0));
	r.fd = a[0];
	r.other = b[0];
	EXPECT_EQ(0, now(b[1], 1));
	ASSERT_TRUE(race_start(&r));
	EXPECT_TRUE(move(b, a));
	ASSERT_TRUE(stop_at("select_looked", ANY, NULL) && go_on("select_look", ANY));
	ASSERT_TRUE(stopped_at("select_looked", ANY));
	EXPECT_TRUE(move(a, b));
	ASSERT_TRUE(stop_at("select_note", ANY, NULL) && go_on("select_looked", ANY));
	ASSERT_TRUE(stopped_at("select_note", ANY));
	EXPECT_TRUE(move(b, a));
	r.point = "select_note";
	EXPECT_EQ(0, race_finish(&r));
	EXPECT_EQ(1, number(r.buf));
	close2(a);
	close2(b);
}

/* Ends are closed by another thread while a select looks: both, or that of the senders. */
TEST_F(chan, an_end_is_closed_while_a_select_looks)
{
	for (int way = 0; way < 2; way++) {
		struct racer r = RACER(r_select_far, 0, .point = "select_note");
		int a[2], b[2];

		r.deadline = CHAN_NOW;
		ASSERT_EQ(0, chan_make(a, 4, 1, 0));
		ASSERT_EQ(0, chan_make(b, 4, 1, 0));
		r.fd = a[0];
		r.other = b[0];
		ASSERT_TRUE(race_start(&r));
		EXPECT_EQ(0, close(a[1]));
		if (!way)
			EXPECT_EQ(0, close(a[0]));
		EXPECT_EQ(way ? -ECONNRESET : -EBADF, race_finish(&r));
		if (way)
			close(a[0]);
		close2(b);
	}
}

/* An end that a select is about to wait on is closed: it holds the channel, not the file. */
TEST_F(chan, an_end_is_closed_before_a_select_is_queued)
{
	struct racer r = RACER(r_select, 0, .point = "group_attach");
	int a[2], b[2], g = root();

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	r.fd = a[0];
	r.other = b[0];
	r.under = g;
	ASSERT_TRUE(race_start(&r));
	close(a[0]);
	EXPECT_EQ(-EPIPE, race_finish(&r));
	EXPECT_EQ(EOWNERDEAD, info_of(a[1]).recv_err);
	EXPECT_TRUE(parked(b[0], 0, 0));
	close(a[1]);
	close2(b);
	close(g);
}

/* A group ends, then the channel is shut, after the call has looked at the group. */
TEST_F(chan, a_group_that_ended_before_the_shut_comes_first)
{
	static const struct { long (*fn)(struct racer *r); const char *point; int end; } calls[] = {
		{ r_recv, "recv", 0 }, { r_send, "send", 1 }, { r_select, "select_looked", 0 },
		{ r_select_probe, "select_probed", 0 }, { r_select, "select_queued", 0 },
		{ r_recv, "park_attached", 0 },
	};

	for (int i = 0; i < 6; i++) {
		struct racer r = RACER(calls[i].fn, 0, .point = calls[i].point);
		int a[2], b[2], g = root();

		ASSERT_EQ(0, chan_make(a, 4, 0, 0));
		ASSERT_EQ(0, chan_make(b, 4, 0, 0));
		r.fd = a[calls[i].end];
		r.other = b[0];
		r.under = g;
		ASSERT_TRUE(race_start(&r));
		EXPECT_EQ(0, chan_cancel(g, 0, NULL));
		EXPECT_EQ(0, chan_shut(a[0], 0));
		EXPECT_EQ(-ECANCELED, race_finish(&r)) TH_LOG("%s", calls[i].point);
		close2(a);
		close2(b);
		close(g);
	}
}

/* ---- put back ---- */

enum { REFILLED, AWAITED, SHUT, FORMS };

static void put_back(struct __test_metadata *_metadata, long (*fn)(struct racer *r), int form)
{
	struct racer r = RACER(fn, 0, .point = "deliver"), plain = RACER(r_recv, 0);
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	r.fd = plain.fd = e[0];
	ASSERT_EQ(0, now(e[1], 1));
	ASSERT_TRUE(race_start(&r));
	EXPECT_EQ(0, info_of(e[0]).len);
	if (form == REFILLED)
		EXPECT_EQ(0, now(e[1], 2));
	if (form == AWAITED)
		EXPECT_TRUE(race_begin(&plain, false) && parked(e[0], 0, 1));
	if (form == SHUT) {
		EXPECT_EQ(0, chan_shut(e[1], 0));
		EXPECT_EQ(-EPIPE, take(e[0]));
	}
	EXPECT_EQ(-EFAULT, race_finish(&r));
	if (form == REFILLED) {
		EXPECT_EQ(2, info_of(e[0]).len);
		EXPECT_EQ(-EAGAIN, now(e[1], 3));
	}
	if (form == AWAITED) {
		EXPECT_EQ(4, race_end(&plain));
		EXPECT_EQ(1, number(plain.buf));
	} else {
		EXPECT_EQ(1, take(e[0]));
	}
	if (form == REFILLED)
		EXPECT_EQ(2, take(e[0]));
	EXPECT_EQ(form == SHUT ? -EPIPE : -EAGAIN, take(e[0]));
	EXPECT_EQ(info_of(e[0]).sent, info_of(e[0]).received);
	close2(e);
}

TEST_F(chan, what_is_put_back_comes_first)
{
	put_back(_metadata, r_fault, REFILLED);
}

TEST_F(chan, what_is_put_back_goes_to_who_waits_by_then)
{
	put_back(_metadata, r_fault, AWAITED);
}

TEST_F(chan, what_is_put_back_behind_a_shut_is_received)
{
	put_back(_metadata, r_fault, SHUT);
}

/* The last receiving end is closed while a select has a message in its hand. */
TEST_F(chan, what_is_put_back_where_nobody_receives_is_dropped)
{
	struct racer r = RACER(r_fault_select, 0, .point = "deliver");
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_begin(&r, false));
	ASSERT_TRUE(parked(e[0], 0, 1));
	EXPECT_EQ(0, now(e[1], 1));
	ASSERT_TRUE(stopped_at("deliver", ANY));
	close(e[0]);
	EXPECT_EQ(-EFAULT, race_finish(&r));
	EXPECT_EQ(1, info_of(e[1]).dropped);
	EXPECT_EQ(0, info_of(e[1]).len);
	close(e[1]);
}

/* Between the last close of the receiving end and the shut there is nobody to send to. */
TEST_F(chan, a_send_while_the_last_receiver_closes)
{
	struct racer r = RACER(r_close, 0, .point = "end");
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_start(&r));
	EXPECT_EQ(0, now(e[1], 1));
	EXPECT_EQ(-EAGAIN, now(e[1], 1));
	EXPECT_EQ(0, race_finish(&r));
	EXPECT_EQ(-EPIPE, now(e[1], 1));
	EXPECT_EQ(1, info_of(e[1]).sent);
	EXPECT_EQ(1, info_of(e[1]).dropped);
	EXPECT_EQ(0, info_of(e[1]).len);
	close(e[1]);
}

/* ---- the lock is dropped on the way through a queue ---- */

static long r_recv4(struct racer *r)
{
	return chan_recv(r->fd, r->buf, 4, -1, r->deadline);
}

static long r_send8(struct racer *r)
{
	return chan_send(r->fd, r->buf, 8, -1, r->deadline);
}

static long r_short(struct racer *r)	/* without room for a message of four bytes */
{
	return chan_recv(r->fd, r->buf, 1, -1, r->deadline);
}

/* @n receives without room wait at @rx. */
static void park_short(struct __test_metadata *_metadata, struct racer *r, int n, int rx)
{
	for (int i = 0; i < n; i++) {
		r[i] = (struct racer)RACER(r_short, rx);
		ASSERT_TRUE(race_begin(&r[i], false));
	}
	ASSERT_TRUE(parked(rx, 0, n));
}

/* They end, told of the message or of the shut: how many of the message. */
static int told_or_shut(struct __test_metadata *_metadata, struct racer *r, int n)
{
	int told = 0;

	for (int i = 0; i < n; i++) {
		long ret = race_end(&r[i]);

		EXPECT_TRUE(ret == -EMSGSIZE || ret == -EPIPE) TH_LOG("%ld", ret);
		told += ret == -EMSGSIZE;
	}
	return told;
}

/*
 * A message has come to rest, and not all who wait without room for it have been told when
 * another takes it: the rest have missed nothing, and wait on.
 */
TEST_F(chan, a_message_is_taken_before_all_who_have_no_room_are_told)
{
	enum { N = 40 };
	struct racer r[N], s = RACER(r_send, 0, .point = "relock", .buf = { 5 });
	int e[2], left;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	s.fd = e[1];
	park_short(_metadata, r, N, e[0]);
	ASSERT_TRUE(race_start(&s));
	left = info_of(e[0]).parked_receivers;
	EXPECT_LT(0, left);
	EXPECT_LT(left, N);
	EXPECT_EQ(5, take(e[0]));
	EXPECT_EQ(0, race_finish(&s));
	EXPECT_EQ(left, info_of(e[0]).parked_receivers);
	EXPECT_EQ(0, chan_shut(e[1], 0));
	EXPECT_EQ(N - left, told_or_shut(_metadata, r, N));
	close2(e);
}

/*
 * A send has come to rest, and not all who have no room for it have been told when a short one
 * comes for which one of them would have room: it waits behind the first.
 */
TEST_F(chan, a_short_send_while_receives_are_told_of_a_long_one)
{
	enum { N = 40 };
	struct racer r[N], with_room = RACER(r_recv4, 0), s = RACER(r_send8, 0, .point = "relock");
	int e[2], v = 7;
	char buf[8];

	memcpy(s.buf, "long one", 8);
	ASSERT_EQ(0, chan_make(e, 8, 0, 0));
	s.fd = e[1];
	with_room.fd = e[0];
	park_short(_metadata, r, N, e[0]);
	ASSERT_TRUE(race_begin(&with_room, false));
	ASSERT_TRUE(parked(e[0], 0, N + 1));
	ASSERT_TRUE(race_start(&s));
	EXPECT_LT(1, info_of(e[0]).parked_receivers);
	EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EMSGSIZE, race_end(&with_room));
	ASSERT_TRUE(go_on("relock", ANY));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(-EMSGSIZE, race_end(&r[i]));
	EXPECT_EQ(8, chan_recv(e[0], buf, 8, -1, CHAN_NOW));
	EXPECT_EQ(0, memcmp(buf, "long one", 8));
	EXPECT_EQ(0, race_end(&s));
	EXPECT_EQ(1, info_of(e[0]).sent);
	close2(e);
}

/*
 * A message has gone to the receive behind many that have no room, and not all of these have
 * been told when the channel is shut: each gets one of the two errors.
 */
TEST_F(chan, a_shut_while_receives_are_told_that_were_passed_by)
{
	enum { N = 40 };
	struct racer r[N], last = RACER(r_recv, 0), s = RACER(r_send, 0, .point = "relock", .buf = { 6 });
	int e[2], left;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	s.fd = e[1];
	last.fd = e[0];
	park_short(_metadata, r, N, e[0]);
	ASSERT_TRUE(race_begin(&last, false));
	ASSERT_TRUE(parked(e[0], 0, N + 1));
	ASSERT_TRUE(race_start(&s));
	EXPECT_EQ(4, race_end(&last));
	EXPECT_EQ(6, number(last.buf));
	left = info_of(e[0]).parked_receivers;
	EXPECT_LT(0, left);
	EXPECT_LT(left, N);
	EXPECT_EQ(0, chan_shut(e[1], 0));
	EXPECT_EQ(0, info_of(e[0]).parked_receivers);
	EXPECT_EQ(0, race_finish(&s));
	EXPECT_EQ(N - left, told_or_shut(_metadata, r, N));
	close2(e);
}

/* ---- messages in a receiver's hand ---- */

enum { LONG = 65536 };

static char long_in[LONG];
static const char long_out[LONG];

static long r_long(struct racer *r)
{
	return chan_recv(r->fd, long_in, LONG, -1, r->deadline);
}

static long r_long_select(struct racer *r)
{
	struct chan_case k = chan_recv_case(r->fd, long_in, LONG);
	int i = chan_select(&k, 1, 0, -1, r->deadline);

	return i < 0 ? i : k.msg.res;
}

static long r_file_select(struct racer *r)	/* the descriptor that comes is @other */
{
	struct chan_case k = chan_recv_case(r->fd, r->buf, 4);
	int i;

	k.msg.fds = &r->other;
	k.msg.nfds = 1;
	i = chan_select(&k, 1, 0, r->under ?: -1, r->deadline);
	return i < 0 ? i : k.msg.res;
}

/*
 * Between the channel and the copy to its receiver a message is charged, whatever becomes of
 * the channel meanwhile: who sends gets the room in the buffer, and no memory for nothing.
 */
TEST_F(chan, a_message_in_hand_is_charged_until_it_is_copied_out)
{
	for (int parks = 0; parks < 2; parks++) {
		long none = bytes_in_use(), empty, hand;
		struct racer r = RACER(r_long, 0, .point = "deliver");
		int e[2];

		ASSERT_LT(0, none);
		ASSERT_EQ(0, chan_make(e, LONG, 1, 0));
		empty = bytes_in_use();
		EXPECT_LT(none + LONG, empty);
		r.fd = e[0];
		if (!parks)
			ASSERT_EQ(0, chan_send(e[1], long_out, LONG, -1, CHAN_NOW));
		ASSERT_TRUE(race_begin(&r, false));
		if (parks) {
			ASSERT_TRUE(parked(e[0], 0, 1));
			ASSERT_EQ(0, chan_send(e[1], long_out, LONG, -1, CHAN_NOW));
		}
		ASSERT_TRUE(stopped_at("deliver", ANY));
		EXPECT_EQ(0, info_of(e[0]).len);
		hand = bytes_in_use();
		EXPECT_LE(empty + LONG, hand);
		EXPECT_EQ(0, chan_send(e[1], long_out, LONG, -1, CHAN_NOW));
		EXPECT_EQ(-EAGAIN, chan_send(e[1], long_out, LONG, -1, CHAN_NOW));
		EXPECT_EQ(hand, bytes_in_use());
		close(e[1]);
		EXPECT_EQ(hand, bytes_in_use());
		EXPECT_EQ(LONG, race_finish(&r));
		EXPECT_EQ(empty, bytes_in_use());
		close(e[0]);
		EXPECT_EQ(none, bytes_in_use());
	}
}

/* The last receiving end goes meanwhile: what is buffered is dropped, what is in hand is not. */
TEST_F(chan, a_message_in_hand_outlives_what_is_discarded)
{
	struct racer r = RACER(r_long_select, 0, .point = "deliver");
	long none = bytes_in_use();
	int e[2];

	ASSERT_EQ(0, chan_make(e, LONG, 2, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_begin(&r, false));
	ASSERT_TRUE(parked(e[0], 0, 1));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, chan_send(e[1], long_out, LONG, -1, CHAN_NOW));
	ASSERT_TRUE(stopped_at("deliver", ANY));
	close(e[0]);
	EXPECT_EQ(1, info_of(e[1]).dropped);
	EXPECT_EQ(LONG, race_finish(&r));
	EXPECT_EQ(1, info_of(e[1]).received);
	EXPECT_EQ(1, info_of(e[1]).dropped);
	close(e[1]);
	EXPECT_EQ(none, bytes_in_use());
}

/*
 * The last receiving end has closed, and its messages are about to be dropped, or are, when a
 * select that holds the channel comes for one: one of the two has it, with its descriptor.
 */
TEST_F(chan, a_message_is_discarded_while_a_select_comes_for_it)
{
	for (int first = 0; first < 2; first++) {
		struct racer r = RACER(r_file_select, 0, .point = "group_attach");
		struct racer c = RACER(r_close, 0, .point = first ? "end" : NULL);
		int e[2], p[2], g = root();
		struct chan_msg m = { .buf = "x", .len = 1, .fds = &p[1], .nfds = 1 };
		struct pollfd hup = { .events = POLLIN };

		ASSERT_EQ(0, chan_make(e, 4, 1, CHAN_FDS));
		ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
		r.fd = c.fd = e[0];
		r.under = g;
		ASSERT_TRUE(race_start(&r));
		ASSERT_EQ(1, chan_sendm(e[1], &m, 1, -1, CHAN_NOW));
		close(p[1]);
		ASSERT_TRUE(race_begin(&c, false));
		if (first) {			/* the select comes between end and discard */
			ASSERT_TRUE(stopped_at("end", ANY));
			EXPECT_EQ(1, race_finish(&r));
			EXPECT_EQ(0, race_finish(&c));
			close(r.other);
		} else {
			EXPECT_EQ(0, race_end(&c));
			EXPECT_EQ(-EPIPE, race_finish(&r));
		}
		EXPECT_EQ(first, info_of(e[1]).received);
		EXPECT_EQ(!first, info_of(e[1]).dropped);
		hup.fd = p[0];
		EXPECT_EQ(1, poll(&hup, 1, PATIENCE));
		EXPECT_EQ(POLLHUP, hup.revents);
		close2((int[]){ p[0], e[1] });
		close(g);
	}
}

/* ---- poll ---- */

TEST_F(chan, a_change_while_a_poller_comes)
{
	static const char *const points[] = { "poll_queued", "poll_looked" };

	for (int i = 0; i < 6; i++) {
		struct racer r = RACER(i / 2 == 1 ? r_room : i / 2 ? r_poll_select : r_poll, 0,
				       .point = points[i % 2]);
		int e[2], never[2];

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		ASSERT_EQ(0, chan_make(never, 4, 0, 0));
		r.fd = e[i / 2 == 1];
		r.other = never[0];
		if (i / 2 == 1)
			EXPECT_EQ(0, now(e[1], 1));
		ASSERT_TRUE(race_start(&r));
		if (i / 2 == 1)
			EXPECT_EQ(1, take(e[0]));
		if (i / 2 != 1)
			EXPECT_EQ(0, now(e[1], 1));
		EXPECT_EQ(i / 2 == 1 ? POLLOUT : i / 2 ? 0 : POLLIN, race_finish(&r)) TH_LOG("%d", i);
		close2(e);
		close2(never);
	}
}

static long r_epoll_add(struct racer *r)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	return epoll_ctl(r->other, EPOLL_CTL_ADD, r->fd, &ev);
}

static long r_epoll(struct racer *r)
{
	struct epoll_event ev;

	return epoll_wait(r->other, &ev, 1, PATIENCE);
}

/* An edge: the change is told once, whether the poller has looked already or not. */
TEST_F(chan, an_edge_while_a_poller_comes)
{
	static const char *const points[] = { "poll_queued", "poll_looked" };

	for (int i = 0; i < 2; i++) {
		struct racer r = RACER(r_epoll_add, 0, .point = points[i]);
		struct epoll_event ev;
		int e[2], ep = epoll_create1(EPOLL_CLOEXEC);

		ASSERT_EQ(0, chan_make(e, 4, 2, 0));
		r.fd = e[0];
		r.other = ep;
		ASSERT_TRUE(race_start(&r));
		EXPECT_EQ(0, now(e[1], 1));
		EXPECT_EQ(0, race_finish(&r));
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, PATIENCE));
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		close(ep);
		close2(e);
	}
}

/* The next message comes while the event of the first is on its way to who waits. */
TEST_F(chan, an_edge_while_an_event_is_handed_out)
{
	struct racer r = RACER(r_epoll, 0, .point = "poll_looked");
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int e[2], ep = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_EQ(0, chan_make(e, 4, 2, 0));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, e[0], &ev));
	r.fd = e[0];
	r.other = ep;
	EXPECT_EQ(0, now(e[1], 1));
	ASSERT_TRUE(race_start(&r));
	EXPECT_EQ(0, now(e[1], 2));
	EXPECT_EQ(1, race_finish(&r));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, PATIENCE));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	close(ep);
	close2(e);
}

/* ---- ->poked ---- */

/* Poked, it finds the message gone, and another comes before it sleeps again. */
TEST_F(chan, a_poke_while_a_select_samples)
{
	static const char *const points[] = { "select_unpoked", "select_sampled" };

	for (int i = 0; i < 2; i++) {
		struct racer r = RACER(r_poll_select, 0);
		int e[2], never[2];

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		ASSERT_EQ(0, chan_make(never, 4, 0, 0));
		r.fd = e[0];
		r.other = never[0];
		ASSERT_TRUE(race_begin(&r, false));
		ASSERT_TRUE(parked(never[0], 0, 1) && asleep(&r.p.tid));
		ASSERT_TRUE(stop_at("select_woken", race_tid(&r), NULL));
		EXPECT_EQ(0, now(e[1], 1));
		ASSERT_TRUE(stopped_at("select_woken", ANY));
		EXPECT_EQ(1, take(e[0]));
		ASSERT_TRUE(stop_at(points[i], race_tid(&r), NULL));
		ASSERT_TRUE(go_on("select_woken", ANY));
		ASSERT_TRUE(stopped_at(points[i], ANY));
		EXPECT_EQ(0, now(e[1], 2));
		ASSERT_TRUE(go_on(points[i], ANY));
		EXPECT_EQ(0, race_end(&r));
		close2(e);
		close2(never);
	}
}

/* At its deadline what it polls is ready, or a peer chooses it, or both. */
TEST_F(chan, a_select_is_poked_or_chosen_at_its_deadline)
{
	for (int what = 1; what < 4; what++) {
		struct racer r = RACER(r_poll_select, 0, .point = "select_woken");
		int e[2], never[2];

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		ASSERT_EQ(0, chan_make(never, 4, 0, 0));
		r.fd = e[0];
		r.other = never[0];
		ASSERT_TRUE(race_start_timed(&r));
		if (what & 2)
			EXPECT_EQ(0, now(never[1], 2));
		if (what & 1)
			EXPECT_EQ(0, now(e[1], 1));
		EXPECT_EQ(what & 2 ? 1 : 0, race_finish(&r));
		EXPECT_EQ(what & 2 ? 2 : 0, number(r.buf));
		EXPECT_EQ(what & 1, info_of(e[0]).len);
		close2(e);
		close2(never);
	}
}

/* ---- armed selects ---- */

static int arm2(int a, int b)
{
	struct chan_case k[2] = { chan_recv_case(a, NULL, 4), chan_recv_case(b, NULL, 4) };

	return chan_arm(k, 2, 0);
}

/* It is chosen when its last close has begun: the message goes back. */
TEST_F(chan, an_armed_select_is_chosen_while_it_is_closed)
{
	struct racer r = RACER(r_close, 0, .point = "armed_release");
	int a[2], b[2];

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	r.fd = arm2(a[0], b[0]);
	ASSERT_LE(0, r.fd);
	ASSERT_TRUE(race_start(&r));
	EXPECT_EQ(0, now(b[1], 5));
	EXPECT_EQ(-EAGAIN, now(a[1], 6));
	EXPECT_EQ(0, race_finish(&r));
	EXPECT_EQ(5, take(b[0]));
	EXPECT_EQ(info_of(b[0]).sent, info_of(b[0]).received);
	EXPECT_TRUE(parked(a[0], 0, 0) && parked(b[0], 0, 0));
	close2(a);
	close2(b);
}

/* It is closed after a peer has chosen it and before that has told anybody. */
TEST_F(chan, an_armed_select_is_closed_before_its_peer_has_told)
{
	struct racer s = RACER(r_send, 0, .point = "armed_done", .buf = { 5 });
	int a[2], b[2], armed;

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	armed = arm2(a[0], b[0]);
	s.fd = a[1];
	ASSERT_TRUE(race_start(&s));
	close(armed);
	EXPECT_EQ(5, take(a[0]));
	EXPECT_TRUE(parked(b[0], 0, 0));
	EXPECT_EQ(0, race_finish(&s));
	close2(a);
	close2(b);
}

/* ... or it is fetched, and closed; the work that takes the other case back comes last. */
TEST_F(chan, an_armed_select_is_fetched_before_it_is_unparked)
{
	int a[2], b[2], armed, v = 0;
	struct chan_case k[2];

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	armed = arm2(a[0], b[0]);
	ASSERT_TRUE(stop_at("unpark", ANY, NULL));
	EXPECT_EQ(0, now(a[1], 5));
	ASSERT_TRUE(stopped_at("unpark", ANY));
	EXPECT_EQ(-EAGAIN, now(b[1], 6));
	k[0] = chan_recv_case(a[0], &v, 4);
	k[1] = chan_recv_case(b[0], &v, 4);
	EXPECT_EQ(0, chan_fired(armed, k, 2));
	EXPECT_EQ(5, v);
	close(armed);
	ASSERT_TRUE(go_on("unpark", ANY));
	EXPECT_TRUE(parked(b[0], 0, 0));
	EXPECT_EQ(-EAGAIN, now(b[1], 6));
	close2(a);
	close2(b);
}

static long r_fired(struct racer *r)
{
	struct chan_case k[2] = { chan_recv_case(0, r->buf, 4), chan_recv_case(0, r->buf, 4) };

	return chan_fired(r->fd, k, 2);
}

/* Two fetch at once: one has it, and the other can come again. */
TEST_F(chan, two_fetch_an_armed_select_at_once)
{
	struct racer x = RACER(r_fired, 0, .point = "armed_fetching"), y = RACER(r_fired, 0);
	int a[2], b[2];

	ASSERT_EQ(0, chan_make(a, 4, 0, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	x.fd = y.fd = arm2(a[0], b[0]);
	EXPECT_EQ(0, now(a[1], 5));
	ASSERT_TRUE(race_start(&x));
	EXPECT_EQ(-EAGAIN, r_fired(&y));
	EXPECT_EQ(POLLIN, events(x.fd));
	EXPECT_EQ(0, race_finish(&x));
	EXPECT_EQ(5, number(x.buf));
	EXPECT_EQ(-EALREADY, r_fired(&y));
	close(x.fd);
	close2(a);
	close2(b);
}

static long r_polls_armed(struct racer *r)
{
	struct chan_case k = { .fd = r->fd, .op = CHAN_POLL, .events = POLLIN };
	int i = chan_select(&k, 1, 0, r->under ?: -1, r->deadline);

	return i ? i : k.revents;
}

/*
 * It is closed unfired while a select comes to poll it: the select learns of that, whether it
 * has looked already, has queued, or is about to sleep.
 */
TEST_F(chan, an_armed_select_is_closed_unfired_while_a_select_comes_to_poll_it)
{
	static const char *const points[] = { "group_attach", "select_queued", "sleep" };

	for (int i = 0; i < 3; i++) {
		int a[2], b[2], armed, g = root();
		struct racer r = RACER(r_polls_armed, 0, .point = points[i], .under = g);

		ASSERT_EQ(0, chan_make(a, 4, 0, 0));
		ASSERT_EQ(0, chan_make(b, 4, 0, 0));
		r.fd = armed = arm2(a[0], b[0]);
		ASSERT_LE(0, armed);
		ASSERT_TRUE(race_start(&r));
		close(armed);
		EXPECT_TRUE(parked(a[0], 0, 0) && parked(b[0], 0, 0));
		EXPECT_EQ(-EAGAIN, now(a[1], 5));
		EXPECT_EQ(POLLHUP, race_finish(&r)) TH_LOG("%s", points[i]);
		EXPECT_GT(r.deadline, chan_after(0)) TH_LOG("%s", points[i]);
		close2(a);
		close2(b);
		close(g);
	}
}

/* A select polls it when its last close has begun: it fires before that is over, or never. */
TEST_F(chan, an_armed_select_that_is_polled_is_chosen_while_it_is_closed)
{
	for (int fires = 0; fires < 2; fires++) {
		struct racer c = RACER(r_close, 0, .point = "armed_release"), r = RACER(r_polls_armed, 0);
		int a[2], b[2];

		ASSERT_EQ(0, chan_make(a, 4, 0, 0));
		ASSERT_EQ(0, chan_make(b, 4, 0, 0));
		c.fd = r.fd = arm2(a[0], b[0]);
		ASSERT_LE(0, c.fd);
		ASSERT_TRUE(race_begin(&r, false));
		ASSERT_TRUE(asleep(&r.p.tid));
		ASSERT_TRUE(race_start(&c));
		EXPECT_EQ(-9999, __atomic_load_n(&r.ret, __ATOMIC_ACQUIRE));
		if (fires) {
			EXPECT_EQ(0, now(b[1], 5));
			EXPECT_EQ(POLLIN, race_end(&r));
		}
		EXPECT_EQ(0, race_finish(&c));
		if (!fires)
			EXPECT_EQ(POLLHUP, race_end(&r));
		EXPECT_GT(r.deadline, chan_after(0));
		EXPECT_EQ(fires ? 5 : -EAGAIN, take(b[0]));
		EXPECT_TRUE(parked(a[0], 0, 0) && parked(b[0], 0, 0));
		close2(a);
		close2(b);
	}
}

TEST_HARNESS_MAIN
