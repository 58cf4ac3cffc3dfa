/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activation: from registers to running queues and threads, and back.
 */
#define LOG_MODULE "virtio"
#include "virtio/pci/virtio_pci_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "hv/hv.h"

/* ---- A thread of the device ---- */

static void vp_drain(struct vp_worker *worker)
{
	struct virtio_dev *dev = worker->vp->dev;

	if (dev->ops->drain)
		dev->ops->drain(dev, worker->index);
}

static void vp_thread(struct thread *thread)
{
	struct vp_worker *worker = container_of(thread, struct vp_worker, thread);

	loop_run(worker->loop);
	vp_drain(worker);
}

static void vp_on_pause(struct loop_msg *msg)
{
	struct vp_worker *worker = container_of(msg, struct vp_worker, pause_msg);
	struct virtio_pci *vp = worker->vp;

	for (unsigned int i = 0; i < vp->dev->n_queues; i++) {
		struct vp_queue *queue = &vp->queues[i];

		if (queue->worker != worker || !queue->up || queue->taken)
			continue;
		/* What comes meanwhile leaves its mark in the eventfd. */
		if (vp->paused)
			loop_remove(&queue->kick);
		else if (!queue->kick.loop && loop_add(worker->loop, &queue->kick))
			virtio_dev_broken(vp->dev, i);
	}
	if (vp->dev->ops->pause)
		vp->dev->ops->pause(vp->dev, worker->index, vp->paused);
}

void vp_pause(struct virtio_pci *vp, bool paused)
{
	bool active;

	with_lock (&vp->lock)
		active = vp_is_active(vp) && !vp->stopping;
	/* No vCPU runs: nobody changes that now. */
	vp->paused = paused;
	if (!active)
		return; /* or its threads end, and begin nothing any more */
	atomic_store(&vp->dev->yield, paused);
	/* The first one last: the others may have left it something. */
	for (unsigned int i = vp->n_workers; i--;) {
		struct vp_worker *worker = &vp->workers[i];

		worker->pause_msg.run = vp_on_pause;
		loop_call(worker->loop, &worker->pause_msg);
	}
}

/* ---- What the device asks of the transport; [loop] ---- */

static void vp_interrupt(struct virtio_pci *vp, uint16_t vector, uint8_t isr)
{
	if (pci_msix_enabled(&vp->pci)) {
		pci_msix_signal(&vp->pci, vector);
		return;
	}
	atomic_fetch_or(&vp->isr, isr);
	pci_dev_set_intx(&vp->pci, true);
}

static void vp_signal(struct virtio_transport *transport, unsigned int q)
{
	struct virtio_pci *vp = container_of(transport, struct virtio_pci, transport);
	struct vp_queue *queue = &vp->queues[q];

	/*
	 * From its first interrupt on a queue's vector has an irqfd, whose route follows the
	 * vector's mask and message. Where the hypervisor cannot, signals are messages.
	 */
	if (!queue->irqfd_asked && pci_msix_enabled(&vp->pci)) {
		queue->irqfd_asked = true;
		(void)pci_msix_fd(&vp->pci, queue->setup.vector);
	}
	vp_interrupt(vp, queue->setup.vector, VP_ISR_QUEUE);
}

static void vp_again(struct virtio_transport *transport, unsigned int q)
{
	fd_eventfd_signal(container_of(transport, struct virtio_pci, transport)->queues[q].kick.fd);
}

static void vp_needs_reset(struct virtio_transport *transport)
{
	struct virtio_pci *vp = container_of(transport, struct virtio_pci, transport);

	atomic_fetch_or(&vp->status, VP_S_NEEDS_RESET);
	vp_interrupt(vp, vp->config_vector, VP_ISR_CONFIG);
}

static void vp_config_changed(struct virtio_transport *transport)
{
	struct virtio_pci *vp = container_of(transport, struct virtio_pci, transport);

	atomic_fetch_add(&vp->generation, 1);
	vp_interrupt(vp, vp->config_vector, VP_ISR_CONFIG);
}

static int vp_take_kick(struct virtio_transport *transport, unsigned int q)
{
	struct vp_queue *queue = &container_of(transport, struct virtio_pci, transport)->queues[q];

	queue->taken = true;
	loop_remove(&queue->kick);
	return queue->kick.fd;
}

static int vp_interrupt_fd(struct virtio_transport *transport, unsigned int q)
{
	struct virtio_pci *vp = container_of(transport, struct virtio_pci, transport);

	return pci_msix_enabled(&vp->pci) ? pci_msix_fd(&vp->pci, vp->queues[q].setup.vector)
					  : -EOPNOTSUPP;
}

static struct loop *vp_loop(struct virtio_transport *transport, unsigned int thread)
{
	return container_of(transport, struct virtio_pci, transport)->workers[thread].loop;
}

const struct virtio_transport vp_transport = {.signal = vp_signal,
	.again = vp_again,
	.drained = vp_drained,
	.needs_reset = vp_needs_reset,
	.config_changed = vp_config_changed,
	.take_kick = vp_take_kick,
	.interrupt_fd = vp_interrupt_fd,
	.loop = vp_loop};

/* ---- Activation ---- */

bool vp_is_active(const struct virtio_pci *vp)
{
	return vp->active;
}

static struct err *vp_start_threads(struct virtio_pci *vp)
{
	struct err *err = NULL;

	for (unsigned int i = 0; !err && i < vp->n_workers; i++) {
		struct vp_worker *worker = &vp->workers[i];

		worker->thread.name = i ? worker->name : vp->dev->name;
		worker->thread.run = vp_thread;
		err = thread_start(&worker->thread);
	}
	return err;
}

static struct err *vp_start(struct virtio_pci *vp)
{
	struct err *err = NULL;
	int ret = 0;

	for (unsigned int i = 0; !err && i < vp->n_workers; i++)
		err = loop_create(&vp->workers[i].loop);
	if (err)
		return err;
	vp->dev->transport = &vp->transport;
	vp->dev->loop = vp->workers[0].loop;
	vp->dev->ram = vp->ram;
	atomic_store(&vp->dev->yield, false);
	for (unsigned int i = 0; !ret && i < vp->dev->n_queues; i++)
		ret = vp_start_queue(vp, i);
	if (ret)
		return err_new(-ret, "%s: the driver's queues are not usable", vp->dev->name);
	vp->active = true;
	if (vp->dev->ops->activate)
		vp->dev->ops->activate(vp->dev);
	return vp_start_threads(vp);
}

static void vp_stop(struct virtio_pci *vp)
{
	if (vp->active && vp->dev->ops->deactivate)
		vp->dev->ops->deactivate(vp->dev);
	vp->active = false;
	for (unsigned int i = 0; i < vp->dev->n_queues; i++) {
		struct vp_queue *queue = &vp->queues[i];

		virtq_deinit(&vp->dev->queues[i]);
		if (queue->kick.fd < 0)
			continue;
		vp_bind_queue(vp, i, false);
		loop_remove(&queue->kick);
		close(queue->kick.fd);
		queue->kick.fd = -1;
	}
	for (unsigned int i = 0; i < vp->n_workers; i++) {
		loop_free(vp->workers[i].loop);
		vp->workers[i].loop = NULL;
	}
	vp->dev->loop = NULL;
}

static void vp_begin_stop(struct virtio_pci *vp)
{
	if (vp->stopping)
		return;
	vp->stopping = true;
	atomic_store(&vp->dev->yield, true);
	for (unsigned int i = 0; i < vp->n_workers; i++)
		loop_stop(vp->workers[i].loop);
}

static void vp_end_stop(struct virtio_pci *vp)
{
	vp->stopping = false;
	vp_stop(vp);
}

/* Not all of its threads could be started. Those that were wait for none of the others. */
static void vp_abandon(struct virtio_pci *vp)
{
	vp_begin_stop(vp);
	for (unsigned int i = 0; i < vp->n_workers; i++) {
		if (!vp->workers[i].thread.started)
			vp_drain(&vp->workers[i]);
	}
	for (unsigned int i = 0; i < vp->n_workers; i++)
		thread_join(&vp->workers[i].thread);
	vp->stopping = false;
}

void vp_activate(struct virtio_pci *vp)
{
	struct err *err = vp_start(vp);
	unsigned int dropped;

	if (!err)
		return;
	if (log_limit_pass(&vp->dev->limit, &dropped))
		log_err_free(LOG_WARN, LOG_MODULE, err);
	else
		err_free(err);
	if (vp->active)
		vp_abandon(vp);
	vp_stop(vp);
	vp_needs_reset(&vp->transport);
}

bool vp_deactivate_within(struct virtio_pci *vp, uint64_t ns)
{
	uint64_t end = loop_now_ns() + ns;

	if (!vp_is_active(vp))
		return true;
	vp_begin_stop(vp);
	for (unsigned int i = 0; i < vp->n_workers; i++) {
		uint64_t now = loop_now_ns();

		if (!thread_join_within(&vp->workers[i].thread, now < end ? end - now : 0))
			return false;
	}
	vp_end_stop(vp);
	return true;
}

void vp_deactivate(struct virtio_pci *vp)
{
	if (!vp_is_active(vp))
		return;
	vp_begin_stop(vp);
	for (unsigned int i = 0; i < vp->n_workers; i++)
		thread_join(&vp->workers[i].thread);
	vp_end_stop(vp);
}
