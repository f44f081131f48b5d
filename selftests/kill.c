// SPDX-License-Identifier: MIT
/*
 * SIGKILL at any moment: every message is accounted for, once.
 *
 * Senders take a ticket, note that they try, send it, note how it went. Receivers
 * receive into memory shared with the parent, and count the ticket. Who is killed
 * leaves one ticket in doubt: a sender's was sent or not at all; a receiver's was
 * received and not counted yet, or has gone back to the channel. At rest the
 * channels' own counters say how many of those there were.
 */
#include <sched.h>
#include <sys/prctl.h>

#include "util.h"
#include "harness.h"

#define BIG	3000
#define TICKETS	(1 << 20)
#define WORKERS	6
#define PARTY	5	/* killed before any is replaced */

enum { NONE, TRIED, SENT, REFUSED };

struct ledger {
	int ch[2][2];
	int group;
	unsigned next;
	unsigned char state[TICKETS];	/* by the sender */
	unsigned char count[TICKETS];	/* by receivers */
	unsigned char doubt[TICKETS];	/* by the parent: in a killed receiver's buffer */
	union {
		unsigned ticket;
		char buf[BIG];
	} in[WORKERS][2];
	unsigned in_now[WORKERS];	/* 1 + the buffer that may hold a ticket; 0: counted */
};

static unsigned below(unsigned *seed, unsigned n)
{
	return rand_r(seed) % n;
}

/* ---- workers ---- */

static void send_for_ever(struct ledger *l, unsigned seed)
{
	static const size_t lens[] = { 8, 128, 136, BIG };
	unsigned msg[BIG / 4];

	for (;;) {
		unsigned t = __atomic_add_fetch(&l->next, 1, __ATOMIC_RELAXED);
		size_t len = lens[below(&seed, 4)];
		int i = below(&seed, 2);
		struct chan_case c[2];
		long r;

		if (t >= TICKETS)
			pause();
		msg[0] = msg[len / 4 - 1] = t;
		l->state[t] = TRIED;
		switch (below(&seed, 4)) {
		case 0:
			r = chan_send(l->ch[i][1], msg, len, -1, CHAN_FOREVER);
			break;
		case 1:
			r = chan_send(l->ch[i][1], msg, len, l->group, CHAN_FOREVER);
			break;
		case 2:
			r = write(l->ch[i][1], msg, len);
			r = r < 0 ? -errno : r - (long)len;
			break;
		default:
			c[0] = chan_send_case(l->ch[0][1], msg, len);
			c[1] = chan_send_case(l->ch[1][1], msg, len);
			r = chan_select(c, 2, 0, i ? -1 : l->group, CHAN_FOREVER);
			r = r < 0 ? r : c[r].msg.res;
		}
		l->state[t] = r ? REFUSED : SENT;
		if (r)
			_exit(r != -EPIPE);
	}
}

static void receive_for_ever(struct ledger *l, unsigned me, unsigned seed)
{
	for (;;) {
		int i = below(&seed, 2), form = below(&seed, 4);
		char *in = l->in[me][0].buf;
		struct chan_case c[2];
		unsigned t;
		long r;

		l->in[me][0].ticket = l->in[me][1].ticket = 0;
		l->in_now[me] = 1;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		switch (form) {
		case 0:
			r = chan_recv(l->ch[i][0], in, BIG, -1, CHAN_FOREVER);
			break;
		case 1:
			r = chan_recv(l->ch[i][0], in, BIG, l->group, CHAN_FOREVER);
			break;
		case 2:
			r = read(l->ch[i][0], in, BIG);
			r = r < 0 ? -errno : !r ? -EPIPE : r;
			break;
		default:
			c[0] = chan_recv_case(l->ch[0][0], in, BIG);
			c[1] = chan_recv_case(l->ch[1][0], l->in[me][1].buf, BIG);
			r = chan_select(c, 2, 0, i ? -1 : l->group, CHAN_FOREVER);
			if (r >= 0) {
				in = l->in[me][r].buf;
				r = c[r].msg.res;
			}
		}
		if (r < 0)
			_exit(r != -EPIPE);
		t = *(unsigned *)in;
		if (r < 8 || !t || t >= TICKETS || *(unsigned *)(in + r - 4) != t)
			_exit(2);
		__atomic_add_fetch(&l->count[t], 1, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		l->in_now[me] = 0;
	}
}

static pid_t hire(struct ledger *l, unsigned me, unsigned seed)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (me % 2)
		send_for_ever(l, seed);
	else
		receive_for_ever(l, me, seed);
	_exit(3);
}

/* ---- the parent ---- */

static void note_doubt(struct ledger *l, unsigned me)
{
	if (me % 2 || !l->in_now[me])
		return;
	for (int b = 0; b < 2; b++)
		l->doubt[l->in[me][b].ticket] = 1;
}

/* What is left when all have gone home. */
static void drain(struct __test_metadata *_metadata, struct ledger *l)
{
	unsigned msg[BIG / 4];
	long r;

	for (int i = 0; i < 2; i++) {
		while ((r = chan_recv(l->ch[i][0], msg, BIG, -1, SOON)) > 0) {
			ASSERT_EQ(msg[0], msg[r / 4 - 1]);
			l->count[msg[0]]++;
		}
		ASSERT_EQ(-EPIPE, r);
	}
}

static void audit(struct __test_metadata *_metadata, struct ledger *l, unsigned *unsure)
{
	unsigned last = l->next < TICKETS ? l->next : TICKETS - 1;
	uint64_t counted = 0, must = 0, may = 0, sent = 0, received = 0;

	for (unsigned t = 1; t <= last; t++) {
		ASSERT_GE(1, l->count[t]) TH_LOG("ticket %u came twice", t);
		counted += l->count[t];
		if (l->state[t] == REFUSED || l->state[t] == NONE)
			ASSERT_EQ(0, l->count[t]) TH_LOG("ticket %u came, and was not sent", t);
		if (l->count[t])
			continue;
		if (l->state[t] == SENT) {
			ASSERT_TRUE(l->doubt[t]) TH_LOG("ticket %u was sent, and is lost", t);
			must++;
		}
		may += (l->state[t] == SENT || l->state[t] == TRIED) && l->doubt[t];
	}
	for (int i = 0; i < 2; i++) {
		struct chan_info in = info_of(l->ch[i][0]);

		ASSERT_EQ(in.sent, in.received);
		ASSERT_EQ(0, in.len + in.dropped + in.parked_senders + in.parked_receivers);
		ASSERT_EQ(1, in.senders);
		ASSERT_EQ(1, in.receivers);
		sent += in.sent;
		received += in.received;
	}
	ASSERT_LE(counted + must, received);
	ASSERT_GE(counted + may, received);
	ASSERT_LT(0, counted);
	*unsure += received - counted;
}

/* One pair of channels, so many kills. */
static void massacre(struct __test_metadata *_metadata, struct ledger *l, unsigned kills,
		     unsigned seed, unsigned *unsure)
{
	static const unsigned caps[][2] = { { 0, 0 }, { 1, 0 }, { 0, 7 }, { 2, 1 } };
	pid_t pid[WORKERS];
	int status;

	memset(l, 0, sizeof(*l));
	l->group = chan_group(-1, CHAN_FOREVER, 0, 0);
	ASSERT_LE(0, l->group);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, chan_make(l->ch[i], BIG, caps[seed % 4][i], 0));
	for (unsigned w = 0; w < WORKERS; w++)
		pid[w] = hire(l, w, rand_r(&seed));
	for (unsigned k = 0; k < kills; k += PARTY) {
		unsigned first = below(&seed, WORKERS);

		for (unsigned v = 0; v < PARTY; v++) {
			usleep(below(&seed, 200));
			ASSERT_EQ(0, kill(pid[(first + v) % WORKERS], SIGKILL));
		}
		for (unsigned v = 0; v < PARTY; v++) {
			unsigned w = (first + v) % WORKERS;

			ASSERT_EQ(pid[w], waitpid(pid[w], &status, 0));
			ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
				TH_LOG("worker %u ended by itself: %x", w, status);
			note_doubt(l, w);
			pid[w] = hire(l, w, rand_r(&seed));
		}
	}
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, chan_shut(l->ch[i][1], 0));
	for (unsigned w = 0; w < WORKERS; w++) {
		ASSERT_EQ(pid[w], waitpid(pid[w], &status, 0));
		ASSERT_EQ(0, status);
	}
	drain(_metadata, l);
	audit(_metadata, l, unsure);
	for (int i = 0; i < 2; i++)
		close2(l->ch[i]);
	close(l->group);
}

FIXTURE(killing) { int unused; };
FIXTURE_SETUP(killing) {}
FIXTURE_TEARDOWN(killing) {}

/* D9: 10,000 kills in the full run */
TEST_F_TIMEOUT(killing, at_random_moments_every_message_is_accounted_for, 1200)
{
	unsigned todo = kills(), batch = quick(500, 50), unsure = 0;
	struct sched_param p = { .sched_priority = 10 };
	struct ledger *l = shared(sizeof(*l));

	/* not to be right, but to be quick: the workers leave no processor idle */
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p);

	for (unsigned done = 0; done < todo; done += batch)
		massacre(_metadata, l, batch, done / batch, &unsure);
	TH_LOG("%u kills, %u messages received by who did not live to count them", todo, unsure);
}

/* ---- killed in a known state ---- */

enum { SHORT, UNDER, FILE_IO, SELECT, FORMS };

static long send_as(int form, int fd, const void *buf, size_t len, int group)
{
	struct chan_case c = chan_send_case(fd, buf, len);
	long r;

	switch (form) {
	case SHORT:
		return chan_send(fd, buf, len, -1, CHAN_FOREVER);
	case UNDER:
		return chan_send(fd, buf, len, group, SOON);
	case FILE_IO:
		r = write(fd, buf, len);
		return r < 0 ? -errno : r - (long)len;
	}
	r = chan_select(&c, 1, 0, -1, SOON);
	return r < 0 ? r : c.msg.res;
}

static long recv_as(int form, int fd, void *buf, size_t len, int group)
{
	struct chan_case c = chan_recv_case(fd, buf, len);
	long r;

	switch (form) {
	case SHORT:
		return chan_recv(fd, buf, len, -1, CHAN_FOREVER);
	case UNDER:
		return chan_recv(fd, buf, len, group, SOON);
	case FILE_IO:
		r = read(fd, buf, len);
		return r < 0 ? -errno : r;
	}
	r = chan_select(&c, 1, 0, -1, SOON);
	return r < 0 ? r : c.msg.res;
}

/* A process that does one transfer; a received number is its exit status. */
static pid_t one(bool send, int form, int fd, int val, size_t len, int group)
{
	int msg[BIG / 4];
	pid_t pid = fork();
	long r;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	msg[0] = val;
	r = send ? send_as(form, fd, msg, len, group) : recv_as(form, fd, msg, BIG, group);
	_exit(send ? r != 0 : r == (long)len ? msg[0] : 255);
}

static int status_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int slay(pid_t pid)
{
	kill(pid, SIGKILL);
	return status_of(pid);
}

/* PX-03 */
TEST(a_receiver_killed_while_parked_is_passed_over)
{
	int rounds = count(10000, 200, 16);

	for (int i = 0; i < rounds; i++) {
		size_t len = i & 4 ? BIG : 8;
		int e[2], msg[BIG / 4] = { 1 };
		pid_t a, b;

		ASSERT_EQ(0, chan_make(e, BIG, i & 8 ? 1 : 0, 0));
		int g = chan_group(-1, CHAN_FOREVER, 0, 0);

		a = one(false, i % FORMS, e[0], 0, len, g);
		ASSERT_TRUE(parked(e[0], 0, 1));
		b = one(false, i / 16 % FORMS, e[0], 0, len, g);
		ASSERT_TRUE(parked(e[0], 0, 2));
		EXPECT_EQ(-SIGKILL, slay(a));
		EXPECT_EQ(1, info_of(e[0]).parked_receivers);
		ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		EXPECT_EQ(1, status_of(b));
		EXPECT_EQ(1, info_of(e[0]).received);
		close2(e);
		close(g);
	}
}

/* PX-04 */
TEST(a_sender_killed_while_parked_leaves_no_message)
{
	int rounds = quick(200, 16);

	for (int i = 0; i < rounds; i++) {
		size_t len = i & 4 ? BIG : 8;
		int e[2], d[2], msg[BIG / 4] = { 9 };
		unsigned cap = i & 8 ? 1 : 0;
		pid_t a, b, x;

		ASSERT_EQ(0, chan_make(e, BIG, cap, 0));
		ASSERT_EQ(0, chan_make(d, BIG, 0, 0));
		int g = chan_group(-1, CHAN_FOREVER, 0, 0);

		if (cap)
			ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		a = one(true, i % FORMS, e[1], 1, len, g);
		ASSERT_TRUE(parked(e[0], 1, 0));
		x = fork();
		if (!x) {
			int v = 3;
			struct chan_case c[2] = {
				chan_send_case(e[1], &v, 4), chan_recv_case(d[0], &v, 4),
			};

			chan_select(c, 2, 0, -1, SOON);
			_exit(1);
		}
		ASSERT_TRUE(parked(e[0], 2, 0));
		ASSERT_TRUE(parked(d[0], 0, 1));
		b = one(true, i / 16 % FORMS, e[1], 2, len, g);
		ASSERT_TRUE(parked(e[0], 3, 0));
		EXPECT_EQ(-SIGKILL, slay(a));
		EXPECT_EQ(-SIGKILL, slay(x));
		EXPECT_EQ(1, info_of(e[0]).parked_senders);
		EXPECT_EQ(0, info_of(d[0]).parked_receivers);
		EXPECT_EQ(-EAGAIN, chan_send(d[1], msg, 4, -1, CHAN_NOW));
		for (unsigned k = 0; k <= cap; k++) {
			ASSERT_EQ((long)len, chan_recv(e[0], msg, BIG, -1, CHAN_NOW));
			EXPECT_EQ(k < cap ? 9 : 2, msg[0]);
		}
		EXPECT_EQ(0, status_of(b));
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], msg, BIG, -1, CHAN_NOW));
		EXPECT_EQ(cap + 1, info_of(e[0]).sent);
		EXPECT_EQ(cap + 1, info_of(e[0]).received);
		close2(e);
		close2(d);
		close(g);
	}
}

/*
 * The caller alone runs on this processor from here on, and its children, which
 * stay on it, only while it sleeps. So it can kill one that has been woken.
 */
static bool rule_the_cpu(void)
{
	struct sched_param p = { .sched_priority = 10 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	return !sched_setaffinity(0, sizeof(set), &set) &&
	       !sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p);
}

/* Chosen, then killed before it could copy: back at the head, or to the next */
TEST(a_receiver_killed_after_it_was_chosen_gives_the_message_back)
{
	if (!rule_the_cpu())
		SKIP(return, "no real-time scheduling: %s", strerror(errno));
	for (int i = 0; i < FORMS * 4; i++) {
		size_t len = i & 4 ? BIG : 8;
		int e[2], msg[BIG / 4] = { 77 };
		bool waits = i & 8;
		struct chan_info in;
		pid_t a, b = 0;

		ASSERT_EQ(0, chan_make(e, BIG, 0, 0));
		int g = chan_group(-1, CHAN_FOREVER, 0, 0);

		a = one(false, i % FORMS, e[0], 0, len, g);
		ASSERT_TRUE(parked(e[0], 0, 1));
		if (waits) {
			b = one(false, i % FORMS, e[0], 0, len, g);
			ASSERT_TRUE(parked(e[0], 0, 2));
		}
		ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		EXPECT_EQ(-SIGKILL, slay(a));
		msg[0] = 0;
		if (waits) {
			EXPECT_EQ(77, status_of(b));
		} else {
			EXPECT_EQ(1, info_of(e[0]).len);
			EXPECT_EQ(0, info_of(e[0]).received);
			EXPECT_EQ((long)len, chan_recv(e[0], msg, BIG, -1, CHAN_NOW));
			EXPECT_EQ(77, msg[0]);
		}
		in = info_of(e[0]);
		EXPECT_EQ(1, in.sent);
		EXPECT_EQ(1, in.received);
		EXPECT_EQ(0, in.dropped);
		close2(e);
		close(g);
	}
}

/* Its message was taken, then it was killed: taken it stays, once */
TEST(a_sender_killed_after_its_message_was_taken_has_sent_it)
{
	if (!rule_the_cpu())
		SKIP(return, "no real-time scheduling: %s", strerror(errno));
	for (int i = 0; i < FORMS * 4; i++) {
		size_t len = i & 4 ? BIG : 8;
		unsigned cap = i & 8 ? 1 : 0;
		int e[2], msg[BIG / 4] = { 60 };
		pid_t a;

		ASSERT_EQ(0, chan_make(e, BIG, cap, 0));
		int g = chan_group(-1, CHAN_FOREVER, 0, 0);

		if (cap)
			ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		a = one(true, i % FORMS, e[1], 60 + cap, len, g);
		ASSERT_TRUE(parked(e[0], 1, 0));
		ASSERT_EQ((long)len, chan_recv(e[0], msg, BIG, -1, CHAN_NOW));
		EXPECT_EQ(60, msg[0]);
		EXPECT_EQ(-SIGKILL, slay(a));
		if (cap) {
			ASSERT_EQ((long)len, chan_recv(e[0], msg, BIG, -1, CHAN_NOW));
			EXPECT_EQ(61, msg[0]);
		}
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], msg, BIG, -1, CHAN_NOW));
		EXPECT_EQ(cap + 1, info_of(e[0]).sent);
		EXPECT_EQ(cap + 1, info_of(e[0]).received);
		close2(e);
		close(g);
	}
}

/* One Rule: all ends go with the process, and the other side learns of it */
TEST(a_killed_process_ends_its_sides)
{
	int rounds = quick(200, 16);

	for (int i = 0; i < rounds; i++) {
		int e[2], v = 5, side = i & 1;
		pid_t a;

		ASSERT_EQ(0, chan_make(e, 4, i & 2 ? 1 : 0, 0));
		a = fork();
		if (!a) {
			close(e[!side]);
			for (;;)
				pause();
		}
		close(e[side]);
		EXPECT_EQ(1, side ? info_of(e[0]).senders : info_of(e[1]).receivers);
		kill(a, SIGKILL);
		if (side) {
			EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, SOON));
		} else {
			long r = chan_send(e[1], &v, 4, -1, SOON);

			/* the first may have been buffered before the end */
			EXPECT_EQ(-EPIPE, r ? r : chan_send(e[1], &v, 4, -1, SOON));
		}
		EXPECT_EQ(-SIGKILL, status_of(a));
		EXPECT_EQ(EOWNERDEAD, side ? info_of(e[0]).send_err : info_of(e[1]).recv_err);
		close(e[!side]);
	}
}

TEST_HARNESS_MAIN
