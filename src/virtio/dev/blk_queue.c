/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues of the block device. What was found in a queue is submitted as one batch, and what is done
 * together is published together, with one interrupt a queue; a thread looks at all of its queues
 * before it sleeps (virtio/poll.h). [loop]
 */
#include "virtio/dev/blk_internal.h"

unsigned int blk_queue_thread(const struct virtio_dev *dev, unsigned int q)
{
	return q % container_of_const(dev, struct virtio_blk, dev)->n_threads;
}

static struct virtq *blk_virtq(const struct blk_thread *t, unsigned int q)
{
	return &t->blk->dev.queues[q];
}

static bool blk_yields(const struct blk_thread *t)
{
	return atomic_load(&t->blk->dev.yield);
}

static void blk_publish(struct blk_thread *t)
{
	for (; t->dirty; t->dirty &= t->dirty - 1)
		virtio_dev_publish(&t->blk->dev, (unsigned int)__builtin_ctzll(t->dirty));
	t->n_dirty = 0;
	t->held_since = 0;
}

/* 0: the queue is empty; 1: there may be more, but it is somebody else's turn; 2: there is no room;
 * -EINVAL: broken. */
static int blk_take(struct blk_thread *t, unsigned int q, unsigned int *left)
{
	for (; *left && !blk_yields(t); --*left) {
		int ret;

		if (!blk_has_room(t)) {
			t->waiting |= 1ull << q;
			return 2;
		}
		ret = virtq_pop(blk_virtq(t, q), &t->chain);
		if (ret <= 0)
			return ret;
		blk_begin(t, q);
	}
	return 1;
}

/* Takes what is in the queue, and has it begun; as blk_take(). */
static int blk_work(struct blk_thread *t, unsigned int q, unsigned int *left)
{
	uint64_t start = loop_now_ns();
	int ret;

	if (!(t->quiet & 1ull << q))
		virtq_disable_notify(blk_virtq(t, q));
	t->quiet |= 1ull << q;
	ret = blk_take(t, q, left);
	/* What is held from before, and has its reason to be: not as long as the storage takes. */
	if (t->block->waits)
		blk_publish(t);
	block_kick(t->block);
	virtio_poll_worked(&t->poll, loop_now_ns() - start);
	return ret;
}

/* A queue of the thread's that has something. */
static bool blk_find(const struct blk_thread *t, unsigned int *q)
{
	for (unsigned int i = t->index; i < t->blk->dev.n_queues; i += t->blk->n_threads) {
		if (virtq_has_chain(blk_virtq(t, i))) {
			*q = i;
			return true;
		}
	}
	return false;
}

/* Publishes what is done, unless it is worth waiting for more, and the first has not waited long.
 */
static void blk_publish_or_hold(struct blk_thread *t, uint64_t now)
{
	if (t->n_dirty && !t->held_since)
		t->held_since = now;
	if (!t->n_dirty || now - t->held_since >= VIRTIO_POLL_MAX_NS ||
		!virtio_poll_holds(&t->poll, t->n_dirty))
		blk_publish(t);
}

/* While we look at the rings, no queue that is in use need notify. */
static void blk_quieten(struct blk_thread *t)
{
	for (uint64_t busy = t->dirty & ~t->quiet; busy; busy &= busy - 1)
		virtq_withdraw_notify(blk_virtq(t, (unsigned int)__builtin_ctzll(busy)));
	t->quiet |= t->dirty;
}

/* Looks at the rings, the driver's and the host's, until there is a queue to serve, or it is not
 * worth it any more. */
static bool blk_poll(struct blk_thread *t, unsigned int *q)
{
	uint64_t window = blk_yields(t) ? 0 : virtio_poll_window(&t->poll);
	uint64_t now = window ? loop_now_ns() : 0;
	uint64_t end = now + window;
	bool found = false;

	if (!window)
		return false;
	blk_quieten(t);
	blk_publish_or_hold(t, now);
	do {
		if (block_has_done(t->block)) {
			block_kick(t->block);
			blk_publish_or_hold(t, now);
		}
		found = blk_find(t, q);
		now = loop_now_ns();
	} while (!found && now < end && !blk_yields(t));
	virtio_poll_ended(&t->poll, found);
	if (!found && t->n_dirty)
		virtio_poll_kept_waiting(&t->poll, t->n_dirty);
	return found;
}

/* Asks for notifications again, and publishes; true if there is a queue, *q, that has something. */
static bool blk_ask(struct blk_thread *t, unsigned int *q)
{
	blk_publish(t);
	for (; t->quiet; t->quiet &= t->quiet - 1) {
		*q = (unsigned int)__builtin_ctzll(t->quiet);
		if (virtq_enable_notify(blk_virtq(t, *q)))
			return true;
	}
	return false;
}

/* A turn: queue q, if it has notified, and whatever comes while it is worth looking. */
static void blk_turn(struct blk_thread *t, unsigned int q, bool notified)
{
	struct virtio_dev *dev = &t->blk->dev;
	unsigned int left = VIRTQ_SIZE_MAX;
	int ret = 0;

	t->in_turn = true;
	if (notified)
		ret = blk_work(t, q, &left);
	while (!ret && (blk_poll(t, &q) || blk_ask(t, &q)))
		ret = blk_work(t, q, &left);
	t->in_turn = false;
	if (ret == 1)
		dev->transport->again(dev->transport, q);
	else if (ret < 0)
		virtio_dev_broken(dev, q);
	/* The turn has ended early: the others are asked now. */
	if (ret)
		t->quiet &= ~(1ull << q);
	while (blk_ask(t, &q)) {
		t->quiet &= ~(1ull << q);
		dev->transport->again(dev->transport, q);
	}
}

void blk_queue_notify(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);

	if (!dev->queues[q].broken)
		blk_turn(&blk->threads[blk_queue_thread(dev, q)], q, true);
}

void blk_queue_batch(struct block_user *user)
{
	struct blk_thread *t = container_of(user, struct blk_thread, user);
	struct virtio_transport *transport = t->blk->dev.transport;

	if (t->waiting && blk_has_room(t)) {
		for (; t->waiting; t->waiting &= t->waiting - 1)
			transport->again(transport, (unsigned int)__builtin_ctzll(t->waiting));
	}
	if (!t->in_turn && t->dirty)
		blk_turn(t, 0, false);
}
