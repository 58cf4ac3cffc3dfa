/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report on this host, whatever it can do: it is complete, quick, and its two forms say the
 * same.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "check/check.h"
#include "unit.h"

static json_t *parse(const struct check_report *report)
{
	char *text = check_json(report);
	json_t *root = json_loads(text, 0, NULL);

	assert_non_null(root);
	free(text);
	return root;
}

static void test_this_host(void **state)
{
	struct check_report report = {0};
	struct timespec start;
	struct timespec end;
	json_t *root;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	assert_ok(check_host("/dev/kvm", &report));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	assert_true(end.tv_sec - start.tv_sec <= 1);
	print_message("usable: %d, %s\n", report.usable, report.reason);
	assert_true(strlen(report.reason) > 10);
	root = parse(&report);
	assert_int_equal(json_is_true(json_object_get(root, "usable")), report.usable);
	assert_string_equal(json_string_value(json_object_get(root, "reason")), report.reason);
	assert_true(json_is_object(json_object_get(root, "cpu")));
	assert_true(json_is_boolean(json_object_get(json_object_get(root, "devices"), "tap")));
	/* Usable means that a guest came to the end of its loop. */
	if (report.usable)
		assert_true(check_find(&report, "execution", "guest_loop_ns")->number > 0);
	json_decref(root);
	check_report_deinit(&report);
}

static void test_no_kvm(void **state)
{
	struct check_report report = {0};
	struct strbuf text = STRBUF_INIT(1 << 20);

	assert_ok(check_host("/nonexistent/kvm", &report));
	assert_false(report.usable);
	assert_non_null(strstr(report.reason, "/nonexistent/kvm"));
	assert_null(check_find(&report, "execution", "guest_loop_ns"));
	check_print(&report, &text);
	assert_false(text.failed);
	assert_int_equal(strncmp(strbuf_text(&text), "KVM is not usable: ", 19), 0);
	for (size_t i = 0; i < report.n_facts; i++)
		assert_non_null(strstr(strbuf_text(&text), report.facts[i].name));
	strbuf_deinit(&text);
	check_report_deinit(&report);
}

static void test_not_a_kvm_device(void **state)
{
	struct check_report report = {0};

	assert_ok(check_host("/dev/null", &report));
	assert_false(report.usable);
	assert_non_null(strstr(report.reason, "not a KVM device"));
	check_report_deinit(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_this_host),
		cmocka_unit_test(test_no_kvm),
		cmocka_unit_test(test_not_a_kvm_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
