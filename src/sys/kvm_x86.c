/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's ioctls of x86_64.
 */
#include "sys/kvm_x86.h"

#include <errno.h>
#include <sys/ioctl.h>

static int kvm_x86_ioctl(int fd, unsigned long request, const void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int kvm_set_tss_addr(int vm_fd, uint64_t addr)
{
	return ioctl(vm_fd, KVM_SET_TSS_ADDR, addr) ? -errno : 0;
}

int kvm_get_tsc_khz(int fd)
{
	int ret = ioctl(fd, KVM_GET_TSC_KHZ, 0UL);

	return ret < 0 ? -errno : ret;
}

int kvm_kvmclock_ctrl(int vcpu_fd)
{
	return ioctl(vcpu_fd, KVM_KVMCLOCK_CTRL, 0UL) ? -errno : 0;
}

int kvm_set_identity_map_addr(int vm_fd, uint64_t addr)
{
	return kvm_x86_ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &addr);
}

int kvm_get_supported_cpuid(int kvm_fd, struct kvm_cpuid2 *cpuid)
{
	return kvm_x86_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
}

int kvm_get_msr_index_list(int kvm_fd, struct kvm_msr_list *list)
{
	return kvm_x86_ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list);
}

int kvm_set_cpuid2(int vcpu_fd, const struct kvm_cpuid2 *cpuid)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid);
}

int kvm_get_cpuid2(int vcpu_fd, struct kvm_cpuid2 *cpuid)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_CPUID2, cpuid);
}

int kvm_get_msrs(int vcpu_fd, struct kvm_msrs *msrs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_MSRS, msrs);
}

int kvm_set_msrs(int vcpu_fd, const struct kvm_msrs *msrs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_MSRS, msrs);
}

int kvm_get_regs(int vcpu_fd, struct kvm_regs *ret_regs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_REGS, ret_regs);
}

int kvm_set_regs(int vcpu_fd, const struct kvm_regs *regs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_REGS, regs);
}

int kvm_get_sregs(int vcpu_fd, struct kvm_sregs *ret_sregs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_SREGS, ret_sregs);
}

int kvm_set_sregs(int vcpu_fd, const struct kvm_sregs *sregs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_SREGS, sregs);
}

int kvm_get_lapic(int vcpu_fd, struct kvm_lapic_state *ret_lapic)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_LAPIC, ret_lapic);
}

int kvm_set_lapic(int vcpu_fd, const struct kvm_lapic_state *lapic)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_LAPIC, lapic);
}

int kvm_get_debugregs(int vcpu_fd, struct kvm_debugregs *ret_regs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_DEBUGREGS, ret_regs);
}

int kvm_set_debugregs(int vcpu_fd, const struct kvm_debugregs *regs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_DEBUGREGS, regs);
}

int kvm_get_xcrs(int vcpu_fd, struct kvm_xcrs *ret_xcrs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_XCRS, ret_xcrs);
}

int kvm_set_xcrs(int vcpu_fd, const struct kvm_xcrs *xcrs)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_XCRS, xcrs);
}

int kvm_get_vcpu_events(int vcpu_fd, struct kvm_vcpu_events *ret_events)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_VCPU_EVENTS, ret_events);
}

int kvm_set_vcpu_events(int vcpu_fd, const struct kvm_vcpu_events *events)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_VCPU_EVENTS, events);
}

int kvm_get_xsave(int vcpu_fd, struct kvm_xsave *xsave)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_XSAVE, xsave);
}

int kvm_get_xsave2(int vcpu_fd, struct kvm_xsave *xsave)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_XSAVE2, xsave);
}

int kvm_set_xsave(int vcpu_fd, const struct kvm_xsave *xsave)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_XSAVE, xsave);
}

int kvm_get_nested_state(int vcpu_fd, struct kvm_nested_state *state)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_GET_NESTED_STATE, state);
}

int kvm_set_nested_state(int vcpu_fd, const struct kvm_nested_state *state)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_SET_NESTED_STATE, state);
}

int kvm_translate(int vcpu_fd, struct kvm_translation *translation)
{
	return kvm_x86_ioctl(vcpu_fd, KVM_TRANSLATE, translation);
}
