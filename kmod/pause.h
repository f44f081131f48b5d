/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pause points: where a test stops a thread between two steps, until others have done
 * what these race with. A module built with KCHAN_TEST=1 has them; elsewhere
 * kchan_pause() is nothing, though its points' names are looked at.
 *
 * /sys/kernel/debug/kchan/pause takes a command a write:
 *
 *   stop POINT TID [OTHER]	when thread TID, or with 0 any, next comes to POINT, it
 *				stops there, until another thread comes to OTHER
 *   go POINT TID		it moves on; with 0, all that have stopped at POINT
 *
 * and tells, a line each, who has "stopped POINT TID", and where one "gave-up POINT TID"
 * after 120 seconds, or 15 where it spins: then the test has failed. Opening the file
 * begins anew, closing it lets all go on. A thread that is killed does not stay.
 *
 * A point that SPINS is under a spinlock, or in a thread that is about to sleep: what
 * it waits for needs another processor, and not that lock. A test keeps the two apart.
 */
#ifndef KCHAN_PAUSE_H
#define KCHAN_PAUSE_H

#define KCHAN_PAUSE_POINTS(SLEEPS, SPINS)	\
	SLEEPS(armed_done)			\
	SLEEPS(armed_fetching)			\
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
	SLEEPS(select_looked)			\
	SLEEPS(select_probed)			\
	SLEEPS(select_queued)			\
	SLEEPS(select_sampled)			\
	SLEEPS(select_unpoked)			\
	SLEEPS(select_woken)			\
	SLEEPS(send)				\
	SLEEPS(settle)				\
	SLEEPS(unpark)				\
	SLEEPS(uring_finish)			\
	SLEEPS(uring_late)			\
	SLEEPS(value_looked)			\
	SPINS(handed)				\
	SPINS(made_done)			\
	SPINS(pair)				\
	SPINS(pair_half)			\
	SPINS(park)				\
	SPINS(sleep)

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
