/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, locking and measuring of the host's files.
 */
#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "sys/blockdev.h"

#define FILE_LOCK_TRIES   100
#define FILE_LOCK_WAIT_NS 20000000

/* udev has a shared lock on a block device while it looks what is on it, as it does whenever a
 * writer has closed it: a VM that follows another one waits for that. */
static struct err *file_lock(int fd, bool readonly, const char *path)
{
	const struct timespec wait = {.tv_nsec = FILE_LOCK_WAIT_NS};
	struct stat st;
	int tries = !readonly && !fstat(fd, &st) && S_ISBLK(st.st_mode) ? FILE_LOCK_TRIES : 1;
	struct err *err = fd_lock(fd, readonly, path);

	while (err && --tries) {
		err_free(err);
		(void)nanosleep(&wait, NULL);
		err = fd_lock(fd, readonly, path);
	}
	return err;
}

struct err *block_file_open(const char *path, bool readonly, int flags, int *ret_fd)
{
	/* Alone it is for block devices: nobody has them mounted, or does so from now on. */
	int claim = readonly || flags & O_CREAT ? 0 : O_EXCL;
	auto_close int fd = open(path,
		(readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | claim | flags,
		0666);
	struct err *err;
	int ret;

	if (fd < 0 && errno == EBUSY && claim)
		return err_new(0,
			"\"%s\" is in use by the host, which has mounted it or made it part of another device, or by another virtual machine",
			path);
	if (fd < 0)
		return err_new(errno, "Cannot open \"%s\"", path);
	err = file_lock(fd, readonly, path);
	if (err)
		return err;
	/* io_uring would give up where it had to wait. */
	ret = fd_set_nonblock(fd, false);
	if (ret)
		return err_new(-ret, "Cannot open \"%s\"", path);
	*ret_fd = steal_fd(&fd);
	return NULL;
}

static struct err *pmem_measure(int fd, const char *path, bool *ret_is_file, uint64_t *ret_size)
{
	struct sys_blockdev_geometry geometry;
	struct stat st;
	int ret = fstat(fd, &st) ? -errno : 0;

	if (!ret && S_ISREG(st.st_mode)) {
		*ret_size = (uint64_t)st.st_size;
	} else if (!ret && S_ISBLK(st.st_mode)) {
		ret = sys_blockdev_geometry(fd, &geometry);
		*ret_size = geometry.size;
	} else if (!ret) {
		return err_new(0, "\"%s\" is neither a file nor a block device", path);
	}
	*ret_is_file = !ret && S_ISREG(st.st_mode);
	return ret ? err_new(-ret, "Cannot read the size of \"%s\"", path) : NULL;
}

/* Makes a file as long as it is wanted. Never cut: what is in it is somebody's data. */
static struct err *pmem_extend(
	int fd, const struct block_pmem_options *options, bool is_file, uint64_t *size)
{
	if (!options->size || options->size == *size)
		return NULL;
	if (!is_file || options->readonly || options->size < *size)
		return err_new(0, "\"%s\" has %llu bytes, not %llu as size= says", options->path,
			(unsigned long long)*size, (unsigned long long)options->size);
	if (ftruncate(fd, (off_t)options->size))
		return err_new(errno, "Cannot extend \"%s\" to %llu bytes", options->path,
			(unsigned long long)options->size);
	*size = options->size;
	return NULL;
}

/* Opens the file, or makes it where a size is given. */
static struct err *pmem_open(
	const struct block_pmem_options *options, bool *ret_created, int *ret_fd)
{
	bool create = options->size && !options->readonly;
	struct err *err =
		create ? block_file_open(options->path, false, O_CREAT | O_EXCL, ret_fd) : NULL;

	*ret_created = create && !err;
	if (*ret_created || (err && err_code(err) != EEXIST))
		return err;
	err_free(err);
	/* A link may be there without its file, which is then made too. */
	return block_file_open(options->path, options->readonly, create ? O_CREAT : 0, ret_fd);
}

static struct err *pmem_set_size(
	int fd, const struct block_pmem_options *options, uint64_t *ret_size)
{
	bool is_file = false;
	struct err *err = pmem_measure(fd, options->path, &is_file, ret_size);

	if (!err)
		err = pmem_extend(fd, options, is_file, ret_size);
	if (!err && (!*ret_size || *ret_size % BLOCK_PMEM_ALIGN))
		err = err_new(0,
			"The size of \"%s\", %llu bytes, is not a multiple of 2 MiB as persistent memory must be",
			options->path, (unsigned long long)*ret_size);
	return err;
}

struct err *block_pmem_open(
	const struct block_pmem_options *options, int *ret_fd, uint64_t *ret_size)
{
	auto_close int fd = -1;
	bool created;
	uint64_t size = 0;
	struct err *err = pmem_open(options, &created, &fd);

	if (err)
		return err;
	err = pmem_set_size(fd, options, &size);
	if (err) {
		if (created)
			(void)unlink(options->path);
		return err;
	}
	*ret_fd = steal_fd(&fd);
	*ret_size = size;
	return NULL;
}
