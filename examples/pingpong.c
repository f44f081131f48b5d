/* SPDX-License-Identifier: MIT */
/*
 * Ping-pong: two players, two channels of capacity 0. A send on such a channel
 * is a meeting: it returns once the other player has taken the ball.
 */
#include "util.h"

static const char *name[] = { "ping", "pong" };

static int player(int *fd, long me)
{
	int rx = fd[0], tx = fd[1], hits;

	while (chan_recv(rx, &hits, sizeof(hits), -1, CHAN_FOREVER) > 0) {
		if (hits == 6) {
			printf("%s keeps the ball\n", name[me]);
			return -chan_shut(tx, 0);	/* the other is told: no more balls */
		}
		printf("%s %d\n", name[me], ++hits);
		must(chan_send(tx, &hits, sizeof(hits), -1, CHAN_FOREVER));
	}
	printf("%s: game over\n", name[me]);
	return errno != EPIPE;		/* EPIPE: shut; ECONNRESET: the player died */
}

int main(int argc, char **argv)
{
	int a[2], b[2], hits = 0;

	mode(argc, argv);
	must(chan_make(a, sizeof(hits), 0, 0));
	must(chan_make(b, sizeof(hits), 0, 0));

	if (chan_send(a[1], &hits, sizeof(hits), -1, CHAN_NOW) == -EAGAIN)
		printf("nobody is there to take the ball\n");

	go(player, 0, a[0], b[1]);
	go(player, 1, b[0], dup(a[1]));
	must(chan_send(a[1], &hits, sizeof(hits), -1, CHAN_FOREVER));
	close(a[1]);			/* the players alone hold the ends now */
	return wait_tasks();
}
