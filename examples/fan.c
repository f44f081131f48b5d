/* SPDX-License-Identifier: MIT */
/*
 * Fan-out: several workers receive from one channel; whoever is free takes the
 * next job. Fan-in: one select receives from all workers, and takes out (fd =
 * -1) the channel of each that has ended, until none is left.
 */
#include "util.h"

enum { WORKERS = 3, JOBS = 30 };

static int worker(int *fd, long crash)
{
	int jobs = fd[0], results = fd[1], job;

	while (chan_recv(jobs, &job, sizeof(job), -1, CHAN_FOREVER) > 0)
		must(chan_send(results, &job, sizeof(job), -1, CHAN_FOREVER));
	if (crash)
		return 1;		/* without a word: its end just closes */
	return -chan_shut(results, 0);
}

static int submit(int *fd, long n)
{
	for (int job = 0; job < n; job++)
		must(chan_send(fd[0], &job, sizeof(job), -1, CHAN_FOREVER));
	return -chan_shut(fd[0], 0);	/* no more jobs: every worker learns of it */
}

int main(int argc, char **argv)
{
	struct chan_case in[WORKERS];
	int jobs[2], results[2], i, job, left = WORKERS, crashed = 0, done[JOBS] = {}, once = 0;

	mode(argc, argv);
	must(chan_make(jobs, sizeof(int), 0, 0));
	for (i = 0; i < WORKERS; i++) {
		must(chan_make(results, sizeof(int), 0, 0));
		go(worker, i == 1, dup(jobs[0]), results[1]);
		in[i] = (struct chan_case){ .fd = results[0], .op = CHAN_RECV };
	}
	close(jobs[0]);			/* the workers' alone: if all die, submit gets EPIPE */
	go(submit, JOBS, jobs[1]);

	while (left > 0) {
		for (i = 0; i < WORKERS; i++)
			in[i].msg = (struct chan_msg){ .buf = &job, .len = sizeof(job) };
		i = must(chan_select(in, WORKERS, 0, -1, CHAN_FOREVER));
		if (in[i].msg.res > 0) {
			done[job]++;
			continue;
		}
		if (in[i].msg.res == -ECONNRESET)
			crashed++;
		close(in[i].fd);
		in[i].fd = -1;
		printf("workers left: %d\n", --left);
	}
	for (job = 0; job < JOBS; job++)
		once += done[job] == 1;
	printf("%d of %d jobs done once; %d worker ended without saying so\n", once, JOBS, crashed);
	wait_tasks();
	return 0;
}
