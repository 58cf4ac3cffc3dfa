/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the entries of a grub.cfg.
 *
 * The text is read a command at a time: its words, and what ended it. A stack of blocks says where
 * a command stands: in a branch of an if that is taken or not, in a menu, in an entry, or in
 * something that is read over.
 */
#include "grub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "grub_words.h"

enum grub_block_kind { GRUB_IF, GRUB_MENU, GRUB_ENTRY, GRUB_SKIPPED };

struct grub_block {
	enum grub_block_kind kind;
	bool active;          /* commands in it count */
	bool taken;           /* GRUB_IF: a branch was, so that no other will be */
	unsigned int n_items; /* GRUB_MENU: entries and menus so far */
	char *title;          /* GRUB_MENU, NULL at the top */
	char *id;
	char *position;
};

struct grub {
	struct grub_words words; /* of the current command */
	struct vars *vars;
	struct boot_menu *menu;
	struct grub_block blocks[GRUB_DEPTH_MAX];
	unsigned int depth; /* blocks in use; the first is the menu at the top */
	unsigned int lost;  /* blocks open beyond those */
	struct boot_entry *entry;
	char *top_uuid; /* of a search outside entries */
	int bls_at;     /* entries of the top menu before loader entries, -1: there are none */
};

/* ---- Blocks ---- */

static struct grub_block *grub_top(struct grub *g)
{
	return &g->blocks[g->depth - 1];
}

/* The innermost menu: the first block is one. */
static struct grub_block *grub_menu(struct grub *g)
{
	unsigned int i = g->depth - 1;

	while (i && g->blocks[i].kind != GRUB_MENU)
		i--;
	return &g->blocks[i];
}

/* A block inside the current one; false, and counted as lost, where there are too many. */
static bool grub_push(struct grub *g, enum grub_block_kind kind, bool active)
{
	if (g->depth == GRUB_DEPTH_MAX) {
		g->lost++;
		return false;
	}
	g->blocks[g->depth++] = (struct grub_block){.kind = kind, .active = active};
	return true;
}

static void grub_pop(struct grub *g)
{
	struct grub_block *block = grub_top(g);

	if (block->kind == GRUB_ENTRY && g->entry)
		boot_menu_add(g->menu, steal_ptr(&g->entry));
	free(block->title);
	free(block->id);
	free(block->position);
	g->depth--;
}

/* ---- Conditions ---- */

static bool grub_test(char *const *word, unsigned int n)
{
	if (n == 1)
		return word[0][0];
	if (n == 2 && !strcmp(word[0], "-n"))
		return word[1][0];
	if (n == 2 && !strcmp(word[0], "-z"))
		return !word[1][0];
	if (n == 3 && (!strcmp(word[1], "=") || !strcmp(word[1], "==")))
		return !strcmp(word[0], word[2]);
	if (n == 3 && !strcmp(word[1], "!="))
		return strcmp(word[0], word[2]);
	return false;
}

/* `[ ... ]` with string tests joined by -a and -o from left to right; whatever else is false. */
static bool grub_condition(char *const *word, unsigned int n)
{
	unsigned int start = 1;
	bool value = false;
	bool and = false;

	if (n && !strcmp(word[0], "true"))
		return true;
	if (n < 2 || strcmp(word[0], "[") || strcmp(word[n - 1], "]"))
		return false;
	for (unsigned int i = 1; i < n; i++) {
		bool is_and = !strcmp(word[i], "-a");

		if (i != n - 1 && !is_and && strcmp(word[i], "-o"))
			continue;
		value = and? value && grub_test(word + start, i - start)
			   : value || grub_test(word + start, i - start);
		and = is_and;
		start = i + 1;
	}
	return value;
}

static bool grub_parent_active(struct grub *g)
{
	return g->depth < 2 || g->blocks[g->depth - 2].active;
}

/* The keywords of if; true if this command was one, with nothing left of it to run. */
static bool grub_if_keyword(struct grub *g)
{
	const char *word = g->words.list[0];
	struct grub_block *top = grub_top(g);

	if (!strcmp(word, "if")) {
		bool value = top->active && grub_condition(g->words.list + 1, g->words.n - 1);

		if (grub_push(g, GRUB_IF, value))
			grub_top(g)->taken = value;
		return true;
	}
	if (!strcmp(word, "fi") && g->lost) {
		g->lost--;
		return true;
	}
	if (top->kind != GRUB_IF || g->lost)
		return false;
	if (!strcmp(word, "fi")) {
		grub_pop(g);
		return true;
	}
	if (strcmp(word, "elif") && strcmp(word, "else"))
		return false;
	top->active = !top->taken && grub_parent_active(g) &&
		      (word[2] == 's' || grub_condition(g->words.list + 1, g->words.n - 1));
	top->taken |= top->active;
	return word[2] == 'i';
}

/* ---- Commands ---- */

static void grub_assign(struct grub *g, const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	auto_free char *name = equals ? strndup(assignment, (size_t)(equals - assignment)) : NULL;

	if (name)
		vars_set(g->vars, name, equals + 1);
}

static char *grub_join(char *const *word, unsigned int n, const char *between, size_t max)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(max);

	for (unsigned int i = 0; i < n; i++) {
		strbuf_puts(&text, i ? between : "");
		strbuf_puts(&text, word[i]);
	}
	if (text.failed)
		return NULL;
	return text.len ? strbuf_steal(&text) : strdup("");
}

static void grub_replace(char **field, char *value)
{
	free(*field);
	*field = value;
}

/* A device before a path, "(hd0,gpt2)/boot/vmlinuz", is not known here: the path is. */
static const char *grub_path(const char *path)
{
	const char *after = path[0] == '(' ? strchr(path, ')') : NULL;

	return after ? after + 1 : path;
}

static void grub_linux(struct grub *g)
{
	char *options;

	if (g->words.n < 2)
		return;
	options = grub_join(g->words.list + 2, g->words.n - 2, " ", BOOT_OPTIONS_MAX - 1);
	/* Without all of its options a system would start as something else: no kernel, no entry.
	 */
	grub_replace(&g->entry->kernel,
		options && !g->words.too_long ? strdup(grub_path(g->words.list[1])) : NULL);
	grub_replace(&g->entry->options, options);
}

static void grub_initrd(struct grub *g)
{
	struct boot_entry *entry = g->entry;

	while (entry->n_initrds)
		free(entry->initrds[--entry->n_initrds]);
	for (unsigned int i = 1; i < g->words.n && entry->n_initrds < BOOT_INITRDS_MAX; i++) {
		char *path = strdup(grub_path(g->words.list[i]));

		if (path)
			entry->initrds[entry->n_initrds++] = path;
	}
}

/* `search --fs-uuid --set=root ... UUID`, `search.fs_uuid UUID root`: the last word but options. */
static void grub_search(struct grub *g)
{
	bool by_uuid = !strcmp(g->words.list[0], "search.fs_uuid");
	const char *uuid = NULL;

	for (unsigned int i = 1; i < g->words.n; i++) {
		const char *word = g->words.list[i];

		if (!strcmp(word, "--fs-uuid") || !strcmp(word, "-u"))
			by_uuid = true;
		else if (word[0] != '-' && (!uuid || strncmp(g->words.list[0], "search.", 7)))
			uuid = word;
	}
	if (by_uuid && uuid)
		grub_replace(g->entry ? &g->entry->fs_uuid : &g->top_uuid, strdup(uuid));
}

static void grub_run(struct grub *g)
{
	const char *name = g->words.list[0];

	if (!strcmp(name, "set")) {
		if (g->words.n > 1)
			grub_assign(g, g->words.list[1]);
	} else if (!strcmp(name, "search") || !strcmp(name, "search.fs_uuid")) {
		grub_search(g);
	} else if (g->entry && (!strcmp(name, "linux") || !strcmp(name, "linux16") ||
				       !strcmp(name, "linuxefi"))) {
		grub_linux(g);
	} else if (g->entry && (!strcmp(name, "initrd") || !strcmp(name, "initrd16") ||
				       !strcmp(name, "initrdefi"))) {
		grub_initrd(g);
	} else if (g->words.n == 1 && strchr(name, '=')) {
		grub_assign(g, name);
	} else if (!strcmp(name, "blscfg") && !g->entry && g->bls_at < 0) {
		g->bls_at = (int)g->blocks[0].n_items;
	}
}

/* ---- Menus and entries ---- */

/* A name below that of its menu, owned by the caller; NULL if that fails. */
static char *grub_below(const char *parent, const char *name)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(GRUB_DEPTH_MAX * 2 * (GRUB_WORD_MAX + 1));

	if (parent) {
		strbuf_puts(&text, parent);
		strbuf_puts(&text, ">");
	}
	for (; *name; name++) {
		strbuf_puts(&text, *name == '>' ? ">" : "");
		strbuf_append(&text, name, 1);
	}
	if (text.failed)
		return NULL;
	return text.len ? strbuf_steal(&text) : strdup("");
}

/* The title is the first word that is no option. */
static const char *grub_title(struct grub *g)
{
	for (unsigned int i = 1; i < g->words.n; i++) {
		if (g->words.list[i][0] != '-')
			return g->words.list[i];
		if (!strchr(g->words.list[i], '=') && strcmp(g->words.list[i], "--unrestricted"))
			i++;
	}
	return "";
}

/* The value of --id, in either form; the title is one too. */
static const char *grub_id(struct grub *g)
{
	for (unsigned int i = 1; i < g->words.n; i++) {
		if (!strncmp(g->words.list[i], "--id=", 5))
			return g->words.list[i] + 5;
		if (!strcmp(g->words.list[i], "--id") && i + 1 < g->words.n)
			return g->words.list[i + 1];
	}
	return grub_title(g);
}

/* menuentry or submenu, whose block has just been opened. */
static void grub_open_item(struct grub *g, bool is_menu)
{
	struct grub_block *menu = grub_menu(g);
	struct grub_block *block;
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", menu->n_items++);
	if (!grub_push(g, is_menu ? GRUB_MENU : GRUB_ENTRY, true))
		return;
	block = grub_top(g);
	block->title = grub_below(menu->title, grub_title(g));
	block->id = grub_below(menu->id, grub_id(g));
	block->position = grub_below(menu->position, number);
	if (is_menu)
		return;
	g->entry = calloc(1, sizeof(*g->entry));
	if (!g->entry)
		return;
	g->entry->title = steal_ptr(&block->title);
	g->entry->id = steal_ptr(&block->id);
	g->entry->position = steal_ptr(&block->position);
	if (g->top_uuid)
		g->entry->fs_uuid = strdup(g->top_uuid);
}

static void grub_open(struct grub *g)
{
	const char *name = g->words.n ? g->words.list[0] : "";
	bool is_menu = !strcmp(name, "submenu");

	if (g->lost || !grub_top(g)->active || g->entry || (!is_menu && strcmp(name, "menuentry")))
		grub_push(g, GRUB_SKIPPED, false);
	else
		grub_open_item(g, is_menu);
}

/* Closes the innermost block in braces, with the ifs in it that have no end. */
static void grub_close(struct grub *g)
{
	if (g->lost) {
		g->lost--;
		return;
	}
	for (unsigned int i = g->depth; i > 1; i--) {
		if (g->blocks[i - 1].kind == GRUB_IF)
			continue;
		while (g->depth >= i)
			grub_pop(g);
		return;
	}
}

/* Takes away a keyword that stands before a command in the same line; false if there is none. */
static bool grub_drop_keyword(struct grub *g)
{
	static const char *const keywords[] = {"then", "else", "do", "!"};
	struct grub_words *words = &g->words;

	for (unsigned int i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (strcmp(words->list[0], keywords[i]))
			continue;
		free(words->list[0]);
		words->n--;
		memmove(words->list, words->list + 1, words->n * sizeof(words->list[0]));
		return true;
	}
	return false;
}

/* A command may have several keywords in front of it: "else if x", "then menuentry x {". */
static void grub_handle(struct grub *g, enum grub_end end)
{
	bool more = true;

	while (more && g->words.n) {
		if (grub_if_keyword(g))
			grub_words_drop(&g->words);
		else
			more = grub_drop_keyword(g);
	}
	if (end == GRUB_END_OPEN)
		grub_open(g);
	else if (g->words.n && !g->lost && grub_top(g)->active)
		grub_run(g);
	if (end == GRUB_END_CLOSE)
		grub_close(g);
}

int grub_parse(const char *text, size_t len, struct vars *vars, struct boot_menu *menu)
{
	struct grub *g = calloc(1, sizeof(*g));
	enum grub_end end;
	int bls_at;

	if (!g)
		return -1;
	*g = (struct grub){.words = {.p = text, .end = text + len, .vars = vars},
		.vars = vars,
		.menu = menu,
		.bls_at = -1};
	vars_set(vars, "grub_platform", "efi");
	vars_set(vars, "grub_cpu", "x86_64");
	vars_set(vars, "feature_menuentry_id", "y");
	vars_set(vars, "feature_platform_search_hint", "y");
	vars_set(vars, "feature_timeout_style", "y");
	grub_push(g, GRUB_MENU, true);
	do {
		end = grub_words_next(&g->words);
		grub_handle(g, end);
	} while (end != GRUB_END_TEXT);
	/* An entry whose end is missing is not whole. */
	boot_entry_free(g->entry);
	g->entry = NULL;
	while (g->depth)
		grub_pop(g);
	grub_words_drop(&g->words);
	free(g->top_uuid);
	bls_at = g->bls_at;
	free(g);
	return bls_at;
}
