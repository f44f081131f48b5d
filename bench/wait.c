/* SPDX-License-Identifier: MIT */
/*
 * A receive that a deadline or a cancellation would end: chan_recv under a group with
 * a deadline, beside what it takes without: poll of a pipe or a socket and an eventfd with
 * poll's own timeout, and read; or, with a deadline that is a point in time, a timerfd set
 * and polled, too. `timeout`: the message is there, the receive alone is counted.
 * `timeout_block`: another thread sends it once asked, a round is counted. A futex ring has no
 * row: nothing but its own peers can end its wait.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <libchan.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SIZE 64
#define CAPACITY 64

static const struct way {
	const char *name, *line;
	bool kchan, timerfd;
} ways[] = {
	{ "kchan", "kchan", true, false },
	{ "pipe+poll", "pipe", false, false },
	{ "pipe+timerfd", "pipe", false, true },
	{ "seqpacket+poll", "seqpacket", false, false },
	{ .name = NULL }
};

struct wait {
	const struct way *way;
	struct line go, line;
	int group;			/* an eventfd without kchan */
	int timer;
};

static void wait_open(struct wait *w, const struct way *way)
{
	const struct peer *p = peer_named(way->line);

	w->way = way;
	line_open(&w->go, p, SIZE, 1);
	line_open(&w->line, p, SIZE, CAPACITY);
	w->timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create");
	w->group = way->kchan ? must(chan_group(-1, CHAN_FOREVER, 0, 0), "chan_group") :
				must(eventfd(0, EFD_CLOEXEC), "eventfd");
}

static void wait_close(struct wait *w)
{
	line_close(&w->go);
	line_close(&w->line);
	close(w->timer);
	close(w->group);
}

static void receive(struct wait *w, char *msg)
{
	const struct itimerspec second = { .it_value.tv_sec = 1 };
	struct pollfd fds[] = {
		{ .fd = w->line.rx, .events = POLLIN },
		{ .fd = w->group, .events = POLLIN },
		{ .fd = w->timer, .events = POLLIN },
	};

	if (w->way->kchan) {
		must(chan_recv(w->line.rx, msg, SIZE, w->group, chan_after(1000000000)), "chan_recv");
		return;
	}
	if (w->way->timerfd) {
		must(timerfd_settime(w->timer, 0, &second, NULL), "timerfd_settime");
		must(poll(fds, 3, -1), "poll");
	} else {
		must(poll(fds, 2, 1000), "poll");
	}
	errno = ETIMEDOUT;
	must(fds[0].revents ? 0 : -1, "poll");
	line_recv(&w->line, msg);
}

static int64_t receive_batches(struct wait *w, long batches)
{
	char msg[SIZE] = "";
	int64_t ns = 0;

	while (batches--) {
		for (int i = 0; i < CAPACITY; i++)
			line_send(&w->line, msg);
		ns -= now();
		for (int i = 0; i < CAPACITY; i++)
			receive(w, msg);
		ns += now();
	}
	return ns;
}

static void by_two(void *arg, unsigned k, long ops)
{
	struct wait *w = arg;
	char msg[SIZE] = "";
	long slept = sleeps();

	if (k)
		answer_later();
	for (long i = 0; i < ops; i++) {
		if (k) {
			line_recv(&w->go, msg);
			line_send(&w->line, msg);
		} else {
			line_send(&w->go, msg);
			receive(w, msg);
		}
	}
	if (!k)
		must_have_slept(slept, ops, "timeout_block");
}

int main(int argc, char **argv)
{
	long batches, ops;
	struct wait w;

	bench_options(argc, argv);
	pin(0);
	batches = scaled(128);
	ops = scaled(3000);
	progress("timeout");
	for (const struct way *way = ways; way->name; way++) {
		if (options.hot && !way->kchan && !way->timerfd)
			continue;
		wait_open(&w, way);
		receive_batches(&w, batches / 10 + 1);
		row("timeout", way->name, SIZE, 1, "ns",
		    (double)receive_batches(&w, batches) / (batches * CAPACITY));
		wait_close(&w);
	}
	if (options.hot)
		return 0;
	progress("timeout_block");
	for (const struct way *way = ways; way->name; way++) {
		wait_open(&w, way);
		row("timeout_block", way->name, SIZE, 1, "ns",
		    (double)crew(2, false, by_two, &w, ops / 10 + 1, ops) / ops);
		wait_close(&w);
	}
	return 0;
}
