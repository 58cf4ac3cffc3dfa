/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block device: configuration, queues, life. What was found in a queue is submitted as one batch,
 * and what is done together is published together, with one interrupt a queue. The loop's thread
 * serves all queues. A reset waits for what is in flight in the device's thread.
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

/* ---- Queues; [loop] ---- */

static void blk_publish(struct virtio_blk *blk)
{
	for (; blk->dirty; blk->dirty &= blk->dirty - 1)
		virtio_dev_publish(&blk->dev, (unsigned int)__builtin_ctzll(blk->dirty));
	blk->n_dirty = 0;
	blk->held_since = 0;
}

/* 0: the queue is empty; 1: there may be more, but it is somebody else's turn; 2: there is no room;
 * -EINVAL: broken. */
static int blk_take(struct virtio_blk *blk, unsigned int q, unsigned int *left)
{
	for (; *left && !atomic_load(&blk->dev.yield); --*left) {
		int ret;

		if (!blk_has_room(blk)) {
			blk->waiting |= 1ull << q;
			return 2;
		}
		ret = virtq_pop(&blk->dev.queues[q], &blk->chain);
		if (ret <= 0)
			return ret;
		blk_begin(blk, q);
	}
	return 1;
}

/* Takes what is in the queue, and has it begun; as blk_take(). */
static int blk_work(struct virtio_blk *blk, unsigned int q, unsigned int *left)
{
	uint64_t start = loop_now_ns();
	int ret;

	if (!(blk->quiet & 1ull << q))
		virtq_disable_notify(&blk->dev.queues[q]);
	blk->quiet |= 1ull << q;
	ret = blk_take(blk, q, left);
	block_kick(blk->block);
	virtio_poll_worked(&blk->poll, loop_now_ns() - start);
	return ret;
}

/* A queue that has something. */
static bool blk_find(const struct virtio_blk *blk, unsigned int *q)
{
	for (unsigned int i = 0; i < blk->dev.n_queues; i++) {
		if (virtq_has_chain(&blk->dev.queues[i])) {
			*q = i;
			return true;
		}
	}
	return false;
}

/* Publishes what is done, unless it is worth waiting for more, and the first has not waited long.
 */
static void blk_publish_or_hold(struct virtio_blk *blk, uint64_t now)
{
	if (blk->n_dirty && !blk->held_since)
		blk->held_since = now;
	if (!blk->n_dirty || now - blk->held_since >= VIRTIO_POLL_MAX_NS ||
		!virtio_poll_holds(&blk->poll, blk->n_dirty))
		blk_publish(blk);
}

/* While we look at the rings, no queue that is in use need notify. */
static void blk_quieten(struct virtio_blk *blk)
{
	for (uint64_t busy = blk->dirty & ~blk->quiet; busy; busy &= busy - 1)
		virtq_withdraw_notify(&blk->dev.queues[__builtin_ctzll(busy)]);
	blk->quiet |= blk->dirty;
}

/* Looks at the rings, the driver's and the host's, until there is a queue to serve, or it is not
 * worth it any more. */
static bool blk_poll(struct virtio_blk *blk, unsigned int *q)
{
	uint64_t window = atomic_load(&blk->dev.yield) ? 0 : virtio_poll_window(&blk->poll);
	uint64_t now = window ? loop_now_ns() : 0;
	uint64_t end = now + window;
	bool found = false;

	if (!window)
		return false;
	blk_quieten(blk);
	blk_publish_or_hold(blk, now);
	do {
		if (block_has_done(blk->block)) {
			block_kick(blk->block);
			blk_publish_or_hold(blk, now);
		}
		found = blk_find(blk, q);
		now = loop_now_ns();
	} while (!found && now < end && !atomic_load(&blk->dev.yield));
	virtio_poll_ended(&blk->poll, found);
	if (!found && blk->n_dirty)
		virtio_poll_kept_waiting(&blk->poll, blk->n_dirty);
	return found;
}

/* Asks for notifications again, and publishes; true if there is a queue, *q, that has something. */
static bool blk_ask(struct virtio_blk *blk, unsigned int *q)
{
	blk_publish(blk);
	for (; blk->quiet; blk->quiet &= blk->quiet - 1) {
		*q = (unsigned int)__builtin_ctzll(blk->quiet);
		if (virtq_enable_notify(&blk->dev.queues[*q]))
			return true;
	}
	return false;
}

/* A turn: queue q, if it has notified, and whatever comes while it is worth looking. */
static void blk_turn(struct virtio_blk *blk, unsigned int q, bool notified)
{
	struct virtio_dev *dev = &blk->dev;
	unsigned int left = VIRTQ_SIZE_MAX;
	int ret = 0;

	blk->in_turn = true;
	if (notified)
		ret = blk_work(blk, q, &left);
	while (!ret && (blk_poll(blk, &q) || blk_ask(blk, &q)))
		ret = blk_work(blk, q, &left);
	blk->in_turn = false;
	if (ret == 1)
		dev->transport->again(dev->transport, q);
	else if (ret < 0)
		virtio_dev_broken(dev, q);
	/* The turn has ended early: the others are asked now. */
	if (ret)
		blk->quiet &= ~(1ull << q);
	while (blk_ask(blk, &q)) {
		blk->quiet &= ~(1ull << q);
		dev->transport->again(dev->transport, q);
	}
}

static void blk_notify(struct virtio_dev *dev, unsigned int q)
{
	if (!dev->queues[q].broken)
		blk_turn(blk_of(dev), q, true);
}

/* Requests are done that nobody waited for in a turn. */
static void blk_batch(struct block_user *user)
{
	struct virtio_blk *blk = container_of(user, struct virtio_blk, user);

	if (blk->waiting && blk_has_room(blk)) {
		for (; blk->waiting; blk->waiting &= blk->waiting - 1)
			blk->dev.transport->again(
				blk->dev.transport, (unsigned int)__builtin_ctzll(blk->waiting));
	}
	if (!blk->in_turn && blk->dirty)
		blk_turn(blk, 0, false);
}

/* ---- Life ---- */

static void blk_activate(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	blk->user.yield = &dev->yield;
	blk_resize_activate(blk);
	block_start(blk->block, &blk->user, dev->loop);
}

static void blk_drain(struct virtio_dev *dev, unsigned int thread)
{
	block_quiesce(blk_of(dev)->block);
	blk_resize_drained(blk_of(dev));
}

static void blk_deactivate(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	blk_resize_deactivate(blk);
	blk_forget(blk);
	atomic_store(&blk->writeback, !blk->writethrough);
}

static void blk_pause(struct virtio_dev *dev, unsigned int thread, bool paused)
{
	blk_resize_pause(blk_of(dev), paused);
	if (paused)
		block_quiesce(blk_of(dev)->block);
	else
		block_kick(blk_of(dev)->block);
}

static void blk_free(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	for (unsigned int i = 0; i < BLK_WIDE; i++)
		free(blk->wide[i]);
	block_free(blk->block);
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

static void blk_config_read(struct virtio_dev *dev, unsigned int off, void *data, unsigned int size)
{
	struct virtio_blk *blk = blk_of(dev);
	const struct block_facts *facts = &blk->block->facts; /* but its size */
	uint8_t config[BLK_CONFIG_SIZE] = {0};

	store_le64(config + BLK_CONFIG_CAPACITY, blk_resize_capacity(blk, off) / BLK_SECTOR);
	store_le32(config + BLK_CONFIG_SIZE_MAX, BLK_SIZE_MAX);
	store_le32(config + BLK_CONFIG_SEG_MAX, dev->queue_size - BLK_SEG_OTHER);
	store_le32(config + BLK_CONFIG_BLK_SIZE, facts->block_size);
	blk_store_topology(facts, config);
	config[BLK_CONFIG_WRITEBACK] = atomic_load(&blk->writeback);
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

static const struct virtio_dev_ops blk_ops = {.notify = blk_notify,
	.activate = blk_activate,
	.drain = blk_drain,
	.deactivate = blk_deactivate,
	.pause = blk_pause,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.free = blk_free};

static uint64_t blk_features(const struct virtio_blk_options *options)
{
	uint64_t features = BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH |
			    VIRTIO_F_RING_RESET | BLK_F_TOPOLOGY | BLK_F_CONFIG_WCE;

	if (options->queues > 1)
		features |= BLK_F_MQ;
	if (options->block->facts.readonly)
		return features | BLK_F_RO;
	return features | BLK_F_WRITE_ZEROES | (options->discard ? BLK_F_DISCARD : 0);
}

struct err *virtio_blk_create(const struct virtio_blk_options *options, struct virtio_dev **ret_dev)
{
	struct virtio_blk *blk = new0(struct virtio_blk);
	const char *serial = options->serial ? options->serial : options->name;

	if (!blk)
		return err_new(ENOMEM, "Cannot create a block device");
	blk->block = options->block;
	blk_resize_init(blk);
	blk->user = (struct block_user){.done = blk_done, .batch = blk_batch};
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
		.queue_size = options->queue_size ? options->queue_size : VIRTQ_SIZE_MAX,
		.config_size = BLK_CONFIG_SIZE,
	};
	*ret_dev = &blk->dev;
	return NULL;
}
