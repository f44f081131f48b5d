// SPDX-License-Identifier: MIT
/* A select that polls what is poked all the time, and is never ready for it. */
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include "util.h"
#include "harness.h"

#define CASES 512

static int e[2];
static atomic_bool stop;
static atomic_long moved;

static void *receive(void *arg)
{
	char b;

	while (chan_recv(e[0], &b, 1, -1, CHAN_FOREVER) == 1)
		moved++;
	return NULL;
}

/* Never parked: so the receiving end is never readable, though each send tells its pollers. */
static void *send_now(void *arg)
{
	while (!stop)
		chan_send(e[1], "", 1, -1, CHAN_NOW);
	return NULL;
}

static void on_signal(int sig)
{
}

/* The signal goes to whichever thread takes it: the others block it. */
TEST(deadline_and_signal_hold_however_often_a_polled_descriptor_pokes)
{
	static struct chan_case c[CASES];
	int dumb = eventfd(0, EFD_CLOEXEC);
	/* again, lest it come before the call */
	struct itimerval tick = { { .tv_usec = 20000 }, { .tv_usec = 20000 } }, never = {};
	sigset_t alarm;
	struct sigaction sa = { .sa_handler = on_signal }, old;
	pthread_t t[2];

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	ASSERT_EQ(0, chan_make(e, 1, 0, 0));
	pthread_create(&t[0], NULL, receive, NULL);
	ASSERT_TRUE(parked(e[0], 0, 1));
	for (int k = 0; k < CASES; k++)
		c[k] = (struct chan_case){ .fd = k ? dumb : e[0], .op = CHAN_POLL,
					   .events = POLLIN };
	sigaction(SIGALRM, &sa, &old);
	pthread_create(&t[1], NULL, send_now, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	for (int i = 0, tries = 0; i < quick(20, 5); tries++) {
		long before = moved;

		ASSERT_EQ(-ETIMEDOUT, chan_select(c, CASES, 0, -1, chan_after(50 * MS)));
		i += moved > before;	/* else nobody poked: it does not count */
		ASSERT_GT(500, tries);
	}
	setitimer(ITIMER_REAL, &tick, NULL);
	EXPECT_EQ(-EINTR, chan_select(c, CASES, 0, -1, SOON));
	setitimer(ITIMER_REAL, &never, NULL);
	stop = true;
	pthread_join(t[1], NULL);
	ASSERT_EQ(0, chan_shut(e[1], 0));
	pthread_join(t[0], NULL);
	sigaction(SIGALRM, &old, NULL);
	close2(e);
	close(dumb);
}

TEST_HARNESS_MAIN
