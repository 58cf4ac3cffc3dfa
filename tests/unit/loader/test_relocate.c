/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relocations: which words of an image move, by how much, and which tables are refused.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "loader/relocate.h"

#define LINK  0xffffffff81000000ull
#define DELTA 0x1e00000ull

static uint8_t image_bytes[64];
static const struct relocate_image image = {
	.data = image_bytes, .size = sizeof(image_bytes), .link_vaddr = LINK};

/* The table's entry for offset `off` of the image. */
static uint32_t entry(uint32_t off)
{
	return (uint32_t)LINK + off;
}

static bool check(const uint32_t *words, size_t n)
{
	uint8_t table[64];

	assert_true(n * 4 <= sizeof(table));
	for (size_t i = 0; i < n; i++)
		store_le32(table + i * 4, words[i]);
	return relocate_check(&(struct relocate_table){.words = table, .n = n}, &image);
}

static void apply(const uint32_t *words, size_t n, uint64_t delta)
{
	uint8_t table[64];

	for (size_t i = 0; i < n; i++)
		store_le32(table + i * 4, words[i]);
	relocate_apply(&(struct relocate_table){.words = table, .n = n}, &image, delta);
}

static int fill(void **state)
{
	for (size_t i = 0; i < sizeof(image_bytes); i++)
		image_bytes[i] = (uint8_t)i;
	return 0;
}

static void three_lists_move_their_words_each_in_its_way(void **state)
{
	const uint32_t words[] = {0, entry(8), 0, entry(24), 0, entry(32), entry(41)};

	store_le64(image_bytes + 8, LINK + 0x1234);
	store_le32(image_bytes + 24, 0x10000000);
	store_le32(image_bytes + 32, 0x81000010);
	store_le32(image_bytes + 41, 0xfffffff0); /* unaligned, and wraps */
	assert_true(check(words, ARRAY_SIZE(words)));
	apply(words, ARRAY_SIZE(words), DELTA);
	assert_int_equal(load_le64(image_bytes + 8), LINK + 0x1234 + DELTA);
	assert_int_equal(load_le32(image_bytes + 24), 0x10000000 - DELTA);
	assert_int_equal(load_le32(image_bytes + 32), 0x81000010 + DELTA);
	assert_int_equal(load_le32(image_bytes + 41), (uint32_t)(0xfffffff0 + DELTA));
	/* Nothing else moved. */
	for (uint8_t i = 0; i < 64; i++) {
		if (i < 8 || (i >= 16 && i < 24) || (i >= 28 && i < 32) || i == 40 || i >= 45)
			assert_int_equal(image_bytes[i], i);
	}
}

static void two_lists_are_64_bit_and_32_bit_ones(void **state)
{
	const uint32_t words[] = {0, entry(0), entry(56), 0, entry(60 - 12)};

	store_le64(image_bytes, LINK);
	store_le64(image_bytes + 56, LINK + 56);
	store_le32(image_bytes + 48, 5);
	assert_true(check(words, ARRAY_SIZE(words)));
	apply(words, ARRAY_SIZE(words), DELTA);
	assert_int_equal(load_le64(image_bytes), LINK + DELTA);
	assert_int_equal(load_le64(image_bytes + 56), LINK + 56 + DELTA);
	assert_int_equal(load_le32(image_bytes + 48), 5 + DELTA);
}

static void empty_lists_are_fine_and_move_nothing(void **state)
{
	uint8_t before[sizeof(image_bytes)];

	memcpy(before, image_bytes, sizeof(before));
	assert_true(check((const uint32_t[]){0, 0}, 2));
	assert_true(check((const uint32_t[]){0, 0, 0}, 3));
	apply((const uint32_t[]){0, 0, 0}, 3, DELTA);
	assert_memory_equal(image_bytes, before, sizeof(before));
}

static void an_address_must_lie_in_the_image_with_its_whole_width(void **state)
{
	assert_true(check((const uint32_t[]){0, entry(56), 0}, 3));
	assert_false(check((const uint32_t[]){0, entry(57), 0}, 3));
	assert_true(check((const uint32_t[]){0, 0, entry(60)}, 3));
	assert_false(check((const uint32_t[]){0, 0, entry(61)}, 3));
	assert_true(check((const uint32_t[]){0, 0, entry(60), 0}, 4));
	assert_false(check((const uint32_t[]){0, 0, entry(61), 0}, 4));
	assert_false(check((const uint32_t[]){0, 0, entry(0) - 1}, 3));
	/* Positive as a 32-bit number: sign extension gives the lower half of the address space. */
	assert_false(check((const uint32_t[]){0, 0, 0x7fffffff}, 3));
	assert_false(check((const uint32_t[]){0, 0xffffffff, 0}, 3));
}

static void a_table_has_two_or_three_lists_and_nothing_before_them(void **state)
{
	assert_false(check(NULL, 0));
	assert_false(check((const uint32_t[]){0}, 1));
	assert_false(check((const uint32_t[]){0, entry(0)}, 2));
	assert_false(check((const uint32_t[]){0, 0, 0, 0}, 4));
	assert_false(check((const uint32_t[]){entry(0), 0, 0}, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(three_lists_move_their_words_each_in_its_way, fill),
		cmocka_unit_test_setup(two_lists_are_64_bit_and_32_bit_ones, fill),
		cmocka_unit_test_setup(empty_lists_are_fine_and_move_nothing, fill),
		cmocka_unit_test(an_address_must_lie_in_the_image_with_its_whole_width),
		cmocka_unit_test(a_table_has_two_or_three_lists_and_nothing_before_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
