/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose size changes under a driver (virtio 1.3, 5.2.5.2: a configuration change).
 */
#define LOG_MODULE "virtio_blk"
#include "virtio/dev/blk_internal.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"

/* ---- By who has the block device ---- */

static void resize_announce(struct virtio_blk *blk)
{
	struct blk_resize *r = &blk->resize;

	r->announce = r->paused;
	if (!r->paused)
		blk->dev.transport->config_changed(blk->dev.transport);
}

/* true if the size is another. */
static bool resize_do(struct virtio_blk *blk, uint64_t bytes, struct err **ret_err)
{
	uint64_t before = blk->block->facts.size;
	uint64_t now;

	/* What is done meanwhile begins no turn: its requests would be on their way to the old
	 * size. */
	blk->in_turn = true;
	*ret_err = err_wrap(
		block_resize(blk->block, bytes), "Failed to resize the disk %s", blk->name);
	blk->in_turn = false;
	now = blk->block->facts.size;
	atomic_store(&blk->resize.capacity, now);
	if (now == before)
		return false;
	log_info("%s: %llu bytes, %llu before", blk->name, (unsigned long long)now,
		(unsigned long long)before);
	return true;
}

/* ---- The device's thread ---- */

static struct err *resize_active(struct virtio_blk *blk, uint64_t bytes)
{
	struct err *err;

	if (resize_do(blk, bytes, &err))
		resize_announce(blk);
	if (!blk->resize.paused)
		block_kick(blk->block);
	return err;
}

static void resize_on_msg(struct loop_msg *msg)
{
	struct virtio_blk *blk = container_of(msg, struct virtio_blk, resize.msg);
	struct blk_resize *r = &blk->resize;
	uint64_t bytes;
	struct err *err;

	with_lock (&r->lock)
		bytes = r->bytes;
	err = resize_active(blk, bytes);
	auto_lock(&r->lock);
	r->err = err;
	r->wanted = false;
	pthread_cond_broadcast(&r->told);
}

static void resize_on_refresh(struct loop_msg *msg)
{
	struct virtio_blk *blk = container_of(msg, struct virtio_blk, resize.refresh_msg);

	with_lock (&blk->resize.lock)
		blk->resize.refresh = false;
	log_err_free(LOG_WARN, LOG_MODULE, resize_active(blk, 0));
}

static void resize_on_announce(struct loop_msg *msg)
{
	resize_announce(container_of(msg, struct virtio_blk, resize.announce_msg));
}

void blk_resize_pause(struct virtio_blk *blk, bool paused)
{
	blk->resize.paused = paused;
	if (!paused && blk->resize.announce)
		resize_announce(blk);
}

/* ---- Others ---- */

/* While the device has no thread; the lock keeps it so. */
static struct err *resize_idle_locked(struct virtio_blk *blk, uint64_t bytes)
{
	struct err *err;

	if (resize_do(blk, bytes, &err))
		atomic_store(&blk->resize.unseen, true);
	return err;
}

struct err *virtio_blk_resize(struct virtio_dev *dev, uint64_t bytes)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);
	struct blk_resize *r = &blk->resize;

	struct err *err = NULL;

	auto_lock(&r->caller);
	with_lock (&r->lock) {
		r->bytes = bytes;
		r->wanted = true;
		if (r->loop)
			loop_post(r->loop, &r->msg);
		while (r->loop && r->wanted)
			pthread_cond_wait(&r->told, &r->lock);
		/* Never active, or its thread ended before it came to the message. */
		err = r->wanted ? resize_idle_locked(blk, bytes) : steal_ptr(&r->err);
		r->wanted = false;
	}
	return err;
}

void virtio_blk_refresh(struct virtio_dev *dev)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);
	struct blk_resize *r = &blk->resize;

	auto_lock(&r->lock);
	r->refresh = r->loop;
	if (r->loop)
		loop_post(r->loop, &r->refresh_msg);
	else
		log_err_free(LOG_WARN, LOG_MODULE, resize_idle_locked(blk, 0));
}

/* ---- Life ---- */

uint64_t blk_resize_capacity(struct virtio_blk *blk, unsigned int off)
{
	/* Before the value: a change that comes in between is not lost. Once for both halves, as
	 * drivers read the lower one first. */
	if (!off)
		atomic_store(&blk->resize.unseen, false);
	return atomic_load(&blk->resize.capacity);
}

void blk_resize_activate(struct virtio_blk *blk)
{
	struct blk_resize *r = &blk->resize;

	r->paused = r->announce = false;
	auto_lock(&r->lock);
	r->msg = (struct loop_msg){.run = resize_on_msg};
	r->refresh_msg = (struct loop_msg){.run = resize_on_refresh};
	r->announce_msg = (struct loop_msg){.run = resize_on_announce};
	r->loop = blk->dev.loop;
	/* Whoever waited for the last driver's thread may not have woken up yet. */
	if (r->wanted)
		loop_post(r->loop, &r->msg);
	if (atomic_exchange(&r->unseen, false))
		loop_post(r->loop, &r->announce_msg);
}

/* From now on whoever holds the lock has the disk. */
static void resize_end_locked(struct virtio_blk *blk)
{
	struct blk_resize *r = &blk->resize;

	r->loop = NULL;
	if (r->refresh)
		log_err_free(LOG_WARN, LOG_MODULE, resize_idle_locked(blk, 0));
	r->refresh = false;
	pthread_cond_broadcast(&r->told);
}

void blk_resize_drained(struct virtio_blk *blk)
{
	auto_lock(&blk->resize.lock);
	resize_end_locked(blk);
}

void blk_resize_deactivate(struct virtio_blk *blk)
{
	auto_lock(&blk->resize.lock);
	block_stop(blk->block);
	resize_end_locked(blk);
}

void blk_resize_init(struct virtio_blk *blk)
{
	pthread_mutex_init(&blk->resize.caller, NULL);
	pthread_mutex_init(&blk->resize.lock, NULL);
	pthread_cond_init(&blk->resize.told, NULL);
	atomic_init(&blk->resize.capacity, blk->block->facts.size);
}

void blk_resize_deinit(struct virtio_blk *blk)
{
	pthread_cond_destroy(&blk->resize.told);
	pthread_mutex_destroy(&blk->resize.lock);
	pthread_mutex_destroy(&blk->resize.caller);
}
