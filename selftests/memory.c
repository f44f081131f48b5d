// SPDX-License-Identifier: MIT
/*
 * Memory order: plain memory, shared by threads or by processes, with nothing but
 * channels and groups to order it. Each test is a sentence of the memory model.
 */
#include <stdio.h>

#include "util.h"
#include "harness.h"

#define MANY	150		/* channels or groups, each used once */

struct common {
	int e[2], f[2], n, slots;
	int a[8], b[8];
	unsigned char buf[8][256];
	long count;
	int v[MANY], tx[MANY], rx[MANY], group[MANY], watch[MANY], member[MANY];
	bool process;
};

FIXTURE(memory) { struct common *c; struct party p; };
FIXTURE_VARIANT(memory) { bool proc; };
FIXTURE_VARIANT_ADD(memory, threads) { .proc = false };
FIXTURE_VARIANT_ADD(memory, processes) { .proc = true };
FIXTURE_SETUP(memory)
{
	self->c = shared(sizeof(struct common));
	ASSERT_NE(NULL, self->c);
	self->c->process = variant->proc;
}
FIXTURE_TEARDOWN(memory)
{
	munmap(self->c, sizeof(struct common));
}

/*
 * A rendezvous orders both ways: the sender's memory for the receiver, and what the
 * receiver did before it received for the sender. Two places in turn: the other side
 * may be one round ahead, not two.
 */
static int receive_rounds(void *arg)
{
	struct common *c = arg;

	for (int i = 1, k; i <= c->n; i++) {
		c->b[i % 2] = i;
		WANT(chan_recv(c->e[0], &k, sizeof(k), -1, SOON) == sizeof(k) && k == i);
		WANT(c->a[i % 2] == i);
	}
	return 0;
}

static int send_rounds(void *arg)
{
	struct common *c = arg;

	for (int i = 1; i <= c->n; i++) {
		c->a[i % 2] = i;
		WANT(!chan_send(c->e[1], &i, sizeof(i), -1, SOON));
		WANT(c->b[i % 2] == i);
	}
	return 0;
}

/* MM-01 */
TEST_F(memory, rendezvous_orders_both_sides)
{
	self->c->n = count(1000000, 30000, 3000);
	ASSERT_EQ(0, chan_make(self->c->e, sizeof(int), 0, 0));
	ASSERT_TRUE(party_start(&self->p, variant->proc, receive_rounds, self->c));
	EXPECT_EQ(0, send_rounds(self->c));
	EXPECT_EQ(0, party_end(&self->p));
	EXPECT_EQ(self->c->n, info_of(self->c->e[0]).received);
	close2(self->c->e);
}

/*
 * A message is seen with all that was written before it; and the receive of k+1
 * happens before send k+1+C completes: C+2 buffers in turn are enough.
 */
static int fill_buffers(void *arg)
{
	struct common *c = arg;

	for (int i = 0; i < c->n; i++) {
		memset(c->buf[i % c->slots], i, sizeof(c->buf[0]));
		WANT(!chan_send(c->e[1], &i, sizeof(i), -1, SOON));
	}
	return 0;
}

static int check_buffers(struct common *c)
{
	for (int i = 0, k; i < c->n; i++) {
		WANT(chan_recv(c->e[0], &k, sizeof(k), -1, SOON) == sizeof(k) && k == i);
		for (unsigned j = 0; j < sizeof(c->buf[0]); j++)
			WANT(c->buf[k % c->slots][j] == (unsigned char)k);
	}
	return 0;
}

/* MM-02 */
TEST_F(memory, messages_and_room_hand_buffers_over)
{
	for (int cap = 1; cap <= 4; cap += 3) {
		self->c->n = quick(20000, 2000);
		self->c->slots = cap + 2;
		ASSERT_EQ(0, chan_make(self->c->e, sizeof(int), cap, 0));
		ASSERT_TRUE(party_start(&self->p, variant->proc, fill_buffers, self->c));
		EXPECT_EQ(0, check_buffers(self->c));
		EXPECT_EQ(0, party_end(&self->p));
		close2(self->c->e);
	}
}

/* A sum that is right only if nobody else is at it. */
static void add_slowly(struct common *c)
{
	long was = c->count;

	if (was % 8 == 0)
		usleep(50);
	c->count = was + 1;
}

/* Lock is a send into the one place, unlock a receive. */
static int add_locked(void *arg)
{
	struct common *c = arg;
	char b;

	for (int i = 0; i < c->n; i++) {
		WANT(!chan_send(c->e[1], "x", 1, -1, SOON));
		add_slowly(c);
		WANT(chan_recv(c->e[0], &b, 1, -1, SOON) == 1);
	}
	return 0;
}

static int add_locked_by_select(void *arg)
{
	struct common *c = arg;
	char b;

	for (int i = 0; i < c->n; i++) {
		struct chan_case s[2] = {
			chan_send_case(c->e[1], "x", 1), chan_recv_case(c->f[0], &b, 1),
		};

		WANT(chan_select(s, 2, 0, -1, SOON) == 0);
		add_slowly(c);
		s[0] = chan_recv_case(c->e[0], &b, 1);
		WANT(chan_select(s, 2, 0, -1, SOON) == 0);
	}
	return 0;
}

/* MM-08 */
TEST_F(memory, a_channel_is_a_mutex)
{
	struct party p[2];

	self->c->n = count(1000000, 20000, 2000);
	ASSERT_EQ(0, chan_make(self->c->e, 1, 1, 0));
	ASSERT_EQ(0, chan_make(self->c->f, 1, 0, 0));
	ASSERT_TRUE(party_start(&p[0], variant->proc, add_locked, self->c));
	ASSERT_TRUE(party_start(&p[1], variant->proc, add_locked_by_select, self->c));
	EXPECT_EQ(0, add_locked(self->c));
	EXPECT_EQ(0, party_end(&p[0]));
	EXPECT_EQ(0, party_end(&p[1]));
	EXPECT_EQ(3L * self->c->n, self->c->count);
	EXPECT_EQ(0, info_of(self->c->e[0]).len);
	close2(self->c->e);
	close2(self->c->f);
}

/* The second of each pair is sent by a sender that mostly waits for room. */
static int send_pairs(void *arg)
{
	struct common *c = arg;

	for (int i = 0; i < c->n; i++) {
		WANT(!chan_send(c->e[1], &(int){ -1 }, sizeof(int), -1, SOON));
		c->a[i % 8] = i;
		WANT(!chan_send(c->e[1], &i, sizeof(i), -1, SOON));
	}
	return 0;
}

/* MM-09 */
TEST_F(memory, a_parked_senders_memory_comes_with_its_message)
{
	struct common *c = self->c;
	int k, none;

	c->n = count(100000, 20000, 2000);
	ASSERT_EQ(0, chan_make(c->e, sizeof(int), 1, 0));
	ASSERT_EQ(0, chan_make(c->f, sizeof(int), 0, 0));
	ASSERT_TRUE(party_start(&self->p, variant->proc, send_pairs, c));
	for (int i = 0; i < c->n; i++) {
		struct chan_case s[2] = { chan_recv_case(c->e[0], &k, sizeof(k)),
					  chan_recv_case(c->f[0], &none, sizeof(none)) };

		ASSERT_EQ(4, chan_recv(c->e[0], &k, sizeof(k), -1, SOON));
		ASSERT_EQ(-1, k);
		if (i % 2) {
			ASSERT_EQ(0, chan_select(s, 2, 0, -1, SOON));
		} else {
			ASSERT_EQ(4, chan_recv(c->e[0], &k, sizeof(k), -1, SOON));
		}
		ASSERT_EQ(i, k);
		ASSERT_EQ(i, c->a[k % 8]);
	}
	EXPECT_EQ(0, party_end(&self->p));
	close2(c->e);
	close2(c->f);
}

/* A request brings the sending end for its answer along. */
static int serve(void *arg)
{
	struct common *c = arg;
	int reply, k;
	struct chan_msg m;

	for (int i = 0; i < c->n; i++) {
		m = (struct chan_msg){ .buf = &k, .len = sizeof(k), .fds = &reply, .nfds = 1 };
		WANT(chan_recvm(c->e[0], &m, 1, -1, SOON) == 1 && m.nfds == 1);
		c->a[0] = k;
		WANT(!chan_send(reply, "x", 1, -1, SOON));
		close(reply);
	}
	return 0;
}

/* MM-07 */
TEST_F(memory, work_is_seen_with_its_reply)
{
	struct common *c = self->c;
	char b;

	c->n = quick(2000, 300);
	ASSERT_EQ(0, chan_make(c->e, sizeof(int), 0, CHAN_FDS));
	ASSERT_TRUE(party_start(&self->p, variant->proc, serve, c));
	for (int i = 1; i <= c->n; i++) {
		struct chan_msg m = { .buf = &i, .len = sizeof(i), .nfds = 1 };
		int reply[2];

		ASSERT_EQ(0, chan_make(reply, 1, 1, 0));
		m.fds = &reply[1];
		ASSERT_EQ(1, chan_sendm(c->e[1], &m, 1, -1, SOON));
		close(reply[1]);
		ASSERT_EQ(1, chan_recv(reply[0], &b, 1, -1, SOON));
		ASSERT_EQ(i, c->a[0]);
		/* the server's was the last */
		ASSERT_EQ(-ECONNRESET, chan_recv(reply[0], &b, 1, -1, SOON));
		close(reply[0]);
	}
	EXPECT_EQ(0, party_end(&self->p));
	close2(c->e);
}

/* ---- ends: each happens before anyone sees it ---- */

static bool make_many(struct common *c)
{
	for (int i = 0; i < MANY; i++) {
		int e[2];

		if (chan_make(e, 1, i % 2, 0))
			return false;
		c->rx[i] = e[0];
		c->tx[i] = e[1];
	}
	return true;
}

/* A process lets go of what it has only inherited. */
static void close_mine(struct common *c, int *fd)
{
	for (int i = 0; c->process && i < MANY; i++)
		close(fd[i]);
}

static int see_senders_end(void *arg)
{
	struct common *c = arg;
	char b;

	close_mine(c, c->tx);
	for (int i = 0; i < MANY; i++) {
		WANT(chan_recv(c->rx[i], &b, 1, -1, SOON) == (i % 3 ? -EPIPE : -ECONNRESET));
		WANT(c->v[i] == i + 1);
	}
	return 0;
}

/* MM-04 */
TEST_F(memory, a_shut_or_a_last_close_is_seen_after_what_was_before)
{
	struct common *c = self->c;

	ASSERT_TRUE(make_many(c));
	ASSERT_TRUE(party_start(&self->p, variant->proc, see_senders_end, c));
	for (int i = 0; i < MANY; i++) {
		c->v[i] = i + 1;
		ASSERT_EQ(0, i % 3 ? chan_shut(c->tx[i], 0) : close(c->tx[i]));
	}
	EXPECT_EQ(0, party_end(&self->p));
	for (int i = 0; i < MANY; i++) {
		close(c->rx[i]);
		if (i % 3)
			close(c->tx[i]);
	}
}

static int see_receivers_end(void *arg)
{
	struct common *c = arg;
	int r;

	close_mine(c, c->rx);
	for (int i = 0; i < MANY; i++) {
		do	/* a buffered channel has room at first */
			r = chan_send(c->tx[i], "x", 1, -1, SOON);
		while (!r);
		WANT(r == -EPIPE);
		WANT(c->v[i] == i + 1);
	}
	return 0;
}

TEST_F(memory, senders_see_what_was_before_the_receivers_end)
{
	struct common *c = self->c;

	ASSERT_TRUE(make_many(c));
	ASSERT_TRUE(party_start(&self->p, variant->proc, see_receivers_end, c));
	for (int i = 0; i < MANY; i++) {
		c->v[i] = i + 1;
		ASSERT_EQ(0, i % 3 ? chan_shut(c->rx[i], 0) : close(c->rx[i]));
	}
	EXPECT_EQ(0, party_end(&self->p));
	for (int i = 0; i < MANY; i++) {
		close(c->tx[i]);
		if (i % 3)
			close(c->rx[i]);
	}
}

static bool make_groups(struct common *c, unsigned flags)
{
	for (int i = 0; i < MANY; i++) {
		c->group[i] = chan_group(-1, CHAN_FOREVER, flags, 0);
		c->watch[i] = chan_watch(c->group[i]);
		if (c->group[i] < 0 || c->watch[i] < 0)
			return false;
	}
	return true;
}

static int see_groups_end(void *arg)
{
	struct common *c = arg;
	struct chan_group_info g;
	struct pollfd p;
	char b;

	close_mine(c, c->group);
	for (int i = 0; i < MANY; i++) {
		struct chan_case s = chan_recv_case(c->e[0], &b, 1);

		switch (i % 4) {
		case 0:
			WANT(chan_recv(c->e[0], &b, 1, c->watch[i], SOON) == -ECANCELED);
			break;
		case 1:
			WANT(chan_select(&s, 1, 0, c->watch[i], SOON) == -ECANCELED);
			break;
		case 2:
			p = (struct pollfd){ .fd = c->watch[i], .events = POLLIN };
			WANT(poll(&p, 1, PATIENCE) == 1);
			break;
		case 3:
			do
				WANT(!chan_group_info(c->watch[i], &g, sizeof(g)));
			while (g.state == CHAN_LIVE);
			break;
		}
		WANT(c->v[i] == i + 1);
	}
	return 0;
}

TEST_F(memory, the_end_of_a_group_is_seen_after_what_was_before)
{
	struct common *c = self->c;

	ASSERT_EQ(0, chan_make(c->e, 1, 0, 0));
	ASSERT_TRUE(make_groups(c, 0));
	ASSERT_TRUE(party_start(&self->p, variant->proc, see_groups_end, c));
	for (int i = 0; i < MANY; i++) {
		c->v[i] = i + 1;
		ASSERT_EQ(0, i % 3 ? chan_cancel(c->group[i], 0, NULL) : close(c->group[i]));
	}
	EXPECT_EQ(0, party_end(&self->p));
	for (int i = 0; i < MANY; i++) {
		close(c->watch[i]);
		if (i % 3)
			close(c->group[i]);
	}
	close2(c->e);
}

static int work_and_leave(void *arg)
{
	struct common *c = arg;

	close_mine(c, c->group);
	for (int i = 0; i < MANY; i++) {
		c->v[i] = i + 1;
		if (i % 3)
			WANT(!chan_leave(c->member[i], 0, NULL));
		close(c->member[i]);
	}
	return 0;
}

/* A crash is a leave too. */
TEST_F(memory, a_leave_is_before_the_wait_it_releases)
{
	struct common *c = self->c;
	int first;

	ASSERT_TRUE(make_groups(c, 0));
	for (int i = 0; i < MANY; i++) {
		c->member[i] = chan_join(c->group[i], -1, CHAN_NOW);
		ASSERT_LE(0, c->member[i]);
	}
	ASSERT_TRUE(party_start(&self->p, variant->proc, work_and_leave, c));
	close_mine(c, c->member);
	for (int i = 0; i < MANY; i++) {
		ASSERT_EQ(0, chan_wait(c->group[i], &first, -1, SOON));
		ASSERT_EQ(i % 3 ? 0 : EOWNERDEAD, first);
		ASSERT_EQ(i + 1, c->v[i]);
	}
	EXPECT_EQ(0, party_end(&self->p));
	for (int i = 0; i < MANY; i++) {
		close(c->group[i]);
		close(c->watch[i]);
	}
}

/* With one place, who joins comes after who left. */
static int add_as_member(void *arg)
{
	struct common *c = arg;

	for (int i = 0; i < c->n; i++) {
		int m = chan_join(c->group[0], -1, SOON);

		WANT(m >= 0);
		add_slowly(c);
		WANT(!chan_leave(m, 0, NULL));
		close(m);
	}
	return 0;
}

TEST_F(memory, one_place_is_a_mutex)
{
	struct common *c = self->c;

	c->n = quick(5000, 500);
	c->group[0] = chan_group(-1, CHAN_FOREVER, 0, 1);
	ASSERT_LE(0, c->group[0]);
	ASSERT_TRUE(party_start(&self->p, variant->proc, add_as_member, c));
	EXPECT_EQ(0, add_as_member(c));
	EXPECT_EQ(0, party_end(&self->p));
	EXPECT_EQ(2L * c->n, c->count);
	close(c->group[0]);
}

/* What was done before a value was set is seen with it. */
static int set_values(void *arg)
{
	struct common *c = arg;

	for (int i = 0; i < MANY; i++) {
		c->v[i] = i + 1;
		WANT(!chan_value_set(c->group[0], (char[]){ 'a' + i / 20, 'a' + i % 20, 0 }, "", 0));
	}
	return 0;
}

TEST_F(memory, a_value_is_seen_after_what_was_before)
{
	struct common *c = self->c;
	int below;

	c->group[0] = chan_group(-1, CHAN_FOREVER, 0, 0);
	below = chan_group(c->group[0], CHAN_FOREVER, 0, 0);
	ASSERT_TRUE(party_start(&self->p, variant->proc, set_values, c));
	for (int i = 0; i < MANY; i++) {
		char key[] = { 'a' + i / 20, 'a' + i % 20, 0 };
		int64_t until = SOON;
		int r;

		while ((r = chan_value_get(below, key, NULL, 0)) == -ENODATA)
			ASSERT_LT(chan_after(0), until);
		ASSERT_EQ(0, r);
		ASSERT_EQ(i + 1, c->v[i]);
	}
	EXPECT_EQ(0, party_end(&self->p));
	close(below);
	close(c->group[0]);
}

TEST_HARNESS_MAIN
