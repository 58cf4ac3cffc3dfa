/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory of a device in its BAR: what the capabilities say, and where the guest has it as
 * the BAR is moved, switched off, and put where it cannot be.
 */
#include "pci_device.h"

#include <errno.h>

#define BAR         0x18 /* and 0x1c */
#define LARGE_AT    0x200000u
#define BAR_SIZE    0x400000u
#define ELSEWHERE   (WINDOW64 + 5 * (uint64_t)BAR_SIZE)
#define COMMAND     4
#define NO_DECODING COMMAND_MASTER

static void move(uint64_t addr)
{
	cfg_write(&m.f, 0, BAR, (uint32_t)addr);
	cfg_write(&m.f, 0, BAR + 4, (uint32_t)(addr >> 32));
}

static uint64_t bar(void)
{
	return (cfg_read(&m.f, 0, BAR) & ~0xfull) | (uint64_t)cfg_read(&m.f, 0, BAR + 4) << 32;
}

static bool is_mapped(uint64_t gpa)
{
	struct hv_fake_map map;

	return hv_fake_find_map(m.f.vm, gpa, &map);
}

static void expect_map(uint64_t gpa, const uint8_t *hva, uint64_t size)
{
	struct hv_fake_map map;

	assert_true(hv_fake_find_map(m.f.vm, gpa, &map));
	assert_int_equal(map.gpa, gpa);
	assert_int_equal(map.size, size);
	assert_ptr_equal(map.hva, hva);
	assert_false(map.readonly);
}

static void expect_at(uint64_t addr)
{
	expect_map(addr, toy_memory, TOY_SHM_SMALL);
	expect_map(addr + LARGE_AT, toy_memory + TOY_SHM_SMALL, TOY_SHM_LARGE);
}

static void expect_not_at(uint64_t addr)
{
	assert_false(is_mapped(addr));
	assert_false(is_mapped(addr + LARGE_AT));
}

/* struct virtio_pci_cap64 */
static void expect_cap(unsigned int cap, uint8_t id, uint64_t off, uint64_t len)
{
	assert_int_equal(cfg_read(&m.f, 0, cap) >> 16, 8 << 8 | 24);
	assert_int_equal(cfg_read(&m.f, 0, cap + 4), id << 8 | 2);
	assert_int_equal(cfg_read(&m.f, 0, cap + 8), (uint32_t)off);
	assert_int_equal(cfg_read(&m.f, 0, cap + 12), (uint32_t)len);
	assert_int_equal(cfg_read(&m.f, 0, cap + 16), off >> 32);
	assert_int_equal(cfg_read(&m.f, 0, cap + 20), len >> 32);
}

static void test_capabilities_tell_number_place_and_size(void **state)
{
	expect_cap(m.shm_caps[0], 3, 0, TOY_SHM_SMALL);
	expect_cap(m.shm_caps[1], 7, LARGE_AT, TOY_SHM_LARGE);
	for (unsigned int off = 4; off < 24; off += 4)
		cfg_write(&m.f, 0, m.shm_caps[1] + off, UINT32_MAX);
	expect_cap(m.shm_caps[1], 7, LARGE_AT, TOY_SHM_LARGE);
}

static void test_the_bar_is_large_and_prefetchable(void **state)
{
	assert_int_equal(bar(), WINDOW64);
	assert_int_equal(cfg_read(&m.f, 0, BAR) & 0xf, 0xc);
	cfg_write(&m.f, 0, COMMAND, NO_DECODING);
	move(UINT64_MAX);
	assert_int_equal(bar(), ~(uint64_t)(BAR_SIZE - 1));
}

/* A region of more than 4 GiB, which nobody looks into. */
static int setup_huge(void **state)
{
	m = (struct machine){.toy = toy_create(1)};
	m.toy->dev.shm[1].memory.iov_len = GIB(5) + 0x1000;
	return machine_create(&m.toy->dev);
}

static void test_more_than_32_bits(void **state)
{
	expect_cap(m.shm_caps[1], 7, LARGE_AT, GIB(5) + 0x1000);
	expect_map(bar() + LARGE_AT, toy_memory + TOY_SHM_SMALL, GIB(5) + 0x1000);
	cfg_write(&m.f, 0, COMMAND, NO_DECODING);
	move(UINT64_MAX);
	assert_int_equal(bar(), ~(GIB(8) - 1));
}

static void test_it_is_there_while_the_bar_is_decoded(void **state)
{
	expect_at(WINDOW64);
	cfg_write(&m.f, 0, COMMAND, NO_DECODING);
	expect_not_at(WINDOW64);
	cfg_write(&m.f, 0, COMMAND, COMMAND_MEMORY);
	expect_at(WINDOW64);
	assert_int_equal(m.lines, 0);
}

static void test_it_follows_the_bar(void **state)
{
	move(ELSEWHERE);
	expect_not_at(WINDOW64);
	expect_at(ELSEWHERE);
	move(WINDOW + 4 * (uint64_t)BAR_SIZE); /* below 4 GiB */
	expect_not_at(ELSEWHERE);
	expect_at(WINDOW + 4 * (uint64_t)BAR_SIZE);
	assert_int_equal(m.lines, 0);
}

/* RAM, the ends of the windows, configuration space, this function's own registers. */
static void test_there_are_places_where_it_cannot_be(void **state)
{
	static const uint64_t bad[] = {0, BAR_SIZE, RAM_END - BAR_SIZE, WINDOW, ECAM,
		WINDOW64 - BAR_SIZE, WINDOW64 << 1, 0ull - BAR_SIZE, 1ull << 63};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		move(bad[i]);
		expect_not_at(bad[i]);
		expect_not_at(WINDOW64);
		move(WINDOW64);
		expect_at(WINDOW64);
	}
}

static void test_memory_that_is_there_stays(void **state)
{
	static uint8_t other[0x1000] __attribute__((aligned(4096)));
	const uint64_t taken = ELSEWHERE + LARGE_AT + 0x1000;

	assert_ok(hv_vm_map(m.f.vm, taken, sizeof(other), other, false));
	move(ELSEWHERE);
	expect_map(taken, other, sizeof(other));
	/* What can be is there; what cannot reads as ones. */
	expect_map(ELSEWHERE, toy_memory, TOY_SHM_SMALL);
	assert_false(is_mapped(ELSEWHERE + LARGE_AT));
	assert_int_equal(bus_read(m.f.mmio, ELSEWHERE + LARGE_AT, 8), UINT64_MAX);
	assert_int_equal(m.lines, 1);
	move(WINDOW64);
	expect_at(WINDOW64);
	expect_map(taken, other, sizeof(other));
	for (unsigned int i = 0; i < 1000; i++) {
		move(ELSEWHERE);
		move(WINDOW64);
	}
	assert_true(m.lines < 100);
	expect_at(WINDOW64);
}

static void test_a_slot_that_the_host_refuses_is_tried_again(void **state)
{
	cfg_write(&m.f, 0, COMMAND, NO_DECODING);
	hv_fake_fail_next(m.f.vm, HV_FAKE_MAP, ENOSPC);
	cfg_write(&m.f, 0, COMMAND, COMMAND_MEMORY);
	assert_false(is_mapped(WINDOW64));
	assert_true(is_mapped(WINDOW64 + LARGE_AT));
	assert_int_equal(m.lines, 1);
	cfg_write(&m.f, 0, COMMAND, NO_DECODING);
	cfg_write(&m.f, 0, COMMAND, COMMAND_MEMORY);
	expect_at(WINDOW64);
}

static void test_nothing_is_beside_it(void **state)
{
	bus_write(m.f.mmio, WINDOW64 + TOY_SHM_SMALL, 8, 0);
	assert_int_equal(bus_read(m.f.mmio, WINDOW64 + TOY_SHM_SMALL, 8), UINT64_MAX);
	assert_int_equal(bus_read(m.f.mmio, WINDOW64 + BAR_SIZE - 1, 1), 0xff);
}

/* Resets by the driver are nothing to it (2.10). */
static void test_resets(void **state)
{
	start();
	serve(0, 1);
	expect_at(WINDOW64);
	reset_by_driver();
	expect_at(WINDOW64);
	move(ELSEWHERE);
	device_reset(&m.pci->device);
	expect_not_at(ELSEWHERE);
	expect_not_at(WINDOW64);
	assert_int_equal(bar(), WINDOW64);
	cfg_write(&m.f, 0, COMMAND, COMMAND_MEMORY);
	expect_at(WINDOW64);
}

static int teardown_and_look(void **state)
{
	const uint64_t addr = bar();

	device_free(&m.pci->device);
	expect_not_at(addr);
	ram_free(m.ram);
	fixture_deinit(&m.f);
	log_bind(NULL);
	log_free(m.log);
	return 0;
}

/* ---- Memory that the guest has anyway ---- */

#define FIXED ELSEWHERE

static int setup_fixed(void **state)
{
	m = (struct machine){.toy = toy_create(1)};
	m.toy->dev.n_shm = 1;
	m.toy->dev.shm_gpa = FIXED;
	m.toy->dev.shm_features = 4;
	machine_create(&m.toy->dev);
	/* As RAM's owner would, long before. */
	assert_ok(hv_vm_map(m.f.vm, FIXED, TOY_SHM_SMALL, toy_memory, false));
	return 0;
}

static void test_at_its_first_place_it_needs_no_slot(void **state)
{
	assert_int_equal(bar(), FIXED);
	expect_cap(m.shm_caps[0], 3, 0, TOY_SHM_SMALL);
	cfg_write(&m.f, 0, COMMAND, NO_DECODING);
	expect_map(FIXED, toy_memory, TOY_SHM_SMALL);
	cfg_write(&m.f, 0, COMMAND, COMMAND_MEMORY);
	expect_map(FIXED, toy_memory, TOY_SHM_SMALL);
	assert_int_equal(m.lines, 0);
}

static void test_away_from_its_first_place_it_has_one(void **state)
{
	move(WINDOW64);
	expect_map(FIXED, toy_memory, TOY_SHM_SMALL);
	expect_map(WINDOW64, toy_memory, TOY_SHM_SMALL);
	move(FIXED);
	expect_map(FIXED, toy_memory, TOY_SHM_SMALL);
	assert_false(is_mapped(WINDOW64));
	move(WINDOW64);
	device_reset(&m.pci->device);
	assert_false(is_mapped(WINDOW64));
	assert_int_equal(bar(), FIXED);
	assert_int_equal(m.lines, 0);
}

/* A driver that looks for it in the BAR would have memory that no device reaches. */
static void test_features_of_its_first_place(void **state)
{
	assert_int_equal(device_features() & 5, 5);
	assert_int_equal(negotiate(VIRTIO_F_VERSION_1 | 5), S_ACK | S_DRIVER | S_FEATURES_OK);
	move(WINDOW64);
	assert_int_equal(device_features() & 5, 1);
	assert_int_equal(negotiate(VIRTIO_F_VERSION_1 | 5), S_ACK | S_DRIVER);
	move(0);
	assert_int_equal(device_features() & 5, 1);
	move(FIXED);
	assert_int_equal(device_features() & 5, 5);
	assert_int_equal(negotiate(VIRTIO_F_VERSION_1 | 5), S_ACK | S_DRIVER | S_FEATURES_OK);
}

#define FIXED_TEST(name) cmocka_unit_test_setup_teardown(name, setup_fixed, machine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_capabilities_tell_number_place_and_size),
		MACHINE_TEST(test_the_bar_is_large_and_prefetchable),
		cmocka_unit_test_setup_teardown(
			test_more_than_32_bits, setup_huge, machine_teardown),
		cmocka_unit_test_setup_teardown(test_it_is_there_while_the_bar_is_decoded,
			machine_setup, teardown_and_look),
		cmocka_unit_test_setup_teardown(
			test_it_follows_the_bar, machine_setup, teardown_and_look),
		MACHINE_TEST(test_there_are_places_where_it_cannot_be),
		cmocka_unit_test_setup_teardown(
			test_memory_that_is_there_stays, machine_setup, teardown_and_look),
		MACHINE_TEST(test_a_slot_that_the_host_refuses_is_tried_again),
		MACHINE_TEST(test_nothing_is_beside_it),
		MACHINE_TEST(test_resets),
		FIXED_TEST(test_at_its_first_place_it_needs_no_slot),
		FIXED_TEST(test_away_from_its_first_place_it_has_one),
		FIXED_TEST(test_features_of_its_first_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
