/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing a qcow2 image. The L1 table must be in one piece, so a larger one is a copy: it and the
 * counts of its clusters are stable before the header names it, in one write inside the first
 * sector together with the new size, and the old table's clusters are given up after that. Whoever
 * opens the image after a crash finds the old disk or the new one.
 */
#include <errno.h>
#include <stdlib.h>

#include "block/qcow2_internal.h"

#define QCOW2_SIZE_AT      24 /* size, encryption, entries of the L1 table and its offset */
#define QCOW2_SNAPSHOTS_AT 60
#define QCOW2_RUNS_MAX     8u

/* The new table, as far as it is found: clusters in a row, and those that were not enough. */
struct qcow2_runs {
	uint64_t at[QCOW2_RUNS_MAX], n[QCOW2_RUNS_MAX];
	unsigned int last;
};

static int qcow2_free_run(struct qcow2 *q, uint64_t at, uint64_t n)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < n; i++)
		ret = qcow2_free_later(q, at + (i << q->cluster_bits));
	return ret;
}

/* One more cluster, for the last run or for a new one. */
static int qcow2_extend_runs(struct qcow2 *q, struct qcow2_runs *runs)
{
	uint64_t at;
	int ret = qcow2_alloc(q, &at);

	if (ret)
		return ret;
	if (runs->n[runs->last] &&
		at != runs->at[runs->last] + (runs->n[runs->last] << q->cluster_bits)) {
		if (runs->last + 1 == QCOW2_RUNS_MAX)
			return qcow2_free_later(q, at) ? -EIO : -ENOSPC;
		runs->last++;
	}
	if (!runs->n[runs->last]++)
		runs->at[runs->last] = at;
	return 0;
}

/* n clusters in a row: at the end of the file, where at most blocks of counts come between. A
 * device has nothing behind its end: from the first that may be free. */
static int qcow2_alloc_run(struct qcow2 *q, uint64_t n, uint64_t *ret_at)
{
	struct qcow2_runs runs = {0};
	uint64_t hint = q->hint;
	unsigned int kept;
	int ret = 0;

	if (!q->file_max)
		q->hint = MAX(hint, align_up(q->file_size, q->cluster) >> q->cluster_bits);
	while (!ret && runs.n[runs.last] < n)
		ret = qcow2_extend_runs(q, &runs);
	q->hint = MIN(hint, q->hint);
	kept = ret ? QCOW2_RUNS_MAX : runs.last;
	for (unsigned int i = 0; i <= runs.last; i++) {
		int freed = i == kept ? 0 : qcow2_free_run(q, runs.at[i], runs.n[i]);

		ret = ret ? ret : freed;
	}
	*ret_at = runs.at[runs.last];
	return ret;
}

static int qcow2_write_size(struct qcow2 *q, uint64_t size, uint64_t l1_at, uint32_t l1_size)
{
	uint8_t raw[24] = {0};
	int ret;

	store_be64(raw, size);
	store_be32(raw + 12, l1_size);
	store_be64(raw + 16, l1_at);
	ret = qcow2_write_through(q, QCOW2_SIZE_AT, raw, sizeof(raw));
	return ret ? ret : qcow2_sync(q);
}

/* The old entries, and zeros; stable. */
static int qcow2_copy_l1(struct qcow2 *q, uint64_t at, uint64_t bytes)
{
	uint8_t *table = calloc(1, bytes);
	int ret = table ? qcow2_read(q, q->l1_at, table, q->l1_size * 8ull) : -ENOMEM;

	if (!ret) {
		qcow2_invalidate(q, at, bytes);
		ret = qcow2_write(q, at, table, bytes);
	}
	free(table);
	return ret ? ret : qcow2_sync(q);
}

/* After a failed write of the header nobody knows which of the two tables the storage has: nothing
 * is written any more, to neither. */
static int qcow2_grow_l1(struct qcow2 *q, uint64_t entries, uint64_t size)
{
	uint64_t bytes = align_up(entries * 8, q->cluster);
	uint64_t old_at = q->l1_at;
	uint64_t old_n = align_up(q->l1_size * 8ull, q->cluster) >> q->cluster_bits;
	uint64_t at;
	int ret = qcow2_alloc_run(q, bytes >> q->cluster_bits, &at);

	if (ret)
		return ret;
	ret = qcow2_copy_l1(q, at, bytes);
	if (ret)
		return qcow2_free_run(q, at, bytes >> q->cluster_bits) ? -EIO : ret;
	ret = qcow2_write_size(q, size, at, (uint32_t)(bytes / 8));
	if (ret)
		return ret;
	q->l1_at = at;
	q->l1_size = (uint32_t)(bytes / 8);
	return qcow2_free_run(q, old_at, old_n);
}

/* In version 2 a snapshot has the size of the disk, whatever that was. */
static struct err *qcow2_check_snapshots(struct qcow2 *q)
{
	uint8_t raw[4];
	int ret = qcow2_read(q, QCOW2_SNAPSHOTS_AT, raw, sizeof(raw));

	if (ret)
		return err_new(-ret, "Cannot read the header of the qcow2 image");
	if (q->version < 3 && load_be32(raw))
		return err_new(
			EINVAL, "A qcow2 image of version 2 with snapshots cannot be resized");
	return NULL;
}

static struct err *qcow2_check_resize(struct qcow2 *q, uint64_t size, uint64_t entries)
{
	if (q->image.facts.readonly)
		return err_new(EROFS, "The qcow2 image is only read");
	if (q->corrupt)
		return err_new(EIO, "The qcow2 image is corrupt");
	if (q->failed)
		return err_new(-q->failed, "An earlier write of the qcow2 image has failed");
	if (size % 512)
		return err_new(
			EINVAL, "%llu bytes are not a multiple of 512", (unsigned long long)size);
	if (size < q->image.facts.size)
		return err_new(EOPNOTSUPP,
			"A qcow2 image cannot be made smaller than it is, %llu bytes",
			(unsigned long long)q->image.facts.size);
	if (entries > QCOW2_L1_MAX || size > QCOW2_SIZE_MAX)
		return err_new(EFBIG,
			"%llu bytes are too many for a qcow2 image with clusters of %llu",
			(unsigned long long)size, (unsigned long long)q->cluster);
	/* What was cut off at the time when the image was made would appear. */
	if (q->backing && q->backing->facts.size > q->image.facts.size)
		return err_new(EOPNOTSUPP, "The backing image is larger than the image above it");
	return qcow2_check_snapshots(q);
}

struct err *qcow2_resize(struct block_image *image, uint64_t size)
{
	struct qcow2 *q = container_of(image, struct qcow2, image);
	uint64_t entries = size ? ((size - 1) >> (q->cluster_bits + q->l2_bits)) + 1 : 0;
	struct err *err;
	int ret;

	if (!size || size == image->facts.size)
		return NULL;
	err = qcow2_check_resize(q, size, entries);
	if (err)
		return err;
	if (entries > q->l1_size)
		ret = qcow2_grow_l1(q, entries, size);
	else
		ret = qcow2_write_size(q, size, q->l1_at, q->l1_size);
	if (ret)
		return err_new(-ret, "Cannot grow the qcow2 image");
	image->facts.size = size;
	return NULL;
}
