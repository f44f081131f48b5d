/* SPDX-License-Identifier: MIT */
/*
 * Groups. `cancel`: n threads wait in chan_recv under a group, and chan_cancel returns;
 * `cancel_all`: until all of them have returned. Its peer is n threads in poll of an
 * eventfd. The others are made and closed over and over: a group; one that is
 * cancelled; a member that joins and leaves; and, to compare, a pipe and a channel,
 * `kchan-on` on a device that stays open.
 * `value_get` asks a group for the value that one n levels above it has.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <libchan.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void group_new(void *arg, long ops)
{
	(void)arg;
	while (ops--)
		close(must(chan_group(-1, CHAN_FOREVER, 0, 0), "chan_group"));
}

static void eventfd_new(void *arg, long ops)
{
	(void)arg;
	while (ops--)
		close(must(eventfd(0, EFD_CLOEXEC), "eventfd"));
}

static void group_cancel(void *arg, long ops)
{
	(void)arg;
	while (ops--) {
		int g = must(chan_group(-1, CHAN_FOREVER, 0, 0), "chan_group");

		must(chan_cancel(g, 0, NULL), "chan_cancel");
		close(g);
	}
}

static void join_leave(void *arg, long ops)
{
	int g = *(int *)arg;

	while (ops--) {
		int m = must(chan_join(g, -1, CHAN_FOREVER), "chan_join");

		must(chan_leave(m, 0, NULL), "chan_leave");
		close(m);
	}
}

static void chan_new(void *arg, long ops)
{
	int end[2];

	(void)arg;
	while (ops--) {
		must(chan_make(end, 64, 1, 0), "chan_make");
		close(end[0]);
		close(end[1]);
	}
}

static void chan_new_on(void *arg, long ops)
{
	int dev = must(open("/dev/kchan", O_RDWR | O_CLOEXEC), "/dev/kchan");
	int end[2];

	(void)arg;
	while (ops--) {
		must(chan_make_on(dev, end, 64, 1, 0), "chan_make_on");
		close(end[0]);
		close(end[1]);
	}
	close(dev);
}

static void pipe_new(void *arg, long ops)
{
	int end[2];

	(void)arg;
	while (ops--) {
		must(pipe2(end, O_CLOEXEC), "pipe2");
		close(end[0]);
		close(end[1]);
	}
}

static void value_get(void *arg, long ops)
{
	char value[8];

	while (ops--)
		must(chan_value_get(*(int *)arg, "key", value, sizeof(value)), "chan_value_get");
}

static void values(void)
{
	static const int depths[] = { 1, 64, 4000 };

	for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		int chain[depths[i] + 1];

		if (options.hot && depths[i] != 4000)
			continue;
		chain[0] = must(chan_group(-1, CHAN_FOREVER, 0, 0), "chan_group");
		must(chan_value_set(chain[0], "key", "value", 5), "chan_value_set");
		for (int k = 1; k <= depths[i]; k++)
			chain[k] = must(chan_group(chain[k - 1], CHAN_FOREVER, 0, 0), "chan_group");
		row("value_get", "kchan", 5, depths[i], "ns",
		    per_op(value_get, &chain[depths[i]], scaled(6000 / (1 + depths[i] / 64))));
		for (int k = depths[i]; k >= 0; k--)
			close(chain[k]);
	}
}

struct cancel {
	bool kchan;
	int rx, group;		/* without kchan, group is an eventfd */
};

static void wait_for_end(void *arg)
{
	struct cancel *c = arg;
	struct pollfd p = { .fd = c->group, .events = POLLIN };
	char msg[8];

	if (!c->kchan) {
		must(poll(&p, 1, -1), "poll");
	} else if (chan_recv(c->rx, msg, sizeof(msg), c->group, CHAN_FOREVER) != -ECANCELED) {
		perror("chan_recv, cancelled");
		exit(1);
	}
}

/* Those that are woken must not run instead of the call that is timed. */
static void run_first(bool yes)
{
	struct sched_param p = { .sched_priority = yes };

	sched_setscheduler(0, yes ? SCHED_FIFO : SCHED_OTHER, &p);
}

static void end_all(const struct cancel *c, int64_t *start, int64_t *end)
{
	run_first(true);
	*start = now();
	if (c->kchan)
		must(chan_cancel(c->group, 0, NULL), "chan_cancel");
	else
		must(eventfd_write(c->group, 1), "eventfd_write");
	*end = now();
	run_first(false);
}

/* Adds to @ns the time until the call returned, and until all threads had. */
static bool cancel_once(bool kchan, unsigned n, int64_t ns[2])
{
	struct cancel c = { .kchan = kchan };
	struct herd h;
	int64_t start, end;
	int e[2];

	must(chan_make(e, 8, 1, 0), "chan_make");
	c.rx = e[0];
	c.group = kchan ? must(chan_group(-1, CHAN_FOREVER, 0, 0), "chan_group") :
			  must(eventfd(0, EFD_CLOEXEC), "eventfd");
	if (!herd_start(&h, n, wait_for_end, &c))
		return false;
	herd_go(&h);
	herd_asleep(&h);
	end_all(&c, &start, &end);
	herd_end(&h);
	ns[0] += end - start;
	ns[1] += h.end - start;
	close(c.group);
	close(e[0]);
	close(e[1]);
	return true;
}

static bool cancel(bool kchan, unsigned n)
{
	const char *peer = kchan ? "kchan" : "eventfd";
	long times = n < 10000 ? scaled((200 + n - 1) / n) : 1;
	int64_t ns[2] = { 0, 0 }, untimed[2];

	if (n < 1000 && !cancel_once(kchan, n, untimed))
		return false;
	for (long i = 0; i < times; i++)
		if (!cancel_once(kchan, n, ns))
			return false;
	row("cancel", peer, 8, n, "ns", (double)ns[0] / times);
	row("cancel_all", peer, 8, n, "ns", (double)ns[1] / times);
	return true;
}

/* Last: where there can't be so many threads, those that were made are left to exit. */
static void cancel_more_and_more(void)
{
	for (unsigned n = 1; n <= 10000; n *= n == 1 ? 100 : 10) {
		char work[24];

		snprintf(work, sizeof(work), "cancel %u", n);
		progress(work);
		for (int kchan = 1; kchan >= 0; kchan--)
			if (!cancel(kchan, n)) {
				skip(work, "and more", strerror(errno));
				return;
			}
	}
}

int main(int argc, char **argv)
{
	int group;
	const struct {
		const char *work, *peer;
		void (*fn)(void *arg, long ops);
		bool hot;
	} made[] = {
		{ "group_new", "kchan", group_new, true },
		{ "group_new", "eventfd", eventfd_new, true },
		{ "group_cancel", "kchan", group_cancel, false },
		{ "join_leave", "kchan", join_leave, true },
		{ "make", "kchan", chan_new, true },
		{ "make", "kchan-on", chan_new_on, true },
		{ "make", "pipe", pipe_new, false },
	};

	bench_options(argc, argv);
	pin(0);
	group = must(chan_group(-1, CHAN_FOREVER, 0, 0), "chan_group");
	progress("groups");
	for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		if (!options.hot || made[i].hot)
			row(made[i].work, made[i].peer, 0, 1, "ns",
			    per_op(made[i].fn, &group, scaled(3000)));
	values();
	if (!options.hot)
		cancel_more_and_more();
	return 0;
}
