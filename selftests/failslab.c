// SPDX-License-Identifier: MIT
/*
 * Every allocation and every copy that the kernel can make fail, of every call, does,
 * one after the other: the call says so, nothing has changed, and the same call made
 * again works. (Copies of a few words, done in line, can't be made to.)
 *
 * Only kernels with fault injection can do that.
 */
#include <stdio.h>
#include <sys/syscall.h>

#include "quota.h"
#include "inject.h"
#include "harness.h"

#define BIG	3000
#define HUGE	60000
#define CASES	60

static int nth_fd;

/* Stop failing. Has the one asked for been reached? */
static bool reached(void)
{
	char text[16] = "";
	bool yes = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	fail_nth(nth_fd, 0);
	return yes;
}

/* ---- what the calls work on, made anew for each ---- */

struct env {
	int a[2];	/* a small and a large message */
	int b[2];	/* none */
	int h[2];	/* a large one */
	int f[2];	/* one with two descriptors */
	int g, m, w;	/* a group, its member, its watch */
	int armed, fired;
	int got[4];	/* descriptors received or made */
	char *buf;
};

static void env_make(struct __test_metadata *_metadata, struct env *v)
{
	int fds[2] = { v->a[0], v->a[1] };
	struct chan_msg msg = { .buf = v->buf, .len = 8, .fds = fds, .nfds = 2 };
	struct chan_case c;

	ASSERT_EQ(0, chan_make(v->a, HUGE, 4, 0));
	ASSERT_EQ(0, chan_make(v->b, HUGE, 4, 0));
	ASSERT_EQ(0, chan_make(v->h, HUGE, 1, 0));
	ASSERT_EQ(0, chan_send(v->h[1], v->buf, BIG, -1, CHAN_NOW));
	ASSERT_EQ(0, chan_make(v->f, 8, 4, CHAN_FDS));
	for (int i = 0; i < 2; i++)	/* the first is for fired */
		ASSERT_EQ(0, chan_send(v->a[1], v->buf, 8, -1, CHAN_NOW));
	ASSERT_EQ(0, chan_send(v->a[1], v->buf, BIG, -1, CHAN_NOW));
	fds[0] = v->a[1];
	fds[1] = v->b[1];
	ASSERT_EQ(1, chan_sendm(v->f[1], &msg, 1, -1, CHAN_NOW));
	v->g = chan_group(-1, CHAN_FOREVER, 0, 2);
	v->m = chan_join(v->g, -1, CHAN_NOW);
	v->w = chan_watch(v->g);
	ASSERT_EQ(0, chan_value_set(v->g, "key", "value", 5));
	c = chan_recv_case(v->b[0], NULL, 0);
	v->armed = chan_arm(&c, 1, 0);
	ASSERT_LE(0, v->armed);
	c = chan_recv_case(v->a[0], NULL, 8);
	v->fired = chan_arm(&c, 1, 0);
	ASSERT_LE(0, v->fired);
	for (int i = 0; i < 4; i++)
		v->got[i] = -1;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void env_drop(struct env *v)
{
	for (int i = 0; i < 4; i++)
		drop(&v->got[i]);
	close(v->armed);
	close(v->fired);
	close(v->w);
	close(v->m);
	close(v->g);
	close2(v->f);
	close2(v->h);
	close2(v->b);
	close2(v->a);
}

struct state {
	struct chan_info a, b, h, f;
	struct chan_group_info g, m;
	uint64_t fds;
};

static struct state state_of(struct env *v)
{
	struct state s = { .a = info_of(v->a[0]), .b = info_of(v->b[0]),
			   .h = info_of(v->h[0]), .f = info_of(v->f[0]) };

	chan_group_info(v->g, &s.g, sizeof(s.g));
	chan_group_info(v->m, &s.m, sizeof(s.m));
	for (int fd = 0; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			s.fds |= 1ULL << fd;
	return s;
}

/* ---- the calls ---- */

static long keep(struct env *v, int fd)
{
	v->got[0] = fd;
	return fd < 0 ? fd : 0;
}

static long do_open(struct env *v)
{
	int fd = open("/dev/kchan", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : keep(v, fd);
}

static long do_make(struct env *v) { return chan_make(v->got, 8, 1, 0); }
static long do_make_big(struct env *v) { return chan_make(v->got, HUGE, 3000, 0); }
static long do_kind(struct env *v) { return chan_kind(v->a[0]); }

static long do_info(struct env *v)
{
	struct chan_info i;

	return chan_info(v->a[0], &i, sizeof(i));
}

static long send_len(struct env *v, size_t len)
{
	return chan_send(v->b[1], v->buf, len, -1, SOON);
}

static long do_send_short(struct env *v) { return chan_send(v->b[1], v->buf, 8, -1, CHAN_NOW); }
static long do_send_8(struct env *v) { return send_len(v, 8); }
static long do_send_big(struct env *v) { return send_len(v, BIG); }
static long do_send_huge(struct env *v) { return send_len(v, HUGE); }
static long do_send_under(struct env *v) { return chan_send(v->b[1], v->buf, BIG, v->g, SOON); }
static long do_write(struct env *v) { return write(v->b[1], v->buf, BIG) < 0 ? -errno : 0; }
static long do_read(struct env *v) { return read(v->a[0], v->buf, BIG) < 0 ? -errno : 0; }
static long do_recv_short(struct env *v) { return chan_recv(v->a[0], v->buf, 8, -1, CHAN_NOW); }
static long do_recv(struct env *v) { return chan_recv(v->a[0], v->buf, 8, -1, SOON); }
static long do_recv_under(struct env *v) { return chan_recv(v->a[0], v->buf, 8, v->g, SOON); }

static long do_recv_big(struct env *v)
{
	return chan_recv(v->h[0], v->buf, BIG, -1, CHAN_NOW);
}

/* how many, less all */
static long do_sendm(struct env *v)
{
	struct chan_msg m[3] = { { .buf = v->buf, .len = 8 }, { .buf = v->buf, .len = BIG },
				 { .buf = v->buf, .len = 8 } };

	return chan_sendm(v->b[1], m, 3, -1, SOON);
}

static long do_recvm(struct env *v)
{
	struct chan_msg m[2] = { { .buf = v->buf, .len = BIG }, { .buf = v->buf + BIG, .len = BIG } };

	return chan_recvm(v->a[0], m, 2, -1, SOON);
}

static long do_send_fds(struct env *v)
{
	int fds[3] = { v->a[1], v->w, v->g };
	struct chan_msg m = { .buf = v->buf, .len = 8, .fds = fds, .nfds = 3 };

	return chan_sendm(v->f[1], &m, 1, -1, SOON);
}

static long do_recv_fds(struct env *v)
{
	struct chan_msg m = { .buf = v->buf, .len = 8, .fds = v->got, .nfds = 4 };

	return chan_recvm(v->f[0], &m, 1, -1, SOON);
}

/* Many cases, none ready; or one, the last. */
static long select_many(struct env *v, int op, int fd, size_t len, int64_t deadline)
{
	struct chan_case c[CASES];
	long r;

	for (int i = 0; i < CASES; i++)
		c[i] = chan_recv_case(v->b[0], v->buf + BIG, BIG);
	c[CASES - 1] = op == CHAN_SEND ? chan_send_case(fd, v->buf, len) :
		       chan_recv_case(fd, v->buf, len);
	r = chan_select(c, CASES, 0, v->g, deadline);
	return r < 0 ? r : c[r].msg.res;
}

static long do_select_now(struct env *v)
{
	return select_many(v, CHAN_RECV, v->b[0], BIG, CHAN_NOW);
}

/* Long enough to come to the waiting. */
static long do_select_sleeps(struct env *v)
{
	return select_many(v, CHAN_RECV, v->b[0], BIG, chan_after(20 * MS));
}

static long do_select_waits(struct env *v)
{
	return select_many(v, CHAN_RECV, v->b[0], BIG, chan_after(MS / 4));
}

static long do_select_recv(struct env *v)
{
	return select_many(v, CHAN_RECV, v->a[0], 8, SOON);
}

static long do_select_send(struct env *v)
{
	return select_many(v, CHAN_SEND, v->a[1], BIG, SOON);
}

static long do_select_poll(struct env *v)
{
	struct chan_case c[2] = { chan_recv_case(v->b[0], v->buf, BIG),
				  { .fd = v->a[0], .op = CHAN_POLL, .events = POLLIN } };

	return chan_select(c, 2, 0, -1, SOON);
}

static long do_arm(struct env *v)
{
	struct chan_case c[2] = {
		chan_recv_case(v->b[0], v->buf, BIG), chan_recv_case(v->b[0], v->buf, 8),
	};

	return keep(v, chan_arm(c, 2, 0));
}

static long do_arm_send(struct env *v)
{
	struct chan_case c[2] = {
		chan_recv_case(v->b[0], v->buf, BIG), chan_send_case(v->a[1], v->buf, BIG),
	};

	return keep(v, chan_arm(c, 2, 0));
}

static long do_fired(struct env *v)
{
	struct chan_case c = chan_recv_case(-1, v->buf, 8);
	long r = chan_fired(v->fired, &c, 1);

	return r < 0 ? r : c.msg.res;
}

static long do_features(struct env *v)
{
	struct kchan_features f;
	struct kchan_out out = { .addr = (uintptr_t)&f, .size = sizeof(f) };

	return ioctl(v->a[0], KCHAN_IOC_FEATURES, &out) ? -errno : (long)f.abi;
}

static long do_shut(struct env *v) { return chan_shut(v->b[1], 0); }
static long do_group(struct env *v) { return keep(v, chan_group(-1, chan_after(SOON), 0, 0)); }
static long do_child(struct env *v) { return keep(v, chan_group(v->g, CHAN_FOREVER, 0, 0)); }
static long do_watch(struct env *v) { return keep(v, chan_watch(v->g)); }
static long do_join(struct env *v) { return keep(v, chan_join(v->g, v->w, SOON)); }
static long do_leave(struct env *v) { return chan_leave(v->m, 5, "because"); }
static long do_cancel(struct env *v) { return chan_cancel(v->g, 5, "because"); }
static long do_set(struct env *v) { return chan_value_set(v->g, "new", v->buf, BIG); }
static long do_get(struct env *v) { return chan_value_get(v->m, "key", v->buf, 5); }

static long do_wait(struct env *v)
{
	int err = 0;

	return chan_wait(v->g, &err, v->m, CHAN_NOW);
}

static long do_group_info(struct env *v)
{
	struct chan_group_info i;

	return chan_group_info(v->w, &i, sizeof(i));
}

static long do_poll(struct env *v)
{
	struct pollfd p[CASES];
	int r;

	for (int i = 0; i < CASES; i++)
		p[i] = (struct pollfd){ .fd = i & 1 ? v->a[0] : v->w, .events = POLLIN };
	r = poll(p, CASES, 0);
	return r < 0 ? -errno : r;
}

static long do_fork(struct env *v)
{
	int member = -1, status;
	pid_t pid = chan_fork(v->g, NULL, 0, &member);

	if (!pid)
		_exit(chan_leave(member, 0, NULL) ? 1 : 0);
	if (pid < 0)
		return pid;
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

struct call {
	const char *name;
	long (*run)(struct env *v);
	long clean;		/* what it returns when nothing fails */
	bool robust;		/* does without what fails */
};

#define CALL(name, clean) { #name, do_##name, clean, false }

static const struct call calls[] = {
	CALL(open, 0), CALL(make, 0), CALL(make_big, 0), { "kind", do_kind, CHAN_RX, true },
	CALL(info, 0), CALL(features, KCHAN_ABI), CALL(shut, 0),
	CALL(send_short, 0), CALL(send_8, 0), CALL(send_big, 0), CALL(send_huge, 0), CALL(send_under, 0),
	CALL(write, 0), CALL(read, 0), CALL(recv_short, 8), CALL(recv, 8), CALL(recv_under, 8),
	CALL(recv_big, BIG), CALL(sendm, 3), CALL(recvm, 2), CALL(send_fds, 1), CALL(recv_fds, 1),
	CALL(select_now, -EAGAIN), CALL(select_waits, -ETIMEDOUT), CALL(select_recv, 8),
	CALL(select_send, 0), CALL(select_poll, 1), CALL(arm, 0), CALL(arm_send, 0), CALL(fired, 8),
	CALL(group, 0), CALL(child, 0), CALL(watch, 0), CALL(join, 0), CALL(leave, 0), CALL(cancel, 0),
	CALL(set, 0), CALL(get, 5), CALL(wait, -EAGAIN), CALL(group_info, 0), CALL(poll, CASES / 2),
};

/*
 * Let the 1st, 2nd, 3rd... place of a call fail until there is none: as long as it
 * fails, all is as before; so the call that succeeds in the end is the same again.
 * A batch may stop early, and some failures are got over.
 */
static void every_place(struct __test_metadata *_metadata, const struct call *o, int step)
{
	static char buf[HUGE];
	struct env v = { .buf = buf };
	struct state before, after;
	int n, failures = 0;
	bool hit = true, made = false;

	for (n = 1; hit; n += step) {
		long r;

		if (!made) {
			env_make(_metadata, &v);
			before = state_of(&v);
			made = true;
		}
		fail_nth(nth_fd, n);
		r = o->run(&v);
		hit = reached();
		if (r == o->clean || (r > 0 && r < o->clean)) {
			env_drop(&v);
			made = false;
			continue;
		}
		ASSERT_TRUE(hit) TH_LOG("%s: %ld, and nothing has failed", o->name, r);
		ASSERT_TRUE(r == -ENOMEM || r == -EFAULT || r == -EAGAIN)
			TH_LOG("%s, failure %d: %ld", o->name, n, r);
		after = state_of(&v);
		ASSERT_EQ(0, memcmp(&before, &after, sizeof(before)))
			TH_LOG("%s, failure %d (%ld) has changed something", o->name, n, r);
		failures++;
		ASSERT_GT(5000, n) TH_LOG("%s never succeeds", o->name);
	}
	EXPECT_TRUE(failures || o->robust) TH_LOG("%s never failed", o->name);
	TH_LOG("%s: %d places, %d errors", o->name, n - 1 - step, failures);
}

FIXTURE(failing) { long bytes; };

FIXTURE_SETUP(failing)
{
	self->bytes = bytes_in_use();
	ASSERT_LT(0, self->bytes);
	nth_fd = fail_nth_open();
	if (nth_fd < 0)
		SKIP(return, "this kernel injects no faults");
	fail_sleepers(true);
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE));
}

FIXTURE_TEARDOWN(failing)
{
	if (nth_fd < 0)
		return;
	/* nothing that failed is still charged */
	EXPECT_EQ(self->bytes, bytes_in_use());
	fail_sleepers(false);
}

/* D28 */
TEST_F(failing, every_allocation_and_copy_of_every_call)
{
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		every_place(_metadata, &calls[i], 1);
}

static void *pauses(void *arg)
{
	pause();
	return NULL;
}

/* Where descriptors are shared, calls hold their files, and a select that waits has one of its own. */
TEST_F(failing, the_same_beside_another_thread)
{
	static const struct call some[] = {
		CALL(recv_big, BIG), CALL(send_big, 0), CALL(select_sleeps, -ETIMEDOUT),
		CALL(select_recv, 8), CALL(select_poll, 1), CALL(recv_under, 8),
	};
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, pauses, NULL));
	for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		every_place(_metadata, &some[i], 1);
}

/* A fork that fails leaves no member behind. Pages do not fail: it would be the test that runs out. */
TEST_F(failing, a_fork_leaves_no_member)
{
	static const struct call fork_call = CALL(fork, 0);

	put("/sys/kernel/debug/fail_page_alloc/min-order", "10");
	every_place(_metadata, &fork_call, quick(3, 11));
}

TEST_HARNESS_MAIN
