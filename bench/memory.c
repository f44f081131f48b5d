/* SPDX-License-Identifier: MIT */
/*
 * What idle things and waiting threads occupy in the kernel, in bytes each.
 *
 * A child makes two thousand of a kind, then measures while it makes ten thousand more: the
 * first fill the gaps in the allocator's pages, so that the others need new ones. What
 * grew is read from /proc/meminfo, by whole pages: of slabs (large allocations among
 * them), of per-CPU and of mapped memory. A memory cgroup would not see what is not
 * charged to it, an eventfd's counter for one. The table of descriptors is made large
 * before. Each row has all of a thing's descriptors; `kchan-object` is a channel
 * without what any two descriptors cost, a struct file and a dentry each. n is the
 * capacity. `memory_waiting`: what grows while n threads begin to wait for messages.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST 2000
#define MEASURED 10000
#define SIZE 64
#define THREADS 2000

static long kernel_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	long sum = 0, kib;
	char line[100];

	must(f ? 0 : -1, "/proc/meminfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Slab: %ld", &kib) == 1 || sscanf(line, "Percpu: %ld", &kib) == 1 ||
		    sscanf(line, "VmallocUsed: %ld", &kib) == 1)
			sum += kib * 1024;
	fclose(f);
	return sum;
}

/* Bytes an object of a cache occupies, its share of the page's rest too; 0: not told. */
static double object_bytes(const char *cache)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	unsigned long size, per_slab, pages;
	char line[300], name[100];
	double bytes = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%99s %*u %*u %lu %lu %lu", name, &size, &per_slab, &pages) == 4 &&
		    !strcmp(name, cache))
			bytes = (double)pages * sysconf(_SC_PAGESIZE) / per_slab;
	if (f)
		fclose(f);
	return bytes;
}

static int make(const struct peer *p, unsigned capacity, int n)
{
	struct line l;

	while (n--)
		if (!line_open(&l, p, p->max < SIZE ? p->max : SIZE, capacity))
			return errno;
	return 0;
}

/* In the child, which ends with all that it made. */
static void measure_idle(const struct peer *p, unsigned capacity, double *each, int *err)
{
	long before;
	int fd = must(dup2(0, 3 * (FIRST + MEASURED)), "dup2");

	close(fd);
	*err = make(p, capacity, FIRST);
	if (*err)
		return;
	before = kernel_bytes();
	*err = make(p, capacity, MEASURED);
	*each = (double)(kernel_bytes() - before) / MEASURED;
}

static void idle(const char *name, unsigned capacity)
{
	struct result { double each; int err; } *r = shared(sizeof(*r));
	const struct peer *p = peer_named(name);
	size_t size = p->max < SIZE ? p->max : SIZE;
	double file = object_bytes("filp") + object_bytes("dentry");
	int status;

	usleep(300000);			/* what the last child had is freed meanwhile */
	if (!must(fork(), "fork")) {
		measure_idle(p, capacity, &r->each, &r->err);
		_exit(0);
	}
	must(wait(&status), "wait");
	if (status)
		exit(1);
	if (r->err) {
		skip("memory", name, strerror(r->err));
		return;
	}
	row("memory", name, size, capacity, "bytes", r->each);
	if (strcmp(name, "kchan"))
		return;
	if (file)
		row("memory", "kchan-object", size, capacity, "bytes", r->each - 2 * file);
	else
		skip("memory", "kchan-object", "/proc/slabinfo does not tell");
}

static void receive(void *arg)
{
	char msg[SIZE];

	line_recv(arg, msg);
}

static void waiting(const char *name)
{
	static const char msg[SIZE];
	const struct peer *p = peer_named(name);
	struct herd h;
	struct line l;
	long before;

	line_open(&l, p, SIZE, 1);
	if (!herd_start(&h, THREADS, receive, &l)) {
		skip("memory_waiting", name, strerror(errno));
		return;
	}
	before = kernel_bytes();
	herd_go(&h);
	herd_asleep(&h);
	row("memory_waiting", name, SIZE, THREADS, "bytes",
	    (double)(kernel_bytes() - before) / THREADS);
	for (int i = 0; i < THREADS; i++)
		line_send(&l, msg);
	herd_end(&h);
	line_close(&l);
}

int main(int argc, char **argv)
{
	bench_options(argc, argv);
	pin(0);
	progress("memory");
	idle("kchan", 0);
	if (options.hot)
		return 0;
	idle("kchan", 64);
	idle("pipe", 1024);		/* its 64 KiB */
	idle("seqpacket", 64);
	idle("eventfd", 1);
	idle("mqueue", 64);
	progress("memory_waiting");
	waiting("kchan");
	waiting("pipe");
	waiting("seqpacket");
	waiting("mqueue");
	return 0;
}
