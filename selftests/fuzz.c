// SPDX-License-Identifier: MIT
/*
 * Random calls, most of them nearly right, some pure noise: processes of two threads
 * that share their descriptors make, use, pass on and close channels, groups, armed
 * selects, epoll instances and rings of io_uring, with good buffers and bad ones, and
 * are killed at any moment. Where the kernel can, allocations and copies fail as well.
 *
 * No call's result is looked at. What must hold: a killed process is gone at once,
 * nothing stays charged to the user, a new channel works; and, seen by the machine
 * that runs this: the kernel logs nothing, the module unloads, nothing leaks.
 *
 * The seed is printed, and taken from KCHAN_SEED; what threads do to each other it
 * does not repeat.
 */
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "quota.h"
#include "inject.h"
#include "harness.h"
#include <libchan-uring.h>

#define SLOTS		24	/* descriptors that a process has to play with */
#define WORKERS		3
#define AREA		(128 << 10)
#define RING_ARGS	16
#define FILES		200	/* open, at most */
#define ROOM		8	/* cases and messages, at most; more are said to be there */

static int slot[SLOTS];
static char *area, *readonly, *hole;	/* @area ends where @hole begins */

struct player {
	uint64_t rng;
	int nth_fd, dev;
	bool sane;		/* this move is to have a chance */
	timer_t timer;
	struct io_uring ring;
	bool has_ring;
	struct kchan_xfer x[RING_ARGS];	/* of commands that are on their way */
	struct kchan_select s[RING_ARGS];
	struct chan_case c[RING_ARGS][ROOM];
};

static uint32_t rnd(struct player *p, uint32_t n)	/* 0..n-1 */
{
	p->rng ^= p->rng << 13;
	p->rng ^= p->rng >> 7;
	p->rng ^= p->rng << 17;
	return (p->rng >> 11) % n;
}

static bool one_in(struct player *p, uint32_t n)
{
	return !rnd(p, n);
}

/* ... for what is likely to be an error. */
static bool odd_one_in(struct player *p, uint32_t n)
{
	return !p->sane && one_in(p, n);
}

static int *some_slot(struct player *p)
{
	return &slot[rnd(p, SLOTS)];
}

static int some_fd(struct player *p)
{
	static const int odd[] = { -1, -2, INT_MIN, INT_MAX, 0, 999, AT_FDCWD };

	if (odd_one_in(p, 20))
		return odd[rnd(p, sizeof(odd) / sizeof(*odd))];
	return __atomic_load_n(some_slot(p), __ATOMIC_RELAXED);
}

/* A descriptor of some kind, if a few tries find one: calls on others are soon over. */
static int fd_of_kind(struct player *p, int kind)
{
	int fd = some_fd(p);

	for (int i = 0; i < 12 && ioctl(p->dev, KCHAN_IOC_KIND, (long)fd) != kind; i++)
		fd = some_fd(p);
	return fd;
}

static int under(struct player *p)
{
	return rnd(p, 3) ? -1 : fd_of_kind(p, one_in(p, 3) ? CHAN_WATCH : CHAN_GROUP);
}

/* A new descriptor takes another's place. */
static void keep(struct player *p, int fd)
{
	if (fd < 0)
		return;
	fd = __atomic_exchange_n(some_slot(p), fd, __ATOMIC_RELAXED);
	if (fd > 2)
		close(fd);
}

static void *some_mem(struct player *p, size_t len)
{
	switch (p->sane ? 7 : rnd(p, 14)) {
	case 0:	return NULL;
	case 1:	return (void *)-4096L;
	case 2:	return (void *)0xffff888000000000UL;
	case 3:	return hole - 1;
	case 4:	return hole;
	case 5:	return readonly;
	case 6:	return hole - rnd(p, 64);
	default: return hole - len - rnd(p, AREA - len);
	}
}

static size_t some_len(struct player *p)
{
	static const size_t odd[] = { 0, 1, 127, 128, 129, 4096, 4097, 65536, 65537, SIZE_MAX, 1UL << 32 };

	switch (p->sane ? 2 : rnd(p, 4)) {
	case 0:	return odd[rnd(p, sizeof(odd) / sizeof(*odd))];
	case 1:	return rnd(p, 6000);
	default: return rnd(p, one_in(p, 3) ? 600 : 64);
	}
}

static void *buf_of(struct player *p, size_t *len)
{
	*len = some_len(p);
	return some_mem(p, *len > 65536 ? 65536 : *len);
}

static int64_t when(struct player *p)
{
	switch (rnd(p, 8)) {
	case 0:	return CHAN_FOREVER;
	case 1: return 1;
	case 2: return odd_one_in(p, 2) ? (int64_t)p->rng : INT64_MIN;
	case 3: case 4: return chan_after(rnd(p, 3000) * 1000);
	default: return CHAN_NOW;
	}
}

static unsigned some_flags(struct player *p)
{
	return odd_one_in(p, 2) ? 1U << rnd(p, 32) : rnd(p, 2);
}

static unsigned some_count(struct player *p)
{
	static const unsigned odd[] = { 0, 1024, 1025, UINT_MAX, 1U << 31 };

	return odd_one_in(p, 10) ? odd[rnd(p, 5)] : 1 + rnd(p, ROOM);
}

static void some_msg(struct player *p, struct chan_msg *m)
{
	m->buf = buf_of(p, &m->len);
	m->nfds = one_in(p, 3) ? rnd(p, odd_one_in(p, 4) ? 20 : 4) : 0;
	m->fds = m->nfds ? some_mem(p, 80) : NULL;
	m->res = 0;
}

static void some_cases(struct player *p, struct chan_case *c, bool polls)
{
	for (int i = 0; i < ROOM; i++) {
		c[i].op = odd_one_in(p, 10) ? (int)rnd(p, 9) - 4 : 1 + (int)rnd(p, polls ? 3 : 2);
		c[i].fd = c[i].op == CHAN_POLL ? some_fd(p) :
			  fd_of_kind(p, c[i].op == CHAN_SEND ? CHAN_TX : CHAN_RX);
		c[i].events = c[i].op == CHAN_POLL ? (one_in(p, 8) ? rnd(p, 1U << 31) : POLLIN | POLLOUT) : 0;
		c[i].revents = 0;
		some_msg(p, &c[i].msg);
		if (p->sane)
			c[i].msg.nfds = 0;
	}
}

/* How many cases or messages a call is told, and where they are: if more than there are, up to the hole. */
static void *count_of(struct player *p, void *v, size_t each, unsigned *n)
{
	char *at;

	*n = some_count(p);
	if (*n <= ROOM)
		return v;
	at = hole - ROOM * each;
	memcpy(at, v, ROOM * each);
	return at;
}

/* ---- the moves ---- */

static void make(struct player *p)
{
	static const size_t msg_max[] = { 64, 600, 600, 128, 129, 4000, 65536, 0, 65537, SIZE_MAX };
	static const unsigned flags[] = { 0, 0, CHAN_FDS, CHAN_FDS, CHAN_DROP_NEW, CHAN_DROP_OLD,
					  CHAN_DROP_OLD | CHAN_FDS, CHAN_DROP_OLD | CHAN_DROP_NEW, 8 };
	int e[2];

	if (chan_make(e, msg_max[rnd(p, p->sane ? 7 : 10)], one_in(p, 2) ? 0 : rnd(p, 6),
		      flags[rnd(p, p->sane ? 7 : 9)]))
		return;
	keep(p, e[0]);
	keep(p, e[1]);
}

static void group(struct player *p)
{
	int parent = one_in(p, 3) ? -1 : fd_of_kind(p, CHAN_GROUP);

	keep(p, chan_group(parent, one_in(p, 2) ? CHAN_FOREVER : when(p), some_flags(p), rnd(p, 4)));
}

static void other_file(struct player *p)
{
	int e[2] = { -1, -1 };

	switch (rnd(p, 6)) {
	case 0: keep(p, epoll_create1(EPOLL_CLOEXEC)); break;
	case 1: keep(p, eventfd(rnd(p, 3), EFD_CLOEXEC)); break;
	case 2: keep(p, open("/dev/kchan", O_RDWR | O_CLOEXEC)); break;
	case 3: if (!pipe2(e, O_CLOEXEC | (one_in(p, 2) ? O_NONBLOCK : 0))) break; return;
	case 4: if (!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, e)) break; return;
	case 5: keep(p, dup(some_fd(p))); break;
	}
	keep(p, e[0]);
	keep(p, e[1]);
}

static void drop(struct player *p)
{
	int fd = __atomic_exchange_n(some_slot(p), -1, __ATOMIC_RELAXED);

	if (fd > 2)
		close(fd);
}

static void replace(struct player *p)
{
	int from = some_fd(p), to = some_fd(p);

	if (to > 2)
		dup2(from, to);
}

static void nonblock(struct player *p)
{
	int fd = some_fd(p);

	if (fd > 2)
		fcntl(fd, F_SETFL, one_in(p, 2) ? O_NONBLOCK : 0);
}

static void send_one(struct player *p)
{
	size_t len;
	void *buf = buf_of(p, &len);

	chan_send(fd_of_kind(p, CHAN_TX), buf, len, under(p), when(p));
}

static void recv_one(struct player *p)
{
	size_t len;
	void *buf = buf_of(p, &len);

	chan_recv(fd_of_kind(p, CHAN_RX), buf, len, under(p), when(p));
}

static void batch(struct player *p)
{
	struct chan_msg m[ROOM], *at;
	bool send = one_in(p, 2);
	int fd = fd_of_kind(p, send ? CHAN_TX : CHAN_RX);
	unsigned n;

	for (int i = 0; i < ROOM; i++) {
		some_msg(p, &m[i]);
		if (m[i].nfds && send && m[i].fds >= (int *)area && (char *)m[i].fds < hole - 80)
			for (unsigned k = 0; k < m[i].nfds; k++)
				m[i].fds[k] = some_fd(p);
	}
	at = count_of(p, m, sizeof(*m), &n);
	if (send) {
		chan_sendm(fd, at, n, under(p), when(p));
		return;
	}
	if (chan_recvm(fd, at, n, under(p), when(p)) <= 0 || n > ROOM)
		return;
	for (int i = 0; i < ROOM; i++)	/* whatever it is: a number that is no descriptor does no harm */
		if (m[i].nfds && (char *)m[i].fds > area && (char *)m[i].fds < hole - 80)
			keep(p, m[i].fds[0]);
}

/* libchan itself follows the pointer to the cases: a bad one goes to the ioctl alone. */
static void sel(struct player *p)
{
	struct chan_case c[ROOM];
	unsigned n;
	void *at;

	some_cases(p, c, true);
	at = count_of(p, c, sizeof(*c), &n);
	if (n <= ROOM) {
		chan_select(c, n, some_flags(p), under(p), when(p));
		return;
	}
	struct kchan_select s = { .cases = (uintptr_t)at, .n = n, .flags = some_flags(p),
				  .deadline = when(p), .under = under(p) };

	ioctl(some_fd(p), KCHAN_IOC_SELECT, &s);
}

static void arm(struct player *p)
{
	struct chan_case c[ROOM];
	unsigned n = 1 + rnd(p, ROOM);

	some_cases(p, c, odd_one_in(p, 4));
	keep(p, chan_arm(c, n, some_flags(p) | (one_in(p, 2) ? CHAN_REARM : 0)));
}

static void fired(struct player *p)
{
	struct chan_case c[ROOM];

	int fd = fd_of_kind(p, CHAN_ARMED);
	unsigned n = 1 + rnd(p, ROOM);

	some_cases(p, c, false);
	chan_fired(fd, c, n);
	if (one_in(p, 2)) {
		some_cases(p, c, false);
		chan_rearm(fd, c, n);
	}
}

static void group_call(struct player *p)
{
	int fd = fd_of_kind(p, one_in(p, 4) ? CHAN_WATCH : CHAN_GROUP), err;
	struct chan_group_info info;
	char key[2] = { 'a' + (char)rnd(p, 3) };
	size_t len;
	void *buf = buf_of(p, &len);

	switch (rnd(p, 8)) {
	case 0: keep(p, chan_watch(fd)); break;
	case 1: keep(p, chan_join(fd, under(p), when(p))); break;
	case 2: chan_leave(fd, rnd(p, 3), one_in(p, 2) ? "why" : NULL); break;
	case 3: if (one_in(p, 4)) chan_cancel(fd, rnd(p, 5000), one_in(p, 2) ? "why" : NULL); break;
	case 4: chan_wait(fd, &err, under(p), when(p)); break;
	case 5: chan_group_info(fd, &info, rnd(p, sizeof(info) + 1)); break;
	case 6: chan_value_set(fd, key, buf, len); break;
	case 7: chan_value_get(fd, key, buf, len); break;
	}
}

static void end_call(struct player *p)
{
	int fd = fd_of_kind(p, one_in(p, 2) ? CHAN_TX : CHAN_RX);
	struct chan_info info;
	size_t len;
	void *buf = buf_of(p, &len);
	struct iovec iov[2] = { { buf, len > 65536 ? 65536 : len }, { some_mem(p, 16), 16 } };

	switch (rnd(p, 8)) {
	case 0: if (one_in(p, 6)) chan_shut(fd, rnd(p, 5000)); break;
	case 1: chan_info(fd, &info, rnd(p, sizeof(info) + 1)); break;
	case 2: if (read(fd, buf, len) < 0) break; break;
	case 3: if (write(fd, buf, len) < 0) break; break;
	case 4: if (readv(fd, iov, 2) < 0) break; break;
	case 5: if (writev(fd, iov, 2) < 0) break; break;
	case 6: splice(fd, NULL, some_fd(p), NULL, 4096, SPLICE_F_NONBLOCK); break;
	case 7: lseek(fd, rnd(p, 100), SEEK_SET); break;
	}
}

static void poll_some(struct player *p)
{
	struct pollfd f[ROOM];

	for (int i = 0; i < ROOM; i++)
		f[i] = (struct pollfd){ .fd = some_fd(p), .events = rnd(p, 0x8000) };
	poll(f, ROOM, rnd(p, 3));
}

static void epoll_some(struct player *p)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT };
	int ep = some_fd(p);

	if (one_in(p, 2))
		ev.events |= EPOLLET;
	if (one_in(p, 4))
		ev.events |= EPOLLEXCLUSIVE;
	if (one_in(p, 4))
		ev.events |= EPOLLONESHOT;
	epoll_ctl(ep, 1 + rnd(p, 3), some_fd(p), &ev);
	epoll_wait(ep, &ev, 1, rnd(p, 2));
}

/* Any command of any size with any argument; half of the words look like something. */
static void noise(struct player *p)
{
	uint64_t v[40];
	unsigned long arg = (unsigned long)v;

	for (int i = 0; i < 40; i++) {
		switch (rnd(p, 7)) {
		case 0: v[i] = (uintptr_t)some_mem(p, 100); break;
		case 1: v[i] = (uint32_t)some_fd(p) | (uint64_t)(uint32_t)some_fd(p) << 32; break;
		case 2: v[i] = when(p); break;
		case 3: v[i] = rnd(p, 3) | (uint64_t)rnd(p, 5) << 32; break;
		case 4: v[i] = p->rng; break;
		default: v[i] = 0; break;
		}
	}
	if (one_in(p, 4))
		arg = (unsigned long)some_mem(p, 100);
	ioctl(some_fd(p), _IOC(rnd(p, 4), one_in(p, 20) ? rnd(p, 256) : KCHAN_MAGIC, rnd(p, 0x28),
			       one_in(p, 4) ? rnd(p, 1 << 14) : rnd(p, 80)), arg);
}

static void ring_some(struct player *p)
{
	int at = rnd(p, RING_ARGS), fd, kind = rnd(p, 6);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	size_t len;
	void *buf = buf_of(p, &len);

	if (!p->has_ring && io_uring_queue_init(8, &p->ring, 0))
		return;
	p->has_ring = true;
	sqe = io_uring_get_sqe(&p->ring);
	if (sqe) {
		fd = fd_of_kind(p, kind & 1 ? CHAN_TX : CHAN_RX);
		switch (kind) {
		case 0:	chan_prep_recv(sqe, fd, &p->x[at], buf, len, under(p), when(p)); break;
		case 1:	chan_prep_send(sqe, fd, &p->x[at], buf, len, under(p), when(p)); break;
		case 2:	io_uring_prep_read(sqe, fd, buf, len, 0); break;
		case 3: io_uring_prep_write(sqe, fd, buf, len, 0); break;
		case 4:	some_cases(p, p->c[at], odd_one_in(p, 4));
			chan_prep_select(sqe, some_fd(p), &p->s[at], p->c[at], 1 + rnd(p, ROOM),
					 some_flags(p), under(p), when(p));
			break;
		case 5: io_uring_prep_cancel(sqe, (void *)(uintptr_t)rnd(p, RING_ARGS), 0); break;
		}
		sqe->user_data = at;
		if (one_in(p, 4))
			sqe->flags |= IOSQE_ASYNC;
		if (one_in(p, 8))
			sqe->flags |= IOSQE_IO_LINK;
	}
	io_uring_submit(&p->ring);
	while (!io_uring_peek_cqe(&p->ring, &cqe))
		io_uring_cqe_seen(&p->ring, cqe);
	if (one_in(p, 200)) {
		io_uring_queue_exit(&p->ring);
		p->has_ring = false;
	}
}

static void child(struct player *p)
{
	int fd = -1;
	pid_t pid = chan_fork(fd_of_kind(p, CHAN_GROUP), slot, rnd(p, SLOTS), &fd);

	if (!pid) {
		if (one_in(p, 3))
			chan_leave(fd, rnd(p, 3), NULL);
		if (one_in(p, 3))
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static const struct { void (*fn)(struct player *p); int weight; } moves[] = {
	{ make, 8 }, { group, 6 }, { other_file, 4 }, { drop, 6 }, { replace, 2 }, { nonblock, 2 },
	{ send_one, 14 }, { recv_one, 14 }, { batch, 10 }, { sel, 14 }, { arm, 6 }, { fired, 6 },
	{ group_call, 16 }, { end_call, 8 }, { poll_some, 3 }, { epoll_some, 6 }, { noise, 12 },
	{ ring_some, 12 }, { child, 1 },
};

#define MOVES (int)(sizeof(moves) / sizeof(moves[0]))

static void move(struct player *p)
{
	int at, total = 0, i = 0;

	for (int k = 0; k < MOVES; k++)
		total += moves[k].weight;
	p->sane = !one_in(p, 3);
	for (at = rnd(p, total); at >= moves[i].weight; i++)
		at -= moves[i].weight;
	if (p->nth_fd >= 0 && one_in(p, 6))
		fail_nth(p->nth_fd, 1 + rnd(p, 12));
	moves[i].fn(p);
	if (p->nth_fd >= 0)
		fail_nth(p->nth_fd, 0);
}

/* ---- the processes ---- */

static struct shared_counts { uint64_t moves; } *counts;

static void nothing(int sig)
{
	(void)sig;
}

/* A thread's own signal, again and again, so that no call keeps it for long. */
static void alarm_me(struct player *p)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec every = { .it_interval = { .tv_nsec = 7 * MS }, .it_value = { .tv_nsec = 5 * MS } };

	ev._sigev_un._tid = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &ev, &p->timer) || timer_settime(p->timer, 0, &every, NULL))
		_exit(9);
}

/* To a number that the game does not reach. */
static int out_of_the_way(int fd, int number)
{
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, number);

	if (fd >= 0)
		close(fd);
	return high;
}

static void *play(void *arg)
{
	struct player *p = arg;

	p->nth_fd = out_of_the_way(fail_nth_open(), FILES - 10);
	alarm_me(p);
	for (;;) {
		move(p);
		__atomic_add_fetch(&counts->moves, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void worker(uint64_t seed)
{
	static struct player p[2];
	struct sigaction sa = { .sa_handler = nothing };	/* no SA_RESTART */
	struct rlimit files = { FILES, FILES };
	int null = open("/dev/null", O_RDWR), dev;
	pthread_t t;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 3; i++)		/* who knows what is written to */
		dup2(null, i);
	sigaction(SIGUSR1, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	dev = out_of_the_way(open("/dev/kchan", O_RDWR | O_CLOEXEC), FILES - 10);
	for (int i = 0; i < 2; i++)
		p[i] = (struct player){ .rng = seed * 2 + i + 1, .dev = dev };
	if (dev < 0 || (seed & 1 && !give_up_exemption()) || pthread_create(&t, NULL, play, &p[0]))
		_exit(9);
	play(&p[1]);
}

/* So many more moves, or what a slow machine does in a while, or until a process ends. */
static void await_moves(uint64_t n)
{
	uint64_t first = __atomic_load_n(&counts->moves, __ATOMIC_RELAXED);
	int64_t end = chan_after(500 * MS);
	siginfo_t ended = {};

	while (__atomic_load_n(&counts->moves, __ATOMIC_RELAXED) - first < n && chan_after(0) < end &&
	       !waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) && !ended.si_pid)
		usleep(1000);
}

static bool gone(pid_t pid)
{
	int64_t end = SOON;

	while (chan_after(0) < end) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(200);
	}
	return false;
}

static bool memory(void)
{
	area = mmap(NULL, AREA + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return false;
	hole = area + AREA;
	readonly = hole + 4096;
	return !mprotect(hole, 4096, PROT_NONE) && !mprotect(readonly, 4096, PROT_READ);
}

/* Some of everything, that all processes have from the start. */
static void first_slots(struct __test_metadata *_metadata)
{
	for (int i = 0; i < SLOTS; i++)
		slot[i] = -1;
	for (int i = 0; i < 12; i += 2)
		ASSERT_EQ(0, chan_make(slot + i, 64 << i, i / 4, i & 2 ? CHAN_FDS : 0));
	slot[12] = chan_group(-1, CHAN_FOREVER, 0, 0);
	slot[13] = chan_group(slot[12], CHAN_FOREVER, CHAN_FAIL_FAST, 2);
	slot[14] = chan_join(slot[12], -1, CHAN_NOW);
	slot[15] = chan_watch(slot[13]);
	slot[16] = epoll_create1(EPOLL_CLOEXEC);
	slot[17] = open("/dev/kchan", O_RDWR | O_CLOEXEC);
	for (int i = 12; i < 18; i++)
		ASSERT_LE(0, slot[i]);
}

FIXTURE(fuzz) { long bytes; };

FIXTURE_SETUP(fuzz)
{
	self->bytes = bytes_in_use();
	ASSERT_LT(0, self->bytes);
	counts = shared(sizeof(*counts));
	ASSERT_TRUE(counts && memory());
	fail_sleepers(true);
	/* a page fault that fails ends the process */
	put("/sys/kernel/debug/fail_page_alloc/min-order", "10");
}

FIXTURE_TEARDOWN(fuzz)
{
	fail_sleepers(false);
}

/* For KCHAN_FUZZ seconds, or a few. */
TEST_F_TIMEOUT(fuzz, nothing_breaks, 7200)
{
	const char *text = getenv("KCHAN_SEED"), *secs = getenv("KCHAN_FUZZ");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)chan_after(0);
	int64_t end = chan_after((secs ? atoi(secs) : quick(20, 8)) * 1000 * MS);
	struct player me = { .rng = seed | 1 };
	pid_t pid[WORKERS] = {};
	int n = 0, ended = 0, e[2], status;
	char c;

	TH_LOG("KCHAN_SEED=%llu", (unsigned long long)seed);
	first_slots(_metadata);
	while (chan_after(0) < end) {
		int i;

		for (i = 0; i < WORKERS; i++) {
			if (pid[i])
				continue;
			pid[i] = fork();
			if (!pid[i])
				worker(seed + n);
			ASSERT_LT(0, pid[i]);
			n++;
		}
		await_moves(rnd(&me, 400));
		for (i = 0; i < WORKERS; i++) {
			if (waitpid(pid[i], &status, WNOHANG) != pid[i])
				continue;
			/* by itself it ends of a fault: of a signal's frame, that failed */
			ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("status %x", status);
			ended++;
			pid[i] = 0;
		}
		i = rnd(&me, WORKERS);
		if (!pid[i])
			continue;
		kill(pid[i], SIGKILL);
		ASSERT_TRUE(gone(pid[i])) TH_LOG("a process can't be killed");
		pid[i] = 0;
	}
	for (int i = 0; i < WORKERS; i++) {
		if (!pid[i])
			continue;
		kill(pid[i], SIGKILL);
		ASSERT_TRUE(gone(pid[i])) TH_LOG("a process can't be killed");
	}
	for (int i = 0; i < SLOTS; i++)
		if (slot[i] >= 0)
			close(slot[i]);
	end = SOON;
	while (bytes_in_use() != self->bytes && chan_after(0) < end)
		usleep(10000);
	EXPECT_EQ(self->bytes, bytes_in_use());
	ASSERT_EQ(0, chan_make(e, 1, 0, 0));
	ASSERT_EQ(-ETIMEDOUT, chan_recv(e[0], &c, 1, -1, chan_after(MS)));
	close2(e);
	TH_LOG("%d processes, %d of them ended by themselves, %llu moves", n, ended,
	       (unsigned long long)counts->moves);
	EXPECT_LT(quick(1000, 100), counts->moves);
}

TEST_HARNESS_MAIN
