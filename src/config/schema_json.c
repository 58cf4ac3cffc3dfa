/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to objects. jansson parses (duplicate members are errors, its depth is limited); the schema
 * decides the rest.
 */
#include "config/schema.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/alloc.h"

static struct err *config_json_field(const struct config_field *field, json_t *value, void *object);

static void config_json_free(json_t **json)
{
	json_decref(*json);
}

static struct err *config_json_wrong(const char *wanted)
{
	return err_new(0, "This must be %s", wanted);
}

static struct err *config_json_uint(const struct config_field *field, json_t *value, void *object)
{
	/* "4G" is as good as the number: the units of the command line work here too. What is
	 * beyond JSON's integers needs it. */
	if (json_is_string(value))
		return config_parse_text(field, NULL, json_string_value(value), object);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return config_json_wrong("a non-negative integer");
	return config_set_uint(field, (uint64_t)json_integer_value(value), object);
}

static struct err *config_json_string(const struct config_field *field, json_t *value, void *object)
{
	const char *text = json_string_value(value);

	if (!text)
		return config_json_wrong("a string");
	if (strlen(text) != json_string_length(value))
		return err_new(0, "A string must not hold a NUL character");
	if (field->kind == CONFIG_ENUM)
		return config_set_enum(field, text, strlen(text), object);
	return config_set_string(field, text, strlen(text), object);
}

/* One member; `name` may be the field's alias. */
static struct err *config_json_member(const struct config_struct *schema, uint64_t *seen,
	const char *name, json_t *value, void *object)
{
	const struct config_field *field = config_find(schema, name, strlen(name));
	struct err *err;

	if (!field || field->instead_of || field->kind == CONFIG_OBJECT)
		return config_unknown_name(schema, "member", name, strlen(name));
	err = config_mark(schema, field, seen);
	if (err)
		return err;
	return err_wrap(config_json_field(field, value, object), "Bad value of '%s'", name);
}

/* The members of a JSON object, but for `kind` if that is a union's. */
static struct err *config_json_struct(const struct config_struct *schema, uint64_t *seen,
	json_t *value, bool in_union, void *object)
{
	const char *name;
	json_t *member;

	if (!json_is_object(value))
		return config_json_wrong("an object");
	json_object_foreach(value, name, member)
	{
		struct err *err;

		if (in_union && !strcmp(name, "kind"))
			continue;
		err = config_json_member(schema, seen, name, member, object);
		if (err)
			return err;
	}
	return config_check_required(schema, *seen);
}

static struct err *config_json_variant(
	const struct config_union *variants, int which, json_t *value, void *object)
{
	const struct config_variant *variant = &variants->variants[which];
	struct err *err = config_choose_variant(variants, which, object);
	uint64_t seen = 0;

	if (err)
		return err;
	if (variant->fields && json_is_string(value))
		return config_check_required(variant->fields, 0);
	if (variant->fields)
		return config_json_struct(variant->fields, &seen, value, true, object);
	if (json_is_object(value) && json_object_size(value) != 1)
		return err_new(0, "'%s' takes no members", variant->name);
	return NULL;
}

/* {"kind": "log", "path": "x"}, or {"path": "x"} of the default variant, or "stdio". */
static struct err *config_json_union(
	const struct config_union *variants, json_t *value, void *object)
{
	json_t *kind = json_is_object(value) ? json_object_get(value, "kind") : value;
	int which = variants->default_variant;

	if (kind && !json_is_string(kind))
		return config_json_wrong("a string, or an object whose 'kind' is one");
	if (kind)
		which = config_find_variant(
			variants, json_string_value(kind), json_string_length(kind));
	if (kind && which < 0)
		return config_unknown_variant(
			variants, json_string_value(kind), json_string_length(kind));
	if (which < 0)
		return err_new(0, "'kind' is missing");
	return config_json_variant(variants, which, value, object);
}

static struct err *config_json_item(const struct config_field *field, json_t *value, void *object)
{
	void *item = NULL;
	struct err *err = config_list_grow(field, object, &item);

	return err ? err : config_json_field(field->item, value, item);
}

/* A list of one may be the item itself, as on the command line. */
static struct err *config_json_list(const struct config_field *field, json_t *value, void *object)
{
	json_t *element;
	size_t i;

	if (json_is_object(value))
		return config_json_item(field, value, object);
	if (!json_is_array(value))
		return config_json_wrong("an array");
	json_array_foreach(value, i, element)
	{
		struct err *err = config_json_item(field, element, object);

		if (err)
			return err_wrap(err, "Bad item %zu", i);
	}
	return NULL;
}

static struct err *config_json_field(const struct config_field *field, json_t *value, void *object)
{
	void *slot = (char *)object + field->offset;
	uint64_t seen = 0;

	switch (field->kind) {
	case CONFIG_BOOL:
		if (!json_is_boolean(value))
			return config_json_wrong("true or false");
		*(bool *)slot = json_is_true(value);
		return NULL;
	case CONFIG_UINT:
		return config_json_uint(field, value, object);
	case CONFIG_STRING:
	case CONFIG_ENUM:
		return config_json_string(field, value, object);
	case CONFIG_STRUCT:
		config_set_given(field, !json_is_false(value), object);
		if (json_is_false(value) && field->given_offset)
			return NULL;
		if (json_is_true(value) && config_is_switch(field))
			return NULL;
		return config_json_struct(field->fields, &seen, value, false, slot);
	case CONFIG_UNION:
		return config_json_union(field->variants, value, slot);
	case CONFIG_LIST:
	case CONFIG_OBJECT:
		break;
	}
	return config_json_list(field, value, object);
}

struct err *config_parse_json(
	const struct config_struct *schema, uint64_t *seen, const char *json, void *object)
{
	__attribute__((cleanup(config_json_free))) json_t *root = NULL;
	json_error_t error;

	if (strnlen(json, CONFIG_TEXT_MAX + 1) > CONFIG_TEXT_MAX)
		return err_new(E2BIG, "The JSON text is longer than 1 MiB");
	root = json_loads(json, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return err_new(0, "Bad JSON in line %d, column %d: %s", error.line, error.column,
			error.text);
	return config_json_struct(schema, seen, root, false, object);
}
