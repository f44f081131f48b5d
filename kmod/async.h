/* SPDX-License-Identifier: GPL-2.0-only */
/* async.c: signals for those who asked for them by O_ASYNC. */
#ifndef KCHAN_ASYNC_H
#define KCHAN_ASYNC_H

#include <linux/fs.h>
#include <linux/wait.h>

int kchan_fasync(int fd, struct file *file, int on, wait_queue_head_t *wq);
void kchan_fasync_gone(struct file *file, wait_queue_head_t *wq);
void kchan_fasync_init(void);

#endif
