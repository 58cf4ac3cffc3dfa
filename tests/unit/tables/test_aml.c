/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "tables/acpi/aml.h"

#define LIMIT (1u << 21)

static struct strbuf sb;

static int setup(void **state)
{
	sb = STRBUF_INIT(LIMIT);
	return 0;
}

static int teardown(void **state)
{
	strbuf_deinit(&sb);
	return 0;
}

/* The buffer holds exactly these bytes; empties it. */
#define assert_bytes(...)                                                                          \
	do {                                                                                       \
		static const uint8_t expected_[] = {__VA_ARGS__};                                  \
		assert_false(sb.failed);                                                           \
		assert_int_equal(sb.len, sizeof(expected_));                                       \
		assert_memory_equal(sb.data, expected_, sizeof(expected_));                        \
		sb.len = 0;                                                                        \
	} while (0)

static void test_integers_take_the_least_room(void **state)
{
	aml_int(&sb, 0);
	assert_bytes(0x00);
	aml_int(&sb, 1);
	assert_bytes(0x01);
	aml_int(&sb, 2);
	assert_bytes(0x0a, 0x02);
	aml_int(&sb, 0xff);
	assert_bytes(0x0a, 0xff);
	aml_int(&sb, 0x100);
	assert_bytes(0x0b, 0x00, 0x01);
	aml_int(&sb, 0xffff);
	assert_bytes(0x0b, 0xff, 0xff);
	aml_int(&sb, 0x10000);
	assert_bytes(0x0c, 0x00, 0x00, 0x01, 0x00);
	aml_int(&sb, 0xffffffff);
	assert_bytes(0x0c, 0xff, 0xff, 0xff, 0xff);
	aml_int(&sb, 0x100000000);
	assert_bytes(0x0e, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00);
}

static void test_names_are_padded_and_paths_prefixed(void **state)
{
	aml_path(&sb, "A");
	assert_bytes('A', '_', '_', '_');
	aml_path(&sb, "\\_SB");
	assert_bytes('\\', '_', 'S', 'B', '_');
	aml_path(&sb, "\\_SB.PCI0");
	assert_bytes('\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0');
	aml_path(&sb, "A.BB.CCC");
	assert_bytes(0x2f, 3, 'A', '_', '_', '_', 'B', 'B', '_', '_', 'C', 'C', 'C', '_');
}

static void test_strings_and_ids(void **state)
{
	aml_string(&sb, "AB");
	assert_bytes(0x0d, 'A', 'B', 0);
	aml_eisa(&sb, "PNP0501");
	assert_bytes(0x0c, 0x41, 0xd0, 0x05, 0x01);
	aml_eisa(&sb, "PNP0C0C");
	assert_bytes(0x0c, 0x41, 0xd0, 0x0c, 0x0c);
	aml_name_int(&sb, "_UID", 7);
	assert_bytes(0x08, '_', 'U', 'I', 'D', 0x0a, 7);
	aml_buffer(&sb, "\1\2", 2);
	assert_bytes(0x11, 0x05, 0x0a, 0x02, 1, 2);
}

/* PkgLength as the specification reads it (ACPI 6.5, 20.2.4); the bytes that it takes. */
static unsigned int decode_length(const uint8_t *p, size_t *ret_length)
{
	unsigned int more = p[0] >> 6;

	*ret_length = more ? p[0] & 0xf : p[0] & 0x3f;
	for (unsigned int i = 1; i <= more; i++)
		*ret_length |= (size_t)p[i] << (4 + 8 * (i - 1));
	return more + 1;
}

/* A scope with `fill` bytes of content behind its name has the one length that is right. */
static void check_length(size_t fill, unsigned int expected_size)
{
	struct aml_mark scope = aml_open_scope(&sb, "ABCD");
	size_t length;
	unsigned int size;

	strbuf_append_zero(&sb, fill);
	aml_close(&sb, scope);
	assert_false(sb.failed);
	assert_int_equal(sb.data[0], 0x10);
	size = decode_length((const uint8_t *)sb.data + 1, &length);
	assert_int_equal(size, expected_size);
	assert_int_equal(length, sb.len - 1);
	assert_int_equal(sb.len, 1 + size + 4 + fill);
	assert_memory_equal(sb.data + 1 + size, "ABCD", 4);
	sb.len = 0;
}

static void test_lengths_at_every_boundary(void **state)
{
	check_length(0, 1);
	check_length(0x3f - 1 - 4, 1); /* 63 */
	check_length(0x40 - 1 - 4, 2); /* one byte could not say 64 */
	check_length(0xfff - 2 - 4, 2);
	check_length(0x1000 - 2 - 4, 3);
	check_length(0xfffff - 3 - 4, 3);
	check_length(0x100000 - 3 - 4, 4);
	for (size_t fill = 0; fill < 70; fill++)
		check_length(fill, fill + 4 + 1 <= 0x3f ? 1 : 2);
}

static void test_nested_constructs_count_their_contents_lengths(void **state)
{
	struct aml_mark device = aml_open_device(&sb, "DEV");
	struct aml_mark method = aml_open_method(&sb, "_STA", 2, true);
	struct aml_mark branch;

	branch = aml_open_if(&sb);
	aml_arg(&sb, 1);
	aml_op_return(&sb);
	aml_int(&sb, 15);
	aml_close(&sb, branch);
	aml_close(&sb, method);
	aml_close(&sb, device);
	assert_bytes(0x5b, 0x82, 0x12, 'D', 'E', 'V', '_', 0x14, 0x0c, '_', 'S', 'T', 'A', 0x0a,
		0xa0, 0x05, 0x69, 0xa4, 0x0a, 0x0f);
}

static void test_packages_regions_and_operators(void **state)
{
	struct aml_mark package = aml_open_package(&sb, 2);

	aml_int(&sb, 0);
	aml_int(&sb, 5);
	aml_close(&sb, package);
	assert_bytes(0x12, 0x05, 2, 0x00, 0x0a, 0x05);
	aml_io_field32(&sb, "REGN", 0x60c, "FLD");
	assert_bytes(0x5b, 0x80, 'R', 'E', 'G', 'N', 1, 0x0b, 0x0c, 0x06, 0x0a, 0x04, 0x5b, 0x81,
		0x0b, 'R', 'E', 'G', 'N', 0x43, 'F', 'L', 'D', '_', 32);
	aml_op_store(&sb);
	aml_local(&sb, 0);
	aml_arg(&sb, 6);
	assert_bytes(0x70, 0x60, 0x6e);
}

/* A template's bytes without the Name, the buffer around it and the end tag. */
static void check_resource(struct strbuf *res, const uint8_t *expected, size_t len)
{
	assert_false(res->failed);
	assert_int_equal(res->len, len);
	assert_memory_equal(res->data, expected, len);
	strbuf_deinit(res);
}

#define assert_resource(...)                                                                       \
	check_resource(&res, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_resource_descriptors(void **state)
{
	struct strbuf res = STRBUF_INIT(256);

	aml_res_io(&res, 0x3f8, 8);
	assert_resource(0x47, 1, 0xf8, 0x03, 0xf8, 0x03, 1, 8);
	aml_res_irq_legacy(&res, 4);
	assert_resource(0x22, 0x10, 0x00);
	aml_res_interrupt(&res, 0x109, true);
	assert_resource(0x89, 6, 0, 0x01, 1, 0x09, 0x01, 0, 0);
	aml_res_interrupt(&res, 9, false);
	assert_resource(0x89, 6, 0, 0x03, 1, 9, 0, 0, 0);
	aml_res_mem32_fixed(&res, 0xe0000000, 0x10000000);
	assert_resource(0x86, 9, 0, 1, 0, 0, 0, 0xe0, 0, 0, 0, 0x10);
	aml_res_bus_window(&res, 0, 255);
	assert_resource(0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 1);
	aml_res_io_window(&res, 0x1000, 0xffff);
	assert_resource(0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0, 0x10, 0xff, 0xff, 0, 0, 0, 0xf0);
	aml_res_mem32_window(&res, 0x80000000, 0xdfffffff);
	assert_resource(0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xdf,
		0, 0, 0, 0, 0, 0, 0, 0x60);
	aml_res_mem64_window(&res, 0x100000000, 0x1ffffffff);
	assert_resource(0x8a, 43, 0, 0, 0x0c, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
		0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0);
	aml_res_io(&res, 0x10, 1);
	aml_name_crs(&sb, &res);
	assert_bytes(0x08, '_', 'C', 'R', 'S', 0x11, 0x0d, 0x0a, 0x0a, 0x47, 1, 0x10, 0, 0x10, 0, 1,
		1, 0x79, 0);
	assert_null(res.data);
}

static void test_a_full_buffer_is_remembered(void **state)
{
	struct strbuf small = STRBUF_INIT(6);
	struct strbuf res = STRBUF_INIT(4);
	struct aml_mark scope = aml_open_scope(&small, "ABCD");

	aml_close(&small, scope); /* just fits */
	assert_false(small.failed);
	aml_int(&small, 0);
	assert_true(small.failed);
	strbuf_deinit(&small);
	aml_res_io(&res, 0, 1); /* a template that did not fit fails what it goes into */
	aml_name_crs(&sb, &res);
	assert_true(sb.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_integers_take_the_least_room, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_names_are_padded_and_paths_prefixed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strings_and_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths_at_every_boundary, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_nested_constructs_count_their_contents_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_packages_regions_and_operators, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resource_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_full_buffer_is_remembered, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
