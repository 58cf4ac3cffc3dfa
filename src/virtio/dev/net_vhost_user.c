/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets by a vhost-user back end, which is a process of its own. Its socket is the network's:
 * when it ends, or does not answer as it should, the link is down, until there is another.
 */
#define LOG_MODULE "virtio_net"
#include "virtio/dev/net_internal.h"

#include <sys/socket.h>

#include "base/fd.h"

#define RING_USED_IDX 2 /* in the device's area of a split ring (2.7.8) */

static void user_begin(struct net_pair *pair)
{
	vhost_user_begin(&pair->net->user);
}

static int user_set_up(struct net_pair *pair)
{
	struct virtio_net *net = pair->net;

	return vhost_user_set_up(&net->user, net->dev.negotiated, net->dev.ram);
}

static int user_start(struct net_pair *pair, unsigned int i, const struct net_vhost_ring *from)
{
	const struct vhost_user_ring ring = {.size = from->size,
		.base = pair->vhost.base[i],
		.desc = from->desc,
		.driver = from->driver,
		.device = from->device,
		.kick = from->kick,
		.call = from->call,
		.error = from->error};
	int ret = vhost_user_start(&pair->net->user, 2 * pair->index + i, &ring);

	pair->vhost.running[i] = !ret;
	/* It has not seen what the driver said before. */
	if (!ret)
		fd_eventfd_signal(from->kick);
	return ret;
}

static void user_stop(struct net_pair *pair, unsigned int i)
{
	struct virtio_net *net = pair->net;
	unsigned int q = 2 * pair->index + i;

	if (!pair->vhost.running[i])
		return;
	pair->vhost.running[i] = false;
	if (!net->link.lost && !vhost_user_stop(&net->user, q, &pair->vhost.base[i]))
		return;
	/* Where it goes on is what it gave back; and one that does not answer is told to go. */
	(void)shutdown(net->user.fd, SHUT_RDWR);
	pair->vhost.base[i] =
		ram_window_load16(&net->dev.queues[q].device, RING_USED_IDX, memory_order_acquire);
}

static void user_failed(struct net_pair *pair, int error)
{
	/* It has the guest's memory, and perhaps a ring: it must not go on with them. */
	(void)shutdown(pair->net->user.fd, SHUT_RDWR);
	net_link_lost(pair, err_strerror(error));
}

static const struct net_mover user_mover = {.begin = user_begin,
	.set_up = user_set_up,
	.start = user_start,
	.stop = user_stop,
	.failed = user_failed,
	.is_slow = true};

struct err *net_user_open(struct virtio_net *net)
{
	struct err *err = vhost_user_open(net->backend->fds[0], &net->user);

	if (err)
		return err;
	net->pairs[0].vhost.features = net->user.features;
	net->mover = &user_mover;
	return NULL;
}

struct err *net_user_open_again(struct virtio_net *net)
{
	struct err *err = vhost_user_open(net->backend->fds[0], &net->user);
	uint64_t known = net->pairs[0].vhost.features;

	if (!err && known & ~net->user.features)
		err = err_new(0, "The new vhost-user back end knows less than the one before");
	return err;
}
