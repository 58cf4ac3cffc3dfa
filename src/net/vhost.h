/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's vhost-net: it moves packets between a TAP and a pair of split rings, receive and
 * send, in a thread of its own.
 */
#pragma once

#include "base/err.h"

#define NET_DEV_VHOST "/dev/vhost-net"

/* A ring in the caller's memory; descriptors: -1 for none. */
struct net_vhost_ring {
	uint16_t size;
	const void *desc, *driver, *device;
	int kick;  /* the driver's notifications; while it runs nobody else reads it */
	int call;  /* interrupts */
	int error; /* the driver broke the ring */
};

struct net_vhost_region {
	uint64_t gpa, size;
	const void *hva;
};

struct net_vhost {
	int fd;
	uint64_t features; /* virtio's, that it knows */
	bool owned;
	bool running[2];
	uint16_t base[2]; /* where the rings go on; set to 0 for new ones */
};

struct err *must_check net_vhost_open(struct net_vhost *vhost);
/* Stops it. Also of one that is zeroed with fd -1. */
void net_vhost_close(struct net_vhost *vhost);

/* Before the first ring runs; 0 or -errno. [any] */
int must_check net_vhost_set_up(struct net_vhost *vhost, uint64_t features,
	const struct net_vhost_region *regions, unsigned int n_regions);
/* Runs a ring (0: receive, 1: send) with this queue of a TAP; 0, or -errno, and then it is stopped.
 * [any] */
int must_check net_vhost_start(
	struct net_vhost *vhost, unsigned int index, int tap, const struct net_vhost_ring *ring);
/* Nothing touches the ring and its memory when it returns. [any] */
void net_vhost_stop(struct net_vhost *vhost, unsigned int index);
