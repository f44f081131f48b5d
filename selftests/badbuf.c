// SPDX-License-Identifier: MIT
/* Buffers that can't be read or written: the error comes back and no message is lost. */
#include "util.h"
#include "harness.h"

#define PAGE	4096
#define BIG	3000

enum { SHORT, FULL, FILE_IO, SELECT, FORMS };

static long send_as(int form, int fd, const void *buf, size_t len)
{
	struct chan_case c = chan_send_case(fd, buf, len);
	long r;

	switch (form) {
	case SHORT:
		return chan_send(fd, buf, len, -1, CHAN_NOW);
	case FULL:
		return chan_send(fd, buf, len, -1, SOON);
	case FILE_IO:
		r = write(fd, buf, len);
		return r < 0 ? -errno : r - (long)len;
	}
	r = chan_select(&c, 1, 0, -1, SOON);
	return r < 0 ? r : c.msg.res;
}

static long recv_as(int form, int fd, void *buf, size_t len)
{
	struct chan_case c = chan_recv_case(fd, buf, len);
	long r;

	switch (form) {
	case SHORT:
		return chan_recv(fd, buf, len, -1, CHAN_FOREVER);
	case FULL:
		return chan_recv(fd, buf, len, -1, SOON);
	case FILE_IO:
		r = read(fd, buf, len);
		return r < 0 ? -errno : r;
	}
	r = chan_select(&c, 1, 0, -1, SOON);
	return r < 0 ? r : c.msg.res;
}

struct job {
	pthread_t t;
	int form, fd;
	void *buf;
	size_t len;
	long ret;
};

static void *job_recv(void *arg)
{
	struct job *j = arg;

	j->ret = recv_as(j->form, j->fd, j->buf, j->len);
	return NULL;
}

static void start_recv(struct job *j, int form, int fd, void *buf, size_t len)
{
	*j = (struct job){ .form = form, .fd = fd, .buf = buf, .len = len };
	pthread_create(&j->t, NULL, job_recv, j);
}

static long finish(struct job *j)
{
	pthread_join(j->t, NULL);
	return j->ret;
}

/* Two pages, the second of which can't be touched. */
static char *half_mapped(void)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p + PAGE, PAGE);
	return p;
}

static char *page_with(int prot)
{
	return mmap(NULL, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* D7: every way a buffer can be bad, in every form, small and large */
TEST(receives_into_bad_buffers_leave_the_message_at_the_head)
{
	char *half = half_mapped(), *none = page_with(PROT_NONE), *ro = page_with(PROT_READ);
	static int msg[BIG / 4], got[BIG / 4];

	for (int i = 0; i < FORMS * 2; i++) {
		size_t len = i & 1 ? BIG : 8;
		char *bad[] = { (char *)8, none, ro, half + PAGE, half + PAGE - len / 2,
				half + PAGE - len + 1, (char *)-PAGE };
		struct chan_info in;
		int e[2];

		ASSERT_EQ(0, chan_make(e, BIG, 2, 0));
		for (msg[0] = 0; msg[0] < 2; msg[0]++)
			ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		for (unsigned b = 0; b < 7; b++)
			EXPECT_EQ(-EFAULT, recv_as(i / 2, e[0], bad[b], len));
		in = info_of(e[0]);
		EXPECT_EQ(2, in.len);
		EXPECT_EQ(len, in.next_len);
		EXPECT_EQ(2, in.sent);
		EXPECT_EQ(0, in.received);
		for (int n = 0; n < 2; n++) {
			ASSERT_EQ((long)len, recv_as(i / 2, e[0], got, len));
			EXPECT_EQ(n, got[0]);
		}
		EXPECT_EQ(2, info_of(e[0]).received);
		close2(e);
	}
}

/* D6, PX-09 */
TEST(sends_from_bad_buffers_have_sent_nothing)
{
	char *half = half_mapped(), *none = page_with(PROT_NONE);
	static int got[BIG / 4];

	for (int i = 0; i < FORMS * 4; i++) {
		size_t len = i & 1 ? BIG : 8;
		unsigned cap = i & 2 ? 1 : 0;
		char *bad[] = { (char *)8, none, half + PAGE, half + PAGE - len / 2,
				half + PAGE - len + 1, (char *)-PAGE };
		struct job r;
		int e[2];

		ASSERT_EQ(0, chan_make(e, BIG, cap, 0));
		start_recv(&r, i / 4, e[0], got, len);
		ASSERT_TRUE(parked(e[0], 0, 1));
		for (unsigned b = 0; b < 6; b++)
			EXPECT_EQ(-EFAULT, send_as(i / 4, e[1], bad[b], len));
		EXPECT_EQ(0, info_of(e[0]).sent);
		EXPECT_EQ(1, info_of(e[0]).parked_receivers);
		memset(half + PAGE - len, 'a', len);
		EXPECT_EQ(0, send_as(i / 4, e[1], half + PAGE - len, len));
		EXPECT_EQ((long)len, finish(&r));
		EXPECT_EQ(0, memcmp(got, half + PAGE - len, len));
		close2(e);
	}
}

/* A parked call's buffer goes: the send stands, the message waits for the next */
TEST(a_buffer_that_goes_while_parked_loses_nothing)
{
	static int msg[BIG / 4] = { 31 }, got[BIG / 4];

	for (int i = 0; i < FORMS * 2 * 3 * 2; i++) {
		int form = i % FORMS, way = i / FORMS % 3, e[2];
		size_t len = i / FORMS / 3 % 2 ? BIG : 8;
		bool behind = i / FORMS / 6;
		char *buf = page_with(PROT_READ | PROT_WRITE);
		struct job a, b;

		ASSERT_EQ(0, chan_make(e, BIG, 0, 0));
		start_recv(&a, form, e[0], buf, PAGE);
		ASSERT_TRUE(parked(e[0], 0, 1));
		got[0] = 0;
		if (behind) {
			start_recv(&b, form, e[0], got, PAGE);
			ASSERT_TRUE(parked(e[0], 0, 2));
		}
		if (way == 0)
			munmap(buf, PAGE);
		else
			mprotect(buf, PAGE, way == 1 ? PROT_NONE : PROT_READ);
		EXPECT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		EXPECT_EQ(-EFAULT, finish(&a));
		if (behind) {
			EXPECT_EQ((long)len, finish(&b));
		} else {
			EXPECT_EQ(1, info_of(e[0]).len);
			EXPECT_EQ(0, info_of(e[0]).received);
			EXPECT_EQ((long)len, recv_as(form, e[0], got, BIG));
		}
		EXPECT_EQ(31, got[0]);
		EXPECT_EQ(1, info_of(e[0]).sent);
		EXPECT_EQ(1, info_of(e[0]).received);
		EXPECT_EQ(0, info_of(e[0]).len);
		munmap(buf, PAGE);
		close2(e);
	}
}

/* Too small, bad, good: each gets its own answer, one send serves all three */
TEST(a_message_passes_those_who_cannot_take_it)
{
	static int msg[BIG / 4] = { 8 }, got[BIG / 4];

	for (int i = 0; i < FORMS * 2; i++) {
		size_t len = i & 1 ? BIG : 8;
		char *none = page_with(PROT_NONE);
		struct job j[5];
		int e[2];

		ASSERT_EQ(0, chan_make(e, BIG, 0, 0));
		got[0] = 0;
		for (int k = 0; k < 5; k++) {
			start_recv(&j[k], i / 2, e[0], k == 4 ? (char *)got : none,
				   k & 1 ? len : k == 4 ? BIG : len - 1);
			ASSERT_TRUE(parked(e[0], 0, k + 1));
		}
		EXPECT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		EXPECT_EQ(-EMSGSIZE, finish(&j[0]));
		EXPECT_EQ(-EFAULT, finish(&j[1]));
		EXPECT_EQ(-EMSGSIZE, finish(&j[2]));
		EXPECT_EQ(-EFAULT, finish(&j[3]));
		EXPECT_EQ((long)len, finish(&j[4]));
		EXPECT_EQ(8, got[0]);
		EXPECT_EQ(1, info_of(e[0]).sent);
		EXPECT_EQ(1, info_of(e[0]).received);
		/* nobody can take it: a try changes nothing for anybody, who waits does */
		start_recv(&j[0], i / 2, e[0], got, 4);
		ASSERT_TRUE(parked(e[0], 0, 1));
		EXPECT_EQ(-EAGAIN, chan_send(e[1], msg, len, -1, CHAN_NOW));
		EXPECT_EQ(1, info_of(e[0]).parked_receivers);
		EXPECT_TRUE(waits_in_vain(e[1], msg, len));
		EXPECT_EQ(-EMSGSIZE, finish(&j[0]));
		EXPECT_EQ(1, info_of(e[0]).sent);
		close2(e);
		munmap(none, PAGE);
	}
}

/* D7: the fault of a case is that case's result; the others are untouched */
TEST(a_select_answers_a_fault_in_the_case)
{
	int a[2], b[2], v = 6, got = -1;
	struct chan_case c[2];

	ASSERT_EQ(0, chan_make(a, 8, 1, 0));
	ASSERT_EQ(0, chan_make(b, 8, 1, 0));
	ASSERT_EQ(0, chan_send(a[1], &v, 4, -1, CHAN_NOW));
	for (int i = 0; i < 20; i++) {
		c[0] = chan_recv_case(a[0], (void *)8, 8);
		c[1] = chan_recv_case(b[0], &got, 4);
		c[1].msg.res = 99;
		EXPECT_EQ(0, chan_select(c, 2, 0, -1, SOON));
		EXPECT_EQ(-EFAULT, c[0].msg.res);
		EXPECT_EQ(99, c[1].msg.res);
		EXPECT_EQ(4, c[1].msg.len);
		EXPECT_EQ(1, info_of(a[0]).len);
	}
	c[0] = chan_send_case(b[1], (void *)8, 8);
	c[1] = chan_recv_case(b[0], &got, 4);
	EXPECT_EQ(0, chan_select(c, 2, 0, -1, SOON));
	EXPECT_EQ(-EFAULT, c[0].msg.res);
	EXPECT_EQ(-1, got);
	EXPECT_EQ(0, info_of(b[0]).sent);
	/* a case that is out has no buffer to be bad */
	c[0].fd = -1;
	EXPECT_EQ(-EAGAIN, chan_select(c, 2, 0, -1, CHAN_NOW));
	/* the array itself */
	EXPECT_EQ(-1, ioctl(a[0], KCHAN_IOC_SELECT, &(struct kchan_select){
		.cases = 8, .n = 1, .under = -1 }));
	EXPECT_EQ(EFAULT, errno);
	/* an array that can't take the result: nothing happens at all */
	struct chan_case *ro = (void *)page_with(PROT_READ | PROT_WRITE);

	*ro = chan_recv_case(a[0], &got, 4);
	mprotect(ro, PAGE, PROT_READ);
	EXPECT_EQ(-EFAULT, chan_select(ro, 1, 0, -1, SOON));
	EXPECT_EQ(1, info_of(a[0]).len);
	EXPECT_EQ(-1, got);
	munmap(ro, PAGE);
	close2(a);
	close2(b);
}

/* An array that goes while parked: what is done is done, and reported so */
struct raw {
	pthread_t t;
	int fd, ret;
	struct kchan_select s;
};

static void *raw_main(void *arg)
{
	struct raw *r = arg;

	r->ret = ioctl(r->fd, KCHAN_IOC_SELECT, &r->s);
	return NULL;
}

TEST(a_select_whose_array_goes_while_parked_still_reports_its_case)
{
	char *page = page_with(PROT_READ | PROT_WRITE);
	int e[2], v = 12, got = 0;
	struct raw r = {};

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	*(struct chan_case *)page = chan_recv_case(e[0], &got, 4);
	r.fd = e[0];
	r.s = (struct kchan_select){ .cases = (uintptr_t)page, .n = 1, .deadline = SOON,
				     .under = -1 };
	pthread_create(&r.t, NULL, raw_main, &r);
	ASSERT_TRUE(parked(e[0], 0, 1));
	munmap(page, PAGE);
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	pthread_join(r.t, NULL);
	EXPECT_EQ(0, r.ret);
	EXPECT_EQ(12, got);
	EXPECT_EQ(1, info_of(e[0]).received);
	close2(e);
}

/* ---- many at once: every message exactly once, however many receives fail ---- */

struct storm {
	int e[2], n;
	size_t len;
	unsigned faults;
	unsigned count[4096];
};

static void storm_receive(struct storm *s, unsigned seed)
{
	char *half = half_mapped(), good[BIG];
	int form = seed % FORMS;

	for (;;) {
		bool bad = rand_r(&seed) % 2;
		char *buf = bad ? half + PAGE - rand_r(&seed) % s->len : good;
		long r = recv_as(form, s->e[0], buf, s->len);

		if (r == -EFAULT) {
			__atomic_add_fetch(&s->faults, 1, __ATOMIC_RELAXED);
			continue;
		}
		if (r == -EPIPE || (form == FILE_IO && !r))
			break;
		if (bad || r != (long)s->len)
			abort();
		__atomic_add_fetch(&s->count[*(int *)good], 1, __ATOMIC_RELAXED);
	}
	munmap(half, PAGE);
}

static void storm_send(struct storm *s, int from)
{
	int msg[BIG / 4] = {};

	for (msg[0] = from; msg[0] < s->n; msg[0] += 2)
		if (chan_send(s->e[1], msg, s->len, -1, CHAN_FOREVER))
			abort();
}

struct part {
	pthread_t t;
	pid_t pid;
	struct storm *s;
	unsigned i;
};

static void *part_main(void *arg)
{
	struct part *p = arg;

	if (p->i < 2)
		storm_send(p->s, p->i);
	else
		storm_receive(p->s, p->i);
	return NULL;
}

static bool part_end(struct part *p)
{
	int status = 0;

	if (p->pid)
		waitpid(p->pid, &status, 0);
	else
		pthread_join(p->t, NULL);
	return !status;
}

/* TP */
TEST(in_a_storm_of_faults_every_message_arrives_once)
{
	struct storm *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 12; i++) {
		struct part p[6];
		struct chan_info in;

		memset(s, 0, sizeof(*s));
		s->n = quick(2000, 60);
		s->len = i & 1 ? BIG : 8;
		ASSERT_EQ(0, chan_make(s->e, BIG, (i / 4) * (i / 4), 0));
		for (int k = 0; k < 6; k++) {
			p[k] = (struct part){ .s = s, .i = k };
			if (!(i & 2)) {
				pthread_create(&p[k].t, NULL, part_main, &p[k]);
				continue;
			}
			p[k].pid = fork();
			if (!p[k].pid) {
				part_main(&p[k]);
				_exit(0);
			}
		}
		EXPECT_TRUE(part_end(&p[0]));
		EXPECT_TRUE(part_end(&p[1]));
		ASSERT_EQ(0, chan_shut(s->e[1], 0));
		for (int k = 2; k < 6; k++)
			EXPECT_TRUE(part_end(&p[k]));
		for (int k = 0; k < s->n; k++)
			ASSERT_EQ(1, s->count[k]);
		EXPECT_LT(0, s->faults);
		in = info_of(s->e[0]);
		EXPECT_EQ(s->n, in.sent);
		EXPECT_EQ(s->n, in.received);
		EXPECT_EQ(0, in.len);
		EXPECT_EQ(0, in.dropped);
		close2(s->e);
	}
	munmap(s, sizeof(*s));
}

TEST_HARNESS_MAIN
