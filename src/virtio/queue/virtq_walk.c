/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one walker of descriptor chains, of either format (virtio 1.3, 2.7.5 and 2.8.5).
 */
#include "base/endian.h"
#include "base/overflow.h"
#include "virtio/queue/virtq_internal.h"

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next; /* packed: the buffer's id */
};

/* A table of descriptors: the queue's own, or an indirect one. */
struct virtq_table {
	uint64_t indirect; /* gpa, or 0: the queue's */
	uint16_t n;
};

static struct virtq_desc virtq_decode(const struct virtq *q, const uint8_t raw[VIRTQ_DESC_SIZE])
{
	return (struct virtq_desc){
		.addr = load_le64(raw),
		.len = load_le32(raw + 8),
		.flags = load_le16(raw + (q->packed ? 14 : 12)),
		.next = load_le16(raw + (q->packed ? 12 : 14)),
	};
}

static int virtq_load_desc(
	const struct virtq *q, const struct virtq_table *table, uint16_t i, struct virtq_desc *ret)
{
	uint8_t raw[VIRTQ_DESC_SIZE];
	uint64_t off = (uint64_t)VIRTQ_DESC_SIZE * i;

	if (i >= table->n)
		return -EINVAL;
	if (!table->indirect)
		ram_window_read(&q->desc, off, raw, sizeof(raw));
	else if (ram_read(q->ram, table->indirect + off, raw, sizeof(raw)))
		return -EINVAL;
	ram_copied();
	*ret = virtq_decode(q, raw);
	return 0;
}

static int virtq_add_piece(
	const struct virtq *q, const struct virtq_desc *desc, struct virtq_chain *chain)
{
	unsigned int used = chain->n_readable + chain->n_writable;
	bool writable = desc->flags & VIRTQ_DESC_F_WRITE;
	int n;

	/* 2.7.4.2, 2.8.17: device-writable descriptors follow all device-readable ones. */
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

/*
 * 2.7.5.3 and 2.8.7: an indirect descriptor ends its chain, and its table has whole entries and no
 * further indirection.
 */
static int virtq_enter_indirect(
	const struct virtq *q, const struct virtq_desc *desc, struct virtq_table *table)
{
	uint32_t n = desc->len / VIRTQ_DESC_SIZE;

	if (!q->indirect || table->indirect || desc->flags & VIRTQ_DESC_F_NEXT ||
		desc->len % VIRTQ_DESC_SIZE || !n || n > q->size || !desc->addr ||
		!ram_contains(q->ram, desc->addr, desc->len))
		return -EINVAL;
	*table = (struct virtq_table){.indirect = desc->addr, .n = (uint16_t)n};
	return 0;
}

/* Moves *i to the chain's next descriptor; false if there is none. */
static bool virtq_next(const struct virtq *q, const struct virtq_table *table,
	const struct virtq_desc *desc, uint16_t *i)
{
	/* 2.8.7: the whole table, in which no flag but WRITE has a meaning. */
	if (q->packed && table->indirect)
		return ++*i < table->n;
	if (!(desc->flags & VIRTQ_DESC_F_NEXT))
		return false;
	if (q->packed)
		*i = *i + 1 < q->size ? (uint16_t)(*i + 1) : 0;
	else
		*i = desc->next;
	return true;
}

int virtq_walk(
	const struct virtq *q, uint16_t at, struct virtq_chain *chain, struct virtq_flight *flight)
{
	struct virtq_table table = {.n = q->size};
	uint16_t i = at;

	chain->n_readable = 0;
	chain->n_writable = 0;
	flight->id = at;
	flight->n = 1;
	/* One more than the queue's size, for the indirect descriptor itself (2.7.5.3.1). */
	for (unsigned int steps = 0; steps <= q->size; steps++) {
		struct virtq_desc desc;
		int ret = virtq_load_desc(q, &table, i, &desc);

		if (!ret && q->packed && !table.indirect) {
			/* 2.8.6: the last descriptor's id is the buffer's. */
			flight->id = desc.next;
			flight->n = (uint16_t)(steps + 1);
		}
		if (!ret && desc.flags & VIRTQ_DESC_F_INDIRECT) {
			/* 2.7.5.3.2 has direct descriptors before it, 2.8.19 has none. */
			ret = q->packed && steps ? -EINVAL : virtq_enter_indirect(q, &desc, &table);
			i = 0;
			if (!ret)
				continue;
		}
		if (!ret)
			ret = virtq_add_piece(q, &desc, chain);
		if (ret || !virtq_next(q, &table, &desc, &i))
			return ret;
	}
	return -EINVAL; /* a loop */
}
