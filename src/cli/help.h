/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--help` and the manual pages, made from the tables that the parser uses. [main]
 */
#pragma once

#include "config/schema.h"

/* Every option of a command: names, values, what they are for. */
void cli_describe_options(const struct config_struct *schema, struct strbuf *out);

void cli_main_help(struct strbuf *out);
void cli_boot_help(struct strbuf *out);
void cli_check_help(struct strbuf *out);

/* Prose that the help and the manual page share: one paragraph each, without line ends. */
extern const char cli_help_values[];
extern const char cli_help_signals[];

/* The manual pages alioth(1) and alioth-boot(1) as roff with the man macros. */
void cli_main_man(struct strbuf *out);
void cli_boot_man(struct strbuf *out);
