/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>

#include "base/overflow.h"
#include "pci/pci_internal.h"
#include "pci/pci_fixture.h"

#define ANSWER(name, off) ((uint64_t)(name) << 24 | (off))
#define MEM               PCI_COMMAND_MEMORY
#define IO                PCI_COMMAND_IO

static struct fixture f;
static struct toy a, b;

static int setup(void **state)
{
	assert_ok(fixture_init(&f));
	assert_ok(fixture_start(&f));
	toy_init(&a);
	toy_bar(&a, 0, PCI_BAR_MEM32, 0x1000, "A");
	toy_bar(&a, 2, PCI_BAR_MEM64, 0x4000, "B");
	toy_bar(&a, 4, PCI_BAR_IO, 0x20, "C");
	toy_init(&b);
	toy_bar(&b, 0, PCI_BAR_MEM32, 0x1000, "X");
	toy_bar(&b, 1, PCI_BAR_MEM64_PREF, 1ull << 33, "Y");
	assert_ok(pci_segment_add(f.segment, &a.pci));
	assert_ok(pci_segment_add(f.segment, &b.pci));
	assert_ok(pci_segment_place(f.segment));
	return 0;
}

static int teardown(void **state)
{
	pci_dev_deinit(&a.pci);
	pci_dev_deinit(&b.pci);
	fixture_deinit(&f);
	return 0;
}

static uint32_t at(uint64_t addr)
{
	return (uint32_t)bus_read(f.mmio, addr, 4);
}

static void test_first_addresses(void **state)
{
	assert_int_equal(cfg_read(&f, 0, 0x10), WINDOW);
	assert_int_equal(cfg_read(&f, 0, 0x14), 0);
	assert_int_equal(cfg_read(&f, 0, 0x18), (uint32_t)WINDOW64 | 4);
	assert_int_equal(cfg_read(&f, 0, 0x1c), WINDOW64 >> 32);
	assert_int_equal(cfg_read(&f, 0, 0x20), IO_WINDOW | 1);
	assert_int_equal(cfg_read(&f, 1, 0x10), WINDOW + 0x1000);
	/* The next multiple of 8 GiB. */
	assert_int_equal(cfg_read(&f, 1, 0x14), 0xc);
	assert_int_equal(cfg_read(&f, 1, 0x18), (WINDOW64 >> 32) + 2);
}

static void test_size_probe(void **state)
{
	static const struct {
		unsigned int slot, reg;
		uint32_t mask;
	} bars[] = {
		{0, 0x10, 0xfffff000}, {0, 0x14, 0}, {0, 0x18, 0xffffc004}, {0, 0x1c, 0xffffffff},
		{0, 0x20, 0xffffffe1}, {0, 0x24, 0}, {1, 0x10, 0xfffff000}, {1, 0x14, 0x0000000c},
		{1, 0x18, 0xfffffffe}, {1, 0x30, 0}, /* no expansion ROM */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bars); i++) {
		uint32_t before = cfg_read(&f, bars[i].slot, bars[i].reg);

		cfg_write(&f, bars[i].slot, bars[i].reg, UINT32_MAX);
		assert_int_equal(cfg_read(&f, bars[i].slot, bars[i].reg), bars[i].mask);
		cfg_write(&f, bars[i].slot, bars[i].reg, before);
		assert_int_equal(cfg_read(&f, bars[i].slot, bars[i].reg), before);
	}
}

static void test_spaces_are_enabled_by_the_command(void **state)
{
	assert_int_equal(at(WINDOW), UINT32_MAX);
	assert_int_equal(bus_read(f.pio, IO_WINDOW, 4), UINT32_MAX);
	cfg_write(&f, 0, 4, MEM);
	assert_int_equal(at(WINDOW + 8), ANSWER('A', 8));
	assert_int_equal(at(WINDOW64 + 0x3ffc), ANSWER('B', 0x3ffc));
	assert_int_equal(bus_read(f.pio, IO_WINDOW, 4), UINT32_MAX);
	cfg_write(&f, 0, 4, IO);
	assert_int_equal(at(WINDOW), UINT32_MAX);
	assert_int_equal(bus_read(f.pio, IO_WINDOW + 4, 4), ANSWER('C', 4));
	assert_int_equal(bus_read(f.pio, IO_WINDOW + 0x20, 4), UINT32_MAX);
	bus_write(f.mmio, fixture_reg(0, 4), 1, 0);
	assert_int_equal(bus_read(f.pio, IO_WINDOW, 4), UINT32_MAX);
}

static void test_moves_while_enabled(void **state)
{
	cfg_write(&f, 0, 4, MEM | IO);
	cfg_write(&f, 0, 0x10, 0x90000000);
	assert_int_equal(at(WINDOW), UINT32_MAX);
	assert_int_equal(at(0x90000010), ANSWER('A', 0x10));
	assert_true(a.live);
	assert_int_equal(a.addr, 0x90000000);
	cfg_write(&f, 0, 0x20, 0x8000);
	assert_int_equal(bus_read(f.pio, 0x8000, 1), 0);
	assert_int_equal(bus_read(f.pio, 0x8000, 4), ANSWER('C', 0));
	assert_int_equal(bus_read(f.pio, IO_WINDOW, 1), 0xff);
	/* A byte at a time: 0x90000000 to 0xa1000000 over 0xa0000000. */
	bus_write(f.mmio, fixture_reg(0, 0x13), 1, 0xa0);
	assert_int_equal(at(0xa0000000), ANSWER('A', 0));
	bus_write(f.mmio, fixture_reg(0, 0x12), 2, 0xa100);
	assert_int_equal(at(0xa1000000), ANSWER('A', 0));
}

static void test_halves_of_a_64_bit_address(void **state)
{
	cfg_write(&f, 0, 4, MEM);
	/* With the high half 0 the address is in RAM: nothing answers. */
	cfg_write(&f, 0, 0x1c, 0);
	assert_int_equal(at(WINDOW64), UINT32_MAX);
	assert_false(a.pci.bars[2].live);
	/* Below 4 GiB, in the other window. */
	cfg_write(&f, 0, 0x18, 0xb0000000);
	assert_int_equal(at(0xb0000004), ANSWER('B', 4));
	cfg_write(&f, 0, 0x1c, (WINDOW64 >> 32) + 1);
	assert_int_equal(at(0xb0000004), UINT32_MAX);
	assert_int_equal(at(WINDOW64 + 0x1b0000004), ANSWER('B', 4));
	/* All at once, as a 64-bit access through ECAM does. */
	bus_write(f.mmio, fixture_reg(0, 0x18), 8, WINDOW64 + 0x8000);
	assert_int_equal(at(WINDOW64 + 0x8000), ANSWER('B', 0));
}

static void test_nothing_answers_outside_the_windows(void **state)
{
	static const uint64_t bad[] = {0, 0x10000, RAM_END - 0x4000, ECAM, 0xfec00000, 0xfee00000,
		0xffffc000, 0x100000000, WINDOW64 - 0x4000, WINDOW64 << 1, 0xffffffffffffc000};
	uint32_t id = cfg_read(&f, 0, 0);

	cfg_write(&f, 0, 4, MEM | IO);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		bus_write(f.mmio, fixture_reg(0, 0x18), 8, bad[i]);
		assert_false(a.pci.bars[2].live);
		cfg_write(&f, 0, 0x10, (uint32_t)bad[i]);
		assert_false(a.pci.bars[0].live);
	}
	/* Ports of others, and beyond the 64 KiB that there are. */
	cfg_write(&f, 0, 0x20, 0xce0);
	assert_false(a.pci.bars[4].live);
	cfg_write(&f, 0, 0x20, 0x10000);
	assert_false(a.pci.bars[4].live);
	cfg_write(&f, 0, 0x20, 0xffffffff);
	assert_false(a.pci.bars[4].live);
	assert_int_equal(cfg_read(&f, 0, 0), id);
}

static void test_over_another_bar(void **state)
{
	cfg_write(&f, 0, 4, MEM);
	cfg_write(&f, 1, 4, MEM);
	cfg_write(&f, 0, 0x10, WINDOW + 0x1000);
	/* Who was there first stays. */
	assert_int_equal(at(WINDOW + 0x1000), ANSWER('X', 0));
	assert_int_equal(at(WINDOW), UINT32_MAX);
	assert_false(a.pci.bars[0].live);
	/* Partly over it, with a larger one. */
	bus_write(f.mmio, fixture_reg(0, 0x18), 8, WINDOW);
	assert_false(a.pci.bars[2].live);
	/* Both come back when the other goes away. */
	cfg_write(&f, 0, 0x10, WINDOW + 0x10000);
	assert_true(a.pci.bars[0].live);
	cfg_write(&f, 1, 4, 0);
	assert_true(a.pci.bars[2].live);
	assert_int_equal(at(WINDOW + 0x1000), ANSWER('B', 0x1000));
}

static void test_exchange(void **state)
{
	cfg_write(&f, 0, 4, MEM);
	cfg_write(&f, 1, 4, MEM);
	cfg_write(&f, 0, 0x10, WINDOW + 0x1000);
	cfg_write(&f, 1, 0x10, WINDOW);
	assert_int_equal(at(WINDOW), ANSWER('X', 0));
	assert_int_equal(at(WINDOW + 0x1000), ANSWER('A', 0));
	assert_true(a.live);
	assert_int_equal(a.addr, WINDOW + 0x1000);
}

static void test_a_device_hears_only_of_changes(void **state)
{
	cfg_write(&f, 0, 0x10, 0xa0000000);
	assert_int_equal(a.changes, 0); /* not enabled */
	cfg_write(&f, 0, 4, MEM);
	assert_int_equal(a.changes, 2); /* two BARs in memory */
	cfg_write(&f, 0, 4, MEM | PCI_COMMAND_MASTER);
	cfg_write(&f, 0, 0x10, 0xa0000fff);
	assert_int_equal(a.changes, 2);
	cfg_write(&f, 0, 0x10, 0x1000);
	assert_int_equal(a.changes, 3);
	assert_false(a.live);
	cfg_write(&f, 0, 0x10, 0x2000);
	assert_int_equal(a.changes, 3);
}

static void test_reset_puts_them_back(void **state)
{
	cfg_write(&f, 0, 4, MEM);
	cfg_write(&f, 1, 4, MEM);
	cfg_write(&f, 0, 0x10, WINDOW + 0x1000);
	cfg_write(&f, 1, 0x10, WINDOW);
	pci_dev_reset(&a.pci);
	pci_dev_reset(&b.pci);
	assert_int_equal(at(WINDOW), UINT32_MAX);
	cfg_write(&f, 0, 4, MEM);
	cfg_write(&f, 1, 4, MEM);
	assert_int_equal(at(WINDOW), ANSWER('A', 0));
	assert_int_equal(at(WINDOW + 0x1000), ANSWER('X', 0));
}

static void test_a_freed_function_leaves_the_buses(void **state)
{
	cfg_write(&f, 0, 4, MEM | IO);
	pci_dev_deinit(&a.pci);
	assert_int_equal(at(WINDOW), UINT32_MAX);
	assert_int_equal(bus_read(f.pio, IO_WINDOW, 1), 0xff);
	assert_int_equal(cfg_read(&f, 0, 0), UINT32_MAX);
	toy_init(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_addresses),
		TEST(test_size_probe),
		TEST(test_spaces_are_enabled_by_the_command),
		TEST(test_moves_while_enabled),
		TEST(test_halves_of_a_64_bit_address),
		TEST(test_nothing_answers_outside_the_windows),
		TEST(test_over_another_bar),
		TEST(test_exchange),
		TEST(test_a_device_hears_only_of_changes),
		TEST(test_reset_puts_them_back),
		TEST(test_a_freed_function_leaves_the_buses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
