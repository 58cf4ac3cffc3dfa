/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "base/endian.h"
#include "facts.h"

/* More than a page more than the DSDT may ever take. */
#define DSDT_MAX 4096

static uint32_t apic_ids[FACTS_CPUS_MAX];
static struct acpi_facts facts;
static struct strbuf blob;

static int teardown(void **state)
{
	strbuf_deinit(&blob);
	return 0;
}

static void build(unsigned int n_cpus)
{
	strbuf_deinit(&blob);
	blob = STRBUF_INIT(0x20000);
	facts = facts_of(apic_ids, n_cpus);
	assert_ok(acpi_build(&facts, &blob));
}

static const char *at(uint64_t gpa)
{
	assert_in_range(gpa, facts.base, facts.base + blob.len - 1);
	return blob.data + (gpa - facts.base);
}

static uint8_t sum(const char *p, size_t len)
{
	uint8_t value = 0;

	for (size_t i = 0; i < len; i++)
		value = (uint8_t)(value + (uint8_t)p[i]);
	return value;
}

/* The table at gpa: whole, aligned, signed with our names and summed up; its length. */
static size_t check_table(uint64_t gpa, const char *signature)
{
	const char *table = at(gpa);
	size_t len = load_le32(table + 4);

	assert_int_equal(gpa % 8, 0);
	assert_memory_equal(table, signature, 4);
	assert_true(gpa + len <= facts.base + blob.len);
	assert_int_equal(sum(table, len), 0);
	assert_memory_equal(table + 10, "ALIOTHALIOTHVM", 14);
	return len;
}

/* What the XSDT has under a signature. */
static const char *find(const char *signature, size_t *ret_len)
{
	uint64_t xsdt = load_le64(at(facts.base) + 24);
	size_t len = check_table(xsdt, "XSDT");

	for (size_t off = 36; off < len; off += 8) {
		uint64_t gpa = load_le64(at(xsdt) + off);

		if (!memcmp(at(gpa), signature, 4)) {
			*ret_len = check_table(gpa, signature);
			return at(gpa);
		}
	}
	fail_msg("no %s", signature);
	return NULL;
}

static void test_rsdp_comes_first_and_leads_to_all_tables(void **state)
{
	size_t len;

	build(1);
	assert_memory_equal(blob.data, "RSD PTR ", 8);
	assert_int_equal(blob.data[15], 2);
	assert_int_equal(load_le32(blob.data + 16), 0); /* no RSDT */
	assert_int_equal(load_le32(blob.data + 20), 36);
	assert_int_equal(sum(blob.data, 20), 0);
	assert_int_equal(sum(blob.data, 36), 0);
	find("FACP", &len);
	assert_int_equal(len, 276);
	find("APIC", &len);
	find("MCFG", &len);
}

static void test_fadt_is_hardware_reduced(void **state)
{
	const char *fadt;
	size_t len;

	build(1);
	fadt = find("FACP", &len);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(fadt[131], 4);
	/* hardware-reduced, reset register, 32-bit timer, buttons are devices, WBINVD */
	assert_int_equal(load_le32(fadt + 112), 1 << 20 | 1 << 10 | 1 << 8 | 3 << 4 | 1);
	assert_memory_equal(fadt + 116, "\x01\x08\x00\x01\x04\x06\0\0\0\0\0\0\x72", 13);
	assert_memory_equal(fadt + 208, "\x01\x20\x00\x03\x08\x06\0\0\0\0\0\0", 12);
	assert_memory_equal(fadt + 244, "\x01\x08\x00\x01\x00\x06\0\0\0\0\0\0", 12);
	assert_memory_equal(fadt + 256, "\x01\x08\x00\x01\x01\x06\0\0\0\0\0\0", 12);
	check_table(load_le64(fadt + 140), "DSDT");
	assert_int_equal(load_le32(fadt + 40), 0); /* one DSDT address only */
}

/* Walks a MADT; counts[type] entries, and the processors' ids in their order. */
static unsigned int walk_madt(unsigned int counts[256], uint32_t *ids)
{
	size_t len;
	const char *madt = find("APIC", &len);
	unsigned int n = 0;

	memset(counts, 0, 256 * sizeof(counts[0]));
	for (size_t off = 44; off < len; off += (uint8_t)madt[off + 1]) {
		const char *entry = madt + off;

		assert_true(entry[1] >= 6 && off + (uint8_t)entry[1] <= len);
		counts[(uint8_t)entry[0]]++;
		if (entry[0] == 0) {
			assert_int_equal(load_le32(entry + 4), 1);
			assert_int_equal(entry[2], entry[3]); /* the UID is the id */
			ids[n++] = (uint8_t)entry[3];
		} else if (entry[0] == 9) {
			assert_int_equal(load_le32(entry + 8), 1);
			assert_int_equal(load_le32(entry + 4), load_le32(entry + 12));
			/* Linux would ignore a smaller one. */
			assert_true(load_le32(entry + 4) >= 255);
			ids[n++] = load_le32(entry + 4);
		}
	}
	return n;
}

static void test_madt_has_every_processor_once_in_order(void **state)
{
	static uint32_t ids[FACTS_CPUS_MAX];
	static const unsigned int cpus[] = {1, 4, 254, 255, 256, 300, FACTS_CPUS_MAX};
	unsigned int counts[256];

	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
		build(cpus[i]);
		assert_int_equal(walk_madt(counts, ids), cpus[i]);
		assert_memory_equal(ids, apic_ids, cpus[i] * sizeof(ids[0]));
		assert_int_equal(counts[0], MIN(cpus[i], 255u));
		assert_int_equal(counts[9], cpus[i] - MIN(cpus[i], 255u));
		assert_int_equal(counts[1], 1);  /* I/O APIC */
		assert_int_equal(counts[4], 1);  /* NMI of local APICs */
		assert_int_equal(counts[10], 1); /* NMI of x2APICs */
	}
}

/* Second threads come last, with ids between those of the first ones: 300 threads of 150 cores. */
static void test_small_ids_of_late_processors_are_local_apics(void **state)
{
	uint32_t ids[300];
	unsigned int counts[256];

	build(300);
	for (unsigned int i = 0; i < 300; i++)
		apic_ids[i] = i % 150 << 1 | i / 150;
	strbuf_deinit(&blob);
	assert_ok(acpi_build(&facts, &blob));
	assert_int_equal(walk_madt(counts, ids), 300);
	assert_memory_equal(ids, apic_ids, sizeof(ids));
	assert_int_equal(counts[0], 255);
}

static void test_mcfg_covers_the_buses(void **state)
{
	const char *mcfg;
	size_t len;

	build(1);
	mcfg = find("MCFG", &len);
	assert_int_equal(len, 60);
	assert_int_equal(load_le64(mcfg + 44), 0xe0000000);
	assert_int_equal(load_le16(mcfg + 52), 0);
	assert_int_equal(mcfg[54], 0);
	assert_int_equal((uint8_t)mcfg[55], 255);
}

/* The facts reach the DSDT: bytes that an encoder would make of them are in it. */
static void assert_in_dsdt(const void *bytes, size_t len, bool expected)
{
	size_t ignored;
	const char *dsdt = at(load_le64(find("FACP", &ignored) + 140));

	assert_int_equal(memmem(dsdt, load_le32(dsdt + 4), bytes, len) != NULL, expected);
}

static void test_dsdt_follows_the_facts(void **state)
{
	static const uint8_t com[] = {0x47, 1, 0xe8, 0x02, 0xe8, 0x02, 1, 8, 0x22, 0x20, 0x00};
	static const uint8_t ged[] = {0x89, 6, 0, 1, 1, 23, 0, 0, 0};
	static const uint8_t config[] = {0x47, 1, 0x00, 0x0c, 0x00, 0x0c, 1, 8};
	static const uint8_t prt[] = {0x0c, 0xff, 0xff, 0x03, 0x00, 0x01, 0x00, 0x0a, 20};
	static const uint8_t window64[] = {0x8a, 43, 0};

	build(1);
	assert_in_dsdt(com, sizeof(com), false);
	assert_in_dsdt(window64, sizeof(window64), true);
	facts.com1_port = 0x2e8;
	facts.com1_irq = 5;
	facts.ged_gsi = 23;
	facts.pci_config_port = 0xc00;
	facts.intx_gsi = 20;
	facts.pci_mem64_first = facts.pci_mem64_last = 0;
	strbuf_deinit(&blob);
	assert_ok(acpi_build(&facts, &blob));
	assert_in_dsdt(com, sizeof(com), true);
	assert_in_dsdt(ged, sizeof(ged), true);
	assert_in_dsdt(config, sizeof(config), true);
	assert_in_dsdt(prt, sizeof(prt), true); /* slot 3, INTB: pin (3 + 1) % 4 */
	assert_in_dsdt(window64, sizeof(window64), false);
}

static void test_tables_that_do_not_fit(void **state)
{
	build(1);
	facts.size = blob.len;
	strbuf_deinit(&blob);
	assert_ok(acpi_build(&facts, &blob));
	facts.size--;
	strbuf_deinit(&blob);
	assert_err(acpi_build(&facts, &blob), "ACPI tables of 1 vCPUs do not fit");
	facts.size = 0x20000;
	strbuf_deinit(&blob);
	blob = STRBUF_INIT(100); /* the buffer's own limit */
	assert_err(acpi_build(&facts, &blob), "do not fit");
}

/* A machine with more processors than the classic place has room for uses another one. */
static void test_tables_anywhere(void **state)
{
	unsigned int counts[256];
	static uint32_t ids[FACTS_CPUS_MAX];

	facts = facts_of(apic_ids, FACTS_CPUS_MAX);
	facts.base = 0x7ffe0000;
	strbuf_deinit(&blob);
	blob = STRBUF_INIT(0x20000);
	assert_ok(acpi_build(&facts, &blob));
	assert_int_equal(walk_madt(counts, ids), FACTS_CPUS_MAX);
}

static void test_size_of_the_dsdt_does_not_follow_the_processors(void **state)
{
	size_t one;
	size_t ignored;

	build(1);
	one = load_le32(at(load_le64(find("FACP", &ignored) + 140)) + 4);
	assert_true(one < DSDT_MAX);
	build(300);
	assert_int_equal(load_le32(at(load_le64(find("FACP", &ignored) + 140)) + 4), one);
}

/* The flag that there is none, and the century's register, agree with the DSDT. */
static void test_the_clock(void **state)
{
	size_t len;
	const char *fadt;

	build(1);
	fadt = find("FACP", &len);
	assert_int_equal(load_le16(fadt + 109) & 0x20, 0);
	assert_int_equal(fadt[108], 0x32);
	facts.rtc_port = 0;
	strbuf_deinit(&blob);
	blob = STRBUF_INIT(0x20000);
	assert_ok(acpi_build(&facts, &blob));
	fadt = find("FACP", &len);
	assert_int_equal(load_le16(fadt + 109) & 0x20, 0x20);
	assert_int_equal(fadt[108], 0);
}

/* ---- The loader's script ---- */

#define LOADER_COMMAND 128

struct loaded {
	const char *name;
	struct strbuf *blob;
	uint64_t base; /* 0: not allocated yet */
};

static struct loaded *loaded_of(struct loaded *files, const char *name)
{
	return &files[strcmp(files[0].name, name) ? 1 : 0];
}

/* One command, as firmware runs it. */
static void run_command(struct loaded *files, const char *command)
{
	struct loaded *file = loaded_of(files, command + 4);
	uint32_t at;
	char *p;

	assert_string_equal(file->name, command + 4);
	switch (load_le32(command)) {
	case 1:
		file->base = file == files ? 0x7ee00000 : 0xf5b00;
		assert_int_equal(file->base % load_le32(command + 60), 0);
		break;
	case 2:
		assert_true(file->base && files[0].base);
		assert_string_equal(command + 60, files[0].name);
		assert_int_equal((uint8_t)command[120], 8);
		p = file->blob->data + load_le32(command + 116);
		assert_true(p + 8 <= file->blob->data + file->blob->len);
		store_le64(p, load_le64(p) + files[0].base);
		break;
	case 3:
		at = load_le32(command + 60);
		p = file->blob->data + load_le32(command + 64);
		file->blob->data[at] =
			(char)(file->blob->data[at] - sum(p, load_le32(command + 68)));
		break;
	default:
		fail();
	}
}

static void test_firmware_makes_the_same_tables(void **state)
{
	struct acpi_loader loader;
	struct loaded files[2] = {
		{"etc/acpi/tables", &loader.tables, 0}, {"etc/acpi/rsdp", &loader.rsdp, 0}};
	const char *xsdt;

	facts = facts_of(apic_ids, 3);
	assert_ok(acpi_build_loader(&facts, &loader));
	for (size_t i = 0; i < loader.script.len; i += LOADER_COMMAND)
		run_command(files, loader.script.data + i);
	assert_int_equal(sum(loader.rsdp.data, 20), 0);
	assert_int_equal(sum(loader.rsdp.data, 36), 0);
	/* From here on they are tables like the others. */
	strbuf_deinit(&blob);
	blob = loader.tables;
	facts.base = files[0].base;
	xsdt = at(load_le64(loader.rsdp.data + 24));
	assert_int_equal(check_table(load_le64(loader.rsdp.data + 24), "XSDT"), 36 + 3 * 8);
	check_table(load_le64(xsdt + 36), "FACP");
	check_table(load_le64(xsdt + 44), "APIC");
	check_table(load_le64(xsdt + 52), "MCFG");
	check_table(load_le64(at(load_le64(xsdt + 36)) + 140), "DSDT");
	strbuf_deinit(&loader.rsdp);
	strbuf_deinit(&loader.script);
}

static void test_tables_for_firmware_have_a_limit_too(void **state)
{
	struct acpi_loader loader;

	facts = facts_of(apic_ids, FACTS_CPUS_MAX);
	facts.size = 1024;
	assert_err(acpi_build_loader(&facts, &loader), "do not fit");
	acpi_loader_deinit(&loader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_rsdp_comes_first_and_leads_to_all_tables, teardown),
		cmocka_unit_test_teardown(test_fadt_is_hardware_reduced, teardown),
		cmocka_unit_test_teardown(test_madt_has_every_processor_once_in_order, teardown),
		cmocka_unit_test_teardown(
			test_small_ids_of_late_processors_are_local_apics, teardown),
		cmocka_unit_test_teardown(test_mcfg_covers_the_buses, teardown),
		cmocka_unit_test_teardown(test_dsdt_follows_the_facts, teardown),
		cmocka_unit_test_teardown(test_the_clock, teardown),
		cmocka_unit_test_teardown(test_firmware_makes_the_same_tables, teardown),
		cmocka_unit_test_teardown(test_tables_for_firmware_have_a_limit_too, teardown),
		cmocka_unit_test_teardown(test_tables_that_do_not_fit, teardown),
		cmocka_unit_test_teardown(test_tables_anywhere, teardown),
		cmocka_unit_test_teardown(
			test_size_of_the_dsdt_does_not_follow_the_processors, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
