/* SPDX-License-Identifier: MIT */
/* Fault injection: /proc/thread-self/fail-nth, on kernels that have it. */
#ifndef INJECT_H
#define INJECT_H

#include "util.h"

static inline int fail_nth_open(void)
{
	return open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

/* From now on the @n-th allocation or copy of this thread fails; 0: none. */
static inline void fail_nth(int nth_fd, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	/* taking it back copies, which may be what fails */
	while (pwrite(nth_fd, text, len, 0) != len && errno != EBADF)
		;
}

static inline void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

/* Can what may sleep fail too, as it can here? And nothing is logged of it. */
static inline void fail_sleepers(bool yes)
{
	const char *wait = yes ? "N" : "Y";

	put("/sys/kernel/debug/failslab/ignore-gfp-wait", wait);
	put("/sys/kernel/debug/failslab/verbose", "0");
	put("/sys/kernel/debug/fail_usercopy/verbose", "0");
	put("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", wait);
	put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", wait);
	put("/sys/kernel/debug/fail_page_alloc/min-order", "0");
}

#endif
