/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake backend's objects, for the files of this folder.
 */
#pragma once

#include <pthread.h>

#include "hv/fake/hv_fake.h"
#include "hv/hv_internal.h"

struct fake_doorbell {
	uint64_t addr;
	bool is_pio;
	int fd; /* not owned */
};

struct fake_irqfd {
	struct hv_irqfd base;
	struct fake_vm *vm;
	struct hv_fake_msi msi;
	bool routed;
	struct fake_irqfd *next;
};

struct fake_vm {
	struct hv_vm base;
	pthread_mutex_t lock; /* guards all that follows, and the vCPUs; lock order 95 */
	int failures[HV_FAKE_CALLS];
	struct hv_x86_cpuid supported_cpuid;
	struct hv_fake_map *maps;
	unsigned int n_maps;
	struct hv_fake_msi *messages;
	unsigned int n_messages;
	struct hv_fake_msi pins[HV_IOAPIC_PINS];
	bool pin_routed[HV_IOAPIC_PINS];
	struct fake_doorbell *doorbells;
	unsigned int n_doorbells;
	struct fake_irqfd *irqfds;
};

struct fake_step {
	struct hv_exit exit;
	uint8_t data[HV_FAKE_DATA_MAX];
	struct fake_step *next;
};

struct fake_vcpu {
	struct hv_vcpu base;
	pthread_cond_t changed; /* kicked, or the script has a step */
	bool kicked;
	struct fake_step *script;  /* the next exits */
	struct fake_step *current; /* the exit that was returned last */
	uint64_t last_read;
	unsigned int resets;
	unsigned int clock_pauses;
	struct hv_x86_cpuid cpuid;
	struct hv_x86_regs regs;
	struct hv_x86_sregs sregs;
	struct hv_x86_msr *msrs;
	unsigned int n_msrs;
};

extern const struct hv_x86_ops fake_x86_ops;

static inline struct fake_vm *fake_vm_of(struct hv_vm *vm)
{
	return container_of(vm, struct fake_vm, base);
}

static inline struct fake_vcpu *fake_vcpu_of(struct hv_vcpu *vcpu)
{
	return container_of(vcpu, struct fake_vcpu, base);
}

/* The errno value that this call is to fail with, once; 0: it works. Takes the lock. */
int must_check fake_failure(struct fake_vm *vm, enum hv_fake_call call);

struct err *must_check fake_vcpu_create(
	struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu);
/* Registers and MSRs as after power-on. */
void fake_x86_power_on(struct fake_vcpu *vcpu);
