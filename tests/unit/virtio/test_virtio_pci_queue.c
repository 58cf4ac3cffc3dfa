/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues of a running device behind the PCI transport: both formats by the model of a driver,
 * resets of single queues, notification data, vectors by irqfd.
 */
#include "pci_device.h"

#include <errno.h>

#include "base/thread.h"
#include "driver.h"

#define RESETTABLE VIRTIO_F_RING_RESET

/* ---- Formats ---- */

static void enable_driver(unsigned int q, const struct driver *d)
{
	set(QUEUE_SELECT, q);
	set(QUEUE_SIZE, d->size);
	set(QUEUE_VECTOR, q + 1);
	set(QUEUE_DESC, d->desc);
	set(QUEUE_DRIVER, d->driver);
	set(QUEUE_DEVICE, d->device);
	set(QUEUE_ENABLE, 1);
}

/* n buffers through queue q, with notifications only where the device wants them. */
static void run_driver(unsigned int q, struct driver *d, unsigned int n)
{
	const struct driver_piece piece = {BUFFER, 4, true};
	uint64_t target = d->taken + n;
	struct driver_done done;

	while (d->taken < target) {
		while (d->added < target && driver_add(d, &piece, 1, d->added % 2, d->added))
			continue;
		if (driver_needs_kick(d))
			bus_write(m.f.mmio, doorbell(q), 4, q | (uint64_t)d->avail << 16);
		eventually(driver_has_done(d));
		while (driver_take(d, &done))
			assert_int_equal(done.written, 4);
		(void)driver_enable_interrupts(d);
	}
}

/* A feature of the ring, or of the transport, for each bit. */
static uint64_t features_of(unsigned int bits)
{
	static const uint64_t features[] = {VIRTIO_F_RING_PACKED, VIRTIO_F_EVENT_IDX,
		VIRTIO_F_INDIRECT_DESC, VIRTIO_F_IN_ORDER, VIRTIO_F_RING_RESET,
		VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_NOTIF_CONFIG_DATA};
	uint64_t all = VIRTIO_F_VERSION_1;

	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++)
		if (bits >> i & 1)
			all |= features[i];
	return all;
}

/* Queue q with its driver; which size it has is by the turn. */
static void begin_driver(unsigned int q, struct driver *d, unsigned int bits, unsigned int turn)
{
	static const uint16_t sizes[] = {16, 1, 8, 5};
	const struct driver_features has = {.packed = bits & 1,
		.event_idx = bits & 2,
		.indirect = bits & 4,
		.in_order = bits & 8};

	driver_init(d, m.ram, 0x10000ull * (q + 1) + 0x4000ull * (turn % 2),
		sizes[(turn + q) % (has.packed ? 4 : 3)], has);
	enable_driver(q, d);
}

static void run_drivers(struct driver *d)
{
	for (unsigned int i = 0; i < 30; i++)
		run_driver(i % TOY_QUEUES, &d[i % TOY_QUEUES], 1 + i * 7 % 40);
}

/* Each set of features: alone, in pairs, all. A queue that was reset works as one that was not. */
static void test_every_format_is_served(void **state)
{
	for (unsigned int bits = 0; bits < 128; bits++) {
		struct driver d[TOY_QUEUES];

		(void)negotiate(features_of(bits));
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			begin_driver(q, &d[q], bits, bits);
		set(STATUS, S_DRIVER_OK);
		run_drivers(d);
		for (unsigned int q = 0; q < TOY_QUEUES; q++) {
			set(QUEUE_SELECT, q);
			set(QUEUE_RESET, 1);
			eventually(!get(QUEUE_RESET));
			assert_int_equal(get(QUEUE_ENABLE), !(bits & 16));
			if (bits & 16)
				begin_driver(q, &d[q], bits, bits + 1);
			run_driver(1 - q, &d[1 - q], 5);
		}
		run_drivers(d);
		assert_int_equal(get(STATUS) & S_NEEDS_RESET, 0);
	}
}

static void test_a_broken_packed_ring_needs_a_reset(void **state)
{
	const struct driver_piece outside = {GUEST_RAM, 4, true};
	struct driver d;

	for (unsigned int i = 0; i < 20; i++) {
		(void)negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED);
		driver_init(&d, m.ram, 0x10000, 16, (struct driver_features){.packed = true});
		enable_driver(0, &d);
		set(STATUS, S_DRIVER_OK);
		run_driver(0, &d, i);
		assert_true(driver_add(&d, &outside, 1, false, 0));
		kick(0);
		eventually(get(STATUS) & S_NEEDS_RESET);
	}
}

static void test_packed_rings_are_validated_as_a_whole(void **state)
{
	static const struct {
		uint64_t desc, driver, device;
	} bad[] = {
		{GUEST_RAM - 0x10, 0x1000, 0x2000}, /* the last descriptors are outside */
		{0x10008, 0x1000, 0x2000},
		{0x10000, 0x1002, 0x2000},
		{0x10000, GUEST_RAM, 0x2000},
		{0x10000, 0x1000, GUEST_RAM - 2},
		{0x10000, 0x1000, UINT64_MAX & ~3ull},
		{UINT64_MAX & ~15ull, 0x1000, 0x2000},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED);
		set(QUEUE_DESC, bad[i].desc);
		set(QUEUE_DRIVER, bad[i].driver);
		set(QUEUE_DEVICE, bad[i].device);
		set(QUEUE_ENABLE, 1);
		set(STATUS, S_DRIVER_OK);
		assert_int_equal(get(STATUS) & S_NEEDS_RESET, S_NEEDS_RESET);
	}
}

/* What the host cannot do with a device is not offered. */
static void test_excluded_features_are_not_offered(void **state)
{
	m.toy->dev.excluded = VIRTIO_F_RING_PACKED;
	assert_int_equal(device_features() & VIRTIO_F_RING_PACKED, 0);
	assert_int_equal(negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED) & S_FEATURES_OK, 0);
}

/* ---- Resets of a queue ---- */

static void reset_queue(unsigned int q)
{
	set(QUEUE_SELECT, q);
	set(QUEUE_RESET, 1);
	eventually(!get(QUEUE_RESET));
	assert_int_equal(get(QUEUE_ENABLE), 0);
}

static void test_a_queue_that_was_reset_can_be_set_up_anew(void **state)
{
	enable_msix();
	start_with(RESETTABLE);
	for (unsigned int i = 0; i < 50; i++) {
		serve(0, 3);
		serve(1, 2);
		reset_queue(0);
		assert_int_equal(get(QUEUE_SIZE), TOY_QUEUE_SIZE);
		assert_int_equal(get(QUEUE_VECTOR), NO_VECTOR);
		assert_int_equal(get(QUEUE_DESC) | get(QUEUE_DRIVER) | get(QUEUE_DEVICE), 0);
		assert_false(hv_fake_doorbell(m.f.vm, doorbell(0), false));
		kick(0);
		serve(1, 2);
		assert_int_equal(m.toy->resets, i + 1);
		/* Elsewhere, and with another size. */
		m.rings[0] = ring_at(m.ram, i % 2 ? 0x10000 : 0x30000, i % 2 ? 16 : 4);
		set_up_queue(0);
		assert_int_equal(get(QUEUE_ENABLE), 1);
		assert_true(hv_fake_doorbell(m.f.vm, doorbell(0), false));
		assert_int_equal(get(STATUS) & S_NEEDS_RESET, 0);
	}
	serve(0, 1);
	m.rings[0] = ring_at(m.ram, 0x10000, TOY_QUEUE_SIZE);
}

static void test_a_queue_reset_waits_for_what_is_in_flight_and_no_vcpu_does(void **state)
{
	start_with(RESETTABLE);
	serve(1, 1);
	atomic_store(&m.toy->holds, true);
	add(0, 5);
	kick(0);
	add(1, 2);
	kick(1);
	eventually(m.toy->n_held[0] == 5 && m.toy->n_held[1] == 2);
	set(QUEUE_SELECT, 0);
	set(QUEUE_RESET, 1);
	eventually(m.toy->resets == 1);
	add(0, 1); /* too late, and not taken */
	kick(0);
	assert_int_equal(get(QUEUE_RESET), 1);
	set(QUEUE_DESC, 0x5000); /* not yet */
	set(QUEUE_ENABLE, 1);
	set(QUEUE_RESET, 1);
	assert_int_equal(get(QUEUE_DESC), 0);
	assert_int_equal(get(QUEUE_ENABLE), 0);
	toy_release_all();
	assert_int_equal(get(QUEUE_RESET), 0);
	assert_int_equal(ring_completed(&m.rings[0]), 5);
	assert_int_equal(ring_completed(&m.rings[1]), 2);
	m.rings[1].used_idx = (uint16_t)(m.rings[1].used_idx + 2);
	atomic_store(&m.toy->holds, false);
	set_up_queue(0);
	serve(0, 4);
	serve(1, 4);
	assert_int_equal(m.toy->resets, 1);
}

/* Buffers in flight come back through the ring that they came by, whatever its format. */
static void test_a_queue_of_every_format_is_reset_with_requests_in_flight(void **state)
{
	const struct driver_piece piece = {BUFFER, 4, true};

	for (unsigned int bits = 0; bits < 128; bits++) {
		struct driver d[TOY_QUEUES];
		struct driver_done done;
		unsigned int n = 0;

		if (!(bits & 16))
			continue;
		(void)negotiate(features_of(bits));
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			begin_driver(q, &d[q], bits, bits);
		set(STATUS, S_DRIVER_OK);
		run_drivers(d);
		atomic_store(&m.toy->holds, true);
		while (n < 6 && driver_add(&d[0], &piece, 1, n % 2, n))
			n++;
		kick(0);
		eventually(m.toy->n_held[0] == n);
		set(QUEUE_SELECT, 0);
		set(QUEUE_RESET, 1);
		assert_int_equal(get(QUEUE_RESET), 1);
		assert_false(driver_has_done(&d[0]));
		toy_release_all();
		eventually(!get(QUEUE_RESET));
		for (; n; n--) {
			assert_true(driver_take(&d[0], &done));
			assert_int_equal(done.written, 4);
		}
		assert_false(driver_has_done(&d[0]));
		atomic_store(&m.toy->holds, false);
		begin_driver(0, &d[0], bits, bits + 1);
		run_drivers(d);
		assert_int_equal(get(STATUS) & S_NEEDS_RESET, 0);
	}
}

static void test_a_device_reset_does_not_wait_for_a_queue_reset(void **state)
{
	for (unsigned int i = 0; i < 100; i++) {
		start_with(RESETTABLE);
		atomic_store(&m.toy->holds, true);
		add(0, 3);
		kick(0);
		eventually(m.toy->n_held[0] == 3);
		set(QUEUE_SELECT, 0);
		set(QUEUE_RESET, 1);
		if (i % 2)
			eventually(atomic_load(&m.toy->resets) > i / 2);
		reset_by_driver();
		assert_int_equal(get(QUEUE_RESET), 0);
		atomic_store(&m.toy->n_held[0], 0);
		atomic_store(&m.toy->holds, false);
		start();
		serve(0, 2);
	}
}

static void test_queue_resets_that_mean_nothing(void **state)
{
	set(QUEUE_RESET, 1); /* before anything */
	start();             /* not negotiated */
	set(QUEUE_SELECT, 0);
	set(QUEUE_RESET, 1);
	assert_int_equal(get(QUEUE_RESET), 0);
	assert_int_equal(get(QUEUE_ENABLE), 1);
	(void)negotiate(VIRTIO_F_VERSION_1 | RESETTABLE);
	set_up_queue(0);
	set(QUEUE_RESET, 1); /* not active */
	assert_int_equal(get(QUEUE_ENABLE), 1);
	set(STATUS, S_DRIVER_OK);
	set(QUEUE_RESET, 0);
	set(QUEUE_RESET, 2);
	set(QUEUE_RESET, 0xffff);
	set(0x3a, 4, 1);
	assert_int_equal(get(QUEUE_ENABLE), 1);
	for (unsigned int q = 1; q < 70000; q = q * 2 + 1) {
		set(QUEUE_SELECT, q); /* never enabled, or not there */
		set(QUEUE_RESET, 1);
		set_reg(0x1c, 2, 1);
		assert_int_equal(get(QUEUE_RESET) | get(QUEUE_ENABLE), 0);
	}
	serve(0, 1);
	assert_int_equal(m.toy->resets, 0);
}

static void test_a_queue_that_comes_back_broken_needs_a_reset(void **state)
{
	start_with(RESETTABLE);
	serve(0, 1);
	reset_queue(0);
	set(QUEUE_DESC, GUEST_RAM);
	set(QUEUE_ENABLE, 1);
	eventually(get(STATUS) & S_NEEDS_RESET);
	kick(0);
	serve(1, 1);
	reset_queue(0);
	start_with(RESETTABLE);
	serve(0, 1);
}

int __real_loop_add(struct loop *loop, struct loop_fd *source);

static _Atomic bool epoll_is_full;

int __wrap_loop_add(struct loop *loop, struct loop_fd *source)
{
	return atomic_load(&epoll_is_full) ? -ENOMEM : __real_loop_add(loop, source);
}

static void test_a_queue_that_nobody_can_wait_for_keeps_nothing(void **state)
{
	start_with(RESETTABLE);
	serve(0, 1);
	reset_queue(0);
	atomic_store(&epoll_is_full, true);
	set_up_queue(0);
	eventually(get(STATUS) & S_NEEDS_RESET);
	atomic_store(&epoll_is_full, false);
	assert_null(m.toy->dev.queues[0].flight);
	assert_true(m.toy->dev.queues[0].broken);
	serve(1, 1);
	reset_queue(0);
	start_with(RESETTABLE);
	serve(0, 1);
}

static void test_a_queue_reset_survives_pauses(void **state)
{
	start_with(RESETTABLE);
	reset_queue(0);
	device_quiesce(&m.pci->device);
	device_resume(&m.pci->device);
	set_up_queue(0);
	serve(0, 2);
	device_quiesce(&m.pci->device);
	add(0, 1);
	kick(0);
	device_resume(&m.pci->device);
	eventually(ring_completed(&m.rings[0]) == 1);
}

struct kicker {
	struct thread thread;
	_Atomic bool end;
};

static void kicker_run(struct thread *thread)
{
	struct kicker *k = container_of(thread, struct kicker, thread);

	while (!atomic_load(&k->end)) {
		kick(0);
		kick(1);
		(void)hv_fake_doorbell(m.f.vm, doorbell(0), false);
		(void)bus_read(m.f.mmio, m.isr, 1);
	}
}

static void test_queue_resets_race_with_notifications(void **state)
{
	struct kicker k = {.thread = {.name = "vcpu1", .run = kicker_run}};

	start_with(RESETTABLE);
	assert_ok(thread_start(&k.thread));
	for (unsigned int i = 0; i < 300; i++) {
		add(0, 3);
		if (i % 3)
			eventually(ring_completed(&m.rings[0]) == 3);
		reset_queue(0);
		set_up_queue(0);
		if (!(i % 50)) {
			reset_by_driver();
			start_with(RESETTABLE);
		}
	}
	atomic_store(&k.end, true);
	thread_join(&k.thread);
	serve(0, 3);
}

/* ---- Vectors ---- */

static void mask_vector(unsigned int vector, bool masked)
{
	bus_write(m.f.mmio, WINDOW + vector * 16ull + 12, 4, masked);
}

static void test_a_queues_vector_follows_its_mask_and_message(void **state)
{
	for (unsigned int failing = 0; failing < 2; failing++) {
		hv_fake_clear_messages(m.f.vm);
		enable_msix();
		if (failing)
			hv_fake_fail_next(m.f.vm, HV_FAKE_IRQFD_CREATE, ENOSPC);
		start();
		serve(0, 1);
		eventually(count_messages(0x41) == 1);
		serve(0, 1);
		eventually(count_messages(0x41) == 2);
		mask_vector(1, true);
		serve(0, 3);
		serve(1, 1);
		eventually(count_messages(0x42) == 1);
		assert_int_equal(count_messages(0x41), 2);
		eventually(bus_read(m.f.mmio, WINDOW + 0x1000, 8) == 2); /* pending */
		bus_write(m.f.mmio, WINDOW + 16 + 8, 4, 0x77);
		mask_vector(1, false);
		eventually(count_messages(0x77) == 1);
		assert_int_equal(bus_read(m.f.mmio, WINDOW + 0x1000, 8), 0);
		bus_write(m.f.mmio, WINDOW + 16 + 8, 4, 0x78); /* not masked */
		serve(0, 1);
		eventually(count_messages(0x78) == 1);
		assert_int_equal(count_messages(0x41), 2);
		set(STATUS, 0);
		device_reset(&m.pci->device);
		cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TESTS(test_every_format_is_served),
		MACHINE_TESTS(test_a_broken_packed_ring_needs_a_reset),
		MACHINE_TESTS(test_packed_rings_are_validated_as_a_whole),
		MACHINE_TESTS(test_excluded_features_are_not_offered),
		MACHINE_TESTS(test_a_queue_that_was_reset_can_be_set_up_anew),
		MACHINE_TESTS(test_a_queue_reset_waits_for_what_is_in_flight_and_no_vcpu_does),
		MACHINE_TESTS(test_a_queue_of_every_format_is_reset_with_requests_in_flight),
		MACHINE_TESTS(test_a_device_reset_does_not_wait_for_a_queue_reset),
		MACHINE_TESTS(test_queue_resets_that_mean_nothing),
		MACHINE_TESTS(test_a_queue_that_comes_back_broken_needs_a_reset),
		MACHINE_TESTS(test_a_queue_that_nobody_can_wait_for_keeps_nothing),
		MACHINE_TESTS(test_a_queue_reset_survives_pauses),
		MACHINE_TESTS(test_queue_resets_race_with_notifications),
		MACHINE_TESTS(test_a_queues_vector_follows_its_mask_and_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
