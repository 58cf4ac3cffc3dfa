/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unified kernel images: what their headers say, and the entry that comes of it.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "uki.h"

#define PE_AT    128
#define SECTIONS (PE_AT + 24 + 16)

static uint8_t image[1024];

static void add_section(const char *name, uint32_t memory, uint32_t size, uint32_t at)
{
	uint16_t n = load_le16(image + PE_AT + 6);
	uint8_t *header = image + SECTIONS + (size_t)n * 40;

	memcpy(header, name, strnlen(name, 8));
	store_le32(header + 8, memory);
	store_le32(header + 16, size);
	store_le32(header + 20, at);
	store_le16(image + PE_AT + 6, (uint16_t)(n + 1));
}

static int setup(void **state)
{
	memset(image, 0, sizeof(image));
	memcpy(image, "MZ", 2);
	store_le32(image + 0x3c, PE_AT);
	memcpy(image + PE_AT, "PE\0\0", 4);
	store_le16(image + PE_AT + 20, 16);
	add_section(".text", 100, 512, 1024);
	add_section(".linux", 9000, 9216, 4096);
	add_section(".initrd", 70000, 70144, 16384);
	return 0;
}

static void test_sections(void **state)
{
	struct uki uki;

	add_section(".linux", 1, 1, 1); /* of another profile */
	add_section(".cmdline", 10, 512, 2048);
	assert_true(uki_parse(image, sizeof(image), &uki));
	assert_int_equal(uki.kernel.offset, 4096);
	assert_int_equal(uki.kernel.size, 9000);
	assert_int_equal(uki.initrd.size, 70000);
	assert_int_equal(uki.cmdline.offset, 2048);
	assert_int_equal(uki.ucode.size, 0);
	/* No more of the file than the section has there. */
	setup(NULL);
	store_le32(image + SECTIONS + 40 + 8, UINT32_MAX);
	assert_true(uki_parse(image, sizeof(image), &uki));
	assert_int_equal(uki.kernel.size, 9216);
}

static void test_what_is_no_image(void **state)
{
	struct uki uki;

	for (size_t len = 0; len < SECTIONS + 80; len++)
		assert_false(uki_parse(image, len, &uki));
	assert_true(uki_parse(image, SECTIONS + 80, &uki));
	store_le32(image + 0x3c, UINT32_MAX);
	assert_false(uki_parse(image, sizeof(image), &uki));
	store_le32(image + 0x3c, sizeof(image) - 8);
	assert_false(uki_parse(image, sizeof(image), &uki));
	setup(NULL);
	store_le16(image + PE_AT + 20, 0xffff);
	assert_false(uki_parse(image, sizeof(image), &uki));
	setup(NULL);
	store_le16(image + PE_AT + 6, 0xffff);
	assert_true(uki_parse(image, sizeof(image), &uki));
	image[PE_AT] = 'p';
	assert_false(uki_parse(image, sizeof(image), &uki));
}

static const struct uki whole = {.kernel = {1, 2}, .ucode = {3, 4}, .initrd = {5, 6}};

static void test_entry(void **state)
{
	struct boot_menu menu = {0};
	const struct boot_entry *e;

	uki_add_entry(&whole,
		&(struct uki_texts){.cmdline = (char[]){"root=/dev/vda2 quiet\n"},
			.uname = (char[]){"6.12\n"},
			.osrel = (char[]){"X_PRETTY_NAME=no\nPRETTY_NAME=\"An OS (7)\"\nID=os\n"}},
		"/EFI/Linux/os-6.12.efi", &menu);
	assert_int_equal(menu.n, 1);
	e = menu.entries[0];
	assert_string_equal(e->title, "An OS (7)");
	assert_string_equal(e->id, "os-6.12.efi");
	assert_string_equal(e->sort_key, "os");
	assert_false(e->is_spent);
	assert_string_equal(e->version, "6.12");
	assert_string_equal(e->options, "root=/dev/vda2 quiet");
	assert_string_equal(e->kernel, "/EFI/Linux/os-6.12.efi");
	assert_int_equal(e->kernel_part.size, 2);
	assert_int_equal(e->n_initrds, 2);
	assert_int_equal(e->initrd_parts[0].offset, 3);
	assert_int_equal(e->initrd_parts[1].offset, 5);
	boot_menu_deinit(&menu);
}

static void test_entry_without_texts(void **state)
{
	struct uki_texts texts = {
		.cmdline = (char[]){""}, .uname = (char[]){""}, .osrel = (char[]){""}};
	const struct uki alone = {.kernel = {1, 2}};
	struct boot_menu menu = {0};

	uki_add_entry(&alone, &texts, "/EFI/Linux/a.efi", &menu);
	assert_int_equal(menu.n, 1);
	assert_string_equal(menu.entries[0]->title, "a.efi");
	assert_int_equal(menu.entries[0]->n_initrds, 0);
	assert_null(menu.entries[0]->sort_key);
	boot_menu_deinit(&menu);
}

static void test_tries_are_counted_in_names(void **state)
{
	struct uki_texts texts = {.cmdline = (char[]){""},
		.uname = (char[]){""},
		.osrel = (char[]){"ID=os\nIMAGE_ID='image'\n"}};
	struct boot_menu menu = {0};

	uki_add_entry(&whole, &texts, "/EFI/Linux/a+0-3.efi", &menu);
	uki_add_entry(&whole, &texts, "/EFI/Linux/b+2.efi", &menu);
	assert_int_equal(menu.n, 2);
	assert_string_equal(menu.entries[0]->id, "a.efi");
	assert_string_equal(menu.entries[0]->kernel, "/EFI/Linux/a+0-3.efi");
	assert_string_equal(menu.entries[0]->sort_key, "image");
	assert_true(menu.entries[0]->is_spent);
	assert_string_equal(menu.entries[1]->id, "b.efi");
	assert_false(menu.entries[1]->is_spent);
	boot_menu_deinit(&menu);
}

/* A command line that is too long is not cut short: that would be another system. */
static void test_long_command_lines(void **state)
{
	char cmdline[BOOT_OPTIONS_MAX + 1] = {0};
	struct uki_texts texts = {.cmdline = cmdline, .uname = (char[]){""}, .osrel = (char[]){""}};
	struct boot_menu menu = {0};

	memset(cmdline, 'x', BOOT_OPTIONS_MAX);
	uki_add_entry(&whole, &texts, "a", &menu);
	assert_int_equal(menu.n, 0);
	cmdline[BOOT_OPTIONS_MAX - 1] = '\n';
	uki_add_entry(&whole, &texts, "a", &menu);
	assert_int_equal(menu.n, 1);
	boot_menu_deinit(&menu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sections, setup),
		cmocka_unit_test_setup(test_what_is_no_image, setup),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_entry_without_texts),
		cmocka_unit_test(test_tries_are_counted_in_names),
		cmocka_unit_test(test_long_command_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
