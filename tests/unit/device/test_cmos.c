/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock is the test's, so that no test waits for time; only interrupts run on a real loop.
 */
#include "unit.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/thread.h"
#include "device/cmos.h"
#include "device/cmos_time.h"
#include "event/loop.h"

#define S     1000000000ll
#define START 1700000000ll /* Tue 2023-11-14 22:13:20 UTC */

struct fixture {
	struct bus *pio;
	struct loop *loop;
	struct thread thread;
	struct irq_line line;
	_Atomic bool level;
	struct device *cmos;
};

static struct fixture f;
static _Atomic int64_t now;

static int64_t test_clock(void)
{
	return now;
}

static void set_line(struct irq_line *line, bool level)
{
	f.level = level;
}

static void run_loop(struct thread *thread)
{
	loop_run(f.loop);
}

static int setup(void **state)
{
	struct cmos_options options = {.irq = &f.line,
		.ram_low = GIB(2),
		.ram_high = GIB(5),
		.n_cpus = 3,
		.clock = test_clock};

	memset(&f, 0, sizeof(f));
	now = START * S;
	f.line.set = set_line;
	f.thread = (struct thread){.name = "loop", .run = run_loop};
	assert_ok(bus_create("pio", &f.pio));
	assert_ok(loop_create(&f.loop));
	options.pio = f.pio;
	options.loop = f.loop;
	assert_ok(cmos_create(&options, &f.cmos));
	return 0;
}

static int teardown(void **state)
{
	loop_stop(f.loop);
	if (f.thread.started)
		thread_join(&f.thread);
	device_free(f.cmos);
	loop_free(f.loop);
	bus_free(f.pio);
	return 0;
}

static uint8_t get(uint8_t index)
{
	bus_write(f.pio, 0x70, 1, index);
	return (uint8_t)bus_read(f.pio, 0x71, 1);
}

static void put(uint8_t index, uint8_t value)
{
	bus_write(f.pio, 0x70, 1, index);
	bus_write(f.pio, 0x71, 1, value);
}

static void expect_time(unsigned int h, unsigned int m, unsigned int s)
{
	assert_int_equal(get(CMOS_HOURS), h);
	assert_int_equal(get(CMOS_MINUTES), m);
	assert_int_equal(get(CMOS_SECONDS), s);
}

static void test_time_in_bcd(void **state)
{
	expect_time(0x22, 0x13, 0x20);
	assert_int_equal(get(CMOS_WEEKDAY), 3);
	assert_int_equal(get(CMOS_DAY), 0x14);
	assert_int_equal(get(CMOS_MONTH), 0x11);
	assert_int_equal(get(CMOS_YEAR), 0x23);
	assert_int_equal(get(CMOS_CENTURY), 0x20);
	assert_int_equal(get(CMOS_B), CMOS_B_24H);
	assert_int_equal(get(CMOS_D), 0x80);
	now += 45 * S;
	expect_time(0x22, 0x14, 0x05);
}

static void test_time_in_other_formats(void **state)
{
	put(CMOS_B, CMOS_B_24H | CMOS_B_BINARY);
	expect_time(22, 13, 20);
	put(CMOS_B, CMOS_B_BINARY);
	expect_time(0x80 | 10, 13, 20);
	now += 2 * 3600 * S;
	assert_int_equal(get(CMOS_HOURS), 12); /* midnight */
	now += 12 * 3600 * S;
	assert_int_equal(get(CMOS_HOURS), 0x80 | 12);
	put(CMOS_B, 0);
	assert_int_equal(get(CMOS_HOURS), 0x80 | 0x12);
	/* Written as it is read. */
	put(CMOS_HOURS, 0x80 | 0x11);
	put(CMOS_B, CMOS_B_24H);
	assert_int_equal(get(CMOS_HOURS), 0x23);
	put(CMOS_HOURS, 0x12);
	put(CMOS_B, 0);
	assert_int_equal(get(CMOS_HOURS), 0x80 | 0x12);
	put(CMOS_HOURS, 0x12);
	put(CMOS_B, CMOS_B_24H);
	assert_int_equal(get(CMOS_HOURS), 0);
}

/* Every day of 420 years, and what libc says of it. */
static void test_dates(void **state)
{
	uint8_t regs[CMOS_SIZE] = {[CMOS_B] = CMOS_B_24H | CMOS_B_BINARY};

	for (int64_t day = -50000; day < 103000; day++) {
		time_t t = day * 86400 + 86399;
		struct tm tm;

		gmtime_r(&t, &tm);
		cmos_time_store(regs, t);
		assert_int_equal(regs[CMOS_DAY], tm.tm_mday);
		assert_int_equal(regs[CMOS_MONTH], tm.tm_mon + 1);
		assert_int_equal(regs[CMOS_CENTURY] * 100 + regs[CMOS_YEAR], tm.tm_year + 1900);
		assert_int_equal(regs[CMOS_WEEKDAY], tm.tm_wday + 1);
		assert_int_equal(cmos_time_load(regs), t);
	}
}

static void test_update_in_progress(void **state)
{
	assert_int_equal(get(CMOS_A), 0x26);
	now += S - 244001;
	assert_int_equal(get(CMOS_A), 0x26);
	now += 1;
	assert_int_equal(get(CMOS_A), 0xa6);
	now += 244000;
	assert_int_equal(get(CMOS_A), 0x26);
}

/* As Linux does: SET, divider in reset, registers, and back. The next second is half a one away. */
static void test_setting_the_time(void **state)
{
	put(CMOS_B, 0x80 | CMOS_B_24H);
	put(CMOS_A, 0x76);
	put(CMOS_CENTURY, 0x19);
	put(CMOS_YEAR, 0x99);
	put(CMOS_MONTH, 0x12);
	put(CMOS_DAY, 0x31);
	put(CMOS_HOURS, 0x23);
	put(CMOS_MINUTES, 0x59);
	put(CMOS_SECONDS, 0x59);
	now += 5 * S;
	expect_time(0x23, 0x59, 0x59); /* held */
	put(CMOS_B, CMOS_B_24H);
	now += 5 * S;
	put(CMOS_A, 0x26);
	now += S / 2 - 1;
	expect_time(0x23, 0x59, 0x59);
	now += 1;
	expect_time(0, 0, 0);
	assert_int_equal(get(CMOS_DAY), 1);
	assert_int_equal(get(CMOS_YEAR), 0);
	assert_int_equal(get(CMOS_CENTURY), 0x20);
	/* It outlives a reset. */
	device_reset(f.cmos);
	now += S;
	expect_time(0, 0, 1);
}

static void test_holding_the_clock_loses_no_time(void **state)
{
	put(CMOS_B, 0x80 | CMOS_B_24H);
	now += 10 * S;
	expect_time(0x22, 0x13, 0x20);
	put(CMOS_B, CMOS_B_24H);
	expect_time(0x22, 0x13, 0x30);
}

static void test_flags_without_interrupts(void **state)
{
	assert_int_equal(get(CMOS_C), 0);
	now += S;
	assert_int_equal(get(CMOS_C), 0x50); /* update and periodic */
	assert_int_equal(get(CMOS_C), 0);
	put(CMOS_A, 0x20);
	put(CMOS_SECONDS_ALARM, 0x25);
	put(CMOS_MINUTES_ALARM, 0xff);
	put(CMOS_HOURS_ALARM, 0xc0);
	now += 3 * S; /* :24 */
	assert_int_equal(get(CMOS_C), 0x10);
	now += S;
	assert_int_equal(get(CMOS_C), 0x30);
	now += 59 * S;
	assert_int_equal(get(CMOS_C), 0x10);
	now += 86400 * S;
	assert_int_equal(get(CMOS_C), 0x30);
	assert_false(f.level);
}

static int64_t next_alarm(uint8_t h, uint8_t m, uint8_t s)
{
	uint8_t regs[CMOS_SIZE] = {[CMOS_B] = CMOS_B_24H | CMOS_B_BINARY,
		[CMOS_HOURS_ALARM] = h,
		[CMOS_MINUTES_ALARM] = m,
		[CMOS_SECONDS_ALARM] = s};

	return cmos_time_next_alarm(regs, START);
}

static void test_when_alarms_come(void **state)
{
	assert_int_equal(next_alarm(0xff, 0xff, 0xff), START + 1);
	assert_int_equal(next_alarm(22, 13, 21), START + 1);
	assert_int_equal(next_alarm(22, 13, 20), START + 86400);
	assert_int_equal(next_alarm(22, 13, 19), START + 86399);
	assert_int_equal(next_alarm(0xff, 0, 0), START + 46 * 60 + 40);
	assert_int_equal(next_alarm(21, 12, 19), START + 86400 - 3661);
	assert_int_equal(next_alarm(23, 0xc0, 59), START + 46 * 60 + 40 + 59);
	assert_int_equal(next_alarm(0xff, 12, 0xff), START + 58 * 60 + 40);
	assert_int_equal(next_alarm(24, 0, 0), INT64_MAX);
	assert_int_equal(next_alarm(0, 60, 0), INT64_MAX);
	assert_int_equal(next_alarm(0xff, 0xff, 61), INT64_MAX);
}

static void await_interrupt(void)
{
	while (!f.level)
		;
}

static void test_interrupts(void **state)
{
	assert_ok(thread_start(&f.thread));
	/* The period is over when the loop looks next. */
	put(CMOS_A, 0x2f);
	put(CMOS_B, CMOS_B_24H | 0x40);
	now += S / 2;
	await_interrupt();
	assert_int_equal(get(CMOS_C), 0xc0);
	assert_false(f.level);
	put(CMOS_B, CMOS_B_24H | 0x10);
	now += S;
	await_interrupt();
	assert_int_equal(get(CMOS_C) & 0x90, 0x90);
	/* What is pending when it is enabled comes at once. */
	put(CMOS_B, CMOS_B_24H);
	now += S;
	put(CMOS_B, CMOS_B_24H | 0x10);
	assert_true(f.level);
	get(CMOS_C);
	put(CMOS_SECONDS_ALARM, 0x25);
	put(CMOS_MINUTES_ALARM, 0xff);
	put(CMOS_HOURS_ALARM, 0xff);
	put(CMOS_B, CMOS_B_24H | 0x20);
	now += 30 * S;
	assert_int_equal(get(CMOS_C) & 0xa0, 0xa0);
	assert_false(f.level);
}

static void test_paused_clocks_raise_nothing(void **state)
{
	put(CMOS_B, CMOS_B_24H | 0x10);
	device_quiesce(f.cmos);
	now += S;
	assert_int_equal(get(CMOS_C), 0xd0);
	now += S;
	get(CMOS_A);
	assert_false(f.level);
	device_resume(f.cmos);
	assert_true(f.level);
	device_reset(f.cmos);
	assert_false(f.level);
	assert_int_equal(get(CMOS_B), CMOS_B_24H);
	assert_int_equal(get(CMOS_C), 0);
}

/* As a reboot does it: quiesced, reset, and not resumed. */
static void test_a_reset_ends_a_pause(void **state)
{
	now += S;
	put(CMOS_B, CMOS_B_24H | 0x10);
	assert_true(f.level);
	device_quiesce(f.cmos);
	device_reset(f.cmos);
	assert_false(f.level);
	put(CMOS_SECONDS_ALARM, 0xff);
	put(CMOS_MINUTES_ALARM, 0xff);
	put(CMOS_HOURS_ALARM, 0xff);
	now += S;
	put(CMOS_B, CMOS_B_24H | 0x20);
	assert_true(f.level);
}

static void test_memory_registers(void **state)
{
	static const uint8_t expected[][2] = {{0x15, 0x80}, {0x16, 0x02}, {0x17, 0xff},
		{0x18, 0xff}, {0x30, 0xff}, {0x31, 0xff}, {0x34, 0x00}, {0x35, 0x7f}, {0x5b, 0},
		{0x5c, 0x40}, {0x5d, 1}, {0x5f, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(get(expected[i][0]), expected[i][1]);
}

static void test_ram_and_index(void **state)
{
	put(0x40, 0x5a);
	assert_int_equal(get(0x40), 0x5a);
	assert_int_equal(get(0x80 | 0x40), 0x5a); /* with NMIs masked */
	assert_int_equal(bus_read(f.pio, 0x70, 1), 0xff);
	bus_write(f.pio, 0x70, 2, 0xa541);
	assert_int_equal(get(0x41), 0xa5);
	put(CMOS_C, 0xff);
	put(CMOS_D, 0);
	assert_int_equal(get(CMOS_C) & 0x0f, 0);
	assert_int_equal(get(CMOS_D), 0x80);
	device_reset(f.cmos);
	assert_int_equal(get(0x40), 0x5a);
}

/* Whatever is written is a time, and the clock goes on. */
static void test_nonsense_in_the_registers(void **state)
{
	for (unsigned int mode = 0; mode < 8; mode += 2) {
		put(CMOS_B, (uint8_t)mode);
		for (uint8_t index = 0; index < 10; index++)
			put(index, 0xff);
		put(CMOS_CENTURY, 0xff);
		now += 86400 * S;
		get(CMOS_C);
		get(CMOS_YEAR);
		for (uint8_t index = 0; index < 10; index++)
			put(index, 0);
		put(CMOS_CENTURY, 0);
		now += 86400 * S;
		get(CMOS_C);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_time_in_bcd),
		TEST(test_time_in_other_formats),
		TEST(test_dates),
		TEST(test_update_in_progress),
		TEST(test_setting_the_time),
		TEST(test_holding_the_clock_loses_no_time),
		TEST(test_flags_without_interrupts),
		TEST(test_when_alarms_come),
		TEST(test_interrupts),
		TEST(test_paused_clocks_raise_nothing),
		TEST(test_a_reset_ends_a_pause),
		TEST(test_memory_registers),
		TEST(test_ram_and_index),
		TEST(test_nonsense_in_the_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
