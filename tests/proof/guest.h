/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory for the proofs: whatever is read from it is any value, at every read anew, as if the
 * guest changed it all the time. What is to be proved holds for every one of them. Writes must be
 * inside the window.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "virtio/queue/virtq_internal.h"

#define PROOF(condition, name) __CPROVER_assert(condition, name)
#define GIVEN(condition)       __CPROVER_assume(condition)

uint8_t nondet_u8(void);
uint16_t nondet_u16(void);
uint32_t nondet_u32(void);
int nondet_int(void);
bool nondet_bool(void);

/* A piece of memory that holds anything, and does again after any_guest(). */
static uint8_t guest_rings[3][96];

static inline void any_guest(void)
{
	__CPROVER_havoc_object(guest_rings);
}

static unsigned int guest_windows;

int ram_window_init(const struct ram *ram, uint64_t gpa, uint64_t len, uint64_t align,
	struct ram_window *ret_window)
{
	PROOF(guest_windows < 3, "a queue has three rings");
	PROOF(len <= sizeof(guest_rings[0]), "a ring's window is as long as the ring");
	*ret_window = (struct ram_window){.hva = guest_rings[guest_windows++], .len = len};
	return 0;
}

bool ram_contains(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	return nondet_bool();
}

int ram_read(const struct ram *ram, uint64_t gpa, void *dst, size_t len)
{
	PROOF(__CPROVER_w_ok(dst, len), "a copy out of guest memory fits its buffer");
	__CPROVER_havoc_slice(dst, len);
	return nondet_bool() ? 0 : -EFAULT;
}

/* Any number of pieces that the list takes: up to two, as RAM regions may be crossed. */
int ram_iov(const struct ram *ram, uint64_t gpa, uint64_t len, struct iovec *iov, int max)
{
	int n = nondet_int();

	PROOF(max >= 0, "the list of pieces never has less than no room");
	GIVEN(n >= -1 && n <= 2);
	if (n < 0 || n > max)
		return -EFAULT;
	PROOF(__CPROVER_w_ok(iov, (size_t)n * sizeof(*iov)), "pieces are inside the list");
	return n;
}

static inline struct virtq_layout any_layout(uint16_t size_max, bool packed)
{
	struct virtq_layout layout = {.size = nondet_u16(),
		.packed = packed,
		.event_idx = nondet_bool(),
		.indirect = nondet_bool(),
		.in_order = nondet_bool()};

	GIVEN(layout.size <= size_max);
	return layout;
}
