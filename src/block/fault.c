/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault injection layer.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/overflow.h"
#include "block/layer.h"
#include "block/layers.h"

struct block_faulty {
	struct block_layer layer;
	struct block_fault fault;  /* none if it has no ops */
	struct block_fifo failing; /* until the kick */
	struct block_fifo hanging;
};

static struct block_faulty *faulty_of(struct block_dev *dev)
{
	return container_of(dev, struct block_faulty, layer.base);
}

static bool faulty_matches(struct block_fault *f, const struct block_request *r)
{
	if (!(f->ops & 1u << r->op) ||
		(r->op != BLOCK_FLUSH && !ranges_overlap(f->off, f->len, r->off, r->len)))
		return false;
	if (f->skip) {
		f->skip--;
		return false;
	}
	return true;
}

static void faulty_submit(struct block_dev *dev, struct block_request *r)
{
	struct block_faulty *f = faulty_of(dev);

	if (faulty_matches(&f->fault, r))
		block_fifo_add(f->fault.hold ? &f->hanging : &f->failing, r);
	else
		block_layer_submit(dev, r);
}

static void faulty_kick(struct block_dev *dev)
{
	struct block_faulty *f = faulty_of(dev);
	struct block_request *r;

	while ((r = block_fifo_take(&f->failing)))
		block_done(dev, r, f->fault.error);
	block_layer_kick(dev);
}

static void faulty_stop(struct block_dev *dev)
{
	struct block_faulty *f = faulty_of(dev);

	f->failing = f->hanging = (struct block_fifo){0};
	block_layer_stop(dev);
}

static void faulty_free(struct block_dev *dev)
{
	struct block_faulty *f = faulty_of(dev);

	block_layer_deinit(&f->layer);
	free(f);
}

static const struct block_ops faulty_ops = {.start = block_layer_start,
	.submit = faulty_submit,
	.kick = faulty_kick,
	.has_done = block_layer_has_done,
	.quiesce = block_layer_quiesce,
	.resize = block_layer_resize,
	.stop = faulty_stop,
	.free = faulty_free};

struct err *block_fault_create(struct block_dev *below, struct block_dev **ret_dev)
{
	struct block_faulty *f = new0(struct block_faulty);

	if (!f)
		return err_new(ENOMEM, "Cannot create a fault layer");
	block_layer_init(&f->layer, &faulty_ops, below);
	*ret_dev = &f->layer.base;
	return NULL;
}

void block_fault_set(struct block_dev *dev, const struct block_fault *fault)
{
	faulty_of(dev)->fault = fault ? *fault : (struct block_fault){0};
}

void block_fault_release(struct block_dev *dev)
{
	struct block_faulty *f = faulty_of(dev);
	struct block_request *r;

	while ((r = block_fifo_take(&f->hanging)))
		block_layer_submit(dev, r);
	block_layer_kick(dev);
}
