/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include "virtio/dev/rng.h"

#define BUFFER 0x20000

#define SLOW   10000u /* bytes a second */
#define MS     1000000ull

static uint64_t now_ns;

static uint64_t fake_now(void)
{
	return now_ns;
}

static int setup_rate(void **state, uint64_t rate)
{
	const struct virtio_rng_options options = {.rate = rate, .now = fake_now};
	struct bench *b = malloc(sizeof(*b));
	struct virtio_dev *dev;

	assert_ok(virtio_rng_create(&options, &dev));
	assert_int_equal(dev->id, 4);
	assert_int_equal(dev->n_queues, 1);
	bench_start(b, dev);
	*state = b;
	return 0;
}

static int setup(void **state)
{
	return setup_rate(state, 0);
}

static int setup_slow(void **state)
{
	return setup_rate(state, SLOW);
}

static int setup_crawling(void **state)
{
	return setup_rate(state, 3);
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

/* ---- Limits: the clock is the test's, and time passes in steps ---- */

/* Keeps requests of `len` bytes in the queue for `ms` milliseconds; the bytes that came. */
static uint64_t drink(struct bench *b, uint32_t len, unsigned int ms)
{
	const struct piece piece = {BUFFER, len, RING_WRITE};
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < ms; i++, now_ns += MS) {
		while ((uint16_t)(b->ring.avail_idx - b->ring.used_idx) < 100)
			(void)ring_add(&b->ring, &piece, 1);
		b->dev->ops->notify(b->dev, 0);
		while (ring_completed(&b->ring))
			bytes += ring_take_any(&b->ring);
	}
	assert_int_equal(b->agains, 0);
	return bytes;
}

static void test_the_rate_holds_over_time_whatever_the_size_of_requests(void **state)
{
	struct bench *b = *state;
	const uint32_t sizes[] = {64, 1000, 1 << 20};

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t bytes = drink(b, sizes[i], 10000);

		/* A burst and one request more than the rate at the most, and no less. */
		assert_in_range(bytes, 10 * SLOW - SLOW / 10, 10 * SLOW + 2 * SLOW / 10);
		now_ns += 1000 * MS;
	}
}

static void test_a_request_larger_than_a_burst_comes_in_parts(void **state)
{
	struct bench *b = *state;
	const struct piece piece = {BUFFER, 5000, RING_WRITE};
	uint16_t heads[4];
	uint32_t first;

	for (unsigned int i = 0; i < 4; i++)
		heads[i] = ring_add(&b->ring, &piece, 1);
	b->dev->ops->notify(b->dev, 0);
	assert_int_equal(ring_completed(&b->ring), 2);
	first = ring_take(&b->ring, heads[0]);
	assert_int_equal(first, SLOW / 10);
	assert_int_equal(ring_take(&b->ring, heads[1]), first);
	now_ns += 101 * MS;
	b->dev->ops->notify(b->dev, 0);
	assert_int_equal(ring_completed(&b->ring), 1);
	assert_int_equal(ring_take(&b->ring, heads[2]), first);
}

static void test_the_least_rate_gives_single_bytes(void **state)
{
	struct bench *b = *state;
	uint64_t bytes = drink(b, 64, 10000);

	assert_in_range(bytes, 29, 32);
}

/* The device's timers are on the real clock. */
struct stop {
	struct loop_timer timer;
	struct loop *loop;
};

static void stop_at(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct stop, timer)->loop);
}

static void run_for(struct bench *b, uint64_t ns)
{
	struct stop stop = {.timer.fired = stop_at, .loop = b->loop};

	loop_timer_set(b->loop, &stop.timer, ns);
	loop_run(b->loop);
}

static void test_what_waits_is_served_when_its_time_comes_and_no_timer_is_left(void **state)
{
	struct bench *b = *state;
	const struct piece piece = {BUFFER, 5000, RING_WRITE};

	for (unsigned int i = 0; i < 3; i++)
		(void)ring_add(&b->ring, &piece, 1);
	b->dev->ops->notify(b->dev, 0);
	assert_int_equal(ring_completed(&b->ring), 2);
	now_ns += 1000 * MS;
	run_for(b, 200 * MS);
	assert_int_equal(ring_completed(&b->ring), 3);
	now_ns += 1000 * MS;
	run_for(b, 200 * MS);
	/* Nothing is armed that would wake an idle machine: a new request is served at once. */
	assert_false(b->dev->stalled);
	(void)ring_add(&b->ring, &piece, 1);
	b->dev->ops->notify(b->dev, 0);
	assert_int_equal(ring_completed(&b->ring), 4);
}

static void test_a_pause_stops_what_waits_until_the_end_of_it(void **state)
{
	struct bench *b = *state;
	const struct piece piece = {BUFFER, 5000, RING_WRITE};

	for (unsigned int i = 0; i < 3; i++)
		(void)ring_add(&b->ring, &piece, 1);
	b->dev->ops->notify(b->dev, 0);
	b->dev->ops->pause(b->dev, 0, true);
	now_ns += 1000 * MS;
	run_for(b, 200 * MS);
	assert_int_equal(ring_completed(&b->ring), 2);
	b->dev->ops->pause(b->dev, 0, false);
	assert_int_equal(ring_completed(&b->ring), 3);
}

#define RNG_TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define SLOW_TEST(name) cmocka_unit_test_setup_teardown(name, setup_slow, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RNG_TEST(test_writable_pieces_are_filled_and_nothing_else),
		RNG_TEST(test_a_request_without_room_completes_with_nothing),
		RNG_TEST(test_overlapping_pieces_do_not_multiply_the_work),
		SLOW_TEST(test_the_rate_holds_over_time_whatever_the_size_of_requests),
		SLOW_TEST(test_a_request_larger_than_a_burst_comes_in_parts),
		cmocka_unit_test_setup_teardown(
			test_the_least_rate_gives_single_bytes, setup_crawling, teardown),
		SLOW_TEST(test_what_waits_is_served_when_its_time_comes_and_no_timer_is_left),
		SLOW_TEST(test_a_pause_stops_what_waits_until_the_end_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
