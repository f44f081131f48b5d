// SPDX-License-Identifier: MIT
/* A full buffer that drops, while messages that could not be copied out come back. */
#include <stdatomic.h>
#include "util.h"
#include "harness.h"

struct faulter { int fd; atomic_bool stop; atomic_long faults; };

static void *only_fault(void *arg)
{
	struct faulter *f = arg;

	while (!f->stop)
		f->faults += chan_recv(f->fd, NULL, 200, -1, CHAN_NOW) == -EFAULT;
	return NULL;
}

TEST(drop_old_keeps_the_newest_whatever_comes_back)
{
	int sizes[] = { 4, 200 };	/* in a slot, and beside it */

	for (int s = 0; s < 2; s++)
		for (int round = 0; round < quick(60, 20); round++) {
			struct faulter f = {};
			char msg[200] = {};
			int e[2], v = 0, got, newest = 0;
			struct chan_info in;
			pthread_t t[3];
			long r;

			ASSERT_EQ(0, chan_make(e, 200, 1, CHAN_DROP_OLD));
			f.fd = e[0];
			for (int i = 0; i < 3; i++)
				pthread_create(&t[i], NULL, only_fault, &f);
			while (v < 200 || !f.faults) {
				memcpy(msg, &(int){ ++v }, 4);
				ASSERT_LE(0, chan_send(e[1], msg, sizes[s], -1, CHAN_NOW));
			}
			f.stop = true;
			for (int i = 0; i < 3; i++)
				pthread_join(t[i], NULL);
			while ((r = chan_recv(e[0], msg, sizeof(msg), -1, CHAN_NOW)) > 0) {
				EXPECT_EQ(sizes[s], r);
				memcpy(&got, msg, 4);
				newest = got > newest ? got : newest;
			}
			EXPECT_EQ(-EAGAIN, r);
			EXPECT_EQ(v, newest);
			in = info_of(e[0]);
			EXPECT_EQ(0, in.len);
			EXPECT_EQ(v, in.sent);
			EXPECT_EQ(in.sent, in.received + in.dropped);
			close2(e);
		}
}

/* A message that came back is not dropped: what is buffered behind it is. */
TEST(drop_old_drops_nothing_that_came_back)
{
	int sizes[] = { 4, 200 };

	for (int s = 0; s < 2; s++) {
		char msg[200] = {};
		int e[2];

		ASSERT_EQ(0, chan_make(e, 200, 1, CHAN_DROP_OLD));
		ASSERT_EQ(0, chan_send(e[1], msg, sizes[s], -1, CHAN_NOW));
		ASSERT_EQ(-EFAULT, chan_recv(e[0], (char *)8, 200, -1, CHAN_NOW));
		msg[0] = 1;	/* the one that came back is all there is: nothing to drop */
		EXPECT_EQ(0, chan_send(e[1], msg, sizes[s], -1, CHAN_NOW));
		EXPECT_EQ(2, info_of(e[0]).len);
		for (msg[0] = 2; msg[0] < 5; msg[0]++) {
			EXPECT_EQ(1, chan_send(e[1], msg, sizes[s], -1, CHAN_NOW));
			EXPECT_EQ(2, info_of(e[0]).len);
		}
		EXPECT_EQ(3, info_of(e[0]).dropped);
		ASSERT_EQ(sizes[s], chan_recv(e[0], msg, 200, -1, CHAN_NOW));
		EXPECT_EQ(0, msg[0]);
		ASSERT_EQ(sizes[s], chan_recv(e[0], msg, 200, -1, CHAN_NOW));
		EXPECT_EQ(4, msg[0]);
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], msg, 200, -1, CHAN_NOW));
		close2(e);
	}
}

TEST_HARNESS_MAIN
