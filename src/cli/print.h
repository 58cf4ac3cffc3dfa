/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program says on standard output and standard error. [main]
 */
#pragma once

#include "alioth.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "config/schema.h"

/* One line on standard error, with a hint; returns CLI_USAGE. `command` is "" or "boot". */
int cli_usage_error(const char *command, const char *fmt, ...) printf_like(2, 3);
/* The chain as such a line, outermost first; frees it. */
int cli_usage_err(const char *command, struct err *err);
int cli_usage_alioth_error(const char *command, struct alioth_error *error);

/* A word that is neither an option of the schema nor a value. */
int cli_usage_unexpected(const char *command, const struct config_struct *schema, const char *word);

/*
 * Prints the chain in one line, from what failed to the cause, and frees it; `places`: also a frame
 * a line, with the places in the source. Returns the status given.
 */
int cli_print_error(struct alioth_error *error, bool places, int status);

/* The texts of a chain, outermost first. */
void cli_join_err(const struct err *err, struct strbuf *out);

/* The text on standard output; CLI_OK, or CLI_FAILED after saying why that did not work. */
int cli_print(const struct strbuf *text);

/* Turns control characters, which a terminal would obey, into question marks; `keep` stays. */
void cli_make_printable(char *text, char keep);
