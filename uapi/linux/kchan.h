/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * kchan: Go's channels as file descriptors.
 *
 * Every call is an ioctl. The size encoded in the ioctl number is the size of
 * the caller's structure: a newer kernel takes an older caller's shorter
 * structure (missing fields are 0), an older kernel takes a newer caller's
 * longer one if what it does not know is 0 (else EINVAL). One shorter than the
 * first that was published is EINVAL, as is any size where there is no structure.
 * Unknown flags and non-zero reserved fields are EINVAL. The direction is part of
 * the number: with another one it is not a call of this interface (ENOTTY). A call
 * that the kind of descriptor does not answer is EBADF, whatever its size. A call
 * that fails has changed nothing.
 *
 * Addresses are passed as __u64, so 32-bit programs use the same structures;
 * the exceptions, arrays of struct kchan_case and of struct kchan_msg, are
 * translated for them.
 */
#ifndef _UAPI_LINUX_KCHAN_H
#define _UAPI_LINUX_KCHAN_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KCHAN_MAGIC		0xC8
#define KCHAN_ABI		1
#define KCHAN_MAX_CASES		1024
#define KCHAN_MAX_FDS		16	/* of a message */
#define KCHAN_MAX_BATCH		1024

/* deadlines: absolute CLOCK_MONOTONIC nanoseconds */
#define KCHAN_NOW		0
#define KCHAN_FOREVER		0x7fffffffffffffffLL

/* struct kchan_make.flags */
#define KCHAN_DROP_NEW		(1U << 0)	/* full: the new message is dropped */
#define KCHAN_DROP_OLD		(1U << 1)	/* full: the oldest message is dropped */

#define KCHAN_FDS		(1U << 2)	/* messages may carry descriptors */

/* struct kchan_case.op */
#define KCHAN_SEND		1
#define KCHAN_RECV		2
#define KCHAN_POLL		3

/* struct kchan_select.flags */
#define KCHAN_PRIO		(1U << 0)	/* first ready case, not a random one */
#define KCHAN_MAY_HANDLE	(1U << 1)	/* may answer KCHAN_USE_HANDLE */

/* struct kchan_arm.flags: KCHAN_PRIO, and */
#define KCHAN_REARM		(1U << 2)	/* KCHAN_IOC_REARM will follow */

/* KCHAN_IOC_KIND answers */
#define KCHAN_RX		1
#define KCHAN_TX		2
#define KCHAN_GROUP		3
#define KCHAN_WATCH		4
#define KCHAN_ARMED		5

/* struct kchan_group_make.flags */
#define KCHAN_FAIL_FAST		(1U << 0)	/* the first member that fails ends the group */
#define KCHAN_FIRST_EXIT	(1U << 1)	/* the first member that leaves ends the group */
#define KCHAN_DETACHED		(1U << 2)	/* the parent's values, not its end */

/* struct kchan_group_info.state */
#define KCHAN_LIVE		0
#define KCHAN_ENDED		1

/* sizes in bytes, the final 0 of a text included */
#define KCHAN_WHY_SIZE		128
#define KCHAN_KEY_SIZE		128
#define KCHAN_VALUE_MAX		4096

/* struct kchan_info.shut */
#define KCHAN_SHUT_SEND		(1U << 0)
#define KCHAN_SHUT_RECV		(1U << 1)

/*
 * KCHAN_IOC_MAKE, on /dev/kchan: make a channel.
 * @msg_max:  largest message in bytes, 0..the msg_max parameter
 * @capacity: messages it buffers; 0: rendezvous
 * @flags:    KCHAN_DROP_NEW or KCHAN_DROP_OLD, capacity >= 1; KCHAN_FDS
 * @reserved: 0
 * @end:      out: the receiving and the sending descriptor, close-on-exec
 */
struct kchan_make {
	__u64 msg_max;
	__u32 capacity;
	__u32 flags;
	__u32 reserved[2];
	__s32 end[2];
};

/*
 * KCHAN_IOC_SEND on a sending end: returns 0, or 1 if a message was dropped.
 * KCHAN_IOC_RECV on a receiving end: returns the message's length.
 * @buf, @len: the message, or room for it
 * @deadline:  KCHAN_NOW, KCHAN_FOREVER or absolute CLOCK_MONOTONIC nanoseconds
 * @under:     a group or watch the call runs under, or -1
 * @flags:     0
 * @tag:       0, or a number that travels with the transfer; see below
 * @peer_tag:  0 in; out, with a tag, after a transfer: the other side's
 *
 * Tags let a race detector see who synchronises with whom. A receive is given
 * the tag of the send of its message; a rendezvous send that of the receive that it
 * met, a buffered one that of the receive that emptied its place.
 *
 * KCHAN_IOC_SEND_WAIT(len), KCHAN_IOC_SEND_NOW(len), KCHAN_IOC_RECV_WAIT(len)
 * and KCHAN_IOC_RECV_NOW(len) are the same calls for up to KCHAN_SHORT_MAX bytes
 * without a group or a tag, and with KCHAN_FOREVER or KCHAN_NOW: the argument is
 * @buf itself.
 */
struct kchan_xfer {
	__u64 buf;
	__u64 len;
	__s64 deadline;
	__s32 under;
	__u32 flags;
	__u32 tag;
	__u32 peer_tag;
};

#define KCHAN_SHORT_MAX		((1U << _IOC_SIZEBITS) - 1)

/* A message in a select case: natural layout, as struct iovec has. */
struct kchan_msg {
	void *buf;
	__kernel_size_t len;
	__s32 *fds;
	__u32 nfds;
	__s32 res;		/* out: bytes, or 0/1 for a send, or -errno */
};

struct kchan_case {
	__s32 fd;		/* -1: the case is out, and the rest is not looked at */
	__s32 op;		/* KCHAN_SEND, KCHAN_RECV, KCHAN_POLL */
	__u32 events, revents;	/* KCHAN_POLL: poll(2)'s, else 0; out: seen */
	struct kchan_msg msg;
};

/*
 * KCHAN_IOC_SELECT on any kchan descriptor or /dev/kchan: do exactly one case.
 * Returns its index.
 * @cases, @n: struct kchan_case[n], at most KCHAN_MAX_CASES
 * @flags:     KCHAN_PRIO; KCHAN_MAY_HANDLE
 * @handle:    0 in; out with KCHAN_USE_HANDLE
 * @tag, @peer_tag: as in struct kchan_xfer
 *
 * A select that waits must not keep open the descriptor it was issued on. In a
 * process that shares its descriptors between threads, a select with
 * KCHAN_MAY_HANDLE that would wait makes a bare descriptor instead, stores it
 * in @handle and returns KCHAN_USE_HANDLE; the caller repeats the call on that
 * and closes it. libchan does so.
 */
struct kchan_select {
	__u64 cases;
	__u32 n;
	__u32 flags;
	__s64 deadline;
	__s32 under;
	__s32 handle;
	__u32 tag;
	__u32 peer_tag;
};

#define KCHAN_USE_HANDLE	(1 << 30)	/* no index is as large */

/*
 * KCHAN_IOC_ARM on /dev/kchan, an end, a group or a watch: park a select that
 * nobody sleeps for.
 * Returns a descriptor, close-on-exec, that is readable when a case is done, and
 * answers KCHAN_IOC_FIRED, KCHAN_IOC_REARM, KCHAN_IOC_SELECT and KCHAN_IOC_FEATURES
 * alone.
 * KCHAN_IOC_FIRED on that descriptor: returns the index of the case, once, and
 * stores what it received. EAGAIN: none is done; EALREADY: it was fetched.
 * KCHAN_IOC_REARM on that descriptor, made with KCHAN_REARM: arm it again. The case
 * that was done is taken anew from @cases; the others are as they were, and nothing
 * of them is read. Returns the index of that case. EAGAIN: none is done; EBUSY: it
 * was not fetched.
 * @cases, @n: KCHAN_SEND and KCHAN_RECV. KCHAN_IOC_FIRED: of the same number,
 *             and the buffer is the one named now. KCHAN_IOC_REARM: of the same number
 * @flags:     KCHAN_PRIO, KCHAN_REARM. KCHAN_IOC_FIRED, KCHAN_IOC_REARM: 0
 * @tag:       as in struct kchan_xfer; KCHAN_IOC_FIRED: not 0; out: the peer's
 */
struct kchan_arm {
	__u64 cases;
	__u32 n;
	__u32 flags;
	__u32 tag;
	__u32 reserved;		/* 0 */
};

/*
 * KCHAN_IOC_SENDM on a sending end, KCHAN_IOC_RECVM on a receiving end: move up
 * to @n messages, at most KCHAN_MAX_BATCH. Waits for the first only and stops at
 * the first that would wait or is wrong. Returns how many were moved; the error
 * only if that is 0.
 * @msgs:      struct kchan_msg[n]; out: res, and of a receive len and nfds
 * @deadline, @under, @tag, @peer_tag: as in struct kchan_xfer; @peer_tag is that
 *             of the last message
 * @flags:     0
 */
struct kchan_batch {
	__u64 msgs;
	__u32 n;
	__u32 flags;
	__s64 deadline;
	__s32 under;
	__u32 reserved;		/* 0 */
	__u32 tag;
	__u32 peer_tag;
};

/*
 * Commands of io_uring (IORING_OP_URING_CMD), on /dev/kchan, an end, a group or a
 * watch: cmd_op is KCHAN_IOC_SEND, KCHAN_IOC_RECV or KCHAN_IOC_SELECT, looked at as
 * the number of an ioctl is, and the command area holds struct kchan_uring. The
 * structure it points to is that of the ioctl, with no tag; it and all it names must
 * stay until the command has completed. The result is that of the ioctl. A select's
 * cases are KCHAN_SEND and KCHAN_RECV. With IORING_URING_CMD_FIXED a send or receive
 * uses a registered buffer.
 *
 * With KCHAN_FEAT_URING_SHORT, cmd_op may also be KCHAN_IOC_SEND_WAIT(0),
 * KCHAN_IOC_SEND_NOW(0), KCHAN_IOC_RECV_WAIT(0) or KCHAN_IOC_RECV_NOW(0), on an end: then
 * @addr and @size are the message itself, or the room for it, of any length.
 */
struct kchan_uring {
	__u64 addr;
	__u32 size;		/* of what is there */
	__u32 reserved;		/* 0 */
};

/*
 * KCHAN_IOC_SHUT on an end. @err: why, 0..4095. EPIPE if it was shut before.
 */
struct kchan_shut {
	__s32 err;
	__u32 flags;		/* 0 */
};

/* KCHAN_IOC_INFO on an end, through struct kchan_out. */
struct kchan_info {
	__u64 id;
	__u64 msg_max;
	__u64 capacity;
	__u64 len;		/* messages buffered now */
	__u64 next_len;		/* bytes of the next one, 0: none */
	__u64 senders;		/* open references to each end */
	__u64 receivers;
	__u64 parked_senders;	/* cases waiting */
	__u64 parked_receivers;
	__u64 sent;		/* at rest: sent = received + dropped + len */
	__u64 received;
	__u64 dropped;
	__u32 shut;		/* KCHAN_SHUT_SEND, KCHAN_SHUT_RECV */
	__u32 send_err;		/* why each side was shut */
	__u32 recv_err;
	__u32 reserved;
};

/*
 * KCHAN_IOC_GROUP: make a group; returns its owner descriptor, close-on-exec.
 * On /dev/kchan a root, on a group or watch a child of it.
 * @deadline: KCHAN_FOREVER: none; absolute CLOCK_MONOTONIC nanoseconds; not KCHAN_NOW
 * @flags:    KCHAN_FAIL_FAST, KCHAN_FIRST_EXIT; KCHAN_DETACHED
 * @limit:    members at once, 0: any number
 */
struct kchan_group_make {
	__s64 deadline;
	__u32 flags;
	__u32 limit;
};

/*
 * KCHAN_IOC_WATCH, on a group: returns a watch of it. No argument: it is 0.
 *
 * KCHAN_IOC_JOIN, on a group: returns a member's owner descriptor. Waits while
 * the group has as many members as its limit; an ended group gives its error.
 *
 * KCHAN_IOC_WAIT, on a group or watch: wait until it has no member, return 0.
 * @deadline, @under: as in struct kchan_xfer
 * @flags:     0
 * @first_err: 0 in; out (KCHAN_IOC_WAIT): error of the first member that failed, or 0
 */
struct kchan_group_wait {
	__s64 deadline;
	__s32 under;
	__u32 flags;
	__s32 first_err;
	__u32 reserved;		/* 0 */
};

/*
 * KCHAN_IOC_CANCEL, on a group: end it and what is below it.
 * KCHAN_IOC_LEAVE, on a member: leave its parent, end the member and what is below.
 * @why:   0, or a text; it is cut at KCHAN_WHY_SIZE - 1 bytes
 * @err:   0..4095. KCHAN_IOC_CANCEL: 0 is ECANCELED. KCHAN_IOC_LEAVE: 0 is success
 * @flags: 0. KCHAN_IOC_LEAVE: KCHAN_UNJOIN
 *
 * KCHAN_UNJOIN: leave as if this member had never joined: nothing is ended but
 * the member, nothing counted as failed. For who could not start the member's work.
 */
struct kchan_group_end {
	__u64 why;
	__s32 err;
	__u32 flags;
};

#define KCHAN_UNJOIN		(1U << 0)

/* KCHAN_IOC_GROUP_INFO, on a group or watch, through struct kchan_out. */
struct kchan_group_info {
	__u64 id;
	__u64 parent_id;	/* 0: a root */
	__s64 deadline;		/* KCHAN_FOREVER: none */
	__u64 members;		/* that have not left */
	__u64 limit;
	__u64 children;		/* live groups directly below, members among them */
	__u64 failed;		/* members that left with an error */
	__u32 state;		/* KCHAN_LIVE, KCHAN_ENDED */
	__u32 err;		/* why it ended */
	__u32 by_pid;		/* who ended it, in the reader's pid namespace, or 0 */
	char why[KCHAN_WHY_SIZE];
	__u32 reserved;
};

/*
 * KCHAN_IOC_VALUE_SET, on a group: set a value once. EEXIST: it is set.
 * KCHAN_IOC_VALUE_GET, on a group or watch: returns the value's length; looks in
 * the group, then in its parents. ENODATA: nowhere.
 * @key:  a text of 1..KCHAN_KEY_SIZE - 1 bytes
 * @val, @len: the value, 0..KCHAN_VALUE_MAX bytes, or room for it. GET with
 *        @val and @len 0 tells the length; too little room is EMSGSIZE
 */
struct kchan_value {
	__u64 key;
	__u64 val;
	__u64 len;
};

/* Where to put an answer of @size bytes; what the kernel does not know is 0. */
struct kchan_out {
	__u64 addr;
	__u32 size;
	__u32 reserved;		/* 0 */
};

/* struct kchan_features.features */
#define KCHAN_FEAT_URING	(1U << 0)	/* commands of io_uring */
/* they wait without a worker, and end with their ring or their process */
#define KCHAN_FEAT_URING_PARK	(1U << 1)
#define KCHAN_FEAT_REARM	(1U << 2)	/* KCHAN_REARM, KCHAN_IOC_REARM */
#define KCHAN_FEAT_URING_SHORT	(1U << 3)	/* with buffer and length in the entry */

/* KCHAN_IOC_FEATURES on any kchan descriptor, through struct kchan_out. */
struct kchan_features {
	__u32 abi;		/* KCHAN_ABI */
	__u32 make_flags;	/* flags KCHAN_IOC_MAKE knows */
	__u32 select_flags;
	__u32 max_cases;
	__u64 msg_max;		/* limits in force */
	__u64 capacity_max;
	__u64 features;		/* KCHAN_FEAT_* */
	__u32 group_flags;	/* flags KCHAN_IOC_GROUP knows */
	__u32 reserved;
};

#define KCHAN_IOC_FEATURES	_IOW(KCHAN_MAGIC, 0, struct kchan_out)
#define KCHAN_IOC_MAKE		_IOWR(KCHAN_MAGIC, 1, struct kchan_make)
#define KCHAN_IOC_KIND		_IO(KCHAN_MAGIC, 2)	/* on /dev/kchan; arg: the descriptor */
#define KCHAN_IOC_SEND		_IOWR(KCHAN_MAGIC, 3, struct kchan_xfer)
#define KCHAN_IOC_RECV		_IOWR(KCHAN_MAGIC, 4, struct kchan_xfer)
#define KCHAN_IOC_SELECT	_IOWR(KCHAN_MAGIC, 5, struct kchan_select)
#define KCHAN_IOC_SHUT		_IOW(KCHAN_MAGIC, 6, struct kchan_shut)
#define KCHAN_IOC_INFO		_IOW(KCHAN_MAGIC, 7, struct kchan_out)
#define KCHAN_IOC_GROUP		_IOW(KCHAN_MAGIC, 8, struct kchan_group_make)
#define KCHAN_IOC_WATCH		_IO(KCHAN_MAGIC, 9)
#define KCHAN_IOC_JOIN		_IOW(KCHAN_MAGIC, 10, struct kchan_group_wait)
#define KCHAN_IOC_LEAVE		_IOW(KCHAN_MAGIC, 11, struct kchan_group_end)
#define KCHAN_IOC_CANCEL	_IOW(KCHAN_MAGIC, 12, struct kchan_group_end)
#define KCHAN_IOC_WAIT		_IOWR(KCHAN_MAGIC, 13, struct kchan_group_wait)
#define KCHAN_IOC_GROUP_INFO	_IOW(KCHAN_MAGIC, 14, struct kchan_out)
#define KCHAN_IOC_VALUE_SET	_IOW(KCHAN_MAGIC, 15, struct kchan_value)
#define KCHAN_IOC_VALUE_GET	_IOW(KCHAN_MAGIC, 16, struct kchan_value)
#define KCHAN_IOC_SENDM		_IOWR(KCHAN_MAGIC, 17, struct kchan_batch)
#define KCHAN_IOC_RECVM		_IOWR(KCHAN_MAGIC, 18, struct kchan_batch)
#define KCHAN_IOC_ARM		_IOW(KCHAN_MAGIC, 19, struct kchan_arm)
#define KCHAN_IOC_FIRED		_IOWR(KCHAN_MAGIC, 20, struct kchan_arm)
#define KCHAN_IOC_REARM		_IOW(KCHAN_MAGIC, 21, struct kchan_arm)

#define KCHAN_IOC_SEND_WAIT(len) _IOC(_IOC_WRITE, KCHAN_MAGIC, 0x20, len)
#define KCHAN_IOC_SEND_NOW(len)	_IOC(_IOC_WRITE, KCHAN_MAGIC, 0x21, len)
#define KCHAN_IOC_RECV_WAIT(len) _IOC(_IOC_READ, KCHAN_MAGIC, 0x22, len)
#define KCHAN_IOC_RECV_NOW(len)	_IOC(_IOC_READ, KCHAN_MAGIC, 0x23, len)

#endif
