/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio driver of the guest programs.
 */
#include "guest_virtio.h"

#include "arch/x86_64/layout.h"

#define VIRTIO_VENDOR       0x1af4
#define VIRTIO_VERSION_1_HI 1u /* bit 32 */
#define PCI_CAP_VENDOR      0x09
#define SPINS               (1u << 24)

const uint64_t virtio_nowhere[VIRTIO_N_NOWHERE] = {X86_IOAPIC_BASE, X86_LOCAL_APIC_BASE,
	X86_ECAM_BASE, X86_PCI_MEM32_BASE, X86_PCI_MEM32_END - 16, X86_RAM_LOW_END - 1,
	0xffffffffffffffffULL, 0xfffffffffffffff0ULL, 0xfffffffffffff000ULL, 1ULL << 63, 1ULL << 52,
	(1ULL << 47) - 1, 0xffffffff};

static struct virtio_ring ring_memory __attribute__((aligned(4096)));

static uint64_t read_bar(unsigned int slot, unsigned int bar)
{
	uint32_t low = pci_read(0, slot, 0, 0x10 + 4 * bar);
	uint64_t address = low & ~0xfU;

	if ((low & 6) == 4)
		address |= (uint64_t)pci_read(0, slot, 0, 0x14 + 4 * bar) << 32;
	return address;
}

/* virtio 1.3, 4.1.4: struct virtio_pci_cap. */
static void read_capability(struct virtio *v, unsigned int cap)
{
	unsigned int type = pci_read(0, v->slot, 0, cap) >> 24;
	unsigned int bar = pci_read(0, v->slot, 0, cap + 4) & 0xff;
	uint64_t at = bar < 6 ? read_bar(v->slot, bar) + pci_read(0, v->slot, 0, cap + 8) : 0;

	if (type == 1)
		v->common = at;
	else if (type == 2) {
		v->notify = at;
		v->notify_stride = pci_read(0, v->slot, 0, cap + 16);
	} else if (type == 3)
		v->isr = at;
	else if (type == 4)
		v->config = at;
	else if (type == 5)
		v->config_cap = cap;
}

static void find_registers(struct virtio *v)
{
	unsigned int cap = pci_read(0, v->slot, 0, 0x34) & 0xfc;

	/* Memory and bus mastering. */
	pci_write(0, v->slot, 0, 4, pci_read(0, v->slot, 0, 4) | 6);
	for (unsigned int i = 0; cap && i < 48; i++) {
		uint32_t head = pci_read(0, v->slot, 0, cap);

		if ((head & 0xff) == PCI_CAP_VENDOR)
			read_capability(v, cap);
		cap = head >> 8 & 0xfc;
	}
	expect(v->common && v->notify && v->isr);
}

bool virtio_find(uint16_t id, struct virtio *v)
{
	for (unsigned int slot = 0; slot < 32; slot++) {
		if (pci_read(0, slot, 0, 0) !=
			(VIRTIO_VENDOR | (VIRTIO_ID_BASE + (uint32_t)id) << 16))
			continue;
		*v = (struct virtio){.slot = slot, .ring = &ring_memory};
		find_registers(v);
		return true;
	}
	return false;
}

uint8_t virtio_status(const struct virtio *v)
{
	return mmio_read8(v->common + VIRTIO_STATUS);
}

void virtio_reset(const struct virtio *v)
{
	mmio_write8(v->common + VIRTIO_STATUS, 0);
	for (unsigned int i = 0; virtio_status(v); i++)
		expect(i < SPINS);
}

bool virtio_negotiate(const struct virtio *v, uint64_t features)
{
	virtio_reset(v);
	mmio_write8(v->common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	mmio_write32(v->common + VIRTIO_GUEST_SELECT, 0);
	mmio_write32(v->common + VIRTIO_GUEST_FEATURE, (uint32_t)features);
	mmio_write32(v->common + VIRTIO_GUEST_SELECT, 1);
	mmio_write32(
		v->common + VIRTIO_GUEST_FEATURE, (uint32_t)(features >> 32) | VIRTIO_VERSION_1_HI);
	mmio_write8(
		v->common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return virtio_status(v) & VIRTIO_FEATURES_OK;
}

void virtio_enable(const struct virtio *v, unsigned int q, struct virtio_ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	mmio_write16(v->common + VIRTIO_Q_SELECT, (uint16_t)q);
	mmio_write16(v->common + VIRTIO_Q_SIZE, VIRTIO_QUEUE_SIZE);
	mmio_write64(v->common + VIRTIO_Q_DESC, (uint64_t)&ring->desc);
	mmio_write64(v->common + VIRTIO_Q_AVAIL, (uint64_t)&ring->avail);
	mmio_write64(v->common + VIRTIO_Q_USED, (uint64_t)&ring->used);
	mmio_write16(v->common + VIRTIO_Q_ENABLE, 1);
}

void virtio_driver_ok(const struct virtio *v)
{
	mmio_write8(v->common + VIRTIO_STATUS, virtio_status(v) | VIRTIO_DRIVER_OK);
}

void virtio_start(const struct virtio *v)
{
	virtio_enable(v, 0, &ring_memory);
	virtio_driver_ok(v);
}

void virtio_offer(volatile struct virtio_ring *ring, uint16_t head)
{
	ring->avail.ring[ring->avail.idx % VIRTIO_QUEUE_SIZE] = head;
	/* The device sees the entry before the index: x86 keeps the order of stores. */
	__asm__ volatile("" : : : "memory");
	ring->avail.idx++;
}

/* In this machine a queue's offset is its number. */
void virtio_notify(const struct virtio *v, unsigned int q)
{
	mmio_write16(v->notify + (uint64_t)q * v->notify_stride, (uint16_t)q);
}

void virtio_kick(const struct virtio *v)
{
	mmio_write16(v->notify, 0);
}

void virtio_submit(const struct virtio *v, uint16_t head)
{
	virtio_offer(v->ring, head);
	virtio_kick(v);
}

bool virtio_wait(const struct virtio *v, uint16_t n)
{
	for (unsigned int i = 0; i < SPINS; i++) {
		if (v->ring->used.idx == n)
			return true;
		/* Each look at a register is an exit. */
		if (i % 256 == 255 && virtio_status(v) & VIRTIO_NEEDS_RESET)
			return false;
		pause();
	}
	fail("the device neither used %u requests nor needs a reset", n);
}

void virtio_blk_flip(volatile struct virtio_blk_header *header, uint32_t random)
{
	static const uint32_t types[] = {0, 1, 0, 1, 4, 8, 0xffffffff, 1};
	static const uint64_t sectors[] = {0, 127, 128, 129, 1ULL << 55, 1, ~0ULL, 4096};

	uint64_t sector[] = {sectors[random >> 20 & 7], sectors[random >> 24 & 7]};
	uint32_t type[] = {types[random >> 16 & 7], types[random >> 27 & 7]};

	/* Between a few, as fast as it can. */
	for (unsigned int i = 0; i < 64; i++) {
		header->sector = sector[0];
		header->type = type[0];
		header->sector = sector[1];
		header->type = type[1];
	}
}
