// SPDX-License-Identifier: MIT
/* What poll and epoll see of the ends, in every state; level, edge, once, exclusive. */
#include <sys/socket.h>
#include "util.h"
#include "harness.h"

#define ALL	(POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | \
		 POLLRDHUP)
#define READY_IN	(POLLIN | POLLRDNORM)
#define READY_OUT	(POLLOUT | POLLWRNORM)
#define DRAINED	(READY_IN | POLLRDHUP | POLLHUP)
#define REFUSED	(READY_OUT | POLLERR)

THREADS_AND_PROCESSES(poll);

static int events(int fd)
{
	struct pollfd p = { .fd = fd, .events = ALL };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

static int add(int ep, int fd, uint32_t ev)
{
	struct epoll_event e = { .events = ev, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

/* The one event that comes within so many ms, or 0. */
static int wait_event(int ep, int ms)
{
	struct epoll_event e[4];
	int n = epoll_wait(ep, e, 4, ms);

	return n == 1 ? (int)e[0].events : n ? -1000 - n : 0;
}

/* poll, a poll that asks for nothing, epoll, and an epoll in an epoll agree. */
static void sees(struct __test_metadata *_metadata, int fd, int want, const char *state)
{
	struct pollfd none = { .fd = fd };
	int in = epoll_create1(EPOLL_CLOEXEC), out = epoll_create1(EPOLL_CLOEXEC);

	EXPECT_EQ(want, events(fd))
		TH_LOG("%s", state);
	EXPECT_EQ(!!(want & (POLLERR | POLLHUP)), poll(&none, 1, 0));
	EXPECT_EQ(want & (POLLERR | POLLHUP), none.revents);
	EXPECT_EQ(0, add(in, fd, ALL));
	EXPECT_EQ(0, add(out, in, EPOLLIN));
	EXPECT_EQ(want, wait_event(in, 0))
		TH_LOG("%s", state);
	EXPECT_EQ(want ? EPOLLIN : 0, wait_event(out, 0));
	close(in);
	close(out);
}
#define SEES(e, rx, tx, state) do {			\
	sees(_metadata, (e)[0], rx, state " (receiving)");	\
	sees(_metadata, (e)[1], tx, state " (sending)");	\
} while (0)

/* PX-07 */
TEST(events_in_every_state_of_the_buffer)
{
	int caps[] = { 0, 1, 4 }, v = 1;

	for (int k = 0; k < 3; k++) {
		int e[2], cap = caps[k];

		ASSERT_EQ(0, chan_make(e, 4, cap, 0));
		SEES(e, 0, cap ? READY_OUT : 0, "empty");
		for (int i = 0; i < cap; i++) {
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
			SEES(e, READY_IN, i + 1 < cap ? READY_OUT : 0, "filling");
		}
		EXPECT_EQ(0, chan_shut(e[1], 0));
		for (int i = 0; i < cap; i++) {
			SEES(e, READY_IN, REFUSED, "shut, not drained");
			ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		}
		SEES(e, DRAINED, REFUSED, "shut and drained");
		close2(e);

		ASSERT_EQ(0, chan_make(e, 4, cap, 0));
		for (int i = 0; i < cap; i++)
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(0, chan_shut(e[0], 0));
		for (int i = 0; i < cap; i++) {
			SEES(e, READY_IN, REFUSED, "receives shut, not drained");
			ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		}
		SEES(e, DRAINED, REFUSED, "receives shut and drained");
		close2(e);

		ASSERT_EQ(0, chan_make(e, 4, cap, 0));
		close(e[1]);
		sees(_metadata, e[0], DRAINED, "no sender");
		close(e[0]);
		ASSERT_EQ(0, chan_make(e, 4, cap, 0));
		for (int i = 0; i < cap; i++)
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		close(e[0]);
		sees(_metadata, e[1], REFUSED, "no receiver");
		close(e[1]);
	}
}

TEST(a_channel_that_drops_is_always_ready_for_a_send)
{
	unsigned flags[] = { CHAN_DROP_NEW, CHAN_DROP_OLD };
	int e[2], v = 1;

	for (int k = 0; k < 2; k++) {
		ASSERT_EQ(0, chan_make(e, 4, 1, flags[k]));
		SEES(e, 0, READY_OUT, "empty");
		for (int i = 0; i < 3; i++) {
			EXPECT_EQ(i > 0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
			SEES(e, READY_IN, READY_OUT, "full");
		}
		close2(e);
	}
}

static int short_send(void *arg)
{
	struct op *o = arg;

	o->ret = chan_send(o->fd, &o->val, 4, -1, chan_after(30 * MS));
	return 0;
}

static int short_recv(void *arg)
{
	struct op *o = arg;

	o->ret = chan_recv(o->fd, &o->val, 4, -1, chan_after(30 * MS));
	return 0;
}

/* PX-07, PX-08: who is parked makes the other side ready; who gave up does not */
TEST_F(poll, a_parked_call_is_seen_as_long_as_it_is_parked)
{
	struct op *o = shared(sizeof(*o));
	struct party p;
	int e[2], v;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int late = 0; late < 2; late++) {
		*o = (struct op){ .fd = e[1], .val = 4 };
		ASSERT_TRUE(party_start(&p, variant->proc, late ? short_send : party_send, o));
		if (!late) {
			ASSERT_TRUE(parked(e[0], 1, 0));
			SEES(e, READY_IN, 0, "parked sender");
			EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		}
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(late ? -ETIMEDOUT : 0, o->ret);
		SEES(e, 0, 0, "nobody parked");

		*o = (struct op){ .fd = e[0] };
		ASSERT_TRUE(party_start(&p, variant->proc, late ? short_recv : party_recv, o));
		if (!late) {
			ASSERT_TRUE(parked(e[0], 0, 1));
			SEES(e, 0, READY_OUT, "parked receiver");
			EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		}
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(late ? -ETIMEDOUT : 4, o->ret);
		SEES(e, 0, 0, "nobody parked");
	}
	close2(e);
}

struct poller {
	int fd, ready, ms, events;
};

/* A poll that blocks; what came. */
static int poll_one(void *arg)
{
	struct poller *w = arg;
	struct pollfd p = { .fd = w->fd, .events = ALL };

	w->events = poll(&p, 1, w->ms) == 1 ? p.revents : 0;
	return 0;
}

static int epoll_one(void *arg)
{
	struct poller *w = arg;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	add(ep, w->fd, ALL);
	w->events = wait_event(ep, w->ms);
	close(ep);
	return 0;
}

enum { MESSAGE, ROOM, SENDER, RECEIVER, SHUT_TX, SHUT_RX, CLOSE_TX, CLOSE_RX, HAPPENINGS };

/* PX-07: whatever makes an end ready wakes who waits for it in poll or epoll */
TEST_F(poll, whatever_makes_an_end_ready_wakes_a_poll)
{
	static const struct { int side, cap, full, want; } h[HAPPENINGS] = {
		[MESSAGE] = { 0, 1, 0, READY_IN }, [ROOM] = { 1, 1, 1, READY_OUT },
		[SENDER] = { 0, 0, 0, READY_IN }, [RECEIVER] = { 1, 0, 0, READY_OUT },
		[SHUT_TX] = { 0, 1, 0, DRAINED }, [SHUT_RX] = { 1, 1, 1, REFUSED },
		[CLOSE_TX] = { 0, 1, 0, DRAINED }, [CLOSE_RX] = { 1, 1, 1, REFUSED },
	};
	struct poller *w = shared(sizeof(*w));
	struct op *o = shared(sizeof(*o));

	for (int k = 0; k < 2 * HAPPENINGS; k++) {
		int what = k / 2, e[2], v = 3;
		struct party p, q;

		/* a child would keep the end open */
		if (variant->proc && what >= CLOSE_TX)
			continue;
		ASSERT_EQ(0, chan_make(e, 4, h[what].cap, 0));
		if (h[what].full)
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		*w = (struct poller){ .fd = e[h[what].side], .ms = PATIENCE };
		ASSERT_TRUE(party_start(&p, variant->proc, k & 1 ? epoll_one : poll_one, w));
		ASSERT_TRUE(asleep_in(&p.tid, k & 1 ? SYS_epoll_wait : SYS_poll));
		*o = (struct op){ .fd = e[what == SENDER], .val = 1 };
		switch (what) {
		case MESSAGE: ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW)); break;
		case ROOM: ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW)); break;
		case SENDER: party_start(&q, variant->proc, party_send, o); break;
		case RECEIVER: party_start(&q, variant->proc, party_recv, o); break;
		case SHUT_TX: ASSERT_EQ(0, chan_shut(e[1], EIO)); break;
		case SHUT_RX: ASSERT_EQ(0, chan_shut(e[0], 0)); break;
		case CLOSE_TX: close(e[1]); break;
		case CLOSE_RX: close(e[0]); break;
		}
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(h[what].want, w->events)
			TH_LOG("happening %d", what);
		if (what == SENDER || what == RECEIVER) {
			chan_shut(e[0], 0);
			party_end(&q);
		}
		if (what != CLOSE_RX)
			close(e[0]);
		if (what != CLOSE_TX)
			close(e[1]);
	}
}

/* The other side dies in another process while this one polls. */
TEST(death_of_the_other_side_wakes_a_poll)
{
	for (int how = 0; how < 6; how++) {
		char x;
		int e[2], side = how & 1, ep = epoll_create1(EPOLL_CLOEXEC), in[2];
		pid_t pid;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
		ASSERT_EQ(0, add(ep, e[side], ALL | EPOLLET));
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(e[side]);
			if (how / 2 < 2)	/* told that it may */
				read(in[0], &x, 1);
			usleep(20000);
			if (how / 2 == 0)
				_exit(0);
			dup2(in[0], 0);
			if (how / 2 == 1)
				execl("/bin/cat", "cat", NULL);
			pause();
		}
		close(e[!side]);
		EXPECT_EQ(0, wait_event(ep, 0));
		EXPECT_EQ(1, write(in[1], "x", 1));
		if (how / 2 == 2) {
			usleep(30000);
			kill(pid, SIGKILL);
		}
		EXPECT_EQ(side ? REFUSED : DRAINED, wait_event(ep, PATIENCE));
		EXPECT_EQ(0, wait_event(ep, 0));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(e[side]);
		close2(in);
		close(ep);
	}
}

/* PX-07: with EPOLLET each message and each room is an event, and nothing else is */
TEST(every_message_and_every_room_is_one_edge)
{
	int e[2], ep = epoll_create1(EPOLL_CLOEXEC), v = 1;

	ASSERT_EQ(0, chan_make(e, 4, 3, 0));
	ASSERT_EQ(0, add(ep, e[0], EPOLLIN | EPOLLET));
	EXPECT_EQ(0, wait_event(ep, 0));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(EPOLLIN, wait_event(ep, 0));
		EXPECT_EQ(0, wait_event(ep, 0));
	}
	EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	for (int tries = 0, r = 0; r != EPOLLIN; r = wait_event(ep, 0)) {	/* parked for a while */
		ASSERT_GT(10, tries++);
		ASSERT_EQ(-ETIMEDOUT, chan_send(e[1], &v, 4, -1, chan_after(100 * MS)));
	}
	EXPECT_EQ(0, epoll_ctl(ep, EPOLL_CTL_DEL, e[0], NULL));
	ASSERT_EQ(0, add(ep, e[1], EPOLLOUT | EPOLLET));
	EXPECT_EQ(0, wait_event(ep, 0));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(EPOLLOUT, wait_event(ep, 0));
		EXPECT_EQ(0, wait_event(ep, 0));
	}
	EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, wait_event(ep, 0));
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, wait_event(ep, 0));
	close2(e);
	close(ep);
}

/* PX-07: also for who has taken some of what is there, not all */
TEST(an_edge_comes_after_a_part_was_taken)
{
	int e[2], ep = epoll_create1(EPOLL_CLOEXEC), v = 1;

	ASSERT_EQ(0, chan_make(e, 4, 4, 0));
	ASSERT_EQ(0, add(ep, e[0], EPOLLIN | EPOLLET));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(EPOLLIN, wait_event(ep, 0));
	ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, wait_event(ep, 0));
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(EPOLLIN, wait_event(ep, 0));
	EXPECT_EQ(0, wait_event(ep, 0));
	EXPECT_EQ(0, epoll_ctl(ep, EPOLL_CTL_DEL, e[0], NULL));

	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	ASSERT_EQ(0, add(ep, e[1], EPOLLOUT | EPOLLET));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(EPOLLOUT, wait_event(ep, 0));
	}
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));	/* there is room yet */
	EXPECT_EQ(0, wait_event(ep, 0));
	ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(EPOLLOUT, wait_event(ep, 0));
	close2(e);
	close(ep);
}

struct stream { int fd, n; };

static int send_all(void *arg)
{
	struct stream *s = arg;

	for (int i = 0; i < s->n; i++) {
		if (chan_send(s->fd, &i, 4, -1, SOON))
			return 1;
		if (i % 7 == 0)
			sched_yield();
	}
	return 0;
}

/* PX-07: no edge is lost between the look and the wait */
TEST_F(poll, who_takes_all_after_each_edge_misses_nothing)
{
	int caps[] = { 0, 1, 4 };
	int n = variant->proc ? count(100000, 25000, 1000) : count(100000, 50000, 2000);

	for (int k = 0; k < 3; k++) {
		struct stream *s = shared(sizeof(*s));
		int e[2], ep = epoll_create1(EPOLL_CLOEXEC), got = 0, v;
		struct party p;

		ASSERT_EQ(0, chan_make(e, 4, caps[k], 0));
		ASSERT_EQ(0, add(ep, e[0], EPOLLIN | EPOLLET));
		*s = (struct stream){ e[1], n / 3 };
		ASSERT_TRUE(party_start(&p, variant->proc, send_all, s));
		while (got < s->n) {
			ASSERT_EQ(EPOLLIN, wait_event(ep, PATIENCE))
				TH_LOG("after %d of %d, capacity %d", got, s->n, caps[k]);
			while (chan_recv(e[0], &v, 4, -1, CHAN_NOW) == 4)
				ASSERT_EQ(got++, v);
		}
		ASSERT_EQ(0, party_end(&p));
		close2(e);
		close(ep);
	}
}

struct reader { int fd, got; long sum; };

/* A loop as there are many: it polls, and reads until there is nothing. */
static int polls_and_reads(void *arg)
{
	struct reader *r = arg;
	int ep = epoll_create1(EPOLL_CLOEXEC), v;
	ssize_t n = -1;

	WANT(!add(ep, r->fd, EPOLLIN));
	while (n) {
		WANT(wait_event(ep, 60000) & EPOLLIN);
		while ((n = read(r->fd, &v, 4)) == 4) {
			r->got++;
			r->sum += v;
		}
		WANT(n == 0 || errno == EAGAIN);
	}
	close(ep);
	return 0;
}

TEST_F(poll, readers_that_race_for_what_they_are_told_lose_nothing)
{
	enum { READERS = 8 };
	long n = quick(4000, 1000);
	int caps[] = { 1, 64 };

	for (int k = 0; k < 2; k++) {
		struct reader *r = shared(READERS * sizeof(*r));
		struct party p[READERS];
		int e[2], got = 0;
		long sum = 0;

		ASSERT_EQ(0, chan_make(e, 4, caps[k], 0));
		ASSERT_EQ(0, fcntl(e[0], F_SETFL, O_NONBLOCK));
		for (int i = 0; i < READERS; i++) {
			r[i].fd = e[0];
			ASSERT_TRUE(party_start(&p[i], variant->proc, polls_and_reads, &r[i]));
		}
		for (int i = 0; i < n; i++)
			ASSERT_EQ(0, chan_send(e[1], &i, 4, -1, SOON));
		ASSERT_EQ(0, chan_shut(e[1], 0));
		for (int i = 0; i < READERS; i++) {
			EXPECT_EQ(0, party_end(&p[i]));
			got += r[i].got;
			sum += r[i].sum;
		}
		EXPECT_EQ(n, got);
		EXPECT_EQ(n * (n - 1) / 2, sum);
		close2(e);
	}
}

TEST(oneshot_tells_once_until_it_is_set_again)
{
	int e[2], ep = epoll_create1(EPOLL_CLOEXEC), v = 1;
	struct epoll_event again = { .events = EPOLLIN | EPOLLONESHOT };

	ASSERT_EQ(0, chan_make(e, 4, 3, 0));
	ASSERT_EQ(0, add(ep, e[0], EPOLLIN | EPOLLONESHOT));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(i ? 0 : EPOLLIN, wait_event(ep, 0));
		EXPECT_EQ(0, wait_event(ep, 0));
	}
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_MOD, e[0], &again));
	EXPECT_EQ(EPOLLIN, wait_event(ep, 0));
	EXPECT_EQ(0, wait_event(ep, 0));
	chan_shut(e[1], 0);
	EXPECT_EQ(0, wait_event(ep, 0));
	close2(e);
	close(ep);
}

struct sleeper { int fd, again, *woken, events; };

/* Wait until so many have been woken; how many have. */
static int woken_of(const int *woken, int n)
{
	for (int i = 0; i < PATIENCE && __atomic_load_n(woken, __ATOMIC_RELAXED) < n; i++)
		usleep(1000);
	return __atomic_load_n(woken, __ATOMIC_RELAXED);
}

static int exclusive(void *arg)
{
	struct sleeper *s = arg;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	add(ep, s->fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET);
	if (s->again)
		wait_event(ep, 0);
	s->events = wait_event(ep, PATIENCE);
	__atomic_add_fetch(s->woken, 1, __ATOMIC_RELAXED);
	close(ep);
	return 0;
}

/* As with a pipe: a message wakes one of those that wait exclusively, the end all. */
TEST_F(poll, a_message_wakes_one_exclusive_waiter_and_the_end_all)
{
	enum { NOT, SHUT, DRAIN };

	for (int end = NOT; end <= DRAIN; end++) {
		int *woken = shared(sizeof(int)), e[2], v = 1;
		struct sleeper *s = shared(4 * sizeof(*s));
		struct party p[4];

		ASSERT_EQ(0, chan_make(e, 4, 4, 0));
		if (end == DRAIN) {
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
			ASSERT_EQ(0, chan_shut(e[1], 0));
		}
		for (int i = 0; i < 4; i++) {
			s[i] = (struct sleeper){ e[0], end == DRAIN, woken, 0 };
			ASSERT_TRUE(party_start(&p[i], variant->proc, exclusive, &s[i]));
			ASSERT_TRUE(asleep_in(&p[i].tid, SYS_epoll_wait));
		}
		for (int n = 1; n <= (end ? 0 : 4); n++) {
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
			woken_of(woken, n);
			usleep(20000);	/* to be fair to the others */
			EXPECT_EQ(n, __atomic_load_n(woken, __ATOMIC_RELAXED));
		}
		if (end == SHUT)
			ASSERT_EQ(0, chan_shut(e[1], 0));
		if (end == DRAIN)
			ASSERT_EQ(4, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(0, party_end(&p[i]));
			EXPECT_EQ(end ? EPOLLIN | EPOLLHUP : EPOLLIN, s[i].events);
		}
		close2(e);
	}
}

static int not_exclusive(void *arg)
{
	struct sleeper *s = arg;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	add(ep, s->fd, EPOLLIN);
	s->events = wait_event(ep, PATIENCE);
	close(ep);
	return 0;
}

TEST_F(poll, who_waits_with_others_is_woken_beside_one_exclusive_waiter)
{
	int *woken = shared(sizeof(int)), e[2], v = 1;
	struct sleeper *s = shared(4 * sizeof(*s));
	struct party p[4];

	ASSERT_EQ(0, chan_make(e, 4, 4, 0));
	for (int i = 0; i < 4; i++) {	/* two of each, in turn */
		s[i] = (struct sleeper){ e[0], 0, woken, 0 };
		ASSERT_TRUE(party_start(&p[i], variant->proc, i & 1 ? exclusive : not_exclusive, &s[i]));
		ASSERT_TRUE(asleep_in(&p[i].tid, SYS_epoll_wait));
	}
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	for (int i = 0; i < 4; i += 2) {
		EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(EPOLLIN, s[i].events);
	}
	usleep(20000);
	for (int n = 1; n <= 2; n++) {
		EXPECT_EQ(n, woken_of(woken, n));
		if (n == 1)
			ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	}
	for (int i = 1; i < 4; i += 2) {
		EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(EPOLLIN, s[i].events);
	}
	close2(e);
}

/* An epoll set holds the end's file: the number may be closed, a dup keeps it. */
TEST(a_set_follows_the_end_and_not_the_number)
{
	int e[2], d, ep = epoll_create1(EPOLL_CLOEXEC), v = 1;

	ASSERT_EQ(0, chan_make(e, 4, 2, 0));
	ASSERT_EQ(0, add(ep, e[0], EPOLLIN));
	d = dup(e[0]);
	close(e[0]);
	EXPECT_EQ(0, wait_event(ep, 0));
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(EPOLLIN, wait_event(ep, 0));
	EXPECT_EQ(EPOLLIN, wait_event(ep, 0));
	close(d);	/* that was the last: the set does not keep it open */
	EXPECT_EQ(0, wait_event(ep, 0));
	EXPECT_EQ(0, (int)info_of(e[1]).receivers);
	EXPECT_EQ(-EPIPE, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(REFUSED, events(e[1]));
	close(e[1]);
	close(ep);
}

static int send_late(void *arg)
{
	int v = 1;

	usleep(20000);
	return chan_send(*(int *)arg, &v, 4, -1, SOON);
}

TEST_F(poll, an_epoll_in_an_epoll_wakes)
{
	int e[2], in = epoll_create1(EPOLL_CLOEXEC), out = epoll_create1(EPOLL_CLOEXEC), v;
	int *tx = shared(sizeof(int));
	struct party p;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	*tx = e[1];
	ASSERT_EQ(0, add(in, e[0], EPOLLIN));
	ASSERT_EQ(0, add(out, in, EPOLLIN | EPOLLET));
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(party_start(&p, variant->proc, send_late, tx));
		EXPECT_EQ(EPOLLIN, wait_event(out, PATIENCE));
		EXPECT_EQ(EPOLLIN, wait_event(in, 0));
		EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
		EXPECT_EQ(0, party_end(&p));
		EXPECT_EQ(0, wait_event(in, 0));
	}
	close2(e);
	close(in);
	close(out);
}

/* PX-08: a poller is no partner; both sleep, neither spins */
TEST_F(poll, two_sides_that_only_poll_never_meet_and_sleep)
{
	struct poller *w = shared(2 * sizeof(*w));
	struct party p[2];
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int i = 0; i < 2; i++) {
		w[i] = (struct poller){ .fd = e[i], .ms = 2000, .events = -1 };
		ASSERT_TRUE(party_start(&p[i], variant->proc, poll_one, &w[i]));
		ASSERT_TRUE(asleep_in(&p[i].tid, SYS_poll));
	}
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, party_end(&p[i]));
		EXPECT_EQ(0, w[i].events);
	}
	close2(e);
}

TEST_HARNESS_MAIN
