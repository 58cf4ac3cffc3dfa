/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of block devices.
 */
#include "sys/blockdev.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

int sys_blockdev_geometry(int fd, uint64_t *ret_size, uint32_t *ret_block_size)
{
	uint64_t size;
	int block;

	if (ioctl(fd, BLKGETSIZE64, &size) || ioctl(fd, BLKSSZGET, &block))
		return -errno;
	*ret_size = size;
	*ret_block_size = (uint32_t)block;
	return 0;
}
