/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between kernels, by feature and not by version. */
#ifndef KCHAN_COMPAT_H
#define KCHAN_COMPAT_H

#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/time_namespace.h>
#ifdef KCHAN_HAVE_URING_CMD_H
#include <linux/io_uring/cmd.h>
#else
#include <linux/io_uring.h>
#endif

/* Not to be cleared by -ftrivial-auto-var-init, as it is written before it is read. */
#ifdef __has_attribute
#if __has_attribute(uninitialized)
#define kchan_uninitialized __attribute__((uninitialized))
#endif
#endif
#ifndef kchan_uninitialized
#define kchan_uninitialized
#endif

#ifdef TASK_FREEZABLE
#define KCHAN_SLEEP	(TASK_INTERRUPTIBLE | TASK_FREEZABLE)
#else
#define KCHAN_SLEEP	TASK_INTERRUPTIBLE
#endif

/* do_timens_ktime_to_host() is not exported. */
static inline ktime_t kchan_deadline_to_host(s64 deadline)
{
#ifdef CONFIG_TIME_NS
	ktime_t off = timespec64_to_ktime(current->nsproxy->time_ns->offsets.monotonic);
	s64 host;

	if (check_sub_overflow(deadline, off, &host))
		return off > 0 ? S64_MIN : KTIME_MAX - 1;
	return host;
#else
	return deadline;
#endif
}

/* and back; the caller handles KCHAN_FOREVER */
static inline s64 kchan_deadline_to_user(ktime_t host)
{
#ifdef CONFIG_TIME_NS
	ktime_t off = timespec64_to_ktime(current->nsproxy->time_ns->offsets.monotonic);
	s64 user;

	if (check_add_overflow(host, off, &user))
		return off > 0 ? KTIME_MAX - 1 : S64_MIN;
	return user;
#else
	return host;
#endif
}

static inline int kchan_receive_fd(struct file *file, unsigned int flags)
{
#ifdef KCHAN_HAVE_RECEIVE_FD_USER
	return receive_fd(file, flags);
#else
	return receive_fd(file, NULL, flags);
#endif
}

#ifdef KCHAN_HAVE_HRTIMER_SETUP
#define kchan_hrtimer_setup hrtimer_setup
#else
static inline void kchan_hrtimer_setup(struct hrtimer *timer,
				       enum hrtimer_restart (*fn)(struct hrtimer *),
				       clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}
#endif

/* Can commands of io_uring park, and be cancelled then? */
#ifdef KCHAN_HAVE_URING_CANCEL
#define KCHAN_URING_PARK	1
#else
#define KCHAN_URING_PARK	0
#endif

/* Copy the command's own bytes, once: the submitter may write to them meanwhile. */
static inline void kchan_uring_copy(void *to, const struct io_uring_cmd *cmd, size_t n)
{
#ifdef KCHAN_HAVE_URING_SQE_TYPE
	data_race(memcpy(to, io_uring_sqe_cmd(cmd->sqe, u8), n));	/* see above */
#elif defined(KCHAN_HAVE_URING_CMD_H)
	data_race(memcpy(to, io_uring_sqe_cmd(cmd->sqe), n));	/* see above */
#else
	data_race(memcpy(to, cmd->cmd, n));	/* see above */
#endif
	barrier();
}

static inline int kchan_uring_import(u64 buf, unsigned long len, int dir, struct iov_iter *iter,
				     struct io_uring_cmd *cmd, unsigned int issue_flags)
{
#ifdef KCHAN_HAVE_URING_IMPORT_FLAGS
	return io_uring_cmd_import_fixed(buf, len, dir, iter, cmd, issue_flags);
#else
	return io_uring_cmd_import_fixed(buf, len, dir, iter, cmd);
#endif
}

static inline void kchan_uring_done(struct io_uring_cmd *cmd, long res, unsigned int issue_flags)
{
#ifdef KCHAN_HAVE_URING_DONE_RES2
	io_uring_cmd_done(cmd, res, 0, issue_flags);
#else
	io_uring_cmd_done(cmd, res, issue_flags);
#endif
}

/* Has the command only flags that are known here? Newer kernels pass others on. */
static inline bool kchan_uring_flags_known(const struct io_uring_cmd *cmd)
{
#ifdef IORING_URING_CMD_MASK
	return !(cmd->flags & IORING_URING_CMD_MASK & ~IORING_URING_CMD_FIXED);
#else
	return true;
#endif
}

/* Is it of a 32-bit caller? Kernels that don't tell can't take selects from these. */
static inline bool kchan_uring_compat(unsigned int issue_flags)
{
#ifdef KCHAN_HAVE_URING_COMPAT
	return issue_flags & IO_URING_F_COMPAT;
#else
	return false;
#endif
}

/*
 * Is the submitter gone, and its memory with it? @told: the kernel says so. A task that exits
 * may run its task work before it is marked as exiting.
 */
static inline bool kchan_uring_dead(bool told)
{
	return told || current->flags & (PF_EXITING | PF_KTHREAD) ||
	       READ_ONCE(current->signal->flags) & SIGNAL_GROUP_EXIT;
}

/*
 * KCHAN_URING_TASK_WORK(fn) makes fn_work, for io_uring_cmd_complete_in_task(): it calls
 * fn(command, issue flags, is its task gone?).
 */
#ifdef KCHAN_HAVE_URING_TW_TOKEN
#define KCHAN_URING_TASK_WORK(fn) \
static void fn##_work(struct io_tw_req req, io_tw_token_t tw) \
{ \
	fn(io_uring_cmd_from_tw(req), IO_URING_CMD_TASK_WORK_ISSUE_FLAGS, \
	   kchan_uring_dead(tw.cancel)); \
}
#else
#ifdef KCHAN_HAVE_URING_TASK_DEAD
#define KCHAN_URING_TASK_DEAD	IO_URING_F_TASK_DEAD
#else
#define KCHAN_URING_TASK_DEAD	0
#endif
#define KCHAN_URING_TASK_WORK(fn) \
static void fn##_work(struct io_uring_cmd *cmd, unsigned int issue_flags) \
{ \
	fn(cmd, issue_flags, kchan_uring_dead(issue_flags & KCHAN_URING_TASK_DEAD)); \
}
#endif

#endif
