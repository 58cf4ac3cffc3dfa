/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "base/log.h"
#include "device/debug_port.h"

#define PORT 0x402

struct recorder {
	struct log_sink sink;
	unsigned int n;
	char last[512];
};

static struct recorder recorder;
static struct log *log_of_test;
static struct bus *pio;
static struct device *port;

static void record(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	assert_int_equal(level, LOG_DEBUG);
	assert_string_equal(module, "firmware");
	recorder.n++;
	(void)snprintf(recorder.last, sizeof(recorder.last), "%s", text);
}

static int setup(void **state)
{
	recorder = (struct recorder){.sink.write = record};
	assert_ok(log_create("debug", &recorder.sink, &log_of_test));
	log_bind(log_of_test);
	assert_ok(bus_create("pio", &pio));
	assert_ok(debug_port_create(pio, PORT, &port));
	return 0;
}

static int teardown(void **state)
{
	device_free(port);
	bus_free(pio);
	log_bind(NULL);
	log_free(log_of_test);
	return 0;
}

static void say(const char *text)
{
	for (; *text; text++)
		bus_write(pio, PORT, 1, (uint8_t)*text);
}

static void test_lines(void **state)
{
	assert_int_equal(bus_read(pio, PORT, 1), 0xe9);
	say("one\r\n\n");
	assert_int_equal(recorder.n, 1);
	assert_string_equal(recorder.last, "one");
	say("half");
	assert_int_equal(recorder.n, 1);
	device_reset(port);
	assert_int_equal(recorder.n, 2);
	assert_string_equal(recorder.last, "half");
}

static void test_long_lines_are_cut(void **state)
{
	for (int i = 0; i < 1000; i++)
		say("x");
	say("\n");
	assert_int_equal(recorder.n, 5);
	assert_int_equal(strlen(recorder.last), 200);
}

static void test_nothing_is_kept_for_nobody(void **state)
{
	log_bind(NULL);
	say("text");
	log_bind(log_of_test);
	say("\n");
	assert_int_equal(recorder.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lines_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_kept_for_nobody, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
