/* SPDX-License-Identifier: MIT */
/* What the test programs share. */
#ifndef UTIL_H
#define UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <libchan.h>
#include <linux/kchan.h>

#define MS	INT64_C(1000000)
#define SOON	chan_after(5000 * MS)	/* a hang becomes ETIMEDOUT */

static inline int quick(int full, int small)
{
	return getenv("KCHAN_QUICK") ? small : full;
}

static inline struct chan_info info_of(int fd)
{
	struct chan_info i = {};

	chan_info(fd, &i, sizeof(i));
	return i;
}

/* Wait until so many are parked: the state is looked at, not slept for. */
static inline bool parked(int fd, unsigned senders, unsigned receivers)
{
	for (int i = 0; i < 5000; i++) {
		struct chan_info in = info_of(fd);

		if (in.parked_senders == senders && in.parked_receivers == receivers)
			return true;
		usleep(1000);
	}
	return false;
}

/* A send or receive on another thread. */
struct op {
	pthread_t t;
	int fd, val;
	long ret;
};

static inline void *op_send(void *arg)
{
	struct op *o = arg;

	o->ret = chan_send(o->fd, &o->val, sizeof(o->val), -1, SOON);
	return NULL;
}

static inline void *op_recv(void *arg)
{
	struct op *o = arg;

	o->val = -1;
	o->ret = chan_recv(o->fd, &o->val, sizeof(o->val), -1, SOON);
	return NULL;
}

static inline struct chan_case recv_case(int fd, void *buf, size_t len)
{
	return (struct chan_case){ .fd = fd, .op = CHAN_RECV, .msg = { .buf = buf, .len = len } };
}

static inline struct chan_case send_case(int fd, const void *buf, size_t len)
{
	return (struct chan_case){ .fd = fd, .op = CHAN_SEND,
				   .msg = { .buf = (void *)buf, .len = len } };
}

static inline void close2(int *end)
{
	close(end[0]);
	close(end[1]);
}

#endif
