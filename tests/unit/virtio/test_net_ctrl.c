/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net: the control queue and the configuration.
 */
#include "net_fixture.h"

#define ACK       (NET_COMMAND + 0x10000)
#define NO_ANSWER 0xee
#define OK        0
#define ERR       1

#define ALL                                                                                        \
	(NET_F_CTRL_VQ | NET_F_CTRL_RX | NET_F_CTRL_VLAN | NET_F_CTRL_MAC_ADDR |                   \
		NET_F_GUEST_ANNOUNCE | NET_F_STATUS | NET_F_MQ | NET_F_CTRL_GUEST_OFFLOADS)

static void start(uint64_t features)
{
	/* With one pair MQ does not move the control queue. */
	fixture_start(features, NET_RING_SIZE);
}

/* A command of these bytes, in one piece; the device's answer. */
static uint8_t command(const void *bytes, uint32_t size)
{
	const struct piece pieces[] = {{NET_COMMAND, size, 0}, {ACK, 1, RING_WRITE}};
	uint16_t head;

	ram_put(f.ram, ACK, NO_ANSWER, 1);
	assert_int_equal(ram_write(f.ram, NET_COMMAND, bytes, size), 0);
	head = ring_add(&f.rings[CTRL_QUEUE], pieces, 2);
	kick(CTRL_QUEUE);
	assert_int_equal(ring_take(&f.rings[CTRL_QUEUE], head), 1);
	return (uint8_t)ram_get(f.ram, ACK, 1);
}

#define COMMAND(...) command((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint64_t config(unsigned int off, unsigned int size)
{
	uint8_t raw[8] = {0};

	f.dev->ops->config_read(f.dev, off, raw, size);
	return load_le64(raw);
}

static void test_configuration_and_features(void **state)
{
	assert_int_equal(f.dev->id, 1);
	assert_int_equal(f.dev->n_queues, 3);
	assert_int_equal(config(0, 6), 0x050403020102);
	assert_int_equal(config(6, 2), NET_S_LINK_UP);
	assert_int_equal(config(8, 2), 1);
	assert_int_equal(config(10, 2), 1400);
	assert_int_equal(config(5, 1), 5);
	/* A socket has no offloads, and one pair is not several. */
	assert_int_equal(f.dev->features, NET_F_MAC | NET_F_MTU | NET_F_STATUS | NET_F_MRG_RXBUF |
						  NET_F_CTRL_VQ | NET_F_CTRL_RX | NET_F_CTRL_VLAN |
						  NET_F_CTRL_MAC_ADDR | NET_F_GUEST_ANNOUNCE |
						  VIRTIO_F_IN_ORDER | VIRTIO_F_RING_RESET);
}

static void test_receive_modes(void **state)
{
	start(ALL);
	assert_int_equal(COMMAND(0, 0, 1), OK);
	assert_true(f.net->filter.promiscuous);
	assert_int_equal(COMMAND(0, 0, 0), OK);
	assert_false(f.net->filter.promiscuous);
	assert_int_equal(COMMAND(0, 1, 1), OK);
	assert_true(f.net->filter.all_multicast);
	assert_int_equal(COMMAND(0, 1, 2), ERR);
	assert_int_equal(COMMAND(0, 2, 1), ERR); /* CTRL_RX_EXTRA is not offered */
}

static void test_address_table(void **state)
{
	start(ALL);
	assert_int_equal(COMMAND(1, 0, 0, 0, 0, 0, 0, 0, 0, 0), OK);
	assert_true(f.net->filter.has_table);
	assert_int_equal(COMMAND(1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0x33, 0x33, 0, 0,
				 0, 1, 0x33, 0x33, 0, 0, 0, 2),
		OK);
	assert_int_equal(f.net->filter.n_unicast, 1);
	assert_int_equal(f.net->filter.n_multicast, 2);
	assert_int_equal(f.net->filter.table[0][5], 9);
	assert_int_equal(f.net->filter.table[2][5], 2);
	assert_false(f.net->filter.is_full);
}

static void test_address_tables_that_are_cut_change_nothing(void **state)
{
	start(ALL);
	assert_int_equal(COMMAND(1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0), OK);
	assert_int_equal(COMMAND(1, 0, 0, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(1, 0, 0, 0, 0, 0, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(1, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(1, 0, 0, 0, 0, 0, 0xab, 0xaa, 0xaa, 0x2a), ERR);
	assert_int_equal(f.net->filter.n_unicast, 1);
	assert_int_equal(f.net->filter.n_multicast, 0);
}

static void test_an_address_table_that_is_too_long_lets_all_pass(void **state)
{
	uint8_t bytes[2 + 4 + 6 * (NET_FILTER_MAX + 1) + 4] = {1, 0, NET_FILTER_MAX + 1};

	start(ALL);
	assert_int_equal(command(bytes, sizeof(bytes)), OK);
	assert_true(f.net->filter.is_full);
	bytes[2] = NET_FILTER_MAX;
	bytes[2 + 4 + 6 * NET_FILTER_MAX] = 0;
	assert_int_equal(command(bytes, sizeof(bytes) - 6), OK);
	assert_false(f.net->filter.is_full);
	assert_int_equal(f.net->filter.n_unicast, NET_FILTER_MAX);
}

static void test_the_address_changes_until_the_reset(void **state)
{
	start(ALL);
	assert_int_equal(COMMAND(1, 1, 2, 9, 8, 7, 6, 5), OK);
	assert_int_equal(config(0, 6), 0x050607080902);
	assert_int_equal(COMMAND(1, 1, 1, 9, 8, 7, 6, 5), ERR); /* a group's */
	assert_int_equal(COMMAND(1, 1, 2, 9, 8, 7, 6), ERR);
	assert_int_equal(config(0, 6), 0x050607080902);
	assert_int_equal(COMMAND(1, 0, 0, 0, 0, 0, 0, 0, 0, 0), OK);
	fixture_end();
	assert_int_equal(config(0, 6), 0x050403020102);
	assert_false(f.net->filter.has_table);
}

static void test_pairs_are_those_that_there_are(void **state)
{
	start(ALL);
	assert_int_equal(COMMAND(4, 0, 1, 0), OK);
	assert_int_equal(COMMAND(4, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(4, 0, 2, 0), ERR);
	assert_int_equal(COMMAND(4, 0, 0xff, 0xff), ERR);
	assert_int_equal(COMMAND(4, 0, 1), ERR);
	assert_int_equal(COMMAND(4, 1, 1, 0), ERR); /* RSS */
}

static void test_vlans_are_accepted(void **state)
{
	start(ALL);
	assert_int_equal(COMMAND(2, 0, 5, 0), OK);
	assert_int_equal(COMMAND(2, 1, 5, 0), OK);
	assert_int_equal(COMMAND(2, 0, 5), ERR);
	assert_int_equal(COMMAND(2, 2, 5, 0), ERR);
}

static void test_an_announcement_is_acknowledged(void **state)
{
	start(ALL);
	f.dev->ops->pause(f.dev, 0, true);
	f.dev->ops->pause(f.dev, 0, false);
	assert_int_equal(config(6, 2), NET_S_LINK_UP | NET_S_ANNOUNCE);
	assert_int_equal(COMMAND(3, 0), OK);
	assert_int_equal(config(6, 2), NET_S_LINK_UP);
}

static void test_offloads_are_those_that_were_negotiated(void **state)
{
	start(ALL);
	assert_int_equal(COMMAND(5, 0, 0, 0, 0, 0, 0, 0, 0, 0), OK);
	assert_int_equal(COMMAND(5, 0, 2, 0, 0, 0, 0, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(5, 0, 0, 0, 0, 0, 0, 0, 0), ERR);
}

static void test_commands_need_their_feature(void **state)
{
	start(NET_F_CTRL_VQ);
	assert_int_equal(COMMAND(0, 0, 1), ERR);
	assert_int_equal(COMMAND(1, 0, 0, 0, 0, 0, 0, 0, 0, 0), ERR);
	assert_int_equal(COMMAND(1, 1, 2, 9, 8, 7, 6, 5), ERR);
	assert_int_equal(COMMAND(2, 0, 5, 0), ERR);
	assert_int_equal(COMMAND(3, 0), ERR);
	assert_int_equal(COMMAND(4, 0, 1, 0), ERR);
	assert_int_equal(COMMAND(5, 0, 0, 0, 0, 0, 0, 0, 0, 0), ERR);
	assert_int_equal(f.net->filter.promiscuous, false);
}

static void test_what_is_no_command_is_an_error(void **state)
{
	const struct piece only_answer = {ACK, 1, RING_WRITE};
	const struct piece no_answer = {NET_COMMAND, 3, 0};

	start(ALL);
	assert_int_equal(COMMAND(0), ERR);
	assert_int_equal(COMMAND(6, 0, 0), ERR);
	assert_int_equal(COMMAND(0xff, 0xff, 0), ERR);
	(void)ring_add(&f.rings[CTRL_QUEUE], &only_answer, 1);
	(void)ring_add(&f.rings[CTRL_QUEUE], &no_answer, 1);
	kick(CTRL_QUEUE);
	assert_int_equal(ring_completed(&f.rings[CTRL_QUEUE]), 2);
	assert_int_equal(f.resets, 0);
}

static void test_a_command_in_any_pieces_is_one(void **state)
{
	static const uint8_t bytes[] = {1, 1, 2, 1, 1, 1, 1, 1};
	struct piece pieces[9];

	start(ALL);
	assert_int_equal(ram_write(f.ram, NET_COMMAND, bytes, sizeof(bytes)), 0);
	for (unsigned int i = 0; i < 8; i++)
		pieces[i] = (struct piece){NET_COMMAND + i, 1, 0};
	pieces[8] = (struct piece){ACK, 1, RING_WRITE};
	(void)ring_add(&f.rings[CTRL_QUEUE], pieces, 9);
	kick(CTRL_QUEUE);
	assert_int_equal(config(0, 6), 0x010101010102);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(test_configuration_and_features),
		NET_TEST(test_receive_modes),
		NET_TEST(test_address_table),
		NET_TEST(test_address_tables_that_are_cut_change_nothing),
		NET_TEST(test_an_address_table_that_is_too_long_lets_all_pass),
		NET_TEST(test_the_address_changes_until_the_reset),
		NET_TEST(test_pairs_are_those_that_there_are),
		NET_TEST(test_vlans_are_accepted),
		NET_TEST(test_an_announcement_is_acknowledged),
		NET_TEST(test_offloads_are_those_that_were_negotiated),
		NET_TEST(test_commands_need_their_feature),
		NET_TEST(test_what_is_no_command_is_an_error),
		NET_TEST(test_a_command_in_any_pieces_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
