/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a memory balloon knows of its guest, on its way to whoever asks.
 */
#pragma once

#include "base/macros.h"

/* By the tags of virtio 1.3, 5.5.6, "Memory Statistics Tags", and those that Linux 6.12 added. */
#define BALLOON_STATISTICS 16

struct balloon_info {
	uint64_t target;   /* bytes that the guest is asked to give up */
	uint64_t actual;   /* bytes that it says it has */
	uint64_t returned; /* bytes that the host got back so far, by whichever way */
	uint64_t age_ns;   /* of the statistics; UINT64_MAX: there are none */
	uint64_t statistics[BALLOON_STATISTICS]; /* UINT64_MAX: the guest did not tell */
};
