/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of block devices. Each takes the device below over on success. [main]
 */
#pragma once

#include "block/block.h"

/* Requests that change anything fail with -EROFS, and come no further. */
struct err *must_check block_readonly_create(struct block_dev *below, struct block_dev **ret_dev);

struct block_throttle_options {
	uint64_t iops; /* requests a second; 0: any number */
	uint64_t bw;   /* bytes a second, read, written and zeroed; 0: any number */
};

/*
 * Limits rates. After a pause as much as a tenth of a second's worth may come at once; a request
 * that is larger passes, and those behind it wait the longer.
 */
struct err *must_check block_throttle_create(struct block_dev *below,
	const struct block_throttle_options *options, struct block_dev **ret_dev);

/* The same with the limits of another throttle: what passes one of them counts for both, whichever
 * threads have them. */
struct err *must_check block_throttle_share(
	struct block_dev *below, struct block_dev *throttle, struct block_dev **ret_dev);

/* What goes wrong with the requests that match. */
struct block_fault {
	unsigned int ops;  /* bits by enum block_op */
	uint64_t off, len; /* requests that touch this range; a flush touches all */
	unsigned int skip; /* so many of them pass first */
	int error;         /* they fail with this -errno, without being carried out; */
	bool hold;         /* or they hang, until block_fault_release() */
};

/* For tests: storage that fails or hangs. Without faults at first. */
struct err *must_check block_fault_create(struct block_dev *below, struct block_dev **ret_dev);
/* One fault at a time; NULL: none. [loop] */
void block_fault_set(struct block_dev *dev, const struct block_fault *fault);
/* What hangs is carried out. [loop] */
void block_fault_release(struct block_dev *dev);
