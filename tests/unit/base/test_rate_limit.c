/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/rate_limit.h"

#define MS 1000000ull

static void test_no_limit(void **state)
{
	struct rate_limit limit = {0};

	rate_limit_charge(&limit, 5, UINT64_MAX);
	assert_int_equal(rate_limit_wait(&limit, 5), 0);
	assert_int_equal(rate_limit_part(&limit), UINT64_MAX);
}

static void test_a_burst_passes_and_then_the_rate_counts(void **state)
{
	struct rate_limit limit = {.rate = 1000};
	const uint64_t start = 7777 * MS;

	assert_int_equal(rate_limit_part(&limit), 100);
	rate_limit_charge(&limit, start, 100);
	assert_int_equal(rate_limit_wait(&limit, start), 0);
	rate_limit_charge(&limit, start, 50);
	assert_int_equal(rate_limit_wait(&limit, start), 50 * MS);
	assert_int_equal(rate_limit_wait(&limit, start + 49 * MS), 1 * MS);
	assert_int_equal(rate_limit_wait(&limit, start + 50 * MS), 0);
	/* A long pause does not save up more than a burst. */
	rate_limit_charge(&limit, start + 1000000 * MS, 101);
	assert_int_equal(rate_limit_wait(&limit, start + 1000000 * MS), 1 * MS);
}

static void test_extremes_wait_for_a_bounded_time(void **state)
{
	struct rate_limit slow = {.rate = 1};
	struct rate_limit fast = {.rate = UINT64_MAX};

	assert_int_equal(rate_limit_part(&slow), 1);
	rate_limit_charge(&slow, 0, UINT64_MAX);
	assert_int_equal(rate_limit_wait(&slow, 0), RATE_LIMIT_COST_MAX_NS - RATE_LIMIT_BURST_NS);
	rate_limit_charge(&fast, UINT64_MAX - 1, UINT64_MAX);
	assert_int_equal(fast.paid_ns, UINT64_MAX);
	assert_int_equal(rate_limit_wait(&fast, UINT64_MAX - 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_a_burst_passes_and_then_the_rate_counts),
		cmocka_unit_test(test_extremes_wait_for_a_bounded_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
