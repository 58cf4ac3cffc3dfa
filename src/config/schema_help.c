/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema as text for people: `--help` and the man page.
 */
#include "config/schema.h"

#include <string.h>
#include <strings.h>

#define CONFIG_HELP_WIDTH 96

static void config_describe_struct(
	const struct config_struct *schema, struct strbuf *out, unsigned int indent);

static const char *config_type_name(const struct config_field *f)
{
	if (f->meta)
		return f->meta;
	switch (f->kind) {
	case CONFIG_BOOL:
		return "on|off";
	case CONFIG_UINT:
		return "number";
	case CONFIG_STRUCT:
		return "key=value,...";
	case CONFIG_UNION:
		return "kind,key=value,...";
	case CONFIG_LIST:
		return "item,...";
	case CONFIG_STRING:
	case CONFIG_ENUM:
	case CONFIG_OBJECT:
		break;
	}
	return "text";
}

void config_describe_type(const struct config_field *f, struct strbuf *out)
{
	if (f->kind != CONFIG_ENUM) {
		strbuf_printf(out, "<%s>", config_type_name(f));
		return;
	}
	for (int i = 0; f->choices[i].name; i++)
		strbuf_printf(out, "%s%s", i ? "|" : "", f->choices[i].name);
}

void config_describe_wrapped(const char *text, struct strbuf *out, unsigned int indent)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > CONFIG_HELP_WIDTH) {
			strbuf_puts(out, "\n");
			column = 0;
		}
		strbuf_printf(out, "%*s%.*s", column ? 1 : (int)indent, "", (int)len, text);
		column += (column ? 1 : indent) + len;
		text += len;
		text += strspn(text, " ");
	}
	strbuf_puts(out, "\n");
}

/* The same with a bullet in front. */
static void config_describe_bullet(
	char bullet, const struct strbuf *text, struct strbuf *out, unsigned int indent)
{
	size_t start = out->len;

	config_describe_wrapped(strbuf_text(text), out, indent + 2);
	if (!out->failed)
		out->data[start + indent] = bullet;
}

/* Another spelling, but for what differs by its capitals only. */
static bool config_is_other(const char *alias, const char *name)
{
	return alias && strcasecmp(alias, name) != 0;
}

void config_describe_variant(const struct config_union *variants, int which, struct strbuf *out)
{
	const struct config_variant *v = &variants->variants[which];

	strbuf_puts(out, v->help);
	if (config_is_other(v->alias, v->name))
		strbuf_printf(out, " (also %s)", v->alias);
	if (which == variants->default_variant)
		strbuf_puts(out, " [default]");
}

static void config_describe_variants(
	const struct config_union *variants, struct strbuf *out, unsigned int indent)
{
	for (int i = 0; variants->variants[i].name; i++) {
		const struct config_variant *v = &variants->variants[i];
		auto_strbuf struct strbuf text = STRBUF_INIT(KIB(4));

		strbuf_printf(&text, "%s: ", v->name);
		config_describe_variant(variants, i, &text);
		config_describe_bullet('-', &text, out, indent);
		if (v->fields)
			config_describe_struct(v->fields, out, indent + 4);
	}
}

void config_describe_value(const struct config_field *f, struct strbuf *out, unsigned int indent)
{
	if (f->kind == CONFIG_STRUCT)
		config_describe_struct(f->fields, out, indent);
	else if (f->kind == CONFIG_UNION)
		config_describe_variants(f->variants, out, indent);
	else if (f->kind == CONFIG_LIST)
		config_describe_value(f->item, out, indent);
}

void config_describe_help(const struct config_field *f, const char *dashes, struct strbuf *out)
{
	strbuf_puts(out, f->help);
	if (f->alias)
		strbuf_printf(out, " (also %s%s)", dashes, f->alias);
	for (int i = 0; f->kind == CONFIG_ENUM && f->choices[i].name; i++) {
		if (config_is_other(f->choices[i].alias, f->choices[i].name))
			strbuf_printf(
				out, " (%s: also %s)", f->choices[i].name, f->choices[i].alias);
	}
	if (f->required)
		strbuf_puts(out, " [required]");
	else if (f->def)
		strbuf_printf(out, " [default: %s]", f->def);
}

static void config_describe_field(
	const struct config_field *f, struct strbuf *out, unsigned int indent)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(KIB(4));

	strbuf_printf(&text, "%s=", f->name);
	config_describe_type(f, &text);
	strbuf_puts(&text, ", ");
	config_describe_help(f, "", &text);
	config_describe_bullet('*', &text, out, indent);
	config_describe_value(f, out, indent + 4);
}

static void config_describe_struct(
	const struct config_struct *schema, struct strbuf *out, unsigned int indent)
{
	for (const struct config_field *f = schema->fields; f->name; f++)
		config_describe_field(f, out, indent);
}
