/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw images: bytes of the guest's disk are bytes of the file.
 */
#include "block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sys/blockdev.h"

#define RAW_SECTOR 512u

struct block_raw {
	struct block_dev base;
	int fd;
};

/* Bytes in pieces of at most this many a system call. */
#define RAW_IOV_MAX 64

typedef ssize_t (*raw_io)(int fd, const struct iovec *iov, int n, off_t off);

/* Drops the first `done` bytes of a list of pieces, which is ours. */
static int raw_advance(struct iovec *iov, int n, size_t done)
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

/* One batch of pieces, whatever the kernel does at a time. A read past the end of a shrunken file
 * gives -EIO. */
static int raw_transfer(int fd, struct iovec *iov, int n, uint64_t *off, raw_io io)
{
	while (n) {
		ssize_t done = io(fd, iov, n, (off_t)*off);
		int first;

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		first = raw_advance(iov, n, (size_t)done);
		if (!done && first < n)
			return -EIO;
		*off += (uint64_t)done;
		iov += first;
		n -= first;
	}
	return 0;
}

static int raw_run(struct block_dev *dev, const struct iovec *iov, int n, uint64_t off, raw_io io)
{
	const struct block_raw *raw = container_of(dev, struct block_raw, base);
	struct iovec batch[RAW_IOV_MAX];

	while (n) {
		int now = MIN(n, RAW_IOV_MAX);
		int ret;

		for (int i = 0; i < now; i++)
			batch[i] = iov[i];
		ret = raw_transfer(raw->fd, batch, now, &off, io);
		if (ret)
			return ret;
		iov += now;
		n -= now;
	}
	return 0;
}

static int raw_preadv(struct block_dev *dev, const struct iovec *iov, int n, uint64_t off)
{
	return raw_run(dev, iov, n, off, preadv);
}

static int raw_pwritev(struct block_dev *dev, const struct iovec *iov, int n, uint64_t off)
{
	return raw_run(dev, iov, n, off, pwritev);
}

static int raw_flush(struct block_dev *dev)
{
	return fdatasync(container_of(dev, struct block_raw, base)->fd) ? -errno : 0;
}

static void raw_free(struct block_dev *dev)
{
	struct block_raw *raw = container_of(dev, struct block_raw, base);

	auto_close_cleanup(&raw->fd);
	free(raw);
}

static const struct block_ops raw_ops = {
	.preadv = raw_preadv, .pwritev = raw_pwritev, .flush = raw_flush, .free = raw_free};

static struct err *raw_inspect(struct block_raw *raw, const char *path)
{
	struct stat st;
	int ret = 0;

	if (fstat(raw->fd, &st))
		return err_new(errno, "Cannot read the size of \"%s\"", path);
	raw->base.block_size = RAW_SECTOR;
	if (S_ISREG(st.st_mode))
		raw->base.size = (uint64_t)st.st_size;
	else if (S_ISBLK(st.st_mode))
		ret = sys_blockdev_geometry(raw->fd, &raw->base.size, &raw->base.block_size);
	else
		return err_new(EINVAL, "\"%s\" is neither a file nor a block device", path);
	if (ret)
		return err_new(-ret, "Cannot read the size of \"%s\"", path);
	if (!raw->base.size || raw->base.size % RAW_SECTOR)
		return err_new(EINVAL,
			"The size of \"%s\", %llu bytes, is not one or more sectors of %u", path,
			(unsigned long long)raw->base.size, RAW_SECTOR);
	return NULL;
}

struct err *block_raw_open(const char *path, bool readonly, struct block_dev **ret_dev)
{
	struct block_raw *raw = new0(struct block_raw);
	struct err *err;

	if (!raw)
		return err_new(ENOMEM, "Cannot open \"%s\"", path);
	raw->base.ops = &raw_ops;
	raw->base.readonly = readonly;
	raw->fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (raw->fd < 0)
		err = err_new(errno, "Cannot open \"%s\"", path);
	else if (flock(raw->fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB))
		err = err_new(errno, "\"%s\" is in use by another virtual machine", path);
	else
		err = raw_inspect(raw, path);
	if (err) {
		raw_free(&raw->base);
		return err;
	}
	*ret_dev = &raw->base;
	return NULL;
}
