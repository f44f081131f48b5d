/* SPDX-License-Identifier: MIT */
/*
 * A message there and one back, between two threads and between two processes:
 * what it costs to wait and to be woken. n is the capacity: 0 is a rendezvous, which
 * only channels have. One operation is the whole round.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct table {
	struct line there, back;
	int64_t *ns;			/* each round, if asked for */
};

static void pong(struct table *t, long ops)
{
	static char msg[MAX_SIZE];

	while (ops--) {
		line_recv(&t->there, msg);
		line_send(&t->back, msg);
	}
}

static void play(void *arg, unsigned k, long ops)
{
	static char msg[MAX_SIZE];
	struct table *t = arg;
	int64_t start = 0;

	if (k) {
		pong(t, ops);
		return;
	}
	for (long i = 0; i < ops; i++) {
		if (t->ns)
			start = now();
		line_send(&t->there, msg);
		line_recv(&t->back, msg);
		if (t->ns)
			t->ns[i] = now() - start;
	}
}

static bool set(struct table *t, const struct peer *p, size_t size, unsigned capacity)
{
	t->ns = NULL;
	if (!line_open(&t->there, p, size, capacity))
		return false;
	if (line_open(&t->back, p, size, capacity))
		return true;
	line_close(&t->there);
	return false;
}

static void measure(const char *work, bool processes, const struct peer *p, size_t size,
		    unsigned capacity)
{
	long ops = scaled(4000 / (1 + size / 1024));
	struct table t;

	if (!set(&t, p, size, capacity)) {
		skip(work, p->name, strerror(errno));
		return;
	}
	row(work, p->name, size, capacity, "ns",
	    (double)crew(2, processes, play, &t, ops / 10 + 1, ops) / ops);
	if (options.latency) {
		t.ns = shared((ops + 1) * sizeof(*t.ns));
		crew(2, processes, play, &t, 1, ops);
		percentiles(work, p->name, size, capacity, t.ns, ops);
		munmap(t.ns, (ops + 1) * sizeof(*t.ns));
	}
	line_close(&t.there);
	line_close(&t.back);
}

static void measure_all(const char *work, bool processes)
{
	progress(work);
	for (unsigned i = 0; i < n_sizes; i++)
		for (const struct peer *p = peers; p->name; p++)
			for (unsigned capacity = 0; capacity < 2; capacity++)
				if (peer_takes(p, sizes[i], capacity) && processes >= p->processes &&
				    wanted(p, sizes[i], " kchan eventfd "))
					measure(work, processes, p, sizes[i], capacity);
}

int main(int argc, char **argv)
{
	bench_options(argc, argv);
	if (!options.hot && !options.across)
		measure_all("pingpong_thread", false);
	measure_all("pingpong_process", true);
	return 0;
}
