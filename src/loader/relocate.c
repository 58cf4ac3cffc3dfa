/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel relocations.
 */
#include "loader/relocate.h"

#include "base/endian.h"
#include "base/overflow.h"

enum relocate_kind { RELOCATE_64, RELOCATE_INVERSE_32, RELOCATE_32 };

static uint32_t relocate_word(const struct relocate_table *table, uint64_t i)
{
	return load_le32(table->words + i * 4);
}

/* Offset in the image of the value that an entry names; sign extension gives the upper half. */
static uint64_t relocate_offset(const struct relocate_image *image, uint32_t word)
{
	return (uint64_t)(int64_t)(int32_t)word - image->link_vaddr;
}

static unsigned int relocate_lists(const struct relocate_table *table)
{
	unsigned int zeros = 0;

	for (uint64_t i = 0; i < table->n; i++)
		zeros += !relocate_word(table, i);
	return zeros;
}

/* The kind of the list behind the n-th zero (from 1) of `lists`. */
static enum relocate_kind relocate_kind(unsigned int zero, unsigned int lists)
{
	if (zero == 1)
		return RELOCATE_64;
	return zero == lists ? RELOCATE_32 : RELOCATE_INVERSE_32;
}

bool relocate_check(const struct relocate_table *table, const struct relocate_image *image)
{
	unsigned int lists = relocate_lists(table);
	unsigned int zero = 0;

	if (lists < 2 || lists > 3 || relocate_word(table, 0))
		return false;
	for (uint64_t i = 0; i < table->n; i++) {
		uint32_t word = relocate_word(table, i);
		uint64_t width = relocate_kind(zero, lists) == RELOCATE_64 ? 8 : 4;

		if (!word)
			zero++;
		else if (!range_fits(relocate_offset(image, word), width, image->size))
			return false;
	}
	return true;
}

void relocate_apply(
	const struct relocate_table *table, const struct relocate_image *image, uint64_t delta)
{
	unsigned int lists = relocate_lists(table);
	unsigned int zero = 0;

	for (uint64_t i = 0; i < table->n; i++) {
		uint32_t word = relocate_word(table, i);
		uint8_t *at;

		if (!word) {
			zero++;
			continue;
		}
		at = image->data + relocate_offset(image, word);
		switch (relocate_kind(zero, lists)) {
		case RELOCATE_64:
			store_le64(at, load_le64(at) + delta);
			break;
		case RELOCATE_INVERSE_32:
			store_le32(at, load_le32(at) - (uint32_t)delta);
			break;
		case RELOCATE_32:
			store_le32(at, load_le32(at) + (uint32_t)delta);
			break;
		}
	}
}
