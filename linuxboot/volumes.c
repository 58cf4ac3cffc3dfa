/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file systems of all disks, and their files.
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

/* A configuration that is larger is none. */
#define VOLUME_FILE_MAX (256U << 10)

#define VOLUMES_WAIT_MS 3000
#define VOLUMES_POLL_MS 100

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

char *volume_read(const struct volume *volume, const char *path, size_t *ret_len)
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
