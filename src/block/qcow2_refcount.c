/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference counts of a qcow2 image's clusters: a table of blocks of 16-bit counts. The table grows
 * by a copy of twice the size, in the first clusters that the old one does not cover.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/overflow.h"
#include "block/qcow2_internal.h"

#define QCOW2_SCAN_MAX                                                                             \
	(64u << 20) /* clusters in use, one after the other, that a search looks at */

/* Counts of a block. */
static uint64_t qcow2_per_block(const struct qcow2 *q)
{
	return q->cluster / 2;
}

/* Where the count of cluster `index` is; 0: no block has it. */
static int qcow2_count_at(struct qcow2 *q, uint64_t index, uint64_t *ret_at)
{
	uint64_t slot = index / qcow2_per_block(q) * 8;
	uint64_t block;
	int ret;

	*ret_at = 0;
	if (slot >= q->reftable_size)
		return 0;
	ret = qcow2_get64(q, q->reftable_at + slot, &block);
	if (ret || !block)
		return ret;
	if (block % q->cluster || block >= q->file_size)
		return qcow2_corrupt(q, "block of reference counts at", block);
	*ret_at = block + index % qcow2_per_block(q) * 2;
	return 0;
}

/* A cluster of zeros but for n counts of one at its start. */
static int qcow2_write_block(struct qcow2 *q, uint64_t at, uint64_t first, uint64_t n)
{
	uint8_t *block = calloc(1, q->cluster);
	int ret;

	if (!block)
		return -ENOMEM;
	for (uint64_t i = first; i < first + n; i++)
		store_be16(block + i * 2, 1);
	qcow2_invalidate(q, at, q->cluster);
	ret = qcow2_write(q, at, block, q->cluster);
	free(block);
	return ret;
}

/* The counts that have no block get one, at cluster `index`, which is the first of them. */
static int qcow2_add_block(struct qcow2 *q, uint64_t index)
{
	uint64_t at = index << q->cluster_bits;
	int ret = qcow2_write_block(q, at, index % qcow2_per_block(q), 1);

	if (!ret)
		ret = qcow2_sync(q);
	return ret ? ret
		   : qcow2_put64(q, q->reftable_at + index / qcow2_per_block(q) * 8, at, true);
}

/* The new table: the old entries, and those of n blocks at `blocks`. */
static int qcow2_write_table(
	struct qcow2 *q, uint64_t at, uint64_t size, uint64_t blocks, uint64_t n)
{
	uint8_t *table = calloc(1, size);
	int ret;

	if (!table)
		return -ENOMEM;
	ret = qcow2_read(q, q->reftable_at, table, q->reftable_size);
	for (uint64_t i = 0; i < n; i++)
		store_be64(table + q->reftable_size + i * 8, blocks + (i << q->cluster_bits));
	qcow2_invalidate(q, at, size);
	if (!ret)
		ret = qcow2_write(q, at, table, size);
	free(table);
	return ret;
}

static int qcow2_grow_table(struct qcow2 *q)
{
	uint64_t per_block = qcow2_per_block(q);
	uint64_t first = q->reftable_size / 8 * per_block; /* cluster that it does not cover */
	uint64_t size = 2 * q->reftable_size;
	uint64_t n_table = size >> q->cluster_bits;
	uint64_t n_blocks = n_table / (per_block - 1) + 1;
	uint64_t at = first << q->cluster_bits;
	uint64_t old = q->reftable_at;
	uint64_t old_n = q->reftable_size >> q->cluster_bits;
	uint8_t header[12];
	int ret = 0;

	if (size > QCOW2_REFTABLE_MAX || (q->reftable_size >> 3) + n_blocks > size / 8)
		return -ENOSPC;
	for (uint64_t i = 0; !ret && i < n_blocks; i++) {
		uint64_t done = i * per_block;

		ret = qcow2_write_block(q, at + size + (i << q->cluster_bits), 0,
			MIN(per_block, n_table + n_blocks - done));
	}
	if (!ret)
		ret = qcow2_write_table(q, at, size, at + size, n_blocks);
	if (!ret)
		ret = qcow2_sync(q);
	store_be64(header, at);
	store_be32(header + 8, (uint32_t)n_table);
	if (!ret)
		ret = qcow2_write_through(q, QCOW2_REFTABLE_AT, header, sizeof(header));
	if (!ret)
		ret = qcow2_sync(q);
	if (ret)
		return ret;
	q->reftable_at = at;
	q->reftable_size = size;
	for (uint64_t i = 0; !ret && i < old_n; i++)
		ret = qcow2_free_later(q, old + (i << q->cluster_bits));
	return ret;
}

static bool qcow2_has_room(const struct qcow2 *q, uint64_t index)
{
	return index < QCOW2_OFFSET >> q->cluster_bits && /* offsets have 56 bits */
	       (!q->file_max || (index + 1) << q->cluster_bits <= q->file_max);
}

/* Looks at cluster *index and those whose counts follow in the same page: takes the first that is
 * free. *index is that one, or the next to look at. */
static int qcow2_try_alloc(struct qcow2 *q, uint64_t *index, bool *ret_taken)
{
	uint64_t at, free_at = 0;
	int ret = qcow2_count_at(q, *index, &at);

	if (!ret && !at) {
		ret = *index / qcow2_per_block(q) * 8 >= q->reftable_size
			      ? qcow2_grow_table(q)
			      : qcow2_add_block(q, *index);
		*index += !ret;
		return ret;
	}
	if (!ret)
		ret = qcow2_find_zero16(q, at, &free_at);
	if (ret)
		return ret;
	*index += (free_at - at) / 2;
	if ((free_at != at && !(free_at % q->page_size)) || !qcow2_has_room(q, *index))
		return 0;
	*ret_taken = true;
	return qcow2_put16(q, free_at, 1);
}

/* The first free cluster from *index on, which is moved there; *ret_taken is false after a long way
 * without one. A device has no end to go on from; it is searched to its end. */
static int qcow2_search(struct qcow2 *q, uint64_t *index, bool *ret_taken)
{
	uint64_t first = *index;
	int ret = 0;

	*ret_taken = false;
	while (!ret && !*ret_taken && (q->file_max || *index - first < QCOW2_SCAN_MAX))
		ret = qcow2_has_room(q, *index) ? qcow2_try_alloc(q, index, ret_taken) : -ENOSPC;
	return ret;
}

/*
 * An image may be as dense as it likes, and may say of clusters that they are used which are not
 * there: both are its user's business, and no corruption. So a search that takes too long goes on
 * at the end of the file, and the next one where it left off.
 */
int qcow2_alloc(struct qcow2 *q, uint64_t *ret_at)
{
	uint64_t end = align_up(q->file_size, q->cluster) >> q->cluster_bits;
	uint64_t index = q->hint;
	bool taken;
	int ret = qcow2_refuses(q);

	if (ret)
		return ret;
	ret = qcow2_search(q, &index, &taken);
	q->hint = index + (!ret && taken);
	if (!ret && !taken && index < end) {
		index = end;
		ret = qcow2_search(q, &index, &taken);
	}
	if (taken)
		*ret_at = index << q->cluster_bits;
	return ret || taken ? ret : -ENOSPC;
}

int qcow2_free_later(struct qcow2 *q, uint64_t at)
{
	int ret = 0;

	if (q->n_frees == QCOW2_FREES_MAX)
		ret = qcow2_flush(q);
	if (ret)
		return ret;
	q->frees[q->n_frees++] = at;
	return 0;
}

static int qcow2_unref(struct qcow2 *q, uint64_t at)
{
	uint64_t index = at >> q->cluster_bits;
	uint64_t count_at;
	uint16_t count = 0;
	int ret = qcow2_count_at(q, index, &count_at);

	if (!ret && count_at)
		ret = qcow2_get16(q, count_at, &count);
	if (ret)
		return ret;
	if (!count)
		return qcow2_corrupt(q, "no references to the cluster at", at);
	ret = qcow2_put16(q, count_at, (uint16_t)(count - 1));
	if (ret || count > 1)
		return ret;
	q->hint = MIN(q->hint, index);
	qcow2_invalidate(q, index << q->cluster_bits, q->cluster);
	/* The host's space too; where it cannot, the cluster is used again all the same. */
	(void)q->file->ops->discard(q->file, index << q->cluster_bits, q->cluster);
	return 0;
}

int qcow2_free_now(struct qcow2 *q)
{
	unsigned int n = q->n_frees;
	int ret = 0;

	q->n_frees = 0;
	for (unsigned int i = 0; !ret && i < n; i++)
		ret = qcow2_unref(q, q->frees[i]);
	return ret;
}
