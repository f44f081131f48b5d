/* SPDX-License-Identifier: GPL-2.0-only */
/* Argument structures and answers that can grow, and the numbers of requests. */
#ifndef KCHAN_ARGS_H
#define KCHAN_ARGS_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/kchan.h>

/* The number of a request without the size of the caller's structure. */
#define KCHAN_BARE(cmd)	((unsigned int)(cmd) & ~IOCSIZE_MASK)

/* The sizes of the structures when they were first published. */
#define KCHAN_MAKE_V1		32
#define KCHAN_XFER_V1		32
#define KCHAN_SELECT_V1		32
#define KCHAN_ARM_V1		24
#define KCHAN_BATCH_V1		40
#define KCHAN_URING_V1		16
#define KCHAN_SHUT_V1		8
#define KCHAN_INFO_V1		112
#define KCHAN_GROUP_MAKE_V1	16
#define KCHAN_GROUP_WAIT_V1	24
#define KCHAN_GROUP_END_V1	16
#define KCHAN_GROUP_INFO_V1	200
#define KCHAN_VALUE_V1		24
#define KCHAN_OUT_V1		16
#define KCHAN_FEATURES_V1	48

int kchan_answer(const void *v, size_t known, size_t oldest, unsigned int cmd,
		 unsigned long arg);
int kchan_args(void *dst, size_t size, size_t oldest, unsigned int cmd, unsigned long arg);
int kchan_features(unsigned int cmd, unsigned long arg);
int kchan_unanswered(unsigned int cmd);

#endif
