/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FNV-1a, 64 bits: equal only by chance, but not against somebody who wants it so.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xcbf29ce484222325ull

/* The hash of what was hashed before (HASH_START: nothing) and of len bytes more. [any] */
static inline uint64_t hash_add(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len--)
		hash = (hash ^ *p++) * 0x100000001b3ull;
	return hash;
}
