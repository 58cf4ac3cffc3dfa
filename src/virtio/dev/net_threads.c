/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who of the device's threads has which pairs, and how they hear of what has changed.
 */
#define LOG_MODULE "virtio_net"
#include "virtio/dev/net_internal.h"

#include <stdlib.h>

#include "base/alloc.h"

unsigned int net_queue_thread(const struct virtio_dev *dev, unsigned int q)
{
	const struct virtio_net *net = container_of_const(dev, struct virtio_net, dev);

	return q == net_ctrl_queue(net) || q / 2 >= net->n_pairs ? 0 : q / 2 % net->n_threads;
}

bool net_pair_is_active(const struct net_pair *pair)
{
	unsigned int q = 2 * pair->index;
	const struct virtq *rx = &pair->net->dev.queues[q];

	/* One that the driver has taken back is only empty. */
	return pair->index < pair->net->active_pairs && (!rx->broken || rx->stopped);
}

/* To nowhere, and not when there is room. */
static void net_pair_unlink(struct net_pair *pair)
{
	struct virtio_transport *transport = pair->net->dev.transport;

	pair->tx_unsent = false;
	if (pair->tx_waits)
		transport->again(transport, 2 * pair->index + 1);
}

static void net_thread_look(struct net_thread *t)
{
	struct virtio_net *net = t->net;

	for (unsigned int i = t->index; i < net->n_pairs; i += net->n_threads) {
		net_pair_poll(&net->pairs[i], net_pair_is_active(&net->pairs[i]));
		if (net->link.lost)
			net_pair_unlink(&net->pairs[i]);
	}
	if (!t->index)
		net_link_settle(net);
}

static void net_on_msg(struct loop_msg *msg)
{
	net_thread_look(container_of(msg, struct net_thread, msg));
}

void net_tell_threads(struct virtio_net *net, const struct net_thread *here)
{
	for (unsigned int i = 0; i < net->n_threads; i++) {
		struct net_thread *t = &net->threads[i];

		if (t == here)
			net_thread_look(t);
		else
			loop_post(virtio_dev_loop(&net->dev, i), &t->msg);
	}
}

int net_set_pairs(struct virtio_net *net, unsigned int n)
{
	int ret = net_backend_set_queues(net->backend, n);

	net->active_pairs = MIN(n, net->backend->n_attached);
	/* 5.1.6.5.5.2: nothing comes to the others when the driver has its answer. Whoever is at
	 * its turn now may not have seen it. */
	for (unsigned int i = 1; i < net->n_threads; i++) {
		pthread_mutex_lock(&net->threads[i].turn);
		pthread_mutex_unlock(&net->threads[i].turn);
	}
	net_tell_threads(net, &net->threads[0]);
	return ret;
}

void net_threads_start(struct virtio_net *net)
{
	for (unsigned int i = 0; i < net->n_threads; i++) {
		net->threads[i].paused = false;
		net->threads[i].msg = (struct loop_msg){.run = net_on_msg};
	}
}

bool net_threads_init(struct virtio_net *net, unsigned int n)
{
	/* vhost-net has threads of its own. */
	if (n > 1 && net->mover)
		log_warn(
			"%s: vhost-net moves the packets: iothreads=%u is of no use", net->name, n);
	if (!n || net->mover)
		n = 1;
	net->threads = new0_array(struct net_thread, n);
	if (!net->threads)
		return false;
	for (; net->n_threads < n; net->n_threads++) {
		struct net_thread *t = &net->threads[net->n_threads];

		t->net = net;
		t->index = net->n_threads;
		pthread_mutex_init(&t->turn, NULL);
	}
	for (unsigned int i = 0; i < net->n_pairs; i++)
		net->pairs[i].thread = &net->threads[i % n];
	return true;
}

void net_threads_deinit(struct virtio_net *net)
{
	for (unsigned int i = 0; i < net->n_threads; i++)
		pthread_mutex_destroy(&net->threads[i].turn);
	free(net->threads);
}
