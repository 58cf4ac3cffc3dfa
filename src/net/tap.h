/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of a network device: a TAP, macvtap or ipvtap interface, or a socket that keeps
 * packets apart. Every packet is a virtio_net_hdr_v1 (12 bytes, virtio 1.3, 5.1.6) and an Ethernet
 * frame, whole, in both directions. Each queue is a non-blocking descriptor.
 *
 * Offloads are what the reader takes (a packet without its checksum, segments of up to 64 KiB);
 * what it may send is the same set, so that `offloads` tells both. They are found by trying (USO
 * came with Linux 6.2). A socket's other end knows nothing of us: it has none.
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
#define NET_DEV_TUN    "/dev/net/tun"

/* As the kernel numbers them. */
#define NET_OFFLOAD_CSUM 0x01u
#define NET_OFFLOAD_TSO4 0x02u
#define NET_OFFLOAD_TSO6 0x04u
#define NET_OFFLOAD_ECN  0x08u
#define NET_OFFLOAD_UFO  0x10u
#define NET_OFFLOAD_USO4 0x20u
#define NET_OFFLOAD_USO6 0x40u

struct net_tap_options {
	const char *path;      /* /dev/net/tun, or /dev/tapN of a macvtap or ipvtap */
	const char *if_name;   /* with /dev/net/tun */
	int fd;                /* instead of both: stays the caller's; -1: none */
	unsigned int n_queues; /* 1 .. NET_QUEUES_MAX */
};

struct net_tap {
	char name[NET_NAME_SIZE]; /* of the interface; empty for a socket */
	unsigned int n_queues;
	unsigned int n_attached; /* the first ones */
	unsigned int offloads;   /* NET_OFFLOAD_* that can be set */
	bool is_socket;
	bool has_address; /* of its own, which the guest must use: macvtap */
	uint8_t address[NET_ADDRESS];
	int fds[NET_QUEUES_MAX];
};

/* Opens it, with no offload set and the first queue attached. [main] */
struct err *must_check net_tap_open(
	const struct net_tap_options *options, struct net_tap **ret_tap);
void net_tap_free(struct net_tap *tap);

/* One packet; its size, or -errno (-EAGAIN: none). A packet larger than the pieces is cut. [loop]
 */
ssize_t net_tap_receive(struct net_tap *tap, unsigned int queue, const struct iovec *iov, int n);
/* All or -errno (-EAGAIN: no room now). [loop] */
int must_check net_tap_send(
	struct net_tap *tap, unsigned int queue, const struct iovec *iov, int n);
/* A socket's pending error, which is a packet's and not the socket's end, is taken: true. [loop] */
bool net_tap_take_error(struct net_tap *tap, unsigned int queue);
/* Is this error of receiving or sending the end of the interface, rather than a packet's? [any] */
bool net_tap_is_gone(int error);
/* Throws away what waits to be received, a bounded number of packets. [any] */
void net_tap_drain(struct net_tap *tap);

/* What is received may be so from now on; 0 or -errno. [any] */
int must_check net_tap_set_offloads(struct net_tap *tap, unsigned int offloads);
/* The first n queues take part, 1 .. n_queues; 0, or -errno with n_attached as it came to be. [any]
 */
int must_check net_tap_set_queues(struct net_tap *tap, unsigned int n);

/*
 * Only packets for these addresses are received; with `all_multicast` also all multicast ones. The
 * order says which are compared exactly (Linux: 8); an interface that cannot do it, or not with
 * that many, gives more. n = 0: no filter. [any]
 */
void net_tap_set_filter(struct net_tap *tap, const uint8_t (*addresses)[NET_ADDRESS],
	unsigned int n, bool all_multicast);
