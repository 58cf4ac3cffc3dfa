/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: facts, and the two forms in which it is shown.
 */
#include "check/check.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "check/check_internal.h"

static struct check_fact *check_add(
	struct check_report *report, const char *group, const char *name, enum check_type type)
{
	struct check_fact *facts =
		reallocarray(report->facts, report->n_facts + 1, sizeof(*report->facts));

	if (!facts) {
		report->failed = true;
		return NULL;
	}
	report->facts = facts;
	facts += report->n_facts++;
	*facts = (struct check_fact){.group = group, .name = name, .type = type};
	return facts;
}

void check_add_bool(struct check_report *report, const char *group, const char *name, bool yes)
{
	struct check_fact *fact = check_add(report, group, name, CHECK_BOOL);

	if (fact)
		fact->yes = yes;
}

void check_add_number(
	struct check_report *report, const char *group, const char *name, uint64_t number)
{
	struct check_fact *fact = check_add(report, group, name, CHECK_NUMBER);

	if (fact)
		fact->number = number;
}

void check_add_text(
	struct check_report *report, const char *group, const char *name, const char *text)
{
	struct check_fact *fact = check_add(report, group, name, CHECK_TEXT);

	if (!fact)
		return;
	fact->text = strdup(text);
	if (!fact->text)
		report->failed = true;
}

void check_note(struct check_report *report, const char *fmt, ...)
{
	struct check_fact *fact;
	va_list args;

	if (report->failed || !report->n_facts)
		return;
	fact = &report->facts[report->n_facts - 1];
	va_start(args, fmt);
	if (vasprintf(&fact->note, fmt, args) < 0) {
		fact->note = NULL;
		report->failed = true;
	}
	va_end(args);
}

void check_report_deinit(struct check_report *report)
{
	for (size_t i = 0; i < report->n_facts; i++) {
		free(report->facts[i].text);
		free(report->facts[i].note);
	}
	free(report->facts);
	free(report->reason);
	*report = (struct check_report){0};
}

const struct check_fact *check_find(
	const struct check_report *report, const char *group, const char *name)
{
	for (size_t i = 0; i < report->n_facts; i++)
		if (!strcmp(report->facts[i].group, group) && !strcmp(report->facts[i].name, name))
			return &report->facts[i];
	return NULL;
}

struct err *check_host(const char *device, struct check_report *ret_report)
{
	struct check_report report = {0};

	check_kvm(&report, device);
	check_cpu(&report);
	check_memory(&report);
	check_devices(&report);
	check_confidential(&report);
	if (report.failed || !report.reason) {
		check_report_deinit(&report);
		return err_new(ENOMEM, "Cannot examine this host");
	}
	*ret_report = report;
	return NULL;
}

static json_t *check_json_value(const struct check_fact *fact)
{
	switch (fact->type) {
	case CHECK_BOOL:
		return json_boolean(fact->yes);
	case CHECK_NUMBER:
		return json_integer((json_int_t)fact->number);
	case CHECK_TEXT:
		break;
	}
	return json_string(fact->text);
}

static void check_json_add(json_t *root, const struct check_fact *fact)
{
	json_t *group = json_object_get(root, fact->group);
	json_t *value = check_json_value(fact);

	if (!group) {
		group = json_object();
		json_object_set_new(root, fact->group, group);
	}
	/* Text of the kernel's that is not UTF-8 is no JSON string. */
	json_object_set_new(group, fact->name, value ? value : json_null());
	if (fact->note)
		json_object_set_new(
			json_object_get(root, "notes"), fact->name, json_string(fact->note));
}

char *check_json(const struct check_report *report)
{
	json_t *root = json_object();
	char *text;

	json_object_set_new(root, "usable", json_boolean(report->usable));
	json_object_set_new(root, "reason", json_string(report->reason));
	json_object_set_new(root, "notes", json_object());
	for (size_t i = 0; i < report->n_facts; i++)
		check_json_add(root, &report->facts[i]);
	text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	return text;
}

static void check_print_fact(const struct check_fact *fact, struct strbuf *out)
{
	strbuf_printf(out, "  %-22s ", fact->name);
	switch (fact->type) {
	case CHECK_BOOL:
		strbuf_puts(out, fact->yes ? "yes" : "no");
		break;
	case CHECK_NUMBER:
		strbuf_printf(out, "%" PRIu64, fact->number);
		break;
	case CHECK_TEXT:
		strbuf_puts(out, fact->text);
		break;
	}
	if (fact->note)
		strbuf_printf(out, " (%s)", fact->note);
	strbuf_puts(out, "\n");
}

void check_print(const struct check_report *report, struct strbuf *out)
{
	const char *group = "";

	strbuf_printf(
		out, "KVM is %s: %s\n", report->usable ? "usable" : "not usable", report->reason);
	for (size_t i = 0; i < report->n_facts; i++) {
		const struct check_fact *fact = &report->facts[i];

		if (strcmp(group, fact->group) != 0)
			strbuf_printf(out, "\n%s\n", fact->group);
		group = fact->group;
		check_print_fact(fact, out);
	}
}
