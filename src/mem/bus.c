/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers' address space. Entries are (base, end, region) triples sorted by base; the
 * sequence counter is odd while a change moves them. All fields that lookups read are atomics: a
 * lookup that overlaps a change may see a mixture, notices by the counter, and looks again.
 */
#define LOG_MODULE "mem"
#include "mem/bus.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/overflow.h"
#include "base/thread.h"

struct bus_entry {
	_Atomic uint64_t base;
	_Atomic uint64_t last; /* inclusive, so that a region may end at 2^64 - 1 */
	struct io_region *_Atomic region;
};

/* Room for the enabled entries; replaced by a larger one in bus_add() only. */
struct bus_table {
	struct bus_table *older; /* outgrown ones, kept for lookups that still use them */
	unsigned int cap;
	struct bus_entry entries[];
};

struct bus {
	const char *name;
	struct bus_table *_Atomic table;
	_Atomic unsigned int n; /* enabled entries */
	_Atomic unsigned int seq;
	pthread_mutex_t lock; /* serialises changes; lock order 110 */
	unsigned int n_added;
};

/* Lookups that lost this many races in a row take the lock. */
#define BUS_RETRIES 64

static struct bus_table *bus_table_create(unsigned int cap)
{
	struct bus_table *table = calloc(1, sizeof(*table) + cap * sizeof(table->entries[0]));

	if (table)
		table->cap = cap;
	return table;
}

struct err *bus_create(const char *name, struct bus **ret_bus)
{
	struct bus *bus = new0(struct bus);
	struct bus_table *table = bus_table_create(32);

	if (!bus || !table) {
		free(bus);
		free(table);
		return err_new(ENOMEM, "Cannot create the %s bus", name);
	}
	bus->name = name;
	atomic_init(&bus->table, table);
	pthread_mutex_init(&bus->lock, NULL);
	*ret_bus = bus;
	return NULL;
}

void bus_free(struct bus *bus)
{
	struct bus_table *table;

	if (!bus)
		return;
	table = atomic_load_explicit(&bus->table, memory_order_relaxed);
	while (table) {
		struct bus_table *older = table->older;

		free(table);
		table = older;
	}
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

/*
 * Entries are stored with release, so that the odd count is visible to whoever sees a new value,
 * and loaded with acquire, so that the count is read again after them. (Fences would say the same,
 * but ThreadSanitizer does not know them.)
 */
static void bus_entry_set(
	struct bus_entry *entry, uint64_t base, uint64_t last, struct io_region *region)
{
	atomic_store_explicit(&entry->base, base, memory_order_release);
	atomic_store_explicit(&entry->last, last, memory_order_release);
	atomic_store_explicit(&entry->region, region, memory_order_release);
}

/* By the holder of the lock. */
static void bus_entry_copy(struct bus_entry *to, struct bus_entry *from)
{
	bus_entry_set(to, atomic_load_explicit(&from->base, memory_order_relaxed),
		atomic_load_explicit(&from->last, memory_order_relaxed),
		atomic_load_explicit(&from->region, memory_order_relaxed));
}

static void bus_change_begin(struct bus *bus)
{
	atomic_fetch_add_explicit(&bus->seq, 1, memory_order_relaxed);
}

static void bus_change_end(struct bus *bus)
{
	/* Entries are in place before the even count; pairs with the acquire load of bus_find(). */
	atomic_fetch_add_explicit(&bus->seq, 1, memory_order_release);
}

/* The index of the first entry with base > addr, in a table that may be changing. */
static unsigned int bus_upper(struct bus_table *table, unsigned int n, uint64_t addr)
{
	unsigned int low = 0;
	unsigned int high = MIN(n, table->cap);

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (atomic_load_explicit(&table->entries[mid].base, memory_order_acquire) <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* A region and where it was when it was found. */
struct bus_hit {
	struct io_region *region;
	uint64_t base;
	uint64_t last;
};

static struct bus_hit bus_search(struct bus *bus, uint64_t addr)
{
	struct bus_table *table = atomic_load_explicit(&bus->table, memory_order_acquire);
	unsigned int i =
		bus_upper(table, atomic_load_explicit(&bus->n, memory_order_acquire), addr);
	struct bus_hit hit = {0};

	if (!i)
		return hit;
	hit.base = atomic_load_explicit(&table->entries[i - 1].base, memory_order_acquire);
	hit.last = atomic_load_explicit(&table->entries[i - 1].last, memory_order_acquire);
	if (addr <= hit.last)
		hit.region =
			atomic_load_explicit(&table->entries[i - 1].region, memory_order_acquire);
	return hit;
}

static struct bus_hit bus_find(struct bus *bus, uint64_t addr)
{
	for (unsigned int i = 0; i < BUS_RETRIES; i++) {
		unsigned int seq = atomic_load_explicit(&bus->seq, memory_order_acquire);
		struct bus_hit hit;

		if (seq & 1)
			continue;
		hit = bus_search(bus, addr);
		if (likely(atomic_load_explicit(&bus->seq, memory_order_relaxed) == seq))
			return hit;
	}
	auto_lock(&bus->lock);
	return bus_search(bus, addr);
}

struct err *bus_add(struct bus *bus, struct io_region *region)
{
	struct bus_table *table;

	assert(region->size && !region->added);
	auto_lock(&bus->lock);
	table = atomic_load_explicit(&bus->table, memory_order_relaxed);
	if (bus->n_added == table->cap) {
		struct bus_table *larger = bus_table_create(table->cap * 2);

		if (!larger)
			return err_new(
				ENOMEM, "Cannot add %s to the %s bus", region->name, bus->name);
		for (unsigned int i = 0; i < table->cap; i++)
			bus_entry_copy(&larger->entries[i], &table->entries[i]);
		larger->older = table;
		bus_change_begin(bus);
		/* Release: whoever loads the pointer sees the copied entries; pairs with
		 * bus_search(). */
		atomic_store_explicit(&bus->table, larger, memory_order_release);
		bus_change_end(bus);
	}
	bus->n_added++;
	region->added = true;
	region->enabled = false;
	return NULL;
}

static void bus_disable_locked(struct bus *bus, struct io_region *region)
{
	struct bus_table *table = atomic_load_explicit(&bus->table, memory_order_relaxed);
	unsigned int n = atomic_load_explicit(&bus->n, memory_order_relaxed);
	unsigned int i;

	if (!region->enabled)
		return;
	i = bus_upper(table, n, region->base) - 1;
	assert(atomic_load_explicit(&table->entries[i].region, memory_order_relaxed) == region);
	bus_change_begin(bus);
	for (; i + 1 < n; i++)
		bus_entry_copy(&table->entries[i], &table->entries[i + 1]);
	atomic_store_explicit(&bus->n, n - 1, memory_order_release);
	bus_change_end(bus);
	region->enabled = false;
}

void bus_disable(struct bus *bus, struct io_region *region)
{
	auto_lock(&bus->lock);
	bus_disable_locked(bus, region);
}

void bus_remove(struct bus *bus, struct io_region *region)
{
	auto_lock(&bus->lock);
	if (!region->added)
		return;
	bus_disable_locked(bus, region);
	region->added = false;
	bus->n_added--;
}

static int bus_insert_locked(struct bus *bus, struct io_region *region, uint64_t base)
{
	struct bus_table *table = atomic_load_explicit(&bus->table, memory_order_relaxed);
	unsigned int n = atomic_load_explicit(&bus->n, memory_order_relaxed);
	unsigned int at = bus_upper(table, n, base);
	uint64_t last;

	if (add_overflows(base, region->size - 1, &last))
		return -ERANGE;
	if (at > 0 &&
		atomic_load_explicit(&table->entries[at - 1].last, memory_order_relaxed) >= base)
		return -EEXIST;
	if (at < n && atomic_load_explicit(&table->entries[at].base, memory_order_relaxed) <= last)
		return -EEXIST;
	assert(n < table->cap);
	region->base = base;
	region->enabled = true;
	bus_change_begin(bus);
	for (unsigned int i = n; i > at; i--)
		bus_entry_copy(&table->entries[i], &table->entries[i - 1]);
	bus_entry_set(&table->entries[at], base, last, region);
	atomic_store_explicit(&bus->n, n + 1, memory_order_release);
	bus_change_end(bus);
	return 0;
}

int bus_enable(struct bus *bus, struct io_region *region, uint64_t base)
{
	auto_lock(&bus->lock);
	assert(region->added);
	bus_disable_locked(bus, region);
	return bus_insert_locked(bus, region, base);
}

struct err *bus_add_at(struct bus *bus, struct io_region *region, uint64_t base)
{
	struct err *err = bus_add(bus, region);
	int ret;

	if (err)
		return err;
	ret = bus_enable(bus, region, base);
	if (ret) {
		bus_remove(bus, region);
		return err_new(-ret, "Cannot place %s at %#llx on the %s bus", region->name,
			(unsigned long long)base, bus->name);
	}
	return NULL;
}

static uint64_t bus_mask(unsigned int size)
{
	return size == 8 ? UINT64_MAX : (1ull << (size * 8)) - 1;
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned int size)
{
	struct bus_hit hit = bus_find(bus, addr);

	if (!hit.region || hit.last - addr < size - 1)
		return bus_mask(size);
	return hit.region->ops->read(hit.region, addr - hit.base, size) & bus_mask(size);
}

void bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value)
{
	struct bus_hit hit = bus_find(bus, addr);

	if (!hit.region || hit.last - addr < size - 1) {
		log_trace("%s bus: write of %u bytes at %#llx hits nothing", bus->name, size,
			(unsigned long long)addr);
		return;
	}
	hit.region->ops->write(hit.region, addr - hit.base, size, value & bus_mask(size));
}
