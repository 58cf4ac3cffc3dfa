/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked call layer of the x86_64 state.
 */
#include "hv/hv_x86.h"

#include <errno.h>

#include "hv/hv_internal.h"

static struct err *hv_x86_check(const struct hv_vcpu *vcpu, int ret, const char *what)
{
	return ret < 0 ? err_new(-ret, "Cannot %s of vCPU %u", what, vcpu->id) : NULL;
}

struct err *hv_x86_supported_cpuid(struct hv_vm *vm, struct hv_x86_cpuid *ret_cpuid)
{
	vm->x86->supported_cpuid(vm, ret_cpuid);
	return NULL;
}

struct err *hv_x86_set_cpuid(struct hv_vcpu *vcpu, const struct hv_x86_cpuid *cpuid)
{
	assert(cpuid->n <= HV_X86_CPUID_MAX);
	return hv_x86_check(vcpu, vcpu->vm->x86->set_cpuid(vcpu, cpuid), "set the CPUID");
}

struct err *hv_x86_set_msrs(struct hv_vcpu *vcpu, const struct hv_x86_msr *msrs, unsigned int n)
{
	int done;

	if (!n)
		return NULL;
	done = vcpu->vm->x86->set_msrs(vcpu, msrs, n);
	if (done >= 0 && (unsigned int)done < n)
		return err_new(EINVAL, "The hypervisor refuses 0x%llx in MSR 0x%x of vCPU %u",
			(unsigned long long)msrs[done].value, msrs[done].index, vcpu->id);
	return hv_x86_check(vcpu, done, "set MSRs");
}

struct err *hv_x86_get_msrs(struct hv_vcpu *vcpu, struct hv_x86_msr *msrs, unsigned int n)
{
	int done;

	if (!n)
		return NULL;
	done = vcpu->vm->x86->get_msrs(vcpu, msrs, n);
	if (done >= 0 && (unsigned int)done < n)
		return err_new(EINVAL, "vCPU %u has no MSR 0x%x", vcpu->id, msrs[done].index);
	return hv_x86_check(vcpu, done, "read MSRs");
}

struct err *hv_x86_set_regs(struct hv_vcpu *vcpu, const struct hv_x86_regs *regs)
{
	return hv_x86_check(vcpu, vcpu->vm->x86->set_regs(vcpu, regs), "set the registers");
}

struct err *hv_x86_set_sregs(struct hv_vcpu *vcpu, const struct hv_x86_sregs *sregs)
{
	return hv_x86_check(
		vcpu, vcpu->vm->x86->set_sregs(vcpu, sregs), "set the system registers");
}

struct err *hv_x86_get_regs(struct hv_vcpu *vcpu, struct hv_x86_regs *ret_regs)
{
	return hv_x86_check(vcpu, vcpu->vm->x86->get_regs(vcpu, ret_regs), "read the registers");
}

struct err *hv_x86_get_sregs(struct hv_vcpu *vcpu, struct hv_x86_sregs *ret_sregs)
{
	return hv_x86_check(
		vcpu, vcpu->vm->x86->get_sregs(vcpu, ret_sregs), "read the system registers");
}

int hv_x86_translate(struct hv_vcpu *vcpu, uint64_t gva, uint64_t *ret_gpa)
{
	return vcpu->vm->x86->translate(vcpu, gva, ret_gpa);
}
