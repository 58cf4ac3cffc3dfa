/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's kernel: memory, devices for guests, confidential computing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "check/check_internal.h"

bool check_read_line(const char *path, char *buf, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return false;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

static uint64_t check_read_number(const char *path)
{
	char line[32];

	return check_read_line(path, line, sizeof(line)) ? strtoull(line, NULL, 10) : 0;
}

/* The word in brackets: "always [madvise] never". */
static void check_thp(struct check_report *report)
{
	char line[64] = "";
	char *start;

	if (!check_read_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof(line))) {
		check_add_text(report, "memory", "transparent_hugepages", "no");
		return;
	}
	start = strchr(line, '[');
	start = start ? start + 1 : line;
	start[strcspn(start, "]")] = '\0';
	check_add_text(report, "memory", "transparent_hugepages", start);
}

static void check_hugepages(
	struct check_report *report, const char *name, const char *free_name, unsigned int kib)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB/nr_hugepages", kib);
	if (access(path, R_OK)) {
		check_add_bool(report, "memory", name, false);
		check_note(report, "the kernel has no pages of this size");
		return;
	}
	check_add_number(report, "memory", name, check_read_number(path));
	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB/free_hugepages", kib);
	check_add_number(report, "memory", free_name, check_read_number(path));
}

void check_memory(struct check_report *report)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	check_add_number(
		report, "memory", "total_mib", (uint64_t)sysconf(_SC_PHYS_PAGES) * page >> 20);
	check_add_number(
		report, "memory", "free_mib", (uint64_t)sysconf(_SC_AVPHYS_PAGES) * page >> 20);
	check_thp(report);
	check_hugepages(report, "hugepages_2m", "hugepages_2m_free", 2048);
	check_hugepages(report, "hugepages_1g", "hugepages_1g_free", 1048576);
}

/* What to do about a device that cannot be opened. */
static const char *check_advice(int error)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return "the kernel module is not loaded";
	case EACCES:
	case EPERM:
		return "this user may not open it";
	default:
		return err_strerror(error);
	}
}

static void check_device(
	struct check_report *report, const char *group, const char *name, const char *path)
{
	auto_close int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int error = errno;

	check_add_bool(report, group, name, fd >= 0);
	if (fd < 0)
		check_note(report, "%s: %s", path, check_advice(error));
}

static uint64_t check_count_entries(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	uint64_t n = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

void check_devices(struct check_report *report)
{
	check_device(report, "devices", "vhost_net", "/dev/vhost-net");
	check_device(report, "devices", "vhost_vsock", "/dev/vhost-vsock");
	check_device(report, "devices", "tap", "/dev/net/tun");
	check_device(report, "devices", "vfio", "/dev/vfio/vfio");
	check_device(report, "devices", "iommufd", "/dev/iommu");
	check_add_number(
		report, "devices", "iommu_groups", check_count_entries("/sys/kernel/iommu_groups"));
	check_add_number(report, "devices", "vfio_cdevs", check_count_entries("/dev/vfio/devices"));
}

/* A module's switch that reads Y or 1. */
static bool check_parameter(const char *path)
{
	char line[16];

	return check_read_line(path, line, sizeof(line)) && (line[0] == 'Y' || line[0] == '1');
}

void check_confidential(struct check_report *report)
{
	check_add_bool(report, "confidential", "sev",
		check_parameter("/sys/module/kvm_amd/parameters/sev"));
	check_add_bool(report, "confidential", "sev_es",
		check_parameter("/sys/module/kvm_amd/parameters/sev_es"));
	check_add_bool(report, "confidential", "sev_snp",
		check_parameter("/sys/module/kvm_amd/parameters/sev_snp"));
	check_add_bool(report, "confidential", "tdx",
		check_parameter("/sys/module/kvm_intel/parameters/tdx"));
	check_device(report, "confidential", "sev_device", "/dev/sev");
}
