/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net on an interface that has offloads, and takes them as the kernel's TAPs do; or refuses
 * what is set, or is gone.
 */
#include "net_fixture.h"

#include "base/alloc.h"

#define CSUM NET_OFFLOAD_CSUM
#define TSO4 NET_OFFLOAD_TSO4
#define TSO6 NET_OFFLOAD_TSO6
#define ECN  NET_OFFLOAD_ECN
#define USO4 NET_OFFLOAD_USO4
#define USO6 NET_OFFLOAD_USO6

static struct {
	unsigned int set;
	int error; /* that it says to all settings and packets; 0: none */
} tap;

static ssize_t tap_receive(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n)
{
	ssize_t got = readv(backend->fds[queue], iov, n);

	if (!got)
		return -ENODEV;
	return got < 0 ? -errno : got;
}

static int tap_send(struct net_backend *backend, unsigned int queue, struct iovec *iov, int n)
{
	return writev(backend->fds[queue], iov, n) < 0 ? -errno : 0;
}

/* The rules of tun.c, set_offload(). */
static int tap_set_offloads(struct net_backend *backend, unsigned int offloads)
{
	bool segments = offloads & (TSO4 | TSO6);

	if (tap.error)
		return tap.error;
	if ((offloads && !(offloads & CSUM)) || (offloads & ECN && !segments) ||
		!(offloads & USO4) != !(offloads & USO6))
		return -EINVAL;
	tap.set = offloads;
	return 0;
}

static const struct net_backend_ops tap_ops = {
	.receive = tap_receive, .send = tap_send, .set_offloads = tap_set_offloads};

static int setup(void **state)
{
	struct net_backend *backend = new0(struct net_backend);
	int fds[2];

	memset(&tap, 0, sizeof(tap));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	backend->ops = &tap_ops;
	backend->n_queues = backend->n_attached = 1;
	backend->offloads = CSUM | TSO4 | TSO6 | ECN | USO4 | USO6;
	backend->fds[0] = fds[0];
	fixture_create(backend, RAM_ANON);
	f.peer = fds[1];
	return 0;
}

static void start(uint64_t features)
{
	fixture_start(features | NET_F_MRG_RXBUF | NET_F_STATUS, NET_RING_SIZE);
}

/* Packets move both ways. */
static void expect_network(void)
{
	uint8_t packet[256];

	add_buffer(0, 256);
	kick(RX);
	network_sends(1, 100);
	pump();
	expect_packet(1, 100, 0, 256);
	add_packet(0, 5, NET_HEADER + 100);
	kick(TX);
	assert_int_equal(network_receives(packet, sizeof(packet)), NET_HEADER + 100);
}

static void test_what_the_driver_takes_is_set(void **state)
{
	start(NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_ECN | NET_F_GUEST_USO4 |
		NET_F_GUEST_USO6);
	assert_int_equal(tap.set, CSUM | TSO4 | ECN | USO4 | USO6);
	fixture_end();
	assert_int_equal(tap.set, 0);
	start(NET_F_GUEST_CSUM | NET_F_GUEST_TSO6);
	assert_int_equal(tap.set, CSUM | TSO6);
}

static void test_what_the_interface_does_not_take_alone_is_left_out(void **state)
{
	start(NET_F_GUEST_CSUM | NET_F_GUEST_USO4);
	assert_int_equal(tap.set, CSUM);
	expect_network();
	fixture_end();
	start(NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_USO6);
	assert_int_equal(tap.set, CSUM | TSO4);
	fixture_end();
	start(NET_F_GUEST_CSUM | NET_F_GUEST_ECN);
	assert_int_equal(tap.set, CSUM);
	expect_network();
	fixture_end();
	start(NET_F_GUEST_TSO4 | NET_F_GUEST_ECN); /* 5.1.3.1: nothing without CSUM */
	assert_int_equal(tap.set, 0);
	assert_int_equal(f.lines, 0);
}

static void test_an_interface_that_refuses_settings_has_packets(void **state)
{
	tap.error = -EPERM;
	start(NET_F_GUEST_CSUM);
	assert_int_equal(f.lines, 1);
	expect_network();
	assert_int_equal(f.changes, 0);
}

static void test_one_that_went_while_there_was_no_driver_has_no_link(void **state)
{
	uint8_t status[2];

	tap.error = -EBADFD;
	close(f.peer);
	f.peer = -1;
	start(NET_F_GUEST_CSUM);
	f.dev->ops->config_read(f.dev, 6, status, 2);
	assert_int_equal(load_le16(status), 0);
	assert_int_equal(f.changes, 1);
	assert_int_equal(f.resets, 0);
}

#define TAP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TAP_TEST(test_what_the_driver_takes_is_set),
		TAP_TEST(test_what_the_interface_does_not_take_alone_is_left_out),
		TAP_TEST(test_an_interface_that_refuses_settings_has_packets),
		TAP_TEST(test_one_that_went_while_there_was_no_driver_has_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
