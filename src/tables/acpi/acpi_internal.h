/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files that build ACPI tables.
 */
#pragma once

#include "tables/acpi/acpi.h"

#define ACPI_RSDP_SIZE    36
#define ACPI_RSDP_XSDT    24
#define ACPI_HEADER_SIZE  36
#define ACPI_CHECKSUM     9 /* of every table but the RSDP */
#define ACPI_FADT_X_DSDT  140
#define ACPI_XSDT_ENTRIES 3

/* A table's header at the next multiple of 8; its offset. */
size_t acpi_open_table(struct strbuf *sb, const char *signature, uint8_t revision);
/* Length and checksum. */
void acpi_close_table(struct strbuf *sb, size_t at);

/* Addresses that the tables hold, for whoever moves them: offsets of tables in the blob. */
struct acpi_places {
	size_t fadt; /* its DSDT at ACPI_FADT_X_DSDT */
	size_t xsdt; /* ACPI_XSDT_ENTRIES of 8 bytes behind the header */
};

/* All tables but the RSDP, as they are when the blob lies at `base`. */
struct acpi_places acpi_tables(const struct acpi_facts *facts, uint64_t base, struct strbuf *sb);
struct err *must_check acpi_check_size(const struct acpi_facts *facts, const struct strbuf *sb);
void acpi_rsdp(char p[ACPI_RSDP_SIZE], uint64_t xsdt);

size_t acpi_dsdt(const struct acpi_facts *facts, struct strbuf *sb);
