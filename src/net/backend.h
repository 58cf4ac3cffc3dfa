/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of a network card, whatever it is: an interface of the kernel (net/tap.h), a
 * socket that keeps packets apart (net/socket.h), or a stream of frames (net/stream.h). Every
 * packet is a virtio_net_hdr_v1 (12 bytes, virtio 1.3, 5.1.6) and an Ethernet frame, whole, in both
 * directions. Each queue is a non-blocking descriptor that can be polled.
 *
 * Offloads are what the reader takes (a packet without its checksum, segments of up to 64 KiB);
 * what it may send is the same set, so that `offloads` tells both.
 *
 * Errors of receiving and sending are of one packet, but -ENODEV: the other end does not come back
 * by itself.
 */
#pragma once

#include <sys/uio.h>

#include "base/err.h"

#define NET_QUEUES_MAX 16
#define NET_HEADER     12u
#define NET_ADDRESS    6
#define NET_NAME_SIZE  16
/* Largest packet: 64 KiB in segments with the longest headers, and some. */
#define NET_PACKET_MAX (NET_HEADER + 65536u + 256u)
#define NET_FILTER_MAX 128 /* addresses besides broadcast and the device's own */

/* As the kernel numbers them. */
#define NET_OFFLOAD_CSUM 0x01u
#define NET_OFFLOAD_TSO4 0x02u
#define NET_OFFLOAD_TSO6 0x04u
#define NET_OFFLOAD_ECN  0x08u
#define NET_OFFLOAD_UFO  0x10u
#define NET_OFFLOAD_USO4 0x20u
#define NET_OFFLOAD_USO6 0x40u

struct net_backend;

struct net_backend_ops {
	ssize_t (*receive)(
		struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n);
	int (*send)(struct net_backend *backend, unsigned int queue, struct iovec *iov, int n);
	/* The others are optional. */
	int (*flush)(struct net_backend *backend, unsigned int queue);
	bool (*has_packet)(const struct net_backend *backend, unsigned int queue);
	bool (*take_error)(struct net_backend *backend, unsigned int queue);
	int (*set_offloads)(struct net_backend *backend, unsigned int offloads);
	int (*set_queues)(struct net_backend *backend, unsigned int n);
	void (*set_filter)(struct net_backend *backend, const uint8_t (*addresses)[NET_ADDRESS],
		unsigned int n, bool all_multicast);
	int (*reconnect)(struct net_backend *backend);
	void (*free)(struct net_backend *backend); /* its own object; free() without */
};

/* Embedded first in the object of a back end, which has its own memory. */
struct net_backend {
	const struct net_backend_ops *ops;
	char name[NET_NAME_SIZE]; /* "tap0"; empty: nothing that lasts */
	unsigned int n_queues;
	unsigned int n_attached; /* the first ones */
	unsigned int offloads;   /* NET_OFFLOAD_* that can be set */
	bool is_interface;       /* of the kernel, which vhost-net can have */
	bool is_vhost_user;      /* the descriptor is a vhost-user back end's socket: no packets */
	bool can_reconnect;
	bool has_address; /* of its own, which the guest must use: macvtap */
	uint8_t address[NET_ADDRESS];
	int fds[NET_QUEUES_MAX]; /* -1: none; what is closed here may be another after reconnect */
};

/* NULL is fine; closes the descriptors. */
void net_backend_free(struct net_backend *backend);

/* One packet; its size, or -errno (-EAGAIN: none). A packet larger than the pieces is cut. [loop]
 */
ssize_t net_backend_receive(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n);
/*
 * All or -errno (-EAGAIN: no room now). The first piece is the header and nothing else; the list
 * may be written to meanwhile. What is taken may wait here for net_backend_flush(). [loop]
 */
int must_check net_backend_send(
	struct net_backend *backend, unsigned int queue, struct iovec *iov, int n);
/* Hands over what waits; 0 or -errno (-EAGAIN: some still waits for room). [loop] */
int must_check net_backend_flush(struct net_backend *backend, unsigned int queue);
/* Is there a packet that the descriptor does not tell of, as it was read with another? [loop] */
bool net_backend_has_packet(const struct net_backend *backend, unsigned int queue);
/* A pending error that is a packet's, and not the end of it all, is taken: true. [loop] */
bool net_backend_take_error(struct net_backend *backend, unsigned int queue);
/* Throws away what waits to be received, a bounded number of packets. [any] */
void net_backend_drain(struct net_backend *backend);

/* What is received may be so from now on; 0 or -errno. [any] */
int must_check net_backend_set_offloads(struct net_backend *backend, unsigned int offloads);
/* The first n queues take part, 1 .. n_queues; 0, or -errno with n_attached as it came to be. [any]
 */
int must_check net_backend_set_queues(struct net_backend *backend, unsigned int n);

/*
 * Only packets for these addresses are received; with `all_multicast` also all multicast ones. The
 * order says which are compared exactly (Linux: 8); one that cannot do it, or not with that many,
 * gives more. n = 0: no filter. [any]
 */
void net_backend_set_filter(struct net_backend *backend, const uint8_t (*addresses)[NET_ADDRESS],
	unsigned int n, bool all_multicast);

/*
 * After -ENODEV, where can_reconnect says so: begins anew with a peer, on other descriptors, which
 * nobody polls meanwhile. 0, -EAGAIN: under way, ask again; or another -errno. Does not wait.
 * [loop]
 */
int must_check net_backend_reconnect(struct net_backend *backend);
