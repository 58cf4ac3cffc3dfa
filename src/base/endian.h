/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little- and big-endian integers as types of their own: a le32 cannot be used as a number by
 * mistake. Also loads and stores at any alignment. All functions [any].
 */
#pragma once

#include <endian.h>
#include <string.h>

#include "base/macros.h"

typedef struct {
	uint16_t raw;
} le16;
typedef struct {
	uint32_t raw;
} le32;
typedef struct {
	uint64_t raw;
} le64;
typedef struct {
	uint16_t raw;
} be16;
typedef struct {
	uint32_t raw;
} be32;
typedef struct {
	uint64_t raw;
} be64;

#define ENDIAN_DEFINE(kind, bits)                                                                  \
	static inline uint##bits##_t kind##bits##_get(kind##bits v)                                \
	{                                                                                          \
		return kind##bits##toh(v.raw);                                                     \
	}                                                                                          \
	static inline kind##bits kind##bits##_make(uint##bits##_t v)                               \
	{                                                                                          \
		return (kind##bits){.raw = hto##kind##bits(v)};                                    \
	}                                                                                          \
	static inline uint##bits##_t load_##kind##bits(const void *p)                              \
	{                                                                                          \
		kind##bits v;                                                                      \
		memcpy(&v, p, sizeof(v));                                                          \
		return kind##bits##_get(v);                                                        \
	}                                                                                          \
	static inline void store_##kind##bits(void *p, uint##bits##_t v)                           \
	{                                                                                          \
		kind##bits w = kind##bits##_make(v);                                               \
		memcpy(p, &w, sizeof(w));                                                          \
	}

ENDIAN_DEFINE(le, 16)
ENDIAN_DEFINE(le, 32)
ENDIAN_DEFINE(le, 64)
ENDIAN_DEFINE(be, 16)
ENDIAN_DEFINE(be, 32)
ENDIAN_DEFINE(be, 64)
#undef ENDIAN_DEFINE

/* Loads a little-endian integer of 1, 2, 4 or 8 bytes. */
static inline uint64_t load_le(const void *p, unsigned int size)
{
	uint64_t v = 0;

	assert(size <= sizeof(v));
	memcpy(&v, p, size);
	return le64toh(v);
}

/* Stores the low `size` (1, 2, 4 or 8) bytes of v, little-endian. */
static inline void store_le(void *p, uint64_t v, unsigned int size)
{
	uint64_t w = htole64(v);

	assert(size <= sizeof(w));
	memcpy(p, &w, size);
}
