/* SPDX-License-Identifier: MIT */
/*
 * What two system calls cost before anything is done, beside a pair: `entry` is a number
 * that no call has; `ioctl` gets as far as a channel, which doesn't know the command, and so
 * pays for the descriptor and the hooks of security modules, too.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define NO_CALL 1023

/* Without a library around it. */
static inline long call(long number, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static void must_fail(long ret, int err)
{
	if (ret == -err)
		return;
	fprintf(stderr, "floor: %ld, not %d\n", ret, -err);
	exit(1);
}

static void two_entries(void *arg, long ops)
{
	(void)arg;
	while (ops--) {
		must_fail(call(NO_CALL, 0, 0, 0), ENOSYS);
		must_fail(call(NO_CALL, 0, 0, 0), ENOSYS);
	}
}

static void two_ioctls(void *arg, long ops)
{
	struct line *l = arg;

	while (ops--) {
		must_fail(call(SYS_ioctl, l->tx, 0, 0), ENOTTY);
		must_fail(call(SYS_ioctl, l->rx, 0, 0), ENOTTY);
	}
}

int main(int argc, char **argv)
{
	struct line l;

	bench_options(argc, argv);
	pin(0);
	progress("floor");
	row("floor", "entry", 0, 2, "ns", per_op(two_entries, NULL, scaled(8000)));
	line_open(&l, peer_named("kchan"), 64, 1);
	row("floor", "ioctl", 0, 2, "ns", per_op(two_ioctls, &l, scaled(8000)));
	line_close(&l);
	return 0;
}
