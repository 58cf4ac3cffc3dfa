/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM on x86_64 is made of: split interrupt controller (local APICs in KVM, the I/O APIC
 * ours), the address-space holes that KVM wants on older Intel processors, and the facts of the
 * host.
 */
#include <cpuid.h>
#include <errno.h>

#include "base/alloc.h"
#include "hv/kvm/x86_internal.h"

/* Three pages and one page in the 32-bit hole; only used where real mode has to be emulated. */
#define KVM_TSS_ADDR          0xf0000000U
#define KVM_IDENTITY_MAP_ADDR 0xf0003000U

/* 32-bit APIC ids in messages, and no special meaning of destination 255 in them. */
#define KVM_X2APIC_FLAGS (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

/*
 * Message address, Intel SDM Vol. 3 "Message Address Register Format", with the destination's upper
 * bits where KVM has them (in the high half) and where guests put them that found
 * KVM_FEATURE_MSI_EXT_DEST_ID: bits 11:5 of the address are bits 14:8 of the destination.
 */
#define KVM_MSI_BASE_MASK     0xfff00000U
#define KVM_MSI_BASE          0xfee00000U
#define KVM_MSI_REMAPPABLE    0x10U
#define KVM_MSI_EXT_DEST      0xfe0U
#define KVM_MSI_EXT_DEST_MOVE 3 /* from bit 5 of the low half to bit 8 of the high half */

const char *kvm_arch_processor_lacks(void)
{
	unsigned int eax, ebx, ecx = 0, edx;

	/* CPUID.1:ECX[5]: VMX. */
	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & 1U << 5)
		return NULL;
	/* CPUID Fn8000_0001 ECX[2]: SVM. */
	if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && ecx & 1U << 2)
		return NULL;
	return "the processor shows no virtualization (vmx, svm): enable it in the firmware, or "
	       "nested virtualization if this is a virtual machine itself";
}

struct err *kvm_arch_check_device(int dev_fd, struct hv_caps *caps)
{
	int x2apic = kvm_check_extension(dev_fd, KVM_CAP_X2APIC_API);

	if (kvm_check_extension(dev_fd, KVM_CAP_SPLIT_IRQCHIP) <= 0)
		return err_new(0, "This KVM has no KVM_CAP_SPLIT_IRQCHIP (for the local APICs): "
				  "Linux 4.5 or newer is needed on the host");
	if (x2apic < 0 || ((unsigned int)x2apic & KVM_X2APIC_FLAGS) != KVM_X2APIC_FLAGS)
		return err_new(0, "This KVM has no KVM_CAP_X2APIC_API (for APIC ids beyond 255): "
				  "Linux 4.7 or newer is needed on the host");
	if (kvm_check_extension(dev_fd, KVM_CAP_XCRS) <= 0 ||
		kvm_check_extension(dev_fd, KVM_CAP_DEBUGREGS) <= 0)
		return err_new(0,
			"This KVM has no KVM_CAP_XCRS or KVM_CAP_DEBUGREGS (for resetting "
			"vCPUs): Linux 2.6.36 or newer is needed on the host");
	caps->tsc_deadline = kvm_check_extension(dev_fd, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	return NULL;
}

int kvm_x86_split_irqchip(int fd)
{
	int ret = kvm_enable_cap(fd, KVM_CAP_SPLIT_IRQCHIP, HV_IOAPIC_PINS);

	return ret < 0 ? ret : kvm_enable_cap(fd, KVM_CAP_X2APIC_API, KVM_X2APIC_FLAGS);
}

struct err *kvm_arch_vm_init(int dev_fd, int fd, const struct hv_vm_options *options)
{
	int ret = kvm_x86_split_irqchip(fd);

	if (ret < 0)
		return err_new(-ret, "KVM refuses the split interrupt controller");
	ret = kvm_set_identity_map_addr(fd, KVM_IDENTITY_MAP_ADDR);
	if (!ret)
		ret = kvm_set_tss_addr(fd, KVM_TSS_ADDR);
	if (ret < 0)
		return err_new(-ret, "KVM refuses the address of the task state segment");
	/* Saves KVM memory; Linux before 6.0 cannot, and need not. */
	ret = kvm_enable_cap(fd, KVM_CAP_MAX_VCPU_ID, (uint64_t)options->max_vcpu_id + 1);
	if (ret < 0 && ret != -EINVAL)
		return err_new(-ret, "KVM refuses vCPU ids up to %u", options->max_vcpu_id);
	return NULL;
}

static void kvm_cpuid_to_hv(const struct kvm_cpuid2 *from, struct hv_x86_cpuid *to)
{
	to->n = from->nent;
	for (unsigned int i = 0; i < from->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &from->entries[i];

		to->entries[i] = (struct hv_x86_cpuid_entry){
			.function = entry->function,
			.index = entry->index,
			.indexed = entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = entry->eax,
			.ebx = entry->ebx,
			.ecx = entry->ecx,
			.edx = entry->edx,
		};
	}
}

struct kvm_cpuid2 *kvm_x86_cpuid_alloc(void)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + HV_X86_CPUID_MAX * sizeof(cpuid->entries[0]));

	if (cpuid)
		cpuid->nent = HV_X86_CPUID_MAX;
	return cpuid;
}

static unsigned int kvm_phys_bits(const struct hv_x86_cpuid *cpuid)
{
	/* Intel's and AMD's least, for processors without the leaf. */
	unsigned int bits = 36;

	for (unsigned int i = 0; i < cpuid->n; i++)
		if (cpuid->entries[i].function == 0x80000008)
			bits = cpuid->entries[i].eax & 0xff;
	return bits;
}

struct err *kvm_arch_vm_facts(struct kvm_vm *vm)
{
	auto_free struct kvm_cpuid2 *cpuid = kvm_x86_cpuid_alloc();
	int ret;

	vm->supported_cpuid = malloc(sizeof(*vm->supported_cpuid));
	if (!cpuid || !vm->supported_cpuid)
		return err_new(ENOMEM, "Cannot read the processor's features");
	ret = kvm_get_supported_cpuid(vm->dev_fd, cpuid);
	if (ret < 0)
		return err_new(-ret, "KVM does not tell the processor's features");
	kvm_cpuid_to_hv(cpuid, vm->supported_cpuid);
	vm->base.caps.phys_bits = kvm_phys_bits(vm->supported_cpuid);
	ret = kvm_get_tsc_khz(vm->fd);
	vm->base.caps.tsc_khz = ret > 0 ? (uint32_t)ret : 0;
	return NULL;
}

int kvm_arch_msi(uint64_t addr, uint32_t data, struct kvm_msi *ret_msi)
{
	uint32_t lo = (uint32_t)addr;
	uint32_t hi = (uint32_t)(addr >> 32);

	/* The high half carries only bits 31:8 of the destination. */
	if ((lo & KVM_MSI_BASE_MASK) != KVM_MSI_BASE || hi & 0xff)
		return -EINVAL;
	if (!hi && !(lo & KVM_MSI_REMAPPABLE)) {
		hi = (lo & KVM_MSI_EXT_DEST) << KVM_MSI_EXT_DEST_MOVE;
		lo &= ~KVM_MSI_EXT_DEST;
	}
	*ret_msi = (struct kvm_msi){.address_lo = lo, .address_hi = hi, .data = data};
	return 0;
}
