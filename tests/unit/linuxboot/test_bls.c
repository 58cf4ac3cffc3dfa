/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loader entries, as systemd-boot and Fedora have them.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "bls.h"

static void add(struct boot_menu *menu, const char *name, const char *text)
{
	struct vars vars = {0};

	vars_load_env(&vars, "kernelopts=root=/dev/vda3 ro\n", 29);
	bls_parse_entry(text, strlen(text), name, &vars, menu);
	vars_deinit(&vars);
}

static void test_entry_of_fedora(void **state)
{
	struct boot_menu menu = {0};
	const struct boot_entry *e;

	add(&menu, "0123-6.9.conf",
		"title Fedora Linux (6.9)\nversion 6.9\nlinux /vmlinuz-6.9\ninitrd /initramfs-6.9.img $tuned_initrd\n"
		"options $kernelopts quiet $tuned_params\ngrub_users $grub_users\n");
	assert_int_equal(menu.n, 1);
	e = menu.entries[0];
	assert_string_equal(e->title, "Fedora Linux (6.9)");
	assert_string_equal(e->id, "0123-6.9");
	assert_string_equal(e->kernel, "/vmlinuz-6.9");
	assert_int_equal(e->n_initrds, 1);
	assert_string_equal(e->options, "root=/dev/vda3 ro quiet ");
	boot_menu_deinit(&menu);
}

static void test_entry_of_systemd_boot(void **state)
{
	struct boot_menu menu = {0};

	add(&menu, "debian+2-1.conf",
		"# comment\r\n\n  linux\t/debian/linux\r\ninitrd /ucode.img\ninitrd /debian/initrd\noptions a\noptions b c");
	assert_int_equal(menu.n, 1);
	assert_string_equal(menu.entries[0]->title, "debian");
	assert_string_equal(menu.entries[0]->kernel, "/debian/linux");
	assert_string_equal(menu.entries[0]->options, "a b c");
	assert_int_equal(menu.entries[0]->n_initrds, 2);
	boot_menu_deinit(&menu);
}

static void test_newest_version_is_first(void **state)
{
	struct boot_menu menu = {0};

	add(&menu, "a.conf", "title a\nversion 6.9.2\nlinux /a");
	add(&menu, "b.conf", "title b\nversion 6.10.1\nlinux /b");
	add(&menu, "c.conf", "title c\nlinux /c");
	bls_sort(&menu, 0);
	assert_string_equal(menu.entries[0]->title, "b");
	assert_string_equal(menu.entries[1]->title, "a");
	assert_int_equal(boot_menu_find(&menu, 0, "a*"), 1);
	assert_int_equal(boot_menu_find(&menu, 2, "a*"), -1);
	boot_menu_deinit(&menu);
}

struct named_entry {
	const char *name;
	const char *text;
};

/* ids: as many, in the order that is expected. */
static void expect_order(const struct named_entry *entries, unsigned int n, const char *const *ids)
{
	struct boot_menu menu = {0};

	for (unsigned int i = 0; i < n; i++)
		add(&menu, entries[i].name, entries[i].text);
	bls_sort(&menu, 0);
	assert_int_equal(menu.n, n);
	for (unsigned int i = 0; i < n; i++)
		assert_string_equal(menu.entries[i]->id, ids[i]);
	boot_menu_deinit(&menu);
}

/* Boot Loader Specification, "Sorting". */
static void test_sort_keys_come_before_versions(void **state)
{
	static const struct named_entry entries[] = {
		{"older.conf", "version 8\nlinux /k"},
		{"newest.conf", "version 9\nlinux /k"},
		{"debian-old.conf", "sort-key debian\nmachine-id c\nversion 6.9\nlinux /k"},
		{"debian-new.conf", "sort-key debian\nmachine-id c\nversion 6.10\nlinux /k"},
		{"debian-b.conf", "sort-key debian\nmachine-id b\nversion 1\nlinux /k"},
		{"arch-old.conf", "sort-key arch\nversion 1\nlinux /k"},
	};
	static const char *const ids[] = {
		"arch-old", "debian-b", "debian-new", "debian-old", "newest", "older"};

	expect_order(entries, 6, ids);
}

static void test_entries_without_tries_left_are_last(void **state)
{
	static const struct named_entry entries[] = {
		{"new+0-3.conf", "version 9\nlinux /k"},
		{"x+00.conf", "version 1\nlinux /k"},
		{"b+3.conf", "version 5\nlinux /k"},
		{"c+2-1.conf", "version 4\nlinux /k"},
		/* No counters. */
		{"a+.conf", "version 8\nlinux /k"},
		{"a+x.conf", "version 7\nlinux /k"},
		{"a+1-.conf", "version 6\nlinux /k"},
		{"a+-1.conf", "version 3\nlinux /k"},
	};
	static const char *const ids[] = {"a+", "a+x", "a+1-", "b", "c", "a+-1", "new", "x"};

	expect_order(entries, 8, ids);
}

/* With the ending, as systemd-boot's loader.conf and bootctl have it, or without. */
static void test_names_of_files(void **state)
{
	static const char *const names[] = {
		"b[1]", "b[1].conf", "b*", "b*.conf", "?[[]1].conf", "[!a]*.conf"};
	struct boot_menu menu = {0};

	add(&menu, "a.conf", "linux /a");
	add(&menu, "b[1].conf", "linux /b");
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(boot_menu_find(&menu, 0, names[i]), 1);
	assert_int_equal(boot_menu_find(&menu, 0, "a.conf"), 0);
	assert_int_equal(boot_menu_find(&menu, 0, "a.con"), -1);
	assert_int_equal(boot_menu_find(&menu, 0, "a.conf.conf"), -1);
	assert_int_equal(boot_menu_find(&menu, 0, ".conf"), -1);
	boot_menu_deinit(&menu);
}

static void test_what_is_no_entry(void **state)
{
	static const char *const texts[] = {
		"", "title a", "linux", "efi /EFI/x.efi", "linux/k", "\n\n#linux /k"};
	struct boot_menu menu = {0};
	char *longest = malloc(4096);

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		add(&menu, "x.conf", texts[i]);
	assert_non_null(longest);
	memset(longest, 'x', 4095);
	longest[4095] = 0;
	memcpy(longest, "linux /k\noptions ", 17);
	add(&menu, "x.conf", longest);
	free(longest);
	assert_int_equal(menu.n, 0);
}

static void test_default_of_loader_conf(void **state)
{
	static const char text[] = "#default x\ntimeout 3\n default  debian-*.conf \n";
	char *value = bls_parse_default(text, sizeof(text) - 1);

	assert_string_equal(value, "debian-*.conf");
	free(value);
	assert_null(bls_parse_default("default\n", 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_of_fedora),
		cmocka_unit_test(test_entry_of_systemd_boot),
		cmocka_unit_test(test_newest_version_is_first),
		cmocka_unit_test(test_sort_keys_come_before_versions),
		cmocka_unit_test(test_entries_without_tries_left_are_last),
		cmocka_unit_test(test_names_of_files),
		cmocka_unit_test(test_what_is_no_entry),
		cmocka_unit_test(test_default_of_loader_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
