/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog: who restarts it is left alone, who does not is told of, and when.
 */
#include "unit.h"

#include "device/machine_recorder.h"
#include "event/loop.h"
#include "pci/i6300esb.h"
#include "pci/pci_fixture.h"
#include "pci/pci_internal.h"

#define TIMER1    (WINDOW + 0x0)
#define TIMER2    (WINDOW + 0x4)
#define STATUS    (WINDOW + 0x8)
#define RELOAD    (WINDOW + 0xc)
#define CONFIG    0x60
#define LOCK      0x68

#define FAST      0x04
#define NO_INT    0x03
#define NO_OUTPUT 0x20
#define LOCKED    0x01
#define ENABLED   0x02
#define FREE_RUN  0x04
#define DO_RELOAD 0x100
#define TIMED_OUT 0x200

#define MS_COUNT  1042 /* of about a microsecond */

static struct fixture f;
static struct machine_recorder machine;
static struct pci_dev *dev;
static struct loop *loop;
static struct loop_timer alarm_timer;

static void create(enum machine_event action, bool silent)
{
	struct i6300esb_options options = {
		.loop = loop, .events = &machine.events, .action = action, .silent = silent};

	machine = MACHINE_RECORDER_INIT;
	assert_ok(i6300esb_create(&options, &dev));
	assert_ok(pci_segment_add(f.segment, dev));
	assert_ok(pci_segment_place(f.segment));
	cfg_write(&f, 0, 4, PCI_COMMAND_MEMORY);
}

static int setup(void **state)
{
	assert_ok(loop_create(&loop));
	assert_ok(fixture_init(&f));
	assert_ok(fixture_start(&f));
	create(MACHINE_RESET, false);
	return 0;
}

static int teardown(void **state)
{
	device_free(&dev->device);
	fixture_deinit(&f);
	loop_timer_cancel(&alarm_timer);
	loop_free(loop);
	return 0;
}

static void on_alarm(struct loop_timer *timer)
{
	loop_stop(loop);
}

static void run_for(unsigned int ms)
{
	alarm_timer.fired = on_alarm;
	loop_timer_set(loop, &alarm_timer, ms * 1000000ull);
	loop_run(loop);
}

/* Runs until the machine was told n times, or for ten seconds. */
static void await(unsigned int n)
{
	for (unsigned int i = 0; machine.n < n && i < 10000; i++)
		run_for(1);
	assert_int_equal(machine.n, n);
}

static void unlock(void)
{
	bus_write(f.mmio, RELOAD, 2, 0x80);
	bus_write(f.mmio, RELOAD, 2, 0x86);
}

static void set(uint64_t reg, unsigned int size, uint32_t value)
{
	unlock();
	bus_write(f.mmio, reg, size, value);
}

static void pet(void)
{
	set(RELOAD, 2, DO_RELOAD);
}

static void set_config(uint8_t value)
{
	bus_write(f.mmio, fixture_reg(0, CONFIG), 2, value);
}

static void set_lock(uint8_t value)
{
	bus_write(f.mmio, fixture_reg(0, LOCK), 1, value);
}

static uint8_t get_lock(void)
{
	return (uint8_t)bus_read(f.mmio, fixture_reg(0, LOCK), 1);
}

static uint64_t timed_out(void)
{
	return bus_read(f.mmio, RELOAD, 2) & TIMED_OUT;
}

/* Two stages of so many milliseconds. */
static void start(uint8_t config, uint8_t mode, unsigned int ms)
{
	set_config(FAST | config);
	set(TIMER1, 4, ms * MS_COUNT);
	set(TIMER2, 4, ms * MS_COUNT);
	set_lock(ENABLED | mode);
}

static void test_identity(void **state)
{
	assert_int_equal(cfg_read(&f, 0, 0), 0x25ab8086);
	assert_int_equal(cfg_read(&f, 0, 8), 0x08800000);
	cfg_write(&f, 0, 0x10, UINT32_MAX);
	assert_int_equal(cfg_read(&f, 0, 0x10), 0xfffffff0);
}

static void test_two_stages_then_the_machine_is_told_once(void **state)
{
	uint64_t begin = loop_now_ns();

	start(0, 0, 4);
	assert_int_equal(bus_read(f.mmio, STATUS, 4), 0);
	await(1);
	assert_true(loop_now_ns() - begin >= 8000000);
	assert_int_equal(machine.last, MACHINE_RESET);
	assert_int_equal(timed_out(), TIMED_OUT);
	assert_int_equal(bus_read(f.mmio, STATUS, 4), 1);
	bus_write(f.mmio, STATUS, 4, 1);
	assert_int_equal(bus_read(f.mmio, STATUS, 4), 0);
	run_for(20);
	assert_int_equal(machine.n, 1);
}

/* A driver finds out after the reset; then it clears the bit. */
static void test_the_cause_survives_the_reset(void **state)
{
	start(NO_INT, LOCKED, 1);
	await(1);
	device_quiesce(&dev->device);
	device_reset(&dev->device);
	cfg_write(&f, 0, 4, PCI_COMMAND_MEMORY);
	assert_int_equal(get_lock(), 0);
	assert_int_equal(bus_read(f.mmio, STATUS, 4), 0);
	assert_int_equal(timed_out(), TIMED_OUT);
	bus_write(f.mmio, RELOAD, 2, TIMED_OUT);
	assert_int_equal(timed_out(), TIMED_OUT);
	unlock();
	(void)timed_out();
	set(RELOAD, 2, TIMED_OUT | DO_RELOAD);
	assert_int_equal(timed_out(), 0);
	run_for(10);
	assert_int_equal(machine.n, 1);
	start(NO_INT, 0, 1);
	await(2);
}

static void on_pet(struct loop_timer *timer)
{
	pet();
	loop_timer_set(loop, timer, 2000000);
}

static void test_a_guest_that_pets_it_is_left_alone(void **state)
{
	struct loop_timer timer = {.fired = on_pet};

	start(NO_INT, 0, 100);
	loop_timer_set(loop, &timer, 0);
	run_for(400);
	assert_int_equal(machine.n, 0);
	loop_timer_cancel(&timer);
	await(1);
}

/* Also from the second stage there is a way back to the first. */
static void test_a_late_restart_counts(void **state)
{
	start(0, 0, 50);
	while (!bus_read(f.mmio, STATUS, 4))
		run_for(1);
	pet();
	bus_write(f.mmio, STATUS, 4, 1);
	run_for(1);
	assert_int_equal(bus_read(f.mmio, STATUS, 4), 0);
	await(1);
	assert_int_equal(bus_read(f.mmio, STATUS, 4), 1);
}

static void test_stray_writes_change_nothing(void **state)
{
	set_config(FAST | NO_INT);
	bus_write(f.mmio, TIMER1, 4, 1);
	bus_write(f.mmio, TIMER2, 4, 1);
	bus_write(f.mmio, RELOAD, 2, 0x80);
	bus_write(f.mmio, TIMER1, 4, 1);
	bus_write(f.mmio, RELOAD, 2, 0x86);
	bus_write(f.mmio, TIMER1, 4, 1);
	bus_write(f.mmio, RELOAD, 2, 0x86);
	bus_write(f.mmio, RELOAD, 2, 0x80);
	bus_write(f.mmio, TIMER2, 4, 1);
	unlock();
	bus_write(f.mmio, RELOAD + 1, 1, 1);
	bus_write(f.mmio, TIMER2, 4, 1);
	set_lock(ENABLED);
	run_for(20);
	assert_int_equal(machine.n, 0);
	/* Shorter times hold from the next restart on. */
	set(TIMER1, 4, 1);
	set(TIMER2, 4, 1);
	run_for(20);
	assert_int_equal(machine.n, 0);
	pet();
	await(1);
}

static void test_it_can_be_stopped_unless_it_is_locked(void **state)
{
	start(NO_INT, 0, 2);
	set_lock(0);
	run_for(20);
	assert_int_equal(machine.n, 0);
	pet();
	run_for(20);
	assert_int_equal(machine.n, 0);
	set_lock(ENABLED | LOCKED);
	set_lock(0);
	assert_int_equal(get_lock(), ENABLED | LOCKED);
	await(1);
}

static void test_the_output_may_be_off_and_the_end_may_repeat(void **state)
{
	start(NO_INT | NO_OUTPUT, 0, 1);
	run_for(20);
	assert_int_equal(machine.n, 0);
	assert_int_equal(timed_out(), TIMED_OUT);
	set_lock(0);
	set_config(FAST);
	set_lock(ENABLED | FREE_RUN);
	await(3);
	assert_int_equal(bus_read(f.mmio, STATUS, 4), 0);
}

static void test_a_pause_does_not_count(void **state)
{
	start(NO_INT, 0, 10);
	device_quiesce(&dev->device);
	device_quiesce(&dev->device);
	run_for(50);
	assert_int_equal(machine.n, 0);
	device_resume(&dev->device);
	device_resume(&dev->device);
	await(1);
	device_quiesce(&dev->device);
	device_resume(&dev->device);
	run_for(20);
	assert_int_equal(machine.n, 1);
}

static void test_actions(void **state)
{
	device_free(&dev->device);
	pci_segment_free(f.segment);
	assert_ok(fixture_start(&f));
	create(MACHINE_PAUSE, false);
	start(NO_INT, 0, 1);
	await(1);
	assert_int_equal(machine.last, MACHINE_PAUSE);
	device_free(&dev->device);
	pci_segment_free(f.segment);
	assert_ok(fixture_start(&f));
	create(MACHINE_RESET, true);
	start(NO_INT, 0, 1);
	while (!timed_out())
		run_for(1);
	assert_int_equal(machine.n, 0);
}

/* No time at all is a millisecond: the guest does not choose how often we wake up. */
static void test_a_hostile_guest_wakes_us_a_thousand_times_a_second(void **state)
{
	uint64_t begin = loop_now_ns();

	set_config(FAST);
	set(TIMER1, 4, 0);
	set(TIMER2, 4, 0);
	set_lock(ENABLED | FREE_RUN);
	run_for(50);
	assert_true(machine.n && machine.n <= (loop_now_ns() - begin) / 1000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_two_stages_then_the_machine_is_told_once),
		TEST(test_the_cause_survives_the_reset),
		TEST(test_a_guest_that_pets_it_is_left_alone),
		TEST(test_a_late_restart_counts),
		TEST(test_stray_writes_change_nothing),
		TEST(test_it_can_be_stopped_unless_it_is_locked),
		TEST(test_the_output_may_be_off_and_the_end_may_repeat),
		TEST(test_a_pause_does_not_count),
		TEST(test_actions),
		TEST(test_a_hostile_guest_wakes_us_a_thousand_times_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
