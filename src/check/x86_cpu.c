/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor's features that matter to a monitor.
 */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "check/check_internal.h"

enum check_reg { EAX, EBX, ECX, EDX };

struct check_feature {
	const char *name;
	uint32_t leaf;
	enum check_reg reg;
	unsigned int bit;
};

/* Intel SDM Vol. 2 "CPUID", AMD APM Vol. 3 Appendix E. */
static const struct check_feature check_features[] = {
	{"vmx", 1, ECX, 5},
	{"svm", 0x80000001, ECX, 2},
	{"x2apic", 1, ECX, 21},
	{"tsc_deadline_timer", 1, ECX, 24},
	{"invariant_tsc", 0x80000007, EDX, 8},
	{"1gb_pages", 0x80000001, EDX, 26},
	{"5level_paging", 7, ECX, 16},
	{"cmpxchg16b", 1, ECX, 13},
	{"bmi2", 7, EBX, 8},
	{"avx2", 7, EBX, 5},
	{"avx512f", 7, EBX, 16},
	{"rdrand", 1, ECX, 30},
	{"hypervisor_below", 1, ECX, 31},
};

static void check_cpu_names(struct check_report *report)
{
	union {
		unsigned int regs[3][4];
		char text[49];
	} name = {0};
	char vendor[13] = {0};
	unsigned int eax, ebx, ecx, edx;

	if (__get_cpuid(0, &eax, &ebx, &ecx, &edx)) {
		memcpy(vendor, &ebx, 4);
		memcpy(vendor + 4, &edx, 4);
		memcpy(vendor + 8, &ecx, 4);
		check_add_text(report, "cpu", "vendor", vendor);
	}
	for (unsigned int i = 0; i < 3; i++) {
		unsigned int *regs = name.regs[i];

		if (!__get_cpuid(0x80000002 + i, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX]))
			return;
	}
	check_add_text(report, "cpu", "model", name.text + strspn(name.text, " "));
}

void check_cpu(struct check_report *report)
{
	check_cpu_names(report);
	for (size_t i = 0; i < ARRAY_SIZE(check_features); i++) {
		const struct check_feature *feature = &check_features[i];
		unsigned int regs[4] = {0};
		int there = __get_cpuid_count(
			feature->leaf, 0, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX]);

		check_add_bool(report, "cpu", feature->name,
			there && regs[feature->reg] & 1U << feature->bit);
	}
}
