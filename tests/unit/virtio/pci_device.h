/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device with two queues behind the real transport and a PCI segment on a fake VM, and the steps
 * of its driver, which finds the registers by the capabilities. The device completes each request
 * with 4 bytes, when a gate lets it. Its queues share one thread, or each has its own. It has two
 * regions of shared memory.
 */
#pragma once

#include "ring.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "event/loop.h"
#include "pci/pci_fixture.h"
#include "virtio/pci/virtio_pci.h"

#define COMMAND_MEMORY 0x2
#define COMMAND_MASTER 0x4
#define NO_VECTOR      0xffff

/* Common configuration (4.1.4.3) and its widths. */
#define DEVICE_FEATURE_SELECT 0x00, 4
#define DEVICE_FEATURE        0x04, 4
#define DRIVER_FEATURE_SELECT 0x08, 4
#define DRIVER_FEATURE        0x0c, 4
#define CONFIG_VECTOR         0x10, 2
#define NUM_QUEUES            0x12, 2
#define STATUS                0x14, 1
#define GENERATION            0x15, 1
#define QUEUE_SELECT          0x16, 2
#define QUEUE_SIZE            0x18, 2
#define QUEUE_VECTOR          0x1a, 2
#define QUEUE_ENABLE          0x1c, 2
#define QUEUE_NOTIFY_OFF      0x1e, 2
#define QUEUE_DESC            0x20, 8
#define QUEUE_DRIVER          0x28, 8
#define QUEUE_DEVICE          0x30, 8
#define QUEUE_NOTIFY_DATA     0x38, 2
#define QUEUE_RESET           0x3a, 2

#define S_ACK                 1
#define S_DRIVER              2
#define S_DRIVER_OK           4
#define S_FEATURES_OK         8
#define S_NEEDS_RESET         0x40
#define S_FAILED              0x80

#define TOY_FEATURES          (0x8000000000000005ull | VIRTIO_F_IN_ORDER | VIRTIO_F_RING_RESET)
#ifndef TOY_QUEUES
#define TOY_QUEUES 2
#endif
#define TOY_QUEUE_SIZE 16
#define TOY_CONFIG     12
#define GUEST_RAM      0x100000
#define BUFFER         0x80000
#define TOY_SHM_SMALL  0x2000u
#define TOY_SHM_LARGE  0x200000u

struct virtio_toy {
	struct virtio_dev dev;
	struct virtq_chain chains[TOY_QUEUES];
	_Atomic unsigned int served;
	unsigned int activations, deactivations;
	_Atomic unsigned int pauses, resumes; /* of the first thread */
	_Atomic unsigned int drained;         /* threads */
	_Atomic bool changes;                 /* each request changes the configuration */
	_Atomic bool holds;                   /* takes requests and completes them when told to */
	uint16_t held[TOY_QUEUES][TOY_QUEUE_SIZE];
	_Atomic unsigned int n_held[TOY_QUEUES];
	_Atomic unsigned int resets; /* of queues */
	struct loop_msg release[TOY_QUEUES];
	uint64_t negotiated;
	_Atomic bool gated;    /* each request waits, */
	_Atomic bool only_one; /* but those of queue 1 do not */
	sem_t entered, gate;
};

struct machine {
	struct fixture f;
	struct ram *ram;
	struct virtio_toy *toy;
	struct pci_dev *pci;
	_Atomic bool level; /* of INTx */
	uint64_t common, isr, device, notify;
	uint32_t stride;
	unsigned int cfg_cap;
	unsigned int shm_caps[VIRTIO_SHM_MAX]; /* in their order */
	unsigned int n_shm_caps;
	struct ring rings[TOY_QUEUES];
	struct log *log;
	struct log_sink sink;
	_Atomic unsigned int lines;
	unsigned int freed; /* toys */
};

static struct machine m;
static uint8_t toy_memory[TOY_SHM_SMALL + TOY_SHM_LARGE] __attribute__((aligned(4096)));

/* ---- The device ---- */

static inline uint32_t toy_hold(struct virtio_toy *toy, struct virtq_chain *chain)
{
	size_t q = (size_t)(chain - toy->chains);
	unsigned int n = atomic_load(&toy->n_held[q]);

	assert_true(n < TOY_QUEUE_SIZE);
	toy->held[q][n] = chain->head;
	atomic_store(&toy->n_held[q], n + 1);
	return VIRTIO_KEPT;
}

static inline uint32_t toy_serve(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_toy *toy = container_of(dev, struct virtio_toy, dev);

	if (atomic_load(&toy->holds))
		return toy_hold(toy, chain);
	if (atomic_load(&toy->changes))
		dev->transport->config_changed(dev->transport);
	atomic_fetch_add(&toy->served, 1);
	if (atomic_load(&toy->gated) &&
		!(chain == &toy->chains[1] && atomic_load(&toy->only_one))) {
		sem_post(&toy->entered);
		sem_wait(&toy->gate);
	}
	return 4;
}

/* Completes what is held of a queue. [loop] */
static inline void toy_release(struct loop_msg *msg)
{
	struct virtio_toy *toy = m.toy;
	unsigned int q = (unsigned int)(msg - toy->release);
	unsigned int n = atomic_exchange(&toy->n_held[q], 0);

	while (n)
		virtq_push(&toy->dev.queues[q], toy->held[q][--n], 4);
	virtio_dev_publish(&toy->dev, q);
}

static inline unsigned int toy_thread(const struct virtio_dev *dev, unsigned int q)
{
	return q % dev->n_threads;
}

static inline void toy_release_all(void)
{
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		loop_call(virtio_dev_loop(&m.toy->dev, toy_thread(&m.toy->dev, q)),
			&m.toy->release[q]);
}

static inline void toy_drain(struct virtio_dev *dev, unsigned int thread)
{
	atomic_fetch_add(&container_of(dev, struct virtio_toy, dev)->drained, 1);
}

static inline void toy_notify(struct virtio_dev *dev, unsigned int q)
{
	virtio_dev_serve(dev, q, &container_of(dev, struct virtio_toy, dev)->chains[q], toy_serve);
}

static inline void toy_queue_reset(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_toy *toy = container_of(dev, struct virtio_toy, dev);

	assert_int_equal(virtq_pop(&dev->queues[q], &toy->chains[q]), 0);
	atomic_fetch_add(&toy->resets, 1);
}

static inline void toy_activate(struct virtio_dev *dev)
{
	struct virtio_toy *toy = container_of(dev, struct virtio_toy, dev);

	toy->activations++;
	toy->negotiated = dev->negotiated;
}

static inline void toy_deactivate(struct virtio_dev *dev)
{
	struct virtio_toy *toy = container_of(dev, struct virtio_toy, dev);

	assert_non_null(dev->loop);
	toy->deactivations++;
	assert_int_equal(toy->drained, toy->deactivations * dev->n_threads);
}

static inline void toy_pause(struct virtio_dev *dev, unsigned int thread, bool paused)
{
	struct virtio_toy *toy = container_of(dev, struct virtio_toy, dev);

	if (!thread)
		atomic_fetch_add(paused ? &toy->pauses : &toy->resumes, 1);
}

static inline void toy_config_read(
	struct virtio_dev *dev, unsigned int off, void *data, unsigned int size)
{
	assert_true(off + size <= TOY_CONFIG);
	for (unsigned int i = 0; i < size; i++)
		((uint8_t *)data)[i] = (uint8_t)(0x10 + off + i);
}

static inline void toy_free(struct virtio_dev *dev)
{
	struct virtio_toy *toy = container_of(dev, struct virtio_toy, dev);

	assert_int_equal(toy->activations, toy->deactivations);
	m.freed++;
	free(toy);
}

static inline struct virtio_toy *toy_create(unsigned int threads)
{
	static const struct virtio_dev_ops ops = {.thread = toy_thread,
		.notify = toy_notify,
		.activate = toy_activate,
		.drain = toy_drain,
		.deactivate = toy_deactivate,
		.pause = toy_pause,
		.queue_reset = toy_queue_reset,
		.config_read = toy_config_read,
		.free = toy_free};
	struct virtio_toy *toy = calloc(1, sizeof(*toy));

	toy->dev = (struct virtio_dev){
		.ops = &ops,
		.name = "toy",
		.id = 42,
		.class_code = 0xff0000,
		.features = TOY_FEATURES,
		.n_queues = TOY_QUEUES,
		.n_threads = threads,
		.queue_size = TOY_QUEUE_SIZE,
		.config_size = TOY_CONFIG,
		.n_shm = 2,
		.shm = {{.id = 3, .memory = {toy_memory, TOY_SHM_SMALL}},
			{.id = 7, .memory = {toy_memory + TOY_SHM_SMALL, TOY_SHM_LARGE}}},
	};
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		toy->release[q].run = toy_release;
	sem_init(&toy->entered, 0, 0);
	sem_init(&toy->gate, 0, 0);
	return toy;
}

/* ---- The machine ---- */

static inline void machine_line_set(struct irq_line *line, bool level)
{
	atomic_store(&m.level, level);
}

static inline void machine_log(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	atomic_fetch_add(&m.lines, 1);
}

static inline unsigned int machine_find_caps(void)
{
	unsigned int found = 0;

	for (unsigned int cap = cfg_read(&m.f, 0, 0x34) & 0xff; cap;
		cap = cfg_read(&m.f, 0, cap) >> 8 & 0xff) {
		uint32_t head = cfg_read(&m.f, 0, cap);
		uint64_t addr = WINDOW + cfg_read(&m.f, 0, cap + 8);

		if ((head & 0xff) != 0x09)
			continue;
		found |= 1u << (head >> 24);
		if (head >> 24 == 1)
			m.common = addr;
		else if (head >> 24 == 2)
			m.notify = addr;
		else if (head >> 24 == 3)
			m.isr = addr;
		else if (head >> 24 == 4)
			m.device = addr;
		else if (head >> 24 == 5)
			m.cfg_cap = cap;
		else if (head >> 24 == 8)
			m.shm_caps[m.n_shm_caps++] = cap;
		if (head >> 24 == 2)
			m.stride = cfg_read(&m.f, 0, cap + 16);
	}
	return found;
}

/* Around this device, which it takes over. */
static inline int machine_create(struct virtio_dev *dev)
{
	static const struct ram_options anon = {.backend = RAM_ANON};
	struct virtio_pci_options options;

	m.sink.write = machine_log;
	assert_ok(log_create("warn", &m.sink, &m.log));
	log_bind(m.log);
	assert_ok(fixture_init(&m.f));
	m.f.line.set = machine_line_set;
	assert_ok(fixture_start(&m.f));
	assert_ok(ram_create(&anon, &m.ram));
	assert_ok(ram_add(m.ram, 0, GUEST_RAM, "guest"));
	options = (struct virtio_pci_options){.hv = m.f.vm, .ram = m.ram};
	assert_ok(virtio_pci_create(&options, dev, &m.pci));
	assert_ok(pci_segment_add(m.f.segment, m.pci));
	assert_ok(pci_segment_place(m.f.segment));
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	assert_int_equal(machine_find_caps(), dev->n_shm ? 0x13e : 0x3e);
	assert_int_equal(m.n_shm_caps, dev->n_shm);
	for (unsigned int i = 0; i < TOY_QUEUES; i++)
		m.rings[i] = ring_at(m.ram, 0x10000ull * (i + 1), TOY_QUEUE_SIZE);
	return 0;
}

static inline int machine_setup_with(unsigned int threads)
{
	m = (struct machine){.toy = toy_create(threads)};
	return machine_create(&m.toy->dev);
}

static inline int machine_setup(void **state)
{
	return machine_setup_with(1);
}

static inline int machine_setup_two(void **state)
{
	return machine_setup_with(2);
}

static inline int machine_teardown(void **state)
{
	device_free(&m.pci->device);
	assert_int_equal(m.freed, m.toy ? 1 : 0);
	ram_free(m.ram);
	fixture_deinit(&m.f);
	log_bind(NULL);
	log_free(m.log);
	return 0;
}

/* ---- The driver ---- */

static inline uint64_t get(unsigned int reg, unsigned int size)
{
	return bus_read(m.f.mmio, m.common + reg, size);
}

static inline void set_reg(unsigned int reg, unsigned int size, uint64_t value)
{
	bus_write(m.f.mmio, m.common + reg, size, value);
}
/* set(STATUS, value): the register's name stands for its offset and width. */
#define set(...) set_reg(__VA_ARGS__)

static inline uint64_t device_features(void)
{
	uint64_t features;

	set(DEVICE_FEATURE_SELECT, 1);
	features = get(DEVICE_FEATURE) << 32;
	set(DEVICE_FEATURE_SELECT, 0);
	return features | get(DEVICE_FEATURE);
}

static inline void accept_features(uint64_t features)
{
	set(DRIVER_FEATURE_SELECT, 0);
	set(DRIVER_FEATURE, (uint32_t)features);
	set(DRIVER_FEATURE_SELECT, 1);
	set(DRIVER_FEATURE, features >> 32);
}

/* Up to FEATURES_OK; the status. */
/* The driver's reset, to its end: on a busy machine that is not at once. */
static inline void reset_by_driver(void)
{
	set(STATUS, 0);
	while (get(STATUS))
		sched_yield();
}

static inline uint64_t negotiate(uint64_t features)
{
	reset_by_driver();
	set(STATUS, S_ACK);
	set(STATUS, S_ACK | S_DRIVER);
	accept_features(features);
	set(STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
	return get(STATUS);
}

static inline void set_up_queue(unsigned int q)
{
	struct ring *ring = &m.rings[q];

	ring->avail_idx = ring->used_idx = 0;
	assert_int_equal(ram_fill(m.ram, ring->desc, 0, 0x3000), 0);
	set(QUEUE_SELECT, q);
	set(QUEUE_SIZE, ring->size);
	set(QUEUE_VECTOR, q + 1);
	set(QUEUE_DESC, ring->desc);
	set(QUEUE_DRIVER, ring->avail);
	set(QUEUE_DEVICE, ring->used);
	set(QUEUE_ENABLE, 1);
}

/* All of it: the device is active. */
static inline void start_with(uint64_t features)
{
	assert_int_equal(
		negotiate(features | VIRTIO_F_VERSION_1), S_ACK | S_DRIVER | S_FEATURES_OK);
	set(CONFIG_VECTOR, 0);
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		set_up_queue(q);
	set(STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

static inline void start(void)
{
	start_with(0);
}

static inline void add(unsigned int q, unsigned int n)
{
	const struct piece piece = {BUFFER, 4, RING_WRITE};

	while (n--)
		(void)ring_add(&m.rings[q], &piece, 1);
}

static inline uint64_t doorbell(unsigned int q)
{
	return m.notify + (uint64_t)q * m.stride;
}

static inline void kick(unsigned int q)
{
	bus_write(m.f.mmio, doorbell(q), 2, q);
}

#define eventually(condition)                                                                      \
	do {                                                                                       \
		uint64_t deadline_ = loop_now_ns() + 20000000000ull;                               \
		while (!(condition) && loop_now_ns() < deadline_)                                  \
			sched_yield();                                                             \
		assert_true(condition);                                                            \
	} while (0)

/* The device serves n requests of queue q, and they are taken. */
static inline void serve(unsigned int q, unsigned int n)
{
	add(q, n);
	kick(q);
	eventually(ring_completed(&m.rings[q]) == n);
	m.rings[q].used_idx = (uint16_t)(m.rings[q].used_idx + n);
}

static inline void enable_msix(void)
{
	unsigned int cap = cfg_read(&m.f, 0, 0x34) & 0xff;

	while ((cfg_read(&m.f, 0, cap) & 0xff) != 0x11)
		cap = cfg_read(&m.f, 0, cap) >> 8 & 0xff;
	for (unsigned int i = 0; i <= TOY_QUEUES; i++) {
		bus_write(m.f.mmio, WINDOW + i * 16, 8, 0xfee00000);
		bus_write(m.f.mmio, WINDOW + i * 16 + 8, 8, 0x40 + i);
	}
	bus_write(m.f.mmio, fixture_reg(0, cap + 2), 2, 0x8000);
}

static inline unsigned int count_messages(uint32_t data)
{
	struct hv_fake_msi all[64];
	unsigned int n = hv_fake_messages(m.f.vm, all, 64);
	unsigned int found = 0;

	for (unsigned int i = 0; i < n && i < 64; i++)
		found += all[i].data == data;
	return found;
}

#define MACHINE_TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)
/* With one thread, and with one for each queue. */
#define MACHINE_TESTS(name)                                                                        \
	MACHINE_TEST(name),                                                                        \
	{                                                                                          \
#name " (two threads)", name, machine_setup_two, machine_teardown, NULL            \
	}
