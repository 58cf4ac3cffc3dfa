/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of the processor with values that they do not take: all model-specific registers of the
 * usual ranges, control registers, XCR0, debug registers. Each write is done or faults; the machine
 * lives on.
 */
#include "guest.h"

#define DEBUG              1
#define GENERAL_PROTECTION 13
#define INVALID_OPCODE     6

static volatile unsigned int faults;

/* The instruction's length is in r8. */
static void skip(struct interrupt_frame *frame)
{
	faults++;
	frame->rip += frame->r8;
}

static uint64_t read_msr(uint32_t msr)
{
	register uint64_t length __asm__("r8") = 2;
	uint32_t lo = 0;
	uint32_t hi = 0;

	__asm__ volatile("rdmsr" : "+a"(lo), "+d"(hi) : "c"(msr), "r"(length) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static void write_msr(uint32_t msr, uint64_t value)
{
	register uint64_t length __asm__("r8") = 2;

	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "r"(length)
			 : "memory");
}

/* What ends or blinds this program by design: the local APIC's commands and its base, EFER. */
static bool is_left_out(uint32_t msr)
{
	return msr == 0x1b || (msr >= 0x800 && msr < 0x840) || msr == 0xc0000080;
}

static void sweep_msrs(uint32_t first, uint32_t n)
{
	static const uint64_t values[] = {
		0, ~0ULL, 1, 0x8000000000000000, 0xfffffffffffff001, 0xfee00001};

	for (uint32_t msr = first; msr < first + n; msr++) {
		unsigned int before = faults;
		uint64_t old = read_msr(msr);

		if (is_left_out(msr))
			continue;
		/* Those that cannot be read: one value is enough. */
		for (unsigned int i = 0; i < (faults > before ? 1 : 6); i++)
			write_msr(msr, values[i]);
		if (faults == before)
			write_msr(msr, old);
	}
	print("msr %08x: done\n", first);
}

#define CONTROL(reg)                                                                               \
	static void write_##reg(uint64_t value)                                                    \
	{                                                                                          \
		register uint64_t length __asm__("r8") = 3;                                        \
		__asm__ volatile("mov %0, %%" #reg : : "a"(value), "r"(length) : "memory");        \
	}                                                                                          \
	static uint64_t read_##reg(void)                                                           \
	{                                                                                          \
		uint64_t value;                                                                    \
		__asm__ volatile("mov %%" #reg ", %0" : "=a"(value));                              \
		return value;                                                                      \
	}
CONTROL(cr0)
CONTROL(cr3)
CONTROL(cr4)
CONTROL(dr7)

static void xsetbv(uint32_t index, uint64_t value)
{
	register uint64_t length __asm__("r8") = 3;

	__asm__ volatile(
		".byte 0x0f, 0x01, 0xd1"
		:
		: "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "r"(length)
		: "memory");
}

static void control_registers(void)
{
	uint64_t cr0 = read_cr0();
	uint64_t cr4 = read_cr4();
	uint64_t cr3 = read_cr3();
	uint64_t dr7 = read_dr7();

	/* One bit each, but for PG and PE, PAE, and LA57, which may not change here. CR3 is left
	 * alone: an emulated host's processor takes any value, and cannot enter the guest. */
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (bit != 0 && bit != 31)
			write_cr0(cr0 ^ 1ULL << bit);
		write_cr0(cr0);
		if (bit != 5 && bit != 12)
			write_cr4(cr4 ^ 1ULL << bit);
		write_cr4(cr4);
		write_cr3(cr3);
		write_dr7(dr7 ^ 1ULL << bit);
		write_dr7(dr7);
	}
	write_cr4(cr4 | 1U << 18);
	for (unsigned int bit = 0; bit < 64; bit++)
		xsetbv(bit & 7, 1ULL << bit);
	xsetbv(0, ~0ULL);
	xsetbv(0, 0);
	write_cr4(cr4);
	print("control registers: done\n");
}

void guest_main(void)
{
	/* DR7.GD makes the next access of a debug register fault, once. */
	interrupt_handle(DEBUG, skip);
	interrupt_handle(GENERAL_PROTECTION, skip);
	interrupt_handle(INVALID_OPCODE, skip);
	control_registers();
	sweep_msrs(0, 0x1000);
	sweep_msrs(0x40000000, 0x200);
	sweep_msrs(0x4b564cf8, 0x20);
	sweep_msrs(0xc0000000, 0x200);
	sweep_msrs(0xc0010000, 0x200);
	sweep_msrs(0xfffffff0, 8);
	expect(faults > 1000);
	pass();
}
