/* SPDX-License-Identifier: MIT */
/*
 * A send and a receive in one thread, nobody waiting: what the calls themselves
 * cost. n is the capacity, 1. kchan-deadline gives both calls a deadline, kchan-under a
 * group, kchan-both both of them; kchan-rw is write and read of a channel.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <libchan.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char out[MAX_SIZE], in[MAX_SIZE];

static void pair(void *arg, long ops)
{
	struct line *l = arg;

	while (ops--) {
		line_send(l, out);
		line_recv(l, in);
	}
}

static void latency(struct line *l, long ops)
{
	int64_t *ns = shared(ops * sizeof(*ns));

	for (long i = 0; i < ops; i++) {
		int64_t t = now();

		line_send(l, out);
		line_recv(l, in);
		ns[i] = now() - t;
	}
	percentiles("pair", l->peer->name, l->size, 1, ns, ops);
	munmap(ns, ops * sizeof(*ns));
}

static void measure(const struct peer *p, size_t size)
{
	long ops = scaled(8000 / (1 + size / 1024));
	struct line l;

	if (!line_open(&l, p, size, 1)) {
		skip("pair", p->name, strerror(errno));
		return;
	}
	row("pair", p->name, size, 1, "ns", per_op(pair, &l, ops));
	if (options.latency)
		latency(&l, ops);
	line_close(&l);
}

struct limited {
	struct line line;
	int under;
	int64_t deadline;
};

static void limited_pair(void *arg, long ops)
{
	struct limited *l = arg;

	while (ops--) {
		must(chan_send(l->line.tx, out, l->line.size, l->under, l->deadline), "chan_send");
		must(chan_recv(l->line.rx, in, l->line.size, l->under, l->deadline), "chan_recv");
	}
}

static void write_read(void *arg, long ops)
{
	struct limited *l = arg;

	while (ops--) {
		must(write(l->line.tx, out, l->line.size), "write");
		must(read(l->line.rx, in, l->line.size), "read");
	}
}

static void measure_ways(size_t size)
{
	long ops = scaled(8000 / (1 + size / 1024));
	int group = must(chan_group(-1, CHAN_FOREVER, 0, 0), "chan_group");
	int64_t hour = chan_after(INT64_C(3600000000000));
	const struct way {
		const char *peer;
		void (*fn)(void *arg, long ops);
		int under;
		int64_t deadline;
	} ways[] = {
		{ "kchan-deadline", limited_pair, -1, hour },
		{ "kchan-under", limited_pair, group, CHAN_FOREVER },
		{ "kchan-both", limited_pair, group, hour },
		{ "kchan-rw", write_read, -1, CHAN_FOREVER },
	};

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct limited l = { .under = ways[i].under, .deadline = ways[i].deadline };

		line_open(&l.line, peer_named("kchan"), size, 1);
		row("pair", ways[i].peer, size, 1, "ns", per_op(ways[i].fn, &l, ops));
		line_close(&l.line);
	}
	close(group);
}

int main(int argc, char **argv)
{
	bench_options(argc, argv);
	pin(0);
	progress("pair");
	for (unsigned i = 0; i < n_sizes; i++)
		for (const struct peer *p = peers; p->name; p++)
			if (peer_takes(p, sizes[i], 1) && !p->processes &&
			    wanted(p, sizes[i], " kchan eventfd pipe "))
				measure(p, sizes[i]);
	for (unsigned i = 0; i < n_sizes; i++)
		if (peer_named("kchan") && (!options.hot || sizes[i] == 64))
			measure_ways(sizes[i]);
	return 0;
}
