/* SPDX-License-Identifier: MIT */
/*
 * Two TCP servers, an application and its debug port, that end together.
 *
 *	done: each server sends its report once. The capacity is the number of
 *	      servers, so no server can be stuck with its report.
 *	stop: a channel of empty messages on which nothing is ever sent. It is
 *	      shut once, when the first server ends, and that reaches everybody.
 *
 * Each server waits in one poll for clients and for stop. After stop it takes
 * no new client, lets those it has finish, for a limited time, and only then
 * reports; main returns when it has all reports. (A server that was killed
 * sends none. Where that must be noticed too, give each a channel of its own:
 * it ends when its sender is gone.)
 */
#include <poll.h>
#include "net.h"

enum { APP, DEBUG, SERVERS };
static const char *name[] = { "app", "debug" };
static int port[SERVERS];
static int64_t patience;	/* with clients, after stop */

struct report {
	int who, err;
};

enum { LISTENER, STOP, CLIENTS, MAX = 16 };

struct server {
	struct pollfd p[MAX];
	int n, who;
};

/* Answer a client or drop it. Returns an error if the server itself fails. */
static int answer(struct server *s, int i)
{
	char line[64], reply[80];

	if (!hear(s->p[i].fd, line, sizeof(line))) {
		close(s->p[i].fd);
		s->p[i] = s->p[--s->n];
		return 0;
	}
	if (!strcmp(line, "fail"))
		return EIO;
	snprintf(reply, sizeof(reply), "%s: %s", name[s->who], line);
	say(s->p[i].fd, reply);
	return 0;
}

static void take_no_more(struct server *s)
{
	close(s->p[LISTENER].fd);
	s->p[LISTENER].fd = -1;		/* poll passes over these */
	s->p[STOP].fd = -1;
}

/* Returns 0 when it was told to stop and every client is done. */
static int serve(struct server *s)
{
	int64_t limit = CHAN_FOREVER;
	int conn, err, wait;

	while (s->p[LISTENER].fd >= 0 || s->n > CLIENTS) {
		wait = -1;
		if (limit != CHAN_FOREVER) {
			wait = (limit - chan_after(0)) / MS;
			if (wait <= 0)
				return ETIMEDOUT;
		}
		s->p[LISTENER].events = s->n < MAX ? POLLIN : 0;
		must(poll(s->p, s->n, wait));

		for (int i = s->n - 1; i >= CLIENTS; i--)
			if (s->p[i].revents && (err = answer(s, i)))
				return err;
		if (s->p[LISTENER].revents) {
			conn = must(accept(s->p[LISTENER].fd, NULL, NULL));
			s->p[s->n++] = (struct pollfd){ .fd = conn, .events = POLLIN };
		}
		if (s->p[STOP].fd >= 0 && s->p[STOP].revents) {
			take_no_more(s);
			limit = chan_after(patience);
		}
	}
	return 0;
}

static int server(int *fd, long who)
{
	struct server s = {
		.p = { [LISTENER] = { .fd = fd[0], .events = POLLIN },
		       [STOP] = { .fd = fd[1], .events = POLLIN } },
		.n = CLIENTS, .who = who,
	};
	struct report r = { .who = who };

	r.err = serve(&s);
	if (s.p[LISTENER].fd < 0)
		fd[0] = -1;		/* it is closed */
	while (s.n > CLIENTS)
		close(s.p[--s.n].fd);
	return -chan_send(fd[2], &r, sizeof(r), -1, CHAN_NOW);
}

/* Makes the debug server fail, and is still connected to the other. */
static int client(int *fd, long rude)
{
	int app = must(dial(port[APP])), debug = must(dial(port[DEBUG]));
	char line[64];

	printf("%s\n", ask(app, "hello"));
	printf("%s\n", ask(debug, "hello"));
	say(debug, "fail");
	chan_recv(fd[0], NULL, 0, -1, CHAN_FOREVER);	/* until stop is shut */
	until_refused(port[APP]);
	if (rude)
		hear(app, line, sizeof(line));	/* stay, until the server hangs up */
	else
		printf("no new clients; %s\n", ask(app, "but I may finish"));
	close(app);
	close(debug);
	return 0;
}

static int run(bool rude)
{
	int done[2], stop[2], left = SERVERS;
	struct report r;

	must(chan_make(done, sizeof(r), SERVERS, 0));
	must(chan_make(stop, 0, 0, 0));
	for (int i = 0; i < SERVERS; i++)
		go(server, i, listen_somewhere(&port[i]), dup(stop[0]), dup(done[1]));
	close(done[1]);
	go(client, rude, stop[0]);

	for (; left > 0; left--) {
		must(chan_recv(done[0], &r, sizeof(r), -1, CHAN_FOREVER));
		printf("%s ended: %s\n", name[r.who], r.err ? strerror(r.err) : "as told, all clients served");
		if (left == SERVERS)
			must(chan_shut(stop[1], 0));	/* once, to all */
	}
	close(stop[1]);
	close(done[0]);
	return wait_tasks();
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	patience = 20000 * MS;
	if (run(false))
		return 1;
	printf("--- a client that will not leave\n");
	patience = 100 * MS;
	return run(true);
}
