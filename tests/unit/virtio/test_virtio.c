/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all devices share: the serving of a queue, and bytes of pieces.
 */
#include "ring.h"

#include <string.h>

#define BUFFER 0x20000

struct toy {
	struct virtio_dev dev;
	struct virtq_chain chain;
	struct bench bench;
	unsigned int served;
	bool adds;  /* a driver on another vCPU makes each chain available again */
	bool stops; /* the transport wants the thread back */
};

static uint32_t toy_serve(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct toy *toy = container_of(dev, struct toy, dev);
	const struct piece piece = {BUFFER, 4, RING_WRITE};

	assert_true(toy->served < 1000000);
	toy->served++;
	if (toy->adds)
		(void)ring_add(&toy->bench.ring, &piece, 1);
	if (toy->stops)
		atomic_store(&dev->yield, true);
	return 4;
}

static void toy_notify(struct virtio_dev *dev, unsigned int q)
{
	virtio_dev_serve(dev, q, &container_of(dev, struct toy, dev)->chain, toy_serve);
}

static void toy_free(struct virtio_dev *dev)
{
}

static int setup(void **state)
{
	static const struct virtio_dev_ops ops = {.notify = toy_notify, .free = toy_free};
	struct toy *toy = calloc(1, sizeof(*toy));

	toy->dev = (struct virtio_dev){.ops = &ops, .name = "toy", .n_queues = 1, .queue_size = 16};
	bench_start(&toy->bench, &toy->dev);
	*state = toy;
	return 0;
}

static int teardown(void **state)
{
	struct toy *toy = *state;

	bench_end(&toy->bench);
	free(toy);
	return 0;
}

static void add(struct toy *toy, unsigned int n)
{
	const struct piece piece = {BUFFER, 4, RING_WRITE};

	while (n--)
		(void)ring_add(&toy->bench.ring, &piece, 1);
}

static void test_a_batch_is_one_interrupt(void **state)
{
	struct toy *toy = *state;

	add(toy, 16);
	toy->dev.ops->notify(&toy->dev, 0);
	assert_int_equal(ring_completed(&toy->bench.ring), 16);
	assert_int_equal(toy->bench.signals, 1);
	assert_int_equal(toy->bench.agains, 0);
	toy->dev.ops->notify(&toy->dev, 0); /* nothing there */
	assert_int_equal(toy->bench.signals, 1);
	assert_int_equal(toy->served, 16);
}

static void test_a_driver_that_adds_as_fast_as_we_take_does_not_hold_the_loop(void **state)
{
	struct toy *toy = *state;
	unsigned int before;

	toy->adds = true;
	add(toy, 1);
	toy->dev.ops->notify(&toy->dev, 0);
	assert_in_range(toy->served, 16, 1000);
	assert_int_equal(ring_completed(&toy->bench.ring), toy->served);
	assert_int_equal(toy->bench.signals, 1);
	assert_int_equal(toy->bench.agains, 1);
	before = toy->served;
	toy->adds = false;
	toy->dev.ops->notify(&toy->dev, 0); /* as `again` asked for */
	assert_int_equal(toy->served, before + 1);
	assert_int_equal(toy->bench.agains, 1);
}

static void test_a_device_that_is_to_yield_begins_no_further_request(void **state)
{
	struct toy *toy = *state;

	add(toy, 10);
	toy->stops = true;
	toy->dev.ops->notify(&toy->dev, 0);
	assert_int_equal(toy->served, 1);
	assert_int_equal(ring_completed(&toy->bench.ring), 1);
	assert_int_equal(toy->bench.agains, 1); /* nothing is forgotten */
	toy->stops = false;
	toy->dev.yield = false;
	toy->dev.ops->notify(&toy->dev, 0);
	assert_int_equal(ring_completed(&toy->bench.ring), 10);
}

static void test_a_queue_that_is_not_up_is_left_alone(void **state)
{
	struct toy *toy = *state;

	add(toy, 1);
	virtq_deinit(&toy->dev.queues[0]);
	toy->dev.ops->notify(&toy->dev, 0);
	assert_int_equal(toy->served, 0);
	assert_int_equal(toy->bench.resets, 0);
}

/* ---- Pieces ---- */

static uint8_t bytes[10];

static void make_pieces(struct iovec iov[4])
{
	memcpy(bytes, "0123456789", 10);
	iov[0] = (struct iovec){bytes, 3};
	iov[1] = (struct iovec){bytes + 3, 0};
	iov[2] = (struct iovec){bytes + 3, 1};
	iov[3] = (struct iovec){bytes + 4, 6};
}

static void test_bytes_are_copied_from_and_to_pieces(void **state)
{
	struct iovec iov[4];
	char out[16];

	make_pieces(iov);
	assert_int_equal(virtio_iov_size(iov, 4), 10);
	assert_int_equal(virtio_iov_size(iov, 0), 0);
	for (size_t off = 0; off <= 11; off++) {
		for (size_t len = 0; len <= 11; len++) {
			size_t expected = off >= 10 ? 0 : MIN(len, 10 - off);

			assert_int_equal(virtio_iov_read(iov, 4, off, out, len), expected);
			assert_memory_equal(out, "0123456789" + MIN(off, (size_t)10), expected);
		}
	}
	assert_int_equal(virtio_iov_write(iov, 4, 2, "xyz", 3), 3);
	assert_int_equal(virtio_iov_write(iov, 4, 9, "end", 3), 1);
	assert_memory_equal(bytes, "01xyz5678e", 10);
	assert_int_equal(virtio_iov_write(iov, 4, UINT64_MAX, "end", 3), 0);
}

static void test_slices_are_the_bytes_between(void **state)
{
	for (size_t off = 0; off <= 10; off++) {
		for (size_t len = 0; len <= 10 - off; len++) {
			struct iovec iov[4];
			struct iovec *first;
			char out[16];
			unsigned int n;

			make_pieces(iov);
			n = virtio_iov_slice(iov, 4, off, len, &first);
			assert_int_equal(virtio_iov_size(first, n), len);
			assert_int_equal(virtio_iov_read(first, n, 0, out, sizeof(out)), len);
			assert_memory_equal(out, "0123456789" + off, len);
		}
	}
}

#define VIRTIO_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		VIRTIO_TEST(test_a_batch_is_one_interrupt),
		VIRTIO_TEST(test_a_driver_that_adds_as_fast_as_we_take_does_not_hold_the_loop),
		VIRTIO_TEST(test_a_device_that_is_to_yield_begins_no_further_request),
		VIRTIO_TEST(test_a_queue_that_is_not_up_is_left_alone),
		cmocka_unit_test(test_bytes_are_copied_from_and_to_pieces),
		cmocka_unit_test(test_slices_are_the_bytes_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
