// SPDX-License-Identifier: MIT
/* The pool in libuv's loop. */
#include <uv.h>

#include "pool.h"

static struct pool p;
static uv_poll_t jobs, results, listener, group;
static uv_timer_t timer;

static void on_group(uv_poll_t *h, int status, int events)
{
	must(status);
	if (events & UV_READABLE) {
		pool_ended(&p);
		uv_poll_start(h, UV_WRITABLE, on_group);
	} else {
		pool_idle(&p);
		uv_stop(h->loop);
	}
}

static void on_timer(uv_timer_t *h)
{
	(void)h;
	pool_stop(&p);
}

static void on_client(uv_poll_t *h, int status, int events)
{
	(void)events;
	must(status);
	pool_answer(&p);
	uv_poll_stop(h);
	uv_poll_start(&group, UV_READABLE, on_group);
	uv_timer_start(&timer, on_timer, 20, 0);
}

static void on_result(uv_poll_t *h, int status, int events)
{
	(void)events;
	must(status);
	if (pool_collect(&p)) {
		uv_poll_stop(h);
		uv_poll_start(&listener, UV_READABLE, on_client);
	}
}

static void on_room(uv_poll_t *h, int status, int events)
{
	(void)events;
	must(status);
	if (pool_feed(&p))
		uv_poll_stop(h);
}

int main(void)
{
	uv_loop_t *loop = uv_default_loop();

	pool_start(&p);
	uv_poll_init(loop, &jobs, p.jobs);
	uv_poll_init(loop, &results, p.results);
	uv_poll_init(loop, &listener, p.listener);
	uv_poll_init(loop, &group, p.group);
	uv_timer_init(loop, &timer);
	uv_poll_start(&jobs, UV_WRITABLE, on_room);
	uv_poll_start(&results, UV_READABLE, on_result);
	uv_run(loop, UV_RUN_DEFAULT);
	return 0;
}
