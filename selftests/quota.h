/* SPDX-License-Identifier: MIT */
/* Module parameters, and what a user has left of his quota. */
#ifndef QUOTA_H
#define QUOTA_H

#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>

#include "util.h"

static inline int param_fd(const char *name, int flags)
{
	char path[80];

	snprintf(path, sizeof(path), "/sys/module/kchan/parameters/%s", name);
	return open(path, flags | O_CLOEXEC);
}

static inline unsigned long param_get(const char *name)
{
	char text[32] = "";
	int fd = param_fd(name, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	return n > 0 ? strtoul(text, NULL, 10) : 0;
}

/* 0 or the error. */
static inline int param_set(const char *name, unsigned long v)
{
	char text[32];
	int fd = param_fd(name, O_WRONLY), n = snprintf(text, sizeof(text), "%lu", v);
	int err = write(fd, text, n) == n ? 0 : -errno;

	close(fd);
	return err;
}

/* From here on limits hold for this process, though it is root. */
static inline bool give_up_exemption(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return false;
	d[CAP_SYS_RESOURCE / 32].effective &= ~(1U << CAP_SYS_RESOURCE % 32);
	return !syscall(SYS_capset, &h, d);
}

/*
 * The least max_user_bytes under which the caller's user can make a small channel.
 * It grows by what he holds. Call it in a process that is not exempt.
 */
static inline unsigned long least_bytes(void)
{
	unsigned long saved = param_get("max_user_bytes"), no = 0, yes = saved;
	int e[2];

	while (yes - no > 1) {
		unsigned long mid = no + (yes - no) / 2;

		param_set("max_user_bytes", mid);
		if (!chan_make(e, 8, 1, 0)) {
			close2(e);
			yes = mid;
		} else {
			no = mid;
		}
	}
	param_set("max_user_bytes", saved);
	return yes;
}

/* In a child, as what it does to itself must not last; -1 if it can't tell. */
static inline long bytes_in_use(void)
{
	long *at = shared(sizeof(*at));
	pid_t pid = fork();
	int status;

	if (!pid) {
		*at = give_up_exemption() ? (long)least_bytes() : -1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	long r = status ? -1 : *at;

	munmap(at, sizeof(*at));
	return r;
}

/* In a child, where the harness can't say what was expected. */
#define NEED(x) do {							\
	if (!(x)) {							\
		fprintf(stderr, "# line %d: %s (errno %d)\n", __LINE__, #x, errno); \
		_exit(1);						\
	}								\
} while (0)

static inline void become(uid_t uid)
{
	NEED(!setgroups(0, NULL));
	NEED(!setresgid(uid, uid, uid));
	NEED(!setresuid(uid, uid, uid));
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* after what takes it back */
}

/* The status of a child that does @fn as @uid. */
static inline int as_user(uid_t uid, void (*fn)(void *), void *arg)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		become(uid);
		fn(arg);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

#endif
