/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of command line values: each rule, and each way to break it.
 */
#include <stdlib.h>
#include <string.h>

#include "config/sample.h"
#include "unit.h"

struct fixture {
	struct sample sample;
	struct config_objects objects;
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
	config_objects_deinit(&f->objects);
	free(f);
	return 0;
}

static void restart(struct fixture *f)
{
	config_deinit(&sample_schema, &f->sample);
	memset(&f->sample, 0, sizeof(f->sample));
	assert_ok(config_defaults(&sample_schema, &f->sample));
}

static struct err *parse(struct fixture *f, const char *text)
{
	restart(f);
	return config_parse_text(&sample_field, &f->objects, text, &f->sample);
}

static void parses(struct fixture *f, const char *text)
{
	assert_ok(parse(f, text));
}

static void fails(struct fixture *f, const char *text, const char *part)
{
	assert_err(parse(f, text), part);
}

static void object(struct fixture *f, const char *text)
{
	assert_ok(config_objects_add(&f->objects, text));
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;

	parses(f, "");
	assert_false(f->sample.flag);
	assert_int_equal(f->sample.ranged, 15);
	assert_string_equal(f->sample.text, "abc");
	assert_int_equal(f->sample.color, SAMPLE_GREEN);
	assert_int_equal(f->sample.pair.b, 7);
	assert_int_equal(f->sample.form.shape, SAMPLE_POINT);
	assert_int_equal(f->sample.n_numbers, 0);
}

static void test_booleans(void **state)
{
	struct fixture *f = *state;
	static const char *const yes[] = {"flag=on", "flag=true"};
	static const char *const no[] = {"flag=off", "flag=false"};
	static const char *const bad[] = {
		"flag=", "flag=1", "flag=ON", "flag=yes", "flag=o", "flag=onn", "flag= on"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		parses(f, yes[i]);
		assert_true(f->sample.flag);
		parses(f, no[i]);
		assert_false(f->sample.flag);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		fails(f, bad[i], "is not one of on, off, true, false");
}

static void test_numbers(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{"size=0", 0},
		{"size=007", 7},
		{"size=0x1F", 31},
		{"size=0xdead", 0xdead},
		{"size=0o17", 15},
		{"size=0b101", 5},
		{"size=1k", 1ull << 10},
		{"size=3K", 3ull << 10},
		{"size=1m", 1ull << 20},
		{"size=1M", 1ull << 20},
		{"size=2g", 2ull << 30},
		{"size=2G", 2ull << 30},
		{"size=1t", 1ull << 40},
		{"size=1T", 1ull << 40},
		{"size=0x10k", 16ull << 10},
		{"size=0b1m", 1ull << 20},
		{"size=0k", 0},
		{"size=18446744073709551615", UINT64_MAX},
		{"size=0xffffffffffffffff", UINT64_MAX},
		{"size=0x3fffffffffffffk", UINT64_MAX - 1023},
		{"sz=9", 9},
	};
	static const char *const bad[] = {"size=", "size=k", "size=-1", "size=+1", "size= 1",
		"size=1 ", "size=1kk", "size=1p", "size=1.5g", "size=0x", "size=0xg", "size=0xk",
		"size=0o8", "size=0b2", "size=1e3", "size=0X10", "size=ten", "size=1_000"};
	static const char *const large[] = {"size=18446744073709551616", "size=0x10000000000000000",
		"size=18014398509481984k", "size=16777216t", "size=0xffffffffffffffffm",
		"size=99999999999999999999999999999999999999"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		parses(f, good[i].text);
		assert_int_equal(f->sample.size, good[i].value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		fails(f, bad[i], "is not a number");
	for (size_t i = 0; i < ARRAY_SIZE(large); i++)
		fails(f, large[i], "does not fit in 64 bits");
}

static void test_ranges_follow_width_and_schema(void **state)
{
	struct fixture *f = *state;

	parses(f, "byte=255,word=65535,ranged=20");
	assert_int_equal(f->sample.byte, 255);
	assert_int_equal(f->sample.word, 65535);
	fails(f, "byte=256", "256 is out of range (0 to 255)");
	fails(f, "word=64k", "65536 is out of range (0 to 65535)");
	fails(f, "ranged=9", "9 is out of range (10 to 20)");
	fails(f, "ranged=21", "out of range");
	fails(f, "pair=a=4294967296", "out of range (0 to 4294967295)");
}

static void test_strings(void **state)
{
	struct fixture *f = *state;

	parses(f, "text=");
	assert_string_equal(f->sample.text, "");
	parses(f, "text=a=b c\\\"'");
	assert_string_equal(f->sample.text, "a=b c\\\"'");
}

static void test_enums(void **state)
{
	struct fixture *f = *state;

	parses(f, "color=red");
	assert_int_equal(f->sample.color, SAMPLE_RED);
	parses(f, "color=Red");
	assert_int_equal(f->sample.color, SAMPLE_RED);
	fails(f, "color=blue", "'blue' is not one of red, green");
	fails(f, "color=", "is not one of red, green");
	fails(f, "color=RED", "is not one of");
}

static void test_keys(void **state)
{
	struct fixture *f = *state;

	fails(f, "syze=1", "Unknown key 'syze'; did you mean 'size'?");
	fails(f, "Flag=on", "did you mean 'flag'?");
	fails(f, "elephant=1", "Unknown key 'elephant'");
	fails(f, "size=1,size=1", "'size' is given twice");
	fails(f, "size=1,sz=1", "'size' is given twice");
	fails(f, "size", "'size' has no value: write size=VALUE");
	fails(f, "flag=on,flag", "'flag' has no value");
	fails(f, "nothing", "'nothing' is not key=value");
	fails(f, "=1", "A key is missing");
	fails(f, ",", "A key is missing");
	fails(f, "size=1,", "A key is missing");
	fails(f, ",size=1", "A key is missing");
	fails(f, "size=1,,flag=on", "A key is missing");
	fails(f, "pair=b=1", "'a' is missing");
	fails(f, " size=1", "Unknown key ' size'");
}

static void test_what_was_probably_meant(void **state)
{
	struct fixture *f = *state;

	fails(f, "sise", "'sise' is not key=value; did you mean size=VALUE?");
	fails(f, "200", "'200' is not key=value; did you mean byte=200?");
	fails(f, "red", "'red' is not key=value; did you mean color=red?");
	fails(f, "some/path", "did you mean text=some/path?");
	fails(f, "flag=on,some/path", "'some/path' is not key=value");
	fails(f, "color=gren", "'gren' is not one of red, green; did you mean 'green'?");
	fails(f, "form=circel", "'circel' is not one of circle, point; did you mean 'circle'?");
}

static void test_objects_that_nothing_refers_to(void **state)
{
	struct fixture *f = *state;

	object(f, "id_a,4k");
	parses(f, "size=id_a");
	assert_ok(config_objects_check(&f->objects));
	object(f, "id_b,4k");
	assert_err(config_objects_check(&f->objects), "Nothing refers to the object 'id_b'");
}

static void test_errors_name_the_whole_path(void **state)
{
	struct fixture *f = *state;
	struct err *err = parse(f, "pair=a=x");
	const char *text;
	const char *file;
	int line;

	assert_true(err_frame(err, 0, &text, &file, &line));
	assert_string_equal(text, "'x' is not a number");
	assert_true(err_frame(err, 1, &text, &file, &line));
	assert_string_equal(text, "Bad value of 'a'");
	assert_true(err_frame(err, 2, &text, &file, &line));
	assert_string_equal(text, "Bad value of 'pair'");
	err_free(err);
}

static void test_nested_struct(void **state)
{
	struct fixture *f = *state;

	parses(f, "pair=a=5");
	assert_int_equal(f->sample.pair.a, 5);
	assert_int_equal(f->sample.pair.b, 7);
	/* Two keys need an object: the second one belongs to the outer struct. */
	fails(f, "pair=a=5,b=6",
		"'b' is a key of 'pair': write pair=b=VALUE, or several keys as pair=id_x");
	object(f, "id_p,a=5,b=6");
	parses(f, "pair=id_p,flag=on");
	assert_int_equal(f->sample.pair.b, 6);
	assert_true(f->sample.flag);
}

static void test_unions(void **state)
{
	struct fixture *f = *state;

	object(f, "id_c,circle,name=x,radius=9");
	object(f, "id_d,circle,radius=9");
	object(f, "id_e,circle,");
	object(f, "id_p,point,radius=9");
	parses(f, "form=id_c");
	assert_int_equal(f->sample.form.shape, SAMPLE_CIRCLE);
	assert_string_equal(f->sample.form.name, "x");
	assert_int_equal(f->sample.form.radius, 9);
	parses(f, "form=point");
	fails(f, "form=id_d", "'name' is missing");
	fails(f, "form=circle", "'name' is missing");
	fails(f, "form=id_e", "A key is missing");
	fails(f, "form=id_p", "'point' takes no keys, but ',radius=9' follows");
	fails(f, "form=square", "'square' is not one of circle, point");
	fails(f, "form=", "The value is empty");
	fails(f, "pair=", "The value is empty");
	fails(f, "form=name=x", "is not one of circle, point");
}

static void test_default_variant_and_bare_text(void **state)
{
	struct fixture *f = *state;

	parses(f, "figure=name=x");
	assert_int_equal(f->sample.figure.shape, SAMPLE_CIRCLE);
	assert_int_equal(f->sample.figure.radius, 3);
	fails(f, "figure=circle", "'name' is missing");
}

static void test_bare_text_of_an_option(void **state)
{
	struct fixture *f = *state;
	const struct config_field *figure = config_find(&sample_schema, "figure", 6);

	object(f, "id_n,a,b=c");
	assert_ok(config_parse_text(figure, &f->objects, "/some/file", &f->sample));
	assert_string_equal(f->sample.figure.name, "/some/file");
	assert_ok(config_parse_text(figure, &f->objects, "point", &f->sample));
	assert_null(f->sample.figure.name);
	assert_ok(config_parse_text(figure, &f->objects, "circle,name=id_n", &f->sample));
	assert_string_equal(f->sample.figure.name, "a,b=c");
	assert_err(config_parse_text(figure, &f->objects, "/some,file", &f->sample),
		"a name with a comma goes through an object: name=id_x -o id_x,TEXT");
	assert_err(config_parse_text(figure, &f->objects, "/some=file", &f->sample),
		"Unknown key '/some'");
	assert_err(config_parse_text(figure, &f->objects, "", &f->sample), "The value is empty");
	assert_err(config_parse_text(figure, &f->objects, "radius", &f->sample),
		"'radius' has no value: write radius=VALUE");
}

static void test_lists(void **state)
{
	struct fixture *f = *state;

	object(f, "id_l,1,0x2,3k");
	object(f, "id_t,1,2,");
	object(f, "id_0,");
	object(f, "id_bad,1,,2");
	parses(f, "numbers=5");
	assert_int_equal(f->sample.n_numbers, 1);
	parses(f, "numbers=id_l");
	assert_int_equal(f->sample.n_numbers, 3);
	assert_int_equal(f->sample.numbers[2], 3072);
	parses(f, "numbers=id_t");
	assert_int_equal(f->sample.n_numbers, 2);
	parses(f, "numbers=id_0");
	assert_int_equal(f->sample.n_numbers, 0);
	parses(f, "numbers=");
	assert_int_equal(f->sample.n_numbers, 0);
	fails(f, "numbers=id_bad", "'' is not a number");
}

static void test_list_of_structs_through_objects(void **state)
{
	struct fixture *f = *state;

	object(f, "id_all,id_1,id_2,a=3");
	object(f, "id_1,a=1,b=10");
	object(f, "id_2,a=2");
	parses(f, "pairs=id_all");
	assert_int_equal(f->sample.n_pairs, 3);
	assert_int_equal(f->sample.pairs[0].b, 10);
	assert_int_equal(f->sample.pairs[1].a, 2);
	assert_int_equal(f->sample.pairs[1].b, 7);
	assert_int_equal(f->sample.pairs[2].a, 3);
}

static void test_objects_stand_for_values_and_keys(void **state)
{
	struct fixture *f = *state;

	object(f, "id_key,size");
	object(f, "id_value,4k");
	object(f, "id_text,a,b=c,d");
	object(f, "id_once,id_text");
	parses(f, "id_key=id_value");
	assert_int_equal(f->sample.size, 4096);
	parses(f, "text=id_text");
	assert_string_equal(f->sample.text, "a,b=c,d");
	/* A text is looked up once. */
	parses(f, "text=id_once");
	assert_string_equal(f->sample.text, "id_text");
	fails(f, "text=id_nope", "There is no object 'id_nope' (-o id_nope,...)");
	fails(f, "id_nope=1", "There is no object 'id_nope'");
	fails(f, "text=id_", "There is no object 'id_'");
}

static void test_empty_object_means_not_given(void **state)
{
	struct fixture *f = *state;

	object(f, "id_none");
	object(f, "id_also_none,");
	object(f, "id_c,circle,name=id_none");
	parses(f, "text=id_none,ranged=id_also_none,color=id_none,flag=id_none");
	assert_string_equal(f->sample.text, "abc");
	assert_int_equal(f->sample.ranged, 15);
	assert_int_equal(f->sample.color, SAMPLE_GREEN);
	/* A required key has a value. */
	parses(f, "form=id_c");
	assert_string_equal(f->sample.form.name, "");
	fails(f, "pair=a=id_none", "'' is not a number");
}

static void test_whole_option_as_an_object(void **state)
{
	struct fixture *f = *state;

	object(f, "id_all,size=1,flag=on");
	parses(f, "id_all");
	assert_int_equal(f->sample.size, 1);
	fails(f, "id_none", "There is no object 'id_none'");
}

static void test_string_option_takes_everything(void **state)
{
	struct fixture *f = *state;
	const struct config_field *text = config_find(&sample_schema, "text", 4);

	assert_ok(config_parse_text(text, &f->objects, "id_x,a=b,c", &f->sample));
	assert_string_equal(f->sample.text, "id_x,a=b,c");
}

static void test_names_of_objects(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {
		"", "x,1", "id,1", "id_,1", "ID_x,1", " id_x,1", "id_a=b,1", "size=1,id_x"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_err(
			config_objects_add(&f->objects, bad[i]), "not a name of the form id_NAME");
	object(f, "id_x,1");
	assert_err(config_objects_add(&f->objects, "id_x,1"), "'id_x' was given before");
	assert_err(config_objects_add(&f->objects, "id_x"), "'id_x' was given before");
}

static void test_objects_that_refer_to_each_other(void **state)
{
	struct fixture *f = *state;

	object(f, "id_self,id_self,id_self");
	object(f, "id_a,pair=id_b");
	object(f, "id_b,a=id_b");
	fails(f, "pairs=id_self", "'id_self,id_self' is not key=value");
	fails(f, "id_a", "'a=id_b' is not a number");
}

/* Deeper than the schema lets anything nest, a struct that holds itself is caught by the bound. */
struct endless {
	uint32_t value;
};

static const struct config_struct endless_schema;
static const struct config_field endless_fields[] = {
	{.name = "next", .kind = CONFIG_STRUCT, .fields = &endless_schema, .help = "itself"},
	{.name = NULL},
};
static const struct config_struct endless_schema = {endless_fields};

static void test_depth_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct endless endless = {0};

	object(f, "id_e,next=id_e");
	assert_err(config_parse_text(&endless_fields[0], &f->objects, "next=id_e", &endless),
		"Objects refer to each other more than 16 deep");
}

static void test_work_is_bounded(void **state)
{
	struct fixture *f = *state;
	char *big = malloc(600000);
	char *list = malloc(8192);
	size_t len = 0;

	memset(big, 'x', 599999);
	big[599999] = '\0';
	memcpy(big, "id_big,", 7);
	object(f, big);
	len = (size_t)snprintf(list, 8192, "id_list");
	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(list + len, 8192 - len, ",id_big");
	object(f, list);
	fails(f, "texts=id_list", "The objects hold too much");
	free(big);
	free(list);
}

static void test_number_of_items_is_bounded(void **state)
{
	struct fixture *f = *state;
	const struct config_field *numbers = config_find(&sample_schema, "numbers", 7);

	for (int i = 0; i < CONFIG_ITEMS_MAX; i++)
		assert_ok(config_list_append(numbers, NULL, "1", &f->sample));
	assert_err(config_list_append(numbers, NULL, "1", &f->sample), "More than 1024 items");
}

static void test_huge_text_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t size = CONFIG_TEXT_MAX + 2;
	char *text = malloc(size);

	memset(text, '1', size - 1);
	text[size - 1] = '\0';
	fails(f, text, "bytes are too many");
	free(text);
}

/* ---- Options one at a time ---- */

static void test_options(void **state)
{
	struct fixture *f = *state;
	uint64_t seen = 0;

#define SET(name, value)                                                                           \
	config_option_set(&sample_schema, &f->objects, &seen, name, value, &f->sample)
	assert_ok(SET("f", NULL));
	assert_true(f->sample.flag);
	assert_err(SET("flag", "off"), "--flag is given twice");
	assert_ok(SET("w", "0x10"));
	assert_int_equal(f->sample.word, 16);
	assert_ok(SET("old-size", "2k"));
	assert_int_equal(f->sample.size, 2048);
	assert_err(SET("size", "1"), "--size is given twice");
	assert_err(SET("old-size", "1"), "--size is given twice (--old-size is another spelling");
	assert_err(SET("text", NULL), "--text needs a value");
	assert_err(SET("sise", "1"), "Unknown option '--sise'; did you mean '--size'?");
	assert_err(SET("x", NULL), "Unknown option '-x'");
	assert_err(SET("", NULL), "Unknown option");
	assert_err(SET("byte", "x"), "Bad value of --byte");
	assert_err(SET("pair", ""), "Bad value of --pair");
	assert_err(SET("form", ""), "The value is empty");
	assert_ok(SET("o", "id_n,3"));
	assert_ok(SET("object", "id_m,4"));
	assert_ok(SET("numbers", "id_n"));
	assert_ok(SET("numbers", "id_m"));
	assert_int_equal(f->sample.n_numbers, 2);
	assert_int_equal(f->sample.numbers[1], 4);
#undef SET
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_booleans),
		TEST(test_numbers),
		TEST(test_ranges_follow_width_and_schema),
		TEST(test_strings),
		TEST(test_enums),
		TEST(test_keys),
		TEST(test_what_was_probably_meant),
		TEST(test_objects_that_nothing_refers_to),
		TEST(test_errors_name_the_whole_path),
		TEST(test_nested_struct),
		TEST(test_unions),
		TEST(test_default_variant_and_bare_text),
		TEST(test_bare_text_of_an_option),
		TEST(test_lists),
		TEST(test_list_of_structs_through_objects),
		TEST(test_objects_stand_for_values_and_keys),
		TEST(test_empty_object_means_not_given),
		TEST(test_whole_option_as_an_object),
		TEST(test_string_option_takes_everything),
		TEST(test_names_of_objects),
		TEST(test_objects_that_refer_to_each_other),
		TEST(test_depth_is_bounded),
		TEST(test_work_is_bounded),
		TEST(test_number_of_items_is_bounded),
		TEST(test_huge_text_is_refused),
		TEST(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
