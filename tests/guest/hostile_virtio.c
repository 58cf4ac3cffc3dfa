/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that breaks the rules, on the entropy device and on the disk (virtio ids 4 and 2). After
 * each case the device must work again when it is reset: the harm is the guest's own. With a disk
 * that the guest may not spoil, give it read-only, or one of 64 KiB that holds 0x5a. A second
 * processor, where there is one, changes the disk's requests while the device reads them.
 */
#include <stdatomic.h>

#include "guest_virtio.h"

#define FEATURE_INDIRECT (1ULL << 28)
#define GARBAGE          0xa5

static struct virtio device;
static uint8_t buffer[4096] __attribute__((aligned(4096)));
static struct virtio_desc table[64] __attribute__((aligned(16)));

static void set(unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	device.ring->desc[i] =
		(struct virtio_desc){.addr = addr, .len = len, .flags = flags, .next = next};
}

static void begin(uint64_t features)
{
	expect(virtio_negotiate(&device, features));
	virtio_start(&device);
	expect(virtio_status(&device) & VIRTIO_DRIVER_OK);
}

static bool is_disk(void)
{
	return pci_read(0, device.slot, 0, 0) >> 16 == VIRTIO_ID_BASE + 2;
}

/* A proper request, the n-th: of random bytes, or of the disk's first sector. */
static void request(uint16_t n)
{
	memset(buffer, 0, 16);
	buffer[600] = GARBAGE;
	set(0, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT, 1);
	set(1, (uint64_t)buffer + 64, 512, VIRTIO_DESC_WRITE | VIRTIO_DESC_NEXT, 2);
	set(2, (uint64_t)buffer + 600, 1, VIRTIO_DESC_WRITE, 0);
	virtio_submit(&device, is_disk() ? 0 : 1);
	expect(virtio_wait(&device, n));
	expect(device.ring->used.ring[(n - 1) % VIRTIO_QUEUE_SIZE].len == 513);
	expect(!is_disk() || buffer[600] == 0);
}

static void works(void)
{
	begin(0);
	request(1);
}

/* A chain that no device may use: it needs a reset. */
static void submit_broken(uint16_t head)
{
	virtio_submit(&device, head);
	expect(!virtio_wait(&device, 1));
	expect(device.ring->used.idx == 0);
	works();
}

static void bad_chains(void)
{
	begin(0);
	set(0, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT, 0);
	submit_broken(0);
	begin(0);
	set(0, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, 1);
	set(1, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, 0);
	submit_broken(0);
	begin(0);
	set(0, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT, VIRTIO_QUEUE_SIZE);
	submit_broken(0);
	begin(0);
	set(0, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, 1);
	set(1, (uint64_t)buffer, 16, 0, 0);
	submit_broken(0);
	begin(0);
	for (unsigned int i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		set(i, (uint64_t)buffer, i & 1 ? 0xffffffff : 0, 0xffff, 0xffff);
	submit_broken(0);
	begin(0);
	submit_broken(VIRTIO_QUEUE_SIZE);
	begin(0);
	submit_broken(0xffff);
}

static void bad_buffers(void)
{
	static const uint32_t lengths[] = {0, 1, 15, 513, 0x7fffffff, 0xffffffff};

	for (unsigned int i = 0; i < VIRTIO_N_NOWHERE; i++) {
		for (unsigned int j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			begin(0);
			set(0, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT, 1);
			set(1, virtio_nowhere[i], lengths[j], VIRTIO_DESC_WRITE, 0);
			virtio_submit(&device, j & 1);
			/* Nothing, wherever it is, may be used. */
			expect(!virtio_wait(&device, 1) || lengths[j] == 0);
		}
	}
	works();
}

/* 15 buffers of 4 KiB that overlap; the table of 64 in one chain is a thing of indirect(). */
static void many_buffers(void)
{
	begin(0);
	set(0, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT, 1);
	for (unsigned int i = 1; i < VIRTIO_QUEUE_SIZE; i++)
		set(i, (uint64_t)buffer, sizeof(buffer),
			i + 1 < VIRTIO_QUEUE_SIZE ? VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE
						  : VIRTIO_DESC_WRITE,
			(uint16_t)(i + 1));
	virtio_submit(&device, 0);
	expect(virtio_wait(&device, 1));
	works();
}

static void bad_indices(void)
{
	static const uint16_t jumps[] = {
		VIRTIO_QUEUE_SIZE + 1, 0x7fff, 0x8000, 0xffff, 2 * VIRTIO_QUEUE_SIZE};

	for (unsigned int i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		begin(0);
		device.ring->avail.idx = jumps[i];
		virtio_kick(&device);
		expect(!virtio_wait(&device, 0xfffe));
		works();
	}
}

static void indirect(uint64_t addr, uint32_t len, uint16_t flags)
{
	begin(FEATURE_INDIRECT);
	set(0, addr, len, flags, 1);
	set(1, (uint64_t)buffer, 16, VIRTIO_DESC_WRITE, 0);
	submit_broken(0);
}

static void bad_tables(void)
{
	static const uint32_t lengths[] = {0, 1, 15, 17, sizeof(table), 0x10000, 0xfffffff0};
	uint16_t flags = VIRTIO_DESC_INDIRECT;

	if (!virtio_negotiate(&device, FEATURE_INDIRECT))
		return;
	for (unsigned int i = 0; i < 64; i++)
		table[i] = (struct virtio_desc){.addr = (uint64_t)buffer,
			.len = 64,
			.flags = VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE,
			.next = (uint16_t)(i + 1)};
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		indirect((uint64_t)table, lengths[i], flags);
	indirect((uint64_t)table, sizeof(table), flags | VIRTIO_DESC_NEXT);
	indirect((uint64_t)table, sizeof(table), flags | VIRTIO_DESC_WRITE);
	table[3].next = 0; /* a loop in the table */
	indirect((uint64_t)table, sizeof(table), flags);
	table[0].flags = VIRTIO_DESC_INDIRECT;
	indirect((uint64_t)table, sizeof(table), flags);
	for (unsigned int i = 0; i < VIRTIO_N_NOWHERE; i++)
		indirect(virtio_nowhere[i], sizeof(table), flags);
	/* Without the feature. */
	begin(0);
	set(0, (uint64_t)table, 16, VIRTIO_DESC_INDIRECT, 0);
	submit_broken(0);
}

/* Rings in bad places: no DRIVER_OK, or a device that needs a reset; and no write outside RAM. */
static void bad_rings(void)
{
	static const unsigned int registers[] = {VIRTIO_Q_DESC, VIRTIO_Q_AVAIL, VIRTIO_Q_USED};

	for (unsigned int r = 0; r < 3; r++) {
		for (unsigned int i = 0; i < VIRTIO_N_NOWHERE; i++) {
			expect(virtio_negotiate(&device, 0));
			mmio_write16(device.common + VIRTIO_Q_SELECT, 0);
			mmio_write64(device.common + VIRTIO_Q_DESC, (uint64_t)&device.ring->desc);
			mmio_write64(device.common + VIRTIO_Q_AVAIL, (uint64_t)&device.ring->avail);
			mmio_write64(device.common + VIRTIO_Q_USED, (uint64_t)&device.ring->used);
			mmio_write64(device.common + registers[r], virtio_nowhere[i]);
			mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
			mmio_write8(device.common + VIRTIO_STATUS,
				virtio_status(&device) | VIRTIO_DRIVER_OK);
			virtio_kick(&device);
			expect(virtio_status(&device) & VIRTIO_NEEDS_RESET);
		}
	}
	works();
}

static void expect_registers_of_queue_0(void)
{
	uint64_t common = device.common;

	expect(mmio_read16(common + VIRTIO_Q_SIZE) == VIRTIO_QUEUE_SIZE);
	expect(mmio_read16(common + VIRTIO_Q_ENABLE) == 1);
	expect(mmio_read64(common + VIRTIO_Q_DESC) == (uint64_t)&device.ring->desc);
	expect(mmio_read64(common + VIRTIO_Q_AVAIL) == (uint64_t)&device.ring->avail);
	expect(mmio_read64(common + VIRTIO_Q_USED) == (uint64_t)&device.ring->used);
}

/* The registers of a live queue do not move. */
static void live_registers(void)
{
	static const uint16_t sizes[] = {0, 3, 1, 0x8000, 0xffff};

	begin(0);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		mmio_write16(device.common + VIRTIO_Q_SELECT, 0);
		mmio_write16(device.common + VIRTIO_Q_SIZE, sizes[i]);
		mmio_write16(device.common + VIRTIO_Q_ENABLE, 0);
		mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
		mmio_write64(device.common + VIRTIO_Q_DESC, virtio_nowhere[i]);
		mmio_write64(device.common + VIRTIO_Q_AVAIL, virtio_nowhere[i] + 1);
		mmio_write64(device.common + VIRTIO_Q_USED, virtio_nowhere[i] + 3);
		mmio_write32(device.common + VIRTIO_GUEST_FEATURE, 0xffffffff);
		expect_registers_of_queue_0();
		/* Of queues that are not there. */
		mmio_write16(device.common + VIRTIO_Q_SELECT, sizes[i] | 0x400);
		expect(mmio_read16(device.common + VIRTIO_Q_SIZE) == 0);
		mmio_write16(device.common + VIRTIO_Q_SIZE, sizes[i]);
		mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
		virtio_kick(&device);
		request((uint16_t)(i + 1));
	}
	works();
}

static void bad_features(void)
{
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (bit == 32)
			continue;
		mmio_write32(device.common + VIRTIO_FEATURE_SELECT, bit / 32);
		if (mmio_read32(device.common + VIRTIO_FEATURE) & 1U << bit % 32)
			continue;
		expect(!virtio_negotiate(&device, 1ULL << bit));
	}
	for (unsigned int select = 2; select; select <<= 1) {
		mmio_write32(device.common + VIRTIO_FEATURE_SELECT, select);
		expect(mmio_read32(device.common + VIRTIO_FEATURE) == 0);
	}
	works();
}

static void bad_status(void)
{
	static const uint8_t statuses[] = {
		0xff, 0x80, VIRTIO_DRIVER_OK, VIRTIO_FEATURES_OK, VIRTIO_NEEDS_RESET, 0x0f, 0xf0};

	for (unsigned int i = 0; i < sizeof(statuses); i++) {
		mmio_write8(device.common + VIRTIO_STATUS, statuses[i]);
		virtio_kick(&device);
		mmio_write8(device.common + VIRTIO_STATUS, 0);
	}
	works();
	/* Resets under requests in flight. */
	for (unsigned int i = 0; i < 50; i++) {
		begin(0);
		set(0, (uint64_t)buffer, 16, VIRTIO_DESC_NEXT, 1);
		set(1, (uint64_t)buffer, sizeof(buffer), VIRTIO_DESC_WRITE, 0);
		for (unsigned int j = 0; j < VIRTIO_QUEUE_SIZE; j++)
			virtio_submit(&device, 0);
	}
	works();
}

/* All offsets and widths around the registers. The queue addresses never get a value in RAM: one
 * byte written sets at most bits that are in `nowhere` or the ring's own. */
static void odd_accesses(void)
{
	uint64_t blocks[] = {device.common, device.isr, device.config, device.notify};

	virtio_reset(&device);
	for (unsigned int b = 0; b < 4; b++) {
		if (!blocks[b])
			continue;
		for (unsigned int offset = 0; offset < VIRTIO_COMMON_SIZE + 8; offset++) {
			uint64_t at = blocks[b] + offset;

			mmio_read8(at);
			mmio_read16(at);
			mmio_read32(at);
			mmio_read64(at);
			mmio_write8(at, GARBAGE);
			mmio_write16(at, 0xffff);
			mmio_write32(at, 0x80000000);
			mmio_write64(at, 0xfffffffffffffff1);
			virtio_reset(&device);
		}
	}
	works();
}

/* The window in configuration space (4.1.4.9): every BAR, offset and length. */
static void config_window(void)
{
	unsigned int cap = device.config_cap;
	uint32_t head = pci_read(0, device.slot, 0, cap + 4);

	if (!cap)
		return;
	for (unsigned int bar = 0; bar < 8; bar++) {
		for (unsigned int offset = 0; offset < 32; offset++) {
			for (unsigned int len = 0; len < 9; len++) {
				pci_write(0, device.slot, 0, cap + 4, bar);
				pci_write(0, device.slot, 0, cap + 8,
					offset & 16 ? 0xfffffff0 + offset : offset);
				pci_write(0, device.slot, 0, cap + 12, len);
				pci_read(0, device.slot, 0, cap + 16);
				if (offset & 16)
					pci_write(0, device.slot, 0, cap + 16, 0xffffffff);
			}
		}
	}
	pci_write(0, device.slot, 0, cap + 4, head);
	works();
}

static atomic_uint flipping; /* 0: no other processor; 1: it waits; 2: changes the request */
static volatile struct virtio_blk_header header;

static void flip(unsigned int number)
{
	atomic_store(&flipping, 1);
	for (uint32_t n = 1;; n = n * 1664525 + 1013904223) {
		if (atomic_load(&flipping) == 2)
			virtio_blk_flip(&header, n);
		else
			pause();
	}
}

/* Whatever the request was when it was looked at, it is used; what is written is what is there. */
static void changing_requests(void)
{
	static uint8_t same[1024];

	if (!is_disk() || !atomic_load(&flipping))
		return;
	memset(same, 0x5a, sizeof(same));
	begin(0);
	atomic_store(&flipping, 2);
	for (unsigned int i = 0; i < 4000; i++) {
		volatile uint8_t status = GARBAGE;

		set(0, (uint64_t)&header, sizeof(header), VIRTIO_DESC_NEXT, 1);
		set(1, i & 1 ? (uint64_t)same : (uint64_t)buffer, i & 2 ? 512 : 1024,
			VIRTIO_DESC_NEXT | (i & 1 ? 0 : VIRTIO_DESC_WRITE), 2);
		set(2, (uint64_t)&status, 1, VIRTIO_DESC_WRITE, 0);
		virtio_submit(&device, 0);
		expect(virtio_wait(&device, (uint16_t)(i + 1)));
		expect(status <= 2);
	}
	atomic_store(&flipping, 1);
	works();
}

static void abuse(uint16_t id)
{
	static void (*const cases[])(void) = {works, bad_chains, bad_buffers, many_buffers,
		bad_indices, bad_tables, bad_rings, live_registers, bad_features, bad_status,
		odd_accesses, config_window, changing_requests};

	if (!virtio_find(id, &device))
		fail("no virtio device %u", id);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cases[i]();
		print("virtio %u: case %u done\n", id, i);
	}
	virtio_reset(&device);
}

void guest_main(void)
{
	apic_enable();
	if (guest_option("cpus", 1) > 1) {
		smp_start(1, flip);
		while (!atomic_load(&flipping))
			pause();
	}
	abuse(4);
	abuse(2);
	pass();
}
