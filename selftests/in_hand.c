// SPDX-License-Identifier: MIT
/*
 * A message in a receiver's hand is charged to somebody until it has been copied out: who
 * makes receivers stand still in that has no more memory for it than any other.
 */
#include <limits.h>

#include <linux/userfaultfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "quota.h"
#include "harness.h"

#define LEN		65536
#define RECEIVERS	64
#define QUOTA		(1 << 20)	/* beyond what is held already */
#define FIT		(QUOTA / LEN)

static char message[LEN];

FIXTURE(in_hand) { unsigned long bytes; };

FIXTURE_SETUP(in_hand)
{
	self->bytes = param_get("max_user_bytes");
	ASSERT_LT(0, self->bytes);
}

FIXTURE_TEARDOWN(in_hand)
{
	param_set("max_user_bytes", self->bytes);
}

/* ---- receivers that stand in a page fault ---- */

enum { RECV, READ, SELECT, BATCH, UNDER, WAYS };

struct receiver {
	pthread_t t;
	int way, rx, group;
	char *buf;
	long ret;
	bool over;
};

static void *receive(void *arg)
{
	struct receiver *r = arg;
	struct chan_case c = chan_recv_case(r->rx, r->buf, LEN);
	struct chan_msg m = { .buf = r->buf, .len = LEN };

	switch (r->way) {
	case RECV:
		r->ret = chan_recv(r->rx, r->buf, LEN, -1, CHAN_FOREVER);
		break;
	case READ:
		r->ret = read(r->rx, r->buf, LEN);
		r->ret = r->ret < 0 ? -errno : r->ret;
		break;
	case SELECT:
		r->ret = chan_select(&c, 1, 0, -1, SOON);
		r->ret = r->ret ? r->ret : c.msg.res;
		break;
	case BATCH:
		r->ret = chan_recvm(r->rx, &m, 1, -1, CHAN_FOREVER);
		r->ret = r->ret == 1 ? m.res : r->ret;
		break;
	default:
		r->ret = chan_recv(r->rx, r->buf, LEN, r->group, SOON);
	}
	__atomic_store_n(&r->over, true, __ATOMIC_RELEASE);
	return NULL;
}

struct trap { int fd; char *at; };

static void trap_set(struct trap *t)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	t->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	NEED(t->fd >= 0 && !ioctl(t->fd, UFFDIO_API, &api));
	t->at = mmap(NULL, RECEIVERS * LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(t->at != MAP_FAILED);
	reg.range.start = (uintptr_t)t->at;
	reg.range.len = RECEIVERS * LEN;
	NEED(!ioctl(t->fd, UFFDIO_REGISTER, &reg));
}

static void trap_free(struct trap *t)
{
	struct uffdio_zeropage z = { .range = { (uintptr_t)t->at, RECEIVERS * LEN } };

	NEED(!ioctl(t->fd, UFFDIO_ZEROPAGE, &z));
}

static bool over(struct receiver *r)
{
	return __atomic_load_n(&r->over, __ATOMIC_ACQUIRE);
}

/*
 * A message goes to @r, which waits for it: 0, or the send's error. Or it is in the buffer,
 * wherever it came from, and @r comes for it: 0, or that receive's.
 */
static int give(struct receiver *r, int *e, bool buffered, unsigned long limit)
{
	int err;

	if (!buffered) {
		NEED(!pthread_create(&r->t, NULL, receive, r));
		NEED(parked(e[0], 0, 1));
		err = chan_send(e[1], message, LEN, -1, CHAN_NOW);
		if (err) {
			NEED(!chan_shut(e[1], 0));
			pthread_join(r->t, NULL);
		}
		return err;
	}
	NEED(!param_set("max_user_bytes", LONG_MAX));
	NEED(!chan_send(e[1], message, LEN, -1, CHAN_NOW));
	NEED(!param_set("max_user_bytes", limit));
	NEED(!pthread_create(&r->t, NULL, receive, r));
	while (info_of(e[0]).len && !over(r))
		usleep(1000);
	if (!info_of(e[0]).len)
		return 0;
	pthread_join(r->t, NULL);
	return r->ret;
}

struct plan { int way; bool buffered; };

static void hold_what_fits(void *arg)
{
	struct plan *p = arg;
	struct receiver r[RECEIVERS] = { };
	int e[2], n = 0, err = 0, group = chan_group(-1, CHAN_FOREVER, 0, 0);
	unsigned long before;
	struct trap t;

	NEED(give_up_exemption());
	NEED(!chan_make(e, LEN, p->buffered, 0));
	trap_set(&t);
	before = least_bytes();
	NEED(!param_set("max_user_bytes", before + QUOTA));
	for (; n < RECEIVERS; n++) {
		r[n] = (struct receiver){ .way = p->way, .rx = e[0], .group = group,
					  .buf = t.at + n * LEN };
		err = give(&r[n], e, p->buffered, before + QUOTA);
		if (err)
			break;
	}
	NEED(err == -EDQUOT);
	NEED(n >= FIT / 2 && n <= FIT);
	trap_free(&t);
	for (int i = 0; i < n; i++) {
		NEED(!pthread_join(r[i].t, NULL));
		NEED(r[i].ret == LEN);
	}
	/* what came back is free for others, and what could not be taken has stayed */
	if (p->buffered) {
		NEED(info_of(e[0]).len == 1);
		NEED(chan_recv(e[0], t.at, LEN, -1, CHAN_NOW) == LEN);
	}
	NEED(info_of(e[0]).received == n + p->buffered);
	NEED(!param_set("max_user_bytes", LONG_MAX));
	NEED(least_bytes() <= before);
}

TEST_F(in_hand, receivers_hold_no_more_than_their_quota)
{
	for (int way = 0; way < WAYS; way++)
		for (int buffered = 0; buffered < 2; buffered++) {
			struct plan p = { way, buffered };

			EXPECT_EQ(0, as_user(0, hold_what_fits, &p))
				TH_LOG("way %d, buffered %d", way, buffered);
			param_set("max_user_bytes", self->bytes);
		}
}

/* ---- whose exemption it is ---- */

#define ARMED	(2 * FIT)

static void arm_all(int rx, int *armed, char *buf)
{
	struct chan_case c = chan_recv_case(rx, buf, LEN);

	for (int i = 0; i < ARMED; i++) {
		armed[i] = chan_arm(&c, 1, 0);
		NEED(armed[i] >= 0);
	}
}

static void send_all(int tx)
{
	for (int i = 0; i < ARMED; i++)
		NEED(!chan_send(tx, message, LEN, -1, CHAN_NOW));
}

struct two { int e[2], go[2], back[2]; };

/* Not exempt: what it can't have is not charged to it, though the sender were exempt. */
static void arm_within_quota(void *arg)
{
	struct two *w = arg;
	int armed[ARMED], e[2];
	char x;

	arm_all(w->e[0], armed, message);
	NEED(write(w->back[1], "a", 1) == 1);
	NEED(read(w->go[0], &x, 1) == 1);
	NEED(!chan_make(e, 8, 1, 0));
	for (int i = 0; i < ARMED; i++) {
		struct chan_case c = chan_recv_case(w->e[0], message, LEN);

		NEED(!chan_fired(armed[i], &c, 1));
		NEED(c.msg.res == LEN);
	}
}

TEST_F(in_hand, a_sender_s_exemption_is_not_the_receiver_s)
{
	struct two w;
	pid_t pid;
	int status;
	char x;

	ASSERT_EQ(0, chan_make(w.e, LEN, 0, 0));
	ASSERT_EQ(0, pipe(w.go));
	ASSERT_EQ(0, pipe(w.back));
	ASSERT_EQ(0, chmod("/dev/kchan", 0666));
	ASSERT_EQ(0, param_set("max_user_bytes", QUOTA));
	pid = fork();
	if (!pid) {
		become(1000);
		arm_within_quota(&w);
		_exit(0);
	}
	ASSERT_EQ(1, read(w.back[0], &x, 1));
	send_all(w.e[1]);
	ASSERT_EQ(1, write(w.go[1], "g", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	chmod("/dev/kchan", 0600);
	close2(w.e);
	close2(w.go);
	close2(w.back);
}

static void send_as_user(void *arg)
{
	send_all(*(int *)arg);
}

/* An exempt receiver takes what it likes, and leaves none of it with a sender who is not. */
TEST_F(in_hand, a_receiver_s_exemption_holds_whoever_sends)
{
	int e[2], armed[ARMED];

	ASSERT_EQ(0, chan_make(e, LEN, 0, 0));
	ASSERT_EQ(0, param_set("max_user_bytes", QUOTA));
	arm_all(e[0], armed, message);
	EXPECT_EQ(0, as_user(1000, send_as_user, &e[1]));
	for (int i = 0; i < ARMED; i++) {
		struct chan_case c = chan_recv_case(e[0], message, LEN);

		EXPECT_EQ(0, chan_fired(armed[i], &c, 1));
		EXPECT_EQ(LEN, c.msg.res);
		close(armed[i]);
	}
	close2(e);
}

TEST_HARNESS_MAIN
