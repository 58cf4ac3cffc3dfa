/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: a handful of regions, each one host mapping, published as an immutable sorted map.
 *
 * Readers (vCPU threads, device loops) take no lock: the map is loaded with acquire and never
 * changes; a change publishes a new map and keeps the old one until ram_free(), as the owner
 * changes RAM a few times in a VM's life. Every accessor takes a length, checks it against the map,
 * and may cross from one region into an adjacent one. Pointers into guest RAM leave this folder
 * only as iovecs for a syscall or as a `ram_window` with checked accessors.
 */
#pragma once

#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>

#include "base/endian.h"
#include "base/err.h"
#include "base/overflow.h"

#define RAM_REGIONS_MAX 64

enum ram_backend { RAM_ANON, RAM_MEMFD };

/* How regions are made; plain facts, validated by config. */
struct ram_options {
	enum ram_backend backend;
	bool shared;      /* MAP_SHARED (memfd is always shared) */
	bool thp;         /* madvise(MADV_HUGEPAGE) */
	bool prealloc;    /* touch every page before the guest runs */
	bool lock;        /* mlock */
	uint64_t hugetlb; /* page size in bytes (2M, 1G); 0: ordinary pages */
};

struct ram_region {
	uint64_t gpa;       /* page aligned */
	uint64_t size;      /* bytes, a multiple of the page size */
	uint8_t *hva;       /* host mapping; see the rule above */
	int fd;             /* memfd behind it, or -1 */
	uint64_t fd_offset; /* of the region's first byte in fd */
	uint64_t guard;     /* inaccessible bytes on either side of the mapping */
	/* Persistent memory (ram_add_file()): what it holds is the owner's, and is neither cleared,
	 * nor given back to the host, nor counted. */
	bool is_file;
	bool is_private; /* is_file: the guest's writes are not the file's */
};

/* Told of each region that appears or goes, in order of registration; remove in reverse. [main] */
struct ram_listener {
	struct err *(*add)(struct ram_listener *listener, const struct ram_region *region);
	void (*remove)(struct ram_listener *listener, const struct ram_region *region);
	struct ram_listener *next;
};

struct ram;

struct err *must_check ram_create(const struct ram_options *options, struct ram **ret_ram);
void ram_free(struct ram *ram);

/* Maps `size` bytes at `gpa` and tells the listeners. `name` labels the memfd. [main] */
struct err *must_check ram_add(struct ram *ram, uint64_t gpa, uint64_t size, const char *name);
/*
 * Maps the first `size` bytes of a file, or of a block device, at `gpa`: memory that devices reach
 * like RAM. With discard_writes they are read only; what is written stays with the mapping, and
 * ends with ram_reset(). A page that the host cannot give (the file was cut short, its file system
 * is full) is fatal to who touches it: SIGBUS, or EFAULT in a system call. `fd` stays the caller's,
 * and may be closed. [main]
 */
struct err *must_check ram_add_file(
	struct ram *ram, uint64_t gpa, uint64_t size, int fd, bool discard_writes);
/* Adds a listener and replays the regions that exist. Not owned. [main] */
struct err *must_check ram_listen(struct ram *ram, struct ram_listener *listener);

/* The regions in ascending order of gpa; valid until ram_free(). [any] */
size_t ram_regions(const struct ram *ram, const struct ram_region **ret_regions);
/* Bytes of RAM, without files. [any] */
uint64_t ram_size(const struct ram *ram);
/* true if [gpa, gpa + len) is RAM throughout. [any] */
bool ram_contains(const struct ram *ram, uint64_t gpa, uint64_t len);

/* Copy; 0, or -EFAULT when any byte lies outside RAM (nothing is then promised of dst). [any] */
int must_check ram_read(const struct ram *ram, uint64_t gpa, void *dst, size_t len);
int must_check ram_write(const struct ram *ram, uint64_t gpa, const void *src, size_t len);
int must_check ram_fill(const struct ram *ram, uint64_t gpa, uint8_t byte, size_t len);
/* Exactly len bytes of a file into RAM; 0, -EFAULT, -ENODATA (file too short) or -errno. [any] */
int must_check ram_read_file(const struct ram *ram, uint64_t gpa, int fd, uint64_t off, size_t len);

/*
 * Puts len bytes of a regular file at gpa: private file pages are mapped over the RAM
 * where the backend allows (anonymous, ordinary pages; gpa and off page aligned), copied otherwise.
 * The rest of the last page reads as zeros (both ways). The guest's writes never reach the file.
 * Until ram_reset(). 0 or -errno as above. [main]
 */
int must_check ram_map_file(struct ram *ram, uint64_t gpa, int fd, uint64_t off, uint64_t len);

/*
 * true if RAM comes in huge pages: reserved ones, transparent ones that were asked for, or what the
 * host gives unasked. A file mapped over it stands in the way of that: its pages are small ones,
 * and the guest faults for each. [any]
 */
bool ram_has_huge_pages(const struct ram *ram);

/*
 * Pieces of [gpa, gpa + len) for a syscall, appended at iov[0..max). The number of pieces (0 for
 * len 0), or -EFAULT, or -ENOBUFS if more than max are needed. [any]
 */
int must_check ram_iov(
	const struct ram *ram, uint64_t gpa, uint64_t len, struct iovec *iov, int max);

/*
 * Gives the host back what of [gpa, gpa + len) is RAM: whole pages of the backing (see
 * ram_discard_unit()), parts of them stay as they are, and so does what the host cannot take
 * (memory that is locked, on kernels that do not know how). The number of bytes that went: they
 * read as zeros, and get pages again as they are touched. Pages of a mapped file do not come back.
 * One thread at a time, and none of those that load or reset. [loop]
 */
uint64_t ram_discard(const struct ram *ram, uint64_t gpa, uint64_t len);
/* The same for a piece that ram_iov() or a descriptor chain gave, which is RAM throughout. [loop]
 */
uint64_t ram_discard_iov(const struct ram *ram, const struct iovec *piece);
/* Bytes that are given back together: a page, or a huge page where those are reserved. [any] */
uint64_t ram_discard_unit(const struct ram *ram);

/* All RAM reads as zero again, the pages go back to the host, and mapped files are gone; those of
 * ram_add_file() are as their owner has them. [main] */
struct err *must_check ram_reset(struct ram *ram);

/*
 * A validated span of one region, for structures that are used often (virtqueue rings). The
 * accessors below check offset and size against it; they assert nothing about the content.
 */
struct ram_window {
	uint8_t *hva; /* private to the accessors */
	uint64_t len;
};

/* -EFAULT unless [gpa, gpa + len) lies within one region and gpa is aligned to `align`. [any] */
int must_check ram_window_init(const struct ram *ram, uint64_t gpa, uint64_t len, uint64_t align,
	struct ram_window *ret_window);

/* Where it lies, for a system call that takes the structure's address. [any] */
static inline const void *ram_window_address(const struct ram_window *w)
{
	return w->hva;
}

/* A field of a window at a naturally aligned offset: atomic, so that a racing guest tears nothing.
 */
#define RAM_WINDOW_DEFINE(bits)                                                                    \
	static inline uint##bits##_t ram_window_load##bits(                                        \
		const struct ram_window *w, uint64_t off, memory_order order)                      \
	{                                                                                          \
		assert(range_fits(off, sizeof(uint##bits##_t), w->len));                           \
		return le##bits##toh(__atomic_load_n(                                              \
			(const uint##bits##_t *)(const void *)(w->hva + off), (int)order));        \
	}                                                                                          \
	static inline void ram_window_store##bits(                                                 \
		const struct ram_window *w, uint64_t off, uint##bits##_t v, memory_order order)    \
	{                                                                                          \
		assert(range_fits(off, sizeof(uint##bits##_t), w->len));                           \
		__atomic_store_n(                                                                  \
			(uint##bits##_t *)(void *)(w->hva + off), htole##bits(v), (int)order);     \
	}
RAM_WINDOW_DEFINE(16)
RAM_WINDOW_DEFINE(32)
RAM_WINDOW_DEFINE(64)
#undef RAM_WINDOW_DEFINE

/*
 * After a copy out of guest memory: the compiler may not look at the original again instead of the
 * copy, which a hostile guest has changed meanwhile.
 */
static inline void ram_copied(void)
{
	atomic_signal_fence(memory_order_acq_rel);
}

/* Copies out of or into a window; the caller's bug if it does not fit. */
static inline void ram_window_read(const struct ram_window *w, uint64_t off, void *dst, size_t len)
{
	assert(range_fits(off, len, w->len));
	memcpy(dst, w->hva + off, len);
	ram_copied();
}

static inline void ram_window_write(
	const struct ram_window *w, uint64_t off, const void *src, size_t len)
{
	assert(range_fits(off, len, w->len));
	memcpy(w->hva + off, src, len);
}

/*
 * Orders a store to guest memory before a later load from it (both are relaxed accesses of a
 * window): a full barrier. Pairs with the driver's barrier between its own store and load.
 */
static inline void ram_barrier(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}
