/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC's timer wakes a halted processor, in one-shot mode and, where there is one, by TSC
 * deadline.
 */
#include "guest.h"

#define VECTOR           0x40
#define ROUNDS           10
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_TIMER 0x832
#define TIMER_DEADLINE   (2U << 17)

static volatile unsigned int ticks;

static void tick(struct interrupt_frame *frame)
{
	ticks++;
	apic_eoi();
}

static void wait_for(unsigned int n)
{
	while (ticks < n)
		interrupt_wait();
	expect(ticks == n);
}

static void test_deadline(void)
{
	struct cpuid features = cpuid(1, 0);

	if (!(features.ecx & 1U << 24) || !(features.ecx & 1U << 21)) {
		print("no TSC deadline timer\n");
		return;
	}
	wrmsr(MSR_X2APIC_TIMER, VECTOR | TIMER_DEADLINE);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		uint64_t deadline = rdtsc() + 1000000;

		wrmsr(MSR_TSC_DEADLINE, deadline);
		wait_for(ROUNDS + i);
		expect(rdtsc() >= deadline);
		expect(rdmsr(MSR_TSC_DEADLINE) == 0);
	}
	print("TSC deadline timer: %u interrupts\n", ROUNDS);
}

void guest_main(void)
{
	apic_enable();
	interrupt_handle(VECTOR, tick);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		apic_timer(VECTOR, 100000);
		wait_for(i);
		expect(apic_timer_left() == 0);
	}
	print("one-shot timer: %u interrupts\n", ROUNDS);
	test_deadline();
	pass();
}
