/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of block devices. 0 or -errno. [any]
 */
#pragma once

#include "base/macros.h"

/* Size in bytes and logical block size. */
int must_check sys_blockdev_geometry(int fd, uint64_t *ret_size, uint32_t *ret_block_size);
