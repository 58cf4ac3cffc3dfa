/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space of emulated registers: one instance for MMIO, one for port I/O.
 *
 * Theory of operation. A device embeds an `io_region` for each range it answers, adds it once, and
 * may then enable, disable and move it (a guest that programs BARs). The sorted array of enabled
 * regions is guarded by a sequence counter: lookups (vCPU threads) take no lock and retry when a
 * change ran beside them; changes hold the mutex and are made in place, so that no sequence of
 * guest actions allocates. The array grows only in bus_add(); outgrown ones are kept until
 * bus_free(). A region that would overlap another enabled one stays disabled (bus_enable says so):
 * a guest that puts a BAR over something else loses access to that BAR, nothing more. bus_remove()
 * is for the owner of the VM while no vCPU runs.
 */
#pragma once

#include "base/err.h"

struct io_region;

struct io_ops {
	/*
	 * [vcpu] Any vCPU thread, several at once: the device locks. `off` is relative to the
	 * region, `size` is 1, 2, 4 or 8, and off + size lies inside the region. Read returns the
	 * value; bits above size are dropped.
	 */
	uint64_t (*read)(struct io_region *region, uint64_t off, unsigned int size);
	void (*write)(struct io_region *region, uint64_t off, unsigned int size, uint64_t value);
};

struct io_region {
	const struct io_ops *ops; /* set by the device before bus_add() */
	const char *name;         /* for log lines; static */
	uint64_t base;            /* changed only through the bus */
	uint64_t size;            /* > 0 */
	bool enabled;
	bool added;
};

struct bus;

struct err *must_check bus_create(const char *name, struct bus **ret_bus);
void bus_free(struct bus *bus);

/* Makes a region known, disabled. Not owned; stays until bus_remove() or bus_free(). [main] */
struct err *must_check bus_add(struct bus *bus, struct io_region *region);
void bus_remove(struct bus *bus, struct io_region *region);

/* bus_add() and bus_enable() at `base`, for fixed regions; an overlap is an error. [main] */
struct err *must_check bus_add_at(struct bus *bus, struct io_region *region, uint64_t base);

/*
 * Moves the region to base and enables it. 0, -EEXIST if it would overlap an enabled region,
 * -ERANGE if it would wrap; it is then disabled. [vcpu] [main]
 */
int must_check bus_enable(struct bus *bus, struct io_region *region, uint64_t base);
void bus_disable(struct bus *bus, struct io_region *region);

/*
 * One access. Addresses that no region answers, and accesses that cross a region's end, read as all
 * ones and ignore writes. [vcpu]
 */
uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned int size);
void bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value);
