/* SPDX-License-Identifier: MIT */
/*
 * Batching: a worker collects messages and handles them three at a time, or
 * fewer when the first of them has waited long enough: a receive with a deadline.
 * When the channel is shut, what it has is the last batch.
 */
#include "group.h"

enum { FULL = 3 };
#define INTERVAL (1000 * MS)

/* fd: messages in, sizes of batches out. Negative: handled for want of time. */
static int batch(int member, int *fd, long unused)
{
	int64_t deadline = CHAN_FOREVER;
	int n = 0, sum = 0, val;
	struct { int n, sum, late; } done;
	ssize_t got;

	(void)unused;
	do {
		got = chan_recv(fd[0], &val, sizeof(val), member, deadline);
		if (got > 0) {
			if (n++ == 0)
				deadline = chan_after(INTERVAL);
			sum += val;
		}
		/* a deadline of ours, or that of a group which has ended? */
		if (got == -ETIMEDOUT && look(member).state == CHAN_ENDED)
			return ETIMEDOUT;
		if (n == FULL || (n > 0 && got < 0)) {
			done.n = n;
			done.sum = sum;
			done.late = got == -ETIMEDOUT;
			must(chan_send(fd[1], &done, sizeof(done), member, CHAN_FOREVER));
			n = sum = 0;
			deadline = CHAN_FOREVER;
		}
	} while (got > 0 || got == -ETIMEDOUT);
	return got == -EPIPE ? 0 : -got;
}

int main(int argc, char **argv)
{
	struct { int n, sum, late; } done;
	int in[2], out[2], group, val = 0;

	mode(argc, argv);
	must(chan_make(in, sizeof(int), 16, 0));
	must(chan_make(out, sizeof(done), 4, 0));
	group = must(chan_group(-1, chan_after(20000 * MS), 0, 0));
	go_in(group, batch, 0, in[0], out[1]);

	for (int burst = 7; burst >= 4; burst -= 3) {
		for (int i = 0; i < burst; i++) {
			val++;
			must(chan_send(in[1], &val, sizeof(val), -1, CHAN_FOREVER));
		}
		if (burst == 4)
			must(chan_shut(in[1], 0));
		for (int left = burst; left > 0; left -= done.n) {
			must(chan_recv(out[0], &done, sizeof(done), -1, CHAN_FOREVER));
			printf("a batch of %d, their sum %d%s\n", done.n, done.sum,
			       done.late ? ": no more came in time" : "");
		}
	}
	printf("the worker: %s\n", said(wait_all(group)));
	return 0;
}
