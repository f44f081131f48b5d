// SPDX-License-Identifier: GPL-2.0-only
/* Argument structures of requests, and the answers to them. */
#include "args.h"

#include <linux/minmax.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "copy.h"
#include "group.h"
#include "kchan.h"
#include "quota.h"

/*
 * Copy in the structure that an ioctl points to. It may be shorter, of an older caller, but not
 * than @oldest bytes; and longer, of a newer caller, if the rest is zero.
 */
int kchan_args(void *dst, size_t size, size_t oldest, unsigned int cmd, unsigned long arg)
{
	size_t usize = _IOC_SIZE(cmd);
	int err;

	if (usize < oldest)
		return -EINVAL;
	if (likely(usize == size && size <= KCHAN_INLINE))
		return copy_short_in(dst, (void __user *)arg, size) ? 0 : -EFAULT;
	err = copy_struct_from_user(dst, size, (void __user *)arg, usize);
	return err == -E2BIG ? -EINVAL : err;
}

/* Store the answer @v by the struct kchan_out at @arg, which must have room for @oldest bytes. */
int kchan_answer(const void *v, size_t known, size_t oldest, unsigned int cmd,
		 unsigned long arg)
{
	struct kchan_out out;
	size_t n;
	int err = kchan_args(&out, sizeof(out), KCHAN_OUT_V1, cmd, arg);

	if (err)
		return err;
	if (out.reserved || out.size < oldest || out.size > PAGE_SIZE)
		return -EINVAL;
	n = min_t(size_t, known, out.size);
	if (copy_to_user(u64_to_user_ptr(out.addr), v, n) ||
	    clear_user(u64_to_user_ptr(out.addr + n), out.size - n))
		return -EFAULT;
	return 0;
}

int kchan_features(unsigned int cmd, unsigned long arg)
{
	struct kchan_features f = {
		.abi = KCHAN_ABI,
		.make_flags = KCHAN_MAKE_FLAGS,
		.select_flags = KCHAN_PRIO | KCHAN_MAY_HANDLE,
		.max_cases = KCHAN_MAX_CASES,
		.group_flags = KCHAN_GROUP_FLAGS,
		.msg_max = READ_ONCE(kchan_msg_max),
		.capacity_max = READ_ONCE(kchan_max_capacity),
		.features = KCHAN_FEAT_URING | KCHAN_FEAT_REARM | KCHAN_FEAT_URING_SHORT |
			    (KCHAN_URING_PARK ? KCHAN_FEAT_URING_PARK : 0),
	};

	return kchan_answer(&f, sizeof(f), KCHAN_FEATURES_V1, cmd, arg);
}

/*
 * The error of a request that this kind of descriptor does not answer: -EBADF for those of ours,
 * in the right direction, and -ENOTTY for all others.
 */
int kchan_unanswered(unsigned int cmd)
{
	switch (KCHAN_BARE(cmd)) {
	case KCHAN_BARE(KCHAN_IOC_FEATURES):
	case KCHAN_BARE(KCHAN_IOC_MAKE):
	case KCHAN_BARE(KCHAN_IOC_KIND):
	case KCHAN_BARE(KCHAN_IOC_SEND):
	case KCHAN_BARE(KCHAN_IOC_RECV):
	case KCHAN_BARE(KCHAN_IOC_SELECT):
	case KCHAN_BARE(KCHAN_IOC_SHUT):
	case KCHAN_BARE(KCHAN_IOC_INFO):
	case KCHAN_BARE(KCHAN_IOC_GROUP):
	case KCHAN_BARE(KCHAN_IOC_WATCH):
	case KCHAN_BARE(KCHAN_IOC_JOIN):
	case KCHAN_BARE(KCHAN_IOC_LEAVE):
	case KCHAN_BARE(KCHAN_IOC_CANCEL):
	case KCHAN_BARE(KCHAN_IOC_WAIT):
	case KCHAN_BARE(KCHAN_IOC_GROUP_INFO):
	case KCHAN_BARE(KCHAN_IOC_VALUE_SET):
	case KCHAN_BARE(KCHAN_IOC_VALUE_GET):
	case KCHAN_BARE(KCHAN_IOC_SENDM):
	case KCHAN_BARE(KCHAN_IOC_RECVM):
	case KCHAN_BARE(KCHAN_IOC_ARM):
	case KCHAN_BARE(KCHAN_IOC_FIRED):
	case KCHAN_BARE(KCHAN_IOC_REARM):
	case KCHAN_BARE(KCHAN_IOC_SEND_WAIT(0)):
	case KCHAN_BARE(KCHAN_IOC_SEND_NOW(0)):
	case KCHAN_BARE(KCHAN_IOC_RECV_WAIT(0)):
	case KCHAN_BARE(KCHAN_IOC_RECV_NOW(0)):
		return -EBADF;
	default:
		return -ENOTTY;
	}
}
