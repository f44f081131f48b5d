/* SPDX-License-Identifier: MIT */
/*
 * A search that takes longer than the asker waits. The classic form is itself a
 * leak: the channel is a rendezvous, the asker has gone on, and the searcher is
 * stuck with its result for ever. Any of three things cures it: a place for the
 * result, a send under the searcher's member, or an asker that closes its end
 * when it goes.
 */
#include "group.h"

struct result {
	char record[32];	/* a fixed size: a pointer would mean nothing elsewhere */
	int err;
};

enum how { PLAIN, UNDER };

static int group, rx;		/* of the search under way */
static int work;		/* it takes until this end is closed */

/* fd: the work, where the result goes */
static int search(int member, int *fd, long how)
{
	struct result r = { .record = "some value" };

	chan_recv(fd[0], NULL, 0, -1, CHAN_FOREVER);	/* cannot be called off */
	if (chan_send(fd[1], &r, sizeof(r), how == UNDER ? member : -1, CHAN_FOREVER) < 0)
		return errno;
	return 0;
}

static void begin(enum how how, unsigned capacity)
{
	int end[2], until[2];

	group = must(chan_group(-1, CHAN_FOREVER, 0, 0));
	must(chan_make(until, 0, 0, 0));
	must(chan_make(end, sizeof(struct result), capacity, 0));
	go_in(group, search, how, until[0], end[1]);
	work = until[1];
	rx = end[0];
}

/* Wait so long for the result. */
static const char *process(int64_t ms)
{
	int limit = must(chan_group(group, chan_after(ms * MS), 0, 0));
	static struct result r;
	int ret = chan_recv(rx, &r, sizeof(r), limit, CHAN_FOREVER);

	close(limit);
	if (ret < 0) {
		chan_cancel(group, 0, "nobody waits any more");
		return strerror(-ret);
	}
	return r.err ? strerror(r.err) : r.record;
}

static void finish(void)
{
	printf("  the searcher: %s\n", said(wait_all(group)));
	close(group);
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	begin(PLAIN, 0);
	close(work);
	printf("found within 20 s: %s\n", process(20000));
	close(rx);
	finish();

	begin(PLAIN, 0);
	printf("bad, not within 50 ms: %s\n", process(50));
	close(work);
	until_parked(rx, 1, 0);
	printf("  leaked: %d searcher, stuck with its result\n", (int)look(group).members);
	printf("good, the asker closes its end\n");
	close(rx);
	finish();

	begin(PLAIN, 1);
	printf("good, a place for the result: %s\n", process(50));
	close(work);
	finish();
	close(rx);

	begin(UNDER, 0);
	printf("good, a send under the member: %s\n", process(50));
	close(work);
	finish();
	close(rx);
	return 0;
}
