/* SPDX-License-Identifier: MIT */
/*
 * List a directory tree, in three ways:
 *
 * A. as an array: nothing can be used before all is read.
 * B. as a channel of names. Two things must be right: the channel is shut with
 *    the cause, so that "ended" differs from "broke off"; and the reader who
 *    has seen enough closes its end, so that the lister does not wait for ever.
 * C. by a callback that can say stop. This needs no channel, no thread and no
 *    clean-up: where a plain function will do, write that, and let the caller
 *    decide whether to run it beside something else. A and B are made of it.
 */
#include <dirent.h>
#include <sys/stat.h>
#include "util.h"

/* C. Returns 0 at the end, an error number, or what the callback returned to stop. */
enum { STOP = -1 };

static int walk(const char *dir, int (*fn)(const char *name, void *arg), void *arg)
{
	struct dirent **entry;
	struct stat st;
	char *name;
	int n, ret = 0;

	n = scandir(dir, &entry, NULL, alphasort);
	if (n < 0)
		return errno;
	for (int i = 0; i < n; free(entry[i++])) {
		if (ret || entry[i]->d_name[0] == '.')
			continue;
		must(asprintf(&name, "%s/%s", dir, entry[i]->d_name));
		if (stat(name, &st))
			ret = errno;
		else if (S_ISDIR(st.st_mode))
			ret = walk(name, fn, arg);
		else
			ret = fn(name, arg);
		free(name);
	}
	free(entry);
	return ret;
}

static int print_until_cherry(const char *name, void *arg)
{
	(void)arg;
	printf(" %s", name);
	return strstr(name, "cherry") ? STOP : 0;
}

/* A. */
struct list {
	char *name[16];
	int n;
};

static int append(const char *name, void *arg)
{
	struct list *l = arg;

	if (l->n == 16)
		return ENOMEM;
	l->name[l->n++] = strdup(name);
	return 0;
}

/* B. A task: fd[0] is where the names go. */
static const char *tree[] = { "good", "broken" };
enum { GOOD, BROKEN };

static int send_name(const char *name, void *arg)
{
	int tx = *(int *)arg;

	return chan_send(tx, name, strlen(name), -1, CHAN_FOREVER) < 0 ? STOP : 0;
}

static int list(int *fd, long which)
{
	int err = walk(tree[which], send_name, &fd[0]);

	if (err == STOP)
		return 1;		/* EPIPE: nobody wants the rest */
	return -chan_shut(fd[0], err);
}

static int list_badly(int *fd, long which)
{
	return walk(tree[which], send_name, &fd[0]) == STOP;	/* and why it ended is lost */
}

static int start(task_fn *lister, long which)
{
	int end[2];

	must(chan_make(end, PATH_MAX, 0, 0));
	go(lister, which, end[1]);
	return end[0];
}

static void print_all(int rx)
{
	struct chan_info info;
	char name[PATH_MAX];
	ssize_t n;

	while ((n = chan_recv(rx, name, sizeof(name), -1, CHAN_FOREVER)) > 0)
		printf(" %.*s", (int)n, name);
	must(chan_info(rx, &info, sizeof(info)));
	if (n == -EPIPE)
		printf("; ended\n");
	else if (info.send_err == EOWNERDEAD)	/* closed without a word */
		printf("; ended, or died?\n");
	else
		printf("; broke off: %s\n", strerror(info.send_err));
	close(rx);
	wait_tasks();
}

static void walk_away(void)
{
	struct chan_info info;
	char name[PATH_MAX];
	int rx = start(list, GOOD);

	must(chan_recv(rx, name, sizeof(name), -1, CHAN_FOREVER));
	do {
		usleep(1000);
		must(chan_info(rx, &info, sizeof(info)));
	} while (info.parked_senders != 1);
	printf("the reader has seen enough, and keeps its end: the lister is stuck\n");
	close(rx);
	printf("the reader closes its end: %d lister has stopped early\n", wait_tasks());
}

/* The trees. A link to nowhere breaks the second one. */
static const char *path[] = {
	"good/", "good/apple", "good/box/", "good/box/berry", "good/box/cherry", "good/damson",
	"broken/", "broken/apple", "broken/link", "broken/pear", NULL
};

static void plant(void)
{
	for (const char **p = path; *p; p++) {
		if (strstr(*p, "link"))
			must(symlink("nowhere", *p));
		else if ((*p)[strlen(*p) - 1] == '/')
			must(mkdir(*p, 0700));
		else
			must(mknod(*p, S_IFREG | 0600, 0));
	}
}

static void fell(void)
{
	for (int i = sizeof(path) / sizeof(*path) - 2; i >= 0; i--)
		must(remove(path[i]));
}

int main(int argc, char **argv)
{
	char top[] = "/tmp/listdir.XXXXXX";
	int ret;

	mode(argc, argv);
	must(mkdtemp(top) ? chdir(top) : -1);
	plant();

	for (int i = GOOD; i <= BROKEN; i++) {
		struct list l = {};

		ret = walk(tree[i], append, &l);
		printf("A: names read: %d; %s\n", l.n, ret ? strerror(ret) : "all");
		while (l.n > 0)
			free(l.name[--l.n]);
	}

	printf("B:");
	print_all(start(list, GOOD));
	printf("B:");
	print_all(start(list, BROKEN));
	printf("B, no cause given:");		/* the mistake */
	print_all(start(list_badly, GOOD));
	printf("B, no cause given:");
	print_all(start(list_badly, BROKEN));
	walk_away();

	printf("C:");
	ret = walk(tree[GOOD], print_until_cherry, NULL);
	printf("; %s\n", ret == STOP ? "stopped" : strerror(ret));

	fell();
	must(rmdir(top));
	return 0;
}
