/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw images as the io_uring engine sees them, and what both engines share.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "block/image.h"
#include "block/memory.h"

struct block_raw {
	struct block_image image;
	int fd;       /* O_DIRECT if asked for */
	int buffered; /* the same file through the page cache, for what direct I/O does not take;
			 else -1 */
	bool is_device;
	bool uring_refused; /* by the host, once and for all; written when an engine starts */
	struct block_memory memory;
	bool memory_refused;          /* likewise */
	pthread_mutex_t flush_lock;   /* guards what follows; lock order 107 */
	_Atomic unsigned int flushes; /* that were begun; looked at without it */
	int flush_error;              /* of the one that failed: 0 or -errno */
};

/* The file as it was opened first: through the page cache, with the lock, and with the claim of a
 * block device, for which the kernel drops cached pages only if it is asked by who has it. */
static inline int block_raw_first(const struct block_raw *raw)
{
	return raw->buffered >= 0 ? raw->buffered : raw->fd;
}

/* Drops the first `done` bytes of n pieces, in place; the index of the first that is left. */
int block_iov_advance(struct iovec *iov, int n, size_t done);

/* Carries out what is in the list while the user does not say yield, and tells it. */
void block_run_list(struct block_dev *dev, struct block_image *image, struct block_fifo *todo);
