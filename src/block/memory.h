/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that requests move data from and to, known beforehand, in pieces as io_uring registers it
 * (at most 1 GiB each).
 */
#pragma once

#include <sys/uio.h>

#include "base/macros.h"

/* IORING_OP_READV_FIXED and IORING_OP_WRITEV_FIXED, of newer headers than ours. */
#define BLOCK_MEMORY_OP_READV  60
#define BLOCK_MEMORY_OP_WRITEV 61

struct io_uring;

struct block_memory {
	struct iovec *pieces; /* by address */
	unsigned int n;
};

/* Of n ranges that do not overlap; 0 or -ENOMEM. [main] */
int must_check block_memory_init(
	struct block_memory *memory, const struct iovec *ranges, unsigned int n);
void block_memory_deinit(struct block_memory *memory);

/*
 * Registers it with a ring, until the ring's end: the kernel pins all of it (faulting in what was
 * not there), and keeps those pages even if others are mapped there. 0 or -errno (ENOMEM: also
 * RLIMIT_MEMLOCK). *ret_vectors: may requests of several parts use it (Linux 6.15)? [any]
 */
int must_check block_memory_register(
	const struct block_memory *memory, struct io_uring *ring, bool *ret_vectors);

/* Which piece has all n parts of a request; -1: none. [any] */
int block_memory_find(const struct block_memory *memory, const struct iovec *parts, int n);
