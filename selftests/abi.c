// SPDX-License-Identifier: MIT
/*
 * The ioctls with each field wrong in turn, on every kind of descriptor: the exact
 * error, and nothing else: no channel, group, descriptor or log line has changed.
 */
#include <sys/eventfd.h>
#include <sys/klog.h>
#include <sys/socket.h>
#include <sys/param.h>

#include "util.h"
#include "harness.h"

enum { DEV, RX, TX, GROUP, MEMBER, WATCH, HANDLE, ARMED, KINDS };
enum { KEPT, FULL, EMPTY, SHUT, CHANS };	/* channels, by what is in them */

struct state {
	struct chan_info chan[CHANS][2];
	struct chan_group_info group[4];
	int fds;
};

FIXTURE(abi) {
	int fd[KINDS], e[CHANS][2], ended, foreign[8], nforeign;
	char *hole;			/* a page, and then none */
	struct state before;
	int log;
};

static void look(FIXTURE_DATA(abi) *self, struct state *s)
{
	int groups[] = { self->fd[GROUP], self->fd[MEMBER], self->ended };

	memset(s, 0, sizeof(*s));
	for (int i = 0; i < CHANS; i++)
		for (int k = 0; k < 2; k++)
			chan_info(self->e[i][k], &s->chan[i][k], sizeof(s->chan[i][k]));
	for (int i = 0; i < 3; i++)
		chan_group_info(groups[i], &s->group[i], sizeof(s->group[i]));
	s->fds = open_count();
}

/* Lines of the kernel's log that speak of us. */
static int log_lines(void)
{
	int size = klogctl(10, NULL, 0), n = 0;
	char *text = size > 0 ? calloc(1, size + 1) : NULL, *at = text;

	if (text && klogctl(3, text, size) > 0)
		while ((at = strstr(at, "kchan"))) {
			at++;
			n++;
		}
	free(text);
	return n;
}

static int try(int fd, unsigned long req, void *arg)
{
	int r = ioctl(fd, req, arg);

	return r < 0 ? -errno : r;
}

/* The error, and nothing has changed. */
static void refused(struct __test_metadata *_metadata, FIXTURE_DATA(abi) *self, const char *what,
		    int n, int want, int fd, unsigned long req, void *arg)
{
	static unsigned calls;
	struct state after;
	int r = try(fd, req, arg);

	/* what a call was right to make goes at once */
	if (r >= 0 && _IOC_NR(req) == _IOC_NR(KCHAN_IOC_MAKE))
		close2(((struct kchan_make *)arg)->end);
	if (r >= 0 && _IOC_NR(req) == _IOC_NR(KCHAN_IOC_GROUP))
		r = close(r);
	EXPECT_EQ(want, r)
		TH_LOG("%s, %d: ioctl %u of size %u on descriptor %d", what, n,
		       _IOC_NR(req), _IOC_SIZE(req), fd);
	/* a debug kernel takes long for a look: what changed is seen by the next one, too */
	if (++calls % quick(1, 8))
		return;
	look(self, &after);
	EXPECT_EQ(0, memcmp(&self->before, &after, sizeof(after)))
		TH_LOG("%s, %d: ioctl %u changed something (descriptors: %d)", what, n,
		       _IOC_NR(req), after.fds - self->before.fds);
	self->before = after;
}
#define REFUSED(what, n, want, fd, req, arg) \
	refused(_metadata, self, what, n, want, fd, req, arg)

static void *until_shut(void *arg)
{
	chan_recv(*(int *)arg, NULL, 0, -1, CHAN_FOREVER);
	return NULL;
}

/* A select that would wait, in a process of several threads, asks for one. */
static int make_handle(int rx)
{
	struct kchan_case c = { .fd = rx, .op = KCHAN_RECV };
	struct kchan_select s = { .cases = (uintptr_t)&c, .n = 1, .flags = KCHAN_MAY_HANDLE,
				  .deadline = KCHAN_FOREVER, .under = -1 };
	pthread_t t;
	int e[2], r;

	if (chan_make(e, 0, 0, 0) || pthread_create(&t, NULL, until_shut, &e[0]))
		return -1;
	r = try(rx, KCHAN_IOC_SELECT, &s);
	chan_shut(e[1], 0);
	pthread_join(t, NULL);
	while (thread_count() > 1)	/* it holds the table of descriptors a little longer */
		usleep(1000);
	close2(e);
	return r == KCHAN_USE_HANDLE ? s.handle : -1;
}

FIXTURE_SETUP(abi)
{
	int *fd = self->fd, p[2], sv[2], v = 7;
	struct chan_case c;

	for (int i = 0; i < CHANS; i++)
		ASSERT_EQ(0, chan_make(self->e[i], 64, 2, 0));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, chan_send(self->e[i ? FULL : KEPT][1], &v, 4, -1, CHAN_NOW));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, chan_shut(self->e[SHUT][i], 0));
	fd[DEV] = open("/dev/kchan", O_RDWR | O_CLOEXEC);
	fd[RX] = self->e[KEPT][0];
	fd[TX] = self->e[KEPT][1];
	fd[GROUP] = chan_group(-1, CHAN_FOREVER, 0, 1);
	fd[MEMBER] = chan_join(fd[GROUP], -1, CHAN_NOW);
	fd[WATCH] = chan_watch(fd[GROUP]);
	fd[HANDLE] = make_handle(self->e[EMPTY][0]);
	c = chan_recv_case(self->e[EMPTY][0], NULL, 0);
	fd[ARMED] = chan_arm(&c, 1, CHAN_REARM);
	for (int i = 0; i < KINDS; i++)
		ASSERT_LE(0, fd[i]);
	ASSERT_EQ(0, chan_value_set(fd[GROUP], "k", "v", 1));
	self->ended = chan_group(-1, CHAN_FOREVER, 0, 0);
	ASSERT_EQ(0, chan_cancel(self->ended, 0, "over"));
	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	self->foreign[self->nforeign++] = p[0];
	self->foreign[self->nforeign++] = p[1];
	self->foreign[self->nforeign++] = sv[0];
	self->foreign[self->nforeign++] = sv[1];
	self->foreign[self->nforeign++] = eventfd(0, 0);
	self->foreign[self->nforeign++] = open("/dev/null", O_RDWR);
	self->foreign[self->nforeign++] = open("/", O_RDONLY | O_DIRECTORY);
	self->hole = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->hole);
	ASSERT_EQ(0, munmap(self->hole + 4096, 12288));
	self->log = log_lines();
	look(self, &self->before);
}

FIXTURE_TEARDOWN(abi)
{
	EXPECT_EQ(self->log, log_lines());
}

/* On which kinds a number means something. */
static const struct { unsigned nr, kinds; } known[] = {
	{ 0, -1u }, { 1, 1 << DEV }, { 2, 1 << DEV }, { 3, 1 << TX }, { 4, 1 << RX }, { 5, -1u },
	{ 6, 1 << RX | 1 << TX }, { 7, 1 << RX | 1 << TX },
	{ 8, 1 << DEV | 1 << GROUP | 1 << MEMBER | 1 << WATCH },
	{ 9, 1 << GROUP | 1 << MEMBER }, { 10, 1 << GROUP | 1 << MEMBER },
	{ 11, 1 << GROUP | 1 << MEMBER }, { 12, 1 << GROUP | 1 << MEMBER },
	{ 13, 1 << GROUP | 1 << MEMBER | 1 << WATCH }, { 14, 1 << GROUP | 1 << MEMBER | 1 << WATCH },
	{ 15, 1 << GROUP | 1 << MEMBER }, { 16, 1 << GROUP | 1 << MEMBER | 1 << WATCH },
	{ 17, 1 << TX }, { 18, 1 << RX }, { 19, ~(1u << ARMED | 1 << HANDLE) }, { 20, 1 << ARMED },
	{ 21, 1 << ARMED },
	{ 0x20, 1 << TX }, { 0x21, 1 << TX }, { 0x22, 1 << RX }, { 0x23, 1 << RX },
};
#define NKNOWN	(sizeof(known) / sizeof(known[0]))

static const unsigned long requests[] = {
	KCHAN_IOC_FEATURES, KCHAN_IOC_MAKE, KCHAN_IOC_KIND, KCHAN_IOC_SEND, KCHAN_IOC_RECV,
	KCHAN_IOC_SELECT, KCHAN_IOC_SHUT, KCHAN_IOC_INFO, KCHAN_IOC_GROUP, KCHAN_IOC_WATCH,
	KCHAN_IOC_JOIN, KCHAN_IOC_LEAVE, KCHAN_IOC_CANCEL, KCHAN_IOC_WAIT, KCHAN_IOC_GROUP_INFO,
	KCHAN_IOC_VALUE_SET, KCHAN_IOC_VALUE_GET, KCHAN_IOC_SENDM, KCHAN_IOC_RECVM,
	KCHAN_IOC_ARM, KCHAN_IOC_FIRED, KCHAN_IOC_REARM, KCHAN_IOC_SEND_WAIT(4),
	KCHAN_IOC_SEND_NOW(4), KCHAN_IOC_RECV_WAIT(4), KCHAN_IOC_RECV_NOW(4),
};

TEST_F(abi, a_known_call_on_the_wrong_kind_is_EBADF)
{
	char arg[16384] = {};

	for (unsigned i = 0; i < NKNOWN; i++)
		for (int k = 0; k < KINDS; k++)
			if (!(known[i].kinds >> k & 1))
				REFUSED("wrong kind", k, -EBADF, self->fd[k], requests[i], arg);
}

TEST_F(abi, a_known_call_without_an_argument_is_EFAULT)
{
	for (unsigned i = 0; i < NKNOWN; i++)
		for (int k = 0; k < KINDS; k++)
			if (known[i].kinds >> k & 1 && known[i].nr != 2 &&
			    known[i].nr != 9)
				REFUSED("no argument", k, -EFAULT, self->fd[k], requests[i], NULL);
}

/* NP-02, PX-12 */
TEST_F(abi, any_call_on_what_is_no_kchan_descriptor_is_ENOTTY_or_EBADF)
{
	int bad[] = { -1, -100, 9999, open("/", O_PATH) };
	char arg[16384] = {};

	look(self, &self->before);
	for (unsigned i = 0; i < NKNOWN; i++) {
		for (int k = 0; k < self->nforeign; k++)
			REFUSED("foreign", k, -ENOTTY, self->foreign[k], requests[i], arg);
		for (int k = 0; k < 4; k++)
			REFUSED("closed", k, -EBADF, bad[k], requests[i], arg);
	}
}

TEST_F(abi, unknown_numbers_of_any_type_are_ENOTTY)
{
	static const unsigned sizes[] = { 0, 8, 16383 };
	static const unsigned types[] = { 0, 'T', 'f', KCHAN_MAGIC + 1, 255 };
	char arg[16384] = {};
	struct state after;

	for (int k = 0; k < KINDS; k++) {
		for (unsigned nr = 0; nr < 256 * 12; nr++) {
			unsigned long req = _IOC(nr >> 8 & 3, KCHAN_MAGIC, nr & 255, sizes[nr >> 10]);
			unsigned i = 0;

			while (i < NKNOWN && known[i].nr != (nr & 255))
				i++;
			if (i == NKNOWN)
				EXPECT_EQ(-ENOTTY, try(self->fd[k], req, arg));
		}
		for (unsigned nr = 0; nr < 256; nr++) {
			unsigned type = types[nr % 5];

			/* these the kernel answers itself, for any file */
			if ((type == 'T' && nr >= 0x50) || (type == 'f' && nr == 11))
				continue;
			EXPECT_EQ(-ENOTTY, try(self->fd[k], _IOC(nr & 3, type, nr, 8), arg))
				TH_LOG("type %u, number %u, kind %d", type, nr, k);
		}
		EXPECT_EQ(0, isatty(self->fd[k]));
	}
	look(self, &after);
	EXPECT_EQ(0, memcmp(&self->before, &after, sizeof(after)));
}

/* The direction is part of the number, on every kind and whatever the size. */
TEST_F(abi, a_known_number_with_another_direction_is_ENOTTY)
{
	char arg[16384] = {};

	for (unsigned i = 0; i < NKNOWN; i++)
		for (unsigned dir = 0; dir < 4; dir++) {
			unsigned sizes[] = { _IOC_SIZE(requests[i]), 0, 64, 16383 };

			if (dir == _IOC_DIR(requests[i]))
				continue;
			for (int k = 0; k < KINDS; k++)
				for (int s = 0; s < quick(4, 1); s++)
					REFUSED("direction", dir, -ENOTTY, self->fd[k],
						_IOC(dir, KCHAN_MAGIC, known[i].nr, sizes[s]), arg);
		}
}

/* A call without a structure has neither size nor argument, but for a descriptor. */
TEST_F(abi, calls_without_a_structure_take_none)
{
	static const unsigned sizes[] = { 1, 4, 8, 64, 16383 };
	char arg[16384] = {};

	for (int i = 0; i < 5; i++) {
		for (int k = GROUP; k <= MEMBER; k++) {
			REFUSED("size", sizes[i], -EINVAL, self->fd[k],
				_IOC(_IOC_NONE, KCHAN_MAGIC, 9, sizes[i]), arg);
			REFUSED("size", sizes[i], -EINVAL, self->fd[k],
				_IOC(_IOC_NONE, KCHAN_MAGIC, 9, sizes[i]), NULL);
		}
		REFUSED("size", sizes[i], -EINVAL, self->fd[DEV],
			_IOC(_IOC_NONE, KCHAN_MAGIC, 2, sizes[i]), (void *)(long)self->fd[RX]);
	}
	for (int bit = 0; bit < 8 * (int)sizeof(long); bit++) {
		for (int k = GROUP; k <= MEMBER; k++)
			REFUSED("argument", bit, -EINVAL, self->fd[k], KCHAN_IOC_WATCH,
				(void *)(1UL << bit));
		if (bit > 9)	/* what is no descriptor's number, whatever its low bits are */
			REFUSED("argument", bit, -EBADF, self->fd[DEV], KCHAN_IOC_KIND,
				(void *)(1UL << bit | self->fd[RX]));
	}
	EXPECT_EQ(KCHAN_RX, try(self->fd[DEV], KCHAN_IOC_KIND, (void *)(long)self->fd[RX]));
	REFUSED("argument", -1, -EBADF, self->fd[DEV], KCHAN_IOC_KIND, (void *)-1L);
	REFUSED("right", 0, -EBADF, self->fd[WATCH], KCHAN_IOC_WATCH, NULL);
}

/*
 * A call with a right argument that moves nothing: its answer says that it got
 * past all checks of its fields.
 */
struct call {
	const char *name;
	unsigned long req;
	unsigned oldest;		/* size as first published */
	int answer;
	int fd;
	unsigned flags_at, flags;	/* where, and which are known */
	unsigned zero[3];		/* u32 that must be 0: where, then 0 */
	_Alignas(8) char arg[64];
};

#define ARG(c, type, ...) do { type a = __VA_ARGS__; memcpy((c)->arg, &a, sizeof(a)); } while (0)
#define AT(type, field)	offsetof(struct type, field)

static char scratch[8192];
static struct kchan_case case_of[1];
static struct kchan_msg msg_of[1];

static int fill_calls(FIXTURE_DATA(abi) *self, struct call *c)
{
	struct call *first = c;

	*c = (struct call){ "MAKE", KCHAN_IOC_MAKE, 32, 0, self->fd[DEV],
		AT(kchan_make, flags), 7, { AT(kchan_make, reserved[0]), AT(kchan_make, reserved[1]) }, {} };
	ARG(c, struct kchan_make, { .msg_max = 8 });
	c++;
	*c = (struct call){ "SEND", KCHAN_IOC_SEND, 32, -EAGAIN, self->e[FULL][1],
		AT(kchan_xfer, flags), 0, { AT(kchan_xfer, peer_tag) }, {} };
	ARG(c, struct kchan_xfer, { .buf = (uintptr_t)scratch, .len = 4, .under = -1 });
	c++;
	*c = (struct call){ "RECV", KCHAN_IOC_RECV, 32, -EAGAIN, self->e[EMPTY][0],
		AT(kchan_xfer, flags), 0, { AT(kchan_xfer, peer_tag) }, {} };
	ARG(c, struct kchan_xfer, { .buf = (uintptr_t)scratch, .len = 4, .under = -1 });
	*case_of = (struct kchan_case){ .fd = 9999, .op = KCHAN_RECV };
	*msg_of = (struct kchan_msg){ .buf = scratch, .len = 4 };
	for (int k = 0; k < 2; k++) {
		c++;
		*c = (struct call){ "SENDM, RECVM", k ? KCHAN_IOC_SENDM : KCHAN_IOC_RECVM, 40, -EAGAIN,
			self->e[k ? FULL : EMPTY][k], AT(kchan_batch, flags), 0,
			{ AT(kchan_batch, reserved), AT(kchan_batch, peer_tag) }, {} };
		ARG(c, struct kchan_batch, { .msgs = (uintptr_t)msg_of, .n = 1, .under = -1 });
	}
	c++;
	*c = (struct call){ "FIRED", KCHAN_IOC_FIRED, 24, -EAGAIN, self->fd[ARMED],
		AT(kchan_arm, flags), 0, { AT(kchan_arm, reserved) }, {} };
	ARG(c, struct kchan_arm, { .cases = (uintptr_t)case_of, .n = 1 });
	c++;
	*c = (struct call){ "REARM", KCHAN_IOC_REARM, 24, -EAGAIN, self->fd[ARMED],
		AT(kchan_arm, flags), 0, { AT(kchan_arm, reserved) }, {} };
	ARG(c, struct kchan_arm, { .cases = (uintptr_t)case_of, .n = 1 });
	for (int k = 0; k < KINDS; k++) {
		if (k < HANDLE) {
			c++;
			*c = (struct call){ "ARM", KCHAN_IOC_ARM, 24, -EBADF, self->fd[k],
				AT(kchan_arm, flags), KCHAN_PRIO | KCHAN_REARM, { AT(kchan_arm, reserved) }, {} };
			ARG(c, struct kchan_arm, { .cases = (uintptr_t)case_of, .n = 1 });
		}
		c++;
		*c = (struct call){ "SELECT", KCHAN_IOC_SELECT, 32, -EAGAIN, self->fd[k],
			AT(kchan_select, flags), KCHAN_PRIO | KCHAN_MAY_HANDLE,
			{ AT(kchan_select, handle), AT(kchan_select, peer_tag) }, {} };
		ARG(c, struct kchan_select, { .under = -1 });
	}
	for (int k = 0; k < KINDS; k++) {
		c++;
		*c = (struct call){ "FEATURES", KCHAN_IOC_FEATURES, 16, 0, self->fd[k],
			AT(kchan_out, reserved), 0, {}, {} };
		ARG(c, struct kchan_out, { .addr = (uintptr_t)scratch, .size = 56 });
	}
	for (int k = 0; k < 2; k++) {
		c++;
		*c = (struct call){ "SHUT", KCHAN_IOC_SHUT, 8, -EPIPE, self->e[SHUT][k],
			AT(kchan_shut, flags), 0, {}, {} };
		c++;
		*c = (struct call){ "INFO", KCHAN_IOC_INFO, 16, 0, self->e[KEPT][k],
			AT(kchan_out, reserved), 0, {}, {} };
		ARG(c, struct kchan_out, { .addr = (uintptr_t)scratch, .size = 112 });
	}
	c++;
	*c = (struct call){ "GROUP", KCHAN_IOC_GROUP, 16, 0, self->fd[DEV],
		AT(kchan_group_make, flags), 7, {}, {} };
	ARG(c, struct kchan_group_make, { .deadline = KCHAN_FOREVER });
	c++;
	*c = (struct call){ "JOIN", KCHAN_IOC_JOIN, 24, -EAGAIN, self->fd[GROUP],
		AT(kchan_group_wait, flags), 0,
		{ AT(kchan_group_wait, first_err), AT(kchan_group_wait, reserved) }, {} };
	ARG(c, struct kchan_group_wait, { .under = -1 });
	c++;
	*c = (struct call){ "LEAVE", KCHAN_IOC_LEAVE, 16, -EFAULT, self->fd[MEMBER],
		AT(kchan_group_end, flags), KCHAN_UNJOIN, {}, {} };
	ARG(c, struct kchan_group_end, { .why = 8 });		/* looked at last */
	for (int k = GROUP; k <= WATCH; k++) {
		c++;
		*c = (struct call){ "GROUP_INFO", KCHAN_IOC_GROUP_INFO, 16, 0, self->fd[k],
			AT(kchan_out, reserved), 0, {}, {} };
		ARG(c, struct kchan_out, { .addr = (uintptr_t)scratch, .size = 200 });
		c++;
		*c = (struct call){ "VALUE_GET", KCHAN_IOC_VALUE_GET, 24, -ENODATA, self->fd[k],
			-1u, 0, {}, {} };
		ARG(c, struct kchan_value, { .key = (uintptr_t)"x", .len = 4 });
		if (k == MEMBER)
			continue;
		c++;
		*c = (struct call){ "WAIT", KCHAN_IOC_WAIT, 24, -EAGAIN, self->fd[k],
			AT(kchan_group_wait, flags), 0,
			{ AT(kchan_group_wait, first_err), AT(kchan_group_wait, reserved) }, {} };
		ARG(c, struct kchan_group_wait, { .under = -1 });
	}
	c++;
	*c = (struct call){ "CANCEL", KCHAN_IOC_CANCEL, 16, 0, self->ended,
		AT(kchan_group_end, flags), 0, {}, {} };
	c++;
	*c = (struct call){ "VALUE_SET", KCHAN_IOC_VALUE_SET, 24, -EEXIST, self->fd[GROUP], -1u, 0, {}, {} };
	ARG(c, struct kchan_value, { .key = (uintptr_t)"k", .val = (uintptr_t)scratch, .len = 4 });
	return c + 1 - first;
}

static unsigned long sized(unsigned long req, unsigned size)
{
	return (req & ~((unsigned long)_IOC_SIZEMASK << _IOC_SIZESHIFT)) |
	       (unsigned long)size << _IOC_SIZESHIFT;
}

/* Older callers' shorter structures, newer callers' longer ones. */
TEST_F(abi, structures_of_every_size)
{
	static const unsigned longer[] = { 1, 4, 8, 100, 4096, 16383 };
	static struct call calls[64];
	char *arg = calloc(1, 16384);
	int n = fill_calls(self, calls);

	ASSERT_NE(NULL, arg);
	for (int i = 0; i < n; i++) {
		struct call *c = &calls[i];
		unsigned size = _IOC_SIZE(c->req);

		memset(arg, 0, 16384);
		memcpy(arg, c->arg, size);
		/* from the edge on, each or some */
		for (unsigned s = c->oldest; s > 0; s -= MIN(s, quick(1, 13)))
			REFUSED(c->name, i, -EINVAL, c->fd, sized(c->req, s - 1), arg);
		for (unsigned s = c->oldest; s <= size; s += quick(1, 13))
			REFUSED(c->name, i, c->answer, c->fd, sized(c->req, s), arg);
		for (unsigned k = 0; k < 6; k += quick(1, 3)) {
			unsigned s = longer[k] > 4096 ? 16383 : size + longer[k];

			REFUSED(c->name, i, c->answer, c->fd, sized(c->req, s), arg);
			arg[s - 1] = 1;
			REFUSED(c->name, i, -EINVAL, c->fd, sized(c->req, s), arg);
			arg[s - 1] = 0;
			arg[size] = 1;
			REFUSED(c->name, i, -EINVAL, c->fd, sized(c->req, s), arg);
			arg[size] = 0;
		}
	}
	free(arg);
}

TEST_F(abi, structures_at_addresses_of_every_kind)
{
	static struct call calls[64];
	int n = fill_calls(self, calls);

	for (int i = 0; i < n; i++) {
		struct call *c = &calls[i];
		unsigned size = _IOC_SIZE(c->req);
		void *bad[] = {
			NULL, (void *)8, self->hole + 4096,
			self->hole + 4096 - size + 1,		/* its last byte is missing */
			self->hole + 4095,
			(void *)-4096L, (void *)-1L,
			(void *)(sizeof(long) == 8 ? (unsigned long)0xffff888000000000ULL : 0xc0000000UL),
		};

		memcpy(self->hole + 4096 - size + 1, c->arg, size - 1);
		for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
			REFUSED(c->name, k, -EFAULT, c->fd, c->req, bad[k]);
		/* a longer structure's tail must be there as well */
		memcpy(self->hole + 4096 - size, c->arg, size);
		REFUSED(c->name, size, -EFAULT, c->fd, sized(c->req, size + 1), self->hole + 4096 - size);
		/* alignment does not matter */
		for (unsigned k = 0; k < 8; k++) {
			char *at = self->hole + 4096 - size - k;

			memmove(at, c->arg, size);
			REFUSED(c->name, k, c->answer, c->fd, c->req, at);
		}
	}
}

TEST_F(abi, every_unknown_flag_and_reserved_bit_is_EINVAL)
{
	static struct call calls[64];
	int n = fill_calls(self, calls);

	for (int i = 0; i < n; i++) {
		struct call *c = &calls[i];

		for (int bit = 0; bit < 32; bit++) {
			uint32_t *u;

			for (int z = 0; z < 3 && c->zero[z]; z++) {
				u = (uint32_t *)(c->arg + c->zero[z]);
				*u ^= 1U << bit;
				REFUSED(c->name, 100 * z + bit, -EINVAL, c->fd, c->req, c->arg);
				*u ^= 1U << bit;
			}
			if (c->flags_at == -1u || c->flags >> bit & 1)
				continue;
			u = (uint32_t *)(c->arg + c->flags_at);
			*u ^= 1U << bit;
			REFUSED(c->name, bit, -EINVAL, c->fd, c->req, c->arg);
			*u ^= 1U << bit;
		}
		REFUSED(c->name, -1, c->answer, c->fd, c->req, c->arg);
	}
}

/* Whoever runs under what is no group. */
TEST_F(abi, under_is_a_group_or_watch_or_minus_one)
{
	static struct call calls[64];
	int n = fill_calls(self, calls);

	for (int i = 0; i < n; i++) {
		struct call *c = &calls[i];
		int32_t *under;

		switch (_IOC_NR(c->req)) {
		case 3: case 4: under = (int32_t *)(c->arg + AT(kchan_xfer, under)); break;
		case 5: under = (int32_t *)(c->arg + AT(kchan_select, under)); break;
		case 17: case 18: under = (int32_t *)(c->arg + AT(kchan_batch, under)); break;
		case 10: case 13: under = (int32_t *)(c->arg + AT(kchan_group_wait, under)); break;
		default: continue;
		}
		for (int k = 0; k < KINDS; k++) {
			*under = self->fd[k];
			REFUSED(c->name, k, k == DEV ? -ENOTTY : k < GROUP || k > WATCH ?
				-EBADF : c->answer, c->fd, c->req, c->arg);
		}
		for (int k = 0; k < self->nforeign; k++) {
			*under = self->foreign[k];
			REFUSED(c->name, k, -ENOTTY, c->fd, c->req, c->arg);
		}
		*under = -2;
		REFUSED(c->name, -2, -EBADF, c->fd, c->req, c->arg);
		*under = INT32_MAX;
		REFUSED(c->name, 0, -EBADF, c->fd, c->req, c->arg);
		*under = self->ended;
		REFUSED(c->name, -1, -ECANCELED, c->fd, c->req, c->arg);
		*under = -1;
	}
}

TEST_HARNESS_MAIN
