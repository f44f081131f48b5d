/* SPDX-License-Identifier: MIT */
/*
 * Two threads add one to a counter. The plain way the result is 2, as it should
 * be, on this machine, today; but nothing orders the two, and ThreadSanitizer
 * says so. It is silent on those that are ordered: by a channel that the counter
 * travels through, by one used as a lock, by its shut, by the end of a group, and
 * by a group that waits for both.
 *
 * Built with -fsanitize=thread the program tries each way in a child process and
 * looks for the reports. A race between processes no such tool finds.
 */
#include "group.h"

enum { THREADS = 2 };

static long counter, part[THREADS];
static int start[2];		/* shut: all begin */
static int end[2];		/* capacity 1 */
static int group;

static int plain(int member, void *n)
{
	(void)member;
	usleep((long)n * 50000);	/* a sleep orders nothing, it only hides */
	counter++;
	return 0;
}

static int by_message(int member, void *n)
{
	long count;

	(void)n;
	must(chan_recv(end[0], &count, sizeof(count), member, CHAN_FOREVER));
	count++;
	must(chan_send(end[1], &count, sizeof(count), member, CHAN_FOREVER));
	return 0;
}

static int by_lock(int member, void *n)
{
	must(chan_send(end[1], n, 0, member, CHAN_FOREVER));
	counter++;
	must(chan_recv(end[0], NULL, 0, member, CHAN_NOW));
	return 0;
}

static int by_select(int member, void *n)
{
	struct chan_case lock = { .fd = end[1], .op = CHAN_SEND };

	(void)n;
	must(chan_select(&lock, 1, 0, member, CHAN_FOREVER));
	counter++;
	must(chan_recv(end[0], NULL, 0, member, CHAN_NOW));
	return 0;
}

static int by_group(int member, void *n)
{
	(void)member;
	part[(long)n]++;
	return 0;
}

static int by_shut(int member, void *n)
{
	if ((long)n == 0) {
		counter++;
		return chan_shut(end[1], 0);
	}
	chan_recv(end[0], NULL, 0, member, CHAN_FOREVER);
	counter++;
	return 0;
}

static int by_end(int member, void *n)
{
	if ((long)n == 0) {
		counter++;
		return chan_cancel(group, 0, "it is your turn");
	}
	chan_select(NULL, 0, 0, member, CHAN_FOREVER);
	counter++;
	return 0;
}

static const struct way {
	const char *name;
	int (*fn)(int member, void *n);
} ways[] = {
	{ "plain", plain },
	{ "a message", by_message },
	{ "a lock", by_lock },
	{ "a lock taken by select", by_select },
	{ "a shut", by_shut },
	{ "a group that ends", by_end },
	{ "a group that waits", by_group },
};

static const struct way *way;

/* Nobody starts after another has ended: that would be an order too. */
static int begin(int member, void *n)
{
	chan_recv(start[0], NULL, 0, member, CHAN_FOREVER);
	return way->fn(member, n);
}

/* The counter at the end. */
static int run(void)
{
	long n;

	group = must(chan_group(-1, CHAN_FOREVER, 0, 0));
	must(chan_make(start, 0, 0, 0));
	must(chan_make(end, sizeof(counter), 1, 0));
	if (way->fn == by_message)
		must(chan_send(end[1], &counter, sizeof(counter), -1, CHAN_FOREVER));
	for (n = 0; n < THREADS; n++)
		must(chan_go(group, begin, (void *)n));
	must(chan_shut(start[1], 0));
	wait_all(group);
	if (way->fn == by_message)
		must(chan_recv(end[0], &counter, sizeof(counter), -1, CHAN_FOREVER));
	for (n = 0; n < THREADS; n++)
		counter += part[n];
	return counter;
}

static void examine(int i)
{
	static char text[65536];
	size_t len = 0;
	ssize_t got;
	int out[2], status;
	pid_t pid;

	must(pipe(out));
	pid = must(fork());
	if (pid == 0) {
		dup2(out[1], 2);
		close(out[0]);
		close(out[1]);
		way = &ways[i];
		printf("%d: ", run());
		exit(0);	/* what ThreadSanitizer makes 66 of, if it has reported */
	}
	close(out[1]);
	while ((got = read(out[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += got;
	text[len] = 0;
	close(out[0]);
	must(waitpid(pid, &status, 0));
	printf("%s: %s\n", ways[i].name, strstr(text, "ThreadSanitizer: data race") ?
	       "a data race is reported" : WEXITSTATUS(status) ? text : "nothing is reported");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		examine(i);
	return 0;
}
