/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a text that is not understood, and what was probably meant.
 */
#include "config/schema_text_internal.h"

const struct config_struct *config_default_fields(const struct config_union *variants)
{
	return variants->default_variant < 0 ? NULL
					     : variants->variants[variants->default_variant].fields;
}

struct err *config_no_value(const struct config_field *field)
{
	return err_new(0, "'%s' has no value: write %s=VALUE", field->name, field->name);
}

/* Could the word be a value of the field, and not of any other kind? */
static bool config_is_value_of(const struct config_field *field, struct config_span word)
{
	uint64_t value;
	struct err *err;
	bool is_number;

	if (field->kind == CONFIG_ENUM)
		return config_find_choice(field->choices, word.p, word.len) >= 0;
	if (field->kind != CONFIG_UINT)
		return false;
	err = config_parse_uint(word, &value);
	is_number = !err;
	err_free(err);
	return is_number;
}

/* The key that a word without one was probably meant for, or NULL: numbers and choices tell. */
static const struct config_field *config_likely_key(
	const struct config_struct *schema, struct config_span word)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		if (config_is_value_of(f, word))
			return f;
	}
	for (const struct config_field *f = schema->fields; f->name; f++) {
		if (f->kind == CONFIG_STRING)
			return f;
	}
	return NULL;
}

struct err *config_not_a_pair(const struct config_scope *scope, struct config_span word)
{
	const struct config_field *likely =
		scope->seen ? NULL : config_likely_key(scope->schema, word);
	struct config_near near = {.name = word.p, .len = word.len};

	for (const struct config_field *f = scope->schema->fields; f->name; f++)
		config_near_try(&near, f->name);
	if (near.best && !(likely && config_is_value_of(likely, word)))
		return err_new(0, "'%.*s' is not key=value; did you mean %s=VALUE?", (int)word.len,
			word.p, near.best);
	if (likely)
		return err_new(0, "'%.*s' is not key=value; did you mean %s=%.*s?", (int)word.len,
			word.p, likely->name, (int)word.len, word.p);
	return err_new(0, "'%.*s' is not key=value", (int)word.len, word.p);
}

struct err *config_unknown_key(const struct config_scope *scope, struct config_span key)
{
	for (const struct config_field *f = scope->schema->fields; f->name; f++) {
		if (f->kind == CONFIG_STRUCT && config_find(f->fields, key.p, key.len))
			return err_new(0,
				"'%.*s' is a key of '%s': write %s=%.*s=VALUE, or several keys as %s=id_x with -o id_x,%.*s=VALUE,...",
				(int)key.len, key.p, f->name, f->name, (int)key.len, key.p, f->name,
				(int)key.len, key.p);
	}
	for (const struct config_variant *v = scope->variants ? scope->variants->variants : NULL;
		v && v->name; v++) {
		if (v->fields && config_find(v->fields, key.p, key.len))
			return err_new(0, "'%.*s' is a key of '%s'", (int)key.len, key.p, v->name);
	}
	return config_unknown_name(scope->schema, "key", key.p, key.len);
}

struct err *config_unknown_kind(
	const struct config_union *variants, struct config_span name, struct config_span rest)
{
	const struct config_struct *fields = config_default_fields(variants);
	const struct config_field *likely = fields ? config_likely_key(fields, name) : NULL;
	struct config_near near = {.name = name.p, .len = name.len};

	for (const struct config_variant *v = variants->variants; v->name; v++)
		config_near_try(&near, v->name);
	if (variants->bare_key && rest.p && !near.best)
		return err_new(0,
			"'%.*s' is neither one of the kinds nor key=value; a %s with a comma goes through an object: %s=id_x -o id_x,TEXT",
			(int)name.len, name.p, variants->bare_key, variants->bare_key);
	/* "tap0" is a name, not a misspelt "tap". */
	if (likely && name.len && (!near.best || config_digit(name.p[name.len - 1]) < 10))
		return err_new(0, "'%.*s' is not key=value; did you mean %s=%.*s?", (int)name.len,
			name.p, likely->name, (int)name.len, name.p);
	return config_unknown_variant(variants, name.p, name.len);
}
