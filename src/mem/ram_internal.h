/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: shared by ram.c (the map) and ram_backing.c (host memory).
 */
#pragma once

#include "mem/ram.h"

#define RAM_PAGE_SIZE 4096u

/* Immutable once published. */
struct ram_map {
	struct ram_map *older;
	size_t n;
	struct ram_region regions[RAM_REGIONS_MAX];
};

/* Where pages of files lie over RAM, in no order: those must not be given back as RAM is. */
#define RAM_FILES_MAX 64
struct ram_file {
	uint8_t *hva;
	uint64_t len; /* whole pages */
};
struct ram_files {
	size_t n;
	struct ram_file at[RAM_FILES_MAX];
};

struct ram {
	struct ram_options options;
	struct ram_map *_Atomic map;
	struct ram_listener *listeners;
	struct ram_files *files; /* NULL: none yet; of the thread that loads or discards */
};

/* Can the host give `size` bytes besides the `have` that this guest has? */
struct err *must_check ram_backing_check(
	const struct ram_options *options, uint64_t size, uint64_t have);
/* Maps region->size bytes of zeros with a guard page on either side; fills hva, fd and fd_offset.
 */
struct err *must_check ram_backing_create(
	const struct ram_options *options, const char *name, struct ram_region *region);
/* Maps region->size bytes of fd, from its start, likewise. */
struct err *must_check ram_backing_create_file(int fd, struct ram_region *region);
void ram_backing_free(struct ram_region *region);
/* Zeros again, pages given back, file mappings gone; the address stays. */
struct err *must_check ram_backing_reset(
	const struct ram_options *options, const struct ram_region *region);
/* true if file pages may be mapped over it. */
bool ram_backing_can_map(const struct ram_options *options);
bool ram_backing_has_huge_pages(const struct ram_options *options);
/* Gives whole units of the region back; the bytes that went. */
uint64_t ram_backing_discard(
	const struct ram *ram, const struct ram_region *region, uint64_t off, uint64_t len);
uint64_t ram_backing_unit(const struct ram_options *options);
/* Maps anonymous zeros over what is there. */
bool must_check ram_backing_map_zeros(const struct ram_options *options, uint8_t *to, uint64_t len);

/* ram_files.c: notes a file's pages; false if there is no room for one more. */
bool must_check ram_files_add(struct ram *ram, uint8_t *hva, uint64_t len);
/*
 * The first piece of a file in [*at, *at + *len), which is narrowed to it; false: none.
 */
bool ram_files_find(const struct ram *ram, uint8_t **at, uint64_t *len);
/* Replaces that piece by zeros; false: it stays a file's. */
bool must_check ram_files_drop(const struct ram *ram, uint8_t *at, uint64_t len);

/* Maps file pages at `to` (inside a region) and zeroes the rest of the last page. 0 or -errno. */
int must_check ram_backing_map_file(
	struct ram *ram, uint8_t *to, int fd, uint64_t off, uint64_t len);
