/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block device (virtio 1.3, 5.2).
 */
#pragma once

#include "block/block.h"
#include "virtio/virtio.h"

#define VIRTIO_BLK_SERIAL_MAX 20u
#define VIRTIO_BLK_NAME_MAX   31u
#define VIRTIO_BLK_QUEUES_MAX 32u

struct virtio_blk_options {
	const char *name;     /* "virtio-blk-0"; at most VIRTIO_BLK_NAME_MAX bytes */
	const char *serial;   /* NULL: the name; at most 20 bytes */
	unsigned int queues;  /* 0: one */
	uint16_t queue_size;  /* a power of two; 0: the largest */
	bool discard;         /* the guest may give space back */
	bool writethrough;    /* writes are stable when done, until the driver says otherwise */
	unsigned int threads; /* that share the queues, at most as many; 0: one */
	/* The disk, as each thread has it (block_open()); taken over on success. */
	struct block_dev *blocks[VIRTIO_THREADS_MAX];
};

/* The transport takes the device over. [main] */
struct err *must_check virtio_blk_create(
	const struct virtio_blk_options *options, struct virtio_dev **ret_dev);

/*
 * Makes the disk `bytes` large, or, with 0, as large as its storage is by now, and tells the
 * driver. Requests in flight are waited for; those that reach past the end fail. At any time; waits
 * for the device's threads. [any] but those
 */
struct err *must_check virtio_blk_resize(struct virtio_dev *dev, uint64_t bytes);
/* The same with 0, later, by the device's threads if it has a driver; what goes wrong is logged.
 * [any] */
void virtio_blk_refresh(struct virtio_dev *dev);
