/* SPDX-License-Identifier: MIT */
#ifndef LIBCHAN_GROUP_H
#define LIBCHAN_GROUP_H

/* chan_leave(), with the kernel's flags. */
int group_leave(int member, int err, const char *why, unsigned flags);

#endif
