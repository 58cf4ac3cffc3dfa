/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues (virtio 1.3, 2.7).
 */
#include "base/overflow.h"
#include "virtio/queue/virtq_internal.h"

/* 2.7.6 and 2.7.8: flags, idx, ring[], event. */
#define RING_FLAGS           0
#define RING_IDX             2
#define RING_START           4
#define USED_ELEM            8u

#define AVAIL_F_NO_INTERRUPT 1u
#define USED_F_NO_NOTIFY     1u

static uint64_t virtq_used_event(const struct virtq *q)
{
	return RING_START + 2ull * q->size;
}

static uint64_t virtq_avail_event(const struct virtq *q)
{
	return RING_START + (uint64_t)USED_ELEM * q->size;
}

int virtq_split_init(struct virtq *q, const struct virtq_layout *layout)
{
	uint16_t size = q->size;
	int ret;

	if (!is_pow2(size))
		return -EINVAL;
	ret = ram_window_init(q->ram, layout->desc, (uint64_t)VIRTQ_DESC_SIZE * size, 16, &q->desc);
	if (!ret)
		ret = ram_window_init(
			q->ram, layout->driver, RING_START + 2ull * size + 2, 2, &q->driver);
	if (!ret)
		ret = ram_window_init(q->ram, layout->device,
			RING_START + (uint64_t)USED_ELEM * size + 2, 4, &q->device);
	return ret;
}

int virtq_split_peek(const struct virtq *q, uint16_t *ret_at)
{
	/* Acquire: ring entries and descriptors that the driver wrote before it moved idx
	 * (2.7.13.3). */
	uint16_t idx = ram_window_load16(&q->driver, RING_IDX, memory_order_acquire);

	if (idx == q->next_avail)
		return 0;
	if ((uint16_t)(idx - q->next_avail) > q->size)
		return -EINVAL;
	*ret_at = ram_window_load16(&q->driver,
		RING_START + 2ull * (q->next_avail & (q->size - 1u)), memory_order_relaxed);
	return 1;
}

/* Relaxed: virtq_split_peek() has the acquire. */
bool virtq_split_has_chain(const struct virtq *q)
{
	return ram_window_load16(&q->driver, RING_IDX, memory_order_relaxed) != q->next_avail;
}

void virtq_split_use(struct virtq *q, uint16_t id, uint32_t written)
{
	uint64_t at = RING_START + (uint64_t)USED_ELEM * (q->next_used & (q->size - 1u));

	ram_window_store32(&q->device, at, id, memory_order_relaxed);
	ram_window_store32(&q->device, at + 4, written, memory_order_relaxed);
	q->next_used++;
}

bool virtq_split_publish(struct virtq *q)
{
	/* Release: the elements, and the data they tell of, before idx. The driver's acquire is its
	 * read of idx. */
	ram_window_store16(&q->device, RING_IDX, q->next_used, memory_order_release);
	/*
	 * The store of idx before the load of what the driver wants: it stores used_event, then
	 * looks at idx again (2.7.7.1).
	 */
	ram_barrier();
	if (q->event_idx)
		return virtq_passed(
			ram_window_load16(&q->driver, virtq_used_event(q), memory_order_relaxed),
			q->next_used, (uint16_t)(q->next_used - q->batch));
	return !(ram_window_load16(&q->driver, RING_FLAGS, memory_order_relaxed) &
		 AVAIL_F_NO_INTERRUPT);
}

void virtq_split_disable_notify(struct virtq *q)
{
	ram_window_store16(&q->device, RING_FLAGS, USED_F_NO_NOTIFY, memory_order_relaxed);
}

void virtq_split_withdraw_notify(struct virtq *q)
{
	/* An event that the driver has passed: 65535 entries from now. */
	if (q->event_idx)
		ram_window_store16(&q->device, virtq_avail_event(q), (uint16_t)(q->next_avail - 1),
			memory_order_relaxed);
	else
		virtq_split_disable_notify(q);
}

bool virtq_split_enable_notify(struct virtq *q)
{
	if (q->event_idx)
		ram_window_store16(
			&q->device, virtq_avail_event(q), q->next_avail, memory_order_relaxed);
	else
		ram_window_store16(&q->device, RING_FLAGS, 0, memory_order_relaxed);
	/* The wish before the look at idx; the driver stores idx, then loads the wish (2.7.13.4).
	 */
	ram_barrier();
	return virtq_split_has_chain(q);
}
