/* SPDX-License-Identifier: MIT */
/*
 * context.AfterFunc: run a function when a group ends. The library starts no
 * thread for it; this is the thread, and a group is what stops it again. It is
 * for calls that know nothing of groups: here a read(2) from a socket, which is
 * made to return by a shutdown(2) of it.
 */
#include <poll.h>
#include <sys/socket.h>
#include "group.h"

struct after {
	int watch;
	void (*fn)(int);
	int arg;
};

static int wait_then_run(int member, void *arg)
{
	struct after a = *(struct after *)arg;
	struct pollfd p[] = { { .fd = a.watch, .events = POLLIN }, { .fd = member, .events = POLLIN } };

	free(arg);
	must(poll(p, 2, -1));
	close(a.watch);
	if (p[1].revents & POLLIN)
		return ECANCELED;	/* stopped first */
	a.fn(a.arg);
	return 0;
}

/* Run fn(arg) when the group ends. Returns a handle for stop(). */
static int after_func(int group, void (*fn)(int), int arg)
{
	struct after *a = malloc(sizeof(*a));
	int handle = must(chan_group(-1, CHAN_FOREVER, 0, 0));

	*a = (struct after){ .watch = must(chan_watch(group)), .fn = fn, .arg = arg };
	must(chan_go(handle, wait_then_run, a));
	return handle;
}

/* True: it will not run. False: it has run to its end. */
static bool stop(int handle)
{
	int err;

	chan_cancel(handle, 0, NULL);
	err = wait_all(handle);
	close(handle);
	return err == ECANCELED;
}

static void interrupt(int sock)
{
	shutdown(sock, SHUT_RDWR);
}

static void read_under(int group, int sock)
{
	int handle = after_func(group, interrupt, sock);
	char word[16];
	ssize_t n = read(sock, word, sizeof(word));

	printf("read %zd bytes", n);
	if (stop(handle))
		printf(" in time\n");
	else
		printf(": %s\n", strerror(look(group).err));
}

int main(void)
{
	int group, sock[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	group = must(chan_group(-1, chan_after(20000 * MS), 0, 0));
	must(write(sock[1], "hello", 5));
	read_under(group, sock[0]);
	close(group);

	group = must(chan_group(-1, chan_after(10 * MS), 0, 0));
	read_under(group, sock[0]);

	/* on a group that has ended it runs at once */
	int handle = after_func(group, interrupt, sock[0]);

	wait_all(handle);
	printf("stopped afterwards: %s\n", stop(handle) ? "in time" : "too late, it has run");
	return 0;
}
