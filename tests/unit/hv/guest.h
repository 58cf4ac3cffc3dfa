/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tiny guest on the real /dev/kvm for the tests of this folder: one VM with a few pages of RAM at
 * 0 that hold real-mode code. Where there is no usable KVM, the tests are skipped and say so.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "hv/hv.h"
#include "hv/hv_x86.h"
#include "unit.h"

#define GUEST_RAM  0x10000U
#define GUEST_CODE 0x1000U

struct guest {
	struct hv_vm *vm;
	uint8_t *ram;
};

/* Leaves the test as skipped if this machine has no KVM to test with. */
static inline void guest_need_kvm(void)
{
	struct hv_vm_options options = {.device = "/dev/kvm"};
	struct hv_vm *vm = NULL;
	struct err *err = hv_kvm_create(&options, &vm);

	if (!err) {
		hv_vm_free(vm);
		return;
	}
	print_message("skipped, no usable KVM: %s\n", err_text(err));
	err_free(err);
	skip();
}

static inline void guest_create(struct guest *guest, const void *code, size_t len)
{
	struct hv_vm_options options = {.device = "/dev/kvm", .max_vcpu_id = 63};

	guest_need_kvm();
	assert_ok(hv_kvm_create(&options, &guest->vm));
	guest->ram =
		mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(guest->ram != MAP_FAILED);
	memcpy(guest->ram + GUEST_CODE, code, len);
	assert_ok(hv_vm_map(guest->vm, 0, GUEST_RAM, guest->ram, false));
}

static inline void guest_free(struct guest *guest)
{
	hv_vm_free(guest->vm);
	munmap(guest->ram, GUEST_RAM);
}

/* Real mode, all segments at 0, at GUEST_CODE. */
static inline void guest_real_mode(struct hv_vcpu *vcpu)
{
	struct hv_x86_regs regs = {.rip = GUEST_CODE, .rsp = 0x8000, .rflags = 2};
	struct hv_x86_sregs sregs;

	assert_ok(hv_x86_get_sregs(vcpu, &sregs));
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	assert_ok(hv_x86_set_sregs(vcpu, &sregs));
	assert_ok(hv_x86_set_regs(vcpu, &regs));
}

/* A vCPU that shows what the hypervisor supports, ready to run GUEST_CODE on this thread. */
static inline struct hv_vcpu *guest_vcpu(struct guest *guest, unsigned int id)
{
	struct hv_x86_cpuid *cpuid = calloc(1, sizeof(*cpuid));
	struct hv_vcpu *vcpu = NULL;

	assert_ok(hv_vcpu_create(guest->vm, id, &vcpu));
	assert_ok(hv_x86_supported_cpuid(guest->vm, cpuid));
	assert_ok(hv_x86_set_cpuid(vcpu, cpuid));
	free(cpuid);
	if (id == 0)
		guest_real_mode(vcpu);
	assert_ok(hv_vcpu_bind(vcpu));
	return vcpu;
}

/* Frees a vCPU that was made on this thread. */
static inline void guest_vcpu_free(struct hv_vcpu *vcpu)
{
	hv_vcpu_unbind(vcpu);
	hv_vcpu_free(vcpu);
}
