/* SPDX-License-Identifier: MIT */
/*
 * The two servers of serve.c as a tree of groups:
 *
 *	all (CHAN_FIRST_EXIT) - app, debug - clients (CHAN_FAIL_FAST) - a client each
 *
 * An end goes down the tree at once, an error goes up: a client that makes its
 * server fail ends the server's clients, then the server, and the first server
 * that leaves ends the other. Nobody keeps a list, and there is no channel: each
 * polls its own member. Told to stop, a server takes no new client and waits for
 * those it has, and they for as long as patience lasts.
 */
#include <poll.h>
#include "net.h"
#include "group.h"

enum { APP, DEBUG };
static const char *name[] = { "app", "debug" };
static int port[2];
static int64_t patience;

/* fd: the connection */
static int client(int member, int *fd, long who)
{
	struct pollfd p[] = { { .fd = fd[0], .events = POLLIN }, { .fd = member, .events = POLLIN } };
	char line[64], reply[80];
	int wait = -1;

	for (;;) {
		if (must(poll(p, 2, wait)) == 0)
			return ETIMEDOUT;
		if (p[1].revents) {	/* the rest of its requests, for a while */
			p[1].fd = -1;
			wait = patience / MS;
		}
		if (!p[0].revents)
			continue;
		if (!hear(fd[0], line, sizeof(line)))
			return 0;
		if (!strcmp(line, "fail"))
			return EIO;
		snprintf(reply, sizeof(reply), "%s: %s", name[who], line);
		say(fd[0], reply);
	}
}

/* fd: the listener */
static int server(int member, int *fd, long who)
{
	int clients = must(chan_group(member, CHAN_FOREVER, CHAN_FAIL_FAST, 0)), err;
	struct pollfd p[] = { { .fd = fd[0], .events = POLLIN }, { .fd = clients, .events = POLLIN } };

	while (must(poll(p, 2, -1)), !p[1].revents)
		try_go_in(clients, client, who, must(accept(fd[0], NULL, NULL)));
	close(fd[0]);
	fd[0] = -1;
	err = wait_all(clients);
	close(clients);
	return err;
}

/* A client of both makes the debug server fail, and is still connected to the other. */
static void visit(int all, bool rude)
{
	struct pollfd ended = { .fd = all, .events = POLLIN };
	int app = must(dial(port[APP])), debug = must(dial(port[DEBUG]));
	char line[64];

	printf("%s\n", ask(app, "hello"));
	printf("%s\n", ask(debug, "hello"));
	say(debug, "fail");
	must(poll(&ended, 1, -1));
	until_refused(port[APP]);
	if (rude)
		hear(app, line, sizeof(line));	/* stay, until the server hangs up */
	else
		printf("no new clients; %s\n", ask(app, "but I may finish"));
	close(app);
	close(debug);
}

static void run(bool rude)
{
	int all = must(chan_group(-1, CHAN_FOREVER, CHAN_FIRST_EXIT, 0)), first;

	for (int i = APP; i <= DEBUG; i++)
		go_in(all, server, i, listen_somewhere(&port[i]));
	visit(all, rude);
	first = wait_all(all);
	printf("all ended: %s; %d failed\n", said(first), (int)look(all).failed);
	close(all);
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	patience = 20000 * MS;
	run(false);
	printf("--- a client that will not leave\n");
	patience = 100 * MS;
	run(true);
	return 0;
}
