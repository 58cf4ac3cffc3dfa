/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device without transport, on one end of a pair of sockets that keep packets apart: the
 * other end is the network. Its loop runs when the test pumps it.
 */
#pragma once

#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/tap.h"
#include "virtio/dev/net_internal.h"

#define NET_RING_SIZE 64
#define NET_BUFFERS   0x100000 /* of the driver: receive buffers */
#define NET_PACKETS   0x800000 /* packets to send */
#define NET_COMMAND   0x700000
#define RX            0
#define TX            1
#define CTRL_QUEUE    2

struct net_fixture {
	struct ram *ram;
	struct virtio_dev *dev;
	struct virtio_net *net;
	struct virtio_transport transport;
	struct loop *loop;
	struct loop_msg stop;
	struct ring rings[3];
	unsigned int signals[3], agains[3], drained[3], resets, changes;
	int peer; /* the network */
	struct log *log;
	struct log_sink sink;
	unsigned int lines;
	uint16_t tx_head;
};

static struct net_fixture f;

static inline void fixture_signal(struct virtio_transport *transport, unsigned int q)
{
	f.signals[q]++;
}

static inline void fixture_again(struct virtio_transport *transport, unsigned int q)
{
	f.agains[q]++;
}

static inline void fixture_drained(struct virtio_transport *transport, unsigned int q)
{
	f.drained[q]++;
}

static inline void fixture_needs_reset(struct virtio_transport *transport)
{
	f.resets++;
}

static inline void fixture_config_changed(struct virtio_transport *transport)
{
	f.changes++;
}

static inline void fixture_log(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	f.lines++;
}

static inline void fixture_stop(struct loop_msg *msg)
{
	loop_stop(f.loop);
}

/* What is ready now is served; and what the device wants to be asked again. */
static inline void pump(void)
{
	for (unsigned int q = 0; q < 3; q++) {
		while (f.agains[q]) {
			f.agains[q]--;
			f.dev->ops->notify(f.dev, q);
		}
	}
	f.stop.run = fixture_stop;
	loop_post(f.loop, &f.stop);
	loop_run(f.loop);
}

static inline void kick(unsigned int q)
{
	f.dev->ops->notify(f.dev, q);
	pump();
}

static inline void fixture_set_ring(unsigned int q, uint16_t size)
{
	struct virtq_layout layout = {.size = size};

	f.rings[q] = ring_at(f.ram, 0x10000ull * (q + 1), size);
	layout.desc = f.rings[q].desc;
	layout.driver = f.rings[q].avail;
	layout.device = f.rings[q].used;
	assert_int_equal(ram_fill(f.ram, layout.desc, 0, 0x3000), 0);
	assert_int_equal(virtq_init(&f.dev->queues[q], f.ram, &layout), 0);
}

/* The driver takes the queue back: whatever is in flight comes back at once. As the transport does
 * it (vp_drained()). */
static inline void fixture_take_back(unsigned int q)
{
	virtq_stop(&f.dev->queues[q]);
	f.dev->ops->queue_reset(f.dev, q);
	assert_int_equal(f.dev->queues[q].n_flight, 0);
	virtq_deinit(&f.dev->queues[q]);
	virtq_stop(&f.dev->queues[q]);
}

/* And gives the device another ring, with which a notification comes. */
static inline void fixture_give_again(unsigned int q, uint16_t size)
{
	virtq_deinit(&f.dev->queues[q]);
	fixture_set_ring(q, size);
	kick(q);
}

/* The driver is there: rings of this size, these features. */
static inline void fixture_start(uint64_t features, uint16_t size)
{
	f.dev->transport = &f.transport;
	f.dev->ram = f.ram;
	f.dev->loop = f.loop;
	f.dev->negotiated = features | VIRTIO_F_VERSION_1;
	for (unsigned int q = 0; q < 3; q++)
		fixture_set_ring(q, size);
	f.dev->ops->activate(f.dev);
	for (unsigned int q = 0; q < 3; q++)
		kick(q);
}

static inline void fixture_end(void)
{
	f.dev->ops->deactivate(f.dev);
	for (unsigned int q = 0; q < 3; q++)
		virtq_deinit(&f.dev->queues[q]);
}

/* The device on this back end, which is the device's from now on, and the guest's memory. */
static inline void fixture_create(struct net_backend *backend, enum ram_backend memory)
{
	const struct ram_options ram = {.backend = memory};
	struct virtio_net_options options = {
		.name = "virtio-net-0", .backend = backend, .mac = {2, 1, 2, 3, 4, 5}, .mtu = 1400};

	f = (struct net_fixture){.transport = {.signal = fixture_signal,
					 .drained = fixture_drained,
					 .again = fixture_again,
					 .needs_reset = fixture_needs_reset,
					 .config_changed = fixture_config_changed},
		.sink.write = fixture_log};
	assert_ok(log_create("warn", &f.sink, &f.log));
	log_bind(f.log);
	assert_ok(virtio_net_create(&options, &f.dev));
	f.net = container_of(f.dev, struct virtio_net, dev);
	assert_ok(ram_create(&ram, &f.ram));
	assert_ok(ram_add(f.ram, 0, BENCH_RAM, "bench"));
	assert_ok(loop_create(&f.loop));
}

static inline int fixture_setup(void **state)
{
	struct net_tap_options tap = {.n_queues = 1};
	struct net_backend *backend = NULL;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	tap.fd = fds[0];
	assert_ok(net_tap_open(&tap, &backend));
	close(fds[0]);
	fixture_create(backend, RAM_ANON);
	f.peer = fds[1];
	return 0;
}

static inline int fixture_teardown(void **state)
{
	fixture_end();
	loop_free(f.loop);
	f.dev->ops->free(f.dev);
	ram_free(f.ram);
	if (f.peer >= 0)
		close(f.peer);
	log_bind(NULL);
	log_free(f.log);
	return 0;
}

/* ---- The network ---- */

/* A packet of `size` bytes with the header, each byte a function of `seed` and its place. */
static inline uint8_t packet_byte(unsigned int seed, size_t i)
{
	return i < NET_HEADER ? 0 : (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

static inline void network_sends(unsigned int seed, size_t size)
{
	uint8_t *packet = malloc(size);

	for (size_t i = 0; i < size; i++)
		packet[i] = packet_byte(seed, i);
	assert_int_equal(send(f.peer, packet, size, 0), size);
	free(packet);
}

/* The next packet that came; its size, or -1. */
static inline ssize_t network_receives(uint8_t *packet, size_t size)
{
	return recv(f.peer, packet, size, 0);
}

/* ---- The driver ---- */

/* Buffer i of `size` bytes is available. */
static inline uint16_t add_buffer(unsigned int i, uint32_t size)
{
	const struct piece piece = {NET_BUFFERS + i * 0x20000ull, size, RING_WRITE};

	return ring_add(&f.rings[RX], &piece, 1);
}

/* The next buffers hold the packet; they are of `size` bytes each, from i on, heads alike. */
static inline void expect_packet(unsigned int seed, size_t size, unsigned int i, size_t buffer)
{
	size_t n = (size + buffer - 1) / buffer;
	size_t at = 0;

	for (size_t part = 0; part < n; part++) {
		uint64_t gpa = NET_BUFFERS + (i + part) * 0x20000ull;
		uint32_t used = ring_take(&f.rings[RX], (uint16_t)((i + part) % NET_RING_SIZE));

		assert_int_equal(used, MIN(buffer, size - at));
		for (uint32_t k = 0; k < used; k++, at++) {
			uint8_t want = packet_byte(seed, at);

			if (at == NET_HDR_NUM_BUFFERS)
				want = (uint8_t)n;
			if (ram_get(f.ram, gpa + k, 1) != want)
				fail_msg("byte %zu of the packet", at);
		}
	}
	assert_int_equal(at, size);
}

/* Puts a packet in one piece, header included, for the device to send. */
static inline void add_packet(unsigned int slot, unsigned int seed, uint32_t size)
{
	struct piece piece = {NET_PACKETS + slot * 0x20000ull, size, 0};
	uint8_t *packet = malloc(size);

	for (size_t i = 0; i < size; i++)
		packet[i] = packet_byte(seed, i);
	assert_int_equal(ram_write(f.ram, piece.addr, packet, size), 0);
	free(packet);
	(void)ring_add(&f.rings[TX], &piece, 1);
}

#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
