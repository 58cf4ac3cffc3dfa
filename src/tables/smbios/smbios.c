/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBIOS structures. Section numbers are those of DSP0134 3.6.
 */
#include "tables/smbios/smbios.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/err.h"

/* A structure being built: its length byte is filled in when its strings begin. */
static size_t smbios_open(struct strbuf *sb, uint8_t type, uint16_t handle)
{
	size_t at = sb->len;

	strbuf_u8(sb, type);
	strbuf_u8(sb, 0);
	strbuf_le16(sb, handle);
	return at;
}

/* The strings of a structure in order, NULL-terminated list; the structure ends with two zeros. */
static void smbios_close(struct strbuf *sb, size_t at, const char *const *strings)
{
	if (!sb->failed)
		sb->data[at + 1] = (char)(sb->len - at);
	for (size_t i = 0; strings && strings[i]; i++)
		strbuf_append(sb, strings[i], strlen(strings[i]) + 1);
	strbuf_append_zero(sb, strings && strings[0] ? 1 : 2);
}

static void smbios_bios(const struct smbios_facts *facts, struct strbuf *sb) /* 7.1 */
{
	size_t at = smbios_open(sb, 0, 0x000);

	strbuf_u8(sb, 1);           /* vendor */
	strbuf_u8(sb, 2);           /* version */
	strbuf_le16(sb, 0);         /* start segment */
	strbuf_u8(sb, 0);           /* no release date */
	strbuf_u8(sb, 0);           /* ROM size */
	strbuf_le64(sb, 1ull << 3); /* characteristics are not supported */
	strbuf_u8(sb, 0);
	strbuf_u8(sb, 1u << 4);                   /* a virtual machine */
	strbuf_append(sb, "\xff\xff\xff\xff", 4); /* no releases */
	strbuf_le16(sb, 0);
	smbios_close(sb, at, (const char *const[]){"alioth", facts->version, NULL});
}

static void smbios_system(const struct smbios_facts *facts, struct strbuf *sb) /* 7.2 */
{
	size_t at = smbios_open(sb, 1, 0x100);

	strbuf_u8(sb, 1);           /* manufacturer */
	strbuf_u8(sb, 2);           /* product */
	strbuf_u8(sb, 3);           /* version */
	strbuf_u8(sb, 0);           /* serial number */
	strbuf_append_zero(sb, 16); /* UUID: not present */
	strbuf_u8(sb, 6);           /* woken by the power switch */
	strbuf_u8(sb, 0);
	strbuf_u8(sb, 0);
	smbios_close(sb, at,
		(const char *const[]){"alioth", "alioth virtual machine", facts->version, NULL});
}

static void smbios_chassis(struct strbuf *sb) /* 7.4 */
{
	size_t at = smbios_open(sb, 3, 0x300);

	strbuf_u8(sb, 1);
	strbuf_u8(sb, 1); /* type: other */
	strbuf_append_zero(sb, 3);
	strbuf_append(sb, "\x03\x03\x03\x02", 4); /* states: safe; security: unknown */
	strbuf_le32(sb, 0);
	strbuf_append_zero(sb, 5);
	smbios_close(sb, at, (const char *const[]){"alioth", NULL});
}

static void smbios_oem_strings(const struct smbios_facts *facts, struct strbuf *sb) /* 7.12 */
{
	size_t at = smbios_open(sb, 11, 0xb00);
	uint8_t n = 0;

	while (facts->oem_strings[n])
		n++;
	strbuf_u8(sb, n);
	smbios_close(sb, at, facts->oem_strings);
}

static void smbios_processor(
	const struct smbios_facts *facts, unsigned int socket, struct strbuf *sb) /* 7.5 */
{
	size_t at = smbios_open(sb, 4, (uint16_t)(0x400 + socket));
	unsigned int threads = facts->cores * facts->threads;

	strbuf_u8(sb, 1);                                 /* socket */
	strbuf_u8(sb, 3);                                 /* a central processor */
	strbuf_u8(sb, 0xfe);                              /* family: see family 2 */
	strbuf_u8(sb, 2);                                 /* manufacturer */
	strbuf_le64(sb, 0);                               /* id */
	strbuf_u8(sb, 0);                                 /* version */
	strbuf_u8(sb, 0);                                 /* voltage */
	strbuf_append_zero(sb, 6);                        /* clocks: unknown */
	strbuf_u8(sb, 0x41);                              /* populated, enabled */
	strbuf_u8(sb, 1);                                 /* upgrade: other */
	strbuf_append(sb, "\xff\xff\xff\xff\xff\xff", 6); /* no cache handles */
	strbuf_append_zero(sb, 3);
	strbuf_u8(sb, (uint8_t)MIN(facts->cores, 255u));
	strbuf_u8(sb, (uint8_t)MIN(facts->cores, 255u));
	strbuf_u8(sb, (uint8_t)MIN(threads, 255u));
	strbuf_le16(sb, 1u << 2); /* 64-bit */
	strbuf_le16(sb, 1);       /* family: other */
	strbuf_le16(sb, (uint16_t)facts->cores);
	strbuf_le16(sb, (uint16_t)facts->cores);
	strbuf_le16(sb, (uint16_t)threads);
	smbios_close(sb, at, (const char *const[]){"CPU", "alioth", NULL});
}

static uint64_t smbios_ram(const struct smbios_facts *facts)
{
	return facts->ram[0].size + facts->ram[1].size;
}

static void smbios_memory_array(const struct smbios_facts *facts, struct strbuf *sb) /* 7.17 */
{
	size_t at = smbios_open(sb, 16, 0x1000);

	strbuf_u8(sb, 1); /* location: other */
	strbuf_u8(sb, 3); /* system memory */
	strbuf_u8(sb, 6); /* multi-bit ECC, as virtual memory has no errors of its own */
	strbuf_le32(sb, 0x80000000u);
	strbuf_le16(sb, 0xfffe);
	strbuf_le16(sb, 1);
	strbuf_le64(sb, smbios_ram(facts));
	smbios_close(sb, at, NULL);
}

static void smbios_memory_device(const struct smbios_facts *facts, struct strbuf *sb) /* 7.18 */
{
	size_t at = smbios_open(sb, 17, 0x1100);
	uint64_t mib = smbios_ram(facts) >> 20;

	strbuf_le16(sb, 0x1000);
	strbuf_le16(sb, 0xfffe);
	strbuf_le16(sb, 0xffff); /* widths: unknown */
	strbuf_le16(sb, 0xffff);
	strbuf_le16(sb, mib < 0x7fff ? (uint16_t)mib : 0x7fff);
	strbuf_u8(sb, 9); /* form: DIMM */
	strbuf_u8(sb, 0);
	strbuf_u8(sb, 1); /* locator */
	strbuf_u8(sb, 0);
	strbuf_u8(sb, 7); /* type: RAM */
	strbuf_le16(sb, 1u << 1);
	strbuf_le16(sb, 0);
	strbuf_append_zero(sb, 4);
	strbuf_u8(sb, 0);
	strbuf_le32(sb, mib < 0x7fff ? 0 : (uint32_t)mib);
	strbuf_append_zero(sb, 8); /* configured speed and voltages: unknown */
	smbios_close(sb, at, (const char *const[]){"DIMM 0", NULL});
}

static void smbios_mapped(
	const struct smbios_facts *facts, unsigned int i, struct strbuf *sb) /* 7.20 */
{
	size_t at = smbios_open(sb, 19, (uint16_t)(0x1300 + i));

	strbuf_le32(sb, UINT32_MAX); /* the extended addresses count */
	strbuf_le32(sb, UINT32_MAX);
	strbuf_le16(sb, 0x1000);
	strbuf_u8(sb, 1);
	strbuf_le64(sb, facts->ram[i].base);
	strbuf_le64(sb, facts->ram[i].base + facts->ram[i].size - 1);
	smbios_close(sb, at, NULL);
}

static void smbios_entry(const struct smbios_facts *facts, struct strbuf *sb) /* 5.2.2 */
{
	char *p = sb->data;
	uint8_t sum = 0;

	memcpy(p, "_SM3_", 5);
	p[6] = SMBIOS_ENTRY_SIZE;
	p[7] = 3; /* version 3.0 */
	p[10] = 1;
	store_le32(p + 12, (uint32_t)(sb->len - SMBIOS_TABLE_AT));
	store_le64(p + 16, facts->base + SMBIOS_TABLE_AT);
	for (size_t i = 0; i < SMBIOS_ENTRY_SIZE; i++)
		sum = (uint8_t)(sum + (uint8_t)p[i]);
	p[5] = (char)-sum;
}

struct err *smbios_build(const struct smbios_facts *facts, struct strbuf *sb)
{
	size_t at;

	strbuf_append_zero(sb, SMBIOS_TABLE_AT);
	smbios_bios(facts, sb);
	smbios_system(facts, sb);
	smbios_chassis(sb);
	for (unsigned int i = 0; i < facts->sockets; i++)
		smbios_processor(facts, i, sb);
	if (facts->oem_strings)
		smbios_oem_strings(facts, sb);
	smbios_memory_array(facts, sb);
	smbios_memory_device(facts, sb);
	for (unsigned int i = 0; i < ARRAY_SIZE(facts->ram); i++) {
		if (facts->ram[i].size)
			smbios_mapped(facts, i, sb);
	}
	at = smbios_open(sb, 32, 0x2000); /* 7.33: no boot errors */
	strbuf_append_zero(sb, 7);
	smbios_close(sb, at, NULL);
	at = smbios_open(sb, 127, 0x7f00);
	smbios_close(sb, at, NULL);
	if (sb->failed || sb->len > facts->size)
		return err_new(ENOSPC, "The SMBIOS tables do not fit in %llu KiB",
			(unsigned long long)(facts->size >> 10));
	smbios_entry(facts, sb);
	return NULL;
}
