/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pause points: where a test stops a thread between two steps until others have done what it
 * races with. Only a module built with KCHAN_TEST=1 has them; otherwise kchan_pause() does
 * nothing, but the names of its points are checked.
 *
 * /sys/kernel/debug/kchan/pause takes a command a write:
 *
 *   stop POINT TID [OTHER]	when thread TID, or with 0 any, next comes to POINT, it
 *				stops there, until another thread comes to OTHER
 *   go POINT TID		it moves on; with 0, all that have stopped at POINT
 *
 * Reading gives a line for each thread: "stopped POINT TID", or "gave-up POINT TID" if it has
 * waited for 120 seconds, or 15 where it spins, by which the test has failed. Opening the file
 * forgets all stops, and closing it lets all threads go on. A killed thread goes on too.
 *
 * /sys/kernel/debug/kchan/spins names the points that spin, one a line.
 *
 * A point that SPINS is under a spinlock, or in a thread that is about to sleep. Whatever it
 * waits for needs another processor, and must not need that lock: tests keep the two apart.
 */
#ifndef KCHAN_PAUSE_H
#define KCHAN_PAUSE_H

#define KCHAN_PAUSE_POINTS(SLEEPS, SPINS)	\
	SLEEPS(armed_done)			\
	SLEEPS(armed_fetching)			\
	SLEEPS(armed_fired)			\
	SLEEPS(armed_pending)			\
	SLEEPS(armed_rearming)			\
	SLEEPS(armed_release)			\
	SLEEPS(deliver)				\
	SLEEPS(end)				\
	SLEEPS(group_attach)			\
	SLEEPS(group_birth)			\
	SLEEPS(group_cancel)			\
	SLEEPS(group_expire)			\
	SLEEPS(group_leave)			\
	SLEEPS(group_marked)			\
	SLEEPS(group_queue)			\
	SLEEPS(group_relock)			\
	SLEEPS(join_has_place)			\
	SLEEPS(member_out)			\
	SLEEPS(owner_gone)			\
	SLEEPS(park_attached)			\
	SLEEPS(park_over)			\
	SLEEPS(poll_looked)			\
	SLEEPS(poll_queued)			\
	SLEEPS(recv)				\
	SLEEPS(relock)				\
	SLEEPS(select_look)			\
	SLEEPS(select_looked)			\
	SLEEPS(select_note)			\
	SLEEPS(select_probed)			\
	SLEEPS(select_queued)			\
	SLEEPS(select_sampled)			\
	SLEEPS(select_unpoked)			\
	SLEEPS(select_woken)			\
	SLEEPS(send)				\
	SLEEPS(settle)				\
	SLEEPS(unpark)				\
	SLEEPS(uring_finish)			\
	SLEEPS(uring_due)			\
	SLEEPS(value_looked)			\
	SLEEPS(value_passed)			\
	SPINS(handed)				\
	SPINS(made_done)			\
	SPINS(pair)				\
	SPINS(pair_half)			\
	SPINS(park)				\
	SPINS(sleep)				\
	SPINS(spin)				\
	SPINS(spun)				\
	SPINS(stale)				\
	SPINS(value_added)			\
	SPINS(value_begun)

#define KCHAN_PAUSE_NAME(name)	KCHAN_PAUSE_##name,
enum kchan_pause { KCHAN_PAUSE_POINTS(KCHAN_PAUSE_NAME, KCHAN_PAUSE_NAME) KCHAN_PAUSE_NR };
#undef KCHAN_PAUSE_NAME

#define kchan_pause(name)	kchan_pause_at(KCHAN_PAUSE_##name)

#ifdef KCHAN_PAUSE
void kchan_pause_at(enum kchan_pause at);
void kchan_pause_init(void);
void kchan_pause_exit(void);

#else
static inline void kchan_pause_at(enum kchan_pause at) { }
static inline void kchan_pause_init(void) { }
static inline void kchan_pause_exit(void) { }
#endif

#endif
