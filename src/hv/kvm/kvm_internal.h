/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM backend's objects, for the files of this folder.
 */
#pragma once

#include <pthread.h>

#include "hv/hv_internal.h"
#include "sys/kvm.h"

struct kvm_template;

/* A memory slot; its index is KVM's slot number. */
struct kvm_slot {
	uint64_t gpa;
	uint64_t size; /* 0: free */
};

/* One message that a GSI stands for. */
struct kvm_route {
	bool present;
	uint64_t addr;
	uint32_t data;
};

struct kvm_vm_irqfd {
	struct hv_irqfd base;
	struct kvm_vm *vm;
	unsigned int gsi;
	struct kvm_route route; /* under vm->irq_lock, as the fields below */
	bool attached;          /* KVM listens to the eventfd */
	struct kvm_vm_irqfd *next;
};

struct kvm_vm {
	struct hv_vm base;
	int dev_fd; /* the KVM device */
	int fd;
	size_t run_size;            /* bytes of each vCPU's shared area */
	pthread_mutex_t slots_lock; /* guards the two below; lock order 65 */
	struct kvm_slot *slots;
	unsigned int n_slots;

	pthread_mutex_t irq_lock; /* guards the routing below; lock order 70 */
	struct kvm_route pins[HV_IOAPIC_PINS];
	struct kvm_vm_irqfd *irqfds;
	uint64_t *gsi_used; /* bitmap of caps.max_irq_routes bits, made with the first irqfd */

	struct hv_x86_cpuid *supported_cpuid;
	pthread_mutex_t template_lock;     /* guards the making of the templates; lock order 75 */
	struct kvm_template *templates[2]; /* state of a new vCPU: the first, the others */
};

struct kvm_vcpu {
	struct hv_vcpu base;
	int fd;
	struct kvm_run *run; /* mapped by the first bind */
	bool io_pending;     /* the last exit was an access that the next KVM_RUN completes */
	int64_t left_ms;     /* when the last exit was, on the coarse monotonic clock; 0: never */
	atomic_bool kicked;  /* hv_vcpu_kick() that no run has reported yet */

	pthread_mutex_t bind_lock; /* guards the two below; lock order 95 */
	int tid;                   /* of the bound thread, 0: none */
	bool signal_was_blocked;   /* before the binding */
};

static inline struct kvm_vm *kvm_vm_of(struct hv_vm *vm)
{
	return container_of(vm, struct kvm_vm, base);
}

static inline struct kvm_vcpu *kvm_vcpu_of(struct hv_vcpu *vcpu)
{
	return container_of(vcpu, struct kvm_vcpu, base);
}

/* check.c: what is needed of the device; fills caps. */
struct err *must_check kvm_check_device(int dev_fd, struct hv_caps *ret_caps);
/* Why open() of the device failed, and what to do. */
struct err *must_check kvm_open_error(const char *device, int error);

/* memory.c */
struct err *must_check kvm_vm_map(
	struct hv_vm *vm, uint64_t gpa, uint64_t size, uint8_t *hva, bool readonly);
struct err *must_check kvm_vm_unmap(struct hv_vm *vm, uint64_t gpa, uint64_t size);

/* irq.c */
int must_check kvm_vm_signal_msi(struct hv_vm *vm, uint64_t addr, uint32_t data);
int must_check kvm_vm_set_ioapic_route(
	struct hv_vm *vm, unsigned int pin, bool present, uint64_t addr, uint32_t data);
int must_check kvm_vm_ioeventfd(struct hv_vm *vm, uint64_t addr, bool is_pio, int fd, bool assign);
struct err *must_check kvm_vm_irqfd_create(struct hv_vm *vm, struct hv_irqfd **ret_irqfd);

/* vcpu.c */
struct err *must_check kvm_vcpu_create(
	struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu);
/* Finishes an access that the last exit left half done. 0 or -errno. */
int must_check kvm_vcpu_complete_io(struct kvm_vcpu *vcpu);

/* exit.c: *ret_exit from the shared area; true if the next KVM_RUN completes the access. */
bool kvm_exit_decode(struct kvm_run *run, struct hv_exit *ret_exit);

/* Of the architecture (x86_*.c). */
extern const struct hv_x86_ops kvm_x86_ops;
/* What the processor lacks, as a sentence; NULL if it can virtualize. */
const char *kvm_arch_processor_lacks(void);
/* Capabilities of the architecture; fills its share of caps. */
struct err *must_check kvm_arch_check_device(int dev_fd, struct hv_caps *caps);
/* A new VM: interrupt controller, address-space holes. `fd` is not yet in vm. */
struct err *must_check kvm_arch_vm_init(int dev_fd, int fd, const struct hv_vm_options *options);
/* Fills vm->supported_cpuid and the caps that follow from it. */
struct err *must_check kvm_arch_vm_facts(struct kvm_vm *vm);
/* A message in the form that KVM_SIGNAL_MSI and the routing table take; -EINVAL if it is none. */
int must_check kvm_arch_msi(uint64_t addr, uint32_t data, struct kvm_msi *ret_msi);
struct err *must_check kvm_arch_vcpu_reset(struct hv_vcpu *vcpu);
void kvm_arch_clock_paused(struct hv_vcpu *vcpu);
void kvm_arch_template_free(struct kvm_template *template);
