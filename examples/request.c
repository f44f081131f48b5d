/* SPDX-License-Identifier: MIT */
/*
 * A group for each request. Two workers ask a database on its behalf; when the
 * client has its answer, hangs up, or has waited long enough, the request ends,
 * and its workers leave at once: none is left to work for nobody.
 */
#include <poll.h>
#include <sys/socket.h>
#include "group.h"

enum { WORKERS = 2 };

/* fd: the database's rows, where they go */
static int query(int member, int *fd, long unused)
{
	int row;

	(void)unused;
	if (chan_recv(fd[0], &row, sizeof(row), member, CHAN_FOREVER) < 0)
		return errno;
	return -chan_send(fd[1], &row, sizeof(row), member, CHAN_FOREVER);
}

/* Wait for all rows, the client's good-bye, or the deadline: their sum, or an error. */
static int answer(int group, int conn, int rows)
{
	struct pollfd p[] = { { .fd = group, .events = POLLIN }, { .fd = conn, .events = POLLIN },
			      { .fd = rows, .events = POLLIN } };
	int sum = 0, row;

	for (int got = 0; got < WORKERS; ) {
		must(poll(p, 3, -1));
		if (p[0].revents)
			return -look(group).err;
		if (p[1].revents) {
			chan_cancel(group, ECONNABORTED, "the client hung up");
			continue;
		}
		if (chan_recv(rows, &row, sizeof(row), group, CHAN_NOW) > 0) {
			sum += row;
			got++;
		}
	}
	return sum;
}

/* fd: the connection, the database */
static int serve(int *fd, long limit)
{
	int group = must(chan_group(-1, chan_after(limit * MS), CHAN_FAIL_FAST, 0)), rows[2], ret;

	must(chan_make(rows, sizeof(int), WORKERS, 0));
	for (int i = 0; i < WORKERS; i++)
		try_go_in(group, query, 0, dup(fd[1]), dup(rows[1]));
	close(rows[1]);
	ret = answer(group, fd[0], rows[0]);
	if (ret >= 0)
		send(fd[0], &ret, sizeof(ret), MSG_NOSIGNAL);
	chan_cancel(group, 0, "done");		/* in any case */
	wait_all(group);
	printf("%s%s%s; %d workers left\n", ret < 0 ? strerror(-ret) : "answered",
	       look(group).why[0] ? ": " : "", look(group).why, (int)look(group).members);
	close(group);
	close(rows[0]);
	return 0;
}

static void request(const char *name, int64_t limit, bool hangs_up, int nrows)
{
	int conn[2], database[2], sum = 0;

	printf("%s: ", name);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, conn));
	must(chan_make(database, sizeof(int), WORKERS, 0));
	for (int row = 20; row < 20 + nrows; row++)
		must(chan_send(database[1], &row, sizeof(row), -1, CHAN_FOREVER));
	go(serve, limit, conn[1], database[0]);
	if (hangs_up) {
		until_parked(database[1], 0, WORKERS);
		shutdown(conn[0], SHUT_RDWR);
	}
	wait_tasks();
	if (nrows == WORKERS && read(conn[0], &sum, sizeof(sum)) == sizeof(sum))
		printf("the answer is %d\n", sum);
	close(conn[0]);
	close(database[1]);
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	request("a good day", 20000, false, WORKERS);
	request("the client hangs up", 20000, true, 0);
	request("a slow database", 100, false, 1);
	return 0;
}
