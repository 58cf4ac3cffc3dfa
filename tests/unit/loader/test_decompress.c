/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression: each format comes back as it was, and nothing writes past the room that it has.
 */
#include "unit.h"

#include <errno.h>

#include "loader/decompress.h"
#include "pack.h"

#define PLAIN_SIZE (300 * 1024 + 7u)

static uint8_t *plain;

/* Code-like bytes with x86 calls (for the BCJ filter), runs and noise. */
static int make_plain(void **state)
{
	uint32_t x = 1;

	plain = malloc(PLAIN_SIZE);
	if (!plain)
		return -1;
	for (size_t i = 0; i < PLAIN_SIZE; i++) {
		x = x * 1664525 + 1013904223;
		plain[i] = i % 3000 < 1000 ? 0 : i % 9 ? (uint8_t)(x >> 28) : 0xe8;
	}
	return 0;
}

static int free_plain(void **state)
{
	free(plain);
	return 0;
}

static void each_format_comes_back(void **state)
{
	for (enum pack_format f = 0; f < PACK_FORMATS; f++) {
		struct packed p = pack(f, plain, PLAIN_SIZE);
		uint8_t *out = malloc(PLAIN_SIZE); /* of its exact size, for the sanitizer */

		assert_string_equal(decompress_format(p.data, p.size), pack_names[f]);
		assert_int_equal(decompress(p.data, p.size, out, PLAIN_SIZE), PLAIN_SIZE);
		assert_memory_equal(out, plain, PLAIN_SIZE);
		free(out);
		free(p.data);
	}
}

/* The kernel's output buffer is exactly as large as the payload: also where the end of the stream
 * takes another step. */
static void the_room_may_be_exact_for_any_length(void **state)
{
	static const size_t lengths[] = {
		1, 2, 5, 100, 4095, 4096, 4097, 65535, 65536, 131072, 262144};
	uint8_t *out = malloc(PLAIN_SIZE);

	for (enum pack_format f = 0; f < PACK_FORMATS; f++) {
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			struct packed p = pack(f, plain + 2000, lengths[i]);

			if (decompress(p.data, p.size, out, lengths[i]) != (int64_t)lengths[i])
				fail_msg("%s of %zu bytes", pack_names[f], lengths[i]);
			free(p.data);
		}
	}
	free(out);
}

/* Noise is stored, not compressed; 1 MiB is the dictionary of the fast presets. */
static void the_room_may_be_exact_for_noise_too(void **state)
{
	static const size_t lengths[] = {100, 65536, 65537, MIB(1), MIB(2)};
	uint8_t *noise = malloc(MIB(2));
	uint8_t *out = malloc(MIB(2));
	uint64_t x = 1;

	for (size_t i = 0; i < MIB(2); i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		noise[i] = (uint8_t)(x >> 56);
	}
	for (enum pack_format f = 0; f < PACK_FORMATS; f++) {
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			struct packed p = pack(f, noise, lengths[i]);

			if (decompress(p.data, p.size, out, lengths[i]) != (int64_t)lengths[i])
				fail_msg("%s of %zu bytes", pack_names[f], lengths[i]);
			assert_memory_equal(out, noise, lengths[i]);
			free(p.data);
		}
	}
	free(noise);
	free(out);
}

static void more_than_the_room_is_enospc_and_stays_inside(void **state)
{
	uint8_t *out = malloc(PLAIN_SIZE / 2);

	for (enum pack_format f = 0; f < PACK_FORMATS; f++) {
		struct packed p = pack(f, plain, PLAIN_SIZE);

		assert_int_equal(decompress(p.data, p.size, out, PLAIN_SIZE / 2), -ENOSPC);
		free(p.data);
	}
	free(out);
}

static void a_truncated_payload_is_an_error_at_every_length(void **state)
{
	uint8_t *out = malloc(8192);

	for (enum pack_format f = 0; f < PACK_FORMATS; f++) {
		struct packed p = pack_raw(f, plain + 500, 8192);

		for (size_t n = 0; n < p.size; n += 1 + n / 64) {
			uint8_t *part = malloc(n + !n);

			memcpy(part, p.data, n);
			/* Behind a whole number of lz4 blocks (here: none) the data just ends. */
			assert_true(decompress(part, n, out, 8192) < (f == PACK_LZ4 ? 8192 : 0));
			free(part);
		}
		free(p.data);
	}
	free(out);
}

static void damage_is_found_or_harmless(void **state)
{
	uint8_t *out = malloc(8192);

	for (enum pack_format f = 0; f < PACK_FORMATS; f++) {
		struct packed p = pack(f, plain + 500, 8192);

		for (size_t at = 0; at < p.size; at += 7) {
			p.data[at] ^= 0x55;
			assert_true(decompress(p.data, p.size, out, 8192) <= 8192);
			p.data[at] ^= 0x55;
		}
		free(p.data);
	}
	free(out);
}

/* 256 MiB of dictionary is more than any kernel's. */
static void a_header_that_asks_for_much_memory_is_refused(void **state)
{
	struct packed p = pack(PACK_LZMA, plain, 4096);
	uint8_t out[4096];

	store_le32(p.data + 1, 0xffffffff);
	assert_true(decompress(p.data, p.size, out, sizeof(out)) < 0);
	free(p.data);
}

static void what_is_no_known_format_is_enotsup(void **state)
{
	uint8_t out[16];

	assert_int_equal(decompress("BZh91AY", 7, out, sizeof(out)), -ENOTSUP);
	assert_int_equal(decompress("\x1f\x8b", 2, out, sizeof(out)), -ENOTSUP);
	assert_int_equal(decompress("", 0, out, sizeof(out)), -ENOTSUP);
	assert_null(decompress_format("BZh91AY", 7));
}

/* 8 MiB + 1: a block that is full and one that has a byte. */
static void lz4_payloads_have_several_blocks(void **state)
{
	size_t len = MIB(8) + 1;
	uint8_t *big = calloc(1, len);
	uint8_t *out = malloc(len);
	struct packed p;

	memcpy(big, plain, PLAIN_SIZE);
	big[len - 1] = 0x77;
	p = pack(PACK_LZ4, big, len);
	assert_int_equal(decompress(p.data, p.size, out, len), len);
	assert_memory_equal(out, big, len);
	free(p.data);
	free(out);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_format_comes_back),
		cmocka_unit_test(the_room_may_be_exact_for_any_length),
		cmocka_unit_test(the_room_may_be_exact_for_noise_too),
		cmocka_unit_test(more_than_the_room_is_enospc_and_stays_inside),
		cmocka_unit_test(a_truncated_payload_is_an_error_at_every_length),
		cmocka_unit_test(damage_is_found_or_harmless),
		cmocka_unit_test(a_header_that_asks_for_much_memory_is_refused),
		cmocka_unit_test(what_is_no_known_format_is_enotsup),
		cmocka_unit_test(lz4_payloads_have_several_blocks),
	};

	return cmocka_run_group_tests(tests, make_plain, free_plain);
}
