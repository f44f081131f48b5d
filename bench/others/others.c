/* SPDX-License-Identifier: MIT */
/*
 * Libraries of messages, as transports for pair, pingpong and stream: Boost's
 * message_queue, ZeroMQ (PUSH and PULL) and nng (pair) over ipc. Their contexts have
 * threads, which a fork does not copy: each process makes its own at its first message,
 * before the clock starts. With one processor that counts instructions ZeroMQ stands
 * still, so it and nng want two.
 */
#include "../bench.h"
#include "../peer.h"
#include "boost.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

/* This process's ends of a line, whose rx is the index. */
static struct end {
	char url[64];
	void *rx, *tx;			/* ZeroMQ */
	nng_socket in, out;		/* nng, if has_* */
	bool has_in, has_out;
} ends[256];
static int lines;
static void *context;
static uint32_t gone;			/* of nng: who received from this process */

static bool ipc_open(struct line *l)
{
	struct end *e;

	errno = ENOTSUP;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return false;
	must(lines < (int)(sizeof(ends) / sizeof(ends[0])) ? 0 : -1, "lines");
	l->rx = l->tx = lines++;
	e = &ends[l->rx];
	snprintf(e->url, sizeof(e->url), "ipc:///tmp/kchan-bench-%d-%d", getpid(), l->rx);
	return true;
}

static void ipc_close(struct line *l)
{
	unlink(ends[l->rx].url + strlen("ipc://"));
}

/* Returns when all has been sent. */
static void zeromq_end(void)
{
	for (int i = 0; i < lines; i++) {
		if (ends[i].rx)
			zmq_close(ends[i].rx);
		if (ends[i].tx)
			zmq_close(ends[i].tx);
	}
	zmq_ctx_term(context);
}

static void *zeromq_socket(const struct line *l, int type)
{
	int hwm = l->capacity;
	void *s;

	if (!context) {
		context = zmq_ctx_new();
		atexit(zeromq_end);
	}
	s = zmq_socket(context, type);
	must(s ? 0 : -1, "zmq_socket");
	must(zmq_setsockopt(s, type == ZMQ_PUSH ? ZMQ_SNDHWM : ZMQ_RCVHWM, &hwm, sizeof(hwm)), "HWM");
	return s;
}

static void zeromq_send(struct line *l, const void *msg)
{
	struct end *e = &ends[l->rx];

	if (!e->tx) {
		e->tx = zeromq_socket(l, ZMQ_PUSH);
		must(zmq_connect(e->tx, e->url), "zmq_connect");
	}
	must(zmq_send(e->tx, msg, l->size, 0), "zmq_send");
}

static void zeromq_recv(struct line *l, void *msg)
{
	struct end *e = &ends[l->rx];

	if (!e->rx) {
		e->rx = zeromq_socket(l, ZMQ_PULL);
		must(zmq_bind(e->rx, e->url), "zmq_bind");
	}
	must(zmq_recv(e->rx, msg, l->size, 0) == (int)l->size ? 0 : -1, "zmq_recv");
}

static void nng_must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "%s: %s\n", what, nng_strerror(err));
	exit(1);
}

static void pipe_gone(nng_pipe p, nng_pipe_ev event, void *arg)
{
	(void)p;
	(void)event;
	(void)arg;
	__atomic_store_n(&gone, 1, __ATOMIC_RELEASE);
	wake(&gone, 1);
}

/* What is queued is lost with its process: stay until the receiver has left. */
static void nng_end(void)
{
	for (int i = 0; i < lines; i++)
		if (ends[i].has_in)
			nng_close(ends[i].in);
	for (int i = 0; i < lines; i++)
		while (ends[i].has_out && !__atomic_load_n(&gone, __ATOMIC_ACQUIRE))
			sleep_while(&gone, 0);
}

static void nng_make(const struct line *l, nng_socket *s, const char *buffer)
{
	static bool registered;

	if (!registered)
		atexit(nng_end);
	registered = true;
	nng_must(nng_pair0_open(s), "nng_pair0_open");
	nng_must(nng_socket_set_int(*s, buffer, l->capacity), buffer);
}

static void nng_peer_send(struct line *l, const void *msg)
{
	struct end *e = &ends[l->rx];

	if (!e->has_out) {
		nng_make(l, &e->out, NNG_OPT_SENDBUF);
		nng_must(nng_pipe_notify(e->out, NNG_PIPE_EV_REM_POST, pipe_gone, NULL), "notify");
		nng_must(nng_dial(e->out, e->url, NULL, NNG_FLAG_NONBLOCK), "nng_dial");
		e->has_out = true;
	}
	nng_must(nng_send(e->out, (void *)msg, l->size, 0), "nng_send");
}

static void nng_peer_recv(struct line *l, void *msg)
{
	struct end *e = &ends[l->rx];
	size_t size = l->size;

	if (!e->has_in) {
		nng_make(l, &e->in, NNG_OPT_RECVBUF);
		nng_must(nng_listen(e->in, e->url, NULL, 0), "nng_listen");
		e->has_in = true;
	}
	nng_must(nng_recv(e->in, msg, &size, 0), "nng_recv");
	must(size == l->size ? 0 : -1, "nng_recv");
}

const struct peer peers[] = {
	{ "boost", 1, MAX_SIZE, false, MAX_SIZE, boost_open, boost_close, boost_send, boost_recv,
	  .processes = false },
	{ "zeromq", 1, MAX_SIZE, false, 1, ipc_open, ipc_close, zeromq_send, zeromq_recv,
	  .processes = true },
	{ "nng", 1, MAX_SIZE, false, 1, ipc_open, ipc_close, nng_peer_send, nng_peer_recv,
	  .processes = true },
	{ .name = NULL }
};
