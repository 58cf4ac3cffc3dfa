/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/flash.h"
#include "event/loop.h"

#define BASE 0xffc00000u
#define SIZE (4u * FLASH_BLOCK_SIZE)

struct fixture {
	struct bus *mmio;
	struct loop *loop;
	struct flash_memory memory;
	bool shown;
	unsigned int changes;
	bool fails;
	int fd;
	uint8_t data[SIZE];
	struct device *flash;
};

static struct fixture f;

static bool show(struct flash_memory *memory, bool shown)
{
	assert_ptr_equal(memory, &f.memory);
	assert_int_not_equal(shown, f.shown);
	f.changes++;
	f.shown = shown && !f.fails;
	return f.shown;
}

static int setup(void **state)
{
	static const struct flash_memory_ops ops = {.show = show};
	struct flash_options options = {
		.base = BASE, .data = f.data, .size = SIZE, .memory = &f.memory};

	memset(&f, 0, sizeof(f));
	f.memory.ops = &ops;
	f.fd = memfd_create("flash", 0);
	memset(f.data, 0xff, SIZE);
	memcpy(f.data, "content", 7);
	assert_int_equal(write(f.fd, f.data, SIZE), SIZE);
	assert_ok(bus_create("mmio", &f.mmio));
	assert_ok(loop_create(&f.loop));
	options.mmio = f.mmio;
	options.loop = f.loop;
	options.fd = f.fd;
	assert_ok(flash_create(&options, &f.flash));
	return 0;
}

static int teardown(void **state)
{
	device_free(f.flash);
	assert_false(f.shown);
	loop_free(f.loop);
	bus_free(f.mmio);
	close(f.fd);
	return 0;
}

static void put(uint64_t off, uint8_t value)
{
	bus_write(f.mmio, BASE + off, 1, value);
}

static uint8_t get(uint64_t off)
{
	return (uint8_t)bus_read(f.mmio, BASE + off, 1);
}

static void program(uint64_t off, uint8_t value)
{
	put(off, 0x10);
	put(off, value);
}

static void erase(uint64_t off)
{
	put(off, 0x20);
	put(off, 0xd0);
}

/* The content is the same in memory and in the file. */
static void expect(uint64_t off, uint8_t value)
{
	uint8_t stored;

	assert_int_equal(f.data[off], value);
	assert_int_equal(pread(f.fd, &stored, 1, (off_t)off), 1);
	assert_int_equal(stored, value);
}

static void test_array_is_memory(void **state)
{
	assert_true(f.shown);
	assert_int_equal(get(1), 'o');
	assert_int_equal(bus_read(f.mmio, BASE, 8), 0xff746e65746e6f63);
	put(0, 0xff);
	assert_true(f.shown);
	assert_int_equal(f.changes, 1);
}

static void test_program(void **state)
{
	program(10, 0x5a);
	assert_false(f.shown);
	assert_int_equal(get(10), 0x80); /* ready, no error */
	put(10, 0xff);
	assert_int_equal(get(10), 0x5a);
	expect(10, 0x5a);
	put(11, 0x40);
	put(11, 0x0f);
	/* Ones become zeros, not the other way round. */
	program(10, 0xf0);
	expect(10, 0x50);
	expect(11, 0x0f);
	expect(9, 0xff);
}

static void test_program_of_several_bytes(void **state)
{
	bus_write(f.mmio, BASE + 16, 4, 0x10);
	bus_write(f.mmio, BASE + 16, 4, 0x04030201);
	expect(16, 1);
	expect(19, 4);
	expect(20, 0xff);
}

static void test_erase(void **state)
{
	program(FLASH_BLOCK_SIZE, 0);
	program(2 * FLASH_BLOCK_SIZE - 1, 0);
	program(2 * FLASH_BLOCK_SIZE, 0);
	erase(FLASH_BLOCK_SIZE + 100);
	assert_int_equal(get(0), 0x80);
	expect(FLASH_BLOCK_SIZE, 0xff);
	expect(2 * FLASH_BLOCK_SIZE - 1, 0xff);
	expect(2 * FLASH_BLOCK_SIZE, 0);
	expect(0, 'c');
}

/* The row of writes takes the memory away once; reading brings it back. */
static void test_memory_comes_and_goes_seldom(void **state)
{
	for (uint64_t off = 100; off < 200; off++) {
		program(off, 1);
		put(off, 0xff);
		assert_int_equal(get(off), 1);
	}
	assert_int_equal(f.changes, 2);
	for (int i = 0; i < 255; i++)
		get(0);
	assert_true(f.shown);
	assert_int_equal(f.changes, 3);
}

/* UEFI's way to find out. */
static void test_it_is_known_as_a_flash(void **state)
{
	assert_int_equal(get(0), 'c');
	put(0, 0x50);
	assert_int_equal(get(0), 'c');
	put(0, 0x70);
	assert_int_equal(get(0), 0);
	put(0, 0xff);
	assert_int_equal(get(0), 'c');
}

static void test_identification(void **state)
{
	put(0, 0x90);
	assert_int_equal(get(0), 0x89);
	assert_int_equal(get(1), 0x18);
	assert_int_equal(get(2), 0);
	put(0, 0x98);
	assert_int_equal(get(0x10), 'Q');
	assert_int_equal(get(0x11), 'R');
	assert_int_equal(get(0x12), 'Y');
	assert_int_equal(get(0x13), 1);
	assert_int_equal(get(0x27), 14);
	assert_int_equal(get(0x2d), 3);
	assert_int_equal(get(0x2f), 16);
	assert_int_equal(get(0x1000), 0);
	put(0, 0xff);
	assert_int_equal(get(0), 'c');
}

static void test_bad_sequences(void **state)
{
	put(0, 0x20);
	put(0, 0x10);
	assert_int_equal(get(0), 0xb0);
	expect(0, 'c');
	put(0, 0x50);
	put(0, 0x60);
	put(0, 0xd0);
	assert_int_equal(get(0), 0x80);
	put(0, 0x60);
	put(0, 0x12);
	assert_int_equal(get(0), 0xb0);
	put(0, 0x33); /* no command */
	assert_int_equal(get(0), 'c');
}

static void test_a_file_that_cannot_be_written(void **state)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", f.fd);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && dup2(fd, f.fd) == f.fd);
	close(fd);
	program(0, 0);
	assert_int_equal(get(0), 0x90);
	erase(0);
	assert_int_equal(get(0), 0xb0);
	assert_int_equal(f.data[0], 'c');
}

static void test_memory_that_cannot_be_shown(void **state)
{
	put(0, 0x70);
	f.fails = true;
	put(0, 0xff);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(get(0), 'c');
	assert_false(f.shown);
}

static void test_reset(void **state)
{
	put(0, 0x20);
	put(0, 0);
	device_quiesce(f.flash);
	device_reset(f.flash);
	assert_true(f.shown);
	assert_int_equal(get(0), 'c');
	put(0, 0x70);
	assert_int_equal(get(0), 0x80);
	put(0, 0x20);
	device_reset(f.flash);
	put(0, 0xd0); /* confirms nothing */
	assert_int_equal(get(0), 'c');
	expect(0, 'c');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_array_is_memory),
		TEST(test_program),
		TEST(test_program_of_several_bytes),
		TEST(test_erase),
		TEST(test_memory_comes_and_goes_seldom),
		TEST(test_it_is_known_as_a_flash),
		TEST(test_identification),
		TEST(test_bad_sequences),
		TEST(test_a_file_that_cannot_be_written),
		TEST(test_memory_that_cannot_be_shown),
		TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
