/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hypervisor backend implements. The call layer (hv.c, hv_x86.c) has checked the arguments
 * by then: sizes are not 0, ranges do not wrap, addresses are page aligned, counts fit. A backend
 * embeds the structs below in its own. Threads as said in hv.h.
 */
#pragma once

#include <stdatomic.h>

#include "hv/hv.h"
#include "hv/hv_x86.h"

struct hv_vm_ops {
	void (*free)(struct hv_vm *vm);
	struct err *(*map)(
		struct hv_vm *vm, uint64_t gpa, uint64_t size, uint8_t *hva, bool readonly);
	struct err *(*unmap)(struct hv_vm *vm, uint64_t gpa, uint64_t size);
	int (*signal_msi)(struct hv_vm *vm, uint64_t addr, uint32_t data);
	int (*set_ioapic_route)(
		struct hv_vm *vm, unsigned int pin, bool present, uint64_t addr, uint32_t data);
	int (*ioeventfd)(struct hv_vm *vm, uint64_t addr, bool is_pio, int fd, bool assign);
	struct err *(*irqfd_create)(struct hv_vm *vm, struct hv_irqfd **ret_irqfd);
	struct err *(*vcpu_create)(struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu);
};

struct hv_irqfd_ops {
	void (*free)(struct hv_irqfd *irqfd);
	int (*route)(struct hv_irqfd *irqfd, uint64_t addr, uint32_t data);
	void (*unroute)(struct hv_irqfd *irqfd);
};

struct hv_vcpu_ops {
	void (*free)(struct hv_vcpu *vcpu);
	struct err *(*bind)(struct hv_vcpu *vcpu);
	void (*unbind)(struct hv_vcpu *vcpu);
	int (*run)(struct hv_vcpu *vcpu, struct hv_exit *ret_exit);
	void (*kick)(struct hv_vcpu *vcpu);
	struct err *(*reset)(struct hv_vcpu *vcpu);
	void (*clock_paused)(struct hv_vcpu *vcpu);
};

/* State of x86_64; 0 or -errno, the call layer words the errors. */
struct hv_x86_ops {
	void (*supported_cpuid)(struct hv_vm *vm, struct hv_x86_cpuid *ret_cpuid);
	int (*set_cpuid)(struct hv_vcpu *vcpu, const struct hv_x86_cpuid *cpuid);
	/* How many were done (then the next one was refused), or -errno. */
	int (*get_msrs)(struct hv_vcpu *vcpu, struct hv_x86_msr *msrs, unsigned int n);
	int (*set_msrs)(struct hv_vcpu *vcpu, const struct hv_x86_msr *msrs, unsigned int n);
	int (*get_regs)(struct hv_vcpu *vcpu, struct hv_x86_regs *ret_regs);
	int (*set_regs)(struct hv_vcpu *vcpu, const struct hv_x86_regs *regs);
	int (*get_sregs)(struct hv_vcpu *vcpu, struct hv_x86_sregs *ret_sregs);
	int (*set_sregs)(struct hv_vcpu *vcpu, const struct hv_x86_sregs *sregs);
	int (*translate)(struct hv_vcpu *vcpu, uint64_t gva, uint64_t *ret_gpa);
};

struct hv_vm {
	const struct hv_vm_ops *ops;
	const struct hv_x86_ops *x86;
	struct hv_caps caps;
};

struct hv_irqfd {
	const struct hv_irqfd_ops *ops;
	int fd; /* the eventfd; owned */
};

struct hv_vcpu {
	const struct hv_vcpu_ops *ops;
	struct hv_vm *vm;
	unsigned int id;
};
