/* SPDX-License-Identifier: MIT */
/*
 * A send and a receive in one thread, nobody waiting: what the calls themselves
 * cost. n is the capacity, 1.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

int main(int argc, char **argv)
{
	bench_options(argc, argv);
	pin(0);
	progress("pair");
	for (unsigned i = 0; i < n_sizes; i++)
		for (const struct peer *p = peers; p->name; p++)
			if (peer_takes(p, sizes[i], 1) &&
			    wanted(p, sizes[i], " kchan eventfd mqueue pipe "))
				measure(p, sizes[i]);
	return 0;
}
