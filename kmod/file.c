// SPDX-License-Identifier: GPL-2.0-only
/* The ends as files: ioctl, read, write, poll, fdinfo, close. */
#include "surface.h"

#include <linux/anon_inodes.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <asm/ioctls.h>

#include "args.h"
#include "async.h"
#include "chan.h"
#include "compat.h"
#include "copy.h"
#include "fd.h"
#include "group.h"
#include "msg.h"
#include "select.h"

static __always_inline int get_xfer(struct kchan_xfer *x, struct kgroup **under,
				    unsigned int cmd, unsigned long arg)
{
	int err;

	if (likely(_IOC_SIZE(cmd) == sizeof(*x)))	/* in line, as its size is known */
		err = copy_struct_in(x, (void __user *)arg, sizeof(*x)) ? 0 : -EFAULT;
	else
		err = kchan_args(x, sizeof(*x), KCHAN_XFER_V1, cmd, arg);
	if (err)
		return err;
	if (x->flags || x->peer_tag)
		return -EINVAL;
	*under = kgroup_under(x->under);
	return PTR_ERR_OR_ZERO(*under);
}

/* Store the tag of the peer. A failure changes nothing, as the transfer has happened. */
static void put_tag(const struct kchan_xfer *x, u32 tag, unsigned long arg)
{
	if (x->tag)
		put_user(tag, &((struct kchan_xfer __user *)arg)->peer_tag);
}

static long send_user(struct kchan *c, void __user *buf, size_t len, u32 *tag,
		      struct kgroup *under, s64 deadline)
{
	struct kchan_payload p kchan_uninitialized;
	struct kchan_mem src = { .buf = buf };
	long r;

	if (len > c->msg_max)
		return -EMSGSIZE;
	p.tag = tag ? *tag : 0;
	r = kchan_load(c, &p, &src, len);
	if (r)
		return r;
	r = kchan_send(c, &p, under, deadline);
	if (tag)
		*tag = p.tag;
	return r;
}

/* A message that fits a slot, and no tag: both are for the fast paths. */
static bool is_short(const struct kchan_xfer *x)
{
	return likely(x->len <= KCHAN_INLINE && !x->tag);
}

static long send_short(struct kchan *c, const struct kchan_xfer *x, struct kgroup *under)
{
	void __user *buf = u64_to_user_ptr(x->buf);

	return under ? kchan_send_short_under(c, buf, x->len, under, x->deadline) :
		       kchan_send_short(c, buf, x->len, x->deadline);
}

static long send_long(struct kchan *c, const struct kchan_xfer *x, struct kgroup *under,
		      unsigned long arg)
{
	u32 tag = x->tag;
	long r;

	if (x->len > c->msg_max)	/* which need not fit send_user()'s size_t */
		return -EMSGSIZE;
	r = send_user(c, u64_to_user_ptr(x->buf), x->len, &tag, under, x->deadline);
	if (r >= 0)
		put_tag(x, tag, arg);
	return r;
}

static noinline long do_send(struct kchan *c, unsigned int cmd, unsigned long arg)
{
	struct kgroup *under kchan_uninitialized;
	struct kchan_xfer x kchan_uninitialized;
	long r = get_xfer(&x, &under, cmd, arg);

	if (r)
		return r;
	r = is_short(&x) ? send_short(c, &x, under) : send_long(c, &x, under, arg);
	if (under)
		kgroup_put(under);
	return r;
}

static long recv_short(struct kchan *c, const struct kchan_xfer *x, struct kgroup *under,
		       size_t room)
{
	void __user *buf = u64_to_user_ptr(x->buf);

	return under ? kchan_recv_short_as(c, buf, room, under, x->deadline) :
		       kchan_recv_short(c, buf, room, x->deadline);
}

static long recv_tagged(struct kchan *c, const struct kchan_xfer *x, struct kgroup *under,
			size_t room, unsigned long arg)
{
	struct kchan_mem dst = { .buf = u64_to_user_ptr(x->buf) };
	u32 tag = x->tag;
	long r = kchan_recv(c, room, &dst, &tag, under, x->deadline);

	if (r >= 0)
		put_tag(x, tag, arg);
	return r;
}

/* How much room there is says nothing about the message: only a tag needs the general path. */
static noinline long do_recv(struct kchan *c, unsigned int cmd, unsigned long arg)
{
	struct kgroup *under kchan_uninitialized;
	struct kchan_xfer x kchan_uninitialized;
	long r = get_xfer(&x, &under, cmd, arg);
	size_t room;

	if (r)
		return r;
	room = min_t(u64, x.len, INT_MAX);
	r = likely(!x.tag) ? recv_short(c, &x, under, room) : recv_tagged(c, &x, under, room, arg);
	if (under)
		kgroup_put(under);
	return r;
}

static long do_shut(struct kchan *c, int side, unsigned int cmd, unsigned long arg)
{
	struct kchan_shut s;
	int err = kchan_args(&s, sizeof(s), KCHAN_SHUT_V1, cmd, arg);

	if (err)
		return err;
	if (s.flags || s.err < 0 || s.err > 4095)
		return -EINVAL;
	return kchan_shut(c, side, s.err);
}

static long chan_info(struct kchan *c, int side, unsigned int cmd, unsigned long arg)
{
	struct kchan_info info;

	kchan_fill_info(c, side, &info);
	return kchan_answer(&info, sizeof(info), KCHAN_INFO_V1, cmd, arg);
}

/* The requests of both ends. */
static long end_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kchan *c = file->private_data;
	int side = kchan_side_of(file);

	switch (KCHAN_BARE(cmd)) {
	case KCHAN_BARE(KCHAN_IOC_SENDM):
		return side == KCHAN_SIDE_TX ? kchan_batch(c, side, cmd, arg) : -EBADF;
	case KCHAN_BARE(KCHAN_IOC_RECVM):
		return side == KCHAN_SIDE_RX ? kchan_batch(c, side, cmd, arg) : -EBADF;
	case KCHAN_BARE(KCHAN_IOC_SHUT):
		return do_shut(c, side, cmd, arg);
	case KCHAN_BARE(KCHAN_IOC_INFO):
		return chan_info(c, side, cmd, arg);
	default:	/* sends and receives of this side were handled before */
		if (cmd == FIONREAD && side == KCHAN_SIDE_RX)	/* as a datagram socket's */
			return put_user((int)kchan_next_len(c), (int __user *)arg);
		return kchan_ioctl_any(cmd, arg, false, true);
	}
}

static long send_bare(struct kchan *c, unsigned int cmd, unsigned long arg, s64 deadline)
{
	void __user *buf = (void __user *)arg;
	u32 len = _IOC_SIZE(cmd);

	if (likely(len <= KCHAN_INLINE))
		return kchan_send_short(c, buf, len, deadline);
	return send_user(c, buf, len, NULL, NULL, deadline);
}

static long tx_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	u32 bare = KCHAN_BARE(cmd);

	if (likely(bare == KCHAN_IOC_SEND_WAIT(0)))
		return send_bare(file->private_data, cmd, arg, KCHAN_FOREVER);
	if (bare == KCHAN_IOC_SEND_NOW(0))
		return send_bare(file->private_data, cmd, arg, KCHAN_NOW);
	if (bare == KCHAN_BARE(KCHAN_IOC_SEND))
		return do_send(file->private_data, cmd, arg);
	return end_ioctl(file, cmd, arg);
}

static long rx_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *buf = (void __user *)arg;
	u32 bare = KCHAN_BARE(cmd);

	if (likely(bare == KCHAN_IOC_RECV_WAIT(0)))
		return kchan_recv_short(file->private_data, buf, _IOC_SIZE(cmd), KCHAN_FOREVER);
	if (bare == KCHAN_IOC_RECV_NOW(0))
		return kchan_recv_short(file->private_data, buf, _IOC_SIZE(cmd), KCHAN_NOW);
	if (bare == KCHAN_BARE(KCHAN_IOC_RECV))
		return do_recv(file->private_data, cmd, arg);
	return end_ioctl(file, cmd, arg);
}

static s64 iocb_deadline(struct kiocb *iocb)
{
	if (iocb->ki_flags & IOCB_NOWAIT)
		return KCHAN_NOW;
	/* fcntl(2) may change the flags meanwhile; only one bit is looked at */
	return data_race(iocb->ki_filp->f_flags) & O_NONBLOCK ? KCHAN_NOW : KCHAN_FOREVER;
}

/* The start of what is left of a plain buffer: no vector, no registered or kernel memory. */
static void __user *plain_buffer(const struct iov_iter *iter)
{
	return iter->ubuf + iter->iov_offset;
}

/* As iov_iter_advance() does it for a plain buffer. */
static void advance_plain(struct iov_iter *iter, size_t n)
{
	iter->iov_offset += n;
	iter->count -= n;
}

static noinline long read_scattered(struct kchan *c, struct iov_iter *to, size_t room,
				    s64 deadline)
{
	struct kchan_mem dst = { .iter = to };

	return kchan_recv(c, room, &dst, NULL, NULL, deadline);
}

/* An empty message can't be read, as 0 would mean end of file. */
static ssize_t kchan_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct kchan *c = iocb->ki_filp->private_data;
	size_t room = iov_iter_count(to) | KCHAN_NO_EMPTY;
	long r;

	if (!c->msg_max)
		return -EINVAL;
	if (!iov_iter_count(to))
		return 0;
	if (likely(iter_is_ubuf(to))) {
		r = kchan_recv_short_as(c, plain_buffer(to), room, NULL, iocb_deadline(iocb));
		if (likely(r >= 0)) {
			advance_plain(to, r);
			return r;
		}
	} else {
		r = read_scattered(c, to, room, iocb_deadline(iocb));
	}
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static noinline long write_long(struct kchan *c, struct iov_iter *from, size_t len, s64 deadline)
{
	struct kchan_payload p kchan_uninitialized;
	struct kchan_mem src = { .iter = from };
	long r;

	if (len > c->msg_max)
		return -EMSGSIZE;
	p.tag = 0;
	r = kchan_load(c, &p, &src, len);
	return r ?: kchan_send(c, &p, NULL, deadline);
}

static ssize_t kchan_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct kchan *c = iocb->ki_filp->private_data;
	size_t len = iov_iter_count(from);
	long r;

	if (!c->msg_max || !len)
		return -EINVAL;
	if (likely(len <= KCHAN_INLINE && iter_is_ubuf(from))) {
		r = kchan_send_short(c, plain_buffer(from), len, iocb_deadline(iocb));
		if (likely(r >= 0))
			advance_plain(from, len);
	} else {
		r = write_long(c, from, len, iocb_deadline(iocb));
	}
	return r < 0 ? r : len;
}

static __poll_t end_poll(struct file *file, poll_table *pt)
{
	return kchan_poll(file->private_data, kchan_side_of(file), NULL, file, pt);
}

static wait_queue_head_t *pollers_of(struct file *file)
{
	struct kchan *c = file->private_data;

	return kchan_side_of(file) == KCHAN_SIDE_RX ? &c->rx_poll : &c->tx_poll;
}

static int end_fasync(int fd, struct file *file, int on)
{
	return kchan_fasync(fd, file, on, pollers_of(file));
}

static int kchan_release(struct inode *inode, struct file *file)
{
	struct kchan *c = file->private_data;

	kchan_fasync_gone(file, pollers_of(file));
	kchan_end(c, kchan_side_of(file));
	kchan_put(c);
	return 0;
}

static void kchan_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct kchan *c = file->private_data;
	struct kchan_info i;
	__u64 *own = kchan_side_of(file) == KCHAN_SIDE_RX ? &i.receivers : &i.senders;

	kchan_fill_info(c, -1, &i);
	if (*own)	/* without the reference that procfs holds */
		--*own;
	seq_printf(m, "kchan-role:\t%s\n", kchan_side_of(file) == KCHAN_SIDE_RX ? "rx" : "tx");
	seq_printf(m, "kchan-id:\t%llu\nkchan-msg-max:\t%llu\nkchan-capacity:\t%llu\n",
		   i.id, i.msg_max, i.capacity);
	seq_printf(m, "kchan-len:\t%llu\nkchan-next-len:\t%llu\n", i.len, i.next_len);
	seq_printf(m, "kchan-senders:\t%llu\nkchan-receivers:\t%llu\n", i.senders, i.receivers);
	seq_printf(m, "kchan-parked-senders:\t%llu\nkchan-parked-receivers:\t%llu\n",
		   i.parked_senders, i.parked_receivers);
	seq_printf(m, "kchan-sent:\t%llu\nkchan-received:\t%llu\nkchan-dropped:\t%llu\n",
		   i.sent, i.received, i.dropped);
	seq_printf(m, "kchan-shut:\t%u\nkchan-send-err:\t%u\nkchan-recv-err:\t%u\n",
		   i.shut, i.send_err, i.recv_err);
}

const struct file_operations kchan_rx_fops = {
	.owner = THIS_MODULE,
	.release = kchan_release,
	.read_iter = kchan_read_iter,
	.poll = end_poll,
	.fasync = end_fasync,
	.uring_cmd = kchan_uring_cmd,
	.unlocked_ioctl = rx_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = kchan_show_fdinfo,
};

const struct file_operations kchan_tx_fops = {
	.owner = THIS_MODULE,
	.release = kchan_release,
	.write_iter = kchan_write_iter,
	.poll = end_poll,
	.fasync = end_fasync,
	.uring_cmd = kchan_uring_cmd,
	.unlocked_ioctl = tx_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = kchan_show_fdinfo,
};

static struct file *open_end(struct kchan *c, int side)
{
	bool rx = side == KCHAN_SIDE_RX;
	struct file *file;
	char name[40];

	kchan_name(name, rx ? "rx" : "tx", c->id);
	file = anon_inode_getfile(name, rx ? &kchan_rx_fops : &kchan_tx_fops, c,
				  rx ? O_RDONLY : O_WRONLY);
	if (IS_ERR(file))
		return file;
	kref_get(&c->ref);
	stream_open(file_inode(file), file);
	file->f_mode |= FMODE_NOWAIT;
	return file;
}

/* Reserve and store the numbers first, install the files last. */
int kchan_make_fds(struct kchan_make *m, struct kchan_make __user *um)
{
	struct kchan *c = kchan_alloc(m->msg_max, m->capacity, m->flags);
	struct file *file[2] = {};
	int fd[2] = { -1, -1 };
	int i, err = 0;

	if (IS_ERR(c))
		return PTR_ERR(c);
	for (i = 0; i < 2 && !err; i++) {
		fd[i] = get_unused_fd_flags(O_CLOEXEC);
		if (fd[i] < 0) {
			err = fd[i];
			break;
		}
		file[i] = open_end(c, i);
		if (IS_ERR(file[i])) {
			err = PTR_ERR(file[i]);
			file[i] = NULL;
		}
	}
	if (!err && (put_user(fd[0], &um->end[0]) || put_user(fd[1], &um->end[1])))
		err = -EFAULT;
	if (!err) {
		c->file[KCHAN_SIDE_RX] = file[0];
		c->file[KCHAN_SIDE_TX] = file[1];
	}
	for (i = 0; i < 2; i++) {
		if (!err) {
			fd_install(fd[i], file[i]);
			continue;
		}
		if (file[i])
			fput(file[i]);
		if (fd[i] >= 0)
			put_unused_fd(fd[i]);
	}
	kchan_put(c);
	return err;
}
