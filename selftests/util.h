/* SPDX-License-Identifier: MIT */
/*
 * What the test programs share. Numbers in their comments are of behaviours that Go's
 * tests show, and that hold here: CH channels, NP descriptors that are -1 or wrong, CL
 * close, NB calls that do not wait, SE select, FA order and fairness, ST stress, ZS
 * messages without bytes, PR programs, CX context, WG WaitGroup, EG errgroup, GW
 * go-workgroup, PT patterns, TM timers, MM memory order, RM resources, FD descriptors,
 * PX processes; D, decisions where processes and descriptors have no likeness in Go.
 */
#ifndef UTIL_H
#define UTIL_H

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <libchan.h>
#include <linux/kchan.h>

#define MS	INT64_C(1000000)
#define SOON	chan_after(60000 * MS)	/* a hang becomes ETIMEDOUT */

static inline int quick(int full, int small)
{
	return getenv("KCHAN_QUICK") ? small : full;
}

/*
 * How often something is done for which Go's own tests have a number: as often as there
 * where KCHAN_LONG is set, and a tenth of it where a kernel is slow; else what there is
 * time for.
 */
static inline int count(int go, int full, int small)
{
	if (!getenv("KCHAN_LONG"))
		return quick(full, small);
	return getenv("KCHAN_QUICK") ? (go + 9) / 10 : go;
}

/* How many are killed at random, also where all else is done less often. */
static inline int kills(void)
{
	const char *n = getenv("KCHAN_KILLS");

	return n ? atoi(n) : quick(10000, 300);
}

static inline struct chan_info info_of(int fd)
{
	struct chan_info i = {};

	chan_info(fd, &i, sizeof(i));
	return i;
}

/* How long to wait for what comes at once, in milliseconds: also where the host is busy. */
#define PATIENCE	60000

/* Wait until so many are parked: the state is looked at, not slept for. */
static inline bool parked(int fd, unsigned senders, unsigned receivers)
{
	for (int i = 0; i < PATIENCE; i++) {
		struct chan_info in = info_of(fd);

		if (in.id && in.parked_senders == senders && in.parked_receivers == receivers)
			return true;
		usleep(1000);
	}
	return false;
}

/*
 * A send that waits for a moment, and does not happen: once more, and longer, if it was
 * late before it had begun to wait, and so could tell no receive that has no room.
 */
static inline bool waits_in_vain(int tx, const void *msg, size_t len)
{
	for (int64_t ns = 5 * MS; ns < PATIENCE * MS; ns *= 2) {
		if (chan_send(tx, msg, len, -1, chan_after(ns)) != -ETIMEDOUT)
			return false;
		if (!info_of(tx).parked_receivers)
			return true;
	}
	return false;
}

/* A send or receive on another thread. */
struct op {
	pthread_t t;
	int fd, val;
	long ret;
};

static inline void *op_send(void *arg)
{
	struct op *o = arg;

	o->ret = chan_send(o->fd, &o->val, sizeof(o->val), -1, SOON);
	return NULL;
}

static inline void *op_recv(void *arg)
{
	struct op *o = arg;

	o->val = -1;
	o->ret = chan_recv(o->fd, &o->val, sizeof(o->val), -1, SOON);
	return NULL;
}

/* TEST_F(name, ...): one body, with variant->proc false and true for party_start(). */
#define THREADS_AND_PROCESSES(name)					\
	FIXTURE(name) { int unused; };					\
	FIXTURE_VARIANT(name) { bool proc; };				\
	FIXTURE_VARIANT_ADD(name, threads) { .proc = false };		\
	FIXTURE_VARIANT_ADD(name, processes) { .proc = true };		\
	FIXTURE_SETUP(name) { self->unused = 0; }			\
	FIXTURE_TEARDOWN(name) { }

/* A body that runs on a thread, or in a child that inherits all descriptors. */
struct party {
	pthread_t t;
	pid_t pid;			/* 0: a thread */
	int tid;			/* set once it runs */
	int (*fn)(void *arg);
	void *arg;			/* for a child: shared() memory */
	int ret;
};

/* In a party's body: it ends with status 1, and says where. */
#define WANT(x) do {							\
	if (!(x)) {							\
		fprintf(stderr, "# %s:%d: %s\n", __func__, __LINE__, #x); \
		return 1;						\
	}								\
} while (0)

static inline void *party_thread(void *arg)
{
	struct party *p = arg;

	__atomic_store_n(&p->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	p->ret = p->fn(p->arg);
	return NULL;
}

static inline bool party_start(struct party *p, bool process, int (*fn)(void *), void *arg)
{
	pid_t pid;

	*p = (struct party){ .fn = fn, .arg = arg };
	if (!process)
		return !pthread_create(&p->t, NULL, party_thread, p);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_DFL);	/* no channel sends it: it would show */
		_exit(fn(arg));
	}
	p->pid = p->tid = pid;		/* by the parent alone: it may be shared memory */
	return pid > 0;
}

static inline int party_send(void *arg)	/* struct op, shared() */
{
	op_send(arg);
	return 0;
}

static inline int party_recv(void *arg)
{
	op_recv(arg);
	return 0;
}

/* What its body returned, 0..127; -signal if that ended it. */
static inline int party_end(struct party *p)
{
	int status;

	if (!p->pid) {
		pthread_join(p->t, NULL);
		return p->ret;
	}
	if (waitpid(p->pid, &status, 0) != p->pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Does the thread @tid, 0 if there is none yet, sleep in the system call @nr? */
static inline bool sleeps_in(int tid, long nr)
{
	char path[40], text[64] = "";
	bool yes;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	fd = tid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	yes = read(fd, text, sizeof(text) - 1) > 0 && isdigit(text[0]) && atol(text) == nr;
	close(fd);
	return yes;
}

/* Wait until a thread sleeps in the system call @nr. */
static inline bool asleep_in(const int *tid, long nr)
{
	for (int i = 0; i < PATIENCE; i++, usleep(1000))
		if (sleeps_in(__atomic_load_n(tid, __ATOMIC_ACQUIRE), nr))
			return true;
	return false;
}

/* ... in an ioctl, for calls that no channel counts. */
static inline bool asleep(const int *tid)
{
	return asleep_in(tid, SYS_ioctl);
}

static inline int entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* Descriptors that are open, and a few more, always the same. */
static inline int open_count(void)
{
	return entries("/proc/self/fd");
}

/* The number that the next descriptor gets: one that leaked, or is kept, is not it. */
static inline int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* Threads that are not quite gone yet, too. */
static inline int thread_count(void)
{
	return entries("/proc/self/task");
}

/*
 * Are @n timers of the module's armed, of all programs? A list may miss one, or show it
 * twice, if others' come and go meanwhile: then the next does not.
 */
static inline bool timers_armed(int n)
{
	int seen = -1;

	for (int i = 0; i < PATIENCE / 10 && seen != n; i++) {
		FILE *f = fopen("/proc/timer_list", "r");
		char line[256];

		for (seen = f ? 0 : -1; f && fgets(line, sizeof(line), f); )
			seen += strstr(line, "timer_fired [kchan]") != NULL;
		if (f)
			fclose(f);
		if (seen != n)
			usleep(10000);
	}
	return seen == n;
}

/* Tasks ever made, the kernel's own as well: the number of the last one. */
static inline int last_task(void)
{
	FILE *f = fopen("/proc/loadavg", "r");
	int n = -1;

	if (f && fscanf(f, "%*s %*s %*s %*s %d", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* To the largest seen. */
static inline void note_most(int *most, int now)
{
	int old = __atomic_load_n(most, __ATOMIC_SEQ_CST);

	while (now > old &&
	       !__atomic_compare_exchange_n(most, &old, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static inline bool stay_on(int cpu, int tid)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(tid, sizeof(set), &set);
}

/* The caller, and those it starts from here on, share one processor. */
static inline bool one_cpu(void)
{
	return stay_on(0, 0);
}

static inline void close2(int *end)
{
	close(end[0]);
	close(end[1]);
}

#endif
