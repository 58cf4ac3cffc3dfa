/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unified kernel images. Offsets: Microsoft's PE format specification.
 */
#include "uki.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/macros.h"

#define PE_AT          0x3c /* le32: where the PE header is */
#define PE_HEADER      24   /* signature and COFF header */
#define PE_SECTIONS    6    /* le16: how many */
#define PE_OPTIONAL    20   /* le16: bytes of the optional header */
#define PE_SECTION     40
#define SECTION_MEMORY 8  /* le32: bytes in memory */
#define SECTION_SIZE   16 /* le32: bytes in the file, which are rounded up */
#define SECTION_AT     20 /* le32: where they are */

static void uki_section(const uint8_t *header, struct uki *uki)
{
	const struct {
		char name[8];
		struct boot_part *part;
	} sections[] = {{".linux", &uki->kernel}, {".ucode", &uki->ucode},
		{".initrd", &uki->initrd}, {".cmdline", &uki->cmdline}, {".uname", &uki->uname},
		{".osrel", &uki->osrel}};

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		/* The first one counts: others belong to further profiles. */
		if (memcmp(header, sections[i].name, 8) || sections[i].part->size)
			continue;
		*sections[i].part = (struct boot_part){.offset = load_le32(header + SECTION_AT),
			.size = MIN(load_le32(header + SECTION_MEMORY),
				load_le32(header + SECTION_SIZE))};
	}
}

bool uki_parse(const void *headers, size_t len, struct uki *ret_uki)
{
	const uint8_t *bytes = headers;
	struct uki uki = {0};
	size_t at, n;

	if (len < PE_AT + 4 || memcmp(bytes, "MZ", 2))
		return false;
	at = load_le32(bytes + PE_AT);
	if (at > len || len - at < PE_HEADER || memcmp(bytes + at, "PE\0\0", 4))
		return false;
	n = load_le16(bytes + at + PE_SECTIONS);
	at += PE_HEADER + load_le16(bytes + at + PE_OPTIONAL);
	for (; n && at <= len && len - at >= PE_SECTION; n--, at += PE_SECTION)
		uki_section(bytes + at, &uki);
	*ret_uki = uki;
	return uki.kernel.size;
}

/* The value of a key ("ID=") of an os-release file, without its quotes; NULL without one. */
static char *uki_osrel(const char *osrel, const char *key)
{
	const char *value = strstr(osrel, key);
	size_t quoted, len;

	while (value && value != osrel && value[-1] != '\n')
		value = strstr(value + 1, key);
	if (!value)
		return NULL;
	value += strlen(key);
	quoted = *value == '"' || *value == '\'';
	len = strcspn(value + quoted, quoted ? "\"'\n" : "\n");
	return len ? strndup(value + quoted, len) : NULL;
}

/* Without the newline that often ends it. */
static char *uki_line(const char *text)
{
	size_t len = strlen(text);

	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	return strndup(text, len);
}

static bool uki_add_initrd(struct boot_entry *entry, const char *path, const struct boot_part *part)
{
	if (!part->size)
		return true;
	entry->initrds[entry->n_initrds] = strdup(path);
	entry->initrd_parts[entry->n_initrds] = *part;
	return entry->initrds[entry->n_initrds++];
}

void uki_add_entry(const struct uki *uki, const struct uki_texts *texts, const char *path,
	struct boot_menu *menu)
{
	struct boot_entry *entry = new0(struct boot_entry);
	const char *slash = strrchr(path, '/');
	bool whole;

	if (!entry)
		return;
	entry->is_file = true;
	entry->id = boot_file_id(slash ? slash + 1 : path, ".efi", ".efi", &entry->is_spent);
	entry->title = uki_osrel(texts->osrel, "PRETTY_NAME=");
	entry->sort_key = uki_osrel(texts->osrel, "IMAGE_ID=");
	if (!entry->sort_key)
		entry->sort_key = uki_osrel(texts->osrel, "ID=");
	if (!entry->title && entry->id)
		entry->title = strdup(entry->id);
	entry->version = uki_line(texts->uname);
	entry->options = uki_line(texts->cmdline);
	entry->kernel = strdup(path);
	entry->kernel_part = uki->kernel;
	whole = uki_add_initrd(entry, path, &uki->ucode);
	whole &= uki_add_initrd(entry, path, &uki->initrd);
	/* Without all of its options a system would start as something else. */
	if (!whole || !entry->id || !entry->options || strlen(entry->options) >= BOOT_OPTIONS_MAX)
		boot_entry_free(entry);
	else
		boot_menu_add(menu, entry);
}
