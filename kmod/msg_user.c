// SPDX-License-Identifier: GPL-2.0-only
/* struct kchan_msg in user memory, in its 64-bit and 32-bit layouts. */
#include "msg.h"

#include <linux/compat.h>
#include <linux/uaccess.h>

#include "copy.h"
#include "kchan.h"

void kchan_msg_from_compat(struct kchan_msg *m, const struct compat_kchan_msg *cm)
{
	*m = (struct kchan_msg) {
		.buf = (void __force *)compat_ptr(cm->buf), .len = cm->len,
		.fds = (void __force *)compat_ptr(cm->fds), .nfds = cm->nfds,
		.res = cm->res,
	};
}

/* Copy in message @i of an array. */
int kchan_msg_get(void __user *msgs, unsigned int i, bool compat, struct kchan_msg *m)
{
	if (compat) {
		struct compat_kchan_msg cm;

		if (copy_from_user(&cm, (struct compat_kchan_msg __user *)msgs + i, sizeof(cm)))
			return -EFAULT;
		kchan_msg_from_compat(m, &cm);
		return 0;
	}
	return copy_struct_in(m, (struct kchan_msg __user *)msgs + i, sizeof(*m)) ? 0 : -EFAULT;
}

/* Store the fields of one that a call may change. */
int kchan_msg_put(void __user *msgs, unsigned int i, bool compat, const struct kchan_msg *m)
{
	struct kchan_msg __user *um = (struct kchan_msg __user *)msgs + i;

	if (compat) {
		struct compat_kchan_msg __user *cm = (struct compat_kchan_msg __user *)msgs + i;

		return put_user(m->len, &cm->len) | put_user(m->nfds, &cm->nfds) |
		       put_user(m->res, &cm->res);
	}
	return copy_results_out(um, m, 1) ? 0 : -EFAULT;
}

/* Copy in a message to send, of a case or a batch, into @p, whose tag is set. */
int kchan_msg_load(struct kchan *c, struct kchan_payload *p, const struct kchan_msg *m)
{
	struct kchan_mem src = {
		.buf = (void __force __user *)m->buf,
		.fds = (void __force __user *)m->fds, .nfds = m->nfds,
	};

	if (m->nfds > KCHAN_MAX_FDS)
		return -EINVAL;
	if (m->nfds && !(c->flags & KCHAN_FDS))
		return -EPERM;
	if (m->len > c->msg_max)
		return -EMSGSIZE;
	return kchan_load(c, p, &src, m->len);
}
