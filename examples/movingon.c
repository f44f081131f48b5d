/* SPDX-License-Identifier: MIT */
/*
 * Moving on: ask several replicas, take the first answer, wait for no other.
 *
 * Each replica sends with CHAN_NOW, so that a late one is never stuck with an
 * answer nobody wants. The channel needs capacity 1: without it, an answer that
 * comes before the asker has begun to receive is lost, the only one perhaps.
 */
#include "util.h"

enum { REPLICAS = 3 };

static int work[REPLICAS];	/* closing work[i] is the end of replica i's work */

/* Returns 1 if its answer was not taken. */
static int replica(int *fd, long me)
{
	int working = fd[0], answer = fd[1], name = me;

	chan_recv(working, NULL, 0, -1, CHAN_FOREVER);
	return chan_send(answer, &name, sizeof(name), -1, CHAN_NOW) < 0;
}

/* Asks all replicas; returns where the answer will come. */
static int ask(unsigned capacity)
{
	int answer[2], end[2];

	must(chan_make(answer, sizeof(int), capacity, 0));
	for (int i = 0; i < REPLICAS; i++) {
		must(chan_make(end, 0, 0, 0));
		work[i] = end[1];
		go(replica, i, end[0], dup(answer[1]));
	}
	close(answer[1]);
	return answer[0];
}

static void move_on(void)
{
	int rx = ask(1), first;

	close(work[1]);
	must(chan_recv(rx, &first, sizeof(first), -1, CHAN_FOREVER));
	close(rx);		/* we move on, while the others still work */
	close(work[0]);
	close(work[2]);
	printf("replica %d was first; the other %d did not wait for us\n", first, wait_tasks());
}

/* The replicas are quicker than the asker. */
static void ask_then_dawdle(unsigned capacity)
{
	int rx = ask(capacity), lost, first;

	for (int i = 0; i < REPLICAS; i++)
		close(work[i]);
	lost = wait_tasks();
	printf("capacity %u, the asker is late: %d answers lost, ", capacity, lost);
	if (chan_recv(rx, &first, sizeof(first), -1, CHAN_FOREVER) < 0)
		printf("none left: %s\n", strerror(errno));
	else
		printf("one kept\n");
	close(rx);
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	move_on();
	ask_then_dawdle(1);
	ask_then_dawdle(0);	/* the mistake */
	return 0;
}
