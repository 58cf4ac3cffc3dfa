/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that breaks the rules of packed queues (virtio 1.3, 2.8), of resets of a queue (2.6.1)
 * and of notifications with data (4.1.5.2), on the entropy device and on the disk. After each case
 * the device must work again when it is reset. A second processor, where there is one, changes
 * descriptors, and the disk's requests, while the device reads them.
 */
#include <stdatomic.h>

#include "guest_virtio.h"

#define FEATURE_INDIRECT          (1ULL << 28)
#define FEATURE_EVENT_IDX         (1ULL << 29)
#define FEATURE_PACKED            (1ULL << 34)
#define FEATURE_IN_ORDER          (1ULL << 35)
#define FEATURE_NOTIFICATION_DATA (1ULL << 38)
#define FEATURE_RING_RESET        (1ULL << 40)

#define DESC_AVAIL                0x0080
#define DESC_USED                 0x8000
#define Q_RESET                   0x3a
#define GARBAGE                   0xa5
#define SPINS                     (1u << 22)
#define SIZE                      16u

/* In packed rings `next` is the buffer's id, and comes before the flags. */
struct packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

static struct {
	struct packed_desc desc[SIZE];
	uint32_t driver, device; /* event suppression: position, flags */
} ring __attribute__((aligned(4096)));

static struct virtio device;
static bool is_disk;
static uint64_t offered;
static unsigned int size; /* of the ring */
static unsigned int next; /* where the driver goes on, */
static bool wrap;         /* and its wrap counter */
static bool open_chain;   /* its first descriptor is not shown yet, */
static unsigned int head; /* where that is, */
static uint16_t head_flags;
static uint8_t buffer[4096] __attribute__((aligned(4096)));
static struct packed_desc table[64] __attribute__((aligned(16)));

static volatile struct packed_desc *desc_at(unsigned int i)
{
	return &ring.desc[i];
}

/* ---- A driver that does it right ---- */

static void place_queue(unsigned int n)
{
	mmio_write16(device.common + VIRTIO_Q_SELECT, 0);
	mmio_write16(device.common + VIRTIO_Q_SIZE, (uint16_t)n);
	mmio_write64(device.common + VIRTIO_Q_DESC, (uint64_t)ring.desc);
	mmio_write64(device.common + VIRTIO_Q_AVAIL, (uint64_t)&ring.driver);
	mmio_write64(device.common + VIRTIO_Q_USED, (uint64_t)&ring.device);
}

static void clear_ring(unsigned int n)
{
	memset(&ring, 0, sizeof(ring));
	size = n;
	next = 0;
	wrap = true;
	open_chain = false;
}

static void begin_sized(uint64_t features, unsigned int n)
{
	expect(virtio_negotiate(&device, FEATURE_PACKED | features));
	clear_ring(n);
	place_queue(n);
	mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
	mmio_write8(device.common + VIRTIO_STATUS, virtio_status(&device) | VIRTIO_DRIVER_OK);
	expect(virtio_status(&device) & VIRTIO_DRIVER_OK);
	expect(!(virtio_status(&device) & VIRTIO_NEEDS_RESET));
}

static void begin(uint64_t features)
{
	begin_sized(features, SIZE);
}

static uint16_t available(void)
{
	return wrap ? DESC_AVAIL : DESC_USED;
}

/* The flags of a chain's first descriptor are written last: they show it (2.8.21.1.1). */
static void show_chain(void)
{
	if (!open_chain)
		return;
	__asm__ volatile("" : : : "memory");
	desc_at(head)->flags = head_flags;
	open_chain = false;
}

/* A descriptor at the driver's position. */
static void put(uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
	volatile struct packed_desc *d = desc_at(next);

	d->addr = addr;
	d->len = len;
	d->id = id;
	if (open_chain) {
		d->flags = flags | available();
	} else {
		open_chain = true;
		head = next;
		head_flags = flags | available();
	}
	if (!(flags & VIRTIO_DESC_NEXT))
		show_chain();
	if (++next == size) {
		next = 0;
		wrap = !wrap;
	}
}

static void kick(void)
{
	show_chain();
	virtio_kick(&device);
}

static bool needs_reset(void)
{
	return virtio_status(&device) & VIRTIO_NEEDS_RESET;
}

/* Waits until the descriptor at a position is used, or the device needs a reset; which of them. */
static bool wait_used(unsigned int at, bool counter)
{
	for (unsigned int i = 0; i < SPINS; i++) {
		uint16_t flags = desc_at(at)->flags;

		if (!!(flags & DESC_AVAIL) == counter && !!(flags & DESC_USED) == counter)
			return true;
		if (i % 256 == 255 && needs_reset())
			return false;
		pause();
	}
	fail("the device neither used descriptor %u nor needs a reset", at);
}

/* A proper request: of random bytes, or of the disk's first sector. A disk takes three descriptors,
 * a ring of one only by a table. */
static void request(uint16_t id)
{
	unsigned int at = next;
	bool counter = wrap;

	memset(buffer, 0, 16);
	memset(buffer + 576, GARBAGE, 64);
	if (is_disk)
		put((uint64_t)buffer, 16, VIRTIO_DESC_NEXT, id);
	put((uint64_t)buffer + 64, 512, VIRTIO_DESC_WRITE | (is_disk ? VIRTIO_DESC_NEXT : 0), id);
	if (is_disk)
		put((uint64_t)buffer + 600, 1, VIRTIO_DESC_WRITE, id);
	kick();
	expect(wait_used(at, counter));
	expect(desc_at(at)->id == id);
	expect(desc_at(at)->len == (is_disk ? 513 : 512));
	expect(!is_disk || buffer[600] == 0);
	/* Nothing is written but what the length says. */
	for (unsigned int i = is_disk ? 601 : 576; i < 640; i++)
		expect(buffer[i] == GARBAGE);
}

static void works(void)
{
	begin(0);
	request(7);
}

/* ---- What is allowed ---- */

/* Each feature alone and in pairs, in rings of any size, many times around. */
static void all_features(void)
{
	static const uint64_t features[] = {0, FEATURE_INDIRECT, FEATURE_EVENT_IDX,
		FEATURE_IN_ORDER, FEATURE_NOTIFICATION_DATA, FEATURE_RING_RESET};
	static const unsigned int sizes[] = {3, 5, 7, 8, 15, 16};

	for (unsigned int i = 0; i < 6; i++) {
		for (unsigned int j = 0; j <= i; j++) {
			uint64_t both = features[i] | features[j];

			if (both & ~offered)
				continue;
			begin_sized(both, sizes[i]);
			for (uint16_t n = 0; n < 2 * sizes[i]; n++)
				request((uint16_t)(n * 0x1357));
		}
	}
}

/* Where no counter of 16 bits is to meet its end badly: 70000 requests are asked for. */
static void many_laps(void)
{
	begin_sized(FEATURE_EVENT_IDX, 7);
	for (unsigned int i = guest_option("requests", 300); i; i--)
		request((uint16_t)i);
}

/* ---- What is not ---- */

/* What was put there may be refused, or used in some way, or not be seen. */
static void submit_bad(void)
{
	kick();
	for (unsigned int i = 0; i < 64 && !needs_reset(); i++)
		pause();
	works();
}

static void bad_chains(void)
{
	/* Every descriptor says that there is another one: around and around. */
	begin(0);
	for (unsigned int i = 0; i < SIZE; i++)
		put((uint64_t)buffer, 64, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, 0);
	kick();
	expect(!wait_used(0, true));
	/* The rest of the chain was never made available. */
	begin(0);
	put((uint64_t)buffer, 64, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, 0);
	submit_bad();
	/* Readable after writable. */
	begin(0);
	put((uint64_t)buffer, 64, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, 0);
	put((uint64_t)buffer, 64, 0, 0);
	kick();
	expect(!wait_used(0, true));
	/* A chain of a single one in a ring of one. */
	begin_sized(0, 1);
	put((uint64_t)buffer, 64, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, 0);
	kick();
	expect(!wait_used(0, true));
	works();
}

/* Whatever the flags of a whole ring say, and whichever lap they are of. */
static void all_flags(void)
{
	static const uint16_t laps[] = {0, DESC_AVAIL, DESC_USED, DESC_AVAIL | DESC_USED};

	for (unsigned int lap = 0; lap < 4; lap++) {
		for (unsigned int flags = 0; flags < 8; flags++) {
			begin(flags & 1 ? FEATURE_INDIRECT : 0);
			for (unsigned int i = 0; i < SIZE; i++) {
				*desc_at(i) = (struct packed_desc){.addr = (uint64_t)buffer,
					.len = i * 16,
					.id = (uint16_t)(i * 0x1111)};
				desc_at(i)->flags = (uint16_t)(0x7f78 | flags | laps[lap]);
				desc_at(i)->flags = (uint16_t)(flags | laps[lap]);
			}
			submit_bad();
		}
	}
}

/* The device never gave these back: the driver takes them again. */
static void descriptors_in_flight(void)
{
	begin(0);
	for (unsigned int i = 0; i < 4 * SIZE; i++) {
		put((uint64_t)buffer, sizeof(buffer), VIRTIO_DESC_WRITE, (uint16_t)i);
		kick();
	}
	submit_bad();
}

static void bad_buffers(void)
{
	static const uint32_t lengths[] = {0, 1, 15, 513, 0x7fffffff, 0xffffffff};

	for (unsigned int i = 0; i < VIRTIO_N_NOWHERE; i++) {
		for (unsigned int j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			begin(0);
			if (is_disk)
				put((uint64_t)buffer, 16, VIRTIO_DESC_NEXT, 0);
			put(virtio_nowhere[i], lengths[j], VIRTIO_DESC_WRITE, 0);
			kick();
			(void)wait_used(0, true);
		}
	}
	works();
}

static void indirect(uint64_t features, uint64_t addr, uint32_t len, uint16_t flags)
{
	begin(features);
	put(addr, len, flags, 3);
	put((uint64_t)buffer, 16, VIRTIO_DESC_WRITE, 3);
	kick();
	(void)wait_used(0, true);
}

static void bad_tables(void)
{
	static const uint32_t lengths[] = {0, 1, 15, 17, sizeof(table), 0x10000, 0xfffffff0};
	uint16_t flags = VIRTIO_DESC_INDIRECT;

	for (unsigned int i = 0; i < 64; i++)
		table[i] = (struct packed_desc){.addr = (uint64_t)buffer,
			.len = 64,
			.flags = VIRTIO_DESC_WRITE,
			.id = (uint16_t)(63 - i)};
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		indirect(FEATURE_INDIRECT, (uint64_t)table, lengths[i], flags);
	indirect(FEATURE_INDIRECT, (uint64_t)table, 64, flags | VIRTIO_DESC_NEXT);
	indirect(FEATURE_INDIRECT, (uint64_t)table, 64, flags | VIRTIO_DESC_WRITE);
	/* Behind a direct descriptor (2.8.19). */
	begin(FEATURE_INDIRECT);
	put((uint64_t)buffer, 16, VIRTIO_DESC_WRITE | VIRTIO_DESC_NEXT, 3);
	put((uint64_t)table, 64, flags, 3);
	kick();
	(void)wait_used(0, true);
	expect(needs_reset());
	/* An entry that is a table. */
	table[1].flags = VIRTIO_DESC_INDIRECT;
	table[1].addr = (uint64_t)table;
	indirect(FEATURE_INDIRECT, (uint64_t)table, 64, flags);
	expect(needs_reset());
	for (unsigned int i = 0; i < VIRTIO_N_NOWHERE; i++)
		indirect(FEATURE_INDIRECT, virtio_nowhere[i], 64, flags);
	/* Without the feature. */
	indirect(0, (uint64_t)table, 64, flags);
	expect(needs_reset());
	works();
}

static void bad_rings(void)
{
	static const unsigned int registers[] = {VIRTIO_Q_DESC, VIRTIO_Q_AVAIL, VIRTIO_Q_USED};
	static const uint64_t odd[] = {1, 2, 4, 8};

	for (unsigned int r = 0; r < 3; r++) {
		for (unsigned int i = 0; i < VIRTIO_N_NOWHERE + 4; i++) {
			uint64_t own = r == 0   ? (uint64_t)ring.desc
				       : r == 1 ? (uint64_t)&ring.driver
						: (uint64_t)&ring.device;
			uint64_t at = i < VIRTIO_N_NOWHERE ? virtio_nowhere[i]
							   : own + odd[i - VIRTIO_N_NOWHERE];

			expect(virtio_negotiate(&device, FEATURE_PACKED));
			place_queue(SIZE);
			mmio_write64(device.common + registers[r], at);
			mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
			mmio_write8(device.common + VIRTIO_STATUS,
				virtio_status(&device) | VIRTIO_DRIVER_OK);
			kick();
			/* The event structures need be aligned to 4 only (2.8.10.1). */
			expect(needs_reset() || (r && !(at & 3)));
		}
	}
	works();
}

/* Event suppression of nonsense: positions outside of the ring, flags that do not exist. */
static void bad_events(void)
{
	static const uint32_t events[] = {0xffffffff, 0x3ffff, 0x20000, 0x2000f, 0x28010, 0x2ffff,
		0x10000, 0x30000, 0xfffc0000, 0x27fff};

	for (unsigned int i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		begin(i & 1 ? FEATURE_EVENT_IDX : 0);
		for (unsigned int n = 0; n < 2 * SIZE; n++) {
			ring.driver = events[i];
			ring.device = ~events[i];
			request((uint16_t)n);
		}
	}
}

/* The registers of a live queue do not move. */
static void live_registers(void)
{
	static const uint16_t values[] = {0, 3, 1, 0x8000, 0xffff};

	begin(0);
	for (unsigned int i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		mmio_write16(device.common + VIRTIO_Q_SIZE, values[i]);
		mmio_write16(device.common + VIRTIO_Q_VECTOR, values[i]);
		mmio_write16(device.common + VIRTIO_Q_ENABLE, 0);
		mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
		mmio_write64(device.common + VIRTIO_Q_DESC, virtio_nowhere[i]);
		mmio_write64(device.common + VIRTIO_Q_AVAIL, virtio_nowhere[i] + 1);
		mmio_write64(device.common + VIRTIO_Q_USED, virtio_nowhere[i] + 3);
		mmio_write16(device.common + Q_RESET, 1); /* was not negotiated */
		expect(mmio_read16(device.common + Q_RESET) == 0);
		expect(mmio_read16(device.common + VIRTIO_Q_ENABLE) == 1);
		/* Features are settled. */
		mmio_write32(device.common + VIRTIO_GUEST_SELECT, i & 1);
		mmio_write32(device.common + VIRTIO_GUEST_FEATURE, values[i]);
		request(values[i]);
	}
	works();
}

/* ---- Resets of a queue ---- */

static void wait_queue_reset(void)
{
	for (unsigned int i = 0; mmio_read16(device.common + Q_RESET); i++)
		expect(i < SPINS);
	expect(mmio_read16(device.common + VIRTIO_Q_ENABLE) == 0);
}

static void enable_again(unsigned int n)
{
	clear_ring(n);
	place_queue(n);
	mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
	expect(mmio_read16(device.common + VIRTIO_Q_ENABLE) == 1);
}

static void reset_queue(void)
{
	mmio_write16(device.common + VIRTIO_Q_SELECT, 0);
	mmio_write16(device.common + Q_RESET, 1);
	wait_queue_reset();
}

static void queue_resets(void)
{
	begin(FEATURE_RING_RESET);
	for (unsigned int i = 0; i < 50; i++) {
		/* Requests in flight, of which nobody hears any more. */
		for (unsigned int n = 0; n < 4; n++)
			put((uint64_t)buffer, 512, VIRTIO_DESC_WRITE, (uint16_t)n);
		if (!is_disk)
			kick();
		reset_queue();
		kick();
		enable_again(3 + i % (SIZE - 2));
		request((uint16_t)i);
	}
}

static void misused_queue_resets(void)
{
	static const uint16_t values[] = {0, 2, 3, 0x8000, 0xffff};

	begin(FEATURE_RING_RESET);
	for (unsigned int i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		mmio_write16(device.common + Q_RESET, values[i]);
		expect(values[i] == 1 || mmio_read16(device.common + VIRTIO_Q_ENABLE) == 1);
		mmio_write8(device.common + Q_RESET, 1);
		mmio_write32(device.common + Q_RESET, 1);
		/* Of a queue that does not exist. */
		mmio_write16(device.common + VIRTIO_Q_SELECT, 0x7fff);
		mmio_write16(device.common + Q_RESET, 1);
		expect(mmio_read16(device.common + Q_RESET) == 0);
		mmio_write16(device.common + VIRTIO_Q_SELECT, 0);
		request(values[i]);
	}
	/* Twice, and while it goes on everything is tried. */
	for (unsigned int i = 0; i < 50; i++) {
		mmio_write16(device.common + Q_RESET, 1);
		mmio_write16(device.common + Q_RESET, 1);
		mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
		mmio_write16(device.common + VIRTIO_Q_SIZE, 1);
		mmio_write64(device.common + VIRTIO_Q_DESC, virtio_nowhere[i % VIRTIO_N_NOWHERE]);
		kick();
		virtio_reset(&device);
		begin(FEATURE_RING_RESET);
		request(1);
	}
	/* Before there is anything to be reset. */
	expect(virtio_negotiate(&device, FEATURE_PACKED | FEATURE_RING_RESET));
	mmio_write16(device.common + VIRTIO_Q_SELECT, 0);
	mmio_write16(device.common + Q_RESET, 1);
	expect(mmio_read16(device.common + Q_RESET) == 0);
	works();
}

/* Enabled again in bad places: the device needs a reset, and works after it. */
static void bad_rings_after_a_reset(void)
{
	for (unsigned int i = 0; i < VIRTIO_N_NOWHERE; i++) {
		begin(FEATURE_RING_RESET);
		reset_queue();
		place_queue(SIZE);
		mmio_write64(device.common + VIRTIO_Q_DESC, virtio_nowhere[i]);
		mmio_write16(device.common + VIRTIO_Q_ENABLE, 1);
		kick();
		for (unsigned int n = 0; !needs_reset(); n++)
			expect(n < SPINS);
		reset_queue();
		kick();
	}
	works();
}

/* ---- Notifications that say something else ---- */

static void bad_notifications(void)
{
	static const uint32_t data[] = {
		0, 0xffffffff, 0x80000000, 0x7fff0000, 0x0000ffff, 0x00100001};

	for (unsigned int with = 0; with < 2; with++) {
		begin(with ? FEATURE_NOTIFICATION_DATA : 0);
		for (unsigned int i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
			for (unsigned int offset = 0; offset < 64; offset++) {
				mmio_write8(device.notify + offset, (uint8_t)data[i]);
				mmio_write16(device.notify + offset, (uint16_t)data[i]);
				mmio_write32(device.notify + offset, data[i]);
				mmio_write64(device.notify + offset, data[i] * 0x100000001ULL);
			}
			request((uint16_t)i);
		}
	}
}

/* ---- Descriptors and requests that change while they are read ---- */

/* 0: no other processor; 1: it waits; 2: changes descriptors; 3: changes a disk's request */
static atomic_uint flipping;
static volatile struct virtio_blk_header header;

static void flip(unsigned int number)
{
	atomic_store(&flipping, 1);
	for (uint32_t n = 1;; n = n * 1664525 + 1013904223) {
		volatile struct packed_desc *d =
			n & 1 ? desc_at(n >> 8 & 3) : (struct packed_desc *)&table[n >> 8 & 3];

		if (atomic_load(&flipping) == 3)
			virtio_blk_flip(&header, n);
		if (atomic_load(&flipping) != 2) {
			pause();
			continue;
		}
		d->len = n & 0x40000000 ? n : 512;
		d->addr = n & 0x20000000 ? virtio_nowhere[n >> 12 & 7] : (uint64_t)buffer;
		d->flags = (uint16_t)((n >> 16 & 0x8087) | (n >> 4 & 7));
		d->id = (uint16_t)(n >> 10);
	}
}

static void changing_descriptors(void)
{
	if (!atomic_load(&flipping))
		return;
	for (unsigned int i = 0; i < 300; i++) {
		begin(FEATURE_INDIRECT);
		atomic_store(&flipping, 2);
		for (unsigned int n = 0; n < 8; n++) {
			put((uint64_t)table, 64, VIRTIO_DESC_INDIRECT, (uint16_t)n);
			kick();
		}
		(void)virtio_status(&device);
		atomic_store(&flipping, 1);
	}
	works();
}

/* Whatever the request was when it was looked at, it is used; the disk holds 0x5a everywhere, and
 * nothing else is written to it. */
static void changing_requests(void)
{
	static uint8_t same[1024];
	static volatile uint8_t status;

	if (!is_disk || !atomic_load(&flipping))
		return;
	memset(same, 0x5a, sizeof(same));
	begin(0);
	atomic_store(&flipping, 3);
	for (unsigned int i = 0; i < 4000; i++) {
		unsigned int at = next;
		bool counter = wrap;

		status = GARBAGE;
		put((uint64_t)&header, sizeof(header), VIRTIO_DESC_NEXT, (uint16_t)i);
		put(i & 1 ? (uint64_t)same : (uint64_t)buffer, i & 2 ? 512 : 1024,
			VIRTIO_DESC_NEXT | (i & 1 ? 0 : VIRTIO_DESC_WRITE), (uint16_t)i);
		put((uint64_t)&status, 1, VIRTIO_DESC_WRITE, (uint16_t)i);
		kick();
		expect(wait_used(at, counter));
		expect(status <= 2);
	}
	atomic_store(&flipping, 1);
	works();
}

static void abuse(uint16_t id)
{
	static void (*const cases[])(void) = {works, all_features, many_laps, bad_chains, all_flags,
		descriptors_in_flight, bad_buffers, bad_tables, bad_rings, bad_events,
		live_registers, queue_resets, misused_queue_resets, bad_rings_after_a_reset,
		bad_notifications, changing_descriptors, changing_requests};

	if (!virtio_find(id, &device))
		fail("no virtio device %u", id);
	is_disk = id == 2;
	mmio_write32(device.common + VIRTIO_FEATURE_SELECT, 1);
	offered = (uint64_t)mmio_read32(device.common + VIRTIO_FEATURE) << 32;
	mmio_write32(device.common + VIRTIO_FEATURE_SELECT, 0);
	offered |= mmio_read32(device.common + VIRTIO_FEATURE);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cases[i]();
		print("virtio %u: packed case %u done\n", id, i);
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
