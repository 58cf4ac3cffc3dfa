/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/layout.h"
#include "base/thread.h"
#include "hv/fake/hv_fake.h"

#define MASKED     0x10000ull
#define LEVEL      0x8000ull
#define REMOTE_IRR 0x4000ull
#define LOGICAL    0x800ull
#define LOWEST     0x100ull

static struct hv_vm *vm;
static struct bus *mmio;
static struct ioapic *ioapic;

static int setup(void **state)
{
	assert_ok(hv_fake_create(&vm));
	assert_ok(bus_create("mmio", &mmio));
	assert_ok(ioapic_create(vm, mmio, &ioapic));
	return 0;
}

static int teardown(void **state)
{
	device_free(ioapic_device(ioapic));
	bus_free(mmio);
	hv_vm_free(vm);
	return 0;
}

static void put(uint8_t reg, uint32_t value)
{
	bus_write(mmio, X86_IOAPIC_BASE, 4, reg);
	bus_write(mmio, X86_IOAPIC_BASE + 0x10, 4, value);
}

static uint32_t get(uint8_t reg)
{
	bus_write(mmio, X86_IOAPIC_BASE, 4, reg);
	return (uint32_t)bus_read(mmio, X86_IOAPIC_BASE + 0x10, 4);
}

static void put_rte(unsigned int pin, uint64_t rte)
{
	put((uint8_t)(0x11 + 2 * pin), (uint32_t)(rte >> 32));
	put((uint8_t)(0x10 + 2 * pin), (uint32_t)rte);
}

static uint64_t get_rte(unsigned int pin)
{
	return (uint64_t)get((uint8_t)(0x11 + 2 * pin)) << 32 | get((uint8_t)(0x10 + 2 * pin));
}

static void set(unsigned int pin, bool level)
{
	irq_line_set(ioapic_pin(ioapic, pin), level);
}

/* How many messages came since the last call; the last of them. */
static unsigned int take(struct hv_fake_msi *ret_last)
{
	struct hv_fake_msi all[64];
	unsigned int n = hv_fake_messages(vm, all, 64);

	hv_fake_clear_messages(vm);
	assert_true(n <= 64);
	if (n && ret_last)
		*ret_last = all[n - 1];
	return n;
}

static void test_identity(void **state)
{
	assert_int_equal(get(1), 0x00170020);
	assert_int_equal(get(0), 0);
	put(0, 0xffffffff);
	assert_int_equal(get(0), 0x0f000000);
	assert_int_equal(get(2), 0x0f000000);
	put(1, 0);
	assert_int_equal(get(1), 0x00170020);
	for (unsigned int pin = 0; pin < IOAPIC_NUM_PINS; pin++)
		assert_int_equal(get_rte(pin), MASKED);
}

static void test_edge_delivers_each_rise_once(void **state)
{
	struct hv_fake_msi msi;

	put_rte(4, 0x03ull << 56 | 0x31);
	set(4, true);
	assert_int_equal(take(&msi), 1);
	assert_int_equal(msi.addr, 0xfee03000);
	assert_int_equal(msi.data, 0x31);
	set(4, true);
	assert_int_equal(take(NULL), 0);
	set(4, false);
	assert_int_equal(take(NULL), 0);
	set(4, true);
	assert_int_equal(take(NULL), 1);
	assert_false(hv_fake_ioapic_route(vm, 4, &msi));
	ioapic_eoi(ioapic, 0x31);
	assert_int_equal(take(NULL), 0);
}

static void test_masked_edge_is_lost(void **state)
{
	put_rte(4, MASKED | 0x31);
	set(4, true);
	put_rte(4, 0x31);
	assert_int_equal(take(NULL), 0);
	set(4, false);
	set(4, true);
	assert_int_equal(take(NULL), 1);
}

static void test_level_delivers_until_it_falls(void **state)
{
	struct hv_fake_msi msi;

	put_rte(9, LEVEL | 0x42);
	assert_true(hv_fake_ioapic_route(vm, 9, &msi));
	assert_int_equal(msi.data, 0xc042);
	set(9, true);
	assert_int_equal(take(&msi), 1);
	assert_int_equal(msi.data, 0xc042);
	assert_int_equal(get_rte(9), LEVEL | REMOTE_IRR | 0x42);
	ioapic_eoi(ioapic, 0x43);
	assert_int_equal(take(NULL), 0);
	ioapic_eoi(ioapic, 0x42);
	assert_int_equal(take(NULL), 1); /* still high */
	set(9, false);
	ioapic_eoi(ioapic, 0x42);
	assert_int_equal(take(NULL), 0);
	assert_int_equal(get_rte(9), LEVEL | 0x42);
	set(9, true);
	assert_int_equal(take(NULL), 1);
	set(9, false);
	set(9, true); /* within the first one's service */
	assert_int_equal(take(NULL), 0);
	ioapic_eoi(ioapic, 0x42);
	assert_int_equal(take(NULL), 1);
}

static void test_masked_level_waits(void **state)
{
	struct hv_fake_msi msi;

	put_rte(9, LEVEL | MASKED | 0x42);
	set(9, true);
	assert_int_equal(take(NULL), 0);
	put_rte(9, LEVEL | 0x42);
	assert_int_equal(take(NULL), 1);
	/* Masked between interrupt and EOI, as Linux does for threaded handlers. */
	put_rte(9, LEVEL | MASKED | 0x42);
	assert_true(hv_fake_ioapic_route(vm, 9, &msi));
	ioapic_eoi(ioapic, 0x42);
	assert_int_equal(take(NULL), 0);
	assert_int_equal(get_rte(9), LEVEL | MASKED | 0x42);
	put_rte(9, LEVEL | 0x42);
	assert_int_equal(take(NULL), 1);
}

static void test_eoi_register_and_trigger_change_clear_remote_irr(void **state)
{
	put_rte(9, LEVEL | 0x42);
	set(9, true);
	set(9, false);
	bus_write(mmio, X86_IOAPIC_BASE + 0x40, 4, 0x42);
	assert_int_equal(get_rte(9), LEVEL | 0x42);
	set(9, true);
	put_rte(9, MASKED | 0x42);
	assert_int_equal(get_rte(9), MASKED | 0x42);
	assert_false(hv_fake_ioapic_route(vm, 9, &(struct hv_fake_msi){0}));
	take(NULL);
	put_rte(9, LEVEL | 0x42);
	assert_int_equal(take(NULL), 1);
}

static void test_one_eoi_reaches_all_pins_of_a_vector(void **state)
{
	put_rte(16, LEVEL | 0x50);
	put_rte(17, LEVEL | 0x50);
	set(16, true);
	set(17, true);
	assert_int_equal(take(NULL), 2);
	ioapic_eoi(ioapic, 0x50);
	assert_int_equal(take(NULL), 2);
}

static void test_destinations(void **state)
{
	struct hv_fake_msi msi;

	/* x2APIC id 0x1234: bits 0-7 in 56-63, 8-14 in 49-55. */
	put_rte(5, 0x34ull << 56 | 0x12ull << 49 | 0x60);
	set(5, true);
	assert_int_equal(take(&msi), 1);
	assert_int_equal(msi.addr, 0xfee00000 | 0x34 << 12 | 0x12 << 5);
	put_rte(5, 0xffull << 56 | 0x7full << 49 | LEVEL | 0x60);
	assert_int_equal(take(&msi), 1);
	assert_int_equal(msi.addr, 0xfee00000 | 0xff << 12 | 0x7f << 5);
	put_rte(6, 0x03ull << 56 | LOGICAL | LOWEST | 0x61);
	set(6, true);
	assert_int_equal(take(&msi), 1);
	assert_int_equal(msi.addr, 0xfee0300c);
	assert_int_equal(msi.data, 0x161);
}

static void test_delivery_modes(void **state)
{
	static const struct {
		uint64_t rte;
		bool delivered;
	} cases[] = {
		{0x010, true},          /* fixed */
		{0x00f, false},         /* illegal vector */
		{0x1ff, true},          /* lowest priority */
		{0x200, true},          /* SMI */
		{0x331, false},         /* reserved */
		{0x400, true},          /* NMI */
		{0x400 | LEVEL, false}, /* which is edge by definition */
		{0x500, true},          /* INIT */
		{0x631, false},         /* reserved */
		{0x731, false},         /* ExtINT: there is no 8259A */
	};
	struct hv_fake_msi msi;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_rte(7, cases[i].rte);
		set(7, true);
		assert_int_equal(take(&msi), cases[i].delivered);
		if (cases[i].delivered)
			assert_int_equal(msi.data & 0x7ff, cases[i].rte);
		assert_false(hv_fake_ioapic_route(vm, 7, &msi));
		set(7, false);
	}
}

static void test_read_only_bits_stay(void **state)
{
	put_rte(3, UINT64_MAX);
	assert_int_equal(get_rte(3), 0xfffe00000001afffull);
	put_rte(3, LEVEL | REMOTE_IRR | 0x44);
	set(3, true);
	assert_int_equal(take(NULL), 1); /* the guest cannot set remote IRR */
	put_rte(3, LEVEL | 0x44);
	assert_int_equal(get_rte(3), LEVEL | REMOTE_IRR | 0x44); /* nor clear it */
	assert_int_equal(take(NULL), 0);
}

static void test_sources_share_a_pin(void **state)
{
	struct ioapic_source a, b;

	ioapic_source_init(&a, ioapic, 16);
	ioapic_source_init(&b, ioapic, 16);
	put_rte(16, LEVEL | 0x50);
	irq_line_set(&a.line, true);
	irq_line_set(&b.line, true);
	set(16, true);
	assert_int_equal(take(NULL), 1);
	irq_line_set(&a.line, false);
	irq_line_set(&a.line, false);
	set(16, false);
	ioapic_eoi(ioapic, 0x50);
	assert_int_equal(take(NULL), 1); /* b holds it */
	irq_line_set(&b.line, false);
	ioapic_eoi(ioapic, 0x50);
	assert_int_equal(take(NULL), 0);
}

static void test_reset_is_complete(void **state)
{
	put(0, 0x05000000);
	put_rte(9, LEVEL | 0x42);
	set(9, true);
	device_reset(ioapic_device(ioapic));
	assert_int_equal(bus_read(mmio, X86_IOAPIC_BASE, 4), 0);
	assert_int_equal(get(0), 0);
	for (unsigned int pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
		assert_int_equal(get_rte(pin), MASKED);
		assert_false(hv_fake_ioapic_route(vm, pin, &(struct hv_fake_msi){0}));
	}
	take(NULL);
	/* The device still holds its line: that is the device's state. */
	put_rte(9, LEVEL | 0x43);
	assert_int_equal(take(NULL), 1);
}

static void test_failed_delivery_is_tried_again(void **state)
{
	put_rte(9, LEVEL | 0x42);
	hv_fake_fail_next(vm, HV_FAKE_SIGNAL_MSI, EPERM);
	set(9, true);
	assert_int_equal(take(NULL), 0);
	assert_int_equal(get_rte(9), LEVEL | 0x42); /* nobody will end it */
	put_rte(9, LEVEL | 0x42);
	assert_int_equal(take(NULL), 1);
}

static void test_access_widths(void **state)
{
	uint64_t base = X86_IOAPIC_BASE;

	bus_write(mmio, base, 1, 1);
	assert_int_equal(bus_read(mmio, base, 1), 1);
	assert_int_equal(bus_read(mmio, base + 0x10, 4), 0x00170020);
	assert_int_equal(bus_read(mmio, base + 0x10, 2), 0);
	assert_int_equal(bus_read(mmio, base + 0x12, 2), 0);
	bus_write(mmio, base, 4, 0x110);
	bus_write(mmio, base + 0x10, 2, 0x31);
	bus_write(mmio, base + 0x11, 1, 0x31);
	bus_write(mmio, base + 0x10, 8, 0x31);
	assert_int_equal(get_rte(0), MASKED);
	bus_write(mmio, base, 4, 0xff); /* past the last entry */
	bus_write(mmio, base + 0x10, 4, 0x31);
	assert_int_equal(bus_read(mmio, base + 0x10, 4), 0);
	bus_write(mmio, base, 4, 0x40);
	bus_write(mmio, base + 0x10, 4, 0x31);
	assert_int_equal(bus_read(mmio, base + 0x10, 4), 0);
	assert_int_equal(bus_read(mmio, base + 0x40, 4), 0);
}

static void toggle_line(struct thread *thread)
{
	for (unsigned int i = 0; i < 2000; i++) {
		set(9, true);
		set(9, false);
	}
	set(9, true);
}

/* A device thread and a vCPU at once: whatever the order, nothing is lost at the end. */
static void test_line_and_registers_from_two_threads(void **state)
{
	struct thread device = {.name = "device", .run = toggle_line};

	put_rte(9, LEVEL | 0x42);
	assert_ok(thread_start(&device));
	for (unsigned int i = 0; i < 1000; i++) {
		put_rte(9, LEVEL | MASKED | 0x42);
		ioapic_eoi(ioapic, 0x42);
		put_rte(9, LEVEL | 0x42);
	}
	thread_join(&device);
	ioapic_eoi(ioapic, 0x42);
	assert_int_equal(get_rte(9), LEVEL | REMOTE_IRR | 0x42);
}

static void test_address_in_use_is_an_error(void **state)
{
	struct ioapic *second;

	assert_err(ioapic_create(vm, mmio, &second), "Failed to create the I/O APIC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edge_delivers_each_rise_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_masked_edge_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_level_delivers_until_it_falls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_masked_level_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_eoi_register_and_trigger_change_clear_remote_irr, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_one_eoi_reaches_all_pins_of_a_vector, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destinations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delivery_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_bits_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sources_share_a_pin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_is_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_failed_delivery_is_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_access_widths, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_line_and_registers_from_two_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_address_in_use_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
