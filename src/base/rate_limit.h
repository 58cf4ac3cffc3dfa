/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A limit on units a second: a token bucket, kept as the time at which all that passed is paid for.
 * Something passes while that is less than the burst away, and moves it by what it costs. So there
 * is nothing to refill, and what a timer comes late is not lost. Plain functions of the clock that
 * they are told; one thread at a time.
 */
#pragma once

#include "base/macros.h"

#define RATE_LIMIT_SECOND_NS 1000000000ull
/* After a pause as much as this time's worth may pass at once. */
#define RATE_LIMIT_BURST_NS (RATE_LIMIT_SECOND_NS / 10)
/* What one charge may cost at most, whatever its size. */
#define RATE_LIMIT_COST_MAX_NS (3600 * RATE_LIMIT_SECOND_NS)

struct rate_limit {
	uint64_t rate;    /* units a second; 0: no limit */
	uint64_t paid_ns; /* on the clock of the calls */
};

/* Nanoseconds until something may pass; 0: now. [any] */
uint64_t rate_limit_wait(const struct rate_limit *limit, uint64_t now_ns);
/* So many units have passed. [any] */
void rate_limit_charge(struct rate_limit *limit, uint64_t now_ns, uint64_t units);
/* The units of a burst, at least 1: the parts of something that need not pass in one. [any] */
uint64_t rate_limit_part(const struct rate_limit *limit);
