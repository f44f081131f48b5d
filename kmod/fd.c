// SPDX-License-Identifier: GPL-2.0-only
/* From a descriptor to the object behind it. */
#include "fd.h"

#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/math64.h>

/* "[kchan:ROLE:ID]", the name of a file; snprintf() would take a tenth of all that a make takes. */
void kchan_name(char name[40], const char *role, u64 id)
{
	static const char prefix[] = "[kchan:";
	char digits[20];
	int n = 0;

	memcpy(name, prefix, sizeof(prefix) - 1);
	name += sizeof(prefix) - 1;
	while (*role)
		*name++ = *role++;
	*name++ = ':';
	do {
		digits[n++] = '0' + do_div(id, 10);
	} while (id);
	while (n)
		*name++ = digits[--n];
	*name++ = ']';
	*name = 0;
}

bool kchan_is_ours(struct file *file)
{
	return kchan_side_of(file) >= 0 || kgroup_is(file) || file->f_op == &kchan_handle_fops ||
	       file->f_op == &kchan_armed_fops;
}

/*
 * Lock the descriptor table and return the file of @fd, or NULL. What a call waits on is looked
 * up here, without a reference to its file: if another thread closed it meanwhile, this call
 * would drop the last reference, and the kernel releases a file only when the task returns to
 * user mode. The call would go on sleeping under a group, or on an end, that nobody has open.
 */
struct file *kchan_lock_fd(int fd)
	__acquires(&current->files->file_lock)
{
	struct file *file;

	spin_lock(&current->files->file_lock);
	file = files_lookup_fd_locked(current->files, fd);
	return file && !kchan_is_path(file) ? file : NULL;
}

void kchan_unlock_fd(void)
	__releases(&current->files->file_lock)
{
	spin_unlock(&current->files->file_lock);
}

/* The channel behind @fd, referenced, if it is that end of one. */
struct kchan *kchan_from_fd(int fd, int side)
{
	struct file *file = kchan_lock_fd(fd);
	struct kchan *c = ERR_PTR(-EBADF);

	if (file && kchan_side_of(file) == side) {
		c = file->private_data;
		kref_get(&c->ref);
	} else if (file && !kchan_is_ours(file)) {
		c = ERR_PTR(-ENOTTY);
	}
	kchan_unlock_fd();
	return c;
}

static int kind_of(struct file *file)
{
	if (kchan_side_of(file) >= 0)
		return kchan_side_of(file) == KCHAN_SIDE_RX ? KCHAN_RX : KCHAN_TX;
	if (kgroup_is(file))
		return file->f_op == &kgroup_fops ? KCHAN_GROUP : KCHAN_WATCH;
	return file->f_op == &kchan_armed_fops ? KCHAN_ARMED : -ENOTTY;
}

int kchan_kind(int fd)
{
	struct file *file = kchan_lock_fd(fd);
	int kind = file ? kind_of(file) : -EBADF;

	kchan_unlock_fd();
	return kind;
}

/* The group behind @fd, referenced, or an error. */
struct kgroup *kgroup_from_fd(int fd)
{
	struct kgroup *g = ERR_PTR(-EBADF);
	struct file *file;

	file = kchan_lock_fd(fd);
	if (file && kgroup_is(file))
		g = kgroup_get(kgroup_of(file));
	else if (file && !kchan_is_ours(file))
		g = ERR_PTR(-ENOTTY);
	kchan_unlock_fd();
	return g;
}
