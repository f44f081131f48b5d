/* SPDX-License-Identifier: MIT */
/*
 * A search that takes 200 ms, for somebody who waits 100 ms. The classic form is
 * itself a leak: the channel is a rendezvous, the asker has gone on, and the
 * searcher is stuck with its result for ever. Any of three things cures it: a
 * place for the result, a send under the searcher's member, or an asker that
 * closes its end when it goes.
 */
#include "group.h"

struct result {
	char record[32];	/* a fixed size: a pointer would mean nothing elsewhere */
	int err;
};

enum how { PLAIN, UNDER };

static int search(int member, int *fd, long how)
{
	struct result r = { .record = "some value" };

	usleep(200000);		/* a library that cannot be called off */
	if (chan_send(fd[0], &r, sizeof(r), how == UNDER ? member : -1, CHAN_FOREVER) < 0)
		return errno;
	return 0;
}

/* Returns the receiving end; the search has begun. */
static int begin(int group, enum how how, unsigned capacity)
{
	int end[2];

	must(chan_make(end, sizeof(struct result), capacity, 0));
	go_in(group, search, how, end[1]);
	return end[0];
}

static const char *process(int group, int rx)
{
	static struct result r;

	if (chan_recv(rx, &r, sizeof(r), group, CHAN_FOREVER) < 0)
		return strerror(errno);
	return r.err ? strerror(r.err) : r.record;
}

static int within(int64_t ms)
{
	return must(chan_group(-1, chan_after(ms * MS), 0, 0));
}

int main(int argc, char **argv)
{
	int group, rx;

	mode(argc, argv);
	group = within(20000);
	rx = begin(group, PLAIN, 0);
	printf("within 20 s: %s\n", process(group, rx));
	printf("the searcher: %s\n", said(wait_all(group)));
	close(rx);
	close(group);

	group = within(100);
	rx = begin(group, PLAIN, 0);
	printf("bad, within 100 ms: %s\n", process(group, rx));
	until_parked(rx, 1, 0);
	printf("leaked: %d searcher, stuck with its result\n", (int)look(group).members);
	close(rx);
	printf("the asker closes its end: %s\n", said(wait_all(group)));
	close(group);

	group = within(100);
	rx = begin(group, PLAIN, 1);
	printf("good, a place for the result: %s\n", process(group, rx));
	printf("the searcher: %s\n", said(wait_all(group)));
	close(rx);
	close(group);

	group = within(100);
	rx = begin(group, UNDER, 0);
	printf("good, a send under the member: %s\n", process(group, rx));
	printf("the searcher: %s\n", said(wait_all(group)));
	close(rx);
	close(group);
	return 0;
}
