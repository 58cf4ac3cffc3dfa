/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists the functions on bus 0: "pci 00:DD.F VVVV:DDDD class CCCCCC", each base address register
 * with its size, and checks that both ways into configuration space agree.
 */
#include "guest.h"

static void scan_bar(unsigned int device, unsigned int function, unsigned int offset)
{
	uint32_t before = pci_read(0, device, function, offset);
	uint32_t mask;

	pci_write(0, device, function, offset, 0xffffffff);
	mask = pci_read(0, device, function, offset);
	pci_write(0, device, function, offset, before);
	expect(pci_read(0, device, function, offset) == before);
	if (!mask)
		return;
	print("  bar %02x: %08x mask %08x\n", offset, before, mask);
}

static void scan_function(unsigned int device, unsigned int function)
{
	uint32_t id = pci_read(0, device, function, 0);

	expect(mmio_read32(pci_ecam(0, device, function, 0)) == id);
	if (id == 0xffffffff)
		return;
	print("pci 00:%02x.%u %04x:%04x class %06x\n", device, function, id & 0xffff, id >> 16,
		pci_read(0, device, function, 8) >> 8);
	for (unsigned int offset = 0; offset < 256; offset += 4)
		expect(mmio_read32(pci_ecam(0, device, function, offset)) ==
			pci_read(0, device, function, offset));
	/* Only headers of type 0 have six. */
	if (pci_read(0, device, function, 0xc) & 0x7f0000)
		return;
	for (unsigned int bar = 0; bar < 6; bar++)
		scan_bar(device, function, 0x10 + 4 * bar);
}

void guest_main(void)
{
	expect(pci_read(0, 0, 0, 0) != 0xffffffff);
	for (unsigned int device = 0; device < 32; device++) {
		bool multifunction = pci_read(0, device, 0, 0xc) & 0x800000;

		for (unsigned int function = 0; function < (multifunction ? 8U : 1U); function++)
			scan_function(device, function);
	}
	pass();
}
