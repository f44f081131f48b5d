// SPDX-License-Identifier: GPL-2.0-only
/* Groups as files: owners and watches, their ioctls, poll, fdinfo. */
#include "surface.h"

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "args.h"
#include "async.h"
#include "fd.h"
#include "group.h"
#include "quota.h"
#include "select.h"

#define WATCH_BYTES	sizeof(struct kgroup)

static struct file *open_file(u64 id, bool owner, void *data)
{
	char name[40];

	kchan_name(name, owner ? "group" : "watch", id);
	return anon_inode_getfile(name, owner ? &kgroup_fops : &kgroup_watch_fops, data,
				  owner ? O_RDWR : O_RDONLY);
}

static struct file *open_owner(struct kgroup *g)
{
	struct file *file = open_file(g->id, true, g);

	if (!IS_ERR(file))
		kgroup_get(g);
	return file;
}

static int install(struct file *file)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd >= 0)
		fd_install(fd, file);
	else
		fput(file);
	return fd;
}

/* Make a group below @parent, or a root if that is NULL. */
int kgroup_make_fd(struct kgroup *parent, unsigned int cmd, unsigned long arg)
{
	struct kchan_group_make m;
	struct file *file;
	struct kgroup *g;
	int err, fd = kchan_args(&m, sizeof(m), KCHAN_GROUP_MAKE_V1, cmd, arg);

	if (fd)
		return fd;
	if (m.flags & ~KCHAN_GROUP_FLAGS || m.deadline == KCHAN_NOW ||
	    (m.flags & KCHAN_DETACHED && !parent))
		return -EINVAL;
	g = kgroup_alloc(parent, m.deadline, m.flags, m.limit, false);
	if (IS_ERR(g))
		return PTR_ERR(g);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto put;
	file = open_owner(g);
	err = PTR_ERR_OR_ZERO(file);
	if (!err) {
		err = kgroup_birth(g);
		if (!err)
			fd_install(fd, file);
		else
			fput(file);
	}
	if (err) {
		put_unused_fd(fd);
		fd = err;
	}
put:
	kgroup_put(g);
	return fd;
}

static void watch_free(struct kgroup_watch *w)
{
	kchan_uncharge(w->user, WATCH_BYTES);
	kchan_uncharge_group(w->user);
	kchan_user_put(w->user);
	kgroup_put(w->group);
	kfree(w);
}

static struct kgroup_watch *watch_new(struct kgroup *g)
{
	struct kgroup_watch *w = kmalloc(sizeof(*w), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	int err = -ENOMEM;

	if (!w)
		return ERR_PTR(err);
	w->user = kchan_user_get();
	if (!w->user)
		goto free;
	err = kchan_charge_group(w->user);
	if (err)
		goto put;
	err = kchan_charge(w->user, WATCH_BYTES);
	if (err)
		goto uncharge_group;
	w->group = kgroup_get(g);
	return w;

uncharge_group:
	kchan_uncharge_group(w->user);
put:
	kchan_user_put(w->user);
free:
	kfree(w);
	return ERR_PTR(err);
}

/* The request has no argument, and its number must say so. */
static int do_watch(struct kgroup *g, unsigned int cmd, unsigned long arg)
{
	struct kgroup_watch *w;
	struct file *file;

	if (_IOC_SIZE(cmd) || arg)
		return -EINVAL;
	w = watch_new(g);
	if (IS_ERR(w))
		return PTR_ERR(w);
	file = open_file(g->id, false, w);
	if (IS_ERR(file)) {
		watch_free(w);
		return PTR_ERR(file);
	}
	return install(file);
}

static int get_wait(struct kchan_group_wait *a, struct kgroup **under, unsigned int cmd,
		    unsigned long arg)
{
	int err = kchan_args(a, sizeof(*a), KCHAN_GROUP_WAIT_V1, cmd, arg);

	if (err)
		return err;
	if (a->flags || a->reserved || a->first_err)
		return -EINVAL;
	*under = kgroup_under(a->under);
	return PTR_ERR_OR_ZERO(*under);
}

static void put_under(struct kgroup *under)
{
	if (under)
		kgroup_put(under);
}

/* Everything that can fail is done before a place is taken. */
static int do_join(struct kgroup *g, unsigned int cmd, unsigned long arg)
{
	struct kchan_group_wait a;
	struct kgroup *under, *m;
	struct file *file;
	int fd, err = get_wait(&a, &under, cmd, arg);

	if (err)
		return err;
	m = kgroup_alloc(g, KCHAN_FOREVER, 0, 0, true);
	if (IS_ERR(m)) {
		fd = PTR_ERR(m);
		goto put_under;
	}
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto put_member;
	file = open_owner(m);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto put_fd;
	}
	err = kgroup_join(g, m, under, a.deadline);
	if (!err) {
		fd_install(fd, file);
		goto put_member;
	}
	fput(file);
put_fd:
	put_unused_fd(fd);
	fd = err;
put_member:
	kgroup_put(m);
put_under:
	put_under(under);
	return fd;
}

static int do_wait(struct kgroup *g, unsigned int cmd, unsigned long arg)
{
	struct kchan_group_wait a;
	struct kgroup *under;
	int first, err = get_wait(&a, &under, cmd, arg);

	if (err)
		return err;
	/* unless the result can be stored, nothing happens at all */
	if (put_user(0, &((struct kchan_group_wait __user *)arg)->first_err)) {
		put_under(under);
		return -EFAULT;
	}
	err = kgroup_wait(g, &first, under, a.deadline);
	if (!err)
		put_user(first, &((struct kchan_group_wait __user *)arg)->first_err);
	put_under(under);
	return err;
}

/* Get the error and the text of a cause; the text may be NULL, and is cut if too long. */
static int get_end(struct kchan_group_end *e, char *why, u32 flags, unsigned int cmd,
		   unsigned long arg)
{
	int err = kchan_args(e, sizeof(*e), KCHAN_GROUP_END_V1, cmd, arg);

	if (err)
		return err;
	if (e->flags & ~flags || e->err < 0 || e->err > 4095)
		return -EINVAL;
	why[0] = 0;
	if (e->why && strncpy_from_user(why, u64_to_user_ptr(e->why), KCHAN_WHY_SIZE - 1) < 0)
		return -EFAULT;
	why[KCHAN_WHY_SIZE - 1] = 0;
	return 0;
}

static int do_end(struct kgroup *g, bool leave, unsigned int cmd, unsigned long arg)
{
	struct kchan_group_end e;
	char why[KCHAN_WHY_SIZE];
	int err = get_end(&e, why, leave ? KCHAN_UNJOIN : 0, cmd, arg);

	if (err)
		return err;
	if (leave)
		return kgroup_leave(g, e.err, why, e.flags & KCHAN_UNJOIN);
	kgroup_cancel(g, e.err ?: ECANCELED, why);
	return 0;
}

static long do_value(struct kgroup *g, bool set, unsigned int cmd, unsigned long arg)
{
	struct kchan_value v;
	int err = kchan_args(&v, sizeof(v), KCHAN_VALUE_V1, cmd, arg);

	if (err)
		return err;
	return set ? kgroup_set(g, &v) : kgroup_get_value(g, &v);
}

static long group_info(struct kgroup *g, unsigned int cmd, unsigned long arg)
{
	struct kchan_group_info info;

	kgroup_fill_info(g, &info);
	return kchan_answer(&info, sizeof(info), KCHAN_GROUP_INFO_V1, cmd, arg);
}

static long group_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kgroup *g = kgroup_of(file);

	switch (KCHAN_BARE(cmd)) {	/* requests of owners and watches */
	case KCHAN_BARE(KCHAN_IOC_GROUP):
		return kgroup_make_fd(g, cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_WAIT):
		return do_wait(g, cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_GROUP_INFO):
		return group_info(g, cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_VALUE_GET):
		return do_value(g, false, cmd, arg);
	}
	switch (KCHAN_BARE(cmd)) {
	case KCHAN_BARE(KCHAN_IOC_WATCH):
		return kgroup_is_owner(file) ? do_watch(g, cmd, arg) : -EBADF;
	case KCHAN_BARE(KCHAN_IOC_JOIN):
		return kgroup_is_owner(file) ? do_join(g, cmd, arg) : -EBADF;
	case KCHAN_BARE(KCHAN_IOC_LEAVE):
		return kgroup_is_owner(file) ? do_end(g, true, cmd, arg) : -EBADF;
	case KCHAN_BARE(KCHAN_IOC_CANCEL):
		return kgroup_is_owner(file) ? do_end(g, false, cmd, arg) : -EBADF;
	case KCHAN_BARE(KCHAN_IOC_VALUE_SET):
		return kgroup_is_owner(file) ? do_value(g, true, cmd, arg) : -EBADF;
	default:
		return kchan_ioctl_any(cmd, arg, false, true);
	}
}

static __poll_t group_poll(struct file *file, poll_table *pt)
{
	return kgroup_poll(kgroup_of(file), file, pt);
}

static int group_fasync(int fd, struct file *file, int on)
{
	return kchan_fasync(fd, file, on, &kgroup_of(file)->poll);
}

static int owner_release(struct inode *inode, struct file *file)
{
	struct kgroup *g = file->private_data;

	kchan_fasync_gone(file, &g->poll);
	kgroup_owner_gone(g);
	kgroup_put(g);
	return 0;
}

static int watch_release(struct inode *inode, struct file *file)
{
	kchan_fasync_gone(file, &kgroup_of(file)->poll);
	watch_free(file->private_data);
	return 0;
}

/* A text from a user, with '?' for what would break the line. */
static void show_text(struct seq_file *m, const char *name, const char *text)
{
	seq_printf(m, "%s:\t", name);
	for (; *text; text++)
		seq_putc(m, (u8)*text < ' ' || *text == 127 ? '?' : *text);
	seq_putc(m, '\n');
}

static void kgroup_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct kgroup *g = kgroup_of(file);
	struct kchan_group_info i;

	kgroup_fill_info(g, &i);
	seq_printf(m, "kchan-role:\t%s\n", kgroup_is_owner(file) ? "group" : "watch");
	seq_printf(m, "kchan-id:\t%llu\nkchan-parent:\t%llu\n", i.id, i.parent_id);
	seq_printf(m, "kchan-deadline-ns:\t%lld\n", i.deadline);
	seq_printf(m, "kchan-members:\t%llu\nkchan-limit:\t%llu\n", i.members, i.limit);
	seq_printf(m, "kchan-children:\t%llu\nkchan-failed:\t%llu\n", i.children, i.failed);
	seq_printf(m, "kchan-state:\t%s\n", i.state == KCHAN_ENDED ? "ended" : "live");
	seq_printf(m, "kchan-err:\t%u\nkchan-by-pid:\t%u\n", i.err, i.by_pid);
	show_text(m, "kchan-why", i.why);
}

const struct file_operations kgroup_fops = {
	.owner = THIS_MODULE,
	.release = owner_release,
	.poll = group_poll,
	.fasync = group_fasync,
	.uring_cmd = kchan_uring_cmd,
	.unlocked_ioctl = group_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = kgroup_show_fdinfo,
};

const struct file_operations kgroup_watch_fops = {
	.owner = THIS_MODULE,
	.release = watch_release,
	.poll = group_poll,
	.fasync = group_fasync,
	.uring_cmd = kchan_uring_cmd,
	.unlocked_ioctl = group_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = kgroup_show_fdinfo,
};
