// SPDX-License-Identifier: MIT
/* chan_info, /proc's fdinfo and chan_kind: every field, in every state. */
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include "util.h"
#include "harness.h"

static const struct { const char *name; unsigned at, size; } fields[] = {
#define FIELD(name, f) { name, offsetof(struct chan_info, f), sizeof(((struct chan_info *)0)->f) }
	FIELD("kchan-id", id), FIELD("kchan-msg-max", msg_max), FIELD("kchan-capacity", capacity),
	FIELD("kchan-len", len), FIELD("kchan-next-len", next_len),
	FIELD("kchan-senders", senders), FIELD("kchan-receivers", receivers),
	FIELD("kchan-parked-senders", parked_senders),
	FIELD("kchan-parked-receivers", parked_receivers),
	FIELD("kchan-sent", sent), FIELD("kchan-received", received), FIELD("kchan-dropped", dropped),
	FIELD("kchan-shut", shut), FIELD("kchan-send-err", send_err), FIELD("kchan-recv-err", recv_err),
};
#define NFIELDS (sizeof(fields) / sizeof(fields[0]))

static uint64_t field(const struct chan_info *in, unsigned i)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)in + fields[i].at, fields[i].size);	/* little endian */
	return v;
}

static bool fdinfo_line(int fd, const char *name, char *value)
{
	char path[40], line[256];
	size_t n = strlen(name);
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && !found && fgets(line, sizeof(line), f)) {
		found = !strncmp(line, name, n) && line[n] == ':';
		if (found)
			sscanf(line + n + 1, "%63s", value);
	}
	if (f)
		fclose(f);
	return found;
}

/* Both ends say what is wanted, and /proc says the same. */
static void says(struct __test_metadata *_metadata, const int *e, const struct chan_info *want,
		 const char *state)
{
	for (int side = 0; side < 2; side++) {
		struct chan_info in;
		char value[64];

		if (e[side] < 0)
			continue;
		memset(&in, 0xff, sizeof(in));
		ASSERT_EQ(0, chan_info(e[side], &in, sizeof(in)));
		EXPECT_EQ(0, (int)in.reserved);
		for (unsigned i = 0; i < NFIELDS; i++) {
			if (i)	/* any id will do, but the same */
				EXPECT_EQ(field(want, i), field(&in, i))
					TH_LOG("%s: %s", state, fields[i].name);
			ASSERT_TRUE(fdinfo_line(e[side], fields[i].name, value))
				TH_LOG("no %s", fields[i].name);
			EXPECT_EQ(field(&in, i), strtoull(value, NULL, 10))
				TH_LOG("%s: %s in fdinfo", state, fields[i].name);
		}
		ASSERT_TRUE(fdinfo_line(e[side], "kchan-role", value));
		EXPECT_EQ(0, strcmp(side ? "tx" : "rx", value));
	}
}
#define SAYS(state) says(_metadata, e, &w, state)

/* CH-05 */
TEST(every_field_in_every_state)
{
	struct chan_info w = { .msg_max = 300, .capacity = 2, .senders = 1, .receivers = 1 };
	char msg[300] = {};
	int e[2], d;

	ASSERT_EQ(0, chan_make(e, 300, 2, 0));
	SAYS("new");
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, chan_send(e[1], msg, i ? 300 : 7, -1, CHAN_NOW));
		w.len++;
		w.sent++;
		w.next_len = 7;
		SAYS("filling");
	}
	ASSERT_EQ(7, chan_recv(e[0], msg, 300, -1, CHAN_NOW));
	w.len = w.received = 1;
	w.next_len = 300;
	SAYS("one received");
	EXPECT_EQ(-EMSGSIZE, chan_recv(e[0], msg, 299, -1, CHAN_NOW));
	EXPECT_EQ(-EFAULT, chan_recv(e[0], (void *)8, 300, -1, CHAN_NOW));
	SAYS("after errors");
	d = dup(e[0]);
	w.receivers = 2;
	SAYS("two receivers");
	close(d);
	w.receivers = 1;
	d = dup(e[1]);
	w.senders = 2;
	SAYS("two senders");
	close(d);
	w.senders = 1;
	ASSERT_EQ(0, chan_shut(e[1], EIO));
	w.shut = KCHAN_SHUT_SEND;
	w.send_err = EIO;
	SAYS("shut by the sender");
	ASSERT_EQ(0, chan_shut(e[0], 4095));
	w.shut |= KCHAN_SHUT_RECV;
	w.recv_err = 4095;
	SAYS("shut by both");
	close(e[1]);
	e[1] = -1;
	w.senders = 0;
	SAYS("no sender");
	ASSERT_EQ(300, chan_recv(e[0], msg, 300, -1, CHAN_NOW));
	w.received = 2;
	w.len = w.next_len = 0;
	SAYS("drained");
	close(e[0]);
}

TEST(what_is_dropped_and_freed_is_counted)
{
	struct chan_info w = { .msg_max = 4, .capacity = 2, .senders = 1, .receivers = 1 };
	int e[2], v = 1;

	for (unsigned flag = CHAN_DROP_NEW; flag <= CHAN_DROP_OLD; flag <<= 1) {
		w = (struct chan_info){ .msg_max = 4, .capacity = 2, .senders = 1, .receivers = 1 };
		ASSERT_EQ(0, chan_make(e, 4, 2, flag));
		for (int i = 0; i < 5; i++)
			EXPECT_EQ(i > 1, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		w.sent = 5;
		w.len = 2;
		w.next_len = 4;
		w.dropped = 3;
		SAYS("dropping");
		close(e[0]);
		e[0] = -1;
		w.receivers = w.len = w.next_len = 0;
		w.dropped = 5;
		w.shut = KCHAN_SHUT_RECV;
		w.recv_err = EOWNERDEAD;
		SAYS("no receiver");
		close(e[1]);
	}
}

THREADS_AND_PROCESSES(info);

/* CH-05: who is parked is no message, and its call is no reference */
TEST_F(info, parked_calls_are_counted_and_are_no_references)
{
	struct op *o = shared(6 * sizeof(*o));

	for (int side = 0; side < 2; side++) {
		struct chan_info w = { .msg_max = 4, .senders = 1, .receivers = 1 };
		struct party p[3];
		int e[2];

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		for (int i = 0; i < 3; i++) {
			o[i] = (struct op){ .fd = e[side] };
			ASSERT_TRUE(party_start(&p[i], variant->proc, side ? party_send : party_recv, &o[i]));
			ASSERT_TRUE(parked(e[0], side ? i + 1 : 0, side ? 0 : i + 1));
			if (variant->proc) {	/* a child has both ends */
				w.senders++;
				w.receivers++;
			}
			w.parked_senders = side ? i + 1 : 0;
			w.parked_receivers = side ? 0 : i + 1;
			SAYS("parked");
		}
		ASSERT_EQ(0, chan_shut(e[0], 0));
		for (int i = 0; i < 3; i++) {
			EXPECT_EQ(0, party_end(&p[i]));
			/* a thread ends after it was joined, and shares the descriptors till then */
			while (!variant->proc && !syscall(SYS_tgkill, getpid(), p[i].tid, 0))
				usleep(100);
		}
		w = (struct chan_info){ .msg_max = 4, .senders = 1, .receivers = 1,
					.shut = KCHAN_SHUT_RECV };
		SAYS("nobody parked");
		close2(e);
	}
}

static int select_both(void *arg)
{
	struct op *o = arg;
	struct chan_case c[3] = {
		chan_recv_case(o->fd, &o->val, 4), chan_recv_case(o->fd, &o->val, 4),
		chan_send_case(o->val, &o->val, 4),
	};

	o->ret = chan_select(c, 3, 0, -1, SOON);
	return 0;
}

/* ... but for a call that is all that keeps its end open */
TEST(an_end_that_only_a_call_keeps_open_has_one_reference)
{
	struct op o = { .val = -1 };
	int e[2], v = 3;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	o.fd = e[0];
	pthread_create(&o.t, NULL, op_recv, &o);
	ASSERT_TRUE(parked(e[1], 0, 1));
	EXPECT_EQ(1, info_of(e[1]).receivers);
	close(e[0]);
	EXPECT_EQ(1, info_of(e[1]).receivers);
	ASSERT_EQ(0, chan_send(e[1], &v, 4, -1, SOON));
	pthread_join(o.t, NULL);
	EXPECT_EQ(3, o.val);
	EXPECT_EQ(0, info_of(e[1]).receivers);
	close(e[1]);
}

TEST_F(info, each_waiting_case_of_a_select_is_counted)
{
	struct op *o = shared(sizeof(*o));
	struct party p;
	int e[2], v;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	*o = (struct op){ .fd = e[0], .val = e[1] };
	ASSERT_TRUE(party_start(&p, variant->proc, select_both, o));
	EXPECT_TRUE(parked(e[0], 1, 2));
	EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
	EXPECT_EQ(0, party_end(&p));
	EXPECT_EQ(2, o->ret);
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
}

TEST(ids_are_never_used_again)
{
	uint64_t last = 0;
	int e[2];

	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		EXPECT_LT(last, info_of(e[0]).id);
		EXPECT_EQ(info_of(e[0]).id, info_of(e[1]).id);
		last = info_of(e[0]).id;
		close2(e);
	}
}

/* Older and newer callers. */
TEST(an_answer_is_as_long_as_its_caller_asks)
{
	unsigned char b[4096];
	struct chan_info in;
	int e[2];

	ASSERT_EQ(0, chan_make(e, 4, 3, 0));
	in = info_of(e[0]);
	for (unsigned size = 0; size <= sizeof(b); size += size < 130 ? 1 : 97) {
		memset(b, 0xff, sizeof(b));
		EXPECT_EQ(size < sizeof(in) ? -EINVAL : 0, chan_info(e[0], (void *)b, size));
		if (size < sizeof(in)) {
			EXPECT_EQ(0xff, b[0]);
			continue;
		}
		EXPECT_EQ(0, memcmp(b, &in, sizeof(in)));
		for (unsigned i = sizeof(in); i < sizeof(b); i++)
			ASSERT_EQ(i < size ? 0 : 0xff, b[i]);
	}
	EXPECT_EQ(-EINVAL, chan_info(e[0], (void *)b, 1 << 20));
	EXPECT_EQ(-EINVAL, chan_info(e[0], (void *)b, SIZE_MAX));
	EXPECT_EQ(-EFAULT, chan_info(e[0], NULL, sizeof(in)));
	EXPECT_EQ(-EFAULT, chan_info(e[0], (void *)8, sizeof(in)));
	close2(e);
}

/* PX-12 */
TEST(chan_kind_of_ours_and_of_foreign_descriptors)
{
	int e[2], p[2], sv[2], group, fds[16], n = 0, v = 0;
	uint64_t count = 1;
	struct chan_case c;
	sigset_t none;

	sigemptyset(&none);
	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	group = chan_group(-1, CHAN_FOREVER, 0, 0);
	c = chan_recv_case(e[0], &v, 4);
	struct { int fd, kind; } ours[] = {
		{ e[0], CHAN_RX }, { e[1], CHAN_TX }, { group, CHAN_GROUP },
		{ chan_watch(group), CHAN_WATCH }, { chan_join(group, -1, CHAN_NOW), CHAN_GROUP },
		{ chan_arm(&c, 1, 0), CHAN_ARMED },
	};
	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	fds[n++] = p[0];
	fds[n++] = p[1];
	fds[n++] = sv[0];
	fds[n++] = sv[1];
	fds[n++] = eventfd(1, EFD_NONBLOCK);
	fds[n++] = timerfd_create(CLOCK_MONOTONIC, 0);
	fds[n++] = signalfd(-1, &none, 0);
	fds[n] = inotify_init();
	if (fds[n] >= 0)
		n++;
	else
		ASSERT_EQ(ENOSYS, errno);	/* a kernel without */
	fds[n++] = epoll_create1(0);
	fds[n++] = open("/dev/null", O_RDWR);
	fds[n++] = open("/", O_RDONLY);
	fds[n++] = open("/dev/kchan", O_RDWR);
	fds[n++] = memfd_create("m", 0);
	for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		ASSERT_LE(0, ours[i].fd);
		EXPECT_EQ(ours[i].kind, chan_kind(ours[i].fd));
	}
	for (int i = 0; i < n; i++) {
		ASSERT_LE(0, fds[i]);
		EXPECT_EQ(-ENOTTY, chan_kind(fds[i]))
			TH_LOG("descriptor %d", i);
	}
	EXPECT_EQ(8, read(fds[4], &count, 8));	/* untouched */
	EXPECT_EQ(-EBADF, chan_kind(-1));
	EXPECT_EQ(-EBADF, chan_kind(-100));
	EXPECT_EQ(-EBADF, chan_kind(9999));
	EXPECT_EQ(-EBADF, chan_kind(INT32_MAX));
	EXPECT_EQ(-EBADF, chan_kind(INT32_MIN));
	for (int i = 0; i < n; i++)
		close(fds[i]);
	EXPECT_EQ(-EBADF, chan_kind(fds[0]));
}

TEST_HARNESS_MAIN
