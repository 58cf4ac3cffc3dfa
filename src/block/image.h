/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk images: formats of files, with calls that return when the bytes are moved. Embedded in the
 * format's object. Called by one thread at a time, the device's loop, but raw ones by any number of
 * them, save for resize, which has the image to itself; offsets and lengths are bytes, inside the
 * image. 0 or -errno: nothing is then known of how much was done.
 */
#pragma once

#include "block/block.h"

struct block_image;

struct block_image_ops {
	int (*preadv)(struct block_image *image, const struct iovec *iov, int n, uint64_t off);
	/* fua: on stable storage when it returns 0. */
	int (*pwritev)(
		struct block_image *image, const struct iovec *iov, int n, uint64_t off, bool fua);
	/* What was written is on stable storage when it returns 0. */
	int (*flush)(struct block_image *image);
	/* Of no use to the guest any more; what it reads then is open. -EOPNOTSUPP: cannot. */
	int (*discard)(struct block_image *image, uint64_t off, uint64_t len);
	/* Reads as zeros; the space is given back only if unmap. */
	int (*write_zeroes)(struct block_image *image, uint64_t off, uint64_t len, bool unmap);
	/*
	 * Makes it `size` bytes large, or, with 0, looks how large somebody else has made it;
	 * facts.size tells, also after an error.
	 */
	struct err *(*resize)(struct block_image *image, uint64_t size);
	void (*free)(struct block_image *image);
};

struct block_image {
	const struct block_image_ops *ops;
	struct block_facts facts;
	unsigned int n_engines; /* over it; the last one frees it. [main] */
};

/* Carries out a request; its result. */
int must_check block_image_run(struct block_image *image, const struct block_request *r);

/* Resizes the image that `dev` is an engine of. */
struct err *must_check block_image_resize(
	struct block_image *image, uint64_t size, struct block_dev *dev);

static inline void block_image_free(struct block_image *image)
{
	if (image)
		image->ops->free(image);
}

struct block_raw_options {
	const char *path;
	bool readonly;
	bool direct;   /* past the host's page cache */
	bool any_size; /* it holds a format: not the sectors of a disk */
	/* Ranges that requests will be in, to be registered with io_uring; copied. 0: none is. */
	const struct iovec *memory;
	unsigned int n_memory;
};

/*
 * A raw image file or a block device. It is locked against other VMs: exclusively, or shared if
 * read-only. Its content is never looked at. [main]
 */
struct err *must_check block_raw_open(
	const struct block_raw_options *options, struct block_image **ret_image);

/*
 * A qcow2 image in a raw one, over a backing image (NULL: none; it must then name none, and
 * otherwise one, whose name is not used). Both are taken over on success. `path` is for errors.
 * [main]
 */
struct err *must_check block_qcow2_open(const char *path, struct block_image *raw,
	struct block_image *backing, struct block_image **ret_image);

/* For engines: one of them goes. */
static inline void block_image_put(struct block_image *image)
{
	if (!--image->n_engines)
		block_image_free(image);
}

/* ---- Engines: devices over an image, which they take over on success. A raw image may have
 * several, each with a thread of its own; of another one, the thread is the same. [main] ---- */

/* Each request is carried out by the thread that kicks. */
struct err *must_check block_sync_create(struct block_image *image, struct block_dev **ret_dev);
/*
 * Raw images only: requests go to the kernel by io_uring. Where that is refused when the device is
 * started, a line is logged, once an image, and requests are carried out as by block_sync_create().
 * `name` is for that line.
 */
struct err *must_check block_uring_create(
	struct block_image *raw, const char *name, struct block_dev **ret_dev);
