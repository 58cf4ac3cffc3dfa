/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control queue (virtio 1.3, 5.1.6.5). Commands are copied once. Filtering of addresses is best
 * effort, as the specification wants it: the interface hands over at least what was asked for.
 */
#define LOG_MODULE "virtio_net"
#include "virtio/dev/net_internal.h"

#include <errno.h>

#include "base/endian.h"

enum { CTRL_OK, CTRL_ERR };

#define CTRL_CLASS_RX           0
#define CTRL_RX_PROMISC         0
#define CTRL_RX_ALLMULTI        1
#define CTRL_CLASS_MAC          1
#define CTRL_MAC_TABLE_SET      0
#define CTRL_MAC_ADDR_SET       1
#define CTRL_CLASS_VLAN         2
#define CTRL_VLAN_ADD           0
#define CTRL_VLAN_DEL           1
#define CTRL_CLASS_ANNOUNCE     3
#define CTRL_ANNOUNCE_ACK       0
#define CTRL_CLASS_MQ           4
#define CTRL_MQ_VQ_PAIRS_SET    0
#define CTRL_CLASS_OFFLOADS     5
#define CTRL_GUEST_OFFLOADS_SET 0

/* Both of a command's bytes, so that it is one case of a switch. */
#define CTRL(class, command) ((class) << 8 | (command))

#define CTRL_GUEST_OFFLOADS                                                                        \
	(NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN |                \
		NET_F_GUEST_UFO | NET_F_GUEST_USO4 | NET_F_GUEST_USO6)

static_assert(NET_ADDRESS == 6, "addresses");

/* ---- Address filter ---- */

static void ctrl_apply_filter(struct virtio_net *net)
{
	const struct net_filter *filter = &net->filter;
	uint8_t list[NET_FILTER_MAX + 2][NET_ADDRESS];
	unsigned int n = 0;

	if (!filter->has_table || filter->is_full || filter->promiscuous) {
		net_backend_set_filter(net->backend, NULL, 0, false);
		return;
	}
	/* The unicast ones first, as those must be among the exact ones. */
	net_get_mac(net, list[n++]);
	memcpy(list[n], filter->table, (size_t)filter->n_unicast * NET_ADDRESS);
	n += filter->n_unicast;
	memset(list[n++], 0xff, NET_ADDRESS);
	memcpy(list[n], filter->table + filter->n_unicast,
		(size_t)filter->n_multicast * NET_ADDRESS);
	n += filter->n_multicast;
	net_backend_set_filter(net->backend, list, n, filter->all_multicast);
}

void net_ctrl_reset(struct virtio_net *net)
{
	bool had = net->filter.has_table;

	net->filter = (struct net_filter){0};
	if (had)
		ctrl_apply_filter(net);
}

/* One list: its number of addresses, then those; how many bytes it took, or 0 if it is cut. */
static uint64_t ctrl_read_table(struct net_filter *filter, const struct virtq_chain *chain,
	uint64_t off, uint64_t end, unsigned int *ret_n)
{
	unsigned int at = filter->n_unicast + filter->n_multicast;
	uint8_t raw[4];
	uint32_t n;

	if (virtio_iov_read(chain->iov, chain->n_readable, off, raw, 4) != 4)
		return 0;
	n = load_le32(raw);
	if ((uint64_t)n * NET_ADDRESS > end - off - 4)
		return 0;
	if (n > NET_FILTER_MAX - at)
		filter->is_full = true;
	else
		*ret_n = (unsigned int)(virtio_iov_read(chain->iov, chain->n_readable, off + 4,
						filter->table[at], (size_t)n * NET_ADDRESS) /
					NET_ADDRESS);
	return 4 + (uint64_t)n * NET_ADDRESS;
}

/* 5.1.6.5.2.1: a list of unicast addresses, then one of multicast ones. */
static uint8_t ctrl_table_set(struct virtio_net *net, const struct virtq_chain *chain)
{
	uint64_t end = virtio_iov_size(chain->iov, chain->n_readable);
	struct net_filter filter = {.promiscuous = net->filter.promiscuous,
		.all_multicast = net->filter.all_multicast,
		.has_table = true};
	uint64_t size = ctrl_read_table(&filter, chain, 2, end, &filter.n_unicast);

	if (!size || !ctrl_read_table(&filter, chain, 2 + size, end, &filter.n_multicast))
		return CTRL_ERR;
	net->filter = filter;
	ctrl_apply_filter(net);
	return CTRL_OK;
}

static uint8_t ctrl_mac_set(struct virtio_net *net, const uint8_t mac[NET_ADDRESS])
{
	/* Not a group's. */
	if (mac[0] & 1)
		return CTRL_ERR;
	net_set_mac(net, mac);
	ctrl_apply_filter(net);
	return CTRL_OK;
}

static uint8_t ctrl_rx_mode(struct virtio_net *net, bool *mode, uint8_t value)
{
	if (value > 1)
		return CTRL_ERR;
	*mode = value;
	ctrl_apply_filter(net);
	return CTRL_OK;
}

/* ---- The others ---- */

static uint8_t ctrl_pairs_set(struct virtio_net *net, uint16_t n)
{
	/* 5.1.6.5.5.1 */
	if (!n || n > net->n_pairs)
		return CTRL_ERR;
	return net_set_pairs(net, n) ? CTRL_ERR : CTRL_OK;
}

static uint8_t ctrl_offloads_set(struct virtio_net *net, uint64_t offloads)
{
	/* 5.1.6.5.6.1: of what was negotiated. */
	if (offloads & ~(net->dev.negotiated & CTRL_GUEST_OFFLOADS))
		return CTRL_ERR;
	return net_set_offloads(net, offloads) ? CTRL_ERR : CTRL_OK;
}

static uint8_t ctrl_announced(struct virtio_net *net)
{
	atomic_fetch_and(&net->status, (uint16_t)~NET_S_ANNOUNCE);
	return CTRL_OK;
}

/* The feature that a command belongs to, and the bytes of data that it needs. */
static const struct {
	uint64_t feature;
	uint16_t command;
	uint8_t size;
} ctrl_commands[] = {
	{NET_F_CTRL_RX, CTRL(CTRL_CLASS_RX, CTRL_RX_PROMISC), 1},
	{NET_F_CTRL_RX, CTRL(CTRL_CLASS_RX, CTRL_RX_ALLMULTI), 1},
	{NET_F_CTRL_RX, CTRL(CTRL_CLASS_MAC, CTRL_MAC_TABLE_SET), 8},
	{NET_F_CTRL_MAC_ADDR, CTRL(CTRL_CLASS_MAC, CTRL_MAC_ADDR_SET), NET_ADDRESS},
	{NET_F_CTRL_VLAN, CTRL(CTRL_CLASS_VLAN, CTRL_VLAN_ADD), 2},
	{NET_F_CTRL_VLAN, CTRL(CTRL_CLASS_VLAN, CTRL_VLAN_DEL), 2},
	{NET_F_GUEST_ANNOUNCE, CTRL(CTRL_CLASS_ANNOUNCE, CTRL_ANNOUNCE_ACK), 0},
	{NET_F_MQ, CTRL(CTRL_CLASS_MQ, CTRL_MQ_VQ_PAIRS_SET), 2},
	{NET_F_CTRL_GUEST_OFFLOADS, CTRL(CTRL_CLASS_OFFLOADS, CTRL_GUEST_OFFLOADS_SET), 8},
};

static bool ctrl_is_allowed(const struct virtio_net *net, unsigned int command, size_t size)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ctrl_commands); i++) {
		if (ctrl_commands[i].command == command)
			return net->dev.negotiated & ctrl_commands[i].feature &&
			       size >= ctrl_commands[i].size;
	}
	return false;
}

static uint8_t ctrl_execute(struct virtio_net *net, const struct virtq_chain *chain)
{
	uint8_t raw[2 + 8] = {0};
	size_t size = virtio_iov_read(chain->iov, chain->n_readable, 0, raw, sizeof(raw));
	const uint8_t *data = raw + 2;
	unsigned int command = (unsigned int)CTRL(raw[0], raw[1]);

	if (size < 2 || !ctrl_is_allowed(net, command, size - 2))
		return CTRL_ERR;
	switch (command) {
	case CTRL(CTRL_CLASS_RX, CTRL_RX_PROMISC):
		return ctrl_rx_mode(net, &net->filter.promiscuous, data[0]);
	case CTRL(CTRL_CLASS_RX, CTRL_RX_ALLMULTI):
		return ctrl_rx_mode(net, &net->filter.all_multicast, data[0]);
	case CTRL(CTRL_CLASS_MAC, CTRL_MAC_TABLE_SET):
		return ctrl_table_set(net, chain);
	case CTRL(CTRL_CLASS_MAC, CTRL_MAC_ADDR_SET):
		return ctrl_mac_set(net, data);
	case CTRL(CTRL_CLASS_ANNOUNCE, CTRL_ANNOUNCE_ACK):
		return ctrl_announced(net);
	case CTRL(CTRL_CLASS_MQ, CTRL_MQ_VQ_PAIRS_SET):
		return ctrl_pairs_set(net, load_le16(data));
	case CTRL(CTRL_CLASS_OFFLOADS, CTRL_GUEST_OFFLOADS_SET):
		return ctrl_offloads_set(net, load_le64(data));
	default: /* VLANs: all of them pass, which the driver must expect (5.1.6.5.3) */
		return CTRL_OK;
	}
}

static uint32_t ctrl_serve(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_net *net = container_of(dev, struct virtio_net, dev);
	uint8_t ack = ctrl_execute(net, chain);

	return (uint32_t)virtio_iov_write(
		chain->iov + chain->n_readable, chain->n_writable, 0, &ack, 1);
}

void net_ctrl_run(struct virtio_net *net, unsigned int q)
{
	virtio_dev_serve(&net->dev, q, &net->threads[0].chain, ctrl_serve);
}
