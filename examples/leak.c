/* SPDX-License-Identifier: MIT */
/*
 * A leak: a worker waits for a message that nobody will ever send, and does not
 * hear that it should stop. Go would keep it until the program ends and show it
 * to nobody. Here the group counts it, the channel shows that it waits, and two
 * cures exist: to wait under the member that it was given, and to have a sender
 * that ends, which reaches the worker whatever it waits under.
 */
#include "group.h"

static int worker(int member, int *fd, long listens)
{
	int val;

	if (chan_recv(fd[0], &val, sizeof(val), listens ? member : -1, CHAN_FOREVER) < 0)
		return errno;
	return 0;
}

/* Start a worker and stop it; returns the sending end of its channel. */
static int start_and_stop(int group, bool listens)
{
	int end[2];

	must(chan_make(end, sizeof(int), 0, 0));
	go_in(group, worker, listens, end[0]);
	until_parked(end[1], 0, 1);
	must(chan_cancel(group, 0, "no longer needed"));
	return end[1];
}

int main(int argc, char **argv)
{
	struct chan_info info;
	int group, tx;

	mode(argc, argv);
	group = must(chan_group(-1, CHAN_FOREVER, 0, 0));
	tx = start_and_stop(group, false);
	if (chan_wait(group, NULL, -1, chan_after(50 * MS)) < 0)
		printf("bad: told to stop, then 50 ms: %s\n", strerror(errno));
	must(chan_info(tx, &info, sizeof(info)));
	printf("leaked: %d member, %d waiting to receive from %d sender\n", (int)look(group).members,
	       (int)info.parked_receivers, (int)info.senders);

	close(tx);		/* the one who forgot it: this is the cure from outside */
	printf("its sender is gone: %s\n", said(wait_all(group)));
	printf("members left: %d\n", (int)look(group).members);
	close(group);

	group = must(chan_group(-1, CHAN_FOREVER, 0, 0));
	tx = start_and_stop(group, true);
	printf("good: told to stop: %s\n", said(wait_all(group)));
	printf("members left: %d\n", (int)look(group).members);
	close(tx);
	close(group);
	return 0;
}
