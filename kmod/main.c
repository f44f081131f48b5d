// SPDX-License-Identifier: GPL-2.0-only
/* /dev/kchan, argument structures. */
#include <linux/compat.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "async.h"
#include "fd.h"
#include "group.h"
#include "kchan.h"
#include "copy.h"

/*
 * Copy in the structure an ioctl points to: an older caller's, of at least
 * @oldest bytes, and a newer caller's too.
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

/* Answer @v through the struct kchan_out at @arg, which has room for @oldest. */
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
		.features = kchan_uring_features(),
	};

	return kchan_answer(&f, sizeof(f), KCHAN_FEATURES_V1, cmd, arg);
}

static long make(unsigned int cmd, unsigned long arg)
{
	struct kchan_make m;
	int err = kchan_args(&m, sizeof(m), KCHAN_MAKE_V1, cmd, arg);

	if (err)
		return err;
	if (m.reserved[0] || m.reserved[1])
		return -EINVAL;
	return kchan_make_fds(&m, (struct kchan_make __user *)arg);
}

/*
 * The error of a request that the descriptor it came on does not answer: is it one of
 * ours, direction included?
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
	case KCHAN_BARE(KCHAN_IOC_SEND_WAIT(0)):
	case KCHAN_BARE(KCHAN_IOC_SEND_NOW(0)):
	case KCHAN_BARE(KCHAN_IOC_RECV_WAIT(0)):
	case KCHAN_BARE(KCHAN_IOC_RECV_NOW(0)):
		return -EBADF;
	default:
		return -ENOTTY;
	}
}

/* No bit of the descriptor's number is ignored, and the request has no structure. */
static int kind(unsigned int cmd, unsigned long fd)
{
	if (_IOC_SIZE(cmd))
		return -EINVAL;
	return fd > INT_MAX ? -EBADF : kchan_kind(fd);
}

static long dev_ioctl_any(unsigned int cmd, unsigned long arg, bool compat)
{
	switch (KCHAN_BARE(cmd)) {
	case KCHAN_BARE(KCHAN_IOC_FEATURES):
		return kchan_features(cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_MAKE):
		return make(cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_KIND):
		return kind(cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_SELECT):
		return kchan_select(cmd, arg, true, compat);
	case KCHAN_BARE(KCHAN_IOC_ARM):
		return kchan_arm(cmd, arg, compat);
	case KCHAN_BARE(KCHAN_IOC_GROUP):
		return kgroup_make_fd(NULL, cmd, arg);
	default:
		return kchan_unanswered(cmd);
	}
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dev_ioctl_any(cmd, arg, false);
}

#ifdef CONFIG_COMPAT
static long dev_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dev_ioctl_any(cmd, (unsigned long)compat_ptr(arg), true);
}
#endif

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.uring_cmd = kchan_uring_cmd,
	.unlocked_ioctl = dev_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = dev_compat_ioctl,
#endif
};

static struct miscdevice dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kchan",
	.mode = 0600,
	.fops = &dev_fops,
};

static int __init kchan_init(void)
{
	int err;

	kchan_fasync_init();
	err = kgroup_init();
	if (err)
		return err;
	err = kchan_arm_init();
	if (err)
		goto exit_group;
	err = kchan_due_init();
	if (err)
		goto exit_arm;
	err = misc_register(&dev);
	if (err)
		goto exit_due;
	kchan_pause_init();
	return 0;

exit_due:
	kchan_due_exit();
exit_arm:
	kchan_arm_exit();
exit_group:
	kgroup_exit();
	return err;
}
module_init(kchan_init);

/* Timers hold no module reference: what they have queued ends here. */
static void __exit kchan_exit(void)
{
	misc_deregister(&dev);
	kchan_pause_exit();
	kchan_due_exit();
	kchan_arm_exit();
	kgroup_exit();
}
module_exit(kchan_exit);

MODULE_DESCRIPTION("Go's channels and contexts as file descriptors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
