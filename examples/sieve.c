/* SPDX-License-Identifier: MIT */
/*
 * The prime sieve: a chain of filters, one a prime, over channels of capacity 0.
 *
 *	numbers -> filter 2 -> filter 3 -> filter 5 -> ... -> main
 *
 * Nobody is told to stop. When main has enough primes it closes its end; the
 * last filter's send fails with EPIPE, it returns and so closes its own ends,
 * and so on up to the source.
 */
#include "util.h"

static int numbers(int *fd, long first)
{
	for (int n = first; chan_send(fd[0], &n, sizeof(n), -1, CHAN_FOREVER) >= 0; n++)
		;
	return errno != EPIPE;
}

static int filter(int *fd, long prime)
{
	int in = fd[0], out = fd[1], n;

	for (;;) {
		must(chan_recv(in, &n, sizeof(n), -1, CHAN_FOREVER));
		if (n % prime && chan_send(out, &n, sizeof(n), -1, CHAN_FOREVER) < 0)
			return errno != EPIPE;
	}
}

int main(int argc, char **argv)
{
	int end[2], rx, prime;

	mode(argc, argv);
	must(chan_make(end, sizeof(int), 0, 0));
	go(numbers, 2, end[1]);
	rx = end[0];
	for (int i = 0; i < 25; i++) {
		must(chan_recv(rx, &prime, sizeof(prime), -1, CHAN_FOREVER));
		printf("%d%c", prime, i < 24 ? ' ' : '\n');
		must(chan_make(end, sizeof(int), 0, 0));
		go(filter, prime, rx, end[1]);
		rx = end[0];
	}
	close(rx);
	printf("all ended, %d in trouble\n", wait_tasks());
	return 0;
}
