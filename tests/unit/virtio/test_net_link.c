/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net on a stream of frames: what was read ahead, what waits to go, and a link that comes
 * back.
 */
#include "net_fixture.h"

#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "net/stream.h"

static struct {
	unsigned int tries;
	unsigned int failures; /* that are still to come */
	unsigned int waits;    /* until a try is through */
} peer;

/* Another pair of sockets. */
static void connect_peer(struct net_stream *stream)
{
	int fds[2];

	if (f.peer >= 0)
		close(f.peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	net_stream_attach(stream, fds[0]);
	f.peer = fds[1];
}

static int link_reconnect(struct net_backend *backend)
{
	if (peer.waits) {
		peer.waits--;
		return -EAGAIN;
	}
	peer.tries++;
	if (peer.failures) {
		peer.failures--;
		return -ECONNREFUSED;
	}
	connect_peer(container_of(backend, struct net_stream, backend));
	return 0;
}

static const struct net_backend_ops link_ops = {.receive = net_stream_receive,
	.send = net_stream_send,
	.flush = net_stream_flush,
	.has_packet = net_stream_has_packet,
	.reconnect = link_reconnect};

static int link_setup(void **state)
{
	struct net_stream *stream = new0(struct net_stream);
	int fds[2];

	memset(&peer, 0, sizeof(peer));
	net_stream_init(stream, &link_ops);
	stream->backend.can_reconnect = true;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	net_stream_attach(stream, fds[0]);
	fixture_create(&stream->backend, RAM_ANON);
	f.peer = fds[1];
	return 0;
}

static void start(void)
{
	fixture_start(NET_F_MRG_RXBUF | NET_F_STATUS | NET_F_CTRL_VQ | NET_F_GUEST_ANNOUNCE,
		NET_RING_SIZE);
}

/* n frames of `size` bytes, as packet_byte() has them. */
static void peer_sends(unsigned int seed, unsigned int n, size_t size)
{
	size_t each = NET_STREAM_LENGTH + size;
	uint8_t *data = malloc(n * each);

	for (unsigned int k = 0; k < n; k++) {
		store_be32(data + k * each, (uint32_t)size);
		for (size_t i = 0; i < size; i++)
			data[k * each + NET_STREAM_LENGTH + i] =
				packet_byte(seed + k, NET_HEADER + i);
	}
	assert_int_equal(send(f.peer, data, n * each, MSG_NOSIGNAL), n * each);
	free(data);
}

/* The next frame that comes, while the device is pumped. */
static void peer_gets(unsigned int seed, size_t size)
{
	uint8_t *data = malloc(NET_STREAM_BUFFER);
	size_t want = NET_STREAM_LENGTH + size;

	for (size_t at = 0; at < want;) {
		ssize_t got = recv(f.peer, data + at, want - at, MSG_DONTWAIT);

		if (got < 0)
			pump();
		else
			at += (size_t)got;
	}
	assert_int_equal(load_be32(data), size);
	for (size_t i = 0; i < size; i++) {
		if (data[NET_STREAM_LENGTH + i] != packet_byte(seed, NET_HEADER + i))
			fail_msg("byte %zu", i);
	}
	free(data);
}

static bool link_is_up(void)
{
	return atomic_load(&f.net->status) & NET_S_LINK_UP;
}

/* Until the link is as said; how many milliseconds it took, roughly. */
static unsigned int wait_for_link(bool up)
{
	unsigned int ms = 0;

	for (; link_is_up() != up && ms < 60000; ms++) {
		usleep(1000);
		pump();
	}
	assert_int_equal(link_is_up(), up);
	return ms;
}

static void lose_peer(void)
{
	close(f.peer);
	f.peer = -1;
	(void)wait_for_link(false);
}

/* ---- Packets ---- */

static void test_packets_that_were_read_ahead_are_not_forgotten(void **state)
{
	/* More than a turn, with one read. */
	const unsigned int n = NET_TURN + 30;
	uint16_t at = 0;

	fixture_start(NET_F_MRG_RXBUF, 128);
	for (unsigned int i = 0; i < 128; i++)
		add_buffer(i % 64, 256);
	kick(RX);
	peer_sends(1, n, 60);
	pump();
	assert_int_equal(ring_completed(&f.rings[RX]), NET_TURN);
	assert_int_equal(f.agains[RX], 1);
	for (int i = 0; i < 3; i++)
		pump();
	assert_int_equal(ring_completed(&f.rings[RX]), n);
	for (; at < n; at++)
		assert_int_equal(ring_take(&f.rings[RX], at), NET_HEADER + 60);
	assert_int_equal(f.agains[RX], 0);
}

static void test_without_buffers_frames_wait(void **state)
{
	start();
	add_buffer(0, 2048);
	kick(RX);
	peer_sends(1, 3, 1000);
	for (int i = 0; i < 5; i++)
		pump();
	assert_int_equal(f.net->pairs[0].tap.events, 0);
	for (unsigned int i = 0; i < 3; i++) {
		expect_packet(1 + i, NET_HEADER + 1000, i, 2048);
		add_buffer(i + 1, 2048);
		kick(RX);
	}
	assert_int_equal(f.net->dropped, 0);
}

static void test_packets_larger_than_a_buffer(void **state)
{
	start();
	for (unsigned int i = 0; i < 60; i++)
		add_buffer(i, 2048);
	kick(RX);
	peer_sends(3, 1, 65534);
	for (int i = 0; i < 3; i++)
		pump();
	expect_packet(3, NET_HEADER + 65534, 0, 2048);
}

static void test_short_frames_are_dropped_and_the_next_is_not(void **state)
{
	start();
	add_buffer(0, 256);
	kick(RX);
	peer_sends(1, 5, 0);
	peer_sends(1, 5, 13);
	peer_sends(7, 1, 14);
	pump();
	expect_packet(7, NET_HEADER + 14, 0, 256);
	assert_int_equal(f.net->dropped, 10);
	assert_true(link_is_up());
}

static void test_a_turn_of_packets_is_one_write(void **state)
{
	start();
	for (unsigned int i = 0; i < 20; i++)
		add_packet(i, i, NET_HEADER + 100);
	kick(TX);
	assert_int_equal(ring_completed(&f.rings[TX]), 20);
	for (unsigned int i = 0; i < 20; i++)
		peer_gets(i, 100);
}

/* All packets get through to a reader that is slower, and nothing is busy meanwhile. */
static void test_a_slow_peer(void **state)
{
	unsigned int done;

	start();
	for (unsigned int i = 0; i < 60; i++)
		add_packet(i, i, NET_HEADER + (i % 2 ? 200 : 30000));
	kick(TX);
	done = ring_completed(&f.rings[TX]);
	assert_true(done < 60);
	assert_true(f.net->pairs[0].tap.events & EPOLLOUT);
	for (int i = 0; i < 3; i++)
		pump();
	assert_int_equal(ring_completed(&f.rings[TX]), done);
	for (unsigned int i = 0; i < 60; i++)
		peer_gets(i, i % 2 ? 200 : 30000);
	pump();
	assert_int_equal(ring_completed(&f.rings[TX]), 60);
	assert_false(f.net->pairs[0].tap.events & EPOLLOUT);
	assert_int_equal(f.net->dropped, 0);
}

static void test_what_was_gathered_goes_when_the_queue_is_empty(void **state)
{
	int size = 4608;
	unsigned int n = 0;

	start();
	assert_int_equal(
		setsockopt(f.net->backend->fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	/* All are taken from the driver, but not by the peer. */
	for (; n < 20; n++)
		add_packet(n, n, NET_HEADER + 1500);
	kick(TX);
	assert_int_equal(ring_completed(&f.rings[TX]), n);
	assert_true(f.net->pairs[0].tx_unsent);
	assert_false(f.net->pairs[0].tx_waits);
	for (unsigned int i = 0; i < n; i++)
		peer_gets(i, 1500);
	pump();
	assert_false(f.net->pairs[0].tx_unsent);
}

/* ---- The link ---- */

static void test_a_peer_that_goes_comes_back(void **state)
{
	start();
	add_buffer(0, 256);
	add_buffer(1, 256);
	kick(RX);
	peer_sends(1, 1, 60);
	pump();
	expect_packet(1, NET_HEADER + 60, 0, 256);
	lose_peer();
	assert_int_equal(f.changes, 1);
	/* Packets go nowhere meanwhile. */
	add_packet(0, 1, NET_HEADER + 100);
	kick(TX);
	assert_int_equal(ring_completed(&f.rings[TX]), 1);
	peer.waits = 2;
	(void)wait_for_link(true);
	assert_int_equal(peer.tries, 1);
	/* The new one is told where the guest is. */
	assert_true(atomic_load(&f.net->status) & NET_S_ANNOUNCE);
	peer_sends(2, 1, 61);
	pump();
	expect_packet(2, NET_HEADER + 61, 1, 256);
	(void)ring_take(&f.rings[TX], 0);
	add_packet(1, 5, NET_HEADER + 100);
	kick(TX);
	peer_gets(5, 100);
}

static void test_tries_become_rarer(void **state)
{
	unsigned int ms;

	start();
	peer.failures = 3;
	lose_peer();
	/* 100, 200, 400 and 800 ms, and what the pumping takes. */
	ms = wait_for_link(true);
	assert_int_equal(peer.tries, 4);
	assert_in_range(ms, 100, 3000);
	assert_true(f.lines <= 10);
	/* One that goes at once is not looked for at once. */
	lose_peer();
	peer.tries = 0;
	for (unsigned int i = 0; i < 300; i++) {
		usleep(1000);
		pump();
	}
	assert_int_equal(peer.tries, 0);
}

static void test_a_length_that_no_frame_has_ends_the_link(void **state)
{
	static const uint8_t length[] = {0xff, 0xff, 0xff, 0xff};

	start();
	add_buffer(0, 256);
	kick(RX);
	assert_int_equal(send(f.peer, length, sizeof(length), 0), sizeof(length));
	pump();
	assert_false(link_is_up());
	(void)wait_for_link(true);
	peer_sends(2, 1, 61);
	pump();
	expect_packet(2, NET_HEADER + 61, 0, 256);
}

static void test_without_reconnect_it_stays_down(void **state)
{
	f.net->backend->can_reconnect = false;
	start();
	lose_peer();
	assert_null(f.net->link.timer.loop);
}

static void test_a_lost_link_is_sought_by_the_next_driver_and_after_a_pause(void **state)
{
	start();
	lose_peer();
	f.dev->ops->pause(f.dev, 0, true);
	assert_null(f.net->link.timer.loop);
	f.dev->ops->pause(f.dev, 0, false);
	assert_non_null(f.net->link.timer.loop);
	fixture_end();
	assert_null(f.net->link.timer.loop);
	assert_false(link_is_up());
	start();
	(void)wait_for_link(true);
	add_packet(0, 5, NET_HEADER + 100);
	kick(TX);
	peer_gets(5, 100);
}

/* A peer that is gone before the driver comes, with a frame that was cut. */
static void test_half_a_frame_does_not_reach_the_next_peer(void **state)
{
	unsigned int n = 0;

	start();
	for (; n < 20; n++)
		add_packet(n, n, NET_HEADER + 60000);
	kick(TX);
	assert_true(f.net->pairs[0].tx_waits);
	connect_peer(container_of(f.net->backend, struct net_stream, backend));
	fixture_end();
	close(f.peer);
	f.peer = -1;
	start();
	(void)wait_for_link(false);
	(void)wait_for_link(true);
	add_packet(0, 5, NET_HEADER + 100);
	kick(TX);
	peer_gets(5, 100);
}

#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, link_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINK_TEST(test_packets_that_were_read_ahead_are_not_forgotten),
		LINK_TEST(test_without_buffers_frames_wait),
		LINK_TEST(test_packets_larger_than_a_buffer),
		LINK_TEST(test_short_frames_are_dropped_and_the_next_is_not),
		LINK_TEST(test_a_turn_of_packets_is_one_write),
		LINK_TEST(test_a_slow_peer),
		LINK_TEST(test_what_was_gathered_goes_when_the_queue_is_empty),
		LINK_TEST(test_a_peer_that_goes_comes_back),
		LINK_TEST(test_tries_become_rarer),
		LINK_TEST(test_a_length_that_no_frame_has_ends_the_link),
		LINK_TEST(test_without_reconnect_it_stays_down),
		LINK_TEST(test_a_lost_link_is_sought_by_the_next_driver_and_after_a_pause),
		LINK_TEST(test_half_a_frame_does_not_reach_the_next_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
