/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a pair of stream sockets, whose other end the tests hold.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "net/stream.h"

static struct {
	struct net_stream *stream;
	struct net_backend *backend;
	int peer;
} f;

static const struct net_backend_ops ops = {.receive = net_stream_receive,
	.send = net_stream_send,
	.flush = net_stream_flush,
	.has_packet = net_stream_has_packet};

static int setup(void **state)
{
	int fds[2];

	f.stream = new0(struct net_stream);
	f.backend = &f.stream->backend;
	net_stream_init(f.stream, &ops);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	net_stream_attach(f.stream, fds[0]);
	f.peer = fds[1];
	return 0;
}

static int teardown(void **state)
{
	net_backend_free(f.backend);
	if (f.peer >= 0)
		close(f.peer);
	return 0;
}

static uint8_t byte_of(unsigned int seed, size_t i)
{
	return (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

/* ---- The peer ---- */

/* A frame with its length at `to`; the bytes of both. */
static size_t put_frame(uint8_t *to, unsigned int seed, size_t len)
{
	store_be32(to, (uint32_t)len);
	for (size_t i = 0; i < len; i++)
		to[NET_STREAM_LENGTH + i] = byte_of(seed, i);
	return NET_STREAM_LENGTH + len;
}

static void peer_sends(const void *data, size_t len)
{
	assert_int_equal(send(f.peer, data, len, MSG_NOSIGNAL | MSG_DONTWAIT), len);
}

static void peer_sends_length(uint32_t len)
{
	uint8_t raw[NET_STREAM_LENGTH];

	store_be32(raw, len);
	peer_sends(raw, sizeof(raw));
}

/* Whole frames of those sizes come, with seeds from `seed` on, and nothing else. */
static void peer_gets(unsigned int seed, const size_t *sizes, unsigned int n)
{
	uint8_t *data = malloc(NET_STREAM_BUFFER);

	for (unsigned int k = 0; k < n; k++) {
		size_t size = NET_STREAM_LENGTH + sizes[k];

		for (size_t got = 0; got < size;) {
			ssize_t now = recv(f.peer, data + got, size - got, MSG_DONTWAIT);

			if (now < 0)
				assert_int_not_equal(net_backend_flush(f.backend, 0), -ENODEV);
			else
				got += (size_t)now;
		}
		assert_int_equal(load_be32(data), sizes[k]);
		for (size_t i = 0; i < sizes[k]; i++) {
			if (data[NET_STREAM_LENGTH + i] != byte_of(seed + k, i))
				fail_msg("frame %u, byte %zu", k, i);
		}
	}
	assert_int_equal(recv(f.peer, data, 1, MSG_DONTWAIT), -1);
	free(data);
}

/* ---- Our side ---- */

static ssize_t receive(uint8_t *packet, size_t size)
{
	/* Three pieces, so that the header and the frame both cross borders. */
	struct iovec iov[3] = {{packet, 5}, {packet + 5, 12}, {packet + 17, size - 17}};

	return net_backend_receive(f.backend, 0, iov, 3);
}

static void expect_frame(unsigned int seed, size_t len)
{
	static uint8_t packet[NET_PACKET_MAX];
	static const uint8_t header[NET_HEADER];

	memset(packet, 0xee, sizeof(packet));
	assert_int_equal(receive(packet, sizeof(packet)), NET_HEADER + len);
	assert_memory_equal(packet, header, NET_HEADER);
	for (size_t i = 0; i < len; i++) {
		if (packet[NET_HEADER + i] != byte_of(seed, i))
			fail_msg("byte %zu", i);
	}
	if (NET_HEADER + len < sizeof(packet))
		assert_int_equal(packet[NET_HEADER + len], 0xee);
}

static ssize_t receive_error(void)
{
	uint8_t packet[128];

	return receive(packet, sizeof(packet));
}

/* In pieces of odd sizes. */
static int send_frame(unsigned int seed, size_t len)
{
	uint8_t header[NET_HEADER] = {0};
	uint8_t *frame = malloc(len + 1);
	struct iovec iov[4] = {{header, NET_HEADER}, {frame, len / 3},
		{frame + len / 3, len / 2 - len / 3}, {frame + len / 2, len - len / 2}};
	struct iovec before[4];
	int ret;

	for (size_t i = 0; i < len; i++)
		frame[i] = byte_of(seed, i);
	memcpy(before, iov, sizeof(iov));
	ret = net_backend_send(f.backend, 0, iov, 4);
	assert_memory_equal(before, iov, sizeof(iov));
	/* What is not sent by now must not be in it any more. */
	memset(frame, 0xdd, len);
	free(frame);
	return ret;
}

/* Small socket buffers: writes are partial. */
static void shrink_buffers(void)
{
	int size = 4608;

	assert_int_equal(
		setsockopt(f.backend->fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

/* ---- Receiving ---- */

static void test_frames_get_a_header(void **state)
{
	uint8_t data[256];

	assert_int_equal(receive_error(), -EAGAIN);
	peer_sends(data, put_frame(data, 1, 60));
	assert_false(net_backend_has_packet(f.backend, 0));
	expect_frame(1, 60);
	assert_int_equal(receive_error(), -EAGAIN);
}

static void test_many_frames_are_read_at_once(void **state)
{
	uint8_t data[4096];
	size_t size = 0;

	for (unsigned int i = 0; i < 30; i++)
		size += put_frame(data + size, i, 60 + i);
	peer_sends(data, size);
	for (unsigned int i = 0; i < 30; i++) {
		expect_frame(i, 60 + i);
		/* The socket is empty: only we know of the others. */
		assert_int_equal(recv(f.backend->fds[0], data, 1, MSG_DONTWAIT | MSG_PEEK), -1);
		assert_int_equal(net_backend_has_packet(f.backend, 0), i < 29);
	}
	assert_int_equal(receive_error(), -EAGAIN);
}

static void test_frames_cut_at_every_byte(void **state)
{
	uint8_t data[256];
	size_t size = put_frame(data, 3, 50);

	size += put_frame(data + size, 4, 70);
	for (size_t cut = 1; cut < size; cut++) {
		unsigned int n = 0;

		peer_sends(data, cut);
		if (cut >= 54) {
			expect_frame(3, 50);
			n = 1;
		}
		assert_int_equal(receive_error(), -EAGAIN);
		assert_int_equal(receive_error(), -EAGAIN);
		assert_false(net_backend_has_packet(f.backend, 0));
		peer_sends(data + cut, size - cut);
		if (!n)
			expect_frame(3, 50);
		expect_frame(4, 70);
		assert_int_equal(receive_error(), -EAGAIN);
	}
}

static void test_one_byte_at_a_time(void **state)
{
	uint8_t data[128];
	size_t size = put_frame(data, 9, 64);

	for (size_t i = 0; i < size; i++) {
		assert_int_equal(receive_error(), -EAGAIN);
		(void)receive_error();
		peer_sends(data + i, 1);
	}
	expect_frame(9, 64);
}

static void test_the_largest_frames(void **state)
{
	uint8_t *data = malloc(NET_STREAM_BUFFER);
	size_t size = put_frame(data, 5, NET_STREAM_FRAME_MAX);

	for (unsigned int i = 0; i < 3; i++) {
		peer_sends(data, size);
		peer_sends(data, 7); /* of the next one */
		expect_frame(5, NET_STREAM_FRAME_MAX);
		peer_sends(data + 7, size - 7);
		for (ssize_t got = -EAGAIN; got == -EAGAIN;) {
			uint8_t packet[64];

			got = receive(packet, sizeof(packet)); /* is cut */
			if (got != -EAGAIN)
				assert_int_equal(got, NET_PACKET_MAX);
		}
	}
	free(data);
}

static void test_a_length_that_no_frame_has_ends_it(void **state)
{
	static const uint32_t lengths[] = {NET_STREAM_FRAME_MAX + 1, 0x10000000, 0x7fffffff,
		0x80000000, 0xfffffffb, 0xffffffff};

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint8_t data[64];

		teardown(NULL);
		setup(NULL);
		peer_sends(data, put_frame(data, 1, 40));
		peer_sends_length(lengths[i]);
		expect_frame(1, 40);
		assert_true(net_backend_has_packet(f.backend, 0));
		assert_int_equal(receive_error(), -ENODEV);
		assert_int_equal(receive_error(), -ENODEV);
	}
}

static void test_empty_and_short_frames_are_packets_without_a_frame(void **state)
{
	uint8_t data[64];

	for (unsigned int i = 0; i < 100; i++)
		peer_sends_length(0);
	peer_sends(data, put_frame(data, 2, 1));
	for (unsigned int i = 0; i < 100; i++)
		expect_frame(0, 0);
	expect_frame(2, 1);
	assert_int_equal(receive_error(), -EAGAIN);
}

static void test_a_peer_that_closes(void **state)
{
	uint8_t data[128];

	peer_sends(data, put_frame(data, 1, 60));
	peer_sends(data, 30); /* the next one is cut */
	close(f.peer);
	f.peer = -1;
	expect_frame(1, 60);
	assert_int_equal(receive_error(), -EAGAIN);
	assert_int_equal(receive_error(), -ENODEV);
	assert_int_equal(send_frame(1, 60), 0); /* and no SIGPIPE */
	assert_int_equal(net_backend_flush(f.backend, 0), -ENODEV);
	assert_int_equal(send_frame(1, 9000), -ENODEV);
}

static void test_a_new_peer_gets_and_gives_whole_frames(void **state)
{
	const size_t sizes[] = {80};
	uint8_t data[128];
	int fds[2];

	peer_sends(data, put_frame(data, 1, 60) - 1);
	assert_int_equal(receive_error(), -EAGAIN);
	assert_int_equal(send_frame(2, 70), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	net_stream_attach(f.stream, fds[0]);
	close(f.peer);
	f.peer = fds[1];
	peer_sends(data, put_frame(data, 3, 61));
	expect_frame(3, 61);
	assert_int_equal(send_frame(4, 80), 0);
	assert_int_equal(net_backend_flush(f.backend, 0), 0);
	peer_gets(4, sizes, 1);
}

static void test_without_a_peer_all_is_gone(void **state)
{
	net_stream_attach(f.stream, -1);
	assert_int_equal(receive_error(), -ENODEV);
	assert_int_equal(send_frame(1, 9000), -ENODEV);
	assert_int_equal(net_backend_reconnect(f.backend), -EOPNOTSUPP);
}

/* ---- Sending ---- */

static void test_small_frames_go_together(void **state)
{
	size_t sizes[20];
	char byte;

	for (unsigned int i = 0; i < 20; i++) {
		sizes[i] = 60 + i;
		assert_int_equal(send_frame(i, sizes[i]), 0);
	}
	assert_int_equal(recv(f.peer, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(net_backend_flush(f.backend, 0), 0);
	peer_gets(0, sizes, 20);
}

static void test_order_of_small_and_large_ones(void **state)
{
	const size_t sizes[] = {60, 9000, 14, 61, 65536, 4096, 4097, NET_STREAM_FRAME_MAX, 1};

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(send_frame(7 + i, sizes[i]), 0);
	assert_int_equal(net_backend_flush(f.backend, 0), 0);
	peer_gets(7, sizes, ARRAY_SIZE(sizes));
}

static void test_a_frame_larger_than_any_is_refused(void **state)
{
	assert_int_equal(send_frame(1, NET_STREAM_FRAME_MAX + 1), -EMSGSIZE);
	assert_int_equal(net_backend_flush(f.backend, 0), 0);
	peer_gets(0, NULL, 0);
}

/* A reader that takes a few bytes now and then: every frame that was taken arrives, in order. */
static void test_a_slow_reader(void **state)
{
	static const size_t kinds[] = {60, 1514, 4096, 5000, 30000, NET_STREAM_FRAME_MAX, 15};
	size_t at = 0, want = 0;
	unsigned int sent = 0, got = 0, refused = 0;
	uint8_t *stream = malloc(NET_STREAM_BUFFER);

	shrink_buffers();
	for (unsigned int turn = 0; got < 60; turn++) {
		ssize_t now;

		while (sent < 60) {
			int ret = send_frame(sent, kinds[sent % ARRAY_SIZE(kinds)]);

			assert_true(!ret || ret == -EAGAIN);
			if (ret) {
				refused++;
				break;
			}
			sent++;
		}
		if (net_backend_flush(f.backend, 0))
			assert_int_equal(net_backend_flush(f.backend, 0), -EAGAIN);
		want = NET_STREAM_LENGTH + kinds[got % ARRAY_SIZE(kinds)];
		now = recv(f.peer, stream + at, MIN(want - at, 1 + turn * 37 % 5000), MSG_DONTWAIT);
		if (now < 0)
			continue;
		at += (size_t)now;
		if (at < want)
			continue;
		assert_int_equal(load_be32(stream), want - NET_STREAM_LENGTH);
		for (size_t i = 0; i < want - NET_STREAM_LENGTH; i++) {
			if (stream[NET_STREAM_LENGTH + i] != byte_of(got, i))
				fail_msg("frame %u, byte %zu", got, i);
		}
		got++;
		at = 0;
	}
	assert_true(refused > 10);
	assert_int_equal(net_backend_flush(f.backend, 0), 0);
	assert_int_equal(recv(f.peer, stream, 1, MSG_DONTWAIT), -1);
	free(stream);
}

static void test_what_waits_is_bounded(void **state)
{
	unsigned int n = 0;
	size_t *sizes;

	shrink_buffers();
	while (!send_frame(n, 1000))
		n++;
	assert_int_equal(send_frame(n, 50000), -EAGAIN);
	assert_int_equal(send_frame(n, 1000), -EAGAIN);
	assert_in_range(n, 65, 80);
	sizes = calloc(n, sizeof(*sizes));
	for (unsigned int i = 0; i < n; i++)
		sizes[i] = 1000;
	peer_gets(0, sizes, n);
	free(sizes);
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(test_frames_get_a_header),
		STREAM_TEST(test_many_frames_are_read_at_once),
		STREAM_TEST(test_frames_cut_at_every_byte),
		STREAM_TEST(test_one_byte_at_a_time),
		STREAM_TEST(test_the_largest_frames),
		STREAM_TEST(test_a_length_that_no_frame_has_ends_it),
		STREAM_TEST(test_empty_and_short_frames_are_packets_without_a_frame),
		STREAM_TEST(test_a_peer_that_closes),
		STREAM_TEST(test_a_new_peer_gets_and_gives_whole_frames),
		STREAM_TEST(test_without_a_peer_all_is_gone),
		STREAM_TEST(test_small_frames_go_together),
		STREAM_TEST(test_order_of_small_and_large_ones),
		STREAM_TEST(test_a_frame_larger_than_any_is_refused),
		STREAM_TEST(test_a_slow_reader),
		STREAM_TEST(test_what_waits_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
