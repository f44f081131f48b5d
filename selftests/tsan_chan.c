// SPDX-License-Identifier: MIT
/* What ThreadSanitizer is told of channels: right programs are silent, racy ones reported. */
#include <signal.h>
#include <sys/time.h>

#include "tsan_util.h"

static int e[2], f[2];
static int v, w, data[8];

/* ---- right ---- */

static void *v_then_send(void *arg)
{
	v = 1;
	MUST(!chan_send(e[1], "x", 1, -1, SOON));
	return NULL;
}

static void *v_then_recv(void *arg)
{
	char b;

	v = 1;
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);
	return NULL;
}

static void rendezvous_forth(void)
{
	char b;

	MUST(!chan_make(e, 1, 0, 0));
	go(v_then_send, NULL);
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);
	MUST(v == 1);
	v = 2;
}

static void rendezvous_back(void)
{
	MUST(!chan_make(e, 1, 0, 0));
	go(v_then_recv, NULL);
	MUST(!chan_send(e[1], "x", 1, -1, SOON));
	MUST(v == 1);
	v = 2;
}

static void buffered_forth(void)
{
	char b;

	MUST(!chan_make(e, 1, 10, 0));
	go(v_then_send, NULL);
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);
	MUST(v == 1);
	v = 2;
}

static void *send_pointer(void *arg)
{
	static int msgs[100];

	for (int i = 0; i < 100; i++) {
		int *p = &msgs[i];

		*p = i;
		MUST(!chan_send(e[1], &p, sizeof(p), -1, SOON));
	}
	MUST(!chan_shut(e[1], 0));
	return NULL;
}

static void pointers_hand_over(void)
{
	int *p, n = 0;

	MUST(!chan_make(e, sizeof(p), 3, 0));
	go(send_pointer, NULL);
	for (; chan_recv(e[0], &p, sizeof(p), -1, SOON) == sizeof(p); n++) {
		MUST(*p == n);
		*p = -1;
	}
	MUST(n == 100);
}

/* Lock is a send, unlock a receive. */
static void *lock_and_add(void *arg)
{
	char b;

	for (int i = 0; i < 200; i++) {
		MUST(!chan_send(e[1], "x", 1, -1, SOON));
		v++;
		MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);
	}
	return NULL;
}

static void *lock_and_add_by_select(void *arg)
{
	char b;

	for (int i = 0; i < 200; i++) {
		struct chan_case c[2] = {
			chan_send_case(e[1], "x", 1), chan_recv_case(f[0], &b, 1),
		};

		MUST(chan_select(c, 2, 0, -1, SOON) == 0);
		v++;
		c[0] = chan_recv_case(e[0], &b, 1);
		MUST(chan_select(c, 2, 0, -1, SOON) == 0);
	}
	return NULL;
}

static void a_channel_is_a_mutex(void)
{
	pthread_t t[3];

	MUST(!chan_make(e, 1, 1, 0));
	MUST(!chan_make(f, 1, 0, 0));
	for (int i = 0; i < 3; i++)
		t[i] = go(i ? lock_and_add : lock_and_add_by_select, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	MUST(v == 600);
}

/*
 * The receiver is done with message k when it begins to receive k+1, which happens
 * before send k+1+C completes: with C+2 buffers in turn, none is written too early.
 */
static int slots;

static void *fill_slots(void *arg)
{
	for (int i = 0; i < 60; i++) {
		data[i % slots] = i;
		MUST(!chan_send(e[1], &i, sizeof(i), -1, SOON));
	}
	return NULL;
}

static void drain_slots(int n)
{
	MUST(!chan_make(e, sizeof(int), 2, 0));
	slots = n;
	go(fill_slots, NULL);
	for (int i = 0, k, got; i < 60; i++) {
		MUST(chan_recv(e[0], &k, sizeof(k), -1, SOON) == sizeof(k));
		got = data[k % slots];
		MUST(n < 4 || got == i);
	}
}

static void enough_buffers(void)
{
	drain_slots(4);
}

/* The end comes to: a receive, a loop over messages, a select, chan_info, a poll case. */
enum { RECV, LOOP, SELECT, INFO, POLL, ENDS };

static void *v_then_shut(void *arg)
{
	v = 1;
	MUST(!chan_shut(e[1], (intptr_t)arg));
	return NULL;
}

static void *v_then_close_tx(void *arg)
{
	v = 1;
	close(e[1]);
	return NULL;
}

static void see_the_end(int how, int want)
{
	char b;
	struct chan_case c = chan_recv_case(e[0], &b, 1);
	int r;

	switch (how) {
	case RECV:
		MUST(chan_recv(e[0], &b, 1, -1, SOON) == want);
		break;
	case LOOP:
		while ((r = chan_recv(e[0], &b, 1, -1, SOON)) >= 0)
			;
		MUST(r == want);
		break;
	case SELECT:
		MUST(chan_select(&c, 1, 0, -1, SOON) == 0 && c.msg.res == want);
		break;
	case INFO:
		while (!info_of(e[0]).shut)
			usleep(200);
		break;
	case POLL:
		c = (struct chan_case){ .fd = e[0], .op = CHAN_POLL, .events = POLLRDHUP };
		MUST(chan_select(&c, 1, 0, -1, SOON) == 0);
		break;
	}
	MUST(v == 1);
	v = 2;
}

static void all_ends(void *(*fn)(void *), void *arg, int want)
{
	for (int cap = 0; cap <= 10; cap += 10)
		for (int how = 0; how < ENDS; how++) {
			pthread_t t;

			v = 0;
			MUST(!chan_make(e, 1, cap, 0));
			t = go(fn, arg);
			see_the_end(how, want);
			pthread_join(t, NULL);
			close(e[0]);
			if (want == -EPIPE)
				close(e[1]);
		}
}

static void shut_is_seen(void)
{
	all_ends(v_then_shut, NULL, -EPIPE);
}

static void last_close_is_seen(void)
{
	all_ends(v_then_close_tx, NULL, -ECONNRESET);
}

static void *v_then_close_rx(void *arg)
{
	v = 1;
	close(e[0]);
	return NULL;
}

static void last_receiver_is_missed(void)
{
	MUST(!chan_make(e, 1, 0, 0));
	go(v_then_close_rx, NULL);
	MUST(chan_send(e[1], "x", 1, -1, SOON) == -EPIPE);
	v = 2;
}

/* A select on either side, or on both. */
static void *select_send(void *arg)
{
	struct chan_case c[2] = { chan_send_case(e[1], "x", 1), chan_recv_case(f[0], NULL, 0) };

	v = 1;
	MUST(chan_select(c, 2, 0, -1, SOON) == 0);
	w = 2;
	return NULL;
}

static void select_recv(void)
{
	char b[2];
	struct chan_case c[2] = { chan_recv_case(e[0], b, 1), chan_recv_case(f[0], b + 1, 1) };

	w = 1;
	MUST(chan_select(c, 2, 0, -1, SOON) == 0);
	v = 2;
}

static void *w_then_recv(void *arg)
{
	char b;

	w = 1;
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);
	v = 2;
	return NULL;
}

static void selects_meet(void)
{
	MUST(!chan_make(f, 1, 0, 0));
	for (int i = 0; i < 10; i++) {
		pthread_t t;

		MUST(!chan_make(e, 1, 0, 0));
		t = go(i % 2 ? w_then_recv : select_send, NULL);
		if (i % 4 < 2)
			MUST(parked(e[0], !(i % 2), i % 2));
		if (i % 2)
			select_send(NULL);
		else
			select_recv();
		pthread_join(t, NULL);
		close2(e);
	}
}

/* A request carries the channel for its answer. */
static void *serve(void *arg)
{
	int reply;

	while (chan_recv(e[0], &reply, sizeof(reply), -1, SOON) == sizeof(reply)) {
		v++;
		MUST(!chan_send(reply, "x", 1, -1, SOON));
	}
	return NULL;
}

static void replies(void)
{
	pthread_t t;
	char b;

	MUST(!chan_make(e, sizeof(int), 0, 0));
	t = go(serve, NULL);
	for (int i = 0; i < 50; i++) {
		MUST(!chan_make(f, 1, 1, 0));
		MUST(!chan_send(e[1], &f[1], sizeof(int), -1, SOON));
		MUST(chan_recv(f[0], &b, 1, -1, SOON) == 1);
		MUST(v == i + 1);
		close2(f);
	}
	MUST(!chan_shut(e[1], 0));
	pthread_join(t, NULL);
}

/* The message of a parked sender moves into the buffer; its receiver sees the sender. */
static void blocked_senders(void)
{
	struct chan_case c[2];
	char b[2];

	MUST(!chan_make(f, 1, 0, 0));
	for (int i = 0; i < 10; i++) {
		pthread_t t;

		v = 0;
		MUST(!chan_make(e, 1, 1, 0));
		MUST(!chan_send(e[1], "y", 1, -1, CHAN_NOW));
		t = go(v_then_send, NULL);
		MUST(parked(e[0], 1, 0));
		MUST(chan_recv(e[0], b, 1, -1, SOON) == 1);
		c[0] = chan_recv_case(e[0], b, 1);
		c[1] = chan_recv_case(f[0], b + 1, 1);
		if (i % 2)
			MUST(chan_select(c, 2, 0, -1, SOON) == 0);
		else
			MUST(chan_recv(e[0], b, 1, -1, SOON) == 1);
		MUST(v == 1);
		v = 2;
		pthread_join(t, NULL);
		close2(e);
	}
}

static void *v_then_take_empty(void *arg)
{
	++*(int *)arg;
	MUST(chan_recv(e[0], NULL, 0, -1, SOON) == 0);
	return NULL;
}

static void empty_messages(void)
{
	MUST(!chan_make(e, 0, 2, 0));
	MUST(!chan_send(e[1], NULL, 0, -1, CHAN_NOW));
	MUST(!chan_send(e[1], NULL, 0, -1, CHAN_NOW));
	go(v_then_take_empty, &v);
	go(v_then_take_empty, &w);
	MUST(!chan_send(e[1], NULL, 0, -1, SOON));
	MUST(!chan_send(e[1], NULL, 0, -1, SOON));
	MUST(++v == 2);
	MUST(++w == 2);
}

static void *send_batch(void *arg)
{
	int i = (intptr_t)arg;
	struct chan_msg m = { .buf = &i, .len = sizeof(i) };

	data[i] = i + 1;
	MUST(chan_sendm(e[1], &m, 1, -1, SOON) == 1);
	return NULL;
}

static void a_batch_of_several_senders(void)
{
	struct chan_msg m[4];
	int got[4];

	MUST(!chan_make(e, sizeof(int), 4, 0));
	for (intptr_t i = 0; i < 4; i++) {
		m[i] = (struct chan_msg){ .buf = &got[i], .len = sizeof(int) };
		go(send_batch, (void *)i);
	}
	while (info_of(e[0]).len < 4)
		usleep(200);
	MUST(chan_recvm(e[0], m, 4, -1, SOON) == 4);
	for (int i = 0; i < 4; i++)
		MUST(data[i]++ == i + 1);
}

static void armed_selects(void)
{
	for (int cap = 0; cap < 2; cap++) {
		char b = 0;
		struct chan_case c = chan_recv_case(e[0], &b, 1);
		struct pollfd p = { .events = POLLIN };
		pthread_t t;

		v = 0;
		MUST(!chan_make(e, 1, cap, 0));
		c = chan_recv_case(e[0], &b, 1);
		p.fd = chan_arm(&c, 1, 0);
		t = go(v_then_send, NULL);
		MUST(poll(&p, 1, PATIENCE) == 1);
		MUST(chan_fired(p.fd, &c, 1) == 0 && b == 'x');
		MUST(v == 1);
		v = 2;
		pthread_join(t, NULL);
		close(p.fd);
		close2(e);
	}
}

/* Descriptors come and go in two threads: their numbers are each other's. */
static void *make_and_close(void *arg)
{
	for (int i = 0; i < 100; i++) {
		int g[2];

		MUST(!chan_make(g, 1, 1, 0));
		close2(g);
	}
	return NULL;
}

static void *watch_and_close(void *arg)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 0);

	for (int i = 0; i < 100; i++) {
		struct pollfd p = { .fd = chan_watch(g), .events = POLLIN };

		MUST(poll(&p, 1, 0) == 0);
		close(p.fd);
	}
	close(g);
	return NULL;
}

static void numbers_are_used_again(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		t[i] = go(i % 2 ? make_and_close : watch_and_close, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static volatile sig_atomic_t rung;

static void ring(int sig)
{
	rung = 1;
}

/* It runs handlers when a call that it knows returns: libchan's must be one. */
static void a_handler_ends_a_call(void)
{
	struct sigaction a = { .sa_handler = ring };
	struct itimerval soon = { .it_value.tv_usec = 50000 };
	char b;

	MUST(!sigaction(SIGALRM, &a, NULL));
	MUST(!chan_make(e, 1, 0, 0));
	MUST(!setitimer(ITIMER_REAL, &soon, NULL));
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == -EINTR);
	MUST(rung);
}

/* ---- racy ---- */

static void *just_v(void *arg)
{
	at_step(1);
	v = 1;
	next_step();
	return NULL;
}

static void no_channel_at_all(void)
{
	go(just_v, NULL);
	next_step();
	v = 2;
	at_step(2);
}

/* A receive on a buffered channel does not wait for the sender, nor it for the receive. */
static void *send_to_parked_then_v(void *arg)
{
	MUST(parked(e[0], 0, 1));
	MUST(!chan_send(e[1], "x", 1, -1, SOON));
	v = 1;
	next_step();
	return NULL;
}

static void buffered_back_parked(void)
{
	char b;

	MUST(!chan_make(e, 1, 10, 0));
	go(send_to_parked_then_v, NULL);
	v = 2;
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);
	at_step(1);
}

static void *send_then_v(void *arg)
{
	MUST(!chan_send(e[1], "x", 1, -1, SOON));
	v = 1;
	next_step();
	return NULL;
}

static void buffered_back(void)
{
	char b;

	MUST(!chan_make(e, 1, 10, 0));
	go(send_then_v, NULL);
	at_step(1);
	v = 2;
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);
}

static void too_few_buffers(void)
{
	drain_slots(3);
}

/* One sender's message says nothing of the other sender. */
static void *send_one(void *arg)
{
	int i = (intptr_t)arg;

	data[i] = 1;
	MUST(!chan_send(e[1], &i, sizeof(i), -1, SOON));
	next_step();
	return NULL;
}

static void the_wrong_sender(void)
{
	int got;

	MUST(!chan_make(e, sizeof(int), 2, 0));
	go(send_one, (void *)0);
	go(send_one, (void *)1);
	at_step(2);
	MUST(chan_recv(e[0], &got, sizeof(got), -1, SOON) == sizeof(got));
	data[!got] = 2;
}

static void the_right_sender(void)
{
	int got;

	MUST(!chan_make(e, sizeof(int), 2, 0));
	go(send_one, (void *)0);
	go(send_one, (void *)1);
	at_step(2);
	MUST(chan_recv(e[0], &got, sizeof(got), -1, SOON) == sizeof(got));
	MUST(data[got]++ == 1);
}

/* Two receivers, each at what the sender of the other's message has written. */
static void *recv_one_touch(void *other)
{
	int got;

	MUST(chan_recv(e[0], &got, sizeof(got), -1, SOON) == sizeof(got));
	data[other ? !got : got] = 2;
	next_step();
	return NULL;
}

static void two_receivers(void *other)
{
	MUST(!chan_make(e, sizeof(int), 2, 0));
	go(send_one, (void *)0);
	go(send_one, (void *)1);
	at_step(2);
	go(recv_one_touch, other);
	go(recv_one_touch, other);
	at_step(4);
}

static void each_the_right_sender(void)
{
	two_receivers(NULL);
}

static void each_the_wrong_sender(void)
{
	two_receivers(data);
}

static void *w_then_shut(void *arg)
{
	w = 1;
	MUST(!chan_shut(e[1], 0));
	next_step();
	return NULL;
}

static void not_the_closer_but_the_sender(void)
{
	char b;

	MUST(!chan_make(e, 1, 2, 0));
	go(v_then_send, NULL);
	while (!info_of(e[0]).len)
		usleep(200);
	go(w_then_shut, NULL);
	at_step(1);
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);	/* the message, not the end */
	w = 2;
}

/* And who finds the end knows who closed it, not who sent what another has received. */
static void *v_then_send_step(void *arg)
{
	v_then_send(arg);
	next_step();
	return NULL;
}

static void *take_one(void *arg)
{
	char b;

	MUST(chan_recv(e[0], &b, 1, -1, SOON) == 1);
	next_step();
	return NULL;
}

static void at_the_end(int *touch)
{
	char b;

	MUST(!chan_make(e, 1, 2, 0));
	go(v_then_send_step, NULL);
	at_step(1);
	go(take_one, NULL);
	at_step(2);
	go(w_then_shut, NULL);
	at_step(3);
	MUST(chan_recv(e[0], &b, 1, -1, SOON) == -EPIPE);
	*touch = 2;
}

static void the_closer_at_the_end(void)
{
	at_the_end(&w);
}

static void not_the_sender_but_the_closer(void)
{
	at_the_end(&v);
}

static void another_channel(void)
{
	char b;

	MUST(!chan_make(e, 1, 1, 0));
	MUST(!chan_make(f, 1, 1, 0));
	MUST(!chan_send(f[1], "x", 1, -1, SOON));
	go(v_then_send, NULL);
	while (!info_of(e[0]).len)
		usleep(200);
	MUST(chan_recv(f[0], &b, 1, -1, SOON) == 1);
	v = 2;
}

/* chan_info orders nothing but a shut. */
static void a_look_at_the_length(void)
{
	MUST(!chan_make(e, 1, 1, 0));
	go(v_then_send, NULL);
	while (!info_of(e[0]).len)
		usleep(200);
	v = 2;
}

static void *fail_then_v(void *arg)
{
	MUST(chan_send(e[1], "x", 1, -1, CHAN_NOW) == -EAGAIN);
	v = 1;
	next_step();
	return NULL;
}

static void a_call_that_fails(void)
{
	char b;

	MUST(!chan_make(e, 1, 0, 0));
	go(fail_then_v, NULL);
	at_step(1);
	MUST(chan_recv(e[0], &b, 1, -1, CHAN_NOW) == -EAGAIN);
	v = 2;
}

/* The calls read and write the caller's memory. */
static void *send_data(void *arg)
{
	MUST(!chan_send(e[1], data, sizeof(data), -1, SOON));
	next_step();
	return NULL;
}

static void written_while_it_is_sent(void)
{
	MUST(!chan_make(e, sizeof(data), 1, 0));
	go(send_data, NULL);
	at_step(1);
	data[7] = 1;
}

static void *recv_data(void *arg)
{
	MUST(chan_recv(e[0], data, sizeof(data), -1, SOON) == sizeof(data));
	next_step();
	return NULL;
}

static void read_while_it_is_received(void)
{
	int other[8] = {};

	MUST(!chan_make(e, sizeof(data), 1, 0));
	go(recv_data, NULL);
	MUST(!chan_send(e[1], other, sizeof(other), -1, SOON));
	at_step(1);
	MUST(data[7] == 0);
}

static const struct program list[] = {
#define P(name) { #name, name }
	P(rendezvous_forth), P(rendezvous_back), P(buffered_forth), P(pointers_hand_over),
	P(a_channel_is_a_mutex), P(enough_buffers), P(shut_is_seen), P(last_close_is_seen),
	P(last_receiver_is_missed), P(selects_meet), P(replies), P(blocked_senders),
	P(empty_messages), P(a_batch_of_several_senders), P(armed_selects),
	P(numbers_are_used_again), P(a_handler_ends_a_call),
	P(no_channel_at_all), P(buffered_back_parked), P(buffered_back), P(too_few_buffers),
	P(the_wrong_sender), P(the_right_sender), P(each_the_wrong_sender), P(each_the_right_sender),
	P(not_the_closer_but_the_sender), P(not_the_sender_but_the_closer), P(the_closer_at_the_end),
	P(another_channel),
	P(a_look_at_the_length), P(a_call_that_fails), P(written_while_it_is_sent),
	P(read_while_it_is_received),
};
PROGRAMS(list)

/* MM-01, MM-02 */
TEST(a_message_hands_over_what_was_done_before)
{
	EXPECT_TRUE(silent("rendezvous_forth"));
	EXPECT_TRUE(silent("rendezvous_back"));
	EXPECT_TRUE(silent("buffered_forth"));
	EXPECT_TRUE(silent("pointers_hand_over"));
	EXPECT_TRUE(reported("another_channel"));
	EXPECT_TRUE(reported("no_channel_at_all"));
}

/* MM-03 */
TEST(a_buffered_receive_orders_no_send_that_had_room)
{
	EXPECT_TRUE(reported("buffered_back"));
	EXPECT_TRUE(reported("buffered_back_parked"));
}

/* MM-08 and the k-th receive before the k+C-th send */
TEST(room_is_handed_over_too)
{
	EXPECT_TRUE(silent("a_channel_is_a_mutex"));
	EXPECT_TRUE(silent("enough_buffers"));
	EXPECT_TRUE(reported("too_few_buffers"));
}

/* MM-04 */
TEST(an_end_is_ordered_for_who_sees_it)
{
	EXPECT_TRUE(silent("shut_is_seen"));
	EXPECT_TRUE(silent("last_close_is_seen"));
	EXPECT_TRUE(silent("last_receiver_is_missed"));
}

/* MM-05 */
TEST(the_order_is_with_who_sent_the_message_or_shut_the_channel)
{
	EXPECT_TRUE(silent("the_right_sender"));
	EXPECT_TRUE(reported("the_wrong_sender"));
	EXPECT_TRUE(silent("each_the_right_sender"));
	EXPECT_TRUE(reported("each_the_wrong_sender"));
	EXPECT_TRUE(silent("the_closer_at_the_end"));
	EXPECT_TRUE(reported("not_the_closer_but_the_sender"));
	EXPECT_TRUE(reported("not_the_sender_but_the_closer"));
}

/* MM-06, MM-07, MM-09, MM-10 */
TEST(selects_replies_parked_senders_and_empty_messages)
{
	EXPECT_TRUE(silent("selects_meet"));
	EXPECT_TRUE(silent("replies"));
	EXPECT_TRUE(silent("blocked_senders"));
	EXPECT_TRUE(silent("empty_messages"));
}

TEST(batches_and_armed_selects)
{
	EXPECT_TRUE(silent("a_batch_of_several_senders"));
	EXPECT_TRUE(silent("armed_selects"));
}

TEST(looks_and_failures_order_nothing)
{
	EXPECT_TRUE(reported("a_look_at_the_length"));
	EXPECT_TRUE(reported("a_call_that_fails"));
}

TEST(calls_read_and_write_their_buffers)
{
	EXPECT_TRUE(reported("written_while_it_is_sent"));
	EXPECT_TRUE(reported("read_while_it_is_received"));
}

TEST(numbers_of_descriptors_are_no_memory)
{
	EXPECT_TRUE(silent("numbers_are_used_again"));
}

TEST(signal_handlers_run)
{
	EXPECT_TRUE(silent("a_handler_ends_a_call"));
}

TEST_HARNESS_MAIN
