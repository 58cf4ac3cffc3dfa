/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's words in GRUB's script language, with quotations and variables resolved. All
 * functions [any]; a text is read by one thread.
 */
#pragma once

#include <stdbool.h>

#include "vars.h"

#define GRUB_WORDS_MAX 128
#define GRUB_WORD_MAX  4096 /* bytes */

struct grub_words {
	const char *p; /* what is still to be read */
	const char *end;
	const struct vars *vars;
	char *list[GRUB_WORDS_MAX]; /* of the command that was read last; owned */
	unsigned int n;
	bool too_long; /* one of them, which is not in the list */
};

/* What ended a command: its line, a brace of its own, the text. */
enum grub_end { GRUB_END_COMMAND, GRUB_END_OPEN, GRUB_END_CLOSE, GRUB_END_TEXT };

/* Reads the next command. Words beyond the limit are dropped. */
enum grub_end grub_words_next(struct grub_words *w);

/* Frees the words. */
void grub_words_drop(struct grub_words *w);
