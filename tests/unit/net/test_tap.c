/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP interfaces of the kernel, in a network namespace of their own, where that is allowed; and
 * descriptors of other kinds.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/tap.h"
#include "sys/tun.h"

#define PACKET 100

static bool has_tun;

static struct net_backend *open_tap(const char *name, unsigned int n_queues)
{
	struct net_tap_options options = {
		.path = NET_DEV_TUN, .if_name = name, .fd = -1, .n_queues = n_queues};
	struct net_backend *tap;

	if (!has_tun)
		skip();
	assert_ok(net_tap_open(&options, &tap));
	return tap;
}

static void set_up(const char *name, bool up)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_flags = up ? IFF_UP : 0};

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
}

/* A broadcast frame of a private type, as the guest's. */
static int send_frame(struct net_backend *tap, unsigned int queue, uint8_t gso_type)
{
	uint8_t packet[NET_HEADER + PACKET] = {0, gso_type};
	struct iovec iov[2] = {{.iov_base = packet, .iov_len = NET_HEADER},
		{.iov_base = packet + NET_HEADER, .iov_len = PACKET}};

	memset(packet + NET_HEADER, 0xff, 6);
	packet[NET_HEADER + 6] = 2;
	packet[NET_HEADER + 12] = 0x88;
	packet[NET_HEADER + 13] = 0xb5;
	return net_backend_send(tap, queue, iov, 2);
}

static ssize_t receive(struct net_backend *tap, unsigned int queue)
{
	uint8_t packet[2048];
	struct iovec iov = {.iov_base = packet, .iov_len = sizeof(packet)};

	return net_backend_receive(tap, queue, &iov, 1);
}

/* The host sends a frame to this address by a packet socket; how many the guest's side got. */
static unsigned int frames_for(struct net_backend *tap, const uint8_t to[6])
{
	auto_close int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll to_interface = {.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(tap->name),
		.sll_halen = 6};
	uint8_t frame[PACKET] = {[6] = 2, [12] = 0x88, [13] = 0xb5};
	unsigned int n = 0;

	memcpy(frame, to, 6);
	net_backend_drain(tap);
	assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (const struct sockaddr *)&to_interface,
				 sizeof(to_interface)),
		sizeof(frame));
	/* The host may have its own to say, of other sizes. */
	for (ssize_t size = receive(tap, 0); size > 0; size = receive(tap, 0))
		n += size == NET_HEADER + PACKET;
	return n;
}

static void test_an_interface_is_made_and_takes_packets(void **state)
{
	struct net_backend *tap = open_tap("unit0", 1);

	assert_string_equal(tap->name, "unit0");
	assert_true(tap->is_interface);
	assert_false(tap->has_address);
	assert_true(tap->offloads & NET_OFFLOAD_CSUM);
	assert_int_equal(send_frame(tap, 0, 0), -EIO); /* it is down */
	set_up("unit0", true);
	assert_int_equal(send_frame(tap, 0, 0), 0);
	assert_int_equal(send_frame(tap, 0, 0x77), -EINVAL);
	net_backend_drain(tap);
	assert_int_equal(receive(tap, 0), -EAGAIN);
	net_backend_free(tap);
	assert_int_equal(if_nametoindex("unit0"), 0);
}

static void test_offloads_that_were_probed_can_be_set(void **state)
{
	struct net_backend *tap = open_tap("unit0", 1);

	assert_int_equal(net_backend_set_offloads(tap, tap->offloads), 0);
	assert_int_equal(net_backend_set_offloads(tap, NET_OFFLOAD_CSUM), 0);
	assert_int_equal(net_backend_set_offloads(tap, 0), 0);
	assert_int_equal(net_backend_set_offloads(tap, 0x8000), -EINVAL);
	net_backend_free(tap);
}

static void test_queues_are_attached_and_detached(void **state)
{
	struct net_backend *tap = open_tap("unit0", 4);

	assert_int_equal(tap->n_queues, 4);
	assert_int_equal(tap->n_attached, 1);
	for (unsigned int n = 1; n <= 4; n++) {
		assert_int_equal(net_backend_set_queues(tap, n), 0);
		assert_int_equal(tap->n_attached, n);
	}
	set_up("unit0", true);
	assert_int_equal(send_frame(tap, 3, 0), 0);
	assert_int_equal(net_backend_set_queues(tap, 1), 0);
	assert_int_equal(net_backend_set_queues(tap, 1), 0);
	net_backend_free(tap);
}

static void test_the_filter_keeps_others_packets_out(void **state)
{
	static const uint8_t own[] = {2, 0, 0, 0, 0, 1}, other[] = {2, 0, 0, 0, 0, 2};
	static const uint8_t group[] = {0x33, 0x33, 0, 0, 0, 1},
			     all[] = {255, 255, 255, 255, 255, 255};
	uint8_t list[2][NET_ADDRESS];
	struct net_backend *tap = open_tap("unit0", 1);

	set_up("unit0", true);
	memcpy(list[0], own, 6);
	memcpy(list[1], all, 6);
	assert_int_equal(frames_for(tap, other), 1);
	net_backend_set_filter(tap, list, 2, false);
	assert_int_equal(frames_for(tap, own), 1);
	assert_int_equal(frames_for(tap, all), 1);
	assert_int_equal(frames_for(tap, other), 0);
	assert_int_equal(frames_for(tap, group), 0);
	net_backend_set_filter(tap, list, 2, true);
	assert_int_equal(frames_for(tap, group), 1);
	assert_int_equal(frames_for(tap, other), 0);
	net_backend_set_filter(tap, NULL, 0, false);
	assert_int_equal(frames_for(tap, other), 1);
	net_backend_free(tap);
}

static void test_one_queue_of_a_multi_queue_interface(void **state)
{
	struct net_tap_options options = {
		.path = NET_DEV_TUN, .if_name = "unit0", .fd = -1, .n_queues = 1};
	struct net_backend *first = open_tap("unit0", 2);
	struct net_backend *second;

	assert_ok(net_tap_open(&options, &second));
	net_backend_free(second);
	net_backend_free(first);
}

static void test_an_interface_in_use_is_refused(void **state)
{
	struct net_tap_options options = {
		.path = NET_DEV_TUN, .if_name = "unit0", .fd = -1, .n_queues = 1};
	struct net_backend *tap = open_tap("unit0", 1);
	struct net_backend *second;

	assert_err(net_tap_open(&options, &second), "another process has it");
	options.n_queues = 2;
	assert_err(net_tap_open(&options, &second), "with 2 queues");
	net_backend_free(tap);
}

static void test_a_tun_device_needs_a_name(void **state)
{
	struct net_tap_options options = {.path = NET_DEV_TUN, .fd = -1, .n_queues = 1};
	struct net_backend *tap;

	if (!has_tun)
		skip();
	assert_err(net_tap_open(&options, &tap), "needs the name");
}

static void test_a_descriptor_of_a_tap_is_taken(void **state)
{
	struct net_backend *first = open_tap("unit0", 1);
	struct net_tap_options options = {.fd = first->fds[0], .n_queues = 1};
	struct net_backend *tap;

	assert_ok(net_tap_open(&options, &tap));
	assert_string_equal(tap->name, "unit0");
	assert_true(tap->offloads & NET_OFFLOAD_TSO4);
	net_backend_free(first);
	set_up("unit0", true); /* the descriptor is the tap's own, it lives on */
	assert_int_equal(send_frame(tap, 0, 0), 0);
	net_backend_free(tap);
}

static void refuse_fd(int fd, const char *part)
{
	struct net_tap_options options = {.fd = fd, .n_queues = 1};
	struct net_backend *tap;

	assert_err(net_tap_open(&options, &tap), part);
}

static void test_descriptors_of_other_kinds_are_refused(void **state)
{
	auto_close int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	auto_close int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	auto_close int tun = open(NET_DEV_TUN, O_RDWR | O_CLOEXEC);

	refuse_fd(file, "neither a TAP nor a socket");
	refuse_fd(stream, "does not keep packets apart");
	refuse_fd(1000000, "Cannot use the descriptor fd=1000000");
	if (tun >= 0)
		refuse_fd(tun, "neither a TAP nor a socket"); /* attached to nothing */
}

static void test_a_tap_without_headers_is_refused(void **state)
{
	struct ifreq request = {.ifr_name = "unit0"};
	auto_close int fd = open(NET_DEV_TUN, O_RDWR | O_CLOEXEC);

	if (!has_tun)
		skip();
	request.ifr_flags = 0x1002; /* IFF_TAP, IFF_NO_PI */
	assert_int_equal(ioctl(fd, 0x400454ca, &request), 0);
	refuse_fd(fd, "no TAP with virtio-net headers");
}

static void test_a_path_that_is_no_device_is_refused(void **state)
{
	struct net_tap_options options = {.path = "/dev/null", .fd = -1, .n_queues = 1};
	struct net_backend *tap;

	assert_err(net_tap_open(&options, &tap), "Cannot attach to the interface \"/dev/null\"");
	options.path = "/nowhere/tap";
	assert_err(net_tap_open(&options, &tap), "Cannot open \"/nowhere/tap\"");
}

static void test_a_socket_is_a_network_without_offloads(void **state)
{
	struct net_tap_options options = {.n_queues = 1};
	struct net_backend *tap;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	options.fd = fds[0];
	assert_ok(net_tap_open(&options, &tap));
	assert_false(tap->is_interface);
	assert_int_equal(tap->offloads, 0);
	assert_int_equal(net_backend_set_offloads(tap, 0), 0);
	assert_int_equal(net_backend_set_offloads(tap, NET_OFFLOAD_CSUM), -EOPNOTSUPP);
	net_backend_set_filter(tap, NULL, 0, false);
	assert_int_equal(receive(tap, 0), -EAGAIN);
	assert_int_equal(send_frame(tap, 0, 0), 0);
	close(fds[1]);
	assert_int_equal(send_frame(tap, 0, 0), -ECONNREFUSED); /* and no SIGPIPE */
	close(fds[0]);
	net_backend_free(tap);
}

/* Without IPv6, whose own packets come as soon as an interface is up. */
static int own_network(void **state)
{
	auto_close int fd = -1;

	has_tun = !unshare(CLONE_NEWNET) && !access(NET_DEV_TUN, R_OK | W_OK);
	fd = has_tun ? open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC)
		     : -1;
	if (fd >= 0)
		assert_int_equal(write(fd, "1", 1), 1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_interface_is_made_and_takes_packets),
		cmocka_unit_test(test_offloads_that_were_probed_can_be_set),
		cmocka_unit_test(test_queues_are_attached_and_detached),
		cmocka_unit_test(test_the_filter_keeps_others_packets_out),
		cmocka_unit_test(test_one_queue_of_a_multi_queue_interface),
		cmocka_unit_test(test_an_interface_in_use_is_refused),
		cmocka_unit_test(test_a_tun_device_needs_a_name),
		cmocka_unit_test(test_a_descriptor_of_a_tap_is_taken),
		cmocka_unit_test(test_descriptors_of_other_kinds_are_refused),
		cmocka_unit_test(test_a_tap_without_headers_is_refused),
		cmocka_unit_test(test_a_path_that_is_no_device_is_refused),
		cmocka_unit_test(test_a_socket_is_a_network_without_offloads),
	};

	return cmocka_run_group_tests(tests, own_network, NULL);
}
