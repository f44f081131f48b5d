// SPDX-License-Identifier: MIT
/* The races of parked commands of io_uring, each made to happen. */
#include "race_util.h"
#include <libchan-uring.h>

static bool parks(void)
{
	return chan_features() & CHAN_HAS_URING_PARK;
}

FIXTURE(uring)
{
	struct io_uring ring;
	struct kchan_xfer x;
	int e[2];
	char buf[8];
};

FIXTURE_SETUP(uring)
{
	ASSERT_TRUE(pause_open());
	ASSERT_EQ(0, io_uring_queue_init(4, &self->ring, 0));
	ASSERT_EQ(0, chan_make(self->e, 4, 0, 0));
	if (!parks())
		SKIP(return, "a worker of this kernel's waits in the call itself");
}

FIXTURE_TEARDOWN(uring)
{
	EXPECT_TRUE(pause_close());
	close2(self->e);
}

static bool submit(struct io_uring *ring, int rx, struct kchan_xfer *x, char *buf, int under,
		   int64_t deadline)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		return false;
	chan_prep_recv(sqe, rx, x, buf, 4, under, deadline);
	sqe->user_data = 1;
	return io_uring_submit(ring) == 1;
}

/* The result of the only completion there is. */
static int result(struct io_uring *ring)
{
	struct __kernel_timespec ts = { .tv_sec = PATIENCE / 1000 };
	struct io_uring_cqe *cqe;
	int r;

	if (io_uring_wait_cqe_timeout(ring, &cqe, &ts))
		return -9999;
	r = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return io_uring_peek_cqe(ring, &cqe) ? r : -9998;
}

static long r_command(struct racer *r)	/* submits, and answers */
{
	struct io_uring ring;
	struct kchan_xfer x;
	long res = -9997;

	if (io_uring_queue_init(4, &ring, 0))
		return res;
	if (submit(&ring, r->fd, &x, r->buf, r->under ?: -1, r->deadline))
		res = result(&ring);
	io_uring_queue_exit(&ring);
	return res;
}

/* A peer comes before the deadline's work has its turn. */
TEST_F(uring, a_peer_while_the_deadline_is_at_work)
{
	int v = 7;

	ASSERT_TRUE(stop_at("uring_due", ANY, NULL));
	ASSERT_TRUE(submit(&self->ring, self->e[0], &self->x, self->buf, -1, chan_after(50 * MS)));
	ASSERT_TRUE(stopped_at("uring_due", ANY));
	EXPECT_EQ(0, chan_send(self->e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, result(&self->ring));
	ASSERT_TRUE(go_on("uring_due", ANY));
	EXPECT_EQ(7, self->buf[0]);
	EXPECT_EQ(1, info_of(self->e[0]).received);
	io_uring_queue_exit(&self->ring);
}

/*
 * A peer has chosen it and still has the channel's lock: its task has been asked for it by
 * then, and would otherwise wait for a peer that it may keep from running.
 */
TEST_F(uring, its_task_is_asked_for_it_while_the_peer_has_the_lock)
{
	struct racer r = RACER(r_command, self->e[0]);
	struct racer s = RACER(r_send, self->e[1], .point = "made_done", .buf = { 7 });

	r.deadline = CHAN_FOREVER;
	ASSERT_TRUE(stop_at("uring_finish", ANY, NULL));
	ASSERT_TRUE(race_begin(&r, false));
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	ASSERT_TRUE(race_start(&s));
	EXPECT_TRUE(stopped_at("uring_finish", ANY));
	EXPECT_TRUE(pause_says("stopped", "made_done", ANY));
	EXPECT_EQ(0, race_finish(&s));
	ASSERT_TRUE(go_on("uring_finish", ANY));
	EXPECT_EQ(4, race_end(&r));
	EXPECT_EQ(7, r.buf[0]);
	io_uring_queue_exit(&self->ring);
}

/* A peer has chosen it when its deadline passes: it is done, and ends once. */
TEST_F(uring, a_deadline_while_the_peer_has_the_lock)
{
	struct racer r = RACER(r_command, self->e[0]), s = RACER(r_send, self->e[1], .point = "made_done");

	s.buf[0] = 7;
	for (int64_t ms = 500; !info_of(self->e[0]).parked_receivers; ms *= 2) {
		ASSERT_GT(PATIENCE, ms);
		r.deadline = chan_after(ms * MS);
		ASSERT_TRUE(stop_at("uring_due", ANY, NULL));
		ASSERT_TRUE(race_begin(&r, false));
		while (!info_of(self->e[0]).parked_receivers &&
		       __atomic_load_n(&r.ret, __ATOMIC_ACQUIRE) == -9999)
			usleep(1000);
		if (__atomic_load_n(&r.ret, __ATOMIC_ACQUIRE) == -9999)
			break;
		EXPECT_EQ(-ETIMEDOUT, race_end(&r));	/* it had no time to wait */
		ASSERT_TRUE(pause_close() && pause_open());
	}
	ASSERT_TRUE(stop_at("uring_finish", ANY, NULL));	/* which would call the deadline off */
	ASSERT_TRUE(race_start(&s));
	ASSERT_TRUE(stopped_at("uring_due", ANY));
	EXPECT_EQ(-9999, __atomic_load_n(&r.ret, __ATOMIC_ACQUIRE));
	EXPECT_EQ(0, race_finish(&s));
	ASSERT_TRUE(stopped_at("uring_finish", ANY));
	ASSERT_TRUE(go_on("uring_due", ANY));
	ASSERT_TRUE(go_on("uring_finish", ANY));
	EXPECT_EQ(4, race_end(&r));
	EXPECT_EQ(7, r.buf[0]);
	EXPECT_EQ(1, info_of(self->e[0]).received);
	io_uring_queue_exit(&self->ring);
}

/* A peer has done it, and its group ends before its task has answered: it is done. */
TEST_F(uring, an_end_before_the_task_has_answered)
{
	int v = 7, g = root();
	struct racer r = RACER(r_command, self->e[0], .under = g, .point = "uring_finish");

	r.deadline = CHAN_FOREVER;
	ASSERT_TRUE(race_begin(&r, false));
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	EXPECT_EQ(0, chan_send(self->e[1], &v, 4, -1, CHAN_NOW));
	ASSERT_TRUE(stopped_at("uring_finish", ANY));
	EXPECT_EQ(0, chan_cancel(g, 0, NULL));
	EXPECT_EQ(-EAGAIN, chan_send(self->e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(4, race_finish(&r));
	EXPECT_EQ(7, r.buf[0]);
	EXPECT_EQ(1, info_of(self->e[0]).received);
	io_uring_queue_exit(&self->ring);
	close(g);
}

/* The ring ends, and a peer comes while the command is taken back: it meets nobody. */
TEST_F(uring, a_peer_while_the_ring_ends)
{
	int v = 7;

	ASSERT_TRUE(submit(&self->ring, self->e[0], &self->x, self->buf, -1, CHAN_FOREVER));
	ASSERT_TRUE(parked(self->e[0], 0, 1));
	ASSERT_TRUE(stop_at("uring_finish", ANY, NULL));
	io_uring_queue_exit(&self->ring);
	ASSERT_TRUE(stopped_at("uring_finish", ANY));
	EXPECT_EQ(-EAGAIN, chan_send(self->e[1], &v, 4, -1, CHAN_NOW));
	ASSERT_TRUE(go_on("uring_finish", ANY));
	EXPECT_TRUE(parked(self->e[0], 0, 0));
	EXPECT_EQ(0, info_of(self->e[0]).sent);
}

/* Submit a receive, or a send, and stop in another call: the task work has to wait. */
static long r_busy_receiver(struct racer *r)
{
	struct io_uring ring;
	struct kchan_xfer x;

	if (io_uring_queue_init(4, &ring, 0) ||
	    !submit(&ring, r->fd, &x, r->buf, -1, r->deadline))
		return -9997;
	return chan_send(r->other, r->buf, 4, -1, CHAN_NOW);
}

static long r_busy_sender(struct racer *r)
{
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	struct kchan_xfer x;

	if (io_uring_queue_init(4, &ring, 0))
		return -9997;
	sqe = io_uring_get_sqe(&ring);
	chan_prep_send(sqe, r->fd, &x, r->buf, 4, -1, r->deadline);
	if (io_uring_submit(&ring) != 1)
		return -9997;
	return chan_recv(r->other, r->buf, 4, -1, CHAN_NOW);
}

/*
 * The submitter is killed while the peer that has chosen its command still has the locks. It
 * does not look for the command, for which it would wait for the peer: its task has been asked
 * for that already. What was sent to it goes back, and what it has sent stays sent.
 */
TEST_F(uring, a_kill_of_the_submitter_while_the_peer_has_the_lock)
{
	for (int tx = 0; tx < 2; tx++) {
		struct racer *r = shared(sizeof(*r));
		struct racer s = RACER(tx ? r_recv : r_send, self->e[!tx], .point = "made_done",
				       .until = "uring_finish");
		int other[2], v = 7;

		ASSERT_EQ(0, chan_make(other, 4, 1, 0));
		*r = (struct racer)RACER(tx ? r_busy_sender : r_busy_receiver, self->e[tx],
					 .other = other[!tx], .point = tx ? "recv" : "send");
		r->deadline = CHAN_FOREVER;
		memcpy(tx ? r->buf : s.buf, &v, 4);
		ASSERT_TRUE(race_begin(r, true));
		ASSERT_TRUE(stopped_at(r->point, ANY));
		ASSERT_TRUE(parked(self->e[0], tx, !tx));
		ASSERT_TRUE(race_start(&s));
		ASSERT_EQ(0, kill(r->p.pid, SIGKILL));
		EXPECT_EQ(-SIGKILL, party_end(&r->p));
		EXPECT_EQ(tx ? 4 : 0, race_end(&s));
		v = 0;
		if (tx)
			memcpy(&v, s.buf, 4);
		else
			EXPECT_EQ(4, chan_recv(self->e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(7, v);
		EXPECT_EQ(tx + 1, info_of(self->e[0]).sent);
		EXPECT_EQ(tx + 1, info_of(self->e[0]).received);
		EXPECT_TRUE(parked(self->e[0], 0, 0));
		close2(other);
		munmap(r, sizeof(*r));
	}
	io_uring_queue_exit(&self->ring);
}

TEST_HARNESS_MAIN
