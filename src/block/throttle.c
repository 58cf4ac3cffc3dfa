/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The throttle layer: one token bucket for requests and one for bytes, requests in their order.
 *
 * A bucket is kept as the time at which all that passed is paid for: a request passes while that is
 * less than the burst away, and moves it by what it costs. So there is nothing to refill, and what
 * a timer comes late is not lost.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "block/layer.h"
#include "block/layers.h"

#define THROTTLE_SECOND 1000000000ull
#define THROTTLE_BURST  (THROTTLE_SECOND / 10)
#define THROTTLE_MAX    3600000000000ull /* the cost of one request */

struct throttle_bucket {
	uint64_t rate;    /* units a second; 0: no limit */
	uint64_t paid_ns; /* on CLOCK_MONOTONIC */
};

struct block_throttle {
	struct block_layer layer;
	struct throttle_bucket requests, bytes;
	struct block_fifo held;
	struct loop *loop;
	struct loop_timer timer;
};

static struct block_throttle *throttle_of(struct block_dev *dev)
{
	return container_of(dev, struct block_throttle, layer.base);
}

/* Nanoseconds until something may pass. */
static uint64_t throttle_wait(const struct throttle_bucket *b, uint64_t now)
{
	return b->rate && b->paid_ns > now + THROTTLE_BURST ? b->paid_ns - now - THROTTLE_BURST : 0;
}

static void throttle_charge(struct throttle_bucket *b, uint64_t now, uint64_t units)
{
	unsigned __int128 cost;

	if (!b->rate)
		return;
	cost = (unsigned __int128)units * THROTTLE_SECOND / b->rate;
	b->paid_ns = MAX(b->paid_ns, now) + (cost > THROTTLE_MAX ? THROTTLE_MAX : (uint64_t)cost);
}

static void throttle_kick(struct block_dev *dev)
{
	struct block_throttle *t = throttle_of(dev);
	uint64_t now = loop_now_ns();

	while (t->held.first && block_may_begin(dev)) {
		uint64_t wait =
			MAX(throttle_wait(&t->requests, now), throttle_wait(&t->bytes, now));
		struct block_request *r;

		if (wait) {
			loop_timer_set(t->loop, &t->timer, wait);
			break;
		}
		r = block_fifo_take(&t->held);
		throttle_charge(&t->requests, now, 1);
		if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
			throttle_charge(&t->bytes, now, r->len);
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
	.quiesce = throttle_quiesce,
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
