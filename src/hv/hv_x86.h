/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86_64 state of a vCPU, in the terms of the AMD64 and Intel manuals and independent of KVM's
 * layouts.
 */
#pragma once

#include "hv/hv.h"

struct hv_x86_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
};

struct hv_x86_segment {
	uint64_t base;
	uint32_t limit; /* in bytes, already scaled */
	uint16_t selector;
	uint16_t access; /* type, S, DPL, P in bits 0-7; AVL, L, D/B, G in bits 12-15 (as in a
			    descriptor) */
	bool unusable;
};

struct hv_x86_dtable {
	uint64_t base;
	uint16_t limit;
};

struct hv_x86_sregs {
	struct hv_x86_segment cs, ds, es, fs, gs, ss, tr, ldt;
	struct hv_x86_dtable gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
};

struct hv_x86_cpuid_entry {
	uint32_t function, index;
	bool indexed; /* index matters */
	uint32_t eax, ebx, ecx, edx;
};

#define HV_X86_CPUID_MAX 256

struct hv_x86_cpuid {
	unsigned int n;
	struct hv_x86_cpuid_entry entries[HV_X86_CPUID_MAX];
};

struct hv_x86_msr {
	uint32_t index;
	uint64_t value;
};

/* What the hypervisor can show to a guest. [main] */
struct err *must_check hv_x86_supported_cpuid(struct hv_vm *vm, struct hv_x86_cpuid *ret_cpuid);

/* [vcpu], or the creating thread before the first run. */
struct err *must_check hv_x86_set_cpuid(struct hv_vcpu *vcpu, const struct hv_x86_cpuid *cpuid);
struct err *must_check hv_x86_set_msrs(
	struct hv_vcpu *vcpu, const struct hv_x86_msr *msrs, unsigned int n);
/* In: msrs[].index; out: msrs[].value. */
struct err *must_check hv_x86_get_msrs(
	struct hv_vcpu *vcpu, struct hv_x86_msr *msrs, unsigned int n);
struct err *must_check hv_x86_set_regs(struct hv_vcpu *vcpu, const struct hv_x86_regs *regs);
struct err *must_check hv_x86_set_sregs(struct hv_vcpu *vcpu, const struct hv_x86_sregs *sregs);
struct err *must_check hv_x86_get_regs(struct hv_vcpu *vcpu, struct hv_x86_regs *ret_regs);
struct err *must_check hv_x86_get_sregs(struct hv_vcpu *vcpu, struct hv_x86_sregs *ret_sregs);

/*
 * The guest physical address that a linear address has in the vCPU's current mode; 0, -EFAULT if it
 * is not mapped, or -errno. [vcpu]
 */
int must_check hv_x86_translate(struct hv_vcpu *vcpu, uint64_t gva, uint64_t *ret_gpa);
