/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of BAR 0 (virtio 1.3, 4.1.4). Every access is to whole fields: of the field's own
 * width, or 32-bit halves of a 64-bit one (4.1.3.1); other widths read the bytes that are there and
 * write nothing.
 */
#define LOG_MODULE "virtio"
#include "virtio/pci/virtio_pci_internal.h"

#include "base/endian.h"

/* struct virtio_pci_common_cfg (4.1.4.3) */
enum {
	VP_DEVICE_FEATURE_SELECT = 0x00,
	VP_DEVICE_FEATURE = 0x04,
	VP_DRIVER_FEATURE_SELECT = 0x08,
	VP_DRIVER_FEATURE = 0x0c,
	VP_CONFIG_VECTOR = 0x10,
	VP_NUM_QUEUES = 0x12,
	VP_STATUS = 0x14,
	VP_GENERATION = 0x15,
	VP_QUEUE_SELECT = 0x16,
	VP_QUEUE_SIZE = 0x18,
	VP_QUEUE_VECTOR = 0x1a,
	VP_QUEUE_ENABLE = 0x1c,
	VP_QUEUE_NOTIFY_OFF = 0x1e,
	VP_QUEUE_DESC = 0x20,
	VP_QUEUE_DRIVER = 0x28,
	VP_QUEUE_DEVICE = 0x30,
	VP_QUEUE_NOTIFY_DATA = 0x38,
	VP_QUEUE_RESET = 0x3a,
};

uint64_t vp_features(const struct virtio_pci *vp)
{
	const uint64_t own = VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
			     VIRTIO_F_RING_PACKED | VIRTIO_F_NOTIFICATION_DATA |
			     VIRTIO_F_NOTIF_CONFIG_DATA;

	uint64_t features = vp->dev->features | (own & ~vp->dev->excluded);

	return atomic_load(&vp->shm_is_moved) ? features & ~vp->dev->shm_features : features;
}

void vp_regs_reset(struct virtio_pci *vp)
{
	vp->status = 0;
	vp->isr = 0;
	vp->config_vector = VP_NO_VECTOR;
	vp->queue_select = 0;
	vp->device_feature_select = 0;
	vp->driver_feature_select = 0;
	vp->driver_features = 0;
	vp->accepts_unoffered = false;
	vp->dev->negotiated = 0;
	if (vp->dev->ops->reset)
		vp->dev->ops->reset(vp->dev);
	for (unsigned int i = 0; i < vp->dev->n_queues; i++) {
		vp->queues[i] = (struct vp_queue){.size = vp->dev->queue_size,
			.vector = VP_NO_VECTOR,
			.kick.fd = -1,
			.vp = vp};
	}
}

/* ---- Reads: the whole structure as bytes, then the part asked for ---- */

static uint32_t vp_half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void vp_store_queue(const struct virtio_pci *vp, uint8_t *image)
{
	const struct vp_queue *q;

	/* A queue that does not exist reads as zeros (4.1.4.3.1). */
	if (vp->queue_select >= vp->dev->n_queues)
		return;
	q = &vp->queues[vp->queue_select];
	store_le16(image + VP_QUEUE_SIZE, q->size);
	store_le16(image + VP_QUEUE_VECTOR, q->vector);
	store_le16(image + VP_QUEUE_ENABLE, q->enabled);
	store_le16(image + VP_QUEUE_NOTIFY_OFF, vp->queue_select);
	store_le64(image + VP_QUEUE_DESC, q->desc);
	store_le64(image + VP_QUEUE_DRIVER, q->driver);
	store_le64(image + VP_QUEUE_DEVICE, q->device);
	store_le16(image + VP_QUEUE_NOTIFY_DATA, vp->queue_select);
	store_le16(image + VP_QUEUE_RESET, atomic_load(&q->resetting));
}

static void vp_common_image(const struct virtio_pci *vp, uint8_t image[VP_COMMON_SIZE])
{
	memset(image, 0, VP_COMMON_SIZE);
	store_le32(image + VP_DEVICE_FEATURE_SELECT, vp->device_feature_select);
	store_le32(image + VP_DEVICE_FEATURE, vp_half(vp_features(vp), vp->device_feature_select));
	store_le32(image + VP_DRIVER_FEATURE_SELECT, vp->driver_feature_select);
	store_le32(
		image + VP_DRIVER_FEATURE, vp_half(vp->driver_features, vp->driver_feature_select));
	store_le16(image + VP_CONFIG_VECTOR, vp->config_vector);
	store_le16(image + VP_NUM_QUEUES, (uint16_t)vp->dev->n_queues);
	image[VP_STATUS] = atomic_load(&vp->status);
	image[VP_GENERATION] = atomic_load(&vp->generation);
	store_le16(image + VP_QUEUE_SELECT, vp->queue_select);
	vp_store_queue(vp, image);
}

static uint64_t vp_common_read(struct virtio_pci *vp, unsigned int off, unsigned int size)
{
	uint8_t image[VP_COMMON_SIZE];

	vp_common_image(vp, image);
	return load_le(image + off, size);
}

/*
 * Reading acknowledges (4.1.4.5). The device's thread sets a bit, then the pin: what it set after
 * the exchange must not be undone by the clearing of the pin.
 */
static uint64_t vp_isr_read(struct virtio_pci *vp)
{
	uint8_t isr = atomic_exchange(&vp->isr, 0);

	pci_dev_set_intx(&vp->pci, false);
	if (atomic_load(&vp->isr))
		pci_dev_set_intx(&vp->pci, true);
	return isr;
}

static uint64_t vp_device_read(struct virtio_pci *vp, unsigned int off, unsigned int size)
{
	uint8_t data[8] = {0};

	if (vp->dev->ops->config_read && off < vp->dev->config_size)
		vp->dev->ops->config_read(
			vp->dev, off, data, MIN(size, vp->dev->config_size - off));
	return load_le(data, size);
}

static bool vp_in(uint64_t off, unsigned int size, uint64_t base, uint64_t len)
{
	return off >= base && range_fits(off - base, size, len);
}

void vp_reset_device(struct virtio_pci *vp, uint64_t wait_ns)
{
	if (!vp_deactivate_within(vp, wait_ns))
		return;
	vp_regs_reset(vp);
	pci_dev_set_intx(&vp->pci, false);
}

uint64_t vp_regs_read(struct virtio_pci *vp, uint64_t off, unsigned int size)
{
	auto_lock(&vp->lock);
	if (vp->stopping)
		vp_reset_device(vp, 0);
	if (vp_in(off, size, VP_COMMON, VP_COMMON_SIZE))
		return vp_common_read(vp, (unsigned int)(off - VP_COMMON), size);
	if (vp_in(off, size, VP_ISR, 1))
		return vp_isr_read(vp);
	if (vp_in(off, size, VP_DEVICE, VP_DEVICE_SIZE))
		return vp_device_read(vp, (unsigned int)(off - VP_DEVICE), size);
	return 0;
}

/* ---- Writes ---- */

static bool vp_features_are_fine(const struct virtio_pci *vp)
{
	return !vp->accepts_unoffered && !(vp->driver_features & ~vp_features(vp)) &&
	       vp->driver_features & VIRTIO_F_VERSION_1;
}

/* 3.1.1: the driver's steps are taken in order; a step out of order does not happen. */
static void vp_write_status(struct virtio_pci *vp, uint8_t value)
{
	uint8_t old = atomic_load(&vp->status);
	uint8_t now = value & (uint8_t)~VP_S_NEEDS_RESET;

	if (!value) {
		vp_reset_device(vp, VP_RESET_WAIT_NS);
		return;
	}
	/* Bits are not cleared but by a reset (2.1.1). */
	now |= old;
	if (now & ~old & VP_S_FEATURES_OK && !vp_features_are_fine(vp))
		now &= (uint8_t)~VP_S_FEATURES_OK;
	if (now & ~old & VP_S_FEATURES_OK)
		vp->dev->negotiated = vp->driver_features;
	if (now & VP_S_DRIVER_OK && !(now & VP_S_FEATURES_OK))
		now &= (uint8_t)~VP_S_DRIVER_OK;
	/* Only adds, as NEEDS_RESET may come from the device's thread at any time. */
	atomic_fetch_or(&vp->status, now);
	if (now & ~old & VP_S_DRIVER_OK && !(now & (VP_S_FAILED | VP_S_NEEDS_RESET)))
		vp_activate(vp);
}

static void vp_write_driver_feature(struct virtio_pci *vp, uint32_t value)
{
	uint32_t select = vp->driver_feature_select;

	if (vp->status & VP_S_FEATURES_OK)
		return;
	if (select < 2)
		vp->driver_features = (vp->driver_features & ~(0xffffffffull << (32 * select))) |
				      (uint64_t)value << (32 * select);
	else if (value)
		vp->accepts_unoffered = true;
}

static uint16_t vp_vector(const struct virtio_pci *vp, uint64_t value)
{
	/* A vector that cannot be mapped reads back as NO_VECTOR (4.1.5.1.2). */
	return value <= vp->dev->n_queues ? (uint16_t)value : VP_NO_VECTOR;
}

/* The selected queue, if its registers may be written: until it is enabled or DRIVER_OK, and again
 * when the driver has reset it; else NULL. */
static struct vp_queue *vp_writable_queue(struct virtio_pci *vp)
{
	struct vp_queue *q;

	if (vp->queue_select >= vp->dev->n_queues)
		return NULL;
	q = &vp->queues[vp->queue_select];
	if (q->enabled || atomic_load(&q->resetting))
		return NULL;
	return vp->status & VP_S_DRIVER_OK && !q->was_reset ? NULL : q;
}

/* A packed ring may have any size (2.8.10.1), a split one a power of two (2.7). */
static bool vp_is_size(const struct virtio_pci *vp, uint64_t size)
{
	return size && size <= vp->dev->queue_size &&
	       (is_pow2(size) || vp->driver_features & VIRTIO_F_RING_PACKED);
}

static void vp_enable_queue(struct vp_queue *q)
{
	q->enabled = true;
	if (q->was_reset)
		vp_enable_again(q);
}

static void vp_write_queue(struct virtio_pci *vp, unsigned int off, uint64_t value)
{
	struct vp_queue *q = vp_writable_queue(vp);

	if (!q)
		return;
	if (off == VP_QUEUE_SIZE && vp_is_size(vp, value))
		q->size = (uint16_t)value;
	else if (off == VP_QUEUE_VECTOR)
		q->vector = vp_vector(vp, value);
	else if (off == VP_QUEUE_ENABLE && value == 1 && vp->status & VP_S_FEATURES_OK)
		vp_enable_queue(q);
}

/* 4.1.4.3.1: only 1 has a meaning. */
static void vp_write_reset(struct virtio_pci *vp, uint64_t value)
{
	struct vp_queue *q;

	if (value != 1 || vp->queue_select >= vp->dev->n_queues || !vp_is_active(vp) ||
		!(vp->driver_features & VIRTIO_F_RING_RESET))
		return;
	q = &vp->queues[vp->queue_select];
	if (q->enabled)
		vp_reset_queue(q);
}

/* A 64-bit field, or a half of it. */
static void vp_set_address(uint64_t *field, unsigned int at, unsigned int size, uint64_t value)
{
	if (size == 8)
		*field = value;
	else if (at)
		*field = (*field & 0xffffffffull) | value << 32;
	else
		*field = (*field & ~0xffffffffull) | value;
}

static void vp_write_address(
	struct virtio_pci *vp, unsigned int off, unsigned int size, uint64_t value)
{
	struct vp_queue *q = vp_writable_queue(vp);
	unsigned int at = off & 7;

	if (!q || off % size || size < 4)
		return;
	if (off - at == VP_QUEUE_DESC)
		vp_set_address(&q->desc, at, size, value);
	else if (off - at == VP_QUEUE_DRIVER)
		vp_set_address(&q->driver, at, size, value);
	else if (off - at == VP_QUEUE_DEVICE)
		vp_set_address(&q->device, at, size, value);
}

static void vp_common_write(
	struct virtio_pci *vp, unsigned int off, unsigned int size, uint64_t value)
{
	/* Offset and width together: a wrong width is none of these. */
	switch (off << 4 | size) {
	case VP_DEVICE_FEATURE_SELECT << 4 | 4:
		vp->device_feature_select = (uint32_t)value;
		break;
	case VP_DRIVER_FEATURE_SELECT << 4 | 4:
		vp->driver_feature_select = (uint32_t)value;
		break;
	case VP_DRIVER_FEATURE << 4 | 4:
		vp_write_driver_feature(vp, (uint32_t)value);
		break;
	case VP_CONFIG_VECTOR << 4 | 2:
		if (!(vp->status & VP_S_DRIVER_OK))
			vp->config_vector = vp_vector(vp, value);
		break;
	case VP_STATUS << 4 | 1:
		vp_write_status(vp, (uint8_t)value);
		break;
	case VP_QUEUE_SELECT << 4 | 2:
		vp->queue_select = (uint16_t)value;
		break;
	case VP_QUEUE_SIZE << 4 | 2:
	case VP_QUEUE_VECTOR << 4 | 2:
	case VP_QUEUE_ENABLE << 4 | 2:
		vp_write_queue(vp, off, value);
		break;
	case VP_QUEUE_RESET << 4 | 2:
		vp_write_reset(vp, value);
		break;
	default:
		if (off >= VP_QUEUE_DESC && off + size <= VP_QUEUE_DEVICE + 8)
			vp_write_address(vp, off, size, value);
		break;
	}
}

static void vp_device_write(
	struct virtio_pci *vp, unsigned int off, unsigned int size, uint64_t value)
{
	uint8_t data[8];

	store_le(data, value, size);
	if (vp->dev->ops->config_write && range_fits(off, size, vp->dev->config_size))
		vp->dev->ops->config_write(vp->dev, off, data, size);
}

void vp_regs_write(struct virtio_pci *vp, uint64_t off, unsigned int size, uint64_t value)
{
	auto_lock(&vp->lock);
	if (vp->stopping)
		vp_reset_device(vp, 0);
	if (vp->stopping)
		return;
	if (vp_in(off, size, VP_COMMON, VP_COMMON_SIZE))
		vp_common_write(vp, (unsigned int)(off - VP_COMMON), size, value);
	else if (vp_in(off, size, VP_DEVICE, VP_DEVICE_SIZE))
		vp_device_write(vp, (unsigned int)(off - VP_DEVICE), size, value);
	else if (vp_in(off, size, VP_NOTIFY, (uint64_t)VIRTIO_QUEUES_MAX * VP_NOTIFY_STRIDE))
		vp_kick(vp, (unsigned int)((off - VP_NOTIFY) / VP_NOTIFY_STRIDE));
}
