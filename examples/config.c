/* SPDX-License-Identifier: MIT */
/*
 * A configuration that is read all the time and seldom replaced. Read as it is
 * from shared memory, it can be half old and half new. Three cures:
 *
 *	a seqlock: the reader copies, and again if a writer was there
 *	an index of the current version: readers see one version or the other. When
 *		may an old one be freed? Go has its collector; here, when all
 *		readers have left, which the group tells
 *	a channel of capacity 1 that drops the oldest, one for each reader: a
 *		message is whole, the reader keeps its copy until there is news
 *
 * With a second argument, "measure", it says what a look costs each. On the virtual
 * machine of the tests: seqlock and index 0.1 microseconds, the channel, which is a
 * system call, 2.5. But who waits for news in a select pays for news alone.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include "group.h"

enum { WORDS = 8, LAST = 1000, READERS = 2 };

struct config {
	atomic_long word[WORDS];	/* all the same in a whole one */
};

static struct {
	atomic_uint seq;
	atomic_int current;
	struct config plain, version[LAST + 1];
} *shared;

static bool measure;

static void copy(long *to, struct config *from)
{
	for (int i = 0; i < WORDS; i++)
		to[i] = atomic_load_explicit(&from->word[i], memory_order_relaxed);
}

static void set(struct config *c, int from, int to, long val)
{
	for (int i = from; i < to; i++)
		atomic_store_explicit(&c->word[i], val, memory_order_relaxed);
}

static bool whole(const long *c)
{
	for (int i = 1; i < WORDS; i++)
		if (c[i] != c[0])
			return false;
	return true;
}

/* ---- the cures: each writes a version, and tries to read one ---- */

static void seq_write_begin(void)
{
	atomic_fetch_add_explicit(&shared->seq, 1, memory_order_relaxed);	/* odd: a writer is here */
	atomic_thread_fence(memory_order_release);
}

static void seq_write(long v, const int *tx)
{
	(void)tx;
	seq_write_begin();
	set(&shared->plain, 0, WORDS, v);
	atomic_fetch_add_explicit(&shared->seq, 1, memory_order_release);
}

static bool seq_read(long *c, int rx)
{
	unsigned before = atomic_load_explicit(&shared->seq, memory_order_acquire);

	(void)rx;
	copy(c, &shared->plain);
	atomic_thread_fence(memory_order_acquire);
	return !(before & 1) && before == atomic_load_explicit(&shared->seq, memory_order_relaxed);
}

static void index_write(long v, const int *tx)
{
	(void)tx;
	set(&shared->version[v], 0, WORDS, v);
	atomic_store_explicit(&shared->current, v, memory_order_release);
}

static bool index_read(long *c, int rx)
{
	(void)rx;
	copy(c, &shared->version[atomic_load_explicit(&shared->current, memory_order_acquire)]);
	return true;
}

static void chan_write(long v, const int *tx)
{
	long c[WORDS];

	for (int i = 0; i < WORDS; i++)
		c[i] = v;
	for (int r = 0; r < READERS; r++)	/* never waits: the oldest makes room */
		must(chan_send(tx[r], c, sizeof(c), -1, CHAN_FOREVER));
}

static bool chan_read(long *c, int rx)
{
	chan_recv(rx, c, WORDS * sizeof(*c), -1, CHAN_NOW);	/* or the copy we have */
	return true;
}

static const struct cure {
	const char *name;
	void (*write)(long v, const int *tx);
	bool (*read)(long *c, int rx);
} cures[] = {
	{ "seqlock", seq_write, seq_read },
	{ "index", index_write, index_read },
	{ "channel", chan_write, chan_read },
};

/* Reads until it has seen the last version. fd: this reader's channel. */
static int reader(int member, int *fd, long n)
{
	long c[WORDS] = {}, seen = 0, looks = 0;
	int64_t start = chan_after(0);

	(void)member;
	for (; seen < LAST; looks++) {
		if (!cures[n].read(c, fd[0]))
			continue;	/* a writer was there: again */
		if (!whole(c) || c[0] < seen)
			return EIO;
		seen = c[0];
	}
	for (int i = 0; measure && i < 100000; i++, looks++)
		cures[n].read(c, fd[0]);
	if (measure)
		printf("  %d ns a look\n", (int)((chan_after(0) - start) / looks));
	return 0;
}

static void try_cure(int n)
{
	int group = must(chan_group(-1, CHAN_FOREVER, 0, 0)), end[2], tx[READERS];

	set(&shared->plain, 0, WORDS, 0);
	for (int r = 0; r < READERS; r++) {
		must(chan_make(end, WORDS * sizeof(long), 1, CHAN_DROP_OLD));
		tx[r] = end[1];
		go_in(group, reader, n, end[0]);
	}
	for (long v = 1; v <= LAST; v++)
		cures[n].write(v, tx);
	printf("%s: %d readers saw whole versions, up to the last: %s\n", cures[n].name, READERS,
	       said(wait_all(group)));
	/* now nobody reads: here old versions could be freed */
	for (int r = 0; r < READERS; r++)
		close(tx[r]);
	close(group);
}

static void half_written(void)
{
	long c[WORDS];

	set(&shared->plain, 0, WORDS, 1);
	seq_write_begin();
	set(&shared->plain, 0, WORDS / 2, 2);
	copy(c, &shared->plain);	/* what a reader might see just now */
	printf("bad, read as it is: %ld %ld %ld %ld %ld %ld %ld %ld\n",
	       c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]);
	printf("the seqlock says: %s\n", seq_read(c, -1) ? "whole" : "try again");
	set(&shared->plain, WORDS / 2, WORDS, 2);
	atomic_fetch_add_explicit(&shared->seq, 1, memory_order_release);
}

int main(int argc, char **argv)
{
	measure = argc == 3 && !strcmp(argv[2], "measure");
	mode(argc - measure, argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	half_written();
	for (int n = 0; n < 3; n++)
		try_cure(n);
	return 0;
}
