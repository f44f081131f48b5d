/* SPDX-License-Identifier: MIT */
/*
 * The two figures that guard the hot path, beside eventfd: a buffered send and
 * receive in one thread, and a ping-pong between two processes. On a virtual
 * machine that counts instructions as time (qemu -icount) the results repeat.
 */
#include <libchan.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int rounds = 20000;

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void must(long ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static double pair_eventfd(void)
{
	uint64_t v = 1;
	int fd = eventfd(0, 0);
	int64_t t = now();

	for (int i = 0; i < rounds; i++) {
		must(write(fd, &v, 8) == 8, "write");
		must(read(fd, &v, 8) == 8, "read");
	}
	t = now() - t;
	close(fd);
	return (double)t / rounds;
}

static double pair_chan(void)
{
	char m[64] = "x";
	int e[2];
	int64_t t;

	must(!chan_make(e, 64, 1, 0), "chan_make");
	t = now();
	for (int i = 0; i < rounds; i++) {
		must(!chan_send(e[1], m, 64, -1, CHAN_FOREVER), "send");
		must(chan_recv(e[0], m, 64, -1, CHAN_FOREVER) == 64, "recv");
	}
	t = now() - t;
	close(e[0]);
	close(e[1]);
	return (double)t / rounds;
}

static double pingpong_eventfd(void)
{
	int a = eventfd(0, 0), b = eventfd(0, 0);
	uint64_t v = 1;
	int64_t t;

	if (!fork()) {
		for (int i = 0; i < rounds; i++) {
			must(read(a, &v, 8) == 8, "read");
			must(write(b, &v, 8) == 8, "write");
		}
		_exit(0);
	}
	t = now();
	for (int i = 0; i < rounds; i++) {
		must(write(a, &v, 8) == 8, "write");
		must(read(b, &v, 8) == 8, "read");
	}
	t = now() - t;
	wait(NULL);
	close(a);
	close(b);
	return (double)t / rounds;
}

static double pingpong_chan(unsigned cap)
{
	char m[64] = "x";
	int a[2], b[2];
	int64_t t;

	must(!chan_make(a, 64, cap, 0) && !chan_make(b, 64, cap, 0), "chan_make");
	if (!fork()) {
		for (int i = 0; i < rounds; i++) {
			must(chan_recv(a[0], m, 64, -1, CHAN_FOREVER) == 64, "recv");
			must(!chan_send(b[1], m, 64, -1, CHAN_FOREVER), "send");
		}
		_exit(0);
	}
	t = now();
	for (int i = 0; i < rounds; i++) {
		must(!chan_send(a[1], m, 64, -1, CHAN_FOREVER), "send");
		must(chan_recv(b[0], m, 64, -1, CHAN_FOREVER) == 64, "recv");
	}
	t = now() - t;
	wait(NULL);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	return (double)t / rounds;
}

int main(int argc, char **argv)
{
	double ev, ch;

	if (argc > 1)
		rounds = atoi(argv[1]);
	pair_eventfd();		/* warm */
	pair_chan();
	ev = pair_eventfd();
	ch = pair_chan();
	printf("pair        eventfd %8.0f  kchan %8.0f  ratio %.3f\n", ev, ch, ch / ev);
	ev = pingpong_eventfd();
	ch = pingpong_chan(0);
	printf("rendezvous  eventfd %8.0f  kchan %8.0f  ratio %.3f\n", ev, ch, ch / ev);
	ch = pingpong_chan(1);
	printf("buffered    eventfd %8.0f  kchan %8.0f  ratio %.3f\n", ev, ch, ch / ev);
	return 0;
}
