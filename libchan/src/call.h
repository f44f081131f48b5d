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

static inline int fail(int err)
{
	errno = err;
	return -err;
}

static inline int call(int fd, unsigned long req, const void *arg)
{
	int r = ioctl(fd, req, arg);

	return r < 0 ? -errno : r;
}

static inline int open_device(void)
{
	int fd = open("/dev/kchan", O_RDWR | O_CLOEXEC);

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
