// SPDX-License-Identifier: MIT
/* What MemorySanitizer is told: what a call has stored, and that it stored no more. */
#include "sanitizer.h"

TEST(what_nobody_has_stored_is_reported)
{
	ASSERT_EQ(0, misjudged(UNSET, "WARNING: MemorySanitizer: use-of-uninitialized-value"));
}

TEST_HARNESS_MAIN
