/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O APIC and the local APIC with nonsense: every register with every mode, in every width,
 * level-triggered pins that nobody acknowledges, end-of-interrupt messages without an interrupt.
 * Afterwards the serial port's interrupt must arrive by a pin that is set up properly.
 */
#include "arch/x86_64/layout.h"
#include "guest.h"

#define PINS         24
#define VECTOR       0x41
#define VECTOR_OTHER 0x42
#define NMI          2
#define MODE_SMI     0x200
#define MODE_INIT    0x500
#define MASKED       (1U << 16)
#define LEVEL        (1U << 15)
#define LOW          (1U << 13)

static volatile unsigned int seen;
static volatile unsigned int levels_seen;

static void on_serial(struct interrupt_frame *frame)
{
	seen++;
	inb(X86_PORT_COM1 + 2);
	apic_eoi();
}

static void ignore(struct interrupt_frame *frame)
{
	if (frame->vector != NMI)
		apic_eoi();
}

static void set(unsigned int reg, uint32_t value)
{
	mmio_write32(X86_IOAPIC_BASE, reg);
	mmio_write32(X86_IOAPIC_BASE + 0x10, value);
}

static uint32_t get(unsigned int reg)
{
	mmio_write32(X86_IOAPIC_BASE, reg);
	return mmio_read32(X86_IOAPIC_BASE + 0x10);
}

/* An edge of the serial line: its transmitter is empty when the interrupt is enabled. */
static void pulse(void)
{
	outb(X86_PORT_COM1 + 1, 0);
	outb(X86_PORT_COM1 + 1, 2);
}

static void every_mode(void)
{
	for (uint32_t low = 0; low < 0x20000; low += 0x100) {
		/* These end the program as they should: there is no code for SMM. */
		if ((low & 0x700) == MODE_INIT || (low & 0x700) == MODE_SMI)
			continue;
		set(0x11 + 2 * X86_GSI_COM1, low * 0x9e3779b1);
		set(0x10 + 2 * X86_GSI_COM1, low | 0x30);
		pulse();
	}
	/* Vectors that no interrupt may have, and to processors that are not there. */
	for (uint32_t vector = 0; vector < 32; vector++) {
		set(0x11 + 2 * X86_GSI_COM1, vector << 24);
		set(0x10 + 2 * X86_GSI_COM1, vector);
		pulse();
	}
	set(0x10 + 2 * X86_GSI_COM1, MASKED);
}

static void every_register(void)
{
	for (unsigned int reg = 0; reg < 256; reg++) {
		uint32_t value = reg >= 0x10 && reg < 0x10 + 2 * PINS ? MASKED : 0xffffffff;

		set(reg, value);
		get(reg);
	}
	expect((get(1) >> 16 & 0xff) == PINS - 1);
	expect(get(0xff) == 0 || get(0xff) == 0xffffffff);
}

static void every_width(void)
{
	for (unsigned int offset = 0; offset < 0x60; offset++) {
		uint64_t at = X86_IOAPIC_BASE + offset;

		mmio_write32(X86_IOAPIC_BASE, 0); /* the identifier */
		mmio_read8(at);
		mmio_read16(at);
		mmio_read64(at);
		mmio_write8(at, 0x3f);
		mmio_write16(at, 0x3f3f);
		mmio_write64(at, 0x3f3f3f3f3f3f3f3f);
	}
}

static void set_all(uint32_t low)
{
	for (unsigned int pin = 0; pin < PINS; pin++) {
		set(0x11 + 2 * pin, 0);
		set(0x10 + 2 * pin, low);
	}
}

/* A level that stays would come again for ever: after some times all pins are masked. */
static void on_level(struct interrupt_frame *frame)
{
	if (++levels_seen % 8 == 0)
		set_all(MASKED);
	apic_eoi();
}

/* Levels that nobody takes away, of either polarity, with acknowledgements of our own making. */
static void levels(void)
{
	interrupt_handle(VECTOR_OTHER, on_level);
	for (unsigned int i = 0; i < 50; i++) {
		set_all(VECTOR_OTHER | LEVEL | (i & 1 ? LOW : 0));
		interrupts_on();
		pause();
		interrupts_off();
		mmio_write32(X86_IOAPIC_BASE + 0x40, VECTOR_OTHER);
		mmio_write32(X86_IOAPIC_BASE + 0x40, i);
	}
	set_all(MASKED);
	interrupts_on();
	for (unsigned int i = 0; i < 100; i++)
		pause();
	interrupts_off();
	for (unsigned int i = 0; i < 300; i++)
		apic_eoi();
}

static void messages(void)
{
	static const uint32_t commands[] = {
		0x40600, 0x44700, 0x000c4300, 0x00080030, 0x40030, 0x000c0030, 0x4c630};

	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		apic_send(0x1234, commands[i] & ~0xc0000U);
		apic_send(0xfe, (commands[i] & ~0xc0000U) | 0x800);
	}
}

static void works(void)
{
	seen = 0;
	interrupt_handle(VECTOR, on_serial);
	ioapic_route(X86_GSI_COM1, VECTOR);
	pulse();
	for (unsigned int i = 0; !seen && i < 1000000; i++) {
		interrupts_on();
		pause();
		interrupts_off();
	}
	outb(X86_PORT_COM1 + 1, 0);
	expect(seen);
}

void guest_main(void)
{
	for (unsigned int vector = 16; vector < 256; vector++)
		interrupt_handle((uint8_t)vector, ignore);
	interrupt_handle(NMI, ignore);
	apic_enable();
	every_register();
	every_width();
	print("registers: done\n");
	every_mode();
	messages();
	print("modes: done\n");
	levels();
	print("levels: done\n");
	works();
	pass();
}
