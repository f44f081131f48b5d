/* SPDX-License-Identifier: MIT */
/*
 * A free list: buffers that are costly to make wait in a channel to be used again.
 * To get one is to receive without waiting, and to make one if there is none; to
 * put one back is to send without waiting, and to free it if the channel is full.
 * The capacity bounds what lies idle. (Where malloc is good enough, and it mostly
 * is, do without: two system calls cost more.) Messages are pointers here, so
 * this is for threads.
 */
#include <stdatomic.h>
#include "group.h"

enum { IDLE = 2, TASKS = 4, TIMES = 100 };

struct buffer {
	int used;
	char data[4096];
};

static int idle[2];
static atomic_int made, freed;

static struct buffer *get(void)
{
	struct buffer *b;

	if (chan_recv(idle[0], &b, sizeof(b), -1, CHAN_NOW) > 0)
		return b;
	made++;
	return calloc(1, sizeof(*b));
}

static void put(struct buffer *b)
{
	if (chan_send(idle[1], &b, sizeof(b), -1, CHAN_NOW) == 0)
		return;
	freed++;
	free(b);
}

static int work(int member, void *arg)
{
	struct buffer *b;
	int reused = 0;

	(void)member;
	(void)arg;
	for (int i = 0; i < TIMES; i++) {
		b = get();
		reused += b->used++ > 0;	/* nobody else has it: no lock */
		memset(b->data, i, sizeof(b->data));
		put(b);
	}
	return reused > 0 ? 0 : ENOENT;
}

int main(void)
{
	int group = must(chan_group(-1, CHAN_FOREVER, 0, 0)), used = 0;
	struct buffer *b[3];

	must(chan_make(idle, sizeof(struct buffer *), IDLE, 0));
	for (int i = 0; i < 3; i++)
		b[i] = get();
	for (int i = 0; i < 3; i++)
		put(b[i]);
	printf("3 in use at once: %d made, %d did not fit\n", made, freed);
	b[0] = get();
	put(b[0]);
	printf("once more: %d made\n", made);

	for (int i = 0; i < TASKS; i++)
		must(chan_go(group, work, NULL));
	printf("%d threads: %s\n", TASKS, said(wait_all(group)));
	chan_shut(idle[1], 0);
	while (chan_recv(idle[0], b, sizeof(*b), -1, CHAN_FOREVER) > 0) {
		used += b[0]->used;
		free(b[0]);
		freed++;
	}
	printf("every buffer made has been freed: %s\n", made == freed ? "yes" : "no");
	return used == 0;
}
