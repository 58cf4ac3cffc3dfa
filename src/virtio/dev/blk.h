/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block device (virtio 1.3, 5.2).
 */
#pragma once

#include "block/block.h"
#include "virtio/virtio.h"

#define VIRTIO_BLK_SERIAL_MAX 20u

struct virtio_blk_options {
	const char *name;        /* "virtio-blk-0" */
	const char *serial;      /* NULL: the name; at most 20 bytes */
	struct block_dev *block; /* taken over on success */
};

/* The transport takes the device over. [main] */
struct err *must_check virtio_blk_create(
	const struct virtio_blk_options *options, struct virtio_dev **ret_dev);
