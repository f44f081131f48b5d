/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <time.h>

#include "call.h"
#include "race.h"

#define SLOTS (1U << 16)

static char race_map[SLOTS * 8];

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static void *at(uint64_t key)
{
	return &race_map[mix(key) % SLOTS * 8];
}

/* A new tag for each transfer: no two calls of a thread share an instant. */
uint32_t race_tag(void)
{
	struct timespec t;
	uint32_t tag;

	if (!race_on())
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &t);
	tag = mix((uint64_t)t.tv_sec * 1000000000 + t.tv_nsec +
		  ((uint64_t)syscall(SYS_gettid) << 40));
	return tag ? tag : 1;
}

void race_release_tag(uint32_t tag)
{
	if (tag)
		__tsan_release(at(tag));
}

void race_acquire_tag(uint32_t tag)
{
	if (tag)
		__tsan_acquire(at(tag));
}

void race_release(enum race_kind kind, uint64_t id)
{
	__tsan_release(at((uint64_t)kind << 56 | id));
}

void race_acquire(enum race_kind kind, uint64_t id)
{
	__tsan_acquire(at((uint64_t)kind << 56 | id));
}

/* A last close is known by its error alone, not by who closed. */
void race_closed(int err)
{
	if (err == EOWNERDEAD && __tsan_java_finalize)
		__tsan_java_finalize();
}

void race_shut_seen(const struct chan_info *i)
{
	if (!race_on() || !i->shut)
		return;
	race_acquire(RACE_SHUT, i->id);
	race_closed(i->send_err);
	race_closed(i->recv_err);
}

void race_end_seen(const struct chan_group_info *i)
{
	if (!race_on() || i->state != CHAN_ENDED)
		return;
	race_acquire(RACE_ENDS, 0);
	race_closed(i->err);
}

/* Acquire what a shut of @fd's channel has released. False: @fd is no end of one. */
static bool saw_shut(int fd)
{
	struct chan_info i;

	if (call_out(fd, KCHAN_IOC_INFO, &i, sizeof(i)))
		return false;
	race_shut_seen(&i);
	return true;
}

/* Acquire what the end of group @fd has released, if @fd is a group. */
static void saw_end(int fd)
{
	struct chan_group_info g;

	if (!call_out(fd, KCHAN_IOC_GROUP_INFO, &g, sizeof(g)))
		race_end_seen(&g);
}

void race_polled(int fd)
{
	int saved = errno;

	if (race_on() && !saw_shut(fd))
		saw_end(fd);
	errno = saved;
}

void race_failed(int fd, int under, int r)
{
	int saved = errno;

	if (!race_on())
		return;
	if (r == -EPIPE || r == -ECONNRESET)
		saw_shut(fd);
	else if ((r == -ECANCELED || r == -ETIMEDOUT) && under != -1)
		saw_end(under);
	errno = saved;
}
