/* SPDX-License-Identifier: MIT */
/*
 * Channel calls as io_uring commands. Nothing to link: these fill a submission queue
 * entry, as liburing's io_uring_prep_*() do. See chan_prep(3).
 *
 * @x and @s hold the arguments: they, and all memory they point to, must not change until
 * the command has completed. The completion's res is what the call would have returned.
 * A command that waits completes with -ETIMEDOUT at its deadline or its group's, and with
 * -ECANCELED when its group ends otherwise, or its ring or its process does; but with
 * -EINTR if an io-wq worker that waits in it is stopped. In a link every command but the
 * first needs IOSQE_ASYNC: the kernel may read its entry only when its turn comes.
 */
#ifndef LIBCHAN_URING_H
#define LIBCHAN_URING_H

#include <stdint.h>
#include <string.h>
#include <liburing.h>
#include <linux/kchan.h>
#include <libchan.h>

#if defined(__SANITIZE_ADDRESS__)
#define LIBCHAN_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LIBCHAN_ASAN
#elif __has_feature(memory_sanitizer)
#define LIBCHAN_MSAN
#endif
#endif
#ifdef LIBCHAN_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef LIBCHAN_MSAN
#include <sanitizer/msan_interface.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What the functions below have in common. */
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

/*
 * Tell the tools that watch memory; valgrind is told if its memcheck.h was included
 * before. No code of the library runs when a command completes, so all the room for a
 * message counts as initialised from here on.
 */
static inline void chan_prep_memory_(const void *p, size_t len, int store)
{
#ifdef LIBCHAN_ASAN
	const void *bad = len ? __asan_region_is_poisoned((void *)p, len) : NULL;

	if (bad)
		(void)*(const volatile char *)bad;	/* AddressSanitizer reports it */
#endif
#ifdef LIBCHAN_MSAN
	if (store)
		__msan_unpoison(p, len);
	else
		__msan_check_mem_is_initialized(p, len);
#endif
#ifdef VALGRIND_MAKE_MEM_DEFINED
	if (!store)
		(void)VALGRIND_CHECK_MEM_IS_DEFINED(p, len);
	else if (!VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, len))
		(void)VALGRIND_MAKE_MEM_DEFINED(p, len);
#endif
	(void)p;
	(void)len;
	(void)store;
}

static inline void chan_prep_case_(struct chan_case *c)
{
	if (c->fd == -1)
		return;
	chan_prep_memory_(c->msg.buf, c->msg.len, c->op == CHAN_RECV);
	if (c->msg.nfds)
		chan_prep_memory_(c->msg.fds, c->msg.nfds * sizeof(*c->msg.fds),
				  c->op == CHAN_RECV);
	chan_prep_memory_(&c->msg.res, sizeof(c->msg.res), 1);
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
	chan_prep_memory_(msg, len, 0);
	chan_prep_transfer_(sqe, tx, KCHAN_IOC_SEND, x, msg, len, under, deadline);
}

static inline void chan_prep_recv(struct io_uring_sqe *sqe, int rx, struct kchan_xfer *x,
				  void *buf, size_t len, int under, int64_t deadline)
{
	chan_prep_memory_(buf, len, 1);
	chan_prep_transfer_(sqe, rx, KCHAN_IOC_RECV, x, buf, len, under, deadline);
}

/*
 * Without a group, and for ever or not at all: the entry holds all there is to say, and no
 * struct kchan_xfer has to be kept. See CHAN_HAS_URING_SHORT. A length that the entry has no
 * room for is passed as the most that it has.
 */
static inline void chan_prep_short_(struct io_uring_sqe *sqe, int fd, uint32_t op,
				    const void *buf, size_t len)
{
	chan_prep_command_(sqe, fd, op, buf, len < UINT32_MAX ? (uint32_t)len : UINT32_MAX);
}

static inline void chan_prep_send_wait(struct io_uring_sqe *sqe, int tx, const void *msg,
				       size_t len)
{
	chan_prep_memory_(msg, len, 0);
	chan_prep_short_(sqe, tx, KCHAN_IOC_SEND_WAIT(0), msg, len);
}

static inline void chan_prep_send_now(struct io_uring_sqe *sqe, int tx, const void *msg,
				      size_t len)
{
	chan_prep_memory_(msg, len, 0);
	chan_prep_short_(sqe, tx, KCHAN_IOC_SEND_NOW(0), msg, len);
}

static inline void chan_prep_recv_wait(struct io_uring_sqe *sqe, int rx, void *buf, size_t len)
{
	chan_prep_memory_(buf, len, 1);
	chan_prep_short_(sqe, rx, KCHAN_IOC_RECV_WAIT(0), buf, len);
}

static inline void chan_prep_recv_now(struct io_uring_sqe *sqe, int rx, void *buf, size_t len)
{
	chan_prep_memory_(buf, len, 1);
	chan_prep_short_(sqe, rx, KCHAN_IOC_RECV_NOW(0), buf, len);
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
#if defined(LIBCHAN_ASAN) || defined(LIBCHAN_MSAN) || defined(VALGRIND_MAKE_MEM_DEFINED)
	for (unsigned i = 0; i < n; i++)
		chan_prep_case_(&cases[i]);
#endif
	memset(s, 0, sizeof(*s));
	s->cases = (uintptr_t)cases;
	s->n = n;
	s->flags = flags;
	s->deadline = deadline;
	s->under = under;
	chan_prep_command_(sqe, fd, KCHAN_IOC_SELECT, s, sizeof(*s));
}

#undef LIBCHAN_ASAN
#undef LIBCHAN_MSAN

#ifdef __cplusplus
}
#endif

#endif
