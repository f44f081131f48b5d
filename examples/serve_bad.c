/* SPDX-License-Identifier: MIT */
/*
 * How not to do what serve does. Two servers are started and forgotten:
 *
 * - the debug server dies, and nobody notices until somebody needs it;
 * - main returns as soon as the shutdown has begun, not when it is complete,
 *   and the request under way is cut off.
 *
 * The bad program is the child process; its parent is the client.
 */
#include "net.h"

enum { APP, DEBUG };
static const char *name[] = { "app", "debug" };
static int port[2], listener[2];
static int stopping[2];		/* a channel: "the shutdown has begun" */

static void *serve(void *arg)
{
	int *l = arg, who = l - listener, conn;
	char line[64], reply[80];

	while ((conn = accept(*l, NULL, NULL)) >= 0) {
		while (hear(conn, line, sizeof(line))) {
			if (!strcmp(line, "fail")) {
				close(conn);
				close(*l);
				return "failed";	/* to whom? */
			}
			if (!strcmp(line, "stop")) {
				chan_send(stopping[1], NULL, 0, -1, CHAN_FOREVER);
				sleep(5);	/* finishing what is under way */
			}
			snprintf(reply, sizeof(reply), "%s: %s", name[who], line);
			say(conn, reply);
		}
		close(conn);
	}
	return NULL;
}

static int bad_program(void)
{
	pthread_t t;

	for (int i = APP; i <= DEBUG; i++)
		pthread_create(&t, NULL, serve, &listener[i]);
	chan_recv(stopping[0], NULL, 0, -1, CHAN_FOREVER);
	return 0;		/* ends the servers in the midst of their work */
}

int main(void)
{
	int app, debug;
	pid_t pid;

	for (int i = APP; i <= DEBUG; i++)
		listener[i] = listen_somewhere(&port[i]);
	must(chan_make(stopping, 0, 0, 0));
	pid = must(fork());
	if (pid == 0)
		_exit(bad_program());
	close(listener[APP]);
	close(listener[DEBUG]);

	app = must(dial(port[APP]));
	debug = must(dial(port[DEBUG]));
	printf("%s\n", ask(app, "hello"));
	printf("debug: %s\n", ask(debug, "fail"));
	until_refused(port[DEBUG]);
	printf("%s\n", ask(app, "all is well, as far as I know"));
	printf("the program %s\n", waitpid(pid, NULL, WNOHANG) == 0 ? "runs on" : "has ended");

	printf("a request, then a shutdown: %s\n", ask(app, "stop"));
	waitpid(pid, NULL, 0);
	return 0;
}
