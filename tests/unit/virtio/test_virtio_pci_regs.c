/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of the PCI transport: identity, negotiation, queue set-up, and accesses that no
 * driver should make.
 */
#include "pci_device.h"

#define OFFERED                                                                                    \
	(TOY_FEATURES | VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |         \
		VIRTIO_F_RING_PACKED | VIRTIO_F_NOTIFICATION_DATA | VIRTIO_F_NOTIF_CONFIG_DATA)

static void test_identity_and_capabilities(void **state)
{
	assert_int_equal(cfg_read(&m.f, 0, 0), (0x1040u + 42) << 16 | 0x1af4);
	assert_int_equal(cfg_read(&m.f, 0, 8), 0xff000001);
	assert_int_equal(cfg_read(&m.f, 0, 0x2c) & 0xffff, 0x1af4);
	assert_int_equal(m.stride, 4);
	assert_int_equal(get(NUM_QUEUES), TOY_QUEUES);
	assert_int_equal(get(STATUS), 0);
	assert_int_equal(get(CONFIG_VECTOR), NO_VECTOR);
}

static void test_features_are_offered_in_halves(void **state)
{
	assert_int_equal(device_features(), OFFERED);
	for (uint32_t select = 2; select; select <<= 1) {
		set(DEVICE_FEATURE_SELECT, select);
		assert_int_equal(get(DEVICE_FEATURE_SELECT), select);
		assert_int_equal(get(DEVICE_FEATURE), 0);
		set(DRIVER_FEATURE_SELECT, select);
		assert_int_equal(get(DRIVER_FEATURE), 0);
	}
}

static void test_negotiation(void **state)
{
	assert_int_equal(negotiate(OFFERED), S_ACK | S_DRIVER | S_FEATURES_OK);
	accept_features(0); /* too late */
	set(DRIVER_FEATURE_SELECT, 1);
	assert_int_equal(get(DRIVER_FEATURE), OFFERED >> 32);
	set(STATUS, S_DRIVER_OK); /* bits are only added */
	assert_int_equal(get(STATUS), S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
	assert_int_equal(m.toy->activations, 1);
	assert_int_equal(m.toy->negotiated, OFFERED);
	reset_by_driver();
	assert_int_equal(negotiate(VIRTIO_F_VERSION_1), S_ACK | S_DRIVER | S_FEATURES_OK);
}

static void test_features_that_were_not_offered_are_refused(void **state)
{
	static const uint64_t bad[] = {
		0, OFFERED & ~VIRTIO_F_VERSION_1, OFFERED | 2, OFFERED | 1ull << 33, UINT64_MAX};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(negotiate(bad[i]), S_ACK | S_DRIVER);
		set(STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
		assert_int_equal(get(STATUS), S_ACK | S_DRIVER);
	}
	/* The driver may think again, without a reset. */
	accept_features(VIRTIO_F_VERSION_1);
	set(STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
	assert_int_equal(get(STATUS), S_ACK | S_DRIVER | S_FEATURES_OK);
	/* Bits from 64 on. */
	reset_by_driver();
	set(DRIVER_FEATURE_SELECT, 3);
	set(DRIVER_FEATURE, 1);
	accept_features(VIRTIO_F_VERSION_1 | 1);
	set(DRIVER_FEATURE_SELECT, 2);
	set(DRIVER_FEATURE, 1);
	set(STATUS, S_FEATURES_OK);
	assert_int_equal(get(STATUS), 0);
	assert_int_equal(m.toy->activations, 0);
}

static void test_a_driver_that_gave_up_or_skips_steps_does_not_activate(void **state)
{
	set(STATUS, S_DRIVER_OK);
	assert_int_equal(get(STATUS), 0);
	set(STATUS, S_NEEDS_RESET); /* the device's bit */
	assert_int_equal(get(STATUS), 0);
	(void)negotiate(VIRTIO_F_VERSION_1);
	set(STATUS, S_FAILED);
	set(STATUS, S_DRIVER_OK);
	assert_int_equal(m.toy->activations, 0);
}

static void assert_queue_is_as_after_reset(unsigned int q)
{
	set(QUEUE_SELECT, q);
	assert_int_equal(get(QUEUE_SIZE), TOY_QUEUE_SIZE);
	assert_int_equal(get(QUEUE_VECTOR), NO_VECTOR);
	assert_int_equal(get(QUEUE_ENABLE), 0);
	assert_int_equal(get(QUEUE_NOTIFY_OFF), q);
	assert_int_equal(get(QUEUE_NOTIFY_DATA), q);
	assert_int_equal(get(QUEUE_RESET), 0);
	assert_int_equal(get(QUEUE_DESC) | get(QUEUE_DRIVER) | get(QUEUE_DEVICE), 0);
}

static void test_queue_registers(void **state)
{
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		assert_queue_is_as_after_reset(q);
	(void)negotiate(VIRTIO_F_VERSION_1);
	set_up_queue(1);
	assert_int_equal(get(QUEUE_SIZE), TOY_QUEUE_SIZE);
	assert_int_equal(get(QUEUE_VECTOR), 2);
	assert_int_equal(get(QUEUE_ENABLE), 1);
	assert_int_equal(get(QUEUE_DESC), m.rings[1].desc);
	assert_int_equal(get(QUEUE_DRIVER), m.rings[1].avail);
	assert_int_equal(get(QUEUE_DEVICE), m.rings[1].used);
	assert_queue_is_as_after_reset(0);
	reset_by_driver();
	assert_int_equal(get(QUEUE_SELECT), 0);
	assert_queue_is_as_after_reset(1);
}

static void test_queues_that_do_not_exist(void **state)
{
	static const uint16_t bad[] = {TOY_QUEUES, VIRTIO_QUEUES_MAX, 255, UINT16_MAX};

	(void)negotiate(VIRTIO_F_VERSION_1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set(QUEUE_SELECT, bad[i]);
		assert_int_equal(get(QUEUE_SELECT), bad[i]);
		set(QUEUE_SIZE, 2);
		set(QUEUE_DESC, 0x1000);
		set(QUEUE_VECTOR, 1);
		set(QUEUE_ENABLE, 1);
		for (unsigned int off = 0x18; off < 0x40; off += 2)
			assert_int_equal(get(off, 2), 0);
	}
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		assert_queue_is_as_after_reset(q);
}

static void test_bad_sizes_and_enables_do_nothing(void **state)
{
	static const uint16_t bad[] = {0, 3, 15, 32, 256, 0x8000, UINT16_MAX};

	set(QUEUE_ENABLE, 1); /* before FEATURES_OK */
	assert_int_equal(get(QUEUE_ENABLE), 0);
	(void)negotiate(VIRTIO_F_VERSION_1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set(QUEUE_SIZE, bad[i]);
		assert_int_equal(get(QUEUE_SIZE), TOY_QUEUE_SIZE);
	}
	set(QUEUE_SIZE, 1);
	assert_int_equal(get(QUEUE_SIZE), 1);
	/* A packed ring may have any size up to the largest. */
	(void)negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED);
	for (unsigned int i = 0; i < 20; i++) {
		set(QUEUE_SIZE, 7);
		set(QUEUE_SIZE, i);
		assert_int_equal(get(QUEUE_SIZE), i && i <= TOY_QUEUE_SIZE ? i : 7);
	}
	set(QUEUE_ENABLE, 2);
	set(QUEUE_ENABLE, 0x101);
	assert_int_equal(get(QUEUE_ENABLE), 0);
}

/* What the device's thread works with does not change under it. */
static void assert_frozen(void)
{
	set(QUEUE_SIZE, 4);
	set(QUEUE_VECTOR, 0);
	set(QUEUE_DESC, 0x123000);
	set(QUEUE_DRIVER, 0x123000);
	set(QUEUE_DEVICE, 0x123000);
	set(QUEUE_ENABLE, 0);
	assert_int_equal(get(QUEUE_SIZE), TOY_QUEUE_SIZE);
	assert_int_equal(get(QUEUE_VECTOR), 2);
	assert_int_equal(get(QUEUE_DESC), m.rings[1].desc);
	assert_int_equal(get(QUEUE_DRIVER), m.rings[1].avail);
	assert_int_equal(get(QUEUE_DEVICE), m.rings[1].used);
	assert_int_equal(get(QUEUE_ENABLE), 1);
}

static void test_queues_are_frozen_when_enabled_and_by_driver_ok(void **state)
{
	(void)negotiate(VIRTIO_F_VERSION_1);
	set(CONFIG_VECTOR, 1);
	set_up_queue(1);
	assert_frozen();
	set(STATUS, S_DRIVER_OK);
	assert_frozen();
	set(CONFIG_VECTOR, 2);
	assert_int_equal(get(CONFIG_VECTOR), 1);
	set(QUEUE_SELECT, 0); /* never enabled, and now too late */
	set(QUEUE_SIZE, 4);
	set(QUEUE_ENABLE, 1);
	assert_queue_is_as_after_reset(0);
}

static void test_vectors_out_of_range_cannot_be_mapped(void **state)
{
	static const uint16_t bad[] = {TOY_QUEUES + 1, 0x7ff, 0x8000, NO_VECTOR};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set(CONFIG_VECTOR, TOY_QUEUES);
		assert_int_equal(get(CONFIG_VECTOR), TOY_QUEUES);
		set(CONFIG_VECTOR, bad[i]);
		assert_int_equal(get(CONFIG_VECTOR), NO_VECTOR);
		set(QUEUE_VECTOR, TOY_QUEUES);
		assert_int_equal(get(QUEUE_VECTOR), TOY_QUEUES);
		set(QUEUE_VECTOR, bad[i]);
		assert_int_equal(get(QUEUE_VECTOR), NO_VECTOR);
	}
}

static void test_addresses_are_written_whole_or_in_halves(void **state)
{
	set(0x20, 4, 0x89abc000);
	set(0x24, 4, 0x1234567);
	assert_int_equal(get(QUEUE_DESC), 0x123456789abc000ull);
	assert_int_equal(get(0x20, 4), 0x89abc000);
	assert_int_equal(get(0x24, 4), 0x1234567);
	set(QUEUE_DESC, 0xfedcba9876543210ull);
	set(0x20, 4, 0);
	assert_int_equal(get(QUEUE_DESC), 0xfedcba9800000000ull);
}

/* 4.1.3.1: the driver uses the field's width. */
static void test_odd_widths_and_offsets_write_nothing_and_read_what_is_there(void **state)
{
	static uint8_t before[0x40], now[0x40];

	set(DEVICE_FEATURE_SELECT, 0x11223344);
	set(QUEUE_DESC, 0x1122334455667788ull);
	for (unsigned int i = 0; i < 0x40; i++)
		before[i] = (uint8_t)get(i, 1);
	for (unsigned int size = 1; size <= 8; size *= 2) {
		for (unsigned int off = 0; off + size <= 0x40; off++) {
			bool whole = (off < 0x10 && !(off % 4) && size == 4) ||
				     (off >= 0x20 && off < 0x38 && size >= 4 && !(off % size)) ||
				     ((off == 0x10 || off == 0x16 || off == 0x18 || off == 0x1a ||
					      off == 0x1c) &&
					     size == 2) ||
				     (off == 0x14 && size == 1);

			if (!whole)
				set(off, size, UINT64_MAX);
		}
	}
	for (unsigned int i = 0; i < 0x40; i++)
		now[i] = (uint8_t)get(i, 1);
	assert_memory_equal(now, before, sizeof(now));
	for (unsigned int off = 0; off + 8 <= 0x40; off++)
		assert_int_equal(get(off, 8), load_le64(before + off));
	/* Across the structure's end, and between the structures: nothing. */
	assert_int_equal(get(0x3c, 8), 0);
	assert_int_equal(get(0x3f, 2), 0);
	assert_int_equal(get(0x40, 4), 0);
	set(0x40, 4, UINT32_MAX);
	bus_write(m.f.mmio, m.isr, 1, 0xff);
	assert_int_equal(bus_read(m.f.mmio, m.isr, 1), 0);
	bus_write(m.f.mmio, WINDOW + 0x7ffc, 8, UINT64_MAX); /* across the BAR's end */
	assert_int_equal(bus_read(m.f.mmio, WINDOW + 0x7ffc, 8), UINT64_MAX);
	assert_int_equal(bus_read(m.f.mmio, WINDOW + 0x7ffc, 4), 0);
}

static void test_device_configuration_is_read_in_any_width(void **state)
{
	uint64_t generation = get(GENERATION);

	assert_int_equal(bus_read(m.f.mmio, m.device, 8), 0x1716151413121110ull);
	assert_int_equal(bus_read(m.f.mmio, m.device + 4, 8), 0x1b1a191817161514ull);
	assert_int_equal(bus_read(m.f.mmio, m.device + 3, 2), 0x1413);
	assert_int_equal(bus_read(m.f.mmio, m.device + 11, 1), 0x1b);
	/* Beyond its end: zeros. */
	assert_int_equal(bus_read(m.f.mmio, m.device + 11, 2), 0x1b);
	assert_int_equal(bus_read(m.f.mmio, m.device + 8, 8), 0x1b1a1918);
	assert_int_equal(bus_read(m.f.mmio, m.device + 12, 4), 0);
	assert_int_equal(bus_read(m.f.mmio, m.device + 0xffc, 4), 0);
	bus_write(m.f.mmio, m.device, 4, 0); /* nothing to write here */
	assert_int_equal(bus_read(m.f.mmio, m.device, 1), 0x10);
	assert_int_equal(get(GENERATION), generation);
}

/* An access through the window in configuration space (4.1.4.9). */
static void window(uint8_t bar, uint32_t off, uint32_t len)
{
	bus_write(m.f.mmio, fixture_reg(0, m.cfg_cap + 4), 1, bar);
	cfg_write(&m.f, 0, m.cfg_cap + 8, off);
	cfg_write(&m.f, 0, m.cfg_cap + 12, len);
}

static uint64_t window_read(unsigned int size)
{
	return bus_read(m.f.mmio, fixture_reg(0, m.cfg_cap + 16), size);
}

static void window_write(unsigned int size, uint32_t value)
{
	bus_write(m.f.mmio, fixture_reg(0, m.cfg_cap + 16), size, value);
}

static void test_configuration_space_has_a_window_to_the_registers(void **state)
{
	const uint32_t common = (uint32_t)(m.common - WINDOW);

	window(0, common + 0x14, 1);
	window_write(1, S_ACK | S_DRIVER);
	assert_int_equal(get(STATUS), S_ACK | S_DRIVER);
	assert_int_equal(window_read(1), S_ACK | S_DRIVER);
	window(0, common + 0x12, 2);
	assert_int_equal(window_read(2), TOY_QUEUES);
	window(0, (uint32_t)(m.device - WINDOW), 4);
	assert_int_equal(window_read(4), 0x13121110);
	cfg_write(&m.f, 0, 4, 0); /* also when the BAR is off: that is what it is for */
	assert_int_equal(window_read(4), 0x13121110);
}

static void test_the_window_names_nothing_outside(void **state)
{
	const uint32_t status = (uint32_t)(m.common - WINDOW) + 0x14;
	const struct {
		uint8_t bar;
		uint32_t off, len;
	} bad[] = {{1, status, 1}, {255, status, 1}, {0, status, 0}, {0, status, 3}, {0, status, 8},
		{0, status, UINT32_MAX}, {0, status + 1, 2}, {0, 0x8000, 1}, {0, 0x7fff, 2},
		{0, UINT32_MAX, 1}, {0, UINT32_MAX & ~3u, 4}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		window(bad[i].bar, bad[i].off, bad[i].len);
		window_write(4, 0x01010101);
		(void)window_read(4);
		assert_int_equal(get(STATUS), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_identity_and_capabilities),
		MACHINE_TEST(test_features_are_offered_in_halves),
		MACHINE_TEST(test_negotiation),
		MACHINE_TEST(test_features_that_were_not_offered_are_refused),
		MACHINE_TEST(test_a_driver_that_gave_up_or_skips_steps_does_not_activate),
		MACHINE_TEST(test_queue_registers),
		MACHINE_TEST(test_queues_that_do_not_exist),
		MACHINE_TEST(test_bad_sizes_and_enables_do_nothing),
		MACHINE_TEST(test_queues_are_frozen_when_enabled_and_by_driver_ok),
		MACHINE_TEST(test_vectors_out_of_range_cannot_be_mapped),
		MACHINE_TEST(test_addresses_are_written_whole_or_in_halves),
		MACHINE_TEST(test_odd_widths_and_offsets_write_nothing_and_read_what_is_there),
		MACHINE_TEST(test_device_configuration_is_read_in_any_width),
		MACHINE_TEST(test_configuration_space_has_a_window_to_the_registers),
		MACHINE_TEST(test_the_window_names_nothing_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
