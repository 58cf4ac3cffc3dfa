/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel build does to a vmlinux: each compressor, and the unpacked size behind its output
 * where the format does not end with it. Results are from malloc().
 */
#pragma once

#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/endian.h"

enum pack_format { PACK_GZIP, PACK_XZ, PACK_LZMA, PACK_LZ4, PACK_ZSTD, PACK_FORMATS };

static const char *const pack_names[] = {"gzip", "xz", "lzma", "lz4", "zstd"};

struct packed {
	uint8_t *data;
	size_t size;
};

static inline void pack_gzip(const void *src, size_t len, struct packed *out, size_t max)
{
	z_stream z = {0};

	assert_int_equal(
		deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)src;
	z.avail_in = (uInt)len;
	z.next_out = out->data;
	z.avail_out = (uInt)max;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->size = z.total_out;
	assert_int_equal(deflateEnd(&z), Z_OK);
}

/* As scripts/xz_wrap.sh: x86 filter, LZMA2, CRC-32. */
static inline void pack_xz(const void *src, size_t len, struct packed *out, size_t max)
{
	lzma_options_lzma options;
	lzma_filter filters[] = {
		{LZMA_FILTER_X86, NULL}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};

	assert_false(lzma_lzma_preset(&options, 1));
	out->size = 0;
	assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, src, len,
				 out->data, &out->size, max),
		LZMA_OK);
}

static inline void pack_lzma(const void *src, size_t len, struct packed *out, size_t max)
{
	lzma_stream lz = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	assert_false(lzma_lzma_preset(&options, 1));
	assert_int_equal(lzma_alone_encoder(&lz, &options), LZMA_OK);
	lz.next_in = src;
	lz.avail_in = len;
	lz.next_out = out->data;
	lz.avail_out = max;
	assert_int_equal(lzma_code(&lz, LZMA_FINISH), LZMA_STREAM_END);
	out->size = lz.total_out;
	lzma_end(&lz);
}

/* Legacy frame: magic, then blocks of 8 MiB behind their sizes. */
static inline void pack_lz4(const void *src, size_t len, struct packed *out, size_t max)
{
	store_le32(out->data, 0x184c2102);
	out->size = 4;
	for (size_t at = 0; at < len; at += MIB(8)) {
		size_t n = MIN(len - at, (size_t)MIB(8));
		int packed = LZ4_compress_default((const char *)src + at,
			(char *)out->data + out->size + 4, (int)n, (int)(max - out->size - 4));

		assert_true(packed > 0);
		store_le32(out->data + out->size, (uint32_t)packed);
		out->size += 4 + (size_t)packed;
	}
}

static inline void pack_zstd(const void *src, size_t len, struct packed *out, size_t max)
{
	out->size = ZSTD_compress(out->data, max, src, len, 1);
	assert_false(ZSTD_isError(out->size));
}

/* The compressor's output alone. */
static inline struct packed pack_raw(enum pack_format format, const void *src, size_t len)
{
	static void (*const run[])(const void *, size_t, struct packed *, size_t) = {
		pack_gzip, pack_xz, pack_lzma, pack_lz4, pack_zstd};
	size_t max = len + len / 8 + KIB(64);
	struct packed out = {.data = malloc(max + 4)};

	assert_non_null(out.data);
	run[format](src, len, &out, max);
	return out;
}

/* A bzImage's payload. */
static inline struct packed pack(enum pack_format format, const void *src, size_t len)
{
	struct packed out = pack_raw(format, src, len);

	if (format != PACK_GZIP) {
		store_le32(out.data + out.size, (uint32_t)len);
		out.size += 4;
	}
	return out;
}
