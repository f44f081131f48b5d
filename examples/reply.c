/* SPDX-License-Identifier: MIT */
/*
 * A request that carries the channel for its answer: Go's chan of chan. The
 * sending end travels in the message and is the server's then; the client keeps
 * the receiving end. If the server dies with the request, or throws it away, the
 * client hears of it: the last sender is gone. If the client has gone, the server
 * gets EPIPE, and nothing is left of either.
 *
 * The client keeps the device open, as it makes a channel for each request: that
 * takes a seventh off what a request costs.
 */
#include <fcntl.h>

#include "group.h"

enum what { SQUARE, IGNORE, CRASH };

struct request {
	int what, n;
};

/* fd: where requests come */
static int server(int *fd, long unused)
{
	struct request r;
	int reply;

	(void)unused;
	for (;;) {
		struct chan_msg m = { .buf = &r, .len = sizeof(r), .fds = &reply, .nfds = 1 };

		if (chan_recvm(fd[0], &m, 1, -1, CHAN_FOREVER) < 0)
			return errno != EPIPE;
		if (r.what == CRASH) {
			close(reply);	/* as the kernel does for one that has crashed */
			return 0;
		}
		if (r.what == SQUARE) {
			r.n *= r.n;
			if (chan_send(reply, &r, sizeof(r), -1, CHAN_FOREVER) < 0)
				printf("(the client: %s)\n", strerror(errno));
		}
		close(reply);
	}
}

/* Returns the receiving end of the answer. */
static int request(int dev, int tx, int what, int n)
{
	struct request r = { .what = what, .n = n };
	int reply[2];

	must(chan_make_on(dev, reply, sizeof(r), 0, 0));
	must(chan_sendm(tx, &(struct chan_msg){ .buf = &r, .len = sizeof(r), .fds = &reply[1],
						.nfds = 1 }, 1, -1, CHAN_FOREVER));
	close(reply[1]);		/* the message has it */
	return reply[0];
}

static void ask(int dev, int tx, const char *name, int what)
{
	int rx = request(dev, tx, what, 7);
	struct request r;

	if (chan_recv(rx, &r, sizeof(r), -1, CHAN_FOREVER) < 0)
		printf("%s: %s\n", name, strerror(errno));
	else
		printf("%s: %d\n", name, r.n);
	close(rx);
}

int main(int argc, char **argv)
{
	int dev, end[2];

	mode(argc, argv);
	must(chan_make(end, sizeof(struct request), 1, CHAN_FDS));
	go(server, 0, end[0]);
	dev = must(open("/dev/kchan", O_RDWR | O_CLOEXEC));
	ask(dev, end[1], "the square of 7", SQUARE);
	ask(dev, end[1], "a request that is thrown away", IGNORE);
	close(request(dev, end[1], SQUARE, 8));	/* does not wait for the answer */
	ask(dev, end[1], "the square of 7 again", SQUARE);
	ask(dev, end[1], "a server that ends with the request", CRASH);
	wait_tasks();
	printf("a request to nobody: %s\n",
	       strerror(-chan_send(end[1], NULL, 0, -1, CHAN_FOREVER)));
	return 0;
}
