// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values of groups are set once, never changed, and kept as long as the group's object.
 * Therefore readers need no lock: whatever they reach through group->values stays.
 */
#include "group.h"

#include <linux/mm.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "pause.h"
#include "quota.h"

/* Look for a key from @v, the value set last, down to @until, which is not looked at. */
static struct kgroup_value *value_find(struct kgroup_value *v, const struct kgroup_value *until,
				       const char *key, u32 key_len)
{
	for (; v != until; v = v->next)
		if (v->key_len == key_len && !memcmp(v->data, key, key_len))
			return v;
	return NULL;
}

/* Copy in a key of 1 to KCHAN_KEY_SIZE - 1 bytes; else -EINVAL. */
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
 * Keys are compared without the lock, as there may be many of them; only the head of the list
 * is compared under it. Values are added at the head and stay, so an unchanged head means that
 * none was added:
 *
 *   a call sets key K			another sets key K
 *
 *   head is A: no K from A on
 *					head is A: no K from A on
 *					locks; head is A: adds its K; unlocks
 *   locks; head is not A: unlocks
 *   looks from the head down to A:
 *   K is there: -EEXIST
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
		smp_store_release(&g->values, v);	/* pairs with the readers */
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

/* Look in @g and then in its parents, which @g keeps. */
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
