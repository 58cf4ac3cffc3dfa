/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/macros.h"
#include "mem/bus.h"

struct test_dev {
	struct io_region region;
	_Atomic uint64_t written;
	_Atomic bool wrong; /* an access came with an offset outside */
	uint64_t tag;
};

static uint64_t test_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct test_dev *dev = container_of(region, struct test_dev, region);

	if (off + size > region->size)
		atomic_store(&dev->wrong, true);
	return dev->tag + off;
}

static void test_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct test_dev *dev = container_of(region, struct test_dev, region);

	if (off + size > region->size)
		atomic_store(&dev->wrong, true);
	atomic_store(&dev->written, value);
}

static const struct io_ops test_ops = {test_read, test_write};

static struct test_dev test_dev(uint64_t size, uint64_t tag)
{
	return (struct test_dev){
		.region = {.ops = &test_ops, .name = "test", .size = size}, .tag = tag};
}

static void test_dispatch_by_address(void **state)
{
	struct test_dev a = test_dev(16, 0x100);
	struct test_dev b = test_dev(16, 0x200);
	struct bus *bus;

	assert_ok(bus_create("test", &bus));
	assert_ok(bus_add_at(bus, &b.region, 0x1010));
	assert_ok(bus_add_at(bus, &a.region, 0x1000));
	assert_int_equal(bus_read(bus, 0x1008, 4), 0x108);
	assert_int_equal(bus_read(bus, 0x1010, 8), 0x200);
	assert_int_equal(bus_read(bus, 0x1010, 1), 0x00);
	assert_int_equal(bus_read(bus, 0xfff, 1), 0xff);
	assert_int_equal(bus_read(bus, 0x1020, 2), 0xffff);
	assert_int_equal(bus_read(bus, 0x100c, 8), UINT64_MAX); /* crosses the end of a */
	bus_write(bus, 0x1000, 2, 0x12345);
	assert_int_equal(a.written, 0x2345);
	bus_write(bus, 0x101e, 4, 7);
	assert_int_equal(b.written, 0);
	bus_free(bus);
}

static void test_moves_never_overlap(void **state)
{
	struct test_dev a = test_dev(0x1000, 0);
	struct test_dev b = test_dev(0x1000, 0x8000);
	struct bus *bus;

	assert_ok(bus_create("test", &bus));
	assert_ok(bus_add_at(bus, &a.region, 0x1000));
	assert_ok(bus_add(bus, &b.region));
	assert_int_equal(bus_enable(bus, &b.region, 0x1800), -EEXIST);
	assert_false(b.region.enabled);
	assert_int_equal(bus_enable(bus, &b.region, UINT64_MAX - 0xffe), -ERANGE);
	assert_int_equal(bus_enable(bus, &b.region, UINT64_MAX - 0xfff), 0);
	assert_int_equal(bus_read(bus, UINT64_MAX, 1), 0xff & 0x8fff);
	assert_int_equal(bus_enable(bus, &b.region, 0x800), -EEXIST);
	assert_int_equal(bus_enable(bus, &b.region, 0), 0);
	assert_err(bus_add_at(bus,
			   &(struct test_dev){.region = {.ops = &test_ops, .name = "c", .size = 1}}
				    .region,
			   0xfff),
		"Cannot place c");
	bus_disable(bus, &a.region);
	assert_int_equal(bus_read(bus, 0x1000, 1), 0xff);
	bus_remove(bus, &a.region);
	bus_free(bus);
}

static void test_many_regions(void **state)
{
	static struct test_dev devs[500];
	struct bus *bus;

	assert_ok(bus_create("test", &bus));
	for (uint64_t i = 0; i < 500; i++) {
		devs[i] = test_dev(8, i << 8);
		assert_ok(bus_add_at(bus, &devs[i].region, (i * 7 % 500) * 16));
	}
	for (uint64_t i = 0; i < 500; i++)
		assert_int_equal(bus_read(bus, (i * 7 % 500) * 16, 8), i << 8);
	bus_free(bus);
}

struct test_race {
	struct bus *bus;
	_Atomic bool stop;
	_Atomic unsigned long hits;
};

static void *test_reader(void *arg)
{
	struct test_race *race = arg;

	while (!atomic_load(&race->stop)) {
		for (uint64_t addr = 0; addr < 0x4000; addr += 0x400) {
			uint64_t v = bus_read(race->bus, addr, 4);

			/* A fixed neighbour is always found; a moving one answers with its tag or
			 * not at all. */
			if (addr >= 0x2000 && addr < 0x3000)
				assert_true(v == 0x20000 + (addr - 0x2000));
			else
				atomic_fetch_add(&race->hits, v != UINT32_MAX);
		}
	}
	return NULL;
}

static void test_lookups_race_with_moves(void **state)
{
	struct test_dev moving = test_dev(0x1000, 0x10000);
	struct test_dev fixed = test_dev(0x1000, 0x20000);
	struct test_race race = {0};
	pthread_t threads[2];

	assert_ok(bus_create("test", &race.bus));
	assert_ok(bus_add_at(race.bus, &fixed.region, 0x2000));
	assert_ok(bus_add(race.bus, &moving.region));
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, test_reader, &race);
	for (int i = 0; i < 20000; i++) {
		assert_int_equal(bus_enable(race.bus, &moving.region, i & 1 ? 0 : 0x3000), 0);
		if (i % 3 == 0)
			bus_disable(race.bus, &moving.region);
	}
	atomic_store(&race.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_false(moving.wrong);
	assert_false(fixed.wrong);
	bus_free(race.bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dispatch_by_address),
		cmocka_unit_test(test_moves_never_overlap),
		cmocka_unit_test(test_many_regions),
		cmocka_unit_test(test_lookups_race_with_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
