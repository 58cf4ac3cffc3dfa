/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema as text for people: `--help` and the man page.
 */
#include "config/schema.h"

#include <string.h>

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
	case CONFIG_STRING:
		return "text";
	case CONFIG_ENUM:
		return "choice";
	case CONFIG_STRUCT:
		return "key=value,...";
	case CONFIG_UNION:
		return "kind,key=value,...";
	case CONFIG_LIST:
		break;
	}
	return "list";
}

static void config_describe_type(const struct config_field *f, struct strbuf *out)
{
	if (f->kind != CONFIG_ENUM) {
		strbuf_printf(out, "<%s>", config_type_name(f));
		return;
	}
	for (int i = 0; f->choices[i]; i++)
		strbuf_printf(out, "%s%s", i ? "|" : "", f->choices[i]);
}

static void config_describe_variants(
	const struct config_union *variants, struct strbuf *out, unsigned int indent)
{
	for (int i = 0; variants->variants[i].name; i++) {
		const struct config_variant *v = &variants->variants[i];

		strbuf_printf(out, "%*s- %s: %s%s\n", (int)indent, "", v->name, v->help,
			i == variants->default_variant ? " [default]" : "");
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
	else if (f->kind == CONFIG_LIST && f->item->kind == CONFIG_UNION)
		config_describe_variants(f->item->variants, out, indent);
}

static void config_describe_field(
	const struct config_field *f, struct strbuf *out, unsigned int indent)
{
	strbuf_printf(out, "%*s* %s=", (int)indent, "", f->name);
	config_describe_type(f, out);
	strbuf_printf(out, ", %s", f->help);
	if (f->alias)
		strbuf_printf(out, " (also %s)", f->alias);
	if (f->required)
		strbuf_puts(out, " [required]");
	else if (f->def)
		strbuf_printf(out, " [default: %s]", f->def);
	strbuf_puts(out, "\n");
	config_describe_value(f, out, indent + 4);
}

static void config_describe_struct(
	const struct config_struct *schema, struct strbuf *out, unsigned int indent)
{
	for (const struct config_field *f = schema->fields; f->name; f++)
		config_describe_field(f, out, indent);
}
