/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's CPUID instruction says. x86_cpuid_template() is made once a VM from what the
 * hypervisor supports: host topology, host caches' sharing and features that need more than the
 * hypervisor are taken out, the machine's own topology and frequencies are put in.
 * x86_cpuid_patch() then changes the few fields that differ between vCPUs in a copy. Intel SDM 2A,
 * CPUID; AMD64 APM 3, appendix E; Linux, Documentation/virt/kvm/x86/cpuid.rst.
 */
#pragma once

#include "arch/x86_64/topology.h"
#include "hv/hv_x86.h"

struct x86_cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

struct x86_cpuid_options {
	const struct x86_topology *topology;
	uint32_t tsc_khz;  /* 0: not known, no frequency leaves */
	bool tsc_deadline; /* the hypervisor emulates the TSC-deadline timer */
	/* The host's own leaf, for the brand string; x86_cpuid_host() outside of tests. */
	struct x86_cpuid_regs (*host)(uint32_t function);
};

/* Executes CPUID. [any] */
struct x86_cpuid_regs x86_cpuid_host(uint32_t function);

/*
 * Fills *ret_template, everything but the fields of x86_cpuid_patch(). Fails if `supported` lacks
 * the basic leaves or the result would not fit. `supported` may be the same object. [main]
 */
struct err *must_check x86_cpuid_template(const struct hv_x86_cpuid *supported,
	const struct x86_cpuid_options *options, struct hv_x86_cpuid *ret_template);

/* Makes a template the CPUID of vCPU `index` of the topology, in place; may be repeated. [any] */
void x86_cpuid_patch(
	struct hv_x86_cpuid *cpuid, const struct x86_topology *topology, unsigned int index);

/* A leaf, or NULL. `index` matters only for entries that have one. [any] */
const struct hv_x86_cpuid_entry *x86_cpuid_find(
	const struct hv_x86_cpuid *cpuid, uint32_t function, uint32_t index);

/* Bits of a guest physical address that the guest will believe in and can use. [any] */
unsigned int x86_cpuid_phys_bits(const struct hv_x86_cpuid *cpuid);
/* true if the guest may use pages of 1 GiB. [any] */
bool x86_cpuid_has_gib_pages(const struct hv_x86_cpuid *cpuid);

/*
 * The 64-bit PCI window above RAM that ends at ram_end: naturally aligned where that leaves room,
 * at most X86_PCI_MEM64_MAX, and below 1 << phys_bits. Ends exclusive. false: no room for one.
 * [any]
 */
bool x86_pci64_window(
	uint64_t ram_end, unsigned int phys_bits, uint64_t *ret_base, uint64_t *ret_end);
