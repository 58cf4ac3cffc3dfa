/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block device: configuration, life. A reset waits for what is in flight, each of the device's
 * threads for its own.
 */
#include "virtio/dev/blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "virtio/dev/blk_internal.h"

#define BLK_ID    2
#define BLK_CLASS 0x010000

/* struct virtio_blk_config (5.2.4), as far as it is offered. */
#define BLK_CONFIG_SIZE 60u
enum {
	BLK_CONFIG_CAPACITY = 0,
	BLK_CONFIG_SIZE_MAX = 8,
	BLK_CONFIG_SEG_MAX = 12,
	BLK_CONFIG_BLK_SIZE = 20,
	BLK_CONFIG_PHYSICAL_EXP = 24,
	BLK_CONFIG_MIN_IO = 26,
	BLK_CONFIG_OPT_IO = 28,
	BLK_CONFIG_WRITEBACK = 32,
	BLK_CONFIG_NUM_QUEUES = 34,
	BLK_CONFIG_DISCARD_MAX = 36,
	BLK_CONFIG_DISCARD_SEG = 40,
	BLK_CONFIG_DISCARD_ALIGN = 44,
	BLK_CONFIG_ZEROES_MAX = 48,
	BLK_CONFIG_ZEROES_SEG = 52,
	BLK_CONFIG_ZEROES_UNMAP = 56,
};

static struct virtio_blk *blk_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

/* ---- Life ---- */

static void blk_activate(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	blk_resize_activate(blk);
	for (unsigned int i = 0; i < blk->n_threads; i++) {
		struct blk_thread *t = &blk->threads[i];

		t->paused = false;
		block_start(t->block, &t->user, virtio_dev_loop(dev, i));
	}
}

static void blk_drain(struct virtio_dev *dev, unsigned int thread)
{
	block_quiesce(blk_of(dev)->threads[thread].block);
	blk_resize_drained(blk_of(dev));
}

static void blk_deactivate(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	blk_resize_deactivate(blk);
	for (unsigned int i = 0; i < blk->n_threads; i++)
		blk_forget(&blk->threads[i]);
}

static void blk_reset(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	atomic_store(&blk->writeback, !blk->writethrough);
}

static void blk_pause(struct virtio_dev *dev, unsigned int thread, bool paused)
{
	struct blk_thread *t = &blk_of(dev)->threads[thread];

	t->paused = paused;
	if (!thread) /* it is the last to pause */
		blk_resize_pause(t->blk, paused);
	if (paused)
		block_quiesce(t->block);
	else
		block_kick(t->block);
}

static void blk_free(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	for (unsigned int i = 0; i < blk->n_threads; i++) {
		for (unsigned int k = 0; k < BLK_WIDE; k++)
			free(blk->threads[i].wide[k]);
		block_free(blk->threads[i].block);
	}
	blk_resize_deinit(blk);
	free(blk);
}

/* ---- Configuration; [vcpu] ---- */

static void blk_store_topology(const struct block_facts *facts, uint8_t *config)
{
	uint32_t blocks = facts->physical_size / facts->block_size;

	config[BLK_CONFIG_PHYSICAL_EXP] = (uint8_t)ceil_log2(blocks);
	store_le16(config + BLK_CONFIG_MIN_IO, (uint16_t)MIN(blocks, (uint32_t)UINT16_MAX));
	store_le32(config + BLK_CONFIG_OPT_IO, facts->opt_io / facts->block_size);
}

static void blk_store_clearing(const struct block_facts *facts, bool unmap, uint8_t *config)
{
	store_le32(config + BLK_CONFIG_DISCARD_MAX, (uint32_t)BLK_DISCARD_MAX);
	store_le32(config + BLK_CONFIG_DISCARD_SEG, 1);
	store_le32(config + BLK_CONFIG_DISCARD_ALIGN, facts->physical_size / BLK_SECTOR);
	store_le32(config + BLK_CONFIG_ZEROES_MAX, (uint32_t)BLK_WRITE_ZEROES_MAX);
	store_le32(config + BLK_CONFIG_ZEROES_SEG, 1);
	config[BLK_CONFIG_ZEROES_UNMAP] = unmap;
}

/* 5.2.5.2: who may choose and knows no flushes has no cache, whatever it writes. */
static bool blk_shows_writeback(const struct virtio_blk *blk)
{
	uint64_t both = blk->dev.negotiated & (BLK_F_FLUSH | BLK_F_CONFIG_WCE);

	return both != BLK_F_CONFIG_WCE && atomic_load(&blk->writeback);
}

static void blk_config_read(struct virtio_dev *dev, unsigned int off, void *data, unsigned int size)
{
	struct virtio_blk *blk = blk_of(dev);
	const struct block_facts *facts = &blk->threads[0].block->facts; /* but its size */
	uint8_t config[BLK_CONFIG_SIZE] = {0};

	store_le64(config + BLK_CONFIG_CAPACITY, blk_resize_capacity(blk, off) / BLK_SECTOR);
	store_le32(config + BLK_CONFIG_SIZE_MAX, BLK_SIZE_MAX);
	store_le32(config + BLK_CONFIG_SEG_MAX, dev->queue_size - BLK_SEG_OTHER);
	store_le32(config + BLK_CONFIG_BLK_SIZE, facts->block_size);
	blk_store_topology(facts, config);
	config[BLK_CONFIG_WRITEBACK] = blk_shows_writeback(blk);
	store_le16(config + BLK_CONFIG_NUM_QUEUES, (uint16_t)dev->n_queues);
	if (dev->features & BLK_F_WRITE_ZEROES)
		blk_store_clearing(facts, blk->discard, config);
	memcpy(data, config + off, size);
}

/* Only the cache mode is the driver's to write (5.2.5). */
static void blk_config_write(
	struct virtio_dev *dev, unsigned int off, const void *data, unsigned int size)
{
	struct virtio_blk *blk = blk_of(dev);

	if (off == BLK_CONFIG_WRITEBACK && size == 1)
		atomic_store(&blk->writeback, *(const uint8_t *)data & 1);
}

static const struct virtio_dev_ops blk_ops = {.thread = blk_queue_thread,
	.notify = blk_queue_notify,
	.activate = blk_activate,
	.drain = blk_drain,
	.deactivate = blk_deactivate,
	.pause = blk_pause,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.reset = blk_reset,
	.free = blk_free};

static uint64_t blk_features(const struct virtio_blk_options *options)
{
	uint64_t features = BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH |
			    VIRTIO_F_RING_RESET | BLK_F_TOPOLOGY | BLK_F_CONFIG_WCE;

	if (options->queues > 1)
		features |= BLK_F_MQ;
	if (options->blocks[0]->facts.readonly)
		return features | BLK_F_RO;
	return features | BLK_F_WRITE_ZEROES | (options->discard ? BLK_F_DISCARD : 0);
}

static void blk_init_threads(struct virtio_blk *blk, struct block_dev *const *blocks)
{
	for (unsigned int i = 0; i < blk->n_threads; i++) {
		struct blk_thread *t = &blk->threads[i];

		t->blk = blk;
		t->index = i;
		t->block = blocks[i];
		t->user = (struct block_user){
			.done = blk_done, .batch = blk_queue_batch, .yield = &blk->dev.yield};
	}
}

struct err *virtio_blk_create(const struct virtio_blk_options *options, struct virtio_dev **ret_dev)
{
	unsigned int n = options->threads ? options->threads : 1;
	struct virtio_blk *blk = calloc(1, sizeof(*blk) + n * sizeof(blk->threads[0]));
	const char *serial = options->serial ? options->serial : options->name;

	if (!blk)
		return err_new(ENOMEM, "Cannot create a block device");
	blk->n_threads = n;
	blk_init_threads(blk, options->blocks);
	blk_resize_init(blk);
	blk->discard = options->discard;
	blk->writethrough = options->writethrough;
	blk->writeback = !options->writethrough;
	strncpy(blk->name, options->name, sizeof(blk->name) - 1);
	memcpy(blk->serial, serial, MIN(strlen(serial), sizeof(blk->serial)));
	blk->dev = (struct virtio_dev){
		.ops = &blk_ops,
		.name = blk->name,
		.id = BLK_ID,
		.class_code = BLK_CLASS,
		.features = blk_features(options),
		.n_queues = options->queues ? options->queues : 1,
		.n_threads = n,
		.queue_size = options->queue_size ? options->queue_size : VIRTQ_SIZE_MAX,
		.config_size = BLK_CONFIG_SIZE,
	};
	*ret_dev = &blk->dev;
	return NULL;
}
