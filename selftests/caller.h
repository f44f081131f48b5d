/* SPDX-License-Identifier: MIT */
/*
 * A caller makes calls beside the test, as a thread or as a process. What it tells
 * is in memory that both share: callers live in shared() memory.
 */
#ifndef CALLER_H
#define CALLER_H

#include <limits.h>
#include <stdio.h>

#include "util.h"

#define UNDER_WAY	LONG_MAX	/* caller.ret until its function has returned */

struct caller {
	long (*fn)(struct caller *c);
	int fd, under, gate;		/* what fn takes */
	int64_t deadline;
	bool process;
	long ret;			/* what fn returned */
	int got;			/* fn: what it has so far */
	struct party party;
};

static inline int caller_main(void *arg)
{
	struct caller *c = arg;

	__atomic_store_n(&c->ret, c->fn(c), __ATOMIC_RELEASE);
	return 0;
}

static inline void caller_start(struct caller *c)
{
	c->ret = UNDER_WAY;
	c->got = -1;
	party_start(&c->party, c->process, caller_main, c);
}

/* What fn returned; UNDER_WAY if it was killed. */
static inline long caller_end(struct caller *c)
{
	party_end(&c->party);
	return c->ret;
}

/* Wait until it waits in a call. */
static inline bool caller_waits(struct caller *c)
{
	return asleep(&c->party.tid);
}

static inline int caller_got(struct caller *c)
{
	return __atomic_load_n(&c->got, __ATOMIC_ACQUIRE);
}

/* Wait until @what comes true: it is looked at, not slept for. */
#define COMES(what) ({							\
	bool came_;							\
	for (int left_ = 2 * PATIENCE; !(came_ = (what)) && left_; left_--)	\
		usleep(500);						\
	came_;								\
})

static inline struct chan_group_info group_of(int fd)
{
	struct chan_group_info i = { .members = ~0ULL };

	chan_group_info(fd, &i, sizeof(i));
	return i;
}

#endif
