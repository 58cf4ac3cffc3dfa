/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's own ports with values that mean nothing: the serial port's registers in all widths
 * and by string instructions, the keyboard controller's commands, and what is near to a power-off
 * or a reset without being one. The serial port must speak again after each.
 */
#include "arch/x86_64/layout.h"
#include "guest.h"

#define COM1_REGISTERS 8
#define MCR_LOOPBACK   0x10

static uint8_t buffer[4096];

static void serial_sane(void)
{
	outb(X86_PORT_COM1 + 3, 0x03);
	outb(X86_PORT_COM1 + 1, 0);
	outb(X86_PORT_COM1 + 2, 0x07);
	outb(X86_PORT_COM1 + 4, 0x03);
}

static void rep_out(uint16_t port, unsigned int width, uint64_t n)
{
	const void *p = buffer;

	if (width == 1)
		__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(port) : "memory");
	else if (width == 2)
		__asm__ volatile("rep outsw" : "+S"(p), "+c"(n) : "d"(port) : "memory");
	else
		__asm__ volatile("rep outsl" : "+S"(p), "+c"(n) : "d"(port) : "memory");
}

static void rep_in(uint16_t port, unsigned int width, uint64_t n)
{
	void *p = buffer;

	if (width == 1)
		__asm__ volatile("rep insb" : "+D"(p), "+c"(n) : "d"(port) : "memory");
	else if (width == 2)
		__asm__ volatile("rep insw" : "+D"(p), "+c"(n) : "d"(port) : "memory");
	else
		__asm__ volatile("rep insl" : "+D"(p), "+c"(n) : "d"(port) : "memory");
}

/* In loopback, so that the text stays here; interrupts are off in the processor. */
static void serial_registers(void)
{
	for (unsigned int value = 0; value < 256; value++) {
		outb(X86_PORT_COM1 + 4, MCR_LOOPBACK);
		for (unsigned int i = 0; i < COM1_REGISTERS; i++) {
			if (i == 4)
				continue;
			outb((uint16_t)(X86_PORT_COM1 + i), (uint8_t)value);
			inb((uint16_t)(X86_PORT_COM1 + i));
		}
		serial_sane();
	}
	outb(X86_PORT_COM1 + 4, MCR_LOOPBACK);
	for (unsigned int i = 0; i < COM1_REGISTERS; i++) {
		uint16_t port = (uint16_t)(X86_PORT_COM1 - 3 + i);

		inw(port);
		inl(port);
		rep_in(port, 1, 100);
		rep_in(port, 2, 100);
		rep_in(port, 4, 100);
	}
	/* More than the FIFO holds. */
	rep_out(X86_PORT_COM1, 1, sizeof(buffer));
	rep_in(X86_PORT_COM1, 1, sizeof(buffer));
	serial_sane();
	print("serial: done\n");
}

/* All commands of the keyboard controller and all data, but those that pulse the reset line: an
 * even 0xf0-0xff, and 0xd1 followed by an even output port. */
static void keyboard(void)
{
	for (unsigned int command = 0; command < 256; command++) {
		if ((command >= 0xf0 && !(command & 1)) || command == 0xd1)
			continue;
		outb(X86_PORT_I8042_COMMAND, (uint8_t)command);
		for (unsigned int data = 1; data < 256; data += 2)
			outb(X86_PORT_I8042_DATA, (uint8_t)data);
		inb(X86_PORT_I8042_DATA);
		inb(X86_PORT_I8042_COMMAND);
	}
	outw(X86_PORT_I8042_DATA, 0xffff);
	inl(X86_PORT_I8042_DATA);
	rep_in(X86_PORT_I8042_DATA, 1, 100);
	rep_in(X86_PORT_I8042_COMMAND, 4, 100);
	print("keyboard: done\n");
}

/* Sleep types other than S5, no enable bit; resets without the rising bit or the value. */
static void nearly_the_end(void)
{
	for (unsigned int value = 0; value < 256; value++) {
		bool is_s5 = (value & 0x20) && (value >> 2 & 7) == 5;

		if (!is_s5)
			outb(X86_PORT_SLEEP_CONTROL, (uint8_t)value);
		if (value != X86_RESET_VALUE)
			outb(X86_PORT_RESET, (uint8_t)value);
		if (!(value & 4))
			outb(X86_PORT_RESET_CONTROL, (uint8_t)value);
	}
	for (unsigned int port = X86_PORT_SLEEP_STATUS; port < X86_PORT_GED + 8; port++) {
		if (port == X86_PORT_RESET)
			continue;
		outb((uint16_t)port, 0xff);
		rep_in((uint16_t)port, 1, 64);
		rep_in((uint16_t)port, 2, 64);
		rep_in((uint16_t)port, 4, 64);
	}
	print("sleep and reset: done\n");
}

void guest_main(void)
{
	serial_registers();
	keyboard();
	nearly_the_end();
	pass();
}
