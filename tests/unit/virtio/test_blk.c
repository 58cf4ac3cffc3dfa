/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk on a block device that the test controls: what it stores, and when it fails.
 */
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "block/image.h"
#include "block/layers.h"
#include "virtio/dev/blk_internal.h"

#define DISK      0x40000u /* bytes */
#define HEADER    0x20000
#define STATUS    0x21000
#define DATA      0x30000

#define T_IN      0
#define T_OUT     1
#define T_FLUSH   4
#define T_ID      8
#define T_DISCARD 11
#define T_ZEROES  13

#define S_OK      0
#define S_IOERR   1
#define S_UNSUP   2
#define UNSET     0xee

#define F_FLUSH   (1ull << 9)
#define F_WCE     (1ull << 11)
#define F_MQ      (1ull << 12)
#define F_DISCARD (1ull << 13)
#define F_ZEROES  (1ull << 14)

struct disk {
	struct block_image base;
	uint8_t bytes[DISK];
	int error; /* of the next call */
	unsigned int reads, writes, stable_writes, flushes, discards, zeroes, unmaps;
	void (*reading)(void); /* called by each read */
	bool freed;
};

static struct disk disk;
static struct block_dev *faulty; /* between the device and the disk */
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

static int disk_preadv(struct block_image *image, const struct iovec *iov, int n, uint64_t off)
{
	disk.reads++;
	if (disk.reading)
		disk.reading();
	return disk.error ? disk.error : disk_io(iov, n, off, true);
}

static int disk_pwritev(
	struct block_image *image, const struct iovec *iov, int n, uint64_t off, bool fua)
{
	disk.writes++;
	disk.stable_writes += fua;
	return disk.error ? disk.error : disk_io(iov, n, off, false);
}

static int disk_flush(struct block_image *image)
{
	disk.flushes++;
	return disk.error;
}

static int disk_discard(struct block_image *image, uint64_t off, uint64_t len)
{
	assert_true(range_fits(off, len, DISK));
	disk.discards++;
	return disk.error;
}

static int disk_write_zeroes(struct block_image *image, uint64_t off, uint64_t len, bool unmap)
{
	assert_true(range_fits(off, len, DISK));
	disk.zeroes++;
	disk.unmaps += unmap;
	if (!disk.error)
		memset(disk.bytes + off, 0, len);
	return disk.error;
}

static void disk_free(struct block_image *image)
{
	disk.freed = true;
}

static const struct block_image_ops disk_ops = {.preadv = disk_preadv,
	.pwritev = disk_pwritev,
	.flush = disk_flush,
	.discard = disk_discard,
	.write_zeroes = disk_write_zeroes,
	.free = disk_free};

static void start_with(struct virtio_blk_options options, bool readonly, uint64_t negotiated)
{
	struct virtio_dev *dev;

	options.name = "virtio-blk-7";
	disk = (struct disk){.base = {.ops = &disk_ops,
				     .facts = {.size = DISK,
					     .block_size = 4096,
					     .physical_size = 16384,
					     .opt_io = 65536,
					     .readonly = readonly}}};
	for (unsigned int i = 0; i < DISK; i++)
		disk.bytes[i] = (uint8_t)(i / 512);
	assert_ok(block_sync_create(&disk.base, &options.blocks[0]));
	assert_ok(block_fault_create(options.blocks[0], &faulty));
	options.blocks[0] = faulty;
	assert_ok(virtio_blk_create(&options, &dev));
	dev->negotiated = negotiated;
	bench_start(&bench, dev);
}

static void start(bool readonly, const char *serial)
{
	start_with(
		(struct virtio_blk_options){.serial = serial, .discard = true}, readonly, F_FLUSH);
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
	assert_int_equal(config[24], 2);                /* 4 blocks are a physical one */
	assert_int_equal(config[25], 0);
	assert_int_equal(load_le16(config + 26), 4);
	assert_int_equal(load_le32(config + 28), 16);
	assert_int_equal(config[32], 1);             /* writeback */
	assert_int_equal(load_le16(config + 34), 1); /* queues */
	assert_int_equal(load_le32(config + 36), 1 << 21);
	assert_int_equal(load_le32(config + 40), 1);
	assert_int_equal(load_le32(config + 44), 32);
	assert_int_equal(load_le32(config + 48), 1 << 16);
	assert_int_equal(load_le32(config + 52), 1);
	assert_int_equal(config[56], 1);
	bench.dev->ops->config_read(bench.dev, 59, config, 1);
	assert_int_equal(config[0], 0);
	assert_int_equal(bench.dev->features & 0xffffff, 0x6e46); /* not RO, not MQ */
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
	static const uint32_t types[] = {2, 3, 5, 10, 12, 14, 16, 0x80000000u, UINT32_MAX};

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

/* A discard or a write of zeroes; its status. */
static uint8_t clear(uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
	ram_put(bench.ram, DATA, sector, 8);
	ram_put(bench.ram, DATA + 8, n | (uint64_t)flags << 32, 8);
	const struct piece pieces[] = {{HEADER, 16, 0}, {DATA, 16, 0}, {STATUS, 1, RING_WRITE}};

	prepare(type, 0);
	assert_int_equal(bench_run(&bench, pieces, 3), 1);
	return status();
}

static void test_discard_and_write_zeroes(void **state)
{
	assert_int_equal(clear(T_DISCARD, 8, 8, 0), S_OK);
	assert_int_equal(disk.discards, 1);
	assert_int_equal(clear(T_ZEROES, 8, 8, 0), S_OK);
	assert_int_equal(disk.unmaps, 0);
	assert_int_equal(clear(T_ZEROES, 16, 1, 1), S_OK);
	assert_int_equal(disk.zeroes, 2);
	assert_int_equal(disk.unmaps, 1);
	assert_int_equal(disk.bytes[8 * 512 - 1], 7);
	assert_int_equal(disk.bytes[8 * 512] | disk.bytes[16 * 512 - 1], 0);
	assert_int_equal(disk.bytes[17 * 512], 17);
	assert_int_equal(clear(T_DISCARD, DISK / 512, 0, 0), S_OK); /* nothing */
	assert_int_equal(disk.discards, 1);
	disk.error = -EIO;
	assert_int_equal(clear(T_DISCARD, 8, 8, 0), S_IOERR);
	disk.error = -EOPNOTSUPP;
	assert_int_equal(clear(T_DISCARD, 8, 8, 0), S_UNSUP);
}

static void test_bad_ranges_and_flags_of_discards_are_refused(void **state)
{
	static const uint32_t types[] = {T_DISCARD, T_ZEROES};

	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(clear(types[i], DISK / 512, 1, 0), S_IOERR);
		assert_int_equal(clear(types[i], 0, DISK / 512 + 1, 0), S_IOERR);
		assert_int_equal(clear(types[i], UINT64_MAX, 1, 0), S_IOERR);
		assert_int_equal(clear(types[i], 1, UINT32_MAX, 0), S_IOERR);
		assert_int_equal(clear(types[i], 0, 1, 2), S_UNSUP);
		assert_int_equal(clear(types[i], 0, 1, 1u << 31), S_UNSUP);
		(void)request(types[i], 0, 512); /* its range is not there */
		assert_int_equal(status(), S_IOERR);
	}
	assert_int_equal(clear(T_DISCARD, 0, 1, 1), S_UNSUP);
	assert_int_equal(disk.discards + disk.zeroes, 0);
	bench_end(&bench);
	start_with((struct virtio_blk_options){.discard = false}, false, F_FLUSH);
	assert_false(bench.dev->features & F_DISCARD);
	assert_int_equal(clear(T_DISCARD, 0, 1, 0), S_UNSUP);
	assert_int_equal(clear(T_ZEROES, 0, 1, 1), S_OK);
	assert_int_equal(disk.unmaps, 0); /* space is kept */
	bench_end(&bench);
	start(true, NULL);
	assert_false(bench.dev->features & (F_DISCARD | F_ZEROES));
	assert_int_equal(clear(T_DISCARD, 0, 1, 0), S_UNSUP);
	assert_int_equal(clear(T_ZEROES, 0, 1, 0), S_UNSUP);
}

/* 5.2.6.2: writes are stable when done, unless the driver knows of a cache. */
static void test_cache_modes(void **state)
{
	static const struct {
		bool writethrough;
		uint64_t negotiated;
		int wce; /* what the driver writes, -1: nothing */
		bool stable;
		bool shown; /* as writeback */
	} modes[] = {
		{false, F_FLUSH, -1, false, true},
		{false, 0, -1, true, true},
		{false, F_FLUSH | F_WCE, -1, false, true},
		{false, F_FLUSH | F_WCE, 0, true, false},
		{false, F_FLUSH | F_WCE, 1, false, true},
		{false, F_WCE, -1, true, false},
		{false, F_WCE, 1, true, false},
		{true, F_FLUSH, -1, true, false},
		{true, F_FLUSH | F_WCE, -1, true, false},
		{true, F_FLUSH | F_WCE, 1, false, true},
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		uint8_t wce = (uint8_t)modes[i].wce;

		bench_end(&bench);
		start_with((struct virtio_blk_options){.writethrough = modes[i].writethrough},
			false, modes[i].negotiated);
		if (modes[i].wce >= 0)
			bench.dev->ops->config_write(bench.dev, 32, &wce, 1);
		bench.dev->ops->config_write(bench.dev, 33, "\377", 1); /* is not there to write */
		(void)request(T_OUT, 0, 512);
		assert_int_equal(status(), S_OK);
		assert_int_equal(disk.stable_writes, modes[i].stable);
		assert_int_equal(clear(T_ZEROES, 0, 1, 0), S_OK);
		assert_int_equal(disk.flushes, modes[i].stable);
		bench.dev->ops->config_read(bench.dev, 32, &wce, 1);
		assert_int_equal(wce, modes[i].shown);
	}
}

/* One publication and one interrupt, however many requests were there. */
static void test_a_batch_is_one_interrupt(void **state)
{
	const struct piece pieces[] = {
		{HEADER, 16, 0}, {DATA, 512, RING_WRITE}, {STATUS, 1, RING_WRITE}};

	prepare(T_IN, 1);
	for (unsigned int i = 0; i < 80; i++)
		(void)ring_add(&bench.ring, pieces, 3);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(ring_completed(&bench.ring), 80);
	assert_int_equal(bench.signals, 1);
	assert_int_equal(disk.reads, 80);
}

static const struct piece read_pieces[] = {
	{HEADER, 16, 0}, {DATA, 512, RING_WRITE}, {STATUS, 1, RING_WRITE}};

/* The driver adds another request while the first is read; when that one's turn comes it has the
 * first. */
static void check_while_reading(void)
{
	if (disk.reads == 1)
		(void)ring_add(&bench.ring, read_pieces, 3);
	else
		assert_int_equal(ring_completed(&bench.ring), 1);
}

/* What is kept back for the sake of fewer interrupts does not wait for storage that takes long. */
static void test_what_is_held_does_not_wait_for_a_slow_request(void **state)
{
	struct virtio_blk *blk = container_of(bench.dev, struct virtio_blk, dev);

	blk->threads[0].poll.target = VIRTIO_HOLD_MAX;
	disk.reading = check_while_reading;
	prepare(T_IN, 0);
	(void)ring_add(&bench.ring, read_pieces, 3);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(ring_completed(&bench.ring), 2);
	assert_int_equal(disk.reads, 2);
	assert_int_equal(bench.signals, 2);
}

static void hang(unsigned int ops, uint64_t off, uint64_t len)
{
	const struct block_fault fault = {.ops = ops, .off = off, .len = len, .hold = true};

	block_fault_set(faulty, &fault);
}

static void test_requests_complete_in_any_order(void **state)
{
	const struct piece slow[] = {
		{HEADER, 16, 0}, {DATA, 512, RING_WRITE}, {STATUS, 1, RING_WRITE}};
	const struct piece quick[] = {
		{HEADER + 512, 16, 0}, {DATA + 512, 512, RING_WRITE}, {STATUS + 1, 1, RING_WRITE}};
	uint16_t head, other;

	hang(1u << BLOCK_READ, 0, 512);
	prepare(T_IN, 0);
	ram_put(bench.ram, HEADER + 512, T_IN, 8);
	ram_put(bench.ram, HEADER + 520, 1, 8);
	head = ring_add(&bench.ring, slow, 3);
	other = ring_add(&bench.ring, quick, 3);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(ring_take(&bench.ring, other), 513);
	assert_int_equal(ring_completed(&bench.ring), 0);
	assert_int_equal(status(), UNSET);
	block_fault_release(faulty);
	assert_int_equal(ring_take(&bench.ring, head), 513);
	assert_int_equal(status(), S_OK);
	assert_int_equal(bench.signals, 2);
}

/* However many long requests hang, memory is bounded, and all are served in the end. */
static void test_a_queue_that_finds_no_room_waits_for_a_completion(void **state)
{
	struct piece pieces[11] = {{HEADER, 16, 0}};

	for (unsigned int i = 1; i < 10; i++)
		pieces[i] = (struct piece){DATA + i * 512, 512, RING_WRITE};
	pieces[10] = (struct piece){STATUS, 1, RING_WRITE};
	prepare(T_IN, 0);
	hang(1u << BLOCK_READ, 0, DISK);
	for (unsigned int i = 0; i < 23; i++)
		(void)ring_add(&bench.ring, pieces, 11);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(ring_completed(&bench.ring), 0);
	assert_int_equal(bench.agains, 0);
	block_fault_set(faulty, NULL);
	block_fault_release(faulty);
	/* As many as found room; the others too, if it looked long enough. */
	assert_in_range(ring_completed(&bench.ring), 16, 23);
	assert_int_equal(bench.agains, 1);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(ring_completed(&bench.ring), 23);
	assert_int_equal(bench.agains, 1);
	assert_int_equal(disk.reads, 23);
}

/* While the device looks at its rings the driver need not notify; then it must again. */
static void test_notifications_are_asked_for_when_the_turn_ends(void **state)
{
	const struct piece pieces[] = {
		{HEADER, 16, 0}, {DATA, 512, RING_WRITE}, {STATUS, 1, RING_WRITE}};

	prepare(T_IN, 0);
	hang(1u << BLOCK_READ, 0, DISK);
	(void)ring_add(&bench.ring, pieces, 3);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(ram_get(bench.ram, bench.ring.used, 2), 0);
	block_fault_set(faulty, NULL);
	block_fault_release(faulty);
	assert_int_equal(ring_completed(&bench.ring), 1);
	assert_int_equal(bench.signals, 1);
	assert_int_equal(ram_get(bench.ram, bench.ring.used, 2), 0);
}

static void test_a_reset_forgets_what_hangs(void **state)
{
	hang(1u << BLOCK_READ, 0, DISK);
	prepare(T_IN, 0);
	(void)ring_add(&bench.ring,
		(const struct piece[]){
			{HEADER, 16, 0}, {DATA, 512, RING_WRITE}, {STATUS, 1, RING_WRITE}},
		3);
	bench.dev->ops->notify(bench.dev, 0);
	bench.dev->ops->drain(bench.dev, 0);
	bench.dev->ops->deactivate(bench.dev);
	bench.dev->ops->activate(bench.dev);
	block_fault_set(faulty, NULL);
	block_fault_release(faulty);
	assert_int_equal(disk.reads, 0);
	assert_int_equal(status(), UNSET);
	assert_int_equal(ring_completed(&bench.ring), 0);
}

/* ---- On a real file, by io_uring ---- */

static void start_on_file(void)
{
	struct virtio_blk_options options = {.name = "virtio-blk-7", .writethrough = true};
	struct block_raw_options raw = {0};
	char path[] = "/tmp/alioth-blk-XXXXXX";
	struct block_image *image;
	struct virtio_dev *dev;
	int fd = mkstemp(path);

	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	close(fd);
	raw.path = path;
	assert_ok(block_raw_open(&raw, &image));
	assert_int_equal(unlink(path), 0);
	assert_ok(block_uring_create(image, "file", &options.blocks[0]));
	assert_ok(virtio_blk_create(&options, &dev));
	dev->negotiated = F_FLUSH;
	bench_end(&bench);
	bench_start(&bench, dev);
}

/* n writes of 64 KiB to as many places, all in flight at once. */
static void add_writes(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct piece pieces[] = {
			{HEADER + i * 16, 16, 0}, {DATA, 0x10000, 0}, {STATUS + i, 1, RING_WRITE}};

		ram_put(bench.ram, HEADER + i * 16, T_OUT, 8);
		ram_put(bench.ram, HEADER + i * 16 + 8, i * 128ull, 8);
		ram_put(bench.ram, STATUS + i, UNSET, 1);
		(void)ring_add(&bench.ring, pieces, 3);
	}
	bench.dev->ops->notify(bench.dev, 0);
}

static void turn_over(struct loop_timer *timer)
{
	loop_stop(bench.loop);
}

static void test_completions_of_io_uring_come_by_the_loop(void **state)
{
	struct loop_timer timer = {.fired = turn_over};

	start_on_file();
	add_writes(80);
	while (ring_completed(&bench.ring) < 80) {
		loop_timer_set(bench.loop, &timer, 1000000);
		loop_run(bench.loop);
	}
	for (unsigned int i = 0; i < 80; i++)
		assert_int_equal(ram_get(bench.ram, STATUS + i, 1), S_OK);
	assert_true(bench.signals <= 80);
	disk.freed = true;
}

static void test_a_reset_waits_for_what_the_kernel_has(void **state)
{
	start_on_file();
	for (unsigned int round = 0; round < 5; round++) {
		struct bench *b = &bench;
		unsigned int before = ring_completed(&b->ring);
		unsigned int told = 0;

		add_writes(40);
		atomic_store(&b->dev->yield, true);
		b->dev->ops->drain(b->dev, 0);
		/* Whatever was begun is done, and was told: memory is the driver's again. */
		for (unsigned int i = 0; i < 40; i++) {
			uint64_t status = ram_get(b->ram, STATUS + i, 1);

			assert_true(status == S_OK || status == UNSET);
			told += status == S_OK;
		}
		assert_int_equal(told, ring_completed(&b->ring) - before);
		b->dev->ops->deactivate(b->dev);
		atomic_store(&b->dev->yield, false);
		b->dev->ops->activate(b->dev);
	}
	disk.freed = true;
}

static void test_while_the_machine_pauses_nothing_is_begun(void **state)
{
	const struct piece pieces[] = {
		{HEADER, 16, 0}, {DATA, 512, RING_WRITE}, {STATUS, 1, RING_WRITE}};

	prepare(T_IN, 1);
	(void)ring_add(&bench.ring, pieces, 3);
	atomic_store(&bench.dev->yield, true);
	bench.dev->ops->notify(bench.dev, 0);
	bench.dev->ops->pause(bench.dev, 0, true);
	assert_int_equal(disk.reads, 0);
	assert_int_equal(bench.agains, 1);
	atomic_store(&bench.dev->yield, false);
	bench.dev->ops->pause(bench.dev, 0, false);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(ring_completed(&bench.ring), 1);
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

/* More than a driver that keeps to the limits can ask for: it would take minutes, and whoever
 * pauses the machine would wait for it. */
static void test_requests_of_more_than_a_gigabyte_are_refused(void **state)
{
	struct piece pieces[35] = {{HEADER, 16, 0}};

	for (unsigned int i = 1; i <= 32; i++)
		pieces[i] = (struct piece){0, BENCH_RAM, 0};
	pieces[33] = (struct piece){0, 512, 0};
	pieces[34] = (struct piece){STATUS, 1, RING_WRITE};
	faulty->facts.size = GIB(2);
	hang(1u << BLOCK_WRITE, 0, GIB(2));
	prepare(T_OUT, 0);
	assert_int_equal(bench_run(&bench, pieces, 35), 1);
	assert_int_equal(status(), S_IOERR);
	/* The largest is begun. */
	pieces[33] = pieces[34];
	prepare(T_OUT, 0);
	(void)ring_add(&bench.ring, pieces, 34);
	bench.dev->ops->notify(bench.dev, 0);
	assert_int_equal(ring_completed(&bench.ring), 0);
	assert_int_equal(status(), UNSET);
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
		BLK_TEST(test_discard_and_write_zeroes),
		BLK_TEST(test_bad_ranges_and_flags_of_discards_are_refused),
		BLK_TEST(test_cache_modes),
		BLK_TEST(test_a_batch_is_one_interrupt),
		BLK_TEST(test_what_is_held_does_not_wait_for_a_slow_request),
		BLK_TEST(test_requests_complete_in_any_order),
		BLK_TEST(test_a_queue_that_finds_no_room_waits_for_a_completion),
		BLK_TEST(test_notifications_are_asked_for_when_the_turn_ends),
		BLK_TEST(test_a_reset_forgets_what_hangs),
		BLK_TEST(test_completions_of_io_uring_come_by_the_loop),
		BLK_TEST(test_a_reset_waits_for_what_the_kernel_has),
		BLK_TEST(test_while_the_machine_pauses_nothing_is_begun),
		BLK_TEST(test_header_data_and_status_may_be_cut_anywhere),
		BLK_TEST(test_as_many_segments_as_a_ring_has),
		BLK_TEST(test_requests_without_header_or_status_complete_with_nothing),
		BLK_TEST(test_lengths_that_add_up_beyond_32_bits_are_refused),
		BLK_TEST(test_requests_of_more_than_a_gigabyte_are_refused),
		BLK_TEST(test_a_broken_ring_is_told_once_and_nothing_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
