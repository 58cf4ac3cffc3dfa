/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "base/endian.h"
#include "tables/smbios/smbios.h"

#define TYPES 128

static struct smbios_facts facts;
static struct strbuf blob;
static const char *found[TYPES]; /* the first structure of each type */
static unsigned int counts[TYPES];

static int setup(void **state)
{
	facts = (struct smbios_facts){
		.base = 0xf0000,
		.size = 0x10000,
		.sockets = 2,
		.cores = 3,
		.threads = 2,
		.ram = {{0, 0x80000000}, {0x100000000, 0x80000000}},
		.version = "1.2.3",
	};
	blob = STRBUF_INIT(0x10000);
	return 0;
}

static int teardown(void **state)
{
	strbuf_deinit(&blob);
	return 0;
}

/* The string with a 1-based number behind a structure. */
static const char *text(const char *structure, unsigned int n)
{
	const char *p = structure + (uint8_t)structure[1];

	while (--n)
		p += strlen(p) + 1;
	return p;
}

/* Walks the structures as DSP0134, 6.1 says, and notes them. */
static void build(void)
{
	const char *p, *end;

	assert_ok(smbios_build(&facts, &blob));
	p = blob.data + (load_le64(blob.data + 16) - facts.base);
	end = p + load_le32(blob.data + 12);
	assert_ptr_equal(end, blob.data + blob.len);
	memset(counts, 0, sizeof(counts));
	while (p < end) {
		uint8_t type = (uint8_t)p[0];

		assert_true(type < TYPES);
		if (!counts[type]++)
			found[type] = p;
		p += (uint8_t)p[1];
		while (p[0] || p[1])
			p++;
		p += 2;
	}
	assert_ptr_equal(p, end);
	assert_int_equal(counts[127], 1);
}

static void test_entry_point(void **state)
{
	uint8_t sum = 0;

	build();
	assert_memory_equal(blob.data, "_SM3_", 5);
	assert_int_equal(blob.data[6], 24);
	assert_int_equal(blob.data[7], 3);
	for (size_t i = 0; i < 24; i++)
		sum = (uint8_t)(sum + (uint8_t)blob.data[i]);
	assert_int_equal(sum, 0);
}

/* Lengths are those of SMBIOS 3.0 or, where the standard allows it, more. */
static void test_every_structure_is_there(void **state)
{
	static const struct {
		uint8_t type, len;
		unsigned int count;
	} expected[] = {{0, 0x1a, 1}, {1, 0x1b, 1}, {3, 0x16, 1}, {4, 0x30, 2}, {16, 0x17, 1},
		{17, 0x28, 1}, {19, 0x1f, 2}, {32, 0x0b, 1}, {127, 4, 1}};

	build();
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(counts[expected[i].type], expected[i].count);
		assert_int_equal(found[expected[i].type][1], expected[i].len);
	}
}

static void test_what_it_says(void **state)
{
	build();
	assert_string_equal(text(found[0], 1), "alioth");
	assert_string_equal(text(found[0], 2), "1.2.3");
	assert_string_equal(text(found[1], 2), "alioth virtual machine");
	assert_int_equal(load_le16(found[4] + 0x2a), 3);
	assert_int_equal(load_le16(found[4] + 0x2e), 6);
	assert_int_equal(load_le64(found[16] + 0xf), 0x100000000);
	assert_int_equal(load_le16(found[17] + 0xc), 4096);
	assert_int_equal(load_le64(found[19] + 0xf), 0);
	assert_int_equal(load_le64(found[19] + 0x17), 0x7fffffff);
}

static void test_much_memory_and_many_threads(void **state)
{
	facts.ram[1].size = 64ull << 40;
	facts.sockets = 1;
	facts.cores = 200;
	build();
	assert_int_equal(load_le16(found[17] + 0xc), 0x7fff);
	assert_int_equal(load_le32(found[17] + 0x1c), (64 << 20) + 2048);
	assert_int_equal((uint8_t)found[4][0x25], 255);
	assert_int_equal(load_le16(found[4] + 0x2e), 400);
}

static void test_little_memory_is_one_range(void **state)
{
	facts.ram[1].size = 0;
	build();
	assert_int_equal(counts[19], 1);
}

static void test_no_room(void **state)
{
	facts.size = 100;
	assert_err(smbios_build(&facts, &blob), "do not fit");
}

static void expect_credential(const char *data, size_t len, const char *expected)
{
	char *credential = smbios_credential("a.b", data, len);

	assert_string_equal(credential, expected);
	free(credential);
}

static void test_credentials(void **state)
{
	expect_credential("", 0, "io.systemd.credential:a.b=");
	expect_credential("x = ~", 5, "io.systemd.credential:a.b=x = ~");
	/* RFC 4648, chapter 10, with a byte that is not text. */
	expect_credential("\n", 1, "io.systemd.credential.binary:a.b=Cg==");
	expect_credential("a\n", 2, "io.systemd.credential.binary:a.b=YQo=");
	expect_credential("\0\xff\xfe", 3, "io.systemd.credential.binary:a.b=AP/+");
	expect_credential("foobar\n", 7, "io.systemd.credential.binary:a.b=Zm9vYmFyCg==");
}

static void test_oem_strings(void **state)
{
	static const char *const strings[] = {"first", "second=2", NULL};

	build();
	assert_int_equal(counts[11], 0);
	strbuf_deinit(&blob);
	blob = STRBUF_INIT(0x10000);
	facts.oem_strings = strings;
	build();
	assert_int_equal(counts[11], 1);
	assert_int_equal(found[11][4], 2);
	assert_string_equal(text(found[11], 1), "first");
	assert_string_equal(text(found[11], 2), "second=2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_entry_point, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_structure_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_it_says, setup, teardown),
		cmocka_unit_test_setup_teardown(test_much_memory_and_many_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_little_memory_is_one_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test_setup_teardown(test_oem_strings, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
