// SPDX-License-Identifier: MIT
/* Limits: what is allowed works, what is past it gets its error, and what goes is given back. */
#include <sys/stat.h>

#include "quota.h"
#include "harness.h"

#define USER	4321
#define BIG	60000

static const char *const params[] = {
	"msg_max", "max_capacity", "max_user_chans", "max_user_bytes", "max_user_groups",
	"max_group_depth",
};

FIXTURE(limits) { unsigned long saved[6]; };

FIXTURE_SETUP(limits)
{
	for (int i = 0; i < 6; i++)
		self->saved[i] = param_get(params[i]);
	ASSERT_EQ(0, chmod("/dev/kchan", 0666));
}

FIXTURE_TEARDOWN(limits)
{
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, param_set(params[i], self->saved[i]));
	EXPECT_EQ(0, chmod("/dev/kchan", 0600));
}

/* ---- sizes ---- */

/* ZS-03, D14 */
TEST_F(limits, msg_max_bounds_new_channels)
{
	size_t most = 16 << 20;
	char *in = malloc(most), *out = calloc(1, most);
	int e[2], d[2];

	EXPECT_EQ(65536, self->saved[0]);
	ASSERT_EQ(0, chan_make(e, 65536, 1, 0));
	close2(e);
	EXPECT_EQ(-EINVAL, chan_make(e, 65537, 1, 0));
	EXPECT_EQ(-EINVAL, param_set("msg_max", most + 1));
	EXPECT_EQ(65536, param_get("msg_max"));
	ASSERT_EQ(0, param_set("msg_max", most));
	EXPECT_EQ(-EINVAL, chan_make(e, most + 1, 1, 0));
	ASSERT_EQ(0, chan_make(e, most, 1, 0));
	ASSERT_EQ(0, param_set("msg_max", 10));
	EXPECT_EQ(-EINVAL, chan_make(d, 11, 1, 0));
	EXPECT_EQ(0, chan_make(d, 10, 1, 0));
	close2(d);
	/* one made before keeps its bound */
	for (size_t i = 0; i < most; i++)
		in[i] = i * 13 + i / 4093;
	EXPECT_EQ(-EMSGSIZE, chan_send(e[1], in, most + 1, -1, CHAN_NOW));
	EXPECT_EQ(0, chan_send(e[1], in, most, -1, CHAN_NOW));
	EXPECT_EQ(-EMSGSIZE, chan_recv(e[0], out, most - 1, -1, CHAN_NOW));
	EXPECT_EQ((long)most, chan_recv(e[0], out, most, -1, CHAN_NOW));
	EXPECT_EQ(0, memcmp(in, out, most));
	close2(e);
	free(in);
	free(out);
}

/* ZS-02 */
TEST_F(limits, max_capacity_bounds_new_channels)
{
	unsigned most = 1 << 24;
	int e[2], v = 1;

	EXPECT_EQ(1 << 20, self->saved[1]);
	ASSERT_EQ(0, chan_make(e, 0, 1 << 20, 0));
	close2(e);
	EXPECT_EQ(-EINVAL, chan_make(e, 0, (1 << 20) + 1, 0));
	EXPECT_EQ(-EINVAL, param_set("max_capacity", most + 1));
	EXPECT_EQ(1 << 20, param_get("max_capacity"));
	if (!quick(0, 1)) {
		ASSERT_EQ(0, param_set("max_capacity", most));
		EXPECT_EQ(-EINVAL, chan_make(e, 0, most + 1, 0));
		ASSERT_EQ(0, chan_make(e, 0, most, 0));
		close2(e);
	}
	ASSERT_EQ(0, param_set("max_capacity", 3));
	EXPECT_EQ(-EINVAL, chan_make(e, 4, 4, 0));
	ASSERT_EQ(0, chan_make(e, 4, 3, 0));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	close2(e);
}

/* ---- what a user may hold ---- */

static void ten_channels(void *arg)
{
	int e[11][2], low;

	for (int i = 0; i < 10; i++)
		NEED(!chan_make(e[i], 8, 1, 0));
	low = lowest_free();
	NEED(chan_make(e[10], 8, 1, 0) == -EDQUOT);
	NEED(low == lowest_free());
	close(e[3][0]);		/* half of one counts */
	NEED(chan_make(e[10], 8, 1, 0) == -EDQUOT);
	close(e[3][1]);
	NEED(!chan_make(e[3], 8, 1, 0));
	NEED(chan_make(e[10], 8, 1, 0) == -EDQUOT);
	if (arg) {		/* hold them until killed */
		*(volatile int *)arg = 1;
		for (;;)
			pause();
	}
}

static void no_channel(void *arg)
{
	int e[2];

	NEED(chan_make(e, 8, 1, 0) == -EDQUOT);
}

TEST_F(limits, channels_of_a_user)
{
	volatile int *full = shared(4096);
	int e[12][2];
	pid_t pid;

	ASSERT_EQ(0, param_set("max_user_chans", 10));
	EXPECT_EQ(0, as_user(USER, ten_channels, NULL));
	EXPECT_EQ(0, as_user(USER, ten_channels, NULL));	/* an exit has given them back */
	pid = fork();
	if (!pid) {
		become(USER);
		ten_channels((void *)full);
	}
	for (int i = 0; i < PATIENCE && !*full; i++)
		usleep(1000);
	ASSERT_EQ(1, *full);
	EXPECT_EQ(0, as_user(USER, no_channel, NULL));
	EXPECT_EQ(0, as_user(USER + 1, ten_channels, NULL));	/* another user has his own */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, as_user(USER, ten_channels, NULL));
	for (int i = 0; i < 12; i++)				/* CAP_SYS_RESOURCE is exempt */
		EXPECT_EQ(0, chan_make(e[i], 8, 1, 0));
	for (int i = 0; i < 12; i++)
		close2(e[i]);
}

/* How many channels fit, each of @arg bytes; all closed again. */
static int fill(size_t msg_max)
{
	int e[200][2], n = 0, r;

	while (n < 200 && !(r = chan_make(e[n], msg_max, 1, 0)))
		n++;
	NEED(n < 200 && r == -EDQUOT);
	for (int i = 0; i < n; i++)
		close2(e[i]);
	return n;
}

static void fill_bytes(void *arg)
{
	int e[2], n;

	NEED(chan_make(e, BIG, 20, 0) == -EDQUOT);	/* 1.2 MB */
	NEED(!chan_make(e, BIG, 10, 0));
	int d[2];

	NEED(chan_make(d, BIG, 10, 0) == -EDQUOT);
	close2(e);
	n = fill(BIG);
	NEED(n > 10 && n < 18);
	NEED(n == fill(BIG));
	NEED(!chan_make(e, BIG, 10, 0));
	if (arg) {
		*(volatile int *)arg = 1;
		for (;;)
			pause();
	}
}

TEST_F(limits, bytes_of_a_user)
{
	volatile int *full = shared(4096);
	long before = bytes_in_use();
	pid_t pid;
	int e[2];

	ASSERT_EQ(0, param_set("max_user_bytes", 1 << 20));
	EXPECT_EQ(0, as_user(USER, fill_bytes, NULL));
	EXPECT_EQ(0, as_user(USER, fill_bytes, NULL));
	pid = fork();
	if (!pid) {
		become(USER);
		fill_bytes((void *)full);
	}
	for (int i = 0; i < PATIENCE && !*full; i++)
		usleep(1000);
	ASSERT_EQ(1, *full);
	EXPECT_EQ(0, as_user(USER + 1, fill_bytes, NULL));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, as_user(USER, fill_bytes, NULL));
	ASSERT_EQ(0, chan_make(e, BIG, 100, 0));		/* exempt, but counted */
	ASSERT_EQ(0, param_set("max_user_bytes", 1 << 30));
	EXPECT_LE(before + 100 * BIG, bytes_in_use());
	close2(e);
	EXPECT_EQ(before, bytes_in_use());
}

/* A long message's memory stays for the next one, on the maker's account from the start. */
TEST_F(limits, memory_kept_for_the_next_message_is_the_maker_s)
{
	enum { LONG = 3000 };
	long before = bytes_in_use(), full;
	static char msg[LONG];
	int e[2];

	ASSERT_EQ(0, chan_make(e, LONG, 1, 0));
	full = bytes_in_use();
	EXPECT_LE(before + 2 * LONG, full);
	EXPECT_GE(before + 3 * LONG, full);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, chan_send(e[1], msg, LONG - i, -1, CHAN_NOW));
		EXPECT_EQ(full, bytes_in_use());
		EXPECT_EQ(-EAGAIN, chan_send(e[1], msg, LONG, -1, CHAN_NOW));
		EXPECT_EQ(full, bytes_in_use());
		ASSERT_EQ(LONG - i, chan_recv(e[0], msg, LONG, -1, CHAN_NOW));
		EXPECT_EQ(full, bytes_in_use());
	}
	close2(e);
	EXPECT_EQ(before, bytes_in_use());
}

/* ---- parked messages are their callers' ---- */

struct two {
	int cap0[2], cap4[2];
	volatile int parked;
};

static void park_big(void *arg)
{
	static char msg[BIG];
	struct two *t = arg;

	chan_send(t->cap0[1], msg, BIG, -1, CHAN_FOREVER);
	_exit(1);
}

static void send_beside_parked(void *arg)
{
	static char msg[BIG];
	struct two *t = arg;

	NEED(chan_send(t->cap0[1], msg, BIG, -1, CHAN_NOW) == -EDQUOT);
	NEED(chan_send(t->cap0[1], msg, 8, -1, CHAN_NOW) == -EAGAIN);
}

static void send_alone(void *arg)
{
	static char msg[BIG];
	struct two *t = arg;

	NEED(chan_send(t->cap0[1], msg, BIG, -1, CHAN_NOW) == -EAGAIN);
	for (int i = 0; i < 4; i++)	/* buffered ones are the maker's */
		NEED(!chan_send(t->cap4[1], msg, BIG, -1, CHAN_NOW));
	NEED(chan_send(t->cap4[1], msg, BIG, -1, CHAN_NOW) == -EAGAIN);
}

TEST_F(limits, a_parked_message_is_charged_to_its_sender)
{
	struct two *t = shared(sizeof(*t));
	static char msg[BIG];
	pid_t pid;

	ASSERT_EQ(0, chan_make(t->cap0, BIG, 0, 0));
	ASSERT_EQ(0, chan_make(t->cap4, BIG, 4, 0));
	ASSERT_EQ(0, param_set("max_user_bytes", 100000));
	pid = fork();
	if (!pid) {
		become(USER);
		park_big(t);
	}
	ASSERT_TRUE(parked(t->cap0[0], 1, 0));
	EXPECT_EQ(0, as_user(USER, send_beside_parked, t));
	EXPECT_EQ(0, as_user(USER + 1, send_alone, t));
	EXPECT_EQ(4, info_of(t->cap4[0]).len);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(BIG, chan_recv(t->cap4[0], msg, BIG, -1, CHAN_NOW));
	EXPECT_EQ(1, info_of(t->cap0[0]).parked_senders);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, info_of(t->cap0[0]).parked_senders);
	EXPECT_EQ(0, as_user(USER, send_alone, t));
	close2(t->cap0);
	close2(t->cap4);
}

/* ---- groups ---- */

static void ten_groups(void *arg)
{
	struct chan_group_info i;
	int g[10], w, n;

	for (n = 0; n < 8; n++)
		NEED((g[n] = chan_group(n ? g[n - 1] : -1, CHAN_FOREVER, 0, 0)) >= 0);
	NEED((w = chan_watch(g[0])) >= 0);	/* a watch counts as a group */
	NEED((g[9] = chan_join(g[0], -1, CHAN_NOW)) >= 0);
	NEED(chan_group(-1, CHAN_FOREVER, 0, 0) == -EDQUOT);
	NEED(chan_group(g[0], CHAN_FOREVER, 0, 0) == -EDQUOT);
	NEED(chan_join(g[0], -1, CHAN_NOW) == -EDQUOT);
	NEED(chan_watch(g[0]) == -EDQUOT);
	NEED(!chan_group_info(g[0], &i, sizeof(i)) && i.members == 1 && i.children == 2);
	close(g[0]);				/* it has a member still */
	NEED(chan_group(-1, CHAN_FOREVER, 0, 0) == -EDQUOT);
	close(w);
	NEED((w = chan_watch(g[1])) >= 0);
	NEED(chan_group(-1, CHAN_FOREVER, 0, 0) == -EDQUOT);
	close(g[7]);
	NEED((g[7] = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0);
	NEED(chan_group(-1, CHAN_FOREVER, 0, 0) == -EDQUOT);
	if (arg) {
		*(volatile int *)arg = 1;
		for (;;)
			pause();
	}
}

TEST_F(limits, groups_of_a_user)
{
	volatile int *full = shared(4096);
	pid_t pid;
	int g;

	ASSERT_EQ(0, param_set("max_user_groups", 10));
	EXPECT_EQ(0, as_user(USER, ten_groups, NULL));
	pid = fork();
	if (!pid) {
		become(USER);
		ten_groups((void *)full);
	}
	for (int i = 0; i < PATIENCE && !*full; i++)
		usleep(1000);
	ASSERT_EQ(1, *full);
	EXPECT_EQ(0, as_user(USER + 1, ten_groups, NULL));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, as_user(USER, ten_groups, NULL));
	ASSERT_EQ(0, param_set("max_user_groups", 0));
	g = chan_group(-1, CHAN_FOREVER, 0, 0);
	EXPECT_LE(0, g);
	close(g);
}

/* From here on what is made is @uid's, in a process that has given up the exemption. */
static void as(uid_t uid)
{
	NEED(!setresuid(uid, 0, 0));
}

/* How many groups fit beside what there is; they are closed again. */
static int room_for_groups(uid_t uid)
{
	int g[20], n = 0;

	as(uid);
	while (n < 20 && (g[n] = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0)
		n++;
	NEED(n < 20 && errno == EDQUOT);
	for (int i = 0; i < n; i++)
		close(g[i]);
	return n;
}

/* Another user keeps what has ended, on his own account. */
static void keep_watches(void *arg)
{
	struct chan_group_info in;
	int g[10], w[10], low;

	NEED(give_up_exemption());
	for (int round = 0; round < 3; round++) {
		as(USER);
		for (int i = 0; i < 10; i++)
			NEED((g[i] = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0);
		NEED(room_for_groups(USER) == 0);
		as(USER + 1);
		for (int i = 0; i < 10; i++) {
			NEED(room_for_groups(USER + 1) == 10 - i);
			NEED((w[i] = chan_watch(g[i])) >= 0);
		}
		low = lowest_free();
		NEED(chan_watch(g[0]) == -EDQUOT);
		NEED(low == lowest_free());
		for (int i = 0; i < 10; i++) {
			NEED(room_for_groups(USER) == i);
			close(g[i]);
			NEED(!chan_group_info(w[i], &in, sizeof(in)) && in.err == EOWNERDEAD);
		}
		NEED(room_for_groups(USER) == 10);
		NEED(room_for_groups(USER + 1) == 0);
		NEED((g[0] = dup(w[0])) >= 0);
		close(w[0]);			/* it is the same watch */
		NEED(room_for_groups(USER + 1) == 0);
		close(g[0]);
		for (int i = 1; i < 10; i++) {
			NEED(room_for_groups(USER + 1) == i);
			close(w[i]);
		}
		NEED(room_for_groups(USER + 1) == 10);
	}
}

TEST_F(limits, watches_count_for_their_makers_and_ended_groups_for_nobody)
{
	ASSERT_EQ(0, param_set("max_user_groups", 10));
	EXPECT_EQ(0, as_user(0, keep_watches, NULL));
}

/* What keeps an ended group in its maker's number: its owner, and its members. */
static void keep_members(void *arg)
{
	int p, m, n, w, c;

	NEED(give_up_exemption());
	as(USER + 1);
	NEED(room_for_groups(USER + 1) == 10);
	as(USER);
	NEED((p = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0);
	NEED((m = chan_join(p, -1, CHAN_NOW)) >= 0);
	NEED((n = chan_join(p, -1, CHAN_NOW)) >= 0);
	as(USER + 1);
	NEED((w = chan_watch(p)) >= 0);
	NEED((c = chan_group(w, CHAN_FOREVER, CHAN_DETACHED, 0)) >= 0);
	NEED(room_for_groups(USER) == 7);
	NEED(!chan_cancel(p, 0, NULL));		/* ended, and all there */
	NEED(room_for_groups(USER) == 7);
	close(p);				/* no owner, two members */
	NEED(room_for_groups(USER) == 7);
	NEED(!chan_leave(m, 0, NULL));		/* it has left, and has an owner */
	NEED(room_for_groups(USER) == 7);
	close(m);
	NEED(room_for_groups(USER) == 8);
	close(n);				/* the last: the parent goes as well */
	NEED(room_for_groups(USER) == 10);
	NEED(room_for_groups(USER + 1) == 8);
	close(w);
	NEED(room_for_groups(USER + 1) == 9);
	close(c);
	NEED(room_for_groups(USER + 1) == 10);
	NEED(room_for_groups(USER) == 10);
	/* the owner last */
	as(USER);
	NEED((p = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0);
	NEED((m = chan_join(p, -1, CHAN_NOW)) >= 0);
	NEED((w = dup(p)) >= 0);
	close(m);
	NEED(room_for_groups(USER) == 9);
	close(p);
	NEED(room_for_groups(USER) == 9);
	close(w);
	NEED(room_for_groups(USER) == 10);
}

TEST_F(limits, an_ended_group_counts_while_it_has_an_owner_or_a_member)
{
	ASSERT_EQ(0, param_set("max_user_groups", 10));
	EXPECT_EQ(0, as_user(0, keep_members, NULL));
}

/* Bytes of @uid. */
static long bytes_of(uid_t uid)
{
	as(uid);
	return least_bytes();
}

static void bytes_of_watches(void *arg)
{
	long mine, other, group, watch;
	int g, w[2];

	NEED(give_up_exemption());
	mine = bytes_of(USER);
	other = bytes_of(USER + 1);
	as(USER);
	NEED((g = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0);
	NEED(!chan_value_set(g, "k", "0123456789", 10));
	group = bytes_of(USER) - mine;
	NEED(group > 0);
	as(USER + 1);
	NEED((w[0] = chan_watch(g)) >= 0);
	watch = bytes_of(USER + 1) - other;
	NEED(watch > 0);
	NEED((w[1] = chan_watch(g)) >= 0);
	NEED(bytes_of(USER + 1) == other + 2 * watch);
	NEED(bytes_of(USER) == mine + group);
	close(g);			/* its bytes stay where they are */
	NEED(bytes_of(USER) == mine + group);
	close(w[0]);
	NEED(bytes_of(USER + 1) == other + watch);
	NEED(bytes_of(USER) == mine + group);
	close(w[1]);
	NEED(bytes_of(USER + 1) == other);
	NEED(bytes_of(USER) == mine);
	/* no bytes, no watch, and nothing stays counted */
	NEED((g = chan_group(-1, CHAN_FOREVER, 0, 0)) >= 0);
	NEED(!param_set("max_user_groups", 10));
	NEED(!param_set("max_user_bytes", watch - 1));
	as(USER + 1);
	for (int i = 0; i < 30; i++)
		NEED(chan_watch(g) == -EDQUOT);
	NEED(!param_set("max_user_bytes", 256 << 20));
	NEED(room_for_groups(USER + 1) == 10);
	NEED((w[0] = chan_watch(g)) >= 0);
}

TEST_F(limits, bytes_of_a_watch_are_its_makers_and_of_an_ended_group_its_own)
{
	EXPECT_EQ(0, as_user(0, bytes_of_watches, NULL));
}

static void fill_values(void *arg)
{
	static char val[4096];
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), n = 0, r;
	char key[16];

	do
		snprintf(key, sizeof(key), "k%d", n);
	while (!(r = chan_value_set(g, key, val, 4096)) && ++n < 100);
	NEED(r == -EDQUOT && n > 20 && n < 25);		/* 100,000 bytes */
	NEED(chan_value_get(g, key, NULL, 0) == -ENODATA);
	close(g);
	g = chan_group(-1, CHAN_FOREVER, 0, 0);		/* its values went with it */
	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		NEED(!chan_value_set(g, key, val, 4096));
	}
}

TEST_F(limits, values_are_bytes_of_the_group_s_maker)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0);
	char key[16];

	ASSERT_EQ(0, param_set("max_user_bytes", 100000));
	EXPECT_EQ(0, as_user(USER, fill_values, NULL));
	ASSERT_EQ(0, param_set("max_user_bytes", self->saved[3]));
	for (int i = 0; i < 257; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		EXPECT_EQ(i < 256 ? 0 : -EDQUOT, chan_value_set(g, key, "v", 1));
	}
	EXPECT_EQ(-EEXIST, chan_value_set(g, "k7", "v", 1));
	close(g);
}

TEST_F(limits, depth_of_groups)
{
	int g[7];

	ASSERT_EQ(0, param_set("max_group_depth", 5));
	for (int i = 0; i < 6; i++) {
		g[i] = i & 1 ? chan_join(g[i - 1], -1, CHAN_NOW) :
			       chan_group(i ? g[i - 1] : -1, CHAN_FOREVER, 0, 0);
		ASSERT_LE(0, g[i]);
	}
	EXPECT_EQ(-ELOOP, chan_group(g[5], CHAN_FOREVER, 0, 0));
	EXPECT_EQ(-ELOOP, chan_group(g[5], CHAN_FOREVER, CHAN_DETACHED, 0));
	EXPECT_EQ(-ELOOP, chan_join(g[5], -1, CHAN_NOW));
	g[6] = chan_group(g[4], CHAN_FOREVER, 0, 0);
	EXPECT_LE(0, g[6]);
	for (int i = 0; i < 7; i++)
		close(g[i]);
}

/* ---- how long calls spin ---- */

/* 0 or the error. */
static int spin_set(const char *text)
{
	int fd = param_fd("spin_ns", O_WRONLY), len = strlen(text);
	int err = fd < 0 ? -errno : write(fd, text, len) == len ? 0 : -errno;

	close(fd);
	return err;
}

static void may_not_spin(void *arg)
{
	NEED(spin_set("1000") == -EACCES);
	NEED(param_get("spin_ns") == 50000);
}

TEST_F(limits, spin_ns_is_off_bounded_and_roots)
{
	static const char *const bad[] = {
		"50001", "4294967296", "99999999999999999999", "-1", "x", "1x", "1 2", " ", "\n", "0x", "1.5",
	};

	EXPECT_EQ(0, param_get("spin_ns"));
	EXPECT_EQ(0, spin_set("50000"));
	for (int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, spin_set(bad[i])) TH_LOG("'%s'", bad[i]);
		EXPECT_EQ(50000, param_get("spin_ns"));
	}
	EXPECT_EQ(0, as_user(USER, may_not_spin, NULL));
	EXPECT_EQ(0, spin_set("0"));
	EXPECT_EQ(0, param_get("spin_ns"));
}

/* The same kind of parameter. */
TEST_F(limits, numbers_too_long_are_refused_too)
{
	EXPECT_EQ(-EINVAL, param_set("msg_max", 1UL << 33));
	EXPECT_EQ(-EINVAL, param_set("max_capacity", 1UL << 33));
	EXPECT_EQ(self->saved[0], param_get("msg_max"));
	EXPECT_EQ(self->saved[1], param_get("max_capacity"));
}

/* ---- what nobody has received for good ---- */

/* Messages held by armed selects, and those that came back, are charged till they are received. */
TEST_F(limits, messages_that_came_back)
{
	static char text[BIG];
	long before = bytes_in_use(), small;
	struct chan_case c;
	int e[2], armed, bad;

	ASSERT_EQ(0, chan_make(e, BIG, 0, 0));
	small = bytes_in_use();
	EXPECT_GT(before + 10000, small);
	c = chan_recv_case(e[0], NULL, BIG);
	armed = chan_arm(&c, 1, 0);
	ASSERT_LE(0, armed);
	ASSERT_EQ(0, chan_send(e[1], text, BIG, -1, CHAN_NOW));
	EXPECT_LT(small + BIG, bytes_in_use());		/* fired, not fetched */
	close(armed);
	EXPECT_LT(small + BIG, bytes_in_use());		/* came back */
	EXPECT_EQ(1, info_of(e[0]).len);
	armed = chan_arm(&c, 1, 0);			/* takes it again */
	EXPECT_LT(small + BIG, bytes_in_use());
	EXPECT_GT(small + 2 * BIG, bytes_in_use());
	c.msg.buf = text;
	ASSERT_EQ(0, chan_fired(armed, &c, 1));
	ASSERT_EQ(BIG, c.msg.res);
	close(armed);
	EXPECT_EQ(small, bytes_in_use());

	/* by a receive that fails */
	for (size_t len = 100; len <= BIG; len += BIG - 100) {
		c = chan_send_case(e[1], text, len);
		armed = chan_arm(&c, 1, 0);
		ASSERT_LE(0, armed);
		bad = chan_recv(e[0], (void *)8, BIG, -1, SOON);
		EXPECT_EQ(-EFAULT, bad);
		close(armed);
		EXPECT_EQ(1, info_of(e[0]).len);
		EXPECT_LT(small + (long)len, bytes_in_use());
		EXPECT_EQ((long)len, chan_recv(e[0], text, BIG, -1, CHAN_NOW));
		EXPECT_EQ(small, bytes_in_use());
	}
	close2(e);
	EXPECT_EQ(before, bytes_in_use());
}

/* However a user goes about it, he holds no more than he may. */
static void hoard(void *arg)
{
	static char text[BIG];
	uint64_t held = 0;
	int n;

	(void)arg;
	for (n = 0; n < 100; n++) {
		struct chan_case c;
		int e[2], armed[10], k, sent = 0;

		if (chan_make(e, BIG, 0, 0)) {
			NEED(errno == EDQUOT);
			break;
		}
		for (k = 0; k < 10; k++) {
			c = chan_recv_case(e[0], NULL, BIG);
			armed[k] = chan_arm(&c, 1, 0);
			if (armed[k] < 0)
				break;
		}
		NEED(k == 10 || errno == EDQUOT);
		while (sent < k && !chan_send(e[1], text, BIG, -1, CHAN_NOW))
			sent++;
		NEED(sent == k || errno == EDQUOT);
		for (int i = 0; i < k; i++)
			close(armed[i]);
		held += info_of(e[0]).len * BIG;
	}
	NEED(n < 100);
	NEED(held > 1 << 20);
	NEED(held <= (2 << 20) + 2 * BIG);
}

TEST_F(limits, no_hoard_of_messages)
{
	ASSERT_EQ(0, param_set("max_user_bytes", 2 << 20));
	ASSERT_EQ(0, as_user(USER, hoard, NULL));
}

TEST_HARNESS_MAIN
