/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all virtio devices share: the serving loop, and bytes of chains.
 */
#define LOG_MODULE "virtio"
#include "virtio/virtio.h"

#include "base/log.h"

/* Requests that a queue may have served before the loop looks at its other work. At least as many
 * as the largest queue has, so that a whole ring is one batch. */
#define VIRTIO_SERVE_MAX VIRTQ_SIZE_MAX

void virtio_dev_publish(struct virtio_dev *dev, unsigned int q)
{
	struct virtq *queue = &dev->queues[q];

	if (virtq_publish(queue))
		dev->transport->signal(dev->transport, q);
	if (queue->stopped && !queue->n_flight)
		dev->transport->drained(dev->transport, q);
}

void virtio_dev_broken(struct virtio_dev *dev, unsigned int q)
{
	log_guest(&dev->limit, "%s: the driver broke queue %u; the device waits for a reset",
		dev->name, q);
	dev->transport->needs_reset(dev->transport);
}

static bool virtio_dev_may_begin(const struct virtio_dev *dev)
{
	return !dev->stalled && !atomic_load(&dev->yield);
}

/* 0: the queue is empty; 1: there may be more, but not now; -EINVAL: broken. */
static int virtio_dev_drain(struct virtio_dev *dev, struct virtq *queue, struct virtq_chain *chain,
	virtio_serve_fn serve, unsigned int *budget)
{
	for (; *budget && virtio_dev_may_begin(dev); --*budget) {
		int ret = virtq_pop(queue, chain);
		uint32_t written;

		if (ret <= 0)
			return ret;
		written = serve(dev, chain);
		if (written != VIRTIO_KEPT)
			virtq_push(queue, chain->head, written);
	}
	return 1;
}

void virtio_dev_serve(
	struct virtio_dev *dev, unsigned int q, struct virtq_chain *chain, virtio_serve_fn serve)
{
	struct virtq *queue = &dev->queues[q];
	unsigned int budget = VIRTIO_SERVE_MAX;
	int ret = 0;

	if (queue->broken)
		return;
	do {
		virtq_disable_notify(queue);
		ret = virtio_dev_drain(dev, queue, chain, serve, &budget);
		virtio_dev_publish(dev, q);
	} while (!ret && virtq_enable_notify(queue));
	if (ret > 0 && !dev->stalled)
		dev->transport->again(dev->transport, q);
	else if (ret < 0)
		virtio_dev_broken(dev, q);
}

uint64_t virtio_iov_size(const struct iovec *iov, unsigned int n)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < n; i++)
		size += iov[i].iov_len;
	return size;
}

/* Copies between a buffer and the pieces, in either direction. */
static size_t virtio_iov_copy(const struct iovec *iov, unsigned int n, uint64_t off, uint8_t *data,
	size_t len, bool to_guest)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		uint8_t *piece = iov[i].iov_base;
		size_t now;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		now = MIN(iov[i].iov_len - off, len - done);
		if (to_guest)
			memcpy(piece + off, data + done, now);
		else
			memcpy(data + done, piece + off, now);
		done += now;
		off = 0;
	}
	return done;
}

size_t virtio_iov_read(
	const struct iovec *iov, unsigned int n, uint64_t off, void *data, size_t len)
{
	return virtio_iov_copy(iov, n, off, data, len, false);
}

size_t virtio_iov_write(
	const struct iovec *iov, unsigned int n, uint64_t off, const void *data, size_t len)
{
	return virtio_iov_copy(iov, n, off, (uint8_t *)(uintptr_t)data, len, true);
}

unsigned int virtio_iov_slice(
	struct iovec *iov, unsigned int n, uint64_t off, uint64_t len, struct iovec **ret_first)
{
	unsigned int first = 0;
	unsigned int count = 0;

	while (first < n && off >= iov[first].iov_len)
		off -= iov[first++].iov_len;
	*ret_first = iov + first;
	if (first == n)
		return 0;
	iov[first].iov_base = (uint8_t *)iov[first].iov_base + off;
	iov[first].iov_len -= off;
	while (first + count < n && len) {
		struct iovec *piece = &iov[first + count++];

		piece->iov_len = MIN(piece->iov_len, len);
		len -= piece->iov_len;
	}
	return count;
}
