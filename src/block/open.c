/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks a disk.
 */
#include "block/open.h"

#include "block/image.h"

static struct err *open_image(const struct block_raw_options *options, enum block_format format,
	struct block_image *backing, struct block_image **ret_image)
{
	struct block_image *raw;
	struct err *err = block_raw_open(options, &raw);

	if (!err && format == BLOCK_QCOW2) {
		err = block_qcow2_open(options->path, raw, backing, ret_image);
		if (err)
			block_image_free(raw);
	} else if (!err) {
		*ret_image = raw;
	}
	return err;
}

static struct err *open_stack(const struct block_options *options, struct block_image **ret_image)
{
	const struct block_raw_options top = {
		.path = options->path,
		.readonly = options->readonly,
		.direct = options->direct,
		.any_size = options->format != BLOCK_RAW,
		.memory = options->memory,
		.n_memory = options->n_memory,
	};
	const struct block_raw_options below = {
		.path = options->backing,
		.readonly = true,
		.direct = options->direct,
		.any_size = options->backing_format != BLOCK_RAW,
	};
	struct block_image *backing = NULL;
	struct err *err = NULL;

	if (options->backing) {
		err = open_image(&below, options->backing_format, NULL, &backing);
		err = err_wrap(err, "Cannot open the backing image");
	}
	if (!err)
		err = open_image(&top, options->format, backing, ret_image);
	if (err)
		block_image_free(backing);
	return err;
}

/* qcow2 has its metadata to keep in order: one request after the other. */
static struct err *open_engine(
	const struct block_options *options, struct block_image *image, struct block_dev **ret_dev)
{
	bool sync = options->api == BLOCK_API_SYNC || options->format != BLOCK_RAW;

	return sync ? block_sync_create(image, ret_dev)
		    : block_uring_create(image, options->name, ret_dev);
}

/* An engine and its layers; `first` has the limits, or is NULL. */
static struct err *open_device(const struct block_options *options, struct block_image *image,
	struct block_dev *first, struct block_dev **ret_dev)
{
	bool limited = options->limits.iops || options->limits.bw;
	struct block_dev *dev = NULL;
	struct err *err = open_engine(options, image, &dev);

	if (!err && options->readonly)
		err = block_readonly_create(dev, &dev);
	if (!err && limited)
		err = first ? block_throttle_share(dev, first, &dev)
			    : block_throttle_create(dev, &options->limits, &dev);
	if (err) {
		block_free(dev);
		return err;
	}
	*ret_dev = dev;
	return NULL;
}

struct err *block_open(
	const struct block_options *options, unsigned int n, struct block_dev **ret_devs)
{
	struct block_dev *devs[BLOCK_SHARES_MAX] = {NULL};
	struct block_image *image;
	struct err *err = open_stack(options, &image);

	assert(n && n <= BLOCK_SHARES_MAX && (n == 1 || options->format == BLOCK_RAW));
	if (err)
		return err;
	image->n_engines++; /* ours, as long as there may be none */
	for (unsigned int i = 0; !err && i < n; i++)
		err = open_device(options, image, devs[0], &devs[i]);
	for (unsigned int i = 0; err && i < n; i++)
		block_free(devs[i]);
	block_image_put(image);
	for (unsigned int i = 0; !err && i < n; i++)
		ret_devs[i] = devs[i];
	return err;
}
