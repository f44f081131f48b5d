// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors in messages. An allow-list says what may travel: files that neither hold other
 * files nor lead to a queue that does. So no cycle of references can be built, and a queue
 * dies with its last receiver. One hole is left, which AF_UNIX has too: the data that a socket
 * still has to send may be zero-copy data of an io_uring; it holds the ring and thereby the
 * files registered there, which may include a receiving end. Sockets are the reason to pass
 * descriptors, and a module can't see such data.
 */
#include "msg.h"

#include <linux/eventfd.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <net/sock.h>

#include "compat.h"
#include "fd.h"
#include "kchan.h"
#include "quota.h"

static bool is_eventfd(struct file *file)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fileget(file);

	if (IS_ERR(ctx))
		return false;
	eventfd_ctx_put(ctx);
	return true;
}

static bool is_inet(struct file *file)
{
	struct socket *sock = sock_from_file(file);
	int family = sock && sock->sk ? READ_ONCE(sock->sk->sk_family) : AF_UNSPEC;

	return family == AF_INET || family == AF_INET6;
}

/*
 * Is it a file of a mounted file system, or memory? Files in internal file systems of the kernel
 * may look like regular files too (a pidfd, a namespace), and are none.
 */
static bool is_plain(const struct inode *inode, umode_t type)
{
	const struct super_block *sb = inode->i_sb;

	if (!S_ISREG(type) && !S_ISDIR(type))
		return false;
	if (sb->s_magic == NSFS_MAGIC)
		return false;
	/* a remount may change other flags meanwhile */
	return !(data_race(sb->s_flags) & SB_NOUSER) || sb->s_magic == TMPFS_MAGIC ||
	       sb->s_magic == HUGETLBFS_MAGIC;
}

/*
 * An O_PATH file refers to a place in a file system and not to an open file. It travels if the
 * type of inode may, which does not tell kchan's own files, eventfds and sockets: these don't.
 */
static bool may_travel(struct file *file)
{
	struct inode *inode = file_inode(file);
	/* chmod(2) may change the rest of the mode meanwhile */
	umode_t type = data_race(inode->i_mode) & S_IFMT;

	if (kchan_is_path(file))
		return S_ISFIFO(type) || is_plain(inode, type);
	if (kchan_is_ours(file))
		return kgroup_is(file) || kchan_side_of(file) == KCHAN_SIDE_TX;
	if (S_ISSOCK(type))
		return is_inet(file);
	return S_ISFIFO(type) || is_plain(inode, type) || is_eventfd(file);
}

void kchan_files_free(struct kchan_files *f)
{
	u32 i;

	if (!f)
		return;
	for (i = 0; i < f->n; i++)
		fput(f->file[i]);
	kchan_uncharge_files(f->user, f->n);
	kchan_user_put(f->user);
	kfree(f);
}

/* Take the files of a message to be sent: all of them, or an error. */
struct kchan_files *kchan_files_load(const int __user *fds, u32 n)
{
	int fd[KCHAN_MAX_FDS];
	struct kchan_files *f;
	int err = -ENOMEM;

	if (n > KCHAN_MAX_FDS)
		return ERR_PTR(-EINVAL);
	if (copy_from_user(fd, fds, n * sizeof(*fd)))
		return ERR_PTR(-EFAULT);
	f = kmalloc(struct_size(f, file, n), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!f)
		return ERR_PTR(-ENOMEM);
	f->n = 0;
	f->user = kchan_user_get();
	if (!f->user)
		goto free;
	err = kchan_charge_files(f->user, n);
	if (err)
		goto put_user;
	while (f->n < n) {
		struct file *file = fget_raw(fd[f->n]);

		err = -EBADF;
		if (!file)
			break;
		f->file[f->n++] = file;
		err = -EOPNOTSUPP;
		if (!may_travel(file))
			break;
		err = 0;
	}
	if (!err)
		return f;
	kchan_uncharge_files(f->user, n - f->n);	/* the others with their files */
	kchan_files_free(f);
	return ERR_PTR(err);

put_user:
	kchan_user_put(f->user);
free:
	kfree(f);
	return ERR_PTR(err);
}

/* Is there room for @n more descriptors? Checked before any of them is visible. */
static int room_for(u32 n)
{
	int fd[KCHAN_MAX_FDS];
	int err = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		fd[i] = get_unused_fd_flags(O_CLOEXEC);
		if (fd[i] < 0) {
			err = fd[i];
			break;
		}
	}
	while (i--)
		put_unused_fd(fd[i]);
	return err;
}

/*
 * Install the descriptors for the receiver and store their numbers at @fds: all of them, or
 * none and an error. A file that a security module refuses becomes -1. Only receive_fd() asks
 * such modules, and it installs what they allow. If something fails after that, as another thread
 * has taken the last number or unmapped @fds, what was installed is closed again, as by close(2).
 */
int kchan_files_store(const struct kchan_files *f, int __user *fds)
{
	int fd[KCHAN_MAX_FDS];
	int err = room_for(f->n);
	u32 i, n;

	memset(fd, 0xff, sizeof(fd));
	if (!err && copy_to_user(fds, fd, f->n * sizeof(*fd)))
		err = -EFAULT;
	for (n = 0; n < f->n && !err; n++) {
		fd[n] = kchan_receive_fd(f->file[n], O_CLOEXEC);
		if (fd[n] == -EMFILE || fd[n] == -ENFILE || fd[n] == -ENOMEM)
			err = fd[n];
		if (fd[n] < 0)
			fd[n] = -1;
	}
	if (!err && copy_to_user(fds, fd, f->n * sizeof(*fd)))
		err = -EFAULT;
	for (i = 0; err && i < n; i++)
		if (fd[i] >= 0)
			close_fd(fd[i]);
	return err;
}
