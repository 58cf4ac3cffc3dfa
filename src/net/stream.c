/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a stream socket.
 */
#include "net/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/endian.h"

/* Frames up to this size are gathered. */
#define STREAM_GATHER_MAX 4096u

static struct net_stream *stream_of(struct net_backend *backend)
{
	return container_of(backend, struct net_stream, backend);
}

void net_stream_init(struct net_stream *stream, const struct net_backend_ops *ops)
{
	stream->backend.ops = ops;
	stream->backend.n_queues = stream->backend.n_attached = 1;
	stream->backend.fds[0] = -1;
}

void net_stream_attach(struct net_stream *stream, int fd)
{
	auto_close_cleanup(&stream->backend.fds[0]);
	stream->backend.fds[0] = fd;
	stream->is_drained = false;
	stream->in_first = stream->in_end = 0;
	stream->out_first = stream->out_end = 0;
}

/* ---- Receiving ---- */

/* Reads once; 0, -EAGAIN or -ENODEV. */
static int stream_fill(struct net_stream *stream)
{
	size_t room;
	ssize_t got;

	if (stream->is_drained) {
		/* Asking again would only say so; the poller tells if there is more by now. */
		stream->is_drained = false;
		return -EAGAIN;
	}
	memmove(stream->in, stream->in + stream->in_first, stream->in_end - stream->in_first);
	stream->in_end -= stream->in_first;
	stream->in_first = 0;
	room = sizeof(stream->in) - stream->in_end;
	do
		got = recv(stream->backend.fds[0], stream->in + stream->in_end, room, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got && errno == EAGAIN ? -EAGAIN : -ENODEV;
	stream->in_end += (size_t)got;
	stream->is_drained = (size_t)got < room;
	return 0;
}

/* 0: the next frame is whole; -EAGAIN: not yet; -ENODEV: it never will be. */
static int stream_next(const struct net_stream *stream, uint32_t *ret_len)
{
	size_t have = stream->in_end - stream->in_first;

	if (have < NET_STREAM_LENGTH)
		return -EAGAIN;
	*ret_len = load_be32(stream->in + stream->in_first);
	if (*ret_len > NET_STREAM_FRAME_MAX)
		return -ENODEV;
	return have - NET_STREAM_LENGTH < *ret_len ? -EAGAIN : 0;
}

/* Header and frame into the pieces, as far as they go. */
static void stream_copy_out(
	const uint8_t *frame, size_t len, const struct iovec *iov, unsigned int n)
{
	static const uint8_t header[NET_HEADER];
	size_t at = 0;

	for (unsigned int i = 0; i < n && at < NET_HEADER + len; i++) {
		uint8_t *to = iov[i].iov_base;
		size_t in_header = at < NET_HEADER ? MIN(NET_HEADER - at, iov[i].iov_len) : 0;
		size_t in_frame;

		memcpy(to, header, in_header);
		at += in_header;
		if (at < NET_HEADER)
			continue;
		in_frame = MIN(NET_HEADER + len - at, iov[i].iov_len - in_header);
		memcpy(to + in_header, frame + (at - NET_HEADER), in_frame);
		at += in_frame;
	}
}

ssize_t net_stream_receive(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n)
{
	struct net_stream *stream = stream_of(backend);
	uint32_t len;
	int ret = stream_next(stream, &len);

	if (ret == -EAGAIN) {
		ret = stream_fill(stream);
		if (!ret)
			ret = stream_next(stream, &len);
	}
	if (ret)
		return ret;
	stream_copy_out(
		stream->in + stream->in_first + NET_STREAM_LENGTH, len, iov, (unsigned int)n);
	stream->in_first += NET_STREAM_LENGTH + len;
	return (ssize_t)(NET_HEADER + len);
}

bool net_stream_has_packet(const struct net_backend *backend, unsigned int queue)
{
	uint32_t len;

	return stream_next(container_of_const(backend, struct net_stream, backend), &len) !=
	       -EAGAIN;
}

/* ---- Sending ---- */

/* How many bytes the socket took, -EAGAIN or -ENODEV. */
static ssize_t stream_write(struct net_stream *stream, struct iovec *iov, unsigned int n)
{
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t sent;

	do
		sent = sendmsg(stream->backend.fds[0], &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? -EAGAIN : -ENODEV;
	return sent;
}

/* The first `sent` bytes of `out` are gone. */
static void stream_consume(struct net_stream *stream, size_t sent)
{
	stream->out_first += sent;
	if (stream->out_first == stream->out_end)
		stream->out_first = stream->out_end = 0;
}

int net_stream_flush(struct net_backend *backend, unsigned int queue)
{
	struct net_stream *stream = stream_of(backend);

	while (stream->out_first < stream->out_end) {
		struct iovec iov = {.iov_base = stream->out + stream->out_first,
			.iov_len = stream->out_end - stream->out_first};
		ssize_t sent = stream_write(stream, &iov, 1);

		if (sent < 0)
			return (int)sent;
		stream_consume(stream, (size_t)sent);
	}
	return 0;
}

/* Room for so many bytes in `out`, which has to be written first if there is none. */
static int stream_make_room(struct net_stream *stream, size_t size)
{
	int ret = 0;

	if (sizeof(stream->out) - stream->out_end >= size)
		return 0;
	ret = net_stream_flush(&stream->backend, 0);
	if (ret == -ENODEV)
		return ret;
	memmove(stream->out, stream->out + stream->out_first, stream->out_end - stream->out_first);
	stream->out_end -= stream->out_first;
	stream->out_first = 0;
	return sizeof(stream->out) - stream->out_end >= size ? 0 : -EAGAIN;
}

/* Copies the pieces from byte `off` on to the end of `out`, where there is room. */
static void stream_gather(
	struct net_stream *stream, const struct iovec *iov, unsigned int n, size_t off)
{
	for (unsigned int i = 0; i < n; i++) {
		size_t skip = MIN(off, iov[i].iov_len);

		/* The first piece may be in `out` itself. */
		memmove(stream->out + stream->out_end, (const uint8_t *)iov[i].iov_base + skip,
			iov[i].iov_len - skip);
		stream->out_end += iov[i].iov_len - skip;
		off -= skip;
	}
}

static void stream_put_length(struct net_stream *stream, size_t len)
{
	store_be32(stream->out + stream->out_end, (uint32_t)len);
	stream->out_end += NET_STREAM_LENGTH;
}

/* iov[0] becomes all of `out`; the frame is in the others. */
static int stream_send_large(
	struct net_stream *stream, struct iovec *iov, unsigned int n, size_t len)
{
	size_t before = stream->out_end - stream->out_first;
	ssize_t sent;

	stream_put_length(stream, len);
	iov[0] = (struct iovec){
		.iov_base = stream->out + stream->out_first, .iov_len = before + NET_STREAM_LENGTH};
	sent = stream_write(stream, iov, n);
	if (sent < 0 || (size_t)sent <= before) {
		/* Nothing of this frame is gone: it is not begun. */
		stream->out_end -= NET_STREAM_LENGTH;
		stream_consume(stream, sent < 0 ? 0 : (size_t)sent);
		return sent < 0 ? (int)sent : -EAGAIN;
	}
	if ((size_t)sent == before + NET_STREAM_LENGTH + len) {
		stream_consume(stream, before + NET_STREAM_LENGTH);
		return 0;
	}
	stream->out_end = 0;
	stream_gather(stream, iov, n, (size_t)sent);
	stream->out_first = 0;
	return 0;
}

int net_stream_send(struct net_backend *backend, unsigned int queue, struct iovec *iov, int n)
{
	struct net_stream *stream = stream_of(backend);
	struct iovec header = iov[0];
	size_t len = 0;
	int ret;

	for (int i = 1; i < n; i++)
		len += iov[i].iov_len;
	if (len > NET_STREAM_FRAME_MAX)
		return -EMSGSIZE;
	ret = stream_make_room(stream, NET_STREAM_LENGTH + (len <= STREAM_GATHER_MAX ? len : 0));
	if (ret)
		return ret;
	if (len > STREAM_GATHER_MAX) {
		ret = stream_send_large(stream, iov, (unsigned int)n, len);
		iov[0] = header;
		return ret;
	}
	stream_put_length(stream, len);
	stream_gather(stream, iov + 1, (unsigned int)n - 1, 0);
	return 0;
}
