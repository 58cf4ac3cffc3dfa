/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending: from the driver's buffers to the tap (virtio 1.3, 5.1.6.2).
 */
#define LOG_MODULE "virtio_net"
#include "virtio/dev/net_internal.h"

#include <errno.h>

#include "base/endian.h"

#define TX_FLAG_NEEDS_CSUM 0x1u

#define TX_GSO_NONE        0u
#define TX_GSO_TCPV4       1u
#define TX_GSO_UDP         3u
#define TX_GSO_TCPV6       4u
#define TX_GSO_UDP_L4      5u
#define TX_GSO_ECN         0x80u

static struct virtq *tx_queue(struct net_pair *pair)
{
	return &pair->net->dev.queues[2 * pair->index + 1];
}

/* The feature that allows segments of this type; 0: there is no such type. */
static uint64_t tx_gso_feature(uint8_t type)
{
	switch (type) {
	case TX_GSO_TCPV4:
		return NET_F_HOST_TSO4;
	case TX_GSO_TCPV6:
		return NET_F_HOST_TSO6;
	case TX_GSO_UDP:
		return NET_F_HOST_UFO;
	case TX_GSO_UDP_L4:
		return NET_F_HOST_USO;
	default:
		return 0;
	}
}

/* 5.1.6.2.1: what the driver may ask for, as far as it can be told without the packet's content,
 * which the kernel checks. `len` is the frame's. */
static bool tx_header_is_sane(uint64_t features, uint8_t header[NET_HEADER], uint64_t len)
{
	uint8_t type = header[NET_HDR_GSO_TYPE];
	uint32_t csum_end = (uint32_t)load_le16(header + NET_HDR_CSUM_START) +
			    load_le16(header + NET_HDR_CSUM_OFFSET) + 2;

	/* Flags that are not the driver's to set are ignored (5.1.6.2.2). */
	header[NET_HDR_FLAGS] &= TX_FLAG_NEEDS_CSUM;
	memset(header + NET_HDR_NUM_BUFFERS, 0, 2);
	if (header[NET_HDR_FLAGS] && (!(features & NET_F_CSUM) || csum_end > len))
		return false;
	if (type == TX_GSO_NONE)
		return true;
	if (type & TX_GSO_ECN && !(features & NET_F_HOST_ECN))
		return false;
	return features & tx_gso_feature(type & (uint8_t)~TX_GSO_ECN) &&
	       load_le16(header + NET_HDR_GSO_SIZE);
}

/* The chain as one packet for the tap; why it cannot be one, or NULL. */
static const char *tx_prepare(struct net_pair *pair)
{
	struct virtq_chain *chain = &pair->tx_chain;
	uint64_t size = virtio_iov_size(chain->iov, chain->n_readable);
	struct iovec *data;
	unsigned int n;

	pair->tx_size = size;
	if (size < NET_HEADER + NET_FRAME_MIN)
		return "shorter than its headers";
	if (size > NET_PACKET_MAX)
		return "longer than 64 KiB";
	(void)virtio_iov_read(chain->iov, chain->n_readable, 0, pair->tx_header, NET_HEADER);
	if (!tx_header_is_sane(pair->net->dev.negotiated, pair->tx_header, size - NET_HEADER))
		return "its virtio-net header makes no sense";
	n = virtio_iov_slice(chain->iov, chain->n_readable, NET_HEADER, size - NET_HEADER, &data);
	if (n >= NET_PIECES_MAX)
		return "in too many pieces";
	pair->tx_pieces[0] = (struct iovec){.iov_base = pair->tx_header, .iov_len = NET_HEADER};
	memcpy(pair->tx_pieces + 1, data, n * sizeof(*data));
	pair->tx_n = n + 1;
	return NULL;
}

/* Sends the prepared packet, or drops it; false if the tap has no room. */
static bool tx_send(struct net_pair *pair)
{
	struct virtio_net *net = pair->net;
	int ret;

	/* To nowhere: the driver knows of the link. */
	if (net->link.lost)
		return true;
	ret = net_backend_send(net->backend, pair->index, pair->tx_pieces, (int)pair->tx_n);
	if (ret == -EAGAIN)
		return false;
	if (ret == -ENODEV)
		net_link_lost(pair, err_strerror(-ret));
	if (ret)
		net_drop(net, "send", err_strerror(-ret));
	return true;
}

static void tx_publish(struct net_pair *pair)
{
	pair->tx_unpublished = 0;
	virtio_dev_publish(&pair->net->dev, 2 * pair->index + 1);
}

/* The driver may wait for its buffers before it sends more: Linux lets a socket have few packets in
 * a device's hands. */
static void tx_done(struct net_pair *pair)
{
	pair->tx_unpublished += pair->tx_size;
	virtq_push(tx_queue(pair), pair->tx_chain.head, 0);
	if (pair->tx_unpublished >= NET_PUBLISH_BYTES)
		tx_publish(pair);
}

/* 0: the queue is empty; 1: more may be there; -EAGAIN: the tap is full; -EINVAL: broken. */
static int tx_turn(struct net_pair *pair, unsigned int *left)
{
	while (*left && !atomic_load(&pair->net->dev.yield)) {
		const char *why = NULL;

		if (!pair->tx_waits) {
			int ret = virtq_pop(tx_queue(pair), &pair->tx_chain);

			if (ret <= 0)
				return ret;
			why = tx_prepare(pair);
		}
		--*left;
		pair->tx_waits = !why && !tx_send(pair);
		if (pair->tx_waits)
			return -EAGAIN;
		if (why)
			net_drop(pair->net, "send", why);
		tx_done(pair);
	}
	return 1;
}

/* What the back end gathered goes now, or when there is room. */
static void tx_flush(struct net_pair *pair)
{
	struct virtio_net *net = pair->net;
	int ret = net->link.lost ? 0 : net_backend_flush(net->backend, pair->index);

	if (ret == -ENODEV)
		net_link_lost(pair, err_strerror(-ret));
	pair->tx_unsent = ret == -EAGAIN;
	net_pair_watch(pair);
}

void net_tx_give_back(struct net_pair *pair)
{
	if (!pair->tx_waits)
		return;
	pair->tx_waits = false;
	virtq_push(tx_queue(pair), pair->tx_chain.head, 0);
	net_drop(pair->net, "send", "the driver reset the queue");
	tx_publish(pair);
	net_pair_watch(pair);
}

void net_tx_ready(struct net_pair *pair)
{
	if (pair->tx_waits)
		net_tx_run(pair);
	else
		tx_flush(pair);
}

void net_tx_run(struct net_pair *pair)
{
	struct virtio_dev *dev = &pair->net->dev;
	unsigned int q = 2 * pair->index + 1;
	unsigned int left = NET_TURN;
	int ret;

	if (tx_queue(pair)->broken)
		return;
	do {
		virtq_disable_notify(tx_queue(pair));
		ret = tx_turn(pair, &left);
		tx_publish(pair);
	} while (!ret && virtq_enable_notify(tx_queue(pair)));
	tx_flush(pair);
	if (ret > 0)
		dev->transport->again(dev->transport, q);
	else if (ret == -EINVAL)
		net_queue_broke(pair->net, q);
}
