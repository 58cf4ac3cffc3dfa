/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The throttle layer: one rate limit for requests and one for bytes, requests in their order.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/rate_limit.h"
#include "block/layer.h"
#include "block/layers.h"

struct block_throttle {
	struct block_layer layer;
	struct rate_limit requests, bytes;
	struct block_fifo held;
	struct loop *loop;
	struct loop_timer timer;
};

static struct block_throttle *throttle_of(struct block_dev *dev)
{
	return container_of(dev, struct block_throttle, layer.base);
}

static void throttle_kick(struct block_dev *dev)
{
	struct block_throttle *t = throttle_of(dev);
	uint64_t now = loop_now_ns();

	while (t->held.first && block_may_begin(dev)) {
		uint64_t wait =
			MAX(rate_limit_wait(&t->requests, now), rate_limit_wait(&t->bytes, now));
		struct block_request *r;

		if (wait) {
			loop_timer_set(t->loop, &t->timer, wait);
			break;
		}
		r = block_fifo_take(&t->held);
		rate_limit_charge(&t->requests, now, 1);
		if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
			rate_limit_charge(&t->bytes, now, r->len);
		block_layer_submit(dev, r);
	}
	block_layer_kick(dev);
}

static void throttle_on_timer(struct loop_timer *timer)
{
	throttle_kick(&container_of(timer, struct block_throttle, timer)->layer.base);
}

static void throttle_start(struct block_dev *dev, struct loop *loop)
{
	struct block_throttle *t = throttle_of(dev);

	t->loop = loop;
	t->timer.fired = throttle_on_timer;
	block_layer_start(dev, loop);
}

static void throttle_submit(struct block_dev *dev, struct block_request *r)
{
	block_fifo_add(&throttle_of(dev)->held, r);
}

static void throttle_quiesce(struct block_dev *dev)
{
	loop_timer_cancel(&throttle_of(dev)->timer);
	block_layer_quiesce(dev);
}

static void throttle_stop(struct block_dev *dev)
{
	struct block_throttle *t = throttle_of(dev);

	loop_timer_cancel(&t->timer);
	t->held = (struct block_fifo){0};
	block_layer_stop(dev);
}

static void throttle_free(struct block_dev *dev)
{
	struct block_throttle *t = throttle_of(dev);

	block_layer_deinit(&t->layer);
	free(t);
}

static const struct block_ops throttle_ops = {.start = throttle_start,
	.submit = throttle_submit,
	.kick = throttle_kick,
	.has_done = block_layer_has_done,
	.quiesce = throttle_quiesce,
	.resize = block_layer_resize,
	.stop = throttle_stop,
	.free = throttle_free};

struct err *block_throttle_create(struct block_dev *below,
	const struct block_throttle_options *options, struct block_dev **ret_dev)
{
	struct block_throttle *t = new0(struct block_throttle);

	if (!t)
		return err_new(ENOMEM, "Cannot create a throttle");
	block_layer_init(&t->layer, &throttle_ops, below);
	t->requests.rate = options->iops;
	t->bytes.rate = options->bw;
	*ret_dev = &t->layer.base;
	return NULL;
}
