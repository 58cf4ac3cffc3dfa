/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the queue share: the walker, and the two formats behind virtq.c.
 */
#pragma once

#include <errno.h>

#include "virtio/queue/virtq.h"

/* virtio 1.3, 2.7.5 and 2.8.5 */
#define VIRTQ_DESC_SIZE       16u
#define VIRTQ_DESC_F_NEXT     1u
#define VIRTQ_DESC_F_WRITE    2u
#define VIRTQ_DESC_F_INDIRECT 4u

/* A chain in flight, or one that was given back and waits for its turn. */
struct virtq_flight {
	uint32_t written;
	uint16_t id;   /* by which the driver knows it */
	uint16_t n;    /* descriptors in a packed ring, or 1; 0: the slot is free */
	uint16_t next; /* free slot */
	bool done;
};

/*
 * Walks the chain whose first descriptor is at `at` of the ring. Fills in id and n of `flight`; 0,
 * or -EINVAL for a chain that breaks a rule.
 */
int must_check virtq_walk(
	const struct virtq *q, uint16_t at, struct virtq_chain *chain, struct virtq_flight *flight);

/* virtio 1.3, 2.7.7.2 and 2.8.10: did the device pass `event` on its way from old to now? */
static inline bool virtq_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* ---- Each format; see virtq.h ---- */

int must_check virtq_split_init(struct virtq *q, const struct virtq_layout *layout);
/* 1: a chain begins at *ret_at; 0: none; -EINVAL. */
int must_check virtq_split_peek(const struct virtq *q, uint16_t *ret_at);
bool virtq_split_has_chain(const struct virtq *q);
void virtq_split_use(struct virtq *q, uint16_t id, uint32_t written);
bool must_check virtq_split_publish(struct virtq *q);
void virtq_split_disable_notify(struct virtq *q);
void virtq_split_withdraw_notify(struct virtq *q);
bool must_check virtq_split_enable_notify(struct virtq *q);

int must_check virtq_packed_init(struct virtq *q, const struct virtq_layout *layout);
int must_check virtq_packed_peek(const struct virtq *q, uint16_t *ret_at);
bool virtq_packed_has_chain(const struct virtq *q);
/* The position n descriptors (at most the ring's size) further. */
uint16_t virtq_packed_advance(const struct virtq *q, uint16_t position, uint16_t n);
void virtq_packed_use(struct virtq *q, uint16_t id, uint16_t n, uint32_t written);
bool must_check virtq_packed_publish(struct virtq *q);
void virtq_packed_disable_notify(struct virtq *q);
bool must_check virtq_packed_enable_notify(struct virtq *q);
