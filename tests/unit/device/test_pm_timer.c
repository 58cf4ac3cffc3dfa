/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "device/pm_timer.h"
#include "event/loop.h"

static struct bus *pio;
static struct device *timer;

static int setup(void **state)
{
	assert_ok(bus_create("pio", &pio));
	assert_ok(pm_timer_create(pio, 0x608, &timer));
	return 0;
}

static int teardown(void **state)
{
	device_free(timer);
	bus_free(pio);
	return 0;
}

static uint32_t ticks(void)
{
	return (uint32_t)bus_read(pio, 0x608, 4);
}

/* Both clocks are read around each other, so that no wait and no luck is needed. */
static void test_runs_at_its_frequency(void **state)
{
	uint64_t before = loop_now_ns();
	uint32_t first = ticks();
	uint64_t inner_start = loop_now_ns();
	uint64_t inner_end, after;
	uint32_t last;

	do
		inner_end = loop_now_ns();
	while (inner_end - inner_start < 2000000);
	last = ticks();
	after = loop_now_ns();
	assert_in_range(last - first, (inner_end - inner_start) * PM_TIMER_HZ / 1000000000 - 1,
		(after - before) * PM_TIMER_HZ / 1000000000 + 1);
}

static void test_reset_starts_at_zero(void **state)
{
	uint64_t before;
	uint64_t now;

	while (ticks() < 3000)
		;
	before = loop_now_ns();
	device_reset(timer);
	now = ticks(); /* before the clock is read again, whatever the order of arguments is */
	assert_in_range(now, 0, (loop_now_ns() - before) * PM_TIMER_HZ / 1000000000 + 1);
}

static void test_partial_reads_and_writes(void **state)
{
	bus_write(pio, 0x608, 4, 0xffffffff);
	assert_true(ticks() < PM_TIMER_HZ * 60);
	assert_int_equal(bus_read(pio, 0x60b, 1), 0);
	assert_int_equal(bus_read(pio, 0x60a, 4), 0xffffffff); /* crosses the end */
}

static void test_port_in_use_is_an_error(void **state)
{
	struct device *second;

	assert_err(pm_timer_create(pio, 0x60a, &second), "Failed to create the PM timer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_runs_at_its_frequency, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_starts_at_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(test_partial_reads_and_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_in_use_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
