/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A schema with every kind of field, for the tests and the fuzzer of the configuration's parsers.
 */
#pragma once

#include "config/schema.h"

enum sample_color { SAMPLE_RED, SAMPLE_GREEN };
enum sample_shape { SAMPLE_CIRCLE, SAMPLE_POINT };

struct sample_pair {
	uint32_t a;
	uint32_t b;
};

struct sample_form {
	enum sample_shape shape;
	char *name;
	uint8_t radius;
};

struct sample {
	bool flag;
	uint8_t byte;
	uint16_t word;
	uint32_t ranged; /* 10 to 20 */
	uint64_t size;
	char *text;
	enum sample_color color;
	struct sample_pair pair;
	struct sample_form form;   /* a kind must be named */
	struct sample_form figure; /* circle by default, a bare text is its name */
	uint32_t *numbers;
	size_t n_numbers;
	char **texts;
	size_t n_texts;
	struct sample_pair *pairs;
	size_t n_pairs;
};

#define SAMPLE(member) .offset = offsetof(struct sample, member)
#define SAMPLE_UINT(type, member)                                                                  \
	.kind = CONFIG_UINT, .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)

static const struct config_choice sample_colors[] = {{"red", "Red"}, {"green", NULL}, {NULL, NULL}};

static const struct config_struct sample_pair_schema = {(const struct config_field[]){
	{.name = "a", SAMPLE_UINT(struct sample_pair, a), .required = true, .help = "first"},
	{.name = "b", SAMPLE_UINT(struct sample_pair, b), .def = "7", .help = "second"},
	{.name = NULL},
}};

static const struct config_struct sample_circle_schema = {(const struct config_field[]){
	{.name = "name",
		.kind = CONFIG_STRING,
		.required = true,
		.offset = offsetof(struct sample_form, name),
		.help = "its name"},
	{.name = "radius", SAMPLE_UINT(struct sample_form, radius), .def = "3", .help = "radius"},
	{.name = NULL},
}};

static const struct config_variant sample_variants[] = {
	{.name = "circle", .alias = "Circle", .fields = &sample_circle_schema, .help = "round"},
	{.name = "point", .help = "small"},
	{.name = NULL},
};

static const struct config_union sample_form_union = {
	.variants = sample_variants,
	.tag_offset = offsetof(struct sample_form, shape),
	.default_variant = -1,
};

static const struct config_union sample_figure_union = {
	.variants = sample_variants,
	.tag_offset = offsetof(struct sample_form, shape),
	.default_variant = 0,
	.bare_key = "name",
};

static const struct config_field sample_number_item = {
	.name = "number", .kind = CONFIG_UINT, .width = sizeof(uint32_t), .help = "a number"};
static const struct config_field sample_text_item = {
	.name = "text", .kind = CONFIG_STRING, .help = "a text"};
static const struct config_field sample_pair_item = {
	.name = "pair", .kind = CONFIG_STRUCT, .fields = &sample_pair_schema, .help = "a pair"};

static const struct config_struct sample_schema = {(const struct config_field[]){
	{.name = "flag", .kind = CONFIG_BOOL, SAMPLE(flag), .letter = 'f', .help = "a flag"},
	{.name = "byte", SAMPLE_UINT(struct sample, byte), .help = "8 bits"},
	{.name = "word", SAMPLE_UINT(struct sample, word), .letter = 'w', .help = "16 bits"},
	{.name = "ranged",
		SAMPLE_UINT(struct sample, ranged),
		.min = 10,
		.max = 20,
		.def = "15",
		.help = "10 to 20"},
	{.name = "size", .alias = "sz", SAMPLE_UINT(struct sample, size), .help = "64 bits"},
	{.name = "old-size",
		SAMPLE_UINT(struct sample, size),
		.instead_of = "size",
		.help = "old spelling of size"},
	{.name = "text", .kind = CONFIG_STRING, SAMPLE(text), .def = "abc", .help = "a text"},
	{.name = "color",
		.kind = CONFIG_ENUM,
		SAMPLE(color),
		.choices = sample_colors,
		.def = "green",
		.help = "a color"},
	{.name = "pair",
		.kind = CONFIG_STRUCT,
		SAMPLE(pair),
		.fields = &sample_pair_schema,
		.help = "a pair"},
	{.name = "form",
		.kind = CONFIG_UNION,
		SAMPLE(form),
		.variants = &sample_form_union,
		.def = "point",
		.help = "a form"},
	{.name = "figure",
		.kind = CONFIG_UNION,
		SAMPLE(figure),
		.variants = &sample_figure_union,
		.def = "point",
		.help = "a figure"},
	{.name = "numbers",
		.kind = CONFIG_LIST,
		SAMPLE(numbers),
		.count_offset = offsetof(struct sample, n_numbers),
		.item = &sample_number_item,
		.item_size = sizeof(uint32_t),
		.help = "numbers"},
	{.name = "texts",
		.kind = CONFIG_LIST,
		SAMPLE(texts),
		.count_offset = offsetof(struct sample, n_texts),
		.item = &sample_text_item,
		.item_size = sizeof(char *),
		.help = "texts"},
	{.name = "pairs",
		.kind = CONFIG_LIST,
		SAMPLE(pairs),
		.count_offset = offsetof(struct sample, n_pairs),
		.item = &sample_pair_item,
		.item_size = sizeof(struct sample_pair),
		.help = "pairs"},
	{.name = "object", .letter = 'o', .kind = CONFIG_OBJECT, .help = "a named text"},
	{.name = NULL},
}};

/* The whole sample as the value of one option. */
static const struct config_field sample_field = {
	.name = "sample", .kind = CONFIG_STRUCT, .fields = &sample_schema, .help = "all of it"};
