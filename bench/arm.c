/* SPDX-License-Identifier: MIT */
/*
 * A select that stays armed over n channels, as an event loop has it, with messages of 64
 * bytes. One operation is the send that fires it, fetching what it took, and arming it
 * again; of epoll over n pipes, which stay registered, the write, epoll_wait and the read.
 */
#include "bench.h"
#include "peer.h"

#include <libchan.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SIZE 64

static const unsigned counts[] = { 8, 64, 512 };

struct armed {
	unsigned n, next;
	int fd;				/* the armed select, or the epoll */
	struct line *lines;
	struct chan_case *cases;
	char *msgs;
};

static void arm(struct armed *a)
{
	a->fd = must(chan_arm(a->cases, a->n, CHAN_REARM), "chan_arm");
}

/* What was taken stands in the cases; the select is ready to fire again. */
static void fetch_and_arm(struct armed *a)
{
	int i = must(chan_fired(a->fd, a->cases, a->n), "chan_fired");

	must(a->cases[i].msg.res, "chan_fired");
	a->cases[i].msg.len = SIZE;
	must(chan_rearm(a->fd, a->cases, a->n), "chan_rearm");
}

/* A stride that visits all: the number of lines is a power of two. */
static struct line *next(struct armed *a)
{
	a->next = (a->next + 5) % a->n;
	return &a->lines[a->next];
}

static void through_kchan(void *arg, long ops)
{
	static const char msg[SIZE];
	struct armed *a = arg;

	while (ops--) {
		line_send(next(a), msg);
		fetch_and_arm(a);
	}
}

static void through_epoll(void *arg, long ops)
{
	struct armed *a = arg;
	struct epoll_event e;
	char msg[SIZE] = "";

	while (ops--) {
		line_send(next(a), msg);
		must(epoll_wait(a->fd, &e, 1, -1), "epoll_wait");
		line_recv(&a->lines[e.data.u32], msg);
	}
}

static void open_all(struct armed *a, bool kchan)
{
	a->lines = calloc(a->n, sizeof(*a->lines));
	a->cases = calloc(a->n, sizeof(*a->cases));
	a->msgs = calloc(a->n, SIZE);
	if (!kchan)
		a->fd = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	for (unsigned i = 0; i < a->n; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		line_open(&a->lines[i], peer_named(kchan ? "kchan" : "pipe"), SIZE, 1);
		a->cases[i] = chan_recv_case(a->lines[i].rx, a->msgs + i * SIZE, SIZE);
		if (!kchan)
			must(epoll_ctl(a->fd, EPOLL_CTL_ADD, a->lines[i].rx, &e), "epoll_ctl");
	}
	if (kchan)
		arm(a);
}

static void close_all(struct armed *a)
{
	close(a->fd);
	for (unsigned i = 0; i < a->n; i++)
		line_close(&a->lines[i]);
	free(a->msgs);
	free(a->cases);
	free(a->lines);
}

static void measure(bool kchan, unsigned n)
{
	struct armed a = { .n = n };
	long ops = scaled(6000);

	open_all(&a, kchan);
	row("armed", kchan ? "kchan" : "epoll", SIZE, n, "ns",
	    per_op(kchan ? through_kchan : through_epoll, &a, ops));
	close_all(&a);
}

int main(int argc, char **argv)
{
	bench_options(argc, argv);
	pin(0);
	progress("armed");
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (int kchan = 1; kchan >= options.hot; kchan--)
			if (!options.hot || counts[i] == 512)
				measure(kchan, counts[i]);
	return 0;
}
