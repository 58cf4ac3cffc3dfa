/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes of qcow2 images, cluster by cluster. What does not cover a new cluster is
 * completed from what the guest saw there before.
 */
#define LOG_MODULE "block"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/overflow.h"
#include "block/qcow2_internal.h"

static struct qcow2 *qcow2_of(struct block_image *image)
{
	return container_of(image, struct qcow2, image);
}

/* ---- Pieces of a request ---- */

struct qcow2_cursor {
	const struct iovec *iov;
	int n;
	size_t skip; /* bytes of the first piece */
};

/* As many pieces as fit, of at most len bytes; their number and bytes. */
static int qcow2_pieces(
	struct qcow2_cursor *c, uint64_t len, struct iovec *part, uint64_t *ret_bytes)
{
	int used = 0;

	*ret_bytes = 0;
	while (c->n && used < QCOW2_IOV && *ret_bytes < len) {
		size_t now = (size_t)MIN((uint64_t)(c->iov->iov_len - c->skip), len - *ret_bytes);

		if (now)
			part[used++] = (struct iovec){(uint8_t *)c->iov->iov_base + c->skip, now};
		*ret_bytes += now;
		c->skip += now;
		if (c->skip == c->iov->iov_len) {
			c->iov++;
			c->n--;
			c->skip = 0;
		}
	}
	return used;
}

static void qcow2_copy(uint8_t *buf, const struct iovec *part, int n, bool to_pieces)
{
	for (int i = 0; i < n; buf += part[i++].iov_len) {
		if (to_pieces)
			memcpy(part[i].iov_base, buf, part[i].iov_len);
		else
			memcpy(buf, part[i].iov_base, part[i].iov_len);
	}
}

static void qcow2_zero(const struct iovec *part, int n)
{
	for (int i = 0; i < n; i++)
		memset(part[i].iov_base, 0, part[i].iov_len);
}

static int qcow2_need_bounce(struct qcow2 *q)
{
	if (!q->bounce)
		q->bounce = malloc(q->cluster);
	return q->bounce ? 0 : -ENOMEM;
}

/* ---- Compressed clusters ---- */

static int qcow2_inflate(struct qcow2 *q, size_t len)
{
	z_stream z = {.next_in = q->packed,
		.avail_in = (uInt)len,
		.next_out = q->bounce,
		.avail_out = (uInt)q->cluster};
	int ret;

	if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z);
	/* What follows the data in its last sector is not ours. */
	return !z.avail_out && (ret == Z_STREAM_END || ret == Z_BUF_ERROR) ? 0 : -EINVAL;
}

static int qcow2_unzstd(struct qcow2 *q, size_t len)
{
	size_t frame = ZSTD_findFrameCompressedSize(q->packed, len);

	if (ZSTD_isError(frame) ||
		ZSTD_decompress(q->bounce, q->cluster, q->packed, frame) != q->cluster)
		return -EINVAL;
	return 0;
}

/* Unpacks a cluster into bounce. */
static int qcow2_unpack(struct qcow2 *q, uint64_t entry)
{
	uint64_t len;
	uint64_t at = qcow2_packed_at(q, entry, &len);
	int ret = qcow2_need_bounce(q);

	if (ret || q->bounce_entry == entry)
		return ret;
	q->bounce_entry = 0;
	if (!q->packed)
		q->packed = malloc(2 * q->cluster + 512);
	if (!q->packed)
		return -ENOMEM;
	if (at >= q->file_size || len > 2 * q->cluster + 512)
		return qcow2_corrupt(q, "compressed cluster at", at);
	ret = qcow2_read(q, at, q->packed, len);
	if (!ret)
		ret = q->zstd ? qcow2_unzstd(q, len) : qcow2_inflate(q, len);
	if (ret == -EINVAL)
		return qcow2_corrupt(q, "compressed data at", at);
	if (!ret)
		q->bounce_entry = entry;
	return ret;
}

/* ---- Reads ---- */

/* What the image has not; zeros behind the end of a shorter one. */
static int qcow2_read_backing(
	struct qcow2 *q, const struct iovec *part, int n, uint64_t off, uint64_t len)
{
	struct iovec there[QCOW2_IOV];
	uint64_t size = q->backing ? q->backing->facts.size : 0;
	uint64_t rest = off < size ? MIN(len, size - off) : 0;
	int used = 0;

	if (rest < len)
		qcow2_zero(part, n);
	if (!rest)
		return 0;
	for (int i = 0; i < n && rest; i++) {
		there[used] = (struct iovec){
			part[i].iov_base, (size_t)MIN((uint64_t)part[i].iov_len, rest)};
		rest -= there[used++].iov_len;
	}
	return q->backing->ops->preadv(q->backing, there, used, off);
}

/* Pieces inside one cluster. */
static int qcow2_read_part(struct qcow2 *q, const struct qcow2_map *map, const struct iovec *part,
	int n, uint64_t off, uint64_t len)
{
	uint64_t in = off % q->cluster;
	int ret;

	switch (map->kind) {
	case QCOW2_UNALLOCATED:
		return qcow2_read_backing(q, part, n, off, len);
	case QCOW2_ZEROS:
		qcow2_zero(part, n);
		return 0;
	case QCOW2_DATA:
		return qcow2_readv(q, part, n, map->host + in, len);
	case QCOW2_PACKED:
		ret = qcow2_unpack(q, map->entry);
		if (!ret)
			qcow2_copy(q->bounce + in, part, n, true);
		return ret;
	}
	return -EIO;
}

static int qcow2_preadv(struct block_image *image, const struct iovec *iov, int n, uint64_t off)
{
	struct qcow2 *q = qcow2_of(image);
	struct qcow2_cursor c = {iov, n, 0};
	struct iovec part[QCOW2_IOV];

	while (c.n) {
		struct qcow2_map map;
		uint64_t len;
		int used = qcow2_pieces(&c, q->cluster - off % q->cluster, part, &len);
		int ret = len ? qcow2_lookup(q, off, &map) : 0;

		if (!ret && len)
			ret = qcow2_read_part(q, &map, part, used, off, len);
		if (ret)
			return ret;
		off += len;
	}
	return 0;
}

/* ---- Writes ---- */

/* All of a cluster as the guest sees it, into bounce. */
static int qcow2_read_cluster(struct qcow2 *q, const struct qcow2_map *map, uint64_t off)
{
	struct iovec whole;
	int ret = qcow2_need_bounce(q);

	if (ret)
		return ret;
	whole = (struct iovec){q->bounce, q->cluster};
	if (map->kind == QCOW2_PACKED)
		ret = qcow2_unpack(q, map->entry);
	else
		ret = qcow2_read_part(q, map, &whole, 1, align_down(off, q->cluster), q->cluster);
	q->bounce_entry = 0; /* it is about to change */
	return ret;
}

/* Pieces inside one cluster, into one that is not named yet: all of it is written. */
static int qcow2_write_new(struct qcow2 *q, const struct qcow2_map *map, const struct iovec *part,
	int n, uint64_t off, uint64_t len, uint64_t host)
{
	int ret;

	if (len == q->cluster)
		return qcow2_writev(q, part, n, host, len);
	ret = qcow2_read_cluster(q, map, off);
	if (ret)
		return ret;
	qcow2_copy(q->bounce + off % q->cluster, part, n, false);
	return qcow2_write(q, host, q->bounce, q->cluster);
}

static int qcow2_write_part(
	struct qcow2 *q, const struct iovec *part, int n, uint64_t off, uint64_t len)
{
	struct qcow2_map map;
	uint64_t host;
	bool kept;
	int ret = qcow2_lookup(q, off, &map);

	if (ret)
		return ret;
	if (map.kind == QCOW2_DATA && map.copied)
		return qcow2_writev(q, part, n, map.host + off % q->cluster, len);
	/* A cluster that is kept for zeros is used; it is ours alone. */
	kept = map.kind == QCOW2_ZEROS && map.copied && map.host;
	host = map.host;
	ret = qcow2_prepare(q, off);
	if (!ret && !kept)
		ret = qcow2_alloc(q, &host);
	if (ret)
		return ret;
	ret = qcow2_write_new(q, &map, part, n, off, len, host);
	if (!ret)
		return qcow2_update(q, off, &map, host | QCOW2_COPIED);
	/* A host that is full now may have room later: nothing is to leak meanwhile. */
	if (!kept && qcow2_free_later(q, host))
		return -EIO;
	return ret;
}

static int qcow2_pwritev(
	struct block_image *image, const struct iovec *iov, int n, uint64_t off, bool fua)
{
	struct qcow2 *q = qcow2_of(image);
	struct qcow2_cursor c = {iov, n, 0};
	struct iovec part[QCOW2_IOV];

	if (qcow2_refuses(q))
		return qcow2_refuses(q);
	while (c.n) {
		uint64_t len;
		int used = qcow2_pieces(&c, q->cluster - off % q->cluster, part, &len);
		int ret = len ? qcow2_write_part(q, part, used, off, len) : 0;

		if (ret)
			return ret;
		off += len;
	}
	return fua ? qcow2_flush(q) : 0;
}

int qcow2_flush(struct qcow2 *q)
{
	int ret = qcow2_write_pages(q);

	if (!ret)
		ret = qcow2_sync(q);
	if (!ret && q->n_frees)
		ret = qcow2_free_now(q);
	return ret;
}

static int qcow2_flush_image(struct block_image *image)
{
	return qcow2_flush(qcow2_of(image));
}

/* ---- Space ---- */

/* A whole cluster becomes zeros, or of no use. */
static int qcow2_clear(struct qcow2 *q, uint64_t off, bool keep)
{
	struct qcow2_map map;
	uint64_t entry = 0;
	int ret = qcow2_lookup(q, off, &map);

	if (ret || map.kind == QCOW2_ZEROS || (map.kind == QCOW2_UNALLOCATED && !q->backing))
		return ret;
	if (keep && map.kind == QCOW2_DATA && map.copied)
		entry = map.host | QCOW2_COPIED | QCOW2_ZERO;
	else if (q->backing || keep)
		entry = QCOW2_ZERO;
	return qcow2_update(q, off, &map, entry);
}

static int qcow2_write_zeros_at(struct qcow2 *q, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[4096] = {0};

	while (len) {
		uint64_t in = q->cluster - off % q->cluster;
		uint64_t now = MIN(len, in);
		struct iovec part = {
			(void *)(uintptr_t)zeros, (size_t)MIN(now, (uint64_t)sizeof(zeros))};
		int ret = qcow2_write_part(q, &part, 1, off, part.iov_len);

		if (ret)
			return ret;
		off += part.iov_len;
		len -= part.iov_len;
	}
	return 0;
}

static int qcow2_write_zeroes(struct block_image *image, uint64_t off, uint64_t len, bool unmap)
{
	struct qcow2 *q = qcow2_of(image);
	int ret = qcow2_refuses(q);

	while (len && !ret) {
		uint64_t now = MIN(len, q->cluster - off % q->cluster);

		/* Version 2 has no clusters of zeros. */
		if (now == q->cluster && q->version >= 3)
			ret = qcow2_clear(q, off, !unmap);
		else
			ret = qcow2_write_zeros_at(q, off, now);
		off += now;
		len -= now;
	}
	return ret;
}

static int qcow2_discard(struct block_image *image, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(image);
	uint64_t end = align_down(off + len, q->cluster);
	int ret = qcow2_refuses(q);

	if (q->version < 3 && q->backing)
		return -EOPNOTSUPP;
	for (off = align_up(off, q->cluster); !ret && off < end; off += q->cluster)
		ret = qcow2_clear(q, off, false);
	return ret;
}

static void qcow2_free(struct block_image *image)
{
	struct qcow2 *q = qcow2_of(image);

	if (q->file && !image->facts.readonly && !q->corrupt && qcow2_flush(q))
		log_error("what the guest had not flushed could not be written to a qcow2 image");
	for (unsigned int i = 0; i < QCOW2_PAGES; i++)
		free(q->pages[i].data);
	free(q->bounce);
	free(q->packed);
	block_image_free(q->backing);
	block_image_free(q->file);
	free(q);
}

const struct block_image_ops qcow2_ops = {.preadv = qcow2_preadv,
	.pwritev = qcow2_pwritev,
	.flush = qcow2_flush_image,
	.discard = qcow2_discard,
	.write_zeroes = qcow2_write_zeroes,
	.resize = qcow2_resize,
	.free = qcow2_free};
