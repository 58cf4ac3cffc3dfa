/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The warning of firmware that does not speak.
 */
#include "console_fixture.h"

#include "device/silence.h"

static bool has_a_line(struct host *h)
{
	return h->lines;
}

static struct device *create(struct host *h, unsigned int patience_ms)
{
	struct silence_options options = {
		.loop = h->loop, .path = "/x/code.fd", .patience_ms = patience_ms};
	struct device *device;

	assert_ok(host_open(h, CONSOLE_NULL, NULL));
	options.console = h->console;
	assert_ok(silence_create(&options, &device));
	return device;
}

static void test_silence_is_told_once(void **state)
{
	struct host *h = *state;
	struct device *device = create(h, 1);

	run_until(h, has_a_line);
	assert_non_null(strstr(h->line, "\"/x/code.fd\" has written nothing"));
	device_reset(device);
	run_for_a_moment(h);
	assert_int_equal(h->lines, 1);
	device_free(device);
}

/* Also where what is written goes nowhere. */
static void test_one_byte_is_enough(void **state)
{
	struct host *h = *state;
	struct device *device = create(h, 1);

	put(h, "x");
	run_for_a_moment(h);
	assert_int_equal(h->lines, 0);
	device_free(device);
}

static void test_it_goes_before_its_time(void **state)
{
	struct host *h = *state;
	struct device *device = create(h, 100000);

	run_for_a_moment(h);
	device_free(device);
	run_for_a_moment(h);
	assert_int_equal(h->lines, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_silence_is_told_once),
		TEST(test_one_byte_is_enough),
		TEST(test_it_goes_before_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
