/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI side of a virtio device: identification, capabilities, BAR 0, life. BAR 2 is in
 * virtio_pci_shm.c.
 */
#define LOG_MODULE "virtio"
#include "virtio/pci/virtio_pci.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "virtio/pci/virtio_pci_internal.h"

#define VP_VENDOR      0x1af4
#define VP_DEVICE_BASE 0x1040

/* ---- BAR 0 ---- */

static uint64_t vp_bar_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct virtio_pci *vp = container_of(region, struct virtio_pci, pci.bars[0].region);
	uint64_t value;

	return pci_msix_read(&vp->pci, off, size, &value) ? value : vp_regs_read(vp, off, size);
}

static void vp_bar_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct virtio_pci *vp = container_of(region, struct virtio_pci, pci.bars[0].region);

	if (!pci_msix_write(&vp->pci, off, size, value))
		vp_regs_write(vp, off, size, value);
}

static const struct io_ops vp_bar_ops = {.read = vp_bar_read, .write = vp_bar_write};

static void vp_bar_changed(struct pci_dev *dev, unsigned int bar, bool live, uint64_t addr)
{
	struct virtio_pci *vp = container_of(dev, struct virtio_pci, pci);

	if (bar == VP_SHM_BAR) {
		vp_shm_move(vp, live ? addr : 0);
		return;
	}
	auto_lock(&vp->lock);
	vp_bind_notify(vp, live ? addr : 0);
}

/*
 * A kernel that starts another one (kexec) ends its devices so, before it gives their memory away.
 * What then sets the bit again is a driver that begins with a reset: it must not find the old rings
 * in use meanwhile. (Drivers that never set it are served.)
 */
static void vp_master_lost(struct pci_dev *dev)
{
	struct virtio_pci *vp = container_of(dev, struct virtio_pci, pci);

	auto_lock(&vp->lock);
	if (vp_is_active(vp))
		vp_reset_device(vp, VP_RESET_WAIT_NS);
}

/* ---- PCI_CFG: BAR accesses through configuration space (4.1.4.9) ---- */

/* What the capability's fields name, if that is an access which BAR 0 has. */
static bool vp_cfg_target(const struct virtio_pci *vp, uint32_t *ret_off, unsigned int *ret_size)
{
	const uint8_t *cap = vp->pci.config + vp->cfg_cap;
	uint32_t off = load_le32(cap + VP_CAP_OFFSET);
	uint32_t size = load_le32(cap + VP_CAP_LENGTH);

	if (cap[VP_CAP_BAR] || (size != 1 && size != 2 && size != 4) || off % size ||
		!range_fits(off, size, VP_BAR_SIZE))
		return false;
	*ret_off = off;
	*ret_size = size;
	return true;
}

static bool vp_cfg_is_data(const struct virtio_pci *vp, unsigned int off, unsigned int size)
{
	unsigned int data = vp->cfg_cap + (unsigned int)VP_CAP_DATA;

	return off < data + 4 && off + size > data;
}

static void vp_config_read(struct pci_dev *dev, unsigned int off, unsigned int size)
{
	struct virtio_pci *vp = container_of(dev, struct virtio_pci, pci);
	struct io_region *region = &dev->bars[0].region;
	unsigned int len;
	uint32_t at;

	if (vp_cfg_is_data(vp, off, size) && vp_cfg_target(vp, &at, &len))
		store_le(
			dev->config + vp->cfg_cap + VP_CAP_DATA, vp_bar_read(region, at, len), len);
}

static void vp_config_written(struct pci_dev *dev, unsigned int off, unsigned int size)
{
	struct virtio_pci *vp = container_of(dev, struct virtio_pci, pci);
	struct io_region *region = &dev->bars[0].region;
	unsigned int len;
	uint32_t at;

	if (vp_cfg_is_data(vp, off, size) && vp_cfg_target(vp, &at, &len))
		vp_bar_write(
			region, at, len, load_le(dev->config + vp->cfg_cap + VP_CAP_DATA, len));
}

static const struct pci_dev_ops vp_pci_ops = {.bar_changed = vp_bar_changed,
	.master_lost = vp_master_lost,
	.config_read = vp_config_read,
	.config_written = vp_config_written};

/* ---- Life ---- */

static void vp_reset(struct device *device)
{
	struct virtio_pci *vp = container_of(device, struct virtio_pci, pci.device);

	with_lock (&vp->lock) {
		vp_deactivate(vp);
		vp_regs_reset(vp);
	}
	vp->paused = false;
	pci_dev_reset(&vp->pci);
}

static void vp_quiesce(struct device *device)
{
	vp_pause(container_of(device, struct virtio_pci, pci.device), true);
}

static void vp_resume(struct device *device)
{
	vp_pause(container_of(device, struct virtio_pci, pci.device), false);
}

static void vp_free(struct device *device)
{
	struct virtio_pci *vp = container_of(device, struct virtio_pci, pci.device);

	with_lock (&vp->lock)
		vp_deactivate(vp);
	pci_dev_deinit(&vp->pci);
	vp_shm_move(vp, 0);
	vp->dev->ops->free(vp->dev);
	pthread_mutex_destroy(&vp->lock);
	free(vp);
}

static const struct device_ops vp_device_ops = {
	.reset = vp_reset, .quiesce = vp_quiesce, .resume = vp_resume, .free = vp_free};

static uint8_t vp_add_cap(struct virtio_pci *vp, uint8_t type, uint32_t off, uint32_t len,
	uint32_t extra, uint8_t size)
{
	uint8_t body[VP_CAP_SIZE + 4] = {0};

	body[VP_CAP_LEN] = size;
	body[VP_CAP_CFG_TYPE] = type;
	store_le32(body + VP_CAP_OFFSET, off);
	store_le32(body + VP_CAP_LENGTH, len);
	store_le32(body + VP_CAP_SIZE, extra);
	return pci_dev_add_cap(&vp->pci, VP_CAP_VENDOR, body, size);
}

static struct err *vp_add_caps(struct virtio_pci *vp)
{
	struct err *err = pci_msix_add(
		&vp->pci, vp->hv, vp->dev->n_queues + 1, 0, VP_MSIX_TABLE, VP_MSIX_PBA);
	bool ok;

	if (err)
		return err;
	ok = vp_add_cap(vp, VP_CFG_COMMON, VP_COMMON, VP_COMMON_SIZE, 0, VP_CAP_SIZE) &&
	     vp_add_cap(vp, VP_CFG_ISR, VP_ISR, VP_ISR_SIZE, 0, VP_CAP_SIZE) &&
	     vp_add_cap(vp, VP_CFG_NOTIFY, VP_NOTIFY, vp->dev->n_queues * VP_NOTIFY_STRIDE,
		     VP_NOTIFY_STRIDE, VP_CAP_SIZE + 4);
	if (ok && vp->dev->config_size)
		ok = vp_add_cap(vp, VP_CFG_DEVICE, VP_DEVICE, VP_DEVICE_SIZE, 0, VP_CAP_SIZE);
	if (ok)
		vp->cfg_cap = vp_add_cap(vp, VP_CFG_PCI, 0, 0, 0, VP_CAP_SIZE + 4);
	if (!vp->cfg_cap)
		return err_new(ENOSPC, "No room for the capabilities of %s", vp->dev->name);
	/* bar, offset, length and data are the driver's to write. */
	vp->pci.wmask[vp->cfg_cap + VP_CAP_BAR] = 0xff;
	memset(vp->pci.wmask + vp->cfg_cap + VP_CAP_OFFSET, 0xff, 12);
	return vp_shm_add(vp);
}

static struct virtio_pci *vp_alloc(struct virtio_dev *dev)
{
	unsigned int n = dev->n_threads ? dev->n_threads : 1;
	struct virtio_pci *vp = calloc(1, sizeof(*vp) + n * sizeof(vp->workers[0]));

	assert(dev->n_queues <= VIRTIO_QUEUES_MAX && n <= VIRTIO_THREADS_MAX);
	if (!vp)
		return NULL;
	vp->dev = dev;
	vp->n_workers = n;
	for (unsigned int i = 0; i < n; i++) {
		struct vp_worker *worker = &vp->workers[i];

		worker->vp = vp;
		worker->index = i;
		/* The number is in the 15 characters that the kernel keeps. */
		(void)snprintf(worker->name, sizeof(worker->name), "%.12s.%u", dev->name, i);
	}
	return vp;
}

struct err *virtio_pci_create(
	const struct virtio_pci_options *options, struct virtio_dev *dev, struct pci_dev **ret_dev)
{
	struct virtio_pci *vp = vp_alloc(dev);
	struct pci_ids ids = {
		.vendor = VP_VENDOR,
		.device = (uint16_t)(VP_DEVICE_BASE + dev->id),
		.subsystem_vendor = VP_VENDOR,
		/* 0x40 or more marks a modern device (virtio 1.3, 4.1.2.1); UEFI looks at it. */
		.subsystem = (uint16_t)(VP_DEVICE_BASE + dev->id),
		.class_code = dev->class_code,
		.revision = 1,
	};
	struct err *err;

	if (!vp) {
		err = err_new(ENOMEM, "Cannot create %s", dev->name);
		dev->ops->free(dev);
		return err;
	}
	vp->hv = options->hv;
	vp->ram = options->ram;
	vp->transport = vp_transport;
	vp->pci.device = (struct device){.ops = &vp_device_ops, .name = dev->name};
	pthread_mutex_init(&vp->lock, NULL);
	vp_regs_reset(vp);
	pci_dev_init(&vp->pci, &ids, &vp_pci_ops, true);
	pci_dev_add_bar(&vp->pci, 0, PCI_BAR_MEM32, VP_BAR_SIZE, &vp_bar_ops, dev->name);
	err = vp_add_caps(vp);
	if (err) {
		vp_free(&vp->pci.device);
		return err;
	}
	*ret_dev = &vp->pci;
	return NULL;
}
