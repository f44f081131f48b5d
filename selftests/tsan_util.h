/* SPDX-License-Identifier: MIT */
/*
 * Programs that ThreadSanitizer judges. A program that is right must be silent, a racy
 * one must be reported: else what the library tells it is too little, or too much.
 */
#ifndef TSAN_UTIL_H
#define TSAN_UTIL_H

#include <stdatomic.h>
#include <stdio.h>

#include "again.h"
#include "harness.h"

#define RACY_RUNS	5	/* that one of so many is reported is enough */

struct program {
	const char *name;
	void (*fn)(void);
};

/* Runs before main() where this program is started again for one of @list. */
static void run_program(const struct program *list, unsigned n)
{
	const char *name = asked_for();

	if (!name)
		return;
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(list[i].name, name)) {
			list[i].fn();
			exit(0);
		}
	_exit(2);
}

#define PROGRAMS(list) \
	__attribute__((constructor)) static void run_one(void) \
	{ \
		run_program(list, sizeof(list) / sizeof(list[0])); \
	}

static int judge(const char *name, char *out, size_t size)
{
	setenv("TSAN_OPTIONS", "exitcode=66 halt_on_error=1 report_thread_leaks=0", 1);
	return run_again(NULL, name, out, size);
}

/* Is the program silent, and right? */
static bool silent(const char *name)
{
	static char out[8192];
	int status = judge(name, out, sizeof(out));

	if (!status && !out[0])
		return true;
	show(name, status, out);
	return false;
}

/* Is its race reported? */
static bool reported(const char *name)
{
	static char out[8192];
	int status = 0;

	for (int i = 0; i < RACY_RUNS && !status; i++)
		status = judge(name, out, sizeof(out));
	if (status == REPORTED && strstr(out, "data race"))
		return true;
	show(name, status, out);
	return false;
}

/* ---- for the programs ---- */

static pthread_t go(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	MUST(!pthread_create(&t, NULL, fn, arg));
	return t;
}

/* Steps that ThreadSanitizer sees no order in. */
static atomic_int step;

static void at_step(int n)
{
	while (atomic_load_explicit(&step, memory_order_relaxed) < n)
		usleep(200);
}

static void next_step(void)
{
	atomic_fetch_add_explicit(&step, 1, memory_order_relaxed);
}

#endif
