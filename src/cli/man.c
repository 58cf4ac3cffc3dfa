/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual pages as roff, for the build: see gen_man.c.
 */
#include "cli/help.h"

#include "cli/check.h"
#include "cli/exit_status.h"
#include "cli/global.h"
#include "config/vm_config.h"

static void man_value(const struct config_field *f, struct strbuf *out);

/* Text for roff: '-' is a minus sign, '\' itself, and a control character at a line's start is not
 * one. */
static void man_text(const char *text, struct strbuf *out)
{
	if (*text == '.' || *text == '\'')
		strbuf_puts(out, "\\&");
	for (; *text; text++) {
		if (*text == '-')
			strbuf_puts(out, "\\-");
		else if (*text == '\\')
			strbuf_puts(out, "\\e");
		else
			strbuf_append(out, text, 1);
	}
}

static void man_line(const char *text, struct strbuf *out)
{
	man_text(text, out);
	strbuf_puts(out, "\n");
}

static void man_help(const struct config_field *f, const char *dashes, struct strbuf *out)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(KIB(4));

	config_describe_help(f, dashes, &text);
	man_line(strbuf_text(&text), out);
}

static void man_type(const struct config_field *f, struct strbuf *out)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(KIB(4));

	config_describe_type(f, &text);
	strbuf_puts(out, "\\fI");
	man_text(strbuf_text(&text), out);
	strbuf_puts(out, "\\fR");
}

static void man_struct(const struct config_struct *schema, struct strbuf *out)
{
	strbuf_puts(out, ".RS\n");
	for (const struct config_field *f = schema->fields; f->name; f++) {
		strbuf_puts(out, ".TP\n\\fB");
		man_text(f->name, out);
		strbuf_puts(out, "\\fR=");
		man_type(f, out);
		strbuf_puts(out, "\n");
		man_help(f, "", out);
		man_value(f, out);
	}
	strbuf_puts(out, ".RE\n");
}

static void man_variant_help(const struct config_union *variants, int which, struct strbuf *out)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(KIB(4));

	config_describe_variant(variants, which, &text);
	man_line(strbuf_text(&text), out);
}

static void man_union(const struct config_union *variants, struct strbuf *out)
{
	strbuf_puts(out, ".RS\n");
	for (int i = 0; variants->variants[i].name; i++) {
		const struct config_variant *v = &variants->variants[i];

		strbuf_puts(out, ".TP\n\\fB");
		man_text(v->name, out);
		strbuf_puts(out, v->fields ? "\\fR,...\n" : "\\fR\n");
		man_variant_help(variants, i, out);
		if (v->fields)
			man_struct(v->fields, out);
	}
	strbuf_puts(out, ".RE\n");
}

/* What a value is made of. */
static void man_value(const struct config_field *f, struct strbuf *out)
{
	if (f->kind == CONFIG_STRUCT)
		man_struct(f->fields, out);
	else if (f->kind == CONFIG_UNION)
		man_union(f->variants, out);
	else if (f->kind == CONFIG_LIST)
		man_value(f->item, out);
}

static void man_options(const struct config_struct *schema, struct strbuf *out)
{
	for (const struct config_field *f = schema->fields; f->name; f++) {
		strbuf_puts(out, ".TP\n");
		if (f->letter)
			strbuf_printf(out, "\\fB\\-%c\\fR, ", f->letter);
		strbuf_puts(out, "\\fB\\-\\-");
		man_text(f->name, out);
		strbuf_puts(out, "\\fR");
		if (f->kind != CONFIG_BOOL) {
			strbuf_puts(out, config_is_switch(f) ? " [" : " ");
			man_type(f, out);
			strbuf_puts(out, config_is_switch(f) ? "]" : "");
		}
		strbuf_puts(out, "\n");
		man_help(f, "--", out);
		if (f->kind == CONFIG_LIST || f->kind == CONFIG_OBJECT)
			strbuf_puts(out, "May be repeated.\n");
		man_value(f, out);
	}
}

static void man_head(const char *name, const char *upper, const char *what, const char *synopsis,
	struct strbuf *out)
{
	strbuf_printf(
		out, ".TH %s 1 \"\" \"alioth %s\" \"User Commands\"\n", upper, alioth_version());
	strbuf_printf(out, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n%s\n", name, what, synopsis);
}

static void man_section(const char *title, const char *text, struct strbuf *out)
{
	strbuf_printf(out, ".SH %s\n", title);
	man_line(text, out);
}

void cli_main_man(struct strbuf *out)
{
	man_head("alioth", "ALIOTH", "a virtual machine monitor for Linux KVM",
		"\\fBalioth\\fR [\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]", out);
	strbuf_puts(out,
		".SH COMMANDS\n"
		".TP\n\\fBboot\\fR, \\fBrun\\fR\n"
		"Boot a virtual machine; see \\fBalioth\\-boot\\fR(1).\n"
		".TP\n\\fBcheck\\fR\n"
		"Show what this host can do, and run a small guest to see whether KVM really\n"
		"executes code. The exit status is 0 if guests run here, 1 if not.\n"
		".SH OPTIONS\n");
	man_options(&cli_global_schema, out);
	strbuf_puts(out, ".SH OPTIONS OF CHECK\n");
	man_options(&cli_check_schema, out);
	man_section("ENVIRONMENT",
		"ALIOTH_LOG and RUST_LOG are log specs for when --log-spec is not given; the first "
		"one that makes sense is used.",
		out);
	strbuf_puts(out, ".SH SEE ALSO\n\\fBalioth\\-boot\\fR(1)\n");
}

static void man_exit_status(struct strbuf *out)
{
	strbuf_puts(out, ".SH EXIT STATUS\n");
	for (int i = 0; i < CLI_STATUS_COUNT; i++) {
		strbuf_printf(out, ".TP\n%d\n", i);
		man_line(cli_status_text((enum cli_status)i), out);
	}
}

void cli_boot_man(struct strbuf *out)
{
	man_head("alioth\\-boot", "ALIOTH\\-BOOT", "boot a virtual machine",
		"\\fBalioth\\fR [\\fIglobal options\\fR] \\fBboot\\fR [\\fIoptions\\fR]", out);
	strbuf_puts(out, ".SH OPTIONS\n");
	man_options(&vm_config_schema, out);
	man_section("VALUES", cli_help_values, out);
	man_section("SIGNALS", cli_help_signals, out);
	man_exit_status(out);
	strbuf_puts(out,
		".SH EXAMPLES\n"
		".EX\n"
		"alioth boot \\-k vmlinuz \\-i initramfs \\-c console=ttyS0 \\-m size=512M \\-p count=2\n"
		"alioth boot \\-k vmlinuz \\-c 'root=/dev/vda' \\-\\-blk path=disk.img,readonly=on\n"
		"alioth boot \\-k vmlinuz \\-p count=4,topology=id_t \\-o id_t,smt=on,cores=2\n"
		".EE\n"
		".SH SEE ALSO\n\\fBalioth\\fR(1)\n");
}
