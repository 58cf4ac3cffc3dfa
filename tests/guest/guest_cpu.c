/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts, APICs and processors of the guest programs. Intel SDM Vol. 3, chapters 6, 9 and 11.
 */
#include <stdatomic.h>

#include "arch/x86_64/layout.h"
#include "guest_internal.h"

#define MSR_APIC_BASE    0x1b
#define MSR_X2APIC       0x800

#define APIC_ID          0x02
#define APIC_EOI         0x0b
#define APIC_SPURIOUS    0x0f
#define APIC_COMMAND     0x30
#define APIC_COMMAND_HI  0x31
#define APIC_TIMER       0x32
#define APIC_TIMER_COUNT 0x38
#define APIC_TIMER_LEFT  0x39
#define APIC_TIMER_DIV   0x3e

/* To all but the sender. */
#define APIC_COMMAND_INIT    0xc4500U
#define APIC_COMMAND_STARTUP 0xc4600U

struct idt_gate {
	uint16_t offset_lo;
	uint16_t selector;
	uint16_t type;
	uint16_t offset_mid;
	uint32_t offset_hi;
	uint32_t reserved;
};

extern const uint8_t interrupt_entries[];
extern const uint8_t trampoline[];
extern const uint8_t trampoline_end[];

static struct idt_gate idt[256];
static void (*handlers[256])(struct interrupt_frame *frame);
static bool x2apic;
static void (*ap_main)(unsigned int number);
static atomic_uint ap_count;

void interrupts_init(void)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint64_t entry = (uint64_t)interrupt_entries + (uint64_t)i * 16;

		idt[i] = (struct idt_gate){
			.offset_lo = (uint16_t)entry,
			.selector = GUEST_CODE64_SELECTOR,
			.type = 0x8e00,
			.offset_mid = (uint16_t)(entry >> 16),
			.offset_hi = (uint32_t)(entry >> 32),
		};
	}
	interrupts_load();
}

void interrupts_load(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void interrupt_handle(uint8_t vector, void (*handler)(struct interrupt_frame *frame))
{
	handlers[vector] = handler;
}

void guest_interrupt(struct interrupt_frame *frame)
{
	uint64_t cr2;

	if (handlers[frame->vector]) {
		handlers[frame->vector](frame);
		return;
	}
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	fail("interrupt %lu, error code 0x%lx, rip 0x%lx, cr2 0x%lx", frame->vector,
		frame->error_code, frame->rip, cr2);
}

static uint32_t apic_read(unsigned int reg)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + reg)
		      : mmio_read32(X86_LOCAL_APIC_BASE + reg * 16);
}

static void apic_write(unsigned int reg, uint32_t value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + reg, value);
	else
		mmio_write32(X86_LOCAL_APIC_BASE + reg * 16, value);
}

void apic_enable(void)
{
	x2apic = cpuid(1, 0).ecx & 1U << 21;
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1U << 11 | (x2apic ? 1U << 10 : 0));
	apic_write(APIC_SPURIOUS, 0x1ff);
}

uint32_t apic_id(void)
{
	return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_send(uint32_t destination, uint32_t command)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC + APIC_COMMAND, (uint64_t)destination << 32 | command);
		return;
	}
	apic_write(APIC_COMMAND_HI, destination << 24);
	apic_write(APIC_COMMAND, command);
}

void apic_timer(uint8_t vector, uint32_t count)
{
	apic_write(APIC_TIMER_DIV, 0xb);
	apic_write(APIC_TIMER, vector);
	apic_write(APIC_TIMER_COUNT, count);
}

uint32_t apic_timer_left(void)
{
	return apic_read(APIC_TIMER_LEFT);
}

void ioapic_route(unsigned int pin, uint8_t vector)
{
	mmio_write32(X86_IOAPIC_BASE, 0x11 + 2 * pin);
	mmio_write32(X86_IOAPIC_BASE + 0x10, 0);
	mmio_write32(X86_IOAPIC_BASE, 0x10 + 2 * pin);
	mmio_write32(X86_IOAPIC_BASE + 0x10, vector);
}

void guest_ap_start(unsigned int number)
{
	interrupts_load();
	apic_enable();
	atomic_fetch_add(&ap_count, 1);
	ap_main(number);
}

void smp_start(unsigned int n, void (*main)(unsigned int number))
{
	if (!n)
		return;
	expect(n <= GUEST_AP_MAX);
	ap_main = main;
	memcpy((void *)(uintptr_t)GUEST_TRAMPOLINE, trampoline,
		(size_t)(trampoline_end - trampoline));
	apic_send(0, APIC_COMMAND_INIT);
	apic_send(0, APIC_COMMAND_STARTUP | GUEST_TRAMPOLINE >> 12);
	apic_send(0, APIC_COMMAND_STARTUP | GUEST_TRAMPOLINE >> 12);
	for (uint64_t i = 0; atomic_load(&ap_count) < n; i++) {
		if (i == 1ULL << 30)
			fail("%u of %u processors came", atomic_load(&ap_count), n);
		pause();
	}
}
