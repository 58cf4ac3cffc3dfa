/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entropy device: fills what the driver offers, at most RNG_REQUEST_MAX bytes a request, which
 * bounds the work that one request of overlapping descriptors can ask for.
 */
#include "virtio/dev/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/alloc.h"

#define RNG_ID          4
#define RNG_REQUEST_MAX 65536u

struct virtio_rng {
	struct virtio_dev dev;
	struct virtq_chain chain;
};

static uint32_t rng_serve(struct virtio_dev *dev, struct virtq_chain *chain)
{
	const struct iovec *iov = chain->iov + chain->n_readable;
	uint32_t done = 0;

	for (unsigned int i = 0; i < chain->n_writable && done < RNG_REQUEST_MAX; i++) {
		size_t len = MIN(iov[i].iov_len, (size_t)(RNG_REQUEST_MAX - done));
		ssize_t n = getrandom(iov[i].iov_base, len, 0);

		if (n < 0)
			break;
		done += (uint32_t)n;
		if ((size_t)n < len)
			break;
	}
	return done;
}

static void rng_notify(struct virtio_dev *dev, unsigned int q)
{
	virtio_dev_serve(dev, q, &container_of(dev, struct virtio_rng, dev)->chain, rng_serve);
}

static void rng_free(struct virtio_dev *dev)
{
	free(container_of(dev, struct virtio_rng, dev));
}

static const struct virtio_dev_ops rng_ops = {.notify = rng_notify, .free = rng_free};

struct err *virtio_rng_create(struct virtio_dev **ret_dev)
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
	*ret_dev = &rng->dev;
	return NULL;
}
