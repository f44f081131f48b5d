/* SPDX-License-Identifier: MIT */
/*
 * signal.NotifyContext: a signal that asks the program to end becomes the end of
 * a group. The signal is blocked everywhere and read from a signalfd, so no
 * handler runs; a second one, when patience has run out, could kill as usual.
 */
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include "group.h"

static int worker(int member, int *fd, long n)
{
	must(chan_send(fd[0], &n, sizeof(n), -1, CHAN_FOREVER));	/* here I am */
	chan_select(NULL, 0, 0, member, CHAN_FOREVER);			/* work, until told */
	return errno;
}

/* Wait for a signal or the group's end; a signal ends the group. */
static void until_signal(int group, int sigfd)
{
	struct pollfd p[] = { { .fd = sigfd, .events = POLLIN }, { .fd = group, .events = POLLIN } };
	struct signalfd_siginfo s;
	char why[32];

	must(poll(p, 2, -1));
	if (p[1].revents & POLLIN)
		return;
	must(read(sigfd, &s, sizeof(s)));
	snprintf(why, sizeof(why), "signal %u", s.ssi_signo);
	must(chan_cancel(group, EINTR, why));
}

int main(int argc, char **argv)
{
	int group, sigfd, here[2];
	sigset_t set;
	long n;

	mode(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);	/* first of all: threads inherit it */
	sigfd = must(signalfd(-1, &set, SFD_CLOEXEC));

	group = must(chan_group(-1, CHAN_FOREVER, 0, 0));
	must(chan_make(here, sizeof(n), 0, 0));
	for (n = 0; n < 3; n++)
		go_in(group, worker, n, dup(here[1]));
	close(here[1]);
	for (int i = 0; i < 3; i++)
		must(chan_recv(here[0], &n, sizeof(n), -1, CHAN_FOREVER));
	printf("%d workers\n", (int)look(group).members);

	kill(getpid(), SIGTERM);		/* somebody wants us to end */
	until_signal(group, sigfd);
	printf("the workers: %s\n", said(wait_all(group)));
	printf("%d left; the cause: %s, \"%s\", %s\n", (int)look(group).members,
	       strerror(look(group).err), look(group).why,
	       look(group).by_pid == (unsigned)getpid() ? "by this process" : "by another");
	return 0;
}
