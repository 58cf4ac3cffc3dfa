/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving: from the tap into the driver's buffers (virtio 1.3, 5.1.6.3 and 5.1.6.4).
 */
#define LOG_MODULE "virtio_net"
#include "virtio/dev/net_internal.h"

#include <errno.h>

#include "base/endian.h"
#include "base/thread.h"

/* A window for packets that are not segmented; one for any. */
#define RX_WINDOW_SMALL 4096u
#define RX_WINDOW_LARGE NET_PACKET_MAX
#define RX_ERRORS_MAX   16u
/* One piece of the list is the spill's. */
#define RX_PIECES_MAX (NET_PIECES_MAX - 1)

static struct virtq *rx_queue(struct net_pair *pair)
{
	unsigned int q = 2 * pair->index;

	return &pair->net->dev.queues[q];
}

static bool rx_merges(const struct net_pair *pair)
{
	return pair->net->dev.negotiated & NET_F_MRG_RXBUF;
}

void net_rx_reset(struct net_pair *pair)
{
	pair->first_buffer = pair->n_buffers = 0;
	pair->first_piece = pair->n_pieces = 0;
	pair->capacity = 0;
	pair->window = RX_WINDOW_SMALL;
	pair->held = 0;
	pair->unpublished = 0;
	pair->starved = false;
	pair->rx_unfinished = false;
	pair->errors = 0;
}

static void rx_publish(struct net_pair *pair)
{
	pair->unpublished = 0;
	virtio_dev_publish(&pair->net->dev, 2 * pair->index);
}

/* ---- Buffers ---- */

/* Moves what is there to the front of the lists. */
static void rx_compact(struct net_pair *pair)
{
	memmove(pair->buffers, pair->buffers + pair->first_buffer,
		pair->n_buffers * sizeof(pair->buffers[0]));
	memmove(pair->pieces, pair->pieces + pair->first_piece,
		pair->n_pieces * sizeof(pair->pieces[0]));
	pair->first_buffer = 0;
	pair->first_piece = 0;
}

/* Room for one more buffer, whatever it is made of? */
static bool rx_has_room(struct net_pair *pair)
{
	if (pair->n_buffers == ARRAY_SIZE(pair->buffers) ||
		pair->n_pieces + NET_CHAIN_PIECES_MAX > RX_PIECES_MAX)
		return false;
	if (pair->first_buffer + pair->n_buffers == ARRAY_SIZE(pair->buffers) ||
		pair->first_piece + pair->n_pieces + NET_CHAIN_PIECES_MAX > RX_PIECES_MAX)
		rx_compact(pair);
	return true;
}

static void rx_add_buffer(struct net_pair *pair, const struct virtq_chain *chain)
{
	const struct iovec *from = chain->iov + chain->n_readable;
	unsigned int n = MIN(chain->n_writable, (unsigned int)NET_CHAIN_PIECES_MAX);
	uint64_t size = virtio_iov_size(from, n);

	/* 5.1.6.3.1: a buffer holds at least the header. */
	if (size < NET_HEADER) {
		virtq_push(rx_queue(pair), chain->head, 0);
		net_drop(pair->net, "receive", "a buffer without room for a header");
		return;
	}
	memcpy(pair->pieces + pair->first_piece + pair->n_pieces, from, n * sizeof(*from));
	pair->buffers[pair->first_buffer + pair->n_buffers++] =
		(struct net_buffer){.head = chain->head, .n = (uint16_t)n, .size = size};
	pair->n_pieces += n;
	pair->capacity += size;
}

/* Takes buffers until they have `want` bytes. 0: as good as it gets now; -EINVAL: broken. */
static int rx_fill(struct net_pair *pair, uint64_t want)
{
	struct virtq_chain *chain = &pair->thread->chain;
	unsigned int left = VIRTQ_SIZE_MAX;

	while (pair->capacity < want && left-- && rx_has_room(pair)) {
		int ret = virtq_pop(rx_queue(pair), chain);

		if (ret <= 0)
			return ret;
		rx_add_buffer(pair, chain);
	}
	return 0;
}

/* A packet takes one buffer, or several if the driver merges them. */
static uint64_t rx_want(const struct net_pair *pair)
{
	return rx_merges(pair) ? pair->window : 1;
}

void net_rx_give_back(struct net_pair *pair)
{
	for (unsigned int i = 0; i < pair->n_buffers; i++)
		virtq_push(rx_queue(pair), pair->buffers[pair->first_buffer + i].head, 0);
	if (pair->held)
		net_drop(pair->net, "receive", "the driver reset the queue");
	net_rx_reset(pair);
	/* The notification that comes with the queue's return goes on. */
	pair->starved = true;
	rx_publish(pair);
	net_pair_watch(pair);
}

/* ---- Packets ---- */

/* How many buffers there are, which is ours to say. What else is in the header is too, if the other
 * end is not the kernel, which was told what the driver takes: of what was not negotiated nothing
 * may be there (5.1.6.4.1). */
static void rx_write_header(
	const struct net_pair *pair, const struct iovec *pieces, unsigned int n_pieces, uint16_t n)
{
	unsigned int from = pair->net->backend->offloads ? NET_HDR_NUM_BUFFERS : 0;
	uint8_t header[NET_HEADER] = {0};

	store_le16(header + NET_HDR_NUM_BUFFERS, n);
	(void)virtio_iov_write(pieces, n_pieces, from, header + from, NET_HEADER - from);
}

/* The packet of `size` bytes is in the first buffers: gives them back. */
static void rx_deliver(struct net_pair *pair, uint64_t size)
{
	struct iovec *pieces = pair->pieces + pair->first_piece;
	unsigned int n_pieces = pair->n_pieces;
	uint16_t n = 0;

	pair->unpublished += size;
	while (size) {
		const struct net_buffer *buffer = &pair->buffers[pair->first_buffer++];
		uint64_t part = MIN(size, buffer->size);

		virtq_push(rx_queue(pair), buffer->head, (uint32_t)part);
		pair->n_buffers--;
		pair->first_piece += buffer->n;
		pair->n_pieces -= buffer->n;
		pair->capacity -= buffer->size;
		size -= part;
		n++;
	}
	/* Before the driver sees any of it: rx_publish() comes later. */
	rx_write_header(pair, pieces, n_pieces, n);
}

/* Goes on with a packet that needs more buffers than there were; true if it is done with. */
static bool rx_finish_held(struct net_pair *pair)
{
	if (pair->capacity < pair->held) {
		/* With all of the ring's descriptors in hand there will be no more. */
		if (rx_has_room(pair) && pair->n_pieces < rx_queue(pair)->size)
			return false;
		net_drop(pair->net, "receive", "a packet larger than all buffers together");
		pair->held = 0;
		return true;
	}
	(void)virtio_iov_write(pair->pieces + pair->first_piece, pair->n_pieces,
		pair->held_in_buffers, pair->spill, pair->held - pair->held_in_buffers);
	rx_deliver(pair, pair->held);
	pair->held = 0;
	return true;
}

/* A packet that did not fit its buffers. */
static void rx_hold(struct net_pair *pair, uint64_t size)
{
	if (size - pair->capacity >= sizeof(pair->spill)) {
		net_drop(pair->net, "receive", "a packet of more than 64 KiB");
	} else if (!rx_merges(pair)) {
		net_drop(pair->net, "receive", "a packet larger than its buffer");
	} else {
		pair->held = size;
		pair->held_in_buffers = pair->capacity;
	}
}

/* One packet. 0: it is done with; -EAGAIN: none there; other: the tap's trouble. */
static int rx_packet(struct net_pair *pair)
{
	struct iovec *pieces = pair->pieces + pair->first_piece;
	ssize_t got;

	pieces[pair->n_pieces] =
		(struct iovec){.iov_base = pair->spill, .iov_len = sizeof(pair->spill)};
	got = net_backend_receive(pair->net->backend, pair->index, pieces, (int)pair->n_pieces + 1);
	if (got < 0)
		return (int)got;
	pair->errors = 0;
	if ((uint64_t)got < NET_HEADER + NET_FRAME_MIN) {
		net_drop(pair->net, "receive", "a packet without a whole header");
		return 0;
	}
	/* What comes next is probably alike. */
	pair->window = (uint64_t)got > RX_WINDOW_SMALL ? RX_WINDOW_LARGE : RX_WINDOW_SMALL;
	if ((uint64_t)got > pair->capacity)
		rx_hold(pair, (uint64_t)got);
	else
		rx_deliver(pair, (uint64_t)got);
	return 0;
}

/* 0: go on; -EAGAIN: nothing to receive; -ENOBUFS: no buffers; -EINVAL: the queue is broken. */
static int rx_step(struct net_pair *pair)
{
	int ret = rx_fill(pair, pair->held ? pair->held : rx_want(pair));

	if (ret)
		return -EINVAL;
	if (pair->held)
		return rx_finish_held(pair) ? 0 : -ENOBUFS;
	if (!pair->n_buffers)
		return -ENOBUFS;
	ret = rx_packet(pair);
	if (!ret || ret == -EAGAIN)
		return ret;
	/* An interface that is gone says so for ever; another error may be a packet's. */
	if (ret == -ENODEV || ++pair->errors == RX_ERRORS_MAX) {
		net_link_lost(pair, err_strerror(-ret));
		return -EAGAIN;
	}
	net_drop(pair->net, "receive", err_strerror(-ret));
	return 0;
}

/* Packets until one of rx_step()'s reasons, or the turn is over (0). */
static int rx_turn(struct net_pair *pair, unsigned int *left)
{
	int ret = 0;

	while (!ret && *left && !atomic_load(&pair->net->dev.yield)) {
		--*left;
		ret = rx_step(pair);
		if (pair->unpublished >= NET_PUBLISH_BYTES)
			rx_publish(pair);
	}
	rx_publish(pair);
	return ret;
}

/* After a turn that was too long: the poller comes back for what it knows of only, and that is not
 * a packet that was read already and has not all of its buffers. */
static void rx_continue(struct net_pair *pair)
{
	struct virtio_dev *dev = &pair->net->dev;

	pair->rx_unfinished = pair->held || net_backend_has_packet(pair->net->backend, pair->index);
	if (pair->rx_unfinished)
		dev->transport->again(dev->transport, 2 * pair->index);
}

void net_rx_run(struct net_pair *pair)
{
	unsigned int left = NET_TURN;
	int ret;

	if (rx_queue(pair)->broken)
		return;
	auto_lock(&pair->thread->turn);
	pair->starved = false;
	pair->rx_unfinished = false;
	/* The driver took the pair away: the rest is the message's that comes. */
	if (pair->index >= pair->net->active_pairs) {
		net_pair_watch(pair);
		return;
	}
	virtq_disable_notify(rx_queue(pair));
	do
		ret = rx_turn(pair, &left);
	while (ret == -ENOBUFS && virtq_enable_notify(rx_queue(pair)));
	pair->starved = ret == -ENOBUFS;
	net_pair_watch(pair);
	if (!ret)
		rx_continue(pair);
	if (ret == -EINVAL)
		net_queue_broke(pair->net, 2 * pair->index);
}

void net_rx_notified(struct net_pair *pair)
{
	if (pair->starved || pair->rx_unfinished)
		net_rx_run(pair);
}
