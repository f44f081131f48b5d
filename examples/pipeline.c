/* SPDX-License-Identifier: MIT */
/*
 * A pipeline:
 *
 *	            -> square ->
 *	generate -<              >- merge -> main
 *	            -> square ->
 *
 * Each stage shuts its own output, and tells why: with 0 if its input came to
 * its end, else with the error. A stage whose output nobody wants any more gets
 * EPIPE and returns, which closes its input: so the news travels upstream too.
 */
#include "util.h"

/* Each stage returns 1 if it stopped because nobody wanted its output. */
static int finish(int tx, int in_err)
{
	must(chan_shut(tx, in_err == EPIPE ? 0 : in_err));
	return 0;
}

static int generate(int *fd, long last)
{
	for (long n = 1; n <= last; n++)
		if (chan_send(fd[0], &n, sizeof(n), -1, CHAN_FOREVER) < 0)
			return 1;
	return finish(fd[0], EPIPE);
}

static int square(int *fd, long unused)
{
	int in = fd[0], out = fd[1];
	long n;

	(void)unused;
	while (chan_recv(in, &n, sizeof(n), -1, CHAN_FOREVER) > 0) {
		n *= n;
		if (chan_send(out, &n, sizeof(n), -1, CHAN_FOREVER) < 0)
			return 1;
	}
	return finish(out, errno);
}

static int merge(int *fd, long unused)
{
	int out = fd[2], i, left = 2, why = EPIPE;
	long n;
	struct chan_case in[2] = { { .fd = fd[0], .op = CHAN_RECV }, { .fd = fd[1], .op = CHAN_RECV } };

	(void)unused;
	while (left > 0) {
		in[0].msg = in[1].msg = (struct chan_msg){ .buf = &n, .len = sizeof(n) };
		i = must(chan_select(in, 2, 0, -1, CHAN_FOREVER));
		if (in[i].msg.res < 0) {	/* this input ended: take it out */
			if (in[i].msg.res != -EPIPE)
				why = -in[i].msg.res;
			in[i].fd = -1;
			left--;
		} else if (chan_send(out, &n, sizeof(n), -1, CHAN_FOREVER) < 0) {
			return 1;
		}
	}
	return finish(out, why);
}

static int squares_up_to(long last)
{
	int numbers[2], a[2], b[2], merged[2];

	must(chan_make(numbers, sizeof(long), 0, 0));
	must(chan_make(a, sizeof(long), 0, 0));
	must(chan_make(b, sizeof(long), 0, 0));
	must(chan_make(merged, sizeof(long), 0, 0));
	go(generate, last, numbers[1]);
	go(square, 0, dup(numbers[0]), a[1]);
	go(square, 0, numbers[0], b[1]);
	go(merge, 0, a[0], b[0], merged[1]);
	return merged[0];
}

int main(int argc, char **argv)
{
	long n, sum = 0, count = 0;
	int rx;

	mode(argc, argv);
	rx = squares_up_to(100);
	for (; chan_recv(rx, &n, sizeof(n), -1, CHAN_FOREVER) > 0; count++)
		sum += n;
	printf("%ld squares, their sum is %ld, then: %s\n", count, sum, strerror(errno));
	close(rx);
	printf("%d stages stopped early\n", wait_tasks());

	rx = squares_up_to(LONG_MAX);	/* more than anybody wants */
	for (int i = 0; i < 3; i++)
		must(chan_recv(rx, &n, sizeof(n), -1, CHAN_FOREVER));
	close(rx);
	printf("after three squares: %d stages stopped early\n", wait_tasks());
	return 0;
}
