/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the other processors ("cpus=N" on the command line counts the first too), and sends each
 * of them interrupts.
 */
#include <stdatomic.h>

#include "guest.h"

#define VECTOR 0x41
#define ROUNDS 20

static uint32_t ids[GUEST_AP_MAX];
static atomic_uint ready;
static atomic_uint answers;

static void answer(struct interrupt_frame *frame)
{
	apic_eoi();
	atomic_fetch_add(&answers, 1);
}

static void ap(unsigned int number)
{
	ids[number] = apic_id();
	atomic_fetch_add(&ready, 1);
	for (;;)
		interrupt_wait();
}

static void check_ids(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		print("processor %u: APIC id %u\n", i + 1, ids[i]);
		expect(ids[i] != apic_id());
		for (unsigned int j = 0; j < i; j++)
			expect(ids[i] != ids[j]);
	}
}

void guest_main(void)
{
	unsigned int n = guest_option("cpus", 1) - 1;

	apic_enable();
	interrupt_handle(VECTOR, answer);
	smp_start(n, ap);
	while (atomic_load(&ready) < n)
		pause();
	check_ids(n);
	for (unsigned int i = 0; i < n * ROUNDS; i++) {
		apic_send(ids[i % n], 1U << 14 | VECTOR);
		while (atomic_load(&answers) <= i)
			pause();
	}
	expect(atomic_load(&answers) == n * ROUNDS);
	print("%u processors, %u interrupts\n", n + 1, n * ROUNDS);
	pass();
}
