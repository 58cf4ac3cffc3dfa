/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host can do: `alioth check`. A report is a list of facts in groups, and one verdict:
 * whether KVM here runs guests, judged by running one. Some hosts' KVM (those of virtual machines
 * without nested virtualization in hardware) answers every request and yet only interprets guest
 * kernels, too slowly and too incompletely to boot one.
 */
#pragma once

#include "base/err.h"
#include "base/strbuf.h"

enum check_type { CHECK_BOOL, CHECK_NUMBER, CHECK_TEXT };

struct check_fact {
	const char *group; /* static: "kvm" */
	const char *name;  /* static: "split_irqchip" */
	enum check_type type;
	bool yes;
	uint64_t number;
	char *text; /* of CHECK_TEXT; NULL otherwise */
	char *note; /* why, or what to do; may be NULL */
};

struct check_report {
	bool usable;
	char *reason; /* a sentence, also when usable */
	struct check_fact *facts;
	size_t n_facts;
	bool failed; /* out of memory: facts are missing */
};

/* Looks at everything; takes less than a second. `device` is the KVM device. [main] */
struct err *must_check check_host(const char *device, struct check_report *ret_report);
void check_report_deinit(struct check_report *report);

/* The fact of that name, or NULL. */
const struct check_fact *check_find(
	const struct check_report *report, const char *group, const char *name);

/* As a JSON object: usable, reason, an object for each group, and notes. Or as lines for people. */
char *must_check check_json(const struct check_report *report);
void check_print(const struct check_report *report, struct strbuf *out);
