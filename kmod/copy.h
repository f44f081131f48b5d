/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copies of short messages, inline and by words. The general functions would spend more on
 * checking the size of the kernel's buffer, and on starting a string instruction, than on
 * the copy. Here the kernel's buffer always has KCHAN_INLINE bytes, and @len is at most that.
 */
#ifndef KCHAN_COPY_H
#define KCHAN_COPY_H

#include <linux/fault-inject-usercopy.h>
#include <linux/uaccess.h>
#include <linux/kchan.h>

#define KCHAN_INLINE	128	/* messages up to this live in slots and nodes */

/*
 * Copy a word from user memory. Without asm goto with outputs, unsafe_get_user() tests for a
 * fault after each word; an asm goto that stores the word itself needs no output and no test.
 */
#if defined(CONFIG_X86_64) && !defined(CONFIG_CC_HAS_ASM_GOTO_OUTPUT) && !defined(CONFIG_KASAN) && \
	!defined(CONFIG_KMSAN)
#define GET_u64(at)							\
	asm goto("1: movq %c2(%1), %%rax\n\tmovq %%rax, %c2(%0)\n"	\
		 _ASM_EXTABLE_UA(1b, %l3)				\
		 : : "r" (to), "r" (from), "i" (at) : "rax", "memory" : fault)
#else
#define GET_u64(at) GET(u64, at)
#endif

#define GET(type, at) \
	unsafe_get_user(*(type *)(to + (at)), (const type __user *)(from + (at)), fault)
#define PUT_u64(at) PUT(u64, at)
#define PUT(type, at) \
	unsafe_put_user(*(const type *)(from + (at)), (type __user *)(to + (at)), fault)
#define ONE(what, type, bytes) do {	\
	if (len & (bytes)) {		\
		what(type, 0);		\
		to += (bytes);		\
		from += (bytes);	\
	}				\
} while (0)
/* @len bytes by words of eight, then the rest. */
#define ALL(what) do {							\
	for (; len >= 64; len -= 64, to += 64, from += 64) {		\
		what##_u64(0); what##_u64(8);				\
		what##_u64(16); what##_u64(24);				\
		what##_u64(32); what##_u64(40);				\
		what##_u64(48); what##_u64(56);				\
	}								\
	for (; len >= 8; len -= 8, to += 8, from += 8)			\
		what##_u64(0);						\
	if (len) {							\
		ONE(what, u32, 4);					\
		ONE(what, u16, 2);					\
		ONE(what, u8, 1);					\
	}								\
} while (0)

/* Returns false if not all could be copied. */
static __always_inline bool copy_short_in(void *to, const void __user *from, size_t len)
{
	/* a range of constant length is cheaper to check */
	if (should_fail_usercopy() || (!likely(user_read_access_begin(from, KCHAN_INLINE)) &&
				       !user_read_access_begin(from, len)))
		return !len;
	ALL(GET);
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

static __always_inline bool copy_short_out(void __user *to, const void *from, size_t len)
{
	if (should_fail_usercopy() || (!likely(user_write_access_begin(to, KCHAN_INLINE)) &&
				       !user_write_access_begin(to, len)))
		return !len;
	ALL(PUT);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

/* Copy in a structure of at most six words and of constant size. */
static __always_inline bool copy_struct_in(void *to, const void __user *from, size_t size)
{
	BUILD_BUG_ON(!__builtin_constant_p(size) || size > 48);
	if (size % 8)
		return !copy_from_user(to, from, size);
	if (should_fail_usercopy() || !user_read_access_begin(from, size))
		return false;
	GET_u64(0);
	if (size > 8)
		GET_u64(8);
	if (size > 16)
		GET_u64(16);
	if (size > 24)
		GET_u64(24);
	if (size > 32)
		GET_u64(32);
	if (size > 40)
		GET_u64(40);
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

/* Copy in cases in the 64-bit layout, and store the result of each as it is, as a check. */
static __always_inline bool copy_cases_in(struct kchan_case *k, struct kchan_case __user *uk,
					  unsigned int n)
{
	const void __user *from = uk;
	void *to = k;

	if (should_fail_usercopy() || !user_access_begin(uk, n * sizeof(*uk)))
		return false;
	for (; n; n--, to = ++k, from = ++uk) {
		GET_u64(0);
		GET_u64(8);
		GET_u64(16);
		GET_u64(24);
		GET_u64(32);
		GET_u64(40);
		unsafe_put_user(k->msg.res, &uk->msg.res, fault);
	}
	user_access_end();
	return true;
fault:
	user_access_end();
	return false;
}

/* The same for messages of a batch, of which a call may only change the results. */
static __always_inline bool copy_msgs_in(struct kchan_msg *m, struct kchan_msg __user *um,
					 unsigned int n)
{
	const void __user *from = um;
	void *to = m;

	if (should_fail_usercopy() || !user_access_begin(um, n * sizeof(*um)))
		return false;
	for (; n; n--, to = ++m, from = ++um) {
		GET_u64(0);
		GET_u64(8);
		GET_u64(16);
		GET_u64(24);
		unsafe_put_user(m->len, &um->len, fault);
		unsafe_put_user(m->nfds, &um->nfds, fault);
		unsafe_put_user(m->res, &um->res, fault);
	}
	user_access_end();
	return true;
fault:
	user_access_end();
	return false;
}

/* Store the fields of messages that a call may change. */
static __always_inline bool copy_results_out(struct kchan_msg __user *um, const struct kchan_msg *m,
					     unsigned int n)
{
	if (!user_write_access_begin(um, n * sizeof(*um)))
		return false;
	for (; n; n--, m++, um++) {
		unsafe_put_user(m->len, &um->len, fault);
		unsafe_put_user(m->nfds, &um->nfds, fault);
		unsafe_put_user(m->res, &um->res, fault);
	}
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

#undef ALL
#undef ONE
#undef GET
#undef PUT

/*
 * The sizes of slots and payloads are multiples of 8, at most KCHAN_INLINE bytes. A test for each
 * bit of the length is cheaper than a loop.
 */
static __always_inline void copy_words(u64 *to, const u64 *from, u32 len)
{
	u32 n = (len + 7) / 8;

	BUILD_BUG_ON(KCHAN_INLINE != 16 * 8);
#define WORD(i) (to[i] = from[i])
#define SOME(words, copies) do {	\
	if (n & (words)) {		\
		copies;			\
		to += (words);		\
		from += (words);	\
	}				\
} while (0)
#define TWO(i)	(WORD(i), WORD((i) + 1))
#define FOUR(i)	(TWO(i), TWO((i) + 2))
#define EIGHT(i) (FOUR(i), FOUR((i) + 4))
	SOME(16, (EIGHT(0), EIGHT(8)));
	SOME(8, EIGHT(0));
	SOME(4, FOUR(0));
	SOME(2, TWO(0));
	SOME(1, WORD(0));
#undef EIGHT
#undef FOUR
#undef TWO
#undef SOME
#undef WORD
}

#endif
