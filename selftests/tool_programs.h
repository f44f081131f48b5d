/* SPDX-License-Identifier: MIT */
/*
 * Programs that a tool which watches memory judges: valgrind's memcheck,
 * MemorySanitizer, AddressSanitizer. Right ones use every call that reads or fills
 * the caller's memory, on memory that nobody has initialised, and branch on all that
 * was stored: a tool must be silent. Each of the others makes one mistake.
 */
#ifndef TOOL_PROGRAMS_H
#define TOOL_PROGRAMS_H

#include <libchan-uring.h>

#include "again.h"
#include "forbid.h"

enum verdict {
	RIGHT,
	UNSET,		/* uses what nobody has stored */
	BEYOND,		/* names memory that is not there */
};

static volatile int seen;

/* A branch on @x, which a tool sees. */
#define LOOK(x) do {							\
	if (x)								\
		seen++;							\
} while (0)

static void look(const void *p, size_t len)
{
	for (const char *c = p; len; len--)
		LOOK(*c++ == 'x');
}

/* A pointer that the compiler knows nothing of: it would find the mistakes. */
static void *unknown(void *p)
{
	__asm__ volatile("" : "+r"(p));
	return p;
}

/* Memory that nobody has initialised. */
static void *fresh(size_t size)
{
	void *p = malloc(size);

	MUST(p);
	return unknown(p);
}

/* The same, with something in it. */
static void *holding(const void *what, size_t len)
{
	return memcpy(fresh(len), what, len);
}

static int e[2], f[2], group;		/* f carries descriptors, and large messages */

static void objects(void)
{
	MUST(!chan_make(e, 64, 4, 0));
	MUST(!chan_make(f, 40000, 4, CHAN_FDS));
	group = chan_group(-1, CHAN_FOREVER, 0, 0);
	MUST(group >= 0);
}

static void send_hello(void)
{
	MUST(!chan_send(e[1], "hello", 5, -1, CHAN_FOREVER));
}

static void send_16(void)
{
	MUST(!chan_send(e[1], "0123456789abcdef", 16, -1, CHAN_FOREVER));
}

/* A case of which no more is set than it must be. */
static void set_case(struct chan_case *c, int fd, int op, void *buf, size_t len)
{
	c->fd = fd;
	c->op = op;
	c->events = 0;
	c->msg.buf = buf;
	c->msg.len = len;
	c->msg.nfds = 0;
}

static struct chan_case *one_case(int fd, int op, void *buf, size_t len)
{
	struct chan_case *c = fresh(sizeof(*c));

	set_case(c, fd, op, buf, len);
	return c;
}

static struct chan_msg *one_msg(void *buf, size_t len)
{
	struct chan_msg *m = fresh(sizeof(*m));

	m->buf = buf;
	m->len = len;
	m->nfds = 0;
	return m;
}

/* ---- right ---- */

static void make(void)
{
	int *end = fresh(2 * sizeof(*end));

	MUST(!chan_make(end, 64, 0, 0));
	LOOK(end[0] == 100);
	LOOK(end[1] == 100);
	close2(end);
	MUST(chan_make(NULL, 64, 0, 0) == -EFAULT);
}

static void receive_short(void)
{
	char *b = fresh(64);

	send_hello();
	MUST(chan_recv(e[0], b, 64, -1, CHAN_FOREVER) == 5);
	look(b, 5);
	send_hello();
	MUST(chan_recv(e[0], b, 64, -1, CHAN_NOW) == 5);
	look(b, 5);
	MUST(chan_recv(e[0], b, 64, -1, CHAN_NOW) == -EAGAIN);
	MUST(!chan_send(e[1], NULL, 0, -1, CHAN_FOREVER));
	MUST(!chan_recv(e[0], NULL, 0, -1, CHAN_FOREVER));
}

static void receive_long(void)
{
	char *b = fresh(64), *large = calloc(1, 40000), *in = fresh(40000);

	send_hello();
	MUST(chan_recv(e[0], b, 64, group, SOON) == 5);
	look(b, 5);
	MUST(!chan_send(f[1], large, 40000, -1, CHAN_FOREVER));
	MUST(chan_recv(f[0], in, 40000, -1, CHAN_FOREVER) == 40000);
	look(in, 40000);
}

static void *late_send(void *arg)
{
	MUST(parked(e[0], 0, 1));
	send_hello();
	return NULL;
}

static void receive_parked(void)
{
	char *b = fresh(64);
	pthread_t t;

	MUST(!pthread_create(&t, NULL, late_send, NULL));
	MUST(chan_recv(e[0], b, 64, -1, CHAN_FOREVER) == 5);
	look(b, 5);
	pthread_join(t, NULL);
	MUST(!pthread_create(&t, NULL, late_send, NULL));
	struct chan_case *c = one_case(e[0], CHAN_RECV, b, 64);

	MUST(!chan_select(c, 1, 0, group, CHAN_FOREVER));
	look(b, c->msg.len);
	pthread_join(t, NULL);
}

static void batches(void)
{
	struct chan_msg *m = fresh(2 * sizeof(*m));
	int *out = fresh(sizeof(*out)), *in = fresh(4 * sizeof(*in));
	char *b = fresh(64), *b2 = fresh(64);

	*out = e[1];
	m[0] = (struct chan_msg){ .buf = "hello", .len = 5, .fds = out, .nfds = 1 };
	m[1].buf = "";
	m[1].len = 1;
	m[1].nfds = 0;
	MUST(chan_sendm(f[1], m, 2, -1, SOON) == 2);
	LOOK(m[0].res);
	LOOK(m[1].res);
	m = fresh(2 * sizeof(*m));
	m[0].buf = b;
	m[1].buf = b2;
	m[0].len = m[1].len = 64;
	m[0].fds = in;
	m[0].nfds = 4;
	m[1].nfds = 0;
	MUST(chan_recvm(f[0], m, 2, -1, SOON) == 2);
	MUST(m[0].res == 5 && m[0].len == 5 && m[0].nfds == 1 && m[1].len == 1 && !m[1].nfds);
	look(b, 5);
	look(b2, 1);
	LOOK(in[0] == 100);
	close(in[0]);
	MUST(!chan_recvm(f[0], NULL, 0, -1, CHAN_NOW));
	MUST(chan_recvm(f[0], unknown(NULL), 1, -1, CHAN_NOW) == -EFAULT);
}

static void selects(void)
{
	struct chan_case *c = fresh(4 * sizeof(*c));
	char *b = fresh(64), *unused = fresh(64);

	c[0].fd = -1;			/* the rest of it is not looked at */
	c[0].op = CHAN_RECV;
	set_case(&c[1], f[0], CHAN_RECV, unused, 64);
	set_case(&c[2], e[0], CHAN_RECV, b, 64);
	send_hello();
	MUST(chan_select(c, 3, 0, -1, CHAN_FOREVER) == 2);
	MUST(c[2].msg.res == 5 && c[2].msg.len == 5 && !c[2].msg.nfds);
	look(b, 5);
	set_case(&c[0], e[1], CHAN_SEND, "hello", 5);
	MUST(!chan_select(c, 1, CHAN_PRIO, -1, CHAN_FOREVER));
	LOOK(c[0].msg.res);
	c[0].fd = e[0];
	c[0].op = CHAN_POLL;
	c[0].events = POLLIN;
	MUST(!chan_select(c, 1, 0, -1, SOON));
	LOOK(c[0].revents & POLLHUP);
	MUST(chan_select(c, 0, 0, -1, CHAN_NOW) == -EAGAIN);
	MUST(!chan_shut(f[1], 0));
	MUST(!chan_select(&c[1], 1, 0, -1, CHAN_FOREVER));
	LOOK(c[1].msg.res == -EPIPE);
}

static void arms(void)
{
	struct chan_case *c = fresh(2 * sizeof(*c));
	char *b = fresh(64);
	int a;

	set_case(&c[0], f[0], CHAN_RECV, fresh(64), 64);
	set_case(&c[1], e[0], CHAN_RECV, NULL, 64);
	a = chan_arm(c, 2, 0);
	MUST(a >= 0);
	MUST(chan_fired(a, c, 2) == -EAGAIN);
	send_hello();
	c = calloc(2, sizeof(*c));	/* in other memory, where only room is set */
	c[1].msg.buf = b;
	c[1].msg.len = 64;
	MUST(chan_fired(a, c, 2) == 1);
	MUST(c[1].msg.res == 5 && c[1].msg.len == 5);
	look(b, 5);
	close(a);
	c = one_case(e[1], CHAN_SEND, holding("hello", 5), 5);
	a = chan_arm(c, 1, 0);
	MUST(a >= 0 && !chan_fired(a, c, 1));
	LOOK(c->msg.res);
	close(a);
}

static void infos(void)
{
	struct chan_info *i = fresh(sizeof(*i));
	struct chan_group_info *g = fresh(sizeof(*g));

	MUST(!chan_info(e[0], i, sizeof(*i)));
	look(i, sizeof(*i));
	MUST(!chan_group_info(group, g, sizeof(*g)));
	look(g, sizeof(*g));
	MUST(chan_kind(e[0]) == CHAN_RX && chan_kind(0) == -ENOTTY);
}

static void values(void)
{
	char *b = fresh(64), *key = holding("key", 4);

	MUST(!chan_value_set(group, key, holding("hello", 5), 5));
	MUST(chan_value_set(group, key, NULL, 0) == -EEXIST);
	MUST(!chan_value_set(group, "none", NULL, 0));
	MUST(chan_value_get(group, key, NULL, 0) == 5);
	MUST(chan_value_get(group, key, b, 3) == -EMSGSIZE);
	MUST(chan_value_get(group, key, b, 64) == 5);
	look(b, 5);
	MUST(!chan_value_get(group, "none", b + 5, 59));
	MUST(chan_value_get(group, "no", b, 64) == -ENODATA);
}

static int member_body(int member, void *arg)
{
	LOOK(member == 100);
	look(arg, 5);
	return EIO;
}

static void members(void)
{
	int *first = fresh(sizeof(*first)), *keep = fresh(2 * sizeof(*keep)), *m = fresh(sizeof(*m));
	int watch = chan_watch(group), member = chan_join(group, -1, CHAN_FOREVER), status;
	pid_t pid;

	MUST(watch >= 0 && chan_kind(watch) == CHAN_WATCH && member >= 0);
	MUST(!chan_leave(member, EIO, holding("why", 4)));
	close(member);
	MUST(!chan_go(group, member_body, holding("hello", 5)));
	keep[0] = e[0];
	keep[1] = group;
	pid = chan_fork(group, keep, 2, m);
	if (!pid)
		_exit(chan_kind(*m) != CHAN_GROUP);
	MUST(pid > 0);
	LOOK(*m == 100);
	MUST(waitpid(pid, &status, 0) == pid && !status);
	MUST(!chan_wait(group, first, watch, SOON));
	LOOK(*first == EIO);
	MUST(!chan_wait(watch, NULL, -1, SOON));
	MUST(!chan_cancel(group, 0, NULL) && chan_cancel(watch, 0, "no") < 0);
	MUST(!chan_cancel(group, EIO, "cancelled"));
	close(watch);
}

/* Its child lists what is open; what a tool keeps open it is not to be stopped by. */
static void forks_without_close_range(void)
{
	pid_t pid = fork();		/* the filter stays */
	int m, status;

	if (!pid) {
		MUST(forbid(SYS_close_range, EPERM));
		pid = chan_fork(group, &e[0], 1, &m);
		if (!pid)
			_exit(fcntl(e[1], F_GETFD) >= 0 || chan_kind(e[0]) != CHAN_RX);
		MUST(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
		_exit(0);
	}
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
}

/* Commands of io_uring, which tell when they are prepared. */
static void commands(void)
{
	struct io_uring_sqe sqe;
	struct kchan_xfer x;
	struct kchan_select s;
	struct chan_case *c = fresh(2 * sizeof(*c));
	char *b = fresh(64);

	chan_prep_send(&sqe, e[1], &x, holding("hello", 5), 5, -1, CHAN_FOREVER);
	chan_prep_recv(&sqe, e[0], &x, b, 64, -1, CHAN_FOREVER);
	LOOK(x.len == 64);
	look(b, 64);
	b = fresh(64);
	set_case(&c[0], e[0], CHAN_RECV, b, 64);
	c[1].fd = -1;
	chan_prep_select(&sqe, e[0], &s, c, 2, 0, -1, CHAN_FOREVER);
	look(b, 64);
	LOOK(c[0].msg.res);
}

/* ---- what nobody has stored ---- */

static void behind_a_message(void)
{
	char *b = fresh(64);

	send_hello();
	chan_recv(e[0], b, 64, -1, CHAN_FOREVER);
	look(b + 5, 1);
}

static void behind_an_empty_message(void)
{
	char *b = fresh(64);

	MUST(!chan_send(e[1], NULL, 0, -1, CHAN_FOREVER));
	chan_recv(e[0], b, 64, -1, CHAN_FOREVER);
	look(b, 1);
}

static void behind_with_deadline(void)
{
	char *b = fresh(64);

	send_hello();
	chan_recv(e[0], b, 64, -1, SOON);
	look(b + 5, 1);
}

static void no_message(void)
{
	char *b = fresh(64);

	chan_recv(e[0], b, 64, -1, CHAN_NOW);
	look(b, 1);
}

static void behind_in_a_batch(void)
{
	char *b = fresh(64);

	send_hello();
	chan_recvm(e[0], one_msg(b, 64), 1, -1, CHAN_FOREVER);
	look(b + 5, 1);
}

static void behind_descriptors(void)
{
	int *fds = fresh(2 * sizeof(*fds));
	struct chan_msg m = { .buf = "", .len = 1, .fds = &e[1], .nfds = 1 };

	MUST(chan_sendm(f[1], &m, 1, -1, CHAN_FOREVER) == 1);
	m = (struct chan_msg){ .buf = fresh(64), .len = 64, .fds = fds, .nfds = 2 };
	MUST(chan_recvm(f[0], &m, 1, -1, CHAN_FOREVER) == 1);
	LOOK(fds[1] == 100);
}

static void behind_in_a_select(void)
{
	char *b = fresh(64);

	send_hello();
	chan_select(one_case(e[0], CHAN_RECV, b, 64), 1, 0, -1, CHAN_FOREVER);
	look(b + 5, 1);
}

static void other_case(void)
{
	struct chan_case c[2] = {
		chan_recv_case(e[0], fresh(64), 64), chan_recv_case(f[0], fresh(64), 64),
	};

	send_hello();
	chan_select(c, 2, 0, -1, CHAN_FOREVER);
	look(c[1].msg.buf, 1);
}

static void behind_in_a_fired(void)
{
	char *b = fresh(64);
	struct chan_case *c = one_case(e[0], CHAN_RECV, b, 64);
	int a = chan_arm(c, 1, 0);

	send_hello();
	chan_fired(a, c, 1);
	look(b + 5, 1);
}

static void behind_a_value(void)
{
	char *b = fresh(64);

	chan_value_set(group, "k", "hello", 5);
	chan_value_get(group, "k", b, 64);
	look(b + 5, 1);
}

static void sends_unset(void)
{
	chan_send(e[1], fresh(8), 8, -1, CHAN_FOREVER);
}

static void sends_unset_with_deadline(void)
{
	chan_send(e[1], fresh(8), 8, -1, SOON);
}

static void sends_unset_in_a_batch(void)
{
	chan_sendm(e[1], one_msg(fresh(8), 8), 1, -1, CHAN_FOREVER);
}

static void sends_unset_descriptors(void)
{
	struct chan_msg m = { .buf = "", .len = 1, .fds = fresh(4), .nfds = 1 };

	chan_sendm(f[1], &m, 1, -1, CHAN_FOREVER);
}

static void unset_room_for_descriptors(void)
{
	struct chan_msg *m = fresh(sizeof(*m));

	m->buf = "";
	m->len = 1;
	chan_sendm(e[1], m, 1, -1, CHAN_FOREVER);
}

static void selects_unset(void)
{
	chan_select(one_case(e[1], CHAN_SEND, fresh(8), 8), 1, 0, -1, CHAN_FOREVER);
}

static void selects_an_unset_case(void)
{
	struct chan_case *c = fresh(sizeof(*c));

	c->fd = e[0];
	c->op = CHAN_RECV;
	c->events = 0;
	chan_select(c, 1, 0, -1, CHAN_NOW);
}

static void arms_unset(void)
{
	close(chan_arm(one_case(e[1], CHAN_SEND, fresh(8), 8), 1, 0));
}

static void sets_unset(void)
{
	chan_value_set(group, "k", fresh(8), 8);
}

static void unset_key(void)
{
	char *key = fresh(8);

	key[0] = 'k';
	key[2] = 0;
	chan_value_get(group, key, NULL, 0);
}

static void unset_why(void)
{
	char *why = fresh(8);

	why[0] = 'w';
	why[7] = 0;
	chan_cancel(group, 0, why);
}

static void prepares_unset(void)
{
	struct io_uring_sqe sqe;
	struct kchan_xfer x;

	chan_prep_send(&sqe, e[1], &x, fresh(8), 8, -1, CHAN_FOREVER);
}

static void keeps_unset(void)
{
	int *keep = fresh(2 * sizeof(*keep)), *member = fresh(sizeof(*member));

	keep[0] = e[0];
	if (!chan_fork(group, keep, 2, member))
		_exit(0);
}

/* ---- memory that is not there ---- */

static void receives_beyond(void)
{
	char *b = fresh(4);

	send_16();
	chan_recv(e[0], b, 16, -1, CHAN_FOREVER);
}

static void receives_beyond_with_deadline(void)
{
	char *b = fresh(4);

	send_16();
	chan_recv(e[0], b, 16, -1, SOON);
}

static void receives_into_freed(void)
{
	char *b = fresh(16);

	free(unknown(b));
	send_16();
	chan_recv(e[0], b, 16, -1, CHAN_FOREVER);
}

static void batch_beyond(void)
{
	send_16();
	chan_recvm(e[0], one_msg(fresh(4), 16), 1, -1, CHAN_FOREVER);
}

static void messages_beyond(void)
{
	struct chan_msg *m = one_msg(fresh(16), 16);

	send_16();
	send_16();
	chan_recvm(e[0], m, 2, -1, CHAN_FOREVER);
}

static void descriptors_beyond(void)
{
	struct chan_msg m = { .buf = "", .len = 1, .fds = &e[1], .nfds = 1 };

	MUST(chan_sendm(f[1], &m, 1, -1, CHAN_FOREVER) == 1);
	m = (struct chan_msg){ .buf = fresh(64), .len = 64, .fds = fresh(2), .nfds = 1 };
	chan_recvm(f[0], &m, 1, -1, CHAN_FOREVER);
}

static void select_beyond(void)
{
	send_16();
	chan_select(one_case(e[0], CHAN_RECV, fresh(4), 16), 1, 0, -1, CHAN_FOREVER);
}

static void cases_beyond(void)
{
	send_16();
	chan_select(one_case(e[0], CHAN_RECV, fresh(16), 16), 2, 0, -1, CHAN_NOW);
}

static void fired_beyond(void)
{
	struct chan_case *c = one_case(e[0], CHAN_RECV, fresh(4), 16);
	int a = chan_arm(c, 1, 0);

	send_16();
	chan_fired(a, c, 1);
}

static void make_beyond(void)
{
	chan_make(fresh(4), 1, 1, 0);
}

static void info_beyond(void)
{
	chan_info(e[0], fresh(sizeof(struct chan_info) - 8), sizeof(struct chan_info));
}

static void group_info_beyond(void)
{
	chan_group_info(group, fresh(sizeof(struct chan_group_info) - 8),
			sizeof(struct chan_group_info));
}

static void value_beyond(void)
{
	chan_value_set(group, "k", "0123456789abcdef", 16);
	chan_value_get(group, "k", fresh(4), 16);
}

static void wait_beyond(void)
{
	chan_wait(group, fresh(2), -1, CHAN_FOREVER);
}

static void fork_beyond(void)
{
	if (!chan_fork(group, NULL, 0, fresh(2)))
		_exit(0);
}

static void sends_beyond(void)
{
	chan_send(e[1], holding("0123", 4), 16, -1, CHAN_FOREVER);
}

static void sends_beyond_with_deadline(void)
{
	chan_send(e[1], holding("0123", 4), 16, -1, SOON);
}

static void batch_sends_beyond(void)
{
	chan_sendm(e[1], one_msg(holding("0123", 4), 16), 1, -1, CHAN_FOREVER);
}

static void select_sends_beyond(void)
{
	chan_select(one_case(e[1], CHAN_SEND, holding("0123", 4), 16), 1, 0, -1, CHAN_FOREVER);
}

static void arm_sends_beyond(void)
{
	close(chan_arm(one_case(e[1], CHAN_SEND, holding("0123", 4), 16), 1, 0));
}

static void sets_beyond(void)
{
	chan_value_set(group, "k", holding("0123", 4), 16);
}

static void key_beyond(void)
{
	chan_value_set(group, holding("key", 3), "", 1);
}

static void why_beyond(void)
{
	chan_cancel(group, 0, holding("why", 3));
}

static void leave_beyond(void)
{
	chan_leave(chan_join(group, -1, CHAN_FOREVER), 0, holding("why", 3));
}

static void prepares_beyond(void)
{
	struct io_uring_sqe sqe;
	struct kchan_xfer x;

	chan_prep_recv(&sqe, e[0], &x, fresh(4), 16, -1, CHAN_FOREVER);
}

static void prepares_sends_beyond(void)
{
	struct io_uring_sqe sqe;
	struct kchan_xfer x;

	chan_prep_send(&sqe, e[1], &x, holding("0123", 4), 16, -1, CHAN_FOREVER);
}

static void prepares_cases_beyond(void)
{
	struct io_uring_sqe sqe;
	struct kchan_select s;

	chan_prep_select(&sqe, e[0], &s, one_case(e[0], CHAN_RECV, fresh(4), 16), 1, 0, -1,
			 CHAN_FOREVER);
}

static void keeps_beyond(void)
{
	if (!chan_fork(group, holding(&e[0], sizeof(*e)), 2, fresh(sizeof(int))))
		_exit(0);
}

struct program {
	const char *name;
	void (*fn)(void);
	enum verdict verdict;
};

#define P(name, verdict) { #name, name, verdict }

static const struct program programs[] = {
	P(make, RIGHT), P(receive_short, RIGHT), P(receive_long, RIGHT), P(receive_parked, RIGHT),
	P(batches, RIGHT), P(selects, RIGHT), P(arms, RIGHT), P(infos, RIGHT), P(values, RIGHT),
	P(members, RIGHT), P(forks_without_close_range, RIGHT), P(commands, RIGHT),
	P(behind_a_message, UNSET), P(behind_an_empty_message, UNSET),
	P(behind_with_deadline, UNSET), P(no_message, UNSET), P(behind_in_a_batch, UNSET),
	P(behind_descriptors, UNSET), P(behind_in_a_select, UNSET), P(other_case, UNSET),
	P(behind_in_a_fired, UNSET), P(behind_a_value, UNSET), P(sends_unset, UNSET),
	P(sends_unset_with_deadline, UNSET), P(sends_unset_in_a_batch, UNSET),
	P(sends_unset_descriptors, UNSET), P(unset_room_for_descriptors, UNSET),
	P(selects_unset, UNSET), P(selects_an_unset_case, UNSET), P(arms_unset, UNSET),
	P(sets_unset, UNSET), P(unset_key, UNSET), P(unset_why, UNSET), P(keeps_unset, UNSET), P(prepares_unset, UNSET),
	P(receives_beyond, BEYOND), P(receives_beyond_with_deadline, BEYOND),
	P(receives_into_freed, BEYOND), P(batch_beyond, BEYOND), P(messages_beyond, BEYOND),
	P(descriptors_beyond, BEYOND), P(select_beyond, BEYOND), P(cases_beyond, BEYOND),
	P(fired_beyond, BEYOND), P(make_beyond, BEYOND), P(info_beyond, BEYOND),
	P(group_info_beyond, BEYOND), P(value_beyond, BEYOND), P(wait_beyond, BEYOND),
	P(fork_beyond, BEYOND), P(sends_beyond, BEYOND), P(sends_beyond_with_deadline, BEYOND),
	P(batch_sends_beyond, BEYOND), P(select_sends_beyond, BEYOND), P(arm_sends_beyond, BEYOND),
	P(sets_beyond, BEYOND), P(key_beyond, BEYOND), P(why_beyond, BEYOND),
	P(leave_beyond, BEYOND), P(keeps_beyond, BEYOND), P(prepares_beyond, BEYOND),
	P(prepares_sends_beyond, BEYOND), P(prepares_cases_beyond, BEYOND),
};

#define N_PROGRAMS	(sizeof(programs) / sizeof(programs[0]))

#endif
