/* SPDX-License-Identifier: MIT */
/*
 * What the examples about groups share: go_in(), which starts a task as a member
 * of a group, a thread or a process, and a few questions to a group.
 *
 * As with go() in util.h the task owns the descriptors it is handed, and its
 * member: they are closed when it returns, and what it returns, 0 or an error
 * number, is what it leaves with. There is nothing to join: chan_wait() tells.
 */
#ifndef EXAMPLES_GROUP_H
#define EXAMPLES_GROUP_H

#include "util.h"

typedef int member_fn(int member, int *fd, long arg);

struct member_task {
	member_fn *fn;
	long arg;
	int fd[8], nfd;
};

static inline int run_member(int member, void *arg)
{
	struct member_task t = *(struct member_task *)arg;
	int err;

	free(arg);
	err = t.fn(member, t.fd, t.arg);
	for (int i = 0; i < t.nfd; i++)
		if (t.fd[i] >= 0)	/* -1: the task closed it earlier */
			close(t.fd[i]);
	return err;
}

/*
 * Start fn(member, descriptors, arg) in the group. The process id, or 0 for a
 * thread. try_go_in() lets the caller see that the group has ended.
 */
#define try_go_in(group, fn, arg, ...) \
	go_in_(group, fn, arg, (int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))
#define go_in(...) must(try_go_in(__VA_ARGS__))

static inline pid_t go_in_(int group, member_fn *fn, long arg, const int *fd, int nfd)
{
	struct member_task *t = malloc(sizeof(*t));
	int member;
	pid_t ret;

	*t = (struct member_task){ .fn = fn, .arg = arg, .nfd = nfd };
	memcpy(t->fd, fd, nfd * sizeof(*fd));
	fflush(NULL);
	ret = processes ? chan_fork(group, fd, nfd, &member) : chan_go(group, run_member, t);
	if (processes && ret == 0) {
		chan_leave(member, run_member(member, t), NULL);
		fflush(NULL);
		_exit(0);
	}
	if (!processes && ret == 0)
		return 0;		/* all is the thread's now */
	for (int i = 0; i < nfd; i++)
		close(fd[i]);
	free(t);
	return ret;
}

static inline struct chan_group_info look(int group)
{
	struct chan_group_info info;

	must(chan_group_info(group, &info, sizeof(info)));
	return info;
}

/* Wait until so many are parked on the channel: for programs that show it. */
static inline void until_parked(int end, unsigned senders, unsigned receivers)
{
	struct chan_info info;

	for (;;) {
		must(chan_info(end, &info, sizeof(info)));
		if (info.parked_senders == senders && info.parked_receivers == receivers)
			return;
		usleep(1000);
	}
}

/* Wait for all members: the first failure, or 0. */
static inline int wait_all(int group)
{
	int first;

	must(chan_wait(group, &first, -1, CHAN_FOREVER));
	return first;
}

/* An error number as text. */
static inline const char *said(int error)
{
	return error ? strerror(error) : "all is well";
}

#endif
