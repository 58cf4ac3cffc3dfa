/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends badly, as the command line says: "cr3" takes its page tables from registers of a device,
 * "jump" executes there, "hole" where nothing is, "stack" has its stack there and takes an
 * exception, "sleep" and "spin" never come back.
 */
#include "arch/x86_64/layout.h"
#include "guest.h"

#define HOLE (X86_PCI_MEM32_END - 0x1000)

static void jump_to(uint64_t gpa)
{
	((void (*)(void))(uintptr_t)gpa)();
}

void guest_main(void)
{
	print("about to crash\n");
	if (guest_has_word("cr3"))
		__asm__ volatile("mov %0, %%cr3" : : "r"((uint64_t)X86_IOAPIC_BASE) : "memory");
	if (guest_has_word("jump"))
		jump_to(X86_IOAPIC_BASE);
	if (guest_has_word("hole"))
		jump_to(HOLE);
	if (guest_has_word("stack"))
		__asm__ volatile("mov %0, %%rsp; ud2" : : "r"((uint64_t)HOLE) : "memory");
	if (guest_has_word("sleep"))
		__asm__ volatile("cli; hlt");
	while (guest_has_word("spin"))
		;
	fail("still alive");
}
