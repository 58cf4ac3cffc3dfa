/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block device: one queue, requests in order, each completed before the next. Header and status may
 * be spread over any descriptors (5.2.6); both are copied once. Runs in the device's loop.
 */
#define LOG_MODULE "virtio_blk"
#include "virtio/dev/blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

#define BLK_ID         2
#define BLK_CLASS      0x010000
#define BLK_SECTOR     512u
#define BLK_HEADER     16u
#define BLK_SEG_MAX    (VIRTQ_SIZE_MAX - 2) /* all but header and status */
#define BLK_SIZE_MAX   MIB(4)

#define BLK_F_SIZE_MAX (1ull << 1)
#define BLK_F_SEG_MAX  (1ull << 2)
#define BLK_F_RO       (1ull << 5)
#define BLK_F_BLK_SIZE (1ull << 6)
#define BLK_F_FLUSH    (1ull << 9)

#define BLK_T_IN       0u
#define BLK_T_OUT      1u
#define BLK_T_FLUSH    4u
#define BLK_T_GET_ID   8u

enum { BLK_S_OK, BLK_S_IOERR, BLK_S_UNSUPP };

/* struct virtio_blk_config (5.2.4), as far as it is offered. */
#define BLK_CONFIG_SIZE     60u
#define BLK_CONFIG_CAPACITY 0
#define BLK_CONFIG_SIZE_MAX 8
#define BLK_CONFIG_SEG_MAX  12
#define BLK_CONFIG_BLK_SIZE 20

struct virtio_blk {
	struct virtio_dev dev;
	struct block_dev *block;
	char name[32];
	char serial[VIRTIO_BLK_SERIAL_MAX];
	struct virtq_chain chain;
};

/* One request, out of its chain. */
struct blk_request {
	uint32_t type;
	uint64_t sector;
	struct iovec *data;
	unsigned int n;   /* pieces of data */
	uint64_t len;     /* bytes of data */
	uint32_t written; /* bytes of data written to the guest */
};

/* Data of a request must be whole sectors inside the device; its offset in bytes. */
static bool blk_range(const struct virtio_blk *blk, const struct blk_request *r, uint64_t *ret_off)
{
	uint64_t off;

	if (r->len % BLK_SECTOR || mul_overflows(r->sector, (uint64_t)BLK_SECTOR, &off) ||
		!range_fits(off, r->len, blk->block->size))
		return false;
	*ret_off = off;
	return true;
}

static uint8_t blk_status(struct virtio_blk *blk, const char *what, int ret)
{
	if (!ret)
		return BLK_S_OK;
	log_guest(&blk->dev.limit, "%s: %s failed: %s", blk->name, what, err_strerror(-ret));
	return BLK_S_IOERR;
}

static uint8_t blk_in(struct virtio_blk *blk, struct blk_request *r)
{
	uint64_t off;
	int ret;

	if (!blk_range(blk, r, &off))
		return BLK_S_IOERR;
	ret = block_preadv(blk->block, r->data, (int)r->n, off);
	r->written = ret ? 0 : (uint32_t)r->len;
	return blk_status(blk, "read", ret);
}

static uint8_t blk_out(struct virtio_blk *blk, struct blk_request *r)
{
	uint64_t off;

	if (blk->block->readonly || !blk_range(blk, r, &off))
		return BLK_S_IOERR;
	return blk_status(blk, "write", block_pwritev(blk->block, r->data, (int)r->n, off));
}

static uint8_t blk_get_id(struct virtio_blk *blk, struct blk_request *r)
{
	r->written = (uint32_t)virtio_iov_write(r->data, r->n, 0, blk->serial, sizeof(blk->serial));
	return BLK_S_OK;
}

static uint8_t blk_execute(struct virtio_blk *blk, struct blk_request *r)
{
	switch (r->type) {
	case BLK_T_IN:
		return blk_in(blk, r);
	case BLK_T_OUT:
		return blk_out(blk, r);
	case BLK_T_FLUSH:
		return blk_status(blk, "flush", block_flush(blk->block));
	case BLK_T_GET_ID:
		return blk_get_id(blk, r);
	default:
		return BLK_S_UNSUPP;
	}
}

/* Takes the chain apart; false if it lacks a header or a status byte. */
static bool blk_parse(struct virtq_chain *chain, struct blk_request *r, uint64_t *ret_status_at)
{
	struct iovec *writable = chain->iov + chain->n_readable;
	uint64_t out_len = virtio_iov_size(chain->iov, chain->n_readable);
	uint64_t in_len = virtio_iov_size(writable, chain->n_writable);
	uint8_t header[BLK_HEADER];

	if (out_len < BLK_HEADER || !in_len || in_len > UINT32_MAX)
		return false;
	(void)virtio_iov_read(chain->iov, chain->n_readable, 0, header, sizeof(header));
	*r = (struct blk_request){.type = load_le32(header), .sector = load_le64(header + 8)};
	*ret_status_at = in_len - 1;
	if (r->type == BLK_T_OUT) {
		r->len = out_len - BLK_HEADER;
		r->n = virtio_iov_slice(
			chain->iov, chain->n_readable, BLK_HEADER, r->len, &r->data);
	} else {
		r->len = in_len - 1;
	}
	return true;
}

static uint32_t blk_serve(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);
	struct iovec *writable = chain->iov + chain->n_readable;
	struct iovec status_piece[1];
	struct blk_request r;
	uint64_t status_at;
	uint64_t at;
	unsigned int i = 0;
	uint8_t status;

	if (!blk_parse(chain, &r, &status_at)) {
		log_guest(&blk->dev.limit, "%s: a request without header or status", blk->name);
		return 0;
	}
	/* Where the status byte goes, before the pieces are narrowed to the data. */
	for (at = status_at; at >= writable[i].iov_len; i++)
		at -= writable[i].iov_len;
	status_piece[0] =
		(struct iovec){.iov_base = (uint8_t *)writable[i].iov_base + at, .iov_len = 1};
	if (r.type != BLK_T_OUT)
		r.n = virtio_iov_slice(writable, chain->n_writable, 0, r.len, &r.data);
	status = blk_execute(blk, &r);
	(void)virtio_iov_write(status_piece, 1, 0, &status, 1);
	/* The used length counts from the start: what lies between data and status was not written
	 * by us. */
	return r.written == status_at ? r.written + 1 : r.written;
}

static void blk_notify(struct virtio_dev *dev, unsigned int q)
{
	virtio_dev_serve(dev, q, &container_of(dev, struct virtio_blk, dev)->chain, blk_serve);
}

static void blk_config_read(struct virtio_dev *dev, unsigned int off, void *data, unsigned int size)
{
	const struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);
	uint8_t config[BLK_CONFIG_SIZE] = {0};

	store_le64(config + BLK_CONFIG_CAPACITY, blk->block->size / BLK_SECTOR);
	store_le32(config + BLK_CONFIG_SIZE_MAX, BLK_SIZE_MAX);
	store_le32(config + BLK_CONFIG_SEG_MAX, BLK_SEG_MAX);
	store_le32(config + BLK_CONFIG_BLK_SIZE, blk->block->block_size);
	memcpy(data, config + off, size);
}

static void blk_free(struct virtio_dev *dev)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);

	block_free(blk->block);
	free(blk);
}

static const struct virtio_dev_ops blk_ops = {
	.notify = blk_notify, .config_read = blk_config_read, .free = blk_free};

struct err *virtio_blk_create(const struct virtio_blk_options *options, struct virtio_dev **ret_dev)
{
	struct virtio_blk *blk = new0(struct virtio_blk);
	const char *serial = options->serial ? options->serial : options->name;

	if (!blk)
		return err_new(ENOMEM, "Cannot create a block device");
	blk->block = options->block;
	strncpy(blk->name, options->name, sizeof(blk->name) - 1);
	memcpy(blk->serial, serial, MIN(strlen(serial), sizeof(blk->serial)));
	blk->dev = (struct virtio_dev){
		.ops = &blk_ops,
		.name = blk->name,
		.id = BLK_ID,
		.class_code = BLK_CLASS,
		.features = BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH |
			    (options->block->readonly ? BLK_F_RO : 0),
		.n_queues = 1,
		.queue_size = VIRTQ_SIZE_MAX,
		.config_size = BLK_CONFIG_SIZE,
	};
	*ret_dev = &blk->dev;
	return NULL;
}
