/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host memory behind guest RAM: anonymous or memfd, ordinary or huge pages.
 *
 * Each region lies between two guard pages, so that a wild access of ours faults instead of
 * reaching other data.
 */
#define LOG_MODULE "mem"
#include "mem/ram_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

#define MIB_OF(bytes) ((unsigned long long)((bytes) >> 20))

static unsigned int ram_huge_shift(uint64_t hugetlb)
{
	return ceil_log2(hugetlb);
}

/* Huge pages of this size that nobody uses, or 0 if that cannot be read. */
static unsigned long long ram_free_huge_pages(uint64_t hugetlb)
{
	char path[96];
	char text[32] = {0};
	int fd;
	int ret;

	(void)snprintf(path, sizeof(path),
		"/sys/kernel/mm/hugepages/hugepages-%llukB/free_hugepages",
		(unsigned long long)(hugetlb >> 10));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ret = fd_read_full(
		fd, text, sizeof(text) - 1); /* shorter than that: an early end is expected */
	close(fd);
	return ret && ret != -ENODATA ? 0 : strtoull(text, NULL, 10);
}

static struct err *ram_explain(const struct ram_options *options, uint64_t size, int code)
{
	if (options->hugetlb)
		return err_new(code,
			"Cannot get %llu MiB of memory in huge pages of %llu KiB: %llu are free; write a "
			"number to /sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages",
			MIB_OF(size), (unsigned long long)(options->hugetlb >> 10),
			ram_free_huge_pages(options->hugetlb),
			(unsigned long long)(options->hugetlb >> 10));
	return err_new(code, "Cannot get %llu MiB of memory for the guest", MIB_OF(size));
}

/* A memory object of the region's size, or an error. */
static struct err *ram_memfd(
	const struct ram_options *options, const char *name, uint64_t size, int *ret_fd)
{
	unsigned int flags = MFD_CLOEXEC;
	auto_close int fd = -1;

	if (options->hugetlb)
		flags |= MFD_HUGETLB | ram_huge_shift(options->hugetlb) << MFD_HUGE_SHIFT;
	fd = memfd_create(name, flags);
	if (fd < 0 || ftruncate(fd, (off_t)size))
		return ram_explain(options, size, errno);
	*ret_fd = steal_fd(&fd);
	return NULL;
}

/* Flags of the mapping that replaces the reservation. */
static int ram_map_flags(const struct ram_options *options)
{
	int flags = MAP_FIXED;

	if (options->backend == RAM_MEMFD)
		return flags | MAP_SHARED;
	flags |= MAP_ANONYMOUS | (options->shared ? MAP_SHARED : MAP_PRIVATE);
	if (options->hugetlb)
		return flags | MAP_HUGETLB |
		       (int)(ram_huge_shift(options->hugetlb) << MAP_HUGE_SHIFT);
	return flags | MAP_NORESERVE;
}

static bool ram_map_at(const struct ram_options *options, void *at, uint64_t size, int fd)
{
	return mmap(at, size, PROT_READ | PROT_WRITE, ram_map_flags(options), fd, 0) != MAP_FAILED;
}

/*
 * Overcommit is allowed (NORESERVE), but more than the host's memory and swap together is a mistake
 * that would end in the guest being killed at some random time.
 */
struct err *ram_backing_check(const struct ram_options *options, uint64_t size, uint64_t have)
{
	struct sysinfo info;
	uint64_t total;

	if (options->hugetlb && size % options->hugetlb)
		return err_new(EINVAL,
			"%llu KiB of guest memory are not a whole number of huge pages of %llu KiB",
			(unsigned long long)(size >> 10),
			(unsigned long long)(options->hugetlb >> 10));
	if (options->hugetlb || sysinfo(&info)) /* huge pages are reserved, hence counted, below */
		return NULL;
	total = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	if (have > total || size > total - have)
		return err_new(ENOMEM,
			"%llu MiB of guest memory is more than the host has (%llu MiB with swap)",
			MIB_OF(size + have), MIB_OF(total));
	return NULL;
}

static void ram_advise(const struct ram_options *options, const struct ram_region *region)
{
	(void)madvise(region->hva, region->size, MADV_DONTDUMP);
	if (options->thp && madvise(region->hva, region->size, MADV_HUGEPAGE))
		log_warn("Transparent huge pages are not available for guest memory: %s",
			err_strerror(errno));
}

/* The parts of the request that touch pages, after any file was mapped over it too. */
static struct err *ram_populate(const struct ram_options *options, const struct ram_region *region)
{
	struct rlimit limit = {0};

	if (options->prealloc && madvise(region->hva, region->size, MADV_POPULATE_WRITE))
		return err_wrap(ram_explain(options, region->size, errno),
			"Cannot preallocate guest memory");
	if (options->lock && mlock(region->hva, region->size)) {
		int code = errno;

		(void)getrlimit(RLIMIT_MEMLOCK, &limit);
		return err_new(code,
			"Cannot lock %llu MiB of guest memory (the limit, ulimit -l, is %llu KiB)",
			MIB_OF(region->size), (unsigned long long)limit.rlim_cur >> 10);
	}
	return NULL;
}

/* Bytes on either side that stay inaccessible; as large as the page so that huge pages stay
 * aligned. */
static uint64_t ram_guard_size(const struct ram_options *options)
{
	return options->hugetlb ? options->hugetlb : RAM_PAGE_SIZE;
}

/*
 * Address space for region, guards included. The start is aligned as guest-physical addresses are,
 * for huge pages, also those that the host gives unasked (transparent_hugepage=always): a guest's
 * start costs it thousands of page faults less then.
 */
static uint8_t *ram_reserve(const struct ram_options *options, uint64_t size)
{
	uint64_t align = MAX(ram_guard_size(options), size >= MIB(2) ? MIB(2) : RAM_PAGE_SIZE);
	uint64_t guard = ram_guard_size(options);
	uint64_t total;
	uint64_t start;
	uint8_t *area;

	if (add_overflows(size, 2 * guard + align, &total))
		return NULL;
	area = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return NULL;
	start = align_up((uintptr_t)area + guard, align);
	/* Trim what alignment left over, keep one guard on each side. */
	if (start - guard > (uintptr_t)area)
		(void)munmap(area, start - guard - (uintptr_t)area);
	if ((uintptr_t)area + total > start + size + guard)
		(void)munmap((uint8_t *)start + size + guard,
			(uintptr_t)area + total - (start + size + guard));
	return (uint8_t *)start;
}

static void ram_release(uint8_t *hva, uint64_t size, uint64_t guard)
{
	(void)munmap(hva - guard, size + 2 * guard);
}

struct err *ram_backing_create(
	const struct ram_options *options, const char *name, struct ram_region *region)
{
	auto_close int fd = -1;
	struct err *err = NULL;

	if (options->backend == RAM_MEMFD)
		err = ram_memfd(options, name, region->size, &fd);
	if (err)
		return err;
	region->guard = ram_guard_size(options);
	region->hva = ram_reserve(options, region->size);
	if (!region->hva)
		return ram_explain(options, region->size, ENOMEM);
	if (!ram_map_at(options, region->hva, region->size, fd)) {
		err = ram_explain(options, region->size, errno);
		ram_release(region->hva, region->size, region->guard);
		return err;
	}
	region->fd = steal_fd(&fd);
	ram_advise(options, region);
	err = ram_populate(options, region);
	if (err)
		ram_backing_free(region);
	return err;
}

struct err *ram_backing_create_file(int fd, struct ram_region *region)
{
	static const struct ram_options ordinary = {.backend = RAM_ANON};
	int flags = MAP_FIXED | (region->is_private ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED);
	struct err *err;

	region->guard = ram_guard_size(&ordinary);
	region->hva = ram_reserve(&ordinary, region->size);
	if (!region->hva)
		return err_new(ENOMEM, "No address space for %llu MiB", MIB_OF(region->size));
	if (mmap(region->hva, region->size, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED) {
		err = err_new(errno, "Cannot map %llu MiB of a file", MIB_OF(region->size));
		ram_release(region->hva, region->size, region->guard);
		return err;
	}
	(void)madvise(region->hva, region->size, MADV_DONTDUMP);
	return NULL;
}

void ram_backing_free(struct ram_region *region)
{
	ram_release(region->hva, region->size, region->guard);
	if (region->fd >= 0)
		close(region->fd);
	region->fd = -1;
}

struct err *ram_backing_reset(const struct ram_options *options, const struct ram_region *region)
{
	if (region->is_file) {
		/* A private mapping shows the file again. */
		if (region->is_private && madvise(region->hva, region->size, MADV_DONTNEED))
			return err_new(errno, "Cannot drop what was written to a file's copy");
		return NULL;
	}
	if (region->fd >= 0) {
		if (fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			    (off_t)region->size))
			return err_new(errno, "Cannot clear guest memory");
		return ram_populate(options, region);
	}
	/* A new mapping over the old one also removes file pages; the guest's slots keep the
	 * address. */
	if (!ram_map_at(options, region->hva, region->size, -1))
		return ram_explain(options, region->size, errno);
	ram_advise(options, region);
	return ram_populate(options, region);
}

bool ram_backing_map_zeros(const struct ram_options *options, uint8_t *to, uint64_t len)
{
	const struct ram_region region = {.hva = to, .size = len};

	if (!ram_map_at(options, to, len, -1))
		return false;
	ram_advise(options, &region);
	return true;
}

/* ---- Giving back ---- */

uint64_t ram_backing_unit(const struct ram_options *options)
{
	return options->hugetlb ? options->hugetlb : RAM_PAGE_SIZE;
}

/* Which call makes the host take the pages, and leaves zeros: of private memory it is to be
 * forgotten; what is shared has a file, where a hole is to be made. */
static bool ram_give_back(
	const struct ram *ram, const struct ram_region *region, uint64_t off, uint64_t len)
{
	const struct ram_options *options = &ram->options;

	if (region->fd >= 0)
		return !fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(region->fd_offset + off), (off_t)len);
	if (options->shared)
		return !madvise(region->hva + off, len, MADV_REMOVE);
	return !madvise(
		region->hva + off, len, options->lock ? MADV_DONTNEED_LOCKED : MADV_DONTNEED);
}

uint64_t ram_backing_discard(
	const struct ram *ram, const struct ram_region *region, uint64_t off, uint64_t len)
{
	uint64_t unit = ram_backing_unit(&ram->options);
	uint64_t end = align_down(off + len, unit);
	uint64_t done = 0;

	/* What a file holds is not the guest's to give up. */
	if (region->is_file)
		return 0;
	off = align_up(off, unit);
	while (off < end) {
		uint8_t *file = region->hva + off;
		uint64_t file_len = end - off;
		bool found = ram_files_find(ram, &file, &file_len);
		uint64_t before = found ? (uint64_t)(file - region->hva) - off : end - off;

		if (before && ram_give_back(ram, region, off, before))
			done += before;
		off += before;
		if (found && ram_files_drop(ram, file, file_len))
			done += file_len;
		if (found)
			off += file_len;
	}
	return done;
}

bool ram_backing_can_map(const struct ram_options *options)
{
	return options->backend == RAM_ANON && !options->shared && !options->hugetlb &&
	       !options->lock;
}

bool ram_backing_has_huge_pages(const struct ram_options *options)
{
	char text[32] = {0};
	auto_close int fd = -1;

	if (options->hugetlb || options->thp)
		return true;
	if (options->backend != RAM_ANON || options->shared)
		return false;
	fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strstr(text, "[always]");
}

int ram_backing_map_file(struct ram *ram, uint8_t *to, int fd, uint64_t off, uint64_t len)
{
	uint64_t whole = align_up(len, RAM_PAGE_SIZE);
	struct stat st;
	int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;

	/* A page beyond the end of the file would fault when the guest touches it. */
	if (fstat(fd, &st))
		return -errno;
	if (!range_fits(off, len, (uint64_t)st.st_size))
		return -ENODATA;
	if (ram->options.prealloc)
		flags |= MAP_POPULATE;
	if (mmap(to, whole, PROT_READ | PROT_WRITE, flags, fd, (off_t)off) == MAP_FAILED)
		return -errno;
	(void)madvise(to, whole, MADV_DONTDUMP);
	/* The file may go on behind len. At its very end the kernel has zeroed the page already. */
	if (whole > len && off + len < (uint64_t)st.st_size)
		memset(to + len, 0, whole - len);
	return 0;
}
