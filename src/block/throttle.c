/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The throttle layer: one rate limit for requests and one for bytes, requests in their order.
 * Layers of several threads may have their limits together; whoever comes first takes what is free.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/rate_limit.h"
#include "base/thread.h"
#include "block/layer.h"
#include "block/layers.h"

struct throttle_limits {
	unsigned int n_layers; /* that have them; [main] */
	pthread_mutex_t lock;  /* guards what follows; lock order 58 */
	struct rate_limit requests, bytes;
};

struct block_throttle {
	struct block_layer layer;
	struct throttle_limits *limits;
	struct block_fifo held;
	struct loop *loop;
	struct loop_timer timer;
};

static struct block_throttle *throttle_of(struct block_dev *dev)
{
	return container_of(dev, struct block_throttle, layer.base);
}

/* Nanoseconds until it may pass; 0: it passes. */
static uint64_t throttle_take(struct throttle_limits *limits, const struct block_request *r)
{
	auto_lock(&limits->lock);

	uint64_t now = loop_now_ns();
	uint64_t wait =
		MAX(rate_limit_wait(&limits->requests, now), rate_limit_wait(&limits->bytes, now));

	if (wait)
		return wait;
	rate_limit_charge(&limits->requests, now, 1);
	/* Zeros may have to be written. */
	if (r->op != BLOCK_DISCARD)
		rate_limit_charge(&limits->bytes, now, r->len);
	return 0;
}

static void throttle_kick(struct block_dev *dev)
{
	struct block_throttle *t = throttle_of(dev);

	while (t->held.first && block_may_begin(dev)) {
		uint64_t wait = throttle_take(t->limits, t->held.first);

		if (wait) {
			loop_timer_set(t->loop, &t->timer, wait);
			break;
		}
		block_layer_submit(dev, block_fifo_take(&t->held));
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

static void throttle_put(struct throttle_limits *limits)
{
	if (--limits->n_layers)
		return;
	pthread_mutex_destroy(&limits->lock);
	free(limits);
}

static void throttle_free(struct block_dev *dev)
{
	struct block_throttle *t = throttle_of(dev);

	block_layer_deinit(&t->layer);
	throttle_put(t->limits);
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

static struct err *throttle_create(
	struct block_dev *below, struct throttle_limits *limits, struct block_dev **ret_dev)
{
	struct block_throttle *t = new0(struct block_throttle);

	if (!t)
		return err_new(ENOMEM, "Cannot create a throttle");
	block_layer_init(&t->layer, &throttle_ops, below);
	t->limits = limits;
	limits->n_layers++;
	*ret_dev = &t->layer.base;
	return NULL;
}

struct err *block_throttle_create(struct block_dev *below,
	const struct block_throttle_options *options, struct block_dev **ret_dev)
{
	struct throttle_limits *limits = new0(struct throttle_limits);
	struct err *err;

	if (!limits)
		return err_new(ENOMEM, "Cannot create a throttle");
	limits->requests.rate = options->iops;
	limits->bytes.rate = options->bw;
	pthread_mutex_init(&limits->lock, NULL);
	limits->n_layers = 1; /* ours */
	err = throttle_create(below, limits, ret_dev);
	throttle_put(limits);
	return err;
}

struct err *block_throttle_share(
	struct block_dev *below, struct block_dev *throttle, struct block_dev **ret_dev)
{
	return throttle_create(below, throttle_of(throttle)->limits, ret_dev);
}
