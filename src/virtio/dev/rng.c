/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entropy device: fills what the driver offers, at most RNG_REQUEST_MAX bytes a request, which
 * bounds the work that one request of overlapping descriptors can ask for.
 *
 * With a limited rate a request gets at most a burst's worth, as the device may use less than the
 * buffer (5.4.6.1). When that is used up the device stalls: requests stay in the queue until a
 * timer lets the next ones through, not before half a burst has come together, so that a driver
 * that always asks costs few wake-ups, and one that does not ask costs none.
 */
#include "virtio/dev/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/rate_limit.h"

#define RNG_ID          4
#define RNG_REQUEST_MAX 65536u

struct virtio_rng {
	struct virtio_dev dev;
	struct rate_limit limit;
	uint64_t (*now)(void);
	struct loop_timer timer; /* while stalled */
	struct virtq_chain chain;
};

static struct virtio_rng *rng_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_rng, dev);
}

static uint32_t rng_fill(const struct virtq_chain *chain, uint32_t max)
{
	const struct iovec *iov = chain->iov + chain->n_readable;
	uint32_t done = 0;

	for (unsigned int i = 0; i < chain->n_writable && done < max; i++) {
		size_t len = MIN(iov[i].iov_len, (size_t)(max - done));
		ssize_t n = getrandom(iov[i].iov_base, len, 0);

		if (n < 0)
			break;
		done += (uint32_t)n;
		if ((size_t)n < len)
			break;
	}
	return done;
}

static uint32_t rng_serve(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_rng *rng = rng_of(dev);
	uint64_t part = rate_limit_part(&rng->limit);
	uint64_t now = rng->now();
	uint32_t done = rng_fill(chain, (uint32_t)MIN(part, (uint64_t)RNG_REQUEST_MAX));

	rate_limit_charge(&rng->limit, now, done);
	dev->stalled = rate_limit_wait(&rng->limit, now);
	return done;
}

static void rng_notify(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_rng *rng = rng_of(dev);
	uint64_t wait = rate_limit_wait(&rng->limit, rng->now());

	dev->stalled = wait;
	if (!wait)
		virtio_dev_serve(dev, q, &rng->chain, rng_serve);
	if (!dev->stalled || rng->timer.loop)
		return;
	wait = rate_limit_wait(&rng->limit, rng->now());
	loop_timer_set(dev->loop, &rng->timer, wait + RATE_LIMIT_BURST_NS / 2);
}

static void rng_on_timer(struct loop_timer *timer)
{
	struct virtio_rng *rng = container_of(timer, struct virtio_rng, timer);

	rng_notify(&rng->dev, 0);
}

static void rng_activate(struct virtio_dev *dev)
{
	dev->stalled = false;
	rng_of(dev)->timer.fired = rng_on_timer;
}

static void rng_deactivate(struct virtio_dev *dev)
{
	loop_timer_cancel(&rng_of(dev)->timer);
}

static void rng_pause(struct virtio_dev *dev, unsigned int thread, bool paused)
{
	if (paused)
		loop_timer_cancel(&rng_of(dev)->timer);
	else if (dev->stalled)
		rng_notify(dev, 0);
}

static void rng_free(struct virtio_dev *dev)
{
	free(rng_of(dev));
}

static const struct virtio_dev_ops rng_ops = {.notify = rng_notify,
	.activate = rng_activate,
	.deactivate = rng_deactivate,
	.pause = rng_pause,
	.free = rng_free};

struct err *virtio_rng_create(const struct virtio_rng_options *options, struct virtio_dev **ret_dev)
{
	struct virtio_rng *rng = new0(struct virtio_rng);

	if (!rng)
		return err_new(ENOMEM, "Cannot create an entropy device");
	rng->dev = (struct virtio_dev){
		.ops = &rng_ops,
		.name = "virtio-entropy",
		.id = RNG_ID,
		.class_code = 0xff0000,
		.features = VIRTIO_F_IN_ORDER | VIRTIO_F_RING_RESET,
		.n_queues = 1,
		.queue_size = VIRTQ_SIZE_MAX,
	};
	rng->limit.rate = options->rate;
	rng->now = options->now ? options->now : loop_now_ns;
	*ret_dev = &rng->dev;
	return NULL;
}
