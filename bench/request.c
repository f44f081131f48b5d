/* SPDX-License-Identifier: MIT */
/*
 * A request of 64 bytes from one process or thread to another, and its answer. The request carries
 * the end that the answer goes to, of a channel or a socket pair made for it; `-standing`
 * sends the answer through one that stays. n is the capacity of channels, 0 or 1.
 */
#include "bench.h"
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <libchan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 64

struct service {
	unsigned capacity;
	int dev;			/* stays open: each request makes a channel */
	int rx, tx;			/* of requests, which carry descriptors */
	struct line there, back;	/* that stay */
};

static void kchan_client(struct service *s)
{
	char msg[SIZE] = "";
	int reply[2];
	struct chan_msg m = { .buf = msg, .len = SIZE, .fds = &reply[1], .nfds = 1 };

	must(chan_make_on(s->dev, reply, SIZE, s->capacity, 0), "chan_make_on");
	must(chan_sendm(s->tx, &m, 1, -1, CHAN_FOREVER), "chan_sendm");
	close(reply[1]);
	must(chan_recv(reply[0], msg, SIZE, -1, CHAN_FOREVER), "chan_recv");
	close(reply[0]);
}

static void kchan_server(struct service *s)
{
	char msg[SIZE];
	int reply;
	struct chan_msg m = { .buf = msg, .len = SIZE, .fds = &reply, .nfds = 1 };

	must(chan_recvm(s->rx, &m, 1, -1, CHAN_FOREVER), "chan_recvm");
	must(chan_send(reply, msg, SIZE, -1, CHAN_FOREVER), "chan_send");
	close(reply);
}

static void standing_client(struct service *s)
{
	char msg[SIZE] = "";

	line_send(&s->there, msg);
	line_recv(&s->back, msg);
}

static void standing_server(struct service *s)
{
	char msg[SIZE];

	line_recv(&s->there, msg);
	line_send(&s->back, msg);
}

union control {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void socket_client(struct service *s)
{
	char msg[SIZE] = "";
	struct iovec iov = { .iov_base = msg, .iov_len = SIZE };
	union control control = { "" };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int reply[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reply), "socketpair");
	*c = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof(int)),
	};
	memcpy(CMSG_DATA(c), &reply[1], sizeof(int));
	must(sendmsg(s->tx, &m, MSG_NOSIGNAL), "sendmsg");
	close(reply[1]);
	must(recv(reply[0], msg, SIZE, 0), "recv");
	close(reply[0]);
}

static void socket_server(struct service *s)
{
	char msg[SIZE];
	struct iovec iov = { .iov_base = msg, .iov_len = SIZE };
	union control control;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	int reply;

	must(recvmsg(s->rx, &m, MSG_CMSG_CLOEXEC), "recvmsg");
	errno = EPROTO;
	must(CMSG_FIRSTHDR(&m) ? 0 : -1, "recvmsg");
	memcpy(&reply, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	must(send(reply, msg, SIZE, MSG_NOSIGNAL), "send");
	close(reply);
}

static const struct way {
	const char *peer;
	void (*client)(struct service *s), (*server)(struct service *s);
	const char *line;		/* of those that stay */
	bool capacity, hot;		/* its capacity varies; it has a goal */
} ways[] = {
	{ "kchan", kchan_client, kchan_server, "kchan", true, true },
	{ "kchan-standing", standing_client, standing_server, "kchan", true, false },
	{ "seqpacket", socket_client, socket_server, "seqpacket", false, false },
	{ "seqpacket-standing", standing_client, standing_server, "seqpacket", false, false },
	{ .peer = NULL }
};

static const struct way *way;

static void serve(void *arg, unsigned k, long ops)
{
	while (ops--)
		(k ? way->server : way->client)(arg);
}

static void measure(bool processes, unsigned capacity)
{
	struct service s = { .capacity = capacity };
	long ops = scaled(2000);
	int end[2];

	line_open(&s.there, peer_named(way->line), SIZE, capacity);
	line_open(&s.back, peer_named(way->line), SIZE, capacity);
	s.dev = must(open("/dev/kchan", O_RDWR | O_CLOEXEC), "/dev/kchan");
	if (way->capacity)
		must(chan_make(end, SIZE, capacity, CHAN_FDS), "chan_make");
	else
		must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, end), "socketpair");
	s.rx = end[0];
	s.tx = end[1];
	row(processes ? "request_process" : "request_thread", way->peer, SIZE, capacity, "ns",
	    (double)crew(2, processes, serve, &s, ops / 10 + 1, ops) / ops);
	close(s.rx);
	close(s.tx);
	close(s.dev);
	line_close(&s.there);
	line_close(&s.back);
}

int main(int argc, char **argv)
{
	bench_options(argc, argv);
	for (int processes = 0; processes < 2; processes++) {
		progress(processes ? "request_process" : "request_thread");
		for (way = ways; way->peer; way++)
			for (unsigned capacity = !way->capacity; capacity < 2; capacity++)
				if (!options.hot || (way->hot && processes))
					measure(processes, capacity);
	}
	return 0;
}
