/* SPDX-License-Identifier: MIT */
/*
 * A request with all it needs in one message: the channel for its answer and the
 * group that it runs under. A service loop in a process of its own owns its state
 * and shares none of it; requests reach it over a channel, and its end is asked
 * for over another, with a channel for the error: Go's chan chan error. While it
 * works for a client it runs under that client's group, so a client that cancels,
 * runs out of time or is killed stops the work that it had asked for.
 */
#include "group.h"

enum { REPLY, UNDER };		/* the descriptors of a request */

struct report {
	int err, served, given_up;
};

/* The work takes its time, or ends with the client's group. */
static void work(int under, int ms)
{
	chan_select(NULL, 0, 0, under, chan_after(ms * MS));
}

static void handle(struct report *rep, const int *fd, int ms)
{
	int n = rep->served + 1;

	work(fd[UNDER], ms);
	if (chan_send(fd[REPLY], &n, sizeof(n), fd[UNDER], CHAN_FOREVER) < 0)
		rep->given_up++;	/* the client's group has ended, or the client */
	else
		rep->served++;
	close(fd[REPLY]);
	close(fd[UNDER]);
}

/* fd: requests, closing */
static int service(int *fd, long unused)
{
	struct report rep = {};
	int ms, got[2];

	(void)unused;
	for (;;) {
		struct chan_case c[] = {
			{ .fd = fd[1], .op = CHAN_RECV, .msg = { .fds = got, .nfds = 1 } },
			{ .fd = fd[0], .op = CHAN_RECV,
			  .msg = { .buf = &ms, .len = sizeof(ms), .fds = got, .nfds = 2 } },
		};

		if (must(chan_select(c, 2, CHAN_PRIO, -1, CHAN_FOREVER)) == 0) {
			must(c[0].msg.res);
			must(chan_send(got[0], &rep, sizeof(rep), -1, CHAN_FOREVER));
			close(got[0]);
			return 0;
		}
		must(c[1].msg.res);
		handle(&rep, got, ms);
	}
}

/* Ask for @ms of work under @group: its number, or an error. */
static int ask(int tx, int group, int ms)
{
	int reply[2], fd[2], n, r;

	must(chan_make(reply, sizeof(n), 0, 0));
	fd[REPLY] = reply[1];
	fd[UNDER] = must(chan_watch(group));	/* to obey, not to command */
	r = chan_sendm(tx, &(struct chan_msg){ .buf = &ms, .len = sizeof(ms), .fds = fd,
					       .nfds = 2 }, 1, group, CHAN_FOREVER);
	close(fd[REPLY]);
	close(fd[UNDER]);
	if (r == 1)
		r = chan_recv(reply[0], &n, sizeof(n), group, CHAN_FOREVER);
	close(reply[0]);
	return r < 0 ? r : n;
}

static void client(int tx, const char *name, int64_t limit, int ms)
{
	int group = must(chan_group(-1, chan_after(limit * MS), 0, 0));
	int r = ask(tx, group, ms);

	if (r < 0)
		printf("%s: %s\n", name, strerror(-r));
	else
		printf("%s: answer %d\n", name, r);
	close(group);
}

int main(int argc, char **argv)
{
	int requests[2], closing[2], reply[2];
	struct report rep;

	mode(argc, argv);
	must(chan_make(requests, sizeof(int), 0, CHAN_FDS));
	must(chan_make(closing, 0, 0, CHAN_FDS));
	go(service, 0, requests[0], closing[0]);
	client(requests[1], "a short piece of work", 20000, 1);
	client(requests[1], "a long one, and little time", 1000, 20000);
	client(requests[1], "another short one", 20000, 1);

	must(chan_make(reply, sizeof(rep), 0, 0));
	must(chan_sendm(closing[1], &(struct chan_msg){ .fds = &reply[1], .nfds = 1 }, 1, -1,
			CHAN_FOREVER));
	close(reply[1]);
	must(chan_recv(reply[0], &rep, sizeof(rep), -1, CHAN_FOREVER));
	printf("the service has ended: %s, %d served, %d given up\n",
	       rep.err ? strerror(rep.err) : "all is well", rep.served, rep.given_up);
	close(requests[1]);
	wait_tasks();
	return 0;
}
