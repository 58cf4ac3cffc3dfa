/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AML builder.
 */
#include "tables/acpi/aml.h"

#include <string.h>

#include "base/endian.h"

#define AML_EXT        0x5b
#define AML_LENGTH_MAX 0xfffffff /* 28 bits of PkgLength */

/* ---- PkgLength ---- */

/* Bytes that a PkgLength takes which counts `content` bytes and itself (20.2.4). */
static unsigned int aml_length_size(size_t content)
{
	if (content + 1 <= 0x3f)
		return 1;
	if (content + 2 <= 0xfff)
		return 2;
	return content + 3 <= 0xfffff ? 3 : 4;
}

void aml_close(struct strbuf *sb, struct aml_mark mark)
{
	size_t content = sb->len - mark.at;
	unsigned int size = aml_length_size(content);
	size_t length = content + size;
	uint8_t *p;

	strbuf_append_zero(sb, size);
	sb->failed |= length > AML_LENGTH_MAX;
	if (sb->failed)
		return;
	p = (uint8_t *)sb->data + mark.at;
	memmove(p + size, p, content);
	if (size == 1) {
		p[0] = (uint8_t)length;
		return;
	}
	p[0] = (uint8_t)((size - 1) << 6 | (length & 0xf));
	for (unsigned int i = 1; i < size; i++)
		p[i] = (uint8_t)(length >> (4 + 8 * (i - 1)));
}

static struct aml_mark aml_mark_here(const struct strbuf *sb)
{
	return (struct aml_mark){.at = sb->len};
}

/* ---- Names ---- */

static void aml_segment(struct strbuf *sb, const char *name, size_t len)
{
	char padded[4] = {'_', '_', '_', '_'};

	assert(len && len <= sizeof(padded));
	memcpy(padded, name, len);
	strbuf_append(sb, padded, sizeof(padded));
}

void aml_path(struct strbuf *sb, const char *path)
{
	unsigned int segments = 1;

	if (*path == '\\')
		strbuf_u8(sb, (uint8_t)*path++);
	for (const char *p = path; *p; p++)
		segments += *p == '.';
	if (segments == 2)
		strbuf_u8(sb, 0x2e);
	if (segments > 2) {
		strbuf_u8(sb, 0x2f);
		strbuf_u8(sb, (uint8_t)segments);
	}
	while (segments--) {
		size_t len = strcspn(path, ".");

		aml_segment(sb, path, len);
		path += len + 1;
	}
}

struct aml_mark aml_open_scope(struct strbuf *sb, const char *path)
{
	struct aml_mark mark;

	strbuf_u8(sb, 0x10);
	mark = aml_mark_here(sb);
	aml_path(sb, path);
	return mark;
}

struct aml_mark aml_open_device(struct strbuf *sb, const char *name)
{
	struct aml_mark mark;

	strbuf_u8(sb, AML_EXT);
	strbuf_u8(sb, 0x82);
	mark = aml_mark_here(sb);
	aml_path(sb, name);
	return mark;
}

struct aml_mark aml_open_method(
	struct strbuf *sb, const char *name, unsigned int args, bool serialized)
{
	struct aml_mark mark;

	strbuf_u8(sb, 0x14);
	mark = aml_mark_here(sb);
	aml_path(sb, name);
	strbuf_u8(sb, (uint8_t)(args | (serialized ? 0x08 : 0)));
	return mark;
}

struct aml_mark aml_open_package(struct strbuf *sb, uint8_t elements)
{
	struct aml_mark mark;

	strbuf_u8(sb, 0x12);
	mark = aml_mark_here(sb);
	strbuf_u8(sb, elements);
	return mark;
}

struct aml_mark aml_open_if(struct strbuf *sb)
{
	strbuf_u8(sb, 0xa0);
	return aml_mark_here(sb);
}

void aml_name(struct strbuf *sb, const char *name)
{
	strbuf_u8(sb, 0x08);
	aml_path(sb, name);
}

/* ---- Values ---- */

void aml_int(struct strbuf *sb, uint64_t value)
{
	if (value <= 1) {
		strbuf_u8(sb, (uint8_t)value);
	} else if (value <= UINT8_MAX) {
		strbuf_u8(sb, 0x0a);
		strbuf_u8(sb, (uint8_t)value);
	} else if (value <= UINT16_MAX) {
		strbuf_u8(sb, 0x0b);
		strbuf_le16(sb, (uint16_t)value);
	} else if (value <= UINT32_MAX) {
		strbuf_u8(sb, 0x0c);
		strbuf_le32(sb, (uint32_t)value);
	} else {
		strbuf_u8(sb, 0x0e);
		strbuf_le64(sb, value);
	}
}

void aml_string(struct strbuf *sb, const char *text)
{
	strbuf_u8(sb, 0x0d);
	strbuf_append(sb, text, strlen(text) + 1);
}

static uint8_t aml_hex(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisa(struct strbuf *sb, const char *id)
{
	uint16_t letters = (uint16_t)((id[0] - '@') << 10 | (id[1] - '@') << 5 | (id[2] - '@'));
	uint8_t bytes[4] = {(uint8_t)(letters >> 8), (uint8_t)letters,
		(uint8_t)(aml_hex(id[3]) << 4 | aml_hex(id[4])),
		(uint8_t)(aml_hex(id[5]) << 4 | aml_hex(id[6]))};

	strbuf_u8(sb, 0x0c);
	strbuf_append(sb, bytes, sizeof(bytes));
}

void aml_buffer(struct strbuf *sb, const void *data, size_t len)
{
	struct aml_mark mark;

	strbuf_u8(sb, 0x11);
	mark = aml_mark_here(sb);
	aml_int(sb, len);
	strbuf_append(sb, data, len);
	aml_close(sb, mark);
}

void aml_local(struct strbuf *sb, unsigned int n)
{
	strbuf_u8(sb, (uint8_t)(0x60 + n));
}

void aml_arg(struct strbuf *sb, unsigned int n)
{
	strbuf_u8(sb, (uint8_t)(0x68 + n));
}

void aml_name_int(struct strbuf *sb, const char *name, uint64_t value)
{
	aml_name(sb, name);
	aml_int(sb, value);
}

void aml_name_string(struct strbuf *sb, const char *name, const char *text)
{
	aml_name(sb, name);
	aml_string(sb, text);
}

void aml_name_eisa(struct strbuf *sb, const char *name, const char *id)
{
	aml_name(sb, name);
	aml_eisa(sb, id);
}

/* ---- Operators ---- */

void aml_op_store(struct strbuf *sb)
{
	strbuf_u8(sb, 0x70);
}

void aml_op_and(struct strbuf *sb)
{
	strbuf_u8(sb, 0x7b);
}

void aml_op_or(struct strbuf *sb)
{
	strbuf_u8(sb, 0x7d);
}

void aml_op_dword_field(struct strbuf *sb)
{
	strbuf_u8(sb, 0x8a);
}

void aml_op_equal(struct strbuf *sb)
{
	strbuf_u8(sb, 0x93);
}

void aml_op_notify(struct strbuf *sb)
{
	strbuf_u8(sb, 0x86);
}

void aml_op_return(struct strbuf *sb)
{
	strbuf_u8(sb, 0xa4);
}

void aml_no_target(struct strbuf *sb)
{
	strbuf_u8(sb, 0x00);
}

void aml_io_field32(struct strbuf *sb, const char *region, uint16_t port, const char *member)
{
	struct aml_mark mark;

	strbuf_u8(sb, AML_EXT);
	strbuf_u8(sb, 0x80);
	aml_path(sb, region);
	strbuf_u8(sb, 1); /* SystemIO */
	aml_int(sb, port);
	aml_int(sb, 4);
	strbuf_u8(sb, AML_EXT);
	strbuf_u8(sb, 0x81);
	mark = aml_mark_here(sb);
	aml_path(sb, region);
	strbuf_u8(sb, 0x03 | 0x40); /* DWordAcc, NoLock, WriteAsZeros */
	aml_segment(sb, member, strlen(member));
	strbuf_u8(sb, 32);
	aml_close(sb, mark);
}

/* ---- Resources ---- */

void aml_res_io(struct strbuf *res, uint16_t port, uint8_t len)
{
	strbuf_u8(res, 0x47);
	strbuf_u8(res, 1); /* decodes 16 bits */
	strbuf_le16(res, port);
	strbuf_le16(res, port);
	strbuf_u8(res, 1); /* alignment */
	strbuf_u8(res, len);
}

void aml_res_mem32_fixed(struct strbuf *res, uint32_t base, uint32_t len)
{
	strbuf_u8(res, 0x86);
	strbuf_le16(res, 9);
	strbuf_u8(res, 1); /* read-write */
	strbuf_le32(res, base);
	strbuf_le32(res, len);
}

void aml_res_irq_legacy(struct strbuf *res, unsigned int irq)
{
	strbuf_u8(res, 0x22); /* edge, active high, exclusive: no flags byte */
	strbuf_le16(res, (uint16_t)(1u << irq));
}

void aml_res_interrupt(struct strbuf *res, uint32_t gsi, bool level)
{
	strbuf_u8(res, 0x89);
	strbuf_le16(res, 6);
	strbuf_u8(res, (uint8_t)(0x01 | (level ? 0 : 0x02))); /* consumer, active high, exclusive */
	strbuf_u8(res, 1);
	strbuf_le32(res, gsi);
}

#define WINDOW_PRODUCER 0x0c /* fixed minimum and maximum, positive decode, producer */

static void aml_res_window_head(
	struct strbuf *res, uint8_t tag, uint16_t len, uint8_t type, uint8_t flags)
{
	strbuf_u8(res, tag);
	strbuf_le16(res, len);
	strbuf_u8(res, type);
	strbuf_u8(res, WINDOW_PRODUCER);
	strbuf_u8(res, flags);
}

static void aml_res_window16(
	struct strbuf *res, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
	aml_res_window_head(res, 0x88, 13, type, flags);
	strbuf_le16(res, 0);
	strbuf_le16(res, first);
	strbuf_le16(res, last);
	strbuf_le16(res, 0);
	strbuf_le16(res, (uint16_t)(last - first + 1));
}

void aml_res_bus_window(struct strbuf *res, uint16_t first, uint16_t last)
{
	aml_res_window16(res, 2, 0, first, last);
}

void aml_res_io_window(struct strbuf *res, uint16_t first, uint16_t last)
{
	aml_res_window16(res, 1, 0x03, first, last); /* the entire range, ISA and non-ISA */
}

void aml_res_mem32_window(struct strbuf *res, uint32_t first, uint32_t last)
{
	aml_res_window_head(res, 0x87, 23, 0, 0x01); /* read-write, not cacheable */
	strbuf_le32(res, 0);
	strbuf_le32(res, first);
	strbuf_le32(res, last);
	strbuf_le32(res, 0);
	strbuf_le32(res, last - first + 1);
}

void aml_res_mem64_window(struct strbuf *res, uint64_t first, uint64_t last)
{
	aml_res_window_head(res, 0x8a, 43, 0, 0x07); /* read-write, prefetchable */
	strbuf_le64(res, 0);
	strbuf_le64(res, first);
	strbuf_le64(res, last);
	strbuf_le64(res, 0);
	strbuf_le64(res, last - first + 1);
}

void aml_name_crs(struct strbuf *sb, struct strbuf *res)
{
	strbuf_u8(res, 0x79); /* end tag */
	strbuf_u8(res, 0);    /* no checksum */
	sb->failed |= res->failed;
	aml_name(sb, "_CRS");
	aml_buffer(sb, res->data, res->len);
	strbuf_deinit(res);
}
