/* SPDX-License-Identifier: MIT */
/*
 * A supervisor starts a worker process, starts it again when it fails, and ends
 * it when it is told to. It waits in one poll for the worker's pidfd and for the
 * group that says when to stop. How the worker ended it hears twice: the status
 * from the kernel, and from the worker's group the error it left with, which is
 * EOWNERDEAD if it left without a word.
 */
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include "group.h"

static int worker(int member, int *fd, long attempt)
{
	must(chan_send(fd[0], &attempt, sizeof(attempt), member, CHAN_FOREVER));
	if (attempt == 1)
		raise(SIGKILL);
	if (attempt == 2)
		return EIO;
	chan_select(NULL, 0, 0, member, CHAN_FOREVER);	/* work, until told */
	return 0;
}

static void report(int pidfd, int group, long attempt)
{
	siginfo_t s;

	must(waitid(P_PIDFD, pidfd, &s, WEXITED));
	printf("worker %ld: %s; its group: %s\n", attempt,
	       s.si_code == CLD_EXITED ? "has exited" : "was killed", said(wait_all(group)));
}

/* Returns when a worker has ended well, or the group has. fd: where workers report. */
static int supervise(int member, int *fd, long unused)
{
	(void)unused;
	for (long attempt = 1; ; attempt++) {
		int group = must(chan_group(member, CHAN_FOREVER, 0, 0));
		pid_t pid = try_go_in(group, worker, attempt, dup(fd[0]));
		int pidfd = pid < 0 ? pid : syscall(SYS_pidfd_open, pid, 0);
		struct pollfd p[] = { { .fd = pidfd, .events = POLLIN },
				      { .fd = member, .events = POLLIN } };

		if (pid < 0)
			return -pid;	/* told to stop just then */
		must(pidfd);
		must(poll(p, 2, -1));
		report(pidfd, group, attempt);	/* the group's end is the worker's too */
		close(pidfd);
		close(group);
		if (p[1].revents & POLLIN)
			return 0;
	}
}

int main(void)
{
	int group = must(chan_group(-1, CHAN_FOREVER, 0, 0)), up[2];
	long attempt;

	processes = true;
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(chan_make(up, sizeof(attempt), 0, 0));
	go_in(group, supervise, 0, up[1]);
	do {
		must(chan_recv(up[0], &attempt, sizeof(attempt), -1, CHAN_FOREVER));
	} while (attempt < 3);
	chan_cancel(group, 0, "the operator has seen enough");
	printf("the supervisor: %s\n", said(wait_all(group)));
	return 0;
}
