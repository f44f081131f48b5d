/* SPDX-License-Identifier: MIT */
/*
 * Waiting for one of n: chan_select over n channels beside epoll over n pipes, with
 * messages of 64 bytes. One operation of select_first, _last and _random is the send
 * that makes that one ready, finding it, and its receive, in one thread; of
 * select_now, finding that nothing is ready. Of
 * select_block_*, asking another thread or process to send to a random one, and waiting:
 * a process with threads must keep what it waits for from being closed meanwhile.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <libchan.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SIZE 64

static const unsigned counts[] = { 1, 2, 8, 64, 512 };

enum which { FIRST, LAST, RANDOM };
static const char *const names[] = { "select_first", "select_last", "select_random" };
static const char *const block_names[] = { "select_block_process", "select_block_thread" };

struct set {
	unsigned n;
	bool epoll;			/* else kchan */
	enum which which;
	uint32_t random;
	const char *block;		/* the work's name */
	struct line go;			/* select_block_*: ask for a message */
	struct line *lines;
	struct chan_case *cases;
	char *msgs;
	int epfd;
};

static void set_open(struct set *s)
{
	const struct peer *p = peer_named(s->epoll ? "pipe" : "kchan");

	s->random = 1;
	s->lines = calloc(s->n, sizeof(*s->lines));
	s->cases = calloc(s->n, sizeof(*s->cases));
	s->msgs = calloc(s->n, SIZE);
	s->epfd = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	line_open(&s->go, p, SIZE, 1);
	for (unsigned i = 0; i < s->n; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		line_open(&s->lines[i], p, SIZE, 1);
		s->cases[i] = (struct chan_case){
			.fd = s->lines[i].rx, .op = CHAN_RECV,
			.msg = { .buf = s->msgs + i * SIZE, .len = SIZE },
		};
		if (s->epoll)
			must(epoll_ctl(s->epfd, EPOLL_CTL_ADD, s->lines[i].rx, &e), "epoll_ctl");
	}
}

static void set_close(struct set *s)
{
	for (unsigned i = 0; i < s->n; i++)
		line_close(&s->lines[i]);
	line_close(&s->go);
	close(s->epfd);
	free(s->msgs);
	free(s->cases);
	free(s->lines);
}

static unsigned pick(struct set *s)
{
	if (s->which == FIRST)
		return 0;
	if (s->which == LAST)
		return s->n - 1;
	s->random = s->random * 1664525 + 1013904223;
	return (s->random >> 16) % s->n;
}

static void receive_one(struct set *s)
{
	char msg[SIZE];

	if (s->epoll) {
		struct epoll_event e;

		must(epoll_wait(s->epfd, &e, 1, -1), "epoll_wait");
		line_recv(&s->lines[e.data.u32], msg);
	} else {
		int i = must(chan_select(s->cases, s->n, 0, -1, CHAN_FOREVER), "chan_select");

		must(s->cases[i].msg.res, "chan_select");
		s->cases[i].msg.len = SIZE;
	}
}

static void alone(void *arg, long ops)
{
	static const char msg[SIZE];
	struct set *s = arg;

	while (ops--) {
		line_send(&s->lines[pick(s)], msg);
		receive_one(s);
	}
}

/* Nothing is ready, and it does not wait for it. */
static void try(void *arg, long ops)
{
	struct set *s = arg;
	struct epoll_event e;

	while (ops--)
		if (s->epoll)
			must(-epoll_wait(s->epfd, &e, 1, 0), "epoll_wait");
		else
			must(chan_select(s->cases, s->n, 0, -1, CHAN_NOW) == -EAGAIN ? 0 : -1,
			     "chan_select");
}

static void by_two(void *arg, unsigned k, long ops)
{
	struct set *s = arg;
	char msg[SIZE] = "";
	long slept = sleeps();

	if (k)
		answer_later();
	for (long i = 0; i < ops; i++) {
		if (k) {
			line_recv(&s->go, msg);
			line_send(&s->lines[pick(s)], msg);
		} else {
			line_send(&s->go, msg);
			receive_one(s);
		}
	}
	if (!k)
		must_have_slept(slept, ops, s->block);
}

static long operations(const struct set *s)
{
	return scaled(s->epoll ? 6000 : 6000 / (1 + s->n / 16) + 50);
}

static void measure(enum which which, bool epoll, unsigned n)
{
	struct set s = { .n = n, .epoll = epoll, .which = which };

	set_open(&s);
	row(names[which], epoll ? "epoll" : "kchan", SIZE, n, "ns",
	    per_op(alone, &s, operations(&s)));
	set_close(&s);
}

static void measure_now(bool epoll, unsigned n)
{
	struct set s = { .n = n, .epoll = epoll };

	set_open(&s);
	row("select_now", epoll ? "epoll" : "kchan", SIZE, n, "ns",
	    per_op(try, &s, operations(&s)));
	set_close(&s);
}

static void measure_block(bool threads, bool epoll, unsigned n)
{
	struct set s = {
		.n = n, .epoll = epoll, .which = RANDOM, .block = block_names[threads],
	};
	long ops;

	set_open(&s);
	ops = operations(&s) / 2 + 1;
	row(s.block, epoll ? "epoll" : "kchan", SIZE, n, "ns",
	    (double)crew(2, !threads, by_two, &s, ops / 10 + 1, ops) / ops);
	set_close(&s);
}

static bool hot_block(bool threads, bool epoll, unsigned n)
{
	return !epoll && (n == 8 || n == 64 || (n == 512 && !threads));
}

static bool hot(enum which which, bool epoll, unsigned n)
{
	return n == 8 || (n == 512 && which == LAST && !epoll);
}

int main(int argc, char **argv)
{
	const unsigned n = sizeof(counts) / sizeof(counts[0]);

	bench_options(argc, argv);
	pin(0);
	for (enum which w = FIRST; w <= (options.hot ? LAST : RANDOM); w++) {
		progress(names[w]);
		for (unsigned i = 0; i < n; i++)
			for (int epoll = 0; epoll < 2; epoll++)
				if (!options.hot || hot(w, epoll, counts[i]))
					measure(w, epoll, counts[i]);
	}
	progress("select_now");
	for (unsigned i = 0; i < n; i++)
		for (int epoll = 0; epoll < 2; epoll++)
			if (!options.hot ||
			    (!epoll && (counts[i] == 1 || counts[i] == 8 || counts[i] == 64)))
				measure_now(epoll, counts[i]);
	for (int threads = 0; threads < 2; threads++) {
		progress(block_names[threads]);
		for (unsigned i = 0; i < n; i++)
			for (int epoll = 0; epoll < 2; epoll++)
				if (!options.hot || hot_block(threads, epoll, counts[i]))
					measure_block(threads, epoll, counts[i]);
	}
	return 0;
}
