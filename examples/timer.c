/* SPDX-License-Identifier: MIT */
/*
 * Go's timers. A wait that ends at some time needs none: a deadline does. Where a
 * select should do something at that time and go on, a timerfd is a case of it,
 * by CHAN_POLL: once (time.NewTimer), again and again (time.NewTicker), moved on
 * (Reset) or disarmed (Stop). A read of it tells how often it has gone off.
 */
#include <poll.h>
#include <sys/timerfd.h>
#include "group.h"

enum { WORK, TICK, TIMEOUT, CASES };

/* Go off after first ms, then every ms; 0, 0 stops it. */
static void set(int timer, int first, int every)
{
	struct itimerspec t = {
		.it_value = { .tv_sec = first / 1000, .tv_nsec = first % 1000 * MS },
		.it_interval = { .tv_sec = every / 1000, .tv_nsec = every % 1000 * MS },
	};

	must(timerfd_settime(timer, 0, &t, NULL));
}

static int new_timer(int first, int every)
{
	int timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));

	set(timer, first, every);
	return timer;
}

static struct chan_case poll_case(int fd)
{
	return (struct chan_case){ .fd = fd, .op = CHAN_POLL, .events = POLLIN };
}

int main(void)
{
	int end[2], ticker = new_timer(20, 20), timeout = new_timer(20000, 0), ticks = 0, job;
	struct chan_case c[CASES];
	uint64_t times;

	/* time.Sleep */
	int64_t later = chan_after(10 * MS);

	chan_select(NULL, 0, 0, -1, later);
	printf("slept: %s\n", chan_after(0) >= later ? "long enough" : "too short");

	/* two jobs wait, then three ticks come, then the time limit */
	must(chan_make(end, sizeof(int), 2, 0));
	for (job = 1; job <= 2; job++)
		must(chan_send(end[1], &job, sizeof(job), -1, CHAN_NOW));
	for (;;) {
		c[WORK] = (struct chan_case){ .fd = end[0], .op = CHAN_RECV,
					      .msg = { .buf = &job, .len = sizeof(job) } };
		c[TICK] = poll_case(ticker);
		c[TIMEOUT] = poll_case(timeout);
		switch (must(chan_select(c, CASES, CHAN_PRIO, -1, CHAN_FOREVER))) {
		case WORK:
			printf("job %d\n", job);
			break;
		case TICK:
			must(read(ticker, &times, sizeof(times)));	/* late ones add up */
			if (++ticks < 3)
				break;
			set(ticker, 0, 0);				/* Stop */
			set(timeout, 10, 0);				/* Reset */
			break;
		case TIMEOUT:
			printf("%d ticks, then the time limit\n", ticks);
			printf("a timer that is stopped: %s\n",
			       read(ticker, &times, sizeof(times)) < 0 ? strerror(errno) : "goes off");
			return 0;
		}
	}
}
