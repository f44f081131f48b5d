// SPDX-License-Identifier: MIT
/* What AddressSanitizer is told: a call that names memory that is not there is reported. */
#include "tool_programs.h"
#include "harness.h"

__attribute__((constructor)) static void start(void)
{
	setenv("ASAN_OPTIONS", "exitcode=66 detect_leaks=0", 1);
	run_one();
}

TEST(right_programs_are_silent)
{
	ASSERT_EQ(0, misjudged(RIGHT, NULL));
}

TEST(memory_that_is_not_there_is_reported)
{
	ASSERT_EQ(0, misjudged(BEYOND, "ERROR: AddressSanitizer: heap-"));
}

TEST_HARNESS_MAIN
