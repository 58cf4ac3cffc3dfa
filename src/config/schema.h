/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration described once: each struct has one const table of fields, from which come the
 * parser of command line text, the parser and the printer of JSON, the help and the manual page.
 *
 * The grammar of text:
 *
 *     struct := [key '=' value (',' key '=' value)*]      some take a first value without its key
 *     union  := [variant ','] struct | variant          the default variant's name may be left out
 *     list   := [item (',' item)* [',']]
 *
 * A value ends at ',' or at the end; there are no quotes. A value, list item or key that starts
 * with "id_" stands for the text of the object of that name, which is how a value with commas, or a
 * nested struct of several keys, is written; an object with an empty text as the value of an
 * optional key means that the key is not given. Booleans are on, off, true and false. Numbers are
 * decimal, 0x, 0o or 0b, and may end in one of k, m, g, t (2^10 .. 2^40) in either case.
 *
 * The value of an option is such a text, but a string takes all of it as it is: commas, "id_" and
 * all.
 *
 * Everything that is not understood is an error that names the key. Objects that refer to each
 * other are followed CONFIG_DEPTH_MAX deep. All functions [any].
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

#define CONFIG_DEPTH_MAX  16
#define CONFIG_ITEMS_MAX  1024
#define CONFIG_FIELDS_MAX 64     /* of one struct */
#define CONFIG_TEXT_MAX   MIB(1) /* bytes of one option's value, or of a JSON text */

enum config_kind {
	CONFIG_BOOL,   /* bool */
	CONFIG_UINT,   /* uint8_t .. uint64_t, by width */
	CONFIG_STRING, /* char *, owned; NULL when not given */
	CONFIG_ENUM,   /* an enum (int); choices are its values in order, from 0 */
	CONFIG_STRUCT, /* embedded */
	CONFIG_UNION,  /* embedded: an enum at union's tag_offset, each variant's struct at its
			  offset */
	CONFIG_LIST,   /* pointer to items at offset, size_t count at count_offset */
	CONFIG_OBJECT, /* an option that names a text: nothing is stored in the struct */
};

/* One value of an enum. */
struct config_choice {
	const char *name;
	const char *alias; /* another spelling, or NULL */
};

struct config_field {
	const char *name;
	const char *alias; /* another spelling, or NULL */
	enum config_kind kind;
	bool required;
	bool leads;    /* a first item without '=' is this field's value */
	bool filled;   /* CONFIG_STRING: an empty text is an error */
	char letter;   /* short option, for options of a command; 0: none */
	uint8_t width; /* CONFIG_UINT: bytes */
	size_t offset;
	size_t count_offset;                 /* CONFIG_LIST */
	uint64_t min, max;                   /* CONFIG_UINT; max 0: the width's */
	const char *def;                     /* default as text, or NULL for zero */
	const struct config_choice *choices; /* CONFIG_ENUM; ends with name == NULL */
	const struct config_struct *fields;  /* CONFIG_STRUCT */
	size_t given_offset; /* of a bool that tells whether it was given: in text or JSON
				(CONFIG_STRUCT; as an option it may come without a value if no field
				is required), or in text (others). 0: none */
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

/* Named texts: `-o id_name,TEXT`. Zero-initialised. */
struct config_objects {
	struct config_object *first;
};

/* Adds "id_name,TEXT"; an error if the name is bad or taken. */
struct err *must_check config_objects_add(struct config_objects *objects, const char *text);
/* An error if no value has used one of them. */
struct err *must_check config_objects_check(const struct config_objects *objects);
void config_objects_deinit(struct config_objects *objects);

/* Writes every default into a zeroed object. */
struct err *must_check config_defaults(const struct config_struct *schema, void *object);
/* Frees all strings and lists that an object owns; it may be half filled. */
void config_deinit(const struct config_struct *schema, void *object);

/* The field of that name or alias (len characters), or NULL. */
const struct config_field *config_find(
	const struct config_struct *schema, const char *name, size_t len);
/* Notes that a struct with given_offset is there, or is not. */
void config_set_given(const struct config_field *field, bool given, void *object);
/* May an option of a command come without a value? */
bool config_is_switch(const struct config_field *field);

/* A search for the known name that looks most like one that is not known. */
struct config_near {
	const char *name; /* len characters */
	size_t len;
	const char *best; /* NULL: none is near */
	unsigned int distance;
};
/* Keeps the candidate if it is the nearest so far; NULL is none. */
void config_near_try(struct config_near *near, const char *candidate);

/*
 * Parses text as the value of one field of `object`, whose defaults are in place. `objects` may be
 * NULL: none.
 */
struct err *must_check config_parse_text(const struct config_field *field,
	const struct config_objects *objects, const char *text, void *object);
/* One more item at the end of a list field. */
struct err *must_check config_list_append(const struct config_field *field,
	const struct config_objects *objects, const char *text, void *object);

/* ---- Options of a command: the fields of a struct, one at a time ---- */

/* The option of that name, alias or one-letter name, without dashes; NULL: unknown. */
const struct config_field *config_option_find(const struct config_struct *schema, const char *name);

/*
 * One option; `value` NULL for one that takes none. `seen` has a bit for each field and starts as
 * 0: an option that is no list and comes again is an error. Objects must come before the options
 * that use them; `objects` may be NULL if the schema has none. Errors name the option.
 */
struct err *must_check config_option_set(const struct config_struct *schema,
	struct config_objects *objects, uint64_t *seen, const char *name, const char *value,
	void *object);

/* ---- JSON ---- */

/*
 * Parses a JSON object with the fields of the struct as members, whose defaults are in place.
 * Unions are objects with a member "kind", or just its name; numbers may be strings with the units
 * of the command line. `seen` as above: what was given before, by either way, is an error.
 */
struct err *must_check config_parse_json(
	const struct config_struct *schema, uint64_t *seen, const char *json, void *object);
/*
 * The object as JSON that config_parse_json() makes the same object of; strings that are NULL are
 * left out. The caller frees *ret_json. An error if a string is not UTF-8, as JSON must be.
 */
struct err *must_check config_print_json(
	const struct config_struct *schema, const void *object, char **ret_json);

/* ---- Help ---- */

/* "<path>", "anon|memfd": what a field's value looks like. */
void config_describe_type(const struct config_field *field, struct strbuf *out);
/* What a field is for, with "(also alias)", "[required]" or "[default: x]"; `dashes` are those of
 * an option's name. */
void config_describe_help(const struct config_field *field, const char *dashes, struct strbuf *out);
/* What a variant is, with "(also alias)" and "[default]". */
void config_describe_variant(const struct config_union *variants, int which, struct strbuf *out);
/* Words in lines that are not too long, indented. */
void config_describe_wrapped(const char *text, struct strbuf *out, unsigned int indent);
/* Describes what a field's value is made of for people: "* key=<type>, help [default: x]",
 * indented. */
void config_describe_value(
	const struct config_field *field, struct strbuf *out, unsigned int indent);

/* ---- For the parsers ---- */

/* The value of a hexadecimal digit; 16 if it is none. */
unsigned int config_digit(char c);
/* Notes that a field was given; an error if it was before. */
struct err *must_check config_mark(
	const struct config_struct *schema, const struct config_field *field, uint64_t *seen);
/* An error if a required field was not given. */
struct err *must_check config_check_required(const struct config_struct *schema, uint64_t seen);
/* An error about a name that is none of the schema's, with the one that is nearest. `what` is "key"
 * or the like. */
struct err *must_check config_unknown_name(
	const struct config_struct *schema, const char *what, const char *name, size_t len);
struct err *must_check config_set_bool(
	const struct config_field *field, const char *text, size_t len, void *object);
struct err *must_check config_set_uint(
	const struct config_field *field, uint64_t value, void *object);
struct err *must_check config_set_enum(
	const struct config_field *field, const char *text, size_t len, void *object);
struct err *must_check config_set_string(
	const struct config_field *field, const char *text, size_t len, void *object);
/* Room for one more item, defaults in place. */
struct err *must_check config_list_grow(
	const struct config_field *field, void *object, void **ret_item);
/* The variant of that name or alias, or -1. */
int config_find_variant(const struct config_union *variants, const char *name, size_t len);
struct err *must_check config_unknown_variant(
	const struct config_union *variants, const char *name, size_t len);
/* The choice of that name or alias, or -1. */
int config_find_choice(const struct config_choice *choices, const char *name, size_t len);
/* Makes a union that variant, defaults in place. */
struct err *must_check config_choose_variant(
	const struct config_union *variants, int which, void *object);
