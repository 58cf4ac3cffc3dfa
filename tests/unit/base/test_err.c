/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

static void test_chain_prints_innermost_first(void **state)
{
	struct err *err = err_new(ENOENT, "Cannot access file \"%s\"", "/x");
	char *text;

	(void)state;
	err = err_wrap(err, "Cannot create a disk");
	err = err_wrap(err, "Failed to create a device");
	assert_int_equal(err_code(err), ENOENT);
	text = err_format(err);
	assert_non_null(strstr(text,
		"Error: Failed to create a device\n0: No such file or directory (os error 2)\n"
		"1: Cannot access file \"/x\", at "));
	assert_non_null(strstr(text, "\n3: Failed to create a device, at "));
	free(text);
	err_free(err);
}

static void test_wrap_of_success_is_success(void **state)
{
	(void)state;
	assert_null(err_wrap(NULL, "never"));
	assert_int_equal(err_code(NULL), 0);
	err_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain_prints_innermost_first),
		cmocka_unit_test(test_wrap_of_success_is_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
