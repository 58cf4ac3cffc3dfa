/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk offers to boot. Parsers add entries to a menu, which has room for so many and no
 * more. All functions [any]; a menu belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BOOT_ENTRIES_MAX 128
#define BOOT_INITRDS_MAX 8
/* Longest command line of x86 Linux (COMMAND_LINE_SIZE). */
#define BOOT_OPTIONS_MAX 2048

/* Bytes of a file; size 0: all of it. */
struct boot_part {
	uint64_t offset;
	uint64_t size;
};

struct boot_entry {
	/* In GRUB's menus all three with those above, as its "default" has them ("Advanced
	 * options>Linux 6.1"): a '>' in a name is doubled. */
	char *title;
	char *id;       /* GRUB's --id or the title; of a loader entry the file's, without .conf */
	char *position; /* a number for each level; NULL where GRUB does not count it */
	bool is_file;   /* a loader entry or an image: in no menu of grub.cfg */
	/* Of a loader entry, for sorting; or NULL. */
	char *sort_key;
	char *machine_id;
	char *version;
	bool is_spent; /* its tries to start were counted, and none is left */
	char *kernel;  /* path in a file system */
	struct boot_part kernel_part;
	char *initrds[BOOT_INITRDS_MAX];
	struct boot_part initrd_parts[BOOT_INITRDS_MAX];
	unsigned int n_initrds;
	char *options;
	char *fs_uuid; /* of the file system that the paths are in; NULL: that of the configuration
			*/
	unsigned int volume; /* for the program: where the configuration was found */
};

struct boot_menu {
	struct boot_entry *entries[BOOT_ENTRIES_MAX];
	unsigned int n;
};

void boot_entry_free(struct boot_entry *entry);
void boot_menu_deinit(struct boot_menu *menu);

/* Takes entry, which is freed where it has no kernel or title, or there is no room for it. */
void boot_menu_add(struct boot_menu *menu, struct boot_entry *entry);

/*
 * The entry from index `first` on that `name` means: a position, an id or a title, in GRUB's menus
 * any of them for each level ("1>Linux 6.1"); a shell pattern of an id, with or without .conf
 * (systemd-boot's default); -1 if there is none. An empty name means nothing.
 */
int boot_menu_find(const struct boot_menu *menu, unsigned int first, const char *name);

/*
 * The name of a loader entry's file without its ending and, before that, systemd-boot's counter of
 * tries ("+3", "+2-1"), then `keep`; owned by the caller. *ret_spent: no try is left.
 */
char *boot_file_id(const char *name, const char *ending, const char *keep, bool *ret_spent);

/* Text of a disk on the console: its beginning, without what a terminal would obey. */
void boot_print(const char *text);
