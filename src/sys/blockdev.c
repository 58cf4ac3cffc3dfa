/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of block devices.
 */
#include "sys/blockdev.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

int sys_blockdev_geometry(int fd, struct sys_blockdev_geometry *ret_geometry)
{
	uint64_t size;
	unsigned int physical, opt_io;
	int block;

	if (ioctl(fd, BLKGETSIZE64, &size) || ioctl(fd, BLKSSZGET, &block) ||
		ioctl(fd, BLKPBSZGET, &physical) || ioctl(fd, BLKIOOPT, &opt_io))
		return -errno;
	*ret_geometry = (struct sys_blockdev_geometry){.size = size,
		.block_size = (uint32_t)block,
		.physical_size = physical,
		.opt_io = opt_io};
	return 0;
}

static int blockdev_range(int fd, unsigned long request, uint64_t off, uint64_t len)
{
	uint64_t range[2] = {off, len};

	return ioctl(fd, request, range) ? -errno : 0;
}

int sys_blockdev_discard(int fd, uint64_t off, uint64_t len)
{
	return blockdev_range(fd, BLKDISCARD, off, len);
}

int sys_blockdev_zero(int fd, uint64_t off, uint64_t len)
{
	return blockdev_range(fd, BLKZEROOUT, off, len);
}
