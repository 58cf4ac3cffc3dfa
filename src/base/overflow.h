/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic that says when it overflows, and range tests on [start, start + len). All functions
 * [any].
 */
#pragma once

#include "base/macros.h"

/* true when a + b, a - b or a * b does not fit *ret (which then holds the wrapped value). */
#define add_overflows(a, b, ret) __builtin_add_overflow((a), (b), (ret))
#define sub_overflows(a, b, ret) __builtin_sub_overflow((a), (b), (ret))
#define mul_overflows(a, b, ret) __builtin_mul_overflow((a), (b), (ret))

/* true when [off, off + len) lies inside [0, size); len may be 0. */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/* true when the two half-open ranges share a byte; the ends must not overflow. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a_len && b_len && a < b + b_len && b < a + a_len;
}

static inline bool is_pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

/* v rounded down or up to a power of two `align`; the caller excludes overflow. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return align_down(v + align - 1, align);
}

/* Smallest n with 1 << n >= v, for v in 1 .. 2^63. */
static inline unsigned int ceil_log2(uint64_t v)
{
	return v <= 1 ? 0 : 64 - (unsigned int)__builtin_clzll(v - 1);
}
