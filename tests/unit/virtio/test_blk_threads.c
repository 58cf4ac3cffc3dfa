/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk of four queues and two threads behind the real transport, on a real file. Four drivers,
 * each a vCPU's, write and read back what they wrote, one queue and one part of the disk each,
 * while the test does to the device what drivers and the machine may do at any time.
 */
#define TOY_QUEUES 4
#include "pci_device.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/thread.h"
#include "block/open.h"
#include "virtio/dev/blk.h"

#define PART     MIB(1) /* of the disk, a queue's */
#define SECTOR   512u
#define T_READ   0u
#define T_WRITE  1u
#define T_FLUSH  4u
#define MEMORY   0x10000u /* of a driver, from BUFFER on */
#define AT_DATA  0x1000u
#define DATA     4096u
#define F_FLUSH  (1ull << 9)
#define F_WCE    (1ull << 11)
#define S_ACTIVE (S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK)

struct driver {
	struct thread thread;
	unsigned int q;
	unsigned int requests; /* then it ends; 0: when it is told */
	_Atomic bool stop;
	_Atomic unsigned int done;
	bool gave_up; /* in a request */
};

static struct virtio_dev *disk;
static struct driver drivers[TOY_QUEUES];
static int file;

/* ---- Drivers ---- */

static uint64_t memory(const struct driver *d)
{
	return BUFFER + (uint64_t)d->q * MEMORY;
}

/* One request to its end; its status, or -1 if the driver is told to stop meanwhile. */
static int request(struct driver *d, uint32_t type, uint64_t off)
{
	const struct piece pieces[] = {{memory(d), 16, 0},
		{memory(d) + AT_DATA, DATA, type == T_READ ? RING_WRITE : 0},
		{memory(d) + 32, 1, RING_WRITE}};
	const struct piece flush[] = {pieces[0], pieces[2]};
	struct ring *ring = &m.rings[d->q];

	ram_put(m.ram, memory(d), type, 8);
	ram_put(m.ram, memory(d) + 8, off / SECTOR, 8);
	ram_put(m.ram, memory(d) + 32, 0xee, 1);
	(void)ring_add(ring, type == T_FLUSH ? flush : pieces, type == T_FLUSH ? 2 : 3);
	kick(d->q);
	while (!ring_completed(ring)) {
		if (atomic_load(&d->stop))
			return -1;
		sched_yield();
	}
	ring->used_idx++;
	return (int)ram_get(m.ram, memory(d) + 32, 1);
}

/* Writes and reads back; false if told to stop. */
static bool round_trip(struct driver *d, unsigned int i)
{
	static const uint8_t zeros[DATA];
	uint64_t off = d->q * PART + (uint64_t)i * 7919 % (PART / DATA) * DATA;
	uint64_t at = memory(d) + AT_DATA;
	uint64_t mark = (uint64_t)d->q << 32 | i;
	int status;

	ram_put(m.ram, at, mark, 8);
	ram_put(m.ram, at + DATA - 8, ~mark, 8);
	status = request(d, T_WRITE, off);
	if (status < 0)
		return false;
	assert_int_equal(status, 0);
	assert_int_equal(ram_write(m.ram, at, zeros, DATA), 0);
	status = request(d, T_READ, off);
	if (status < 0)
		return false;
	assert_int_equal(status, 0);
	assert_true(ram_get(m.ram, at, 8) == mark && ram_get(m.ram, at + DATA - 8, 8) == ~mark);
	if (i % 32 == 31)
		status = request(d, T_FLUSH, 0);
	return status >= 0;
}

static void driver_run(struct thread *thread)
{
	struct driver *d = container_of(thread, struct driver, thread);

	for (unsigned int i = 0; !d->requests || i < d->requests; i++) {
		d->gave_up = atomic_load(&d->stop) || !round_trip(d, i);
		if (d->gave_up)
			return;
		atomic_fetch_add(&d->done, 1);
	}
}

static void driver_start(unsigned int q, unsigned int requests)
{
	struct driver *d = &drivers[q];

	*d = (struct driver){
		.thread = {.name = "vcpu", .run = driver_run}, .q = q, .requests = requests};
	assert_ok(thread_start(&d->thread));
}

static void driver_stop(unsigned int q)
{
	atomic_store(&drivers[q].stop, true);
	thread_join(&drivers[q].thread);
}

static void drivers_start(unsigned int requests)
{
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		driver_start(q, requests);
}

static void drivers_stop(void)
{
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		driver_stop(q);
}

/* Every driver is at work, from now on once more. */
static void drivers_go_on(void)
{
	for (unsigned int q = 0; q < TOY_QUEUES; q++) {
		unsigned int before = atomic_load(&drivers[q].done);

		eventually(atomic_load(&drivers[q].done) > before);
	}
}

/* ---- The machine ---- */

static int setup_disk(enum block_api api, unsigned int threads, uint64_t iops)
{
	struct virtio_blk_options options = {.name = "disk",
		.queues = TOY_QUEUES,
		.queue_size = TOY_QUEUE_SIZE,
		.threads = threads};
	struct block_options block = {.name = "disk", .api = api, .limits.iops = iops};
	char path[64];

	file = memfd_create("disk", MFD_CLOEXEC);
	assert_int_equal(ftruncate(file, TOY_QUEUES * (off_t)PART), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	block.path = path;
	assert_ok(block_open(&block, threads, options.blocks));
	assert_ok(virtio_blk_create(&options, &disk));
	m = (struct machine){0};
	return machine_create(disk);
}

static int setup(void **state)
{
	return setup_disk(BLOCK_API_IO_URING, 2, 0);
}

static int setup_sync(void **state)
{
	return setup_disk(BLOCK_API_SYNC, 2, 0);
}

static int setup_uneven(void **state)
{
	return setup_disk(BLOCK_API_IO_URING, 3, 0);
}

static int setup_limited(void **state)
{
	return setup_disk(BLOCK_API_IO_URING, 2, 2000);
}

static int teardown(void **state)
{
	int ret = machine_teardown(state);

	close(file);
	return ret;
}

static void start_disk(void)
{
	start_with(F_FLUSH | VIRTIO_F_RING_RESET);
}

static void reset_disk(void)
{
	reset_by_driver();
}

static void test_each_queue_has_its_data(void **state)
{
	start_disk();
	drivers_start(300);
	for (unsigned int q = 0; q < TOY_QUEUES; q++) {
		thread_join(&drivers[q].thread);
		assert_false(drivers[q].gave_up);
	}
	assert_int_equal(get(STATUS), S_ACTIVE);
}

static uint64_t writeback(void)
{
	return bus_read(m.f.mmio, m.device + 32, 1);
}

/* The next driver finds the mode that its user chose, even if the last one never was ready. */
static void test_a_reset_takes_the_cache_mode_back(void **state)
{
	assert_int_equal(writeback(), 1);
	assert_int_equal(
		negotiate(F_FLUSH | F_WCE | VIRTIO_F_VERSION_1), S_ACK | S_DRIVER | S_FEATURES_OK);
	bus_write(m.f.mmio, m.device + 32, 1, 0);
	assert_int_equal(writeback(), 0);
	reset_disk();
	assert_int_equal(writeback(), 1);
	/* Without flushes there is no cache. */
	assert_int_equal(negotiate(F_WCE | VIRTIO_F_VERSION_1), S_ACK | S_DRIVER | S_FEATURES_OK);
	assert_int_equal(writeback(), 0);
	reset_disk();
	assert_int_equal(writeback(), 1);
}

/* After a reset no thread of the device touches memory. */
static void test_resets_under_load(void **state)
{
	for (unsigned int i = 0; i < 40; i++) {
		uint16_t used[TOY_QUEUES];

		start_disk();
		drivers_start(0);
		if (i % 4)
			drivers_go_on();
		reset_disk();
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			used[q] =
				ram_window_load16(&m.rings[q].used_window, 2, memory_order_acquire);
		drivers_stop();
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			assert_int_equal(used[q], ram_window_load16(&m.rings[q].used_window, 2,
							  memory_order_acquire));
	}
}

static void test_the_bus_is_lost_under_load(void **state)
{
	start_disk();
	drivers_start(0);
	drivers_go_on();
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY);
	eventually(get(STATUS) == 0);
	drivers_stop();
	cfg_write(&m.f, 0, 4, COMMAND_MEMORY | COMMAND_MASTER);
	test_each_queue_has_its_data(state);
}

static void test_pauses_under_load(void **state)
{
	start_disk();
	drivers_start(0);
	for (unsigned int i = 0; i < 50; i++) {
		unsigned int completed[TOY_QUEUES];

		drivers_go_on();
		device_quiesce(&m.pci->device);
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			completed[q] =
				ram_window_load16(&m.rings[q].used_window, 2, memory_order_acquire);
		for (unsigned int k = 0; k < 20; k++)
			sched_yield();
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			assert_int_equal(completed[q], ram_window_load16(&m.rings[q].used_window, 2,
							       memory_order_acquire));
		device_resume(&m.pci->device);
	}
	drivers_go_on();
	drivers_stop();
}

static void test_a_queue_is_reset_while_the_others_run(void **state)
{
	start_disk();
	drivers_start(0);
	for (unsigned int i = 0; i < 100; i++) {
		unsigned int q = i % TOY_QUEUES;

		eventually(atomic_load(&drivers[q].done) > 2);
		driver_stop(q);
		set(QUEUE_SELECT, q);
		set(QUEUE_RESET, 1);
		eventually(get(QUEUE_RESET) == 0);
		set_up_queue(q);
		driver_start(q, 0);
	}
	drivers_go_on();
	drivers_stop();
	assert_int_equal(get(STATUS), S_ACTIVE);
}

/* The part of each driver stays inside; the rest comes and goes. */
static void test_the_size_changes_under_load(void **state)
{
	uint64_t generation;

	start_disk();
	generation = get(GENERATION);
	drivers_start(0);
	for (unsigned int i = 1; i <= 50; i++) {
		uint64_t size = (TOY_QUEUES + i % 2) * PART;

		assert_ok(virtio_blk_resize(disk, size));
		assert_int_equal(bus_read(m.f.mmio, m.device, 8) * SECTOR, size);
		assert_int_equal(get(GENERATION), (generation + i) & 0xff);
		if (i % 10 == 0)
			drivers_go_on();
	}
	assert_err(virtio_blk_resize(disk, PART + 1), "not a multiple of 512");
	drivers_go_on();
	drivers_stop();
}

/* Whichever thread a request comes to, it knows the end. */
static void test_all_threads_know_the_new_end(void **state)
{
	start_disk();
	for (unsigned int i = 0; i < 10; i++) {
		bool longer = i % 2;

		assert_ok(virtio_blk_resize(disk, longer ? 5 * PART : 4 * PART));
		for (unsigned int q = 0; q < TOY_QUEUES; q++) {
			drivers[q] = (struct driver){.q = q};
			assert_int_equal(request(&drivers[q], T_READ, 5 * PART - DATA), !longer);
		}
	}
	reset_disk();
	assert_ok(virtio_blk_resize(disk, 4 * PART));
	start_disk();
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		assert_int_equal(request(&drivers[q], T_READ, 4 * PART), 1);
}

struct resizer {
	struct thread thread;
	_Atomic bool stop;
	_Atomic unsigned int done;
};

static void resizer_run(struct thread *thread)
{
	struct resizer *r = container_of(thread, struct resizer, thread);

	for (unsigned int i = 0; !atomic_load(&r->stop); i++) {
		assert_ok(virtio_blk_resize(disk, (TOY_QUEUES + i % 3) * PART));
		virtio_blk_refresh(disk);
		atomic_fetch_add(&r->done, 1);
	}
}

/* Threads of the device that end do not keep those waiting that want it to be of another size. */
static void test_all_at_once(void **state)
{
	struct resizer r = {.thread = {.name = "caller", .run = resizer_run}};

	assert_ok(thread_start(&r.thread));
	for (unsigned int i = 0; i < 40; i++) {
		unsigned int before = atomic_load(&r.done);

		start_disk();
		drivers_start(0);
		if (i % 2)
			drivers_go_on();
		if (i % 3 == 0) {
			device_quiesce(&m.pci->device);
			if (i % 2)
				eventually(atomic_load(&r.done) > before);
			device_resume(&m.pci->device);
		}
		reset_disk();
		drivers_stop();
	}
	atomic_store(&r.stop, true);
	thread_join(&r.thread);
}

static void test_the_limit_is_of_all_threads_together(void **state)
{
	uint64_t start = loop_now_ns();

	start_disk();
	drivers_start(100); /* each twice, and a few flushes */
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		thread_join(&drivers[q].thread);
	/* 800 at 2000 a second, but for the first 200 */
	assert_true(loop_now_ns() - start >= 300000000);
}

static void test_a_busy_disk_can_be_freed(void **state)
{
	start_disk();
	drivers_start(0);
	drivers_go_on();
	drivers_stop(); /* each with a request on its way, perhaps */
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISK_TEST(test_each_queue_has_its_data),
		cmocka_unit_test_setup_teardown(test_each_queue_has_its_data, setup_sync, teardown),
		cmocka_unit_test_setup_teardown(
			test_each_queue_has_its_data, setup_uneven, teardown),
		DISK_TEST(test_a_reset_takes_the_cache_mode_back),
		DISK_TEST(test_resets_under_load),
		DISK_TEST(test_the_bus_is_lost_under_load),
		DISK_TEST(test_pauses_under_load),
		cmocka_unit_test_setup_teardown(test_pauses_under_load, setup_sync, teardown),
		DISK_TEST(test_a_queue_is_reset_while_the_others_run),
		DISK_TEST(test_the_size_changes_under_load),
		DISK_TEST(test_all_threads_know_the_new_end),
		DISK_TEST(test_all_at_once),
		cmocka_unit_test_setup_teardown(
			test_the_limit_is_of_all_threads_together, setup_limited, teardown),
		DISK_TEST(test_a_busy_disk_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
