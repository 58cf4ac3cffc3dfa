/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all virtio devices share: the serving loop, and bytes of chains.
 */
#define LOG_MODULE "virtio"
#include "virtio/virtio.h"

#include "base/log.h"

static void virtio_dev_publish(struct virtio_dev *dev, unsigned int q)
{
	if (virtq_publish(&dev->queues[q]))
		dev->transport->signal(dev->transport, q);
}

void virtio_dev_serve(struct virtio_dev *dev, unsigned int q, struct virtq_chain *chain,
	uint32_t (*serve)(struct virtio_dev *dev, struct virtq_chain *chain))
{
	struct virtq *queue = &dev->queues[q];
	bool was_broken = queue->broken;
	int ret;

	do {
		unsigned int batch = 0;

		virtq_disable_notify(queue);
		while ((ret = virtq_pop(queue, chain)) > 0) {
			virtq_push(queue, chain->head, serve(dev, chain));
			/* A driver that adds as fast as we take must still see its requests end. */
			if (++batch % queue->size == 0)
				virtio_dev_publish(dev, q);
		}
		virtio_dev_publish(dev, q);
	} while (virtq_enable_notify(queue));
	if (ret < 0 && !was_broken) {
		log_warn("%s: the driver broke queue %u; the device waits for a reset", dev->name,
			q);
		dev->transport->needs_reset(dev->transport);
	}
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
