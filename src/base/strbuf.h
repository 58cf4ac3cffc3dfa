/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a limit that it never passes. Failures (no memory, limit reached) are
 * sticky: append freely, look once at the end. Always NUL-terminated, so that it serves as text
 * too. All functions [any]; one buffer belongs to one thread at a time.
 */
#pragma once

#include <stdarg.h>

#include "base/macros.h"

struct strbuf {
	char *data;  /* NULL while empty; owned */
	size_t len;  /* bytes in use, the terminator not counted */
	size_t cap;  /* bytes allocated */
	size_t max;  /* bytes that it may hold */
	bool failed; /* an append did not fit; what was there before is intact */
};

#define STRBUF_INIT(limit)                                                                         \
	(struct strbuf)                                                                            \
	{                                                                                          \
		.max = (limit)                                                                     \
	}

void strbuf_deinit(struct strbuf *sb);

/* Appends bytes, zero bytes or formatted text. */
void strbuf_append(struct strbuf *sb, const void *data, size_t len);
void strbuf_append_zero(struct strbuf *sb, size_t len);
void strbuf_puts(struct strbuf *sb, const char *text);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...) printf_like(2, 3);
void strbuf_vprintf(struct strbuf *sb, const char *fmt, va_list args) printf_like(2, 0);

/* Appends a little-endian integer. */
void strbuf_u8(struct strbuf *sb, uint8_t v);
void strbuf_le16(struct strbuf *sb, uint16_t v);
void strbuf_le32(struct strbuf *sb, uint32_t v);
void strbuf_le64(struct strbuf *sb, uint64_t v);

/* Drops the first n (<= len) bytes. */
void strbuf_consume(struct strbuf *sb, size_t n);

/* The text so far, "" while empty; lives until the next change. */
const char *strbuf_text(const struct strbuf *sb);

/* The text, owned by the caller, and an empty buffer; NULL if anything failed. */
char *must_check strbuf_steal(struct strbuf *sb);

#define auto_strbuf __attribute__((cleanup(strbuf_deinit)))
