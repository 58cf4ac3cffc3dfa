/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk offers to boot.
 */
#include "entry.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void boot_entry_free(struct boot_entry *entry)
{
	if (!entry)
		return;
	for (unsigned int i = 0; i < entry->n_initrds; i++)
		free(entry->initrds[i]);
	free(entry->title);
	free(entry->id);
	free(entry->position);
	free(entry->sort_key);
	free(entry->machine_id);
	free(entry->version);
	free(entry->kernel);
	free(entry->options);
	free(entry->fs_uuid);
	free(entry);
}

void boot_menu_deinit(struct boot_menu *menu)
{
	for (unsigned int i = 0; i < menu->n; i++)
		boot_entry_free(menu->entries[i]);
	menu->n = 0;
}

void boot_menu_add(struct boot_menu *menu, struct boot_entry *entry)
{
	if (!entry->title || !entry->kernel || !entry->kernel[0] || menu->n == BOOT_ENTRIES_MAX)
		boot_entry_free(entry);
	else
		menu->entries[menu->n++] = entry;
}

static bool boot_is_same(const char *name, const char *other)
{
	return other && !strcmp(name, other);
}

/* Length of a path's first name: "a>>b>c" begins with one that is "a>b". */
static size_t boot_level(const char *path)
{
	size_t len = 0;

	while (path[len] && (path[len] != '>' || path[len + 1] == '>'))
		len += path[len] == '>' ? 2 : 1;
	return len;
}

/* Takes the first name off a path; true if it is that of `len` bytes. */
static bool boot_take_level(const char **path, const char *name, size_t len)
{
	size_t own = *path ? boot_level(*path) : 0;
	bool same = len && own == len && !memcmp(*path, name, len);

	if (*path)
		*path += own + ((*path)[own] == '>');
	return same;
}

/* Level by level, as GRUB goes down its menus. */
static bool boot_is_at(const struct boot_entry *entry, const char *name)
{
	const char *position = entry->position;
	const char *id = entry->id;
	const char *title = entry->title;

	while (*name && position && *position) {
		size_t len = boot_level(name);
		bool same = boot_take_level(&position, name, len);

		same |= boot_take_level(&id, name, len);
		same |= boot_take_level(&title, name, len);
		if (!same)
			return false;
		name += len + (name[len] == '>');
	}
	return position && !*position && !*name;
}

static bool boot_is_meant(const struct boot_entry *entry, const char *name)
{
	if (!entry->is_file)
		return boot_is_at(entry, name);
	return boot_is_same(name, entry->position) || boot_is_same(name, entry->id) ||
	       boot_is_same(name, entry->title);
}

/* systemd-boot's patterns name files, which for a loader entry is its id with .conf. */
static bool boot_matches(const char *pattern, const struct boot_entry *entry)
{
	auto_free char *file = NULL;

	if (!entry->id || !entry->is_file)
		return false;
	if (!fnmatch(pattern, entry->id, 0))
		return true;
	/* An image's id has its ending. */
	return !entry->kernel_part.size && asprintf(&file, "%s.conf", entry->id) >= 0 &&
	       (boot_is_same(pattern, file) || !fnmatch(pattern, file, 0));
}

int boot_menu_find(const struct boot_menu *menu, unsigned int first, const char *name)
{
	if (!name[0])
		return -1;
	for (unsigned int i = first; i < menu->n; i++) {
		if (boot_is_meant(menu->entries[i], name))
			return (int)i;
	}
	for (unsigned int i = first; i < menu->n; i++) {
		if (boot_matches(name, menu->entries[i]))
			return (int)i;
	}
	return -1;
}

/* Characters of a counter at the end of a name: '+', tries left, and perhaps '-' and those done. */
static size_t boot_counter(const char *name, size_t len, bool *ret_spent)
{
	static const char digits[] = "0123456789";
	const char *plus = memrchr(name, '+', len);
	size_t left = plus ? strspn(plus + 1, digits) : 0;
	size_t n = 1 + left;
	size_t done;

	if (!left)
		return 0;
	if (plus[n] == '-') {
		done = strspn(plus + n + 1, digits);
		n += done ? 1 + done : 0;
	}
	if (plus + n != name + len)
		return 0;
	*ret_spent = strspn(plus + 1, "0") == left;
	return n;
}

char *boot_file_id(const char *name, const char *ending, const char *keep, bool *ret_spent)
{
	size_t len = strlen(name);
	char *id = NULL;

	if (len > strlen(ending) && !strcmp(name + len - strlen(ending), ending))
		len -= strlen(ending);
	*ret_spent = false;
	len -= boot_counter(name, len, ret_spent);
	return asprintf(&id, "%.*s%s", (int)len, name, keep) < 0 ? NULL : id;
}

void boot_print(const char *text)
{
	for (unsigned int i = 0; text[i] && i < 100; i++)
		putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
}
