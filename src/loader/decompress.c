/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression by the distribution's libraries, each in its one-buffer form: no windows, no
 * copies.
 */
#include "loader/decompress.h"

#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/endian.h"

/* ---- gzip ---- */

static int64_t decompress_gzip(const void *src, size_t src_size, void *dst, size_t dst_size)
{
	z_stream z = {0};
	int ret;

	if (src_size > UINT_MAX || dst_size > UINT_MAX)
		return -ENOSPC;
	z.next_in = (Bytef *)(uintptr_t)src; /* zlib does not write to it */
	z.avail_in = (uInt)src_size;
	z.next_out = dst;
	z.avail_out = (uInt)dst_size;
	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z);
	if (ret == Z_STREAM_END)
		return (int64_t)z.total_out;
	return ret == Z_BUF_ERROR && !z.avail_out ? -ENOSPC : -EINVAL;
}

/* ---- xz and lzma ---- */

static int64_t decompress_lzma_run(
	lzma_stream *lz, const void *src, size_t src_size, void *dst, size_t dst_size)
{
	lzma_ret ret;

	lz->next_in = src;
	lz->avail_in = src_size;
	lz->next_out = dst;
	lz->avail_out = dst_size;
	do
		ret = lzma_code(lz, LZMA_RUN);
	while (ret == LZMA_OK && lz->avail_in && lz->avail_out);
	lzma_end(lz);
	if (ret == LZMA_STREAM_END)
		return (int64_t)lz->total_out;
	return ret == LZMA_OK && !lz->avail_out ? -ENOSPC : -EINVAL;
}

static int64_t decompress_xz(const void *src, size_t src_size, void *dst, size_t dst_size)
{
	lzma_stream lz = LZMA_STREAM_INIT;

	/* The kernel's dictionaries are up to 128 MiB; the limit keeps a hostile header from asking
	 * for more. */
	if (lzma_stream_decoder(&lz, MIB(160), 0) != LZMA_OK)
		return -ENOMEM;
	return decompress_lzma_run(&lz, src, src_size, dst, dst_size);
}

static int64_t decompress_lzma(const void *src, size_t src_size, void *dst, size_t dst_size)
{
	lzma_stream lz = LZMA_STREAM_INIT;

	if (lzma_alone_decoder(&lz, MIB(160)) != LZMA_OK)
		return -ENOMEM;
	return decompress_lzma_run(&lz, src, src_size, dst, dst_size);
}

/* ---- lz4: legacy frames, independent blocks of at most 8 MiB (lz4 -l; lz4_Frame_format.md) ----
 */

#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_LEGACY_BLOCK MIB(8)

static int64_t decompress_lz4(const void *src, size_t src_size, void *dst, size_t dst_size)
{
	const char *in = src;
	const char *end = in + src_size;
	char *out = dst;
	size_t done = 0;

	while (end - in >= 4) {
		uint32_t block = load_le32(in);
		size_t room = MIN(dst_size - done, (size_t)LZ4_LEGACY_BLOCK);
		int n;

		in += 4;
		if (block == LZ4_LEGACY_MAGIC)
			continue;
		/* The kernel build appends the unpacked size where the next block's size would be.
		 */
		if (block > (size_t)(end - in))
			return in == end ? (int64_t)done : -EINVAL;
		n = LZ4_decompress_safe(in, out + done, (int)block, (int)room);
		if (n < 0)
			return room < LZ4_LEGACY_BLOCK ? -ENOSPC : -EINVAL;
		in += block;
		done += (size_t)n;
	}
	return (int64_t)done;
}

/* ---- zstd ---- */

static int64_t decompress_zstd(const void *src, size_t src_size, void *dst, size_t dst_size)
{
	size_t frame = ZSTD_findFrameCompressedSize(src, src_size);
	size_t n;

	if (ZSTD_isError(frame))
		return -EINVAL;
	n = ZSTD_decompress(dst, dst_size, src, frame);
	if (!ZSTD_isError(n))
		return (int64_t)n;
	return ZSTD_getFrameContentSize(src, frame) > dst_size ? -ENOSPC : -EINVAL;
}

/*
 * The distribution's static libzstd unpacks the formats of before 2016 too, each with its own magic
 * number, which no payload has that gets here. Its entries into them, defined here, keep 90 KiB of
 * dead code out of a static binary. Weak: where the library has others, the linker takes its code.
 */
static size_t decompress_zstd_legacy(void)
{
	return 0; /* no context */
}

#define DECOMPRESS_ALIAS(name)                                                                     \
	extern __typeof__(decompress_zstd_legacy) name                                             \
		__attribute__((weak, alias("decompress_zstd_legacy")));
#define DECOMPRESS_ZSTD_LEGACY(v)                                                                  \
	DECOMPRESS_ALIAS(ZBUFF##v##_createDCtx)                                                    \
	DECOMPRESS_ALIAS(ZBUFF##v##_decompressContinue)                                            \
	DECOMPRESS_ALIAS(ZBUFF##v##_decompressInitDictionary)                                      \
	DECOMPRESS_ALIAS(ZBUFF##v##_freeDCtx)                                                      \
	DECOMPRESS_ALIAS(ZSTD##v##_createDCtx)                                                     \
	DECOMPRESS_ALIAS(ZSTD##v##_decompress_usingDict)                                           \
	DECOMPRESS_ALIAS(ZSTD##v##_findFrameSizeInfoLegacy)                                        \
	DECOMPRESS_ALIAS(ZSTD##v##_freeDCtx)                                                       \
	DECOMPRESS_ALIAS(ZSTD##v##_getFrameParams)
DECOMPRESS_ZSTD_LEGACY(v05)
DECOMPRESS_ZSTD_LEGACY(v06)
DECOMPRESS_ZSTD_LEGACY(v07)

/* ---- Formats ---- */

struct decompress_kind {
	const char *name;
	const char *magic;
	size_t magic_len;
	int64_t (*run)(const void *src, size_t src_size, void *dst, size_t dst_size);
};

static const struct decompress_kind decompress_kinds[] = {
	{"gzip", "\x1f\x8b\x08", 3, decompress_gzip},
	{"xz",
		"\xfd"
		"7zXZ\0",
		6, decompress_xz},
	{"zstd", "\x28\xb5\x2f\xfd", 4, decompress_zstd},
	{"lz4", "\x02\x21\x4c\x18", 4, decompress_lz4},
	{"lzma", "\x5d\0\0", 3, decompress_lzma},
};

static const struct decompress_kind *decompress_find(const void *src, size_t src_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(decompress_kinds); i++) {
		const struct decompress_kind *kind = &decompress_kinds[i];

		if (src_size >= kind->magic_len && !memcmp(src, kind->magic, kind->magic_len))
			return kind;
	}
	return NULL;
}

const char *decompress_format(const void *src, size_t src_size)
{
	const struct decompress_kind *kind = decompress_find(src, src_size);

	return kind ? kind->name : NULL;
}

int64_t decompress(const void *src, size_t src_size, void *dst, size_t dst_size)
{
	const struct decompress_kind *kind = decompress_find(src, src_size);

	return kind ? kind->run(src, src_size, dst, dst_size) : -ENOTSUP;
}
