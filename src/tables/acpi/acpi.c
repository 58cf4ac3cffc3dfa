/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSDP, XSDT, FADT, MADT, MCFG. The DSDT is in dsdt.c.
 */
#include "tables/acpi/acpi.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/err.h"
#include "base/overflow.h"
#include "tables/acpi/acpi_internal.h"

/* FADT flags, 5.2.9, table 5.10. */
#define FADT_WBINVD        (1u << 0)
#define FADT_POWER_BUTTON  (1u << 4) /* the button is a device, not a fixed register */
#define FADT_SLEEP_BUTTON  (1u << 5)
#define FADT_TMR_VAL_EXT   (1u << 8)
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_HW_REDUCED    (1u << 20)

#define BOOT_ARCH_NO_VGA   (1u << 2)
#define BOOT_ARCH_NO_RTC   (1u << 5) /* Linux would wait seconds for one */

static uint8_t acpi_checksum(const char *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + (uint8_t)data[i]);
	return (uint8_t)-sum;
}

size_t acpi_open_table(struct strbuf *sb, const char *signature, uint8_t revision)
{
	size_t at;

	strbuf_append_zero(sb, align_up(sb->len, 8) - sb->len);
	at = sb->len;
	strbuf_append(sb, signature, 4);
	strbuf_le32(sb, 0); /* length, by acpi_close_table() */
	strbuf_u8(sb, revision);
	strbuf_u8(sb, 0); /* checksum */
	strbuf_append(sb, "ALIOTH", 6);
	strbuf_append(sb, "ALIOTHVM", 8);
	strbuf_le32(sb, 1);
	strbuf_append(sb, "ALTH", 4);
	strbuf_le32(sb, 1);
	return at;
}

void acpi_close_table(struct strbuf *sb, size_t at)
{
	if (sb->failed)
		return;
	store_le32(sb->data + at + 4, (uint32_t)(sb->len - at));
	sb->data[at + 9] = (char)acpi_checksum(sb->data + at, sb->len - at);
}

/* Generic Address Structure, 5.2.3.2. */
static void acpi_gas_io(struct strbuf *sb, uint16_t port, uint8_t bits, uint8_t access)
{
	strbuf_u8(sb, 1); /* system I/O */
	strbuf_u8(sb, bits);
	strbuf_u8(sb, 0);
	strbuf_u8(sb, access);
	strbuf_le64(sb, port);
}

/* 5.2.9; fields that hardware-reduced machines do not have are zero. */
static size_t acpi_fadt(const struct acpi_facts *facts, uint64_t dsdt, struct strbuf *sb)
{
	size_t at = acpi_open_table(sb, "FACP", 6);

	strbuf_append_zero(sb, 112 - ACPI_HEADER_SIZE);
	strbuf_le32(sb, FADT_HW_REDUCED | FADT_RESET_REG_SUP | FADT_TMR_VAL_EXT |
				FADT_POWER_BUTTON | FADT_SLEEP_BUTTON | FADT_WBINVD);
	acpi_gas_io(sb, facts->reset_port, 8, 1);
	strbuf_u8(sb, facts->reset_value);
	strbuf_le16(sb, 0);
	strbuf_u8(sb, 4); /* minor version: 6.4 */
	strbuf_le64(sb, 0);
	strbuf_le64(sb, dsdt);
	strbuf_append_zero(sb, 208 - 148);
	acpi_gas_io(sb, facts->pm_timer, 32, 3);
	strbuf_append_zero(sb, 244 - 220);
	acpi_gas_io(sb, facts->sleep_control, 8, 1);
	acpi_gas_io(sb, (uint16_t)(facts->sleep_control + 1), 8, 1);
	strbuf_append(sb, "ALIOTHVM", 8); /* hypervisor vendor identity */
	if (!sb->failed) {
		/* The timer's old fields too: Linux looks at its length. */
		store_le32(sb->data + at + 76, facts->pm_timer);
		sb->data[at + 91] = 4;
		if (facts->rtc_port)
			sb->data[at + 108] = (char)facts->rtc_century;
		store_le16(sb->data + at + 109,
			(uint16_t)(BOOT_ARCH_NO_VGA | (facts->rtc_port ? 0 : BOOT_ARCH_NO_RTC)));
	}
	acpi_close_table(sb, at);
	return at;
}

/*
 * Processors that an 8-bit id can name are local APICs, the others x2APICs (5.2.12.12): Linux (6.7
 * and later) ignores an x2APIC entry with a smaller id. The processor UID is the APIC id, as it
 * fits wherever that fits, which an index would not.
 */
static void acpi_madt_cpu(struct strbuf *sb, uint32_t apic_id)
{
	if (apic_id < 255) {
		strbuf_u8(sb, 0);
		strbuf_u8(sb, 8);
		strbuf_u8(sb, (uint8_t)apic_id);
		strbuf_u8(sb, (uint8_t)apic_id);
		strbuf_le32(sb, 1);
	} else {
		strbuf_u8(sb, 9);
		strbuf_u8(sb, 16);
		strbuf_le16(sb, 0);
		strbuf_le32(sb, apic_id);
		strbuf_le32(sb, 1);
		strbuf_le32(sb, apic_id);
	}
}

static void acpi_madt_nmi(struct strbuf *sb)
{
	strbuf_u8(sb, 4); /* all local APICs: LINT1 */
	strbuf_u8(sb, 6);
	strbuf_u8(sb, 0xff);
	strbuf_le16(sb, 0);
	strbuf_u8(sb, 1);
	strbuf_u8(sb, 10); /* all x2APICs */
	strbuf_u8(sb, 12);
	strbuf_le16(sb, 0);
	strbuf_le32(sb, UINT32_MAX);
	strbuf_u8(sb, 1);
	strbuf_append_zero(sb, 3);
}

static size_t acpi_madt(const struct acpi_facts *facts, struct strbuf *sb)
{
	size_t at = acpi_open_table(sb, "APIC", 5);

	strbuf_le32(sb, facts->local_apic);
	strbuf_le32(sb, 0); /* no 8259 */
	for (unsigned int i = 0; i < facts->n_cpus; i++)
		acpi_madt_cpu(sb, facts->apic_ids[i]);
	acpi_madt_nmi(sb);
	strbuf_u8(sb, 1);
	strbuf_u8(sb, 12);
	strbuf_u8(sb, 0); /* I/O APIC id */
	strbuf_u8(sb, 0);
	strbuf_le32(sb, facts->ioapic);
	strbuf_le32(sb, 0); /* first GSI */
	acpi_close_table(sb, at);
	return at;
}

/* PCI Firmware Specification 3.3, 4.1.2. */
static size_t acpi_mcfg(const struct acpi_facts *facts, struct strbuf *sb)
{
	size_t at = acpi_open_table(sb, "MCFG", 1);

	strbuf_le64(sb, 0);
	strbuf_le64(sb, facts->ecam);
	strbuf_le16(sb, 0);
	strbuf_u8(sb, 0);
	strbuf_u8(sb, (uint8_t)(facts->pci_buses - 1));
	strbuf_le32(sb, 0);
	acpi_close_table(sb, at);
	return at;
}

void acpi_rsdp(char p[ACPI_RSDP_SIZE], uint64_t xsdt)
{
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "ALIOTH", 6);
	p[15] = 2;
	store_le32(p + 20, ACPI_RSDP_SIZE);
	store_le64(p + 24, xsdt);
	p[8] = (char)acpi_checksum(p, 20);
	p[32] = (char)acpi_checksum(p, ACPI_RSDP_SIZE);
}

struct acpi_places acpi_tables(const struct acpi_facts *facts, uint64_t base, struct strbuf *sb)
{
	struct acpi_places places;
	size_t tables[ACPI_XSDT_ENTRIES];
	size_t dsdt = acpi_dsdt(facts, sb);

	places.fadt = acpi_fadt(facts, base + dsdt, sb);
	tables[0] = places.fadt;
	tables[1] = acpi_madt(facts, sb);
	tables[2] = acpi_mcfg(facts, sb);
	places.xsdt = acpi_open_table(sb, "XSDT", 1);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		strbuf_le64(sb, base + tables[i]);
	acpi_close_table(sb, places.xsdt);
	return places;
}

struct err *acpi_check_size(const struct acpi_facts *facts, const struct strbuf *sb)
{
	if (sb->failed || sb->len > facts->size)
		return err_new(ENOSPC, "The ACPI tables of %u vCPUs do not fit in %llu KiB",
			facts->n_cpus, (unsigned long long)(facts->size >> 10));
	return NULL;
}

struct err *acpi_build(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct acpi_places places;
	struct err *err;

	strbuf_append_zero(sb, ACPI_RSDP_SIZE);
	places = acpi_tables(facts, facts->base, sb);
	err = acpi_check_size(facts, sb);
	if (!err)
		acpi_rsdp(sb->data, facts->base + places.xsdt);
	return err;
}
