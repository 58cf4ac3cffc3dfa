/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network device: features, configuration, the back end as a source of the loop.
 */
#define LOG_MODULE "virtio_net"
#include "virtio/dev/net_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/endian.h"

#define NET_ID    1
#define NET_CLASS 0x020000

/* struct virtio_net_config (5.1.4), as far as it is offered. */
#define NET_CONFIG_MAC    0
#define NET_CONFIG_STATUS 6
#define NET_CONFIG_PAIRS  8
#define NET_CONFIG_MTU    10
#define NET_CONFIG_SIZE   12u

static_assert(VIRTIO_QUEUES_MAX >= 2 * NET_QUEUES_MAX + 1, "queues");

/* ---- Features ---- */

static const struct {
	uint64_t guest, host; /* the driver takes such packets; it may send them */
	unsigned int offload;
} net_offloads[] = {
	{NET_F_GUEST_CSUM, NET_F_CSUM, NET_OFFLOAD_CSUM},
	{NET_F_GUEST_TSO4, NET_F_HOST_TSO4, NET_OFFLOAD_TSO4},
	{NET_F_GUEST_TSO6, NET_F_HOST_TSO6, NET_OFFLOAD_TSO6},
	{NET_F_GUEST_ECN, NET_F_HOST_ECN, NET_OFFLOAD_ECN},
	{NET_F_GUEST_UFO, NET_F_HOST_UFO, NET_OFFLOAD_UFO},
	{NET_F_GUEST_USO4, NET_F_HOST_USO, NET_OFFLOAD_USO4},
	{NET_F_GUEST_USO6, NET_F_HOST_USO, NET_OFFLOAD_USO6},
};

static uint64_t net_features(const struct virtio_net_options *options)
{
	const struct net_backend *backend = options->backend;
	uint64_t features = NET_F_MAC | NET_F_STATUS | NET_F_MRG_RXBUF | NET_F_CTRL_VQ |
			    NET_F_CTRL_RX | NET_F_CTRL_VLAN | NET_F_CTRL_MAC_ADDR |
			    NET_F_GUEST_ANNOUNCE | VIRTIO_F_IN_ORDER | VIRTIO_F_RING_RESET;

	if (options->mtu)
		features |= NET_F_MTU;
	if (backend->n_queues > 1)
		features |= NET_F_MQ;
	if (backend->offloads)
		features |= NET_F_CTRL_GUEST_OFFLOADS;
	for (unsigned int i = 0; i < ARRAY_SIZE(net_offloads); i++) {
		if (backend->offloads & net_offloads[i].offload)
			features |= net_offloads[i].guest | net_offloads[i].host;
	}
	return features;
}

/* Less than the driver takes is always right. Linux' TAPs take USO of both or none, and ECN only
 * with segments (tun.c, set_offload()). */
static unsigned int net_fit_offloads(unsigned int offloads)
{
	const unsigned int uso = NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6;

	if ((offloads & uso) != uso)
		offloads &= ~uso;
	if (!(offloads & (NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6)))
		offloads &= ~NET_OFFLOAD_ECN;
	return offloads;
}

int net_set_offloads(struct virtio_net *net, uint64_t features)
{
	unsigned int offloads = 0;

	/* 5.1.3.1: segments need partial checksums. */
	for (unsigned int i = 0; features & NET_F_GUEST_CSUM && i < ARRAY_SIZE(net_offloads); i++) {
		if (features & net_offloads[i].guest)
			offloads |= net_offloads[i].offload;
	}
	offloads = net_fit_offloads(offloads & net->backend->offloads);
	return net_backend_set_offloads(net->backend, offloads);
}

/* ---- The tap in the loop ---- */

void net_pair_watch(struct net_pair *pair)
{
	/* Without buffers the tap is left alone; what is left of a long turn is still readable. */
	uint32_t in = pair->starved || pair->net->mover ? 0 : EPOLLIN;
	uint32_t events =
		in | (pair->tx_waits || pair->tx_unsent || pair->mover_due ? EPOLLOUT : 0);

	if (pair->tap.loop)
		loop_modify(&pair->tap, events);
	else
		pair->tap.events = events;
}

void net_pair_poll(struct net_pair *pair, bool polled)
{
	struct virtio_net *net = pair->net;

	if (!polled) {
		loop_remove(&pair->tap);
		net_mover_stop(pair);
		return;
	}
	if (pair->thread->paused)
		return;
	if (net->link.lost)
		loop_remove(&pair->tap);
	else if (!pair->tap.loop &&
		 loop_add(virtio_dev_loop(&net->dev, pair->thread->index), &pair->tap))
		net_link_lost(pair, "cannot be polled");
	if (!net->mover)
		return;
	if (!net->mover->is_slow) {
		net_mover_start(pair);
		return;
	}
	if (net->link.lost)
		net_mover_stop(pair);
	/* By the loop, as soon as the socket can be written to: now. */
	pair->mover_due = !net->link.lost;
	net_pair_watch(pair);
}

static void net_tap_ready(struct loop_fd *source, uint32_t events)
{
	struct net_pair *pair = container_of(source, struct net_pair, tap);

	if (events & EPOLLOUT && pair->mover_due) {
		pair->mover_due = false;
		net_pair_watch(pair);
		net_mover_start(pair);
	} else if (events & EPOLLOUT) {
		net_tx_ready(pair);
	}
	if (events & EPOLLIN)
		net_rx_run(pair);
	else if (events & EPOLLHUP ||
		 (events & EPOLLERR && !net_backend_take_error(pair->net->backend, pair->index)))
		net_link_lost(pair, "its other end is closed");
}

/* ---- What goes wrong ---- */

void net_drop(struct virtio_net *net, const char *way, const char *why)
{
	uint64_t before = atomic_fetch_add_explicit(&net->dropped, 1, memory_order_relaxed);

	log_guest(&net->dev.limit, "%s: a packet was dropped (%s: %s); %llu so far", net->name, way,
		why, (unsigned long long)before + 1);
}

void net_queue_broke(struct virtio_net *net, unsigned int q)
{
	if (!(q % 2))
		net_pair_poll(&net->pairs[q / 2], false);
	virtio_dev_broken(&net->dev, q);
}

/* ---- The device ---- */

static void net_notify(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, dev);

	if (q == net_ctrl_queue(net))
		net_ctrl_run(net, q);
	else if (q / 2 >= net->n_pairs)
		return;
	else if (net->mover)
		net_mover_notified(&net->pairs[q / 2], q % 2);
	else if (q % 2)
		net_tx_run(&net->pairs[q / 2]);
	else
		net_rx_notified(&net->pairs[q / 2]);
}

static void net_queue_reset(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, dev);

	/* The control queue's commands are done with at once. */
	if (q == net_ctrl_queue(net) || q / 2 >= net->n_pairs)
		return;
	if (net->mover)
		net_mover_reset(&net->pairs[q / 2], q % 2);
	else if (q % 2)
		net_tx_give_back(&net->pairs[q / 2]);
	else
		net_rx_give_back(&net->pairs[q / 2]);
}

static void net_activate(struct virtio_dev *dev)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, dev);
	int offloads, pairs;

	net_threads_start(net);
	net_link_seek(net);
	for (unsigned int i = 0; i < net->n_pairs; i++) {
		net_rx_reset(&net->pairs[i]);
		net->pairs[i].tx_waits = false;
		net_pair_watch(&net->pairs[i]);
		memset(net->pairs[i].vhost.base, 0, sizeof(net->pairs[i].vhost.base));
	}
	/* What was not to be had, the host does itself; 5.1.5: one pair at first, whatever came of
	 * that: packets move, or it is found why they do not. */
	offloads = net_set_offloads(net, dev->negotiated);
	pairs = net_set_pairs(net, 1);
	if (offloads || pairs)
		log_guest(&dev->limit, "%s: cannot set up the interface \"%s\"", net->name,
			net->backend->name);
}

/* A mover that is slow has the driver wait, but not a vCPU. */
static void net_drain(struct virtio_dev *dev, unsigned int thread)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, dev);

	for (unsigned int i = 0; net->mover && i < net->n_pairs; i++)
		net_mover_drain(&net->pairs[i]);
}

static void net_deactivate(struct virtio_dev *dev)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, dev);

	for (unsigned int i = 0; i < net->n_pairs; i++)
		net_pair_poll(&net->pairs[i], false);
	loop_timer_cancel(&net->link.timer);
	net_ctrl_reset(net);
	net_set_mac(net, net->first_mac);
	atomic_fetch_and(&net->status, (uint16_t)~NET_S_ANNOUNCE);
	/* The next driver may not know what this one allowed. On a dead interface all this fails.
	 */
	if (net_backend_set_queues(net->backend, 1) || net_set_offloads(net, 0))
		return;
	net_backend_drain(net->backend);
}

/* After a pause the network may have forgotten where the guest is: it tells (5.1.6.5.4). */
static void net_pause(struct virtio_dev *dev, unsigned int thread, bool paused)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, dev);
	struct net_thread *t = &net->threads[thread];
	bool resumed = t->paused && !paused;

	t->paused = paused;
	for (unsigned int i = thread; i < net->active_pairs; i += net->n_threads)
		net_pair_poll(&net->pairs[i], !paused && net_pair_is_active(&net->pairs[i]));
	if (thread)
		return;
	if (paused)
		loop_timer_cancel(&net->link.timer);
	else
		net_link_seek(net);
	if (resumed)
		net_link_announce(net);
}

static void net_config_read(struct virtio_dev *dev, unsigned int off, void *data, unsigned int size)
{
	const struct virtio_net *net = container_of(dev, struct virtio_net, dev);
	uint8_t config[NET_CONFIG_SIZE] = {0};

	net_get_mac(net, config + NET_CONFIG_MAC);
	store_le16(config + NET_CONFIG_STATUS, atomic_load(&net->status));
	store_le16(config + NET_CONFIG_PAIRS, (uint16_t)net->n_pairs);
	store_le16(config + NET_CONFIG_MTU, net->mtu);
	memcpy(data, config + off, size);
}

static void net_deinit(struct virtio_net *net)
{
	net_threads_deinit(net);
	free(net);
}

static void net_free(struct virtio_dev *dev)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, dev);

	net_mover_close(net);
	net_backend_free(net->backend);
	net_deinit(net);
}

static const struct virtio_dev_ops net_ops = {.thread = net_queue_thread,
	.notify = net_notify,
	.activate = net_activate,
	.drain = net_drain,
	.deactivate = net_deactivate,
	.queue_reset = net_queue_reset,
	.pause = net_pause,
	.config_read = net_config_read,
	.free = net_free};

static void net_init_pairs(struct virtio_net *net)
{
	for (unsigned int i = 0; i < net->n_pairs; i++) {
		struct net_pair *pair = &net->pairs[i];

		pair->net = net;
		pair->index = i;
		pair->tap.ready = net_tap_ready;
		pair->vhost.fd = -1;
	}
}

/* A vhost-user back end, or vhost-net if it is wanted and, unless it must be, can be had. */
static struct err *net_init_mover(struct virtio_net *net, enum virtio_net_vhost wanted)
{
	struct err *err = NULL;

	if (net->backend->is_vhost_user)
		return net_user_open(net);
	if (wanted != VIRTIO_NET_VHOST_OFF)
		err = net_mover_open(net);
	if (err && wanted == VIRTIO_NET_VHOST_AUTO) {
		log_err_free(LOG_INFO, LOG_MODULE, err);
		err = NULL;
	}
	return err;
}

/* What the mover does not know of rings and headers is not offered; nor are packed rings, as what
 * is said to it of where they go on is an index of split ones. */
static void net_limit_features(struct virtio_net *net)
{
	const uint64_t rings = VIRTIO_F_IN_ORDER | NET_F_MRG_RXBUF;
	uint64_t known;

	if (!net->mover)
		return;
	known = net_mover_features(net) & ~VIRTIO_F_RING_PACKED;
	net->dev.features &= ~rings | known;
	net->dev.excluded = ~known;
}

static struct err *net_init(struct virtio_net *net, const struct virtio_net_options *options)
{
	struct err *err = net_init_mover(net, options->vhost);

	if (err)
		return err;
	if (!net_threads_init(net, options->threads)) {
		net_mover_close(net);
		return err_new(ENOMEM, "Cannot create a network device");
	}
	net->dev.n_threads = net->n_threads;
	net_limit_features(net);
	return NULL;
}

struct err *virtio_net_create(const struct virtio_net_options *options, struct virtio_dev **ret_dev)
{
	unsigned int n = options->backend->n_queues;
	struct virtio_net *net = calloc(1, sizeof(*net) + n * sizeof(net->pairs[0]));
	struct err *err;

	if (!net)
		return err_new(ENOMEM, "Cannot create a network device");
	net->backend = options->backend;
	net->n_pairs = n;
	net->mtu = options->mtu;
	memcpy(net->first_mac, options->mac, NET_ADDRESS);
	net_set_mac(net, options->mac);
	strncpy(net->name, options->name, sizeof(net->name) - 1);
	net_init_pairs(net);
	net_link_init(net);
	net->dev = (struct virtio_dev){
		.ops = &net_ops,
		.name = net->name,
		.id = NET_ID,
		.class_code = NET_CLASS,
		.features = net_features(options),
		.n_queues = 2 * n + 1,
		.queue_size = VIRTQ_SIZE_MAX,
		.config_size = NET_CONFIG_SIZE,
	};
	err = net_init(net, options);
	if (err) {
		net_deinit(net);
		return err;
	}
	*ret_dev = &net->dev;
	return NULL;
}
