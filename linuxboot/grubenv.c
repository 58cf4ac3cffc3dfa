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

/* Where RAID's superblocks are (Linux drivers/md/md.c): before the end, in bytes. */
#define GRUBENV_MD_090   65536ULL /* version 0.90, at a multiple of it */
#define GRUBENV_MD_10    8192ULL  /* version 1.0, at a multiple of the next */
#define GRUBENV_MD_ALIGN 4096ULL

/*
 * Where all of the file is on its device, in bytes; an errno where that is not one plain place. Of
 * a file that has a list of blocks, as on ext2, neighbours are reported as one.
 */
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
		(extent->fe_flags & ~(uint32_t)(FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_MERGED)))
		return EOPNOTSUPP;
	*ret_at = extent->fe_physical;
	return 0;
}

/*
 * Whether there is a superblock of Linux's RAID at the end of a device, version 0.90 or 1.0: what
 * is in front of it looks like a file system, but is one copy of several.
 */
static bool grubenv_is_copy(const char *name)
{
	char path[64];
	auto_close int fd = -1;
	uint64_t size = 0;

	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) || size < 2 * GRUBENV_MD_090)
		return false;
	const uint64_t places[] = {size / GRUBENV_MD_090 * GRUBENV_MD_090 - GRUBENV_MD_090,
		(size - GRUBENV_MD_10) / GRUBENV_MD_ALIGN * GRUBENV_MD_ALIGN};
	for (unsigned int i = 0; i < 2; i++) {
		uint8_t magic[4];

		if (pread(fd, magic, sizeof(magic), (off_t)places[i]) == sizeof(magic) &&
			!memcmp(magic, "\xfc\x4e\x2b\xa9", sizeof(magic)))
			return true;
	}
	return false;
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
	bool is_copy = grubenv_is_copy(volume->name) || grubenv_is_copy(volume->disk);
	int err = fd < 0 ? -fd : 0;

	if (!err && !is_copy)
		err = grubenv_forget(volume, fd);
	if (err || is_copy)
		printf("%s: the entry for the next start in %s is not taken, as it could not be forgotten: %s\n",
			volume->name, path, is_copy ? "it is on a part of a RAID" : strerror(err));
	return !err && !is_copy;
}
