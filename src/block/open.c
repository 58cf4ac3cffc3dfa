/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks a disk.
 */
#include "block/open.h"

#include "block/image.h"

static struct err *open_engine(const struct block_options *options, struct block_dev **ret_dev)
{
	const struct block_raw_options raw = {
		.path = options->path, .readonly = options->readonly, .direct = options->direct};
	struct block_image *image;
	struct err *err = block_raw_open(&raw, &image);

	if (err)
		return err;
	err = options->api == BLOCK_API_SYNC ? block_sync_create(image, ret_dev)
					     : block_uring_create(image, options->name, ret_dev);
	if (err)
		block_image_free(image);
	return err;
}

struct err *block_open(const struct block_options *options, struct block_dev **ret_dev)
{
	struct block_dev *dev = NULL;
	struct err *err = open_engine(options, &dev);

	if (!err && options->readonly)
		err = block_readonly_create(dev, &dev);
	if (!err && (options->limits.iops || options->limits.bw))
		err = block_throttle_create(dev, &options->limits, &dev);
	if (err) {
		block_free(dev);
		return err;
	}
	*ret_dev = dev;
	return NULL;
}
