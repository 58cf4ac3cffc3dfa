/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets by others: the kernel's vhost-net, or the back end of net_vhost_user.c, has the rings of
 * a pair, the driver's notifications and, where messages are used, its interrupts; this device
 * keeps the control queue and the link.
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
	bool was_served = call->source.loop;

	if (!call->pair)
		return;
	loop_remove(&call->source);
	/* What came at the last moment counts. A broken ring stops the pair: that comes here again,
	 * and closes it. */
	if (was_served)
		call->source.ready(&call->source, EPOLLIN);
	auto_close_cleanup(&call->source.fd);
	call->source.fd = -1;
	call->pair = NULL;
}

/* ---- Start and stop ---- */

static int vhost_ring(struct net_pair *pair, unsigned int i, struct net_vhost_ring *ret_ring)
{
	struct virtio_dev *dev = &pair->net->dev;
	unsigned int q = 2 * pair->index + i;
	const struct virtq *queue = &dev->queues[q];
	int call;

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
	int ret = 0;

	if (!pair->calls[VHOST_ERRORS].pair)
		ret = vhost_add_call(pair, VHOST_ERRORS, 2 * pair->index, vhost_on_error);
	return ret < 0 ? ret : pair->net->mover->set_up(pair);
}

static int vhost_start_ring(struct net_pair *pair, unsigned int i)
{
	struct virtio_net *net = pair->net;
	const struct virtq *queue = &net->dev.queues[2 * pair->index + i];
	struct net_vhost_ring ring;
	int ret;

	/* One that the driver took back comes with a notification of its own. */
	if (pair->vhost.running[i] || queue->stopped || queue->broken)
		return 0;
	ret = vhost_ring(pair, i, &ring);
	return ret ? ret : net->mover->start(pair, i, &ring);
}

static void mover_begin(struct net_pair *pair)
{
	const struct net_mover *mover = pair->net->mover;

	if (mover->begin)
		mover->begin(pair);
}

/* Somebody waits for this thread, to pause or end it: that stops what runs, and a start comes after
 * it. */
static bool mover_yields(const struct net_pair *pair)
{
	return pair->net->mover->is_slow && atomic_load(&pair->net->dev.yield);
}

void net_mover_start(struct net_pair *pair)
{
	bool runs = pair->vhost.running[0] || pair->vhost.running[1];
	int ret;

	mover_begin(pair);
	ret = runs ? 0 : vhost_set_up(pair);
	for (unsigned int i = 0; ret >= 0 && i < 2 && !mover_yields(pair); i++)
		ret = vhost_start_ring(pair, i);
	if (ret >= 0)
		return;
	/* First, so that one that does not answer is not asked to stop. */
	pair->net->mover->failed(pair, -ret);
	net_mover_stop(pair);
}

void net_mover_notified(struct net_pair *pair, unsigned int i)
{
	struct virtio_transport *transport = pair->net->dev.transport;

	if (pair->thread->paused || pair->net->link.lost ||
		pair->index >= pair->net->active_pairs || pair->vhost.running[i])
		return;
	net_mover_start(pair);
	/* The notification was ours; the kernel wants one as well. */
	if (pair->vhost.running[i])
		transport->again(transport, 2 * pair->index + i);
}

void net_mover_reset(struct net_pair *pair, unsigned int i)
{
	mover_begin(pair);
	pair->net->mover->stop(pair, i);
	vhost_remove_call(&pair->calls[i]);
	pair->vhost.base[i] = 0;
}

void net_mover_drain(struct net_pair *pair)
{
	mover_begin(pair);
	for (unsigned int i = 0; i < 2; i++)
		pair->net->mover->stop(pair, i);
}

void net_mover_stop(struct net_pair *pair)
{
	if (!pair->net->mover)
		return;
	net_mover_drain(pair);
	for (unsigned int i = 0; i < ARRAY_SIZE(pair->calls); i++)
		vhost_remove_call(&pair->calls[i]);
}

/* ---- vhost-net ---- */

static unsigned int kernel_regions(
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

static int kernel_set_up(struct net_pair *pair)
{
	struct net_vhost_region regions[VHOST_REGIONS_MAX];
	const struct virtio_dev *dev = &pair->net->dev;

	return net_vhost_set_up(
		&pair->vhost, dev->negotiated, regions, kernel_regions(dev, regions));
}

static int kernel_start(struct net_pair *pair, unsigned int i, const struct net_vhost_ring *ring)
{
	return net_vhost_start(&pair->vhost, i, pair->net->backend->fds[pair->index], ring);
}

static void kernel_stop(struct net_pair *pair, unsigned int i)
{
	net_vhost_stop(&pair->vhost, i);
}

static void kernel_failed(struct net_pair *pair, int error)
{
	struct virtio_net *net = pair->net;

	log_guest(&net->dev.limit, "%s: vhost-net cannot serve pair %u: %s", net->name, pair->index,
		err_strerror(error));
	net->dev.transport->needs_reset(net->dev.transport);
}

static const struct net_mover kernel_mover = {.set_up = kernel_set_up,
	.start = kernel_start,
	.stop = kernel_stop,
	.failed = kernel_failed};

struct err *net_mover_open(struct virtio_net *net)
{
	struct err *err = NULL;

	if (!net->backend->is_interface)
		return err_new(0, "vhost needs an interface of the host");
	for (unsigned int i = 0; !err && i < net->n_pairs; i++)
		err = net_vhost_open(&net->pairs[i].vhost);
	if (err) {
		net_mover_close(net);
		return err;
	}
	net->mover = &kernel_mover;
	return NULL;
}

void net_mover_close(struct virtio_net *net)
{
	for (unsigned int i = 0; i < net->n_pairs; i++)
		net_vhost_close(&net->pairs[i].vhost);
}

uint64_t net_mover_features(const struct virtio_net *net)
{
	return net->pairs[0].vhost.features;
}
