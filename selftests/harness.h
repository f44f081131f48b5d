/* SPDX-License-Identifier: MIT */
/* The kernel's own harness for self tests, and time for a machine that does other things too. */
#ifndef HARNESS_H
#define HARNESS_H

#include "kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 90	/* seconds */

#endif
