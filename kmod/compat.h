/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between kernels, by feature and not by version. */
#ifndef KCHAN_COMPAT_H
#define KCHAN_COMPAT_H

#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/time_namespace.h>

/* Keeps -ftrivial-auto-var-init from clearing what is written before it is read. */
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

/* and back; KCHAN_FOREVER is the caller's business */
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

#endif
