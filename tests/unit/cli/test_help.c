/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The help and the manual pages hold every option, key and exit status.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/exit_status.h"
#include "cli/global.h"
#include "cli/help.h"
#include "config/vm_config.h"
#include "unit.h"

static void contains(const struct strbuf *text, const char *part)
{
	if (!strstr(strbuf_text(text), part))
		fail_msg("'%s' is not in the text", part);
}

/* As roff writes a name. */
static const char *escaped(const char *name, char *buf, size_t size)
{
	size_t len = 0;

	for (; *name && len + 3 < size; name++) {
		if (*name == '-')
			buf[len++] = '\\';
		buf[len++] = *name;
	}
	buf[len] = '\0';
	return buf;
}

static void check_options(
	const struct config_struct *schema, const struct strbuf *help, const struct strbuf *man)
{
	char buf[128];
	char name[64];

	for (const struct config_field *f = schema->fields; f->name; f++) {
		(void)snprintf(name, sizeof(name), "--%s", f->name);
		contains(help, name);
		contains(man, escaped(name, buf, sizeof(buf)));
		if (!f->letter)
			continue;
		(void)snprintf(name, sizeof(name), "-%c, --%s", f->letter, f->name);
		contains(help, name);
	}
}

static void test_boot(void **state)
{
	auto_strbuf struct strbuf help = STRBUF_INIT(MIB(1));
	auto_strbuf struct strbuf man = STRBUF_INIT(MIB(1));
	static const char *const parts[] = {"* count=<number>, vCPUs [default: 1]",
		"* topology=<key=value,...>", "    * smt=<on|off>", "* backend=anon|memfd",
		"- log: ", "-f, --firmware <spec>\n", "--balloon [<spec>]",
		"no output, no input (also off)", "(io_uring: also iouring)",
		"[default: passt, looked", "* path=<path>, file to write [required]", "(also thp)",
		"(also --cmd-line)", "--blk <spec> (may be repeated)", "- file: "};

	cli_boot_help(&help);
	cli_boot_man(&man);
	assert_false(help.failed || man.failed);
	check_options(&vm_config_schema, &help, &man);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		contains(&help, parts[i]);
	for (int i = 0; i < CLI_STATUS_COUNT; i++)
		contains(&help, cli_status_text((enum cli_status)i));
}

static void test_main(void **state)
{
	auto_strbuf struct strbuf help = STRBUF_INIT(MIB(1));
	auto_strbuf struct strbuf man = STRBUF_INIT(MIB(1));

	cli_main_help(&help);
	cli_main_man(&man);
	assert_false(help.failed || man.failed);
	check_options(&cli_global_schema, &help, &man);
	contains(&help, "check");
	contains(&man, ".TH ALIOTH 1");
	contains(&man, "\\fB\\-\\-json\\fR");
	contains(&man, "\\fB\\-\\-device\\fR");
}

static void test_lines_are_not_too_long(void **state)
{
	auto_strbuf struct strbuf help = STRBUF_INIT(MIB(1));
	char *rest;
	char *line;

	cli_boot_help(&help);
	rest = help.data;
	while ((line = strsep(&rest, "\n")))
		assert_in_range(strlen(line), 0, 96);
}

static void test_each_end_has_its_status(void **state)
{
	assert_int_equal(cli_status_of_end(ALIOTH_END_POWER_OFF), 0);
	assert_int_equal(cli_status_of_end(ALIOTH_END_ERROR), 3);
	assert_int_equal(cli_status_of_end(ALIOTH_END_PANIC), 4);
	assert_int_equal(cli_status_of_end(ALIOTH_END_TRIPLE_FAULT), 5);
	assert_int_equal(cli_status_of_end(ALIOTH_END_RESET), 6);
	assert_int_equal(cli_status_of_end(ALIOTH_END_STOPPED), 7);
	assert_int_equal(cli_status_of_end(ALIOTH_END_CONSOLE), 8);
	assert_int_equal(cli_status_of_end(ALIOTH_END_WATCHDOG), 9);
	/* A cause that a later library adds. */
	assert_int_equal(cli_status_of_end((enum alioth_end_cause)99), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot),
		cmocka_unit_test(test_main),
		cmocka_unit_test(test_lines_are_not_too_long),
		cmocka_unit_test(test_each_end_has_its_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
