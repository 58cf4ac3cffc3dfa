/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk as its user describes it: image, engine and layers, stacked.
 */
#pragma once

#include "block/block.h"
#include "block/layers.h"

enum block_format { BLOCK_RAW, BLOCK_QCOW2 };
enum block_api { BLOCK_API_IO_URING, BLOCK_API_SYNC };

struct block_options {
	const char *name; /* for log lines */
	const char *path; /* an image or a block device; its format is never guessed */
	enum block_format format;
	const char *backing; /* what a qcow2 image stands on, or NULL; only read */
	enum block_format backing_format;
	bool readonly;
	bool direct;
	enum block_api api;
	struct block_throttle_options limits;
	/* Where requests will have their data, if it is to be registered with io_uring; copied. */
	const struct iovec *memory;
	unsigned int n_memory; /* 0: it is not */
};

#define BLOCK_SHARES_MAX 32u

/*
 * n devices (1 .. BLOCK_SHARES_MAX; of a format but raw, one) that are the same disk, each for a
 * thread of its own: what one has written and flushed is so for all, and their limits hold for all
 * together. A resize is one of each, while no request of any is on its way. [main]
 */
struct err *must_check block_open(
	const struct block_options *options, unsigned int n, struct block_dev **ret_devs);
