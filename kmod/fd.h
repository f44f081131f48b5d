/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a descriptor to the object behind it, by the address of the file's operations. The
 * layers above define these tables; here only their addresses matter.
 */
#ifndef KCHAN_FD_H
#define KCHAN_FD_H

#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/sched.h>

#include "group.h"
#include "kchan.h"

extern const struct file_operations kchan_rx_fops, kchan_tx_fops;	/* file.c */
extern const struct file_operations kgroup_fops, kgroup_watch_fops;	/* group_file.c */
extern const struct file_operations kchan_armed_fops;			/* arm.c */
extern const struct file_operations kchan_handle_fops;			/* select.c */

/*
 * A watch keeps the group's object, even if the group has ended and no longer counts. So its
 * maker is charged for it as for a group, whoever has the watch later.
 */
struct kgroup_watch {
	struct kgroup *group;
	struct kchan_user *user;
};

void kchan_name(char name[40], const char *role, u64 id);
struct file *kchan_lock_fd(int fd);
void kchan_unlock_fd(void);
int kchan_kind(int fd);
bool kchan_is_ours(struct file *file);
struct kchan *kchan_from_fd(int fd, int side);
struct kgroup *kgroup_from_fd(int fd);

/* Which side an end is of, or -1 for other files. */
static inline int kchan_side_of(struct file *file)
{
	if (file->f_op == &kchan_rx_fops)
		return KCHAN_SIDE_RX;
	return file->f_op == &kchan_tx_fops ? KCHAN_SIDE_TX : -1;
}

static inline bool kgroup_is_owner(const struct file *file)
{
	return file->f_op == &kgroup_fops;
}

static inline bool kgroup_is(struct file *file)
{
	return kgroup_is_owner(file) || file->f_op == &kgroup_watch_fops;
}

/* The group of an owner or a watch. */
static inline struct kgroup *kgroup_of(struct file *file)
{
	struct kgroup_watch *w = file->private_data;

	return kgroup_is_owner(file) ? file->private_data : w->group;
}

/* The group that a call is to run under, referenced; NULL for -1; or an error. */
static inline struct kgroup *kgroup_under(int fd)
{
	return likely(fd == -1) ? NULL : kgroup_from_fd(fd);
}

/* Was it opened with O_PATH? That bit is const, but fadvise(2) may change another meanwhile. */
static inline bool kchan_is_path(const struct file *file)
{
	return data_race(file->f_mode) & FMODE_PATH;	/* one bit */
}

static inline bool kchan_shared_fds(void)
{
	return atomic_read(&current->files->count) > 1;
}

#endif
