/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake vCPU's x86_64 state: kept, never interpreted.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "hv/fake/fake_internal.h"

void hv_fake_set_supported_cpuid(struct hv_vm *base, const struct hv_x86_cpuid *cpuid)
{
	struct fake_vm *vm = fake_vm_of(base);

	with_lock (&vm->lock)
		vm->supported_cpuid = *cpuid;
}

const struct hv_x86_cpuid *hv_fake_cpuid(struct hv_vcpu *vcpu)
{
	return &fake_vcpu_of(vcpu)->cpuid;
}

/* AMD64 Architecture Programmer's Manual Vol. 2, "Initial Processor State", what the tests may look
 * at. */
void fake_x86_power_on(struct fake_vcpu *vcpu)
{
	vcpu->regs = (struct hv_x86_regs){.rip = 0xfff0, .rflags = 2};
	vcpu->sregs = (struct hv_x86_sregs){
		.cs = {.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .access = 0x9b},
		.cr0 = 0x60000010,
		.apic_base = 0xfee00800U | (vcpu->base.id ? 0 : 0x100U),
	};
	vcpu->n_msrs = 0;
}

static void fake_supported_cpuid(struct hv_vm *base, struct hv_x86_cpuid *ret_cpuid)
{
	struct fake_vm *vm = fake_vm_of(base);

	with_lock (&vm->lock)
		*ret_cpuid = vm->supported_cpuid;
}

static int fake_set_cpuid(struct hv_vcpu *base, const struct hv_x86_cpuid *cpuid)
{
	fake_vcpu_of(base)->cpuid = *cpuid;
	return 0;
}

static struct hv_x86_msr *fake_find_msr(struct fake_vcpu *vcpu, uint32_t index)
{
	for (unsigned int i = 0; i < vcpu->n_msrs; i++)
		if (vcpu->msrs[i].index == index)
			return &vcpu->msrs[i];
	return NULL;
}

/* An MSR that was never set reads as 0. */
static int fake_get_msrs(struct hv_vcpu *base, struct hv_x86_msr *msrs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct hv_x86_msr *msr = fake_find_msr(fake_vcpu_of(base), msrs[i].index);

		msrs[i].value = msr ? msr->value : 0;
	}
	return (int)n;
}

static int fake_set_msrs(struct hv_vcpu *base, const struct hv_x86_msr *msrs, unsigned int n)
{
	struct fake_vcpu *vcpu = fake_vcpu_of(base);

	for (unsigned int i = 0; i < n; i++) {
		struct hv_x86_msr *msr = fake_find_msr(vcpu, msrs[i].index);

		if (!msr) {
			msr = reallocarray(vcpu->msrs, vcpu->n_msrs + 1, sizeof(*msr));
			if (!msr)
				return -ENOMEM;
			vcpu->msrs = msr;
			msr = &vcpu->msrs[vcpu->n_msrs++];
		}
		*msr = msrs[i];
	}
	return (int)n;
}

static int fake_get_regs(struct hv_vcpu *base, struct hv_x86_regs *ret_regs)
{
	*ret_regs = fake_vcpu_of(base)->regs;
	return 0;
}

static int fake_set_regs(struct hv_vcpu *base, const struct hv_x86_regs *regs)
{
	fake_vcpu_of(base)->regs = *regs;
	return 0;
}

static int fake_get_sregs(struct hv_vcpu *base, struct hv_x86_sregs *ret_sregs)
{
	*ret_sregs = fake_vcpu_of(base)->sregs;
	return 0;
}

static int fake_set_sregs(struct hv_vcpu *base, const struct hv_x86_sregs *sregs)
{
	fake_vcpu_of(base)->sregs = *sregs;
	return 0;
}

/* Without page tables to walk, only the identity. */
static int fake_translate(struct hv_vcpu *base, uint64_t gva, uint64_t *ret_gpa)
{
	*ret_gpa = gva;
	return 0;
}

const struct hv_x86_ops fake_x86_ops = {
	.supported_cpuid = fake_supported_cpuid,
	.set_cpuid = fake_set_cpuid,
	.get_msrs = fake_get_msrs,
	.set_msrs = fake_set_msrs,
	.get_regs = fake_get_regs,
	.set_regs = fake_set_regs,
	.get_sregs = fake_get_sregs,
	.set_sregs = fake_set_sregs,
	.translate = fake_translate,
};
