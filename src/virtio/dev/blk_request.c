/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the block device (virtio 1.3, 5.2.6): header and status may be spread over any
 * descriptors; both are copied once. Memory is bounded whatever the driver does: so many slots, and
 * so many lists for requests of many pieces; a queue that finds none waits for a completion.
 */
#define LOG_MODULE "virtio_blk"
#include "virtio/dev/blk_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/log.h"

/* ---- Slots ---- */

bool blk_has_room(const struct blk_thread *t)
{
	return (t->free || t->n_fresh < BLK_SLOTS) && t->wide_busy != (1u << BLK_WIDE) - 1;
}

static struct blk_slot *blk_slot_get(struct blk_thread *t)
{
	struct blk_slot *slot = t->free;

	if (slot)
		t->free = slot->next;
	else
		slot = &t->slots[t->n_fresh++];
	slot->wide = -1;
	slot->data_len = 0;
	return slot;
}

static void blk_slot_put(struct blk_thread *t, struct blk_slot *slot)
{
	if (slot->wide >= 0)
		t->wide_busy &= ~(1u << slot->wide);
	slot->next = t->free;
	t->free = slot;
}

void blk_forget(struct blk_thread *t)
{
	t->free = NULL;
	t->n_fresh = 0;
	t->wide_busy = 0;
	t->dirty = 0;
	t->n_dirty = 0;
	t->held_since = 0;
	t->quiet = 0;
	t->waiting = 0;
	t->poll = (struct virtio_poll){0};
}

/* The slot's own list of n pieces, or one of the wide ones, which are made when first needed. */
static struct iovec *blk_slot_iov(struct blk_thread *t, struct blk_slot *slot, unsigned int n)
{
	int i;

	if (n <= BLK_IOV_INLINE)
		return slot->iov;
	i = __builtin_ctz(~t->wide_busy); /* blk_has_room() */
	if (!t->wide[i])
		t->wide[i] = new0_array(struct iovec, (size_t)VIRTQ_IOV_MAX);
	if (!t->wide[i])
		return NULL;
	t->wide_busy |= 1u << i;
	slot->wide = i;
	return t->wide[i];
}

/* ---- Completion ---- */

static void blk_complete(
	struct blk_thread *t, struct blk_slot *slot, uint8_t status, uint32_t written)
{
	(void)virtio_iov_write(&slot->status, 1, 0, &status, 1);
	/* The used length counts from the start: what lies between data and status was not written
	 * by us. */
	virtq_push(&t->blk->dev.queues[slot->q], slot->head,
		written == slot->status_at ? written + 1 : written);
	t->dirty |= 1ull << slot->q;
	t->n_dirty++;
	blk_slot_put(t, slot);
}

static const char *blk_op_name(enum block_op op)
{
	static const char *const names[] = {[BLOCK_READ] = "read",
		[BLOCK_WRITE] = "write",
		[BLOCK_FLUSH] = "flush",
		[BLOCK_DISCARD] = "discard",
		[BLOCK_WRITE_ZEROES] = "write of zeroes"};

	return names[op];
}

static uint8_t blk_status(struct blk_thread *t, const struct block_request *r)
{
	if (!r->result)
		return BLK_S_OK;
	if (r->result == -EOPNOTSUPP)
		return BLK_S_UNSUPP;
	log_guest(&t->blk->dev.limit, "%s: %s failed: %s", t->blk->name, blk_op_name(r->op),
		err_strerror(-r->result));
	return BLK_S_IOERR;
}

void blk_done(struct block_user *user, struct block_request *r)
{
	struct blk_thread *t = container_of(user, struct blk_thread, user);
	struct blk_slot *slot = container_of(r, struct blk_slot, request);

	blk_complete(t, slot, blk_status(t, r), r->result ? 0 : slot->data_len);
}

/* ---- Requests ---- */

/* Sectors inside the device; their offset in bytes. */
static bool blk_range(const struct blk_thread *t, uint64_t sector, uint64_t len, uint64_t *ret_off)
{
	uint64_t off;

	if (len % BLK_SECTOR || mul_overflows(sector, (uint64_t)BLK_SECTOR, &off) ||
		!range_fits(off, len, t->block->facts.size))
		return false;
	*ret_off = off;
	return true;
}

/* Must writes be stable when they are done? (5.2.5.2, 5.2.6.2) */
static bool blk_is_writethrough(const struct blk_thread *t)
{
	if (!(t->blk->dev.negotiated & BLK_F_FLUSH))
		return true;
	if (t->blk->dev.negotiated & BLK_F_CONFIG_WCE)
		return !atomic_load(&t->blk->writeback);
	return t->blk->writethrough;
}

/* Data of the chain: its part [off, off + len) of n pieces at iov. */
static bool blk_set_data(struct blk_thread *t, struct blk_slot *slot, struct iovec *iov,
	unsigned int n, uint64_t off)
{
	struct block_request *r = &slot->request;
	struct iovec *first;

	n = virtio_iov_slice(iov, n, off, r->len, &first);
	r->n = (int)n;
	r->iov = blk_slot_iov(t, slot, n);
	if (!r->iov)
		return false;
	memcpy(r->iov, first, n * sizeof(*first));
	return true;
}

/* Each returns a status, or -1: the request is to be submitted. */

static int blk_transfer(struct blk_thread *t, struct blk_slot *slot, uint64_t sector, bool write)
{
	struct virtq_chain *chain = &t->chain;
	struct block_request *r = &slot->request;
	struct iovec *iov = chain->iov + (write ? 0 : chain->n_readable);
	unsigned int n = write ? chain->n_readable : chain->n_writable;

	r->op = write ? BLOCK_WRITE : BLOCK_READ;
	r->fua = write && blk_is_writethrough(t);
	r->len = write ? virtio_iov_size(iov, n) - BLK_HEADER : slot->status_at;
	/* A pause, a reset and the end wait for what has begun, so it has an end. */
	if ((write && t->block->facts.readonly) || r->len > BLK_DATA_MAX ||
		!blk_range(t, sector, r->len, &r->off))
		return BLK_S_IOERR;
	if (!r->len)
		return BLK_S_OK;
	if (!blk_set_data(t, slot, iov, n, write ? BLK_HEADER : 0))
		return BLK_S_IOERR;
	slot->data_len = write ? 0 : slot->status_at;
	return -1;
}

/* struct virtio_blk_discard_write_zeroes (5.2.6): one of them, as the configuration says. */
static int blk_clear(struct blk_thread *t, struct blk_slot *slot, bool zeroes)
{
	struct virtq_chain *chain = &t->chain;
	struct block_request *r = &slot->request;
	uint8_t range[16];
	uint32_t n, flags;

	if (!(t->blk->dev.features & (zeroes ? BLK_F_WRITE_ZEROES : BLK_F_DISCARD)))
		return BLK_S_UNSUPP;
	if (virtio_iov_size(chain->iov, chain->n_readable) != BLK_HEADER + sizeof(range))
		return BLK_S_IOERR;
	(void)virtio_iov_read(chain->iov, chain->n_readable, BLK_HEADER, range, sizeof(range));
	n = load_le32(range + 8);
	flags = load_le32(range + 12);
	/* 5.2.6.2: what is reserved, and unmap of a discard. */
	if (flags & ~(zeroes ? 1u : 0u))
		return BLK_S_UNSUPP;
	r->op = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD;
	r->unmap = t->blk->discard && flags;
	r->fua = zeroes && blk_is_writethrough(t);
	r->len = (uint64_t)n * BLK_SECTOR;
	if (n > (zeroes ? BLK_WRITE_ZEROES_MAX : BLK_DISCARD_MAX) ||
		!blk_range(t, load_le64(range), r->len, &r->off))
		return BLK_S_IOERR;
	return n ? -1 : BLK_S_OK;
}

static int blk_get_id(struct blk_thread *t, struct blk_slot *slot)
{
	struct virtq_chain *chain = &t->chain;
	size_t len = MIN((size_t)slot->status_at, sizeof(t->blk->serial));

	slot->data_len = (uint32_t)virtio_iov_write(
		chain->iov + chain->n_readable, chain->n_writable, 0, t->blk->serial, len);
	return BLK_S_OK;
}

static int blk_execute(struct blk_thread *t, struct blk_slot *slot, uint32_t type, uint64_t sector)
{
	switch (type) {
	case BLK_T_IN:
	case BLK_T_OUT:
		return blk_transfer(t, slot, sector, type == BLK_T_OUT);
	case BLK_T_FLUSH:
		slot->request.op = BLOCK_FLUSH;
		return -1;
	case BLK_T_GET_ID:
		return blk_get_id(t, slot);
	case BLK_T_DISCARD:
	case BLK_T_WRITE_ZEROES:
		return blk_clear(t, slot, type == BLK_T_WRITE_ZEROES);
	default:
		return BLK_S_UNSUPP;
	}
}

/* The last byte that the device may write. */
static struct iovec blk_status_piece(const struct virtq_chain *chain, uint64_t at)
{
	const struct iovec *piece = chain->iov + chain->n_readable;

	for (; at >= piece->iov_len; piece++)
		at -= piece->iov_len;
	return (struct iovec){.iov_base = (uint8_t *)piece->iov_base + at, .iov_len = 1};
}

void blk_begin(struct blk_thread *t, unsigned int q)
{
	struct virtq_chain *chain = &t->chain;
	uint64_t out_len = virtio_iov_size(chain->iov, chain->n_readable);
	uint64_t in_len = virtio_iov_size(chain->iov + chain->n_readable, chain->n_writable);
	uint8_t header[BLK_HEADER];
	struct blk_slot *slot;
	int status;

	if (out_len < BLK_HEADER || !in_len || in_len > UINT32_MAX) {
		log_guest(
			&t->blk->dev.limit, "%s: a request without header or status", t->blk->name);
		virtq_push(&t->blk->dev.queues[q], chain->head, 0);
		t->dirty |= 1ull << q;
		return;
	}
	(void)virtio_iov_read(chain->iov, chain->n_readable, 0, header, sizeof(header));
	slot = blk_slot_get(t);
	slot->request = (struct block_request){0};
	slot->head = chain->head;
	slot->q = (uint16_t)q;
	slot->status_at = (uint32_t)in_len - 1;
	slot->status = blk_status_piece(chain, slot->status_at);
	status = blk_execute(t, slot, load_le32(header), load_le64(header + 8));
	if (status < 0)
		block_submit(t->block, &slot->request);
	else
		blk_complete(t, slot, (uint8_t)status, status == BLK_S_OK ? slot->data_len : 0);
}
