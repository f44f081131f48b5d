/* SPDX-License-Identifier: MIT */
/*
 * A channel of capacity k is a semaphore: at most k tasks are inside. chan_info
 * tells how many are inside and how many wait.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include "util.h"

enum { TASKS = 8, K = 3 };

static struct { atomic_int inside, most; } *seen;	/* in shared memory */

static int visit(int *fd, long unused)
{
	int rx = fd[0], tx = fd[1], door = fd[2], now, most;

	(void)unused;
	must(chan_send(tx, NULL, 0, -1, CHAN_FOREVER));		/* enter */
	now = ++seen->inside;
	most = seen->most;
	while (now > most && !atomic_compare_exchange_weak(&seen->most, &most, now))
		;
	chan_recv(door, NULL, 0, -1, CHAN_FOREVER);		/* until the door opens */
	seen->inside--;
	return -chan_recv(rx, NULL, 0, -1, CHAN_NOW);		/* leave */
}

int main(int argc, char **argv)
{
	struct chan_info info;
	int sem[2], door[2];

	mode(argc, argv);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(chan_make(sem, 0, K, 0));
	must(chan_make(door, 0, 0, 0));
	for (int i = 0; i < TASKS; i++)
		go(visit, 0, dup(sem[0]), dup(sem[1]), dup(door[0]));

	do {				/* look until all have come */
		usleep(1000);
		must(chan_info(sem[0], &info, sizeof(info)));
	} while (info.len + info.parked_senders < TASKS || seen->inside < K);
	printf("%d inside, %d wait\n", (int)info.len, (int)info.parked_senders);

	chan_shut(door[1], 0);		/* a shut is a broadcast: all who wait go on */
	if (wait_tasks())
		return 1;
	must(chan_info(sem[0], &info, sizeof(info)));
	printf("at the end %d inside, never more than %d\n", (int)info.len, seen->most);
	return 0;
}
