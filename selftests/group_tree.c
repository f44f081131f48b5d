// SPDX-License-Identifier: MIT
/* Trees of groups: wide, deep, and cancelled from everywhere at once. */
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>

#include "group_util.h"
#include "harness.h"

static unsigned children(int g)
{
	return ginfo(g).children;
}

/* CX-03, CX-04 */
TEST(a_child_is_counted_while_it_is_live_and_attached)
{
	int p = root(), c = below(p), t = chan_group(p, HOUR, 0, 0), v, d;

	EXPECT_EQ(2, children(p));
	d = chan_group(p, CHAN_FOREVER, CHAN_DETACHED, 0);
	v = below(c);
	EXPECT_EQ(2, children(p));
	EXPECT_EQ(1, children(c));
	ASSERT_EQ(0, chan_cancel(c, 0, NULL));
	EXPECT_EQ(1, children(p));
	EXPECT_EQ(0, children(c));
	EXPECT_EQ(ECANCELED, ginfo(v).err);
	EXPECT_EQ(CHAN_LIVE, ginfo(p).state);
	ASSERT_EQ(0, chan_cancel(t, 0, NULL));
	EXPECT_EQ(0, children(p));
	close2((int[]){ c, t });
	/* by close as well, and one born ended never counts */
	c = below(p);
	EXPECT_EQ(1, children(p));
	close(c);
	EXPECT_EQ(0, children(p));
	c = chan_group(p, -1, 0, 0);
	EXPECT_EQ(0, children(p));
	EXPECT_EQ(CHAN_LIVE, ginfo(p).state);
	close2((int[]){ p, c });
	close2((int[]){ v, d });
}

/* CX-03 */
TEST(a_parents_end_is_that_of_all_below)
{
	int p = root(), c = below(p), v = below(p), t = chan_group(v, HOUR, 0, 0), late;

	ASSERT_EQ(0, chan_value_set(v, "k", "v", 1));
	EXPECT_EQ(2, children(p));
	ASSERT_EQ(0, chan_cancel(p, 0, NULL));
	late = below(p);
	for (int i = 0; i < 5; i++) {
		int fd = (int[]){ p, c, v, t, late }[i];

		EXPECT_EQ(POLLIN | POLLOUT, events(fd));
		EXPECT_EQ(ECANCELED, ginfo(fd).err);
		EXPECT_EQ(0, children(fd));
	}
	close2((int[]){ p, c });
	close2((int[]){ v, t });
	close(late);
}

/* ---- wide and deep ---- */

TEST(ten_thousand_children_are_ended_when_the_cancel_returns)
{
	int n = quick(10000, 1000), g = root(), *fd = calloc(n, sizeof(*fd));

	ASSERT_EQ(0, many_files());
	for (int i = 0; i < n; i++) {
		fd[i] = i % 3 == 2 ? chan_join(g, -1, CHAN_NOW) :
			chan_group(g, i % 3 ? HOUR : CHAN_FOREVER, 0, 0);
		ASSERT_LE(0, fd[i]);
	}
	EXPECT_EQ(n, children(g));
	EXPECT_EQ(n / 3, ginfo(g).members);
	ASSERT_EQ(0, chan_cancel(g, 42, "all of you"));
	for (int i = 0; i < n; i++) {
		struct chan_group_info in = ginfo(fd[i]);

		ASSERT_EQ(CHAN_ENDED, in.state);
		ASSERT_EQ(42, in.err);
		ASSERT_EQ(0, strcmp("all of you", in.why));
		ASSERT_EQ(getpid(), in.by_pid);
	}
	EXPECT_EQ(0, children(g));
	for (int i = 0; i < n; i++)
		close(fd[i]);
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(n / 3, ginfo(g).failed);
	close(g);
	free(fd);
}

/* The first children of each, and a close as the cause, from the top and the middle. */
TEST(a_chain_of_a_thousand_is_ended_at_once)
{
	int n = quick(1000, 300), *fd = calloc(n, sizeof(*fd));

	ASSERT_EQ(0, many_files());
	for (int how = 0; how < 3; how++) {
		int from = how == 1 ? n / 2 : 0;

		for (int i = 0; i < n; i++) {
			fd[i] = i ? below(fd[i - 1]) : root();
			ASSERT_LE(0, fd[i]);
		}
		if (how == 2)
			close(fd[0]);
		else
			ASSERT_EQ(0, chan_cancel(fd[from], 5, "top"));
		for (int i = how == 2; i < n; i++) {
			ASSERT_EQ(i >= from, ginfo(fd[i]).state);
			ASSERT_EQ(i < from ? 0 : how == 2 ? EOWNERDEAD : 5, ginfo(fd[i]).err);
		}
		/* from the top down, then from the bottom up */
		for (int i = how == 2; i < n; i++)
			close(how == 1 ? fd[n - 1 - i] : fd[i]);
	}
	free(fd);
}

/* The parents' descriptors are closed at once: the objects stay as long as they are needed. */
TEST(a_chain_may_be_4096_deep_and_no_deeper)
{
	int first = root(), g = first, n = 0, next, deep = quick(4096, 256);

	ASSERT_TRUE(deep == 4096 || set_parameter("max_group_depth", deep));

	/* detached: closing what is above ends nothing */
	for (;;) {
		next = chan_group(g, CHAN_FOREVER, CHAN_DETACHED, 0);
		if (next < 0)
			break;
		n++;
		close(g);
		g = next;
		ASSERT_GE(deep, n);
	}
	EXPECT_EQ(-ELOOP, next);
	EXPECT_EQ(deep, n);
	EXPECT_EQ(-ELOOP, below(g));
	EXPECT_EQ(-ELOOP, chan_join(g, -1, CHAN_NOW));
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	EXPECT_EQ(0, ginfo(g).members + ginfo(g).children);
	close(g);

	ASSERT_EQ(0, many_files());
	first = g = root();
	for (n = 0; n < deep; n++) {
		next = below(g);
		ASSERT_LE(0, next);
		g = next;
	}
	EXPECT_EQ(-ELOOP, below(g));
	ASSERT_EQ(0, chan_cancel(first, 9, NULL));
	EXPECT_EQ(9, ginfo(g).err);
	EXPECT_TRUE(deep == 4096 || set_parameter("max_group_depth", 4096));
}

struct second { int g, n, fd[4000]; };

/* The other is still at it, deep in the tree: this cancel returns when that is done. */
static int cancel_second(void *arg)
{
	struct second *s = arg;

	while (ginfo(s->g).state == CHAN_LIVE)
		;
	if (chan_cancel(s->g, 2, "second"))
		return 1;
	for (int i = s->n - 1; i >= 0; i--)
		if (ginfo(s->fd[i]).state != CHAN_ENDED || ginfo(s->fd[i]).err != 1)
			return 2;
	return 0;
}

TEST(a_second_cancel_returns_when_all_below_is_ended_too)
{
	static struct second s;

	ASSERT_EQ(0, many_files());
	for (int round = 0, n = quick(5, 2); round < n; round++) {
		struct party p;

		s.n = quick(4000, 1000);
		s.g = root();
		for (int i = 0; i < s.n; i++) {
			s.fd[i] = below(s.g);
			ASSERT_LE(0, s.fd[i]);
		}
		ASSERT_TRUE(party_start(&p, false, cancel_second, &s));
		while (!__atomic_load_n(&p.tid, __ATOMIC_ACQUIRE))
			sched_yield();
		ASSERT_EQ(0, chan_cancel(s.g, 1, "first"));
		ASSERT_EQ(0, party_end(&p));
		for (int i = 0; i < s.n; i++)
			close(s.fd[i]);
		close(s.g);
	}
}

static int sleep_in_select(void *arg)
{
	int r = chan_select(NULL, 0, 0, *(int *)arg, SOON);

	return r == -ECANCELED ? 0 : 1;
}

TEST(all_who_run_below_are_ended)
{
	int n = quick(200, 20), g = root(), mid = below(g), *fd = shared(200 * sizeof(int));
	struct party *p = calloc(n, sizeof(*p));

	for (int i = 0; i < n; i++) {
		fd[i] = i % 3 == 0 ? chan_watch(mid) : i % 3 == 1 ? below(mid) : dup(g);
		ASSERT_TRUE(party_start(&p[i], i % 10 == 9, sleep_in_select, &fd[i]));
	}
	for (int i = 0; i < n; i++) {
		ASSERT_TRUE(asleep(&p[i].tid));
	}
	ASSERT_EQ(0, chan_cancel(g, 0, NULL));
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, party_end(&p[i]));
	for (int i = 0; i < n; i++)
		close(fd[i]);
	close2((int[]){ g, mid });
	free(p);
}

/* ---- from everywhere at once ---- */

#define TREE 101

struct tree { int fd[TREE], go; };

struct node_of { struct tree *t; int n; };

static void grow(struct tree *t)
{
	for (int i = 0; i < TREE; i++)
		t->fd[i] = i ? below(t->fd[(i - 1) / 4]) : root();
}

/* Cancel one; when that returns, all below it must be ended, whoever won. */
static int cancel_node(void *arg)
{
	struct node_of *a = arg;
	struct tree *t = a->t;
	int stack[TREE], n = 1;

	if (poll(&(struct pollfd){ .fd = t->go, .events = POLLIN }, 1, -1) != 1)
		return 3;
	if (chan_cancel(t->fd[a->n], a->n + 1, "node"))
		return 1;
	stack[0] = a->n;
	while (n) {
		int i = stack[--n];

		if (ginfo(t->fd[i]).state != CHAN_ENDED)
			return 2;
		for (int k = 4 * i + 1; k <= 4 * i + 4 && k < TREE; k++)
			stack[n++] = k;
	}
	return 0;
}

/* CX-08 */
TEST(a_tree_cancelled_at_every_node_at_once_ends_whole)
{
	struct tree *t = shared(sizeof(*t));
	struct node_of *a = shared(TREE * sizeof(*a));
	struct party p[TREE];

	for (int round = 0, n = count(200, 10, 1); round < n; round++) {
		t->go = eventfd(0, EFD_CLOEXEC);
		grow(t);
		for (int i = 0; i < TREE; i++)
			a[i] = (struct node_of){ t, i };
		for (int i = 0; i < TREE; i++) {	/* in another order each time */
			int k = rand() % TREE, tmp = a[i].n;

			a[i].n = a[k].n;
			a[k].n = tmp;
		}
		for (int i = 0; i < TREE; i++) {
			ASSERT_TRUE(party_start(&p[i], round % 10 == 0 && i % 2, cancel_node, &a[i]));
		}
		ASSERT_EQ(8, write(t->go, &(uint64_t){ 1 }, 8));	/* all who are there by now */
		for (int i = 0; i < TREE; i++) {
			ASSERT_EQ(0, party_end(&p[i]));
		}
		for (int i = 0; i < TREE; i++) {
			struct chan_group_info in = ginfo(t->fd[i]);
			bool above = false;

			ASSERT_EQ(0, in.children);
			/* the cause is its own or that of one above */
			for (int k = i; !above; k = (k - 1) / 4) {
				above = in.err == k + 1;
				if (!k)
					break;
			}
			ASSERT_TRUE(above);
		}
		for (int i = 0; i < TREE; i++)
			close(t->fd[i]);
		close(t->go);
	}
}

static int wait_then_cancel(void *arg)
{
	int *fd = arg;

	return turns(fd[0], POLLIN) ? -chan_cancel(fd[1], 7, "waiter") : 1;
}

/* CX-07 */
TEST(a_waiter_on_the_parent_cancels_the_child_beside_the_cascade)
{
	int n = count(10000, 400, 40);

	for (int i = 0; i < n; i++) {
		int *fd = shared(2 * sizeof(int)), err;
		struct party p;

		fd[0] = root();
		fd[1] = below(fd[0]);
		ASSERT_TRUE(party_start(&p, i % 2, wait_then_cancel, fd));
		ASSERT_EQ(0, chan_cancel(fd[0], 0, "parent"));
		err = ginfo(fd[1]).err;
		ASSERT_EQ(0, party_end(&p));
		ASSERT_EQ(ECANCELED, err);
		ASSERT_EQ(ECANCELED, ginfo(fd[1]).err);
		close2(fd);
		munmap(fd, 2 * sizeof(int));
	}
}

/* ---- births beside an end ---- */

struct births { int parent, n, fd[64]; unsigned go; };

static int give_birth(void *arg)
{
	struct births *b = arg;

	while (!__atomic_load_n(&b->go, __ATOMIC_ACQUIRE))
		sched_yield();
	/* until a little after the end, so that every moment is tried */
	for (int after = 0; after < 4 && b->n < 64; b->n++) {
		int kind = b->n % 4, w, fd;

		w = kind == 3 ? chan_watch(b->parent) : b->parent;
		fd = kind == 2 ? chan_join(b->parent, -1, CHAN_NOW) :
		     chan_group(w, kind ? HOUR : CHAN_FOREVER, 0, 0);
		if (w != b->parent)
			close(w);
		if (kind == 2 && fd == -EIO)
			fd = -2;
		else if (fd < 0)
			return 1;
		b->fd[b->n] = fd;
		after += fd == -2 || (after && fd >= 0) || ginfo(fd).state;
	}
	return 0;
}

TEST(a_child_made_beside_the_end_is_never_missed)
{
	int both = 0, n = quick(500, 40);

	ASSERT_EQ(0, many_files());
	/* the race has been one once some groups were made before the end, some after */
	for (int i = 0; i < n || (!both && i < 5000); i++) {
		static struct births b;
		int live = 0;
		struct party p;

		b.n = 0;
		b.go = 0;
		b.parent = root();
		ASSERT_TRUE(party_start(&p, false, give_birth, &b));
		while (!__atomic_load_n(&p.tid, __ATOMIC_ACQUIRE))
			sched_yield();
		__atomic_store_n(&b.go, 1, __ATOMIC_RELEASE);
		for (volatile int k = rand() % 20000; k > 0; k--)
			;
		ASSERT_EQ(0, chan_cancel(b.parent, EIO, "end"));
		ASSERT_EQ(0, party_end(&p));
		for (int k = 0; k < b.n; k++) {
			if (b.fd[k] < 0)
				continue;
			live += ginfo(b.fd[k]).state != CHAN_ENDED || ginfo(b.fd[k]).err != EIO;
			close(b.fd[k]);
		}
		ASSERT_EQ(0, live);
		ASSERT_EQ(0, children(b.parent) + ginfo(b.parent).members);
		both += b.n > 4 && b.n < 64;
		close(b.parent);
	}
	EXPECT_LT(0, both);
}

/* Deadlines all over a tree, ending at one instant or at many. */
TEST(deadlines_all_over_a_tree)
{
	int n = quick(400, 100), *fd = calloc(n, sizeof(*fd));
	int64_t at = chan_after(150 * MS);

	ASSERT_EQ(0, many_files());
	for (int i = 0; i < n; i++) {
		int64_t own = i % 2 ? at : at + (i % 50) * MS;

		fd[i] = chan_group(i ? fd[(i - 1) / 4] : -1, i ? own : HOUR, 0, 0);
		ASSERT_LE(0, fd[i]);
	}
	for (int i = 1; i < n; i++) {
		ASSERT_TRUE(turns(fd[i], POLLIN));
		ASSERT_EQ(ETIMEDOUT, ginfo(fd[i]).err);
		ASSERT_LE(ginfo(fd[i]).deadline, chan_after(0));
		ASSERT_GE(ginfo(fd[(i - 1) / 4]).deadline, ginfo(fd[i]).deadline);
	}
	EXPECT_EQ(CHAN_LIVE, ginfo(fd[0]).state);
	EXPECT_EQ(0, children(fd[0]));
	for (int i = 0; i < n; i++)
		close(fd[i]);
	free(fd);
}

/* CX-09: layers of groups, values and deadlines; cancelling any ends the leaf at once */
TEST(cancelling_any_layer_ends_the_leaf_and_keeps_the_values)
{
	unsigned seed = getenv("KCHAN_SEED") ? atoi(getenv("KCHAN_SEED")) : time(NULL);

	TH_LOG("seed %u", seed);
	srand(seed);
	for (int round = 0, n = quick(200, 20); round < n; round++) {
		int fd[60], depth = 30 + rand() % 30, at, v;
		char key[8];

		for (int i = 0; i < depth; i++) {
			fd[i] = chan_group(i ? fd[i - 1] : -1, rand() % 3 ? CHAN_FOREVER : HOUR, 0, 0);
			ASSERT_LE(0, fd[i]);
			snprintf(key, sizeof(key), "%d", i);
			ASSERT_EQ(0, chan_value_set(fd[i], key, &i, sizeof(i)));
		}
		EXPECT_EQ(POLLOUT, events(fd[depth - 1]));
		at = rand() % depth;
		ASSERT_EQ(0, chan_cancel(fd[at], 1 + at, NULL));
		EXPECT_EQ(POLLIN | POLLOUT, events(fd[depth - 1]));
		EXPECT_EQ(1 + at, ginfo(fd[depth - 1]).err);
		for (int i = 0; i < depth; i++) {
			EXPECT_EQ(i >= at, ginfo(fd[i]).state);
			snprintf(key, sizeof(key), "%d", i);
			EXPECT_EQ(4, chan_value_get(fd[depth - 1], key, &v, sizeof(v)));
			EXPECT_EQ(i, v);
		}
		for (int i = 0; i < depth; i++)
			close(fd[i]);
	}
}

/* Was no task made, of this process or of the kernel's, by any of what is done with groups? */
static bool without_a_task(struct __test_metadata *_metadata)
{
	int before = last_task(), g[7];
	bool quiet = true;

	ASSERT_LT(0, before);
	for (int step = 0; step < 10; step++) {
		switch (step) {
		case 0:
			g[0] = root();
			break;
		case 1:
			g[1] = dup(g[0]);	/* a second handle */
			break;
		case 2:
			g[2] = below(g[1]);
			break;
		case 3:
			g[3] = chan_group(g[2], HOUR, 0, 0);
			break;
		case 4:
			g[4] = chan_join(g[3], -1, CHAN_NOW);
			break;
		case 5:
			g[5] = chan_group(g[4], HOUR, 0, 0);
			break;
		case 6:		/* the inner ones, then all, then below what has ended */
			ASSERT_EQ(0, chan_cancel(g[3], 0, NULL));
			ASSERT_EQ(CHAN_ENDED, ginfo(g[5]).state);
			ASSERT_EQ(CHAN_LIVE, ginfo(g[2]).state);
			break;
		case 7:
			ASSERT_EQ(0, chan_cancel(g[0], 0, NULL));
			ASSERT_EQ(CHAN_ENDED, ginfo(g[2]).state);
			break;
		case 8:
			g[6] = chan_group(g[2], HOUR, 0, 0);
			ASSERT_EQ(CHAN_ENDED, ginfo(g[6]).state);
			break;
		case 9:
			for (int i = 0; i < 7; i++)
				close(g[i]);
			break;
		}
		EXPECT_EQ(1, thread_count());
		quiet &= last_task() == before;
	}
	return quiet;
}

/* CX-20: a group is an object, and nobody runs for it */
TEST(no_task_is_made_for_a_group)
{
	bool quiet = false;

	/* the kernel makes some of its own now and then, and so may others */
	for (int i = 0; !quiet && i < 1000; i++)
		quiet = without_a_task(_metadata);
	EXPECT_TRUE(quiet);
}

/* CX-10: also its timer */
TEST(who_has_ended_is_out_of_the_parent_and_its_timer_off)
{
	int p = root(), c, t;

	ASSERT_TRUE(timers_armed(0));
	for (int by_close = 0; by_close < 2; by_close++) {
		EXPECT_EQ(0, children(p));
		c = below(p);
		EXPECT_EQ(1, children(p));
		EXPECT_TRUE(timers_armed(0));
		ASSERT_EQ(0, by_close ? close(c) : chan_cancel(c, 0, NULL));
		EXPECT_EQ(0, children(p));
		t = chan_group(p, HOUR, 0, 0);
		EXPECT_EQ(1, children(p));
		EXPECT_TRUE(timers_armed(1));
		ASSERT_EQ(0, by_close ? close(t) : chan_cancel(t, 0, NULL));
		EXPECT_EQ(0, children(p));
		EXPECT_TRUE(timers_armed(0));
		if (!by_close)
			close2((int[]){ c, t });
	}
	EXPECT_EQ(CHAN_LIVE, ginfo(p).state);
	/* with its parent */
	t = chan_group(p, HOUR, 0, 0);
	EXPECT_TRUE(timers_armed(1));
	ASSERT_EQ(0, chan_cancel(p, 0, NULL));
	EXPECT_TRUE(timers_armed(0));
	close2((int[]){ p, t });
}

TEST_HARNESS_MAIN
