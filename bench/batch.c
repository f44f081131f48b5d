/* SPDX-License-Identifier: MIT */
/*
 * n messages a call: chan_sendm and chan_recvm beside sendmmsg and recvmmsg of a
 * socket pair, in one thread, of 64 bytes. One operation is a message sent and received.
 */
#include "bench.h"
#include "peer.h"

#include <libchan.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SIZE 64
#define CAPACITY 64

struct batch {
	struct line line;
	unsigned n;
	char msgs[CAPACITY][SIZE];
	struct chan_msg out[CAPACITY], in[CAPACITY];
	struct iovec iov[CAPACITY];
	struct mmsghdr mmsg[CAPACITY];
};

static void must_all(const struct batch *b, long moved, const char *what)
{
	if (must(moved, what) == b->n)
		return;
	fprintf(stderr, "%s: %ld of %u messages\n", what, moved, b->n);
	exit(1);
}

static void through_kchan(void *arg, long calls)
{
	struct batch *b = arg;

	while (calls--) {
		must_all(b, chan_sendm(b->line.tx, b->out, b->n, -1, CHAN_FOREVER), "chan_sendm");
		must_all(b, chan_recvm(b->line.rx, b->in, b->n, -1, CHAN_FOREVER), "chan_recvm");
		for (unsigned i = 0; i < b->n; i++)
			b->in[i].len = SIZE;
	}
}

static void through_socket(void *arg, long calls)
{
	struct batch *b = arg;

	while (calls--) {
		must_all(b, sendmmsg(b->line.tx, b->mmsg, b->n, 0), "sendmmsg");
		must_all(b, recvmmsg(b->line.rx, b->mmsg, b->n, MSG_WAITFORONE, NULL), "recvmmsg");
	}
}

static void measure(const char *peer, void (*fn)(void *arg, long calls), unsigned n)
{
	static struct batch b;
	long calls = scaled((6000 + n - 1) / n);

	b.n = n;
	for (unsigned i = 0; i < n; i++) {
		b.out[i] = b.in[i] = (struct chan_msg){ .buf = b.msgs[i], .len = SIZE };
		b.iov[i] = (struct iovec){ .iov_base = b.msgs[i], .iov_len = SIZE };
		b.mmsg[i].msg_hdr = (struct msghdr){ .msg_iov = &b.iov[i], .msg_iovlen = 1 };
	}
	line_open(&b.line, peer_named(peer), SIZE, CAPACITY);
	row("batch", peer, SIZE, n, "ns", per_op(fn, &b, calls) / n);
	line_close(&b.line);
}

int main(int argc, char **argv)
{
	bench_options(argc, argv);
	pin(0);
	progress("batch");
	for (unsigned n = 1; n <= CAPACITY; n *= 2) {
		if (!options.hot || n == 1 || n == 32)
			measure("kchan", through_kchan, n);
		if (!options.hot)
			measure("seqpacket", through_socket, n);
	}
	return 0;
}
