/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables of a boot loader's configuration.
 */
#include "vars.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"

void vars_deinit(struct vars *vars)
{
	for (unsigned int i = 0; i < vars->n; i++) {
		free(vars->list[i].name);
		free(vars->list[i].value);
	}
	vars->n = 0;
}

static void vars_replace(struct vars *vars, unsigned int index, char *value)
{
	free(vars->list[index].value);
	vars->list[index].value = value;
}

void vars_set(struct vars *vars, const char *name, const char *value)
{
	auto_free char *copy = strdup(value);
	char *own_name;

	if (!copy || strlen(value) > VARS_VALUE_MAX)
		return;
	for (unsigned int i = 0; i < vars->n; i++) {
		if (!strcmp(vars->list[i].name, name)) {
			vars_replace(vars, i, steal_ptr(&copy));
			return;
		}
	}
	if (vars->n == VARS_MAX || !(own_name = strdup(name)))
		return;
	vars->list[vars->n].name = own_name;
	vars->list[vars->n++].value = steal_ptr(&copy);
}

const char *vars_get(const struct vars *vars, const char *name)
{
	for (unsigned int i = 0; i < vars->n; i++) {
		if (!strcmp(vars->list[i].name, name))
			return vars->list[i].value;
	}
	return "";
}

/* One line of an environment block, without its end. */
static void vars_load_line(struct vars *vars, const char *line, size_t len)
{
	auto_strbuf struct strbuf value = STRBUF_INIT(VARS_VALUE_MAX);
	auto_free char *name = NULL;
	const char *equals = memchr(line, '=', len);

	if (!equals || line[0] == '#')
		return;
	name = strndup(line, (size_t)(equals - line));
	for (const char *p = equals + 1; p < line + len; p++) {
		if (*p == '\\' && p + 1 < line + len)
			p++;
		strbuf_append(&value, p, 1);
	}
	if (name && !value.failed)
		vars_set(vars, name, strbuf_text(&value));
}

void vars_load_env(struct vars *vars, const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		vars_load_line(vars, text, line);
		len -= end ? line + 1 : line;
		text += end ? line + 1 : line;
	}
}

bool vars_remove_env(char *block, size_t len, const char *name)
{
	static const char header[] = "# GRUB Environment Block\n";
	size_t name_len = strlen(name);
	char *end = block + len;
	bool found = false;

	if (len < sizeof(header) - 1 || memcmp(block, header, sizeof(header) - 1))
		return false;
	for (char *line = block; line < end;) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		char *next = newline ? newline + 1 : end;

		if ((size_t)(next - line) <= name_len || memcmp(line, name, name_len) ||
			line[name_len] != '=') {
			line = next;
			continue;
		}
		memmove(line, next, (size_t)(end - next));
		memset(end - (next - line), '#', (size_t)(next - line));
		found = true;
	}
	return found;
}
