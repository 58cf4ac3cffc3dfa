/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk on a block device that the test controls: what it stores, and when it fails.
 */
#include "ring.h"

#include <errno.h>
#include <string.h>

#include "virtio/dev/blk.h"

#define DISK    0x40000u /* bytes */
#define HEADER  0x20000
#define STATUS  0x21000
#define DATA    0x30000

#define T_IN    0
#define T_OUT   1
#define T_FLUSH 4
#define T_ID    8

#define S_OK    0
#define S_IOERR 1
#define S_UNSUP 2
#define UNSET   0xee

struct disk {
	struct block_dev base;
	uint8_t bytes[DISK];
	int error; /* of the next call */
	unsigned int reads, writes, flushes;
	bool freed;
};

static struct disk disk;
static struct bench bench;

static int disk_io(const struct iovec *iov, int n, uint64_t off, bool is_read)
{
	for (int i = 0; i < n; i++) {
		assert_true(range_fits(off, iov[i].iov_len, DISK));
		if (is_read)
			memcpy(iov[i].iov_base, disk.bytes + off, iov[i].iov_len);
		else
			memcpy(disk.bytes + off, iov[i].iov_base, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return 0;
}

static int disk_preadv(struct block_dev *dev, const struct iovec *iov, int n, uint64_t off)
{
	disk.reads++;
	return disk.error ? disk.error : disk_io(iov, n, off, true);
}

static int disk_pwritev(struct block_dev *dev, const struct iovec *iov, int n, uint64_t off)
{
	disk.writes++;
	return disk.error ? disk.error : disk_io(iov, n, off, false);
}

static int disk_flush(struct block_dev *dev)
{
	disk.flushes++;
	return disk.error;
}

static void disk_free(struct block_dev *dev)
{
	disk.freed = true;
}

static const struct block_ops disk_ops = {
	.preadv = disk_preadv, .pwritev = disk_pwritev, .flush = disk_flush, .free = disk_free};

static void start(bool readonly, const char *serial)
{
	struct virtio_blk_options options = {.name = "virtio-blk-7", .serial = serial};
	struct virtio_dev *dev;

	disk = (struct disk){
		.base = {.ops = &disk_ops, .size = DISK, .block_size = 4096, .readonly = readonly}};
	for (unsigned int i = 0; i < DISK; i++)
		disk.bytes[i] = (uint8_t)(i / 512);
	options.block = &disk.base;
	assert_ok(virtio_blk_create(&options, &dev));
	bench_start(&bench, dev);
}

static int setup(void **state)
{
	start(false, "serial");
	return 0;
}

static int teardown(void **state)
{
	bench_end(&bench);
	assert_true(disk.freed);
	return 0;
}

/* The header at HEADER, and a status byte that nobody has written. */
static void prepare(uint32_t type, uint64_t sector)
{
	ram_put(bench.ram, HEADER, type, 8);
	ram_put(bench.ram, HEADER + 8, sector, 8);
	ram_put(bench.ram, STATUS, UNSET, 1);
}

static uint8_t status(void)
{
	return (uint8_t)ram_get(bench.ram, STATUS, 1);
}

/* A request in the usual three pieces; its used length. */
static uint32_t request(uint32_t type, uint64_t sector, uint32_t len)
{
	const struct piece pieces[] = {
		{HEADER, 16, 0},
		{DATA, len, type == T_OUT ? 0 : RING_WRITE},
		{STATUS, 1, RING_WRITE},
	};

	prepare(type, sector);
	return bench_run(&bench, pieces, 3);
}

static void test_identity_and_configuration(void **state)
{
	uint8_t config[60];

	assert_int_equal(bench.dev->id, 2);
	assert_string_equal(bench.dev->name, "virtio-blk-7");
	assert_int_equal(bench.dev->config_size, 60);
	bench.dev->ops->config_read(bench.dev, 0, config, 60);
	assert_int_equal(load_le64(config), DISK / 512);
	assert_int_equal(load_le32(config + 12), 254);  /* seg_max: what a ring takes */
	assert_int_equal(load_le32(config + 20), 4096); /* blk_size */
	bench.dev->ops->config_read(bench.dev, 59, config, 1);
	assert_int_equal(config[0], 0);
	assert_true(bench.dev->features & 1ull << 9);  /* FLUSH */
	assert_false(bench.dev->features & 1ull << 5); /* RO */
}

static void test_read_and_write(void **state)
{
	assert_int_equal(request(T_IN, 5, 1024), 1025);
	assert_int_equal(status(), S_OK);
	assert_int_equal(ram_get(bench.ram, DATA, 1), 5);
	assert_int_equal(ram_get(bench.ram, DATA + 512, 1), 6);
	assert_int_equal(ram_get(bench.ram, DATA + 1024, 1), 0);
	assert_int_equal(ram_fill(bench.ram, DATA, 0xa5, 512), 0);
	assert_int_equal(request(T_OUT, 9, 512), 1);
	assert_int_equal(status(), S_OK);
	assert_int_equal(disk.bytes[9 * 512 - 1], 8);
	assert_int_equal(disk.bytes[9 * 512], 0xa5);
	assert_int_equal(disk.bytes[10 * 512 - 1], 0xa5);
	assert_int_equal(disk.bytes[10 * 512], 10);
	assert_int_equal(bench.signals, 2);
}

static void test_flush(void **state)
{
	const struct piece pieces[] = {{HEADER, 16, 0}, {STATUS, 1, RING_WRITE}};

	prepare(T_FLUSH, 0);
	assert_int_equal(bench_run(&bench, pieces, 2), 1);
	assert_int_equal(status(), S_OK);
	assert_int_equal(disk.flushes, 1);
}

static void test_id_goes_into_buffers_of_any_size(void **state)
{
	uint8_t id[20];

	assert_int_equal(request(T_ID, 0, 20), 21);
	assert_int_equal(status(), S_OK);
	assert_int_equal(ram_read(bench.ram, DATA, id, 20), 0);
	assert_memory_equal(id, "serial\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	assert_int_equal(ram_fill(bench.ram, DATA, 'x', 64), 0);
	assert_int_equal(request(T_ID, 0, 3), 4);
	assert_int_equal(ram_get(bench.ram, DATA, 4), 'x' << 24 | 'r' << 16 | 'e' << 8 | 's');
	assert_int_equal(status(), S_OK);
	/* Longer: the status byte comes behind bytes that nobody wrote. */
	assert_int_equal(request(T_ID, 0, 64), 20);
	assert_int_equal(ram_get(bench.ram, DATA + 20, 1), 'x');
	assert_int_equal(status(), S_OK);
	assert_int_equal(request(T_ID, 0, 0), 1);
	assert_int_equal(status(), S_OK);
}

static void test_the_serial_is_the_name_by_default_and_may_fill_the_field(void **state)
{
	static const char *serials[] = {NULL, "12345678901234567890", "123456789012345678901234"};
	static const char *expected[] = {
		"virtio-blk-7\0\0\0\0\0\0\0", "12345678901234567890", "12345678901234567890"};
	uint8_t id[20];

	for (unsigned int i = 0; i < 3; i++) {
		bench_end(&bench);
		start(false, serials[i]);
		assert_int_equal(request(T_ID, 0, 20), 21);
		assert_int_equal(ram_read(bench.ram, DATA, id, 20), 0);
		assert_memory_equal(id, expected[i], 20);
	}
}

static void test_what_is_not_whole_sectors_inside_the_disk_is_an_error(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{0, 511},
		{0, 513},
		{0, 1},
		{DISK / 512, 512},
		{DISK / 512 - 1, 1024},
		{DISK / 512 + 1, 0},
		{0, DISK + 512},
		{1ull << 55, 512},
		{(1ull << 55) + 1, 512},
		{UINT64_MAX, 512},
		{UINT64_MAX / 512, 512},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(request(T_IN, bad[i].sector, bad[i].len), bad[i].len ? 0 : 1);
		assert_int_equal(status(), S_IOERR);
		assert_int_equal(request(T_OUT, bad[i].sector, bad[i].len), 1);
		assert_int_equal(status(), S_IOERR);
	}
	assert_int_equal(disk.reads + disk.writes, 0);
	assert_int_equal(bench.resets, 0);
	assert_int_equal(request(T_IN, DISK / 512 - 1, 512), 513); /* the last one is fine */
	assert_int_equal(status(), S_OK);
	assert_int_equal(request(T_IN, DISK / 512, 0), 1); /* and nothing at all, at the end */
	assert_int_equal(status(), S_OK);
}

static void test_unknown_types_are_unsupported(void **state)
{
	static const uint32_t types[] = {2, 3, 5, 11, 13, 16, 0x80000000u, UINT32_MAX};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		(void)request(types[i], 0, 512);
		assert_int_equal(status(), S_UNSUP);
		assert_int_equal(ram_get(bench.ram, DATA, 8), 0);
	}
}

static void test_errors_of_the_file_are_errors_of_the_request(void **state)
{
	static const int errors[] = {-EIO, -ENOSPC, -EFAULT, -EDQUOT};
	const struct piece flush[] = {{HEADER, 16, 0}, {STATUS, 1, RING_WRITE}};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		disk.error = errors[i];
		assert_int_equal(request(T_IN, 0, 512), 0);
		assert_int_equal(status(), S_IOERR);
		(void)request(T_OUT, 0, 512);
		assert_int_equal(status(), S_IOERR);
		prepare(T_FLUSH, 0);
		(void)bench_run(&bench, flush, 2);
		assert_int_equal(status(), S_IOERR);
	}
	disk.error = 0;
	(void)request(T_OUT, 0, 512);
	assert_int_equal(status(), S_OK); /* space again */
}

static void test_a_readonly_disk_is_not_written(void **state)
{
	bench_end(&bench);
	start(true, NULL);
	assert_true(bench.dev->features & 1ull << 5);
	(void)request(T_OUT, 0, 512);
	assert_int_equal(status(), S_IOERR);
	assert_int_equal(disk.writes, 0);
	assert_int_equal(request(T_IN, 1, 512), 513);
	assert_int_equal(status(), S_OK);
}

/* virtio 1.3, 2.7.4.1: the device makes no assumption of how the driver cuts a request. */
static void test_header_data_and_status_may_be_cut_anywhere(void **state)
{
	struct piece in[40];
	unsigned int n = 0;

	prepare(T_IN, 3);
	for (unsigned int i = 0; i < 16; i++)
		in[n++] = (struct piece){HEADER + i, 1, 0};
	in[n++] = (struct piece){DATA, 100, RING_WRITE};
	in[n++] = (struct piece){DATA + 100, 0, RING_WRITE};
	/* The last byte of the last piece is the status. */
	in[n++] = (struct piece){DATA + 100, 413, RING_WRITE};
	ram_put(bench.ram, DATA + 512, UNSET, 1);
	assert_int_equal(bench_run(&bench, in, n), 513);
	assert_int_equal(ram_get(bench.ram, DATA, 1), 3);
	assert_int_equal(ram_get(bench.ram, DATA + 511, 1), 3);
	assert_int_equal(ram_get(bench.ram, DATA + 512, 1), S_OK);

	prepare(T_OUT, 0);
	assert_int_equal(ram_fill(bench.ram, HEADER + 16, 0x77, 512), 0);
	assert_int_equal(
		bench_run(&bench, (const struct piece[]){{HEADER, 528, 0}, {STATUS, 1, RING_WRITE}},
			2),
		1);
	assert_int_equal(status(), S_OK);
	assert_int_equal(disk.bytes[0], 0x77);
	assert_int_equal(disk.bytes[511], 0x77);
	assert_int_equal(disk.bytes[512], 1);
}

static void test_as_many_segments_as_a_ring_has(void **state)
{
	struct piece pieces[256];

	pieces[0] = (struct piece){HEADER, 16, 0};
	for (unsigned int i = 0; i < 254; i++)
		pieces[1 + i] = (struct piece){DATA + i * 512, 512, RING_WRITE};
	pieces[255] = (struct piece){STATUS, 1, RING_WRITE};
	prepare(T_IN, 0);
	assert_int_equal(bench_run(&bench, pieces, 256), 254 * 512 + 1);
	assert_int_equal(status(), S_OK);
	assert_int_equal(ram_get(bench.ram, DATA + 253 * 512, 1), 253);
}

static void test_requests_without_header_or_status_complete_with_nothing(void **state)
{
	static const struct piece bad[][2] = {
		{{HEADER, 15, 0}, {STATUS, 1, RING_WRITE}},
		{{HEADER, 0, 0}, {STATUS, 1, RING_WRITE}},
		{{HEADER, 16, 0}, {STATUS, 0, RING_WRITE}},
		{{HEADER, 16, 0}, {DATA, 512, 0}},
		{{HEADER, 16, RING_WRITE}, {STATUS, 1, RING_WRITE}},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		prepare(T_IN, 0);
		assert_int_equal(bench_run(&bench, bad[i], 2), 0);
		assert_int_equal(status(), UNSET);
	}
	assert_int_equal(disk.reads, 0);
	assert_int_equal(bench.resets, 0);
	assert_int_equal(request(T_IN, 0, 512), 513);
}

/* A used length has 32 bits. */
static void test_lengths_that_add_up_beyond_32_bits_are_refused(void **state)
{
	struct piece pieces[256];

	pieces[0] = (struct piece){HEADER, 16, 0};
	for (unsigned int i = 1; i < 256; i++)
		pieces[i] = (struct piece){0, BENCH_RAM, RING_WRITE};
	prepare(T_IN, 0);
	assert_int_equal(bench_run(&bench, pieces, 256), 0);
	assert_int_equal(disk.reads, 0);
	assert_int_equal(bench.resets, 0);
}

static void test_a_broken_ring_is_told_once_and_nothing_is_served(void **state)
{
	const struct piece outside = {BENCH_RAM, 16, 0};

	(void)ring_add(&bench.ring, &outside, 1);
	bench.dev->ops->notify(bench.dev, 0);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(bench.resets, 1);
	assert_int_equal(bench.signals, 0);
	assert_int_equal(ring_completed(&bench.ring), 0);
}

#define BLK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BLK_TEST(test_identity_and_configuration),
		BLK_TEST(test_read_and_write),
		BLK_TEST(test_flush),
		BLK_TEST(test_id_goes_into_buffers_of_any_size),
		BLK_TEST(test_the_serial_is_the_name_by_default_and_may_fill_the_field),
		BLK_TEST(test_what_is_not_whole_sectors_inside_the_disk_is_an_error),
		BLK_TEST(test_unknown_types_are_unsupported),
		BLK_TEST(test_errors_of_the_file_are_errors_of_the_request),
		BLK_TEST(test_a_readonly_disk_is_not_written),
		BLK_TEST(test_header_data_and_status_may_be_cut_anywhere),
		BLK_TEST(test_as_many_segments_as_a_ring_has),
		BLK_TEST(test_requests_without_header_or_status_complete_with_nothing),
		BLK_TEST(test_lengths_that_add_up_beyond_32_bits_are_refused),
		BLK_TEST(test_a_broken_ring_is_told_once_and_nothing_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
