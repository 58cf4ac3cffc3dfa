/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment on two buses with a fake VM, and toy functions whose BARs answer with the first
 * character of their name and the offset.
 */
#pragma once

#include "hv/fake/hv_fake.h"
#include "pci/pci.h"

#define ECAM      0xe0000000ull
#define RAM_END   0x80000000ull
#define WINDOW    0x80000000ull
#define WINDOW64  0x800000000ull
#define IO_WINDOW 0x1000ull

struct toy {
	struct pci_dev pci;
	unsigned int changes; /* calls of bar_changed */
	bool live;            /* as told by the last */
	uint64_t addr;
};

struct fixture {
	struct hv_vm *vm;
	struct bus *mmio, *pio;
	struct pci_segment *segment;
	struct pci_segment_options options;
	struct pci_intx_router router;
	struct irq_line line;
	unsigned int raised, lowered; /* calls of the line */
	bool level;
	unsigned int routed_pin; /* of the function routed last */
};

static inline uint64_t toy_read(struct io_region *region, uint64_t off, unsigned int size)
{
	return (uint64_t)(unsigned char)region->name[0] << 24 | off;
}

static inline void toy_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
}

static const struct io_ops toy_io_ops = {.read = toy_read, .write = toy_write};

static inline void toy_bar_changed(struct pci_dev *dev, unsigned int bar, bool live, uint64_t addr)
{
	struct toy *toy = container_of(dev, struct toy, pci);

	toy->changes++;
	toy->live = live;
	toy->addr = addr;
}

static const struct pci_dev_ops toy_pci_ops = {.bar_changed = toy_bar_changed};

static inline void toy_init(struct toy *toy)
{
	static const struct pci_ids ids = {.vendor = 0x1234,
		.device = 0x5678,
		.subsystem_vendor = 0x9abc,
		.subsystem = 0xdef0,
		.class_code = 0x010203,
		.revision = 4};

	*toy = (struct toy){.pci.device.name = "toy"};
	pci_dev_init(&toy->pci, &ids, &toy_pci_ops, true);
}

static inline void toy_bar(
	struct toy *toy, unsigned int bar, enum pci_bar_type type, uint64_t size, const char *name)
{
	pci_dev_add_bar(&toy->pci, bar, type, size, &toy_io_ops, name);
}

static inline void fixture_line_set(struct irq_line *line, bool level)
{
	struct fixture *f = container_of(line, struct fixture, line);

	if (level && !f->level)
		f->raised++;
	if (!level && f->level)
		f->lowered++;
	f->level = level;
}

static inline struct irq_line *fixture_route(
	struct pci_intx_router *router, const struct pci_dev *dev, unsigned int pin)
{
	struct fixture *f = container_of(router, struct fixture, router);

	f->routed_pin = pin;
	return &f->line;
}

/* The buses and the options; a test may change these before fixture_start(). */
static inline struct err *fixture_init(struct fixture *f)
{
	struct err *err = hv_fake_create(&f->vm);

	if (!err)
		err = bus_create("MMIO", &f->mmio);
	if (!err)
		err = bus_create("port", &f->pio);
	f->line.set = fixture_line_set;
	f->router.route = fixture_route;
	f->options = (struct pci_segment_options){
		.intx = &f->router,
		.mmio = f->mmio,
		.pio = f->pio,
		.vm = f->vm,
		.ecam_base = ECAM,
		.n_buses = 256,
		.windows = {.io_base = IO_WINDOW,
			.io_end = 0x10000,
			.mem32_base = WINDOW,
			.mem32_end = ECAM,
			.mem64_base = WINDOW64,
			.mem64_end = WINDOW64 << 1},
	};
	return err;
}

static inline struct err *fixture_start(struct fixture *f)
{
	return pci_segment_create(&f->options, &f->segment);
}

static inline void fixture_deinit(struct fixture *f)
{
	pci_segment_free(f->segment);
	bus_free(f->pio);
	bus_free(f->mmio);
	hv_vm_free(f->vm);
	*f = (struct fixture){0};
}

/* Addresses in ECAM of a register of function 0 of a slot on bus 0. */
static inline uint64_t fixture_reg(unsigned int slot, unsigned int reg)
{
	return ECAM | (uint64_t)slot << 15 | reg;
}

static inline uint32_t cfg_read(struct fixture *f, unsigned int slot, unsigned int reg)
{
	return (uint32_t)bus_read(f->mmio, fixture_reg(slot, reg), 4);
}

static inline void cfg_write(struct fixture *f, unsigned int slot, unsigned int reg, uint32_t value)
{
	bus_write(f->mmio, fixture_reg(slot, reg), 4, value);
}
