/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network device (virtio 1.3, 5.1) on a TAP or a socket.
 */
#pragma once

#include "net/tap.h"
#include "virtio/virtio.h"

struct virtio_net_options {
	const char *name;         /* "virtio-net-0" */
	struct net_tap *tap;      /* taken over on success */
	uint8_t mac[NET_ADDRESS]; /* unicast */
	uint16_t mtu;             /* advice for the driver; 0: none */
};

/* As many pairs of queues as the tap has. The transport takes the device over. [main] */
struct err *must_check virtio_net_create(
	const struct virtio_net_options *options, struct virtio_dev **ret_dev);
