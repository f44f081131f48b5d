/* SPDX-License-Identifier: MIT */
/*
 * What the tools that watch memory are told: ThreadSanitizer, AddressSanitizer,
 * MemorySanitizer and valgrind. None of them sees what the kernel reads and stores in
 * a call, so each call says it: before, what will be read and where there must be
 * room; after, what was stored, and not a byte more.
 */
#ifndef LIBCHAN_TOOL_H
#define LIBCHAN_TOOL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * 1 once a call has found that there is no tool. Where there is one, nothing is
 * stored, and each call looks: a store would be a race to a tool that watches threads.
 */
extern int no_tool __attribute__((visibility("hidden")));

bool tool_found(void);

#define tool_on() (__builtin_expect(!no_tool, 0) && tool_found())

bool tool_reads(const void *p, size_t len);	/* false: valgrind has reported it */
void tool_room(void *p, size_t len);
void tool_stored(void *p, size_t len);

/* The kernel has read the text @s, or as much of it as @most bytes. */
void tool_text(const char *s, size_t most);

/* Is @fd one of valgrind's own, which the program can't close? */
bool tool_owns(int fd);

/* A request without a structure: the kernel's answer. */
int tool_ioctl(int fd, unsigned long req, unsigned long arg);

#endif
