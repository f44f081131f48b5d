/* SPDX-License-Identifier: MIT */
/*
 * Programs that ThreadSanitizer judges. Each is a function that runs in a fresh
 * process, this program started again; what it reports ends that with status 66.
 * A program that is right must be silent, a racy one must be reported: else what
 * the library tells ThreadSanitizer is too little, or too much.
 */
#ifndef TSAN_UTIL_H
#define TSAN_UTIL_H

#include <stdatomic.h>
#include <stdio.h>

#include "util.h"
#include "harness.h"

#define REPORTED	66
#define RACY_RUNS	5	/* that one of so many is reported is enough */

struct program {
	const char *name;
	void (*fn)(void);
};

/* What goes wrong beside races: status 1. */
#define MUST(x) do {							\
	if (!(x)) {							\
		fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #x);	\
		_exit(1);						\
	}								\
} while (0)

/* Runs before main() where this program is started again for one of @list. */
static void run_program(const struct program *list, unsigned n)
{
	const char *name = getenv("TSAN_PROGRAM");

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

/* The exit status of @name, and what it has said in @out. */
static int run_again(const char *name, char *out, size_t size)
{
	int p[2], status;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(p[1], 2);
		setenv("TSAN_PROGRAM", name, 1);
		setenv("TSAN_OPTIONS", "exitcode=66 halt_on_error=1 report_thread_leaks=0", 1);
		execl("/proc/self/exe", name, NULL);
		_exit(3);
	}
	close(p[1]);
	unsetenv("TSAN_PROGRAM");
	while (got < size - 1 && (n = read(p[0], out + got, size - 1 - got)) > 0)
		got += n;
	out[got] = 0;
	close(p[0]);
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void show(const char *name, int status, const char *out)
{
	fprintf(stderr, "# %s: status %d\n%s\n", name, status, out);
}

/* Is the program silent, and right? */
static bool silent(const char *name)
{
	static char out[8192];
	int status = run_again(name, out, sizeof(out));

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
		status = run_again(name, out, sizeof(out));
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
