/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "device/i8042.h"
#include "device/machine_recorder.h"

static struct bus *pio;
static struct device *kbc;
static struct machine_recorder machine;

static int setup(void **state)
{
	machine = MACHINE_RECORDER_INIT;
	assert_ok(bus_create("pio", &pio));
	assert_ok(i8042_create(pio, &machine.events, false, &kbc));
	return 0;
}

static int teardown(void **state)
{
	device_free(kbc);
	bus_free(pio);
	return 0;
}

static void command(uint8_t value)
{
	bus_write(pio, 0x64, 1, value);
}

static uint8_t status(void)
{
	return (uint8_t)bus_read(pio, 0x64, 1);
}

static uint8_t answer(void)
{
	assert_int_equal(status() & 1, 1);
	return (uint8_t)bus_read(pio, 0x60, 1);
}

static void test_reset_command(void **state)
{
	assert_int_equal(status() & 2, 0); /* `reboot=k` waits for an empty input buffer */
	command(0xfe);
	assert_int_equal(machine.n, 1);
	assert_int_equal(machine.last, MACHINE_RESET);
	command(0xff); /* pulses nothing */
	command(0xfd); /* A20 only */
	assert_int_equal(machine.n, 1);
	command(0xf0);
	assert_int_equal(machine.n, 2);
}

static void test_reset_through_the_output_port(void **state)
{
	command(0xd1);
	bus_write(pio, 0x60, 1, 0x03);
	assert_int_equal(machine.n, 0);
	bus_write(pio, 0x60, 1, 0x02); /* for a keyboard, no longer for the port */
	assert_int_equal(machine.n, 0);
	command(0xd1);
	bus_write(pio, 0x60, 1, 0x02);
	assert_int_equal(machine.n, 1);
	command(0xd0);
	assert_int_equal(answer(), 0x03);
}

static void test_a_driver_is_answered_and_finds_nothing(void **state)
{
	assert_int_equal(status() & 1, 0);
	command(0x20);
	assert_int_equal(answer(), 0x34);
	assert_int_equal(status() & 1, 0);
	command(0x60);
	bus_write(pio, 0x60, 1, 0x45);
	command(0x20);
	assert_int_equal(answer(), 0x45);
	command(0xaa);
	assert_int_equal(answer(), 0x55);
	command(0xa9);
	assert_int_equal(answer(), 0x01);
	command(0xab);
	assert_int_equal(answer(), 0x01);
	bus_write(pio, 0x60, 1, 0xf2); /* "identify", to a keyboard that is not there */
	assert_int_equal(status() & 1, 0);
}

static void test_reset_is_complete(void **state)
{
	command(0x60);
	bus_write(pio, 0x60, 1, 0x45);
	command(0xaa);
	command(0xd1);
	device_reset(kbc);
	assert_int_equal(status() & 1, 0);
	assert_int_equal(bus_read(pio, 0x60, 1), 0);
	bus_write(pio, 0x60, 1, 0); /* 0xd1 is forgotten */
	assert_int_equal(machine.n, 0);
	command(0x20);
	assert_int_equal(answer(), 0x34);
}

static void test_other_widths_hit_nothing(void **state)
{
	bus_write(pio, 0x64, 2, 0xfefe);
	bus_write(pio, 0x60, 8, 0xfe);
	assert_int_equal(machine.n, 0);
	assert_int_equal(bus_read(pio, 0x64, 2), 0xffff);
}

/* Firmware that finds no controller looks for no keyboard; the reset is there all the same. */
static void test_a_hidden_one_only_resets(void **state)
{
	device_free(kbc);
	assert_ok(i8042_create(pio, &machine.events, true, &kbc));
	assert_int_equal(bus_read(pio, 0x64, 1), 0xff);
	assert_int_equal(bus_read(pio, 0x60, 1), 0xff);
	bus_write(pio, 0x64, 1, 0xaa);
	assert_int_equal(bus_read(pio, 0x60, 1), 0xff);
	assert_int_equal(machine.n, 0);
	bus_write(pio, 0x64, 1, 0xfe);
	assert_int_equal(machine.n, 1);
	assert_int_equal(machine.last, MACHINE_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reset_command, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_reset_through_the_output_port, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_driver_is_answered_and_finds_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_is_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_widths_hit_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_hidden_one_only_resets, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
