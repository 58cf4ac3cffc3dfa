/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing byte buffer with a limit.
 */
#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/overflow.h"

void strbuf_deinit(struct strbuf *sb)
{
	free(sb->data);
	*sb = (struct strbuf){.max = sb->max};
}

/* Room for len more bytes and the terminator; false (and failed) if there is none. */
static bool strbuf_reserve(struct strbuf *sb, size_t len)
{
	size_t need;
	size_t cap;
	char *data;

	if (sb->failed || add_overflows(sb->len, len, &need) || need > sb->max) {
		sb->failed = true;
		return false;
	}
	if (need < sb->cap)
		return true;
	cap = MAX(need + 1, MIN(sb->cap * 2, sb->max + 1));
	data = realloc(sb->data, cap);
	if (!data) {
		sb->failed = true;
		return false;
	}
	sb->data = data;
	sb->cap = cap;
	return true;
}

void strbuf_append(struct strbuf *sb, const void *data, size_t len)
{
	if (!len || !strbuf_reserve(sb, len))
		return;
	memcpy(sb->data + sb->len, data, len);
	sb->len += len;
	sb->data[sb->len] = '\0';
}

void strbuf_append_zero(struct strbuf *sb, size_t len)
{
	if (!len || !strbuf_reserve(sb, len))
		return;
	memset(sb->data + sb->len, 0, len + 1);
	sb->len += len;
}

void strbuf_puts(struct strbuf *sb, const char *text)
{
	strbuf_append(sb, text, strlen(text));
}

void strbuf_vprintf(struct strbuf *sb, const char *fmt, va_list args)
{
	auto_free char *text = NULL;
	int n = vasprintf(&text, fmt, args);

	if (n < 0) {
		text = NULL;
		sb->failed = true;
		return;
	}
	strbuf_append(sb, text, (size_t)n);
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	strbuf_vprintf(sb, fmt, args);
	va_end(args);
}

void strbuf_u8(struct strbuf *sb, uint8_t v)
{
	strbuf_append(sb, &v, sizeof(v));
}

void strbuf_le16(struct strbuf *sb, uint16_t v)
{
	le16 w = le16_make(v);

	strbuf_append(sb, &w, sizeof(w));
}

void strbuf_le32(struct strbuf *sb, uint32_t v)
{
	le32 w = le32_make(v);

	strbuf_append(sb, &w, sizeof(w));
}

void strbuf_le64(struct strbuf *sb, uint64_t v)
{
	le64 w = le64_make(v);

	strbuf_append(sb, &w, sizeof(w));
}

void strbuf_consume(struct strbuf *sb, size_t n)
{
	assert(n <= sb->len);
	if (!n)
		return;
	memmove(sb->data, sb->data + n, sb->len - n + 1);
	sb->len -= n;
}

const char *strbuf_text(const struct strbuf *sb)
{
	return sb->data ? sb->data : "";
}

char *strbuf_steal(struct strbuf *sb)
{
	char *text;

	if (!sb->failed && !sb->data)
		text = strdup("");
	else
		text = sb->failed ? NULL : steal_ptr(&sb->data);
	strbuf_deinit(sb);
	return text;
}
