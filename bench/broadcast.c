/* SPDX-License-Identifier: MIT */
/*
 * A message of 64 bytes to each of n processes, by a loop over a line to each that holds
 * 64: none of the transports has a broadcast. One operation is a message to all.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <string.h>

#define SIZE 64
#define CAPACITY 64
#define MOST 16

struct broadcast {
	unsigned n;
	struct line lines[MOST];
};

static void take_part(void *arg, unsigned k, long messages)
{
	struct broadcast *b = arg;
	char msg[SIZE] = "";

	while (messages--)
		if (k)
			line_recv(&b->lines[k - 1], msg);
		else
			for (unsigned i = 0; i < b->n; i++)
				line_send(&b->lines[i], msg);
}

static void measure(const struct peer *p, unsigned n)
{
	struct broadcast b = { .n = n };
	long ops = scaled(8192 / n);

	for (unsigned i = 0; i < n; i++)
		if (!line_open(&b.lines[i], p, SIZE, CAPACITY)) {
			skip("broadcast", p->name, strerror(errno));
			while (i)
				line_close(&b.lines[--i]);
			return;
		}
	row("broadcast", p->name, SIZE, n, "ns",
	    (double)crew(n + 1, true, take_part, &b, ops / 10 + 2 * CAPACITY, ops) / ops);
	for (unsigned i = 0; i < n; i++)
		line_close(&b.lines[i]);
}

int main(int argc, char **argv)
{
	bench_options(argc, argv);
	progress("broadcast");
	for (unsigned n = 4; n <= MOST; n *= 4)
		for (const struct peer *p = peers; p->name; p++)
			if (peer_takes(p, SIZE, CAPACITY) && p->whole)
				measure(p, n);
	return 0;
}
