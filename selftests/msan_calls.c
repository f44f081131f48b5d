// SPDX-License-Identifier: MIT
/* What MemorySanitizer is told: what a call has stored, and that it stored no more. */
#include "tool_programs.h"
#include "harness.h"

__attribute__((constructor)) static void start(void)
{
	setenv("MSAN_OPTIONS", "exit_code=66", 1);
	run_one();
}

TEST(right_programs_are_silent)
{
	ASSERT_EQ(0, misjudged(RIGHT, NULL));
}

TEST(what_nobody_has_stored_is_reported)
{
	ASSERT_EQ(0, misjudged(UNSET, "WARNING: MemorySanitizer: use-of-uninitialized-value"));
}

TEST_HARNESS_MAIN
