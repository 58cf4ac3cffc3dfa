/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line text to objects. The grammar is in schema.h.
 */
#include "config/schema_text_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/overflow.h"

struct config_object {
	struct config_object *next;
	char *name;
	char *text; /* inside name's memory */
	bool used;
};

/*
 * What one parse may cost: bytes of all values, and a bit for each of them. Bounds lists of objects
 * that hold lists of objects ...
 */
#define CONFIG_WORK_MAX   MIB(4)
#define CONFIG_WORK_VALUE 64

/* One parse: where objects are looked up, and how deep we are in them. */
struct config_parse {
	const struct config_objects *objects;
	unsigned int depth;
	size_t work; /* so far */
};

static struct err *config_parse_field(struct config_parse *parse, const struct config_field *field,
	struct config_span text, void *object);

/* ---- Objects ---- */

static bool config_is_id(struct config_span text)
{
	return text.len >= 3 && !memcmp(text.p, "id_", 3);
}

static struct config_object *config_objects_find(
	const struct config_objects *objects, struct config_span name)
{
	for (struct config_object *o = objects ? objects->first : NULL; o; o = o->next) {
		if (strlen(o->name) == name.len && !memcmp(o->name, name.p, name.len))
			return o;
	}
	return NULL;
}

struct err *config_objects_add(struct config_objects *objects, const char *text)
{
	size_t name_len = strcspn(text, ",");
	struct config_span name = {text, name_len};
	struct config_object *object;

	if (!config_is_id(name) || name_len == 3 || memchr(text, '=', name_len))
		return err_new(0, "'%.*s' is not a name of the form id_NAME", (int)name_len, text);
	if (config_objects_find(objects, name))
		return err_new(0, "The object '%.*s' was given before", (int)name_len, text);
	object = new0(struct config_object);
	if (object)
		object->name = strdup(text);
	if (!object || !object->name) {
		free(object);
		return err_new(ENOMEM, "Cannot keep an object");
	}
	object->text = object->name + name_len;
	if (*object->text)
		*object->text++ = '\0';
	object->next = objects->first;
	objects->first = object;
	return NULL;
}

struct err *config_objects_check(const struct config_objects *objects)
{
	for (const struct config_object *o = objects->first; o; o = o->next) {
		if (!o->used)
			return err_new(0, "Nothing refers to the object '%s'", o->name);
	}
	return NULL;
}

void config_objects_deinit(struct config_objects *objects)
{
	while (objects->first) {
		struct config_object *next = objects->first->next;

		free(objects->first->name);
		free(objects->first);
		objects->first = next;
	}
}

/* Replaces the name of an object by its text; other text stays. */
static struct err *config_resolve(const struct config_parse *parse, struct config_span *text)
{
	struct config_object *object;

	if (!config_is_id(*text))
		return NULL;
	object = config_objects_find(parse->objects, *text);
	if (!object)
		return err_new(0, "There is no object '%.*s' (-o %.*s,...)", (int)text->len,
			text->p, (int)text->len, text->p);
	object->used = true;
	*text = (struct config_span){object->text, strlen(object->text)};
	return NULL;
}

/* ---- Tokens ---- */

/* Cuts off what comes before the separator, which is dropped. Without one that is all, and nothing
 * is left. */
static struct config_span config_cut(struct config_span *rest, char separator)
{
	const char *end = rest->len ? memchr(rest->p, separator, rest->len) : NULL;
	struct config_span token = *rest;

	if (end) {
		token.len = (size_t)(end - rest->p);
		rest->p = end + 1;
		rest->len -= token.len + 1;
	} else {
		*rest = (struct config_span){NULL, 0};
	}
	return token;
}

static bool config_has(struct config_span text, char c)
{
	return memchr(text.p, c, text.len);
}

unsigned int config_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (unsigned int)((c | 0x20) - 'a' + 10);
	return 16;
}

static unsigned int config_base(struct config_span *text)
{
	unsigned int base = 10;

	if (text->len < 2 || text->p[0] != '0')
		return 10;
	if (text->p[1] == 'x')
		base = 16;
	else if (text->p[1] == 'o')
		base = 8;
	else if (text->p[1] == 'b')
		base = 2;
	if (base != 10) {
		text->p += 2;
		text->len -= 2;
	}
	return base;
}

/* The shift of a size suffix, which is cut off; 0 if there is none. */
static unsigned int config_suffix(struct config_span *text)
{
	static const char suffixes[] = "kmgt";
	const char *found;

	if (text->len < 2)
		return 0;
	found = memchr(suffixes, text->p[text->len - 1] | 0x20, sizeof(suffixes) - 1);
	if (!found)
		return 0;
	text->len--;
	return 10 * ((unsigned int)(found - suffixes) + 1);
}

struct err *config_parse_uint(struct config_span text, uint64_t *ret_value)
{
	struct config_span rest = text;
	unsigned int shift = config_suffix(&rest);
	unsigned int base = config_base(&rest);
	uint64_t value = 0;
	bool overflow = false;

	if (!rest.len)
		return err_new(0, "'%.*s' is not a number", (int)text.len, text.p);
	for (size_t i = 0; i < rest.len; i++) {
		unsigned int digit = config_digit(rest.p[i]);

		if (digit >= base)
			return err_new(0, "'%.*s' is not a number", (int)text.len, text.p);
		overflow |= mul_overflows(value, (uint64_t)base, &value);
		overflow |= add_overflows(value, (uint64_t)digit, &value);
	}
	if (overflow || (shift && value >> (64 - shift)))
		return err_new(0, "'%.*s' does not fit in 64 bits", (int)text.len, text.p);
	*ret_value = value << shift;
	return NULL;
}

/* ---- Compound values ---- */

/* Neither a struct nor a list: one value. */
static bool config_is_scalar(const struct config_field *field)
{
	return field->kind <= CONFIG_ENUM;
}

/* "key = (an object with an empty text)" leaves an optional key as it is. */
static struct err *config_parse_value(struct config_parse *parse, const struct config_field *field,
	struct config_span text, void *object)
{
	bool is_id = config_is_id(text);
	struct config_span value = text;
	struct err *err = config_resolve(parse, &value);

	if (!err && is_id && !value.len && config_is_scalar(field) && !field->required)
		return NULL;
	if (!err && !text.len && field->kind == CONFIG_STRUCT)
		err = err_new(0, "The value is empty");
	if (!err)
		err = config_parse_field(parse, field, text, object);
	if (!err)
		config_set_given(field, true, object);
	return err;
}

/* One "key=value". */
static struct err *config_parse_pair(struct config_parse *parse, struct config_scope *scope,
	struct config_span pair, void *object)
{
	struct config_span key = config_cut(&pair, '=');
	const struct config_field *field;
	struct err *err = config_resolve(parse, &key);

	if (err)
		return err;
	if (!key.len)
		return err_new(0, "A key is missing");
	field = config_find(scope->schema, key.p, key.len);
	if (!field)
		return pair.p ? config_unknown_key(scope, key) : config_not_a_pair(scope, key);
	if (!pair.p)
		return config_no_value(field);
	err = config_mark(scope->schema, field, &scope->seen);
	if (err)
		return err;
	err = config_parse_value(parse, field, pair, object);
	return err_wrap(err, "Bad value of '%s'", field->name);
}

/* The field that a first item without a key is for, or NULL. */
static const struct config_field *config_leading(const struct config_struct *schema)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		if (f->leads)
			return f;
	}
	return NULL;
}

static struct err *config_parse_struct(struct config_parse *parse, struct config_scope scope,
	struct config_span text, void *object)
{
	struct config_span rest = text;
	struct config_span lead = config_cut(&rest, ',');
	const struct config_field *leading = config_leading(scope.schema);

	if (leading && lead.len && !config_has(lead, '=') &&
		!config_find(scope.schema, lead.p, lead.len)) {
		struct err *err = config_mark(scope.schema, leading, &scope.seen);

		if (!err)
			err = config_parse_value(parse, leading, lead, object);
		if (err)
			return err_wrap(err, "Bad value of '%s'", leading->name);
		text = rest;
	}
	while (text.p) {
		struct err *err = config_parse_pair(parse, &scope, config_cut(&text, ','), object);

		if (err)
			return err;
	}
	return config_check_required(scope.schema, scope.seen);
}

/* The keys of a variant; no text at all if only its name was given. */
static struct err *config_parse_variant(struct config_parse *parse,
	const struct config_union *variants, int which, struct config_span text, void *object)
{
	const struct config_variant *variant = &variants->variants[which];
	const struct config_scope scope = {.schema = variant->fields, .variants = variants};
	struct err *err = config_choose_variant(variants, which, object);

	if (err)
		return err;
	if (variant->fields)
		return config_parse_struct(parse, scope, text, object);
	if (text.p)
		return err_new(0, "'%s' takes no keys, but ',%.*s' follows", variant->name,
			(int)text.len, text.p);
	return NULL;
}

/* A text that is no struct stands for the one key that matters most. */
static struct err *config_parse_bare(struct config_parse *parse,
	const struct config_union *variants, struct config_span text, void *object)
{
	const struct config_struct *fields = config_default_fields(variants);
	const struct config_field *bare =
		config_find(fields, variants->bare_key, strlen(variants->bare_key));
	struct err *err = config_choose_variant(variants, variants->default_variant, object);
	uint64_t seen = 0;

	if (!err)
		err = config_mark(fields, bare, &seen);
	if (!err)
		err = config_parse_field(parse, bare, text, object);
	return err ? err : config_check_required(fields, seen);
}

static struct err *config_parse_union(struct config_parse *parse,
	const struct config_union *variants, struct config_span text, void *object)
{
	struct config_span rest = text;
	struct config_span name = config_cut(&rest, ',');
	int which = config_find_variant(variants, name.p, name.len);

	const struct config_struct *fields = config_default_fields(variants);

	if (!text.len)
		return err_new(0, "The value is empty");
	if (which >= 0)
		return config_parse_variant(parse, variants, which, rest, object);
	if (fields && config_has(name, '='))
		return config_parse_variant(
			parse, variants, variants->default_variant, text, object);
	if (fields && config_find(fields, name.p, name.len))
		return config_no_value(config_find(fields, name.p, name.len));
	if (variants->bare_key && name.len && !rest.p)
		return config_parse_bare(parse, variants, text, object);
	return config_unknown_kind(variants, name, rest);
}

static struct err *config_parse_item(struct config_parse *parse, const struct config_field *field,
	struct config_span text, void *object)
{
	void *item = NULL;
	struct err *err = config_list_grow(field, object, &item);

	return err ? err : config_parse_field(parse, field->item, text, item);
}

static struct err *config_parse_list(struct config_parse *parse, const struct config_field *field,
	struct config_span text, void *object)
{
	while (text.len) {
		struct err *err = config_parse_item(parse, field, config_cut(&text, ','), object);

		if (err)
			return err;
	}
	return NULL;
}

static struct err *config_parse_resolved(struct config_parse *parse,
	const struct config_field *field, struct config_span text, void *object)
{
	static const struct config_span nothing = {NULL, 0};
	void *slot = (char *)object + field->offset;
	uint64_t value = 0;
	struct err *err;

	switch (field->kind) {
	case CONFIG_BOOL:
		return config_set_bool(field, text.p, text.len, object);
	case CONFIG_UINT:
		err = config_parse_uint(text, &value);
		return err ? err : config_set_uint(field, value, object);
	case CONFIG_STRING:
		return config_set_string(field, text.p, text.len, object);
	case CONFIG_ENUM:
		return config_set_enum(field, text.p, text.len, object);
	case CONFIG_STRUCT:
		config_set_given(field, true, object);
		return config_parse_struct(parse, (struct config_scope){.schema = field->fields},
			text.len ? text : nothing, slot);
	case CONFIG_UNION:
		return config_parse_union(parse, field->variants, text, slot);
	case CONFIG_LIST:
		return config_parse_list(parse, field, text, object);
	case CONFIG_OBJECT:
		break;
	}
	return err_new(0, "'%s' has no place here", field->name);
}

/* A value whose own text may be the name of an object. */
static struct err *config_parse_field(struct config_parse *parse, const struct config_field *field,
	struct config_span text, void *object)
{
	struct err *err;

	if (parse->depth == CONFIG_DEPTH_MAX)
		return err_new(
			0, "Objects refer to each other more than %d deep", CONFIG_DEPTH_MAX);
	err = config_resolve(parse, &text);
	if (err)
		return err;
	parse->work += text.len + CONFIG_WORK_VALUE;
	if (parse->work > CONFIG_WORK_MAX)
		return err_new(E2BIG, "The objects hold too much");
	parse->depth++;
	err = config_parse_resolved(parse, field, text, object);
	parse->depth--;
	return err;
}

/* The text of an option. It starts with a key rather than being an object's name if it has '='. */
static struct err *config_parse_option(struct config_parse *parse, const struct config_field *field,
	struct config_span text, void *object)
{
	if (text.len > CONFIG_TEXT_MAX)
		return err_new(E2BIG, "%zu bytes are too many", text.len);
	if (field->kind == CONFIG_STRING || config_has(text, '=') || config_has(text, ','))
		return config_parse_resolved(parse, field, text, object);
	return config_parse_field(parse, field, text, object);
}

struct err *config_parse_text(const struct config_field *field,
	const struct config_objects *objects, const char *text, void *object)
{
	struct config_parse parse = {.objects = objects};

	return config_parse_option(&parse, field, (struct config_span){text, strlen(text)}, object);
}

struct err *config_list_append(const struct config_field *field,
	const struct config_objects *objects, const char *text, void *object)
{
	struct config_parse parse = {.objects = objects};
	void *item = NULL;
	struct err *err = config_list_grow(field, object, &item);

	return err ? err
		   : config_parse_option(
			     &parse, field->item, (struct config_span){text, strlen(text)}, item);
}
