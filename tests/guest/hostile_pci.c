/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration space as a driver should not use it: every offset in every width by both ways,
 * BARs over RAM, over each other and over the machine's registers, MSI-X tables of nonsense. Each
 * device must be what it was when its registers are put back: virtio devices negotiate, and the
 * entropy device works.
 */
#include "arch/x86_64/layout.h"
#include "guest_virtio.h"

#define DEVICES       32
#define CONFIG_SIZE   256
#define BAR_FIRST     0x10
#define BAR_LAST      0x24
#define PCI_CAP_MSIX  0x11
#define MSIX_ENABLE   (1U << 31)
#define MSIX_MASK_ALL (1U << 30)
#define NMI           2

static struct virtio device;
static uint8_t buffer[4096] __attribute__((aligned(4096)));
static uint32_t saved[CONFIG_SIZE / 4];

static bool is_there(unsigned int slot)
{
	return pci_read(0, slot, 0, 0) != 0xffffffff;
}

static void save(unsigned int slot)
{
	for (unsigned int i = 0; i < CONFIG_SIZE / 4; i++)
		saved[i] = pci_read(0, slot, 0, i * 4);
}

/* Decoding off, so that BARs do not wander over the map half-written; the command register last. */
static void restore(unsigned int slot)
{
	pci_write(0, slot, 0, 4, 0);
	for (unsigned int i = CONFIG_SIZE / 4; i-- > 0;)
		pci_write(0, slot, 0, i * 4, i == 1 ? 0 : saved[i]);
	pci_write(0, slot, 0, 4, saved[1] & 0xffff);
}

/* Identity, class, header type, capabilities' start: nothing that a driver may change. */
static void expect_same(unsigned int slot)
{
	static const unsigned int fixed[] = {0x00, 0x08, 0x2c, 0x34};

	for (unsigned int i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		expect(pci_read(0, slot, 0, fixed[i]) == saved[fixed[i] / 4]);
}

/* A working request of 64 random bytes, from reset. */
static void works(void)
{
	bool any = false;

	expect(virtio_negotiate(&device, 0));
	virtio_start(&device);
	memset(buffer, 0, 64);
	device.ring->desc[0] = (struct virtio_desc){
		.addr = (uint64_t)buffer, .len = 64, .flags = VIRTIO_DESC_WRITE};
	virtio_submit(&device, 0);
	expect(virtio_wait(&device, 1));
	for (unsigned int i = 0; i < 64; i++)
		any |= buffer[i] != 0;
	expect(any);
	virtio_reset(&device);
}

/* Where what is in the slot is a virtio device, the first of its kind. */
static void still_negotiates(unsigned int slot)
{
	uint32_t id = pci_read(0, slot, 0, 0);
	struct virtio v;

	if (!virtio_find((uint16_t)((id >> 16) - VIRTIO_ID_BASE), &v) || v.slot != slot)
		return;
	expect(virtio_negotiate(&v, 0));
	virtio_reset(&v);
}

/* Neither memory nor I/O decoding may go on with the bytes that these writes leave behind. */
static void write_config(unsigned int slot, unsigned int offset, uint64_t value)
{
	uint64_t at = pci_ecam(0, slot, 0, offset);

	mmio_write8(at, (uint8_t)value);
	mmio_write16(at, (uint16_t)value);
	mmio_write32(at, (uint32_t)value);
	mmio_write64(at, value);
	mmio_read8(at);
	mmio_read16(at);
	mmio_read32(at);
	mmio_read64(at);
	pci_write(0, slot, 0, offset, (uint32_t)value);
	outb(X86_PORT_PCI_DATA + (offset & 3), (uint8_t)value);
	outw(X86_PORT_PCI_DATA + (offset & 3), (uint16_t)value);
	outl(X86_PORT_PCI_DATA + (offset & 3), (uint32_t)value);
	inb(X86_PORT_PCI_DATA + (offset & 3));
	inw(X86_PORT_PCI_DATA + (offset & 3));
	inl(X86_PORT_PCI_DATA + (offset & 3));
	pci_write(0, slot, 0, 4, 0);
}

static void every_register(unsigned int slot)
{
	static const uint64_t values[] = {0, ~0ULL, 0x8000000080000001, 0x5a5a5a5aa5a5a5a5};

	save(slot);
	for (unsigned int i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		for (unsigned int offset = 0; offset < CONFIG_SIZE + 16; offset++)
			write_config(slot, offset, values[i]);
		/* The end of extended space, into the next function. */
		for (unsigned int offset = 0xff0; offset < 0x1000; offset++)
			write_config(slot, offset, values[i]);
	}
	restore(slot);
	expect_same(slot);
}

/* The address port in other widths, with reserved bits, and without its enable bit. */
static void address_port(void)
{
	for (unsigned int i = 0; i < 64; i++) {
		outb((uint16_t)(X86_PORT_PCI_ADDRESS + (i & 3 & ~1U)), (uint8_t)(i * 37));
		outw(X86_PORT_PCI_ADDRESS + 2, (uint16_t)(i * 1031));
		outl(X86_PORT_PCI_ADDRESS, i * 0x01234567);
		inb(X86_PORT_PCI_ADDRESS + 1);
		inw(X86_PORT_PCI_ADDRESS + 1);
		inl(X86_PORT_PCI_ADDRESS);
	}
	outl(X86_PORT_PCI_ADDRESS, 0);
	expect(inl(X86_PORT_PCI_DATA) == 0xffffffff);
}

static void place_bar(unsigned int slot, unsigned int bar, uint64_t address)
{
	uint32_t low = saved[bar / 4];

	pci_write(0, slot, 0, bar, (uint32_t)address | (low & 0xf));
	if ((low & 6) == 4)
		pci_write(0, slot, 0, bar + 4, (uint32_t)(address >> 32));
	/* On, off and on again: the mapping changes under the guest. */
	pci_write(0, slot, 0, 4, 7);
	pci_write(0, slot, 0, 4, 0);
	pci_write(0, slot, 0, 4, 7);
}

/* A BAR anywhere; where it is not over RAM, it is touched there. */
static void move_bar(unsigned int slot, unsigned int bar, uint64_t other)
{
	static const uint64_t places[] = {0, 0x1000, 0x1000000, 0x1001000, X86_ACPI_BASE,
		X86_RAM_LOW_END - 0x1000, X86_PCI_MEM32_BASE, X86_PCI_MEM32_END - 0x1000,
		X86_ECAM_BASE, X86_ECAM_BASE + 0x8000, X86_KVM_TSS_BASE, X86_IOAPIC_BASE,
		X86_IOAPIC_BASE - 0x1000, X86_LOCAL_APIC_BASE, 0xfffff000, X86_RAM_HIGH_BASE,
		1ULL << 40, 1ULL << 47, 1ULL << 63, ~0ULL << 12};

	for (unsigned int i = 0; i <= sizeof(places) / sizeof(places[0]); i++) {
		bool is_other = i == sizeof(places) / sizeof(places[0]);
		uint64_t at = is_other ? other : places[i];

		place_bar(slot, bar, at);
		if (at >= X86_PCI_MEM32_BASE && at < X86_ECAM_BASE && !is_other) {
			mmio_read32(at);
			mmio_read64(at + 0xffc);
			mmio_write64(at + 0xff9, 0);
		}
		/* RAM and the machine's own registers stay where they are. */
		expect(mmio_read32(pci_ecam(0, 0, 0, 0)) == pci_read(0, 0, 0, 0));
		expect(*(volatile uint32_t *)(uintptr_t)place_bar == *(uint32_t *)place_bar);
	}
}

static void every_place(unsigned int slot)
{
	uint64_t other = pci_read(0, device.slot, 0, 0x20) & ~0xfU;

	save(slot);
	if (saved[3] & 0x7f0000)
		return;
	for (unsigned int bar = BAR_FIRST; bar <= BAR_LAST; bar += 4) {
		if (saved[bar / 4])
			move_bar(slot, bar, other);
		restore(slot);
	}
	expect_same(slot);
}

static unsigned int find_msix(unsigned int slot)
{
	unsigned int cap = pci_read(0, slot, 0, 0x34) & 0xfc;

	for (unsigned int i = 0; cap && i < 48; i++) {
		uint32_t head = pci_read(0, slot, 0, cap);

		if ((head & 0xff) == PCI_CAP_MSIX)
			return cap;
		cap = head >> 8 & 0xfc;
	}
	fail("slot %u has no MSI-X", slot);
}

static uint64_t bar_address(unsigned int slot, unsigned int bar)
{
	uint32_t low = pci_read(0, slot, 0, BAR_FIRST + 4 * bar);
	uint64_t high = (low & 6) == 4 ? pci_read(0, slot, 0, BAR_FIRST + 4 * bar + 4) : 0;

	return high << 32 | (low & ~0xfU);
}

/* One request whose interrupt goes where the entry says. */
static void interrupt_by(uint64_t entry, uint64_t address, uint32_t data, uint16_t vector)
{
	mmio_write64(entry, address);
	mmio_write32(entry + 8, data);
	mmio_write32(entry + 12, 0);
	expect(virtio_negotiate(&device, 0));
	mmio_write16(device.common + VIRTIO_CONFIG_VECTOR, vector);
	mmio_write16(device.common + VIRTIO_Q_SELECT, 0);
	mmio_write16(device.common + VIRTIO_Q_VECTOR, vector);
	virtio_start(&device);
	device.ring->desc[0] = (struct virtio_desc){
		.addr = (uint64_t)buffer, .len = 64, .flags = VIRTIO_DESC_WRITE};
	virtio_submit(&device, 0);
	expect(virtio_wait(&device, 1));
	/* Masked and unmasked with an interrupt that may be pending. */
	mmio_write32(entry + 12, 1);
	virtio_submit(&device, 0);
	expect(virtio_wait(&device, 2));
	mmio_write32(entry + 12, 0);
	mmio_write32(entry + 12, 0xffffffff);
}

/*
 * Interrupts are off, so that those which are valid stay pending. Left out are INIT
 * and SMI, which end this program as they should.
 */
static void every_message(uint64_t entry)
{
	static const uint64_t addresses[] = {0xfee00000, 0xfee01000, 0xfeeff00c, 0xfee00004, 0,
		0x1000, 0xfec00000, 0xffffffff, 0xfffffffffee00000, 0x123450000fee0};
	static const uint32_t data[] = {
		0x30, 0, 0x0f, 0xff, 0x1ff, 0x330, 0x630, 0x730, 0x8030, 0xc030, 0xffff0030};
	static const uint16_t vectors[] = {0, 1, 2, 0x7ff, 0xfffe, 0xffff};

	for (unsigned int i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		for (unsigned int j = 0; j < sizeof(data) / sizeof(data[0]); j++)
			interrupt_by(entry, addresses[i], data[j], 0);
	for (unsigned int i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		interrupt_by(entry, 0xfee00000, 0x40, vectors[i]);
}

/* All of table and pending bits, and what is behind them, in every width. */
static void whole_table(uint64_t table, uint64_t pending)
{
	for (unsigned int offset = 0; offset < 0x100; offset++) {
		mmio_read8(table + offset);
		mmio_read16(table + offset);
		mmio_read64(table + offset);
		mmio_write8(table + offset, 0xff);
		mmio_write16(table + offset, 0xffff);
		mmio_write64(table + offset, ~0ULL);
		mmio_write64(pending + offset, ~0ULL);
		mmio_write8(pending + offset, 0xff);
		mmio_read32(pending + offset);
	}
}

static void bad_messages(void)
{
	unsigned int cap = find_msix(device.slot);
	uint32_t table = pci_read(0, device.slot, 0, cap + 4);
	uint32_t pending = pci_read(0, device.slot, 0, cap + 8);
	uint64_t entry = bar_address(device.slot, table & 7) + (table & ~7U);

	save(device.slot);
	pci_write(0, device.slot, 0, cap, MSIX_ENABLE);
	every_message(entry);
	for (unsigned int i = 0; i < 64; i++)
		pci_write(0, device.slot, 0, cap,
			(i & 1 ? MSIX_ENABLE : 0) | (i & 2 ? MSIX_MASK_ALL : 0) | 0x07ff0000);
	whole_table(entry, bar_address(device.slot, pending & 7) + (pending & ~7U));
	pci_write(0, device.slot, 0, cap, MSIX_ENABLE);
	pci_write(0, device.slot, 0, cap, 0);
	restore(device.slot);
	works();
}

static void ignore(struct interrupt_frame *frame)
{
}

void guest_main(void)
{
	interrupt_handle(NMI, ignore);
	apic_enable();
	if (!virtio_find(4, &device))
		fail("no entropy device");
	works();
	address_port();
	for (unsigned int slot = 0; slot < DEVICES; slot++) {
		if (!is_there(slot))
			continue;
		every_register(slot);
		every_place(slot);
		still_negotiates(slot);
		print("slot %u: done\n", slot);
		works();
	}
	bad_messages();
	pass();
}
