/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a command, one at a time, as fields of a struct.
 */
#include "config/schema.h"

#include <string.h>

const struct config_field *config_option_find(const struct config_struct *schema, const char *name)
{
	if (name[0] && !name[1]) {
		for (const struct config_field *f = schema->fields; f->name; f++) {
			if (f->letter == name[0])
				return f;
		}
		return NULL;
	}
	return config_find(schema, name, strlen(name));
}

static struct err *config_option_unknown(const struct config_struct *schema, const char *name)
{
	struct config_near near = {.name = name, .len = strlen(name)};

	if (!name[0] || !name[1])
		return err_new(0, "Unknown option '-%s'", name);
	for (const struct config_field *f = schema->fields; f->name; f++) {
		config_near_try(&near, f->name);
		config_near_try(&near, f->alias);
	}
	if (near.best)
		return err_new(0, "Unknown option '--%s'; did you mean '--%s'?", name, near.best);
	return err_new(0, "Unknown option '--%s'", name);
}

/* A legacy spelling shares the mark of the option that it stands for. */
static struct err *config_option_mark(
	const struct config_struct *schema, const struct config_field *field, uint64_t *seen)
{
	const struct config_field *real =
		field->instead_of ? config_option_find(schema, field->instead_of) : field;
	struct err *err;

	if (field->kind == CONFIG_LIST || field->kind == CONFIG_OBJECT)
		return NULL;
	err = config_mark(schema, real, seen);
	if (!err)
		return NULL;
	err_free(err);
	return real == field ? err_new(0, "--%s is given twice", field->name)
			     : err_new(0, "--%s is given twice (--%s is another spelling of it)",
				       real->name, field->name);
}

/* `value` NULL: none was given, nor need it be. */
static struct err *config_option_apply(const struct config_field *field,
	struct config_objects *objects, const char *value, void *object)
{
	const struct config_field *one = field->kind == CONFIG_LIST ? field->item : field;

	if (!value)
		value = "";
	else if (!*value && one->kind == CONFIG_STRUCT)
		return err_new(0, "The value is empty");
	if (field->kind == CONFIG_OBJECT)
		return config_objects_add(objects, value);
	if (field->kind == CONFIG_LIST)
		return config_list_append(field, objects, value, object);
	return config_parse_text(field, objects, value, object);
}

struct err *config_option_set(const struct config_struct *schema, struct config_objects *objects,
	uint64_t *seen, const char *name, const char *value, void *object)
{
	const struct config_field *field = config_option_find(schema, name);
	struct err *err;

	if (!field)
		return config_option_unknown(schema, name);
	err = config_option_mark(schema, field, seen);
	if (err)
		return err;
	if (!value && field->kind == CONFIG_BOOL)
		value = "on";
	if (!value && !config_is_switch(field))
		return err_new(0, "--%s needs a value", field->name);
	return err_wrap(config_option_apply(field, objects, value, object), "Bad value of --%s",
		field->name);
}
