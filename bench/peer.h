/* SPDX-License-Identifier: MIT */
/*
 * The transports, by one interface: a line carries messages of one size from any
 * number of senders to any number of receivers, threads or forked processes.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>

struct line {
	const struct peer *peer;
	size_t size;
	unsigned capacity;
	int rx, tx;			/* a queue's one descriptor is both */
	struct ring *ring;
	void *own;			/* what a library keeps */
};

struct peer {
	const char *name;
	size_t min, max;		/* bytes a message */
	bool rendezvous;		/* capacity 0 is possible */
	size_t whole;			/* up to this, many may send and receive; 0: no queue */
	bool (*open)(struct line *l);	/* false, errno: not on this system */
	void (*close)(struct line *l);
	void (*send)(struct line *l, const void *msg);
	void (*recv)(struct line *l, void *msg);
	bool processes;			/* only from one process to another */
};

extern const struct peer peers[];	/* up to one without a name; kchan is the first */

const struct peer *peer_named(const char *name);	/* NULL: not among them */
bool peer_takes(const struct peer *p, size_t size, unsigned capacity);
bool line_open(struct line *l, const struct peer *p, size_t size, unsigned capacity);

static inline void line_send(struct line *l, const void *msg)
{
	l->peer->send(l, msg);
}

static inline void line_recv(struct line *l, void *msg)
{
	l->peer->recv(l, msg);
}

static inline void line_close(struct line *l)
{
	l->peer->close(l);
}

/* The sizes that are measured, in this order; with --hot 64 alone. */
extern const size_t sizes[];
extern const unsigned n_sizes;
#define MAX_SIZE 65536

/*
 * Does this row belong to the run? @hot names the peers that goals compare, with
 * spaces around. eventfd's 8 bytes stand for its 64.
 */
bool wanted(const struct peer *p, size_t size, const char *hot);

#endif
