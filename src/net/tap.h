/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP, macvtap and ipvtap interfaces; their offloads are found by trying (USO came with Linux 6.2).
 */
#pragma once

#include "net/backend.h"

#define NET_DEV_TUN "/dev/net/tun"

struct net_tap_options {
	const char *path;      /* /dev/net/tun, or /dev/tapN of a macvtap or ipvtap */
	const char *if_name;   /* with /dev/net/tun */
	int fd;                /* instead of both, may be a socket; stays the caller's; -1: none */
	unsigned int n_queues; /* 1 .. NET_QUEUES_MAX */
};

/* Opens it, with no offload set and the first queue attached. [main] */
struct err *must_check net_tap_open(
	const struct net_tap_options *options, struct net_backend **ret_backend);
