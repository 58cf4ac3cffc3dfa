/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the kernel of an entry (kexec_file_load(2)) and starts it.
 */
#include "kexec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/alloc.h"

/* Half of the memory that is free: the kernel keeps a second copy of what it loads. */
static off_t kexec_room(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 0 : (off_t)((info.freeram + info.bufferram) / 2 * info.mem_unit);
}

static bool kexec_fail(const struct volume *volume, const char *path, const char *why)
{
	printf("cannot load %s of %s: %s\n", path, volume->name, why);
	return false;
}

/* Appends a part of a file to a descriptor. */
static bool kexec_append(
	const struct volume *volume, const char *path, const struct boot_part *part, int out)
{
	auto_close int in = volume_open(volume, path);
	off_t at = (off_t)part->offset;
	struct stat status;
	off_t left;

	if (in < 0 || fstat(in, &status))
		return kexec_fail(volume, path, strerror(in < 0 ? -in : errno));
	left = part->size ? (off_t)part->size : status.st_size;
	if (!S_ISREG(status.st_mode) || left > kexec_room())
		return kexec_fail(
			volume, path, "it is no file that fits into memory; give the machine more");
	while (left > 0) {
		ssize_t n = sendfile(out, in, &at, (size_t)left);

		if (n <= 0)
			return kexec_fail(
				volume, path, n ? strerror(errno) : "it is shorter than it says");
		left -= n;
	}
	return true;
}

/* Memory with a file's name; -1 after a line. */
static int kexec_memory(const char *what)
{
	int fd = memfd_create(what, MFD_CLOEXEC);

	if (fd < 0)
		printf("no memory for the %s: %s\n", what, strerror(errno));
	return fd;
}

/* The kernel of the entry: a file, or what a part of it holds, in memory; -1 after a line. */
static int kexec_kernel(const struct volume *volume, const struct boot_entry *entry)
{
	int fd;

	if (!entry->kernel_part.size) {
		fd = volume_open(volume, entry->kernel);
		if (fd < 0)
			kexec_fail(volume, entry->kernel, strerror(-fd));
		return fd;
	}
	fd = kexec_memory("kernel");
	if (fd >= 0 && !kexec_append(volume, entry->kernel, &entry->kernel_part, fd)) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Zeros up to a multiple of 4: only there the kernel takes a '0' for the start of an archive that
 * is not compressed (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
static bool kexec_pad(const struct volume *volume, const char *path, int out)
{
	static const char zeros[3];
	size_t n = (size_t)-lseek(out, 0, SEEK_CUR) % 4;

	return write(out, zeros, n) == (ssize_t)n || kexec_fail(volume, path, strerror(errno));
}

/* The initramfs files of the entry, one after the other, in memory; -1 after a line. */
static int kexec_initrd(const struct volume *volume, const struct boot_entry *entry)
{
	int fd = kexec_memory("initramfs");

	for (unsigned int i = 0; fd >= 0 && i < entry->n_initrds; i++) {
		if (!kexec_append(volume, entry->initrds[i], &entry->initrd_parts[i], fd) ||
			!kexec_pad(volume, entry->initrds[i], fd)) {
			close(fd);
			return -1;
		}
	}
	return fd;
}

/* A system that does not say where its console is would be silent: it gets this one's. */
static char *kexec_cmdline(const struct boot_entry *entry)
{
	bool has_console =
		!strncmp(entry->options, "console=", 8) || strstr(entry->options, " console=");
	char *cmdline = NULL;

	if (asprintf(&cmdline, "%s%s", entry->options, has_console ? "" : " console=ttyS0") < 0)
		return NULL;
	return cmdline;
}

bool kexec_load(const struct volumes *volumes, const struct boot_entry *entry)
{
	const struct volume *volume = volumes_of_entry(volumes, entry);
	auto_free char *cmdline = kexec_cmdline(entry);
	auto_close int kernel = -1;
	auto_close int initrd = -1;
	unsigned long flags = entry->n_initrds ? 0 : KEXEC_FILE_NO_INITRAMFS;

	if (!volume || !cmdline) {
		printf("no disk has the files of this entry: %s%s\n", entry->kernel,
			entry->n_initrds ? " and its initramfs" : "");
		return false;
	}
	kernel = kexec_kernel(volume, entry);
	if (kernel < 0)
		return false;
	if (entry->n_initrds && (initrd = kexec_initrd(volume, entry)) < 0)
		return false;
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(cmdline) + 1, cmdline, flags))
		return kexec_fail(volume, entry->kernel,
			errno == ENOEXEC ? "it is no kernel that this one can start"
					 : strerror(errno));
	printf("%s of %s: %s\n", entry->kernel, volume->name, cmdline);
	return true;
}

void kexec_start(void)
{
	(void)fflush(stdout);
	sync();
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	printf("the kernel was not started: %s\n", strerror(errno));
}
