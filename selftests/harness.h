/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own harness for self tests. A test that stands still is ended by the machine
 * (vm/init.sh); the harness ends one that is busy without end, and none that is slow.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600	/* seconds */

#endif
