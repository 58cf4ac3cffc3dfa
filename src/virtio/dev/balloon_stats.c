/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of the guest's memory (virtio 1.3, 5.5.6, "Memory Statistics"): the driver hands over
 * a buffer with them, and fills it anew when it gets it back. So one buffer is with us most of the
 * time.
 */
#include "base/thread.h"
#include "virtio/dev/balloon_internal.h"

#define BALLOON_STAT_SIZE 10u /* le16 tag, le64 value */
#define BALLOON_STATS_MAX 64u /* that are looked at, of those that a driver might send */

void balloon_ask_stats(struct virtio_balloon *balloon)
{
	if (!balloon->has_stats)
		return;
	balloon->has_stats = false;
	virtq_push(&balloon->dev.queues[BALLOON_Q_STATS], balloon->stats, 0);
	virtio_dev_publish(&balloon->dev, BALLOON_Q_STATS);
}

static void balloon_store_stats(struct virtio_balloon *balloon, const uint8_t *raw, size_t size)
{
	uint64_t *values = balloon->info.statistics;

	auto_lock(&balloon->lock);
	for (unsigned int i = 0; i < BALLOON_STATISTICS; i++)
		values[i] = UINT64_MAX;
	for (size_t at = 0; at + BALLOON_STAT_SIZE <= size; at += BALLOON_STAT_SIZE) {
		uint16_t tag = load_le16(raw + at);

		if (tag < BALLOON_STATISTICS)
			values[tag] = load_le64(raw + at + 2);
	}
	balloon->info.age_ns = loop_now_ns();
	balloon->n_stats++;
	pthread_cond_broadcast(&balloon->told);
}

uint32_t balloon_take_stats(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_balloon *balloon = balloon_of(dev);
	uint8_t raw[BALLOON_STATS_MAX * BALLOON_STAT_SIZE];
	size_t size = virtio_iov_read(chain->iov, chain->n_readable, 0, raw, sizeof(raw));

	ram_copied();
	/* A driver has one buffer; one that sends more gets the older one back. */
	balloon_ask_stats(balloon);
	balloon->has_stats = true;
	balloon->stats = chain->head;
	balloon_store_stats(balloon, raw, size);
	return VIRTIO_KEPT;
}
