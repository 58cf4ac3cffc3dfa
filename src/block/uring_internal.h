/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the io_uring engine share: uring.c has its life and what the kernel is done
 * with, uring_submit.c the way there.
 */
#pragma once

#include <liburing.h>

#include "block/block_internal.h"
#include "block/pool.h"

#define URING_ENTRIES  256u
#define URING_NAME_MAX 64u

/* The files that are registered. */
enum { URING_FILE_MAIN, URING_FILE_BUFFERED };

struct block_uring {
	struct block_dev base;
	struct block_raw *raw;
	char name[URING_NAME_MAX];
	struct io_uring ring;
	bool up;     /* ring is there */
	bool nowait; /* the file knows RWF_NOWAIT */
	bool fixed;  /* memory is registered */
	bool fixed_vectors;
	struct loop *loop;
	struct loop_fd source;
	struct loop_timer retry;
	struct block_fifo todo;
	unsigned int in_flight; /* in the ring */
	struct block_pool pool;
	struct block_fifo slow; /* on their way there */
	/* Writes through the page cache, which many file systems always refuse: so many will not be
	 * tried, and so many were not after the last refusal. */
	unsigned int skip, skipped;
};

/* Past the page cache? */
static inline bool uring_is_direct(const struct block_uring *u, const struct block_request *r)
{
	return u->raw->buffered >= 0 && !r->buffered;
}

/* uring_submit.c [loop] */
/* Makes entries of what was submitted, and enters the kernel; what would make it wait goes to the
 * pool. */
void uring_begin(struct block_uring *u);
/* What is on its way to the pool goes there. */
void uring_hand_over(struct block_uring *u);
/* The kernel would have to wait for this one. */
void uring_refused(struct block_uring *u, struct block_request *r);
