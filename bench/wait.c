/* SPDX-License-Identifier: MIT */
/*
 * A receive that a deadline or a cancellation would end: chan_recv under a group with
 * a deadline, beside what it takes without: a timerfd set, poll of the pipe, an eventfd
 * and the timerfd, and read. `timeout`: the message is there, the receive alone is
 * counted. `timeout_block`: another thread sends it once asked, a round is counted.
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

struct wait {
	bool kchan;
	struct line go, line;
	int group;			/* an eventfd without kchan */
	int timer;
};

static const char *name(const struct wait *w)
{
	return w->kchan ? "kchan" : "pipe+timerfd";
}

static void wait_open(struct wait *w, bool kchan)
{
	const struct peer *p = peer_named(kchan ? "kchan" : "pipe");

	w->kchan = kchan;
	line_open(&w->go, p, SIZE, 1);
	line_open(&w->line, p, SIZE, CAPACITY);
	w->timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create");
	w->group = kchan ? must(chan_group(-1, CHAN_FOREVER, 0, 0), "chan_group") :
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

	if (w->kchan) {
		must(chan_recv(w->line.rx, msg, SIZE, w->group, chan_after(1000000000)), "chan_recv");
		return;
	}
	must(timerfd_settime(w->timer, 0, &second, NULL), "timerfd_settime");
	must(poll(fds, 3, -1), "poll");
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
	for (int kchan = 1; kchan >= 0; kchan--) {
		wait_open(&w, kchan);
		receive_batches(&w, batches / 10 + 1);
		row("timeout", name(&w), SIZE, 1, "ns",
		    (double)receive_batches(&w, batches) / (batches * CAPACITY));
		wait_close(&w);
	}
	if (options.hot)
		return 0;
	progress("timeout_block");
	for (int kchan = 1; kchan >= 0; kchan--) {
		wait_open(&w, kchan);
		row("timeout_block", name(&w), SIZE, 1, "ns",
		    (double)crew(2, false, by_two, &w, ops / 10 + 1, ops) / ops);
		wait_close(&w);
	}
	return 0;
}
