/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One PCI function: configuration space, BARs, INTx.
 */
#define LOG_MODULE "pci"
#include "pci/pci_internal.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/log.h"
#include "base/overflow.h"
#include "base/thread.h"

void pci_dev_init(struct pci_dev *dev, const struct pci_ids *ids, const struct pci_dev_ops *ops,
	bool has_intx)
{
	uint8_t *c = dev->config;

	dev->ops = ops;
	dev->next_cap = PCI_FIRST_CAP;
	pthread_mutex_init(&dev->irq_lock, NULL);
	store_le16(c + PCI_VENDOR, ids->vendor);
	store_le16(c + PCI_DEVICE, ids->device);
	c[PCI_REVISION] = ids->revision;
	c[PCI_CLASS] = (uint8_t)ids->class_code;
	store_le16(c + PCI_CLASS + 1, (uint16_t)(ids->class_code >> 8));
	store_le16(c + PCI_SUBSYSTEM, ids->subsystem_vendor);
	store_le16(c + PCI_SUBSYSTEM + 2, ids->subsystem);
	c[PCI_INTERRUPT_PIN] = has_intx;
	store_le16(dev->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
						     PCI_COMMAND_MASTER | PCI_COMMAND_SERR |
						     (has_intx ? PCI_COMMAND_INTX_DISABLE : 0));
	dev->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_dev_deinit(struct pci_dev *dev)
{
	if (dev->segment)
		pci_segment_remove(dev->segment, dev);
	pci_msix_free(dev);
	pthread_mutex_destroy(&dev->irq_lock);
}

/* ---- Declaration ---- */

static bool pci_bar_is_64(const struct pci_bar *bar)
{
	return bar->type == PCI_BAR_MEM64 || bar->type == PCI_BAR_MEM64_PREF;
}

void pci_dev_add_bar(struct pci_dev *dev, unsigned int bar, enum pci_bar_type type, uint64_t size,
	const struct io_ops *ops, const char *name)
{
	static const uint8_t flags[] = {[PCI_BAR_IO] = 0x1,
		[PCI_BAR_MEM32] = 0x0,
		[PCI_BAR_MEM64] = 0x4,
		[PCI_BAR_MEM64_PREF] = 0xc};
	struct pci_bar *b = &dev->bars[bar];
	unsigned int reg = PCI_BAR0 + bar * 4;

	assert(bar < PCI_NUM_BARS && is_pow2(size) && size >= (type == PCI_BAR_IO ? 4 : 16));
	b->type = type;
	b->size = size;
	b->region = (struct io_region){.ops = ops, .name = name, .size = size};
	store_le32(dev->config + reg, flags[type]);
	store_le32(dev->wmask + reg, (uint32_t) ~(size - 1));
	if (!pci_bar_is_64(b))
		return;
	assert(bar + 1 < PCI_NUM_BARS);
	store_le32(dev->wmask + reg + 4, (uint32_t)(~(size - 1) >> 32));
}

uint8_t pci_dev_add_cap(struct pci_dev *dev, uint8_t id, const void *body, uint8_t len)
{
	uint16_t at = dev->next_cap;
	uint8_t *link = &dev->config[PCI_CAPABILITIES];

	if (len < 2 || len > PCI_CONFIG_SIZE - at)
		return 0;
	while (*link)
		link = &dev->config[*link + 1];
	*link = (uint8_t)at;
	memcpy(dev->config + at, body, len);
	dev->config[at] = id;
	dev->config[at + 1] = 0;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	dev->next_cap = (uint16_t)align_up((uint64_t)at + len, 4);
	return (uint8_t)at;
}

/* ---- BARs ---- */

static struct bus *pci_bar_bus(const struct pci_dev *dev, const struct pci_bar *bar)
{
	return bar->type == PCI_BAR_IO ? dev->segment->options.pio : dev->segment->options.mmio;
}

uint64_t pci_dev_bar_address(const struct pci_dev *dev, unsigned int i)
{
	const uint8_t *reg = dev->config + PCI_BAR0 + (size_t)i * 4;

	if (dev->bars[i].type == PCI_BAR_IO)
		return load_le32(reg) & ~0x3u;
	if (pci_bar_is_64(&dev->bars[i]))
		return load_le64(reg) & ~0xfull;
	return load_le32(reg) & ~0xfu;
}

void pci_dev_set_bar_address(struct pci_dev *dev, unsigned int i, uint64_t addr)
{
	uint8_t *reg = dev->config + PCI_BAR0 + (size_t)i * 4;

	store_le32(reg, (uint32_t)addr | (load_le32(reg) & 0xf));
	if (pci_bar_is_64(&dev->bars[i]))
		store_le32(reg + 4, (uint32_t)(addr >> 32));
}

static bool pci_inside(uint64_t addr, uint64_t size, uint64_t base, uint64_t end)
{
	return addr >= base && range_fits(addr - base, size, end - base);
}

/* A BAR answers only inside the windows: never over RAM, nor over what is not PCI. */
static bool pci_bar_allowed(const struct pci_dev *dev, const struct pci_bar *bar, uint64_t addr)
{
	const struct pci_windows *w = &dev->segment->options.windows;

	if (bar->type == PCI_BAR_IO)
		return pci_inside(addr, bar->size, w->io_base, w->io_end);
	return pci_inside(addr, bar->size, w->mem32_base, w->mem32_end) ||
	       pci_inside(addr, bar->size, w->high32_base, w->high32_end) ||
	       pci_inside(addr, bar->size, w->mem64_base, w->mem64_end);
}

/* Where the guest wants the BAR; false: nowhere. */
static bool pci_bar_wanted(const struct pci_dev *dev, unsigned int i, uint64_t *ret_addr)
{
	const struct pci_bar *bar = &dev->bars[i];
	uint16_t enable = bar->type == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

	*ret_addr = pci_dev_bar_address(dev, i);
	return load_le16(dev->config + PCI_COMMAND) & enable &&
	       pci_bar_allowed(dev, bar, *ret_addr);
}

/* true if the BAR left the place where it answered. */
static bool pci_update_bar(struct pci_dev *dev, unsigned int i)
{
	struct pci_bar *bar = &dev->bars[i];
	bool was_live = bar->live;
	uint64_t addr;
	bool wanted = pci_bar_wanted(dev, i, &addr);

	if (wanted == was_live && (!wanted || addr == bar->region.base))
		return false;
	if (wanted)
		bar->live = !bus_enable(pci_bar_bus(dev, bar), &bar->region, addr);
	else
		bus_disable(pci_bar_bus(dev, bar), &bar->region);
	bar->live &= wanted;
	if (wanted && !bar->live)
		dev->segment->has_blocked_bars = true;
	if (!was_live && !bar->live)
		return false;
	log_debug("%s: BAR %u %s %#llx", dev->device.name, i,
		bar->live ? "at" : "is off, was programmed to", (unsigned long long)addr);
	if (dev->ops && dev->ops->bar_changed)
		dev->ops->bar_changed(dev, i, bar->live, addr);
	return was_live;
}

static bool pci_update_own_bars(struct pci_dev *dev)
{
	bool left = false;

	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		if (dev->bars[i].type != PCI_BAR_NONE)
			left |= pci_update_bar(dev, i);
	}
	return left;
}

/*
 * A guest that exchanges two BARs puts one over the other for a moment. The one that had to give
 * way comes back when the place is free. (What comes back leaves no place: one round is enough.)
 */
void pci_dev_update_bars(struct pci_dev *dev)
{
	struct pci_segment *s = dev->segment;

	if (!pci_update_own_bars(dev) || !s->has_blocked_bars)
		return;
	s->has_blocked_bars = false;
	for (size_t i = 0; i < ARRAY_SIZE(s->devs); i++) {
		if (s->devs[i])
			(void)pci_update_own_bars(s->devs[i]);
	}
}

struct err *pci_dev_register_bars(struct pci_dev *dev)
{
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		struct pci_bar *bar = &dev->bars[i];
		struct err *err;

		if (bar->type == PCI_BAR_NONE)
			continue;
		if (!pci_bar_bus(dev, bar))
			return err_new(EINVAL, "%s has an I/O BAR, this machine no port I/O",
				dev->device.name);
		err = bus_add(pci_bar_bus(dev, bar), &bar->region);
		if (err)
			return err;
	}
	return NULL;
}

void pci_dev_unregister_bars(struct pci_dev *dev)
{
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		if (dev->bars[i].type != PCI_BAR_NONE && pci_bar_bus(dev, &dev->bars[i]))
			bus_remove(pci_bar_bus(dev, &dev->bars[i]), &dev->bars[i].region);
		dev->bars[i].live = false;
	}
}

/* ---- INTx ---- */

void pci_dev_update_intx_locked(struct pci_dev *dev)
{
	irq_line_set(dev->intx,
		dev->intx_level && !dev->intx_disabled && !pci_msix_is_enabled_locked(dev));
}

void pci_dev_set_intx(struct pci_dev *dev, bool level)
{
	auto_lock(&dev->irq_lock);
	dev->intx_level = level;
	pci_dev_update_intx_locked(dev);
}

static bool pci_is_master(const struct pci_dev *dev)
{
	return load_le16(dev->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static void pci_command_written(struct pci_dev *dev, bool was_master)
{
	if (was_master && !pci_is_master(dev) && dev->ops && dev->ops->master_lost)
		dev->ops->master_lost(dev);
	pci_dev_update_bars(dev);
	auto_lock(&dev->irq_lock);
	dev->intx_disabled = load_le16(dev->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
	pci_dev_update_intx_locked(dev);
}

/* ---- Configuration space ---- */

static bool pci_touches(unsigned int off, unsigned int size, unsigned int first, unsigned int end)
{
	return off < end && off + size > first;
}

static void pci_refresh_status(struct pci_dev *dev)
{
	auto_lock(&dev->irq_lock);
	dev->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
	if (dev->intx_level)
		dev->config[PCI_STATUS] |= PCI_STATUS_INTX;
}

uint32_t pci_dev_config_read(struct pci_dev *dev, unsigned int off, unsigned int size)
{
	if (off + size > PCI_CONFIG_SIZE)
		return 0;
	if (pci_touches(off, size, PCI_STATUS, PCI_STATUS + 2))
		pci_refresh_status(dev);
	if (dev->ops && dev->ops->config_read)
		dev->ops->config_read(dev, off, size);
	return (uint32_t)load_le(dev->config + off, size);
}

void pci_dev_config_write(struct pci_dev *dev, unsigned int off, unsigned int size, uint32_t value)
{
	bool was_master = pci_is_master(dev);

	if (off + size > PCI_CONFIG_SIZE)
		return;
	for (unsigned int i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> (i * 8));
		uint8_t *c = &dev->config[off + i];
		uint8_t mask = dev->wmask[off + i];

		*c = (uint8_t)((*c & ~mask) | (byte & mask));
		*c &= (uint8_t) ~(byte & dev->w1cmask[off + i]);
	}
	if (pci_touches(off, size, PCI_COMMAND, PCI_COMMAND + 2))
		pci_command_written(dev, was_master);
	else if (pci_touches(off, size, PCI_BAR0, PCI_BAR_END))
		pci_dev_update_bars(dev);
	if (dev->msix)
		pci_msix_config_written(dev);
	if (dev->ops && dev->ops->config_written)
		dev->ops->config_written(dev, off, size);
}

void pci_dev_enable(struct pci_dev *dev)
{
	uint16_t command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	store_le16(dev->config + PCI_COMMAND, command & load_le16(dev->wmask + PCI_COMMAND));
	pci_dev_update_bars(dev);
}

void pci_dev_reset(struct pci_dev *dev)
{
	with_lock (&dev->segment->lock) {
		memcpy(dev->config, dev->reset_config, sizeof(dev->config));
		pci_command_written(dev, false);
		pci_msix_reset(dev);
	}
	pci_dev_set_intx(dev, false);
}
