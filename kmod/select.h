/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Selects: what chan_select(), armed selects and commands of io_uring have in common.
 * sel_init() makes one and sel_load() fills it; sel_probe() looks for a case that is ready,
 * sel_enqueue() parks it, sel_dequeue() unlinks it again, and sel_deliver() copies a received
 * message out. Cases hold references to channels and groups, not to their files; files of other
 * kinds are held by the cases that poll them.
 */
#ifndef KCHAN_SELECT_H
#define KCHAN_SELECT_H

#include <linux/poll.h>

#include "args.h"
#include "chan.h"
#include "group.h"
#include "kchan.h"
#include "msg.h"
#include "wait.h"

struct kchan_armed;

/* What a CHAN_POLL case polls. */
struct sel_target {
	void *obj;
	__poll_t (*poll)(void *obj, struct kchan_waiter *self, poll_table *pt);
	void (*put)(void *obj);
};

struct sel_entry;	/* in a wait queue of a target */

struct sel_case {
	struct kchan *c;		/* NULL: disabled, or it polls */
	int op;				/* 0: disabled */
	int broken;			/* the error of a send that can only fail */
	u32 seq;
	u16 order;			/* the case tried as this number */
	bool parked;			/* its node is, or was, in a queue */
	u16 seen[2];			/* two slots of the hash of parked cases */
	union {
		struct {
			struct kchan_node node;
			union {
				void __user *buf;
				size_t room;	/* armed: its own; its node may stand for others */
			};
			union {
				int __user *fds;
				u32 fd_room;
			};
			struct kchan_payload *out;	/* send */
		};
		struct {		/* KCHAN_POLL */
			struct sel_target target;
			u32 events, revents;
		};
	};
};

struct sel {
	struct kchan_waiter w;
	struct kchan_payload in;
	struct sel_case *cs;
	unsigned int n;
	unsigned int polls;		/* cases with a target */
	struct kchan_payload *outs;
	struct sel_entry *entries;
	bool compat;
	bool prio;
	bool no_poll;			/* no targets allowed */
	bool looked;			/* at all cases, and none looked ready */
	bool armed;			/* cases in user memory are only read */
	bool rearms;			/* each case has a place in @outs */
	u64 rnd;
	void __user *ucases;
	size_t charged;			/* to its user, if it outlives the call */
};

enum sel_how { SEL_QUEUED, SEL_FOUND, SEL_CHOSEN, SEL_FAILED };

/* cases.c */
struct sel *sel_init(struct sel *s, void __user *cases, unsigned int n, bool prio, u32 tag,
		     bool compat);
int sel_load(struct sel *s);
int sel_load_again(struct sel *s, unsigned int i, u32 tag);
int sel_charge(struct sel *s, size_t bytes);
void sel_destroy(struct sel *s);
int sel_get_case(struct sel *s, unsigned int i, struct kchan_case *k);
int sel_put_res(struct sel *s, unsigned int i, int res);
void sel_put_len(struct sel *s, unsigned int i, u32 len, u32 nfds);
void sel_put_revents(struct sel *s, unsigned int i, u32 revents);

/* polls.c */
void sel_target_get(struct sel_target *t, struct file *file);
u32 sel_sample(struct sel *s, struct sel_case *k);
int sel_watch(struct sel *s, struct sel_case *k);
void sel_unwatch(struct sel *s);

/* select.c */
long kchan_select(unsigned int cmd, unsigned long arg, bool bare);
int sel_probe(struct sel *s, bool exact);
enum sel_how sel_enqueue(struct sel *s);
enum sel_how sel_enqueue_some(struct sel *s, unsigned int n);
void sel_dequeue(struct sel *s);
int sel_wait(struct sel *s, struct kgroup *under, s64 deadline, int expired);
int sel_deliver(struct sel *s, struct kchan_mem *dst);
int sel_finish(struct sel *s);
long kchan_select_args(struct kchan_select *a, struct kgroup *under, s32 __user *handle,
		       bool no_poll, bool compat);

/* select_fast.c */
int kchan_select_ready(const struct kchan_select *a, struct kgroup *under);

/* arm.c */
long kchan_arm(unsigned int cmd, unsigned long arg);
int kchan_arm_init(void);
void kchan_arm_exit(void);
struct kchan_armed *kchan_armed_get(struct kchan_armed *a);
void kchan_armed_put(struct kchan_armed *a);
__poll_t kchan_armed_poll(struct kchan_armed *a, struct file *file, poll_table *pt);

/*
 * Requests that all kinds of descriptors answer alike. @on_handle: the descriptor is bare, so a
 * select may wait on it; @arms: armed selects can be made on it.
 */
static inline long kchan_ioctl_any(unsigned int cmd, unsigned long arg, bool on_handle, bool arms)
{
	switch (KCHAN_BARE(cmd)) {
	case KCHAN_BARE(KCHAN_IOC_SELECT):
		return kchan_select(cmd, arg, on_handle);
	case KCHAN_BARE(KCHAN_IOC_ARM):
		return arms ? kchan_arm(cmd, arg) : kchan_unanswered(cmd);
	case KCHAN_BARE(KCHAN_IOC_FEATURES):
		return kchan_features(cmd, arg);
	default:
		return kchan_unanswered(cmd);
	}
}

static inline u32 sel_peer_tag(struct sel *s)
{
	struct sel_case *k = &s->cs[s->w.fired];

	return k->op == KCHAN_SEND ? k->out->tag : s->in.tag;
}

#endif
