/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the words of a command line become options.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "unit.h"

static struct cli_args walk(char **words)
{
	struct cli_args args = {.argv = words};

	while (words[args.argc])
		args.argc++;
	return args;
}

/* The words, the last one NULL. */
#define WORDS(...) walk((char *[]){__VA_ARGS__, NULL})

static char kernel[] = "--kernel";
static char kernel_joined[] = "--kernel=a=b";
static char kernel_empty[] = "--kernel=";
static char k[] = "-k";
static char k_joined[] = "-kpath";
static char k_equals[] = "-k=path";
static char path[] = "path";
static char dash[] = "-";
static char dashes[] = "--";
static char long_k[] = "--k";
static char long_k_value[] = "--k=1";
static char only_equals[] = "--=x";

static void test_long_options(void **state)
{
	struct cli_args args = WORDS(kernel, path, kernel_joined, kernel_empty);
	struct cli_option option;

	assert_true(cli_args_next(&args, &option));
	assert_string_equal(option.name, "kernel");
	assert_null(option.value);
	assert_string_equal(cli_args_value(&args, &option), "path");
	assert_true(cli_args_next(&args, &option));
	assert_string_equal(cli_args_value(&args, &option), "a=b");
	assert_true(cli_args_next(&args, &option));
	assert_string_equal(option.name, "kernel");
	assert_string_equal(cli_args_value(&args, &option), "");
	assert_false(cli_args_next(&args, &option));
	assert_null(cli_args_rest(&args));
}

static void test_short_options(void **state)
{
	struct cli_args args = WORDS(k, path, k_joined, k_equals);
	struct cli_option option;

	for (int i = 0; i < 3; i++) {
		assert_true(cli_args_next(&args, &option));
		assert_string_equal(option.name, "k");
		assert_string_equal(cli_args_value(&args, &option), "path");
	}
	assert_null(cli_args_rest(&args));
}

static void test_value_at_the_end_is_missing(void **state)
{
	struct cli_args args = WORDS(k);
	struct cli_option option;

	assert_true(cli_args_next(&args, &option));
	assert_null(cli_args_value(&args, &option));
}

static void test_a_value_that_may_be_missing_is_no_option(void **state)
{
	struct cli_args args = WORDS(kernel, path, kernel, kernel_joined, k, k_joined, kernel);
	struct cli_option option;
	const char *values[] = {"path", NULL, "a=b", NULL, "path", NULL};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		const char *value;

		assert_true(cli_args_next(&args, &option));
		value = cli_args_optional_value(&args, &option);
		if (values[i])
			assert_string_equal(value, values[i]);
		else
			assert_null(value);
	}
	assert_false(cli_args_next(&args, &option));
}

static void test_value_may_look_like_an_option(void **state)
{
	struct cli_args args = WORDS(k, kernel, path);
	struct cli_option option;

	assert_true(cli_args_next(&args, &option));
	assert_string_equal(cli_args_value(&args, &option), "--kernel");
	assert_false(cli_args_next(&args, &option));
	assert_string_equal(cli_args_rest(&args), "path");
}

static const struct config_struct schema = {(const struct config_field[]){
	{.name = "kernel", .letter = 'k', .kind = CONFIG_STRING, .help = "a path"},
	{.name = "quiet", .offset = sizeof(char *), .kind = CONFIG_BOOL, .help = "a switch"},
	{.name = NULL},
}};

struct object {
	char *kernel;
	bool quiet;
};

static struct err *parse(struct cli_args args, struct object *object)
{
	struct err *err = cli_args_parse(&args, &schema, object);

	assert_true(err || args.next == args.argc || args.argv[args.next] == path);
	return err;
}

static char help[] = "--help";
static char quiet[] = "--quiet";
static char other[] = "--other";
static char k_dash[] = "-k=-k";

static void test_another_option_is_no_value(void **state)
{
	struct object object = {0};

	assert_err(parse(WORDS(kernel, quiet, path), &object), "--kernel needs a value");
	assert_err(parse(WORDS(kernel, k, path), &object), "--kernel needs a value");
	assert_err(parse(WORDS(k, kernel_joined), &object), "--kernel needs a value");
	assert_err(parse(WORDS(k, help), &object), "--kernel needs a value");
	/* Other words that begin with a dash may be. */
	assert_ok(parse(WORDS(k, other, quiet, path), &object));
	assert_string_equal(object.kernel, "--other");
	assert_true(object.quiet);
	assert_ok(parse(WORDS(k_dash), &object));
	assert_string_equal(object.kernel, "-k");
	config_deinit(&schema, &object);
}

static void test_words_that_are_no_options(void **state)
{
	char *const words[] = {path, dash, dashes, long_k, long_k_value, only_equals};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct cli_args args = WORDS(words[i]);
		struct cli_option option;

		assert_false(cli_args_next(&args, &option));
		assert_string_equal(cli_args_rest(&args), words[i]);
	}
}

static void test_long_name_is_cut(void **state)
{
	char word[300] = "--";
	struct cli_args args = WORDS(word);
	struct cli_option option;

	memset(word + 2, 'x', sizeof(word) - 3);
	word[200] = '=';
	assert_true(cli_args_next(&args, &option));
	assert_int_equal(strlen(option.name), CLI_NAME_SIZE - 1);
	assert_int_equal(strlen(option.value), sizeof(word) - 202);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_options),
		cmocka_unit_test(test_short_options),
		cmocka_unit_test(test_value_at_the_end_is_missing),
		cmocka_unit_test(test_a_value_that_may_be_missing_is_no_option),
		cmocka_unit_test(test_value_may_look_like_an_option),
		cmocka_unit_test(test_another_option_is_no_value),
		cmocka_unit_test(test_words_that_are_no_options),
		cmocka_unit_test(test_long_name_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
