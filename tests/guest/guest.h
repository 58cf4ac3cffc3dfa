/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library for programs that run in a virtual machine without an operating system, one for each
 * feature under test. A program defines guest_main(); it talks on COM1, and ends with pass(), with
 * fail(), or by what it is there to test. It runs in 64-bit mode, ring 0, interrupts off, with the
 * first 4 GiB mapped one to one, and uses general registers only.
 *
 * The harness reads lines: the last is "PASS" or "FAIL: why", then the machine powers off.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_layout.h"

#define noreturn __attribute__((noreturn))

void guest_main(void);

/* How the program was loaded (GUEST_BOOT_*), and its command line ("" without one). */
unsigned int guest_boot_kind(void);
const char *guest_cmdline(void);
/* Where the loader left its parameters: boot_params, or PVH's start information. */
uint64_t guest_boot_info(void);
/* The number after "name=" on the command line, or `otherwise`. */
unsigned int guest_option(const char *name, unsigned int otherwise);
/* true if the word is on the command line. */
bool guest_has_word(const char *word);

/* Text on COM1. Formats: %s %c %d %u %x, with l for 64 bits, and a width with zeros for %x (%08x).
 */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool serial_has_input(void);
/* With "stay" on the command line, the machine is there until somebody types. */
noreturn void pass(void);
noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define expect(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail("%s:%d: %s", __FILE_NAME__, __LINE__, #condition);                    \
	} while (0)

/* Ends: power off (ACPI sleep control), and the ways to reset. */
noreturn void power_off(void);
noreturn void reset_acpi(void);
noreturn void reset_control(void);
noreturn void reset_keyboard(void);
noreturn void triple_fault(void);

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo;
	uint32_t hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo;
	uint32_t hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t index)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(index));
	return r;
}

/* MMIO by an instruction of exactly that width. */
#define GUEST_MMIO(bits)                                                                           \
	static inline uint##bits##_t mmio_read##bits(uint64_t gpa)                                 \
	{                                                                                          \
		uint##bits##_t value;                                                              \
		__asm__ volatile("mov %1, %0"                                                      \
				 : "=r"(value)                                                     \
				 : "m"(*(volatile uint##bits##_t *)gpa)                            \
				 : "memory");                                                      \
		return value;                                                                      \
	}                                                                                          \
	static inline void mmio_write##bits(uint64_t gpa, uint##bits##_t value)                    \
	{                                                                                          \
		__asm__ volatile("mov %1, %0"                                                      \
				 : "=m"(*(volatile uint##bits##_t *)gpa)                           \
				 : "r"(value)                                                      \
				 : "memory");                                                      \
	}
GUEST_MMIO(8)
GUEST_MMIO(16)
GUEST_MMIO(32)
GUEST_MMIO(64)
#undef GUEST_MMIO

/* Interrupts. A vector without a handler ends the program with fail(). */
struct interrupt_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error_code, rip, cs, rflags, rsp, ss;
};

void interrupt_handle(uint8_t vector, void (*handler)(struct interrupt_frame *frame));

static inline void interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Sleeps until an interrupt; with interrupts off before and after. */
static inline void interrupt_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* The local APIC of the processor that calls: x2APIC mode where there is one. */
void apic_enable(void);
uint32_t apic_id(void);
void apic_eoi(void);
/* Low half of the interrupt command, to one processor. */
void apic_send(uint32_t destination, uint32_t command);
/* An interrupt after `count` ticks of the timer (divided by 1). */
void apic_timer(uint8_t vector, uint32_t count);
uint32_t apic_timer_left(void);

/* Routes a pin of the I/O APIC to processor 0, edge-triggered. */
void ioapic_route(unsigned int pin, uint8_t vector);

/*
 * Starts all other processors: each runs `main`(number from 0) with its local APIC on and
 * interrupts off, and halts when it returns. Waits until `n` have come, or fails.
 */
void smp_start(unsigned int n, void (*main)(unsigned int number));

/* PCI configuration space, by ports and by memory (ECAM). */
uint32_t pci_read(
	unsigned int bus, unsigned int device, unsigned int function, unsigned int offset);
void pci_write(unsigned int bus, unsigned int device, unsigned int function, unsigned int offset,
	uint32_t value);
uint64_t pci_ecam(
	unsigned int bus, unsigned int device, unsigned int function, unsigned int offset);
