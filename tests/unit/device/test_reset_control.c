/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "device/reset_control.h"
#include "device/machine_recorder.h"

static struct machine_recorder machine;
static struct reset_control *control;
static struct io_region *region;

static int setup(void **state)
{
	machine = MACHINE_RECORDER_INIT;
	assert_ok(reset_control_create(&machine.events, &control));
	region = reset_control_region(control);
	return 0;
}

static int teardown(void **state)
{
	device_free(reset_control_device(control));
	return 0;
}

static uint8_t get(void)
{
	return (uint8_t)region->ops->read(region, 0, 1);
}

static void put(uint8_t value)
{
	region->ops->write(region, 0, 1, value);
}

static void test_linux_resets_by_it(void **state)
{
	put(get() | 0x02); /* `reboot=p`: choose, then do */
	assert_int_equal(machine.n, 0);
	put(get() | 0x0e);
	assert_int_equal(machine.n, 1);
	assert_int_equal(machine.last, MACHINE_RESET);
}

static void test_only_a_rise_of_the_reset_bit_counts(void **state)
{
	put(0x0a);
	put(0xf3);
	assert_int_equal(machine.n, 0);
	assert_int_equal(get(), 0x02);
	put(0x04);
	assert_int_equal(machine.n, 1);
	put(0x06);
	assert_int_equal(machine.n, 1);
	put(0x00);
	put(0x06);
	assert_int_equal(machine.n, 2);
}

static void test_reset_arms_it_again(void **state)
{
	put(0x06);
	device_reset(reset_control_device(control));
	assert_int_equal(get(), 0);
	put(0x06);
	assert_int_equal(machine.n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_linux_resets_by_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_only_a_rise_of_the_reset_bit_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_arms_it_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
