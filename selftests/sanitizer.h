/* SPDX-License-Identifier: MIT */
/* The programs of tool_programs.h, judged by the sanitizer that this one was built with. */
#ifndef SANITIZER_H
#define SANITIZER_H

#include "tool_programs.h"
#include "harness.h"

/* Runs before main(): one program, each in a process of its own, if it was asked for. */
__attribute__((constructor)) static void run_one(void)
{
	const char *name = asked_for();

	setenv("ASAN_OPTIONS", "exitcode=66 detect_leaks=0", 1);
	setenv("MSAN_OPTIONS", "exit_code=66", 1);
	for (unsigned i = 0; name && i < N_PROGRAMS; i++)
		if (!strcmp(programs[i].name, name)) {
			objects();
			programs[i].fn();
			exit(0);
		}
}

/* How many of those with @verdict are not judged so: @report is what a tool says of them. */
static int misjudged(enum verdict verdict, const char *report)
{
	static char out[16384];
	int bad = 0, status;

	for (unsigned i = 0; i < N_PROGRAMS; i++) {
		if (programs[i].verdict != verdict)
			continue;
		status = run_again(NULL, programs[i].name, out, sizeof(out));
		if (verdict == RIGHT ? !status && !out[0] : status == REPORTED && strstr(out, report))
			continue;
		show(programs[i].name, status, out);
		bad++;
	}
	return bad;
}

TEST(right_programs_are_silent)
{
	ASSERT_EQ(0, misjudged(RIGHT, NULL));
}

#endif
