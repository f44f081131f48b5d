// SPDX-License-Identifier: MIT
/* What libchan.h gives beside the calls: messages and cases, constants, what is there. */
#include "harness.h"
#include "util.h"

/* What the macros hide is what bindings are made from. */
#pragma push_macro("CHAN_NOW")
#pragma push_macro("CHAN_FOREVER")
#undef CHAN_NOW
#undef CHAN_FOREVER
static const int64_t *const now = &CHAN_NOW, *const forever = &CHAN_FOREVER;
#pragma pop_macro("CHAN_NOW")
#pragma pop_macro("CHAN_FOREVER")

TEST(macros_and_constants_agree)
{
	EXPECT_EQ(CHAN_NOW, *now);
	EXPECT_EQ(KCHAN_NOW, *now);
	EXPECT_EQ(CHAN_FOREVER, *forever);
	EXPECT_EQ(KCHAN_FOREVER, *forever);
}

static bool same_msg(struct chan_msg a, struct chan_msg b)
{
	return a.buf == b.buf && a.len == b.len && a.fds == b.fds && a.nfds == b.nfds &&
	       a.res == b.res;
}

static bool same_case(struct chan_case a, struct chan_case b)
{
	return a.fd == b.fd && a.op == b.op && a.events == b.events && a.revents == b.revents &&
	       same_msg(a.msg, b.msg);
}

TEST(a_case_has_what_it_was_given_and_no_more)
{
	char room[5];
	struct chan_case recv = { .fd = 3, .op = CHAN_RECV, .msg = { .buf = room, .len = 5 } };
	struct chan_case send = { .fd = 4, .op = CHAN_SEND, .msg = { .buf = room, .len = 2 } };
	struct chan_case poll = { .fd = 5, .op = CHAN_POLL, .events = POLLIN | POLLPRI };

	EXPECT_TRUE(same_case(recv, chan_recv_case(3, room, 5)));
	EXPECT_TRUE(same_case(send, chan_send_case(4, room, 2)));
	EXPECT_TRUE(same_case(poll, chan_poll_case(5, POLLIN | POLLPRI)));
	EXPECT_TRUE(same_msg(recv.msg, chan_recv_msg(room, 5)));
	EXPECT_TRUE(same_msg(send.msg, chan_send_msg(room, 2)));
	EXPECT_EQ(-1, chan_recv_case(-1, NULL, 0).fd);
}

TEST(what_may_not_be_written_is_sent_in_a_case)
{
	static const char *const words[] = { "one", "two" };
	int end[2], p[2];
	char word[8] = "";

	ASSERT_EQ(0, chan_make(end, 8, 1, 0));
	ASSERT_EQ(0, pipe(p));
	struct chan_case c[] = {
		chan_send_case(end[1], "hello", 6),
		chan_recv_case(end[0], word, sizeof(word)),
		chan_poll_case(p[0], POLLIN),
	};

	ASSERT_EQ(0, chan_select(c, 3, 0, -1, SOON));
	c[0] = chan_send_case(end[1], words[0], 4);
	ASSERT_EQ(1, chan_select(c, 3, 0, -1, SOON));
	EXPECT_EQ(6, c[1].msg.res);
	EXPECT_STREQ("hello", word);
	c[1] = chan_recv_case(end[0], word, sizeof(word));
	c[0].fd = -1;
	ASSERT_EQ(1, write(p[1], "x", 1));
	ASSERT_EQ(2, chan_select(c, 3, 0, -1, SOON));
	EXPECT_EQ(POLLIN, c[2].revents);
}

TEST(what_may_not_be_written_is_sent_in_a_batch)
{
	struct chan_msg in[] = { chan_send_msg("one", 4), chan_send_msg("two", 4) };
	char a[4], b[4];
	struct chan_msg out[] = { chan_recv_msg(a, 4), chan_recv_msg(b, 4) };
	int end[2];

	ASSERT_EQ(0, chan_make(end, 4, 2, 0));
	ASSERT_EQ(2, chan_sendm(end[1], in, 2, -1, SOON));
	ASSERT_EQ(2, chan_recvm(end[0], out, 2, -1, SOON));
	EXPECT_STREQ("one", a);
	EXPECT_STREQ("two", b);
}

TEST(the_version_is_that_of_the_header)
{
	errno = 0;
	EXPECT_EQ(CHAN_VERSION, chan_version());
	EXPECT_LT(0, chan_version());
	EXPECT_EQ(0, errno);
}

TEST(features_are_what_the_module_says)
{
	struct kchan_features f;
	struct kchan_out out = { .addr = (uintptr_t)&f, .size = sizeof(f) };
	int dev = open("/dev/kchan", O_RDWR), fds = open_count();

	ASSERT_EQ(0, ioctl(dev, KCHAN_IOC_FEATURES, &out));
	errno = 0;
	EXPECT_EQ(f.features, chan_features());
	EXPECT_EQ(0, errno);
	EXPECT_TRUE(chan_features() & CHAN_HAS_URING);
	EXPECT_EQ(fds, open_count());
}

TEST(without_the_device_there_are_no_features_and_a_reason)
{
	char path[] = "/tmp/root.XXXXXX";
	int fds = open_count(), status;
	pid_t pid = fork();

	if (pid == 0) {		/* who may not open it */
		if (setresuid(12345, 12345, 12345) || chan_features() || errno != EACCES)
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(fds, open_count());
	ASSERT_TRUE(mkdtemp(path) && !chroot(path));
	errno = 0;
	EXPECT_EQ(0, chan_features());
	EXPECT_EQ(ENOENT, errno);
}

TEST_HARNESS_MAIN
