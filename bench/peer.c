/* SPDX-License-Identifier: MIT */
/* The transports. See peer.h. */
#include "peer.h"
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <libchan.h>
#include <limits.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

const size_t sizes[] = { 0, 8, 64, 512, 4096, MAX_SIZE };
const unsigned n_sizes = sizeof(sizes) / sizeof(sizes[0]);

static void close_ends(struct line *l)
{
	close(l->rx);
	if (l->tx != l->rx)
		close(l->tx);
}

static void must_move(ssize_t got, size_t size, const char *what)
{
	must(got, what);
	if ((size_t)got != size) {
		fprintf(stderr, "%s: %zd of %zu bytes\n", what, got, size);
		exit(1);
	}
}

static bool kchan_open(struct line *l)
{
	int end[2];

	must(chan_make(end, l->size, l->capacity, 0), "chan_make");
	l->rx = end[0];
	l->tx = end[1];
	return true;
}

static void kchan_send(struct line *l, const void *msg)
{
	must(chan_send(l->tx, msg, l->size, -1, CHAN_FOREVER), "chan_send");
}

static void kchan_recv(struct line *l, void *msg)
{
	must_move(chan_recv(l->rx, msg, l->size, -1, CHAN_FOREVER), l->size, "chan_recv");
}

/* It holds what fits in its 64 KiB: it is what a program gets that does not set its size. */
static bool pipe_open(struct line *l)
{
	int end[2];

	must(pipe2(end, O_CLOEXEC), "pipe2");
	l->rx = end[0];
	l->tx = end[1];
	return true;
}

static void pipe_send(struct line *l, const void *msg)
{
	must_move(write(l->tx, msg, l->size), l->size, "write");
}

static void pipe_recv(struct line *l, void *msg)
{
	size_t got = 0;

	do {
		ssize_t r = must(read(l->rx, (char *)msg + got, l->size - got), "read");

		if (!r)
			must_move(got, l->size, "read");
		got += r;
	} while (got < l->size);
}

/* A socket's buffer is counted by what its packets occupy, some 704 bytes more than they carry. */
static bool seqpacket_open(struct line *l)
{
	int end[2], bytes = (l->size + 704) * l->capacity / 2;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, end), "socketpair");
	l->rx = end[0];
	l->tx = end[1];
	if (setsockopt(l->tx, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		must(setsockopt(l->tx, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), "SO_SNDBUF");
	return true;
}

static void seqpacket_send(struct line *l, const void *msg)
{
	must_move(send(l->tx, msg, l->size, MSG_NOSIGNAL), l->size, "send");
}

static void seqpacket_recv(struct line *l, void *msg)
{
	must_move(recv(l->rx, msg, l->size, 0), l->size, "recv");
}

/* A counter, not a queue: it stands for one message at most. */
static bool eventfd_open(struct line *l)
{
	l->rx = l->tx = must(eventfd(0, EFD_CLOEXEC), "eventfd");
	return true;
}

static void eventfd_send(struct line *l, const void *msg)
{
	uint64_t one = 1;

	(void)msg;
	must_move(write(l->tx, &one, sizeof(one)), sizeof(one), "write");
}

static void eventfd_recv(struct line *l, void *msg)
{
	must_move(read(l->rx, msg, sizeof(uint64_t)), sizeof(uint64_t), "read");
}

static bool mqueue_open(struct line *l)
{
	struct mq_attr attr = { .mq_maxmsg = l->capacity, .mq_msgsize = l->size ? l->size : 1 };
	char name[40];

	snprintf(name, sizeof(name), "/kchan-bench-%d", getpid());
	l->rx = l->tx = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attr);
	if (l->rx < 0)
		return false;
	mq_unlink(name);
	return true;
}

static void mqueue_send(struct line *l, const void *msg)
{
	must(mq_send(l->tx, msg, l->size, 0), "mq_send");
}

static void mqueue_recv(struct line *l, void *msg)
{
	must_move(mq_receive(l->rx, msg, l->size ? l->size : 1, NULL), l->size, "mq_receive");
}

/*
 * A ring in shared memory under a futex lock. Who must wait is counted under the lock,
 * and takes the number of wake-ups so far with him; the other side takes one off the
 * count, and makes a system call, only if there is one. So there are never more asleep
 * than are counted or about to be woken; one woken in vain counts himself again.
 */
struct ring {
	uint32_t lock;			/* 0: free, 1: held, 2: held, and others may wait */
	uint32_t filled, freed;		/* wake-ups; slept on */
	unsigned receivers, senders;	/* that wait, and nobody woke */
	unsigned first, len, capacity;
	size_t size;
	char slots[];
};

static void ring_lock(struct ring *r)
{
	uint32_t was = 0;

	if (__atomic_compare_exchange_n(&r->lock, &was, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&r->lock, 2, __ATOMIC_ACQUIRE))
		sleep_while(&r->lock, 2);
}

static void ring_unlock(struct ring *r)
{
	if (__atomic_exchange_n(&r->lock, 0, __ATOMIC_RELEASE) == 2)
		wake(&r->lock, 1);
}

static void ring_wait(struct ring *r, unsigned *waiters, uint32_t *wakes)
{
	uint32_t seen = __atomic_load_n(wakes, __ATOMIC_RELAXED);

	++*waiters;
	ring_unlock(r);
	sleep_while(wakes, seen);
	ring_lock(r);
}

/* Unlocks; @waiters are the other side. */
static void ring_done(struct ring *r, unsigned *waiters, uint32_t *wakes)
{
	bool any = *waiters;

	if (any) {
		--*waiters;
		__atomic_add_fetch(wakes, 1, __ATOMIC_RELAXED);
	}
	ring_unlock(r);
	if (any)
		wake(wakes, 1);
}

static size_t ring_bytes(const struct line *l)
{
	return sizeof(struct ring) + l->size * l->capacity;
}

static bool ring_open(struct line *l)
{
	l->ring = shared(ring_bytes(l));
	l->ring->capacity = l->capacity;
	l->ring->size = l->size;
	return true;
}

static void ring_close(struct line *l)
{
	munmap(l->ring, ring_bytes(l));
}

static void ring_send(struct line *l, const void *msg)
{
	struct ring *r = l->ring;

	ring_lock(r);
	while (r->len == r->capacity)
		ring_wait(r, &r->senders, &r->freed);
	memcpy(r->slots + (r->first + r->len++) % r->capacity * r->size, msg, r->size);
	ring_done(r, &r->receivers, &r->filled);
}

static void ring_recv(struct line *l, void *msg)
{
	struct ring *r = l->ring;

	ring_lock(r);
	while (!r->len)
		ring_wait(r, &r->receivers, &r->filled);
	memcpy(msg, r->slots + r->first * r->size, r->size);
	r->first = (r->first + 1) % r->capacity;
	r->len--;
	ring_done(r, &r->senders, &r->freed);
}

/* Weak: programs that are linked with others/ have that table. */
__attribute__((weak)) const struct peer peers[] = {
	{ "kchan", 0, MAX_SIZE, true, MAX_SIZE, kchan_open, close_ends, kchan_send, kchan_recv, false },
	{ "pipe", 1, MAX_SIZE, false, PIPE_BUF, pipe_open, close_ends, pipe_send, pipe_recv, false },
	{ "seqpacket", 0, MAX_SIZE, false, MAX_SIZE, seqpacket_open, close_ends,
	  seqpacket_send, seqpacket_recv, false },
	{ "eventfd", 8, 8, false, 0, eventfd_open, close_ends, eventfd_send, eventfd_recv, false },
	{ "mqueue", 0, MAX_SIZE, false, MAX_SIZE, mqueue_open, close_ends,
	  mqueue_send, mqueue_recv, false },
	{ "ring", 0, MAX_SIZE, false, MAX_SIZE, ring_open, ring_close, ring_send, ring_recv, false },
	{ .name = NULL }
};

const struct peer *peer_named(const char *name)
{
	const struct peer *p = peers;

	while (p->name && strcmp(p->name, name))
		p++;
	return p->name ? p : NULL;
}

bool peer_takes(const struct peer *p, size_t size, unsigned capacity)
{
	return size >= p->min && size <= p->max && (capacity || p->rendezvous);
}

bool line_open(struct line *l, const struct peer *p, size_t size, unsigned capacity)
{
	*l = (struct line){ .peer = p, .size = size, .capacity = capacity };
	return p->open(l);
}

bool wanted(const struct peer *p, size_t size, const char *hot)
{
	char name[20];

	if ((options.hot || options.across) && size != (p->max < 64 ? p->max : 64))
		return false;
	snprintf(name, sizeof(name), " %s ", p->name);
	return !options.hot || strstr(hot, name);
}
