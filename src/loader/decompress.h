/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole-buffer decompression of kernel payloads: gzip, xz, lzma, lz4 (legacy frames), zstd.
 */
#pragma once

#include "base/macros.h"

/*
 * Unpacks what src holds into dst. The number of bytes, or -errno: -ENOTSUP (unknown format),
 * -EINVAL (corrupt), -ENOSPC (more than dst_size), -ENOMEM. Bytes behind the end of the compressed
 * data are ignored. [any]
 */
int64_t must_check decompress(const void *src, size_t src_size, void *dst, size_t dst_size);
/* "zstd", or NULL for an unknown format. */
const char *decompress_format(const void *src, size_t src_size);
