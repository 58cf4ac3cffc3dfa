/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema's common part: lookup, defaults, ownership, and storing single values.
 */
#include "config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static bool config_name_is(const char *name, const char *text, size_t len)
{
	return name && strlen(name) == len && !memcmp(name, text, len);
}

const struct config_field *config_find(
	const struct config_struct *schema, const char *name, size_t len)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		if (config_name_is(f->name, name, len) || config_name_is(f->alias, name, len))
			return f;
	}
	return NULL;
}

void config_set_given(const struct config_field *field, bool given, void *object)
{
	if (field->given_offset)
		*(bool *)(void *)((char *)object + field->given_offset) = given;
}

static bool config_is_complete(const struct config_struct *schema)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		if (f->required)
			return false;
	}
	return true;
}

bool config_is_switch(const struct config_field *field)
{
	return field->kind == CONFIG_BOOL || (field->kind == CONFIG_STRUCT && field->given_offset &&
						     config_is_complete(field->fields));
}

int config_find_variant(const struct config_union *variants, const char *name, size_t len)
{
	for (int i = 0; variants->variants[i].name; i++) {
		if (config_name_is(variants->variants[i].name, name, len) ||
			config_name_is(variants->variants[i].alias, name, len))
			return i;
	}
	return -1;
}

int config_find_choice(const struct config_choice *choices, const char *name, size_t len)
{
	for (int i = 0; choices[i].name; i++) {
		if (config_name_is(choices[i].name, name, len) ||
			config_name_is(choices[i].alias, name, len))
			return i;
	}
	return -1;
}

/* ---- Suggestions ---- */

#define CONFIG_NAME_MAX 40
#define CONFIG_NEAR     3 /* changes: so many are not a typing error */

/* Edit distance (insert, delete, replace), case ignored; large if either is too long. */
static unsigned int config_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned int row[CONFIG_NAME_MAX + 1];

	if (a_len > CONFIG_NAME_MAX || b_len > CONFIG_NAME_MAX)
		return CONFIG_NAME_MAX;
	for (unsigned int j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned int diagonal = row[0];

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned int above = row[j];
			unsigned int cost = (a[i - 1] | 0x20) != (b[j - 1] | 0x20);
			unsigned int beside = MIN(above, row[j - 1]) + 1;

			row[j] = MIN(beside, diagonal + cost);
			diagonal = above;
		}
	}
	return row[b_len];
}

void config_near_try(struct config_near *near, const char *candidate)
{
	unsigned int limit = near->best ? near->distance : CONFIG_NEAR;
	unsigned int distance;

	if (!candidate)
		return;
	distance = config_distance(near->name, near->len, candidate, strlen(candidate));
	if (distance >= limit || distance >= near->len)
		return;
	near->best = candidate;
	near->distance = distance;
}

struct err *config_unknown_name(
	const struct config_struct *schema, const char *what, const char *name, size_t len)
{
	struct config_near near = {.name = name, .len = len};

	for (const struct config_field *f = schema->fields; f->name; f++) {
		config_near_try(&near, f->name);
		config_near_try(&near, f->alias);
	}
	if (near.best)
		return err_new(0, "Unknown %s '%.*s'; did you mean '%s'?", what, (int)len, name,
			near.best);
	return err_new(0, "Unknown %s '%.*s'", what, (int)len, name);
}

/* ---- What was given ---- */

static uint64_t config_bit(const struct config_struct *schema, const struct config_field *field)
{
	assert(field - schema->fields < CONFIG_FIELDS_MAX);
	return 1ull << (field - schema->fields);
}

struct err *config_mark(
	const struct config_struct *schema, const struct config_field *field, uint64_t *seen)
{
	uint64_t bit = config_bit(schema, field);

	if (*seen & bit)
		return err_new(0, "'%s' is given twice", field->name);
	*seen |= bit;
	return NULL;
}

struct err *config_check_required(const struct config_struct *schema, uint64_t seen)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		if (f->required && !(seen & config_bit(schema, f)))
			return err_new(0, "'%s' is missing", f->name);
	}
	return NULL;
}

/* ---- Single values ---- */

static void *config_slot(const struct config_field *field, void *object)
{
	return (char *)object + field->offset;
}

struct err *config_set_bool(
	const struct config_field *field, const char *text, size_t len, void *object)
{
	bool on = config_name_is("on", text, len) || config_name_is("true", text, len);

	if (!on && !config_name_is("off", text, len) && !config_name_is("false", text, len))
		return err_new(0, "'%.*s' is not one of on, off, true, false", (int)len, text);
	*(bool *)config_slot(field, object) = on;
	return NULL;
}

struct err *config_set_uint(const struct config_field *field, uint64_t value, void *object)
{
	uint64_t width_max = field->width == 8 ? UINT64_MAX : (1ull << (field->width * 8)) - 1;
	uint64_t max = field->max ? field->max : width_max;
	void *slot = config_slot(field, object);

	if (value < field->min || value > max)
		return err_new(0, "%llu is out of range (%llu to %llu)", (unsigned long long)value,
			(unsigned long long)field->min, (unsigned long long)max);
	switch (field->width) {
	case 1:
		*(uint8_t *)slot = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)slot = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)slot = (uint32_t)value;
		break;
	default:
		*(uint64_t *)slot = value;
		break;
	}
	return NULL;
}

/* `names` are all that it could have been. */
static struct err *config_not_one_of(const struct config_near *near, const char *names)
{
	if (near->best)
		return err_new(0, "'%.*s' is not one of %s; did you mean '%s'?", (int)near->len,
			near->name, names, near->best);
	return err_new(0, "'%.*s' is not one of %s", (int)near->len, near->name, names);
}

struct err *config_set_enum(
	const struct config_field *field, const char *text, size_t len, void *object)
{
	auto_strbuf struct strbuf names = STRBUF_INIT(1024);
	struct config_near near = {.name = text, .len = len};
	int which = config_find_choice(field->choices, text, len);

	if (which >= 0) {
		*(int *)config_slot(field, object) = which;
		return NULL;
	}
	for (int i = 0; field->choices[i].name; i++) {
		strbuf_printf(&names, "%s%s", i ? ", " : "", field->choices[i].name);
		config_near_try(&near, field->choices[i].name);
	}
	return config_not_one_of(&near, strbuf_text(&names));
}

struct err *config_set_string(
	const struct config_field *field, const char *text, size_t len, void *object)
{
	char **slot = config_slot(field, object);
	char *copy;

	if (field->filled && !len)
		return err_new(0, "The value is empty");
	copy = strndup(text, len);
	if (!copy)
		return err_new(ENOMEM, "Cannot store '%s'", field->name);
	free(*slot);
	*slot = copy;
	return NULL;
}

/* ---- Lists and unions ---- */

static struct err *config_default(const struct config_field *field, void *object)
{
	if (field->kind == CONFIG_STRUCT)
		return config_defaults(field->fields, config_slot(field, object));
	if (!field->def)
		return NULL;
	return err_wrap(config_parse_text(field, NULL, field->def, object), "Bad default of '%s'",
		field->name);
}

struct err *config_list_grow(const struct config_field *field, void *object, void **ret_item)
{
	void **items = config_slot(field, object);
	size_t *count = (size_t *)(void *)((char *)object + field->count_offset);
	char *grown;

	if (*count == CONFIG_ITEMS_MAX)
		return err_new(0, "More than %d items", CONFIG_ITEMS_MAX);
	grown = reallocarray(*items, *count + 1, field->item_size);
	if (!grown)
		return err_new(ENOMEM, "Cannot store an item of '%s'", field->name);
	*items = grown;
	grown += *count * field->item_size;
	memset(grown, 0, field->item_size);
	++*count;
	*ret_item = grown;
	return config_default(field->item, grown);
}

struct err *config_unknown_variant(
	const struct config_union *variants, const char *name, size_t len)
{
	auto_strbuf struct strbuf names = STRBUF_INIT(1024);
	struct config_near near = {.name = name, .len = len};

	for (int i = 0; variants->variants[i].name; i++) {
		strbuf_printf(&names, "%s%s", i ? ", " : "", variants->variants[i].name);
		config_near_try(&near, variants->variants[i].name);
	}
	return config_not_one_of(&near, strbuf_text(&names));
}

static void config_deinit_union(const struct config_union *variants, void *object)
{
	for (const struct config_variant *v = variants->variants; v->name; v++) {
		if (v->fields)
			config_deinit(v->fields, object);
	}
}

struct err *config_choose_variant(const struct config_union *variants, int which, void *object)
{
	const struct config_variant *variant = &variants->variants[which];

	/* What a default or an earlier choice has left there. */
	config_deinit_union(variants, object);
	*(int *)(void *)((char *)object + variants->tag_offset) = which;
	return variant->fields ? config_defaults(variant->fields, object) : NULL;
}

/* ---- Whole objects ---- */

struct err *config_defaults(const struct config_struct *schema, void *object)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		struct err *err = config_default(f, object);

		if (err)
			return err;
	}
	return NULL;
}

static void config_deinit_field(const struct config_field *f, void *object);

static void config_deinit_list(const struct config_field *f, void *object)
{
	char **items = config_slot(f, object);
	size_t *count = (size_t *)(void *)((char *)object + f->count_offset);

	for (size_t i = 0; i < *count; i++)
		config_deinit_field(f->item, *items + i * f->item_size);
	free(*items);
	*items = NULL;
	*count = 0;
}

static void config_deinit_field(const struct config_field *f, void *object)
{
	char **string = config_slot(f, object);

	switch (f->kind) {
	case CONFIG_STRING:
		free(*string);
		*string = NULL;
		break;
	case CONFIG_STRUCT:
		config_deinit(f->fields, config_slot(f, object));
		break;
	case CONFIG_UNION:
		config_deinit_union(f->variants, config_slot(f, object));
		break;
	case CONFIG_LIST:
		config_deinit_list(f, object);
		break;
	case CONFIG_BOOL:
	case CONFIG_UINT:
	case CONFIG_ENUM:
	case CONFIG_OBJECT:
		break;
	}
}

void config_deinit(const struct config_struct *schema, void *object)
{
	for (const struct config_field *f = schema->fields; f->name; f++)
		config_deinit_field(f, object);
}
