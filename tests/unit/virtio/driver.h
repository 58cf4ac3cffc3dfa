/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of a driver: the other side of one queue of either format, by the specification (virtio
 * 1.3, 2.7 and 2.8), with event suppression, indirect descriptors and use in order. It keeps the
 * rules: what it has in flight fits the ring, and it looks at the ring again after it has asked for
 * an interrupt.
 */
#pragma once

#include "unit.h"

#include <stdlib.h>

#include "base/endian.h"
#include "virtio/queue/virtq.h"

#define DRIVER_SIZE_MAX 64
#define DRIVER_RINGS    0x4000 /* bytes of guest memory from `gpa` on */

struct driver_features {
	bool packed, event_idx, indirect, in_order;
};

struct driver_piece {
	uint64_t addr;
	uint32_t len;
	bool writable;
};

/* A buffer in flight, found by its id. */
struct driver_buffer {
	bool used;
	uint16_t n; /* descriptors in the ring */
	uint16_t head;
	uint64_t token; /* the test's */
	uint64_t order;
};

struct driver {
	struct ram *ram;
	struct driver_features has;
	uint16_t size;
	uint64_t desc, driver, device, tables; /* gpa */
	struct ram_window desc_window, driver_window, device_window;
	uint16_t n_free;
	uint16_t avail;   /* split: index; packed: position with wrap counter */
	uint16_t seen;    /* the same, of what the device used */
	uint16_t kicked;  /* where `avail` was at the last look at the device's wish */
	uint16_t n_since; /* packed: descriptors since then */
	bool free[DRIVER_SIZE_MAX];
	struct driver_buffer buffers[DRIVER_SIZE_MAX];
	uint64_t added, taken;
};

struct driver_done {
	uint64_t token;
	uint32_t written;
};

/* ---- Life ---- */

static inline struct virtq_layout driver_layout(const struct driver *d)
{
	return (struct virtq_layout){.size = d->size,
		.desc = d->desc,
		.driver = d->driver,
		.device = d->device,
		.packed = d->has.packed,
		.event_idx = d->has.event_idx,
		.indirect = d->has.indirect,
		.in_order = d->has.in_order};
}

static inline void driver_init(struct driver *d, struct ram *ram, uint64_t gpa, uint16_t size,
	struct driver_features features)
{
	*d = (struct driver){.ram = ram,
		.has = features,
		.size = size,
		.n_free = size,
		.desc = gpa,
		.driver = gpa + 0x1000,
		.device = gpa + 0x1800,
		.tables = gpa + 0x2000};
	assert_true(size <= DRIVER_SIZE_MAX);
	assert_int_equal(ram_fill(ram, gpa, 0, DRIVER_RINGS), 0);
	assert_int_equal(ram_window_init(ram, d->desc, 16ull * size, 16, &d->desc_window), 0);
	assert_int_equal(ram_window_init(ram, d->driver, 0x800, 4, &d->driver_window), 0);
	assert_int_equal(ram_window_init(ram, d->device, 0x800, 4, &d->device_window), 0);
	for (unsigned int i = 0; i < size; i++)
		d->free[i] = true;
	if (features.packed)
		d->avail = d->seen = d->kicked = 0x8000;
}

static inline uint16_t driver_advance(const struct driver *d, uint16_t position, unsigned int n)
{
	unsigned int place = (position & 0x7fffu) + n;

	return place < d->size ? (uint16_t)(place | (position & 0x8000u))
			       : (uint16_t)((place - d->size) | (~position & 0x8000u));
}

/* ---- Adding ---- */

static inline uint16_t driver_take_free(struct driver *d)
{
	uint16_t i = d->has.in_order && !d->has.packed ? (uint16_t)(d->added % d->size) : 0;

	while (!d->free[i])
		i = (uint16_t)((i + 1) % d->size);
	d->free[i] = false;
	return i;
}

/* The bytes of a descriptor but for the flags and the field that follows or precedes them. */
static inline void driver_put(
	struct driver *d, uint64_t at, const struct driver_piece *p, uint16_t at12, uint16_t at14)
{
	uint8_t raw[16];

	store_le64(raw, p->addr);
	store_le32(raw + 8, p->len);
	store_le16(raw + 12, at12);
	store_le16(raw + 14, at14);
	assert_int_equal(ram_write(d->ram, at, raw, sizeof(raw)), 0);
}

/* An indirect table for the buffer with this id: the piece that names it. */
static inline struct driver_piece driver_table(
	struct driver *d, uint16_t id, const struct driver_piece *pieces, unsigned int n)
{
	uint64_t table = d->tables + 128ull * id;

	assert_true(n <= 8);
	for (unsigned int i = 0; i < n; i++) {
		uint16_t flags = pieces[i].writable ? 2 : 0;

		if (d->has.packed)
			driver_put(d, table + 16ull * i, &pieces[i], 0, flags);
		else
			driver_put(d, table + 16ull * i, &pieces[i], i + 1 < n ? flags | 1 : flags,
				(uint16_t)(i + 1));
	}
	return (struct driver_piece){.addr = table, .len = 16 * n};
}

static inline void driver_add_split(struct driver *d, uint16_t head, const struct driver_piece *p,
	unsigned int n, uint16_t extra)
{
	uint16_t i = head;

	for (unsigned int k = 0; k < n; k++) {
		uint16_t next = k + 1 < n ? driver_take_free(d) : 0;
		uint16_t flags = (uint16_t)((p[k].writable ? 2 : 0) | (k + 1 < n ? 1 : 0) | extra);

		driver_put(d, d->desc + 16ull * i, &p[k], flags, next);
		i = next;
	}
	ram_window_store16(
		&d->driver_window, 4 + 2ull * (d->avail % d->size), head, memory_order_relaxed);
	/* Release: the device's acquire is in virtq_split_peek(). */
	ram_window_store16(&d->driver_window, 2, ++d->avail, memory_order_release);
}

static inline void driver_add_packed(
	struct driver *d, uint16_t id, const struct driver_piece *p, unsigned int n, uint16_t extra)
{
	uint16_t first = d->avail;
	uint16_t first_flags = 0;

	for (unsigned int k = 0; k < n; k++) {
		uint16_t place = d->avail & 0x7fff;
		uint16_t flags = (uint16_t)((p[k].writable ? 2 : 0) | (k + 1 < n ? 1 : 0) | extra |
					    (d->avail & 0x8000 ? 0x80 : 0x8000));
		struct driver_piece piece = p[k];
		uint8_t raw[14];

		store_le64(raw, piece.addr);
		store_le32(raw + 8, piece.len);
		store_le16(raw + 12, id);
		assert_int_equal(ram_write(d->ram, d->desc + 16ull * place, raw, sizeof(raw)), 0);
		if (k)
			ram_window_store16(
				&d->desc_window, 16ull * place + 14, flags, memory_order_relaxed);
		else
			first_flags = flags;
		d->avail = driver_advance(d, d->avail, 1);
	}
	d->n_since = (uint16_t)(d->n_since + n);
	/* Release: the device's acquire is in virtq_packed_peek(). */
	ram_window_store16(
		&d->desc_window, 16ull * (first & 0x7fff) + 14, first_flags, memory_order_release);
}

/* Makes a buffer available, in a table if that is negotiated and `in_table`; false if there is no
 * room for it. */
static inline bool driver_add(struct driver *d, const struct driver_piece *pieces, unsigned int n,
	bool in_table, uint64_t token)
{
	bool indirect = in_table && d->has.indirect;
	struct driver_piece table;
	uint16_t need = indirect ? 1 : (uint16_t)n;
	uint16_t id;

	if (d->n_free < need)
		return false;
	for (id = 0; d->has.packed && d->buffers[id].used; id++)
		continue;
	if (!d->has.packed)
		id = driver_take_free(d);
	d->buffers[id] = (struct driver_buffer){
		.used = true, .n = need, .head = id, .token = token, .order = d->added++};
	d->n_free = (uint16_t)(d->n_free - need);
	if (indirect) {
		table = driver_table(d, id, pieces, n);
		pieces = &table;
	}
	if (d->has.packed)
		driver_add_packed(d, id, pieces, need, indirect ? 4 : 0);
	else
		driver_add_split(d, id, pieces, need, indirect ? 4 : 0);
	return true;
}

/* Must the device be notified of what was added since the last call? */
static inline bool driver_needs_kick(struct driver *d)
{
	uint16_t now = d->avail & (d->has.packed ? 0x7fff : 0xffff);
	uint16_t old = d->has.packed ? (uint16_t)(now - d->n_since) : d->kicked;
	bool any = now != old;
	uint16_t event;
	uint32_t both;

	ram_barrier();
	d->kicked = d->avail;
	d->n_since = 0;
	if (!d->has.packed && !d->has.event_idx)
		return any && !(ram_window_load16(&d->device_window, 0, memory_order_relaxed) & 1);
	if (!d->has.packed) {
		event = ram_window_load16(
			&d->device_window, 4 + 8ull * d->size, memory_order_relaxed);
		return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
	}
	both = ram_window_load32(&d->device_window, 0, memory_order_relaxed);
	if (both >> 16 != 2)
		return any && both >> 16 != 1;
	assert_true(d->has.event_idx);
	event = both & 0x7fff;
	assert_true(event < d->size);
	if ((both ^ d->avail) & 0x8000)
		event = (uint16_t)(event - d->size);
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* ---- Taking ---- */

static inline bool driver_has_done(const struct driver *d)
{
	uint16_t flags;

	/* Acquire: what the device wrote before it published. */
	if (!d->has.packed)
		return ram_window_load16(&d->device_window, 2, memory_order_acquire) != d->seen;
	flags = ram_window_load16(
		&d->desc_window, 16ull * (d->seen & 0x7fff) + 14, memory_order_acquire);
	return !!(flags & 0x80) == !!(flags & 0x8000) && !!(flags & 0x80) == !!(d->seen & 0x8000);
}

static inline void driver_free_chain(struct driver *d, uint16_t head)
{
	uint16_t i = head;
	uint16_t flags;

	do {
		uint64_t at = 16ull * i;

		assert_false(d->free[i]);
		d->free[i] = true;
		flags = ram_window_load16(&d->desc_window, at + 12, memory_order_relaxed);
		i = ram_window_load16(&d->desc_window, at + 14, memory_order_relaxed);
	} while (flags & 1);
}

/* The next buffer that the device is done with, if there is one. */
static inline bool driver_take(struct driver *d, struct driver_done *ret)
{
	const struct ram_window *w = d->has.packed ? &d->desc_window : &d->device_window;
	uint64_t at = d->has.packed ? 16ull * (d->seen & 0x7fff) : 4 + 8ull * (d->seen % d->size);
	struct driver_buffer *buffer;
	uint32_t id;

	if (!driver_has_done(d))
		return false;
	if (d->has.packed)
		id = ram_window_load16(w, at + 12, memory_order_relaxed);
	else
		id = ram_window_load32(w, at, memory_order_relaxed);
	ret->written = ram_window_load32(w, at + (d->has.packed ? 8 : 4), memory_order_relaxed);
	assert_true(id < d->size);
	buffer = &d->buffers[id];
	assert_true(buffer->used);
	if (d->has.packed)
		assert_int_equal(!!(ram_window_load16(w, at + 14, memory_order_relaxed) & 2),
			ret->written != 0);
	if (d->has.in_order)
		assert_int_equal(buffer->order, d->taken);
	buffer->used = false;
	ret->token = buffer->token;
	if (!d->has.packed)
		driver_free_chain(d, (uint16_t)id);
	d->n_free = (uint16_t)(d->n_free + buffer->n);
	d->seen = d->has.packed ? driver_advance(d, d->seen, buffer->n) : (uint16_t)(d->seen + 1);
	d->taken++;
	return true;
}

static inline void driver_disable_interrupts(struct driver *d)
{
	if (d->has.packed)
		ram_window_store16(&d->driver_window, 2, 1, memory_order_relaxed);
	else if (!d->has.event_idx)
		ram_window_store16(&d->driver_window, 0, 1, memory_order_relaxed);
}

/* Asks for an interrupt at the next buffer; true if one is there already. */
static inline bool driver_enable_interrupts(struct driver *d)
{
	if (d->has.packed && d->has.event_idx)
		ram_window_store32(&d->driver_window, 0, d->seen | 2u << 16, memory_order_relaxed);
	else if (d->has.packed)
		ram_window_store16(&d->driver_window, 2, 0, memory_order_relaxed);
	else if (d->has.event_idx)
		ram_window_store16(
			&d->driver_window, 4 + 2ull * d->size, d->seen, memory_order_relaxed);
	else
		ram_window_store16(&d->driver_window, 0, 0, memory_order_relaxed);
	ram_barrier();
	return driver_has_done(d);
}
