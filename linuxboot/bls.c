/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of the Boot Loader Specification.
 */
#include "bls.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"

struct bls_line {
	const char *key;
	size_t key_len;
	const char *value;
	size_t value_len;
};

static bool bls_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next line of key and value from the text; false at its end. Others are empty. */
static bool bls_next(const char **text, size_t *len, struct bls_line *ret_line)
{
	const char *p = *text;
	const char *newline = memchr(p, '\n', *len);
	const char *end = newline ? newline : p + *len;

	if (!*len)
		return false;
	*len -= (size_t)(end - p) + (newline ? 1 : 0);
	*text = newline ? newline + 1 : end;
	while (p < end && bls_is_blank(*p))
		p++;
	while (end > p && bls_is_blank(end[-1]))
		end--;
	*ret_line = (struct bls_line){.key = p};
	if (p < end && *p == '#')
		return true;
	while (p < end && !bls_is_blank(*p))
		p++;
	ret_line->key_len = (size_t)(p - ret_line->key);
	while (p < end && bls_is_blank(*p))
		p++;
	ret_line->value = p;
	ret_line->value_len = (size_t)(end - p);
	return true;
}

static bool bls_is(const struct bls_line *line, const char *key)
{
	return line->key_len == strlen(key) && !memcmp(line->key, key, line->key_len);
}

static void bls_replace(char **field, const struct bls_line *line)
{
	free(*field);
	*field = strndup(line->value, line->value_len);
}

/* Text with $name replaced by GRUB's variables. */
static void bls_expand(struct strbuf *sb, const char *text, size_t len, const struct vars *vars)
{
	const char *end = text + len;

	while (text < end) {
		auto_free char *name = NULL;
		const char *start = text + 1;

		if (*text != '$') {
			strbuf_append(sb, text++, 1);
			continue;
		}
		for (text = start; text < end && (isalnum((unsigned char)*text) || *text == '_');)
			text++;
		name = strndup(start, (size_t)(text - start));
		strbuf_puts(sb, name ? vars_get(vars, name) : "");
	}
}

/* Words of an initrd line: the specification has one, Fedora adds a variable that is often empty.
 */
static void bls_initrds(
	struct boot_entry *entry, const struct bls_line *line, const struct vars *vars)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(VARS_VALUE_MAX);
	char *rest = NULL;

	bls_expand(&text, line->value, line->value_len, vars);
	if (!text.data || text.failed)
		return;
	for (char *word = strtok_r(text.data, " \t", &rest);
		word && entry->n_initrds < BOOT_INITRDS_MAX; word = strtok_r(NULL, " \t", &rest)) {
		char *path = strdup(word);

		if (path)
			entry->initrds[entry->n_initrds++] = path;
	}
}

static void bls_entry_line(struct boot_entry *entry, const struct bls_line *line,
	const struct vars *vars, struct strbuf *options)
{
	if (bls_is(line, "title")) {
		bls_replace(&entry->title, line);
	} else if (bls_is(line, "version")) {
		bls_replace(&entry->version, line);
	} else if (bls_is(line, "sort-key")) {
		bls_replace(&entry->sort_key, line);
	} else if (bls_is(line, "machine-id")) {
		bls_replace(&entry->machine_id, line);
	} else if (bls_is(line, "linux")) {
		bls_replace(&entry->kernel, line);
	} else if (bls_is(line, "initrd")) {
		bls_initrds(entry, line, vars);
	} else if (bls_is(line, "options")) {
		strbuf_puts(options, options->len ? " " : "");
		bls_expand(options, line->value, line->value_len, vars);
	}
}

void bls_parse_entry(const char *text, size_t len, const char *name, const struct vars *vars,
	struct boot_menu *menu)
{
	auto_strbuf struct strbuf options = STRBUF_INIT(BOOT_OPTIONS_MAX - 1);
	struct boot_entry *entry = new0(struct boot_entry);
	struct bls_line line;

	if (!entry)
		return;
	while (bls_next(&text, &len, &line))
		bls_entry_line(entry, &line, vars, &options);
	entry->is_file = true;
	entry->id = boot_file_id(name, ".conf", "", &entry->is_spent);
	if (!entry->title && entry->id)
		entry->title = strdup(entry->id);
	entry->options = strdup(strbuf_text(&options));
	/* Without all of its options a system would start as something else. */
	if (options.failed || !entry->id || !entry->options)
		boot_entry_free(entry);
	else
		boot_menu_add(menu, entry);
}

char *bls_parse_default(const char *text, size_t len)
{
	struct bls_line line;

	while (bls_next(&text, &len, &line)) {
		if (bls_is(&line, "default") && line.value_len)
			return strndup(line.value, line.value_len);
	}
	return NULL;
}

static const char *bls_text(const char *text)
{
	return text ? text : "";
}

/* Only what has a sort key has one of systems. */
static int bls_compare_systems(const struct boot_entry *a, const struct boot_entry *b)
{
	int order = !a->sort_key - !b->sort_key;

	if (!order && a->sort_key && b->sort_key)
		order = strcmp(a->sort_key, b->sort_key);
	if (!order && a->sort_key)
		order = strcmp(bls_text(a->machine_id), bls_text(b->machine_id));
	return order;
}

static int bls_compare(const void *left, const void *right)
{
	const struct boot_entry *a = *(struct boot_entry *const *)left;
	const struct boot_entry *b = *(struct boot_entry *const *)right;
	int order = a->is_spent - b->is_spent;

	if (!order)
		order = bls_compare_systems(a, b);
	if (!order)
		order = strverscmp(bls_text(b->version), bls_text(a->version));
	return order ? order : strverscmp(b->id, a->id);
}

void bls_sort(struct boot_menu *menu, unsigned int first)
{
	qsort(menu->entries + first, menu->n - first, sizeof(struct boot_entry *), bls_compare);
}

/* A position that is `by` further on in the top menu, or the entry's first one. */
static void bls_move(struct boot_entry *entry, unsigned long by)
{
	char *rest = NULL;
	unsigned long number = entry->position ? strtoul(entry->position, &rest, 10) : 0;
	char *position = NULL;

	if (asprintf(&position, "%lu%s", number + by, rest ? rest : "") < 0)
		return;
	free(entry->position);
	entry->position = position;
}

void bls_number(struct boot_menu *menu, unsigned int first, unsigned int bls_first, unsigned int at)
{
	unsigned int n = 0;

	for (unsigned int i = bls_first; i < menu->n; i++) {
		/* GRUB has no unified images in its menus. */
		if (!menu->entries[i]->kernel_part.size)
			bls_move(menu->entries[i], at + n++);
	}
	for (unsigned int i = first; i < bls_first; i++) {
		const char *position = menu->entries[i]->position;

		if (position && strtoul(position, NULL, 10) >= at)
			bls_move(menu->entries[i], n);
	}
}
