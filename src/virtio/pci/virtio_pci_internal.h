/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport's state, shared by its files.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "virtio/pci/virtio_pci.h"

/* BAR 0: the MSI-X structures, then the registers, each in a page of its own. */
#define VP_BAR_SIZE      0x8000u
#define VP_MSIX_TABLE    0x0000u
#define VP_MSIX_PBA      0x1000u
#define VP_COMMON        0x2000u
#define VP_COMMON_SIZE   0x40u
#define VP_ISR           0x3000u
#define VP_ISR_SIZE      0x4u
#define VP_DEVICE        0x4000u
#define VP_DEVICE_SIZE   0x1000u
#define VP_NOTIFY        0x5000u
#define VP_NOTIFY_STRIDE 4u

/* BAR 2: shared memory. */
#define VP_SHM_BAR 2

/* Vendor capabilities (4.1.4). */
#define VP_CAP_VENDOR   0x09
#define VP_CAP_SIZE     16u
#define VP_CAP_LEN      2
#define VP_CAP_CFG_TYPE 3
#define VP_CAP_BAR      4
#define VP_CAP_ID       5
#define VP_CAP_OFFSET   8
#define VP_CAP_LENGTH   12
#define VP_CAP_DATA     16
enum { VP_CFG_COMMON = 1, VP_CFG_NOTIFY, VP_CFG_ISR, VP_CFG_DEVICE, VP_CFG_PCI, VP_CFG_SHM = 8 };

#define VP_NO_VECTOR 0xffffu

/* What a vCPU waits for a device that ends what it is at. */
#define VP_RESET_WAIT_NS 100000000u

/* Device status (2.1). */
#define VP_S_ACKNOWLEDGE 0x01
#define VP_S_DRIVER      0x02
#define VP_S_DRIVER_OK   0x04
#define VP_S_FEATURES_OK 0x08
#define VP_S_NEEDS_RESET 0x40
#define VP_S_FAILED      0x80

#define VP_ISR_QUEUE     0x1
#define VP_ISR_CONFIG    0x2

/* What the device's thread works with while the queue is up. */
struct vp_setup {
	struct virtq_layout layout;
	uint16_t vector;
};

/* One of the device's threads, and what it runs. */
struct vp_worker {
	struct virtio_pci *vp;
	unsigned int index;
	char name[16]; /* of those but the first, which has the device's */
	struct thread thread;
	struct loop *loop; /* while the device is active */
	struct loop_msg pause_msg;
};

struct vp_queue {
	/* Registers. */
	uint16_t size;
	uint16_t vector;
	bool enabled;
	uint64_t desc, driver, device;

	struct virtio_pci *vp;
	struct vp_worker *worker; /* that serves it; while the device is active */
	struct loop_fd kick;      /* fd -1: not enabled when the device became active */
	bool bound;               /* to the BAR's address, by ioeventfd */
	bool was_reset;           /* by the driver; may be set up again */
	_Atomic bool resetting;   /* until its thread has let go of it */
	struct loop_msg reset_msg, start_msg;

	/* Of its thread; `setup` is written while the queue is neither enabled nor resetting. */
	struct vp_setup setup;
	bool up;       /* kick is to be polled */
	bool draining; /* resetting, with chains in flight */
	bool irqfd_asked;
	bool taken; /* kick is read by the kernel */
};

struct virtio_pci {
	struct pci_dev pci;
	struct virtio_dev *dev;
	struct virtio_transport transport;
	struct hv_vm *hv;
	const struct ram *ram;
	uint8_t cfg_cap;                  /* offset of the PCI_CFG capability */
	uint64_t shm_off[VIRTIO_SHM_MAX]; /* in the BAR */
	uint64_t shm_at[VIRTIO_SHM_MAX];  /* where we map it, or 0; of who may move BARs */
	_Atomic bool shm_is_moved;        /* it is not found at dev->shm_gpa; of the same */

	pthread_mutex_t lock;   /* guards what follows; lock order 30 */
	_Atomic uint8_t status; /* NEEDS_RESET comes from the device's threads */
	_Atomic uint8_t isr;
	_Atomic uint8_t generation; /* counted by the device's threads */
	uint16_t config_vector;
	uint16_t queue_select;
	uint32_t device_feature_select, driver_feature_select;
	uint64_t driver_features;
	bool accepts_unoffered; /* the driver wants bits from 64 on */
	uint64_t bar;           /* address while BAR 0 is live, else 0 */
	struct vp_queue queues[VIRTIO_QUEUES_MAX];

	bool paused;
	bool active;   /* the device's activate was called */
	bool stopping; /* its threads were told to end, as the driver resets the device */
	unsigned int n_workers;
	struct vp_worker workers[];
};

/* virtio_pci_run.c: with the lock held */
void vp_activate(struct virtio_pci *vp);
/* Ends the threads; nothing of the device runs when it returns. */
void vp_deactivate(struct virtio_pci *vp);
/* The same, for so long; false: a thread of the device still waits for what is in flight, and the
 * device is `stopping` until a later call is true. */
bool must_check vp_deactivate_within(struct virtio_pci *vp, uint64_t ns);
bool vp_is_active(const struct virtio_pci *vp);
/* Without the lock. [main] */
void vp_pause(struct virtio_pci *vp, bool paused);

extern const struct virtio_transport vp_transport;

/* virtio_pci_queue.c: with the lock held */
/* Starts an enabled queue, before its thread runs; 0 or -errno. */
int must_check vp_start_queue(struct virtio_pci *vp, unsigned int q);
/* Of an active device: an enabled queue, and one that was reset and is enabled again. */
void vp_reset_queue(struct vp_queue *queue);
void vp_enable_again(struct vp_queue *queue);
void vp_bind_queue(struct virtio_pci *vp, unsigned int q, bool bind);
/* The BAR moved: notifications follow it. */
void vp_bind_notify(struct virtio_pci *vp, uint64_t bar);
/* A notification that came as a register write. */
void vp_kick(struct virtio_pci *vp, unsigned int q);
/* Without the lock. [loop] */
void vp_drained(struct virtio_transport *transport, unsigned int q);

/* virtio_pci_regs.c: BAR 0 without MSI-X. */
uint64_t vp_regs_read(struct virtio_pci *vp, uint64_t off, unsigned int size);
void vp_regs_write(struct virtio_pci *vp, uint64_t off, unsigned int size, uint64_t value);
/* Registers as after power-on; the device is not active. With the lock held. */
void vp_regs_reset(struct virtio_pci *vp);
/*
 * Reset by the driver. One that has to wait for the storage or the like is not done when this
 * returns after wait_ns: no vCPU is held up for long. The status is not 0 until it is, which the
 * driver waits for (4.1.4.3.2). With the lock held.
 */
void vp_reset_device(struct virtio_pci *vp, uint64_t wait_ns);
/* What the device offers, the transport's features included. */
uint64_t vp_features(const struct virtio_pci *vp);

/* virtio_pci_shm.c: the BAR and the capabilities, if the device has shared memory. */
struct err *must_check vp_shm_add(struct virtio_pci *vp);
/* The BAR is here now; 0: nowhere. Segment lock held, or no vCPU runs. */
void vp_shm_move(struct virtio_pci *vp, uint64_t bar);
