/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the ACPI tables of a machine with N processors to files, one a table, for iasl_test.py:
 *   dump_tables N DIRECTORY
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/err.h"
#include "facts.h"

static void dump_table(const char *dir, const struct strbuf *blob, size_t at)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%.4s.aml", dir, blob->data + at);
	file = fopen(path, "w");
	if (!file || fwrite(blob->data + at, load_le32(blob->data + at + 4), 1, file) != 1 ||
		fclose(file)) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static uint32_t apic_ids[FACTS_CPUS_MAX];
	unsigned long n = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	struct acpi_facts facts = facts_of(apic_ids, (unsigned int)(n % (FACTS_CPUS_MAX + 1)));
	auto_strbuf struct strbuf blob = STRBUF_INIT(facts.size);
	struct err *err = acpi_build(&facts, &blob);
	size_t xsdt;

	if (err || !n) {
		fprintf(stderr, "usage: dump_tables N DIRECTORY, or too many processors\n");
		err_free(err);
		return 2;
	}
	xsdt = (size_t)(load_le64(blob.data + 24) - facts.base);
	dump_table(argv[2], &blob, xsdt);
	for (size_t at = xsdt + 36; at < xsdt + load_le32(blob.data + xsdt + 4); at += 8) {
		size_t table = (size_t)(load_le64(blob.data + at) - facts.base);

		dump_table(argv[2], &blob, table);
		if (!memcmp(blob.data + table, "FACP", 4))
			dump_table(argv[2], &blob,
				(size_t)(load_le64(blob.data + table + 140) - facts.base));
	}
	return 0;
}
