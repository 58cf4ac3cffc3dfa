/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a stream (net/stream.h) with a hostile peer: bytes of any kind in pieces of any size,
 * and a reader as slow as it likes. What comes is compared with a parser of its own, and what goes
 * must be whole frames in the order in which they were taken.
 *
 * The input is a list of steps of two bytes and more: what to do, and how much of it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "net/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PASSTF_STEPS  200
#define PASSTF_FRAMES PASSTF_STEPS
/* Frames on their way: one system call brings at most a quarter of that. */
#define PASSTF_EXPECTED 0x10000u

enum { STEP_BYTES, STEP_FRAME, STEP_RECEIVE, STEP_SEND, STEP_FLUSH, STEP_READ, STEP_CLOSE, STEPS };

static struct passt_fuzz {
	struct net_stream stream;
	int peer;

	/* What the peer sent: the parser's state. */
	uint8_t length[NET_STREAM_LENGTH];
	size_t have; /* bytes of the length */
	size_t left; /* bytes of the frame */
	bool absurd;
	uint32_t n_expected, n_received;

	/* What we sent. */
	size_t n_taken, n_seen;
	uint8_t seen_length[NET_STREAM_LENGTH];
	size_t seen_have, seen_left;

	size_t taken[PASSTF_FRAMES];
	uint32_t expected[PASSTF_EXPECTED]; /* a ring */
} fuzz;

static const struct net_backend_ops passtf_ops = {.receive = net_stream_receive,
	.send = net_stream_send,
	.flush = net_stream_flush,
	.has_packet = net_stream_has_packet};

static void must(bool what)
{
	if (!what)
		abort();
}

/* ---- From the peer ---- */

static void passtf_frame_ends(void)
{
	fuzz.expected[fuzz.n_expected++ % PASSTF_EXPECTED] = load_be32(fuzz.length);
	fuzz.have = 0;
}

static void passtf_parse(const uint8_t *bytes, size_t n)
{
	while (n && !fuzz.absurd) {
		size_t now;

		if (fuzz.have < NET_STREAM_LENGTH) {
			fuzz.length[fuzz.have++] = *bytes++;
			n--;
			if (fuzz.have < NET_STREAM_LENGTH)
				continue;
			fuzz.left = load_be32(fuzz.length);
			fuzz.absurd = fuzz.left > NET_STREAM_FRAME_MAX;
			if (!fuzz.left)
				passtf_frame_ends();
			continue;
		}
		now = MIN(n, fuzz.left);
		bytes += now;
		n -= now;
		fuzz.left -= now;
		if (!fuzz.left)
			passtf_frame_ends();
	}
}

static void passtf_peer_sends(const uint8_t *bytes, size_t n)
{
	ssize_t sent = -1;

	if (fuzz.peer >= 0 && fuzz.n_expected - fuzz.n_received < PASSTF_EXPECTED / 2)
		sent = send(fuzz.peer, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent > 0)
		passtf_parse(bytes, (size_t)sent);
}

/* A frame of zeroes; the socket may take a part of it only. */
static void passtf_peer_sends_frame(size_t len)
{
	static uint8_t frame[NET_STREAM_BUFFER];

	store_be32(frame, (uint32_t)len);
	passtf_peer_sends(frame, NET_STREAM_LENGTH + len);
}

static void passtf_receive(unsigned int n)
{
	static uint8_t packet[NET_PACKET_MAX];
	struct iovec iov[3] = {
		{packet, n % 40}, {packet + 40, 100}, {packet + 140, sizeof(packet) - 140}};

	while (n--) {
		ssize_t got = net_backend_receive(&fuzz.stream.backend, 0, iov, 3);

		if (got == -EAGAIN)
			continue;
		if (got == -ENODEV) {
			must(fuzz.n_received == fuzz.n_expected && (fuzz.absurd || fuzz.peer < 0));
			continue;
		}
		must(fuzz.n_received != fuzz.n_expected &&
			got == (ssize_t)(NET_HEADER +
					 fuzz.expected[fuzz.n_received % PASSTF_EXPECTED]));
		fuzz.n_received++;
	}
}

/* ---- To the peer ---- */

static void passtf_send(size_t len)
{
	static uint8_t frame[NET_STREAM_FRAME_MAX + 2];
	uint8_t header[NET_HEADER] = {0};
	struct iovec iov[3] = {
		{header, sizeof(header)}, {frame, len / 3}, {frame + len / 3, len - len / 3}};
	int ret = net_backend_send(&fuzz.stream.backend, 0, iov, 3);

	must(iov[0].iov_base == header && iov[0].iov_len == sizeof(header));
	if (len > NET_STREAM_FRAME_MAX)
		must(ret == -EMSGSIZE);
	else
		must(!ret || ret == -EAGAIN || fuzz.peer < 0);
	if (!ret)
		fuzz.taken[fuzz.n_taken++] = len;
}

static void passtf_see(const uint8_t *bytes, size_t n)
{
	while (n) {
		size_t now;

		if (fuzz.seen_left) {
			now = MIN(n, fuzz.seen_left);
			fuzz.seen_left -= now;
			bytes += now;
			n -= now;
			continue;
		}
		fuzz.seen_length[fuzz.seen_have++] = *bytes++;
		n--;
		if (fuzz.seen_have < NET_STREAM_LENGTH)
			continue;
		fuzz.seen_have = 0;
		fuzz.seen_left = load_be32(fuzz.seen_length);
		must(fuzz.n_seen < fuzz.n_taken && fuzz.seen_left == fuzz.taken[fuzz.n_seen]);
		fuzz.n_seen++;
	}
}

/* Up to so many bytes; how many came. */
static size_t passtf_read(size_t max)
{
	static uint8_t bytes[65536];
	ssize_t got =
		fuzz.peer < 0 ? -1 : recv(fuzz.peer, bytes, MIN(max, sizeof(bytes)), MSG_DONTWAIT);

	if (got <= 0)
		return 0;
	passtf_see(bytes, (size_t)got);
	return (size_t)got;
}

/* In the end all that was taken arrives. */
static void passtf_finish(void)
{
	if (fuzz.peer < 0)
		return;
	while (net_backend_flush(&fuzz.stream.backend, 0))
		must(passtf_read(65536) > 0);
	while (passtf_read(65536))
		continue;
	must(fuzz.n_seen == fuzz.n_taken && !fuzz.seen_left && !fuzz.seen_have);
}

/* ---- Steps ---- */

static void passtf_step(unsigned int step, size_t amount, const uint8_t **data, size_t *size)
{
	size_t now = MIN(amount % 256, *size);

	switch (step) {
	case STEP_BYTES:
		passtf_peer_sends(*data, now);
		*data += now;
		*size -= now;
		return;
	case STEP_FRAME:
		passtf_peer_sends_frame(amount % (NET_STREAM_FRAME_MAX + 1));
		return;
	case STEP_RECEIVE:
		passtf_receive((unsigned int)(amount % 64));
		return;
	case STEP_SEND:
		passtf_send(amount % (NET_STREAM_FRAME_MAX + 2));
		return;
	case STEP_FLUSH:
		must(!net_backend_flush(&fuzz.stream.backend, 0) || fuzz.stream.out_end);
		return;
	case STEP_READ:
		(void)passtf_read(amount);
		return;
	default:
		if (fuzz.peer >= 0)
			close(fuzz.peer);
		fuzz.peer = -1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int small = 4608;
	int fds[2];

	memset(&fuzz, 0, offsetof(struct passt_fuzz, taken));
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	if (size && *data & 0x80)
		must(!setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
	net_stream_init(&fuzz.stream, &passtf_ops);
	net_stream_attach(&fuzz.stream, fds[0]);
	fuzz.peer = fds[1];
	for (unsigned int i = 0; i < PASSTF_STEPS && size >= 4; i++) {
		unsigned int step = data[0] % STEPS;
		size_t amount = load_le16(data + 1) + (data[3] & 1u) * 65536;

		data += 4;
		size -= 4;
		passtf_step(step, amount, &data, &size);
	}
	passtf_finish();
	net_stream_attach(&fuzz.stream, -1);
	if (fuzz.peer >= 0)
		close(fuzz.peer);
	return 0;
}
