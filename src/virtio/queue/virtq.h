/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues from the device's side (virtio 1.3, 2.6 to 2.8): split and packed rings with event
 * suppression, indirect descriptors and use in order.
 *
 * Theory of operation. Rings are validated as a whole when the queue starts: each lies in one piece
 * of RAM, aligned. Everything the driver writes may change at any time, so each field is loaded
 * once and only the copy is used. A chain is walked into a caller's list of pieces: no more
 * descriptors than the queue has, no more pieces than the list takes, every piece inside RAM,
 * writable ones last. A driver that breaks a rule breaks its queue: virtq_pop() says so once and
 * for all, the device asks for a reset, and nothing else happens.
 *
 * A chain that was taken is "in flight" until it is given back, in any order. Its place is a slot
 * of the queue's: there are as many as descriptors, and a driver that wants more in flight than its
 * ring can hold breaks the queue. So whatever identifiers the driver makes up, the slots of chains
 * in flight are small and distinct, and a device may index its requests by them. With IN_ORDER
 * what was given back early waits in its slot for those before it.
 *
 * Used elements are written by virtq_push() and become visible to the driver together, by
 * virtq_publish(), which tells whether the driver wants an interrupt. All functions [loop], but
 * virtq_init() and virtq_deinit().
 */
#pragma once

#include <sys/uio.h>

#include "mem/ram.h"

#define VIRTQ_SIZE_MAX 256u
/* Pieces of one chain: as many as descriptors, and as many again for those that cross from one RAM
 * region to the next. */
#define VIRTQ_IOV_MAX (2 * VIRTQ_SIZE_MAX)

struct virtq_layout {
	uint16_t size;                 /* 1 .. VIRTQ_SIZE_MAX; of a split ring a power of two */
	uint64_t desc, driver, device; /* guest physical addresses of the areas (2.6) */
	bool packed, event_idx, indirect, in_order; /* negotiated */
};

struct virtq_flight; /* private */

struct virtq {
	const struct ram *ram;
	struct ram_window desc, driver, device;
	uint16_t size;
	/*
	 * What is to be taken and used next. Split: free-running indices. Packed: positions in the
	 * ring, the wrap counter in bit 15 (as in 2.8.10).
	 */
	uint16_t next_avail, next_used;
	uint16_t batch;    /* used and not published: elements, or descriptors of a packed ring */
	uint16_t batch_at; /* packed: where the batch begins, */
	uint16_t batch_flags;        /* and the flags that show it */
	uint16_t n_flight;           /* chains */
	uint16_t n_taken;            /* their descriptors in the ring; of a split one: chains */
	uint16_t slot;               /* first free one; IN_ORDER: of the oldest in flight */
	struct virtq_flight *flight; /* size slots; NULL while not up */
	bool packed, event_idx, indirect, in_order;
	bool broken;
	bool stopped; /* gives no chains any more, as if it were empty */
};

/* A request: pieces that the device reads come first, then those that it writes. */
struct virtq_chain {
	uint16_t head; /* its slot: less than the queue's size, of no other chain in flight */
	unsigned int n_readable, n_writable; /* pieces */
	struct iovec iov[VIRTQ_IOV_MAX];
};

/* -EINVAL for a bad size, -EFAULT for rings outside of RAM or not aligned, -ENOMEM. [any] */
int must_check virtq_init(
	struct virtq *q, const struct ram *ram, const struct virtq_layout *layout);
/* Broken from then on: chains in flight are forgotten. Also of one that is zeroed or failed. [any]
 */
void virtq_deinit(struct virtq *q);

/* From now on there is nothing in it; what is in flight may be given back. */
void virtq_stop(struct virtq *q);

/* 1: a chain; 0: nothing there; -EINVAL: the driver broke the queue. */
int must_check virtq_pop(struct virtq *q, struct virtq_chain *chain);
/* Is there a chain, as far as a look without consequences tells? */
bool virtq_has_chain(const struct virtq *q);
/* Gives the chain of slot `head` back, with the number of bytes written to it from its start. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);
/* Shows what was pushed; true if the driver is to be interrupted. */
bool must_check virtq_publish(struct virtq *q);

/* While the device works on the queue the driver need not notify. */
void virtq_disable_notify(struct virtq *q);
/* The same for a driver that was told that it must, and has not yet. */
void virtq_withdraw_notify(struct virtq *q);
/* From now on it must; true if something came meanwhile: look again. */
bool must_check virtq_enable_notify(struct virtq *q);
