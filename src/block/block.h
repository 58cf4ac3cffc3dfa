/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices as their users see them, whatever stores the bytes and whoever moves them.
 *
 * Theory of operation. A user (a virtio device) submits requests, kicks once a batch, and is told
 * of each that is done, and of the end of a batch of those, so that it publishes and interrupts
 * once. Requests are independent of each other: the order of two that are in flight is open, and a
 * flush covers the writes that were done before it was submitted. Devices stack: a layer (throttle,
 * read-only, fault injection) holds the device below, is its user, and passes requests on, the same
 * objects. At the bottom is an engine over an image: synchronous system calls, or io_uring.
 *
 * Life: create [main]; start, before the loop runs [any]; submit, kick, quiesce, resize [loop];
 * stop, when the loop has ended [any]; free [main]. Started and stopped any number of times.
 */
#pragma once

#include <stdatomic.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/overflow.h"
#include "event/loop.h"

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };

/* Embedded; its submitter's until submitted and once done. */
struct block_request {
	enum block_op op;
	bool fua;          /* what changes data: it is on stable storage when the request is done */
	bool unmap;        /* BLOCK_WRITE_ZEROES: may give the space back */
	uint64_t off, len; /* bytes, inside the device; a flush has none */
	struct iovec *iov; /* READ, WRITE: n pieces of len bytes in all; the device changes them */
	int n;
	int result; /* 0 or -errno; -EOPNOTSUPP: the storage cannot do this. Of a request that
		       failed nothing is known of how much was done. */

	/* Of the layer that has the request. */
	struct block_request *next;
	bool buffered; /* not fit for direct I/O */
};

/* First in, first out. Zero-initialised. */
struct block_fifo {
	struct block_request *first, *last;
};

void block_fifo_add(struct block_fifo *fifo, struct block_request *r);
void block_fifo_add_first(struct block_fifo *fifo, struct block_request *r);
/* NULL: empty. */
struct block_request *block_fifo_take(struct block_fifo *fifo);

/* The user of a device; calls come in kick, quiesce and resume, or from the loop, never in submit.
 */
struct block_user {
	void (*done)(struct block_user *user, struct block_request *r);
	/* What is done so far may be told: the last of a batch. */
	void (*batch)(struct block_user *user);
	/* While true, requests that were not begun are not begun. */
	const _Atomic bool *yield;
};

struct block_facts {
	uint64_t size;       /* bytes */
	uint32_t block_size; /* logical; a power of two, 512 or more */
	uint32_t
		physical_size; /* what is written without reading first; a multiple of block_size */
	uint32_t opt_io;       /* best size of a transfer, bytes; 0: not known */
	bool readonly;
};

struct block_dev;

struct block_ops {
	void (*start)(struct block_dev *dev, struct loop *loop);
	void (*submit)(struct block_dev *dev, struct block_request *r);
	void (*kick)(struct block_dev *dev);
	bool (*has_done)(const struct block_dev *dev); /* optional */
	void (*quiesce)(struct block_dev *dev);
	struct err *(*resize)(struct block_dev *dev, uint64_t size);
	void (*stop)(struct block_dev *dev);
	void (*free)(struct block_dev *dev);
};

struct block_dev {
	const struct block_ops *ops;
	struct block_facts facts;
	struct block_user *user; /* while started */
	bool waits;              /* while started: a kick returns when all of it is done */
};

/* Must be called before the others; `user` and `loop` outlive block_stop(). */
static inline void block_start(struct block_dev *dev, struct block_user *user, struct loop *loop)
{
	dev->user = user;
	dev->ops->start(dev, loop);
}

/* Takes the request; nothing is done about it until the kick. */
static inline void block_submit(struct block_dev *dev, struct block_request *r)
{
	dev->ops->submit(dev, r);
}

/* Begins what was submitted; also what was held back by quiesce or yield. */
static inline void block_kick(struct block_dev *dev)
{
	dev->ops->kick(dev);
}

/* A cheap look: is the storage done with something that the next kick tells? */
static inline bool block_has_done(const struct block_dev *dev)
{
	return dev->ops->has_done && dev->ops->has_done(dev);
}

/* Waits for the requests that were begun, and begins no other until block_kick(): no buffer is
 * touched. As long as the storage takes. */
static inline void block_quiesce(struct block_dev *dev)
{
	dev->ops->quiesce(dev);
}

/*
 * Makes the storage `size` bytes large, or, with 0, looks how large somebody else has made it;
 * facts.size tells, also after an error. Waits as block_quiesce() does, and requests that were not
 * begun fail if they reach past the end. [loop], and [any] while it is not started
 */
static inline struct err *must_check block_resize(struct block_dev *dev, uint64_t size)
{
	block_quiesce(dev);
	return dev->ops->resize(dev, size);
}

/* block_quiesce(), and all requests are forgotten: the user is told nothing any more. */
static inline void block_stop(struct block_dev *dev)
{
	dev->user = NULL;
	dev->ops->stop(dev);
}

/* ---- For implementations: word to the user, if there is one ---- */

static inline void block_done(struct block_dev *dev, struct block_request *r, int result)
{
	r->result = result;
	if (dev->user)
		dev->user->done(dev->user, r);
}

static inline void block_batch(struct block_dev *dev)
{
	if (dev->user)
		dev->user->batch(dev->user);
}

static inline bool block_may_begin(const struct block_dev *dev)
{
	return dev->user && !atomic_load(dev->user->yield);
}

/* Is it inside? The device may have become smaller since it was submitted. */
static inline bool block_fits(const struct block_dev *dev, const struct block_request *r)
{
	return range_fits(r->off, r->len, dev->facts.size);
}

static inline void block_free(struct block_dev *dev)
{
	if (dev)
		dev->ops->free(dev);
}
