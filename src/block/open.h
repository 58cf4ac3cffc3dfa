/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk as its user describes it: image, engine and layers, stacked.
 */
#pragma once

#include "block/block.h"
#include "block/layers.h"

enum block_api { BLOCK_API_IO_URING, BLOCK_API_SYNC };

struct block_options {
	const char *name; /* for log lines */
	const char *path; /* a raw image or a block device; its content is never looked at */
	bool readonly;
	bool direct;
	enum block_api api;
	struct block_throttle_options limits;
};

/* [main] */
struct err *must_check block_open(const struct block_options *options, struct block_dev **ret_dev);
