// SPDX-License-Identifier: GPL-2.0-only
/* Pause points, in builds for tests only; see pause.h. */
#include "pause.h"

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#define PATIENCE	(120 * HZ)
#define SPIN_PATIENCE	(15 * HZ)	/* below what the kernel reports as a lockup */
#define STOPS		32

#define SLEEPS(name)	{ #name, false },
#define SPINS(name)	{ #name, true },
static const struct { const char *name; bool spins; } points[] = {
	KCHAN_PAUSE_POINTS(SLEEPS, SPINS)
};

/* GAVE_UP stays until it was read. */
enum { FREE, ARMED, STOPPED, GOING, GAVE_UP };

static struct stop {
	int state;
	int at, until;			/* points; until: or -1 */
	pid_t tid;			/* ARMED: 0 for any */
} stops[STOPS];

static DEFINE_RAW_SPINLOCK(lock);
static bool used;			/* some stop is or was in use */
static const void *owner;		/* lock: the file that was opened last */
static struct dentry *dir;

/* The thread has come to @at: let go those that waited for that, and find its own stop, if any. */
static struct stop *arrive(int at)
{
	struct stop *s, *mine = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	for (s = stops; s < stops + STOPS; s++) {
		if (s->state == STOPPED && s->until == at)
			WRITE_ONCE(s->state, GOING);
		if (!mine && s->state == ARMED && s->at == at &&
		    (!s->tid || s->tid == task_pid_nr(current)))
			mine = s;
	}
	if (mine) {
		WRITE_ONCE(mine->tid, task_pid_nr(current));
		WRITE_ONCE(mine->state, STOPPED);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
	return mine;
}

static void leave(struct stop *s, bool gave_up)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	WRITE_ONCE(s->state, s->state == STOPPED && gave_up ? GAVE_UP : FREE);
	raw_spin_unlock_irqrestore(&lock, flags);
}

void kchan_pause_at(enum kchan_pause at)
{
	unsigned long end = jiffies + (points[at].spins ? SPIN_PATIENCE : PATIENCE);
	bool gave_up = false;
	struct stop *s;

	if (!READ_ONCE(used))
		return;
	s = arrive(at);
	if (!s)
		return;
	while (READ_ONCE(s->state) == STOPPED && !gave_up) {
		gave_up = time_after(jiffies, end);
		if (points[at].spins)
			cpu_relax();
		else if (schedule_timeout_killable(1) &&
			 data_race(fatal_signal_pending(current)))	/* one bit */
			break;
	}
	leave(s, gave_up);
}

static int pause_find(const char *name)
{
	int i;

	for (i = 0; i < KCHAN_PAUSE_NR; i++)
		if (!strcmp(points[i].name, name))
			return i;
	return -1;
}

static int arm(int at, pid_t tid, int until)
{
	struct stop *s;

	for (s = stops; s < stops + STOPS; s++) {
		if (s->state != FREE)
			continue;
		WRITE_ONCE(s->at, at);
		WRITE_ONCE(s->tid, tid);
		s->until = until;
		WRITE_ONCE(s->state, ARMED);
		WRITE_ONCE(used, true);
		return 0;
	}
	return -ENOSPC;
}

static int let_go(int at, pid_t tid)
{
	struct stop *s;
	int err = -ESRCH;

	for (s = stops; s < stops + STOPS; s++) {
		if (s->state != STOPPED || s->at != at || (tid && s->tid != tid))
			continue;
		WRITE_ONCE(s->state, GOING);
		err = 0;
	}
	return err;
}

static void let_all_go(void)
{
	struct stop *s;

	for (s = stops; s < stops + STOPS; s++)
		if (s->state != FREE)
			WRITE_ONCE(s->state, s->state == STOPPED || s->state == GOING ?
				   GOING : FREE);
}

static ssize_t pause_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	char line[100], what[8], name[32], other[32] = "";
	int n, at, until, tid, err = -EINVAL;
	unsigned long flags;

	if (len >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, buf, len))
		return -EFAULT;
	line[len] = 0;
	n = sscanf(line, "%7s %31s %d %31s", what, name, &tid, other);
	if (n < 3)
		return -EINVAL;
	at = pause_find(name);
	until = n > 3 ? pause_find(other) : -1;
	if (at < 0 || (n > 3 && until < 0))
		return -EINVAL;
	raw_spin_lock_irqsave(&lock, flags);
	if (owner != file->private_data)
		err = -ESTALE;
	else if (!strcmp(what, "stop"))
		err = arm(at, tid, until);
	else if (!strcmp(what, "go") && n == 3)
		err = let_go(at, tid);
	raw_spin_unlock_irqrestore(&lock, flags);
	return err ?: len;
}

static int pause_show(struct seq_file *m, void *unused)
{
	struct stop *s;

	for (s = stops; s < stops + STOPS; s++) {
		int state = READ_ONCE(s->state);

		if (state == STOPPED || state == GAVE_UP)
			seq_printf(m, "%s %s %d\n", state == STOPPED ? "stopped" : "gave-up",
				   points[READ_ONCE(s->at)].name, READ_ONCE(s->tid));
	}
	return 0;
}

/* The points that spin; a test keeps who stops there on a processor of its own. */
static int spins_show(struct seq_file *m, void *unused)
{
	int i;

	for (i = 0; i < KCHAN_PAUSE_NR; i++)
		if (points[i].spins)
			seq_printf(m, "%s\n", points[i].name);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(spins);

static void set_owner(const void *old, const void *new)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	if (!old || owner == old) {
		let_all_go();
		owner = new;
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

static int pause_open(struct inode *inode, struct file *file)
{
	int err = single_open(file, pause_show, NULL);

	if (!err)
		set_owner(NULL, file->private_data);
	return err;
}

static int pause_release(struct inode *inode, struct file *file)
{
	set_owner(file->private_data, NULL);
	return single_release(inode, file);
}

static const struct file_operations pause_fops = {
	.owner = THIS_MODULE,
	.open = pause_open,
	.release = pause_release,
	.read = seq_read,
	.llseek = seq_lseek,
	.write = pause_write,
};

void kchan_pause_init(void)
{
	BUILD_BUG_ON(ARRAY_SIZE(points) != KCHAN_PAUSE_NR);
	dir = debugfs_create_dir("kchan", NULL);
	debugfs_create_file("pause", 0600, dir, NULL, &pause_fops);
	debugfs_create_file("spins", 0400, dir, NULL, &spins_fops);
}

/* Let all go on: work of the module may be among those that have stopped. */
void kchan_pause_exit(void)
{
	set_owner(NULL, NULL);
	debugfs_remove(dir);
}
