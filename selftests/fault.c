// SPDX-License-Identifier: MIT
/* Page faults and bad buffers: a fault that waits stalls nobody else, one that fails loses nothing. */
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "util.h"
#include "harness.h"

#define PAGE	4096
#define BIG	3000

/* ---- a page whose first touch waits until it is let go ---- */

struct trap {
	int fd;
	char *page;
};

static bool trap_set(struct trap *t)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	t->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0 || ioctl(t->fd, UFFDIO_API, &api))
		return false;
	t->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)t->page;
	reg.range.len = PAGE;
	return !ioctl(t->fd, UFFDIO_REGISTER, &reg);
}

/* Somebody stands in the fault. */
static bool trapped(struct trap *t)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	struct uffd_msg m;

	while (poll(&p, 1, PATIENCE) == 1) {
		if (read(t->fd, &m, sizeof(m)) == sizeof(m))
			return m.event == UFFD_EVENT_PAGEFAULT;
		if (errno != EAGAIN)	/* a late wake-up made it fault anew */
			break;
	}
	return false;
}

static bool trap_free(struct trap *t, void *content)
{
	struct uffdio_copy c = { .dst = (uintptr_t)t->page, .src = (uintptr_t)content, .len = PAGE };

	return !ioctl(t->fd, UFFDIO_COPY, &c);
}

static void trap_again(struct trap *t)
{
	madvise(t->page, PAGE, MADV_DONTNEED);
}

static void trap_end(struct trap *t)
{
	munmap(t->page, PAGE);
	close(t->fd);
}

#define TRAP(t) \
	if (!trap_set(t)) \
		SKIP(return, "no userfaultfd here: %s", strerror(errno))

/* ---- a transfer in each of its forms ---- */

enum { SHORT, FULL, FILE_IO, SELECT, FORMS };

static long send_as(int form, int fd, const void *buf, size_t len)
{
	struct chan_case c = chan_send_case(fd, buf, len);
	long r;

	switch (form) {
	case SHORT:
		return chan_send(fd, buf, len, -1, CHAN_FOREVER);
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
	bool send;
	int form, fd;
	void *buf;
	size_t len;
	long ret;
};

static void *job_main(void *arg)
{
	struct job *j = arg;

	j->ret = j->send ? send_as(j->form, j->fd, j->buf, j->len) :
			   recv_as(j->form, j->fd, j->buf, j->len);
	return NULL;
}

static void start(struct job *j, bool send, int form, int fd, void *buf, size_t len)
{
	*j = (struct job){ .send = send, .form = form, .fd = fd, .buf = buf, .len = len };
	pthread_create(&j->t, NULL, job_main, j);
}

static long finish(struct job *j)
{
	pthread_join(j->t, NULL);
	return j->ret;
}

static int ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

/* On the empty channel @e somebody stands in a fault: everything else works. */
static void others_go_on(struct __test_metadata *_metadata, int *e, unsigned capacity)
{
	struct op o = { .fd = e[0] };
	int v = -1;

	EXPECT_EQ(0, ready(e[0], POLLIN));
	EXPECT_EQ(capacity ? POLLOUT : 0, ready(e[1], POLLOUT));
	EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, -1, chan_after(MS)));
	pthread_create(&o.t, NULL, op_recv, &o);
	ASSERT_TRUE(parked(e[0], 0, 1));
	EXPECT_EQ(POLLOUT, ready(e[1], POLLOUT));
	v = 71;
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	pthread_join(o.t, NULL);
	EXPECT_EQ(4, o.ret);
	EXPECT_EQ(71, o.val);
	for (unsigned i = 0; i < capacity; i++)
		EXPECT_EQ(0, chan_send(e[1], &i, 4, -1, CHAN_NOW));
	o = (struct op){ .fd = e[1], .val = 72 };
	pthread_create(&o.t, NULL, op_send, &o);
	ASSERT_TRUE(parked(e[0], 1, 0));
	EXPECT_EQ(POLLIN, ready(e[0], POLLIN));
	for (unsigned i = 0; i < capacity; i++) {
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(i, v);
	}
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(72, v);
	pthread_join(o.t, NULL);
	EXPECT_EQ(0, o.ret);
}

/* D29 */
TEST(a_stuck_send_buffer_stalls_nobody)
{
	static char content[PAGE], out[PAGE];
	struct trap t;

	TRAP(&t);
	for (int i = 0; i < PAGE; i++)
		content[i] = i * 7 + 1;
	for (int i = 0; i < FORMS * 4; i++) {
		unsigned cap = i & 1 ? 2 : 0;
		size_t len = i & 2 ? BIG : 4;
		struct job j;
		int e[2];

		trap_again(&t);
		ASSERT_EQ(0, chan_make(e, PAGE, cap, 0));
		start(&j, true, i / 4, e[1], t.page, len);
		ASSERT_TRUE(trapped(&t));
		others_go_on(_metadata, e, cap);
		EXPECT_EQ(cap + 2, info_of(e[0]).sent);
		EXPECT_EQ(0, info_of(e[0]).parked_senders);
		ASSERT_TRUE(trap_free(&t, content));
		EXPECT_EQ((long)len, chan_recv(e[0], out, PAGE, -1, SOON));
		EXPECT_EQ(0, memcmp(content, out, len));
		EXPECT_EQ(0, finish(&j));
		close2(e);
	}
	trap_end(&t);
}

/* D29, D7 */
TEST(a_stuck_receive_buffer_stalls_nobody)
{
	static char content[PAGE], msg[BIG];
	struct trap t;

	TRAP(&t);
	memset(msg, 'm', BIG);
	for (int i = 0; i < FORMS * 4; i++) {
		unsigned cap = i & 1 ? 2 : 0;
		size_t len = i & 2 ? BIG : 4;
		struct chan_info in;
		struct job j;
		int e[2];

		trap_again(&t);
		ASSERT_EQ(0, chan_make(e, PAGE, cap, 0));
		start(&j, false, i / 4, e[0], t.page, PAGE);
		ASSERT_TRUE(parked(e[0], 0, 1));
		ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		ASSERT_TRUE(trapped(&t));
		others_go_on(_metadata, e, cap);
		in = info_of(e[0]);
		EXPECT_EQ(cap + 3, in.sent);
		EXPECT_EQ(cap + 2, in.received);
		EXPECT_EQ(0, in.len);
		ASSERT_TRUE(trap_free(&t, content));
		EXPECT_EQ((long)len, finish(&j));
		EXPECT_EQ(0, memcmp(t.page, msg, len));
		EXPECT_EQ(cap + 3, info_of(e[0]).received);
		close2(e);
	}
	trap_end(&t);
}

/* D29: the array of cases, when it is read and when the result is stored */
struct sel_job {
	pthread_t t;
	int via;
	struct kchan_select s;
	int ret;
};

/* Not through the library, which looks for a descriptor in the array itself. */
static void *sel_main(void *arg)
{
	struct sel_job *j = arg;

	j->ret = ioctl(j->via, KCHAN_IOC_SELECT, &j->s);
	return NULL;
}

TEST(a_stuck_array_of_cases_stalls_nobody)
{
	static char content[PAGE];
	int e[2], other[2], v = 5, got;
	struct chan_case *c;
	struct sel_job j;
	struct trap t;

	TRAP(&t);
	c = (void *)t.page;
	ASSERT_EQ(0, chan_make(other, 4, 0, 0));
	for (unsigned cap = 0; cap < 3; cap += 2) {
		ASSERT_EQ(0, chan_make(e, 4, cap, 0));
		*(struct chan_case *)content = chan_recv_case(e[0], &got, 4);
		got = -1;
		trap_again(&t);
		j = (struct sel_job){ .via = other[0], .s = { .cases = (uintptr_t)t.page, .n = 1,
						      .deadline = SOON, .under = -1 } };
		pthread_create(&j.t, NULL, sel_main, &j);
		ASSERT_TRUE(trapped(&t));
		others_go_on(_metadata, e, cap);
		ASSERT_TRUE(trap_free(&t, content));
		ASSERT_TRUE(parked(e[0], 0, 1));
		trap_again(&t);
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		ASSERT_TRUE(trapped(&t));
		others_go_on(_metadata, e, cap);
		ASSERT_TRUE(trap_free(&t, content));
		pthread_join(j.t, NULL);
		EXPECT_EQ(0, j.ret);
		EXPECT_EQ(5, got);
		EXPECT_EQ(4, c->msg.res);
		EXPECT_EQ(4, c->msg.len);
		close2(e);
	}
	close2(other);
	trap_end(&t);
}

/* D29: a send case that is stuck holds up no channel of the other cases either */
TEST(a_stuck_select_holds_up_none_of_its_channels)
{
	static char content[PAGE];
	struct chan_case c[2];
	struct sel_job j = {};
	int a[2], b[2], got;
	struct trap t;

	TRAP(&t);
	trap_again(&t);
	ASSERT_EQ(0, chan_make(a, PAGE, 0, 0));
	ASSERT_EQ(0, chan_make(b, PAGE, 2, 0));
	c[0] = chan_recv_case(b[0], &got, 4);
	c[1] = chan_send_case(a[1], t.page, BIG);
	j = (struct sel_job){ .via = a[0], .s = { .cases = (uintptr_t)c, .n = 2,
					  .deadline = SOON, .under = -1 } };
	pthread_create(&j.t, NULL, sel_main, &j);
	ASSERT_TRUE(trapped(&t));
	others_go_on(_metadata, a, 0);
	others_go_on(_metadata, b, 2);
	ASSERT_TRUE(trap_free(&t, content));
	ASSERT_TRUE(parked(a[0], 1, 0));
	ASSERT_EQ(0, chan_send(b[1], &(int){ 9 }, 4, -1, CHAN_NOW));
	pthread_join(j.t, NULL);
	EXPECT_EQ(0, j.ret);
	EXPECT_EQ(9, got);
	EXPECT_EQ(0, info_of(a[0]).parked_senders);
	close2(a);
	close2(b);
	trap_end(&t);
}

/* ---- killed in a fault ---- */

/* A child that transfers through a page nobody fills; a byte on @told: it stands there. */
struct victim {
	pid_t pid;
	int told;
};

struct watcher {
	struct trap t;
	int tell;
};

static void *watch_trap(void *arg)
{
	struct watcher *w = arg;

	if (trapped(&w->t) && write(w->tell, "x", 1) != 1)
		_exit(2);
	pause();
	return NULL;
}

/* True in the child, where the trap is set. */
static bool victim_fork(struct victim *v, struct watcher *w)
{
	pthread_t t;
	int p[2];

	if (pipe(p))
		abort();
	v->pid = fork();
	if (v->pid) {
		close(p[1]);
		v->told = p[0];
		return false;
	}
	alarm(60);
	w->tell = p[1];
	if (!trap_set(&w->t) || pthread_create(&t, NULL, watch_trap, w))
		_exit(1);
	return true;
}

static void victim_start(struct victim *v, bool send, int form, int fd, size_t len)
{
	struct watcher w;

	if (!victim_fork(v, &w))
		return;
	if (send)
		send_as(form, fd, w.t.page, len);
	else
		recv_as(form, fd, w.t.page, len);
	_exit(3);	/* it can't have come back */
}

/* Receives four messages in one call: @n into @stored, the next into the trap. */
static void victim_batch(struct victim *v, int rx, char *stored, int n)
{
	struct chan_msg m[4];
	struct watcher w;

	if (!victim_fork(v, &w))
		return;
	for (int i = 0; i < 4; i++)
		m[i] = (struct chan_msg){ .buf = i == n ? w.t.page : stored + 8 * i, .len = 8 };
	chan_recvm(rx, m, 4, -1, SOON);
	_exit(3);
}

static bool victim_stuck(struct victim *v)
{
	char c;

	return read(v->told, &c, 1) == 1;
}

static bool victim_kill(struct victim *v)
{
	int status;

	close(v->told);
	kill(v->pid, SIGKILL);
	return waitpid(v->pid, &status, 0) == v->pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

static bool have_traps(void)
{
	struct trap t;
	bool ok = trap_set(&t);

	if (ok)
		trap_end(&t);
	return ok;
}

/* D7, D9: back at the head, past the capacity, in order */
TEST(killed_in_a_receive_fault_puts_the_message_back_at_the_head)
{
	static int msg[BIG / 4], got[BIG / 4];

	if (!have_traps())
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	for (int i = 0; i < FORMS * 2; i++) {
		size_t len = i & 1 ? BIG : 4;
		struct chan_info in;
		struct victim k;
		int e[2];

		ASSERT_EQ(0, chan_make(e, PAGE, 3, 0));
		for (msg[0] = 0; msg[0] < 3; msg[0]++)
			ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		victim_start(&k, false, i / 2, e[0], PAGE);
		ASSERT_TRUE(victim_stuck(&k));
		EXPECT_EQ(2, info_of(e[0]).len);
		ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		ASSERT_TRUE(victim_kill(&k));
		in = info_of(e[0]);
		EXPECT_EQ(4, in.len);
		EXPECT_EQ(len, in.next_len);
		EXPECT_EQ(4, in.sent);
		EXPECT_EQ(0, in.received);
		EXPECT_EQ(0, in.dropped);
		EXPECT_EQ(0, ready(e[1], POLLOUT));
		EXPECT_EQ(-EAGAIN, chan_send(e[1], msg, len, -1, CHAN_NOW));
		for (int n = 0; n < 4; n++) {
			ASSERT_EQ((long)len, chan_recv(e[0], got, PAGE, -1, CHAN_NOW));
			EXPECT_EQ(n, got[0]);
			/* 4 in room for 3: the first receive makes none */
			EXPECT_EQ(n ? POLLOUT : 0, ready(e[1], POLLOUT));
		}
		EXPECT_EQ(4, info_of(e[0]).received);
		close2(e);
	}
}

/* D9: a rendezvous proves a waiting call, not a surviving process */
TEST(killed_after_a_rendezvous_gives_the_message_to_the_next)
{
	static int msg[BIG / 4] = { 44 }, got[BIG / 4];

	if (!have_traps())
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	for (int i = 0; i < FORMS * 4; i++) {
		size_t len = i & 1 ? BIG : 4;
		bool waits = i & 2;
		struct chan_info in;
		struct victim k;
		struct job j;
		int e[2];

		ASSERT_EQ(0, chan_make(e, PAGE, 0, 0));
		victim_start(&k, false, i / 4, e[0], PAGE);
		ASSERT_TRUE(parked(e[0], 0, 1));
		ASSERT_EQ(0, chan_send(e[1], msg, len, -1, CHAN_NOW));
		ASSERT_TRUE(victim_stuck(&k));
		got[0] = -1;
		if (waits) {
			start(&j, false, i / 4, e[0], got, PAGE);
			ASSERT_TRUE(parked(e[0], 0, 1));
		}
		ASSERT_TRUE(victim_kill(&k));
		in = info_of(e[0]);
		EXPECT_EQ(1, in.sent);
		EXPECT_EQ(0, in.dropped);
		if (waits) {
			EXPECT_EQ((long)len, finish(&j));
		} else {
			EXPECT_EQ(1, in.len);
			EXPECT_EQ(0, in.received);
			EXPECT_EQ(POLLIN, ready(e[0], POLLIN));
			EXPECT_EQ(-EAGAIN, chan_send(e[1], msg, len, -1, CHAN_NOW));
			EXPECT_EQ((long)len, chan_recv(e[0], got, PAGE, -1, CHAN_NOW));
		}
		EXPECT_EQ(44, got[0]);
		in = info_of(e[0]);
		EXPECT_EQ(0, in.len);
		EXPECT_EQ(1, in.received);
		close2(e);
	}
}

/* One Rule: nobody can receive it any more, so it is dropped, and counted */
TEST(killed_as_the_last_receiver_drops_the_message)
{
	if (!have_traps())
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	for (int form = 0; form < FORMS; form++) {
		struct chan_info in;
		struct victim k;
		int e[2], v = 1;

		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		victim_start(&k, false, form, e[0], 4);
		close(e[0]);
		ASSERT_TRUE(victim_stuck(&k));
		ASSERT_TRUE(victim_kill(&k));
		EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, SOON));
		in = info_of(e[1]);
		EXPECT_EQ(1, in.sent);
		EXPECT_EQ(0, in.received);
		EXPECT_EQ(1, in.dropped);
		EXPECT_EQ(0, in.len);
		EXPECT_EQ(EOWNERDEAD, in.recv_err);
		close(e[1]);
	}
}

TEST(killed_in_a_send_fault_has_sent_nothing)
{
	if (!have_traps())
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	for (int i = 0; i < FORMS * 2; i++) {
		struct chan_info in;
		struct victim k;
		int e[2], v;

		ASSERT_EQ(0, chan_make(e, PAGE, 1, 0));
		victim_start(&k, true, i / 2, e[1], i & 1 ? BIG : 4);
		close(e[1]);
		ASSERT_TRUE(victim_stuck(&k));
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		ASSERT_TRUE(victim_kill(&k));
		EXPECT_EQ(-ECONNRESET, chan_recv(e[0], &v, 4, -1, SOON));
		in = info_of(e[0]);
		EXPECT_EQ(0, in.sent);
		EXPECT_EQ(0, in.len);
		EXPECT_EQ(EOWNERDEAD, in.send_err);
		close(e[0]);
	}
}

/* Of a batch, what was stored before the kill has been received: nobody gets it again. */
TEST(killed_in_a_batch_it_has_received_what_was_stored)
{
	static char msg[8];
	char *stored = shared(PAGE);

	if (!have_traps())
		SKIP(return, "no userfaultfd here: %s", strerror(errno));
	for (int n = 0; n < 3; n++) {
		struct victim k;
		int e[2];

		ASSERT_EQ(0, chan_make(e, 8, 4, 0));
		for (msg[0] = 0; msg[0] < 4; msg[0]++)
			ASSERT_EQ(0, chan_send(e[1], msg, 8, -1, CHAN_NOW));
		memset(stored, 0x55, PAGE);
		victim_batch(&k, e[0], stored, n);
		ASSERT_TRUE(victim_stuck(&k));
		ASSERT_TRUE(victim_kill(&k));
		EXPECT_EQ(n, info_of(e[0]).received);
		EXPECT_EQ(4 - n, info_of(e[0]).len);
		for (int i = 0; i < n; i++)
			EXPECT_EQ(i, stored[8 * i]);
		for (int i = n; i < 4; i++) {
			ASSERT_EQ(8, chan_recv(e[0], msg, 8, -1, CHAN_NOW));
			EXPECT_EQ(i, msg[0]);
		}
		close2(e);
	}
	munmap(stored, PAGE);
}

struct batch_job { int tx, under, ret; struct chan_msg m[3]; };

static void *batch_under(void *arg)
{
	struct batch_job *b = arg;

	b->ret = chan_sendm(b->tx, b->m, 3, b->under, CHAN_NOW);
	return NULL;
}

/* The payload is copied in first, then the group is looked at: in a batch, too. */
TEST(a_group_that_ends_while_a_batch_is_copied_in_stops_it)
{
	static char content[PAGE], ok[8];
	struct trap t;

	TRAP(&t);
	for (int at = 0; at < 3; at++) {
		struct batch_job b = { .under = chan_group(-1, CHAN_FOREVER, 0, 0) };
		pthread_t th;
		int e[2];

		ASSERT_EQ(0, chan_make(e, 8, 4, 0));
		b.tx = e[1];
		for (int i = 0; i < 3; i++)
			b.m[i] = (struct chan_msg){ .buf = i == at ? t.page : ok, .len = 8 };
		pthread_create(&th, NULL, batch_under, &b);
		ASSERT_TRUE(trapped(&t));
		ASSERT_EQ(0, chan_cancel(b.under, EIO, NULL));
		ASSERT_TRUE(trap_free(&t, content));
		pthread_join(th, NULL);
		EXPECT_EQ(-ECANCELED, b.ret);
		EXPECT_EQ(0, info_of(e[0]).sent);
		trap_again(&t);
		close2(e);
		close(b.under);
	}
	trap_end(&t);
}

TEST_HARNESS_MAIN
