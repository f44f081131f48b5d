// SPDX-License-Identifier: MIT
/*
 * Many senders, receivers and selects, in threads and in processes, among kills,
 * signals, deadlines, cancelled groups and shuts: every message is accounted for.
 * Counters are in shared memory, so they outlive whoever is killed.
 */
#include "util.h"
#include "harness.h"

#define CHANS	3
#define SENDERS	4
#define TAKERS	4
#define SEQS	(1 << 16)
#define GROUPS	16	/* the calls of one in four run under the one of the moment */

/* One message: who sent it, and its number among those of that sender. */
struct msg { int from, seq; char fill[200]; };

struct storm {
	int e[CHANS][2], root, group[GROUPS], gen;
	bool process, kills;
	int killed;
	unsigned seed;
	int stop;
	/* of each sender: numbered before the call, counted after it returned */
	int next[SENDERS];
	long sent[SENDERS], dropped;
	/* times each message was received; and what was wrong */
	unsigned char seen[SENDERS][SEQS];
	int bad;
};
struct actor { struct storm *s; int id; unsigned rnd; };

static unsigned draw(struct actor *a, unsigned n)
{
	a->rnd = a->rnd * 1103515245 + 12345;
	return (a->rnd >> 16) % n;
}

static int64_t some_deadline(struct actor *a)
{
	static const int64_t us[] = { 0, 5, 50, 500, 5000 };
	unsigned i = draw(a, 6);

	return i == 5 ? SOON : i ? chan_after(us[i] * 1000) : CHAN_NOW;
}

static size_t size_of(int seq)
{
	return seq % 3 ? 8 : sizeof(struct msg);	/* in a slot, and in a packet */
}

static bool complain(struct storm *s, int why)
{
	__atomic_store_n(&s->bad, why, __ATOMIC_RELAXED);
	return false;
}

static int group_now(struct storm *s)
{
	return s->group[__atomic_load_n(&s->gen, __ATOMIC_RELAXED)];
}

/* Was this error one that may be met here? */
static bool fair_error(struct storm *s, int r)
{
	return r == -EAGAIN || r == -ETIMEDOUT || r == -ECANCELED || r == -EINTR ||
	       complain(s, -r);
}

static int sender(void *arg)
{
	struct actor *a = arg;
	struct storm *s = a->s;
	struct msg m = { .from = a->id };

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE) && s->next[a->id] < SEQS - 1) {
		int under = draw(a, 4) ? -1 : group_now(s), r, ch = draw(a, CHANS);

		m.seq = __atomic_add_fetch(&s->next[a->id], 1, __ATOMIC_RELAXED);
		memset(m.fill, m.seq, sizeof(m.fill));
		if (draw(a, 2)) {
			r = chan_send(s->e[ch][1], &m, size_of(m.seq), under, some_deadline(a));
		} else {
			struct chan_case k[CHANS];

			for (int i = 0; i < CHANS; i++)
				k[i] = chan_send_case(s->e[i][1], &m, size_of(m.seq));
			r = chan_select(k, CHANS, 0, under, some_deadline(a));
			r = r < 0 ? r : k[r].msg.res;
		}
		if (r == -EPIPE)
			return 0;
		if (r < 0 && !fair_error(s, r))
			return 1;
		if (r >= 0)
			__atomic_add_fetch(&s->sent[a->id], 1, __ATOMIC_RELAXED);
		if (r == 1)
			__atomic_add_fetch(&s->dropped, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

static bool take(struct storm *s, const struct msg *m, long len, int *last)
{
	if (m->from < 0 || m->from >= SENDERS || m->seq < 1 || m->seq >= SEQS)
		return complain(s, 1000);
	if (len != (long)size_of(m->seq) || (len > 8 && m->fill[199] != (char)m->seq))
		return complain(s, 1001);
	/* what one receiver gets of one sender on one channel keeps its order */
	if (last && m->seq <= last[m->from])
		return complain(s, 1002);
	if (last)
		last[m->from] = m->seq;
	if (__atomic_fetch_add(&s->seen[m->from][m->seq], 1, __ATOMIC_RELAXED))
		return complain(s, 1003);
	return true;
}

static int taker(void *arg)
{
	struct actor *a = arg;
	struct storm *s = a->s;
	int last[CHANS][SENDERS] = {}, ended = 0;

	while (ended != (1 << CHANS) - 1) {
		int under = draw(a, 4) ? -1 : group_now(s), ch = draw(a, CHANS), r;
		struct chan_case k[CHANS];
		struct msg m[CHANS];

		if (draw(a, 2)) {
			r = chan_recv(s->e[ch][0], &m[ch], sizeof(*m), under, some_deadline(a));
		} else {
			for (int i = 0; i < CHANS; i++)
				k[i] = chan_recv_case(ended & 1 << i ? -1 : s->e[i][0], &m[i],
						      sizeof(*m));
			ch = chan_select(k, CHANS, 0, under, some_deadline(a));
			r = ch < 0 ? ch : k[ch].msg.res;
		}
		if (r == -EPIPE && ch >= 0)
			ended |= 1 << ch;
		else if (r < 0 && !fair_error(s, r))
			return 1;
		/* a killed receiver puts back what it can't take: then order may differ */
		else if (r >= 0 && !take(s, &m[ch], r, s->kills ? NULL : last[ch]))
			return 2;
	}
	return 0;
}

static void ignore(int sig)
{
}

/* One of all is killed and replaced, or gets a signal; now and then a group ends. */
static bool disturb(struct storm *s, struct actor *a, struct party *p, struct actor *self, int n)
{
	int i = draw(self, n);

	if (s->kills && draw(self, 2)) {
		kill(p[i].pid, SIGKILL);
		party_end(&p[i]);
		a[i].rnd = draw(self, 1 << 15);
		if (!party_start(&p[i], true, i < SENDERS ? sender : taker, &a[i]))
			return false;
		s->killed++;
	} else if (s->process) {
		kill(p[i].pid, SIGUSR1);
	} else {
		pthread_kill(p[i].t, SIGUSR1);
	}
	if (!draw(self, 8) && s->gen < GROUPS - 1) {
		chan_cancel(s->group[s->gen], 0, NULL);
		__atomic_add_fetch(&s->gen, 1, __ATOMIC_RELAXED);
	}
	return true;
}

/* What is left when all have ended: sent = received + dropped + len, and who is it */
static void account(struct __test_metadata *_metadata, struct storm *s)
{
	long sent = 0, received = 0, dropped = 0, counted = 0, twice = 0, seen = 0;
	struct msg m;
	long r;

	for (int i = 0; i < CHANS; i++) {
		struct chan_info in = info_of(s->e[i][0]);

		EXPECT_EQ(in.sent, in.received + in.dropped + in.len);
		EXPECT_EQ(0, in.parked_senders + in.parked_receivers);
		while ((r = chan_recv(s->e[i][0], &m, sizeof(m), -1, CHAN_NOW)) > 0)
			if (!take(s, &m, r, NULL))
				break;
		EXPECT_EQ(-EPIPE, r);
		in = info_of(s->e[i][0]);
		sent += in.sent;
		received += in.received;
		dropped += in.dropped;
		EXPECT_EQ(0, in.len);
	}
	EXPECT_EQ(0, s->bad) {
		TH_LOG("seed %u", s->seed);
	}
	for (int i = 0; i < SENDERS; i++) {
		counted += s->sent[i];
		for (int j = 0; j < SEQS; j++) {
			seen += s->seen[i][j] != 0;
			twice += s->seen[i][j] > 1;
		}
	}
	EXPECT_EQ(0, twice);
	/* who is killed between a call and its count leaves one uncounted, at most */
	EXPECT_TRUE(sent >= counted && sent <= counted + s->killed);
	EXPECT_TRUE(received >= seen && received <= seen + s->killed);
	EXPECT_TRUE(dropped >= s->dropped && dropped <= s->dropped + s->killed);
	EXPECT_EQ(sent, received + dropped);
	EXPECT_LT(100, received);
}

static bool taken_by(struct storm *s, uint64_t least)
{
	uint64_t n = 0;

	for (int i = 0; i < CHANS; i++)
		n += info_of(s->e[i][0]).received;
	return n >= least;
}

static void storm(struct __test_metadata *_metadata, bool process, bool kills)
{
	static const unsigned flags[CHANS] = { 0, 0, CHAN_DROP_NEW }, caps[CHANS] = { 0, 3, 5 };
	struct storm *s = shared(sizeof(*s));
	struct actor *a = shared((SENDERS + TAKERS) * sizeof(*a)), self;
	struct party p[SENDERS + TAKERS];
	struct sigaction act = { .sa_handler = ignore };
	int rounds = quick(process ? 150 : 300, 50);

	sigaction(SIGUSR1, &act, NULL);
	s->process = process;
	s->kills = kills;
	s->seed = chan_after(0) / 1000;
	self = (struct actor){ .s = s, .rnd = s->seed };
	for (int i = 0; i < CHANS; i++)
		ASSERT_EQ(0, chan_make(s->e[i], sizeof(struct msg), caps[i], flags[i]));
	s->root = chan_group(-1, CHAN_FOREVER, 0, 0);
	for (int i = 0; i < GROUPS; i++)
		s->group[i] = chan_group(s->root, CHAN_FOREVER, 0, 0);
	for (int i = 0; i < SENDERS + TAKERS; i++) {
		a[i] = (struct actor){ s, i % SENDERS, s->seed + 77 * i };
		ASSERT_TRUE(party_start(&p[i], process, i < SENDERS ? sender : taker, &a[i]));
	}
	/* so long that something was done also where the host is busy */
	for (int i = 0; i < rounds || !taken_by(s, 101); i++) {
		usleep(2000 + draw(&self, 3000));
		ASSERT_TRUE(disturb(s, a, p, &self, SENDERS + TAKERS));
	}
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
	if (s->seed & 1)
		chan_cancel(s->root, 0, NULL);
	for (int i = 0; i < SENDERS; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	for (int i = 0; i < CHANS; i++)
		EXPECT_EQ(0, chan_shut(s->e[i][1], 0));
	for (int i = SENDERS; i < SENDERS + TAKERS; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	account(_metadata, s);
	for (int i = 0; i < CHANS; i++)
		close2(s->e[i]);
	for (int i = 0; i < GROUPS; i++)
		close(s->group[i]);
	close(s->root);
}

TEST(threads_with_signals_deadlines_and_cancels_lose_nothing)
{
	storm(_metadata, false, false);
}

TEST(processes_with_signals_and_deadlines_lose_nothing)
{
	storm(_metadata, true, false);
}

TEST(processes_killed_at_random_lose_only_their_own)
{
	storm(_metadata, true, true);
}

/* Channels that are shut while all is under way: what was sent is received, no more */
struct brief { int e[2]; long sent, received; };

static int brief_send(void *arg)
{
	struct brief *b = arg;
	int r, v = 5;

	while (!(r = chan_send(b->e[1], &v, 4, -1, SOON)))
		__atomic_add_fetch(&b->sent, 1, __ATOMIC_RELAXED);
	return r != -EPIPE;
}

static int brief_recv(void *arg)
{
	struct brief *b = arg;
	int v, r;
	struct chan_case k;

	do {
		k = chan_recv_case(b->e[0], &v, 4);
		r = chan_select(&k, 1, 0, -1, SOON);
		r = r < 0 ? r : k.msg.res;
		if (r == 4)
			__atomic_add_fetch(&b->received, 1, __ATOMIC_RELAXED);
	} while (r == 4);
	return r != -EPIPE;
}

TEST(shuts_among_all_that_is_under_way)
{
	for (int i = 0; i < quick(200, 40); i++) {
		struct brief *b = shared(sizeof(*b));
		struct party p[4];
		bool process = i % 4 == 3;

		ASSERT_EQ(0, chan_make(b->e, 4, i % 3, 0));
		for (int j = 0; j < 4; j++)
			ASSERT_TRUE(party_start(&p[j], process, j < 2 ? brief_send : brief_recv, b));
		usleep(i * 37 % 1000);
		ASSERT_EQ(0, chan_shut(b->e[i & 1], 0));
		for (int j = 0; j < 4; j++)
			ASSERT_EQ(0, party_end(&p[j]));
		ASSERT_EQ(b->sent, b->received);
		ASSERT_EQ(b->sent, (long)info_of(b->e[0]).sent);
		ASSERT_EQ(0, (int)info_of(b->e[0]).len);
		close2(b->e);
		munmap(b, sizeof(*b));
	}
}

TEST_HARNESS_MAIN
