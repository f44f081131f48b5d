// SPDX-License-Identifier: MIT
/* What has no meaning today is refused, so that it can get one: events, answers, handles. */
#include "util.h"
#include "harness.h"

/* As poll(2) knows them. */
#define EVENTS	(POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLNVAL | POLLRDNORM | \
		 POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLREMOVE | POLLRDHUP)

static int try(int fd, unsigned long req, void *arg)
{
	int r = ioctl(fd, req, arg);

	return r < 0 ? -errno : r;
}

FIXTURE(strict) {
	int full[2], empty[2], zero[2];
	char got[8];
};

FIXTURE_SETUP(strict)
{
	ASSERT_EQ(0, chan_make(self->full, 8, 1, 0));
	ASSERT_EQ(0, chan_make(self->empty, 8, 1, 0));
	ASSERT_EQ(0, chan_make(self->zero, 8, 0, 0));
	ASSERT_EQ(0, chan_send(self->full[1], "abcd", 4, -1, CHAN_NOW));
}

FIXTURE_TEARDOWN(strict)
{
	EXPECT_EQ(1, (int)info_of(self->full[0]).len);
	EXPECT_EQ(0, (int)info_of(self->empty[0]).sent);
	EXPECT_EQ(0, (int)info_of(self->zero[0]).sent);
	close2(self->full);
	close2(self->empty);
	close2(self->zero);
}

/* Every way to give it: ready or not, alone or with others, waiting or not, armed. */
TEST_F(strict, events_of_a_send_or_receive_are_EINVAL)
{
	struct chan_case good[] = {
		chan_recv_case(self->full[0], self->got, 8), chan_send_case(self->empty[1], "x", 1),
		chan_recv_case(self->empty[0], self->got, 8), chan_send_case(self->full[1], "x", 1),
		chan_recv_case(self->zero[0], self->got, 8), chan_send_case(self->zero[1], "x", 1),
	};

	for (int bit = 0; bit < 32; bit++) {
		for (int i = 0; i < 6; i++) {
			struct chan_case k[3] = { good[4], good[i], good[4] };

			k[1].events = 1U << bit;
			EXPECT_EQ(-EINVAL, chan_select(&k[1], 1, 0, -1, CHAN_NOW)) TH_LOG("%d", bit);
			EXPECT_EQ(-EINVAL, chan_select(&k[1], 1, CHAN_PRIO, -1, CHAN_FOREVER));
			EXPECT_EQ(-EINVAL, chan_select(k, 3, 0, -1, SOON));
			EXPECT_EQ(-EINVAL, chan_arm(&k[1], 1, 0));
			EXPECT_EQ(-EINVAL, chan_arm(k, 3, 0));
			k[1].fd = -1;
			k[1].op = bit;
			EXPECT_EQ(-EAGAIN, chan_select(k, 3, 0, -1, CHAN_NOW));
		}
	}
	EXPECT_EQ(0, (int)info_of(self->zero[0]).parked_receivers);
}

TEST_F(strict, events_that_poll_does_not_have_are_EINVAL)
{
	int p[2];

	ASSERT_EQ(0, pipe(p));
	for (int bit = 0; bit < 32; bit++) {
		struct chan_case k[2] = {
			{ .fd = p[1], .op = CHAN_POLL, .events = POLLOUT | 1U << bit },
			chan_recv_case(self->zero[0], self->got, 8),
		};
		int want = 1U << bit & ~EVENTS ? -EINVAL : 0;

		EXPECT_EQ(want, chan_select(k, 1, 0, -1, CHAN_NOW)) TH_LOG("bit %d", bit);
		EXPECT_EQ(want, chan_select(k, 2, 0, -1, CHAN_FOREVER)) TH_LOG("bit %d", bit);
		k[0].fd = self->empty[1];
		EXPECT_EQ(want, chan_select(k, 2, 0, -1, CHAN_FOREVER)) TH_LOG("bit %d", bit);
		k[0].fd = -1;
		EXPECT_EQ(-EAGAIN, chan_select(k, 2, 0, -1, CHAN_NOW));
	}
	close2(p);
}

/* -1 takes the case out, whatever else stands in it. */
TEST_F(strict, a_case_that_is_out_is_not_looked_at)
{
	struct chan_case out[] = {
		{ .fd = -1 }, { .fd = -1, .op = 77, .events = ~0U, .revents = 9 },
		{ .fd = -1, .op = CHAN_SEND, .events = 1,
		  .msg = { .buf = (void *)8, .len = SIZE_MAX, .fds = (int *)8, .nfds = 99 } },
		{ .fd = -1, .op = CHAN_POLL, .events = ~0U },
	};

	for (int i = 0; i < 4; i++) {
		struct chan_case k[2] = { out[i], chan_recv_case(self->full[0], self->got, 8) };
		int a;

		EXPECT_EQ(1, chan_select(k, 2, 0, -1, CHAN_NOW));
		EXPECT_EQ(4, k[1].msg.res);
		ASSERT_EQ(0, chan_send(self->full[1], "abcd", 4, -1, CHAN_NOW));
		k[1] = chan_recv_case(self->zero[0], self->got, 8);
		EXPECT_EQ(-EAGAIN, chan_select(k, 2, 0, -1, CHAN_NOW));
		EXPECT_EQ(-ETIMEDOUT, chan_select(k, 2, 0, -1, chan_after(MS)));
		a = chan_arm(k, 2, 0);
		EXPECT_LE(0, a);
		close(a);
	}
}

/* What is only an answer may hold anything before. */
TEST_F(strict, answers_are_not_looked_at_before)
{
	struct chan_case k = chan_recv_case(self->full[0], self->got, 8);

	k.revents = ~0U;
	k.msg.res = -77;
	EXPECT_EQ(0, chan_select(&k, 1, 0, -1, CHAN_NOW));
	EXPECT_EQ(4, k.msg.res);
	ASSERT_EQ(0, chan_send(self->full[1], "abcd", 4, -1, CHAN_NOW));
	k = (struct chan_case){ .fd = self->full[0], .op = CHAN_POLL, .events = POLLIN, .revents = ~0U };
	EXPECT_EQ(0, chan_select(&k, 1, 0, -1, CHAN_NOW));
	EXPECT_EQ(POLLIN, k.revents);
}

static void *until_shut(void *arg)
{
	chan_recv(*(int *)arg, NULL, 0, -1, CHAN_FOREVER);
	return NULL;
}

/* In a process of several threads, a select that would wait wants a handle. */
TEST_F(strict, a_handle_that_cannot_be_told_of_is_not_made)
{
	struct kchan_case k = { .fd = self->empty[0], .op = KCHAN_RECV };
	struct kchan_select *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int before, handle;
	pthread_t t;

	ASSERT_NE(MAP_FAILED, (void *)s);
	ASSERT_EQ(0, pthread_create(&t, NULL, until_shut, &self->zero[0]));
	ASSERT_TRUE(parked(self->zero[0], 0, 1));
	*s = (struct kchan_select){ .cases = (uintptr_t)&k, .n = 1, .flags = KCHAN_MAY_HANDLE,
				    .deadline = KCHAN_FOREVER, .under = -1 };
	ASSERT_EQ(0, mprotect(s, 4096, PROT_READ));
	before = open_count();
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(-EFAULT, try(self->empty[0], KCHAN_IOC_SELECT, s));
	EXPECT_EQ(before, open_count());
	EXPECT_EQ(0, (int)info_of(self->empty[0]).parked_receivers);
	ASSERT_EQ(0, mprotect(s, 4096, PROT_READ | PROT_WRITE));
	EXPECT_EQ(KCHAN_USE_HANDLE, try(self->empty[0], KCHAN_IOC_SELECT, s));
	handle = s->handle;
	EXPECT_EQ(before + 1, open_count());
	EXPECT_EQ(FD_CLOEXEC, fcntl(handle, F_GETFD));
	/* and is one: it selects */
	*s = (struct kchan_select){ .cases = (uintptr_t)&k, .n = 1, .under = -1 };
	EXPECT_EQ(-EAGAIN, try(handle, KCHAN_IOC_SELECT, s));
	close(handle);
	EXPECT_EQ(0, chan_shut(self->zero[1], 0));
	pthread_join(t, NULL);
	munmap(s, 4096);
}

/* No index is taken for it, whatever the number of cases may be one day. */
TEST(the_answer_for_a_handle_is_no_index)
{
	EXPECT_LT(KCHAN_MAX_CASES, KCHAN_USE_HANDLE);
	EXPECT_LT(UINT16_MAX, KCHAN_USE_HANDLE);
}

TEST_HARNESS_MAIN
