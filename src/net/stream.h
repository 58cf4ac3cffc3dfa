/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream socket as a network, as passt and QEMU's stream back end speak: each frame comes after
 * its length, 32 bits, big-endian, both ways; there are no virtio-net headers and so no offloads.
 *
 * Theory of operation. Frames are read into `in`, as many as are there, and copied from it one by
 * one. Small frames to send are gathered in `out` and go with one system call, at the latest when
 * the caller flushes; a large one goes from where it is, behind what is gathered. A frame that the
 * socket took a part of must be completed, or the peer is lost: its rest is copied to `out`, which
 * has room for any frame. While the socket takes nothing, at most `out` is used and the caller's
 * further frames stay with it.
 *
 * A length that no frame has cannot be resynchronised: to the caller that peer is gone (-ENODEV).
 */
#pragma once

#include "net/backend.h"

#define NET_STREAM_LENGTH    4u
#define NET_STREAM_FRAME_MAX (NET_PACKET_MAX - NET_HEADER)
#define NET_STREAM_BUFFER    (NET_STREAM_LENGTH + NET_STREAM_FRAME_MAX)

struct net_stream {
	struct net_backend backend; /* one queue */
	bool is_drained;            /* the last read got all that was there */
	size_t in_first, in_end;
	size_t out_first, out_end;
	uint8_t in[NET_STREAM_BUFFER];
	uint8_t out[NET_STREAM_BUFFER];
};

/* Of a zeroed object, whose other members are the caller's; without a peer. */
void net_stream_init(struct net_stream *stream, const struct net_backend_ops *ops);
/* Takes over a stream socket instead of the one that it had, and forgets what was cut. -1: none. */
void net_stream_attach(struct net_stream *stream, int fd);

/* Operations of a back end that embeds a stream first. */
ssize_t net_stream_receive(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n);
int net_stream_send(struct net_backend *backend, unsigned int queue, struct iovec *iov, int n);
int net_stream_flush(struct net_backend *backend, unsigned int queue);
bool net_stream_has_packet(const struct net_backend *backend, unsigned int queue);
