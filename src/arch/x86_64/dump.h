/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a vCPU that cannot go on, for the log.
 */
#pragma once

#include "hv/hv_x86.h"
#include "mem/ram.h"

/*
 * Logs why the vCPU stopped (at error level), its registers, and the instruction bytes at rip:
 * those of the exit if it has any, else read through the guest's page tables from `ram` (NULL:
 * not). [vcpu]
 */
void x86_dump_vcpu(struct hv_vcpu *vcpu, const struct hv_exit *exit, const struct ram *ram);
