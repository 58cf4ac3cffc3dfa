/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X (PCI 3.0, 6.8.2). The table is written by vCPU threads, vectors are raised by device
 * threads: the device's irq_lock guards both.
 */
#include "pci/pci_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/fd.h"
#include "base/overflow.h"
#include "base/thread.h"
#include "hv/hv.h"

#define MSIX_CAP            0x11
#define MSIX_CONTROL        2 /* in the capability */
#define MSIX_CONTROL_ENABLE 0x8000
#define MSIX_CONTROL_MASK   0x4000
#define MSIX_ENTRY_SIZE     16
#define MSIX_ENTRY_MASKED   0x1
#define MSIX_VECTORS_MAX    2048

struct msix_vector {
	uint64_t addr;
	uint32_t data;
	bool masked;
	bool pending;
	struct hv_irqfd *irqfd; /* NULL until asked for */
};

struct pci_msix {
	struct hv_vm *vm;
	uint32_t table_off, pba_off;
	uint8_t cap; /* offset of the capability */
	bool enabled, masked;
	unsigned int n;
	struct msix_vector vectors[];
};

struct err *pci_msix_add(struct pci_dev *dev, struct hv_vm *vm, unsigned int n, unsigned int bar,
	uint32_t table_off, uint32_t pba_off)
{
	uint8_t body[12] = {0};
	struct pci_msix *msix;

	assert(n && n <= MSIX_VECTORS_MAX && !dev->msix);
	msix = calloc(1, sizeof(*msix) + n * sizeof(msix->vectors[0]));
	if (!msix)
		return err_new(ENOMEM, "Cannot create MSI-X vectors");
	store_le16(body + MSIX_CONTROL, (uint16_t)(n - 1));
	store_le32(body + 4, table_off | bar);
	store_le32(body + 8, pba_off | bar);
	msix->vm = vm;
	msix->n = n;
	msix->table_off = table_off;
	msix->pba_off = pba_off;
	msix->cap = pci_dev_add_cap(dev, MSIX_CAP, body, sizeof(body));
	if (!msix->cap) {
		free(msix);
		return err_new(ENOSPC, "No room for the MSI-X capability");
	}
	store_le16(dev->wmask + msix->cap + MSIX_CONTROL, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
	for (unsigned int i = 0; i < n; i++)
		msix->vectors[i].masked = true;
	dev->msix = msix;
	return NULL;
}

void pci_msix_free(struct pci_dev *dev)
{
	if (!dev->msix)
		return;
	for (unsigned int i = 0; i < dev->msix->n; i++)
		hv_irqfd_free(dev->msix->vectors[i].irqfd);
	free(dev->msix);
	dev->msix = NULL;
}

static bool msix_is_blocked(const struct pci_msix *msix, const struct msix_vector *v)
{
	return !msix->enabled || msix->masked || v->masked;
}

/* ---- With irq_lock held ---- */

static void msix_deliver(struct pci_msix *msix, const struct msix_vector *v)
{
	if (v->irqfd)
		fd_eventfd_signal(hv_irqfd_fd(v->irqfd));
	else
		(void)hv_vm_signal_msi(msix->vm, v->addr, v->data);
}

/*
 * The vector's mask or message, or a mask of all, changed. An eventfd is given its route last, so
 * that a pending bit and what it held itself become one interrupt; when no route is to be had it
 * keeps both.
 */
static void msix_update(struct pci_msix *msix, struct msix_vector *v)
{
	bool blocked = msix_is_blocked(msix, v);

	if (v->pending && !blocked) {
		v->pending = false;
		msix_deliver(msix, v);
	}
	if (v->irqfd && (blocked || hv_irqfd_route(v->irqfd, v->addr, v->data)))
		hv_irqfd_unroute(v->irqfd);
}

/* ---- Table and pending bits ---- */

/* Is [off, off + size) in the table? Tells the vector and the place in its entry. */
static bool msix_in_table(const struct pci_msix *msix, uint64_t off, unsigned int size,
	unsigned int *ret_vector, unsigned int *ret_at)
{
	uint64_t at = off - msix->table_off;

	if (off < msix->table_off || !range_fits(at, size, (uint64_t)msix->n * MSIX_ENTRY_SIZE))
		return false;
	*ret_vector = (unsigned int)(at / MSIX_ENTRY_SIZE);
	*ret_at = (unsigned int)(at % MSIX_ENTRY_SIZE);
	return true;
}

static bool msix_in_pba(const struct pci_msix *msix, uint64_t off, unsigned int size)
{
	return off >= msix->pba_off &&
	       range_fits(off - msix->pba_off, size, align_up(msix->n, 64) / 8);
}

static void msix_store(const struct msix_vector *v, uint8_t entry[MSIX_ENTRY_SIZE])
{
	store_le64(entry, v->addr);
	store_le32(entry + 8, v->data);
	store_le32(entry + 12, v->masked ? MSIX_ENTRY_MASKED : 0);
}

/* What came through the eventfd while nothing took it from there counts as pending. */
static bool msix_is_pending(const struct pci_msix *msix, struct msix_vector *v)
{
	if (v->irqfd && msix_is_blocked(msix, v) && hv_irqfd_take(v->irqfd))
		v->pending = true;
	return v->pending;
}

static uint64_t msix_read_pba(struct pci_msix *msix, uint64_t at, unsigned int size)
{
	uint64_t value = 0;

	for (unsigned int bit = 0; bit < size * 8; bit++) {
		uint64_t i = at * 8 + bit;

		if (i < msix->n && msix_is_pending(msix, &msix->vectors[i]))
			value |= 1ull << bit;
	}
	return value;
}

/* Only whole, aligned dwords and qwords are defined (6.8.2); the rest reads as zeros. */
static bool msix_is_defined(unsigned int at, unsigned int size)
{
	return size >= 4 && !(at % size);
}

bool pci_msix_read(struct pci_dev *dev, uint64_t off, unsigned int size, uint64_t *ret_value)
{
	uint8_t entry[MSIX_ENTRY_SIZE];
	unsigned int vector, at;

	if (!dev->msix)
		return false;
	auto_lock(&dev->irq_lock);
	if (msix_in_table(dev->msix, off, size, &vector, &at)) {
		msix_store(&dev->msix->vectors[vector], entry);
		*ret_value = msix_is_defined(at, size) ? load_le(entry + at, size) : 0;
		return true;
	}
	if (!msix_in_pba(dev->msix, off, size))
		return false;
	*ret_value = msix_read_pba(dev->msix, off - dev->msix->pba_off, size);
	return true;
}

static void msix_write_entry(struct pci_msix *msix, struct msix_vector *v, unsigned int at,
	unsigned int size, uint64_t value)
{
	uint8_t entry[MSIX_ENTRY_SIZE];

	msix_store(v, entry);
	store_le(entry + at, value, size);
	v->addr = load_le64(entry) & ~3ull;
	v->data = load_le32(entry + 8);
	v->masked = load_le32(entry + 12) & MSIX_ENTRY_MASKED;
	msix_update(msix, v);
}

bool pci_msix_write(struct pci_dev *dev, uint64_t off, unsigned int size, uint64_t value)
{
	unsigned int vector, at;

	if (!dev->msix)
		return false;
	auto_lock(&dev->irq_lock);
	if (msix_in_table(dev->msix, off, size, &vector, &at)) {
		if (msix_is_defined(at, size))
			msix_write_entry(dev->msix, &dev->msix->vectors[vector], at, size, value);
		return true;
	}
	return msix_in_pba(dev->msix, off, size); /* read-only */
}

/* ---- Control, signals, reset ---- */

void pci_msix_config_written(struct pci_dev *dev)
{
	struct pci_msix *msix = dev->msix;
	uint16_t control = load_le16(dev->config + msix->cap + MSIX_CONTROL);
	bool enabled = control & MSIX_CONTROL_ENABLE;
	bool masked = control & MSIX_CONTROL_MASK;

	auto_lock(&dev->irq_lock);
	if (enabled == msix->enabled && masked == msix->masked)
		return;
	msix->enabled = enabled;
	msix->masked = masked;
	pci_dev_update_intx_locked(dev);
	for (unsigned int i = 0; i < msix->n; i++)
		msix_update(msix, &msix->vectors[i]);
}

bool pci_msix_is_enabled_locked(const struct pci_dev *dev)
{
	return dev->msix && dev->msix->enabled;
}

bool pci_msix_enabled(const struct pci_dev *dev)
{
	struct pci_dev *d = (struct pci_dev *)(uintptr_t)dev; /* for the lock only */

	auto_lock(&d->irq_lock);
	return pci_msix_is_enabled_locked(d);
}

void pci_msix_signal(struct pci_dev *dev, unsigned int vector)
{
	struct pci_msix *msix = dev->msix;

	if (!msix || vector >= msix->n)
		return;
	auto_lock(&dev->irq_lock);
	if (!msix->enabled)
		return;
	if (msix_is_blocked(msix, &msix->vectors[vector]))
		msix->vectors[vector].pending = true;
	else
		msix_deliver(msix, &msix->vectors[vector]);
}

int pci_msix_fd(struct pci_dev *dev, unsigned int vector)
{
	struct msix_vector *v;
	struct err *err;
	int code;

	if (!dev->msix || vector >= dev->msix->n)
		return -EINVAL;
	auto_lock(&dev->irq_lock);
	v = &dev->msix->vectors[vector];
	if (v->irqfd)
		return hv_irqfd_fd(v->irqfd);
	err = hv_irqfd_create(dev->msix->vm, &v->irqfd);
	if (err) {
		code = err_code(err);
		err_free(err);
		return code ? -code : -EIO;
	}
	msix_update(dev->msix, v);
	return hv_irqfd_fd(v->irqfd);
}

void pci_msix_reset(struct pci_dev *dev)
{
	struct pci_msix *msix = dev->msix;

	if (!msix)
		return;
	auto_lock(&dev->irq_lock);
	msix->enabled = false;
	msix->masked = false;
	for (unsigned int i = 0; i < msix->n; i++) {
		hv_irqfd_free(msix->vectors[i].irqfd);
		msix->vectors[i] = (struct msix_vector){.masked = true};
	}
}
