/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose size changes under a driver (virtio 1.3, 5.2.5.2: a configuration change).
 *
 * Theory of operation. Nobody may work with the disk while its size changes. So whoever wants that
 * calls all of the device's threads to a place where they wait for each other, with nothing in
 * flight; the last one to come does it. One that has ended, because the driver resets the device,
 * is not waited for; when none runs, whoever wants the change makes it, and a driver that comes
 * meanwhile waits. What is wanted while others wait is done with the rest. The change itself, which
 * may take as long as the storage likes, is made without the lock: who only asks does not wait.
 */
#define LOG_MODULE "virtio_blk"
#include "virtio/dev/blk_internal.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"

/* ---- Without the lock ---- */

/* Each thread's view of the disk follows the first one's. */
static struct err *resize_all(struct virtio_blk *blk, uint64_t bytes)
{
	struct err *err = block_resize(blk->threads[0].block, bytes);

	for (unsigned int i = 1; i < blk->n_threads; i++) {
		struct err *other = block_resize(blk->threads[i].block, 0);

		if (err)
			err_free(other);
		else
			err = other;
	}
	return err_wrap(err, "Failed to resize the disk %s", blk->name);
}

/* ---- With the lock held ---- */

static void resize_set_in_turn(struct virtio_blk *blk, bool in_turn)
{
	for (unsigned int i = 0; i < blk->n_threads; i++)
		blk->threads[i].in_turn = in_turn;
}

static void resize_announce(struct virtio_blk *blk)
{
	struct blk_resize *r = &blk->resize;

	r->announce = r->paused;
	if (!r->paused)
		blk->dev.transport->config_changed(blk->dev.transport);
}

static void resize_compare(struct virtio_blk *blk)
{
	struct blk_resize *r = &blk->resize;
	uint64_t now = blk->threads[0].block->facts.size;
	uint64_t before = atomic_exchange(&r->capacity, now);

	if (now == before)
		return;
	log_info("%s: %llu bytes, %llu before", blk->name, (unsigned long long)now,
		(unsigned long long)before);
	if (r->n_running)
		resize_announce(blk);
	else
		atomic_store(&r->unseen, true);
}

/* What is wanted at first; more may be in the end. */
static void resize_change_locked(struct virtio_blk *blk)
{
	struct blk_resize *r = &blk->resize;
	bool refresh = r->refresh;
	bool wanted = r->wanted;
	uint64_t bytes = r->bytes;
	struct err *err = NULL;

	r->refresh = false;
	pthread_mutex_unlock(&r->lock);
	if (refresh)
		log_err_free(LOG_WARN, LOG_MODULE, resize_all(blk, 0));
	if (wanted)
		err = resize_all(blk, bytes);
	pthread_mutex_lock(&r->lock);
	resize_compare(blk);
	if (wanted) {
		r->err = err;
		r->wanted = false;
		pthread_cond_broadcast(&r->told);
	}
}

/* Does what is wanted, if no thread works with the disk: each waits here, or has ended. */
static void resize_try_locked(struct virtio_blk *blk)
{
	struct blk_resize *r = &blk->resize;

	if (r->changing || r->n_met < r->n_running)
		return;
	r->changing = true;
	/* Should anything be done meanwhile, it begins no turn: requests would be on their way to
	 * the old size. */
	resize_set_in_turn(blk, true);
	while (r->refresh || r->wanted) {
		resize_change_locked(blk);
		/* What is wanted since then they were called for again. */
		if (r->n_running)
			break;
	}
	resize_set_in_turn(blk, false);
	r->changing = false;
	r->n_met = 0;
	r->round++;
	pthread_cond_broadcast(&r->told);
}

/* Nobody changes the disk that is nobody's. */
static void resize_settle_locked(struct blk_resize *r)
{
	while (r->changing)
		pthread_cond_wait(&r->told, &r->lock);
}

/* Something is wanted: all threads are to come, those that have not ended. */
static void resize_call_locked(struct virtio_blk *blk)
{
	for (unsigned int i = 0; blk->resize.n_running && i < blk->n_threads; i++)
		loop_post(virtio_dev_loop(&blk->dev, i), &blk->threads[i].resize_msg);
	resize_try_locked(blk);
}

/* ---- The device's threads ---- */

static bool resize_is_wanted(struct blk_resize *r)
{
	auto_lock(&r->lock);
	return r->wanted || r->refresh;
}

/*
 * Waits until all threads that run are here and the last one has done what is wanted. All of them
 * come: whoever wants something posts to each, and one that ends says so.
 */
static void resize_meet(struct virtio_blk *blk)
{
	struct blk_resize *r = &blk->resize;
	unsigned int round;

	auto_lock(&r->lock);
	round = r->round;
	r->n_met++;
	resize_try_locked(blk);
	while (r->round == round)
		pthread_cond_wait(&r->told, &r->lock);
}

void blk_resize_pause(struct virtio_blk *blk, bool paused)
{
	auto_lock(&blk->resize.lock);
	blk->resize.paused = paused;
	if (!paused && blk->resize.announce)
		resize_announce(blk);
}

static void resize_on_msg(struct loop_msg *msg)
{
	struct blk_thread *t = container_of(msg, struct blk_thread, resize_msg);

	if (resize_is_wanted(&t->blk->resize)) {
		/* Before the lock, as it may take long. Nothing begins until all have met. */
		t->in_turn = true;
		block_quiesce(t->block);
		resize_meet(t->blk);
	}
	if (!t->paused)
		block_kick(t->block);
}

/* What changed when there was no driver. */
static void resize_on_activated(struct loop_msg *msg)
{
	struct virtio_blk *blk = container_of(msg, struct virtio_blk, resize.activated_msg);

	auto_lock(&blk->resize.lock);
	resize_announce(blk);
}

/* ---- Others ---- */

struct err *virtio_blk_resize(struct virtio_dev *dev, uint64_t bytes)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);
	struct blk_resize *r = &blk->resize;

	struct err *err = NULL;

	auto_lock(&r->caller);
	with_lock (&r->lock) {
		r->bytes = bytes;
		r->wanted = true;
		resize_call_locked(blk);
		while (r->wanted)
			pthread_cond_wait(&r->told, &r->lock);
		err = steal_ptr(&r->err);
	}
	return err;
}

void virtio_blk_refresh(struct virtio_dev *dev)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);

	auto_lock(&blk->resize.lock);
	blk->resize.refresh = true;
	resize_call_locked(blk);
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

	auto_lock(&r->lock);
	resize_settle_locked(r);
	r->n_running = blk->n_threads;
	for (unsigned int i = 0; i < blk->n_threads; i++)
		blk->threads[i].resize_msg = (struct loop_msg){.run = resize_on_msg};
	r->paused = r->announce = false;
	r->activated_msg = (struct loop_msg){.run = resize_on_activated};
	if (atomic_exchange(&r->unseen, false))
		loop_post(blk->dev.loop, &r->activated_msg);
}

/* From the last one on, whoever wants something does it. */
void blk_resize_drained(struct virtio_blk *blk)
{
	auto_lock(&blk->resize.lock);
	blk->resize.n_running--;
	resize_try_locked(blk);
}

void blk_resize_deactivate(struct virtio_blk *blk)
{
	auto_lock(&blk->resize.lock);
	resize_settle_locked(&blk->resize);
	for (unsigned int i = 0; i < blk->n_threads; i++)
		block_stop(blk->threads[i].block);
	blk->resize.n_running = 0;
	resize_try_locked(blk);
}

void blk_resize_init(struct virtio_blk *blk)
{
	pthread_mutex_init(&blk->resize.caller, NULL);
	pthread_mutex_init(&blk->resize.lock, NULL);
	pthread_cond_init(&blk->resize.told, NULL);
	atomic_init(&blk->resize.capacity, blk->threads[0].block->facts.size);
}

void blk_resize_deinit(struct virtio_blk *blk)
{
	pthread_cond_destroy(&blk->resize.told);
	pthread_mutex_destroy(&blk->resize.lock);
	pthread_mutex_destroy(&blk->resize.caller);
}
