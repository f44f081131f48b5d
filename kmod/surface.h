/* SPDX-License-Identifier: GPL-2.0-only */
/* The surface: a file for each kind of call. */
#ifndef KCHAN_SURFACE_H
#define KCHAN_SURFACE_H

#include <linux/types.h>

struct io_uring_cmd;
struct kchan;
struct kchan_make;
struct kgroup;

/* batch.c */
long kchan_batch(struct kchan *c, int side, unsigned int cmd, unsigned long arg);

/* uring.c */
int kchan_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);

/* file.c */
int kchan_make_fds(struct kchan_make *m, struct kchan_make __user *um);

/* group_file.c */
int kgroup_make_fd(struct kgroup *parent, unsigned int cmd, unsigned long arg);

#endif
