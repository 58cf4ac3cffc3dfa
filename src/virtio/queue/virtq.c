/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues of either format: life, and the slots of chains in flight.
 */
#include "virtio/queue/virtq.h"

#include <stdlib.h>

#include "virtio/queue/virtq_internal.h"

static int virtq_validate(struct virtq *q, const struct virtq_layout *layout)
{
	if (!q->size || q->size > VIRTQ_SIZE_MAX)
		return -EINVAL;
	return q->packed ? virtq_packed_init(q, layout) : virtq_split_init(q, layout);
}

static int virtq_make_slots(struct virtq *q)
{
	q->flight = calloc(q->size, sizeof(q->flight[0]));
	if (!q->flight)
		return -ENOMEM;
	for (uint16_t i = 0; i < q->size; i++)
		q->flight[i].next = (uint16_t)(i + 1);
	return 0;
}

int virtq_init(struct virtq *q, const struct ram *ram, const struct virtq_layout *layout)
{
	int ret;

	*q = (struct virtq){.ram = ram,
		.size = layout->size,
		.packed = layout->packed,
		.event_idx = layout->event_idx,
		.indirect = layout->indirect,
		.in_order = layout->in_order};
	ret = virtq_validate(q, layout);
	if (!ret)
		ret = virtq_make_slots(q);
	if (ret)
		virtq_deinit(q);
	return ret;
}

void virtq_deinit(struct virtq *q)
{
	free(q->flight);
	*q = (struct virtq){.broken = true};
}

/* ---- Slots ---- */

/* There is a free one. In order, slots are taken around the table. */
static uint16_t virtq_take_slot(struct virtq *q)
{
	uint16_t slot = q->slot;

	if (q->in_order)
		slot = (uint16_t)((q->slot + q->n_flight) % q->size);
	else
		q->slot = q->flight[slot].next;
	q->n_flight++;
	return slot;
}

static void virtq_give_slot(struct virtq *q, uint16_t slot)
{
	q->flight[slot].n = 0;
	if (q->in_order) {
		q->slot = (uint16_t)((slot + 1) % q->size);
	} else {
		q->flight[slot].next = q->slot;
		q->slot = slot;
	}
	q->n_flight--;
}

/* ---- Taking ---- */

/* As virtq_pop(), but a broken rule is not remembered. */
static int virtq_take(struct virtq *q, struct virtq_chain *chain)
{
	struct virtq_flight flight = {0};
	uint16_t at;
	int ret = q->packed ? virtq_packed_peek(q, &at) : virtq_split_peek(q, &at);

	if (ret <= 0)
		return ret;
	if (virtq_walk(q, at, chain, &flight))
		return -EINVAL;
	/* More in flight than the ring can hold: the driver reused what is not its own yet. */
	if (q->n_taken + flight.n > q->size)
		return -EINVAL;
	q->next_avail = q->packed ? virtq_packed_advance(q, q->next_avail, flight.n)
				  : (uint16_t)(q->next_avail + 1);
	q->n_taken = (uint16_t)(q->n_taken + flight.n);
	chain->head = virtq_take_slot(q);
	q->flight[chain->head] = flight;
	return 1;
}

void virtq_stop(struct virtq *q)
{
	q->stopped = true;
}

int virtq_pop(struct virtq *q, struct virtq_chain *chain)
{
	int ret;

	if (q->stopped)
		return 0;
	ret = q->broken ? -EINVAL : virtq_take(q, chain);
	if (ret < 0)
		q->broken = true;
	return ret;
}

bool virtq_has_chain(const struct virtq *q)
{
	if (q->broken || q->stopped)
		return false;
	return q->packed ? virtq_packed_has_chain(q) : virtq_split_has_chain(q);
}

/* ---- Giving back ---- */

/* Writes the used element of a slot, and frees it. */
static void virtq_use(struct virtq *q, uint16_t slot)
{
	const struct virtq_flight *flight = &q->flight[slot];

	if (q->packed)
		virtq_packed_use(q, flight->id, flight->n, flight->written);
	else
		virtq_split_use(q, flight->id, flight->written);
	q->batch = (uint16_t)(q->batch + flight->n);
	q->n_taken = (uint16_t)(q->n_taken - flight->n);
	virtq_give_slot(q, slot);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
	struct virtq_flight *flight = &q->flight[head];

	assert(head < q->size && flight->n && !flight->done);
	flight->written = written;
	flight->done = true;
	if (!q->in_order) {
		virtq_use(q, head);
		return;
	}
	/* 2.7.9 and 2.8.11: in the order in which they became available; batches of one. */
	while (q->n_flight && q->flight[q->slot].done)
		virtq_use(q, q->slot);
}

bool virtq_publish(struct virtq *q)
{
	bool wanted;

	if (q->broken || !q->batch)
		return false;
	wanted = q->packed ? virtq_packed_publish(q) : virtq_split_publish(q);
	q->batch = 0;
	return wanted;
}

/* ---- Notifications ---- */

void virtq_disable_notify(struct virtq *q)
{
	/* With event indices there is nothing to write: the event stays behind the driver. */
	if (q->broken || q->stopped || q->event_idx)
		return;
	if (q->packed)
		virtq_packed_disable_notify(q);
	else
		virtq_split_disable_notify(q);
}

void virtq_withdraw_notify(struct virtq *q)
{
	if (q->broken || q->stopped)
		return;
	if (q->packed)
		virtq_packed_disable_notify(q);
	else
		virtq_split_withdraw_notify(q);
}

bool virtq_enable_notify(struct virtq *q)
{
	if (q->broken || q->stopped)
		return false;
	return q->packed ? virtq_packed_enable_notify(q) : virtq_split_enable_notify(q);
}
