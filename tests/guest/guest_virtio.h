/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver for guest programs, which shows its insides so that they can be abused: the
 * registers of one device (virtio 1.3, 4.1.4) and split queues (2.7) of 16 entries, without
 * interrupts: queue 0 with a ring of its own, others with rings of the program.
 */
#pragma once

#include "guest.h"

#define VIRTIO_QUEUE_SIZE    16
#define VIRTIO_ID_BASE       0x1040 /* PCI device number of virtio id 0 */

#define VIRTIO_ACKNOWLEDGE   1
#define VIRTIO_DRIVER        2
#define VIRTIO_DRIVER_OK     4
#define VIRTIO_FEATURES_OK   8
#define VIRTIO_NEEDS_RESET   0x40

#define VIRTIO_DESC_NEXT     1
#define VIRTIO_DESC_WRITE    2
#define VIRTIO_DESC_INDIRECT 4

/* Offsets in the common configuration. */
#define VIRTIO_FEATURE_SELECT 0x00
#define VIRTIO_FEATURE        0x04
#define VIRTIO_GUEST_SELECT   0x08
#define VIRTIO_GUEST_FEATURE  0x0c
#define VIRTIO_CONFIG_VECTOR  0x10
#define VIRTIO_STATUS         0x14
#define VIRTIO_Q_SELECT       0x16
#define VIRTIO_Q_SIZE         0x18
#define VIRTIO_Q_VECTOR       0x1a
#define VIRTIO_Q_ENABLE       0x1c
#define VIRTIO_Q_DESC         0x20
#define VIRTIO_Q_AVAIL        0x28
#define VIRTIO_Q_USED         0x30
#define VIRTIO_COMMON_SIZE    0x40

struct virtio_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct virtio_ring {
	struct virtio_desc desc[VIRTIO_QUEUE_SIZE];
	struct {
		uint16_t flags, idx, ring[VIRTIO_QUEUE_SIZE], event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[VIRTIO_QUEUE_SIZE];
		uint16_t event;
	} __attribute__((aligned(4))) used;
};

/* 5.2.6, without data and status. */
struct virtio_blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct virtio {
	unsigned int slot; /* device number on bus 0 */
	uint64_t common, notify, isr, config;
	unsigned int config_cap; /* offset of the capability of access by configuration space */
	uint32_t notify_stride;
	volatile struct virtio_ring *ring;
};

/* Where no ring and no buffer may be: registers, holes, the ends of RAM and of the address space.
 */
#define VIRTIO_N_NOWHERE 13
extern const uint64_t virtio_nowhere[VIRTIO_N_NOWHERE];

/* Finds the first device of this virtio id and its registers; false without one. */
bool virtio_find(uint16_t id, struct virtio *v);
/* Resets the device and waits until it is. */
void virtio_reset(const struct virtio *v);
/* From reset to FEATURES_OK with these features besides VERSION_1; false if they were refused. */
bool virtio_negotiate(const struct virtio *v, uint64_t features);
/* Clears the ring and enables a queue with it. */
void virtio_enable(const struct virtio *v, unsigned int q, struct virtio_ring *ring);
void virtio_driver_ok(const struct virtio *v);
/* Both, for queue 0. */
void virtio_start(const struct virtio *v);
/* Makes a chain of a queue's ring available, without a notification, and notifies. */
void virtio_offer(volatile struct virtio_ring *ring, uint16_t head);
void virtio_notify(const struct virtio *v, unsigned int q);
/* Makes the chain at descriptor `head` available and notifies. */
void virtio_submit(const struct virtio *v, uint16_t head);
void virtio_kick(const struct virtio *v);
uint8_t virtio_status(const struct virtio *v);
/* Waits until `n` requests have been used since the start, or the device needs a reset; which of
 * them. */
bool virtio_wait(const struct virtio *v, uint16_t n);

/* Has a disk's request say now this, now that, for a while; what, is in `random`: reads, writes,
 * flushes, the identity and what nobody knows; inside a disk of 64 KiB, over its end, far beyond.
 */
void virtio_blk_flip(volatile struct virtio_blk_header *header, uint32_t random);
