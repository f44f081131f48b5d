// SPDX-License-Identifier: MIT
/*
 * The fast paths beside the general ones: two channels of one kind live through the same events,
 * one by calls that have a fast path, one by calls of the same meaning that have none, and every
 * result, all that is stored and what chan_info() tells must be the same.
 */
#include "harness.h"
#include "raw_ring.h"

#define MOST	256		/* bytes of a message, and more than any channel takes */

struct call {
	int fd, under;
	int64_t deadline;
	void *buf;
	size_t len;
};

static long result(long r)
{
	return r < 0 ? -errno : r;
}

/* ---- two ways to do the same ---- */

static long packed(unsigned long nr, const struct call *c, uint32_t tag)
{
	struct kchan_xfer x = {
		.buf = (uintptr_t)c->buf, .len = c->len, .deadline = c->deadline,
		.under = c->under, .tag = tag,
	};

	return result(ioctl(c->fd, nr, &x));
}

static long packed_send(const struct call *c) { return packed(KCHAN_IOC_SEND, c, 0); }
static long packed_recv(const struct call *c) { return packed(KCHAN_IOC_RECV, c, 0); }
static long tagged_send(const struct call *c) { return packed(KCHAN_IOC_SEND, c, 7); }
static long tagged_recv(const struct call *c) { return packed(KCHAN_IOC_RECV, c, 7); }

static long bare_send(const struct call *c)
{
	return result(ioctl(c->fd, c->deadline ? KCHAN_IOC_SEND_WAIT(c->len) :
						 KCHAN_IOC_SEND_NOW(c->len), c->buf));
}

static long bare_recv(const struct call *c)
{
	return result(ioctl(c->fd, c->deadline ? KCHAN_IOC_RECV_WAIT(c->len) :
						 KCHAN_IOC_RECV_NOW(c->len), c->buf));
}

/* read(2) and write(2), and the same in two parts; they wait unless they are told not to */
static long plain_write(const struct call *c)
{
	fcntl(c->fd, F_SETFL, c->deadline ? 0 : O_NONBLOCK);
	return result(write(c->fd, c->buf, c->len));
}

static long plain_read(const struct call *c)
{
	fcntl(c->fd, F_SETFL, c->deadline ? 0 : O_NONBLOCK);
	return result(read(c->fd, c->buf, c->len));
}

static int in_parts(const struct call *c, struct iovec *v)
{
	v[0] = (struct iovec){ c->buf, c->len / 2 };
	v[1] = (struct iovec){ (char *)c->buf + c->len / 2, c->len - c->len / 2 };
	return 2;
}

static long parts_write(const struct call *c)
{
	struct iovec v[2];

	if (!c->len)	/* of which the kernel itself makes nothing */
		return plain_write(c);
	fcntl(c->fd, F_SETFL, c->deadline ? 0 : O_NONBLOCK);
	return result(writev(c->fd, v, in_parts(c, v)));
}

static long parts_read(const struct call *c)
{
	struct iovec v[2];

	if (!c->len)	/* of which the kernel itself makes nothing */
		return plain_read(c);
	fcntl(c->fd, F_SETFL, c->deadline ? 0 : O_NONBLOCK);
	return result(readv(c->fd, v, in_parts(c, v)));
}

/* commands of io_uring: the message named in the entry, and a structure */
static struct raw_ring ring;

static long command(const struct call *c, bool send, bool brief)
{
	struct io_uring_sqe *q = raw_sqe(&ring);
	struct kchan_xfer x;

	if (!brief && send)
		chan_prep_send(q, c->fd, &x, c->buf, c->len, -1, c->deadline);
	else if (!brief)
		chan_prep_recv(q, c->fd, &x, c->buf, c->len, -1, c->deadline);
	else if (send && c->deadline)
		chan_prep_send_wait(q, c->fd, c->buf, c->len);
	else if (send)
		chan_prep_send_now(q, c->fd, c->buf, c->len);
	else if (c->deadline)
		chan_prep_recv_wait(q, c->fd, c->buf, c->len);
	else
		chan_prep_recv_now(q, c->fd, c->buf, c->len);
	return raw_submit(&ring) ? raw_result(&ring) : -9998;
}

static long brief_send(const struct call *c) { return command(c, true, true); }
static long brief_recv(const struct call *c) { return command(c, false, true); }
static long command_send(const struct call *c) { return command(c, true, false); }
static long command_recv(const struct call *c) { return command(c, false, false); }

static const struct pair {
	const char *name;
	long (*fast_send)(const struct call *c), (*fast_recv)(const struct call *c);
	long (*send)(const struct call *c), (*recv)(const struct call *c);
	bool under;		/* takes a group, and any deadline */
} pairs[] = {
	{ "packed", packed_send, packed_recv, tagged_send, tagged_recv, true },
	{ "bare", bare_send, bare_recv, tagged_send, tagged_recv, false },
	{ "file", plain_write, plain_read, parts_write, parts_read, false },
	{ "command", brief_send, brief_recv, command_send, command_recv, false },
};

#define PAIRS	(sizeof(pairs) / sizeof(*pairs))

static const struct kind {
	uint32_t msg_max, capacity, flags;
} kinds[] = {
	{ 8, 0, 0 }, { 8, 1, 0 }, { 8, 3, 0 }, { 128, 2, 0 }, { 200, 2, 0 }, { 200, 0, 0 },
	{ 8, 2, CHAN_DROP_NEW }, { 8, 2, CHAN_DROP_OLD }, { 8, 2, CHAN_FDS }, { 0, 2, 0 },
};

#define KINDS	(sizeof(kinds) / sizeof(*kinds))

/* ---- the two channels ---- */

#define PARKED	4

struct waiter {			/* a call that waits on a thread, of its own plain kind */
	pthread_t t;
	bool rx;
	int fd;
	char buf[8];
	long ret;
};

static void *wait_main(void *arg)
{
	struct waiter *w = arg;

	w->ret = w->rx ? chan_recv(w->fd, w->buf, 4, -1, CHAN_FOREVER) :
			 chan_send(w->fd, "parked", 6, -1, CHAN_FOREVER);
	return NULL;
}

struct twin {
	int e[2], armed[PARKED];
	struct chan_case c[PARKED];
	char bufs[PARKED][8];
	struct waiter w[PARKED];
	unsigned waiters, nr_armed;
};

/* Have one more call wait, if there is nothing that it would find. */
static bool park(struct twin *t, bool rx, bool arm, const struct kind *k)
{
	struct chan_info in = info_of(t->e[0]);
	uint64_t *mine = rx ? &in.parked_receivers : &in.parked_senders;
	uint64_t other = rx ? in.parked_senders : in.parked_receivers;
	struct waiter *w = &t->w[t->waiters];

	if (in.shut || other || k->msg_max < 8 ||
	    (rx ? in.len > 0 : in.len < k->capacity || k->flags & (CHAN_DROP_NEW | CHAN_DROP_OLD)))
		return true;
	if (arm && t->nr_armed < PARKED) {
		unsigned i = t->nr_armed++;

		t->c[i] = rx ? chan_recv_case(t->e[0], t->bufs[i], 4) :
			       chan_send_case(t->e[1], "arms", 4);
		t->armed[i] = chan_arm(&t->c[i], 1, 0);
		return t->armed[i] >= 0;
	}
	if (arm || t->waiters == PARKED)
		return true;
	t->waiters++;
	*w = (struct waiter){ .rx = rx, .fd = t->e[!rx] };
	++*mine;
	return !pthread_create(&w->t, NULL, wait_main, w) &&
	       parked(t->e[0], in.parked_senders, in.parked_receivers);
}

static bool same_info(const struct twin *a, const struct twin *b, bool at_rest)
{
	struct chan_info i = info_of(a->e[0]), j = info_of(b->e[0]);

	i.id = j.id;
	i.senders = j.senders;		/* a thread lets go of a file later than its call returns */
	i.receivers = j.receivers;
	if (!at_rest)	/* a thread that was chosen counts its message when it runs */
		i.received = j.received;
	if (!memcmp(&i, &j, sizeof(i)))
		return true;
	for (unsigned k = 0; k < sizeof(i) / 8; k++)
		fprintf(stderr, "# %lld, in general %lld\n", (long long)((uint64_t *)&i)[k],
			(long long)((uint64_t *)&j)[k]);
	return false;
}

/* All that waits ends; was it given the same? */
static bool same_end(struct twin *a, struct twin *b)
{
	bool same = a->waiters == b->waiters && a->nr_armed == b->nr_armed;

	chan_shut(a->e[1], 0);
	chan_shut(b->e[1], 0);
	for (unsigned i = 0; i < a->waiters; i++) {
		pthread_join(a->w[i].t, NULL);
		pthread_join(b->w[i].t, NULL);
		same &= a->w[i].ret == b->w[i].ret && !memcmp(a->w[i].buf, b->w[i].buf, 8);
	}
	for (unsigned i = 0; i < a->nr_armed; i++) {
		int r = chan_fired(a->armed[i], &a->c[i], 1), s = chan_fired(b->armed[i], &b->c[i], 1);

		same &= r == s && a->c[i].msg.res == b->c[i].msg.res &&
			!memcmp(a->bufs[i], b->bufs[i], 8);
		close(a->armed[i]);
		close(b->armed[i]);
	}
	return same && same_info(a, b, true);
}

/* ---- events ---- */

enum { SEND, SEND_EMPTY, SEND_FULL, SEND_LONG, SEND_FAULT, RECV, RECV_SMALL, RECV_NONE, RECV_FAULT,
       TRANSFERS, PARK_SEND = TRANSFERS, PARK_RECV, ARM_SEND, ARM_RECV, SHUT, END, EVENTS };

/* Are there no peers, so that this call finds what it needs, or an error? */
static bool ready(const struct twin *t, bool rx, const struct kind *k)
{
	struct chan_info in = info_of(t->e[0]);

	return in.shut || (rx ? in.len > 0 : in.len < k->capacity && !in.parked_receivers);
}

static size_t length(unsigned event, const struct kind *k)
{
	switch (event) {
	case SEND: return k->msg_max < 5 ? 0 : 5;
	case SEND_EMPTY: return 0;
	case SEND_FULL: return k->msg_max;
	case SEND_LONG: return k->msg_max + 1;
	case SEND_FAULT: return k->msg_max < 3 ? k->msg_max : 3;
	case RECV_SMALL: return 2;
	case RECV_NONE: return 0;
	default: return MOST;
	}
}

static unsigned next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	return *seed >> 33;
}

/* A send or receive on both; the same result, and the same bytes stored? */
static bool both(const struct pair *p, const struct kind *k, struct twin *a, struct twin *b,
		 unsigned event, int group, uint64_t *seed)
{
	static const int64_t deadlines[] = { CHAN_NOW, 1, CHAN_FOREVER };
	bool rx = event >= RECV, fault = event == SEND_FAULT || event == RECV_FAULT;
	char in[2][MOST];
	struct call c = { .under = p->under && next(seed) % 2 ? group : -1, .len = length(event, k) };
	unsigned when = next(seed) % 3;
	long r[2];

	if (when == 2 && !ready(a, rx, k))
		when = 0;
	if (when == 1 && !p->under)
		when = 0;
	c.deadline = deadlines[when];
	memset(in[0], rx ? 0 : next(seed) % 26 + 'a', MOST);
	memcpy(in[1], in[0], MOST);
	for (int i = 0; i < 2; i++) {
		c.fd = (i ? b : a)->e[!rx];
		c.buf = fault ? (void *)8 : in[i];
		r[i] = i ? (rx ? p->recv : p->send)(&c) : (rx ? p->fast_recv : p->fast_send)(&c);
	}
	if (r[0] == r[1] && !memcmp(in[0], in[1], MOST))
		return true;
	fprintf(stderr, "# %s: event %u under %d deadline %u: %ld, in general %ld\n", p->name,
		event, c.under != -1, when, r[0], r[1]);
	return false;
}

/* One life of two channels. */
static bool live(const struct pair *p, const struct kind *k, uint64_t seed)
{
	struct twin a = { .waiters = 0 }, b = { .waiters = 0 };
	int group = chan_group(-1, CHAN_FOREVER, 0, 0);
	bool same;

	same = group >= 0 && !chan_make(a.e, k->msg_max, k->capacity, k->flags) &&
	       !chan_make(b.e, k->msg_max, k->capacity, k->flags);
	for (int i = 0; i < 12 && same; i++) {
		unsigned event = next(&seed) % (EVENTS + TRANSFERS) % EVENTS;
		bool rx = event == PARK_RECV || event == ARM_RECV;
		bool rare = next(&seed) % 4;

		if (event < TRANSFERS) {
			same = both(p, k, &a, &b, event, group, &seed);
		} else if (event < SHUT) {
			same = park(&a, rx, event >= ARM_SEND, k) && park(&b, rx, event >= ARM_SEND, k);
		} else if (event == SHUT && !rare) {
			chan_shut(a.e[1], EIO);
			chan_shut(b.e[1], EIO);
		} else if (event == END && !rare) {
			chan_cancel(group, 0, NULL);
		}
		same = same && same_info(&a, &b, false);
	}
	same &= same_end(&a, &b);
	close2(a.e);
	close2(b.e);
	close(group);
	return same;
}

static void live_often(struct __test_metadata *_metadata, const char *name)
{
	const struct pair *p = pairs;
	int lives = quick(200, 15);

	ASSERT_TRUE(raw_open(&ring));
	while (strcmp(p->name, name))
		p++;
	for (unsigned k = 0; k < KINDS; k++)
		for (int seed = 1; seed <= lives; seed++) {
			ASSERT_TRUE(live(p, &kinds[k], seed * 1000003 + k)) {
				TH_LOG("kind %u, seed %d", k, seed);
			}
		}
}

TEST(calls_with_a_structure)	{ live_often(_metadata, "packed"); }
TEST(calls_without_one)		{ live_often(_metadata, "bare"); }
TEST(read_and_write)		{ live_often(_metadata, "file"); }
TEST(commands_of_io_uring)	{ live_often(_metadata, "command"); }

/* ---- the fast path itself waits ---- */

enum { PEER, MISFIT, CANCEL, SHUT_PEER, CLOSE, DEADLINE, SIGNAL, ENDS };

/* what the calls of a channel return */
static const long of_send[ENDS] = { 0, 0, -ECANCELED, -EPIPE, -EPIPE, -ETIMEDOUT, -EINTR };
static const long of_recv[ENDS] = {
	4, -EMSGSIZE, -ECANCELED, -ECONNRESET, -ECONNRESET, -ETIMEDOUT, -EINTR,
};

/* and read(2) and write(2) instead, of 4 bytes */
static long as_file(const struct pair *p, bool rx, long r)
{
	if (p->fast_recv != plain_read)
		return r;
	if (!rx)
		return r ? r : 4;
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

struct parker {
	pthread_t t;
	long (*fn)(const struct call *c);
	struct call c;
	char buf[8];
	long ret;
};

static void *parker_main(void *arg)
{
	struct parker *k = arg;

	k->ret = k->fn(&k->c);
	return NULL;
}

static void nothing(int sig)
{
}

static bool begin(struct parker *k, int *e, bool rx)
{
	return !pthread_create(&k->t, NULL, parker_main, k) && parked(e[0], !rx, rx);
}

/* Have what waits on @e end by @how. */
static void end_by(int how, struct parker *k, int *e, bool rx)
{
	char b[8];

	switch (how) {
	case PEER:
	case MISFIT:	/* of a send: it has all the room */
		if (rx && how == MISFIT)
			waits_in_vain(e[1], "messages", 8);
		else if (rx)
			chan_send(e[1], "mess", 4, -1, CHAN_NOW);
		else
			chan_recv(e[0], b, 8, -1, CHAN_NOW);
		break;
	case CANCEL:
		chan_cancel(k->c.under, 0, NULL);
		break;
	case SHUT_PEER:
		chan_shut(e[1], rx ? EIO : 0);
		break;
	case CLOSE:
		close(e[rx]);
		e[rx] = -1;
		break;
	case SIGNAL:
		pthread_kill(k->t, SIGUSR1);
	}
}

static long wait_by(const struct pair *p, bool fast, bool rx, int how, struct chan_info *in)
{
	struct parker k = { .fn = rx ? (fast ? p->fast_recv : p->recv) :
				       (fast ? p->fast_send : p->send) };
	int e[2], g = chan_group(-1, CHAN_FOREVER, 0, 0);
	bool ok = g >= 0 && !chan_make(e, 8, 0, 0);

	k.c = (struct call){ .fd = e[!rx], .under = how == CANCEL ? g : -1, .buf = k.buf, .len = 4,
			     .deadline = how == DEADLINE ? chan_after(20 * MS) : CHAN_FOREVER };
	if (how == DEADLINE)
		ok = ok && !pthread_create(&k.t, NULL, parker_main, &k);
	else
		ok = ok && begin(&k, e, rx);
	if (!ok)
		return -9999;
	end_by(how, &k, e, rx);
	pthread_join(k.t, NULL);
	*in = info_of(e[0] < 0 ? e[1] : e[0]);
	in->id = 0;
	in->senders = in->receivers = 0;	/* an io-wq worker lets go of its end when it can */
	close2(e);
	close(g);
	return k.ret;
}

TEST(a_fast_path_that_waits_ends_as_the_general_one)
{
	struct sigaction handler = { .sa_handler = nothing };
	struct chan_info in[2];

	ASSERT_TRUE(raw_open(&ring));
	ASSERT_EQ(0, sigaction(SIGUSR1, &handler, NULL));
	for (int i = 0; i < PAIRS * 2 * ENDS; i++) {
		const struct pair *p = &pairs[i / ENDS / 2];
		bool rx = i / ENDS % 2;
		int how = i % ENDS;

		if (!p->under && (how == CANCEL || how == DEADLINE))
			continue;
		if (p->fast_send == brief_send && how == SIGNAL)
			continue;	/* which a command does not notice */
		for (int fast = 0; fast < 2; fast++) {
			EXPECT_EQ(as_file(p, rx, (rx ? of_recv : of_send)[how]),
				  wait_by(p, fast, rx, how, &in[fast])) {
				TH_LOG("%s rx %d end %d fast %d", p->name, rx, how, fast);
			}
		}
		EXPECT_EQ(0, memcmp(&in[0], &in[1], sizeof(in[0]))) {
			TH_LOG("%s rx %d end %d", p->name, rx, how);
		}
	}
}

TEST_HARNESS_MAIN
