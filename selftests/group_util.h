/* SPDX-License-Identifier: MIT */
/* What the tests of groups share. */
#ifndef GROUP_UTIL_H
#define GROUP_UTIL_H

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "util.h"

#define HOUR	chan_after(INT64_C(3600) * 1000 * MS)

static inline struct chan_group_info ginfo(int fd)
{
	struct chan_group_info i;

	memset(&i, 0xff, sizeof(i));
	if (chan_group_info(fd, &i, sizeof(i)))
		memset(&i, 0xff, sizeof(i));
	return i;
}

static inline int root(void)
{
	return chan_group(-1, CHAN_FOREVER, 0, 0);
}

static inline int below(int parent)
{
	return chan_group(parent, CHAN_FOREVER, 0, 0);
}

/* What poll says of @fd now. */
static inline int events(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

/* Wait until @fd shows one of @events. */
static inline bool turns(int fd, int events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, PATIENCE) == 1 && p.revents & events;
}

/* As many joins succeed at once as the limit says, and no more. */
#define EXPECT_PLACES(group, n) do {					\
	int m_[64];							\
	for (int i_ = 0; i_ < (n); i_++) {				\
		m_[i_] = chan_join(group, -1, CHAN_NOW);		\
		EXPECT_LE(0, m_[i_]);					\
	}								\
	EXPECT_EQ(-EAGAIN, chan_join(group, -1, CHAN_NOW));		\
	EXPECT_EQ((n), ginfo(group).members);			\
	for (int i_ = 0; i_ < (n); i_++) {				\
		EXPECT_EQ(0, chan_leave(m_[i_], 0, NULL));		\
		close(m_[i_]);						\
	}								\
	EXPECT_EQ(0, ginfo(group).members);				\
} while (0)

/* Room for descriptors, as much as may be had. */
static inline int many_files(void)
{
	struct rlimit r = { 65536, 65536 };

	return setrlimit(RLIMIT_NOFILE, &r);
}

/* A parameter of the module, for all. */
static inline bool set_parameter(const char *name, unsigned v)
{
	char path[80];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/sys/module/kchan/parameters/%s", name);
	f = fopen(path, "w");
	ok = f && fprintf(f, "%u", v) > 0;
	return f && !fclose(f) && ok;
}

#endif
