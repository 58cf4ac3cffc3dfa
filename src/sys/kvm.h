/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One typed wrapper per KVM ioctl that is not of one architecture, and KVM's constants that are
 * newer than the kernel headers of Debian 12 (6.1). Every function returns 0 (or the documented
 * value) or -errno, allocates nothing and logs nothing. Described in Linux,
 * Documentation/virt/kvm/api.rst. [any], as KVM locks; the functions on a vCPU wait while another
 * thread is inside that vCPU.
 */
#pragma once

#include <linux/kvm.h>

#include "base/macros.h"

/* Capabilities and exits since Linux 6.2. */
#ifndef KVM_CAP_USER_MEMORY2
#define KVM_CAP_USER_MEMORY2 231
#endif
#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232
#endif
#ifndef KVM_CAP_MEMORY_ATTRIBUTES
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#endif
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_CAP_GUEST_MEMFD 234
#endif
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES 235
#endif
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

/* The version that KVM has had since 2007. */
#define KVM_EXPECTED_API_VERSION 12

/* Opens the KVM device: a file descriptor. */
int must_check kvm_open(const char *path);

/* On the device. */
int must_check kvm_get_api_version(int kvm_fd);
/* A file descriptor of the new VM. Retries EINTR, which a signal can cause here. */
int must_check kvm_create_vm(int kvm_fd, unsigned long type);
/* Bytes of the shared area of each vCPU. */
int must_check kvm_get_vcpu_mmap_size(int kvm_fd);

/* On the device or a VM: 0 without the capability, otherwise what it means for this one. */
int must_check kvm_check_extension(int fd, unsigned int cap);

/* On a VM. */
int must_check kvm_enable_cap(int vm_fd, unsigned int cap, uint64_t arg0);
int must_check kvm_set_user_memory_region(
	int vm_fd, const struct kvm_userspace_memory_region *region);
/* > 0 delivered, 0 blocked by the guest. */
int must_check kvm_signal_msi(int vm_fd, const struct kvm_msi *msi);
int must_check kvm_set_gsi_routing(int vm_fd, const struct kvm_irq_routing *routing);
int must_check kvm_irqfd(int vm_fd, const struct kvm_irqfd *irqfd);
int must_check kvm_ioeventfd(int vm_fd, const struct kvm_ioeventfd *ioeventfd);
/* A file descriptor of the new vCPU. */
int must_check kvm_create_vcpu(int vm_fd, unsigned int id);

/* On a vCPU. -EINTR: a signal, immediate_exit; -EAGAIN: woken without anything to run. */
int must_check kvm_run(int vcpu_fd);
/* The signals (bit n - 1 for signal n) that are blocked while the vCPU runs. */
int must_check kvm_set_signal_mask(int vcpu_fd, uint64_t blocked);
int must_check kvm_get_mp_state(int vcpu_fd, struct kvm_mp_state *ret_state);
int must_check kvm_set_mp_state(int vcpu_fd, const struct kvm_mp_state *state);
