// SPDX-License-Identifier: MIT
/* Calls that never wait, messages of no bytes, and the rendezvous. */
#include <sched.h>
#include <sys/resource.h>

#include "quota.h"
#include "harness.h"

THREADS_AND_PROCESSES(nonblock);

struct sized {
	int fd;
	size_t size;
	char data[64];
	long ret;
};

static int sized_send(void *arg)
{
	struct sized *s = arg;

	s->ret = chan_send(s->fd, s->data, s->size, -1, SOON);
	return 0;
}

static int sized_recv(void *arg)
{
	struct sized *s = arg;

	s->ret = chan_recv(s->fd, s->data, sizeof(s->data), -1, SOON);
	return 0;
}

/* NB-01, CH-01, CH-02 */
TEST_F(nonblock, it_succeeds_exactly_if_a_partner_or_room_is_there)
{
	size_t sizes[] = { 0, 1, 4, 8, 16, 40 };
	struct sized *s = shared(sizeof(*s));
	char out[64], msg[64] = "123hello again, and more than that, to forty";

	for (int k = 0; k < 12; k++) {
		int e[2], cap = k & 1;
		size_t n = sizes[k / 2];
		struct party p;

		ASSERT_EQ(0, chan_make(e, 64, cap, 0));
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], out, 64, -1, CHAN_NOW));
		*s = (struct sized){ .fd = e[0] };
		ASSERT_TRUE(party_start(&p, variant->proc, sized_recv, s));
		ASSERT_TRUE(parked(e[0], 0, 1));
		EXPECT_EQ(0, chan_send(e[1], msg, n, -1, CHAN_NOW));
		EXPECT_EQ(0, party_end(&p));
		EXPECT_EQ((long)n, s->ret);
		EXPECT_EQ(0, memcmp(msg, s->data, n));

		for (int i = 0; i < cap; i++)
			EXPECT_EQ(0, chan_send(e[1], msg, n, -1, CHAN_NOW));
		EXPECT_EQ(-EAGAIN, chan_send(e[1], msg, n, -1, CHAN_NOW));
		*s = (struct sized){ .fd = e[1], .size = n };
		memcpy(s->data, msg, n);
		ASSERT_TRUE(party_start(&p, variant->proc, sized_send, s));
		ASSERT_TRUE(parked(e[0], 1, 0));
		EXPECT_EQ(-EAGAIN, chan_send(e[1], msg, n, -1, CHAN_NOW));
		EXPECT_EQ(cap, (int)info_of(e[0]).len);
		for (int i = 0; i <= cap; i++) {
			memset(out, 0xff, sizeof(out));
			EXPECT_EQ((long)n, chan_recv(e[0], out, 64, -1, CHAN_NOW));
			EXPECT_EQ(0, memcmp(msg, out, n));
			EXPECT_EQ((char)0xff, out[n]);
		}
		EXPECT_EQ(0, party_end(&p));
		EXPECT_EQ(0, s->ret);
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], out, 64, -1, CHAN_NOW));
		close2(e);
	}
}

/* NB-02, NB-03 */
TEST(a_select_that_takes_what_is_ready_until_nothing_is)
{
	for (int first = 0; first < 2; first++) {
		int a[2], b[2], got = 0, rounds = 0, r;
		int value[2] = { 1, 2 };

		ASSERT_EQ(-EAGAIN, chan_select(NULL, 0, 0, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_make(a, 4, 1, 0));
		ASSERT_EQ(0, chan_make(b, 4, 1, 0));
		struct chan_case c[2] = { chan_send_case(first ? -1 : a[1], &value[0], 4),
					  chan_send_case(b[1], &value[1], 4) };

		while ((r = chan_select(c, 2, 0, -1, CHAN_NOW)) >= 0) {
			EXPECT_EQ(0, c[r].msg.res);
			c[r].fd = -1;
			rounds++;
		}
		EXPECT_EQ(-EAGAIN, r);
		EXPECT_EQ(first ? 1 : 2, rounds);
		EXPECT_EQ(first ? -EAGAIN : 4, chan_recv(a[0], &got, 4, -1, CHAN_NOW));
		if (!first)
			EXPECT_EQ(1, got);
		EXPECT_EQ(4, chan_recv(b[0], &got, 4, -1, CHAN_NOW));
		EXPECT_EQ(2, got);
		close2(a);
		close2(b);
	}
}

struct instant { int go[2], c[2][2], n; };

static int judge(void *arg)
{
	struct instant *s = arg;
	int v, w;

	for (int i = 0; i < s->n; i++) {
		struct chan_case c[2] = { chan_recv_case(s->c[i & 1][0], &v, 4),
					  chan_recv_case(s->c[!(i & 1)][0], &v, 4) };

		if (chan_recv(s->go[0], &w, 4, -1, SOON) != 4 ||
		    chan_select(c, 2, i & 2 ? CHAN_PRIO : 0, -1, CHAN_NOW) < 0)
			return 1;
		if (chan_send(s->go[1], &w, 4, -1, SOON))	/* answers on the same channel */
			return 2;
	}
	return 0;
}

/* NB-04: there is never an instant at which both are empty */
TEST_F(nonblock, a_select_judges_all_its_channels_at_one_instant)
{
	struct instant *s = shared(sizeof(*s));
	int n = count(100000, 20000, 500), ask[2], answer[2], v = 0;
	struct party p;

	ASSERT_EQ(0, chan_make(ask, 4, 1, 0));
	ASSERT_EQ(0, chan_make(answer, 4, 1, 0));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, chan_make(s->c[i], 4, 1, 0));
	s->go[0] = ask[0];
	s->go[1] = answer[1];
	s->n = variant->proc ? n / 2 : n;
	ASSERT_TRUE(party_start(&p, variant->proc, judge, s));
	for (int i = 0; i < s->n; i++) {
		int full = i / 4 & 1;

		ASSERT_EQ(0, chan_send(s->c[full][1], &v, 4, -1, CHAN_NOW));
		ASSERT_EQ(0, chan_send(ask[1], &v, 4, -1, CHAN_NOW));
		for (int spin = i % 50; spin; spin--)
			__asm__ volatile("" ::: "memory");
		ASSERT_EQ(0, chan_send(s->c[!full][1], &v, 4, -1, CHAN_NOW));
		chan_recv(s->c[full][0], &v, 4, -1, CHAN_NOW);
		ASSERT_EQ(4, chan_recv(answer[0], &v, 4, -1, SOON))
			TH_LOG("round %d", i);
		for (int k = 0; k < 2; k++)
			while (chan_recv(s->c[k][0], &v, 4, -1, CHAN_NOW) == 4)
				;
	}
	EXPECT_EQ(0, party_end(&p));
	close2(ask);
	close2(answer);
}

/* ZS-01 */
TEST_F(nonblock, tokens_have_no_bytes_and_are_told_from_the_end)
{
	struct sized *s = shared(sizeof(*s));

	for (int cap = 0; cap < 2; cap++) {
		struct party p;
		int e[2];

		ASSERT_EQ(0, chan_make(e, 0, cap, 0));
		EXPECT_EQ(-EMSGSIZE, chan_send(e[1], "x", 1, -1, CHAN_NOW));
		*s = (struct sized){ .fd = e[0], .ret = -1 };
		ASSERT_TRUE(party_start(&p, variant->proc, sized_recv, s));
		ASSERT_TRUE(parked(e[0], 0, 1));
		EXPECT_EQ(0, chan_send(e[1], NULL, 0, -1, SOON));
		EXPECT_EQ(0, party_end(&p));
		EXPECT_EQ(0, s->ret);
		if (cap)
			EXPECT_EQ(0, chan_send(e[1], NULL, 0, -1, CHAN_NOW));
		EXPECT_EQ(0, chan_shut(e[1], 0));
		if (cap)
			EXPECT_EQ(0, chan_recv(e[0], NULL, 0, -1, CHAN_NOW));
		EXPECT_EQ(-EPIPE, chan_recv(e[0], NULL, 0, -1, CHAN_NOW));
		close2(e);
	}
}

static int live_files(void)
{
	FILE *f = fopen("/sys/module/kchan/refcnt", "r");
	int n = -1;

	if (f && fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* ZS-04: dropped with messages in them and without */
TEST(channels_of_every_size_come_and_go)
{
	int sizes[] = { 1, 8, 0, 32, 40, 4096 }, n = count(10000, 1000, 200), start = live_files(), e[2];
	static char msg[4096];

	ASSERT_LE(0, start);
	for (int k = 0; k < 6; k++)
		for (int i = 0; i < n; i++) {
			ASSERT_EQ(0, chan_make(e, sizes[k], 8, 0));
			for (int m = 0; m < i % 9; m++)
				ASSERT_EQ(0, chan_send(e[1], msg, sizes[k], -1, CHAN_NOW));
			if (i == 5)	/* they are counted */
				EXPECT_EQ(start + 2, live_files());
			close(e[i & 1]);
			close(e[!(i & 1)]);
		}
	EXPECT_EQ(start, live_files());
}

/* Memory of the kernel's that can't be taken back, in KiB. */
static long kernel_memory(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	long kib = -1;
	char line[100];

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "SUnreclaim: %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}

/* In a process, so that its end drops what it has not closed. */
static int make_and_drop(void *arg)
{
	struct rlimit most = { 65536, 65536 };
	int n = *(int *)arg, e[2];

	WANT(!setrlimit(RLIMIT_NOFILE, &most));
	for (int i = 0; i < n; i++) {
		WANT(!chan_make(e, 8, 10, 0));
		for (int m = 0; m < i % 11; m++)
			WANT(!chan_send(e[1], "message", 8, -1, CHAN_NOW));
		if (i % 16)
			close2(e);
	}
	return 0;
}

/* RM-01: never shut, some with messages in them; all is given back, to the byte */
TEST(dropped_channels_are_freed)
{
	bool keeps = !access("/sys/kernel/debug/kmemleak", F_OK);
	int n = count(10000, 10000, 2000), start = live_files(), some = 100;
	long bytes = bytes_in_use(), memory, grown = 0;
	struct party p;
	int e[2];

	ASSERT_LE(0, start);
	ASSERT_LT(0, bytes);
	ASSERT_EQ(0, chan_make(e, 8, 10, 0));
	EXPECT_LT(bytes, bytes_in_use());	/* it would show */
	close2(e);
	ASSERT_TRUE(party_start(&p, true, make_and_drop, &some));
	ASSERT_EQ(0, party_end(&p));
	memory = kernel_memory();
	ASSERT_LT(0, memory);
	ASSERT_TRUE(party_start(&p, true, make_and_drop, &n));
	ASSERT_EQ(0, party_end(&p));
	EXPECT_EQ(start, live_files());
	EXPECT_EQ(bytes, bytes_in_use());
	if (keeps) {
		TH_LOG("memory is not judged: this kernel keeps what is freed, and scans for leaks");
		return;
	}
	/* what is freed comes back after a while: one in a hundred, and room for others' */
	for (int i = 0; i < PATIENCE / 100; i++, usleep(100000)) {
		grown = kernel_memory() - memory;
		if (grown < memory / 100 + 256)
			break;
	}
	EXPECT_GT(memory / 100 + 256, grown);
}

struct meet { int fd, count, rounds; };

static int count_between(void *arg)
{
	struct meet *m = arg;
	int v;

	for (int i = 0; i < m->rounds; i++) {
		if (chan_recv(m->fd, &v, 4, -1, SOON) != 4)
			return 1;
		__atomic_add_fetch(&m->count, 1, __ATOMIC_RELAXED);
		sched_yield();
		__atomic_add_fetch(&m->count, 1, __ATOMIC_RELAXED);
		if (chan_recv(m->fd, &v, 4, -1, SOON) != 4)
			return 1;
	}
	return 0;
}

/* CH-06: the second send can only end once the second receive has begun */
TEST_F(nonblock, a_rendezvous_send_ends_after_its_receive_has_begun)
{
	struct meet *m = shared(sizeof(*m));
	struct party p;
	int e[2], v = 1;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	*m = (struct meet){ e[0], 0, quick(1000, 200) };
	ASSERT_TRUE(party_start(&p, variant->proc, count_between, m));
	for (int i = 1; i <= m->rounds; i++) {
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, SOON));
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, SOON));
		ASSERT_EQ(2 * i, __atomic_load_n(&m->count, __ATOMIC_RELAXED));
	}
	EXPECT_EQ(0, party_end(&p));
	close2(e);
}

/* CH-12: each receiver sees what was written before the send */
struct marks { int e[2], n; unsigned char h[1000]; };

static int mark(void *arg)
{
	struct marks *m = arg;
	struct chan_case c;
	int i;

	for (;;) {
		c = chan_recv_case(m->e[0], &i, 4);
		if (chan_select(&c, 1, 0, -1, SOON))
			return 1;
		if (c.msg.res == -EPIPE)
			return 0;
		if (c.msg.res != 4 || m->h[i] != 1)
			return 2;
		m->h[i] = 2;
	}
}

TEST_F(nonblock, what_was_written_before_a_send_is_seen_by_its_receiver)
{
	struct marks *m = shared(sizeof(*m));
	struct party p[10];

	for (int cap = 0; cap < 3; cap++) {
		memset(m->h, 0, sizeof(m->h));
		ASSERT_EQ(0, chan_make(m->e, 4, cap, 0));
		for (int i = 0; i < 10; i++)
			ASSERT_TRUE(party_start(&p[i], variant->proc, mark, m));
		for (int i = 0; i < 1000; i++) {
			m->h[i] = 1;
			ASSERT_EQ(0, chan_send(m->e[1], &i, 4, -1, SOON));
		}
		EXPECT_EQ(0, chan_shut(m->e[1], 0));
		for (int i = 0; i < 10; i++)
			EXPECT_EQ(0, party_end(&p[i]));
		for (int i = 0; i < 1000; i++)
			ASSERT_EQ(2, m->h[i]);
		close2(m->e);
	}
}

static void nothing(int sig)
{
}

struct pair { int e[2]; };

static int ten_sends(void *arg)
{
	struct pair *s = arg;

	for (int i = 0; i < 10; i++)
		if (chan_send(s->e[1], &i, 4, -1, SOON))
			return 1;
	return 0;
}

static int ten_receives(void *arg)
{
	struct pair *s = arg;
	int v;

	for (int i = 0; i < 10; i++) {
		usleep(10);
		if (chan_recv(s->e[0], &v, 4, -1, SOON) != 4 || v != i)
			return 1;
	}
	return 0;
}

/* CH-11: no hand-over is lost or done twice while a party falls asleep */
TEST_F(nonblock, signals_and_migrations_while_parking_lose_nothing)
{
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	int n = quick(200, 20);

	sigaction(SIGUSR1, &sa, NULL);
	for (int k = 0; k < n; k++) {
		struct pair *s = shared(sizeof(*s));
		struct party p[2];

		ASSERT_EQ(0, chan_make(s->e, 4, 0, 0));
		ASSERT_TRUE(party_start(&p[0], variant->proc, ten_sends, s));
		ASSERT_TRUE(party_start(&p[1], variant->proc, ten_receives, s));
		for (int i = 0; i < 40; i++) {
			int tid = __atomic_load_n(&p[i & 1].tid, __ATOMIC_ACQUIRE);
			cpu_set_t cpu;

			if (tid) {
				syscall(SYS_tgkill, variant->proc ? tid : getpid(), tid, SIGUSR1);
				CPU_ZERO(&cpu);
				CPU_SET(i / 2 & 1, &cpu);
				sched_setaffinity(tid, sizeof(cpu), &cpu);
			}
			usleep(50);
		}
		EXPECT_EQ(0, party_end(&p[0]));
		EXPECT_EQ(0, party_end(&p[1]));
		EXPECT_EQ(10, (int)info_of(s->e[0]).sent);
		EXPECT_EQ(10, (int)info_of(s->e[0]).received);
		close2(s->e);
		munmap(s, sizeof(*s));
	}
}

/* FD-03: closing the number does not touch who is parked on it, nor wait for him */
TEST(closing_the_number_of_a_parked_call_leaves_it_parked)
{
	for (int side = 0; side < 2; side++) {
		struct op o = {}, *op = &o;
		int e[2], d, fd, p[2], v = 6;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		o = (struct op){ .fd = e[side], .val = 5 };
		pthread_create(&o.t, NULL, side ? op_send : op_recv, op);
		ASSERT_TRUE(parked(e[!side], side, !side));
		d = dup(e[!side]);
		fd = e[side];
		EXPECT_EQ(0, close(fd));
		ASSERT_EQ(0, pipe(p));	/* one of the two gets the number */
		EXPECT_TRUE(p[0] == fd || p[1] == fd);
		EXPECT_TRUE(parked(d, side, !side));
		EXPECT_EQ(0, (int)info_of(d).shut);
		if (side) {
			EXPECT_EQ(4, chan_recv(d, &v, 4, -1, SOON));
			EXPECT_EQ(5, v);
		} else {
			EXPECT_EQ(0, chan_send(d, &v, 4, -1, SOON));
		}
		pthread_join(o.t, NULL);
		EXPECT_EQ(side ? 0 : 4, o.ret);
		EXPECT_EQ(side ? 5 : 6, o.val);
		/* that call was the last reference */
		EXPECT_EQ(side ? -ECONNRESET : -EPIPE,
			  side ? chan_recv(d, &v, 4, -1, SOON) : chan_send(d, &v, 4, -1, SOON));
		close(d);
		close(e[!side]);
		close2(p);
	}
}

/* FD-05 */
struct writer { int fd, who, n; size_t len; };

static int write_pattern(void *arg)
{
	struct writer *w = arg;
	char *b = malloc(w->len);
	int bad = !b;

	for (int i = 0; i < w->n && !bad; i++) {
		memset(b, w->who * 16 + i % 16, w->len);
		bad = chan_send(w->fd, b, w->len, -1, SOON) < 0;
	}
	free(b);
	return bad;
}

TEST_F(nonblock, messages_of_concurrent_senders_never_mix)
{
	size_t lens[] = { 2, 16, 129, 65535 };

	for (int k = 0; k < 8; k++) {
		size_t len = lens[k / 2];
		int n = quick(k / 2 == 3 ? 20 : 100, 10), e[2];
		struct writer *w = shared(8 * sizeof(*w));
		char *b = malloc(len);
		struct party p[8];

		ASSERT_EQ(0, chan_make(e, 65536, k & 1 ? 3 : 0, 0));
		for (int i = 0; i < 8; i++) {
			w[i] = (struct writer){ e[1], i, n, len };
			ASSERT_TRUE(party_start(&p[i], variant->proc, write_pattern, &w[i]));
		}
		for (int i = 0, next[8] = {}; i < 8 * n; i++) {
			unsigned who;

			ASSERT_EQ((long)len, chan_recv(e[0], b, len, -1, SOON));
			who = (unsigned char)b[0] / 16;
			ASSERT_LT(who, 8);
			ASSERT_EQ(next[who]++ % 16, b[0] & 15);
			ASSERT_EQ(0, memcmp(b, b + 1, len - 1));
		}
		for (int i = 0; i < 8; i++)
			EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(8 * n, (int)info_of(e[0]).received);
		free(b);
		munmap(w, 8 * sizeof(*w));
		close2(e);
	}
}

TEST_HARNESS_MAIN
