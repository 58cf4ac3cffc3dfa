/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the files of this folder add facts to a report. No memory is remembered in the report.
 */
#pragma once

#include "check/check.h"

struct hv_vcpu;

void check_add_bool(struct check_report *report, const char *group, const char *name, bool yes);
void check_add_number(
	struct check_report *report, const char *group, const char *name, uint64_t number);
void check_add_text(
	struct check_report *report, const char *group, const char *name, const char *text);
/* A note on the fact that was added last. */
void check_note(struct check_report *report, const char *fmt, ...) printf_like(2, 3);

/* The first line of a small file without its newline; false if it cannot be read. */
bool check_read_line(const char *path, char *buf, size_t size);

/* The parts of a report. */
void check_kvm(struct check_report *report, const char *device);
void check_cpu(struct check_report *report);
void check_memory(struct check_report *report);
void check_devices(struct check_report *report);
void check_confidential(struct check_report *report);

/* What the guest was seen to do. */
struct check_execution {
	const char *failed; /* static: what it could not do, NULL: nothing */
	char detail[128];   /* how that ended */
	uint64_t guest_ns;  /* its loop; 0 if it never got there */
	uint64_t host_ns;   /* the same loop on the host */
	bool out_of_time;   /* it was stopped within the loop: guest_ns is a lower bound */
};

/* Of the architecture: makes a VM, runs a guest in it for a bounded time. Adds facts about KVM on
 * the way. */
struct err *must_check check_execute(
	struct check_report *report, const char *device, struct check_execution *ret_execution);
