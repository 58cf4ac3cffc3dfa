/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer that does nothing.
 */
#include "block/layer.h"

static struct block_layer *layer_of(struct block_dev *dev)
{
	return container_of(dev, struct block_layer, base);
}

static void layer_done(struct block_user *user, struct block_request *r)
{
	block_done(&container_of(user, struct block_layer, user)->base, r, r->result);
}

static void layer_batch(struct block_user *user)
{
	block_batch(&container_of(user, struct block_layer, user)->base);
}

void block_layer_init(
	struct block_layer *layer, const struct block_ops *ops, struct block_dev *below)
{
	layer->base = (struct block_dev){.ops = ops, .facts = below->facts};
	layer->below = below;
	layer->user = (struct block_user){.done = layer_done, .batch = layer_batch};
}

void block_layer_start(struct block_dev *dev, struct loop *loop)
{
	struct block_layer *layer = layer_of(dev);

	layer->user.yield = dev->user->yield;
	block_start(layer->below, &layer->user, loop);
	dev->waits = layer->below->waits;
}

void block_layer_submit(struct block_dev *dev, struct block_request *r)
{
	block_submit(layer_of(dev)->below, r);
}

void block_layer_kick(struct block_dev *dev)
{
	block_kick(layer_of(dev)->below);
}

bool block_layer_has_done(const struct block_dev *dev)
{
	return block_has_done(container_of_const(dev, struct block_layer, base)->below);
}

void block_layer_quiesce(struct block_dev *dev)
{
	block_quiesce(layer_of(dev)->below);
}

struct err *block_layer_resize(struct block_dev *dev, uint64_t size)
{
	struct block_dev *below = layer_of(dev)->below;
	struct err *err = below->ops->resize(below, size);

	dev->facts.size = below->facts.size;
	return err;
}

void block_layer_stop(struct block_dev *dev)
{
	block_stop(layer_of(dev)->below);
}

void block_layer_deinit(struct block_layer *layer)
{
	block_free(layer->below);
}
