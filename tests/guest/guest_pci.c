/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI configuration space. PCI Local Bus Specification 3.0, 3.2.2.3.2; PCI Express Base, 7.2.2.
 */
#include "arch/x86_64/layout.h"
#include "guest.h"

static void pci_select(
	unsigned int bus, unsigned int device, unsigned int function, unsigned int offset)
{
	outl(X86_PORT_PCI_ADDRESS,
		1U << 31 | bus << 16 | device << 11 | function << 8 | (offset & 0xfcU));
}

uint32_t pci_read(unsigned int bus, unsigned int device, unsigned int function, unsigned int offset)
{
	pci_select(bus, device, function, offset);
	return inl(X86_PORT_PCI_DATA);
}

void pci_write(unsigned int bus, unsigned int device, unsigned int function, unsigned int offset,
	uint32_t value)
{
	pci_select(bus, device, function, offset);
	outl(X86_PORT_PCI_DATA, value);
}

uint64_t pci_ecam(unsigned int bus, unsigned int device, unsigned int function, unsigned int offset)
{
	return X86_ECAM_BASE + (bus << 20 | device << 15 | function << 12 | offset);
}
