/* SPDX-License-Identifier: MIT */
/*
 * How waiting calls meet on channels: the algorithm of kmod/wait.c, chan.c and
 * select.c. Two selects of two cases each, a single call, a shut, and a group that
 * ends under select 0. WORLD says who waits for what; each waiting call is patient or
 * gives up at any time. BUG leaves out one step; README.md has the list.
 *
 * A lock is a bit. Others can act before each lock is taken and before anything that
 * no held lock protects; taking a lock is one step with what follows under it, and
 * what is done last with letting it go.
 */
#ifndef WORLD
#define WORLD 0
#endif
#ifndef BUG
#define BUG 0
#endif

#define NW	3		/* waiters: selects 0 and 1, the single call 2 */
#define NONE	255
#define W(n)	((n) / 2)	/* the waiter of a node, one a case */

#define PENDING	0
#define DONE	1
#define ABORTED	2

#define OK	0		/* results */
#define EPIPE	1
#define LATE	2
#define CANCEL	3
#define WAIT	4
#define GONE	5
#define STALE	6

#define SEND	0
#define RECV	1

/* what each case does: channel and direction, by node */
byte on[6], dir[6];
byte cap[2];

byte state[NW], fired[NW], res[NW], in[NW];
bool wlock[NW], queued[NW], single[NW];
bool clock[2], shut[2];
bool glock, ended, attached;
chan sendq[2] = [6] of { byte };
chan recvq[2] = [6] of { byte };
byte ring[2];			/* NONE, or the message in the only slot */

/* what the calls saw; a message is named by its sender */
bool freed[NW], over[NW], asleep[NW];
byte sent[NW], got[NW];
byte x, todo;			/* scratch, within one step; 0 between */

inline lock(L)		{ atomic { !L -> L = true } }

inline link(N)		{ if :: dir[N] == SEND -> sendq[on[N]]!N :: else -> recvq[on[N]]!N fi }

inline unlink(N)
{
	if
	:: dir[N] == SEND && sendq[on[N]]??[eval(N)] -> sendq[on[N]]??eval(N)
	:: dir[N] == RECV && recvq[on[N]]??[eval(N)] -> recvq[on[N]]??eval(N)
	:: else
	fi
}

/* kchan_queue_first(): n, the first node in Q that may still be chosen and is not SELF's */
inline first(Q, SELF)
{
	n = NONE;
	todo = len(Q);
	do
	:: todo == 0 -> break
	:: else ->
		Q?x;
		todo--;
		assert(!freed[W(x)]);
		if
		:: state[W(x)] != PENDING
		:: else ->
			Q!x;
			if
			:: n == NONE && (W(x) != SELF || BUG == 5) -> n = x
			:: else
			fi
		fi
	od;
	x = 0
}

inline release(ONE)	{ if :: ONE != NONE -> wlock[ONE] = false; ONE = NONE :: else fi }

/* kchan_lock_pair(): ok is OK, STALE or GONE */
inline lock_pair(SELF, PEER)
{
	d_step {
		if :: SELF != NONE && queued[SELF] && BUG != 4 -> a = SELF :: else -> a = NONE fi;
		if :: !single[PEER] -> b = PEER :: else -> b = NONE fi;
		/* in the order of addresses */
		if :: a != NONE && b != NONE && a > b && BUG != 3 -> x = a; a = b; b = x; x = 0 :: else fi
	}
	if :: a != NONE -> atomic { !wlock[a] -> wlock[a] = true } :: else fi;
	atomic {
		if :: b != NONE && b != a -> !wlock[b] -> wlock[b] = true :: else fi;
		if
		:: SELF != NONE && queued[SELF] && BUG != 4 && state[SELF] != PENDING -> ok = GONE
		:: else -> if :: state[PEER] != PENDING -> ok = STALE :: else -> ok = OK fi
		fi;
		if
		:: ok != OK -> release(a); release(b)
		:: else -> if :: SELF != NONE && queued[SELF] -> state[SELF] = DONE :: else fi
		fi
	}
}

inline result(N, R, MSG)
{
	assert(!freed[W(N)]);
	unlink(N);
	fired[W(N)] = N % 2;
	res[W(N)] = R;
	if :: dir[N] == RECV && R == OK -> in[W(N)] = MSG :: else fi
}

/* kchan_complete(): a single waiter may be gone the moment DONE is seen */
inline complete(N, R, MSG)
{
	if :: BUG == 6 -> state[W(N)] = DONE :: BUG != 6 fi;
	atomic {
		result(N, R, MSG);
		state[W(N)] = DONE;
		release(a);
		release(b)
	}
}

/* kchan_commit_self(): r is V, or GONE */
inline commit_self(SELF, V)
{
	if
	:: SELF != NONE && queued[SELF] && BUG != 9 ->
		atomic {
			!wlock[SELF];
			if
			:: state[SELF] == PENDING -> state[SELF] = DONE; r = V
			:: else -> r = GONE
			fi
		}
	:: else -> r = V
	fi
}

/* kchan_try_send(); the channel's lock is taken here */
inline try_send(C, SELF, MSG)
{
	atomic {
		lock(clock[C]);
		r = NONE;
		n = NONE;
		if :: shut[C] :: else -> first(recvq[C], SELF) fi
	}
	if
	:: shut[C] -> commit_self(SELF, EPIPE)
	:: else ->
		do
		:: n != NONE ->
			lock_pair(SELF, W(n));
			if
			:: ok == GONE -> r = GONE; n = NONE
			:: ok == STALE -> atomic { unlink(n); first(recvq[C], SELF) }
			:: ok == OK -> complete(n, OK, MSG); r = OK; n = NONE
			fi
		:: else -> break
		od;
		if
		:: r == NONE && cap[C] > 0 && ring[C] == NONE ->
			commit_self(SELF, OK);
			if :: r == OK -> ring[C] = MSG :: else fi
		:: r == NONE && (cap[C] == 0 || ring[C] != NONE) -> r = WAIT
		:: r != NONE
		fi
	fi
}

inline refill(C)
{
	d_step { first(sendq[C], NONE) }
	do
	:: n != NONE && ring[C] == NONE ->
		lock_pair(NONE, W(n));
		if
		:: ok == OK -> ring[C] = W(n); complete(n, OK, NONE)
		:: else -> unlink(n)
		fi;
		d_step { first(sendq[C], NONE) }
	:: else -> break
	od;
	n = NONE
}

/* kchan_try_recv(): the message is in[ME]; the channel's lock is taken here */
inline try_recv(C, SELF, ME)
{
	atomic {
		lock(clock[C]);
		r = NONE;
		n = NONE;
		if :: ring[C] != NONE :: else -> first(sendq[C], SELF) fi
	}
	if
	:: ring[C] != NONE ->
		commit_self(SELF, OK);
		if
		:: r == OK ->
			atomic { in[ME] = ring[C]; ring[C] = NONE }
			if :: BUG != 7 -> refill(C) :: else fi
		:: else
		fi
	:: else ->
		do
		:: n != NONE ->
			lock_pair(SELF, W(n));
			if
			:: ok == GONE -> r = GONE; n = NONE
			:: ok == STALE -> atomic { unlink(n); first(sendq[C], SELF) }
			:: ok == OK -> in[ME] = W(n); complete(n, OK, NONE); r = OK; n = NONE
			fi
		:: else -> break
		od;
		if
		:: r == NONE && shut[C] -> commit_self(SELF, EPIPE)
		:: r == NONE && !shut[C] -> r = WAIT
		:: r != NONE
		fi
	fi
}

inline try(K, SELF, ME)
{
	if
	:: dir[K] == SEND -> try_send(on[K], SELF, ME)
	:: else -> try_recv(on[K], SELF, ME)
	fi
}

/* The call returns: node k was done, with this result. */
inline finish(ME, K, V)
{
	atomic {
		if
		:: V == OK && dir[K] == SEND -> sent[ME]++
		:: V == OK && dir[K] == RECV ->
			assert(in[ME] != ME);			/* a select never meets itself */
			got[in[ME]]++;
			assert(got[in[ME]] == 1)			/* delivered once */
		:: else
		fi;
		over[ME] = true;
		freed[ME] = true
	}
}

inline give_up(ME)	{ atomic { over[ME] = true; freed[ME] = true } }

/* kchan_sleep(): r is OK, or LATE for one who gives up */
inline sleep(ME)
{
	asleep[ME] = true;
end_asleep:
	atomic {
		if
		:: state[ME] != PENDING -> r = OK
		:: hasty -> r = LATE
		fi;
		asleep[ME] = false
	}
}

proctype selector(byte w; bool hasty)
{
	byte r, n = NONE, a = NONE, b = NONE, ok, i, k, at;

	/* probe_all(): one channel after the other, in any order, not queued */
	if :: at = 0 :: at = 1 fi;
	do
	:: i < 2 ->
		k = w * 2 + (i + at) % 2;
		try(k, w, w);
		clock[on[k]] = false;
		if :: r != WAIT -> goto found :: else fi;
		i++
	:: else -> break
	od;

	/* wait_any() */
	if
	:: w == 0 ->
		atomic { lock(glock); attached = !ended; glock = false };
		if :: !attached -> give_up(w); goto end :: else fi
	:: else
	fi;

	/* enqueue() */
	queued[w] = true;
	if :: at = 0 :: at = 1 fi;
	i = 0;
	do
	:: i < 2 ->
		k = w * 2 + (i + at) % 2;
		if
		:: BUG == 1 -> lock(clock[on[k]]); r = WAIT
		:: else -> try(k, w, w)
		fi;
		atomic {
			if :: r == WAIT -> link(k) :: else fi;
			clock[on[k]] = false
		}
		if
		:: r == GONE -> goto chosen
		:: r == WAIT -> if :: state[w] != PENDING -> goto chosen :: else fi
		:: else -> ok = OK; fired[w] = k % 2; res[w] = r; goto dequeue
		fi;
		i++
	:: else -> break
	od;
	sleep(w);

chosen:	/* kchan_waiter_settle() */
	atomic {
		!wlock[w];
		if
		:: state[w] == DONE && BUG != 8 -> ok = OK
		:: state[w] == ABORTED -> ok = CANCEL
		:: else -> state[w] = ABORTED; ok = LATE
		fi
	}

dequeue: /* afterwards no peer can reach this select */
	i = 0;
	do
	:: i < 2 && BUG != 2 ->
		atomic { !clock[on[w * 2 + i]]; unlink(w * 2 + i) };
		i++
	:: else -> break
	od;
	if
	:: w == 0 -> atomic { !glock; attached = false }
	:: else
	fi;
	if :: ok != OK -> give_up(w); goto end :: else fi;
	k = w * 2 + fired[w];
	r = res[w];
found:
	finish(w, k, r);
end:	skip
}

/* kchan_send() and kchan_recv() of one case: park() */
proctype call(byte w; bool hasty)
{
	byte r, n = NONE, a = NONE, b = NONE, ok, k;

	k = w * 2;
	try(k, NONE, w);
	if
	:: r != WAIT ->
		clock[on[k]] = false;
		finish(w, k, r);
		goto end
	:: else
	fi;
	if :: BUG == 10 -> clock[on[k]] = false; lock(clock[on[k]]) :: else fi;
	atomic { link(k); clock[on[k]] = false };

	sleep(w);
	if
	:: r == OK -> finish(w, k, res[w]); goto end	/* its node is unlinked */
	:: else
	fi;
	atomic {
		!clock[on[k]];
		if
		:: state[w] == DONE && BUG != 11 -> r = OK
		:: else -> state[w] = ABORTED; unlink(k)
		fi
	}
	if
	:: r == OK -> finish(w, k, res[w])
	:: else -> give_up(w)
	fi;
end:	skip
}

/* kchan_shut() */
proctype shutter(byte c)
{
	byte n = NONE, a = NONE, b = NONE, ok, i;

	atomic { lock(clock[c]); shut[c] = true }
	do
	:: i < 2 && BUG != 12 ->
		d_step {
			if
			:: i == 0 -> first(sendq[c], NONE)
			:: else -> first(recvq[c], NONE)
			fi
		}
		if
		:: n == NONE -> i++
		:: else ->
			lock_pair(NONE, W(n));
			if :: ok == OK -> complete(n, EPIPE, NONE) :: else fi
		fi
	:: else -> break
	od;
	clock[c] = false
}

/* the end of the group that select 0 runs under: mark() */
proctype canceller()
{
	atomic { lock(glock); ended = true }
	if
	:: attached ->
		atomic {
			assert(!freed[0]);
			!wlock[0];
			if :: state[0] == PENDING -> res[0] = CANCEL; state[0] = ABORTED :: else fi
		}
	:: else
	fi;
	glock = false
}

#define parked(n)	(asleep[W(n)] && state[W(n)] == PENDING)
#define meet(m, n)	(parked(m) && parked(n) && W(m) != W(n) && on[m] == on[n] && dir[m] != dir[n])
#define stuck(n)	(parked(n) && shut[on[n]])
#define room(n)		(parked(n) && cap[on[n]] > 0 && (dir[n] == SEND) == (ring[on[n]] == NONE))

/* When nobody can go on: each call is over, or sleeps with good reason. */
proctype watch(byte waiters)
{
	atomic {
		timeout ->
		assert(!clock[0] && !clock[1] && !wlock[0] && !wlock[1] && !wlock[2] && !glock);
		assert((over[0] || asleep[0]) && (over[1] || asleep[1]));
		assert(waiters == 2 || over[2] || asleep[2]);
		assert(!meet(0, 2) && !meet(0, 3) && !meet(1, 2) && !meet(1, 3));
		assert(!meet(0, 4) && !meet(1, 4) && !meet(2, 4) && !meet(3, 4));
		assert(!stuck(0) && !stuck(1) && !stuck(2) && !stuck(3) && !stuck(4));
		assert(!room(0) && !room(1) && !room(2) && !room(3) && !room(4));
		assert(!(ended && asleep[0]));
		/* what each sender believes is so */
		assert(sent[0] == got[0] + (ring[0] == 0) + (ring[1] == 0));
		assert(sent[1] == got[1] + (ring[0] == 1) + (ring[1] == 1));
		assert(sent[2] == got[2] + (ring[0] == 2) + (ring[1] == 2))
	}
}

inline node(N, C, D)	{ on[N] = C; dir[N] = D }

init {
	atomic {
		ring[0] = NONE;
		ring[1] = NONE;
		single[2] = true;
#if WORLD == 0		/* two selects that can meet on both channels, and a receiver */
		node(0, 0, SEND); node(1, 1, RECV);
		node(2, 0, RECV); node(3, 1, SEND);
		node(4, 0, RECV);
#elif WORLD == 1	/* each select sends and receives on the same channel, and a sender */
		node(0, 0, SEND); node(1, 0, RECV);
		node(2, 0, RECV); node(3, 0, SEND);
		node(4, 0, SEND);
#elif WORLD == 2	/* a channel with a buffer, its receiver may give up */
		cap[0] = 1;
		node(0, 0, SEND); node(1, 1, SEND);
		node(2, 0, SEND); node(3, 1, RECV);
		node(4, 0, RECV);
#else			/* as 0; a shut and the end of a group instead of the receiver */
		node(0, 0, SEND); node(1, 1, RECV);
		node(2, 0, RECV); node(3, 1, SEND);
		node(4, 1, RECV);
#endif
		if :: run selector(0, true) :: run selector(0, false) fi;
		if :: run selector(1, true) :: run selector(1, false) fi;
#if WORLD < 3
		if :: run call(2, true) :: run call(2, false) fi;
		run watch(3)
#else
		run shutter(1);
		run canceller();
		run watch(2)
#endif
	}
}
