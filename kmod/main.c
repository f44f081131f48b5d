// SPDX-License-Identifier: GPL-2.0-only
/* /dev/kchan, and the module as a whole. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "args.h"
#include "async.h"
#include "deadline.h"
#include "fd.h"
#include "group.h"
#include "pause.h"
#include "select.h"
#include "surface.h"

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

/* The request has no structure; no bit of the descriptor's number is ignored. */
static int kind(unsigned int cmd, unsigned long fd)
{
	if (_IOC_SIZE(cmd))
		return -EINVAL;
	return fd > INT_MAX ? -EBADF : kchan_kind(fd);
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (KCHAN_BARE(cmd)) {
	case KCHAN_BARE(KCHAN_IOC_MAKE):
		return make(cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_KIND):
		return kind(cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_GROUP):
		return kgroup_make_fd(NULL, cmd, arg);
	default:
		return kchan_ioctl_any(cmd, arg, true, true);
	}
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.uring_cmd = kchan_uring_cmd,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
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

/* Timers hold no reference to the module: wait here for what they have queued. */
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
