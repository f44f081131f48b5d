// SPDX-License-Identifier: MIT
/* The races of groups that kmod/group.h names, each made to happen. */
#include "race_util.h"

RACES(group)

/* ---- join with end ---- */

/* The joiner has its place, and is not linked yet. */
static void end_beside_join(struct __test_metadata *_metadata, bool parent)
{
	int top = root(), g = chan_group(top, CHAN_FOREVER, 0, 1);
	struct racer j = RACER(r_join, g, .point = "join_has_place");

	ASSERT_TRUE(race_start(&j));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(0, ginfo(g).children);
	ASSERT_EQ(0, chan_cancel(parent ? top : g, EIO, NULL));
	EXPECT_EQ(-EIO, race_finish(&j));
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(0, ginfo(g).failed);
	EXPECT_EQ(0, chan_wait(g, NULL, -1, CHAN_NOW));
	close2((int[]){ g, top });
}

TEST_F(group, an_end_before_the_joiner_is_linked) { end_beside_join(_metadata, false); }
TEST_F(group, a_parents_end_before_the_joiner_is_linked) { end_beside_join(_metadata, true); }

/* ... and the place goes to nobody else, for the group has ended. */
TEST_F(group, a_place_given_back_at_the_end_is_nobodys)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1);
	struct racer j = RACER(r_join, g, .point = "join_has_place"), k = RACER(r_join, g),
		     w = RACER(r_wait, g);

	ASSERT_TRUE(race_start(&j));
	ASSERT_TRUE(race_begin(&k, false) && race_begin(&w, false));
	ASSERT_TRUE(asleep(&k.p.tid) && asleep(&w.p.tid));
	ASSERT_EQ(0, chan_cancel(g, EPERM, NULL));
	EXPECT_EQ(-EPERM, race_end(&k));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(-EPERM, race_finish(&j));
	EXPECT_EQ(0, race_end(&w));
	EXPECT_EQ(0, ginfo(g).members);
	close(g);
}

/* The deadline passes while the joiner has its place: it is late, however late the timer. */
TEST_F(group, a_deadline_before_the_joiner_is_linked)
{
	for (int timer = 0; timer < 2; timer++) {
		int64_t at = chan_after(1000 * MS);
		int g = chan_group(-1, at, 0, 1);
		struct racer j = RACER(r_join, g, .point = "join_has_place");

		/* its work is held up: what is late is seen by all who look */
		if (!timer)
			EXPECT_TRUE(stop_at("group_expire", ANY, NULL));
		ASSERT_TRUE(race_begin(&j, false));
		if (!stopped_at("join_has_place", ANY)) {	/* no place was to be had any more */
			ASSERT_LE(at, chan_after(0));
			race_end(&j);
			timer--;
			continue;
		}
		if (timer)
			EXPECT_TRUE(turns(g, POLLIN));
		if (!timer)
			EXPECT_TRUE(stopped_at("group_expire", ANY));
		EXPECT_EQ(-ETIMEDOUT, race_finish(&j));
		EXPECT_EQ(0, ginfo(g).members);
		if (!timer)
			EXPECT_TRUE(go_on("group_expire", ANY));
		close(g);
	}
}

/* Who is killed with a place gives it back, and the next joiner has it. */
TEST_F(group, a_joiner_killed_with_its_place)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1);
	struct racer *j = shared(sizeof(*j)), k = RACER(r_join, g);

	*j = (struct racer)RACER(r_join, g, .point = "join_has_place");
	ASSERT_TRUE(race_begin(j, true));
	ASSERT_TRUE(stopped_at("join_has_place", ANY));
	ASSERT_TRUE(race_begin(&k, false));
	ASSERT_TRUE(asleep(&k.p.tid));
	ASSERT_EQ(0, kill(j->p.pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, party_end(&j->p));
	EXPECT_LE(0, race_end(&k));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(1, ginfo(g).children);
	EXPECT_EQ(0, ginfo(g).failed);
	close2((int[]){ k.ret, g });
}

/* ---- a place, and who waits for it ---- */

/* A place that comes free between the look and the queue is taken. */
TEST_F(group, a_place_that_comes_free_before_the_joiner_is_queued)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m = chan_join(g, -1, CHAN_NOW);
	struct racer j = RACER(r_join, g, .point = "group_queue");

	ASSERT_TRUE(race_start(&j));
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_LE(0, race_finish(&j));
	EXPECT_EQ(1, ginfo(g).members);
	close(j.ret);
	close2((int[]){ m, g });
}

/* The last member leaves between the look and the queue of who waits for that. */
TEST_F(group, the_last_member_leaves_before_the_waiter_is_queued)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW);
	struct racer w = RACER(r_wait, g, .point = "group_queue");

	ASSERT_TRUE(race_start(&w));
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(0, race_finish(&w));
	close2((int[]){ m, g });
}

/*
 * A joiner gives up, for each reason there is, and has a place by then: it joins. The
 * next in line gets the place only if the first had given up before.
 */
static void gives_up(struct __test_metadata *_metadata, const char *how)
{
	int g = chan_group(-1, CHAN_FOREVER, 0, 1), m = chan_join(g, -1, CHAN_NOW), u = root();
	struct racer j = RACER(r_join, g, .point = "settle"), k = RACER(r_join, g);

	if (!strcmp(how, "group")) {
		j.under = u;
		ASSERT_TRUE(race_begin(&j, false));
		ASSERT_TRUE(asleep(&j.p.tid));
		ASSERT_EQ(0, chan_cancel(u, 0, NULL));
	} else {
		ASSERT_TRUE(race_start_timed(&j));
	}
	ASSERT_TRUE(stopped_at("settle", ANY));
	ASSERT_TRUE(race_begin(&k, false));
	ASSERT_TRUE(asleep(&k.p.tid));
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(1, ginfo(g).members);
	if (j.under) {			/* it had been ended: the place goes past it */
		EXPECT_EQ(-ECANCELED, race_finish(&j));
		EXPECT_LE(0, race_end(&k));
		close(k.ret);
	} else {			/* it had not yet said that it gives up */
		EXPECT_LE(0, race_finish(&j));
		EXPECT_EQ(1, ginfo(g).members);
		close(j.ret);
		EXPECT_LE(0, race_end(&k));
		close(k.ret);
	}
	EXPECT_EQ(0, ginfo(g).members);
	close2((int[]){ m, g });
	close(u);
}

TEST_F(group, a_place_for_a_joiner_whose_deadline_passed)	{ gives_up(_metadata, "deadline"); }
TEST_F(group, a_place_for_a_joiner_whose_group_ended)		{ gives_up(_metadata, "group"); }

/*
 * A place comes free, and so many at the head of the queue have given up that the lock is
 * dropped on the way. The place stays taken meanwhile, and who is last is asked anew: another
 * place was given back by then.
 */
TEST_F(group, a_place_is_given_back_while_joins_called_off_are_dropped)
{
	enum { N = 20 };
	int g = chan_group(-1, CHAN_FOREVER, 0, 2), m = chan_join(g, -1, CHAN_NOW), u = root();
	struct racer off[N], w = RACER(r_wait, g), l = RACER(r_leave, m, .point = "group_relock");
	struct racer *k = shared(sizeof(*k));

	*k = (struct racer)RACER(r_join, g, .point = "join_has_place");
	ASSERT_TRUE(race_begin(k, true));
	ASSERT_TRUE(stopped_at("join_has_place", ANY));
	ASSERT_TRUE(race_begin(&w, false));
	for (int i = 0; i < N; i++) {
		off[i] = (struct racer)RACER(r_join, g, .under = u, .point = "settle");
		ASSERT_TRUE(race_begin(&off[i], false));
		ASSERT_TRUE(asleep(&off[i].p.tid));
	}
	ASSERT_TRUE(asleep(&w.p.tid));
	ASSERT_EQ(0, chan_cancel(u, 0, NULL));
	for (int i = 0; i < N; i++)
		ASSERT_TRUE(stopped_at("settle", race_tid(&off[i])));
	ASSERT_TRUE(race_start(&l));
	EXPECT_EQ(2, ginfo(g).members);
	EXPECT_EQ(-EAGAIN, chan_join(g, -1, CHAN_NOW));
	ASSERT_EQ(0, kill(k->p.pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, party_end(&k->p));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(0, race_finish(&l));
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(0, race_end(&w));
	ASSERT_TRUE(go_on("settle", ANY));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(-ECANCELED, race_end(&off[i]));
	munmap(k, sizeof(*k));
	close2((int[]){ m, g });
	close(u);
}

/* ---- who waits for the tree ---- */

/* Joins and makes below a group whose tree is held up can be killed. */
TEST_F(group, who_waits_for_a_tree_can_be_killed)
{
	long (*calls[])(struct racer *r) = { r_join, r_below };

	for (int i = 0; i < 2; i++) {
		int g = root(), other = below(g);
		struct racer c = RACER(r_cancel, other, .point = "group_marked");
		struct racer *k = shared(sizeof(*k));

		*k = (struct racer)RACER(calls[i], g);
		ASSERT_TRUE(race_start(&c));
		ASSERT_TRUE(race_begin(k, true));
		ASSERT_TRUE(asleep(&k->p.tid));
		ASSERT_EQ(0, kill(k->p.pid, SIGKILL));
		EXPECT_EQ(-SIGKILL, party_end(&k->p)) TH_LOG("call %d", i);
		EXPECT_TRUE(pause_says("stopped", "group_marked", ANY));
		EXPECT_EQ(0, race_finish(&c));
		EXPECT_EQ(0, ginfo(g).members);
		EXPECT_EQ(0, ginfo(g).children);
		munmap(k, sizeof(*k));
		close2((int[]){ other, g });
	}
}

/* ---- leave with last close ---- */

TEST_F(group, two_leaves_count_once)
{
	int g = chan_group(-1, CHAN_FOREVER, CHAN_FAIL_FAST, 0), m = chan_join(g, -1, CHAN_NOW);
	struct racer l = RACER(r_leave, m, .point = "group_leave");

	ASSERT_TRUE(race_start(&l));
	ASSERT_EQ(0, chan_leave(m, 0, NULL));
	EXPECT_EQ(-EINVAL, race_finish(&l));
	EXPECT_EQ(0, ginfo(g).members);
	EXPECT_EQ(0, ginfo(g).failed);
	EXPECT_EQ(CHAN_LIVE, ginfo(g).state);
	close2((int[]){ m, g });
}

/* The descriptor is closed while the call leaves: the call says how, the close adds nothing. */
TEST_F(group, a_leave_whose_descriptor_is_closed)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), first = 0;
	struct racer l = RACER(r_leave, m, .point = "group_leave");

	ASSERT_TRUE(race_start(&l));
	close(m);
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(0, race_finish(&l));
	EXPECT_EQ(0, chan_wait(g, &first, -1, SOON));
	EXPECT_EQ(EIO, first);
	EXPECT_EQ(1, ginfo(g).failed);
	EXPECT_EQ(0, ginfo(g).members);
	close(g);
}

/* A kill closes the member's last descriptor while its leave waits: it counts once. */
TEST_F(group, a_member_killed_while_it_leaves)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), first = 0;
	struct racer *l = shared(sizeof(*l));

	*l = (struct racer)RACER(r_leave, m, .point = "group_leave");
	ASSERT_TRUE(race_begin(l, true));
	ASSERT_TRUE(stopped_at("group_leave", ANY));
	close(m);
	ASSERT_EQ(0, kill(l->p.pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, party_end(&l->p));
	EXPECT_EQ(0, chan_wait(g, &first, -1, SOON));
	EXPECT_TRUE(first == EIO || first == EOWNERDEAD);
	EXPECT_EQ(1, ginfo(g).failed);
	EXPECT_EQ(0, ginfo(g).members);
	close(g);
}

/* In a child: the least max_user_groups under which the caller's user can make one more. */
static int groups_in_use(void)
{
	int *n = shared(sizeof(*n)), status, r;
	pid_t pid = fork();

	if (!pid) {
		*n = -1;
		for (int i = 0; give_up_exemption() && i < 1000; i++) {
			if (param_set("max_user_groups", i))
				break;
			if (root() >= 0) {
				*n = i - 1;
				break;
			}
		}
		_exit(0);
	}
	r = waitpid(pid, &status, 0) == pid && !status ? *n : -1;
	munmap(n, sizeof(*n));
	return r;
}

/*
 * The last owner goes and the last member leaves, in each order: the later one takes the
 * group out of its maker's number, once, though a watch keeps the object.
 */
TEST_F(group, an_ended_group_leaves_its_makers_number_once)
{
	unsigned long most = param_get("max_user_groups");
	int before = groups_in_use();

	ASSERT_LE(0, before);
	for (int order = 0; order < 3; order++) {
		int g = root(), m = chan_join(g, -1, CHAN_NOW), w = chan_watch(g);
		struct racer c = RACER(r_close, g, .point = "owner_gone");
		struct racer l = RACER(r_leave, m, .point = order == 1 ? "member_out" : "group_leave");

		EXPECT_EQ(before + 3, groups_in_use());
		if (order == 0) {		/* the close is held up */
			ASSERT_TRUE(race_start(&c));
			EXPECT_EQ(CHAN_ENDED, ginfo(w).state);
			EXPECT_EQ(0, r_leave(&l));
			EXPECT_EQ(before + 3, groups_in_use());
			EXPECT_EQ(0, race_finish(&c));
		} else if (order == 1) {	/* the leave is, and has the tree */
			ASSERT_TRUE(race_start(&l));
			ASSERT_TRUE(stop_at("owner_gone", ANY, NULL));
			c.point = NULL;
			ASSERT_TRUE(race_begin(&c, false));
			EXPECT_EQ(0, race_finish(&l));
			ASSERT_TRUE(stopped_at("owner_gone", ANY));
			EXPECT_EQ(before + 3, groups_in_use());
			ASSERT_TRUE(go_on("owner_gone", ANY));
			EXPECT_EQ(0, race_end(&c));
		} else {			/* the leave has only begun */
			ASSERT_TRUE(race_start(&l));
			EXPECT_EQ(0, r_close(&c));
			EXPECT_EQ(before + 3, groups_in_use());
			EXPECT_EQ(0, race_finish(&l));
		}
		/* the member's own, and the watch */
		EXPECT_EQ(before + 2, groups_in_use());
		close2((int[]){ m, w });
		EXPECT_EQ(before, groups_in_use());
	}
	EXPECT_EQ(0, param_set("max_user_groups", most));
}

/* ---- wait with new members ---- */

/* Who waited until no member is left is released, though one has come since. */
TEST_F(group, a_new_member_comes_too_late_to_stop_who_waits)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW);
	struct racer w = RACER(r_wait, g),
		     l = RACER(r_leave, m, .point = "member_out", .until = "join_has_place"),
		     j = RACER(r_join, g);

	ASSERT_TRUE(race_begin(&w, false));
	ASSERT_TRUE(asleep(&w.p.tid));
	ASSERT_TRUE(race_start(&l));		/* it holds the tree: the join can't be over first */
	ASSERT_TRUE(race_begin(&j, false));
	EXPECT_EQ(0, race_end(&l));
	EXPECT_LE(0, race_end(&j));
	EXPECT_EQ(1, ginfo(g).members);
	EXPECT_EQ(0, race_end(&w));
	EXPECT_EQ(-EAGAIN, chan_wait(g, NULL, -1, CHAN_NOW));
	close2((int[]){ j.ret, m });
	close(g);
}

/* Who was released sees the member's group ended. */
TEST_F(group, who_waited_finds_the_member_ended)
{
	int g = root(), m = chan_join(g, -1, CHAN_NOW), w = chan_watch(m);
	struct racer l = RACER(r_leave, m, .point = "member_out");

	ASSERT_TRUE(race_start(&l));
	EXPECT_EQ(0, chan_wait(g, NULL, -1, CHAN_NOW));
	EXPECT_EQ(CHAN_ENDED, ginfo(w).state);
	EXPECT_EQ(0, race_finish(&l));
	close2((int[]){ m, w });
	close(g);
}

/* ---- end with attach ---- */

/* The call runs under a group that ends before the call is attached. */
TEST_F(group, an_end_before_the_call_is_attached)
{
	int e[2], v = 7;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int i = 0; i < 3; i++) {
		int g = root(), full = chan_group(-1, CHAN_FOREVER, 0, 1),
		    m = chan_join(full, -1, CHAN_NOW);
		struct racer r = RACER(r_recv, e[0], .under = g, .point = "group_attach");

		if (i == 1)
			r = (struct racer)RACER(r_join, full, .under = g, .point = "group_attach");
		if (i == 2)
			r = (struct racer)RACER(r_wait, full, .under = g, .point = "group_attach");
		ASSERT_TRUE(race_start(&r));
		ASSERT_EQ(0, chan_cancel(g, 0, NULL));
		EXPECT_EQ(-ECANCELED, race_finish(&r));
		EXPECT_EQ(1, ginfo(full).members);
		close2((int[]){ m, full });
		close(g);
	}
	EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
}

/* The same where its last owner is closed, by a thread that shares the descriptor. */
TEST_F(group, the_last_owners_close_before_the_call_is_attached)
{
	int e[2], g = root();
	struct racer r = RACER(r_recv, 0, .under = g, .point = "group_attach");

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_start(&r));
	close(g);
	EXPECT_EQ(-ECANCELED, race_finish(&r));
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
}

/* Its deadline passes before the call is attached, and the timer's work is held up. */
TEST_F(group, a_deadline_before_the_call_is_attached)
{
	int e[2], v = 7;

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	for (int64_t ms = 200;; ms *= 2) {
		int g = chan_group(-1, chan_after(ms * MS), 0, 0);
		struct racer r = RACER(r_recv, e[0], .under = g, .point = "group_attach");
		bool attaches;

		ASSERT_GT(PATIENCE, ms);
		ASSERT_TRUE(stop_at("group_expire", ANY, NULL));
		ASSERT_TRUE(race_begin(&r, false));
		ASSERT_TRUE(stopped_at("group_expire", ANY));
		attaches = pause_says("stopped", "group_attach", ANY);	/* or it came too late */
		if (attaches)
			ASSERT_TRUE(go_on("group_attach", ANY));
		EXPECT_EQ(-ETIMEDOUT, race_end(&r));
		EXPECT_LT(chan_after(0), r.deadline);	/* that was not its own */
		EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
		ASSERT_TRUE(go_on("group_expire", ANY));
		close(g);
		if (attaches)
			break;
		ASSERT_TRUE(pause_close() && pause_open());
	}
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
}

/* The group is marked, and the calls that wait are not completed yet. */
TEST_F(group, a_peer_is_faster_than_the_end)
{
	int e[2], v = 7, g = root();
	struct racer r = RACER(r_recv, 0, .under = g),
		     c = RACER(r_cancel, g, .point = "group_marked"), late = RACER(r_recv, 0, .under = g);

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = late.fd = e[0];
	ASSERT_TRUE(race_begin(&r, false));
	ASSERT_TRUE(parked(e[0], 0, 1));
	ASSERT_TRUE(race_start(&c));
	/* who comes now finds it ended */
	EXPECT_EQ(-ECANCELED, r_recv(&late));
	EXPECT_EQ(POLLIN | POLLOUT, events(g));
	/* who has waited may still be met: then it has the message */
	EXPECT_EQ(0, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(0, race_finish(&c));
	EXPECT_EQ(4, race_end(&r));
	EXPECT_EQ(1, info_of(e[0]).received);
	close2(e);
	close(g);
}

/* The call was completed by the end, and a peer comes before it has run. */
TEST_F(group, the_end_is_faster_than_a_peer)
{
	int e[2], v = 7, g = root();
	struct racer r = RACER(r_recv, 0, .under = g, .point = "settle");

	ASSERT_EQ(0, chan_make(e, 4, 0, 0));
	r.fd = e[0];
	ASSERT_TRUE(race_begin(&r, false));
	ASSERT_TRUE(parked(e[0], 0, 1));
	ASSERT_EQ(0, chan_cancel(g, 0, NULL));
	ASSERT_TRUE(stopped_at("settle", ANY));
	EXPECT_EQ(-EAGAIN, chan_send(e[1], &v, 4, -1, CHAN_NOW));
	EXPECT_EQ(-ECANCELED, race_finish(&r));
	EXPECT_EQ(0, info_of(e[0]).sent);
	EXPECT_TRUE(parked(e[0], 0, 0));
	close2(e);
	close(g);
}

/* ---- deadline with cancel ---- */

/* A cancel behind the deadline, whose work has not run yet, is not the cause. */
TEST_F(group, a_cancel_while_the_deadline_is_at_work)
{
	struct chan_group_info i;
	int g, b, w;

	ASSERT_TRUE(stop_at("group_expire", ANY, NULL));
	g = chan_group(-1, chan_after(1000 * MS), 0, 0);
	b = below(g);
	w = chan_watch(g);
	ASSERT_TRUE(stopped_at("group_expire", ANY));
	EXPECT_EQ(0, chan_cancel(g, EIO, "too late"));
	i = ginfo(g);
	EXPECT_EQ(CHAN_ENDED, i.state);
	EXPECT_EQ(ETIMEDOUT, i.err);
	EXPECT_EQ(0, i.by_pid);
	EXPECT_STREQ("", i.why);
	EXPECT_EQ(ETIMEDOUT, ginfo(b).err);
	/* all owners go, and the work is the last that knows the group */
	close2((int[]){ g, b });
	close(w);
	EXPECT_TRUE(go_on("group_expire", ANY));
}

/* A cancel that began before the deadline, and got its turn after it. */
TEST_F(group, a_deadline_before_the_cancel_has_its_turn)
{
	int64_t at = chan_after(200 * MS);
	int g = chan_group(-1, at, 0, 0);
	struct racer c = RACER(r_cancel, g, .point = "group_cancel");

	ASSERT_TRUE(race_start(&c));
	ASSERT_TRUE(turns(g, POLLIN));
	EXPECT_EQ(0, race_finish(&c));
	EXPECT_EQ(ETIMEDOUT, ginfo(g).err);
	close(g);
}

/*
 * A cancel came before the deadline, and its mark is on its way down when that passes: who
 * looks below finds the cancel, as everybody will.
 */
TEST_F(group, a_deadline_passes_while_a_cancel_goes_down)
{
	for (int64_t ms = 500;; ms *= 2) {
		int64_t at = chan_after(ms * MS);
		int e[2], g = chan_group(-1, at, 0, 0), b = below(g), bb = below(b);
		struct racer c = RACER(r_cancel, g, .point = "group_marked");
		struct chan_group_info i;
		bool early;

		ASSERT_GT(PATIENCE, ms);
		ASSERT_EQ(0, chan_make(e, 4, 0, 0));
		ASSERT_TRUE(race_start(&c));
		i = ginfo(g);
		early = i.err == EIO;		/* else the deadline was first */
		while (chan_after(0) <= at)
			usleep(1000);
		EXPECT_EQ(early ? -ECANCELED : -ETIMEDOUT, chan_recv(e[0], &i, 4, bb, CHAN_FOREVER));
		EXPECT_EQ(early ? EIO : ETIMEDOUT, ginfo(bb).err);
		EXPECT_EQ(early ? EIO : ETIMEDOUT, ginfo(b).err);
		EXPECT_EQ(0, race_finish(&c));
		EXPECT_EQ(early ? EIO : ETIMEDOUT, ginfo(bb).err);
		close2(e);
		close2((int[]){ bb, b });
		close(g);
		if (early)
			break;
		ASSERT_TRUE(pause_close() && pause_open());
	}
}

/* ---- values ---- */

static long r_set(struct racer *r) { return chan_value_set(r->fd, "key", r->buf, 4); }

/* Two set a key: the other has done it after this one has found none. */
TEST_F(group, a_key_is_set_while_another_looks_for_it)
{
	for (int same = 0; same < 2; same++) {
		int g = root(), v = 0;
		struct racer s = RACER(r_set, g, .point = "value_looked", .buf = { 1 });

		ASSERT_TRUE(race_start(&s));
		EXPECT_EQ(0, chan_value_set(g, same ? "key" : "other", &(int){ 2 }, 4));
		EXPECT_EQ(same ? -EEXIST : 0, race_finish(&s));
		EXPECT_EQ(4, chan_value_get(g, "key", &v, 4));
		EXPECT_EQ(same ? 2 : 1, v);
		EXPECT_EQ(same ? -ENODATA : 4, chan_value_get(g, "other", &v, 4));
		close(g);
	}
}

static long r_get(struct racer *r)
{
	int v = -1, ret = chan_value_get(r->fd, "key", &v, 4);

	return ret == 4 ? v : ret;
}

static long get(int g)
{
	struct racer r = { .fd = g };

	return r_get(&r);
}

/* Two lines of groups below one, two of them long; detached ones stand between if @detached. */
struct lines { int top, mid, leaf[2]; };

static struct lines lines(bool detached)
{
	struct lines l = { .top = root() };
	int flags = detached ? CHAN_DETACHED : 0;

	l.mid = chan_group(l.top, CHAN_FOREVER, flags, 0);
	for (int i = 0; i < 2; i++) {
		int g = chan_group(l.mid, CHAN_FOREVER, flags, 0);

		for (int n = 0; n < 40; n++) {
			int next = chan_group(g, CHAN_FOREVER, n == 20 ? flags : 0, 0);

			close(g);
			g = next;
		}
		l.leaf[i] = g;
	}
	return l;
}

static void close_lines(const struct lines *l)
{
	close2((int[]){ l->top, l->mid });
	close2((int[]){ l->leaf[0], l->leaf[1] });
}

/* It is set between, after a lookup has passed the group and before that remembers what it found. */
TEST_F(group, a_value_is_set_in_a_group_that_a_lookup_has_passed)
{
	for (int i = 0; i < 4; i++) {
		struct lines l = lines(i & 1);
		struct racer g = RACER(r_get, l.leaf[0], .point = "value_passed");

		if (i & 2) {
			ASSERT_EQ(0, chan_value_set(l.top, "key", &(int){ 1 }, 4));
		}
		ASSERT_TRUE(race_start(&g));
		ASSERT_EQ(0, chan_value_set(l.mid, "key", &(int){ 2 }, 4));
		EXPECT_EQ(i & 2 ? 1 : -ENODATA, race_finish(&g));
		EXPECT_EQ(2, get(l.leaf[0]));
		EXPECT_EQ(2, get(l.leaf[1]));
		EXPECT_EQ(i & 2 ? 1 : -ENODATA, get(l.top));
		close_lines(&l);
	}
}

/* A lookup begins and ends while a value is about to be added. */
TEST_F(group, a_lookup_while_a_value_is_about_to_be_added)
{
	for (int detached = 0; detached < 2; detached++) {
		struct lines l = lines(detached);
		struct racer s = RACER(r_set, l.mid, .point = "value_begun", .buf = { 2 });

		ASSERT_EQ(0, chan_value_set(l.top, "key", &(int){ 1 }, 4));
		ASSERT_EQ(1, get(l.leaf[0]));
		ASSERT_TRUE(race_start(&s));
		EXPECT_EQ(1, get(l.leaf[0]));
		EXPECT_EQ(1, get(l.leaf[1]));
		EXPECT_EQ(0, race_finish(&s));
		EXPECT_EQ(2, get(l.leaf[0]));
		EXPECT_EQ(2, get(l.leaf[1]));
		close_lines(&l);
	}
}

/* Whoever has seen the value from one group does not miss it from another, which remembers. */
TEST_F(group, a_value_that_one_group_sees_is_seen_by_all)
{
	for (int detached = 0; detached < 2; detached++) {
		struct lines l = lines(detached);
		struct racer s = RACER(r_set, l.mid, .point = "value_added", .buf = { 2 });

		ASSERT_EQ(0, chan_value_set(l.top, "key", &(int){ 1 }, 4));
		ASSERT_EQ(1, get(l.leaf[1]));
		ASSERT_TRUE(race_start(&s));
		EXPECT_EQ(2, get(l.leaf[0]));
		EXPECT_EQ(2, get(l.leaf[1]));
		EXPECT_EQ(0, race_finish(&s));
		EXPECT_EQ(2, get(l.leaf[0]));
		EXPECT_EQ(2, get(l.leaf[1]));
		close_lines(&l);
	}
}

/* ---- born ---- */

/* A group's own deadline passes before it is born: it ends there, without its timer. */
TEST_F(group, a_deadline_before_the_birth)
{
	for (int below_one = 0; below_one < 2; below_one++) {
		int g = below_one ? root() : -1;
		struct racer b = RACER(r_made, g, .point = "group_birth");

		b.deadline = chan_after(100 * MS);
		ASSERT_TRUE(race_start(&b));
		while (chan_after(0) <= b.deadline)
			usleep(1000);
		ASSERT_TRUE(stop_at("group_expire", ANY, NULL));
		EXPECT_LE(0, race_finish(&b));
		EXPECT_TRUE(below_one == 0 || ginfo(g).children == 0);
		EXPECT_EQ(POLLIN | POLLOUT, events(b.ret));
		EXPECT_EQ(ETIMEDOUT, ginfo(b.ret).err);
		EXPECT_FALSE(pause_says("stopped", "group_expire", ANY));
		close2((int[]){ b.ret, g });
	}
}

/* The parent ends before the child is linked: it is ended from birth, with that cause. */
TEST_F(group, a_parent_ends_before_its_child_is_born)
{
	for (int how = 0; how < 2; how++) {
		int g = root(), w = chan_watch(g);
		struct racer b = RACER(r_below, w, .point = "group_birth");

		ASSERT_TRUE(race_start(&b));
		EXPECT_EQ(0, ginfo(w).children);
		if (how)
			EXPECT_EQ(0, chan_cancel(g, EIO, "over"));
		if (!how)
			close(g);
		EXPECT_LE(0, race_finish(&b));
		EXPECT_EQ(CHAN_ENDED, ginfo(b.ret).state);
		EXPECT_EQ(how ? EIO : EOWNERDEAD, ginfo(b.ret).err);
		EXPECT_EQ(POLLIN | POLLOUT, events(b.ret));
		EXPECT_EQ(0, ginfo(w).children);
		if (how)
			close(g);
		close2((int[]){ b.ret, w });
	}
}

/* ---- what does not wait for the tree ---- */

/* A group is past its own deadline, and can't be marked so while a cancel has the tree. */
TEST_F(group, past_a_deadline_no_call_waits_for_the_tree)
{
	bool before = false;

	for (int64_t ms = 100; !before; ms *= 2) {
		int64_t at = chan_after(ms * MS);
		int top = root(), other = below(top), late = chan_group(top, at, 0, 0);
		int child = below(late), e[2], v = 7;
		struct racer c = RACER(r_cancel, other, .point = "group_marked");

		ASSERT_GT(PATIENCE, ms);
		ASSERT_EQ(0, chan_make(e, 4, 1, 0));
		ASSERT_TRUE(race_start(&c));
		before = chan_after(0) < at;	/* else it may be marked already */
		while (chan_after(0) <= at)
			usleep(1000);
		EXPECT_EQ(-ETIMEDOUT, chan_send(e[1], &v, 4, child, CHAN_NOW));
		EXPECT_EQ(-ETIMEDOUT, chan_recv(e[0], &v, 4, late, CHAN_FOREVER));
		EXPECT_EQ(-ETIMEDOUT, chan_wait(top, NULL, child, CHAN_FOREVER));
		EXPECT_EQ(-ETIMEDOUT, chan_join(top, child, CHAN_FOREVER));
		EXPECT_EQ(ETIMEDOUT, ginfo(late).err);
		EXPECT_EQ(ETIMEDOUT, ginfo(child).err);
		EXPECT_EQ(0, ginfo(late).children);
		EXPECT_EQ(POLLIN | POLLOUT, events(child));
		EXPECT_TRUE(pause_says("stopped", "group_marked", ANY));
		EXPECT_EQ(0, race_finish(&c));
		EXPECT_EQ(ETIMEDOUT, ginfo(late).err);
		EXPECT_EQ(ETIMEDOUT, ginfo(child).err);
		EXPECT_EQ(CHAN_LIVE, ginfo(top).state);
		close2(e);
		close2((int[]){ child, late });
		close2((int[]){ other, top });
		ASSERT_TRUE(pause_close() && pause_open());
	}
}

/* ---- the child of chan_fork() ---- */

static int child_sends = -1;	/* in the child, before it has closed anything */

static void child_comes(void)
{
	if (child_sends >= 0)
		chan_send(child_sends, "here", 4, -1, CHAN_NOW);
}

static long r_fork(struct racer *r)
{
	int m;
	long pid = chan_fork(r->fd, &r->other, 1, &m);

	if (!pid) {
		chan_leave(m, EIO, "child");
		_exit(0);
	}
	return pid;
}

/*
 * The child has copies of all descriptors until it has closed those it does not keep. Meanwhile
 * the others are as open as the parent left them, and it is a member by its own copy alone.
 * Then it goes on, or is killed; or its group has ended by then.
 */
TEST_F(group, a_child_that_has_not_closed_its_copies_yet)
{
	enum { GOES_ON, KILLED, ENDED, WAYS };

	ASSERT_EQ(0, pthread_atfork(NULL, NULL, child_comes));
	for (int way = 0; way < WAYS; way++) {
		int g = root(), gone[2], kept[2], v, first = -1, status;
		struct racer f = RACER(r_fork, g);

		ASSERT_EQ(0, chan_make(gone, 4, 0, 0));
		ASSERT_EQ(0, chan_make(kept, 4, 1, 0));
		f.other = child_sends = kept[1];
		ASSERT_TRUE(stop_at("send", ANY, NULL));
		ASSERT_TRUE(race_begin(&f, false));
		ASSERT_TRUE(stopped_at("send", ANY));
		ASSERT_LT(0, race_end(&f));
		child_sends = -1;
		close(gone[1]);
		EXPECT_EQ(-EAGAIN, chan_recv(gone[0], &v, 4, -1, CHAN_NOW));
		EXPECT_EQ(1, info_of(gone[0]).senders);
		EXPECT_EQ(1, ginfo(g).members);
		EXPECT_EQ(-EAGAIN, chan_wait(g, &first, -1, CHAN_NOW));
		if (way == ENDED)
			EXPECT_EQ(0, chan_cancel(g, EPERM, NULL));
		EXPECT_TRUE(way == KILLED ? !kill(f.ret, SIGKILL) : go_on("send", ANY));
		EXPECT_EQ(0, chan_wait(g, &first, -1, SOON));
		EXPECT_EQ(way == KILLED ? EOWNERDEAD : EIO, first);
		EXPECT_EQ(0, ginfo(g).members);
		EXPECT_EQ(1, ginfo(g).failed);
		EXPECT_EQ(way == ENDED ? EPERM : 0, ginfo(g).err);
		EXPECT_EQ(-ECONNRESET, chan_recv(gone[0], &v, 4, -1, SOON));
		EXPECT_EQ(f.ret, waitpid(f.ret, &status, 0));
		EXPECT_EQ(way == KILLED ? SIGKILL : 0, status);
		EXPECT_EQ(1, info_of(kept[0]).senders);
		EXPECT_EQ(1, info_of(kept[0]).len);
		close(gone[0]);
		close2(kept);
		close(g);
	}
}

TEST_HARNESS_MAIN
