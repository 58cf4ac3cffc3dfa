/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands for firmware in an ELF file with a PVH note, such as rust-hypervisor-firmware: linked at
 * 1 MiB, it shows what it was given (Xen, public/arch-x86/hvm/start_info.h), reads what fw_cfg and
 * CMOS tell of the machine, writes a line to the debug port, finds the disk without touching PCI's
 * command registers, and reads its first sector.
 */
#include "guest_virtio.h"

#define PVH_MAGIC   0x336ec578
#define RANGE_RAM   1
#define RANGE_ACPI  3
#define BLK_ID      2
#define COMMAND_ALL 6 /* memory, bus master */
#define PORT_RTC    0x70
#define PORT_DEBUG  0x402
#define PORT_FW_CFG 0x510

/* Keys of fw_cfg (QEMU, docs/specs/fw_cfg.rst; include/standard-headers/linux/qemu_fw_cfg.h). */
#define FW_SIGNATURE 0x00
#define FW_ID        0x01
#define FW_RAM_SIZE  0x03
#define FW_NOGRAPHIC 0x04
#define FW_NB_CPUS   0x05
#define FW_BOOT_MENU 0x0e
#define FW_MAX_CPUS  0x0f
#define FW_FILE_DIR  0x19

extern char bss_end[];

static struct virtio device;
static uint8_t sector[512] __attribute__((aligned(512)));

static void set(unsigned int i, const volatile void *addr, uint32_t len, uint16_t flags)
{
	device.ring->desc[i] = (struct virtio_desc){
		.addr = (uint64_t)addr, .len = len, .flags = flags, .next = (uint16_t)(i + 1)};
}

/* true if the memory map has a range of this type around the bytes. */
static bool map_has(uint64_t info, uint32_t type, uint64_t base, uint64_t size)
{
	uint64_t entry = mmio_read64(info + 40);
	uint32_t n = mmio_read32(info + 48);

	for (uint32_t i = 0; i < n; i++, entry += 24) {
		uint64_t start = mmio_read64(entry);

		if (mmio_read32(entry + 16) == type && start <= base &&
			base + size <= start + mmio_read64(entry + 8))
			return true;
	}
	return false;
}

static void check_start_info(void)
{
	static const char signature[8] = "RSD PTR ";
	uint64_t info = guest_boot_info();
	uint64_t rsdp = mmio_read64(info + 32);

	expect(guest_boot_kind() == GUEST_BOOT_PVH);
	expect(mmio_read32(info) == PVH_MAGIC && mmio_read32(info + 4) == 1);
	expect(!mmio_read32(info + 12) && !mmio_read64(info + 16)); /* modules */
	expect(map_has(info, RANGE_RAM, 0x100000, (uint64_t)bss_end - 0x100000));
	expect(map_has(info, RANGE_ACPI, rsdp, 36));
	for (unsigned int i = 0; i < sizeof(signature); i++)
		expect(mmio_read8(rsdp + i) == (uint8_t)signature[i]);
}

/* Firmware asks it for the time, and waits for the end of an update that is going on. */
static void check_clock(void)
{
	outb(PORT_RTC, 0x0d);
	expect(inb(PORT_RTC + 1) == 0x80);
}

/* The first 8 bytes of an item; behind its end there are zeros. */
static uint64_t fw_cfg(uint16_t key)
{
	uint64_t value = 0;

	outw(PORT_FW_CFG, key);
	for (unsigned int i = 0; i < 8; i++)
		value |= (uint64_t)inb(PORT_FW_CFG + 1) << (8 * i);
	return value;
}

/* Of a machine whose RAM is all below the hole. */
static uint64_t ram_end(uint64_t info)
{
	uint64_t entry = mmio_read64(info + 40);
	uint32_t n = mmio_read32(info + 48);
	uint64_t end = 0;

	for (uint32_t i = 0; i < n; i++, entry += 24) {
		uint64_t last = mmio_read64(entry) + mmio_read64(entry + 8);

		if (mmio_read32(entry + 16) == RANGE_RAM && last > end)
			end = last;
	}
	return end;
}

static void check_fw_cfg(void)
{
	uint64_t cpus = fw_cfg(FW_NB_CPUS);

	print("fw_cfg: %lu processors\n", cpus);
	expect(fw_cfg(FW_SIGNATURE) == 0x554d4551); /* QEMU */
	expect(fw_cfg(FW_ID) == 3);                 /* ports and DMA */
	expect(fw_cfg(FW_RAM_SIZE) == ram_end(guest_boot_info()));
	expect(fw_cfg(FW_MAX_CPUS) == cpus);
	expect(fw_cfg(FW_NOGRAPHIC) == 1);
	expect(fw_cfg(FW_BOOT_MENU) == 0);
	/* The map of RAM alone: the tables are in RAM. */
	expect((fw_cfg(FW_FILE_DIR) & 0xffffffff) == 0x01000000);
}

static void write_debug_line(const char *text)
{
	expect(inb(PORT_DEBUG) == 0xe9);
	while (*text)
		outb(PORT_DEBUG, (uint8_t)*text++);
}

static void check_enabled(void)
{
	for (unsigned int slot = 0; slot < 32; slot++) {
		if (pci_read(0, slot, 0, 0) == 0x10421af4)
			expect((pci_read(0, slot, 0, 4) & COMMAND_ALL) == COMMAND_ALL);
	}
}

static void read_sector(void)
{
	static const uint32_t header[4]; /* read, sector 0 */
	static volatile uint8_t status = 0xff;

	expect(virtio_negotiate(&device, 0));
	virtio_start(&device);
	set(0, header, sizeof(header), VIRTIO_DESC_NEXT);
	set(1, sector, sizeof(sector), VIRTIO_DESC_WRITE | VIRTIO_DESC_NEXT);
	set(2, &status, 1, VIRTIO_DESC_WRITE);
	virtio_submit(&device, 0);
	expect(virtio_wait(&device, 1));
	expect(!status);
}

void guest_main(void)
{
	check_start_info();
	check_clock();
	check_fw_cfg();
	write_debug_line("the firmware's own line\n");
	check_enabled();
	if (!virtio_find(BLK_ID, &device))
		fail("no disk to boot from");
	read_sector();
	sector[sizeof(sector) - 1] = 0;
	print("disk: %s\n", (const char *)sector);
	pass();
}
