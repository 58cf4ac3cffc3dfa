/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root complex: ECAM, CF8/CFC, and where functions and BARs go.
 */
#define LOG_MODULE "pci"
#include "pci/pci_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/overflow.h"
#include "base/thread.h"

#define PCI_PORTS_BASE 0xcf8
#define PCI_ENABLE     0x80000000u
#define PCI_SLOTS      32
#define PCI_FUNCTIONS  8

/* ---- Configuration accesses ---- */

/* 1, 2 or 4 bytes that do not cross a dword; absent functions read as ones. */
static uint32_t pci_config_read(
	struct pci_segment *s, uint32_t bdf, unsigned int off, unsigned int size)
{
	struct pci_dev *dev = bdf < ARRAY_SIZE(s->devs) ? s->devs[bdf] : NULL;

	auto_lock(&s->lock);
	return dev ? pci_dev_config_read(dev, off, size) : UINT32_MAX;
}

static void pci_config_write(
	struct pci_segment *s, uint32_t bdf, unsigned int off, unsigned int size, uint32_t value)
{
	struct pci_dev *dev = bdf < ARRAY_SIZE(s->devs) ? s->devs[bdf] : NULL;

	auto_lock(&s->lock);
	if (dev)
		pci_dev_config_write(dev, off, size, value);
}

/* How many bytes from off on belong to one naturally aligned access of at most `size`. */
static unsigned int pci_piece(unsigned int off, unsigned int size)
{
	unsigned int piece = size >= 4 ? 4 : size >= 2 ? 2 : 1;

	while (off % piece)
		piece /= 2;
	return piece;
}

/* ECAM: address = bus, device, function, register (PCIe 7.2.2). Odd accesses are taken apart. */
static uint64_t pci_ecam_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct pci_segment *s = container_of(region, struct pci_segment, ecam);
	uint64_t value = 0;

	for (unsigned int i = 0; i < size && i < sizeof(value);) {
		unsigned int reg = (unsigned int)((off + i) & 0xfff);
		unsigned int piece = pci_piece(reg, size - i);
		uint64_t mask = piece == 4 ? UINT32_MAX : (1u << (piece * 8)) - 1;

		value |= (pci_config_read(s, (uint32_t)((off + i) >> 12), reg, piece) & mask)
			 << (i * 8);
		i += piece;
	}
	return value;
}

static void pci_ecam_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct pci_segment *s = container_of(region, struct pci_segment, ecam);

	for (unsigned int i = 0; i < size;) {
		unsigned int reg = (unsigned int)((off + i) & 0xfff);
		unsigned int piece = pci_piece(reg, size - i);

		pci_config_write(
			s, (uint32_t)((off + i) >> 12), reg, piece, (uint32_t)(value >> (i * 8)));
		i += piece;
	}
}

static const struct io_ops pci_ecam_ops = {.read = pci_ecam_read, .write = pci_ecam_write};

/* Configuration mechanism #1 (PCI 3.0, 3.2.2.3.2): the register that an access to 0xcfc .. 0xcff
 * means. */
static bool pci_ports_target(struct pci_segment *s, uint64_t off, unsigned int size,
	uint32_t *ret_bdf, unsigned int *ret_reg)
{
	uint32_t address;

	with_lock (&s->lock)
		address = s->address;
	if (off < 4 || off + size > 8 || !(address & PCI_ENABLE))
		return false;
	*ret_bdf = address >> 8 & 0xffff;
	*ret_reg = (address & 0xfc) + (unsigned int)(off - 4);
	return true;
}

static uint64_t pci_ports_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct pci_segment *s = container_of(region, struct pci_segment, ports);
	unsigned int reg;
	uint32_t bdf;

	if (off == 0 && size == 4) {
		auto_lock(&s->lock);
		return s->address;
	}
	if (off == 1 && size == 1 && s->options.reset_control)
		return s->options.reset_control->ops->read(s->options.reset_control, 0, 1);
	return pci_ports_target(s, off, size, &bdf, &reg) ? pci_config_read(s, bdf, reg, size)
							  : UINT64_MAX;
}

static void pci_ports_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct pci_segment *s = container_of(region, struct pci_segment, ports);
	unsigned int reg;
	uint32_t bdf;

	if (off == 0 && size == 4) {
		auto_lock(&s->lock);
		s->address = (uint32_t)value & ~0x7f000003u;
	} else if (off == 1 && size == 1 && s->options.reset_control) {
		s->options.reset_control->ops->write(s->options.reset_control, 0, 1, value);
	} else if (pci_ports_target(s, off, size, &bdf, &reg)) {
		pci_config_write(s, bdf, reg, size, (uint32_t)value);
	}
}

static const struct io_ops pci_ports_ops = {.read = pci_ports_read, .write = pci_ports_write};

/* ---- Creation ---- */

struct err *pci_segment_create(
	const struct pci_segment_options *options, struct pci_segment **ret_segment)
{
	struct pci_segment *s = new0(struct pci_segment);
	struct err *err;

	if (!s)
		return err_new(ENOMEM, "Cannot create a PCI segment");
	s->options = *options;
	pthread_mutex_init(&s->lock, NULL);
	s->ecam = (struct io_region){
		.ops = &pci_ecam_ops, .name = "pci-ecam", .size = (uint64_t)options->n_buses << 20};
	s->ports = (struct io_region){.ops = &pci_ports_ops, .name = "pci-config", .size = 8};
	err = bus_add_at(options->mmio, &s->ecam, options->ecam_base);
	if (!err && options->pio)
		err = bus_add_at(options->pio, &s->ports, PCI_PORTS_BASE);
	if (err) {
		pci_segment_free(s);
		return err;
	}
	*ret_segment = s;
	return NULL;
}

void pci_segment_free(struct pci_segment *s)
{
	if (!s)
		return;
	bus_remove(s->options.mmio, &s->ecam);
	if (s->options.pio)
		bus_remove(s->options.pio, &s->ports);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct err *pci_segment_add(struct pci_segment *s, struct pci_dev *dev)
{
	assert(!s->placed);
	if (s->n == PCI_SLOTS * PCI_FUNCTIONS)
		return err_new(ENOSPC, "More than %d PCI functions", PCI_SLOTS * PCI_FUNCTIONS);
	s->devs[s->n++] = dev;
	dev->segment = s;
	return NULL;
}

struct err *pci_segment_add_function(
	struct pci_segment *s, struct pci_dev *dev, struct pci_dev *first, unsigned int function)
{
	assert(function && function < PCI_FUNCTIONS && !first->beside);
	dev->beside = first;
	dev->function = (uint8_t)function;
	return pci_segment_add(s, dev);
}

void pci_segment_remove(struct pci_segment *s, struct pci_dev *dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->devs); i++) {
		if (s->devs[i] == dev)
			s->devs[i] = NULL;
	}
	pci_dev_unregister_bars(dev);
	dev->segment = NULL;
}

/* ---- Placing ---- */

/*
 * The place of the i-th of n functions. Up to 32, one a slot. Beyond that the last slots take eight
 * each, so many that all fit: the order of addition stays the order of addresses.
 */
static unsigned int pci_place_of(unsigned int i, unsigned int n)
{
	unsigned int extra = n > PCI_SLOTS ? n - PCI_SLOTS : 0;
	unsigned int full = (extra + PCI_FUNCTIONS - 2) /
			    (PCI_FUNCTIONS - 1); /* slots with several functions */
	unsigned int single = PCI_SLOTS - full;

	if (i < single)
		return i * PCI_FUNCTIONS;
	return single * PCI_FUNCTIONS + (i - single);
}

static void pci_assign_pin(struct pci_segment *s, struct pci_dev *dev)
{
	if (!dev->config[PCI_INTERRUPT_PIN] || !s->options.intx)
		return;
	dev->config[PCI_INTERRUPT_PIN] = (uint8_t)(dev->function % 4 + 1);
	dev->intx = s->options.intx->route(s->options.intx, dev, dev->function % 4);
}

static struct err *pci_assign_at(struct pci_segment *s, struct pci_dev *dev, unsigned int at)
{
	if (s->devs[at])
		return err_new(ENOSPC, "There are so many PCI functions that %s has no place",
			dev->device.name);
	s->devs[at] = dev;
	dev->slot = (uint8_t)(at / PCI_FUNCTIONS);
	dev->function = (uint8_t)(at % PCI_FUNCTIONS);
	if (dev->function)
		s->devs[at - dev->function]->config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTIFUNCTION;
	pci_assign_pin(s, dev);
	return NULL;
}

/* Those with a function number of their own take no slot. */
static struct err *pci_assign(struct pci_segment *s)
{
	struct pci_dev *order[ARRAY_SIZE(s->devs)];
	unsigned int n = 0, placed = 0;
	struct err *err = NULL;

	memcpy(order, s->devs, sizeof(order));
	memset(s->devs, 0, sizeof(s->devs));
	for (unsigned int i = 0; i < s->n; i++)
		n += !order[i]->beside;
	for (unsigned int i = 0; !err && i < s->n; i++) {
		if (!order[i]->beside)
			err = pci_assign_at(s, order[i], pci_place_of(placed++, n));
	}
	for (unsigned int i = 0; !err && i < s->n; i++) {
		const struct pci_dev *first = order[i]->beside;

		if (first)
			err = pci_assign_at(s, order[i],
				(unsigned int)first->slot * PCI_FUNCTIONS + first->function +
					order[i]->function);
	}
	return err;
}

/* Takes size bytes, naturally aligned, from a window; false if they do not fit. */
static bool pci_take(uint64_t *base, uint64_t end, uint64_t size, uint64_t *ret_addr)
{
	uint64_t addr;

	if (add_overflows(*base, size - 1, &addr))
		return false;
	addr = align_down(addr, size);
	if (addr > end || size > end - addr)
		return false;
	*base = addr + size;
	*ret_addr = addr;
	return true;
}

static bool pci_place_bar(struct pci_windows *free, const struct pci_bar *bar, uint64_t *ret_addr)
{
	switch (bar->type) {
	case PCI_BAR_IO:
		return pci_take(&free->io_base, free->io_end, bar->size, ret_addr);
	case PCI_BAR_MEM64:
	case PCI_BAR_MEM64_PREF:
		if (pci_take(&free->mem64_base, free->mem64_end, bar->size, ret_addr))
			return true;
		break;
	case PCI_BAR_MEM32:
	case PCI_BAR_NONE:
		break;
	}
	return pci_take(&free->mem32_base, free->mem32_end, bar->size, ret_addr);
}

static struct err *pci_place_bars(struct pci_dev *dev, struct pci_windows *free)
{
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		const struct pci_bar *bar = &dev->bars[i];
		uint64_t addr;

		if (bar->type == PCI_BAR_NONE || pci_dev_bar_address(dev, i))
			continue;
		if (!pci_place_bar(free, bar, &addr))
			return err_new(ENOSPC, "No room for BAR %u of %s (%llu KiB)", i,
				dev->device.name, (unsigned long long)(bar->size >> 10));
		pci_dev_set_bar_address(dev, i, addr);
	}
	return pci_dev_register_bars(dev);
}

struct err *pci_segment_place(struct pci_segment *s)
{
	struct pci_windows free = s->options.windows;
	struct err *err = pci_assign(s);

	assert(!s->placed);
	s->placed = true;
	free.mem64_base = MAX(free.mem64_base, free.mem64_free);
	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(s->devs); i++) {
		struct pci_dev *dev = s->devs[i];

		if (!dev)
			continue;
		err = pci_place_bars(dev, &free);
		if (err)
			return err;
		if (s->options.enabled)
			pci_dev_enable(dev);
		memcpy(dev->reset_config, dev->config, sizeof(dev->reset_config));
		log_debug("%s is 00:%02x.%u", dev->device.name, dev->slot, dev->function);
	}
	return NULL;
}
