/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory balloon: configuration, queues, and what others ask of it.
 *
 * Theory of operation. The device asks for a number of pages by its configuration; the driver gives
 * pages up and says which, in its own time (balloon_pages.c). Statistics come when they are asked
 * for: the driver's buffer waits with us until then (balloon_stats.c). Who asks is any thread; what
 * it wants of the device's thread is a message to its loop, and answers come back by a condition.
 * All queues but the last are there whatever the options are, so that they have the same numbers
 * for drivers that leave out the numbers of those that they do not use, as older Linux does.
 */
#include "virtio/dev/balloon_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/thread.h"

#define BALLOON_ID         5
#define BALLOON_QUEUE_SIZE 128u /* Linux wants 32 for reports */

/* struct virtio_balloon_config (5.5.4) */
enum {
	BALLOON_NUM_PAGES = 0,
	BALLOON_ACTUAL = 4,
	BALLOON_HINT_ID = 8,
	BALLOON_POISON = 12,
	BALLOON_CONFIG_SIZE = 16,
};

/* ---- Configuration ---- */

static uint32_t balloon_pages_of(uint64_t bytes)
{
	return (uint32_t)MIN(bytes / VIRTIO_BALLOON_PAGE, (uint64_t)UINT32_MAX);
}

static void balloon_config_read(
	struct virtio_dev *dev, unsigned int off, void *data, unsigned int size)
{
	struct virtio_balloon *balloon = balloon_of(dev);
	uint8_t image[BALLOON_CONFIG_SIZE];

	with_lock (&balloon->lock) {
		store_le32(image + BALLOON_NUM_PAGES, balloon_pages_of(balloon->info.target));
		store_le32(image + BALLOON_ACTUAL, balloon_pages_of(balloon->info.actual));
		store_le32(image + BALLOON_HINT_ID, balloon->hint_id);
		store_le32(image + BALLOON_POISON, balloon->poison);
	}
	memcpy(data, image + off, size);
}

static void balloon_config_write(
	struct virtio_dev *dev, unsigned int off, const void *data, unsigned int size)
{
	struct virtio_balloon *balloon = balloon_of(dev);

	if (size != 4)
		return;
	auto_lock(&balloon->lock);
	if (off == BALLOON_ACTUAL)
		balloon->info.actual = (uint64_t)load_le32(data) * VIRTIO_BALLOON_PAGE;
	else if (off == BALLOON_POISON)
		balloon->poison = load_le32(data);
}

void balloon_announce(struct virtio_balloon *balloon)
{
	balloon->announce = balloon->paused;
	if (!balloon->paused)
		balloon->dev.transport->config_changed(balloon->dev.transport);
}

/* ---- What others ask ---- */

static void balloon_on_changed(struct loop_msg *msg)
{
	balloon_announce(container_of(msg, struct virtio_balloon, changed_msg));
}

static void balloon_on_poll(struct loop_msg *msg)
{
	struct virtio_balloon *balloon = container_of(msg, struct virtio_balloon, poll_msg);

	if (!balloon->paused)
		balloon_ask_stats(balloon);
}

static void balloon_post_locked(struct virtio_balloon *balloon, struct loop_msg *msg)
{
	if (balloon->loop)
		loop_post(balloon->loop, msg);
}

/* Waits for a change of what the lock guards; false when it is `deadline` and the device's own. */
static bool balloon_wait_locked(struct virtio_balloon *balloon, uint64_t deadline_ns)
{
	const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
		.tv_nsec = (long)(deadline_ns % 1000000000u)};

	return balloon->loop && !pthread_cond_timedwait(&balloon->told, &balloon->lock, &deadline);
}

static uint64_t balloon_deadline(uint64_t wait_ns)
{
	return loop_now_ns() + MIN(wait_ns, (uint64_t)INT64_MAX / 2);
}

void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes)
{
	auto_lock(&balloon->lock);
	balloon->info.target = (uint64_t)balloon_pages_of(bytes) * VIRTIO_BALLOON_PAGE;
	balloon_post_locked(balloon, &balloon->changed_msg);
}

void virtio_balloon_get(
	struct virtio_balloon *balloon, uint64_t wait_ns, struct balloon_info *ret_info)
{
	uint64_t deadline = balloon_deadline(wait_ns);

	auto_lock(&balloon->lock);
	if (wait_ns && balloon->loop && balloon->dev.negotiated & BALLOON_F_STATS_VQ) {
		uint64_t before = balloon->n_stats;

		balloon_post_locked(balloon, &balloon->poll_msg);
		while (balloon->n_stats == before && balloon_wait_locked(balloon, deadline))
			continue;
	}
	*ret_info = balloon->info;
	if (ret_info->age_ns != UINT64_MAX)
		ret_info->age_ns = loop_now_ns() - ret_info->age_ns;
}

/* The next id that means something. */
static uint32_t balloon_next_id(uint32_t id)
{
	return id == UINT32_MAX || id < BALLOON_ID_DONE ? BALLOON_ID_DONE + 1 : id + 1;
}

int virtio_balloon_hint(struct virtio_balloon *balloon, uint64_t wait_ns, uint64_t *ret_bytes)
{
	uint64_t deadline = balloon_deadline(wait_ns);
	uint64_t before;

	auto_lock(&balloon->lock);
	if (!balloon->loop || !(balloon->dev.negotiated & BALLOON_F_FREE_PAGE_HINT))
		return -ENOTCONN;
	before = balloon->n_hints;
	if (balloon->hint_id <= BALLOON_ID_DONE) {
		balloon->hint_last = balloon->hint_id = balloon_next_id(balloon->hint_last);
		balloon_post_locked(balloon, &balloon->changed_msg);
	}
	while (balloon->n_hints == before && balloon_wait_locked(balloon, deadline))
		continue;
	*ret_bytes = balloon->hinted;
	if (balloon->n_hints != before)
		return 0;
	if (!balloon->loop)
		return -ENOTCONN;
	/* The driver may have its pages back. */
	balloon->hint_id = BALLOON_ID_DONE;
	balloon_post_locked(balloon, &balloon->changed_msg);
	return -ETIMEDOUT;
}

/* ---- Queues ---- */

static void balloon_notify(struct virtio_dev *dev, unsigned int q)
{
	static const virtio_serve_fn serve[BALLOON_QUEUES] = {
		[BALLOON_Q_INFLATE] = balloon_inflate,
		[BALLOON_Q_DEFLATE] = balloon_deflate,
		[BALLOON_Q_STATS] = balloon_take_stats,
		[BALLOON_Q_HINT] = balloon_take_hints,
		[BALLOON_Q_REPORTING] = balloon_report,
	};

	virtio_dev_serve(dev, q, &balloon_of(dev)->chain, serve[q]);
}

static void balloon_queue_reset(struct virtio_dev *dev, unsigned int q)
{
	if (q == BALLOON_Q_STATS)
		balloon_ask_stats(balloon_of(dev));
}

/* ---- Life ---- */

static void balloon_activate(struct virtio_dev *dev)
{
	struct virtio_balloon *balloon = balloon_of(dev);

	balloon->hinting = 0;
	balloon->has_stats = balloon->paused = balloon->announce = false;
	auto_lock(&balloon->lock);
	balloon->changed_msg = (struct loop_msg){.run = balloon_on_changed};
	balloon->poll_msg = (struct loop_msg){.run = balloon_on_poll};
	balloon->loop = dev->loop;
}

/* The driver's pages are its own again. */
static void balloon_deactivate(struct virtio_dev *dev)
{
	struct virtio_balloon *balloon = balloon_of(dev);

	balloon_forget(balloon);
	auto_lock(&balloon->lock);
	balloon->loop = NULL;
	balloon->info.actual = 0;
	balloon->info.age_ns = UINT64_MAX;
	balloon->poison = 0;
	balloon->hint_id = BALLOON_ID_STOP;
	pthread_cond_broadcast(&balloon->told);
}

static void balloon_pause(struct virtio_dev *dev, unsigned int thread, bool paused)
{
	struct virtio_balloon *balloon = balloon_of(dev);

	balloon->paused = paused;
	if (!paused && balloon->announce)
		balloon_announce(balloon);
}

static void balloon_free(struct virtio_dev *dev)
{
	struct virtio_balloon *balloon = balloon_of(dev);

	pthread_cond_destroy(&balloon->told);
	pthread_mutex_destroy(&balloon->lock);
	free(balloon);
}

static const struct virtio_dev_ops balloon_ops = {.notify = balloon_notify,
	.activate = balloon_activate,
	.deactivate = balloon_deactivate,
	.queue_reset = balloon_queue_reset,
	.pause = balloon_pause,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.free = balloon_free};

static void balloon_init_lock(struct virtio_balloon *balloon)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&balloon->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&balloon->told, &attr);
	pthread_condattr_destroy(&attr);
}

struct err *virtio_balloon_create(const struct virtio_balloon_options *options,
	struct virtio_dev **ret_dev, struct virtio_balloon **ret_balloon)
{
	struct virtio_balloon *balloon = new0(struct virtio_balloon);

	if (!balloon)
		return err_new(ENOMEM, "Cannot create a balloon");
	balloon->dev = (struct virtio_dev){
		.ops = &balloon_ops,
		.name = "virtio-balloon",
		.id = BALLOON_ID,
		.class_code = 0xff0000,
		.features = VIRTIO_F_IN_ORDER | VIRTIO_F_RING_RESET | BALLOON_F_MUST_TELL_HOST |
			    BALLOON_F_STATS_VQ | BALLOON_F_FREE_PAGE_HINT | BALLOON_F_PAGE_POISON,
		.n_queues = options->reporting ? BALLOON_QUEUES : BALLOON_Q_REPORTING,
		.queue_size = BALLOON_QUEUE_SIZE,
		.config_size = BALLOON_CONFIG_SIZE,
	};
	if (options->deflate_on_oom)
		balloon->dev.features |= BALLOON_F_DEFLATE_ON_OOM;
	if (options->reporting)
		balloon->dev.features |= BALLOON_F_REPORTING;
	balloon->info.age_ns = UINT64_MAX;
	balloon_init_lock(balloon);
	virtio_balloon_set_target(balloon, options->target);
	*ret_dev = &balloon->dev;
	*ret_balloon = balloon;
	return NULL;
}
