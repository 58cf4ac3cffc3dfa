/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of unpacked kernels.
 */
#define LOG_MODULE "loader"
#include "loader/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"

#define CACHE_MAGIC "alioth-kernel-1"
#define CACHE_TEMP  "new.temporary"
#define CACHE_DATA  4096u  /* offset of the image in an entry */
#define CACHE_DIRTY MIB(1) /* granularity in which zero pages are left out of the file */

/* What identifies a kernel; all of it is written and compared as bytes. */
struct cache_key {
	uint8_t setup[sizeof(((struct linux_setup *)0)->header)];
	uint8_t crc[4];
	uint8_t kaslr[4];
	uint64_t size, device, inode;
	int64_t modified[2], changed[2];
};

/* The first page of an entry, in the host's byte order: a cache does not travel. */
struct cache_header {
	char magic[16];
	struct cache_key key;
	uint64_t image_size; /* bytes in the file behind the header */
	uint64_t memory_size;
	uint64_t entry; /* offset in the image */
	uint64_t pref;
};

_Static_assert(sizeof(struct cache_header) <= CACHE_DATA, "the header is one page");

static int cache_make_key(const struct loader *loader, struct cache_key *key)
{
	struct stat st;
	int ret;

	memset(key, 0, sizeof(*key));
	if (fstat(loader->kernel.fd, &st))
		return -errno;
	if (st.st_ctim.tv_sec != loader->changed.tv_sec ||
		st.st_ctim.tv_nsec != loader->changed.tv_nsec)
		return -ESTALE;
	ret = fd_pread_full(loader->kernel.fd, key->crc, sizeof(key->crc),
		loader->kernel.size - sizeof(key->crc));
	if (ret)
		return ret;
	memcpy(key->setup, loader->setup.header, sizeof(key->setup));
	key->kaslr[0] = loader->kaslr;
	key->size = loader->kernel.size;
	key->device = st.st_dev;
	key->inode = st.st_ino;
	key->modified[0] = st.st_mtim.tv_sec;
	key->modified[1] = st.st_mtim.tv_nsec;
	key->changed[0] = st.st_ctim.tv_sec;
	key->changed[1] = st.st_ctim.tv_nsec;
	return 0;
}

/* Only a file name: the key itself is compared. */
static void cache_name(const struct cache_key *key, char name[32])
{
	(void)snprintf(name, 32, "%016llx.kernel",
		(unsigned long long)hash_add(HASH_START, key, sizeof(*key)));
}

int cache_open(const struct loader *loader)
{
	auto_close int dir = -1;
	struct stat st;

	if (!loader->cache)
		return -1;
	dir = open(loader->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st)) {
		log_warn("Cannot use the kernel cache \"%s\": %s", loader->cache,
			err_strerror(errno));
		return -1;
	}
	if ((st.st_uid && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH)) {
		log_warn("The kernel cache \"%s\" is not used: others can write to it",
			loader->cache);
		return -1;
	}
	return steal_fd(&dir);
}

/* ---- Use ---- */

/* Bytes of the image, whole pages. */
static uint64_t cache_memory(const struct loader *loader)
{
	return align_up(loader->setup.init_size, 4096);
}

static bool cache_is_older_than_host(const struct stat *st)
{
	struct timespec now, up;

	return clock_gettime(CLOCK_REALTIME, &now) || clock_gettime(CLOCK_BOOTTIME, &up) ||
	       st->st_mtim.tv_sec < now.tv_sec - up.tv_sec;
}

static bool cache_check(const struct cache_header *h, const struct cache_key *key,
	const struct loader *loader, uint64_t file_size)
{
	return !memcmp(h->magic, CACHE_MAGIC, sizeof(CACHE_MAGIC)) &&
	       !memcmp(&h->key, key, sizeof(*key)) && h->memory_size == cache_memory(loader) &&
	       h->image_size <= h->memory_size && h->image_size % 4096 == 0 &&
	       file_size == CACHE_DATA + h->image_size && h->entry < h->image_size &&
	       h->pref == loader->setup.pref_address;
}

static int cache_open_entry(int dir, const struct loader *loader, struct cache_header *header)
{
	auto_close int fd = -1;
	struct cache_key key;
	struct stat st;
	char name[32];

	if (cache_make_key(loader, &key))
		return -1;
	cache_name(&key, name);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_mode & (S_IWGRP | S_IWOTH) ||
		(st.st_uid && st.st_uid != geteuid()) || cache_is_older_than_host(&st) ||
		fd_pread_full(fd, header, sizeof(*header), 0) ||
		!cache_check(header, &key, loader, (uint64_t)st.st_size)) {
		log_debug("The cache entry %s does not fit and is made again", name);
		return -1;
	}
	return steal_fd(&fd);
}

/*
 * Mapped, unless RAM comes in huge pages: one copy of the image then costs less than the thousands
 * of faults of a guest that patches nearly all of its code while it starts.
 */
static int cache_put(struct ram *ram, uint64_t gpa, int fd, uint64_t size)
{
	if (ram_has_huge_pages(ram))
		return ram_read_file(ram, gpa, fd, CACHE_DATA, size);
	return ram_map_file(ram, gpa, fd, CACHE_DATA, size);
}

bool cache_load(struct loader_state *state, int dir)
{
	struct ram *ram = state->layout->ram;
	auto_close int fd = -1;
	struct cache_header header;
	uint64_t base;

	if (dir < 0)
		return false;
	fd = cache_open_entry(dir, state->loader, &header);
	if (fd < 0 || (state->loader->kaslr &&
			      unpack_random_below(CACHE_RENEW_ODDS) == CACHE_RENEW_ODDS - 1))
		return false;
	base = unpack_choose_physical(state, header.memory_size);
	if (!base)
		return false;
	if (cache_put(ram, base, fd, header.image_size)) {
		/* Where it is copied, a part may be there already. */
		(void)!ram_fill(ram, base, 0, header.image_size);
		return false;
	}
	state->rip = base + header.entry;
	state->end = base + header.memory_size;
	state->kaslr_applied = state->loader->kaslr;
	log_debug("Took the kernel from the cache, at %#llx", (unsigned long long)base);
	return true;
}

/* ---- Making ---- */

static bool cache_is_zero(const uint8_t *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

/* Bytes of the image up to the last page that is not zero. */
static uint64_t cache_used(const uint8_t *image, uint64_t size)
{
	while (size && cache_is_zero(image + size - 4096, 4096))
		size -= 4096;
	return size;
}

static int cache_write(int fd, const struct cache_header *header, const uint8_t *image)
{
	int ret = fd_pwrite_full(fd, header, sizeof(*header), 0);

	for (uint64_t at = 0; !ret && at < header->image_size; at += CACHE_DIRTY) {
		uint64_t n = MIN(CACHE_DIRTY, header->image_size - at);

		if (!cache_is_zero(image + at, n))
			ret = fd_pwrite_full(fd, image + at, n, CACHE_DATA + at);
	}
	if (!ret && ftruncate(fd, (off_t)(CACHE_DATA + header->image_size)))
		ret = -errno;
	return ret;
}

/*
 * The empty temporary file, locked; or -errno, -EAGAIN if another process is at it. A file that was
 * renamed to an entry between open and lock has lost its name, and must not be touched.
 */
static int cache_open_temp(int dir)
{
	auto_close int fd = openat(
		dir, CACHE_TEMP, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st, named;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st))
		return -errno;
	if (fstatat(dir, CACHE_TEMP, &named, AT_SYMLINK_NOFOLLOW) || named.st_ino != st.st_ino)
		return -EAGAIN;
	return ftruncate(fd, 0) ? -errno : steal_fd(&fd);
}

/* Readers see whole entries only, as they get their name when they are complete. */
static int cache_install(int dir, const struct cache_header *header, const uint8_t *image)
{
	auto_close int fd = cache_open_temp(dir);
	char name[32];
	int ret;

	if (fd < 0)
		return fd;
	cache_name(&header->key, name);
	ret = cache_write(fd, header, image);
	if (!ret && renameat(dir, CACHE_TEMP, dir, name))
		ret = -errno;
	if (ret)
		(void)unlinkat(dir, CACHE_TEMP, 0);
	return ret;
}

void cache_store(const struct loader_state *state, int dir, const struct unpack_plan *plan)
{
	struct cache_header header = {.magic = CACHE_MAGIC,
		.memory_size = cache_memory(state->loader),
		.pref = plan->pref};
	struct iovec iov;
	int ret;

	if (dir < 0)
		return;
	ret = cache_make_key(state->loader, &header.key);
	if (ret || ram_iov(state->layout->ram, plan->base, header.memory_size, &iov, 1) != 1)
		return;
	header.image_size = cache_used(iov.iov_base, header.memory_size);
	header.entry = state->rip - plan->base;
	ret = cache_install(dir, &header, iov.iov_base);
	if (ret == -EAGAIN)
		log_debug("Another process is filling the kernel cache");
	else if (ret)
		log_warn("Cannot keep the unpacked kernel in \"%s\": %s", state->loader->cache,
			err_strerror(-ret));
	else
		log_debug("Kept the unpacked kernel (%llu KiB)",
			(unsigned long long)(header.image_size >> 10));
}
