/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-pmem: requests in both formats of queues, flushes that fail, and what else a driver sends.
 */
#include "driver.h"
#include "ring.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio/dev/pmem.h"

#define REQUEST 0x20000
#define RESULT  0x21000
#define UNSET   0xeeeeeeeeu
#define FAILED  0xffffffffu

struct pmem {
	struct bench bench;
	int fd;   /* the device's */
	int peer; /* the other end of a pipe, whose flush fails */
};

static struct virtio_dev *pmem_device(int fd, bool discard_writes)
{
	const struct virtio_pmem_options options = {.name = "virtio-pmem-0",
		.gpa = 0x108000000,
		.size = MIB(6),
		.fd = fd,
		.discard_writes = discard_writes};
	struct virtio_dev *dev;

	assert_ok(virtio_pmem_create(&options, &dev));
	return dev;
}

static void start(struct pmem *p, bool broken, bool discard_writes)
{
	int fds[2] = {memfd_create("pmem", MFD_CLOEXEC), -1};

	if (broken) {
		close(fds[0]);
		assert_int_equal(pipe(fds), 0);
	}
	p->fd = fds[0];
	p->peer = fds[1];
	bench_start(&p->bench, pmem_device(fds[0], discard_writes));
}

static void end(struct pmem *p)
{
	bench_end(&p->bench);
	if (p->peer >= 0)
		close(p->peer);
}

/* A request of this type; its result. */
static uint32_t request(struct pmem *p, uint32_t type)
{
	const struct piece pieces[] = {{REQUEST, 4, 0}, {RESULT, 4, RING_WRITE}};

	ram_put(p->bench.ram, REQUEST, type, 4);
	ram_put(p->bench.ram, RESULT, UNSET, 4);
	assert_int_equal(bench_run(&p->bench, pieces, 2), 4);
	return (uint32_t)ram_get(p->bench.ram, RESULT, 4);
}

static void test_the_driver_reads_where_it_is(void **state)
{
	struct virtio_dev *dev = pmem_device(-1, false);
	uint8_t config[16];

	assert_int_equal(dev->id, 27);
	assert_int_equal(dev->config_size, 16);
	dev->ops->config_read(dev, 0, config, 16);
	assert_int_equal(load_le64(config), 0x108000000);
	assert_int_equal(load_le64(config + 8), MIB(6));
	dev->ops->config_read(dev, 12, config, 4);
	assert_int_equal(load_le32(config), 0);
	dev->ops->free(dev);
}

/* 5.19.3, 5.19.4 */
static void test_a_driver_may_find_it_in_a_bar(void **state)
{
	struct virtio_dev *dev = pmem_device(-1, false);
	struct virtio_pmem_options options = {.name = "virtio-pmem-0",
		.gpa = 0x108000000,
		.size = MIB(6),
		.fd = -1,
		.memory = {dev, MIB(6)}};
	struct virtio_dev *shared;

	assert_int_equal(dev->features & 1, 0);
	assert_int_equal(dev->n_shm, 0);
	assert_ok(virtio_pmem_create(&options, &shared));
	assert_int_equal(shared->features & 1, 1);
	assert_int_equal(shared->shm_features, 1);
	assert_int_equal(shared->n_shm, 1);
	assert_int_equal(shared->shm[0].id, 0);
	assert_int_equal(shared->shm[0].memory.iov_len, MIB(6));
	assert_int_equal(shared->shm_gpa, 0x108000000);
	dev->ops->free(dev);
	shared->ops->free(shared);
}

static void test_a_flush_says_what_the_host_says(void **state)
{
	struct pmem p;

	start(&p, false, false);
	assert_int_equal(request(&p, 0), 0);
	assert_int_equal(p.bench.signals, 1);
	end(&p);
	start(&p, true, false);
	assert_int_equal(request(&p, 0), FAILED);
	assert_int_equal(request(&p, 0), FAILED);
	assert_int_equal(p.bench.resets, 0);
	end(&p);
}

/* The host tells once of what it lost. */
static void test_a_failed_flush_is_the_answer_to_all_others(void **state)
{
	int good = memfd_create("pmem", MFD_CLOEXEC);
	struct pmem p;

	start(&p, true, false);
	assert_int_equal(request(&p, 0), FAILED);
	assert_int_equal(dup2(good, p.fd), p.fd);
	assert_int_equal(request(&p, 0), FAILED);
	end(&p);
	close(good);
}

static void test_writes_that_are_discarded_need_no_flush(void **state)
{
	struct pmem p;

	start(&p, true, true);
	assert_int_equal(request(&p, 0), 0);
	end(&p);
}

static void test_unknown_requests_fail(void **state)
{
	struct pmem p;

	start(&p, false, false);
	assert_int_equal(request(&p, 1), FAILED);
	assert_int_equal(request(&p, UINT32_MAX), FAILED);
	end(&p);
}

static void test_requests_without_type_or_result_get_nothing(void **state)
{
	static const struct piece bad[][2] = {
		{{REQUEST, 3, 0}, {RESULT, 4, RING_WRITE}},
		{{REQUEST, 4, 0}, {RESULT, 3, RING_WRITE}},
		{{REQUEST, 4, 0}, {RESULT, 0, RING_WRITE}},
		{{REQUEST, 4, 0}, {RESULT, 4, 0}},
		{{REQUEST, 4, RING_WRITE}, {RESULT, 4, RING_WRITE}},
	};
	struct pmem p;

	start(&p, false, false);
	ram_put(p.bench.ram, REQUEST, 0, 4);
	ram_put(p.bench.ram, RESULT, UNSET, 4);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(bench_run(&p.bench, bad[i], 2), 0);
	assert_int_equal(ram_get(p.bench.ram, RESULT, 4), UNSET);
	assert_int_equal(p.bench.resets, 0);
	assert_int_equal(request(&p, 0), 0);
	end(&p);
}

/* Type and result may be spread over any descriptors, and longer than they have to be. */
static void test_pieces_of_any_size_are_fine(void **state)
{
	const struct piece pieces[] = {{REQUEST, 1, 0}, {REQUEST + 1, 9, 0},
		{RESULT, 3, RING_WRITE}, {RESULT + 3, 8, RING_WRITE}};
	struct pmem p;

	start(&p, false, false);
	ram_put(p.bench.ram, REQUEST, 0, 8);
	ram_put(p.bench.ram, RESULT, UNSET, 4);
	assert_int_equal(bench_run(&p.bench, pieces, 4), 4);
	assert_int_equal(ram_get(p.bench.ram, RESULT, 4), 0);
	end(&p);
}

/* Rounds of one to eight flushes, every second one of an unknown type, with each set of features
 * of the ring. */
static void run_model(struct driver_features features)
{
	struct driver d;
	struct virtq_layout layout;
	struct driver_done done;
	struct pmem p;

	start(&p, false, false);
	driver_init(&d, p.bench.ram, 0x100000, 32, features);
	layout = driver_layout(&d);
	virtq_deinit(&p.bench.dev->queues[0]);
	assert_int_equal(virtq_init(&p.bench.dev->queues[0], p.bench.ram, &layout), 0);
	for (uint64_t round = 0; round < 100; round++) {
		for (uint64_t i = 0; i <= round % 8; i++) {
			const struct driver_piece pieces[] = {
				{REQUEST + 16 * i, 4, false}, {RESULT + 16 * i, 4, true}};

			ram_put(p.bench.ram, REQUEST + 16 * i, i & 1, 4);
			ram_put(p.bench.ram, RESULT + 16 * i, UNSET, 4);
			assert_true(driver_add(&d, pieces, 2, round & 1, i));
		}
		p.bench.dev->ops->notify(p.bench.dev, 0);
		for (uint64_t i = 0; i <= round % 8; i++) {
			assert_true(driver_take(&d, &done));
			assert_int_equal(done.token, i);
			assert_int_equal(done.written, 4);
			assert_int_equal(
				ram_get(p.bench.ram, RESULT + 16 * i, 4), i & 1 ? FAILED : 0);
		}
		assert_false(driver_has_done(&d));
	}
	assert_int_equal(p.bench.resets, 0);
	end(&p);
}

static void test_a_model_of_a_driver_with_each_set_of_features(void **state)
{
	for (unsigned int bits = 0; bits < 16; bits++)
		run_model((struct driver_features){.packed = bits & 1,
			.event_idx = bits & 2,
			.indirect = bits & 4,
			.in_order = bits & 8});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_driver_reads_where_it_is),
		cmocka_unit_test(test_a_driver_may_find_it_in_a_bar),
		cmocka_unit_test(test_a_flush_says_what_the_host_says),
		cmocka_unit_test(test_a_failed_flush_is_the_answer_to_all_others),
		cmocka_unit_test(test_writes_that_are_discarded_need_no_flush),
		cmocka_unit_test(test_unknown_requests_fail),
		cmocka_unit_test(test_requests_without_type_or_result_get_nothing),
		cmocka_unit_test(test_pieces_of_any_size_are_fine),
		cmocka_unit_test(test_a_model_of_a_driver_with_each_set_of_features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
