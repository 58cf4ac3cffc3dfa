/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The read-only layer.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "block/layer.h"
#include "block/layers.h"

struct block_readonly {
	struct block_layer layer;
	struct block_fifo refused;
};

static struct block_readonly *readonly_of(struct block_dev *dev)
{
	return container_of(dev, struct block_readonly, layer.base);
}

static void readonly_submit(struct block_dev *dev, struct block_request *r)
{
	if (r->op == BLOCK_READ || r->op == BLOCK_FLUSH)
		block_layer_submit(dev, r);
	else
		block_fifo_add(&readonly_of(dev)->refused, r);
}

static void readonly_kick(struct block_dev *dev)
{
	struct block_request *r;

	while ((r = block_fifo_take(&readonly_of(dev)->refused)))
		block_done(dev, r, -EROFS);
	block_layer_kick(dev);
}

static void readonly_stop(struct block_dev *dev)
{
	readonly_of(dev)->refused = (struct block_fifo){0};
	block_layer_stop(dev);
}

static void readonly_free(struct block_dev *dev)
{
	struct block_readonly *readonly = readonly_of(dev);

	block_layer_deinit(&readonly->layer);
	free(readonly);
}

static const struct block_ops readonly_ops = {.start = block_layer_start,
	.submit = readonly_submit,
	.kick = readonly_kick,
	.has_done = block_layer_has_done,
	.quiesce = block_layer_quiesce,
	.resize = block_layer_resize,
	.stop = readonly_stop,
	.free = readonly_free};

struct err *block_readonly_create(struct block_dev *below, struct block_dev **ret_dev)
{
	struct block_readonly *readonly = new0(struct block_readonly);

	if (!readonly)
		return err_new(ENOMEM, "Cannot create a read-only layer");
	block_layer_init(&readonly->layer, &readonly_ops, below);
	readonly->layer.base.facts.readonly = true;
	*ret_dev = &readonly->layer.base;
	return NULL;
}
