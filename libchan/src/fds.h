/* SPDX-License-Identifier: MIT */
#ifndef LIBCHAN_FDS_H
#define LIBCHAN_FDS_H

/* 0, or a negative error number, and *@what says what failed. */
int close_others(int member, const int *keep, unsigned n, const char **what);

#endif
