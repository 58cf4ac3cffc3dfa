/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What polling and holding learn of a driver.
 */
#include "unit.h"

#include "virtio/poll.h"

static void test_a_poll_is_as_long_as_the_work_and_bounded(void **state)
{
	struct virtio_poll poll = {0};

	assert_int_equal(virtio_poll_window(&poll), 0);
	virtio_poll_worked(&poll, 5000);
	assert_int_equal(virtio_poll_window(&poll), 10000);
	for (unsigned int i = 0; i < 100; i++)
		virtio_poll_worked(&poll, UINT64_MAX);
	assert_int_equal(virtio_poll_window(&poll), VIRTIO_POLL_MAX_NS);
}

static unsigned int polls_in(struct virtio_poll *poll, unsigned int turns, bool found)
{
	unsigned int polls = 0;

	for (unsigned int i = 0; i < turns; i++) {
		if (!virtio_poll_window(poll))
			continue;
		polls++;
		virtio_poll_ended(poll, found);
	}
	return polls;
}

static void test_polls_that_find_nothing_are_given_up_and_tried_now_and_then(void **state)
{
	struct virtio_poll poll = {0};
	unsigned int polls;

	virtio_poll_worked(&poll, 5000);
	assert_int_equal(polls_in(&poll, 8, false), 8);
	polls = polls_in(&poll, 6400, false);
	assert_in_range(polls, 64, 128);
	/* One that finds something is enough to go on. */
	while (!virtio_poll_window(&poll))
		continue;
	virtio_poll_ended(&poll, true);
	assert_int_equal(polls_in(&poll, 1000, true), 1000);
}

/* A driver with `depth` requests, each added as soon as it has one less: completions published
 * while it waited and while it did not, and the largest number that was published at once. */
static unsigned int largest_hold(struct virtio_poll *poll, unsigned int depth,
	unsigned int requests, unsigned int *ret_waits)
{
	unsigned int held = 0;
	unsigned int largest = 0;

	*ret_waits = 0;
	while (requests--) {
		held++;
		if (virtio_poll_holds(poll, held) && held < depth)
			continue;
		if (held == depth && held < poll->target) {
			virtio_poll_kept_waiting(poll, held);
			++*ret_waits;
		}
		largest = MAX(largest, held);
		held = 0;
	}
	return largest;
}

static void test_a_driver_with_one_request_is_hardly_ever_kept_waiting(void **state)
{
	struct virtio_poll poll = {0};
	unsigned int waits;

	assert_int_equal(largest_hold(&poll, 1, 6400, &waits), 1);
	assert_in_range(waits, 1, 6400 / 64 + 1);
}

static void test_completions_are_held_for_a_driver_with_many_requests(void **state)
{
	struct virtio_poll poll = {0};
	unsigned int waits;

	assert_int_equal(largest_hold(&poll, 32, 2000, &waits), VIRTIO_HOLD_MAX);
	assert_int_equal(waits, 0);
	/* The driver has fewer now: half of them is enough. */
	assert_int_equal(largest_hold(&poll, 4, 8, &waits), 4);
	assert_int_equal(poll.target, 2);
	largest_hold(&poll, 4, 6400, &waits);
	assert_in_range(waits, 1, 6400 / 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_poll_is_as_long_as_the_work_and_bounded),
		cmocka_unit_test(test_polls_that_find_nothing_are_given_up_and_tried_now_and_then),
		cmocka_unit_test(test_a_driver_with_one_request_is_hardly_ever_kept_waiting),
		cmocka_unit_test(test_completions_are_held_for_a_driver_with_many_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
