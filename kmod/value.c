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

#define REMEMBER_EVERY	16	/* levels */

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
		bool forget = !g->nr_values && g->has_below;

		if (forget)
			atomic_long_inc(&g->top->nr_begun);
		kchan_pause(value_begun);
		g->nr_values++;
		v->next = seen;
		smp_store_release(&g->values, v);	/* pairs with the readers; after nr_begun */
		kchan_pause(value_added);
		if (forget)
			atomic_long_inc_return_release(&g->top->nr_done);
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

/* A group below @g is being made: from now on @g must be announced if it gets a first value. */
void kgroup_has_below(struct kgroup *g)
{
	if (smp_load_acquire(&g->has_below))	/* pairs with the release below */
		return;
	spin_lock(&g->lock);	/* a first value that is being added is found by those below */
	smp_store_release(&g->has_below, true);
	spin_unlock(&g->lock);
}

/* Is what @g remembers still the nearest group above it that has values? */
static bool remembers(struct kgroup *g)
{
	/* acquire: g->above is no older than above_at, and a newer one will do as well */
	return smp_load_acquire(&g->above_at) == atomic_long_read(&g->top->nr_begun);
}

static void remember(struct kgroup *g, struct kgroup *above, unsigned long at)
{
	spin_lock(&g->lock);
	if (at > g->above_at) {
		WRITE_ONCE(g->above, above);
		smp_store_release(&g->above_at, at);	/* pairs with remembers() */
	}
	spin_unlock(&g->lock);
}

/*
 * The nearest group above @g that has values, or NULL. It is remembered by @g and by some of the
 * groups passed, so that one made below these has not far to look. A group between may get its
 * first value meanwhile:
 *
 *   looks up from @g				sets a value in a group between
 *
 *   reads nr_done
 *   finds no values between
 *						raises nr_begun
 *						adds the value; raises nr_done
 *   remembers a group above that, as
 *   of the nr_done that it has read
 *   the next look: nr_begun is another,
 *   so it looks again
 *
 *						raises nr_begun
 *   reads nr_done
 *   finds no values between
 *						adds the value; raises nr_done
 *   remembers a group above that, but
 *   nr_begun was and stays another
 *
 * nr_begun is raised before anybody can see the value: whoever has seen it from one group does
 * not miss it from another.
 */
static struct kgroup *nearest_above(struct kgroup *g)
{
	struct kgroup *p, *above, *stop;
	unsigned long at;

	if (remembers(g))
		return READ_ONCE(g->above);
	at = atomic_long_read_acquire(&g->top->nr_done);	/* values added before are seen */
	for (p = g->parent; p && !READ_ONCE(p->values) && !remembers(p); p = p->parent)
		cond_resched();
	stop = p;
	above = p && !READ_ONCE(p->values) ? READ_ONCE(p->above) : p;
	kchan_pause(value_passed);
	remember(g, above, at);
	for (p = g->parent; p != stop; p = p->parent) {
		if (p->depth % REMEMBER_EVERY == 0)
			remember(p, above, at);
		cond_resched();
	}
	return above;
}

/* Look in @g and then in its parents, which @g keeps. */
long kgroup_get_value(struct kgroup *g, const struct kchan_value *a)
{
	char key[KCHAN_KEY_SIZE] kchan_uninitialized;
	long key_len = get_key(key, a->key);
	struct kgroup_value *v;

	if (key_len < 0)
		return key_len;
	for (;;) {
		v = value_find(smp_load_acquire(&g->values), NULL, key, key_len);
		if (v)
			break;
		g = nearest_above(g);
		if (!g)
			return -ENODATA;
		cond_resched();
	}
	if (!a->val && !a->len)
		return v->len;
	if (a->len < v->len)
		return -EMSGSIZE;
	if (copy_to_user(u64_to_user_ptr(a->val), v->data + v->key_len, v->len))
		return -EFAULT;
	return v->len;
}
