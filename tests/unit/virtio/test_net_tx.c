/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net: packets of the driver to the network, the good and the bad.
 */
#include "net_fixture.h"

static void start(uint64_t features)
{
	fixture_start(features, NET_RING_SIZE);
}

static unsigned int sent(void)
{
	return ring_completed(&f.rings[TX]);
}

/* The network has this packet next, whatever its virtio-net header. */
static void expect_sent(unsigned int seed, size_t size)
{
	uint8_t *packet = malloc(size + 1);

	assert_int_equal(network_receives(packet, size + 1), size);
	for (size_t i = NET_HEADER; i < size; i++) {
		if (packet[i] != packet_byte(seed, i))
			fail_msg("byte %zu of the packet", i);
	}
	free(packet);
}

static void expect_nothing_sent(void)
{
	uint8_t byte;

	assert_int_equal(network_receives(&byte, 1), -1);
}

static void test_packets_go_out_in_order_with_one_interrupt(void **state)
{
	start(0);
	for (unsigned int i = 0; i < 50; i++)
		add_packet(i, i, 60 + i);
	kick(TX);
	for (unsigned int i = 0; i < 50; i++) {
		expect_sent(i, 60 + i);
		assert_int_equal(ring_take(&f.rings[TX], (uint16_t)i), 0);
	}
	assert_int_equal(f.signals[TX], 1);
	assert_int_equal(f.net->dropped, 0);
}

static void test_a_packet_in_any_pieces_is_one(void **state)
{
	struct piece pieces[50];

	start(0);
	add_packet(0, 9, 60);
	for (unsigned int i = 0; i < 50; i++)
		pieces[i] = (struct piece){NET_PACKETS + i, 1, 0};
	(void)ring_add(&f.rings[TX], pieces, 50);
	kick(TX);
	expect_sent(9, 60);
	expect_sent(9, 50);
}

static void test_more_than_a_turn_is_served_later(void **state)
{
	fixture_start(0, 256);
	for (unsigned int i = 0; i < 200; i++)
		add_packet(0, 1, 60);
	f.dev->ops->notify(f.dev, TX);
	assert_int_equal(sent(), NET_TURN);
	assert_int_equal(f.agains[TX], 1);
	for (int i = 0; i < 10; i++)
		pump();
	assert_int_equal(sent(), 200);
}

static void test_large_packets_are_given_back_while_others_are_sent(void **state)
{
	start(0);
	for (unsigned int i = 0; i < 4; i++)
		add_packet(i, i, 40000);
	kick(TX);
	for (unsigned int i = 0; i < 4; i++)
		expect_sent(i, 40000);
	/* After 64 KiB each. */
	assert_int_equal(f.signals[TX], 2);
	assert_int_equal(sent(), 4);
}

static void test_a_full_network_makes_packets_wait(void **state)
{
	unsigned int waiting;

	start(0);
	for (unsigned int i = 0; i < 60; i++)
		add_packet(i, i, 60000);
	kick(TX);
	waiting = 60 - sent();
	assert_true(waiting > 0);
	pump();
	kick(TX);
	assert_int_equal(60 - sent(), waiting);
	for (unsigned int i = 0; i < 60; i++) {
		expect_sent(i, 60000);
		pump();
	}
	assert_int_equal(sent(), 60);
	assert_int_equal(f.net->dropped, 0);
}

static void test_what_waits_when_the_network_ends_is_given_back(void **state)
{
	start(0);
	for (unsigned int i = 0; i < 60; i++)
		add_packet(i, i, 60000);
	kick(TX);
	assert_true(sent() < 60);
	close(f.peer);
	f.peer = -1;
	for (int i = 0; i < 4; i++)
		pump();
	assert_int_equal(sent(), 60);
	assert_int_equal(f.resets, 0);
}

static void expect_dropped(unsigned int slot, uint32_t size)
{
	uint64_t before = f.net->dropped;
	unsigned int done = sent();

	add_packet(slot, 1, size);
	kick(TX);
	assert_int_equal(f.net->dropped, before + 1);
	assert_int_equal(sent(), done + 1);
	expect_nothing_sent();
}

static void test_packets_of_no_sensible_size_are_dropped(void **state)
{
	const struct piece writable = {NET_PACKETS, 2000, RING_WRITE};

	start(0);
	expect_dropped(0, 0);
	expect_dropped(0, 1);
	expect_dropped(0, NET_HEADER);
	expect_dropped(0, NET_HEADER + NET_FRAME_MIN - 1);
	expect_dropped(0, NET_PACKET_MAX + 1);
	(void)ring_add(&f.rings[TX], &writable, 1);
	kick(TX);
	assert_int_equal(f.net->dropped, 6);
	add_packet(0, 3, NET_HEADER + NET_FRAME_MIN);
	kick(TX);
	expect_sent(3, NET_HEADER + NET_FRAME_MIN);
}

struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

/* Sends a packet of 100 bytes behind this header; true if it arrived, with the header in `ret`. */
static bool try_header(struct header h, struct header *ret)
{
	uint8_t packet[200];

	add_packet(0, 1, NET_HEADER + 100);
	assert_int_equal(ram_write(f.ram, NET_PACKETS, &h, sizeof(h)), 0);
	kick(TX);
	if (network_receives(packet, sizeof(packet)) < 0)
		return false;
	memcpy(ret, packet, sizeof(*ret));
	return true;
}

static void test_segments_need_their_feature_and_a_size(void **state)
{
	static const struct {
		uint8_t type;
		uint64_t feature;
	} types[] = {
		{1, NET_F_HOST_TSO4},
		{3, NET_F_HOST_UFO},
		{4, NET_F_HOST_TSO6},
		{5, NET_F_HOST_USO},
		{0x81, NET_F_HOST_TSO4 | NET_F_HOST_ECN},
		{0x84, NET_F_HOST_TSO6 | NET_F_HOST_ECN},
	};
	struct header got;

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct header h = {.gso_type = types[i].type, .gso_size = 40};

		start(types[i].feature);
		assert_true(try_header(h, &got));
		assert_int_equal(got.gso_size, 40);
		h.gso_size = 0;
		assert_false(try_header(h, &got));
		fixture_end();
		start(~types[i].feature);
		h.gso_size = 40;
		assert_false(try_header(h, &got));
		fixture_end();
	}
	start(UINT64_MAX);
	for (unsigned int type = 0; type < 256; type++) {
		struct header h = {.gso_type = (uint8_t)type, .gso_size = 1};
		unsigned int base = type & 0x7f;

		assert_int_equal(try_header(h, &got),
			type == 0 || base == 1 || base == 3 || base == 4 || base == 5);
	}
}

static void test_checksums_lie_inside_the_packet(void **state)
{
	struct header got;

	start(NET_F_CSUM);
	assert_true(
		try_header((struct header){.flags = 1, .csum_start = 34, .csum_offset = 16}, &got));
	assert_int_equal(got.csum_offset, 16);
	assert_true(
		try_header((struct header){.flags = 1, .csum_start = 82, .csum_offset = 16}, &got));
	assert_false(
		try_header((struct header){.flags = 1, .csum_start = 83, .csum_offset = 16}, &got));
	assert_false(try_header(
		(struct header){.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, &got));
	fixture_end();
	start(0);
	assert_false(
		try_header((struct header){.flags = 1, .csum_start = 34, .csum_offset = 16}, &got));
}

static void test_what_is_not_the_drivers_to_say_is_taken_out(void **state)
{
	struct header got;

	start(0);
	assert_true(try_header((struct header){.flags = 0xfe, .num_buffers = 0x1234}, &got));
	assert_int_equal(got.flags, 0);
	assert_int_equal(got.num_buffers, 0);
}

static void test_many_bad_packets_are_few_lines(void **state)
{
	start(0);
	for (unsigned int i = 0; i < 1000; i++) {
		add_packet(0, 1, 3);
		kick(TX);
		(void)ring_take(&f.rings[TX], (uint16_t)(i % NET_RING_SIZE));
	}
	assert_int_equal(f.net->dropped, 1000);
	assert_in_range(f.lines, 1, 20);
}

static void test_a_broken_queue_needs_a_reset(void **state)
{
	const struct piece outside = {BENCH_RAM - 1, 2, 0};

	start(0);
	(void)ring_add(&f.rings[TX], &outside, 1);
	kick(TX);
	kick(TX);
	assert_int_equal(f.resets, 1);
	assert_int_equal(sent(), 0);
	expect_nothing_sent();
}

static void test_a_header_that_changes_after_it_was_looked_at(void **state)
{
	const struct header bad = {.flags = 1, .gso_type = 0x77, .csum_start = 0xffff};
	uint8_t packet[65536];

	start(0);
	for (unsigned int i = 0; i < 60; i++)
		add_packet(i, i, 60000);
	kick(TX);
	assert_true(f.net->pairs[0].tx_waits);
	for (unsigned int i = 0; i < 60; i++)
		assert_int_equal(
			ram_write(f.ram, NET_PACKETS + i * 0x20000ull, &bad, sizeof(bad)), 0);
	/* The one that waits went through the checks with what goes out now. */
	while (f.net->pairs[0].tx_waits) {
		assert_int_equal(network_receives(packet, sizeof(packet)), 60000);
		assert_memory_equal(packet, ((uint8_t[NET_HEADER]){0}), NET_HEADER);
		pump();
	}
	while (network_receives(packet, sizeof(packet)) > 0)
		assert_memory_equal(packet, ((uint8_t[NET_HEADER]){0}), NET_HEADER);
	pump();
	assert_int_equal(sent(), 60);
	assert_true(f.net->dropped > 0);
}

static void test_a_queue_that_is_taken_back_gives_what_waits(void **state)
{
	uint8_t packet[256];
	unsigned int n = 0;

	start(0);
	while (!f.net->pairs[0].tx_waits) {
		add_packet(0, n++, NET_HEADER + 200);
		kick(TX);
		if (!f.net->pairs[0].tx_waits)
			(void)ring_take(&f.rings[TX], (uint16_t)((n - 1) % NET_RING_SIZE));
	}
	fixture_take_back(TX);
	assert_false(f.net->pairs[0].tx_waits);
	assert_int_equal(f.net->dropped, 1);
	assert_true(f.drained[TX] > 0);
	while (network_receives(packet, sizeof(packet)) >= 0)
		n--;
	assert_int_equal(n, 1);
	fixture_give_again(TX, 16);
	add_packet(0, 3, NET_HEADER + 100);
	kick(TX);
	assert_int_equal(network_receives(packet, sizeof(packet)), NET_HEADER + 100);
	assert_int_equal(ring_take(&f.rings[TX], 0), 0);
	assert_int_equal(f.resets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(test_packets_go_out_in_order_with_one_interrupt),
		NET_TEST(test_a_packet_in_any_pieces_is_one),
		NET_TEST(test_more_than_a_turn_is_served_later),
		NET_TEST(test_large_packets_are_given_back_while_others_are_sent),
		NET_TEST(test_a_full_network_makes_packets_wait),
		NET_TEST(test_what_waits_when_the_network_ends_is_given_back),
		NET_TEST(test_packets_of_no_sensible_size_are_dropped),
		NET_TEST(test_segments_need_their_feature_and_a_size),
		NET_TEST(test_checksums_lie_inside_the_packet),
		NET_TEST(test_what_is_not_the_drivers_to_say_is_taken_out),
		NET_TEST(test_many_bad_packets_are_few_lines),
		NET_TEST(test_a_broken_queue_needs_a_reset),
		NET_TEST(test_a_header_that_changes_after_it_was_looked_at),
		NET_TEST(test_a_queue_that_is_taken_back_gives_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
