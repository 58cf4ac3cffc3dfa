/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One queue of an active device: its start, its reset by the driver (virtio 1.3, 2.6.1), its
 * notifications.
 *
 * Theory of operation. The queue's registers are the vCPUs', under the lock; what the thread that
 * serves it works with is a copy of them (`setup`), made when the queue is enabled and left alone
 * until it was reset. A reset by the driver is a message to the thread, which takes no new chains
 * from then on and waits until the device gave back those in flight, without standing still: the
 * driver reads 1 from queue_reset until then, and no vCPU waits. Enabling again is a message too;
 * both come in the order in which the driver wrote.
 */
#define LOG_MODULE "virtio"
#include <sys/epoll.h>

#include "base/fd.h"
#include "hv/hv.h"
#include "virtio/pci/virtio_pci_internal.h"

static unsigned int vp_queue_index(const struct vp_queue *queue)
{
	return (unsigned int)(queue - queue->vp->queues);
}

/* ---- Notifications ---- */

static uint64_t vp_notify_address(const struct virtio_pci *vp, unsigned int q)
{
	return vp->bar + VP_NOTIFY + (uint64_t)q * VP_NOTIFY_STRIDE;
}

/*
 * A write of any width is a notification: each queue has an address of its own, so what is written
 * (the queue's index, with NOTIFICATION_DATA also the driver's position) says nothing that the ring
 * does not.
 */
void vp_bind_queue(struct virtio_pci *vp, unsigned int q, bool bind)
{
	struct vp_queue *queue = &vp->queues[q];

	if (queue->kick.fd < 0 || queue->bound == bind || (bind && !vp->bar))
		return;
	/* Where the hypervisor cannot, notifications come as register writes: vp_kick(). */
	queue->bound =
		!hv_vm_ioeventfd(vp->hv, vp_notify_address(vp, q), false, queue->kick.fd, bind) &&
		bind;
}

void vp_bind_notify(struct virtio_pci *vp, uint64_t bar)
{
	if (bar == vp->bar)
		return;
	for (unsigned int i = 0; i < vp->dev->n_queues; i++)
		vp_bind_queue(vp, i, false);
	vp->bar = bar;
	for (unsigned int i = 0; i < vp->dev->n_queues; i++)
		if (vp->queues[i].enabled)
			vp_bind_queue(vp, i, true);
}

void vp_kick(struct virtio_pci *vp, unsigned int q)
{
	if (q < vp->dev->n_queues && vp->queues[q].kick.fd >= 0)
		fd_eventfd_signal(vp->queues[q].kick.fd);
}

static void vp_on_kick(struct loop_fd *source, uint32_t events)
{
	struct vp_queue *queue = container_of(source, struct vp_queue, kick);
	struct virtio_pci *vp = queue->vp;

	/* Edge-triggered: each notification is an event, and the counter is nobody's. */
	vp->dev->ops->notify(vp->dev, vp_queue_index(queue));
}

/* ---- Start ---- */

static void vp_set_up(struct vp_queue *queue)
{
	uint64_t features = queue->vp->driver_features;

	queue->setup = (struct vp_setup){.vector = queue->vector,
		.layout = {
			.size = queue->size,
			.desc = queue->desc,
			.driver = queue->driver,
			.device = queue->device,
			.packed = features & VIRTIO_F_RING_PACKED,
			.in_order = features & VIRTIO_F_IN_ORDER,
			.event_idx = features & VIRTIO_F_EVENT_IDX,
			.indirect = features & VIRTIO_F_INDIRECT_DESC,
		}};
}

/* The rings as `setup` says; [loop], or before the thread runs. */
static int vp_queue_up(struct vp_queue *queue)
{
	struct virtio_pci *vp = queue->vp;
	struct virtq *virtq = &vp->dev->queues[vp_queue_index(queue)];
	int ret = virtq_init(virtq, vp->ram, &queue->setup.layout);

	if (ret)
		return ret;
	ret = loop_add(queue->worker->loop, &queue->kick);
	if (ret) {
		virtq_deinit(virtq);
		return ret;
	}
	queue->up = true;
	queue->taken = false;
	/* What the driver made available before has no notification. */
	fd_eventfd_signal(queue->kick.fd);
	return 0;
}

int vp_start_queue(struct virtio_pci *vp, unsigned int q)
{
	struct vp_queue *queue = &vp->queues[q];
	unsigned int thread = vp->dev->ops->thread ? vp->dev->ops->thread(vp->dev, q) : 0;
	int ret;

	assert(thread < vp->n_workers);
	queue->worker = &vp->workers[thread];
	if (!queue->enabled) {
		vp->dev->queues[q] = (struct virtq){.broken = true};
		return 0;
	}
	vp_set_up(queue);
	queue->kick.fd = fd_eventfd();
	if (queue->kick.fd < 0)
		return queue->kick.fd;
	queue->kick.events = EPOLLIN | EPOLLET;
	queue->kick.ready = vp_on_kick;
	ret = vp_queue_up(queue);
	if (ret)
		return ret;
	vp_bind_queue(vp, q, true);
	return 0;
}

static void vp_on_start(struct loop_msg *msg)
{
	struct vp_queue *queue = container_of(msg, struct vp_queue, start_msg);
	struct virtio_pci *vp = queue->vp;
	int ret = vp_queue_up(queue);

	if (!ret)
		return;
	log_guest(&vp->dev->limit, "%s: the driver's queue %u is not usable: %s", vp->dev->name,
		vp_queue_index(queue), err_strerror(-ret));
	vp->transport.needs_reset(&vp->transport);
}

void vp_enable_again(struct vp_queue *queue)
{
	struct virtio_pci *vp = queue->vp;

	vp_set_up(queue);
	queue->start_msg.run = vp_on_start;
	loop_post(queue->worker->loop, &queue->start_msg);
	vp_bind_queue(vp, vp_queue_index(queue), true);
}

/* ---- Reset ---- */

void vp_drained(struct virtio_transport *transport, unsigned int q)
{
	struct virtio_pci *vp = container_of(transport, struct virtio_pci, transport);
	struct vp_queue *queue = &vp->queues[q];

	if (!queue->draining)
		return;
	queue->draining = false;
	queue->irqfd_asked = false;
	virtq_deinit(&vp->dev->queues[q]);
	virtq_stop(&vp->dev->queues[q]); /* empty, not broken, whoever looks */
	/* Release: the driver that reads 0 has its memory back. Its acquire is the read of
	 * queue_reset. */
	atomic_store(&queue->resetting, false);
}

static void vp_on_reset(struct loop_msg *msg)
{
	struct vp_queue *queue = container_of(msg, struct vp_queue, reset_msg);
	struct virtio_dev *dev = queue->vp->dev;
	unsigned int q = vp_queue_index(queue);

	queue->up = false;
	queue->draining = true;
	loop_remove(&queue->kick);
	virtq_stop(&dev->queues[q]);
	if (dev->ops->queue_reset)
		dev->ops->queue_reset(dev, q);
	if (queue->draining && !dev->queues[q].n_flight)
		vp_drained(&queue->vp->transport, q);
}

void vp_reset_queue(struct vp_queue *queue)
{
	struct virtio_pci *vp = queue->vp;

	vp_bind_queue(vp, vp_queue_index(queue), false);
	queue->enabled = false;
	queue->was_reset = true;
	queue->size = vp->dev->queue_size;
	queue->vector = VP_NO_VECTOR;
	queue->desc = queue->driver = queue->device = 0;
	atomic_store(&queue->resetting, true);
	queue->reset_msg.run = vp_on_reset;
	loop_post(queue->worker->loop, &queue->reset_msg);
}
