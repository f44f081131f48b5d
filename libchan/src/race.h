/* SPDX-License-Identifier: MIT */
/*
 * What a race detector (ThreadSanitizer) is told. In a program built with it the
 * weak symbols below exist, and each call tells who synchronises with whom; which memory
 * it reads and writes, tool.h tells. In any other program none of this does anything.
 *
 * A transfer carries a tag, a number that names an address in race_map: whoever
 * sends releases the address of its tag and acquires that of the tag it is given,
 * and so does whoever receives. The kernel hands each side the tag of the other
 * side only where the memory model says that it synchronises. Shuts have addresses
 * by their channel, leaves by the group they leave; the ends of groups share one, and
 * so do values. A last descriptor's close is seen, but the library has not seen who
 * closed it: then everything done so far by anybody counts as done before. The map is
 * never read or written. Where two share an address, and after such a close, a race
 * can go unseen, but none is made up.
 */
#ifndef LIBCHAN_RACE_H
#define LIBCHAN_RACE_H

#include <stddef.h>
#include <stdint.h>

#include <libchan.h>

extern void __tsan_acquire(void *) __attribute__((weak));
extern void __tsan_release(void *) __attribute__((weak));
extern void __tsan_read_range(void *, long) __attribute__((weak));	/* for tool.c */
extern void __tsan_write_range(void *, long) __attribute__((weak));
extern void __tsan_java_finalize(void) __attribute__((weak));	/* acquires from all */

#define race_on() __builtin_expect(__tsan_acquire != NULL, 0)

enum race_kind { RACE_SHUT = 1, RACE_MEMBERS, RACE_ENDS, RACE_VALUES };

uint32_t race_tag(void);	/* 0: no race detector */
void race_release_tag(uint32_t tag);
void race_acquire_tag(uint32_t tag);
void race_release(enum race_kind kind, uint64_t id);
void race_acquire(enum race_kind kind, uint64_t id);
void race_shut_seen(const struct chan_info *i);
void race_end_seen(const struct chan_group_info *i);
void race_closed(int err);

/* A poll found @fd ready: synchronise with a shut or the end of a group. Keeps errno. */
void race_polled(int fd);

/* A call on @fd, under @under, failed with @r: synchronise with the cause. Keeps errno. */
void race_failed(int fd, int under, int r);

#endif
