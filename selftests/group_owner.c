// SPDX-License-Identifier: MIT
/* The One Rule for groups: who waits below an owner that goes away learns of it. */
#include "caller.h"
#include "harness.h"

enum { RECV, SEND, SELECT, NOTHING, WAIT, JOIN, POLL, KINDS };

struct world {
	int rx, tx, full, other;	/* a channel to wait in, a full one, a group with a member */
};

static struct world *world;

/* Wait in one of all the ways, under a watch; what the call returned. */
static long waits(struct caller *c)
{
	struct world *w = world;
	struct chan_case cs[2];
	struct pollfd p = { .fd = c->under, .events = POLLIN };
	int v = 1;

	switch (c->gate) {
	case RECV:
		return chan_recv(w->rx, &v, 4, c->under, c->deadline);
	case SEND:
		return chan_send(w->full, &v, 4, c->under, c->deadline);
	case SELECT:
		cs[0] = chan_recv_case(w->rx, &v, 4);
		cs[1] = chan_send_case(w->full, &v, 4);
		return chan_select(cs, 2, 0, c->under, c->deadline);
	case NOTHING:
		return chan_select(NULL, 0, 0, c->under, c->deadline);
	case WAIT:
		return chan_wait(w->other, NULL, c->under, c->deadline);
	case JOIN:
		return chan_join(w->other, c->under, c->deadline);
	default:
		return poll(&p, 1, PATIENCE) == 1 && p.revents & POLLIN ? -ECANCELED : -EIO;
	}
}

static void make_world(struct world *w)
{
	int e[2], f[2], v = 0;

	chan_make(e, 4, 0, 0);
	chan_make(f, 4, 1, 0);
	chan_send(f[1], &v, 4, -1, CHAN_NOW);
	w->rx = e[0];
	w->tx = e[1];
	w->full = f[1];
	w->other = chan_group(-1, CHAN_FOREVER, 0, 1);
	chan_join(w->other, -1, CHAN_NOW);
	world = w;
}

/* Everybody below @under waits; then @act; then everybody has got @want. */
#define ALL_END(c, watch, proc, act, want) do {				\
	for (int k = 0; k < KINDS; k++) {				\
		c[k] = (struct caller){ .fn = waits, .under = watch, .gate = k,	\
					.deadline = SOON, .process = proc }; \
		caller_start(&c[k]);					\
		if (k != POLL)						\
			ASSERT_TRUE(caller_waits(&c[k]));		\
	}								\
	act;								\
	for (int k = 0; k < KINDS; k++) {				\
		EXPECT_EQ(want, caller_end(&c[k])) TH_LOG("way %d", k);	\
	}								\
} while (0)

/* PX-13: the owner's process is killed; workers elsewhere are under a group below */
TEST(a_killed_owner_ends_all_who_work_below)
{
	struct caller *c = shared(KINDS * sizeof(*c));
	struct world w;

	make_world(&w);
	for (int way = 0; way < 4; way++) {
		int root = chan_group(-1, CHAN_FOREVER, 0, 0), watch, deep, under, m;
		struct chan_group_info i;
		pid_t pid;

		/* the owner of the middle group is in another process alone */
		m = chan_join(root, -1, SOON);
		deep = chan_group(m, CHAN_FOREVER, 0, 0);
		watch = chan_watch(deep);
		under = way & 2 ? chan_join(deep, -1, CHAN_NOW) : watch;
		ASSERT_LE(0, under);
		pid = fork();
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(root);
			close(deep);
			close(under);
			pause();
			_exit(0);
		}
		close(m);
		EXPECT_EQ(CHAN_LIVE, group_of(watch).state);
		EXPECT_EQ(1, group_of(root).members);
		ALL_END(c, under, way & 1, kill(pid, SIGKILL), -ECANCELED);
		EXPECT_EQ(pid, waitpid(pid, NULL, 0));
		i = group_of(watch);
		EXPECT_EQ(CHAN_ENDED, i.state);
		EXPECT_EQ(EOWNERDEAD, (int)i.err);
		EXPECT_EQ(pid, (int)i.by_pid);
		EXPECT_EQ(0, group_of(root).members);
		EXPECT_EQ(1, group_of(root).failed);
		EXPECT_EQ(CHAN_LIVE, group_of(root).state);
		if (under != watch) {
			EXPECT_EQ(1, i.members);
			EXPECT_EQ(0, chan_leave(under, 0, NULL));
			EXPECT_EQ(0, group_of(watch).failed);
		}
		close(watch);
		close(deep);
		close(root);
	}
}

/* One thread closes the owner under which others are blocked. */
TEST(a_close_in_one_thread_ends_the_calls_of_others)
{
	struct caller *c = shared(KINDS * sizeof(*c));
	struct world w;
	int g, watch;

	make_world(&w);
	g = chan_group(-1, CHAN_FOREVER, 0, 0);
	watch = chan_watch(g);
	for (int k = 0; k < KINDS; k++) {
		/* under the owner itself: its call holds the group, not the descriptor */
		c[k] = (struct caller){ .fn = waits, .under = k == POLL ? watch : g, .gate = k,
					.deadline = SOON };
		caller_start(&c[k]);
		if (k != POLL)
			ASSERT_TRUE(caller_waits(&c[k]));
	}
	EXPECT_EQ(CHAN_LIVE, group_of(watch).state);
	close(g);
	for (int k = 0; k < KINDS; k++) {
		EXPECT_EQ(-ECANCELED, caller_end(&c[k])) TH_LOG("way %d", k);
	}
	EXPECT_EQ(EOWNERDEAD, (int)group_of(watch).err);
	EXPECT_EQ(getpid(), (int)group_of(watch).by_pid);
	EXPECT_EQ(0, info_of(w.rx).parked_receivers);
	EXPECT_EQ(0, info_of(w.full).parked_senders);
	close(watch);
}

/* An end by a deadline is told from all others, and nobody did it. */
TEST(a_deadline_ends_with_etimedout_all_others_with_ecanceled)
{
	struct caller *c = shared(KINDS * sizeof(*c));
	struct world w;

	make_world(&w);
	for (int proc = 0; proc < 2; proc++) {
		int g = chan_group(-1, CHAN_FOREVER, 0, 0), below = chan_group(g, CHAN_FOREVER, 0, 0);

		ALL_END(c, below, proc, chan_cancel(g, ETIMEDOUT, "not by a deadline"), -ECANCELED);
		EXPECT_EQ(ETIMEDOUT, (int)group_of(below).err);
		EXPECT_EQ(getpid(), (int)group_of(below).by_pid);
		close(below);
		close(g);
	}
	for (int k = 0; k < POLL; k++) {
		int g = chan_group(-1, chan_after(20 * MS), 0, 0);
		int below = chan_group(g, CHAN_FOREVER, 0, 0);
		struct caller one = { .under = below, .gate = k, .deadline = SOON };

		EXPECT_EQ(-ETIMEDOUT, waits(&one));
		EXPECT_LE(group_of(g).deadline, chan_after(0));
		EXPECT_EQ(ETIMEDOUT, (int)group_of(below).err);
		EXPECT_EQ(0, (int)group_of(below).by_pid);
		close(below);
		close(g);
	}
}

/* RM-04, PX-05: who waits is asleep, can be interrupted, and restarts if told so */
static void interrupted(int sig)
{
}

TEST(a_signal_interrupts_or_restarts)
{
	struct caller *c = shared(KINDS * sizeof(*c));
	struct world w;

	make_world(&w);
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction sa = { .sa_handler = interrupted,
					.sa_flags = restart ? SA_RESTART : 0 };

		sigaction(SIGUSR1, &sa, NULL);
		for (int proc = 0; proc < 2; proc++) {
			int g = chan_group(-1, CHAN_FOREVER, 0, 0);

			for (int k = 0; k < POLL; k++) {
				c[k] = (struct caller){ .fn = waits, .under = g, .gate = k,
							.deadline = SOON, .process = proc };
				caller_start(&c[k]);
				ASSERT_TRUE(caller_waits(&c[k]));
				syscall(SYS_tgkill, c[k].party.pid ?: getpid(), c[k].party.tid, SIGUSR1);
				if (!restart) {
					EXPECT_EQ(-EINTR, caller_end(&c[k])) TH_LOG("way %d", k);
				}
			}
			if (restart) {
				usleep(20000);
				EXPECT_EQ(0, chan_cancel(g, 0, NULL));
				for (int k = 0; k < POLL; k++) {
					EXPECT_EQ(-ECANCELED, caller_end(&c[k])) TH_LOG("way %d", k);
				}
			}
			close(g);
		}
	}
	EXPECT_EQ(0, info_of(w.rx).parked_receivers);
	EXPECT_EQ(1, group_of(w.other).members);
}

/* PX-06: restarts do not stretch the deadline */
TEST(restarts_do_not_stretch_a_deadline)
{
	struct sigaction sa = { .sa_handler = interrupted, .sa_flags = SA_RESTART };
	struct caller *c = shared(sizeof(*c));
	struct world w;

	make_world(&w);
	sigaction(SIGUSR1, &sa, NULL);
	for (int k = 0; k < POLL; k++) {
		int64_t until = chan_after(100 * MS);

		*c = (struct caller){ .fn = waits, .under = -1, .gate = k, .deadline = until };
		caller_start(c);
		while (__atomic_load_n(&c->ret, __ATOMIC_ACQUIRE) == UNDER_WAY &&
		       chan_after(0) < until + PATIENCE * MS) {
			pthread_kill(c->party.t, SIGUSR1);
			usleep(5000);
		}
		EXPECT_EQ(-ETIMEDOUT, caller_end(c)) TH_LOG("way %d", k);
		EXPECT_LE(until, chan_after(0));
		EXPECT_LE(chan_after(0), until + 15000 * MS);
	}
}

TEST_HARNESS_MAIN
