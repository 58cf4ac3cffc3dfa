/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of rate limits.
 */
#include "base/rate_limit.h"

#include "base/overflow.h"

uint64_t rate_limit_wait(const struct rate_limit *limit, uint64_t now_ns)
{
	uint64_t ahead;

	if (!limit->rate || limit->paid_ns <= now_ns)
		return 0;
	ahead = limit->paid_ns - now_ns;
	return ahead > RATE_LIMIT_BURST_NS ? ahead - RATE_LIMIT_BURST_NS : 0;
}

void rate_limit_charge(struct rate_limit *limit, uint64_t now_ns, uint64_t units)
{
	const uint64_t max = RATE_LIMIT_COST_MAX_NS;
	unsigned __int128 cost;

	if (!limit->rate)
		return;
	cost = (unsigned __int128)units * RATE_LIMIT_SECOND_NS / limit->rate;
	if (cost > max)
		cost = max;
	if (add_overflows(MAX(limit->paid_ns, now_ns), (uint64_t)cost, &limit->paid_ns))
		limit->paid_ns = UINT64_MAX;
}

uint64_t rate_limit_part(const struct rate_limit *limit)
{
	uint64_t part = limit->rate / (RATE_LIMIT_SECOND_NS / RATE_LIMIT_BURST_NS);

	if (!limit->rate)
		return UINT64_MAX;
	return part ? part : 1;
}
