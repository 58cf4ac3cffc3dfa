/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects to JSON, in the form that schema_json.c reads: the defaults are written out, options
 * without a value left out.
 */
#include "config/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static struct err *config_print_field(
	const struct config_field *field, const void *object, json_t **ret_json);

static void config_print_free(json_t **json)
{
	json_decref(*json);
}

#define auto_json __attribute__((cleanup(config_print_free)))

static const void *config_print_slot(const struct config_field *field, const void *object)
{
	return (const char *)object + field->offset;
}

/* *ret_json is `json`; an error if there is none. */
static struct err *config_print_made(json_t *json, json_t **ret_json)
{
	if (!json)
		return err_new(ENOMEM, "Cannot write JSON");
	*ret_json = json;
	return NULL;
}

static uint64_t config_print_get_uint(const struct config_field *field, const void *object)
{
	const void *slot = config_print_slot(field, object);

	switch (field->width) {
	case 1:
		return *(const uint8_t *)slot;
	case 2:
		return *(const uint16_t *)slot;
	case 4:
		return *(const uint32_t *)slot;
	default:
		return *(const uint64_t *)slot;
	}
}

/* JSON's integers, as jansson has them, are signed; larger ones become strings. */
static struct err *config_print_uint(
	const struct config_field *field, const void *object, json_t **ret_json)
{
	uint64_t value = config_print_get_uint(field, object);
	char text[24];

	if (value <= INT64_MAX)
		return config_print_made(json_integer((json_int_t)value), ret_json);
	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return config_print_made(json_string(text), ret_json);
}

static struct err *config_print_string(
	const struct config_field *field, const void *object, json_t **ret_json)
{
	const char *text = *(char *const *)config_print_slot(field, object);

	if (!text)
		return NULL;
	*ret_json = json_string(text);
	return *ret_json ? NULL : err_new(EILSEQ, "'%s' is not UTF-8 text", text);
}

static struct err *config_print_fields(
	const struct config_struct *schema, const void *object, json_t *to)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		json_t *value = NULL;
		struct err *err;

		if (f->instead_of || f->kind == CONFIG_OBJECT)
			continue;
		err = config_print_field(f, object, &value);
		if (err)
			return err_wrap(err, "Cannot write '%s'", f->name);
		if (value && json_object_set_new(to, f->name, value))
			return err_new(ENOMEM, "Cannot write '%s'", f->name);
	}
	return NULL;
}

static struct err *config_print_struct(
	const struct config_struct *schema, const void *object, json_t **ret_json)
{
	auto_json json_t *json = json_object();
	struct err *err = config_print_fields(schema, object, json);

	return err ? err : config_print_made(json_incref(json), ret_json);
}

static struct err *config_print_union(
	const struct config_union *variants, const void *object, json_t **ret_json)
{
	int which = *(const int *)(const void *)((const char *)object + variants->tag_offset);
	const struct config_variant *variant = &variants->variants[which];
	auto_json json_t *json = json_object();
	struct err *err = NULL;

	if (json_object_set_new(json, "kind", json_string(variant->name)))
		return err_new(ENOMEM, "Cannot write JSON");
	if (variant->fields)
		err = config_print_fields(variant->fields, object, json);
	return err ? err : config_print_made(json_incref(json), ret_json);
}

static struct err *config_print_list(
	const struct config_field *field, const void *object, json_t **ret_json)
{
	const char *items = *(char *const *)config_print_slot(field, object);
	size_t count = *(const size_t *)(const void *)((const char *)object + field->count_offset);
	auto_json json_t *json = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *item = NULL;
		struct err *err =
			config_print_field(field->item, items + i * field->item_size, &item);

		if (err)
			return err_wrap(err, "Cannot write item %zu", i);
		if (json_array_append_new(json, item))
			return err_new(ENOMEM, "Cannot write JSON");
	}
	return config_print_made(json_incref(json), ret_json);
}

/* *ret_json stays as it is for a string that was not given. */
static struct err *config_print_field(
	const struct config_field *field, const void *object, json_t **ret_json)
{
	const void *slot = config_print_slot(field, object);

	switch (field->kind) {
	case CONFIG_BOOL:
		return config_print_made(json_boolean(*(const bool *)slot), ret_json);
	case CONFIG_UINT:
		return config_print_uint(field, object, ret_json);
	case CONFIG_STRING:
		return config_print_string(field, object, ret_json);
	case CONFIG_ENUM:
		return config_print_made(
			json_string(field->choices[*(const int *)slot].name), ret_json);
	case CONFIG_STRUCT:
		if (field->given_offset &&
			!*(const bool *)(const void *)((const char *)object + field->given_offset))
			return config_print_made(json_false(), ret_json);
		return config_print_struct(field->fields, slot, ret_json);
	case CONFIG_UNION:
		return config_print_union(field->variants, slot, ret_json);
	case CONFIG_LIST:
	case CONFIG_OBJECT:
		break;
	}
	return config_print_list(field, object, ret_json);
}

struct err *config_print_json(
	const struct config_struct *schema, const void *object, char **ret_json)
{
	auto_json json_t *json = NULL;
	struct err *err = config_print_struct(schema, object, &json);
	char *text;

	if (err)
		return err;
	text = json_dumps(json, JSON_COMPACT);
	if (!text)
		return err_new(ENOMEM, "Cannot write JSON");
	*ret_json = text;
	return NULL;
}
