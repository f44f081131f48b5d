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

#include "race.h"
#include "tool.h"

#define API __attribute__((visibility("default")))

static __attribute__((noinline, cold, unused)) int fail(int err)
{
	errno = err;
	return -err;
}

/*
 * Some files answer EINVAL to a request that they don't know, an epoll one for instance:
 * only what knows another of ours, without side effects, knows this one.
 */
static __attribute__((noinline, cold, unused)) int refused(int fd, int err)
{
	struct kchan_features f;
	struct kchan_out out = { .addr = (uintptr_t)&f, .size = sizeof(f) };

	if (err == EINVAL && ioctl(fd, KCHAN_IOC_FEATURES, &out) < 0)
		err = ENOTTY;
	return fail(err);
}

/* Without a trip through the C library where it can be avoided: the kernel's answer. */
static inline long enter(int fd, unsigned long req, const void *arg)
{
	long ret;

#if defined(__x86_64__) && defined(__LP64__)
	__asm__ volatile("syscall" : "=a"(ret)
			 : "0"(SYS_ioctl), "D"((long)fd), "S"(req), "d"(arg)
			 : "rcx", "r11", "memory");
#else
	ret = ioctl(fd, req, arg);
	if (ret < 0)
		ret = -errno;
#endif
	return ret;
}

/* Where no tool watches. */
static inline int call_bare(int fd, unsigned long req, const void *arg)
{
	long ret = enter(fd, req, arg);

	return __builtin_expect(ret < 0, 0) ? refused(fd, -ret) : ret;
}

/*
 * A race detector must see the call: it runs signal handlers when the C library's
 * calls return.
 */
static inline int call(int fd, unsigned long req, const void *arg)
{
	int r;

	if (!race_on())
		return call_bare(fd, req, arg);
	r = ioctl(fd, req, arg);
	return r < 0 ? refused(fd, errno) : r;
}

/* One without a structure. */
static inline int call_plain(int fd, unsigned long req, unsigned long arg)
{
	int r = tool_on() ? tool_ioctl(fd, req, arg) : enter(fd, req, (const void *)arg);

	return r < 0 ? refused(fd, -r) : r;
}

/*
 * Without the C library's open(), which is a cancellation point, and which a race
 * detector would remember after drop(): the number is another descriptor's soon.
 * A container that may not have the device is answered EPERM, which is -1.
 */
static inline int open_device(void)
{
	int fd = syscall(SYS_openat, AT_FDCWD, "/dev/kchan", O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == EPERM)
		errno = EACCES;
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
