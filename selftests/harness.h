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

/* Go's own counts take their time. */
static inline int run_tests(int argc, char **argv)
{
	for (struct __fixture_metadata *f = __fixture_list; f; f = f->next)
		for (struct __test_metadata *t = f->tests; t && getenv("KCHAN_LONG"); t = t->next)
			t->timeout *= 20;
	return test_harness_run(argc, argv);
}
#define test_harness_run run_tests

#endif
