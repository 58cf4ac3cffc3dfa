/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a command line, one option at a time: --name, --name=value, --name value, -n,
 * -nvalue, -n=value, -n value. [main]
 */
#pragma once

#include "config/schema.h"

#define CLI_NAME_SIZE 64

/* A walk over argv; `next` starts at the first word to look at. */
struct cli_args {
	int argc;
	char **argv;
	int next;
};

/* One option as it stands on the command line. */
struct cli_option {
	char name[CLI_NAME_SIZE]; /* without dashes; a longer one is cut, which no option is */
	const char *value;        /* joined to it, or NULL */
};

/* Takes the next option; false at the end and at a word that is no option, which stays. */
bool cli_args_next(struct cli_args *args, struct cli_option *ret_option);
/* The option's value: the joined one, or else the next word, which is taken; NULL at the end. */
const char *cli_args_value(struct cli_args *args, const struct cli_option *option);
/* The same of an option that may come without: the next word unless it is an option. */
const char *cli_args_optional_value(struct cli_args *args, const struct cli_option *option);
/* The word where cli_args_next() stopped; NULL at the end. */
const char *cli_args_rest(const struct cli_args *args);
/*
 * The same for an option of the schema (`field` NULL: for none of them), which tells whether it
 * takes a value. The next word is none if it is an option itself: such a value has to be joined.
 */
const char *cli_args_field_value(struct cli_args *args, const struct config_struct *schema,
	const struct config_field *field, const struct cli_option *option);
/* All options up to the first other word, into an object of the schema. */
struct err *must_check cli_args_parse(
	struct cli_args *args, const struct config_struct *schema, void *object);
