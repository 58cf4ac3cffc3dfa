/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model-specific registers that firmware would have set up, for a machine without one. Set on
 * every vCPU after its CPUID, again after each hv_vcpu_reset(), and before hv_x86_set_sregs().
 * Intel SDM 4.
 */
#pragma once

#include "hv/hv_x86.h"

#define X86_BOOT_MSRS_MAX 4

/* Local APICs must be in x2APIC mode from the start if any id is beyond what xAPIC can address.
 * [any] */
bool x86_needs_x2apic(uint32_t max_apic_id);

/* IA32_APIC_BASE: enabled, in x2APIC mode or not; `bsp` marks the boot processor. [any] */
uint64_t x86_apic_base(bool bsp, bool x2apic);

/* Fills msrs and returns their number. [any] */
unsigned int x86_boot_msrs(bool bsp, bool x2apic, struct hv_x86_msr msrs[X86_BOOT_MSRS_MAX]);
