/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration described once: each struct has one const table of fields, from which come the
 * parser of command line text, the parser of JSON, and the help.
 *
 * The grammar of text:
 *
 *     struct := key '=' value (',' key '=' value)*
 *     union  := [variant ','] struct | variant          the default variant's name may be left out
 *     list   := item (',' item)* [',']
 *
 * A value ends at ',' or at the end; there are no quotes. A value, list item or key that starts
 * with "id_" stands for the text of the object of that name, which is how a value with commas, or a
 * nested struct of several keys, is written. Booleans are on, off, true and false. Numbers are
 * decimal, 0x, 0o or 0b, and may end in one of k, m, g, t (2^10 .. 2^40) in either case.
 *
 * Everything that is not understood is an error that names the key. Objects that refer to each
 * other are followed CONFIG_DEPTH_MAX deep. All functions [any].
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

#define CONFIG_DEPTH_MAX 16
#define CONFIG_ITEMS_MAX 1024

enum config_kind {
	CONFIG_BOOL,   /* bool */
	CONFIG_UINT,   /* uint8_t .. uint64_t, by width */
	CONFIG_STRING, /* char *, owned; NULL when not given */
	CONFIG_ENUM,   /* an enum (int); choices are its names in order, from 0 */
	CONFIG_STRUCT, /* embedded */
	CONFIG_UNION,  /* embedded: an enum at union's tag_offset, each variant's struct at its
			  offset */
	CONFIG_LIST,   /* pointer to items at offset, size_t count at count_offset */
};

struct config_field {
	const char *name;
	const char *alias; /* another spelling, or NULL */
	enum config_kind kind;
	bool required;
	char letter;   /* short option, for options of a command; 0: none */
	uint8_t width; /* CONFIG_UINT: bytes */
	size_t offset;
	size_t count_offset;                 /* CONFIG_LIST */
	uint64_t min, max;                   /* CONFIG_UINT; max 0: the width's */
	const char *def;                     /* default as text, or NULL for zero */
	const char *const *choices;          /* CONFIG_ENUM; NULL-terminated */
	const struct config_struct *fields;  /* CONFIG_STRUCT */
	const struct config_union *variants; /* CONFIG_UNION */
	const struct config_field *item;     /* CONFIG_LIST: type of the items; offset is 0 */
	size_t item_size;                    /* CONFIG_LIST */
	const char *instead_of; /* this is a legacy spelling for the option of that name */
	const char *meta;       /* what the value is called in help: "PATH" */
	const char *help;
};

struct config_struct {
	const struct config_field *fields; /* ends with name == NULL */
};

struct config_variant {
	const char *name;
	const char *alias;
	const struct config_struct *fields; /* NULL: a unit variant */
	const char *help;
};

struct config_union {
	const struct config_variant
		*variants; /* in the order of the tag's enum; ends with name == NULL */
	size_t tag_offset;
	int default_variant;  /* chosen when no name is given; -1: none */
	const char *bare_key; /* a text without ',' and '=' is this key's value in the default
				 variant; or NULL */
};

/* Named texts: `-o id_name,TEXT`. */
struct config_objects {
	struct config_object *first;
};

/* Adds "id_name,TEXT"; an error if the name is bad or taken. */
struct err *must_check config_objects_add(struct config_objects *objects, const char *text);
void config_objects_deinit(struct config_objects *objects);

/* Writes every default into a zeroed object. */
struct err *must_check config_defaults(const struct config_struct *schema, void *object);
/* Frees all strings and lists that an object owns; it may be half filled. */
void config_deinit(const struct config_struct *schema, void *object);

/*
 * Parses text as the value of one field of `object`, whose defaults are in place. A list option
 * adds its text as one more item.
 */
struct err *must_check config_parse_text(const struct config_field *field,
	const struct config_objects *objects, const char *text, void *object);
/* One more item at the end of a list field. */
struct err *must_check config_list_append(const struct config_field *field,
	const struct config_objects *objects, const char *text, void *object);

/* Parses a JSON object with the fields of the struct as members. Unions are objects with a member
 * "kind". */
struct err *must_check config_parse_json(
	const struct config_struct *schema, const char *json, void *object);

/* The field of that name or alias (len characters), or NULL. */
const struct config_field *config_find(
	const struct config_struct *schema, const char *name, size_t len);
/* The known name that looks most like `name`, or NULL if none is near. */
const char *config_nearest(const struct config_struct *schema, const char *name, size_t len);

/* Describes what a field's value is made of for people: one "* key=<type>, help [default: x]" a
 * line, indented. */
void config_describe_value(
	const struct config_field *field, struct strbuf *out, unsigned int indent);

/* ---- For the two parsers ---- */

struct err *must_check config_set_bool(
	const struct config_field *field, const char *text, size_t len, void *object);
struct err *must_check config_set_uint(
	const struct config_field *field, uint64_t value, void *object);
struct err *must_check config_set_enum(
	const struct config_field *field, const char *text, size_t len, void *object);
struct err *must_check config_set_string(
	const struct config_field *field, const char *text, size_t len, void *object);
/* Room for one more zeroed item with defaults; NULL and *ret_err when that fails. */
void *must_check config_list_grow(
	const struct config_field *field, void *object, struct err **ret_err);
int config_find_variant(const struct config_union *variants, const char *name, size_t len);
