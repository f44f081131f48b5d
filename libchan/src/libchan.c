/* SPDX-License-Identifier: MIT */
/* Each call is a few lines over one ioctl; nothing is kept between calls. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <libchan.h>
#include <linux/kchan.h>

#define API __attribute__((visibility("default")))

_Static_assert(sizeof(struct chan_case) == sizeof(struct kchan_case), "layout");
_Static_assert(offsetof(struct chan_case, msg.res) ==
	       offsetof(struct kchan_case, msg.res), "layout");
_Static_assert(sizeof(struct chan_info) == sizeof(struct kchan_info), "layout");
_Static_assert(CHAN_SEND == KCHAN_SEND && CHAN_RECV == KCHAN_RECV, "ops");
_Static_assert(CHAN_DROP_NEW == KCHAN_DROP_NEW && CHAN_DROP_OLD == KCHAN_DROP_OLD, "flags");
_Static_assert(CHAN_PRIO == KCHAN_PRIO && CHAN_RX == KCHAN_RX && CHAN_TX == KCHAN_TX, "names");

static int fail(int err)
{
	errno = err;
	return -err;
}

static int call(int fd, unsigned long req, void *arg)
{
	int r = ioctl(fd, req, arg);

	return r < 0 ? -errno : r;
}

static int open_device(void)
{
	int fd = open("/dev/kchan", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* close() without touching errno */
static void drop(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

API int64_t chan_after(int64_t ns)
{
	struct timespec now;
	int64_t t, sum;

	clock_gettime(CLOCK_MONOTONIC, &now);
	t = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (__builtin_add_overflow(t, ns, &sum))
		return CHAN_FOREVER;
	return sum ? sum : 1;
}

API int chan_make(int end[2], size_t msg_max, unsigned capacity, unsigned flags)
{
	struct kchan_make m = { .msg_max = msg_max, .capacity = capacity, .flags = flags };
	int dev, r;

	if (!end)
		return fail(EFAULT);
	dev = open_device();
	if (dev < 0)
		return dev;
	r = call(dev, KCHAN_IOC_MAKE, &m);
	drop(dev);
	if (r < 0)
		return r;
	end[0] = m.end[0];
	end[1] = m.end[1];
	return 0;
}

/* No group, no tag, and no deadline but the two simplest: nothing to pack. */
static int is_short(size_t len, int under, int64_t deadline)
{
	return under == -1 && len <= KCHAN_SHORT_MAX &&
	       (deadline == CHAN_FOREVER || deadline == CHAN_NOW);
}

API int chan_send(int tx, const void *msg, size_t len, int under, int64_t deadline)
{
	if (is_short(len, under, deadline))
		return call(tx, deadline ? KCHAN_IOC_SEND_WAIT(len) : KCHAN_IOC_SEND_NOW(len),
			    (void *)msg);

	struct kchan_xfer x = {
		.buf = (uintptr_t)msg, .len = len, .deadline = deadline, .under = under,
	};

	return call(tx, KCHAN_IOC_SEND, &x);
}

API ssize_t chan_recv(int rx, void *buf, size_t len, int under, int64_t deadline)
{
	if (is_short(len, under, deadline))
		return call(rx, deadline ? KCHAN_IOC_RECV_WAIT(len) : KCHAN_IOC_RECV_NOW(len), buf);

	struct kchan_xfer x = {
		.buf = (uintptr_t)buf, .len = len, .deadline = deadline, .under = under,
	};

	return call(rx, KCHAN_IOC_RECV, &x);
}

/* A descriptor to issue a select on: a case's, the group's, or the device. */
static int select_fd(const struct chan_case *cases, unsigned n, int under, int *opened)
{
	for (unsigned i = 0; i < n; i++)
		if (cases[i].fd >= 0)
			return cases[i].fd;
	if (under >= 0)
		return under;
	return *opened = open_device();
}

API int chan_select(struct chan_case *cases, unsigned n, unsigned flags, int under,
		    int64_t deadline)
{
	struct kchan_select s = {
		.cases = (uintptr_t)cases, .n = n, .flags = flags | KCHAN_MAY_HANDLE,
		.deadline = deadline, .under = under,
	};
	int fd, r, opened = -1;

	if (n > KCHAN_MAX_CASES || flags & ~CHAN_PRIO)
		return fail(EINVAL);
	if (n && !cases)
		return fail(EFAULT);
	fd = select_fd(cases, n, under, &opened);
	if (fd < 0)
		return fd;
	r = call(fd, KCHAN_IOC_SELECT, &s);
	if (r == KCHAN_USE_HANDLE) {
		int handle = s.handle;

		s.handle = 0;
		s.flags = flags;
		r = call(handle, KCHAN_IOC_SELECT, &s);
		drop(handle);
	}
	if (opened >= 0)
		drop(opened);
	return r;
}

API int chan_shut(int end, int err)
{
	struct kchan_shut s = { .err = err };

	return call(end, KCHAN_IOC_SHUT, &s);
}

API int chan_info(int end, struct chan_info *info, size_t size)
{
	struct kchan_out out = { .addr = (uintptr_t)info, .size = size };

	if (size > UINT32_MAX)
		return fail(EINVAL);
	return call(end, KCHAN_IOC_INFO, &out);
}

/* Without the device: anonymous files name themselves in /proc. */
static int kind_by_name(int fd)
{
	char path[40], name[32] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) < 0)
		return fail(errno == ENOENT ? EBADF : errno);
	if (!strncmp(name, "anon_inode:[kchan:rx:", 21))
		return CHAN_RX;
	if (!strncmp(name, "anon_inode:[kchan:tx:", 21))
		return CHAN_TX;
	return fail(ENOTTY);
}

API int chan_kind(int fd)
{
	int dev, r;

	if (fcntl(fd, F_GETFD) < 0)
		return fail(EBADF);
	dev = open_device();
	if (dev < 0)
		return kind_by_name(fd);
	r = ioctl(dev, KCHAN_IOC_KIND, (unsigned long)fd);
	r = r < 0 ? -errno : r;
	drop(dev);
	return r;
}
