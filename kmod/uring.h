/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between kernels in commands of io_uring, by feature. */
#ifndef KCHAN_URING_H
#define KCHAN_URING_H

#include <linux/sched/signal.h>

#ifdef KCHAN_HAVE_URING_CMD_H
#include <linux/io_uring/cmd.h>
#else
#include <linux/io_uring.h>
#endif

/* The command's own bytes: they may change while they are read, once. */
static inline void kchan_uring_copy(void *to, const struct io_uring_cmd *cmd, size_t n)
{
#ifdef KCHAN_HAVE_URING_CMD_H
	memcpy(to, io_uring_sqe_cmd(cmd->sqe), n);
#else
	memcpy(to, cmd->cmd, n);
#endif
	barrier();
}

static inline bool kchan_uring_fixed(const struct io_uring_cmd *cmd)
{
	return cmd->flags & IORING_URING_CMD_FIXED;
}

/* A 32-bit caller; where the kernel does not say, its selects are not understood. */
static inline bool kchan_uring_compat(unsigned int issue_flags)
{
#ifdef KCHAN_HAVE_URING_COMPAT
	return issue_flags & IO_URING_F_COMPAT;
#else
	return false;
#endif
}

/*
 * Is the task gone that submitted the command? Then its memory is, too. One that exits
 * may run what it was given before it is marked as exiting.
 */
static inline bool kchan_uring_dead(unsigned int issue_flags)
{
#ifdef KCHAN_HAVE_URING_TASK_DEAD
	if (issue_flags & IO_URING_F_TASK_DEAD)
		return true;
#endif
	return current->flags & (PF_EXITING | PF_KTHREAD) ||
	       current->signal->flags & SIGNAL_GROUP_EXIT;
}

#endif
