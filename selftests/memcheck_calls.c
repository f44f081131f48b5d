// SPDX-License-Identifier: MIT
/* What valgrind's memcheck is told: all that the sanitizers are, in one run, as it is slow. */
#include <valgrind/memcheck.h>

#include "tool_programs.h"
#include "harness.h"

/* By how many errors each program was reported; -1: it has not run. */
static int *errors;
static char said[65536];

/* All of them, under valgrind, in memory that the test shares: its number is in AGAIN. */
static void run_all(void)
{
	int fd = atoi(asked_for());

	errors = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(errors != MAP_FAILED && RUNNING_ON_VALGRIND);
	for (unsigned i = 0; i < N_PROGRAMS; i++) {
		int n = VALGRIND_COUNT_ERRORS;

		fprintf(stderr, "%s:\n", programs[i].name);
		objects();
		programs[i].fn();
		errors[i] = VALGRIND_COUNT_ERRORS - n;
		close2(e);
		close2(f);
		close(group);
	}
	exit(0);
}

__attribute__((constructor)) static void start(void)
{
	const char *valgrind[] = { "/usr/bin/valgrind.bin", "-q", "--vgdb=no", NULL };
	char name[16];
	int fd;

	if (asked_for())
		run_all();
	fd = memfd_create("errors", 0);
	MUST(fd >= 0 && !ftruncate(fd, 4096));
	errors = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(errors != MAP_FAILED);
	memset(errors, 0xff, 4096);
	snprintf(name, sizeof(name), "%d", fd);
	if (run_again(valgrind, name, said, sizeof(said)))
		fprintf(stderr, "# valgrind has not run all: %s\n", said);
}

/* Is nothing said of the program, or of its children, whose errors are not counted here? */
static bool silent(unsigned i)
{
	char lines[100];

	snprintf(lines, sizeof(lines), "%s:\n%s:\n", programs[i].name, programs[i + 1].name);
	return !errors[i] && strstr(said, lines);
}

static int judged(enum verdict verdict)
{
	int bad = 0;

	for (unsigned i = 0; i < N_PROGRAMS; i++)
		if (programs[i].verdict == verdict &&
		    (verdict == RIGHT ? !silent(i) : errors[i] < 1)) {
			fprintf(stderr, "# %s: %d errors\n", programs[i].name, errors[i]);
			bad++;
		}
	if (bad)
		fprintf(stderr, "%s\n", said);
	return bad;
}

TEST(right_programs_are_silent)
{
	ASSERT_EQ(0, judged(RIGHT));
}

TEST(what_nobody_has_stored_is_reported)
{
	ASSERT_EQ(0, judged(UNSET));
}

TEST(memory_that_is_not_there_is_reported)
{
	ASSERT_EQ(0, judged(BEYOND));
}

TEST_HARNESS_MAIN
