/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule-breaking on any queue of a device (virtio 1.3, 2.7, 2.6.1, 4.1.4.3).
 */
#include "guest_abuse.h"

#define SPINS       (1u << 20)
#define SHORT_SPINS 2000u
#define N_LENGTHS   3u
#define N_TABLE     64u
#define Q_RESET     0x3a
#define RING_RESET  (1ULL << 40)
#define INDIRECT    (1ULL << 28)
#define SPARE       0x4000000ULL /* RAM that nobody uses, */
#define SPARE_SIZE  0x10000000u  /* so much of it */

struct virtio_ring abuse_rings[ABUSE_QUEUES] __attribute__((aligned(4096)));

static uint8_t buffer[8192] __attribute__((aligned(4096)));
static struct virtio_desc table[N_TABLE] __attribute__((aligned(16)));
static const uint32_t lengths[N_LENGTHS] = {1, 4096, 0xffffffff};

/* With one queue alone: each register is an exit. */
static void begin_with(const struct abuse_device *d, unsigned int q, uint64_t features)
{
	expect(virtio_negotiate(&d->virtio, features));
	virtio_enable(&d->virtio, q, &abuse_rings[q]);
	virtio_driver_ok(&d->virtio);
	expect(virtio_status(&d->virtio) & VIRTIO_DRIVER_OK);
}

static void begin(const struct abuse_device *d, unsigned int q)
{
	begin_with(d, q, d->features);
}

void abuse_begin(const struct abuse_device *d)
{
	expect(virtio_negotiate(&d->virtio, d->features));
	for (unsigned int q = 0; q < d->n_queues; q++)
		virtio_enable(&d->virtio, q, &abuse_rings[q]);
	virtio_driver_ok(&d->virtio);
}

void abuse_set(
	unsigned int q, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	volatile struct virtio_desc *desc = &abuse_rings[q].desc[i];

	desc->addr = addr;
	desc->len = len;
	desc->flags = flags;
	desc->next = next;
}

static void make_available(const struct abuse_device *d, unsigned int q, uint16_t head)
{
	virtio_offer(&abuse_rings[q], head);
	virtio_notify(&d->virtio, q);
}

void abuse_submit(
	const struct abuse_device *d, unsigned int q, uint64_t addr, uint32_t len, uint16_t flags)
{
	volatile struct virtio_ring *ring = &abuse_rings[q];
	unsigned int i = ring->avail.idx % VIRTIO_QUEUE_SIZE;

	abuse_set(q, i, addr, len, flags, 0);
	make_available(d, q, (uint16_t)i);
}

void abuse_expect_used(const struct abuse_device *d, unsigned int q, uint16_t n)
{
	volatile struct virtio_ring *ring = &abuse_rings[q];

	for (unsigned int i = 0; ring->used.idx != n; i++) {
		if (i % 256 == 255 && virtio_status(&d->virtio) & VIRTIO_NEEDS_RESET)
			fail("queue %u: the device needs a reset", q);
		if (i == SPINS)
			fail("queue %u: %u are used, not %u", q, ring->used.idx, n);
		pause();
	}
}

void abuse_pass_time(const struct abuse_device *d)
{
	for (unsigned int i = 0; i < SHORT_SPINS; i++)
		pause();
	(void)virtio_status(&d->virtio);
}

uint32_t abuse_random(void)
{
	static uint64_t state = 88172645463325252ULL;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 32);
}

static void bad_chains(const struct abuse_device *d, unsigned int q)
{
	static const struct {
		uint16_t flags[2], next[2];
	} chains[] = {
		{{VIRTIO_DESC_NEXT}, {0}}, {{VIRTIO_DESC_NEXT, VIRTIO_DESC_NEXT}, {1, 0}},
		{{VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE},
			{1, 0}},
		{{VIRTIO_DESC_NEXT}, {VIRTIO_QUEUE_SIZE}}, {{VIRTIO_DESC_NEXT}, {0xffff}},
		{{VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE}, {1}}, /* readable after writable */
		{{0xffff, 0xffff}, {1, 1}}, {{VIRTIO_DESC_INDIRECT}, {0}}, /* without the feature */
	};

	for (unsigned int i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		begin(d, q);
		for (unsigned int n = 0; n < 2; n++)
			abuse_set(
				q, n, (uint64_t)buffer, 16, chains[i].flags[n], chains[i].next[n]);
		make_available(d, q, 0);
		abuse_pass_time(d);
	}
	d->works();
}

static void bad_heads_and_indices(const struct abuse_device *d, unsigned int q)
{
	static const uint16_t values[] = {
		VIRTIO_QUEUE_SIZE, VIRTIO_QUEUE_SIZE + 1, 0x7fff, 0x8000, 0xffff};

	for (unsigned int i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		begin(d, q);
		make_available(d, q, values[i]);
		abuse_pass_time(d);
		begin(d, q);
		abuse_set(q, 0, (uint64_t)buffer, 16, 0, 0);
		abuse_rings[q].avail.idx = values[i];
		virtio_notify(&d->virtio, q);
		abuse_pass_time(d);
	}
	d->works();
}

/* A header of the queue's may be in the first buffer: the second one is bad then. */
static void bad_buffers(const struct abuse_device *d, unsigned int q)
{
	for (unsigned int i = 0; i < VIRTIO_N_NOWHERE * N_LENGTHS; i++) {
		uint64_t at = virtio_nowhere[i / N_LENGTHS];
		uint32_t len = lengths[i % N_LENGTHS];
		uint16_t write = i % 2 ? VIRTIO_DESC_WRITE : 0;

		begin(d, q);
		abuse_submit(d, q, at, len, write);
		abuse_set(q, 8, (uint64_t)buffer, len & 0xfff, VIRTIO_DESC_NEXT, 9);
		abuse_set(q, 9, at, len, write ^ VIRTIO_DESC_WRITE, 0);
		make_available(d, q, 8);
		abuse_pass_time(d);
	}
	d->works();
}

/* 4 GiB in a chain, 16 GiB in a table, all of it the same memory. */
static void too_much(const struct abuse_device *d, unsigned int q)
{
	for (uint16_t write = 0; write <= VIRTIO_DESC_WRITE; write += VIRTIO_DESC_WRITE) {
		begin(d, q);
		for (unsigned int i = 0; i < VIRTIO_QUEUE_SIZE; i++)
			abuse_set(q, i, SPARE, SPARE_SIZE,
				write | (i + 1 < VIRTIO_QUEUE_SIZE ? VIRTIO_DESC_NEXT : 0),
				(uint16_t)(i + 1));
		make_available(d, q, 0);
		abuse_pass_time(d);
		begin_with(d, q, d->features | INDIRECT);
		for (unsigned int i = 0; i < N_TABLE; i++)
			table[i] = (struct virtio_desc){.addr = SPARE,
				.len = SPARE_SIZE,
				.flags = write | (i + 1 < N_TABLE ? VIRTIO_DESC_NEXT : 0),
				.next = (uint16_t)(i + 1)};
		abuse_submit(d, q, (uint64_t)table, sizeof(table), VIRTIO_DESC_INDIRECT);
		abuse_pass_time(d);
	}
	d->works();
}

static void bad_tables(const struct abuse_device *d, unsigned int q)
{
	static const uint32_t sizes[] = {0, 1, 15, 17, sizeof(table), 0x10000, 0xfffffff0};

	for (unsigned int i = 0; i < N_TABLE; i++)
		table[i] = (struct virtio_desc){.addr = (uint64_t)buffer,
			.len = 64,
			.flags = VIRTIO_DESC_NEXT,
			.next = (uint16_t)(i + 1)}; /* leaves the table at its end */
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		begin_with(d, q, d->features | INDIRECT);
		abuse_submit(d, q, (uint64_t)table, sizes[i], VIRTIO_DESC_INDIRECT);
		abuse_pass_time(d);
	}
	table[3].next = 0; /* a loop */
	begin_with(d, q, d->features | INDIRECT);
	abuse_submit(d, q, (uint64_t)table, sizeof(table), VIRTIO_DESC_INDIRECT);
	abuse_pass_time(d);
	table[0].flags = VIRTIO_DESC_INDIRECT; /* a table in a table */
	begin_with(d, q, d->features | INDIRECT);
	abuse_submit(d, q, (uint64_t)table, sizeof(table), VIRTIO_DESC_INDIRECT);
	abuse_pass_time(d);
	d->works();
}

static void bad_rings(const struct abuse_device *d, unsigned int q)
{
	static const unsigned int registers[] = {VIRTIO_Q_DESC, VIRTIO_Q_AVAIL, VIRTIO_Q_USED};
	uint64_t common = d->virtio.common;

	for (unsigned int i = 0; i < 3 * VIRTIO_N_NOWHERE; i++) {
		expect(virtio_negotiate(&d->virtio, d->features));
		mmio_write16(common + VIRTIO_Q_SELECT, (uint16_t)q);
		mmio_write64(common + VIRTIO_Q_DESC, (uint64_t)&abuse_rings[q].desc);
		mmio_write64(common + VIRTIO_Q_AVAIL, (uint64_t)&abuse_rings[q].avail);
		mmio_write64(common + VIRTIO_Q_USED, (uint64_t)&abuse_rings[q].used);
		mmio_write64(common + registers[i % 3], virtio_nowhere[i / 3]);
		mmio_write16(common + VIRTIO_Q_ENABLE, 1);
		virtio_driver_ok(&d->virtio);
		virtio_notify(&d->virtio, q);
		expect(virtio_status(&d->virtio) & VIRTIO_NEEDS_RESET);
	}
	d->works();
}

/* With requests in flight, of which the device may keep some. */
static void queue_resets(const struct abuse_device *d, unsigned int q)
{
	uint64_t common = d->virtio.common;

	begin_with(d, q, d->features | RING_RESET);
	for (unsigned int i = 0; i < 20; i++) {
		for (unsigned int n = 0; n < VIRTIO_QUEUE_SIZE; n++)
			abuse_submit(d, q, (uint64_t)buffer, 512, i & 1 ? VIRTIO_DESC_WRITE : 0);
		mmio_write16(common + VIRTIO_Q_SELECT, (uint16_t)q);
		mmio_write16(common + Q_RESET, 1);
		for (unsigned int spins = 0; mmio_read16(common + Q_RESET); spins++)
			expect(spins < SPINS);
		virtio_notify(&d->virtio, q);
		if (!(virtio_status(&d->virtio) & VIRTIO_NEEDS_RESET)) {
			virtio_enable(&d->virtio, q, &abuse_rings[q]);
			continue;
		}
		expect(d->is_strict);
		begin_with(d, q, d->features | RING_RESET);
	}
	d->works();
}

static uint64_t any_address(uint32_t random)
{
	switch (random & 3) {
	case 0:
		return virtio_nowhere[random / 4 % VIRTIO_N_NOWHERE];
	case 1:
		return SPARE + (random >> 8 & 0xfffff);
	default:
		return (uint64_t)buffer + (random >> 8 & 0xfff);
	}
}

/* Whatever comes to mind, to any queue; now and then the device is reset under it. */
static void storm(const struct abuse_device *d)
{
	for (unsigned int i = guest_option("requests", 300); i; i--) {
		uint32_t random = abuse_random();
		unsigned int q = random % d->n_abused;

		if (random >> 24 < 16 || virtio_status(&d->virtio) & VIRTIO_NEEDS_RESET)
			abuse_begin(d);
		abuse_submit(d, q, any_address(abuse_random()),
			random & 0x1000 ? lengths[(random >> 16) % N_LENGTHS]
					: random >> 16 & 0xfff,
			random >> 8 & VIRTIO_DESC_WRITE);
	}
	d->works();
}

void abuse_all_queues(const struct abuse_device *d)
{
	static void (*const cases[])(const struct abuse_device *d, unsigned int q) = {bad_chains,
		bad_heads_and_indices, bad_buffers, too_much, bad_tables, bad_rings, queue_resets};

	d->works();
	for (unsigned int q = 0; q < d->n_abused; q++) {
		for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			cases[i](d, q);
		print("queue %u: done\n", q);
	}
	storm(d);
	print("storm: done\n");
}

void abuse_run(
	const struct abuse_device *d, const char *name, void (*const *cases)(void), unsigned int n)
{
	abuse_all_queues(d);
	for (unsigned int i = 0; i < n; i++) {
		cases[i]();
		print("%s: case %u done\n", name, i);
	}
	virtio_reset(&d->virtio);
}
