// SPDX-License-Identifier: MIT
/* The ends as a user of pipes meets them: read, write and all that a channel is not. */
#include <sys/sendfile.h>
#include <sys/stat.h>
#include "util.h"
#include "harness.h"

#define FAILS(err, call) do {		\
	errno = 0;			\
	EXPECT_EQ(-1, (long)(call));	\
	EXPECT_EQ(err, errno);		\
} while (0)

TEST(one_message_a_call_however_the_buffers_are_cut)
{
	char out[64], big[] = "0123456789abcdef";
	struct iovec w[3] = { { big, 3 }, { NULL, 0 }, { big + 3, 5 } };
	struct iovec r[3] = { { out, 1 }, { out + 10, 2 }, { out + 20, 10 } };
	void *volatile nowhere = (void *)8;
	int e[2];

	ASSERT_EQ(0, chan_make(e, 16, 4, 0));
	EXPECT_EQ(8, writev(e[1], w, 3));
	EXPECT_EQ(16, write(e[1], big, 16));
	EXPECT_EQ(2, (int)info_of(e[0]).len);
	EXPECT_EQ(8, (int)info_of(e[0]).next_len);
	FAILS(EMSGSIZE, read(e[0], out, 7));
	FAILS(EMSGSIZE, readv(e[0], r, 2));
	EXPECT_EQ(0, read(e[0], out, 0));	/* as with any file: nothing asked for */
	EXPECT_EQ(2, (int)info_of(e[0]).len);
	EXPECT_EQ(8, readv(e[0], r, 3));
	EXPECT_EQ(0, memcmp(out, "0", 1) | memcmp(out + 10, "12", 2) | memcmp(out + 20, "34567", 5));
	EXPECT_EQ(16, read(e[0], out, sizeof(out)));	/* not both */
	EXPECT_EQ(0, memcmp(out, big, 16));
	FAILS(EMSGSIZE, write(e[1], out, 17));
	FAILS(EINVAL, write(e[1], out, 0));
	FAILS(EFAULT, write(e[1], nowhere, 4));
	EXPECT_EQ(0, (int)info_of(e[0]).len);
	EXPECT_EQ(4, write(e[1], "abcd", 4));
	FAILS(EFAULT, read(e[0], nowhere, 4));
	EXPECT_EQ(1, (int)info_of(e[0]).len);
	EXPECT_EQ(4, read(e[0], out, 4));
	EXPECT_EQ(3, (int)info_of(e[0]).received);
	close2(e);
}

TEST(each_end_does_its_half_only)
{
	char b[8];
	int e[2];

	ASSERT_EQ(0, chan_make(e, 8, 2, 0));
	FAILS(EBADF, read(e[1], b, 8));
	FAILS(EBADF, write(e[0], "x", 1));
	FAILS(EBADF, readv(e[1], &(struct iovec){ b, 8 }, 1));
	FAILS(EBADF, writev(e[0], &(struct iovec){ b, 8 }, 1));
	EXPECT_EQ(0, (int)info_of(e[0]).sent);
	close2(e);
}

TEST(an_empty_message_is_EBADMSG_to_read_and_stays)
{
	struct iovec iov;
	char b[8];
	int e[2];

	iov = (struct iovec){ b, 8 };
	ASSERT_EQ(0, chan_make(e, 8, 2, 0));
	ASSERT_EQ(0, chan_send(e[1], NULL, 0, -1, CHAN_NOW));
	ASSERT_EQ(1, write(e[1], "x", 1));
	for (int i = 0; i < 3; i++) {
		FAILS(EBADMSG, read(e[0], b, 8));
		FAILS(EBADMSG, readv(e[0], &iov, 1));
	}
	EXPECT_EQ(2, (int)info_of(e[0]).len);
	EXPECT_EQ(0, chan_recv(e[0], b, 8, -1, CHAN_NOW));
	EXPECT_EQ(1, read(e[0], b, 8));
	close2(e);
	ASSERT_EQ(0, chan_make(e, 0, 2, 0));
	ASSERT_EQ(0, chan_send(e[1], NULL, 0, -1, CHAN_NOW));
	FAILS(EINVAL, read(e[0], b, 8));
	FAILS(EINVAL, write(e[1], b, 1));
	FAILS(EINVAL, write(e[1], b, 0));
	EXPECT_EQ(0, chan_recv(e[0], NULL, 0, -1, CHAN_NOW));
	close2(e);
}

TEST(O_NONBLOCK_and_RWF_NOWAIT_are_for_read_and_write_alone)
{
	char b[8] = "1234567";
	struct iovec iov = { b, 8 };
	int e[2], d;

	ASSERT_EQ(0, chan_make(e, 8, 1, 0));
	FAILS(EAGAIN, preadv2(e[0], &iov, 1, -1, RWF_NOWAIT));
	EXPECT_EQ(8, pwritev2(e[1], &iov, 1, -1, RWF_NOWAIT));
	FAILS(EAGAIN, pwritev2(e[1], &iov, 1, -1, RWF_NOWAIT));
	EXPECT_EQ(8, preadv2(e[0], &iov, 1, -1, RWF_NOWAIT));
	d = dup(e[0]);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, fcntl(e[i], F_SETFL, O_NONBLOCK));
	FAILS(EAGAIN, read(e[0], b, 8));
	FAILS(EAGAIN, read(d, b, 8));	/* it is the open file's */
	EXPECT_EQ(8, write(e[1], b, 8));
	FAILS(EAGAIN, write(e[1], b, 8));
	/* these wait all the same */
	EXPECT_EQ(-ETIMEDOUT, chan_send(e[1], b, 8, -1, chan_after(5 * MS)));
	EXPECT_EQ(8, read(e[0], b, 8));
	EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], b, 8, -1, chan_after(5 * MS)));
	ASSERT_EQ(0, chan_shut(e[1], EIO));
	EXPECT_EQ(0, read(e[0], b, 8));
	FAILS(EPIPE, write(e[1], b, 8));
	close(d);
	close2(e);
}

TEST(what_a_channel_is_not_fails_and_moves_nothing)
{
	int e[2], p[2], file, n;
	struct stat st;
	loff_t off = 0;
	char b[8] = "abc";

	ASSERT_EQ(0, chan_make(e, 8, 2, 0));
	ASSERT_EQ(0, pipe(p));
	file = memfd_create("file", 0);
	ASSERT_EQ(4, write(file, "data", 4));
	ASSERT_EQ(4, write(p[1], "data", 4));
	ASSERT_EQ(1, write(e[1], "x", 1));
	for (int i = 0; i < 2; i++) {
		for (int whence = SEEK_SET; whence <= SEEK_HOLE; whence++)
			FAILS(ESPIPE, lseek(e[i], 0, whence));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, i ? PROT_WRITE : PROT_READ, MAP_SHARED, e[i], 0));
		EXPECT_EQ(i ? EACCES : ENODEV, errno);	/* a mapping must be readable */
		FAILS(EINVAL, ftruncate(e[i], 0));
		FAILS(EINVAL, fsync(e[i]));
		if (i)		/* a receiving end tells the next message's length */
			FAILS(ENOTTY, ioctl(e[i], FIONREAD, &n));
		FAILS(ENOTDIR, fchdir(e[i]));
		FAILS(EBADF, fcntl(e[i], F_SETPIPE_SZ, 4096));
		FAILS(EBADF, fcntl(e[i], F_GETPIPE_SZ));
		EXPECT_EQ(0, fstat(e[i], &st));
		EXPECT_EQ(0, S_ISFIFO(st.st_mode) | S_ISREG(st.st_mode));
	}
	FAILS(ESPIPE, pread(e[0], b, 8, 0));
	FAILS(ESPIPE, pwrite(e[1], b, 1, 0));
	FAILS(ESPIPE, preadv2(e[0], &(struct iovec){ b, 8 }, 1, 0, 0));
	FAILS(EINVAL, splice(e[0], NULL, p[1], NULL, 8, 0));
	FAILS(EINVAL, splice(p[0], NULL, e[1], NULL, 4, 0));
	FAILS(EINVAL, sendfile(e[1], file, &off, 4));
	FAILS(EINVAL, sendfile(file, e[0], NULL, 4));
	FAILS(EINVAL, tee(e[0], p[1], 8, 0));
	FAILS(EINVAL, copy_file_range(e[0], NULL, file, NULL, 4, 0));
	EXPECT_EQ(1, (int)info_of(e[0]).len);
	EXPECT_EQ(1, (int)info_of(e[0]).sent);
	EXPECT_EQ(0, (int)info_of(e[0]).received);
	EXPECT_EQ(4, read(p[0], b, 8));
	EXPECT_EQ(1, read(e[0], b, 8));
	close2(e);
	close2(p);
	close(file);
}

/* ---- signals ---- */

static int *handled;		/* shared */

static void on_signal(int sig)
{
	__atomic_add_fetch(handled, 1, __ATOMIC_RELAXED);
}

static void handle(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	handled = shared(sizeof(*handled));
	sigaction(SIGUSR1, &sa, NULL);
}

enum { RECV, SEND, READ, WRITE, SELECT, FORMS };

struct waiting {
	int form, e[2], v;
	int64_t deadline;
	long ret;
};

static int wait_in(void *arg)
{
	struct waiting *w = arg;
	struct chan_case c[2] = {
		chan_recv_case(w->e[0], &w->v, 4), chan_send_case(w->e[1], &w->v, 4),
	};

	switch (w->form) {
	case RECV: w->ret = chan_recv(w->e[0], &w->v, 4, -1, w->deadline); break;
	case SEND: w->ret = chan_send(w->e[1], &w->v, 4, -1, w->deadline); break;
	case READ: w->ret = read(w->e[0], &w->v, 4); break;
	case WRITE: w->ret = write(w->e[1], &w->v, 4); break;
	case SELECT: w->ret = chan_select(c, 2, 0, -1, w->deadline); break;
	}
	if (w->ret == -1 && w->form != SELECT)
		w->ret = -errno;
	return 0;
}

THREADS_AND_PROCESSES(rdwr);

static void wake(struct party *p)
{
	syscall(SYS_tgkill, p->pid ? p->pid : getpid(), p->tid, SIGUSR1);
}

/* As with a pipe: who waits has asked already. */
TEST_F(rdwr, O_NONBLOCK_set_meanwhile_is_for_the_next_call)
{
	struct waiting *w = shared(sizeof(*w));
	int e[2], v = 3;

	for (int form = READ; form <= WRITE; form++) {
		int fd, sends = form == WRITE;
		struct party p;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		fd = e[sends];
		*w = (struct waiting){ form, { e[0], e[1] }, 9, SOON, 0 };
		ASSERT_TRUE(party_start(&p, variant->proc, wait_in, w));
		ASSERT_TRUE(parked(e[0], sends, !sends));
		ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
		usleep(20000);
		EXPECT_TRUE(parked(e[0], sends, !sends));
		ASSERT_EQ(sends ? 4 : 0, sends ? chan_recv(e[0], &v, 4, -1, SOON) :
						 chan_send(e[1], &v, 4, -1, SOON));
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(4, w->ret);
		if (sends)
			FAILS(EAGAIN, write(fd, &v, 4));
		else
			FAILS(EAGAIN, read(fd, &v, 4));
		close2(e);
	}
}

/* PX-05 */
TEST_F(rdwr, a_handler_without_SA_RESTART_is_EINTR_and_nothing_has_moved)
{
	struct waiting *w = shared(sizeof(*w));
	int e[2], v = 3;

	handle(0);
	for (int form = 0; form < FORMS; form++) {
		int sends = form == SEND || form == WRITE, both = form == SELECT;
		struct party p;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		*w = (struct waiting){ form, { e[0], e[1] }, 9, SOON, 0 };
		ASSERT_TRUE(party_start(&p, variant->proc, wait_in, w));
		ASSERT_TRUE(parked(e[0], sends | both, !sends));
		wake(&p);
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(-EINTR, w->ret)
			TH_LOG("form %d", form);
		EXPECT_EQ(9, w->v);
		EXPECT_TRUE(parked(e[0], 0, 0));
		EXPECT_EQ(-EAGAIN, chan_recv(e[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(0, (int)info_of(e[0]).sent);
		close2(e);
	}
}

/* PX-05: then the partner still finds it */
TEST_F(rdwr, a_handler_with_SA_RESTART_is_not_seen)
{
	struct waiting *w = shared(sizeof(*w));
	int e[2], v = 3;

	handle(SA_RESTART);
	for (int form = 0; form < FORMS; form++) {
		int sends = form == SEND || form == WRITE, both = form == SELECT;
		struct party p;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		*w = (struct waiting){ form, { e[0], e[1] }, 9, SOON, 0 };
		ASSERT_TRUE(party_start(&p, variant->proc, wait_in, w));
		for (int i = 0; i < 20; i++) {
			ASSERT_TRUE(parked(e[0], sends | both, !sends));
			wake(&p);
			usleep(500);
		}
		if (sends) {
			EXPECT_EQ(4, chan_recv(e[0], &v, 4, -1, SOON));
		} else {
			EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, SOON));
		}
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(form == RECV || form == READ || form == WRITE ? 4 : 0, w->ret)
			TH_LOG("form %d", form);
		EXPECT_LE(form + 1, *handled);
		EXPECT_EQ(1, (int)info_of(e[0]).sent);
		EXPECT_EQ(1, (int)info_of(e[0]).received);
		EXPECT_TRUE(parked(e[0], 0, 0));
		close2(e);
	}
}

enum { NOT_YET = 9999 };

/* Has @w started to wait? If its deadline passed before it did, try again. */
static bool waits_for(struct waiting *w, struct party *p, bool process, int form, int64_t ns)
{
	for (int i = 0; i < 10; i++) {
		int e[2];

		if (chan_make(e, 4, 0, 0))
			return false;
		*w = (struct waiting){ form, { e[0], e[1] }, 9, chan_after(ns), NOT_YET };
		if (!party_start(p, process, wait_in, w))
			return false;
		while (chan_after(0) < w->deadline) {
			struct chan_info in = info_of(e[0]);

			if (in.parked_senders == (form != RECV) && in.parked_receivers == (form != SEND))
				return true;
			sched_yield();
		}
		party_end(p);
		close2(e);
	}
	return false;
}

static bool ended(struct waiting *w)
{
	return __atomic_load_n(&w->ret, __ATOMIC_ACQUIRE) != NOT_YET;
}

/* PX-06: deadlines are absolute: restarts do not make them later */
TEST_F(rdwr, restarts_do_not_move_the_deadline)
{
	int forms[] = { RECV, SEND, SELECT };
	struct waiting *w = shared(sizeof(*w));

	handle(SA_RESTART);
	for (int k = 0; k < 3; k++) {
		int64_t late, deadline;
		struct party p;

		ASSERT_TRUE(waits_for(w, &p, variant->proc, forms[k], 300 * MS));
		deadline = w->deadline;
		late = deadline + 8000 * MS;
		while (!ended(w) && chan_after(0) < late) {	/* there is always one more to come */
			wake(&p);
			usleep(10000);
		}
		EXPECT_GT(late, chan_after(0));
		ASSERT_EQ(0, party_end(&p));
		EXPECT_EQ(-ETIMEDOUT, w->ret);
		EXPECT_LE(deadline, chan_after(0));
		EXPECT_EQ(0, (int)info_of(w->e[0]).sent);
		close2(w->e);
	}
}

/* ... nor does a stop: who goes on after it learns of it at once. */
TEST(a_stop_does_not_move_the_deadline)
{
	int forms[] = { RECV, SEND, SELECT };
	struct waiting *w = shared(sizeof(*w));

	for (int k = 0; k < 3; k++) {
		int64_t took = 0;

		for (int tries = 0; tries < 5; tries++) {
			int64_t go;
			struct party p;

			ASSERT_TRUE(waits_for(w, &p, true, forms[k], 1000 * MS));
			kill(p.pid, SIGSTOP);
			while (chan_after(0) < w->deadline + 100 * MS)
				usleep(10000);
			go = chan_after(0);
			kill(p.pid, SIGCONT);
			ASSERT_EQ(0, party_end(&p));
			took = chan_after(0) - go;
			EXPECT_EQ(-ETIMEDOUT, w->ret);
			EXPECT_EQ(0, (int)info_of(w->e[0]).sent);
			close2(w->e);
			if (took < 700 * MS)
				break;
		}
		EXPECT_GT(700 * MS, took) TH_LOG("form %d", k);
	}
}

/* A signal that nobody handles, while parked: gone at once, and nothing is left. RM-04 */
TEST(a_parked_call_sleeps_interruptibly_and_dies_of_SIGTERM)
{
	struct waiting *w = shared(sizeof(*w));
	int e[2], st;

	for (int form = 0; form < FORMS; form++) {
		int sends = form == SEND || form == WRITE, both = form == SELECT;
		char path[40], text[128] = "", *state;
		struct party p;
		FILE *f;

		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		*w = (struct waiting){ form, { e[0], e[1] }, 9, CHAN_FOREVER, 0 };
		ASSERT_TRUE(party_start(&p, true, wait_in, w));
		ASSERT_TRUE(parked(e[0], sends | both, !sends));
		ASSERT_TRUE(asleep_in(&p.tid, form == READ ? SYS_read : form == WRITE ? SYS_write : SYS_ioctl));
		snprintf(path, sizeof(path), "/proc/%d/stat", p.pid);
		f = fopen(path, "r");
		ASSERT_NE(NULL, f);
		ASSERT_NE(NULL, fgets(text, sizeof(text), f));
		fclose(f);
		state = strrchr(text, ')');
		ASSERT_NE(NULL, state);
		EXPECT_EQ('S', state[2]);
		kill(p.pid, SIGTERM);
		ASSERT_EQ(p.pid, waitpid(p.pid, &st, 0));
		EXPECT_EQ(SIGTERM, WTERMSIG(st));
		EXPECT_EQ(0, (int)(info_of(e[0]).parked_senders + info_of(e[0]).parked_receivers));
		EXPECT_EQ(1, (int)info_of(e[0]).senders);
		close2(e);
	}
}

TEST_HARNESS_MAIN
