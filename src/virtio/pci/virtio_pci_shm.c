/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory of a virtio device (virtio 1.3, 2.10 and 4.1.4.7): host memory in BAR 2. [vcpu]
 * [main]
 *
 * Theory of operation. The regions lie in one 64-bit BAR, one behind the other, and a capability
 * for each tells the driver where. While the BAR is decoded each region is a memory slot of the
 * hypervisor; the rest of the BAR reads as ones. A guest may put the BAR wherever the windows
 * allow, where the bus keeps BARs apart; what else is there (memory that belongs into the
 * window, see below) the hypervisor does not let us map over. Then the region is not to be seen
 * until the BAR moves again: the guest has lost nothing but its own access. Slots follow the BAR
 * under the segment's lock, by which it moves.
 *
 * Memory of a BAR is for the guest's processors. Other devices (virtqueues, vhost) reach what is
 * in the map of RAM (mem/ram.h), and that does not change as a guest moves BARs: a region of which
 * they are to read and write is in that map, at an address that never changes, and the BAR begins
 * its life over it (`shm_gpa`). There it needs no slot of its own, nor any change of slots when a
 * driver switches decoding off and on to learn sizes. A second slot for the same host memory comes
 * into being only if a guest moves such a BAR away. As devices know the first address only, and
 * what a guest puts there instead cannot be seen, features by which a driver would look for memory
 * in the BAR are then not offered (`shm_features`): it uses what it is told otherwise.
 */
#define LOG_MODULE "virtio"
#include "virtio/pci/virtio_pci_internal.h"

#include <errno.h>

#include "base/endian.h"
#include "base/overflow.h"
#include "hv/hv.h"

#define VP_SHM_CAP_SIZE  (VP_CAP_SIZE + 8) /* with the upper halves (struct virtio_pci_cap64) */
#define VP_SHM_OFFSET_HI VP_CAP_SIZE
#define VP_SHM_LENGTH_HI (VP_CAP_SIZE + 4)
#define VP_SHM_ALIGN     4096u
#define VP_SHM_HUGE      MIB(2) /* regions of this size and more may be mapped by huge pages */

/* What is beside the regions, and in place of one that could not be mapped. */
static uint64_t vp_shm_read(struct io_region *region, uint64_t off, unsigned int size)
{
	return UINT64_MAX;
}

static void vp_shm_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
}

static const struct io_ops vp_shm_ops = {.read = vp_shm_read, .write = vp_shm_write};

static bool vp_shm_add_cap(struct virtio_pci *vp, uint8_t id, uint64_t off, uint64_t len)
{
	uint8_t body[VP_SHM_CAP_SIZE] = {0};

	body[VP_CAP_LEN] = VP_SHM_CAP_SIZE;
	body[VP_CAP_CFG_TYPE] = VP_CFG_SHM;
	body[VP_CAP_BAR] = VP_SHM_BAR;
	body[VP_CAP_ID] = id;
	store_le32(body + VP_CAP_OFFSET, (uint32_t)off);
	store_le32(body + VP_CAP_LENGTH, (uint32_t)len);
	store_le32(body + VP_SHM_OFFSET_HI, (uint32_t)(off >> 32));
	store_le32(body + VP_SHM_LENGTH_HI, (uint32_t)(len >> 32));
	return pci_dev_add_cap(&vp->pci, VP_CAP_VENDOR, body, sizeof(body)) != 0;
}

struct err *vp_shm_add(struct virtio_pci *vp)
{
	const struct virtio_dev *dev = vp->dev;
	uint64_t end = 0;

	assert(dev->n_shm <= VIRTIO_SHM_MAX && (!dev->shm_gpa || dev->n_shm == 1));
	for (unsigned int i = 0; i < dev->n_shm; i++) {
		uint64_t len = dev->shm[i].memory.iov_len;

		assert(len && len % VP_SHM_ALIGN == 0);
		vp->shm_off[i] = align_up(end, len >= VP_SHM_HUGE ? VP_SHM_HUGE : VP_SHM_ALIGN);
		end = vp->shm_off[i] + len;
		if (!vp_shm_add_cap(vp, dev->shm[i].id, vp->shm_off[i], len))
			return err_new(ENOSPC, "No room for the capabilities of %s", dev->name);
	}
	if (!end)
		return NULL;
	pci_dev_add_bar(&vp->pci, VP_SHM_BAR, PCI_BAR_MEM64_PREF, 1ull << ceil_log2(end),
		&vp_shm_ops, dev->name);
	if (dev->shm_gpa)
		pci_dev_set_bar_address(&vp->pci, VP_SHM_BAR, dev->shm_gpa);
	return NULL;
}

/* One region, to this address, or to none (0). */
static void vp_shm_map(struct virtio_pci *vp, unsigned int i, uint64_t gpa)
{
	const struct iovec *memory = &vp->dev->shm[i].memory;
	struct err *err;

	if (vp->shm_at[i] == gpa)
		return;
	if (vp->shm_at[i]) {
		err = hv_vm_unmap(vp->hv, vp->shm_at[i], memory->iov_len);
		if (err) {
			log_err_free(LOG_WARN, LOG_MODULE, err);
			return;
		}
		vp->shm_at[i] = 0;
	}
	if (!gpa)
		return;
	err = hv_vm_map(vp->hv, gpa, memory->iov_len, memory->iov_base, false);
	if (err) {
		log_guest(&vp->dev->limit, "%s: no shared memory %u at %#llx: %s", vp->dev->name,
			vp->dev->shm[i].id, (unsigned long long)gpa, err_strerror(err_code(err)));
		err_free(err);
		return;
	}
	vp->shm_at[i] = gpa;
}

void vp_shm_move(struct virtio_pci *vp, uint64_t bar)
{
	bool is_first = bar == vp->dev->shm_gpa;

	atomic_store(&vp->shm_is_moved, !is_first);
	/* There it is in any case. */
	if (is_first)
		bar = 0;
	for (unsigned int i = 0; i < vp->dev->n_shm; i++)
		vp_shm_map(vp, i, bar ? bar + vp->shm_off[i] : 0);
}
