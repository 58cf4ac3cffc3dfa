/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets by the kernel: vhost-net has the rings of a pair, the driver's notifications and, where
 * messages are used, its interrupts; this device keeps the control queue and the link.
 */
#define LOG_MODULE "virtio_net"
#include "virtio/dev/net_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

/* Regions of RAM that the kernel's table can have. */
#define VHOST_REGIONS_MAX 64
#define VHOST_ERRORS      2 /* in the list of eventfds, behind the queues' interrupts */

/* ---- Eventfds of the kernel that we serve ---- */

/* Interrupts by a pin take us. */
static void vhost_on_call(struct loop_fd *source, uint32_t events)
{
	struct net_vhost_call *call = container_of(source, struct net_vhost_call, source);
	struct virtio_transport *transport = call->pair->net->dev.transport;

	if (fd_eventfd_drain(source->fd))
		transport->signal(transport, call->queue);
}

static void vhost_on_error(struct loop_fd *source, uint32_t events)
{
	struct net_vhost_call *call = container_of(source, struct net_vhost_call, source);

	if (fd_eventfd_drain(source->fd))
		net_queue_broke(call->pair->net, call->queue);
}

static int vhost_add_call(struct net_pair *pair, unsigned int i, unsigned int queue,
	void (*ready)(struct loop_fd *source, uint32_t events))
{
	struct net_vhost_call *call = &pair->calls[i];
	int ret;

	*call = (struct net_vhost_call){
		.source = {.fd = fd_eventfd(), .events = EPOLLIN, .ready = ready},
		.pair = pair,
		.queue = queue};
	if (call->source.fd < 0)
		return call->source.fd;
	ret = loop_add(pair->net->dev.loop, &call->source);
	return ret ? ret : call->source.fd;
}

static void vhost_remove_call(struct net_vhost_call *call)
{
	if (!call->pair)
		return;
	/* What came at the last moment counts. */
	if (call->source.loop)
		call->source.ready(&call->source, EPOLLIN);
	loop_remove(&call->source);
	auto_close_cleanup(&call->source.fd);
	call->pair = NULL;
}

/* ---- Start and stop ---- */

static unsigned int vhost_regions(
	const struct virtio_dev *dev, struct net_vhost_region regions[VHOST_REGIONS_MAX])
{
	const struct ram_region *all;
	size_t n = ram_regions(dev->ram, &all);

	/* Rings and buffers in what is too much for the table are errors of the ring. */
	n = MIN(n, (size_t)VHOST_REGIONS_MAX);
	for (size_t i = 0; i < n; i++)
		regions[i] = (struct net_vhost_region){
			.gpa = all[i].gpa, .size = all[i].size, .hva = all[i].hva};
	return (unsigned int)n;
}

static int vhost_ring(struct net_pair *pair, unsigned int i, struct net_vhost_ring *ret_ring)
{
	struct virtio_dev *dev = &pair->net->dev;
	unsigned int q = 2 * pair->index + i;
	const struct virtq *queue = &dev->queues[q];
	int call;

	if (queue->broken)
		return -EINVAL;
	call = dev->transport->interrupt_fd(dev->transport, q);
	if (call < 0)
		call = vhost_add_call(pair, i, q, vhost_on_call);
	if (call < 0)
		return call;
	*ret_ring = (struct net_vhost_ring){
		.size = queue->size,
		.desc = ram_window_address(&queue->desc),
		.driver = ram_window_address(&queue->driver),
		.device = ram_window_address(&queue->device),
		.kick = dev->transport->take_kick(dev->transport, q),
		.call = call,
		.error = pair->calls[VHOST_ERRORS].source.fd,
	};
	return 0;
}

static int vhost_set_up(struct net_pair *pair)
{
	struct virtio_dev *dev = &pair->net->dev;
	struct net_vhost_region regions[VHOST_REGIONS_MAX];
	int ret = 0;

	if (!pair->calls[VHOST_ERRORS].pair)
		ret = vhost_add_call(pair, VHOST_ERRORS, 2 * pair->index, vhost_on_error);
	return ret < 0 ? ret
		       : net_vhost_set_up(&pair->vhost, dev->negotiated, regions,
				 vhost_regions(dev, regions));
}

static int vhost_start_ring(struct net_pair *pair, unsigned int i)
{
	struct virtio_net *net = pair->net;
	struct net_vhost_ring ring;
	int ret;

	/* One that the driver took back comes with a notification of its own. */
	if (pair->vhost.running[i] || net->dev.queues[2 * pair->index + i].stopped)
		return 0;
	ret = vhost_ring(pair, i, &ring);
	return ret ? ret : net_vhost_start(&pair->vhost, i, net->backend->fds[pair->index], &ring);
}

void net_kernel_start(struct net_pair *pair)
{
	struct virtio_net *net = pair->net;
	bool runs = pair->vhost.running[0] || pair->vhost.running[1];
	int ret = runs ? 0 : vhost_set_up(pair);

	for (unsigned int i = 0; ret >= 0 && i < 2; i++)
		ret = vhost_start_ring(pair, i);
	if (ret >= 0)
		return;
	net_kernel_stop(pair);
	log_guest(&net->dev.limit, "%s: vhost-net cannot serve pair %u: %s", net->name, pair->index,
		err_strerror(-ret));
	net->dev.transport->needs_reset(net->dev.transport);
}

void net_kernel_notified(struct net_pair *pair, unsigned int i)
{
	struct virtio_transport *transport = pair->net->dev.transport;

	if (pair->thread->paused || pair->index >= pair->net->active_pairs ||
		pair->vhost.running[i])
		return;
	net_kernel_start(pair);
	/* The notification was ours; the kernel wants one as well. */
	if (pair->vhost.running[i])
		transport->again(transport, 2 * pair->index + i);
}

void net_kernel_reset(struct net_pair *pair, unsigned int i)
{
	net_vhost_stop(&pair->vhost, i);
	vhost_remove_call(&pair->calls[i]);
	pair->vhost.base[i] = 0;
}

void net_kernel_stop(struct net_pair *pair)
{
	for (unsigned int i = 0; i < 2; i++)
		net_vhost_stop(&pair->vhost, i);
	for (unsigned int i = 0; i < ARRAY_SIZE(pair->calls); i++)
		vhost_remove_call(&pair->calls[i]);
}

struct err *net_kernel_open(struct virtio_net *net)
{
	struct err *err = NULL;

	if (!net->backend->is_interface)
		return err_new(0, "vhost needs an interface of the host");
	for (unsigned int i = 0; !err && i < net->n_pairs; i++)
		err = net_vhost_open(&net->pairs[i].vhost);
	if (err) {
		net_kernel_close(net);
		return err;
	}
	net->in_kernel = true;
	return NULL;
}

void net_kernel_close(struct virtio_net *net)
{
	for (unsigned int i = 0; i < net->n_pairs; i++)
		net_vhost_close(&net->pairs[i].vhost);
}

uint64_t net_kernel_features(const struct virtio_net *net)
{
	return net->pairs[0].vhost.features;
}
