/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "device/machine_recorder.h"
#include "pci/pci_internal.h"
#include "pci/pvpanic.h"
#include "pci/pci_fixture.h"

static struct fixture f;
static struct machine_recorder machine;
static struct pci_dev *dev;

static int setup(void **state)
{
	machine = MACHINE_RECORDER_INIT;
	assert_ok(fixture_init(&f));
	assert_ok(fixture_start(&f));
	assert_ok(pvpanic_create(&machine.events, &dev));
	assert_ok(pci_segment_add(f.segment, dev));
	assert_ok(pci_segment_place(f.segment));
	cfg_write(&f, 0, 4, PCI_COMMAND_MEMORY);
	return 0;
}

static int teardown(void **state)
{
	device_free(&dev->device);
	fixture_deinit(&f);
	return 0;
}

static void test_identity(void **state)
{
	assert_int_equal(cfg_read(&f, 0, 0), 0x00111b36);
	assert_int_equal(cfg_read(&f, 0, 8), 0x08800001);
	assert_int_equal(bus_read(f.mmio, fixture_reg(0, 0x3d), 1), 0);
	cfg_write(&f, 0, 0x10, UINT32_MAX);
	assert_int_equal(cfg_read(&f, 0, 0x10), 0xfffff000);
}

/* The driver writes only events that it reads here. */
static void test_supported_events(void **state)
{
	assert_int_equal(bus_read(f.mmio, WINDOW, 1), 7);
	assert_int_equal(bus_read(f.mmio, WINDOW, 4), 7);
	assert_int_equal(bus_read(f.mmio, WINDOW + 1, 1), 0);
}

static void test_panic(void **state)
{
	bus_write(f.mmio, WINDOW, 1, 1);
	assert_int_equal(machine.n, 1);
	assert_int_equal(machine.last, MACHINE_PANIC);
}

/* The crash kernel is to run: nobody may take this for the end. */
static void test_crash_kernel_loaded(void **state)
{
	bus_write(f.mmio, WINDOW, 1, 2);
	assert_int_equal(machine.n, 1);
	assert_int_equal(machine.last, MACHINE_CRASH_LOADED);
	bus_write(f.mmio, WINDOW, 1, 3);
	assert_int_equal(machine.n, 2);
	assert_int_equal(machine.last, MACHINE_CRASH_LOADED);
}

static void test_shutdown(void **state)
{
	bus_write(f.mmio, WINDOW, 1, 4);
	assert_int_equal(machine.n, 1);
	assert_int_equal(machine.last, MACHINE_POWER_OFF);
}

/* The worst that is told counts. */
static void test_a_panic_is_no_shutdown(void **state)
{
	bus_write(f.mmio, WINDOW, 1, 5);
	assert_int_equal(machine.last, MACHINE_PANIC);
	bus_write(f.mmio, WINDOW, 1, 7);
	assert_int_equal(machine.last, MACHINE_CRASH_LOADED);
}

static void test_other_writes_say_nothing(void **state)
{
	bus_write(f.mmio, WINDOW, 1, 0);
	bus_write(f.mmio, WINDOW, 1, 0xf8);
	for (unsigned int off = 1; off < 16; off++)
		bus_write(f.mmio, WINDOW + off, 1, 1);
	bus_write(f.mmio, WINDOW + 4, 8, UINT64_MAX);
	device_reset(&dev->device);
	bus_write(f.mmio, WINDOW, 1, 1);
	assert_int_equal(machine.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_supported_events),
		TEST(test_panic),
		TEST(test_crash_kernel_loaded),
		TEST(test_shutdown),
		TEST(test_a_panic_is_no_shutdown),
		TEST(test_other_writes_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
