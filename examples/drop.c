/* SPDX-License-Identifier: MIT */
/*
 * Dropping: a producer that must never wait (a packet reader, a logger) sends
 * ten messages to a consumer that is slow, over a channel that holds three.
 */
#include "util.h"

enum { CAPACITY = 3, MESSAGES = 10 };

static int produce(int tx, int64_t deadline)
{
	int dropped = 0, ret;

	for (int i = 0; i < MESSAGES; i++) {
		ret = chan_send(tx, &i, sizeof(i), -1, deadline);
		if (ret == -EAGAIN || ret == 1)	/* full; or the channel dropped one */
			dropped++;
		else
			must(ret);
	}
	return dropped;
}

static void show(const char *how, unsigned flags, int64_t deadline)
{
	struct chan_info info;
	int end[2], dropped, val;

	must(chan_make(end, sizeof(int), CAPACITY, flags));
	dropped = produce(end[1], deadline);
	printf("%s: %d dropped; the consumer gets", how, dropped);
	while (chan_recv(end[0], &val, sizeof(val), -1, CHAN_NOW) > 0)
		printf(" %d", val);
	must(chan_info(end[0], &info, sizeof(info)));
	printf("\n  the channel counts %d sent = %d received + %d dropped\n",
	       (int)info.sent, (int)info.received, (int)info.dropped);
	close(end[0]);
	close(end[1]);
}

int main(void)
{
	/* Go's select with a default: a full channel is the sender's to count. */
	show("CHAN_NOW", 0, CHAN_NOW);

	/* The channel drops, atomically, and counts; no send ever waits. */
	show("CHAN_DROP_NEW", CHAN_DROP_NEW, CHAN_FOREVER);

	/* For those who want what is newest: the oldest makes room. */
	show("CHAN_DROP_OLD", CHAN_DROP_OLD, CHAN_FOREVER);
	return 0;
}
