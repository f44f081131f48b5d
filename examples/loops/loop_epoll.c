// SPDX-License-Identifier: MIT
/* The pool in a loop over epoll, edge-triggered, with a timerfd. */
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "pool.h"

static int ep;

static void watch(int fd, uint32_t events)
{
	struct epoll_event e = { .events = events | EPOLLET, .data.fd = fd };

	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

int main(void)
{
	struct itimerspec soon = { .it_value.tv_nsec = 20 * MS };
	struct epoll_event e;
	struct pool p;
	int timer;

	pool_start(&p);
	ep = must(epoll_create1(EPOLL_CLOEXEC));
	timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	watch(p.jobs, EPOLLOUT);
	watch(p.results, EPOLLIN);
	watch(timer, EPOLLIN);
	for (;;) {
		must(epoll_wait(ep, &e, 1, -1));
		if (e.data.fd == p.jobs) {
			if (pool_feed(&p))
				must(epoll_ctl(ep, EPOLL_CTL_DEL, p.jobs, NULL));
		} else if (e.data.fd == p.results) {
			if (p.got < JOBS && pool_collect(&p))
				watch(p.listener, EPOLLIN);
		} else if (e.data.fd == p.listener) {
			pool_answer(&p);
			watch(p.group, EPOLLIN | EPOLLOUT);
			must(timerfd_settime(timer, 0, &soon, NULL));
		} else if (e.data.fd == timer) {
			must(epoll_ctl(ep, EPOLL_CTL_DEL, timer, NULL));
			pool_stop(&p);
		} else {
			static bool ended;

			if (e.events & EPOLLIN && !ended) {
				ended = true;
				pool_ended(&p);
			}
			if (e.events & EPOLLOUT)
				break;
		}
	}
	pool_idle(&p);
	return 0;
}
