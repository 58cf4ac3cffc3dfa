/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes, container_of and the cleanup helpers that every other file uses.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must_check        __attribute__((warn_unused_result))
#define printf_like(a, b) __attribute__((format(printf, a, b)))
#define nonnull           __attribute__((nonnull))
#define maybe_unused      __attribute__((unused))
#define likely(x)         __builtin_expect(!!(x), 1)
#define unlikely(x)       __builtin_expect(!!(x), 0)

/* Number of elements of an array; a pointer does not compile. */
#define ARRAY_SIZE(a)                                                                              \
	(sizeof(a) / sizeof((a)[0]) +                                                              \
		0 * sizeof(char[1 - 2 * __builtin_types_compatible_p(                              \
						__typeof__(a), __typeof__(&(a)[0]))]))

/* The object that embeds *ptr as its member; the member's type is checked. */
#define container_of(ptr, type, member)                                                            \
	__extension__({                                                                            \
		__typeof__(((type *)0)->member) *member_ptr_ = (ptr);                              \
		(type *)(void *)((char *)member_ptr_ - offsetof(type, member));                    \
	})

/* The same for a pointer to const. */
#define container_of_const(ptr, type, member)                                                      \
	__extension__({                                                                            \
		const __typeof__(((type *)0)->member) *member_ptr_ = (ptr);                        \
		(const type *)(const void *)((const char *)member_ptr_ - offsetof(type, member));  \
	})

#define MIN(a, b)                                                                                  \
	__extension__({                                                                            \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	__extension__({                                                                            \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
