/* SPDX-License-Identifier: MIT */
/*
 * An event loop: n receiving ends in one epoll, level-triggered. One operation is a message of
 * 64 bytes to one of them, epoll_wait, and its receive, in one thread.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SIZE 64
#define MANY 100000

struct loop {
	unsigned n, next;
	int epfd;
	struct line *lines;
};

/* By steps that visit all. */
static struct line *next(struct loop *l)
{
	l->next = (l->next + 7919) % l->n;
	return &l->lines[l->next];
}

static void turn(void *arg, long ops)
{
	struct loop *l = arg;
	struct epoll_event e;
	char msg[SIZE] = "";

	while (ops--) {
		line_send(next(l), msg);
		must(epoll_wait(l->epfd, &e, 1, -1), "epoll_wait");
		line_recv(&l->lines[e.data.u32], msg);
	}
}

static void measure(const struct peer *p, unsigned n)
{
	struct loop l = { .n = n };
	size_t size = p->max < SIZE ? p->max : SIZE;
	unsigned made;

	l.lines = calloc(n, sizeof(*l.lines));
	l.epfd = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	for (made = 0; made < n; made++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = made };

		if (!line_open(&l.lines[made], p, size, 1)) {
			skip("epoll", p->name, strerror(errno));
			break;
		}
		must(epoll_ctl(l.epfd, EPOLL_CTL_ADD, l.lines[made].rx, &e), "epoll_ctl");
	}
	if (made == n)
		row("epoll", p->name, size, n, "ns", per_op(turn, &l, scaled(6000)));
	while (made)
		line_close(&l.lines[--made]);
	close(l.epfd);
	free(l.lines);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "kchan", "pipe", "seqpacket", "eventfd" };

	bench_options(argc, argv);
	pin(0);
	progress("epoll");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		measure(peer_named(names[i]), 512);
		if (options.rounds < 1)
			skip("epoll", names[i], "100,000 ends take too long to make for a short run");
		else
			measure(peer_named(names[i]), MANY);
	}
	return 0;
}
