/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of threads. A worker takes the next request of a lane that has not reached its limit,
 * and sleeps if there is none. Who adds wakes as many as find one. Both wake each other without
 * holding the lock that the other will take first.
 */
#define LOG_MODULE "block"
#include "block/pool.h"

#include <stdio.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

/* Reads at a time. */
#define POOL_READS 4u
/* Writes that a thread takes together: they are only copied, made stable together, and told
 * together. */
#define POOL_BATCH       16u
#define POOL_BATCH_BYTES KIB(128)

static unsigned int pool_lane(const struct block_request *r)
{
	switch (r->op) {
	case BLOCK_READ:
		return BLOCK_LANE_READ;
	case BLOCK_FLUSH:
		return BLOCK_LANE_FLUSH;
	case BLOCK_WRITE:
	case BLOCK_DISCARD:
	case BLOCK_WRITE_ZEROES:
		break;
	}
	return BLOCK_LANE_CHANGE;
}

/* ---- Workers ---- */

/* One request, or all flushes, or some writes. */
static void pool_take_locked(struct block_pool_lane *lane, struct block_fifo *batch)
{
	enum block_op op = lane->todo.first->op;
	bool all = op == BLOCK_FLUSH;
	bool some = op == BLOCK_WRITE && lane->max == 1;
	uint64_t bytes = 0;
	unsigned int n = 0;

	*batch = (struct block_fifo){0};
	do {
		struct block_request *r = block_fifo_take(&lane->todo);

		block_fifo_add(batch, r);
		lane->n--;
		n++;
		bytes += r->len;
	} while (lane->n && (all || (some && lane->todo.first->op == op && n < POOL_BATCH &&
					    bytes < POOL_BATCH_BYTES)));
}

static struct block_pool_lane *pool_pick_locked(struct block_pool *pool)
{
	for (unsigned int i = 0; i < BLOCK_LANES; i++) {
		unsigned int index = (pool->turn + i) % BLOCK_LANES;
		struct block_pool_lane *lane = &pool->lanes[index];

		if (lane->n && lane->running < lane->max) {
			pool->turn = (index + 1) % BLOCK_LANES;
			return lane;
		}
	}
	return NULL;
}

/* Waits for work: its lane, or NULL if the thread ends. */
static struct block_pool_lane *pool_next(struct block_pool *pool, struct block_fifo *batch)
{
	struct block_pool_lane *lane = NULL;

	auto_lock(&pool->lock);
	while (!pool->quit && !(lane = pool_pick_locked(pool)))
		pthread_cond_wait(&pool->wanted, &pool->lock);
	if (lane) {
		pool_take_locked(lane, batch);
		lane->running++;
	}
	return lane;
}

/* What is to be stable is made so by one flush. */
static void pool_execute_writes(struct block_pool *pool, struct block_fifo *batch)
{
	struct block_request flush = {.op = BLOCK_FLUSH};
	bool any = false;

	for (struct block_request *r = batch->first; r; r = r->next) {
		bool fua = r->fua;

		r->fua = false;
		r->result = block_image_run(pool->image, r);
		r->fua = fua;
		any = any || (fua && !r->result);
	}
	if (any)
		flush.result = block_image_run(pool->image, &flush);
	for (struct block_request *r = batch->first; r; r = r->next) {
		if (r->fua && !r->result)
			r->result = flush.result;
	}
}

static void pool_execute(struct block_pool *pool, struct block_fifo *batch)
{
	int result;

	if (batch->first->op == BLOCK_WRITE && batch->first->next) {
		pool_execute_writes(pool, batch);
		return;
	}
	/* One, or all flushes. */
	result = block_image_run(pool->image, batch->first);
	for (struct block_request *r = batch->first; r; r = r->next)
		r->result = result;
}

/* true: the loop is to be told. */
static bool pool_done(
	struct block_pool *pool, struct block_pool_lane *lane, struct block_fifo *batch)
{
	struct block_request *r;
	bool was_empty;

	auto_lock(&pool->lock);
	was_empty = !pool->done.first;
	while ((r = block_fifo_take(batch)))
		block_fifo_add(&pool->done, r);
	atomic_store(&pool->any_done, true);
	lane->running--;
	pthread_cond_broadcast(&pool->settled);
	return was_empty;
}

static void pool_run(struct thread *thread)
{
	struct block_pool *pool = container_of(thread, struct block_pool_worker, thread)->pool;
	struct block_pool_lane *lane;
	struct block_fifo batch;

	while ((lane = pool_next(pool, &batch))) {
		pool_execute(pool, &batch);
		if (pool_done(pool, lane, &batch))
			fd_eventfd_signal(pool->source.fd);
	}
}

/* ---- The loop's thread ---- */

static void pool_on_done(struct loop_fd *source, uint32_t events)
{
	struct block_pool *pool = container_of(source, struct block_pool, source);

	pool->ready(pool);
}

static void pool_close_source(struct block_pool *pool)
{
	loop_remove(&pool->source);
	auto_close_cleanup(&pool->source.fd);
	pool->source.fd = -1;
}

/* Edge-triggered: nobody has to read it. */
static int pool_open_source(struct block_pool *pool)
{
	int ret;

	if (pool->source.fd >= 0)
		return 0;
	pool->source = (struct loop_fd){
		.fd = fd_eventfd(), .events = EPOLLIN | EPOLLET, .ready = pool_on_done};
	if (pool->source.fd < 0)
		return pool->source.fd;
	ret = loop_add(pool->loop, &pool->source);
	if (ret)
		pool_close_source(pool);
	return ret;
}

static struct err *pool_start_worker(struct block_pool *pool)
{
	struct block_pool_worker *worker = &pool->workers[pool->n_workers];
	int ret = pool_open_source(pool);

	if (ret)
		return err_new(-ret, "Cannot create an eventfd");
	*worker = (struct block_pool_worker){
		.thread = {.name = pool->name, .run = pool_run}, .pool = pool};
	return thread_start(&worker->thread);
}

/* As many as there is work for. */
static void pool_hire(struct block_pool *pool, unsigned int wanted)
{
	while (pool->n_workers < MIN(wanted, pool->max_workers)) {
		struct err *err = pool_start_worker(pool);

		if (!err) {
			pool->n_workers++;
			continue;
		}
		pool->max_workers = pool->n_workers;
		log_err_free(LOG_WARN, LOG_MODULE,
			err_wrap(err, "%s: %s threads for requests that take long", pool->name,
				pool->n_workers ? "few" : "no"));
	}
}

/* Threads that have work, or find some. */
static unsigned int pool_wanted_locked(const struct block_pool *pool)
{
	unsigned int wanted = 0;

	for (unsigned int i = 0; i < BLOCK_LANES; i++)
		wanted += MIN(pool->lanes[i].n + pool->lanes[i].running, pool->lanes[i].max);
	return wanted;
}

/* The number of threads that have work now, and of those that find some. */
static unsigned int pool_fill(
	struct block_pool *pool, struct block_fifo *list, unsigned int *ret_more)
{
	struct block_request *r;
	unsigned int before, wanted;

	auto_lock(&pool->lock);
	before = pool_wanted_locked(pool);
	while ((r = block_fifo_take(list))) {
		struct block_pool_lane *lane = &pool->lanes[pool_lane(r)];

		block_fifo_add(&lane->todo, r);
		lane->n++;
	}
	wanted = pool_wanted_locked(pool);
	*ret_more = wanted - before;
	return wanted;
}

bool block_pool_add(struct block_pool *pool, struct block_fifo *list)
{
	unsigned int wanted, more;

	if (!list->first)
		return true;
	/* One at least, before the list is taken over. */
	pool_hire(pool, 1);
	if (!pool->n_workers)
		return false;
	wanted = pool_fill(pool, list, &more);
	/* Without the lock, which they want as well. */
	while (more--)
		pthread_cond_signal(&pool->wanted);
	pool_hire(pool, wanted);
	return true;
}

struct block_fifo block_pool_take(struct block_pool *pool)
{
	struct block_fifo done = {0};

	if (!block_pool_has_done(pool))
		return done;
	auto_lock(&pool->lock);
	done = pool->done;
	pool->done = (struct block_fifo){0};
	atomic_store(&pool->any_done, false);
	return done;
}

static bool pool_works_locked(const struct block_pool *pool)
{
	for (unsigned int i = 0; i < BLOCK_LANES; i++) {
		if (pool->lanes[i].running)
			return true;
	}
	return false;
}

void block_pool_quiesce(struct block_pool *pool, struct block_fifo *left)
{
	struct block_request *r;

	auto_lock(&pool->lock);
	for (unsigned int i = 0; i < BLOCK_LANES; i++) {
		while ((r = block_fifo_take(&pool->lanes[i].todo)))
			block_fifo_add(left, r);
		pool->lanes[i].n = 0;
	}
	while (pool_works_locked(pool))
		pthread_cond_wait(&pool->settled, &pool->lock);
}

/* ---- Life ---- */

void block_pool_init(struct block_pool *pool, struct block_image *image, const char *name,
	unsigned int changes, void (*ready)(struct block_pool *pool))
{
	*pool = (struct block_pool){.image = image, .ready = ready, .source.fd = -1};
	pool->lanes[BLOCK_LANE_FLUSH].max = 1;
	pool->lanes[BLOCK_LANE_CHANGE].max = changes;
	pool->lanes[BLOCK_LANE_READ].max = POOL_READS;
	(void)snprintf(pool->name, sizeof(pool->name), "%.12s-io", name);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wanted, NULL);
	pthread_cond_init(&pool->settled, NULL);
}

void block_pool_deinit(struct block_pool *pool)
{
	pthread_cond_destroy(&pool->settled);
	pthread_cond_destroy(&pool->wanted);
	pthread_mutex_destroy(&pool->lock);
}

void block_pool_start(struct block_pool *pool, struct loop *loop)
{
	pool->loop = loop;
	pool->max_workers = BLOCK_POOL_THREADS;
}

void block_pool_stop(struct block_pool *pool)
{
	struct block_fifo forgotten = {0};

	block_pool_quiesce(pool, &forgotten);
	with_lock (&pool->lock) {
		pool->quit = true;
		pthread_cond_broadcast(&pool->wanted);
	}
	while (pool->n_workers)
		thread_join(&pool->workers[--pool->n_workers].thread);
	pool_close_source(pool);
	pool->quit = false;
	(void)block_pool_take(pool);
}
