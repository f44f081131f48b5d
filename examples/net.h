/* SPDX-License-Identifier: MIT */
/* The little TCP that serve and serve_bad need: one line asked, one answered. */
#ifndef EXAMPLES_NET_H
#define EXAMPLES_NET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "util.h"

static inline int listen_somewhere(int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	must(bind(fd, (struct sockaddr *)&a, len));
	must(listen(fd, 8));
	must(getsockname(fd, (struct sockaddr *)&a, &len));
	*port = ntohs(a.sin_port);
	return fd;
}

/* A connection, or -1. */
static inline int dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	int why = errno;

	close(fd);
	errno = why;
	return -1;
}

static inline void say(int conn, const char *line)
{
	send(conn, line, strlen(line), MSG_NOSIGNAL);
}

/* False: the other side has hung up. */
static inline bool hear(int conn, char *line, size_t size)
{
	ssize_t n = recv(conn, line, size - 1, 0);

	line[n > 0 ? n : 0] = 0;
	return n > 0;
}

static inline const char *ask(int conn, const char *line)
{
	static char answer[64];

	say(conn, line);
	return hear(conn, answer, sizeof(answer)) ? answer : "(no answer)";
}

/* Wait until nobody listens there. */
static inline void until_refused(int port)
{
	int conn;

	while ((conn = dial(port)) >= 0) {
		close(conn);
		usleep(1000);
	}
}

#endif
