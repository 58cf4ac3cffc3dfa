/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the x86_64 files of this folder share.
 */
#pragma once

#include "hv/kvm/kvm_internal.h"
#include "sys/kvm_x86.h"

/* The interrupt controller of a new VM. 0 or -errno. */
int must_check kvm_x86_split_irqchip(int fd);

/* A zeroed list with room for HV_X86_CPUID_MAX entries (nent says so); the caller frees it. NULL:
 * no memory. */
struct kvm_cpuid2 *kvm_x86_cpuid_alloc(void);
