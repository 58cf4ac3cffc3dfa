/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for requests that make whoever carries them out wait.
 *
 * Theory of operation. The kernel's own threads for this (io-wq) wake up every few seconds for as
 * long as the thread that submits lives; ours sleep until there is work. They start at first need
 * and end with block_pool_stop(). A pool has three lanes, each with a limit of what is done at a
 * time: flushes (one, for all that wait: it covers what each of them has to), changes and reads.
 * Threads take from each in turn, however few there are. What is done is kept for the loop's
 * thread, which is woken by an eventfd.
 *
 * All functions [loop], but where said otherwise.
 */
#pragma once

#include <stdatomic.h>

#include "base/thread.h"
#include "block/image.h"

#define BLOCK_POOL_THREADS 6u

enum { BLOCK_LANE_FLUSH, BLOCK_LANE_CHANGE, BLOCK_LANE_READ, BLOCK_LANES };

struct block_pool;

struct block_pool_lane {
	struct block_fifo todo;
	unsigned int n;       /* of those */
	unsigned int running; /* threads that work for it */
	unsigned int max;     /* of those */
};

struct block_pool_worker {
	struct thread thread;
	struct block_pool *pool;
};

/* Embedded. */
struct block_pool {
	struct block_image *image;
	char name[16]; /* of its threads */
	void (*ready)(struct block_pool *pool);
	struct loop *loop;
	struct loop_fd source; /* the eventfd; -1 while there is no thread */
	struct block_pool_worker workers[BLOCK_POOL_THREADS];
	unsigned int n_workers;
	unsigned int max_workers; /* less than there is room for, if one could not be started */
	_Atomic bool any_done;

	pthread_mutex_t lock;   /* guards what follows; lock order 105 */
	pthread_cond_t wanted;  /* there is work, or the end */
	pthread_cond_t settled; /* a thread has no work */
	struct block_pool_lane lanes[BLOCK_LANES];
	unsigned int turn; /* the lane that is looked at first */
	struct block_fifo done;
	bool quit;
};

/*
 * `image` outlives the pool, and is used by several threads at a time. `changes` at a time: 1 where
 * the file system has them wait for each other anyway; writes are then taken a few together.
 * `ready` is called when there is something to take. [main]
 */
void block_pool_init(struct block_pool *pool, struct block_image *image, const char *name,
	unsigned int changes, void (*ready)(struct block_pool *pool));
/* When it is stopped. [main] */
void block_pool_deinit(struct block_pool *pool);

/* Starts no thread yet. [any], before the loop runs */
void block_pool_start(struct block_pool *pool, struct loop *loop);

/* Takes all requests of the list over. false: they are still in it, as there can be no thread. */
bool must_check block_pool_add(struct block_pool *pool, struct block_fifo *list);

/* A cheap look: is there something to take? */
static inline bool block_pool_has_done(const struct block_pool *pool)
{
	return atomic_load_explicit(&pool->any_done, memory_order_relaxed);
}

/* What is done, with its results; order is open. */
struct block_fifo block_pool_take(struct block_pool *pool);

/* Waits for what has been begun; what has not is appended to `left`. [any], as the engine's */
void block_pool_quiesce(struct block_pool *pool, struct block_fifo *left);

/* The same, and everything is forgotten; the threads end. [any], when the loop has ended */
void block_pool_stop(struct block_pool *pool);
