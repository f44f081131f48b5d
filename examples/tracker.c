/* SPDX-License-Identifier: MIT */
/*
 * A server that records an event for each request without making the request
 * wait, in three versions; tracker4 is the fourth. Each is a child process, so
 * that it can end; what it has recorded is in shared memory.
 *
 *	1: a task an event, forgotten: events are lost when the program ends (with it,
 *		threads do; processes would live on, and nobody know of them)
 *	2: the tasks are members of a group, and the program waits for it
 *	3: but not for ever: Go needs a goroutine for that, which then leaks
 */
#include <stdatomic.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "group.h"

enum { EVENTS = 3 };

static atomic_int *recorded;	/* in shared memory */

static int record(int member, int *fd, long ms)
{
	(void)fd;
	/* this takes its time, but hears when it shall stop */
	if (chan_select(NULL, 0, 0, member, chan_after(ms * MS)) == -ECANCELED)
		return ECANCELED;
	++*recorded;
	return 0;
}

static void *forgotten(void *ms)
{
	record(-1, NULL, (long)ms);
	return NULL;
}

static void v1(void)
{
	pid_t me = getpid();
	pthread_t t;

	for (int i = 0; i < EVENTS; i++)
		if (!processes) {
			errno = pthread_create(&t, NULL, forgotten, (void *)20000L);
			must(-errno);
		} else if (!must(fork())) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() == me)
				record(-1, NULL, 20000);
			_exit(0);
		}
}

static int start(long ms)
{
	int group = must(chan_group(-1, CHAN_FOREVER, 0, 0));

	for (int i = 0; i < EVENTS; i++)
		go_in(group, record, ms);
	return group;
}

static void v2(void)
{
	must(chan_wait(start(20), NULL, -1, CHAN_FOREVER));
}

static void v3(void)
{
	int group = start(20000);

	if (chan_wait(group, NULL, -1, chan_after(50 * MS)) < 0)
		printf("    %d events are not done: %s\n", (int)look(group).members, strerror(errno));
	must(chan_cancel(group, 0, "shutdown"));	/* and nothing stays behind */
	printf("    they are told to stop: %s; ", said(wait_all(group)));
	printf("%d left\n", (int)look(group).members);
}

static void version(const char *name, void (*fn)(void))
{
	pid_t pid;

	*recorded = 0;
	printf("%s\n", name);
	fflush(NULL);
	pid = must(fork());
	if (pid == 0) {
		fn();
		exit(0);
	}
	must(waitpid(pid, NULL, 0));
	printf("    %d of %d events recorded\n", *recorded, EVENTS);
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	recorded = mmap(NULL, sizeof(*recorded), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	version("1, bad: fire and forget", v1);
	version("2, wait for all, however long", v2);
	version("3, wait, but not for ever", v3);
	return 0;
}
