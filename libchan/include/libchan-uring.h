/* SPDX-License-Identifier: MIT */
/*
 * Channel calls as commands of io_uring. Nothing to link: these fill a submission
 * queue entry, as liburing's io_uring_prep_*() do. See chan_prep(3).
 *
 * @x and @s are where the arguments go: they, and all they name, must stay as they
 * are until the command has completed. The completion's res is what the call would
 * have returned. One that waits completes early with -ETIMEDOUT at its deadline or its
 * group's, and with -ECANCELED when its group ends otherwise, or its ring or its
 * process does; but with -EINTR if a worker of io_uring waits in it and is stopped.
 * In a link every command but the first needs IOSQE_ASYNC: its entry may be read late.
 */
#ifndef LIBCHAN_URING_H
#define LIBCHAN_URING_H

#include <stdint.h>
#include <string.h>
#include <liburing.h>
#include <linux/kchan.h>
#include <libchan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the others are made of. */
static inline void chan_prep_command_(struct io_uring_sqe *sqe, int fd, uint32_t op,
				      const void *arg, uint32_t size)
{
	struct kchan_uring cmd;

	memset(&cmd, 0, sizeof(cmd));
	cmd.addr = (uintptr_t)arg;
	cmd.size = size;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = op;
	/* the command area: the last 16 bytes of an entry, and what follows */
	memcpy((char *)sqe + 48, &cmd, sizeof(cmd));
}

static inline void chan_prep_transfer_(struct io_uring_sqe *sqe, int fd, uint32_t op,
				      struct kchan_xfer *x, const void *buf, size_t len,
				      int under, int64_t deadline)
{
	memset(x, 0, sizeof(*x));
	x->buf = (uintptr_t)buf;
	x->len = len;
	x->deadline = deadline;
	x->under = under;
	chan_prep_command_(sqe, fd, op, x, sizeof(*x));
}

static inline void chan_prep_send(struct io_uring_sqe *sqe, int tx, struct kchan_xfer *x,
				  const void *msg, size_t len, int under, int64_t deadline)
{
	chan_prep_transfer_(sqe, tx, KCHAN_IOC_SEND, x, msg, len, under, deadline);
}

static inline void chan_prep_recv(struct io_uring_sqe *sqe, int rx, struct kchan_xfer *x,
				  void *buf, size_t len, int under, int64_t deadline)
{
	chan_prep_transfer_(sqe, rx, KCHAN_IOC_RECV, x, buf, len, under, deadline);
}

/* The message, or room for one, is part of registered buffer @buf_index. */
static inline void chan_prep_send_fixed(struct io_uring_sqe *sqe, int tx, struct kchan_xfer *x,
					const void *msg, size_t len, int under,
					int64_t deadline, int buf_index)
{
	chan_prep_send(sqe, tx, x, msg, len, under, deadline);
	sqe->rw_flags = IORING_URING_CMD_FIXED;
	sqe->buf_index = buf_index;
}

static inline void chan_prep_recv_fixed(struct io_uring_sqe *sqe, int rx, struct kchan_xfer *x,
					void *buf, size_t len, int under, int64_t deadline,
					int buf_index)
{
	chan_prep_recv(sqe, rx, x, buf, len, under, deadline);
	sqe->rw_flags = IORING_URING_CMD_FIXED;
	sqe->buf_index = buf_index;
}

/*
 * @fd: /dev/kchan, an end, a group or a watch, not an armed select. It stays open until
 * the command has completed, so better the device than an end whose closing should be
 * noticed.
 */
static inline void chan_prep_select(struct io_uring_sqe *sqe, int fd, struct kchan_select *s,
				    struct chan_case *cases, unsigned n, unsigned flags,
				    int under, int64_t deadline)
{
	memset(s, 0, sizeof(*s));
	s->cases = (uintptr_t)cases;
	s->n = n;
	s->flags = flags;
	s->deadline = deadline;
	s->under = under;
	chan_prep_command_(sqe, fd, KCHAN_IOC_SELECT, s, sizeof(*s));
}

#ifdef __cplusplus
}
#endif

#endif
