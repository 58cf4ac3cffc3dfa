/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device with a thread for each of its two queues: what one of them is at does not touch the
 * other, and what is the device's waits for both. The test is a vCPU.
 */
#include "pci_device.h"

#include <errno.h>

#include "base/thread.h"

/* Queue 0's thread does not come to an end with its first request; queue 1's works. */
static void start_with_one_thread_held(unsigned int n)
{
	start_with(VIRTIO_F_RING_RESET);
	atomic_store(&m.toy->only_one, true);
	atomic_store(&m.toy->gated, true);
	add(0, n);
	kick(0);
	sem_wait(&m.toy->entered);
}

static void let_go(void)
{
	atomic_store(&m.toy->gated, false);
	sem_post(&m.toy->gate);
}

static void test_a_thread_that_is_busy_holds_only_its_own_queue(void **state)
{
	start_with_one_thread_held(2);
	for (unsigned int i = 0; i < 100; i++)
		serve(1, 1 + i % TOY_QUEUE_SIZE);
	assert_int_equal(ring_completed(&m.rings[0]), 0);
	let_go();
	eventually(ring_completed(&m.rings[0]) == 2);
}

static void test_a_reset_waits_for_each_thread(void **state)
{
	for (unsigned int i = 1; i <= 20; i++) {
		start_with_one_thread_held(2);
		serve(1, 1);
		set(STATUS, 0);
		eventually(m.toy->drained == 2 * i - 1); /* the other one's is at its end */
		assert_int_not_equal(get(STATUS), 0);
		assert_int_equal(m.toy->deactivations, i - 1);
		let_go();
		eventually(get(STATUS) == 0);
		assert_int_equal(m.toy->deactivations, i);
		assert_int_equal(m.toy->served, 2 * i);
	}
}

static void test_losing_the_bus_waits_for_each_thread(void **state)
{
	start_with_one_thread_held(2);
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY);
	assert_int_not_equal(get(STATUS), 0);
	let_go();
	eventually(get(STATUS) == 0);
	assert_int_equal(m.toy->served, 1);
	start();
	serve(0, 1);
	serve(1, 1);
}

struct pauser {
	struct thread thread;
	_Atomic bool done;
};

static void pauser_run(struct thread *thread)
{
	device_quiesce(&m.pci->device);
	atomic_store(&container_of(thread, struct pauser, thread)->done, true);
}

static void test_a_pause_waits_for_each_thread(void **state)
{
	struct pauser p = {.thread = {.name = "control", .run = pauser_run}};

	start_with_one_thread_held(TOY_QUEUE_SIZE);
	assert_ok(thread_start(&p.thread));
	eventually(atomic_load(&m.toy->dev.yield));
	add(1, 3);
	kick(1);
	assert_false(atomic_load(&p.done));
	let_go();
	thread_join(&p.thread);
	assert_int_equal(m.toy->served, 1);
	assert_int_equal(ring_completed(&m.rings[1]), 0);
	device_resume(&m.pci->device);
	eventually(ring_completed(&m.rings[0]) == TOY_QUEUE_SIZE);
	eventually(ring_completed(&m.rings[1]) == 3);
}

/* A driver on another vCPU, which keeps queue 1 busy. */
struct load {
	struct thread thread;
	_Atomic bool stop;
	_Atomic unsigned int rounds;
};

static void load_run(struct thread *thread)
{
	struct load *load = container_of(thread, struct load, thread);

	while (!atomic_load(&load->stop)) {
		add(1, TOY_QUEUE_SIZE);
		kick(1);
		while (ring_completed(&m.rings[1]) < TOY_QUEUE_SIZE && !atomic_load(&load->stop))
			sched_yield();
		m.rings[1].used_idx = (uint16_t)(m.rings[1].used_idx + TOY_QUEUE_SIZE);
		atomic_fetch_add(&load->rounds, 1);
	}
}

static void load_begin(struct load *load)
{
	*load = (struct load){.thread = {.name = "vcpu1", .run = load_run}};
	assert_ok(thread_start(&load->thread));
	eventually(atomic_load(&load->rounds) > 2);
}

static void load_end(struct load *load)
{
	atomic_store(&load->stop, true);
	thread_join(&load->thread);
}

static void test_a_queue_is_reset_while_the_other_runs(void **state)
{
	struct load load;

	start_with(VIRTIO_F_RING_RESET);
	load_begin(&load);
	for (unsigned int i = 0; i < 200; i++) {
		unsigned int before = atomic_load(&load.rounds);

		serve(0, 1 + i % TOY_QUEUE_SIZE);
		set(QUEUE_SELECT, 0);
		set(QUEUE_RESET, 1);
		eventually(get(QUEUE_RESET) == 0);
		eventually(atomic_load(&load.rounds) > before);
		set_up_queue(0);
	}
	load_end(&load);
	assert_int_equal(m.toy->resets, 200);
	assert_int_equal(get(STATUS) & S_NEEDS_RESET, 0);
}

static void test_pauses_and_resets_under_load(void **state)
{
	for (unsigned int i = 0; i < 50; i++) {
		struct load load;

		start();
		load_begin(&load);
		for (unsigned int k = 0; k < 5; k++) {
			unsigned int served;

			device_quiesce(&m.pci->device);
			served = atomic_load(&m.toy->served);
			kick(0);
			kick(1);
			sched_yield();
			assert_int_equal(atomic_load(&m.toy->served), served);
			device_resume(&m.pci->device);
		}
		set(STATUS, 0);
		eventually(get(STATUS) == 0);
		load_end(&load);
	}
}

static _Atomic int starts_left = -1; /* of threads, before one fails; -1: none does */

struct err *__real_thread_start(struct thread *thread);

struct err *__wrap_thread_start(struct thread *thread)
{
	if (atomic_load(&starts_left) > 0)
		atomic_fetch_sub(&starts_left, 1);
	else if (!atomic_load(&starts_left))
		return err_new(EAGAIN, "No more threads");
	return __real_thread_start(thread);
}

static void test_threads_that_cannot_all_be_started_end(void **state)
{
	for (unsigned int i = 1; i <= 20; i++) {
		(void)negotiate(VIRTIO_F_VERSION_1);
		set_up_queue(0);
		set_up_queue(1);
		add(0, 1);
		atomic_store(&starts_left, (int)(i % 2));
		set(STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
		atomic_store(&starts_left, -1);
		assert_true(get(STATUS) & S_NEEDS_RESET);
		assert_int_equal(m.toy->deactivations, 2 * i - 1);
		start();
		serve(0, 2);
		serve(1, 2);
		set(STATUS, 0);
		eventually(get(STATUS) == 0);
	}
}

static void test_both_threads_find_their_queues_broken(void **state)
{
	const struct piece outside = {GUEST_RAM, 4, RING_WRITE};

	enable_msix();
	for (unsigned int i = 1; i <= 25; i++) {
		start();
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			(void)ring_add(&m.rings[q], &outside, 1);
		kick(0);
		kick(1);
		eventually(get(STATUS) & S_NEEDS_RESET);
		eventually(count_messages(0x40) == 2 * i);
	}
	set(STATUS, 0);
	assert_int_equal(get(STATUS), 0);
	start();
	serve(0, 2);
	serve(1, 2);
}

static void test_the_configuration_changes_in_both_threads(void **state)
{
	uint64_t generation;

	start();
	generation = get(GENERATION);
	atomic_store(&m.toy->changes, true);
	add(0, TOY_QUEUE_SIZE);
	add(1, TOY_QUEUE_SIZE);
	kick(0);
	kick(1);
	eventually(m.toy->served == 2 * TOY_QUEUE_SIZE);
	assert_int_equal(get(GENERATION), (generation + 2 * TOY_QUEUE_SIZE) & 0xff);
}

static void test_a_device_with_busy_threads_can_be_freed(void **state)
{
	start();
	add(0, TOY_QUEUE_SIZE);
	add(1, TOY_QUEUE_SIZE);
	kick(0);
	kick(1);
	/* The rest is the teardown's. */
}

#define TWO(name) cmocka_unit_test_setup_teardown(name, machine_setup_two, machine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TWO(test_a_thread_that_is_busy_holds_only_its_own_queue),
		TWO(test_a_reset_waits_for_each_thread),
		TWO(test_losing_the_bus_waits_for_each_thread),
		TWO(test_a_pause_waits_for_each_thread),
		TWO(test_a_queue_is_reset_while_the_other_runs),
		TWO(test_pauses_and_resets_under_load),
		TWO(test_threads_that_cannot_all_be_started_end),
		TWO(test_both_threads_find_their_queues_broken),
		TWO(test_the_configuration_changes_in_both_threads),
		TWO(test_a_device_with_busy_threads_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
