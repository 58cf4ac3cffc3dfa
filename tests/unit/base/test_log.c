/* SPDX-License-Identifier: Apache-2.0 */
#define LOG_MODULE "virtio_blk"
#include "unit.h"

#include <string.h>

#include "base/log.h"

struct test_sink {
	struct log_sink base;
	int lines;
	char last[256];
};

static void test_sink_write(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	struct test_sink *t = container_of(sink, struct test_sink, base);

	(void)level;
	(void)module;
	t->lines++;
	strncpy(t->last, text, sizeof(t->last) - 1);
}

static void test_module_rules_cover_prefixes(void **state)
{
	struct test_sink sink = {.base.write = test_sink_write};
	struct log *log;

	(void)state;
	assert_ok(log_create("error,virtio=debug", &sink.base, &log));
	log_bind(log);
	log_debug("seen %d", 1);
	log_trace("not seen");
	assert_int_equal(sink.lines, 1);
	assert_string_equal(sink.last, "seen 1");
	assert_false(log_enabled(LOG_WARN, "pci"));
	assert_true(log_enabled(LOG_ERROR, "pci"));
	log_bind(NULL);
	log_error("bound to nothing");
	assert_int_equal(sink.lines, 1);
	log_free(log);
}

static void test_bad_specs_are_refused(void **state)
{
	struct test_sink sink = {.base.write = test_sink_write};
	struct log *log = NULL;

	(void)state;
	assert_err(log_create("loud", &sink.base, &log), "'loud' is not a log level");
	assert_err(log_create("pci=", &sink.base, &log), "'' is not a log level");
	assert_err(log_create("=info", &sink.base, &log), "Bad module");
}

static void test_guest_lines_are_limited(void **state)
{
	struct test_sink sink = {.base.write = test_sink_write};
	struct log_limit limit = {0};
	struct log *log;

	(void)state;
	assert_ok(log_create("warn", &sink.base, &log));
	log_bind(log);
	for (int i = 0; i < 1000; i++)
		log_guest(&limit, "bad ring");
	assert_int_equal(sink.lines, 5);
	log_bind(NULL);
	log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_module_rules_cover_prefixes),
		cmocka_unit_test(test_bad_specs_are_refused),
		cmocka_unit_test(test_guest_lines_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
