/* SPDX-License-Identifier: MIT */
/* Members that are threads or processes, and what they share with the test. */
#ifndef GROUP_PARTY_H
#define GROUP_PARTY_H

#include "group_util.h"

/* A member that runs @fn, on a thread or in a process that keeps @keep. */
static inline int start(int g, bool process, int (*fn)(int member, void *arg), void *arg,
			const int *keep, unsigned n)
{
	int m, r;

	if (!process)
		return chan_go(g, fn, arg);
	r = chan_fork(g, keep, n, &m);
	if (r)
		return r < 0 ? r : 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = fn(m, arg);
	chan_leave(m, r < 0 ? -r : r, NULL);
	_exit(0);
}

static inline void reap(bool process)
{
	while (process && waitpid(-1, NULL, 0) > 0)
		;
}

/* What the members of a test share. */
struct shared_state {
	int fd[8];
	int err, count, order[8], flag;
};

static inline int add(int *n, int by)
{
	return __atomic_add_fetch(n, by, __ATOMIC_SEQ_CST);
}

static inline int get(int *n)
{
	return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

#endif
