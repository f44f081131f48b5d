/* SPDX-License-Identifier: MIT */
/*
 * The ring of docs/design/mapped.md: senders and receivers that move messages by one
 * compare-and-swap each, without the kernel, and a kernel that parks and wakes them,
 * shuts the channel, and cleans up behind who is killed. WORLD says who there is; BUG
 * leaves out one step; README.md has the list.
 *
 * A process may be killed before each of its own steps and while it is parked, never
 * elsewhere in the kernel; what it does then is UNMAP and CLOSE. Steps of the kernel and of
 * users interleave: the lock keeps out other calls, not the users of the ring.
 * A message is two halves, written and read one at a time. Entries are one word.
 */
#ifndef WORLD
#define WORLD 0
#endif
#ifndef BUG
#define BUG 0
#endif

#if WORLD < 8

#define NONE	255

/* N: places; NS, NR: senders, receivers; K: messages of each sender; LATE: the last
 * sender begins with the buffer that a dead one left; SHUT: somebody shuts at any time */
#if WORLD == 0
#define N 1
#define NS 2
#define NR 1
#define K 1
#elif WORLD == 1
#define N 2
#define NS 2
#define NR 1
#define K 1
#define MORTAL 5
#elif WORLD == 2
#define N 1
#define NS 1
#define NR 2
#define K 2
#elif WORLD == 3
#define N 1
#define NS 2
#define NR 1
#define K 1
#define SHUT
#define MORTAL 1
#else
#define N 1
#define NS 2
#define NR 1
#define K 2
#define MORTAL 1
#define LATE
#endif
#ifndef MORTAL	/* which of them may be killed: nobody or one, or the first if 1 */
#define MORTAL 255
#endif

#define NB	(N + NS + 1)	/* buffers: in places, in senders' hands, the kernel's */
#define NP	(NS + NR)	/* processes: senders first */

/* an entry: its position, the buffer, sealed, full */
#define WORD(p, b, s, f)	((p) << 5 | (b) << 2 | (s) << 1 | (f))
#define POS(w)	((w) >> 5)
#define BUF(w)	((w) >> 2 & 7)
#define SEALED(w) ((w) >> 1 & 1)
#define FULL(w)	((w) & 1)

short e[N];			/* what users and kernel write */
byte lo[NB], hi[NB];
byte tail, head;		/* where to begin to look */
byte spare[NS], next[NS];	/* in whose hand a buffer is, or will be */

bool rx_parked, tx_parked, shut;	/* the gate: what the kernel alone writes */

bool klock;			/* the kernel's own */
bool live[NS];
byte kspare;
bool pool[NB];			/* buffers in nobody's hand */
chan rq = [NR] of { byte };
chan sq = [NS] of { byte };
byte give[NS];			/* a parked sender's message */

#define OK	1
#define END	2
byte woke[NP];

/* what was seen; message m is of sender m / K */
byte victim = NONE;		/* who is to be killed, at any time */
bool died, closing, over[NP];
byte got[NS * K];
byte own[NS];			/* the buffer in each sender's hand */
bool sent[NS * K], refused[NS * K];
byte tx_refs = NS, rx_refs = NR;

inline lock()		{ atomic { !klock -> klock = true } }

/* compare-and-swap: ok says how it went */
inline cas(P, OLD, NEW)
{
	if
	:: e[(P) % N] == OLD -> e[(P) % N] = NEW; ok = true
	:: else -> ok = false
	fi
}

inline die()		{ if :: true :: victim == me -> victim = NONE; died = true; goto dead fi }

inline received()
{
	assert(a == c && a != NONE);		/* whole */
	got[a]++;
	assert(got[a] == 1)			/* once */
}

/* The first message: r is OK, END or 0, a and c its halves. */
inline ktake()
{
	p = head;
	r = NONE;
	do
	:: r == NONE ->
		w = e[p % N];
		if
		:: POS(w) > p -> p++
		:: POS(w) <= p && FULL(w) ->
			assert(POS(w) == p);
			a = lo[BUF(w)];
			c = hi[BUF(w)];
			atomic {
				cas(p, w, WORD(p + N, BUF(w), SEALED(w), 0));
				if :: ok -> r = OK :: else fi
			}
			if :: r == OK -> head = p + 1 :: else fi
		:: POS(w) <= p && !FULL(w) -> r = (SEALED(w) -> END : 0)
		fi
	:: else -> break
	od
}

/* Message M into the next place: r is OK, END or 0. */
inline kput(M)
{
	atomic { lo[kspare] = M; hi[kspare] = M; p = tail }
	r = NONE;
	do
	:: r == NONE ->
		w = e[p % N];
		if
		:: POS(w) < p -> r = (SEALED(w) -> END : 0)
		:: POS(w) > p || (POS(w) == p && FULL(w)) -> p++
		:: POS(w) == p && !FULL(w) && SEALED(w) -> r = END
		:: POS(w) == p && !FULL(w) && !SEALED(w) ->
			atomic {
				cas(p, w, WORD(p, kspare, 0, 1));
				if :: ok -> r = OK; kspare = BUF(w) :: else fi
			}
			if :: r == OK -> tail = p + 1 :: else fi
		fi
	:: else -> break
	od
}

/* Do for those who are parked what can be done; then lower the gate. klock is held. */
inline serve()
{
	do
	:: true ->
		go = false;
		if
		:: nempty(rq) ->
			ktake();
			atomic {
				if
				:: r == OK -> received(); rq?x; woke[x] = OK; go = true
				:: r == END -> do :: rq?x -> woke[x] = END :: empty(rq) -> break od
				:: else
				fi
			}
		:: empty(rq)
		fi;
		if
		:: nempty(sq) && !shut ->
			sq?<x>;
			kput(give[x]);
			atomic { if :: r == OK -> sq?x; woke[x] = OK; go = true :: else fi }
		:: nempty(sq) && shut ->
			atomic { do :: sq?x -> woke[x] = END :: empty(sq) -> break od }
		:: empty(sq)
		fi;
		if :: !go -> break :: else fi
	od;
	atomic {
		rx_parked = nempty(rq) && BUG != 14;
		tx_parked = nempty(sq);
		x = 0; p = 0; w = 0
	}
}

/* Seal the place where the next message would go. klock is held. */
inline seal()
{
	shut = true;
	p = tail;
	do
	:: BUG == 6 -> break		/* not sealed */
	:: BUG != 6 ->
		w = e[p % N];
		if
		:: SEALED(w) && POS(w) <= p -> break
		:: POS(w) > p || (POS(w) == p && FULL(w)) -> p++
		:: else ->			/* free, or full of the round before */
			atomic { cas(p, w, w | 2); if :: ok -> break :: else fi }
		fi
	od
}

/* What a process does in the kernel, by op; Q and BIT are those of its side. */
#define LOOK	0	/* it saw the gate after it had changed the ring */
#define PARK	1	/* queue, raise the gate, look again */
#define LEAVE	2	/* killed while parked */
#define UNMAP	3	/* it ends: first the mapping goes, */
#define CLOSE	4	/* then its descriptor */

inline kernel(Q, BIT)
{
	lock();
	if
	:: op == PARK && BUG != 2 -> atomic { Q!me; BIT = true }
	:: op == LEAVE -> atomic { if :: woke[me] -> woke[me] = 0 :: else -> Q??eval(me) fi }
	:: else
	fi;
	if
	:: op == CLOSE && last -> seal()
	:: else
	fi;
	if
	:: (op == PARK && BUG == 3) || (op == UNMAP && BUG == 7) || (op == CLOSE && !last)
	:: else -> serve()
	fi;
	if
	:: op == PARK && BUG == 2 -> atomic { Q!me; BIT = true }
	:: else
	fi;
	atomic { klock = false; r = 0; a = 0; c = 0; ok = false; go = false }
}

/* Parked: r is how it ended; a kill ends it too. */
inline asleep()
{
	atomic {
		if
		:: woke[me] -> r = woke[me]; woke[me] = 0
		:: victim == me -> victim = NONE; died = true; op = LEAVE; goto call
		fi
	}
}

/* ---- a sender ---- */

#define mentioned(b)	(b == kspare || pool[b] || in_ring(b) || in_hand(b))
#if N == 1
#define in_ring(b)	(BUF(e[0]) == b)
#else
#define in_ring(b)	(BUF(e[0]) == b || BUF(e[1]) == b)
#endif
#define hand(i, b)	(live[i] && (spare[i] == b || (next[i] == b && BUG != 9)))
#if NS == 1
#define in_hand(b)	hand(0, b)
#else
#define in_hand(b)	(hand(0, b) || hand(1, b))
#endif
#define owned(b)	((live[0] && own[0] == b) || (live[NS - 1] && own[NS - 1] == b))

/* The dead one's buffer: the kernel sees it nowhere, and nobody has it. */
inline collect(ME)
{
	live[ME] = false;
	if
	:: BUG == 8 -> pool[spare[ME]] = true
	:: else ->
		x = 0;
		do
		:: x < NB ->
			if
			:: !mentioned(x) -> assert(!owned(x)); pool[x] = true
			:: else
			fi;
			x++
		:: else -> break
		od;
		x = 0
	fi;
	spare[ME] = NONE;
	next[ME] = NONE;
	own[ME] = NONE
}

#ifdef LATE	/* four buffers */
#define any_pooled	(pool[0] || pool[1] || pool[2] || pool[3])
#endif

proctype sender(byte me)
{
	byte r, p, x, a, c, op, m = me * K;
	short w;
	bool ok, go, last;

#ifdef LATE
	if
	:: me == NS - 1 ->
		atomic {
			any_pooled || closing ->
			x = 0;
			do
			:: x < NB && !pool[x] -> x++
			:: else -> break
			od;
			if
			:: x < NB -> pool[x] = false; spare[me] = x; own[me] = x; live[me] = true; x = 0
			:: else -> goto none
			fi
		}
	:: else
	fi;
#endif
	do
	:: m < me * K + K ->
		atomic {
			die();
			if :: rx_parked || tx_parked || shut -> goto slow :: else fi
		}
		if
		:: BUG != 4 ->
			atomic { die(); lo[spare[me]] = m }
			atomic { die(); hi[spare[me]] = m }
		:: else
		fi;
		atomic { die(); p = tail }
again:		atomic {
			die();
			w = e[p % N];
			if
			:: POS(w) > p || (POS(w) == p && FULL(w)) -> p++; goto again
			:: POS(w) < p && BUG != 5 -> goto slow			/* full */
			:: POS(w) == p && SEALED(w) -> goto slow
			:: else
			fi
		}
		atomic { die(); next[me] = BUF(w) }
		atomic {
			die();
			cas(p, w, WORD(p, spare[me], 0, 1));
			if :: ok -> own[me] = BUF(w) :: else fi
		}
		if :: !ok -> goto again :: else fi;
		if
		:: BUG == 4 ->
			atomic { die(); lo[spare[me]] = m }
			atomic { die(); hi[spare[me]] = m }
		:: else
		fi;
		atomic { die(); if :: BUG != 10 -> spare[me] = BUF(w) :: else fi }
		atomic {
			die();
			tail = p + 1; w = 0; p = 0;
			if
			:: (rx_parked || tx_parked) && BUG != 1 -> op = LOOK; goto call
			:: else -> goto done
			fi
		}
done:		atomic { die(); sent[m] = true; next[me] = NONE; m++; goto more }

slow:		atomic { w = 0; p = 0; give[me] = m; r = 0; op = PARK; goto call }
parked:		asleep();
		atomic {
			if :: r == OK -> sent[m] = true :: else -> refused[m] = true fi;
			r = 0;
			m++
		}
more:		skip
	:: else -> break
	od;
	closing;

dead:	atomic { op = UNMAP; goto call }
unmapped:
	atomic { w = 0; p = 0; !klock -> collect(me) }
none:	atomic { tx_refs--; last = !tx_refs; op = CLOSE }

call:	kernel(sq, tx_parked);
	atomic {
		if
		:: op == LOOK -> goto done
		:: op == PARK -> op = LOOK; goto parked
		:: op == LEAVE -> goto dead
		:: op == UNMAP -> goto unmapped
		:: op == CLOSE -> over[me] = true
		fi
	}
}

/* ---- a receiver ---- */

proctype receiver(byte me)
{
	byte r, p, x, a, c, op;
	short w;
	bool ok, go, last;

	do
	:: true ->
		atomic {
			die();
			if :: rx_parked || tx_parked -> goto slow :: else fi
		}
		atomic { die(); p = head }
again:		atomic {
			die();
			w = e[p % N];
			if
			:: POS(w) > p -> p++; goto again
			:: POS(w) <= p && !FULL(w) && BUG != 11 -> goto slow	/* none, or the end */
			:: else
			fi
		}
		if
		:: BUG == 12 -> atomic { die(); cas(p, w, WORD(p + N, BUF(w), SEALED(w), 0)) }
			if :: !ok -> goto again :: else fi
		:: else
		fi;
		atomic { die(); a = lo[BUF(w)] }
		atomic { die(); c = hi[BUF(w)] }
		if
		:: BUG == 12 -> received()
		:: BUG == 13 -> received(); e[p % N] = WORD(p + N, BUF(w), SEALED(w), 0)
		:: else ->
			atomic {
				die();
				cas(p, w, WORD(p + N, BUF(w), SEALED(w) && BUG != 15, 0));
				if :: ok -> received() :: else -> a = 0; c = 0; goto again fi
			}
		fi;
		atomic {
			die();
			head = p + 1; w = 0; p = 0; a = 0; c = 0;
			if
			:: (rx_parked || tx_parked) && BUG != 1 -> op = LOOK; goto call
			:: else -> goto more
			fi
		}
slow:		atomic { w = 0; p = 0; a = 0; c = 0; r = 0; op = PARK; goto call }
parked:		asleep();
		if :: r == END -> break :: else fi;
more:		atomic { r = 0; ok = false }
	od;

dead:	atomic { op = UNMAP; goto call }
unmapped:
	atomic { w = 0; p = 0; rx_refs--; last = !rx_refs; op = CLOSE }

call:	kernel(rq, rx_parked);
	atomic {
		if
		:: op == LOOK -> goto more
		:: op == PARK -> op = LOOK; goto parked
		:: op == LEAVE -> goto dead
		:: op == UNMAP -> goto unmapped
		:: op == CLOSE -> over[me] = true
		fi
	}
}

#ifdef SHUT
proctype shutter()
{
	byte r, p, x, a, c;
	short w;
	bool ok, go;

	lock();
	seal();
	serve();
	klock = false
}
#endif

/* When nobody can go on: who is parked has reason to be. Then all senders close. */
proctype watch()
{
	byte i;

	atomic {
		timeout ->
		assert(!klock);
		/* a message, or the end, and a receiver that sleeps */
		assert(empty(rq) || !(FULL(e[head % N]) && POS(e[head % N]) == head));
		i = 0;
		do
		:: i < N ->
			assert(empty(rq) || (!FULL(e[i]) && !shut));
			assert(empty(sq) || (FULL(e[i]) && !shut));
			i++
		:: else -> break
		od;
		closing = true
	}
	atomic {
		timeout ->
		i = 0;
		do :: i < NP -> assert(over[i]); i++ :: else -> break od;
		i = 0;
		do
		:: i < NS * K ->
			assert(!(refused[i] && got[i]));
			/* only with the last receiver is a message lost */
			assert(!(sent[i] && !got[i]) || (NR == 1 && died));
			i++
		:: else -> break
		od
	}
}

init {
	byte i;

	atomic {
		do
		:: i < N -> e[i] = WORD(i, i, 0, 0); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < NB -> lo[i] = NONE; hi[i] = NONE; i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < NS -> spare[i] = N + i; own[i] = N + i; next[i] = NONE; live[i] = true; i++
		:: else -> break
		od;
		kspare = N + NS;
		i = 0;
		do
		:: i < NP && (MORTAL >> i & 1) -> victim = i; break
		:: i < NP && MORTAL != 1 -> i++
		:: i == NP -> break		/* nobody */
		od;
#ifdef LATE
		live[NS - 1] = false;
		spare[NS - 1] = NONE;
		own[NS - 1] = NONE;
#endif
		i = 0;
		do
		:: i < NS -> run sender(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < NR -> run receiver(NS + i); i++
		:: else -> break
		od;
#ifdef SHUT
		run shutter();
#endif
		run watch()
	}
}

#else	/* WORLD 8 */

/*
 * The order of memory accesses: a sender that publishes and looks at the gate, and a
 * receiver for which the kernel raises the gate and looks at the ring. What each writes
 * waits in a store buffer, a place for each word, and reaches memory at any later time
 * and in any order; a fence waits until it has. The other side, room and a parked sender, is the same.
 */
bool data, ring, gate;			/* memory */
bool b_data, b_ring, b_gate;		/* written, not there yet */
bool asleep, woken, got;

proctype publish()
{
	b_data = true;
	if :: BUG != 18 -> !b_data :: else fi;	/* release: the data before the entry */
	b_ring = true;
	if :: BUG != 16 -> !b_ring :: else fi;	/* full: the entry before the look */
	if
	:: gate -> atomic { !b_ring; if :: asleep -> woken = true :: else fi }
	:: else
	fi
}

proctype parks()
{
	atomic { b_gate = true; asleep = true }	/* the queue is under the lock */
	if :: BUG != 17 -> !b_gate :: else fi;
	if
	:: ring -> skip
	:: else -> woken
	fi;
	assert(data);
	got = true
}

proctype memory()
{
end:	do
	:: b_data -> atomic { data = true; b_data = false }
	:: b_ring -> atomic { ring = true; b_ring = false }
	:: b_gate -> atomic { gate = true; b_gate = false }
	od
}

init { atomic { run publish(); run parks(); run memory() } }

#endif
