/* SPDX-License-Identifier: MIT */
/*
 * How many requests at once? With a task for each, as many as clients like, until
 * memory ends. A group with a limit, or a few workers and a channel with a little
 * room, bound it; who comes when all is full waits for as long as he wants to, or
 * is refused at once and can say so to his client.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include "group.h"

enum { REQUESTS = 20, LIMIT = 3, ROOM = 4 };

static atomic_int *served;	/* in shared memory */

/* fd: the gate; each request takes until it is opened */
static int request(int member, int *fd, long unused)
{
	(void)unused;
	if (chan_recv(fd[0], NULL, 0, member, CHAN_FOREVER) == -ECANCELED)
		return ECANCELED;
	++*served;
	return 0;
}

/* fd: the gate, the channel of requests */
static int worker(int member, int *fd, long unused)
{
	int n, err = 0;

	while (!err && chan_recv(fd[1], &n, sizeof(n), member, CHAN_FOREVER) > 0)
		err = request(member, fd, unused);
	return err;
}

static int start(int gate[2], unsigned limit)
{
	*served = 0;
	must(chan_make(gate, 0, 0, 0));
	return must(chan_group(-1, CHAN_FOREVER, 0, limit));
}

static void finish(int group, int gate[2])
{
	int err;

	must(chan_shut(gate[1], 0));
	err = wait_all(group);
	printf("  %s, %d served\n", said(err), *served);
	close(gate[0]);
	close(gate[1]);
	close(group);
}

int main(int argc, char **argv)
{
	int gate[2], queue[2], group, n;

	mode(argc, argv);
	served = mmap(NULL, sizeof(*served), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	group = start(gate, 0);
	for (n = 0; n < REQUESTS; n++)
		go_in(group, request, 0, dup(gate[0]));
	printf("a task each: %d at once\n", (int)look(group).members);
	finish(group, gate);

	group = start(gate, LIMIT);
	for (n = 0; n < LIMIT; n++)
		go_in(group, request, 0, dup(gate[0]));
	printf("a limit: %d at once; the next: %s; in 10 ms: %s\n", (int)look(group).members,
	       strerror(-chan_join(group, -1, CHAN_NOW)),
	       strerror(-chan_join(group, -1, chan_after(10 * MS))));
	finish(group, gate);

	group = start(gate, 0);
	must(chan_make(queue, sizeof(n), ROOM, 0));
	for (n = 0; n < LIMIT; n++)
		go_in(group, worker, 0, dup(gate[0]), dup(queue[0]));
	close(queue[0]);
	until_parked(queue[1], 0, LIMIT);
	for (n = 0; chan_send(queue[1], &n, sizeof(n), -1, CHAN_NOW) == 0; n++)
		;
	printf("%d workers, room for %d: %d taken, the next: %s\n", LIMIT, ROOM, n, strerror(errno));
	must(chan_shut(queue[1], 0));
	finish(group, gate);
	close(queue[1]);
	return 0;
}
