/* SPDX-License-Identifier: MIT */
/* Threads that wait, by the thousand. See bench.h. */
#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK (64 << 10)		/* what is not touched costs nothing */

struct sheep {
	struct herd *herd;
	unsigned k;
	pid_t tid;			/* set before it first sleeps */
	pthread_t thread;
};

static void *live(void *arg)
{
	struct sheep *s = arg;
	struct herd *h = s->herd;

	pin(s->k);
	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&h->go, __ATOMIC_ACQUIRE))
		sleep_while(&h->go, 0);
	h->fn(h->arg);
	if (__atomic_add_fetch(&h->returned, 1, __ATOMIC_ACQ_REL) == h->n) {
		h->end = now();
		__atomic_store_n(&h->ended, 1, __ATOMIC_RELEASE);
		wake(&h->ended, 1);
	}
	while (!__atomic_load_n(&h->over, __ATOMIC_ACQUIRE))
		sleep_while(&h->over, 0);
	return NULL;
}

/* False, errno: the system takes no more; those that were made sleep on. */
bool herd_start(struct herd *h, unsigned n, void (*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;

	*h = (struct herd){ .n = n, .fn = fn, .arg = arg };
	h->sheep = calloc(n, sizeof(*h->sheep));
	h->stacks = mmap(NULL, (size_t)n * STACK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	must(!h->sheep || h->stacks == MAP_FAILED ? -1 : 0, "memory of threads");
	madvise(h->stacks, (size_t)n * STACK, MADV_NOHUGEPAGE);
	pthread_attr_init(&attr);
	for (unsigned k = 0; k < n; k++) {
		struct sheep *s = &h->sheep[k];

		s->herd = h;
		s->k = k;
		pthread_attr_setstack(&attr, (char *)h->stacks + (size_t)k * STACK, STACK);
		errno = pthread_create(&s->thread, &attr, live, s);
		if (errno)
			return false;
	}
	herd_asleep(h);
	return true;
}

static bool asleep(struct sheep *s)
{
	pid_t tid = __atomic_load_n(&s->tid, __ATOMIC_ACQUIRE);
	char path[40], state = 0;
	FILE *f;

	if (!tid)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	must(f ? 0 : -1, path);
	must(fscanf(f, "%*d (%*[^)]) %c", &state) == 1 ? 0 : -1, path);
	fclose(f);
	return state == 'S';
}

void herd_asleep(struct herd *h)
{
	for (unsigned k = 0; k < h->n; k++)
		while (!asleep(&h->sheep[k]))
			usleep(1000);
}

void herd_go(struct herd *h)
{
	__atomic_store_n(&h->go, 1, __ATOMIC_RELEASE);
	wake(&h->go, INT_MAX);
}

void herd_end(struct herd *h)
{
	while (!__atomic_load_n(&h->ended, __ATOMIC_ACQUIRE))
		sleep_while(&h->ended, 0);
	__atomic_store_n(&h->over, 1, __ATOMIC_RELEASE);
	wake(&h->over, INT_MAX);
	for (unsigned k = 0; k < h->n; k++)
		pthread_join(h->sheep[k].thread, NULL);
	munmap(h->stacks, (size_t)h->n * STACK);
	free(h->sheep);
}
