/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file systems of all disks, mounted read-only under /volumes, and what is found in them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "entry.h"
#include "fs_identity.h"

#define VOLUMES_MAX 64

struct volume {
	char name[32]; /* of the block device */
	char disk[32]; /* of the disk that it is on */
	struct fs_identity fs;
	int root; /* descriptor of the mounted root */
};

struct volumes {
	struct volume list[VOLUMES_MAX];
	unsigned int n;
	int n_devices; /* that there were */
};

/* Finds and mounts them, in the order of their names; prints a line for each device that is of no
 * use. */
void volumes_mount(struct volumes *volumes);
/* Waits some seconds for devices other than those that were there, as some drivers find disks late;
 * false if there are none. */
bool volumes_await_others(const struct volumes *volumes);
void volumes_unmount(struct volumes *volumes);

/* entries.c: adds the boot entries of all volumes; *ret_default is the choice of the first disk
 * that has any, its first entry where nothing on it chooses. */
void volumes_find_entries(
	const struct volumes *volumes, struct boot_menu *menu, unsigned int *ret_default);

/*
 * Makes the device of a volume read-only, or as it was: a file system that is mounted read-only may
 * still write, such as ext4 the errors that it finds. Mounted volumes are protected.
 */
void volume_protect(const struct volume *volume, bool readonly);

/* Opens a file of a volume for reading; links and ".." do not lead out of it. -errno. */
int volume_open(const struct volume *volume, const char *path);

/* A whole small file, NUL-terminated and owned by the caller; NULL if it is not there or too large,
 * which is said. */
char *volume_read(const struct volume *volume, const char *path, size_t *ret_len);

/*
 * The volume with all files of an entry: the one that it names, else its own, else one of the same
 * disk, else any. NULL if there is none.
 */
const struct volume *volumes_of_entry(
	const struct volumes *volumes, const struct boot_entry *entry);
