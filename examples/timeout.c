/* SPDX-License-Identifier: MIT */
/*
 * Timing out: one select that would receive from one channel or send on
 * another, and waits no longer than its deadline for either.
 */
#include "util.h"

static const char *receive_or_send(int rx, int tx, int64_t deadline)
{
	int in = 0, out = 2;
	struct chan_case cases[] = {
		{ .fd = rx, .op = CHAN_RECV, .msg = { .buf = &in, .len = sizeof(in) } },
		{ .fd = tx, .op = CHAN_SEND, .msg = { .buf = &out, .len = sizeof(out) } },
	};

	switch (chan_select(cases, 2, 0, -1, deadline)) {
	case 0:
		return in == 1 ? "received 1" : "received something else";
	case 1:
		return cases[1].msg.res == 0 ? "sent 2" : strerror(-cases[1].msg.res);
	default:
		return strerror(errno);
	}
}

int main(void)
{
	int ch1[2], ch2[2], val = 1;

	must(chan_make(ch1, sizeof(int), 1, 0));
	must(chan_make(ch2, sizeof(int), 1, 0));

	/* ch1 holds a message, ch2 is full: only the receive can be done. */
	must(chan_send(ch1[1], &val, sizeof(val), -1, CHAN_NOW));
	must(chan_send(ch2[1], &val, sizeof(val), -1, CHAN_NOW));
	printf("%s\n", receive_or_send(ch1[0], ch2[1], chan_after(10 * MS)));

	/* Now ch1 is empty and ch2 still full: neither can. */
	int64_t deadline = chan_after(10 * MS);

	printf("after 10 ms: %s\n", receive_or_send(ch1[0], ch2[1], deadline));
	printf("the deadline has %s\n", chan_after(0) >= deadline ? "passed" : "not passed");

	/* Not even 10 ms to spare: try, don't wait. */
	printf("at once: %s\n", receive_or_send(ch1[0], ch2[1], CHAN_NOW));

	/* Room in ch2: the send can be done. */
	must(chan_recv(ch2[0], &val, sizeof(val), -1, CHAN_NOW));
	printf("%s\n", receive_or_send(ch1[0], ch2[1], chan_after(10 * MS)));
	must(chan_recv(ch2[0], &val, sizeof(val), -1, CHAN_NOW));
	return val != 2;
}
