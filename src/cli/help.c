/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of `--help`.
 */
#include "cli/help.h"

#include "cli/check.h"
#include "cli/exit_status.h"
#include "cli/global.h"
#include "config/vm_config.h"

#define HELP_INDENT 10

const char cli_help_values[] =
	"A spec is key=value,key=value,... A value ends at a comma, and there are no quotes: what has "
	"a comma, or several keys of its own, goes through --object. Numbers may be 0x, 0o or 0b and "
	"end in k, m, g or t (2^10 to 2^40). Booleans are on, off, true, false.";

const char cli_help_signals[] =
	"SIGTERM, SIGINT and SIGHUP press the power button. A second one, or SIGQUIT, ends the VM at "
	"once. SIGUSR1 has the sizes of disks read again, after their files or devices were resized.";

static void help_option_names(const struct config_field *f, struct strbuf *out)
{
	if (f->letter)
		strbuf_printf(out, "  -%c, --%s", f->letter, f->name);
	else
		strbuf_printf(out, "      --%s", f->name);
	if (f->kind != CONFIG_BOOL) {
		strbuf_puts(out, config_is_switch(f) ? " [" : " ");
		config_describe_type(f, out);
		strbuf_puts(out, config_is_switch(f) ? "]" : "");
	}
	if (f->kind == CONFIG_LIST || f->kind == CONFIG_OBJECT)
		strbuf_puts(out, " (may be repeated)");
	strbuf_puts(out, "\n");
}

void cli_describe_options(const struct config_struct *schema, struct strbuf *out)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		auto_strbuf struct strbuf text = STRBUF_INIT(KIB(4));

		help_option_names(f, out);
		config_describe_help(f, "--", &text);
		config_describe_wrapped(strbuf_text(&text), out, HELP_INDENT);
		config_describe_value(f, out, HELP_INDENT);
	}
}

void cli_main_help(struct strbuf *out)
{
	strbuf_puts(out, "A virtual machine monitor for Linux KVM\n"
			 "\n"
			 "Usage: alioth [OPTIONS] COMMAND [ARGUMENTS]\n"
			 "\n"
			 "Commands:\n"
			 "  boot   boot a virtual machine (also: run)\n"
			 "  check  show what this host can do\n"
			 "\n"
			 "Options:\n");
	cli_describe_options(&cli_global_schema, out);
	strbuf_puts(out, "\nalioth COMMAND --help tells more.\n");
}

void cli_check_help(struct strbuf *out)
{
	strbuf_puts(out,
		"Show what this host can do, and run a small guest to see whether KVM really executes code\n"
		"\n"
		"Usage: alioth check [OPTIONS]\n"
		"\n"
		"Options:\n");
	cli_describe_options(&cli_check_schema, out);
	strbuf_puts(
		out, "\nExit status:\n  0  guests run here\n  1  they do not\n  2  wrong usage\n");
}

void cli_boot_help(struct strbuf *out)
{
	strbuf_puts(out, "Boot a virtual machine\n"
			 "\n"
			 "Usage: alioth [GLOBAL OPTIONS] boot [OPTIONS]\n"
			 "\n"
			 "Options:\n");
	cli_describe_options(&vm_config_schema, out);
	strbuf_puts(out, "  -h, --help\n          print this\n\nValues:\n");
	config_describe_wrapped(cli_help_values, out, 2);
	strbuf_puts(out, "\nSignals:\n");
	config_describe_wrapped(cli_help_signals, out, 2);
	strbuf_puts(out, "\nExit status:\n");
	for (int i = 0; i < CLI_STATUS_COUNT; i++)
		strbuf_printf(out, "  %d  %s\n", i, cli_status_text((enum cli_status)i));
}
