/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include "virtio/dev/rng.h"

#define BUFFER 0x20000

static int setup(void **state)
{
	struct bench *b = malloc(sizeof(*b));
	struct virtio_dev *dev;

	assert_ok(virtio_rng_create(&dev));
	assert_int_equal(dev->id, 4);
	assert_int_equal(dev->n_queues, 1);
	bench_start(b, dev);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bench_end(*state);
	free(*state);
	return 0;
}

static unsigned int count_nonzero(struct bench *b, uint64_t gpa, size_t len)
{
	unsigned int n = 0;

	for (size_t i = 0; i < len; i++)
		n += ram_get(b->ram, gpa + i, 1) != 0;
	return n;
}

static void test_writable_pieces_are_filled_and_nothing_else(void **state)
{
	struct bench *b = *state;
	const struct piece pieces[] = {
		{BUFFER, 512, 0},
		{BUFFER + 0x1000, 512, RING_WRITE},
		{BUFFER + 0x2000, 256, RING_WRITE},
	};

	assert_int_equal(bench_run(b, pieces, 3), 768);
	assert_int_equal(count_nonzero(b, BUFFER, 512), 0);
	assert_true(count_nonzero(b, BUFFER + 0x1000, 512) > 400);
	assert_int_equal(count_nonzero(b, BUFFER + 0x1000 + 512, 512), 0);
	assert_true(count_nonzero(b, BUFFER + 0x2000, 256) > 200);
	assert_int_equal(b->signals, 1);
}

static void test_a_request_without_room_completes_with_nothing(void **state)
{
	struct bench *b = *state;
	const struct piece readable = {BUFFER, 512, 0};
	const struct piece empty = {BUFFER, 0, RING_WRITE};

	assert_int_equal(bench_run(b, &readable, 1), 0);
	assert_int_equal(bench_run(b, &empty, 1), 0);
	assert_int_equal(b->resets, 0);
}

static void test_overlapping_pieces_do_not_multiply_the_work(void **state)
{
	struct bench *b = *state;
	struct piece pieces[200];

	for (unsigned int i = 0; i < 200; i++)
		pieces[i] = (struct piece){BUFFER, BENCH_RAM / 2, RING_WRITE};
	assert_int_equal(bench_run(b, pieces, 200), 65536);
}

#define RNG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RNG_TEST(test_writable_pieces_are_filled_and_nothing_else),
		RNG_TEST(test_a_request_without_room_completes_with_nothing),
		RNG_TEST(test_overlapping_pieces_do_not_multiply_the_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
