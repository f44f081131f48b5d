// SPDX-License-Identifier: MIT
/* The pool in libevent's loop. */
#include <event2/event.h>

#include "pool.h"

static struct event_base *base;
static struct pool p;

static struct event *watch(int fd, short what, event_callback_fn fn)
{
	struct event *e = event_new(base, fd, what | EV_PERSIST, fn, event_self_cbarg());

	if (!e || event_add(e, NULL))
		errx(1, "libevent");
	return e;
}

static void on_idle(int fd, short what, void *self)
{
	(void)fd, (void)what;
	event_del(self);
	pool_idle(&p);
	event_base_loopbreak(base);
}

static void on_end(int fd, short what, void *self)
{
	(void)what;
	event_del(self);
	pool_ended(&p);
	watch(fd, EV_WRITE, on_idle);
}

static void on_timer(int fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	pool_stop(&p);
}

static void on_client(int fd, short what, void *self)
{
	struct timeval soon = { .tv_usec = 20000 };

	(void)fd, (void)what;
	event_del(self);
	pool_answer(&p);
	watch(p.group, EV_READ, on_end);
	event_base_once(base, -1, EV_TIMEOUT, on_timer, NULL, &soon);
}

static void on_result(int fd, short what, void *self)
{
	(void)fd, (void)what;
	if (!pool_collect(&p))
		return;
	event_del(self);
	watch(p.listener, EV_READ, on_client);
}

static void on_room(int fd, short what, void *self)
{
	(void)fd, (void)what;
	if (pool_feed(&p))
		event_del(self);
}

int main(void)
{
	pool_start(&p);
	base = event_base_new();
	watch(p.jobs, EV_WRITE, on_room);
	watch(p.results, EV_READ, on_result);
	event_base_dispatch(base);
	return 0;
}
