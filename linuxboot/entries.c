/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot entries that the disks' file systems have: those of GRUB's configurations, loader
 * entries and unified kernels; and which of them is the default.
 */
#include "volumes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bls.h"
#include "grub.h"
#include "grubenv.h"
#include "uki.h"

#define VOLUME_CONFS_MAX 512

static void volume_load_env(
	const struct volume *volume, const char *folder, bool may_choose, struct vars *vars)
{
	char path[64];
	size_t len = 0;
	auto_free char *text = NULL;

	(void)snprintf(path, sizeof(path), "%s/grubenv", folder);
	text = volume_read(volume, path, &len);
	if (text)
		vars_load_env(vars, text, len);
	/* For one start only. */
	if (vars_get(vars, "next_entry")[0] && !(may_choose && grubenv_forget_next(volume, path)))
		vars_set(vars, "next_entry", "");
}

/* As grub_parse(). */
static int volume_grub(
	const struct volume *volume, bool may_choose, struct vars *vars, struct boot_menu *menu)
{
	static const char *const folders[] = {"/boot/grub", "/boot/grub2", "/grub", "/grub2"};

	for (unsigned int i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char path[64];
		size_t len = 0;
		auto_free char *text = NULL;

		(void)snprintf(path, sizeof(path), "%s/grub.cfg", folders[i]);
		text = volume_read(volume, path, &len);
		if (!text)
			continue;
		volume_load_env(volume, folders[i], may_choose, vars);
		return grub_parse(text, len, vars, menu);
	}
	return -1;
}

static bool volume_ends_with(const char *name, const char *end)
{
	size_t len = strlen(name);

	return len > strlen(end) && !strcmp(name + len - strlen(end), end);
}

static int volume_is_conf(const struct dirent *entry)
{
	return volume_ends_with(entry->d_name, ".conf");
}

static int volume_is_efi(const struct dirent *entry)
{
	return volume_ends_with(entry->d_name, ".efi");
}

static void volume_bls_file(const struct volume *volume, const char *path, const char *name,
	const struct vars *vars, struct boot_menu *menu)
{
	size_t len = 0;
	auto_free char *text = volume_read(volume, path, &len);

	if (text)
		bls_parse_entry(text, len, name, vars, menu);
}

/* A section that holds text, NUL-terminated and owned by the caller; NULL if it cannot be read. */
static char *volume_uki_text(int fd, const struct boot_part *part)
{
	auto_free char *text = part->size < UKI_TEXT_MAX ? calloc(1, part->size + 1) : NULL;

	if (!text || pread(fd, text, part->size, (off_t)part->offset) != (ssize_t)part->size)
		return NULL;
	return steal_ptr(&text);
}

static void volume_uki_file(const struct volume *volume, const char *path, struct boot_menu *menu)
{
	uint8_t headers[UKI_HEADERS_MAX];
	auto_close int fd = volume_open(volume, path);
	ssize_t len = fd < 0 ? -1 : pread(fd, headers, sizeof(headers), 0);
	struct uki_texts texts = {0};
	struct uki uki;

	if (len <= 0 || !uki_parse(headers, (size_t)len, &uki)) {
		printf("%s: %s is no unified kernel image\n", volume->name, path);
		return;
	}
	texts.cmdline = volume_uki_text(fd, &uki.cmdline);
	texts.uname = volume_uki_text(fd, &uki.uname);
	texts.osrel = volume_uki_text(fd, &uki.osrel);
	if (texts.cmdline && texts.uname && texts.osrel)
		uki_add_entry(&uki, &texts, path, menu);
	else
		printf("%s: the text in %s cannot be read, or is too long\n", volume->name, path);
	free(texts.cmdline);
	free(texts.uname);
	free(texts.osrel);
}

/* The entries of a folder: files with a configuration, or images. */
static void volume_folder(const struct volume *volume, const char *folder, bool images,
	const struct vars *vars, struct boot_menu *menu)
{
	auto_close int fd = volume_open(volume, folder);
	char path[64];
	struct dirent **list;
	int n;

	if (fd < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = scandir(path, &list, images ? volume_is_efi : volume_is_conf, alphasort);
	for (int i = 0; i < n; i++) {
		auto_free char *file = NULL;

		if (i >= VOLUME_CONFS_MAX || asprintf(&file, "%s/%s", folder, list[i]->d_name) < 0)
			file = NULL;
		else if (images)
			volume_uki_file(volume, file, menu);
		else
			volume_bls_file(volume, file, list[i]->d_name, vars, menu);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

/* The entry that a setting names; -1, after a line where it names one that is not there. */
static int volume_find(const struct volume *volume, const struct boot_menu *menu,
	unsigned int first, const char *name)
{
	int found = boot_menu_find(menu, first, name);

	if (found < 0 && name[0] && first < menu->n) {
		printf("%s: none of its entries is the default '", volume->name);
		boot_print(name);
		printf("'\n");
	}
	return found;
}

/*
 * The default in loader.conf, owned by the caller; NULL if there is none. systemd-boot has that
 * file on the EFI system partition, also for entries on the disk's other boot partition.
 */
static char *volume_pattern(const struct volumes *volumes, const struct volume *own)
{
	size_t len = 0;
	auto_free char *text = volume_read(own, "/loader/loader.conf", &len);

	for (unsigned int i = 0; !text && i < volumes->n; i++) {
		const struct volume *volume = &volumes->list[i];

		if (volume != own && !strcmp(volume->disk, own->disk))
			text = volume_read(volume, "/loader/loader.conf", &len);
	}
	return text ? bls_parse_default(text, len) : NULL;
}

/*
 * The default of a volume's entries, of which GRUB's begin at `first` and loader entries at
 * `bls_first`; -1 if it says none that exists.
 */
static int volume_default(const struct volumes *volumes, const struct volume *volume,
	const struct vars *vars, const struct boot_menu *menu, unsigned int first,
	unsigned int bls_first)
{
	auto_free char *pattern = bls_first < menu->n ? volume_pattern(volumes, volume) : NULL;
	const char *name = vars_get(vars, "default");
	const char *saved = vars_get(vars, "saved_entry");
	int found = volume_find(volume, menu, first, name);

	if (found < 0 && strcmp(name, saved))
		found = volume_find(volume, menu, first, saved);
	return found < 0 && pattern ? volume_find(volume, menu, bls_first, pattern) : found;
}

/*
 * Adds the entries of one volume, and gives the index of the one that it chooses or -1.
 * `may_choose`: its choice counts.
 */
static int volume_find_entries(
	const struct volumes *volumes, unsigned int index, bool may_choose, struct boot_menu *menu)
{
	const struct volume *volume = &volumes->list[index];
	struct vars *vars = new0(struct vars);
	unsigned int first = menu->n;
	unsigned int bls_first;
	int bls_at;
	int found;

	if (!vars)
		return -1;
	bls_at = volume_grub(volume, may_choose, vars, menu);
	bls_first = menu->n;
	volume_folder(volume, "/loader/entries", false, vars, menu);
	volume_folder(volume, "/boot/loader/entries", false, vars, menu);
	volume_folder(volume, "/EFI/Linux", true, vars, menu);
	bls_sort(menu, bls_first);
	if (bls_at >= 0)
		bls_number(menu, first, bls_first, (unsigned int)bls_at);
	for (unsigned int i = first; i < menu->n; i++)
		menu->entries[i]->volume = index;
	found = may_choose ? volume_default(volumes, volume, vars, menu, first, bls_first) : -1;
	vars_deinit(vars);
	free(vars);
	/* GRUB's choice is its first entry where nothing else is. */
	return found < 0 && bls_first > first ? (int)first : found;
}

void volumes_find_entries(
	const struct volumes *volumes, struct boot_menu *menu, unsigned int *ret_default)
{
	const char *disk = NULL; /* the first with entries: one of its volumes chooses */
	int chosen = -1;

	for (unsigned int i = 0; i < volumes->n; i++) {
		const struct volume *volume = &volumes->list[i];
		bool may_choose = chosen < 0 && (!disk || !strcmp(volume->disk, disk));
		unsigned int before = menu->n;
		int found = volume_find_entries(volumes, i, may_choose, menu);

		if (menu->n == before)
			printf("%s: %s without boot entries\n", volume->name, volume->fs.type);
		else if (!disk)
			disk = volume->disk;
		if (may_choose)
			chosen = found;
	}
	*ret_default = chosen < 0 ? 0 : (unsigned int)chosen;
}
