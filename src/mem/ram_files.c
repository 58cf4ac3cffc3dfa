/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of files that lie over RAM (ram_map_file()), in private anonymous memory. Forgetting them
 * as RAM is forgotten would bring the file's content back, where the guest may count on zeros; so
 * they are replaced. Each piece costs the process mappings, of which it has a limited number, and
 * the guest chooses the pieces: there are never more than the table has room for.
 */
#include "mem/ram_internal.h"

#include "base/alloc.h"

bool ram_files_add(struct ram *ram, uint8_t *hva, uint64_t len)
{
	if (!ram->files)
		ram->files = new0(struct ram_files);
	if (!ram->files || ram->files->n == RAM_FILES_MAX)
		return false;
	ram->files->at[ram->files->n++] = (struct ram_file){.hva = hva, .len = len};
	return true;
}

bool ram_files_find(const struct ram *ram, uint8_t **at, uint64_t *len)
{
	uint8_t *end = *at + *len;
	const struct ram_file *first = NULL;

	for (size_t i = 0; ram->files && i < ram->files->n; i++) {
		const struct ram_file *file = &ram->files->at[i];

		if (file->hva < end && *at < file->hva + file->len &&
			(!first || file->hva < first->hva))
			first = file;
	}
	if (!first)
		return false;
	*at = MAX(*at, first->hva);
	*len = (uint64_t)(MIN(end, first->hva + first->len) - *at);
	return true;
}

/* The one that holds the piece. */
static struct ram_file *ram_files_of(struct ram_files *files, const uint8_t *at)
{
	struct ram_file *file = files->at;

	while (at < file->hva || at >= file->hva + file->len)
		file++;
	return file;
}

bool ram_files_drop(const struct ram *ram, uint8_t *at, uint64_t len)
{
	struct ram_files *files = ram->files;
	struct ram_file *file = ram_files_of(files, at);
	struct ram_file after = {.hva = at + len};
	uint64_t before = (uint64_t)(at - file->hva);

	after.len = file->len - before - len;
	if ((before && after.len && files->n == RAM_FILES_MAX) ||
		!ram_backing_map_zeros(&ram->options, at, len))
		return false;
	if (before && after.len)
		files->at[files->n++] = after;
	if (before)
		file->len = before;
	else if (after.len)
		*file = after;
	else
		*file = files->at[--files->n];
	return true;
}
