/* SPDX-License-Identifier: MIT */
/* What the benchmark programs share: options, clock, rows, crews. See bench.h. */
#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct options options = { .rounds = 1.0 };
static cpu_set_t cpus;			/* that the program was started on */

static void usage(const char *program)
{
	fprintf(stderr, "usage: %s [--rounds F] [--hot] [--across] [--latency]\n", program);
	exit(2);
}

void bench_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *end = "";

		if (!strcmp(argv[i], "--hot"))
			options.hot = true;
		else if (!strcmp(argv[i], "--across"))
			options.across = true;
		else if (!strcmp(argv[i], "--latency"))
			options.latency = true;
		else if (!strcmp(argv[i], "--rounds") && ++i < argc)
			options.rounds = strtod(argv[i], &end);
		else
			usage(argv[0]);
		if (*end || !(options.rounds > 0))
			usage(argv[0]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(sched_getaffinity(0, sizeof(cpus), &cpus), "sched_getaffinity");
	raise_limits();
}

long must(long ret, const char *what)
{
	if (ret >= 0)
		return ret;
	perror(what);
	exit(1);
}

int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

long scaled(long ops)
{
	double n = ops * options.rounds;

	return n < 1 ? 1 : (long)n;
}

void pin(unsigned k)
{
	cpu_set_t one;
	int cpu = -1;

	for (k = k % CPU_COUNT(&cpus) + 1; k; k--)
		while (!CPU_ISSET(++cpu, &cpus))
			;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	must(sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity");
}

void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(p == MAP_FAILED ? -1 : 0, "mmap");
	return p;
}

void write_sysctl(const char *path, long value)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return;
	fprintf(f, "%ld\n", value);
	fclose(f);
}

static void raise_limit(int resource, rlim_t to)
{
	struct rlimit l;

	getrlimit(resource, &l);
	if (l.rlim_cur != RLIM_INFINITY && l.rlim_cur < to) {
		l.rlim_cur = to;
		if (l.rlim_max != RLIM_INFINITY && l.rlim_max < to)
			l.rlim_max = to;
		setrlimit(resource, &l);
	}
}

void raise_limits(void)
{
	raise_limit(RLIMIT_NOFILE, 300000);
	raise_limit(RLIMIT_NPROC, 100000);
	raise_limit(RLIMIT_MSGQUEUE, RLIM_INFINITY);
	write_sysctl("/proc/sys/kernel/threads-max", 50000);
	write_sysctl("/proc/sys/kernel/pid_max", 100000);
	write_sysctl("/proc/sys/fs/mqueue/msg_max", 1024);
	write_sysctl("/proc/sys/fs/mqueue/msgsize_max", 1 << 20);
	write_sysctl("/proc/sys/fs/mqueue/queues_max", 100000);
}

void progress(const char *work)
{
	fprintf(stderr, "%s\n", work);
}

void skip(const char *work, const char *peer, const char *why)
{
	fprintf(stderr, "%s: %s left out: %s\n", work, peer, why);
}

void row_text(const char *work, const char *peer, size_t size, const char *n, const char *unit,
	      double value)
{
	printf("%s,%s,%zu,%s,%s,%.1f\n", work, peer, size, n, unit, value);
}

void row(const char *work, const char *peer, size_t size, long n, const char *unit, double value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", n);
	row_text(work, peer, size, text, unit, value);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void percentiles(const char *work, const char *peer, size_t size, long n, int64_t *ns, long ops)
{
	qsort(ns, ops, sizeof(*ns), by_value);
	row(work, peer, size, n, "p50", ns[ops / 2]);
	row(work, peer, size, n, "p99", ns[ops * 99 / 100]);
	row(work, peer, size, n, "p999", ns[ops * 999 / 1000]);
}

double per_op(void (*fn)(void *arg, long ops), void *arg, long ops)
{
	int64_t t;

	fn(arg, ops / 10 + 1);
	t = now();
	fn(arg, ops);
	return (double)(now() - t) / ops;
}

void answer_later(void)
{
	struct sched_param p = { 0 };

	pin(0);
	must(sched_setscheduler(0, SCHED_IDLE, &p), "sched_setscheduler");
}

long sleeps(void)
{
	struct rusage u;

	must(getrusage(RUSAGE_THREAD, &u), "getrusage");
	return u.ru_nvcsw;
}

void must_have_slept(long before, long times, const char *work)
{
	long slept = sleeps() - before;

	if (slept >= 0.9 * times)
		return;
	fprintf(stderr, "%s: slept %ld times in %ld waits, the answer was there before\n",
		work, slept, times);
	exit(1);
}

void sleep_while(uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

void wake(uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

/* In shared memory: the clock starts when all are warm, and stops with the last. */
struct crew {
	uint32_t warm, go, done;
	unsigned n;
	int64_t end;
	worker_fn *fn;
	void *arg;
	long warm_ops, ops;
};

struct worker {
	struct crew *crew;
	unsigned k;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct crew *c = w->crew;

	pin(w->k);
	c->fn(c->arg, w->k, c->warm_ops);
	if (__atomic_add_fetch(&c->warm, 1, __ATOMIC_ACQ_REL) == c->n)
		wake(&c->warm, 1);
	while (!__atomic_load_n(&c->go, __ATOMIC_ACQUIRE))
		sleep_while(&c->go, 0);
	c->fn(c->arg, w->k, c->ops);
	if (__atomic_add_fetch(&c->done, 1, __ATOMIC_ACQ_REL) == c->n)
		c->end = now();
	return NULL;
}

/* A child that failed has said why; the others would wait for it for ever. */
static void child_ended(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_code != CLD_EXITED || info->si_status)
		_exit(1);
}

static void start_process(struct worker *w)
{
	struct sigaction sa = { .sa_sigaction = child_ended, .sa_flags = SA_SIGINFO | SA_RESTART };
	pid_t parent = getpid();

	sigaction(SIGCHLD, &sa, NULL);
	if (must(fork(), "fork"))
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	work(w);
	exit(0);			/* libraries send what they still have */
}

int64_t crew(unsigned n, bool processes, worker_fn *fn, void *arg, long warm, long ops)
{
	struct crew *c = shared(sizeof(*c));
	struct worker w[n];
	int64_t start, ns;
	int status;
	uint32_t ready;

	*c = (struct crew){ .n = n, .fn = fn, .arg = arg, .warm_ops = warm, .ops = ops };
	for (unsigned k = 0; k < n; k++) {
		w[k] = (struct worker){ .crew = c, .k = k };
		if (processes) {
			start_process(&w[k]);
		} else {
			errno = pthread_create(&w[k].thread, NULL, work, &w[k]);
			must(-errno, "pthread_create");
		}
	}
	while ((ready = __atomic_load_n(&c->warm, __ATOMIC_ACQUIRE)) < n)
		sleep_while(&c->warm, ready);
	start = now();
	__atomic_store_n(&c->go, 1, __ATOMIC_RELEASE);
	wake(&c->go, INT_MAX);
	for (unsigned k = 0; k < n; k++) {
		if (!processes)
			pthread_join(w[k].thread, NULL);
		else if (must(wait(&status), "wait") && status)
			exit(1);
	}
	ns = c->end - start;
	munmap(c, sizeof(*c));
	return ns;
}
