// SPDX-License-Identifier: MIT
/* chan_go: members that are threads, how they leave, and what no other call does. */
#include <sys/resource.h>

#include "caller.h"
#include "harness.h"

/* A thread that has left its group is not quite gone yet. */
#define EXPECT_ALONE(fds) do {			\
	EXPECT_TRUE(COMES(thread_count() == 1)); \
	EXPECT_EQ(fds, open_count());		\
} while (0)

struct task {
	int ret, member, kind;
	unsigned long id;
};

static int tell(int member, void *arg)
{
	struct task *t = arg;

	t->member = member;
	t->kind = chan_kind(member);
	t->id = group_of(member).parent_id;
	return t->ret;
}

static int wait_first(int g)
{
	int first = -1, r = chan_wait(g, &first, -1, SOON);

	return r < 0 ? r : first;
}

TEST(the_member_leaves_with_the_magnitude_of_what_is_returned)
{
	static const struct { int ret, err; } row[] = {
		{ 0, 0 }, { 1, 1 }, { -1, 1 }, { EIO, EIO }, { -EIO, EIO },
		{ 4095, 4095 }, { -4095, 4095 }, { 4096, EOVERFLOW }, { -4096, EOVERFLOW },
		{ INT_MAX, EOVERFLOW }, { INT_MIN, EOVERFLOW }, { INT_MIN + 1, EOVERFLOW },
	};
	int fds = open_count();

	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 1);
		struct task t = { .ret = row[i].ret };

		ASSERT_EQ(0, chan_go(g, tell, &t));
		EXPECT_EQ(row[i].err, wait_first(g));
		EXPECT_EQ(CHAN_GROUP, t.kind);
		EXPECT_EQ(group_of(g).id, t.id);
		EXPECT_EQ(!!row[i].err, group_of(g).failed);
		EXPECT_EQ(row[i].err, (int)group_of(g).err);
		EXPECT_EQ(row[i].err ? getpid() : 0, (int)group_of(g).by_pid);
		EXPECT_EQ(0, group_of(g).members);
		close(g);
		EXPECT_ALONE(fds);
	}
}

enum { CANCEL, CANCEL_ASYNC, EXIT, EXIT_AFTER_LEAVE };

struct early {
	int how, ready[2];
	pthread_t self;
};

static int end_early(int member, void *arg)
{
	struct early *e = arg;

	e->self = pthread_self();
	if (e->how == CANCEL_ASYNC)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	if (e->how == EXIT_AFTER_LEAVE)
		chan_leave(member, EIO, "left");
	if (e->how >= EXIT)
		pthread_exit(NULL);
	write(e->ready[1], "", 1);
	for (;;)
		if (e->how == CANCEL)
			pause();
	return 0;
}

TEST(a_cancelled_or_exited_thread_leaves_with_ecanceled)
{
	struct early e;
	int fds, err;
	char c;

	ASSERT_EQ(0, pipe(e.ready));
	fds = open_count();
	for (e.how = CANCEL; e.how <= EXIT_AFTER_LEAVE; e.how++) {
		int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 1);

		ASSERT_EQ(0, chan_go(g, end_early, &e));
		if (e.how < EXIT) {
			ASSERT_EQ(1, read(e.ready[0], &c, 1));
			EXPECT_EQ(1, group_of(g).members);
			ASSERT_EQ(0, pthread_cancel(e.self));
		}
		err = e.how == EXIT_AFTER_LEAVE ? EIO : ECANCELED;
		EXPECT_EQ(err, wait_first(g));
		EXPECT_EQ(1, group_of(g).failed);
		EXPECT_EQ(err, (int)group_of(g).err);
		EXPECT_STREQ(err == EIO ? "left" : "thread exited", group_of(g).why);
		close(g);
		EXPECT_ALONE(fds);
	}
	close2(e.ready);
}

/*
 * Cancelled at any moment, a thread leaves once and leaves nothing behind. It is
 * detached: a destructor keeps it until nobody will cancel it any more.
 */
struct target {
	pthread_t self;
	int start, cancelled;
};

static pthread_key_t stay;

static void stay_until_cancelled(void *arg)
{
	struct target *t = arg;

	while (!__atomic_load_n(&t->cancelled, __ATOMIC_ACQUIRE))
		;
}

static int spin(int n)
{
	for (volatile int i = 0; i < n; i++)
		;
	return EIO;
}

static int cancelled_anywhere(int member, void *arg)
{
	struct target *t = arg;

	pthread_setspecific(stay, t);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	__atomic_store_n(&t->self, pthread_self(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t->start, __ATOMIC_ACQUIRE))
		;
	return spin(1000);
}

TEST(a_thread_cancelled_at_any_moment_leaves_once)
{
	int n = quick(3000, 300), fds, early = 0, i;
	int64_t late = chan_after(40000 * MS);

	ASSERT_EQ(0, pthread_key_create(&stay, stay_until_cancelled));
	fds = open_count();
	for (i = 0; i < n && (i < 300 || chan_after(0) < late); i++) {
		int g = chan_group(-1, CHAN_FOREVER, 0, 1), first;
		struct target t = {};

		ASSERT_EQ(0, chan_go(g, cancelled_anywhere, &t));
		ASSERT_TRUE(COMES(__atomic_load_n(&t.self, __ATOMIC_ACQUIRE)));
		__atomic_store_n(&t.start, 1, __ATOMIC_RELEASE);
		spin(random() % 4000);
		ASSERT_EQ(0, pthread_cancel(t.self));
		__atomic_store_n(&t.cancelled, 1, __ATOMIC_RELEASE);
		first = wait_first(g);
		EXPECT_TRUE(first == EIO || first == ECANCELED) TH_LOG("round %d: %d", i, first);
		early += first == ECANCELED;
		EXPECT_EQ(1, group_of(g).failed);
		close(g);
		EXPECT_ALONE(fds);
	}
	TH_LOG("%d of %d were cancelled before they returned", early, i);
}

static int never(int member, void *arg)
{
	*(int *)arg = 1;
	return 0;
}

TEST(nothing_starts_below_what_is_ended_or_no_group)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0), w = chan_watch(g), p[2], ran = 0;
	int late = chan_group(-1, -5, 0, 0), fds;

	ASSERT_EQ(0, pipe(p));
	fds = open_count();
	EXPECT_EQ(-EINVAL, chan_go(g, NULL, &ran));
	EXPECT_EQ(-EBADF, chan_go(w, never, &ran));
	EXPECT_EQ(-EBADF, chan_go(-1, never, &ran));
	EXPECT_EQ(-ENOTTY, chan_go(p[0], never, &ran));
	EXPECT_EQ(0, chan_cancel(g, ENOSPC, NULL));
	EXPECT_EQ(-ENOSPC, chan_go(g, never, &ran));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(-ETIMEDOUT, chan_go(late, never, &ran));
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(0, group_of(g).failed);
	EXPECT_EQ(1, thread_count());
	EXPECT_EQ(0, ran);
	EXPECT_EQ(fds, open_count());
	close2(p);
	close(late);
	close(w);
	close(g);
}

/* As if it had never joined: a group that ends with its first exit is live. */
TEST(a_thread_that_can_not_start_leaves_no_member)
{
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST | CHAN_FIRST_EXIT, 1), ran = 0;
	struct rlimit old, none;
	int fds = open_count(), state;

	ASSERT_EQ(0, getrlimit(RLIMIT_AS, &old));
	none = (struct rlimit){ 1 << 20, old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &none));
	int r = chan_go(g, never, &ran), err = errno;

	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &old));
	EXPECT_EQ(-EAGAIN, r);
	EXPECT_EQ(EAGAIN, err);
	EXPECT_EQ(0, group_of(g).members);
	EXPECT_EQ(0, group_of(g).children);
	EXPECT_EQ(0, group_of(g).failed);
	EXPECT_EQ(CHAN_LIVE, group_of(g).state);
	EXPECT_EQ(0, wait_first(g));
	EXPECT_EQ(0, ran);
	EXPECT_EQ(fds, open_count());
	EXPECT_EQ(1, thread_count());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	EXPECT_EQ(PTHREAD_CANCEL_ENABLE, state);
	/* the place is free */
	EXPECT_EQ(0, chan_go(g, never, &ran));
	EXPECT_EQ(0, wait_first(g));
	EXPECT_EQ(1, ran);
	EXPECT_EQ(CHAN_ENDED, group_of(g).state);
	close(g);
}

/* EG-04, WG-06: never more than 10 at once; all are counted out */
struct crowd {
	int group, active, most, done;
};

static int brief_work(int member, void *arg)
{
	struct crowd *c = arg;
	int n = __atomic_add_fetch(&c->active, 1, __ATOMIC_SEQ_CST);

	note_most(&c->most, n);
	usleep(1);
	__atomic_sub_fetch(&c->active, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&c->done, 1, __ATOMIC_SEQ_CST);
	return 0;
}

TEST(go_waits_for_a_place)
{
	int n = quick(1025, 200), fds = open_count();
	struct crowd c = {};

	c.group = chan_group(-1, CHAN_FOREVER, 0, 10);
	for (int i = 0; i < n; i++)
		ASSERT_EQ(0, chan_go(c.group, brief_work, &c));
	EXPECT_EQ(0, wait_first(c.group));
	EXPECT_EQ(n, c.done);
	EXPECT_EQ(0, c.active);
	EXPECT_LE(c.most, 10);
	close(c.group);
	EXPECT_ALONE(fds);
}

/* WG-06: tasks that start tasks, in the group and below their own member */
static int starts_more(int member, void *arg)
{
	struct crowd *c = arg;
	int first = -1;

	for (int i = 0; i < 3; i++)
		if (chan_go(c->group, brief_work, c) || chan_go(member, brief_work, c))
			return EPROTO;
	if (chan_wait(member, &first, -1, SOON) || first)
		return EPROTO;
	return group_of(member).members ? EPROTO : 0;
}

TEST(tasks_start_tasks)
{
	struct crowd c = { .group = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0) };
	int fds = open_count();

	for (int i = 0; i < 50; i++)
		ASSERT_EQ(0, chan_go(c.group, starts_more, &c));
	EXPECT_EQ(0, wait_first(c.group));
	EXPECT_EQ(300, c.done);
	EXPECT_EQ(0, group_of(c.group).failed);
	EXPECT_ALONE(fds);
	close(c.group);
}

/* CX-20: no other call starts a thread or a process */
TEST(no_other_call_starts_a_thread_or_a_process)
{
	int e[2], v = 1, first, fds = open_count(), g, m, w;
	char buf[8];

	ASSERT_EQ(0, chan_make(e, 4, 1, 0));
	g = chan_group(-1, chan_after(1000000 * MS), 0, 1);
	w = chan_watch(g);
	m = chan_join(g, w, SOON);
	struct chan_case cs[2] = { chan_recv_case(e[0], &v, 4), chan_send_case(e[1], &v, 4) };

	EXPECT_EQ(1, thread_count());
	EXPECT_EQ(0, chan_send(e[1], &v, 4, g, SOON));
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, m, SOON));
	EXPECT_EQ(1, chan_select(cs, 2, 0, w, SOON));
	EXPECT_EQ(CHAN_GROUP, chan_kind(g));
	EXPECT_EQ(1, info_of(e[0]).len);
	EXPECT_EQ(0, chan_value_set(m, "k", "v", 1));
	EXPECT_EQ(1, chan_value_get(m, "k", buf, 8));
	EXPECT_EQ(-ETIMEDOUT, chan_wait(g, &first, -1, chan_after(MS)));
	EXPECT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(0, chan_wait(g, &first, -1, CHAN_NOW));
	EXPECT_EQ(0, chan_shut(e[1], 0));
	EXPECT_EQ(0, chan_cancel(g, 0, NULL));
	EXPECT_EQ(CHAN_ENDED, group_of(w).state);
	EXPECT_EQ(1, thread_count());
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
	EXPECT_EQ(ECHILD, errno);
	close(m);
	close(w);
	close(g);
	close2(e);
	EXPECT_EQ(fds, open_count());
}

TEST_HARNESS_MAIN
