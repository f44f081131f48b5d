// SPDX-License-Identifier: MIT
/* The pool in libev's loop. */
#include <ev.h>

#include "pool.h"

static struct pool p;
static ev_io jobs, results, listener, group;
static ev_timer timer;

static void on_group(struct ev_loop *loop, ev_io *w, int events)
{
	(void)events;
	ev_io_stop(loop, w);
	if (w->events & EV_READ) {
		pool_ended(&p);
		ev_io_set(w, p.group, EV_WRITE);
		ev_io_start(loop, w);
	} else {
		pool_idle(&p);
		ev_break(loop, EVBREAK_ALL);
	}
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop, (void)w, (void)events;
	pool_stop(&p);
}

static void on_client(struct ev_loop *loop, ev_io *w, int events)
{
	(void)events;
	ev_io_stop(loop, w);
	pool_answer(&p);
	ev_io_start(loop, &group);
	ev_timer_start(loop, &timer);
}

static void on_result(struct ev_loop *loop, ev_io *w, int events)
{
	(void)events;
	if (pool_collect(&p)) {
		ev_io_stop(loop, w);
		ev_io_start(loop, &listener);
	}
}

static void on_room(struct ev_loop *loop, ev_io *w, int events)
{
	(void)events;
	if (pool_feed(&p))
		ev_io_stop(loop, w);
}

int main(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);

	pool_start(&p);
	ev_io_init(&jobs, on_room, p.jobs, EV_WRITE);
	ev_io_init(&results, on_result, p.results, EV_READ);
	ev_io_init(&listener, on_client, p.listener, EV_READ);
	ev_io_init(&group, on_group, p.group, EV_READ);
	ev_timer_init(&timer, on_timer, 0.02, 0);
	ev_io_start(loop, &jobs);
	ev_io_start(loop, &results);
	ev_run(loop, 0);
	return 0;
}
