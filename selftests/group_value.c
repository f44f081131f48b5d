// SPDX-License-Identifier: MIT
/* Values of groups: write-once, shadowed by those below, kept while they are seen. */
#include <sched.h>

#include "group_util.h"
#include "harness.h"

static const char *at(int g, const char *key)
{
	static char b[4096];
	int n = chan_value_get(g, key, b, sizeof(b) - 1);

	if (n < 0)
		return n == -ENODATA ? "-" : "?";
	b[n] = 0;
	return b;
}

/* CX-06 */
TEST(a_lookup_goes_up_and_the_nearest_wins)
{
	const char *want[5][3] = {
		{ "-", "-", "-" },
		{ "c1", "-", "-" },
		{ "c1", "c2", "-" },
		{ "c1", "c2", "c3" },
		{ "", "c2", "c3" },
	};
	const char *keys[3] = { "one/1", "two/1", "two/3" };
	int c[5];

	for (int i = 0; i < 5; i++) {
		c[i] = i ? below(c[i - 1]) : root();
		ASSERT_LE(0, c[i]);
	}
	for (int i = 1; i < 4; i++) {
		ASSERT_EQ(0, chan_value_set(c[i], keys[i - 1], want[i][i - 1], 2));
	}
	/* an empty value is there, and hides what is above */
	ASSERT_EQ(0, chan_value_set(c[4], keys[0], NULL, 0));
	for (int i = 0; i < 5; i++)
		for (int k = 0; k < 3; k++)
			EXPECT_STREQ(want[i][k], at(c[i], keys[k]));
	EXPECT_EQ(0, chan_value_get(c[4], keys[0], NULL, 0));
	/* keys are whole texts */
	EXPECT_STREQ("-", at(c[3], "one/"));
	EXPECT_STREQ("-", at(c[3], "one/11"));
	EXPECT_STREQ("-", at(c[3], "ONE/1"));
	for (int i = 0; i < 5; i++)
		close(c[i]);
}

TEST(a_value_is_set_once)
{
	int g = root(), c = below(g), w = chan_watch(g), d = dup(g);

	ASSERT_EQ(0, chan_value_set(g, "k", "first", 5));
	EXPECT_EQ(-EEXIST, chan_value_set(g, "k", "second", 6));
	EXPECT_EQ(-EEXIST, chan_value_set(d, "k", "first", 5));
	EXPECT_EQ(-EEXIST, chan_value_set(g, "k", NULL, 0));
	EXPECT_EQ(-EBADF, chan_value_set(w, "other", "x", 1));
	EXPECT_STREQ("first", at(w, "k"));
	EXPECT_STREQ("first", at(c, "k"));
	/* a child shadows it, once as well, and for those below it alone */
	EXPECT_EQ(0, chan_value_set(c, "k", "mine", 4));
	EXPECT_EQ(-EEXIST, chan_value_set(c, "k", "again", 5));
	EXPECT_STREQ("mine", at(c, "k"));
	EXPECT_STREQ("first", at(g, "k"));
	EXPECT_STREQ("-", at(g, "other"));
	close2((int[]){ g, c });
	close2((int[]){ w, d });
}

/* CX-12 */
TEST(keys_are_1_to_127_bytes_and_values_0_to_4096)
{
	static char key[200], val[5000], back[5000];
	int g = root();

	memset(key, 'k', sizeof(key) - 1);
	for (unsigned i = 0; i < sizeof(val); i++)
		val[i] = i * 7 + i / 256;
	key[127] = 0;
	EXPECT_EQ(0, chan_value_set(g, key, val, 4096));
	memset(back, 0x55, sizeof(back));
	EXPECT_EQ(4096, chan_value_get(g, key, back, sizeof(back)));
	EXPECT_EQ(0, memcmp(val, back, 4096));
	EXPECT_EQ(0x55, back[4096]);
	key[127] = 'k';
	key[128] = 0;
	EXPECT_EQ(-EINVAL, chan_value_set(g, key, val, 1));
	EXPECT_EQ(-EINVAL, chan_value_get(g, key, back, 1));
	EXPECT_EQ(-EINVAL, chan_value_set(g, "", val, 1));
	EXPECT_EQ(-EINVAL, chan_value_get(g, "", back, 1));
	EXPECT_EQ(-EFAULT, chan_value_set(g, NULL, val, 1));
	EXPECT_EQ(-EFAULT, chan_value_get(g, (char *)8, back, 1));
	EXPECT_EQ(-EINVAL, chan_value_set(g, "big", val, 4097));
	EXPECT_EQ(-EINVAL, chan_value_set(g, "big", val, SIZE_MAX));
	EXPECT_EQ(-EFAULT, chan_value_set(g, "big", NULL, 1));
	EXPECT_EQ(-EFAULT, chan_value_set(g, "big", (char *)8, 4096));
	EXPECT_STREQ("-", at(g, "big"));
	EXPECT_EQ(0, chan_value_set(g, "b", val, 1));
	EXPECT_EQ(0, chan_value_set(g, "\xff\n\x01 ", "bytes", 5));
	EXPECT_STREQ("bytes", at(g, "\xff\n\x01 "));
	close(g);
}

TEST(a_small_buffer_is_refused_and_untouched)
{
	int g = root();
	char b[8] = "......";

	ASSERT_EQ(0, chan_value_set(g, "k", "12345", 5));
	EXPECT_EQ(5, chan_value_get(g, "k", NULL, 0));
	EXPECT_EQ(-EMSGSIZE, chan_value_get(g, "k", b, 4));
	EXPECT_EQ(-EMSGSIZE, chan_value_get(g, "k", b, 0));
	EXPECT_STREQ("......", b);
	EXPECT_EQ(-EFAULT, chan_value_get(g, "k", NULL, 5));
	EXPECT_EQ(-EFAULT, chan_value_get(g, "k", (char *)8, 5));
	EXPECT_EQ(5, chan_value_get(g, "k", b, 5));
	EXPECT_STREQ("12345.", b);
	EXPECT_EQ(-ENODATA, chan_value_get(g, "none", NULL, 0));
	EXPECT_EQ(-ENODATA, chan_value_get(g, "none", b, 8));
	EXPECT_STREQ("12345.", b);
	close(g);
}

TEST(a_group_holds_256_values)
{
	int g = root(), c = below(g);
	char key[16];

	for (int i = 0; i < 256; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		ASSERT_EQ(0, chan_value_set(g, key, &i, sizeof(i)));
	}
	EXPECT_EQ(-EDQUOT, chan_value_set(g, "one more", "x", 1));
	EXPECT_EQ(-EEXIST, chan_value_set(g, "key 255", "x", 1));
	EXPECT_EQ(-ENODATA, chan_value_get(g, "one more", NULL, 0));
	EXPECT_EQ(0, chan_value_set(c, "one more", "x", 1));
	for (int i = 0; i < 256; i++) {
		int v = -1;

		snprintf(key, sizeof(key), "key %d", i);
		ASSERT_EQ((int)sizeof(v), chan_value_get(c, key, &v, sizeof(v)));
		ASSERT_EQ(i, v);
	}
	close2((int[]){ g, c });
}

/* CX-09 */
TEST(a_value_outlives_its_group_for_those_below)
{
	int g = root(), w = chan_watch(g), mid, d, c, m;

	ASSERT_EQ(0, chan_value_set(g, "k", "root's", 6));
	mid = below(g);
	ASSERT_EQ(0, chan_value_set(mid, "m", "mid's", 5));
	d = chan_group(mid, CHAN_FOREVER, CHAN_DETACHED, 0);
	c = below(d);
	m = chan_join(mid, -1, CHAN_NOW);
	ASSERT_EQ(0, chan_cancel(g, EIO, "x"));
	EXPECT_STREQ("root's", at(w, "k"));
	EXPECT_STREQ("root's", at(m, "k"));
	close2((int[]){ g, w });
	close(mid);
	for (int i = 0; i < 3; i++) {
		int fd = (int[]){ c, d, m }[i];

		EXPECT_STREQ("root's", at(fd, "k"));
		EXPECT_STREQ("mid's", at(fd, "m"));
	}
	/* an ended group can still be told what to hold */
	EXPECT_EQ(0, chan_value_set(m, "n", "after", 5));
	EXPECT_STREQ("after", at(m, "n"));
	close2((int[]){ c, d });
	close(m);
}

TEST(a_member_sees_and_holds_values)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), n = chan_join(g, -1, CHAN_NOW);

	ASSERT_EQ(0, chan_value_set(g, "k", "all", 3));
	ASSERT_EQ(0, chan_value_set(m, "k", "mine", 4));
	EXPECT_STREQ("mine", at(m, "k"));
	EXPECT_STREQ("all", at(n, "k"));
	EXPECT_STREQ("all", at(g, "k"));
	close2((int[]){ m, n });
	close(g);
}

/* Through 500 groups, each holding a value of its own. */
TEST(a_long_way_up_finds_every_value)
{
	int n = quick(500, 100), fd[500];
	char key[16];

	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%d", i);
		fd[i] = i ? below(fd[i - 1]) : root();
		ASSERT_LE(0, fd[i]);
		ASSERT_EQ(0, chan_value_set(fd[i], key, key, strlen(key)));
	}
	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%d", i);
		ASSERT_EQ(0, strcmp(key, at(fd[n - 1], key)));
		ASSERT_EQ(0, strcmp(i <= n / 2 ? key : "-", at(fd[n / 2], key)));
	}
	for (int i = 0; i < n - 1; i++)
		close(fd[i]);
	EXPECT_STREQ("0", at(fd[n - 1], "0"));
	close(fd[n - 1]);
}

#define KEYS	4

struct one {
	int fd, parent;		/* parent: its index, or -1 */
	char val[KEYS];		/* 0: not set */
};

/* What a walk up from the group @i finds. */
static int walk(const struct one *g, int i, int key)
{
	for (; i >= 0; i = g[i].parent)
		if (g[i].val[key])
			return g[i].val[key];
	return -ENODATA;
}

static int look(const struct one *g, int i, int key)
{
	char name[2] = { 'a' + key }, v = 0;
	int r = chan_value_get(g[i].fd, name, &v, 1);

	return r == 1 ? v : r;
}

/*
 * Groups remember where the values above them are. Groups are made, some detached, values set and
 * owners closed in any order: at each time every lookup finds what a walk would find.
 */
TEST(every_lookup_finds_what_a_walk_would_find)
{
	for (int seed = 1, seeds = quick(20, 4); seed <= seeds; seed++) {
		unsigned rnd = seed;
		struct one g[150];
		int n = 0;

		while (n < 150) {
			unsigned what = rand_r(&rnd) % 8, i = n ? rand_r(&rnd) % n : 0;
			unsigned key = rand_r(&rnd) % KEYS;

			if (!n || what < 3) {
				/* mostly one below the other */
				int parent = !n || !(rand_r(&rnd) % 40) ? -1 :
					     rand_r(&rnd) % 8 ? n - 1 : (int)i;

				g[n] = (struct one){ .parent = parent, .fd = chan_group(
					parent < 0 ? -1 : g[parent].fd, CHAN_FOREVER,
					parent >= 0 && !(rand_r(&rnd) % 6) ? CHAN_DETACHED : 0, 0) };
				ASSERT_LE(0, g[n].fd);
				n++;
			} else if (what == 3) {
				char name[2] = { 'a' + key }, v = 1 + rand_r(&rnd) % 100;

				ASSERT_EQ(g[i].val[key] ? -EEXIST : 0,
					  chan_value_set(g[i].fd, name, &v, 1));
				if (!g[i].val[key])
					g[i].val[key] = v;
			} else if (what == 4 && !(rand_r(&rnd) % 4)) {
				ASSERT_EQ(0, chan_cancel(g[i].fd, 0, NULL));
			} else {
				ASSERT_EQ(walk(g, i, key), look(g, i, key)) {
					TH_LOG("seed %d, group %u of %d", seed, i, n);
				}
			}
		}
		for (int i = 0; i < n; i++)
			for (int key = 0; key < KEYS; key++)
				ASSERT_EQ(walk(g, i, key), look(g, i, key));
		for (int i = 0; i < n; i++)
			close(g[i].fd);
	}
}

/* A thousand groups between, whose owners have closed; then one of them gets a value. */
TEST(a_value_set_later_between_is_found)
{
	int g = root(), mid, leaf, next, n = quick(1000, 100);

	ASSERT_EQ(0, chan_value_set(g, "k", "top", 3));
	mid = below(g);
	leaf = below(mid);
	for (int i = 0; i < n; i++, leaf = next) {
		next = chan_group(leaf, CHAN_FOREVER, CHAN_DETACHED, 0);
		ASSERT_LE(0, next);
		close(leaf);
	}
	EXPECT_STREQ("top", at(leaf, "k"));
	EXPECT_STREQ("-", at(leaf, "other"));
	next = below(leaf);
	EXPECT_STREQ("top", at(next, "k"));
	ASSERT_EQ(0, chan_value_set(mid, "other", "mid", 3));
	EXPECT_STREQ("mid", at(next, "other"));
	EXPECT_STREQ("mid", at(leaf, "other"));
	EXPECT_STREQ("top", at(leaf, "k"));
	ASSERT_EQ(0, chan_value_set(mid, "k", "mid", 3));
	EXPECT_STREQ("mid", at(leaf, "k"));
	EXPECT_STREQ("mid", at(next, "k"));
	ASSERT_EQ(0, chan_value_set(leaf, "k", "leaf", 4));
	EXPECT_STREQ("leaf", at(next, "k"));
	close2((int[]){ g, mid });
	EXPECT_STREQ("mid", at(next, "other"));
	close2((int[]){ leaf, next });
}

/* ---- at the same time, and elsewhere ---- */

struct setters {
	int g, rounds;
	unsigned ready, won, torn;
};

static int set_all(void *arg)
{
	struct setters *s = arg;
	unsigned me = __atomic_add_fetch(&s->ready, 1, __ATOMIC_RELAXED);
	char key[16], val[512], seen[512];

	while (__atomic_load_n(&s->ready, __ATOMIC_RELAXED) < 4)
		sched_yield();
	memset(val, 'a' + me, sizeof(val));
	for (int i = 0; i < s->rounds; i++) {
		int r;

		snprintf(key, sizeof(key), "%d", i);
		r = chan_value_set(s->g, key, val, sizeof(val));
		if (!r)
			__atomic_add_fetch(&s->won, 1, __ATOMIC_RELAXED);
		else if (r != -EEXIST)
			return 1;
		/* whoever won: it is there now, and it is one's whole value */
		if (chan_value_get(s->g, key, seen, sizeof(seen)) != sizeof(seen))
			return 2;
		for (unsigned k = 1; k < sizeof(seen); k++)
			if (seen[k] != seen[0])
				return 3;
		if (!r && seen[0] != val[0])
			return 4;
	}
	return 0;
}

TEST(of_four_who_set_a_key_one_wins)
{
	for (int process = 0; process < 2; process++) {
		for (int round = 0, n = quick(20, 1); round < n; round++) {
			struct setters *s = shared(sizeof(*s));
			struct party p[4];

			s->g = root();
			s->rounds = 256;
			for (int i = 0; i < 4; i++) {
				ASSERT_TRUE(party_start(&p[i], process, set_all, s));
			}
			for (int i = 0; i < 4; i++) {
				ASSERT_EQ(0, party_end(&p[i]));
			}
			ASSERT_EQ(256, s->won);
			close(s->g);
			munmap(s, sizeof(*s));
		}
	}
}

TEST(values_are_seen_in_other_processes)
{
	int g = root(), w = chan_watch(g), done, st;
	pid_t pid;

	ASSERT_EQ(0, chan_value_set(g, "before", "1", 1));
	done = root();
	pid = fork();
	if (!pid) {
		int c = below(w), r;

		if (strcmp(at(w, "before"), "1") || strcmp(at(w, "after"), "-"))
			_exit(1);
		if (chan_value_set(g, "child", "2", 1) || chan_value_set(c, "child", "3", 1))
			_exit(2);
		chan_cancel(done, 0, NULL);
		for (r = 0; r < PATIENCE && strcmp(at(c, "after"), "4"); r++)
			usleep(1000);
		_exit(r == PATIENCE || strcmp(at(c, "child"), "3"));
	}
	ASSERT_TRUE(turns(done, POLLIN));
	EXPECT_STREQ("2", at(w, "child"));
	EXPECT_EQ(0, chan_value_set(g, "after", "4", 1));
	EXPECT_EQ(pid, waitpid(pid, &st, 0));
	EXPECT_EQ(0, st);
	close2((int[]){ g, w });
	close(done);
}

/* A value's bytes are copied when it is set. */
TEST(the_setters_memory_is_its_own_again)
{
	int g = root();
	char b[300], c[300];

	memset(b, 'x', sizeof(b));
	ASSERT_EQ(0, chan_value_set(g, "k", b, sizeof(b)));
	memset(b, 'y', sizeof(b));
	ASSERT_EQ(300, chan_value_get(g, "k", c, sizeof(c)));
	memset(b, 'x', sizeof(b));
	EXPECT_EQ(0, memcmp(b, c, sizeof(b)));
	close(g);
}

TEST_HARNESS_MAIN
