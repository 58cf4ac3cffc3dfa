/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the ACPI tables of a machine with N processors to files, for iasl: dump_tables N DIR
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/err.h"
#include "tables/acpi/acpi.h"

static void dump(const char *dir, const char *table)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.4s.dat", dir, table);
	f = fopen(path, "wb");
	if (!f || fwrite(table, load_le32(table + 4), 1, f) != 1 || fclose(f))
		exit(1);
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 3 ? (unsigned int)strtoul(argv[1], NULL, 10) : 0;
	uint32_t *ids = calloc(n ? n : 1, sizeof(*ids));
	struct strbuf sb = STRBUF_INIT(0x20000);
	struct acpi_facts facts = {
		.base = 0x80000,
		.size = 0x20000,
		.apic_ids = ids,
		.n_cpus = n,
		.local_apic = 0xfee00000,
		.ioapic = 0xfec00000,
		.com1_port = 0x3f8,
		.com1_irq = 4,
		.sleep_control = 0x600,
		.reset_port = 0x604,
		.reset_value = 'r',
		.pm_timer = 0x608,
		.ged_port = 0x60c,
		.ged_gsi = 9,
		.ecam = 0xe0000000,
		.pci_buses = 1,
		.pci_io_first = 0x1000,
		.pci_io_last = 0xffff,
		.pci_mem32_first = 0x80000000,
		.pci_mem32_last = 0xdfffffff,
		.pci_mem64_first = 1ull << 38,
		.pci_mem64_last = (1ull << 39) - 1,
		.intx_gsi = 16,
		.intx_n = 4,
	};
	uint64_t xsdt;

	if (!n || !ids)
		return 2;
	for (unsigned int i = 0; i < n; i++)
		ids[i] = i;
	if (acpi_build(&facts, &sb))
		return 1;
	xsdt = load_le64(sb.data + 24) - facts.base;
	dump(argv[2], sb.data + xsdt);
	for (uint32_t at = 36; at < load_le32(sb.data + xsdt + 4); at += 8) {
		const char *table = sb.data + (load_le64(sb.data + xsdt + at) - facts.base);

		dump(argv[2], table);
		if (!memcmp(table, "FACP", 4))
			dump(argv[2], sb.data + (load_le64(table + 140) - facts.base));
	}
	strbuf_deinit(&sb);
	free(ids);
	return 0;
}
