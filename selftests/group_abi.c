// SPDX-License-Identifier: MIT
/* The ioctls on groups: each field wrong in turn, on every kind of descriptor. */
#include <limits.h>

#include "group_util.h"
#include "harness.h"

#define NR(cmd)		_IOC_NR(cmd)
#define WRONG		((uint64_t)8)	/* no address of anybody's */
#define HIGH		(UINT64_C(0xffff888000000000))

static int io(int fd, unsigned long cmd, void *arg)
{
	int r = ioctl(fd, cmd, arg);

	return r < 0 ? -errno : r;
}

static unsigned long sized(unsigned long cmd, unsigned size)
{
	return _IOC(_IOC_DIR(cmd), KCHAN_MAGIC, _IOC_NR(cmd), size);
}

/* All kinds of descriptors, a group with members among them, and what is to stay so. */
FIXTURE(abi)
{
	int dev, rx, tx, g, m, w, pipe[2], closed;
	int spare, log;
	struct chan_group_info g_info, m_info;
};

FIXTURE_SETUP(abi)
{
	int e[2];

	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, self->log);
	lseek(self->log, 0, SEEK_END);
	self->dev = open("/dev/kchan", O_RDWR);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(0, chan_make(e, 64, 2, 0));
	self->rx = e[0];
	self->tx = e[1];
	self->g = chan_group(-1, HOUR, 0, 2);
	self->m = chan_join(self->g, -1, CHAN_NOW);
	self->w = chan_watch(self->g);
	ASSERT_EQ(0, chan_value_set(self->g, "there", "value", 5));
	ASSERT_EQ(0, pipe(self->pipe));
	self->closed = dup(0);
	close(self->closed);
	self->spare = lowest_free();
	self->g_info = ginfo(self->g);
	self->m_info = ginfo(self->m);
}

/* No call of a test has changed anything, leaked a descriptor or logged a word. */
FIXTURE_TEARDOWN(abi)
{
	struct chan_group_info g = ginfo(self->g), m = ginfo(self->m);
	char line[1024];
	ssize_t n;

	EXPECT_EQ(0, memcmp(&g, &self->g_info, sizeof(g)));
	EXPECT_EQ(0, memcmp(&m, &self->m_info, sizeof(m)));
	EXPECT_EQ(self->spare, lowest_free());
	EXPECT_EQ(0, info_of(self->rx).sent + info_of(self->rx).shut);
	while (self->log >= 0 && ((n = read(self->log, line, sizeof(line) - 1)) > 0 || errno == EPIPE)) {
		line[n > 0 ? n : 0] = 0;
		EXPECT_EQ(NULL, strstr(line, "kchan"));
	}
	EXPECT_TRUE(self->log < 0 || errno == EAGAIN);
	close(self->log);
}

/* ---- the wrong descriptor ---- */

static const unsigned long calls[] = {
	KCHAN_IOC_GROUP, KCHAN_IOC_WATCH, KCHAN_IOC_JOIN, KCHAN_IOC_LEAVE, KCHAN_IOC_CANCEL,
	KCHAN_IOC_WAIT, KCHAN_IOC_GROUP_INFO, KCHAN_IOC_VALUE_SET, KCHAN_IOC_VALUE_GET,
};

#define CALLS	(sizeof(calls) / sizeof(*calls))

TEST_F(abi, a_call_on_the_wrong_kind_of_descriptor_is_ebadf)
{
	char zero[256] = {};

	for (unsigned i = 0; i < CALLS; i++) {
		/* told before the argument is looked at: a good one, NULL, a wild one */
		void *args[] = { zero, NULL, (void *)8 };

		for (int k = 0; k < 3; k++) {
			EXPECT_EQ(-EBADF, io(self->rx, calls[i], args[k]));
			EXPECT_EQ(-EBADF, io(self->tx, calls[i], args[k]));
			EXPECT_EQ(-ENOTTY, io(self->pipe[0], calls[i], args[k]));
			EXPECT_EQ(-EBADF, io(self->closed, calls[i], args[k]));
			EXPECT_EQ(-EBADF, io(-1, calls[i], args[k]));
			if (calls[i] != KCHAN_IOC_GROUP)
				EXPECT_EQ(-EBADF, io(self->dev, calls[i], args[k]));
		}
	}
	for (int k = 0; k < 3; k++) {
		void *arg = ((void *[]){ zero, NULL, (void *)8 })[k];

		EXPECT_EQ(-EBADF, io(self->w, KCHAN_IOC_WATCH, arg));
		EXPECT_EQ(-EBADF, io(self->w, KCHAN_IOC_JOIN, arg));
		EXPECT_EQ(-EBADF, io(self->w, KCHAN_IOC_LEAVE, arg));
		EXPECT_EQ(-EBADF, io(self->w, KCHAN_IOC_CANCEL, arg));
		EXPECT_EQ(-EBADF, io(self->w, KCHAN_IOC_VALUE_SET, arg));
		for (int j = 0; j < 3; j++) {
			int fd = ((int[]){ self->g, self->m, self->w })[j];

			EXPECT_EQ(-EBADF, io(fd, KCHAN_IOC_MAKE, arg));
			EXPECT_EQ(-EBADF, io(fd, KCHAN_IOC_SEND, arg));
			EXPECT_EQ(-EBADF, io(fd, KCHAN_IOC_RECV, arg));
			EXPECT_EQ(-EBADF, io(fd, KCHAN_IOC_SHUT, arg));
			EXPECT_EQ(-EBADF, io(fd, KCHAN_IOC_INFO, arg));
			EXPECT_EQ(-EBADF, io(fd, KCHAN_IOC_SEND_NOW(4), arg));
			EXPECT_EQ(-EBADF, io(fd, KCHAN_IOC_RECV_WAIT(4), arg));
		}
	}
}

TEST_F(abi, an_unknown_call_is_enotty)
{
	int fd[] = { self->dev, self->rx, self->tx, self->g, self->m, self->w };
	char zero[64] = {};

	for (int i = 0; i < 6; i++) {
		for (unsigned nr = 0x30; nr < 256; nr += 5) {
			EXPECT_EQ(-ENOTTY, io(fd[i], _IO(KCHAN_MAGIC, nr), zero));
			EXPECT_EQ(-ENOTTY, io(fd[i], _IOC(3, KCHAN_MAGIC, nr, 64), zero));
		}
		for (unsigned k = 0; k < CALLS; k++)
			EXPECT_EQ(-ENOTTY, io(fd[i], _IOC(_IOC_DIR(calls[k]), KCHAN_MAGIC + 1,
					      NR(calls[k]), _IOC_SIZE(calls[k])), zero));
	}
}

/* O_PATH and other ways of having no descriptor at all */
TEST_F(abi, a_path_is_no_descriptor)
{
	int p = open("/dev/kchan", O_PATH), v = 1;

	ASSERT_LE(0, p);
	EXPECT_EQ(-EBADF, chan_group(p, CHAN_FOREVER, 0, 0));
	EXPECT_EQ(-EBADF, chan_send(self->tx, &v, 4, p, CHAN_NOW));
	EXPECT_EQ(-EBADF, chan_wait(self->g, NULL, p, CHAN_NOW));
	close(p);
}

/* ---- the structure's size and address ---- */

TEST_F(abi, a_structure_may_be_longer_and_not_shorter)
{
	/* the tail that nobody knows must be 0 */
	struct { struct kchan_group_make m; uint64_t more[4]; } g = { .m.deadline = KCHAN_FOREVER };
	struct { struct kchan_group_wait w; uint64_t more[4]; } w = { .w.under = -1 };
	struct { struct kchan_value v; uint64_t more[4]; } v = { .v.key = (uintptr_t)"there" };
	struct { struct kchan_group_end e; uint64_t more[4]; } e = { .e.err = 4096 };
	struct { unsigned long cmd; void *arg; uint64_t *more; unsigned size; int ok; } t[] = {
		{ KCHAN_IOC_WAIT, &w, w.more, sizeof(w.w), -EAGAIN },
		{ KCHAN_IOC_VALUE_GET, &v, v.more, sizeof(v.v), 5 },
		{ KCHAN_IOC_CANCEL, &e, e.more, sizeof(e.e), -EINVAL },
		{ KCHAN_IOC_LEAVE, &e, e.more, sizeof(e.e), -EINVAL },
	};
	int fd;

	for (int i = 0; i < 4; i++) {
		for (unsigned n = 0; n < t[i].size; n++)
			EXPECT_EQ(-EINVAL, io(self->g, sized(t[i].cmd, n), t[i].arg));
		for (unsigned n = t[i].size; n <= t[i].size + 32; n++)
			EXPECT_EQ(t[i].ok, io(self->g, sized(t[i].cmd, n), t[i].arg));
		t[i].more[1] = 1;
		EXPECT_EQ(t[i].ok, io(self->g, sized(t[i].cmd, t[i].size + 8), t[i].arg));
		EXPECT_EQ(-EINVAL, io(self->g, sized(t[i].cmd, t[i].size + 9), t[i].arg));
		t[i].more[1] = 0;
	}
	for (unsigned n = 0; n < sizeof(g.m); n++)
		EXPECT_EQ(-EINVAL, io(self->g, sized(KCHAN_IOC_GROUP, n), &g));
	fd = io(self->g, sized(KCHAN_IOC_GROUP, sizeof(g)), &g);
	EXPECT_LE(0, fd);
	close(fd);
	g.more[3] = UINT64_C(1) << 63;
	EXPECT_EQ(-EINVAL, io(self->g, sized(KCHAN_IOC_GROUP, sizeof(g)), &g));
	EXPECT_EQ(-EINVAL, io(self->dev, sized(KCHAN_IOC_GROUP, sizeof(g)), &g));
	for (unsigned n = 0; n < sizeof(w.w); n++)
		EXPECT_EQ(-EINVAL, io(self->g, sized(KCHAN_IOC_JOIN, n), &w));
}

TEST_F(abi, a_structure_that_is_not_there_is_efault)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(edge + page, page);
	for (unsigned i = 0; i < CALLS; i++) {
		if (calls[i] == KCHAN_IOC_WATCH)
			continue;
		for (int k = 0; k < 3; k++) {
			int fd = ((int[]){ self->g, self->m, self->dev })[k];
			int want = k == 2 && calls[i] != KCHAN_IOC_GROUP ? -EBADF : -EFAULT;

			EXPECT_EQ(want, io(fd, calls[i], NULL));
			EXPECT_EQ(want, io(fd, calls[i], (void *)8));
			EXPECT_EQ(want, io(fd, calls[i], (void *)-4096L));
			/* all but its last byte */
			EXPECT_EQ(want, io(fd, calls[i], edge + page - _IOC_SIZE(calls[i]) + 1));
		}
	}
	munmap(edge, page);
}

/* ---- each field ---- */

TEST_F(abi, group_fields)
{
	int fd[] = { self->g, self->w, self->m, self->dev };

	for (int i = 0; i < 4; i++) {
		struct kchan_group_make m = { .deadline = KCHAN_FOREVER };
		bool dev = fd[i] == self->dev;
		int r;

		for (int bit = 3; bit < 32; bit++) {
			m.flags = 1U << bit;
			EXPECT_EQ(-EINVAL, io(fd[i], KCHAN_IOC_GROUP, &m));
			m.flags = 1U << bit | KCHAN_FAIL_FAST;
			EXPECT_EQ(-EINVAL, io(fd[i], KCHAN_IOC_GROUP, &m));
		}
		for (unsigned flags = 0; flags < 8; flags++) {
			m.flags = flags;
			r = io(fd[i], KCHAN_IOC_GROUP, &m);
			EXPECT_EQ(dev && flags & KCHAN_DETACHED, r == -EINVAL);
			EXPECT_EQ(r != -EINVAL, r >= 0);
			close(r);
		}
		m.flags = 0;
		m.deadline = KCHAN_NOW;
		EXPECT_EQ(-EINVAL, io(fd[i], KCHAN_IOC_GROUP, &m));
		m.deadline = INT64_MIN;
		m.limit = UINT_MAX;
		r = io(fd[i], KCHAN_IOC_GROUP, &m);
		ASSERT_LE(0, r);
		EXPECT_EQ(ETIMEDOUT, ginfo(r).err);
		EXPECT_EQ(UINT_MAX, ginfo(r).limit);
		close(r);
	}
}

TEST_F(abi, join_and_wait_fields)
{
	unsigned long cmds[] = { KCHAN_IOC_JOIN, KCHAN_IOC_WAIT };
	struct { int under, want; } bad[] = {
		{ -2, -EBADF }, { INT_MIN, -EBADF }, { INT_MAX, -EBADF }, { 9999, -EBADF },
		{ self->rx, -EBADF }, { self->tx, -EBADF },
		{ self->pipe[0], -ENOTTY },
	};
	struct kchan_group_wait ok = { .under = -1 }, a;
	size_t page = sysconf(_SC_PAGESIZE);
	struct kchan_group_wait *ro;
	int m2 = chan_join(self->g, -1, CHAN_NOW);

	/* the group is full, and has members: both calls would wait */
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-EAGAIN, io(self->g, cmds[i], &ok));
		for (int bit = 0; bit < 32; bit++) {
			a = ok;
			a.flags = 1U << bit;
			EXPECT_EQ(-EINVAL, io(self->g, cmds[i], &a));
			a = ok;
			a.reserved = 1U << bit;
			EXPECT_EQ(-EINVAL, io(self->g, cmds[i], &a));
			a = ok;
			a.first_err = 1U << bit;
			EXPECT_EQ(-EINVAL, io(self->g, cmds[i], &a));
		}
		for (unsigned k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
			a = ok;
			a.under = bad[k].under;
			EXPECT_EQ(bad[k].want, io(self->g, cmds[i], &a));
			/* the call's own fault comes before the time that is up */
			a.deadline = -1;
			EXPECT_EQ(bad[k].want, io(self->g, cmds[i], &a));
		}
		a = ok;
		a.deadline = -1;
		EXPECT_EQ(-ETIMEDOUT, io(self->g, cmds[i], &a));
		a.deadline = INT64_MIN;
		EXPECT_EQ(-ETIMEDOUT, io(self->g, cmds[i], &a));
		EXPECT_EQ(0, a.first_err);
	}
	/* nowhere to store the answer */
	ro = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ro->under = -1;
	ASSERT_EQ(0, mprotect(ro, page, PROT_READ));
	EXPECT_EQ(-EFAULT, io(self->g, KCHAN_IOC_WAIT, ro));
	munmap(ro, page);
	ASSERT_EQ(0, chan_leave(m2, 0, NULL));
	close(m2);
}

TEST_F(abi, cancel_and_leave_fields)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int errs[] = { -1, 4096, INT_MIN, INT_MAX, 65536 };
	unsigned long cmds[] = { KCHAN_IOC_CANCEL, KCHAN_IOC_LEAVE };

	memset(edge, 'x', page);
	munmap(edge + page, page);
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 2; k++) {
			int fd = k ? self->m : self->g;
			struct kchan_group_end e = {};
			uint64_t why[] = { WRONG, HIGH, UINT64_MAX, UINT64_C(1) << 63,
					   (uintptr_t)(edge + page - 10) };

			for (int j = 0; j < 5; j++) {
				e.err = errs[j];
				EXPECT_EQ(-EINVAL, io(fd, cmds[i], &e));
			}
			e.err = 1;
			for (int bit = i; bit < 32; bit++) {
				e.flags = 1U << bit;
				EXPECT_EQ(-EINVAL, io(fd, cmds[i], &e));
			}
			e.flags = 0;
			for (int j = 0; j < 5; j++) {
				e.why = why[j];
				EXPECT_EQ(-EFAULT, io(fd, cmds[i], &e));
			}
			EXPECT_EQ(CHAN_LIVE, ginfo(fd).state);
		}
	}
	munmap(edge, page);
	/* no member: nothing to leave, whatever else is right */
	struct kchan_group_end e = { .err = 1 };

	EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_LEAVE, &e));
	e.flags = KCHAN_UNJOIN;
	EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_LEAVE, &e));
}

/* An end that is refused leaves no why. */
TEST_F(abi, a_group_that_lives_has_no_why)
{
	struct kchan_group_end e = { .why = (uintptr_t)"no", .err = -1 };

	EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_CANCEL, &e));
	EXPECT_STREQ("", ginfo(self->g).why);
	EXPECT_EQ(0, ginfo(self->g).err);
	EXPECT_EQ(0, ginfo(self->g).by_pid);
}

TEST_F(abi, unjoin_leaves_as_if_it_had_never_joined)
{
	unsigned flags[] = { 0, CHAN_FAIL_FAST, CHAN_FIRST_EXIT };

	for (int i = 0; i < 3; i++) {
		int g = chan_group(-1, CHAN_FOREVER, flags[i], 0), m = chan_join(g, -1, CHAN_NOW);
		struct kchan_group_end e = { .err = 5, .flags = KCHAN_UNJOIN };

		ASSERT_EQ(0, io(m, KCHAN_IOC_LEAVE, &e));
		EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
		EXPECT_EQ(0, ginfo(g).members + ginfo(g).failed);
		EXPECT_EQ(CHAN_ENDED, ginfo(m).state);
		EXPECT_EQ(-EINVAL, chan_leave(m, 0, NULL));
		close(m);
		EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
		close(g);
	}
}

TEST_F(abi, info_fields)
{
	struct { struct kchan_group_info i; char more[4096]; } in;
	struct kchan_out o = { .addr = (uintptr_t)&in, .size = sizeof(in.i) };
	unsigned first = sizeof(in.i);
	size_t page = sysconf(_SC_PAGESIZE);

	ASSERT_EQ(200, first);
	EXPECT_EQ(0, io(self->w, KCHAN_IOC_GROUP_INFO, &o));
	EXPECT_EQ(self->g_info.id, in.i.id);
	for (int bit = 0; bit < 32; bit++) {
		o.reserved = 1U << bit;
		EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_GROUP_INFO, &o));
	}
	o.reserved = 0;
	for (unsigned n = 0; n < first; n++) {
		o.size = n;
		EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_GROUP_INFO, &o));
	}
	o.size = page + 1;
	EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_GROUP_INFO, &o));
	o.size = UINT_MAX;
	EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_GROUP_INFO, &o));
	/* what the kernel does not know is 0, and past the size nothing is written */
	memset(&in, 0x5a, sizeof(in));
	o.size = first + 100;
	EXPECT_EQ(0, io(self->g, KCHAN_IOC_GROUP_INFO, &o));
	for (int i = 0; i < 101; i++)
		EXPECT_EQ(i < 100 ? 0 : 0x5a, in.more[i]);
	o.size = page;
	EXPECT_EQ(0, io(self->g, KCHAN_IOC_GROUP_INFO, &o));
	o.size = first;
	uint64_t bad[] = { 0, WRONG, HIGH, UINT64_MAX };

	for (int i = 0; i < 4; i++) {
		o.addr = bad[i];
		EXPECT_EQ(-EFAULT, io(self->g, KCHAN_IOC_GROUP_INFO, &o));
	}
	EXPECT_EQ(-EINVAL, chan_group_info(self->g, (void *)&in, 199));
	EXPECT_EQ(-EINVAL, chan_group_info(self->g, (void *)&in, SIZE_MAX));
}

TEST_F(abi, value_fields)
{
	struct kchan_value v = {}, ok = { .key = (uintptr_t)"new", .val = (uintptr_t)"abc", .len = 3 };
	size_t page = sysconf(_SC_PAGESIZE);
	char *edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t bad[] = { 0, WRONG, HIGH, UINT64_MAX, UINT64_C(1) << 63 };

	memset(edge, 'k', page);
	munmap(edge + page, page);
	for (int i = 0; i < 5; i++) {
		v = ok;
		v.key = bad[i];
		EXPECT_EQ(-EFAULT, io(self->g, KCHAN_IOC_VALUE_SET, &v));
		EXPECT_EQ(-EFAULT, io(self->g, KCHAN_IOC_VALUE_GET, &v));
		v = ok;
		v.val = bad[i];
		EXPECT_EQ(-EFAULT, io(self->g, KCHAN_IOC_VALUE_SET, &v));
		v.key = (uintptr_t)"there";
		v.len = 5;
		EXPECT_EQ(-EFAULT, io(self->w, KCHAN_IOC_VALUE_GET, &v));
	}
	/* a key that runs into nowhere; one that ends at the last byte */
	v = ok;
	v.key = (uintptr_t)(edge + page - 20);
	EXPECT_EQ(-EFAULT, io(self->g, KCHAN_IOC_VALUE_SET, &v));
	EXPECT_EQ(-EFAULT, io(self->g, KCHAN_IOC_VALUE_GET, &v));
	edge[page - 1] = 0;
	EXPECT_EQ(-ENODATA, io(self->g, KCHAN_IOC_VALUE_GET, &v));
	/* 128 bytes of a key without an end are enough to refuse it */
	v.key = (uintptr_t)(edge + page - 400);
	EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_VALUE_SET, &v));
	v.key = (uintptr_t)"";
	EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_VALUE_SET, &v));
	EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_VALUE_GET, &v));
	v = ok;
	uint64_t lens[] = { 4097, UINT_MAX, UINT64_C(1) << 32, UINT64_MAX, UINT64_C(1) << 63 };

	for (int i = 0; i < 5; i++) {
		v.len = lens[i];
		EXPECT_EQ(-EINVAL, io(self->g, KCHAN_IOC_VALUE_SET, &v));
	}
	v = ok;
	EXPECT_EQ(-ENODATA, io(self->g, KCHAN_IOC_VALUE_GET, &v));
	v.key = (uintptr_t)"there";
	EXPECT_EQ(-EEXIST, io(self->g, KCHAN_IOC_VALUE_SET, &v));
	EXPECT_EQ(-EMSGSIZE, io(self->g, KCHAN_IOC_VALUE_GET, &v));
	/* a room larger than any value is no mistake */
	v.val = (uintptr_t)edge;
	v.len = UINT64_MAX;
	EXPECT_EQ(5, io(self->g, KCHAN_IOC_VALUE_GET, &v));
	EXPECT_EQ(0, memcmp(edge, "valuek", 6));
	munmap(edge, page);
}

/* `under` of the calls on channels */
TEST_F(abi, under_of_other_calls)
{
	struct { int under, want; } bad[] = {
		{ -2, -EBADF }, { INT_MAX, -EBADF }, { self->closed, -EBADF },
		{ self->rx, -EBADF }, { self->tx, -EBADF }, { self->pipe[1], -ENOTTY },
	};
	int v = 1;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct chan_case c = chan_send_case(self->tx, &v, 4);

		EXPECT_EQ(bad[i].want, chan_send(self->tx, &v, 4, bad[i].under, CHAN_NOW));
		EXPECT_EQ(bad[i].want, chan_recv(self->rx, &v, 4, bad[i].under, CHAN_NOW));
		EXPECT_EQ(bad[i].want, chan_select(&c, 1, 0, bad[i].under, CHAN_NOW));
		EXPECT_EQ(bad[i].want, chan_select(NULL, 0, 0, bad[i].under, CHAN_NOW));
	}
}

/* ---- what runs out ---- */

TEST_F(abi, no_descriptor_left_makes_nothing)
{
	struct rlimit old, r;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	r = old;
	r.rlim_cur = self->spare;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &r));
	EXPECT_EQ(-EMFILE, chan_group(self->g, CHAN_FOREVER, 0, 0));
	EXPECT_EQ(-EMFILE, chan_watch(self->g));
	EXPECT_EQ(-EMFILE, chan_join(self->g, -1, CHAN_NOW));
	EXPECT_EQ(-EMFILE, chan_group(-1, CHAN_FOREVER, 0, 0));
	EXPECT_EQ(1, ginfo(self->g).members);
	EXPECT_EQ(1, ginfo(self->g).children);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

static int as_user(void *arg)
{
	int n = *(int *)arg, fd[16], g, r = 0;

	g = root();
	if (g < 0 || setuid(4711))
		return 1;
	/* made before: they are another user's */
	for (int i = 0; i < n; i++) {
		fd[i] = i % 2 ? below(g) : chan_join(g, -1, CHAN_NOW);
		if (fd[i] < 0)
			return 2;
	}
	if (below(g) != -EDQUOT || chan_join(g, -1, CHAN_NOW) != -EDQUOT)
		return 3;
	if (ginfo(g).children != (unsigned)n)
		return 4;
	/* a watch counts as a group; what has gone counts no more */
	if (chan_watch(g) != -EDQUOT)
		return 5;
	close(fd[0]);
	fd[0] = chan_watch(g);
	if (fd[0] < 0 || below(g) != -EDQUOT)
		return 7;
	close(fd[0]);
	fd[0] = below(g);
	if (fd[0] < 0 || below(g) != -EDQUOT)
		return 6;
	return r;
}

TEST_F(abi, a_users_groups_are_limited)
{
	int *n = shared(sizeof(*n));
	struct party p;

	*n = 6;
	if (!set_parameter("max_user_groups", *n))
		SKIP(return, "no module parameters");
	ASSERT_TRUE(party_start(&p, true, as_user, n));
	EXPECT_EQ(0, party_end(&p));
	/* root is not bound by it */
	for (int i = 0; i < 20; i++) {
		int g = root();

		EXPECT_LE(0, g);
		close(g);
	}
	EXPECT_TRUE(set_parameter("max_user_groups", 65536));
}

TEST_F(abi, the_depth_limit_is_a_parameter)
{
	int g = root(), c;

	if (!set_parameter("max_group_depth", 1))
		SKIP(return, "no module parameters");
	c = below(g);
	EXPECT_LE(0, c);
	EXPECT_EQ(-ELOOP, below(c));
	EXPECT_EQ(-ELOOP, chan_group(c, CHAN_FOREVER, CHAN_DETACHED, 0));
	EXPECT_EQ(-ELOOP, chan_join(c, -1, CHAN_NOW));
	EXPECT_TRUE(set_parameter("max_group_depth", 4096));
	close2((int[]){ g, c });
}

/* An epoll descriptor answers EINVAL to what it does not know; the library tells it apart. */
TEST(what_is_no_group_is_told_from_what_is_wrong)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), g = chan_group(-1, CHAN_FOREVER, 0, 0), m;

	EXPECT_EQ(-ENOTTY, chan_group(ep, CHAN_FOREVER, 0, 0));
	EXPECT_EQ(-ENOTTY, chan_watch(ep));
	EXPECT_EQ(-ENOTTY, chan_join(ep, -1, CHAN_NOW));
	EXPECT_EQ(-ENOTTY, chan_leave(ep, 0, NULL));
	EXPECT_EQ(-ENOTTY, chan_cancel(ep, 0, NULL));
	EXPECT_EQ(-ENOTTY, chan_wait(ep, NULL, -1, CHAN_NOW));
	EXPECT_EQ(-ENOTTY, chan_send(ep, "x", 1, -1, CHAN_NOW));
	EXPECT_EQ(-ENOTTY, chan_shut(ep, 0));
	EXPECT_EQ(-ENOTTY, chan_select(NULL, 0, 0, ep, CHAN_NOW));
	EXPECT_EQ(-EINVAL, chan_group(g, CHAN_FOREVER, 1 << 20, 0));
	EXPECT_EQ(-EINVAL, chan_group(-1, CHAN_FOREVER, 1 << 20, 0));
	EXPECT_EQ(-EINVAL, chan_leave(g, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_cancel(g, 4096, NULL));
	m = chan_join(g, -1, CHAN_NOW);
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(-EINVAL, chan_leave(m, 0, NULL));
	close(m);
	close(g);
	close(ep);
}

TEST_HARNESS_MAIN
