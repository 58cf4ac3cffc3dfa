/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues.
 */
#include "virtio/queue/virtq.h"

#include <errno.h>

#include "base/endian.h"
#include "base/overflow.h"

/* virtio 1.3, 2.7.5 */
#define DESC_SIZE       16u
#define DESC_F_NEXT     1u
#define DESC_F_WRITE    2u
#define DESC_F_INDIRECT 4u

/* 2.7.6 and 2.7.8: flags, idx, ring[], event. */
#define RING_FLAGS           0
#define RING_IDX             2
#define RING_START           4
#define USED_ELEM            8u

#define AVAIL_F_NO_INTERRUPT 1u
#define USED_F_NO_NOTIFY     1u

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static uint64_t virtq_used_event(const struct virtq *q)
{
	return RING_START + 2ull * q->size;
}

static uint64_t virtq_avail_event(const struct virtq *q)
{
	return RING_START + (uint64_t)USED_ELEM * q->size;
}

int virtq_init(struct virtq *q, const struct ram *ram, const struct virtq_layout *layout)
{
	uint16_t size = layout->size;
	int ret;

	*q = (struct virtq){.ram = ram,
		.size = size,
		.event_idx = layout->event_idx,
		.indirect = layout->indirect};
	if (!is_pow2(size) || size > VIRTQ_SIZE_MAX)
		return -EINVAL;
	ret = ram_window_init(ram, layout->desc, (uint64_t)DESC_SIZE * size, 16, &q->desc);
	if (!ret)
		ret = ram_window_init(
			ram, layout->driver, RING_START + 2ull * size + 2, 2, &q->avail);
	if (!ret)
		ret = ram_window_init(ram, layout->device,
			RING_START + (uint64_t)USED_ELEM * size + 2, 4, &q->used);
	return ret;
}

static struct virtq_desc virtq_decode(const uint8_t raw[DESC_SIZE])
{
	return (struct virtq_desc){
		.addr = load_le64(raw),
		.len = load_le32(raw + 8),
		.flags = load_le16(raw + 12),
		.next = load_le16(raw + 14),
	};
}

/* A table of descriptors: the queue's own, or an indirect one. */
struct virtq_table {
	uint64_t indirect; /* gpa, or 0: the queue's */
	uint16_t n;
};

static int virtq_load_desc(
	const struct virtq *q, const struct virtq_table *table, uint16_t i, struct virtq_desc *ret)
{
	uint8_t raw[DESC_SIZE];

	if (i >= table->n)
		return -EINVAL;
	if (!table->indirect)
		ram_window_read(&q->desc, (uint64_t)DESC_SIZE * i, raw, sizeof(raw));
	else if (ram_read(q->ram, table->indirect + (uint64_t)DESC_SIZE * i, raw, sizeof(raw)))
		return -EINVAL;
	*ret = virtq_decode(raw);
	return 0;
}

static int virtq_add_piece(
	const struct virtq *q, const struct virtq_desc *desc, struct virtq_chain *chain)
{
	unsigned int used = chain->n_readable + chain->n_writable;
	bool writable = desc->flags & DESC_F_WRITE;
	int n;

	/* 2.7.4.2: device-writable descriptors follow all device-readable ones. */
	if (!writable && chain->n_writable)
		return -EINVAL;
	n = ram_iov(q->ram, desc->addr, desc->len, chain->iov + used, (int)(VIRTQ_IOV_MAX - used));
	if (n < 0)
		return -EINVAL;
	if (writable)
		chain->n_writable += (unsigned int)n;
	else
		chain->n_readable += (unsigned int)n;
	return 0;
}

/* 2.7.5.3: an indirect descriptor is alone, its table has whole entries and no further indirection.
 */
static int virtq_enter_indirect(
	const struct virtq *q, const struct virtq_desc *desc, struct virtq_table *table)
{
	uint32_t n = desc->len / DESC_SIZE;

	if (!q->indirect || table->indirect || desc->flags & DESC_F_NEXT || desc->len % DESC_SIZE ||
		!n || n > q->size || !desc->addr || !ram_contains(q->ram, desc->addr, desc->len))
		return -EINVAL;
	*table = (struct virtq_table){.indirect = desc->addr, .n = (uint16_t)n};
	return 0;
}

static int virtq_walk(const struct virtq *q, uint16_t head, struct virtq_chain *chain)
{
	struct virtq_table table = {.n = q->size};
	uint16_t i = head;

	chain->head = head;
	chain->n_readable = 0;
	chain->n_writable = 0;
	/* One more than the queue's size, for the indirect descriptor itself (2.7.5.3.1). */
	for (unsigned int steps = 0; steps <= q->size; steps++) {
		struct virtq_desc desc;
		int ret = virtq_load_desc(q, &table, i, &desc);

		if (!ret && desc.flags & DESC_F_INDIRECT) {
			ret = virtq_enter_indirect(q, &desc, &table);
			i = 0;
			if (!ret)
				continue;
		}
		if (!ret)
			ret = virtq_add_piece(q, &desc, chain);
		if (ret || !(desc.flags & DESC_F_NEXT))
			return ret;
		i = desc.next;
	}
	return -EINVAL; /* a loop */
}

int virtq_pop(struct virtq *q, struct virtq_chain *chain)
{
	uint16_t idx, head;

	if (q->broken)
		return -EINVAL;
	/* Acquire: ring entries and descriptors that the driver wrote before it moved idx
	 * (2.7.13.3). */
	idx = ram_window_load16(&q->avail, RING_IDX, memory_order_acquire);
	if (idx == q->next_avail)
		return 0;
	if ((uint16_t)(idx - q->next_avail) > q->size) {
		q->broken = true;
		return -EINVAL;
	}
	head = ram_window_load16(&q->avail, RING_START + 2ull * (q->next_avail & (q->size - 1u)),
		memory_order_relaxed);
	if (virtq_walk(q, head, chain)) {
		q->broken = true;
		return -EINVAL;
	}
	q->next_avail++;
	return 1;
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
	uint64_t at = RING_START + (uint64_t)USED_ELEM * (q->next_used & (q->size - 1u));

	ram_window_store32(&q->used, at, head, memory_order_relaxed);
	ram_window_store32(&q->used, at + 4, written, memory_order_relaxed);
	q->next_used++;
}

/* 2.7.7.2: did idx pass the driver's event index between old and now? */
static bool virtq_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

bool virtq_publish(struct virtq *q)
{
	uint16_t old = q->published;

	if (q->broken || q->next_used == old)
		return false;
	/* Release: the elements, and the data they tell of, before idx. The driver's acquire is its
	 * read of idx. */
	ram_window_store16(&q->used, RING_IDX, q->next_used, memory_order_release);
	q->published = q->next_used;
	/*
	 * The store of idx before the load of what the driver wants: it stores used_event, then
	 * looks at idx again (2.7.7.1).
	 */
	ram_barrier();
	if (q->event_idx)
		return virtq_passed(
			ram_window_load16(&q->avail, virtq_used_event(q), memory_order_relaxed),
			q->published, old);
	return !(ram_window_load16(&q->avail, RING_FLAGS, memory_order_relaxed) &
		 AVAIL_F_NO_INTERRUPT);
}

void virtq_disable_notify(struct virtq *q)
{
	/* With event indices there is nothing to write: the event stays behind the driver's idx. */
	if (!q->event_idx)
		ram_window_store16(&q->used, RING_FLAGS, USED_F_NO_NOTIFY, memory_order_relaxed);
}

bool virtq_enable_notify(struct virtq *q)
{
	if (q->event_idx)
		ram_window_store16(
			&q->used, virtq_avail_event(q), q->next_avail, memory_order_relaxed);
	else
		ram_window_store16(&q->used, RING_FLAGS, 0, memory_order_relaxed);
	/* The wish before the look at idx; the driver stores idx, then loads the wish (2.7.13.4).
	 */
	ram_barrier();
	return !q->broken &&
	       ram_window_load16(&q->avail, RING_IDX, memory_order_relaxed) != q->next_avail;
}
