/* SPDX-License-Identifier: MIT */
/*
 * A pool of worker processes behind an event loop, the same for each loop here.
 * The loop never waits in a call: it feeds jobs when the sending end is writable,
 * collects squares when the receiving end is readable, watches the group, and
 * accepts a client on a socket, which is told the sum.
 */
#ifndef LOOPS_POOL_H
#define LOOPS_POOL_H

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "util.h"

#define JOBS	50
#define WORKERS	3

struct pool {
	int jobs, results;	/* the loop's ends: sends jobs, receives squares */
	int group;
	int listener;		/* of a TCP socket, not blocking */
	int sent, got;
	long sum;
};

static inline void work(int member, int jobs, int results)
{
	int n;

	while (chan_recv(jobs, &n, sizeof(n), member, CHAN_FOREVER) == sizeof(n)) {
		long square = (long)n * n;

		if (chan_send(results, &square, sizeof(square), member, CHAN_FOREVER))
			break;
	}
	chan_leave(member, 0, NULL);	/* cancelled, which is how it should end */
	_exit(0);
}

/* One who connects and prints what it is told. */
static inline void client(const struct sockaddr_in *to)
{
	int s = must(socket(AF_INET, SOCK_STREAM, 0));
	char line[64];
	ssize_t n;

	must(connect(s, (const struct sockaddr *)to, sizeof(*to)));
	n = must(read(s, line, sizeof(line) - 1));
	line[n] = 0;
	printf("a client was told: %s\n", line);
	exit(0);
}

static inline void pool_start(struct pool *p)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int jobs[2], results[2];

	setvbuf(stdout, NULL, _IOLBF, 0);
	must(chan_make(jobs, sizeof(int), 4, 0));
	must(chan_make(results, sizeof(long), 4, 0));
	*p = (struct pool){ .jobs = jobs[1], .results = results[0] };
	p->group = must(chan_group(-1, chan_after(20000 * MS), 0, 0));
	for (int i = 0; i < WORKERS; i++) {
		int keep[] = { jobs[0], results[1] }, member;

		if (must(chan_fork(p->group, keep, 2, &member)) == 0)
			work(member, jobs[0], results[1]);
	}
	close(jobs[0]);
	close(results[1]);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->listener = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	must(bind(p->listener, (struct sockaddr *)&addr, sizeof(addr)));
	must(listen(p->listener, 4));
	must(getsockname(p->listener, (struct sockaddr *)&addr, &len));
	if (must(fork()) == 0)
		client(&addr);
}

/* jobs is writable. True: all are sent, it need not be watched any more. */
static inline bool pool_feed(struct pool *p)
{
	for (; p->sent < JOBS; p->sent++) {
		int n = p->sent + 1, r = chan_send(p->jobs, &n, sizeof(n), -1, CHAN_NOW);

		if (r == -EAGAIN)
			return false;
		must(r);
	}
	return true;
}

/* results is readable. True: all are here. */
static inline bool pool_collect(struct pool *p)
{
	long square;

	while (p->got < JOBS) {
		ssize_t r = chan_recv(p->results, &square, sizeof(square), -1, CHAN_NOW);

		if (r == -EAGAIN)
			return false;
		must(r);
		p->got++;
		p->sum += square;
	}
	printf("%d squares, their sum is %ld\n", p->got, p->sum);
	return true;
}

/* listener is readable, and the sum is known. */
static inline void pool_answer(struct pool *p)
{
	int s = must(accept4(p->listener, NULL, NULL, SOCK_CLOEXEC));
	char line[64];

	write(s, line, snprintf(line, sizeof(line), "%ld", p->sum));
	close(s);
	wait(NULL);	/* for the client, so that it prints before the rest ends */
}

/* The time is up. */
static inline void pool_stop(struct pool *p)
{
	must(chan_cancel(p->group, ECANCELED, "enough for today"));
}

/* group is readable: it has ended. */
static inline void pool_ended(struct pool *p)
{
	struct chan_group_info i;

	must(chan_group_info(p->group, &i, sizeof(i)));
	printf("the group has ended: %s\n", i.why);
}

/* group is writable: no member is left. */
static inline void pool_idle(struct pool *p)
{
	struct chan_group_info i;

	must(chan_group_info(p->group, &i, sizeof(i)));
	printf("%lu members are left, %lu failed\n", (unsigned long)i.members,
	       (unsigned long)i.failed);
	while (wait(NULL) > 0)
		;
}

#endif
