/* SPDX-License-Identifier: MIT */
/*
 * A send and a receive of 64 bytes in one thread through io_uring: n sends a submit,
 * then n receives a submit. One operation is a pair. `kchan-rw` is the ring's own
 * WRITE and READ on a channel, as `pipe` is on a pipe; `kchan-cmd` is channel calls as
 * commands, `kchan-short` those that name their message in the entry; `kchan-ioctl` is the
 * same work without a ring.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <libchan-uring.h>
#include <string.h>

#define SIZE 64
#define MOST 32

struct load {
	struct io_uring ring;
	struct line line;
	unsigned n;
	char msgs[MOST][SIZE];
	struct kchan_xfer xfers[MOST];
};

typedef void prep_fn(struct load *l, struct io_uring_sqe *sqe, unsigned i, bool send);

static void prep_rw(struct load *l, struct io_uring_sqe *sqe, unsigned i, bool send)
{
	if (send)
		io_uring_prep_write(sqe, l->line.tx, l->msgs[i], SIZE, 0);
	else
		io_uring_prep_read(sqe, l->line.rx, l->msgs[i], SIZE, 0);
}

static void prep_command(struct load *l, struct io_uring_sqe *sqe, unsigned i, bool send)
{
	if (send)
		chan_prep_send(sqe, l->line.tx, &l->xfers[i], l->msgs[i], SIZE, -1, CHAN_FOREVER);
	else
		chan_prep_recv(sqe, l->line.rx, &l->xfers[i], l->msgs[i], SIZE, -1, CHAN_FOREVER);
}

static void prep_short(struct load *l, struct io_uring_sqe *sqe, unsigned i, bool send)
{
	if (send)
		chan_prep_send_wait(sqe, l->line.tx, l->msgs[i], SIZE);
	else
		chan_prep_recv_wait(sqe, l->line.rx, l->msgs[i], SIZE);
}

/* One submit; the first error of its completions, or 0. */
static int submit(struct load *l, prep_fn *prep, bool send)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	int err = 0, ret;

	for (unsigned i = 0; i < l->n; i++)
		prep(l, io_uring_get_sqe(&l->ring), i, send);
	ret = io_uring_submit_and_wait(&l->ring, l->n);
	errno = ret < 0 ? -ret : EIO;
	must(ret == (int)l->n ? 0 : -1, "io_uring_submit_and_wait");
	io_uring_for_each_cqe(&l->ring, head, cqe) {
		if (cqe->res < 0 && !err)
			err = cqe->res;
		n++;
	}
	io_uring_cq_advance(&l->ring, n);
	return err;
}

static int pair(struct load *l, prep_fn *prep)
{
	int err = submit(l, prep, true);

	return err ? err : submit(l, prep, false);
}

static void pairs(struct load *l, prep_fn *prep, long ops)
{
	while (ops--) {
		errno = -pair(l, prep);
		must(-errno, "io_uring completion");
	}
}

static void pairs_rw(void *arg, long ops)
{
	pairs(arg, prep_rw, ops);
}

static void pairs_command(void *arg, long ops)
{
	pairs(arg, prep_command, ops);
}

static void pairs_short(void *arg, long ops)
{
	pairs(arg, prep_short, ops);
}

static void pairs_ioctl(void *arg, long ops)
{
	struct load *l = arg;

	while (ops--) {
		for (unsigned i = 0; i < l->n; i++)
			line_send(&l->line, l->msgs[i]);
		for (unsigned i = 0; i < l->n; i++)
			line_recv(&l->line, l->msgs[i]);
	}
}

static const struct way {
	const char *peer, *line;
	void (*fn)(void *arg, long ops);
	prep_fn *prep;			/* tried first: the kernel may not have it */
} ways[] = {
	{ "kchan-ioctl", "kchan", pairs_ioctl, NULL },
	{ "kchan-rw", "kchan", pairs_rw, prep_rw },
	{ "kchan-cmd", "kchan", pairs_command, prep_command },
	{ "kchan-short", "kchan", pairs_short, prep_short },
	{ "pipe", "pipe", pairs_rw, prep_rw },
	{ .peer = NULL }
};

static void measure(struct load *l, const struct way *w, unsigned n)
{
	long ops = scaled((5000 + n - 1) / n);
	int err;

	l->n = n;
	line_open(&l->line, peer_named(w->line), SIZE, MOST);
	err = w->prep ? pair(l, w->prep) : 0;
	if (err)
		skip("uring_pair", w->peer, strerror(-err));
	else
		row("uring_pair", w->peer, SIZE, n, "ns", per_op(w->fn, l, ops) / n);
	line_close(&l->line);
}

int main(int argc, char **argv)
{
	static struct load l;
	int err;

	bench_options(argc, argv);
	pin(0);
	progress("uring_pair");
	err = io_uring_queue_init(MOST, &l.ring, 0);
	if (err) {
		skip("uring_pair", "all", strerror(-err));
		return 0;
	}
	for (const struct way *w = ways; w->peer; w++)
		for (unsigned n = 1; n <= MOST; n *= MOST)
			if (!options.hot || w->prep == prep_command || w->prep == prep_short)
				measure(&l, w, n);
	io_uring_queue_exit(&l.ring);
	return 0;
}
