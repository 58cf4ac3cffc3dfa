/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of synchronous system calls: a kick carries out all that was submitted, one after the
 * other. [loop]
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "block/block_internal.h"

struct block_sync {
	struct block_dev base;
	struct block_image *image;
	struct block_fifo todo;
};

static int image_run(struct block_image *image, const struct block_request *r)
{
	switch (r->op) {
	case BLOCK_READ:
		return image->ops->preadv(image, r->iov, r->n, r->off);
	case BLOCK_WRITE:
		return image->ops->pwritev(image, r->iov, r->n, r->off, r->fua);
	case BLOCK_FLUSH:
		return image->ops->flush(image);
	case BLOCK_DISCARD:
		return image->ops->discard(image, r->off, r->len);
	case BLOCK_WRITE_ZEROES:
		return image->ops->write_zeroes(image, r->off, r->len, r->unmap);
	}
	return -EOPNOTSUPP;
}

int block_image_run(struct block_image *image, const struct block_request *r)
{
	int ret = image_run(image, r);

	/* Discards are promises about nothing, but zeros are data. */
	if (!ret && r->fua && r->op == BLOCK_WRITE_ZEROES)
		ret = image->ops->flush(image);
	return ret;
}

void block_run_list(struct block_dev *dev, struct block_image *image, struct block_fifo *todo)
{
	while (block_may_begin(dev)) {
		struct block_request *r = block_fifo_take(todo);

		if (!r)
			break;
		block_done(dev, r, block_fits(dev, r) ? block_image_run(image, r) : -EIO);
	}
	block_batch(dev);
}

struct err *block_image_resize(struct block_image *image, uint64_t size, struct block_dev *dev)
{
	struct err *err = image->ops->resize(image, size);

	dev->facts.size = image->facts.size;
	return err;
}

static void sync_start(struct block_dev *dev, struct loop *loop)
{
	dev->waits = true;
}

static void sync_submit(struct block_dev *dev, struct block_request *r)
{
	block_fifo_add(&container_of(dev, struct block_sync, base)->todo, r);
}

static void sync_kick(struct block_dev *dev)
{
	struct block_sync *s = container_of(dev, struct block_sync, base);

	block_run_list(dev, s->image, &s->todo);
}

static void sync_quiesce(struct block_dev *dev)
{
}

static struct err *sync_resize(struct block_dev *dev, uint64_t size)
{
	return block_image_resize(container_of(dev, struct block_sync, base)->image, size, dev);
}

static void sync_stop(struct block_dev *dev)
{
	container_of(dev, struct block_sync, base)->todo = (struct block_fifo){0};
}

static void sync_free(struct block_dev *dev)
{
	struct block_sync *s = container_of(dev, struct block_sync, base);

	block_image_put(s->image);
	free(s);
}

static const struct block_ops sync_ops = {.start = sync_start,
	.submit = sync_submit,
	.kick = sync_kick,
	.quiesce = sync_quiesce,
	.resize = sync_resize,
	.stop = sync_stop,
	.free = sync_free};

struct err *block_sync_create(struct block_image *image, struct block_dev **ret_dev)
{
	struct block_sync *s = new0(struct block_sync);

	if (!s)
		return err_new(ENOMEM, "Cannot create a block engine");
	s->base = (struct block_dev){.ops = &sync_ops, .facts = image->facts};
	s->image = image;
	image->n_engines++;
	*ret_dev = &s->base;
	return NULL;
}
