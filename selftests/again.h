/* SPDX-License-Identifier: MIT */
/*
 * Programs that a tool judges: functions that each run in a fresh process, this
 * program started again, perhaps by the tool.
 */
#ifndef AGAIN_H
#define AGAIN_H

#include "util.h"

/* What a tool's report ends a program with. */
#define REPORTED	66

/* What goes wrong beside what the tool looks for: status 1. */
#define MUST(x) do {							\
	if (!(x)) {							\
		fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #x);	\
		_exit(1);						\
	}								\
} while (0)

/* The name of the function to run, where this program was started again. */
static const char *asked_for(void)
{
	return getenv("AGAIN");
}

/*
 * The exit status of @name, run by @tool with its arguments, or by itself; and what it
 * has said in @out.
 */
static int run_again(const char *const *tool, const char *name, char *out, size_t size)
{
	const char *argv[16];
	char self[256] = "";
	int p[2], status, k = 0;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || pipe2(p, O_CLOEXEC))
		return -1;
	while (tool && tool[k] && k < 14) {
		argv[k] = tool[k];
		k++;
	}
	argv[k] = self;
	argv[k + 1] = NULL;
	pid = fork();
	if (!pid) {
		dup2(p[1], 2);
		setenv("AGAIN", name, 1);
		execv(argv[0], (char **)argv);
		_exit(3);
	}
	close(p[1]);
	while (got < size - 1 && (n = read(p[0], out + got, size - 1 - got)) > 0)
		got += n;
	out[got] = 0;
	close(p[0]);
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void show(const char *name, int status, const char *out)
{
	fprintf(stderr, "# %s: status %d\n%s\n", name, status, out);
}

#endif
