/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network card of two pairs of queues and two threads behind the real transport. Each pair has a
 * driver, a vCPU's, that sends packets to a network which returns them, while the test does to the
 * device what drivers, the machine and the host may do at any time.
 */
#define TOY_QUEUES 5
#include "pci_device.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
#include "virtio/dev/net.h"

#define PAIRS         2u
#define RX(pair)      (2 * (pair))
#define TX(pair)      (2 * (pair) + 1)
#define CTRL          4
#define BUFFERS       8u /* of a receive ring */
#define BUFFER_SIZE   0x800u
#define MEMORY        0x10000u /* of a pair, from BUFFER on: receive buffers, then a packet */
#define PACKET_SIZE   (NET_HEADER + 60)
#define COMMAND       (BUFFER + 4 * MEMORY)

#define F_MRG_RXBUF   (1ull << 15)
#define F_STATUS      (1ull << 16)
#define F_CTRL_VQ     (1ull << 17)
#define F_MQ          (1ull << 22)
#define CONFIG_STATUS 6
#define S_ACTIVE      (S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK)

/* The host's side: sockets that keep packets apart. */
struct wire {
	struct net_backend base;
	int peers[PAIRS];
	_Atomic bool dead; /* its second queue finds so */
};

struct driver {
	struct thread thread;
	unsigned int pair;
	unsigned int rounds; /* then it ends; 0: when it is told */
	_Atomic bool stop;
	_Atomic unsigned int done;
	bool gave_up; /* in a round */
};

static struct wire *wire;
static struct driver drivers[PAIRS];

/* ---- The wire ---- */

static ssize_t wire_receive(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n)
{
	ssize_t got = readv(backend->fds[queue], iov, n);

	if (queue == 1 && atomic_load(&container_of(backend, struct wire, base)->dead))
		return -ENODEV;
	return got < 0 ? -errno : got;
}

static int wire_send(struct net_backend *backend, unsigned int queue, struct iovec *iov, int n)
{
	return writev(backend->fds[queue], iov, n) < 0 ? -errno : 0;
}

static int wire_set_queues(struct net_backend *backend, unsigned int n)
{
	backend->n_attached = n;
	return 0;
}

static void wire_free(struct net_backend *backend)
{
	struct wire *w = container_of(backend, struct wire, base);

	for (unsigned int i = 0; i < PAIRS; i++)
		close(w->peers[i]);
	free(w);
}

static struct net_backend *wire_create(void)
{
	static const struct net_backend_ops ops = {.receive = wire_receive,
		.send = wire_send,
		.set_queues = wire_set_queues,
		.free = wire_free};

	wire = calloc(1, sizeof(*wire));
	wire->base = (struct net_backend){
		.ops = &ops, .name = "wire", .n_queues = PAIRS, .n_attached = PAIRS};
	for (unsigned int i = 0; i < PAIRS; i++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
		wire->base.fds[i] = fds[0];
		wire->peers[i] = fds[1];
	}
	return &wire->base;
}

/* ---- Drivers ---- */

static uint64_t memory(unsigned int pair)
{
	return BUFFER + (uint64_t)pair * MEMORY;
}

static void add_buffers(unsigned int pair)
{
	for (unsigned int i = 0; i < BUFFERS; i++) {
		const struct piece piece = {
			memory(pair) + i * BUFFER_SIZE, BUFFER_SIZE, RING_WRITE};

		(void)ring_add(&m.rings[RX(pair)], &piece, 1);
	}
	kick(RX(pair));
}

static bool is_told(struct driver *d)
{
	sched_yield();
	return atomic_load(&d->stop);
}

static bool wait_for(struct driver *d, unsigned int q)
{
	while (!ring_completed(&m.rings[q])) {
		if (is_told(d))
			return false;
	}
	return true;
}

/* The driver's next buffer has come back with a packet; its mark. */
static uint64_t take_packet(unsigned int pair)
{
	struct ring *ring = &m.rings[RX(pair)];
	uint64_t id = ram_get(m.ram, ring->used + 4 + 8ull * (ring->used_idx % ring->size), 4);
	uint64_t at = ram_get(m.ram, ring->desc + 16 * id, 8);
	const struct piece piece = {at, BUFFER_SIZE, RING_WRITE};
	uint64_t mark = ram_get(m.ram, at + PACKET_SIZE - 8, 8);

	assert_int_equal(ring_take_any(ring), PACKET_SIZE);
	(void)ring_add(ring, &piece, 1);
	kick(RX(pair));
	return mark;
}

/* There and back; false if told to stop. */
static bool round_trip(struct driver *d, unsigned int i)
{
	const struct piece piece = {memory(d->pair) + BUFFERS * BUFFER_SIZE, PACKET_SIZE, 0};
	uint64_t mark = (uint64_t)d->pair << 32 | i;
	char packet[PACKET_SIZE];
	ssize_t got;

	ram_put(m.ram, piece.addr + PACKET_SIZE - 8, mark, 8);
	(void)ring_add(&m.rings[TX(d->pair)], &piece, 1);
	kick(TX(d->pair));
	while ((got = recv(wire->peers[d->pair], packet, sizeof(packet), 0)) < 0) {
		if (is_told(d))
			return false;
	}
	assert_int_equal(got, PACKET_SIZE);
	assert_int_equal(load_le64((const uint8_t *)packet + PACKET_SIZE - 8), mark);
	if (!wait_for(d, TX(d->pair)))
		return false;
	m.rings[TX(d->pair)].used_idx++;
	assert_int_equal(send(wire->peers[d->pair], packet, sizeof(packet), 0), PACKET_SIZE);
	if (!wait_for(d, RX(d->pair)))
		return false;
	assert_int_equal(take_packet(d->pair), mark);
	return true;
}

static void driver_run(struct thread *thread)
{
	struct driver *d = container_of(thread, struct driver, thread);

	for (unsigned int i = 0; !d->rounds || i < d->rounds; i++) {
		d->gave_up = !round_trip(d, i);
		if (d->gave_up)
			return;
		atomic_fetch_add(&d->done, 1);
	}
}

static void drain(int fd)
{
	char packet[PACKET_SIZE];

	while (recv(fd, packet, sizeof(packet), 0) > 0)
		continue;
}

static void driver_start(unsigned int pair, unsigned int rounds)
{
	struct driver *d = &drivers[pair];

	drain(wire->peers[pair]);
	*d = (struct driver){
		.thread = {.name = "vcpu", .run = driver_run}, .pair = pair, .rounds = rounds};
	assert_ok(thread_start(&d->thread));
}

static void driver_stop(unsigned int pair)
{
	atomic_store(&drivers[pair].stop, true);
	thread_join(&drivers[pair].thread);
}

static void driver_goes_on(unsigned int pair)
{
	unsigned int before = atomic_load(&drivers[pair].done);

	eventually(atomic_load(&drivers[pair].done) > before);
}

static void set_pairs(unsigned int n)
{
	const struct piece pieces[] = {{COMMAND, 4, 0}, {COMMAND + 16, 1, RING_WRITE}};
	uint16_t head;

	ram_put(m.ram, COMMAND, 4 | (uint64_t)n << 16, 4); /* class MQ, VQ_PAIRS_SET */
	ram_put(m.ram, COMMAND + 16, 0xee, 1);
	head = ring_add(&m.rings[CTRL], pieces, 2);
	kick(CTRL);
	eventually(ring_completed(&m.rings[CTRL]) == 1);
	assert_int_equal(ring_take(&m.rings[CTRL], head), 1);
	assert_int_equal(ram_get(m.ram, COMMAND + 16, 1), 0);
}

static void start_card(void)
{
	start_with(F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_MQ | VIRTIO_F_RING_RESET);
	for (unsigned int i = 0; i < PAIRS; i++)
		add_buffers(i);
	set_pairs(PAIRS);
}

static void drivers_start(unsigned int rounds)
{
	for (unsigned int i = 0; i < PAIRS; i++)
		driver_start(i, rounds);
}

static void drivers_stop(void)
{
	for (unsigned int i = 0; i < PAIRS; i++)
		driver_stop(i);
}

static uint16_t used(unsigned int q)
{
	return ram_window_load16(&m.rings[q].used_window, 2, memory_order_acquire);
}

/* ---- The machine ---- */

static int setup(void **state)
{
	struct virtio_net_options options = {.name = "net",
		.backend = wire_create(),
		.mac = {0x52, 0x54, 0, 1, 2, 3},
		.threads = PAIRS};
	struct virtio_dev *dev;

	assert_ok(virtio_net_create(&options, &dev));
	m = (struct machine){0};
	return machine_create(dev);
}

static void test_each_pair_has_its_packets(void **state)
{
	start_card();
	drivers_start(300);
	for (unsigned int i = 0; i < PAIRS; i++) {
		thread_join(&drivers[i].thread);
		assert_false(drivers[i].gave_up);
	}
	assert_int_equal(get(STATUS), S_ACTIVE);
}

static void test_resets_under_load(void **state)
{
	for (unsigned int i = 0; i < 40; i++) {
		uint16_t before[TOY_QUEUES];

		start_card();
		drivers_start(0);
		for (unsigned int pair = 0; i % 4 && pair < PAIRS; pair++)
			driver_goes_on(pair);
		reset_by_driver();
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			before[q] = used(q);
		drivers_stop();
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			assert_int_equal(before[q], used(q));
		for (unsigned int pair = 0; pair < PAIRS; pair++)
			drain(wire->base.fds[pair]); /* sent since */
	}
	test_each_pair_has_its_packets(state);
}

static void test_pauses_under_load(void **state)
{
	start_card();
	drivers_start(0);
	for (unsigned int i = 0; i < 50; i++) {
		uint16_t before[TOY_QUEUES];

		for (unsigned int pair = 0; pair < PAIRS; pair++)
			driver_goes_on(pair);
		device_quiesce(&m.pci->device);
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			before[q] = used(q);
		for (unsigned int k = 0; k < 20; k++)
			sched_yield();
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			assert_int_equal(before[q], used(q));
		device_resume(&m.pci->device);
	}
	drivers_stop();
}

static void test_a_pair_is_reset_while_the_other_runs(void **state)
{
	start_card();
	drivers_start(0);
	for (unsigned int i = 0; i < 50; i++) {
		eventually(atomic_load(&drivers[1].done) > 2);
		driver_stop(1);
		for (unsigned int q = RX(1); q <= TX(1); q++) {
			set(QUEUE_SELECT, q);
			set(QUEUE_RESET, 1);
			eventually(get(QUEUE_RESET) == 0);
			set_up_queue(q);
		}
		drain(wire->base.fds[1]); /* of the last round */
		driver_goes_on(0);
		add_buffers(1);
		driver_start(1, 0);
	}
	drivers_stop();
	assert_int_equal(get(STATUS), S_ACTIVE);
}

/* The network sends to the second pair all the time. */
static void flood_run(struct thread *thread)
{
	struct driver *d = container_of(thread, struct driver, thread);
	char packet[PACKET_SIZE] = {0};

	while (!is_told(d))
		(void)!send(wire->peers[1], packet, sizeof(packet), 0);
}

static void test_a_pair_that_the_driver_does_not_use_receives_nothing(void **state)
{
	struct driver flood = {.thread = {.name = "flood", .run = flood_run}};

	start_card();
	driver_start(0, 0);
	assert_ok(thread_start(&flood.thread));
	for (unsigned int i = 0; i < 200; i++) {
		uint16_t before;

		set_pairs(1);
		before = used(RX(1));
		for (unsigned int k = 0; k < 10; k++)
			sched_yield();
		assert_int_equal(used(RX(1)), before);
		while (ring_completed(&m.rings[RX(1)]))
			(void)take_packet(1);
		set_pairs(2);
		eventually(ring_completed(&m.rings[RX(1)]) > 0);
	}
	driver_goes_on(0);
	driver_stop(0);
	atomic_store(&flood.stop, true);
	thread_join(&flood.thread);
}

static bool link_is_up(void)
{
	return bus_read(m.f.mmio, m.device + CONFIG_STATUS, 2) & 1;
}

/* Found by the thread that does not have the link. */
static void test_the_interface_goes(void **state)
{
	const struct piece piece = {memory(0), PACKET_SIZE, 0};
	char packet[PACKET_SIZE] = {0};
	uint64_t generation;

	for (unsigned int i = 0; i < 2; i++) {
		start_card();
		drivers_start(0);
		if (!i) {
			generation = get(GENERATION);
			driver_goes_on(0);
			assert_true(link_is_up());
			atomic_store(&wire->dead, true);
			eventually(!link_is_up());
			eventually(get(GENERATION) == ((generation + 1) & 0xff));
		}
		drivers_stop();
		reset_by_driver();
	}
	start_card();
	assert_false(link_is_up());
	for (unsigned int i = 0; i < PAIRS; i++) { /* packets go nowhere, and come from there */
		(void)send(wire->peers[i], packet, sizeof(packet), 0);
		(void)ring_add(&m.rings[TX(i)], &piece, 1);
		kick(TX(i));
		eventually(ring_completed(&m.rings[TX(i)]) == 1);
		assert_int_equal(ring_completed(&m.rings[RX(i)]), 0);
	}
}

static void test_a_busy_card_can_be_freed(void **state)
{
	start_card();
	drivers_start(0);
	driver_goes_on(1);
	drivers_stop();
}

#define CARD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, machine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CARD_TEST(test_each_pair_has_its_packets),
		CARD_TEST(test_resets_under_load),
		CARD_TEST(test_pauses_under_load),
		CARD_TEST(test_a_pair_is_reset_while_the_other_runs),
		CARD_TEST(test_a_pair_that_the_driver_does_not_use_receives_nothing),
		CARD_TEST(test_the_interface_goes),
		CARD_TEST(test_a_busy_card_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
