/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A balloon without transport, and models of a driver for its queues. The test is the device's
 * thread.
 */
#pragma once

#include "driver.h"

#include <pthread.h>
#include <sys/mman.h>

#include "device/balloon_info.h"
#include "virtio/dev/balloon.h"
#include "virtio/virtio.h"

#define BALLOON_RAM    MIB(8) /* at 0, and as much at HIGH */
#define BALLOON_HIGH   GIB(1)
#define BALLOON_RINGS  0x10000 /* queue q's are DRIVER_RINGS on */
#define BALLOON_BUFFER 0x40000 /* what requests are made of */
#define BALLOON_DATA   0x100000
#define BALLOON_N      5
#define PAGE           4096u

enum { INFLATE, DEFLATE, STATS, HINT, REPORT };

#define F_MUST_TELL 1ull
#define F_STATS     2ull
#define F_OOM       4ull
#define F_HINT      8ull
#define F_POISON    16ull
#define F_REPORT    32ull

struct balloon_test {
	struct ram *ram;
	struct virtio_dev *dev;
	struct virtio_balloon *balloon;
	struct virtio_transport transport;
	struct loop *loop;
	struct driver drivers[BALLOON_N];
	unsigned int signals, agains, resets, changes, drained;
};

static inline void bt_signal(struct virtio_transport *transport, unsigned int q)
{
	container_of(transport, struct balloon_test, transport)->signals++;
}

static inline void bt_again(struct virtio_transport *transport, unsigned int q)
{
	container_of(transport, struct balloon_test, transport)->agains++;
}

static inline void bt_drained(struct virtio_transport *transport, unsigned int q)
{
	container_of(transport, struct balloon_test, transport)->drained++;
}

static inline void bt_needs_reset(struct virtio_transport *transport)
{
	container_of(transport, struct balloon_test, transport)->resets++;
}

static inline void bt_config_changed(struct virtio_transport *transport)
{
	container_of(transport, struct balloon_test, transport)->changes++;
}

static inline void bt_up(struct balloon_test *t, unsigned int q, struct driver_features features)
{
	struct virtq_layout layout;

	driver_init(
		&t->drivers[q], t->ram, BALLOON_RINGS + (uint64_t)q * DRIVER_RINGS, 32, features);
	layout = driver_layout(&t->drivers[q]);
	assert_int_equal(virtq_init(&t->dev->queues[q], t->ram, &layout), 0);
}

/* The driver takes these of the device's own features. */
static inline void bt_activate(
	struct balloon_test *t, struct driver_features features, uint64_t negotiated)
{
	t->dev->negotiated = VIRTIO_F_VERSION_1 | negotiated;
	assert_ok(loop_create(&t->loop));
	t->dev->loop = t->loop;
	for (unsigned int q = 0; q < t->dev->n_queues; q++)
		bt_up(t, q, features);
	t->dev->ops->activate(t->dev);
}

static inline void bt_deactivate(struct balloon_test *t)
{
	t->dev->ops->deactivate(t->dev);
	for (unsigned int q = 0; q < t->dev->n_queues; q++)
		virtq_deinit(&t->dev->queues[q]);
	loop_free(t->loop);
}

static inline struct balloon_test *bt_create(
	const struct ram_options *ram, const struct virtio_balloon_options *options)
{
	struct balloon_test *t = calloc(1, sizeof(*t));

	t->transport = (struct virtio_transport){.signal = bt_signal,
		.again = bt_again,
		.drained = bt_drained,
		.needs_reset = bt_needs_reset,
		.config_changed = bt_config_changed};
	assert_ok(ram_create(ram, &t->ram));
	assert_ok(ram_add(t->ram, 0, BALLOON_RAM, "low"));
	assert_ok(ram_add(t->ram, BALLOON_HIGH, BALLOON_RAM, "high"));
	assert_ok(virtio_balloon_create(options, &t->dev, &t->balloon));
	t->dev->transport = &t->transport;
	t->dev->ram = t->ram;
	return t;
}

static inline void bt_free(struct balloon_test *t)
{
	bt_deactivate(t);
	t->dev->ops->free(t->dev);
	ram_free(t->ram);
	free(t);
}

/* ---- Memory ---- */

/* How many pages of the range the host has. */
static inline unsigned int bt_present(struct balloon_test *t, uint64_t gpa, unsigned int pages)
{
	unsigned char map[4096];
	struct iovec iov;
	unsigned int n = 0;

	assert_true(pages <= sizeof(map));
	assert_int_equal(ram_iov(t->ram, gpa, (uint64_t)pages * PAGE, &iov, 1), 1);
	assert_int_equal(mincore(iov.iov_base, iov.iov_len, map), 0);
	for (unsigned int i = 0; i < pages; i++)
		n += map[i] & 1;
	return n;
}

static inline void bt_fill(struct balloon_test *t, uint64_t gpa, unsigned int pages, uint8_t byte)
{
	assert_int_equal(ram_fill(t->ram, gpa, byte, (size_t)pages * PAGE), 0);
}

static inline bool bt_is(struct balloon_test *t, uint64_t gpa, unsigned int pages, uint8_t byte)
{
	uint8_t page[PAGE];

	for (unsigned int i = 0; i < pages; i++, gpa += PAGE) {
		assert_int_equal(ram_read(t->ram, gpa, page, PAGE), 0);
		for (unsigned int k = 0; k < PAGE; k++) {
			if (page[k] != byte)
				return false;
		}
	}
	return true;
}

/* ---- Requests ---- */

/* The chain is served at once; the number of bytes that the device says it wrote. */
static inline uint32_t bt_run(
	struct balloon_test *t, unsigned int q, const struct driver_piece *pieces, unsigned int n)
{
	struct driver_done done;

	assert_true(driver_add(&t->drivers[q], pieces, n, n > 1, 7));
	t->dev->ops->notify(t->dev, q);
	assert_true(driver_take(&t->drivers[q], &done));
	return done.written;
}

static inline void bt_pages(
	struct balloon_test *t, unsigned int q, const uint32_t *pfns, unsigned int n)
{
	const struct driver_piece piece = {.addr = BALLOON_BUFFER, .len = n * 4};

	for (unsigned int i = 0; i < n; i++) {
		uint8_t raw[4];

		store_le32(raw, pfns[i]);
		assert_int_equal(ram_write(t->ram, BALLOON_BUFFER + 4ull * i, raw, 4), 0);
	}
	assert_int_equal(bt_run(t, q, &piece, 1), 0);
}

static inline void bt_page_run(
	struct balloon_test *t, unsigned int q, uint64_t gpa, unsigned int pages)
{
	uint32_t pfns[4096];

	for (unsigned int i = 0; i < pages; i++)
		pfns[i] = (uint32_t)(gpa / PAGE) + i;
	bt_pages(t, q, pfns, pages);
}

static inline struct balloon_info bt_info(struct balloon_test *t)
{
	struct balloon_info info;

	virtio_balloon_get(t->balloon, 0, &info);
	return info;
}

static inline uint32_t bt_config(struct balloon_test *t, unsigned int off)
{
	uint8_t raw[4];

	t->dev->ops->config_read(t->dev, off, raw, 4);
	return load_le32(raw);
}

static inline void bt_set_config(struct balloon_test *t, unsigned int off, uint32_t value)
{
	uint8_t raw[4];

	store_le32(raw, value);
	t->dev->ops->config_write(t->dev, off, raw, 4);
}

/* Runs the messages of the loop that are there. */
static inline void bt_pump(struct balloon_test *t)
{
	sched_yield();
	loop_stop(t->loop);
	loop_run(t->loop);
}
