/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files that build ACPI tables.
 */
#pragma once

#include "tables/acpi/acpi.h"

/* A table's header at the next multiple of 8; its offset. */
size_t acpi_open_table(struct strbuf *sb, const char *signature, uint8_t revision);
/* Length and checksum. */
void acpi_close_table(struct strbuf *sb, size_t at);

size_t acpi_dsdt(const struct acpi_facts *facts, struct strbuf *sb);
