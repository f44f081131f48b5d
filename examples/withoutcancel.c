/* SPDX-License-Identifier: MIT */
/*
 * Work that outlives the request: when the request is cancelled, its query ends,
 * but the audit record must still be written, and must know who asked. A group
 * made with CHAN_DETACHED has the values of the group above, not its end and not
 * its deadline; it should have a deadline of its own.
 */
#include "group.h"

/* fd[0]: the database, slow. */
static int query(int member, int *fd, long unused)
{
	(void)unused;
	return -chan_recv(fd[0], NULL, 0, member, CHAN_FOREVER);
}

/* fd[0]: the log's disk, slow too. */
static int audit(int member, int *fd, long unused)
{
	char who[16] = "";

	(void)unused;
	if (chan_recv(fd[0], NULL, 0, member, CHAN_FOREVER) == -ECANCELED)
		return ECANCELED;
	must(chan_value_get(member, "user", who, sizeof(who)));
	printf("audit: %s asked\n", who);
	return 0;
}

static void request(const char *name, unsigned flags)
{
	int above = must(chan_group(-1, chan_after(60000 * MS), 0, 0));
	int records = must(chan_group(above, chan_after(20000 * MS), flags, 0));
	int database[2], disk[2];

	printf("%s\n", name);
	must(chan_value_set(above, "user", "alice", 5));
	must(chan_make(database, 0, 0, 0));
	must(chan_make(disk, 0, 0, 0));
	go_in(above, query, 0, database[0]);
	go_in(records, audit, 0, disk[0]);

	chan_cancel(above, 0, "the client has gone");
	printf("  the query: %s\n", said(wait_all(above)));
	printf("  the audit has been %s\n", look(records).state == CHAN_LIVE ? "left alone" : "ended");
	close(above);		/* its values stay for those below */
	close(disk[1]);		/* now the disk is ready */
	printf("  the audit: %s\n", said(wait_all(records)));
	close(database[1]);
	close(records);
}

int main(int argc, char **argv)
{
	mode(argc, argv);
	request("bad: below the request", 0);
	request("good: detached from it", CHAN_DETACHED);
	return 0;
}
