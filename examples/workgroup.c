/* SPDX-License-Identifier: MIT */
/*
 * go-workgroup: members of which none is of use alone. The first that returns,
 * well or not, ends the group; the group is over when all have left. The members
 * here: a server, somebody who waits for SIGTERM, and a time limit, which is the
 * group's own deadline. The classic mistake, one message into a channel "stop",
 * wakes one of them; an end, or a shut, reaches all.
 */
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include "net.h"
#include "group.h"

static int port;
static sigset_t term;

static int wait_for(int fd, int member)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = member, .events = POLLIN } };

	must(poll(p, 2, -1));
	return p[0].revents ? 0 : ECANCELED;
}

static int server(int member, int *fd, long unused)
{
	char line[64] = "";
	int conn;

	(void)unused;
	while (wait_for(fd[0], member) == 0) {
		conn = must(accept(fd[0], NULL, NULL));
		hear(conn, line, sizeof(line));
		say(conn, "so be it");
		close(conn);
		if (!strcmp(line, "fail")) {
			chan_leave(member, EIO, "server");	/* with its name */
			return EIO;
		}
	}
	return 0;
}

static int signals(int member, int *fd, long unused)
{
	int sigfd = must(signalfd(-1, &term, SFD_CLOEXEC));
	int err = wait_for(sigfd, member);
	struct signalfd_siginfo s;

	(void)fd;
	(void)unused;
	if (!err) {
		must(read(sigfd, &s, sizeof(s)));
		chan_leave(member, 0, "SIGTERM");
	}
	close(sigfd);
	return 0;
}

enum { ASK_TO_FAIL, SIGNAL, TIME_LIMIT };

static void run(const char *name, int what)
{
	int64_t limit = what == TIME_LIMIT ? 50 : 20000;
	int group = must(chan_group(-1, chan_after(limit * MS), CHAN_FIRST_EXIT, 0)), conn, first;
	pid_t pid;

	try_go_in(group, server, 0, listen_somewhere(&port));
	pid = try_go_in(group, signals, 0);
	if (what == SIGNAL)
		kill(pid ? pid : getpid(), SIGTERM);
	if (what == ASK_TO_FAIL) {
		conn = must(dial(port));
		ask(conn, "fail");
		close(conn);
	}
	first = wait_all(group);
	printf("%s: ended by \"%s\": %s; first failure: %s\n", name, look(group).why,
	       strerror(look(group).err), said(first));
	close(group);
}

static int listen_to_stop(int member, int *fd, long unused)
{
	(void)member;
	(void)unused;
	chan_recv(fd[0], NULL, 0, -1, CHAN_FOREVER);
	return 0;
}

static void one_message_into_stop(void)
{
	int group = must(chan_group(-1, CHAN_FOREVER, 0, 0)), stop[2];

	must(chan_make(stop, 0, 0, 0));
	for (int i = 0; i < 3; i++)
		go_in(group, listen_to_stop, 0, dup(stop[0]));
	until_parked(stop[0], 0, 3);
	must(chan_send(stop[1], NULL, 0, -1, CHAN_FOREVER));
	until_parked(stop[0], 0, 2);
	printf("bad: a message into stop reaches one, 2 of 3 still wait\n");
	must(chan_shut(stop[1], 0));
	printf("a shut of stop reaches all: %s\n", said(wait_all(group)));
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	run("a signal", SIGNAL);
	run("a server that fails", ASK_TO_FAIL);
	run("the time limit", TIME_LIMIT);
	one_message_into_stop();
	return 0;
}
