/* SPDX-License-Identifier: MIT */
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>

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

/* Another one each time: no two calls of a thread share an instant. */
uint32_t race_tag(void)
{
	struct timespec t;
	uint32_t tag;

	clock_gettime(CLOCK_MONOTONIC, &t);
	tag = mix((uint64_t)t.tv_sec * 1000000000 + t.tv_nsec +
		  ((uint64_t)syscall(SYS_gettid) << 40));
	return tag ? tag : 1;
}

void race_release_tag(uint32_t tag)
{
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

void race_reads(const void *p, size_t len)
{
	if (len)
		__tsan_read_range((void *)p, len);
}

void race_writes(void *p, size_t len)
{
	if (len)
		__tsan_write_range(p, len);
}
