/* SPDX-License-Identifier: MIT */
/* Members that run: chan_go() on a thread, chan_fork() in a process. */
#include <pthread.h>
#include <semaphore.h>

#include "call.h"
#include "fds.h"
#include "group.h"
#include "tool.h"

struct start {
	int (*fn)(int member, void *arg);
	void *arg;
	int member;
	sem_t taken;
};

/* Cleanup handler: the thread was cancelled or called pthread_exit(). */
static void left_early(void *arg)
{
	int member = *(int *)arg;

	group_leave(member, ECANCELED, "thread exited", 0);
	drop(member);
}

static void *run(void *arg)
{
	struct start *at = arg, s = { .fn = at->fn, .arg = at->arg, .member = at->member };
	unsigned err;
	int r, type;

	sem_post(&at->taken);		/* from here on @at may no longer exist */
	pthread_cleanup_push(left_early, &s.member);
	r = s.fn(s.member, s.arg);
	/* fn may have made it asynchronous; deferred, it finds no cancellation point below */
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	pthread_cleanup_pop(0);
	err = r < 0 ? -(unsigned)r : (unsigned)r;
	group_leave(s.member, err > 4095 ? EOVERFLOW : err, NULL, 0);
	drop(s.member);
	return NULL;
}

API int chan_go(int group, int (*fn)(int member, void *arg), void *arg)
{
	struct start s = { .fn = fn, .arg = arg };
	pthread_attr_t attr;
	pthread_t t;
	int err, state;

	if (!fn)
		return fail(EINVAL);
	s.member = chan_join(group, -1, CHAN_FOREVER);
	if (s.member < 0)
		return s.member;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	sem_init(&s.taken, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&t, &attr, run, &s);
	pthread_attr_destroy(&attr);
	if (!err) {
		while (sem_wait(&s.taken))
			;
	} else {
		group_leave(s.member, 0, NULL, KCHAN_UNJOIN);
		drop(s.member);
	}
	sem_destroy(&s.taken);
	pthread_setcancelstate(state, NULL);
	return err ? fail(err) : 0;
}

API pid_t chan_fork(int group, const int *keep, unsigned n, int *member)
{
	const char *what;
	int fd, err;
	pid_t pid;

	if (!member || (n && !keep))
		return fail(EFAULT);
	if (tool_on()) {
		tool_reads(keep, n * sizeof(*keep));
		tool_room(member, sizeof(*member));
	}
	for (unsigned i = 0; i < n; i++)
		if (fcntl(keep[i], F_GETFD) < 0)
			return fail(EBADF);
	fd = chan_join(group, -1, CHAN_FOREVER);
	if (fd < 0)
		return fd;
	pid = fork();
	err = errno;
	if (pid == 0) {
		err = close_others(fd, keep, n, &what);
		if (err) {	/* the descriptors it still has would keep others waiting */
			group_leave(fd, -err, what, 0);
			_exit(127);
		}
		*member = fd;
		if (tool_on())
			tool_stored(member, sizeof(*member));
		return 0;
	}
	if (pid < 0)
		group_leave(fd, 0, NULL, KCHAN_UNJOIN);
	drop(fd);
	if (pid < 0)
		return fail(err);
	*member = -1;
	if (tool_on())
		tool_stored(member, sizeof(*member));
	return pid;
}
