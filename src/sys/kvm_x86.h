/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's ioctls of x86_64. Conventions as in sys/kvm.h.
 */
#pragma once

#include "sys/kvm.h"

/*
 * On the device. In: nent / nmsrs = room for entries; out: how many there are. -E2BIG if they do
 * not fit (the MSR list then holds the number that is needed).
 */
int must_check kvm_get_supported_cpuid(int kvm_fd, struct kvm_cpuid2 *cpuid);
int must_check kvm_get_msr_index_list(int kvm_fd, struct kvm_msr_list *list);

/* On a VM. */
int must_check kvm_set_tss_addr(int vm_fd, uint64_t addr);
int must_check kvm_set_identity_map_addr(int vm_fd, uint64_t addr);

/* On a VM (Linux 5.19) or a vCPU: the frequency, or 0. */
int must_check kvm_get_tsc_khz(int fd);

/* On a vCPU. */
int must_check kvm_set_cpuid2(int vcpu_fd, const struct kvm_cpuid2 *cpuid);
int must_check kvm_get_cpuid2(int vcpu_fd, struct kvm_cpuid2 *cpuid);
/* How many of the entries were done; the entry of that index is the one that was refused. */
int must_check kvm_get_msrs(int vcpu_fd, struct kvm_msrs *msrs);
int must_check kvm_set_msrs(int vcpu_fd, const struct kvm_msrs *msrs);
int must_check kvm_get_regs(int vcpu_fd, struct kvm_regs *ret_regs);
int must_check kvm_set_regs(int vcpu_fd, const struct kvm_regs *regs);
int must_check kvm_get_sregs(int vcpu_fd, struct kvm_sregs *ret_sregs);
int must_check kvm_set_sregs(int vcpu_fd, const struct kvm_sregs *sregs);
int must_check kvm_get_lapic(int vcpu_fd, struct kvm_lapic_state *ret_lapic);
int must_check kvm_set_lapic(int vcpu_fd, const struct kvm_lapic_state *lapic);
int must_check kvm_get_debugregs(int vcpu_fd, struct kvm_debugregs *ret_regs);
int must_check kvm_set_debugregs(int vcpu_fd, const struct kvm_debugregs *regs);
int must_check kvm_get_xcrs(int vcpu_fd, struct kvm_xcrs *ret_xcrs);
int must_check kvm_set_xcrs(int vcpu_fd, const struct kvm_xcrs *xcrs);
int must_check kvm_get_vcpu_events(int vcpu_fd, struct kvm_vcpu_events *ret_events);
int must_check kvm_set_vcpu_events(int vcpu_fd, const struct kvm_vcpu_events *events);
/* The area has the size that KVM_CAP_XSAVE2 gives for the VM; without it, sizeof(struct kvm_xsave).
 */
int must_check kvm_get_xsave(int vcpu_fd, struct kvm_xsave *xsave);
int must_check kvm_get_xsave2(int vcpu_fd, struct kvm_xsave *xsave);
int must_check kvm_set_xsave(int vcpu_fd, const struct kvm_xsave *xsave);
/* In: state->size = room in bytes (KVM_CAP_NESTED_STATE gives the most); out: what is used. */
int must_check kvm_get_nested_state(int vcpu_fd, struct kvm_nested_state *state);
int must_check kvm_set_nested_state(int vcpu_fd, const struct kvm_nested_state *state);
int must_check kvm_translate(int vcpu_fd, struct kvm_translation *translation);
/* Tells the guest's clock that it was paused; -EINVAL when the guest does not use it. */
int must_check kvm_kvmclock_ctrl(int vcpu_fd);
