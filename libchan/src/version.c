/* SPDX-License-Identifier: MIT */
/* The version of the library, and the features of the module. */
#include "call.h"

_Static_assert(CHAN_HAS_URING == KCHAN_FEAT_URING &&
	       CHAN_HAS_URING_PARK == KCHAN_FEAT_URING_PARK &&
	       CHAN_HAS_REARM == KCHAN_FEAT_REARM &&
	       CHAN_HAS_URING_SHORT == KCHAN_FEAT_URING_SHORT, "features");

API unsigned chan_version(void)
{
	return CHAN_VERSION;
}

API uint64_t chan_features(void)
{
	struct kchan_features f = {};
	int dev = open_device();

	if (dev < 0)
		return 0;
	call_out(dev, KCHAN_IOC_FEATURES, &f, sizeof(f));
	drop(dev);
	return f.features;
}
