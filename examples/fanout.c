/* SPDX-License-Identifier: MIT */
/*
 * Fan-out with an exact buffer: N tasks, a result channel of capacity N. Each
 * task sends once, so no send can ever wait: the tasks end even if nobody is
 * there to receive. One place too few, and a task hangs on the asker's mercy.
 */
#include "util.h"

enum { TASKS = 8 };

static int task(int *fd, long n)
{
	int result = n * n;

	return -chan_send(fd[0], &result, sizeof(result), -1, CHAN_FOREVER);
}

static int start(unsigned capacity)
{
	int end[2];

	must(chan_make(end, sizeof(int), capacity, 0));
	for (int i = 1; i <= TASKS; i++)
		go(task, i, dup(end[1]));
	close(end[1]);
	return end[0];
}

static int sum_of(int rx)
{
	int sum = 0, result;

	for (int i = 0; i < TASKS; i++) {
		must(chan_recv(rx, &result, sizeof(result), -1, CHAN_FOREVER));
		sum += result;
	}
	close(rx);
	return sum;
}

int main(int argc, char **argv)
{
	struct chan_info info;
	int rx;

	mode(argc, argv);
	rx = start(TASKS);
	wait_tasks();			/* nothing has been received yet */
	must(chan_info(rx, &info, sizeof(info)));
	printf("capacity %d: all tasks have ended, %d results wait\n", TASKS, (int)info.len);
	printf("their sum is %d\n", sum_of(rx));

	rx = start(TASKS - 1);		/* the mistake */
	do {				/* look until all have sent */
		usleep(1000);
		must(chan_info(rx, &info, sizeof(info)));
	} while (info.len + info.parked_senders < TASKS);
	printf("capacity %d: %d results wait, and %d task is stuck\n", TASKS - 1, (int)info.len,
	       (int)info.parked_senders);
	printf("their sum is %d\n", sum_of(rx));
	return wait_tasks();
}
