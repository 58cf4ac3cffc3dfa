/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions reach their handlers and return: breakpoint, invalid opcode, page fault, general
 * protection.
 */
#include "guest.h"

static volatile unsigned int seen;
static volatile uint64_t error_code;

static void breakpoint(struct interrupt_frame *frame)
{
	seen = (unsigned int)frame->vector;
}

/* The faults return behind the instruction, whose length their tests put in rcx. */
static void fault(struct interrupt_frame *frame)
{
	seen = (unsigned int)frame->vector;
	error_code = frame->error_code;
	frame->rip += frame->rcx;
}

void guest_main(void)
{
	interrupt_handle(3, breakpoint);
	interrupt_handle(6, fault);
	interrupt_handle(13, fault);
	interrupt_handle(14, fault);
	__asm__ volatile("int3");
	expect(seen == 3);
	__asm__ volatile("ud2" : : "c"(2UL) : "memory");
	expect(seen == 6);
	/* mov (%rax),%al */
	__asm__ volatile(".byte 0x8a, 0x00" : : "a"(0x8000000000UL), "c"(2UL) : "memory");
	expect(seen == 14);
	expect(error_code == 0);
	/* A selector beyond the GDT: mov %ax,%es */
	__asm__ volatile(".byte 0x8e, 0xc0" : : "a"(0xfff8UL), "c"(2UL) : "memory");
	expect(seen == 13);
	expect(error_code == 0xfff8);
	pass();
}
