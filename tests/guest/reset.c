/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resets the machine in the way that the command line names, each time it is started: acpi (port
 * 0x604), cf9, kbd (keyboard controller) or triple. Before that it leaves marks in what a reset
 * must clear, and looks for those that an earlier life left.
 */
#include "arch/x86_64/layout.h"
#include "guest.h"

#define MSR_SYSENTER_CS 0x174
#define MARK            0x5ca1ab1eU

/* In memory that nothing is loaded to. */
#define MARK_ADDRESS 0x40000ULL

static void look_for_marks(void)
{
	expect(mmio_read32(MARK_ADDRESS) == 0);
	expect(rdmsr(MSR_SYSENTER_CS) == 0);
	expect(inb(X86_PORT_COM1 + 7) == 0);
	expect(apic_timer_left() == 0);
}

static void leave_marks(void)
{
	mmio_write32(MARK_ADDRESS, MARK);
	wrmsr(MSR_SYSENTER_CS, MARK);
	outb(X86_PORT_COM1 + 7, 0x5a);
	apic_timer(0x40, 0xffffffff);
}

/* Another processor, in real mode, comes to where a BIOS begins (0xffff0). Memory before that is
 * empty, which runs as additions to a byte at 0. */
static void reset_by_bios(void)
{
	apic_send(0, 0xc4500);
	apic_send(0, 0xc4600 | 0xff);
	apic_send(0, 0xc4600 | 0xff);
	for (;;)
		pause();
}

void guest_main(void)
{
	print("reset guest: boot\n");
	apic_enable();
	look_for_marks();
	leave_marks();
	if (guest_has_word("acpi"))
		reset_acpi();
	if (guest_has_word("cf9"))
		reset_control();
	if (guest_has_word("kbd"))
		reset_keyboard();
	if (guest_has_word("bios"))
		reset_by_bios();
	if (guest_has_word("triple"))
		triple_fault();
	fail("no way to reset on the command line");
}
