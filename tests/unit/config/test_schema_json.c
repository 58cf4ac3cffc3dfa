/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations as JSON: what is taken, what is refused, and that what is printed reads back.
 */
#include <stdlib.h>
#include <string.h>

#include "config/sample.h"
#include "unit.h"

struct fixture {
	struct sample sample;
	uint64_t seen;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	assert_ok(config_defaults(&sample_schema, &f->sample));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	config_deinit(&sample_schema, &f->sample);
	free(f);
	return 0;
}

static struct err *parse(struct fixture *f, const char *json)
{
	config_deinit(&sample_schema, &f->sample);
	*f = (struct fixture){0};
	assert_ok(config_defaults(&sample_schema, &f->sample));
	return config_parse_json(&sample_schema, &f->seen, json, &f->sample);
}

static void parses(struct fixture *f, const char *json)
{
	assert_ok(parse(f, json));
}

static void fails(struct fixture *f, const char *json, const char *part)
{
	assert_err(parse(f, json), part);
}

static void test_values(void **state)
{
	struct fixture *f = *state;

	parses(f, "{\"flag\": true, \"byte\": 255, \"sz\": 9, \"text\": \"id_x,a=b\", \"color\": "
		  "\"red\", \"pair\": {\"a\": 1}, \"numbers\": [1, \"2k\"], \"pairs\": [{\"a\": 1, "
		  "\"b\": 2}], \"texts\": [\"a\", \"\"]}");
	assert_true(f->sample.flag);
	assert_int_equal(f->sample.byte, 255);
	assert_int_equal(f->sample.size, 9);
	assert_string_equal(f->sample.text, "id_x,a=b");
	assert_int_equal(f->sample.color, SAMPLE_RED);
	assert_int_equal(f->sample.pair.b, 7);
	assert_int_equal(f->sample.numbers[1], 2048);
	assert_int_equal(f->sample.pairs[0].b, 2);
	assert_int_equal(f->sample.n_texts, 2);
}

static void test_unions(void **state)
{
	struct fixture *f = *state;

	parses(f, "{\"form\": {\"kind\": \"circle\", \"name\": \"x\"}}");
	assert_string_equal(f->sample.form.name, "x");
	assert_int_equal(f->sample.form.radius, 3);
	parses(f, "{\"form\": {\"name\": \"x\", \"kind\": \"Circle\"}}");
	parses(f, "{\"form\": \"point\"}");
	parses(f, "{\"form\": {\"kind\": \"point\"}}");
	parses(f, "{\"figure\": {\"name\": \"x\"}}");
	assert_int_equal(f->sample.figure.shape, SAMPLE_CIRCLE);
	fails(f, "{\"form\": {\"name\": \"x\"}}", "'kind' is missing");
	fails(f, "{\"form\": {\"kind\": \"square\"}}", "'square' is not one of circle, point");
	fails(f, "{\"form\": {\"kind\": 1}}", "This must be a string, or an object");
	fails(f, "{\"form\": [\"point\"]}", "This must be a string, or an object");
	fails(f, "{\"form\": \"circle\"}", "'name' is missing");
	fails(f, "{\"form\": {\"kind\": \"circle\"}}", "'name' is missing");
	fails(f, "{\"form\": {\"kind\": \"point\", \"name\": \"x\"}}", "'point' takes no members");
}

static void test_wrong_types(void **state)
{
	struct fixture *f = *state;

	fails(f, "[]", "This must be an object");
	fails(f, "{\"flag\": 1}", "This must be true or false");
	fails(f, "{\"flag\": \"on\"}", "This must be true or false");
	fails(f, "{\"byte\": -1}", "This must be a non-negative integer");
	fails(f, "{\"byte\": 1.0}", "This must be a non-negative integer");
	fails(f, "{\"byte\": null}", "This must be a non-negative integer");
	fails(f, "{\"byte\": 256}", "256 is out of range (0 to 255)");
	fails(f, "{\"byte\": \"1k\"}", "out of range");
	fails(f, "{\"byte\": \"x\"}", "'x' is not a number");
	fails(f, "{\"size\": 1e3}", "This must be a non-negative integer");
	fails(f, "{\"text\": 1}", "This must be a string");
	fails(f, "{\"text\": null}", "This must be a string");
	fails(f, "{\"color\": \"blue\"}", "'blue' is not one of red, green");
	fails(f, "{\"color\": 0}", "This must be a string");
	fails(f, "{\"pair\": \"a=1\"}", "This must be an object");
	fails(f, "{\"numbers\": 1}", "This must be an array");
	fails(f, "{\"numbers\": [1, true]}", "Bad item 1");
}

static void test_a_list_of_one_may_be_its_item(void **state)
{
	struct fixture *f = *state;

	parses(f, "{\"pairs\": {\"a\": 5}}");
	assert_int_equal(f->sample.n_pairs, 1);
	assert_int_equal(f->sample.pairs[0].a, 5);
}

static void test_members(void **state)
{
	struct fixture *f = *state;

	fails(f, "{\"sise\": 1}", "Unknown member 'sise'; did you mean 'size'?");
	fails(f, "{\"pair\": {\"a\": 1, \"c\": 1}}", "Unknown member 'c'");
	fails(f, "{\"size\": 1, \"size\": 1}", "Bad JSON");
	fails(f, "{\"size\": 1, \"sz\": 1}", "'size' is given twice");
	fails(f, "{\"pair\": {}}", "'a' is missing");
	/* Legacy spellings and named texts are for command lines. */
	fails(f, "{\"old-size\": 1}", "Unknown member 'old-size'");
	fails(f, "{\"object\": \"id_x,1\"}", "Unknown member 'object'");
}

static void test_what_was_given_before_is_an_error(void **state)
{
	struct fixture *f = *state;

	parses(f, "{\"size\": 1}");
	assert_err(config_parse_json(&sample_schema, &f->seen, "{\"size\": 2}", &f->sample),
		"'size' is given twice");
	assert_err(config_option_set(&sample_schema, NULL, &f->seen, "size", "2", &f->sample),
		"--size is given twice");
	assert_ok(config_parse_json(&sample_schema, &f->seen, "{\"byte\": 2}", &f->sample));
	assert_int_equal(f->sample.size, 1);
}

static void test_broken_json(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"", " ", "{", "{\"size\"", "{\"size\": }", "{} x",
		"{\"size\": 99999999999999999999}", "{\"text\": \"\xff\"}", "{'size': 1}",
		"{\"text\": \"a\\u0000b\"}", "{\"size\": 1,}"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		fails(f, bad[i], "Bad JSON in line 1");
}

static void test_deep_and_long_json(void **state)
{
	struct fixture *f = *state;
	size_t size = CONFIG_TEXT_MAX + 2;
	char *json = malloc(size);

	memset(json, '[', size - 1);
	json[size - 1] = '\0';
	fails(f, json, "longer than 1 MiB");
	json[100000] = '\0';
	fails(f, json, "maximum parsing depth");
	free(json);
}

/* What is printed makes the same object, hence prints the same. */
static void round_trip(struct fixture *f)
{
	char *first = NULL;
	char *second = NULL;

	assert_ok(config_print_json(&sample_schema, &f->sample, &first));
	parses(f, first);
	assert_ok(config_print_json(&sample_schema, &f->sample, &second));
	assert_string_equal(first, second);
	free(first);
	free(second);
}

static void test_print(void **state)
{
	struct fixture *f = *state;
	char *json = NULL;

	parses(f,
		"{\"pair\": {\"a\": 1}, \"text\": \"\xc3\xa9\\\"\", \"figure\": {\"name\": \"x\"}}");
	assert_ok(config_print_json(&sample_schema, &f->sample, &json));
	assert_string_equal(json,
		"{\"flag\":false,\"byte\":0,\"word\":0,\"ranged\":15,\"size\":0,"
		"\"text\":\"\xc3\xa9\\\"\",\"color\":\"green\",\"pair\":{\"a\":1,\"b\":7},"
		"\"form\":{\"kind\":\"point\"},"
		"\"figure\":{\"kind\":\"circle\",\"name\":\"x\",\"radius\":3},"
		"\"numbers\":[],\"texts\":[],\"pairs\":[]}");
	free(json);
	round_trip(f);
}

static void test_print_large_numbers_and_lists(void **state)
{
	struct fixture *f = *state;

	parses(f, "{\"size\": \"18446744073709551615\", \"numbers\": [4294967295], \"texts\": "
		  "[\"a\", \"b\"], \"pairs\": [{\"a\": 1}]}");
	assert_int_equal(f->sample.size, UINT64_MAX);
	round_trip(f);
	assert_int_equal(f->sample.size, UINT64_MAX);
	assert_int_equal(f->sample.n_texts, 2);
}

static void test_print_refuses_what_json_cannot_hold(void **state)
{
	struct fixture *f = *state;
	const struct config_field *text = config_find(&sample_schema, "text", 4);
	char *json = NULL;

	assert_ok(config_parse_text(text, NULL, "\xff/path", &f->sample));
	assert_err(config_print_json(&sample_schema, &f->sample, &json), "is not UTF-8");
	assert_null(json);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_values),
		TEST(test_unions),
		TEST(test_wrong_types),
		TEST(test_a_list_of_one_may_be_its_item),
		TEST(test_members),
		TEST(test_what_was_given_before_is_an_error),
		TEST(test_broken_json),
		TEST(test_deep_and_long_json),
		TEST(test_print),
		TEST(test_print_large_numbers_and_lists),
		TEST(test_print_refuses_what_json_cannot_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
