/* SPDX-License-Identifier: MIT */
/*
 * errgroup: fetch three pages at the same time. The first that fails ends the
 * group, so the others do not go on for nothing, and its error is the group's.
 * The servers are local; one can be told to refuse, and one never answers.
 */
#include <poll.h>
#include "net.h"
#include "group.h"

enum { PAGES = 3 };

struct page {
	int n;
	char body[32];
};

/* fd: a listener. Answers one client: well, not at all, or with a refusal. */
static int server(int *fd, long answers)
{
	int conn = must(accept(fd[0], NULL, NULL));
	char line[64], reply[80];

	hear(conn, line, sizeof(line));
	if (answers) {
		snprintf(reply, sizeof(reply), answers > 0 ? "page %s" : "no page %s", line);
		say(conn, reply);
	}
	hear(conn, line, sizeof(line));		/* until the client hangs up */
	close(conn);
	return 0;
}

/* fd: where the page goes, a connection. The page's number is an argument, by value. */
static int fetch(int member, int *fd, long n)
{
	struct pollfd p[] = { { .fd = fd[1], .events = POLLIN }, { .fd = member, .events = POLLIN } };
	struct page page = { .n = n };
	char number[8];

	snprintf(number, sizeof(number), "%ld", n);
	say(fd[1], number);
	must(poll(p, 2, -1));
	if (p[1].revents)
		return ECANCELED;	/* another one has failed */
	if (!hear(fd[1], page.body, sizeof(page.body)) || !strncmp(page.body, "no ", 3))
		return ENOENT;
	return -chan_send(fd[0], &page, sizeof(page), member, CHAN_FOREVER);
}

static void fetch_all(const char *name, const long answers[PAGES])
{
	int group = must(chan_group(-1, chan_after(20000 * MS), CHAN_FAIL_FAST, 0));
	int pages[2], port, first;
	char body[PAGES][32] = {};
	struct page page;

	must(chan_make(pages, sizeof(page), PAGES, 0));	/* a place for each */
	for (int n = 0; n < PAGES; n++) {
		go(server, answers[n], listen_somewhere(&port));
		try_go_in(group, fetch, n, dup(pages[1]), must(dial(port)));
	}
	close(pages[1]);
	first = wait_all(group);
	while (chan_recv(pages[0], &page, sizeof(page), -1, CHAN_FOREVER) > 0)
		strcpy(body[page.n], page.body);
	printf("%s: %s\n", name, said(first));
	for (int n = 0; n < PAGES && !first; n++)
		printf("  %s\n", body[n]);
	if (first)
		printf("  and it has ended the group: %s\n", strerror(look(group).err));
	close(pages[0]);
	close(group);
	wait_tasks();
}

static int stay(int member, int *fd, long unused)
{
	(void)fd;
	(void)unused;
	chan_select(NULL, 0, 0, member, CHAN_FOREVER);
	return 0;
}

static void limited(void)
{
	int group = must(chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 2));

	try_go_in(group, stay, 0);
	try_go_in(group, stay, 0);
	printf("SetLimit(2), then TryGo: %s\n", strerror(-chan_join(group, -1, CHAN_NOW)));
	chan_cancel(group, 0, NULL);
	printf("cancelled: %s\n", said(wait_all(group)));
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	fetch_all("all answer", (long[]){ 1, 1, 1 });
	fetch_all("one refuses, one never answers", (long[]){ 0, -1, 0 });
	limited();
	return 0;
}
