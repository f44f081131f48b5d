/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copies of short messages, in line and by words: the general calls would spend
 * more on finding out how large the kernel's buffer is, and on starting a string
 * instruction, than on the copy. Here the kernel's buffer is always one of
 * KCHAN_INLINE bytes, and @len is no more.
 */
#ifndef KCHAN_COPY_H
#define KCHAN_COPY_H

#include <linux/fault-inject-usercopy.h>
#include <linux/uaccess.h>

#define GET(type, at) \
	unsafe_get_user(*(type *)(to + (at)), (const type __user *)(from + (at)), fault)
#define PUT(type, at) \
	unsafe_put_user(*(const type *)(from + (at)), (type __user *)(to + (at)), fault)

/* False: not all could be copied. */
static __always_inline bool copy_short_in(void *to, const void __user *from, size_t len)
{
	if (should_fail_usercopy() || !user_read_access_begin(from, len))
		return !len;
	for (; len >= 32; len -= 32, to += 32, from += 32) {
		GET(u64, 0);
		GET(u64, 8);
		GET(u64, 16);
		GET(u64, 24);
	}
	for (; len >= 8; len -= 8, to += 8, from += 8)
		GET(u64, 0);
	for (; len; len--, to++, from++)
		GET(u8, 0);
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

static __always_inline bool copy_short_out(void __user *to, const void *from, size_t len)
{
	if (should_fail_usercopy() || !user_write_access_begin(to, len))
		return !len;
	for (; len >= 32; len -= 32, to += 32, from += 32) {
		PUT(u64, 0);
		PUT(u64, 8);
		PUT(u64, 16);
		PUT(u64, 24);
	}
	for (; len >= 8; len -= 8, to += 8, from += 8)
		PUT(u64, 0);
	for (; len; len--, to++, from++)
		PUT(u8, 0);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

#undef GET
#undef PUT

/* Slots and payloads end at a multiple of 8. */
static __always_inline void copy_words(u64 *to, const u64 *from, u32 len)
{
	const u64 *end = from + (len + 7) / 8;

	for (; from + 4 <= end; from += 4, to += 4) {
		u64 a = from[0], b = from[1], c = from[2], d = from[3];

		to[0] = a;
		to[1] = b;
		to[2] = c;
		to[3] = d;
	}
	for (; from < end; from++, to++)
		*to = *from;
}

#endif
