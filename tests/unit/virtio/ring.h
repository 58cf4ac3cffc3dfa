/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of one split ring, in a RAM that the test made: chains are laid out from free
 * descriptors (the test does not have more in flight than there are), results are read back.
 */
#pragma once

#include "unit.h"

#include <stdlib.h>

#include "base/endian.h"
#include "virtio/queue/virtq.h"

#define RING_WRITE 2 /* descriptor flag: device-writable */

struct ring {
	struct ram *ram;
	uint16_t size;
	uint64_t desc, avail, used; /* gpa */
	struct ram_window avail_window, used_window;
	uint16_t next_desc;
	uint16_t avail_idx, used_idx; /* as the driver counts */
};

struct piece {
	uint64_t addr;
	uint32_t len;
	uint16_t flags; /* 0 or RING_WRITE */
};

static inline void ram_put(struct ram *ram, uint64_t gpa, uint64_t value, unsigned int size)
{
	uint8_t raw[8];

	store_le64(raw, value);
	assert_int_equal(ram_write(ram, gpa, raw, size), 0);
}

static inline uint64_t ram_get(struct ram *ram, uint64_t gpa, unsigned int size)
{
	uint8_t raw[8] = {0};

	assert_int_equal(ram_read(ram, gpa, raw, size), 0);
	return load_le64(raw);
}

/* A ring of this size at a page of its own, two more behind it. */
static inline struct ring ring_at(struct ram *ram, uint64_t gpa, uint16_t size)
{
	struct ring r = {
		.ram = ram, .size = size, .desc = gpa, .avail = gpa + 0x1000, .used = gpa + 0x2000};

	assert_int_equal(ram_window_init(ram, r.avail, 0x1000, 2, &r.avail_window), 0);
	assert_int_equal(ram_window_init(ram, r.used, 0x1000, 4, &r.used_window), 0);
	return r;
}

/* Makes a chain of n pieces available; its head. */
static inline uint16_t ring_add(struct ring *r, const struct piece *pieces, unsigned int n)
{
	uint16_t head = r->next_desc;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t at = r->desc + 16ull * r->next_desc;

		r->next_desc = (uint16_t)((r->next_desc + 1) % r->size);
		ram_put(r->ram, at, pieces[i].addr, 8);
		ram_put(r->ram, at + 8, pieces[i].len, 4);
		ram_put(r->ram, at + 12, pieces[i].flags | (i + 1 < n ? 1u : 0), 2);
		ram_put(r->ram, at + 14, r->next_desc, 2);
	}
	ram_put(r->ram, r->avail + 4 + 2ull * (r->avail_idx % r->size), head, 2);
	/* Release: the device's acquire is in virtq_pop(). */
	ram_window_store16(&r->avail_window, 2, ++r->avail_idx, memory_order_release);
	return head;
}

/* Requests that the device has completed and the driver has not taken. */
static inline unsigned int ring_completed(const struct ring *r)
{
	return (uint16_t)(ram_window_load16(&r->used_window, 2, memory_order_acquire) -
			  r->used_idx);
}

/* The next completion, which must be there; its length. */
static inline uint32_t ring_take(struct ring *r, uint16_t head)
{
	uint64_t at = r->used + 4 + 8ull * (r->used_idx % r->size);

	assert_true(ring_completed(r) > 0);
	assert_int_equal(ram_get(r->ram, at, 4), head);
	r->used_idx++;
	return (uint32_t)ram_get(r->ram, at + 4, 4);
}

/* The next completion, whichever it is; its length. */
static inline uint32_t ring_take_any(struct ring *r)
{
	uint64_t at = r->used + 4 + 8ull * (r->used_idx++ % r->size);

	return (uint32_t)ram_get(r->ram, at + 4, 4);
}

/* ---- A device without transport: the queue is up, signals are counted ---- */

#include "virtio/virtio.h"

#define BENCH_RAM  0x2000000 /* 255 pieces of it are more than 32 bits */
#define BENCH_RING 0x10000

struct bench {
	struct ram *ram;
	struct virtio_dev *dev;
	struct virtio_transport transport;
	struct loop *loop; /* not run */
	struct ring ring;
	unsigned int signals, agains, resets;
};

static inline void bench_signal(struct virtio_transport *transport, unsigned int q)
{
	container_of(transport, struct bench, transport)->signals++;
}

static inline void bench_again(struct virtio_transport *transport, unsigned int q)
{
	container_of(transport, struct bench, transport)->agains++;
}

static inline void bench_needs_reset(struct virtio_transport *transport)
{
	container_of(transport, struct bench, transport)->resets++;
}

/* Takes the device over, and starts its queue 0 with the largest size. */
static inline void bench_start(struct bench *b, struct virtio_dev *dev)
{
	static const struct ram_options anon = {.backend = RAM_ANON};
	struct virtq_layout layout = {.size = dev->queue_size};

	*b = (struct bench){.dev = dev,
		.transport = {.signal = bench_signal,
			.again = bench_again,
			.needs_reset = bench_needs_reset}};
	assert_ok(ram_create(&anon, &b->ram));
	assert_ok(ram_add(b->ram, 0, BENCH_RAM, "bench"));
	b->ring = ring_at(b->ram, BENCH_RING, dev->queue_size);
	layout.desc = b->ring.desc;
	layout.driver = b->ring.avail;
	layout.device = b->ring.used;
	dev->transport = &b->transport;
	dev->ram = b->ram;
	assert_int_equal(virtq_init(&dev->queues[0], b->ram, &layout), 0);
	assert_ok(loop_create(&b->loop));
	dev->loop = b->loop;
	if (dev->ops->activate)
		dev->ops->activate(dev);
}

static inline void bench_end(struct bench *b)
{
	if (b->dev->ops->deactivate)
		b->dev->ops->deactivate(b->dev);
	virtq_deinit(&b->dev->queues[0]);
	b->dev->ops->free(b->dev);
	loop_free(b->loop);
	ram_free(b->ram);
}

/* One chain through the device; its used length. */
static inline uint32_t bench_run(struct bench *b, const struct piece *pieces, unsigned int n)
{
	uint16_t head = ring_add(&b->ring, pieces, n);

	b->dev->ops->notify(b->dev, 0);
	return ring_take(&b->ring, head);
}
