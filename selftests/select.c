// SPDX-License-Identifier: MIT
/* Select: which case is done, what it answers, and what the others keep. */
#include "util.h"
#include "harness.h"

#define NOBODY ((void *)8)	/* no memory there */

static int64_t now(void)
{
	return chan_after(0);
}

/* SE-01, SE-15, NP-01: nothing to choose from waits for the deadline, the group or nothing */
struct idle { struct chan_case k[2]; unsigned n; int under; int ret; };

static int idle_select(void *arg)
{
	struct idle *s = arg;

	s->ret = chan_select(s->k, s->n, 0, s->under, SOON);
	return 0;
}

TEST(nothing_to_choose_waits_for_deadline_and_group)
{
	for (int form = 0; form < 2; form++) {
		struct idle s = { .n = form * 2, .under = -1 };
		struct timespec cpu0, cpu1;
		struct party p;
		int64_t t0, ran = INT64_MAX;

		s.k[0] = chan_recv_case(-1, NULL, 0);
		s.k[1] = chan_send_case(-1, NOBODY, 4);
		EXPECT_EQ(-EAGAIN, chan_select(s.k, s.n, 0, -1, CHAN_NOW));
		EXPECT_EQ(EAGAIN, errno);
		EXPECT_EQ(-ETIMEDOUT, chan_select(s.k, s.n, 0, -1, -1));
		/* time in which the host runs something else counts as this thread's */
		for (int tries = 0; tries < 5 && ran >= 50 * MS; tries++) {
			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu0);
			t0 = now();
			EXPECT_EQ(-ETIMEDOUT, chan_select(s.k, s.n, 0, -1, t0 + 100 * MS));
			EXPECT_LE(t0 + 100 * MS, now());
			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu1);
			ran = (cpu1.tv_sec - cpu0.tv_sec) * 1000 * MS + cpu1.tv_nsec - cpu0.tv_nsec;
		}
		EXPECT_GT(50 * MS, ran);

		s.under = chan_group(-1, CHAN_FOREVER, 0, 0);
		ASSERT_TRUE(party_start(&p, false, idle_select, &s));
		ASSERT_TRUE(asleep(&p.tid));
		EXPECT_EQ(0, chan_cancel(s.under, 0, NULL));
		party_end(&p);
		EXPECT_EQ(-ECANCELED, s.ret);
		close(s.under);
		s.under = chan_group(-1, chan_after(20 * MS), 0, 0);
		EXPECT_EQ(-ETIMEDOUT, chan_select(s.k, s.n, 0, s.under, SOON));
		close(s.under);
	}
}

/* SE-02, SE-05, SE-15: the ready one, not the default, and nothing of the other */
TEST(ready_case_is_done_and_the_other_untouched)
{
	struct chan_case k[2], was;
	int a[2], b[2], v = 42, got = -1, canary = 77;

	ASSERT_EQ(0, chan_make(a, 4, 1, 0));
	ASSERT_EQ(0, chan_make(b, 4, 0, 0));
	k[0] = chan_recv_case(b[0], &canary, 4);
	k[0].msg.res = 1234;
	k[0].revents = 5;
	was = k[0];
	k[1] = chan_send_case(a[1], &v, 4);
	EXPECT_EQ(1, chan_select(k, 2, 0, -1, CHAN_NOW));
	EXPECT_EQ(0, k[1].msg.res);
	EXPECT_EQ(4, k[1].msg.len);
	EXPECT_EQ(1, (int)info_of(a[0]).len);
	k[1] = chan_recv_case(a[0], &got, 4);
	k[1].msg.nfds = 0;
	EXPECT_EQ(1, chan_select(k, 2, 0, -1, CHAN_FOREVER));
	EXPECT_EQ(4, k[1].msg.res);
	EXPECT_EQ(42, got);
	EXPECT_EQ(77, canary);
	EXPECT_EQ(0, memcmp(&was, &k[0], sizeof(was)));
	EXPECT_EQ(-EAGAIN, chan_select(k, 2, 0, -1, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_select(k, 2, 0, -1, chan_after(10 * MS)));
	EXPECT_EQ(0, memcmp(&was, &k[0], sizeof(was)));
	EXPECT_EQ(0, (int)info_of(a[0]).parked_receivers);
	EXPECT_EQ(0, (int)info_of(b[0]).parked_receivers);
	close2(a);
	close2(b);
}

TEST(length_received_is_told_and_may_be_less_than_the_room)
{
	char buf[16];
	struct chan_case k;
	int e[2];

	ASSERT_EQ(0, chan_make(e, 300, 4, 0));
	for (int len = 0; len < 3; len++) {
		memset(buf, 'x', sizeof(buf));
		ASSERT_EQ(0, chan_send(e[1], "ab", len, -1, CHAN_NOW));
		k = chan_recv_case(e[0], buf, sizeof(buf));
		ASSERT_EQ(0, chan_select(&k, 1, 0, -1, CHAN_NOW));
		EXPECT_EQ(len, k.msg.res);
		EXPECT_EQ(len, k.msg.len);
		EXPECT_EQ(0, memcmp(buf, "ab", len));
		EXPECT_EQ('x', buf[len]);
	}
	close2(e);
}

/* SE-06: one real operation among idle and nil ones, in every order */
static int permute(int *order, int n, int nth)
{
	for (int i = 0; i < n; i++)
		order[i] = i;
	for (int i = 0; i < n; i++) {
		int left = n - i, j = i + nth % left, t = order[i];

		nth /= left;
		order[i] = order[j];
		order[j] = t;
	}
	return nth == 0;
}

TEST(one_real_case_in_every_company_and_order)
{
	int c[2], idle[2], next = 0, got, junk = 7;

	ASSERT_EQ(0, chan_make(c, 4, 1, 0));
	ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
	struct chan_case all[5] = {
		[1] = chan_send_case(idle[1], &junk, 4), chan_recv_case(idle[0], &junk, 4),
		chan_send_case(-1, &junk, 4), chan_recv_case(-1, &junk, 4),
	};

	for (int mask = 0; mask < 16; mask++) {
		int pick[5] = { 0 }, n = 1, order[5];

		for (int i = 0; i < 4; i++)
			if (mask & 1 << i)
				pick[n++] = i + 1;
		for (int p = 0; permute(order, n, p); p++) {
			struct chan_case k[5];
			int real = -1;

			for (int op = 0; op < 2; op++) {
				got = -1;
				all[0] = op ? chan_recv_case(c[0], &got, 4) :
					 chan_send_case(c[1], &next, 4);
				for (int i = 0; i < n; i++) {
					k[i] = all[pick[order[i]]];
					if (!order[i])
						real = i;
				}
				ASSERT_EQ(real, chan_select(k, n, p & 2 ? CHAN_PRIO : 0, -1,
							    p & 1 ? CHAN_NOW : SOON));
				ASSERT_EQ(op ? 4 : 0, k[real].msg.res);
			}
			ASSERT_EQ(next++, got);
			ASSERT_EQ(0, (int)info_of(c[0]).len);
		}
	}
	EXPECT_EQ(7, junk);
	EXPECT_EQ(0, (int)info_of(idle[0]).sent);
	close2(c);
	close2(idle);
}

/* SE-07: buffers of cases that are not done are never touched, not even looked at */
TEST(destinations_not_chosen_are_never_touched)
{
	int idle[2], x = 99;

	ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
	struct chan_case all[8] = {
		chan_send_case(idle[1], &x, 4), chan_send_case(-1, NOBODY, 4),
		chan_recv_case(idle[0], NULL, 4), chan_recv_case(-1, NULL, 4),
		chan_recv_case(idle[0], &x, 4), chan_recv_case(-1, &x, 4),
		chan_recv_case(idle[0], NOBODY, 4), chan_recv_case(-1, NOBODY, 4),
	};

	for (int mask = 0; mask < 256; mask++) {
		struct chan_case k[8];
		int n = 0;

		for (int i = 0; i < 8; i++)
			if (mask & 1 << i)
				k[n++] = all[i];
		ASSERT_EQ(-EAGAIN, chan_select(k, n, 0, -1, CHAN_NOW));
		if (mask % 32 == 31)
			ASSERT_EQ(-ETIMEDOUT, chan_select(k, n, 0, -1, chan_after(MS)));
	}
	EXPECT_EQ(99, x);
	EXPECT_EQ(0, (int)info_of(idle[0]).parked_receivers);
	EXPECT_EQ(0, (int)info_of(idle[0]).parked_senders);
	close2(idle);
}

/* SE-03, SE-11, CL-04: a shut channel is ready, with the error in res */
TEST(shut_channel_is_ready_with_its_error)
{
	for (int err = 0; err < 2; err++) {
		int e[2], idle[2], v = 5, got = 77;
		struct chan_case k[2];

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_shut(e[1], err ? EIO : 0));
		for (int round = 0; round < 3; round++) {
			k[0] = chan_recv_case(e[0], &got, 4);
			k[1] = chan_recv_case(idle[0], &v, 4);
			ASSERT_EQ(0, chan_select(k, 2, 0, -1, round == 2 ? CHAN_FOREVER : CHAN_NOW));
			EXPECT_EQ(round ? (err ? -ECONNRESET : -EPIPE) : 4, k[0].msg.res);
			EXPECT_EQ(4, k[0].msg.len);
			EXPECT_EQ(5, got);
		}
		k[0] = chan_recv_case(e[0], NULL, 0);
		EXPECT_EQ(0, chan_select(k, 1, 0, -1, CHAN_NOW));
		EXPECT_EQ(err ? -ECONNRESET : -EPIPE, k[0].msg.res);
		k[0] = chan_send_case(e[1], &v, 4);
		EXPECT_EQ(0, chan_select(k, 2, 0, -1, CHAN_FOREVER));
		EXPECT_EQ(-EPIPE, k[0].msg.res);
		EXPECT_EQ(1, (int)info_of(e[0]).sent);
		close2(e);
		close2(idle);
	}
}

/* SE-11: a parked case is completed by a send, a receive, a shut or the end of its channel */
struct one { struct chan_case k[2]; int v, ret; };

static int run_one(void *arg)
{
	struct one *o = arg;

	o->ret = chan_select(o->k, 2, 0, -1, SOON);
	return 0;
}

TEST(parked_case_is_done_by_whatever_makes_it_ready)
{
	enum { MEET, SHUT, SHUT_ERR, SHUT_OTHER, ENDS };
	static const int want[2][4] = {
		{ 4, -EPIPE, -ECONNRESET, -EPIPE }, { 0, -EPIPE, -EPIPE, -EPIPE },
	};

	for (int send = 0; send < 2; send++) {
		for (int how = MEET; how < ENDS; how++) {
			struct one o = { .v = send ? 11 : -1 };
			int e[2], idle[2], v = 12;
			struct party p;

			ASSERT_EQ(0, chan_make(e, 4, 0, 0));
			ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
			o.k[0] = chan_recv_case(idle[0], NOBODY, 4);
			o.k[1] = send ? chan_send_case(e[1], &o.v, 4) :
				 chan_recv_case(e[0], &o.v, 4);
			ASSERT_TRUE(party_start(&p, false, run_one, &o));
			ASSERT_TRUE(parked(e[0], send, !send));
			ASSERT_TRUE(parked(idle[0], 0, 1));
			if (how != MEET) {
				EXPECT_EQ(0, chan_shut(e[how != SHUT_OTHER], how == SHUT_ERR ? 5 : 0));
			} else if (send) {
				EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
			} else {
				EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
			}
			party_end(&p);
			EXPECT_EQ(1, o.ret);
			EXPECT_EQ(want[send][how], o.k[1].msg.res);
			EXPECT_EQ(how == MEET && !send ? 12 : send ? 11 : -1, o.v);
			EXPECT_EQ(how == MEET && send ? 11 : 12, v);
			EXPECT_EQ(how == MEET, (int)info_of(e[0]).sent);
			EXPECT_TRUE(parked(idle[0], 0, 0));
			close2(e);
			close2(idle);
		}
	}
}

/* SE-12, NP-01, NP-02: a bad descriptor fails the whole call before anything happens */
TEST(bad_descriptor_fails_the_whole_call)
{
	int full[2], room[2], p[2], g, v = 8, got = 77;

	ASSERT_EQ(0, chan_make(full, 4, 1, 0));
	ASSERT_EQ(0, chan_make(room, 4, 1, 0));
	ASSERT_EQ(0, chan_send(full[1], &v, 4, -1, CHAN_NOW));
	ASSERT_EQ(0, pipe(p));
	g = chan_group(-1, CHAN_FOREVER, 0, 0);
	int closed = dup(full[0]);

	close(closed);
	struct { int fd, op, err; } bad[] = {
		{ closed, CHAN_RECV, -EBADF }, { 9999, CHAN_SEND, -EBADF }, { -2, CHAN_RECV, -EBADF },
		{ p[0], CHAN_RECV, -ENOTTY }, { p[1], CHAN_SEND, -ENOTTY },
		{ full[0], CHAN_SEND, -EBADF }, { full[1], CHAN_RECV, -EBADF },
		{ g, CHAN_RECV, -EBADF }, { full[0], 77, -EINVAL },
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (int at = 0; at < 3; at++) {
			struct chan_case k[3];
			int n = 0;

			for (int j = 0; j < 3; j++) {
				k[j] = j == at ? chan_recv_case(bad[i].fd, &got, 4) :
				       n++ ? chan_send_case(room[1], &v, 4) :
				       chan_recv_case(full[0], &got, 4);
				if (j == at)
					k[j].op = bad[i].op;
			}
			EXPECT_EQ(bad[i].err, chan_select(k, 3, 0, -1, CHAN_NOW)) {
				TH_LOG("descriptor %u at %d", i, at);
			}
			EXPECT_EQ(-bad[i].err, errno);
			EXPECT_EQ(bad[i].err, chan_select(k, 3, CHAN_PRIO, -1, CHAN_FOREVER));
		}
	}
	EXPECT_EQ(77, got);
	EXPECT_EQ(1, (int)info_of(full[0]).len);
	EXPECT_EQ(0, (int)info_of(room[0]).sent);
	close(g);
	close2(full);
	close2(room);
	close2(p);
}

TEST(impossible_calls_are_refused)
{
	static struct chan_case k[1025];
	int e[2], v = 3, got = 77;
	void *ro;

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	for (int i = 0; i < 1025; i++)
		k[i] = chan_recv_case(e[0], &got, 4);
	EXPECT_EQ(-EINVAL, chan_select(k, 1025, 0, -1, CHAN_NOW));
	EXPECT_EQ(-EINVAL, chan_select(k, UINT32_MAX, 0, -1, CHAN_NOW));
	EXPECT_EQ(-EINVAL, chan_select(k, 1, 1U << 31, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, chan_select(NULL, 1, 0, -1, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_select(k, 1, 0, 9999, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_select(k, 1, 0, -2, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_select(k, 1, 0, e[0], CHAN_NOW));
	/* where no result can be stored nothing is done */
	ro = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(ro, k, sizeof(k[0]));
	mprotect(ro, 4096, PROT_READ);
	EXPECT_EQ(-EFAULT, chan_select(ro, 1, 0, -1, CHAN_NOW));
	EXPECT_EQ(77, got);
	EXPECT_EQ(1, (int)info_of(e[0]).len);
	EXPECT_LE(0, chan_select(k, 1024, 0, -1, CHAN_NOW));
	EXPECT_EQ(3, got);
	munmap(ro, 4096);
	close2(e);
}

/* Cases are judged one after the other, wherever what names them ends. The library reads the first. */
TEST(of_several_bad_cases_the_first_counts)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int e[2], n = 20, got = 77;

	ASSERT_EQ(0, mprotect(page + 4096, 4096, PROT_NONE));
	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	for (int there = 1; there < n; there++) {
		struct chan_case *k = (struct chan_case *)(page + 4096) - there;

		for (int bad = 0; bad < n; bad++) {
			for (int i = 0; i < there; i++)
				k[i] = chan_recv_case(i == bad ? 9999 : e[0], &got, 4);
			for (int wait = 0; wait < 2; wait++)
				EXPECT_EQ(bad < there ? -EBADF : -EFAULT,
					  chan_select(k, n, 0, -1, wait ? SOON : CHAN_NOW));
		}
	}
	EXPECT_TRUE(parked(e[0], 0, 0));
	EXPECT_EQ(77, got);
	munmap(page, 8192);
	close2(e);
}

/* Duplicates: as many cases wait as there are, one is done, none is left behind */
struct wide { struct chan_case k[1024]; int got[1024], ret; };

static int run_wide(void *arg)
{
	struct wide *w = arg;

	w->ret = chan_select(w->k, 1024, 0, -1, SOON);
	return 0;
}

TEST(a_thousand_cases_of_one_channel_do_one)
{
	static struct wide w;
	struct party p;
	int e[2], v = 9, seen = 0;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int i = 0; i < 1024; i++)
		w.k[i] = chan_recv_case(e[0], &w.got[i], 4);
	ASSERT_TRUE(party_start(&p, false, run_wide, &w));
	ASSERT_TRUE(parked(e[0], 0, 1024));
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	party_end(&p);
	ASSERT_LE(0, w.ret);
	for (int i = 0; i < 1024; i++)
		seen += w.got[i] == 9;
	EXPECT_EQ(1, seen);
	EXPECT_EQ(9, w.got[w.ret]);
	EXPECT_TRUE(parked(e[0], 0, 0));
	EXPECT_EQ(1, (int)info_of(e[0]).received);
	close2(e);
}

/* A message that its case can't take, or a bad buffer: the index, the error, and it stays */
TEST(case_that_cannot_be_done_answers_with_its_error)
{
	char small[2], big[9] = "12345678";
	struct chan_case k[2];
	int e[2], idle[2], v;

	ASSERT_EQ(0, chan_make(e, 8, 1, 0));
	ASSERT_EQ(0, chan_make(idle, 8, 0, 0));
	k[1] = chan_recv_case(idle[0], &v, 4);
	k[0] = chan_send_case(e[1], big, 9);
	EXPECT_EQ(0, chan_select(k, 2, 0, -1, CHAN_NOW));
	EXPECT_EQ(-EMSGSIZE, k[0].msg.res);
	k[0] = chan_send_case(e[1], NOBODY, 8);
	EXPECT_EQ(0, chan_select(k, 2, 0, -1, CHAN_FOREVER));
	EXPECT_EQ(-EFAULT, k[0].msg.res);
	EXPECT_EQ(0, (int)info_of(e[0]).sent);
	ASSERT_EQ(0, chan_send(e[1], big, 8, -1, CHAN_NOW));
	k[0] = chan_recv_case(e[0], small, 2);
	EXPECT_EQ(0, chan_select(k, 2, 0, -1, CHAN_NOW));
	EXPECT_EQ(-EMSGSIZE, k[0].msg.res);
	k[0] = chan_recv_case(e[0], NOBODY, 8);
	EXPECT_EQ(0, chan_select(k, 2, 0, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, k[0].msg.res);
	EXPECT_EQ(1, (int)info_of(e[0]).len);
	EXPECT_EQ(0, (int)info_of(e[0]).received);
	EXPECT_EQ(8, chan_recv(e[0], big, 8, -1, CHAN_NOW));
	/* full, and with a drop */
	close2(e);
	ASSERT_EQ(0, chan_make(e, 8, 1, CHAN_DROP_NEW));
	for (int i = 0; i < 2; i++) {
		k[0] = chan_send_case(e[1], big, 8);
		EXPECT_EQ(0, chan_select(k, 2, 0, -1, CHAN_NOW));
		EXPECT_EQ(i, k[0].msg.res);
	}
	close2(e);
	close2(idle);
}

TEST(parked_case_that_cannot_take_the_message_leaves_it_to_the_next)
{
	for (int fault = 0; fault < 2; fault++) {
		struct one o = {};
		struct party p;
		struct op r = {};
		int e[2], idle[2], v = 31;
		char small[2];

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		ASSERT_EQ(0, chan_make(idle, 4, 0, 0));
		o.k[0] = chan_recv_case(idle[0], NOBODY, 4);
		o.k[1] = fault ? chan_recv_case(e[0], NOBODY, 4) : chan_recv_case(e[0], small, 2);
		ASSERT_TRUE(party_start(&p, false, run_one, &o));
		ASSERT_TRUE(parked(e[0], 0, 1));
		r.fd = e[0];
		pthread_create(&r.t, NULL, op_recv, &r);
		ASSERT_TRUE(parked(e[0], 0, 2));
		EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		party_end(&p);
		pthread_join(r.t, NULL);
		EXPECT_EQ(1, o.ret);
		EXPECT_EQ(fault ? -EFAULT : -EMSGSIZE, o.k[1].msg.res);
		EXPECT_EQ(4, r.ret);
		EXPECT_EQ(31, r.val);
		EXPECT_EQ(1, (int)info_of(e[0]).sent);
		EXPECT_EQ(1, (int)info_of(e[0]).received);
		EXPECT_EQ(0, (int)info_of(e[0]).len);
		close2(e);
		close2(idle);
	}
}

/* The order of what may hold at once: own faults, the group, ready, would wait, too late */
TEST(ended_group_wins_over_ready_and_faults_over_both)
{
	int e[2], v = 6, got = 77, ended, late;
	struct chan_case k[2];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	ended = chan_group(-1, CHAN_FOREVER, 0, 0);
	ASSERT_EQ(0, chan_cancel(ended, ETIMEDOUT, "by hand"));
	late = chan_group(-1, -1, 0, 0);
	k[0] = chan_recv_case(e[0], &got, 4);
	k[1] = chan_recv_case(9999, &got, 4);
	EXPECT_EQ(-ECANCELED, chan_select(k, 1, 0, ended, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_select(k, 1, 0, late, CHAN_FOREVER));
	EXPECT_EQ(-EBADF, chan_select(k, 2, 0, ended, CHAN_NOW));
	EXPECT_EQ(-ECANCELED, chan_select(k, 0, 0, ended, CHAN_NOW));
	EXPECT_EQ(77, got);
	EXPECT_EQ(1, (int)info_of(e[0]).len);
	EXPECT_EQ(0, chan_select(k, 1, 0, -1, INT64_MIN));	/* late, but tried once */
	EXPECT_EQ(6, got);
	EXPECT_EQ(-ETIMEDOUT, chan_select(k, 1, 0, -1, INT64_MIN));
	EXPECT_EQ(-ETIMEDOUT, chan_select(k, 1, 0, -1, now()));
	EXPECT_EQ(-EAGAIN, chan_select(k, 1, 0, -1, CHAN_NOW));
	close(ended);
	close(late);
	close2(e);
}

/* The group ends while the select waits under it, or under a watch of it: by hand,
 * by its deadline, by its last owner's close */
struct watched { struct chan_case k; int under, owner, got, ret; };

static int run_watched(void *arg)
{
	struct watched *w = arg;

	if (w->owner >= 0)
		close(w->owner);
	w->ret = chan_select(&w->k, 1, 0, w->under, SOON);
	return 0;
}

TEST(group_that_ends_takes_a_parked_select_back)
{
	for (int process = 0; process < 2; process++) {
		for (int how = 0; how < 3; how++) {
			struct watched *w = shared(sizeof(*w));
			struct party p;
			int e[2], v = 4, g;

			ASSERT_EQ(0, chan_make(e, 4, 0, 0));
			g = chan_group(-1, how == 1 ? chan_after(1500 * MS) : CHAN_FOREVER, 0, 0);
			w->under = chan_watch(g);
			w->k = chan_recv_case(e[0], &w->got, 4);
			w->owner = process ? g : -1;	/* a child must hold no owner */
			ASSERT_TRUE(party_start(&p, process, run_watched, w));
			ASSERT_TRUE(parked(e[0], 0, 1));
			if (how == 0)
				EXPECT_EQ(0, chan_cancel(g, EIO, NULL));
			if (how == 2)
				close(g);
			party_end(&p);
			EXPECT_EQ(how == 1 ? -ETIMEDOUT : -ECANCELED, w->ret);
			EXPECT_TRUE(parked(e[0], 0, 0));
			EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
			if (how != 2)
				close(g);
			close(w->under);
			close2(e);
		}
	}
}

TEST_HARNESS_MAIN
