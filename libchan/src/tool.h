/* SPDX-License-Identifier: MIT */
/*
 * Tools that watch memory: ThreadSanitizer, AddressSanitizer, MemorySanitizer and
 * valgrind. None of them sees what the kernel reads and stores in a call, so each call
 * tells them: before, what will be read and where there must be room; after, exactly what
 * was stored.
 */
#ifndef LIBCHAN_TOOL_H
#define LIBCHAN_TOOL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Set once a call has found that there is no tool. Under a tool it is never set, and each
 * call looks again: ThreadSanitizer would take the store for a race.
 */
extern int no_tool __attribute__((visibility("hidden")));

bool tool_found(void);

#define tool_on() (__builtin_expect(!no_tool, 0) && tool_found())

bool tool_reads(const void *p, size_t len);	/* false: valgrind has reported an error */
void tool_room(void *p, size_t len);
void tool_stored(void *p, size_t len);

/* The kernel has read the text @s, or as much of it as @most bytes. */
void tool_text(const char *s, size_t most);

/* Is @fd one of valgrind's own, which the program can't close? */
bool tool_owns(int fd);

/* A request whose argument is a number. Returns the kernel's answer. */
int tool_ioctl(int fd, unsigned long req, unsigned long arg);

#endif
