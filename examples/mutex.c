/* SPDX-License-Identifier: MIT */
/*
 * A channel of capacity 1 is a lock: to send is to lock, to receive to unlock.
 * It can be tried, waited for with a deadline, polled, and shared with any
 * process. It costs a system call each way, where a pthread mutex that nobody
 * contends costs none; and like that, it stays locked if its holder dies.
 */
#include <sched.h>
#include <sys/mman.h>
#include "util.h"

enum { TASKS = 4, TIMES = 200 };

static volatile long *counter;	/* in shared memory; protected by the lock */

static int lock(int tx, int64_t deadline)
{
	return chan_send(tx, NULL, 0, -1, deadline);
}

static void unlock(int rx)
{
	must(chan_recv(rx, NULL, 0, -1, CHAN_NOW));
}

static int count(int *fd, long times)
{
	for (int i = 0; i < times; i++) {
		must(lock(fd[1], CHAN_FOREVER));
		long was = *counter;

		sched_yield();		/* others would meddle here, if they could */
		*counter = was + 1;
		unlock(fd[0]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int end[2];

	mode(argc, argv);
	must(chan_make(end, 0, 1, 0));
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < TASKS; i++)
		go(count, TIMES, dup(end[0]), dup(end[1]));
	if (wait_tasks())
		return 1;
	printf("%d x %d = %ld\n", TASKS, TIMES, *counter);

	must(lock(end[1], CHAN_NOW));
	printf("locked; try again: %s\n", strerror(-lock(end[1], CHAN_NOW)));
	printf("for 10 ms: %s\n", strerror(-lock(end[1], chan_after(10 * MS))));
	unlock(end[0]);
	must(lock(end[1], CHAN_NOW));
	printf("unlocked and locked again\n");
	return 0;
}
