/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices as their users see them, whatever stores the bytes. Embedded in the
 * implementation's object; layers stack by holding the one below. Offsets and lengths are bytes.
 * Data functions are called by one thread at a time, the device's loop.
 */
#pragma once

#include <sys/uio.h>

#include "base/err.h"

struct block_dev;

struct block_ops {
	/* All of iov at off, inside the size, or -errno: nothing is then known of how much was
	 * done. [loop] */
	int (*preadv)(struct block_dev *dev, const struct iovec *iov, int n, uint64_t off);
	int (*pwritev)(struct block_dev *dev, const struct iovec *iov, int n, uint64_t off);
	/* What was written is on stable storage when it returns 0. [loop] */
	int (*flush)(struct block_dev *dev);
	void (*free)(struct block_dev *dev);
};

struct block_dev {
	const struct block_ops *ops;
	uint64_t size;       /* bytes */
	uint32_t block_size; /* logical; a power of two, 512 or more */
	bool readonly;
};

static inline int must_check block_preadv(
	struct block_dev *dev, const struct iovec *iov, int n, uint64_t off)
{
	return dev->ops->preadv(dev, iov, n, off);
}

static inline int must_check block_pwritev(
	struct block_dev *dev, const struct iovec *iov, int n, uint64_t off)
{
	return dev->ops->pwritev(dev, iov, n, off);
}

static inline int must_check block_flush(struct block_dev *dev)
{
	return dev->ops->flush(dev);
}

static inline void block_free(struct block_dev *dev)
{
	if (dev)
		dev->ops->free(dev);
}

/*
 * A raw image file or a block device. It is locked against other VMs: exclusively, or shared if
 * read-only. Its content is never looked at. [main]
 */
struct err *must_check block_raw_open(const char *path, bool readonly, struct block_dev **ret_dev);
