/* SPDX-License-Identifier: MIT */
/*
 * libchan: channels as file descriptors, over the kchan kernel module.
 *
 * Every call returns >= 0 or a negative error number, and sets errno too.
 * All calls are safe from any thread, and all but chan_go, chan_fork and chan_kind
 * from signal handlers; the library keeps no state. See chan(7) and the page of
 * each call.
 */
#ifndef LIBCHAN_H
#define LIBCHAN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* the version of this header; chan_version() gives that of the library */
#define CHAN_VERSION	((0U << 16) | (1U << 8) | 0U)

#ifdef __GNUC__
#define LIBCHAN_UNUSED	__attribute__((unused))
#else
#define LIBCHAN_UNUSED
#endif
/* Constants too, for generators of bindings, which can't evaluate the macros. */
LIBCHAN_UNUSED static const int64_t CHAN_NOW = 0;
LIBCHAN_UNUSED static const int64_t CHAN_FOREVER = INT64_MAX;
#undef LIBCHAN_UNUSED
#define CHAN_NOW	INT64_C(0)	/* try, never wait */
#define CHAN_FOREVER	INT64_MAX	/* no deadline */

/* chan_make flags */
#define CHAN_DROP_NEW	(1U << 0)
#define CHAN_DROP_OLD	(1U << 1)
#define CHAN_FDS	(1U << 2)	/* messages may carry descriptors */

/* chan_case.op */
#define CHAN_SEND	1
#define CHAN_RECV	2
#define CHAN_POLL	3		/* any descriptor, by poll(2)'s events */

/* chan_select flags */
#define CHAN_PRIO	(1U << 0)

/* chan_arm flags: CHAN_PRIO, and */
#define CHAN_REARM	(1U << 2)	/* chan_rearm will follow */

/* chan_kind */
#define CHAN_RX		1
#define CHAN_TX		2
#define CHAN_GROUP	3
#define CHAN_WATCH	4
#define CHAN_ARMED	5

/* chan_group flags */
#define CHAN_FAIL_FAST	(1U << 0)	/* the first member that fails ends it */
#define CHAN_FIRST_EXIT	(1U << 1)	/* the first member that leaves ends it */
#define CHAN_DETACHED	(1U << 2)	/* has the parent's values, does not end with it */

/* chan_group_info.state */
#define CHAN_LIVE	0
#define CHAN_ENDED	1

/* chan_features */
#define CHAN_HAS_URING		(1U << 0)	/* io_uring commands */
#define CHAN_HAS_URING_PARK	(1U << 1)	/* they wait without a worker */
#define CHAN_HAS_REARM		(1U << 2)	/* CHAN_REARM, chan_rearm */
#define CHAN_HAS_URING_SHORT	(1U << 3)	/* chan_prep_send_wait and the like */

/* In a receive, len and nfds are the room, and on return what was received. */
struct chan_msg {
	void *buf;
	size_t len;
	int *fds;
	unsigned nfds;
	int res;
};

struct chan_case {
	int fd;				/* -1: the case is ignored */
	int op;				/* CHAN_SEND, CHAN_RECV, CHAN_POLL */
	unsigned events, revents;	/* CHAN_POLL: asked for, seen */
	struct chan_msg msg;
};

struct chan_info {
	uint64_t id, msg_max, capacity;
	uint64_t len, next_len;		/* messages buffered; bytes of the next */
	uint64_t senders, receivers;	/* open references */
	uint64_t parked_senders, parked_receivers;
	uint64_t sent, received, dropped;
	uint32_t shut;			/* bit 0: sends, bit 1: receives */
	uint32_t send_err, recv_err;	/* why */
	uint32_t reserved;
};

struct chan_group_info {
	uint64_t id, parent_id;		/* parent_id 0: a root */
	int64_t deadline;		/* CHAN_FOREVER: none */
	uint64_t members, limit, children, failed;
	uint32_t state;			/* CHAN_LIVE, CHAN_ENDED */
	uint32_t err, by_pid;		/* why it ended, and by whom */
	char why[128];
	uint32_t reserved;
};

/* What is read or stored, and how much: gcc warns of a buffer that is too small. */
#if defined(__has_attribute)
#if __has_attribute(access)
#define LIBCHAN_ACCESS(...)	__attribute__((access(__VA_ARGS__)))
#endif
#endif
#ifndef LIBCHAN_ACCESS
#define LIBCHAN_ACCESS(...)
#endif

unsigned chan_version(void);
uint64_t chan_features(void);

int64_t chan_after(int64_t ns);
int chan_make(int end[2], size_t msg_max, unsigned capacity, unsigned flags);
/* on the device that the program has open */
int chan_make_on(int dev, int end[2], size_t msg_max, unsigned capacity, unsigned flags);
LIBCHAN_ACCESS(read_only, 2, 3)
int chan_send(int tx, const void *msg, size_t len, int under, int64_t deadline);
LIBCHAN_ACCESS(write_only, 2, 3)
ssize_t chan_recv(int rx, void *buf, size_t len, int under, int64_t deadline);
LIBCHAN_ACCESS(read_write, 2, 3)
int chan_sendm(int tx, struct chan_msg *msgs, unsigned n, int under, int64_t deadline);
LIBCHAN_ACCESS(read_write, 2, 3)
int chan_recvm(int rx, struct chan_msg *msgs, unsigned n, int under, int64_t deadline);
LIBCHAN_ACCESS(read_write, 1, 2)
int chan_select(struct chan_case *cases, unsigned n, unsigned flags, int under,
		int64_t deadline);
LIBCHAN_ACCESS(read_only, 1, 2)
int chan_arm(const struct chan_case *cases, unsigned n, unsigned flags);
LIBCHAN_ACCESS(read_write, 2, 3)
int chan_fired(int armed, struct chan_case *cases, unsigned n);
LIBCHAN_ACCESS(read_only, 2, 3)
int chan_rearm(int armed, const struct chan_case *cases, unsigned n);
int chan_shut(int end, int err);
LIBCHAN_ACCESS(write_only, 2)
int chan_info(int end, struct chan_info *info, size_t size);
int chan_kind(int fd);

int chan_group(int parent, int64_t deadline, unsigned flags, unsigned limit);
int chan_watch(int group);
int chan_join(int group, int under, int64_t deadline);
LIBCHAN_ACCESS(read_only, 3)
int chan_leave(int member, int err, const char *why);
LIBCHAN_ACCESS(read_only, 3)
int chan_cancel(int group, int err, const char *why);
LIBCHAN_ACCESS(write_only, 2)
int chan_wait(int group, int *first_err, int under, int64_t deadline);
LIBCHAN_ACCESS(write_only, 2)
int chan_group_info(int group, struct chan_group_info *info, size_t size);
LIBCHAN_ACCESS(read_only, 2)
LIBCHAN_ACCESS(read_only, 3, 4)
int chan_value_set(int group, const char *key, const void *val, size_t len);
LIBCHAN_ACCESS(read_only, 2)
LIBCHAN_ACCESS(write_only, 3, 4)
ssize_t chan_value_get(int group, const char *key, void *buf, size_t len);
int chan_go(int group, int (*fn)(int member, void *arg), void *arg);
LIBCHAN_ACCESS(read_only, 2, 3)
LIBCHAN_ACCESS(write_only, 4)
pid_t chan_fork(int group, const int *keep, unsigned n, int *member);

#undef LIBCHAN_ACCESS

/* Messages and cases, to initialise or assign. What is sent is never written to. */
static inline struct chan_msg chan_recv_msg(void *buf, size_t len)
{
	struct chan_msg m = { buf, len, NULL, 0, 0 };

	return m;
}

static inline struct chan_msg chan_send_msg(const void *msg, size_t len)
{
#ifdef __cplusplus
	return chan_recv_msg(const_cast<void *>(msg), len);
#else
	return chan_recv_msg((void *)(uintptr_t)msg, len);
#endif
}

static inline struct chan_case chan_send_case(int tx, const void *msg, size_t len)
{
	struct chan_case c = { tx, CHAN_SEND, 0, 0, chan_send_msg(msg, len) };

	return c;
}

static inline struct chan_case chan_recv_case(int rx, void *buf, size_t len)
{
	struct chan_case c = { rx, CHAN_RECV, 0, 0, chan_recv_msg(buf, len) };

	return c;
}

static inline struct chan_case chan_poll_case(int fd, unsigned events)
{
	struct chan_case c = { fd, CHAN_POLL, events, 0, { NULL, 0, NULL, 0, 0 } };

	return c;
}

#ifdef __cplusplus
}
#endif

#endif
