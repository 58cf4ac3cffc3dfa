/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>

#include "base/endian.h"
#include "pci/pci_internal.h"
#include "pci/pci_fixture.h"

static struct fixture f;
static struct toy toys[257];

static int setup(void **state)
{
	assert_ok(fixture_init(&f));
	return 0;
}

static void add_toys(unsigned int n, enum pci_bar_type type, uint64_t size)
{
	assert_ok(fixture_start(&f));
	for (unsigned int i = 0; i < n; i++) {
		toy_init(&toys[i]);
		store_le16(toys[i].pci.config + PCI_DEVICE, (uint16_t)i);
		if (size)
			toy_bar(&toys[i], 0, type, size, "T");
		assert_ok(pci_segment_add(f.segment, &toys[i].pci));
	}
}

static void remove_toys(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		pci_dev_deinit(&toys[i].pci);
	fixture_deinit(&f);
	assert_ok(fixture_init(&f));
}

static int teardown(void **state)
{
	fixture_deinit(&f);
	return 0;
}

/*
 * Finds functions as an operating system does (PCI 3.0, 6.1): functions 1 .. 7 of a slot only if
 * function 0 is there and says that it is one of several. Checks that they come in the order of
 * addition.
 */
static unsigned int scan(void)
{
	unsigned int n = 0;

	for (unsigned int slot = 0; slot < 32; slot++) {
		uint32_t functions = 1;

		if (cfg_read(&f, slot, 0) == UINT32_MAX)
			continue;
		if (cfg_read(&f, slot, 0xc) & 0x800000)
			functions = 8;
		for (uint32_t i = 0; i < functions; i++) {
			uint32_t id = (uint32_t)bus_read(f.mmio, fixture_reg(slot, i << 12), 4);

			if (id == UINT32_MAX)
				continue;
			assert_int_equal(id, n << 16 | 0x1234);
			assert_int_equal(toys[n].pci.slot, slot);
			assert_int_equal(toys[n].pci.function, i);
			n++;
		}
	}
	return n;
}

static void test_any_number_up_to_256(void **state)
{
	for (unsigned int n = 1; n <= 256; n++) {
		add_toys(n, PCI_BAR_MEM32, 0x1000);
		assert_ok(pci_segment_place(f.segment));
		assert_int_equal(scan(), n);
		remove_toys(n);
	}
}

static void test_places(void **state)
{
	static const struct {
		unsigned int n, last_slot, last_function;
	} cases[] = {
		{1, 0, 0},
		{32, 31, 0},
		{33, 31, 1}, /* slots 0 .. 30 have one */
		{39, 31, 7},
		{40, 31, 1}, /* 30, 8 and 2 */
		{255, 31, 6},
		{256, 31, 7},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct pci_dev *last = &toys[cases[i].n - 1].pci;

		add_toys(cases[i].n, PCI_BAR_NONE, 0);
		assert_ok(pci_segment_place(f.segment));
		assert_int_equal(last->slot, cases[i].last_slot);
		assert_int_equal(last->function, cases[i].last_function);
		remove_toys(cases[i].n);
	}
}

static void test_no_more_than_256(void **state)
{
	add_toys(256, PCI_BAR_NONE, 0);
	toy_init(&toys[256]);
	assert_err(pci_segment_add(f.segment, &toys[256].pci), "More than 256");
	pci_dev_deinit(&toys[256].pci);
	remove_toys(256);
}

static void test_pins_of_functions(void **state)
{
	add_toys(39, PCI_BAR_NONE, 0);
	assert_ok(pci_segment_place(f.segment));
	for (unsigned int i = 0; i < 31; i++)
		assert_int_equal(cfg_read(&f, i, 0x3c), 0x0100);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(bus_read(f.mmio, fixture_reg(31, i << 12 | 0x3d), 1), i % 4 + 1);
	assert_int_equal(f.routed_pin, 3);
	remove_toys(39);
}

static void test_without_pins(void **state)
{
	f.options.intx = NULL;
	add_toys(1, PCI_BAR_NONE, 0);
	assert_ok(pci_segment_place(f.segment));
	pci_dev_set_intx(&toys[0].pci, true);
	assert_int_equal(f.raised, 0);
	remove_toys(1);
}

static void test_full_windows(void **state)
{
	/* 0x60000000 bytes of the 32-bit window are three BARs of 512 MiB. */
	add_toys(3, PCI_BAR_MEM32, 0x20000000);
	assert_ok(pci_segment_place(f.segment));
	assert_int_equal(cfg_read(&f, 2, 0x10), 0xc0000000);
	remove_toys(3);
	add_toys(4, PCI_BAR_MEM32, 0x20000000);
	assert_err(pci_segment_place(f.segment), "No room for BAR 0 of toy (524288 KiB)");
	remove_toys(4);
	add_toys(241, PCI_BAR_IO, 0x100);
	assert_err(pci_segment_place(f.segment), "No room for BAR 0");
	remove_toys(241);
	add_toys(1, PCI_BAR_MEM64, 1ull << 36);
	assert_err(pci_segment_place(f.segment), "No room");
	remove_toys(1);
	add_toys(1, PCI_BAR_MEM64, 1ull << 63);
	assert_err(pci_segment_place(f.segment), "No room");
	remove_toys(1);
}

static void test_a_window_for_the_guest_alone(void **state)
{
	f.options.windows.high32_base = 0xf0004000;
	f.options.windows.high32_end = 0xfec00000;
	add_toys(1, PCI_BAR_MEM32, 0x4000);
	assert_ok(pci_segment_place(f.segment));
	assert_int_equal(cfg_read(&f, 0, 0x10), 0x80000000);
	cfg_write(&f, 0, 4, PCI_COMMAND_MEMORY);
	cfg_write(&f, 0, 0x10, 0xfebfc000);
	assert_true(toys[0].pci.bars[0].live);
	cfg_write(&f, 0, 0x10, 0xfec00000);
	assert_false(toys[0].pci.bars[0].live);
	cfg_write(&f, 0, 0x10, 0xf0000000);
	assert_false(toys[0].pci.bars[0].live);
	remove_toys(1);
}

/* As a BIOS leaves them; a reset does as well. Bits that the function does not have stay clear. */
static void test_enabled_from_the_start(void **state)
{
	f.options.enabled = true;
	add_toys(1, PCI_BAR_MEM32, 0x1000);
	toys[0].pci.wmask[PCI_COMMAND] &= (uint8_t)~PCI_COMMAND_IO;
	assert_ok(pci_segment_place(f.segment));
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(
			cfg_read(&f, 0, 4) & 0xffff, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		assert_true(toys[0].pci.bars[0].live);
		cfg_write(&f, 0, 4, 0);
		assert_false(toys[0].pci.bars[0].live);
		pci_dev_reset(&toys[0].pci);
	}
	remove_toys(1);
}

static void test_64_bit_bars_without_their_window(void **state)
{
	f.options.windows.mem64_base = f.options.windows.mem64_end = 0;
	add_toys(2, PCI_BAR_MEM64_PREF, 0x10000000);
	assert_ok(pci_segment_place(f.segment));
	assert_int_equal(cfg_read(&f, 1, 0x10), 0x9000000c);
	assert_int_equal(cfg_read(&f, 1, 0x14), 0);
	cfg_write(&f, 1, 4, PCI_COMMAND_MEMORY);
	assert_int_equal(bus_read(f.mmio, 0x90000000, 4), 'T' << 24);
	/* What was no window is none now. */
	cfg_write(&f, 1, 0x10, 0);
	assert_false(toys[1].pci.bars[0].live);
	remove_toys(2);
}

/* Below `mem64_free` BARs have the addresses that their devices chose. */
static void test_bars_with_an_address_of_their_own(void **state)
{
	f.options.windows.mem64_free = WINDOW64 + 0x1000000;
	add_toys(3, PCI_BAR_MEM64_PREF, 0x100000);
	pci_dev_set_bar_address(&toys[1].pci, 0, WINDOW64 + 0x300000);
	assert_ok(pci_segment_place(f.segment));
	assert_int_equal(cfg_read(&f, 0, 0x10), 0x0100000c);
	assert_int_equal(cfg_read(&f, 1, 0x10), 0x0030000c);
	assert_int_equal(cfg_read(&f, 1, 0x14), 8);
	assert_int_equal(cfg_read(&f, 2, 0x10), 0x0110000c);
	cfg_write(&f, 1, 4, PCI_COMMAND_MEMORY);
	assert_true(toys[1].pci.bars[0].live);
	cfg_write(&f, 1, 0x10, 0);
	assert_int_equal(toys[1].addr, WINDOW64);
	pci_dev_reset(&toys[1].pci);
	assert_int_equal(cfg_read(&f, 1, 0x10), 0x0030000c);
	remove_toys(3);
}

static void test_no_port_bars_without_ports(void **state)
{
	f.options.pio = NULL;
	add_toys(1, PCI_BAR_IO, 0x20);
	assert_err(pci_segment_place(f.segment), "no port I/O");
	f.options.pio = f.pio;
	remove_toys(1);
}

static void test_ecam_over_something_else(void **state)
{
	static const struct io_ops ops = {toy_read, toy_write};
	struct io_region other = {.ops = &ops, .name = "other", .size = 16};

	assert_ok(bus_add_at(f.mmio, &other, ECAM + 0x1000));
	assert_err(fixture_start(&f), "Cannot place pci-ecam");
	assert_null(f.segment);
	bus_disable(f.mmio, &other);
	assert_ok(
		bus_add_at(f.pio, &(struct io_region){.ops = &ops, .name = "p", .size = 1}, 0xcff));
	assert_err(fixture_start(&f), "Cannot place pci-config");
	assert_null(f.segment);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_any_number_up_to_256),
		TEST(test_places),
		TEST(test_no_more_than_256),
		TEST(test_pins_of_functions),
		TEST(test_without_pins),
		TEST(test_full_windows),
		TEST(test_a_window_for_the_guest_alone),
		TEST(test_enabled_from_the_start),
		TEST(test_64_bit_bars_without_their_window),
		TEST(test_bars_with_an_address_of_their_own),
		TEST(test_no_port_bars_without_ports),
		TEST(test_ecam_over_something_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
