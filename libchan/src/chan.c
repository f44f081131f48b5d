/* SPDX-License-Identifier: MIT */
/* Channels. Each call is a few lines over one ioctl; nothing is kept between calls. */
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <linux/magic.h>

#include "call.h"
#include "race.h"
#include "tool.h"

_Static_assert(sizeof(struct chan_case) == sizeof(struct kchan_case), "layout");
_Static_assert(offsetof(struct chan_case, msg.res) ==
	       offsetof(struct kchan_case, msg.res), "layout");
_Static_assert(sizeof(struct chan_info) == sizeof(struct kchan_info), "layout");
_Static_assert(sizeof(struct chan_msg) == sizeof(struct kchan_msg), "layout");
_Static_assert(CHAN_POLL == KCHAN_POLL && CHAN_FDS == KCHAN_FDS, "names");
_Static_assert(CHAN_SEND == KCHAN_SEND && CHAN_RECV == KCHAN_RECV, "ops");
_Static_assert(CHAN_DROP_NEW == KCHAN_DROP_NEW && CHAN_DROP_OLD == KCHAN_DROP_OLD, "flags");
_Static_assert(CHAN_PRIO == KCHAN_PRIO && CHAN_REARM == KCHAN_REARM && CHAN_RX == KCHAN_RX &&
	       CHAN_TX == KCHAN_TX, "names");

API int64_t chan_after(int64_t ns)
{
	struct timespec now;
	int64_t t, sum;

	clock_gettime(CLOCK_MONOTONIC, &now);
	t = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (__builtin_add_overflow(t, ns, &sum))
		return CHAN_FOREVER;
	return sum ? sum : 1;
}

API int chan_make_on(int dev, int end[2], size_t msg_max, unsigned capacity, unsigned flags)
{
	struct kchan_make m = { .msg_max = msg_max, .capacity = capacity, .flags = flags };
	int r;

	if (!end)
		return fail(EFAULT);
	if (tool_on())
		tool_room(end, 2 * sizeof(*end));
	r = call(dev, KCHAN_IOC_MAKE, &m);
	if (r < 0)
		return r;
	end[0] = m.end[0];
	end[1] = m.end[1];
	if (tool_on())
		tool_stored(end, 2 * sizeof(*end));
	return 0;
}

API int chan_make(int end[2], size_t msg_max, unsigned capacity, unsigned flags)
{
	int dev, r;

	if (!end)
		return fail(EFAULT);
	dev = open_device();
	if (dev < 0)
		return dev;
	r = chan_make_on(dev, end, msg_max, capacity, flags);
	drop(dev);
	return r;
}

/* The fast path: no group, one of the two simplest deadlines, and no tool to be told. */
static int is_fast(size_t len, int under, int64_t deadline)
{
	return under == -1 && len <= KCHAN_SHORT_MAX &&
	       (deadline == CHAN_FOREVER || deadline == CHAN_NOW) && no_tool;
}

static int transfer(int fd, unsigned long req, struct kchan_xfer *x, void *filled)
{
	int r;

	if (!tool_on())
		return call_bare(fd, req, x);
	x->tag = race_tag();
	if (filled)
		tool_room(filled, x->len);
	else
		tool_reads((void *)(uintptr_t)x->buf, x->len);
	race_release_tag(x->tag);
	r = call(fd, req, x);
	if (r < 0) {
		race_failed(fd, x->under, r);
		return r;
	}
	race_acquire_tag(x->peer_tag);
	if (filled)
		tool_stored(filled, r);
	return r;
}

/* Out of line, so that the fast path needs no stack frame. */
static __attribute__((noinline)) int send_slow(int tx, const void *msg, size_t len, int under,
					       int64_t deadline)
{
	struct kchan_xfer x = {
		.buf = (uintptr_t)msg, .len = len, .deadline = deadline, .under = under,
	};

	return transfer(tx, KCHAN_IOC_SEND, &x, NULL);
}

API int chan_send(int tx, const void *msg, size_t len, int under, int64_t deadline)
{
	if (!is_fast(len, under, deadline))
		return send_slow(tx, msg, len, under, deadline);
	return call_bare(tx, deadline ? KCHAN_IOC_SEND_WAIT(len) : KCHAN_IOC_SEND_NOW(len), msg);
}

static __attribute__((noinline)) ssize_t recv_slow(int rx, void *buf, size_t len, int under,
						   int64_t deadline)
{
	struct kchan_xfer x = {
		.buf = (uintptr_t)buf, .len = len, .deadline = deadline, .under = under,
	};

	return transfer(rx, KCHAN_IOC_RECV, &x, buf);
}

API ssize_t chan_recv(int rx, void *buf, size_t len, int under, int64_t deadline)
{
	if (!is_fast(len, under, deadline))
		return recv_slow(rx, buf, len, under, deadline);
	return call_bare(rx, deadline ? KCHAN_IOC_RECV_WAIT(len) : KCHAN_IOC_RECV_NOW(len), buf);
}

static size_t fds_size(const struct chan_msg *m)
{
	return (m->nfds < KCHAN_MAX_FDS ? m->nfds : KCHAN_MAX_FDS) * sizeof(*m->fds);
}

/* Tell the tools what the call reads of a message, and where it may store one. */
static void tell_msg(const struct chan_msg *m, bool send)
{
	tool_reads(&m->buf, sizeof(m->buf));
	tool_reads(&m->len, sizeof(m->len));
	tool_reads(&m->nfds, sizeof(m->nfds));
	if (m->nfds)
		tool_reads(&m->fds, sizeof(m->fds));
	if (send) {
		tool_reads(m->buf, m->len);
		tool_reads(m->fds, fds_size(m));
	} else {
		tool_room(m->buf, m->len);
		tool_room(m->fds, fds_size(m));
	}
}

static void tell_received(struct chan_msg *m)
{
	tool_stored(&m->len, sizeof(m->len));
	tool_stored(&m->nfds, sizeof(m->nfds));
	tool_stored(m->buf, m->len);
	tool_stored(m->fds, fds_size(m));
}

static int batch(int fd, unsigned long req, struct chan_msg *msgs, unsigned n, int under,
		 int64_t deadline)
{
	struct kchan_batch b = {
		.msgs = (uintptr_t)msgs, .n = n, .deadline = deadline, .under = under,
	};
	unsigned done;
	int r = 0;

	if (n > KCHAN_MAX_BATCH)
		return fail(EINVAL);
	if (!tool_on() || !n || !msgs)
		return call(fd, req, &b);
	tool_room(msgs, n * sizeof(*msgs));
	b.n = 1;	/* one a call, as each synchronises with a peer of its own */
	for (done = 0; done < n; done++) {
		struct chan_msg *m = &msgs[done];

		b.msgs = (uintptr_t)m;
		b.tag = race_tag();
		b.peer_tag = 0;
		tell_msg(m, req == KCHAN_IOC_SENDM);
		race_release_tag(b.tag);
		r = call(fd, req, &b);
		if (r < 0) {
			race_failed(fd, under, r);
			break;
		}
		race_acquire_tag(b.peer_tag);
		tool_stored(&m->res, sizeof(m->res));
		if (req == KCHAN_IOC_RECVM)
			tell_received(m);
		b.deadline = CHAN_NOW;
	}
	return done ? (int)done : r;
}

API int chan_sendm(int tx, struct chan_msg *msgs, unsigned n, int under, int64_t deadline)
{
	return batch(tx, KCHAN_IOC_SENDM, msgs, n, under, deadline);
}

API int chan_recvm(int rx, struct chan_msg *msgs, unsigned n, int under, int64_t deadline)
{
	return batch(rx, KCHAN_IOC_RECVM, msgs, n, under, deadline);
}

/*
 * Is @fd one of kchan's? No driver is sent a request that it might take for one of its
 * own: kchan's files are anonymous inodes, and only those are asked.
 */
static int is_ours(int fd)
{
	struct kchan_features f;
	struct kchan_out out = { .addr = (uintptr_t)&f, .size = sizeof(f) };
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == ANON_INODE_FS_MAGIC &&
	       !ioctl(fd, KCHAN_IOC_FEATURES, &out);
}

/*
 * The descriptor to issue a select on: that of a channel case, or the group, or the
 * device; where that can't be opened, one of kchan's that is polled.
 */
static int select_fd(const struct chan_case *cases, unsigned n, int under, int *opened)
{
	for (unsigned i = 0; i < n; i++)
		if (cases[i].fd >= 0 && cases[i].op != CHAN_POLL)
			return cases[i].fd;
	if (under >= 0)
		return under;
	*opened = open_device();
	for (unsigned i = 0; *opened < 0 && i < n; i++)
		if (cases[i].fd >= 0 && is_ours(cases[i].fd))
			return cases[i].fd;
	return *opened < 0 ? fail(-*opened) : *opened;
}

/* What may be sent is read now. Where an armed case will receive is not known yet. */
static void tell_case(const struct chan_case *c, bool arm)
{
	tool_reads(&c->fd, sizeof(c->fd));
	if (c->fd == -1)
		return;
	tool_reads(&c->op, sizeof(c->op));
	tool_reads(&c->events, sizeof(c->events));
	if (c->op == CHAN_SEND || (c->op == CHAN_RECV && !arm)) {
		tell_msg(&c->msg, c->op == CHAN_SEND);
	} else if (c->op == CHAN_RECV) {
		tool_reads(&c->msg.len, sizeof(c->msg.len));
		tool_reads(&c->msg.nfds, sizeof(c->msg.nfds));
	}
}

/* Any of the cases may be chosen, and any peer may synchronise with what came before. */
static uint32_t tell_cases(const struct chan_case *cases, unsigned n, bool arm)
{
	uint32_t tag = race_tag();

	for (unsigned i = 0; i < n; i++)
		tell_case(&cases[i], arm);
	race_release_tag(tag);
	return tag;
}

/* Tell the tools of a case that has sent or received. */
static void moved(struct chan_case *c, uint32_t peer_tag, bool received)
{
	tool_stored(&c->msg.res, sizeof(c->msg.res));
	race_failed(c->fd, -1, c->msg.res);
	if (c->msg.res < 0)
		return;
	race_acquire_tag(peer_tag);
	if (received)
		tell_received(&c->msg);
}

static void selected(struct chan_case *c, uint32_t peer_tag)
{
	if (c->op != CHAN_POLL) {
		moved(c, peer_tag, c->op == CHAN_RECV);
		return;
	}
	tool_stored(&c->msg.res, sizeof(c->msg.res));
	tool_stored(&c->revents, sizeof(c->revents));
	race_polled(c->fd);
}

/* Of the cases of an armed select only the one that fired is used: its op and its msg. */
static void fetched(struct chan_case *c, uint32_t peer_tag)
{
	bool received;

	tool_reads(&c->op, sizeof(c->op));
	received = c->op != CHAN_SEND;
	tool_stored(&c->msg.res, sizeof(c->msg.res));
	if (received && c->msg.res >= 0)
		tell_msg(&c->msg, false);
	moved(c, peer_tag, received);
}

static int check_cases(const struct chan_case *cases, unsigned n, unsigned flags)
{
	if (n > KCHAN_MAX_CASES || flags & ~CHAN_PRIO)
		return fail(EINVAL);
	return n && !cases ? fail(EFAULT) : 0;
}

API int chan_select(struct chan_case *cases, unsigned n, unsigned flags, int under,
		    int64_t deadline)
{
	struct kchan_select s = {
		.cases = (uintptr_t)cases, .n = n, .flags = flags | KCHAN_MAY_HANDLE,
		.deadline = deadline, .under = under,
	};
	int fd, opened = -1, r = check_cases(cases, n, flags);

	if (r)
		return r;
	if (tool_on()) {
		tool_room(cases, n * sizeof(*cases));
		s.tag = tell_cases(cases, n, false);
	}
	fd = select_fd(cases, n, under, &opened);
	if (fd < 0)
		return fd;
	r = call(fd, KCHAN_IOC_SELECT, &s);
	if (r == KCHAN_USE_HANDLE) {
		int handle = s.handle;

		s.handle = 0;
		s.flags = flags;
		r = call(handle, KCHAN_IOC_SELECT, &s);
		drop(handle);
	}
	if (opened >= 0)
		drop(opened);
	if (!tool_on())
		return r;
	if (r >= 0)
		selected(&cases[r], s.peer_tag);
	else
		race_failed(-1, under, r);
	return r;
}

API int chan_arm(const struct chan_case *cases, unsigned n, unsigned flags)
{
	struct kchan_arm a = { .cases = (uintptr_t)cases, .n = n, .flags = flags };
	int fd, opened = -1, r = check_cases(cases, n, flags & ~CHAN_REARM);

	if (r)
		return r;
	for (unsigned i = 0; i < n; i++)	/* EINVAL also without the device */
		if (cases[i].fd != -1 && cases[i].op != CHAN_SEND && cases[i].op != CHAN_RECV)
			return fail(EINVAL);
	if (tool_on())
		a.tag = tell_cases(cases, n, true);
	fd = select_fd(cases, n, -1, &opened);
	if (fd < 0)
		return fd;
	r = call(fd, KCHAN_IOC_ARM, &a);
	if (opened >= 0)
		drop(opened);
	return r;
}

API int chan_fired(int armed, struct chan_case *cases, unsigned n)
{
	struct kchan_arm f = { .cases = (uintptr_t)cases, .n = n, .tag = race_on() };
	int r = check_cases(cases, n, 0);

	if (r)
		return r;
	r = call(armed, KCHAN_IOC_FIRED, &f);
	if (r >= 0 && tool_on())
		fetched(&cases[r], f.tag);
	return r;
}

/* Only the kernel knows which of the cases it reads. */
API int chan_rearm(int armed, const struct chan_case *cases, unsigned n)
{
	struct kchan_arm a = { .cases = (uintptr_t)cases, .n = n };
	int r = check_cases(cases, n, 0);

	if (r)
		return r;
	if (tool_on())
		a.tag = tell_cases(NULL, 0, true);
	r = call(armed, KCHAN_IOC_REARM, &a);
	if (r >= 0 && tool_on())
		tell_case(&cases[r], true);
	return r < 0 ? r : 0;
}

API int chan_shut(int end, int err)
{
	struct kchan_shut s = { .err = err };
	struct kchan_info i;

	if (race_on() && !call_out(end, KCHAN_IOC_INFO, &i, sizeof(i)))
		race_release(RACE_SHUT, i.id);
	return call(end, KCHAN_IOC_SHUT, &s);
}

API int chan_info(int end, struct chan_info *info, size_t size)
{
	int r = call_info(end, KCHAN_IOC_INFO, info, size);

	if (!r && tool_on())
		race_shut_seen(info);
	return r;
}

/* Without the device: /proc shows the names of anonymous inodes. */
static int kind_by_name(int fd)
{
	static const struct { const char *name; int kind; } kinds[] = {
		{ "anon_inode:[kchan:rx:", CHAN_RX }, { "anon_inode:[kchan:tx:", CHAN_TX },
		{ "anon_inode:[kchan:group:", CHAN_GROUP },
		{ "anon_inode:[kchan:watch:", CHAN_WATCH },
		{ "anon_inode:[kchan:armed]", CHAN_ARMED },
	};
	char path[40], name[40] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) < 0)
		return fail(ENOTTY);	/* open, but nothing tells what it is */
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strncmp(name, kinds[i].name, strlen(kinds[i].name)))
			return kinds[i].kind;
	return fail(ENOTTY);
}

API int chan_kind(int fd)
{
	int dev, r;

	if (fcntl(fd, F_GETFD) < 0)
		return fail(EBADF);
	dev = open_device();
	if (dev < 0)
		return kind_by_name(fd);
	r = call_plain(dev, KCHAN_IOC_KIND, fd);
	drop(dev);
	return r;
}
