// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values of groups: set once, never changed, kept as long as the group's object.
 * So a reader needs no lock: what it reaches through group->values stays.
 */
#include "group.h"

#include <linux/mm.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "pause.h"
#include "quota.h"

/* In those set before @end was, @v the last of them. */
static struct kgroup_value *value_find(struct kgroup_value *v, const struct kgroup_value *end,
				       const char *key, u32 key_len)
{
	for (; v != end; v = v->next)
		if (v->key_len == key_len && !memcmp(v->data, key, key_len))
			return v;
	return NULL;
}

/* 1..KCHAN_KEY_SIZE - 1 bytes, or -EINVAL. */
static long get_key(char *key, u64 user)
{
	long n = strncpy_from_user(key, u64_to_user_ptr(user), KCHAN_KEY_SIZE);

	return !n || n == KCHAN_KEY_SIZE ? -EINVAL : n;
}

static void value_free(struct kgroup *g, struct kgroup_value *v)
{
	kchan_uncharge(g->maker.user, v->bytes);
	kvfree(v);
}

void kgroup_free_values(struct kgroup *g)
{
	while (g->values) {
		struct kgroup_value *v = g->values;

		g->values = v->next;
		value_free(g, v);
		cond_resched();
	}
}

/*
 * The keys are compared without the lock, as there may be many; under it, only whether
 * there are others by now. Values are put in front and stay, so the same head means
 * that nothing was put there:
 *
 *   one that sets K			another that sets K
 *   head is A: no K in A...
 *					head is A: no K in A...
 *					lock, head is A: put its K in front, unlock
 *   lock, head is K: unlock
 *   no K from K down to A? there is: EEXIST
 */
static int insert(struct kgroup *g, struct kgroup_value *v)
{
	struct kgroup_value *head, *seen = NULL;
	int err = 0;

	for (;;) {
		head = smp_load_acquire(&g->values);
		if (value_find(head, seen, v->data, v->key_len))
			return -EEXIST;
		seen = head;
		kchan_pause(value_looked);
		spin_lock(&g->lock);
		if (g->values == seen)
			break;
		spin_unlock(&g->lock);
	}
	if (g->nr_values < KGROUP_VALUES) {
		g->nr_values++;
		v->next = seen;
		smp_store_release(&g->values, v);	/* pairs with whoever looks in it */
	} else {
		err = -EDQUOT;
	}
	spin_unlock(&g->lock);
	return err;
}

int kgroup_set(struct kgroup *g, const struct kchan_value *a)
{
	char key[KCHAN_KEY_SIZE] kchan_uninitialized;
	struct kgroup_value *v;
	size_t bytes;
	long key_len;
	int err;

	if (a->len > KCHAN_VALUE_MAX)
		return -EINVAL;
	key_len = get_key(key, a->key);
	if (key_len < 0)
		return key_len;
	bytes = sizeof(*v) + key_len + a->len;
	err = kchan_charge_holder(&g->maker, bytes);
	if (err)
		return err;
	v = kvmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!v) {
		kchan_uncharge(g->maker.user, bytes);
		return -ENOMEM;
	}
	v->bytes = bytes;
	v->key_len = key_len;
	v->len = a->len;
	memcpy(v->data, key, key_len);
	if (copy_from_user(v->data + key_len, u64_to_user_ptr(a->val), a->len)) {
		value_free(g, v);
		return -EFAULT;
	}
	err = insert(g, v);
	if (err)
		value_free(g, v);
	return err;
}

/* In @g, then in its parents: they are all there as long as @g is. */
long kgroup_get_value(struct kgroup *g, const struct kchan_value *a)
{
	char key[KCHAN_KEY_SIZE] kchan_uninitialized;
	struct kgroup_value *v = NULL;
	long key_len = get_key(key, a->key);

	if (key_len < 0)
		return key_len;
	for (; g && !v; g = g->parent) {
		v = value_find(smp_load_acquire(&g->values), NULL, key, key_len);
		cond_resched();
	}
	if (!v)
		return -ENODATA;
	if (!a->val && !a->len)
		return v->len;
	if (a->len < v->len)
		return -EMSGSIZE;
	if (copy_to_user(u64_to_user_ptr(a->val), v->data + v->key_len, v->len))
		return -EFAULT;
	return v->len;
}
