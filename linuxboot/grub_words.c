/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's words in GRUB's script language.
 */
#include "grub_words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"

static bool grub_is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* After a '$': the value of the variable goes into the word. */
static void grub_expand(struct grub_words *w, struct strbuf *word)
{
	bool braces = w->p < w->end && *w->p == '{';
	auto_free char *name = NULL;
	const char *start;

	if (braces)
		w->p++;
	start = w->p;
	while (w->p < w->end && grub_is_name(*w->p))
		w->p++;
	if (w->p == start && w->p < w->end && !braces && strchr("?#@*", *w->p))
		w->p++;
	name = strndup(start, (size_t)(w->p - start));
	if (braces && w->p < w->end && *w->p == '}')
		w->p++;
	if (name)
		strbuf_puts(word, vars_get(w->vars, name));
}

static void grub_single_quoted(struct grub_words *w, struct strbuf *word)
{
	const char *start = w->p;
	const char *quote = memchr(start, '\'', (size_t)(w->end - start));

	w->p = quote ? quote : w->end;
	strbuf_append(word, start, (size_t)(w->p - start));
	if (quote)
		w->p++;
}

static void grub_double_quoted(struct grub_words *w, struct strbuf *word)
{
	while (w->p < w->end && *w->p != '"') {
		char c = *w->p++;

		if (c == '$') {
			grub_expand(w, word);
			continue;
		}
		if (c == '\\' && w->p < w->end && strchr("\"\\$", *w->p))
			c = *w->p++;
		strbuf_append(word, &c, 1);
	}
	if (w->p < w->end)
		w->p++;
}

static bool grub_ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';';
}

/* One part of a word: a quotation, an expansion or a character. true if it was quoted. */
static bool grub_word_part(struct grub_words *w, struct strbuf *word)
{
	char c = *w->p++;

	switch (c) {
	case '\'':
		grub_single_quoted(w, word);
		return true;
	case '"':
		grub_double_quoted(w, word);
		return true;
	case '$':
		grub_expand(w, word);
		return false;
	case '\\':
		if (w->p < w->end && *w->p != '\n')
			strbuf_append(word, w->p, 1);
		if (w->p < w->end)
			w->p++;
		return true;
	default:
		strbuf_append(word, &c, 1);
		return false;
	}
}

/* The word at p. A word of nothing but empty variables is none; *ret_plain: nothing was quoted. */
static char *grub_word(struct grub_words *w, bool *ret_plain)
{
	auto_strbuf struct strbuf word = STRBUF_INIT(GRUB_WORD_MAX);
	bool quoted = false;

	while (w->p < w->end && !grub_ends_word(*w->p))
		quoted |= grub_word_part(w, &word);
	*ret_plain = !quoted;
	if (word.failed) {
		w->too_long = true;
		return NULL;
	}
	if (!word.len)
		return quoted ? strdup("") : NULL;
	return strbuf_steal(&word);
}

static void grub_skip_blanks(struct grub_words *w)
{
	while (w->p < w->end) {
		if (*w->p == ' ' || *w->p == '\t' || *w->p == '\r')
			w->p++;
		else if (*w->p == '#')
			while (w->p < w->end && *w->p != '\n')
				w->p++;
		else if (*w->p == '\\' && w->end - w->p > 1 && w->p[1] == '\n')
			w->p += 2;
		else
			return;
	}
}

void grub_words_drop(struct grub_words *w)
{
	while (w->n)
		free(w->list[--w->n]);
	w->too_long = false;
}

enum grub_end grub_words_next(struct grub_words *w)
{
	grub_words_drop(w);
	for (;;) {
		auto_free char *word = NULL;
		bool plain;

		grub_skip_blanks(w);
		if (w->p == w->end)
			return GRUB_END_TEXT;
		if (*w->p == '\n' || *w->p == ';') {
			w->p++;
			return GRUB_END_COMMAND;
		}
		word = grub_word(w, &plain);
		if (!word)
			continue;
		if (plain && !strcmp(word, "{"))
			return GRUB_END_OPEN;
		if (plain && !strcmp(word, "}"))
			return GRUB_END_CLOSE;
		if (w->n < GRUB_WORDS_MAX)
			w->list[w->n++] = steal_ptr(&word);
	}
}
