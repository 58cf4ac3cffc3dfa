/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw images: bytes of the guest's disk are bytes of the file.
 *
 * Direct I/O takes only what is aligned as the storage likes it, which a guest's buffers need not
 * be. The kernel says so (EINVAL) before it moves a byte, and the transfer goes through the page
 * cache instead: the kernel keeps both ways coherent, and a flush covers both.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/overflow.h"
#include "base/thread.h"
#include "block/block_internal.h"
#include "block/file.h"
#include "sys/blockdev.h"

#define RAW_SECTOR 512u
/* Pieces a system call. */
#define RAW_IOV_MAX 64
#define RAW_ZEROS   4096u

/* ---- Transfers ---- */

int block_iov_advance(struct iovec *iov, int n, size_t done)
{
	int first = 0;

	while (first < n && done >= iov[first].iov_len)
		done -= iov[first++].iov_len;
	if (first < n) {
		iov[first].iov_base = (char *)iov[first].iov_base + done;
		iov[first].iov_len -= done;
	}
	return first;
}

struct raw_io {
	ssize_t (*io)(int fd, const struct iovec *iov, int n, off_t off, int flags);
	int fd, buffered;
	int flags; /* RWF_*, where it is direct */
	uint64_t off;
	bool cached; /* some of it went through the page cache */
};

static ssize_t raw_call(struct raw_io *io, const struct iovec *iov, int n)
{
	ssize_t done = io->io(io->fd, iov, n, (off_t)io->off, io->flags);

	if (done < 0 && errno == EINVAL && io->buffered >= 0) {
		io->cached = true;
		done = io->io(io->buffered, iov, n, (off_t)io->off, 0);
	}
	return done < 0 ? -errno : done;
}

/* One batch of pieces, whatever the kernel does at a time. A read past the end of a shrunken file
 * gives -EIO. */
static int raw_transfer(struct raw_io *io, struct iovec *iov, int n)
{
	while (n) {
		ssize_t done = raw_call(io, iov, n);
		int first;

		if (done == -EINTR)
			continue;
		if (done < 0)
			return (int)done;
		first = block_iov_advance(iov, n, (size_t)done);
		if (!done && first < n)
			return -EIO;
		io->off += (uint64_t)done;
		iov += first;
		n -= first;
	}
	return 0;
}

static int raw_run(struct raw_io *io, const struct iovec *iov, int n)
{
	struct iovec batch[RAW_IOV_MAX];

	while (n) {
		int now = MIN(n, RAW_IOV_MAX);
		int ret;

		for (int i = 0; i < now; i++)
			batch[i] = iov[i];
		ret = raw_transfer(io, batch, now);
		if (ret)
			return ret;
		iov += now;
		n -= now;
	}
	return 0;
}

static int raw_preadv(struct block_image *image, const struct iovec *iov, int n, uint64_t off)
{
	const struct block_raw *raw = container_of(image, struct block_raw, image);
	struct raw_io io = {preadv2, raw->fd, raw->buffered, 0, off, false};

	return raw_run(&io, iov, n);
}

/*
 * Linux takes pages that it failed to write back for clean, and tells of them once an open file:
 * the next fdatasync succeeds, whatever was lost. So the first error is the answer to all flushes
 * from then on, of all engines, as they have the open file in common; and they flush one after the
 * other, for one beside the one that fails would be told nothing. With direct I/O too: some of it
 * may have gone through the cache, and a drive need not say twice what it lost. Only whoever opens
 * the image anew, and has its content checked, begins afresh.
 */
static int raw_flush(struct block_image *image)
{
	struct block_raw *raw = container_of(image, struct block_raw, image);
	unsigned int before = atomic_load(&raw->flushes);

	auto_lock(&raw->flush_lock);
	/* One that was begun since is done by now, and was for us as well. */
	if (!raw->flush_error && atomic_load(&raw->flushes) == before) {
		atomic_fetch_add(&raw->flushes, 1);
		if (fdatasync(block_raw_first(raw)))
			raw->flush_error = -errno;
	}
	return raw->flush_error;
}

/* RWF_DSYNC only past the cache, and on a file that is never flushed: else its error could be that
 * of earlier writes, told here instead of by the flush. Of the write itself any error is told to
 * whoever wrote, and may be tried again. */
static int raw_pwritev(
	struct block_image *image, const struct iovec *iov, int n, uint64_t off, bool fua)
{
	const struct block_raw *raw = container_of(image, struct block_raw, image);
	bool direct = raw->buffered >= 0;
	struct raw_io io = {
		pwritev2, raw->fd, raw->buffered, fua && direct ? RWF_DSYNC : 0, off, !direct};
	int ret = raw_run(&io, iov, n);

	return !ret && fua && io.cached ? raw_flush(image) : ret;
}

/* ---- Space ---- */

static int raw_mode(bool punch)
{
	return (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
}

static int raw_fallocate(const struct block_raw *raw, bool punch, uint64_t off, uint64_t len)
{
	int ret;

	do
		ret = fallocate(raw->fd, raw_mode(punch), (off_t)off, (off_t)len);
	while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

static int raw_discard(struct block_image *image, uint64_t off, uint64_t len)
{
	const struct block_raw *raw = container_of(image, struct block_raw, image);

	return raw->is_device ? sys_blockdev_discard(block_raw_first(raw), off, len)
			      : raw_fallocate(raw, true, off, len);
}

/* Where the file system cannot: zeros are written. */
static int raw_store_zeros(const struct block_raw *raw, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[RAW_ZEROS] = {0};
	struct raw_io io = {pwritev2, block_raw_first(raw), -1, 0, off, true};
	struct iovec iov[RAW_IOV_MAX];

	while (len) {
		int n = 0;

		for (; n < RAW_IOV_MAX && len; n++) {
			size_t now = (size_t)MIN(len, (uint64_t)RAW_ZEROS);

			iov[n] = (struct iovec){(void *)(uintptr_t)zeros, now};
			len -= now;
		}
		/* raw_transfer() goes on at io.off. */
		int ret = raw_transfer(&io, iov, n);

		if (ret)
			return ret;
	}
	return 0;
}

static int raw_write_zeroes(struct block_image *image, uint64_t off, uint64_t len, bool unmap)
{
	const struct block_raw *raw = container_of(image, struct block_raw, image);
	int ret;

	if (raw->is_device)
		ret = sys_blockdev_zero(block_raw_first(raw), off, len);
	else
		ret = raw_fallocate(raw, unmap, off, len);
	return ret == -EOPNOTSUPP || ret == -ENOTTY ? raw_store_zeros(raw, off, len) : ret;
}

/* ---- Size ---- */

static int raw_measure(const struct block_raw *raw, uint64_t *ret_size)
{
	struct sys_blockdev_geometry geometry;
	struct stat st;
	int ret;

	if (raw->is_device) {
		ret = sys_blockdev_geometry(raw->fd, &geometry);
		if (!ret)
			*ret_size = geometry.size;
		return ret;
	}
	if (fstat(raw->fd, &st))
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static struct err *raw_truncate(const struct block_raw *raw, uint64_t size)
{
	if (raw->image.facts.readonly)
		return err_new(EROFS, "The image is only read");
	if (size % RAW_SECTOR || size > INT64_MAX)
		return err_new(EINVAL, "%llu bytes are not a multiple of %u",
			(unsigned long long)size, RAW_SECTOR);
	if (raw->is_device)
		return err_new(EOPNOTSUPP, "A block device is resized by what makes it");
	if (ftruncate(raw->fd, (off_t)size))
		return err_new(
			errno, "Cannot make the image %llu bytes large", (unsigned long long)size);
	return NULL;
}

static struct err *raw_resize(struct block_image *image, uint64_t size)
{
	const struct block_raw *raw = container_of(image, struct block_raw, image);
	struct err *err = size ? raw_truncate(raw, size) : NULL;
	uint64_t now = 0;
	int ret;

	if (err)
		return err;
	ret = raw_measure(raw, &now);
	if (ret)
		return err_new(-ret, "Cannot read the size of the image");
	if (!now || now % RAW_SECTOR)
		return err_new(EINVAL,
			"The size of the image, %llu bytes, is not one or more sectors of %u",
			(unsigned long long)now, RAW_SECTOR);
	image->facts.size = now;
	return NULL;
}

/* ---- Life ---- */

static void raw_free(struct block_image *image)
{
	struct block_raw *raw = container_of(image, struct block_raw, image);

	/* A ring that had the file registered goes later than it is closed, and the lock with it.
	 */
	(void)flock(block_raw_first(raw), LOCK_UN);
	auto_close_cleanup(&raw->buffered);
	auto_close_cleanup(&raw->fd);
	block_memory_deinit(&raw->memory);
	pthread_mutex_destroy(&raw->flush_lock);
	free(raw);
}

static const struct block_image_ops raw_ops = {.preadv = raw_preadv,
	.pwritev = raw_pwritev,
	.flush = raw_flush,
	.discard = raw_discard,
	.write_zeroes = raw_write_zeroes,
	.resize = raw_resize,
	.free = raw_free};

static int raw_inspect_device(struct block_raw *raw)
{
	struct sys_blockdev_geometry geometry;
	int ret = sys_blockdev_geometry(raw->fd, &geometry);

	if (ret)
		return ret;
	raw->is_device = true;
	raw->image.facts.size = geometry.size;
	raw->image.facts.block_size = geometry.block_size;
	raw->image.facts.physical_size = geometry.physical_size;
	raw->image.facts.opt_io = geometry.opt_io;
	return 0;
}

static struct err *raw_inspect(struct block_raw *raw, const char *path, bool any_size)
{
	struct block_facts *facts = &raw->image.facts;
	struct stat st;
	int ret = 0;

	if (fstat(raw->fd, &st))
		return err_new(errno, "Cannot read the size of \"%s\"", path);
	facts->block_size = RAW_SECTOR;
	facts->physical_size = RAW_SECTOR;
	if (S_ISREG(st.st_mode)) {
		facts->size = (uint64_t)st.st_size;
		if (st.st_blksize >= RAW_SECTOR && is_pow2((uint64_t)st.st_blksize))
			facts->physical_size = (uint32_t)MIN(st.st_blksize, 4096);
	} else if (S_ISBLK(st.st_mode)) {
		ret = raw_inspect_device(raw);
	} else {
		return err_new(0, "\"%s\" is neither a file nor a block device", path);
	}
	if (ret)
		return err_new(-ret, "Cannot read the size of \"%s\"", path);
	if (!any_size && (!facts->size || facts->size % RAW_SECTOR))
		return err_new(0,
			"The size of \"%s\", %llu bytes, is not one or more sectors of %u", path,
			(unsigned long long)facts->size, RAW_SECTOR);
	return NULL;
}

/* The same open file is not enough: O_DIRECT belongs to it. */
static struct err *raw_open_direct(struct block_raw *raw, const struct block_raw_options *options)
{
	char self[64];

	raw->buffered = raw->fd;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", raw->buffered);
	raw->fd = open(
		self, (options->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_DIRECT);
	if (raw->fd < 0)
		return err_new(errno, "\"%s\" cannot be opened for direct I/O", options->path);
	return NULL;
}

static struct err *raw_open(struct block_raw *raw, const struct block_raw_options *options)
{
	struct err *err = block_file_open(options->path, options->readonly, 0, &raw->fd);

	if (!err)
		err = raw_inspect(raw, options->path, options->any_size);
	if (!err && options->direct)
		err = raw_open_direct(raw, options);
	if (!err && block_memory_init(&raw->memory, options->memory, options->n_memory))
		err = err_new(ENOMEM, "Cannot open \"%s\"", options->path);
	return err;
}

struct err *block_raw_open(const struct block_raw_options *options, struct block_image **ret_image)
{
	struct block_raw *raw = new0(struct block_raw);
	struct err *err;

	if (!raw)
		return err_new(ENOMEM, "Cannot open \"%s\"", options->path);
	raw->image.ops = &raw_ops;
	pthread_mutex_init(&raw->flush_lock, NULL);
	raw->image.facts.readonly = options->readonly;
	raw->fd = -1;
	raw->buffered = -1;
	err = raw_open(raw, options);
	if (err) {
		raw_free(&raw->image);
		return err;
	}
	*ret_image = &raw->image;
	return NULL;
}
