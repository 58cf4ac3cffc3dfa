/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net: packets from the network into the driver's buffers.
 */
#include "net_fixture.h"

static void start(void)
{
	fixture_start(NET_F_MRG_RXBUF | NET_F_STATUS, NET_RING_SIZE);
}

static unsigned int received(void)
{
	return ring_completed(&f.rings[RX]);
}

static void test_a_packet_is_in_one_buffer(void **state)
{
	start();
	add_buffer(0, 2048);
	kick(RX);
	network_sends(1, 100);
	pump();
	assert_int_equal(received(), 1);
	expect_packet(1, 100, 0, 2048);
	assert_int_equal(f.signals[RX], 1);
	assert_int_equal(f.net->dropped, 0);
}

static void test_a_large_packet_is_spread_over_buffers(void **state)
{
	start();
	for (unsigned int i = 0; i < 32; i++)
		add_buffer(i, 1024);
	kick(RX);
	network_sends(2, 3000);
	network_sends(3, 1024);
	network_sends(4, 1025);
	pump();
	assert_int_equal(received(), 3 + 1 + 2);
	expect_packet(2, 3000, 0, 1024);
	expect_packet(3, 1024, 3, 1024);
	expect_packet(4, 1025, 4, 1024);
}

static void test_packets_of_any_size_follow_each_other(void **state)
{
	static const size_t sizes[] = {26, 60000, 65000, 1500, 4096, 4097, 30, 16384, 64000, 27};
	unsigned int at = 0;

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned int n = (unsigned int)(sizes[i] + 2047) / 2048;

		/* Never quite enough at first, but for the smallest. */
		for (unsigned int k = 0; k < n - (n > 1); k++)
			add_buffer((at + k) % NET_RING_SIZE, 2048);
		kick(RX);
		network_sends(i, sizes[i]);
		pump();
		if (n > 1) {
			assert_int_equal(received(), 0);
			add_buffer((at + n - 1) % NET_RING_SIZE, 2048);
			kick(RX);
		}
		assert_int_equal(received(), n);
		/* Heads and places go round together. */
		for (unsigned int k = 0; k < n; k++)
			assert_true(
				ring_take(&f.rings[RX], (uint16_t)((at + k) % NET_RING_SIZE)) > 0);
		at += n;
	}
	assert_int_equal(f.net->dropped, 0);
}

static void test_many_packets_are_one_interrupt(void **state)
{
	start();
	for (unsigned int i = 0; i < 60; i++)
		add_buffer(i, 256);
	kick(RX);
	for (unsigned int i = 0; i < 50; i++)
		network_sends(i, 200);
	pump();
	assert_int_equal(received(), 50);
	assert_int_equal(f.signals[RX], 1);
	for (unsigned int i = 0; i < 50; i++)
		expect_packet(i, 200, i, 256);
}

static void test_without_buffers_packets_wait_outside(void **state)
{
	start();
	network_sends(1, 100);
	network_sends(2, 100);
	for (int i = 0; i < 3; i++)
		pump();
	assert_int_equal(f.net->pairs[0].tap.events, 0); /* not even looked at */
	add_buffer(0, 128);
	kick(RX);
	assert_int_equal(received(), 1);
	expect_packet(1, 100, 0, 128);
	add_buffer(1, 128);
	kick(RX);
	expect_packet(2, 100, 1, 128);
	add_buffer(2, 128);
	kick(RX);
	network_sends(3, 100);
	pump();
	expect_packet(3, 100, 2, 128);
	assert_int_equal(f.net->dropped, 0);
}

static void test_a_packet_waits_for_the_rest_of_its_buffers(void **state)
{
	start();
	add_buffer(0, 1024);
	kick(RX);
	network_sends(7, 3000);
	network_sends(8, 50);
	pump();
	add_buffer(1, 1024);
	kick(RX);
	assert_int_equal(received(), 0);
	add_buffer(2, 1024);
	add_buffer(3, 1024);
	kick(RX);
	assert_int_equal(received(), 4);
	expect_packet(7, 3000, 0, 1024);
	expect_packet(8, 50, 3, 1024);
}

/* As many small packets as a turn takes but one, then one of 20000 bytes. */
static void fill_a_turn(unsigned int buffers)
{
	const unsigned int n = NET_TURN - 1;

	fixture_start(NET_F_MRG_RXBUF, 256);
	for (unsigned int i = 0; i < buffers; i++)
		add_buffer(i, 512);
	kick(RX);
	for (unsigned int i = 0; i < n; i++)
		network_sends(i, 100);
	network_sends(n, 20000);
	pump();
}

/* Nothing else comes that would wake the device for it. */
static void test_a_large_packet_at_the_end_of_a_turn_arrives(void **state)
{
	const unsigned int n = NET_TURN - 1;

	fill_a_turn(150);
	assert_int_equal(received(), n);
	pump();
	assert_int_equal(received(), n + (20000 + 511) / 512);
	assert_int_equal(f.agains[RX], 0);
	assert_int_equal(f.net->dropped, 0);
}

/* And where its buffers are missing, the driver is waited for, and nothing is busy meanwhile. */
static void test_a_large_packet_at_the_end_of_a_turn_waits_for_buffers(void **state)
{
	const unsigned int n = NET_TURN - 1;

	fill_a_turn(n + 20);
	pump();
	assert_int_equal(f.agains[RX], 0);
	assert_int_equal(received(), n);
	for (unsigned int i = n + 20; i < n + 40; i++)
		add_buffer(i, 512);
	kick(RX);
	assert_int_equal(received(), n + 40);
}

static void test_a_packet_larger_than_the_whole_ring_is_dropped(void **state)
{
	fixture_start(NET_F_MRG_RXBUF, 4);
	for (unsigned int i = 0; i < 4; i++)
		add_buffer(i, 100);
	kick(RX);
	network_sends(1, 401);
	network_sends(2, 400);
	pump();
	assert_int_equal(f.net->dropped, 1);
	assert_int_equal(received(), 4);
	expect_packet(2, 400, 0, 100);
	assert_int_equal(f.lines, 1);
}

static void test_without_merging_a_packet_has_one_buffer(void **state)
{
	fixture_start(0, NET_RING_SIZE);
	add_buffer(0, 1000);
	add_buffer(1, 2000);
	kick(RX);
	network_sends(1, 1001);
	network_sends(2, 1000);
	network_sends(3, 1500);
	pump();
	assert_int_equal(f.net->dropped, 1);
	assert_int_equal(received(), 2);
	expect_packet(2, 1000, 0, 1000);
	expect_packet(3, 1500, 1, 2000);
}

static void test_a_buffer_in_many_pieces_is_filled_in_order(void **state)
{
	struct piece pieces[40];

	start();
	for (unsigned int i = 0; i < 40; i++)
		pieces[i] = (struct piece){NET_BUFFERS + i, 1, RING_WRITE};
	(void)ring_add(&f.rings[RX], pieces, 40);
	kick(RX);
	network_sends(5, 40);
	pump();
	expect_packet(5, 40, 0, 40);
}

static void test_a_buffer_without_room_for_a_header_is_given_back(void **state)
{
	const struct piece readable = {NET_BUFFERS, 2000, 0};

	start();
	add_buffer(0, 11);
	(void)ring_add(&f.rings[RX], &readable, 1);
	add_buffer(2, 64);
	kick(RX);
	network_sends(1, 30);
	pump();
	assert_int_equal(received(), 3);
	assert_int_equal(ring_take(&f.rings[RX], 0), 0);
	assert_int_equal(ring_take(&f.rings[RX], 1), 0);
	expect_packet(1, 30, 2, 64);
	assert_int_equal(f.net->dropped, 2);
}

static void test_packets_without_a_whole_header_are_dropped(void **state)
{
	start();
	add_buffer(0, 64);
	kick(RX);
	network_sends(1, 1);
	network_sends(2, NET_HEADER + NET_FRAME_MIN - 1);
	network_sends(3, NET_HEADER + NET_FRAME_MIN);
	pump();
	assert_int_equal(f.net->dropped, 2);
	expect_packet(3, NET_HEADER + NET_FRAME_MIN, 0, 64);
}

/* There are no offloads that its sender could have used. */
static void test_what_a_header_says_does_not_reach_the_guest(void **state)
{
	uint8_t packet[100];

	start();
	for (unsigned int i = 0; i < 10; i++)
		add_buffer(i, i < 9 ? 12 : 128);
	kick(RX);
	for (size_t i = 0; i < sizeof(packet); i++)
		packet[i] = i < NET_HEADER ? 0xff : packet_byte(1, i);
	packet[NET_HDR_FLAGS] = 1;
	packet[NET_HDR_GSO_TYPE] = 1;
	/* Over several buffers, and in one. */
	assert_int_equal(send(f.peer, packet, sizeof(packet), 0), sizeof(packet));
	pump();
	expect_packet(1, sizeof(packet), 0, 12);
	assert_int_equal(send(f.peer, packet, sizeof(packet), 0), sizeof(packet));
	pump();
	expect_packet(1, sizeof(packet), 9, 128);
}

static void test_a_broken_queue_needs_a_reset_and_the_other_goes_on(void **state)
{
	const struct piece outside = {BENCH_RAM, 64, RING_WRITE};

	start();
	(void)ring_add(&f.rings[RX], &outside, 1);
	kick(RX);
	network_sends(1, 100);
	for (int i = 0; i < 3; i++)
		pump();
	assert_int_equal(f.resets, 1);
	assert_int_equal(received(), 0);
	assert_null(f.net->pairs[0].tap.loop); /* nobody looks at the tap any more */
	add_packet(0, 1, 60);
	kick(TX);
	assert_int_equal(ring_completed(&f.rings[TX]), 1);
	/* After a reset all is well. */
	fixture_end();
	start();
	add_buffer(0, 128);
	kick(RX);
	network_sends(2, 100);
	pump();
	expect_packet(2, 100, 0, 128);
	assert_int_equal(f.resets, 1);
}

static void test_what_waited_for_the_last_driver_is_not_the_next_ones(void **state)
{
	start();
	network_sends(1, 100);
	pump();
	fixture_end();
	start();
	add_buffer(0, 128);
	kick(RX);
	assert_int_equal(received(), 0);
	network_sends(2, 100);
	pump();
	expect_packet(2, 100, 0, 128);
}

static void test_the_end_of_the_network_takes_the_link_down(void **state)
{
	uint8_t status[2];

	start();
	add_buffer(0, 128);
	kick(RX);
	network_sends(1, 100);
	close(f.peer);
	f.peer = -1;
	pump();
	pump();
	expect_packet(1, 100, 0, 128);
	assert_int_equal(f.changes, 1);
	f.dev->ops->config_read(f.dev, 6, status, 2);
	assert_int_equal(load_le16(status), 0);
	add_packet(0, 1, 60);
	add_packet(1, 1, 60);
	kick(TX);
	assert_int_equal(ring_completed(&f.rings[TX]), 2);
	for (int i = 0; i < 5; i++)
		pump();
	assert_int_equal(f.lines, 1);
	assert_int_equal(f.resets, 0);
}

static void test_a_pause_holds_packets_back_and_ends_with_an_announcement(void **state)
{
	uint8_t status[2];

	fixture_end();
	fixture_start(NET_F_MRG_RXBUF | NET_F_STATUS | NET_F_CTRL_VQ | NET_F_GUEST_ANNOUNCE,
		NET_RING_SIZE);
	add_buffer(0, 128);
	kick(RX);
	f.dev->ops->pause(f.dev, 0, true);
	f.dev->ops->pause(f.dev, 0, true);
	network_sends(1, 100);
	pump();
	assert_int_equal(received(), 0);
	f.dev->ops->pause(f.dev, 0, false);
	pump();
	expect_packet(1, 100, 0, 128);
	f.dev->ops->config_read(f.dev, 6, status, 2);
	assert_int_equal(load_le16(status), NET_S_LINK_UP | NET_S_ANNOUNCE);
	assert_int_equal(f.changes, 1);
}

/* ---- Resets of the queue ---- */

static void test_a_queue_that_is_taken_back_gives_its_buffers(void **state)
{
	start();
	for (unsigned int i = 0; i < 10; i++)
		add_buffer(i, 512);
	kick(RX);
	network_sends(1, 100);
	pump();
	expect_packet(1, 100, 0, 512);
	assert_true(f.dev->queues[RX].n_flight > 0);
	fixture_take_back(RX);
	assert_true(f.drained[RX] > 0);
	/* Meanwhile packets wait outside, and nobody looks. */
	network_sends(2, 90);
	pump();
	kick(RX);
	assert_int_equal(f.net->pairs[0].tap.events, 0);
	fixture_give_again(RX, 16);
	add_buffer(20, 512);
	kick(RX);
	assert_int_equal(received(), 1);
	assert_int_equal(ring_take(&f.rings[RX], 0), 90);
	assert_int_equal(f.net->dropped, 0);
	assert_int_equal(f.resets, 0);
}

static void test_half_a_packet_goes_with_the_queue(void **state)
{
	start();
	add_buffer(0, 1024);
	kick(RX);
	network_sends(1, 3000);
	network_sends(2, 90);
	pump();
	fixture_take_back(RX);
	assert_int_equal(f.net->dropped, 1);
	fixture_give_again(RX, 16);
	add_buffer(20, 1024);
	kick(RX);
	assert_int_equal(ring_take(&f.rings[RX], 0), 90);
}

static void test_sending_goes_on_while_receiving_is_reset(void **state)
{
	uint8_t packet[256];

	start();
	add_buffer(0, 1024);
	kick(RX);
	fixture_take_back(RX);
	add_packet(0, 5, NET_HEADER + 100);
	kick(TX);
	assert_int_equal(network_receives(packet, sizeof(packet)), NET_HEADER + 100);
}

static void test_a_pause_while_the_queue_is_reset_does_not_end_receiving(void **state)
{
	start();
	add_buffer(0, 512);
	kick(RX);
	fixture_take_back(RX);
	f.dev->ops->pause(f.dev, 0, true);
	f.dev->ops->pause(f.dev, 0, false);
	fixture_give_again(RX, 16);
	add_buffer(20, 512);
	kick(RX);
	network_sends(1, 90);
	pump();
	assert_int_equal(received(), 1);
	assert_int_equal(ring_take(&f.rings[RX], 0), 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(test_a_packet_is_in_one_buffer),
		NET_TEST(test_a_large_packet_is_spread_over_buffers),
		NET_TEST(test_packets_of_any_size_follow_each_other),
		NET_TEST(test_many_packets_are_one_interrupt),
		NET_TEST(test_without_buffers_packets_wait_outside),
		NET_TEST(test_a_packet_waits_for_the_rest_of_its_buffers),
		NET_TEST(test_a_large_packet_at_the_end_of_a_turn_arrives),
		NET_TEST(test_a_large_packet_at_the_end_of_a_turn_waits_for_buffers),
		NET_TEST(test_a_packet_larger_than_the_whole_ring_is_dropped),
		NET_TEST(test_without_merging_a_packet_has_one_buffer),
		NET_TEST(test_a_buffer_in_many_pieces_is_filled_in_order),
		NET_TEST(test_a_buffer_without_room_for_a_header_is_given_back),
		NET_TEST(test_packets_without_a_whole_header_are_dropped),
		NET_TEST(test_what_a_header_says_does_not_reach_the_guest),
		NET_TEST(test_a_broken_queue_needs_a_reset_and_the_other_goes_on),
		NET_TEST(test_a_queue_that_is_taken_back_gives_its_buffers),
		NET_TEST(test_half_a_packet_goes_with_the_queue),
		NET_TEST(test_sending_goes_on_while_receiving_is_reset),
		NET_TEST(test_a_pause_while_the_queue_is_reset_does_not_end_receiving),
		NET_TEST(test_what_waited_for_the_last_driver_is_not_the_next_ones),
		NET_TEST(test_the_end_of_the_network_takes_the_link_down),
		NET_TEST(test_a_pause_holds_packets_back_and_ends_with_an_announcement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
