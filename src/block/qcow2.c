/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening qcow2 images: everything in the header is checked before it is believed, and what this
 * program cannot do right is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/overflow.h"
#include "block/block_internal.h"
#include "block/qcow2_internal.h"

#define QCOW2_MAGIC       0x514649fbu
#define QCOW2_HEADER_V2   72u
#define QCOW2_HEADER_V3   104u
#define QCOW2_HEADER_READ 112u

/* struct QCowHeader, by the specification's offsets. */
enum {
	HEADER_MAGIC = 0,
	HEADER_VERSION = 4,
	HEADER_BACKING = 8,
	HEADER_CLUSTER_BITS = 20,
	HEADER_SIZE = 24,
	HEADER_CRYPT = 32,
	HEADER_L1_SIZE = 36,
	HEADER_L1 = 40,
	HEADER_REFTABLE = 48,
	HEADER_REFTABLE_CLUSTERS = 56,
	HEADER_INCOMPATIBLE = 72,
	HEADER_REFCOUNT_ORDER = 96,
	HEADER_LENGTH = 100,
	HEADER_COMPRESSION = 104,
};

static struct err *qcow2_bad(const char *path, const char *what)
{
	return err_new(0, "The qcow2 image \"%s\" %s", path, what);
}

static struct err *qcow2_check_features(struct qcow2 *q, const uint8_t *h, const char *path)
{
	uint32_t length = load_be32(h + HEADER_LENGTH);

	q->incompatible = load_be64(h + HEADER_INCOMPATIBLE);
	if (q->incompatible & QCOW2_INCOMPAT_CORRUPT)
		return qcow2_bad(path, "is marked as corrupt: qemu-img check may repair it");
	if (q->incompatible & QCOW2_INCOMPAT_DIRTY && !q->image.facts.readonly)
		return qcow2_bad(path,
			"was not closed and its reference counts are to be repaired: qemu-img check -r all");
	if (q->incompatible & ~(uint64_t)(QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_COMPRESSION))
		return qcow2_bad(path,
			"uses a feature that is not supported (external data, extended L2 or a newer one)");
	if (load_be32(h + HEADER_REFCOUNT_ORDER) != 4 && !q->image.facts.readonly)
		return qcow2_bad(path, "has reference counts that are not of 16 bits");
	if (length < QCOW2_HEADER_V3)
		return qcow2_bad(path, "has a header that is too short");
	if (q->incompatible & QCOW2_INCOMPAT_COMPRESSION) {
		if (length <= HEADER_COMPRESSION || h[HEADER_COMPRESSION] != 1)
			return qcow2_bad(path, "is compressed in an unknown way");
		q->zstd = true;
	}
	return NULL;
}

static struct err *qcow2_check_tables(struct qcow2 *q, const uint8_t *h, const char *path)
{
	uint64_t size = load_be64(h + HEADER_SIZE);
	uint64_t l1_needed;

	if (!size || size % 512 || size > QCOW2_SIZE_MAX)
		return qcow2_bad(path, "has a size that is not one or more sectors of 512");
	q->l1_at = load_be64(h + HEADER_L1);
	q->l1_size = load_be32(h + HEADER_L1_SIZE);
	l1_needed = (size - 1) >> (q->cluster_bits + q->l2_bits);
	if (q->l1_size > QCOW2_L1_MAX || l1_needed >= q->l1_size)
		return qcow2_bad(path, "has an L1 table of the wrong size");
	if (!q->l1_at || q->l1_at % q->cluster ||
		!range_fits(q->l1_at, q->l1_size * 8ull, q->file_size))
		return qcow2_bad(path, "has its L1 table outside of the file");
	q->reftable_at = load_be64(h + HEADER_REFTABLE);
	q->reftable_size = (uint64_t)load_be32(h + HEADER_REFTABLE_CLUSTERS) << q->cluster_bits;
	if (!q->reftable_at || q->reftable_at % q->cluster || !q->reftable_size ||
		q->reftable_size > QCOW2_REFTABLE_MAX ||
		!range_fits(q->reftable_at, q->reftable_size, q->file_size))
		return qcow2_bad(path, "has its table of reference counts outside of the file");
	if (ranges_overlap(q->l1_at, q->l1_size * 8ull, q->reftable_at, q->reftable_size))
		return qcow2_bad(path, "has tables that overlap");
	q->image.facts.size = size;
	return NULL;
}

static struct err *qcow2_check_header(struct qcow2 *q, const uint8_t *h, const char *path)
{
	struct err *err = NULL;

	if (load_be32(h + HEADER_MAGIC) != QCOW2_MAGIC)
		return err_new(0, "\"%s\" is not a qcow2 image", path);
	q->version = load_be32(h + HEADER_VERSION);
	if (q->version != 2 && q->version != 3)
		return qcow2_bad(path, "is of a version other than 2 and 3");
	q->cluster_bits = load_be32(h + HEADER_CLUSTER_BITS);
	if (q->cluster_bits < 9 || q->cluster_bits > 21)
		return qcow2_bad(path, "has clusters that are not of 512 bytes to 2 MiB");
	q->cluster = 1ull << q->cluster_bits;
	q->page_size = (uint32_t)MIN(q->cluster, (uint64_t)QCOW2_PAGE_SIZE);
	q->l2_bits = q->cluster_bits - 3;
	if (load_be32(h + HEADER_CRYPT))
		return qcow2_bad(path, "is encrypted");
	if (q->version == 3)
		err = qcow2_check_features(q, h, path);
	return err ? err : qcow2_check_tables(q, h, path);
}

/* What other programs keep in step with the content (bitmaps) they must not trust any more; stable
 * before the content changes. */
static int qcow2_clear_autoclear(struct qcow2 *q, const uint8_t *h)
{
	static const uint8_t none[8] = {0};
	int ret;

	if (q->version < 3 || q->image.facts.readonly || !load_be64(h + QCOW2_AUTOCLEAR))
		return 0;
	ret = qcow2_write(q, QCOW2_AUTOCLEAR, none, sizeof(none));
	return ret ? ret : qcow2_sync(q);
}

static struct err *qcow2_load(struct qcow2 *q, const char *path)
{
	const struct block_raw *raw = container_of(q->file, struct block_raw, image);
	uint8_t header[QCOW2_HEADER_READ] = {0};
	bool names_backing;
	struct err *err;
	int ret;

	q->file_size = q->file->facts.size;
	q->file_max = raw->is_device ? q->file_size : 0;
	ret = qcow2_read(q, 0, header, sizeof(header));
	if (ret)
		return err_new(-ret, "Cannot read the header of \"%s\"", path);
	err = qcow2_check_header(q, header, path);
	if (err)
		return err;
	names_backing = load_be64(header + HEADER_BACKING);
	if (names_backing && !q->backing)
		return qcow2_bad(path,
			"stands on a backing file, which is opened only if it is given: backing=PATH");
	if (!names_backing && q->backing)
		return qcow2_bad(path, "has no backing file");
	ret = qcow2_clear_autoclear(q, header);
	if (ret)
		return err_new(-ret, "Cannot write the header of \"%s\"", path);
	q->image.facts.block_size = 512;
	q->image.facts.physical_size = (uint32_t)MIN(q->cluster, 4096ull);
	return NULL;
}

struct err *block_qcow2_open(const char *path, struct block_image *raw, struct block_image *backing,
	struct block_image **ret_image)
{
	struct qcow2 *q = new0(struct qcow2);
	struct err *err;

	if (!q)
		return err_new(ENOMEM, "Cannot open \"%s\"", path);
	q->image.ops = &qcow2_ops;
	q->image.facts.readonly = raw->facts.readonly;
	q->file = raw;
	q->backing = backing;
	err = qcow2_load(q, path);
	if (err) {
		q->corrupt = true; /* nothing is written any more */
		q->file = NULL;    /* the caller's, as both are */
		q->backing = NULL;
		q->image.ops->free(&q->image);
		return err;
	}
	*ret_image = &q->image;
	return NULL;
}
