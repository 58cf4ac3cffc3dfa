/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A BAR that moves, and memory decoding that is switched, while requests are in flight and vCPUs
 * notify: nothing is lost, interrupts arrive, and no doorbell stays behind.
 */
#include "pci_device.h"

#include "base/thread.h"

#define PLACES 5u

/* Where BAR 0 can be; where it is at first is place 0. */
static uint64_t place(unsigned int i)
{
	return WINDOW + i % PLACES * 0x100000ull;
}

/* The driver's addresses go with the BAR. */
static void move_to(unsigned int i)
{
	uint64_t by = place(i) - (uint32_t)(cfg_read(&m.f, 0, 0x10) & ~0xfu);

	cfg_write(&m.f, 0, 0x10, (uint32_t)place(i));
	m.common += by;
	m.isr += by;
	m.device += by;
	m.notify += by;
}

static void decode(bool on)
{
	cfg_write(&m.f, 0, 4, COMMAND_MASTER | (on ? COMMAND_MEMORY : 0));
}

static void take(unsigned int q, unsigned int n)
{
	eventually(ring_completed(&m.rings[q]) == n);
	m.rings[q].used_idx = (uint16_t)(m.rings[q].used_idx + n);
}

/* What a driver, or a kernel that finds another place for the function, does. */
static void move_somehow(unsigned int i)
{
	bool off = i % 4;
	uint64_t old = doorbell(0);

	if (off) {
		decode(false);
		assert_false(hv_fake_doorbell(m.f.vm, old, false));
		kick(0); /* reaches nobody */
	}
	if (i % 4 != 1)
		move_to(i);
	if (i % 4 == 3)
		move_to(i + 1);
	if (off)
		decode(true);
	assert_int_equal(hv_fake_doorbell(m.f.vm, old, false), doorbell(0) == old);
}

static void test_requests_in_flight_survive_a_move(void **state)
{
	enable_msix();
	start();
	for (unsigned int i = 0; i < 60; i++) {
		atomic_store(&m.toy->holds, true);
		add(0, 3);
		add(1, 2);
		kick(0);
		kick(1);
		eventually(m.toy->n_held[0] == 3 && m.toy->n_held[1] == 2);
		hv_fake_clear_messages(m.f.vm);
		move_somehow(i);
		assert_int_equal(hv_fake_messages(m.f.vm, NULL, 0), 0);
		add(0, 2);
		assert_true(hv_fake_doorbell(m.f.vm, doorbell(0), false));
		add(1, 1);
		kick(1);
		eventually(m.toy->n_held[0] == 5 && m.toy->n_held[1] == 3);
		toy_release_all();
		take(0, 5);
		take(1, 3);
		eventually(count_messages(0x41) == 1 && count_messages(0x42) == 1);
		atomic_store(&m.toy->holds, false);
		serve(i % 2, 4);
		assert_int_equal(get(STATUS) & S_NEEDS_RESET, 0);
	}
}

/* Requests that come while the registers cannot be reached are found with the next notification. */
static void test_requests_without_memory_decoding_are_found_later(void **state)
{
	enable_msix();
	start();
	for (unsigned int i = 0; i < 40; i++) {
		decode(false);
		hv_fake_clear_messages(m.f.vm);
		add(0, 1 + i % TOY_QUEUE_SIZE);
		kick(0);
		move_to(i);
		decode(true);
		kick(0);
		take(0, 1 + i % TOY_QUEUE_SIZE);
		eventually(count_messages(0x41) >= 1);
	}
}

/* ---- Two vCPUs ---- */

struct vcpu {
	struct thread thread;
	_Atomic unsigned int at; /* where it looks for the BAR */
	unsigned int rounds;     /* to do */
	_Atomic bool done;
	uint64_t first; /* the doorbells' address at place 0 */
	uint64_t added;
};

/* Rings at one place, whether the BAR is there or not. */
static void vcpu_ring(const struct vcpu *v, unsigned int at, unsigned int q)
{
	uint64_t addr = v->first + (place(at) - place(0)) + (uint64_t)q * m.stride;

	if (!hv_fake_doorbell(m.f.vm, addr, false))
		bus_write(m.f.mmio, addr, 2, q);
}

/* Has one batch after the other served, and each interrupts. */
static void vcpu_drive(struct thread *thread)
{
	struct vcpu *v = container_of(thread, struct vcpu, thread);

	for (unsigned int i = 0; i < v->rounds; i++) {
		unsigned int q = i % TOY_QUEUES;
		unsigned int n = 1 + i % TOY_QUEUE_SIZE;
		unsigned int at = 0;

		hv_fake_clear_messages(m.f.vm);
		add(q, n);
		v->added += n;
		while (ring_completed(&m.rings[q]) < n) {
			vcpu_ring(v, atomic_load(&v->at), q);
			vcpu_ring(v, at++, q);
			sched_yield();
		}
		take(q, n);
		eventually(count_messages(0x41 + q) >= 1);
	}
	atomic_store(&v->done, true);
}

static void test_the_bar_moves_while_another_vcpu_drives_the_device(void **state)
{
	struct vcpu v = {.thread = {.name = "vcpu1", .run = vcpu_drive}, .rounds = 400};

	enable_msix();
	start();
	v.first = m.notify;
	assert_ok(thread_start(&v.thread));
	for (unsigned int i = 0; !atomic_load(&v.done); i++) {
		if (i % 3 == 1)
			decode(false);
		move_to(i * 7);
		atomic_store(&v.at, i * 7);
		if (i % 3 == 2)
			decode(true);
		(void)bus_read(m.f.mmio, m.isr, 1);
		sched_yield();
	}
	decode(true);
	thread_join(&v.thread);
	assert_int_equal(m.toy->served, v.added);
	assert_int_equal(get(STATUS) & S_NEEDS_RESET, 0);
	serve(0, 3);
	serve(1, 3);
}

static void vcpu_ring_everywhere(struct thread *thread)
{
	struct vcpu *v = container_of(thread, struct vcpu, thread);

	for (unsigned int i = 0; !atomic_load(&v->done); i++)
		vcpu_ring(v, i, i % 3);
}

/* The queues end while their doorbells move and ring. */
static void test_resets_race_with_moves_and_doorbells(void **state)
{
	struct vcpu v = {.thread = {.name = "vcpu1", .run = vcpu_ring_everywhere}};

	v.first = m.notify;
	assert_ok(thread_start(&v.thread));
	for (unsigned int i = 0; i < 200; i++) {
		start();
		add(0, 4);
		add(1, 4);
		move_to(i);
		if (i % 2)
			reset_by_driver();
		else
			cfg_write(&m.f, 0, 4, COMMAND_MEMORY); /* loses the bus */
		move_to(i + 1);
		decode(false);
		decode(true);
		while (get(STATUS))
			sched_yield();
		for (unsigned int at = 0; at < PLACES; at++)
			assert_false(
				hv_fake_doorbell(m.f.vm, v.first + (place(at) - place(0)), false));
	}
	atomic_store(&v.done, true);
	thread_join(&v.thread);
	start();
	serve(0, 3);
	serve(1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TESTS(test_requests_in_flight_survive_a_move),
		MACHINE_TESTS(test_requests_without_memory_decoding_are_found_later),
		MACHINE_TESTS(test_the_bar_moves_while_another_vcpu_drives_the_device),
		MACHINE_TESTS(test_resets_race_with_moves_and_doorbells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
