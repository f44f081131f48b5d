/* SPDX-License-Identifier: MIT */
/*
 * Races that are made to happen: a thread stops at a pause point of the module, between
 * two steps, and goes on when the test has done what these race with. kmod/pause.h says
 * how; the points are in a build of the module for tests.
 */
#ifndef RACE_UTIL_H
#define RACE_UTIL_H

#include "group_util.h"
#include "quota.h"
#include "harness.h"

#define ANY	0	/* whoever comes first */

static int pause_fd = -1;

/* Of each test: begin anew. All of it runs on one processor, but see stop_at(). */
static inline bool pause_open(void)
{
	pause_fd = open("/sys/kernel/debug/kchan/pause", O_RDWR | O_CLOEXEC);
	return pause_fd >= 0 && one_cpu();
}

static inline bool pause_command(const char *what, const char *point, int tid, const char *until)
{
	char line[100];
	int n = snprintf(line, sizeof(line), "%s %s %d %s", what, point, tid, until ?: "");

	if (write(pause_fd, line, n) == n)
		return true;
	fprintf(stderr, "# %s: %s\n", line, strerror(errno));
	return false;
}

/* Does a thread spin at @point? The module knows. */
static inline bool spins_at(const char *point)
{
	FILE *f = fopen("/sys/kernel/debug/kchan/spins", "re");
	char name[32];
	bool spins = false;

	if (!f)
		perror("# /sys/kernel/debug/kchan/spins");
	while (f && !spins && fscanf(f, "%31s", name) == 1)
		spins = !strcmp(point, name);
	if (f)
		fclose(f);
	return spins;
}

/*
 * When the thread @tid comes to @point, it stops; until another comes to @until, if that is set.
 * One that spins there would keep from running who is queued behind it, and whom it waits for
 * perhaps: it has a processor of its own.
 */
static inline bool stop_at(const char *point, int tid, const char *until)
{
	return (!spins_at(point) || stay_on(1, tid)) && pause_command("stop", point, tid, until);
}

/* Does the file say "@what POINT TID"? */
static inline bool pause_says(const char *what, const char *point, int tid)
{
	char text[1000], line[100];
	ssize_t n = pread(pause_fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return false;
	text[n] = 0;
	if (tid == ANY)
		snprintf(line, sizeof(line), "%s %s ", what, point);
	else
		snprintf(line, sizeof(line), "%s %s %d\n", what, point, tid);
	return strstr(text, line);
}

static inline bool stopped_at(const char *point, int tid)
{
	for (int i = 0; i < PATIENCE; i++, usleep(1000)) {
		if (pause_says("stopped", point, tid))
			return true;
		if (pause_says("gave-up", point, tid))
			break;
	}
	fprintf(stderr, "# nobody stops at %s\n", point);
	return false;
}

static inline bool go_on(const char *point, int tid)
{
	return pause_command("go", point, tid, NULL);
}

/* Nobody has waited in vain. */
static inline bool pause_close(void)
{
	char text[1000];
	ssize_t n = pread(pause_fd, text, sizeof(text) - 1, 0);
	bool ok;

	text[n > 0 ? n : 0] = 0;
	ok = n >= 0 && !strstr(text, "gave-up");
	if (!ok)
		fprintf(stderr, "# a thread waited for long at a pause point: %s\n", text);
	close(pause_fd);
	return ok;
}

#define RACES(name)							\
	FIXTURE(name) { int unused; };					\
	FIXTURE_SETUP(name)						\
	{								\
		self->unused = 0;					\
		ASSERT_TRUE(pause_open());				\
	}								\
	FIXTURE_TEARDOWN(name)						\
	{								\
		EXPECT_TRUE(pause_close());				\
	}

/*
 * One of those who race: a call on a thread, or in a process with shared() memory. With
 * @point it stops there, and race_start() returns when it does.
 */
struct racer {
	struct party p;
	long (*fn)(struct racer *r);
	const char *point, *until;
	int fd, other, under;		/* what fn takes; under: 0 is none */
	int64_t deadline;
	char buf[64];
	long ret;
};

static inline int racer_main(void *arg)
{
	struct racer *r = arg;
	int tid = gettid();

	if (r->point)
		WANT(stop_at(r->point, tid, r->until));
	__atomic_store_n(&r->ret, r->fn(r), __ATOMIC_RELEASE);
	return 0;
}

static inline bool race_begin(struct racer *r, bool process)
{
	r->ret = -9999;
	return party_start(&r->p, process, racer_main, r);
}

static inline bool race_start(struct racer *r)
{
	return race_begin(r, false) && stopped_at(r->point, ANY);
}

/*
 * The same of a call that stops at its point when its deadline has passed, and would not
 * come there at all if that were over before it has begun to wait.
 */
static inline bool race_start_timed(struct racer *r)
{
	for (int64_t ms = 20; ms < PATIENCE; ms *= 2) {
		r->deadline = chan_after(ms * MS);
		if (!race_begin(r, false))
			return false;
		while (!pause_says("stopped", r->point, ANY)) {
			if (__atomic_load_n(&r->ret, __ATOMIC_ACQUIRE) != -9999)
				break;
			usleep(1000);
		}
		if (pause_says("stopped", r->point, ANY))
			return true;
		party_end(&r->p);
		if (!pause_close() || !pause_open())	/* nothing is armed any more */
			return false;
	}
	return false;
}

static inline int race_tid(struct racer *r)
{
	return __atomic_load_n(&r->p.tid, __ATOMIC_ACQUIRE);
}

/* What it returned. */
static inline long race_end(struct racer *r)
{
	int ret = party_end(&r->p);

	return ret ? -10000 - ret : r->ret;
}

/* It goes on from its point, to its end. */
static inline long race_finish(struct racer *r)
{
	return go_on(r->point, ANY) ? race_end(r) : -9998;
}

static inline long r_recv(struct racer *r)
{
	return chan_recv(r->fd, r->buf, sizeof(r->buf), r->under ?: -1, r->deadline);
}

static inline long r_send(struct racer *r)
{
	return chan_send(r->fd, r->buf, 4, r->under ?: -1, r->deadline);
}

static inline long r_join(struct racer *r) { return chan_join(r->fd, r->under ?: -1, r->deadline); }
static inline long r_wait(struct racer *r) { return chan_wait(r->fd, NULL, r->under ?: -1, r->deadline); }
static inline long r_leave(struct racer *r) { return chan_leave(r->fd, EIO, "left"); }
static inline long r_cancel(struct racer *r) { return chan_cancel(r->fd, EIO, "cancelled"); }
static inline long r_close(struct racer *r) { return close(r->fd); }
static inline long r_made(struct racer *r) { return chan_group(r->fd, r->deadline, 0, 0); }
static inline long r_below(struct racer *r) { return chan_group(r->fd, CHAN_FOREVER, 0, 0); }

/* A racer that calls fn(FD). */
#define RACER(fn_, fd_, ...)	{ .fn = fn_, .fd = fd_, .deadline = SOON, __VA_ARGS__ }

#endif
