/* SPDX-License-Identifier: MIT */
/*
 * What the example programs share: must(), and go(), which starts a task as a
 * thread or as a process.
 *
 * go() hands the task its descriptors: the caller no longer has them, and they
 * are closed when the task returns. Who wants to keep one hands over a dup().
 * So every reference to an end has one owner and ends with it, and a program
 * reads the same with threads and with processes.
 */
#ifndef EXAMPLES_UTIL_H
#define EXAMPLES_UTIL_H

#include <err.h>
#include <errno.h>
#include <libchan.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS	INT64_C(1000000)	/* in nanoseconds */

/* The value, or the end of the program. libchan sets errno as libc does. */
#define must(call) must_(call, #call)

static inline long must_(long ret, const char *call)
{
	if (ret < 0)
		err(1, "%s", call);
	return ret;
}

typedef int task_fn(int *fd, long arg);	/* 0: all is well */

struct task {
	task_fn *fn;
	long arg;
	int fd[8], nfd;
	int ret;
	pthread_t thread;
	pid_t pid;
};

static bool processes;			/* tasks are processes */
static struct task tasks[64];
static int ntasks;

static inline void mode(int argc, char **argv)
{
	if (argc != 2 || (strcmp(argv[1], "threads") && strcmp(argv[1], "processes")))
		errx(2, "usage: %s threads|processes", argv[0]);
	processes = argv[1][0] == 'p';
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static inline void *run_task(void *arg)
{
	struct task *t = arg;

	t->ret = t->fn(t->fd, t->arg);
	for (int i = 0; i < t->nfd; i++)
		if (t->fd[i] >= 0)	/* -1: the task closed it earlier */
			close(t->fd[i]);
	return NULL;
}

/* In a new process: close what was not handed over. */
static inline void keep_only(const int *fd, int n)
{
	for (int lo = 3, next; ; lo = next + 1) {
		next = INT_MAX;
		for (int i = 0; i < n; i++)
			if (fd[i] >= lo && fd[i] < next)
				next = fd[i];
		close_range(lo, next - 1, 0);
		if (next == INT_MAX)
			return;
	}
}

/* Start fn(descriptors, arg) as a task that owns these descriptors. */
#define go(fn, arg, ...) \
	go_(fn, arg, (int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))

static inline void go_(task_fn *fn, long arg, const int *fd, int nfd)
{
	struct task *t = &tasks[ntasks++];
	int ready[2];
	char c;

	*t = (struct task){ .fn = fn, .arg = arg, .nfd = nfd };
	memcpy(t->fd, fd, nfd * sizeof(*fd));
	if (!processes) {
		errno = pthread_create(&t->thread, NULL, run_task, t);
		must(-errno);
		return;
	}
	fflush(NULL);
	must(pipe(ready));
	t->pid = must(fork());
	if (t->pid == 0) {
		keep_only(t->fd, nfd);
		run_task(t);
		fflush(NULL);
		_exit(t->ret);
	}
	for (int i = 0; i < nfd; i++)
		close(fd[i]);
	close(ready[1]);	/* end of file: the child keeps no copy of others' ends */
	must(read(ready[0], &c, 1));
	close(ready[0]);
}

/* Wait for all tasks: the sum of what they returned, a killed one counting 1. */
static inline int wait_tasks(void)
{
	int sum = 0, status;

	for (struct task *t = tasks; t < tasks + ntasks; t++) {
		if (processes) {
			must(waitpid(t->pid, &status, 0));
			t->ret = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		} else {
			pthread_join(t->thread, NULL);
		}
		sum += t->ret;
	}
	ntasks = 0;
	return sum;
}

#endif
