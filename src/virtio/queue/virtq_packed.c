/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed virtqueues (virtio 1.3, 2.8): one ring of descriptors, which the device overwrites with
 * used ones in the order in which it is done with them. A descriptor is available if its AVAIL bit
 * is the driver's wrap counter and its USED bit is not, and used if both are the device's.
 *
 * A batch of used descriptors becomes visible by the flags of its first one, which are written
 * last: the driver does not look behind a descriptor that is not used.
 */
#include "virtio/queue/virtq_internal.h"

/* 2.8.5: addr, len, id, flags. */
#define DESC_LEN     8
#define DESC_ID      12
#define DESC_FLAGS   14
#define DESC_F_AVAIL 0x0080u
#define DESC_F_USED  0x8000u

/* 2.8.14, event suppression structures: a position, then flags. */
#define EVENT_SIZE    4u
#define EVENT_FLAGS   2
#define EVENT_ENABLE  0u
#define EVENT_DISABLE 1u
#define EVENT_DESC    2u

/* A position: place in the ring, and wrap counter. */
#define POSITION_WRAP 0x8000u

static uint16_t virtq_packed_place(uint16_t position)
{
	return position & (uint16_t)~POSITION_WRAP;
}

uint16_t virtq_packed_advance(const struct virtq *q, uint16_t position, uint16_t n)
{
	unsigned int place = virtq_packed_place(position) + (unsigned int)n;
	unsigned int wrap = position & POSITION_WRAP;

	if (place >= q->size) {
		place -= q->size;
		wrap ^= POSITION_WRAP;
	}
	return (uint16_t)(place | wrap);
}

static uint64_t virtq_packed_field(uint16_t position, unsigned int field)
{
	return (uint64_t)VIRTQ_DESC_SIZE * virtq_packed_place(position) + field;
}

int virtq_packed_init(struct virtq *q, const struct virtq_layout *layout)
{
	int ret = ram_window_init(
		q->ram, layout->desc, (uint64_t)VIRTQ_DESC_SIZE * q->size, 16, &q->desc);

	if (!ret)
		ret = ram_window_init(q->ram, layout->driver, EVENT_SIZE, 4, &q->driver);
	if (!ret)
		ret = ram_window_init(q->ram, layout->device, EVENT_SIZE, 4, &q->device);
	/* 2.8.1: both counters begin with 1. */
	q->next_avail = q->next_used = POSITION_WRAP;
	return ret;
}

static bool virtq_packed_is_available(const struct virtq *q, memory_order order)
{
	uint16_t flags =
		ram_window_load16(&q->desc, virtq_packed_field(q->next_avail, DESC_FLAGS), order);
	bool wrap = q->next_avail & POSITION_WRAP;

	return !!(flags & DESC_F_AVAIL) == wrap && !!(flags & DESC_F_USED) != wrap;
}

int virtq_packed_peek(const struct virtq *q, uint16_t *ret_at)
{
	/*
	 * Acquire: the rest of the chain, which the driver wrote before the flags of its first
	 * descriptor (2.8.21.1.1). The walker loads these flags again, for the other bits: none is
	 * looked at twice.
	 */
	if (!virtq_packed_is_available(q, memory_order_acquire))
		return 0;
	*ret_at = virtq_packed_place(q->next_avail);
	return 1;
}

/* Relaxed: virtq_packed_peek() has the acquire. */
bool virtq_packed_has_chain(const struct virtq *q)
{
	return virtq_packed_is_available(q, memory_order_relaxed);
}

void virtq_packed_use(struct virtq *q, uint16_t id, uint16_t n, uint32_t written)
{
	unsigned int flags = q->next_used & POSITION_WRAP ? DESC_F_AVAIL | DESC_F_USED : 0;

	if (written)
		flags |= VIRTQ_DESC_F_WRITE; /* 2.8.4 */
	ram_window_store32(&q->desc, virtq_packed_field(q->next_used, DESC_LEN), written,
		memory_order_relaxed);
	ram_window_store16(
		&q->desc, virtq_packed_field(q->next_used, DESC_ID), id, memory_order_relaxed);
	if (q->batch) {
		ram_window_store16(&q->desc, virtq_packed_field(q->next_used, DESC_FLAGS),
			(uint16_t)flags, memory_order_relaxed);
	} else {
		q->batch_at = q->next_used;
		q->batch_flags = (uint16_t)flags;
	}
	q->next_used = virtq_packed_advance(q, q->next_used, n);
}

/* 2.8.14: does the driver want to hear of the batch that ends before next_used? */
static bool virtq_packed_wants_interrupt(const struct virtq *q)
{
	/* One load of both fields: flags that tell of a position come with that position. */
	uint32_t event = ram_window_load32(&q->driver, 0, memory_order_relaxed);
	uint16_t position = (uint16_t)event;
	uint16_t flags = (uint16_t)(event >> 16) & 3;
	uint16_t now = virtq_packed_place(q->next_used);
	uint16_t wanted = virtq_packed_place(position);

	if (flags != EVENT_DESC || !q->event_idx)
		return flags != EVENT_DISABLE;
	/* In the lap before ours. */
	if ((position ^ q->next_used) & POSITION_WRAP)
		wanted = (uint16_t)(wanted - q->size);
	return virtq_passed(wanted, now, (uint16_t)(now - q->batch));
}

bool virtq_packed_publish(struct virtq *q)
{
	/* Release: the batch, and the data it tells of, before the flags. The driver's acquire is
	 * its read of these flags (2.8.21.2). */
	ram_window_store16(&q->desc, virtq_packed_field(q->batch_at, DESC_FLAGS), q->batch_flags,
		memory_order_release);
	/* The flags before the load of what the driver wants: it stores its event structure, then
	 * looks at the flags again (2.8.21.3.1). */
	ram_barrier();
	return virtq_packed_wants_interrupt(q);
}

void virtq_packed_disable_notify(struct virtq *q)
{
	ram_window_store16(&q->device, EVENT_FLAGS, EVENT_DISABLE, memory_order_relaxed);
}

bool virtq_packed_enable_notify(struct virtq *q)
{
	/* One store of both fields: the driver does not see the flags with an older position. */
	if (q->event_idx)
		ram_window_store32(
			&q->device, 0, q->next_avail | EVENT_DESC << 16, memory_order_relaxed);
	else
		ram_window_store16(&q->device, EVENT_FLAGS, EVENT_ENABLE, memory_order_relaxed);
	/* The wish before the look at the ring; the driver stores the flags of a descriptor, then
	 * loads the wish (2.8.21.3.1). */
	ram_barrier();
	return virtq_packed_has_chain(q);
}
