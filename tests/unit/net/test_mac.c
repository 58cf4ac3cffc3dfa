/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/mac.h"

static void generate(const char *interface, unsigned int index, uint8_t mac[NET_ADDRESS])
{
	struct net_backend tap = {0};

	strncpy(tap.name, interface, sizeof(tap.name) - 1);
	net_mac_generate(&tap, index, mac);
	/* One interface's, and locally administered. */
	assert_int_equal(mac[0] & 3, 2);
}

static void test_an_address_is_stable(void **state)
{
	uint8_t a[NET_ADDRESS], b[NET_ADDRESS];

	generate("tap0", 0, a);
	generate("tap0", 0, b);
	assert_memory_equal(a, b, sizeof(a));
}

static void test_interfaces_and_cards_have_different_addresses(void **state)
{
	uint8_t all[64][NET_ADDRESS];
	unsigned int n = 0;

	for (unsigned int i = 0; i < 64; i++, n++) {
		char name[NET_NAME_SIZE];

		(void)snprintf(name, sizeof(name), "tap%u", i / 4);
		generate(name, i % 4, all[n]);
		for (unsigned int k = 0; k < n; k++)
			assert_memory_not_equal(all[k], all[n], NET_ADDRESS);
	}
}

static void test_a_macvtap_keeps_its_own(void **state)
{
	struct net_backend tap = {.has_address = true, .address = {2, 3, 4, 5, 6, 7}};
	uint8_t mac[NET_ADDRESS];

	net_mac_generate(&tap, 3, mac);
	assert_memory_equal(mac, tap.address, sizeof(mac));
}

static void test_both_ends_of_a_pair_of_sockets_differ(void **state)
{
	uint8_t macs[2][NET_ADDRESS];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	for (int i = 0; i < 2; i++) {
		struct net_backend tap = {.fds = {fds[i]}};

		net_mac_generate(&tap, 0, macs[i]);
		close(fds[i]);
	}
	assert_memory_not_equal(macs[0], macs[1], NET_ADDRESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_address_is_stable),
		cmocka_unit_test(test_interfaces_and_cards_have_different_addresses),
		cmocka_unit_test(test_a_macvtap_keeps_its_own),
		cmocka_unit_test(test_both_ends_of_a_pair_of_sockets_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
