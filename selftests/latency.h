/* SPDX-License-Identifier: MIT */
/*
 * How late a thread wakes that nothing but the kernel can keep from running: it shares
 * one processor with the test, above all in priority, and sleeps to instants of its own.
 * In a machine that counts instructions (kernel word kchan_icount=1: one is a nanosecond)
 * its latest wake-up is the longest stretch without preemption, and has a limit.
 * Anywhere else time is the host's, and only what the test did counts.
 */
#ifndef LATENCY_H
#define LATENCY_H

#include <time.h>

#include "util.h"

#define LATENCY_LIMIT	50000	/* instructions */

struct latency {
	pthread_t t;
	bool stop;
	int64_t worst;		/* since it was last asked for */
	uint64_t wakes;
};

/* Does this machine count instructions? */
static inline bool icount(void)
{
	char words[4096] = "";
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, words, sizeof(words) - 1);

	close(fd);
	return n > 0 && strstr(words, "kchan_icount=1");
}

static inline bool set_fifo(int priority)
{
	struct sched_param p = { .sched_priority = priority };

	return !pthread_setschedparam(pthread_self(), SCHED_FIFO, &p);
}

static inline void *latency_thread(void *arg)
{
	struct latency *l = arg;
	unsigned rnd = 1;

	if (!set_fifo(50))
		return NULL;
	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
		/* not in step with anything: what is long is met near its beginning, too */
		int64_t at, late;
		struct timespec ts;

		rnd = rnd * 1103515245 + 12345;
		at = chan_after(40000 + (rnd >> 16) % 40000);
		ts = (struct timespec){ at / 1000000000, at % 1000000000 };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		late = chan_after(0) - at;
		if (late > __atomic_load_n(&l->worst, __ATOMIC_RELAXED))
			__atomic_store_n(&l->worst, late, __ATOMIC_RELAXED);
		__atomic_fetch_add(&l->wakes, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Wait until it has woken @n times more; it never does where it could not start. */
static inline bool latency_wakes(struct latency *l, uint64_t n)
{
	uint64_t from = __atomic_load_n(&l->wakes, __ATOMIC_ACQUIRE);

	for (int i = 0; i < PATIENCE; i++, usleep(1000))
		if (__atomic_load_n(&l->wakes, __ATOMIC_ACQUIRE) - from >= n)
			return true;
	return false;
}

/*
 * A page that is freed goes to a list of its processor's. When that is full the kernel gives
 * pages back, in one hold of the zone's lock and with interrupts off: as many as have been
 * freed in a row, with 2 GiB of memory up to 2016. Whoever frees memory has that stretch,
 * munmap(2) for one, up to 680,000 instructions on 6.12, and a tracer finds it below
 * kmem_cache_free() where thousands of groups go. It would hide what the module does. So lists
 * are kept as short as can be: with the memory that this machine has (vm/check) no more
 * than 93 pages go back at a time. 0 is the kernel's own choice.
 */
static inline bool page_lists(unsigned fraction)
{
	FILE *f = fopen("/proc/sys/vm/percpu_pagelist_high_fraction", "w");
	bool ok = f && fprintf(f, "%u", fraction) > 0;

	return f && !fclose(f) && ok;
}

#define SHORTEST	1000000000

/* The first seconds after a start are the kernel's own. */
static inline bool latency_start(struct latency *l)
{
	struct timespec up;

	*l = (struct latency){};
	if (icount()) {
		if (!page_lists(SHORTEST))
			return false;
		clock_gettime(CLOCK_BOOTTIME, &up);
		if (up.tv_sec < 10)
			sleep(10 - up.tv_sec);
	}
	return one_cpu() && !pthread_create(&l->t, NULL, latency_thread, l) &&
	       latency_wakes(l, 10);
}

/*
 * What happened before no longer counts: what the kernel has put off, RCU's callbacks for
 * thousands of closed files for instance, is done first. It takes no time to wait here.
 */
static inline void latency_begin(struct latency *l)
{
	if (icount())
		sleep(5);
	__atomic_store_n(&l->worst, 0, __ATOMIC_RELAXED);
}

/* The latest wake-up since latency_begin(), which is printed; -1 if there was none. */
static inline int64_t latency_end(struct latency *l, const char *what)
{
	int64_t worst;

	if (!latency_wakes(l, 1))
		return -1;
	worst = __atomic_load_n(&l->worst, __ATOMIC_RELAXED);
	printf("# %s: woken after %lld ns at the latest\n", what, (long long)worst);
	return worst;
}

static inline void latency_stop(struct latency *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	pthread_join(l->t, NULL);
	if (icount())
		page_lists(0);
}

/* In a test: what was measured since latency_begin() is no longer than @most. */
#define EXPECT_WITHIN(l, most, what) do {				\
	int64_t worst_ = latency_end(l, what);				\
									\
	EXPECT_LT(0, worst_);						\
	if (icount())							\
		EXPECT_GE(most, worst_);				\
} while (0)

#define EXPECT_SHORT(l, what)	EXPECT_WITHIN(l, LATENCY_LIMIT, what)

#endif
