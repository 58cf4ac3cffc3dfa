/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that breaks the rules of persistent memory (virtio 1.3, 5.19). It leaves the file as it
 * was, but for the first four bytes: those are 0, the answer to a flush.
 */
#include "guest_abuse.h"

#define FLUSH        0u
#define OK           0u
#define FAILED       0xffffffffu
#define GARBAGE      0xa5a5a5a5u
#define CONFIG_START 0u
#define CONFIG_SIZE  8u

static void works(void);
static struct abuse_device device = {.n_queues = 1, .n_abused = 1, .works = works};

static uint32_t type;
static volatile uint32_t answers[2];
static uint8_t block[65536] __attribute__((aligned(4096)));

/* A request of two buffers; how many bytes of the second one were written. */
static uint32_t request(uint64_t from, uint32_t from_len, uint64_t to, uint32_t to_len)
{
	volatile struct virtio_ring *ring = &abuse_rings[0];
	uint16_t n = ring->avail.idx;

	answers[0] = answers[1] = GARBAGE;
	abuse_set(0, 0, from, from_len, VIRTIO_DESC_NEXT, 1);
	abuse_set(0, 1, to, to_len, VIRTIO_DESC_WRITE, 0);
	virtio_offer(&abuse_rings[0], 0);
	virtio_notify(&device.virtio, 0);
	abuse_expect_used(&device, 0, (uint16_t)(n + 1));
	expect(answers[1] == GARBAGE);
	return ring->used.ring[n % VIRTIO_QUEUE_SIZE].len;
}

static void flush(void)
{
	type = FLUSH;
	expect(request((uint64_t)&type, sizeof(type), (uint64_t)answers, sizeof(answers[0])) == 4);
	expect(answers[0] == OK);
}

static void works(void)
{
	abuse_begin(&device);
	flush();
}

static void unknown_types(void)
{
	static const uint32_t types[] = {
		1, 2, 4, 0x100, 0x10000, 0x1000000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};

	abuse_begin(&device);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		type = types[i];
		expect(request((uint64_t)&type, sizeof(type), (uint64_t)answers, 4) == 4);
		expect(answers[0] == FAILED);
	}
	flush();
}

/* Less than a type, less than an answer; more than both. */
static void odd_lengths(void)
{
	abuse_begin(&device);
	type = FLUSH;
	for (uint32_t len = 0; len < 4; len++) {
		expect(request((uint64_t)&type, len, (uint64_t)answers, 4) == 0);
		expect(answers[0] == GARBAGE);
		expect(request((uint64_t)&type, 4, (uint64_t)answers, len) == 0);
		expect(answers[0] == GARBAGE);
	}
	expect(request((uint64_t)block, sizeof(block), (uint64_t)answers, 5) == 4);
	expect(answers[0] == OK);
	expect(request((uint64_t)block, 4, (uint64_t)block, sizeof(block)) == 4);
	/* The answer where the question is. */
	expect(request((uint64_t)&answers[0], 4, (uint64_t)&answers[0], 4) == 4);
	expect(answers[0] == FAILED);
	/* One of both alone. */
	abuse_submit(&device, 0, (uint64_t)&type, 4, 0);
	abuse_submit(&device, 0, (uint64_t)&type, 4, VIRTIO_DESC_WRITE);
	abuse_expect_used(&device, 0, abuse_rings[0].avail.idx);
	expect(type == FLUSH);
	flush();
}

/* A byte a descriptor, and empty ones between them. */
static void pieces(void)
{
	abuse_begin(&device);
	type = FLUSH;
	answers[0] = answers[1] = GARBAGE;
	for (unsigned int i = 0; i < VIRTIO_QUEUE_SIZE; i++) {
		bool write = i >= VIRTIO_QUEUE_SIZE / 2;
		uint64_t at = (write ? (uint64_t)answers : (uint64_t)&type) + i / 2 % 4;

		abuse_set(0, i, at, i & 1,
			(write ? VIRTIO_DESC_WRITE : 0) |
				(i + 1 < VIRTIO_QUEUE_SIZE ? VIRTIO_DESC_NEXT : 0),
			(uint16_t)(i + 1));
	}
	virtio_offer(&abuse_rings[0], 0);
	virtio_notify(&device.virtio, 0);
	abuse_expect_used(&device, 0, 1);
	expect(answers[0] == OK && answers[1] == GARBAGE);
	flush();
}

/* In the persistent memory itself, which is memory as any; and over its end, which is none. */
static void in_itself(void)
{
	uint64_t start = mmio_read64(device.virtio.config + CONFIG_START);
	uint64_t end = start + mmio_read64(device.virtio.config + CONFIG_SIZE);

	abuse_begin(&device);
	type = FLUSH;
	expect(request((uint64_t)&type, 4, start, 4) == 4);
	expect(request(start, 4, (uint64_t)answers, 4) == 4);
	expect(answers[0] == OK);
	for (unsigned int over = 1; over <= 4; over++) {
		abuse_begin(&device);
		abuse_submit(&device, 0, end + over - 4, 4, over & 1 ? VIRTIO_DESC_WRITE : 0);
		for (unsigned int spins = 0; !(virtio_status(&device.virtio) & VIRTIO_NEEDS_RESET);
			spins++)
			expect(spins < 1U << 20);
	}
	works();
}

/* Nothing of it is the driver's to write. */
static void configuration(void)
{
	uint64_t config = device.virtio.config;
	uint64_t start = mmio_read64(config + CONFIG_START);
	uint64_t size = mmio_read64(config + CONFIG_SIZE);

	for (unsigned int offset = 0; offset < 40; offset++) {
		mmio_write8(config + offset, 0);
		mmio_write16(config + offset, 0xffff);
		mmio_write32(config + offset, 0x80000000);
		mmio_write64(config + offset, 0xfffffffffffffff1);
		(void)mmio_read8(config + offset);
		(void)mmio_read64(config + offset);
	}
	expect(mmio_read64(config + CONFIG_START) == start);
	expect(mmio_read64(config + CONFIG_SIZE) == size);
	works();
}

void guest_main(void)
{
	static void (*const cases[])(void) = {
		unknown_types, odd_lengths, pieces, in_itself, configuration};

	if (!virtio_find(27, &device.virtio))
		fail("no persistent memory");
	abuse_run(&device, "pmem", cases, sizeof(cases) / sizeof(cases[0]));
	pass();
}
