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

#define CONFIG_JSON_SIZE_MAX MIB(1)

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
	/* "4G" is as good as the number: the units of the command line work here too. */
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

/* The members of a JSON object, but for `kind` if that is a union's. */
static struct err *config_json_struct(
	const struct config_struct *schema, json_t *value, bool in_union, void *object)
{
	const char *name;
	json_t *member;

	if (!json_is_object(value))
		return config_json_wrong("an object");
	json_object_foreach(value, name, member)
	{
		const struct config_field *field = config_find(schema, name, strlen(name));
		struct err *err;

		if (in_union && !strcmp(name, "kind"))
			continue;
		if (!field || field->instead_of)
			return err_new(0, "Unknown member '%s'", name);
		if (strcmp(field->name, name) && json_object_get(value, field->name))
			return err_new(0, "'%s' and '%s' are the same", name, field->name);
		err = config_json_field(field, member, object);
		if (err)
			return err_wrap(err, "Bad value of '%s'", name);
	}
	for (const struct config_field *f = schema->fields; f->name; f++) {
		if (f->required && !json_object_get(value, f->name) &&
			!(f->alias && json_object_get(value, f->alias)))
			return err_new(0, "The member '%s' is missing", f->name);
	}
	return NULL;
}

static struct err *config_json_union(
	const struct config_union *variants, json_t *value, void *object)
{
	json_t *kind = json_is_object(value) ? json_object_get(value, "kind") : value;
	const struct config_variant *variant;
	int which = variants->default_variant;
	struct err *err;

	if (kind && !json_is_string(kind))
		return config_json_wrong("an object with a string 'kind'");
	if (kind)
		which = config_find_variant(
			variants, json_string_value(kind), json_string_length(kind));
	if (which < 0)
		return err_new(0, "Unknown or missing 'kind'");
	variant = &variants->variants[which];
	*(int *)(void *)((char *)object + variants->tag_offset) = which;
	if (!variant->fields)
		return json_is_string(value) || json_object_size(value) == 1
			       ? NULL
			       : err_new(0, "'%s' takes no members", variant->name);
	err = config_defaults(variant->fields, object);
	return err ? err : config_json_struct(variant->fields, value, true, object);
}

static struct err *config_json_list(const struct config_field *field, json_t *value, void *object)
{
	struct err *err = NULL;
	json_t *element;
	size_t i;

	if (!json_is_array(value))
		return config_json_wrong("an array");
	json_array_foreach(value, i, element)
	{
		void *item = config_list_grow(field, object, &err);

		if (item)
			err = config_json_field(field->item, element, item);
		if (err)
			return err_wrap(err, "Bad item %zu", i);
	}
	return NULL;
}

static struct err *config_json_field(const struct config_field *field, json_t *value, void *object)
{
	void *slot = (char *)object + field->offset;

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
		return config_json_struct(field->fields, value, false, slot);
	case CONFIG_UNION:
		return config_json_union(field->variants, value, slot);
	case CONFIG_LIST:
		break;
	}
	return config_json_list(field, value, object);
}

struct err *config_parse_json(const struct config_struct *schema, const char *json, void *object)
{
	__attribute__((cleanup(config_json_free))) json_t *root = NULL;
	json_error_t error;

	if (strlen(json) > CONFIG_JSON_SIZE_MAX)
		return err_new(E2BIG, "The JSON text is longer than 1 MiB");
	root = json_loads(json, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return err_new(0, "Bad JSON in line %d, column %d: %s", error.line, error.column,
			error.text);
	return config_json_struct(schema, root, false, object);
}
