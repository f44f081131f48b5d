// SPDX-License-Identifier: MIT
/* How long calls on groups keep a processor to themselves, whatever hangs on them. */
#include <sys/mman.h>

#include "group_util.h"
#include "latency.h"
#include "harness.h"

#define WAITERS	2000

static bool key_of(char *key, int i)
{
	/* all of one length, and alike but for the end: as long to compare as can be */
	memset(key, 'k', 127);
	return snprintf(key + 119, 9, "%08d", i) == 8;
}

static bool give_values(int g, int n)
{
	char key[128];

	for (int i = 0; i < n; i++)
		if (!key_of(key, i) || chan_value_set(g, key, "", 0))
			return false;
	return true;
}

/* The last of a chain of @depth groups, which keeps the others. */
static int chain(int depth, int values, unsigned flags, int64_t deadline)
{
	int g = chan_group(-1, deadline, 0, 0), next;

	for (int i = 0; i < depth && g >= 0; i++, g = next) {
		if (!give_values(g, values))
			return -1;
		next = chan_group(g, CHAN_FOREVER, flags, 0);
		close(g);
	}
	return g;
}

FIXTURE(latency) { struct latency l; };

FIXTURE_SETUP(latency)
{
	ASSERT_EQ(0, many_files());
	ASSERT_TRUE(latency_start(&self->l));
}

FIXTURE_TEARDOWN(latency)
{
	latency_stop(&self->l);
}

/* What all else is to be seen beside. */
TEST_F(latency, of_a_call_that_does_nothing)
{
	latency_begin(&self->l);
	for (int i = 0; i < 10000; i++)
		syscall(SYS_getppid);
	EXPECT_SHORT(&self->l, "getppid");
}

static void last_close(struct __test_metadata *_metadata, struct latency *l, int64_t most)
{
	int g = chain(quick(4000, 400), 0, CHAN_DETACHED, CHAN_FOREVER);

	ASSERT_LE(0, g);
	latency_begin(l);
	close(g);
	EXPECT_WITHIN(l, most, "close of a deep group");
}

static void last_close_with_values(struct __test_metadata *_metadata, struct latency *l,
				   int64_t most)
{
	int g = chain(quick(100, 10), 256, CHAN_DETACHED, CHAN_FOREVER);

	ASSERT_LE(0, g);
	latency_begin(l);
	close(g);
	EXPECT_WITHIN(l, most, "close of groups with values");
}

TEST_F(latency, of_the_last_close_of_a_deep_group)
{
	last_close(_metadata, &self->l, LATENCY_LIMIT);
}

TEST_F(latency, of_the_last_close_of_groups_with_values)
{
	last_close_with_values(_metadata, &self->l, LATENCY_LIMIT);
}

TEST_F(latency, of_looking_for_values)
{
	int g = chain(quick(100, 10), 256, CHAN_DETACHED, CHAN_FOREVER);
	char key[128];

	ASSERT_LE(0, g);
	ASSERT_TRUE(give_values(g, 256));
	latency_begin(&self->l);
	for (int i = 0; i < 300; i++) {
		ASSERT_TRUE(key_of(key, i));
		ASSERT_EQ(i < 256 ? -EEXIST : -EDQUOT, chan_value_set(g, key, "", 0));
	}
	EXPECT_SHORT(&self->l, "setting what is there");
	latency_begin(&self->l);
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(-ENODATA, chan_value_get(g, key, NULL, 0));
	EXPECT_SHORT(&self->l, "looking for what is not");
	close(g);
}

TEST_F(latency, of_the_end_of_a_deep_tree)
{
	int deep = quick(4000, 400), *fd = calloc(deep, sizeof(*fd));

	for (int i = 0; i < deep; i++) {
		fd[i] = i ? below(fd[i - 1]) : root();
		ASSERT_LE(0, fd[i]);
	}
	latency_begin(&self->l);
	ASSERT_EQ(0, chan_cancel(fd[0], EIO, "the top"));
	EXPECT_SHORT(&self->l, "end of a deep tree");
	EXPECT_EQ(EIO, ginfo(fd[deep - 1]).err);
	for (int i = 0; i < deep; i++)
		close(fd[i]);
	free(fd);
}

TEST_F(latency, of_the_end_of_a_wide_tree)
{
	int wide = quick(10000, 1000), g = root(), *fd = calloc(wide, sizeof(*fd));

	for (int i = 0; i < wide; i++) {
		fd[i] = i & 1 ? below(g) : chan_join(g, -1, CHAN_NOW);
		ASSERT_LE(0, fd[i]);
	}
	latency_begin(&self->l);
	ASSERT_EQ(0, chan_cancel(g, EIO, "the top"));
	EXPECT_SHORT(&self->l, "end of a wide tree");
	EXPECT_EQ(EIO, ginfo(fd[wide - 1]).err);
	for (int i = 0; i < wide; i++)
		close(fd[i]);
	close(g);
	free(fd);
}

/* Born with a deadline that is the top's, and asked about after it, before its timer maybe. */
TEST_F(latency, of_a_deadline_of_a_deep_tree)
{
	int deep = quick(4000, 400), *fd = calloc(deep, sizeof(*fd));
	int64_t at = chan_after(3000 * MS);

	for (int i = 0; i < deep; i++) {
		fd[i] = chan_group(i ? fd[i - 1] : -1, at, 0, 0);
		ASSERT_LE(0, fd[i]);
	}
	latency_begin(&self->l);
	while (ginfo(fd[deep - 1]).state == CHAN_LIVE)
		ASSERT_GT(at + PATIENCE * MS, chan_after(0));
	EXPECT_SHORT(&self->l, "deadline of a deep tree");
	EXPECT_EQ(ETIMEDOUT, ginfo(fd[deep - 1]).err);
	for (int i = 0; i < deep; i++)
		close(fd[i]);
	free(fd);
}

/* Groups of one process that end at one instant, each by a timer of its own. */
TEST_F(latency, of_many_deadlines_at_once)
{
	int many = quick(10000, 1000), *fd = calloc(many, sizeof(*fd));
	int64_t at = chan_after(3000 * MS);

	for (int i = 0; i < many; i++) {
		fd[i] = chan_group(-1, at, 0, 0);
		ASSERT_LE(0, fd[i]);
	}
	latency_begin(&self->l);
	for (int i = 0; i < many; i++)
		ASSERT_TRUE(turns(fd[i], POLLIN));
	usleep(100000);
	EXPECT_SHORT(&self->l, "deadlines at once");
	for (int i = 0; i < many; i++)
		close(fd[i]);
	free(fd);
}

/* ---- calls that wait ---- */

struct waiting {
	int g, under, kind;	/* 0: a join, 1: a wait, 2: a receive */
	int rx;
	int tid[WAITERS];
	int ret[WAITERS];
	int next;
	pthread_t t[WAITERS];
};

static void *one_waits(void *arg)
{
	struct waiting *w = arg;
	int i = __atomic_fetch_add(&w->next, 1, __ATOMIC_SEQ_CST), first;
	char c;

	__atomic_store_n(&w->tid[i], syscall(SYS_gettid), __ATOMIC_RELEASE);
	if (w->kind == 0)
		w->ret[i] = chan_join(w->g, w->under, CHAN_FOREVER);
	else if (w->kind == 1)
		w->ret[i] = chan_wait(w->g, &first, w->under, CHAN_FOREVER);
	else
		w->ret[i] = chan_recv(w->rx, &c, 1, w->under, CHAN_FOREVER);
	return NULL;
}

static bool all_wait(struct waiting *w, int n)
{
	pthread_attr_t a;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 65536);
	for (int i = 0; i < n; i++)
		if (pthread_create(&w->t[i], &a, one_waits, w))
			return false;
	for (int i = 0; i < n; i++)
		if (!asleep(&w->tid[i]))
			return false;
	return true;
}

static bool all_got(struct waiting *w, int n, int err)
{
	bool good = true;

	for (int i = 0; i < n; i++) {
		pthread_join(w->t[i], NULL);
		good = good && w->ret[i] == err;
	}
	return good;
}

/* Above those that wait: until it sleeps, what they wait in stays full of those called off. */
static void waiters(struct __test_metadata *_metadata, struct latency *l, int kind, int64_t most)
{
	static const char *const what[] = { "joins", "waits", "receives" };
	static struct waiting w;
	int n = quick(WAITERS, 200), m, end[2];
	char text[80];

	ASSERT_TRUE(set_fifo(10));
	w = (struct waiting){ .kind = kind, .g = chan_group(-1, CHAN_FOREVER, 0, 1), .under = root() };
	ASSERT_EQ(0, chan_make(end, 1, 0, 0));
	w.rx = end[0];
	m = chan_join(w.g, -1, CHAN_NOW);
	ASSERT_LE(0, m);
	ASSERT_TRUE(all_wait(&w, n));
	latency_begin(l);
	ASSERT_EQ(0, chan_cancel(w.under, 0, NULL));
	snprintf(text, sizeof(text), "end of the group of many %s", what[kind]);
	/* no sleep yet: those called off have not run */
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	ASSERT_EQ(0, chan_cancel(w.g, 0, NULL));
	EXPECT_WITHIN(l, most, text);
	EXPECT_TRUE(all_got(&w, n, -ECANCELED));
	EXPECT_EQ(0, ginfo(w.g).members);
	close2(end);
	close2((int[]){ w.g, w.under });
	close(m);
}

TEST_F(latency, of_a_leave_where_many_joins_were_called_off)
{
	waiters(_metadata, &self->l, 0, LATENCY_LIMIT);
}

TEST_F(latency, of_a_leave_where_many_waits_were_called_off)
{
	waiters(_metadata, &self->l, 1, LATENCY_LIMIT);
}

TEST_F(latency, of_the_end_of_the_group_of_many_receives)
{
	waiters(_metadata, &self->l, 2, LATENCY_LIMIT);
}

/*
 * Without the module: memory goes back page by page, which costs the kernel the most for as
 * many pages.
 */
static int64_t unmap(struct latency *l)
{
	size_t size = quick(64, 4) << 20;
	char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		return -1;
	madvise(m, size, MADV_NOHUGEPAGE);
	memset(m, 1, size);
	latency_begin(l);
	munmap(m, size);
	return latency_end(l, "munmap");
}

/*
 * As the kernel sets itself up there is its own stretch, see page_lists(); groups that go
 * add no more to it than they may take without it.
 */
TEST_F(latency, of_groups_that_go_beside_memory_that_does)
{
	int64_t most;

	if (icount())
		ASSERT_TRUE(page_lists(0));
	most = unmap(&self->l);
	ASSERT_LT(0, most);
	most += LATENCY_LIMIT;
	last_close(_metadata, &self->l, most);
	last_close_with_values(_metadata, &self->l, most);
	waiters(_metadata, &self->l, 0, most);
}

TEST_HARNESS_MAIN
