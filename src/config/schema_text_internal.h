/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser of command line text shares with the file that explains its errors. All functions
 * [any].
 */
#pragma once

#include "config/schema.h"

/* A stretch of text, not terminated; p NULL: nothing, which is less than an empty text. */
struct config_span {
	const char *p;
	size_t len;
};

/* Where the keys of a text are looked up. */
struct config_scope {
	const struct config_struct *schema;
	const struct config_union *variants; /* the schema is that of one of these; or NULL */
	uint64_t seen;                       /* a bit for each field */
};

struct err *must_check config_parse_uint(struct config_span text, uint64_t *ret_value);

/* The keys that may come without the name of a variant, or NULL. */
const struct config_struct *config_default_fields(const struct config_union *variants);

/* A key without '='. */
struct err *must_check config_no_value(const struct config_field *field);
/* A word that is neither a key nor key=value. */
struct err *must_check config_not_a_pair(const struct config_scope *scope, struct config_span word);
/* A key that may belong elsewhere. */
struct err *must_check config_unknown_key(const struct config_scope *scope, struct config_span key);
/* A first word that is no variant, and `rest` behind it. */
struct err *must_check config_unknown_kind(
	const struct config_union *variants, struct config_span name, struct config_span rest);
