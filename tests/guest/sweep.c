/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Touches what nobody should: every port up to 0x1000 and some beyond, in all widths, and addresses
 * where there is no memory, at odd offsets and over the ends of regions. The machine has to live
 * on. "ports" or "memory" on the command line limits it to that.
 */
#include "arch/x86_64/layout.h"
#include "guest.h"

/* Ports that end the program or its console when they are written. */
static bool is_dangerous(uint32_t port)
{
	static const uint16_t ports[] = {X86_PORT_I8042_DATA, X86_PORT_I8042_COMMAND,
		X86_PORT_SLEEP_CONTROL, X86_PORT_RESET, X86_PORT_RESET_CONTROL};

	/* A write of up to 4 bytes reaches the 3 ports before it too. */
	for (unsigned int i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (port + 3 >= ports[i] && port <= ports[i])
			return true;
	return (port + 3 >= X86_PORT_COM1 && port < X86_PORT_COM1 + 8) ||
	       (port + 3 >= X86_PORT_PCI_ADDRESS && port < X86_PORT_PCI_DATA + 4);
}

static void touch_port(uint16_t port)
{
	inb(port);
	inw(port);
	inl(port);
	if (is_dangerous(port))
		return;
	outb(port, 0xa5);
	outw(port, 0xa5a5);
	outl(port, 0xa5a5a5a5);
}

static void string_io(uint16_t port)
{
	static uint8_t buf[64];
	void *p = buf;
	uint64_t n = sizeof(buf);

	__asm__ volatile("rep insb" : "+D"(p), "+c"(n) : "d"(port) : "memory");
	p = buf;
	n = sizeof(buf) / 4;
	__asm__ volatile("rep insl" : "+D"(p), "+c"(n) : "d"(port) : "memory");
	if (is_dangerous(port))
		return;
	p = buf;
	n = sizeof(buf);
	__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(port) : "memory");
}

static void sweep_ports(void)
{
	for (uint32_t port = 0; port < 0x1000; port++)
		touch_port((uint16_t)port);
	for (uint32_t port = 0x1000; port <= 0xffff; port += 97)
		touch_port((uint16_t)port);
	for (uint32_t port = 0xfff8; port <= 0xffff; port++)
		touch_port((uint16_t)port);
	for (uint32_t port = 0; port < 0x1000; port += 61)
		string_io((uint16_t)port);
	/* An unknown port reads as ones. */
	expect(inb(0xe9f) == 0xff);
	expect(inw(0xe9e) == 0xffff);
	expect(inl(0xe9c) == 0xffffffff);
	print("ports: done\n");
}

static void touch_memory(uint64_t gpa)
{
	mmio_read8(gpa);
	mmio_read16(gpa);
	mmio_read32(gpa);
	mmio_read64(gpa);
	mmio_write8(gpa, 0xa5);
	mmio_write16(gpa, 0xa5a5);
	mmio_write32(gpa, 0xa5a5a5a5);
	mmio_write64(gpa, 0xa5a5a5a5a5a5a5a5);
}

static void sweep_memory(void)
{
	/* Where nothing is by default: below and above the I/O APIC, the end of the 32-bit space.
	 */
	static const uint32_t holes[] = {X86_PCI_MEM32_END - 0x1000, X86_IOAPIC_BASE - 0x1000,
		X86_IOAPIC_BASE + X86_IOAPIC_SIZE, 0xff000000};

	for (unsigned int i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		expect(mmio_read32(holes[i]) == 0xffffffff);
		for (unsigned int offset = 0; offset < 24; offset++)
			touch_memory(holes[i] + offset);
	}
	/* Over the end into the I/O APIC, inside it at each offset, and out of it. */
	for (unsigned int offset = 0; offset < 64; offset++)
		touch_memory(X86_IOAPIC_BASE - 8 + offset);
	for (unsigned int offset = 1; offset < 8; offset++)
		touch_memory(X86_IOAPIC_BASE + X86_IOAPIC_SIZE - offset);
	/* Configuration space of functions that are not there. */
	for (unsigned int offset = 0; offset < 32; offset++)
		touch_memory(pci_ecam(0, 31, 7, 0) + offset);
	touch_memory(X86_ECAM_BASE + X86_ECAM_SIZE - 4);
	print("memory: done\n");
}

void guest_main(void)
{
	bool all = !guest_has_word("ports") && !guest_has_word("memory");

	if (all || guest_has_word("ports"))
		sweep_ports();
	if (all || guest_has_word("memory"))
		sweep_memory();
	pass();
}
