/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>

#include "base/endian.h"
#include "pci/pci_internal.h"
#include "pci/pci_fixture.h"

static struct fixture f;
static struct toy toy;

static int setup(void **state)
{
	assert_ok(fixture_init(&f));
	assert_ok(fixture_start(&f));
	toy_init(&toy);
	toy_bar(&toy, 0, PCI_BAR_MEM32, 0x1000, "0");
	assert_ok(pci_segment_add(f.segment, &toy.pci));
	return 0;
}

static int teardown(void **state)
{
	pci_dev_deinit(&toy.pci);
	fixture_deinit(&f);
	return 0;
}

static void test_header(void **state)
{
	assert_ok(pci_segment_place(f.segment));
	assert_int_equal(cfg_read(&f, 0, 0x00), 0x56781234);
	assert_int_equal(cfg_read(&f, 0, 0x04), 0);
	assert_int_equal(cfg_read(&f, 0, 0x08), 0x01020304);
	assert_int_equal(cfg_read(&f, 0, 0x0c), 0);
	assert_int_equal(cfg_read(&f, 0, 0x10), WINDOW);
	assert_int_equal(cfg_read(&f, 0, 0x2c), 0xdef09abc);
	assert_int_equal(cfg_read(&f, 0, 0x34), 0);
	assert_int_equal(cfg_read(&f, 0, 0x3c), 0x0100);
}

/* Selects a register through 0xcf8 and reads it there. */
static uint64_t port_read(unsigned int bdf, unsigned int reg, unsigned int size)
{
	bus_write(f.pio, 0xcf8, 4, 1u << 31 | bdf << 8 | (reg & 0xfc));
	return bus_read(f.pio, 0xcfc + (reg & 3), size);
}

static void port_write(unsigned int bdf, unsigned int reg, unsigned int size, uint32_t value)
{
	bus_write(f.pio, 0xcf8, 4, 1u << 31 | bdf << 8 | (reg & 0xfc));
	bus_write(f.pio, 0xcfc + (reg & 3), size, value);
}

static void test_all_widths_read_the_same_bytes(void **state)
{
	uint8_t bytes[PCI_CONFIG_SIZE + 8] = {0};

	assert_ok(pci_segment_place(f.segment));
	for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg++)
		bytes[reg] = (uint8_t)bus_read(f.mmio, fixture_reg(0, reg), 1);
	for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			uint64_t want = load_le(bytes + reg, size);

			assert_int_equal(bus_read(f.mmio, fixture_reg(0, reg), size), want);
			if (size <= 4 && (reg & 3) + size <= 4)
				assert_int_equal(port_read(0, reg, size), want);
		}
	}
}

static void test_only_writable_bits_change(void **state)
{
	uint8_t before[PCI_CONFIG_SIZE];

	assert_ok(pci_segment_place(f.segment));
	memcpy(before, toy.pci.config, sizeof(before));
	for (unsigned int size = 1; size <= 8; size *= 2) {
		for (unsigned int reg = 0; reg <= PCI_CONFIG_SIZE - size; reg++) {
			for (int i = 0; i < 2; i++)
				bus_write(f.mmio, fixture_reg(0, reg), size, i ? 0 : UINT64_MAX);
			for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
				assert_int_equal(toy.pci.config[i] & ~toy.pci.wmask[i],
					before[i] & ~toy.pci.wmask[i]);
		}
	}
	for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg++)
		port_write(0, reg, 1, 0xff);
	assert_int_equal(cfg_read(&f, 0, 0x04), 0x0507);
	assert_int_equal(cfg_read(&f, 0, 0x3c), 0x01ff);
	assert_int_equal(cfg_read(&f, 0, 0x00), 0x56781234);
}

static void test_write_1_to_clear(void **state)
{
	store_le16(toy.pci.config + 0x60, 0xabcd);
	store_le16(toy.pci.w1cmask + 0x60, 0xff0f);
	assert_ok(pci_segment_place(f.segment));
	bus_write(f.mmio, fixture_reg(0, 0x60), 2, 0x8001);
	assert_int_equal(cfg_read(&f, 0, 0x60), 0x2bcc);
	bus_write(f.mmio, fixture_reg(0, 0x61), 1, 0xff);
	assert_int_equal(cfg_read(&f, 0, 0x60), 0x00cc);
	cfg_write(&f, 0, 0x60, UINT32_MAX);
	assert_int_equal(cfg_read(&f, 0, 0x60), 0x00c0);
}

static void test_extended_space_is_empty_and_absent_functions_are_ones(void **state)
{
	assert_ok(pci_segment_place(f.segment));
	for (unsigned int reg = 0x100; reg < 0x1000; reg += 4)
		assert_int_equal(cfg_read(&f, 0, reg), 0);
	cfg_write(&f, 0, 0x100, UINT32_MAX);
	assert_int_equal(cfg_read(&f, 0, 0x100), 0);
	/* The last bytes of the function and the first of its absent neighbour. */
	assert_int_equal(bus_read(f.mmio, fixture_reg(0, 0xffe), 4), 0xffff0000);
	bus_write(f.mmio, fixture_reg(0, 0xffe), 8, UINT64_MAX);
	for (unsigned int i = 1; i < 256; i++)
		assert_int_equal(bus_read(f.mmio, ECAM | i << 12, 8), UINT64_MAX);
	assert_int_equal(bus_read(f.mmio, ECAM | 1 << 20, 4), UINT32_MAX);
	assert_int_equal(bus_read(f.mmio, ECAM | 0xfffffff, 1), 0xff);
	assert_int_equal(port_read(1, 0, 4), UINT32_MAX);
	assert_int_equal(port_read(0x100, 0, 4), UINT32_MAX);
	assert_int_equal(port_read(0xff << 8, 2, 1), 0xff);
	port_write(0xffff, 4, 4, UINT32_MAX);
}

static void test_address_port(void **state)
{
	assert_ok(pci_segment_place(f.segment));
	bus_write(f.pio, 0xcf8, 4, UINT32_MAX);
	assert_int_equal(bus_read(f.pio, 0xcf8, 4), 0x80fffffc);
	/* Only whole dwords are of the address register. */
	bus_write(f.pio, 0xcf8, 2, 0);
	bus_write(f.pio, 0xcf9, 1, 0);
	assert_int_equal(bus_read(f.pio, 0xcf8, 4), 0x80fffffc);
	assert_int_equal(bus_read(f.pio, 0xcf8, 2), 0xffff);
	assert_int_equal(bus_read(f.pio, 0xcf9, 1), 0xff);
	/* Not enabled: nothing is there. */
	bus_write(f.pio, 0xcf8, 4, 0);
	assert_int_equal(bus_read(f.pio, 0xcfc, 4), UINT32_MAX);
	bus_write(f.pio, 0xcfc, 4, 0x12345678);
	/* Across both registers, and out of the last. */
	bus_write(f.pio, 0xcf8, 4, 1u << 31);
	assert_int_equal(bus_read(f.pio, 0xcfa, 4), UINT32_MAX);
	assert_int_equal(bus_read(f.pio, 0xcfe, 4), UINT32_MAX);
	bus_write(f.pio, 0xcfa, 4, 0);
	assert_int_equal(bus_read(f.pio, 0xcfc, 4), 0x56781234);
	assert_int_equal(bus_read(f.pio, 0xcfd, 2), 0x7812);
}

struct control {
	struct io_region region;
	uint64_t written;
};

static uint64_t control_read(struct io_region *region, uint64_t off, unsigned int size)
{
	return 0x42;
}

static void control_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	container_of(region, struct control, region)->written = value;
}

static void test_reset_control_inside_the_address_port(void **state)
{
	static const struct io_ops ops = {control_read, control_write};
	struct control control = {.region = {.ops = &ops, .name = "control", .size = 1}};

	pci_dev_deinit(&toy.pci);
	fixture_deinit(&f);
	assert_ok(fixture_init(&f));
	f.options.reset_control = &control.region;
	assert_ok(fixture_start(&f));
	assert_int_equal(bus_read(f.pio, 0xcf9, 1), 0x42);
	assert_int_equal(bus_read(f.pio, 0xcf8, 4), 0);
	bus_write(f.pio, 0xcf8, 4, UINT32_MAX);
	bus_write(f.pio, 0xcf9, 2, 0x606);
	assert_int_equal(control.written, 0);
	bus_write(f.pio, 0xcf9, 1, 6);
	assert_int_equal(control.written, 6);
	toy_init(&toy);
}

static void test_capabilities(void **state)
{
	uint8_t body[16] = {0, 0, 1, 2, 3, 4, 5, 6};
	unsigned int n = 0;

	assert_int_equal(pci_dev_add_cap(&toy.pci, 9, body, 6), 0x40);
	assert_int_equal(pci_dev_add_cap(&toy.pci, 5, body, 8), 0x48);
	assert_int_equal(pci_dev_add_cap(&toy.pci, 5, body, 1), 0);
	while (pci_dev_add_cap(&toy.pci, 9, body, 16))
		n++;
	assert_int_equal(n, (256 - 0x50) / 16);
	assert_int_equal(pci_dev_add_cap(&toy.pci, 9, body, 2), 0);
	assert_ok(pci_segment_place(f.segment));
	assert_int_equal(cfg_read(&f, 0, 0x34), 0x40);
	assert_int_equal(cfg_read(&f, 0, 0x04) >> 16 & 0x10, 0x10);
	assert_int_equal(cfg_read(&f, 0, 0x40), 0x02014809);
	assert_int_equal(cfg_read(&f, 0, 0x48), 0x02015005);
	assert_int_equal(cfg_read(&f, 0, 0xf0) & 0xffff, 0x0009);
}

static void test_interrupt_pin(void **state)
{
	assert_ok(pci_segment_place(f.segment));
	pci_dev_set_intx(&toy.pci, true);
	assert_true(f.level);
	assert_int_equal(cfg_read(&f, 0, 4) >> 16, 0x0008);
	/* The disable bit hides the level from the pin, not from the status. */
	cfg_write(&f, 0, 4, PCI_COMMAND_INTX_DISABLE);
	assert_false(f.level);
	assert_int_equal(bus_read(f.mmio, fixture_reg(0, 6), 2), 0x0008);
	pci_dev_set_intx(&toy.pci, false);
	assert_int_equal(cfg_read(&f, 0, 4) >> 16, 0);
	pci_dev_set_intx(&toy.pci, true);
	assert_int_equal(f.raised, 1);
	bus_write(f.mmio, fixture_reg(0, 5), 1, 0);
	assert_true(f.level);
	pci_dev_reset(&toy.pci);
	assert_false(f.level);
	assert_int_equal(cfg_read(&f, 0, 4), 0);
}

static void test_reset_restores_the_registers(void **state)
{
	uint8_t before[PCI_CONFIG_SIZE];

	assert_ok(pci_segment_place(f.segment));
	memcpy(before, toy.pci.config, sizeof(before));
	for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg += 4)
		cfg_write(&f, 0, reg, 0xffffffff);
	assert_memory_not_equal(before, toy.pci.config, sizeof(before));
	pci_dev_reset(&toy.pci);
	assert_memory_equal(before, toy.pci.config, sizeof(before));
	assert_int_equal(bus_read(f.mmio, WINDOW, 4), UINT32_MAX);
}

static void test_host_bridge(void **state)
{
	struct pci_dev *bridge;

	assert_ok(pci_host_bridge_create(PCI_HOST_BRIDGE_GENERIC, &bridge));
	assert_ok(pci_segment_add(f.segment, bridge));
	assert_ok(pci_segment_place(f.segment));
	assert_int_equal(cfg_read(&f, 1, 0), 0x14801022);
	assert_int_equal(cfg_read(&f, 1, 8), 0x06000000);
	assert_int_equal(cfg_read(&f, 1, 0x3c), 0);
	cfg_write(&f, 1, 4, UINT32_MAX);
	device_reset(&bridge->device);
	assert_int_equal(cfg_read(&f, 1, 4), 0);
	device_free(&bridge->device);
	assert_int_equal(cfg_read(&f, 1, 0), UINT32_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_header),
		TEST(test_all_widths_read_the_same_bytes),
		TEST(test_only_writable_bits_change),
		TEST(test_write_1_to_clear),
		TEST(test_extended_space_is_empty_and_absent_functions_are_ones),
		TEST(test_address_port),
		TEST(test_reset_control_inside_the_address_port),
		TEST(test_capabilities),
		TEST(test_interrupt_pin),
		TEST(test_reset_restores_the_registers),
		TEST(test_host_bridge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
