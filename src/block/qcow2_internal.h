/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 images, as docs/interop/qcow2.txt of QEMU specifies them: versions 2 and 3.
 *
 * Theory of operation. The guest's clusters are found by two levels of tables, each L2 entry naming
 * a cluster of the file, and each cluster of the file has a 16-bit reference count. Everything in
 * the file may be wrong, so an offset is checked each time it is used; what cannot be makes the
 * image corrupt: it is marked so, and refuses writes from then on.
 *
 * Metadata is read through a small cache of pages; only pages of L2 tables are ever dirty. The
 * order on the disk, so that a crash at any time leaves nothing worse than clusters that nobody
 * uses:
 *   1. a cluster's count is written when it is allocated, then its data;
 *   2. a flush makes those stable, then writes the L2 pages that name them, and makes these stable;
 *   3. only then are the counts of clusters that are named no more lowered.
 * New L2 tables and blocks of counts are stable before they are named.
 *
 * When a sync fails, nobody knows what the file has: the host may have dropped pages that it could
 * not write, and says so once. Nor does anybody when a write in place fails that others rely on: of
 * the header, of a table's entry, of a count. From then on nothing is written, and so nothing is
 * given up or used again that the file may still name; reads go on.
 *
 * Calls return when all is done, in the thread that makes them. [loop]
 */
#pragma once

#include <errno.h>

#include "base/endian.h"
#include "block/image.h"

#define QCOW2_PAGES                64u
#define QCOW2_PAGE_SIZE            4096u
#define QCOW2_FREES_MAX            512u
#define QCOW2_IOV                  64
#define QCOW2_REFTABLE_MAX         MIB(8)        /* as QEMU */
#define QCOW2_L1_MAX               (MIB(32) / 8) /* entries; as QEMU */
#define QCOW2_SIZE_MAX             (1ull << 56)  /* of the disk; offsets have no more bits */

#define QCOW2_COPIED               (1ull << 63) /* of an entry: its cluster's count is exactly one */
#define QCOW2_COMPRESSED           (1ull << 62)
#define QCOW2_ZERO                 1ull
#define QCOW2_OFFSET               0x00fffffffffffe00ull

#define QCOW2_VERSION              4
#define QCOW2_REFTABLE_AT          48
#define QCOW2_INCOMPATIBLE         72
#define QCOW2_AUTOCLEAR            88
#define QCOW2_INCOMPAT_DIRTY       1u
#define QCOW2_INCOMPAT_CORRUPT     2u
#define QCOW2_INCOMPAT_COMPRESSION 8u

struct qcow2_page {
	uint64_t at; /* offset in the file; 0: none */
	uint64_t used;
	bool dirty;
	uint8_t *data;
};

struct qcow2 {
	struct block_image image;
	struct block_image *file;    /* raw; owned */
	struct block_image *backing; /* owned, or NULL */
	uint64_t file_size;          /* bytes, as far as written */
	uint64_t file_max;           /* a device cannot grow; 0: a file can */

	uint32_t version;
	unsigned int cluster_bits;
	uint64_t cluster;     /* bytes */
	unsigned int l2_bits; /* entries of an L2 table */
	uint64_t l1_at;
	uint32_t l1_size;                    /* entries */
	uint64_t reftable_at, reftable_size; /* bytes */
	uint64_t incompatible;
	bool zstd;
	bool corrupt;
	int failed; /* -errno of what failed: nothing is written any more; 0: none */

	struct qcow2_page pages[QCOW2_PAGES];
	uint32_t page_size;
	uint64_t clock;

	uint64_t hint;                   /* no cluster before this one is free */
	uint64_t frees[QCOW2_FREES_MAX]; /* clusters to be given up with the next flush */
	unsigned int n_frees;

	uint8_t *bounce;       /* a cluster */
	uint8_t *packed;       /* compressed data, up to two clusters */
	uint64_t bounce_entry; /* the compressed cluster that bounce holds, or 0 */
};

/* What an L2 entry says. */
enum qcow2_kind { QCOW2_UNALLOCATED, QCOW2_ZEROS, QCOW2_DATA, QCOW2_PACKED };

struct qcow2_map {
	enum qcow2_kind kind;
	uint64_t entry;
	uint64_t host; /* of the cluster; 0: none */
	bool copied;
};

/* Where an L2 entry of a compressed cluster says that its data is: the offset, of any byte, and the
 * number of bytes to the end of its last sector. */
static inline uint64_t qcow2_packed_at(const struct qcow2 *q, uint64_t entry, uint64_t *ret_len)
{
	unsigned int bits = 62 - (q->cluster_bits - 8);
	uint64_t at = entry & ((1ull << bits) - 1);
	uint64_t sectors = ((entry & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> bits) + 1;

	*ret_len = sectors * 512 - at % 512;
	return at;
}

/* 0, or why the image is not written any more. */
static inline int qcow2_refuses(const struct qcow2 *q)
{
	return q->corrupt ? -EIO : q->failed;
}

/* qcow2_file.c: the file, and the cache of its pages. Reads past its end give zeros. */
int must_check qcow2_read(struct qcow2 *q, uint64_t at, void *data, uint64_t len);
int must_check qcow2_write(struct qcow2 *q, uint64_t at, const void *data, uint64_t len);
int must_check qcow2_readv(
	struct qcow2 *q, const struct iovec *iov, int n, uint64_t at, uint64_t len);
int must_check qcow2_writev(
	struct qcow2 *q, const struct iovec *iov, int n, uint64_t at, uint64_t len);
/* The same for what others rely on; an error, but for want of space, is the last word. */
int must_check qcow2_write_through(struct qcow2 *q, uint64_t at, const void *data, uint64_t len);
/* Data in the file is stable; after an error nothing is ever again. */
int must_check qcow2_sync(struct qcow2 *q);
/* A 64-bit entry of a table at an offset; written through, or left in the cache. */
int must_check qcow2_get64(struct qcow2 *q, uint64_t at, uint64_t *ret_value);
int must_check qcow2_put64(struct qcow2 *q, uint64_t at, uint64_t value, bool through);
int must_check qcow2_get16(struct qcow2 *q, uint64_t at, uint16_t *ret_value);
int must_check qcow2_put16(struct qcow2 *q, uint64_t at, uint16_t value);
/* The first count of zero from an offset on, in the same page; or the end of that. */
int must_check qcow2_find_zero16(struct qcow2 *q, uint64_t at, uint64_t *ret_at);
/* Forgets pages of a range that was written otherwise. */
void qcow2_invalidate(struct qcow2 *q, uint64_t at, uint64_t len);
int must_check qcow2_write_pages(struct qcow2 *q);
/* Marks the image: -EIO, always. */
int qcow2_corrupt(struct qcow2 *q, const char *what, uint64_t value);

/* qcow2_refcount.c */
/* A cluster that nobody uses, with a count of one: its offset. -ENOSPC */
int must_check qcow2_alloc(struct qcow2 *q, uint64_t *ret_at);
/* The cluster loses a reference with the next flush. */
int must_check qcow2_free_later(struct qcow2 *q, uint64_t at);
/* Lowers the counts of what was given up; after a sync. */
int must_check qcow2_free_now(struct qcow2 *q);

/* qcow2_map.c */
int must_check qcow2_lookup(struct qcow2 *q, uint64_t off, struct qcow2_map *ret_map);
/* The entry of a guest cluster can be written: what that takes is allocated. */
int must_check qcow2_prepare(struct qcow2 *q, uint64_t off);
/* Makes the entry of a guest cluster say something else, and gives up what it said before, but a
 * cluster that it still names. */
int must_check qcow2_update(
	struct qcow2 *q, uint64_t off, const struct qcow2_map *old, uint64_t entry);

/* qcow2_resize.c: block_image_ops.resize */
struct err *must_check qcow2_resize(struct block_image *image, uint64_t size);

/* qcow2_io.c */
extern const struct block_image_ops qcow2_ops;
int must_check qcow2_flush(struct qcow2 *q);
