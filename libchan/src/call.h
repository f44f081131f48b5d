/* SPDX-License-Identifier: MIT */
/* What every call is made of: one ioctl, its error kept in errno too. */
#ifndef LIBCHAN_CALL_H
#define LIBCHAN_CALL_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libchan.h>
#include <linux/kchan.h>

#define API __attribute__((visibility("default")))

static __attribute__((noinline, cold, unused)) int fail(int err)
{
	errno = err;
	return -err;
}

/* Without a trip through the C library where it can be avoided. */
static inline int call(int fd, unsigned long req, const void *arg)
{
#if defined(__x86_64__) && defined(__LP64__)
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "0"(SYS_ioctl), "D"((long)fd), "S"(req), "d"(arg)
			 : "rcx", "r11", "memory");
	return __builtin_expect(r < 0, 0) ? fail(-r) : r;
#else
	int r = ioctl(fd, req, arg);

	return r < 0 ? -errno : r;
#endif
}

/*
 * Without the C library's open(), which is a cancellation point, and which a race
 * detector would remember after drop(): the number is another descriptor's soon.
 */
static inline int open_device(void)
{
	int fd = syscall(SYS_openat, AT_FDCWD, "/dev/kchan", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Close without touching errno, and without being a cancellation point. */
static inline void drop(int fd)
{
	int saved = errno;

	syscall(SYS_close, fd);
	errno = saved;
}

#endif
