/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues from the device's side (virtio 1.3, 2.6 and 2.7): split rings with event suppression
 * and indirect descriptors.
 *
 * Theory of operation. Rings are validated as a whole when the queue starts: each lies in one piece
 * of RAM, aligned. Everything the driver writes may change at any time, so each field is loaded
 * once and only the copy is used. A chain is walked into a caller's list of pieces: no more
 * descriptors than the queue has, no more pieces than the list takes, every piece inside RAM,
 * writable ones last. A driver that breaks a rule breaks its queue: virtq_pop() says so once and
 * for all, the device asks for a reset, and nothing else happens.
 *
 * Used elements are written by virtq_push() and become visible to the driver together, by
 * virtq_publish(), which tells whether the driver wants an interrupt. All functions [loop], but
 * virtq_init().
 */
#pragma once

#include <sys/uio.h>

#include "mem/ram.h"

#define VIRTQ_SIZE_MAX 256u
/* Pieces of one chain: as many as descriptors, and as many again for those that cross from one RAM
 * region to the next. */
#define VIRTQ_IOV_MAX (2 * VIRTQ_SIZE_MAX)

struct virtq_layout {
	uint16_t size;                 /* a power of two, at most VIRTQ_SIZE_MAX */
	uint64_t desc, driver, device; /* guest physical addresses */
	bool event_idx, indirect;      /* negotiated */
};

struct virtq {
	const struct ram *ram;
	struct ram_window desc, avail, used;
	uint16_t size;
	uint16_t next_avail; /* of the driver's ring, free-running */
	uint16_t next_used;  /* of ours */
	uint16_t published;  /* next_used as the driver sees it */
	bool event_idx, indirect;
	bool broken;
};

/* A request: pieces that the device reads come first, then those that it writes. */
struct virtq_chain {
	uint16_t head;
	unsigned int n_readable, n_writable; /* pieces */
	struct iovec iov[VIRTQ_IOV_MAX];
};

/* -EINVAL for a bad size, -EFAULT for rings outside of RAM or not aligned. [any] */
int must_check virtq_init(
	struct virtq *q, const struct ram *ram, const struct virtq_layout *layout);

/* 1: a chain; 0: nothing there; -EINVAL: the driver broke the queue. */
int must_check virtq_pop(struct virtq *q, struct virtq_chain *chain);
/* Gives a chain back, with the number of bytes written to it from its start. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);
/* Shows what was pushed; true if the driver is to be interrupted. */
bool must_check virtq_publish(struct virtq *q);

/* While the device works on the queue the driver need not notify. */
void virtq_disable_notify(struct virtq *q);
/* From now on it must; true if something came meanwhile: look again. */
bool must_check virtq_enable_notify(struct virtq *q);
