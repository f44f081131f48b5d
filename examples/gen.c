/* SPDX-License-Identifier: MIT */
/*
 * A generator that runs until nobody wants its numbers. The consumer wants five
 * and cancels. In the bad version it goes on receiving from a channel that nobody
 * shuts and nobody sends on any more; a deadline shows that it would hang.
 */
#include "group.h"

/* Its end stays open as long as the consumer's: for the mistake. */
static int generate(int member, int *fd, long unused)
{
	(void)unused;
	for (int n = 1; chan_send(fd[0], &n, sizeof(n), member, CHAN_FOREVER) == 0; n++)
		;
	return errno;
}

/* Says how the stream ended. Only then does the consumer stop by itself. */
static int generate_and_shut(int member, int *fd, long unused)
{
	int err = generate(member, fd, unused);

	chan_shut(fd[0], err == ECANCELED ? 0 : err);
	return err;
}

static void consume(const char *name, member_fn *fn, bool leaves, bool keeps_end)
{
	int group = must(chan_group(-1, CHAN_FOREVER, 0, 0)), end[2], n, more = 0;
	int64_t deadline = CHAN_FOREVER;

	must(chan_make(end, sizeof(int), 0, 0));
	go_in(group, fn, 0, dup(end[1]));
	if (!keeps_end)
		close(end[1]);
	printf("%s:", name);
	while (chan_recv(end[0], &n, sizeof(n), -1, deadline) > 0) {
		if (n <= 5)
			printf(" %d", n);
		else
			more++;		/* one more may have been on its way */
		if (n == 5) {
			chan_cancel(group, 0, "five is enough");
			if (leaves)
				break;
			/* it should end; the bad one never would */
			deadline = chan_after(fn == generate && keeps_end ? 300 * MS : 20000 * MS);
		}
	}
	printf("%s\n", leaves ? ", and leaves" : errno == ETIMEDOUT ? ", and hangs" : ", and sees the end");
	if (more > 1)
		printf("more than one too many\n");
	if (leaves)
		close(end[0]);
	printf("  the generator: %s\n", said(wait_all(group)));
	if (keeps_end)
		close(end[1]);
	if (!leaves)
		close(end[0]);
	close(group);
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	consume("bad", generate, false, true);
	consume("good, breaks off", generate, true, true);
	consume("good, is told the end", generate_and_shut, false, true);
	consume("good, keeps no sending end", generate, false, false);
	return 0;
}
