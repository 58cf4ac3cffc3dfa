/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/thread.h"
#include "pci/pci_internal.h"
#include "pci/pci_fixture.h"

#define TABLE   WINDOW
#define PBA     (WINDOW + 0x8000)
#define CONTROL 0x42 /* in configuration space: the only capability is at 0x40 */
#define ENABLE  0x8000
#define MASK    0x4000

static struct fixture f;
static struct toy toy;

static uint64_t msix_toy_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct toy *t = container_of(region, struct toy, pci.bars[0].region);
	uint64_t value;

	return pci_msix_read(&t->pci, off, size, &value) ? value : 0x5a5a5a5a5a5a5a5a;
}

static void msix_toy_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct toy *t = container_of(region, struct toy, pci.bars[0].region);

	(void)pci_msix_write(&t->pci, off, size, value);
}

static const struct io_ops msix_toy_ops = {msix_toy_read, msix_toy_write};

static void start(unsigned int n_vectors)
{
	assert_ok(fixture_init(&f));
	assert_ok(fixture_start(&f));
	toy_init(&toy);
	pci_dev_add_bar(&toy.pci, 0, PCI_BAR_MEM32, 0x10000, &msix_toy_ops, "msix");
	assert_ok(pci_msix_add(&toy.pci, f.vm, n_vectors, 0, 0, 0x8000));
	assert_ok(pci_segment_add(f.segment, &toy.pci));
	assert_ok(pci_segment_place(f.segment));
	cfg_write(&f, 0, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static int setup(void **state)
{
	start(70);
	return 0;
}

static int teardown(void **state)
{
	pci_dev_deinit(&toy.pci);
	fixture_deinit(&f);
	return 0;
}

static void control(uint16_t value)
{
	bus_write(f.mmio, fixture_reg(0, CONTROL), 2, value);
}

static void entry(unsigned int vector, uint64_t addr, uint32_t data, uint32_t mask)
{
	bus_write(f.mmio, TABLE + vector * 16, 8, addr);
	bus_write(f.mmio, TABLE + vector * 16 + 8, 4, data);
	bus_write(f.mmio, TABLE + vector * 16 + 12, 4, mask);
}

static void set_mask(unsigned int vector, bool masked)
{
	bus_write(f.mmio, TABLE + vector * 16 + 12, 4, masked);
}

static uint64_t pending(unsigned int qword)
{
	return bus_read(f.mmio, PBA + qword * 8, 8);
}

/* How many messages came since the last call; the last of them. */
static unsigned int take(struct hv_fake_msi *ret_last)
{
	struct hv_fake_msi all[256];
	unsigned int n = hv_fake_messages(f.vm, all, 256);

	hv_fake_clear_messages(f.vm);
	assert_true(n <= 256);
	if (n && ret_last)
		*ret_last = all[n - 1];
	return n;
}

static void test_capability(void **state)
{
	assert_int_equal(cfg_read(&f, 0, 0x34), 0x40);
	assert_int_equal(cfg_read(&f, 0, 0x40), 69 << 16 | 0x0011);
	assert_int_equal(cfg_read(&f, 0, 0x44), 0);
	assert_int_equal(cfg_read(&f, 0, 0x48), 0x8000);
	cfg_write(&f, 0, 0x40, UINT32_MAX);
	cfg_write(&f, 0, 0x44, UINT32_MAX);
	assert_int_equal(cfg_read(&f, 0, 0x40), 0xc0450011);
	assert_int_equal(cfg_read(&f, 0, 0x44), 0);
	assert_true(pci_msix_enabled(&toy.pci));
}

static void test_table(void **state)
{
	for (unsigned int i = 0; i < 70; i++) {
		assert_int_equal(bus_read(f.mmio, TABLE + i * 16, 8), 0);
		assert_int_equal(bus_read(f.mmio, TABLE + i * 16 + 8, 8), 1ull << 32);
	}
	bus_write(f.mmio, TABLE + 69 * 16, 4, 0xfee01003);
	bus_write(f.mmio, TABLE + 69 * 16 + 4, 4, 0x12);
	bus_write(f.mmio, TABLE + 69 * 16 + 8, 8, 0xfffffffe00004041);
	assert_int_equal(bus_read(f.mmio, TABLE + 69 * 16, 8), 0x12fee01000);
	assert_int_equal(bus_read(f.mmio, TABLE + 69 * 16 + 4, 4), 0x12);
	assert_int_equal(bus_read(f.mmio, TABLE + 69 * 16 + 8, 4), 0x4041);
	assert_int_equal(bus_read(f.mmio, TABLE + 69 * 16 + 12, 4), 0);
	/* What follows the table is the device's. */
	assert_int_equal(bus_read(f.mmio, TABLE + 70 * 16, 4), 0x5a5a5a5a);
	assert_int_equal(bus_read(f.mmio, TABLE + 70 * 16 - 4, 8), 0x5a5a5a5a5a5a5a5a);
	/* Other widths and places are not defined (PCI 3.0, 6.8.2): no effect. */
	bus_write(f.mmio, TABLE, 1, 0xff);
	bus_write(f.mmio, TABLE + 4, 8, UINT64_MAX);
	bus_write(f.mmio, TABLE + 12, 8, 0);
	bus_write(f.mmio, TABLE + 6, 4, UINT32_MAX);
	assert_int_equal(bus_read(f.mmio, TABLE, 8), 0);
	assert_int_equal(bus_read(f.mmio, TABLE + 8, 8), 1ull << 32);
	assert_int_equal(bus_read(f.mmio, TABLE + 12, 2), 0);
	assert_int_equal(bus_read(f.mmio, TABLE + 12, 8), 0);
}

static void test_delivery(void **state)
{
	struct hv_fake_msi msi;

	entry(3, 0xfee0a000, 0x43, 0);
	pci_msix_signal(&toy.pci, 3);
	assert_int_equal(take(NULL), 0); /* not enabled */
	control(ENABLE);
	assert_int_equal(take(NULL), 0); /* and not remembered */
	pci_msix_signal(&toy.pci, 3);
	pci_msix_signal(&toy.pci, 3);
	assert_int_equal(take(&msi), 2);
	assert_int_equal(msi.addr, 0xfee0a000);
	assert_int_equal(msi.data, 0x43);
	pci_msix_signal(&toy.pci, 70);
	pci_msix_signal(&toy.pci, 0xffff);
	pci_msix_signal(&toy.pci, UINT32_MAX);
	assert_int_equal(take(NULL), 0);
}

static void test_masked_vectors_become_pending(void **state)
{
	struct hv_fake_msi msi;

	control(ENABLE);
	entry(65, 0xfee00000, 0x41, 1);
	pci_msix_signal(&toy.pci, 65);
	pci_msix_signal(&toy.pci, 65);
	assert_int_equal(take(NULL), 0);
	assert_int_equal(pending(0), 0);
	assert_int_equal(pending(1), 2);
	assert_int_equal(bus_read(f.mmio, PBA + 8, 4), 2);
	assert_int_equal(bus_read(f.mmio, PBA + 12, 4), 0);
	assert_int_equal(bus_read(f.mmio, PBA + 16, 4), 0x5a5a5a5a);
	bus_write(f.mmio, PBA + 8, 8, 0); /* read-only */
	assert_int_equal(pending(1), 2);
	/* The message is the one at the time of the unmasking. */
	entry(65, 0xfee01000, 0x51, 0);
	assert_int_equal(take(&msi), 1);
	assert_int_equal(msi.addr, 0xfee01000);
	assert_int_equal(msi.data, 0x51);
	assert_int_equal(pending(1), 0);
	set_mask(65, true);
	set_mask(65, false);
	assert_int_equal(take(NULL), 0);
}

static void test_function_mask(void **state)
{
	control(ENABLE | MASK);
	entry(0, 0xfee00000, 0x30, 0);
	entry(1, 0xfee00000, 0x31, 0);
	entry(2, 0xfee00000, 0x32, 1);
	for (unsigned int i = 0; i < 3; i++)
		pci_msix_signal(&toy.pci, i);
	assert_int_equal(take(NULL), 0);
	assert_int_equal(pending(0), 7);
	control(ENABLE);
	assert_int_equal(take(NULL), 2);
	assert_int_equal(pending(0), 4);
	control(0);
	set_mask(2, false);
	assert_int_equal(take(NULL), 0);
	control(ENABLE);
	assert_int_equal(take(NULL), 1);
}

static void test_no_pin_while_enabled(void **state)
{
	pci_dev_set_intx(&toy.pci, true);
	assert_true(f.level);
	control(ENABLE);
	assert_false(f.level);
	assert_int_equal(cfg_read(&f, 0, 4) >> 16 & 8, 8);
	pci_dev_set_intx(&toy.pci, false);
	pci_dev_set_intx(&toy.pci, true);
	assert_false(f.level);
	control(0);
	assert_true(f.level);
}

static void test_irqfd(void **state)
{
	struct hv_fake_msi msi;
	int fd;

	assert_int_equal(pci_msix_fd(&toy.pci, 70), -EINVAL);
	hv_fake_fail_next(f.vm, HV_FAKE_IRQFD_CREATE, EMFILE);
	assert_int_equal(pci_msix_fd(&toy.pci, 5), -EMFILE);
	fd = pci_msix_fd(&toy.pci, 5);
	assert_true(fd >= 0);
	assert_int_equal(pci_msix_fd(&toy.pci, 5), fd);
	control(ENABLE);
	fd_eventfd_signal(fd);
	assert_int_equal(take(NULL), 0);
	assert_int_equal(pending(0), 1 << 5);
	entry(5, 0xfee00000, 0x35, 0);
	assert_int_equal(take(&msi), 1);
	assert_int_equal(msi.data, 0x35);
	assert_int_equal(pending(0), 0);
	fd_eventfd_signal(fd);
	assert_int_equal(take(NULL), 1);
	pci_msix_signal(&toy.pci, 5);
	assert_int_equal(take(NULL), 1);
	control(ENABLE | MASK);
	pci_msix_signal(&toy.pci, 5);
	fd_eventfd_signal(fd);
	assert_int_equal(take(NULL), 0);
	control(ENABLE);
	assert_int_equal(take(NULL), 1);
}

static void test_an_irqfd_without_a_route_keeps_its_signals(void **state)
{
	control(ENABLE);
	assert_true(pci_msix_fd(&toy.pci, 0) >= 0);
	entry(0, 0xfee00000, 0x30, 1);
	pci_msix_signal(&toy.pci, 0);
	hv_fake_fail_next(f.vm, HV_FAKE_IRQFD_ROUTE, ENOSPC);
	set_mask(0, false);
	assert_int_equal(take(NULL), 0);
	pci_msix_signal(&toy.pci, 0);
	assert_int_equal(take(NULL), 0);
	set_mask(0, true);
	set_mask(0, false);
	assert_int_equal(take(NULL), 1);
}

static void test_reset(void **state)
{
	control(ENABLE);
	entry(1, 0xfee00000, 0x31, 0);
	entry(2, 0xfee00000, 0x32, 1);
	assert_true(pci_msix_fd(&toy.pci, 1) >= 0);
	pci_msix_signal(&toy.pci, 2);
	pci_dev_reset(&toy.pci);
	assert_false(pci_msix_enabled(&toy.pci));
	cfg_write(&f, 0, 4, PCI_COMMAND_MEMORY);
	assert_int_equal(cfg_read(&f, 0, 0x40), 69 << 16 | 0x0011);
	assert_int_equal(bus_read(f.mmio, TABLE + 16, 8), 0);
	assert_int_equal(bus_read(f.mmio, TABLE + 24, 8), 1ull << 32);
	control(ENABLE);
	assert_int_equal(pending(0), 0);
	set_mask(2, false);
	assert_int_equal(take(NULL), 0);
}

static void test_2048_vectors(void **state)
{
	start(2048);
	assert_int_equal(cfg_read(&f, 0, 0x40), 2047 << 16 | 0x0011);
	control(ENABLE);
	pci_msix_signal(&toy.pci, 2047);
	pci_msix_signal(&toy.pci, 2048);
	assert_int_equal(pending(31), 1ull << 63);
	entry(2047, 0xfee00000, 0x77, 0);
	assert_int_equal(take(NULL), 1);
	teardown(state);
}

static void test_without_msix(void **state)
{
	struct toy plain;
	uint64_t value;

	toy_init(&plain);
	assert_false(pci_msix_enabled(&plain.pci));
	assert_false(pci_msix_read(&plain.pci, 0, 4, &value));
	assert_false(pci_msix_write(&plain.pci, 0, 4, 0));
	assert_int_equal(pci_msix_fd(&plain.pci, 0), -EINVAL);
	pci_msix_signal(&plain.pci, 0);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_not_equal(pci_dev_add_cap(&plain.pci, 9, (uint8_t[12]){0}, 12), 0);
	assert_err(pci_msix_add(&plain.pci, NULL, 1, 0, 0, 0x8000), "No room");
	pci_dev_deinit(&plain.pci);
}

/* ---- A device thread against a guest that masks and unmasks ---- */

#define ROUNDS 500

struct storm {
	struct thread thread;
	pthread_barrier_t begin, end;
	bool by_fd;
};

static void storm_device(struct thread *thread)
{
	struct storm *storm = container_of(thread, struct storm, thread);
	int fd = storm->by_fd ? pci_msix_fd(&toy.pci, 7) : -1;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&storm->begin);
		if (storm->by_fd && i % 2)
			fd_eventfd_signal(fd);
		else
			pci_msix_signal(&toy.pci, 7);
		pthread_barrier_wait(&storm->end);
	}
}

static void storm_guest(struct storm *storm)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int n;

		pthread_barrier_wait(&storm->begin);
		for (unsigned int j = 0; j < i % 8; j++) {
			set_mask(7, true);
			(void)pending(0);
			control(ENABLE | MASK);
			entry(7, 0xfee00000 | (uint64_t)i << 12, 0x37, 1);
			set_mask(7, false);
			control(ENABLE);
		}
		pthread_barrier_wait(&storm->end);
		n = take(NULL);
		assert_in_range(n, 1, 1);
	}
}

static void run_storm(bool by_fd)
{
	struct storm storm = {.by_fd = by_fd, .thread = {.name = "device", .run = storm_device}};

	control(ENABLE);
	entry(7, 0xfee00000, 0x37, 0);
	pthread_barrier_init(&storm.begin, NULL, 2);
	pthread_barrier_init(&storm.end, NULL, 2);
	assert_ok(thread_start(&storm.thread));
	storm_guest(&storm);
	thread_join(&storm.thread);
	pthread_barrier_destroy(&storm.begin);
	pthread_barrier_destroy(&storm.end);
}

static void test_no_signal_is_lost(void **state)
{
	run_storm(false);
}

static void test_no_signal_is_lost_by_irqfd(void **state)
{
	run_storm(true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_capability),
		TEST(test_table),
		TEST(test_delivery),
		TEST(test_masked_vectors_become_pending),
		TEST(test_function_mask),
		TEST(test_no_pin_while_enabled),
		TEST(test_irqfd),
		TEST(test_an_irqfd_without_a_route_keeps_its_signals),
		TEST(test_reset),
		cmocka_unit_test(test_2048_vectors),
		cmocka_unit_test(test_without_msix),
		TEST(test_no_signal_is_lost),
		TEST(test_no_signal_is_lost_by_irqfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
