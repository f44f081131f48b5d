/* SPDX-License-Identifier: MIT */
/*
 * Deadlines: a group has one, a call has one, and whichever is first ends the
 * wait with ETIMEDOUT. The group tells which it was. A deadline is a point in
 * time, so a chain of calls need not count what is left of it.
 */
#include "group.h"

static void overslept(int group, int64_t deadline)
{
	int ret = chan_select(NULL, 0, 0, group, deadline);

	printf("%s; the group is %s\n", strerror(-ret),
	       look(group).state == CHAN_ENDED ? "ended" : "live");
}

int main(void)
{
	int64_t soon = chan_after(1 * MS);
	int group, below, far;

	/* context.WithDeadline of 1 ms against time.After of 20 s */
	group = must(chan_group(-1, soon, 0, 0));
	overslept(group, chan_after(20000 * MS));
	printf("it ended with: %s\n", strerror(look(group).err));
	/* Go's rule is to cancel in any case. It changes nothing, and is no error */
	printf("cancelled afterwards: %s, it keeps its cause: %s\n",
	       said(-chan_cancel(group, EIO, "too late")), strerror(look(group).err));
	close(group);

	/* the other way round: the call's deadline, the group lives on */
	group = must(chan_group(-1, chan_after(20000 * MS), 0, 0));
	overslept(group, chan_after(1 * MS));

	/* a group below may have less time, never more */
	far = must(chan_group(group, chan_after(60000 * MS), 0, 0));
	below = must(chan_group(group, chan_after(10000 * MS), 0, 0));
	printf("asked for 60 s below 20 s: %s\n",
	       look(far).deadline == look(group).deadline ? "20 s" : "something else");
	printf("asked for 10 s below 20 s: %s\n",
	       look(below).deadline < look(group).deadline ? "10 s" : "something else");

	/* cancelled, not timed out, whatever error it is cancelled with */
	chan_cancel(group, ETIMEDOUT, "so they say");
	overslept(below, CHAN_FOREVER);
	printf("its cause: %s, \"%s\"\n", strerror(look(below).err), look(below).why);

	/* born ended: below one that has ended, or with a deadline that has passed */
	below = must(chan_group(group, CHAN_FOREVER, 0, 0));
	overslept(below, CHAN_FOREVER);
	printf("its cause: %s, \"%s\"\n", strerror(look(below).err), look(below).why);
	below = must(chan_group(-1, soon, 0, 0));
	overslept(below, CHAN_FOREVER);
	return 0;
}
