/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device's state, shared by its files.
 *
 * Theory of operation. The queues are shared out over the device's threads (queue i has thread i
 * mod n). Each has the disk as a block device of its own, its requests, and what polling learns;
 * threads have nothing in common but what the driver writes to the configuration, and the size:
 * when that changes, all of them meet (blk_resize.c).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "virtio/dev/blk.h"
#include "virtio/poll.h"

#define BLK_SECTOR           512u
#define BLK_HEADER           16u

#define BLK_SEG_OTHER        2u /* header and status */
#define BLK_SIZE_MAX         MIB(4)
#define BLK_DATA_MAX         GIB(1)                 /* more than that times the largest SEG_MAX */
#define BLK_DISCARD_MAX      (GIB(1) / BLK_SECTOR)  /* sectors of a request */
#define BLK_WRITE_ZEROES_MAX (MIB(32) / BLK_SECTOR) /* less: they may have to be written */

#define BLK_F_SIZE_MAX       (1ull << 1)
#define BLK_F_SEG_MAX        (1ull << 2)
#define BLK_F_RO             (1ull << 5)
#define BLK_F_BLK_SIZE       (1ull << 6)
#define BLK_F_FLUSH          (1ull << 9)
#define BLK_F_TOPOLOGY       (1ull << 10)
#define BLK_F_CONFIG_WCE     (1ull << 11)
#define BLK_F_MQ             (1ull << 12)
#define BLK_F_DISCARD        (1ull << 13)
#define BLK_F_WRITE_ZEROES   (1ull << 14)

#define BLK_T_IN             0u
#define BLK_T_OUT            1u
#define BLK_T_FLUSH          4u
#define BLK_T_GET_ID         8u
#define BLK_T_DISCARD        11u
#define BLK_T_WRITE_ZEROES   13u

enum { BLK_S_OK, BLK_S_IOERR, BLK_S_UNSUPP };

#define BLK_SLOTS      256u /* requests in flight */
#define BLK_IOV_INLINE 8u   /* pieces of most requests */
#define BLK_WIDE       16u  /* requests in flight that have more */

/* A request, from the driver's queue until its status is written. */
struct blk_slot {
	struct block_request request;
	uint16_t head;
	uint16_t q;
	uint32_t data_len;   /* bytes that a read writes */
	uint32_t status_at;  /* bytes that the device may write before the status */
	struct iovec status; /* one byte */
	int wide;            /* index of its list of pieces, or -1 */
	struct blk_slot *next;
	struct iovec iov[BLK_IOV_INLINE];
};

/* Changes of the size. */
struct blk_resize {
	pthread_mutex_t caller; /* who waits; lock order 42 */
	pthread_mutex_t lock;   /* guards what follows; lock order 45 */
	pthread_cond_t told;
	unsigned int n_running; /* threads that have the disk */
	unsigned int n_met;     /* of those: wait for the others */
	unsigned int round;     /* they have met so often */
	bool changing;          /* somebody does it, without the lock */
	bool wanted;            /* by the caller, and not done */
	bool refresh;           /* wanted, and nobody waits */
	bool paused, announce;  /* until the machine goes on the driver is not told */
	struct loop_msg activated_msg;
	uint64_t bytes;
	struct err *err;

	_Atomic uint64_t capacity; /* bytes, as the driver reads it */
	_Atomic bool unseen;       /* it changed while there was nobody to tell */
};

/* What one of the device's threads works with. */
struct blk_thread {
	struct virtio_blk *blk;
	unsigned int index;
	struct block_dev *block; /* the disk, as this thread has it */
	struct block_user user;
	struct loop_msg resize_msg;
	bool paused;

	struct virtq_chain chain;
	struct blk_slot slots[BLK_SLOTS];
	struct blk_slot *free; /* of those that were used before */
	unsigned int n_fresh;  /* slots that were used */
	struct iovec *wide[BLK_WIDE];
	uint32_t wide_busy;   /* bits */
	uint64_t dirty;       /* queues with completions that are not published; bits */
	uint64_t held_since;  /* when the first of those was kept back; 0: none was */
	unsigned int n_dirty; /* those completions */
	bool in_turn;         /* who has the turn publishes */
	struct virtio_poll poll;
	uint64_t quiet;   /* queues that need not notify; bits */
	uint64_t waiting; /* queues with requests that found no room */
};

struct virtio_blk {
	struct virtio_dev dev;
	struct blk_resize resize;
	char name[VIRTIO_BLK_NAME_MAX + 1];
	char serial[VIRTIO_BLK_SERIAL_MAX];
	bool discard, writethrough;
	_Atomic bool writeback; /* the driver's choice (5.2.5) */
	unsigned int n_threads;
	struct blk_thread threads[];
};

/* blk_queue.c; [loop] */

/* Which thread has queue q. [any] */
unsigned int blk_queue_thread(const struct virtio_dev *dev, unsigned int q);
/* The driver notified: a turn. */
void blk_queue_notify(struct virtio_dev *dev, unsigned int q);
/* Requests are done that nobody waited for in a turn. */
void blk_queue_batch(struct block_user *user);

/* blk_request.c; [loop] */

/* Is there room for one more request? */
bool blk_has_room(const struct blk_thread *t);
/* Takes t->chain of queue q: submits it, or completes it at once. */
void blk_begin(struct blk_thread *t, unsigned int q);
/* Gives the driver the request back. */
void blk_done(struct block_user *user, struct block_request *r);
/* All requests are gone. */
void blk_forget(struct blk_thread *t);

/* blk_resize.c */
void blk_resize_init(struct virtio_blk *blk);
void blk_resize_deinit(struct virtio_blk *blk);
/* The driver reads the capacity. [vcpu] */
uint64_t blk_resize_capacity(struct virtio_blk *blk, unsigned int off);
/* The disk is the device's threads' from now on, or nobody's. [vcpu] or [main] */
void blk_resize_activate(struct virtio_blk *blk);
/* This thread is done with the disk: it ends. [loop] */
void blk_resize_drained(struct virtio_blk *blk);
/* Stops the block devices. */
void blk_resize_deactivate(struct virtio_blk *blk);
/* All threads pause, or not any more. [loop] */
void blk_resize_pause(struct virtio_blk *blk, bool paused);
