/* SPDX-License-Identifier: MIT */
#include <sys/resource.h>

#include "call.h"
#include "race.h"
#include "tool.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif

#ifndef VALGRIND_MAKE_MEM_DEFINED
#define RUNNING_ON_VALGRIND			0
#define VALGRIND_CHECK_MEM_IS_DEFINED(p, len)	((void)(p), 0)
#define VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, len) ((void)(p), 0)
#define VALGRIND_MAKE_MEM_DEFINED(p, len)	((void)(p), 0)
#endif

/* What the sanitizers' own wrappers of read() and write() call, or what is like it. */
extern void *__asan_region_is_poisoned(void *, size_t) __attribute__((weak));
extern void __asan_report_load_n_noabort(void *, size_t) __attribute__((weak));
extern void __asan_report_store_n_noabort(void *, size_t) __attribute__((weak));
extern void __msan_check_mem_is_initialized(const volatile void *, size_t) __attribute__((weak));
extern void __msan_unpoison(const volatile void *, size_t) __attribute__((weak));

int no_tool;

bool tool_found(void)
{
	if (race_on() || __asan_region_is_poisoned || __msan_unpoison || RUNNING_ON_VALGRIND)
		return true;
	__atomic_store_n(&no_tool, 1, __ATOMIC_RELAXED);
	return false;
}

/* No message is longer: a wrong length costs the tools bounded work. */
static size_t bounded(size_t len)
{
	return len < 16 << 20 ? len : 16 << 20;
}

/* The first byte that AddressSanitizer knows to be out of bounds or freed, or NULL. */
static void *absent(const void *p, size_t len)
{
	return __asan_region_is_poisoned ? __asan_region_is_poisoned((void *)p, len) : NULL;
}

bool tool_reads(const void *p, size_t len)
{
	void *bad;

	len = bounded(len);
	if (!len)
		return true;
	if (race_on())
		__tsan_read_range((void *)p, len);
	bad = absent(p, len);
	if (bad)
		__asan_report_load_n_noabort(bad, len);
	if (__msan_check_mem_is_initialized)
		__msan_check_mem_is_initialized(p, len);
	return !VALGRIND_CHECK_MEM_IS_DEFINED(p, len);
}

void tool_room(void *p, size_t len)
{
	void *bad;

	len = bounded(len);
	if (!len)
		return;
	bad = absent(p, len);
	if (bad)
		__asan_report_store_n_noabort(bad, len);
	(void)VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, len);
}

void tool_stored(void *p, size_t len)
{
	if (!len)
		return;
	if (race_on())
		__tsan_write_range(p, len);
	if (__msan_unpoison)
		__msan_unpoison(p, len);
	(void)VALGRIND_MAKE_MEM_DEFINED(p, len);
}

void tool_text(const char *s, size_t most)
{
	for (; most && tool_reads(s, 1) && *s; s++)
		most--;
}

/* Valgrind keeps its own above the hard limit that it shows the program. */
bool tool_owns(int fd)
{
	struct rlimit limit;

	return RUNNING_ON_VALGRIND && !getrlimit(RLIMIT_NOFILE, &limit) && fd >= 0 &&
	       (rlim_t)fd >= limit.rlim_max;
}

#if defined(VALGRIND_NON_SIMD_CALL3) && defined(__x86_64__) && defined(__LP64__)
#define BEHIND_VALGRIND
#if defined(__has_attribute)
#if __has_attribute(no_stack_protector)
__attribute__((no_stack_protector))	/* it runs on valgrind's stack, which has no canary */
#endif
#endif
static long bare(uintptr_t tid, long fd, unsigned long req, unsigned long arg)
{
	(void)tid;
	return enter(fd, req, (const void *)arg);
}
#endif

int tool_ioctl(int fd, unsigned long req, unsigned long arg)
{
	int r;

#ifdef BEHIND_VALGRIND
	/* valgrind warns of a request without a size: go past it; this never waits */
	if (RUNNING_ON_VALGRIND)
		return VALGRIND_NON_SIMD_CALL3(bare, (long)fd, req, arg);
#endif
	r = ioctl(fd, req, arg);
	return r < 0 ? -errno : r;
}
