/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "device/acpi_pm.h"
#include "device/machine_recorder.h"

struct recorded_line {
	struct irq_line line;
	bool level;
};

static struct bus *pio;
static struct acpi_pm *pm;
static struct machine_recorder machine;
static struct recorded_line irq;

static void record_line(struct irq_line *line, bool level)
{
	container_of(line, struct recorded_line, line)->level = level;
}

static struct acpi_pm_options options(void)
{
	return (struct acpi_pm_options){.pio = pio,
		.sleep_control = 0x600,
		.reset = 0x604,
		.reset_value = 'r',
		.ged = 0x60c,
		.irq = &irq.line,
		.events = &machine.events};
}

static int setup(void **state)
{
	struct acpi_pm_options o;

	machine = MACHINE_RECORDER_INIT;
	irq = (struct recorded_line){.line.set = record_line};
	assert_ok(bus_create("pio", &pio));
	o = options();
	assert_ok(acpi_pm_create(&o, &pm));
	return 0;
}

static int teardown(void **state)
{
	device_free(acpi_pm_device(pm));
	bus_free(pio);
	return 0;
}

static void test_only_s5_with_enable_powers_off(void **state)
{
	for (unsigned int value = 0; value < 256; value++) {
		machine.n = 0;
		bus_write(pio, 0x600, 1, value);
		assert_int_equal(machine.n, (value & 0x3c) == 0x34);
	}
	assert_int_equal(machine.last, MACHINE_POWER_OFF);
	machine.n = 0;
	bus_write(pio, 0x601, 1, 0x34); /* the status register */
	assert_int_equal(machine.n, 0);
	assert_int_equal(bus_read(pio, 0x600, 2), 0);
}

static void test_only_the_reset_value_resets(void **state)
{
	for (unsigned int value = 0; value < 256; value++) {
		machine.n = 0;
		bus_write(pio, 0x604, 1, value);
		assert_int_equal(machine.n, value == 'r');
	}
	assert_int_equal(machine.last, MACHINE_RESET);
}

static void test_button_is_pending_until_taken(void **state)
{
	assert_int_equal(bus_read(pio, 0x60c, 4), 0);
	acpi_pm_power_button(pm);
	assert_true(irq.level);
	assert_int_equal(bus_read(pio, 0x60c, 4), ACPI_PM_GED_POWER_BUTTON);
	assert_int_equal(
		bus_read(pio, 0x60c, 4), ACPI_PM_GED_POWER_BUTTON); /* reading takes nothing */
	bus_write(pio, 0x60c, 4, 0xfffffffe);
	bus_write(pio, 0x60d, 1, 0xff);
	assert_true(irq.level);
	bus_write(pio, 0x60c, 4, ACPI_PM_GED_POWER_BUTTON);
	assert_false(irq.level);
	assert_int_equal(bus_read(pio, 0x60c, 1), 0);
	acpi_pm_power_button(pm);
	acpi_pm_power_button(pm);
	assert_true(irq.level);
}

static void test_reset_forgets_the_button(void **state)
{
	acpi_pm_power_button(pm);
	device_reset(acpi_pm_device(pm));
	assert_false(irq.level);
	assert_int_equal(bus_read(pio, 0x60c, 4), 0);
}

static void test_ports_in_use_are_an_error(void **state)
{
	struct acpi_pm_options o = options();
	struct acpi_pm *second;

	o.sleep_control = 0x700;
	assert_err(acpi_pm_create(&o, &second), "Failed to create the ACPI registers");
	/* Nothing of it is left behind. */
	bus_write(pio, 0x700, 1, 0x34);
	assert_int_equal(machine.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_only_s5_with_enable_powers_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_the_reset_value_resets, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_button_is_pending_until_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_forgets_the_button, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ports_in_use_are_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
