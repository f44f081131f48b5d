/* SPDX-License-Identifier: MIT */
/*
 * The child of chan_fork() closes every descriptor that it does not keep. Its parent may
 * have other threads, so nothing here allocates or takes a lock.
 */
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "call.h"
#include "fds.h"

/* A directory entry, as getdents64() stores it. */
struct entry {
	uint64_t ino;
	int64_t off;
	unsigned short len;
	unsigned char type;
	char name[];
};

/* The lowest of 0, 1, 2, @member and @keep that is not below @from, or -1. */
static int next_kept(int from, int member, const int *keep, unsigned n)
{
	int best = from <= 2 ? from : -1;

	if (member >= from && (best < 0 || member < best))
		best = member;
	for (unsigned i = 0; i < n; i++)
		if (keep[i] >= from && (best < 0 || keep[i] < best))
			best = keep[i];
	return best;
}

static bool is_kept(int fd, int member, const int *keep, unsigned n)
{
	if (fd <= 2 || fd == member)
		return true;
	for (unsigned i = 0; i < n; i++)
		if (keep[i] == fd)
			return true;
	return false;
}

/* Not the C library's close(), which is a cancellation point. */
static int close_one(int fd)
{
	int err = syscall(SYS_close, fd) < 0 ? errno : EBUSY;

	/* after an error of the file's own it is closed, after a seccomp filter's it is not */
	return fcntl(fd, F_GETFD) < 0 && errno == EBADF ? 0 : -err;
}

/* The number that @name spells; -1: it spells none, or one too large. */
static int number(const char *name)
{
	int n = 0;

	if (!*name)
		return -1;
	for (; *name; name++) {
		if (*name < '0' || *name > '9' || n > (INT_MAX - 9) / 10)
			return -1;
		n = 10 * n + (*name - '0');
	}
	return n;
}

static void put_number(char *name, int n)
{
	char digits[12];
	int i = 0;

	do
		digits[i++] = '0' + n % 10;
	while (n /= 10);
	while (i)
		*name++ = digits[--i];
	*name = 0;
}

/*
 * In a chroot any directory may have that name. This process's own is the one whose entry
 * for @dir leads to @dir.
 */
static int is_own_listing(int dir)
{
	struct stat is, leads;
	char name[12];

	put_number(name, dir);
	if (fstat(dir, &is) < 0 || fstatat(dir, name, &leads, 0) < 0)
		return -errno;
	return is.st_dev == leads.st_dev && is.st_ino == leads.st_ino ? 0 : -ENOENT;
}

static int open_listing(void)
{
	int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* As open_listing(), but if every number is in use, first close one that is not kept. */
static int open_listing_anyhow(int member, const int *keep, unsigned n)
{
	int dir = open_listing(), fd, r;

	if (dir != -EMFILE)
		return dir;
	for (fd = 3; is_kept(fd, member, keep, n); fd++)
		;
	/* it may be above the limit and not open: then this neither helps nor harms */
	r = close_one(fd);
	return r < 0 ? r : open_listing();
}

/* Close what one pass over the listing shows. Returns how many; *@first is the first. */
static int close_listed(int member, const int *keep, unsigned n, int *first, const char **what)
{
	char buf[1024] __attribute__((aligned(8)));
	int dir, r, closed = 0;
	long got;

	*what = "chan_fork: no list of open descriptors";
	dir = open_listing_anyhow(member, keep, n);
	if (dir < 0)
		return dir;
	r = is_own_listing(dir);
	while (!r && (got = syscall(SYS_getdents64, dir, buf, sizeof(buf))) != 0) {
		if (got < 0) {
			r = -errno;
			break;
		}
		for (char *p = buf; !r && p < buf + got; p += ((struct entry *)p)->len) {
			int fd = number(((struct entry *)p)->name);

			if (fd < 0 || fd == dir || is_kept(fd, member, keep, n) || tool_owns(fd))
				continue;
			r = close_one(fd);
			if (r < 0)
				*what = "chan_fork: a descriptor does not close";
			else if (!closed++)
				*first = fd;
		}
	}
	drop(dir);
	return r < 0 ? r : closed;
}

/* Close all but the kept ones with close_range(). False: it does not work here. */
static bool close_ranges(int member, const int *keep, unsigned n)
{
	int from = 0, kept;

	while ((kept = next_kept(from, member, keep, n)) >= 0) {
		if (kept > from && syscall(SYS_close_range, from, kept - 1, 0))
			return false;
		if (kept == INT_MAX)
			return true;
		from = kept + 1;
	}
	return !syscall(SYS_close_range, from, ~0U, 0);
}

/*
 * A seccomp filter may refuse close_range(): then list the open descriptors. To try every
 * number below RLIMIT_NOFILE would not do: the limit may have been lowered since some were
 * opened, and one of a billion takes too long to walk.
 */
int close_others(int member, const int *keep, unsigned n, const char **what)
{
	int r, first = -1, before;

	if (close_ranges(member, keep, n))
		return 0;
	/* closing may make a pass miss some: go on until one closes nothing */
	do {
		before = first;
		r = close_listed(member, keep, n, &first, what);
	} while (r > 0 && first != before);
	if (r <= 0)
		return r;
	/* no other thread opens any here: one that was closed is still open */
	*what = "chan_fork: a descriptor does not close";
	return -EBUSY;
}
