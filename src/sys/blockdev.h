/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of block devices. 0 or -errno. [any]
 */
#pragma once

#include "base/macros.h"

struct sys_blockdev_geometry {
	uint64_t size;          /* bytes */
	uint32_t block_size;    /* logical */
	uint32_t physical_size; /* of a block */
	uint32_t opt_io;        /* best transfer in bytes, or 0 */
};

int must_check sys_blockdev_geometry(int fd, struct sys_blockdev_geometry *ret_geometry);
/* [off, off + len) in bytes, whole blocks; a discarded range reads as anything. -EOPNOTSUPP: the
 * device cannot. */
int must_check sys_blockdev_discard(int fd, uint64_t off, uint64_t len);
int must_check sys_blockdev_zero(int fd, uint64_t off, uint64_t len);
