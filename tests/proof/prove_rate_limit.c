/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate limit, for all times and, but where it is said, all rates and amounts.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/rate_limit.h"

#define PROOF(condition, name) __CPROVER_assert(condition, name)
#define GIVEN(condition)       __CPROVER_assume(condition)

uint64_t nondet_u64(void);

void prove_rate_limit_wait(void)
{
	const struct rate_limit limit = {.rate = nondet_u64(), .paid_ns = nondet_u64()};
	uint64_t now = nondet_u64();
	uint64_t wait = rate_limit_wait(&limit, now);

	PROOF(limit.rate || !wait, "without a rate nothing waits");
	PROOF(limit.paid_ns > now || !wait, "what is paid for does not wait");
	PROOF(wait <= UINT64_MAX - now, "a wait ends before the clock does");
	PROOF(!wait || limit.paid_ns - now == wait + RATE_LIMIT_BURST_NS,
		"a wait lasts until no more than the burst is unpaid");
	PROOF(!rate_limit_wait(&limit, now + wait), "after the wait it passes");
	PROOF(!wait || rate_limit_wait(&limit, now + wait - 1), "and not earlier");
}

void prove_rate_limit_charge(void)
{
	struct rate_limit limit = {.rate = nondet_u64(), .paid_ns = nondet_u64()};
	const struct rate_limit old = limit;
	uint64_t now = nondet_u64();
	uint64_t from = MAX(old.paid_ns, now);

	rate_limit_charge(&limit, now, nondet_u64());
	PROOF(limit.rate == old.rate, "a charge leaves the rate alone");
	PROOF(old.rate || limit.paid_ns == old.paid_ns, "without a rate nothing costs");
	PROOF(!old.rate || limit.paid_ns >= from, "time that is paid for does not come back");
	PROOF(!old.rate || limit.paid_ns - from <= RATE_LIMIT_COST_MAX_NS,
		"one charge costs no more than the most that one may");
}

/* Divisions of symbolic numbers are hard to prove: with 128 as the bound it takes minutes. */
#define COST_BOUND 64

void prove_rate_limit_cost(void)
{
	struct rate_limit limit = {.rate = nondet_u64(), .paid_ns = nondet_u64()};
	uint64_t units = nondet_u64();
	uint64_t now = nondet_u64();
	uint64_t from = MAX(limit.paid_ns, now);
	uint64_t cost;

	GIVEN(limit.rate && limit.rate < COST_BOUND && units < COST_BOUND);
	GIVEN(from < UINT64_MAX - RATE_LIMIT_COST_MAX_NS);
	rate_limit_charge(&limit, now, units);
	cost = limit.paid_ns - from;
	PROOF(cost * limit.rate <= units * RATE_LIMIT_SECOND_NS,
		"so many units cost no more than their time at the rate");
	PROOF((cost + 1) * limit.rate > units * RATE_LIMIT_SECOND_NS,
		"and less than a nanosecond below it");
}
