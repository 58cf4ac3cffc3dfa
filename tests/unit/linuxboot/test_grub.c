/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of grub.cfg files, of distributions' shape and hostile.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "bls.h"
#include "grub.h"

struct parsed {
	struct vars vars;
	struct boot_menu menu;
	int bls_at;
};

static struct parsed *parse_with(const char *env, const char *text)
{
	struct parsed *p = new0(struct parsed);

	assert_non_null(p);
	vars_load_env(&p->vars, env, strlen(env));
	p->bls_at = grub_parse(text, strlen(text), &p->vars, &p->menu);
	return p;
}

static struct parsed *parse(const char *text)
{
	return parse_with("", text);
}

static void parsed_free(struct parsed *p)
{
	boot_menu_deinit(&p->menu);
	vars_deinit(&p->vars);
	free(p);
}

/* The shape of what update-grub of Debian and Ubuntu writes. */
static const char debian[] =
	"# generated\n"
	"if [ -s $prefix/grubenv ]; then\n  set have_grubenv=true\n  load_env\nfi\n"
	"if [ \"${next_entry}\" ] ; then\n   set default=\"${next_entry}\"\n   set boot_once=true\n"
	"else\n   set default=\"${saved_entry}\"\nfi\n"
	"if [ x\"${feature_menuentry_id}\" = xy ]; then\n  menuentry_id_option=\"--id\"\n"
	"else\n  menuentry_id_option=\"\"\nfi\nexport menuentry_id_option\n"
	"function load_video {\n  if [ x$feature_all_video_module = xy ]; then\n    insmod all_video\n"
	"  else\n    insmod efi_gop\n  fi\n}\n"
	"menuentry 'Debian GNU/Linux' --class debian --class gnu-linux $menuentry_id_option 'simple-1' {\n"
	"\tload_video\n\tif [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi\n"
	"\tif [ x$feature_platform_search_hint = xy ]; then\n"
	"\t  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 1234-uuid\n\telse\n"
	"\t  search --no-floppy --fs-uuid --set=root other-uuid\n\tfi\n"
	"\techo\t'Loading Linux 6.1 ...'\n"
	"\tlinux\t/boot/vmlinuz-6.1 root=UUID=1234-uuid ro console=ttyS0 $vt_handoff\n"
	"\tinitrd\t/boot/microcode.img /boot/initrd.img-6.1\n}\n"
	"submenu 'Advanced options' $menuentry_id_option 'advanced-1' {\n"
	"\tmenuentry 'Linux 6.1' --class debian $menuentry_id_option 'six-one' {\n"
	"\t\tlinux /boot/vmlinuz-6.1 root=/dev/vda2\n\t}\n"
	"\tmenuentry 'Linux 6.1 (recovery mode)' $menuentry_id_option 'six-one-recovery' {\n"
	"\t\tlinux /boot/vmlinuz-6.1 root=/dev/vda2 single\n\t\tinitrd /boot/initrd.img-6.1\n\t}\n}\n"
	"if [ \"$grub_platform\" = \"efi\" ]; then\n\tmenuentry 'UEFI Firmware Settings' { fwsetup\n }\nfi\n";

static void test_menu_of_debian(void **state)
{
	struct parsed *p = parse_with(
		"# GRUB Environment Block\nsaved_entry=advanced-1>six-one-recovery\n####", debian);
	const struct boot_entry *e = p->menu.entries[0];

	assert_int_equal(p->menu.n, 3);
	assert_string_equal(e->title, "Debian GNU/Linux");
	assert_string_equal(e->id, "simple-1");
	assert_string_equal(e->position, "0");
	assert_string_equal(e->kernel, "/boot/vmlinuz-6.1");
	assert_string_equal(e->options, "root=UUID=1234-uuid ro console=ttyS0");
	assert_string_equal(e->fs_uuid, "1234-uuid");
	assert_int_equal(e->n_initrds, 2);
	assert_string_equal(e->initrds[1], "/boot/initrd.img-6.1");
	e = p->menu.entries[2];
	assert_string_equal(e->title, "Advanced options>Linux 6.1 (recovery mode)");
	assert_string_equal(e->position, "1>1");
	assert_int_equal(boot_menu_find(&p->menu, 0, vars_get(&p->vars, "default")), 2);
	assert_int_equal(boot_menu_find(&p->menu, 0, "1>0"), 1);
	assert_int_equal(boot_menu_find(&p->menu, 0, "Debian GNU/Linux"), 0);
	assert_int_equal(boot_menu_find(&p->menu, 0, "3"), -1);
	assert_int_equal(boot_menu_find(&p->menu, 0, ""), -1);
	parsed_free(p);
}

static void expect_found(const struct parsed *p, const char *const *names, int index)
{
	for (; *names; names++)
		assert_int_equal(boot_menu_find(&p->menu, 0, *names), index);
}

/* What GRUB's "default" may say: for each level a number, an id or a title. */
static void test_names_of_several_kinds(void **state)
{
	static const char *const second[] = {"1>1", "1>six-one-recovery", "advanced-1>1",
		"1>Linux 6.1 (recovery mode)", "Advanced options>six-one-recovery",
		"Advanced options>1", "advanced-1>Linux 6.1 (recovery mode)", NULL};
	static const char *const none[] = {"1", "1>", ">1", "1>1>0", "1>2", "0>six-one", "six-one",
		"Advanced options", "1>>1", ">", ">>", NULL};
	static const char *const arrow[] = {
		"0>0", "a >> b>c>>>>d", "0>c>>>>d", "a >> b>id>>", NULL};
	struct parsed *p = parse(debian);

	expect_found(p, second, 2);
	expect_found(p, none, -1);
	parsed_free(p);
	p = parse("submenu 'a > b' {\nmenuentry 'c>>d' --id 'id>' {\nlinux /k\n}\n}\n"
		  "menuentry '' {\nlinux /k\n}\n");
	expect_found(p, arrow, 0);
	assert_int_equal(boot_menu_find(&p->menu, 0, "a > b>c>>d"), -1);
	assert_int_equal(boot_menu_find(&p->menu, 0, "1"), 1);
	parsed_free(p);
}

/* An entry without --id has its title for one. */
static void test_the_title_is_an_id(void **state)
{
	struct parsed *p = parse("submenu a {\nmenuentry b --id c {\nlinux /k\n}\n}\n"
				 "submenu d --id e {\nmenuentry f {\nlinux /k\n}\n}\n");

	assert_string_equal(p->menu.entries[0]->id, "a>c");
	assert_string_equal(p->menu.entries[1]->id, "e>f");
	parsed_free(p);
}

/* Fedora's configuration has loader entries among its own. */
static void test_where_loader_entries_are(void **state)
{
	struct parsed *p =
		parse("menuentry a {\nlinux /a\n}\nfunction x {\nblscfg\n}\n"
		      "if [ a = b ]; then blscfg; fi\nsubmenu s {\n}\ninsmod blscfg\nblscfg\n"
		      "submenu b {\nmenuentry c {\nlinux /c\n}\n}\nblscfg\n");
	static const char *const names[] = {"a.conf", "b.conf"};

	assert_int_equal(p->bls_at, 2);
	for (unsigned int i = 0; i < 2; i++)
		bls_parse_entry("linux /k", 8, names[i], &p->vars, &p->menu);
	bls_sort(&p->menu, 2);
	bls_number(&p->menu, 0, 2, (unsigned int)p->bls_at);
	assert_int_equal(boot_menu_find(&p->menu, 0, "0"), 0);
	assert_int_equal(boot_menu_find(&p->menu, 0, "2>0"), -1);
	assert_int_equal(boot_menu_find(&p->menu, 0, "4>0"), 1);
	assert_int_equal(boot_menu_find(&p->menu, 0, "2"), 2);
	assert_int_equal(boot_menu_find(&p->menu, 0, "3"), 3);
	assert_string_equal(p->menu.entries[2]->id, "b");
	parsed_free(p);
	p = parse("menuentry a {\nlinux /a\n}\n");
	assert_int_equal(p->bls_at, -1);
	parsed_free(p);
}

/* Entries that start no Linux count for positions, but are not offered. */
static void test_positions_count_other_entries(void **state)
{
	struct parsed *p = parse(
		"set default=1\nmenuentry memtest { linux16 }\nmenuentry 'a b' {\nlinux /k\n}");

	assert_int_equal(p->menu.n, 1);
	assert_int_equal(boot_menu_find(&p->menu, 0, vars_get(&p->vars, "default")), 0);
	parsed_free(p);
}

static void test_quotes_and_variables(void **state)
{
	struct parsed *p = parse(
		"set a='x y'\nb=\"<$a>${a}\\\"\\$\"\n"
		"menuentry \"it's $a\" --id=me {\n"
		"  linux (hd0,gpt2)/k\\ 1 one=\"$b\" two=${none} 'three $a' \\\n  four # not this\n"
		"}\n");

	assert_int_equal(p->menu.n, 1);
	assert_string_equal(p->menu.entries[0]->title, "it's x y");
	assert_string_equal(p->menu.entries[0]->id, "me");
	assert_string_equal(p->menu.entries[0]->kernel, "/k 1");
	assert_string_equal(p->menu.entries[0]->options, "one=<x y>x y\"$ two= three $a four");
	parsed_free(p);
}

static void test_conditions(void **state)
{
	struct parsed *p = parse(
		"if [ a = b -o -n x ]; then set r=1; elif true; then set r=2; else set r=3; fi\n"
		"if [ a = b -a x ]; then set s=1; elif [ -z \"\" ]; then set s=2; else set s=3; fi\n"
		"if [ a = b ]; then if true; then set t=1; fi; else set t=3; fi\n"
		"if nonsense; then set u=1\nelif more nonsense\nthen set u=2\nfi\n"
		"if [ -e /x ]; then menuentry no { linux /no\n }\nfi\nmenuentry yes {\nlinux /yes\n}\n");

	assert_string_equal(vars_get(&p->vars, "r"), "1");
	assert_string_equal(vars_get(&p->vars, "s"), "2");
	assert_string_equal(vars_get(&p->vars, "t"), "3");
	assert_string_equal(vars_get(&p->vars, "u"), "");
	assert_int_equal(p->menu.n, 1);
	assert_string_equal(p->menu.entries[0]->title, "yes");
	parsed_free(p);
}

/* What follows a keyword in its line may be a keyword too, or open an entry. */
static void test_keywords_in_one_line(void **state)
{
	struct parsed *p = parse(
		"if [ a = b ]\nthen if true; then set r=1; fi\nelse set r=2\nfi\n"
		"if [ a = b ]; then set s=1\nelse if [ a = b ]; then set s=2; else set s=3; fi\nfi\n"
		"if [ a = b ]\nthen menuentry no {\nlinux /no\n}\nfi\n"
		"if true\nthen menuentry one {\nlinux /one\n}\nfi\n"
		"if [ a = b ]; then set t=1\nelse submenu more {\nmenuentry two {\nlinux /two\n}\n}\nfi\n"
		"if [ a = b ]; then\nelse menuentry three {\nif [ a = b ]\nthen if true; then linux /no; fi\n"
		"else if true\nthen linux /three\nfi\nfi\n}\nfi\n"
		"menuentry last {\nlinux /last\n}\n");

	assert_string_equal(vars_get(&p->vars, "r"), "2");
	assert_string_equal(vars_get(&p->vars, "s"), "3");
	assert_string_equal(vars_get(&p->vars, "t"), "");
	assert_int_equal(p->menu.n, 4);
	assert_string_equal(p->menu.entries[0]->title, "one");
	assert_string_equal(p->menu.entries[1]->position, "1>0");
	assert_string_equal(p->menu.entries[2]->kernel, "/three");
	assert_string_equal(p->menu.entries[3]->position, "3");
	parsed_free(p);
}

/* The file system of a search outside the entries is that of the entries that have none. */
static void test_search(void **state)
{
	struct parsed *p = parse("search.fs_uuid top root\nmenuentry a {\nlinux /k\n}\n"
				 "menuentry b {\nsearch --set=root -u own\nlinux /k\n}\n"
				 "menuentry c {\nsearch --label --set=root name\nlinux /k\n}\n");

	assert_int_equal(p->menu.n, 3);
	assert_string_equal(p->menu.entries[0]->fs_uuid, "top");
	assert_string_equal(p->menu.entries[1]->fs_uuid, "own");
	assert_string_equal(p->menu.entries[2]->fs_uuid, "top");
	parsed_free(p);
}

static void test_unfinished_text_gives_no_entry(void **state)
{
	static const char *const texts[] = {"", "menuentry", "menuentry {",
		"menuentry 'a' { linux /k", "menuentry 'a", "menuentry a {\nlinux /k \"", "}", "fi",
		"else", "if", "\\", "$", "${", "'", "}}}}fi",
		"submenu a {\nmenuentry b {\nlinux /k\n"};

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct parsed *p = parse(texts[i]);

		assert_int_equal(p->menu.n, 0);
		parsed_free(p);
	}
}

/* Repeats a text n times around a middle. */
static struct parsed *parse_many(
	const char *before, const char *middle, const char *after, unsigned int n)
{
	struct strbuf text = STRBUF_INIT(64U << 20);
	struct parsed *p;

	for (unsigned int i = 0; i < n; i++)
		strbuf_puts(&text, before);
	strbuf_puts(&text, middle);
	for (unsigned int i = 0; i < n; i++)
		strbuf_puts(&text, after);
	assert_false(text.failed);
	p = parse(strbuf_text(&text));
	strbuf_deinit(&text);
	return p;
}

/* The rest of the block is filled up. */
static void remove_next(const char *before, const char *after, bool found)
{
	char text[128];
	size_t len = strlen(before);

	(void)snprintf(text, sizeof(text), "%s", before);
	assert_int_equal(vars_remove_env(text, len, "next_entry"), found);
	assert_memory_equal(text, after, strlen(after));
	assert_int_equal(strspn(text + strlen(after), "#"), len - strlen(after));
}

static void test_forgetting_a_variable_of_the_environment(void **state)
{
#define HEAD "# GRUB Environment Block\n"
	remove_next(HEAD "a=1\nnext_entry=x y\nb=2\n####", HEAD "a=1\nb=2\n", true);
	remove_next(HEAD "next_entry=\nnext_entry=2\n##", HEAD, true);
	remove_next(HEAD "next_entry=", HEAD, true);
	remove_next(HEAD "next_entry", HEAD "next_entry", false);
	remove_next(HEAD "a=next_entry=1\nnext_entry2=1\n#", HEAD "a=next_entry=1\nnext_entry2=1\n",
		false);
	remove_next(HEAD, HEAD, false);
	remove_next("next_entry=1\n", "next_entry=1\n", false);
	remove_next("", "", false);
#undef HEAD
}

static void test_limits(void **state)
{
	/* Blocks beyond the limit are read over, and those after them are found. */
	struct parsed *p =
		parse_many("submenu x {\n", "menuentry deep {\nlinux /k\n}\n", "}\n", 10000);

	assert_int_equal(p->menu.n, 0);
	parsed_free(p);
	p = parse_many("if true; then\n", "", "fi\n", 10000);
	parsed_free(p);
	p = parse_many("menuentry a {\nlinux /k\n}\n", "", "", 1000);
	assert_int_equal(p->menu.n, BOOT_ENTRIES_MAX);
	parsed_free(p);
	/* A variable that grows, and more of them than there is room for. */
	p = parse_many("set a=$a$a$a$ab\nset a=x$a$a\n", "menuentry a {\nlinux /k\n}\n", "", 1000);
	assert_true(strlen(vars_get(&p->vars, "a")) <= VARS_VALUE_MAX);
	assert_int_equal(p->menu.n, 1);
	parsed_free(p);
	/* A command line that is too long is not cut short: that would be another system. */
	p = parse_many("menuentry a {\nlinux /k ", "", " 0123456789", 300);
	assert_int_equal(p->menu.n, 0);
	parsed_free(p);
}

static void test_long_command_lines(void **state)
{
	for (unsigned int len = 2040; len < 5000; len += 7) {
		auto_strbuf struct strbuf text = STRBUF_INIT(8192);
		struct parsed *p;

		strbuf_puts(&text, "menuentry a {\nlinux /k ");
		for (unsigned int i = 0; i < len; i++)
			strbuf_puts(&text, "x");
		strbuf_puts(&text, "\n}\n");
		p = parse(strbuf_text(&text));
		assert_int_equal(p->menu.n, len < BOOT_OPTIONS_MAX);
		parsed_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_menu_of_debian),
		cmocka_unit_test(test_names_of_several_kinds),
		cmocka_unit_test(test_the_title_is_an_id),
		cmocka_unit_test(test_where_loader_entries_are),
		cmocka_unit_test(test_positions_count_other_entries),
		cmocka_unit_test(test_quotes_and_variables),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_keywords_in_one_line),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_unfinished_text_gives_no_entry),
		cmocka_unit_test(test_forgetting_a_variable_of_the_environment),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_long_command_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
