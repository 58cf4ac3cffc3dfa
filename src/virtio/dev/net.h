/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network device (virtio 1.3, 5.1) on a back end of net/, by this process or by vhost-net.
 */
#pragma once

#include "net/backend.h"
#include "virtio/virtio.h"

enum virtio_net_vhost {
	VIRTIO_NET_VHOST_OFF,
	VIRTIO_NET_VHOST_ON,
	VIRTIO_NET_VHOST_AUTO, /* if it can be had */
};

struct virtio_net_options {
	const char *name;            /* "virtio-net-0" */
	struct net_backend *backend; /* taken over on success */
	uint8_t mac[NET_ADDRESS];    /* unicast */
	uint16_t mtu;                /* advice for the driver; 0: none */
	enum virtio_net_vhost vhost;
	unsigned int threads; /* that share the pairs, at most as many; 0: one. vhost: one */
};

/* As many pairs of queues as the back end has. The transport takes the device over. [main] */
struct err *must_check virtio_net_create(
	const struct virtio_net_options *options, struct virtio_dev **ret_dev);
