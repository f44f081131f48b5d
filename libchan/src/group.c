/* SPDX-License-Identifier: MIT */
/* Groups. Each call is a few lines over one ioctl; nothing is kept between calls. */
#include "call.h"
#include "group.h"
#include "race.h"
#include "tool.h"

_Static_assert(sizeof(struct chan_group_info) == sizeof(struct kchan_group_info), "layout");
_Static_assert(offsetof(struct chan_group_info, why) ==
	       offsetof(struct kchan_group_info, why), "layout");
_Static_assert(CHAN_FAIL_FAST == KCHAN_FAIL_FAST && CHAN_FIRST_EXIT == KCHAN_FIRST_EXIT &&
	       CHAN_DETACHED == KCHAN_DETACHED, "flags");
_Static_assert(CHAN_GROUP == KCHAN_GROUP && CHAN_WATCH == KCHAN_WATCH, "kinds");
_Static_assert(CHAN_LIVE == KCHAN_LIVE && CHAN_ENDED == KCHAN_ENDED, "states");

API int chan_group(int parent, int64_t deadline, unsigned flags, unsigned limit)
{
	struct kchan_group_make m = { .deadline = deadline, .flags = flags, .limit = limit };
	int dev, r;

	if (parent != -1)
		return call(parent, KCHAN_IOC_GROUP, &m);
	dev = open_device();
	if (dev < 0)
		return dev;
	r = call(dev, KCHAN_IOC_GROUP, &m);
	drop(dev);
	return r;
}

API int chan_watch(int group)
{
	return call_plain(group, KCHAN_IOC_WATCH, 0);
}

/* A look that ThreadSanitizer must not take for the program's own. */
static struct kchan_group_info peek(int group)
{
	struct kchan_group_info i = {};
	int saved = errno;

	call_out(group, KCHAN_IOC_GROUP_INFO, &i, sizeof(i));
	errno = saved;
	return i;
}

API int chan_join(int group, int under, int64_t deadline)
{
	struct kchan_group_wait w = { .deadline = deadline, .under = under };
	int r = call(group, KCHAN_IOC_JOIN, &w);

	if (!race_on())
		return r;
	if (r < 0) {
		race_failed(-1, under, r);
		race_failed(-1, group, -ECANCELED);	/* it may have ended */
	} else {
		struct kchan_group_info i = peek(group);

		if (i.limit)		/* the place may be one that a member has left */
			race_acquire(RACE_MEMBERS, i.id);
	}
	return r;
}

int group_leave(int member, int err, const char *why, unsigned flags)
{
	struct kchan_group_end e = { .why = (uintptr_t)why, .err = err, .flags = flags };
	int r;

	if (race_on()) {
		race_release(RACE_MEMBERS, peek(member).parent_id);
		race_release(RACE_ENDS, 0);
	}
	r = call(member, KCHAN_IOC_LEAVE, &e);
	if (!r && why && tool_on())
		tool_text(why, KCHAN_WHY_SIZE - 1);
	return r;
}

API int chan_leave(int member, int err, const char *why)
{
	return group_leave(member, err, why, 0);
}

API int chan_cancel(int group, int err, const char *why)
{
	struct kchan_group_end e = { .why = (uintptr_t)why, .err = err };
	int r;

	if (race_on())
		race_release(RACE_ENDS, 0);
	r = call(group, KCHAN_IOC_CANCEL, &e);
	if (!r && why && tool_on())
		tool_text(why, KCHAN_WHY_SIZE - 1);
	return r;
}

API int chan_wait(int group, int *first_err, int under, int64_t deadline)
{
	struct kchan_group_wait w = { .deadline = deadline, .under = under };
	int r;

	if (first_err && tool_on())
		tool_room(first_err, sizeof(*first_err));
	r = call(group, KCHAN_IOC_WAIT, &w);
	if (race_on() && r < 0)
		race_failed(-1, under, r);
	if (r < 0)
		return r;
	if (race_on()) {
		race_acquire(RACE_MEMBERS, peek(group).id);
		race_closed(w.first_err);
	}
	if (!first_err)
		return 0;
	*first_err = w.first_err;
	if (tool_on())
		tool_stored(first_err, sizeof(*first_err));
	return 0;
}

API int chan_group_info(int group, struct chan_group_info *info, size_t size)
{
	int r = call_info(group, KCHAN_IOC_GROUP_INFO, info, size);

	if (!r && tool_on())
		race_end_seen(info);
	return r;
}

/* Tell the tools of a key that the kernel has read, as these results show. */
static void tell_key(const char *key, int r)
{
	if (r >= 0 || r == -EEXIST || r == -ENODATA || r == -EMSGSIZE)
		tool_text(key, KCHAN_KEY_SIZE);
}

API int chan_value_set(int group, const char *key, const void *val, size_t len)
{
	struct kchan_value v = { .key = (uintptr_t)key, .val = (uintptr_t)val, .len = len };
	int r;

	if (!tool_on())
		return call_bare(group, KCHAN_IOC_VALUE_SET, &v);
	if (len <= KCHAN_VALUE_MAX)
		tool_reads(val, len);
	if (race_on())
		race_release(RACE_VALUES, 0);
	r = call(group, KCHAN_IOC_VALUE_SET, &v);
	tell_key(key, r);
	return r;
}

API ssize_t chan_value_get(int group, const char *key, void *buf, size_t len)
{
	struct kchan_value v = { .key = (uintptr_t)key, .val = (uintptr_t)buf, .len = len };
	int r;

	if (!tool_on())
		return call_bare(group, KCHAN_IOC_VALUE_GET, &v);
	tool_room(buf, len < KCHAN_VALUE_MAX ? len : KCHAN_VALUE_MAX);
	r = call(group, KCHAN_IOC_VALUE_GET, &v);
	tell_key(key, r);
	if (r >= 0 && race_on())
		race_acquire(RACE_VALUES, 0);
	if (r >= 0 && len)
		tool_stored(buf, r);
	return r;
}
