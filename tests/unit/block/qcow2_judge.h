/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of qcow2 images that shares no code with the one under test: it finds the guest's bytes,
 * and what is wrong with an image. Unused clusters (leaks) are not wrong. No images that are
 * encrypted, or have extended L2 entries or counts of other than 16 bits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

struct judge {
	const uint8_t *file;
	uint64_t size;
	unsigned int bits;
	uint64_t cluster;
	uint64_t l1_at;
	uint32_t l1_size;
	uint32_t *uses; /* of each cluster of the file */
	char wrong[120];
};

static inline bool judge_fails(struct judge *j, const char *what, uint64_t where)
{
	if (!j->wrong[0])
		(void)snprintf(
			j->wrong, sizeof(j->wrong), "%s 0x%llx", what, (unsigned long long)where);
	return false;
}

static inline uint64_t judge_get64(const struct judge *j, uint64_t at)
{
	return at + 8 <= j->size ? load_be64(j->file + at) : 0;
}

/* One more that uses each cluster of a range. */
static inline bool judge_use(struct judge *j, const char *what, uint64_t at, uint64_t len)
{
	if (at >= j->size)
		return judge_fails(j, what, at);
	for (uint64_t c = at >> j->bits; c <= (at + len - 1) >> j->bits; c++) {
		if (c << j->bits >= j->size)
			return judge_fails(j, what, at);
		j->uses[c]++;
	}
	return true;
}

static inline uint64_t judge_count(const struct judge *j, uint64_t cluster)
{
	uint64_t per_block = j->cluster / 2;
	uint64_t table = load_be64(j->file + 48);
	uint64_t table_len = (uint64_t)load_be32(j->file + 56) << j->bits;
	uint64_t slot = cluster / per_block * 8;
	uint64_t block = slot < table_len ? judge_get64(j, table + slot) : 0;
	uint64_t at = block + cluster % per_block * 2;

	return block && at + 2 <= j->size ? load_be16(j->file + at) : 0;
}

/* Where an entry of a compressed cluster has its data (QEMU's qcow2 specification). */
static inline bool judge_use_packed(struct judge *j, uint64_t entry)
{
	unsigned int bits = 62 - (j->bits - 8);
	uint64_t at = entry & ((1ull << bits) - 1);
	uint64_t more = (entry & ((1ull << 62) - 1)) >> bits;
	uint64_t end = (at & ~511ull) + (more + 1) * 512;

	/* The last one may be short. */
	return judge_use(
		j, "compressed data outside of the file", at, (end < j->size ? end : j->size) - at);
}

/* A bit that says that this is the only user, in the tables that are in use. */
static inline bool judge_copied(struct judge *j, bool active, uint64_t entry)
{
	uint64_t at = entry & 0x00fffffffffffe00ull;
	bool copied = entry >> 63;

	if (active && copied != (judge_count(j, at >> j->bits) == 1))
		return judge_fails(j, "copied bit and count disagree at", at);
	return true;
}

static inline bool judge_use_l2(struct judge *j, bool active, uint64_t table)
{
	if (table % j->cluster)
		return judge_fails(j, "L2 table not aligned at", table);
	if (!judge_use(j, "L2 table outside of the file at", table, j->cluster))
		return false;
	for (uint64_t i = 0; i < j->cluster; i += 8) {
		uint64_t entry = judge_get64(j, table + i);
		uint64_t at = entry & 0x00fffffffffffe00ull;

		if (entry >> 62 & 1) {
			if (!judge_use_packed(j, entry))
				return false;
		} else if (at && (at % j->cluster || !judge_copied(j, active, entry) ||
					 !judge_use(j, "cluster outside of the file at", at,
						 j->cluster))) {
			return judge_fails(j, "cluster", at);
		}
	}
	return true;
}

static inline bool judge_use_l1(struct judge *j, bool active, uint64_t l1, uint32_t n)
{
	if (!judge_use(j, "L1 table outside of the file at", l1, n * 8ull))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t entry = judge_get64(j, l1 + i * 8ull);

		if (entry & 0x00fffffffffffe00ull &&
			(!judge_copied(j, active, entry) ||
				!judge_use_l2(j, active, entry & 0x00fffffffffffe00ull)))
			return false;
	}
	return true;
}

static inline bool judge_use_snapshots(struct judge *j)
{
	uint32_t n = load_be32(j->file + 60);
	uint64_t start = load_be64(j->file + 64);
	uint64_t at = start;

	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *s = j->file + at;

		if (!judge_use_l1(j, false, load_be64(s), load_be32(s + 8)))
			return false;
		at += 40ull + load_be32(s + 36) + load_be16(s + 12) + load_be16(s + 14);
		at = (at + 7) & ~7ull;
	}
	return !n || judge_use(j, "snapshots outside of the file at", start, at - start);
}

static inline bool judge_use_counts(struct judge *j)
{
	uint64_t table = load_be64(j->file + 48);
	uint64_t len = (uint64_t)load_be32(j->file + 56) << j->bits;

	if (!judge_use(j, "table of counts outside of the file at", table, len))
		return false;
	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t block = judge_get64(j, table + i);

		if (block && (block % j->cluster ||
				     !judge_use(j, "block of counts outside of the file at", block,
					     j->cluster)))
			return judge_fails(j, "block of counts", block);
	}
	return true;
}

static inline bool judge_all(struct judge *j)
{
	if (!judge_use(j, "no header", 0, 1) || !judge_use_l1(j, true, j->l1_at, j->l1_size) ||
		!judge_use_snapshots(j) || !judge_use_counts(j))
		return false;
	for (uint64_t c = 0; c << j->bits < j->size; c++) {
		if (judge_count(j, c) < j->uses[c])
			return judge_fails(j, "count below use at", c << j->bits);
	}
	return true;
}

/* false: j->wrong says what is wrong. */
static inline bool judge_image(struct judge *j, const uint8_t *file, uint64_t size)
{
	bool good;

	*j = (struct judge){.file = file, .size = size, .bits = load_be32(file + 20)};
	j->cluster = 1ull << j->bits;
	j->l1_at = load_be64(file + 40);
	j->l1_size = load_be32(file + 36);
	j->uses = calloc((size >> j->bits) + 1, sizeof(*j->uses));
	good = j->uses && judge_all(j);
	free(j->uses);
	j->uses = NULL;
	return good;
}

enum judge_kind { JUDGE_NONE, JUDGE_ZEROS, JUDGE_DATA, JUDGE_PACKED };

/* What the guest finds at an offset; *ret_at: where in the file, or the entry of packed data. */
static inline enum judge_kind judge_find(const struct judge *j, uint64_t off, uint64_t *ret_at)
{
	unsigned int l2_bits = j->bits - 3;
	uint64_t table =
		judge_get64(j, j->l1_at + (off >> (j->bits + l2_bits)) * 8) & 0x00fffffffffffe00ull;
	uint64_t entry;

	if (!table)
		return JUDGE_NONE;
	entry = judge_get64(j, table + (off >> j->bits & ((1ull << l2_bits) - 1)) * 8);
	*ret_at = entry;
	if (entry >> 62 & 1)
		return JUDGE_PACKED;
	*ret_at = (entry & 0x00fffffffffffe00ull) + off % j->cluster;
	if (load_be32(j->file + 4) >= 3 && entry & 1)
		return JUDGE_ZEROS;
	return entry & 0x00fffffffffffe00ull ? JUDGE_DATA : JUDGE_NONE;
}
