/* SPDX-License-Identifier: MIT */
/*
 * Values that travel with a request, between processes too. What is set is set:
 * who wants to add something makes a group below with a new value, so those who
 * work with the old one see no change (copy on write). Values are for what
 * belongs to the request, such as who asked; they inform and do not control.
 */
#include "group.h"

/* Metadata: "key=value" lines, as one value of the group. */
static const char *metadata(int group)
{
	static char text[128];
	ssize_t n = chan_value_get(group, "md", text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	return n < 0 ? strerror(errno) : text;
}

/* A group below with one more line. */
static int with(int group, const char *line)
{
	int below = must(chan_group(group, CHAN_FOREVER, 0, 0));
	char text[128] = "";

	if (chan_value_get(group, "md", text, sizeof(text) - 1) > 0)
		strcat(text, " ");
	strcat(text, line);
	must(chan_value_set(below, "md", text, strlen(text)));
	return below;
}

/* fd: a turn to take, a turn to give, so that the output has an order. */
static int worker(int member, int *fd, long n)
{
	char trace[16] = "";

	chan_recv(fd[0], NULL, 0, -1, CHAN_FOREVER);
	must(chan_value_get(member, "trace-id", trace, sizeof(trace)));
	printf("worker %ld, request %s: %s\n", n, trace, metadata(member));
	return 0;
}

int main(int argc, char **argv)
{
	int request, one, two, go_on[2][2];
	char small[4];

	mode(argc, argv);
	request = must(chan_group(-1, CHAN_FOREVER, 0, 0));
	must(chan_value_set(request, "trace-id", "4711", 4));
	printf("nothing set: %s\n", metadata(request));

	one = with(request, "k1=v1");
	must(chan_make(go_on[0], 0, 0, 0));
	must(chan_make(go_on[1], 0, 0, 0));
	go_in(one, worker, 1, go_on[0][0]);
	two = with(one, "k2=v2");	/* while worker 1 has k1 alone */
	go_in(two, worker, 2, go_on[1][0]);
	close(go_on[0][1]);
	wait_all(one);
	close(go_on[1][1]);
	wait_all(two);

	printf("set again: %s\n", strerror(-chan_value_set(one, "md", "k1=other", 8)));
	printf("by who may only watch: %s\n",
	       strerror(-chan_value_set(chan_watch(one), "x", "y", 1)));
	printf("its length: %d; in 4 bytes: %s\n", (int)chan_value_get(two, "md", NULL, 0),
	       strerror(-chan_value_get(two, "md", small, sizeof(small))));
	close(one);			/* the group above has ended, its values stay */
	printf("below, when it has ended: %s\n", metadata(two));
	printf("that group itself: %s\n", strerror(look(two).err));
	return 0;
}
