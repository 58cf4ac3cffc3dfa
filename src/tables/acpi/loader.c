/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same tables for firmware that finds a place for them itself: blobs whose pointers are offsets
 * and whose checksums are zero, and the script that says what to add to them. A command is 128
 * bytes: a number, and operands with file names of 56 bytes.
 */
#include "tables/acpi/acpi_internal.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/err.h"
#include "base/overflow.h"

#define LOADER_FILE_SIZE    56
#define LOADER_COMMAND_SIZE 128
#define LOADER_SCRIPT_MAX   KIB(4)

#define LOADER_ALLOCATE     1
#define LOADER_ADD_POINTER  2
#define LOADER_ADD_CHECKSUM 3

#define LOADER_ZONE_HIGH    1 /* anywhere below 4 GiB */
#define LOADER_ZONE_FSEG    2 /* where an RSDP is looked for */

#define FILE_TABLES         "etc/acpi/tables"
#define FILE_RSDP           "etc/acpi/rsdp"

static void loader_file(struct strbuf *sb, const char *name)
{
	size_t len = strlen(name);

	strbuf_append(sb, name, len);
	strbuf_append_zero(sb, LOADER_FILE_SIZE - len);
}

static void loader_end(struct strbuf *sb)
{
	strbuf_append_zero(sb, align_up(sb->len, LOADER_COMMAND_SIZE) - sb->len);
}

static void loader_allocate(struct strbuf *sb, const char *file, uint32_t align, uint8_t zone)
{
	strbuf_le32(sb, LOADER_ALLOCATE);
	loader_file(sb, file);
	strbuf_le32(sb, align);
	strbuf_u8(sb, zone);
	loader_end(sb);
}

/* The 8 bytes at `at` hold an offset in the tables, to which their address is added. */
static void loader_pointer(struct strbuf *sb, const char *file, size_t at)
{
	strbuf_le32(sb, LOADER_ADD_POINTER);
	loader_file(sb, file);
	loader_file(sb, FILE_TABLES);
	strbuf_le32(sb, (uint32_t)at);
	strbuf_u8(sb, 8);
	loader_end(sb);
}

/* The byte at `at` is made anew, so that [start, start + len) adds up to zero. */
static void loader_checksum(struct strbuf *sb, struct strbuf *blob, const char *file, size_t at,
	size_t start, size_t len)
{
	if (!blob->failed)
		blob->data[at] = 0;
	strbuf_le32(sb, LOADER_ADD_CHECKSUM);
	loader_file(sb, file);
	strbuf_le32(sb, (uint32_t)at);
	strbuf_le32(sb, (uint32_t)start);
	strbuf_le32(sb, (uint32_t)len);
	loader_end(sb);
}

static void loader_table_checksum(struct acpi_loader *out, size_t table)
{
	uint32_t len = out->tables.failed ? 0 : load_le32(out->tables.data + table + 4);

	loader_checksum(&out->script, &out->tables, FILE_TABLES, table + ACPI_CHECKSUM, table, len);
}

struct err *acpi_build_loader(const struct acpi_facts *facts, struct acpi_loader *out)
{
	char rsdp[ACPI_RSDP_SIZE] = {0};
	struct acpi_places places;
	struct err *err;

	*out = (struct acpi_loader){.tables = STRBUF_INIT(facts->size),
		.rsdp = STRBUF_INIT(ACPI_RSDP_SIZE),
		.script = STRBUF_INIT(LOADER_SCRIPT_MAX)};
	places = acpi_tables(facts, 0, &out->tables);
	acpi_rsdp(rsdp, places.xsdt);
	strbuf_append(&out->rsdp, rsdp, sizeof(rsdp));
	loader_allocate(&out->script, FILE_RSDP, 16, LOADER_ZONE_FSEG);
	loader_allocate(&out->script, FILE_TABLES, 64, LOADER_ZONE_HIGH);
	loader_pointer(&out->script, FILE_TABLES, places.fadt + ACPI_FADT_X_DSDT);
	loader_table_checksum(out, places.fadt);
	for (size_t i = 0; i < ACPI_XSDT_ENTRIES; i++)
		loader_pointer(&out->script, FILE_TABLES, places.xsdt + ACPI_HEADER_SIZE + 8 * i);
	loader_table_checksum(out, places.xsdt);
	loader_pointer(&out->script, FILE_RSDP, ACPI_RSDP_XSDT);
	loader_checksum(&out->script, &out->rsdp, FILE_RSDP, 8, 0, 20);
	loader_checksum(&out->script, &out->rsdp, FILE_RSDP, 32, 0, ACPI_RSDP_SIZE);
	err = acpi_check_size(facts, &out->tables);
	if (!err && (out->rsdp.failed || out->script.failed))
		err = err_new(ENOMEM, "Cannot describe the ACPI tables to the firmware");
	return err;
}

void acpi_loader_deinit(struct acpi_loader *loader)
{
	strbuf_deinit(&loader->tables);
	strbuf_deinit(&loader->rsdp);
	strbuf_deinit(&loader->script);
}
