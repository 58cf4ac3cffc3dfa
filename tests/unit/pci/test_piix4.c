/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "device/machine_recorder.h"
#include "pci/pci_fixture.h"
#include "pci/pci_internal.h"
#include "pci/piix4.h"

static struct fixture f;
static struct machine_recorder machine;
static struct pci_dev *isa, *pm, *bridge;

static int setup(void **state)
{
	machine = MACHINE_RECORDER_INIT;
	assert_ok(fixture_init(&f));
	assert_ok(fixture_start(&f));
	assert_ok(pci_host_bridge_create(PCI_HOST_BRIDGE_I440FX, &bridge));
	assert_ok(piix4_isa_create(&isa));
	assert_ok(piix4_pm_create(f.pio, &machine.events, &pm));
	assert_ok(pci_segment_add(f.segment, bridge));
	assert_ok(pci_segment_add(f.segment, isa));
	assert_ok(pci_segment_add_function(f.segment, pm, isa, 3));
	assert_ok(pci_segment_place(f.segment));
	return 0;
}

static int teardown(void **state)
{
	device_free(&pm->device);
	device_free(&isa->device);
	device_free(&bridge->device);
	fixture_deinit(&f);
	return 0;
}

static uint32_t config(unsigned int slot, unsigned int function, unsigned int off)
{
	return (uint32_t)bus_read(f.mmio, fixture_reg(0, off) + (slot << 15 | function << 12), 4);
}

/* Where UEFI firmware looks for it. */
static void test_places(void **state)
{
	assert_int_equal(config(0, 0, 0), 0x12378086);
	assert_int_equal(config(1, 0, 0), 0x70008086);
	assert_int_equal(config(1, 0, 8) >> 8, 0x060100);
	assert_int_equal(config(1, 0, 0xc) >> 16, 0x80); /* several functions */
	assert_int_equal(config(1, 1, 0), UINT32_MAX);
	assert_int_equal(config(1, 3, 0), 0x71138086);
	assert_int_equal(config(1, 3, 0x40), 0xb001);
	assert_int_equal(config(1, 3, 0x80), 1);
	/* A BIOS finds system management set up, and does not wait for it. */
	assert_int_equal(config(1, 3, 0x58), 0x02000000);
	assert_int_equal(config(2, 0, 0), UINT32_MAX);
}

/* UEFI: type 0 in one write, then the enable bit in another. */
static void test_power_off(void **state)
{
	bus_write(f.pio, 0xb004, 2, bus_read(f.pio, 0xb004, 2) & ~0x1c00u);
	assert_int_equal(machine.n, 0);
	bus_write(f.pio, 0xb004, 2, bus_read(f.pio, 0xb004, 2) | 0x2000);
	assert_int_equal(machine.n, 1);
	assert_int_equal(machine.last, MACHINE_POWER_OFF);
	assert_int_equal(bus_read(f.pio, 0xb004, 2), 0);
}

static void test_other_sleeps_do_nothing(void **state)
{
	bus_write(f.pio, 0xb004, 2, 0x2400);
	bus_write(f.pio, 0xb004, 1, 0x20);
	bus_write(f.pio, 0xb005, 1, 0x20);
	assert_int_equal(machine.n, 0);
	assert_int_equal(bus_read(f.pio, 0xb004, 2), 0x0400);
	device_reset(&pm->device);
	assert_int_equal(bus_read(f.pio, 0xb004, 2), 0);
	assert_int_equal(config(1, 3, 0x40), 0xb001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_places), TEST(test_power_off), TEST(test_other_sleeps_do_nothing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
