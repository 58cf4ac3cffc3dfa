/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hypervisor in memory, for tests and fuzzers: it executes nothing. A test pushes the exits that
 * a guest would cause, and looks at what the code under test did to the VM. Everything here is
 * [any]; one lock per VM.
 */
#pragma once

#include "hv/hv.h"
#include "hv/hv_x86.h"

/* The largest transfer of one pushed exit, as KVM's: one page. */
#define HV_FAKE_DATA_MAX 4096U

struct hv_fake_map {
	uint64_t gpa;
	uint64_t size;
	uint8_t *hva;
	bool readonly;
};

struct hv_fake_msi {
	uint64_t addr;
	uint32_t data;
};

/* Calls that can be made to fail. */
enum hv_fake_call {
	HV_FAKE_MAP,
	HV_FAKE_VCPU_CREATE,
	HV_FAKE_VCPU_RUN,
	HV_FAKE_VCPU_RESET,
	HV_FAKE_SIGNAL_MSI,
	HV_FAKE_IOEVENTFD,
	HV_FAKE_IRQFD_CREATE,
	HV_FAKE_IRQFD_ROUTE,
	HV_FAKE_CALLS
};

/* An empty VM: 1024 vCPU ids, 40 physical address bits, a 2 GHz TSC, an empty CPUID. Freed by
 * hv_vm_free(). */
struct err *must_check hv_fake_create(struct hv_vm **ret_vm);

/* The next such call fails with this errno value. */
void hv_fake_fail_next(struct hv_vm *vm, enum hv_fake_call call, int error);

/* What hv_x86_supported_cpuid() gives from now on. */
void hv_fake_set_supported_cpuid(struct hv_vm *vm, const struct hv_x86_cpuid *cpuid);

/* The mapping that holds gpa; false if there is none. */
bool hv_fake_find_map(struct hv_vm *vm, uint64_t gpa, struct hv_fake_map *ret_map);

/* Copies the first max messages that the guest got (by message or by irqfd); returns how many it
 * got. */
unsigned int hv_fake_messages(struct hv_vm *vm, struct hv_fake_msi *ret_messages, unsigned int max);
void hv_fake_clear_messages(struct hv_vm *vm);

/* The message that a pin of the I/O APIC is routed to; false if it is not. */
bool hv_fake_ioapic_route(struct hv_vm *vm, unsigned int pin, struct hv_fake_msi *ret_msi);

/* A guest's write to a doorbell: signals the eventfd there. false if there is none: it would exit.
 */
bool hv_fake_doorbell(struct hv_vm *vm, uint64_t addr, bool is_pio);

/*
 * Appends an exit to what the vCPU's hv_vcpu_run() returns. For a write access, data is what the
 * guest writes; io.data and mmio.data of `exit` are not looked at. When all are consumed, a run
 * waits for a kick or a further exit.
 */
void hv_fake_push(struct hv_vcpu *vcpu, const struct hv_exit *exit, const void *data);
/* Shorthands: port I/O and MMIO of `size` bytes; `value` counts for writes. */
void hv_fake_push_io(struct hv_vcpu *vcpu, uint16_t port, bool write, uint8_t size, uint32_t value);
void hv_fake_push_mmio(
	struct hv_vcpu *vcpu, uint64_t gpa, bool write, uint8_t size, uint64_t value);

/* What the guest got from the last read access that was completed (by the run after it),
 * little-endian. */
uint64_t hv_fake_last_read(struct hv_vcpu *vcpu);
/* How often the vCPU was reset, and how often it was told that its clock stood still. */
unsigned int hv_fake_resets(struct hv_vcpu *vcpu);
unsigned int hv_fake_clock_pauses(struct hv_vcpu *vcpu);
/* The CPUID that was set; lives as long as the vCPU and until the next change. */
const struct hv_x86_cpuid *hv_fake_cpuid(struct hv_vcpu *vcpu);
