/* SPDX-License-Identifier: MIT */
/* How a call is made: one ioctl(2); its error is returned and stored in errno. */
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
 * Some files answer EINVAL to a request they don't know, those of epoll for instance. Only
 * a file that answers KCHAN_IOC_FEATURES, which has no side effects, is one of kchan's.
 */
static __attribute__((noinline, cold, unused)) int refused(int fd, int err)
{
	struct kchan_features f;
	struct kchan_out out = { .addr = (uintptr_t)&f, .size = sizeof(f) };

	if (err == EINVAL && ioctl(fd, KCHAN_IOC_FEATURES, &out) < 0)
		err = ENOTTY;
	return fail(err);
}

/* Enter the kernel, without the C library where possible. Returns the kernel's answer. */
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

/* For a process that no tool watches. */
static inline int call_bare(int fd, unsigned long req, const void *arg)
{
	long ret = enter(fd, req, arg);

	return __builtin_expect(ret < 0, 0) ? refused(fd, -ret) : ret;
}

/*
 * ThreadSanitizer must see the call: it runs signal handlers when functions of the C
 * library return.
 */
static inline int call(int fd, unsigned long req, const void *arg)
{
	int r;

	if (!race_on())
		return call_bare(fd, req, arg);
	r = ioctl(fd, req, arg);
	return r < 0 ? refused(fd, errno) : r;
}

/* For a request that answers into @buf, with at most @size bytes. */
static inline int call_out(int fd, unsigned long req, void *buf, uint32_t size)
{
	struct kchan_out out = { .addr = (uintptr_t)buf, .size = size };

	return call(fd, req, &out);
}

/* The same for a buffer of the program's, of which the tools are told. */
static inline int call_info(int fd, unsigned long req, void *info, size_t size)
{
	int r;

	if (size > UINT32_MAX)
		return fail(EINVAL);
	if (tool_on())
		tool_room(info, size);
	r = call_out(fd, req, info, size);
	if (!r && tool_on())
		tool_stored(info, size);
	return r;
}

/* For a request whose argument is a number. */
static inline int call_plain(int fd, unsigned long req, unsigned long arg)
{
	int r = tool_on() ? tool_ioctl(fd, req, arg) : enter(fd, req, (const void *)arg);

	return r < 0 ? refused(fd, -r) : r;
}

/*
 * Not the C library's open(): that is a cancellation point, and ThreadSanitizer would
 * remember the descriptor after drop(), when another one may have its number. A container
 * that may not use the device gets EPERM, whose negative, -1, would read as "no group".
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
