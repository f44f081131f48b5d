/* SPDX-License-Identifier: MIT */
/*
 * How a group ends and how members come and go: the algorithm of kmod/group.c. Two
 * joiners of a group with one place, of whom the second may give up at any time;
 * one that has joined leaves, and its last owner closes at the same time; two
 * causes that end the group, a cancel and a deadline; and a caller that waits until
 * no member is left. WORLD 1: a member that fails ends the group. BUG leaves out one
 * step; README.md has the list.
 *
 * tree is the tree's mutex. What group->lock protects is done in one step, as in
 * select.pml; a waiter's own lock nests in it, so its state changes in the same step.
 */
#ifndef WORLD
#define WORLD 0
#endif
#ifndef BUG
#define BUG 0
#endif

#define NJ	2		/* joiners */
#define LIMIT	1

#define PENDING	0
#define DONE	1
#define ABORTED	2

#define CANCEL	1		/* causes */
#define LATE	2
#define FAILED	3

bool tree;
byte end;			/* of the group: 0, or its cause, never changed */
byte marks;			/* how often it was set */
byte members, failed;
chan joiners = [NJ] of { byte };
bool idler;			/* the waiter is queued */
byte state[NJ], istate;

bool linked[NJ], left[NJ], ended[NJ];	/* the members: on the list of children; left; ended */
byte held;			/* places that somebody works in */
bool cancelled;			/* a chan_cancel() has returned */
bool joined[NJ], over[NJ], released;
bool none_seen;			/* since the waiter came, members was 0 */
byte todo, n;			/* scratch within one step */

inline lock()	{ atomic { !tree -> tree = true } }
inline unlock()	{ tree = false }

/* release_place(): a free place goes to the first joiner that still waits */
inline release_place()
{
	todo = 1;
	do
	:: todo && !end && len(joiners) > 0 ->
		joiners?n;
		if
		:: state[n] == PENDING || BUG == 1 ->
			if :: state[n] == PENDING -> state[n] = DONE :: else fi;
			todo = 0
		:: else
		fi
	:: else -> break
	od;
	if :: todo -> members-- :: else fi;
	todo = 0; n = 0
}

/* count_out(): group->lock */
inline count_out(err)
{
	atomic {
		if :: err -> failed++ :: else fi;
		if :: BUG == 8 -> release_place() :: else fi;
		if
		:: members == (BUG == 8 -> 0 : 1) ->
			none_seen = true;
			if
			:: idler && BUG != 6 -> idler = false;
				if :: istate == PENDING -> istate = DONE :: else fi
			:: else
			fi
		:: else
		fi;
		if :: BUG != 8 -> release_place() :: else fi;
		assert(!idler || members > 1 || BUG == 6)
	}
}

/* end_for() and cascade(): the tree's mutex is held */
inline end_for(cause)
{
	if
	:: end && BUG != 3	/* the first cause wins */
	:: else ->
		atomic { end = cause; marks++ };
		/* whoever joined is on the list: all of them end here */
		atomic {
			if :: linked[0] -> ended[0] = true :: else fi;
			if :: linked[1] -> ended[1] = true :: else fi
		};
		/* the joiners, some in each hold of group->lock */
		do
		:: atomic { len(joiners) > 0 && BUG != 4 ->
			joiners?n;
			if :: state[n] == PENDING -> state[n] = ABORTED :: else fi;
			n = 0 }
		:: else -> break
		od
	fi
}

/* kgroup_leave(): by the member, or by its last owner's close */
inline leave(me, err)
{
	lock();
	if
	:: left[me] && BUG != 5	/* somebody was first */
	:: else ->
		left[me] = true;
		ended[me] = true;
		linked[me] = false;
		if :: WORLD == 1 && err -> end_for(FAILED) :: else fi;
		atomic { held-- };
		count_out(err)
	fi;
	unlock()
}

proctype closer(byte me)
{
	leave(me, 1)
}

proctype joiner(byte me)
{
	byte r;			/* 0: has a place; 1: the group has ended; 2: gave up */

	/* take_place() and the queue, in one hold of group->lock */
	atomic {
		if
		:: end -> r = 1
		:: !end && members < LIMIT -> members++; r = 0
		:: else -> r = 3;
			if :: BUG != 2 -> joiners!me :: else fi
		fi
	};
	if
	:: r == 3 ->
		if	/* kchan_sleep(), kchan_waiter_settle() */
		:: state[me] != PENDING
		:: me == 1 -> atomic { if :: state[me] == PENDING -> state[me] = ABORTED; r = 2 :: else fi }
		fi;
		atomic {
			if :: joiners??[eval(me)] -> joiners??eval(me) :: else fi;
			if
			:: r == 2
			:: r != 2 && state[me] == DONE -> r = 0
			:: else -> r = 1
			fi
		}
	:: else
	fi;
	if
	:: r == 0 ->
		lock();
		if
		:: end && BUG != 7 ->	/* ended since: the place goes back */
			count_out(0);
			unlock()
		:: else ->
			atomic {
				linked[me] = true; joined[me] = true;
				held++;
				assert(held <= LIMIT)
			};
			unlock();
			run closer(me);
			leave(me, 1)
		fi
	:: else
	fi;
	over[me] = true
}

/* chan_cancel() */
proctype canceller()
{
	lock();
	end_for(CANCEL);
	unlock();
	cancelled = true
}

/* the work that a deadline's timer has queued */
proctype deadline()
{
	lock();
	end_for(LATE);
	unlock()
}

/* chan_wait() */
proctype waiter()
{
	atomic {
		none_seen = (members == 0);
		if
		:: members == 0 -> istate = DONE
		:: else -> idler = true
		fi
	};
	istate != PENDING;
	assert(none_seen);
	released = true
}

/* when a cancel has returned, no member is live that had joined before */
proctype watcher()
{
	do
	:: atomic { cancelled && linked[0] && !(ended[0] || left[0]) -> assert(false) }
	:: atomic { cancelled && linked[1] && !(ended[1] || left[1]) -> assert(false) }
	:: timeout -> break
	od
}

init
{
	atomic {
		run joiner(0); run joiner(1);
		run canceller(); run deadline();
		run waiter(); run watcher()
	};
	timeout;
	/* nobody can go on: all is over, no place is lost, one cause was given */
	assert(!tree && over[0] && over[1] && released);
	assert(members == 0 && held == 0);
	assert(marks == 1);
	assert(len(joiners) == 0)
}
