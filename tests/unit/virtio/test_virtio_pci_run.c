/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that runs behind the PCI transport: notifications, interrupts, resets at any moment,
 * pauses, and a BAR that moves. The test is a vCPU; the device has a thread of its own.
 */
#include "pci_device.h"

#include <errno.h>

#include "base/thread.h"

static uint8_t read_isr(void)
{
	return (uint8_t)bus_read(m.f.mmio, m.isr, 1);
}

static void test_requests_are_served_by_doorbell_and_by_register_write(void **state)
{
	start();
	add(0, 1);
	assert_true(hv_fake_doorbell(m.f.vm, doorbell(0), false));
	eventually(ring_completed(&m.rings[0]) == 1);
	assert_int_equal(ring_take(&m.rings[0], 0), 4);
	serve(1, 3);
	for (unsigned int i = 0; i < 1000; i++)
		serve(i % 2, 1 + i % TOY_QUEUE_SIZE);
}

static void test_without_doorbells_register_writes_do(void **state)
{
	hv_fake_fail_next(m.f.vm, HV_FAKE_IOEVENTFD, ENOSYS);
	start();
	assert_false(hv_fake_doorbell(m.f.vm, doorbell(0), false));
	assert_true(hv_fake_doorbell(m.f.vm, doorbell(1), false));
	serve(0, 5);
	serve(1, 5);
	assert_int_equal(get(STATUS) & S_NEEDS_RESET, 0);
}

static void test_what_was_there_before_driver_ok_is_served(void **state)
{
	(void)negotiate(VIRTIO_F_VERSION_1);
	set_up_queue(0);
	add(0, 2);
	kick(0); /* too early: means nothing */
	assert_int_equal(m.toy->served, 0);
	set(STATUS, S_DRIVER_OK);
	eventually(ring_completed(&m.rings[0]) == 2);
}

static void test_interrupts_by_pin_show_in_isr_until_it_is_read(void **state)
{
	start();
	assert_int_equal(read_isr(), 0);
	serve(0, 1);
	eventually(atomic_load(&m.level));
	assert_int_equal(read_isr(), 1);
	assert_false(m.level);
	assert_int_equal(read_isr(), 0);
	serve(1, 1);
	eventually(atomic_load(&m.level));
	reset_by_driver();
	assert_false(m.level);
	assert_int_equal(read_isr(), 0);
}

static void test_interrupts_by_message_go_to_the_queues_vector(void **state)
{
	enable_msix();
	start();
	serve(0, 1);
	serve(1, 1);
	eventually(count_messages(0x41) == 1 && count_messages(0x42) == 1);
	assert_int_equal(count_messages(0x40), 0);
	assert_int_equal(read_isr(), 0);
	assert_false(m.level);
}

static void test_a_queue_without_vector_interrupts_nobody(void **state)
{
	enable_msix();
	(void)negotiate(VIRTIO_F_VERSION_1);
	set(QUEUE_SELECT, 0);
	set_up_queue(0);
	reset_by_driver();
	(void)negotiate(VIRTIO_F_VERSION_1);
	set(QUEUE_DESC, m.rings[0].desc);
	set(QUEUE_DRIVER, m.rings[0].avail);
	set(QUEUE_DEVICE, m.rings[0].used);
	set(QUEUE_VECTOR, 77);
	set(QUEUE_ENABLE, 1);
	set(STATUS, S_DRIVER_OK);
	serve(0, 3);
	reset_by_driver();
	assert_int_equal(hv_fake_messages(m.f.vm, NULL, 0), 0);
}

static void test_a_change_of_the_configuration_is_a_generation_and_an_interrupt(void **state)
{
	uint64_t generation = get(GENERATION);

	start();
	enable_msix();
	atomic_store(&m.toy->changes, true);
	serve(0, 2);
	assert_int_equal(get(GENERATION), (generation + 2) & 0xff);
	assert_int_equal(count_messages(0x40), 2);
}

static void test_queues_that_are_not_enabled_are_not_served(void **state)
{
	(void)negotiate(VIRTIO_F_VERSION_1);
	set_up_queue(0);
	set(STATUS, S_DRIVER_OK);
	add(1, 1);
	kick(1);
	for (unsigned int q = TOY_QUEUES; q < 20; q++)
		kick(q);
	assert_false(hv_fake_doorbell(m.f.vm, doorbell(1), false));
	serve(0, 1);
	assert_int_equal(ring_completed(&m.rings[1]), 0);
	assert_int_equal(m.toy->served, 1);
}

static void test_bad_rings_need_a_reset_with_one_line_and_a_configuration_interrupt(void **state)
{
	static const uint64_t bad[] = {GUEST_RAM, GUEST_RAM - 16, 0x10008, UINT64_MAX & ~15ull};

	enable_msix();
	for (unsigned int i = 0; i < 40; i++) {
		(void)negotiate(VIRTIO_F_VERSION_1);
		set(CONFIG_VECTOR, 0);
		set_up_queue(0);
		set(QUEUE_SELECT, 1);
		set(QUEUE_DESC, bad[i % 4]);
		set(QUEUE_ENABLE, 1);
		set(STATUS, S_DRIVER_OK);
		assert_int_equal(
			get(STATUS) & (S_NEEDS_RESET | S_DRIVER_OK), S_NEEDS_RESET | S_DRIVER_OK);
		add(0, 1);
		kick(0);
	}
	assert_int_equal(count_messages(0x40), 40);
	assert_int_equal(m.toy->served, 0);
	assert_in_range(m.lines, 1, 20); /* not one a time */
	start();
	assert_int_equal(get(STATUS) & S_NEEDS_RESET, 0);
	serve(1, 2);
}

static void test_a_broken_queue_needs_a_reset_and_works_after_it(void **state)
{
	const struct piece outside = {GUEST_RAM, 4, RING_WRITE};
	uint8_t isr;

	for (unsigned int i = 0; i < 40; i++) {
		start();
		serve(0, 2);
		(void)read_isr();
		(void)ring_add(&m.rings[0], &outside, 1);
		kick(0);
		eventually(get(STATUS) & S_NEEDS_RESET);
		for (isr = 0; !(isr & 2);)
			isr |= read_isr();
		kick(0);
		serve(1, 1); /* the other queue goes on, for what it is worth */
	}
	assert_in_range(m.lines, 1, 20);
	reset_by_driver();
}

struct resetter {
	struct thread thread;
	_Atomic bool done;
};

static void resetter_run(struct thread *thread)
{
	set(STATUS, 0);
	atomic_store(&container_of(thread, struct resetter, thread)->done, true);
}

/* Queue 0 has `n` requests, and the device does not come to an end with the first of them. */
static void start_with_one_in_flight(unsigned int n)
{
	start();
	atomic_store(&m.toy->gated, true);
	add(0, n);
	kick(0);
	sem_wait(&m.toy->entered);
}

static void let_the_reset_end(void)
{
	atomic_store(&m.toy->gated, false);
	sem_post(&m.toy->gate);
	eventually(get(STATUS) == 0);
}

/* The driver may not see memory change after it has read status 0. */
static void test_a_reset_waits_for_the_request_in_flight_and_no_other(void **state)
{
	struct resetter r = {.thread = {.name = "vcpu1", .run = resetter_run}};

	start_with_one_in_flight(TOY_QUEUE_SIZE);
	assert_ok(thread_start(&r.thread));
	/* It cannot be done while the request is not. */
	eventually(atomic_load(&m.toy->dev.yield));
	assert_int_not_equal(get(STATUS), 0);
	sem_post(&m.toy->gate);
	thread_join(&r.thread);
	eventually(get(STATUS) == 0);
	assert_int_equal(m.toy->served, 1);
	atomic_store(&m.toy->gated, false);
	start();
	serve(0, 3);
}

static void test_vcpus_that_reset_notify_and_read_at_once_agree(void **state)
{
	for (unsigned int i = 0; i < 200; i++) {
		struct resetter r = {.thread = {.name = "vcpu1", .run = resetter_run}};

		start();
		add(0, 4);
		assert_ok(thread_start(&r.thread));
		while (!atomic_load(&r.done)) {
			kick(0);
			(void)read_isr();
			(void)get(STATUS);
			(void)hv_fake_doorbell(m.f.vm, doorbell(1), false);
		}
		thread_join(&r.thread);
		eventually(get(STATUS) == 0); /* the device's thread may be slow to end */
	}
}

/* A disk may take its time; the vCPU does not. */
static void test_a_reset_that_takes_time_is_polled_by_the_driver(void **state)
{
	start_with_one_in_flight(2);
	set(STATUS, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_not_equal(get(STATUS), 0);
		set(STATUS, 0);
		set(STATUS, S_ACK); /* is lost */
		set(CONFIG_VECTOR, 1);
		kick(0);
	}
	assert_int_equal(m.toy->deactivations, 0);
	let_the_reset_end();
	assert_int_equal(m.toy->deactivations, 1);
	assert_int_equal(m.toy->served, 1);
	assert_int_equal(get(CONFIG_VECTOR), 0xffff);
	start();
	serve(0, 3);
}

/* A reset goes on as it began, also if the machine pauses and resumes meanwhile. */
static void test_a_pause_does_not_revive_a_device_that_ends(void **state)
{
	start_with_one_in_flight(2);
	set(STATUS, 0);
	assert_int_not_equal(get(STATUS), 0);
	device_quiesce(&m.pci->device);
	device_resume(&m.pci->device);
	let_the_reset_end();
	assert_int_equal(m.toy->served, 1);
	start();
	serve(0, 3);
}

/* As a kernel does that starts another one. */
static void test_no_bus_master_no_access_to_memory(void **state)
{
	start();
	serve(0, 3);
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY);
	assert_int_equal(m.toy->deactivations, 1);
	assert_int_equal(get(STATUS), 0);
	add(0, 1);
	kick(0);
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	kick(0);
	assert_int_equal(ring_completed(&m.rings[0]), 0);
	start();
	serve(0, 3);
	/* Registers that are written as they are change nothing. */
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	serve(0, 3);
	assert_int_equal(m.toy->deactivations, 1);
}

static void test_losing_the_bus_waits_for_the_request_in_flight(void **state)
{
	start_with_one_in_flight(2);
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY);
	assert_int_not_equal(get(STATUS), 0);
	let_the_reset_end();
	assert_int_equal(m.toy->served, 1);
	start();
	serve(0, 3);
}

static void test_a_driver_that_never_is_bus_master_is_served(void **state)
{
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY);
	start();
	serve(0, 3);
}

static void test_a_machine_reset_ends_a_reset_that_takes_time(void **state)
{
	start_with_one_in_flight(2);
	set(STATUS, 0);
	assert_int_not_equal(get(STATUS), 0);
	device_quiesce(&m.pci->device); /* does not wait for the loop that has ended */
	device_resume(&m.pci->device);
	atomic_store(&m.toy->gated, false);
	sem_post(&m.toy->gate);
	device_reset(&m.pci->device);
	assert_int_equal(m.toy->deactivations, 1);
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	assert_int_equal(get(STATUS), 0);
}

static void test_a_machine_reset_is_a_reset(void **state)
{
	start();
	serve(0, 1);
	add(0, 1);
	device_reset(&m.pci->device);
	assert_int_equal(cfg_read(&m.f, 0, 4) & COMMAND_MEMORY, 0);
	assert_false(m.level);
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	assert_int_equal(get(STATUS), 0);
	assert_int_equal(get(CONFIG_VECTOR), NO_VECTOR);
	start();
	serve(0, 2);
}

static void test_a_paused_device_touches_nothing_and_forgets_nothing(void **state)
{
	device_quiesce(&m.pci->device); /* not active: nothing to do */
	device_resume(&m.pci->device);
	start();
	serve(0, 1);
	device_quiesce(&m.pci->device);
	add(0, 3);
	kick(0);
	device_quiesce(&m.pci->device);
	assert_int_equal(ring_completed(&m.rings[0]), 0);
	device_resume(&m.pci->device);
	eventually(ring_completed(&m.rings[0]) == 3);
	device_quiesce(&m.pci->device);
	add(1, 1);
	kick(1);
	assert_int_equal(m.toy->pauses, 3); /* each call reaches the device */
	assert_int_equal(m.toy->resumes, 1);
	device_reset(&m.pci->device); /* a reset ends the pause */
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	assert_int_equal(m.toy->served, 4);
	start();
	serve(1, 2);
}

static void test_a_pause_does_not_wait_for_the_whole_queue(void **state)
{
	start_with_one_in_flight(TOY_QUEUE_SIZE);
	atomic_store(&m.toy->gated, false);
	atomic_store(&m.toy->dev.yield, true); /* as quiesce does first */
	sem_post(&m.toy->gate);
	device_quiesce(&m.pci->device);
	assert_int_equal(m.toy->served, 1);
	device_resume(&m.pci->device);
	eventually(ring_completed(&m.rings[0]) == TOY_QUEUE_SIZE);
}

static void test_doorbells_follow_the_bar(void **state)
{
	start();
	cfg_write(&m.f, 0, 0x10, WINDOW + 0x100000);
	assert_false(hv_fake_doorbell(m.f.vm, doorbell(0), false));
	m.notify += 0x100000;
	m.common += 0x100000;
	add(0, 1);
	assert_true(hv_fake_doorbell(m.f.vm, doorbell(0), false));
	eventually(ring_completed(&m.rings[0]) == 1);
	m.rings[0].used_idx++;
	serve(1, 2);
	cfg_write(&m.f, 0, 4, COMMAND_MASTER);
	assert_false(hv_fake_doorbell(m.f.vm, doorbell(0), false));
	add(0, 1);
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	assert_true(hv_fake_doorbell(m.f.vm, doorbell(0), false));
	eventually(ring_completed(&m.rings[0]) == 1);
	reset_by_driver();
	assert_false(hv_fake_doorbell(m.f.vm, doorbell(0), false));
}

static void test_an_active_device_can_be_freed(void **state)
{
	start();
	atomic_store(&m.toy->gated, false);
	add(0, TOY_QUEUE_SIZE);
	kick(0);
	/* The rest is the teardown's. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TESTS(test_requests_are_served_by_doorbell_and_by_register_write),
		MACHINE_TESTS(test_without_doorbells_register_writes_do),
		MACHINE_TESTS(test_what_was_there_before_driver_ok_is_served),
		MACHINE_TESTS(test_interrupts_by_pin_show_in_isr_until_it_is_read),
		MACHINE_TESTS(test_interrupts_by_message_go_to_the_queues_vector),
		MACHINE_TESTS(test_a_queue_without_vector_interrupts_nobody),
		MACHINE_TESTS(test_a_change_of_the_configuration_is_a_generation_and_an_interrupt),
		MACHINE_TESTS(test_queues_that_are_not_enabled_are_not_served),
		MACHINE_TESTS(
			test_bad_rings_need_a_reset_with_one_line_and_a_configuration_interrupt),
		MACHINE_TESTS(test_a_broken_queue_needs_a_reset_and_works_after_it),
		MACHINE_TESTS(test_a_reset_waits_for_the_request_in_flight_and_no_other),
		MACHINE_TESTS(test_vcpus_that_reset_notify_and_read_at_once_agree),
		MACHINE_TESTS(test_a_reset_that_takes_time_is_polled_by_the_driver),
		MACHINE_TESTS(test_a_pause_does_not_revive_a_device_that_ends),
		MACHINE_TESTS(test_no_bus_master_no_access_to_memory),
		MACHINE_TESTS(test_losing_the_bus_waits_for_the_request_in_flight),
		MACHINE_TESTS(test_a_driver_that_never_is_bus_master_is_served),
		MACHINE_TESTS(test_a_machine_reset_ends_a_reset_that_takes_time),
		MACHINE_TESTS(test_a_machine_reset_is_a_reset),
		MACHINE_TESTS(test_a_paused_device_touches_nothing_and_forgets_nothing),
		MACHINE_TESTS(test_a_pause_does_not_wait_for_the_whole_queue),
		MACHINE_TESTS(test_doorbells_follow_the_bar),
		MACHINE_TESTS(test_an_active_device_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
