/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: the published map and the accessors. How a region is backed is in ram_backing.c.
 */
#include "mem/ram.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "mem/ram_internal.h"

struct err *ram_create(const struct ram_options *options, struct ram **ret_ram)
{
	struct ram *ram = new0(struct ram);
	struct ram_map *map = new0(struct ram_map);

	if (!ram || !map) {
		free(ram);
		free(map);
		return err_new(ENOMEM, "Cannot create the guest's memory");
	}
	ram->options = *options;
	atomic_init(&ram->map, map);
	*ret_ram = ram;
	return NULL;
}

static struct ram_map *ram_map(const struct ram *ram)
{
	/* Acquire: the regions of the map that ram_publish() released. */
	return atomic_load_explicit(&ram->map, memory_order_acquire);
}

/* Tells the listeners before `end` (NULL: all), the last one first, that the region goes. */
static void ram_untell(struct ram_listener *listener, const struct ram_listener *end,
	const struct ram_region *region)
{
	if (listener == end)
		return;
	ram_untell(listener->next, end, region);
	listener->remove(listener, region);
}

void ram_free(struct ram *ram)
{
	struct ram_map *map;

	if (!ram)
		return;
	map = ram_map(ram);
	for (size_t i = map->n; i-- > 0;) {
		ram_untell(ram->listeners, NULL, &map->regions[i]);
		ram_backing_free(&map->regions[i]);
	}
	while (map) {
		struct ram_map *older = map->older;

		free(map);
		map = older;
	}
	free(ram->files);
	free(ram);
}

static struct err *ram_tell(struct ram *ram, const struct ram_region *region)
{
	for (struct ram_listener *l = ram->listeners; l; l = l->next) {
		struct err *err = l->add(l, region);

		if (!err)
			continue;
		ram_untell(ram->listeners, l, region);
		return err;
	}
	return NULL;
}

/* The old map with one more region, in order; NULL when out of memory. */
static struct ram_map *ram_map_with(struct ram_map *old, const struct ram_region *region)
{
	struct ram_map *map = new0(struct ram_map);
	size_t at = 0;

	if (!map)
		return NULL;
	while (at < old->n && old->regions[at].gpa < region->gpa)
		at++;
	memcpy(map->regions, old->regions, at * sizeof(map->regions[0]));
	map->regions[at] = *region;
	memcpy(&map->regions[at + 1], &old->regions[at], (old->n - at) * sizeof(map->regions[0]));
	map->n = old->n + 1;
	map->older = old;
	return map;
}

static struct err *ram_check_new(const struct ram_map *map, uint64_t gpa, uint64_t size)
{
	uint64_t end;

	if (!size || (gpa | size) & (RAM_PAGE_SIZE - 1) || add_overflows(gpa, size, &end))
		return err_new(EINVAL, "Bad memory range: %#llx bytes at %#llx",
			(unsigned long long)size, (unsigned long long)gpa);
	if (map->n == RAM_REGIONS_MAX)
		return err_new(ENOSPC, "More than %d memory regions", RAM_REGIONS_MAX);
	for (size_t i = 0; i < map->n; i++) {
		if (ranges_overlap(gpa, size, map->regions[i].gpa, map->regions[i].size))
			return err_new(EEXIST, "Memory at %#llx overlaps other memory",
				(unsigned long long)gpa);
	}
	return NULL;
}

/* Makes a region that is mapped part of the guest's memory, or undoes it. */
static struct err *ram_publish(struct ram *ram, struct ram_region *region)
{
	struct ram_map *map = ram_map_with(ram_map(ram), region);
	struct err *err = map ? ram_tell(ram, region) : err_new(ENOMEM, "Cannot add memory");

	if (err) {
		free(map);
		ram_backing_free(region);
		return err;
	}
	/* Release: readers that load the new map see its regions; pairs with ram_map(). */
	atomic_store_explicit(&ram->map, map, memory_order_release);
	return NULL;
}

struct err *ram_add(struct ram *ram, uint64_t gpa, uint64_t size, const char *name)
{
	struct ram_region region = {.gpa = gpa, .size = size, .fd = -1};
	struct err *err = ram_check_new(ram_map(ram), gpa, size);

	if (!err)
		err = ram_backing_check(&ram->options, size, ram_size(ram));
	if (!err)
		err = ram_backing_create(&ram->options, name, &region);
	return err ? err : ram_publish(ram, &region);
}

struct err *ram_add_file(struct ram *ram, uint64_t gpa, uint64_t size, int fd, bool discard_writes)
{
	struct ram_region region = {
		.gpa = gpa, .size = size, .fd = -1, .is_file = true, .is_private = discard_writes};
	struct err *err = ram_check_new(ram_map(ram), gpa, size);

	if (!err)
		err = ram_backing_create_file(fd, &region);
	return err ? err : ram_publish(ram, &region);
}

struct err *ram_listen(struct ram *ram, struct ram_listener *listener)
{
	const struct ram_map *map = ram_map(ram);
	struct ram_listener **last = &ram->listeners;

	for (size_t i = 0; i < map->n; i++) {
		struct err *err = listener->add(listener, &map->regions[i]);

		if (!err)
			continue;
		while (i-- > 0)
			listener->remove(listener, &map->regions[i]);
		return err;
	}
	while (*last)
		last = &(*last)->next;
	listener->next = NULL;
	*last = listener;
	return NULL;
}

size_t ram_regions(const struct ram *ram, const struct ram_region **ret_regions)
{
	const struct ram_map *map = ram_map(ram);

	*ret_regions = map->regions;
	return map->n;
}

uint64_t ram_size(const struct ram *ram)
{
	const struct ram_map *map = ram_map(ram);
	uint64_t size = 0;

	for (size_t i = 0; i < map->n; i++)
		size += map->regions[i].is_file ? 0 : map->regions[i].size;
	return size;
}

static const struct ram_region *ram_find(const struct ram_map *map, uint64_t gpa)
{
	for (size_t i = 0; i < map->n; i++) {
		if (gpa - map->regions[i].gpa < map->regions[i].size && gpa >= map->regions[i].gpa)
			return &map->regions[i];
	}
	return NULL;
}

/*
 * The host memory at gpa, at most `len` bytes of it, as many as lie in one region; NULL if there is
 * none. The only place that turns guest addresses into pointers.
 */
static uint8_t *ram_span(const struct ram_map *map, uint64_t gpa, uint64_t len, uint64_t *ret_len)
{
	const struct ram_region *region = ram_find(map, gpa);
	uint64_t off;

	if (!region)
		return NULL;
	off = gpa - region->gpa;
	*ret_len = MIN(len, region->size - off);
	return region->hva + off;
}

bool ram_contains(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	const struct ram_map *map = ram_map(ram);
	uint64_t end;

	if (add_overflows(gpa, len, &end))
		return false;
	while (len) {
		uint64_t n = 0;

		if (!ram_span(map, gpa, len, &n))
			return false;
		gpa += n;
		len -= n;
	}
	return true;
}

int ram_read(const struct ram *ram, uint64_t gpa, void *dst, size_t len)
{
	const struct ram_map *map = ram_map(ram);
	uint8_t *to = dst;

	while (len) {
		uint64_t n = 0;
		const uint8_t *from = ram_span(map, gpa, len, &n);

		if (!from)
			return -EFAULT;
		memcpy(to, from, n);
		to += n;
		gpa += n;
		len -= n;
	}
	ram_copied();
	return 0;
}

int ram_write(const struct ram *ram, uint64_t gpa, const void *src, size_t len)
{
	const struct ram_map *map = ram_map(ram);
	const uint8_t *from = src;

	while (len) {
		uint64_t n = 0;
		uint8_t *to = ram_span(map, gpa, len, &n);

		if (!to)
			return -EFAULT;
		memcpy(to, from, n);
		from += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int ram_fill(const struct ram *ram, uint64_t gpa, uint8_t byte, size_t len)
{
	const struct ram_map *map = ram_map(ram);

	while (len) {
		uint64_t n = 0;
		uint8_t *to = ram_span(map, gpa, len, &n);

		if (!to)
			return -EFAULT;
		memset(to, byte, n);
		gpa += n;
		len -= n;
	}
	return 0;
}

int ram_read_file(const struct ram *ram, uint64_t gpa, int fd, uint64_t off, size_t len)
{
	const struct ram_map *map = ram_map(ram);

	while (len) {
		uint64_t n = 0;
		uint8_t *to = ram_span(map, gpa, len, &n);
		int ret = to ? fd_pread_full(fd, to, n, off) : -EFAULT;

		if (ret)
			return ret;
		gpa += n;
		off += n;
		len -= n;
	}
	return 0;
}

bool ram_has_huge_pages(const struct ram *ram)
{
	return ram_backing_has_huge_pages(&ram->options);
}

int ram_map_file(struct ram *ram, uint64_t gpa, int fd, uint64_t off, uint64_t len)
{
	const struct ram_map *map = ram_map(ram);
	uint64_t whole = align_up(len, RAM_PAGE_SIZE);
	uint64_t n = 0;
	uint8_t *to;

	if (!len)
		return 0;
	if (whole < len || !ram_contains(ram, gpa, whole))
		return -EFAULT;
	to = ram_span(map, gpa, whole, &n);
	if (n == whole && ram_backing_can_map(&ram->options) &&
		!((gpa | off) & (RAM_PAGE_SIZE - 1)) && ram_files_add(ram, to, whole))
		return ram_backing_map_file(ram, to, fd, off, len);
	if (ram_fill(ram, gpa + len, 0, whole - len))
		return -EFAULT;
	return ram_read_file(ram, gpa, fd, off, len);
}

int ram_iov(const struct ram *ram, uint64_t gpa, uint64_t len, struct iovec *iov, int max)
{
	const struct ram_map *map = ram_map(ram);
	int count = 0;

	while (len) {
		uint64_t n = 0;
		uint8_t *p = ram_span(map, gpa, len, &n);

		if (!p)
			return -EFAULT;
		if (count == max)
			return -ENOBUFS;
		iov[count++] = (struct iovec){.iov_base = p, .iov_len = n};
		gpa += n;
		len -= n;
	}
	return count;
}

int ram_window_init(const struct ram *ram, uint64_t gpa, uint64_t len, uint64_t align,
	struct ram_window *ret_window)
{
	uint64_t n = 0;
	uint8_t *p = ram_span(ram_map(ram), gpa, len, &n);

	if (!p || n != len || gpa & (align - 1))
		return -EFAULT;
	*ret_window = (struct ram_window){.hva = p, .len = len};
	return 0;
}

uint64_t ram_discard_unit(const struct ram *ram)
{
	return ram_backing_unit(&ram->options);
}

uint64_t ram_discard(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	const struct ram_map *map = ram_map(ram);
	uint64_t end;
	uint64_t done = 0;

	if (add_overflows(gpa, len, &end))
		end = UINT64_MAX;
	for (size_t i = 0; i < map->n; i++) {
		const struct ram_region *region = &map->regions[i];
		uint64_t from = MAX(gpa, region->gpa);
		uint64_t to = MIN(end, region->gpa + region->size);

		if (from < to)
			done += ram_backing_discard(ram, region, from - region->gpa, to - from);
	}
	return done;
}

uint64_t ram_discard_iov(const struct ram *ram, const struct iovec *piece)
{
	const struct ram_map *map = ram_map(ram);
	uintptr_t at = (uintptr_t)piece->iov_base;

	for (size_t i = 0; i < map->n; i++) {
		const struct ram_region *region = &map->regions[i];
		uint64_t off = at - (uintptr_t)region->hva;

		if (at >= (uintptr_t)region->hva && range_fits(off, piece->iov_len, region->size))
			return ram_backing_discard(ram, region, off, piece->iov_len);
	}
	return 0;
}

struct err *ram_reset(struct ram *ram)
{
	const struct ram_map *map = ram_map(ram);

	if (ram->files)
		ram->files->n = 0;

	for (size_t i = 0; i < map->n; i++) {
		struct err *err = ram_backing_reset(&ram->options, &map->regions[i]);

		if (err)
			return err;
	}
	return NULL;
}
