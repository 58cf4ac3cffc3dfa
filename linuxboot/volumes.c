/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file systems of all disks, and what is found in them.
 */
#include "volumes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bls.h"
#include "grub.h"
#include "grubenv.h"
#include "uki.h"

/* A configuration that is larger is none. */
#define VOLUME_FILE_MAX  (256U << 10)
#define VOLUME_CONFS_MAX 512

#define VOLUMES_WAIT_MS  3000
#define VOLUMES_POLL_MS  100

/* ---- Devices ---- */

static bool volume_is_candidate(const char *name)
{
	return name[0] != '.' && strncmp(name, "loop", 4) && strncmp(name, "ram", 3) &&
	       strncmp(name, "zram", 4);
}

static int volume_by_name(const struct dirent **a, const struct dirent **b)
{
	return strverscmp((*a)->d_name, (*b)->d_name);
}

static int volume_filter(const struct dirent *entry)
{
	return volume_is_candidate(entry->d_name);
}

/* The disk of a partition is the folder above it in sysfs: .../block/vda/vda1. */
static void volume_find_disk(struct volume *volume)
{
	char path[96];
	char target[512];
	ssize_t len;
	char *slash;

	(void)snprintf(path, sizeof(path), "/sys/class/block/%s/partition", volume->name);
	(void)snprintf(volume->disk, sizeof(volume->disk), "%s", volume->name);
	if (access(path, F_OK))
		return;
	(void)snprintf(path, sizeof(path), "/sys/class/block/%s", volume->name);
	len = readlink(path, target, sizeof(target) - 1);
	if (len <= 0)
		return;
	target[len] = 0;
	slash = strrchr(target, '/');
	if (!slash)
		return;
	*slash = 0;
	slash = strrchr(target, '/');
	if (slash)
		(void)snprintf(volume->disk, sizeof(volume->disk), "%.31s", slash + 1);
}

/* Whether the kernel found partitions on this device. */
static bool volume_has_partitions(const char *name)
{
	char path[96];
	struct dirent **list;
	bool found = false;
	int n;

	(void)snprintf(path, sizeof(path), "/sys/class/block/%s", name);
	n = scandir(path, &list, NULL, NULL);
	for (int i = 0; i < n; i++) {
		found |= !strncmp(list[i]->d_name, name, strlen(name));
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return found;
}

void volume_protect(const struct volume *volume, bool readonly)
{
	char device[64];
	auto_close int fd = -1;
	int value = readonly;

	(void)snprintf(device, sizeof(device), "/dev/%s", volume->name);
	fd = open(device, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)ioctl(fd, BLKROSET, &value);
}

static bool volume_mount(struct volume *volume, const char *device)
{
	char where[64];

	volume_protect(volume, true);
	(void)snprintf(where, sizeof(where), "/volumes/%s", volume->name);
	if ((mkdir(where, 0700) && errno != EEXIST) ||
		mount(device, where, volume->fs.type, MS_RDONLY | MS_NODEV | MS_NOEXEC | MS_NOSUID,
			volume->fs.options)) {
		printf("%s: cannot mount its %s: %s\n", volume->name, volume->fs.type,
			strerror(errno));
		volume_protect(volume, false);
		return false;
	}
	volume->root = open(where, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return volume->root >= 0;
}

/* A device becomes a volume, or a line tells why not. */
static bool volume_probe(struct volume *volume, const char *name)
{
	uint8_t start[FS_IDENTITY_BYTES];
	char device[64];
	auto_close int fd = -1;
	ssize_t len;

	*volume = (struct volume){.root = -1};
	(void)snprintf(volume->name, sizeof(volume->name), "%.31s", name);
	volume_find_disk(volume);
	if (volume_has_partitions(name))
		return false;
	(void)snprintf(device, sizeof(device), "/dev/%s", volume->name);
	fd = open(device, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : pread(fd, start, sizeof(start), 0);
	if (len < 0) {
		printf("%s: cannot be read: %s\n", volume->name, strerror(errno));
		return false;
	}
	if (!fs_identify(start, (size_t)len, &volume->fs)) {
		printf("%s: no %s\n", volume->name,
			strcmp(volume->name, volume->disk)
				? "file system that this loader reads"
				: "partition table, and no file system that this loader reads");
		return false;
	}
	return volume_mount(volume, device);
}

void volumes_mount(struct volumes *volumes)
{
	struct dirent **list;
	int n = scandir("/sys/class/block", &list, volume_filter, volume_by_name);

	volumes->n = 0;
	volumes->n_devices = n;
	if (n <= 0)
		printf("no disk\n");
	for (int i = 0; i < n; i++) {
		if (volumes->n == VOLUMES_MAX)
			printf("%s: not looked at, after %d file systems\n", list[i]->d_name,
				VOLUMES_MAX);
		else if (volume_probe(&volumes->list[volumes->n], list[i]->d_name))
			volumes->n++;
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static int volumes_count_devices(void)
{
	struct dirent **list;
	int n = scandir("/sys/class/block", &list, volume_filter, NULL);

	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
	return n;
}

bool volumes_await_others(const struct volumes *volumes)
{
	for (int i = 0; i < VOLUMES_WAIT_MS; i += VOLUMES_POLL_MS) {
		if (volumes_count_devices() != volumes->n_devices)
			return true;
		(void)poll(NULL, 0, VOLUMES_POLL_MS);
	}
	return false;
}

void volumes_unmount(struct volumes *volumes)
{
	for (unsigned int i = 0; i < volumes->n; i++) {
		char where[64];

		close(volumes->list[i].root);
		(void)snprintf(where, sizeof(where), "/volumes/%s", volumes->list[i].name);
		(void)umount2(where, MNT_DETACH);
		volume_protect(&volumes->list[i], false);
	}
	volumes->n = 0;
}

/* ---- Files ---- */

int volume_open(const struct volume *volume, const char *path)
{
	/* Not blocking: a name may lead to a pipe. */
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_IN_ROOT};
	long fd = syscall(SYS_openat2, volume->root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* A whole small file, NUL-terminated and owned by the caller; NULL if it is not there or too large.
 */
static char *volume_read(const struct volume *volume, const char *path, size_t *ret_len)
{
	auto_close int fd = volume_open(volume, path);
	auto_free char *text = malloc(VOLUME_FILE_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (fd < 0 || !text)
		return NULL;
	while ((n = read(fd, text + len, VOLUME_FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0 || len > VOLUME_FILE_MAX) {
		printf("%s: cannot read %s: %s\n", volume->name, path,
			n < 0 ? strerror(errno) : "it is too large");
		return NULL;
	}
	text[len] = 0;
	*ret_len = len;
	return steal_ptr(&text);
}

static bool volume_has(const struct volume *volume, const char *path)
{
	struct stat status;
	auto_close int fd = volume_open(volume, path);

	return fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode);
}

static bool volume_has_entry(const struct volume *volume, const struct boot_entry *entry)
{
	for (unsigned int i = 0; i < entry->n_initrds; i++) {
		if (!volume_has(volume, entry->initrds[i]))
			return false;
	}
	return volume_has(volume, entry->kernel);
}

const struct volume *volumes_of_entry(const struct volumes *volumes, const struct boot_entry *entry)
{
	const struct volume *own = &volumes->list[entry->volume];
	const struct volume *best = NULL;
	int best_rank = 0;

	for (unsigned int i = 0; i < volumes->n; i++) {
		const struct volume *volume = &volumes->list[i];
		bool named = entry->fs_uuid && !strcasecmp(entry->fs_uuid, volume->fs.uuid);
		int rank = 1 + !strcmp(volume->disk, own->disk) + (volume == own) * 2 + named * 4;

		if (rank > best_rank && volume_has_entry(volume, entry)) {
			best = volume;
			best_rank = rank;
		}
	}
	return best;
}

/* ---- Configurations ---- */

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
