/* SPDX-License-Identifier: MIT */
/*
 * Messages from some processes to others through one queue that holds 64. n is
 * senders:receivers, one operation is a message. Each sends, and each receives, its
 * equal share of a fixed number, so nothing but messages is needed to end.
 * stream_capacity: one sender, one receiver; n is how many the queue holds.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CAPACITY 64
#define EVEN 16				/* what all shares divide */

struct stream {
	struct line line;
	unsigned senders, receivers;
};

/* By turns, so that with two CPUs each pair has both; then those that are left. */
static bool sends(const struct stream *s, unsigned k)
{
	if (k / 2 < s->senders && k / 2 < s->receivers)
		return k % 2 == 0;
	return s->senders > s->receivers;
}

static void take_part(void *arg, unsigned k, long messages)
{
	static char msg[MAX_SIZE];
	struct stream *s = arg;

	if (sends(s, k))
		for (long i = messages / s->senders; i; i--)
			line_send(&s->line, msg);
	else
		for (long i = messages / s->receivers; i; i--)
			line_recv(&s->line, msg);
}

static void measure(const char *subject, const char *n, const struct peer *p, size_t size,
		    unsigned capacity, unsigned senders, unsigned receivers)
{
	long base = size > 8192 ? 512 : 8192 / (1 + size / 1024);
	long messages = (scaled(base) + EVEN - 1) / EVEN * EVEN;
	struct stream s = { .senders = senders, .receivers = receivers };
	int64_t ns;

	if (!line_open(&s.line, p, size, capacity)) {
		skip(subject, p->name, strerror(errno));
		return;
	}
	/* warm: all of a ring's pages have been touched */
	ns = crew(senders + receivers, true, take_part, &s,
		  (messages / 10 + 2 * capacity) / EVEN * EVEN, messages);
	line_close(&s.line);
	row_text(subject, p->name, size, n, "ns", (double)ns / messages);
}

static void measure_all(size_t size, unsigned senders, unsigned receivers, const char *hot)
{
	bool alone = senders == 1 && receivers == 1;
	char n[16];

	snprintf(n, sizeof(n), "%u:%u", senders, receivers);
	for (const struct peer *p = peers; p->name; p++)
		if (peer_takes(p, size, CAPACITY) && p->whole &&
		    (alone || size <= p->whole) && wanted(p, size, hot))
			measure("stream", n, p, size, CAPACITY, senders, receivers);
}

static void measure_capacities(void)
{
	static const unsigned capacity[] = { 0, 1, 4, 16, 64, 256, 1024 };
	static const char *const names[] = { "kchan", "mqueue", "seqpacket", "ring", "boost" };
	const unsigned n_names = sizeof(names) / sizeof(names[0]);
	char n[16];

	for (unsigned i = 0; i < sizeof(capacity) / sizeof(*capacity); i++)
		for (unsigned k = 0; k < n_names; k++) {
			const struct peer *p = peer_named(names[k]);

			snprintf(n, sizeof(n), "%u", capacity[i]);
			if (p && peer_takes(p, 64, capacity[i]))
				measure("stream_capacity", n, p, 64, capacity[i], 1, 1);
		}
}

int main(int argc, char **argv)
{
	const char *across;

	bench_options(argc, argv);
	across = options.across ? " kchan " : "";
	progress("stream");
	for (unsigned i = 0; i < n_sizes; i++) {
		measure_all(sizes[i], 1, 1, " kchan pipe ");
		measure_all(sizes[i], 4, 1, "");
		measure_all(sizes[i], 1, 4, "");
		measure_all(sizes[i], 16, 1, across);
		measure_all(sizes[i], 1, 16, across);
		measure_all(sizes[i], 4, 4, across);
		measure_all(sizes[i], 16, 16, " kchan ");
	}
	if (!options.hot && !options.across)
		measure_capacities();
	return 0;
}
