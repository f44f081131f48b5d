/* SPDX-License-Identifier: MIT */
/*
 * The tracker's fourth version: one worker and a bounded channel, instead of a
 * thread for each event. To shut down is to shut the channel, then to wait for
 * the worker, which drains it, but no longer than a deadline.
 *
 * Three things go wrong in such programs. Two are mistakes that remain: less
 * patience than the work takes, and a worker that at its end waits for something
 * nobody has made (Go's nil channel). The third, an event or a second shutdown
 * after the shutdown, is a panic in Go and an error here.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include "group.h"

enum { EVENTS = 3, WAIT_FOR_STOP = 1 };

static atomic_int *recorded;	/* in shared memory */

struct tracker {
	int tx, group;
};

/* fd: the channel of events. An event is the milliseconds that it takes. */
static int run(int member, int *fd, long mistake)
{
	int stop = -1, ms;	/* nobody has made it */
	struct chan_case wait_for_stop = { .fd = stop, .op = CHAN_RECV };

	while (chan_recv(fd[0], &ms, sizeof(ms), member, CHAN_FOREVER) > 0) {
		if (chan_select(NULL, 0, 0, member, chan_after(ms * MS)) == -ECANCELED)
			return ECANCELED;
		++*recorded;
	}
	if (mistake)
		chan_select(&wait_for_stop, 1, 0, member, CHAN_FOREVER);
	return errno == EPIPE ? 0 : errno;
}

static struct tracker open_tracker(long mistake)
{
	struct tracker t = { .group = must(chan_group(-1, CHAN_FOREVER, 0, 0)) };
	int end[2];

	must(chan_make(end, sizeof(int), 10, 0));
	t.tx = end[1];
	go_in(t.group, run, mistake, end[0]);
	return t;
}

/* The request waits for room at most as long as its own group allows. */
static int event(struct tracker *t, int ms, int under)
{
	return chan_send(t->tx, &ms, sizeof(ms), under, CHAN_FOREVER);
}

static int shutdown_tracker(struct tracker *t, int64_t deadline)
{
	int ret = chan_shut(t->tx, 0);

	return ret < 0 ? ret : chan_wait(t->group, NULL, -1, deadline);
}

static void use(const char *name, int last, long mistake, int64_t patience)
{
	int request = must(chan_group(-1, chan_after(20000 * MS), 0, 0)), ret;
	struct tracker t = open_tracker(mistake);

	*recorded = 0;
	for (int i = 1; i <= EVENTS; i++)
		must(event(&t, i < EVENTS ? 1 : last, request));
	while (*recorded < EVENTS - (last > 1))	/* but one that takes long */
		usleep(1000);
	ret = shutdown_tracker(&t, chan_after(patience));
	printf("%s\n  shutdown: %s; %d of %d events recorded\n", name, said(-ret), *recorded, EVENTS);
	printf("  an event after it: %s\n", strerror(-event(&t, 1, request)));
	printf("  a second shutdown: %s\n", strerror(-shutdown_tracker(&t, CHAN_NOW)));

	chan_cancel(t.group, 0, "shutdown");	/* whoever is still there */
	wait_all(t.group);
	printf("  workers left: %d\n", (int)look(t.group).members);
	close(t.tx);
	close(t.group);
	close(request);
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	recorded = mmap(NULL, sizeof(*recorded), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	use("good", 1, 0, 20000 * MS);
	use("bad: less patience than the work takes", 20000, 0, 1000 * MS);
	use("bad: a worker that waits for what nobody has made", 1, WAIT_FOR_STOP, 1000 * MS);
	return 0;
}
