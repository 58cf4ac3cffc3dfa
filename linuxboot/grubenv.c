/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GRUB's environment block.
 */
#include "grubenv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "vars.h"

#define GRUBENV_SIZE 1024

/* Where all of the file is on its device, in bytes; an errno where that is not one plain place. */
static int grubenv_locate(int fd, uint64_t *ret_at)
{
	union {
		struct fiemap map;
		uint8_t room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} u = {.map = {.fm_length = GRUBENV_SIZE, .fm_extent_count = 1}};
	const struct fiemap_extent *extent = u.map.fm_extents;

	if (ioctl(fd, FS_IOC_FIEMAP, &u.map))
		return errno;
	if (u.map.fm_mapped_extents != 1 || extent->fe_logical ||
		extent->fe_length < GRUBENV_SIZE ||
		(extent->fe_flags & ~(uint32_t)FIEMAP_EXTENT_LAST))
		return EOPNOTSUPP;
	*ret_at = extent->fe_physical;
	return 0;
}

static int grubenv_errno(ssize_t done)
{
	if (done < 0)
		return errno;
	return done == GRUBENV_SIZE ? 0 : EIO;
}

/* Replaces the block on the device, if that is what is there: the file system may not be clean. */
static int grubenv_replace(
	const struct volume *volume, uint64_t at, const char *old, const char *new)
{
	char path[64];
	char there[GRUBENV_SIZE];
	auto_close int fd = -1;
	int err;

	(void)snprintf(path, sizeof(path), "/dev/%s", volume->name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	err = grubenv_errno(pread(fd, there, sizeof(there), (off_t)at));
	if (!err && memcmp(there, old, sizeof(there)))
		return ESTALE;
	if (!err)
		err = grubenv_errno(pwrite(fd, new, GRUBENV_SIZE, (off_t)at));
	return !err && fsync(fd) ? errno : err;
}

static int grubenv_forget(const struct volume *volume, int fd)
{
	char old[GRUBENV_SIZE];
	char new[GRUBENV_SIZE];
	struct stat status;
	uint64_t at = 0;
	int err;

	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_size != GRUBENV_SIZE)
		return EINVAL;
	err = grubenv_errno(pread(fd, old, sizeof(old), 0));
	if (err)
		return err;
	memcpy(new, old, sizeof(new));
	if (!vars_remove_env(new, sizeof(new), "next_entry"))
		return EINVAL;
	err = grubenv_locate(fd, &at);
	if (err)
		return err;
	volume_protect(volume, false);
	err = grubenv_replace(volume, at, old, new);
	volume_protect(volume, true);
	return err;
}

bool grubenv_forget_next(const struct volume *volume, const char *path)
{
	auto_close int fd = volume_open(volume, path);
	int err = fd < 0 ? -fd : grubenv_forget(volume, fd);

	if (err)
		printf("%s: the entry for the next start in %s is not taken, as it could not be forgotten: %s\n",
			volume->name, path, strerror(err));
	return !err;
}
