/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark programs share. A measurement is a fixed number of operations
 * after a small untimed pass, so that on a virtual machine that counts instructions
 * as time (qemu -icount) it repeats; it prints one line
 *
 *	work,peer,size,n,unit,value
 *
 * size: bytes a message; n: what the work varies (capacity, cases, threads...).
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern struct options {
	double rounds;			/* multiplies the number of operations */
	bool hot;			/* only the rows that goals are set for */
	bool across;			/* only what wakes across processors, of 64 bytes */
	bool latency;			/* also p50, p99, p999 */
} options;

void bench_options(int argc, char **argv);

/* What a system call returned, or its message and exit 1. */
long must(long ret, const char *what);

int64_t now(void);			/* ns */
long scaled(long ops);			/* by --rounds, at least 1 */
void pin(unsigned k);			/* the calling thread, to CPU k modulo their number */
void *shared(size_t size);		/* zeroed memory, shared with children */
void write_sysctl(const char *path, long value);	/* if allowed */
void raise_limits(void);		/* descriptors, threads, message queues, if allowed */

void progress(const char *work);
void skip(const char *work, const char *peer, const char *why);
void row(const char *work, const char *peer, size_t size, long n, const char *unit, double value);
void row_text(const char *work, const char *peer, size_t size, const char *n, const char *unit,
	      double value);
/* Percentiles of @n latencies; sorts them. */
void percentiles(const char *work, const char *peer, size_t size, long n, int64_t *ns, long ops);

/* The timed pass of @ops calls' worth of @fn after an untimed one: ns an operation. */
double per_op(void (*fn)(void *arg, long ops), void *arg, long ops);

/*
 * @n threads or processes, worker k pinned to CPU k, that do @warm operations, wait for one
 * another, and do @ops: ns from the start of that until the last is done.
 */
typedef void worker_fn(void *arg, unsigned k, long ops);
int64_t crew(unsigned n, bool processes, worker_fn *fn, void *arg, long warm, long ops);

/*
 * Two that ask each other on one processor: who answers runs only while who has asked
 * sleeps, else the ask would let it run at once, and the answer be there before the wait.
 */
void answer_later(void);		/* the calling thread is the one that answers */
long sleeps(void);			/* the calling thread's, until now */
void must_have_slept(long before, long times, const char *work);	/* 0.9 of them, or exit 1 */

/*
 * Many threads that do nothing but wait, on small stacks: they sleep until herd_go(),
 * then each calls fn(arg) once. herd_asleep() returns when all of them sleep. They
 * exit together, so that an exit is not counted with what they call.
 */
struct herd {
	unsigned n;
	void (*fn)(void *arg);
	void *arg;
	uint32_t returned;
	uint32_t go, ended, over;	/* slept on: call, all have returned, exit */
	int64_t end;			/* when the last had returned */
	struct sheep *sheep;
	void *stacks;
};

bool herd_start(struct herd *h, unsigned n, void (*fn)(void *arg), void *arg);
void herd_asleep(struct herd *h);
void herd_go(struct herd *h);
void herd_end(struct herd *h);		/* waits for them */

/* Words that are slept on, across processes. */
void sleep_while(uint32_t *word, uint32_t value);
void wake(uint32_t *word, int n);

#endif
