// SPDX-License-Identifier: MIT
/* What ThreadSanitizer is told of groups: right programs are silent, racy ones reported. */
#include "tsan_util.h"

static int g, e[2];
static int v, data[8];

static int group(unsigned flags, unsigned limit)
{
	int fd = chan_group(-1, CHAN_FOREVER, flags, limit);

	MUST(fd >= 0);
	return fd;
}

/* ---- right ---- */

static int add_at(int member, void *arg)
{
	++*(int *)arg;
	return 0;
}

static void go_and_wait(void)
{
	g = group(0, 0);
	for (int i = 0; i < 8; i++) {
		data[i] = i;		/* before the start */
		MUST(!chan_go(g, add_at, &data[i]));
	}
	MUST(!chan_wait(g, NULL, -1, SOON));
	for (int i = 0; i < 8; i++)
		MUST(++data[i] == i + 2);
}

static void *v_then_leave(void *arg)
{
	v = 1;
	MUST(!chan_leave((intptr_t)arg, 0, NULL));
	return NULL;
}

static void join_leave_wait(void)
{
	g = group(0, 0);
	go(v_then_leave, (void *)(intptr_t)chan_join(g, -1, SOON));
	MUST(!chan_wait(g, NULL, -1, SOON));
	MUST(v == 1);
	v = 2;
}

static void *v_then_crash(void *arg)
{
	v = 1;
	close((intptr_t)arg);
	return NULL;
}

static void a_member_that_only_closes(void)
{
	int err;

	g = group(0, 0);
	go(v_then_crash, (void *)(intptr_t)chan_join(g, -1, SOON));
	MUST(!chan_wait(g, &err, -1, SOON) && err == EOWNERDEAD);
	MUST(v == 1);
	v = 2;
}

/* With one place, who joins comes after who had it. */
static void one_place_is_a_mutex(void)
{
	g = group(0, 1);
	for (int i = 0; i < 20; i++)
		MUST(!chan_go(g, add_at, &v));
	MUST(!chan_wait(g, NULL, -1, SOON));
	MUST(v == 20);
}

/* The end comes to calls of every kind, to a look, to a poll case. */
enum { RECV, SEND, SELECT, RECVM, WAIT, JOIN, JOIN_IT, LOOK, POLL, WAYS };

static void see_the_end(int how)
{
	int watch = chan_watch(g), other = group(0, 1), member = chan_join(other, -1, SOON);
	struct pollfd p = { .fd = watch, .events = POLLIN };
	struct chan_msg m = { .buf = NULL };
	struct chan_group_info i;
	struct chan_case c;
	char b;

	switch (how) {
	case RECV:
		MUST(chan_recv(e[0], &b, 1, watch, SOON) == -ECANCELED);
		break;
	case SEND:
		MUST(chan_send(e[1], "x", 1, watch, SOON) == -ECANCELED);
		break;
	case SELECT:
		c = chan_recv_case(e[0], &b, 1);
		MUST(chan_select(&c, 1, 0, watch, SOON) == -ECANCELED);
		break;
	case RECVM:
		MUST(chan_recvm(e[0], &m, 1, watch, SOON) == -ECANCELED);
		break;
	case WAIT:
		MUST(chan_wait(other, NULL, watch, SOON) == -ECANCELED);
		break;
	case JOIN:
		MUST(chan_join(other, watch, SOON) == -ECANCELED);
		break;
	case JOIN_IT:
		while ((member = chan_join(g, -1, SOON)) >= 0)
			close(member);
		MUST(member == -ECANCELED);
		member = -1;
		break;
	case LOOK:
		MUST(poll(&p, 1, PATIENCE) == 1);	/* which says nothing to ThreadSanitizer */
		MUST(!chan_group_info(watch, &i, sizeof(i)) && i.state == CHAN_ENDED);
		break;
	case POLL:
		c = (struct chan_case){ .fd = watch, .op = CHAN_POLL, .events = POLLIN };
		MUST(chan_select(&c, 1, 0, -1, SOON) == 0 && c.revents == POLLIN);
		break;
	}
	MUST(v == 1);
	v = 2;
	close(watch);
	close(other);
	if (member >= 0)
		close(member);
}

static void *v_then_cancel(void *arg)
{
	v = 1;
	MUST(!chan_cancel(g, 0, "enough"));
	return NULL;
}

static void *v_then_close(void *arg)
{
	v = 1;
	close(g);
	return NULL;
}

static void cancel_is_seen(void)
{
	MUST(!chan_make(e, 1, 0, 0));
	for (int how = 0; how < WAYS; how++) {
		pthread_t t;

		v = 0;
		g = group(0, 0);
		t = go(v_then_cancel, NULL);
		see_the_end(how);
		pthread_join(t, NULL);
		close(g);
	}
}

/* The owner closes elsewhere, while this thread has a watch. */
static int watch;

static void owners_close_is_seen(void)
{
	char b;

	MUST(!chan_make(e, 1, 0, 0));
	g = group(0, 0);
	watch = chan_watch(g);
	go(v_then_close, NULL);
	MUST(chan_recv(e[0], &b, 1, watch, SOON) == -ECANCELED);
	MUST(v == 1);
	v = 2;
}

/* A member that fails ends the others' calls. */
static int fail_after_v(int member, void *arg)
{
	v = 1;
	return -EIO;
}

static void a_failure_is_seen(void)
{
	char b;

	MUST(!chan_make(e, 1, 0, 0));
	g = group(CHAN_FAIL_FAST, 0);
	MUST(!chan_go(g, fail_after_v, NULL));
	MUST(chan_recv(e[0], &b, 1, g, SOON) == -ECANCELED);
	MUST(v == 1);
	v = 2;
}

/* The end of a group reaches those below. */
static void an_end_above_is_seen(void)
{
	char b;
	int low;

	MUST(!chan_make(e, 1, 0, 0));
	g = group(0, 0);
	low = chan_group(g, CHAN_FOREVER, 0, 0);
	go(v_then_cancel, NULL);
	MUST(chan_recv(e[0], &b, 1, low, SOON) == -ECANCELED);
	MUST(v == 1);
	v = 2;
}

static void *v_then_value(void *arg)
{
	v = 1;
	MUST(!chan_value_set(g, "k", "x", 1));
	return NULL;
}

static void values_are_seen(void)
{
	char b;

	g = group(0, 0);
	go(v_then_value, NULL);
	while (chan_value_get(g, "k", &b, 1) != 1)
		usleep(200);
	MUST(v == 1);
	v = 2;
}

/* ---- racy ---- */

static int v_slowly(int member, void *arg)
{
	v = 1;
	next_step();
	return 0;
}

static void no_wait(void)
{
	g = group(0, 0);
	MUST(!chan_go(g, v_slowly, NULL));
	at_step(1);
	v = 2;
}

/* Joining a group that has room waits for nobody. */
static void a_join_with_room(void)
{
	g = group(0, 0);
	go(v_then_leave, (void *)(intptr_t)chan_join(g, -1, SOON));
	for (struct pollfd p = { .fd = g, .events = POLLOUT }; poll(&p, 1, 0) != 1;)
		usleep(200);
	MUST(chan_join(g, -1, SOON) >= 0);
	v = 2;
}

/* The wait for one group says nothing of another's members. */
static void another_groups_wait(void)
{
	int other = group(0, 0);

	g = group(0, 0);
	go(v_then_leave, (void *)(intptr_t)chan_join(g, -1, SOON));
	for (struct pollfd p = { .fd = g, .events = POLLOUT }; poll(&p, 1, 0) != 1;)
		usleep(200);
	MUST(!chan_wait(other, NULL, -1, SOON));
	v = 2;
}

/* A look at a live group orders nothing. */
static void *v_then_value_and_step(void *arg)
{
	v_then_value(NULL);
	next_step();
	return NULL;
}

static void a_look_at_a_live_group(void)
{
	struct chan_group_info i;

	g = group(0, 0);
	go(v_then_value_and_step, NULL);
	at_step(1);
	MUST(!chan_group_info(g, &i, sizeof(i)) && i.state == CHAN_LIVE);
	v = 2;
}

/* The end of a group does not wait for what runs under it. */
static int v_when_cancelled(int member, void *arg)
{
	char b;

	MUST(chan_recv(e[0], &b, 1, member, SOON) == -ECANCELED);
	v = 1;
	next_step();
	return 0;
}

static void a_cancel_does_not_wait(void)
{
	MUST(!chan_make(e, 1, 0, 0));
	g = group(0, 0);
	MUST(!chan_go(g, v_when_cancelled, NULL));
	MUST(!chan_cancel(g, 0, NULL));
	at_step(1);
	v = 2;
}

static const struct program list[] = {
#define P(name) { #name, name }
	P(go_and_wait), P(join_leave_wait), P(a_member_that_only_closes), P(one_place_is_a_mutex),
	P(cancel_is_seen), P(owners_close_is_seen), P(a_failure_is_seen), P(an_end_above_is_seen),
	P(values_are_seen),
	P(no_wait), P(a_join_with_room), P(another_groups_wait), P(a_look_at_a_live_group),
	P(a_cancel_does_not_wait),
};
PROGRAMS(list)

TEST(a_leave_is_ordered_before_the_wait_it_releases)
{
	EXPECT_TRUE(silent("go_and_wait"));
	EXPECT_TRUE(silent("join_leave_wait"));
	EXPECT_TRUE(silent("a_member_that_only_closes"));
	EXPECT_TRUE(reported("no_wait"));
	EXPECT_TRUE(reported("another_groups_wait"));
}

TEST(a_place_that_was_left_is_handed_over)
{
	EXPECT_TRUE(silent("one_place_is_a_mutex"));
	EXPECT_TRUE(reported("a_join_with_room"));
}

TEST(an_end_is_ordered_for_who_sees_it)
{
	EXPECT_TRUE(silent("cancel_is_seen"));
	EXPECT_TRUE(silent("owners_close_is_seen"));
	EXPECT_TRUE(silent("a_failure_is_seen"));
	EXPECT_TRUE(silent("an_end_above_is_seen"));
	EXPECT_TRUE(reported("a_cancel_does_not_wait"));
}

TEST(values_are_ordered_and_looks_are_not)
{
	EXPECT_TRUE(silent("values_are_seen"));
	EXPECT_TRUE(reported("a_look_at_a_live_group"));
}

TEST_HARNESS_MAIN
