/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two levels of tables that map a qcow2 image's guest clusters.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/overflow.h"
#include "block/qcow2_internal.h"

static bool qcow2_is_cluster(const struct qcow2 *q, uint64_t at)
{
	return at && !(at % q->cluster) && at < q->file_size;
}

/* The header, the L1 table and the table of counts: no place for anything else. */
static bool qcow2_is_meta(const struct qcow2 *q, uint64_t at)
{
	return ranges_overlap(at, q->cluster, 0, q->cluster) ||
	       ranges_overlap(at, q->cluster, q->l1_at, q->l1_size * 8ull) ||
	       ranges_overlap(at, q->cluster, q->reftable_at, q->reftable_size);
}

static uint64_t qcow2_l1_entry_at(const struct qcow2 *q, uint64_t off)
{
	return q->l1_at + (off >> (q->cluster_bits + q->l2_bits)) * 8;
}

static uint64_t qcow2_l2_entry_at(const struct qcow2 *q, uint64_t table, uint64_t off)
{
	return table + (off >> q->cluster_bits & ((1ull << q->l2_bits) - 1)) * 8;
}

/* The L2 table of a guest offset; 0: none. */
static int qcow2_table(struct qcow2 *q, uint64_t off, uint64_t *ret_table, bool *ret_copied)
{
	uint64_t entry;
	int ret = qcow2_get64(q, qcow2_l1_entry_at(q, off), &entry);

	if (ret)
		return ret;
	*ret_table = entry & QCOW2_OFFSET;
	*ret_copied = entry & QCOW2_COPIED;
	if (*ret_table && (!qcow2_is_cluster(q, *ret_table) || qcow2_is_meta(q, *ret_table)))
		return qcow2_corrupt(q, "L2 table at", *ret_table);
	return 0;
}

int qcow2_lookup(struct qcow2 *q, uint64_t off, struct qcow2_map *ret_map)
{
	struct qcow2_map map = {.kind = QCOW2_UNALLOCATED};
	uint64_t table;
	bool copied;
	int ret = qcow2_table(q, off, &table, &copied);

	if (!ret && table)
		ret = qcow2_get64(q, qcow2_l2_entry_at(q, table, off), &map.entry);
	if (ret)
		return ret;
	if (map.entry & QCOW2_COMPRESSED) {
		map.kind = QCOW2_PACKED;
	} else {
		map.host = map.entry & QCOW2_OFFSET;
		/* A cluster of a table that is shared is shared too. */
		map.copied = copied && map.entry & QCOW2_COPIED;
		if (q->version >= 3 && map.entry & QCOW2_ZERO)
			map.kind = QCOW2_ZEROS;
		else if (map.host)
			map.kind = QCOW2_DATA;
		if (map.host && (map.host % q->cluster || qcow2_is_meta(q, map.host)))
			return qcow2_corrupt(q, "cluster at", map.host);
	}
	*ret_map = map;
	return 0;
}

/* A copy of an L2 table, or an empty one, stable before the L1 table names it. */
static int qcow2_new_table(struct qcow2 *q, uint64_t old, uint64_t *ret_table)
{
	uint8_t *table = calloc(1, q->cluster);
	int ret = table ? qcow2_alloc(q, ret_table) : -ENOMEM;

	/* The old one may be in dirty pages; its clusters are now those of two. */
	if (!ret && old)
		ret = qcow2_write_pages(q);
	if (!ret && old)
		ret = qcow2_read(q, old, table, q->cluster);
	for (uint64_t i = 0; !ret && old && i < q->cluster; i += 8)
		store_be64(table + i, load_be64(table + i) & ~QCOW2_COPIED);
	if (!ret) {
		qcow2_invalidate(q, *ret_table, q->cluster);
		ret = qcow2_write(q, *ret_table, table, q->cluster);
	}
	free(table);
	return ret ? ret : qcow2_sync(q);
}

/* The L2 table of a guest offset, ours alone. */
static int qcow2_own_table(struct qcow2 *q, uint64_t off, uint64_t *ret_table)
{
	uint64_t old, now;
	bool copied;
	int ret = qcow2_table(q, off, &old, &copied);

	if (ret)
		return ret;
	*ret_table = old;
	if (old && copied)
		return 0;
	ret = qcow2_new_table(q, old, &now);
	if (!ret)
		ret = qcow2_put64(q, qcow2_l1_entry_at(q, off), now | QCOW2_COPIED, true);
	if (ret)
		return ret;
	*ret_table = now;
	return old ? qcow2_free_later(q, old) : 0;
}

int qcow2_prepare(struct qcow2 *q, uint64_t off)
{
	uint64_t table;

	return qcow2_own_table(q, off, &table);
}

/* The clusters that hold compressed data are shared with what else they hold: a reference each. */
static int qcow2_free_packed(struct qcow2 *q, uint64_t entry)
{
	uint64_t len;
	uint64_t at = qcow2_packed_at(q, entry, &len);
	uint64_t end = at + len;
	int ret = 0;

	for (at = align_down(at, q->cluster); !ret && at < end; at += q->cluster)
		ret = qcow2_free_later(q, at);
	return ret;
}

int qcow2_update(struct qcow2 *q, uint64_t off, const struct qcow2_map *old, uint64_t entry)
{
	uint64_t table;
	int ret = qcow2_refuses(q);

	if (!ret)
		ret = qcow2_own_table(q, off, &table);
	if (!ret)
		ret = qcow2_put64(q, qcow2_l2_entry_at(q, table, off), entry, false);
	if (ret)
		return ret;
	if (old->kind == QCOW2_PACKED)
		return qcow2_free_packed(q, old->entry);
	if (old->host && old->host != (entry & QCOW2_OFFSET))
		return qcow2_free_later(q, old->host);
	return 0;
}
