// SPDX-License-Identifier: MIT
/* What AddressSanitizer is told: a call that names memory that is not there is reported. */
#include "sanitizer.h"

TEST(memory_that_is_not_there_is_reported)
{
	ASSERT_EQ(0, misjudged(BEYOND, "ERROR: AddressSanitizer: heap-"));
}

TEST_HARNESS_MAIN
