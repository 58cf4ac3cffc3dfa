/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM: what it offers, and the verdict on whether it runs guests.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "check/check_internal.h"
#include "sys/kvm.h"

/*
 * How much longer than on the host a loop of plain instructions may take in the guest. A processor
 * that executes it needs the same time, give or take what preempts it; nested emulation in software
 * stays below 3; an interpreter needs hundreds of times as long.
 */
#define CHECK_SLOWER_MAX 16U

struct check_cap {
	unsigned int cap;
	const char *name;
};

/* What is not needed but decides what a VM can have. */
static const struct check_cap check_caps[] = {
	{KVM_CAP_SPLIT_IRQCHIP, "split_irqchip"},
	{KVM_CAP_IRQFD, "irqfd"},
	{KVM_CAP_IOEVENTFD, "ioeventfd"},
	{KVM_CAP_SIGNAL_MSI, "signal_msi"},
	{KVM_CAP_IMMEDIATE_EXIT, "immediate_exit"},
	{KVM_CAP_READONLY_MEM, "readonly_mem"},
	{KVM_CAP_TSC_DEADLINE_TIMER, "tsc_deadline_timer"},
	{KVM_CAP_TSC_CONTROL, "tsc_control"},
	{KVM_CAP_NESTED_STATE, "nested_state"},
	{KVM_CAP_DIRTY_LOG_RING_ACQ_REL, "dirty_log_ring"},
	{KVM_CAP_X86_DISABLE_EXITS, "disable_exits"},
	{KVM_CAP_EXIT_HYPERCALL, "exit_hypercall"},
	{KVM_CAP_USER_MEMORY2, "user_memory2"},
	{KVM_CAP_GUEST_MEMFD, "guest_memfd"},
	{KVM_CAP_MEMORY_ATTRIBUTES, "memory_attributes"},
};

static void check_add_caps(struct check_report *report, const char *device)
{
	auto_close int fd = kvm_open(device);
	int types;

	check_add_text(report, "kvm", "device", device);
	if (fd < 0) {
		check_note(report, "%s", err_strerror(-fd));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(check_caps); i++)
		check_add_bool(report, "kvm", check_caps[i].name,
			kvm_check_extension(fd, check_caps[i].cap) > 0);
	types = kvm_check_extension(fd, KVM_CAP_VM_TYPES);
	check_add_number(report, "kvm", "vm_types", types > 0 ? (uint64_t)types : 1);
	check_note(
		report, "bits: 0 plain, 1 software-protected, 2 SEV, 3 SEV-ES, 4 SEV-SNP, 5 TDX");
}

/* The innermost text of a chain: what happened, and what to do about it. */
static const char *check_cause(const struct err *err)
{
	const char *text = "";
	const char *file;
	int line;

	return err_frame(err, 0, &text, &file, &line) ? text : err_text(err);
}

static void check_verdict(struct check_report *report, bool usable, const char *fmt, ...)
	printf_like(3, 4);

static void check_verdict(struct check_report *report, bool usable, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&report->reason, fmt, args) < 0) {
		report->reason = NULL;
		report->failed = true;
	}
	va_end(args);
	report->usable = usable;
}

/* In hundredths. */
static uint64_t check_ratio(const struct check_execution *execution)
{
	return execution->guest_ns * 100 / MAX(execution->host_ns, 1ULL);
}

static void check_judge(struct check_report *report, const struct check_execution *execution)
{
	uint64_t ratio = check_ratio(execution);

	if (execution->failed)
		check_verdict(report, false,
			"KVM does not execute guests as a processor does: %s failed (%s)",
			execution->failed, execution->detail);
	else if (execution->out_of_time || ratio / 100 >= CHECK_SLOWER_MAX)
		check_verdict(report, false,
			"KVM interprets guest code: a loop took %s%" PRIu64
			" times as long as on the host (at most %u is a processor)",
			execution->out_of_time ? "more than " : "", ratio / 100, CHECK_SLOWER_MAX);
	else
		check_verdict(report, true, "a guest ran at %" PRIu64 ".%02u times the host's time",
			ratio / 100, (unsigned int)(ratio % 100));
}

void check_kvm(struct check_report *report, const char *device)
{
	struct check_execution execution = {0};
	auto_err struct err *err = NULL;

	check_add_caps(report, device);
	err = check_execute(report, device, &execution);
	if (err) {
		check_verdict(report, false, "%s", check_cause(err));
		return;
	}
	check_add_number(report, "execution", "host_loop_ns", execution.host_ns);
	if (execution.guest_ns) {
		check_add_number(report, "execution", "guest_loop_ns", execution.guest_ns);
		if (execution.out_of_time)
			check_note(report, "stopped before its end");
	}
	check_judge(report, &execution);
}
