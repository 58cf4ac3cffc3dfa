/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers, MSRs and CPUID between hv_x86.h's layouts and KVM's.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "hv/kvm/x86_internal.h"

/* KVM takes at most 256 MSRs at once; ours come in handfuls. */
#define KVM_MSRS_MAX 64U

/* Bits of hv_x86_segment.access, as in bits 8-23 of the second word of a descriptor. */
#define KVM_ACCESS_TYPE 0x000fU
#define KVM_ACCESS_S    0x0010U
#define KVM_ACCESS_DPL  5
#define KVM_ACCESS_P    0x0080U
#define KVM_ACCESS_AVL  0x1000U
#define KVM_ACCESS_L    0x2000U
#define KVM_ACCESS_DB   0x4000U
#define KVM_ACCESS_G    0x8000U

static struct kvm_segment kvm_segment_from(const struct hv_x86_segment *from)
{
	return (struct kvm_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = from->access & KVM_ACCESS_TYPE,
		.s = !!(from->access & KVM_ACCESS_S),
		.dpl = from->access >> KVM_ACCESS_DPL & 3,
		.present = !!(from->access & KVM_ACCESS_P),
		.avl = !!(from->access & KVM_ACCESS_AVL),
		.l = !!(from->access & KVM_ACCESS_L),
		.db = !!(from->access & KVM_ACCESS_DB),
		.g = !!(from->access & KVM_ACCESS_G),
		.unusable = from->unusable,
	};
}

static struct hv_x86_segment kvm_segment_to(const struct kvm_segment *from)
{
	unsigned int access = (from->type & KVM_ACCESS_TYPE) | (from->s ? KVM_ACCESS_S : 0) |
			      (from->dpl & 3U) << KVM_ACCESS_DPL |
			      (from->present ? KVM_ACCESS_P : 0) |
			      (from->avl ? KVM_ACCESS_AVL : 0) | (from->l ? KVM_ACCESS_L : 0) |
			      (from->db ? KVM_ACCESS_DB : 0) | (from->g ? KVM_ACCESS_G : 0);

	return (struct hv_x86_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.access = (uint16_t)access,
		.unusable = from->unusable,
	};
}

static int kvm_x86_get_regs(struct hv_vcpu *vcpu, struct hv_x86_regs *ret_regs)
{
	struct kvm_regs regs;
	int ret = kvm_get_regs(kvm_vcpu_of(vcpu)->fd, &regs);

	if (ret < 0)
		return ret;
	*ret_regs = (struct hv_x86_regs){
		.rax = regs.rax,
		.rbx = regs.rbx,
		.rcx = regs.rcx,
		.rdx = regs.rdx,
		.rsi = regs.rsi,
		.rdi = regs.rdi,
		.rsp = regs.rsp,
		.rbp = regs.rbp,
		.r8 = regs.r8,
		.r9 = regs.r9,
		.r10 = regs.r10,
		.r11 = regs.r11,
		.r12 = regs.r12,
		.r13 = regs.r13,
		.r14 = regs.r14,
		.r15 = regs.r15,
		.rip = regs.rip,
		.rflags = regs.rflags,
	};
	return 0;
}

static int kvm_x86_set_regs(struct hv_vcpu *vcpu, const struct hv_x86_regs *from)
{
	const struct kvm_regs regs = {
		.rax = from->rax,
		.rbx = from->rbx,
		.rcx = from->rcx,
		.rdx = from->rdx,
		.rsi = from->rsi,
		.rdi = from->rdi,
		.rsp = from->rsp,
		.rbp = from->rbp,
		.r8 = from->r8,
		.r9 = from->r9,
		.r10 = from->r10,
		.r11 = from->r11,
		.r12 = from->r12,
		.r13 = from->r13,
		.r14 = from->r14,
		.r15 = from->r15,
		.rip = from->rip,
		.rflags = from->rflags,
	};

	return kvm_set_regs(kvm_vcpu_of(vcpu)->fd, &regs);
}

static int kvm_x86_get_sregs(struct hv_vcpu *vcpu, struct hv_x86_sregs *ret_sregs)
{
	struct kvm_sregs sregs;
	int ret = kvm_get_sregs(kvm_vcpu_of(vcpu)->fd, &sregs);

	if (ret < 0)
		return ret;
	*ret_sregs = (struct hv_x86_sregs){
		.cs = kvm_segment_to(&sregs.cs),
		.ds = kvm_segment_to(&sregs.ds),
		.es = kvm_segment_to(&sregs.es),
		.fs = kvm_segment_to(&sregs.fs),
		.gs = kvm_segment_to(&sregs.gs),
		.ss = kvm_segment_to(&sregs.ss),
		.tr = kvm_segment_to(&sregs.tr),
		.ldt = kvm_segment_to(&sregs.ldt),
		.gdt = {.base = sregs.gdt.base, .limit = sregs.gdt.limit},
		.idt = {.base = sregs.idt.base, .limit = sregs.idt.limit},
		.cr0 = sregs.cr0,
		.cr2 = sregs.cr2,
		.cr3 = sregs.cr3,
		.cr4 = sregs.cr4,
		.cr8 = sregs.cr8,
		.efer = sregs.efer,
		.apic_base = sregs.apic_base,
	};
	return 0;
}

static int kvm_x86_set_sregs(struct hv_vcpu *vcpu, const struct hv_x86_sregs *from)
{
	const struct kvm_sregs sregs = {
		.cs = kvm_segment_from(&from->cs),
		.ds = kvm_segment_from(&from->ds),
		.es = kvm_segment_from(&from->es),
		.fs = kvm_segment_from(&from->fs),
		.gs = kvm_segment_from(&from->gs),
		.ss = kvm_segment_from(&from->ss),
		.tr = kvm_segment_from(&from->tr),
		.ldt = kvm_segment_from(&from->ldt),
		.gdt = {.base = from->gdt.base, .limit = from->gdt.limit},
		.idt = {.base = from->idt.base, .limit = from->idt.limit},
		.cr0 = from->cr0,
		.cr2 = from->cr2,
		.cr3 = from->cr3,
		.cr4 = from->cr4,
		.cr8 = from->cr8,
		.efer = from->efer,
		.apic_base = from->apic_base,
	};

	return kvm_set_sregs(kvm_vcpu_of(vcpu)->fd, &sregs);
}

static void kvm_x86_supported_cpuid(struct hv_vm *vm, struct hv_x86_cpuid *ret_cpuid)
{
	*ret_cpuid = *kvm_vm_of(vm)->supported_cpuid;
}

static int kvm_x86_set_cpuid(struct hv_vcpu *vcpu, const struct hv_x86_cpuid *from)
{
	auto_free struct kvm_cpuid2 *cpuid = kvm_x86_cpuid_alloc();

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = from->n;
	for (unsigned int i = 0; i < from->n; i++) {
		const struct hv_x86_cpuid_entry *entry = &from->entries[i];

		cpuid->entries[i] = (struct kvm_cpuid_entry2){
			.function = entry->function,
			.index = entry->index,
			.flags = entry->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = entry->eax,
			.ebx = entry->ebx,
			.ecx = entry->ecx,
			.edx = entry->edx,
		};
	}
	return kvm_set_cpuid2(kvm_vcpu_of(vcpu)->fd, cpuid);
}

/* KVM's list of MSRs, on the stack. */
union kvm_msr_chunk {
	struct kvm_msrs msrs;
	uint8_t room[sizeof(struct kvm_msrs) + KVM_MSRS_MAX * sizeof(struct kvm_msr_entry)];
};

static unsigned int kvm_msr_chunk_fill(
	union kvm_msr_chunk *chunk, const struct hv_x86_msr *from, unsigned int n)
{
	n = MIN(n, KVM_MSRS_MAX);
	chunk->msrs.nmsrs = n;
	chunk->msrs.pad = 0;
	for (unsigned int i = 0; i < n; i++)
		chunk->msrs.entries[i] =
			(struct kvm_msr_entry){.index = from[i].index, .data = from[i].value};
	return n;
}

static int kvm_x86_get_msrs(struct hv_vcpu *vcpu, struct hv_x86_msr *msrs, unsigned int n)
{
	unsigned int done = 0;

	while (done < n) {
		union kvm_msr_chunk chunk;
		unsigned int want = kvm_msr_chunk_fill(&chunk, &msrs[done], n - done);
		int ret = kvm_get_msrs(kvm_vcpu_of(vcpu)->fd, &chunk.msrs);

		if (ret < 0)
			return ret;
		for (unsigned int i = 0; i < (unsigned int)ret; i++)
			msrs[done + i].value = chunk.msrs.entries[i].data;
		done += (unsigned int)ret;
		if ((unsigned int)ret < want)
			break;
	}
	return (int)done;
}

static int kvm_x86_set_msrs(struct hv_vcpu *vcpu, const struct hv_x86_msr *msrs, unsigned int n)
{
	unsigned int done = 0;

	while (done < n) {
		union kvm_msr_chunk chunk;
		unsigned int want = kvm_msr_chunk_fill(&chunk, &msrs[done], n - done);
		int ret = kvm_set_msrs(kvm_vcpu_of(vcpu)->fd, &chunk.msrs);

		if (ret < 0)
			return ret;
		done += (unsigned int)ret;
		if ((unsigned int)ret < want)
			break;
	}
	return (int)done;
}

static int kvm_x86_translate(struct hv_vcpu *vcpu, uint64_t gva, uint64_t *ret_gpa)
{
	struct kvm_translation translation = {.linear_address = gva};
	int ret = kvm_translate(kvm_vcpu_of(vcpu)->fd, &translation);

	if (ret < 0)
		return ret;
	if (!translation.valid)
		return -EFAULT;
	*ret_gpa = translation.physical_address;
	return 0;
}

const struct hv_x86_ops kvm_x86_ops = {
	.supported_cpuid = kvm_x86_supported_cpuid,
	.set_cpuid = kvm_x86_set_cpuid,
	.get_msrs = kvm_x86_get_msrs,
	.set_msrs = kvm_x86_set_msrs,
	.get_regs = kvm_x86_get_regs,
	.set_regs = kvm_x86_set_regs,
	.get_sregs = kvm_x86_get_sregs,
	.set_sregs = kvm_x86_set_sregs,
	.translate = kvm_x86_translate,
};

void kvm_arch_clock_paused(struct hv_vcpu *vcpu)
{
	/* Fails harmlessly when the guest has no such clock. */
	int ret = kvm_kvmclock_ctrl(kvm_vcpu_of(vcpu)->fd);

	(void)ret;
}
