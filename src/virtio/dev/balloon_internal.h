/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The balloon's state, shared by its files.
 */
#pragma once

#include <pthread.h>

#include "virtio/dev/balloon.h"

#define BALLOON_F_MUST_TELL_HOST (1ull << 0)
#define BALLOON_F_STATS_VQ       (1ull << 1)
#define BALLOON_F_DEFLATE_ON_OOM (1ull << 2)
#define BALLOON_F_FREE_PAGE_HINT (1ull << 3)
#define BALLOON_F_PAGE_POISON    (1ull << 4)
#define BALLOON_F_REPORTING      (1ull << 5)

enum {
	BALLOON_Q_INFLATE,
	BALLOON_Q_DEFLATE,
	BALLOON_Q_STATS,
	BALLOON_Q_HINT,
	BALLOON_Q_REPORTING,
	BALLOON_QUEUES
};

#define BALLOON_ID_STOP 0u /* values of the command id that are none */
#define BALLOON_ID_DONE 1u

/*
 * Huge pages go back when all of their pages are in the balloon: which are, and how many of each
 * huge page. Untouched parts of it have no memory.
 */
struct balloon_held {
	uint64_t *bits;   /* by page number; NULL: not yet */
	uint32_t *counts; /* by huge page, behind the bits */
	uint64_t pages;   /* that the bits are for */
	uint64_t size;    /* bytes of both */
};

struct virtio_balloon {
	struct virtio_dev dev;

	/* Of the device's thread. */
	struct virtq_chain chain;
	struct balloon_held held;
	bool has_stats;   /* the driver's buffer is with us, */
	uint16_t stats;   /* in this slot */
	uint32_t hinting; /* the id that the driver answers, or 0 */
	bool paused;
	bool announce; /* after the pause: the configuration has changed */

	pthread_mutex_t lock; /* guards what follows; lock order 55 */
	pthread_cond_t told;  /* statistics or hints came, or the device is gone */
	struct loop *loop;    /* NULL while not active */
	struct loop_msg changed_msg, poll_msg;
	struct balloon_info info; /* age_ns: the time when they came */
	uint32_t poison;          /* what the driver's free pages hold */
	uint32_t hint_id;         /* what the driver reads, */
	uint32_t hint_last;       /* and the last one that was none of the above */
	uint64_t hinted;          /* bytes of this answer */
	uint64_t n_stats, n_hints;
};

static inline struct virtio_balloon *balloon_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_balloon, dev);
}

/* The driver is to read the configuration again. [loop] */
void balloon_announce(struct virtio_balloon *balloon);

/* balloon_pages.c: each works on one chain. [loop] */
uint32_t balloon_inflate(struct virtio_dev *dev, struct virtq_chain *chain);
uint32_t balloon_deflate(struct virtio_dev *dev, struct virtq_chain *chain);
uint32_t balloon_report(struct virtio_dev *dev, struct virtq_chain *chain);
/* Forgets which pages are in the balloon. [loop], or when its thread has ended */
void balloon_forget(struct virtio_balloon *balloon);

/* balloon_stats.c */
uint32_t balloon_take_stats(struct virtio_dev *dev, struct virtq_chain *chain);
/* Gives the driver its buffer back, which asks for new statistics, or lets go of it. [loop] */
void balloon_ask_stats(struct virtio_balloon *balloon);

/* balloon_hint.c */
uint32_t balloon_take_hints(struct virtio_dev *dev, struct virtq_chain *chain);
